#include "data/resize.h"

#include "base/fail.h"
#include "data/resize_code.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double triangle(double x)
{
	if (x < 0)
		x = -x;
	return x < 1 ? 1 - x : 0;
}

static int axis_make(struct resize_axis *a, int count, int most)
{
	size_t weights, need;

	if (__builtin_mul_overflow((size_t)count, (size_t)most, &weights) ||
	    __builtin_mul_overflow(weights + 2 * (size_t)count, sizeof(int32_t), &need))
		return fail("resize: %d x %d weights are too many", count, most);
	if (need > a->room) {
		int *memory = malloc(need);

		if (memory == NULL)
			return fail_errno("resize: %zu bytes of weights", need);
		free(a->from);
		a->from = memory;
		a->room = need;
	}
	a->taps = a->from + count;
	a->k = (int32_t *)(a->taps + count);
	a->count = count;
	a->most = most;
	return 0;
}

/* Weights of place i of size from n, as Pillow's precompute_coeffs. */
static void weigh(struct resize_axis *a, int at, int i, double scale, int n)
{
	double wide = scale < 1 ? 1 : scale, narrow = 1 / wide;
	double middle = (i + 0.5) * scale, sum = 0;
	int first = (int)(middle - wide + 0.5), end = (int)(middle + wide + 0.5);
	int32_t *k = a->k + (size_t)at * (size_t)a->most;

	if (first < 0)
		first = 0;
	if (end > n)
		end = n;
	a->from[at] = first;
	a->taps[at] = end - first;
	assert(a->taps[at] >= 1 && a->taps[at] <= a->most);
	for (int t = first; t < end; t++)
		sum += triangle((t - middle + 0.5) * narrow);
	for (int t = first; t < end; t++) {
		double w = triangle((t - middle + 0.5) * narrow);

		k[t - first] = (int32_t)(0.5 + (sum != 0 ? w / sum : w) * (1 << RESIZE_BITS));
	}
	for (int t = end - first; t < a->most; t++)
		k[t] = 0;
}

/* Plans places first .. first + count - 1 of m made from n; *low, *high: what of the
 * source they take. */
static int axis_plan(struct resize_axis *a, int n, int m, int first, int count,
		     int mirrored, int *low, int *high)
{
	double scale = (double)n / m, wide = scale < 1 ? 1 : scale;

	TRY(axis_make(a, count, (int)ceil(wide) * 2 + 1));
	*low = n;
	*high = 0;
	for (int i = 0; i < count; i++) {
		int at = mirrored ? count - 1 - i : i;

		weigh(a, at, first + i, scale, n);
		if (a->from[at] < *low)
			*low = a->from[at];
		if (a->from[at] + a->taps[at] > *high)
			*high = a->from[at] + a->taps[at];
	}
	for (int i = 0; i < count; i++)
		a->from[i] -= *low;
	a->same = n == m && !mirrored;
	if (a->same)
		*high = *low + count;
	return 0;
}

int resize_plan(struct resize *r, int height, int width, int to_height, int to_width,
		const struct box *part, int mirrored)
{
	struct box all = { 0, 0, to_width, to_height };
	int low, high;

	if (part == NULL)
		part = &all;
	TRY(image_check(to_height, to_width, 1));
	TRY(axis_plan(&r->across, width, to_width, part->x, part->width, mirrored,
		      &low, &high));
	r->need.x = low;
	r->need.width = high - low;
	TRY(axis_plan(&r->down, height, to_height, part->y, part->height, 0, &low, &high));
	r->need.y = low;
	r->need.height = high - low;
	return 0;
}

void resize_down_plain(unsigned char *to, const unsigned char *from, size_t stride,
		       const int32_t *k, int taps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int32_t sum = 1 << (RESIZE_BITS - 1);

		for (int t = 0; t < taps; t++)
			sum += from[(size_t)t * stride + i] * k[t];
		to[i] = resize_round(sum);
	}
}

void resize_across_plain(const struct resize_axis *a, const struct image *from,
			 struct image *to)
{
	size_t channels = (size_t)from->channels;

