/* The inside of a machine: machine.c, and machine_meet.c where it is one of several. */
#ifndef TRAIN_MACHINE_OWN_H
#define TRAIN_MACHINE_OWN_H

#include "train/machine.h"

/* Threads for each of count devices, which share the machine's cores with the other
 * processes on it; 0: where the backend is left to choose. threads: of all of this process,
 * 0: not said. */
int machine_threads(int threads, int count, const struct world *);

/* Once the devices are open: every process must have brought as many, of the same kind.
 * Sets devices and about. 0 or -1. */
int machine_meet(struct machine *);

#endif
