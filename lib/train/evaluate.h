/* Evaluation: every sample of an input through the evaluation program. */
#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

#include "train/input.h"
#include "train/machine.h"

struct score {
	int64_t samples;        /* all of them */
	int64_t bad;            /* those without a label: counted wrong, no loss */
	int64_t top1, top5;     /* right ones */
	double loss;            /* sum over the labelled ones */
};

/* Looks at the samples of a batch, before it is given back: 0 or -1. */
typedef int evaluate_look(void *context, const struct machine *, const struct batch *);

/* Adds all batches of a started input (with remainder) to the score. most: batches at
 * most; 0: all. look may be NULL. 0; -1, and *status fits (0: stop() was the cause). */
int evaluate_all(struct machine *, struct input *, int views, int64_t most,
		 struct score *, evaluate_look *, void *context, int *status);

/* The classes of a sample in falling order of probability, of equal ones the lower first:
 * n of them into best (n <= classes). */
void best_classes(const float *probability, int classes, int n, int *best);

/* How many classes come before the label: 0 is the best. */
int label_rank(const float *probability, int classes, int label);

#endif
