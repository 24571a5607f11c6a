/*
 * The body of struct kernels, compiled once for each instruction set. Before it is
 * included: WIDTH, KERNELS (the table's name), KERNELS_NAME, and
 *     FMA(a, b, c)      a b + c of vectors
 *     STREAM(p, v)      store past the caches, p aligned to a vector
 *     STREAM_END()      makes such stores seen by other threads
 */
#include "dev/cpu/kernels.h"

#include <assert.h>
#include <string.h>

typedef float vec __attribute__((vector_size(WIDTH * 4), may_alias));
typedef int32_t bits __attribute__((vector_size(WIDTH * 4), may_alias));
typedef uint8_t bytes __attribute__((vector_size(WIDTH), may_alias, aligned(1)));
typedef double wide __attribute__((vector_size(WIDTH * 8), may_alias, aligned(8)));
typedef float vec_any __attribute__((vector_size(WIDTH * 4), may_alias, aligned(4)));

#define INLINE static inline __attribute__((always_inline))

/* Pixels whose sums are kept in fp32 before they are added up in double. */
enum { RUN = 64 };

INLINE vec get(const float *p)
{
	return *(const vec *)p;
}

INLINE void set(float *p, vec v)
{
	*(vec *)p = v;
}

INLINE void set_past(float *p, vec v, int stream)
{
	if (stream)
		STREAM(p, v);
	else
		set(p, v);
}

INLINE vec all(float f)
{
	return f - (vec){ 0 };
}

/* v where the mask is set, else 0. */
INLINE vec keep(vec v, bits mask)
{
	return (vec)((bits)v & mask);
}

INLINE vec choose(bits mask, vec yes, vec no)
{
	return (vec)(((bits)yes & mask) | ((bits)no & ~mask));
}

INLINE void add_wide(double *sum, vec v)
{
	*(wide *)sum += __builtin_convertvector(v, wide);
}

INLINE vec act_of(vec v, int act)
{
	/* by what is to go, so that NaN stays */
	if (act != CPU_NONE)
		v = keep(v, ~(v < 0));
	if (act == CPU_RELU6)
		v = choose(v > 6, all(6), v);
	return v;
}

/* ---- statistics ---- */

/* Sums of differences from the first pixel, so that a large mean takes no digits of
 * the variance. */
static void stats(const float *x, size_t pixels, int block, double *part)
{
	for (int k = 0; k < block; k += WIDTH) {
		const float *p = x + k;
		vec origin = get(p);
		double sum[WIDTH] = { 0 }, square[WIDTH] = { 0 };

		for (size_t done = 0; done < pixels; ) {
			size_t run = pixels - done < RUN ? pixels - done : RUN, i;
			vec s0 = { 0 }, s1 = { 0 }, q0 = { 0 }, q1 = { 0 };

			for (i = 0; i + 2 <= run; i += 2) {
				vec d0 = get(p) - origin, d1 = get(p + block) - origin;

				s0 += d0;
				q0 = FMA(d0, d0, q0);
				s1 += d1;
				q1 = FMA(d1, d1, q1);
				p += 2 * block;
			}
			if (i < run) {
				vec d = get(p) - origin;

				s0 += d;
				q0 = FMA(d, d, q0);
				p += block;
			}
			add_wide(sum, s0 + s1);
			add_wide(square, q0 + q1);
			done += run;
		}
		for (int l = 0; l < WIDTH; l++) {
			part[k + l] = (double)x[k + l] + sum[l] / (double)pixels;
			part[block + k + l] = square[l] - sum[l] * sum[l] / (double)pixels;
		}
	}
}

static void total(const float *x, const float *y, size_t pixels, int block, double *part)
{
	for (int k = 0; k < block; k += WIDTH) {
		const float *p = x + k, *q = y ? y + k : NULL;

		memset(part + k, 0, WIDTH * sizeof *part);
		for (size_t done = 0; done < pixels; ) {
			size_t run = pixels - done < RUN ? pixels - done : RUN, i;
			vec s = { 0 };

			for (i = 0; i < run && q; i++, p += block, q += block)
				s = FMA(get(p), get(q), s);
			for (; i < run; i++, p += block)
				s += get(p);
			add_wide(part + k, s);
			done += run;
		}
	}
}

