/* A batch stream in words: a summary of the whole, a line of JSON for each sample. */
#ifndef DATA_DESCRIBE_H
#define DATA_DESCRIBE_H

#include "base/text.h"
#include "data/stream.h"
#include "data/walk.h"

/* Names of the classes in a stream's metadata. */
struct class_names {
	char **name;
	int count;              /* 0: not known */
};

/* Reads them: 0 or -1. */
int class_names_read(struct class_names *, const struct stream_head *);
const char *class_names_get(const struct class_names *, int32_t label);         /* NULL: none */
void class_names_release(struct class_names *);

/* "u8 [224,224,3]"; varying dimensions are '*'. */
void describe_column(const struct stream_column *, struct text *);

/* The present sample as one line of JSON without its end: position, id as "17:203",
 * numbers of small columns, dimensions of large ones. */
void describe_sample(const struct walk *, const struct class_names *, struct text *);

/* What a whole stream holds. Zero-initialised is empty. */
struct tally {
	uint64_t samples, records, epochs, segments, bytes, bad;
	uint64_t first, end;    /* positions */
	uint64_t *label;        /* how often each came */
	int32_t labels;
	uint32_t low[3], high[3];       /* height, width, bytes of images that vary */
};

/* Counts a record: 0 or -1. */
int tally_record(struct tally *, const struct stream_reader *, const struct stream_record *);

/* The summary, a line each: columns, samples, epochs, labels, metadata. */
void tally_text(const struct tally *, const struct stream_head *, const struct class_names *,
		struct text *);
void tally_release(struct tally *);

#endif
