/* Batch norm folded into the weights and the bias of the convolution before it. */
#include "dev/ref/steps.h"

#include <math.h>

int ref_fold(const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	const float *w = memory_at(m, s->in[0]), *plus = memory_at(m, s->in[1]);
	const float *mean = memory_at(m, s->in[2]), *gain = memory_at(m, s->in[3]);
	const float *bias = memory_at(m, s->in[4]), *variance = memory_at(m, s->in[5]);
	float *to = memory_at(m, s->out[0]), *to_bias = memory_at(m, s->out[1]);
	const struct value *v = &m->program->value[s->out[0]];
	size_t filter = value_plain(v) / (size_t)v->n, i;
	int o;

	for (o = 0; o < v->n; o++) {
		double slope = (gain ? gain[o] : 1) / sqrt(variance[o] + bn->eps);

		for (i = 0; i < filter; i++)
			*to++ = (float)(slope * *w++);
		to_bias[o] = (float)((bias ? bias[o] : 0) +
				     slope * ((plus ? plus[o] : 0) - (double)mean[o]));
	}
	return 0;
}
