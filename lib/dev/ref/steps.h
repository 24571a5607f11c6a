/*
 * The steps of ref, a function each: the step's kind in program.h says what it does.
 * Operands are fp32 in any layout (labels, pixels and places of maxima aside). The
 * padding of outputs is zeroed before, so that a step writes the channels there are.
 * 0, or -1 with a reason.
 */
#ifndef DEV_REF_STEPS_H
#define DEV_REF_STEPS_H

#include "dev/host.h"

typedef int ref_step(const struct memory *, const struct step *);

ref_step ref_conv, ref_conv_dx, ref_conv_dw, ref_channel_sum;
ref_step ref_stats, ref_coef, ref_affine, ref_bn_sums, ref_bn_dx, ref_track, ref_fold;
ref_step ref_act, ref_act_dx, ref_add, ref_mul, ref_mul_sum;
ref_step ref_maxpool, ref_maxpool_dx, ref_avgpool, ref_avgpool_dx;
ref_step ref_input, ref_copy, ref_cat, ref_slice, ref_pad, ref_shuffle;
ref_step ref_layernorm, ref_layernorm_dx, ref_lrn, ref_lrn_dx;
ref_step ref_dropout;
ref_step ref_xent, ref_xent_dx;
ref_step ref_update;

/* Asks for the workspace of a convolution. */
int ref_conv_prepare(struct step *);
/* Of sums over pixels. */
int ref_layernorm_prepare(const struct program *, struct step *);

/* A stored value with its strides in numbers: n, and h, w of one channel. */
struct view {
	float *at;
	const struct value *v;
	size_t n, block, h, w;
};

static inline struct view view_of(const struct memory *m, int value)
{
	const struct value *v = &m->program->value[value];
	struct view view = { memory_at(m, value), v, 0, 0, 0, (size_t)v->lay.block };

	view.h = view.w * (size_t)v->w;
	view.block = view.h * (size_t)v->h;
	view.n = view.block * (size_t)(v->lay.pad / v->lay.block);
	return view;
}

/* Channel c of sample n, at pixel 0, 0: pixel y, x is h y + w x further. */
static inline float *view_plane(const struct view *view, int n, int c)
{
	int block = view->v->lay.block;

	return view->at + (size_t)n * view->n + (size_t)(c / block) * view->block +
	       (size_t)(c % block);
}

static inline float *view_pixel(const struct view *view, float *plane, int y, int x)
{
	return plane + (size_t)y * view->h + (size_t)x * view->w;
}

/* Row r of a vector over channels. */
static inline float *view_row(const struct memory *m, int value, int r)
{
	const struct value *v = &m->program->value[value];

	return (float *)memory_at(m, value) + (size_t)r * (size_t)v->lay.pad;
}

#endif
