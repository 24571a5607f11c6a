#include "dev/cpu/cpu.h"

#include "base/fail.h"
#include "dev/cpu/dnn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- kernels by processor ---- */

static const struct kernels *kernels_best(void)
{
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
		return &kernels_avx512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return &kernels_avx2;
#endif
	return &kernels_plain;
}

const struct kernels *kernels_find(const char *name)
{
	const struct kernels *best = kernels_best(), *k = NULL;

	if (!name)
		return best;
#ifdef __x86_64__
	if (!strcmp(name, "avx512"))
		k = &kernels_avx512;
	if (!strcmp(name, "avx2"))
		k = &kernels_avx2;
#endif
	if (!strcmp(name, "plain"))
		k = &kernels_plain;
	if (!k)
		fail("cpu:%s: the kinds are avx512, avx2 and plain", name);
	else if (k->width > best->width)
		fail("cpu:%s: this processor has %s at most", name, best->name), k = NULL;
	return k;
}

/* Those for bf16 beside these; NULL: none. */
static const struct kernels *kernels_short(const struct kernels *k)
{
#ifdef __x86_64__
	if (k == &kernels_avx512 && __builtin_cpu_supports("avx512bf16"))
		return &kernels_avx512_bf16;
#endif
	(void)k;
	return NULL;
}

/* ---- open, close ---- */

static int device_set(struct device *dev, const char *which, int threads)
{
	if (which && *which) {
		dev->k = kernels_find(which);
		if (!dev->k)
			return -1;
		dev->asked = 1;
		TRY(dnn_limit(dev->k->width));
	} else {
		dev->k = kernels_best();
		/* layouts in blocks of what the library has kernels for */
		if (dev->k->width > dnn_width())
			dev->k = kernels_find("avx2");
	}
	dev->k16 = kernels_short(dev->k);
	dev->threads_asked = threads > 0;
	dev->threads = threads > 0 ? threads : threads_most();
	dev->block = dev->k->width == 16 ? 16 : 8;
	snprintf(dev->words, sizeof dev->words, "cpu: %d thread%s, %s, %s", dev->threads,
		 dev->threads == 1 ? "" : "s", dev->k->name, dnn_library());
	return 0;
}

static struct device *cpu_open(const char *which, int threads)
{
	struct device *dev = calloc(1, sizeof *dev);

	if (!dev) {
		fail("cpu: out of memory");
		return NULL;
	}
	if (device_set(dev, which, threads)) {
		free(dev);
		return NULL;
	}
	return dev;
}

static void cpu_close(struct device *dev)
{
	if (!dev)
		return;
	host_close(&dev->host);
	free(dev);
	/* they would wait till the program ends, and leak checkers stumble over them */
	threads_end();
}

static const char *cpu_describe(struct device *dev)
{
	return dev->words;
}

/* ---- prepare ---- */

/* Kinds without a state: run at once. Devices' meetings are of host.h. */
static cpu_run *const plain_runs[STEP_KINDS] = {
	[STEP_INPUT] = cpu_input,
	[STEP_CHANNEL_SUM] = cpu_channel_sum,
	[STEP_STATS] = cpu_stats,
	[STEP_COEF] = cpu_coef,
	[STEP_AFFINE] = cpu_affine,
	[STEP_ACT] = cpu_act,
	[STEP_ADD] = cpu_add,
	[STEP_MUL] = cpu_mul,
	[STEP_CAT] = cpu_cat,
	[STEP_SLICE] = cpu_slice,
	[STEP_PAD] = cpu_pad,
	[STEP_SHUFFLE] = cpu_shuffle,
	[STEP_LAYERNORM] = cpu_layernorm,
	[STEP_LRN] = cpu_lrn,
	[STEP_DROPOUT] = cpu_dropout,
	[STEP_XENT] = cpu_xent,
	[STEP_XENT_DX] = cpu_xent_dx,
	[STEP_ACT_DX] = cpu_act_dx,
	[STEP_BN_SUMS] = cpu_bn_sums,
	[STEP_BN_DX] = cpu_bn_dx,
	[STEP_MUL_SUM] = cpu_mul_sum,
	[STEP_LAYERNORM_DX] = cpu_layernorm_dx,
	[STEP_LRN_DX] = cpu_lrn_dx,
	[STEP_COPY] = cpu_copy,
	[STEP_UPDATE] = cpu_update,
	[STEP_FINITE] = cpu_finite,
	[STEP_TRACK] = cpu_track,
	[STEP_FOLD] = cpu_fold,
};

void *own_add(struct program *p, struct step *s, size_t bytes, cpu_run *run)
{
	struct own *own = program_alloc(p, bytes);

	if (!own)
		return NULL;
	own->run = run;
	s->own = own;
	return own;
}

/* Operands of a type that the kernels have no loops for; parameters are always fp32. */
static int types_check(const struct device *dev, const struct program *p, const struct step *s)
{
	int k;

	for (k = 0; k < s->ins + s->outs; k++) {
		int value = k < s->ins ? s->in[k] : s->out[k - s->ins];

		if (value >= 0 && (p->value[value].lay.type == DTYPE_F16 ||
				   (p->value[value].lay.type == DTYPE_BF16 &&
				    !(dev->k16 && kind_shorts(p, s)))))
			return fail("cpu: %s: does not compute in %s",
				    step_name(s->kind), dtype_name(p->value[value].lay.type));
	}
	return 0;
}

