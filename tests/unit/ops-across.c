/*
 * Normalisations over the channels of a pixel: layer norm and local response. ref
 * against finite differences and known numbers, other backends against ref; channel
 * counts that 16 does not divide, windows wider than the channels.
 *
 * Tolerances: sums of up to 800 numbers in fp32, divided by deviations; powers of sums
 * to a few units of the last place.
 */
#include "on_backend.h"

#include "base/fail.h"

#include <math.h>
#include <string.h>

struct across_case { int n, h, w, c; };

static const struct across_case cases[] = {
	{ 2, 5, 5, 16 }, { 3, 4, 3, 5 }, { 1, 1, 1, 7 }, { 2, 1, 1, 800 }, { 1, 33, 31, 24 },
	{ 2, 9, 9, 70 }, { 1, 3, 2, 3 },
};
enum { CASES = sizeof cases / sizeof *cases };

static struct layernorm_attr norm = { 1e-3 };
static struct lrn_attr lrns[] = {
	{ 5, 1e-4, 0.75, 1 }, { 9, 1e-2, 0.75, 1 }, { 3, 0.5, 0.5, 2 }, { 4, 0.3, 1.5, 0.25 },
	{ 1, 1, 0.75, 0.5 }, { 40, 0.1, 0.75, 1 },
};
enum { LRNS = sizeof lrns / sizeof *lrns };

enum { X, DY, Y, DX, GAIN, BIAS, DGAIN, DBIAS };

static void begin(struct small *s, const struct across_case *c, const char *what, int which)
{
	small_init(s, "%s %d, %dx%dx%dx%d", what, which, c->n, c->h, c->w, c->c);
	small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	small_value(s, SMALL_OUT, c->n, c->h, c->w, c->c);
	small_value(s, SMALL_OUT, c->n, c->h, c->w, c->c);
	small_fill(s, X, -2, 4);
}

static void make_norm(struct small *s, const struct across_case *c)
{
	begin(s, c, "layernorm", 0);
	small_vector(s, c->c);
	small_fill(s, GAIN, 0.5, 1.5);
	small_vector(s, c->c);
	small_gradient(s, GAIN);
	small_gradient(s, BIAS);
	small_step(s, PART_FORWARD, STEP_LAYERNORM, &norm, OF(X, GAIN, BIAS), OF(Y));
	small_step(s, PART_BACKWARD, STEP_LAYERNORM_DX, &norm, OF(DY, X, GAIN),
		   OF(DX, DGAIN, DBIAS));
}

static void make_lrn(struct small *s, const struct across_case *c, int which)
{
	begin(s, c, "lrn", which);
	small_step(s, PART_FORWARD, STEP_LRN, &lrns[which], OF(X), OF(Y));
	small_step(s, PART_BACKWARD, STEP_LRN_DX, &lrns[which], OF(DY, X), OF(DX));
}

static void ref_differences(void **state)
{
	static const struct across_case small[] = { { 2, 2, 2, 5 }, { 1, 1, 2, 9 } };
	int i, k, bad = 0;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct small s;

		make_norm(&s, &small[i]);
		bad += small_differences(&s, X, DX, Y, s.value[DY].given, 1.0 / 256, 1e-3);
		bad += small_differences(&s, GAIN, DGAIN, Y, s.value[DY].given, 0.25, 1e-4);
		bad += small_differences(&s, BIAS, DBIAS, Y, s.value[DY].given, 0.25, 1e-4);
		small_release(&s);
		for (k = 0; k < LRNS; k++) {
			make_lrn(&s, &small[i], k);
			bad += small_differences(&s, X, DX, Y, s.value[DY].given, 1.0 / 256, 1e-3);
			small_release(&s);
		}
	}
	assert_int_equal(bad, 0);
}

static void against(void **state)
{
	const char *backend = backend_of(state);
	static const struct small_tolerance most = { 4e-6, 0, 0 };
	int i, k, bad = 0;

	for (i = 0; i < CASES; i++) {
		struct small s;

		make_norm(&s, &cases[i]);
		bad += small_against_ref(&s, backend, most);
		small_release(&s);
		for (k = 0; k < LRNS; k++) {
			make_lrn(&s, &cases[i], k);
			bad += small_against_ref(&s, backend, most);
			small_release(&s);
		}
	}
	assert_int_equal(bad, 0);
}

/* After the input only gain and bias have gradients. */
static void no_dx(void **state)
{
	const char *backend = backend_of(state);
	static const struct small_tolerance most = { 4e-6, 0, 0 };
	const struct across_case c = { 2, 4, 4, 20 };
	struct small s;
	int bad;

	make_norm(&s, &c);
	s.steps--;
	small_step(&s, PART_BACKWARD, STEP_COPY, NULL, OF(DY), OF(DX));
	small_step(&s, PART_BACKWARD, STEP_LAYERNORM_DX, &norm, OF(DY, X, GAIN),
		   OF(-1, DGAIN, DBIAS));
	bad = small_against_ref(&s, backend, most);
	small_release(&s);
	assert_int_equal(bad, 0);
}

/* By hand: x 1 3 3 5, mean 3, variance 2; and a window of n channels. */
static void ref_known(void **state)
{
	static const struct lrn_attr odd = { 3, 1, 1, 1 }, even = { 2, 1, 1, 1 };
	const struct across_case c = { 1, 1, 1, 4 };
	struct small s;

	(void)state;
	norm.eps = 2;           /* deviation 2 */
	make_norm(&s, &c);
	memcpy(s.value[X].given, (float[]){ 1, 3, 3, 5 }, 4 * sizeof(float));
	memcpy(s.value[GAIN].given, (float[]){ 1, 1, 2, 2 }, 4 * sizeof(float));
	memcpy(s.value[BIAS].given, (float[]){ 0, 5, 1, 0 }, 4 * sizeof(float));
	run_ref(&s);
	assert_memory_equal(s.value[Y].got, ((float[]){ -1, 5, 1, 2 }), 4 * sizeof(float));
	small_release(&s);
	norm.eps = 1e-3;

	make_lrn(&s, &c, 0);
	memcpy(s.value[X].given, (float[]){ 1, 2, 1, 3 }, 4 * sizeof(float));
	s.step[0].attr = &odd;
	s.step[1].attr = &odd;
	run_ref(&s);
	assert_memory_equal(s.value[Y].got, ((float[]){ 1 / 6.f, 2 / 7.f, 1 / 15.f, 3 / 11.f }),
			    4 * sizeof(float));
	/* of an even number one more before than behind */
	s.step[0].attr = &even;
	run_ref(&s);
	assert_memory_equal(s.value[Y].got, ((float[]){ 1 / 2.f, 2 / 6.f, 1 / 6.f, 3 / 11.f }),
			    4 * sizeof(float));
	small_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ref_known),
		cmocka_unit_test(ref_differences),
		ON("ref", against),
		ON("ref", no_dx),
		ON("cpu", against),
		ON("cpu", no_dx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
