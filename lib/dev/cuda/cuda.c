#include "dev/cuda/cuda.h"

#include "base/fail.h"
#include "dev/cuda/vendor.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- open, close ---- */

static const struct precision { const char *name; enum dtype type; int exact; } precisions[] = {
	{ "fp16", DTYPE_F16, 0 },
	{ "bf16", DTYPE_BF16, 0 },
	{ "tf32", DTYPE_F32, 0 },
	{ "fp32", DTYPE_F32, 1 },
};

static const struct precision *precision_find(const char *name)
{
	for (size_t k = 0; k < sizeof precisions / sizeof *precisions; k++)
		if (!strcmp(precisions[k].name, name))
			return &precisions[k];
	return NULL;
}

/* "0", "bf16", "0:bf16", "h200:bf16". */
struct asked { int ordinal; const char *properties, *model; const struct precision *precision; };

static int asked_read(struct asked *a, const char *which)
{
	char word[2][16] = { "", "" }, *end;
	size_t n = strcspn(which, ":");

	*a = (struct asked){ 0, NULL, NULL, &precisions[0] };
	if (!precision_find(which) && n < sizeof word[0] && strlen(which) < n + sizeof word[1]) {
		memcpy(word[0], which, n);
		if (which[n])
			strcpy(word[1], which + n + 1);
	} else if (strlen(which) < sizeof word[1]) {
		strcpy(word[1], which);
	}
	if (*word[1] || which[n])
		a->precision = precision_find(word[1]);
	a->properties = dnn_properties(word[0]);
	if (a->properties) {
		a->ordinal = -1;
		a->model = !strcmp(word[0], "h100") ? "h100" : "h200";
	} else if (*word[0]) {
		a->ordinal = (int)strtol(word[0], &end, 10);
		if (*end || a->ordinal < 0)
			a->precision = NULL;
	}
	if (!a->precision)
		return fail("cuda:%s: not a device (as cuda:0, cuda:0:bf16; fp16, bf16, tf32, "
			    "fp32)", which);
	return 0;
}

static int device_look(struct device *dev, const struct asked *a)
{
	dev->dnn = dnn_open(a->properties, NULL);
	if (!dev->dnn)
		return -1;
	snprintf(dev->words, sizeof dev->words, "cuda: %s (to look at), %s, %s", a->model,
		 a->precision->name, dnn_library(dev->dnn));
	return 0;
}

/* Engines that were timed on such a device with such libraries. */
static void cache_take(struct device *dev, const char *name, int runtime)
{
	char what[320];
	int driver = 0;

	cudaDriverGetVersion(&driver);
	snprintf(what, sizeof what, "%s, %s, CUDA %d.%d, driver %d.%d", name,
		 dnn_library(dev->dnn), runtime / 1000, runtime / 10 % 100, driver / 1000,
		 driver / 10 % 100);
	if (cache_open(&dev->cache, what))
		text_add(&dev->notes, "cuda: %s\n", fail_why());
}

