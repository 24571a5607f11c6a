/*
 * All that is used of oneDNN, behind one door: convolutions in their three
 * directions and matrix products. dnn.c is what its versions have in common; how a
 * primitive is described differs between 2.x (dnn2.c) and 3.x (dnn3.c), and the header
 * that is installed decides which of the two is more than an empty file.
 *
 * Primitives keep the number of threads that OpenMP would use in the calling thread
 * when they are made. None is shared between threads.
 */
#ifndef DEV_CPU_DNN_H
#define DEV_CPU_DNN_H

#include <stddef.h>

enum dnn_direction { DNN_FORWARD, DNN_BACKWARD_DATA, DNN_BACKWARD_WEIGHTS };

enum { DNN_NAME = 64, DNN_SHAPE = 1024 };

/* What becomes of forward sums; each makes 0 of 0, which padding stays so. */
enum dnn_act { DNN_NONE, DNN_RELU, DNN_RELU6, DNN_TANH, DNN_SWISH, DNN_GELU, DNN_HARDSWISH };

/* Channels are stored in blocks as in struct layout: 1 is NCHW, the number of
 * channels NHWC, 8 and 16 blocked and padded with zeros. */
struct dnn_conv {
	int n, groups;
	int in_c, in_h, in_w, in_block;
	int out_c, out_h, out_w, out_block;
	int k[2], stride[2], dilation[2], before[2], after[2];
	int bias;               /* forward adds one, bare fp32 of out_c numbers */
	int add;                /* and then a value like y (dnn_place_add()) */
	enum dnn_act act;       /* and then does this */
	int bf16;               /* x, y and packed weights; gradients of weights are fp32 */
};

/* How a primitive wants its weights stored: opaque; two are the same way where their
 * bytes are. */
struct dnn_shape { _Alignas(16) unsigned char bytes[DNN_SHAPE]; };

struct dnn;             /* a primitive made for one convolution */
struct dnn_pack;        /* weights from OIHW into a primitive's way, or back */

/* The library's best direct kernel; NULL where there is none but its slow reference:
 * reason. */
struct dnn *dnn_conv(const struct dnn_conv *, enum dnn_direction);
void dnn_free(struct dnn *);    /* NULL: nothing */

/* The library's name of the kernel: "jit:avx512_core". */
const char *dnn_kernel(const struct dnn *);
size_t dnn_scratch(const struct dnn *);
void dnn_weights(const struct dnn *, struct dnn_shape *);

/* Where it works from now on: x and y of the input's and output's side, weights in the
 * primitive's way, bias or NULL, scratch of dnn_scratch() bytes. 0 or -1. */
int dnn_place(struct dnn *, void *x, void *weights, void *bias, void *y, void *scratch);
int dnn_place_add(struct dnn *, void *add);
int dnn_run(struct dnn *);

/* For the weights of this convolution. unpack: back into OIHW. NULL: reason. */
struct dnn_pack *dnn_pack(const struct dnn_conv *, const struct dnn_shape *, int unpack);
void dnn_pack_free(struct dnn_pack *);  /* NULL: nothing */
size_t dnn_pack_bytes(const struct dnn_shape *);        /* of weights stored that way */
size_t dnn_pack_scratch(const struct dnn_pack *);
int dnn_pack_place(struct dnn_pack *, void *plain, void *packed, void *scratch);
int dnn_pack_run(struct dnn_pack *);

/* c[m][n] = a b (+ c where add), row after row; ta: a is stored as [k][m], tb: b as
 * [n][k]. 0 or -1. */
int dnn_product(int ta, int tb, int m, int n, int k, const float *a, int lda, const float *b,
		int ldb, int add, float *c, int ldc);

/* "oneDNN 2.6.3". */
const char *dnn_library(void);

/* The instruction set it works with: "avx512_core_bf16". */
const char *dnn_isa(void);

/* Width of the vectors that the library works with: 16 or 8 numbers. */
int dnn_width(void);

/* Keeps the library to vectors of 16, 8 or 4 numbers, once for the process; on x86-64
 * alone. 0, or -1 where it works with others already. */
int dnn_limit(int width);

#endif
