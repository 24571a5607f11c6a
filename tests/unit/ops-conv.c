/*
 * Convolutions and linear layers: y, dx, dw, db. ref against finite differences, other
 * backends against ref in every layout.
 *
 * Tolerances, as shares of the largest number: a sum of k products in fp32 is off by
 * about sqrt(k) 6e-8 of the sum of their sizes; the longest sums here have 4,000
 * terms. Winograd F(4x4, 3x3) amplifies that by up to about 100 in forward and dx
 * (Lavin, Gray 2016).
 */
#include "on_backend.h"

#include "net/bracket.h"

#include "base/fail.h"

#include <string.h>

struct conv_case {
	int n, h, w, ic, oc, groups, k[2], s[2], d[2], before[2], after[2];
};

static const struct conv_case cases[] = {
	/* plain 3x3, channels that 16 divides and not, odd sizes */
	{ 2, 8, 8, 16, 16, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 1, 9, 7, 16, 32, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 3, 5, 6, 5, 7, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 1, 13, 13, 32, 24, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 2, 6, 6, 20, 40, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 2, 14, 14, 64, 64, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	/* enough tiles for Winograd: edges of all kinds, padding of more than one, several
	 * runs and shares of tiles, a panel of vectors that is not full */
	{ 3, 18, 14, 20, 40, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 4, 11, 9, 33, 17, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 2, 0 }, { 0, 3 } },
	{ 9, 20, 17, 18, 84, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	/* few tiles and many filters: a panel and channels that are not full */
	{ 9, 7, 6, 171, 200, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	/* tiles at the edge with 1, 2 and 3 outputs, down, across and both, whole ones beside
	 * them or not; runs of many kinds of tiles, shares of them */
	{ 9, 13, 11, 18, 20, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 12, 7, 14, 24, 17, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 11, 10, 9, 17, 33, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 16, 6, 12, 20, 18, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 0 }, { 1, 2 } },
	{ 17, 8, 5, 17, 19, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 33, 3, 3, 20, 20, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 20, 1, 7, 18, 24, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 20, 6, 1, 24, 18, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 35, 1, 1, 18, 18, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 40, 2, 2, 18, 18, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 2, 1 }, { 2, 1 } },
	/* channels of a piece that are no multiple of a layout's block */
	{ 6, 9, 8, 136, 20, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	/* several groups of few tiles */
	{ 130, 5, 2, 170, 175, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	/* longer runs, for gradients of many channels' weights */
	{ 6, 13, 12, 18, 520, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	/* Winograd's with stride 2: whole tiles, and with 1, 2 and 3 outputs on an axis; sizes
	 * odd and even, padding before, after, both and none */
	{ 5, 16, 16, 20, 40, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 9, 23, 18, 18, 24, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 12, 14, 12, 33, 17, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 9, 21, 13, 20, 18, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 9, 22, 12, 17, 36, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 1, 1 } },
	{ 17, 9, 15, 19, 20, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 1 }, { 1, 0 } },
	{ 35, 3, 3, 18, 18, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 40, 1, 2, 24, 18, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 33, 5, 6, 20, 20, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 2, 2 }, { 2, 2 } },
	{ 8, 14, 14, 136, 150, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	/* of few tiles and many filters */
	{ 9, 14, 11, 171, 200, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 9, 13, 14, 200, 171, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 1 } },
	/* the first of a network: few channels, large window */
	{ 2, 17, 17, 3, 16, 1, { 7, 7 }, { 2, 2 }, { 1, 1 }, { 3, 3 }, { 3, 3 } },
	{ 1, 12, 12, 1, 8, 1, { 5, 5 }, { 1, 1 }, { 1, 1 }, { 2, 2 }, { 2, 2 } },
	{ 2, 10, 10, 3, 64, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	/* strides */
	{ 2, 8, 8, 16, 32, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 1, 9, 9, 6, 10, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 1, 11, 8, 8, 8, 1, { 3, 3 }, { 3, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	/* TensorFlow's same: more padding after than before */
	{ 2, 8, 8, 16, 16, 1, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 1, 1 } },
	{ 1, 7, 10, 4, 6, 1, { 4, 2 }, { 1, 1 }, { 1, 1 }, { 1, 0 }, { 2, 1 } },
	/* 1x1, with and without stride */
	{ 2, 7, 7, 32, 64, 1, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 2, 7, 7, 9, 5, 1, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 2, 8, 7, 16, 48, 1, { 1, 1 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 3, 1, 1, 24, 6, 1, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	/* rectangular */
	{ 1, 9, 9, 16, 16, 1, { 1, 7 }, { 1, 1 }, { 1, 1 }, { 0, 3 }, { 0, 3 } },
	{ 1, 9, 6, 8, 12, 1, { 7, 1 }, { 1, 1 }, { 1, 1 }, { 3, 0 }, { 3, 0 } },
	/* dilated */
	{ 1, 11, 11, 16, 16, 1, { 3, 3 }, { 1, 1 }, { 2, 2 }, { 2, 2 }, { 2, 2 } },
	{ 1, 12, 9, 5, 4, 1, { 3, 2 }, { 2, 1 }, { 2, 3 }, { 1, 2 }, { 2, 1 } },
	/* groups, depthwise, a multiplier */
	{ 2, 6, 6, 32, 32, 2, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 1, 6, 6, 12, 24, 4, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 2, 8, 8, 32, 32, 32, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 2, 9, 9, 10, 10, 10, { 5, 5 }, { 2, 2 }, { 1, 1 }, { 2, 2 }, { 2, 2 } },
	/* depthwise: tiles that are full, half and shifted back; windows of 7x7 and 2x4, with
	 * and without strides and dilation; edges with more padding than window, with none */
	{ 2, 9, 33, 20, 20, 20, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 1, 18, 40, 33, 33, 33, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 1, 1 } },
	{ 2, 13, 20, 16, 16, 16, { 5, 5 }, { 1, 1 }, { 1, 1 }, { 2, 2 }, { 2, 2 } },
	{ 1, 31, 29, 48, 48, 48, { 5, 5 }, { 2, 2 }, { 1, 1 }, { 1, 2 }, { 2, 2 } },
	{ 1, 14, 14, 24, 24, 24, { 7, 7 }, { 1, 1 }, { 1, 1 }, { 3, 3 }, { 3, 3 } },
	{ 2, 15, 12, 8, 8, 8, { 7, 7 }, { 2, 2 }, { 1, 1 }, { 3, 3 }, { 3, 3 } },
	{ 1, 11, 19, 12, 12, 12, { 3, 3 }, { 1, 1 }, { 2, 3 }, { 2, 3 }, { 2, 3 } },
	{ 1, 12, 17, 16, 16, 16, { 2, 4 }, { 3, 1 }, { 1, 1 }, { 0, 3 }, { 1, 3 } },
	{ 1, 10, 21, 16, 16, 16, { 3, 5 }, { 1, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 1, 3, 2, 16, 16, 16, { 5, 5 }, { 1, 1 }, { 1, 1 }, { 2, 2 }, { 2, 2 } },
	{ 1, 5, 5, 6, 12, 6, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 1, 7, 7, 64, 64, 8, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	/* linear, over 1x1 and over an image */
	{ 3, 1, 1, 64, 10, 1, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 2, 1, 1, 100, 1000, 1, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 2, 7, 7, 24, 10, 1, { 7, 7 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	{ 3, 4, 5, 7, 6, 1, { 4, 5 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 } },
	/* one pixel, all around padding */
	{ 1, 1, 1, 8, 8, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
	{ 2, 2, 2, 16, 16, 1, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
};

enum { CASES = sizeof cases / sizeof *cases };

/* Indices of values, the same for every case. */
enum { X, W, BIAS, DY, Y, DX, DW, DB };

static struct conv_attr attr_of(const struct conv_case *c)
{
	struct conv_attr a = { .groups = c->groups, .in_h = c->h, .in_w = c->w, .in_c = c->ic,
			       .out_c = c->oc };
	int out[2], in[2] = { c->h, c->w }, k;

	for (k = 0; k < 2; k++) {
		a.window.k[k] = c->k[k];
		a.window.s[k] = c->s[k];
		a.window.dilation[k] = c->d[k];
		a.window.before[k] = c->before[k];
		a.window.after[k] = c->after[k];
		out[k] = (in[k] + c->before[k] + c->after[k] - (c->k[k] - 1) * c->d[k] - 1) /
			 c->s[k] + 1;
	}
	a.out_h = out[0];
	a.out_w = out[1];
	return a;
}

static void case_make(struct small *s, const struct conv_case *c, const struct conv_attr *a,
		      int bias)
{
	small_init(s, "conv %dx%dx%dx%d to %d, %d groups, window %dx%d, stride %dx%d, "
		   "dilation %dx%d, padding %d,%d..%d,%d", c->n, c->h, c->w, c->ic, c->oc,
		   c->groups, c->k[0], c->k[1], c->s[0], c->s[1], c->d[0], c->d[1],
		   c->before[0], c->before[1], c->after[0], c->after[1]);
	small_value(s, SMALL_IN, c->n, c->h, c->w, c->ic);
	small_master(s, c->oc, c->ic / c->groups, c->k[0], c->k[1]);
	small_vector(s, c->oc);
	small_value(s, SMALL_IN, c->n, a->out_h, a->out_w, c->oc);
	small_value(s, SMALL_OUT, c->n, a->out_h, a->out_w, c->oc);
	small_value(s, SMALL_OUT, c->n, c->h, c->w, c->ic);
	small_gradient(s, W);
	small_gradient(s, BIAS);
	small_step(s, PART_FORWARD, STEP_CONV, a, OF(X, W, bias ? BIAS : -1), OF(Y));
	small_step(s, PART_BACKWARD, STEP_CHANNEL_SUM, NULL, OF(DY), OF(DB));
	small_step(s, PART_BACKWARD, STEP_CONV_DW, a, OF(X, DY), OF(DW));
	small_step(s, PART_BACKWARD, STEP_CONV_DX, a, OF(DY, W), OF(DX));
}

/* All of these are linear, so that a wide step loses least. */
static void ref_differences(void **state)
{
	int i, bad = 0;

	(void)state;
	for (i = 0; i < CASES; i++) {
		struct conv_attr a = attr_of(&cases[i]);
		struct small s;

		if ((int64_t)cases[i].ic * cases[i].oc * a.out_h * a.out_w > 8000)
			continue;
		case_make(&s, &cases[i], &a, 1);
		bad += small_differences(&s, X, DX, Y, s.value[DY].given, 1, 1e-5);
		bad += small_differences(&s, W, DW, Y, s.value[DY].given, 1, 1e-5);
		bad += small_differences(&s, BIAS, DB, Y, s.value[DY].given, 1, 1e-5);
		small_release(&s);
	}
	assert_int_equal(bad, 0);
}

static void against(void **state)
{
	const char *backend = backend_of(state);
	struct small_tolerance most = { 1e-5, 1e-4, 0.005 };
	int i, bias, bad = 0;

	for (i = 0; i < CASES; i++)
		for (bias = 0; bias < 2; bias++) {
			struct conv_attr a = attr_of(&cases[i]);
			struct small s;

			if (i % 2 == bias && !strcmp(backend, "ref"))
				continue;       /* it is slow */
			case_make(&s, &cases[i], &a, bias);
			bad += small_against_ref(&s, backend, most);
			small_release(&s);
		}
	assert_int_equal(bad, 0);
}

/* ---- what stands behind a convolution in evaluation ---- */

static const struct act_attr acts[] = {
	{ OP_RELU }, { OP_RELU6 }, { OP_SWISH }, { OP_HARDSWISH }, { OP_TANH }, { OP_GELU },
	{ OP_SIGMOID },         /* which makes no 0 of padding's */
};
enum { ACTS = sizeof acts / sizeof *acts };

/* act(conv), conv + z, z + conv, act(conv + z) */
enum tail { TAIL_ACT, TAIL_ADD, TAIL_ADD_FIRST, TAIL_ADD_ACT, TAILS };

static void tail_make(struct small *s, const struct conv_case *c, const struct conv_attr *a,
		      enum tail tail, int bias, const struct act_attr *act)
{
	int x, w, b, y, z, sum;

	small_init(s, "conv %dx%dx%dx%d to %d, %d groups, window %dx%d, bias %d, tail %d, act %d",
		   c->n, c->h, c->w, c->ic, c->oc, c->groups, c->k[0], c->k[1], bias, tail,
		   act->act);
	s->evaluation = 1;
	x = small_value(s, SMALL_IN, c->n, c->h, c->w, c->ic);
	w = small_master(s, c->oc, c->ic / c->groups, c->k[0], c->k[1]);
	b = small_vector(s, c->oc);
	z = small_value(s, SMALL_IN, c->n, a->out_h, a->out_w, c->oc);
	y = small_value(s, SMALL_MID, c->n, a->out_h, a->out_w, c->oc);
	sum = tail == TAIL_ACT ? y : small_value(s, tail == TAIL_ADD_ACT ? SMALL_MID : SMALL_OUT,
						 c->n, a->out_h, a->out_w, c->oc);
	small_step(s, PART_FORWARD, STEP_CONV, a, OF(x, w, bias ? b : -1), OF(y));
	if (tail == TAIL_ADD_FIRST)
		small_step(s, PART_FORWARD, STEP_ADD, NULL, OF(z, y), OF(sum));
	else if (tail != TAIL_ACT)
		small_step(s, PART_FORWARD, STEP_ADD, NULL, OF(y, z), OF(sum));
	if (tail == TAIL_ACT || tail == TAIL_ADD_ACT)
		small_step(s, PART_FORWARD, STEP_ACT, act, OF(sum),
			   OF(small_value(s, SMALL_OUT, c->n, a->out_h, a->out_w, c->oc)));
}

static void tails(void **state)
{
	const char *backend = backend_of(state);
	/* shares of what an activation leaves: at most 1 of sums of up to 10 */
	struct small_tolerance most = { 1e-4, 1e-4, 0.02 };
	int bad = 0;

	for (int i = 0; i < CASES; i++)
		for (int tail = 0; tail < TAILS; tail++) {
			struct conv_attr a = attr_of(&cases[i]);
			struct small s;

			tail_make(&s, &cases[i], &a, tail, i % 3 != 0, &acts[(i + tail) % ACTS]);
			bad += small_against_ref(&s, backend, most);
			small_release(&s);
		}
	assert_int_equal(bad, 0);
	for (int i = 0; i < BRACKET_KINDS; i++)
		if (!strcmp(bracket_table[i].rewrite, "epilogue")) {
			char name[64];

			snprintf(name, sizeof name, ", %s, ", bracket_table[i].name);
			if (!strstr(small_brackets(), name))
				fail_msg("not met: %s", bracket_table[i].name);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ref_differences),
		ON("ref", against),
		ON("cpu", against),
		ON("cpu", tails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
