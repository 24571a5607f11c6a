/*
 * The drawing of a network. A box is at most one step that does something to the shape
 * or joins branches, with the norms and activations around it that nothing else reads:
 * so a convolution, its norm and its activation are one box.
 */
#include "base/fail.h"
#include "net/flat.h"
#include "net/net_text.h"
#include "net/op.h"

#include <stdio.h>
#include <stdlib.h>

struct drawing {
	const struct graph *g;
	int *readers;           /* of each node */
	int *box;               /* of each node: the first node of its box */
	int *body;              /* of each box: the step it is about, -1: none yet */
};

/* What may stand in a box beside another step. */
static int is_small(enum op_id op)
{
	switch (op) {
	case OP_BN:
	case OP_LAYERNORM:
	case OP_SCALE:
	case OP_LRN:
	case OP_RELU:
	case OP_RELU6:
	case OP_SIGMOID:
	case OP_TANH:
	case OP_SWISH:
	case OP_GELU:
	case OP_HARDSWISH:
	case OP_HARDSIGMOID:
	case OP_DROPOUT:
	case OP_DROPPATH:
		return 1;
	default:
		return 0;
	}
}

static void find_boxes(struct drawing *d)
{
	const struct graph *g = d->g;

	for (int i = 0; i < g->nodes; i++)
		for (int k = 0; k < g->node[i].ins; k++)
			d->readers[g->node[i].in[k]]++;
	for (int i = 0; i < g->nodes; i++) {
		const struct node *n = &g->node[i];
		int from = n->ins == 1 ? n->in[0] : -1, box = i;

		if (from > 0 && d->readers[from] == 1 && n->aux == g->node[from].aux &&
		    (is_small(n->op) || d->body[d->box[from]] < 0))
			box = d->box[from];
		if (box == i)
			d->body[i] = -1;
		d->box[i] = box;
		if (!is_small(n->op))
			d->body[box] = i;
	}
}

static const char *colour(enum op_id op)
{
	switch (op) {
	case OP_CONV:
	case OP_LINEAR:
		return "#dbe9f6";
	case OP_MAXPOOL:
	case OP_AVGPOOL:
		return "#e2f0d9";
	case OP_SUM:
	case OP_CAT:
	case OP_MUL:
		return "#fff2cc";
	default:
		return "#f2f2f2";
	}
}

/* A line for the step that the box is about, one for each row of small ones; an ellipse has
 * room for one only. */
static void box_steps(const struct drawing *d, int box, struct text *t)
{
	int row = 0;

	for (int i = box; i < d->g->nodes; i++) {
		const struct node *n = &d->g->node[i];

		if (d->box[i] != box)
			continue;
		if (is_small(n->op)) {
			text_add(t, "%s%s", row ? ", " : "\\n", op_row(n->op)->name);
			row = 1;
			continue;
		}
		text_add(t, "\\n");
		step_write(d->g, n, 0, t);
		row = n->ins > 1;
	}
}

static void box_write(const struct drawing *d, int box, struct text *t)
{
	const struct node *n = &d->g->node[d->body[box] < 0 ? box : d->body[box]];
	struct text steps = { 0 };

	box_steps(d, box, &steps);
	text_add(t, "\tn%d [label=\"%s%s\", fillcolor=\"%s\"%s%s];\n", box, n->label,
		 !steps.data ? "" : *n->label ? steps.data : steps.data + 2, colour(n->op),
		 n->ins > 1 ? ", shape=ellipse" : "", n->aux ? ", style=\"filled,dashed\"" : "");
	t->failed |= steps.failed;
	text_release(&steps);
}

static void edges_write(const struct drawing *d, int node, struct text *t)
{
	const struct node *n = &d->g->node[node];
	char shape[64];

	for (int k = 0; k < n->ins; k++) {
		int from = n->in[k];

		if (d->box[from] != d->box[node])
			text_add(t, "\tn%d -> n%d [label=\" %s\"%s];\n", d->box[from], d->box[node],
				 shape_show(shape, &d->g->node[from].shape),
				 n->aux ? ", style=dashed" : "");
	}
}

static void end_write(const struct drawing *d, int number, int from, const char *what,
		      struct text *t)
{
	char shape[64];

	text_add(t, "\tout%d [label=\"%s\", shape=plaintext, style=\"\"];\n", number, what);
	text_add(t, "\tn%d -> out%d [label=\" %s\"];\n", d->box[from], number,
		 shape_show(shape, &d->g->node[from].shape));
}

static void drawing_write(const struct drawing *d, struct text *t)
{
	const struct graph *g = d->g;
	char what[64];

	text_add(t, "digraph network {\n"
		    "\tgraph [ranksep=0.3, nodesep=0.25];\n"
		    "\tnode [shape=box, style=filled, fontname=\"Helvetica\", fontsize=11, "
		    "height=0.3, margin=\"0.1,0.05\"];\n"
		    "\tedge [fontname=\"Helvetica\", fontsize=9, arrowsize=0.6];\n");
	for (int i = 0; i < g->nodes; i++)
		if (d->box[i] == i)
			box_write(d, i, t);
	for (int i = 0; i < g->nodes; i++)
		edges_write(d, i, t);
	end_write(d, 0, g->out, "logits", t);
	for (int i = 0; i < g->heads; i++) {
		snprintf(what, sizeof(what), "auxiliary loss, weight %.9g", g->head[i].weight);
		end_write(d, i + 1, g->head[i].node, what, t);
	}
	text_add(t, "}\n");
}

int net_write_dot(const struct graph *g, struct text *t)
{
	int *memory = calloc((size_t)g->nodes * 3, sizeof(*memory));
	struct drawing d = { g, memory, memory + g->nodes, memory + g->nodes * 2 };

	if (!memory)
		return fail("out of memory");
	find_boxes(&d);
	drawing_write(&d, t);
	free(memory);
	return 0;
}
