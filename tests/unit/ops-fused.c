/*
 * Brackets with convolutions: single ones against ref, and whole networks with some of
 * the rewrites against the same device without any. Backends that have no engine for them
 * run the parts, and are tested so. On what the environment's OPS_DEVICE names (as
 * cuda:0:fp16), where such brackets must have been run.
 *
 * Tolerance: statistics from sums of squares are off by 1e-7 of mean^2 + variance, which
 * is little where means are not far from 0. In fp16 every number is rounded, and one mask
 * in some hundred ends on the other side: gradients of these few samples are 0.002 to 0.16
 * from those in fp32 (by their lengths, in the mean over parameters), with brackets and
 * without.
 */
#include "net_run.h"

/* That fp16 begins with: gradients are so much larger. */
#define LOSS_SCALE (1.0 / 65536)
#define BRIEF 0.25

/* ---- single brackets ---- */

static const struct chain { int n, h, w, c, mid, out, k, s, skip; } chains[] = {
	{ 2, 6, 6, 8, 16, 24, 3, 1, 0 }, { 2, 7, 5, 5, 12, 7, 3, 2, 0 },
	{ 3, 4, 4, 3, 20, 9, 1, 1, 0 }, { 2, 6, 7, 8, 9, 33, 1, 2, 0 },
	{ 2, 5, 5, 6, 16, 8, 1, 1, 1 }, { 3, 4, 6, 8, 12, 5, 1, 1, 1 },
	{ 2, 6, 6, 8, 8, 8, 3, 1, 1 },
};

struct made {
	struct conv_attr conv[2];
	struct bn_attr bn[2];
	struct act_attr act;
};

static struct conv_attr attr_of(int h, int w, int in, int out, int k, int s)
{
	struct conv_attr a = { { { k, k }, { s, s }, { 1, 1 }, { k / 2, k / 2 },
				 { k / 2, k / 2 } }, 1, h, w, in, 0, 0, out };

	a.out_h = (h + 2 * (k / 2) - k) / s + 1;
	a.out_w = (w + 2 * (k / 2) - k) / s + 1;
	return a;
}

static int convolve(struct small *s, const struct conv_attr *a, int x, int w, int n,
		    enum small_role role)
{
	int y = small_value(s, role, n, a->out_h, a->out_w, a->out_c);

	small_step(s, PART_FORWARD, STEP_CONV, a, OF(x, w, -1), OF(y));
	return y;
}

/* conv, bn, (a sum,) relu, conv and its statistics; and all of its backward but the first
 * convolution's. */
static void chain_make(struct small *s, struct made *k, const struct chain *c)
{
	int x, w[2], gain, bias, u, m, ab, v, z = -1, sum, t, y, dy, dt, dz, sums;

	small_init(s, "%dx%dx%dx%d to %d to %d, window %d, stride %d%s", c->n, c->h, c->w, c->c,
		   c->mid, c->out, c->k, c->s, c->skip ? ", skip" : "");
	k->conv[0] = attr_of(c->h, c->w, c->c, c->mid, 3, 1);
	k->conv[1] = attr_of(c->h, c->w, c->mid, c->out, c->k, c->s);
	for (int i = 0; i < 2; i++)
		k->bn[i] = (struct bn_attr){ 1e-3, 0.9, (int64_t)c->n * k->conv[i].out_h *
					     k->conv[i].out_w, 1 };
	k->act.act = OP_RELU;
	x = small_value(s, SMALL_IN, c->n, c->h, c->w, c->c);
	w[0] = small_master(s, c->mid, c->c, 3, 3);
	w[1] = small_master(s, c->out, c->mid, c->k, c->k);
	gain = small_vector(s, c->mid);
	bias = small_vector(s, c->mid);

	u = convolve(s, &k->conv[0], x, w[0], c->n, SMALL_OUT);
	m = small_rows(s, SMALL_OUT, 2, c->mid);
	ab = small_rows(s, SMALL_OUT, 2, c->mid);
	small_step(s, PART_FORWARD, STEP_STATS, &k->bn[0], OF(u), OF(m));
	small_step(s, PART_FORWARD, STEP_COEF, &k->bn[0], OF(m, gain, bias, -1), OF(ab));
	v = small_value(s, SMALL_MID, c->n, c->h, c->w, c->mid);
	small_step(s, PART_FORWARD, STEP_AFFINE, NULL, OF(u, ab), OF(v));
	sum = v;
	if (c->skip) {
		z = small_value(s, SMALL_IN, c->n, c->h, c->w, c->mid);
		sum = small_value(s, SMALL_MID, c->n, c->h, c->w, c->mid);
		small_step(s, PART_FORWARD, STEP_ADD, NULL, OF(z, v), OF(sum));
	}
	t = small_value(s, c->skip ? SMALL_OUT : SMALL_MID, c->n, c->h, c->w, c->mid);
	small_step(s, PART_FORWARD, STEP_ACT, &k->act, OF(sum), OF(t));
	y = convolve(s, &k->conv[1], t, w[1], c->n, SMALL_OUT);
	small_step(s, PART_FORWARD, STEP_STATS, &k->bn[1], OF(y),
		   OF(small_rows(s, SMALL_OUT, 2, c->out)));

	dy = small_value(s, SMALL_IN, c->n, k->conv[1].out_h, k->conv[1].out_w, c->out);
	small_step(s, PART_BACKWARD, STEP_CONV_DW, &k->conv[1], OF(t, dy),
		   OF(small_gradient(s, w[1])));
	dt = small_value(s, SMALL_MID, c->n, c->h, c->w, c->mid);
	small_step(s, PART_BACKWARD, STEP_CONV_DX, &k->conv[1], OF(dy, w[1]), OF(dt));
	dz = small_value(s, c->skip ? SMALL_OUT : SMALL_MID, c->n, c->h, c->w, c->mid);
	small_step(s, PART_BACKWARD, STEP_ACT_DX, &k->act, OF(dt, t), OF(dz));
	sums = small_rows(s, SMALL_OUT, 2, c->mid);
	small_step(s, PART_BACKWARD, STEP_BN_SUMS, &k->bn[0], OF(dz, u, m),
		   OF(sums, small_gradient(s, gain), small_gradient(s, bias)));
	small_step(s, PART_BACKWARD, STEP_BN_DX, &k->bn[0], OF(dz, u, m, gain, sums),
		   OF(small_value(s, SMALL_OUT, c->n, c->h, c->w, c->mid)));
}

