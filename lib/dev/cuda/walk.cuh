/* What the kernels share: numbers in short types, the walk over a span, the joining of
 * a block's sums. */
#ifndef DEV_CUDA_WALK_CUH
#define DEV_CUDA_WALK_CUH

#include "dev/cuda/kernels.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

enum { GROUP = 8, THREADS = 256, TILE = 32, BLOCKS = 1056 };

/* struct control of program.h, whose headers are no C++; update.c checks that they agree. */
struct control_of {
	uint64_t seed, position, stride;
	int64_t step;
	double lr, count, loss_scale;
	int64_t good;
	int32_t skip, halt;
};

/* ---- numbers ---- */

__device__ inline float number(float x) { return x; }
__device__ inline float number(__half x) { return __half2float(x); }
__device__ inline float number(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T> struct rounded;
template <> struct rounded<float> {
	static __device__ float of(float x) { return x; }
};
template <> struct rounded<__half> {
	static __device__ __half of(float x) { return __float2half_rn(x); }
};
template <> struct rounded<__nv_bfloat16> {
	static __device__ __nv_bfloat16 of(float x) { return __float2bfloat16_rn(x); }
};

template <typename T> struct alignas(16) eight { T v[GROUP]; };

template <typename T> __device__ inline void load(const T *from, float x[GROUP])
{
	const eight<T> e = *reinterpret_cast<const eight<T> *>(from);

#pragma unroll
	for (int k = 0; k < GROUP; k++)
		x[k] = number(e.v[k]);
}

/* Channels from c on are padding. */
template <typename T> __device__ inline void store(T *to, const float x[GROUP], int first, int c)
{
	eight<T> e;

#pragma unroll
	for (int k = 0; k < GROUP; k++)
		e.v[k] = rounded<T>::of(first + k < c ? x[k] : 0.0f);
	*reinterpret_cast<eight<T> *>(to) = e;
}

/* ---- the walk ---- */

/* How a span is shared out: `tile` groups and `high` pixels at a time in a block;
 * blockIdx.y tells the tile, and blockIdx.x of `pieces` takes the pixels from
 * piece_rows * blockIdx.x on. */
struct walk {
	unsigned rows, piece_rows, pieces;
	int c, pad, groups, tile, tiles, high;
};

inline struct walk walk_of(struct span s)
{
	struct walk w;
	unsigned most;

	w.rows = s.rows;
	w.c = s.c;
	w.pad = s.pad;
	w.groups = s.pad / GROUP;
	w.tile = w.groups < TILE ? w.groups : TILE;
	w.tiles = (w.groups + w.tile - 1) / w.tile;
	w.high = THREADS / w.tile;
	most = (s.rows + 4 * w.high - 1) / (4 * w.high);
	w.pieces = BLOCKS / w.tiles > 0 ? BLOCKS / w.tiles : 1;
	if (w.pieces > most)
		w.pieces = most > 0 ? most : 1;
	w.piece_rows = (s.rows + w.pieces - 1) / w.pieces;
	/* no piece is empty */
	w.pieces = w.piece_rows > 0 ? (s.rows + w.piece_rows - 1) / w.piece_rows : 1;
	if (w.pieces == 0)
		w.pieces = 1;
	return w;
}

inline dim3 walk_grid(const struct walk &w)
{
	return dim3(w.pieces, w.tiles, 1);
}

/* A thread's place: its group (-1: it has no part) and its pixels. */
struct stride { int group, first; unsigned row, end, step; };

__device__ inline struct stride stride_of(const struct walk &w)
{
	struct stride s;
	int t = threadIdx.x, group = t % w.tile + (int)blockIdx.y * w.tile;

	s.group = t / w.tile < w.high && group < w.groups ? group : -1;
	s.first = group * GROUP;
	s.row = blockIdx.x * w.piece_rows + t / w.tile;
	s.end = (blockIdx.x + 1) * w.piece_rows;
	if (s.end > w.rows)
		s.end = w.rows;
	if (s.group < 0)
		s.row = s.end;
	s.step = w.high;
	return s;
}

__device__ inline size_t at_of(const struct walk &w, const struct stride &s)
{
	return (size_t)s.row * w.pad + s.first;
}

/* Coefficients of a group; a vector of c numbers may end inside it. */
__device__ inline void vector_load(const float *v, int first, int c, float otherwise,
				   float x[GROUP])
{
#pragma unroll
	for (int k = 0; k < GROUP; k++)
		x[k] = v && first + k < c ? v[first + k] : otherwise;
}

/* The sums of all threads of a block that have the same group, to the one with the
 * first pixel, in order; all threads of the block must come. */
__device__ inline void block_sum(const struct walk &w, float x[GROUP])
{
	__shared__ float part[THREADS][GROUP + 1];
	int t = threadIdx.x;

	for (int k = 0; k < GROUP; k++)
		part[t][k] = x[k];
	__syncthreads();
	if (t < w.tile)
		for (int k = 0; k < GROUP; k++) {
			double sum = x[k];

			for (int r = 1; r < w.high; r++)
				sum += part[t + r * w.tile][k];
			x[k] = (float)sum;
		}
	__syncthreads();
}

/* By the type of a span. */
#define BY_TYPE(type, T, start) \
	do { \
		if ((type) == DTYPE_F16) { \
			typedef __half T; \
			start; \
		} else if ((type) == DTYPE_BF16) { \
			typedef __nv_bfloat16 T; \
			start; \
		} else { \
			typedef float T; \
			start; \
		} \
	} while (0)

/* LAUNCH(kernel, grid, threads, stream, arguments): of kernels whose threads do not
 * meet; MEET of those that do (__syncthreads). A build for the host gives its own. */
#ifdef __CUDACC__
#define LAUNCH(kernel, grid, threads, stream, ...) \
	kernel<<<grid, threads, 0, stream>>>(__VA_ARGS__)
#define MEET LAUNCH
#endif

inline unsigned blocks_for(unsigned long long numbers)
{
	unsigned long long blocks = (numbers + THREADS - 1) / THREADS;

	return blocks < 1 ? 1 : blocks > 1u << 20 ? 1u << 20 : (unsigned)blocks;
}

#endif
