/* Kernels that make each number from those at its place. */
#include "dev/cuda/walk.cuh"

/* As the reference: NaN goes through all of them. */
__device__ inline float clip(float x, float low, float high)
{
	return x < low ? low : x > high ? high : x;
}

__device__ inline float act_of(enum act_code act, float x)
{
	switch (act) {
	case ACT_RELU:
		return x < 0 ? 0 : x;
	case ACT_RELU6:
		return clip(x, 0, 6);
	case ACT_SIGMOID:
		return 1 / (1 + expf(-x));
	case ACT_TANH:
		return tanhf(x);
	case ACT_SWISH:
		return x / (1 + expf(-x));
	case ACT_GELU:
		return x * 0.5f * erfcf(-x * 0.70710678118654752f);
	case ACT_HARDSWISH:
		return x * clip(x + 3, 0, 6) / 6;
	case ACT_HARDSIGMOID:
		return clip(x + 3, 0, 6) / 6;
	default:
		return x;
	}
}

/* Those whose slope is found from what they read; the others' from their result. */
__device__ inline int act_reads_x(enum act_code act)
{
	return act == ACT_SWISH || act == ACT_GELU || act == ACT_HARDSWISH;
}

/* The gradient through an activation, from y: its result, or what it read. */
__device__ inline float act_back(enum act_code act, float dy, float y)
{
	float s;

	switch (act) {
	case ACT_SWISH:
		s = 1 / (1 + expf(-y));
		return dy * s * (1 + y * (1 - s));
	case ACT_GELU:
		s = 0.5f * erfcf(-y * 0.70710678118654752f);
		return dy * (s + y * expf(-y * y / 2) * 0.39894228040143268f);
	case ACT_HARDSWISH:
		return y <= -3 ? 0 : y >= 3 ? dy : dy * (2 * y + 3) / 6;
	case ACT_RELU:
		return y > 0 ? dy : 0;
	case ACT_RELU6:
		return y > 0 && y < 6 ? dy : 0;
	case ACT_SIGMOID:
		return dy * y * (1 - y);
	case ACT_TANH:
		return dy * (1 - y * y);
	case ACT_HARDSIGMOID:
		return y > 0 && y < 1 ? dy / 6 : 0;
	default:
		return dy;
	}
}

template <typename T>
__global__ void __launch_bounds__(THREADS) forward_kernel(struct walk w, struct forward_pass f)
{
	struct stride s = stride_of(w);
	float a[2][GROUP], b[2][GROUP];

	if (s.group < 0)
		return;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		vector_load(i < f.affines ? f.a[i] : NULL, s.first, w.c, 1, a[i]);
		vector_load(i < f.affines ? f.b[i] : NULL, s.first, w.c, 0, b[i]);
	}
	for (; s.row < s.end; s.row += s.step) {
		size_t at = at_of(w, s);
		float y[GROUP], x[GROUP];

		load((const T *)f.x[0] + at, y);
		if (f.affines > 0)
			for (int k = 0; k < GROUP; k++)
				y[k] = fmaf(a[0][k], y[k], b[0][k]);
		for (int i = 1; i < f.xs; i++) {
			load((const T *)f.x[i] + at, x);
			if (i == 1 && f.affines > 1)
				for (int k = 0; k < GROUP; k++)
					x[k] = fmaf(a[1][k], x[k], b[1][k]);
			for (int k = 0; k < GROUP; k++)
				y[k] += x[k];
		}
		for (int k = 0; k < GROUP; k++)
			y[k] = act_of(f.act, y[k]);
		store((T *)f.y + at, y, s.first, w.c);
	}
}

extern "C" void forward_start(cudaStream_t stream, struct span v, const struct forward_pass *f)
{
	struct walk w = walk_of(v);

	BY_TYPE(v.type, T, LAUNCH(forward_kernel<T>, walk_grid(w), THREADS, stream, w, *f));
}

