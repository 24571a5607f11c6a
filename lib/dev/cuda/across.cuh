/* Normalisations over the channels of a pixel. */
#include "dev/cuda/walk.cuh"

/* ---- layer norm: a thread a pixel ---- */

template <typename T>
__device__ inline void moments(const T *x, int c, int pad, double eps, float *mean, float *invstd)
{
	double sum = 0, square = 0, middle;
	float v[GROUP];

	for (int first = 0; first < pad; first += GROUP) {
		load(x + first, v);
		for (int k = 0; k < GROUP; k++)
			sum += v[k];
	}
	middle = sum / c;
	for (int first = 0; first < pad; first += GROUP) {
		load(x + first, v);
		for (int k = 0; k < GROUP && first + k < c; k++)
			square += (v[k] - middle) * (v[k] - middle);
	}
	*mean = (float)middle;
	*invstd = (float)(1 / sqrt(square / c + eps));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
layernorm_kernel(struct span s, double eps, const T *x, const float *gain, const float *bias, T *y)
{
	unsigned row = blockIdx.x * THREADS + threadIdx.x;

	for (; row < s.rows; row += gridDim.x * THREADS) {
		const T *from = x + (size_t)row * s.pad;
		float mean, invstd, v[GROUP];

		moments(from, s.c, s.pad, eps, &mean, &invstd);
		for (int first = 0; first < s.pad; first += GROUP) {
			load(from + first, v);
			for (int k = 0; k < GROUP && first + k < s.c; k++)
				v[k] = (v[k] - mean) * invstd * gain[first + k] + bias[first + k];
			store(y + (size_t)row * s.pad + first, v, first, s.c);
		}
	}
}

extern "C" void layernorm_start(cudaStream_t stream, struct span s, double eps, const void *x,
				const float *gain, const float *bias, void *y)
{
	BY_TYPE(s.type, T, LAUNCH(layernorm_kernel<T>, blocks_for(s.rows), THREADS, stream, s, eps,
				  (const T *)x, gain, bias, (T *)y));
}

/* dx = invstd (g - mean(g) - xhat mean(g xhat)), g = gain dy; and the pixel's moments. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
layernorm_dx_kernel(struct span s, double eps, const T *dy, const T *x, const float *gain, T *dx,
		    float *moment)
{
	unsigned row = blockIdx.x * THREADS + threadIdx.x;

	for (; row < s.rows; row += gridDim.x * THREADS) {
		size_t at = (size_t)row * s.pad;
		float mean, invstd, g[GROUP], v[GROUP];
		double sum = 0, product = 0;

		moments(x + at, s.c, s.pad, eps, &mean, &invstd);
		moment[2 * (size_t)row] = mean;
		moment[2 * (size_t)row + 1] = invstd;
		for (int first = 0; dx && first < s.pad; first += GROUP) {
			load(dy + at + first, g);
			load(x + at + first, v);
			for (int k = 0; k < GROUP && first + k < s.c; k++) {
				sum += gain[first + k] * g[k];
				product += gain[first + k] * g[k] * (v[k] - mean) * invstd;
			}
		}
		sum /= s.c;
		product /= s.c;
		for (int first = 0; dx && first < s.pad; first += GROUP) {
			load(dy + at + first, g);
			load(x + at + first, v);
			for (int k = 0; k < GROUP && first + k < s.c; k++)
				v[k] = invstd * (gain[first + k] * g[k] - (float)sum -
						 (v[k] - mean) * invstd * (float)product);
			store(dx + at + first, v, first, s.c);
		}
	}
}

/* Sums of dy and dy xhat a channel, from the pixels' moments. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
layernorm_sums_kernel(struct walk w, const T *dy, const T *x, const float *moment, float *part)
{
	struct stride s = stride_of(w);
	float sum[GROUP] = { 0 }, product[GROUP] = { 0 };

	for (; s.row < s.end; s.row += s.step) {
		float mean = moment[2 * (size_t)s.row], invstd = moment[2 * (size_t)s.row + 1];
		float g[GROUP], v[GROUP];

		load(dy + at_of(w, s), g);
		load(x + at_of(w, s), v);
		for (int k = 0; k < GROUP; k++) {
			sum[k] += g[k];
			product[k] = fmaf(g[k], (v[k] - mean) * invstd, product[k]);
		}
	}
	block_sum(w, sum);
	block_sum(w, product);
	part_store(w, s, part, 2, 0, sum);
	part_store(w, s, part, 2, 1, product);
}

static size_t moments_bytes(struct span s)
{
	return ((size_t)s.rows * 2 * sizeof(float) + 255) / 256 * 256;
}

extern "C" size_t layernorm_work(struct span s)
{
	return moments_bytes(s) + sums_bytes(s, 2);
}

extern "C" void layernorm_dx_start(cudaStream_t stream, struct span s, double eps, const void *dy,
				   const void *x, const float *gain, void *dx, float *dgain,
				   float *dbias, void *work)
{
	struct walk w = walk_of(s);
	struct sums_both out = { { { NULL, dgain, dbias, s.pad }, { NULL, NULL, NULL, 0 } } };
	float *moment = (float *)work, *part = (float *)((char *)work + moments_bytes(s));

	BY_TYPE(s.type, T, LAUNCH(layernorm_dx_kernel<T>, blocks_for(s.rows), THREADS, stream, s,
				  eps, (const T *)dy, (const T *)x, gain, (T *)dx, moment));
	BY_TYPE(s.type, T, MEET(layernorm_sums_kernel<T>, walk_grid(w), THREADS, stream, w,
				(const T *)dy, (const T *)x, moment, part));
	MEET(sums_join_kernel, (s.pad + JOIN - 1) / JOIN, JOIN * JOIN_PARTS, stream, w, part, 1,
	     out);
}

/* ---- local response normalisation: a thread a number ---- */

template <typename T>
__device__ inline float response_at(struct response a, const T *x, int c, int at)
{
	float sum = 0;

	for (int k = at - a.n / 2; k <= at + (a.n - 1) / 2; k++)
		if (k >= 0 && k < c)
			sum = fmaf(number(x[k]), number(x[k]), sum);
	return (float)a.k + (float)a.alpha * sum;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
lrn_kernel(struct span s, struct response a, const T *x, T *y)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;
	unsigned long long all = (unsigned long long)s.rows * s.pad;

	for (; i < all; i += (unsigned long long)gridDim.x * THREADS) {
		int c = (int)(i % s.pad);
		float r = response_at(a, x + (i - c), s.c, c);

		y[i] = rounded<T>::of(c < s.c ? number(x[i]) * powf(r, -(float)a.beta) : 0);
	}
}

extern "C" void lrn_start(cudaStream_t stream, struct span s, struct response a, const void *x,
			  void *y)
{
	BY_TYPE(s.type, T, LAUNCH(lrn_kernel<T>, blocks_for((unsigned long long)s.rows * s.pad),
				  THREADS, stream, s, a, (const T *)x, (T *)y));
}

/* dx_c = dy_c s_c^-beta - 2 alpha beta x_c (sum over k of dy_k x_k s_k^(-beta - 1)), over
 * the channels k that have c in their window. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
lrn_dx_kernel(struct span s, struct response a, const T *dy, const T *x, T *dx)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;
	unsigned long long all = (unsigned long long)s.rows * s.pad;
	float beta = (float)a.beta;

	for (; i < all; i += (unsigned long long)gridDim.x * THREADS) {
		int c = (int)(i % s.pad);
		const T *of_x = x + (i - c), *of_dy = dy + (i - c);
		float sum = 0, d = 0;

		for (int k = c - (a.n - 1) / 2; c < s.c && k <= c + a.n / 2; k++)
			if (k >= 0 && k < s.c)
				sum += number(of_dy[k]) * number(of_x[k]) *
				       powf(response_at(a, of_x, s.c, k), -beta - 1);
		if (c < s.c)
			d = number(of_dy[c]) * powf(response_at(a, of_x, s.c, c), -beta) -
			    2 * (float)a.alpha * beta * number(of_x[c]) * sum;
		dx[i] = rounded<T>::of(d);
	}
}

extern "C" void lrn_dx_start(cudaStream_t stream, struct span s, struct response a, const void *dy,
			     const void *x, void *dx)
{
	BY_TYPE(s.type, T, LAUNCH(lrn_dx_kernel<T>, blocks_for((unsigned long long)s.rows * s.pad),
				  THREADS, stream, s, a, (const T *)dy, (const T *)x, (T *)dx));
}
