/*
 * The processes of a run that mpirun or srun started together, on one machine or several:
 * ranks 0 .. ranks - 1, which all execute the same calls in the same order. NULL stands
 * for a process alone.
 *
 * A thread of its own tells rank 0 every second that this rank lives, and rank 0 tells all
 * others. Who is not heard of for so long as `patience` says is given up; then, and where a
 * rank fails, the world is broken for good: every call, of every rank, fails with the
 * reason, "rank 2 on HOST: ...".
 *
 * Acts give 0, or -1 with a reason.
 */
#ifndef DEV_WORLD_H
#define DEV_WORLD_H

#include <stddef.h>
#include <stdint.h>

struct world;

/* Who calls. Calls of one kind are in order; different kinds may be at work at once, from a
 * thread each. */
enum world_call { WORLD_MAIN, WORLD_TEAM, WORLD_REDUCE, WORLD_CALLS };

struct world_options {
	double patience;        /* seconds */
	int (*signal)(void);    /* a signal that asks this rank to stop; 0: none */
	void (*heard)(int);     /* another rank was asked to */
};

/* Whether the environment says that several processes were started together. Costs
 * nothing: the plug-in is opened by world_open() only. */
int world_wanted(void);

/* Opens the plug-in, starts. NULL: reason, with the remedy. */
struct world *world_open(const struct world_options *);

int world_rank(const struct world *);           /* NULL: 0 */
int world_ranks(const struct world *);          /* NULL: 1 */
/* This process among those on its machine; *of: how many these are. NULL: 0 of 1. */
int world_local(const struct world *, int *of);
/* "rank 1 on HOST"; valid as long as the world. */
const char *world_name(const struct world *, int rank);

/* Every rank's bytes, in rank order, to all: all has room for bytes x ranks. Copies. */
int world_gather(struct world *, enum world_call, const void *own, void *all, size_t bytes);
/* Rank 0's bytes to all; all know how many. Copies. */
int world_share(struct world *, void *, size_t bytes);
/*
 * x[0 .. devices - 1]: this rank's arrays. Number k of each becomes the sum of all ranks'
 * in the order x[0] of ranks 0, 1, ..., then x[1] of ranks 0, 1, ...: the same bytes
 * everywhere. Every rank sums its part, for all. After a failure the arrays must stay as
 * long as the process: messages may still arrive there.
 */
int world_sum(struct world *, enum world_call, float *const *x, int devices, size_t numbers);

/* 0; -1 where the world is broken. NULL: 0. */
int world_check(struct world *);
/* Breaks it, for the reason there is (fail_why()): all others get it. status: the exit
 * status that fits. NULL: nothing. */
void world_break(struct world *, int status);
/* The status that came with the break; 0: it is whole. */
int world_status(struct world *);

/*
 * The end, which all ranks come to. 0: they did (or the process is alone), and the world is
 * gone; -1: some are dead or stuck, and world_abandon() is what is left to do.
 */
int world_close(struct world *);
/* Ends all ranks of the run, this one too. */
void world_abandon(struct world *, int status);

#endif
