/*
 * Convolutions of shapes that cuDNN has no engine for (groups whose channels are not
 * those of padded tensors, say): a thread a number, plain and slow. And the way of
 * weights between masters and tensors.
 */
#include "dev/cuda/walk.cuh"

/* Numbers of padded output channels, their taps. */
__device__ inline size_t weight_at(const struct own_conv &v, int out, int ky, int kx, int in)
{
	return (((size_t)out * v.k[0] + ky) * v.k[1] + kx) * v.w_in + in;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
conv_kernel(struct own_conv v, const T *x, const T *weight, T *y)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;
	unsigned long long all = (unsigned long long)v.n * v.out_h * v.out_w * v.out_pad;
	int in_group = v.in_c / v.groups, out_group = v.out_c / v.groups;

	for (; i < all; i += (unsigned long long)gridDim.x * THREADS) {
		int oc = (int)(i % v.out_pad), ox, oy, from;
		unsigned long long rest = i / v.out_pad;
		float sum = 0;

		ox = (int)(rest % v.out_w);
		rest /= v.out_w;
		oy = (int)(rest % v.out_h);
		rest /= v.out_h;
		from = oc / out_group * in_group;
		for (int ky = 0; oc < v.out_c && ky < v.k[0]; ky++) {
			int iy = oy * v.s[0] + ky * v.dilation[0] - v.before[0];

			for (int kx = 0; iy >= 0 && iy < v.in_h && kx < v.k[1]; kx++) {
				int ix = ox * v.s[1] + kx * v.dilation[1] - v.before[1];
				const T *a = x + ((rest * v.in_h + iy) * v.in_w + ix) * v.in_pad
					     + from;
				const T *b = weight + weight_at(v, oc, ky, kx, 0);

				for (int c = 0; ix >= 0 && ix < v.in_w && c < in_group; c++)
					sum = fmaf(number(a[c]), number(b[c]), sum);
			}
		}
		y[i] = rounded<T>::of(sum);
	}
}

extern "C" void conv_start(cudaStream_t stream, const struct own_conv *v, const void *x,
			   const void *w,
			   void *y)
{
	unsigned blocks = blocks_for((unsigned long long)v->n * v->out_h * v->out_w * v->out_pad);

	BY_TYPE(v->type, T, LAUNCH(conv_kernel<T>, blocks, THREADS, stream, *v, (const T *)x,
				   (const T *)w, (T *)y));
}

/* The output place whose tap k is input place i; -1: none. */
__device__ inline int covered(const struct own_conv &v, int axis, int i, int k, int out)
{
	int at = i + v.before[axis] - k * v.dilation[axis];

	return at < 0 || at % v.s[axis] || at / v.s[axis] >= out ? -1 : at / v.s[axis];
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
conv_dx_kernel(struct own_conv v, const T *dy, const T *weight, T *dx)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;
	unsigned long long all = (unsigned long long)v.n * v.in_h * v.in_w * v.in_pad;
	int in_group = v.in_c / v.groups, out_group = v.out_c / v.groups;

	for (; i < all; i += (unsigned long long)gridDim.x * THREADS) {
		int ic = (int)(i % v.in_pad), ix, iy, from;
		unsigned long long rest = i / v.in_pad;
		float sum = 0;

		ix = (int)(rest % v.in_w);
		rest /= v.in_w;
		iy = (int)(rest % v.in_h);
		rest /= v.in_h;
		from = ic / in_group * out_group;
		for (int ky = 0; ic < v.in_c && ky < v.k[0]; ky++) {
			int oy = covered(v, 0, iy, ky, v.out_h);

			for (int kx = 0; oy >= 0 && kx < v.k[1]; kx++) {
				int ox = covered(v, 1, ix, kx, v.out_w);
				const T *a = dy + ((rest * v.out_h + oy) * v.out_w + ox)
					     * v.out_pad + from;

				for (int c = 0; ox >= 0 && c < out_group; c++)
					sum = fmaf(number(a[c]),
						   number(weight[weight_at(v, from + c, ky, kx,
									   ic % in_group)]), sum);
			}
		}
		dx[i] = rounded<T>::of(sum);
	}
}

extern "C" void conv_dx_start(cudaStream_t stream, const struct own_conv *v, const void *dy,
			      const void *w, void *dx)
{
	unsigned blocks = blocks_for((unsigned long long)v->n * v->in_h * v->in_w * v->in_pad);

	BY_TYPE(v->type, T, LAUNCH(conv_dx_kernel<T>, blocks, THREADS, stream, *v, (const T *)dy,
				   (const T *)w, (T *)dx));
}

