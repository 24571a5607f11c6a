/*
 * Convolutions by their sums. Linear layers are those whose window is all of the input.
 *
 * What the window of an output pixel covers of one group's channels is gathered as a
 * row, in the order of the weights and with zeros outside the image. So a result is a
 * row's product with a filter, dw collects rows times dy, and dx spreads filters times
 * dy to where the row came from.
 */
#include "dev/ref/steps.h"

#include "base/fail.h"

/* One convolution with all that its loops need. */
struct conv {
	const struct conv_attr *a;
	struct view x, y;               /* or their gradients */
	float *w;                       /* [out_c][in_c / groups][k0][k1] */
	int in_group, out_group;        /* channels of a group */
	size_t filter;                  /* numbers of one output channel's window */
	double *sum;                    /* workspace */
	float *row;                     /* likewise, behind the sums */
};

/* Numbers of the workspace's sums. */
static size_t conv_sums(const struct step *s)
{
	const struct conv_attr *a = s->attr;
	size_t filter = (size_t)(a->in_c / a->groups) * (size_t)a->window.k[0] *
			(size_t)a->window.k[1];

	switch (s->kind) {
	case STEP_CONV_DX:
		return filter + (size_t)(a->in_c / a->groups) * (size_t)a->in_h * (size_t)a->in_w;
	case STEP_CONV_DW:
		return filter * (size_t)a->out_c;
	default:
		return 0;
	}
}

int ref_conv_prepare(struct step *s)
{
	const struct conv_attr *a = s->attr;
	size_t filter = (size_t)(a->in_c / a->groups) * (size_t)a->window.k[0] *
			(size_t)a->window.k[1], bytes;

	if (__builtin_mul_overflow(conv_sums(s), sizeof(double), &bytes) ||
	    __builtin_add_overflow(bytes, filter * sizeof(float), &s->work))
		return fail("ref: %s: too large", step_name(s->kind));
	return 0;
}

static struct conv conv_of(const struct memory *m, const struct step *s, int x, int w, int y)
{
	struct conv conv = { .a = s->attr, .x = view_of(m, x), .y = view_of(m, y) };

	conv.w = memory_at(m, w);
	conv.in_group = conv.a->in_c / conv.a->groups;
	conv.out_group = conv.a->out_c / conv.a->groups;
	conv.filter = (size_t)conv.in_group * (size_t)conv.a->window.k[0] *
		      (size_t)conv.a->window.k[1];
	conv.sum = memory_at(m, s->work_value);
	conv.row = (float *)(conv.sum + conv_sums(s));
	return conv;
}

/* A pixel of the output, in one group. */
struct place { int n, group, y, x; };

/* All of them, in order: 1, or 0 after the last. Begins at x = -1. */
static int place_next(const struct conv *v, struct place *at)
{
	if (++at->x < v->a->out_w)
		return 1;
	at->x = 0;
	if (++at->y < v->a->out_h)
		return 1;
	at->y = 0;
	if (++at->group < v->a->groups)
		return 1;
	at->group = 0;
	return ++at->n < v->y.v->n;
}

/* Where tap k of output place o lies in the input, along an axis; maybe outside. */
static int tap(const struct window *win, int axis, int o, int k)
{
	return o * win->s[axis] + k * win->dilation[axis] - win->before[axis];
}

static void row_gather(const struct conv *v, const struct place *at)
{
	const struct window *win = &v->a->window;
	float *row = v->row;
	int c, ky, kx;

	for (c = 0; c < v->in_group; c++) {
		float *plane = view_plane(&v->x, at->n, at->group * v->in_group + c);

		for (ky = 0; ky < win->k[0]; ky++) {
			int y = tap(win, 0, at->y, ky), x;
			int inside = y >= 0 && y < v->a->in_h;

			for (kx = 0; kx < win->k[1]; kx++) {
				x = tap(win, 1, at->x, kx);
				*row++ = inside && x >= 0 && x < v->a->in_w ?
					*view_pixel(&v->x, plane, y, x) : 0;
			}
		}
	}
}

/* The number of the output at a place, of the k-th channel of its group. */
static float *result(const struct conv *v, const struct place *at, int k)
{
	float *plane = view_plane(&v->y, at->n, at->group * v->out_group + k);

	return view_pixel(&v->y, plane, at->y, at->x);
}

static const float *filter(const struct conv *v, const struct place *at, int k)
{
	return v->w + (size_t)(at->group * v->out_group + k) * v->filter;
}

