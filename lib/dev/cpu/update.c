#include "dev/cpu/cpu.h"

enum { NUMBERS = 1 << 15 };     /* of a piece */

struct update {
	struct device *dev;
	struct update_pass pass;
	size_t numbers;
};

static void update_piece(void *context, size_t i)
{
	const struct update *f = context;
	size_t from = i * NUMBERS;

	f->dev->k->update(&f->pass, from,
			  f->numbers - from < NUMBERS ? f->numbers : from + NUMBERS);
}

int cpu_update(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct update_attr *a = s->attr;
	const struct control *control = memory_control(m);
	int k;

	if (control->skip || control->halt)
		return 0;
	for (k = 0; k < a->segments; k++) {
		const struct segment *seg = &a->segment[k];
		struct update f = { .dev = dev, .numbers = seg->numbers };

		f.pass.lr = (float)control->lr;
		f.pass.momentum = (float)a->optimizer.momentum;
		f.pass.nesterov = a->optimizer.nesterov;
		f.pass.decay = seg->decays ? (float)a->optimizer.decay : 0;
		f.pass.w = (float *)m->arena[ARENA_PARAM] + seg->at;
		f.pass.g = (const float *)m->arena[ARENA_GRAD] + seg->at;
		if (a->optimizer.momentum != 0)
			f.pass.v = (float *)m->arena[ARENA_STATE] + seg->at;
		each(dev, (seg->numbers + NUMBERS - 1) / NUMBERS, update_piece, &f);
	}
	return 0;
}
