/* What all versions of the library have in common. */
#include "dev/cpu/dnn_own.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_words[] = {
	"done", "out of memory", "invalid arguments", "no kernel for it", "end of the list",
	"runtime error", "not required"
};

int dnn_wrong(const char *what, dnnl_status_t status)
{
	unsigned s = (unsigned)status;

	return fail("oneDNN: %s: %s", what,
		    s < sizeof status_words / sizeof *status_words ? status_words[s] : "?");
}

void dnn_release(struct dnn *d)
{
	int i;

	for (i = 0; i < d->args; i++)
		dnnl_memory_destroy(d->arg[i].memory);
	if (d->primitive)
		dnnl_primitive_destroy(d->primitive);
	if (d->desc)
		dnnl_primitive_desc_destroy(d->desc);
	if (d->stream)
		dnnl_stream_destroy(d->stream);
	if (d->engine)
		dnnl_engine_destroy(d->engine);
}

int dnn_begin(struct dnn *d)
{
	DNNL_TRY("engine", dnnl_engine_create(&d->engine, dnnl_cpu, 0));
	DNNL_TRY("stream", dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags));
	return 0;
}

int dnn_arg(struct dnn *d, int name, DESC desc)
{
	assert(d->args < DNN_ARGS);
	DNNL_TRY("memory", dnnl_memory_create(&d->arg[d->args].memory, desc, d->engine,
					      DNNL_MEMORY_NONE));
	d->arg[d->args++].arg = name;
	return 0;
}

static int dnn_set(struct dnn *d, int name, void *place)
{
	int i;

	for (i = 0; i < d->args; i++)
		if (d->arg[i].arg == name)
			DNNL_TRY("memory", dnnl_memory_set_data_handle(d->arg[i].memory, place));
	return 0;
}

int dnn_attr(dnnl_primitive_attr_t *attr)
{
	dnnl_status_t status;

	DNNL_TRY("attributes", dnnl_primitive_attr_create(attr));
	status = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
	if (status != dnnl_success)
		dnnl_primitive_attr_destroy(*attr);
	DNNL_TRY("attributes", status);
	return 0;
}

#if DNNL_VERSION_MAJOR == 2
#define APPEND_ELTWISE(ops, alg, a, b) dnnl_post_ops_append_eltwise(ops, 1, alg, a, b)
#else
#define APPEND_ELTWISE dnnl_post_ops_append_eltwise
#endif

static dnnl_status_t act_append(dnnl_post_ops_t ops, enum dnn_act act)
{
	static const struct { dnnl_alg_kind_t alg; float a, b; } acts[] = {
		[DNN_RELU] = { dnnl_eltwise_relu, 0, 0 },
		[DNN_RELU6] = { dnnl_eltwise_clip, 0, 6 },
		[DNN_TANH] = { dnnl_eltwise_tanh, 0, 0 },
		[DNN_SWISH] = { dnnl_eltwise_swish, 1, 0 },
		[DNN_GELU] = { dnnl_eltwise_gelu_erf, 0, 0 },
		[DNN_HARDSWISH] = { dnnl_eltwise_hardswish, 1 / 6.0f, 0.5f },
	};

	return APPEND_ELTWISE(ops, acts[act].alg, acts[act].a, acts[act].b);
}

int dnn_attr_after(dnnl_primitive_attr_t attr, const struct dnn_conv *c, DESC y)
{
	dnnl_post_ops_t ops;
	dnnl_status_t status = dnnl_success;

	if (!c->add && !c->act)
		return 0;
	DNNL_TRY("post-ops", dnnl_post_ops_create(&ops));
	if (c->add)
		status = dnnl_post_ops_append_binary(ops, dnnl_binary_add, y);
	if (status == dnnl_success && c->act)
		status = act_append(ops, c->act);
	if (status == dnnl_success)
		status = dnnl_primitive_attr_set_post_ops(attr, ops);
	dnnl_post_ops_destroy(ops);
	DNNL_TRY("post-ops", status);
	return 0;
}