/* One thread a pixel: 8 channels are written, at most 4 of them from bytes. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
input_kernel(unsigned rows, int c, int pad, const uint8_t *pixels, T *to, struct pixel_scale p)
{
	unsigned row = blockIdx.x * THREADS + threadIdx.x;

	for (; row < rows; row += gridDim.x * THREADS) {
		float y[GROUP];

		for (int k = 0; k < GROUP; k++)
			y[k] = k < c && k < 4 ? ((float)pixels[(size_t)row * c + k] - p.mean[k & 3])
						/ p.deviation[k & 3] : 0;
		for (int first = 0; first < pad; first += GROUP)
			store(to + (size_t)row * pad + first, y, first, c);
	}
}

extern "C" void input_start(cudaStream_t stream, struct span y, const uint8_t *pixels, void *to,
			    struct pixel_scale p)
{
	BY_TYPE(y.type, T, LAUNCH(input_kernel<T>, blocks_for(y.rows), THREADS, stream, y.rows,
				  y.c, y.pad, pixels, (T *)to, p));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
mul_kernel(struct walk w, const T *x, const T *g, unsigned share, T *y)
{
	struct stride s = stride_of(w);

	for (; s.row < s.end; s.row += s.step) {
		size_t at = at_of(w, s);
		float a[GROUP], b[GROUP];

		load(x + at, a);
		load(g + (size_t)(s.row / share) * w.pad + s.first, b);
		for (int k = 0; k < GROUP; k++)
			a[k] *= b[k];
		store(y + at, a, s.first, w.c);
	}
}

extern "C" void mul_start(cudaStream_t stream, struct span v, const void *x, const void *g,
			  unsigned share, void *y)
{
	struct walk w = walk_of(v);

	BY_TYPE(v.type, T, LAUNCH(mul_kernel<T>, walk_grid(w), THREADS, stream, w, (const T *)x,
				  (const T *)g, share, (T *)y));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
gate_kernel(struct walk w, const T *x, const T *g, const T *e, unsigned share, T *y)
{
	struct stride s = stride_of(w);
	float part = 1.f / (float)share;

	for (; s.row < s.end; s.row += s.step) {
		size_t at = at_of(w, s), pixel = (size_t)(s.row / share) * w.pad + s.first;
		float a[GROUP], b[GROUP], c[GROUP];

		load(x + at, a);
		load(g + pixel, b);
		load(e + pixel, c);
		for (int k = 0; k < GROUP; k++)
			a[k] = a[k] * b[k] + c[k] * part;
		store(y + at, a, s.first, w.c);
	}
}

extern "C" void gate_start(cudaStream_t stream, struct span v, const void *x, const void *g,
			   const void *e, unsigned share, void *y)
{
	struct walk w = walk_of(v);

	BY_TYPE(v.type, T, LAUNCH(gate_kernel<T>, walk_grid(w), THREADS, stream, w, (const T *)x,
				  (const T *)g, (const T *)e, share, (T *)y));
}

/* A thread a number of the part that is written. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
channels_kernel(unsigned rows, const T *x, int x_pad, int from, T *y, int y_pad, int to, int count,
		int write)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;
	unsigned long long all = (unsigned long long)rows * write;

	for (; i < all; i += (unsigned long long)gridDim.x * THREADS) {
		size_t row = i / write;
		int k = (int)(i % write);

		y[row * y_pad + to + k] = k < count ? x[row * x_pad + from + k]
						    : rounded<T>::of(0);
	}
}

extern "C" void channels_start(cudaStream_t stream, struct span x, const void *from_x, int from,
			       struct span y, void *to_y, int to, int count, int fill)
{
	int write = fill ? y.pad - to : count;

	BY_TYPE(y.type, T, LAUNCH(channels_kernel<T>,
				  blocks_for((unsigned long long)y.rows * write), THREADS, stream,
				  y.rows, (const T *)from_x, x.pad, from, (T *)to_y, y.pad, to,
				  count, write));
}

/* A thread a number of y. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
pad_kernel(unsigned long long numbers, struct pad_of p, const T *x, T *y)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;

	for (; i < numbers; i += (unsigned long long)gridDim.x * THREADS) {
		unsigned long long rest = i / p.y_pad;
		int c = (int)(i % p.y_pad), xc = c - p.front, xx, xy;

		xx = (int)(rest % p.y_w) - p.left;
		rest /= p.y_w;
		xy = (int)(rest % p.y_h) - p.top;
		rest /= p.y_h;
		y[i] = c < p.y_c && xc >= 0 && xc < p.x_c && xy >= 0 && xy < p.x_h && xx >= 0 &&
		       xx < p.x_w ? x[((rest * p.x_h + xy) * p.x_w + xx) * p.x_pad + xc]
				  : rounded<T>::of(0);
	}
}

extern "C" void pad_start(cudaStream_t stream, struct pad_of p, enum dtype type, int n,
			  const void *x, void *y)
{
	unsigned long long numbers = (unsigned long long)n * p.y_h * p.y_w * p.y_pad;

	BY_TYPE(type, T, LAUNCH(pad_kernel<T>, blocks_for(numbers), THREADS, stream, numbers, p,
				(const T *)x, (T *)y));
}

/* From place (r, k) of a matrix of `groups` rows to (k, r). */
template <typename T>
__global__ void __launch_bounds__(THREADS)
shuffle_kernel(unsigned long long numbers, int c, int pad, int groups, const T *x, T *y)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;
	int across = c / groups;

	for (; i < numbers; i += (unsigned long long)gridDim.x * THREADS) {
		int to = (int)(i % pad), from = to % groups * across + to / groups;

		y[i] = to < c ? x[i - to + from] : rounded<T>::of(0);
	}
}