/* ---- the forward pass ---- */

INLINE void forward_as(const struct forward_pass *f, size_t at, int c, size_t pixels,
		       const int xs, const int affines, const int act, const int stream)
{
	const int block = f->block;

	for (int k = 0; k < block; k += WIDTH) {
		const float *x0 = f->x[0] + at + k, *x1 = xs > 1 ? f->x[1] + at + k : NULL;
		vec a0 = { 0 }, b0 = { 0 }, a1 = { 0 }, b1 = { 0 };
		float *y = f->y + at + k;

		if (affines > 0) {
			a0 = get(f->a[0] + c + k);
			b0 = get(f->b[0] + c + k);
		}
		if (affines > 1) {
			a1 = get(f->a[1] + c + k);
			b1 = get(f->b[1] + c + k);
		}
		for (size_t i = 0, o = 0; i < pixels; i++, o += (size_t)block) {
			vec v = get(x0 + o);

			if (affines > 0)
				v = FMA(a0, v, b0);
			if (affines > 1)
				v += FMA(a1, get(x1 + o), b1);
			else if (xs > 1)
				v += get(x1 + o);
			if (xs > 2)
				for (int j = 2; j < f->xs; j++)
					v += get(f->x[j] + at + k + o);
			set_past(y + o, act_of(v, act), stream);
		}
	}
}

INLINE void forward_act(const struct forward_pass *f, size_t at, int c, size_t pixels,
			const int xs, const int affines, const int stream)
{
	if (f->act == CPU_RELU)
		forward_as(f, at, c, pixels, xs, affines, CPU_RELU, stream);
	else if (f->act == CPU_RELU6)
		forward_as(f, at, c, pixels, xs, affines, CPU_RELU6, stream);
	else
		forward_as(f, at, c, pixels, xs, affines, CPU_NONE, stream);
}

INLINE void forward_to(const struct forward_pass *f, size_t at, int c, size_t pixels,
		       const int stream)
{
	if (f->xs == 1 && f->affines)
		forward_act(f, at, c, pixels, 1, 1, stream);
	else if (f->xs == 1)
		forward_act(f, at, c, pixels, 1, 0, stream);
	else if (f->xs == 2 && f->affines == 2)
		forward_act(f, at, c, pixels, 2, 2, stream);
	else if (f->xs == 2 && f->affines == 1)
		forward_act(f, at, c, pixels, 2, 1, stream);
	else if (f->xs == 2)
		forward_act(f, at, c, pixels, 2, 0, stream);
	else
		forward_act(f, at, c, pixels, 3, 0, stream);
}

static void forward(const struct forward_pass *f, size_t at, int c, size_t pixels)
{
	assert(f->affines == 0 || f->xs <= 2);
	if (f->stream) {
		forward_to(f, at, c, pixels, 1);
		STREAM_END();
	} else {
		forward_to(f, at, c, pixels, 0);
	}
}

/* ---- the backward pass ---- */

struct of_channels { vec a, b, mean[2], scale, shift, slope; };

INLINE struct of_channels channels_get(const struct backward_pass *f, int c, const int mask,
				       const int sums, const int dx)
{
	struct of_channels v = { 0 };

	if (mask >= MASK_RELU_AGAIN) {
		v.a = get(f->a + c);
		v.b = get(f->b + c);
	}
	for (int s = 0; s < sums || (dx && s < 1); s++)
		v.mean[s] = get(f->mean[s] + c);
	if (dx) {
		v.scale = get(f->scale + c);
		v.shift = get(f->shift + c);
		v.slope = get(f->slope + c);
	}
	return v;
}

INLINE vec masked(vec g, vec y, const int mask)
{
	if (mask == MASK_RELU || mask == MASK_RELU_AGAIN)
		return keep(g, y > 0);
	return keep(g, (y > 0) & (y < 6));
}

