#include "data/example.h"

#include "base/bytes.h"
#include "base/fail.h"

#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_GROUP, WIRE_GROUP_END, WIRE_32 };

/* A stretch of the message and the place reached in it. */
struct span {
	const unsigned char *at, *end;
};

struct field {
	uint32_t number;
	int wire;
	uint64_t varint;
	struct span body;       /* of WIRE_BYTES, WIRE_32, WIRE_64 */
};

struct parse {
	struct example *example;
	const unsigned char *begin;
};

static int bad(const struct parse *p, const unsigned char *at, const char *cause)
{
	return fail("byte %zu of the Example: %s", (size_t)(at - p->begin), cause);
}

static int varint(const struct parse *p, struct span *s, uint64_t *value)
{
	const unsigned char *from = s->at;
	uint64_t v = 0;
	int shift;

	for (shift = 0; shift < 70; shift += 7) {
		unsigned char byte;

		if (s->at == s->end)
			return bad(p, from, "a number is cut off");
		byte = *s->at++;
		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*value = v;
			return 0;
		}
	}
	return bad(p, from, "a number of more than 10 bytes");
}

static int tag(const struct parse *p, struct span *s, struct field *f)
{
	const unsigned char *from = s->at;
	uint64_t t;

	TRY(varint(p, s, &t));
	if (t > UINT32_MAX || !(t >> 3))
		return bad(p, from, "no field has this number");
	f->number = (uint32_t)(t >> 3);
	f->wire = (int)(t & 7);
	return 0;
}

static int take(const struct parse *p, struct span *s, uint64_t n, struct span *body)
{
	if (n > (uint64_t)(s->end - s->at))
		return bad(p, s->at, "a length goes past the end");
	body->at = s->at;
	body->end = s->at += n;
	return 0;
}

/* What follows a tag, a group passed over whole. */
static int content(const struct parse *p, struct span *s, struct field *f, int depth)
{
	uint32_t group = f->number;
	struct field inner;

	switch (f->wire) {
	case WIRE_VARINT:
		return varint(p, s, &f->varint);
	case WIRE_64:
		return take(p, s, 8, &f->body);
	case WIRE_32:
		return take(p, s, 4, &f->body);
	case WIRE_BYTES:
		TRY(varint(p, s, &f->varint));
		return take(p, s, f->varint, &f->body);
	case WIRE_GROUP:
		if (depth >= EXAMPLE_DEPTH)
			return bad(p, s->at, "groups too deep");
		while (s->at < s->end) {
			TRY(tag(p, s, &inner));
			if (inner.wire == WIRE_GROUP_END)
				return inner.number == group ? 0 :
				       bad(p, s->at, "a group ends that did not begin");
			TRY(content(p, s, &inner, depth + 1));
		}
		return bad(p, s->at, "a group does not end");
	}
	return bad(p, s->at, "no wire type");
}

/* The next field: 1; 0 at the span's end; -1. */
static int next_field(const struct parse *p, struct span *s, struct field *f)
{
	if (s->at == s->end)
		return 0;
	TRY(tag(p, s, f));
	if (f->wire == WIRE_GROUP_END)
		return bad(p, s->at, "a group ends that did not begin");
	TRY(content(p, s, f, 0));
	return 1;
}

static int add_piece(struct example *e, struct span body)
{
	if (e->pieces == e->piece_room) {
		size_t room = e->piece_room ? 2 * e->piece_room : 32;
		void *piece = realloc(e->piece, room * sizeof *e->piece);

		if (!piece)
			return fail("no memory");
		e->piece = piece;
		e->piece_room = room;
	}
	e->piece[e->pieces].data = body.at;
	e->piece[e->pieces++].size = (size_t)(body.end - body.at);
	return 0;
}

/* Values of a packed run; the run is checked. -1: bad. */
static int64_t packed_count(const struct parse *p, enum example_kind kind, struct span run)
{
	int64_t n = 0;
	uint64_t v;

	if (kind == EXAMPLE_FLOATS) {
		if ((run.end - run.at) % 4)
			return bad(p, run.at, "packed floats end amid a number");
		return (run.end - run.at) / 4;
	}
	while (run.at < run.end) {
		if (run.end - run.at >= 1 && *run.at < 0x80)
			run.at++;
		else
			TRY(varint(p, &run, &v));
		n++;
	}
	return n;
}

