/*
 * The backend "cpu": oneDNN for convolutions and products, own kernels for all else;
 * a plug-in (millrace-cpu.so) that borrows base, net and the host side of devices
 * from the program that opens it. This header is private to the folder.
 *
 * Devices: "cpu", or "cpu:avx512", "cpu:avx2", "cpu:plain" to be kept to that
 * instruction set (one choice for the whole process, where oneDNN is concerned).
 */
#ifndef DEV_CPU_CPU_H
#define DEV_CPU_CPU_H

#include "dev/cpu/kernels.h"
#include "dev/dev.h"
#include "dev/host.h"

struct device {
	struct host host;
	int threads;
	int asked, threads_asked;       /* for an instruction set, for a number of threads */
	int block;              /* of channels where oneDNN is best */
	const struct kernels *k;
	const struct kernels *k16;      /* for values in bf16; NULL: none */
	char words[192];        /* describe() */
};

/* Runs a step, or the bracket that begins with it. 0, or -1 with a reason. */
typedef int cpu_run(struct device *, const struct memory *, const struct step *);

/* What a step keeps from prepare to release; first in the struct of its kind. */
struct own {
	cpu_run *run;
	cpu_run *place;                 /* after bind, when all values have places; or NULL */
	void (*release)(struct own *);  /* or NULL; the struct itself is the program's memory */
};

/* Made in prepare; NULL: reason. bytes: of the struct that begins with own. */
void *own_add(struct program *, struct step *, size_t bytes, cpu_run *run);

/* ---- values as planes of pixels (kernels.h) ---- */

struct planes {
	size_t count;           /* n times blocks */
	int blocks, block;      /* of channels, of one sample */
	size_t pixels;          /* of a plane */
	size_t chunk;           /* pixels of a piece, by the block alone */
	size_t chunks;          /* of a plane */
	size_t size;            /* bytes of a number: 4, or 2 of bf16 */
};

struct planes planes_of(const struct value *);

/* The kernels for a value's numbers. */
static inline const struct kernels *kernels_of(const struct device *dev, const struct value *v)
{
	return v->lay.type == DTYPE_BF16 ? dev->k16 : dev->k;
}

/* The kernels for their numbers. */
static inline const struct kernels *planes_kernels(const struct device *dev,
						   const struct planes *v)
{
	return v->size == 2 ? dev->k16 : dev->k;
}

/* Where number `at` of a value is. */
static inline void *planes_at(const struct planes *v, const void *base, size_t at)
{
	return (char *)base + at * v->size;
}

static inline size_t planes_pieces(const struct planes *v)
{
	return v->count * v->chunks;
}

/* Pixels of a plane's chunk k. */
static inline size_t chunk_pixels(const struct planes *v, size_t k)
{
	size_t first = k * v->chunk;

	return v->pixels - first < v->chunk ? v->pixels - first : v->chunk;
}

/* A piece: pixels from `at` numbers on; its first channel. */
struct piece { size_t at, pixels; int c; };

static inline struct piece planes_piece(const struct planes *v, size_t i)
{
	size_t plane = i / v->chunks, k = i % v->chunks;
	struct piece p;

	p.at = (plane * v->pixels + k * v->chunk) * (size_t)v->block;
	p.pixels = chunk_pixels(v, k);
	p.c = (int)(plane % (size_t)v->blocks) * v->block;
	return p;
}

/* Whether the own kernels can walk over values of this layout. */
int layout_walks(const struct device *, const struct value *, struct layout);

/* Has a kind of step kernels for values in bf16? 1 or 0. */
int kind_shorts(const struct program *, const struct step *);

/* Is a value so large that what is written of it will not be found in a cache? */
int value_streams(const struct value *);

static inline const struct value *value_at(const struct memory *m, int value)
{
	return &m->program->value[value];
}

/* Row r of a vector over channels; NULL for -1. */
static inline float *row_at(const struct memory *m, int value, int r)
{
	return value < 0 ? NULL : (float *)memory_at(m, value) +
				  (size_t)r * (size_t)value_at(m, value)->lay.pad;
}

