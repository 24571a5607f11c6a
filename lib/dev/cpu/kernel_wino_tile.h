/*
 * Part of kernel_body.h and of the kernels of bf16: Winograd's transforms of tiles,
 * F(4x4, 3x3) with the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2016, "Fast
 * algorithms for convolutional neural networks", section 4.3).
 *
 * A tile with r < 4 outputs on an axis has the points of F(r, 3) there: the first r + 1
 * and infinity. The filters' points are those of F(4, 3) all the same, which the ones of
 * F(r, 3) are a constant off: the product over the points b that are left out of (a - b)
 * at point a, by which B^T is multiplied here.
 */

/* Inputs of a tile with 4, 3, 2 and 1 outputs: B^T. */
INLINE void wino_b4(const vec *d, vec *t)
{
	const vec even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
	const vec half = d[4] - d[2], other = 2 * (d[3] - d[1]);

	t[0] = 4 * d[0] - 5 * d[2] + d[4];
	t[1] = even + odd;
	t[2] = even - odd;
	t[3] = half + other;
	t[4] = half - other;
	t[5] = 4 * d[1] - 5 * d[3] + d[5];
}

INLINE void wino_b3(const vec *d, vec *t)
{
	const vec odd = 2 * (d[1] - d[3]);

	t[0] = 4 * (d[0] - d[2]) - odd;
	t[1] = 3 * (d[3] - d[2]) - 6 * d[1];
	t[2] = 2 * d[1] - 3 * d[2] + d[3];
	t[3] = 4 * (d[3] - d[1]);
	t[5] = d[4] - d[2] + odd;
}

INLINE void wino_b2(const vec *d, vec *t)
{
	t[0] = 4 * (d[0] - d[2]);
	t[1] = -3 * (d[1] + d[2]);
	t[2] = 3 * (d[1] - d[2]);
	t[5] = d[3] - d[1];
}

INLINE void wino_b1(const vec *d, vec *t)
{
	t[0] = 4 * (d[0] - d[1]);
	t[1] = -6 * d[1];
	t[5] = d[2] - d[1];
}

INLINE void wino_b(const vec *d, vec *t, int outputs)
{
	switch (outputs) {
	case 4:
		wino_b4(d, t);
		break;
	case 3:
		wino_b3(d, t);
		break;
	case 2:
		wino_b2(d, t);
		break;
	default:
		wino_b1(d, t);
	}
}

/* As many gradients of outputs: A. */
INLINE void wino_a4(const vec *y, vec *t)
{
	const vec even = y[0] + y[2], odd = y[1] + y[3];
	const vec half = y[0] + 4 * y[2], other = 2 * y[1] + 8 * y[3];

	t[0] = y[0];
	t[1] = even + odd;
	t[2] = even - odd;
	t[3] = half + other;
	t[4] = half - other;
	t[5] = y[3];
}

INLINE void wino_a3(const vec *y, vec *t)
{
	const vec even = y[0] + y[2];

	t[0] = y[0];
	t[1] = even + y[1];
	t[2] = even - y[1];
	t[3] = y[0] + 2 * y[1] + 4 * y[2];
	t[5] = y[2];
}

INLINE void wino_a2(const vec *y, vec *t)
{
	t[0] = y[0];
	t[1] = y[0] + y[1];
	t[2] = y[0] - y[1];
	t[5] = y[1];
}

INLINE void wino_a(const vec *y, vec *t, int outputs)
{
	switch (outputs) {
	case 4:
		wino_a4(y, t);
		break;
	case 3:
		wino_a3(y, t);
		break;
	case 2:
		wino_a2(y, t);
		break;
	default:
		t[0] = t[1] = t[5] = y[0];
	}
}

/* Points to as many outputs: A^T. */
INLINE void wino_at4(const vec *m, vec *y)
{
	const vec sum = m[1] + m[2], apart = m[1] - m[2];
	const vec sum2 = m[3] + m[4], apart2 = m[3] - m[4];

	y[0] = m[0] + sum + sum2;
	y[1] = apart + 2 * apart2;
	y[2] = sum + 4 * sum2;
	y[3] = apart + 8 * apart2 + m[5];
}