static int limits_check(const struct program *p, const struct step *s)
{
	const struct xent_attr *xent = s->attr;

	if (s->kind == STEP_INPUT && p->value[s->out[0]].c > 4)
		return fail("cpu: %s: %d channels of pixels, at most 4", step_name(s->kind),
			    p->value[s->out[0]].c);
	if (s->kind == STEP_XENT && p->value[s->in[0]].c != xent->classes)
		return fail("cpu: %s: %d logits for %d classes", step_name(s->kind),
			    p->value[s->in[0]].c, xent->classes);
	return 0;
}

static int prepare_one(struct device *dev, struct program *p, int step)
{
	struct step *s = &p->step[step];

	if (s->kind != STEP_COPY && s->kind != STEP_PACK)
		TRY(types_check(dev, p, s));
	TRY(limits_check(p, s));
	switch (s->kind) {
	case STEP_CONV:
	case STEP_CONV_DX:
	case STEP_CONV_DW:
		return conv_prepare(dev, p, step);
	case STEP_PACK:
		return pack_prepare(dev, p, step);
	case STEP_MAXPOOL:
	case STEP_MAXPOOL_DX:
	case STEP_AVGPOOL:
	case STEP_AVGPOOL_DX:
		return pool_prepare(dev, p, step);
	case STEP_LAYERNORM:
	case STEP_LAYERNORM_DX:
	case STEP_LRN:
	case STEP_LRN_DX:
		return across_prepare(dev, p, step);
	case STEP_STATS:
	case STEP_BN_SUMS:
	case STEP_BN_DX:
	case STEP_CHANNEL_SUM:
	case STEP_MUL_SUM:
		return norm_prepare(dev, p, step);
	default:
		return step_choose(s, "cpu", "own");
	}
}

static int cpu_prepare(void *arg, struct program *p, int step)
{
	struct device *dev = arg;
	int to = step + 1, bracket = p->step[step].bracket, status, threads;

	while (bracket >= 0 && to < p->steps && p->step[to].bracket == bracket)
		to++;
	/* primitives are made for this many threads */
	threads = threads_set(dev->threads);
	status = to > step + 1 ? bracket_prepare(dev, p, step, to) : prepare_one(dev, p, step);
	threads_set(threads);
	return status;
}

static void cpu_release(void *arg, struct program *p, int step)
{
	struct own *own = p->step[step].own;

	(void)arg;
	if (own && own->release)
		own->release(own);
	p->step[step].own = NULL;
}

static struct target cpu_target(struct device *dev)
{
	return (struct target){ dev, "cpu", cpu_layout, cpu_cost, cpu_prepare, cpu_release,
				1 };
}

/* ---- memory ---- */

static int cpu_join(struct device **devs, int count, struct world *world)
{
	struct host **hosts = calloc((size_t)count, sizeof *hosts);
	int i, status;

	if (!hosts)
		return fail("cpu: out of memory");
	for (i = 0; i < count; i++)
		hosts[i] = &devs[i]->host;
	status = host_join(hosts, count, world);
	free(hosts);
	return status;
}

static int cpu_bind(struct device *dev, struct program *p, struct program *shares)
{
	const struct memory *m;
	int i;

	TRY(host_bind(&dev->host, p, shares));
	m = host_memory(&dev->host, p);
	for (i = 0; i < p->steps; i++) {
		struct own *own = p->step[i].own;

		if (own && own->place)
			TRY(own->place(dev, m, &p->step[i]));
	}
	return 0;
}

static int cpu_put(struct device *dev, struct program *p, int value, const void *plain)
{
	return host_put(&dev->host, p, value, plain);
}

static int cpu_get(struct device *dev, struct program *p, int value, void *plain)
{
	return host_get(&dev->host, p, value, plain);
}

static int cpu_restore(struct device *dev, struct program *p, const struct control *c)
{
	return host_restore(&dev->host, p, c);
}

/* ---- run ---- */

static int run_step(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct own *own = s->own;

	switch (s->kind) {
	case STEP_REDUCE:
	case STEP_SYNC_STATS:
	case STEP_SYNC_SUMS:
		return host_meet(&dev->host, m, s);
	default:
		break;
	}
	if (own)
		return own->run(dev, m, s);
	assert(plain_runs[s->kind]);
	return plain_runs[s->kind](dev, m, s);
}

static int cpu_run_steps(struct device *dev, struct program *p, int from, int to)
{
	const struct memory *m = host_memory(&dev->host, p);
	int i, status = 0, threads = threads_set(dev->threads);

	for (i = from; i < to && !status; i++) {
		const struct step *s = &p->step[i];

		if (s->bracket >= 0 && i > 0 && p->step[i - 1].bracket == s->bracket)
			continue;
		if (run_step(dev, m, s)) {
			host_broken(&dev->host);
			status = fail_add("cpu: step %d, %s", i, step_name(s->kind));
		}
	}
	threads_set(threads);
	return status ? status : host_reduced(&dev->host);
}

static int cpu_wait(struct device *dev)
{
	(void)dev;
	return 0;
}

static const struct backend cpu_backend = {
	BACKEND_ABI, "cpu", cpu_open, cpu_close, cpu_target, cpu_join, cpu_bind, cpu_put,
	cpu_get, cpu_run_steps, cpu_wait, cpu_describe, cpu_explain, cpu_limits,
	cpu_fastest, cpu_restore, NULL, NULL, NULL
};

const struct backend *millrace_backend(void)
{
	return &cpu_backend;
}
