/* Devices that take a step together: sums in rank order, and nobody left waiting. */
#include "base/fail.h"
#include "dev/host.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#undef fail      /* cmocka's; ours leaves a reason */

enum { MOST = 5, GRADS = 5003, C = 7, PAD = 16 };

/* A program with gradients and two vectors of two rows. */
struct rig {
	struct value value[4];
	struct program p;
	struct host host[MOST];
	int ranks;
};

struct device_thread {
	struct rig *rig;
	int rank, (*work)(struct rig *, int rank), status;
	char why[FAIL_MAX];
};

static void rig_make(struct rig *rig, int ranks)
{
	struct host *hosts[MOST];
	int k;

	memset(rig, 0, sizeof *rig);
	for (k = 0; k < 2; k++)
		rig->value[k] = (struct value){ .name = "m", .n = 1, .h = 1, .w = 2, .c = C,
			.lay = { PAD, PAD, DTYPE_F32 }, .arena = ARENA_WORK,
			.at = (size_t)k * 2 * PAD * sizeof(float), .param = -1 };
	rig->value[2] = (struct value){ .name = "losses", .n = 3, .h = 1, .w = 1, .c = 2,
		.lay = { 2, 2, DTYPE_F32 }, .arena = ARENA_OUTPUT, .param = -1 };
	rig->p.value = rig->value;
	rig->p.values = 3;
	rig->p.arena[ARENA_WORK] = 4 * PAD * sizeof(float);
	rig->p.arena[ARENA_GRAD] = GRADS * sizeof(float);
	rig->p.arena[ARENA_OUTPUT] = 64;
	rig->p.arena[ARENA_CONTROL] = sizeof(struct control);
	rig->p.options.devices = rig->ranks = ranks;
	for (k = 0; k < ranks; k++) {
		hosts[k] = &rig->host[k];
		assert_int_equal(host_bind(&rig->host[k], &rig->p, NULL), 0);
	}
	if (ranks > 1)
		assert_int_equal(host_join(hosts, ranks, NULL), 0);
}

static void rig_close(struct rig *rig)
{
	int k;

	for (k = 0; k < rig->ranks; k++)
		host_close(&rig->host[k]);
}

static void *device_main(void *context)
{
	struct device_thread *t = context;

	t->status = t->work(t->rig, t->rank);
	strcpy(t->why, fail_why());
	return NULL;
}

static void run_all(struct rig *rig, struct device_thread *t, int (*work)(struct rig *, int))
{
	pthread_t thread[MOST];
	int k;

	for (k = 0; k < rig->ranks; k++) {
		t[k] = (struct device_thread){ .rig = rig, .rank = k, .work = work };
		assert_int_equal(pthread_create(&thread[k], NULL, device_main, &t[k]), 0);
	}
	for (k = 0; k < rig->ranks; k++)
		pthread_join(thread[k], NULL);
}

static float *gradients(struct rig *rig, int rank)
{
	return (float *)host_memory(&rig->host[rank], &rig->p)->arena[ARENA_GRAD];
}

static float *rows(struct rig *rig, int rank, int value)
{
	return memory_at(host_memory(&rig->host[rank], &rig->p), value);
}

/* Numbers whose sum depends on the order. */
static float number(int rank, int i)
{
	return (float)((rank * 7919 + i * 104729) % 1000003) * (rank % 2 ? 1e-3f : -1e3f);
}

static int work_reduce(struct rig *rig, int rank)
{
	struct range_attr range = { 12, (GRADS - 5) * sizeof(float) };
	struct step step = { .kind = STEP_REDUCE, .attr = &range };
	int round;

	for (round = 0; round < 20; round++)
		TRY(host_meet(&rig->host[rank], host_memory(&rig->host[rank], &rig->p), &step));
	return 0;
}

static void reduce_in_rank_order(void **state)
{
	static float want[GRADS];
	struct device_thread t[MOST];
	int ranks, i, k, round;
	struct rig rig;

	(void)state;
	for (ranks = 1; ranks <= MOST; ranks++) {
		rig_make(&rig, ranks);
		for (k = 0; k < ranks; k++)
			for (i = 0; i < GRADS; i++)
				gradients(&rig, k)[i] = number(k, i);
		run_all(&rig, t, work_reduce);
		for (i = 3; i < GRADS - 2; i++) {
			want[i] = number(0, i);
			for (k = 1; k < ranks; k++)
				want[i] += number(k, i);
			/* all are the same after the first meeting */
			for (round = 1; round < 20; round++) {
				float one = want[i];

				for (k = 1; k < ranks; k++)
					want[i] += one;
			}
		}
		for (k = 0; k < ranks; k++) {
			assert_int_equal(t[k].status, 0);
			assert_memory_equal(gradients(&rig, k) + 3, want + 3,
					    (GRADS - 5) * sizeof(float));
			/* beyond the range: as before */
			assert_true(gradients(&rig, k)[2] == number(k, 2));
			assert_true(gradients(&rig, k)[GRADS - 2] == number(k, GRADS - 2));
		}
		rig_close(&rig);
	}
}

static int work_sync(struct rig *rig, int rank)
{
	struct step stats = { .kind = STEP_SYNC_STATS, .in = { 0 }, .ins = 1, .out = { 1 },
			      .outs = 1 };
	struct step sums = { .kind = STEP_SYNC_SUMS, .in = { 1 }, .ins = 1, .out = { 0 },
			     .outs = 1 };
	const struct memory *m = host_memory(&rig->host[rank], &rig->p);

	TRY(host_meet(&rig->host[rank], m, &stats));
	return host_meet(&rig->host[rank], m, &sums);
}

