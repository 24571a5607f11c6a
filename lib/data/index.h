/*
 * The index of a shard: a text of lines "offset size", one a record, the offset of its
 * header in uncompressed bytes and its size with the 16 bytes around the data (the form of
 * DALI's and other tools' index files). It lies in the folder idx/ beside the shard as
 * NAME.idx, so that no glob that finds the shards finds it.
 */
#ifndef DATA_INDEX_H
#define DATA_INDEX_H

#include "base/text.h"

#include <stddef.h>
#include <stdint.h>

/* Records of a shard, one behind the other: record i lies at offset[i] .. offset[i + 1]. */
struct index {
	uint64_t *offset;       /* count + 1 */
	uint64_t count;
};

/* DIR/idx/NAME.idx of the shard DIR/NAME; the caller frees it. NULL: no memory. */
char *index_path(const char *shard);

/* Reads a shard's index: 1; 0 if there is none; -1 (unreadable; not the lines above, or
 * records that do not lie one behind the other from 0 on). *status: 1 or 3. */
int index_read(struct index *, const char *shard, int *status);

/* Makes it by reading the shard's headers: 0 or -1. max as in tfrecord_open(). */
int index_scan(struct index *, const char *shard, uint64_t max, int *status);

/* Adds a record behind the last: 0 or -1. */
int index_add(struct index *, uint64_t size);

/* Writes the index of a shard whole or not at all (and the folder): 0 or -1. */
int index_write(const struct index *, const char *shard);

/* Whether it fits a plain shard of so many bytes: 0; -1 with the remedy. */
int index_fits(const struct index *, const char *shard, uint64_t bytes);

/* The longest record with its overhead; 0 if there is none. */
uint64_t index_longest(const struct index *);
void index_release(struct index *);

#endif