static int device_take(struct device *dev, const struct asked *a)
{
	struct cudaDeviceProp about;
	cudaError_t status;
	int count = 0, runtime = 0;

	status = cudaGetDeviceCount(&count);
	if (status != cudaSuccess || !count) {
		cudaGetLastError();
		return fail("cuda: no NVIDIA GPU with its driver here (%s): look at nvidia-smi, "
			    "or take -d cpu", cudaGetErrorString(status));
	}
	if (a->ordinal >= count)
		return fail("cuda:%d: there %s %d device%s here", a->ordinal,
			    count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
	TRY(cuda_check(cudaGetDeviceProperties(&about, a->ordinal), "device"));
	if (about.major < 8)
		return fail("cuda:%d: %s has compute capability %d.%d, 8.0 is needed", a->ordinal,
			    about.name, about.major, about.minor);
	TRY(cuda_check(cudaSetDevice(a->ordinal), "device"));
	TRY(cuda_check(cudaStreamCreateWithFlags(&dev->stream, cudaStreamNonBlocking), "stream"));
	TRY(cuda_check(cudaStreamCreateWithFlags(&dev->copies, cudaStreamNonBlocking), "stream"));
	dev->dnn = dnn_open(NULL, dev->stream);
	if (!dev->dnn)
		return -1;
	cudaRuntimeGetVersion(&runtime);
	snprintf(dev->words, sizeof dev->words, "cuda: %s, %s, CUDA %d.%d, %s", about.name,
		 a->precision->name, runtime / 1000, runtime / 10 % 100, dnn_library(dev->dnn));
	cache_take(dev, about.name, runtime);
	return 0;
}

static void cuda_close(struct device *dev)
{
	if (!dev)
		return;
	if (dev->stream) {
		cudaStreamSynchronize(dev->stream);
		stages_close(dev);
		peers_leave(dev);
		memory_close(dev);
	}
	engine_settle(dev);
	cache_close(&dev->cache);
	text_release(&dev->notes);
	dnn_close(dev->dnn);
	if (dev->copies)
		cudaStreamDestroy(dev->copies);
	if (dev->stream)
		cudaStreamDestroy(dev->stream);
	free(dev);
}

static struct device *cuda_open(const char *which, int threads)
{
	struct device *dev;
	struct asked asked;

	(void)threads;          /* of the host: it has none to share out */
	if (asked_read(&asked, which ? which : ""))
		return NULL;
	dev = calloc(1, sizeof *dev);
	if (!dev) {
		fail("cuda: out of memory");
		return NULL;
	}
	dev->ordinal = asked.ordinal;
	dev->type = asked.precision->type;
	dev->exact = asked.precision->exact;
	if (asked.properties ? device_look(dev, &asked) : device_take(dev, &asked)) {
		cuda_close(dev);
		return NULL;
	}
	return dev;
}

static const char *cuda_describe(struct device *dev)
{
	return dev->words;
}

/* ---- prepare ---- */

static cuda_run *const plain_runs[STEP_KINDS] = {
	[STEP_INPUT] = cuda_input,
	[STEP_CHANNEL_SUM] = cuda_channel_sum,
	[STEP_STATS] = cuda_stats,
	[STEP_SYNC_STATS] = cuda_sync_stats,
	[STEP_COEF] = cuda_coef,
	[STEP_AFFINE] = cuda_affine,
	[STEP_ACT] = cuda_act,
	[STEP_ADD] = cuda_add,
	[STEP_MUL] = cuda_mul,
	[STEP_CAT] = cuda_cat,
	[STEP_SLICE] = cuda_slice,
	[STEP_PAD] = cuda_pad,
	[STEP_SHUFFLE] = cuda_shuffle,
	[STEP_LAYERNORM] = cuda_layernorm,
	[STEP_LRN] = cuda_lrn,
	[STEP_MAXPOOL] = cuda_maxpool,
	[STEP_AVGPOOL] = cuda_avgpool,
	[STEP_DROPOUT] = cuda_dropout,
	[STEP_XENT] = cuda_xent,
	[STEP_XENT_DX] = cuda_xent_dx,
	[STEP_ACT_DX] = cuda_act_dx,
	[STEP_BN_SUMS] = cuda_bn_sums,
	[STEP_SYNC_SUMS] = cuda_sync_sums,
	[STEP_BN_DX] = cuda_bn_dx,
	[STEP_MUL_SUM] = cuda_mul_sum,
	[STEP_LAYERNORM_DX] = cuda_layernorm_dx,
	[STEP_LRN_DX] = cuda_lrn_dx,
	[STEP_MAXPOOL_DX] = cuda_maxpool_dx,
	[STEP_AVGPOOL_DX] = cuda_avgpool_dx,
	[STEP_COPY] = cuda_copy,
	[STEP_REDUCE] = cuda_reduce,
	[STEP_FINITE] = cuda_finite,
	[STEP_UPDATE] = cuda_update,
	[STEP_TRACK] = cuda_track,
	[STEP_FOLD] = cuda_fold,
};

void *own_add(struct program *p, struct step *s, size_t bytes, cuda_run *run)
{
	struct own *own = program_alloc(p, bytes);

	if (!own)
		return NULL;
	own->run = run;
	s->own = own;
	return own;
}

/* Kernels count pixels in 32 bits. */
static int extent_check(const struct program *p, const struct step *s)
{
	for (int k = 0; k < s->ins + s->outs; k++) {
		int value = k < s->ins ? s->in[k] : s->out[k - s->ins];
		const struct value *v = value < 0 ? NULL : &p->value[value];

		if (v && (int64_t)v->n * v->h * v->w > INT32_MAX)
			return fail("cuda: %s: %s has more than 2^31 pixels", step_name(s->kind),
				    v->name);
	}
	return 0;
}

static int limits_check(const struct program *p, const struct step *s)
{
	const struct xent_attr *xent = s->attr;

	TRY(extent_check(p, s));
	if (s->kind == STEP_INPUT && p->value[s->out[0]].c > 4)
		return fail("cuda: input: %d channels of pixels, at most 4",
			    p->value[s->out[0]].c);
	if (s->kind == STEP_XENT && p->value[s->in[0]].c != xent->classes)
		return fail("cuda: xent: %d logits for %d classes", p->value[s->in[0]].c,
			    xent->classes);
	if ((s->kind == STEP_ACT || s->kind == STEP_ACT_DX) && act_code(s) == ACT_NONE)
		return fail("cuda: %s: not an activation that is known here", step_name(s->kind));
	return 0;
}

/* Workspace that kernels of a kind need. */
static size_t work_of(const struct program *p, const struct step *s)
{
	switch (s->kind) {
	case STEP_STATS:
		return sums_bytes(span_of(&p->value[s->in[0]]), 3);
	case STEP_CHANNEL_SUM:
		return sums_bytes(span_of(&p->value[s->in[0]]), 1);
	case STEP_BN_SUMS:
		return sums_bytes(span_of(&p->value[s->in[0]]), 2);
	case STEP_LAYERNORM_DX:
		return layernorm_work(span_of(&p->value[s->in[1]]));
	case STEP_SYNC_STATS:
		return p->value[s->in[0]].bytes * (size_t)p->options.devices;
	case STEP_FINITE:
		return 2 * sizeof(int);
	default:
		return 0;
	}
}

static int prepare_one(struct device *dev, struct program *p, int step)
{
	struct step *s = &p->step[step];

	if (s->kind == STEP_PACK)
		return pack_prepare(dev, p, step);
	TRY(limits_check(p, s));
	if (s->kind == STEP_CONV || s->kind == STEP_CONV_DX || s->kind == STEP_CONV_DW)
		return conv_prepare(dev, p, step);
	if (!plain_runs[s->kind])
		return fail("cuda: %s: there is no kernel for it yet", step_name(s->kind));
	s->work = work_of(p, s);
	return step_choose(s, "cuda", s->kind == STEP_REDUCE ? "nccl" : "own");
}

static int cuda_prepare(void *arg, struct program *p, int step)
{
	struct device *dev = arg;
	int to = step + 1, bracket = p->step[step].bracket;

	while (bracket >= 0 && to < p->steps && p->step[to].bracket == bracket)
		to++;
	return to > step + 1 ? bracket_prepare(dev, p, step, to) : prepare_one(dev, p, step);
}

static struct target cuda_target(struct device *dev)
{
	return (struct target){ dev, "cuda", cuda_layout, cuda_cost, cuda_prepare, NULL,
				0 };
}

/* ---- run ---- */

static int run_all(struct device *dev, const struct memory *m, int from, int to)
{
	const struct program *p = m->program;

	for (int i = from; i < to; i++) {
		const struct step *s = &p->step[i];
		const struct own *own = s->own;
		cuda_run *run = own ? own->run : plain_runs[s->kind];

		if (s->bracket >= 0 && i > 0 && p->step[i - 1].bracket == s->bracket)
			continue;
		assert(run);
		if (run(dev, m, s) || cuda_check(cudaGetLastError(), "kernel"))
			return fail_add("cuda: step %d, %s", i, step_name(s->kind));
	}
	return peers_join_sums(dev);
}

/* The entry for a range; NULL: there is no room for another. */
static struct recording *recording_find(struct bound *b, int from, int to)
{
	for (int k = 0; k < RECORDINGS; k++) {
		struct recording *r = &b->recording[k];

		if (!r->runs) {
			r->from = from;
			r->to = to;
		}
		if (r->from == from && r->to == to)
			return r;
	}
	return NULL;
}

static int record(struct device *dev, const struct memory *m, struct recording *r)
{
	cudaGraph_t graph = NULL;
	int status;

	TRY(cuda_check(cudaStreamBeginCapture(dev->stream, cudaStreamCaptureModeThreadLocal),
		       "recording"));
	status = run_all(dev, m, r->from, r->to);
	if (cudaStreamEndCapture(dev->stream, &graph) != cudaSuccess && !status)
		status = cuda_check(cudaErrorStreamCaptureInvalidated, "recording");
	if (!status)
		status = cuda_check(cudaGraphInstantiate(&r->graph, graph, 0), "recording");
	if (graph)
		cudaGraphDestroy(graph);
	return status;
}

/* The first time as it is: libraries load what they need then, which cannot be
 * recorded. */
static int cuda_run_steps(struct device *dev, struct program *p, int from, int to)
{
	struct bound *b = (struct bound *)host_memory(&dev->host, p);
	struct recording *r = to > from ? recording_find(b, from, to) : NULL;

	TRY(cuda_check(cudaSetDevice(dev->ordinal), "device"));
	if (!r || !r->runs++)
		return run_all(dev, &b->memory, from, to);
	if (!r->graph)
		TRY(record(dev, &b->memory, r));
	return cuda_check(cudaGraphLaunch(r->graph, dev->stream), "graph");
}

static int cuda_wait(struct device *dev)
{
	return cuda_check(cudaStreamSynchronize(dev->stream), "a step failed on the device");
}

/* ---- for people ---- */

static void cuda_explain(struct device *dev, struct text *t)
{
	text_add(t, "%s\nactivations NHWC in %s, channels padded to 8; weights, statistics and "
		 "loss fp32%s\ncuDNN is %s\n", cuda_describe(dev), dtype_name(dev->type),
		 dev->type == DTYPE_F16 ? "; the loss scale adjusts itself" : "",
		 vendor_dnn_path());
	if (dev->cache.path)
		text_add(t, "engines are kept in %s\n", dev->cache.path);
}

static void cuda_note(struct device *dev, struct text *t)
{
	if (dev->notes.length)
		text_add_bytes(t, dev->notes.data, dev->notes.length);
	text_release(&dev->notes);
}

/* Bytes by copies inside the device's memory; products are left out: which of its many
 * peaks would be meant? */
static void cuda_limits(struct device *dev, struct limits *l)
{
	enum { TIMES = 10 };
	size_t bytes = (size_t)256 << 20;
	cudaEvent_t event[2] = { NULL, NULL };
	void *at = NULL;
	float ms = 0;

	*l = (struct limits){ 0 };
	if (dev->ordinal < 0 || cudaSetDevice(dev->ordinal) != cudaSuccess ||
	    cudaMalloc(&at, 2 * bytes) != cudaSuccess)
		return;
	if (cudaEventCreate(&event[0]) == cudaSuccess &&
	    cudaEventCreate(&event[1]) == cudaSuccess) {
		for (int i = -1; i < TIMES; i++) {
			if (!i)
				cudaEventRecord(event[0], dev->stream);
			cudaMemcpyAsync((char *)at + bytes, at, bytes, cudaMemcpyDeviceToDevice,
					dev->stream);
		}
		cudaEventRecord(event[1], dev->stream);
		cudaStreamSynchronize(dev->stream);
		if (cudaEventElapsedTime(&ms, event[0], event[1]) == cudaSuccess && ms > 0)
			l->bytes = 2.0 * (double)bytes * TIMES / (ms / 1000);
	}
	for (int k = 0; k < 2; k++)
		if (event[k])
			cudaEventDestroy(event[k]);
	cudaFree(at);
	cudaGetLastError();
}

static const struct backend cuda_backend = {
	BACKEND_ABI, "cuda", cuda_open, cuda_close, cuda_target, cuda_join, cuda_bind, cuda_put,
	cuda_get, cuda_run_steps, cuda_wait, cuda_describe, cuda_explain, cuda_limits,
	NULL, cuda_restore, cuda_ask, cuda_answer, cuda_note
};

const struct backend *millrace_backend(void)
{
	return &cuda_backend;
}