static inline int step_in(const struct step *s, int k)
{
	return k < s->ins ? s->in[k] : -1;
}

static inline int step_out(const struct step *s, int k)
{
	return k < s->outs ? s->out[k] : -1;
}

static inline void *work_at(const struct memory *m, const struct step *s)
{
	return memory_at(m, s->work_value);
}

/* ---- threads (parallel.c) ---- */

/* Work on piece i of many, in any order and on any thread. */
typedef void each_work(void *context, size_t i);

/* All pieces 0 .. count - 1, shared out over the device's threads in runs. */
void each(struct device *, size_t count, each_work *, void *context);

/* Which of the device's threads a piece runs on: 0 .. threads - 1. */
int thread_of(void);

/* The calling thread's teams have this many threads from now on: OpenMP's own, and
 * those that primitives are made for. How many they had. */
int threads_set(int threads);
int threads_most(void);         /* what the user or the machine allows */

/* Ends the calling thread's waiting team; the next region makes another. */
void threads_end(void);

/* ---- what the machine has and can (features.c): as in struct backend ---- */

void cpu_explain(struct device *, struct text *);
void cpu_limits(struct device *, struct limits *);
enum dtype cpu_fastest(struct device *);

/* ---- what backend and steps share ---- */

int cpu_layout(void *dev, const struct program *, int step, struct layout *in,
	       struct layout *out);
double cpu_cost(void *dev, const struct program *, int from, int to);

/* Runs a bracket; its parts are seen once, in prepare. */
int bracket_prepare(struct device *, struct program *, int from, int to);

/* prepare of kinds that need it. */
int conv_prepare(struct device *, struct program *, int step);
int pack_prepare(struct device *, struct program *, int step);

struct bracket_view;
/* Of the brackets that begin with a convolution: is one a single pass here? 1 or 0.
 * prepare: as conv_prepare(), of the bracket's first step. */
int conv_bracket_fits(const struct device *, const struct program *, int step,
		      const struct bracket_view *);
int conv_bracket_prepare(struct device *, struct program *, int step,
			 const struct bracket_view *);
int norm_prepare(struct device *, struct program *, int step);
int pool_prepare(struct device *, struct program *, int step);
int across_prepare(struct device *, struct program *, int step);

/* run of kinds without a state of their own. */
cpu_run cpu_input, cpu_copy, cpu_cat, cpu_slice, cpu_pad, cpu_shuffle;
cpu_run cpu_layernorm, cpu_layernorm_dx, cpu_lrn, cpu_lrn_dx;
cpu_run cpu_fold;
cpu_run cpu_stats, cpu_coef, cpu_affine, cpu_bn_sums, cpu_bn_dx, cpu_track, cpu_channel_sum;
cpu_run cpu_act, cpu_act_dx, cpu_add, cpu_mul, cpu_mul_sum;
cpu_run cpu_dropout, cpu_xent, cpu_xent_dx, cpu_update, cpu_finite;

/* Bytes of workspace of the passes below. */
size_t sums_work(const struct value *, int sums);
size_t dx_work(const struct value *);

/* A pass over values like v, in pieces. */
void forward_run(struct device *, const struct value *v, const struct forward_pass *);

/* The sums of a backward pass, written where its bn_sums want them. work: sums_work(). */
void sums_run(struct device *, const struct memory *, const struct value *v,
	      struct backward_pass *, const struct step *const sums[2], void *work);
/* dx of a backward pass from bn_dx's operands. work: dx_work(). */
void dx_run(struct device *, const struct memory *, const struct value *v,
	    struct backward_pass *, const struct step *bn_dx, void *work);
/* Neither: the masked gradient alone. */
void backward_run(struct device *, const struct value *v, struct backward_pass *);

/* x g of a step mul, plus share times one pixel of plus for all (NULL: nothing), to a value. */
void mul_run(struct device *, const struct memory *, const struct step *mul, const void *plus,
	     float share, int to);

/* The pass' name of a step's activation. */
int act_pass(const struct step *);
/* What the pass does to gradients of an activation; again: from a x + b. */
int act_mask(int act, int again);

#endif
