/*
 * Times training steps of a network on made-up images, and says what each kind of
 * step took: for people who make a backend faster.
 *
 *     step NETWORK BATCH [STEPS [DEVICE [THREADS [WITHOUT]]]]
 *
 * Whole steps are timed first; then as many again, each bracket for itself.
 */
#include "base/fail.h"
#include "dev/dev.h"
#include "net/zoo.h"
#include "train/init.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 256 };

/* What took time: a kind of step, or of bracket, with its kernel. */
struct row { char name[96]; double seconds, bytes, flops; int count; };

struct bench {
	const struct backend *backend;
	struct device *device;
	struct graph *graph;
	struct program *p;
	struct row row[ROWS];
	int rows;
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
		put(b, p->master[i], numbers);
		free(numbers);
	}
}

static void run(struct bench *b, int from, int to)
{
	if (b->backend->run(b->device, b->p, from, to) || b->backend->wait(b->device))
		die("run");
}

/* ---- the table ---- */

static int bracket_end(const struct program *p, int i)
{
	int to = i + 1;

	while (p->step[i].bracket >= 0 && to < p->steps &&
	       p->step[to].bracket == p->step[i].bracket)
		to++;
	return to;
}

/* Bytes of stored values that a bracket reads and writes, each once. */
static double bytes_of(const struct program *p, int from, int to)
{
	double sum = 0;
	int i, k, j, seen[64], count = 0;

	for (i = from; i < to; i++)
		for (k = 0; k < p->step[i].ins + p->step[i].outs; k++) {
			int v = k < p->step[i].ins ? p->step[i].in[k] :
				p->step[i].out[k - p->step[i].ins];

			if (v < 0 || p->value[v].arena == ARENA_NONE)
				continue;
			for (j = 0; j < count && seen[j] != v; j++)
				;
			if (j == count && count < 64) {
				seen[count++] = v;
				sum += (double)p->value[v].bytes;
			}
		}
	return sum;
}

static double flops_of(const struct program *p, const struct step *s)
{
	const struct conv_attr *a = s->attr;

	if (s->kind != STEP_CONV && s->kind != STEP_CONV_DX && s->kind != STEP_CONV_DW)
		return 0;
	return 2.0 * p->options.batch * a->out_h * a->out_w * a->out_c * (a->in_c / a->groups) *
	       a->window.k[0] * a->window.k[1];
}

static struct row *row_of(struct bench *b, int from, int to)
{
	const struct program *p = b->p;
	char name[96];
	size_t n = 0;
	int i;

	name[0] = '\0';
	for (i = from; i < to && n < sizeof name; i++)
		n += (size_t)snprintf(name + n, sizeof name - n, "%s%s", i > from ? ", " : "",
				      step_name(p->step[i].kind));
	if (to == from + 1 && n < sizeof name)
		snprintf(name + n, sizeof name - n, ": %s", p->step[from].how);
	for (i = 0; i < b->rows; i++)
		if (!strcmp(b->row[i].name, name))
			return &b->row[i];
	if (b->rows == ROWS)
		return &b->row[ROWS - 1];
	memcpy(b->row[b->rows].name, name, sizeof name);
	return &b->row[b->rows++];
}

static int by_time(const void *x, const void *y)
{
	double a = ((const struct row *)x)->seconds, b = ((const struct row *)y)->seconds;

	return a < b ? 1 : a > b ? -1 : 0;
}

static void table(struct bench *b, int steps, int each)
{
	const struct program *p = b->p;
	double sum = 0;
	int i, k, to;

	for (k = 0; k < steps; k++)
		for (i = 0; i < p->steps; i = to) {
			struct row *row;
			double start;

			to = bracket_end(p, i);
			row = row_of(b, i, to);
			start = now();
			run(b, i, to);
			start = now() - start;
			row->seconds += start;
			row->bytes += bytes_of(p, i, to);
			row->flops += flops_of(p, &p->step[i]);
			row->count++;
			if (each && k == steps - 1)
				printf("%4d %-40s %8.2f ms %7.1f GB/s %7.1f GF/s\n", i, row->name,
				       start * 1e3, bytes_of(p, i, to) / start / 1e9,
				       flops_of(p, &p->step[i]) / start / 1e9);
		}
	qsort(b->row, (size_t)b->rows, sizeof *b->row, by_time);
	printf("%8s %6s %8s %8s  %s\n", "ms", "times", "GB/s", "GF/s", "steps");
	for (i = 0; i < b->rows; i++) {
		struct row *r = &b->row[i];

		sum += r->seconds;
		printf("%8.2f %6d %8.1f %8.1f  %s\n", r->seconds / steps * 1e3, r->count / steps,
		       r->bytes / r->seconds / 1e9, r->flops / r->seconds / 1e9, r->name);
	}
	printf("%8.2f\n", sum / steps * 1e3);
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
		run(b, 0, b->p->steps);
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
		fprintf(stderr, "usage: step NETWORK BATCH [STEPS [DEVICE [THREADS [WITHOUT]]]]\n");
		return 2;
	}
	o.batch = atoi(argv[2]);
	o.without = argc > 6 ? argv[6] : NULL;
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
	table(&b, steps, getenv("EACH") != NULL);
	program_free(b.p);
	b.backend->close(b.device);
	graph_free(b.graph);
	return 0;
}
