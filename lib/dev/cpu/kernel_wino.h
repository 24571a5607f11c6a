/*
 * Part of kernel_body.h: the rest of Winograd's F(4x4, 3x3), which is fp32 whatever the
 * values are: transforms of weights and of their gradients.
 */
#include "dev/cpu/kernel_wino_tile.h"

/* Three weights of a row to six points: G. */
INLINE void wino_g(const vec *g, vec *t)
{
	const vec even = (g[0] + g[2]) * (-1.0f / 6), odd = g[1] * (1.0f / 6);
	const vec half = g[0] * (1.0f / 24) + g[2] * (1.0f / 6), other = g[1] * (1.0f / 12);

	t[0] = g[0] * 0.25f;
	t[1] = even - odd;
	t[2] = even + odd;
	t[3] = half + other;
	t[4] = half - other;
	t[5] = g[2];
}

/* And their gradients: G^T. */
INLINE void wino_gt(const vec *u, vec *g)
{
	const vec sum = (u[1] + u[2]) * (-1.0f / 6), sum2 = u[3] + u[4];

	g[0] = u[0] * 0.25f + sum + sum2 * (1.0f / 24);
	g[1] = (u[2] - u[1]) * (1.0f / 6) + (u[3] - u[4]) * (1.0f / 12);
	g[2] = sum + sum2 * (1.0f / 6) + u[5];
}

/* Row i of v becomes column i: each round brings the next bit of the row into the lane. */
INLINE void transpose(vec *v)
{
	for (int n = 1; n < WIDTH; n *= 2) {
		vec t[WIDTH];

		for (int i = 0; i < WIDTH / 2; i++) {
			t[2 * i] = ZIP_LOW(v[i], v[i + WIDTH / 2]);
			t[2 * i + 1] = ZIP_HIGH(v[i], v[i + WIDTH / 2]);
		}
		for (int i = 0; i < WIDTH; i++)
			v[i] = t[i];
	}
}

/* The taps of a vector of filters, one by one; or where all lanes have one, and numbers
 * behind the last may be read, by vectors. */
INLINE void taps_one(const struct wino_filters *f, const float *w, vec *tap)
{
	for (int i = 0; i < 9; i++) {
		vec one = { 0 };

		for (int l = 0; l < f->lanes; l++)
			one[l] = w[(size_t)l * f->lane + (size_t)i];
		tap[i] = one;
	}
}

INLINE void taps_all(const struct wino_filters *f, const float *w, vec *tap)
{
	for (int i = 0; i < 9; i += WIDTH) {
		vec v[WIDTH];

		for (int l = 0; l < WIDTH; l++)
			v[l] = *(const vec_any *)(w + (size_t)l * f->lane + i);
		transpose(v);
		for (int k = 0; k < WIDTH && i + k < 9; k++)
			tap[i + k] = v[k];
	}
}

INLINE void filters_points(const struct wino_filters *f, const float *w, float *u,
			   void (*const transform)(const vec *, vec *))
{
	for (int n = 1; n <= f->count; n++, w += f->next, u += f->points) {
		vec tap[9], g[3], t[3][WINO_AXIS], column[WINO_AXIS];

		if (f->lanes == WIDTH && !(f->end && n == f->count))
			taps_all(f, w, tap);
		else
			taps_one(f, w, tap);
		for (int i = 0; i < 3; i++) {
			for (int k = 0; k < 3; k++)
				g[k] = tap[f->turned ? 8 - (3 * i + k) : 3 * i + k];
			transform(g, t[i]);
		}
		for (int k = 0; k < WINO_AXIS; k++) {
			for (int i = 0; i < 3; i++)
				g[i] = t[i][k];
			transform(g, column);
			for (int i = 0; i < WINO_AXIS; i++)
				store_past(u + (size_t)(i * WINO_AXIS + k) * f->point, column[i],
					   f->stream);
		}
	}
	if (f->stream)
		STREAM_END();
}

static void wino_weights(const struct wino_filters *f, const float *w, float *u)
{
	filters_points(f, w, u, wino_g);
}

/* The filters of all lanes from their taps. */
INLINE void taps_put(const struct wino_filters *f, const vec *tap, float *w)
{
	for (int i = 0; i < 9; i += WIDTH) {
		const int some = 9 - i < WIDTH ? 9 - i : WIDTH;
		vec v[WIDTH];

		for (int k = 0; k < WIDTH; k++)
			v[k] = k < some ? tap[i + k] : (vec){ 0 };
		transpose(v);
		for (int l = 0; l < WIDTH; l++)
			memcpy(w + (size_t)l * f->lane + i, &v[l], (size_t)some * sizeof *w);
	}
}

/* Filters whose points are asked for before they are read. */
enum { WINO_AHEAD = 2 };

INLINE void filters_back(const struct wino_filters *f, const float *u, float *dw,
			 void (*const transform)(const vec *, vec *))
{
	for (int n = 0; n < f->count; n++, u += f->points, dw += f->next) {
		vec row[WINO_AXIS], g[3], t[3][WINO_AXIS], tap[9];

		for (int k = 0; k < WINO_AXIS; k++) {
			for (int i = 0; i < WINO_AXIS; i++) {
				const float *from = u + (size_t)(i * WINO_AXIS + k) * f->point;

				__builtin_prefetch(from + WINO_AHEAD * f->points);
				row[i] = get(from);
				for (int s = 1; s < f->shares; s++)
					row[i] += get(from + (size_t)s * f->share);
			}
			transform(row, g);
			for (int i = 0; i < 3; i++)
				t[i][k] = g[i];
		}
		for (int i = 0; i < 3; i++)
			transform(t[i], tap + 3 * i);
		if (f->lanes == WIDTH)
			taps_put(f, tap, dw);
		else
			for (int i = 0; i < 9; i++)
				for (int l = 0; l < f->lanes; l++)
					dw[(size_t)l * f->lane + (size_t)i] = tap[i][l];
	}
}

static void wino_dw(const struct wino_filters *f, const float *u, float *dw)
{
	filters_back(f, u, dw, wino_gt);
}
