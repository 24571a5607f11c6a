/*
 * Times steps of training, or of evaluation, of a network on made-up images, and says what each kind of
 * step took: for people who make a backend faster.
 *
 *     step NETWORK BATCH [STEPS [DEVICE [THREADS [WITHOUT [bf16|fp32 [evaluation]]]]]]
 *
 * WITHOUT: rewrites left out, as of net-cat --without; "" for none.
 * Whole steps are timed first; then as many again, each bracket for itself.
 */
#include "base/fail.h"
#include "dev/dev.h"
#include "net/zoo.h"
#include "train/init.h"
#include "train/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bench {
	const struct backend *backend;
	struct device *device;
	struct graph *graph;
	struct program *p;
};

static void die(const char *what)
{
	fprintf(stderr, "step: %s: %s\n", what, fail_why());
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void put(struct bench *b, int value, const void *data)
{
	if (b->backend->put(b->device, b->p, value, data))
		die("put");
}

static void fill(struct bench *b)
{
	struct program *p = b->p;
	const struct value *pixels = &p->value[p->pixels];
	size_t n = (size_t)pixels->n * (size_t)pixels->h * (size_t)pixels->w * (size_t)pixels->c, i;
	unsigned char *image = malloc(n);
	int32_t *label = calloc(2 * (size_t)pixels->n, sizeof *label);
	float *share = calloc(2 * (size_t)pixels->n, sizeof *share);
	struct control control = { .seed = 1, .stride = 1, .lr = 0.01, .count = pixels->n };

	if (!image || !label || !share)
		die("memory");
	for (i = 0; i < n; i++)
		image[i] = (unsigned char)(i * 2654435761u >> 13);
	for (i = 0; i < (size_t)pixels->n; i++) {
		label[2 * i] = (int32_t)(i % (size_t)b->graph->classes);
		label[2 * i + 1] = -1;
		share[2 * i] = 1;
	}
	put(b, p->pixels, image);
	put(b, p->labels, label);
	put(b, p->shares, share);
	put(b, p->control, &control);
	free(image);
	free(label);
	free(share);
	for (i = 0; i < (size_t)b->graph->params; i++) {
		const struct param *param = &b->graph->param[i];
		float *numbers = malloc((size_t)param_numbers(param) * sizeof *numbers);

		if (!numbers)
			die("memory");
		init_param(param, 1, numbers);
		if (p->master[i] >= 0)
			put(b, p->master[i], numbers);
		free(numbers);
	}
}

static void run(struct bench *b, int from, int to)
{
	if (b->backend->run(b->device, b->p, from, to) || b->backend->wait(b->device))
		die("run");
}

/* The tables of train/profile.h. */
static void table(struct bench *b, int steps)
{
	struct profile *f = profile_open(b->backend, b->device, b->p);
	struct text t = { 0 };
	char *words;

	if (!f)
		die("profile");
	for (int i = 0; i <= steps; i++)
		if (profile_run(f))
			die("run");
	profile_show(f, &t);
	words = text_take(&t);
	if (!words)
		die("table");
	printf("%s", words);
	free(words);
	profile_close(f);
}

static int ascending(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

static void whole(struct bench *b, int steps)
{
	double *took = calloc((size_t)steps, sizeof *took), start;
	int i, batch = b->p->options.batch;
	float *losses = calloc(2 * (size_t)batch, sizeof *losses), loss = 0;

	if (!took || !losses)
		die("memory");
	for (i = 0; i < steps; i++) {
		start = now();
		run(b, 0, b->p->options.training ? b->p->steps : b->p->begin[PART_BACKWARD]);
		took[i] = now() - start;
	}
	if (b->backend->get(b->device, b->p, b->p->losses, losses))
		die("losses");
	for (i = 0; i < batch; i++)
		loss += losses[2 * i] / (float)batch;
	qsort(took, (size_t)steps, sizeof *took, ascending);
	printf("%s: median %.2f img/s of %d, best %.2f; loss %.4f\n",
	       b->backend->describe(b->device),
	       batch / took[steps / 2], steps, batch / took[0], loss);
	free(took);
	free(losses);
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };
	struct program_options o = { .training = 1, .devices = 1 };
	struct target target;
	int steps = argc > 3 ? atoi(argv[3]) : 5;
	const char *device = argc > 4 ? argv[4] : "cpu";
	char name[16];
	double start;

	if (argc < 3 || steps < 1) {
		fprintf(stderr, "usage: step NETWORK BATCH [STEPS [DEVICE [THREADS [WITHOUT "
				"[bf16|fp32 [evaluation]]]]]]\n");
		return 2;
	}
	o.batch = atoi(argv[2]);
	o.without = argc > 6 ? argv[6] : NULL;
	o.precision = argc > 7 && !strcmp(argv[7], "bf16") ? DTYPE_BF16 : DTYPE_F32;
	o.training = argc < 9 || strcmp(argv[8], "evaluation");
	o.optimizer = (struct optimizer){ 0.9, 1e-4, 0 };
	for (int i = 0; i < 4; i++)
		o.normalise.mean[i] = 128, o.normalise.deviation[i] = 64;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(device, ":"), device);
	b.graph = net_load(argv[1], NULL, 0);
	if (!b.graph)
		die(argv[1]);
	b.backend = backend_find(name);
	if (!b.backend)
		die(device);
	b.device = b.backend->open(strchr(device, ':') ? strchr(device, ':') + 1 : NULL,
				   argc > 5 ? atoi(argv[5]) : 0);
	if (!b.device)
		die(device);
	target = b.backend->target(b.device);
	start = now();
	b.p = program_make(b.graph, &o, &target);
	if (!b.p)
		die("program");
	if (b.backend->bind(b.device, b.p, NULL))
		die("bind");
	printf("made in %.2f s, %d steps\n", now() - start, b.p->steps);
	fill(&b);
	run(&b, b.p->begin[PART_PACK], b.p->steps);
	run(&b, 0, b.p->steps);
	whole(&b, steps);
	table(&b, steps);
	program_free(b.p);
	b.backend->close(b.device);
	graph_free(b.graph);
	return 0;
}
