/*
 * Steps on one number at a time, and those that move numbers. Their results are one
 * or two roundings away from ref's, or the same.
 */
#include "on_backend.h"

#include "base/fail.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

static const struct small_tolerance exact = { 0, 0, 0.01 };
static const struct small_tolerance rounded = { 3e-7, 3e-7, 0.01 };
static const struct small_tolerance curved = { 1e-6, 1e-6, 0.01 };

struct shape_case { int n, h, w, c; };

static const struct shape_case cases[] = {
	{ 2, 5, 5, 16 }, { 3, 4, 3, 5 }, { 1, 1, 1, 1 }, { 2, 1, 1, 1000 }, { 1, 33, 31, 24 },
	{ 4, 8, 8, 32 },
};

enum { CASES = sizeof cases / sizeof *cases };

/* A program for a case; which: of what the function knows. 0: no more. */
typedef int make(struct small *, const struct shape_case *, int which);

/* One that the backend does not take is skipped only if it may be left out. */
static int each(const char *backend, make *f, struct small_tolerance most, int optional)
{
	struct small_setup setup = { backend, SMALL_NHWC, NULL, 0, 0 };
	int i, which, bad = 0;

	for (i = 0; i < CASES; i++)
		for (which = 0; ; which++) {
			struct small s;
			struct bound *b;
			int more = f(&s, &cases[i], which);

			if (!more)
				break;
			b = optional ? small_bind(&s, &setup) : NULL;
			if (!optional || b)
				bad += small_against_ref(&s, backend, most);
			else if (!i)
				print_message("%s: left out: %s\n", s.name, fail_why());
			bound_free(b);
			small_release(&s);
		}
	return bad;
}

static struct act_attr acts[] = {
	{ OP_RELU }, { OP_RELU6 }, { OP_SIGMOID }, { OP_TANH }, { OP_HARDSIGMOID },
	{ OP_SWISH }, { OP_GELU }, { OP_HARDSWISH },
};

static int begin(struct small *s, const struct shape_case *c, const char *what, int which)
{
	small_init(s, "%s %d, %dx%dx%dx%d", what, which, c->n, c->h, c->w, c->c);
	return small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
}

static int out(struct small *s, const struct shape_case *c)
{
	return small_value(s, SMALL_OUT, c->n, c->h, c->w, c->c);
}

/* y = act(x), dx from dy and y or x. NaN goes through. */
static int make_acts(struct small *s, const struct shape_case *c, int which, int from, int to)
{
	struct act_attr *a = &acts[from + which < to ? from + which : from];
	int x, dy, y;

	if (from + which >= to)
		return 0;
	x = begin(s, c, "act", from + which);
	dy = small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	y = out(s, c);
	small_fill(s, x, -4, 8);
	s->value[x].given[0] = NAN;
	small_step(s, PART_FORWARD, STEP_ACT, a, OF(x), OF(y));
	small_step(s, PART_BACKWARD, STEP_ACT_DX, a, OF(dy, act_dx_reads_x(a->act) ? x : y),
		   OF(out(s, c)));
	return 1;
}

static int make_relu(struct small *s, const struct shape_case *c, int which)
{
	return make_acts(s, c, which, 0, 2);
}

static int make_curved(struct small *s, const struct shape_case *c, int which)
{
	return make_acts(s, c, which, 2, 8);
}

/* Sums of 2 .. 8, with and without an activation behind. */
static int make_add(struct small *s, const struct shape_case *c, int which)
{
	int in[STEP_IN + 1], k, n = which / 2 + 2, z;

	if (n > STEP_IN)
		return 0;
	in[0] = begin(s, c, "add", which);
	for (k = 1; k < n; k++)
		in[k] = small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	in[n] = SMALL_END;
	z = which % 2 ? small_value(s, SMALL_MID, c->n, c->h, c->w, c->c) : out(s, c);
	small_step(s, PART_FORWARD, STEP_ADD, NULL, in, OF(z));
	if (which % 2)
		small_step(s, PART_FORWARD, STEP_ACT, &acts[0], OF(z), OF(out(s, c)));
	return 1;
}

