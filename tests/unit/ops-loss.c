/*
 * Softmax cross-entropy, and the steps after backward: finite, update, track.
 * Tolerances: exp and log of fp32 are off by about 1e-6 where logits are as large as
 * 20; losses are sums over up to 1,000 classes of such.
 */
#include "on_backend.h"

#include "base/fail.h"

#include <math.h>
#include <string.h>

enum { LOGITS, LABELS, SHARES, PROBABILITIES, LOSSES, DLOGITS };

static const struct xent_attr xents[] = {
	{ 0, 1, 10 }, { 0.1, 1, 10 }, { 0, 0.4, 7 }, { 0.1, 1, 1000 }, { 0, 1, 2 }, { 0.2, 1, 33 },
};

enum { XENTS = sizeof xents / sizeof *xents, N = 6 };

/* Samples: plain; mixed; no label; one label twice; half a label; a tie for best. */
static void case_make(struct small *s, const struct xent_attr *a)
{
	int32_t *label;
	int n, k;

	small_init(s, "xent smoothing %g weight %g classes %d", a->smoothing, a->weight,
		   a->classes);
	small_value(s, SMALL_IN, N, 1, 1, a->classes);
	small_fill(s, LOGITS, -6, 6);
	small_host(s, DTYPE_I32, N, 1, 1, 2);
	small_host(s, DTYPE_F32, N, 1, 1, 2);
	small_value(s, SMALL_OUT, N, 1, 1, a->classes);
	small_value(s, SMALL_OUT, N, 1, 1, 2);
	small_value(s, SMALL_OUT, N, 1, 1, a->classes);
	s->value[PROBABILITIES].lay = layout_bare(a->classes, DTYPE_F32);
	s->value[LOSSES].lay = layout_bare(2, DTYPE_F32);
	label = (int32_t *)s->value[LABELS].given;
	for (n = 0; n < N; n++) {
		label[2 * n] = (n * 5 + 1) % a->classes;
		label[2 * n + 1] = -1;
		s->value[SHARES].given[2 * n] = 1;
		s->value[SHARES].given[2 * n + 1] = 0;
	}
	label[3] = a->classes - 1;
	s->value[SHARES].given[2] = 0.75;
	s->value[SHARES].given[3] = 0.25;
	label[4] = -1;
	label[7] = label[6];
	s->value[SHARES].given[6] = 0.25;
	s->value[SHARES].given[7] = 0.75;
	/* half of it has no label: targets sum to less than 1 */
	s->value[SHARES].given[8] = s->value[SHARES].given[9] = 0.5;
	for (k = 0; k < a->classes; k++)
		s->value[LOGITS].given[5 * a->classes + k] = k < 2 ? 3 : -1;
	label[10] = 0;
	s->control.count = 5;
	small_step(s, PART_FORWARD, STEP_XENT, a, OF(LOGITS, LABELS, SHARES),
		   OF(PROBABILITIES, LOSSES));
	small_step(s, PART_BACKWARD, STEP_XENT_DX, a, OF(PROBABILITIES, LABELS, SHARES),
		   OF(DLOGITS));
}

/* d (sum of losses / count) / d logits. */
static void ref_differences(void **state)
{
	float weight[2 * N];
	int i, n, bad = 0;

	(void)state;
	for (n = 0; n < N; n++) {
		weight[2 * n] = 1 / 5.f;
		weight[2 * n + 1] = 0;
	}
	for (i = 0; i < XENTS; i++) {
		struct small s;

		case_make(&s, &xents[i]);
		bad += small_differences(&s, LOGITS, DLOGITS, LOSSES, weight, 1.0 / 64, 1e-3);
		small_release(&s);
	}
	assert_int_equal(bad, 0);
}

static struct bound *run(struct small *s)
{
	struct small_setup setup = { "ref", SMALL_BLOCK16, "all", 0, 0 };
	struct bound *b = small_bind(s, &setup);

	if (!b || bound_run(b))
		print_error("%s\n", fail_why());
	assert_non_null(b);
	return b;
}

