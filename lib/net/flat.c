#include "net/flat.h"

#include "base/fail.h"
#include "net/net_text.h"
#include "net/number.h"
#include "net/op.h"

#include <stdlib.h>
#include <string.h>

/* ---- one step ---- */

/* "3", or "1x7" where height and width differ. */
static void add_pair(struct text *t, const int k[2])
{
	text_add(t, k[0] == k[1] ? "%d" : "%dx%d", k[0], k[1]);
}

static void add_real(struct text *t, double v, int exact)
{
	char shown[32];

	text_add(t, v < 0 ? "(%s)" : "%s", exact ? show_exact(shown, v) : show_number(shown, v));
}

/* The distribution of a node's weight, if it is not the op's own. */
static const struct param *own_init(const struct graph *g, const struct node *n)
{
	struct param_spec spec[NODE_PARAMS] = { { 0 } };
	const struct param *p = n->param[0] < 0 ? NULL : &g->param[n->param[0]];

	if (!p || p->class != PARAM_WEIGHT)
		return NULL;
	op_row(n->op)->params(n, &g->node[n->in[0]].shape, spec);
	return p->init == spec[0].init && p->spread == spec[0].spread ? NULL : p;
}

void init_write(const struct param *p, int exact, struct text *t)
{
	static const char *const names[] = { "", "normal", "trunc", "uniform" };

	if (p->init != INIT_CONSTANT)
		text_add(t, "%s(", names[p->init]);
	add_real(t, p->spread, exact);
	if (p->init != INIT_CONSTANT)
		text_add(t, ")");
}

/* Is the argument what it would be without being written? */
static int is_default(const struct graph *g, const struct node *n, int i)
{
	const struct op_arg *a = &op_row(n->op)->arg[i];
	const struct window *w = &n->window;

	switch (a->kind) {
	case ARG_WINDOW:
		return 0;
	case ARG_STRIDE:
		if (a->otherwise == ARG_AS_K)
			return w->s[0] == w->k[0] && w->s[1] == w->k[1];
		return w->s[0] == 1 && w->s[1] == 1;
	case ARG_DILATION:
		return w->dilation[0] == 1 && w->dilation[1] == 1;
	case ARG_PAD:
		return n->arg[i] == a->otherwise && (n->arg[i] < 0 || w->before[1] == w->before[0]);
	case ARG_INIT:
		return !own_init(g, n);
	default:
		return n->arg[i] == a->otherwise;
	}
}

static void add_value(struct text *t, const struct graph *g, const struct node *n, int i)
{
	const struct op_arg *a = &op_row(n->op)->arg[i];

	switch (a->kind) {
	case ARG_WINDOW:
		add_pair(t, n->window.k);
		break;
	case ARG_STRIDE:
		add_pair(t, n->window.s);
		break;
	case ARG_DILATION:
		add_pair(t, n->window.dilation);
		break;
	case ARG_PAD:
		if (n->arg[i] >= 0)
			add_pair(t, n->window.before);
		else
			text_add(t, n->arg[i] == PAD_SAME ? "same" : "half");
		break;
	case ARG_FLAG:
		text_add(t, n->arg[i] != 0 ? "yes" : "no");
		break;
	case ARG_INIT:
		init_write(own_init(g, n), 1, t);
		break;
	default:
		add_real(t, n->arg[i], 1);
	}
}

void step_write(const struct graph *g, const struct node *n, int init, struct text *t)
{
	const struct op *op = op_row(n->op);
	int by_name = 0;

	text_add(t, "%s", op->name);
	for (int i = 0; i < op_args(n->op); i++) {
		if (is_default(g, n, i) || (op->arg[i].kind == ARG_INIT && !init)) {
			by_name = 1;
			continue;
		}
		text_add(t, by_name ? " %s=" : " ", op->arg[i].name);
		add_value(t, g, n, i);
	}
}

/* ---- the network ---- */

struct writer {
	const struct graph *g;
	struct text *t;
	char *named;            /* nodes that are read as @v: found by a first writing */
	int finding;
	int heads;              /* written so far */
	int items;
};

