#include "net/graph.h"

#include "net/arena.h"
#include "net/op.h"

#include <assert.h>
#include <stdlib.h>

/* Sums stop at the largest number: nothing that large is ever bound. */
static int64_t add(int64_t a, int64_t b)
{
	return __builtin_add_overflow(a, b, &a) ? INT64_MAX : a;
}

int64_t param_numbers(const struct param *p)
{
	int64_t n = 1;

	for (int i = 0; i < p->rank; i++)
		if (__builtin_mul_overflow(n, p->dim[i], &n))
			return INT64_MAX;
	return n;
}

int64_t graph_count(const struct graph *g, int aux, int statistics)
{
	int64_t n = 0;

	for (const struct param *p = g->param; p < g->param + g->params; p++)
		if ((aux || !p->aux) && (statistics || p->class != PARAM_STATISTIC))
			n = add(n, param_numbers(p));
	return n;
}

int64_t graph_madds(const struct graph *g, int aux)
{
	int64_t n = 0;

	for (const struct node *i = g->node; i < g->node + g->nodes; i++)
		if (aux || !i->aux)
			n = add(n, i->madds);
	return n;
}

double node_arg(const struct node *n, const char *name)
{
	int i = op_arg_index(n->op, name);

	assert(i >= 0);
	return n->arg[i];
}

void graph_free(struct graph *g)
{
	if (!g)
		return;

	struct arena memory = *(struct arena *)g->memory;

	arena_release(&memory);
}