/* One more loss, before backward. */
static void add_xent(struct small *s, const struct xent_attr *a, int logits, int others,
		     int losses)
{
	struct small_step last = s->step[s->steps - 1];
	int p = small_value(s, SMALL_OUT, N, 1, 1, a->classes);

	s->value[p].lay = layout_bare(a->classes, DTYPE_F32);
	small_step(s, PART_FORWARD, STEP_XENT, a, OF(logits, LABELS, SHARES, others),
		   OF(p, losses));
	s->step[s->steps - 2] = s->step[s->steps - 1];
	s->step[s->steps - 1] = last;
}

/* The loss of an auxiliary head is taken along, with its weight; its guesses are not. */
static void others(void **state)
{
	const char *backend = backend_of(state);
	static const struct xent_attr weights[] = { { 0.1, 0.4, 5 }, { 0.1, 1, 5 } };
	static const struct small_tolerance most = { 1e-6, 0, 0.01 };
	struct small s;
	int sum[2], logits, k, n, bad;

	case_make(&s, &weights[0]);
	logits = small_value(&s, SMALL_IN, N, 1, 1, 5);
	for (k = 0; k < 2; k++) {
		sum[k] = small_value(&s, SMALL_OUT, N, 1, 1, 2);
		s.value[sum[k]].lay = layout_bare(2, DTYPE_F32);
		add_xent(&s, &weights[1], logits, k ? LOSSES : -1, sum[k]);
	}
	bad = small_against_ref(&s, backend, most);
	assert_int_equal(bad, 0);
	for (n = 0; n < N; n++) {
		const float *alone = s.value[sum[0]].got + 2 * n, *with = s.value[sum[1]].got + 2 * n;
		const float *aux = s.value[LOSSES].got + 2 * n;

		assert_true(with[0] == alone[0] + aux[0] && with[1] == alone[1]);
		assert_true(n == 2 ? aux[0] == 0 : aux[0] > 0);
	}
	small_release(&s);
}

/* The formula, written once more and straight. */
static void ref_formula(void **state)
{
	int i, n, k, j;

	(void)state;
	for (i = 0; i < XENTS; i++) {
		const struct xent_attr *a = &xents[i];
		struct small s;
		int32_t *label;

		case_make(&s, a);
		bound_free(run(&s));
		label = (int32_t *)s.value[LABELS].given;
		for (n = 0; n < N; n++) {
			const float *x = s.value[LOGITS].given + n * a->classes;
			const float *p = s.value[PROBABILITIES].got + n * a->classes;
			const float *dx = s.value[DLOGITS].got + n * a->classes;
			const float *losses = s.value[LOSSES].got + 2 * n;
			double all = 0, loss = 0, whole = n == 4 ? (1 + a->smoothing) / 2 : 1;
			int best = 0;

			for (k = 0; k < a->classes; k++) {
				all += exp(x[k]);
				best = x[k] > x[best] ? k : best;
			}
			for (k = 0; k < a->classes; k++) {
				double want = exp(x[k]) / all, t = a->smoothing / a->classes;

				for (j = 0; j < 2; j++)
					if (label[2 * n + j] == k)
						t += (1 - a->smoothing) *
						     s.value[SHARES].given[2 * n + j];
				loss -= t * log(want);
				assert_float_equal(p[k], want, 1e-6);
				want = n == 2 ? 0 : a->weight / 5 * (whole * want - t);
				assert_float_equal(dx[k], want, 1e-6);
			}
			assert_float_equal(losses[0], n == 2 ? 0 : a->weight * loss, 1e-5);
			assert_true(losses[1] == (best == label[2 * n]));
		}
		/* the first of equals is the best */
		assert_true(s.value[LOSSES].got[2 * 5 + 1] == 1);
		small_release(&s);
	}
}

/* Logits far apart: no overflow, and a loss that is right. */
static void far_apart(const char *backend)
{
	struct small_setup setup = { backend, SMALL_NHWC, "all", 0, 0 };
	struct xent_attr a = { 0, 1, 3 };
	struct small s;
	struct bound *b;
	int32_t *label;

	if (small_brief(backend))
		return;         /* where 1e30 may be infinite */
	case_make(&s, &a);
	memcpy(s.value[LOGITS].given, (float[]){ 1000, 0, -1000, 0, 1000, 1000, -1e30f, 0, 1e30f },
	       9 * sizeof(float));
	label = (int32_t *)s.value[LABELS].given;
	memset(s.value[SHARES].given, 0, 2 * N * sizeof(float));
	label[0] = 1;
	label[2] = 1;
	label[4] = 2;
	s.value[SHARES].given[0] = s.value[SHARES].given[2] = s.value[SHARES].given[4] = 1;
	b = small_bind(&s, &setup);
	assert_non_null(b);
	assert_int_equal(bound_run(b), 0);
	assert_true(s.value[LOSSES].got[0] == 1000);
	assert_float_equal(s.value[LOSSES].got[2], log(2), 1e-6);
	assert_true(s.value[LOSSES].got[4] == 0);
	assert_true(s.value[LOSSES].got[1] == 0 && s.value[LOSSES].got[3] == 1);
	bound_free(b);
	small_release(&s);
}