/* A block a weight: its threads share the pixels. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
conv_dw_kernel(struct own_conv v, const T *x, const T *dy, T *dw)
{
	__shared__ float shared[THREADS];
	unsigned long long i = blockIdx.x, rest = i / v.w_in;
	int in_group = v.in_c / v.groups, out_group = v.out_c / v.groups;
	int ic = (int)(i % v.w_in), kx = (int)(rest % v.k[1]), ky, oc;
	unsigned long long pixels = (unsigned long long)v.n * v.out_h * v.out_w;
	float sum = 0;

	rest /= v.k[1];
	ky = (int)(rest % v.k[0]);
	oc = (int)(rest / v.k[0]);
	if (ic < in_group && oc < v.out_c)
		for (unsigned long long p = threadIdx.x; p < pixels; p += THREADS) {
			int ox = (int)(p % v.out_w), oy = (int)(p / v.out_w % v.out_h);
			unsigned long long n = p / v.out_w / v.out_h;
			int iy = oy * v.s[0] + ky * v.dilation[0] - v.before[0];
			int ix = ox * v.s[1] + kx * v.dilation[1] - v.before[1];

			if (iy < 0 || iy >= v.in_h || ix < 0 || ix >= v.in_w)
				continue;
			sum = fmaf(number(x[((n * v.in_h + iy) * v.in_w + ix) * v.in_pad
					    + oc / out_group * in_group + ic]),
				   number(dy[p * v.out_pad + oc]), sum);
		}
	shared[threadIdx.x] = sum;
	__syncthreads();
	for (int half = THREADS / 2; half > 0; half /= 2) {
		if ((int)threadIdx.x < half)
			shared[threadIdx.x] += shared[threadIdx.x + half];
		__syncthreads();
	}
	if (threadIdx.x == 0)
		dw[i] = rounded<T>::of(shared[0]);
}

extern "C" void conv_dw_start(cudaStream_t stream, const struct own_conv *v, const void *x,
			      const void *dy, void *dw)
{
	unsigned blocks = (unsigned)v->out_pad * v->k[0] * v->k[1] * v->w_in;

	BY_TYPE(v->type, T, MEET(conv_dw_kernel<T>, blocks, THREADS, stream, *v, (const T *)x,
				 (const T *)dy, (T *)dw));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
pack_kernel(struct filters f, const float *master, T *packed)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;
	unsigned long long all = (unsigned long long)f.out_pad * f.h * f.w * f.w_in;

	for (; i < all; i += (unsigned long long)gridDim.x * THREADS) {
		int in = (int)(i % f.w_in), x, y;
		unsigned long long rest = i / f.w_in, out;

		x = (int)(rest % f.w);
		rest /= f.w;
		y = (int)(rest % f.h);
		out = rest / f.h;
		packed[i] = rounded<T>::of(out < (unsigned)f.out && in < f.in_group ?
			master[((out * f.in_group + in) * f.h + y) * f.w + x] : 0);
	}
}

extern "C" void pack_start(cudaStream_t stream, struct filters f, const float *master, void *packed)
{
	unsigned blocks = blocks_for((unsigned long long)f.out_pad * f.h * f.w * f.w_in);

	BY_TYPE(f.type, T, LAUNCH(pack_kernel<T>, blocks, THREADS, stream, f, master, (T *)packed));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
unpack_kernel(struct filters f, const T *packed, float *gradient)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;
	unsigned long long all = (unsigned long long)f.out * f.in_group * f.h * f.w;

	for (; i < all; i += (unsigned long long)gridDim.x * THREADS) {
		int x = (int)(i % f.w), y, in;
		unsigned long long rest = i / f.w, out;

		y = (int)(rest % f.h);
		rest /= f.h;
		in = (int)(rest % f.in_group);
		out = rest / f.in_group;
		gradient[i] = number(packed[((out * f.h + y) * f.w + x) * f.w_in + in]);
	}
}

extern "C" void unpack_start(cudaStream_t stream, struct filters f, const void *packed,
			     float *gradient)
{
	unsigned blocks = blocks_for((unsigned long long)f.out * f.in_group * f.h * f.w);

	BY_TYPE(f.type, T, LAUNCH(unpack_kernel<T>, blocks, THREADS, stream, f, (const T *)packed,
				  gradient));
}
