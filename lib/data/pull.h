/*
 * A feed's loads, read ahead by one thread and checked and built by others, given in
 * order. What was read before a failure is given before the failure is.
 */
#ifndef DATA_PULL_H
#define DATA_PULL_H

#include "data/batch.h"
#include "data/feed.h"

struct pull;

struct pulled {
	const struct load *load;
	const struct stream_view *view; /* of LOAD_DATA where batches are built */
};

/* Keeps the feed and reads its first load. NULL: reason (no memory); what is wrong with
 * the first load is told by the first pull_next(). */
struct pull *pull_open(struct feed *);

/* The first load, its frames not yet checked; NULL if it could not be read. Before
 * pull_begin() only. */
const struct load *pull_first(const struct pull *);

/* Starts the threads. build: how batches are made, kept; NULL: frames are only checked.
 * 0 or -1. */
int pull_begin(struct pull *, const struct batch_plan *build);

/* The next load, valid until the next call: 1; 0 after LOAD_END; -1 (pull_status() is 1
 * or 3). */
int pull_next(struct pull *, struct pulled *);

int pull_status(const struct pull *);

/* After pull_next() gave 0, or before pull_begin(). NULL: nothing. */
void pull_close(struct pull *);

#endif
