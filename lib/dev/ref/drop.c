#include "dev/ref/steps.h"

enum { DRAWS = 256 };

int ref_dropout(const struct memory *m, const struct step *s)
{
	const struct dropout_attr *a = s->attr;
	struct view x = view_of(m, s->in[0]), y = view_of(m, s->out[0]);
	size_t numbers = (size_t)a->c * (size_t)a->h * (size_t)a->w, k;
	float scale = dropout_scale(a);
	unsigned char keep[DRAWS];
	int n, c, i, j;

	for (n = 0; n < y.v->n; n++) {
		k = 0;
		for (c = 0; c < a->c; c++)
			for (i = 0; i < a->h; i++)
				for (j = 0; j < a->w; j++, k++) {
					if (k % DRAWS == 0)
						dropout_draw(a, memory_control(m), n, k,
							     numbers - k < DRAWS ? numbers - k : DRAWS,
							     keep);
					*view_pixel(&y, view_plane(&y, n, c), i, j) = keep[k % DRAWS] ?
						*view_pixel(&x, view_plane(&x, n, c), i, j) * scale : 0;
				}
	}
	return 0;
}
