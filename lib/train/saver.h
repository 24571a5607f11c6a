/* Writes checkpoints in a thread of its own, from one buffer, while training goes on. */
#ifndef TRAIN_SAVER_H
#define TRAIN_SAVER_H

#include "train/folder.h"

struct saver;

/* Keeps the folder and the state. NULL: reason. */
struct saver *saver_open(struct folder *, const struct state *);

/* Starts writing the state, which must not change until the saver is idle; takes meta.
 * The saver must be idle (assert). */
void saver_begin(struct saver *, json_t *meta, int64_t step);

/* 1: nothing is being written. */
int saver_idle(struct saver *);

/* Waits until it is idle. 1: a checkpoint was written since the last call, *step; 0: none
 * was begun; -1: it could not be written, with the reason. */
int saver_wait(struct saver *, int64_t *step);

/* Waits and ends. NULL: nothing. */
void saver_close(struct saver *);

#endif
