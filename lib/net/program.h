/*
 * A program: what a network does for one batch, as one linear list of plain steps
 * over values, made once for (training or evaluation, batch, devices) and then bound
 * to a device and run. It knows shapes, layouts, lifetimes and offsets, but no
 * memory and no device: a backend answers through struct target.
 *
 *   graph -> lowered to plain steps -> layouts (copy steps) -> brackets -> prepared
 *         -> planned (offsets in arenas)
 *
 * The parts of the list, in order: FORWARD, BACKWARD, REDUCE, UPDATE, PACK. A training
 * step runs all of it; PACK is also run once after parameters were put. Ranges of gradients
 * that are complete before BACKWARD ends are reduced in it, so that this goes on beside.
 *
 * Rules. Steps set their outputs, never add to them: a value whose gradient comes from
 * several readers gets one n-ary STEP_ADD. No step takes a number from the host: what
 * changes from step to step is in the control block. A value is written by one step.
 */
#ifndef NET_PROGRAM_H
#define NET_PROGRAM_H

#include "base/dtype.h"
#include "net/graph.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { STEP_IN = 8, STEP_OUT = 6, STEP_HOW = 32 };

/* ---- values ---- */

/*
 * How a value is stored: [n][pad / block][h][w][block], C padded with zeros to pad, a
 * multiple of block. block = pad is NHWC, block = 1 NCHW. Padding is zero after every
 * step. Vectors over channels ("rows") are n = 1, h = 1, w = rows, block = pad.
 */
struct layout { int block, pad; enum dtype type; };

enum arena {
	ARENA_NONE,             /* inside a bracket: not stored */
	ARENA_PARAM,            /* fp32 masters, backward order, then running statistics */
	ARENA_GRAD,             /* gradients at the offsets of their masters; then batch
				   statistics, so that they are reduced with them */
	ARENA_STATE,            /* optimizer slots, each at the masters' offsets */
	ARENA_PACKED,           /* copies of parameters made by PACK: folded, for kernels */
	ARENA_WORK,             /* activations, gradients of activations, workspaces: planned */
	ARENA_INPUT,            /* pixels, labels, shares: put by the host */
	ARENA_OUTPUT,           /* losses, probabilities: got by the host */
	ARENA_CONTROL,
	ARENAS
};

struct value {
	const char *name;
	int n, h, w, c;         /* logical shape */
	struct layout lay;
	enum arena arena;
	size_t bytes, at;       /* in its arena; at is a multiple of 64 */
	int first, last;        /* steps between which it lives (ARENA_WORK) */
	int param;              /* the graph's parameter of a master, gradient, slot; else -1 */
};

/* ---- steps ---- */

/*
 * in -> out of every kind. "rows r" is a vector over channels with r rows; gain, bias,
 * running statistics and gradients of them are bare fp32 of C numbers; w is a master
 * (fp32 OIHW), or what PACK folded or packed from it. -1: absent.
 */
