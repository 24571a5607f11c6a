/*
 * What only the backend "cpu" promises: kernels kept in `how` are obeyed or refused,
 * own kernels give the same bytes for any number of threads, every instruction set
 * gives the results of ref, and Winograd can be left out.
 */
#include "on_backend.h"
#include "program_nets.h"

#include "base/rng.h"
#include "dev/dev.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 4, CLASSES = 5 };

#define MUST(x) do { if ((x) < 0) fail_msg("%s: %s", #x, fail_why()); } while (0)

/* Convolutions of every kind that the rule knows: the first, direct, Winograd, strided,
 * 1x1, depthwise with small and large windows, grouped, dilated. */
static const char kinds_net[] =
	"input 20 20 3\n"
	"net = a: [conv 5 24 | bn | relu | conv 3 32 | bn | relu | conv 3 32 2 | bn | relu6\n"
	"    | conv 3 32 groups=32 | bn | relu | conv 5 32 groups=32 | bn | relu\n"
	"    | conv 3 40 groups=8 | bn | relu | conv 3 20 dilation=2 | bn | relu\n"
	"    | conv 1 33 bias=yes\n"
	"    | maxpool 3 2 1 | avgpool 2 1 | linear classes]\n";

/* Own kernels alone, before the product at the end. */
static const char own_net[] =
	"input 33 31 3\n"
	"net = a: [bn | relu | maxpool 3 2 1 | bn | relu6 | avgpool 2 | bn | linear classes]\n";

/* One convolution of Winograd's with few tiles and many filters. */
static const char few_net[] =
	"input 16 16 3\n"
	"net = a: conv 1 176 | b: [conv 3 176 | relu | avgpool | linear classes]\n";

/* For gradients of weights: several blocks of channels on either side, outputs that
 * are odd in number and chunks of them that go over samples, windows of all kinds. */
static const char outer_net[] =
	"input 19 21 3\n"
	"net = a: [conv 3 20 | relu | conv 1 300 | relu | conv 1 280 2 | relu\n"
	"    | conv 3 33 2 | relu | conv 5x2 48 | relu | conv 3 17 dilation=2 | relu\n"
	"    | conv 2 520 pad=0 | avgpool | linear classes]\n";

struct run {
	const struct backend *b;
	struct device *dev;
	struct program *p;
};

static void run_open(struct run *r, const char *device, int threads)
{
	char name[16];

	snprintf(name, sizeof name, "%.*s", (int)strcspn(device, ":"), device);
	r->b = backend_find(name);
	assert_non_null(r->b);
	r->dev = r->b->open(strchr(device, ':') ? strchr(device, ':') + 1 : NULL, threads);
	if (!r->dev)
		fail_msg("%s: %s", device, fail_why());
	r->p = NULL;
}

static void run_close(struct run *r)
{
	program_free(r->p);
	r->b->close(r->dev);
}

static void params_put(struct run *r)
{
	for (int i = 0; i < r->p->graph->params; i++) {
		const struct param *m = &r->p->graph->param[i];
		int64_t n = param_numbers(m);
		float *w = malloc((size_t)n * sizeof *w);
		struct rng rng;

		rng_init(&rng, 3, (uint64_t)i, "parameter");
		for (int64_t k = 0; k < n; k++) {
			double x = rng_normal(&rng);

			w[k] = (float)(m->class == PARAM_WEIGHT ? x * 1.5
				       / sqrt((double)n / m->dim[0]) :
				       m->class == PARAM_GAIN ? 1 + 0.3 * x :
				       m->class == PARAM_BIAS ? 0.3 * x : 1);
		}
		MUST(r->b->put(r->dev, r->p, r->p->master[i], w));
		free(w);
	}
}

