/* The worker pool: order, bounds, failures, ends. */
#include "base/fail.h"
#include "base/pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct job {
	int number, result;
};

/* Squares; jobs take different times; every seventh fails where asked. */
static int square(void *context, int thread, void *arg)
{
	struct job *j = arg;
	struct timespec t = { 0, (j->number * 7919 % 13) * 10000 };

	assert_true(thread >= 0);
	nanosleep(&t, NULL);
	j->result = j->number * j->number;
	if (context && j->number % 7 == 6)
		return (fail)("job %d is bad", j->number);
	return 0;
}

enum { JOBS = 500 };

static void one_thread_puts_and_takes(void **state)
{
	for (int threads = 1; threads <= 4; threads++) {
		struct pool *p = pool_open(threads, 8, square, NULL);
		struct job job[JOBS] = { { 0, 0 } };
		void *got;
		int put = 0, taken = 0;

		(void)state;
		assert_non_null(p);
		while (taken < JOBS) {
			while (put < JOBS && pool_inside(p) < 8) {
				job[put].number = put;
				assert_int_equal(pool_put(p, &job[put++]), 0);
			}
			if (put == JOBS)
				pool_end(p);
			assert_int_equal(pool_take(p, &got), 1);
			assert_ptr_equal(got, &job[taken]);
			assert_int_equal(job[taken].result, taken * taken);
			taken++;
		}
		assert_int_equal(pool_take(p, &got), 0);
		assert_int_equal(pool_put(p, &job[0]), -1);
		pool_free(p);
	}
}

struct feed {
	struct pool *pool;
	struct job job[JOBS];
	int refused;
};

static void *feed(void *arg)
{
	struct feed *f = arg;

	for (int i = 0; i < JOBS; i++) {
		f->job[i].number = i;
		if (pool_put(f->pool, &f->job[i]) < 0) {
			f->refused = 1;
			break;
		}
	}
	pool_end(f->pool);
	return NULL;
}

static void two_threads_and_failures(void **state)
{
	static struct feed f;
	pthread_t id;
	void *got;
	int n = 0, r;

	(void)state;
	f.pool = pool_open(3, 5, square, &f);
	assert_non_null(f.pool);
	assert_int_equal(pthread_create(&id, NULL, feed, &f), 0);
	while ((r = pool_take(f.pool, &got)) != 0) {
		char why[32];

		assert_ptr_equal(got, &f.job[n]);
		snprintf(why, sizeof(why), "job %d is bad", n);
		assert_int_equal(r, n % 7 == 6 ? -1 : 1);
		if (r < 0)
			assert_string_equal(fail_why(), why);
		n++;
	}
	assert_int_equal(n, JOBS);
	pthread_join(id, NULL);
	assert_int_equal(f.refused, 0);
	pool_free(f.pool);
}

/* Who takes goes away: who puts must not wait for ever. */
static void the_taker_ends(void **state)
{
	static struct feed f;
	pthread_t id;
	void *got;

	(void)state;
	f.pool = pool_open(2, 4, square, NULL);
	assert_non_null(f.pool);
	assert_int_equal(pthread_create(&id, NULL, feed, &f), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(pool_take(f.pool, &got), 1);
	pool_end(f.pool);
	pthread_join(id, NULL);
	assert_int_equal(f.refused, 1);
	pool_free(f.pool);
}

static void free_with_jobs_inside(void **state)
{
	struct job job[4] = { { 1, 0 }, { 2, 0 }, { 6, 0 }, { 4, 0 } };

	(void)state;
	for (int round = 0; round < 50; round++) {
		struct pool *p = pool_open(2, 4, square, job);

		assert_non_null(p);
		for (int i = 0; i < 4; i++)
			assert_int_equal(pool_put(p, &job[i]), 0);
		pool_free(p);
	}
	pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_puts_and_takes),
		cmocka_unit_test(two_threads_and_failures),
		cmocka_unit_test(the_taker_ends),
		cmocka_unit_test(free_with_jobs_inside),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
