/* Records for people and for jq: a line of TSV, a line of JSON, what keys there are, how
 * many of which label and size. */
#ifndef DATA_SHOW_H
#define DATA_SHOW_H

#include "base/text.h"
#include "data/example.h"
#include "data/names.h"
#include "data/tfrecord.h"

#include <stddef.h>
#include <stdint.h>

struct jpeg;

/* Where a record lies. */
struct show_place {
	const char *shard;
	uint32_t number;        /* of the shard */
	uint64_t record, offset, size;  /* size: of the data */
};

/* "shard:record, offset, size, label, name, image": what is absent is "-"; tabs, line ends
 * and backslashes in names are \t, \n, \\, other control bytes \xNN. */
void show_tsv(struct text *, const struct show_place *, const struct example *, struct jpeg *);

/* An object: id, offset, size, features (lists; text as strings, images as format and
 * size, other bytes as their number). Floats that are no numbers are strings. */
void show_json(struct text *, const struct show_place *, const struct example *,
	       struct jpeg *);

struct show_key {
	enum example_kind kind;
	int mixed;              /* of several kinds */
	uint64_t records;
	size_t least, most;     /* values */
};

struct show_range {
	uint64_t n, least, most;
	double sum;
};

/* What was seen of many records. Zero-initialised is empty. */
struct show_sums {
	struct names key, label, format;
	struct show_key *of_key;
	uint64_t *of_label, *of_format;
	size_t key_room, label_room, format_room;
	struct show_range size, width, height;
};

/* Adds a record: 0 or -1 (no memory). */
int show_add(struct show_sums *, const struct show_place *, const struct example *,
	     struct jpeg *);

/* Lines "key, kind, records, values". */
void show_schema(struct text *, const struct show_sums *);
/* Lines of records, sizes, formats, labels. */
void show_stats(struct text *, const struct show_sums *);
void show_release(struct show_sums *);

#endif
