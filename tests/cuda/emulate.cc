/* What emulate.h promises, and as much of the CUDA runtime and NCCL as the backend uses:
 * memory is the host's, two devices are there. */
#include "emulate.h"

/* the C++ side of the runtime would bring its own names of threads */
#define __CUDA_RUNTIME_H__
#include <cudnn.h>
#include <nccl.h>
extern "C" {
#include "dev/cuda/vendor.h"
}

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <deque>
#include <vector>

thread_local uint3 threadIdx, blockIdx;
thread_local dim3 gridDim;
thread_local double emulate_clock;

/* ---- threads that meet ---- */

enum { MOST = 1024, STACK = 128 << 10 };

struct fiber { ucontext_t context; char *stack; int done; };

static thread_local struct fiber *fiber;
static thread_local ucontext_t scheduler;
static thread_local int current = -1;
static thread_local const std::function<void()> *body;

static void fiber_main()
{
	(*body)();
	fiber[current].done = 1;
	swapcontext(&fiber[current].context, &scheduler);
}

void __syncthreads()
{
	if (current < 0)
		abort();        /* of a kernel that was started by LAUNCH */
	swapcontext(&fiber[current].context, &scheduler);
}

static void fibers_begin(int threads)
{
	if (!fiber)
		fiber = (struct fiber *)calloc(MOST, sizeof *fiber);
	for (int t = 0; t < threads; t++) {
		struct fiber *f = &fiber[t];

		if (!f->stack)
			f->stack = (char *)malloc(STACK);
		getcontext(&f->context);
		f->context.uc_stack.ss_sp = f->stack;
		f->context.uc_stack.ss_size = STACK;
		f->context.uc_link = NULL;
		f->done = 0;
		makecontext(&f->context, fiber_main, 0);
	}
}

/* All threads run to their next meeting, again and again. */
static void block_meeting(int threads, const std::function<void()> &thread)
{
	int left = threads;

	fibers_begin(threads);
	body = &thread;
	while (left > 0) {
		int ended = 0;

		for (current = 0; current < threads; current++) {
			if (fiber[current].done)
				continue;
			threadIdx.x = (unsigned)current;
			swapcontext(&scheduler, &fiber[current].context);
			ended += fiber[current].done;
		}
		left -= ended;
	}
	current = -1;
}

void emulate_grid(dim3 grid, int threads, bool meet, const std::function<void()> &thread)
{
	gridDim = grid;
	emulate_clock += 1.5;
	for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
		for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
			if (meet) {
				block_meeting(threads, thread);
				continue;
			}
			for (threadIdx.x = 0; threadIdx.x < (unsigned)threads; threadIdx.x++)
				thread();
		}
}

/* ---- streams and graphs ---- */

typedef std::vector<std::function<void()>> work_list;

static thread_local work_list *recorded;

/* What a thread's device has to do yet, of all streams, in order; it is done no sooner than
 * somebody waits for it, so that who does not wait sees old numbers. */
static thread_local std::deque<std::function<void()>> waiting;
static thread_local long given, done;

struct CUevent_st { double clock; long at; };   /* at: the works given before */

void emulate_do(std::function<void()> work)
{
	if (recorded) {
		recorded->push_back(work);
		return;
	}
	waiting.push_back(work);
	given++;
}

static cudaError_t work_until(long at)
{
	while (done < at) {
		std::function<void()> work = waiting.front();

		waiting.pop_front();
		work();
		done++;
	}
	return cudaSuccess;
}

static cudaError_t work_all() { return work_until(given); }

static void *room(size_t bytes)
{
	/* exactly as much as was asked for, so that sanitizers see what lies beyond */
	return aligned_alloc(256, (bytes + 255) / 256 * 256);
}

extern "C" {

cudaError_t cudaGetDeviceCount(int *count) { *count = 2; return cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetLastError(void) { return cudaSuccess; }
const char *cudaGetErrorString(cudaError_t) { return "emulated"; }
cudaError_t cudaRuntimeGetVersion(int *version) { *version = 13000; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int *version) { *version = 13000; return cudaSuccess; }
cudaError_t cudaDeviceSynchronize(void) { return work_all(); }

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *about, int)
{
	memset(about, 0, sizeof *about);
	strcpy(about->name, "emulated");
	about->major = 9;
	return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *all)
{
	*available = *all = (size_t)8 << 30;
	return cudaSuccess;
}

cudaError_t cudaMalloc(void **at, size_t bytes)
{
	*at = room(bytes);
	return *at ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void *at) { work_all(); free(at); return cudaSuccess; }
cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned) { return cudaMalloc(at, bytes); }
cudaError_t cudaFreeHost(void *at) { return cudaFree(at); }

cudaError_t cudaMemset(void *at, int byte, size_t bytes)
{
	memset(at, byte, bytes);
	return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind)
{
	memcpy(to, from, bytes);
	return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind,
			    cudaStream_t)
{
	emulate_do([=] { memcpy(to, from, bytes); });
	return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
	*stream = (cudaStream_t)malloc(1);
	return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) { free(stream); return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return work_all(); }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
	*e = (cudaEvent_t)calloc(1, sizeof **e);
	return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) { return cudaEventCreate(e); }
