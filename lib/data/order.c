#include "data/order.h"

#include "base/fail.h"
#include "base/rng.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A shard being read in the interleaved sequence. */
struct slot {
	uint32_t shard;
	uint64_t next, left;
};

/* The interleaved sequence of one epoch, and the place reached in it. */
struct weave {
	uint64_t epoch, place;
	size_t taken;           /* shards of the permuted list begun or passed over */
	struct slot slot[ORDER_OPEN];
	int open, turn;
};

struct order {
	enum order_kind kind;
	uint64_t window, seed, total;
	size_t shards;
	uint64_t *before;       /* shards + 1: records before each shard */
	struct weave weave;
	int weaving;            /* the weave stands somewhere */
	uint64_t first;         /* position of the window in read, rank */
	size_t n;               /* 0: none */
	size_t room;
	struct order_place *read;
	uint32_t *rank, *at;    /* at: inverse of rank */
};

struct order *order_open(enum order_kind kind, uint64_t window, uint64_t seed,
			 const uint64_t *counts, size_t shards)
{
	struct order *o = calloc(1, sizeof *o);
	size_t i;

	assert(kind != ORDER_WINDOW || window > 0);
	if (!o || !(o->before = calloc(shards + 1, sizeof *o->before))) {
		free(o);
		fail("no memory for the order of %zu shards", shards);
		return NULL;
	}
	o->kind = kind;
	o->window = window;
	o->seed = seed;
	o->shards = shards;
	for (i = 0; i < shards; i++)
		o->before[i + 1] = o->before[i] + counts[i];
	o->total = o->before[shards];
	assert(o->total);
	return o;
}

void order_free(struct order *o)
{
	if (!o)
		return;
	free(o->before);
	free(o->read);
	free(o->rank);
	free(o->at);
	free(o);
}

uint64_t order_epoch(const struct order *o)
{
	return o->total;
}

/* The record at a place of the file order. */
static struct order_place locate(const struct order *o, uint64_t place)
{
	struct order_place p;
	size_t low = 0, high = o->shards - 1;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (o->before[mid + 1] > place)
			high = mid;
		else
			low = mid + 1;
	}
	p.shard = (uint32_t)low;
	p.record = place - o->before[low];
	return p;
}

/* The next shard of the epoch's permuted list that holds records into a slot: 1, or 0
 * where the list is used up. */
static int weave_open(const struct order *o, struct weave *w, struct slot *slot)
{
	while (w->taken < o->shards) {
		uint64_t s = rng_permute(w->taken++, o->shards, o->seed, w->epoch, "shards");

		slot->shard = (uint32_t)s;
		slot->next = 0;
		slot->left = o->before[s + 1] - o->before[s];
		if (slot->left)
			return 1;
	}
	return 0;
}

static void weave_begin(const struct order *o, struct weave *w, uint64_t epoch)
{
	memset(w, 0, sizeof *w);
	w->epoch = epoch;
	while (w->open < ORDER_OPEN && weave_open(o, w, &w->slot[w->open]))
		w->open++;
}

static struct order_place weave_next(const struct order *o, struct weave *w)
{
	struct slot *slot = &w->slot[w->turn];
	struct order_place p = { slot->shard, slot->next };

	w->place++;
	slot->next++;
	if (--slot->left || weave_open(o, w, slot)) {
		w->turn++;
	} else {
		w->open--;
		memmove(slot, slot + 1, (size_t)(w->open - w->turn) * sizeof *slot);
	}
	if (w->turn == w->open)
		w->turn = 0;
	return p;
}

/* Goes to a place of the epoch by whole rounds, so that the cost is of the shards, not of
 * the records. */
static void weave_seek(const struct order *o, struct weave *w, uint64_t place)
{
	while (w->place < place) {
		uint64_t rounds = (place - w->place) / (uint64_t)w->open;
		int i;

		for (i = 0; i < w->open; i++)
			if (rounds > w->slot[i].left - 1)
				rounds = w->slot[i].left - 1;
		if (w->turn || !rounds) {
			weave_next(o, w);
			continue;
		}
		for (i = 0; i < w->open; i++) {
			w->slot[i].next += rounds;
			w->slot[i].left -= rounds;
		}
		w->place += rounds * (uint64_t)w->open;
	}
}

void order_shuffle(uint64_t seed, uint64_t position, uint32_t *rank, size_t n)
{
	struct rng rng;
	size_t i;

	rng_init(&rng, seed, position, "window");
	for (i = 0; i < n; i++)
		rank[i] = (uint32_t)i;
	for (i = n; i > 1; i--) {
		size_t j = (size_t)rng_below(&rng, i);
		uint32_t swap = rank[i - 1];

		rank[i - 1] = rank[j];
		rank[j] = swap;
	}
}

static int window_room(struct order *o, size_t n)
{
	if (n <= o->room)
		return 0;
	free(o->read);
	free(o->rank);
	free(o->at);
	o->read = calloc(n, sizeof *o->read);
	o->rank = calloc(n, sizeof *o->rank);
	o->at = calloc(n, sizeof *o->at);
	o->room = o->read && o->rank && o->at ? n : 0;
	return o->room ? 0 : fail("no memory for a window of %zu samples", n);
}

static int window_load(struct order *o, uint64_t position)
{
	uint64_t epoch = position / o->total, place = position % o->total, begin, n;
	size_t i;

	if (o->n && position >= o->first && position - o->first < o->n)
		return 0;
	begin = place / o->window * o->window;
	n = o->total - begin < o->window ? o->total - begin : o->window;
	o->n = 0;
	if (n > UINT32_MAX)
		return fail("a window of %llu samples is too large", (unsigned long long)n);
	TRY(window_room(o, (size_t)n));
	if (!o->weaving || o->weave.epoch != epoch || o->weave.place > begin)
		weave_begin(o, &o->weave, epoch);
	o->weaving = 1;
	weave_seek(o, &o->weave, begin);
	for (i = 0; i < n; i++)
		o->read[i] = weave_next(o, &o->weave);
	o->first = position - (place - begin);
	order_shuffle(o->seed, o->first, o->rank, (size_t)n);
	for (i = 0; i < n; i++)
		o->at[o->rank[i]] = (uint32_t)i;
	o->n = (size_t)n;
	return 0;
}

int order_window(struct order *o, uint64_t position, struct order_window *w)
{
	assert(o->kind == ORDER_WINDOW);
	TRY(window_load(o, position));
	w->position = o->first;
	w->n = o->n;
	w->read = o->read;
	w->rank = o->rank;
	return 0;
}

int order_at(struct order *o, uint64_t position, struct order_place *p)
{
	uint64_t epoch = position / o->total, place = position % o->total;

	switch (o->kind) {
	case ORDER_FILE:
		*p = locate(o, place);
		return 0;
	case ORDER_ALL:
		*p = locate(o, rng_permute(place, o->total, o->seed, epoch, "shuffle"));
		return 0;
	case ORDER_WINDOW:
		TRY(window_load(o, position));
		*p = o->read[o->at[position - o->first]];
		return 0;
	}
	return fail("no such order");
}
