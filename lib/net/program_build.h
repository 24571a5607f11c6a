/*
 * What the files that make a program share: program.c drives params.c, lower.c,
 * backward.c, update.c, fold.c, layout.c, join.c and plan.c in this order. Private to lib/net.
 *
 * Memory that runs out while values and steps are added leaves a reason and sets
 * build.failed; indices given from then on are valid but mean nothing, and the driver
 * stops after the pass.
 */
#ifndef NET_PROGRAM_BUILD_H
#define NET_PROGRAM_BUILD_H

#include "net/program.h"

/* Vectors over channels are padded to this, and so are blocked layouts' channels. */
enum { VECTOR_BLOCK = 16, ARENA_ALIGN = 64 };

/* Memory that lives as long as the program, and what PACK steps there are. */
struct chunk {
	struct chunk *next;
	size_t used, room;
	_Alignas(16) unsigned char data[];
};

struct packed {
	int master, value;
	const char *key;
};

struct memory_list {
	struct chunk *chunk;
	struct packed *packed;
	int packed_count, packed_room;
	struct step *fold;              /* FOLD steps that are not in the list yet */
	int folds;
};

/* What making a program knows of a value beyond struct value. */
struct fact {
	int maker;              /* the step that writes it; -1: nobody */
	int like;               /* the value whose layout it begins with; -1: its step's in[0] */
	int of;                 /* it is a part of this value's gradient; -1 */
	int wants;              /* a gradient, because parameters stand before it */
	int part, part_last;    /* parts of its gradient, first and last in build.parts; -1 */
	int copy;               /* the first copy of it in another layout; -1 */
	int next_copy;          /* of the value that this one is a copy of; -1 */
};

struct gradient_part { int value, next; };

struct build {
	struct program *p;
	struct fact *fact;      /* of each value */
	int fact_room;
	int *node_value;        /* of each node of the graph; -1 */
	char *needed;           /* node: the result depends on it */
	int *uses;              /* of each parameter: steps that will give a gradient */
	int *uses_left;
	struct gradient_part *parts, *param_parts;
	int part_count, part_room;
	int *param_part;        /* of each parameter, the last part of its gradient; -1 */
	size_t tail;            /* bytes taken in ARENA_GRAD */
	int failed;
};

/*
 * program.c: a program of what fill adds instead of the passes, with layouts, sizes,
 * brackets and the places of masters settled; then prepared and planned as any. So
 * tests make programs of single steps. fill: 0 or -1.
 */
typedef int program_fill(struct build *, void *context);
struct program *program_of(const struct graph *, const struct program_options *,
			   const struct target *, program_fill *, void *context);

/* values, steps, memory */
struct shape4 { int n, h, w, c; };
int value_add(struct build *, struct shape4, struct layout, enum arena, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
int step_add(struct build *, enum step_kind, enum part, int node, const void *attr);
void step_reads(struct build *, int step, int value);   /* -1: an absent operand */
void step_writes(struct build *, int step, int value);  /* likewise */
/* Frees what program_alloc() gave. */
void memory_release(struct program *);
char *program_text(struct program *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for so many values and steps, so that none moves until then. 0 or -1. */
int program_reserve(struct program *, int values, int steps);
/* 0, or -1 if the value would be too large. */
int value_measure(struct value *);
/* Steps first .. last that run together with this one. */
void step_extent(const struct program *, int step, int *first, int *last);
/* Is a word in a list separated by commas? */
int listed(const char *list, const char *word);

static inline struct shape4 value_shape(const struct value *v)
{
	struct shape4 s = { v->n, v->h, v->w, v->c };

	return s;
}

static inline int pad_to(int n, int to)
{
	return (n + to - 1) / to * to;
}

static inline size_t align_up(size_t n)
{
	return (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

/* Layouts. */
static inline struct layout layout_bare(int c, enum dtype type)         /* NHWC, no padding */
{
	struct layout l = { c, c, type };

	return l;
}

static inline struct layout layout_rows(int c)                          /* of "rows" */
{
	return layout_bare(pad_to(c, VECTOR_BLOCK), DTYPE_F32);
}

static inline int layout_same(struct layout a, struct layout b)
{
	return a.block == b.block && a.pad == b.pad && a.type == b.type;
}

/* params.c: masters, gradients, slots and running statistics, at offsets that are a
 * function of the graph alone. */
int build_params(struct build *);
/* lower.c: the forward steps. */
int build_forward(struct build *);
/* backward.c: gradients of what build_forward() left. */
int build_backward(struct build *);
/* update.c: REDUCE and UPDATE parts. */
int build_update(struct build *);
/* fold.c: in evaluation, convolutions that take over the batch norm behind them. The FOLD
 * steps come into the list each before the first PACK step that reads its result, so that
 * what is packed anew lives shortly; or after all others: fold_next() appends one of those
 * left, 1, 0 if there is none, -1. */
int build_folds(struct build *);
int fold_next(struct program *);
/* After all steps are prepared: results that PACK steps alone read are not kept. */
void folds_settle(struct program *);
/* layout.c: layouts, COPY steps. Sizes of all values are known afterwards. */
int build_layouts(struct build *);
/* join.c: brackets, and the order of steps that they need. */
int build_brackets(struct build *);
/* update.c: a REDUCE goes into backward, to where its range is complete. */
int build_buckets(struct build *);
/* plan.c: lifetimes, offsets, sizes of arenas. */
int program_plan(struct program *);
/* The most bytes of ARENA_WORK that live at one step: no plan can need less. */
size_t program_live(const struct program *, int *at_step);
/* show.c: bytes as "64", "38.1K", "38.1M", "1.23G" (of 1024). */
enum { SIZE_TEXT = 24 };
void size_show(char text[SIZE_TEXT], size_t bytes);

#endif
