/*
 * One lane of the input: the samples of a batch stream, or of files read one after
 * another, in the order of their positions. One thread at a time uses a lane.
 */
#ifndef TRAIN_LANE_H
#define TRAIN_LANE_H

#include "data/stream.h"
#include "train/command.h"

#include <stdint.h>

struct sample {
	uint64_t position;
	const unsigned char *pixels;
	size_t bytes;
	int32_t label[2];               /* the same twice where there is only one */
	float share[2];
	int64_t id;                     /* -1: none */
	const char *name;               /* name_bytes of it; NULL: none */
	uint32_t name_bytes;
};

struct lane {
	/* set before lane_open() */
	const char *const *file;        /* or */
	const char *command;
	int files, part, parts;         /* part: of parts, which lane this is */
	uint64_t start;                 /* samples before it are dropped */
	int strict;                     /* starting beyond start is refused */
	/* after it */
	struct stream_head head;        /* of the first stream */
	int image, label, labels, shares, id, name;     /* columns; -1 */
	int status;                     /* after -1: the exit status that fits */
	uint64_t next;                  /* where the next sample stands, once begun */
	/* its own */
	struct command running;
	struct stream_reader *reader;
	struct stream_record record;
	struct stream_view view[STREAM_COLUMNS];
	char *text, title[64];          /* the command filled in; the stream's name */
	int at, fd, opened, begun;
	uint32_t used;                  /* samples of the record already taken */
	size_t name_at;                 /* bytes of names already taken */
	uint64_t shift;                 /* added to the positions of this file */
	struct sample sample;           /* looked at, not yet taken */
	int held;
};

/* Opens the first stream and reads its header: 0 or -1. */
int lane_open(struct lane *);

/* The next sample from start on: 1; 0 at the proper end, and next is where the sample
 * after the last would stand; -1. Valid until the next call. */
int lane_next(struct lane *, struct sample *);

/* Where the first sample will stand, or where the stream ended without one: 0 or -1. */
int lane_first(struct lane *, uint64_t *position);

/* "stdin", "FILE", "part 2": for messages. */
const char *lane_name(const struct lane *);

/* Closes what is open and ends the command. Nothing may read from the lane any more. */
void lane_close(struct lane *);

#endif
