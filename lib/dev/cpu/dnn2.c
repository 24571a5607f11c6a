/* Descriptions as oneDNN 2.x wants them. */
#include "dev/cpu/dnn_own.h"

#if DNNL_VERSION_MAJOR == 2

#include <string.h>

_Static_assert(sizeof(dnnl_memory_desc_t) <= DNN_SHAPE, "a shape holds a descriptor");

static int image_desc(dnnl_memory_desc_t *m, int n, int c, int h, int w, int block,
		      dnnl_data_type_t type)
{
	dnnl_dims_t dims = { n, c, h, w };
	dnnl_format_tag_t tag;

	TRY(dnn_tag(c, block, &tag));
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

static int describe(struct described *t, const struct dnn_conv *c, enum dnn_direction direction)
{
	const dnnl_alg_kind_t alg = dnnl_convolution_direct;
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
	TRY(describe(&t, &without, DNN_FORWARD));
	DNNL_TRY("hint", dnnl_primitive_desc_create(hint, &t.conv, NULL, d->engine, NULL));
	return 0;
}

/* A description made: picks the kernel. */
static int desc_pick(struct dnn *d, const struct described *t, const struct dnn_conv *c,
		     dnnl_primitive_desc_t hint)
{
	dnnl_primitive_attr_t attr;
	dnnl_status_t status = dnnl_success;
	int rc;

	TRY(dnn_attr(&attr));
	rc = dnn_attr_after(attr, c, &t->y);
	if (!rc)
		status = dnnl_primitive_desc_create(&d->desc, &t->conv, attr, d->engine, hint);
	dnnl_primitive_attr_destroy(attr);
	TRY(rc);
	DNNL_TRY("convolution", status);
	return dnn_name(d);
}

/* Nothing but what is said of it: bytes beyond the dimensions are left over from
 * whatever was there, and shapes are compared byte by byte. */
static void shape_set(struct dnn_shape *shape, const dnnl_memory_desc_t *m)
{
	dnnl_memory_desc_t clean, *to = &clean;
	const dnnl_blocking_desc_t *b = &m->format_desc.blocking;
	dnnl_blocking_desc_t *to_b = &to->format_desc.blocking;
	size_t n = (size_t)m->ndims * sizeof(dnnl_dim_t);
	size_t inner = (size_t)b->inner_nblks * sizeof(dnnl_dim_t);

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
	memcpy(to_b->strides, b->strides, n);
	to_b->inner_nblks = b->inner_nblks;
	memcpy(to_b->inner_blks, b->inner_blks, inner);
	memcpy(to_b->inner_idxs, b->inner_idxs, inner);
	memset(shape, 0, sizeof *shape);
	memcpy(shape->bytes, to, sizeof *to);
}

int dnn_describe_conv(struct dnn *d, const struct dnn_conv *c, enum dnn_direction direction)
{
	static const int x_name[] = { DNNL_ARG_SRC, DNNL_ARG_DIFF_SRC, DNNL_ARG_SRC };
	static const int w_name[] = { DNNL_ARG_WEIGHTS, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_WEIGHTS };
	static const int y_name[] = { DNNL_ARG_DST, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_DST };
	static const dnnl_query_t w_query[] = { dnnl_query_weights_md, dnnl_query_weights_md,
						dnnl_query_diff_weights_md };
	dnnl_primitive_desc_t hint = NULL;
	const dnnl_memory_desc_t *weights;
	struct described t;
	int rc;

	TRY(describe(&t, c, direction));
	if (direction != DNN_FORWARD)
		TRY(hint_make(&hint, d, c));
	rc = desc_pick(d, &t, c, hint);
	if (hint)
		dnnl_primitive_desc_destroy(hint);
	TRY(rc);
	weights = dnnl_primitive_desc_query_md(d->desc, w_query[direction], 0);
	shape_set(&d->weights, weights);
	TRY(dnn_arg(d, x_name[direction], &t.x));
	TRY(dnn_arg(d, w_name[direction], weights));
	if (direction == DNN_FORWARD && c->bias)
		TRY(dnn_arg(d, DNNL_ARG_BIAS, &t.b));
	if (c->add)
		TRY(dnn_arg(d, DNN_ARG_ADD, &t.y));
	return dnn_arg(d, y_name[direction], &t.y);
}

int dnn_describe_pack(struct dnn_pack *p, const struct dnn_conv *c, const struct dnn_shape *shape)
{
	dnnl_memory_desc_t plain, packed;
	dnnl_primitive_attr_t attr;
	dnnl_status_t status;
	struct dnn *d = &p->d;

	memcpy(&packed, shape->bytes, sizeof packed);
	TRY(weights_desc(&plain, c, 1, dnnl_f32));
	TRY(dnn_attr(&attr));
	status = dnnl_reorder_primitive_desc_create(&d->desc,
		p->unpack ? &packed : &plain, d->engine,
		p->unpack ? &plain : &packed, d->engine, attr);
	dnnl_primitive_attr_destroy(attr);
	DNNL_TRY("reorder of weights", status);
	TRY(dnn_arg(d, DNNL_ARG_FROM, p->unpack ? &packed : &plain));
	return dnn_arg(d, DNNL_ARG_TO, p->unpack ? &plain : &packed);
}

size_t dnn_pack_bytes(const struct dnn_shape *shape)
{
	dnnl_memory_desc_t m;

	memcpy(&m, shape->bytes, sizeof m);
	return dnnl_memory_desc_get_size(&m);
}

#else
typedef int not_dnn2;   /* a file is never empty */
#endif