enum step_kind {
	STEP_INPUT,             /* pixels u8 NHWC -> y = (pixel - mean) / deviation; input_attr */
	STEP_CONV,              /* x, w, bias|-1 -> y; conv_attr. linear is a convolution whose
				   window is all of its input */
	STEP_CONV_DX,           /* dy, w -> dx; conv_attr */
	STEP_CONV_DW,           /* x, dy -> dw (fp32 OIHW); conv_attr */
	STEP_CHANNEL_SUM,       /* dy -> db */
	STEP_STATS,             /* x -> m: rows 2, mean and biased variance over n, h, w */
	STEP_SYNC_STATS,        /* m -> m: of all devices together (equal counts) */
	STEP_COEF,              /* m, gain|-1, bias|-1, -1 -> ab: rows 2, a = gain /
				   sqrt(var + eps), b = bias - mean a;
				   evaluation: mean, gain, bias, var; bn_attr */
	STEP_AFFINE,            /* x, ab -> y = a x + b, one fused multiply-add */
	STEP_ACT,               /* x -> y; act_attr */
	STEP_ADD,               /* 2 .. STEP_IN values of one shape -> sum, added from the left */
	STEP_MUL,               /* x, g -> x g; g as x, or h = w = 1, or a master: one
				   number a channel */
	STEP_CAT,               /* values -> one after the other in channels */
	STEP_SLICE,             /* x -> channels from .. to; slice_attr */
	STEP_PAD,               /* x -> y of another size: y at (h, w, c) is x at (h - top,
				   w - left, c - front), 0 where x has none; pad_attr */
	STEP_SHUFFLE,           /* x -> channels as a matrix of `groups` rows, transposed;
				   shuffle_attr. Its backward has c / groups rows */
	STEP_LAYERNORM,         /* x, gain, bias -> y: mean 0 and variance 1 over the channels
				   of each pixel, then gain y + bias; layernorm_attr */
	STEP_LRN,               /* x -> y = x s^-beta, s = k + alpha (sum of x^2 over the n
				   channels from n / 2 before to (n - 1) / 2 behind);
				   lrn_attr */
	STEP_MAXPOOL,           /* x -> y, place (which of the window's numbers won; u8, or
				   i32 where it has more than 256); pool_attr */
	STEP_AVGPOOL,           /* x -> y; pool_attr */
	STEP_DROPOUT,           /* x -> x kept / (1 - p), or 0; the same step with dy for x is
				   its backward; dropout_attr */
	STEP_XENT,              /* logits, labels, shares, losses of another|-1 ->
				   probabilities, losses; xent_attr. The other's loss is
				   added; right or wrong is this one's */
	STEP_XENT_DX,           /* probabilities, labels, shares -> dlogits; xent_attr */
	STEP_ACT_DX,            /* dy, y -> dx (relu: where y > 0; relu6: 0 < y < 6), or dy, x
				   -> dx where act_dx_reads_x(); act_attr */
	STEP_BN_SUMS,           /* dy, x, m -> s: rows 2, sum dy and sum dy xhat; dgain|-1,
				   dbias|-1 */
	STEP_SYNC_SUMS,         /* s -> s: summed over devices */
	STEP_BN_DX,             /* dy, x, m, gain|-1, s -> dx = gain invstd (dy - s0/k - xhat s1/k);
				   bn_attr, k = count */
	STEP_MUL_SUM,           /* dy, x -> sum over h, w of dy x: [n,1,1,c] */
	STEP_LAYERNORM_DX,      /* dy, x, gain -> dx|-1, dgain, dbias; layernorm_attr */
	STEP_LRN_DX,            /* dy, x -> dx; lrn_attr */
	STEP_MAXPOOL_DX,        /* dy, place -> dx; pool_attr */
	STEP_AVGPOOL_DX,        /* dy -> dx; pool_attr */
	STEP_COPY,              /* x -> the same in another layout or type */
	STEP_REDUCE,            /* a range of ARENA_GRAD, summed over devices in rank order,
				   in place on each; range_attr. It may be only begun, beside
				   the steps of BACKWARD behind it */
	STEP_FINITE,            /* waits for every REDUCE; losses -> control: halt if a loss or
				   gradient is not finite */
	STEP_UPDATE,            /* masters, gradients, slots by segments; update_attr */
	STEP_TRACK,             /* m, running mean, running var -> (in place); bn_attr */
	STEP_FOLD,              /* w, bias|-1 of a convolution; mean, gain|-1, bias|-1, var ->
				   a w, b + a bias (fp32, as masters are stored) with a and b
				   as COEF makes them; bn_attr */
	STEP_PACK,              /* master, or what FOLD made -> packed; attr is the backend's */
	STEP_KINDS
};

enum part { PART_FORWARD, PART_BACKWARD, PART_REDUCE, PART_UPDATE, PART_PACK, PARTS };

struct input_attr { float mean[4], deviation[4]; };     /* of pixels 0..255 */
struct conv_attr { struct window window; int groups; int in_h, in_w, in_c, out_h, out_w, out_c; };
struct pool_attr { struct window window; int count_pad; int in_h, in_w, out_h, out_w; };
struct act_attr { enum op_id act; };
struct slice_attr { int from, to; };
struct pad_attr { int top, left, front; };      /* negative: cropped */
struct shuffle_attr { int groups; };
struct layernorm_attr { double eps; };
struct lrn_attr { int n; double alpha, beta, k; };
/* whole: one draw a sample, for all of its numbers. ramp: over so many steps p rises from
 * 0 in proportion (control.step); 0: none. */
