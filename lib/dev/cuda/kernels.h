/*
 * The kernels that libraries lack, each started by a function that C calls. A start
 * neither waits nor allocates; what is wrong with it is seen by the next
 * cudaGetLastError().
 *
 * Full values are NHWC with channels padded to a multiple of 8, in f16, bf16 or f32:
 * `rows` pixels of `pad` numbers, of which `c` are channels and the rest is zero, as it
 * is written by every kernel. Vectors over channels are fp32.
 *
 * A full value is walked in groups of 8 channels: a thread keeps its group and goes from
 * pixel to pixel, so that coefficients are read once and a warp reads 512 bytes in a row.
 * Sums are made in pieces whose number depends on the shape alone, each piece in fp32,
 * pieces joined in double and in order: the same bytes each time and on each device.
 */
#ifndef DEV_CUDA_KERNELS_H
#define DEV_CUDA_KERNELS_H

#include "base/dtype.h"

#include <driver_types.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WALK_OPERANDS = 8 };

enum act_code {
	ACT_NONE, ACT_RELU, ACT_RELU6, ACT_SIGMOID, ACT_TANH, ACT_SWISH, ACT_GELU,
	ACT_HARDSWISH, ACT_HARDSIGMOID
};

/* A full value's extent. rows < 2^31. */
struct span { unsigned rows; int c, pad; enum dtype type; };

/* ---- forward ---- */

/* y = act(x0' + x1' + ...), x' = a x + b for the first `affines` of them; a NULL for 1. y
 * may be x0. */
struct forward_pass {
	const void *x[WALK_OPERANDS];
	const float *a[2], *b[2];
	void *y;
	int xs, affines;
	enum act_code act;
};

void forward_start(cudaStream_t, struct span, const struct forward_pass *);

/* y = (pixel - mean) / deviation; bytes of c channels, at most 4. */
struct pixel_scale { float mean[4], deviation[4]; };
void input_start(cudaStream_t, struct span y, const uint8_t *pixels, void *to,
		 struct pixel_scale);

/* y = x g; g has a pixel for each `share` pixels of x (1: as x). */
void mul_start(cudaStream_t, struct span, const void *x, const void *g, unsigned share, void *y);

/* y = x g + e / share; g and e have a pixel for each `share` pixels of x. */
void gate_start(cudaStream_t, struct span, const void *x, const void *g, const void *e,
		unsigned share, void *y);

/* Channels from .. from + count - 1 of x to those of y from `to` on; fill: zero y's
 * padding, which begins at y.c. */
void channels_start(cudaStream_t, struct span x, const void *from_x, int from, struct span y,
		    void *to_y, int to, int count, int fill);

/* y at (h, w, c) is x at (h - top, w - left, c - front), 0 where x has none. */
struct pad_of { int x_h, x_w, x_c, x_pad, y_h, y_w, y_c, y_pad, top, left, front; };
void pad_start(cudaStream_t, struct pad_of, enum dtype, int n, const void *x, void *y);
/* Channels as a matrix of `groups` rows, transposed. */
void shuffle_start(cudaStream_t, struct span, int groups, const void *x, void *y);

/* Any layout and float type to any other; padding is written. */
struct place_of { int block, pad; enum dtype type; };
void copy_start(cudaStream_t, const void *x, struct place_of from, void *y, struct place_of to,
		int n, int h, int w, int c);

/* Numbers kept or dropped by the draws of host.h. mixed: what the step's name makes;
 * control: the device's control block. */
struct drop {
	uint64_t mixed;
	double p, ramp;
	int h, w, whole;
};
void dropout_start(cudaStream_t, struct span, const void *x, void *y, const void *control,
		   struct drop);

/* ---- sums over pixels ---- */

/* Bytes of workspace for `rows` sums a channel over a span. */
size_t sums_bytes(struct span, int rows);

/* Mean and biased variance: m is rows 2 of m_pad. */
void stats_start(cudaStream_t, struct span, const void *x, float *m, int m_pad, void *work);
/* The same from sums of x and x^2 over `count` numbers. */
void stats_of_sums_start(cudaStream_t, const float *sum, const float *square, int c, double count,
			 float *m, int m_pad);
/* db[c] = sum of dy. */
void channel_sum_start(cudaStream_t, struct span, const void *dy, float *db, void *work);

/* Per sample of `share` pixels: y = scale (sum of x), or scale (sum of x dy) where dy is
 * not NULL. y has a pixel a sample. */
void sample_sums_start(cudaStream_t, struct span, const void *x, const void *dy, unsigned share,
		       float scale, void *y);

/* ---- batch normalisation ---- */

/* variance: m's second row, or (evaluation) running[c]. gain, bias: NULL for 1, 0. */
void coef_start(cudaStream_t, const float *mean, const float *variance, const float *gain,
		const float *bias, double eps, int c, float *ab, int ab_pad);
/* to = slope w and to_bias = bias + slope (plus - mean), slope = gain / sqrt(variance + eps):
 * `out` filters of so many numbers. gain, bias, plus: NULL for 1, 0, 0. */
struct running { const float *mean, *gain, *bias, *variance; double eps; };
void fold_start(cudaStream_t, const float *w, const float *plus, struct running, int out,
		size_t filter, float *to, float *to_bias);
struct tracking { double decay, unbias; int devices; };
void track_start(cudaStream_t, const float *m, int m_pad, int c, float *mean, float *variance,
		 struct tracking, const void *control);

/* What stands before bn_sums and bn_dx: g = mask(dy0 + dy1 + ...), the mask by y, or by
 * y made again as act(a x + b), or what act read as a x + b (ACT_NONE: no mask). */
