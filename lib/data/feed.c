#include "data/feed.h"

#include "base/fail.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A window in memory: its frames by rank, as far as they were read. */
struct hold {
	uint64_t position;
	size_t n, done;                 /* done: of read */
	struct order_place *read;
	uint32_t *rank;
	struct frames *frame;           /* by rank */
	struct fetched *item;
};

struct feed {
	struct shards *set;             /* NULL: stdin */
	struct feed_plan plan;
	struct order *order;
	uint64_t epoch, next, end, boundary, samples;
	int ended, status;
	struct fetcher *fetcher;
	struct hold hold[2];            /* the window given out, the one being read */
	struct tfrecord_reader *stdin_reader;
	int stdin_ended;
};

void load_release(struct load *l)
{
	frames_release(&l->frames);
	free(l->item);
	memset(l, 0, sizeof *l);
}

static void hold_release(struct hold *h)
{
	size_t i;

	for (i = 0; i < h->n && h->frame; i++)
		frames_release(&h->frame[i]);
	free(h->read);
	free(h->rank);
	free(h->frame);
	free(h->item);
	memset(h, 0, sizeof *h);
}

static int system_failed(struct feed *f)
{
	f->status = 3;
	return -1;
}

/* One record of the shards: 0 or -1. */
static int shard_fetch(struct feed *f, struct order_place p, struct frames *to,
		       struct fetched *item)
{
	if (!fetch(f->fetcher, p, to, item))
		return 0;
	f->status = fetcher_status(f->fetcher);
	return -1;
}

/* ---- windows ---- */

static int hold_make(struct hold *h, uint64_t position, size_t n)
{
	hold_release(h);
	h->position = position;
	h->rank = calloc(n, sizeof *h->rank);
	h->frame = calloc(n, sizeof *h->frame);
	h->item = calloc(n, sizeof *h->item);
	h->n = n;
	if (!h->rank || !h->frame || !h->item)
		return fail("no memory for a window of %zu samples", n);
	return 0;
}

static int hold_begin(struct feed *f, struct hold *h, uint64_t position)
{
	struct order_window w;

	if (order_window(f->order, position, &w) || hold_make(h, w.position, w.n))
		return system_failed(f);
	h->read = calloc(w.n, sizeof *h->read);
	if (!h->read) {
		fail("no memory for a window of %zu samples", w.n);
		return system_failed(f);
	}
	memcpy(h->read, w.read, w.n * sizeof *h->read);
	memcpy(h->rank, w.rank, w.n * sizeof *h->rank);
	return 0;
}

static int wanted(const struct feed *f, uint64_t position)
{
	return position >= f->next && position < f->end &&
	       position % f->plan.parts == f->plan.part;
}

/* Reads on in a window until so many of its records were looked at. */
static int hold_read(struct feed *f, struct hold *h, size_t until)
{
	for (; h->done < until && h->done < h->n; h->done++) {
		uint32_t rank = h->rank[h->done];

		if (wanted(f, h->position + rank))
			TRY(shard_fetch(f, h->read[h->done], &h->frame[rank],
					&h->item[rank]));
	}
	return 0;
}

static int hold_has(const struct hold *h, uint64_t position)
{
	return h->n && position >= h->position && position - h->position < h->n;
}

static int give(struct feed *f, struct frames *frame, struct frames *to)
{
	if (frames_reserve(to, frame->size))
		return system_failed(f);
	memcpy(to->data + to->size, frame->data, frame->size);
	to->size += frame->size;
	frames_release(frame);
	return 0;
}

/* The record at f->next out of its window. The window after it is read in step, so that
 * reading never stops and the memory stays that of about one window. */
static int window_fetch(struct feed *f, struct frames *to, struct fetched *item)
{
	struct hold *h = &f->hold[0], *after = &f->hold[1];
	uint64_t rank;

	if (!hold_has(h, f->next)) {
		struct hold swap = *h;

		*h = *after;
		*after = swap;
		if (!hold_has(h, f->next))
			TRY(hold_begin(f, h, f->next));
		hold_release(after);
		TRY(hold_read(f, h, h->n));
	}
	rank = f->next - h->position;
	*item = h->item[rank];
	TRY(give(f, &h->frame[rank], to));
	if (h->position + h->n < f->end) {
		if (!after->n)
			TRY(hold_begin(f, after, h->position + h->n));
		TRY(hold_read(f, after, (size_t)rank + 1));
	}
	return 0;
}

