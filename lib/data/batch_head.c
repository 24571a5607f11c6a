/* The header of a stream of batches. */
#include "data/batch.h"

#include "base/fail.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_columns(const struct batch_plan *plan, struct stream_head *h)
{
	static const struct stream_column column[BATCH_COLUMNS] = {
		{ "image", DTYPE_U8, 1, { STREAM_VARIES } },
		{ "label", DTYPE_I32, 1, { 1 } },
		{ "id", DTYPE_I64, 1, { 1 } },
		{ "name", DTYPE_U8, 1, { STREAM_VARIES } },
		{ "boxes", DTYPE_F32, 2, { STREAM_VARIES, 4 } },
	};

	h->columns = plan->boxes ? BATCH_COLUMNS : BATCH_COLUMNS - 1;
	memcpy(h->column, column, (size_t)h->columns * sizeof *column);
}

/* Most samples and bytes of a record: a load ends at so many samples, or with the record
 * that reaches its bytes. Each column's values come out of the frames; beside them stand
 * per sample a label, an id and three dimensions, and each part is padded to 64 bytes. */
static void set_most(const struct feed_plan *feed, uint64_t longest, struct stream_head *h)
{
	uint64_t samples = feed->load_samples, bytes;

	if (feed->load_bytes && samples > feed->load_bytes / TFRECORD_OVER + 1)
		samples = feed->load_bytes / TFRECORD_OVER + 1;
	if (__builtin_mul_overflow(samples, longest, &bytes))
		bytes = STREAM_RECORD_MAX;
	if (feed->load_bytes && bytes > feed->load_bytes + longest)
		bytes = feed->load_bytes + longest;
	bytes += samples * (4 + 8 + 3 * 4) + 2 * BATCH_COLUMNS * 64;
	h->record_max = (uint32_t)samples;
	h->payload_max = bytes < STREAM_RECORD_MAX ? bytes : STREAM_RECORD_MAX;
}

static int set_json(struct stream_head *h, const char *key, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	int rc = text ? stream_set_meta(h, key, text) : fail("no memory");

	free(text);
	json_decref(value);
	return rc;
}

static int set_classes(struct stream_head *h, const struct manifest *m)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < m->classes; i++)
		json_array_append_new(list, json_string(m->class[i].name));
	return set_json(h, "classes", list);
}

int batch_head(struct stream_head *h, const struct batch_plan *plan,
	       const struct feed_plan *feed, const struct shards *set, uint64_t samples)
{
	uint64_t longest = set->longest ? set->longest :
			   (feed->max ? feed->max : TFRECORD_MAX) + TFRECORD_OVER;
	char digest[17];

	h->samples = samples;
	h->epoch = set->total;
	h->parts = (uint32_t)feed->parts;
	h->classes = plan->classes;
	set_columns(plan, h);
	set_most(feed, longest, h);
	shards_digest(set, feed->kind, feed->window, feed->seed, digest);
	TRY(set_json(h, "seed", json_integer((json_int_t)feed->seed)));
	TRY(set_json(h, "order", json_string(digest)));
	if (set->missing)
		TRY(set_json(h, "missing_shards", json_integer((json_int_t)set->missing)));
	return set->has_manifest ? set_classes(h, &set->manifest) : 0;
}
