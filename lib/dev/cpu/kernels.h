/*
 * The own kernels: loops over vectors of channels, compiled for several instruction
 * sets from one body (kernel_body.h). Each works on one piece of a step and on one
 * thread; how a step is cut into pieces depends on its shape alone, so that results
 * depend neither on the number of threads nor on which of them took a piece.
 *
 * A stored value is planes of pixels of `block` numbers (struct layout): a piece is
 * `pixels` pixels of one plane, which begin `at` numbers after the start of the value
 * and whose first number is channel c. block is a multiple of the width of a vector,
 * values and vectors over channels start at multiples of 64 bytes. What is void here is
 * a stored value's numbers: fp32, or bf16 where the table is of such kernels.
 */
#ifndef DEV_CPU_KERNELS_H
#define DEV_CPU_KERNELS_H

#include "net/program.h"

#include <stddef.h>
#include <stdint.h>

/* Activations inside passes; from CPU_CURVED on those that one body computes. */
enum {
	CPU_NONE, CPU_RELU, CPU_RELU6,
	CPU_CURVED,
	CPU_SIGMOID = CPU_CURVED, CPU_TANH, CPU_HARDSIGMOID, CPU_SWISH, CPU_GELU, CPU_HARDSWISH
};

/* y = act(affine(x[0]) + affine or plain x[1] + x[2] + ...) */
struct forward_pass {
	const void *x[STEP_IN];
	int xs, affines;        /* of the first affines (0 .. 2) of x: */
	const float *a[2], *b[2];       /* over channels */
	int act, block;
	int channels;           /* those behind are padding, and 0 whatever act makes of 0 */
	int stream;             /* y is too large to be found in a cache again */
	void *y;
};

/* Where the gradient is let through: */
enum {
	MASK_NONE,
	MASK_RELU, MASK_RELU6,                  /* 0 < y (< 6) */
	MASK_CURVED,                            /* times the slope of act, from y: its result,
						   or what it read (act_dx_reads_x()) */
	MASK_RELU_AGAIN, MASK_RELU6_AGAIN,      /* the same of a x[0] + b */
	MASK_CURVED_AGAIN,
};

/*
 * g = mask(dy[0] + dy[1] + ...), and of it: stored, and sums over pixels of g and of
 * g (x[i] - mean[i]), or dx = scale (g - shift - (x[0] - mean[0]) slope).
 */
struct backward_pass {
	const void *dy[STEP_IN];
	int dys, mask, act, block, stream;
	const void *y;                  /* MASK_RELU, MASK_RELU6, MASK_CURVED */
	const float *a, *b;             /* AGAIN: over channels */
	int sums;                       /* 0 .. 2 */
	const void *x[2];
	const float *mean[2];
	const float *scale, *shift, *slope;
	void *g, *dx;                   /* NULL: not wanted */
};

/* y = x g, or x g + share plus; spread: one pixel of g, and of plus, for all. */
struct mul_pass {
	const void *x, *g, *plus;       /* plus: NULL, or with spread */
	float share;
	int spread, block, stream;
	void *y;
};

enum { ACROSS_RUN = 64 };       /* pixels of a piece at most, in normalisations over channels */

/* Pixels of a sample, with all of their channels: `plane` numbers from block to block. */
struct across_pass {
	const float *x, *dy;
	float *y;                       /* or dx; NULL: not wanted */
	const float *gain, *bias;
	int channels, pad, block;       /* those from channels to pad are padding */
	size_t plane;
	double eps;
	int n;                          /* local response normalisation: program.h */
	float alpha, beta, k;
	float *row, *other;             /* room for the channels, with n zeros on both sides */
};

/* Axis of a sliding window. */
struct slide { int in, out, k, stride, dilation, before; };

/* A pool's plane: rows of the output (forward) or of the input (backward). */
struct pool_pass {
	struct slide y, x;
	int block;
	const void *from;               /* a plane of x, or of dy */
	void *to;                       /* a plane of y, or of dx */
	uint8_t *place;                 /* maxima: a plane; forward: NULL if not wanted */
	int32_t *place_wide;            /* in its stead for windows of more than 256 numbers */
	const float *share;             /* averages: 1 / numbers of window, [out_h][out_w] */
};

/* Own convolution: `to` gets sums over taps and inner channels of `from` times w. */
enum lanes {
	LANES_SAME,             /* all lanes read one channel: groups are whole blocks */
	LANES_NEAR,             /* lane l, inner channel j reads lane near[j lanes + l] of the
				   vector at gather[0]: small groups, as wide on both sides */
	LANES_GATHER,           /* lane l, inner channel j reads offset gather[j lanes + l] */
};

