#include "dev/cuda/dnn.h"

#include "base/fail.h"
#include "dev/cuda/vendor.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIGS = 48, DESCRIPTORS = 192, NODES = 8, KNOBS = 32 };
enum { WORK_MOST = 1 << 30 };   /* bytes: others do as well with less */

typedef cudnnBackendDescriptor_t descriptor;

/* Descriptors of one graph: they are kept while its plans are. */
struct made {
	struct made *next;
	int count;
	descriptor d[DESCRIPTORS];
};

struct dnn_plan {
	struct dnn_plan *next;
	struct dnn_graph graph;
	descriptor plan;        /* NULL: there is none, and "" need not ask again */
	size_t work;
	int first;              /* the one that "" asks for */
	char how[STEP_HOW];
};

struct dnn {
	const struct vendor_dnn *v;
	cudnnHandle_t handle;           /* NULL: there is no device */
	descriptor properties;          /* of a device that need not be there */
	struct made *made;
	struct dnn_plan *plan;
	char library[32];
};

/* ---- devices that are not there ---- */

/* The form is cuDNN's; the figures are those of the data sheets and of the driver's. */
#define HOPPER(name, memory, clock) \
	"{\"version\":1,\"cudaDeviceId\":0,\"deviceName\":\"" name "\",\"deviceVer\":900," \
	"\"driverVer\":13000,\"totalGlobalMem\":" memory "," \
	"\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64]," \
	"\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32," \
	"\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448," \
	"\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536," \
	"\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048," \
	"\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1," \
	"\"smClockRateKHz\":1980000,\"memClockRateKHz\":" clock ",\"l2CacheSize\":52428800}"

const char *dnn_properties(const char *name)
{
	if (!strcmp(name, "h100"))
		return HOPPER("NVIDIA H100 80GB HBM3", "85029158912", "2619000");
	if (!strcmp(name, "h200"))
		return HOPPER("NVIDIA H200", "150754820096", "3201000");
	return NULL;
}

/* ---- descriptors ---- */

static int bad(const struct dnn *d, cudnnStatus_t status, const char *what)
{
	char words[512] = "";

	d->v->last_error(words, sizeof words);
	for (char *c = words; *c; c++)
		if (*c == '\n')
			*c = ' ';
	return fail("cuDNN: %s: %s%s%s", what, d->v->error(status), *words ? ": " : "", words);
}

/* Attributes are set one after the other; the first that fails is told at the end. */
struct maker {
	struct dnn *dnn;
	struct made *made;
	const struct dnn_graph *graph;
	descriptor node[NODES];
	int nodes, next_virtual;
	int failed;
};

static descriptor make(struct maker *m, cudnnBackendDescriptorType_t type)
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
		m->failed = bad(m->dnn, status, "descriptor");
		return NULL;
	}
	m->made->d[m->made->count++] = d;
	return d;
}

static void set(struct maker *m, descriptor d, cudnnBackendAttributeName_t name,
		cudnnBackendAttributeType_t type, int64_t count, const void *at)
{
	cudnnStatus_t status;

	if (m->failed)
		return;
	status = m->dnn->v->set(d, name, type, count, at);
	if (status != CUDNN_STATUS_SUCCESS) {
		char what[32];

		snprintf(what, sizeof what, "attribute %d", (int)name);
		m->failed = bad(m->dnn, status, what);
	}
}

