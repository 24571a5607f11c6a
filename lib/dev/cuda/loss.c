#include "dev/cuda/cuda.h"

static struct loss loss_of(const struct step *s, const struct value *v)
{
	const struct xent_attr *a = s->attr;

	return (struct loss){ a->smoothing, a->weight, a->classes, v->n, v->lay.pad,
			      v->lay.type };
}

int cuda_xent(struct device *dev, const struct memory *m, const struct step *s)
{
	xent_start(dev->stream, loss_of(s, value_of(m, s->in[0])), memory_at(m, s->in[0]),
		   memory_at(m, s->in[1]), memory_at(m, s->in[2]), memory_at(m, step_in(s, 3)),
		   memory_at(m, s->out[0]), memory_at(m, s->out[1]));
	return 0;
}

int cuda_xent_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	xent_dx_start(dev->stream, loss_of(s, value_of(m, s->out[0])), memory_at(m, s->in[0]),
		      memory_at(m, s->in[1]), memory_at(m, s->in[2]), m->arena[ARENA_CONTROL],
		      memory_at(m, s->out[0]));
	return 0;
}