struct direct_pass {
	struct slide y, x;              /* of the convolution */
	enum lanes lanes;
	int inner;                      /* channels that each output channel sums over */
	int from_block, to_block;
	int width;                      /* lanes of a block of w: the kernel's width */
	const float *from;              /* the sample's first plane */
	const int32_t *gather;          /* offsets from a pixel of the first plane, in numbers */
	const int32_t *near;
	const float *w;                 /* [k0][k1][inner][width] */
	const float *bias;              /* width numbers, or NULL */
	const float *add;               /* forward: as `to`, added to it; or NULL */
	int act;                        /* forward: of that, one that makes 0 of 0 */
	float *to;                      /* the row's first pixel, at the first of the lanes */
	double *sum;                    /* weights: [inner][k0][k1][width], added to */
	const float *dy;                /* weights: the sample's plane, at the first of the lanes */
};

/*
 * Depthwise convolution of one plane, a vector of channels. turned: by half a turn, as
 * gradients of inputs read outputs where the stride is 1; y and x are then of that.
 */
enum { DEPTH_TAPS = 64 };       /* of a window at most */

struct depthwise_pass {
	struct slide y, x;
	int block, stream, turned;
	int row, end;                   /* rows written: row .. end - 1; dw: all are read */
	const void *from;               /* the plane read; dx, dw: that of x */
	void *to;                       /* the plane written */
	const void *dy;                 /* dx with a stride, dw */
	const float *w;                 /* [k0][k1][width] */
	const float *bias;              /* width numbers, or NULL */
	const void *add;                /* forward: a plane like `to`, added to it; or NULL */
	int act;                        /* forward: of that, one that makes 0 of 0 */
	double *sum;                    /* dw: [k0][k1][width], added to */
};

/*
 * c[row][vectors] = (c +) sum over inner of a[row] b[vectors]. Of tables for bf16 what is
 * called a number of a and b is a pair of them: those of inner 2 i and 2 i + 1.
 */
enum { PRODUCT_ROWS = 6 };      /* rows are fastest in multiples of this */

/* Lines of 64 bytes from `at` on; last: in the last of them. */
struct near_run { const char *at, *last; };

struct product_pass {
	const float *a, *b;
	float *c;
	size_t a_row, a_inner, c_row;
	size_t b_inner;         /* 0: b is in panels, [panel][inner][vectors of a panel] */
	size_t rows, inner;
	int vectors;
	int add;
	/* What is brought near meanwhile: while a block of PRODUCT_ROWS rows and a panel is
	 * computed, the next of these runs, a line at each step of the inner sums. (Of many
	 * lines that are asked for at once processors leave out most.) */
	const struct near_run *near;
	size_t nears;
};

/* Pixels of some vectors of channels beside one another, in bf16 as pairs:
 * [panel][pixel or pair][vectors of a panel][width]. */
struct gather_pass {
	const void *from;               /* the first vector's plane */
	size_t plane;                   /* numbers from vector to vector */
	int vectors, panel;             /* panel: vectors at most */
	const ptrdiff_t *at;            /* where each pixel is; negative: 0 stands there */
	size_t pixels;                  /* in bf16 one more where they are odd, which is 0 */
	float *to;
};

/*
 * Winograd's convolution: tiles of 4x4 outputs and the 6x6 inputs that they read, as 36
 * points each; with stride 2, where they read 9x9, as 81, which have 36 filters' points
 * between them (kernel_wino_two.h). Where a tile's points lie: [point][tile][channels];
 * filters': those that are summed over in the tile's place.
 */
enum {
	WINO_OUT = 4,
	WINO_AXIS = 6, WINO_POINTS = 36,        /* filters' points on an axis, and in all */
	WINO_TWO_AXIS = 9,                      /* tiles' of stride 2 on an axis */
};

/* One side of it, which tiles are taken from or put to. */
struct wino_side {
	int h, w, block;
	int vectors;            /* of channels */
	size_t plane;           /* numbers from block to block of a sample */
	size_t point;           /* numbers from point to point */
};

/*
 * A tile: the pixel where it begins, which padding may hold, and its outputs down and
 * across, 1 .. 4. With fewer than 4 it has fewer points (kernel_wino_tile.h); the others
 * are neither written nor read.
 */
struct wino_tile { int y, x, rows, cols; };

/* Whether tiles with so many outputs on an axis have point i there, of 6 or 9. */
static inline int wino_has(int axis, int outputs, int i)
{
	if (axis == WINO_AXIS)
		return i <= outputs || i == WINO_AXIS - 1;
	return i >= WINO_AXIS - 1 ? i <= outputs + 4 : i < outputs || i == 4;
}

/* The filters' point that a tile's point is multiplied by. */
static inline int wino_filter(int axis, int point)
{
	int y = point / axis, x = point % axis;

	return (y < WINO_AXIS ? y : WINO_AXIS - 1) * WINO_AXIS +
	       (x < WINO_AXIS ? x : WINO_AXIS - 1);
}

/* What is written of sums: act(sum + bias + add); bias over channels, add as the sample
 * that is written to, each or NULL; act: one that makes 0 of 0. */
struct wino_after {
	const float *bias;
	const void *add;
	int act;
	int stream;             /* what is written is too large to be found in a cache again */
	int last;               /* of the tiles that a thread writes before others read them */
};