/* ---- stdin ---- */

/* One record of stdin: 1, 0, -1. */
static int stdin_fetch(struct feed *f, struct frames *to, struct fetched *item)
{
	struct tfrecord record;
	size_t before = to->size;
	int rc = tfrecord_load(f->stdin_reader, &record, to);

	if (rc < 0)
		f->status = tfrecord_status(f->stdin_reader);
	if (rc <= 0)
		return rc;
	item->name = "stdin";
	item->number = 0;
	item->record = record.number;
	item->offset = record.offset;
	item->size = to->size - before;
	return 1;
}

/* Fills a window from stdin, as far as there are records: 0 or -1. */
static int stdin_window(struct feed *f, uint64_t position)
{
	struct hold *h = &f->hold[0];
	struct frames *frame = NULL;
	struct fetched *item = NULL;
	size_t n = 0, room = 0, i;
	int rc = 1;

	hold_release(h);
	while (n < f->plan.window && rc > 0) {
		if (n == room) {
			size_t more = room ? 2 * room : 256;
			void *a = realloc(frame, more * sizeof *frame);
			void *b = a ? realloc(item, more * sizeof *item) : NULL;

			frame = a ? a : frame;
			item = b ? b : item;
			if (!a || !b) {
				fail("no memory for a window of %zu samples", more);
				rc = system_failed(f);
				break;
			}
			room = more;
		}
		memset(&frame[n], 0, sizeof *frame);
		rc = stdin_fetch(f, &frame[n], &item[n]);
		n += rc > 0;
	}
	if (!rc)
		f->stdin_ended = 1;
	if (rc >= 0 && n) {
		rc = hold_make(h, position, n) ? system_failed(f) : 0;
		if (!rc)
			order_shuffle(f->plan.seed, position, h->rank, n);
		for (i = 0; i < n && !rc; i++) {
			h->frame[h->rank[i]] = frame[i];
			h->item[h->rank[i]] = item[i];
		}
		n = rc ? n : 0;
	}
	for (i = 0; i < n; i++)
		frames_release(&frame[i]);
	free(frame);
	free(item);
	return rc < 0 ? -1 : 0;
}

/* The record of stdin at f->next, which is the position of the one read last plus
 * distance: 1, 0, -1. */
static int stdin_next(struct feed *f, struct frames *to, struct fetched *item)
{
	struct hold *h = &f->hold[0];

	if (f->plan.kind == ORDER_FILE) {
		struct tfrecord passed;
		int rc = 1;

		while (rc > 0 && tfrecord_number(f->stdin_reader) < f->next)
			rc = tfrecord_skip(f->stdin_reader, &passed);
		if (rc < 0)
			f->status = tfrecord_status(f->stdin_reader);
		return rc > 0 ? stdin_fetch(f, to, item) : rc;
	}
	while (!hold_has(h, f->next)) {
		uint64_t behind = h->n ? h->position + h->n : 0;

		if (f->stdin_ended)
			return 0;
		TRY(stdin_window(f, behind));
		if (!h->n)
			return 0;
	}
	*item = h->item[f->next - h->position];
	return give(f, &h->frame[f->next - h->position], to) ? -1 : 1;
}

/* ---- the feed ---- */

static uint64_t first_of_part(uint64_t position, uint64_t part, uint64_t parts)
{
	uint64_t rest = position % parts;

	return position + (part >= rest ? part - rest : parts - rest + part);
}

struct feed *feed_open(struct shards *set, const struct feed_plan *plan)
{
	struct feed *f = calloc(1, sizeof *f);
	uint64_t *counts = set ? calloc(set->n, sizeof *counts) : NULL;
	size_t i;