INLINE void backward_as(const struct backward_pass *f, size_t at, int c, size_t pixels,
			double *part, const int dys, const int mask, const int sums,
			const int store, const int dx, const int stream)
{
	const int block = f->block;

	for (int k = 0; k < block; k += WIDTH) {
		const struct of_channels v = channels_get(f, c + k, mask, sums, dx);
		size_t o = at + (size_t)k;

		for (int s = 0; sums && s <= sums; s++)
			memset(part + s * block + k, 0, WIDTH * sizeof *part);
		for (size_t done = 0; done < pixels; ) {
			size_t run = pixels - done < RUN ? pixels - done : RUN;
			vec sum = { 0 }, product0 = { 0 }, product1 = { 0 };

			for (size_t i = 0; i < run; i++, o += (size_t)block) {
				vec g = get(f->dy[0] + o), x0 = { 0 };

				if (dys > 1)
					g += get(f->dy[1] + o);
				if (dys > 2)
					for (int j = 2; j < f->dys; j++)
						g += get(f->dy[j] + o);
				if (sums || dx || mask >= MASK_RELU_AGAIN)
					x0 = get(f->x[0] + o);
				if (mask >= MASK_RELU_AGAIN)
					g = masked(g, FMA(v.a, x0, v.b), mask);
				else if (mask)
					g = masked(g, get(f->y + o), mask);
				if (store)
					set_past(f->g + o, g, stream);
				if (sums) {
					sum += g;
					product0 = FMA(g, x0 - v.mean[0], product0);
				}
				if (sums > 1)
					product1 = FMA(g, get(f->x[1] + o) - v.mean[1], product1);
				if (dx)
					set_past(f->dx + o, v.scale * ((g - v.shift) -
						 (x0 - v.mean[0]) * v.slope), stream);
			}
			if (sums) {
				add_wide(part + k, sum);
				add_wide(part + block + k, product0);
			}
			if (sums > 1)
				add_wide(part + 2 * block + k, product1);
			done += run;
		}
	}
}

INLINE void backward_out(const struct backward_pass *f, size_t at, int c, size_t pixels,
			 double *part, const int dys, const int mask, const int stream)
{
	if (dys == 1 && f->dx)
		backward_as(f, at, c, pixels, part, 1, mask, 0, 0, 1, stream);
	else if (f->sums == 2 && f->g)
		backward_as(f, at, c, pixels, part, dys, mask, 2, 1, 0, stream);
	else if (f->sums == 2)
		backward_as(f, at, c, pixels, part, dys, mask, 2, 0, 0, stream);
	else if (f->sums && f->g)
		backward_as(f, at, c, pixels, part, dys, mask, 1, 1, 0, stream);
	else if (f->sums)
		backward_as(f, at, c, pixels, part, dys, mask, 1, 0, 0, stream);
	else
		backward_as(f, at, c, pixels, part, dys, mask, 0, 1, 0, stream);
}

INLINE void backward_mask(const struct backward_pass *f, size_t at, int c, size_t pixels,
			  double *part, const int dys, const int stream)
{
	if (f->mask == MASK_RELU)
		backward_out(f, at, c, pixels, part, dys, MASK_RELU, stream);
	else if (f->mask == MASK_RELU6)
		backward_out(f, at, c, pixels, part, dys, MASK_RELU6, stream);
	else if (dys == 1 && f->mask == MASK_RELU_AGAIN)
		backward_out(f, at, c, pixels, part, 1, MASK_RELU_AGAIN, stream);
	else if (dys == 1 && f->mask == MASK_RELU6_AGAIN)
		backward_out(f, at, c, pixels, part, 1, MASK_RELU6_AGAIN, stream);
	else
		backward_out(f, at, c, pixels, part, dys, MASK_NONE, stream);
}

