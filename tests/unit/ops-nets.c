/*
 * Whole networks: a backend's losses, gradients and updated parameters against ref's,
 * with all brackets and with none; that all of them learn; two devices against one with
 * the whole batch; the same bytes twice; and that a device which fails lets the others go.
 *
 * Tolerance: a gradient that went through twenty steps of fp32 is off by some 1e-6 of
 * the largest; batch norm over 16 numbers may multiply that by its slope, here up to
 * ten; Winograd by another ten.
 */
#include "net_run.h"

#include <pthread.h>

static const struct { const char *name, *text; int normalises; } nets[] = {
	{ "small", small_net, 1 }, { "mbconv", mbconv_net, 1 }, { "cat", cat_net, 1 },
	{ "shared", shared_net, 1 }, { "preact", preact_net, 1 },
	{ "efficient", efficient_net, 1 }, { "next", next_net, 0 }, { "moving", moving_net, 1 },
	{ "cells", cells_net, 1 }, { "bottle", bottle_net, 1 }, { "twice", twice_net, 1 },
	{ "plain", "input 12 12 3\n"
	  "net = a: conv 3 20 bias=yes | relu | maxpool 2 | b: conv 3 16 2 bias=yes | relu\n"
	  "    | dropout 0.3 | fc: linear classes\n", 0 },
};
enum { NETS = sizeof nets / sizeof *nets };

static int against_ref(const char *backend, int net, const char *without)
{
	struct graph *g = net_of(nets[net].text, NULL, "classes=5");
	struct program_options o = options_of(1, BATCH);
	struct run ref, run;
	char where[160];
	int step, bad = 0;

	snprintf(where, sizeof where, "%s, without %s", nets[net].name,
		 without ? without : "nothing");
	run_open(&ref, "ref");
	run_make(&ref, g, &o);
	o.without = without;
	run_open(&run, backend);
	run_make(&run, g, &o);
	for (step = 0; step < 2 && !bad; step++) {
		put_input(&ref, step * BATCH, 1, BATCH);
		put_input(&run, step * BATCH, 1, BATCH);
		run_step(&ref);
		run_step(&run);
		if (ref.status || run.status)
			fail_msg("%s %s", ref.why, run.why);
		if (!(apart(&run, run.p->losses, &ref, ref.p->losses, 1) < 1e-4)) {
			print_error("%s: losses differ\n", where);
			bad++;
		}
		bad += same_step(where, &run, &ref, TOLERANCE);
	}
	run_close(&ref);
	run_close(&run);
	graph_free(g);
	return bad;
}

/* Mean loss of the batch, heads included. */
static double mean_loss(struct run *r)
{
	size_t n, i;
	float *losses = get(r, r->p->losses, &n);
	double sum = 0;

	for (i = 0; i < n; i += 2)
		sum += losses[i];
	free(losses);
	return sum / BATCH;
}

/* The same four samples again and again: they are learned, and alike on both. */
static int learns(int net)
{
	struct graph *g = net_of(nets[net].text, NULL, "classes=5");
	struct program_options o = options_of(1, BATCH);
	static const char *const backend[2] = { "ref", "cpu" };
	double loss[2] = { 0 }, first = 0, apart_most = 0, last = 0;
	struct run run[2];

	for (int k = 0; k < 2; k++) {
		run_open(&run[k], backend[k]);
		run_make(&run[k], g, &o);
	}
	for (int step = 0; step < 40; step++) {
		struct control c = { .seed = 5, .stride = 1, .step = step, .lr = 5e-3,
				     .count = BATCH };

		for (int k = 0; k < 2; k++) {
			put_input(&run[k], 0, 1, BATCH);
			MUST(run[k].b->put(run[k].dev, run[k].p, run[k].p->control, &c));
			run_step(&run[k]);
			if (run[k].status)
				fail_msg("%s", run[k].why);
			loss[k] = mean_loss(&run[k]);
		}
		first = step ? first : loss[0];
		/* rounding grows from step to step */
		if (step < 8)
			apart_most = fmax(apart_most, fabs(loss[1] - loss[0]) / first);
		last = fmax(loss[0], loss[1]);
	}
	run_close(&run[0]);
	run_close(&run[1]);
	graph_free(g);
	if (apart_most < 1e-4 && last < 0.75 * first)
		return 0;
	print_error("%s: loss %.3f to %.3f, %.2g apart\n", nets[net].name, first, last,
		    apart_most);
	return 1;
}

static void cpu_against_ref(void **state)
{
	int i, bad = 0;

	(void)state;
	backend_needed("cpu");
	for (i = 0; i < NETS; i++) {
		bad += against_ref("cpu", i, NULL);
		bad += against_ref("cpu", i, "recompute");
		bad += against_ref("cpu", i, "all");
	}
	assert_int_equal(bad, 0);
}

