/*
 * Reads records in order into loads: what one record of a batch stream will carry. A load
 * depends on the data and on where the reading began, on nothing else. Its frames are not
 * yet checked beyond their headers, so that threads can share that work.
 */
#ifndef DATA_FEED_H
#define DATA_FEED_H

#include "data/fetch.h"
#include "data/order.h"
#include "data/shards.h"
#include "data/tfrecord.h"

#include <stddef.h>
#include <stdint.h>

struct feed_plan {
	enum order_kind kind;
	uint64_t window, seed;
	uint64_t epochs;        /* 0: endless. stdin: 1 */
	uint64_t start;         /* position of the first sample; stdin: 0 */
	uint64_t part, parts;   /* only positions congruent to part modulo parts; parts >= 1 */
	uint64_t load_samples;  /* most samples of a load, >= 1 */
	uint64_t load_bytes;    /* a load ends when it holds so many bytes; 0: no such limit */
	uint64_t max;           /* longest record taken; 0: TFRECORD_MAX */
};

enum load_kind {
	LOAD_DATA = 1,
	LOAD_EPOCH,             /* a boundary of epochs stands at position */
	LOAD_END,               /* the next sample would stand at position */
};

/* Zero-initialised is empty; to be used again and again. */
struct load {
	enum load_kind kind;
	uint64_t position;      /* of the first sample */
	struct frames frames;
	struct fetched *item;
	size_t n, room;
};

void load_release(struct load *);

struct feed;

/* The shards are kept. NULL as shards: stdin, read once. NULL: reason. */
struct feed *feed_open(struct shards *, const struct feed_plan *);

/* Samples of an epoch; 0 if not known (stdin). */
uint64_t feed_epoch(const struct feed *);
/* Samples from start to end; UINT64_MAX: not known or endless. */
uint64_t feed_samples(const struct feed *);

/* The next load: 1; 0 after LOAD_END; -1 (feed_status() is 1 or 3). */
int feed_next(struct feed *, struct load *);

int feed_status(const struct feed *);
void feed_close(struct feed *);         /* NULL: nothing */

#endif
