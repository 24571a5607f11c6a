/* Steps that move numbers: from pixels, between layouts, between channels. */
#include "dev/cuda/cuda.h"

int cuda_input(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct input_attr *a = s->attr;
	struct pixel_scale scale;

	memcpy(scale.mean, a->mean, sizeof scale.mean);
	memcpy(scale.deviation, a->deviation, sizeof scale.deviation);
	input_start(dev->stream, span_of(value_of(m, s->out[0])), memory_at(m, s->in[0]),
		    memory_at(m, s->out[0]), scale);
	return 0;
}

static struct place_of place(const struct value *v)
{
	return (struct place_of){ v->lay.block, v->lay.pad, v->lay.type };
}

int cuda_copy(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *x = value_of(m, s->in[0]), *y = value_of(m, s->out[0]);

	copy_start(dev->stream, memory_at(m, s->in[0]), place(x), memory_at(m, s->out[0]),
		   place(y), y->n, y->h, y->w, y->c);
	return 0;
}

int cuda_cat(struct device *dev, const struct memory *m, const struct step *s)
{
	struct span y = span_of(value_of(m, s->out[0]));
	int k, c = 0;

	for (k = 0; k < s->ins; k++) {
		struct span x = span_of(value_of(m, s->in[k]));

		channels_start(dev->stream, x, memory_at(m, s->in[k]), 0, y,
			       memory_at(m, s->out[0]), c, x.c, k + 1 == s->ins);
		c += x.c;
	}
	return 0;
}

int cuda_slice(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct slice_attr *a = s->attr;

	channels_start(dev->stream, span_of(value_of(m, s->in[0])), memory_at(m, s->in[0]),
		       a->from, span_of(value_of(m, s->out[0])), memory_at(m, s->out[0]), 0,
		       a->to - a->from, 1);
	return 0;
}

int cuda_pad(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct pad_attr *a = s->attr;
	const struct value *x = value_of(m, s->in[0]), *y = value_of(m, s->out[0]);
	struct pad_of p = { x->h, x->w, x->c, x->lay.pad, y->h, y->w, y->c, y->lay.pad,
			    a->top, a->left, a->front };

	pad_start(dev->stream, p, y->lay.type, y->n, memory_at(m, s->in[0]),
		  memory_at(m, s->out[0]));
	return 0;
}

int cuda_shuffle(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct shuffle_attr *a = s->attr;

	shuffle_start(dev->stream, span_of(value_of(m, s->out[0])), a->groups,
		      memory_at(m, s->in[0]), memory_at(m, s->out[0]));
	return 0;
}
