/*
 * What net-eval tells besides the scores: a line for each sample, logits as NPY, counts
 * by class. Samples come in the order of the stream.
 */
#ifndef TRAIN_REPORT_H
#define TRAIN_REPORT_H

#include "train/evaluate.h"

#include <jansson.h>
#include <stdio.h>

struct report {
	int classes;
	const json_t *names;    /* of the classes: a list, or NULL */
	FILE *predict;          /* NULL: not wanted */
	int ndjson;             /* its form: NDJSON instead of TSV */
	FILE *logits;           /* NULL: not wanted */
	int64_t samples;        /* written to logits */
	int64_t *confusion;     /* classes x classes: [label][best]; NULL: not wanted */
};

/* An evaluate_look: context is the struct report. */
int report_batch(void *context, const struct machine *, const struct batch *);

/* The heading of TSV; nothing for NDJSON. */
void report_begin(struct report *);

/* NPY (version 1.0, "<f4", samples x classes): room for the header, written when the count
 * is known. The file must allow seeking. 0 or -1. */
int report_logits_begin(struct report *);
int report_logits_end(struct report *);

/* Tables of the counts, tab separated: class, name, samples, right, share; the matrix. */
void report_per_class(const struct report *, FILE *);
void report_confusion(const struct report *, FILE *);

/* The name of a class, or its number in buf. */
const char *report_class(const struct report *, int class, char buf[16]);

#endif
