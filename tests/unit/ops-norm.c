/*
 * Batch normalisation with what stands beside it, forward and backward, in the forms
 * that networks have, so that every bracket (net/bracket.h) is met with and without:
 *
 *   plain      act(bn(x))
 *   skip       act(bn(x) + r), r's gradient wanted
 *   two        act(bn(x) + bn(r))
 *   sum        bn(x) + r, nothing after
 *   two sum    bn(x) + bn(r), nothing after
 *   bare       act(x + r)
 *
 * (and a gate's gradient, which has a bracket too), each also with dy as a sum of two; act is relu, relu6, one whose slope follows from its
 * result (sigmoid), or one whose slope does not (swish).
 *
 * Tolerances: sums of up to 2,000 numbers in fp32 (0.3e-6 each), divided by deviations;
 * dx cancels up to a factor of ten. Numbers next to an activation's corner would flip
 * by rounding: seeds are such that none lies within 1e-5 of it (looked for).
 */
#include "on_backend.h"

#include "base/fail.h"
#include "net/bracket.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct bn_case { int n, h, w, c; };

static const struct bn_case cases[] = {
	{ 2, 5, 5, 16 }, { 3, 4, 3, 5 }, { 1, 7, 7, 24 }, { 2, 1, 1, 10 }, { 16, 1, 1, 33 },
	{ 1, 14, 14, 48 }, { 2, 31, 33, 17 },
};

enum { CASES = sizeof cases / sizeof *cases };
enum form { PLAIN, SKIP, TWO, SUM, TWO_SUM, BARE, FORMS };

static const char *const form_name[FORMS] = { "plain", "skip", "two", "sum", "two sum", "bare" };

/* A normalisation: its values. */
struct bn { int x, gain, bias, m, ab, v, s, dgain, dbias, dx; };

struct net {
	struct small s;
	struct bn_attr attr;
	struct act_attr act;
	struct bn bn[2];
	int in[2], dy[2], dz, y, z;
};

static void bn_values(struct net *t, struct bn *bn, const struct bn_case *c)
{
	struct small *s = &t->s;

	bn->x = small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	small_fill(s, bn->x, -1, 3);
	bn->gain = small_vector(s, c->c);
	small_fill(s, bn->gain, 0.5, 1.5);
	bn->bias = small_vector(s, c->c);
	bn->m = small_rows(s, SMALL_OUT, 2, c->c);
	bn->ab = small_rows(s, SMALL_OUT, 2, c->c);
	bn->v = small_value(s, SMALL_MID, c->n, c->h, c->w, c->c);
	bn->s = small_rows(s, SMALL_OUT, 2, c->c);
	bn->dgain = small_gradient(s, bn->gain);
	bn->dbias = small_gradient(s, bn->bias);
	bn->dx = small_value(s, SMALL_OUT, c->n, c->h, c->w, c->c);
}

static void bn_forward(struct net *t, const struct bn *bn)
{
	small_step(&t->s, PART_FORWARD, STEP_STATS, &t->attr, OF(bn->x), OF(bn->m));
	small_step(&t->s, PART_FORWARD, STEP_COEF, &t->attr, OF(bn->m, bn->gain, bn->bias, -1),
		   OF(bn->ab));
	small_step(&t->s, PART_FORWARD, STEP_AFFINE, NULL, OF(bn->x, bn->ab), OF(bn->v));
}

static void bn_backward(struct net *t, const struct bn *bn, int dv)
{
	small_step(&t->s, PART_BACKWARD, STEP_BN_SUMS, &t->attr, OF(dv, bn->x, bn->m),
		   OF(bn->s, bn->dgain, bn->dbias));
	small_step(&t->s, PART_BACKWARD, STEP_BN_DX, &t->attr,
		   OF(dv, bn->x, bn->m, bn->gain, bn->s), OF(bn->dx));
}

