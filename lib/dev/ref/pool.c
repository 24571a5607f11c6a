/* Pools. A window may hang over the image and its padding: outside is nothing. */
#include "dev/ref/steps.h"

#include <assert.h>
#include <math.h>

static int tap(const struct window *win, int axis, int o, int k)
{
	return o * win->s[axis] + k * win->dilation[axis] - win->before[axis];
}

/* Which of a window's numbers won. */
static int place_get(const struct memory *m, int value, int n, int c, int y, int x)
{
	const struct value *v = &m->program->value[value];
	size_t at = value_place(v, n, c, y, x);

	return v->lay.type == DTYPE_I32 ? ((const int32_t *)memory_at(m, value))[at]
					: ((const uint8_t *)memory_at(m, value))[at];
}

static void place_set(const struct memory *m, int value, int n, int c, int y, int x, int place)
{
	const struct value *v = &m->program->value[value];
	size_t at = value_place(v, n, c, y, x);

	if (v->lay.type == DTYPE_I32)
		((int32_t *)memory_at(m, value))[at] = place;
	else
		((uint8_t *)memory_at(m, value))[at] = (uint8_t)place;
}

/* The largest of a window, the first of equals; NaN is larger than all. *place: which,
 * counted along the window's rows. */
static float window_max(const struct pool_attr *a, const struct view *x, float *plane,
			int oy, int ox, int *place)
{
	const struct window *win = &a->window;
	float best = 0;
	int ky, kx;

	*place = -1;
	for (ky = 0; ky < win->k[0]; ky++) {
		for (kx = 0; kx < win->k[1]; kx++) {
			int y = tap(win, 0, oy, ky), i = tap(win, 1, ox, kx);
			float number;

			if (y < 0 || y >= a->in_h || i < 0 || i >= a->in_w)
				continue;
			number = *view_pixel(x, plane, y, i);
			if (*place < 0 || number > best || (isnan(number) && !isnan(best))) {
				best = number;
				*place = ky * win->k[1] + kx;
			}
		}
	}
	assert(*place >= 0);    /* the shape rule leaves no window without a pixel */
	return best;
}

int ref_maxpool(const struct memory *m, const struct step *s)
{
	const struct pool_attr *a = s->attr;
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);
	int places = s->outs > 1 ? s->out[1] : -1;
	int n, c, i, j, place;

	for (n = 0; n < x.v->n; n++) {
		for (c = 0; c < x.v->c; c++) {
			float *from = view_plane(&x, n, c), *to = view_plane(&y, n, c);

			for (i = 0; i < a->out_h; i++)
				for (j = 0; j < a->out_w; j++) {
					*view_pixel(&y, to, i, j) =
						window_max(a, &x, from, i, j, &place);
					if (places >= 0)
						place_set(m, places, n, c, i, j, place);
				}
		}
	}
	return 0;
}

/* The output places whose windows may cover an input place: from .. to - 1. */
static void covering(const struct window *win, int axis, int i, int out, int *from, int *to)
{
	int span = (win->k[axis] - 1) * win->dilation[axis], at = i + win->before[axis];

	*from = at > span ? (at - span + win->s[axis] - 1) / win->s[axis] : 0;
	*to = at / win->s[axis] + 1;
	if (*to > out)
		*to = out;
}

/* Sum of dy over the windows that input place y, x won. */
static double max_dx_sum(const struct memory *m, const struct step *s, const struct view *dy,
			 int n, int c, int y, int x)
{
	const struct pool_attr *a = s->attr;
	const struct window *win = &a->window;
	float *plane = view_plane(dy, n, c);
	int i, j, from_i, to_i, from_j, to_j;
	double sum = 0;

	covering(win, 0, y, a->out_h, &from_i, &to_i);
	covering(win, 1, x, a->out_w, &from_j, &to_j);
	for (i = from_i; i < to_i; i++)
		for (j = from_j; j < to_j; j++) {
			int place = place_get(m, s->in[1], n, c, i, j);

			if (tap(win, 0, i, place / win->k[1]) == y &&
			    tap(win, 1, j, place % win->k[1]) == x)
				sum += *view_pixel(dy, plane, i, j);
		}
	return sum;
}

