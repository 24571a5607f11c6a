/*
 * What steps and brackets cost, so that the shared pass can choose: each reads and writes
 * its values once, at the rate of memory, and multiplies at the rate of the tensor cores;
 * the slower of the two counts, and a start for each kernel. The rates are those that an
 * H100's kernels were seen to reach; only their proportions matter. That a fused engine
 * is as fast as a plain one is an assumption: graph_cost() is the one place that knows.
 */
#include "dev/cuda/conv.h"

#define START 3e-6              /* seconds from kernel to kernel */
#define BYTES 3e12              /* a second */
#define OWN_FLOPS 1e12          /* of own kernels for convolutions */

static double flops_rate(enum dtype type, int exact)
{
	return type != DTYPE_F32 ? 6e14 : exact ? 5e13 : 3e14;
}

double pass_cost(double bytes)
{
	return START + bytes / BYTES;
}

static double flops_of(const struct dnn_graph *g)
{
	return 2.0 * g->n * g->out_h * g->out_w * g->out_c * (g->in_c / g->groups) *
	       g->window.k[0] * g->window.k[1];
}

static double bytes_of(const struct dnn_graph *g)
{
	double x = (double)g->n * g->in_h * g->in_w * g->in_c;
	double y = (double)g->n * g->out_h * g->out_w * g->out_c;
	double w = (double)g->out_c * (g->in_c / g->groups) * g->window.k[0] * g->window.k[1];
	/* z and T of a skip; what the batch norm read */
	int more = g->fuse & DNN_SKIP ? 2 : g->fuse & DNN_RELU_SUMS ? 1 : 0;

	return ((1 + more) * x + y + w) * (double)dtype_bytes(g->type);
}

/* Seconds of cuDNN's best engine for a graph; < 0: it has none. */
static double graph_cost(struct device *dev, const struct dnn_graph *g)
{
	double flops = flops_of(g) / flops_rate(g->type, g->exact), bytes = bytes_of(g) / BYTES;

	if (!engine_there(dev, g))
		return -1;
	return START + (flops > bytes ? flops : bytes);
}

static double conv_cost(struct device *dev, const struct program *p, const struct step *s)
{
	struct conv_own o;
	double seconds = -1, bias = 0;

	if (conv_describe(dev, p, s, &o))
		seconds = graph_cost(dev, &o.graph);
	if (s->kind == STEP_CONV && step_in(s, 2) >= 0)
		bias = pass_cost(2.0 * (double)p->value[s->out[0]].bytes);
	return bias + (seconds < 0 ? START + flops_of(&o.graph) / OWN_FLOPS : seconds);
}

static double step_cost(struct device *dev, const struct program *p, const struct step *s)
{
	double bytes = 0;

	if (s->kind == STEP_CONV || s->kind == STEP_CONV_DX || s->kind == STEP_CONV_DW)
		return conv_cost(dev, p, s);
	for (int k = 0; k < s->ins + s->outs; k++) {
		int value = k < s->ins ? s->in[k] : s->out[k - s->ins];

		bytes += value < 0 ? 0 : (double)p->value[value].bytes;
	}
	/* sums over pixels are joined by a second kernel */
	return pass_cost(bytes) + (s->kind == STEP_STATS || s->kind == STEP_BN_SUMS ? START : 0);
}

/* Beside cuDNN's kernel one for its coefficients, one that takes its sums. */
static double fused_cost(struct device *dev, const struct program *p,
			 const struct bracket_view *v)
{
	struct conv_own o;
	double seconds = fused_describe(dev, p, v, &o) ? -1 : graph_cost(dev, &o.graph);
	int more = (v->affine[0] != NULL) + (v->stats || v->sums[0]);

	return seconds < 0 ? -1 : seconds + more * START;
}

double cuda_cost(void *arg, const struct program *p, int from, int to)
{
	struct device *dev = arg;
	struct bracket_view v;

	if (to == from + 1)
		return step_cost(dev, p, &p->step[from]);
	if (!bracket_find(p, from, to, &v))
		return -1;
	return v.conv && !bracket_is_epilogue(&v) ? fused_cost(dev, p, &v) :
	       bracket_cost(dev, p, from, to);
}
