/*
 * Batch norm folded into convolutions, in evaluation: which ones are; that a network gives
 * what it gives unfolded, with brackets and without, in fp32 and in bf16; and that an
 * evaluation between steps of training sees the newest parameters and statistics.
 */
#include "on_backend.h"
#include "program_nets.h"

#include "base/rng.h"
#include "dev/dev.h"

enum { CLASSES = 5, BATCH = 4 };

/* Every place that a batch norm can have: behind a convolution with one reader and with
 * two, behind groups and single channels, with a bias, without gain, behind a linear layer,
 * a pad, a cat and at the input; tails that are brackets and such that are not. */
static const char places_net[] =
	"input 9 9 3\n"
	"net = first: bn | a: [conv 3 16 | bn | relu6]\n"
	"    | cat (left: conv 3 8 groups=4 | (bn1: bn | relu, ()) | as l r | cat @l @r)\n"
	"          (right: [conv 3 16 2 same groups=16 | pad 0 4 0 4 | bn | swish])\n"
	"    | b: [bn gain=no | conv 1 12 bias=yes | bn bias=no | hardswish]\n"
	"    | sum (c: [conv 3 12 bias=yes | bn | sigmoid])\n"
	"          (d: [conv 3x1 12 | bn gain=no]) | relu\n"
	"    | sum () (e: [conv 3 12 groups=12 | bn])\n"
	"    | sum () (f: [conv 3 12 groups=3 | bn bias=no gain=no]) | swish\n"
	"    | g: [conv 3 32 | bn | relu | conv 3 32 | bn | tanh]\n"
	"    | sum () (h: [conv 3 32 | bn]) | hardswish | i: [conv 5 C 2 groups=C | bn | gelu]\n"
	"    | fc1: [linear 7 bias=yes | bn | relu] | fc2: linear classes\n";

static const struct { const char *name, *text; int folds, stay; } nets[] = {
	{ "places", places_net, 11, 4 }, { "small", small_net, 10, 0 },
	{ "mbconv", mbconv_net, 10, 0 }, { "cat", cat_net, 0, 2 }, { "shared", shared_net, 3, 0 },
	{ "preact", preact_net, 2, 4 }, { "efficient", efficient_net, 9, 0 },
	{ "moving", moving_net, 7, 0 }, { "cells", cells_net, 9, 0 },
};
enum { NETS = sizeof nets / sizeof *nets };

#define MUST(x) do { if ((x) < 0) fail_msg("%s: %s", #x, fail_why()); } while (0)

/* Programs of one device; those behind the first share its parameters. */
struct run {
	const struct backend *b;
	struct device *dev;
	struct program *p[2];
};

static void run_open(struct run *r, const char *backend)
{
	memset(r, 0, sizeof *r);
	r->dev = small_open(backend, strcmp(backend, "ref") ? 2 : 1, &r->b);
	assert_non_null(r->dev);
}

static void run_close(struct run *r)
{
	program_free(r->p[0]);
	program_free(r->p[1]);
	r->b->close(r->dev);
}

static void run_make(struct run *r, int k, const struct graph *g, const struct program_options *o)
{
	struct target t = r->b->target(r->dev);

	r->p[k] = program_make(g, o, &t);
	if (!r->p[k])
		fail_msg("%s", fail_why());
	MUST(program_check(r->p[k]));
	MUST(r->b->bind(r->dev, r->p[k], k ? r->p[0] : NULL));
}

static double drawn(struct rng *rng, const struct param *m)
{
	double x = rng_normal(rng);

	switch (m->class) {
	case PARAM_WEIGHT:
		return x * 1.5 / sqrt((double)param_numbers(m) / m->dim[0]);
	case PARAM_GAIN:
		return 1 + 0.3 * x;
	case PARAM_BIAS:
		return 0.3 * x;
	default:
		/* means to both sides, variances away from 0 */
		return strstr(m->name, "var") ? 0.5 + x * x : 0.5 * x;
	}
}

static void put_params(struct run *r)
{
	const struct graph *g = r->p[0]->graph;

	for (int i = 0; i < g->params; i++) {
		int64_t n = param_numbers(&g->param[i]);
		float *w = malloc((size_t)n * sizeof *w);
		struct rng rng;

		if (r->p[0]->master[i] < 0) {
			free(w);
			continue;
		}
		rng_init(&rng, 7, (uint64_t)i, "parameter");
		for (int64_t k = 0; k < n; k++)
			w[k] = (float)drawn(&rng, &g->param[i]);
		MUST(r->b->put(r->dev, r->p[0], r->p[0]->master[i], w));
		free(w);
	}
}