struct dropout_attr { double p; const char *name; int c, h, w, whole; double ramp; };
struct xent_attr { double smoothing, weight; int classes; };
struct range_attr { size_t at, bytes; };

/* Whether the slope of an activation is found from what it read. Else from its result,
 * which is needed anyway. */
static inline int act_dx_reads_x(enum op_id act)
{
	return act == OP_SWISH || act == OP_GELU || act == OP_HARDSWISH;
}

/*
 * eps, decay of the running statistics, and the numbers behind a statistic: count is
 * over one device's batch, or over all devices' with sync_bn. TRACK divides m by
 * devices (REDUCE has summed it) and scales the variance by count / (count - 1).
 */
struct bn_attr { double eps, decay; int64_t count; int devices; };

/*
 * SGD (PyTorch's and tf.train.MomentumOptimizer's form): g += decay w for weights;
 * v = momentum v + g; w -= lr (nesterov ? g + momentum v : v). momentum 0: no slot.
 */
struct optimizer { double momentum, decay; int nesterov; };
struct segment { size_t at, numbers; int decays; };     /* at: numbers from the arena's start */
struct update_attr { struct optimizer optimizer; int segments; const struct segment *segment; };

struct step {
	enum step_kind kind;
	enum part part;
	int node;               /* the graph's node it comes from; -1 */
	int in[STEP_IN], ins;
	int out[STEP_OUT], outs;
	int bracket;            /* consecutive steps that run as one share a number; -1: alone */
	const void *attr;       /* the kind's struct above */
	size_t work;            /* bytes of workspace that prepare asked for */
	int work_value;         /* the value that holds it; -1 */
	void *own;              /* the backend's, from prepare to close; set only by it */
	char how[STEP_HOW];     /* the kernel chosen, kept in checkpoints */
};

/* ---- control block: ARENA_CONTROL holds exactly this ---- */

struct control {
	/* host part, put before each step */
	uint64_t seed;          /* of dropout */
	uint64_t position;      /* of this device's first sample */
	uint64_t stride;        /* between this device's samples */
	int64_t step;           /* taken so far: what dropout's ramp goes by */
	double lr;
	double count;           /* samples of the step over all devices: losses divide by it */
	/* device part, kept between steps and in checkpoints */
	double loss_scale;
	int64_t good;           /* steps since the scale changed */
	int32_t skip;           /* this step's UPDATE and TRACK do nothing */
	int32_t halt;           /* a loss was not finite: no UPDATE or TRACK from here on */
};
#define CONTROL_HOST offsetof(struct control, loss_scale)       /* bytes of the host part */

/* ---- the program ---- */

struct program;

/* What net asks and a backend answers. */
struct target {
	void *dev;
	const char *name;       /* "ref", "cpu" */
	/* in[] comes with the layouts its values have, out[] with a default; the backend
	 * changes what it wants otherwise. Where in[] differs, a STEP_COPY is put before.
	 * out[] of a value that has its layout already (lay.block > 0: gradients of
	 * parameters, also their sums where a parameter is shared; what the host gets) stays. */
	int (*layout)(void *dev, const struct program *, int step, struct layout *in,
		      struct layout *out);
	/* Seconds that steps from .. to - 1 would take as one bracket (bracket.h lists all
	 * that are asked for); < 0: cannot. They stand at the list's end for the question.
	 * Values written and read only inside are in ARENA_NONE: not stored. Or what one step
	 * takes alone, to weigh brackets with convolutions against; < 0: not known, and no
	 * such bracket is taken. */
	double (*cost)(void *dev, const struct program *, int from, int to);
	/* Chooses the kernel: sets work, own and how (obeying a how that is already there,
	 * or failing); may ask for packed parameters by program_pack(). Called once for each
	 * step, brackets at their first step, PACK steps too, in order. Values and steps do
	 * not move meanwhile: pointers stay good. */
	int (*prepare)(void *dev, struct program *, int step);
	/* Releases a step's own; called for every step, also one that was not prepared
	 * (own is NULL). NULL: nothing to release. */
	void (*release)(void *dev, struct program *, int step);
	/* Whether memory is dearer than one more pass over an activation: those that backward
	 * can make again from what is kept anyway are not kept ("remat" of bracket.h). */
	int remat;
};