	assert(plan->parts && plan->part < plan->parts && plan->load_samples);
	if (!f || (set && !counts)) {
		fail("no memory");
		goto bad;
	}
	f->set = set;
	f->plan = *plan;
	f->status = 3;
	f->end = UINT64_MAX;
	f->boundary = f->samples = UINT64_MAX;
	f->next = first_of_part(plan->start, plan->part, plan->parts);
	if (!set) {
		assert(!plan->start && plan->kind != ORDER_ALL);
		f->stdin_reader = tfrecord_open("-", plan->max, &f->status);
		if (!f->stdin_reader)
			goto bad;
		return f;
	}
	for (i = 0; i < set->n; i++)
		counts[i] = set->shard[i].count;
	f->order = order_open(plan->kind, plan->window, plan->seed, counts, set->n);
	f->fetcher = f->order ? fetcher_open(set, plan->kind == ORDER_ALL) : NULL;
	if (!f->fetcher)
		goto bad;
	f->epoch = order_epoch(f->order);
	if (plan->epochs && __builtin_mul_overflow(plan->epochs, f->epoch, &f->end)) {
		fail("%" PRIu64 " epochs of %" PRIu64 " samples are too many", plan->epochs,
		     f->epoch);
		f->status = 2;
		goto bad;
	}
	f->boundary = (plan->start / f->epoch + 1) * f->epoch;
	if (f->end != UINT64_MAX)
		f->samples = f->next < f->end ? (f->end - f->next - 1) / plan->parts + 1 : 0;
	free(counts);
	return f;
bad:
	free(counts);
	feed_close(f);
	return NULL;
}

uint64_t feed_epoch(const struct feed *f)
{
	return f->epoch;
}

uint64_t feed_samples(const struct feed *f)
{
	return f->samples;
}

int feed_status(const struct feed *f)
{
	return f->status;
}

void feed_close(struct feed *f)
{
	if (!f)
		return;
	fetcher_close(f->fetcher);
	hold_release(&f->hold[0]);
	hold_release(&f->hold[1]);
	tfrecord_close(f->stdin_reader);
	order_free(f->order);
	free(f);
}

static struct fetched *load_item(struct load *l)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		void *item = realloc(l->item, room * sizeof *l->item);

		if (!item) {
			fail("no memory for %zu records", room);
			return NULL;
		}
		l->item = item;
		l->room = room;
	}
	return &l->item[l->n];
}

/* The record at f->next into the load: 1, 0 at the end of stdin, -1. */
static int load_one(struct feed *f, struct load *l)
{
	struct fetched *item = load_item(l);
	struct order_place place;
	size_t at = l->frames.size;
	int rc = 1;

	if (!item)
		return system_failed(f);
	if (!f->set) {
		rc = stdin_next(f, &l->frames, item);
	} else if (f->plan.kind == ORDER_WINDOW) {
		rc = window_fetch(f, &l->frames, item) ? -1 : 1;
	} else {
		if (order_at(f->order, f->next, &place))
			return system_failed(f);
		rc = shard_fetch(f, place, &l->frames, item) ? -1 : 1;
	}
	if (rc > 0) {
		item->at = at;
		l->n++;
	}
	return rc;
}

static int load_mark(struct load *l, enum load_kind kind, uint64_t position)
{
	l->kind = kind;
	l->position = position;
	return 1;
}

int feed_next(struct feed *f, struct load *l)
{
	int rc = 1;

	l->n = l->frames.size = 0;
	if (f->ended)
		return 0;
	if (f->next >= f->boundary && f->boundary < f->end) {
		load_mark(l, LOAD_EPOCH, f->boundary);
		f->boundary += f->epoch;
		return 1;
	}
	load_mark(l, LOAD_DATA, f->next);
	while (l->n < f->plan.load_samples && f->next < f->end && f->next < f->boundary &&
	       (!f->plan.load_bytes || l->frames.size < f->plan.load_bytes)) {
		rc = load_one(f, l);
		if (rc < 0)
			return -1;
		if (!rc)
			break;
		f->next += f->plan.parts;
	}
	if (l->n)
		return 1;
	f->ended = 1;
	return load_mark(l, LOAD_END, f->next);
}