/* In four parts, which a machine adds side by side. */
static double product(const float *x, const float *y, size_t n)
{
	double sum[4] = { 0 };
	size_t i, k;

	for (i = 0; i + 4 <= n; i += 4)
		for (k = 0; k < 4; k++)
			sum[k] += (double)x[i + k] * y[i + k];
	for (; i < n; i++)
		sum[0] += (double)x[i] * y[i];
	return sum[0] + sum[1] + (sum[2] + sum[3]);
}

int ref_conv(const struct memory *m, const struct step *s)
{
	struct conv v = conv_of(m, s, s->in[0], s->in[1], s->out[0]);
	const float *bias = memory_at(m, s->in[2]);
	struct place at = { .x = -1 };
	int k;

	while (place_next(&v, &at)) {
		row_gather(&v, &at);
		for (k = 0; k < v.out_group; k++) {
			double sum = product(filter(&v, &at, k), v.row, v.filter);

			if (bias)
				sum += bias[at.group * v.out_group + k];
			*result(&v, &at, k) = (float)sum;
		}
	}
	return 0;
}

/* The row's gradient, behind the image's sums, to where the row came from. */
static void row_spread(const struct conv *v, const struct place *at, const double *row)
{
	const struct window *win = &v->a->window;
	double *plane = v->sum;
	int c, ky, kx;

	for (c = 0; c < v->in_group; c++, plane += (size_t)v->a->in_h * (size_t)v->a->in_w) {
		for (ky = 0; ky < win->k[0]; ky++) {
			int y = tap(win, 0, at->y, ky), x;
			int inside = y >= 0 && y < v->a->in_h;

			for (kx = 0; kx < win->k[1]; kx++, row++) {
				x = tap(win, 1, at->x, kx);
				if (inside && x >= 0 && x < v->a->in_w)
					plane[(size_t)y * (size_t)v->a->in_w + (size_t)x] += *row;
			}
		}
	}
}

/* The sums of one sample's group into the input's gradient. */
static void image_store(const struct conv *v, int n, int group)
{
	const double *sum = v->sum;
	int c, y, x;

	for (c = 0; c < v->in_group; c++) {
		float *plane = view_plane(&v->x, n, group * v->in_group + c);

		for (y = 0; y < v->a->in_h; y++)
			for (x = 0; x < v->a->in_w; x++)
				*view_pixel(&v->x, plane, y, x) = (float)*sum++;
	}
}

int ref_conv_dx(const struct memory *m, const struct step *s)
{
	struct conv v = conv_of(m, s, s->out[0], s->in[1], s->in[0]);
	size_t image = (size_t)v.in_group * (size_t)v.a->in_h * (size_t)v.a->in_w, i;
	double *row = v.sum + image;
	struct place at = { .x = -1 };
	int k;

	while (place_next(&v, &at)) {
		if (!at.y && !at.x)
			memset(v.sum, 0, image * sizeof *v.sum);
		memset(row, 0, v.filter * sizeof *row);
		for (k = 0; k < v.out_group; k++) {
			const float *w = filter(&v, &at, k);
			double dy = *result(&v, &at, k);

			for (i = 0; i < v.filter; i++)
				row[i] += dy * w[i];
		}
		row_spread(&v, &at, row);
		if (at.y == v.a->out_h - 1 && at.x == v.a->out_w - 1)
			image_store(&v, at.n, at.group);
	}
	return 0;
}

int ref_conv_dw(const struct memory *m, const struct step *s)
{
	struct conv v = conv_of(m, s, s->in[0], s->out[0], s->in[1]);
	size_t numbers = v.filter * (size_t)v.a->out_c, i;
	struct place at = { .x = -1 };
	int k;

	memset(v.sum, 0, numbers * sizeof *v.sum);
	while (place_next(&v, &at)) {
		row_gather(&v, &at);
		for (k = 0; k < v.out_group; k++) {
			double *sum = v.sum + (filter(&v, &at, k) - v.w);
			double dy = *result(&v, &at, k);

			for (i = 0; i < v.filter; i++)
				sum[i] += dy * v.row[i];
		}
	}
	for (i = 0; i < numbers; i++)
		v.w[i] = (float)v.sum[i];
	return 0;
}

int ref_channel_sum(const struct memory *m, const struct step *s)
{
	struct view dy = view_of(m, s->in[0]);
	float *db = memory_at(m, s->out[0]);
	int n, c, y, x;

	for (c = 0; c < dy.v->c; c++) {
		double sum = 0;

		for (n = 0; n < dy.v->n; n++)
			for (y = 0; y < dy.v->h; y++)
				for (x = 0; x < dy.v->w; x++)
					sum += *view_pixel(&dy, view_plane(&dy, n, c), y, x);
		db[c] = (float)sum;
	}
	return 0;
}
