/* Pools. A window may hang over the image and its padding: outside is nothing. */
#include "dev/cuda/walk.cuh"

/* Where tap k of output place o lies in the input, along an axis; maybe outside. */
__device__ inline int tap(const struct pool &p, int axis, int o, int k)
{
	return o * p.s[axis] + k * p.dilation[axis] - p.before[axis];
}

/* A pixel of a span of h x w images. */
struct pixel { unsigned n; int y, x; };

__device__ inline struct pixel pixel_of(unsigned row, int h, int w)
{
	struct pixel p;

	p.x = (int)(row % (unsigned)w);
	row /= (unsigned)w;
	p.y = (int)(row % (unsigned)h);
	p.n = row / (unsigned)h;
	return p;
}

/* Offset of the group that starts at `first`, of a pixel of h x w images. */
__device__ inline size_t pixel_at(unsigned n, int y, int x, int h, int w, int pad, int first)
{
	return (((size_t)n * h + y) * w + x) * pad + first;
}

/* The first of the largest of each window; NaN is larger than all. */
template <typename T, typename P>
__global__ void __launch_bounds__(THREADS)
maxpool_kernel(struct walk w, struct pool p, const T *x, T *to, P *place)
{
	struct stride s = stride_of(w);

	for (; s.row < s.end; s.row += s.step) {
		struct pixel o = pixel_of(s.row, p.out_h, p.out_w);
		float best[GROUP], v[GROUP];
		int which[GROUP];
		int seen = 0;

		for (int k = 0; k < GROUP; k++) {
			best[k] = 0;
			which[k] = 0;
		}
		for (int ky = 0; ky < p.k[0]; ky++)
			for (int kx = 0; kx < p.k[1]; kx++) {
				int iy = tap(p, 0, o.y, ky), ix = tap(p, 1, o.x, kx);

				if (iy < 0 || iy >= p.in_h || ix < 0 || ix >= p.in_w)
					continue;
				load(x + pixel_at(o.n, iy, ix, p.in_h, p.in_w, w.pad, s.first), v);
				for (int k = 0; k < GROUP; k++)
					if (!seen || v[k] > best[k] ||
					    (v[k] != v[k] && best[k] == best[k])) {
						best[k] = v[k];
						which[k] = ky * p.k[1] + kx;
					}
				seen = 1;
			}
		store(to + at_of(w, s), best, s.first, w.c);
		if (place)
			for (int k = 0; k < GROUP; k++)
				place[at_of(w, s) + k] = (P)(s.first + k < w.c ? which[k] : 0);
	}
}

extern "C" void maxpool_start(cudaStream_t stream, struct span y, const struct pool *p,
			      const void *x, void *to, void *place)
{
	struct walk w = walk_of(y);

	if (p->wide)
		BY_TYPE(y.type, T, LAUNCH((maxpool_kernel<T, int32_t>), walk_grid(w), THREADS,
					  stream, w, *p, (const T *)x, (T *)to, (int32_t *)place));
	else
		BY_TYPE(y.type, T, LAUNCH((maxpool_kernel<T, uint8_t>), walk_grid(w), THREADS,
					  stream, w, *p, (const T *)x, (T *)to, (uint8_t *)place));
}

/* The output places whose windows may cover an input place: from .. to - 1. */
__device__ inline void covering(const struct pool &p, int axis, int i, int out, int *from, int *to)
{
	int span = (p.k[axis] - 1) * p.dilation[axis], at = i + p.before[axis];

	*from = at > span ? (at - span + p.s[axis] - 1) / p.s[axis] : 0;
	*to = at / p.s[axis] + 1;
	if (*to > out)
		*to = out;
}

template <typename T, typename P>
__global__ void __launch_bounds__(THREADS)
maxpool_dx_kernel(struct walk w, struct pool p, const T *dy, const P *place, T *dx)
{
	struct stride s = stride_of(w);

	for (; s.row < s.end; s.row += s.step) {
		struct pixel i = pixel_of(s.row, p.in_h, p.in_w);
		int from_y, to_y, from_x, to_x;
		float sum[GROUP] = { 0 }, v[GROUP];

		covering(p, 0, i.y, p.out_h, &from_y, &to_y);
		covering(p, 1, i.x, p.out_w, &from_x, &to_x);
		for (int y = from_y; y < to_y; y++)
			for (int x = from_x; x < to_x; x++) {
				size_t at = pixel_at(i.n, y, x, p.out_h, p.out_w, w.pad, s.first);

				load(dy + at, v);
				for (int k = 0; k < GROUP; k++) {
					int won = place[at + k];

					if (tap(p, 0, y, won / p.k[1]) == i.y &&
					    tap(p, 1, x, won % p.k[1]) == i.x)
						sum[k] += v[k];
				}
			}
		store(dx + at_of(w, s), sum, s.first, w.c);
	}
}

