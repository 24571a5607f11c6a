/* Descriptions as oneDNN 3.x wants them. */
#include "dev/cpu/dnn_own.h"

#if DNNL_VERSION_MAJOR == 3

#include <string.h>

/*
 * Descriptors of memory are the library's own from 3.0 on. What a shape holds here is
 * the question to which the library's answer was those weights: it gives the same
 * answer again.
 */
struct question { struct dnn_conv conv; enum dnn_direction direction; };

_Static_assert(sizeof(struct question) <= DNN_SHAPE, "a shape holds a question");

/* Descriptors of one convolution; NULL: not made yet. */
struct described { dnnl_memory_desc_t x, w, b, y; };

static void described_release(struct described *t)
{
	const dnnl_memory_desc_t m[] = { t->x, t->w, t->b, t->y };

	for (size_t i = 0; i < sizeof m / sizeof *m; i++)
		if (m[i])
			dnnl_memory_desc_destroy(m[i]);
}

static int image_desc(dnnl_memory_desc_t *m, int n, int c, int h, int w, int block,
		      dnnl_data_type_t type)
{
	dnnl_dims_t dims = { n, c, h, w };
	dnnl_format_tag_t tag;

	TRY(dnn_tag(c, block, &tag));
	DNNL_TRY("layout", dnnl_memory_desc_create_with_tag(m, 4, dims, type, tag));
	return 0;
}

static int weights_desc(dnnl_memory_desc_t *m, const struct dnn_conv *c, int plain,
			dnnl_data_type_t type)
{
	dnnl_dims_t dense = { c->out_c, c->in_c, c->k[0], c->k[1] };
	dnnl_dims_t grouped = { c->groups, c->out_c / c->groups, c->in_c / c->groups,
				c->k[0], c->k[1] };

	if (c->groups == 1)
		DNNL_TRY("weights", dnnl_memory_desc_create_with_tag(m, 4, dense, type,
				plain ? dnnl_oihw : dnnl_format_tag_any));
	else
		DNNL_TRY("weights", dnnl_memory_desc_create_with_tag(m, 5, grouped, type,
				plain ? dnnl_goihw : dnnl_format_tag_any));
	return 0;
}

static int describe(struct described *t, const struct dnn_conv *c, enum dnn_direction direction)
{
	dnnl_data_type_t type = c->bf16 ? dnnl_bf16 : dnnl_f32;
	dnnl_dims_t bias = { c->out_c };

	TRY(image_desc(&t->x, c->n, c->in_c, c->in_h, c->in_w, c->in_block, type));
	TRY(image_desc(&t->y, c->n, c->out_c, c->out_h, c->out_w, c->out_block, type));
	TRY(weights_desc(&t->w, c, 0, direction == DNN_BACKWARD_WEIGHTS ? dnnl_f32 : type));
	DNNL_TRY("bias", dnnl_memory_desc_create_with_tag(&t->b, 1, bias, dnnl_f32, dnnl_x));
	return 0;
}

/* hint: a forward primitive's, for the backward directions. attr may be NULL. */
static dnnl_status_t desc_create(dnnl_primitive_desc_t *desc, dnnl_engine_t engine,
				 const struct described *t, const struct dnn_conv *c,
				 enum dnn_direction direction, dnnl_primitive_desc_t hint,
				 dnnl_primitive_attr_t attr)
{
	const dnnl_alg_kind_t alg = dnnl_convolution_direct;
	dnnl_dims_t stride = { c->stride[0], c->stride[1] };
	dnnl_dims_t dilate = { c->dilation[0] - 1, c->dilation[1] - 1 };
	dnnl_dims_t before = { c->before[0], c->before[1] };
	dnnl_dims_t after = { c->after[0], c->after[1] };

	if (direction == DNN_FORWARD)
		return dnnl_convolution_forward_primitive_desc_create(desc, engine,
			dnnl_forward_training, alg, t->x, t->w, c->bias ? t->b : NULL, t->y,
			stride, dilate, before, after, attr);
	if (direction == DNN_BACKWARD_DATA)
		return dnnl_convolution_backward_data_primitive_desc_create(desc, engine, alg,
			t->x, t->w, t->y, stride, dilate, before, after, hint, attr);
	return dnnl_convolution_backward_weights_primitive_desc_create(desc, engine, alg, t->x,
		t->w, NULL, t->y, stride, dilate, before, after, hint, attr);
}

/* The backward directions want a forward primitive to look at. */
static int hint_make(dnnl_primitive_desc_t *hint, dnnl_engine_t engine, const struct dnn_conv *c)
{
	struct dnn_conv without = *c;
	struct described t = { NULL, NULL, NULL, NULL };
	dnnl_status_t status = dnnl_success;
	int rc;

	without.bias = 0;
	rc = describe(&t, &without, DNN_FORWARD);
	if (!rc)
		status = desc_create(hint, engine, &t, &without, DNN_FORWARD, NULL, NULL);
	described_release(&t);
	TRY(rc);
	DNNL_TRY("hint", status);
	return 0;
}

