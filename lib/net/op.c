#include "net/op.h"

#include "base/fail.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *shape_show(char *buffer, const struct shape *s)
{
	snprintf(buffer, 64, "%dx%dx%d", s->h, s->w, s->c);
	return buffer;
}

/* The padding before one side of a window, and after it. */
static int pad_side(struct node *n, int i, int size, int64_t span)
{
	struct window *w = &n->window;
	int pad = op_arg_index(n->op, "pad");
	const char *name = op_row(n->op)->name;

	if (n->arg[pad] == PAD_SAME) {
		int64_t out = (size + (int64_t)w->s[i] - 1) / w->s[i];
		int64_t both = (out - 1) * w->s[i] + span - size;

		both = both < 0 ? 0 : both;
		if (both > INT32_MAX)
			return fail("%s: padding %" PRId64 " is too much", name, both);
		w->before[i] = (int)(both / 2);
		w->after[i] = (int)(both - both / 2);
		return 0;
	}
	if (n->arg[pad] == PAD_HALF) {
		if ((span - 1) / 2 > INT32_MAX)
			return fail("%s: padding %" PRId64 " is too much", name, (span - 1) / 2);
		w->before[i] = (int)((span - 1) / 2);
	}
	w->after[i] = w->before[i];
	if (w->before[i] >= span || (n->op != OP_CONV && 2 * (int64_t)w->before[i] > span))
		return fail("%s: padding %d is too much for a window of %dx%d",
			    name, w->before[i], w->k[0], w->k[1]);
	return 0;
}

/* Arguments whose numbers the window has: the height's. */
static void keep_numbers(struct node *n)
{
	for (int i = 0; i < op_args(n->op); i++) {
		enum arg_kind kind = op_row(n->op)->arg[i].kind;

		if (kind == ARG_WINDOW)
			n->arg[i] = n->window.k[0];
		else if (kind == ARG_STRIDE)
			n->arg[i] = n->window.s[0];
	}
}

/* Resolves the window and gives the output's height and width. */
static int window(struct node *n, const struct shape *in, int64_t out[2])
{
	const int size[2] = { in->h, in->w };
	struct window *w = &n->window;
	int ceiling = n->op != OP_CONV && node_arg(n, "ceil") != 0;

	for (int i = 0; i < 2; i++) {
		w->k[i] = w->k[i] ? w->k[i] : size[i];
		w->s[i] = w->s[i] ? w->s[i] : w->k[i];
		w->dilation[i] = w->dilation[i] ? w->dilation[i] : 1;
	}
	keep_numbers(n);
	for (int i = 0; i < 2; i++) {
		int64_t span = (int64_t)(w->k[i] - 1) * w->dilation[i] + 1, room;

		TRY(pad_side(n, i, size[i], span));
		if (n->arg[op_arg_index(n->op, "pad")] == PAD_SAME) {
			out[i] = (size[i] + (int64_t)w->s[i] - 1) / w->s[i];
			continue;
		}
		room = (int64_t)size[i] + w->before[i] + w->after[i] - span;
		if (room < 0)
			return fail("%s: a window of %dx%d does not fit into %dx%dx%d "
				    "with padding %d", op_row(n->op)->name, w->k[0], w->k[1],
				    in->h, in->w, in->c, w->before[i]);
		out[i] = room / w->s[i] + 1;
		if (ceiling && room % w->s[i] && out[i] * w->s[i] < (int64_t)size[i] + w->before[i])
			out[i]++;
	}
	return 0;
}

/* Of conv and linear: a first value needs a bias that has it. */
static int biasinit(const struct node *n)
{
	if (node_arg(n, "bias") == 0 && node_arg(n, "biasinit") != 0)
		return fail("%s: biasinit, but no bias", op_row(n->op)->name);
	return 0;
}

static int shape_conv(struct node *n, const struct shape *in, int64_t out[3])
{
	int c = (int)node_arg(n, "c"), groups = (int)node_arg(n, "groups");

	TRY(biasinit(n));
	if (in->c % groups || c % groups)
		return fail("conv: groups=%d does not divide %d channels into %d", groups, in->c,
			    c);
	out[2] = c;
	return window(n, in, out);
}