INLINE void backward_to(const struct backward_pass *f, size_t at, int c, size_t pixels,
			double *part, const int stream)
{
	if (f->dys == 1)
		backward_mask(f, at, c, pixels, part, 1, stream);
	else if (f->dys == 2)
		backward_mask(f, at, c, pixels, part, 2, stream);
	else
		backward_mask(f, at, c, pixels, part, 3, stream);
}

static void backward(const struct backward_pass *f, size_t at, int c, size_t pixels,
		     double *part)
{
	assert(f->dys == 1 || (!f->dx && f->mask < MASK_RELU_AGAIN));
	assert(!f->dx || (!f->sums && !f->g));
	assert(f->dx || f->sums || f->g);
	if (f->stream) {
		backward_to(f, at, c, pixels, part, 1);
		STREAM_END();
	} else {
		backward_to(f, at, c, pixels, part, 0);
	}
}

static void mul(const float *x, const float *g, int spread, float *y, size_t pixels, int block)
{
	for (size_t i = 0; i < pixels; i++) {
		for (int k = 0; k < block; k += WIDTH)
			set(y + k, get(x + k) * get(g + k));
		x += block;
		y += block;
		g += spread ? 0 : block;
	}
}

/* ---- pools ---- */

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

/* ---- own convolution ---- */

/* The outputs whose tap k reads inside the input: from .. to - 1. */
INLINE void inside(const struct slide *s, int k, int *from, int *to)
{
	int shift = s->before - k * s->dilation, last = s->in - 1 + shift;

	*from = shift > 0 ? (shift + s->stride - 1) / s->stride : 0;
	*to = last < 0 ? 0 : last / s->stride + 1;
	if (*to > s->out)
		*to = s->out;
}

INLINE vec lanes_get(const struct direct_pass *f, const float *pixel, int j,
		     const enum lanes lanes)
{
	vec v = { 0 };

	if (lanes == LANES_SAME)
		return all(pixel[f->gather[j * f->width]]);
	if (lanes == LANES_OWN)
		return get(pixel + f->gather[j * f->width]);
	for (int l = 0; l < WIDTH; l++)
		v[l] = pixel[f->gather[j * f->width + l]];
	return v;
}

INLINE void direct_as(const struct direct_pass *f, int row, const enum lanes lanes)
{
	const vec start = f->bias ? (vec)*(const vec_any *)f->bias : (vec){ 0 };

	for (int ox = 0; ox < f->x.out; ox++)
		set(f->to + (size_t)ox * (size_t)f->to_block, start);
	for (int ky = 0; ky < f->y.k; ky++) {
		int iy = row * f->y.stride + ky * f->y.dilation - f->y.before;

		for (int kx = 0; iy >= 0 && iy < f->y.in && kx < f->x.k; kx++) {
			const float *w = f->w + (size_t)(ky * f->x.k + kx) *
					 (size_t)f->inner * (size_t)f->width;
			int from, to;

			inside(&f->x, kx, &from, &to);
			for (int j = 0; j < f->inner; j++, w += f->width) {
				const vec weight = get(w);

				for (int ox = from; ox < to; ox++) {
					int ix = ox * f->x.stride + kx * f->x.dilation - f->x.before;
					const float *pixel = f->from + ((size_t)iy *
						(size_t)f->x.in + (size_t)ix) * (size_t)f->from_block;
					float *y = f->to + (size_t)ox * (size_t)f->to_block;

					set(y, FMA(weight, lanes_get(f, pixel, j, lanes), get(y)));
				}
			}
		}
	}
}

static void direct(const struct direct_pass *f, int row)
{
	if (f->lanes == LANES_SAME)
		direct_as(f, row, LANES_SAME);
	else if (f->lanes == LANES_OWN)
		direct_as(f, row, LANES_OWN);
	else
		direct_as(f, row, LANES_GATHER);
}

INLINE void direct_dx_as(const struct direct_pass *f, int row, const enum lanes lanes)
{
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
					int ix = ox * f->x.stride + kx * f->x.dilation - f->x.before;
					const float *pixel = f->from + ((size_t)oy *
						(size_t)f->x.out + (size_t)ox) * (size_t)f->from_block;
					float *dx = f->to + (size_t)ix * (size_t)f->to_block;

					set(dx, FMA(weight, lanes_get(f, pixel, j, lanes), get(dx)));
				}
			}
		}
	}
}