cudaError_t cudaEventDestroy(cudaEvent_t e) { work_all(); free(e); return cudaSuccess; }

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t)
{
	emulate_do([=] { e->clock = emulate_clock; });
	e->at = given;
	return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e) { return work_until(e->at); }

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
	*ms = (float)(to->clock - from->clock);
	return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, enum cudaStreamCaptureMode)
{
	recorded = new work_list;
	return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph)
{
	*graph = (cudaGraph_t)recorded;
	recorded = NULL;
	return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
	*exec = (cudaGraphExec_t) new work_list(*(work_list *)graph);
	return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) { delete (work_list *)graph; return cudaSuccess; }

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	work_all();
	delete (work_list *)exec;
	return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t)
{
	emulate_do([=] {
		for (auto &work : *(work_list *)exec)
			work();
	});
	return cudaSuccess;
}

}

/* ---- NCCL: devices of one process or several meet in shared memory ---- */

enum { PIECE = 1 << 16 };       /* numbers of a device there at once */

struct group { int ready, joined; pthread_barrier_t barrier; float slot[]; };
struct ncclComm { struct group *group; int rank, count; size_t bytes; };

static ncclResult_t nccl_unique_id(ncclUniqueId *id)
{
	snprintf(id->internal, sizeof id->internal, "/millrace-emulated-%d-%ld", (int)getpid(),
		 random());
	return ncclSuccess;
}

static void group_make(struct group *g, int count)
{
	pthread_barrierattr_t attr;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&g->barrier, &attr, (unsigned)count);
	pthread_barrierattr_destroy(&attr);
	__atomic_store_n(&g->ready, 1, __ATOMIC_SEQ_CST);
}

static ncclResult_t nccl_init_rank(ncclComm_t *comm, int count, ncclUniqueId id, int rank)
{
	size_t bytes = sizeof(struct group) + (size_t)count * PIECE * sizeof(float);
	int fd = shm_open(id.internal, O_RDWR | O_CREAT | O_EXCL, 0600), first = fd >= 0;
	struct group *g;

	if (!first)
		fd = shm_open(id.internal, O_RDWR, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)bytes))      /* the same size for all */
		return ncclSystemError;
	g = (struct group *)mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (g == MAP_FAILED)
		return ncclSystemError;
	if (first)
		group_make(g, count);
	while (!__atomic_load_n(&g->ready, __ATOMIC_SEQ_CST))
		usleep(1000);
	if (__atomic_add_fetch(&g->joined, 1, __ATOMIC_SEQ_CST) == count)
		shm_unlink(id.internal);
	*comm = new ncclComm{ g, rank, count, bytes };
	return ncclSuccess;
}

static ncclResult_t nccl_group(void) { return ncclSuccess; }

static ncclResult_t nccl_abort(ncclComm_t comm)
{
	munmap(comm->group, comm->bytes);
	delete comm;
	return ncclSuccess;
}

/* Runs `all` on every piece when the numbers of all devices stand in the slots. */
template <typename T, typename F>
static void meet(ncclComm_t comm, const T *from, size_t n, F all)
{
	struct group *g = comm->group;
	T *slot = (T *)g->slot;

	for (size_t at = 0; at < n; at += PIECE) {
		size_t now = n - at < PIECE ? n - at : PIECE;

		memcpy(slot + (size_t)comm->rank * PIECE, from + at, now * sizeof(T));
		pthread_barrier_wait(&g->barrier);
		all(slot, at, now);
		pthread_barrier_wait(&g->barrier);
	}
}

template <typename T>
static void reduce(ncclComm_t comm, const T *from, T *to, size_t n, bool largest)
{
	meet(comm, from, n, [=](const T *slot, size_t at, size_t now) {
		for (size_t i = 0; i < now; i++) {
			T sum = slot[i];

			for (size_t k = 1; k < (size_t)comm->count; k++) {
				T x = slot[k * PIECE + i];

				sum = !largest ? sum + x : x > sum ? x : sum;
			}
			to[at + i] = sum;
		}
	});
}

static ncclResult_t nccl_all_reduce(const void *from, void *to, size_t n, ncclDataType_t type,
				    ncclRedOp_t op, ncclComm_t comm, cudaStream_t)
{
	emulate_do([=] {
		if (type == ncclFloat32)
			reduce(comm, (const float *)from, (float *)to, n, op == ncclMax);
		else
			reduce(comm, (const int *)from, (int *)to, n, op == ncclMax);
	});
	return ncclSuccess;
}

static ncclResult_t nccl_all_gather(const void *from, void *to, size_t n, ncclDataType_t,
				    ncclComm_t comm, cudaStream_t)
{
	emulate_do([=] {
		meet(comm, (const float *)from, n, [=](const float *slot, size_t at, size_t now) {
			for (size_t k = 0; k < (size_t)comm->count; k++)
				memcpy((float *)to + k * n + at, slot + k * PIECE,
				       now * sizeof(float));
		});
	});
	return ncclSuccess;
}

static const char *nccl_error(ncclResult_t) { return "emulated"; }
static ncclResult_t nccl_version(int *version) { *version = 0; return ncclSuccess; }

extern "C" const struct vendor_nccl *vendor_nccl(void)
{
	static const struct vendor_nccl table = {
		nccl_version, nccl_error, nccl_unique_id, nccl_group, nccl_group, nccl_init_rank,
		nccl_abort, nccl_abort, nccl_all_reduce, nccl_all_gather
	};

	return &table;
}

extern "C" const char *vendor_dnn_path(void) { return "emulated"; }

extern "C" int cuda_check(cudaError_t status, const char *)
{
	return status == cudaSuccess ? 0 : -1;
}