extern "C" void maxpool_dx_start(cudaStream_t stream, struct span dx, const struct pool *p,
				 const void *dy, const void *place, void *to)
{
	struct walk w = walk_of(dx);

	if (p->wide)
		BY_TYPE(dx.type, T, LAUNCH((maxpool_dx_kernel<T, int32_t>), walk_grid(w), THREADS,
					   stream, w, *p, (const T *)dy, (const int32_t *)place,
					   (T *)to));
	else
		BY_TYPE(dx.type, T, LAUNCH((maxpool_dx_kernel<T, uint8_t>), walk_grid(w), THREADS,
					   stream, w, *p, (const T *)dy, (const uint8_t *)place,
					   (T *)to));
}

/* Taps of output place o that fall between low and high - 1. */
__device__ inline int taps_within(const struct pool &p, int axis, int o, int low, int high)
{
	int count = 0;

	for (int k = 0; k < p.k[axis]; k++)
		count += tap(p, axis, o, k) >= low && tap(p, axis, o, k) < high;
	return count;
}

/* What a window's sum is divided by: its pixels, with those of the padding if they
 * count; never those that hang over the padding. */
__device__ inline float window_count(const struct pool &p, int y, int x)
{
	if (p.count_pad)
		return (float)taps_within(p, 0, y, -p.before[0], p.in_h + p.after[0]) *
		       taps_within(p, 1, x, -p.before[1], p.in_w + p.after[1]);
	return (float)taps_within(p, 0, y, 0, p.in_h) * taps_within(p, 1, x, 0, p.in_w);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
avgpool_kernel(struct walk w, struct pool p, const T *x, T *to)
{
	struct stride s = stride_of(w);

	for (; s.row < s.end; s.row += s.step) {
		struct pixel o = pixel_of(s.row, p.out_h, p.out_w);
		float sum[GROUP] = { 0 }, v[GROUP], count = window_count(p, o.y, o.x);

		for (int ky = 0; ky < p.k[0]; ky++)
			for (int kx = 0; kx < p.k[1]; kx++) {
				int iy = tap(p, 0, o.y, ky), ix = tap(p, 1, o.x, kx);

				if (iy < 0 || iy >= p.in_h || ix < 0 || ix >= p.in_w)
					continue;
				load(x + pixel_at(o.n, iy, ix, p.in_h, p.in_w, w.pad, s.first), v);
				for (int k = 0; k < GROUP; k++)
					sum[k] += v[k];
			}
		for (int k = 0; k < GROUP; k++)
			sum[k] /= count;
		store(to + at_of(w, s), sum, s.first, w.c);
	}
}

extern "C" void avgpool_start(cudaStream_t stream, struct span y, const struct pool *p,
			      const void *x,
			      void *to)
{
	struct walk w = walk_of(y);

	BY_TYPE(y.type, T, LAUNCH(avgpool_kernel<T>, walk_grid(w), THREADS, stream, w, *p,
				  (const T *)x, (T *)to));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
avgpool_dx_kernel(struct walk w, struct pool p, const T *dy, T *dx)
{
	struct stride s = stride_of(w);

	for (; s.row < s.end; s.row += s.step) {
		struct pixel i = pixel_of(s.row, p.in_h, p.in_w);
		int from_y, to_y, from_x, to_x;
		float sum[GROUP] = { 0 }, v[GROUP];

		covering(p, 0, i.y, p.out_h, &from_y, &to_y);
		covering(p, 1, i.x, p.out_w, &from_x, &to_x);
		for (int y = from_y; y < to_y; y++)
			for (int x = from_x; x < to_x; x++) {
				float count;

				/* with dilation a window may step over the place */
				if (!taps_within(p, 0, y, i.y, i.y + 1) ||
				    !taps_within(p, 1, x, i.x, i.x + 1))
					continue;
				count = window_count(p, y, x);
				load(dy + pixel_at(i.n, y, x, p.out_h, p.out_w, w.pad, s.first), v);
				for (int k = 0; k < GROUP; k++)
					sum[k] += v[k] / count;
			}
		store(dx + at_of(w, s), sum, s.first, w.c);
	}
}

extern "C" void avgpool_dx_start(cudaStream_t stream, struct span dx, const struct pool *p,
				 const void *dy, void *to)
{
	struct walk w = walk_of(dx);

	BY_TYPE(dx.type, T, LAUNCH(avgpool_dx_kernel<T>, walk_grid(w), THREADS, stream, w, *p,
				   (const T *)dy, (T *)to));
}