/* A mark between items: the first of a line, or within it. */
static void next_item(struct writer *w, int line)
{
	if (w->items++)
		text_add(w->t, line ? "\n    | " : " | ");
}

static void write_at(struct writer *w, int node)
{
	text_add(w->t, "@v%d", node);
	if (w->finding)
		w->named[node] = 1;
}

static void write_as(struct writer *w, int node)
{
	if (!w->named[node] || w->finding)
		return;
	next_item(w, 0);
	text_add(w->t, "as v%d", node);
}

/* A node behind current, in its chain. */
static void write_node(struct writer *w, int i, int current)
{
	const struct node *n = &w->g->node[i];

	if (!op_row(n->op)->branches && n->in[0] != current) {
		next_item(w, 1);
		write_at(w, n->in[0]);
		next_item(w, 0);
	} else {
		next_item(w, 1);
	}
	if (*n->label)
		text_add(w->t, "%s%s: ", n->shared ? "shared " : "", n->label);
	step_write(w->g, n, 1, w->t);
	for (int k = 0; op_row(n->op)->branches && k < n->ins; k++) {
		text_add(w->t, " ");
		write_at(w, n->in[k]);
	}
	write_as(w, i);
}

/* The auxiliary head whose steps begin at node i: the node after it, or -1. */
static int write_head(struct writer *w, int i, int current)
{
	const struct head *h = &w->g->head[w->heads];
	int from = i;

	if (w->heads == w->g->heads || h->node < i)
		return fail("a head within a head cannot be written flat");
	next_item(w, 1);
	text_add(w->t, "aux ");
	add_real(w->t, h->weight, 1);
	text_add(w->t, " (");
	w->items = 0;
	for (; i <= h->node; i++) {
		const struct node *n = &w->g->node[i];

		for (int k = 0; k < n->ins; k++)
			if (!n->aux || (w->g->node[n->in[k]].aux && n->in[k] < from))
				return fail("a head within a head cannot be written flat");
		write_node(w, i, current);
		current = i;
	}
	text_add(w->t, ")");
	w->items = 1;
	w->heads++;
	return i;
}

/* Heads that only look at a value of the chain, once nodes below i are written. */
static void write_looks(struct writer *w, int i)
{
	for (; w->heads < w->g->heads; w->heads++) {
		const struct head *h = &w->g->head[w->heads];

		if (h->node >= i || w->g->node[h->node].aux)
			return;
		next_item(w, 1);
		text_add(w->t, "aux ");
		add_real(w->t, h->weight, 1);
		text_add(w->t, " (");
		write_at(w, h->node);
		text_add(w->t, ")");
	}
}

static int write_all(struct writer *w)
{
	const struct graph *g = w->g;
	int current = 0, i = 1;

	if (w->named[0] && !w->finding) {
		next_item(w, 1);
		text_add(w->t, "as v0");
	}
	while (i < g->nodes) {
		write_looks(w, i);
		if (g->node[i].aux) {
			i = write_head(w, i, current);
			TRY(i);
			continue;
		}
		write_node(w, i, current);
		current = i++;
	}
	write_looks(w, i);
	if (w->heads < g->heads)
		return fail("a head within a head cannot be written flat");
	if (current != g->out) {
		next_item(w, 1);
		write_at(w, g->out);
	}
	if (!w->items)
		text_add(w->t, "()");
	return 0;
}

int net_write_flat(const struct graph *g, struct text *t)
{
	char *named = calloc((size_t)g->nodes, 1);
	struct text trial = { 0 };
	struct writer find = { .g = g, .t = &trial, .named = named, .finding = 1 };
	struct writer w = { .g = g, .t = t, .named = named };
	int bad;

	if (!named)
		return fail("out of memory");
	bad = write_all(&find);
	text_release(&trial);
	if (!bad) {
		text_add(t, "input %d %d %d\n", g->input.h, g->input.w, g->input.c);
		if (g->heads && g->node[g->head[0].node].shape.c != 1000)
			text_add(t, "param classes = %d\n", g->node[g->head[0].node].shape.c);
		text_add(t, "net = ");
		bad = write_all(&w);
		text_add(t, "\n");
	}
	free(named);
	return bad;
}
