/* Vectors, for kernel_body.h and the parts that it includes. */
#include "dev/cpu/kernels.h"

#include <assert.h>
#include <string.h>

typedef float vec __attribute__((vector_size(WIDTH * 4), may_alias));
typedef int32_t bits __attribute__((vector_size(WIDTH * 4), may_alias));
typedef uint8_t bytes __attribute__((vector_size(WIDTH), may_alias, aligned(1)));
typedef double wide __attribute__((vector_size(WIDTH * 8), may_alias, aligned(8)));
typedef float vec_any __attribute__((vector_size(WIDTH * 4), may_alias, aligned(4)));

typedef uint16_t shorts __attribute__((vector_size(WIDTH * 2), may_alias, aligned(2)));

#define INLINE static inline __attribute__((always_inline))

/* Before a loop whose few rounds are known when it is compiled. */
#define UNROLL _Pragma("GCC unroll 9")

/* Pixels whose sums are kept in fp32 before they are added up in double. */
enum { RUN = 64 };

INLINE vec get(const float *p)
{
	return *(const vec *)p;
}

INLINE void set(float *p, vec v)
{
	*(vec *)p = v;
}

INLINE vec all(float f)
{
	return f - (vec){ 0 };
}

/*
 * A stored number: fp32, or where BF16 is defined bf16, whose kernels compute in fp32
 * all the same. A vector of them from memory, and to it.
 */
#ifdef BF16
typedef uint16_t num;

INLINE vec load(const num *p)
{
	return (vec)(__builtin_convertvector(*(const shorts *)p, bits) << 16);
}

INLINE void store(num *p, vec v)
{
	*(shorts *)p = SHORTEN(v);
}

INLINE void store_past(num *p, vec v, int stream)
{
	if (stream)
		STREAM_SHORTS(p, SHORTEN(v));
	else
		store(p, v);
}
#else
typedef float num;

INLINE vec load(const num *p)
{
	return get(p);
}

INLINE void store(num *p, vec v)
{
	set(p, v);
}

INLINE void store_past(num *p, vec v, int stream)
{
	if (stream)
		STREAM(p, v);
	else
		set(p, v);
}
#endif

/* v where the mask is set, else 0. */
INLINE vec keep(vec v, bits mask)
{
	return (vec)((bits)v & mask);
}

INLINE vec choose(bits mask, vec yes, vec no)
{
	return (vec)(((bits)yes & mask) | ((bits)no & ~mask));
}

/* The lanes of channels c .. that are below `channels`. */
INLINE bits lanes_live(int c, int channels)
{
	bits lane = { 0 };

	for (int l = 0; l < WIDTH; l++)
		lane[l] = l;
	return lane < channels - c;
}

INLINE void add_wide(double *sum, vec v)
{
	*(wide *)sum += __builtin_convertvector(v, wide);
}

INLINE vec act_of(vec v, int act)
{
	/* by what is to go, so that NaN stays */
	if (act != CPU_NONE)
		v = keep(v, ~(v < 0));
	if (act == CPU_RELU6)
		v = choose(v > 6, all(6), v);
	return v;
}

/* The outputs whose tap k reads inside the input: from .. to - 1. */
INLINE void inside(const struct slide *s, int k, int *from, int *to)
{
	int shift = s->before - k * s->dilation, last = s->in - 1 + shift;

	*from = shift > 0 ? (shift + s->stride - 1) / s->stride : 0;
	*to = last < 0 ? 0 : last / s->stride + 1;
	if (*to > s->out)
		*to = s->out;
}
