/*
 * What reading and writing a batch stream share: the bytes of headers and records,
 * where the parts of a payload lie, and which position may follow which. Private to
 * stream*.c.
 */
#ifndef DATA_STREAM_WIRE_H
#define DATA_STREAM_WIRE_H

#include "data/stream.h"

enum {
	WIRE_HEAD = 64,         /* bytes of the fixed part of a header */
	WIRE_COLUMN = 64,
	WIRE_RECORD = 64,
	WIRE_ALIGN = 64,        /* parts of a payload begin at multiples of this */
	WIRE_ERR_MAX = 64 << 10,
	WIRE_VERSION = 1,
};

#define WIRE_POSITION_MAX ((uint64_t)1 << 62)

extern const unsigned char wire_magic[8];

/* Zeros to pad with. */
extern const unsigned char wire_zeros[WIRE_ALIGN];

/* ---- headers ---- */

/* Looks at the first 64 bytes: gives the bytes of the whole header, 0: refused. */
size_t wire_head_size(const unsigned char *);

/* Reads a whole header of n bytes that wire_head_size() gave. The head is released with
 * stream_head_release() whatever the result: 0 or -1. */
int wire_head_read(struct stream_head *, const unsigned char *, size_t n);

/* The bytes of a header; *n how many; the caller frees them. NULL: the head cannot be
 * written as it is. */
unsigned char *wire_head_make(const struct stream_head *, size_t *n);

/* The metadata is a JSON object, or NULL: 0 or -1. */
int wire_meta_check(const char *meta);

/* ---- records ---- */

enum wire_kind { WIRE_DATA = 1, WIRE_EPOC, WIRE_END, WIRE_ERR };

struct wire_record {
	enum wire_kind kind;
	uint32_t samples, crc;
	uint64_t bytes, position;
};

/* 0, or -1: checksum, kind or a field that must be zero. */
int wire_record_read(struct wire_record *, const unsigned char *);
void wire_record_make(const struct wire_record *, unsigned char *);

/* ---- payloads ---- */

/* Where a column lies in a payload. */
struct wire_place {
	size_t dims, data;      /* offsets; dims has no meaning where nothing varies */
	size_t bytes;           /* of data, without padding */
};

/* Dimensions of the column that vary. */
int wire_varying(const struct stream_column *);

/* Bytes of the numbers of `samples` samples; dims has wire_varying() entries a sample.
 * 0 or -1. */
int wire_data_bytes(const struct stream_column *, uint32_t samples, const uint32_t *dims,
		    size_t *bytes);

/* Finds the columns in a payload and looks that it has exactly their bytes, with zeros
 * between: 0 or -1. */
int wire_places(const struct stream_head *, uint32_t samples, const unsigned char *payload,
		size_t bytes, struct wire_place *place);

/* ---- order ---- */

/* Where the next sample may stand: low .. high, which are the same once a sample was
 * seen. boundary: the end of the epoch that the next sample is in, once that is known. */
struct wire_order {
	uint64_t epoch, low, high, boundary, samples, total;
	uint32_t parts;
	int any;                /* a record came */
};

void wire_order_begin(struct wire_order *, const struct stream_head *);
int wire_order_data(struct wire_order *, uint64_t position, uint32_t samples);
int wire_order_epoch(struct wire_order *, uint64_t position);
int wire_order_end(struct wire_order *, uint64_t position);

#endif