INLINE void wino_at3(const vec *m, vec *y)
{
	const vec sum = m[1] + m[2];

	y[0] = m[0] + sum + m[3];
	y[1] = m[1] - m[2] + 2 * m[3];
	y[2] = sum + 4 * m[3] + m[5];
}

INLINE void wino_at2(const vec *m, vec *y)
{
	y[0] = m[0] + m[1] + m[2];
	y[1] = m[1] - m[2] + m[5];
}

INLINE void wino_at(const vec *m, vec *y, int outputs)
{
	switch (outputs) {
	case 4:
		wino_at4(m, y);
		break;
	case 3:
		wino_at3(m, y);
		break;
	case 2:
		wino_at2(m, y);
		break;
	default:
		y[0] = m[0] + m[1] + m[5];
	}
}

/* The first number of vector j at pixel (y, x); it need not be inside. */
INLINE ptrdiff_t wino_pixel(const struct wino_side *f, int j, int y, int x)
{
	const int lane = j * WIDTH;

	return (ptrdiff_t)(lane / f->block) * (ptrdiff_t)f->plane + lane % f->block +
	       ((ptrdiff_t)y * f->w + x) * f->block;
}

/* Which of n rows or columns from `at` on lie inside an axis of `size`: a bit each. */
INLINE unsigned wino_inside(int at, int n, int size)
{
	unsigned in = 0;

	UNROLL
	for (int i = 0; i < n; i++)
		in |= (unsigned)((unsigned)(at + i) < (unsigned)size) << i;
	return in;
}

/* How the outputs of a tile, so many on an axis, are made into points or out of them. */
typedef void wino_axis(const vec *, vec *, int outputs);

/*
 * The points, `axis` on an axis, of a tile of rows x cols outputs, which reads `scale` pixels
 * for each and `halo` more; zero where there are none. By rows, then by columns.
 */
INLINE void wino_read(const struct wino_side *f, const num *sample, const struct wino_tile *at,
		      float *v, const int axis, const int scale, const int halo, const int rows,
		      const int cols, const int inside_all, wino_axis *const transform)
{
	static const num zero[WIDTH] __attribute__((aligned(64)));
	const int down = scale * rows + halo, across = scale * cols + halo;
	const unsigned in = wino_inside(at->y, down, f->h);
	const unsigned beside = wino_inside(at->x, across, f->w);

	for (int j = 0; j < f->vectors; j++, v += WIDTH) {
		const num *pixel = sample + wino_pixel(f, j, at->y, at->x);
		vec row[WINO_TWO_AXIS] = { 0 }, column[WINO_TWO_AXIS] = { 0 };
		vec t[WINO_TWO_AXIS][WINO_TWO_AXIS];

		UNROLL
		for (int i = 0; i < down; i++) {
			const unsigned here = in >> i & 1 ? beside : 0;

			UNROLL
			for (int k = 0; k < across; k++) {
				const num *p = pixel + ((ptrdiff_t)i * f->w + k) * f->block;

				row[k] = load(inside_all || here >> k & 1 ? p : zero);
			}
			transform(row, t[i], cols);
		}
		UNROLL
		for (int k = 0; k < axis; k++) {
			if (!wino_has(axis, cols, k))
				continue;
			UNROLL
			for (int i = 0; i < down; i++)
				row[i] = t[i][k];
			transform(row, column, rows);
			UNROLL
			for (int i = 0; i < axis; i++)
				if (wino_has(axis, rows, i))
					set(v + (size_t)(i * axis + k) * f->point, column[i]);
		}
	}
}