/* x g, its gradients; g whole, one pixel, or a master. */
static int make_mul(struct small *s, const struct shape_case *c, int which)
{
	int x, g, dy, sum, wide = which;

	if (which > 2)
		return 0;
	x = begin(s, c, "mul", which);
	g = which == 2 ? small_vector(s, c->c) :
	    wide ? small_value(s, SMALL_IN, c->n, 1, 1, c->c)
		 : small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	dy = small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	small_step(s, PART_FORWARD, STEP_MUL, NULL, OF(x, g), OF(out(s, c)));
	small_step(s, PART_BACKWARD, STEP_MUL, NULL, OF(dy, g), OF(out(s, c)));
	if (wide) {
		sum = small_value(s, SMALL_OUT, c->n, 1, 1, c->c);
		small_step(s, PART_BACKWARD, STEP_MUL_SUM, NULL, OF(dy, x), OF(sum));
		if (which == 2)
			small_step(s, PART_BACKWARD, STEP_CHANNEL_SUM, NULL, OF(sum),
				   OF(small_gradient(s, g)));
	} else
		small_step(s, PART_BACKWARD, STEP_MUL, NULL, OF(dy, x), OF(out(s, c)));
	return 1;
}

/* Pieces that fall on blocks and that do not, and the slices that undo it. */
static int make_cat(struct small *s, const struct shape_case *c, int which)
{
	static const int pieces[][STEP_IN + 1] = {
		{ 16, 16 }, { 16, 32, 48 }, { 5, 7, 3 }, { 1, 16 }, { 8, 8, 24 },
		{ 1, 2, 3, 4, 5, 6, 7, 8 },
	};
	static struct slice_attr slice[STEP_IN];
	int in[STEP_IN + 1], k, y, from = 0;

	if (which >= 6)
		return 0;
	small_init(s, "cat %d, %dx%dx%d", which, c->n, c->h, c->w);
	for (k = 0; pieces[which][k]; k++)
		in[k] = small_value(s, SMALL_IN, c->n, c->h, c->w, pieces[which][k]);
	in[k] = SMALL_END;
	for (k = 0; pieces[which][k]; k++) {
		slice[k] = (struct slice_attr){ from, from + pieces[which][k] };
		from = slice[k].to;
	}
	y = small_value(s, SMALL_OUT, c->n, c->h, c->w, from);
	small_step(s, PART_FORWARD, STEP_CAT, NULL, in, OF(y));
	for (k = 0; pieces[which][k]; k++)
		small_step(s, PART_FORWARD, STEP_SLICE, &slice[k], OF(y),
			   OF(small_value(s, SMALL_OUT, c->n, c->h, c->w, pieces[which][k])));
	return 1;
}

/* Padding and cropping on all sides, channels in blocks and not, and back. */
static int make_pad(struct small *s, const struct shape_case *c, int which)
{
	static const struct { int top, bottom, left, right, front, back; } sides[] = {
		{ 1, 2, 0, 3, 0, 0 }, { 0, 0, 0, 0, 16, 16 }, { 0, 0, 0, 0, 3, 2 },
		{ 2, -1, -1, 2, 5, 0 }, { -1, 1, -1, 1, 0, 0 }, { 0, 0, 0, 0, -1, 16 },
		{ 0, 1, 0, 1, 16, -1 },
	};
	static struct pad_attr there, back;
	int x, y, h, w, channels;

	if (which >= (int)(sizeof sides / sizeof *sides))
		return 0;
	h = c->h + sides[which].top + sides[which].bottom;
	w = c->w + sides[which].left + sides[which].right;
	channels = c->c + sides[which].front + sides[which].back;
	there = (struct pad_attr){ sides[which].top, sides[which].left, sides[which].front };
	back = (struct pad_attr){ -there.top, -there.left, -there.front };
	x = begin(s, c, "pad", which);
	y = small_value(s, SMALL_OUT, c->n, h, w, channels);
	small_step(s, PART_FORWARD, STEP_PAD, &there, OF(x), OF(y));
	small_step(s, PART_BACKWARD, STEP_PAD, &back, OF(y), OF(out(s, c)));
	return 1;
}

