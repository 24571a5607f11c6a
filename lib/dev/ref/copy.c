/* Steps that move numbers: from pixels, between layouts, between channels. */
#include "dev/ref/steps.h"

int ref_input(const struct memory *m, const struct step *s)
{
	const struct input_attr *a = s->attr;
	const struct value *pixels = &m->program->value[s->in[0]];
	const uint8_t *from = memory_at(m, s->in[0]);
	struct view y = view_of(m, s->out[0]);
	int n, c, i, j;

	for (n = 0; n < y.v->n; n++)
		for (c = 0; c < y.v->c; c++)
			for (i = 0; i < y.v->h; i++)
				for (j = 0; j < y.v->w; j++)
					*view_pixel(&y, view_plane(&y, n, c), i, j) =
						((float)from[value_place(pixels, n, c, i, j)] -
						 a->mean[c]) / a->deviation[c];
	return 0;
}

/* The only step here whose operands may be short floats. */
int ref_copy(const struct memory *m, const struct step *s)
{
	const struct value *x = &m->program->value[s->in[0]], *y = &m->program->value[s->out[0]];
	const char *from = memory_at(m, s->in[0]);
	char *to = memory_at(m, s->out[0]);
	size_t x_size = dtype_bytes(x->lay.type), y_size = dtype_bytes(y->lay.type);
	int n, c, i, j;

	for (n = 0; n < y->n; n++)
		for (c = 0; c < y->c; c++)
			for (i = 0; i < y->h; i++)
				for (j = 0; j < y->w; j++)
					numbers_convert(to + value_place(y, n, c, i, j) * y_size,
							y->lay.type,
							from + value_place(x, n, c, i, j) * x_size,
							x->lay.type, 1);
	return 0;
}

/* Channels of x from x_c on to those of y from y_c on, count of them. */
static void copy_channels(const struct view *x, int x_c, const struct view *y, int y_c, int count)
{
	int n, c, i, j;

	for (n = 0; n < y->v->n; n++) {
		for (c = 0; c < count; c++) {
			float *from = view_plane(x, n, x_c + c), *to = view_plane(y, n, y_c + c);

			for (i = 0; i < y->v->h; i++)
				for (j = 0; j < y->v->w; j++)
					*view_pixel(y, to, i, j) = *view_pixel(x, from, i, j);
		}
	}
}

int ref_cat(const struct memory *m, const struct step *s)
{
	struct view y = view_of(m, s->out[0]);
	int k, c = 0;

	for (k = 0; k < s->ins; k++) {
		struct view x = view_of(m, s->in[k]);

		copy_channels(&x, 0, &y, c, x.v->c);
		c += x.v->c;
	}
	return 0;
}

int ref_pad(const struct memory *m, const struct step *s)
{
	const struct pad_attr *a = s->attr;
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);
	int n, c, i, j;

	for (n = 0; n < y.v->n; n++)
		for (c = 0; c < y.v->c; c++)
			for (i = 0; i < y.v->h; i++)
				for (j = 0; j < y.v->w; j++) {
					int xc = c - a->front, xi = i - a->top, xj = j - a->left;
					int inside = xc >= 0 && xc < x.v->c && xi >= 0 &&
						     xi < x.v->h && xj >= 0 && xj < x.v->w;

					*view_pixel(&y, view_plane(&y, n, c), i, j) = !inside ? 0 :
						*view_pixel(&x, view_plane(&x, n, xc), xi, xj);
				}
	return 0;
}

/* From place (r, k) of a matrix of `groups` rows to (k, r). */
int ref_shuffle(const struct memory *m, const struct step *s)
{
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);
	int groups = ((const struct shuffle_attr *)s->attr)->groups, across = x.v->c / groups;
	int r, k;

	for (r = 0; r < groups; r++)
		for (k = 0; k < across; k++)
			copy_channels(&x, r * across + k, &y, k * groups + r, 1);
	return 0;
}

int ref_slice(const struct memory *m, const struct step *s)
{
	const struct slice_attr *a = s->attr;
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);

	copy_channels(&x, a->from, &y, 0, a->to - a->from);
	return 0;
}
