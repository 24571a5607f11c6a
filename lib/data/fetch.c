#include "data/fetch.h"

#include "base/fail.h"

#include <inttypes.h>
#include <stdlib.h>

/* Shards open at a time: those interleaved and some to spare, well below the usual limits
 * of descriptors. */
enum { OPEN_MOST = ORDER_OPEN + 8 };

struct open_shard {
	size_t shard;
	struct tfrecord_reader *reader;         /* NULL: free */
	uint64_t used;
};

struct fetcher {
	struct shards *set;
	int anywhere, status;
	struct open_shard open[OPEN_MOST];
	uint64_t clock;
};

struct fetcher *fetcher_open(struct shards *set, int anywhere)
{
	struct fetcher *f = calloc(1, sizeof *f);

	if (!f) {
		fail("no memory");
		return NULL;
	}
	f->set = set;
	f->anywhere = anywhere;
	return f;
}

int fetcher_status(const struct fetcher *f)
{
	return f->status;
}

static int data_failed(struct fetcher *f)
{
	f->status = 1;
	return -1;
}

static void open_drop(struct open_shard *o)
{
	tfrecord_close(o->reader);
	o->reader = NULL;
}

/* The reader of a shard: one that is open, or a new one in the place of the one not used
 * for longest. */
static struct open_shard *open_find(struct fetcher *f, size_t shard)
{
	struct open_shard *o = f->open;
	size_t i;

	for (i = 0; i < OPEN_MOST; i++) {
		if (f->open[i].reader && f->open[i].shard == shard) {
			f->open[i].used = ++f->clock;
			return &f->open[i];
		}
		if (!f->open[i].reader ? o->reader != NULL :
		    o->reader && f->open[i].used < o->used)
			o = &f->open[i];
	}
	open_drop(o);
	o->reader = tfrecord_open(f->set->shard[shard].path, f->set->max, &f->status);
	if (!o->reader)
		return NULL;
	o->shard = shard;
	o->used = ++f->clock;
	return o;
}

static int too_few(struct fetcher *f, const struct shard *s, uint64_t have)
{
	fail("%s: ends after %" PRIu64 " records, its manifest or index says %" PRIu64,
	     s->path, have, s->count);
	return data_failed(f);
}

/* Brings a reader to a record: by the index if there is one, else from header to header. */
static int go_to(struct fetcher *f, struct shard *s, struct tfrecord_reader *r, uint64_t record)
{
	struct tfrecord passed;
	int rc = 1;

	if (tfrecord_number(r) == record)
		return 0;
	TRY(shard_look(s, &f->status));
	if (s->indexed) {
		if (s->index.count != s->count) {
			fail("%s: the manifest says %" PRIu64 " records, the index %" PRIu64,
			     s->path, s->count, s->index.count);
			return data_failed(f);
		}
		rc = tfrecord_seek(r, record, s->index.offset[record]);
	} else {
		if (tfrecord_number(r) > record)
			rc = tfrecord_seek(r, 0, 0);
		while (rc >= 0 && tfrecord_number(r) < record) {
			rc = tfrecord_skip(r, &passed);
			if (!rc)
				return too_few(f, s, tfrecord_number(r));
		}
	}
	if (rc < 0)
		f->status = tfrecord_status(r);
	return rc < 0 ? -1 : 0;
}

/* After the last record of a shard: nothing may follow. */
static int check_end(struct fetcher *f, const struct shard *s, struct open_shard *o)
{
	struct tfrecord extra;
	int rc = tfrecord_skip(o->reader, &extra);

	if (rc < 0)
		f->status = tfrecord_status(o->reader);
	open_drop(o);
	if (rc <= 0)
		return rc;
	fail("%s: goes on after the %" PRIu64 " records that its manifest or index says",
	     s->path, s->count);
	return data_failed(f);
}

int fetch(struct fetcher *f, struct order_place p, struct frames *frames,
		 struct fetched *item)
{
	struct shard *s = &f->set->shard[p.shard];
	struct open_shard *o = open_find(f, p.shard);
	struct tfrecord record;
	int rc;

	if (!o)
		return -1;
	item->name = s->path;
	item->number = s->number;
	item->record = p.record;
	item->at = frames->size;
	if (f->anywhere) {
		const uint64_t *at = s->index.offset + p.record;

		item->offset = at[0];
		rc = tfrecord_load_at(o->reader, p.record, at[0], at[1] - at[0], frames);
	} else {
		TRY(go_to(f, s, o->reader, p.record));
		rc = tfrecord_load(o->reader, &record, frames);
		if (!rc)
			return too_few(f, s, p.record);
		item->offset = record.offset;
	}
	if (rc < 0) {
		f->status = tfrecord_status(o->reader);
		return -1;
	}
	item->size = frames->size - item->at;
	if (!f->anywhere && p.record + 1 == s->count)
		return check_end(f, s, o);
	return 0;
}

void fetcher_close(struct fetcher *f)
{
	size_t i;

	if (!f)
		return;
	for (i = 0; i < OPEN_MOST; i++)
		open_drop(&f->open[i]);
	free(f);
}
