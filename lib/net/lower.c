/* From nodes to the plain steps of FORWARD: one function an op. */
#include "net/lower.h"

#include "base/fail.h"

#include <assert.h>
#include <string.h>

/* ---- helpers ---- */

void reads_param(struct build *b, int step, int node, int k)
{
	int m = node_at(b, node)->param[k];

	step_reads(b, step, m < 0 ? -1 : b->p->master[m]);
	if (m >= 0 && b->p->gradient[m] >= 0)
		b->uses[m]++;
}

/* Do parameters that train stand before what the step reads? */
static int step_wants(const struct build *b, int step)
{
	const struct step *s = &b->p->step[step];

	for (int k = 0; k < s->ins; k++) {
		const struct value *v = s->in[k] < 0 ? NULL : &b->p->value[s->in[k]];

		if (v && (b->fact[s->in[k]].wants ||
			  (v->arena == ARENA_PARAM && b->p->gradient[v->param] >= 0)))
			return 1;
	}
	return 0;
}

int result(struct build *b, int step, struct shape4 s, const char *letter, int part)
{
	struct layout open = { 0, 0, DTYPE_F32 };
	int node = b->failed ? 0 : b->p->step[step].node;
	int v = part ? value_add(b, s, open, ARENA_WORK, "%s%d.%d", letter, node, part)
		     : value_add(b, s, open, ARENA_WORK, "%s%d", letter, node);

	if (b->failed)
		return 0;
	step_writes(b, step, v);
	b->fact[v].wants = step_wants(b, step);
	return v;
}

/* A vector over channels. */
static int result_rows(struct build *b, int step, int rows, int c, const char *letter)
{
	struct shape4 s = { 1, 1, rows, c };
	int v = result(b, step, s, letter, 0);

	if (!b->failed)
		b->p->value[v].lay = layout_rows(c);
	return v;
}

int lower_one(struct build *b, enum step_kind kind, int node, const void *attr,
	      const char *letter)
{
	int s = forward(b, kind, node, attr);

	step_reads(b, s, arriving(b, node, 0));
	return result(b, s, node_shape(b, node), letter, 0);
}

/* ---- ops ---- */

/* A value of the host. */
static int host_value(struct build *b, struct shape4 s, enum dtype type, enum arena arena,
		      const char *name)
{
	return value_add(b, s, layout_bare(s.c, type), arena, "%s", name);
}

static int lower_input(struct build *b, int node)
{
	struct program *p = b->p;
	struct input_attr *a = program_alloc(p, sizeof *a);
	int s;

	if (!a)
		return -1;
	*a = p->options.normalise;
	if (p->graph->input.c > 4)
		return fail("input: %d channels: at most 4", p->graph->input.c);
	p->pixels = host_value(b, batch_of(b, p->graph->input), DTYPE_U8, ARENA_INPUT, "pixels");
	s = forward(b, STEP_INPUT, node, a);
	step_reads(b, s, p->pixels);
	return result(b, s, node_shape(b, node), "x", 0);
}

/* Convolution, and linear as one whose window is all of its input. */
static int lower_conv(struct build *b, int node)
{
	const struct node *n = node_at(b, node);
	const struct shape in = node_at(b, n->in[0])->shape;
	struct conv_attr *a = program_alloc(b->p, sizeof *a);
	int s;

	if (!a)
		return -1;
	if (n->op == OP_LINEAR) {
		a->window = (struct window){ { in.h, in.w }, { 1, 1 }, { 1, 1 }, { 0 }, { 0 } };
		a->groups = 1;
	} else {
		a->window = n->window;
		a->groups = in.c / b->p->graph->param[n->param[0]].dim[1];
	}
	a->in_h = in.h;
	a->in_w = in.w;
	a->in_c = in.c;
	a->out_h = n->shape.h;
	a->out_w = n->shape.w;
	a->out_c = n->shape.c;
	s = forward(b, STEP_CONV, node, a);
	step_reads(b, s, arriving(b, node, 0));
	reads_param(b, s, node, 0);
	reads_param(b, s, node, 1);
	return result(b, s, node_shape(b, node), "u", 0);
}

const struct bn_attr *bn_attr(struct build *b, int node)
{
	const struct program_options *o = &b->p->options;
	const struct node *n = node_at(b, node);
	struct bn_attr *a = program_alloc(b->p, sizeof *a);

	if (!a)
		return NULL;
	a->eps = node_arg(n, "eps");
	a->decay = node_arg(n, "decay");
	a->devices = o->devices;
	a->count = (int64_t)o->batch * n->shape.h * n->shape.w;
	if (o->sync_bn)
		a->count *= o->devices;
	if (o->training && a->count < 2) {
		fail("line %d: %s: one number a channel has no deviation: a larger batch",
		     n->line, n->name);
		return NULL;
	}
	return a;
}

/* Mean and variance of the batch, at the tail of the gradients, so that REDUCE sums
 * them over devices for TRACK. */
static int batch_statistics(struct build *b, int node, int x, const struct bn_attr *a)
{
	struct program *p = b->p;
	int c = node_at(b, node)->shape.c;
	int sync = p->options.sync_bn && p->options.devices > 1;
	int m, s = forward(b, STEP_STATS, node, a);

	step_reads(b, s, x);
	m = result_rows(b, s, 2, c, sync ? "l" : "m");
	if (sync) {
		s = forward(b, STEP_SYNC_STATS, node, a);
		step_reads(b, s, m);
		m = result_rows(b, s, 2, c, "m");
	}
	if (b->failed)
		return 0;
	p->value[m].arena = ARENA_GRAD;
	p->value[m].at = b->tail;
	TRY(value_measure(&p->value[m]));
	b->tail += align_up(p->value[m].bytes);
	return m;
}

