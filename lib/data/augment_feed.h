/*
 * A recipe on a whole stream, or on image files: a thread reads and cuts records into
 * jobs, a pool of threads works on them, and the results come out in order. Everything
 * that went wrong comes in its place among them.
 */
#ifndef DATA_AUGMENT_FEED_H
#define DATA_AUGMENT_FEED_H

#include "data/augment.h"

struct augment_wish {           /* borrowed while the feed is open */
	const struct recipe *recipe;
	const char *text;       /* of the recipe, for the provenance */
	uint64_t seed;
	int seeded;             /* use seed; else the stream's, or 0 */
	int orient, each_step;
	int labels;             /* refuse a stream without labels */
	const char *mean, *deviation;   /* "127.5" or "1,2,3"; NULL: the stream's, or 127.5 */
	const char *const *file;        /* image files instead of a stream */
	int files;
};

enum augment_kind {
	AUGMENT_BEGIN = 1,      /* a segment: stream->out is its header */
	AUGMENT_DATA,           /* job is done */
	AUGMENT_EPOCH,
	AUGMENT_END,            /* of a segment */
	AUGMENT_FAILED,         /* why, with the exit status that fits (for die_input()) */
};

struct augment_event {
	enum augment_kind kind;
	struct augment *stream; /* that it is part of */
	struct augment_job job;
	uint64_t position;      /* AUGMENT_EPOCH, AUGMENT_END */
	int status;
	char *why;
};

struct augment_feed;

/* Starts threads. reader: the stream (borrowed), NULL where there are files. NULL: reason. */
struct augment_feed *augment_feed_open(const struct augment_wish *, struct stream_reader *reader,
				       int threads);

/* The next event, valid until the next call: 1; 0 at the end; -1 with a reason (no memory). */
int augment_feed_next(struct augment_feed *, struct augment_event **);

/* After the end, 0, was seen. NULL: nothing. */
void augment_feed_close(struct augment_feed *);

#endif
