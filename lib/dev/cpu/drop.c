#include "dev/cpu/cpu.h"

#include <string.h>

enum { DRAWS = 256 };

struct drop {
	const struct dropout_attr *a;
	const struct control *control;
	const struct value *v, *w;
	const float *x;
	float *y;
	float scale;
};

/* One channel of one sample: draws are counted in C, H, W order. */
static void drop_piece(void *context, size_t i)
{
	const struct drop *f = context;
	int n = (int)(i / (size_t)f->w->lay.pad), c = (int)(i % (size_t)f->w->lay.pad);
	size_t area = (size_t)f->v->h * (size_t)f->v->w, first = (size_t)c * area, k, d;
	const float *x = c < f->v->c ? f->x + value_place(f->v, n, c, 0, 0) : NULL;
	float *y = f->y + value_place(f->w, n, c, 0, 0);
	size_t x_step = (size_t)f->v->lay.block, y_step = (size_t)f->w->lay.block;
	unsigned char keep[DRAWS];

	for (k = 0; k < area; k += DRAWS) {
		size_t run = area - k < DRAWS ? area - k : DRAWS;

		if (x)
			dropout_draw(f->a, f->control, n, first + k, run, keep);
		for (d = 0; d < run; d++)
			y[(k + d) * y_step] = x && keep[d] ? x[(k + d) * x_step] * f->scale : 0;
	}
}

/* Where the image is one pixel: all channels of one sample. */
static void drop_sample(void *context, size_t n)
{
	const struct drop *f = context;
	unsigned char keep[DRAWS];
	int c;

	for (c = 0; c < f->w->lay.pad; c++) {
		if (c % DRAWS == 0 && c < f->v->c)
			dropout_draw(f->a, f->control, (int)n, (size_t)c,
				     (size_t)(f->v->c - c < DRAWS ? f->v->c - c : DRAWS), keep);
		f->y[value_place(f->w, (int)n, c, 0, 0)] = c < f->v->c && keep[c % DRAWS] ?
			f->x[value_place(f->v, (int)n, c, 0, 0)] * f->scale : 0;
	}
}

/* All of a sample or nothing; padding is zero either way. */
static void drop_whole(void *context, size_t n)
{
	const struct drop *f = context;
	size_t numbers = value_numbers(f->v) / (size_t)f->v->n, i;
	const float *x = f->x + n * numbers;
	float *y = f->y + n * numbers;
	unsigned char keep;

	dropout_draw(f->a, f->control, (int)n, 0, 1, &keep);
	if (!keep) {
		memset(y, 0, numbers * sizeof *y);
		return;
	}
	for (i = 0; i < numbers; i++)
		y[i] = x[i] * f->scale;
}

int cpu_dropout(struct device *dev, const struct memory *m, const struct step *s)
{
	struct drop f = { s->attr, memory_control(m), value_at(m, s->in[0]),
			  value_at(m, s->out[0]), memory_at(m, s->in[0]),
			  memory_at(m, s->out[0]), dropout_scale(s->attr, memory_control(m)) };

	if (f.a->whole)
		each(dev, (size_t)f.v->n, drop_whole, &f);
	else if (f.v->h == 1 && f.v->w == 1)
		each(dev, (size_t)f.v->n, drop_sample, &f);
	else
		each(dev, (size_t)f.v->n * (size_t)f.w->lay.pad, drop_piece, &f);
	return 0;
}
