#include "dev/cpu/dnn.h"

#include "base/fail.h"

#include <assert.h>
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_VERSION_MAJOR != 2
#error "this file speaks to oneDNN 2.x"
#endif

_Static_assert(sizeof(dnnl_memory_desc_t) <= DNN_SHAPE, "a shape holds a descriptor");

enum { ARGS = 5 };

struct dnn {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	dnnl_primitive_desc_t desc;
	dnnl_primitive_t primitive;
	dnnl_exec_arg_t arg[ARGS];
	int args;
	dnnl_memory_desc_t weights;
	size_t scratch;
	char kernel[DNN_NAME];
};

struct dnn_pack {
	struct dnn d;           /* arg: from, to, scratch */
	int unpack;
};

static const char *const status_words[] = {
	"done", "out of memory", "invalid arguments", "no kernel for it", "end of the list",
	"runtime error", "not required"
};

static int wrong(const char *what, dnnl_status_t status)
{
	unsigned s = (unsigned)status;

	return fail("oneDNN: %s: %s", what,
		    s < sizeof status_words / sizeof *status_words ? status_words[s] : "?");
}

#define DNNL_TRY(what, x) do { dnnl_status_t s_ = (x); \
	if (s_ != dnnl_success) return wrong(what, s_); } while (0)

static void dnn_release(struct dnn *d)
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

static int dnn_begin(struct dnn *d)
{
	DNNL_TRY("engine", dnnl_engine_create(&d->engine, dnnl_cpu, 0));
	DNNL_TRY("stream", dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags));
	return 0;
}

