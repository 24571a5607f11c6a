#include "dev/cuda/vendor.h"

#include "base/fail.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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

static void *open_in(const char *folder, const char *name)
{
	char path[PATH_MAX];

	if (!*folder || (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
		return NULL;
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void *library(const char *name, const char *words)
{
	const char *given = getenv("MILLRACE_CUDA_LIBS");
	void *handle = given ? open_in(given, name) : NULL;
	char why[FAIL_MAX / 2];

	if (!handle)
		handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (handle)
		return handle;
	snprintf(why, sizeof why, "%s", dlerror());
	handle = open_in(CUDA_LIBS, name);
	if (!handle)
		fail("cuda: %s: %s (MILLRACE_CUDA_LIBS may name the folder that holds it)",
		     words, why);
	return handle;
}

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

/* Fills a table once; *state: whether it is. */
static const void *table_of(int *state, const char *name, const char *words,
			    const struct symbol *s, void *table)
{
	pthread_mutex_lock(&lock);
	if (!*state) {
		void *handle = library(name, words);

		*state = handle && !symbols_find(handle, s, table);
	}
	pthread_mutex_unlock(&lock);
	return *state ? table : NULL;
}

const struct vendor_dnn *vendor_dnn(void)
{
	static struct vendor_dnn table;
	static int state;

	return table_of(&state, "libcudnn.so.9", "cuDNN 9", dnn_symbols, &table);
}

const struct vendor_nccl *vendor_nccl(void)
{
	static struct vendor_nccl table;
	static int state;

	return table_of(&state, "libnccl.so.2", "NCCL 2", nccl_symbols, &table);
}

int cuda_check(cudaError_t status, const char *what)
{
	if (status == cudaSuccess)
		return 0;
	cudaGetLastError();     /* what is not fatal is not said again */
	return fail("cuda: %s: %s", what, cudaGetErrorString(status));
}