static int make_shuffle(struct small *s, const struct shape_case *c, int which)
{
	static struct shuffle_attr there, back;
	int x, y;

	there.groups = (const int[]){ 1, 2, 5, 8 }[which % 4];
	if (which >= 4)
		return 0;
	if (c->c % there.groups)
		there.groups = c->c;
	back.groups = c->c / there.groups;
	x = begin(s, c, "shuffle", which);
	y = out(s, c);
	small_step(s, PART_FORWARD, STEP_SHUFFLE, &there, OF(x), OF(y));
	small_step(s, PART_BACKWARD, STEP_SHUFFLE, &back, OF(y), OF(out(s, c)));
	return 1;
}

/* From the run's layout to each. */
static int make_copy(struct small *s, const struct shape_case *c, int which)
{
	const struct layout to[] = {
		{ c->c, c->c, DTYPE_F32 }, { pad_to(c->c, 16), pad_to(c->c, 16), DTYPE_F32 },
		{ 1, c->c, DTYPE_F32 }, { 8, pad_to(c->c, 8), DTYPE_F32 },
		{ 16, pad_to(c->c, 16), DTYPE_F32 },
		{ pad_to(c->c, 8), pad_to(c->c, 8), DTYPE_F32 },
	};
	int x, y;

	if (which >= (int)(sizeof to / sizeof *to))
		return 0;
	x = begin(s, c, "copy", which);
	y = out(s, c);
	s->value[y].lay = to[which];
	small_step(s, PART_FORWARD, STEP_COPY, NULL, OF(x), OF(y));
	return 1;
}

static int make_short_copy(struct small *s, const struct shape_case *c, int which)
{
	int x, y, z;

	if (which > 1)
		return 0;
	x = begin(s, c, "short copy", which);
	y = small_value(s, SMALL_MID, c->n, c->h, c->w, c->c);
	s->value[y].lay = (struct layout){ 16, pad_to(c->c, 16), which ? DTYPE_BF16 : DTYPE_F16 };
	z = out(s, c);
	s->value[z].lay = layout_bare(c->c, DTYPE_F32);
	small_step(s, PART_FORWARD, STEP_COPY, NULL, OF(x), OF(y));
	small_step(s, PART_FORWARD, STEP_COPY, NULL, OF(y), OF(z));
	return 1;
}

/* Pixels of 1, 3 and 4 channels. */
static int make_input(struct small *s, const struct shape_case *c, int which)
{
	static const struct input_attr normalise = {
		{ 123.675f, 116.28f, 103.53f, 7 }, { 58.395f, 57.12f, 57.375f, 0.5f }
	};
	int x, channels = (const int[]){ 1, 3, 4, 0 }[which];
	size_t i;

	if (!channels)
		return 0;
	small_init(s, "input %dx%dx%dx%d", c->n, c->h, c->w, channels);
	x = small_host(s, DTYPE_U8, c->n, c->h, c->w, channels);
	for (i = 0; i < s->value[x].numbers; i++)
		((uint8_t *)s->value[x].given)[i] = (uint8_t)(i * 37 + i / 256);
	small_step(s, PART_FORWARD, STEP_INPUT, &normalise, OF(x),
		   OF(small_value(s, SMALL_OUT, c->n, c->h, c->w, channels)));
	return 1;
}

/* Forward and backward take the same draws. */
static int make_dropout(struct small *s, const struct shape_case *c, int which)
{
	static struct dropout_attr drop;
	int x, dy;

	if (which > 4)
		return 0;
	/* numbers; whole samples; those of a ramp, a quarter of the way */
	drop = (struct dropout_attr){ (const double[]){ 0.5, 0.2, 0.9, 0.5, 0.8 }[which],
				      "head.dropout", c->c, c->h, c->w, which > 2,
				      which > 3 ? 1000 : 0 };
	x = begin(s, c, "dropout", which);
	s->control.step = 250;
	dy = small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	s->control.seed = 77;
	s->control.position = 12345678901;
	s->control.stride = 2;
	small_step(s, PART_FORWARD, STEP_DROPOUT, &drop, OF(x), OF(out(s, c)));
	small_step(s, PART_BACKWARD, STEP_DROPOUT, &drop, OF(dy), OF(out(s, c)));
	return 1;
}

