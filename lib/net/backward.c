/*
 * Gradients: the forward steps are walked backwards, one rule a kind. When a step is
 * reached, all who read its result have left their part of the result's gradient, so
 * it is complete: nothing, one value, or a sum made here, just before its first
 * reader. What nobody needs is not made.
 */
#include "base/fail.h"
#include "net/program_build.h"

#include <assert.h>
#include <stdlib.h>

static int backward(struct build *b, enum step_kind kind, const struct step *of)
{
	return step_add(b, kind, PART_BACKWARD, of->node, of->attr);
}

/* ---- parts of gradients ---- */

static int part_add(struct build *b, int value)
{
	if (b->part_count == b->part_room) {
		int room = b->part_room ? 2 * b->part_room : 256;
		struct gradient_part *more = realloc(b->parts, (size_t)room * sizeof *more);

		if (!more) {
			fail("program: out of memory");
			b->failed = 1;
			return 0;
		}
		b->parts = more;
		b->part_room = room;
	}
	b->parts[b->part_count] = (struct gradient_part){ value, -1 };
	return b->part_count++;
}

/* `part` is (a part of) the gradient of v. */
static void contribute(struct build *b, int v, int part)
{
	int k;

	if (b->failed)
		return;
	k = part_add(b, part);
	if (b->failed)
		return;
	if (b->fact[v].part < 0)
		b->fact[v].part = k;
	else
		b->parts[b->fact[v].part_last].next = k;
	b->fact[v].part_last = k;
}

/* A step's result that is a gradient of v: as v in shape and, to begin with, layout. */
static int result_like(struct build *b, int step, int v)
{
	struct program *p = b->p;
	struct layout open = { 0, 0, DTYPE_F32 };
	int d;

	if (b->failed)
		return 0;
	d = value_add(b, value_shape(&p->value[v]), open, ARENA_WORK, "d%s", p->value[v].name);
	if (b->failed)
		return 0;
	b->fact[d].like = v;
	b->fact[d].of = v;
	step_writes(b, step, d);
	return d;
}

static void gives(struct build *b, int step, int v)
{
	contribute(b, v, result_like(b, step, v));
}

/* Sums a list of values into out, in chains where they are many. */
static void add_list(struct build *b, int list, int out, int node)
{
	int acc = b->parts[list].value;

	list = b->parts[list].next;
	while (list >= 0 && !b->failed) {
		int s = step_add(b, STEP_ADD, PART_BACKWARD, node, NULL), taken;

		step_reads(b, s, acc);
		for (taken = 1; taken < STEP_IN && list >= 0; taken++) {
			step_reads(b, s, b->parts[list].value);
			list = b->parts[list].next;
		}
		if (list < 0) {
			step_writes(b, s, out);
		} else {
			const struct value *v = &b->p->value[out];

			acc = value_add(b, value_shape(v), v->lay, ARENA_WORK, "%s+", v->name);
			if (b->failed)
				return;
			b->fact[acc].like = b->fact[out].like;
			step_writes(b, s, acc);
		}
	}
}

/* The gradient of v, all parts together; -1: there is none. */
static int gradient_of(struct build *b, int v)
{
	struct program *p = b->p;
	struct layout open = { 0, 0, DTYPE_F32 };
	int out, part = b->fact[v].part, k = 0;

	if (b->failed || part < 0)
		return -1;
	if (b->parts[part].next < 0)
		return b->parts[part].value;
	for (int i = part; i >= 0; i = b->parts[i].next) {
		int d = b->parts[i].value;
		const char *name;

		k++;
		if (b->fact[d].of != v)
			continue;
		name = program_text(p, "d%s.%d", p->value[v].name, k);
		if (!name) {
			b->failed = 1;
			return -1;
		}
		p->value[d].name = name;
	}
	out = value_add(b, value_shape(&p->value[v]), open, ARENA_WORK, "d%s", p->value[v].name);
	if (b->failed)
		return -1;
	b->fact[out].like = v;
	add_list(b, part, out, p->step[b->fact[v].maker].node);
	return out;
}

/* ---- gradients of parameters ---- */

/* Where a step writes a parameter's gradient: in place, or a part if it is shared. */
static int param_result(struct build *b, int step, int master)
{
	struct program *p = b->p;
	const struct value *v;
	int param, d;

	if (b->failed || master < 0) {
		step_writes(b, step, -1);
		return -1;
	}
	param = p->value[master].param;
	d = p->gradient[param];
	if (b->uses[param] > 1) {
		v = &p->value[master];
		d = value_add(b, value_shape(v), v->lay, ARENA_WORK, "d%s.%d", v->name,
			      b->uses[param] - b->uses_left[param] + 1);
	}
	step_writes(b, step, d);
	return d;
}

/* After the step: sums the parts of a shared parameter's gradient when all are there. */
static void param_done(struct build *b, int master, int d)
{
	int k, param;

	if (b->failed || d < 0)
		return;
	param = b->p->value[master].param;
	if (b->uses[param] == 1)
		return;
	k = part_add(b, d);
	if (b->failed)
		return;
	b->parts[k].next = b->param_part[param];
	b->param_part[param] = k;
	if (--b->uses_left[param] == 0)
		add_list(b, k, b->p->gradient[param], -1);
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
	step_reads(b, t, s->out[0]);
	gives(b, t, s->in[0]);
}

static void back_add(struct build *b, const struct step *s, int dy)
{
	for (int k = 0; k < s->ins; k++)
		if (b->fact[s->in[k]].wants)
			contribute(b, s->in[k], dy);
}

static void back_mul(struct build *b, const struct step *s, int dy)
{
	int x = s->in[0], g = s->in[1], t;
	int spread = b->p->value[g].h != b->p->value[x].h || b->p->value[g].w != b->p->value[x].w;

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
	[STEP_MAXPOOL] = back_maxpool,
	[STEP_AVGPOOL] = back_avgpool,
	[STEP_DROPOUT] = back_dropout,
};

/* The loss begins it. */
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
			if (!b->fact[s.in[0]].wants)
				return fail("network: no parameters to train");
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
