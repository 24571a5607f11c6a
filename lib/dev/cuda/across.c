/* Normalisations over the channels of a pixel. */
#include "dev/cuda/cuda.h"

int cuda_layernorm(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct layernorm_attr *a = s->attr;

	layernorm_start(dev->stream, span_of(value_of(m, s->in[0])), a->eps,
			memory_at(m, s->in[0]), memory_at(m, s->in[1]), memory_at(m, s->in[2]),
			memory_at(m, s->out[0]));
	return 0;
}

int cuda_layernorm_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct layernorm_attr *a = s->attr;

	layernorm_dx_start(dev->stream, span_of(value_of(m, s->in[1])), a->eps,
			   memory_at(m, s->in[0]), memory_at(m, s->in[1]), memory_at(m, s->in[2]),
			   memory_at(m, s->out[0]), memory_at(m, s->out[1]),
			   memory_at(m, s->out[2]), memory_at(m, s->work_value));
	return 0;
}

static struct response response_of(const struct step *s)
{
	const struct lrn_attr *a = s->attr;

	return (struct response){ a->n, a->alpha, a->beta, a->k };
}

int cuda_lrn(struct device *dev, const struct memory *m, const struct step *s)
{
	lrn_start(dev->stream, span_of(value_of(m, s->in[0])), response_of(s),
		  memory_at(m, s->in[0]), memory_at(m, s->out[0]));
	return 0;
}

int cuda_lrn_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	lrn_dx_start(dev->stream, span_of(value_of(m, s->in[1])), response_of(s),
		     memory_at(m, s->in[0]), memory_at(m, s->in[1]), memory_at(m, s->out[0]));
	return 0;
}
