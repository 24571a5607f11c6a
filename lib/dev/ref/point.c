/* Steps on one number at a time. NaN goes through every activation, so that a run
 * that went wrong is seen in its loss. */
#include "dev/ref/steps.h"

#include <math.h>

/* The result of a number of each operand. */
typedef float point(const float *x, const struct step *);

/* As view_of, for an operand that may be one pixel for all of an image, or one for all
 * images (a master). */
static struct view view_wide(const struct memory *m, int value, const struct value *as)
{
	struct view view = view_of(m, value);

	if (view.v->h == 1 && view.v->w == 1 && (as->h > 1 || as->w > 1))
		view.h = view.w = 0;
	if (view.v->n == 1)
		view.n = 0;
	return view;
}

static int each(const struct memory *m, const struct step *s, point *f)
{
	struct view x[STEP_IN], y = view_of(m, s->out[0]);
	float *from[STEP_IN], *to, number[STEP_IN];
	int n, c, i, j, k;

	for (k = 0; k < s->ins; k++)
		x[k] = view_wide(m, s->in[k], y.v);
	for (n = 0; n < y.v->n; n++) {
		for (c = 0; c < y.v->c; c++) {
			to = view_plane(&y, n, c);
			for (k = 0; k < s->ins; k++)
				from[k] = view_plane(&x[k], n, c);
			for (i = 0; i < y.v->h; i++)
				for (j = 0; j < y.v->w; j++) {
					for (k = 0; k < s->ins; k++)
						number[k] = *view_pixel(&x[k], from[k], i, j);
					*view_pixel(&y, to, i, j) = f(number, s);
				}
		}
	}
	return 0;
}

static double clip(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

static float act(const float *number, const struct step *s)
{
	double x = number[0];

	switch (((const struct act_attr *)s->attr)->act) {
	case OP_RELU:
		return (float)(x < 0 ? 0 : x);
	case OP_RELU6:
		return (float)clip(x, 0, 6);
	case OP_SIGMOID:
		return (float)(1 / (1 + exp(-x)));
	case OP_TANH:
		return (float)tanh(x);
	case OP_SWISH:
		return (float)(x / (1 + exp(-x)));
	case OP_GELU:
		return (float)(x * 0.5 * erfc(-x * 0.70710678118654752440));
	case OP_HARDSWISH:
		return (float)(x * clip(x + 3, 0, 6) / 6);
	case OP_HARDSIGMOID:
		return (float)(clip(x + 3, 0, 6) / 6);
	default:
		return NAN;
	}
}

int ref_act(const struct memory *m, const struct step *s)
{
	return each(m, s, act);
}

/* dy times the slope, from the result y or from what was read, x (act_dx_reads_x()). */
static float act_dx(const float *number, const struct step *s)
{
	double dy = number[0], y = number[1], x = y, phi, sigmoid;

	switch (((const struct act_attr *)s->attr)->act) {
	case OP_RELU:
		return (float)(y > 0 ? dy : 0);
	case OP_RELU6:
		return (float)(y > 0 && y < 6 ? dy : 0);
	case OP_SIGMOID:
		return (float)(dy * y * (1 - y));
	case OP_TANH:
		return (float)(dy * (1 - y * y));
	case OP_HARDSIGMOID:
		return (float)(y > 0 && y < 1 ? dy / 6 : 0);
	case OP_SWISH:
		sigmoid = 1 / (1 + exp(-x));
		return (float)(dy * sigmoid * (1 + x * (1 - sigmoid)));
	case OP_GELU:
		phi = 0.5 * erfc(-x * 0.70710678118654752440);
		return (float)(dy * (phi + x * exp(-x * x / 2) * 0.39894228040143267794));
	case OP_HARDSWISH:
		return (float)(x <= -3 ? 0 : x >= 3 ? dy : dy * (2 * x + 3) / 6);
	default:
		return NAN;
	}
}

int ref_act_dx(const struct memory *m, const struct step *s)
{
	return each(m, s, act_dx);
}

static float add(const float *number, const struct step *s)
{
	float sum = number[0];
	int k;

	for (k = 1; k < s->ins; k++)
		sum += number[k];
	return sum;
}

int ref_add(const struct memory *m, const struct step *s)
{
	return each(m, s, add);
}

static float mul(const float *number, const struct step *s)
{
	(void)s;
	return number[0] * number[1];
}

int ref_mul(const struct memory *m, const struct step *s)
{
	return each(m, s, mul);
}

int ref_mul_sum(const struct memory *m, const struct step *s)
{
	struct view dy = view_of(m, s->in[0]), x = view_of(m, s->in[1]);
	struct view sum = view_of(m, s->out[0]);
	int n, c, i, j;

	for (n = 0; n < x.v->n; n++) {
		for (c = 0; c < x.v->c; c++) {
			float *of_dy = view_plane(&dy, n, c), *of_x = view_plane(&x, n, c);
			double total = 0;

			for (i = 0; i < x.v->h; i++)
				for (j = 0; j < x.v->w; j++)
					total += (double)*view_pixel(&dy, of_dy, i, j) *
						 *view_pixel(&x, of_x, i, j);
			*view_plane(&sum, n, c) = (float)total;
		}
	}
	return 0;
}
