/*
 * The table of ops: the only description of an op that readers of text, writers of
 * text and counters of parameters look at. A new op is a row in op.c, a member of
 * enum op_id in its place, and its lowering to plain steps.
 */
#ifndef NET_OP_H
#define NET_OP_H

#include "net/graph.h"

#include <stdint.h>

/* "aux WEIGHT HEAD" is a word of the table but makes no node of its own. */
enum { OP_AUX = OP_COUNT, OP_WORDS };

enum arg_kind {
	ARG_NONE,
	ARG_WINDOW, ARG_STRIDE, ARG_DILATION,   /* a number or a pair, >= 1: node.window */
	ARG_PAD,                /* number, pair, half, same: node.window.before, after */
	ARG_SIZE,               /* a whole number >= 1 */
	ARG_WHOLE,              /* a whole number */
	ARG_REAL,
	ARG_FLAG,               /* 0 or 1 */
	ARG_INIT,               /* a distribution: param.init, param.spread */
	ARG_CHAIN,              /* steps */
};

/*
 * What node.arg holds where it is not the number itself. For windows and paddings it
 * is the height's number; both numbers are in node.window.
 */
enum { PAD_HALF = -1, PAD_SAME = -2 };

/* Defaults that are no numbers. */
#define ARG_REQUIRED (-1e300)   /* must be given */
#define ARG_ALL 0.0             /* a window: all that arrives */
#define ARG_AS_K (-1e200)       /* a stride: the window's k */

struct op_arg {
	const char *name;
	enum arg_kind kind;
	double otherwise;       /* the default */
};

/* A parameter that a node owns. */
struct param_spec {
	const char *suffix;     /* of its name: "weight"; "": none; NULL: absent */
	int rank;
	int64_t dim[4];
	enum param_class class;
	enum init_kind init;    /* the default: */
	double spread;
	double fan_in, fan_out; /* what formulas of init= may speak of */
};

struct op {
	const char *name;
	struct op_arg arg[OP_ARGS];     /* kind ARG_NONE ends them */
	int branches;           /* takes two branches or more instead of arguments */
	/*
	 * The output's height, width, channels from the node's arguments and the shapes
	 * that arrive (one; branches: node.ins); resolves node.window. 0 or -1 with the
	 * cause ("conv: ...", no place).
	 */
	int (*shape)(struct node *, const struct shape *in, int64_t out[3]);
	/* Fills spec[i] for node.param[i]; it comes zeroed. NULL: the op has none. */
	void (*params)(const struct node *, const struct shape *in,
		       struct param_spec spec[NODE_PARAMS]);
};

/* id: an enum op_id, or OP_AUX. */
const struct op *op_row(int id);

/* The id of a word; -1: no such op. The input is no word. */
int op_find(const char *name);

/* Place of an argument in node.arg; -1: the op has none of this name. */
int op_arg_index(int id, const char *name);

/* Arguments of the op. */
int op_args(int id);

/* "3x3", or "224x224x3": into a buffer of at least 64 bytes, which it gives back. */
const char *shape_show(char *buffer, const struct shape *);

#endif
