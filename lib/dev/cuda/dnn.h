/*
 * Convolutions by cuDNN 9's graph API, alone and with what is fused to them. All of its
 * descriptors are made in dnn.c (engines, plans) and dnn_graph.c (graphs). Tensors are
 * NHWC, filters KRSC (output channel, row, column, input channel of the group), packed.
 *
 * A graph is described by its numbers; a plan is a graph with an engine chosen for it.
 * Plans can be made for a device that is not there, by its properties: so tests see that
 * a network has an engine for every convolution, and net-cat shows which.
 */
#ifndef DEV_CUDA_DNN_H
#define DEV_CUDA_DNN_H

#include "base/dtype.h"
#include "net/program.h"

enum dnn_kind {
	DNN_FORWARD,            /* x, w -> y */
	DNN_DX,                 /* y (its gradient), w -> x (its gradient) */
	DNN_DW,                 /* x, y (its gradient) -> w (its gradient, in the graph's type) */
	DNN_KINDS
};

/* What is fused; precompiled engines for it, up to SKIP, are for fp16 only. */
enum dnn_fuse {
	DNN_STATS = 1,          /* FORWARD: sums of y and y^2 over n, h, w */
	DNN_PROLOGUE = 2,       /* FORWARD, DW: relu(a x + b) in x's place */
	DNN_RELU_SUMS = 4,      /* DX: the gradient masked where relu(gain xhat + bias) was 0,
				   stored as x; and the sums of batch norm's backward */
	DNN_SKIP = 8,           /* with PROLOGUE and STATS, FORWARD, 1x1: relu(a x + b + z),
				   stored as T */
	DNN_PLUS = 16,          /* FORWARD: bias is added, then: */
	DNN_ADD = 32,           /* a value like y, */
	DNN_RELU = 64, DNN_RELU6 = 128, DNN_SWISH = 256,        /* and one of these */
};

struct dnn_graph {
	enum dnn_kind kind;
	unsigned fuse;
	enum dtype type;        /* of x, w and y */
	int exact;              /* fp32 without rounding to tf32 */
	int n, in_h, in_w, in_c, out_h, out_w, out_c, groups;
	struct window window;
};

enum dnn_operand {
	DNN_X, DNN_W, DNN_Y,
	DNN_A, DNN_B,           /* [in_c], in the graph's type */
	DNN_Z, DNN_T,           /* as x */
	DNN_SUM, DNN_SQUARE,    /* fp32 [out_c] */
	DNN_BN_X,               /* as x: what the batch norm read */
	DNN_MEAN, DNN_INVSTD, DNN_GAIN, DNN_BIAS,       /* fp32 [in_c] */
	DNN_DGAIN, DNN_DBIAS,   /* fp32 [in_c]: sums of dy xhat and of dy */
	DNN_EQ_DY, DNN_EQ_X, DNN_EQ_B,  /* fp32 [in_c], unused: dx = eq_dy dy + eq_x x + eq_b */
	DNN_PLUS_B,             /* fp32 [out_c] */
	DNN_ADD_Y,              /* as y */
	DNN_OPERANDS
};

struct dnn;
struct dnn_plan;

/* Properties of devices that need not be there: "h100", "h200"; NULL: no such. */
const char *dnn_properties(const char *name);

/* For a device by its properties, or (NULL) the calling thread's present one, whose
 * work goes to stream. NULL: reason. */
struct dnn *dnn_open(const char *properties, void *stream);
void dnn_close(struct dnn *);           /* and its plans; NULL: nothing */
/* "cuDNN 9.19.0" */
const char *dnn_library(struct dnn *);

/*
 * The plan for a graph: made once, then found again. how: the engine to take ("" the
 * best by cuDNN's own judgement), as dnn_plan_how() gave it. Borrowed; NULL: reason.
 */
const struct dnn_plan *dnn_plan(struct dnn *, const struct dnn_graph *, const char *how);
size_t dnn_plan_work(const struct dnn_plan *);          /* bytes of workspace */
const char *dnn_plan_how(const struct dnn_plan *);      /* "e40.1f3a": engine and knobs */

/* All plans there are for a graph, in cuDNN's order, at most `most`: for timing. Their
 * number, or -1. They live till dnn_close(). */
int dnn_plans(struct dnn *, const struct dnn_graph *, const struct dnn_plan **, int most);
/* One that is not wanted any more, with what it holds on the device. */
void dnn_plan_drop(struct dnn *, const struct dnn_plan *);

/* A plan as cuDNN's text, for the same library and kind of device: the caller frees it;
 * NULL: reason. */
char *dnn_plan_text(struct dnn *, const struct dnn_plan *);
/* From the text again, without choosing and compiling; one made before of the graph and
 * how is taken, also by dnn_plan(). NULL: reason. */
const struct dnn_plan *dnn_plan_read(struct dnn *, const struct dnn_graph *, const char *how,
				     const char *text);

/* Runs it on the stream. operand: by number, device pointers, those that the graph has. */
int dnn_run(struct dnn *, const struct dnn_plan *, void *const operand[DNN_OPERANDS],
	    void *work);

#endif
