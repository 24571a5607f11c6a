#include "net/net_text.h"

#include "base/fail.h"
#include "net/expand.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One pass: from the text's declarations to nodes and parameters. 0 or -1. */

static int input(struct expander *x, const struct where *w)
{
	struct node n = { .op = OP_INPUT };
	struct env env = { .order = x->s->defs };
	int64_t shape[3];

	for (int i = 0; i < 3; i++) {
		const struct ast *e = x->s->input[i];
		struct meaning m;
		int v;

		TRY(eval_number(x, e, &env, NULL, 0, &m));
		TRY(eval_whole(x, &m, e->at, "input", 1, &v));
		shape[i] = v;
	}
	return expand_node(x, &n, shape, w, x->s->input_at);
}

/* What is computed must be used, and what is named. */
static int check_used(struct expander *x)
{
	char *live = arena_alloc(&x->scratch, (size_t)x->g.nodes), shape[64];
	const struct node *n;

	if (!live)
		return -1;
	live[x->g.out] = 1;
	for (int i = 0; i < x->g.heads; i++)
		live[x->g.head[i].node] = 1;
	for (int i = x->g.nodes - 1; i >= 0; i--)
		for (int k = 0; live[i] && k < x->g.node[i].ins; k++)
			live[x->g.node[i].in[k]] = 1;
	for (int i = 0; i < x->g.nodes; i++) {
		n = &x->g.node[i];
		if (!live[i])
			return net_source_fail(x->s, (struct at){n->line, n->column},
					       "nothing uses what this %s gives (%s)",
					       op_row(n->op)->name, shape_show(shape, &n->shape));
	}
	for (const struct named *v = x->seen; v; v = v->next_seen)
		if (!v->used)
			return net_source_fail(x->s, v->at, "nothing uses @%s", v->name->text);
	return 0;
}

static int pass(struct expander *x)
{
	struct where outside = { NULL, NULL, 0, 0 };
	struct env env = { .order = x->s->defs };
	int start[1] = { 0 };
	struct values flow = { 1, start };

	x->names.memory = x->params.memory = &x->scratch;
	x->seen_end = &x->seen;
	TRY(input(x, &outside));
	TRY(expand(x, x->s->net, &env, &flow, &outside));
	env_leave(&env);
	x->g.out = expand_only(x, &flow, x->s->net_at, "net");
	TRY(x->g.out);
	return check_used(x);
}

static void pass_release(struct expander *x)
{
	symbols_release(&x->names);
	symbols_release(&x->params);
	arena_release(&x->scratch);
	arena_release(&x->memory);
	free(x->g.node);
	free(x->g.param);
	free(x->g.head);
}

/* Between the passes: what the first counted, the second knows. */
static void next_pass(struct net_source *s, struct expander *first)
{
	for (struct symbol *y = s->owned; y; y = y->next_owned) {
		if (y->def) {
			y->def->known = y->def->calls;
			y->def->calls = 0;
		}
	}
	for (struct named *v = first->seen; v; v = v->next_seen)
		v->seen = v->used = 0;
}

/* The graph in memory of its own: what the expander has grown is copied there. */
static struct graph *finish(struct expander *x)
{
	struct graph *g = arena_alloc(&x->memory, sizeof(*g));
	struct arena *memory = arena_alloc(&x->memory, sizeof(*memory));
	struct node *node = arena_alloc(&x->memory, (size_t)x->g.nodes * sizeof(*node));
	struct param *param = arena_alloc(&x->memory, (size_t)x->g.params * sizeof(*param));
	struct head *head = arena_alloc(&x->memory, (size_t)x->g.heads * sizeof(*head));

	if (!g || !memory || !node || !param || !head)
		return NULL;
	*g = x->g;
	memcpy(node, x->g.node, (size_t)g->nodes * sizeof(*node));
	if (g->params)
		memcpy(param, x->g.param, (size_t)g->params * sizeof(*param));
	if (g->heads)
		memcpy(head, x->g.head, (size_t)g->heads * sizeof(*head));
	g->node = node;
	g->param = param;
	g->head = head;
	g->input = node[0].shape;
	g->classes = node[g->out].shape.c;
	*memory = x->memory;
	g->memory = memory;
	x->memory = (struct arena){ 0 };
	return g;
}

struct graph *net_read(const char *file, const char *text, size_t bytes, const char *const *set,
		       int sets)
{
	struct net_source s;
	struct expander first = { .s = &s }, second = { .s = &s, .counted = 1 };
	struct graph *g = NULL;

	if (net_source_read(&s, file, text, bytes, set, sets) < 0 || pass(&first) < 0)
		goto out;
	next_pass(&s, &first);
	if (pass(&second) < 0)
		goto out;
	g = finish(&second);
out:
	pass_release(&first);
	pass_release(&second);
	net_source_release(&s);
	return g;
}
