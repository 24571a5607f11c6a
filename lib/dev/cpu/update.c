#include "dev/cpu/cpu.h"

#include "base/fail.h"

#include <stdatomic.h>

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

struct finite {
	struct device *dev;
	const float *gradients;
	size_t numbers;
	atomic_int bad;
};

static void finite_piece(void *context, size_t i)
{
	struct finite *f = context;
	size_t from = i * NUMBERS, left = f->numbers - from;

	if (!f->dev->k->finite(f->gradients + from, left < NUMBERS ? left : NUMBERS))
		atomic_store(&f->bad, 1);
}

int cpu_finite(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *losses = value_at(m, s->in[0]);
	struct finite f = { .dev = dev, .gradients = (const float *)m->arena[ARENA_GRAD],
			    .numbers = m->program->arena[ARENA_GRAD] / sizeof(float) };
	int bad = !dev->k->finite(memory_at(m, s->in[0]), losses->bytes / sizeof(float));

	TRY(host_reduced(&dev->host));
	each(dev, (f.numbers + NUMBERS - 1) / NUMBERS, finite_piece, &f);
	bad = host_any(&dev->host, bad || atomic_load(&f.bad));
	TRY(bad);
	if (bad)
		memory_control(m)->halt = 1;
	return 0;
}
