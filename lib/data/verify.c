#include "data/verify.h"

#include "base/fail.h"
#include "base/text.h"
#include "data/index.h"
#include "data/jpeg.h"
#include "data/probe.h"
#include "data/sample.h"
#include "data/tfrecord.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct check {
	struct verify *v;
	const char *path;
	struct tfrecord_reader *reader;
	struct jpeg *jpeg;
	struct example example;
	struct sample sample;
	struct index index;
	int indexed, index_bad;
	const struct manifest_shard *entry;     /* NULL: no manifest */
};

void verify_release(struct verify *v)
{
	manifest_release(&v->manifest);
}

/* Tells the reason there is. */
static void tell(struct check *c)
{
	c->v->found_bad++;
	c->v->bad(c->v->context, fail_why());
	fail_clear();
}

/* The manifest of the shard's set, if there is one: 0, or -1 (unreadable). */
static int find_manifest(struct check *c, int *status)
{
	struct manifest *m = &c->v->manifest;
	struct text t = { 0 };
	uint32_t number, of;
	size_t prefix;
	char *path;
	int rc = 1;

	if (!shard_name(c->path, &prefix, &number, &of))
		return 0;
	text_add(&t, "%.*s.json", (int)prefix, c->path);
	path = text_take(&t);
	*status = 3;
	if (!path)
		return -1;
	if (!m->path || strcmp(m->path, path)) {
		manifest_release(m);
		rc = manifest_read(m, path, status);
		if (rc < 0 && *status == 1) {
			tell(c);
			rc = 0;
		}
	}
	if (rc > 0 && !(c->entry = manifest_find(m, c->path))) {
		fail("%s: %s does not list it", c->path, path);
		tell(c);
	}
	free(path);
	return rc < 0 ? -1 : 0;
}

/* What a record must hold beyond its checksums. Records that are no images at all (no
 * image/encoded) are checked as Examples only. */
static int check_record(struct check *c, const struct tfrecord *r)
{
	const struct manifest *m = &c->v->manifest;
	struct probe p;

	TRY(example_parse(&c->example, r->data, (size_t)r->size));
	if (!example_find(&c->example, KEY_ENCODED))
		return 0;
	TRY(sample_take(&c->sample, &c->example));
	if (probe_image(c->jpeg, c->sample.image, c->sample.image_size, &p))
		return fail_add("image");
	if (c->entry && (uint64_t)c->sample.label - (uint64_t)m->label_base >= m->classes)
		return fail("label %" PRId64 ", but %s has %zu classes from %" PRId64,
			    c->sample.label, m->path, m->classes, m->label_base);
	return 0;
}

static void check_place(struct check *c, const struct tfrecord *r)
{
	uint64_t i = r->number;

	if (!c->indexed || c->index_bad)
		return;
	if (i < c->index.count && c->index.offset[i] == r->offset &&
	    c->index.offset[i + 1] - r->offset == r->size + TFRECORD_OVER)
		return;
	c->index_bad = 1;
	fail("%s: record %" PRIu64 ", offset %" PRIu64 ": its index does not fit "
	     "(tfrec-ls --index makes one)", c->path, i, r->offset);
	tell(c);
}

/* The records: 0, 1 where the framing could not be followed to the end, -1. */
static int check_records(struct check *c, int *status)
{
	struct tfrecord r;

	for (;;) {
		uint64_t before = tfrecord_number(c->reader);
		int rc = tfrecord_read(c->reader, &r);

		if (!rc)
			return 0;
		if (rc < 0 && tfrecord_status(c->reader) == 3) {
			*status = 3;
			return -1;
		}
		if (rc > 0 && check_record(c, &r))
			rc = fail_add("%s: record %" PRIu64 ", offset %" PRIu64, c->path,
				      r.number, r.offset);
		else if (rc > 0)
			check_place(c, &r);
		if (rc < 0)
			tell(c);
		if (tfrecord_number(c->reader) == before)
			return 1;
		c->v->records++;
	}
}

static void check_counts(struct check *c)
{
	uint64_t n = tfrecord_number(c->reader), bytes = tfrecord_offset(c->reader);

	if (c->entry && c->entry->samples != n) {
		fail("%s: has %" PRIu64 " records, %s says %" PRIu64, c->path, n,
		     c->v->manifest.path, c->entry->samples);
		tell(c);
	} else if (c->entry && c->entry->bytes != bytes) {
		fail("%s: has %" PRIu64 " bytes, %s says %" PRIu64, c->path, bytes,
		     c->v->manifest.path, c->entry->bytes);
		tell(c);
	}
	if (c->indexed && !c->index_bad && c->index.count != n) {
		fail("%s: has %" PRIu64 " records, its index %" PRIu64
		     " (tfrec-ls --index makes one)", c->path, n, c->index.count);
		tell(c);
	}
}

int verify_shard(struct verify *v, const char *path, int *status)
{
	struct check c = { .v = v, .path = strcmp(path, "-") ? path : "stdin" };
	int rc = -1, index;

	*status = 3;
	c.jpeg = jpeg_new();
	if (!c.jpeg)
		goto out;
	c.reader = tfrecord_open(path, v->max, status);
	if (!c.reader)
		goto out;
	if (strcmp(path, "-")) {
		if (find_manifest(&c, status))
			goto out;
		index = index_read(&c.index, path, status);
		if (index < 0 && *status == 3)
			goto out;
		if (index < 0)
			tell(&c);
		c.indexed = index > 0;
	}
	rc = check_records(&c, status);
	if (!rc)
		check_counts(&c);
	rc = rc < 0 ? -1 : 0;
out:
	tfrecord_close(c.reader);
	jpeg_free(c.jpeg);
	example_release(&c.example);
	sample_release(&c.sample);
	index_release(&c.index);
	return rc;
}
