#include "dev/ref/steps.h"

enum { DRAWS = 256 };

/* One sample, its numbers in C, H, W order. */
static void drop_sample(const struct memory *m, const struct dropout_attr *a, int n,
			const struct view *x, const struct view *y)
{
	size_t numbers = (size_t)a->c * (size_t)a->h * (size_t)a->w, k = 0;
	float scale = dropout_scale(a, memory_control(m));
	unsigned char keep[DRAWS];
	int c, i, j;

	if (a->whole) {
		dropout_draw(a, memory_control(m), n, 0, 1, keep);
		memset(keep + 1, keep[0], DRAWS - 1);
	}
	for (c = 0; c < a->c; c++) {
		float *from = view_plane(x, n, c), *to = view_plane(y, n, c);

		for (i = 0; i < a->h; i++)
			for (j = 0; j < a->w; j++, k++) {
				size_t left = numbers - k;

				if (k % DRAWS == 0 && !a->whole)
					dropout_draw(a, memory_control(m), n, k,
						     left < DRAWS ? left : DRAWS, keep);
				*view_pixel(y, to, i, j) = !keep[k % DRAWS] ? 0 :
					*view_pixel(x, from, i, j) * scale;
			}
	}
}

int ref_dropout(const struct memory *m, const struct step *s)
{
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);
	int n;

	for (n = 0; n < y.v->n; n++)
		drop_sample(m, s->attr, n, &x, &y);
	return 0;
}
