#include "data/describe.h"

#include "base/fail.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = 1 << 24, LISTED = 32, BAR = 40 };

/* One more of a label: 0 or -1. */
static int count_label(struct tally *t, int32_t label)
{
	if (label < 0) {
		t->bad++;
		return 0;
	}
	if (label >= LABELS_MAX)
		return fail("label %" PRId32 " is beyond counting", label);
	if (label >= t->labels) {
		int32_t n = label < 1024 ? 1024 : 2 * label;
		uint64_t *p = realloc(t->label, (size_t)n * sizeof(*p));

		if (!p)
			return fail("out of memory for %" PRId32 " labels", n);
		memset(p + t->labels, 0, (size_t)(n - t->labels) * sizeof(*p));
		t->label = p;
		t->labels = n;
	}
	t->label[label]++;
	return 0;
}

static void widen_range(struct tally *t, int which, uint64_t value)
{
	uint32_t v = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;

	if (t->high[which] == 0 || v < t->low[which])
		t->low[which] = v;
	if (v > t->high[which])
		t->high[which] = v;
}

/* A column there is with this type and dimension, or -1. */
static int find_of(const struct stream_head *h, const char *name, enum dtype type, uint32_t dim)
{
	int c = stream_find(h, name);

	if (c < 0 || h->column[c].type != type || h->column[c].rank != 1 ||
	    h->column[c].dim[0] != dim)
		return -1;
	return c;
}

static int tally_samples(struct tally *t, const struct stream_reader *r,
			 const struct stream_record *record)
{
	const struct stream_head *h = stream_head(r);
	int label = find_of(h, "label", DTYPE_I32, 1), pair = find_of(h, "labels", DTYPE_I32, 2);
	int image = stream_find(h, "image");
	struct walk w;

	walk_begin(&w, r, record);
	while (walk_next(&w)) {
		if (label >= 0)
			TRY(count_label(t, walk_i32(&w, label, 0)));
		else if (pair >= 0)
			TRY(count_label(t, walk_i32(&w, pair, 0)));
		if (image < 0 || !w.view[image].dims)
			continue;
		if (h->column[image].rank == 3) {
			widen_range(t, 0, w.dim[image][0]);
			widen_range(t, 1, w.dim[image][1]);
		}
		widen_range(t, 2, w.bytes[image]);
	}
	return 0;
}

int tally_record(struct tally *t, const struct stream_reader *r,
		 const struct stream_record *record)
{
	if (t->samples == 0 && t->epochs == 0)
		t->first = record->position;
	t->end = record->position;
	if (record->kind == STREAM_EPOCH)
		t->epochs++;
	if (record->kind == STREAM_SEGMENT)
		t->segments++;
	if (record->kind != STREAM_DATA)
		return 0;
	t->samples += record->samples;
	t->bytes += record->bytes;
	t->records++;
	return tally_samples(t, r, record);
}

/* 1234567 as "1.2 MB". */
static void add_bytes(struct text *out, uint64_t n)
{
	static const char *const unit[] = { "bytes", "kB", "MB", "GB", "TB", "PB", "EB" };
	double v = (double)n;
	int k = 0;

	for (; v >= 999.95 && k < 6; k++)
		v /= 1000;
	if (k)
		text_add(out, "%.1f %s", v, unit[k]);
	else
		text_add(out, "%" PRIu64 " bytes", n);
}

static void add_range(struct text *out, const char *what, uint32_t low, uint32_t high)
{
	if (!high)
		return;
	text_add(out, "%-12s%" PRIu32, what, low);
	if (high > low)
		text_add(out, " to %" PRIu32, high);
	text_add(out, "\n");
}

/* How often the labels came: each where they are few, else the extremes. */
static void add_labels(const struct tally *t, const struct class_names *names, struct text *out)
{
	int32_t kinds = 0, least = -1, most = -1, last = -1;

	for (int32_t i = 0; i < t->labels; i++) {
		if (t->label[i] == 0)
			continue;
		kinds++;
		last = i;
		if (least < 0 || t->label[i] < t->label[least])
			least = i;
		if (most < 0 || t->label[i] > t->label[most])
			most = i;
	}
	if (t->bad)
		text_add(out, "bad         %" PRIu64 "\n", t->bad);
	if (kinds == 0)
		return;
	text_add(out, "labels      %" PRId32 " different, 0 to %" PRId32 "; most often %" PRId32
		 " (%" PRIu64 "), least %" PRId32 " (%" PRIu64 ")\n", kinds, last, most,
		 t->label[most], least, t->label[least]);
	for (int32_t i = 0; i <= last && last < LISTED; i++) {
		const char *name = class_names_get(names, i);
		int bar = (int)(t->label[i] * BAR / t->label[most]);

		text_add(out, "  %3" PRId32 " %9" PRIu64 " %.*s%s%s\n", i, t->label[i], bar,
			 "########################################", bar && name ? " " : "",
			 name ? name : "");
	}
}

/* Members of the metadata, one a line; the classes are not repeated. */
static void add_meta(const struct stream_head *h, struct text *out)
{
	json_t *o = h->meta ? json_loads(h->meta, 0, NULL) : NULL, *value;
	const char *key;

	json_object_foreach(o, key, value) {
		char *s = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

		if (s && strcmp(key, "classes") == 0)
			text_add(out, "metadata    %s: %zu names\n", key, json_array_size(value));
		else if (s)
			text_add(out, "metadata    %s: %s\n", key, s);
		else
			out->failed = 1;
		free(s);
	}
	json_decref(o);
}

void tally_text(const struct tally *t, const struct stream_head *h,
		const struct class_names *names, struct text *out)
{
	uint64_t last = t->samples ? t->end - h->parts : 0;

	for (int i = 0; i < h->columns; i++) {
		text_add(out, "%-12s%s ", i ? "" : "columns", h->column[i].name);
		describe_column(&h->column[i], out);
		text_add(out, "\n");
	}
	text_add(out, "samples     %" PRIu64, t->samples);
	if (t->samples)
		text_add(out, ", positions %" PRIu64 " to %" PRIu64, t->first, last);
	if (h->parts > 1)
		text_add(out, ", one of %" PRIu32 " parts", h->parts);
	text_add(out, "\nrecords     %" PRIu64 ", ", t->records);
	add_bytes(out, t->bytes);
	text_add(out, "\n");
	if (t->segments > 1)
		text_add(out, "segments    %" PRIu64 "\n", t->segments);
	if (h->epoch)
		text_add(out, "epochs      %" PRIu64 " of %" PRIu64 " samples\n", t->samples ?
			 last / h->epoch - t->first / h->epoch + 1 : 0, h->epoch);
	if (h->classes)
		text_add(out, "classes     %" PRIu32 "\n", h->classes);
	add_range(out, "heights", t->low[0], t->high[0]);
	add_range(out, "widths", t->low[1], t->high[1]);
	add_range(out, "image bytes", t->low[2], t->high[2]);
	add_labels(t, names, out);
	add_meta(h, out);
}

void tally_release(struct tally *t)
{
	free(t->label);
	*t = (struct tally){ 0 };
}