struct norm_of {
	const void *x;
	const float *m;         /* rows 2 of m_pad */
	double eps;
};
struct backward_pass {
	const void *dy[WALK_OPERANDS];
	int dys;
	enum act_code mask;
	const void *y;          /* NULL: again */
	const void *again;
	const float *a, *b;
	void *g;                /* where g is stored; NULL: nowhere */
	int m_pad;
	int norms;
	struct norm_of norm[2];
};

/* sums: for each norm rows 2 of s_pad, sum g and sum g xhat; copies of them as gradients
 * of bias and gain where not NULL. work: sums_bytes(span, 1 + norms). */
struct sums_out { float *s, *dgain, *dbias; int s_pad; };
void backward_sums_start(cudaStream_t, struct span, const struct backward_pass *,
			 const struct sums_out[2], void *work);
/* dx = gain invstd (g - s0 / count - xhat s1 / count), with norm[0]. */
void backward_dx_start(cudaStream_t, struct span, const struct backward_pass *, const float *gain,
		       const float *s, int s_pad, double count, void *dx);
/* g alone. */
void backward_mask_start(cudaStream_t, struct span, const struct backward_pass *);

/* A batch norm from its statistics and a and b: invstd = 1 / sqrt(variance + eps), gain =
 * a / invstd, bias = b + a mean; pad numbers each, zero from c on. */
struct norm_rows {
	const float *m, *ab;
	int m_pad, ab_pad, c, pad;
	double eps;
	float *invstd, *gain, *bias;
};
void norm_rows_start(cudaStream_t, const struct norm_rows *);
/* s, dgain, dbias from sums that a library made. */
void sums_take_start(cudaStream_t, const float *dgain, const float *dbias, int c, struct sums_out);
/* fp32 to another type, n numbers. */
void cast_start(cudaStream_t, const float *from, void *to, enum dtype type, int n);

/* Of all devices: parts is rows 2 of m_pad for each. */
void sync_stats_start(cudaStream_t, const float *parts, int devices, float *m, int m_pad);

/* ---- across the channels of a pixel ---- */

void layernorm_start(cudaStream_t, struct span, double eps, const void *x, const float *gain,
		     const float *bias, void *y);
/* dx, dgain, dbias: or NULL. */
void layernorm_dx_start(cudaStream_t, struct span, double eps, const void *dy, const void *x,
			const float *gain, void *dx, float *dgain, float *dbias, void *work);
size_t layernorm_work(struct span);
struct response { int n; double alpha, beta, k; };
void lrn_start(cudaStream_t, struct span, struct response, const void *x, void *y);
void lrn_dx_start(cudaStream_t, struct span, struct response, const void *dy, const void *x,
		  void *dx);

/* ---- pools ---- */

struct pool {
	int k[2], s[2], dilation[2], before[2], after[2];
	int in_h, in_w, out_h, out_w, count_pad, wide;
};
/* place: u8 (wide: i32) beside y, or NULL. Spans are y's, or dx's. */
void maxpool_start(cudaStream_t, struct span y, const struct pool *, const void *x, void *to,
		   void *place);
void maxpool_dx_start(cudaStream_t, struct span dx, const struct pool *, const void *dy,
		      const void *place, void *to);
void avgpool_start(cudaStream_t, struct span y, const struct pool *, const void *x, void *to);
void avgpool_dx_start(cudaStream_t, struct span dx, const struct pool *, const void *dy, void *to);

/* ---- convolutions that no library has ---- */

struct own_conv {
	int n, in_h, in_w, in_c, in_pad, out_h, out_w, out_c, out_pad, groups;
	int k[2], s[2], dilation[2], before[2];
	int w_in;               /* numbers of a tap in packed weights */
	enum dtype type;
};
void conv_start(cudaStream_t, const struct own_conv *, const void *x, const void *w, void *y);
void conv_dx_start(cudaStream_t, const struct own_conv *, const void *dy, const void *w, void *dx);
/* dw as packed weights are */
void conv_dw_start(cudaStream_t, const struct own_conv *, const void *x, const void *dy, void *dw);

/* Masters (fp32 OIHW, in_group of I) to [out_pad][h][w][w_in] of a type, and gradients
 * back. */
struct filters { int out, out_pad, in_group, w_in, h, w; enum dtype type; };
void pack_start(cudaStream_t, struct filters, const float *master, void *packed);
void unpack_start(cudaStream_t, struct filters, const void *packed, float *gradient);

/* ---- loss and update ---- */

struct loss { double smoothing, weight; int classes, samples, pad; enum dtype type; };
/* logits and dlogits: pad and type of struct loss; probabilities: fp32 of classes;
 * others: losses that are added, or NULL. */
void xent_start(cudaStream_t, struct loss, const void *logits, const int32_t *labels,
		const float *shares, const float *others, float *probabilities,
		float *losses);
void xent_dx_start(cudaStream_t, struct loss, const float *probabilities, const int32_t *labels,
		   const float *shares, const void *control, void *dlogits);

/* A run of parameters that one block updates. */
struct update_chunk { unsigned long long at; unsigned numbers, decays; };
struct update_rule { double momentum, decay; int nesterov; };
void update_start(cudaStream_t, struct update_rule, const struct update_chunk *, int chunks,
		  float *w, const float *gradient, float *slot, const void *control);

/* flag[0]: a loss, flag[1]: a gradient is not finite; set to 0 or 1. */
void finite_start(cudaStream_t, const float *losses, size_t loss_count, const float *gradient,
		  size_t count, int *flag);
/* What follows of it: halt, or (scaling) skip and another loss scale. */
void judge_start(cudaStream_t, const int *flag, int scaling, void *control);

#ifdef __cplusplus
}
#endif

#endif
