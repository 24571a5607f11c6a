/* Looking at checkpoints: statistics of tensors, differences of two files. */
#ifndef TRAIN_INSPECT_H
#define TRAIN_INSPECT_H

#include "data/safetensors.h"

#include <stdint.h>

struct tensor_stats {
	uint64_t numbers, strange;      /* strange: not finite; left out of the rest */
	double mean, deviation, min, max;       /* NAN without finite numbers */
};

/* 0 or -1 (also: numbers of a type that has no value, as C64). */
int tensor_stats(const struct safetensors *, int i, struct tensor_stats *);

struct tensor_difference {
	uint64_t numbers, differ;       /* whose bits differ; NaNs of equal bits are equal */
	double most;                    /* the largest absolute difference; inf with a NaN */
};

/* Tensor i of a and k of b, of the same shape: 0 or -1. */
int tensor_difference(const struct safetensors *a, int i, const struct safetensors *b, int k,
		      struct tensor_difference *);

#endif
