/*
 * The log of a run: NDJSON, one object a line, the first member "event": begin, step,
 * val, checkpoint, note, end. Written by net-train, read by log-plot and ckpt-avg.
 */
#ifndef TRAIN_RUNLOG_H
#define TRAIN_RUNLOG_H

#include <jansson.h>
#include <stdint.h>

struct runlog {
	int fd;                 /* -1: none */
	char *name;             /* for messages */
	int failed;             /* a line could not be written; told once */
};

/* Appends to a file ("-": stdout); a last line that a killed run left unfinished is ended
 * first. NULL path: no log. 0 or -1. */
int runlog_open(struct runlog *, const char *path);
/* Writes a line, and takes the object (NULL: out of memory): 0, or -1 the first time that
 * fails. Nothing is written after that. */
int runlog_write(struct runlog *, json_t *line);
/* 0, or -1 where closing tells of a failed write. */
int runlog_close(struct runlog *);

/* ---- reading ---- */

/* A point of a curve; NAN where the line did not say. */
struct runlog_point {
	int64_t step;
	double epoch, loss, top1, top5, lr;
};

struct runlog_curve { struct runlog_point *point; int points; };

struct runlog_run {
	char *network;                  /* "" if the log does not say */
	struct runlog_curve train, val;
	int bad;                        /* lines that are not JSON, skipped */
};

/* Reads a log, or RUN/log.ndjson where path is a folder. A "begin" of a resumed run takes
 * back the lines of later steps. 0 or -1. */
int runlog_read(struct runlog_run *, const char *path);
void runlog_release(struct runlog_run *);

/* A metric of a point by name: "loss", "top1", "top5", "lr"; NAN: no such one. */
double runlog_metric(const struct runlog_point *, const char *name);

/* 1 if it is the name of a metric. */
int runlog_is_metric(const char *name);

#endif
