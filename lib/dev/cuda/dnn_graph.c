/* Operation graphs of cuDNN's backend API: a convolution, and what is fused to it. */
#include "dev/cuda/dnn_graph.h"

#include "base/fail.h"

#include <stdbool.h>
#include <stdio.h>

int dnn_bad(const struct dnn *d, cudnnStatus_t status, const char *what)
{
	char words[512] = "";

	d->v->last_error(words, sizeof words);
	for (char *c = words; *c; c++)
		if (*c == '\n')
			*c = ' ';
	return fail("cuDNN: %s: %s%s%s", what, d->v->error(status), *words ? ": " : "", words);
}

descriptor descriptor_make(struct maker *m, cudnnBackendDescriptorType_t type)
{
	cudnnStatus_t status;
	descriptor d = NULL;

	if (m->failed)
		return NULL;
	if (m->made->count == DESCRIPTORS) {
		m->failed = fail("cuDNN: more than %d descriptors", DESCRIPTORS);
		return NULL;
	}
	status = m->dnn->v->make(type, &d);
	if (status != CUDNN_STATUS_SUCCESS) {
		m->failed = dnn_bad(m->dnn, status, "descriptor");
		return NULL;
	}
	m->made->d[m->made->count++] = d;
	return d;
}

void attribute_set(struct maker *m, descriptor d, cudnnBackendAttributeName_t name,
		   cudnnBackendAttributeType_t type, int64_t count, const void *at)
{
	cudnnStatus_t status;

	if (m->failed)
		return;
	status = m->dnn->v->set(d, name, type, count, at);
	if (status != CUDNN_STATUS_SUCCESS) {
		char what[32];

		snprintf(what, sizeof what, "attribute %d", (int)name);
		m->failed = dnn_bad(m->dnn, status, what);
	}
}

