/*
 * The shards of a data set as a program's operands name them: how many records each holds
 * (from the manifest, the index, or by going from header to header), their numbers, which
 * of -of-M are missing.
 */
#ifndef DATA_SHARDS_H
#define DATA_SHARDS_H

#include "data/index.h"
#include "data/manifest.h"
#include "data/order.h"
#include "data/source.h"

#include <stddef.h>
#include <stdint.h>

struct shard {
	char *path;
	uint32_t number;        /* of its -NNNNN-of-MMMMM name, or its place among the operands */
	uint64_t count, bytes;
	uint64_t longest;       /* longest record, overhead included; 0: not known */
	enum source_kind kind;
	int indexed, looked;    /* index holds; its file was looked for */
	struct index index;
};

struct shards {
	struct shard *shard;
	size_t n;
	struct manifest manifest;
	int has_manifest;
	uint64_t total;         /* records */
	uint64_t longest;       /* 0: not known */
	size_t missing;         /* shards of -of-M that are not there */
	uint64_t max;           /* longest record taken */
};

/*
 * Looks at the shards (no "-" among the paths). offsets: each record's place is wanted
 * (ORDER_ALL): compressed shards are refused then. max as in tfrecord_open(). 0 or -1 with
 * *status (1 or 3). Counting compressed shards without manifest or index inflates them;
 * *inflated says how many.
 */
int shards_open(struct shards *, char *const *paths, size_t n, int offsets, uint64_t max,
		size_t *inflated, int *status);

/* Numbers for shards by their names where all are of one -of-M, else by their places:
 * number[n]; *missing: those of -of-M that are not named. 0, or -1 (one named twice). */
int shards_number(char *const *paths, size_t n, uint32_t *number, size_t *missing);

/* Finds its bytes: 0, or -1 with *status (no regular file). */
int shard_stat(struct shard *, int *status);

/* Takes a shard's index in if there is one: 0, or -1 (it does not fit) with *status.
 * kind and bytes must be known. */
int shard_look(struct shard *, int *status);

/* 16 hexadecimal digits and a NUL that stand for an order: numbers and counts of the
 * shards in it, kind, window, seed. */
void shards_digest(const struct shards *, enum order_kind, uint64_t window, uint64_t seed,
		   char digest[17]);

void shards_release(struct shards *);

#endif