static int on_cuda(void)
{
	const char *device = getenv("OPS_DEVICE");

	return device && !strncmp(device, "cuda", 4);
}

/* In fp16 or bf16? */
static int brief(void)
{
	return on_cuda() && strstr(getenv("OPS_DEVICE"), "16") != NULL;
}

static void single(void **state)
{
	static const char *const names[] = {
		", conv stats, ", ", affine act conv stats, ", ", affine act conv_dw, ",
		", affine add act conv stats, ", ", conv_dx affine act act_dx bn_sums, ",
	};
	const char *backend = backend_of(state);
	struct small_tolerance most = { 2e-5, 2e-4, 0 };
	int bad = 0;

	if (brief())
		skip();
	for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
		struct made k;
		struct small s;

		chain_make(&s, &k, &chains[i]);
		bad += small_against_ref(&s, backend, most);
		small_release(&s);
	}
	assert_int_equal(bad, 0);
	for (size_t i = 0; i < sizeof names / sizeof *names && on_cuda(); i++)
		if (!strstr(small_brackets(), names[i]))
			fail_msg("not met: %s in %s", names[i], small_brackets());
}

/* ---- networks ---- */

static const struct { const char *name, *text; int kinds; } nets[] = {
	{ "basic", small_net, 1 << BRACKET_CONV_STATS | 1 << BRACKET_ACT_CONV_STATS |
	  1 << BRACKET_ACT_CONV_DW | 1 << BRACKET_CONV_DX_SUMS },
	{ "bottleneck", bottle_net, 1 << BRACKET_CONV_STATS | 1 << BRACKET_ACT_CONV_STATS |
	  1 << BRACKET_ACT_CONV_DW | 1 << BRACKET_CONV_DX_SUMS | 1 << BRACKET_SKIP_CONV_STATS },
	{ "pre-activation", preact_net, 1 << BRACKET_CONV_STATS | 1 << BRACKET_ACT_CONV_STATS |
	  1 << BRACKET_ACT_CONV | 1 << BRACKET_ACT_CONV_DW | 1 << BRACKET_CONV_DX_SUMS },
	{ "two readers, dropout, shared weights", twice_net, 1 << BRACKET_CONV_STATS |
	  1 << BRACKET_ACT_CONV_STATS | 1 << BRACKET_ACT_CONV_DW | 1 << BRACKET_CONV_DX_SUMS },
	{ "shared batch norm and bias", shared_net, 0 },
	{ "gates", mbconv_net, 0 },
};