static void bad_labels(const char *backend)
{
	struct small_setup setup = { backend, SMALL_NHWC, "all", 0, 0 };
	static const int32_t bad[] = { 10, -2, 1 << 30, INT32_MIN };
	size_t i;

	for (i = 0; i < 4; i++) {
		struct small s;
		struct bound *b;
		char words[80];

		case_make(&s, &xents[0]);
		((int32_t *)s.value[LABELS].given)[6] = bad[i];
		b = small_bind(&s, &setup);
		assert_non_null(b);
		assert_int_equal(bound_run(b), -1);
		snprintf(words, sizeof words, "sample 3: label %d, but the network has 10 classes",
			 (int)bad[i]);
		assert_non_null(strstr(fail_why(), words));
		bound_free(b);
		small_release(&s);
	}
}

static void against(void **state)
{
	const char *backend = backend_of(state);
	struct small_tolerance most = { 3e-6, 0, 0 };
	int i, bad = 0;

	for (i = 0; i < XENTS; i++) {
		struct small s;

		case_make(&s, &xents[i]);
		bad += small_against_ref(&s, backend, most);
		small_release(&s);
	}
	assert_int_equal(bad, 0);
	far_apart(backend);
	bad_labels(backend);
}

/* ---- after backward ---- */

enum { W0, W1, G0, G1, V0, V1, W_COUNT = 1003 };

static const struct optimizer optimizers[] = {
	{ 0, 0, 0 }, { 0, 1e-2, 0 }, { 0.9, 0, 0 }, { 0.9, 1e-2, 0 }, { 0.9, 1e-2, 1 },
};

enum { OPTIMIZERS = sizeof optimizers / sizeof *optimizers };

struct update_case {
	struct small s;
	struct update_attr attr;
	struct segment segment[2];
	int losses;
};

/* Two masters: the first decays. */
static void update_make(struct update_case *u, const struct optimizer *o)
{
	memset(u, 0, sizeof *u);
	small_init(&u->s, "update momentum %g decay %g nesterov %d", o->momentum, o->decay,
		   o->nesterov);
	small_vector(&u->s, W_COUNT);
	small_vector(&u->s, 20);
	small_gradient(&u->s, W0);
	small_gradient(&u->s, W1);
	small_slot(&u->s, W0);
	small_slot(&u->s, W1);
	u->losses = small_host(&u->s, DTYPE_F32, 2, 1, 1, 2);
	u->s.losses = u->losses;
	u->segment[0] = (struct segment){ 0, W_COUNT, 1 };
	u->segment[1] = (struct segment){ (W_COUNT + 15) / 16 * 16, 20, 0 };
	u->attr = (struct update_attr){ *o, 2, u->segment };
	small_step(&u->s, PART_UPDATE, STEP_FINITE, NULL, OF(u->losses), OF(SMALL_END));
	small_step(&u->s, PART_UPDATE, STEP_UPDATE, &u->attr, OF(SMALL_END), OF(SMALL_END));
}

/* The rule straight, in double. */
static void ref_update(void **state)
{
	int i, k, m;

	(void)state;
	for (i = 0; i < OPTIMIZERS; i++) {
		const struct optimizer *o = &optimizers[i];
		struct update_case u;

		update_make(&u, o);
		bound_free(run(&u.s));
		for (m = 0; m < 2; m++)
			for (k = 0; k < (m ? 20 : W_COUNT); k++) {
				double w = u.s.value[W0 + m].given[k];
				double was = u.s.value[V0 + m].given[k];
				double g = u.s.value[G0 + m].given[k] + (m ? 0 : o->decay * w);
				double v = o->momentum ? o->momentum * was + g : was;
				double step = !o->momentum ? g :
					      o->nesterov ? g + o->momentum * v : v;

				assert_float_equal(u.s.value[W0 + m].got[k], w - 0.1 * step, 2e-7);
				assert_float_equal(u.s.value[V0 + m].got[k], v, 3e-7);
			}
		small_release(&u.s);
	}
}

