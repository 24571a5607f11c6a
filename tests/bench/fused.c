/*
 * What fusion gains on a GPU: for ten shapes of ResNet-50, cuDNN's engine and a pass of
 * our own against cuDNN's fused engine, which every choice of brackets rests on.
 *
 *   fused [-b BATCH] [0]                  microseconds on device 0, the best of all engines
 *   fused [-b BATCH] --plans h200|h100    how many engines there are, without a GPU
 *
 * stats      convolution, then mean and variance      | one engine for both
 * prologue   affine + relu, convolution, statistics   | one engine for all three
 * dw         affine + relu, gradient of weights       | one engine
 * sums       gradient of x, then masked and summed    | one engine
 */
#include "base/fail.h"
#include "dev/cuda/cuda.h"
#include "dev/cuda/vendor.h"

#include <stdio.h>
#include <stdlib.h>

enum { PLANS = 48, TIMES = 20, VECTOR = 2048 };

static const struct layer { int side, in, out, k, s; } shapes[] = {
	{ 56, 64, 64, 1, 1 }, { 56, 64, 64, 3, 1 }, { 56, 64, 256, 1, 1 }, { 56, 256, 64, 1, 1 },
	{ 56, 128, 128, 3, 2 }, { 28, 128, 512, 1, 1 }, { 28, 512, 128, 1, 1 },
	{ 14, 256, 256, 3, 1 }, { 14, 1024, 256, 1, 1 }, { 7, 512, 512, 3, 1 },
};

static const struct form { const char *name; enum dnn_kind kind; unsigned fuse; } forms[] = {
	{ "stats", DNN_FORWARD, DNN_STATS },
	{ "prologue", DNN_FORWARD, DNN_PROLOGUE | DNN_STATS },
	{ "dw", DNN_DW, DNN_PROLOGUE },
	{ "sums", DNN_DX, DNN_RELU_SUMS },
};

enum { SHAPES = sizeof shapes / sizeof *shapes, FORMS = sizeof forms / sizeof *forms };

struct bench {
	cudaStream_t stream;
	cudaEvent_t event[2];
	struct dnn *dnn;
	struct dnn_graph graph;
	void *at[DNN_OPERANDS];
	void *work, *sums;
	size_t work_room;
	float *m, *ab;
};

static int die(void)
{
	fprintf(stderr, "fused: %s\n", fail_why());
	exit(3);
}

static void must(int status)
{
	if (status < 0)
		die();
}

static struct dnn_graph graph_of(const struct layer *s, const struct form *f, unsigned fuse,
				 int batch)
{
	struct dnn_graph g = { .kind = f->kind, .fuse = fuse, .type = DTYPE_F16, .n = batch,
			       .in_h = s->side, .in_w = s->side, .in_c = s->in, .out_c = s->out,
			       .groups = 1 };

	g.out_h = g.out_w = (s->side + 2 * (s->k / 2) - s->k) / s->s + 1;
	for (int a = 0; a < 2; a++) {
		g.window.k[a] = s->k;
		g.window.s[a] = s->s;
		g.window.dilation[a] = 1;
		g.window.before[a] = g.window.after[a] = s->k / 2;
	}
	return g;
}

static size_t bytes_of(const struct dnn_graph *g, int operand)
{
	size_t x = (size_t)g->n * (size_t)g->in_h * (size_t)g->in_w * (size_t)g->in_c * 2;
	size_t y = (size_t)g->n * (size_t)g->out_h * (size_t)g->out_w * (size_t)g->out_c * 2;

	switch (operand) {
	case DNN_X: case DNN_Z: case DNN_T: case DNN_BN_X:
		return x;
	case DNN_Y:
		return y;
	case DNN_W:
		return (size_t)g->out_c * (size_t)g->window.k[0] * (size_t)g->window.k[1] *
		       (size_t)g->in_c * 2;
	default:
		return VECTOR * sizeof(float);
	}
}

static void *take(size_t bytes)
{
	void *at = NULL;

	must(cuda_check(cudaMalloc(&at, bytes), "memory"));
	must(cuda_check(cudaMemset(at, 0, bytes), "memory"));
	return at;
}