static void put_input(struct run *r, int k)
{
	struct program *p = r->p[k];
	size_t size = value_plain(&p->value[p->pixels]);
	unsigned char *pixels = malloc(size);
	int32_t labels[2 * BATCH];
	float shares[2 * BATCH];
	struct control c = { .seed = 5, .stride = 1, .lr = 0.1, .count = BATCH };
	struct rng rng;

	rng_init(&rng, 9, 0, "pixels");
	for (size_t i = 0; i < size; i++)
		pixels[i] = (unsigned char)rng_below(&rng, 256);
	for (int i = 0; i < BATCH; i++) {
		labels[2 * i] = i % CLASSES;
		labels[2 * i + 1] = -1;
		shares[2 * i] = 1;
		shares[2 * i + 1] = 0;
	}
	MUST(r->b->put(r->dev, p, p->pixels, pixels));
	MUST(r->b->put(r->dev, p, p->labels, labels));
	MUST(r->b->put(r->dev, p, p->shares, shares));
	MUST(r->b->put(r->dev, p, p->control, &c));
	free(pixels);
}

static void run_part(struct run *r, int k, enum part from, enum part to)
{
	MUST(r->b->run(r->dev, r->p[k], r->p[k]->begin[from], r->p[k]->begin[to]));
	MUST(r->b->wait(r->dev));
}

/* What goes into the softmax, for the same pixels each time. */
static void evaluate(struct run *r, int k, float logits[BATCH * CLASSES])
{
	const struct program *p = r->p[k];
	int i = 0;

	put_input(r, k);
	run_part(r, k, PART_FORWARD, PART_BACKWARD);
	while (p->step[i].kind != STEP_XENT)
		i++;
	MUST(r->b->get(r->dev, r->p[k], p->step[i].in[0], logits));
}

static double apart(const float *x, const float *y)
{
	double most = 0, worst = 0;

	for (int i = 0; i < BATCH * CLASSES; i++) {
		most = fmax(most, fabs(y[i]));
		worst = fmax(worst, isfinite(x[i]) ? fabs((double)x[i] - y[i]) : INFINITY);
	}
	return worst / most;
}

/* The logits of a network on a backend. */
static void logits_of(const char *backend, int net, enum dtype precision, const char *without,
		      float logits[BATCH * CLASSES])
{
	struct graph *g = net_of(nets[net].text, NULL, "classes=5");
	struct program_options o = options_of(0, BATCH);
	struct run r;

	o.precision = precision;
	o.without = without;
	run_open(&r, backend);
	run_make(&r, 0, g, &o);
	put_params(&r);
	run_part(&r, 0, PART_PACK, PARTS);
	evaluate(&r, 0, logits);
	run_close(&r);
	graph_free(g);
}

static int as_ref(const char *backend, int net, enum dtype precision, double tolerance)
{
	static const char *const without[] = { NULL, "epilogue", "winograd", "fold", "all" };
	float ref[BATCH * CLASSES], x[BATCH * CLASSES];
	int bad = 0;

	logits_of("ref", net, DTYPE_F32, "all", ref);
	for (size_t k = 0; k < sizeof without / sizeof *without; k++) {
		double d;

		logits_of(backend, net, precision, without[k], x);
		d = apart(x, ref);
		if (d <= tolerance)
			continue;
		print_error("%s on %s in %s, without %s: %.2g apart\n", nets[net].name, backend,
			    dtype_name(precision), without[k] ? without[k] : "nothing", d);
		bad++;
	}
	return bad;
}

/* A number of bf16 has 8 bits, one of fp16 11, and there are some ten roundings one after
 * the other. */
enum { IN_FP32, IN_FP16, IN_BF16 };
static const double tolerance[] = { 2e-4, 8e-3, 0.08 };

/* What the backend computes in: a device of cuda that is tested in the CPU's place may
 * be of another type. */
