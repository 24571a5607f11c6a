/*
 * Part of kernel_body.h and of the kernels of bf16: Winograd's transforms of tiles,
 * F(4x4, 3x3) with the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2016, "Fast
 * algorithms for convolutional neural networks", section 4.3).
 */

/* Six inputs: B^T. */
INLINE void wino_b(const vec *d, vec *t)
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

/* Four gradients of outputs: A. */
INLINE void wino_a(const vec *y, vec *t)
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

/* Six points to four outputs: A^T. */
INLINE void wino_at(const vec *m, vec *y)
{
	const vec sum = m[1] + m[2], apart = m[1] - m[2];
	const vec sum2 = m[3] + m[4], apart2 = m[3] - m[4];

	y[0] = m[0] + sum + sum2;
	y[1] = apart + 2 * apart2;
	y[2] = sum + 4 * sum2;
	y[3] = apart + 8 * apart2 + m[5];
}

/* The first number of vector j at pixel (y, x); it need not be inside. */
INLINE ptrdiff_t wino_pixel(const struct wino_side *f, int j, int y, int x)
{
	const int lane = j * WIDTH;

	return (ptrdiff_t)(lane / f->block) * (ptrdiff_t)f->plane + lane % f->block +
	       ((ptrdiff_t)y * f->w + x) * f->block;
}

/* size x size pixels from (y, x) on, zero where there are none; by rows, then by columns. */
INLINE void wino_read(const struct wino_side *f, const num *sample, int y, int x, float *v,
		      const int size, const int inside_all,
		      void (*const transform)(const vec *, vec *))
{
	for (int j = 0; j < f->vectors; j++, v += WIDTH) {
		const num *pixel = sample + wino_pixel(f, j, y, x);
		vec row[WINO_IN], column[WINO_IN], t[WINO_IN][WINO_IN];

		for (int i = 0; i < size; i++) {
			for (int k = 0; k < size; k++) {
				const ptrdiff_t at = ((ptrdiff_t)i * f->w + k) * f->block;

				row[k] = inside_all || ((unsigned)(y + i) < (unsigned)f->h &&
							(unsigned)(x + k) < (unsigned)f->w) ?
					 load(pixel + at) : (vec){ 0 };
			}
			transform(row, t[i]);
		}
		for (int k = 0; k < WINO_IN; k++) {
			for (int i = 0; i < size; i++)
				row[i] = t[i][k];
			transform(row, column);
			for (int i = 0; i < WINO_IN; i++)
				set(v + (size_t)(i * WINO_IN + k) * f->point, column[i]);
		}
	}
}

INLINE int wino_inside(const struct wino_side *f, int y, int x, int size)
{
	return y >= 0 && x >= 0 && y + size <= f->h && x + size <= f->w;
}

static void wino_in(const struct wino_side *f, const void *sample, int y, int x, float *v)
{
	if (wino_inside(f, y, x, WINO_IN))
		wino_read(f, sample, y, x, v, WINO_IN, 1, wino_b);
	else
		wino_read(f, sample, y, x, v, WINO_IN, 0, wino_b);
}

static void wino_dy(const struct wino_side *f, const void *sample, int y, int x, float *v)
{
	if (wino_inside(f, y, x, WINO_OUT))
		wino_read(f, sample, y, x, v, WINO_OUT, 1, wino_a);
	else
		wino_read(f, sample, y, x, v, WINO_OUT, 0, wino_a);
}

INLINE void wino_write(const struct wino_side *f, const float *m, const struct wino_after *after,
		       int y, int x, num *sample, const int inside_all)
{
	for (int j = 0; j < f->vectors; j++, m += WIDTH) {
		const ptrdiff_t place = wino_pixel(f, j, y, x);
		num *pixel = sample + place;
		const num *add = after->add ? (const num *)after->add + place : NULL;
		const vec start = after->bias ? get(after->bias + j * WIDTH) : (vec){ 0 };
		vec row[WINO_IN], out[WINO_OUT], t[WINO_OUT][WINO_IN];

		for (int k = 0; k < WINO_IN; k++) {
			for (int i = 0; i < WINO_IN; i++)
				row[i] = get(m + (size_t)(i * WINO_IN + k) * f->point);
			wino_at(row, out);
			for (int i = 0; i < WINO_OUT; i++)
				t[i][k] = out[i];
		}
		for (int i = 0; i < WINO_OUT; i++) {
			if (!inside_all && y + i >= f->h)
				break;
			wino_at(t[i], out);
			for (int k = 0; k < WINO_OUT; k++)
				out[k] += start;
			if (after->add || after->act)
				finish(out, WINO_OUT, x + WINO_OUT <= f->w ? WINO_OUT : f->w - x,
				       add ? add + (ptrdiff_t)i * f->w * f->block : NULL,
				       (size_t)f->block, after->act);
			for (int k = 0; k < WINO_OUT; k++)
				if (inside_all || x + k < f->w)
					store(pixel + ((ptrdiff_t)i * f->w + k) * f->block, out[k]);
		}
	}
}

static void wino_out(const struct wino_side *f, const float *m, const struct wino_after *after,
		     int y, int x, void *sample)
{
	if (wino_inside(f, y, x, WINO_OUT))
		wino_write(f, m, after, y, x, sample, 1);
	else
		wino_write(f, m, after, y, x, sample, 0);
}
