/* What needs no file of safetensors.h: types, shapes and numbers of tensors. */
#include "data/safetensors.h"

#include "base/bytes.h"
#include "base/fail.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct { char name[TENSOR_DTYPE]; unsigned char bytes, real; } dtypes[] = {
	{ "F64", 8, 1 }, { "F32", 4, 1 }, { "F16", 2, 1 }, { "BF16", 2, 1 },
	{ "I64", 8, 0 }, { "I32", 4, 0 }, { "I16", 2, 0 }, { "I8", 1, 0 },
	{ "U64", 8, 0 }, { "U32", 4, 0 }, { "U16", 2, 0 }, { "U8", 1, 0 }, { "BOOL", 1, 0 },
	{ "F8_E5M2", 1, 0 }, { "F8_E4M3", 1, 0 }, { "F8_E8M0", 1, 0 }, { "C64", 8, 0 },
};

size_t tensor_dtype_bytes(const char *dtype)
{
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++)
		if (!strcmp(dtypes[i].name, dtype))
			return dtypes[i].bytes;
	return 0;
}

int tensor_is_real(const char *dtype)
{
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++)
		if (!strcmp(dtypes[i].name, dtype))
			return dtypes[i].real;
	return 0;
}

uint64_t tensor_numbers(const struct tensor *t)
{
	uint64_t n = 1;

	for (int i = 0; i < t->rank; i++)
		n *= t->dim[i];
	return n;
}

const char *tensor_shape(const struct tensor *t, char *buf, size_t room)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int i = 0; i < t->rank && at < room; i++)
		at += (size_t)snprintf(buf + at, room - at, "%s%llu", i ? "x" : "",
				       (unsigned long long)t->dim[i]);
	return buf;
}

int tensor_same(const struct tensor *a, const struct tensor *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->dtype, b->dtype) && a->rank == b->rank &&
	       !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(a->dim[0]));
}

static double float_of(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, 4);
	return f;
}

static double half_of(uint16_t h)
{
	double m = h & 0x3ff;
	int e = h >> 10 & 31;
	double v = e == 31 ? (m != 0 ? (double)NAN : (double)INFINITY)
		 : e ? ldexp(m + 1024, e - 25) : ldexp(m, -24);

	return h >> 15 ? -v : v;
}

static double real_of(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, 8);
	return d;
}

int tensor_to_double(const char *dtype, const void *raw, size_t n, double *out)
{
	const unsigned char *b = raw;

#define EACH(word, size, value) \
	if (!strcmp(dtype, word)) { \
		for (size_t i = 0; i < n; i++, b += (size)) \
			out[i] = (double)(value); \
		return 0; \
	}
	EACH("F32", 4, float_of(get_u32(b)))
	EACH("F64", 8, real_of(get_u64(b)))
	EACH("F16", 2, half_of(get_u16(b)))
	EACH("BF16", 2, float_of((uint32_t)get_u16(b) << 16))
	EACH("I64", 8, (int64_t)get_u64(b))
	EACH("I32", 4, (int32_t)get_u32(b))
	EACH("I16", 2, (int16_t)get_u16(b))
	EACH("I8", 1, (int8_t)*b)
	EACH("U64", 8, get_u64(b))
	EACH("U32", 4, get_u32(b))
	EACH("U16", 2, get_u16(b))
	EACH("U8", 1, *b)
	EACH("BOOL", 1, *b)
#undef EACH
	return fail("numbers of type %s cannot be read", dtype);
}

/* A double as a float of the given exponent and fraction bits, rounded once. */
static uint32_t narrow(double v, int exponent_bits, int fraction_bits)
{
	int bias = (1 << (exponent_bits - 1)) - 1, e;
	uint32_t sign = signbit(v) ? 1u << (exponent_bits + fraction_bits) : 0;
	uint32_t infinite = (uint32_t)((1 << exponent_bits) - 1) << fraction_bits;

	v = fabs(v);
	if (isnan(v))
		return sign | infinite | 1u << (fraction_bits - 1);
	if (isinf(v))
		return sign | infinite;
	frexp(v, &e);
	if (e < 2 - bias)
		e = 2 - bias;   /* subnormal: the place of the last bit stays */
	/* The fraction's carry moves into the exponent by itself. */
	double scaled = nearbyint(ldexp(v, fraction_bits + 1 - e));
	uint64_t bits = ((uint64_t)(e - 2 + bias) << fraction_bits) + (uint64_t)scaled;
	return sign | (bits >= infinite ? infinite : (uint32_t)bits);
}

int tensor_from_double(const char *dtype, const double *in, size_t n, void *raw)
{
	unsigned char *b = raw;

#define EACH(word, size, act) \
	if (!strcmp(dtype, word)) { \
		for (size_t i = 0; i < n; i++, b += (size)) \
			act; \
		return 0; \
	}
	EACH("F32", 4, { float f = (float)in[i]; uint32_t u; memcpy(&u, &f, 4); put_u32(b, u); })
	EACH("F64", 8, { uint64_t u; memcpy(&u, &in[i], 8); put_u64(b, u); })
	EACH("F16", 2, put_u16(b, (uint16_t)narrow(in[i], 5, 10)))
	EACH("BF16", 2, put_u16(b, (uint16_t)narrow(in[i], 8, 7)))
#undef EACH
	return fail("numbers cannot be written as %s", dtype);
}
