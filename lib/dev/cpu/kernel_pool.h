/* Part of kernel_body.h: pools. */
static void maxpool(const struct pool_pass *f, int row)
{
	const int block = f->block;

	for (int ox = 0; ox < f->x.out; ox++) {
		size_t o = ((size_t)row * (size_t)f->x.out + (size_t)ox) * (size_t)block;

		for (int k = 0; k < block; k += WIDTH) {
			vec best = { 0 };
			bits place = ~(bits){ 0 };
			int first = 1;

			for (int ky = 0; ky < f->y.k; ky++) {
				int iy = row * f->y.stride + ky * f->y.dilation - f->y.before;

				for (int kx = 0; iy >= 0 && iy < f->y.in && kx < f->x.k; kx++) {
					int ix = ox * f->x.stride + kx * f->x.dilation -
						 f->x.before;
					bits better;
					vec v;

					if (ix < 0 || ix >= f->x.in)
						continue;
					v = get(f->from + ((size_t)iy * (size_t)f->x.in +
						(size_t)ix) * (size_t)block + k);
					better = (v > best) | ((v != v) & (best == best)) |
						 (-first - (bits){ 0 });
					first = 0;
					best = choose(better, v, best);
					place = (place & ~better) |
						(better & (ky * f->x.k + kx));
				}
			}
			set(f->to + o + k, best);
			if (f->place)
				*(bytes *)(f->place + o + k) =
					__builtin_convertvector(place, bytes);
		}
	}
}

/* The tap of a window by which output o reads input i; -1: by none. */
INLINE int tap_of(const struct slide *s, int o, int i)
{
	int d = i + s->before - o * s->stride;

	if (d < 0 || d > (s->k - 1) * s->dilation)
		return -1;
	if (s->dilation == 1)
		return d;
	return d % s->dilation ? -1 : d / s->dilation;
}

INLINE void window_range(const struct slide *s, int i, int *from, int *to)
{
	int span = (s->k - 1) * s->dilation, at = i + s->before;

	*from = at > span ? (at - span + s->stride - 1) / s->stride : 0;
	*to = at / s->stride + 1;
	if (*to > s->out)
		*to = s->out;
}

INLINE void pool_dx(const struct pool_pass *f, int row, const int max)
{
	const int block = f->block;
	int from_y, to_y;

	window_range(&f->y, row, &from_y, &to_y);
	for (int ix = 0; ix < f->x.in; ix++) {
		for (int k = 0; k < block; k += WIDTH) {
			vec sum = { 0 };

			for (int oy = from_y; oy < to_y; oy++) {
				int ky = tap_of(&f->y, oy, row);

				for (int ox = f->cover[2 * ix]; ky >= 0 && ox < f->cover[2 * ix + 1];
				     ox++) {
					int kx = tap_of(&f->x, ox, ix);
					size_t pixel = (size_t)oy * (size_t)f->x.out + (size_t)ox;
					size_t o = pixel * (size_t)block + (size_t)k;

					if (kx < 0)
						continue;
					if (max)
						sum += keep(get(f->from + o),
							__builtin_convertvector(*(const bytes *)
							(f->place + o), bits) == ky * f->x.k + kx);
					else
						sum += get(f->from + o) * all(f->share[pixel]);
				}
			}
			set(f->to + ((size_t)row * (size_t)f->x.in + (size_t)ix) * (size_t)block + k,
			    sum);
		}
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
	const int block = f->block;

	for (int ox = 0; ox < f->x.out; ox++) {
		size_t pixel = (size_t)row * (size_t)f->x.out + (size_t)ox;

		for (int k = 0; k < block; k += WIDTH) {
			vec sum = { 0 };

			for (int ky = 0; ky < f->y.k; ky++) {
				int iy = row * f->y.stride + ky * f->y.dilation - f->y.before;
				vec of_row = { 0 };

				for (int kx = 0; iy >= 0 && iy < f->y.in && kx < f->x.k; kx++) {
					int ix = ox * f->x.stride + kx * f->x.dilation -
						 f->x.before;

					if (ix >= 0 && ix < f->x.in)
						of_row += get(f->from + ((size_t)iy *
							(size_t)f->x.in + (size_t)ix) *
							(size_t)block + k);
				}
				sum += of_row;
			}
			set(f->to + pixel * (size_t)block + k, sum * all(f->share[pixel]));
		}
	}
}
