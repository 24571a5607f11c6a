/*
 * Writes a data set: shards PREFIX-00000-of-00008 of Examples with ImageNet's keys, an
 * index for each, and last the manifest PREFIX.json. The bytes depend on the images, their
 * order, seed and number of shards only.
 */
#ifndef DATA_PACK_H
#define DATA_PACK_H

#include "data/boxes.h"
#include "data/inputs.h"

#include <stddef.h>
#include <stdint.h>

struct pack_plan {
	const char *prefix;
	uint32_t shards;
	int shuffle;
	uint64_t seed;
	int threads;
	int64_t label_base;
	const struct boxes *boxes;      /* NULL: none */
	int force;                      /* replace what is there */
	/* Called now and then with the images written so far. */
	void (*tick)(void *context, uint64_t done);
	void *context;
};

/* Shards that can be written side by side from an archive that is read as it comes. */
enum { PACK_SIDE_BY_SIDE = 48 };

/* Packs images that were found and settled; image i of the order goes to shard
 * i x shards / n. On failure the shards written so far are taken back. 0, or -1 with
 * *status (1 or 3). *written: images. */
int pack_inputs(struct inputs *, const struct pack_plan *, uint64_t *written, int *status);

/* Packs an archive as it comes; image i goes to shard i modulo shards. */
int pack_stream(struct inputs *, struct tar *, const char *under, const struct pack_plan *,
		uint64_t *written, int *status);

/* ---- one record ---- */

struct jpeg;

struct record_parts {
	const char *class_name, *class_text;    /* text: may be NULL */
	const char *name;
	int64_t label;                          /* as stored */
	const struct box_line *box;
	size_t boxes;
	int with_boxes;                         /* the keys of boxes, also where there are none */
};

/* The Example of an encoded image of n bytes; gives the bytes as example_pack(). NULL:
 * no image that this toolkit decodes. */
unsigned char *record_make(const struct record_parts *, struct jpeg *, const void *image,
			   size_t n, size_t *size);

#endif
