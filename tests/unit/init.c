/* Initial values: their distributions, the fans in formulas, and what they depend on. */
#include "base/fail.h"
#include "net/net_text.h"
#include "train/init.h"
#include "train/state.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct graph *graph_of(const char *text)
{
	struct graph *g = net_read("test", text, strlen(text), NULL, 0);

	if (!g)
		fail_msg("%s", fail_why());
	return g;
}

static int find(const struct graph *g, const char *name)
{
	for (int i = 0; i < g->params; i++)
		if (!strcmp(g->param[i].name, name))
			return i;
	fail_msg("no parameter %s", name);
	return -1;
}

static void expect(const struct graph *g, const char *name, enum init_kind kind, double spread)
{
	const struct param *p = &g->param[find(g, name)];

	if (p->init != kind || !(fabs(p->spread - spread) <= 1e-12 * fabs(spread)))
		fail_msg("%s: kind %d of %.9g, not %d of %.9g", name, p->init, p->spread, kind,
			 spread);
}

/*
 * fan_in: the numbers that one output is made from; fan_out: the outputs that one input
 * has a part in, where the window does not stride. Both within a group.
 */
static void fans(void **state)
{
	struct graph *g = graph_of(
		"input 5 7 12\n"
		"net = a: [conv 3 20 init=normal(fan_in) | conv 3 20 2 init=normal(fan_out)\n"
		"         | conv 1x7 16 init=normal(fan_in) | conv 7x1 8 init=normal(fan_out)\n"
		"         | conv 3 24 groups=4 init=normal(fan_in)\n"
		"         | conv 3 12 groups=4 init=normal(fan_out)]\n"
		"    | b: [conv 5 C groups=C init=normal(fan_in)\n"
		"         | conv 5 C groups=C init=normal(fan_out)\n"
		"         | conv 3 2*C groups=C init=normal(fan_out)\n"
		"         | conv 3 6 dilation=2 init=normal(C) | linear 10 init=normal(fan_in)]\n"
		"    | c: linear classes init=normal(fan_out)\n");

	(void)state;
	expect(g, "a.0.weight", INIT_NORMAL, 3 * 3 * 12);
	expect(g, "a.1.weight", INIT_NORMAL, 3 * 3 * 20);
	expect(g, "a.2.weight", INIT_NORMAL, 7 * 20);
	expect(g, "a.3.weight", INIT_NORMAL, 7 * 8);
	expect(g, "a.4.weight", INIT_NORMAL, 3 * 3 * 8 / 4);
	expect(g, "a.5.weight", INIT_NORMAL, 3 * 3 * 12 / 4);
	expect(g, "b.0.weight", INIT_NORMAL, 5 * 5);
	expect(g, "b.1.weight", INIT_NORMAL, 5 * 5);
	expect(g, "b.2.weight", INIT_NORMAL, 3 * 3 * 2);
	expect(g, "b.3.weight", INIT_NORMAL, 24);
	expect(g, "b.4.weight", INIT_NORMAL, 3 * 4 * 6);        /* of 3x4x6, after the stride */
	expect(g, "c.weight", INIT_NORMAL, 1000);
	graph_free(g);
}

static void defaults(void **state)
{
	struct graph *g = graph_of(
		"input 8 8 3\n"
		"net = conv: conv 3 16 bias=yes | bn: bn init=0 | norm: layernorm | scale: scale 1e-6\n"
		"    | wise: conv 3 C groups=C | open: conv 1 4 bias=yes biasinit=0.1\n"
		"    | fc: linear classes biasinit=(-4.6)\n");

	(void)state;
	expect(g, "conv.weight", INIT_NORMAL, sqrt(2.0 / (9 * 16)));
	expect(g, "wise.weight", INIT_NORMAL, sqrt(2.0 / 9));
	expect(g, "conv.bias", INIT_CONSTANT, 0);
	expect(g, "bn.weight", INIT_CONSTANT, 0);
	expect(g, "bn.bias", INIT_CONSTANT, 0);
	expect(g, "bn.running_mean", INIT_CONSTANT, 0);
	expect(g, "bn.running_var", INIT_CONSTANT, 1);
	expect(g, "norm.weight", INIT_CONSTANT, 1);
	expect(g, "norm.bias", INIT_CONSTANT, 0);
	expect(g, "scale", INIT_CONSTANT, 1e-6);
	expect(g, "open.bias", INIT_CONSTANT, 0.1);
	expect(g, "fc.weight", INIT_UNIFORM, 1 / sqrt(8 * 8 * 4));
	expect(g, "fc.bias", INIT_CONSTANT, -4.6);
	graph_free(g);
}

/* Share of a standard distribution within -x .. x. */
static double within_normal(double x)
{
	return erf(x / sqrt(2));
}

static double within_trunc(double x)
{
	return x < 2 ? erf(x / sqrt(2)) / erf(sqrt(2)) : 1;
}

static double within_uniform(double x)
{
	return x < 1 ? x : 1;
}

/*
 * n draws against their distribution: mean, second and fourth moment, shares within
 * bounds, neighbours' products. Each figure is a mean of independent terms of known
 * deviation, and must be within five of its own deviations.
 */
