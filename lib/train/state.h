/*
 * The numbers of a run in host memory: parameters and the optimizer's slots, in one
 * buffer; to and from checkpoints. A checkpoint is a safetensors file with the
 * parameters under the network's names, then "opt.momentum.NAME" for each parameter
 * that has a slot: checkpoint(5).
 */
#ifndef TRAIN_STATE_H
#define TRAIN_STATE_H

#include "data/safetensors.h"
#include "net/graph.h"

#include <jansson.h>
#include <stdint.h>

struct state {
	const struct graph *graph;
	int tensors;            /* graph->params, then the slots */
	struct tensor *tensor;
	float **data;           /* of each tensor */
	int *slot;              /* of each parameter: its slot's tensor, or -1 */
	float *memory;
	char *names;
};

/* Takes the memory, zeroed; slots: 1 if parameters with a gradient have one. The graph
 * is kept. 0 or -1. */
int state_make(struct state *, const struct graph *, int slots);
void state_release(struct state *);

/* Draws all parameters (init.h); slots are set to zero. */
void state_init(struct state *, uint64_t seed);

enum {
	STATE_SLOTS = 1,        /* read slots too: they must be there */
	STATE_NO_AUX = 2,       /* parameters of auxiliary heads may be missing */
};

/* Reads the parameters from a file, of any floating type. Missing tensors, tensors of
 * another shape and tensors of no use are one failure that lists them; opt.*, ema.* and
 * *.num_batches_tracked are never too many. Numbers that are not finite fail. 0 or -1;
 * *status as safetensors_open(). */
int state_read(struct state *, const struct safetensors *, int flags, int *status);

/* Writes a checkpoint whole or not at all; meta: an object of texts. 0 or -1. */
int state_write(const struct state *, const char *path, const json_t *meta);

#endif
