/* Part of kernel_body.h: the own convolution. */

INLINE vec lanes_get(const struct direct_pass *f, const float *pixel, int j,
		     const enum lanes lanes)
{
	vec v = { 0 };

	if (lanes == LANES_SAME)
		return all(pixel[f->gather[j * f->width]]);
	if (lanes == LANES_NEAR)
		return PERMUTE(get(pixel + f->gather[0]), *(const bits *)(f->near + j * f->width));
	for (int l = 0; l < WIDTH; l++)
		v[l] = pixel[f->gather[j * f->width + l]];
	return v;
}

/* Outputs beside one another that are summed at once, so that a weight is loaded once
 * for all of them. */
enum { TILE = 4 };

/* One row of taps: `taps` of them `tap` numbers apart, outputs `next` numbers apart. */
INLINE void tap_row(const struct direct_pass *f, const float *pixel, ptrdiff_t tap, size_t next,
		    int taps, const float *w, vec *sum, const int tile, const enum lanes lanes)
{
	for (int k = 0; k < taps; k++, pixel += tap) {
		for (int j = 0; j < f->inner; j++, w += f->width) {
			const vec weight = get(w);

			for (int t = 0; t < tile; t++)
				sum[t] = FMA(weight, lanes_get(f, pixel + (size_t)t * next, j,
							       lanes),
					     sum[t]);
		}
	}
}

/* Where the taps of one row of the window read for output i: the first of those inside,
 * its pixel on the axis, and how many there are. back: of the input's gradient, which
 * reads outputs (stride 1). */
struct tap_range { int first, pixel, count; };

INLINE struct tap_range taps_of(const struct slide *s, int i, const int back)
{
	struct tap_range r = { 0, 0, 0 };
	int size = back ? s->out : s->in, k;

	for (k = 0; k < s->k; k++) {
		int at = back ? i + s->before - k * s->dilation :
			 i * s->stride + k * s->dilation - s->before;

		if (at < 0 || at >= size)
			continue;
		if (!r.count) {
			r.first = k;
			r.pixel = at;
		}
		r.count++;
	}
	return r;
}

/* Outputs i .. i + tile - 1 of a row; all of them read the same taps. */
INLINE void direct_tile(const struct direct_pass *f, int row, int i, vec start, const int tile,
			const enum lanes lanes, const int back)
{
	const struct tap_range x = taps_of(&f->x, i, back), y = taps_of(&f->y, row, back);
	const size_t from = (size_t)f->from_block, window = (size_t)f->inner * (size_t)f->width;
	const int across = back ? f->x.out : f->x.in;
	const size_t next = back ? from : from * (size_t)f->x.stride;
	const ptrdiff_t tap = (ptrdiff_t)from * (back ? -f->x.dilation : f->x.dilation);
	vec sum[TILE];

	for (int t = 0; t < tile; t++)
		sum[t] = start;
	for (int k = 0; k < y.count; k++) {
		int at = y.pixel + (back ? -k : k) * f->y.dilation;
		const float *pixel = f->from + ((size_t)at * (size_t)across + (size_t)x.pixel)
			* from;
		const float *w = f->w + (size_t)((y.first + k) * f->x.k + x.first) * window;

		tap_row(f, pixel, tap, next, x.count, w, sum, tile, lanes);
	}
	if (f->act || f->add)
		finish(sum, tile, tile, f->add ? f->add + (size_t)i * (size_t)f->to_block : NULL,
		       (size_t)f->to_block, f->act);
	for (int t = 0; t < tile; t++)
		set(f->to + (size_t)(i + t) * (size_t)f->to_block, sum[t]);
}

INLINE void direct_as(const struct direct_pass *f, int row, const enum lanes lanes, const int back)
{
	const vec start = f->bias ? (vec)*(const vec_any *)f->bias : (vec){ 0 };
	int count = back ? f->x.in : f->x.out, i = 0;

	while (i < count) {
		/* a tile has all taps inside, from its first output to its last */
		if (i + TILE <= count && taps_of(&f->x, i, back).count == f->x.k &&
		    taps_of(&f->x, i + TILE - 1, back).count == f->x.k) {
			direct_tile(f, row, i, start, TILE, lanes, back);
			i += TILE;
		} else {
			direct_tile(f, row, i++, start, 1, lanes, back);
		}
	}
}

