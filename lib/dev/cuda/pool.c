#include "dev/cuda/cuda.h"

/* wide: places of windows of more than 256 numbers. */
static struct pool pool_of(const struct step *s, int wide)
{
	const struct pool_attr *a = s->attr;
	const struct window *w = &a->window;

	return (struct pool){
		.k = { w->k[0], w->k[1] }, .s = { w->s[0], w->s[1] },
		.dilation = { w->dilation[0], w->dilation[1] },
		.before = { w->before[0], w->before[1] }, .after = { w->after[0], w->after[1] },
		.in_h = a->in_h, .in_w = a->in_w, .out_h = a->out_h, .out_w = a->out_w,
		.count_pad = a->count_pad, .wide = wide,
	};
}

int cuda_maxpool(struct device *dev, const struct memory *m, const struct step *s)
{
	int place = step_out(s, 1);
	struct pool p = pool_of(s, place >= 0 && value_of(m, place)->lay.type == DTYPE_I32);

	maxpool_start(dev->stream, span_of(value_of(m, s->out[0])), &p, memory_at(m, s->in[0]),
		      memory_at(m, s->out[0]), memory_at(m, place));
	return 0;
}

int cuda_maxpool_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	struct pool p = pool_of(s, value_of(m, s->in[1])->lay.type == DTYPE_I32);

	maxpool_dx_start(dev->stream, span_of(value_of(m, s->out[0])), &p, memory_at(m, s->in[0]),
			 memory_at(m, s->in[1]), memory_at(m, s->out[0]));
	return 0;
}

/* One window that is the whole image. */
static int is_global(const struct pool *p)
{
	return p->out_h == 1 && p->out_w == 1 && p->k[0] == p->in_h && p->k[1] == p->in_w &&
	       p->dilation[0] == 1 && p->dilation[1] == 1 && !p->before[0] && !p->before[1] &&
	       !p->after[0] && !p->after[1];
}

int cuda_avgpool(struct device *dev, const struct memory *m, const struct step *s)
{
	struct pool p = pool_of(s, 0);
	unsigned share = (unsigned)p.in_h * (unsigned)p.in_w;

	if (is_global(&p))
		sample_sums_start(dev->stream, span_of(value_of(m, s->in[0])),
				  memory_at(m, s->in[0]), NULL, share, 1 / (float)share,
				  memory_at(m, s->out[0]));
	else
		avgpool_start(dev->stream, span_of(value_of(m, s->out[0])), &p,
			      memory_at(m, s->in[0]), memory_at(m, s->out[0]));
	return 0;
}

int cuda_avgpool_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	struct pool p = pool_of(s, 0);

	avgpool_dx_start(dev->stream, span_of(value_of(m, s->out[0])), &p, memory_at(m, s->in[0]),
			 memory_at(m, s->out[0]));
	return 0;
}
