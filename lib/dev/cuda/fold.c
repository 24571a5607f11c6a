/* Batch norm folded into the weights and the bias of the convolution before it. */
#include "dev/cuda/cuda.h"

int cuda_fold(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	const struct value *v = value_of(m, s->out[0]);
	struct running r = { memory_at(m, s->in[2]), memory_at(m, s->in[3]),
			     memory_at(m, s->in[4]), memory_at(m, s->in[5]), bn->eps };

	fold_start(dev->stream, memory_at(m, s->in[0]), memory_at(m, s->in[1]), r, v->n,
		   value_plain(v) / (size_t)v->n, memory_at(m, s->out[0]),
		   memory_at(m, s->out[1]));
	return 0;
}
