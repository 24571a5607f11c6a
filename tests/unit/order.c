/* The order of samples against brute force: each record once an epoch, any start the tail
 * of the whole, windows where they belong. */
#include "data/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t few[] = { 3, 0, 7, 1, 12 };
static uint64_t many[40];

static void make_many(void)
{
	size_t i;

	for (i = 0; i < 40; i++)
		many[i] = (i * 37 + 11) % 23;
}

static uint64_t sum(const uint64_t *counts, size_t n)
{
	uint64_t all = 0;

	while (n)
		all += counts[--n];
	return all;
}

static struct order *opened(enum order_kind kind, uint64_t window, uint64_t seed,
			    const uint64_t *counts, size_t n)
{
	struct order *o = order_open(kind, window, seed, counts, n);

	assert_non_null(o);
	assert_int_equal(order_epoch(o), sum(counts, n));
	return o;
}

static struct order_place at(struct order *o, uint64_t position)
{
	struct order_place p;

	assert_int_equal(order_at(o, position, &p), 0);
	return p;
}

static int same(struct order_place a, struct order_place b)
{
	return a.shard == b.shard && a.record == b.record;
}

/* Three epochs: each holds every record exactly once. */
static void check_once(enum order_kind kind, uint64_t window, const uint64_t *counts, size_t n)
{
	struct order *o = opened(kind, window, 5, counts, n);
	uint64_t total = order_epoch(o), i, epoch;
	unsigned char *seen = malloc(n * 64);

	for (epoch = 0; epoch < 3; epoch++) {
		memset(seen, 0, n * 64);
		for (i = 0; i < total; i++) {
			struct order_place p = at(o, epoch * total + i);

			assert_true(p.shard < n && p.record < counts[p.shard]);
			assert_false(seen[p.shard * 64 + p.record]);
			seen[p.shard * 64 + p.record] = 1;
		}
	}
	free(seen);
	order_free(o);
}

static void each_record_once(void **state)
{
	static const uint64_t windows[] = { 1, 2, 5, 22, 23, 24, 1000 };
	size_t i;

	(void)state;
	check_once(ORDER_FILE, 0, few, 5);
	check_once(ORDER_ALL, 0, few, 5);
	check_once(ORDER_ALL, 0, many, 40);
	for (i = 0; i < sizeof windows / sizeof *windows; i++) {
		check_once(ORDER_WINDOW, windows[i], few, 5);
		check_once(ORDER_WINDOW, windows[i], many, 40);
	}
}

/* A fresh order asked for one position gives what the one that walked there gives. */
static void any_start_is_the_tail(void **state)
{
	static const enum order_kind kinds[] = { ORDER_FILE, ORDER_ALL, ORDER_WINDOW };
	size_t k;

	(void)state;
	for (k = 0; k < 3; k++) {
		struct order *whole = opened(kinds[k], 9, 3, many, 40);
		uint64_t total = order_epoch(whole), i;

		for (i = 0; i < 2 * total; i++) {
			struct order *fresh = opened(kinds[k], 9, 3, many, 40);

			assert_true(same(at(whole, i), at(fresh, i)));
			if (i)
				assert_true(same(at(whole, i - 1), at(fresh, i - 1)));
			order_free(fresh);
		}
		order_free(whole);
	}
}

static void file_order(void **state)
{
	struct order *o = opened(ORDER_FILE, 0, 1, few, 5);
	uint64_t position = 0, r;
	uint32_t s;

	(void)state;
	for (s = 0; s < 5; s++)
		for (r = 0; r < few[s]; r++)
			assert_true(same(at(o, position++), (struct order_place){ s, r }));
	assert_true(same(at(o, position), (struct order_place){ 0, 0 }));
	order_free(o);
}

/* The interleaved sequence once more, as the header describes it, with nothing skipped:
 * window 1 shows it as it is. */
static void interleave_as_described(void **state)
{
	struct order *o = opened(ORDER_WINDOW, 1, 8, many, 40);
	uint64_t total = order_epoch(o), next[40] = { 0 }, i;
	uint32_t last_round[ORDER_OPEN];
	int open = 0, turn;

	(void)state;
	/* The first 16 records are the first of 16 different shards, and the 16 after them
	 * come from the same shards in turn or, where one had only one, from a new one. */
	for (i = 0; i < total; i++) {
		struct order_place p = at(o, i);

		assert_int_equal(p.record, next[p.shard]++);
		if (i < ORDER_OPEN) {
			assert_int_equal(p.record, 0);
			last_round[open++] = p.shard;
		} else if (i < 2 * ORDER_OPEN) {
			turn = (int)(i - ORDER_OPEN);
			assert_true(p.shard == last_round[turn] ||
				    many[last_round[turn]] == 1);
		}
	}
	order_free(o);
}

static void windows_hold_their_own(void **state)
{
	struct order *one = opened(ORDER_WINDOW, 1, 8, many, 40);
	struct order *ten = opened(ORDER_WINDOW, 10, 8, many, 40);
	uint64_t total = order_epoch(one), begin, i, j, moved = 0;

	(void)state;
	for (begin = 0; begin < total; begin += 10) {
		uint64_t end = begin + 10 < total ? begin + 10 : total;
		struct order_window w;

		assert_int_equal(order_window(ten, begin, &w), 0);
		assert_int_equal(w.position, begin);
		assert_int_equal(w.n, end - begin);
		for (i = begin; i < end; i++) {
			struct order_place p = at(ten, i);

			for (j = begin; j < end && !same(p, at(one, j)); j++)
				;
			assert_true(j < end);
			moved += i != j;
			assert_true(same(w.read[i - begin],
					 at(ten, begin + w.rank[i - begin])));
		}
	}
	assert_true(moved > total / 2);
	order_free(one);
	order_free(ten);
}

static void seeds_and_epochs_differ(void **state)
{
	static const enum order_kind kinds[] = { ORDER_ALL, ORDER_WINDOW };
	size_t k;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct order *a = opened(kinds[k], 50, 1, many, 40);
		struct order *b = opened(kinds[k], 50, 2, many, 40);
		uint64_t total = order_epoch(a), i, seeds = 0, epochs = 0;

		for (i = 0; i < total; i++) {
			seeds += same(at(a, i), at(b, i));
			epochs += same(at(a, i), at(a, total + i));
		}
		assert_true(seeds < total / 4);
		assert_true(epochs < total / 4);
		order_free(a);
		order_free(b);
	}
}

/* A place far into large shards is found by rounds, not by walking (2^60 steps). */
static void far_places_are_cheap(void **state)
{
	static const uint64_t large[] = { (uint64_t)1 << 40, ((uint64_t)1 << 40) + 5, 3 };
	struct order *o = opened(ORDER_WINDOW, 4, 1, large, 3);
	uint64_t total = order_epoch(o);
	struct order_place p = at(o, total - 1);

	(void)state;
	assert_int_equal(p.shard, 1);
	assert_true(p.record >= large[1] - 4);
	order_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_record_once),
		cmocka_unit_test(any_start_is_the_tail),
		cmocka_unit_test(file_order),
		cmocka_unit_test(interleave_as_described),
		cmocka_unit_test(windows_hold_their_own),
		cmocka_unit_test(seeds_and_epochs_differ),
		cmocka_unit_test(far_places_are_cheap),
	};

	make_many();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