/* One of the sum's operands. */
static void operand(struct net *t, const struct bn_case *c, int k, int normalised)
{
	if (normalised) {
		bn_values(t, &t->bn[k], c);
		bn_forward(t, &t->bn[k]);
		t->in[k] = t->bn[k].v;
	} else {
		t->in[k] = small_value(&t->s, SMALL_IN, c->n, c->h, c->w, c->c);
	}
}

/* y = act(z), z the sum of what the form has; and its backward. */
static void net_make(struct net *t, const struct bn_case *c, enum form form, enum op_id act,
		     int sum_of_gradients)
{
	struct small *s = &t->s;
	int k, dy, acts = form != SUM && form != TWO_SUM;

	memset(t, 0, sizeof *t);
	small_init(s, "bn %s %dx%dx%dx%d act %d%s", form_name[form], c->n, c->h, c->w, c->c,
		   (int)act, sum_of_gradients ? " sum" : "");
	t->attr = (struct bn_attr){ 1e-3, 0.9, (int64_t)c->n * c->h * c->w, 1 };
	t->act.act = act;
	operand(t, c, 0, form != BARE);
	if (form != PLAIN)
		operand(t, c, 1, form == TWO || form == TWO_SUM);
	t->y = small_value(s, SMALL_OUT, c->n, c->h, c->w, c->c);
	t->z = t->in[0];
	if (form != PLAIN) {
		t->z = acts ? small_value(s, SMALL_MID, c->n, c->h, c->w, c->c) : t->y;
		small_step(s, PART_FORWARD, STEP_ADD, NULL, OF(t->in[0], t->in[1]), OF(t->z));
	}
	if (acts)
		small_step(s, PART_FORWARD, STEP_ACT, &t->act, OF(t->z), OF(t->y));

	t->dy[0] = dy = small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	if (sum_of_gradients) {
		t->dy[1] = small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
		dy = small_value(s, SMALL_MID, c->n, c->h, c->w, c->c);
		small_step(s, PART_BACKWARD, STEP_ADD, NULL, OF(t->dy[0], t->dy[1]), OF(dy));
	}
	t->dz = dy;
	if (acts) {
		/* with a skip, others read the masked gradient too */
		t->dz = small_value(s, form == SKIP || form == BARE ? SMALL_OUT : SMALL_MID,
				    c->n, c->h, c->w, c->c);
		small_step(s, PART_BACKWARD, STEP_ACT_DX, &t->act, 
			   OF(dy, act_dx_reads_x(act) ? t->z : t->y), OF(t->dz));
	}
	for (k = 0; k < 2; k++)
		if (t->bn[k].dx)
			bn_backward(t, &t->bn[k], t->dz);
}

/* The smallest distance of what an activation reads from its corners, 0 and 6: from y
 * alone, as ref gives it. */
static double corner(struct net *t)
{
	struct small_setup setup = { "ref", SMALL_NHWC, "all", 0, 0 };
	struct small_value *y = &t->s.value[t->y];
	struct bound *b = small_bind(&t->s, &setup);
	double least = 1;
	size_t i;

	assert_non_null(b);
	assert_int_equal(bound_run(b), 0);
	for (i = 0; i < y->numbers; i++) {
		double x = y->got[i];

		if (x > 0 && x < least)
			least = x;
		if (x < 6 && 6 - x < least)
			least = 6 - x;
	}
	bound_free(b);
	return least;
}

static void ref_differences(void **state)
{
	static const struct bn_case small[] = { { 2, 3, 2, 3 }, { 3, 1, 1, 4 }, { 1, 4, 4, 2 } };
	int i, form, k, j, bad = 0;

	(void)state;
	for (i = 0; i < 3; i++)
		for (form = 0; form < FORMS; form++) {
			struct net t;
			const float *dy;
			double h = 1.0 / 1024;

			/* without corners */
			net_make(&t, &small[i], form, i ? OP_TANH : OP_SWISH, 0);
			dy = t.s.value[t.dy[0]].given;
			for (k = 0; k < 2; k++) {
				const struct bn *bn = &t.bn[k];
				const int of[][2] = {
					{ bn->x, bn->dx }, { bn->gain, bn->dgain },
					{ bn->bias, bn->dbias }
				};

				for (j = 0; bn->dx && j < 3; j++)
					bad += small_differences(&t.s, of[j][0], of[j][1], t.y, dy,
								 h, 1e-3);
			}
			if (form == SKIP || form == BARE)
				bad += small_differences(&t.s, t.in[1], t.dz, t.y, dy, h, 1e-3);
			small_release(&t.s);
		}
	assert_int_equal(bad, 0);
}