/* Vectors of 3x3 filters: `lane` numbers from lane to lane, from vector to vector `next`
 * of the filters and `points` of their points. */
struct wino_filters {
	int count;
	size_t next, points;
	size_t lane, point;
	int lanes;              /* fewer than the width in the last vector */
	int end;                /* nothing may be read behind the last filter */
	int turned;             /* by half a turn, for gradients of inputs */
	int stream;             /* all points are too many to be found in a cache again */
	int shares;             /* of a gradient: sums to be added, `share` numbers apart */
	size_t share;
};

struct update_pass {
	float lr, momentum, decay;
	int nesterov;
	float *w, *v;                   /* v: NULL without momentum */
	const float *g;
};

/* With stride 1, and the two of stride 2: all but dx, and dx, whose tiles are 8x8 inputs that
 * 5x5 outputs make; with padding before them or without. */
enum wino_way { WINO_ONE, WINO_TWO, WINO_TWO_DX, WINO_TWO_DX_BARE, WINO_WAYS };

struct wino_kernels {
	/* All channels of a tile: the points of what it reads, those of a gradient of its
	 * outputs, and what it writes from the points. */
	void (*in)(const struct wino_side *, const void *sample, const struct wino_tile *,
		   float *points);
	void (*dy)(const struct wino_side *, const void *sample, const struct wino_tile *,
		   float *points);
	void (*out)(const struct wino_side *, const float *points, const struct wino_after *,
		    const struct wino_tile *, void *sample);
	void (*weights)(const struct wino_filters *, const float *w, float *points);
	void (*dw)(const struct wino_filters *, const float *points, float *dw);
};

struct kernels {
	const char *name;
	int width;              /* numbers in a vector */
	/* Mean and sum of squared differences from it, of each channel: [2][block]. */
	void (*stats)(const void *x, size_t pixels, int block, double *part);
	void (*forward)(const struct forward_pass *, size_t at, int c, size_t pixels);
	/* part: [1 + sums][block] */
	void (*backward)(const struct backward_pass *, size_t at, int c, size_t pixels,
			 double *part);
	/* Sum over pixels of x, or of x y where y is not NULL: [block]. */
	void (*total)(const void *x, const void *y, size_t pixels, int block, double *part);
	void (*mul)(const struct mul_pass *, size_t pixels);
	/* Runs of at most ACROSS_RUN pixels. part: [2][pad], sums of dy and of dy xhat. */
	void (*layernorm)(const struct across_pass *, size_t at, int pixels);
	void (*layernorm_dx)(const struct across_pass *, size_t at, int pixels, double *part);
	void (*lrn)(const struct across_pass *, size_t at, int pixels);
	void (*lrn_dx)(const struct across_pass *, size_t at, int pixels);
	void (*maxpool)(const struct pool_pass *, int row);
	void (*maxpool_dx)(const struct pool_pass *, int row);
	void (*avgpool)(const struct pool_pass *, int row);
	void (*avgpool_dx)(const struct pool_pass *, int row);
	/* A row of outputs (row: oy), of inputs (iy), and a row's share (oy) of the weights'
	 * gradient, for inner channel j. */
	void (*direct)(const struct direct_pass *, int row);
	void (*direct_dx)(const struct direct_pass *, int row);
	void (*direct_dw)(const struct direct_pass *, int j, int row);
	/* Depthwise: a plane's outputs, its inputs' gradients where there is a stride, and
	 * its share of the weights' gradient. */
	void (*depthwise)(const struct depthwise_pass *);
	void (*depthwise_dx)(const struct depthwise_pass *);
	void (*depthwise_dw)(const struct depthwise_pass *);
	struct wino_kernels wino[WINO_WAYS];
	void (*product)(const struct product_pass *);
	int panel;              /* vectors of a panel of it */
	int pixels;             /* that a step of its inner sums multiplies: in bf16 a pair */
	void (*gather)(const struct gather_pass *);
	void (*update)(const struct update_pass *, size_t from, size_t to);
	/* Whether all numbers are finite: 1 or 0. */
	int (*finite)(const float *, size_t n);
	/* Of tables for bf16 alone: n numbers, a multiple of width, from fp32 and to it. */
	void (*shorten)(const float *x, uint16_t *y, size_t n);
	void (*widen)(const uint16_t *x, float *y, size_t n);
	/* Multiply-adds for their own sake: KERNEL_SPIN a lane of a vector and round. */
	float (*spin)(size_t rounds);
};

enum { KERNEL_SPIN = 12 };

extern const struct kernels kernels_plain;
extern const struct kernels kernels_avx2, kernels_avx512;      /* x86-64 only */
/* For values stored in bf16, computing in fp32: passes, sums and pools; the rest is NULL. */
extern const struct kernels kernels_avx512_bf16;

/* That of a name ("plain", "avx2", "avx512"), or with NULL the best for this processor;
 * NULL: reason. */
const struct kernels *kernels_find(const char *name);

#endif