void descriptor_set(struct maker *m, descriptor d, cudnnBackendAttributeName_t name,
		    descriptor value)
{
	attribute_set(m, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

void descriptor_finalize(struct maker *m, descriptor d, const char *what)
{
	cudnnStatus_t status;

	if (m->failed)
		return;
	status = m->dnn->v->finalize(d);
	if (status != CUDNN_STATUS_SUCCESS)
		m->failed = dnn_bad(m->dnn, status, what);
}

static cudnnDataType_t data_type(enum dtype type)
{
	return type == DTYPE_F16 ? CUDNN_DATA_HALF :
	       type == DTYPE_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* dim: n, c, h, w; stored with c innermost. uid < 0: a virtual one, inside. */
static descriptor tensor(struct maker *m, int uid, cudnnDataType_t type, const int64_t dim[4])
{
	descriptor d = descriptor_make(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
	int64_t stride[4] = { dim[1] * dim[2] * dim[3], 1, dim[1] * dim[3], dim[1] };
	int64_t id = uid < 0 ? DNN_OPERANDS + m->next_virtual++ : uid, align = 16;
	bool inside = uid < 0;

	attribute_set(m, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	attribute_set(m, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim);
	attribute_set(m, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
	attribute_set(m, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
	attribute_set(m, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
	if (inside)
		attribute_set(m, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inside);
	descriptor_finalize(m, d, "tensor");
	return d;
}

static descriptor tensor_x(struct maker *m, int uid)
{
	const struct dnn_graph *g = m->graph;
	const int64_t dim[4] = { g->n, g->in_c, g->in_h, g->in_w };

	return tensor(m, uid, data_type(g->type), dim);
}

/* Inside, between pointwise nodes, in fp32. */
static descriptor tensor_between(struct maker *m)
{
	const struct dnn_graph *g = m->graph;
	const int64_t dim[4] = { g->n, g->in_c, g->in_h, g->in_w };

	return tensor(m, -1, CUDNN_DATA_FLOAT, dim);
}

static descriptor tensor_vector(struct maker *m, int uid, cudnnDataType_t type, int c)
{
	const int64_t dim[4] = { 1, c, 1, 1 };

	return tensor(m, uid, type, dim);
}

static void node_add(struct maker *m, descriptor node)
{
	descriptor_finalize(m, node, "operation");
	if (m->nodes == NODES)
		m->failed = fail("cuDNN: more than %d operations", NODES);
	else
		m->node[m->nodes++] = node;
}

/* y = x (mode) b, or y = mode(x) where b is NULL. RELU_BWD: x is the gradient and b the
 * activation's operand. */
static void pointwise(struct maker *m, cudnnPointwiseMode_t mode, descriptor x, descriptor b,
		      descriptor y)
{
	descriptor op = descriptor_make(m, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
	cudnnDataType_t math = CUDNN_DATA_FLOAT;
	int backward = mode == CUDNN_POINTWISE_RELU_BWD;
	double six = 6;
	descriptor node;

	attribute_set(m, op, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
	attribute_set(m, op, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &math);
	if (mode == CUDNN_POINTWISE_RELU_FWD && m->graph->fuse & DNN_RELU6)
		attribute_set(m, op, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, 1,
			      &six);
	descriptor_finalize(m, op, "pointwise");
	node = descriptor_make(m, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, op);
	if (backward) {
		descriptor_set(m, node, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, x);
		descriptor_set(m, node, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, b);
		descriptor_set(m, node, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, y);
	} else {
		descriptor_set(m, node, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
		if (b)
			descriptor_set(m, node, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
		descriptor_set(m, node, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
	}
	node_add(m, node);
}

static descriptor convolution(struct maker *m)
{
	const struct window *win = &m->graph->window;
	descriptor d = descriptor_make(m, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
	cudnnDataType_t math = CUDNN_DATA_FLOAT;
	cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
	int64_t axes = 2, stride[2], dilation[2], before[2], after[2];

	for (int a = 0; a < 2; a++) {
		stride[a] = win->s[a];
		dilation[a] = win->dilation[a];
		before[a] = win->before[a];
		after[a] = win->after[a];
	}
	attribute_set(m, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
	attribute_set(m, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &math);
	attribute_set(m, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1,
		      &mode);
	attribute_set(m, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before);
	attribute_set(m, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after);
	attribute_set(m, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
	attribute_set(m, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
	descriptor_finalize(m, d, "convolution");
	return d;
}

/* What sets the three kinds apart. */
static const struct {
	cudnnBackendDescriptorType_t node;
	cudnnBackendAttributeName_t conv, x, w, y, alpha, beta;
} kinds[DNN_KINDS] = {
	[DNN_FORWARD] = {
		CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
		CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
		CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
		CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
		CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
		CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
		CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA
	},
	[DNN_DX] = {
		CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA
	},
	[DNN_DW] = {
		CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA
	},
};

static descriptor tensor_y(struct maker *m, int uid, cudnnDataType_t type)
{
	const struct dnn_graph *g = m->graph;
	const int64_t dim[4] = { g->n, g->out_c, g->out_h, g->out_w };

	return tensor(m, uid, type, dim);
}

/* The convolution over x; gives y. */
static descriptor conv_node(struct maker *m, descriptor x)
{
	const struct dnn_graph *g = m->graph;
	const int64_t of_w[4] = { g->out_c, g->in_c / g->groups, g->window.k[0], g->window.k[1] };
	cudnnDataType_t type = data_type(g->type);
	descriptor conv = convolution(m), w = tensor(m, DNN_W, type, of_w);
	descriptor y = g->fuse & DNN_PLUS ? tensor_y(m, -1, CUDNN_DATA_FLOAT)
					  : tensor_y(m, DNN_Y, type);
	descriptor node = descriptor_make(m, kinds[g->kind].node);
	double one = 1, zero = 0;

	descriptor_set(m, node, kinds[g->kind].conv, conv);
	descriptor_set(m, node, kinds[g->kind].x, x);
	descriptor_set(m, node, kinds[g->kind].w, w);
	descriptor_set(m, node, kinds[g->kind].y, y);
	attribute_set(m, node, kinds[g->kind].alpha, CUDNN_TYPE_DOUBLE, 1, &one);
	attribute_set(m, node, kinds[g->kind].beta, CUDNN_TYPE_DOUBLE, 1, &zero);
	node_add(m, node);
	return y;
}

static void stats_node(struct maker *m, descriptor y)
{
	descriptor node = descriptor_make(m, CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR);
	cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
	cudnnDataType_t math = CUDNN_DATA_FLOAT;
	int c = m->graph->out_c;

	attribute_set(m, node, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1,
		      &mode);
	attribute_set(m, node, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1,
		      &math);
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, y);
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC,
		       tensor_vector(m, DNN_SUM, math, c));
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC,
		       tensor_vector(m, DNN_SQUARE, math, c));
	node_add(m, node);
}

/* relu(a x + b), or relu(a x + b + z), which is stored. */
static descriptor prologue(struct maker *m)
{
	const struct dnn_graph *g = m->graph;
	cudnnDataType_t type = data_type(g->type);
	descriptor x = tensor_x(m, DNN_X), product = tensor_between(m), sum = tensor_between(m);
	descriptor y;

	pointwise(m, CUDNN_POINTWISE_MUL, x, tensor_vector(m, DNN_A, type, g->in_c), product);
	pointwise(m, CUDNN_POINTWISE_ADD, product, tensor_vector(m, DNN_B, type, g->in_c), sum);
	if (g->fuse & DNN_SKIP) {
		descriptor with = tensor_between(m);

		pointwise(m, CUDNN_POINTWISE_ADD, sum, tensor_x(m, DNN_Z), with);
		sum = with;
	}
	y = tensor_x(m, g->fuse & DNN_SKIP ? DNN_T : -1);
	pointwise(m, CUDNN_POINTWISE_RELU_FWD, sum, NULL, y);
	return y;
}

/* The activation's operand again, from what the batch norm read. */
static descriptor norm_again(struct maker *m, descriptor bn_x, descriptor mean,
			     descriptor invstd, descriptor gain)
{
	descriptor off = tensor_between(m), hat = tensor_between(m), scaled = tensor_between(m);
	descriptor y = tensor_between(m);

	pointwise(m, CUDNN_POINTWISE_SUB, bn_x, mean, off);
	pointwise(m, CUDNN_POINTWISE_MUL, off, invstd, hat);
	pointwise(m, CUDNN_POINTWISE_MUL, hat, gain, scaled);
	pointwise(m, CUDNN_POINTWISE_ADD, scaled,
		  tensor_vector(m, DNN_BIAS, CUDNN_DATA_FLOAT, m->graph->in_c), y);
	return y;
}

static void relu_sums(struct maker *m, descriptor dx)
{
	cudnnDataType_t math = CUDNN_DATA_FLOAT;
	int c = m->graph->in_c;
	descriptor bn_x = tensor_x(m, DNN_BN_X), mean = tensor_vector(m, DNN_MEAN, math, c);
	descriptor invstd = tensor_vector(m, DNN_INVSTD, math, c);
	descriptor gain = tensor_vector(m, DNN_GAIN, math, c);
	descriptor y = norm_again(m, bn_x, mean, invstd, gain), masked = tensor_x(m, DNN_X), node;

	pointwise(m, CUDNN_POINTWISE_RELU_BWD, dx, y, masked);
	node = descriptor_make(m, CUDNN_BACKEND_OPERATION_BN_BWD_WEIGHTS_DESCRIPTOR);
	attribute_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_MATH_PREC, CUDNN_TYPE_DATA_TYPE,
		      1, &math);
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_X_DESC, bn_x);
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_MEAN_DESC, mean);
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_INVSTD_DESC, invstd);
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_BN_SCALE_DESC, gain);
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DY_DESC, masked);
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DBN_SCALE_DESC,
		       tensor_vector(m, DNN_DGAIN, math, c));
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DBN_BIAS_DESC,
		       tensor_vector(m, DNN_DBIAS, math, c));
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_DY_SCALE_DESC,
		       tensor_vector(m, DNN_EQ_DY, math, c));
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_X_SCALE_DESC,
		       tensor_vector(m, DNN_EQ_X, math, c));
	descriptor_set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_BIAS,
		       tensor_vector(m, DNN_EQ_B, math, c));
	node_add(m, node);
}

/* act(y + bias + add), stored as y. */
static void epilogue(struct maker *m, descriptor y)
{
	const struct dnn_graph *g = m->graph;
	unsigned act = g->fuse & (DNN_RELU | DNN_RELU6 | DNN_SWISH), add = g->fuse & DNN_ADD;
	cudnnDataType_t type = data_type(g->type), between = CUDNN_DATA_FLOAT;
	descriptor bias = tensor_vector(m, DNN_PLUS_B, between, g->out_c);
	descriptor sum = act || add ? tensor_y(m, -1, between) : tensor_y(m, DNN_Y, type);

	pointwise(m, CUDNN_POINTWISE_ADD, y, bias, sum);
	if (add) {
		descriptor with = act ? tensor_y(m, -1, between) : tensor_y(m, DNN_Y, type);

		pointwise(m, CUDNN_POINTWISE_ADD, sum, tensor_y(m, DNN_ADD_Y, type), with);
		sum = with;
	}
	if (act)
		pointwise(m, act & DNN_SWISH ? CUDNN_POINTWISE_SWISH_FWD
					     : CUDNN_POINTWISE_RELU_FWD, sum, NULL,
			  tensor_y(m, DNN_Y, type));
}

/* The operation graph; NULL: reason. */
descriptor operation_graph(struct maker *m)
{
	unsigned fuse = m->graph->fuse;
	descriptor x, y, graph;

	if (fuse & DNN_PROLOGUE)
		x = prologue(m);
	else
		x = tensor_x(m, fuse & DNN_RELU_SUMS ? -1 : DNN_X);
	y = conv_node(m, x);
	if (fuse & DNN_STATS)
		stats_node(m, y);
	if (fuse & DNN_RELU_SUMS)
		relu_sums(m, x);
	if (fuse & DNN_PLUS)
		epilogue(m, y);
	graph = descriptor_make(m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	attribute_set(m, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
		      m->nodes, m->node);
	if (m->dnn->handle)
		attribute_set(m, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
			      &m->dnn->handle);
	descriptor_finalize(m, graph, "graph");
	return m->failed ? NULL : graph;
}
