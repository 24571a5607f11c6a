/* Steps on one number at a time. */
#include "dev/cpu/cpu.h"

#include "base/fail.h"

#include <math.h>

int act_pass(const struct step *s)
{
	enum op_id act = ((const struct act_attr *)s->attr)->act;

	return act == OP_RELU ? CPU_RELU : act == OP_RELU6 ? CPU_RELU6 : -1;
}

/* Activations that no pass has: one number after the other. */
struct slow {
	enum op_id act;
	struct planes planes;
	int c;
	const float *x, *y;
	float *to;
};

static double clip(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

static double act(enum op_id act, double x)
{
	switch (act) {
	case OP_SIGMOID:
		return 1 / (1 + exp(-x));
	case OP_TANH:
		return tanh(x);
	case OP_SWISH:
		return x / (1 + exp(-x));
	case OP_GELU:
		return x * 0.5 * (1 + erf(x * 0.70710678118654752440));
	case OP_HARDSWISH:
		return x * clip(x + 3, 0, 6) / 6;
	default:
		return clip(x + 3, 0, 6) / 6;
	}
}

/* dy times the slope, from the result y. */
static double act_dx(enum op_id act, double dy, double y)
{
	switch (act) {
	case OP_SIGMOID:
		return dy * y * (1 - y);
	case OP_TANH:
		return dy * (1 - y * y);
	default:
		return y > 0 && y < 1 ? dy / 6 : 0;
	}
}

static void slow_piece(void *context, size_t i)
{
	const struct slow *f = context;
	struct piece p = planes_piece(&f->planes, i);

	for (size_t k = 0; k < p.pixels * (size_t)f->planes.block; k++) {
		size_t o = p.at + k;

		if (p.c + (int)(k % (size_t)f->planes.block) >= f->c)
			f->to[o] = 0;
		else if (f->y)
			f->to[o] = (float)act_dx(f->act, f->x[o], f->y[o]);
		else
			f->to[o] = (float)act(f->act, f->x[o]);
	}
}

static int slow_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *v = value_at(m, s->out[0]);
	struct slow f = { ((const struct act_attr *)s->attr)->act, planes_of(v), v->c,
			  memory_at(m, s->in[0]), memory_at(m, step_in(s, 1)),
			  memory_at(m, s->out[0]) };

	each(dev, planes_pieces(&f.planes), slow_piece, &f);
	return 0;
}

int cpu_act(struct device *dev, const struct memory *m, const struct step *s)
{
	struct forward_pass f = { .xs = 1, .act = act_pass(s) };

	if (f.act < 0)
		return slow_run(dev, m, s);
	f.x[0] = memory_at(m, s->in[0]);
	f.y = memory_at(m, s->out[0]);
	forward_run(dev, value_at(m, s->out[0]), &f);
	return 0;
}

int cpu_act_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	struct backward_pass f = { .dys = 1 };
	int pass = act_pass(s);

	if (pass < 0)
		return slow_run(dev, m, s);
	f.mask = pass == CPU_RELU ? MASK_RELU : MASK_RELU6;
	f.dy[0] = memory_at(m, s->in[0]);
	f.y = memory_at(m, s->in[1]);
	f.g = memory_at(m, s->out[0]);
	backward_run(dev, value_at(m, s->out[0]), &f);
	return 0;
}

/* Operands in a layout that has no vectors, all in the same. */
static void add_bare(const struct memory *m, const struct step *s)
{
	float *y = memory_at(m, s->out[0]);
	size_t numbers = value_numbers(value_at(m, s->out[0])), i;
	int k;

	for (i = 0; i < numbers; i++) {
		float sum = ((const float *)memory_at(m, s->in[0]))[i];

		for (k = 1; k < s->ins; k++)
			sum += ((const float *)memory_at(m, s->in[k]))[i];
		y[i] = sum;
	}
}

int cpu_add(struct device *dev, const struct memory *m, const struct step *s)
{
	struct forward_pass f = { .xs = s->ins };
	const struct value *v = value_at(m, s->out[0]);
	int k;

	if (!layout_walks(dev, v, v->lay)) {
		add_bare(m, s);
		return 0;
	}
	for (k = 0; k < s->ins; k++)
		f.x[k] = memory_at(m, s->in[k]);
	f.y = memory_at(m, s->out[0]);
	forward_run(dev, value_at(m, s->out[0]), &f);
	return 0;
}

struct mul {
	struct device *dev;
	struct planes planes;
	const float *x, *g;
	int spread;
	float *y;
};

static void mul_piece(void *context, size_t i)
{
	const struct mul *f = context;
	struct piece p = planes_piece(&f->planes, i);
	size_t g = f->spread ? i / f->planes.chunks * (size_t)f->planes.block : p.at;

	f->dev->k->mul(f->x + p.at, f->g + g, f->spread, f->y + p.at, p.pixels,
		       f->planes.block);
}

int cpu_mul(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *x = value_at(m, s->in[0]), *g = value_at(m, s->in[1]);
	struct mul f = { dev, planes_of(x), memory_at(m, s->in[0]), memory_at(m, s->in[1]),
			 g->h == 1 && g->w == 1, memory_at(m, s->out[0]) };

	each(dev, planes_pieces(&f.planes), mul_piece, &f);
	return 0;
}

int point_prepare(struct device *dev, struct program *p, int step)
{
	struct step *s = &p->step[step];
	enum op_id act = s->kind == STEP_ACT_DX ? ((const struct act_attr *)s->attr)->act : OP_RELU;

	(void)dev;
	if (act != OP_RELU && act != OP_RELU6 && act != OP_SIGMOID && act != OP_TANH &&
	    act != OP_HARDSIGMOID)
		return fail("cpu: %s: this activation's slope does not follow from its result",
			    step_name(s->kind));
	return how_choose(s, "own");
}