static void direct(const struct direct_pass *f, int row)
{
	if (f->lanes == LANES_SAME)
		direct_as(f, row, LANES_SAME, 0);
	else if (f->lanes == LANES_NEAR)
		direct_as(f, row, LANES_NEAR, 0);
	else
		direct_as(f, row, LANES_GATHER, 0);
}

/* With a stride, each output is spread over the inputs that it read. */
INLINE void direct_dx_as(const struct direct_pass *f, int row, const enum lanes lanes)
{
	if (f->x.stride == 1 && f->y.stride == 1) {
		direct_as(f, row, lanes, 1);
		return;
	}
	for (int ix = 0; ix < f->x.in; ix++)
		set(f->to + (size_t)ix * (size_t)f->to_block, (vec){ 0 });
	for (int ky = 0; ky < f->y.k; ky++) {
		int oy = row + f->y.before - ky * f->y.dilation;

		if (oy < 0 || oy % f->y.stride || oy / f->y.stride >= f->y.out)
			continue;
		oy /= f->y.stride;
		for (int kx = 0; kx < f->x.k; kx++) {
			const float *w = f->w + (size_t)(ky * f->x.k + kx) *
					 (size_t)f->inner * (size_t)f->width;
			int from, to;

			inside(&f->x, kx, &from, &to);
			for (int j = 0; j < f->inner; j++, w += f->width) {
				const vec weight = get(w);

				for (int ox = from; ox < to; ox++) {
					int ix = ox * f->x.stride - f->x.before
						+ kx * f->x.dilation;
					const float *pixel = f->from + ((size_t)oy *
						(size_t)f->x.out + (size_t)ox)
							* (size_t)f->from_block;
					float *dx = f->to + (size_t)ix * (size_t)f->to_block;

					set(dx, FMA(weight, lanes_get(f, pixel, j, lanes),
						    get(dx)));
				}
			}
		}
	}
}

static void direct_dx(const struct direct_pass *f, int row)
{
	if (f->lanes == LANES_SAME)
		direct_dx_as(f, row, LANES_SAME);
	else if (f->lanes == LANES_NEAR)
		direct_dx_as(f, row, LANES_NEAR);
	else
		direct_dx_as(f, row, LANES_GATHER);
}

INLINE void direct_dw_as(const struct direct_pass *f, int j, int row, const enum lanes lanes)
{
	const size_t step = (size_t)f->x.stride * (size_t)f->from_block;

	for (int ky = 0; ky < f->y.k; ky++) {
		int iy = row * f->y.stride + ky * f->y.dilation - f->y.before;

		if (iy < 0 || iy >= f->y.in)
			continue;
		for (int kx = 0; kx < f->x.k; kx++) {
			double *sum = f->sum + (size_t)((j * f->y.k + ky) * f->x.k + kx) *
				      (size_t)f->width;
			int from, to, ox, ix;
			const float *x, *dy;
			vec part[4] = { 0 };

			inside(&f->x, kx, &from, &to);
			if (from >= to)
				continue;
			ix = from * f->x.stride + kx * f->x.dilation - f->x.before;
			x = f->from + ((size_t)iy * (size_t)f->x.in + (size_t)ix) *
			    (size_t)f->from_block;
			dy = f->dy + ((size_t)row * (size_t)f->x.out + (size_t)from) *
			     (size_t)f->to_block;
			/* four chains, since each waits for its last product */
			for (ox = from; ox + 4 <= to; ox += 4) {
				for (int t = 0; t < 4; t++)
					part[t] = FMA(get(dy + t * f->to_block),
						      lanes_get(f, x + (size_t)t * step, j, lanes),
						      part[t]);
				x += 4 * step;
				dy += 4 * f->to_block;
			}
			for (; ox < to; ox++, x += step, dy += f->to_block)
				part[0] = FMA(get(dy), lanes_get(f, x, j, lanes), part[0]);
			add_wide(sum, (part[0] + part[1]) + (part[2] + part[3]));
		}
	}
}

static void direct_dw(const struct direct_pass *f, int j, int row)
{
	if (f->lanes == LANES_SAME)
		direct_dw_as(f, j, row, LANES_SAME);
	else if (f->lanes == LANES_NEAR)
		direct_dw_as(f, j, row, LANES_NEAR);
	else
		direct_dw_as(f, j, row, LANES_GATHER);
}
