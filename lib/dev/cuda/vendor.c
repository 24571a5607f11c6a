#include "dev/cuda/vendor.h"

#include "base/fail.h"
#include "dev/cuda/find.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Where the plug-in was built: the Makefile says. */
#ifndef CUDA_LIBS
#define CUDA_LIBS ""
#endif

struct symbol { const char *name; size_t at; };

static const struct symbol dnn_symbols[] = {
	{ "cudnnGetVersion", offsetof(struct vendor_dnn, version) },
	{ "cudnnGetErrorString", offsetof(struct vendor_dnn, error) },
	{ "cudnnGetLastErrorString", offsetof(struct vendor_dnn, last_error) },
	{ "cudnnCreate", offsetof(struct vendor_dnn, create) },
	{ "cudnnDestroy", offsetof(struct vendor_dnn, destroy) },
	{ "cudnnSetStream", offsetof(struct vendor_dnn, set_stream) },
	{ "cudnnBackendCreateDescriptor", offsetof(struct vendor_dnn, make) },
	{ "cudnnBackendDestroyDescriptor", offsetof(struct vendor_dnn, unmake) },
	{ "cudnnBackendSetAttribute", offsetof(struct vendor_dnn, set) },
	{ "cudnnBackendGetAttribute", offsetof(struct vendor_dnn, get) },
	{ "cudnnBackendFinalize", offsetof(struct vendor_dnn, finalize) },
	{ "cudnnBackendExecute", offsetof(struct vendor_dnn, execute) },
	{ NULL, 0 }
};

static const struct symbol nccl_symbols[] = {
	{ "ncclGetVersion", offsetof(struct vendor_nccl, version) },
	{ "ncclGetErrorString", offsetof(struct vendor_nccl, error) },
	{ "ncclGetUniqueId", offsetof(struct vendor_nccl, unique_id) },
	{ "ncclGroupStart", offsetof(struct vendor_nccl, group_start) },
	{ "ncclGroupEnd", offsetof(struct vendor_nccl, group_end) },
	{ "ncclCommInitRank", offsetof(struct vendor_nccl, init_rank) },
	{ "ncclCommDestroy", offsetof(struct vendor_nccl, destroy) },
	{ "ncclCommAbort", offsetof(struct vendor_nccl, abort) },
	{ "ncclAllReduce", offsetof(struct vendor_nccl, all_reduce) },
	{ "ncclAllGather", offsetof(struct vendor_nccl, all_gather) },
	{ NULL, 0 }
};

static int symbols_find(void *handle, const struct symbol *s, void *table)
{
	for (; s->name; s++) {
		void *at = dlsym(handle, s->name);

		if (!at)
			return fail("cuda: %s: it is too old a library", dlerror());
		memcpy((char *)table + s->at, &at, sizeof at);
	}
	return 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Fills a table once; *open: the library, when it is. */
static const void *table_of(void **open, const char *name, const char *words,
			    const struct symbol *s, void *table)
{
	pthread_mutex_lock(&lock);
	if (!*open) {
		void *handle = library_open(name, words, CUDA_LIBS);

		if (handle && !symbols_find(handle, s, table))
			*open = handle;
	}
	pthread_mutex_unlock(&lock);
	return *open ? table : NULL;
}

static void *dnn;       /* the library, under lock */

const struct vendor_dnn *vendor_dnn(void)
{
	static struct vendor_dnn table;

	return table_of(&dnn, "libcudnn.so.9", "cuDNN 9", dnn_symbols, &table);
}

const struct vendor_nccl *vendor_nccl(void)
{
	static struct vendor_nccl table;
	static void *nccl;

	return table_of(&nccl, "libnccl.so.2", "NCCL 2", nccl_symbols, &table);
}

const char *vendor_dnn_path(void)
{
	const char *path;

	pthread_mutex_lock(&lock);
	path = library_path(dnn);
	pthread_mutex_unlock(&lock);
	return path;
}

int cuda_check(cudaError_t status, const char *what)
{
	if (status == cudaSuccess)
		return 0;
	cudaGetLastError();     /* what is not fatal is not said again */
	return fail("cuda: %s: %s", what, cudaGetErrorString(status));
}
