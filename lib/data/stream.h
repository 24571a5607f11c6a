/*
 * The batch stream, version 1: batchstream(5). A header with named columns, then
 * records DATA, EPOC, END, ERR, each with checksums and the position of its samples,
 * so that a broken pipeline never looks like a finished one.
 *
 * Position: epoch x epoch size + place in the epoch. The samples of a record stand at
 * position, + parts, + 2 parts, ... The next record starts where the one before ended.
 */
#ifndef DATA_STREAM_H
#define DATA_STREAM_H

#include "base/dtype.h"

#include <stddef.h>
#include <stdint.h>

#define STREAM_VARIES 0xffffffffu       /* a dimension that differs from sample to sample */
#define STREAM_UNKNOWN UINT64_MAX       /* samples in the stream: not known */
enum { STREAM_COLUMNS = 16, STREAM_RANK = 4, STREAM_NAME = 24, STREAM_HEAD_MAX = 1 << 20 };
#define STREAM_RECORD_MAX ((uint64_t)2 << 30)   /* payload bytes; more is refused */

struct stream_column {
	char name[STREAM_NAME + 1];
	enum dtype type;
	int rank;
	uint32_t dim[STREAM_RANK];      /* of one sample */
};

struct stream_head {
	uint64_t samples;       /* in the stream; STREAM_UNKNOWN */
	uint64_t epoch;         /* samples of the whole data set in an epoch; 0: not known */
	uint64_t payload_max;   /* most payload bytes of a record */
	uint32_t record_max;    /* most samples of a record */
	uint32_t classes;       /* 0: not known */
	uint32_t parts;         /* 1, or N where the stream is one of N dealt parts */
	int columns;            /* 0: a program upstream failed before it knew them */
	struct stream_column column[STREAM_COLUMNS];
	char *meta;             /* JSON object, NUL terminated; NULL means "{}" */
};

/* A column's index, or -1 (no reason left: the caller knows what it wanted). */
int stream_find(const struct stream_head *, const char *name);
/* Numbers in one sample of a column without varying dimensions (0 if any varies). */
size_t stream_numbers(const struct stream_column *);
/* Payload bytes of a record of so many samples, padding included, where no column
 * varies; 0 if one does, or if that is more than STREAM_RECORD_MAX. */
uint64_t stream_fixed_bytes(const struct stream_head *, uint32_t samples);
/* Deep copy; the copy is released with stream_head_release(). 0 or -1. */
int stream_head_copy(struct stream_head *to, const struct stream_head *from);
void stream_head_release(struct stream_head *);

/* ---- reading ---- */

struct stream_reader;

/* The status of a failure whose reason came as an ERR record: 4 to exit(), which keeps
 * the low 8 bits, and told from an input that ended early (4) by die_input(). */
enum { STREAM_TOLD = 256 + 4 };

enum stream_kind {
	STREAM_DATA = 1,
	STREAM_EPOCH,           /* the boundary between two epochs stands at position */
	STREAM_SEGMENT,         /* END: position is where the next sample would stand. If the
				   input goes on, the next read begins another header with the
				   same columns (cat a b); counts go on as batchstream(5) says */
};

struct stream_record {
	enum stream_kind kind;
	uint32_t samples;
	uint64_t position;      /* of the first sample */
	uint64_t bytes;
	unsigned char *payload; /* valid until the next read */
};

/* One column of a DATA record. It points into record.payload. */
struct stream_view {
	const unsigned char *data;      /* the samples' numbers, one sample after the other */
	const uint32_t *dims;           /* samples x varying dimensions, or NULL if none varies */
	size_t bytes;                   /* of data */
};

/* Reads the header. The descriptor is borrowed until close. name stands in messages
 * ("stdin"). NULL: reason; *status is the exit status that fits (1, 3, 4 or
 * STREAM_TOLD), for die_input(). */
struct stream_reader *stream_open(int fd, const char *name, int *status);

/* The header of the present segment; valid until a read begins another one, which is
 * the read after STREAM_SEGMENT. */
const struct stream_head *stream_head(const struct stream_reader *);

/* The next record, checked (checksums, order of positions, sizes): 1; 0 at the proper
 * end of the input; -1 with a reason. An ERR record is a failure too: its text is the
 * reason, and stream_status() is STREAM_TOLD. */
int stream_read(struct stream_reader *, struct stream_record *);

/* After -1: the exit status that fits: 1 (checksum, order), 3 (read error), 4 (ended
 * early), STREAM_TOLD (error from upstream). For die_input(). */
int stream_status(const struct stream_reader *);

/* A column of a DATA record of this reader. */
void stream_view(const struct stream_reader *, const struct stream_record *, int column,
		 struct stream_view *);

/* Bytes of payload read so far; for messages and progress. */
uint64_t stream_bytes(const struct stream_reader *);
void stream_close(struct stream_reader *);      /* NULL: nothing */

/* ---- writing ---- */

struct stream_writer;

/* Nothing is written before stream_begin(). The descriptor is borrowed. A pipe is set
 * to 1 MiB. NULL: reason. */
struct stream_writer *stream_writer_open(int fd, const char *name);

/* Writes the header: 0 or -1. May be called again after stream_end() for another
 * segment. payload_max and record_max must be set (record_max samples never exceed
 * payload_max bytes: the writer checks each record against both). */
int stream_begin(struct stream_writer *, const struct stream_head *);

/* One DATA record; column: a view for each column of the header. Waits where another
 * thread is writing. */
int stream_write(struct stream_writer *, uint64_t position, uint32_t samples,
		 const struct stream_view *column);

int stream_epoch(struct stream_writer *, uint64_t position);
int stream_end(struct stream_writer *, uint64_t position);

/* Payload bytes that stream_write() would write, padding included; 0 and a reason
 * where the views do not fit the columns or it is more than STREAM_RECORD_MAX. */
uint64_t stream_record_bytes(const struct stream_head *, uint32_t samples,
			     const struct stream_view *column);

/* Sends why as ERR (after a header without columns if none was written): 0 or -1. To a
 * terminal, after an ERR and after a failed write nothing is sent. */
int stream_error(struct stream_writer *, const char *why);

/* Takes the struct; flushes nothing (there is nothing held back). */
void stream_writer_close(struct stream_writer *);

/* ---- metadata ---- */

/*
 * The metadata is a JSON object: "provenance" (a list of {"program", "version",
 * "arguments": [..]}: what changed the bytes, no threads, dates, hosts, paths),
 * "seed", "order" (the digest of the order of samples), "classes" (names, if known),
 * "mean", "deviation" (per channel, of pixels 0..255, to normalise with), "jpeg" (the
 * decoder's version).
 */

/* Adds a stage to "provenance", last: 0 or -1. arguments ends with NULL. */
int stream_add_stage(struct stream_head *, const char *program, const char *const *arguments);

/* A member of the metadata as text (strings without quotes, others as JSON); the
 * caller frees it. NULL without a reason if absent; with one if the JSON is broken. */
char *stream_meta(const struct stream_head *, const char *key);

/* Sets a member; json is any JSON value. 0 or -1. */
int stream_set_meta(struct stream_head *, const char *key, const char *json);

#endif
