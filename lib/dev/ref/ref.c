#include "dev/ref/ref.h"

#include "base/fail.h"
#include "dev/ref/steps.h"

#include <assert.h>
#include <stdlib.h>

struct device {
	struct host host;
};

/* Those not here are of host.h (meet, finite), or no step of ref (pack). */
static ref_step *const ref_steps[STEP_KINDS] = {
	[STEP_INPUT] = ref_input,
	[STEP_CONV] = ref_conv,
	[STEP_CONV_DX] = ref_conv_dx,
	[STEP_CONV_DW] = ref_conv_dw,
	[STEP_CHANNEL_SUM] = ref_channel_sum,
	[STEP_STATS] = ref_stats,
	[STEP_COEF] = ref_coef,
	[STEP_AFFINE] = ref_affine,
	[STEP_ACT] = ref_act,
	[STEP_ADD] = ref_add,
	[STEP_MUL] = ref_mul,
	[STEP_CAT] = ref_cat,
	[STEP_SLICE] = ref_slice,
	[STEP_PAD] = ref_pad,
	[STEP_SHUFFLE] = ref_shuffle,
	[STEP_LAYERNORM] = ref_layernorm,
	[STEP_LRN] = ref_lrn,
	[STEP_MAXPOOL] = ref_maxpool,
	[STEP_AVGPOOL] = ref_avgpool,
	[STEP_DROPOUT] = ref_dropout,
	[STEP_XENT] = ref_xent,
	[STEP_XENT_DX] = ref_xent_dx,
	[STEP_ACT_DX] = ref_act_dx,
	[STEP_BN_SUMS] = ref_bn_sums,
	[STEP_BN_DX] = ref_bn_dx,
	[STEP_MUL_SUM] = ref_mul_sum,
	[STEP_LAYERNORM_DX] = ref_layernorm_dx,
	[STEP_LRN_DX] = ref_lrn_dx,
	[STEP_MAXPOOL_DX] = ref_maxpool_dx,
	[STEP_AVGPOOL_DX] = ref_avgpool_dx,
	[STEP_COPY] = ref_copy,
	[STEP_UPDATE] = ref_update,
	[STEP_TRACK] = ref_track,
	[STEP_FOLD] = ref_fold,
};

/* Any layout will do; all that it computes is fp32. */
static int ref_layout(void *dev, const struct program *p, int step, struct layout *in,
		      struct layout *out)
{
	(void)dev;
	(void)step;
	(void)in;
	(void)out;
	if (p->options.precision && p->options.precision != DTYPE_F32)
		return fail("ref: %s: it computes in fp32 only",
			    dtype_name(p->options.precision));
	return 0;
}

static double ref_cost(void *dev, const struct program *p, int from, int to)
{
	(void)dev;
	(void)p;
	(void)from;
	(void)to;
	return -1;
}

/* Operands of a type that ref has no loop for. */
static int check_types(const struct program *p, const struct step *s)
{
	int k;

	for (k = 0; k < s->ins + s->outs; k++) {
		int value = k < s->ins ? s->in[k] : s->out[k - s->ins];

		if (value >= 0 && (p->value[value].lay.type == DTYPE_BF16 ||
				   p->value[value].lay.type == DTYPE_F16))
			return fail("ref: %s: computes in fp32 only, not in %s", step_name(s->kind),
				    dtype_name(p->value[value].lay.type));
	}
	return 0;
}

static int check_step(const struct program *p, const struct step *s)
{
	const struct xent_attr *xent = s->attr;

	if (s->kind != STEP_COPY)
		TRY(check_types(p, s));
	if (s->kind == STEP_INPUT && p->value[s->out[0]].c > 4)
		return fail("ref: %s: %d channels of pixels, at most 4", step_name(s->kind),
			    p->value[s->out[0]].c);
	if (s->kind == STEP_XENT && p->value[s->in[0]].c != xent->classes)
		return fail("ref: %s: %d logits for %d classes", step_name(s->kind),
			    p->value[s->in[0]].c, xent->classes);
	return 0;
}