/* An argument without a place yet. */
static int dnn_arg(struct dnn *d, int name, const dnnl_memory_desc_t *desc)
{
	assert(d->args < ARGS);
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

/* A description made: picks the kernel, refusing the library's plain loops. */
static int dnn_pick(struct dnn *d, const_dnnl_op_desc_t op, dnnl_primitive_desc_t hint)
{
	dnnl_primitive_attr_t attr;
	dnnl_status_t status;
	const char *name;

	DNNL_TRY("attributes", dnnl_primitive_attr_create(&attr));
	status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (status == dnnl_success)
		status = dnnl_primitive_desc_create(&d->desc, op, attr, d->engine, hint);
	dnnl_primitive_attr_destroy(attr);
	DNNL_TRY("convolution", status);
	DNNL_TRY("name", dnnl_primitive_desc_query(d->desc, dnnl_query_impl_info_str, 0, &name));
	snprintf(d->kernel, sizeof d->kernel, "%s", name);
	if (strstr(name, "ref"))
		return fail("oneDNN: convolution: only its reference: %s", name);
	return 0;
}

static int dnn_finish(struct dnn *d)
{
	const dnnl_memory_desc_t *scratch;

	DNNL_TRY("primitive", dnnl_primitive_create(&d->primitive, d->desc));
	scratch = dnnl_primitive_desc_query_md(d->desc, dnnl_query_scratchpad_md, 0);
	d->scratch = dnnl_memory_desc_get_size(scratch);
	return dnn_arg(d, DNNL_ARG_SCRATCHPAD, scratch);
}

/* One side of a convolution in its layout. */
static int image_desc(dnnl_memory_desc_t *m, int n, int c, int h, int w, int block,
		      dnnl_data_type_t type)
{
	dnnl_dims_t dims = { n, c, h, w };
	dnnl_format_tag_t tag = block == 1 ? dnnl_nchw : block == c ? dnnl_nhwc :
				block == 8 ? dnnl_nChw8c : dnnl_nChw16c;

	if (block == 8 || block == 16)
		tag = block == 8 ? dnnl_nChw8c : dnnl_nChw16c;
	else if (block != 1 && block != c)
		return fail("oneDNN: no layout of %d channels in blocks of %d", c, block);
	DNNL_TRY("layout", dnnl_memory_desc_init_by_tag(m, 4, dims, type, tag));
	return 0;
}

static int weights_desc(dnnl_memory_desc_t *m, const struct dnn_conv *c, int plain,
			dnnl_data_type_t type)
{
	dnnl_dims_t dense = { c->out_c, c->in_c, c->k[0], c->k[1] };
	dnnl_dims_t grouped = { c->groups, c->out_c / c->groups, c->in_c / c->groups,
				c->k[0], c->k[1] };

	if (c->groups == 1)
		DNNL_TRY("weights", dnnl_memory_desc_init_by_tag(m, 4, dense, type,
				plain ? dnnl_oihw : dnnl_format_tag_any));
	else
		DNNL_TRY("weights", dnnl_memory_desc_init_by_tag(m, 5, grouped, type,
				plain ? dnnl_goihw : dnnl_format_tag_any));
	return 0;
}

struct described {
	dnnl_memory_desc_t x, w, b, y;
	dnnl_convolution_desc_t conv;
};

static int describe(struct described *t, const struct dnn_conv *c, enum dnn_direction direction,
		    dnnl_alg_kind_t alg)
{
	dnnl_dims_t stride = { c->stride[0], c->stride[1] };
	dnnl_dims_t dilate = { c->dilation[0] - 1, c->dilation[1] - 1 };
	dnnl_dims_t before = { c->before[0], c->before[1] };
	dnnl_dims_t after = { c->after[0], c->after[1] };
	dnnl_dims_t bias = { c->out_c };
	dnnl_data_type_t type = c->bf16 ? dnnl_bf16 : dnnl_f32;
	dnnl_status_t s;

	TRY(image_desc(&t->x, c->n, c->in_c, c->in_h, c->in_w, c->in_block, type));
	TRY(image_desc(&t->y, c->n, c->out_c, c->out_h, c->out_w, c->out_block, type));
	TRY(weights_desc(&t->w, c, 0, direction == DNN_BACKWARD_WEIGHTS ? dnnl_f32 : type));
	DNNL_TRY("bias", dnnl_memory_desc_init_by_tag(&t->b, 1, bias, dnnl_f32, dnnl_x));
	if (direction == DNN_FORWARD)
		s = dnnl_dilated_convolution_forward_desc_init(&t->conv, dnnl_forward_training,
			alg, &t->x, &t->w, c->bias ? &t->b : NULL, &t->y, stride, dilate, before,
			after);
	else if (direction == DNN_BACKWARD_DATA)
		s = dnnl_dilated_convolution_backward_data_desc_init(&t->conv, alg, &t->x, &t->w,
			&t->y, stride, dilate, before, after);
	else
		s = dnnl_dilated_convolution_backward_weights_desc_init(&t->conv, alg, &t->x,
			&t->w, NULL, &t->y, stride, dilate, before, after);
	DNNL_TRY("convolution", s);
	return 0;
}

/* The backward directions want a forward primitive to look at. */
static int hint_make(dnnl_primitive_desc_t *hint, const struct dnn *d, const struct dnn_conv *c)
{
	struct dnn_conv without = *c;
	struct described t;

	without.bias = 0;
	TRY(describe(&t, &without, DNN_FORWARD, dnnl_convolution_direct));
	DNNL_TRY("hint", dnnl_primitive_desc_create(hint, &t.conv, NULL, d->engine, NULL));
	return 0;
}

static int conv_make(struct dnn *d, const struct dnn_conv *c, enum dnn_direction direction,
		     int winograd)
{
	static const int x_name[] = { DNNL_ARG_SRC, DNNL_ARG_DIFF_SRC, DNNL_ARG_SRC };
	static const int w_name[] = { DNNL_ARG_WEIGHTS, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_WEIGHTS };
	static const int y_name[] = { DNNL_ARG_DST, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_DST };
	static const dnnl_query_t w_query[] = { dnnl_query_weights_md, dnnl_query_weights_md,
						dnnl_query_diff_weights_md };
	dnnl_alg_kind_t alg = winograd ? dnnl_convolution_winograd : dnnl_convolution_direct;
	dnnl_primitive_desc_t hint = NULL;
	struct described t;
	int rc;

	TRY(dnn_begin(d));
	TRY(describe(&t, c, direction, alg));
	if (direction != DNN_FORWARD)
		TRY(hint_make(&hint, d, c));
	rc = dnn_pick(d, &t.conv, hint);
	if (hint)
		dnnl_primitive_desc_destroy(hint);
	TRY(rc);
	d->weights = *dnnl_primitive_desc_query_md(d->desc, w_query[direction], 0);
	TRY(dnn_arg(d, x_name[direction], &t.x));
	TRY(dnn_arg(d, w_name[direction], &d->weights));
	if (direction == DNN_FORWARD && c->bias)
		TRY(dnn_arg(d, DNNL_ARG_BIAS, &t.b));
	TRY(dnn_arg(d, y_name[direction], &t.y));
	return dnn_finish(d);
}

struct dnn *dnn_conv(const struct dnn_conv *c, enum dnn_direction direction, int winograd)
{
	struct dnn *d = calloc(1, sizeof *d);

	if (!d) {
		fail("out of memory");
		return NULL;
	}
	if (conv_make(d, c, direction, winograd)) {
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

/* Nothing but what is said of it: bytes beyond the dimensions are left over from
 * whatever was there, and shapes are compared byte by byte. */
static void desc_clean(dnnl_memory_desc_t *to, const dnnl_memory_desc_t *m)
{
	size_t n = (size_t)m->ndims * sizeof(dnnl_dim_t);
	const dnnl_blocking_desc_t *b = &m->format_desc.blocking;
	dnnl_blocking_desc_t *to_b = &to->format_desc.blocking;

	memset(to, 0, sizeof *to);
	to->ndims = m->ndims;
	to->data_type = m->data_type;
	to->offset0 = m->offset0;
	to->format_kind = m->format_kind;
	memcpy(to->dims, m->dims, n);
	memcpy(to->padded_dims, m->padded_dims, n);
	memcpy(to->padded_offsets, m->padded_offsets, n);
	to->extra.flags = m->extra.flags;
	to->extra.scale_adjust = m->extra.scale_adjust;
	if (m->format_kind != dnnl_blocked) {
		to->format_desc = m->format_desc;
		return;
	}
	memcpy(to_b->strides, b->strides, n);
	to_b->inner_nblks = b->inner_nblks;
	memcpy(to_b->inner_blks, b->inner_blks, (size_t)b->inner_nblks * sizeof(dnnl_dim_t));
	memcpy(to_b->inner_idxs, b->inner_idxs, (size_t)b->inner_nblks * sizeof(dnnl_dim_t));
}

void dnn_weights(const struct dnn *d, struct dnn_shape *shape)
{
	dnnl_memory_desc_t clean;

	memset(shape, 0, sizeof *shape);
	desc_clean(&clean, &d->weights);
	memcpy(shape->bytes, &clean, sizeof clean);
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

int dnn_run(struct dnn *d)
{
	DNNL_TRY(d->kernel, dnnl_primitive_execute(d->primitive, d->stream, d->args, d->arg));
	DNNL_TRY(d->kernel, dnnl_stream_wait(d->stream));
	return 0;
}

static int pack_make(struct dnn_pack *p, const struct dnn_conv *c, const struct dnn_shape *shape)
{
	dnnl_memory_desc_t plain, packed;
	dnnl_primitive_attr_t attr;
	dnnl_status_t status;
	struct dnn *d = &p->d;

	memcpy(&packed, shape->bytes, sizeof packed);
	TRY(dnn_begin(d));
	TRY(weights_desc(&plain, c, 1, dnnl_f32));
	DNNL_TRY("attributes", dnnl_primitive_attr_create(&attr));
	status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (status == dnnl_success)
		status = dnnl_reorder_primitive_desc_create(&d->desc,
			p->unpack ? &packed : &plain, d->engine,
			p->unpack ? &plain : &packed, d->engine, attr);
	dnnl_primitive_attr_destroy(attr);
	DNNL_TRY("reorder of weights", status);
	snprintf(d->kernel, sizeof d->kernel, "reorder");
	TRY(dnn_arg(d, DNNL_ARG_FROM, p->unpack ? &packed : &plain));
	TRY(dnn_arg(d, DNNL_ARG_TO, p->unpack ? &plain : &packed));
	return dnn_finish(d);
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

size_t dnn_pack_bytes(const struct dnn_shape *shape)
{
	dnnl_memory_desc_t m;

	memcpy(&m, shape->bytes, sizeof m);
	return dnnl_memory_desc_get_size(&m);
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

const char *dnn_isa(void)
{
	static const struct { dnnl_cpu_isa_t isa; const char *name; } names[] = {
		{ dnnl_cpu_isa_sse41, "sse41" }, { dnnl_cpu_isa_avx, "avx" },
		{ dnnl_cpu_isa_avx2, "avx2" }, { dnnl_cpu_isa_avx2_vnni, "avx2_vnni" },
		{ dnnl_cpu_isa_avx512_core, "avx512_core" },
		{ dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni" },
		{ dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16" },
		{ dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx" },
	};
	dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].isa == isa)
			return names[i].name;
	return "an instruction set of its own";
}

int dnn_winograd(void)
{
	return dnn_width() == 16;
}

int dnn_width(void)
{
	return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) ==
	       dnnl_cpu_isa_avx512_core ? 16 : 8;
}

int dnn_limit(int width)
{
	dnnl_cpu_isa_t most = width == 16 ? dnnl_cpu_isa_all :
			      width == 8 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_sse41;

	/* refused where something was made before, under what limit that may have been */
	if (dnnl_set_max_cpu_isa(most) != dnnl_success &&
	    (width == 16 ? dnn_width() < 16 : dnnl_get_effective_cpu_isa() != most))
		return fail("cpu: oneDNN works with another instruction set in this process "
			    "already");
	return 0;
}
