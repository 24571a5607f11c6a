/*
 * The learning rate as a function of the step, and what comes round every so many
 * epochs or steps. Both count in steps; epochs are turned into steps by the samples of
 * an epoch over the samples of a step, which need not divide.
 */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include <stdint.h>

enum { SCHEDULE_DROPS = 64 };

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_COSINE, SCHEDULE_LINEAR };

/*
 * With t = (step - warmup) / (total - warmup), in 0 .. 1:
 *
 *   constant   lr
 *   step       lr x factor^k, k the drops at or before step; not below final
 *   cosine     final + (lr - final) (1 + cos(pi t)) / 2     (Loshchilov, Hutter 2017)
 *   linear     lr + (final - lr) t
 *
 * While step < warmup: from + (lr - from) step / warmup. Drops are counted from the
 * start of training, warm-up included.
 */
struct schedule {
	enum schedule_kind kind;
	double lr, final;
	double warmup, from;            /* warmup in steps, need not be whole */
	double total;                   /* steps of all training: cosine, linear */
	double factor;
	double every;                   /* steps between drops; 0: the list */
	int drops;
	double drop[SCHEDULE_DROPS];    /* steps, ascending */
};

/* "constant", "step", "cosine", "linear": 0, or -1. */
int schedule_kind(const char *word, enum schedule_kind *);

/* Reads "30" (a drop every 30 epochs) or "30,60,80" (drops there); steps_per_epoch > 0.
 * 0 or -1. */
int schedule_drops(struct schedule *, const char *list, double steps_per_epoch);

/* The same double for the same step on every machine (base/real.h). */
double schedule_lr(const struct schedule *, int64_t step);

/* ---- what comes round ---- */

/* "2" or "0.5" epochs, "500s" or "500steps" steps; "0" never. */
struct period { double epochs; int64_t steps; };

/* 0 or -1; the reason names the text. */
int period_read(struct period *, const char *text);

/* 1 where the period ends with the step that brought the count of steps to step and the
 * position from before to after; epoch 0 (its size not known): epochs never end. */
int period_due(const struct period *, int64_t step, uint64_t before, uint64_t after,
	       uint64_t epoch);

#endif
