/* Parameters before the first step. */
#ifndef TRAIN_INIT_H
#define TRAIN_INIT_H

#include "net/graph.h"

#include <stdint.h>

/*
 * Fills out (param_numbers() floats, in the parameter's own order) from its initial
 * distribution. Number k is drawn from the generator of (seed, 0, the parameter's name):
 * neither other parameters, devices nor threads change it. Drawn in double, rounded once.
 *   normal: deviation spread; trunc: the same, drawn again while beyond two deviations;
 *   uniform: -spread .. spread; constant: spread.
 */
void init_param(const struct param *, uint64_t seed, float *out);

#endif
