/*
 * The CUDA backend without a GPU: its kernels compiled for the host, run by loops, so
 * that tests and sanitizers see every index of theirs. Included before kernels.cu.
 *
 * Threads of a block run one after the other; where they meet (MEET, __syncthreads()),
 * each has a stack of its own and they take turns. What a stream is given runs when it is
 * waited for, or is kept while it records.
 */
#ifndef TESTS_CUDA_EMULATE_H
#define TESTS_CUDA_EMULATE_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <functional>

#undef __global__
#undef __device__
#undef __shared__
#undef __launch_bounds__
#define __global__ static
#define __device__
#define __shared__ static thread_local
#define __launch_bounds__(threads)

extern thread_local uint3 threadIdx, blockIdx;
extern thread_local dim3 gridDim;

void __syncthreads();

/* Work for the thread's device, or for the graph that the thread records. */
void emulate_do(std::function<void()> work);
/* Milliseconds on the thread's clock, which events read: a kernel takes 1.5, an
 * engine of cuDNN what it says itself. */
extern thread_local double emulate_clock;

/* All threads of a grid. */
void emulate_grid(dim3 grid, int threads, bool meet, const std::function<void()> &thread);

/* Arguments are copied when the kernel is started, as they are on a device. */
template <typename Kernel, typename... Arguments>
void emulate_start(dim3 grid, int threads, bool meet, Kernel kernel, Arguments... arguments)
{
	emulate_do([=] {
		emulate_grid(grid, threads, meet, [&] { kernel(arguments...); });
	});
}

#define LAUNCH(kernel, grid, threads, stream, ...) \
	((void)(stream), emulate_start(grid, threads, false, kernel, __VA_ARGS__))
#define MEET(kernel, grid, threads, stream, ...) \
	((void)(stream), emulate_start(grid, threads, true, kernel, __VA_ARGS__))

#endif