static int lower_bn(struct build *b, int node)
{
	int ab, m, s, x = arriving(b, node, 0), training = b->p->options.training;
	const struct bn_attr *a;

	if (bn_folds(b, node))
		return x;
	a = bn_attr(b, node);
	if (!a)
		return -1;
	if (training) {
		TRY(m = batch_statistics(b, node, x, a));
		s = forward(b, STEP_COEF, node, a);
		step_reads(b, s, m);
	} else {
		s = forward(b, STEP_COEF, node, a);
		reads_param(b, s, node, 2);
	}
	reads_param(b, s, node, 0);
	reads_param(b, s, node, 1);
	if (training)
		step_reads(b, s, -1);
	else
		reads_param(b, s, node, 3);
	ab = result_rows(b, s, 2, node_at(b, node)->shape.c, "ab");
	s = forward(b, STEP_AFFINE, node, NULL);
	step_reads(b, s, x);
	step_reads(b, s, ab);
	return result(b, s, node_shape(b, node), "v", 0);
}

static lowering *const lower[OP_COUNT] = {
	[OP_INPUT] = lower_input,
	[OP_CONV] = lower_conv,
	[OP_LINEAR] = lower_conv,
	[OP_BN] = lower_bn,
	[OP_LAYERNORM] = lower_layernorm,
	[OP_SCALE] = lower_scale,
	[OP_LRN] = lower_lrn,
	[OP_MAXPOOL] = lower_pool,
	[OP_AVGPOOL] = lower_pool,
	[OP_RELU] = lower_act,
	[OP_RELU6] = lower_act,
	[OP_SIGMOID] = lower_act,
	[OP_TANH] = lower_act,
	[OP_SWISH] = lower_act,
	[OP_GELU] = lower_act,
	[OP_HARDSWISH] = lower_act,
	[OP_HARDSIGMOID] = lower_act,
	[OP_DROPOUT] = lower_dropout,
	[OP_DROPPATH] = lower_dropout,
	[OP_PAD] = lower_pad,
	[OP_SLICE] = lower_slice,
	[OP_SHUFFLE] = lower_shuffle,
	[OP_SUM] = lower_many,
	[OP_CAT] = lower_many,
	[OP_MUL] = lower_mul,
};

/* ---- the whole ---- */

/* Softmax and cross entropy of a node's value. others: the losses that are added. */
static int loss_step(struct build *b, int node, double weight, int others, int probabilities,
		     int losses)
{
	struct program *p = b->p;
	struct xent_attr *a = program_alloc(p, sizeof *a);
	int s;

	if (!a)
		return -1;
	*a = (struct xent_attr){ p->options.smoothing, weight, node_at(b, node)->shape.c };
	s = forward(b, STEP_XENT, node, a);
	step_reads(b, s, b->node_value[node]);
	step_reads(b, s, p->labels);
	step_reads(b, s, p->shares);
	step_reads(b, s, others);
	step_writes(b, s, probabilities);
	step_writes(b, s, losses);
	return 0;
}

/* Auxiliary heads first: the network's own loss takes theirs along. */
static int lower_loss(struct build *b)
{
	struct program *p = b->p;
	const struct graph *g = p->graph;
	const struct node *out = node_at(b, g->out);
	struct shape4 pair = { p->options.batch, 1, 1, 2 }, all = pair, block = pair;
	int others = -1;

	if (out->shape.h != 1 || out->shape.w != 1)
		return fail("line %d: %s: the network ends in %dx%dx%d, not in 1x1xclasses",
			    out->line, out->name, out->shape.h, out->shape.w, out->shape.c);
	all.c = out->shape.c;
	p->labels = host_value(b, pair, DTYPE_I32, ARENA_INPUT, "labels");
	p->shares = host_value(b, pair, DTYPE_F32, ARENA_INPUT, "shares");
	p->probabilities = host_value(b, all, DTYPE_F32, ARENA_OUTPUT, "probabilities");
	p->losses = host_value(b, pair, DTYPE_F32, ARENA_OUTPUT, "losses");
	block.n = 1;
	block.c = sizeof(struct control);
	p->control = host_value(b, block, DTYPE_U8, ARENA_CONTROL, "control");
	for (int i = 0; p->options.training && i < g->heads; i++) {
		int probabilities, losses;

		all.c = node_at(b, g->head[i].node)->shape.c;
		probabilities = host_value(b, all, DTYPE_F32, ARENA_WORK, "probabilities'");
		losses = host_value(b, pair, DTYPE_F32, ARENA_WORK, "losses'");
		TRY(loss_step(b, g->head[i].node, g->head[i].weight, others, probabilities,
			      losses));
		others = losses;
	}
	return loss_step(b, g->out, 1, others, p->probabilities, p->losses);
}

/* What the losses depend on; nodes read earlier ones only. */
static void find_needed(struct build *b)
{
	const struct graph *g = b->p->graph;

	b->needed[g->out] = 1;
	for (int i = 0; b->p->options.training && i < g->heads; i++)
		b->needed[g->head[i].node] = 1;
	for (int i = g->nodes - 1; i >= 0; i--)
		for (int k = 0; b->needed[i] && k < g->node[i].ins; k++)
			b->needed[g->node[i].in[k]] = 1;
}

int build_forward(struct build *b)
{
	const struct graph *g = b->p->graph;

	find_needed(b);
	for (int i = 0; i < g->nodes && !b->failed; i++) {
		if (!b->needed[i])
			continue;
		assert(lower[g->node[i].op]);
		TRY(b->node_value[i] = lower[g->node[i].op](b, i));
	}
	return b->failed ? 0 : lower_loss(b);
}
