/*
 * Part of kernel_body.h: the rest of Winograd's F(4x4, 3x3), which is fp32 whatever the
 * values are: products at each point, and transforms of weights and of their gradients.
 */
#include "dev/cpu/kernel_wino_tile.h"

/* Vectors of a panel: as many as leave registers for WINO_ROWS sums of each. */
#define WINO_PANEL (WIDTH == 16 ? 4 : 2)

/* rows x cols vectors of sums, kept in registers while all inner numbers pass. */
INLINE void product_block(const struct wino_product *f, const float *a, const float *b,
			  size_t b_inner, float *c, const int rows, const int cols)
{
	vec sum[WINO_ROWS][WINO_PANEL];

	for (int r = 0; r < rows; r++)
		for (int k = 0; k < cols; k++)
			sum[r][k] = f->add ? get(c + (size_t)r * f->c_row + k * WIDTH) :
					     (vec){ 0 };
	for (size_t i = 0; i < f->inner; i++, a += f->a_inner, b += b_inner) {
		vec side[WINO_PANEL];

		for (int k = 0; k < cols; k++)
			side[k] = get(b + k * WIDTH);
		for (int r = 0; r < rows; r++) {
			const vec one = all(a[(size_t)r * f->a_row]);

			for (int k = 0; k < cols; k++)
				sum[r][k] = FMA(one, side[k], sum[r][k]);
		}
	}
	for (int r = 0; r < rows; r++)
		for (int k = 0; k < cols; k++)
			set(c + (size_t)r * f->c_row + k * WIDTH, sum[r][k]);
}

INLINE void product_rows(const struct wino_product *f, const float *b, size_t b_inner, float *c,
			 const int cols)
{
	const float *a = f->a;
	size_t r = 0, group = WINO_ROWS;

	for (; r + group <= f->rows; r += group, a += group * f->a_row, c += group * f->c_row)
		product_block(f, a, b, b_inner, c, WINO_ROWS, cols);
	switch (f->rows - r) {
	case 5:
		product_block(f, a, b, b_inner, c, 5, cols);
		break;
	case 4:
		product_block(f, a, b, b_inner, c, 4, cols);
		break;
	case 3:
		product_block(f, a, b, b_inner, c, 3, cols);
		break;
	case 2:
		product_block(f, a, b, b_inner, c, 2, cols);
		break;
	case 1:
		product_block(f, a, b, b_inner, c, 1, cols);
		break;
	}
}

static void wino_product(const struct wino_product *f)
{
	for (int k = 0; k < f->vectors; k += WINO_PANEL) {
		const int left = f->vectors - k, cols = left < WINO_PANEL ? left : WINO_PANEL;
		const size_t inner = f->b_inner ? f->b_inner : (size_t)cols * WIDTH;
		const float *b = f->b + (size_t)(k * WIDTH) * (f->b_inner ? 1 : f->inner);
		float *c = f->c + k * WIDTH;

		if (cols == WINO_PANEL)
			product_rows(f, b, inner, c, WINO_PANEL);
		else if (cols == 3)
			product_rows(f, b, inner, c, 3 < WINO_PANEL ? 3 : WINO_PANEL);
		else if (cols == 2)
			product_rows(f, b, inner, c, 2);
		else
			product_rows(f, b, inner, c, 1);
	}
}

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

static void wino_weights(const struct wino_filters *f, const float *w, float *u)
{
	for (int n = 1; n <= f->count; n++, w += f->next, u += f->points) {
		vec tap[9], g[3], t[3][WINO_IN], column[WINO_IN];

		if (f->lanes == WIDTH && !(f->end && n == f->count))
			taps_all(f, w, tap);
		else
			taps_one(f, w, tap);
		for (int i = 0; i < 3; i++) {
			for (int k = 0; k < 3; k++)
				g[k] = tap[f->turned ? 8 - (3 * i + k) : 3 * i + k];
			wino_g(g, t[i]);
		}
		for (int k = 0; k < WINO_IN; k++) {
			for (int i = 0; i < 3; i++)
				g[i] = t[i][k];
			wino_g(g, column);
			for (int i = 0; i < WINO_IN; i++)
				store_past(u + (size_t)(i * WINO_IN + k) * f->point, column[i],
					   f->stream);
		}
	}
	if (f->stream)
		STREAM_END();
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

static void wino_dw(const struct wino_filters *f, const float *u, float *dw)
{
	for (int n = 0; n < f->count; n++, u += f->points, dw += f->next) {
		vec row[WINO_IN], g[3], t[3][WINO_IN], tap[9];

		for (int k = 0; k < WINO_IN; k++) {
			for (int i = 0; i < WINO_IN; i++) {
				const float *from = u + (size_t)(i * WINO_IN + k) * f->point;

				__builtin_prefetch(from + WINO_AHEAD * f->points);
				row[i] = get(from);
				for (int s = 1; s < f->shares; s++)
					row[i] += get(from + (size_t)s * f->share);
			}
			wino_gt(row, g);
			for (int i = 0; i < 3; i++)
				t[i][k] = g[i];
		}
		for (int i = 0; i < 3; i++)
			wino_gt(t[i], tap + 3 * i);
		if (f->lanes == WIDTH)
			taps_put(f, tap, dw);
		else
			for (int i = 0; i < 9; i++)
				for (int l = 0; l < f->lanes; l++)
					dw[(size_t)l * f->lane + (size_t)i] = tap[i][l];
	}
}
