/*
 * Parts of the plug-in for CUDA by themselves, for tests.
 *
 *   cuda-host plans h200|h100   each plan of a few convolutions is written as cuDNN's text
 *                               and made again from it: "graph engine bytes: same", one a
 *                               line; 1 if one is not
 *   cuda-host find LIBRARY      where a library is found, or 1 and why it is not
 *   cuda-host nccl              NCCL's sum over the one device 0, which must be there
 */
#include "base/fail.h"
#include "dev/cuda/dnn.h"
#include "dev/cuda/find.h"
#include "dev/cuda/vendor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANS = 8, SIDE = 14, CHANNELS = 128, SUMMED = 1000 };

static struct dnn_graph graph_of(enum dnn_kind kind, unsigned fuse, int groups)
{
	return (struct dnn_graph){
		.kind = kind, .fuse = fuse, .type = DTYPE_F16, .n = 32, .in_h = SIDE,
		.in_w = SIDE, .in_c = CHANNELS, .out_h = SIDE, .out_w = SIDE, .out_c = CHANNELS,
		.groups = groups,
		.window = { { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } } };
}

/* In a library of its own, as another start would. */
static int made_again(const char *device, const struct dnn_graph *g, const char *how,
		      size_t work, const char *text)
{
	struct dnn *d = dnn_open(dnn_properties(device), NULL);
	const struct dnn_plan *p = d ? dnn_plan_read(d, g, how, text) : NULL;
	int same = p && !strcmp(dnn_plan_how(p), how) && dnn_plan_work(p) == work &&
		   dnn_plan(d, g, how) == p;

	dnn_close(d);
	return same;
}

static int try_graph(const char *device, const char *name, const struct dnn_graph *g)
{
	struct dnn *d = dnn_open(dnn_properties(device), NULL);
	const struct dnn_plan *plan[PLANS];
	int n = d ? dnn_plans(d, g, plan, PLANS) : -1, good = n > 0;

	for (int i = 0; i < n; i++) {
		char *text = dnn_plan_text(d, plan[i]);
		int same = text && made_again(device, g, dnn_plan_how(plan[i]),
					      dnn_plan_work(plan[i]), text);

		printf("%-10s %-24s %8zu bytes: %s\n", name, dnn_plan_how(plan[i]),
		       text ? strlen(text) : 0, same ? "same" : fail_why());
		good &= same;
		free(text);
	}
	if (n < 1)
		printf("%-10s %s\n", name, fail_why());
	dnn_close(d);
	return good;
}

static int plans(const char *device)
{
	const struct { const char *name; struct dnn_graph graph; } tries[] = {
		{ "forward", graph_of(DNN_FORWARD, 0, 1) },
		{ "dx", graph_of(DNN_DX, 0, 1) },
		{ "dw", graph_of(DNN_DW, 0, 1) },
		{ "depthwise", graph_of(DNN_FORWARD, 0, CHANNELS) },
		{ "stats", graph_of(DNN_FORWARD, DNN_STATS, 1) },
		{ "prologue", graph_of(DNN_FORWARD, DNN_PROLOGUE | DNN_STATS, 1) },
	};
	int good = 1;

	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
		good &= try_graph(device, tries[i].name, &tries[i].graph);
	return !good;
}

static int find(const char *name)
{
	void *handle = library_open(name, "a library", "");

	printf("%s\n", handle ? library_path(handle) : fail_why());
	return !handle;
}

/* Sums of one rank are what it gave: 0, or -1. */
static int nccl_sum(const struct vendor_nccl *v, float *device, cudaStream_t stream)
{
	float number[SUMMED], sum[SUMMED];
	ncclUniqueId id;
	ncclComm_t comm;
	int same;

	for (int i = 0; i < SUMMED; i++)
		number[i] = (float)i / 7;
	if (v->unique_id(&id) != ncclSuccess || v->init_rank(&comm, 1, id, 0) != ncclSuccess)
		return fail("NCCL: no communicator");
	TRY(cuda_check(cudaMemcpy(device, number, sizeof number, cudaMemcpyHostToDevice), "copy"));
	if (v->all_reduce(device, device, SUMMED, ncclFloat32, ncclSum, comm, stream)
	    != ncclSuccess)
		return fail("NCCL: sum");
	TRY(cuda_check(cudaStreamSynchronize(stream), "sum"));
	TRY(cuda_check(cudaMemcpy(sum, device, sizeof sum, cudaMemcpyDeviceToHost), "copy"));
	same = !memcmp(number, sum, sizeof sum);
	v->destroy(comm);
	return same ? 0 : fail("NCCL: other numbers than were given");
}

static int nccl(void)
{
	const struct vendor_nccl *v = vendor_nccl();
	cudaStream_t stream = NULL;
	float *device = NULL;
	int status = v ? cuda_check(cudaSetDevice(0), "device") : -1;

	if (!status)
		status = cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
				    "stream");
	if (!status)
		status = cuda_check(cudaMalloc((void **)&device, SUMMED * sizeof *device),
				    "memory");
	if (!status)
		status = nccl_sum(v, device, stream);
	if (status)
		printf("%s\n", fail_why());
	cudaFree(device);
	return status ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "nccl"))
		return nccl();
	if (argc == 3 && !strcmp(argv[1], "plans") && dnn_properties(argv[2]))
		return plans(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "find"))
		return find(argv[2]);
	fprintf(stderr, "usage: cuda-host plans h200|h100, cuda-host find LIBRARY, cuda-host nccl\n");
	return 2;
}