static int wire_of(enum example_kind kind)
{
	return kind == EXAMPLE_FLOATS ? WIRE_32 : WIRE_VARINT;
}

/* One piece of a list: checks it and adds its values to the count. */
static int parse_list(const struct parse *p, struct example_feature *feature,
		      struct span body)
{
	struct span s = body;
	struct field f;
	int rc;

	while ((rc = next_field(p, &s, &f)) > 0) {
		int64_t n = 0;

		if (f.number != 1)
			continue;
		if (feature->kind == EXAMPLE_BYTES)
			n = f.wire == WIRE_BYTES;
		else if (f.wire == WIRE_BYTES)
			n = packed_count(p, feature->kind, f.body);
		else
			n = f.wire == wire_of(feature->kind);
		if (n < 0)
			return -1;
		feature->count += (size_t)n;
		if (feature->count > EXAMPLE_LIST)
			return bad(p, body.at, "a list of more than 16000000 values");
	}
	TRY(rc);
	feature->pieces++;
	return add_piece(p->example, body);
}

/* A Feature message: a list of another kind replaces, one of the same kind goes on. */
static int parse_feature(const struct parse *p, struct example_feature *feature,
			 struct span s)
{
	struct field f;
	int rc;

	while ((rc = next_field(p, &s, &f)) > 0) {
		if (f.wire != WIRE_BYTES || f.number > EXAMPLE_INTS)
			continue;
		if (f.number != feature->kind) {
			feature->kind = (enum example_kind)f.number;
			feature->count = feature->pieces = 0;
			p->example->pieces = feature->piece;
		}
		TRY(parse_list(p, feature, f.body));
	}
	return rc;
}

static int parse_entry(const struct parse *p, struct span s)
{
	struct example *e = p->example;
	struct example_feature feature = { .key = "", .piece = e->pieces };
	struct field f;
	int rc;

	while ((rc = next_field(p, &s, &f)) > 0) {
		if (f.wire != WIRE_BYTES)
			continue;
		if (f.number == 1) {
			feature.key = (const char *)f.body.at;
			feature.key_size = (size_t)(f.body.end - f.body.at);
			if (feature.key_size > EXAMPLE_KEY)
				return bad(p, f.body.at, "a key of more than 1024 bytes");
		} else if (f.number == 2) {
			TRY(parse_feature(p, &feature, f.body));
		}
	}
	TRY(rc);
	if (e->features == EXAMPLE_FEATURES)
		return bad(p, s.at, "more than 10000 features");
	if (e->features == e->feature_room) {
		size_t room = e->feature_room ? 2 * e->feature_room : 32;
		void *more = realloc(e->feature, room * sizeof *e->feature);

		if (!more)
			return fail("no memory");
		e->feature = more;
		e->feature_room = room;
	}
	e->feature[e->features++] = feature;
	return 0;
}

static int by_bytes(const char *a, size_t n, const char *b, size_t m)
{
	int order = memcmp(a, b, n < m ? n : m);

	return order ? order : (n > m) - (n < m);
}

static int by_key(const struct example_feature *a, const struct example_feature *b)
{
	return by_bytes(a->key, a->key_size, b->key, b->key_size);
}

/* In place, for the few features that records have. */
static void sort_few(struct example_feature *f, size_t n)
{
	size_t i, j;

	for (i = 1; i < n; i++) {
		struct example_feature moved = f[i];

		for (j = i; j && by_key(&f[j - 1], &moved) > 0; j--)
			f[j] = f[j - 1];
		f[j] = moved;
	}
}

/* By merging, through memory of as many. The C library's qsort() is not promised to be
 * stable. */
static int sort_many(struct example *e)
{
	size_t width, i, n = e->features;
	struct example_feature *to = malloc(n * sizeof *to), *from = e->feature, *swap;

	if (!to)
		return fail("no memory");
	for (width = 1; width < n; width *= 2) {
		for (i = 0; i < n; i += 2 * width) {
			size_t mid = i + width < n ? i + width : n;
			size_t end = mid + width < n ? mid + width : n;
			size_t a = i, b = mid, k = i;

			while (a < mid || b < end)
				to[k++] = b == end || (a < mid &&
					  by_key(&from[a], &from[b]) <= 0) ?
					  from[a++] : from[b++];
		}
		swap = from;
		from = to;
		to = swap;
	}
	if (from != e->feature) {
		e->feature = from;
		e->feature_room = n;
	}
	free(to);
	return 0;
}