static int shape_linear(struct node *n, const struct shape *in, int64_t out[3])
{
	TRY(biasinit(n));
	if ((int64_t)in->h * in->w * in->c > INT32_MAX)
		return fail("linear: %dx%dx%d is too large for it", in->h, in->w, in->c);
	n->window = (struct window){ .k = { in->h, in->w }, .s = { 1, 1 }, .dilation = { 1, 1 } };
	out[0] = out[1] = 1;
	out[2] = (int64_t)node_arg(n, "c");
	return 0;
}

static int shape_pool(struct node *n, const struct shape *in, int64_t out[3])
{
	out[2] = in->c;
	return window(n, in, out);
}

static int shape_same(struct node *n, const struct shape *in, int64_t out[3])
{
	(void)n;
	out[0] = in->h;
	out[1] = in->w;
	out[2] = in->c;
	return 0;
}

/* NaN stands for a count() that is not known yet. */
static int shape_drop(struct node *n, const struct shape *in, int64_t out[3])
{
	double p = node_arg(n, "p");

	if (p < 0 || p >= 1)
		return fail(p == floor(p) && fabs(p) < 1e15 ? "%s: %.0f is not in 0..1" :
			    "%s: %.9g is not in 0..1", op_row(n->op)->name, p);
	return shape_same(n, in, out);
}

static int shape_pad(struct node *n, const struct shape *in, int64_t out[3])
{
	out[0] = (int64_t)(in->h + node_arg(n, "top") + node_arg(n, "bottom"));
	out[1] = (int64_t)(in->w + node_arg(n, "left") + node_arg(n, "right"));
	out[2] = (int64_t)(in->c + node_arg(n, "front") + node_arg(n, "back"));
	if (out[0] < 1 || out[1] < 1 || out[2] < 1)
		return fail("pad: nothing is left");
	return 0;
}

static int shape_slice(struct node *n, const struct shape *in, int64_t out[3])
{
	int from = (int)node_arg(n, "from"), to = (int)node_arg(n, "to");

	if (from < 0 || from >= to || to > in->c)
		return fail("slice: channels %d to %d of %d", from, to, in->c);
	shape_same(n, in, out);
	out[2] = to - from;
	return 0;
}

static int shape_shuffle(struct node *n, const struct shape *in, int64_t out[3])
{
	int groups = (int)node_arg(n, "groups");

	if (in->c % groups)
		return fail("shuffle: %d groups do not divide %d channels", groups, in->c);
	return shape_same(n, in, out);
}

/* Says what the branches give, as far as a reason has room. */
static int unequal(const struct node *n, const struct shape *in)
{
	char all[FAIL_MAX / 4] = "", one[64];
	size_t used = 0;

	for (int i = 0; i < n->ins && used < sizeof(all) - 80; i++)
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", i ? " and " : "",
					 shape_show(one, &in[i]));
	return fail("%s: the branches give %s", op_row(n->op)->name, all);
}

static int shape_sum(struct node *n, const struct shape *in, int64_t out[3])
{
	for (int i = 1; i < n->ins; i++)
		if (in[i].h != in->h || in[i].w != in->w || in[i].c != in->c)
			return unequal(n, in);
	return shape_same(n, in, out);
}

static int shape_cat(struct node *n, const struct shape *in, int64_t out[3])
{
	shape_same(n, in, out);
	for (int i = 1; i < n->ins; i++) {
		if (in[i].h != in->h || in[i].w != in->w)
			return unequal(n, in);
		out[2] += in[i].c;
	}
	return 0;
}

static int shape_mul(struct node *n, const struct shape *in, int64_t out[3])
{
	const struct shape *most = in;

	for (int i = 1; i < n->ins; i++)
		if ((int64_t)in[i].h * in[i].w > (int64_t)most->h * most->w)
			most = &in[i];
	for (int i = 0; i < n->ins; i++)
		if (in[i].c != most->c || ((in[i].h != most->h || in[i].w != most->w) &&
					   (in[i].h != 1 || in[i].w != 1)))
			return unequal(n, in);
	return shape_same(n, most, out);
}

