/*
 * Sums over the processes of a world beside computing, for the devices of this one: each
 * device brings its arrays in the same order and goes on; a thread adds them up, one after
 * the other, as world_sum() does. Private to lib/dev.
 */
#ifndef DEV_REDUCER_H
#define DEV_REDUCER_H

#include <stddef.h>

struct reducer;
struct world;

/* Keeps the world. NULL: reason. */
struct reducer *reducer_open(struct world *, int devices);

/* A device's next array, which it does not touch until reducer_join(). 0 or -1. */
int reducer_begin(struct reducer *, int device, float *, size_t numbers);

/* Waits until all that the device has brought is added up: 0 or -1. NULL: 0. */
int reducer_join(struct reducer *, int device);

/* Ends all waiting, for this reason. NULL: nothing. */
void reducer_break(struct reducer *, const char *why);

/* Nothing may be begun and not joined, unless it is broken. NULL: nothing. */
void reducer_close(struct reducer *);

#endif
