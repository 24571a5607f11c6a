/*
 * A network as data: what net(5) text becomes, and what programs are made from. A
 * list of nodes in order of computation, each the application of one op of the table
 * (op.h) to values of earlier nodes, with the parameters it owns. Shapes are of one
 * sample. The graph knows no memory, no batch and no device.
 */
#ifndef NET_GRAPH_H
#define NET_GRAPH_H

#include <stdint.h>

struct shape { int h, w, c; };

enum op_id {
	OP_INPUT, OP_CONV, OP_LINEAR, OP_BN, OP_LAYERNORM, OP_SCALE, OP_LRN,
	OP_MAXPOOL, OP_AVGPOOL,
	OP_RELU, OP_RELU6, OP_SIGMOID, OP_TANH, OP_SWISH, OP_GELU, OP_HARDSWISH, OP_HARDSIGMOID,
	OP_DROPOUT, OP_DROPPATH, OP_PAD, OP_SLICE, OP_SHUFFLE,
	OP_SUM, OP_CAT, OP_MUL,
	OP_COUNT
};

enum { OP_ARGS = 12, NODE_PARAMS = 4 };

/* What a parameter is: decides decay and gradient. */
enum param_class {
	PARAM_WEIGHT,           /* decays */
	PARAM_GAIN,             /* does not decay */
	PARAM_BIAS,             /* does not decay */
	PARAM_STATISTIC,        /* running mean or variance: no gradient */
};

/* Where initial values are drawn from; value: deviation, bound, or the constant. */
enum init_kind { INIT_CONSTANT, INIT_NORMAL, INIT_TRUNC, INIT_UNIFORM };

struct param {
	const char *name;       /* "layer1.0.conv1.weight" */
	int rank, dim[4];       /* convolution OIHW, linear OI, else one dimension */
	enum param_class class;
	enum init_kind init;
	double spread;
	int aux, shared;
};

/* A sliding window, resolved to numbers: [0] height, [1] width. */
struct window { int k[2], s[2], dilation[2], before[2], after[2]; };

struct node {
	enum op_id op;
	struct shape shape;     /* of its output */
	int ins, *in;           /* nodes it reads */
	double arg[OP_ARGS];    /* by the op's table row: numbers and flags */
	struct window window;   /* convolution and pools */
	/*
	 * Indices of parameters, -1 where absent. conv, linear: weight, bias.
	 * bn: gain, bias, running mean, running variance. layernorm: gain, bias.
	 * scale: gain.
	 */
	int param[NODE_PARAMS];
	int64_t madds;          /* multiply-adds of one sample */
	const char *name;       /* labels dotted, then the word, "~2" for the second there */
	const char *label;      /* the labels alone, dotted; "" if none */
	int aux, shared;
	int line, column;       /* in the text */
};

struct head { int node; double weight; };       /* an auxiliary classifier */

struct graph {
	struct shape input;
	int classes;
	int nodes, params, heads;
	struct node *node;      /* node[0] is the input */
	struct param *param;
	struct head *head;
	int out;                /* the node that gives the logits */
	void *memory;           /* all of the above lives here */
};

/* Numbers in a parameter. */
int64_t param_numbers(const struct param *);

/* Parameters, statistics left out unless asked for; auxiliary heads counted if aux. */
int64_t graph_count(const struct graph *, int aux, int statistics);
int64_t graph_madds(const struct graph *, int aux);

/* An argument of a node by the table's name of it ("eps"); the name must exist (assert). */
double node_arg(const struct node *, const char *name);

void graph_free(struct graph *);        /* NULL: nothing */

#endif
