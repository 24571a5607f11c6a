/*
 * The backend "cuda": convolutions and products by cuDNN, sums over devices by NCCL, own
 * kernels for all else; a plug-in (millrace-cuda.so) that borrows base, net and parts of
 * the host side of devices from the program that opens it. This header is private to the
 * folder.
 *
 * Devices: "cuda:0", or "cuda:0:bf16" with the type of activations behind it: fp16 (the
 * default, with a loss scale that adjusts itself), bf16, tf32 (fp32 whose products are
 * rounded to 10 bits), fp32. "cuda:h100" and "cuda:h200" are devices to look at: programs
 * can be made for them anywhere, to see steps, engines and memory, but not be bound.
 *
 * Activations are NHWC with channels padded to 8. Masters, gradients, statistics and
 * losses are fp32.
 *
 * A range of steps is run as it is once, then recorded as one CUDA graph and run so.
 */
#ifndef DEV_CUDA_CUDA_H
#define DEV_CUDA_CUDA_H

#include "dev/cuda/cache.h"
#include "dev/cuda/dnn.h"
#include "dev/cuda/engine.h"
#include "dev/cuda/kernels.h"
#include "dev/dev.h"
#include "dev/host.h"

#include <cuda_runtime_api.h>

enum { STAGES = 8, LANDINGS = 2, RECORDINGS = 8 };

/* Pinned memory on its way to the device, or from it. */
struct stage {
	void *at;
	size_t room;
	cudaEvent_t done;       /* made with the first room */
	int used;               /* a copy was begun: done tells its end */
};

/* Where pixels arrive while the step before runs: its stage, and memory of the device. */
struct landing {
	struct stage stage;
	void *at;
	size_t room;
	cudaEvent_t taken;      /* what arrived was copied on */
};

/* Of engines, since the last notes; seconds: of all. */
struct timing { double seconds; int chosen, left; };

struct device {
	struct host host;       /* its memory: struct bound; rank, ranks; no team */
	int ordinal;            /* -1: only to look at */
	enum dtype type;        /* of activations */
	int exact;              /* fp32 that is not tf32 */
	cudaStream_t stream;
	cudaStream_t copies;    /* of pixels, beside the stream's work */
	struct dnn *dnn;
	struct peers *peers;    /* with whom it takes each step; NULL: alone */
	struct stage stage[STAGES];
	struct landing landing[LANDINGS];
	struct stage answer[BACKEND_PLACES];
	int next_stage, next_landing;
	struct cache cache;     /* of engines; empty for a device to look at */
	struct timing timing;
	struct text notes;      /* lines for note() */
	char words[512];        /* describe() */
};

/* A range of steps as a CUDA graph, after it was run once. */
struct recording {
	int from, to, runs;
	cudaGraphExec_t graph;
};

/* A program's memory: arenas in device memory. */
struct bound {
	struct memory memory;
	void *owned[ARENAS];    /* arenas that are not another's */
	struct update_chunk *chunk;     /* device memory, of the program's UPDATE step */
	int chunks;
	struct recording recording[RECORDINGS];
};

/* Starts a step's work, or that of the bracket that begins with it. 0 or -1. */
typedef int cuda_run(struct device *, const struct memory *, const struct step *);

/* What a step keeps from prepare on; first in the struct of its kind. */
struct own { cuda_run *run; };

/* Made in prepare; NULL: reason. bytes: of the struct that begins with own. */
void *own_add(struct program *, struct step *, size_t bytes, cuda_run *run);

/* ---- values ---- */

static inline const struct value *value_of(const struct memory *m, int value)
{
	return &m->program->value[value];
}

static inline struct span span_of(const struct value *v)
{
	struct span s = { (unsigned)v->n * (unsigned)v->h * (unsigned)v->w, v->c, v->lay.pad,
			  v->lay.type };

	return s;
}

static inline int step_in(const struct step *s, int k)
{
	return k < s->ins ? s->in[k] : -1;
}

static inline int step_out(const struct step *s, int k)
{
	return k < s->outs ? s->out[k] : -1;
}

