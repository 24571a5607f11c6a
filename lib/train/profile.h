/*
 * What the steps of a program take: each bracket is run and timed for itself, and what
 * it computes and moves is set against what the device can at most. The first run is
 * not counted where there are more: it meets memory that was never touched.
 */
#ifndef TRAIN_PROFILE_H
#define TRAIN_PROFILE_H

#include "base/text.h"
#include "dev/dev.h"

struct profile;

/* For runs of a program bound to a device; both must outlive the runs, not the table.
 * NULL: reason. */
struct profile *profile_open(const struct backend *, struct device *, struct program *);
void profile_close(struct profile *);   /* NULL: nothing */

/* Runs all steps of the program in order, waiting for each: 0 or -1. */
int profile_run(struct profile *);

/*
 * Two tables, longest first, no line longer than 100 columns: steps of one kind and
 * kernel together, and steps of one kind and layer. Times are of one run, calls too.
 *
 * GF/s: multiply-adds count as two, of convolutions and products alone, as many as the
 * definition has: kernels that need fewer (Winograd's) may stand above the limit.
 * GB/s: stored values read or written, each once a bracket; what a cache holds may
 * stand above the limit. limit: the longer of both at the device's best, as a share of
 * the time taken; empty where the device does not know its best.
 */
void profile_show(const struct profile *, struct text *);

#endif