extern "C" void shuffle_start(cudaStream_t stream, struct span v, int groups, const void *x,
			      void *y)
{
	unsigned long long numbers = (unsigned long long)v.rows * v.pad;

	BY_TYPE(v.type, T, LAUNCH(shuffle_kernel<T>, blocks_for(numbers), THREADS, stream, numbers,
				  v.c, v.pad, groups, (const T *)x, (T *)y));
}

struct copy_of { struct place_of from, to; int h, w, c; unsigned long long numbers; };

/* A thread a number of y, padding too, in the order in which y is stored. */
template <typename F, typename T>
__global__ void __launch_bounds__(THREADS) copy_kernel(const F *x, T *y, struct copy_of p)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;

	for (; i < p.numbers; i += (unsigned long long)gridDim.x * THREADS) {
		unsigned long long pixel = i / p.to.block, plane, n;
		unsigned pixels = (unsigned)p.h * p.w, in_plane = (unsigned)(pixel % pixels);
		int blocks = p.to.pad / p.to.block, c;

		plane = pixel / pixels;
		n = plane / blocks;
		c = (int)(plane % blocks) * p.to.block + (int)(i % p.to.block);
		if (c < p.c) {
			size_t at = ((n * (p.from.pad / p.from.block) + c / p.from.block) * pixels
				     + in_plane) * p.from.block + c % p.from.block;

			y[i] = rounded<T>::of(number(x[at]));
		} else {
			y[i] = rounded<T>::of(0);
		}
	}
}

template <typename F>
static void copy_to(cudaStream_t stream, const F *x, void *y, struct copy_of p)
{
	unsigned blocks = blocks_for(p.numbers);

	BY_TYPE(p.to.type, T, LAUNCH((copy_kernel<F, T>), blocks, THREADS, stream, x, (T *)y, p));
}

extern "C" void copy_start(cudaStream_t stream, const void *x, struct place_of from, void *y,
			   struct place_of to, int n, int h, int w, int c)
{
	struct copy_of p = { from, to, h, w, c, (unsigned long long)n * h * w * to.pad };

	BY_TYPE(from.type, F, copy_to<F>(stream, (const F *)x, y, p));
}

/* ---- dropout: the draws of base/rng.h ---- */

__device__ inline uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

__device__ inline void philox_block(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
				    uint64_t key, uint32_t out[4])
{
	uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);

	for (int i = 0; i < 10; i++) {
		uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;

		c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)b;
		c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)a;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
dropout_kernel(struct walk w, const T *x, T *y, const struct control_of *control, struct drop d)
{
	struct stride s = stride_of(w);
	unsigned pixels = (unsigned)d.h * d.w;
	uint64_t key = mix(control->seed + d.mixed);
	double done = (double)control->step, p = done < d.ramp ? d.p * done / d.ramp : d.p;
	double least = p * 4294967296.0;
	float scale = (float)(1 / (1 - p));

	for (; s.row < s.end; s.row += s.step) {
		size_t at = at_of(w, s);
		unsigned n = s.row / pixels, pixel = s.row % pixels;
		uint64_t position = control->position + n * control->stride, had = ~(uint64_t)0;
		uint32_t word[4];
		float v[GROUP];

		load(x + at, v);
		for (int k = 0; k < GROUP; k++) {
			uint64_t place = d.whole ? 0 : (uint64_t)(s.first + k) * pixels + pixel;

			if (s.first + k >= w.c)
				break;
			if (place / 4 != had) {
				had = place / 4;
				philox_block((uint32_t)had, (uint32_t)(had >> 32),
					     (uint32_t)position, (uint32_t)(position >> 32), key,
					     word);
			}
			v[k] = word[place % 4] >= least ? v[k] * scale : 0;
		}
		store(y + at, v, s.first, w.c);
	}
}

extern "C" void dropout_start(cudaStream_t stream, struct span v, const void *x, void *y,
			      const void *control, struct drop d)
{
	struct walk w = walk_of(v);

	BY_TYPE(v.type, T, LAUNCH(dropout_kernel<T>, walk_grid(w), THREADS, stream, w,
				  (const T *)x, (T *)y, (const struct control_of *)control, d));
}
