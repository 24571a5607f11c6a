/* Steps of whole networks on a device, and how far two are apart. */
#ifndef NET_RUN_H
#define NET_RUN_H

#include "on_backend.h"
#include "program_nets.h"

#include "base/rng.h"
#include "dev/dev.h"

enum { CLASSES = 5, BATCH = 4 };

/* Of the same step in fp32: ops-nets.c says why. */
#define TOLERANCE 2e-4

#define MUST(x) do { if ((x) < 0) fail_msg("%s: %s", #x, fail_why()); } while (0)

/* One device of a run, with its program. */
struct run {
	const struct backend *b;
	struct device *dev;
	struct program *p;
	int status;
	char why[FAIL_MAX];
};

static inline void put_params(struct run *r)
{
	const struct graph *g = r->p->graph;

	for (int i = 0; i < g->params; i++) {
		const struct param *m = &g->param[i];
		int64_t n = param_numbers(m);
		float *w = malloc((size_t)n * sizeof *w);
		struct rng rng;

		rng_init(&rng, 7, (uint64_t)i, "parameter");
		for (int64_t k = 0; k < n; k++) {
			double x = rng_normal(&rng), still = strstr(m->name, "var") ? 1 : 0;

			w[k] = (float)(m->class == PARAM_WEIGHT ?
				       x * 1.5 / sqrt((double)n / m->dim[0]) :
				       m->class == PARAM_GAIN ? 1 + 0.3 * x :
				       m->class == PARAM_BIAS ? 0.3 * x : still);
		}
		MUST(r->b->put(r->dev, r->p, r->p->master[i], w));
		free(w);
	}
}

/* Sample k of the device is number first + k * stride of an endless row; sample `bad` has
 * no label (-1: none such). */
static inline void put_some_bad(struct run *r, int first, int stride, int count, int bad)
{
	const struct graph *g = r->p->graph;
	int batch = r->p->options.batch, size = g->input.h * g->input.w * g->input.c;
	unsigned char *pixels = malloc((size_t)batch * (size_t)size);
	int32_t labels[2 * BATCH];
	float shares[2 * BATCH];
	struct control c = { .seed = 5, .position = (uint64_t)first, .stride = (uint64_t)stride,
			     .step = 5, .lr = 0.1, .count = count };

	for (int n = 0; n < batch; n++) {
		struct rng rng;

		rng_init(&rng, 9, (uint64_t)(first + n * stride), "sample");
		for (int k = 0; k < size; k++)
			pixels[n * size + k] = (unsigned char)rng_below(&rng, 256);
		labels[2 * n] = n == bad ? -1 : (int32_t)rng_below(&rng, CLASSES);
		labels[2 * n + 1] = (int32_t)rng_below(&rng, CLASSES);
		shares[2 * n] = 0.7f;
		shares[2 * n + 1] = 0.3f;
	}
	MUST(r->b->put(r->dev, r->p, r->p->pixels, pixels));
	MUST(r->b->put(r->dev, r->p, r->p->labels, labels));
	MUST(r->b->put(r->dev, r->p, r->p->shares, shares));
	MUST(r->b->put(r->dev, r->p, r->p->control, &c));
	free(pixels);
}

static inline void put_input(struct run *r, int first, int stride, int count)
{
	put_some_bad(r, first, stride, count, -1);
}

static inline void run_open(struct run *r, const char *backend)
{
	memset(r, 0, sizeof *r);
	r->dev = small_open(backend, strcmp(backend, "ref") ? 2 : 1, &r->b);
	assert_non_null(r->dev);
}

static inline void run_make(struct run *r, const struct graph *g, const struct program_options *o)
{
	struct target t = small_target(r->b, r->dev);

	r->p = program_make(g, o, &t);
	if (!r->p)
		fail_msg("%s", fail_why());
	MUST(program_check(r->p));
	MUST(r->b->bind(r->dev, r->p, NULL));
	put_params(r);
	MUST(r->b->run(r->dev, r->p, r->p->begin[PART_PACK], r->p->begin[PARTS]));
}

static inline void run_close(struct run *r)
{
	program_free(r->p);
	r->b->close(r->dev);
}

static inline void *run_step(void *arg)
{
	struct run *r = arg;

	r->status = r->b->run(r->dev, r->p, 0, r->p->begin[PARTS]);
	if (!r->status)
		r->status = r->b->wait(r->dev);
	strcpy(r->why, r->status ? fail_why() : "");
	return NULL;
}

static inline float *get(struct run *r, int value, size_t *numbers)
{
	const struct value *v = &r->p->value[value];
	float *x;

	*numbers = (size_t)v->n * (size_t)v->h * (size_t)v->w * (size_t)v->c;
	x = malloc(*numbers * sizeof *x);
	MUST(r->b->get(r->dev, r->p, value, x));
	return x;
}

/* The difference as a share of the largest, or of least. */
static inline double apart(struct run *a, int x, struct run *b, int y, double least)
{
	size_t n, i;
	float *v = get(a, x, &n), *w = get(b, y, &n);
	double most = least, worst = 0;

	for (i = 0; i < n; i++)
		most = fmax(most, fabs(w[i]));
	for (i = 0; i < n; i++)
		worst = fmax(worst, isfinite(v[i]) ? fabs((double)v[i] - w[i]) : INFINITY);
	free(v);
	free(w);
	return worst / most;
}

/* Gradients that are zero but for rounding (before a batch norm, of a bias) count
 * against 1e-2. */
static inline int same_step(const char *net, struct run *a, struct run *b, double most)
{
	const struct graph *g = a->p->graph;
	int i, bad = 0;

	for (i = 0; i < g->params; i++) {
		double d = apart(a, a->p->master[i], b, b->p->master[i], 1e-2);
		double e = a->p->gradient[i] < 0 ? 0 :
			apart(a, a->p->gradient[i], b, b->p->gradient[i], 1e-2);

		if (!(d <= most && e <= most)) {
			print_error("%s: %s: parameter %.2g, gradient %.2g apart\n", net,
				    g->param[i].name, d, e);
			bad++;
		}
	}
	return bad;
}

#endif