struct program_options {
	int training;
	int batch;              /* samples of one device */
	int devices;            /* that share the step; >= 1 */
	int sync_bn;
	double smoothing;       /* of labels */
	struct input_attr normalise;
	struct optimizer optimizer;
	enum dtype precision;   /* values between steps: DTYPE_BF16 where a backend has kernels
				   for it; DTYPE_F32, or 0: fp32. Masters, statistics, logits
				   and losses are fp32 always */
	const char *without;    /* names of rewrites left out, separated by commas; "all"; NULL */
	const char *const *how; /* kernels to obey, one a step, from a checkpoint; NULL */
	int hows;
};

struct program {
	const struct graph *graph;
	struct program_options options;
	int values, steps, brackets;
	struct value *value;
	struct step *step;
	int begin[PARTS + 1];   /* steps of part k: begin[k] .. begin[k + 1] - 1 */
	size_t arena[ARENAS];   /* bytes */
	/* the values a host deals with; -1 where there is none */
	int pixels;             /* u8 NHWC */
	int labels, shares;     /* i32 [n,1,1,2], -1: no loss; f32 [n,1,1,2] */
	int losses;             /* f32 [n,1,1,2]: loss with those of auxiliary heads, and 1 if
				   the best class of the network's end is the first label */
	int probabilities;      /* f32 [n,1,1,classes] */
	int control;
	int *master;            /* of each parameter of the graph; -1: of an auxiliary head,
				   in evaluation */
	int *gradient, *slot;   /* likewise; -1 where there is none */
	int value_room, step_room;
	struct target target;
	void *memory;           /* names and attributes */
};

/* Makes it, all the way to the plan. Keeps the graph. NULL: reason. */
struct program *program_make(const struct graph *, const struct program_options *,
			     const struct target *);
void program_free(struct program *);    /* NULL: nothing; calls target.release */

/* Numbers and bytes that a value's layout takes (padding included). */
size_t value_numbers(const struct value *);

/* Numbers that it stands for, n h w c (padding not included). */
static inline size_t value_plain(const struct value *v)
{
	return (size_t)v->n * (size_t)v->h * (size_t)v->w * (size_t)v->c;
}

/* A master, gradient or slot, which has no layout: on the device the same bytes as off it. */
int value_bare(const struct value *);

/* 0, or -1 where a value lives inside a bracket and has no bytes to put or get. */
int program_stored(const struct program *, int value);

/* Offset, in numbers, of (n, c, h, w) in a value. */
static inline size_t value_place(const struct value *v, int n, int c, int h, int w)
{
	return ((((size_t)n * (size_t)(v->lay.pad / v->lay.block) + (size_t)(c / v->lay.block))
		* (size_t)v->h + (size_t)h) * (size_t)v->w + (size_t)w) * (size_t)v->lay.block
		+ (size_t)(c % v->lay.block);
}

/* For a backend's prepare: the value of a packed copy of a master, made by a PACK step
 * that is added if none with this key is there (equal steps share); in[operand] of the
 * step is changed to it. attr is kept by the program's memory (copied). -1: reason. */
int program_pack(struct program *, int step, int operand, const char *key, size_t bytes,
		 const void *attr, size_t attr_bytes);

/* For a backend's prepare: notes how a step will run. 0, or -1 where another was asked for. */
int step_choose(struct step *, const char *backend, const char *how);

/* Memory that lives as long as the program, zeroed; NULL: reason. */
void *program_alloc(struct program *, size_t bytes);

const char *step_name(enum step_kind);  /* "conv", "conv_dx" */

/* Bytes of all arenas together: what bind will take. */
size_t program_bytes(const struct program *);

/* 0, or -1 where it takes more than `available` bytes: "needs 21.4G, host has 15.8G
 * free: -b 128 would fit" (where: "host", "cuda:0"). */
int program_fits(const struct program *, size_t available, const char *where);

/* Looks for two values whose bytes overlap while both live, and for reads of what was
 * never written: the plan's test. 0, or -1 naming them. O(values squared). */
int program_check(const struct program *);

/* ---- what net-cat prints (show.c) ---- */

/* One line a step, and the budget: bytes by arena and their sum. 0 or -1. */
int program_show_steps(const struct program *, FILE *);
int program_show_memory(const struct program *, FILE *);

#endif
