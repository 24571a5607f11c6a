#include "dev/cuda/cuda.h"

/* What base/rng.h mixes of a step's name, before the seed comes to it: the seed is
 * known only on the device. */
static uint64_t name_mix(const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3u;
	h ^= h >> 30;
	h *= 0xbf58476d1ce4e5b9u;
	h ^= h >> 27;
	h *= 0x94d049bb133111ebu;
	return h ^ h >> 31;
}

int cuda_dropout(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct dropout_attr *a = s->attr;
	struct drop d = { name_mix(a->name), a->p, a->ramp, a->h, a->w, a->whole };

	dropout_start(dev->stream, span_of(value_of(m, s->in[0])), memory_at(m, s->in[0]),
		      memory_at(m, s->out[0]), m->arena[ARENA_CONTROL], d);
	return 0;
}