static void direct_dx(const struct direct_pass *f, int row)
{
	if (f->lanes == LANES_SAME)
		direct_dx_as(f, row, LANES_SAME);
	else if (f->lanes == LANES_OWN)
		direct_dx_as(f, row, LANES_OWN);
	else
		direct_dx_as(f, row, LANES_GATHER);
}

INLINE void direct_dw_as(const struct direct_pass *f, int j, int from_row, int to_row,
			 const enum lanes lanes)
{
	for (int ky = 0; ky < f->y.k; ky++) {
		for (int kx = 0; kx < f->x.k; kx++) {
			double *sum = f->sum + (size_t)((j * f->y.k + ky) * f->x.k + kx) *
				      (size_t)f->width;
			int from, to;

			inside(&f->x, kx, &from, &to);
			for (int oy = from_row; oy < to_row; oy++) {
				int iy = oy * f->y.stride + ky * f->y.dilation - f->y.before;
				int ix = from * f->x.stride + kx * f->x.dilation - f->x.before;
				size_t step = (size_t)f->x.stride * (size_t)f->from_block;
				const float *x, *dy;
				vec s0 = { 0 }, s1 = { 0 };
				int ox;

				if (iy < 0 || iy >= f->y.in || from >= to)
					continue;
				x = f->from + ((size_t)iy * (size_t)f->x.in + (size_t)ix) *
				    (size_t)f->from_block;
				dy = f->dy + ((size_t)oy * (size_t)f->x.out + (size_t)from) *
				     (size_t)f->to_block;
				for (ox = from; ox + 2 <= to; ox += 2) {
					s0 = FMA(get(dy), lanes_get(f, x, j, lanes), s0);
					s1 = FMA(get(dy + f->to_block),
						 lanes_get(f, x + step, j, lanes), s1);
					x += 2 * step;
					dy += 2 * f->to_block;
				}
				if (ox < to)
					s0 = FMA(get(dy), lanes_get(f, x, j, lanes), s0);
				add_wide(sum, s0 + s1);
			}
		}
	}
}

static void direct_dw(const struct direct_pass *f, int j, int from_row, int to_row)
{
	if (f->lanes == LANES_SAME)
		direct_dw_as(f, j, from_row, to_row, LANES_SAME);
	else if (f->lanes == LANES_OWN)
		direct_dw_as(f, j, from_row, to_row, LANES_OWN);
	else
		direct_dw_as(f, j, from_row, to_row, LANES_GATHER);
}

/* ---- update ---- */

INLINE void update_as(const struct update_pass *f, size_t from, size_t to, const int slot,
		      const int nesterov)
{
	for (size_t i = from; i < to; i++) {
		float g = f->g[i] + f->decay * f->w[i];

		if (slot) {
			float v = f->momentum * f->v[i] + g;

			f->v[i] = v;
			g = nesterov ? g + f->momentum * v : v;
		}
		f->w[i] -= f->lr * g;
	}
}

static void update(const struct update_pass *f, size_t from, size_t to)
{
	if (!f->v)
		update_as(f, from, to, 0, 0);
	else if (f->nesterov)
		update_as(f, from, to, 1, 1);
	else
		update_as(f, from, to, 1, 0);
}

static int finite(const float *x, size_t n)
{
	int32_t worst = 0;

	for (size_t i = 0; i < n; i++) {
		int32_t exponent;

		memcpy(&exponent, x + i, sizeof exponent);
		exponent &= 0x7f800000;
		worst = exponent > worst ? exponent : worst;
	}
	return worst < 0x7f800000;
}

const struct kernels KERNELS = {
	KERNELS_NAME, WIDTH, stats, forward, backward, total, mul, maxpool, maxpool_dx, avgpool,
	avgpool_dx, direct, direct_dx, direct_dw, update, finite
};
