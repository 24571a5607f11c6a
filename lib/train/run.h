/* The inside of a run, shared by train.c, loop.c, meta.c, ranks.c and validate.c. */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H

#include "train/evaluate.h"
#include "train/folder.h"
#include "train/machine.h"
#include "train/network.h"
#include "train/runlog.h"
#include "train/saver.h"
#include "train/train.h"

#include <jansson.h>

struct run {
	const struct train *t;
	struct settings set;            /* resolved */
	struct folder folder;
	struct runlog log;
	struct safetensors *from;       /* the checkpoint it goes on from; NULL: none */
	struct network network;
	struct input *input;
	struct machine machine;
	struct state state;
	struct saver *saver;
	struct schedule schedule;
	struct input_attr normalise;
	json_t *options;                /* of the checkpoint; NULL */
	json_t *fixed;                  /* members of the metadata that stay as they are */
	json_t *changes;                /* what was changed on the way, by step */
	json_t *changed;                /* what this start changes: names */
	uint64_t epoch_size, position;
	int64_t step, steps;            /* steps: of the run; INT64_MAX: not known */
	double best;                    /* top-1 of the best validation; < 0: none */
	int64_t best_step;
	int64_t saved;                  /* step of the last checkpoint begun; -1 */
	int same_devices;               /* as the checkpoint's */
	int save_failed, val_failed;
	int status;                     /* the exit status that fits a failure */
	double labelled;                /* of the step's samples, of all ranks; at least 1 */
	int left;                       /* at the end of the input: samples of no full batch */
};

/* ---- meta.c ---- */

/* The metadata of a checkpoint now: an object of texts. NULL: out of memory. */
json_t *run_meta(const struct run *);
/* Sets fixed, normalisation included, from the first stream or the old checkpoint, and
 * adds what differs between them to changed. 0 or -1. */
int run_fix_meta(struct run *);
/* Takes step, position, changes and best from the checkpoint. 0 or -1. */
int run_take_meta(struct run *);
/* The device part of the control block, from the checkpoint. 0 or -1. */
int run_take_control(const struct run *, struct control *);
/* Refuses changes that were not allowed: 0 or -1; else keeps them in changes. */
int run_judge_changes(struct run *);
/* A member of a checkpoint that is JSON; NULL if absent or broken. */
json_t *meta_json(const struct safetensors *, const char *key);

/* The stages of a provenance that make pixels, a new list: all but the order's. */
json_t *meta_recipe(const json_t *provenance);

/* ---- ranks.c: what the processes of a run agree on; one alone agrees with itself ---- */

/* Refuses what several processes cannot do: 0 or -1. */
int run_check_ranks(struct run *);
/* A file that rank 0 opens, for all. NULL: reason, and status fits. */
struct safetensors *run_open_shared(struct run *, const char *path);
/* Refuses ranks that were told, or would read, something else than rank 0: 0 or -1. */
int run_compare_ranks(struct run *);
/* The least of all ranks' positions, to all: 0 or -1. */
int run_first_position(struct run *, uint64_t *);
/*
 * The next batch, if all ranks have theirs and none was asked to stop: 1, and labelled is
 * set; 0 at the proper end, and left is set; -1: *signal is what stops all, else 0 and the
 * reason and status of the first rank that failed.
 */
int run_take(struct run *, struct batch **, int *signal);
/* Sums of all ranks. */
struct tally { double loss; int64_t right, labelled, images; };
int run_add_tallies(struct run *, struct tally *);
/* e: what this rank's part of validation gave, *status fits. The same for all: 0 and the
 * sums of the scores; -1 with the first reason. */
int run_add_scores(struct run *, int e, struct score *, int *status);

/* ---- validate.c ---- */

/* Runs one batch of the validation command, before training: 0 or -1. */
int run_probe_validation(struct run *);
/* Validates, keeps the best checkpoint, logs; a failure is told, and kept in val_failed. */
void run_validate(struct run *);

/* ---- loop.c ---- */

/* Begins writing a checkpoint of now, if there is none; wait: until it is written. */
void run_save(struct run *, int wait);
/* Steps until the end: as train_run(). */
int run_loop(struct run *, int *signal);

/* ---- train.c ---- */

void run_note(struct run *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Writes a line of the log and takes it. */
void run_log(struct run *, json_t *line);
double run_epoch(const struct run *);           /* NAN: size not known */
json_t *json_finite(double);                    /* null where it is not */
double run_now(void);                           /* seconds, steady */

#endif
