/*
 * What dnn.c, which every version of the library has in common, shares with dnn2.c and
 * dnn3.c, of which one speaks to the version that is installed: how things are
 * described changed between the two. Private to these files.
 */
#ifndef DEV_CPU_DNN_OWN_H
#define DEV_CPU_DNN_OWN_H

#include "base/fail.h"
#include "dev/cpu/dnn.h"

#include <dnnl.h>

#if DNNL_VERSION_MAJOR == 2
#define DESC const dnnl_memory_desc_t *
#elif DNNL_VERSION_MAJOR == 3
#define DESC const_dnnl_memory_desc_t
#else
#error "neither oneDNN 2.x nor 3.x"
#endif

enum { DNN_ARGS = 6 };

/* The value that is added to sums is the first thing done behind them. */
#define DNN_ARG_ADD (DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1)

struct dnn {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	dnnl_primitive_desc_t desc;
	dnnl_primitive_t primitive;
	dnnl_exec_arg_t arg[DNN_ARGS];
	int args;
	size_t scratch;
	char kernel[DNN_NAME];
	struct dnn_shape weights;       /* 3.x has no bytes for it: what to ask for again */
};

struct dnn_pack {
	struct dnn d;           /* arg: from, to, scratch */
	int unpack;
};

/* Fails with the library's reason. */
int dnn_wrong(const char *what, dnnl_status_t);

#define DNNL_TRY(what, x) do { dnnl_status_t s_ = (x); \
	if (s_ != dnnl_success) return dnn_wrong(what, s_); } while (0)

/* Each 0 or -1. An engine and a stream; an argument without a place yet; what every
 * primitive gets as attributes; the primitive itself with its scratchpad, when desc is
 * there. */
int dnn_begin(struct dnn *);
int dnn_arg(struct dnn *, int name, DESC);
int dnn_attr(dnnl_primitive_attr_t *);
/* What a forward convolution does behind its sums; y: its descriptor. */
int dnn_attr_after(dnnl_primitive_attr_t, const struct dnn_conv *, DESC y);
int dnn_finish(struct dnn *);
void dnn_release(struct dnn *);

/* How a side is stored: nchw, nhwc, nChw16c, ... 0 or -1. */
int dnn_tag(int channels, int block, dnnl_format_tag_t *);

/* Takes desc's name, and refuses the library's plain loops. 0 or -1. */
int dnn_name(struct dnn *);

/* ---- of a version ---- */

/* Describes a convolution: desc, weights and the arguments x, w, bias, y. 0 or -1. */
int dnn_describe_conv(struct dnn *, const struct dnn_conv *, enum dnn_direction);

/* Likewise a reorder: desc and the arguments from and to. */
int dnn_describe_pack(struct dnn_pack *, const struct dnn_conv *, const struct dnn_shape *);

#endif
