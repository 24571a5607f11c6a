/*
 * Whole networks on the reference device: backward against differences of the loss,
 * brackets taken apart against the plain list, two devices against one.
 */
#include "net_run.h"

#include "dev/ref/ref.h"
#include "net/program_build.h"

#include <pthread.h>

static const struct { const char *name, *text; } nets[] = {
	{ "small", small_net }, { "mbconv", mbconv_net }, { "cat", cat_net },
	{ "shared", shared_net }, { "preact", preact_net },
	{ "efficient", efficient_net }, { "next", next_net }, { "moving", moving_net },
	{ "cells", cells_net }, { "bottle", bottle_net }, { "twice", twice_net },
};
enum { NETS = sizeof nets / sizeof *nets };

static struct run run_of(struct program *p)
{
	struct run r;

	run_open(&r, "ref");
	r.p = p;
	return r;
}

static void run_bind(struct run *r)
{
	MUST(r->b->bind(r->dev, r->p, NULL));
	put_params(r);
}

static struct program *make(const struct graph *g, const struct program_options *o,
			    const struct target *t)
{
	struct program *p = program_make(g, o, t);

	if (!p)
		fail_msg("%s", fail_why());
	MUST(program_check(p));
	return p;
}

static struct target ref_target(struct device *dev)
{
	return backend_find("ref")->target(dev);
}

static void run_part(struct run *r, enum part from, enum part to)
{
	MUST(r->b->run(r->dev, r->p, r->p->begin[from], r->p->begin[to + 1]));
	MUST(r->b->wait(r->dev));
}

/* The loss of the batch, over count. */
static double loss_of(struct run *r, double count)
{
	float *losses = malloc((size_t)r->p->options.batch * 2 * sizeof *losses);
	double sum = 0;

	run_part(r, PART_FORWARD, PART_FORWARD);
	MUST(r->b->get(r->dev, r->p, r->p->losses, losses));
	for (int n = 0; n < r->p->options.batch; n++)
		sum += losses[2 * n];
	free(losses);
	return sum / count;
}

/* The slope of the loss along a direction, by differences. */
static double slope(struct run *r, int master, const float *w, const double *way, size_t n,
		    double h)
{
	double loss[2];
	float *moved = malloc(n * sizeof *moved);

	for (int side = 0; side < 2; side++) {
		for (size_t k = 0; k < n; k++)
			moved[k] = (float)(w[k] + (side ? h : -h) * way[k]);
		MUST(r->b->put(r->dev, r->p, master, moved));
		loss[side] = loss_of(r, BATCH);
	}
	MUST(r->b->put(r->dev, r->p, master, w));
	free(moved);
	return (loss[1] - loss[0]) / (2 * h);
}

/* Along the gradient itself, and along a way drawn at random. */
static void check_param(struct run *r, const char *net, int param)
{
	size_t n;
	float *w = get(r, r->p->master[param], &n);
	float *g = get(r, r->p->gradient[param], &n);
	double *way = malloc(n * sizeof *way), length = 0;
	struct rng rng;

	rng_init(&rng, 3, (uint64_t)param, "way");
	for (size_t k = 0; k < n; k++)
		length += (double)g[k] * g[k];
	length = sqrt(length);
	for (int random = 0; random < 2; random++) {
		double expect = 0, got, most = 0, h = 4e-3;

		for (size_t k = 0; k < n; k++) {
			way[k] = random ? rng_normal(&rng) : length > 0 ? g[k] / length : 0;
			most += way[k] * way[k];
		}
		for (size_t k = 0; k < n && most > 0; k++) {
			way[k] /= sqrt(most);
			expect += way[k] * g[k];
		}
		/* A bend of the loss may lie within h: then nearer, until rounding shows. */
		do {
			got = slope(r, r->p->master[param], w, way, n, h);
			h /= 4;
		} while (fabs(got - expect) > 0.01 * length + 5e-4 && h > 1e-4);
		if (fabs(got - expect) > 0.01 * length + 5e-4)
			fail_msg("%s: %s: %s: slope %g by differences, %g by backward", net,
				 r->p->graph->param[param].name,
				 random ? "random way" : "gradient's way", got, expect);
	}
	free(way);
	free(w);
	free(g);
}