static int type_of(const char *backend)
{
	const char *device = strcmp(backend, "ref") ? getenv("OPS_DEVICE") : NULL;

	return device && strstr(device, "fp16") ? IN_FP16 :
	       device && strstr(device, "bf16") ? IN_BF16 : IN_FP32;
}

static void folded_is_unfolded(void **state)
{
	const char *backend = backend_of(state);
	int bad = 0;

	for (int i = 0; i < NETS; i++)
		bad += as_ref(backend, i, DTYPE_F32, tolerance[type_of(backend)]);
	assert_int_equal(bad, 0);
}

static int has_bf16(void)
{
	const struct backend *b;
	struct device *dev = small_open("cpu", 1, &b);
	struct graph *g = net_of(small_net, NULL, "classes=5");
	struct program_options o = options_of(0, BATCH);
	struct target t = b->target(dev);
	struct program *p;

	o.precision = DTYPE_BF16;
	p = program_make(g, &o, &t);
	program_free(p);
	graph_free(g);
	b->close(dev);
	return p != NULL;
}

static void in_bf16(void **state)
{
	int bad = 0;

	backend_needed(*state);
	if (!has_bf16()) {
		print_message("%s\n", fail_why());
		skip();
	}
	for (int i = 0; i < NETS; i++)
		bad += as_ref("cpu", i, DTYPE_BF16, tolerance[IN_BF16]);
	assert_int_equal(bad, 0);
}

/* ---- which ones ---- */

/* No prologues, which copy affines. */
enum { TAKEN = (1 << BRACKET_CONV_STATS) - 1 };

static int folds(int net, int training, const char *without, int *affines)
{
	struct graph *g = net_of(nets[net].text, NULL, "classes=5");
	struct program_options o = options_of(training, BATCH);
	struct fake f = { .brackets = TAKEN, .packs = 1 };
	struct program *p;
	int n;

	o.without = without;
	p = checked(g, &o, &f);
	n = count_steps(p, STEP_FOLD, PART_PACK);
	assert_int_equal(n, count_steps(p, STEP_FOLD, -1));
	*affines = count_steps(p, STEP_AFFINE, PART_FORWARD);
	assert_int_equal(*affines, count_steps(p, STEP_COEF, PART_FORWARD));
	program_free(p);
	graph_free(g);
	return n;
}

static void those_behind_convolutions(void **state)
{
	int affines;

	(void)state;
	for (int i = 0; i < NETS; i++) {
		assert_int_equal(folds(i, 0, NULL, &affines), nets[i].folds);
		assert_int_equal(affines, nets[i].stay);
		assert_int_equal(folds(i, 0, "fold", &affines), 0);
		assert_int_equal(affines, nets[i].folds + nets[i].stay);
		assert_int_equal(folds(i, 0, "all", &affines), 0);
		assert_int_equal(folds(i, 1, NULL, &affines), 0);
	}
}

/* Packed from what was folded, not from the master; the folded weights of a kernel that
 * packs are not kept, those of one that does not are. */
static void packed_from_folded(void **state)
{
	struct graph *g = net_of(small_net, NULL, "classes=5");
	struct program_options o = options_of(0, BATCH);

	(void)state;
	for (int packs = 0; packs < 2; packs++) {
		struct fake f = { .packs = packs };
		struct program *p = checked(g, &o, &f);

		assert_int_equal(count_steps(p, STEP_PACK, PART_PACK), packs ? 11 : 0);
		for (int i = 0; i < p->steps; i++) {
			const struct step *s = &p->step[i];
			const struct value *in = &p->value[s->in[0]];

			if (s->kind == STEP_PACK)
				assert_int_equal(in->arena,
						 in->param < 0 ? ARENA_WORK : ARENA_PARAM);
			if (s->kind != STEP_FOLD)
				continue;
			assert_int_equal(p->value[s->out[0]].arena,
					 packs ? ARENA_WORK : ARENA_PACKED);
			assert_int_equal(p->value[s->out[1]].arena, ARENA_PACKED);
		}
		program_free(p);
	}
	graph_free(g);
}

