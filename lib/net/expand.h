/* The expansion of a text that was read into a graph. Private to expand.c, evaluate.c,
 * build.c and report.c. */
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
	struct source *s;
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
int run(struct expander *, const struct ast *e, struct env *, struct values *flow, const struct where *);
int run_call(struct expander *, struct def *, const struct ast *e, struct env *, struct values *flow,
	     const struct where *);
/* An argument that is a chain, a def, a step or (). */
int run_meaning(struct expander *, const struct meaning *, struct values *flow, const struct where *,
		struct at);
void env_leave(struct env *);
/* The only value, or -1 saying who takes one. */
int only(struct expander *, const struct values *, struct at, const char *who);

/* ---- evaluate.c ---- */

/* An argument's or counter's meaning; NULL: no name there. */
const struct meaning *env_var(const struct env *, const struct symbol *);
int lookup(struct expander *, struct symbol *, const struct env *, struct at, struct meaning *);
/* An argument: a number, a name's meaning, or a chain with its names. */
int value(struct expander *, const struct ast *, struct env *, const struct values *, struct meaning *);
/* A number; pairs if allowed; a distribution. ins: NULL where nothing arrives. */
int number(struct expander *, const struct ast *, struct env *, const struct values *ins, int pair,
	   struct meaning *);
/* The arguments of a def: fills inner. e: an application or a name. */
int bind(struct expander *, struct def *, const struct ast *e, struct env *, const struct values *,
	 struct env *inner);
int whole(struct expander *, const struct meaning *, struct at, const char *what, int least, int *);
int add_var(struct expander *, struct env *, struct symbol *, const struct meaning *);
int is_true(struct expander *, const struct meaning *, struct at, int *);
int tick(struct expander *, struct at);
int is_function(const struct source *, const struct symbol *);

/* ---- build.c ---- */

/* Applies an op. e: an application, or a name (no arguments). */
int run_op(struct expander *, int op, const struct ast *e, struct env *, struct values *flow,
	   const struct where *);
int add_node(struct expander *, const struct node *, const int64_t shape[3], const struct where *,
	     struct at);

/* ---- report.c ---- */

/* The reason, with the shapes that arrive (ins may be NULL) and the expansions around; -1. */
int report(struct expander *, struct at, const struct values *ins, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* What the user may have meant, as "; relu?", or "": into a buffer of 100 bytes. */
const char *near(struct expander *, const struct symbol *, const struct env *, char *buffer);
/* A meaning for messages: into a buffer of 100 bytes. */
const char *show_meaning(char buffer[100], const struct meaning *);
/* The labels, dotted, and a NUL: path->total + 1 bytes. */
void path_write(const struct path *, char *);

#endif
