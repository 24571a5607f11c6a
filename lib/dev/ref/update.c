#include "dev/ref/steps.h"

int ref_update(const struct memory *m, const struct step *s)
{
	const struct update_attr *a = s->attr;
	const struct control *control = memory_control(m);
	double momentum = a->optimizer.momentum;
	size_t i;
	int k;

	if (control->skip || control->halt)
		return 0;
	for (k = 0; k < a->segments; k++) {
		const struct segment *seg = &a->segment[k];
		float *w = (float *)m->arena[ARENA_PARAM] + seg->at;
		const float *gradient = (float *)m->arena[ARENA_GRAD] + seg->at;
		float *slot = momentum != 0 ? (float *)m->arena[ARENA_STATE] + seg->at : NULL;
		double decay = seg->decays ? a->optimizer.decay : 0;

		for (i = 0; i < seg->numbers; i++) {
			double g = gradient[i] + decay * w[i], v = g;

			if (slot) {
				slot[i] = (float)(momentum * slot[i] + g);
				v = a->optimizer.nesterov ? g + momentum * slot[i] : slot[i];
			}
			w[i] = (float)(w[i] - control->lr * v);
		}
	}
	return 0;
}
