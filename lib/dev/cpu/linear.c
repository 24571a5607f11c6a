/* Linear layers, and convolutions that are: products of matrices. */
#include "dev/cpu/conv.h"

#include "base/fail.h"

#include <string.h>

int is_product(const struct conv_attr *a)
{
	return a->groups == 1 && a->out_h == 1 && a->out_w == 1 &&
	       a->window.k[0] == a->in_h && a->window.k[1] == a->in_w &&
	       !a->window.before[0] && !a->window.before[1];
}

/* Numbers of a sample's inputs, and from one sample to the next. */
struct product { int n, in, in_step, out, out_step; };

static struct product product_of(const struct memory *m, const struct step *s, int x, int y)
{
	const struct conv_attr *a = s->attr;
	const struct value *vx = value_at(m, x), *vy = value_at(m, y);
	struct product p = { vx->n, a->in_c * a->in_h * a->in_w, vx->lay.pad * vx->h * vx->w,
			     a->out_c, vy->lay.pad };

	return p;
}

static int product_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct product p = product_of(m, s, s->in[0], s->out[0]);
	const float *bias = memory_at(m, step_in(s, 2));
	float *y = memory_at(m, s->out[0]);
	int n;

	(void)dev;
	memset(y, 0, value_at(m, s->out[0])->bytes);
	for (n = 0; n < p.n && bias; n++)
		memcpy(y + (size_t)n * (size_t)p.out_step, bias, (size_t)p.out * sizeof *y);
	return dnn_product(0, 1, p.n, p.out, p.in, memory_at(m, s->in[0]), p.in_step,
			   memory_at(m, s->in[1]), p.in, bias != NULL, y, p.out_step);
}

static int product_dx_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct product p = product_of(m, s, s->out[0], s->in[0]);
	float *dx = memory_at(m, s->out[0]);

	(void)dev;
	if (p.in_step > p.in)
		memset(dx, 0, value_at(m, s->out[0])->bytes);
	return dnn_product(0, 0, p.n, p.in, p.out, memory_at(m, s->in[0]), p.out_step,
			   memory_at(m, s->in[1]), p.in, 0, dx, p.in_step);
}

static int product_dw_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct product p = product_of(m, s, s->in[0], s->in[1]);

	(void)dev;
	return dnn_product(1, 0, p.out, p.in, p.n, memory_at(m, s->in[1]), p.out_step,
			   memory_at(m, s->in[0]), p.in_step, 0, memory_at(m, s->out[0]), p.in);
}

int product_prepare(struct device *dev, const struct conv_step *c)
{
	static cpu_run *const run[] = { product_run, product_dx_run, product_dw_run };
	const struct value *x = &c->p->value[c->x];

	(void)dev;
	if ((int64_t)x->lay.pad * x->h * x->w > INT32_MAX)
		return fail("cpu: %s: too many numbers in a sample", step_name(c->s->kind));
	TRY(step_choose(c->s, "cpu", "gemm"));
	return own_add(c->p, c->s, sizeof(struct own), run[c->direction]) ? 0 : -1;
}
