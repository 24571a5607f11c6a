/*
 * TFRecord framing: length (u64), masked CRC-32C of the length, data, masked CRC-32C of
 * the data; no header, no end mark. Reads what source.h reads (files, stdin; plain, gzip,
 * zlib) and writes plain. Every byte read is checked.
 *
 * A reason names the shard, the record (from 0), the uncompressed byte offset of its
 * header, the cause, and what the file is where it is no TFRecord file at all.
 */
#ifndef DATA_TFRECORD_H
#define DATA_TFRECORD_H

#include "data/source.h"

#include <stddef.h>
#include <stdint.h>

enum { TFRECORD_HEAD = 12, TFRECORD_FOOT = 4, TFRECORD_OVER = 16 };

/* Longest record taken unless the caller says another length. */
#define TFRECORD_MAX ((uint64_t)256 << 20)

/* Bytes that grow as they arrive. Zero-initialised is empty; free data. */
struct frames {
	unsigned char *data;
	size_t size, room;
};

/* Room for more bytes behind size: 0 or -1 (no memory). */
int frames_reserve(struct frames *, size_t more);
void frames_release(struct frames *);

struct tfrecord {
	uint64_t number;        /* in its shard, from 0 */
	uint64_t offset;        /* of its header, uncompressed */
	uint64_t size;          /* of the data */
	const unsigned char *data;      /* valid until the next call; NULL from tfrecord_skip() */
};

struct tfrecord_reader;

/* max: longest record taken, 0 for TFRECORD_MAX. *status: exit status that fits a
 * failure. NULL: reason. */
struct tfrecord_reader *tfrecord_open(const char *path, uint64_t max, int *status);

/* The next record, both checksums good: 1; 0 at the end; -1. */
int tfrecord_read(struct tfrecord_reader *, struct tfrecord *);

/* The next record's place and size (its header is checked), passing over its data, which
 * a plain file need not read: 1; 0 at the end; -1. */
int tfrecord_skip(struct tfrecord_reader *, struct tfrecord *);

/* The next whole frame, appended to frames; only its header is checked, the rest by
 * tfrecord_check(), which another thread may call. 1, 0, -1 (frames keeps its size). */
int tfrecord_load(struct tfrecord_reader *, struct tfrecord *, struct frames *);

/* Takes the frame at offset that an index says is size bytes with its overhead, unchecked,
 * appended to frames: 0 or -1. Plain files: one read. */
int tfrecord_load_at(struct tfrecord_reader *, uint64_t number, uint64_t offset,
		     uint64_t size, struct frames *);

/* Goes to a record whose offset is known: 0 or -1. */
int tfrecord_seek(struct tfrecord_reader *, uint64_t number, uint64_t offset);

/* The record that the next call reads. */
uint64_t tfrecord_number(const struct tfrecord_reader *);
enum source_kind tfrecord_kind(const struct tfrecord_reader *);
/* Uncompressed offset reached. */
uint64_t tfrecord_offset(const struct tfrecord_reader *);

/* Exit status that fits the last failure: 1 or 3. */
int tfrecord_status(const struct tfrecord_reader *);
void tfrecord_close(struct tfrecord_reader *);  /* NULL: nothing */

/* Checks a whole frame in memory; name, number and offset stand in the reason: 0 or -1. */
int tfrecord_check(const unsigned char *frame, size_t n, const char *name, uint64_t number,
		   uint64_t offset);

/* Puts size data bytes, framed, behind what frames holds: 0 or -1. */
int tfrecord_frame(struct frames *, const void *data, size_t size);

/* What begins with these bytes and is no TFRecord file: words with the remedy where one
 * is known ("an HTML page: the download failed"), or NULL. */
const char *tfrecord_mistaken(const unsigned char *, size_t n);

#endif
