/* What the steps of convolutions and the brackets with them share. Private to the folder. */
#ifndef DEV_CUDA_CONV_H
#define DEV_CUDA_CONV_H

#include "dev/cuda/cuda.h"
#include "net/bracket.h"

/* Where a forward convolution's side is that is written, and what is done to it first:
 * act(sum + bias + add). */
struct epilogue {
	int y;                          /* a value */
	int add;                        /* a value like y; -1: none */
	enum act_code act;
};

struct conv_own {
	struct own own;
	enum dnn_kind kind;
	const struct dnn_plan *plan;    /* NULL: own kernels */
	struct dnn_graph graph;
	struct own_conv conv;
	struct filters filters;
	size_t packed;                  /* bytes of the weights' tensor, and of its gradient */
	struct epilogue after;
};

/* Of a conv, conv_dx or conv_dw: all but own and plan. 1, or 0 where cuDNN has no view of
 * it: channels of groups that padding would tear apart, windows that hang over their
 * padding. */
int conv_describe(const struct device *, const struct program *, const struct step *,
		  struct conv_own *);

/* fused.c: a bracket with a convolution as cuDNN's fused graph; 0 or -1 (no reason) where
 * it has none. */
int fused_describe(const struct device *, const struct program *, const struct bracket_view *,
		   struct conv_own *);
/* Prepares it. 0 or -1. */
int fused_prepare(struct device *, struct program *, int from, int to,
		  const struct bracket_view *);

#endif
