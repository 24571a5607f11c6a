/* Steps on one number at a time. */
#include "dev/cuda/cuda.h"

#include <assert.h>

enum act_code act_code(const struct step *s)
{
	switch (((const struct act_attr *)s->attr)->act) {
	case OP_RELU:
		return ACT_RELU;
	case OP_RELU6:
		return ACT_RELU6;
	case OP_SIGMOID:
		return ACT_SIGMOID;
	case OP_TANH:
		return ACT_TANH;
	case OP_SWISH:
		return ACT_SWISH;
	case OP_GELU:
		return ACT_GELU;
	case OP_HARDSWISH:
		return ACT_HARDSWISH;
	case OP_HARDSIGMOID:
		return ACT_HARDSIGMOID;
	default:
		return ACT_NONE;
	}
}

int cuda_affine(struct device *dev, const struct memory *m, const struct step *s)
{
	struct forward_pass f = { .xs = 1, .affines = 1 };

	f.x[0] = memory_at(m, s->in[0]);
	f.a[0] = row_at(m, s->in[1], 0);
	f.b[0] = row_at(m, s->in[1], 1);
	f.y = memory_at(m, s->out[0]);
	forward_start(dev->stream, span_of(value_of(m, s->out[0])), &f);
	return 0;
}

int cuda_act(struct device *dev, const struct memory *m, const struct step *s)
{
	struct forward_pass f = { .xs = 1, .act = act_code(s) };

	f.x[0] = memory_at(m, s->in[0]);
	f.y = memory_at(m, s->out[0]);
	forward_start(dev->stream, span_of(value_of(m, s->out[0])), &f);
	return 0;
}

/* Gradients of a shared parameter: bare numbers in any order, the same in all. As one
 * row, so that what stands behind them becomes zero; arenas leave room for that. */
static void add_bare(struct device *dev, size_t numbers, const struct forward_pass *f)
{
	enum { PIECE = 1 << 22 };
	struct forward_pass part = *f;
	size_t at, n;

	for (at = 0; at < numbers; at += n) {
		struct span v = { 1, 0, 0, DTYPE_F32 };

		n = numbers - at < PIECE ? numbers - at : PIECE;
		v.c = (int)n;
		v.pad = (int)((n + 7) / 8 * 8);
		for (int k = 0; k < f->xs; k++)
			part.x[k] = (const float *)f->x[k] + at;
		part.y = (float *)f->y + at;
		forward_start(dev->stream, v, &part);
	}
}

int cuda_add(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *v = value_of(m, s->out[0]);
	struct forward_pass f = { .xs = s->ins };

	for (int k = 0; k < s->ins; k++)
		f.x[k] = memory_at(m, s->in[k]);
	f.y = memory_at(m, s->out[0]);
	if (layout_walks(dev, v) && v->param < 0)
		forward_start(dev->stream, span_of(v), &f);
	else
		add_bare(dev, value_numbers(v), &f);
	return 0;
}

int cuda_mul(struct device *dev, const struct memory *m, const struct step *s)
{
	struct span v = span_of(value_of(m, s->out[0])), g = span_of(value_of(m, s->in[1]));
	struct forward_pass f = { .xs = 1, .affines = 1 };

	if (value_of(m, s->in[1])->arena == ARENA_PARAM) {
		f.x[0] = memory_at(m, s->in[0]);
		f.a[0] = memory_at(m, s->in[1]);
		f.y = memory_at(m, s->out[0]);
		forward_start(dev->stream, v, &f);
		return 0;
	}
	mul_start(dev->stream, v, memory_at(m, s->in[0]), memory_at(m, s->in[1]),
		  v.rows / g.rows, memory_at(m, s->out[0]));
	return 0;
}

int cuda_mul_sum(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *x = value_of(m, s->in[1]);

	sample_sums_start(dev->stream, span_of(x), memory_at(m, s->in[1]), memory_at(m, s->in[0]),
			  (unsigned)x->h * (unsigned)x->w, 1, memory_at(m, s->out[0]));
	return 0;
}

int cuda_act_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	struct backward_pass f = { .dys = 1, .mask = act_code(s) };

	f.dy[0] = memory_at(m, s->in[0]);
	f.y = memory_at(m, s->in[1]);
	f.g = memory_at(m, s->out[0]);
	backward_mask_start(dev->stream, span_of(value_of(m, s->out[0])), &f);
	return 0;
}