static void batch_put(struct run *r)
{
	const struct graph *g = r->p->graph;
	size_t size = (size_t)BATCH * (size_t)(g->input.h * g->input.w * g->input.c), i;
	unsigned char *pixels = malloc(size);
	int32_t labels[2 * BATCH];
	float shares[2 * BATCH];
	struct control c = { .seed = 1, .stride = 1, .lr = 0.1, .count = BATCH };
	struct rng rng;

	rng_init(&rng, 4, 0, "pixels");
	for (i = 0; i < size; i++)
		pixels[i] = (unsigned char)rng_below(&rng, 256);
	for (i = 0; i < BATCH; i++) {
		labels[2 * i] = (int32_t)(i % CLASSES);
		labels[2 * i + 1] = -1;
		shares[2 * i] = 1;
		shares[2 * i + 1] = 0;
	}
	MUST(r->b->put(r->dev, r->p, r->p->pixels, pixels));
	MUST(r->b->put(r->dev, r->p, r->p->labels, labels));
	MUST(r->b->put(r->dev, r->p, r->p->shares, shares));
	MUST(r->b->put(r->dev, r->p, r->p->control, &c));
	free(pixels);
}

/* Makes the program (0 or -1). */
static int run_make(struct run *r, const struct graph *g, const struct program_options *o)
{
	struct target t = r->b->target(r->dev);

	r->p = program_make(g, o, &t);
	return r->p ? 0 : -1;
}

static void run_step(struct run *r)
{
	MUST(r->b->bind(r->dev, r->p, NULL));
	params_put(r);
	batch_put(r);
	MUST(r->b->run(r->dev, r->p, r->p->begin[PART_PACK], r->p->begin[PARTS]));
	MUST(r->b->run(r->dev, r->p, 0, r->p->begin[PARTS]));
	MUST(r->b->wait(r->dev));
}

/* All gradients, one after the other. */
static float *gradients(struct run *r, size_t *n)
{
	const struct graph *g = r->p->graph;
	float *all;

	*n = 0;
	for (int i = 0; i < g->params; i++)
		*n += r->p->gradient[i] < 0 ? 0 : (size_t)param_numbers(&g->param[i]);
	all = malloc(*n * sizeof *all);
	*n = 0;
	for (int i = 0; i < g->params; i++) {
		if (r->p->gradient[i] < 0)
			continue;
		MUST(r->b->get(r->dev, r->p, r->p->gradient[i], all + *n));
		*n += (size_t)param_numbers(&g->param[i]);
	}
	return all;
}

/* The gradients of a step on a device; NULL where it cannot. */
static float *gradients_in(enum dtype precision, const char *text, const char *device,
			   int threads, const char *without, size_t *n)
{
	struct graph *g = net_of(text, NULL, "classes=5");
	struct program_options o = options_of(1, BATCH);
	struct run r;
	float *all;

	o.without = without;
	o.precision = precision;
	run_open(&r, device, threads);
	all = NULL;
	if (!run_make(&r, g, &o)) {
		run_step(&r);
		all = gradients(&r, n);
	}
	run_close(&r);
	graph_free(g);
	return all;
}

static float *step_gradients(const char *text, const char *device, int threads,
			     const char *without, size_t *n)
{
	float *all = gradients_in(DTYPE_F32, text, device, threads, without, n);

	if (!all)
		fail_msg("%s: %s", device, fail_why());
	return all;
}

static double apart(const float *x, const float *y, size_t n)
{
	double most = 0, worst = 0;

	for (size_t i = 0; i < n; i++) {
		most = fmax(most, fabs(y[i]));
		worst = fmax(worst, isfinite(x[i]) ? fabs((double)x[i] - y[i]) : INFINITY);
	}
	return worst / most;
}

/* ---- how ---- */

static char **hows_of(const struct program *p)
{
	char **how = calloc((size_t)p->steps, sizeof *how);

	for (int i = 0; i < p->steps; i++)
		how[i] = strdup(p->step[i].how);
	return how;
}

/* A program made again with kernels given is the same. */
static void obeys(struct run *r, const struct graph *g, char **how, int n)
{
	struct program_options o = options_of(1, BATCH);

	o.how = (const char *const *)how;
	o.hows = n;
	MUST(run_make(r, g, &o));
	assert_int_equal(r->p->steps, n);
	for (int i = 0; i < n; i++)
		assert_string_equal(r->p->step[i].how, how[i]);
	program_free(r->p);
	r->p = NULL;
}

