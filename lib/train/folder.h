/*
 * The folder of a run:
 *
 *   00000500.safetensors   the checkpoint after 500 steps; the newest few are kept
 *   last.safetensors       the newest one: a second name of the same file
 *   best.safetensors       the one that validation liked best: likewise
 *   log.ndjson
 *
 * Every name appears by rename of a whole, synced file, so a run that is killed leaves
 * the old or the new one. Where a file cannot have two names it is copied. Temporary
 * files of a killed run (".NAME.PID.tmp") are removed when the next one opens the folder.
 * One run at a time: the folder is locked.
 */
#ifndef TRAIN_FOLDER_H
#define TRAIN_FOLDER_H

#include "train/state.h"

#include <stdint.h>

struct folder {
	char *path;
	int lock;
	int keep;               /* checkpoints of steps that stay; 0: only last and best */
};

/* Makes the folder where it is missing and locks it: 0 or -1 (also: another run is
 * there). */
int folder_open(struct folder *, const char *path, int keep);
void folder_close(struct folder *);

/* "PATH/NAME"; the caller frees it. NULL: out of memory. */
char *folder_name(const char *path, const char *name);

/* 1 if there is a last checkpoint, 0 if not, -1. */
int folder_has_run(const char *path);

/* Writes the checkpoint of a step, makes it the last one, drops the oldest ones. 0 or
 * -1; then what was last still is. */
int folder_save(struct folder *, const struct state *, const json_t *meta, int64_t step);

/* Makes the last checkpoint the best one too: 0 or -1. */
int folder_best(struct folder *);

/* Steps of the checkpoints there, ascending; the caller frees the list. *n: how many.
 * NULL: reason. */
int64_t *folder_steps(const char *path, int *n);

/* "PATH/00000500.safetensors"; the caller frees it. */
char *folder_step_name(const char *path, int64_t step);

#endif