int dnn_name(struct dnn *d)
{
	const char *name;

	DNNL_TRY("name", dnnl_primitive_desc_query(d->desc, dnnl_query_impl_info_str, 0, &name));
	snprintf(d->kernel, sizeof d->kernel, "%s", name);
	if (strstr(name, "ref"))
		return fail("oneDNN: convolution: only its reference: %s", name);
	return 0;
}

int dnn_tag(int channels, int block, dnnl_format_tag_t *tag)
{
	if (block == 8 || block == 16)
		*tag = block == 8 ? dnnl_nChw8c : dnnl_nChw16c;
	else if (block == 1 || block == channels)
		*tag = block == 1 ? dnnl_nchw : dnnl_nhwc;
	else
		return fail("oneDNN: no layout of %d channels in blocks of %d", channels, block);
	return 0;
}

int dnn_finish(struct dnn *d)
{
	DESC scratch;

	DNNL_TRY("primitive", dnnl_primitive_create(&d->primitive, d->desc));
	scratch = dnnl_primitive_desc_query_md(d->desc, dnnl_query_scratchpad_md, 0);
	d->scratch = dnnl_memory_desc_get_size(scratch);
	return dnn_arg(d, DNNL_ARG_SCRATCHPAD, scratch);
}

static int conv_make(struct dnn *d, const struct dnn_conv *c, enum dnn_direction direction)
{
	TRY(dnn_begin(d));
	TRY(dnn_describe_conv(d, c, direction));
	return dnn_finish(d);
}

struct dnn *dnn_conv(const struct dnn_conv *c, enum dnn_direction direction)
{
	struct dnn *d = calloc(1, sizeof *d);

	if (!d) {
		fail("out of memory");
		return NULL;
	}
	if (conv_make(d, c, direction)) {
		dnn_free(d);
		return NULL;
	}
	return d;
}

void dnn_free(struct dnn *d)
{
	if (!d)
		return;
	dnn_release(d);
	free(d);
}

const char *dnn_kernel(const struct dnn *d)
{
	return d->kernel;
}

size_t dnn_scratch(const struct dnn *d)
{
	return d->scratch;
}

void dnn_weights(const struct dnn *d, struct dnn_shape *shape)
{
	*shape = d->weights;
}

int dnn_place(struct dnn *d, void *x, void *weights, void *bias, void *y, void *scratch)
{
	TRY(dnn_set(d, DNNL_ARG_SRC, x));
	TRY(dnn_set(d, DNNL_ARG_DIFF_SRC, x));
	TRY(dnn_set(d, DNNL_ARG_WEIGHTS, weights));
	TRY(dnn_set(d, DNNL_ARG_DIFF_WEIGHTS, weights));
	TRY(dnn_set(d, DNNL_ARG_BIAS, bias));
	TRY(dnn_set(d, DNNL_ARG_DST, y));
	TRY(dnn_set(d, DNNL_ARG_DIFF_DST, y));
	return dnn_set(d, DNNL_ARG_SCRATCHPAD, scratch);
}

int dnn_place_add(struct dnn *d, void *add)
{
	return dnn_set(d, DNN_ARG_ADD, add);
}

int dnn_run(struct dnn *d)
{
	DNNL_TRY(d->kernel, dnnl_primitive_execute(d->primitive, d->stream, d->args, d->arg));
	DNNL_TRY(d->kernel, dnnl_stream_wait(d->stream));
	return 0;
}

static int pack_make(struct dnn_pack *p, const struct dnn_conv *c, const struct dnn_shape *shape)
{
	TRY(dnn_begin(&p->d));
	TRY(dnn_describe_pack(p, c, shape));
	snprintf(p->d.kernel, sizeof p->d.kernel, "reorder");
	return dnn_finish(&p->d);
}

