/* Steps on one number at a time. */
#include "dev/cpu/cpu.h"

int act_pass(const struct step *s)
{
	static const int pass[OP_COUNT] = {
		[OP_RELU] = CPU_RELU, [OP_RELU6] = CPU_RELU6, [OP_SIGMOID] = CPU_SIGMOID,
		[OP_TANH] = CPU_TANH, [OP_SWISH] = CPU_SWISH, [OP_GELU] = CPU_GELU,
		[OP_HARDSWISH] = CPU_HARDSWISH, [OP_HARDSIGMOID] = CPU_HARDSIGMOID,
	};

	return pass[((const struct act_attr *)s->attr)->act];
}

int act_mask(int act, int again)
{
	if (act == CPU_RELU)
		return again ? MASK_RELU_AGAIN : MASK_RELU;
	if (act == CPU_RELU6)
		return again ? MASK_RELU6_AGAIN : MASK_RELU6;
	return again ? MASK_CURVED_AGAIN : MASK_CURVED;
}

int cpu_act(struct device *dev, const struct memory *m, const struct step *s)
{
	struct forward_pass f = { .xs = 1, .act = act_pass(s) };

	f.x[0] = memory_at(m, s->in[0]);
	f.y = memory_at(m, s->out[0]);
	forward_run(dev, value_at(m, s->out[0]), &f);
	return 0;
}

int cpu_act_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	struct backward_pass f = { .dys = 1 };

	f.act = act_pass(s);
	f.mask = act_mask(f.act, 0);
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
	const void *x, *g, *plus;
	int master;                     /* g is one */
	struct mul_pass pass;
	void *y;
};

static void mul_piece(void *context, size_t i)
{
	const struct mul *f = context;
	struct piece p = planes_piece(&f->planes, i);
	struct mul_pass pass = f->pass;
	size_t plane = i / f->planes.chunks * (size_t)f->planes.block;

	pass.x = planes_at(&f->planes, f->x, p.at);
	pass.y = planes_at(&f->planes, f->y, p.at);
	pass.g = planes_at(&f->planes, f->g, f->master ? (size_t)p.c : pass.spread ? plane : p.at);
	if (f->plus)
		pass.plus = planes_at(&f->planes, f->plus, plane);
	planes_kernels(f->dev, &f->planes)->mul(&pass, p.pixels);
}

void mul_run(struct device *dev, const struct memory *m, const struct step *s, const void *plus,
	     float share, int to)
{
	const struct value *x = value_at(m, s->in[0]), *g = value_at(m, s->in[1]);
	struct mul f = { dev, planes_of(x), memory_at(m, s->in[0]), memory_at(m, s->in[1]), plus,
			 g->arena == ARENA_PARAM, { .share = share }, memory_at(m, to) };

	f.pass.spread = g->h == 1 && g->w == 1;
	f.pass.block = f.planes.block;
	f.pass.stream = value_streams(x);
	each(dev, planes_pieces(&f.planes), mul_piece, &f);
}

int cpu_mul(struct device *dev, const struct memory *m, const struct step *s)
{
	mul_run(dev, m, s, NULL, 0, s->out[0]);
	return 0;
}