/* What the operands hold does not matter to the time. */
static void operands_take(struct bench *b, const struct dnn_graph *g)
{
	struct span x = { (unsigned)g->n * (unsigned)g->in_h * (unsigned)g->in_w, g->in_c,
			  g->in_c, DTYPE_F16 };
	struct span y = { (unsigned)g->n * (unsigned)g->out_h * (unsigned)g->out_w, g->out_c,
			  g->out_c, DTYPE_F16 };
	size_t sums = sums_bytes(x, 3) > sums_bytes(y, 3) ? sums_bytes(x, 3) : sums_bytes(y, 3);

	b->graph = *g;
	for (int k = 0; k < DNN_OPERANDS; k++)
		b->at[k] = take(bytes_of(g, k));
	b->sums = take(sums);
	b->m = take(2 * VECTOR * sizeof(float));
	b->ab = take(2 * VECTOR * sizeof(float));
}

static void operands_give(struct bench *b)
{
	for (int k = 0; k < DNN_OPERANDS; k++)
		cudaFree(b->at[k]);
	cudaFree(b->sums);
	cudaFree(b->m);
	cudaFree(b->ab);
}

/* The operands that a graph has: others must not be given. */
static void operands_of(const struct bench *b, unsigned fuse, void *to[DNN_OPERANDS])
{
	memset(to, 0, DNN_OPERANDS * sizeof *to);
	for (int k = DNN_X; k <= DNN_Y; k++)
		to[k] = b->at[k];
	for (int k = DNN_A; fuse & DNN_PROLOGUE && k <= DNN_B; k++)
		to[k] = b->at[k];
	for (int k = DNN_SUM; fuse & DNN_STATS && k <= DNN_SQUARE; k++)
		to[k] = b->at[k];
	for (int k = DNN_BN_X; fuse & DNN_RELU_SUMS && k <= DNN_EQ_B; k++)
		to[k] = b->at[k];
}

static struct span span_x(const struct dnn_graph *g)
{
	return (struct span){ (unsigned)g->n * (unsigned)g->in_h * (unsigned)g->in_w, g->in_c,
			      g->in_c, DTYPE_F16 };
}

static struct span span_y(const struct dnn_graph *g)
{
	return (struct span){ (unsigned)g->n * (unsigned)g->out_h * (unsigned)g->out_w, g->out_c,
			      g->out_c, DTYPE_F16 };
}

/* Our passes beside a plain engine, by the form. */
static void own_passes(struct bench *b, const struct form *f)
{
	struct forward_pass affine = { .x = { b->at[DNN_BN_X] }, .a = { b->ab },
				       .b = { b->ab + VECTOR }, .y = b->at[DNN_X], .xs = 1,
				       .affines = 1, .act = ACT_RELU };
	struct backward_pass back = { .dy = { b->at[DNN_X] }, .dys = 1, .mask = ACT_RELU,
				      .again = b->at[DNN_BN_X], .a = b->ab, .b = b->ab + VECTOR,
				      .g = b->at[DNN_T], .m_pad = VECTOR, .norms = 1,
				      .norm = { { b->at[DNN_BN_X], b->m, 1e-5 } } };
	const struct sums_out to[2] = { { b->at[DNN_DGAIN], NULL, NULL, VECTOR / 2 } };

	if (f->fuse & DNN_PROLOGUE)
		forward_start(b->stream, span_x(&b->graph), &affine);
	if (f->fuse & DNN_STATS)
		stats_start(b->stream, span_y(&b->graph), b->at[DNN_Y], b->m, VECTOR, b->sums);
	if (f->fuse & DNN_RELU_SUMS)
		backward_sums_start(b->stream, span_x(&b->graph), &back, to, b->sums);
}