/* Row r of a vector over channels; NULL for -1. */
static inline float *row_at(const struct memory *m, int value, int r)
{
	return value < 0 ? NULL : (float *)memory_at(m, value) +
				  (size_t)r * (size_t)value_of(m, value)->lay.pad;
}

static inline int row_pad(const struct memory *m, int value)
{
	return value_of(m, value)->lay.pad;
}

/* In the layout of this backend: what kernels walk over. */
int layout_walks(const struct device *, const struct value *);

/* The kernels' name of an activation; ACT_NONE: it has none. */
enum act_code act_code(const struct step *);

/* ---- what the files share ---- */

int cuda_layout(void *dev, const struct program *, int step, struct layout *in,
		struct layout *out);
double cuda_cost(void *dev, const struct program *, int from, int to);
/* Seconds that own kernels take to move so many bytes. */
double pass_cost(double bytes);
/* bracket.c: of a bracket without a convolution; < 0: cannot. */
double bracket_cost(const struct device *, const struct program *, int from, int to);

int bracket_prepare(struct device *, struct program *, int from, int to);
int conv_prepare(struct device *, struct program *, int step);
struct bracket_view;
int conv_bracket_prepare(struct device *, struct program *, int from, int to,
			 const struct bracket_view *);
int pack_prepare(struct device *, struct program *, int step);

/* memory.c: as the functions of struct backend. */
int cuda_bind(struct device *, struct program *, struct program *shares);
int cuda_put(struct device *, struct program *, int value, const void *);
int cuda_get(struct device *, struct program *, int value, void *);
int cuda_restore(struct device *, struct program *, const struct control *);
int cuda_ask(struct device *, struct program *, int value, int place);
int cuda_answer(struct device *, struct program *, int value, int place, void *);
/* Pinned memory and landings; nothing is on its way any more. */
void stages_close(struct device *);
void memory_close(struct device *);

/* team.c: devices that take a step together. */
int cuda_join(struct device **, int count, struct world *);
void peers_leave(struct device *);
/* Sums of f32, or maxima of i32, over all devices, in place; alone: nothing. */
int peers_sum(struct device *, float *, size_t numbers);
int peers_max(struct device *, int *, size_t numbers);
/* A sum that goes on beside what is started next, until the sums are joined. */
int peers_begin_sum(struct device *, float *, size_t numbers);
int peers_join_sums(struct device *);
/* from of all devices one after the other; alone: a copy. */
int peers_gather(struct device *, const float *from, float *to, size_t numbers);

/* 0, or -1 where the program is for another number of devices than take the step. */
int peers_count_check(const struct device *, const struct memory *);

/* Runs, a kind of step each. */
cuda_run cuda_input, cuda_copy, cuda_cat, cuda_slice, cuda_dropout;
cuda_run cuda_affine, cuda_act, cuda_act_dx, cuda_add, cuda_mul, cuda_mul_sum;
cuda_run cuda_fold;
cuda_run cuda_stats, cuda_coef, cuda_bn_sums, cuda_bn_dx, cuda_track, cuda_channel_sum;
cuda_run cuda_sync_stats, cuda_sync_sums;
cuda_run cuda_pad, cuda_shuffle, cuda_layernorm, cuda_layernorm_dx, cuda_lrn, cuda_lrn_dx;
cuda_run cuda_maxpool, cuda_maxpool_dx, cuda_avgpool, cuda_avgpool_dx;
cuda_run cuda_xent, cuda_xent_dx;
cuda_run cuda_reduce, cuda_finite, cuda_update;

/* The sums of a backward pass, where its bn_sums want them. */
void sums_run(struct device *, const struct memory *, struct span, struct backward_pass *,
	      const struct step *const sums[2], void *work);
void norm_set(struct backward_pass *, const struct memory *, int k, const struct step *);
void dx_run(struct device *, const struct memory *, struct span, struct backward_pass *,
	    const struct step *bn_dx);

/* update.c: device memory of the UPDATE step, at bind. */
int update_place(struct bound *, const struct program *);

#endif