static void how_is_obeyed(void **state)
{
	static const char *const without[] = { NULL, "winograd" };
	struct graph *g;
	struct program_options o = options_of(1, BATCH);
	struct run r;
	char **how;
	int n, i, k;

	(void)state;
	backend_needed("cpu");
	g = net_of(kinds_net, NULL, "classes=5");
	run_open(&r, "cpu", 2);
	for (k = 0; k < 2; k++) {
		o.without = without[k];
		o.how = NULL;
		o.hows = 0;
		MUST(run_make(&r, g, &o));
		how = hows_of(r.p);
		n = r.p->steps;
		program_free(r.p);
		/* also those that the rule would not choose */
		obeys(&r, g, how, n);
		free(how[0]);
		how[0] = strdup("nothing");
		o.how = (const char *const *)how;
		o.hows = n;
		assert_int_equal(run_make(&r, g, &o), -1);
		assert_non_null(strstr(fail_why(), "nothing"));
		for (i = 0; i < n; i++)
			free(how[i]);
		free(how);
	}
	run_close(&r);
	graph_free(g);
}

/* How many of a network's steps go by a kernel whose name has the word in it; -1: not in
 * this precision. */
static int steps_by(const char *text, enum dtype precision, const char *without, const char *word)
{
	struct graph *g = net_of(text, NULL, "classes=5");
	struct program_options o = options_of(1, BATCH);
	struct run r;
	int steps = -1;

	o.precision = precision;
	o.without = without;
	run_open(&r, "cpu", 2);
	if (!run_make(&r, g, &o)) {
		steps = 0;
		for (int i = 0; i < r.p->steps; i++)
			steps += strstr(r.p->step[i].how, word) != NULL;
	}
	run_close(&r);
	graph_free(g);
	return steps;
}

static void winograd_left_out(void **state)
{
	size_t n, m;
	float *with, *without;

	(void)state;
	backend_needed("cpu");
	/* with stride 1 and 2, in three directions */
	assert_true(steps_by(kinds_net, DTYPE_F32, NULL, "wino4x3s2") >= 3);
	assert_int_equal(steps_by(kinds_net, DTYPE_F32, "winograd", "wino4x3"), 0);
	with = step_gradients(kinds_net, "cpu", 2, NULL, &n);
	without = step_gradients(kinds_net, "cpu", 2, "pointwise,winograd", &m);
	assert_int_equal(n, m);
	assert_true(apart(with, without, n) < 1e-4);
	free(with);
	free(without);
}

/* ---- threads ---- */

static void threads_do_not_matter(void **state)
{
	size_t n, m;
	float *one, *other;

	(void)state;
	backend_needed("cpu");
	one = step_gradients(own_net, "cpu", 1, NULL, &n);
	for (int threads = 2; threads <= 5; threads++) {
		other = step_gradients(own_net, "cpu", threads, NULL, &m);
		assert_int_equal(n, m);
		assert_memory_equal(one, other, n * sizeof *one);
		free(other);
	}
	free(one);
}

/* ---- bf16 ---- */

/* Of two directions. */
static double cosine(const float *x, const float *y, size_t n)
{
	double xx = 0, yy = 0, xy = 0;

	for (size_t i = 0; i < n; i++) {
		xx += (double)x[i] * x[i];
		yy += (double)y[i] * y[i];
		xy += (double)x[i] * y[i];
	}
	return xy / sqrt(xx * yy);
}

/* Gradients point where ref's do, and not by having been computed in fp32. */
static void bf16_against_ref(void **state)
{
	static const char *const text[] = { kinds_net, own_net, few_net, outer_net };

	(void)state;
	backend_needed("cpu");
	for (int i = 0; i < 4; i++) {
		size_t n, m;
		float *brief = gradients_in(DTYPE_BF16, text[i], "cpu", 2, NULL, &n), *ref;

		if (!brief) {
			print_message("%s\n", fail_why());
			assert_non_null(strstr(fail_why(), "bf16: neither"));
			skip();
		}
		ref = step_gradients(text[i], "ref", 1, NULL, &m);
		assert_int_equal(n, m);
		assert_true(cosine(brief, ref, n) > 0.98);
		assert_true(apart(brief, ref, n) > 1e-5);
		free(brief);
		free(ref);
	}
	assert_null(gradients_in(DTYPE_BF16, own_net, "ref", 1, NULL, &(size_t){ 0 }));
}