static void backward_is_the_slope(void **state)
{
	(void)state;
	for (int i = 0; i < NETS; i++) {
		struct graph *g = net_of(nets[i].text, NULL, "classes=5");
		struct program_options o = options_of(1, BATCH);
		struct run r = run_of(NULL);
		struct target t = ref_target(r.dev);

		o.smoothing = 0.1;
		r.p = make(g, &o, &t);
		run_bind(&r);
		put_some_bad(&r, 0, 1, BATCH, 1);
		run_part(&r, PART_FORWARD, PART_BACKWARD);
		for (int k = 0; k < g->params; k++)
			if (r.p->gradient[k] >= 0)
				check_param(&r, nets[i].name, k);
		run_close(&r);
		graph_free(g);
	}
}

/* A bracketed program as its parts: everything stored, one step after the other. */
static void take_apart(struct program *p)
{
	for (int i = 0; i < p->values; i++)
		if (p->value[i].arena == ARENA_NONE)
			p->value[i].arena = ARENA_WORK;
	for (int i = 0; i < p->steps; i++)
		p->step[i].bracket = -1;
	p->brackets = 0;
	MUST(program_plan(p));
	MUST(program_check(p));
}

/* ref runs a bracket's parts, and asks for their workspaces. */
static int prepare_parts(void *dev, struct program *p, int step)
{
	int first, last, r = 0;

	(void)dev;
	step_extent(p, step, &first, &last);
	for (; first <= last && !r; first++)
		r = ref_backend.target(NULL).prepare(NULL, p, first);
	return r;
}

static void same_numbers(struct run *a, struct run *b, int x, int y, const char *name)
{
	size_t n, m;
	float *v = get(a, x, &n), *w = get(b, y, &m);

	assert_int_equal(n, m);
	for (size_t k = 0; k < n; k++)
		if (memcmp(&v[k], &w[k], sizeof *v) != 0)
			fail_msg("%s: number %zu: %g and %g", name, k, v[k], w[k]);
	free(v);
	free(w);
}

/* To the last bit, after two whole steps, for every rewrite and every part refused. */
static void brackets_mean_their_parts(void **state)
{
	static const int masks[] = {
		~0, ~FAKE_CONVS, ~(1 << BRACKET_AGAIN_BN_DX | FAKE_CONVS),
		~(1 << BRACKET_AGAIN_SUMS | FAKE_CONVS),
		~(1 << BRACKET_CONV_DX_SUMS), ~(1 << BRACKET_ACT_CONV_STATS),
		~(1 << BRACKET_SKIP_CONV_STATS | 1 << BRACKET_AGAIN_BN_DX),
		~(1 << BRACKET_ADD_ACT_DX_SUMS | 1 << BRACKET_ADD_ACT_DX_SUMS_SUMS),
		1 << BRACKET_ACT_DX_SUMS | 1 << BRACKET_AFFINE_ADD,
	};

	(void)state;
	for (int i = 0; i < NETS; i++) {
		struct graph *g = net_of(nets[i].text, NULL, "classes=5");
		struct program_options o = options_of(1, BATCH);
		struct run plain = run_of(NULL);
		struct target t = ref_target(plain.dev);

		plain.p = make(g, &o, &t);
		run_bind(&plain);
		for (int step = 0; step < 2; step++) {
			put_input(&plain, step * BATCH, 1, BATCH);
			run_part(&plain, PART_FORWARD, PART_UPDATE);
		}
		for (size_t k = 0; k < sizeof masks / sizeof *masks; k++) {
			struct fake f = { .brackets = masks[k], .blocked = k % 2 };
			struct target bracketing = fake_target(&f);
			struct run r;

			bracketing.prepare = prepare_parts;
			r = run_of(make(g, &o, &bracketing));
			take_apart(r.p);
			run_bind(&r);
			for (int step = 0; step < 2; step++) {
				put_input(&r, step * BATCH, 1, BATCH);
				run_part(&r, PART_FORWARD, PART_UPDATE);
			}
			for (int m = 0; m < g->params; m++)
				same_numbers(&plain, &r, plain.p->master[m], r.p->master[m],
					     g->param[m].name);
			run_close(&r);
		}
		run_close(&plain);
		graph_free(g);
	}
}

static void *run_all(void *arg)
{
	struct run *r = arg;

	return r->b->run(r->dev, r->p, 0, r->p->begin[PART_PACK]) < 0 ? (void *)fail_why() : NULL;
}