static void every_op_learns(void **state)
{
	int i, bad = 0;

	(void)state;
	backend_needed("cpu");
	for (i = 0; i < NETS; i++)
		bad += learns(i);
	assert_int_equal(bad, 0);
}

static void together(struct run *run, int count)
{
	pthread_t thread[2];

	for (int k = 0; k < count; k++)
		assert_int_equal(pthread_create(&thread[k], NULL, run_step, &run[k]), 0);
	for (int k = 0; k < count; k++)
		pthread_join(thread[k], NULL);
}

static void two_open(struct run *two, const char *backend, const struct graph *g, int sync)
{
	struct program_options o = options_of(1, BATCH / 2);
	struct device *devs[2];
	int k;

	for (k = 0; k < 2; k++) {
		run_open(&two[k], backend);
		devs[k] = two[k].dev;
	}
	MUST(two[0].b->join(devs, 2, NULL));
	o.devices = 2;
	o.sync_bn = sync;
	for (k = 0; k < 2; k++)
		run_make(&two[k], g, &o);
}

/* Halves dealt out one by one, as streams are: device k has samples k, k + 2. */
static int two_against_one(const char *backend, int net)
{
	struct graph *g = net_of(nets[net].text, NULL, "classes=5");
	struct program_options o = options_of(1, BATCH);
	struct run one, two[2];
	int k, i, bad;

	run_open(&one, backend);
	run_make(&one, g, &o);
	two_open(two, backend, g, nets[net].normalises);
	for (k = 0; k < 2; k++)
		put_input(&two[k], k, 2, BATCH);
	put_input(&one, 0, 1, BATCH);
	run_step(&one);
	together(two, 2);
	if (one.status || two[0].status || two[1].status)
		fail_msg("%s %s %s", one.why, two[0].why, two[1].why);
	bad = same_step(nets[net].name, &two[0], &one, TOLERANCE);
	for (i = 0; i < g->params; i++)
		bad += apart(&two[0], two[0].p->master[i], &two[1], two[1].p->master[i], 1) != 0;
	run_close(&one);
	run_close(&two[0]);
	run_close(&two[1]);
	graph_free(g);
	return bad;
}

static void two_devices(void **state)
{
	const char *backend = backend_of(state);
	int i, bad = 0;

	for (i = 0; i < NETS; i++)
		bad += two_against_one(backend, i);
	assert_int_equal(bad, 0);
}

/* Three steps twice, from the start: the same bytes. */
static void cpu_same_bytes(void **state)
{
	int i, k, step;

	(void)state;
	backend_needed("cpu");
	for (i = 0; i < NETS; i++) {
		struct graph *g = net_of(nets[i].text, NULL, "classes=5");
		struct program_options o = options_of(1, BATCH);
		struct run run[2];

		for (k = 0; k < 2; k++) {
			run_open(&run[k], "cpu");
			run_make(&run[k], g, &o);
			for (step = 0; step < 3; step++) {
				put_input(&run[k], step * BATCH, 1, BATCH);
				run_step(&run[k]);
				assert_int_equal(run[k].status, 0);
			}
		}
		for (k = 0; k < g->params; k++)
			assert_true(apart(&run[0], run[0].p->master[k],
					  &run[1], run[1].p->master[k], 1) == 0);
		run_close(&run[0]);
		run_close(&run[1]);
		graph_free(g);
	}
}

/* A bad label on one device: both end, and both say why. */
static void failure(void **state)
{
	const char *backend = backend_of(state);
	const int32_t bad[BATCH] = { CLASSES, -1, 0, -1 };
	struct graph *g;
	struct run two[2];
	int k;

	g = net_of(small_net, NULL, "classes=5");
	two_open(two, backend, g, 1);
	for (k = 0; k < 2; k++)
		put_input(&two[k], k, 2, BATCH);
	/* a backend may also see it when it is put */
	k = two[1].b->put(two[1].dev, two[1].p, two[1].p->labels, bad);
	if (k < 0) {
		assert_non_null(strstr(fail_why(),
				       "sample 0: label 5, but the network has 5 classes"));
		goto close;
	}
	together(two, 2);
	for (k = 0; k < 2; k++) {
		assert_int_equal(two[k].status, -1);
		assert_non_null(strstr(two[k].why,
				       "sample 0: label 5, but the network has 5 classes"));
	}
	assert_non_null(strstr(two[0].why, "device 1 of 2: "));
close:
	run_close(&two[0]);
	run_close(&two[1]);
	graph_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON("ref", two_devices),
		ON("ref", failure),
		cmocka_unit_test(cpu_against_ref),
		cmocka_unit_test(every_op_learns),
		ON("cpu", two_devices),
		cmocka_unit_test(cpu_same_bytes),
		ON("cpu", failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
