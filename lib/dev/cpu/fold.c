/* Batch norm folded into the weights and the bias of the convolution before it. */
#include "dev/cpu/cpu.h"

#include <math.h>

struct fold {
	const struct bn_attr *bn;
	const float *w, *plus, *mean, *gain, *bias, *variance;
	float *to, *to_bias;
	size_t filter;          /* numbers of an output channel */
};

static void fold_piece(void *context, size_t o)
{
	const struct fold *f = context;
	double slope = (f->gain ? f->gain[o] : 1) / sqrt(f->variance[o] + f->bn->eps);
	const float *w = f->w + o * f->filter;
	float *to = f->to + o * f->filter;

	for (size_t i = 0; i < f->filter; i++)
		to[i] = (float)(slope * w[i]);
	f->to_bias[o] = (float)((f->bias ? f->bias[o] : 0) +
				slope * ((f->plus ? f->plus[o] : 0) - (double)f->mean[o]));
}

int cpu_fold(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *v = value_at(m, s->out[0]);
	struct fold f = { .bn = s->attr };

	f.w = memory_at(m, s->in[0]);
	f.plus = memory_at(m, s->in[1]);
	f.mean = memory_at(m, s->in[2]);
	f.gain = memory_at(m, s->in[3]);
	f.bias = memory_at(m, s->in[4]);
	f.variance = memory_at(m, s->in[5]);
	f.to = memory_at(m, s->out[0]);
	f.to_bias = memory_at(m, s->out[1]);
	f.filter = value_plain(v) / (size_t)v->n;
	each(dev, (size_t)v->n, fold_piece, &f);
	return 0;
}
