/*
 * Gradients: the forward steps are walked backwards, one rule a kind. When a step is
 * reached, all who read its result have left their part of the result's gradient, so
 * it is complete: nothing, one value, or a sum made just before its first reader
 * (gradient.c). What nobody needs is not made.
 */
#include "net/gradient.h"

#include "base/fail.h"

#include <assert.h>

static int backward(struct build *b, enum step_kind kind, const struct step *of)
{
	return step_add(b, kind, PART_BACKWARD, of->node, of->attr);
}

/* ---- rules; s is a copy of the forward step, dy the gradient of its result ---- */

static void back_conv(struct build *b, const struct step *s, int dy)
{
	int t, d;

	if (s->in[2] >= 0) {
		t = backward(b, STEP_CHANNEL_SUM, s);
		step_reads(b, t, dy);
		d = param_result(b, t, s->in[2]);
		param_done(b, s->in[2], d);
	}
	/* Before dx, so that x can go before dx comes. */
	t = backward(b, STEP_CONV_DW, s);
	step_reads(b, t, s->in[0]);
	step_reads(b, t, dy);
	d = param_result(b, t, s->in[1]);
	param_done(b, s->in[1], d);
	if (!b->fact[s->in[0]].wants)
		return;
	t = backward(b, STEP_CONV_DX, s);
	step_reads(b, t, dy);
	step_reads(b, t, s->in[1]);
	gives(b, t, s->in[0]);
}

/* Batch norm: the chain through mean and variance is in the rule of the affine. */
static void back_affine(struct build *b, const struct step *s, int dy)
{
	struct program *p = b->p;
	const struct step coef = p->step[b->fact[s->in[1]].maker];
	const struct bn_attr *a = coef.attr;
	int x = s->in[0], m = coef.in[0], gain = coef.in[1], bias = coef.in[2];
	int sums, dgain, dbias, t = backward(b, STEP_BN_SUMS, &coef);
	int sync = p->options.sync_bn && a->devices > 1;

	step_reads(b, t, dy);
	step_reads(b, t, x);
	step_reads(b, t, m);
	sums = value_add(b, value_shape(&p->value[m]), p->value[m].lay, ARENA_WORK, "%s%d",
			 sync ? "e" : "s", s->node);
	step_writes(b, t, sums);
	dgain = param_result(b, t, gain);
	dbias = param_result(b, t, bias);
	param_done(b, gain, dgain);
	param_done(b, bias, dbias);
	if (b->failed || !b->fact[x].wants)
		return;
	if (sync) {
		t = backward(b, STEP_SYNC_SUMS, &coef);
		step_reads(b, t, sums);
		sums = value_add(b, value_shape(&p->value[m]), p->value[m].lay, ARENA_WORK,
				 "s%d", s->node);
		step_writes(b, t, sums);
	}
	t = backward(b, STEP_BN_DX, &coef);
	step_reads(b, t, dy);
	step_reads(b, t, x);
	step_reads(b, t, m);
	step_reads(b, t, gain);
	step_reads(b, t, sums);
	gives(b, t, x);
}

static void back_act(struct build *b, const struct step *s, int dy)
{
	int t = backward(b, STEP_ACT_DX, s);

	step_reads(b, t, dy);
	step_reads(b, t, act_dx_reads_x(((const struct act_attr *)s->attr)->act) ? s->in[0]
										  : s->out[0]);
	gives(b, t, s->in[0]);
}

static void back_add(struct build *b, const struct step *s, int dy)
{
	for (int k = 0; k < s->ins; k++)
		if (b->fact[s->in[k]].wants)
			contribute(b, s->in[k], dy);
}

/* A master's gradient is summed over pixels, then over samples. */
static void back_mul_master(struct build *b, const struct step *s, int dy)
{
	const struct value x = b->p->value[s->in[0]];
	struct shape4 shape = { x.n, 1, 1, x.c };
	struct layout open = { 0, 0, DTYPE_F32 };
	int t = backward(b, STEP_MUL_SUM, s), d;

	step_reads(b, t, dy);
	step_reads(b, t, s->in[0]);
	d = value_add(b, shape, open, ARENA_WORK, "e%d", s->node);
	if (b->failed)
		return;
	step_writes(b, t, d);
	t = backward(b, STEP_CHANNEL_SUM, s);
	step_reads(b, t, d);
	d = param_result(b, t, s->in[1]);
	param_done(b, s->in[1], d);
}

static void back_mul(struct build *b, const struct step *s, int dy)
{
	int x = s->in[0], g = s->in[1], t;
	int spread = b->p->value[g].h != b->p->value[x].h || b->p->value[g].w != b->p->value[x].w;

	if (b->p->value[g].arena == ARENA_PARAM)
		back_mul_master(b, s, dy);
	if (b->fact[g].wants) {
		t = backward(b, spread ? STEP_MUL_SUM : STEP_MUL, s);
		step_reads(b, t, dy);
		step_reads(b, t, x);
		gives(b, t, g);
	}
	if (b->fact[x].wants) {
		t = backward(b, STEP_MUL, s);
		step_reads(b, t, dy);
		step_reads(b, t, g);
		gives(b, t, x);
	}
}

