#include "dev/cuda/engine.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "dev/cuda/cuda.h"
#include "dev/cuda/vendor.h"

#include <stdlib.h>
#include <time.h>

enum { CANDIDATES = 16, SAMPLES = 5, REPEATS = 10 };
static const double most_seconds = 60;          /* of timing in one process, a device */
static const float hopeless = 3;                /* times the best: not timed on */

/* What is timed: a graph's operands in memory taken for it. */
struct bench {
	struct device *dev;
	const struct dnn_graph *graph;
	engine_own *own;
	const void *arg;
	void *memory, *operand[DNN_OPERANDS], *work;
	cudaEvent_t event[2];
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- memory ---- */

size_t engine_operand(const struct dnn_graph *g, enum dnn_operand k)
{
	size_t one = dtype_bytes(g->type), n = (size_t)g->n;
	size_t x = n * (size_t)g->in_h * (size_t)g->in_w * (size_t)g->in_c * one;
	size_t y = n * (size_t)g->out_h * (size_t)g->out_w * (size_t)g->out_c * one;

	switch (k) {
	case DNN_X:
		return x;
	case DNN_Y:
		return y;
	case DNN_W:
		return (size_t)g->out_c * (size_t)g->window.k[0] * (size_t)g->window.k[1] *
		       (size_t)(g->in_c / g->groups) * one;
	case DNN_A:
	case DNN_B:
		return g->fuse & DNN_PROLOGUE ? (size_t)g->in_c * one : 0;
	case DNN_Z:
	case DNN_T:
		return g->fuse & DNN_SKIP ? x : 0;
	case DNN_SUM:
	case DNN_SQUARE:
		return g->fuse & DNN_STATS ? (size_t)g->out_c * sizeof(float) : 0;
	case DNN_PLUS_B:
		return g->fuse & DNN_PLUS ? (size_t)g->out_c * sizeof(float) : 0;
	case DNN_ADD_Y:
		return g->fuse & DNN_ADD ? y : 0;
	case DNN_BN_X:
		return g->fuse & DNN_RELU_SUMS ? x : 0;
	default:
		return g->fuse & DNN_RELU_SUMS ? (size_t)g->in_c * sizeof(float) : 0;
	}
}

/* Numbers of little meaning, but not zeros: those cost less power, and so time. */
static int bench_memory(struct bench *b, size_t work)
{
	size_t at[DNN_OPERANDS], sum = 0;

	for (int k = 0; k < DNN_OPERANDS; k++) {
		at[k] = sum;
		sum += round_up(engine_operand(b->graph, (enum dnn_operand)k), 256);
	}
	TRY(cuda_check(cudaMalloc(&b->memory, sum + work), "memory for timing"));
	TRY(cuda_check(cudaMemset(b->memory, 0x2c, sum + work), "memory for timing"));
	for (int k = 0; k < DNN_OPERANDS; k++)
		if (engine_operand(b->graph, (enum dnn_operand)k))
			b->operand[k] = (char *)b->memory + at[k];
	b->work = work ? (char *)b->memory + sum : NULL;
	for (int k = 0; k < 2; k++)
		TRY(cuda_check(cudaEventCreate(&b->event[k]), "event"));
	return cuda_check(cudaDeviceSynchronize(), "memory for timing");
}

static void bench_release(struct bench *b)
{
	for (int k = 0; k < 2; k++)
		if (b->event[k])
			cudaEventDestroy(b->event[k]);
	cudaFree(b->memory);
}

/* ---- timing ---- */

/* plan NULL: own kernels. */
static int start(const struct bench *b, const struct dnn_plan *plan)
{
	if (plan)
		return dnn_run(b->dev->dnn, plan, b->operand, b->work);
	b->own(b->dev, b->arg, b->operand);
	return cuda_check(cudaGetLastError(), "kernel");
}

/* As often as that in one recording: how steps run it later. An engine that cannot be
 * recorded is none. */
static int record(const struct bench *b, const struct dnn_plan *plan, int times,
		  cudaGraphExec_t *exec)
{
	cudaGraph_t graph = NULL;
	int status = 0;

	TRY(cuda_check(cudaStreamBeginCapture(b->dev->stream, cudaStreamCaptureModeThreadLocal),
		       "recording"));
	for (int k = 0; k < times && !status; k++)
		status = start(b, plan);
	if (cudaStreamEndCapture(b->dev->stream, &graph) != cudaSuccess && !status)
		status = cuda_check(cudaErrorStreamCaptureInvalidated, "recording");
	if (!status)
		status = cuda_check(cudaGraphInstantiate(exec, graph, 0), "recording");
	if (graph)
		cudaGraphDestroy(graph);
	cudaGetLastError();
	return status;
}

/* Milliseconds of one launch, or of one plain start where exec is NULL; < 0: failed. */
static float measure(const struct bench *b, const struct dnn_plan *plan, cudaGraphExec_t exec)
{
	cudaStream_t stream = b->dev->stream;
	float ms = -1;

	if (cudaEventRecord(b->event[0], stream) == cudaSuccess &&
	    (exec ? cudaGraphLaunch(exec, stream) == cudaSuccess : !start(b, plan)) &&
	    cudaEventRecord(b->event[1], stream) == cudaSuccess &&
	    cudaStreamSynchronize(stream) == cudaSuccess &&
	    cudaEventElapsedTime(&ms, b->event[0], b->event[1]) == cudaSuccess)
		return ms;
	cudaGetLastError();
	return -1;
}

static int by_time(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Milliseconds of one run; < 0: it does not run, or is hopelessly slow. */
static float candidate_time(const struct bench *b, const struct dnn_plan *plan, float best)
{
	float ms[SAMPLES], once;
	cudaGraphExec_t exec = NULL;
	int times, k;

	/* the first time libraries load what they need */
	if (measure(b, plan, NULL) < 0)
		return -1;
	once = measure(b, plan, NULL);
	if (once < 0 || (best >= 0 && once > hopeless * best && once > 0.1F))
		return -1;
	times = once < 1 ? REPEATS : 1;
	if (record(b, plan, times, &exec))
		return -1;
	measure(b, plan, exec);
	for (k = 0; k < SAMPLES; k++) {
		ms[k] = measure(b, plan, exec);
		if (ms[k] < 0)
			break;
	}
	cudaGraphExecDestroy(exec);
	if (k < SAMPLES)
		return -1;
	qsort(ms, SAMPLES, sizeof *ms, by_time);
	return ms[SAMPLES / 2] / (float)times;
}

/* Configurations that cuDNN offers twice count once: their number. */
static int plans_get(struct device *dev, const struct dnn_graph *g, const struct dnn_plan **plan)
{
	int n = dnn_plans(dev->dnn, g, plan, CANDIDATES), kept = 0;

	for (int i = 0; i < n; i++) {
		int twice = 0;

		for (int k = 0; k < kept && !twice; k++)
			twice = !strcmp(dnn_plan_how(plan[k]), dnn_plan_how(plan[i]));
		if (twice)
			dnn_plan_drop(dev->dnn, plan[i]);
		else
			plan[kept++] = plan[i];
	}
	return kept;
}

/* The fastest: its number, n for own kernels, -1 where nothing ran. */
static int fastest(const struct bench *b, const struct dnn_plan *const *plan, int n)
{
	float best = -1;
	int which = -1;

	for (int i = 0; i < n + (b->own != NULL); i++) {
		float ms = candidate_time(b, i < n ? plan[i] : NULL, best);

		if (ms >= 0 && (best < 0 || ms < best)) {
			best = ms;
			which = i;
		}
	}
	return which;
}

/* Keeps one of the plans: what is not kept goes away. */
static void choose(struct bench *b, const struct dnn_plan **plan, int n, int which,
		   const struct dnn_plan **chosen)
{
	struct device *dev = b->dev;

	*chosen = which < n ? plan[which] : NULL;
	for (int i = 0; i < n; i++)
		if (i != which)
			dnn_plan_drop(dev->dnn, plan[i]);
	/* a plan that has no text is made by its name */
	cache_add(&dev->cache, b->graph, *chosen ? dnn_plan_how(*chosen) : "own",
		  *chosen ? dnn_plan_text(dev->dnn, *chosen) : NULL);
	dev->timing.chosen++;
}

/* 1: chosen; 0: timing is not possible now, or no more. */
static int by_timing(struct bench *b, const struct dnn_plan **chosen)
{
	const struct dnn_plan *plan[CANDIDATES];
	double began = now();
	size_t work = 0;
	int n, which = -1;

	if (b->dev->timing.seconds > most_seconds) {
		b->dev->timing.left++;
		return 0;
	}
	n = plans_get(b->dev, b->graph, plan);
	for (int i = 0; i < n; i++)
		if (dnn_plan_work(plan[i]) > work)
			work = dnn_plan_work(plan[i]);
	if (n + (b->own != NULL) > 1) {
		if (bench_memory(b, work))
			b->dev->timing.left++;
		else
			which = fastest(b, plan, n);
		bench_release(b);
	} else if (n) {
		which = 0;
	}
	if (which >= 0)
		choose(b, plan, n, which, chosen);
	b->dev->timing.seconds += now() - began;
	return which >= 0;
}

/* What was chosen before, by name: 1, 0 where that is not to be had. */
static int by_name(struct device *dev, const struct dnn_graph *g, const char *how,
		   const struct dnn_plan **plan)
{
	const struct choice *c = cache_find(&dev->cache, g);

	*plan = NULL;
	if (!strcmp(how, "own"))
		return 1;
	if (c && c->plan && !strcmp(c->how, how))
		*plan = dnn_plan_read(dev->dnn, g, how, c->plan);
	if (!*plan)
		*plan = dnn_plan(dev->dnn, g, how);
	return *plan != NULL;
}

int engine_choose(struct device *dev, const struct dnn_graph *g, const char *how, engine_own *own,
		  const void *arg, const struct dnn_plan **plan)
{
	struct bench b = { .dev = dev, .graph = g, .own = own, .arg = arg };
	const struct choice *c;

	if (*how)
		return by_name(dev, g, how, plan) ? 0 : -1;
	if (dev->ordinal >= 0) {
		c = cache_find(&dev->cache, g);
		if ((c && by_name(dev, g, c->how, plan)) || by_timing(&b, plan))
			return 0;
	}
	*plan = dnn_plan(dev->dnn, g, "");
	return 0;
}

int engine_there(struct device *dev, const struct dnn_graph *g)
{
	return cache_find(&dev->cache, g) || dnn_plan(dev->dnn, g, "");
}

/* ---- words ---- */

void engine_settle(struct device *dev)
{
	struct timing *t = &dev->timing;

	if (t->chosen)
		text_add(&dev->notes, "cuda: %d engines were chosen by timing, in %.1f s\n",
			 t->chosen, t->seconds);
	if (t->left)
		text_add(&dev->notes, "cuda: %d engines were not timed, for want of time or "
			 "memory: cuDNN's choice is taken, another start goes on\n", t->left);
	if (cache_save(&dev->cache))
		text_add(&dev->notes, "cuda: %s\n", fail_why());
	t->chosen = t->left = 0;
}