static void against(void **state)
{
	const char *backend = backend_of(state);
	int bad = 0;

	bad += each(backend, make_relu, exact, 0);
	bad += each(backend, make_curved, curved, 0);
	bad += each(backend, make_add, exact, 0);
	bad += each(backend, make_mul, rounded, 0);
	bad += each(backend, make_cat, exact, 0);
	bad += each(backend, make_pad, exact, 0);
	bad += each(backend, make_shuffle, exact, 0);
	bad += each(backend, make_copy, exact, 0);
	bad += each(backend, make_input, rounded, 0);
	bad += each(backend, make_dropout, exact, 0);
	bad += each(backend, make_short_copy, exact, 1);
	assert_int_equal(bad, 0);
}

/* Against the draws one by one, in C, H, W order. */
static void ref_dropout(void **state)
{
	const struct shape_case c = { 2, 3, 2, 5 };
	struct small s;
	int n, h, w, k, kept = 0;

	(void)state;
	make_dropout(&s, &c, 1);
	run_ref(&s);
	for (n = 0; n < 2; n++) {
		struct rng rng;

		rng_init(&rng, 77, 12345678901 + 2 * (uint64_t)n, "head.dropout");
		for (k = 0; k < 5; k++)
			for (h = 0; h < 3; h++)
				for (w = 0; w < 2; w++) {
					int i = ((n * 3 + h) * 2 + w) * 5 + k;
					int keep = rng_u32(&rng) >= 0.2 * 0x1p32;
					float x = s.value[0].given[i];

					assert_true(s.value[2].got[i] == (keep ? x * 1.25f : 0));
					kept += keep;
				}
	}
	assert_in_range(kept, 36, 59);
	small_release(&s);
}