/* Sorts by key and keeps the last of equal ones; stable, so that it knows the last. */
static int settle(struct example *e)
{
	size_t i, kept = 0;
	int sorted = 1;

	for (i = 1; i < e->features && sorted; i++)
		sorted = by_key(&e->feature[i - 1], &e->feature[i]) < 0;
	if (sorted)
		return 0;
	if (e->features <= 64)
		sort_few(e->feature, e->features);
	else
		TRY(sort_many(e));
	for (i = 0; i < e->features; i++)
		if (i + 1 == e->features || by_key(&e->feature[i], &e->feature[i + 1]))
			e->feature[kept++] = e->feature[i];
	e->features = kept;
	return 0;
}

int example_parse(struct example *e, const void *data, size_t n)
{
	struct parse p = { e, data };
	struct span s = { data, (const unsigned char *)data + n };
	struct field f, entry;
	int rc, inner;

	e->features = e->pieces = 0;
	while ((rc = next_field(&p, &s, &f)) > 0) {
		if (f.number != 1 || f.wire != WIRE_BYTES)
			continue;
		while ((inner = next_field(&p, &f.body, &entry)) > 0)
			if (entry.number == 1 && entry.wire == WIRE_BYTES)
				TRY(parse_entry(&p, entry.body));
		TRY(inner);
	}
	TRY(rc);
	return settle(e);
}

void example_release(struct example *e)
{
	free(e->feature);
	free(e->piece);
	memset(e, 0, sizeof *e);
}

const struct example_feature *example_find(const struct example *e, const char *key)
{
	size_t low = 0, high = e->features, n = strlen(key);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct example_feature *f = &e->feature[mid];
		int order = by_bytes(f->key, f->key_size, key, n);

		if (!order)
			return f;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static void value_at(enum example_kind kind, struct span *s, struct example_value *v)
{
	const struct parse p = { NULL, s->at };
	uint64_t number = 0;

	if (kind == EXAMPLE_FLOATS) {
		uint32_t bits = get_u32(s->at);

		memcpy(&v->real, &bits, 4);
		s->at += 4;
	} else {
		varint(&p, s, &number);
		memcpy(&v->whole, &number, 8);
	}
}

/* The lists were checked by example_parse(), so nothing here can fail. */
int example_next(const struct example *e, const struct example_feature *feature,
		 struct example_cursor *c, struct example_value *v)
{
	for (; c->piece < feature->pieces; c->piece++, c->at = c->packed_end = 0) {
		const struct example_piece *piece = &e->piece[feature->piece + c->piece];
		const struct parse p = { NULL, piece->data };

		while (c->at < piece->size) {
			struct span s = { piece->data + c->at, piece->data + piece->size };
			struct field f;

			if (c->at < c->packed_end) {
				value_at(feature->kind, &s, v);
				c->at = (size_t)(s.at - piece->data);
				return 1;
			}
			if (next_field(&p, &s, &f) <= 0)
				break;
			c->at = (size_t)(s.at - piece->data);
			if (f.number != 1)
				continue;
			if (f.wire == WIRE_BYTES && feature->kind == EXAMPLE_BYTES) {
				v->bytes = f.body.at;
				v->size = (size_t)(f.body.end - f.body.at);
				return 1;
			}
			if (f.wire == WIRE_BYTES) {
				c->packed_end = c->at;
				c->at -= (size_t)(f.body.end - f.body.at);
			} else if (feature->kind == EXAMPLE_INTS && f.wire == WIRE_VARINT) {
				memcpy(&v->whole, &f.varint, 8);
				return 1;
			} else if (feature->kind == EXAMPLE_FLOATS && f.wire == WIRE_32) {
				value_at(EXAMPLE_FLOATS, &f.body, v);
				return 1;
			}
		}
	}
	return 0;
}
