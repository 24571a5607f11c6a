#include "net/flat.h"
#include "net/net_text.h"
#include "net/op.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 100, STEP_MOST = 24 };

/* Parameters without statistics that a node is the first to own. */
static int64_t owned(const struct graph *g, int index, int *seen)
{
	int64_t sum = 0;

	for (int k = 0; k < NODE_PARAMS; k++) {
		int p = g->node[index].param[k];

		/* parameters are numbered as nodes come to own them */
		if (p < *seen)
			continue;
		*seen = p + 1;
		if (g->param[p].class != PARAM_STATISTIC)
			sum += param_numbers(&g->param[p]);
	}
	return sum;
}

/* The end of a text that is too long says more of a name; the beginning of a step. */
static void add_cell(struct text *t, const char *s, int width, int keep_end)
{
	int n = (int)strlen(s);

	if (n <= width)
		text_add(t, "%-*s", width, s);
	else if (keep_end)
		text_add(t, "..%s", s + n - width + 2);
	else
		text_add(t, "%.*s..", width - 2, s);
}

static void at_least(int *width, int n)
{
	*width = n > *width ? n : *width;
}

static int digits(int64_t n)
{
	return snprintf(NULL, 0, "%" PRId64, n);
}

static void add_number(struct text *t, int width, int64_t n)
{
	if (n)
		text_add(t, "  %*" PRId64, width, n);
	else
		text_add(t, "  %*s", width, "");
}

/* A line without blanks at its end. */
static void end_line(struct text *t)
{
	while (t->length && t->data[t->length - 1] == ' ')
		t->data[--t->length] = '\0';
	text_add(t, "\n");
}

static void add_sums(const struct graph *g, struct text *t)
{
	int64_t params = graph_count(g, 1, 0), aux = params - graph_count(g, 0, 0);

	text_add(t,
		 "%d steps, %" PRId64 " parameters and %" PRId64 " statistics, %" PRId64
		 " multiply-adds\n",
		 g->nodes - 1, params, graph_count(g, 1, 1) - params, graph_madds(g, 0));
	if (g->heads)
		text_add(t,
			 "auxiliary heads (training only): %d, %" PRId64
			 " of the parameters, %" PRId64 " multiply-adds besides\n",
			 g->heads, aux, graph_madds(g, 1) - graph_madds(g, 0));
}

struct columns { int name, step, output, params, madds; };

static char *words_of(const struct graph *g, const struct node *n)
{
	struct text t = { 0 };

	step_write(g, n, 0, &t);
	return text_take(&t);
}

/* As wide as what stands in them; of names what is left of a line. */
static struct columns measure(const struct graph *g)
{
	struct columns c = { 5, 4, 6, 10, 13 };
	int seen = 0, left;

	for (int i = 0; i < g->nodes; i++) {
		const struct node *n = &g->node[i];
		char *words = words_of(g, n), shape[64];

		at_least(&c.name, (int)strlen(n->label));
		at_least(&c.step, words ? (int)strlen(words) : 0);
		at_least(&c.output, (int)strlen(shape_show(shape, &n->shape)));
		at_least(&c.params, digits(owned(g, i, &seen)));
		at_least(&c.madds, digits(n->madds));
		free(words);
	}
	c.step = c.step < STEP_MOST ? c.step : STEP_MOST;
	left = COLUMNS - c.step - c.output - c.params - c.madds - 4 * 2;
	c.name = c.name < left ? c.name : left;
	return c;
}

void net_write_table(const struct graph *g, struct text *t)
{
	const struct columns c = measure(g);
	int seen = 0;

	text_add(t, "%-*s  %-*s  %*s  %*s  %*s\n", c.name, "layer", c.step, "step", c.output,
		 "output", c.params, "parameters", c.madds, "multiply-adds");
	for (int i = 0; i < g->nodes; i++) {
		const struct node *n = &g->node[i];
		char *words = words_of(g, n), shape[64];

		add_cell(t, n->label, c.name, 1);
		text_add(t, "  ");
		add_cell(t, words ? words : "", c.step, 0);
		text_add(t, "  %*s", c.output, shape_show(shape, &n->shape));
		add_number(t, c.params, owned(g, i, &seen));
		add_number(t, c.madds, n->madds);
		end_line(t);
		free(words);
	}
	add_sums(g, t);
}

void net_write_params(const struct graph *g, struct text *t)
{
	static const char *const classes[] = { "weight", "gain", "bias", "statistic" };

	for (const struct param *p = g->param; p < g->param + g->params; p++) {
		char shape[64];
		size_t used = 0;

		for (int i = 0; i < p->rank; i++)
			used += (size_t)snprintf(shape + used, sizeof(shape) - used, "%s%d",
						 i ? "x" : "", p->dim[i]);
		text_add(t, "%-44s %-16s %-9s ", p->name, shape, classes[p->class]);
		init_write(p, 0, t);
		text_add(t, "%s\n", p->aux ? " aux" : "");
	}
}
