/*
 * Gradients that come from several readers, or belong to shared parameters: kept as
 * parts until all are there. For backward.c; private to lib/net.
 */
#ifndef NET_GRADIENT_H
#define NET_GRADIENT_H

#include "net/program_build.h"

/* `part` is (a part of) the gradient of v. */
void contribute(struct build *, int v, int part);

/* The step's result is a part of the gradient of v: as v in shape and, to begin with,
 * layout. */
void gives(struct build *, int step, int v);

/* The gradient of v, all parts together; -1: there is none. */
int gradient_of(struct build *, int v);

/* Where a step writes a master's gradient (-1: nowhere): in place, or a part if it is
 * shared. The value, for param_done(). */
int param_result(struct build *, int step, int master);

/* After the step: sums the parts of a shared parameter's gradient when all are there. */
void param_done(struct build *, int master, int value);

#endif
