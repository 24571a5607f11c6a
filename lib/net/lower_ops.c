/* Ops on one number at a time, pools, and those that move numbers. */
#include "net/lower.h"

#include "base/fail.h"

static int same_shape(const struct value *x, const struct value *y)
{
	return x->n == y->n && x->h == y->h && x->w == y->w && x->c == y->c;
}

int lower_act(struct build *b, int node)
{
	struct act_attr *a = program_alloc(b->p, sizeof *a);

	if (!a)
		return -1;
	a->act = node_at(b, node)->op;
	return lower_one(b, STEP_ACT, node, a, "t");
}

/* A product with a master that has one number a channel. */
int lower_scale(struct build *b, int node)
{
	int s = forward(b, STEP_MUL, node, NULL);

	step_reads(b, s, arriving(b, node, 0));
	reads_param(b, s, node, 0);
	return result(b, s, node_shape(b, node), "p", 0);
}

int lower_layernorm(struct build *b, int node)
{
	struct layernorm_attr *a = program_alloc(b->p, sizeof *a);
	int s;

	if (!a)
		return -1;
	a->eps = node_arg(node_at(b, node), "eps");
	s = forward(b, STEP_LAYERNORM, node, a);
	step_reads(b, s, arriving(b, node, 0));
	reads_param(b, s, node, 0);
	reads_param(b, s, node, 1);
	return result(b, s, node_shape(b, node), "v", 0);
}

int lower_lrn(struct build *b, int node)
{
	const struct node *n = node_at(b, node);
	struct lrn_attr *a = program_alloc(b->p, sizeof *a);

	if (!a)
		return -1;
	*a = (struct lrn_attr){ (int)node_arg(n, "n"), node_arg(n, "alpha"), node_arg(n, "beta"),
				node_arg(n, "k") };
	if (!(a->k > 0) || !(a->alpha >= 0))
		return fail("line %d: %s: k must be more than 0, alpha not less", n->line, n->name);
	return lower_one(b, STEP_LRN, node, a, "v");
}

int lower_pool(struct build *b, int node)
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
	place = result(b, s, node_shape(b, node), "i", 0);
	if (b->failed)
		return 0;
	b->p->value[place].lay.type = (int64_t)a->window.k[0] * a->window.k[1] > 256 ?
				      DTYPE_I32 : DTYPE_U8;
	b->fact[place].like = y;
	b->fact[place].wants = 0;
	return y;
}

/* Of single numbers, or of whole samples. */
int lower_dropout(struct build *b, int node)
{
	const struct node *n = node_at(b, node);
	int whole = n->op == OP_DROPPATH;
	double p = node_arg(n, "p"), ramp = whole ? node_arg(n, "ramp") : 0;
	struct dropout_attr *a;

	if (!b->p->options.training || p == 0)
		return arriving(b, node, 0);
	if (!(p > 0 && p < 1))
		return fail("line %d: %s: p=%g: not from 0 to 1", n->line, n->name, p);
	if (!(ramp >= 0))
		return fail("line %d: %s: ramp=%g: less than 0", n->line, n->name, ramp);
	a = program_alloc(b->p, sizeof *a);
	if (!a)
		return -1;
	*a = (struct dropout_attr){ p, n->name, n->shape.c, n->shape.h, n->shape.w, whole, ramp };
	return lower_one(b, STEP_DROPOUT, node, a, "k");
}

int lower_pad(struct build *b, int node)
{
	const struct node *n = node_at(b, node);
	struct pad_attr *a = program_alloc(b->p, sizeof *a);

	if (!a)
		return -1;
	*a = (struct pad_attr){ (int)node_arg(n, "top"), (int)node_arg(n, "left"),
				(int)node_arg(n, "front") };
	return lower_one(b, STEP_PAD, node, a, "r");
}

int lower_slice(struct build *b, int node)
{
	const struct node *n = node_at(b, node);
	struct slice_attr *a = program_alloc(b->p, sizeof *a);

	if (!a)
		return -1;
	*a = (struct slice_attr){ (int)node_arg(n, "from"), (int)node_arg(n, "to") };
	return lower_one(b, STEP_SLICE, node, a, "r");
}

int lower_shuffle(struct build *b, int node)
{
	struct shuffle_attr *a = program_alloc(b->p, sizeof *a);

	if (!a)
		return -1;
	a->groups = (int)node_arg(node_at(b, node), "groups");
	return lower_one(b, STEP_SHUFFLE, node, a, "r");
}

/* Sums and concatenations of more values than a step takes are chains. */
int lower_many(struct build *b, int node)
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
int lower_mul(struct build *b, int node)
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