/* Microseconds of a plan, with our passes where own is given; < 0: it does not run. */
static double plan_time(struct bench *b, const struct dnn_plan *p, unsigned fuse,
			const struct form *own)
{
	void *operand[DNN_OPERANDS];
	float ms = 0;

	operands_of(b, fuse, operand);
	if (dnn_plan_work(p) > b->work_room) {
		cudaFree(b->work);
		b->work = take(dnn_plan_work(p));
		b->work_room = dnn_plan_work(p);
	}
	for (int i = -2; i < TIMES; i++) {
		if (!i)
			must(cuda_check(cudaEventRecord(b->event[0], b->stream), "event"));
		if (dnn_run(b->dnn, p, operand, b->work))
			return -1;
		if (own)
			own_passes(b, own);
	}
	must(cuda_check(cudaEventRecord(b->event[1], b->stream), "event"));
	must(cuda_check(cudaStreamSynchronize(b->stream), "run"));
	must(cuda_check(cudaEventElapsedTime(&ms, b->event[0], b->event[1]), "event"));
	return ms * 1000.0 / TIMES;
}

static double best_time(struct bench *b, const struct dnn_graph *g, const struct form *own,
			const char **how)
{
	const struct dnn_plan *plan[PLANS];
	int n = dnn_plans(b->dnn, g, plan, PLANS);
	double best = -1;

	*how = "none";
	for (int k = 0; k < n; k++) {
		double t = plan_time(b, plan[k], g->fuse, own);

		if (t >= 0 && (best < 0 || t < best)) {
			best = t;
			*how = dnn_plan_how(plan[k]);
		}
	}
	return best;
}

static void row_time(struct bench *b, const struct layer *s, const struct form *f, int batch)
{
	struct dnn_graph plain = graph_of(s, f, 0, batch), fused = graph_of(s, f, f->fuse, batch);
	const char *how[2];
	double time[2];

	operands_take(b, &plain);
	time[0] = best_time(b, &plain, f, &how[0]);
	time[1] = best_time(b, &fused, NULL, &how[1]);
	printf("%-8s %3d %4d->%-4d k%d s%d  %8.1f us (%s)  fused %8.1f us (%s)  %.2fx\n", f->name,
	       s->side, s->in, s->out, s->k, s->s, time[0], how[0], time[1], how[1],
	       time[0] > 0 && time[1] > 0 ? time[0] / time[1] : 0);
	fflush(stdout);
	operands_give(b);
}

static void row_plans(struct bench *b, const struct layer *s, const struct form *f, int batch)
{
	struct dnn_graph plain = graph_of(s, f, 0, batch), fused = graph_of(s, f, f->fuse, batch);
	const struct dnn_plan *plan[PLANS];
	int n[2];

	n[0] = dnn_plans(b->dnn, &plain, plan, PLANS);
	n[1] = dnn_plans(b->dnn, &fused, plan, PLANS);
	printf("%-8s %3d %4d->%-4d k%d s%d  plain %d  fused %d\n", f->name, s->side, s->in, s->out,
	       s->k, s->s, n[0] > 0, n[1] > 0);
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };
	const char *properties = NULL;
	int batch = 256, i = 1;

	if (argc > i + 1 && !strcmp(argv[i], "-b"))
		batch = atoi(argv[i + 1]), i += 2;
	if (argc > i + 1 && !strcmp(argv[i], "--plans"))
		properties = dnn_properties(argv[i + 1]);
	if (batch < 1 || (argc > i && *argv[i] == '-' && !properties)) {
		fputs("usage: fused [-b BATCH] [DEVICE | --plans h100|h200]\n", stderr);
		return 2;
	}
	if (!properties) {
		must(cuda_check(cudaSetDevice(argc > i ? atoi(argv[i]) : 0), "device"));
		must(cuda_check(cudaStreamCreate(&b.stream), "stream"));
		must(cuda_check(cudaEventCreate(&b.event[0]), "event"));
		must(cuda_check(cudaEventCreate(&b.event[1]), "event"));
	}
	b.dnn = dnn_open(properties, b.stream);
	if (!b.dnn)
		die();
	printf("# %s, batch %d, fp16\n", dnn_library(b.dnn), batch);
	for (int f = 0; f < FORMS; f++)
		for (int k = 0; k < SHAPES; k++)
			(properties ? row_plans : row_time)(&b, &shapes[k], &forms[f], batch);
	dnn_close(b.dnn);
	return 0;
}