static int one(const char *backend, const struct bn_case *c, enum form form, enum op_id act,
	       int sum_of_gradients)
{
	/* in bf16 one activation in a thousand is on the other side of its corner; of two
	 * numbers a channel nothing is left of dx but rounding, little in fp32 */
	int few = c->n * c->h * c->w < 16;
	double brief = few ? 0 : form != SUM && form != TWO_SUM ? 0.08 : 0.01;
	struct small_tolerance most = { few ? 6e-5 : 2e-5, 2e-5, brief };
	struct net t;
	uint64_t seed;
	int bad, k;

	net_make(&t, c, form, act, sum_of_gradients);
	for (seed = 1; seed < 50 && t.z != t.y && (act == OP_RELU || act == OP_RELU6) &&
	     corner(&t) < 1e-5; seed++) {
		t.s.seed = seed + 1;
		for (k = 0; k < t.s.values; k++)
			if (t.s.value[k].role == SMALL_IN)
				small_fill(&t.s, k, -1, 1 + 2 * (k == t.bn[0].x));
	}
	assert_true(seed < 50);
	bad = small_against_ref(&t.s, backend, most);
	small_release(&t.s);
	return bad;
}

/* The gradient behind a gate: dy g + what an average hands back, the sum in either order. */
static int gate(const char *backend, const struct bn_case *c, int swapped)
{
	struct small_tolerance most = { 2e-6, 2e-6, 0.01 };
	struct pool_attr pool = { .window = { .k = { c->h, c->w }, .s = { 1, 1 },
					      .dilation = { 1, 1 } },
				  .in_h = c->h, .in_w = c->w, .out_h = 1, .out_w = 1 };
	struct small s;
	int dy, g, average, through, back, sum, bad;

	small_init(&s, "gate %dx%dx%dx%d", c->n, c->h, c->w, c->c);
	dy = small_value(&s, SMALL_IN, c->n, c->h, c->w, c->c);
	g = small_value(&s, SMALL_IN, c->n, 1, 1, c->c);
	average = small_value(&s, SMALL_IN, c->n, 1, 1, c->c);
	through = small_value(&s, SMALL_MID, c->n, c->h, c->w, c->c);
	back = small_value(&s, SMALL_MID, c->n, c->h, c->w, c->c);
	sum = small_value(&s, SMALL_OUT, c->n, c->h, c->w, c->c);
	small_step(&s, PART_BACKWARD, STEP_MUL, NULL, OF(dy, g), OF(through));
	small_step(&s, PART_BACKWARD, STEP_AVGPOOL_DX, &pool, OF(average), OF(back));
	small_step(&s, PART_BACKWARD, STEP_ADD, NULL,
		   swapped ? OF(back, through) : OF(through, back), OF(sum));
	bad = small_against_ref(&s, backend, most);
	small_release(&s);
	return bad;
}

static void against(const char *backend)
{
	int i, form, sum, bad = 0;

	backend_needed(backend);
	for (i = 0; i < CASES; i++)
		for (sum = 0; sum < 2; sum++)
			bad += gate(backend, &cases[i], sum);
	for (i = 0; i < CASES; i++)
		for (form = 0; form < FORMS; form++)
			for (sum = 0; sum < 2; sum++)
				bad += one(backend, &cases[i], form, i % 2 ? OP_RELU6 : OP_RELU,
					   sum) +
				       one(backend, &cases[i], form, i % 2 ? OP_SIGMOID : OP_SWISH,
					   sum);
	assert_int_equal(bad, 0);
}

