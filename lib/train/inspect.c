#include "train/inspect.h"

#include "base/fail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 14 };

struct block { double number[BLOCK]; unsigned char raw[BLOCK * 8]; };

static int read_block(const struct safetensors *f, int i, uint64_t at, size_t n, struct block *b)
{
	const struct tensor *t = safetensors_tensor(f, i);
	size_t size = tensor_dtype_bytes(t->dtype);

	TRY(safetensors_read(f, i, at * size, b->raw, n * size));
	if (tensor_to_double(t->dtype, b->raw, n, b->number) < 0)
		return fail_add("%s: tensor %s", safetensors_path(f), t->name);
	return 0;
}

/* Mean and squared deviations in one pass (Welford 1962). */
static int add_block(const struct safetensors *f, int i, uint64_t at, size_t n, struct block *b,
		     struct tensor_stats *s, double *squares)
{
	TRY(read_block(f, i, at, n, b));
	for (size_t k = 0; k < n; k++) {
		double v = b->number[k];

		if (!isfinite(v)) {
			s->strange++;
			continue;
		}
		double count = (double)(at + k + 1 - s->strange), from = v - s->mean;

		s->mean += from / count;
		*squares += from * (v - s->mean);
		s->min = v < s->min ? v : s->min;
		s->max = v > s->max ? v : s->max;
	}
	return 0;
}

int tensor_stats(const struct safetensors *f, int i, struct tensor_stats *s)
{
	struct block *b = malloc(sizeof(*b));
	double squares = 0;
	int r = 0;

	if (!b)
		return fail("out of memory");
	*s = (struct tensor_stats){ .numbers = tensor_numbers(safetensors_tensor(f, i)),
				    .min = (double)INFINITY, .max = (double)-INFINITY };
	for (uint64_t at = 0; at < s->numbers && !r; at += BLOCK) {
		size_t n = s->numbers - at < BLOCK ? (size_t)(s->numbers - at) : BLOCK;

		r = add_block(f, i, at, n, b, s, &squares);
	}
	free(b);
	if (s->numbers == s->strange)
		s->mean = s->deviation = s->min = s->max = (double)NAN;
	else
		s->deviation = sqrt(squares / (double)(s->numbers - s->strange));
	return r;
}

static int compare_block(const struct block *a, const struct block *b, size_t n, size_t size,
			 struct tensor_difference *d)
{
	for (size_t k = 0; k < n; k++) {
		double gap;

		if (!memcmp(a->raw + k * size, b->raw + k * size, size))
			continue;
		d->differ++;
		gap = fabs(a->number[k] - b->number[k]);
		if (!(gap <= d->most))
			d->most = isnan(gap) ? (double)INFINITY : gap;
	}
	return 0;
}

int tensor_difference(const struct safetensors *a, int i, const struct safetensors *b, int k,
		      struct tensor_difference *d)
{
	struct block *x = malloc(2 * sizeof(*x));
	size_t size = tensor_dtype_bytes(safetensors_tensor(a, i)->dtype);
	int r = 0;

	if (!x)
		return fail("out of memory");
	*d = (struct tensor_difference){ .numbers = tensor_numbers(safetensors_tensor(a, i)) };
	for (uint64_t at = 0; at < d->numbers && !r; at += BLOCK) {
		size_t n = d->numbers - at < BLOCK ? (size_t)(d->numbers - at) : BLOCK;

		r = read_block(a, i, at, n, &x[0]);
		if (!r)
			r = read_block(b, k, at, n, &x[1]);
		if (!r)
			r = compare_block(&x[0], &x[1], n, size, d);
	}
	free(x);
	return r;
}