static void judge(const float *v, int64_t n, double spread, double (*within)(double),
		  double second, double fourth, double eighth, double bound)
{
	double m1 = 0, m2 = 0, m4 = 0, neighbours = 0, most = 0, root = sqrt((double)n);
	int64_t inside[12] = { 0 };

	for (int64_t i = 0; i < n; i++) {
		double x = (double)v[i] / spread;

		m1 += x;
		m2 += x * x;
		m4 += x * x * x * x;
		neighbours += i ? x * (double)v[i - 1] / spread : 0;
		most = fmax(most, fabs(x));
		for (int k = 0; k < 12; k++)
			inside[k] += fabs(x) < 0.2 * (k + 1);
	}
	assert_true(fabs(m1 / (double)n) < 5 * sqrt(second) / root);
	assert_true(fabs(m2 / (double)n - second) < 5 * sqrt(fourth - second * second) / root);
	assert_true(fabs(m4 / (double)n - fourth) < 5 * sqrt(eighth - fourth * fourth) / root);
	assert_true(fabs(neighbours / (double)n) < 5 * second / root);
	assert_true(most <= bound * (1 + 1e-7));
	if (isfinite(bound))
		assert_true(most > bound * (1 - 100.0 / (double)n));
	for (int k = 0; k < 12; k++) {
		double p = within(0.2 * (k + 1));

		if (!(fabs((double)inside[k] / (double)n - p) <= 5 * sqrt(p * (1 - p)) / root))
			fail_msg("%.9g within %.1f, not %.9g", (double)inside[k] / (double)n,
				 0.2 * (k + 1), p);
	}
}

/* Moments of the normal distribution cut at two deviations, by parts:
 * m(k) = (k - 1) m(k - 2) - 2^k density(2) / share. */
static double trunc_moment(int k)
{
	double edge = 2 * exp(-2) / sqrt(2 * 3.14159265358979324) / erf(sqrt(2));

	return k == 0 ? 1 : (k - 1) * trunc_moment(k - 2) - pow(2, k - 1) * edge;
}

static void distributions(void **state)
{
	struct graph *g = graph_of(
		"input 1 1 1000\n"
		"net = n: linear 300 init=normal(sqrt(2/fan_in)) | t: linear 1000 init=trunc(0.02)\n"
		"    | u: linear 300 init=uniform(sqrt(6/(fan_in+fan_out)))\n");
	static const char *const name[] = { "n.weight", "t.weight", "u.weight" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		const struct param *p = &g->param[find(g, name[i])];
		int64_t n = param_numbers(p);
		float *v = malloc((size_t)n * sizeof(*v));

		assert_non_null(v);
		init_param(p, 7, v);
		if (i == 0)
			judge(v, n, sqrt(2.0 / 1000), within_normal, 1, 3, 105, (double)INFINITY);
		else if (i == 1)
			judge(v, n, 0.02, within_trunc, trunc_moment(2), trunc_moment(4),
			      trunc_moment(8), 2);
		else
			judge(v, n, sqrt(6.0 / 1300), within_uniform, 1.0 / 3, 1.0 / 5, 1.0 / 9, 1);
		free(v);
	}
	graph_free(g);
}

/* Draws all of a network. The caller releases the state, then the graph. */
static void draw(struct state *s, const char *text, uint64_t seed)
{
	assert_int_equal(state_make(s, graph_of(text), 1), 0);
	state_init(s, seed);
}

static void release(struct state *s)
{
	const struct graph *g = s->graph;

	state_release(s);
	graph_free((struct graph *)g);
}

/* Equal numbers of two parameters, of as many as the smaller one has. */
static int64_t equal(const struct state *a, const char *one, const struct state *b,
		     const char *two)
{
	int i = find(a->graph, one), k = find(b->graph, two);
	int64_t n = param_numbers(&a->graph->param[i]), same = 0;

	assert_int_equal(n, param_numbers(&b->graph->param[k]));
	for (int64_t j = 0; j < n; j++)
		same += a->data[i][j] == b->data[k][j];
	return same;
}

static void what_values_depend_on(void **state)
{
	static const char *const text =
		"input 8 8 3\n"
		"net = one: conv 3 8 | two: conv 3 8 | fc: linear classes\n";
	static const char *const more =         /* a layer more, another order */
		"input 8 8 3\n"
		"net = one: conv 3 8 | between: conv 3 8 | bn: bn | two: conv 3 8\n"
		"    | fc: linear classes\n";
	static const char *const names[] = { "one.weight", "two.weight", "fc.weight" };
	struct state a, again, other, longer;

	(void)state;
	draw(&a, text, 1);
	draw(&again, text, 1);
	draw(&other, text, 2);
	draw(&longer, more, 1);
	for (int i = 0; i < 3; i++) {
		int64_t n = param_numbers(&a.graph->param[find(a.graph, names[i])]);

		assert_int_equal(equal(&a, names[i], &again, names[i]), n);
		assert_int_equal(equal(&a, names[i], &longer, names[i]), n);
		assert_true(equal(&a, names[i], &other, names[i]) < n / 100);
	}
	assert_int_equal(equal(&longer, "between.weight", &longer, "two.weight"), 0);
	release(&a);
	release(&again);
	release(&other);
	release(&longer);
}

/* As computed apart, from Salmon et al. 2011 and Box and Muller 1958: a seed gives the same
 * numbers in every version. */
static void known_numbers(void **state)
{
	static const double want[3][3] = { { -0.46695570, -0.45808497, 1.60029759 },
					   { 0.04114359, -0.50643976, 0.22676681 },
					   { -0.55992627, 0.21516117, -0.67950486 } };
	static const char *const name[] = { "a.weight", "b.weight", "c.weight" };
	struct state s;

	(void)state;
	draw(&s, "input 1 1 4\nnet = a: linear 3 init=normal(1) | b: linear 3 init=trunc(1)\n"
	     "    | c: linear 3 init=uniform(1)\n", 5);
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++)
			if (!(fabs((double)s.data[find(s.graph, name[i])][k] - want[i][k]) <= 1e-7))
				fail_msg("%s[%d] = %.9g", name[i], k,
					 (double)s.data[find(s.graph, name[i])][k]);
	release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fans),
		cmocka_unit_test(defaults),
		cmocka_unit_test(distributions),
		cmocka_unit_test(what_values_depend_on),
		cmocka_unit_test(known_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
