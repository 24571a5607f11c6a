/*
 * A training run: what net-train does, without the words. The input becomes batches,
 * all devices take each step together, a thread writes checkpoints, validation runs in
 * between. A run that goes on from a checkpoint continues bit for bit.
 */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "train/input.h"
#include "train/schedule.h"
#include "train/settings.h"

#include <stdint.h>

/* A moment of a run, for people. */
struct train_moment {
	int64_t step, steps;            /* steps: of the run; 0: not known */
	double epoch;                   /* NAN: the size is not known */
	double loss, top1, lr;          /* means since the line before */
	double rate, wait;              /* images a second; share of time waiting for input */
	uint64_t images;                /* since the program started */
};

struct train_validation { int64_t step, samples, bad; double epoch, loss, top1, top5; int best; };

/* What is told as it happens; all but context may be NULL. */
struct train_tell {
	void *context;
	void (*line)(void *context, const struct train_moment *);       /* every log_every */
	void (*step)(void *context, const struct train_moment *);       /* every step */
	void (*validation)(void *context, const struct train_validation *);
	void (*note)(void *context, const char *text);
	void (*profile)(void *context, const char *table);      /* at the end */
};

struct train {
	struct settings settings;       /* as the user gave them */
	const char *network;            /* NULL: the checkpoint's */
	const char *const *set;         /* "NAME=VALUE" */
	int sets;
	const char *folder;
	const char *init;               /* a file of weights to begin with; NULL */
	int resume, allow_change;
	int threads;                    /* of the devices; 0: their choice */
	struct world *world;            /* the processes of the run, which all call train_run();
					   NULL: this one alone */
	struct input_from input;        /* its lanes are those of all processes together;
					   start, strict and the like are set here */
	const char *val_command;        /* NULL: no validation */
	struct period val_every, save_every;
	int keep, log_every;
	int profile;                    /* time the steps of the program (train/profile.h) */
	const char *log;                /* a path, "-"; NULL: FOLDER/log.ndjson */
	struct train_tell tell;
};

/*
 * With a world, rank 0 alone writes checkpoints and the log, and reads the files of the run
 * for all. A reason for failure that is of one rank names it.
 *
 * Runs it. 0: *status is the exit status; *signal, if not 0, is the signal to die of
 * instead. -1: the reason, and *status is the exit status. Call signals_begin() before.
 */
int train_run(const struct train *, int *status, int *signal);

/* The position that a folder's last checkpoint stands at; 0 without one. 0 or -1. */
int train_position(const char *folder, uint64_t *position, int *status);

/* Means and deviations of pixels for a network: by the texts given, else by the stream's
 * metadata, else ImageNet's for three channels and 127.5 for others. 0 or -1. */
struct input_attr;
int train_normalise(struct input_attr *, const struct stream_head *, int channels,
		    const char *mean, const char *deviation);

#endif
