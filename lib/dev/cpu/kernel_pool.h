/* Part of kernel_body.h: pools. */

/* Taps of output o that read inside the input: from .. to - 1. */
INLINE void taps_inside(const struct slide *s, int o, int *from, int *to)
{
	int first = o * s->stride - s->before;

	*from = 0;
	*to = s->k;
	while (*from < s->k && first + *from * s->dilation < 0)
		++*from;
	while (*to > *from && first + (*to - 1) * s->dilation >= s->in)
		--*to;
}

/* A row's pixel, in numbers. */
INLINE size_t pixel_at(int row, int across, int i, int block)
{
	return ((size_t)row * (size_t)across + (size_t)i) * (size_t)block;
}

/* Taps of a window: rows and columns y0 .. y1 - 1, x0 .. x1 - 1 of it lie inside. */
struct window_part { int y0, y1, x0, x1; };

/*
 * The largest of a window's numbers (0 of none), and its place in the window, which has
 * `across` taps in a row; from: the first tap inside, next: numbers from row to row of
 * taps, o: where the result is put.
 */
INLINE void window_max(const struct pool_pass *f, const num *from, size_t next,
		       const struct window_part part, const int across, size_t o)
{
	const size_t tap = (size_t)f->x.dilation * (size_t)f->block;

	for (int k = 0; k < f->block; k += WIDTH) {
		vec best = { 0 };
		bits place = part.y0 * across + part.x0 - (bits){ 0 };

		UNROLL
		for (int ky = part.y0; ky < part.y1; ky++) {
			const num *row = from + k + (size_t)(ky - part.y0) * next;

			UNROLL
			for (int kx = part.x0; kx < part.x1; kx++) {
				const vec v = load(row + (size_t)(kx - part.x0) * tap);
				bits better;

				if (ky == part.y0 && kx == part.x0) {
					best = v;
					continue;
				}
				/* larger, or NaN, unless a NaN was there before */
				better = ~(v <= best) & (best == best);
				best = choose(better, v, best);
				place = (place & ~better) | (better & (ky * across + kx));
			}
		}
		store((num *)f->to + o + k, best);
		if (f->place)
			NARROW(f->place + o + k, place);
		if (f->place_wide)
			*(bits *)(f->place_wide + o + k) = place;
	}
}

/* Is all of a window of k x k taps inside? */
INLINE int window_whole(const struct pool_pass *f, const struct window_part *p, const int k)
{
	return f->y.k == k && f->x.k == k && p->y1 - p->y0 == k && p->x1 - p->x0 == k;
}

static void maxpool(const struct pool_pass *f, int row)
{
	const int block = f->block, y = row * f->y.stride - f->y.before;
	const size_t next = pixel_at(f->y.dilation, f->x.in, 0, block);
	struct window_part part;

	taps_inside(&f->y, row, &part.y0, &part.y1);
	for (int ox = 0; ox < f->x.out; ox++) {
		const size_t o = pixel_at(row, f->x.out, ox, block);
		const num *from;

		taps_inside(&f->x, ox, &part.x0, &part.x1);
		from = (const num *)f->from +
		       pixel_at(y + part.y0 * f->y.dilation, f->x.in,
				ox * f->x.stride - f->x.before + part.x0 * f->x.dilation, block);
		/* the usual ones, unrolled */
		if (window_whole(f, &part, 3))
			window_max(f, from, next, (struct window_part){ 0, 3, 0, 3 }, 3, o);
		else if (window_whole(f, &part, 2))
			window_max(f, from, next, (struct window_part){ 0, 2, 0, 2 }, 2, o);
		else
			window_max(f, from, next, part, f->x.k, o);
	}
}

/* Adds to an input row what the windows of output row oy give it by taps of one row. */
INLINE void pool_dx_row(const struct pool_pass *f, int row, int oy, int ky, const int max)
{
	const int block = f->block;
	const size_t next = (size_t)f->x.stride * (size_t)block;

	for (int kx = 0; kx < f->x.k; kx++) {
		int place = ky * f->x.k + kx, from, to;
		size_t o, i;

		inside(&f->x, kx, &from, &to);
		if (from >= to)
			continue;
		o = pixel_at(oy, f->x.out, from, block);
		i = pixel_at(row, f->x.in, from * f->x.stride + kx * f->x.dilation - f->x.before,
			     block);
		for (int ox = from; ox < to; ox++, i += next, o += (size_t)block) {
			const num *dy = (const num *)f->from + o;
			num *dx = (num *)f->to + i;

			for (int k = 0; k < block; k += WIDTH) {
				vec g = load(dy + k);

				if (max)
					g = keep(g, (f->place ? WIDEN(f->place + o + k) :
						     *(const bits *)(f->place_wide + o + k)) ==
						    place);
				else
					g *= all(f->share[(size_t)oy * (size_t)f->x.out
							  + (size_t)ox]);
				store(dx + k, load(dx + k) + g);
			}
		}
	}
}

INLINE void pool_dx(const struct pool_pass *f, int row, const int max)
{
	const size_t block = (size_t)f->block;

	memset((num *)f->to + pixel_at(row, f->x.in, 0, f->block), 0,
	       (size_t)f->x.in * block * sizeof(num));
	for (int ky = 0; ky < f->y.k; ky++) {
		int at = row + f->y.before - ky * f->y.dilation;

		if (at >= 0 && at % f->y.stride == 0 && at / f->y.stride < f->y.out)
			pool_dx_row(f, row, at / f->y.stride, ky, max);
	}
}

static void maxpool_dx(const struct pool_pass *f, int row)
{
	pool_dx(f, row, 1);
}

static void avgpool_dx(const struct pool_pass *f, int row)
{
	pool_dx(f, row, 0);
}

static void avgpool(const struct pool_pass *f, int row)
{
	const int block = f->block, y = row * f->y.stride - f->y.before;
	const size_t tap = (size_t)f->x.dilation * (size_t)block;
	int y0, y1, x0, x1;

	taps_inside(&f->y, row, &y0, &y1);
	for (int ox = 0; ox < f->x.out; ox++) {
		size_t pixel = (size_t)row * (size_t)f->x.out + (size_t)ox;
		int x = ox * f->x.stride - f->x.before;

		taps_inside(&f->x, ox, &x0, &x1);
		for (int k = 0; k < block; k += WIDTH) {
			vec sum = { 0 };

			for (int ky = y0; ky < y1; ky++) {
				const num *from = (const num *)f->from + k + pixel_at(
					y + ky * f->y.dilation, f->x.in,
					x + x0 * f->x.dilation, block);
				vec of_row = { 0 };

				for (int kx = x0; kx < x1; kx++, from += tap)
					of_row += load(from);
				sum += of_row;
			}
			store((num *)f->to + pixel * (size_t)block + k, sum * all(f->share[pixel]));
		}
	}
}
