/* exp, log, sin, cos, pow: near the C library's, and the same bits everywhere. */
#include "base/real.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TRIES = 100000 };

static uint64_t bits_of(double x)
{
	uint64_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

/* Units in the last place between two numbers of one sign. */
static double apart(double a, double b)
{
	return a == b ? 0 : fabs((double)(int64_t)(bits_of(a) - bits_of(b)));
}

static double between(struct rng *r, double low, double high)
{
	return low + (high - low) * rng_uniform(r);
}

/* Any positive number from 2^-k to 2^k. */
static double any_size(struct rng *r, int k)
{
	double m = 1 + rng_uniform(r);

	return m * ldexp(1, (int)rng_below(r, 2 * (uint64_t)k) - k);
}

#define NEAR(f, g, x, most) do { \
	double x_ = (x); \
	if (!(apart(f(x_), g(x_)) <= (most))) \
		fail_msg(#f "(%a) = %a, not %a", x_, f(x_), g(x_)); \
} while (0)

static void near_exp(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 1, 0, "exp");
	for (int i = 0; i < TRIES; i++) {
		NEAR(real_exp, exp, between(&r, -745, 709.7), 1);
		NEAR(real_exp, exp, between(&r, -1, 1), 1);
	}
}

static void near_log(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 1, 0, "log");
	for (int i = 0; i < TRIES; i++) {
		NEAR(real_log, log, any_size(&r, 1070), 1);
		NEAR(real_log, log, between(&r, 0.5, 2), 1);
		NEAR(real_log, log, 1 + between(&r, -1e-6, 1e-6), 1);
	}
}

static void near_waves(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 1, 0, "sin");
	for (int i = 0; i < TRIES; i++) {
		double x = i % 2 ? between(&r, -0x1p20, 0x1p20) : between(&r, -7, 7);

		/* near a zero, where the reduction has to be exact */
		if (i % 4 == 0)
			x = (double)rng_below(&r, 660000) * 1.5707963267948966;
		NEAR(real_sin, sin, x, 1);
		NEAR(real_cos, cos, x, 1);
	}
}

static void near_pow(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 1, 0, "pow");
	for (int i = 0; i < TRIES; i++) {
		double x = i % 2 ? any_size(&r, 1000) : between(&r, 0, 3);
		double y = i % 2 ? between(&r, -700, 700) / log(x) : between(&r, -20, 20);
		double want = pow(x, y);

		if (isfinite(want) && want > 0x1p-1021 && !(apart(real_pow(x, y), want) <= 2))
			fail_msg("pow(%a, %a) = %a, not %a", x, y, real_pow(x, y), want);
	}
}

static void special_values(void **state)
{
	(void)state;
	assert_true(real_exp(0) == 1 && real_exp(-INFINITY) == 0 && real_exp(-800) == 0);
	assert_true(isinf(real_exp(INFINITY)) && isinf(real_exp(709.8)) && isnan(real_exp(NAN)));
	assert_true(real_log(1) == 0 && real_log(0) == -INFINITY);
	assert_true(real_log(INFINITY) == INFINITY);
	assert_true(isnan(real_log(-1)) && isnan(real_log(NAN)));
	assert_true(real_sin(0) == 0 && real_cos(0) == 1);
	assert_true(isnan(real_sin(NAN)) && isnan(real_cos(INFINITY)) && isnan(real_sin(2e6)));
	assert_true(real_pow(2, 10) == 1024 && real_pow(0, 0) == 1 && real_pow(7, 0) == 1);
	assert_true(real_pow(0, 2) == 0 && isinf(real_pow(0, -1)) && real_pow(1, NAN) == 1);
	assert_true(real_pow(INFINITY, 2) == INFINITY && real_pow(INFINITY, -2) == 0);
	assert_true(real_pow(2, INFINITY) == INFINITY && real_pow(2, -INFINITY) == 0);
	assert_true(real_pow(0.5, INFINITY) == 0 && isnan(real_pow(-1, 2)));
	assert_true(real_pow(2, 2000) == INFINITY && real_pow(2, -2000) == 0);
	assert_true(real_pow(0.25, 0.5) == 0.5 && real_pow(10, 2) == 100);
}

/* A digest of many results: the bits must not depend on compiler, library, machine. */
static void golden_bits(void **state)
{
	uint64_t digest = 0;
	struct rng r;

	(void)state;
	rng_init(&r, 1, 0, "golden");
	for (int i = 0; i < TRIES; i++) {
		double v[6], x;

		v[0] = real_exp(between(&r, -740, 709));
		v[1] = real_log(any_size(&r, 1000));
		v[2] = real_sin(between(&r, -1e6, 1e6));
		v[3] = real_cos(between(&r, -10, 10));
		x = between(&r, 0, 100);
		v[4] = real_pow(x, between(&r, -100, 100));
		v[5] = rng_normal(&r);

		for (size_t k = 0; k < sizeof(v) / sizeof(v[0]); k++)
			digest = (digest ^ bits_of(v[k])) * 0x100000001b3u + (digest >> 31);
	}
	if (digest != 0x1c72b35e193c3de2)
		fail_msg("digest %#llx", (unsigned long long)digest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(near_exp),
		cmocka_unit_test(near_log),
		cmocka_unit_test(near_waves),
		cmocka_unit_test(near_pow),
		cmocka_unit_test(special_values),
		cmocka_unit_test(golden_bits),
	};

	return cmocka_run_group_tests_name("exact functions", tests, NULL, NULL);
}
