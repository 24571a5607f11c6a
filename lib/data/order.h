/*
 * The order of a data set's samples: a pure function of (seed, epoch), from the counts of
 * records of its shards alone. Nothing is read and nothing remembered, so any place of it
 * can be asked for.
 *
 * ORDER_FILE    shard after shard, record after record.
 * ORDER_ALL     a permutation of the whole epoch.
 * ORDER_WINDOW  the shards are permuted; the first 16 are open; each in turn gives its next
 *               record; one that is used up is replaced by the next shard, or its place
 *               closes. This sequence is cut into windows, each of them permuted.
 *
 * Position = epoch x epoch size + place in the epoch, as in batchstream(5).
 */
#ifndef DATA_ORDER_H
#define DATA_ORDER_H

#include <stddef.h>
#include <stdint.h>

enum order_kind { ORDER_FILE, ORDER_ALL, ORDER_WINDOW };
enum { ORDER_OPEN = 16 };       /* shards interleaved by ORDER_WINDOW */

struct order_place {
	uint32_t shard;         /* index in the counts */
	uint64_t record;        /* from 0 */
};

struct order;

/* window: records in a window (ORDER_WINDOW only, >= 1). counts is copied; their sum must
 * be > 0. NULL: reason. */
struct order *order_open(enum order_kind, uint64_t window, uint64_t seed,
			 const uint64_t *counts, size_t shards);

/* Samples of an epoch. */
uint64_t order_epoch(const struct order *);

/* Where the sample of a position lies. In ORDER_WINDOW cheap within a window, O(window)
 * for the window after it, O(shards + window) elsewhere. 0 or -1 (no memory). */
int order_at(struct order *, uint64_t position, struct order_place *);

/* A window in the order in which it is best read. */
struct order_window {
	uint64_t position;      /* of its first sample */
	size_t n;
	const struct order_place *read; /* n places; valid until the next call */
	const uint32_t *rank;   /* read[i] is the sample at position + rank[i] */
};

/* The window that holds a position (ORDER_WINDOW only): 0 or -1 (no memory). */
int order_window(struct order *, uint64_t position, struct order_window *);

/* rank[0 .. n): the permutation of the window whose first sample stands at position. */
void order_shuffle(uint64_t seed, uint64_t position, uint32_t *rank, size_t n);

void order_free(struct order *);        /* NULL: nothing */

#endif