static void epilogues_are_drawn(void **state)
{
	struct graph *g = net_of(resnet_net, "depth=50", "classes=10");
	struct fake f = { .brackets = TAKEN };
	struct program_options o = options_of(0, 2);
	struct program *p = checked(g, &o, &f);

	(void)state;
	assert_int_equal(count_steps(p, STEP_FOLD, PART_PACK), 53);
	assert_int_equal(count_brackets(p, BRACKET_CONV_ACT), 33);
	assert_int_equal(count_brackets(p, BRACKET_CONV_ADD_ACT), 16);
	program_free(p);
	o.without = "fold";
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ACT), 33);
	program_free(p);
	o.without = "epilogue";
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_CONV_ACT), 0);
	assert_int_equal(count_brackets(p, BRACKET_ADD_ACT), 16);
	program_free(p);
	graph_free(g);
	/* linear bottlenecks: a sum without an activation */
	o.without = NULL;
	g = net_of(mbconv_net, NULL, "classes=10");
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_CONV_ADD), 2);
	program_free(p);
	graph_free(g);
}

/* ---- evaluation between steps of training ---- */

/* A step of training, then evaluation by the program that shares its parameters, before
 * and after PACK made its copies anew; against one made with the parameters as they are. */
static void newest_parameters(void **state)
{
	const char *backend = backend_of(state);
	struct graph *g = net_of(small_net, NULL, "classes=5");
	struct program_options train = options_of(1, BATCH), eval = options_of(0, BATCH);
	float before[BATCH * CLASSES], stale[BATCH * CLASSES], fresh[BATCH * CLASSES];
	float other[BATCH * CLASSES];
	struct run r, ref;

	run_open(&r, backend);
	run_make(&r, 0, g, &train);
	run_make(&r, 1, g, &eval);
	put_params(&r);
	run_part(&r, 0, PART_PACK, PARTS);
	run_part(&r, 1, PART_PACK, PARTS);
	evaluate(&r, 1, before);
	put_input(&r, 0);
	run_part(&r, 0, PART_FORWARD, PARTS);
	evaluate(&r, 1, stale);
	run_part(&r, 1, PART_PACK, PARTS);
	evaluate(&r, 1, fresh);

	eval.without = "all";
	run_open(&ref, "ref");
	run_make(&ref, 0, g, &eval);
	for (int i = 0; i < g->params; i++) {
		float *w = malloc((size_t)param_numbers(&g->param[i]) * sizeof *w);

		MUST(r.b->get(r.dev, r.p[0], r.p[0]->master[i], w));
		MUST(ref.b->put(ref.dev, ref.p[0], ref.p[0]->master[i], w));
		free(w);
	}
	run_part(&ref, 0, PART_PACK, PARTS);
	evaluate(&ref, 0, other);
	assert_true(apart(fresh, other) <= tolerance[type_of(backend)]);
	/* and one could tell */
	assert_true(apart(stale, other) > 3 * tolerance[type_of(backend)]);
	assert_true(apart(before, other) > 3 * tolerance[type_of(backend)]);
	run_close(&r);
	run_close(&ref);
	graph_free(g);
}

/* Made again with the kernels that it has: the same steps in the same order. */
static void kernels_are_obeyed(void **state)
{
	const char *backend = backend_of(state);
	struct graph *g = net_of(places_net, NULL, "classes=5");
	struct program_options o = options_of(0, BATCH);
	const char **how;
	struct run r;

	run_open(&r, backend);
	run_make(&r, 0, g, &o);
	how = calloc((size_t)r.p[0]->steps, sizeof *how);
	for (int i = 0; i < r.p[0]->steps; i++)
		how[i] = r.p[0]->step[i].how;
	o.how = how;
	o.hows = r.p[0]->steps;
	run_make(&r, 1, g, &o);
	assert_int_equal(r.p[0]->steps, r.p[1]->steps);
	for (int i = 0; i < r.p[0]->steps; i++) {
		assert_int_equal(r.p[0]->step[i].kind, r.p[1]->step[i].kind);
		assert_string_equal(r.p[0]->step[i].how, r.p[1]->step[i].how);
	}
	free(how);
	run_close(&r);
	graph_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_behind_convolutions),
		cmocka_unit_test(packed_from_folded),
		cmocka_unit_test(epilogues_are_drawn),
		ON("ref", folded_is_unfolded),
		ON("cpu", folded_is_unfolded),
		ON("cpu", in_bf16),
		ON("ref", newest_parameters),
		ON("cpu", newest_parameters),
		ON("ref", kernels_are_obeyed),
		ON("cpu", kernels_are_obeyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
