/*
 * Batch norm folded into the convolution before it, in evaluation: with the running
 * statistics it is a factor and a summand for each channel, which the convolution's
 * weights and bias take over. FOLD steps of PACK make them from the masters, in fp32, so
 * that kernels pack from there on as they would from a master (Jacob et al. 2018).
 */
#include "net/lower.h"

#include "base/fail.h"

#include <stdlib.h>

/* How many nodes that are needed read this one's value; the network's end is one. */
static int readers_of(const struct build *b, int node)
{
	const struct graph *g = b->p->graph;
	int n = node == g->out;

	for (int i = node + 1; i < g->nodes; i++)
		for (int k = 0; b->needed[i] && k < g->node[i].ins; k++)
			n += g->node[i].in[k] == node;
	return n;
}

int bn_folds(const struct build *b, int node)
{
	const struct program_options *o = &b->p->options;
	int conv = node_at(b, node)->in[0];
	enum op_id op = node_at(b, conv)->op;

	return !o->training && (op == OP_CONV || op == OP_LINEAR) &&
	       !listed(o->without, "fold") && !listed(o->without, "all") &&
	       readers_of(b, conv) == 1;
}

/* The step that folds a batch norm, its operands those of COEF behind the convolution's. */
static int fold(struct build *b, int node)
{
	struct memory_list *list = b->p->memory;
	const struct node *n = node_at(b, node);
	struct step *conv = &b->p->step[b->fact[b->node_value[n->in[0]]].maker];
	const struct value *w = &b->p->value[conv->in[1]];
	const int *master = b->p->master, *of = n->param;
	struct step *s = &list->fold[list->folds++];
	struct shape4 shape = value_shape(w), row = { 1, 1, 1, n->shape.c };
	struct layout lay = w->lay;

	*s = (struct step){
		.kind = STEP_FOLD, .part = PART_PACK, .node = node, .attr = bn_attr(b, node),
		.bracket = -1, .work_value = -1, .ins = 6, .outs = 2,
		.in = { conv->in[1], conv->in[2], master[of[2]],
			of[0] < 0 ? -1 : master[of[0]], of[1] < 0 ? -1 : master[of[1]],
			master[of[3]] },
	};
	s->out[0] = value_add(b, shape, lay, ARENA_PACKED, "fw%d", n->in[0]);
	s->out[1] = value_add(b, row, layout_bare(row.c, DTYPE_F32), ARENA_PACKED, "fb%d",
			      n->in[0]);
	conv->in[1] = s->out[0];
	conv->in[2] = s->out[1];
	return s->attr ? 0 : -1;
}

int build_folds(struct build *b)
{
	const struct graph *g = b->p->graph;
	struct memory_list *list = b->p->memory;

	list->fold = calloc((size_t)g->nodes, sizeof *list->fold);
	if (!list->fold)
		return fail("program: out of memory");
	for (int i = 0; i < g->nodes && !b->failed; i++)
		if (b->needed[i] && g->node[i].op == OP_BN && bn_folds(b, i))
			TRY(fold(b, i));
	return 0;
}

static int read_outside_pack(const struct program *p, int value)
{
	for (int i = 0; i < p->begin[PART_PACK]; i++)
		for (int k = 0; k < p->step[i].ins; k++)
			if (p->step[i].in[k] == value)
				return 1;
	return 0;
}

void folds_settle(struct program *p)
{
	for (int i = p->begin[PART_PACK]; i < p->steps; i++)
		for (int k = 0; p->step[i].kind == STEP_FOLD && k < p->step[i].outs; k++)
			if (!read_outside_pack(p, p->step[i].out[k]))
				p->value[p->step[i].out[k]].arena = ARENA_WORK;
}
