/* From nodes to the plain steps of FORWARD: one function an op. */
#include "base/fail.h"
#include "net/program_build.h"

#include <assert.h>
#include <string.h>

/* ---- helpers ---- */

static const struct node *node_at(const struct build *b, int node)
{
	return &b->p->graph->node[node];
}

/* The value of the k-th thing a node reads. */
static int arriving(const struct build *b, int node, int k)
{
	return b->node_value[node_at(b, node)->in[k]];
}

static int forward(struct build *b, enum step_kind kind, int node, const void *attr)
{
	return step_add(b, kind, PART_FORWARD, node, attr);
}

/* An operand that is a parameter of the node; one that trains will get a gradient. */
static void reads_param(struct build *b, int step, int node, int k)
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

/* What the step writes: an activation named by letter and node ("t7"; "z7.1" where a
 * node makes several), whose layout is still open. */
static int result(struct build *b, int step, struct shape4 s, const char *letter, int part)
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

static struct shape4 batch_of(const struct build *b, struct shape s)
{
	struct shape4 s4 = { b->p->options.batch, s.h, s.w, s.c };

	return s4;
}

static struct shape4 node_shape(const struct build *b, int node)
{
	return batch_of(b, node_at(b, node)->shape);
}

static int same_shape(const struct value *x, const struct value *y)
{
	return x->n == y->n && x->h == y->h && x->w == y->w && x->c == y->c;
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

static struct bn_attr *bn_attr(struct build *b, int node)
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
	struct bn_attr *a = bn_attr(b, node);
	int ab, m, s, x = arriving(b, node, 0), training = b->p->options.training;

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

static int lower_act(struct build *b, int node)
{
	struct act_attr *a = program_alloc(b->p, sizeof *a);
	int s;

	if (!a)
		return -1;
	a->act = node_at(b, node)->op;
	s = forward(b, STEP_ACT, node, a);
	step_reads(b, s, arriving(b, node, 0));
	return result(b, s, node_shape(b, node), "t", 0);
}

static int lower_pool(struct build *b, int node)
{
	const struct node *n = node_at(b, node);
	const struct shape in = node_at(b, n->in[0])->shape;
	struct pool_attr *a = program_alloc(b->p, sizeof *a);
	int max = n->op == OP_MAXPOOL, x = arriving(b, node, 0);
	int place, s, y;

	if (!a)
		return -1;
	a->window = n->window;
	a->count_pad = !max && node_arg(n, "countpad") != 0;
	a->in_h = in.h;
	a->in_w = in.w;
	a->out_h = n->shape.h;
	a->out_w = n->shape.w;
	s = forward(b, max ? STEP_MAXPOOL : STEP_AVGPOOL, node, a);
	step_reads(b, s, x);
	y = result(b, s, node_shape(b, node), "q", 0);
	if (!max || b->failed)
		return y;
	if (!b->p->options.training || !b->fact[x].wants) {
		step_writes(b, s, -1);
		return y;
	}
	if ((int64_t)n->window.k[0] * n->window.k[1] > 256)
		return fail("line %d: %s: a window of %dx%d does not train yet "
			    "(at most 256 numbers)", n->line, n->name, n->window.k[0],
				n->window.k[1]);
	place = result(b, s, node_shape(b, node), "i", 0);
	if (b->failed)
		return 0;
	b->p->value[place].lay.type = DTYPE_U8;
	b->fact[place].like = y;
	b->fact[place].wants = 0;
	return y;
}

static int lower_dropout(struct build *b, int node)
{
	const struct node *n = node_at(b, node);
	double p = node_arg(n, "p");
	struct dropout_attr *a;
	int s;

	if (!b->p->options.training || p == 0)
		return arriving(b, node, 0);
	if (!(p > 0 && p < 1))
		return fail("line %d: %s: p=%g: not from 0 to 1", n->line, n->name, p);
	a = program_alloc(b->p, sizeof *a);
	if (!a)
		return -1;
	*a = (struct dropout_attr){ p, n->name, n->shape.c, n->shape.h, n->shape.w };
	s = forward(b, STEP_DROPOUT, node, a);
	step_reads(b, s, arriving(b, node, 0));
	return result(b, s, node_shape(b, node), "k", 0);
}

/* Sums and concatenations of more values than a step takes are chains. */
static int lower_many(struct build *b, int node)
{
	const struct node *n = node_at(b, node);
	int cat = n->op == OP_CAT, part = 0;
	int acc = arriving(b, node, 0);
	struct shape4 shape = node_shape(b, node);

	if (n->ins == 1)
		return acc;
	shape.c = node_at(b, n->in[0])->shape.c;
	for (int k = 1; k < n->ins; ) {
		int s = forward(b, cat ? STEP_CAT : STEP_ADD, node, NULL);

		step_reads(b, s, acc);
		for (int taken = 1; taken < STEP_IN && k < n->ins; taken++, k++) {
			step_reads(b, s, arriving(b, node, k));
			if (cat)
				shape.c += node_at(b, n->in[k])->shape.c;
		}
		acc = result(b, s, shape, cat ? "c" : "z", k < n->ins ? ++part : 0);
	}
	return acc;
}

/* Products of two; the one that spreads over height and width comes second. */
static int lower_mul(struct build *b, int node)
{
	const struct node *n = node_at(b, node);
	int acc = arriving(b, node, 0), part = 0;

	for (int k = 1; k < n->ins && !b->failed; k++) {
		const struct value *x = &b->p->value[acc];
		const struct value *g = &b->p->value[arriving(b, node, k)];
		int swap = !same_shape(x, g) && x->h == 1 && x->w == 1;
		struct shape4 shape = value_shape(swap ? g : x);
		int s = forward(b, STEP_MUL, node, NULL);

		step_reads(b, s, swap ? arriving(b, node, k) : acc);
		step_reads(b, s, swap ? acc : arriving(b, node, k));
		acc = result(b, s, shape, "p", k + 1 < n->ins ? ++part : 0);
	}
	return acc;
}

/* What computes; the others are read, counted and shown. */
static int (*const lower[OP_COUNT])(struct build *, int) = {
	[OP_INPUT] = lower_input,
	[OP_CONV] = lower_conv,
	[OP_LINEAR] = lower_conv,
	[OP_BN] = lower_bn,
	[OP_RELU] = lower_act,
	[OP_RELU6] = lower_act,
	[OP_MAXPOOL] = lower_pool,
	[OP_AVGPOOL] = lower_pool,
	[OP_DROPOUT] = lower_dropout,
	[OP_SUM] = lower_many,
	[OP_CAT] = lower_many,
	[OP_MUL] = lower_mul,
};

/* ---- the whole ---- */

/* Softmax and cross entropy. */
static int lower_loss(struct build *b)
{
	struct program *p = b->p;
	const struct node *out = node_at(b, p->graph->out);
	struct shape4 pair = { p->options.batch, 1, 1, 2 }, all = pair;
	struct xent_attr *a = program_alloc(p, sizeof *a);
	int s;

	if (!a)
		return -1;
	if (out->shape.h != 1 || out->shape.w != 1)
		return fail("line %d: %s: the network ends in %dx%dx%d, not in 1x1xclasses",
			    out->line, out->name, out->shape.h, out->shape.w, out->shape.c);
	*a = (struct xent_attr){ p->options.smoothing, 1, out->shape.c };
	all.c = out->shape.c;
	p->labels = host_value(b, pair, DTYPE_I32, ARENA_INPUT, "labels");
	p->shares = host_value(b, pair, DTYPE_F32, ARENA_INPUT, "shares");
	p->probabilities = host_value(b, all, DTYPE_F32, ARENA_OUTPUT, "probabilities");
	p->losses = host_value(b, pair, DTYPE_F32, ARENA_OUTPUT, "losses");
	pair.n = 1;
	pair.c = sizeof(struct control);
	p->control = host_value(b, pair, DTYPE_U8, ARENA_CONTROL, "control");
	s = forward(b, STEP_XENT, p->graph->out, a);
	step_reads(b, s, b->node_value[p->graph->out]);
	step_reads(b, s, p->labels);
	step_reads(b, s, p->shares);
	step_writes(b, s, p->probabilities);
	step_writes(b, s, p->losses);
	return 0;
}

static int refuse(const struct node *n)
{
	return fail("line %d: %s: this op is read, counted and shown, but does not train yet",
		    n->line, n->name);
}

int build_forward(struct build *b)
{
	const struct graph *g = b->p->graph;

	if (b->p->options.training && g->heads > 0)
		return fail("line %d: %s: auxiliary heads are read, counted and shown, "
			    "but do not train yet", g->node[g->head[0].node].line,
			    g->node[g->head[0].node].name);
	b->needed[g->out] = 1;
	for (int i = g->nodes - 1; i >= 0; i--)
		for (int k = 0; b->needed[i] && k < g->node[i].ins; k++)
			b->needed[g->node[i].in[k]] = 1;
	for (int i = 0; i < g->nodes && !b->failed; i++) {
		if (!b->needed[i])
			continue;
		if (!lower[g->node[i].op])
			return refuse(&g->node[i]);
		TRY(b->node_value[i] = lower[g->node[i].op](b, i));
	}
	return b->failed ? 0 : lower_loss(b);
}