static void statistics_together(void **state)
{
	struct device_thread t[MOST];
	struct rig rig;
	int k, c, ranks;

	(void)state;
	for (ranks = 1; ranks <= 3; ranks += 2) {
		rig_make(&rig, ranks);
		for (k = 0; k < ranks; k++)
			for (c = 0; c < C; c++) {
				rows(&rig, k, 0)[c] = (float)(c + k * k);
				rows(&rig, k, 0)[PAD + c] = (float)(c + 1 + k);
			}
		run_all(&rig, t, work_sync);
		for (k = 0; k < ranks; k++) {
			assert_int_equal(t[k].status, 0);
			assert_memory_equal(rows(&rig, k, 1), rows(&rig, 0, 1), 2 * PAD * 4);
			assert_memory_equal(rows(&rig, k, 0), rows(&rig, 0, 0), 2 * PAD * 4);
		}
		for (c = 0; c < C; c++) {
			/* means c, c+1, c+4; variances c+1, c+2, c+3 */
			double mean = ranks == 1 ? c : c + 5 / 3.0;
			double variance = ranks == 1 ? c + 1 :
				c + 2 + (25 / 9.0 + 4 / 9.0 + 49 / 9.0) / 3;

			assert_true(rows(&rig, 0, 1)[c] == (float)mean);
			assert_float_equal(rows(&rig, 0, 1)[PAD + c], variance, 1e-5);
			assert_true(rows(&rig, 0, 0)[c] == (float)(ranks * (double)(float)mean));
		}
		assert_true(rows(&rig, 0, 1)[C] == 0 && rows(&rig, 0, 1)[PAD + C] == 0);
		rig_close(&rig);
	}
}

static int work_finite(struct rig *rig, int rank)
{
	struct step step = { .kind = STEP_FINITE, .in = { 2 }, .ins = 1 };

	return host_finite(&rig->host[rank], host_memory(&rig->host[rank], &rig->p), &step);
}

/* One device's loss halts all; so does a gradient. */
static void not_finite_halts_all(void **state)
{
	static const float bad[] = { 1, 3e38f, INFINITY, -INFINITY, NAN };
	struct device_thread t[MOST];
	struct rig rig;
	int k, i;

	(void)state;
	for (i = 0; i < 10; i++) {
		rig_make(&rig, 3);
		if (i < 5)
			rows(&rig, 1, 2)[4] = bad[i];
		else
			gradients(&rig, 2)[GRADS - 1] = bad[i - 5];
		run_all(&rig, t, work_finite);
		for (k = 0; k < 3; k++) {
			assert_int_equal(t[k].status, 0);
			assert_int_equal(memory_control(host_memory(&rig.host[k], &rig.p))->halt,
					 i % 5 > 1);
		}
		rig_close(&rig);
	}
}

static int work_any(struct rig *rig, int rank)
{
	int round;

	for (round = 0; round < 200; round++)
		if (host_any(&rig->host[rank], round % 7 == rank) != (round % 7 < rig->ranks))
			return fail("round %d", round);
	return 0;
}

static void any_says_so(void **state)
{
	struct device_thread t[MOST];
	struct rig rig;
	int k;

	(void)state;
	rig_make(&rig, 4);
	run_all(&rig, t, work_any);
	for (k = 0; k < 4; k++)
		assert_string_equal(t[k].why, "");
	rig_close(&rig);
}

static int work_one_fails(struct rig *rig, int rank)
{
	if (rank == 1) {
		fail("bad step");
		host_broken(&rig->host[rank]);
		return -1;
	}
	return work_reduce(rig, rank);
}

static int work_one_closes(struct rig *rig, int rank)
{
	if (rank == 2) {
		host_close(&rig->host[rank]);
		return 0;
	}
	return work_reduce(rig, rank);
}

static void a_failure_frees_the_others(void **state)
{
	struct device_thread t[MOST];
	struct rig rig;

	(void)state;
	rig_make(&rig, 3);
	run_all(&rig, t, work_one_fails);
	assert_int_equal(t[0].status, -1);
	assert_string_equal(t[0].why, "device 1 of 3: bad step");
	assert_string_equal(t[2].why, "device 1 of 3: bad step");
	assert_int_equal(work_reduce(&rig, 1), -1);     /* for good */
	rig_close(&rig);

	rig_make(&rig, 3);
	run_all(&rig, t, work_one_closes);
	assert_string_equal(t[0].why, "device 2 of 3: it was closed");
	assert_string_equal(t[1].why, "device 2 of 3: it was closed");
	rig_close(&rig);
}

static void counts_are_checked(void **state)
{
	struct rig rig, other;
	struct host *hosts[2];

	(void)state;
	rig_make(&rig, 1);
	rig.p.options.devices = 2;
	assert_int_equal(work_reduce(&rig, 0), -1);
	assert_string_equal(fail_why(), "a program for 2 devices runs on 1");
	rig_close(&rig);

	rig_make(&other, 2);
	hosts[0] = &other.host[0];
	assert_int_equal(host_join(hosts, 1, NULL), -1);
	rig_close(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reduce_in_rank_order),
		cmocka_unit_test(statistics_together),
		cmocka_unit_test(not_finite_halts_all),
		cmocka_unit_test(any_says_so),
		cmocka_unit_test(a_failure_frees_the_others),
		cmocka_unit_test(counts_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