/* All that bracket.h lists have been run, but those with convolutions (ops-conv.c,
 * ops-fused.c). */
static void all_brackets_were_met(void)
{
	char name[64];
	int i;

	for (i = 0; i < BRACKET_KINDS; i++) {
		snprintf(name, sizeof name, ", %s, ", bracket_table[i].name);
		if (!strstr(name, "conv") && !strstr(small_brackets(), name)) {
			print_error("not met: %s\n", bracket_table[i].name);
			assert_true(0);
		}
	}
}

static void ref_layouts(void **state)
{
	(void)state;
	against("ref");
	assert_string_equal(small_brackets(), ", ");
}

static void cpu(void **state)
{
	(void)state;
	against("cpu");
	all_brackets_were_met();
}

/* Evaluation: running statistics, absent gain and bias. */
static void evaluation(void **state)
{
	const char *backend = backend_of(state);
	struct small_tolerance most = { 2e-6, 2e-6, 0.005 };
	struct bn_attr attr = { 1e-5, 0.9, 0, 1 };
	int i, bare, bad = 0;

	for (i = 0; i < CASES; i++)
		for (bare = 0; bare < 2; bare++) {
			const struct bn_case *c = &cases[i];
			struct small s;
			int x, gain, bias, mean, variance, ab, y;

			small_init(&s, "bn evaluation %dx%dx%dx%d", c->n, c->h, c->w, c->c);
			x = small_value(&s, SMALL_IN, c->n, c->h, c->w, c->c);
			gain = small_vector(&s, c->c);
			bias = small_vector(&s, c->c);
			mean = small_vector(&s, c->c);
			variance = small_vector(&s, c->c);
			small_fill(&s, variance, 0.5, 4);
			ab = small_rows(&s, SMALL_OUT, 2, c->c);
			y = small_value(&s, SMALL_OUT, c->n, c->h, c->w, c->c);
			small_step(&s, PART_FORWARD, STEP_COEF, &attr,
				   OF(mean, bare ? -1 : gain, bare ? -1 : bias, variance), OF(ab));
			small_step(&s, PART_FORWARD, STEP_AFFINE, NULL, OF(x, ab), OF(y));
			bad += small_against_ref(&s, backend, most);
			small_release(&s);
		}
	assert_int_equal(bad, 0);
}

/* By the formula, with numbers worked out by hand: x 1 2 3 6, mean 3, variance 3.5. */
static void known_numbers(void **state)
{
	struct small_setup setup = { "ref", SMALL_NHWC, "all", 0, 0 };
	struct bn_case c = { 4, 1, 1, 1 };
	struct net t;
	struct bound *b;
	float *m, *ab;

	(void)state;
	net_make(&t, &c, PLAIN, OP_RELU, 0);
	memcpy(t.s.value[t.bn[0].x].given, (float[]){ 1, 2, 3, 6 }, 4 * sizeof(float));
	t.s.value[t.bn[0].gain].given[0] = 2;
	t.s.value[t.bn[0].bias].given[0] = 0.5;
	t.attr.eps = 0.5;       /* deviation 2 */
	b = small_bind(&t.s, &setup);
	assert_non_null(b);
	assert_int_equal(bound_run(b), 0);
	m = t.s.value[t.bn[0].m].got;
	ab = t.s.value[t.bn[0].ab].got;
	assert_true(m[0] == 3 && m[1] == 3.5);
	assert_true(ab[0] == 1 && ab[1] == -2.5);
	assert_memory_equal(t.s.value[t.y].got, ((float[]){ 0, 0, 0.5, 3.5 }), 4 * sizeof(float));
	bound_free(b);
	small_release(&t.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_numbers),
		cmocka_unit_test(ref_differences),
		cmocka_unit_test(ref_layouts),
		ON("ref", evaluation),
		cmocka_unit_test(cpu),
		ON("cpu", evaluation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