static void vector(struct param_spec *s, const char *suffix, enum param_class class, int c,
		   double start)
{
	*s = (struct param_spec){ .suffix = suffix, .rank = 1, .dim = { c }, .class = class,
				  .init = INIT_CONSTANT, .spread = start };
}

/* He et al. 2015, over what leaves. Fans are those within a group. */
static void params_conv(const struct node *n, const struct shape *in, struct param_spec *spec)
{
	int c = (int)node_arg(n, "c"), groups = (int)node_arg(n, "groups");
	const int *k = n->window.k;
	struct param_spec *w = &spec[0];

	*w = (struct param_spec){ .suffix = "weight", .rank = 4, .class = PARAM_WEIGHT,
		.dim = { c, in->c / groups, k[0], k[1] }, .init = INIT_NORMAL };
	w->fan_in = (double)w->dim[1] * k[0] * k[1];
	w->fan_out = (double)(c / groups) * k[0] * k[1];
	w->spread = sqrt(2 / w->fan_out);
	if (node_arg(n, "bias") != 0)
		vector(&spec[1], "bias", PARAM_BIAS, c, node_arg(n, "biasinit"));
}

static void params_linear(const struct node *n, const struct shape *in, struct param_spec *spec)
{
	int c = (int)node_arg(n, "c");
	struct param_spec *w = &spec[0];

	*w = (struct param_spec){ .suffix = "weight", .rank = 2, .class = PARAM_WEIGHT,
		.dim = { c, (int64_t)in->h * in->w * in->c }, .init = INIT_UNIFORM };
	w->fan_in = (double)w->dim[1];
	w->fan_out = c;
	w->spread = 1 / sqrt(w->fan_in);
	if (node_arg(n, "bias") != 0)
		vector(&spec[1], "bias", PARAM_BIAS, c, node_arg(n, "biasinit"));
}

static void params_bn(const struct node *n, const struct shape *in, struct param_spec *spec)
{
	if (node_arg(n, "gain") != 0)
		vector(&spec[0], "weight", PARAM_GAIN, in->c, node_arg(n, "init"));
	if (node_arg(n, "bias") != 0)
		vector(&spec[1], "bias", PARAM_BIAS, in->c, 0);
	vector(&spec[2], "running_mean", PARAM_STATISTIC, in->c, 0);
	vector(&spec[3], "running_var", PARAM_STATISTIC, in->c, 1);
}

static void params_layernorm(const struct node *n, const struct shape *in, struct param_spec *spec)
{
	(void)n;
	vector(&spec[0], "weight", PARAM_GAIN, in->c, 1);
	vector(&spec[1], "bias", PARAM_BIAS, in->c, 0);
}

static void params_scale(const struct node *n, const struct shape *in, struct param_spec *spec)
{
	vector(&spec[0], "", PARAM_GAIN, in->c, node_arg(n, "init"));
}