/* A loss or gradient that is not finite: nothing moves, now and later. */
static void halts(void **state)
{
	const char *backend = backend_of(state);
	struct small_setup setup = { backend, SMALL_NHWC, "all", 0, 0 };
	int where;

	for (where = 0; where < 3; where++) {
		struct update_case u;
		struct control control;
		struct bound *b;
		int k;

		update_make(&u, &optimizers[4]);
		if (where)
			u.s.value[where == 1 ? u.losses : G1].given[where == 1 ? 2 : 19] =
				where == 1 ? NAN : INFINITY;
		b = small_bind(&u.s, &setup);
		assert_non_null(b);
		for (k = 0; k < 2; k++) {
			assert_int_equal(bound_run(b), 0);
			assert_int_equal(bound_backend(b)->get(bound_device(b), bound_program(b),
				bound_program(b)->control, &control), 0);
			assert_int_equal(control.halt, where > 0);
			assert_int_equal(memcmp(u.s.value[W0].got, u.s.value[W0].given,
						W_COUNT * sizeof(float)) == 0, where > 0);
			assert_int_equal(memcmp(u.s.value[V1].got, u.s.value[V1].given,
						20 * sizeof(float)) == 0, where > 0);
			/* finite again: still halted */
			small_fill(&u.s, u.losses, 0, 1);
			small_fill(&u.s, G1, 0, 1);
		}
		bound_free(b);
		small_release(&u.s);
	}
}

static void track_make(struct small *s, struct bn_attr *a, int c)
{
	int m, mean, variance;

	small_init(s, "track %d devices %d", c, a->devices);
	m = small_rows(s, SMALL_IN, 2, c);
	small_fill(s, m, 0, 3);
	mean = small_vector(s, c);
	variance = small_vector(s, c);
	small_fill(s, variance, 0.5, 2);
	small_step(s, PART_UPDATE, STEP_TRACK, a, OF(m, mean, variance), OF(SMALL_END));
}

static void ref_track(void **state)
{
	struct bn_attr attrs[] = {
		{ 1e-5, 0.9, 50, 1 }, { 1e-5, 0.99, 8, 2 }, { 1e-5, 0.5, 1, 1 }
	};
	int i, k;

	(void)state;
	for (i = 0; i < 3; i++) {
		const struct bn_attr *a = &attrs[i];
		struct small s;

		track_make(&s, &attrs[i], 20);
		bound_free(run(&s));
		for (k = 0; k < 20; k++) {
			double unbias = a->count > 1 ? a->count / (a->count - 1.0) : 1;

			assert_float_equal(s.value[1].got[k], a->decay * s.value[1].given[k] +
				(1 - a->decay) * s.value[0].given[k] / a->devices, 2e-7);
			assert_float_equal(s.value[2].got[k], a->decay * s.value[2].given[k] +
				(1 - a->decay) * unbias * s.value[0].given[20 + k] / a->devices,
				4e-7);
		}
		small_release(&s);
	}
}

static void after_backward(void **state)
{
	const char *backend = backend_of(state);
	struct small_tolerance most = { 4e-7, 0, 0 };
	struct bn_attr attr = { 1e-5, 0.9, 50, 1 };
	struct small s;
	int i, bad = 0;

	for (i = 0; i < OPTIMIZERS; i++) {
		struct update_case u;

		update_make(&u, &optimizers[i]);
		bad += small_against_ref(&u.s, backend, most);
		small_release(&u.s);
	}
	track_make(&s, &attr, 37);
	bad += small_against_ref(&s, backend, most);
	small_release(&s);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ref_formula),
		cmocka_unit_test(ref_differences),
		ON("ref", against),
		cmocka_unit_test(ref_update),
		ON("ref", halts),
		cmocka_unit_test(ref_track),
		ON("ref", others),
		ON("cpu", against),
		ON("cpu", others),
		ON("cpu", after_backward),
		ON("cpu", halts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