static void back_cat(struct build *b, const struct step *s, int dy)
{
	int from = 0;

	for (int k = 0; k < s->ins && !b->failed; k++) {
		int to = from + b->p->value[s->in[k]].c, t;
		struct slice_attr *a;

		if (b->fact[s->in[k]].wants) {
			a = program_alloc(b->p, sizeof *a);
			if (!a) {
				b->failed = 1;
				return;
			}
			*a = (struct slice_attr){ from, to };
			t = step_add(b, STEP_SLICE, PART_BACKWARD, s->node, a);
			step_reads(b, t, dy);
			gives(b, t, s->in[k]);
		}
		from = to;
	}
}

/* dy at the place that x had; what was cropped gets 0. */
static void back_pad(struct build *b, const struct step *s, int dy)
{
	struct pad_attr *a = program_alloc(b->p, sizeof *a);
	const struct pad_attr *pad = s->attr;
	const struct slice_attr *slice = s->attr;
	int t;

	if (!a) {
		b->failed = 1;
		return;
	}
	if (s->kind == STEP_SLICE)
		a->front = slice->from;
	else
		*a = (struct pad_attr){ -pad->top, -pad->left, -pad->front };
	t = step_add(b, STEP_PAD, PART_BACKWARD, s->node, a);
	step_reads(b, t, dy);
	gives(b, t, s->in[0]);
}

static void back_shuffle(struct build *b, const struct step *s, int dy)
{
	struct shuffle_attr *a = program_alloc(b->p, sizeof *a);
	int t;

	if (!a) {
		b->failed = 1;
		return;
	}
	a->groups = b->p->value[s->in[0]].c / ((const struct shuffle_attr *)s->attr)->groups;
	t = step_add(b, STEP_SHUFFLE, PART_BACKWARD, s->node, a);
	step_reads(b, t, dy);
	gives(b, t, s->in[0]);
}

static void back_layernorm(struct build *b, const struct step *s, int dy)
{
	int t = backward(b, STEP_LAYERNORM_DX, s), dgain, dbias;

	step_reads(b, t, dy);
	step_reads(b, t, s->in[0]);
	step_reads(b, t, s->in[1]);
	if (b->fact[s->in[0]].wants)
		gives(b, t, s->in[0]);
	else
		step_writes(b, t, -1);
	dgain = param_result(b, t, s->in[1]);
	dbias = param_result(b, t, s->in[2]);
	param_done(b, s->in[1], dgain);
	param_done(b, s->in[2], dbias);
}

static void back_lrn(struct build *b, const struct step *s, int dy)
{
	int t = backward(b, STEP_LRN_DX, s);

	step_reads(b, t, dy);
	step_reads(b, t, s->in[0]);
	gives(b, t, s->in[0]);
}

static void back_maxpool(struct build *b, const struct step *s, int dy)
{
	int t = backward(b, STEP_MAXPOOL_DX, s);

	step_reads(b, t, dy);
	step_reads(b, t, s->out[1]);
	gives(b, t, s->in[0]);
}

static void back_avgpool(struct build *b, const struct step *s, int dy)
{
	int t = backward(b, STEP_AVGPOOL_DX, s);

	step_reads(b, t, dy);
	gives(b, t, s->in[0]);
}

static void back_dropout(struct build *b, const struct step *s, int dy)
{
	int t = backward(b, STEP_DROPOUT, s);

	step_reads(b, t, dy);
	gives(b, t, s->in[0]);
}

static void (*const rule[STEP_KINDS])(struct build *, const struct step *, int dy) = {
	[STEP_CONV] = back_conv,
	[STEP_AFFINE] = back_affine,
	[STEP_ACT] = back_act,
	[STEP_ADD] = back_add,
	[STEP_MUL] = back_mul,
	[STEP_CAT] = back_cat,
	[STEP_SLICE] = back_pad,
	[STEP_PAD] = back_pad,
	[STEP_SHUFFLE] = back_shuffle,
	[STEP_LAYERNORM] = back_layernorm,
	[STEP_LRN] = back_lrn,
	[STEP_MAXPOOL] = back_maxpool,
	[STEP_AVGPOOL] = back_avgpool,
	[STEP_DROPOUT] = back_dropout,
};

/* A loss begins it. */
static void back_xent(struct build *b, const struct step *s)
{
	int t = backward(b, STEP_XENT_DX, s);

	step_reads(b, t, s->out[0]);
	step_reads(b, t, s->in[1]);
	step_reads(b, t, s->in[2]);
	gives(b, t, s->in[0]);
}

int build_backward(struct build *b)
{
	struct program *p = b->p;

	if (!p->options.training)
		return 0;
	for (int i = 0; i < p->graph->params; i++)
		b->uses_left[i] = b->uses[i];
	for (int i = p->steps - 1; i >= 0 && !b->failed; i--) {
		const struct step s = p->step[i];

		if (s.kind == STEP_XENT) {
			if (!b->fact[s.in[0]].wants && s.node == p->graph->out)
				return fail("network: no parameters to train");
			if (b->fact[s.in[0]].wants)
				back_xent(b, &s);
		} else if (rule[s.kind] && b->fact[s.out[0]].wants) {
			int dy = gradient_of(b, s.out[0]);

			if (!b->failed) {
				assert(dy >= 0);
				rule[s.kind](b, &s, dy);
			}
		}
	}
	return 0;
}