struct dnn_pack *dnn_pack(const struct dnn_conv *c, const struct dnn_shape *shape, int unpack)
{
	struct dnn_pack *p = calloc(1, sizeof *p);

	if (!p) {
		fail("out of memory");
		return NULL;
	}
	p->unpack = unpack;
	if (pack_make(p, c, shape)) {
		dnn_pack_free(p);
		return NULL;
	}
	return p;
}

void dnn_pack_free(struct dnn_pack *p)
{
	if (!p)
		return;
	dnn_release(&p->d);
	free(p);
}

size_t dnn_pack_scratch(const struct dnn_pack *p)
{
	return p->d.scratch;
}

int dnn_pack_place(struct dnn_pack *p, void *plain, void *packed, void *scratch)
{
	TRY(dnn_set(&p->d, DNNL_ARG_FROM, p->unpack ? packed : plain));
	TRY(dnn_set(&p->d, DNNL_ARG_TO, p->unpack ? plain : packed));
	return dnn_set(&p->d, DNNL_ARG_SCRATCHPAD, scratch);
}

int dnn_pack_run(struct dnn_pack *p)
{
	return dnn_run(&p->d);
}

int dnn_product(int ta, int tb, int m, int n, int k, const float *a, int lda, const float *b,
		int ldb, int add, float *c, int ldc)
{
	DNNL_TRY("product", dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f, a, lda, b,
				       ldb, add ? 1.0f : 0.0f, c, ldc));
	return 0;
}

const char *dnn_library(void)
{
	static char name[48];
	const dnnl_version_t *v = dnnl_version();

	snprintf(name, sizeof name, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
	return name;
}

/* The last in the list that is part of the library's, which a newer one may have no word
 * for here. */
const char *dnn_isa(void)
{
	static const struct { dnnl_cpu_isa_t isa; const char *name; } names[] = {
		{ dnnl_cpu_isa_sse41, "sse41" }, { dnnl_cpu_isa_avx, "avx" },
		{ dnnl_cpu_isa_avx2, "avx2" }, { dnnl_cpu_isa_avx2_vnni, "avx2_vnni" },
#if DNNL_VERSION_MAJOR > 2
		{ dnnl_cpu_isa_avx2_vnni_2, "avx2_vnni_2" },
#endif
		{ dnnl_cpu_isa_avx512_core, "avx512_core" },
		{ dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni" },
		{ dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16" },
#if DNNL_VERSION_MAJOR > 2
		{ dnnl_cpu_isa_avx512_core_fp16, "avx512_core_fp16" },
#endif
		{ dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx" },
#if DNNL_VERSION_MAJOR > 2
		{ dnnl_cpu_isa_avx512_core_amx_fp16, "avx512_core_amx_fp16" },
#endif
	};
	const char *name = "an instruction set of its own";
	dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();

#ifndef __x86_64__
	/* their numbers mean others there */
	return name;
#endif
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if ((names[i].isa & isa) == names[i].isa)
			name = names[i].name;
	return name;
}

int dnn_width(void)
{
	return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) ==
	       dnnl_cpu_isa_avx512_core ? 16 : 8;
}

#if DNNL_VERSION_MAJOR == 2
#define ISA_ALL dnnl_cpu_isa_all
#else
#define ISA_ALL dnnl_cpu_isa_default
#endif

int dnn_limit(int width)
{
	dnnl_cpu_isa_t most = width == 16 ? ISA_ALL :
			      width == 8 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_sse41;

#ifndef __x86_64__
	/* the library tells no others apart */
	return 0;
#endif
	/* refused where something was made before, under what limit that may have been */
	if (dnnl_set_max_cpu_isa(most) != dnnl_success &&
	    (width == 16 ? dnn_width() < 16 : dnnl_get_effective_cpu_isa() != most))
		return fail("cpu: oneDNN works with another instruction set in this process "
			    "already");
	return 0;
}
