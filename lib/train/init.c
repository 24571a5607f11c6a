#include "train/init.h"

#include "base/rng.h"

#include <math.h>

void init_param(const struct param *p, uint64_t seed, float *out)
{
	int64_t n = param_numbers(p);
	struct rng rng;
	double v;

	rng_init(&rng, seed, 0, p->name);
	for (int64_t i = 0; i < n; i++) {
		switch (p->init) {
		case INIT_NORMAL:
			v = p->spread * rng_normal(&rng);
			break;
		case INIT_TRUNC:
			do
				v = rng_normal(&rng);
			while (fabs(v) > 2);
			v *= p->spread;
			break;
		case INIT_UNIFORM:
			v = p->spread * (2 * rng_uniform(&rng) - 1);
			break;
		default:
			v = p->spread;
		}
		out[i] = (float)v;
	}
}