/* Two devices with half the batch each, statistics together. */
static void two_devices_are_one(void **state)
{
	(void)state;
	for (int i = 0; i < NETS; i++) {
		struct graph *g = net_of(nets[i].text, NULL, "classes=5");
		struct program_options o = options_of(1, BATCH);
		struct run one = run_of(NULL), two[2] = { run_of(NULL), run_of(NULL) };
		struct target t = ref_target(one.dev);
		struct device *devs[2] = { two[0].dev, two[1].dev };
		pthread_t thread[2];

		one.p = make(g, &o, &t);
		o.batch = BATCH / 2;
		o.devices = 2;
		o.sync_bn = 1;
		MUST(one.b->join(devs, 2, NULL));
		for (int k = 0; k < 2; k++) {
			t = ref_target(devs[k]);
			two[k].p = make(g, &o, &t);
			run_bind(&two[k]);
			put_input(&two[k], k * BATCH / 2, 1, BATCH);
		}
		run_bind(&one);
		put_input(&one, 0, 1, BATCH);
		run_part(&one, PART_FORWARD, PART_UPDATE);
		for (int k = 0; k < 2; k++)
			assert_int_equal(pthread_create(&thread[k], NULL, run_all, &two[k]), 0);
		for (int k = 0; k < 2; k++) {
			void *why;

			pthread_join(thread[k], &why);
			assert_null(why);
		}
		for (int m = 0; m < g->params; m++) {
			size_t n;
			float *v = get(&one, one.p->master[m], &n);
			float *w = get(&two[0], two[0].p->master[m], &n);

			same_numbers(&two[0], &two[1], two[0].p->master[m], two[1].p->master[m],
				     g->param[m].name);
			for (size_t k = 0; k < n; k++)
				/* running variances of halves know nothing of the means between */
				if (fabs((double)v[k] - w[k]) > 2e-5 * (1 + fabs((double)v[k])))
					fail_msg("%s: %s: number %zu: %g and %g", nets[i].name,
						 g->param[m].name, k, v[k], w[k]);
			free(v);
			free(w);
		}
		run_close(&one);
		run_close(&two[0]);
		run_close(&two[1]);
		graph_free(g);
	}
}

/* Evaluation shares masters with training and gives what training's forward would,
 * were its statistics the running ones: here, without batch norm, the same. */
static void evaluation_shares(void **state)
{
	struct graph *g = net_of("input 6 6 3\nnet = a: conv 3 8 2 bias=yes | relu6 | maxpool 2 |"
				 " dropout 0.5 | b: linear classes\n", NULL, "classes=5");
	struct program_options o = options_of(1, BATCH);
	struct run train = run_of(NULL), plain = run_of(NULL);
	struct target t = ref_target(train.dev);
	struct run eval = train;
	float p[2][BATCH * CLASSES];

	(void)state;
	train.p = make(g, &o, &t);
	o.training = 0;
	eval.p = make(g, &o, &t);
	plain.p = make(g, &o, &t);
	assert_true(eval.p->arena[ARENA_WORK] < train.p->arena[ARENA_WORK]);
	run_bind(&train);
	MUST(eval.b->bind(eval.dev, eval.p, train.p));
	run_bind(&plain);
	put_input(&train, 0, 1, BATCH);
	put_input(&eval, 0, 1, BATCH);
	put_input(&plain, 0, 1, BATCH);
	run_part(&eval, PART_FORWARD, PART_FORWARD);
	run_part(&plain, PART_FORWARD, PART_FORWARD);
	MUST(eval.b->get(eval.dev, eval.p, eval.p->probabilities, p[0]));
	MUST(plain.b->get(plain.dev, plain.p, plain.p->probabilities, p[1]));
	assert_memory_equal(p[0], p[1], sizeof p[0]);
	run_part(&train, PART_FORWARD, PART_UPDATE);
	run_part(&eval, PART_FORWARD, PART_FORWARD);
	MUST(eval.b->get(eval.dev, eval.p, eval.p->probabilities, p[0]));
	assert_memory_not_equal(p[0], p[1], sizeof p[0]);
	program_free(eval.p);
	run_close(&train);
	run_close(&plain);
	graph_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backward_is_the_slope),
		cmocka_unit_test(brackets_mean_their_parts),
		cmocka_unit_test(two_devices_are_one),
		cmocka_unit_test(evaluation_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
