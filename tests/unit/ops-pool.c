/*
 * Pools: ref against finite differences and known numbers, other backends against ref.
 * A maximum is a copy: exact. An average of up to 306 numbers is off by a few roundings
 * of its largest.
 */
#include "on_backend.h"

#include "base/fail.h"

#include <math.h>
#include <string.h>

struct pool_case {
	int n, h, w, c, k[2], s[2], before[2], after[2];
	int over[2];            /* windows more than fit: they hang over the padding (ceil) */
};

static const struct pool_case cases[] = {
	{ 2, 8, 8, 16, { 2, 2 }, { 2, 2 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
	{ 2, 7, 7, 5, { 2, 2 }, { 2, 2 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
	{ 1, 9, 9, 24, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 0, 0 } },
	{ 2, 14, 13, 16, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 0, 0 } },
	{ 1, 6, 6, 33, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 } },
	/* rectangular; steps wider than the window */
	{ 1, 7, 9, 8, { 2, 3 }, { 1, 2 }, { 0, 1 }, { 1, 0 }, { 0, 0 } },
	{ 1, 9, 9, 4, { 2, 2 }, { 3, 3 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
	/* TensorFlow's same */
	{ 2, 8, 8, 16, { 3, 3 }, { 2, 2 }, { 0, 0 }, { 1, 1 }, { 0, 0 } },
	/* ceil: hanging over, without and with padding */
	{ 1, 8, 8, 16, { 3, 3 }, { 2, 2 }, { 0, 0 }, { 0, 0 }, { 1, 1 } },
	{ 2, 9, 10, 6, { 3, 2 }, { 3, 3 }, { 1, 0 }, { 1, 0 }, { 1, 1 } },
	/* the whole image */
	{ 3, 7, 7, 64, { 7, 7 }, { 7, 7 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
	{ 2, 5, 3, 10, { 5, 3 }, { 5, 3 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
	{ 2, 1, 1, 20, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
	/* more numbers than a byte can tell apart */
	{ 2, 18, 17, 19, { 18, 17 }, { 18, 17 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
	{ 1, 20, 20, 16, { 17, 17 }, { 3, 3 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
};

enum { CASES = sizeof cases / sizeof *cases };
enum kind { MAXIMUM, AVERAGE, AVERAGE_PAD, KINDS };
enum { X, DY, Y, DX, PLACE };

static struct pool_attr attr_of(const struct pool_case *c, enum kind kind)
{
	struct pool_attr a = { .count_pad = kind == AVERAGE_PAD, .in_h = c->h, .in_w = c->w };
	int k, in[2] = { c->h, c->w }, out[2];

	for (k = 0; k < 2; k++) {
		a.window.k[k] = c->k[k];
		a.window.s[k] = c->s[k];
		a.window.dilation[k] = 1;
		a.window.before[k] = c->before[k];
		a.window.after[k] = c->after[k];
		out[k] = (in[k] + c->before[k] + c->after[k] - c->k[k]) / c->s[k] + 1 + c->over[k];
	}
	a.out_h = out[0];
	a.out_w = out[1];
	return a;
}

static void case_make(struct small *s, const struct pool_case *c, const struct pool_attr *a,
		      enum kind kind)
{
	small_init(s, "pool kind %d, %dx%dx%dx%d, window %dx%d, stride %dx%d, "
		   "padding %d,%d..%d,%d, over %d,%d", (int)kind, c->n, c->h, c->w, c->c,
		   c->k[0], c->k[1], c->s[0], c->s[1], c->before[0], c->before[1],
		   c->after[0], c->after[1], c->over[0], c->over[1]);
	small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	small_value(s, SMALL_IN, c->n, a->out_h, a->out_w, c->c);
	small_value(s, SMALL_OUT, c->n, a->out_h, a->out_w, c->c);
	small_value(s, SMALL_OUT, c->n, c->h, c->w, c->c);
	if (kind == MAXIMUM) {
		small_place(s, c->n, a->out_h, a->out_w, c->c);
		if (c->k[0] * c->k[1] > 256)
			s->value[PLACE].lay.type = DTYPE_I32;
		small_step(s, PART_FORWARD, STEP_MAXPOOL, a, OF(X), OF(Y, PLACE));
		small_step(s, PART_BACKWARD, STEP_MAXPOOL_DX, a, OF(DY, PLACE), OF(DX));
	} else {
		small_step(s, PART_FORWARD, STEP_AVGPOOL, a, OF(X), OF(Y));
		small_step(s, PART_BACKWARD, STEP_AVGPOOL_DX, a, OF(DY), OF(DX));
	}
}

/* Whole numbers in another order, so that no step changes which is the largest. */
static void spread(struct small_value *x)
{
	size_t i;

	for (i = 0; i < x->numbers; i++)
		x->given[i] = (float)(i * 7919 % 10007);
}

static void ref_differences(void **state)
{
	int i, kind, bad = 0;

	(void)state;
	for (i = 0; i < CASES; i++)
		for (kind = 0; kind < KINDS; kind++) {
			struct pool_attr a = attr_of(&cases[i], kind);
			struct small s;

			case_make(&s, &cases[i], &a, kind);
			if (kind == MAXIMUM)
				spread(&s.value[X]);
			bad += small_differences(&s, X, DX, Y, s.value[DY].given, 0.25,
						 kind == MAXIMUM ? 1e-3 : 1e-4);
			small_release(&s);
		}
	assert_int_equal(bad, 0);
}

/* Equal numbers and NaN among them: which one wins shows in dx. */
static void ties(struct small_value *x, int nan)
{
	size_t i;

	for (i = 0; i < x->numbers; i++)
		x->given[i] = (float)((i * 7919 >> 3) % 3);
	if (nan)
		for (i = 0; i < x->numbers; i += 13)
			x->given[i] = NAN;
}

static void against(void **state)
{
	const char *backend = backend_of(state);
	static const struct small_tolerance most[KINDS] = { { 0, 0, 0.01 }, { 1e-6, 0, 0.01 },
								{ 1e-6, 0, 0.01 } };
	static const struct small_tolerance sums = { 1e-6, 0, 0.01 };
	int i, kind, tied, bad = 0;

	for (i = 0; i < CASES; i++)
		for (kind = 0; kind < KINDS; kind++)
			for (tied = 0; tied < (kind == MAXIMUM ? 3 : 1); tied++) {
				struct pool_attr a = attr_of(&cases[i], kind);
				struct small s;

				case_make(&s, &cases[i], &a, kind);
				if (tied)
					ties(&s.value[X], tied - 1);
				/* dx of overlapping windows is a sum in some order */
				bad += small_against_ref(&s, backend,
					kind == MAXIMUM && cases[i].k[0] > cases[i].s[0] ? sums :
					most[kind]);
				small_release(&s);
			}
	assert_int_equal(bad, 0);
}

/* Evaluation: a maximum without places. */
static void without_places(void **state)
{
	const char *backend = backend_of(state);
	static const struct small_tolerance exact = { 0, 0, 0.001 };
	int i, bad = 0;

	for (i = 0; i < CASES; i++) {
		struct pool_attr a = attr_of(&cases[i], MAXIMUM);
		const struct pool_case *c = &cases[i];
		struct small s;

		small_init(&s, "maximum alone, case %d", i);
		small_value(&s, SMALL_IN, c->n, c->h, c->w, c->c);
		small_value(&s, SMALL_OUT, c->n, a.out_h, a.out_w, c->c);
		small_step(&s, PART_FORWARD, STEP_MAXPOOL, &a, OF(0), OF(1, -1));
		bad += small_against_ref(&s, backend, exact);
		small_release(&s);
	}
	assert_int_equal(bad, 0);
}

/* One row, worked out by hand: how windows at the edges count (PyTorch's rules). */
static void ref_known(void **state)
{
	static const struct {
		enum kind kind;
		struct pool_case c;
		float x[6], y[4], dx[6];        /* dy: 1, 2, 3, 4 */
	} known[] = {
		{ MAXIMUM, { 1, 1, 5, 1, { 1, 3 }, { 1, 2 }, { 0, 1 }, { 0, 1 }, { 0, 0 } },
		  { 1, 5, 5, -1, 2 }, { 5, 5, 2 }, { 0, 3, 0, 0, 3 } },
		{ AVERAGE, { 1, 1, 5, 1, { 1, 3 }, { 1, 2 }, { 0, 1 }, { 0, 1 }, { 0, 0 } },
		  { 1, 5, 6, -2, 2 }, { 3, 3, 0 },
		  { 0.5, 0.5f + 2 / 3.f, 2 / 3.f, 2 / 3.f + 1.5f, 1.5 } },
		{ AVERAGE_PAD, { 1, 1, 5, 1, { 1, 3 }, { 1, 2 }, { 0, 1 }, { 0, 1 }, { 0, 0 } },
		  { 1, 5, 6, -2, 2 }, { 2, 3, 0 }, { 1 / 3.f, 1, 2 / 3.f, 5 / 3.f, 1 } },
		/* ceil: the last window has two numbers of three; hanging over never counts */
		{ AVERAGE, { 1, 1, 4, 1, { 1, 3 }, { 1, 2 }, { 0, 0 }, { 0, 0 }, { 0, 1 } },
		  { 1, 2, 6, 4 }, { 3, 5 }, { 1 / 3.f, 1 / 3.f, 1 / 3.f + 1, 1 } },
		{ AVERAGE_PAD, { 1, 1, 4, 1, { 1, 3 }, { 1, 2 }, { 0, 0 }, { 0, 0 }, { 0, 1 } },
		  { 1, 2, 6, 4 }, { 3, 5 }, { 1 / 3.f, 1 / 3.f, 1 / 3.f + 1, 1 } },
		/* padding counts, what hangs over it does not: (10 + padding) / 2 */
		{ AVERAGE_PAD, { 1, 1, 6, 1, { 1, 4 }, { 1, 3 }, { 0, 1 }, { 0, 1 }, { 0, 1 } },
		  { 1, 2, 6, 8, 4, 10 }, { 2.25, 7, 5 }, { 0.25, 0.25, 0.75, 0.5, 0.5, 2 } },
	};
	struct small_setup setup = { "ref", SMALL_NCHW, "all", 0, 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof known / sizeof *known; i++) {
		struct pool_attr a = attr_of(&known[i].c, known[i].kind);
		struct small s;
		struct bound *b;

		case_make(&s, &known[i].c, &a, known[i].kind);
		memcpy(s.value[X].given, known[i].x, s.value[X].numbers * sizeof(float));
		for (k = 0; k < s.value[DY].numbers; k++)
			s.value[DY].given[k] = (float)(k + 1);
		b = small_bind(&s, &setup);
		assert_non_null(b);
		assert_int_equal(bound_run(b), 0);
		for (k = 0; k < s.value[Y].numbers; k++)
			assert_float_equal(s.value[Y].got[k], known[i].y[k], 1e-6);
		for (k = 0; k < s.value[X].numbers; k++)
			assert_float_equal(s.value[DX].got[k], known[i].dx[k], 1e-6);
		bound_free(b);
		small_release(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ref_known),
		cmocka_unit_test(ref_differences),
		ON("ref", against),
		ON("ref", without_places),
		ON("cpu", against),
		ON("cpu", without_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
