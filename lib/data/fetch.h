/*
 * Single records of a set of shards, wherever they lie: readers are kept open where the
 * reading goes on, and the index is used where there is one.
 */
#ifndef DATA_FETCH_H
#define DATA_FETCH_H

#include "data/order.h"
#include "data/shards.h"
#include "data/tfrecord.h"

#include <stddef.h>
#include <stdint.h>

struct fetched {
	const char *name;       /* of the shard, for reasons; valid as long as the shards */
	uint32_t number;        /* of the shard */
	uint64_t record, offset;
	size_t at, size;        /* its frame in frames.data */
};

struct fetcher;

/* Keeps the shards. anywhere: records are asked for in no order, and all shards have an
 * index. NULL: reason. */
struct fetcher *fetcher_open(struct shards *, int anywhere);

/* A record's frame behind what frames holds; its header only is checked, with anywhere
 * nothing. After a shard's last record nothing may follow in it. 0, or -1 with
 * fetcher_status() 1 or 3. */
int fetch(struct fetcher *, struct order_place, struct frames *, struct fetched *);

int fetcher_status(const struct fetcher *);
void fetcher_close(struct fetcher *);   /* NULL: nothing */

#endif
