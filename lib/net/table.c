#include "net/flat.h"
#include "net/net_text.h"
#include "net/op.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 36, STEP_MOST = 26 };

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

static int width_of(const char *text, int most)
{
	size_t n = strlen(text);

	return n > (size_t)most ? most : (int)n;
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

void net_write_table(const struct graph *g, struct text *t)
{
	int name = 5, step = 4, output = 6, seen = 0;
	char shape[64];

	for (const struct node *n = g->node; n < g->node + g->nodes; n++) {
		struct text s = { 0 };
		char *words;

		step_write(g, n, 0, &s);
		words = text_take(&s);
		if (words && width_of(words, STEP_MOST) > step)
			step = width_of(words, STEP_MOST);
		free(words);
		if (width_of(n->label, NAME_MOST) > name)
			name = width_of(n->label, NAME_MOST);
		if (width_of(shape_show(shape, &n->shape), 20) > output)
			output = width_of(shape, 20);
	}
	text_add(t, "%-*s  %-*s  %*s  %10s  %13s\n", name, "layer", step, "step", output, "output",
		 "parameters", "multiply-adds");
	for (int i = 0; i < g->nodes; i++) {
		const struct node *n = &g->node[i];
		struct text s = { 0 };
		char *words;

		step_write(g, n, 0, &s);
		words = text_take(&s);
		add_cell(t, n->label, name, 1);
		text_add(t, "  ");
		add_cell(t, words ? words : "", step, 0);
		text_add(t, "  %*s", output, shape_show(shape, &n->shape));
		add_number(t, 10, owned(g, i, &seen));
		add_number(t, 13, n->madds);
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