/* desc alone, of what t describes. */
static int desc_make(dnnl_primitive_desc_t *desc, dnnl_engine_t engine,
		     const struct described *t, const struct question *q)
{
	dnnl_primitive_desc_t hint = NULL;
	dnnl_primitive_attr_t attr;
	dnnl_status_t status = dnnl_success;
	int rc;

	if (q->direction != DNN_FORWARD)
		TRY(hint_make(&hint, engine, &q->conv));
	rc = dnn_attr(&attr);
	if (!rc) {
		rc = dnn_attr_after(attr, &q->conv, t->y);
		if (!rc)
			status = desc_create(desc, engine, t, &q->conv, q->direction, hint, attr);
		dnnl_primitive_attr_destroy(attr);
	}
	if (hint)
		dnnl_primitive_desc_destroy(hint);
	TRY(rc);
	DNNL_TRY("convolution", status);
	return 0;
}

/* The weights' descriptor, which lives as long as desc. */
static const_dnnl_memory_desc_t desc_weights(dnnl_primitive_desc_t desc,
					     enum dnn_direction direction)
{
	return dnnl_primitive_desc_query_md(desc, direction == DNN_BACKWARD_WEIGHTS ?
		dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
}

static int args_add(struct dnn *d, const struct described *t, const struct question *q)
{
	static const int x_name[] = { DNNL_ARG_SRC, DNNL_ARG_DIFF_SRC, DNNL_ARG_SRC };
	static const int w_name[] = { DNNL_ARG_WEIGHTS, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_WEIGHTS };
	static const int y_name[] = { DNNL_ARG_DST, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_DST };

	TRY(dnn_name(d));
	TRY(dnn_arg(d, x_name[q->direction], t->x));
	TRY(dnn_arg(d, w_name[q->direction], desc_weights(d->desc, q->direction)));
	if (q->direction == DNN_FORWARD && q->conv.bias)
		TRY(dnn_arg(d, DNNL_ARG_BIAS, t->b));
	if (q->conv.add)
		TRY(dnn_arg(d, DNN_ARG_ADD, t->y));
	return dnn_arg(d, y_name[q->direction], t->y);
}

int dnn_describe_conv(struct dnn *d, const struct dnn_conv *c, enum dnn_direction direction)
{
	struct described t = { NULL, NULL, NULL, NULL };
	struct question q;
	int rc;

	/* shapes are compared byte by byte */
	memset(&q, 0, sizeof q);
	q.conv = *c;
	q.direction = direction;
	rc = describe(&t, c, direction);
	if (!rc)
		rc = desc_make(&d->desc, d->engine, &t, &q);
	if (!rc)
		rc = args_add(d, &t, &q);
	described_release(&t);
	memset(&d->weights, 0, sizeof d->weights);
	memcpy(d->weights.bytes, &q, sizeof q);
	return rc;
}

/* The question asked again: the caller destroys desc. */
static int shape_desc(const struct dnn_shape *shape, dnnl_engine_t engine,
		      dnnl_primitive_desc_t *desc, enum dnn_direction *direction)
{
	struct described t = { NULL, NULL, NULL, NULL };
	struct question q;
	int rc;

	memcpy(&q, shape->bytes, sizeof q);
	*direction = q.direction;
	rc = describe(&t, &q.conv, q.direction);
	if (!rc)
		rc = desc_make(desc, engine, &t, &q);
	described_release(&t);
	return rc;
}

static int pack_describe(struct dnn_pack *p, const_dnnl_memory_desc_t plain,
			 const_dnnl_memory_desc_t packed)
{
	const_dnnl_memory_desc_t from = p->unpack ? packed : plain;
	const_dnnl_memory_desc_t to = p->unpack ? plain : packed;
	dnnl_primitive_attr_t attr;
	dnnl_status_t status;
	struct dnn *d = &p->d;

	TRY(dnn_attr(&attr));
	status = dnnl_reorder_primitive_desc_create(&d->desc, from, d->engine, to, d->engine, attr);
	dnnl_primitive_attr_destroy(attr);
	DNNL_TRY("reorder of weights", status);
	TRY(dnn_arg(d, DNNL_ARG_FROM, from));
	return dnn_arg(d, DNNL_ARG_TO, to);
}

int dnn_describe_pack(struct dnn_pack *p, const struct dnn_conv *c, const struct dnn_shape *shape)
{
	dnnl_primitive_desc_t desc;
	dnnl_memory_desc_t plain;
	enum dnn_direction direction;
	int rc;

	TRY(shape_desc(shape, p->d.engine, &desc, &direction));
	rc = weights_desc(&plain, c, 1, dnnl_f32);
	if (!rc) {
		rc = pack_describe(p, plain, desc_weights(desc, direction));
		dnnl_memory_desc_destroy(plain);
	}
	dnnl_primitive_desc_destroy(desc);
	return rc;
}

size_t dnn_pack_bytes(const struct dnn_shape *shape)
{
	dnnl_primitive_desc_t desc;
	enum dnn_direction direction;
	struct dnn d = { .engine = NULL };
	size_t bytes = 0;

	if (!dnn_begin(&d) && !shape_desc(shape, d.engine, &desc, &direction)) {
		bytes = dnnl_memory_desc_get_size(desc_weights(desc, direction));
		dnnl_primitive_desc_destroy(desc);
	}
	dnn_release(&d);
	return bytes;
}

#else
typedef int not_dnn3;   /* a file is never empty */
#endif
