/* Convolutions by their sums. Linear layers are those whose window is all of the input. */
#include "dev/ref/steps.h"

/* One convolution with all that its loops need. */
struct conv {
	const struct conv_attr *a;
	struct view x, y;               /* or their gradients */
	float *w;                       /* [out_c][in_c / groups][k0][k1] */
	int in_group, out_group;        /* channels of a group */
	size_t filter;                  /* numbers of one output channel's window */
};

static struct conv conv_of(const struct memory *m, const struct step *s, int x, int w, int y)
{
	struct conv conv = { .a = s->attr, .x = view_of(m, x), .y = view_of(m, y) };

	conv.w = memory_at(m, w);
	conv.in_group = conv.a->in_c / conv.a->groups;
	conv.out_group = conv.a->out_c / conv.a->groups;
	conv.filter = (size_t)conv.in_group * (size_t)conv.a->window.k[0] *
		      (size_t)conv.a->window.k[1];
	return conv;
}

/* Where tap k of output place o lies in the input, along axis i; maybe outside. */
static int tap(const struct window *win, int i, int o, int k)
{
	return o * win->s[i] + k * win->dilation[i] - win->before[i];
}

/* One number of the output: the sum over the group's channels and the window. */
static double conv_sum(const struct conv *v, int n, int o, int oy, int ox)
{
	const struct window *win = &v->a->window;
	const float *w = v->w + (size_t)o * v->filter;
	int from = o / v->out_group * v->in_group;
	double sum = 0;
	int c, ky, kx;

	for (c = from; c < from + v->in_group; c++) {
		float *plane = view_plane(&v->x, n, c);

		for (ky = 0; ky < win->k[0]; ky++) {
			int y = tap(win, 0, oy, ky);

			for (kx = 0; kx < win->k[1]; kx++, w++) {
				int x = tap(win, 1, ox, kx);

				if (y >= 0 && y < v->a->in_h && x >= 0 && x < v->a->in_w)
					sum += (double)*w * *view_pixel(&v->x, plane, y, x);
			}
		}
	}
	return sum;
}

int ref_conv(const struct memory *m, const struct step *s)
{
	struct conv v = conv_of(m, s, s->in[0], s->in[1], s->out[0]);
	const float *bias = memory_at(m, s->in[2]);
	int n, o, y, x;

	for (n = 0; n < v.y.v->n; n++) {
		for (o = 0; o < v.a->out_c; o++) {
			float *plane = view_plane(&v.y, n, o);

			for (y = 0; y < v.a->out_h; y++)
				for (x = 0; x < v.a->out_w; x++)
					*view_pixel(&v.y, plane, y, x) =
						(float)(conv_sum(&v, n, o, y, x) + (bias ? bias[o] : 0));
		}
	}
	return 0;
}

/* The output place whose tap k falls on input place i, along an axis; -1: none. */
static int untap(const struct window *win, int axis, int i, int k, int out)
{
	int o = i + win->before[axis] - k * win->dilation[axis];

	if (o < 0 || o % win->s[axis] || o / win->s[axis] >= out)
		return -1;
	return o / win->s[axis];
}

/* One number of the input's gradient: over the outputs whose windows cover it. */
static double conv_dx_sum(const struct conv *v, int n, int c, int y, int x)
{
	const struct window *win = &v->a->window;
	int group = c / v->in_group, first = group * v->out_group;
	size_t area = (size_t)win->k[0] * (size_t)win->k[1];
	const float *filter = v->w + (size_t)first * v->filter + (size_t)(c % v->in_group) * area;
	double sum = 0;
	int ky, kx, o;

	for (ky = 0; ky < win->k[0]; ky++) {
		int oy = untap(win, 0, y, ky, v->a->out_h);

		for (kx = 0; oy >= 0 && kx < win->k[1]; kx++) {
			int ox = untap(win, 1, x, kx, v->a->out_w);
			const float *w = filter + (size_t)ky * (size_t)win->k[1] + (size_t)kx;

			for (o = first; ox >= 0 && o < first + v->out_group; o++, w += v->filter)
				sum += (double)*w *
				       *view_pixel(&v->y, view_plane(&v->y, n, o), oy, ox);
		}
	}
	return sum;
}

int ref_conv_dx(const struct memory *m, const struct step *s)
{
	struct conv v = conv_of(m, s, s->out[0], s->in[1], s->in[0]);
	int n, c, y, x;

	for (n = 0; n < v.x.v->n; n++) {
		for (c = 0; c < v.a->in_c; c++) {
			float *plane = view_plane(&v.x, n, c);

			for (y = 0; y < v.a->in_h; y++)
				for (x = 0; x < v.a->in_w; x++)
					*view_pixel(&v.x, plane, y, x) =
						(float)conv_dx_sum(&v, n, c, y, x);
		}
	}
	return 0;
}

/* One number of the filter's gradient: over samples and output places. */
static double conv_dw_sum(const struct conv *v, int o, int c, int ky, int kx)
{
	const struct window *win = &v->a->window;
	double sum = 0;
	int n, oy, ox;

	for (n = 0; n < v->x.v->n; n++) {
		float *in = view_plane(&v->x, n, c), *out = view_plane(&v->y, n, o);

		for (oy = 0; oy < v->a->out_h; oy++) {
			int y = tap(win, 0, oy, ky);

			for (ox = 0; y >= 0 && y < v->a->in_h && ox < v->a->out_w; ox++) {
				int x = tap(win, 1, ox, kx);

				if (x >= 0 && x < v->a->in_w)
					sum += (double)*view_pixel(&v->x, in, y, x) *
					       *view_pixel(&v->y, out, oy, ox);
			}
		}
	}
	return sum;
}

int ref_conv_dw(const struct memory *m, const struct step *s)
{
	struct conv v = conv_of(m, s, s->in[0], s->out[0], s->in[1]);
	const struct window *win = &v.a->window;
	float *w = v.w;
	int o, c, ky, kx;

	for (o = 0; o < v.a->out_c; o++) {
		int from = o / v.out_group * v.in_group;

		for (c = from; c < from + v.in_group; c++)
			for (ky = 0; ky < win->k[0]; ky++)
				for (kx = 0; kx < win->k[1]; kx++)
					*w++ = (float)conv_dw_sum(&v, o, c, ky, kx);
	}
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
