/* Normalisations over the channels of a pixel. */
#include "dev/ref/steps.h"

#include <math.h>

struct pixel { int n, y, x; };

/* Channel c of a pixel. */
static float *at(const struct view *v, const struct pixel *p, int c)
{
	return view_pixel(v, view_plane(v, p->n, c), p->y, p->x);
}

/* All pixels of a value, in order: 1, or 0 after the last. Begins at x = -1. */
static int pixel_next(const struct value *v, struct pixel *p)
{
	if (++p->x < v->w)
		return 1;
	p->x = 0;
	if (++p->y < v->h)
		return 1;
	p->y = 0;
	return ++p->n < v->n;
}

/* ---- layer norm (Ba, Kiros, Hinton 2016) ---- */

static void moments(const struct view *x, const struct pixel *p, double eps, double *mean,
		    double *invstd)
{
	int c, channels = x->v->c;
	double sum = 0, square = 0;

	for (c = 0; c < channels; c++)
		sum += *at(x, p, c);
	*mean = sum / channels;
	for (c = 0; c < channels; c++) {
		double d = *at(x, p, c) - *mean;

		square += d * d;
	}
	*invstd = 1 / sqrt(square / channels + eps);
}

int ref_layernorm(const struct memory *m, const struct step *s)
{
	const struct layernorm_attr *a = s->attr;
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);
	const float *gain = memory_at(m, s->in[1]), *bias = memory_at(m, s->in[2]);
	struct pixel p = { .x = -1 };
	int c;

	while (pixel_next(x.v, &p)) {
		double mean, invstd;

		moments(&x, &p, a->eps, &mean, &invstd);
		for (c = 0; c < x.v->c; c++)
			*at(&y, &p, c) = (float)((*at(&x, &p, c) - mean) * invstd * gain[c] +
						 bias[c]);
	}
	return 0;
}

/* dx = invstd (g - mean(g) - xhat mean(g xhat)), g = gain dy. */
static void layernorm_dx(const struct view *x, const struct view *dy, const struct view *dx,
			 const float *gain, const struct pixel *p, double eps)
{
	double mean, invstd, sum = 0, product = 0;
	int c, channels = x->v->c;

	moments(x, p, eps, &mean, &invstd);
	for (c = 0; c < channels; c++) {
		double g = (double)gain[c] * *at(dy, p, c);

		sum += g;
		product += g * (*at(x, p, c) - mean) * invstd;
	}
	for (c = 0; c < channels; c++) {
		double g = (double)gain[c] * *at(dy, p, c);
		double xhat = (*at(x, p, c) - mean) * invstd;

		*at(dx, p, c) = (float)(invstd * (g - sum / channels - xhat * product / channels));
	}
}

int ref_layernorm_prepare(const struct program *p, struct step *s)
{
	s->work = 2 * (size_t)p->value[s->in[1]].c * sizeof(double);
	return 0;
}

int ref_layernorm_dx(const struct memory *m, const struct step *s)
{
	const struct layernorm_attr *a = s->attr;
	struct view dy = view_of(m, s->in[0]), x = view_of(m, s->in[1]), dx = { 0 };
	const float *gain = memory_at(m, s->in[2]);
	float *dgain = memory_at(m, s->out[1]), *dbias = memory_at(m, s->out[2]);
	double *sum = memory_at(m, s->work_value), *product = sum + x.v->c;
	struct pixel p = { .x = -1 };
	int c;

	if (s->out[0] >= 0)
		dx = view_of(m, s->out[0]);
	memset(sum, 0, 2 * (size_t)x.v->c * sizeof *sum);
	while (pixel_next(x.v, &p)) {
		double mean, invstd;

		moments(&x, &p, a->eps, &mean, &invstd);
		for (c = 0; c < x.v->c; c++) {
			sum[c] += *at(&dy, &p, c);
			product[c] += *at(&dy, &p, c) * (*at(&x, &p, c) - mean) * invstd;
		}
		if (dx.v)
			layernorm_dx(&x, &dy, &dx, gain, &p, a->eps);
	}
	for (c = 0; c < x.v->c; c++) {
		if (dgain)
			dgain[c] = (float)product[c];
		if (dbias)
			dbias[c] = (float)sum[c];
	}
	return 0;
}

/* ---- local response normalisation (Krizhevsky 2012, alpha as in TensorFlow) ---- */

/* The sum s around channel c. */
static double response(const struct lrn_attr *a, const struct view *x, const struct pixel *p,
		       int c)
{
	double sum = 0;
	int k;

	for (k = c - a->n / 2; k <= c + (a->n - 1) / 2; k++)
		if (k >= 0 && k < x->v->c)
			sum += (double)*at(x, p, k) * *at(x, p, k);
	return a->k + a->alpha * sum;
}

int ref_lrn(const struct memory *m, const struct step *s)
{
	const struct lrn_attr *a = s->attr;
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);
	struct pixel p = { .x = -1 };
	int c;

	while (pixel_next(x.v, &p))
		for (c = 0; c < x.v->c; c++)
			*at(&y, &p, c) = (float)(*at(&x, &p, c) *
						 pow(response(a, &x, &p, c), -a->beta));
	return 0;
}

/* dx_c = dy_c s_c^-beta - 2 alpha beta x_c (sum over k of dy_k x_k s_k^(-beta - 1)), over
 * the channels k that have c in their window. */
int ref_lrn_dx(const struct memory *m, const struct step *s)
{
	const struct lrn_attr *a = s->attr;
	struct view dy = view_of(m, s->in[0]), x = view_of(m, s->in[1]), dx = view_of(m, s->out[0]);
	struct pixel p = { .x = -1 };
	int c, k;

	while (pixel_next(x.v, &p))
		for (c = 0; c < x.v->c; c++) {
			double sum = 0;

			for (k = c - (a->n - 1) / 2; k <= c + a->n / 2; k++)
				if (k >= 0 && k < x.v->c)
					sum += (double)*at(&dy, &p, k) * *at(&x, &p, k) *
					       pow(response(a, &x, &p, k), -a->beta - 1);
			*at(&dx, &p, c) = (float)(*at(&dy, &p, c) *
						  pow(response(a, &x, &p, c), -a->beta) -
						  2 * a->alpha * a->beta * *at(&x, &p, c) * sum);
		}
	return 0;
}
