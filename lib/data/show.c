#include "data/show.h"

#include "base/fail.h"
#include "data/probe.h"
#include "data/sample.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text longer than this is shown by its number of bytes. */
enum { TEXT_MOST = 4096 };

static void add_escaped(struct text *t, const unsigned char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] == '\t')
			text_add(t, "\\t");
		else if (s[i] == '\n')
			text_add(t, "\\n");
		else if (s[i] == '\\')
			text_add(t, "\\\\");
		else if (s[i] < 32 || s[i] == 127)
			text_add(t, "\\x%02x", s[i]);
		else
			text_add_bytes(t, s + i, 1);
	}
}

/* Bytes of the UTF-8 character at s, 0 if there is none. */
static size_t utf8(const unsigned char *s, size_t n)
{
	size_t more = s[0] < 0x80 ? 0 : s[0] >= 0xc2 && s[0] < 0xe0 ? 1 :
		      s[0] >= 0xe0 && s[0] < 0xf0 ? 2 : s[0] >= 0xf0 && s[0] < 0xf5 ? 3 : 4, i;

	if (more > 3 || more >= n)
		return 0;
	for (i = 1; i <= more; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return more + 1;
}

static int is_text(const unsigned char *s, size_t n)
{
	size_t i = 0, step;

	if (n > TEXT_MOST)
		return 0;
	for (; i < n; i += step) {
		step = utf8(s + i, n - i);
		if (!step || (s[i] < 32 && s[i] != '\t' && s[i] != '\n' && s[i] != '\r'))
			return 0;
	}
	return 1;
}

/* A JSON string; bytes that are no UTF-8 become U+FFFD. */
static void add_string(struct text *t, const unsigned char *s, size_t n)
{
	size_t i = 0, step;

	text_add(t, "\"");
	for (; i < n; i += step ? step : 1) {
		step = utf8(s + i, n - i);
		if (!step)
			text_add(t, "\\ufffd");
		else if (s[i] == '"' || s[i] == '\\')
			text_add(t, "\\%c", s[i]);
		else if (s[i] < 32 || s[i] == 127)
			text_add(t, "\\u%04x", s[i]);
		else
			text_add_bytes(t, s + i, step);
	}
	text_add(t, "\"");
}

void show_tsv(struct text *t, const struct show_place *p, const struct example *e,
	      struct jpeg *jpeg)
{
	const unsigned char *bytes;
	struct probe probe;
	int64_t label;
	size_t n;

	text_add(t, "%" PRIu32 ":%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t", p->number,
		 p->record, p->offset, p->size);
	if (sample_whole(e, KEY_LABEL, &label) > 0)
		text_add(t, "%" PRId64 "\t", label);
	else
		text_add(t, "-\t");
	if (sample_bytes(e, KEY_FILENAME, &bytes, &n) > 0 && n)
		add_escaped(t, bytes, n);
	else
		text_add(t, "-");
	if (sample_bytes(e, KEY_ENCODED, &bytes, &n) <= 0)
		text_add(t, "\t-\n");
	else if (probe_image(jpeg, bytes, n, &probe))
		text_add(t, "\tbad\n");
	else
		text_add(t, "\t%s %dx%d\n", probe.format, probe.width, probe.height);
}

static void add_bytes(struct text *t, const struct example_value *v, struct jpeg *jpeg)
{
	struct probe probe;

	if (image_format(v->bytes, v->size) && !probe_image(jpeg, v->bytes, v->size, &probe))
		text_add(t, "{\"image\":\"%s\",\"width\":%d,\"height\":%d,\"channels\":%d,"
			 "\"bytes\":%zu}", probe.format, probe.width, probe.height,
			 probe.channels, v->size);
	else if (is_text(v->bytes, v->size))
		add_string(t, v->bytes, v->size);
	else
		text_add(t, "{\"bytes\":%zu}", v->size);
}

/* The shortest decimal that reads back as the same float. */
static void add_real(struct text *t, float v)
{
	char s[32];
	int digits;

	if (isnan(v) || isinf(v)) {
		text_add(t, "\"%s\"", isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
		return;
	}
	for (digits = 6; digits <= 9; digits++) {
		snprintf(s, sizeof s, "%.*g", digits, (double)v);
		if (strtof(s, NULL) == v)
			break;
	}
	text_add(t, "%s", s);
}

static void add_list(struct text *t, const struct example *e, const struct example_feature *f,
		     struct jpeg *jpeg)
{
	struct example_cursor c = { 0 };
	struct example_value v;
	int first = 1;

	text_add(t, "[");
	while (example_next(e, f, &c, &v) > 0) {
		if (!first)
			text_add(t, ",");
		first = 0;
		if (f->kind == EXAMPLE_BYTES)
			add_bytes(t, &v, jpeg);
		else if (f->kind == EXAMPLE_FLOATS)
			add_real(t, v.real);
		else
			text_add(t, "%" PRId64, v.whole);
	}
	text_add(t, "]");
}

void show_json(struct text *t, const struct show_place *p, const struct example *e,
	       struct jpeg *jpeg)
{
	size_t i;

	text_add(t, "{\"id\":\"%" PRIu32 ":%" PRIu64 "\",\"offset\":%" PRIu64
		 ",\"size\":%" PRIu64 ",\"features\":{", p->number, p->record, p->offset,
		 p->size);
	for (i = 0; i < e->features; i++) {
		const struct example_feature *f = &e->feature[i];

		text_add(t, i ? "," : "");
		add_string(t, (const unsigned char *)f->key, f->key_size);
		text_add(t, ":");
		if (f->kind == EXAMPLE_NONE)
			text_add(t, "null");
		else
			add_list(t, e, f, jpeg);
	}
	text_add(t, "}}\n");
}

/* ---- sums ---- */

void show_release(struct show_sums *s)
{
	names_release(&s->key);
	names_release(&s->label);
	names_release(&s->format);
	free(s->of_key);
	free(s->of_label);
	free(s->of_format);
	memset(s, 0, sizeof *s);
}

static void range_add(struct show_range *r, uint64_t v)
{
	if (!r->n || v < r->least)
		r->least = v;
	if (!r->n || v > r->most)
		r->most = v;
	r->n++;
	r->sum += (double)v;
}

static int add_key(struct show_sums *s, const struct example_feature *f)
{
	struct show_key *k;
	uint32_t i;
	int rc = names_add(&s->key, f->key, f->key_size, &i);

	if (rc < 0)
		return -1;
	if (i >= s->key_room) {
		size_t room = 2 * (size_t)i + 16;
		void *more = realloc(s->of_key, room * sizeof *s->of_key);

		if (!more)
			return fail("no memory");
		s->of_key = more;
		s->key_room = room;
	}
	k = &s->of_key[i];
	if (rc) {
		*k = (struct show_key){ .kind = f->kind, .least = f->count,
					.most = f->count };
	}
	k->mixed |= k->kind != f->kind;
	k->records++;
	if (f->count < k->least)
		k->least = f->count;
	if (f->count > k->most)
		k->most = f->count;
	return 0;
}

/* One more of a thing that is counted. */
static int count(struct names *names, uint64_t **of, size_t *room, const void *thing, size_t n)
{
	uint32_t i;
	int rc = names_add(names, thing, n, &i);

	if (rc < 0)
		return -1;
	if (i >= *room) {
		size_t more = 2 * (size_t)i + 16;
		uint64_t *p = realloc(*of, more * sizeof *p);

		if (!p)
			return fail("no memory");
		*of = p;
		*room = more;
	}
	(*of)[i] = rc ? 1 : (*of)[i] + 1;
	return 0;
}

int show_add(struct show_sums *s, const struct show_place *p, const struct example *e,
	     struct jpeg *jpeg)
{
	const unsigned char *bytes;
	struct probe probe;
	const char *format;
	int64_t label;
	size_t n, i;

	range_add(&s->size, p->size + TFRECORD_OVER);
	for (i = 0; i < e->features; i++)
		TRY(add_key(s, &e->feature[i]));
	if (sample_whole(e, KEY_LABEL, &label) > 0)
		TRY(count(&s->label, &s->of_label, &s->label_room, &label, sizeof label));
	if (sample_bytes(e, KEY_ENCODED, &bytes, &n) <= 0)
		return 0;
	format = "bad";
	if (!probe_image(jpeg, bytes, n, &probe)) {
		format = probe.format;
		range_add(&s->width, (uint64_t)probe.width);
		range_add(&s->height, (uint64_t)probe.height);
	}
	return count(&s->format, &s->of_format, &s->format_room, format, strlen(format));
}

/* The numbers 0 .. n-1 in order of their names; NULL: no memory. */
static uint32_t *sorted(const struct names *names, int (*order)(const struct names *,
			uint32_t, uint32_t))
{
	size_t n = names->n, width, i;
	uint32_t *from = calloc(n + 1, sizeof *from), *to = calloc(n + 1, sizeof *to), *swap;

	for (i = 0; from && i < n; i++)
		from[i] = (uint32_t)i;
	for (width = 1; from && to && width < n; width *= 2) {
		for (i = 0; i < n; i += 2 * width) {
			size_t mid = i + width < n ? i + width : n;
			size_t last = mid + width < n ? mid + width : n;
			size_t a = i, b = mid, k = i;

			while (a < mid || b < last)
				to[k++] = b == last || (a < mid &&
					  order(names, from[a], from[b]) <= 0) ?
					  from[a++] : from[b++];
		}
		swap = from;
		from = to;
		to = swap;
	}
	if (!to) {
		free(from);
		from = NULL;
	}
	free(to);
	return from;
}

static int by_bytes(const struct names *names, uint32_t a, uint32_t b)
{
	size_t n, m;
	const char *s = names_get(names, a, &n), *t = names_get(names, b, &m);
	int order = memcmp(s, t, n < m ? n : m);

	return order ? order : (n > m) - (n < m);
}

static int64_t label_of(const struct names *names, uint32_t i)
{
	int64_t v;
	size_t n;

	memcpy(&v, names_get(names, i, &n), sizeof v);
	return v;
}

static int by_label(const struct names *names, uint32_t a, uint32_t b)
{
	int64_t x = label_of(names, a), y = label_of(names, b);

	return (x > y) - (x < y);
}

void show_schema(struct text *t, const struct show_sums *s)
{
	static const char *const kinds[] = { "none", "bytes", "float", "int64" };
	uint32_t *order = sorted(&s->key, by_bytes);
	size_t i, n;

	for (i = 0; order && i < s->key.n; i++) {
		const struct show_key *k = &s->of_key[order[i]];
		const char *key = names_get(&s->key, order[i], &n);

		add_escaped(t, (const unsigned char *)key, n);
		text_add(t, "\t%s\t%" PRIu64 "\t%zu", k->mixed ? "mixed" : kinds[k->kind],
			 k->records, k->least);
		if (k->most != k->least)
			text_add(t, "..%zu", k->most);
		text_add(t, "\n");
	}
	t->failed |= !order;
	free(order);
}

static void add_range(struct text *t, const char *what, const struct show_range *r)
{
	if (r->n)
		text_add(t, "%s\tmin %" PRIu64 "\tmean %.1f\tmax %" PRIu64 "\n", what, r->least,
			 r->sum / (double)r->n, r->most);
}

void show_stats(struct text *t, const struct show_sums *s)
{
	uint32_t *order = sorted(&s->label, by_label);
	size_t i, n;

	text_add(t, "records\t%" PRIu64 "\nbytes\t%.0f\n", s->size.n, s->size.sum);
	add_range(t, "size", &s->size);
	add_range(t, "width", &s->width);
	add_range(t, "height", &s->height);
	for (i = 0; i < s->format.n; i++)
		text_add(t, "format\t%s\t%" PRIu64 "\n", names_get(&s->format, (uint32_t)i, &n),
			 s->of_format[i]);
	text_add(t, "labels\t%zu\n", s->label.n);
	for (i = 0; order && i < s->label.n; i++)
		text_add(t, "label\t%" PRId64 "\t%" PRIu64 "\n", label_of(&s->label, order[i]),
			 s->of_label[order[i]]);
	t->failed |= !order;
	free(order);
}