static void ref_known(void **state)
{
	static const struct { enum op_id act; double x, y; } known[] = {
		{ OP_RELU, -2, 0 }, { OP_RELU, 3, 3 }, { OP_RELU6, 7, 6 }, { OP_RELU6, -1, 0 },
		{ OP_SIGMOID, 0, 0.5 }, { OP_SIGMOID, 2, 0.880797077977882 },
		{ OP_TANH, 1, 0.761594155955765 }, { OP_SWISH, 2, 1.76159415595576 },
		{ OP_GELU, 1, 0.841344746068543 }, { OP_GELU, -1, -0.158655253931457 },
		{ OP_HARDSWISH, 1, 0.666666666666667 }, { OP_HARDSWISH, -4, 0 },
		{ OP_HARDSIGMOID, 1, 0.666666666666667 }, { OP_HARDSIGMOID, 4, 1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof known / sizeof *known; i++) {
		struct act_attr act = { known[i].act };
		struct small s;
		int x, y;

		small_init(&s, "known");
		x = small_value(&s, SMALL_IN, 1, 1, 1, 1);
		y = small_value(&s, SMALL_OUT, 1, 1, 1, 1);
		s.value[x].given[0] = (float)known[i].x;
		small_step(&s, PART_FORWARD, STEP_ACT, &act, OF(x), OF(y));
		run_ref(&s);
		assert_true(s.value[y].got[0] == (float)known[i].y);
		small_release(&s);
	}
}

/* Slopes, away from the corners at 0 and 6. */
static void ref_differences(void **state)
{
	const struct shape_case c = { 2, 2, 3, 4 };
	struct small s;
	int which, bad = 0;
	size_t i;

	(void)state;
	for (which = 0; which < 8; which++) {
		make_acts(&s, &c, which, 0, 8);
		for (i = 0; i < s.value[0].numbers; i++)
			s.value[0].given[i] = (float)i / 3 - 2.5f;
		bad += small_differences(&s, 0, 3, 2, s.value[1].given, 1.0 / 256, 1e-4);
		small_release(&s);
	}
	for (which = 0; which < 3; which++) {
		make_mul(&s, &c, which);
		bad += small_differences(&s, 0, 4, 3, s.value[2].given, 0.5, 1e-5);
		bad += small_differences(&s, 1, which == 2 ? 6 : 5, 3, s.value[2].given, 0.5,
					 1e-5);
		small_release(&s);
	}
	assert_int_equal(bad, 0);
}

static double truth(enum op_id act, double x)
{
	switch (act) {
	case OP_SIGMOID:
		return 1 / (1 + exp(-x));
	case OP_TANH:
		return tanh(x);
	case OP_SWISH:
		return x / (1 + exp(-x));
	default:
		return x * 0.5 * erfc(-x * sqrt(0.5));
	}
}

/* The activations of the kernels beside libm's in double, at 200,000 numbers from -30 to
 * 30 and as many within 1e-3 of 0: the error as a share of the truth, or for gelu, whose
 * tail is a difference, of x. A unit of the last place is 0.6e-7 to 1.2e-7. */
static void cpu_curves(void **state)
{
	static const struct { enum op_id act; double most; } curve[] = {
		{ OP_SIGMOID, 4e-7 }, { OP_TANH, 3e-7 }, { OP_SWISH, 4e-7 }, { OP_GELU, 3e-7 },
	};
	struct small_setup setup = { "cpu", SMALL_BLOCK16, NULL, 0, 0 };
	size_t i, k, n = 400000;

	(void)state;
	backend_needed("cpu");
	if (small_brief("cpu"))
		return;         /* its results are rounded */
	for (k = 0; k < sizeof curve / sizeof *curve; k++) {
		struct act_attr act = { curve[k].act };
		double worst = 0, at = 0;
		struct bound *b;
		struct small s;
		int x, y;

		small_init(&s, "curve %d", (int)act.act);
		x = small_value(&s, SMALL_IN, 1, 1, (int)n / 16, 16);
		y = small_value(&s, SMALL_OUT, 1, 1, (int)n / 16, 16);
		for (i = 0; i < n; i++)
			s.value[x].given[i] = (float)(((double)(i / 2) / 1e5 - 1) *
						      (i % 2 ? 1e-3 : 30));
		small_step(&s, PART_FORWARD, STEP_ACT, &act, OF(x), OF(y));
		b = small_bind(&s, &setup);
		assert_non_null(b);
		assert_int_equal(bound_run(b), 0);
		for (i = 0; i < n; i++) {
			double v = s.value[x].given[i], want = truth(act.act, v);
			double whole = act.act == OP_GELU ? fabs(v) : fabs(want);
			double error = fabs(s.value[y].got[i] - want) / fmax(whole, 1e-30);

			at = error > worst ? v : at;
			worst = fmax(worst, error);
		}
		if (!(worst <= curve[k].most))
			print_error("%s: %.2g at %g\n", s.name, worst, at);
		assert_true(worst <= curve[k].most);
		bound_free(b);
		small_release(&s);
	}
}

/* What ref cannot do it says when the program is made. */
static void ref_refuses(void **state)
{
	struct small_setup setup = { "ref", SMALL_NHWC, NULL, 0, 0 };
	struct act_attr act = { OP_GELU };
	struct small s;
	int x, y;

	(void)state;
	small_init(&s, "refused");
	x = small_value(&s, SMALL_IN, 1, 1, 1, 4);
	y = small_value(&s, SMALL_OUT, 1, 1, 1, 4);
	s.value[y].lay = (struct layout){ 4, 4, DTYPE_BF16 };
	small_step(&s, PART_FORWARD, STEP_ACT, &act, OF(x), OF(y));
	assert_null(small_bind(&s, &setup));
	assert_string_equal(fail_why(), "ref: act: computes in fp32 only, not in bf16");
	small_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ref_known),
		cmocka_unit_test(ref_dropout),
		cmocka_unit_test(ref_differences),
		ON("ref", against),
		cmocka_unit_test(ref_refuses),
		ON("cpu", against),
		cmocka_unit_test(cpu_curves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