/* What is left out, and which kinds that takes away. */
static const struct { const char *names; int kinds; } without[] = {
	{ NULL, 0 },
	{ "pointwise,gradient", 0 },
	{ "prologue", 1 << BRACKET_ACT_CONV | 1 << BRACKET_ACT_CONV_STATS |
	  1 << BRACKET_ACT_CONV_DW },
	{ "sums", 1 << BRACKET_CONV_DX_SUMS },
	{ "skip", 1 << BRACKET_SKIP_CONV_STATS },
	{ "stats", 1 << BRACKET_CONV_STATS | 1 << BRACKET_ACT_CONV_STATS |
	  1 << BRACKET_SKIP_CONV_STATS },
	{ "stats,prologue,skip,sums", FAKE_CONVS },
};

/* The kinds of brackets that a program has. */
static int kinds_of(const struct program *p)
{
	int kinds = 0;

	for (int k = 0; k < BRACKET_KINDS; k++)
		kinds |= (count_brackets(p, (enum bracket_kind)k) > 0) << k;
	return kinds & FAKE_CONVS;
}

/* The difference of two gradients (the first's times scale) by its length, as a share of
 * the other's, in the mean over all parameters. */
static double mean_apart(struct run *a, double scale, struct run *b)
{
	const struct graph *g = a->p->graph;
	double sum = 0;
	int count = 0;

	for (int i = 0; i < g->params; i++) {
		double all = 1e-12, off = 0;
		size_t n;
		float *v, *w;

		if (a->p->gradient[i] < 0)
			continue;
		v = get(a, a->p->gradient[i], &n);
		w = get(b, b->p->gradient[i], &n);
		for (size_t k = 0; k < n; k++) {
			double d = scale * v[k] - w[k];

			off += isfinite(d) ? d * d : INFINITY;
			all += (double)w[k] * w[k];
		}
		free(v);
		free(w);
		sum += sqrt(off / all);
		count++;
	}
	return sum / count;
}

/* In fp16 both are off from what they are in fp32. */
static int near(const char *where, struct run *fused, struct run *parts, struct run *ref)
{
	double d = mean_apart(fused, LOSS_SCALE, ref), e = mean_apart(parts, LOSS_SCALE, ref);

	if (d <= BRIEF && e <= BRIEF)
		return 0;
	print_error("%s: gradients %.2g from fp32, those of the parts %.2g\n", where, d, e);
	return 1;
}

static int fused_against_parts(const char *backend, int net, int training, const char *names,
			       int kinds)
{
	int bad = 0;
	struct graph *g = net_of(nets[net].text, NULL, "classes=5");
	struct program_options o = options_of(training, BATCH);
	struct run parts, fused, ref;
	char where[160];

	snprintf(where, sizeof where, "%s, without %s", nets[net].name, names ? names : "nothing");
	run_open(&fused, backend);
	o.without = names;
	run_make(&fused, g, &o);
	run_open(&parts, backend);
	o.without = "all";
	run_make(&parts, g, &o);
	run_open(&ref, "ref");
	run_make(&ref, g, &o);
	if (training && on_cuda() && (kinds_of(fused.p) & kinds) != kinds) {
		print_error("%s: brackets %x, not %x\n", where, kinds_of(fused.p), kinds);
		bad++;
	}
	assert_int_equal(kinds_of(parts.p), 0);
	for (int step = 0; step < 1 + training; step++) {
		/* the loss scale that fp16 begins with is too much for so few samples */
		int count = brief() ? BATCH << 11 : BATCH;

		put_input(&fused, step * BATCH, 1, count);
		put_input(&parts, step * BATCH, 1, count);
		put_input(&ref, step * BATCH, 1, count);
		run_step(&fused);
		run_step(&parts);
		run_step(&ref);
		assert_int_equal(fused.status | parts.status | ref.status, 0);
		if (!(apart(&fused, fused.p->losses, &parts, parts.p->losses, 1) <
		      (brief() ? 0.02 : 1e-4))) {
			print_error("%s: losses differ\n", where);
			bad++;
		}
		if (training)
			bad += brief() ? near(where, &fused, &parts, &ref)
				     : same_step(where, &fused, &parts, TOLERANCE);
	}
	run_close(&fused);
	run_close(&parts);
	run_close(&ref);
	graph_free(g);
	return bad;
}

static void networks(void **state)
{
	const char *backend = backend_of(state);
	int bad = 0;

	for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
		for (size_t k = 0; k < (brief() ? 3 : sizeof without / sizeof *without); k++)
			bad += fused_against_parts(backend, (int)i, 1, without[k].names,
						   nets[i].kinds & ~without[k].kinds);
		bad += fused_against_parts(backend, (int)i, 0, NULL, 0);
	}
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { ON("cpu", single), ON("cpu", networks) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
