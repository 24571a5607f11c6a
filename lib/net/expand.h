/* The expansion of a text that was read into a graph. Private to expand.c, evaluate.c,
 * arguments.c, build.c and report.c. */
#ifndef NET_EXPAND_H
#define NET_EXPAND_H

#include "net/graph.h"
#include "net/op.h"
#include "net/syntax.h"

struct var {
	struct symbol *name;
	struct meaning meaning;
	struct var *next;
};

/* Names in force. An environment lives on the C stack while what it holds is built. */
struct env {
	struct env *up;
	int order;              /* only defs above it are seen */
	struct var *vars;       /* arguments, counters */
	const struct table *table;      /* and the columns of a row; NULL */
	const struct meaning *row;
	struct naming *namings; /* by "as" */
};

/* A value that "as" has named. */
struct naming {
	struct symbol *name;
	struct env *env;
	struct named *by;
	int node;
	struct naming *outer;   /* of the same name */
	struct naming *next;    /* of the same environment */
};

/* Labels, innermost first. */
struct path {
	const char *label;
	size_t length, total;   /* of this one; of all with the dots */
	const struct path *up;
};

/* Where steps are being built. */
struct where {
	const struct path *path;
	int *counter;           /* of the [ ] around; NULL: members take no number here */
	int shared, aux;
};

/* An expansion of a def. */
struct frame {
	struct def *def;
	const struct env *env;  /* its arguments */
	struct at at;
	const struct path *path;
	int index;
	struct frame *up;
};

/* The values that arrive at a step, or leave it: nodes. */
struct values { int count; const int *at; };

struct expander {
	struct net_source *s;
	int counted;            /* the second pass: count() is known */
	struct arena scratch;   /* of this pass */
	struct arena memory;    /* the graph's */
	struct symbols names;   /* of nodes: number counts those named so */
	struct symbols params;  /* number: the parameter's, plus 1 */
	struct graph g;
	int node_room, param_room, head_room;
	struct frame *frame;
	int frames, depth, numbers, work;
	struct named *seen, **seen_end; /* by "as", in order */
	int64_t numbers_owned;  /* in all parameters */
};

/* ---- expand.c ---- */

/* Builds what e says behind the values in *flow; then those that leave stand there. */
int expand(struct expander *, const struct ast *e, struct env *, struct values *flow,
	   const struct where *);
int expand_call(struct expander *, struct def *, const struct ast *e, struct env *,
		struct values *flow, const struct where *);
/* An argument that is a chain, a def, a step or (). */
int expand_meaning(struct expander *, const struct meaning *, struct values *flow,
		   const struct where *, struct at);
void env_leave(struct env *);
/* The only value, or -1 saying who takes one. */
int expand_only(struct expander *, const struct values *, struct at, const char *who);

/* ---- evaluate.c ---- */

/* An argument's or counter's meaning; NULL: no name there. */
const struct meaning *env_var(const struct env *, const struct symbol *);
int env_lookup(struct expander *, struct symbol *, const struct env *, struct at, struct meaning *);
/* An argument: a number, a name's meaning, or a chain with its names. */
int eval_argument(struct expander *, const struct ast *, struct env *, const struct values *,
		  struct meaning *);
/* A number; pairs if allowed; a distribution. ins: NULL where nothing arrives. */
int eval_number(struct expander *, const struct ast *, struct env *, const struct values *ins,
		int pair, struct meaning *);
/* The arguments of a def: fills inner. e: an application or a name. */
int eval_bind(struct expander *, struct def *, const struct ast *e, struct env *,
	      const struct values *, struct env *inner);
int eval_whole(struct expander *, const struct meaning *, struct at, const char *what, int least,
	       int *);
int env_add(struct expander *, struct env *, struct symbol *, const struct meaning *);
int eval_truth(struct expander *, const struct meaning *, struct at, int *);
int expand_tick(struct expander *, struct at);
int eval_is_function(const struct net_source *, const struct symbol *);

/* ---- arguments.c ---- */

/* Arguments of an op that a node has no place for. */
struct op_rest {
	const struct ast *init; /* a distribution: NULL: the op's own */
	struct env *env;
	struct meaning head;    /* of aux */
};

/* Fills arg and window of the node, as far as they can be known before its shape. e: an
 * application, or a name (no arguments). 0 or -1. */
int expand_arguments(struct expander *, int op, const struct ast *e, struct env *,
		     const struct values *ins, struct node *, struct op_rest *);

/* ---- build.c ---- */

/* Applies an op. e: an application, or a name (no arguments). */
int expand_op(struct expander *, int op, const struct ast *e, struct env *, struct values *flow,
	   const struct where *);
int expand_node(struct expander *, const struct node *, const int64_t shape[3],
		const struct where *, struct at);

/* ---- report.c ---- */

/* The reason, with the shapes that arrive (ins may be NULL) and the expansions around; -1. */
int expand_fail(struct expander *, struct at, const struct values *ins, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* What the user may have meant, as "; relu?", or "": into a buffer of 100 bytes. */
const char *expand_near(struct expander *, const struct symbol *, const struct env *, char *buffer);
/* A meaning for messages: into a buffer of 100 bytes. */
const char *show_meaning(char buffer[100], const struct meaning *);
/* The labels, dotted, and a NUL: path->total + 1 bytes. */
void path_write(const struct path *, char *);

#endif