static void bf16_threads_do_not_matter(void **state)
{
	size_t n, m;
	float *one, *other;

	(void)state;
	backend_needed("cpu");
	one = gradients_in(DTYPE_BF16, own_net, "cpu", 1, NULL, &n);
	if (!one)
		skip();
	for (int threads = 2; threads <= 4; threads++) {
		other = gradients_in(DTYPE_BF16, own_net, "cpu", threads, NULL, &m);
		assert_int_equal(n, m);
		assert_memory_equal(one, other, n * sizeof *one);
		free(other);
	}
	free(one);
}

/* The same products, summed in another order, as the library's; in fp32 as ref's. */
static void outer_left_out(void **state)
{
	size_t n, m;
	float *with, *without;

	(void)state;
	backend_needed("cpu");
	with = step_gradients(outer_net, "cpu", 2, NULL, &n);
	without = step_gradients(outer_net, "ref", 1, NULL, &m);
	assert_int_equal(n, m);
	assert_true(apart(with, without, n) < 1e-4);
	free(with);
	free(without);
	/* none where the library has kernels of matrix units */
	if (steps_by(outer_net, DTYPE_BF16, NULL, "outer") <= 0)
		skip();
	assert_true(steps_by(outer_net, DTYPE_BF16, NULL, "outer") >= 5);
	assert_int_equal(steps_by(outer_net, DTYPE_BF16, "outer", "outer"), 0);
	with = gradients_in(DTYPE_BF16, outer_net, "cpu", 2, NULL, &n);
	without = gradients_in(DTYPE_BF16, outer_net, "cpu", 2, "outer", &m);
	assert_int_equal(n, m);
	assert_true(apart(with, without, n) < 1e-5);
	free(with);
	free(without);
}

/* ---- instruction sets ---- */

/* In a process of its own: oneDNN can be limited once. */
static int against_ref(const char *device, const char *text)
{
	size_t n, m;
	float *ref = step_gradients(text, "ref", 1, NULL, &n);
	float *cpu = step_gradients(text, device, 2, NULL, &m);
	double d = n == m ? apart(cpu, ref, n) : INFINITY;

	free(ref);
	free(cpu);
	if (!(d < 1e-4))
		print_error("%s: gradients %.2g apart from ref's\n", device, d);
	return !(d < 1e-4);
}

static void instruction_sets(void **state)
{
	static const char *const set[] = { "cpu:plain", "cpu:avx2", "cpu:avx512" };

	(void)state;
	backend_needed("cpu");
	for (int i = 0; i < 3; i++) {
		struct device *dev = NULL;
		const struct backend *b = backend_find("cpu");
		pid_t child;
		int status;

		fflush(NULL);
		child = fork();
		assert_true(child >= 0);
		if (!child) {
			dev = b->open(set[i] + 4, 1);
			if (!dev) {
				print_message("%s\n", fail_why());
				_exit(strstr(fail_why(), "at most") ||
				      strstr(fail_why(), "kinds") ? 0 : 1);
			}
			b->close(dev);
			_exit(against_ref(set[i], kinds_net) || against_ref(set[i], own_net) ||
			      against_ref(set[i], mbconv_net));
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* before threads are there that a child would not have */
		cmocka_unit_test(instruction_sets),
		cmocka_unit_test(how_is_obeyed),
		cmocka_unit_test(winograd_left_out),
		cmocka_unit_test(threads_do_not_matter),
		cmocka_unit_test(bf16_against_ref),
		cmocka_unit_test(bf16_threads_do_not_matter),
		cmocka_unit_test(outer_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