static const struct op table[OP_WORDS] = {
	[OP_INPUT] = { "input", .shape = shape_same },
	[OP_CONV] = {
		"conv",
		.arg = { { "k", ARG_WINDOW, ARG_REQUIRED }, { "c", ARG_SIZE, ARG_REQUIRED },
			 { "s", ARG_STRIDE, 1 }, { "pad", ARG_PAD, PAD_HALF },
			 { "dilation", ARG_DILATION, 1 }, { "groups", ARG_SIZE, 1 },
			 { "bias", ARG_FLAG, 0 }, { "init", ARG_INIT, 0 },
			 { "biasinit", ARG_REAL, 0 } },
		.shape = shape_conv, .params = params_conv
	},
	[OP_LINEAR] = {
		"linear",
		.arg = { { "c", ARG_SIZE, ARG_REQUIRED }, { "bias", ARG_FLAG, 1 },
			 { "init", ARG_INIT, 0 }, { "biasinit", ARG_REAL, 0 } },
		.shape = shape_linear, .params = params_linear
	},
	[OP_BN] = {
		"bn",
		.arg = { { "eps", ARG_REAL, 1e-5 }, { "decay", ARG_REAL, 0.9 },
			 { "gain", ARG_FLAG, 1 }, { "bias", ARG_FLAG, 1 },
			 { "init", ARG_REAL, 1 } },
		.shape = shape_same, .params = params_bn
	},
	[OP_LAYERNORM] = {
		"layernorm", .arg = { { "eps", ARG_REAL, 1e-5 } },
		.shape = shape_same, .params = params_layernorm
	},
	[OP_SCALE] = {
		"scale", .arg = { { "init", ARG_REAL, 1 } },
		.shape = shape_same, .params = params_scale
	},
	[OP_LRN] = {
		"lrn",
		.arg = { { "n", ARG_SIZE, 5 }, { "alpha", ARG_REAL, 1e-4 },
			 { "beta", ARG_REAL, 0.75 }, { "k", ARG_REAL, 1 } },
		.shape = shape_same
	},
	[OP_MAXPOOL] = {
		"maxpool",
		.arg = { { "k", ARG_WINDOW, ARG_ALL }, { "s", ARG_STRIDE, ARG_AS_K },
			 { "pad", ARG_PAD, 0 }, { "ceil", ARG_FLAG, 0 } },
		.shape = shape_pool
	},
	[OP_AVGPOOL] = {
		"avgpool",
		.arg = { { "k", ARG_WINDOW, ARG_ALL }, { "s", ARG_STRIDE, ARG_AS_K },
			 { "pad", ARG_PAD, 0 }, { "ceil", ARG_FLAG, 0 },
			 { "countpad", ARG_FLAG, 0 } },
		.shape = shape_pool
	},
	[OP_RELU] = { "relu", .shape = shape_same },
	[OP_RELU6] = { "relu6", .shape = shape_same },
	[OP_SIGMOID] = { "sigmoid", .shape = shape_same },
	[OP_TANH] = { "tanh", .shape = shape_same },
	[OP_SWISH] = { "swish", .shape = shape_same },
	[OP_GELU] = { "gelu", .shape = shape_same },
	[OP_HARDSWISH] = { "hardswish", .shape = shape_same },
	[OP_HARDSIGMOID] = { "hardsigmoid", .shape = shape_same },
	[OP_DROPOUT] = { "dropout", .arg = { { "p", ARG_REAL, 0.5 } }, .shape = shape_drop },
	[OP_DROPPATH] = {
		"droppath", .arg = { { "p", ARG_REAL, ARG_REQUIRED }, { "ramp", ARG_REAL, 0 } },
		.shape = shape_drop
	},
	[OP_PAD] = {
		"pad",
		.arg = { { "top", ARG_WHOLE, 0 }, { "bottom", ARG_WHOLE, 0 },
			 { "left", ARG_WHOLE, 0 }, { "right", ARG_WHOLE, 0 },
			 { "front", ARG_WHOLE, 0 }, { "back", ARG_WHOLE, 0 } },
		.shape = shape_pad
	},
	[OP_SLICE] = {
		"slice",
		.arg = { { "from", ARG_WHOLE, ARG_REQUIRED }, { "to", ARG_WHOLE, ARG_REQUIRED } },
		.shape = shape_slice
	},
	[OP_SHUFFLE] = {
		"shuffle", .arg = { { "groups", ARG_SIZE, ARG_REQUIRED } },
		.shape = shape_shuffle
	},
	[OP_SUM] = { "sum", .branches = 1, .shape = shape_sum },
	[OP_CAT] = { "cat", .branches = 1, .shape = shape_cat },
	[OP_MUL] = { "mul", .branches = 1, .shape = shape_mul },
	[OP_AUX] = {
		"aux",
		.arg = { { "weight", ARG_REAL, ARG_REQUIRED }, { "head", ARG_CHAIN, ARG_REQUIRED } }
	},
};

const struct op *op_row(int id)
{
	assert(id >= 0 && id < OP_WORDS);
	return &table[id];
}

int op_find(const char *name)
{
	for (int i = OP_INPUT + 1; i < OP_WORDS; i++)
		if (!strcmp(name, table[i].name))
			return i;
	return -1;
}

int op_args(int id)
{
	int n = 0;

	while (n < OP_ARGS && op_row(id)->arg[n].kind != ARG_NONE)
		n++;
	return n;
}

int op_arg_index(int id, const char *name)
{
	for (int i = 0; i < op_args(id); i++)
		if (!strcmp(name, table[id].arg[i].name))
			return i;
	return -1;
}
