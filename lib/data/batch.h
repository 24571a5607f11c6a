/*
 * Loads of frames made into records of a batch stream: each frame checked, its Example
 * parsed, the samples put into columns image, label, id, name and, if wanted, boxes.
 */
#ifndef DATA_BATCH_H
#define DATA_BATCH_H

#include "data/feed.h"
#include "data/sample.h"
#include "data/stream.h"

struct batch_plan {
	int64_t label_base;     /* label = stored - label_base */
	uint32_t classes;       /* a label must be below; 0: not known */
	int boxes;              /* with the column boxes */
};

enum { BATCH_COLUMNS = 5 };

/* Zero-initialised is empty; to be used again and again. */
struct batch {
	struct example example;
	struct sample sample;
	struct frames image, name, box; /* the samples' bytes, one after the other */
	int32_t *label;
	int64_t *id;
	uint32_t *dim;                  /* three times room: image, name, boxes */
	size_t room;                    /* samples */
};

/* Only the frames' checksums: 0, or -1 naming shard, record, offset. */
int batch_check(const struct load *);

/* Checks and builds; view[] gets the columns, valid until the next build: 0 or -1. */
int batch_build(struct batch *, const struct batch_plan *, const struct load *,
		struct stream_view view[BATCH_COLUMNS]);

/* Fills in the header for a stream of such batches but for its provenance: columns, counts,
 * most bytes, and in the metadata seed, order, missing shards, class names. set: of the
 * feed; all zero for stdin. samples: those of the stream, or STREAM_UNKNOWN. 0 or -1. */
int batch_head(struct stream_head *, const struct batch_plan *, const struct feed_plan *,
	       const struct shards *set, uint64_t samples);

void batch_release(struct batch *);

#endif