static void set_descriptor(struct maker *m, descriptor d, cudnnBackendAttributeName_t name,
			   descriptor value)
{
	set(m, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void finalize(struct maker *m, descriptor d, const char *what)
{
	cudnnStatus_t status;

	if (m->failed)
		return;
	status = m->dnn->v->finalize(d);
	if (status != CUDNN_STATUS_SUCCESS)
		m->failed = bad(m->dnn, status, what);
}

static cudnnDataType_t data_type(enum dtype type)
{
	return type == DTYPE_F16 ? CUDNN_DATA_HALF :
	       type == DTYPE_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* dim: n, c, h, w; stored with c innermost. uid < 0: a virtual one, inside. */
static descriptor tensor(struct maker *m, int uid, cudnnDataType_t type, const int64_t dim[4])
{
	descriptor d = make(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
	int64_t stride[4] = { dim[1] * dim[2] * dim[3], 1, dim[1] * dim[3], dim[1] };
	int64_t id = uid < 0 ? DNN_OPERANDS + m->next_virtual++ : uid, align = 16;
	bool inside = uid < 0;

	set(m, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	set(m, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim);
	set(m, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
	set(m, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
	set(m, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
	if (inside)
		set(m, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inside);
	finalize(m, d, "tensor");
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
	finalize(m, node, "operation");
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
	descriptor op = make(m, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
	cudnnDataType_t math = CUDNN_DATA_FLOAT;
	int backward = mode == CUDNN_POINTWISE_RELU_BWD;
	double six = 6;
	descriptor node;

	set(m, op, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
	set(m, op, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &math);
	if (mode == CUDNN_POINTWISE_RELU_FWD && m->graph->fuse & DNN_RELU6)
		set(m, op, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, 1, &six);
	finalize(m, op, "pointwise");
	node = make(m, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, op);
	if (backward) {
		set_descriptor(m, node, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, x);
		set_descriptor(m, node, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, b);
		set_descriptor(m, node, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, y);
	} else {
		set_descriptor(m, node, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
		if (b)
			set_descriptor(m, node, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
		set_descriptor(m, node, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
	}
	node_add(m, node);
}

static descriptor convolution(struct maker *m)
{
	const struct window *win = &m->graph->window;
	descriptor d = make(m, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
	cudnnDataType_t math = CUDNN_DATA_FLOAT;
	cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
	int64_t axes = 2, stride[2], dilation[2], before[2], after[2];

	for (int a = 0; a < 2; a++) {
		stride[a] = win->s[a];
		dilation[a] = win->dilation[a];
		before[a] = win->before[a];
		after[a] = win->after[a];
	}
	set(m, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
	set(m, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &math);
	set(m, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
	set(m, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before);
	set(m, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after);
	set(m, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
	set(m, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
	finalize(m, d, "convolution");
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
	descriptor node = make(m, kinds[g->kind].node);
	double one = 1, zero = 0;

	set_descriptor(m, node, kinds[g->kind].conv, conv);
	set_descriptor(m, node, kinds[g->kind].x, x);
	set_descriptor(m, node, kinds[g->kind].w, w);
	set_descriptor(m, node, kinds[g->kind].y, y);
	set(m, node, kinds[g->kind].alpha, CUDNN_TYPE_DOUBLE, 1, &one);
	set(m, node, kinds[g->kind].beta, CUDNN_TYPE_DOUBLE, 1, &zero);
	node_add(m, node);
	return y;
}

static void stats_node(struct maker *m, descriptor y)
{
	descriptor node = make(m, CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR);
	cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
	cudnnDataType_t math = CUDNN_DATA_FLOAT;
	int c = m->graph->out_c;

	set(m, node, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode);
	set(m, node, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &math);
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, y);
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC,
		       tensor_vector(m, DNN_SUM, math, c));
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC,
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
	node = make(m, CUDNN_BACKEND_OPERATION_BN_BWD_WEIGHTS_DESCRIPTOR);
	set(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1,
	    &math);
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_X_DESC, bn_x);
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_MEAN_DESC, mean);
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_INVSTD_DESC, invstd);
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_BN_SCALE_DESC, gain);
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DY_DESC, masked);
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DBN_SCALE_DESC,
		       tensor_vector(m, DNN_DGAIN, math, c));
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DBN_BIAS_DESC,
		       tensor_vector(m, DNN_DBIAS, math, c));
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_DY_SCALE_DESC,
		       tensor_vector(m, DNN_EQ_DY, math, c));
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_X_SCALE_DESC,
		       tensor_vector(m, DNN_EQ_X, math, c));
	set_descriptor(m, node, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_BIAS,
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
static descriptor graph_make(struct maker *m)
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
	graph = make(m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	set(m, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, m->nodes,
	    m->node);
	if (m->dnn->handle)
		set(m, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
		    &m->dnn->handle);
	finalize(m, graph, "graph");
	return m->failed ? NULL : graph;
}

/* ---- engines ---- */

/* Engine configurations in cuDNN's order, from one of its rules. Their number. */
static int configs_get(struct maker *m, descriptor graph, cudnnBackendHeurMode_t mode,
		       descriptor *config, int most)
{
	descriptor heur = make(m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
	int64_t count = 0;
	int k;

	set_descriptor(m, heur, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
	set(m, heur, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
	if (m->dnn->properties)
		set_descriptor(m, heur, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, m->dnn->properties);
	finalize(m, heur, "heuristics");
	for (k = 0; k < most; k++) {
		config[k] = make(m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
		if (m->failed)
			break;
	}
	if (m->failed)
		return 0;
	if (m->dnn->v->get(heur, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
			   most, &count, config) != CUDNN_STATUS_SUCCESS)
		return 0;
	return count < most ? (int)count : most;
}

static int get(const struct dnn *d, descriptor from, cudnnBackendAttributeName_t name,
	       cudnnBackendAttributeType_t type, int64_t most, void *to)
{
	int64_t count = 0;

	if (d->v->get(from, name, type, most, &count, to) != CUDNN_STATUS_SUCCESS)
		return 0;
	return count < most ? (int)count : (int)most;
}

/* The engine and its knobs as a short name, the same for the same choice. */
static void config_how(struct maker *m, descriptor config, descriptor engine, char how[STEP_HOW])
{
	const struct dnn *d = m->dnn;
	descriptor knob[KNOBS];
	int64_t index = -1;
	uint32_t hash = 0x811c9dc5;     /* FNV-1a */
	int made, n;

	get(d, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &index);
	for (made = 0; made < KNOBS; made++)
		if (d->v->make(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knob[made])
		    != CUDNN_STATUS_SUCCESS)
			break;
	n = get(d, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
		made, knob);
	for (int k = 0; k < n; k++) {
		cudnnBackendKnobType_t type = 0;
		int64_t value = 0;

		get(d, knob[k], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
		get(d, knob[k], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &value);
		hash = (hash ^ (uint32_t)type) * 0x01000193;
		hash = (hash ^ (uint32_t)value) * 0x01000193;
	}
	while (made > 0)
		d->v->unmake(knob[--made]);
	snprintf(how, STEP_HOW, "cudnn e%lld.%04x", (long long)index,
		 (unsigned)(hash ^ hash >> 16) & 0xffff);
}

/* Whether an engine computes as asked: the same bytes each time, and fp32 as fp32. */
static int engine_allowed(struct maker *m, descriptor engine)
{
	cudnnBackendNumericalNote_t note[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
	int n = get(m->dnn, engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
		    CUDNN_NUMERICAL_NOTE_TYPE_COUNT, note);

	for (int k = 0; k < n; k++)
		if (note[k] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC ||
		    note[k] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION ||
		    (m->graph->exact && (note[k] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
					 note[k] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)))
			return 0;
	return 1;
}

/* An empty plan for this device, or one that need not be there; NULL: no reason left. */
static descriptor plan_begin(const struct dnn *d)
{
	descriptor plan = NULL;
	int good;

	if (d->v->make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan) != CUDNN_STATUS_SUCCESS)
		return NULL;
	good = d->handle
	     ? d->v->set(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &d->handle)
	     : d->v->set(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
			 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d->properties);
	if (good == CUDNN_STATUS_SUCCESS)
		return plan;
	d->v->unmake(plan);
	return NULL;
}

/* Finalizes a plan, which is taken, and adds it to the list; NULL: it cannot run here. */
static struct dnn_plan *plan_end(struct dnn *d, const struct dnn_graph *g, const char *how,
				 descriptor plan)
{
	struct dnn_plan *p = calloc(1, sizeof *p);
	int64_t work = 0;

	if (!p || d->v->finalize(plan) != CUDNN_STATUS_SUCCESS ||
	    get(d, plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &work)
	    != 1 || work > WORK_MOST) {
		d->v->unmake(plan);
		free(p);
		return NULL;
	}
	*p = (struct dnn_plan){ .next = d->plan, .graph = *g, .plan = plan, .work = (size_t)work };
	snprintf(p->how, sizeof p->how, "%s", how);
	d->plan = p;
	return p;
}

/* A plan from a configuration, of this name if wanted is not empty; NULL: it cannot run
 * here or has another name, no reason left. */
static struct dnn_plan *plan_make(struct maker *m, descriptor config, const char *wanted)
{
	struct dnn *d = m->dnn;
	descriptor plan, engine = NULL;
	char how[STEP_HOW];
	int good;

	if (d->v->make(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
		return NULL;
	good = get(d, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
		   &engine) == 1 && engine_allowed(m, engine);
	if (good)
		config_how(m, config, engine, how);
	d->v->unmake(engine);
	if (!good || (*wanted && strcmp(how, wanted)))
		return NULL;
	plan = plan_begin(d);
	if (plan && d->v->set(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
			      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config) != CUDNN_STATUS_SUCCESS) {
		d->v->unmake(plan);
		plan = NULL;
	}
	return plan ? plan_end(d, m->graph, how, plan) : NULL;
}

static int graphs_same(const struct dnn_graph *a, const struct dnn_graph *b)
{
	return !memcmp(a, b, sizeof *a);        /* ints only: no padding between */
}

static void made_free(const struct dnn *d, struct made *made)
{
	while (made->count > 0)
		d->v->unmake(made->d[--made->count]);
	free(made);
}

/* Plans of a graph that begin the list: all there are up to most, of this name if how
 * is not empty. Their number, or -1 where there is none. */
static int plans_make(struct dnn *d, const struct dnn_graph *g, const char *how,
		      const struct dnn_plan **plan, int most)
{
	static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A,
							CUDNN_HEUR_MODE_FALLBACK };
	struct maker m = { .dnn = d, .graph = g };
	descriptor graph, config[CONFIGS];
	int count = 0;

	m.made = calloc(1, sizeof *m.made);
	if (!m.made)
		return fail("out of memory");
	graph = graph_make(&m);
	for (size_t k = 0; graph && count < most && k < sizeof modes / sizeof *modes; k++) {
		int n = configs_get(&m, graph, modes[k], config, CONFIGS);

		m.failed = 0;
		for (int i = 0; i < n && count < most; i++) {
			struct dnn_plan *p = plan_make(&m, config[i], how);

			if (!p)
				continue;
			p->first = !*how && !count;
			plan[count++] = p;
		}
	}
	if (!count) {
		made_free(d, m.made);
		return !graph ? -1 : *how ? fail("cuDNN: no engine \"%s\" for it here", how) :
		       fail("cuDNN: no engine for it here");
	}
	m.made->next = d->made;
	d->made = m.made;
	return count;
}

/* A graph without an engine: asking takes milliseconds, and brackets ask often. */
static void none_keep(struct dnn *d, const struct dnn_graph *g)
{
	struct dnn_plan *p = calloc(1, sizeof *p);

	if (!p)
		return;
	p->graph = *g;
	p->first = 1;
	p->next = d->plan;
	d->plan = p;
}

static const struct dnn_plan *plan_made(const struct dnn *d, const struct dnn_graph *g,
					const char *how)
{
	const struct dnn_plan *p = d->plan;

	while (p && !(graphs_same(&p->graph, g) && (*how ? !strcmp(p->how, how) : p->first)))
		p = p->next;
	return p;
}

const struct dnn_plan *dnn_plan(struct dnn *d, const struct dnn_graph *g, const char *how)
{
	const struct dnn_plan *p = plan_made(d, g, how);

	if (p && !p->plan)
		fail("cuDNN: no engine for it here");
	if (p)
		return p->plan ? p : NULL;
	if (plans_make(d, g, how, &p, 1) > 0)
		return p;
	if (!*how)
		none_keep(d, g);
	return NULL;
}

int dnn_plans(struct dnn *d, const struct dnn_graph *g, const struct dnn_plan **plan, int most)
{
	return plans_make(d, g, "", plan, most);
}

void dnn_plan_drop(struct dnn *d, const struct dnn_plan *plan)
{
	for (struct dnn_plan **at = &d->plan; *at; at = &(*at)->next)
		if (*at == plan) {
			struct dnn_plan *p = *at;

			*at = p->next;
			d->v->unmake(p->plan);
			free(p);
			return;
		}
}

char *dnn_plan_text(struct dnn *d, const struct dnn_plan *p)
{
	const cudnnBackendAttributeName_t name = CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION;
	int64_t n = 0, got = 0;
	cudnnStatus_t status = d->v->get(p->plan, name, CUDNN_TYPE_CHAR, 0, &n, NULL);
	char *text = status == CUDNN_STATUS_SUCCESS && n > 0 ? calloc((size_t)n + 1, 1) : NULL;

	if (text)
		status = d->v->get(p->plan, name, CUDNN_TYPE_CHAR, n, &got, text);
	if (text && status == CUDNN_STATUS_SUCCESS)
		return text;
	free(text);
	bad(d, status, "plan as text");
	return NULL;
}

const struct dnn_plan *dnn_plan_read(struct dnn *d, const struct dnn_graph *g, const char *how,
				     const char *text)
{
	const struct dnn_plan *p = plan_made(d, g, how);
	descriptor plan = p ? NULL : plan_begin(d);

	if (plan && d->v->set(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
			      CUDNN_TYPE_CHAR, (int64_t)strlen(text), text)
	    == CUDNN_STATUS_SUCCESS)
		p = plan_end(d, g, how, plan);
	else if (plan)
		d->v->unmake(plan);
	if (!p)
		fail("cuDNN: engine \"%s\": its plan as text cannot be used", how);
	return p;
}

size_t dnn_plan_work(const struct dnn_plan *p)
{
	return p->work;
}

const char *dnn_plan_how(const struct dnn_plan *p)
{
	return p->how;
}

/* ---- the library ---- */

static int properties_make(struct dnn *d, const char *words)
{
	cudnnStatus_t status = d->v->make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &d->properties);

	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set(d->properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
				   CUDNN_TYPE_CHAR, (int64_t)strlen(words) + 1, words);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->finalize(d->properties);
	return status == CUDNN_STATUS_SUCCESS ? 0 : bad(d, status, "properties of a device");
}

static int handle_make(struct dnn *d, cudaStream_t stream)
{
	cudnnStatus_t status = d->v->create(&d->handle);

	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set_stream(d->handle, stream);
	return status == CUDNN_STATUS_SUCCESS ? 0 : bad(d, status, "cudnnCreate");
}

struct dnn *dnn_open(const char *properties, void *stream)
{
	const struct vendor_dnn *v = vendor_dnn();
	struct dnn *d = v ? calloc(1, sizeof *d) : NULL;
	size_t version;

	if (!d) {
		if (v)
			fail("out of memory");
		return NULL;
	}
	d->v = v;
	version = v->version();
	snprintf(d->library, sizeof d->library, "cuDNN %zu.%zu.%zu", version / 10000,
		 version / 100 % 100, version % 100);
	if (properties ? properties_make(d, properties) : handle_make(d, stream)) {
		dnn_close(d);
		return NULL;
	}
	return d;
}

void dnn_close(struct dnn *d)
{
	if (!d)
		return;
	while (d->plan) {
		struct dnn_plan *p = d->plan;

		d->plan = p->next;
		if (p->plan)
			d->v->unmake(p->plan);
		free(p);
	}
	while (d->made) {
		struct made *made = d->made;

		d->made = made->next;
		made_free(d, made);
	}
	if (d->properties)
		d->v->unmake(d->properties);
	if (d->handle)
		d->v->destroy(d->handle);
	free(d);
}

const char *dnn_library(struct dnn *d)
{
	return d->library;
}

int dnn_run(struct dnn *d, const struct dnn_plan *p, void *const operand[DNN_OPERANDS],
	    void *work)
{
	descriptor pack = NULL;
	int64_t uid[DNN_OPERANDS], n = 0;
	void *at[DNN_OPERANDS];
	cudnnStatus_t status = d->v->make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);

	for (int k = 0; k < DNN_OPERANDS; k++)
		if (operand[k]) {
			uid[n] = k;
			at[n++] = operand[k];
		}
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n,
				   uid);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
				   CUDNN_TYPE_VOID_PTR, n, at);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR,
				   1, &work);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->finalize(pack);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->execute(d->handle, p->plan, pack);
	if (pack)
		d->v->unmake(pack);
	return status == CUDNN_STATUS_SUCCESS ? 0 : bad(d, status, p->how);
}
