/* Batch normalisation in its parts (Ioffe, Szegedy 2015). */
#include "dev/ref/steps.h"

#include <math.h>

/* Numbers of a channel: n h w. */
static double channel_count(const struct view *x)
{
	return (double)x->v->n * x->v->h * x->v->w;
}

/* Sum of (x - from)^power over channel c; power 1 or 2. */
static double channel_sum(const struct view *x, int c, double from, int power)
{
	double sum = 0;
	int n, i, j;

	for (n = 0; n < x->v->n; n++) {
		float *plane = view_plane(x, n, c);

		for (i = 0; i < x->v->h; i++)
			for (j = 0; j < x->v->w; j++) {
				double d = *view_pixel(x, plane, i, j) - from;

				sum += power == 2 ? d * d : d;
			}
	}
	return sum;
}

int ref_stats(const struct memory *m, const struct step *s)
{
	struct view x = view_of(m, s->in[0]);
	float *mean = view_row(m, s->out[0], 0), *variance = view_row(m, s->out[0], 1);
	int c;

	for (c = 0; c < x.v->c; c++) {
		double middle = channel_sum(&x, c, 0, 1) / channel_count(&x);

		mean[c] = (float)middle;
		variance[c] = (float)(channel_sum(&x, c, middle, 2) / channel_count(&x));
	}
	return 0;
}

int ref_coef(const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	int running = s->ins > 3 && s->in[3] >= 0;
	const float *mean = view_row(m, s->in[0], 0);
	const float *variance = running ? memory_at(m, s->in[3]) : view_row(m, s->in[0], 1);
	const float *gain = memory_at(m, s->in[1]), *bias = memory_at(m, s->in[2]);
	float *a = view_row(m, s->out[0], 0), *b = view_row(m, s->out[0], 1);
	int c;

	for (c = 0; c < m->program->value[s->out[0]].c; c++) {
		double slope = (gain ? gain[c] : 1) / sqrt(variance[c] + bn->eps);

		a[c] = (float)slope;
		b[c] = (float)((bias ? bias[c] : 0) - mean[c] * slope);
	}
	return 0;
}

int ref_affine(const struct memory *m, const struct step *s)
{
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);
	const float *a = view_row(m, s->in[1], 0), *b = view_row(m, s->in[1], 1);
	int n, c, i, j;

	for (n = 0; n < x.v->n; n++) {
		for (c = 0; c < x.v->c; c++) {
			float *from = view_plane(&x, n, c), *to = view_plane(&y, n, c);

			for (i = 0; i < x.v->h; i++)
				for (j = 0; j < x.v->w; j++)
					*view_pixel(&y, to, i, j) =
						fmaf(a[c], *view_pixel(&x, from, i, j), b[c]);
		}
	}
	return 0;
}

/* Sum over channel c of dy (x - mean) / deviation. */
static double product_sum(const struct view *dy, const struct view *x, int c, double mean,
			  double invstd)
{
	double sum = 0;
	int n, i, j;

	for (n = 0; n < x->v->n; n++) {
		float *of_dy = view_plane(dy, n, c), *of_x = view_plane(x, n, c);

		for (i = 0; i < x->v->h; i++)
			for (j = 0; j < x->v->w; j++)
				sum += *view_pixel(dy, of_dy, i, j) *
				       ((*view_pixel(x, of_x, i, j) - mean) * invstd);
	}
	return sum;
}

int ref_bn_sums(const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	struct view dy = view_of(m, s->in[0]), x = view_of(m, s->in[1]);
	const float *mean = view_row(m, s->in[2], 0), *variance = view_row(m, s->in[2], 1);
	float *sum = view_row(m, s->out[0], 0), *product = view_row(m, s->out[0], 1);
	float *dgain = s->outs > 1 ? memory_at(m, s->out[1]) : NULL;
	float *dbias = s->outs > 2 ? memory_at(m, s->out[2]) : NULL;
	int c;

	for (c = 0; c < x.v->c; c++) {
		sum[c] = (float)channel_sum(&dy, c, 0, 1);
		product[c] = (float)product_sum(&dy, &x, c, mean[c],
						1 / sqrt(variance[c] + bn->eps));
		if (dgain)
			dgain[c] = product[c];
		if (dbias)
			dbias[c] = sum[c];
	}
	return 0;
}

int ref_bn_dx(const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	struct view dy = view_of(m, s->in[0]), x = view_of(m, s->in[1]), dx = view_of(m, s->out[0]);
	const float *mean = view_row(m, s->in[2], 0), *variance = view_row(m, s->in[2], 1);
	const float *gain = memory_at(m, s->in[3]);
	const float *sum = view_row(m, s->in[4], 0), *product = view_row(m, s->in[4], 1);
	double k = (double)bn->count;
	int n, c, i, j;

	for (n = 0; n < x.v->n; n++) {
		for (c = 0; c < x.v->c; c++) {
			float *of_dy = view_plane(&dy, n, c), *of_x = view_plane(&x, n, c);
			float *to = view_plane(&dx, n, c);
			double invstd = 1 / sqrt(variance[c] + bn->eps);

			for (i = 0; i < x.v->h; i++)
				for (j = 0; j < x.v->w; j++) {
					double off = *view_pixel(&x, of_x, i, j) - mean[c];
					double xhat = off * invstd;
					double d = *view_pixel(&dy, of_dy, i, j) - sum[c] / k -
						   xhat * product[c] / k;

					*view_pixel(&dx, to, i, j) =
						(float)((gain ? gain[c] : 1) * invstd * d);
				}
		}
	}
	return 0;
}

int ref_track(const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	const struct control *control = memory_control(m);
	const float *mean = view_row(m, s->in[0], 0), *variance = view_row(m, s->in[0], 1);
	float *running_mean = memory_at(m, s->in[1]), *running_variance = memory_at(m, s->in[2]);
	/* one number has no unbiased variance: the biased one, 0, then */
	double unbias = bn->count > 1 ? (double)bn->count / (double)(bn->count - 1) : 1;
	int c;

	if (control->skip || control->halt)
		return 0;
	for (c = 0; c < m->program->value[s->in[0]].c; c++) {
		double middle = (double)mean[c] / bn->devices;
		double spread = (double)variance[c] / bn->devices * unbias;

		running_mean[c] = (float)(bn->decay * running_mean[c] + (1 - bn->decay) * middle);
		running_variance[c] =
			(float)(bn->decay * running_variance[c] + (1 - bn->decay) * spread);
	}
	return 0;
}