int ref_maxpool_dx(const struct memory *m, const struct step *s)
{
	const struct pool_attr *a = s->attr;
	struct view dy = view_of(m, s->in[0]), dx = view_of(m, s->out[0]);
	int n, c, y, x;

	for (n = 0; n < dx.v->n; n++)
		for (c = 0; c < dx.v->c; c++)
			for (y = 0; y < a->in_h; y++)
				for (x = 0; x < a->in_w; x++)
					*view_pixel(&dx, view_plane(&dx, n, c), y, x) =
						(float)max_dx_sum(m, s, &dy, n, c, y, x);
	return 0;
}

/* Taps of output place o that fall between low and high - 1, along an axis. */
static int taps_within(const struct window *win, int axis, int o, int low, int high)
{
	int k, count = 0;

	for (k = 0; k < win->k[axis]; k++)
		count += tap(win, axis, o, k) >= low && tap(win, axis, o, k) < high;
	return count;
}

/* What a window's sum is divided by: its pixels, with those of the padding if they
 * count; never those that hang over the padding. */
static double window_count(const struct pool_attr *a, int oy, int ox)
{
	const struct window *win = &a->window;
	int y, x;

	if (a->count_pad) {
		y = taps_within(win, 0, oy, -win->before[0], a->in_h + win->after[0]);
		x = taps_within(win, 1, ox, -win->before[1], a->in_w + win->after[1]);
	} else {
		y = taps_within(win, 0, oy, 0, a->in_h);
		x = taps_within(win, 1, ox, 0, a->in_w);
	}
	assert(y > 0 && x > 0);
	return (double)y * x;
}

static double window_sum(const struct pool_attr *a, const struct view *v, float *plane,
			 int oy, int ox)
{
	const struct window *win = &a->window;
	double sum = 0;
	int ky, kx;

	for (ky = 0; ky < win->k[0]; ky++)
		for (kx = 0; kx < win->k[1]; kx++) {
			int y = tap(win, 0, oy, ky), x = tap(win, 1, ox, kx);

			if (y >= 0 && y < a->in_h && x >= 0 && x < a->in_w)
				sum += *view_pixel(v, plane, y, x);
		}
	return sum;
}

int ref_avgpool(const struct memory *m, const struct step *s)
{
	const struct pool_attr *a = s->attr;
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);
	int n, c, i, j;

	for (n = 0; n < x.v->n; n++) {
		for (c = 0; c < x.v->c; c++) {
			float *from = view_plane(&x, n, c), *to = view_plane(&y, n, c);

			for (i = 0; i < a->out_h; i++)
				for (j = 0; j < a->out_w; j++)
					*view_pixel(&y, to, i, j) =
						(float)(window_sum(a, &x, from, i, j) /
							window_count(a, i, j));
		}
	}
	return 0;
}

/* Sum over the windows that cover input place y, x of dy / count. */
static double avg_dx_sum(const struct pool_attr *a, const struct view *dy, float *plane,
			 int y, int x)
{
	const struct window *win = &a->window;
	int i, j, from_i, to_i, from_j, to_j;
	double sum = 0;

	covering(win, 0, y, a->out_h, &from_i, &to_i);
	covering(win, 1, x, a->out_w, &from_j, &to_j);
	for (i = from_i; i < to_i; i++)
		for (j = from_j; j < to_j; j++)
			if (taps_within(win, 0, i, y, y + 1) && taps_within(win, 1, j, x, x + 1))
				sum += *view_pixel(dy, plane, i, j) / window_count(a, i, j);
	return sum;
}

int ref_avgpool_dx(const struct memory *m, const struct step *s)
{
	const struct pool_attr *a = s->attr;
	struct view dy = view_of(m, s->in[0]), dx = view_of(m, s->out[0]);
	int n, c, y, x;

	for (n = 0; n < dx.v->n; n++) {
		for (c = 0; c < dx.v->c; c++) {
			float *from = view_plane(&dy, n, c), *to = view_plane(&dx, n, c);

			for (y = 0; y < a->in_h; y++)
				for (x = 0; x < a->in_w; x++)
					*view_pixel(&dx, to, y, x) =
						(float)avg_dx_sum(a, &dy, from, y, x);
		}
	}
	return 0;
}
