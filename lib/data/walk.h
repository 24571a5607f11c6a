/* The samples of a DATA record, one after the other. */
#ifndef DATA_WALK_H
#define DATA_WALK_H

#include "data/stream.h"

struct walk {
	const struct stream_head *head;         /* kept */
	struct stream_view view[STREAM_COLUMNS];
	uint32_t left;
	uint64_t position;                      /* of the present sample */
	/* of the present sample, by column: its numbers, its dimensions */
	const unsigned char *data[STREAM_COLUMNS];
	size_t bytes[STREAM_COLUMNS];
	uint32_t dim[STREAM_COLUMNS][STREAM_RANK];
	int begun;
};

/* Stands before the first sample. The record's payload is kept. */
void walk_begin(struct walk *, const struct stream_reader *, const struct stream_record *);

/* Steps to the next sample: 1, or 0 after the last. */
int walk_next(struct walk *);

/* An i32 of the present sample's column. */
int32_t walk_i32(const struct walk *, int column, int index);

#endif