static int ref_prepare(void *dev, struct program *p, int step)
{
	struct step *s = &p->step[step];

	(void)dev;
	if (s->how[0] && strcmp(s->how, "plain"))
		return fail("ref: %s: no kernel \"%s\" here, only \"plain\"", step_name(s->kind),
			    s->how);
	TRY(check_step(p, s));
	if (s->kind == STEP_CONV || s->kind == STEP_CONV_DX || s->kind == STEP_CONV_DW)
		TRY(ref_conv_prepare(s));
	if (s->kind == STEP_LAYERNORM_DX)
		TRY(ref_layernorm_prepare(p, s));
	strcpy(s->how, "plain");
	return 0;
}

static void ref_release(void *dev, struct program *p, int step)
{
	(void)dev;
	(void)p;
	(void)step;
}

static struct device *ref_open(const char *which, int threads)
{
	struct device *dev = NULL;

	if (which && *which) {
		fail("ref:%s: there is only one", which);
		return NULL;
	}
	if (threads > 1) {
		fail("ref: %d threads asked for, it computes in one", threads);
		return NULL;
	}
	dev = calloc(1, sizeof *dev);
	if (!dev) {
		fail("ref: out of memory");
		return NULL;
	}
	return dev;
}

static void ref_close(struct device *dev)
{
	if (!dev)
		return;
	host_close(&dev->host);
	free(dev);
}

static struct target ref_target(struct device *dev)
{
	return (struct target){ dev, "ref", ref_layout, ref_cost, ref_prepare, ref_release,
				0 };
}

static int ref_join(struct device **devs, int count, struct world *world)
{
	struct host **hosts = calloc((size_t)count, sizeof *hosts);
	int i, status;

	if (!hosts)
		return fail("ref: out of memory");
	for (i = 0; i < count; i++)
		hosts[i] = &devs[i]->host;
	status = host_join(hosts, count, world);
	free(hosts);
	return status;
}

static int ref_bind(struct device *dev, struct program *p, struct program *shares)
{
	return host_bind(&dev->host, p, shares);
}

static int ref_put(struct device *dev, struct program *p, int value, const void *plain)
{
	return host_put(&dev->host, p, value, plain);
}

static int ref_get(struct device *dev, struct program *p, int value, void *plain)
{
	return host_get(&dev->host, p, value, plain);
}

static int ref_restore(struct device *dev, struct program *p, const struct control *c)
{
	return host_restore(&dev->host, p, c);
}

static int run_step(struct device *dev, const struct memory *m, const struct step *s)
{
	int k;

	switch (s->kind) {
	case STEP_REDUCE:
	case STEP_SYNC_STATS:
	case STEP_SYNC_SUMS:
		return host_meet(&dev->host, m, s);
	case STEP_FINITE:
		return host_finite(&dev->host, m, s);
	default:
		break;
	}
	assert(ref_steps[s->kind]);
	for (k = 0; k < s->outs; k++)
		if (s->out[k] >= 0)
			value_zero_padding(&m->program->value[s->out[k]], memory_at(m, s->out[k]));
	return ref_steps[s->kind](m, s);
}

static int ref_run(struct device *dev, struct program *p, int from, int to)
{
	const struct memory *m = host_memory(&dev->host, p);
	int i;

	for (i = from; i < to; i++)
		if (run_step(dev, m, &p->step[i])) {
			host_broken(&dev->host);
			return fail_add("ref: step %d, %s", i, step_name(p->step[i].kind));
		}
	return host_reduced(&dev->host);
}

static int ref_wait(struct device *dev)
{
	(void)dev;
	return 0;
}

static const char *ref_describe(struct device *dev)
{
	(void)dev;
	return "ref: plain loops, 1 thread";
}

static void ref_explain(struct device *dev, struct text *t)
{
	text_add(t, "%s\nthe meaning of every step, for comparison: nothing is chosen by machine\n",
		 ref_describe(dev));
}

static void ref_limits(struct device *dev, struct limits *l)
{
	(void)dev;
	*l = (struct limits){ 0 };
}

static enum dtype ref_fastest(struct device *dev)
{
	(void)dev;
	return DTYPE_F32;
}

const struct backend ref_backend = {
	BACKEND_ABI, "ref", ref_open, ref_close, ref_target, ref_join, ref_bind, ref_put,
	ref_get, ref_run, ref_wait, ref_describe, ref_explain, ref_limits,
	ref_fastest, ref_restore, NULL, NULL, NULL
};