/* Of whole tiles those inside the sample are the many. */
INLINE void wino_points(const struct wino_side *f, const num *sample, const struct wino_tile *at,
			float *v, const int axis, const int scale, const int halo,
			wino_axis *const transform)
{
	const int whole = scale * WINO_OUT + halo;

	if (at->rows < WINO_OUT || at->cols < WINO_OUT)
		wino_read(f, sample, at, v, axis, scale, halo, at->rows, at->cols, 0, transform);
	else if (at->y < 0 || at->x < 0 || at->y + whole > f->h || at->x + whole > f->w)
		wino_read(f, sample, at, v, axis, scale, halo, WINO_OUT, WINO_OUT, 0, transform);
	else
		wino_read(f, sample, at, v, axis, scale, halo, WINO_OUT, WINO_OUT, 1, transform);
}

static void wino_in(const struct wino_side *f, const void *sample, const struct wino_tile *at,
		    float *v)
{
	wino_points(f, sample, at, v, WINO_AXIS, 1, 2, wino_b);
}

static void wino_dy(const struct wino_side *f, const void *sample, const struct wino_tile *at,
		    float *v)
{
	wino_points(f, sample, at, v, WINO_AXIS, 1, 0, wino_a);
}

/* What a tile writes, `scale` numbers on an axis for each output of the transform; those
 * that lie behind the sample's last are left out. */
INLINE void wino_write(const struct wino_side *f, const float *m, const struct wino_after *after,
		       const struct wino_tile *at, num *sample, const int axis, const int scale,
		       const int rows, const int cols, wino_axis *const transform)
{
	const int y = at->y * scale, x = at->x * scale;
	const int down = scale > 1 && f->h - y < scale * rows ? f->h - y : scale * rows;
	const int across = scale > 1 && f->w - x < scale * cols ? f->w - x : scale * cols;

	for (int j = 0; j < f->vectors; j++, m += WIDTH) {
		const ptrdiff_t place = wino_pixel(f, j, y, x);
		num *pixel = sample + place;
		const num *add = after->add ? (const num *)after->add + place : NULL;
		const vec start = after->bias ? get(after->bias + j * WIDTH) : (vec){ 0 };
		vec row[WINO_TWO_AXIS] = { 0 }, out[2 * WINO_OUT] = { 0 };
		vec t[2 * WINO_OUT][WINO_TWO_AXIS];

		for (int k = 0; k < axis; k++) {
			if (!wino_has(axis, cols, k))
				continue;
			for (int i = 0; i < axis; i++)
				if (wino_has(axis, rows, i))
					row[i] = get(m + (size_t)(i * axis + k) * f->point);
			transform(row, out, rows);
			for (int i = 0; i < scale * rows; i++)
				t[i][k] = out[i];
		}
		for (int i = 0; i < down; i++) {
			transform(t[i], out, cols);
			for (int k = 0; k < across; k++)
				out[k] += start;
			if (after->add || after->act)
				finish(out, scale * WINO_OUT, across,
				       add ? add + (ptrdiff_t)i * f->w * f->block : NULL,
				       (size_t)f->block, after->act);
			for (int k = 0; k < across; k++)
				store_past(pixel + ((ptrdiff_t)i * f->w + k) * f->block, out[k],
					   after->stream);
		}
	}
}

INLINE void wino_outputs(const struct wino_side *f, const float *m,
			 const struct wino_after *after, const struct wino_tile *at, num *sample,
			 const int axis, const int scale, wino_axis *const transform)
{
	if (at->rows < WINO_OUT || at->cols < WINO_OUT)
		wino_write(f, m, after, at, sample, axis, scale, at->rows, at->cols, transform);
	else
		wino_write(f, m, after, at, sample, axis, scale, WINO_OUT, WINO_OUT, transform);
	if (after->stream && after->last)
		STREAM_END();
}

static void wino_out(const struct wino_side *f, const float *m, const struct wino_after *after,
		     const struct wino_tile *at, void *sample)
{
	wino_outputs(f, m, after, at, sample, WINO_AXIS, 1, wino_at);
}
