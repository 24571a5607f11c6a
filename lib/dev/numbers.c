/* Short floats, layouts, and the draws of dropout. */
#include "dev/host.h"

#include "base/rng.h"

#include <assert.h>

static uint32_t float_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	return u;
}

static float float_of(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof f);
	return f;
}

uint16_t bf16_from(float f)
{
	uint32_t u = float_bits(f);

	if ((u & 0x7fffffff) > 0x7f800000)      /* rounding could make it infinite */
		return (uint16_t)(u >> 16 | 0x40);
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* x is 2^-k of a number that must come out whole: the nearest, ties to even. */
static uint32_t shift_round(uint32_t x, unsigned k)
{
	uint32_t half = (uint32_t)1 << (k - 1), rest = x & (half * 2 - 1);
	uint32_t whole = x >> k;

	return whole + (rest > half || (rest == half && (whole & 1)));
}

uint16_t f16_from(float f)
{
	uint32_t u = float_bits(f), sign = u >> 16 & 0x8000, size = u & 0x7fffffff;

	if (size > 0x7f800000)
		return (uint16_t)(sign | 0x7e00 | (size >> 13 & 0x1ff));
	if (size >= 0x477ff000)                 /* 65520 and more */
		return (uint16_t)(sign | 0x7c00);
	if (size >= 0x38800000)                 /* 2^-14 and more: normal */
		return (uint16_t)(sign | shift_round(size - 0x38000000, 13));
	if (size < 0x33000000)                  /* under 2^-25 */
		return (uint16_t)sign;
	return (uint16_t)(sign | shift_round((size & 0x7fffff) | 0x800000,
					     126 - (size >> 23)));
}

float f16_to(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, size = h & 0x7fff;

	if (size >= 0x7c00)
		return float_of(sign | 0x7f800000 | (size & 0x3ff) << 13);
	if (size >= 0x400)
		return float_of(sign | ((size << 13) + 0x38000000));
	return float_of(sign | float_bits((float)size * 0x1p-24f));
}

static float number_load(const void *from, enum dtype type, size_t i)
{
	switch (type) {
	case DTYPE_F32:
		return ((const float *)from)[i];
	case DTYPE_BF16:
		return bf16_to(((const uint16_t *)from)[i]);
	default:
		assert(type == DTYPE_F16);
		return f16_to(((const uint16_t *)from)[i]);
	}
}

static void number_store(void *to, enum dtype type, size_t i, float f)
{
	switch (type) {
	case DTYPE_F32:
		((float *)to)[i] = f;
		return;
	case DTYPE_BF16:
		((uint16_t *)to)[i] = bf16_from(f);
		return;
	default:
		assert(type == DTYPE_F16);
		((uint16_t *)to)[i] = f16_from(f);
	}
}

void numbers_convert(void *to, enum dtype to_type, const void *from, enum dtype from_type,
		     size_t n)
{
	size_t i;

	if (to_type == from_type) {
		memcpy(to, from, n * dtype_bytes(to_type));
		return;
	}
	for (i = 0; i < n; i++)
		number_store(to, to_type, i, number_load(from, from_type, i));
}

/* Whether its type is the same on the host's side, fp32 being the others'. */
static enum dtype plain_type(const struct value *v)
{
	return v->lay.type == DTYPE_U8 || v->lay.type == DTYPE_I32 ? v->lay.type : DTYPE_F32;
}

static int is_plain(const struct value *v)
{
	return v->lay.type == plain_type(v) && v->lay.block == v->c && v->lay.pad == v->c;
}

static size_t plain_bytes(const struct value *v)
{
	return (size_t)v->n * (size_t)v->h * (size_t)v->w * (size_t)v->c *
	       dtype_bytes(plain_type(v));
}

/* Moves one number between places of arrays; plain is fp32 where the value is float. */
static void move(const struct value *v, void *stored, size_t at, void *plain, size_t i, int out)
{
	if (v->lay.type == DTYPE_U8) {
		if (out)
			((uint8_t *)plain)[i] = ((uint8_t *)stored)[at];
		else
			((uint8_t *)stored)[at] = ((uint8_t *)plain)[i];
	} else if (v->lay.type == DTYPE_I32) {
		if (out)
			((int32_t *)plain)[i] = ((int32_t *)stored)[at];
		else
			((int32_t *)stored)[at] = ((int32_t *)plain)[i];
	} else {
		if (out)
			((float *)plain)[i] = number_load(stored, v->lay.type, at);
		else
			number_store(stored, v->lay.type, at, ((float *)plain)[i]);
	}
}

static void move_all(const struct value *v, void *stored, void *plain, int out)
{
	size_t i = 0;
	int n, h, w, c;

	for (n = 0; n < v->n; n++)
		for (h = 0; h < v->h; h++)
			for (w = 0; w < v->w; w++)
				for (c = 0; c < v->c; c++)
					move(v, stored, value_place(v, n, c, h, w), plain, i++,
					     out);
}

void value_pack(const struct value *v, void *stored, const void *plain)
{
	if (is_plain(v)) {
		memcpy(stored, plain, plain_bytes(v));
		return;
	}
	value_zero_padding(v, stored);
	move_all(v, stored, (void *)plain, 0);
}

void value_unpack(const struct value *v, const void *stored, void *plain)
{
	if (is_plain(v))
		memcpy(plain, stored, plain_bytes(v));
	else
		move_all(v, (void *)stored, plain, 1);
}

void value_zero_padding(const struct value *v, void *stored)
{
	size_t size = dtype_bytes(v->lay.type), block = (size_t)v->lay.block;
	char *numbers = stored;
	int n, h, w, c, end;

	for (c = v->c; c < v->lay.pad; c = end) {
		/* what is padding of the block that c is in lies together */
		end = (c / v->lay.block + 1) * v->lay.block;
		for (n = 0; n < v->n; n++)
			for (h = 0; h < v->h; h++)
				for (w = 0; w < v->w; w++)
					memset(numbers + value_place(v, n, c, h, w) * size, 0,
					       (block - (size_t)c % block) * size);
	}
}

void dropout_draw(const struct dropout_attr *drop, const struct control *control, int sample,
		  size_t from, size_t n, unsigned char *keep)
{
	/* of 2^32; p >= 1 drops all */
	double least = dropout_p(drop, control) * 0x1p32;
	struct rng rng;
	uint32_t word[4];
	size_t i, k;

	rng_init(&rng, control->seed, control->position + (uint64_t)sample * control->stride,
		 drop->name);
	for (i = 0; i < n; ) {
		uint64_t block = (from + i) / 4;

		rng.counter[0] = (uint32_t)block;
		rng.counter[1] = (uint32_t)(block >> 32);
		philox(rng.counter, rng.key, word);
		for (k = (from + i) % 4; k < 4 && i < n; k++, i++)
			keep[i] = word[k] >= least;
	}
}

double dropout_p(const struct dropout_attr *drop, const struct control *control)
{
	double step = (double)control->step;

	return step < drop->ramp ? drop->p * step / drop->ramp : drop->p;
}

float dropout_scale(const struct dropout_attr *drop, const struct control *control)
{
	return (float)(1 / (1 - dropout_p(drop, control)));
}