	for (int y = 0; y < to->height; y++) {
		const unsigned char *row = from->data + (size_t)y * from->stride;
		unsigned char *result = to->data + (size_t)y * to->stride;

		for (int x = 0; x < a->count; x++) {
			const int32_t *k = a->k + (size_t)x * (size_t)a->most;

			for (size_t c = 0; c < channels; c++) {
				const unsigned char *p = row + (size_t)a->from[x] * channels + c;
				int32_t sum = 1 << (RESIZE_BITS - 1);

				for (int t = 0; t < a->taps[x]; t++)
					sum += p[(size_t)t * channels] * k[t];
				*result++ = resize_round(sum);
			}
		}
	}
}

enum resize_code resize_best(void)
{
	const char *none = getenv("JSIMD_FORCENONE");

	if (none != NULL && strcmp(none, "1") == 0)
		return RESIZE_PLAIN;
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni"))
		return RESIZE_AVX512;
	if (__builtin_cpu_supports("avx2"))
		return RESIZE_AVX2;
#endif
	return RESIZE_PLAIN;
}

#ifdef __x86_64__
static int table_make(struct resize *r, size_t need)
{
	need = (need + 63) / 64 * 64;
	if (need > r->table_room) {
		unsigned char *table = aligned_alloc(64, need);

		if (table == NULL)
			return fail_errno("resize: %zu bytes", need);
		free(r->table);
		r->table = table;
		r->table_room = need;
	}
	return 0;
}
#endif

static int run_across(struct resize *r, const struct image *from, struct image *to)
{
#ifdef __x86_64__
	size_t need;

	if (r->code == RESIZE_AVX512 &&
	    (need = resize_across_avx512_table(&r->across, from)) > 0) {
		TRY(table_make(r, need));
		resize_across_avx512(&r->across, from, to, r->table);
		return 0;
	}
	if (r->code >= RESIZE_AVX2 &&
	    (need = resize_across_avx2_table(&r->across, from)) > 0) {
		TRY(table_make(r, need));
		resize_across_avx2(&r->across, from, to, r->table);
		return 0;
	}
#endif
	resize_across_plain(&r->across, from, to);
	return 0;
}

static void run_down(const struct resize *r, const struct image *from, struct image *to)
{
	const struct resize_axis *a = &r->down;
	size_t n = (size_t)to->width * (size_t)to->channels;

	for (int y = 0; y < a->count; y++) {
		unsigned char *result = to->data + (size_t)y * to->stride;
		const unsigned char *row = from->data + (size_t)a->from[y] * from->stride;
		const int32_t *k = a->k + (size_t)y * (size_t)a->most;

#ifdef __x86_64__
		if (r->code == RESIZE_AVX512) {
			resize_down_avx512(result, row, from->stride, k, a->taps[y], n);
			continue;
		}
		if (r->code == RESIZE_AVX2) {
			resize_down_avx2(result, row, from->stride, k, a->taps[y], n);
			continue;
		}
#endif
		resize_down_plain(result, row, from->stride, k, a->taps[y], n);
	}
}

int resize_run(struct resize *r, const struct image *from, struct image *to)
{
	assert(from->height == r->need.height && from->width == r->need.width);
	assert(to->height == r->down.count && to->width == r->across.count);
	assert(from->channels == to->channels && from->channels <= 4);
	if (!r->chosen) {
		r->code = resize_best();
		r->chosen = 1;
	}
	if (r->across.same && r->down.same) {
		image_copy(to, from);
		return 0;
	}
	if (r->down.same)
		return run_across(r, from, to);
	if (r->across.same) {
		run_down(r, from, to);
		return 0;
	}
	TRY(image_make(&r->between, from->height, to->width, to->channels));
	TRY(run_across(r, from, &r->between));
	run_down(r, &r->between, to);
	return 0;
}

void resize_release(struct resize *r)
{
	free(r->across.from);
	free(r->down.from);
	free(r->table);
	image_release(&r->between);
	memset(r, 0, sizeof(*r));
}
