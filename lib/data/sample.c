#include "data/sample.h"

#include "base/fail.h"

#include <stdlib.h>
#include <string.h>

static const char *kind_words(enum example_kind kind)
{
	switch (kind) {
	case EXAMPLE_BYTES:
		return "bytes";
	case EXAMPLE_FLOATS:
		return "floats";
	case EXAMPLE_INTS:
		return "whole numbers";
	case EXAMPLE_NONE:
		break;
	}
	return "nothing";
}

/* The only value of a key: 1, 0 absent, -1. */
static int single(const struct example *e, const char *key, enum example_kind kind,
		  struct example_value *v)
{
	const struct example_feature *f = example_find(e, key);
	struct example_cursor c = { 0 };

	if (!f)
		return 0;
	if (f->kind != kind)
		return fail("%s holds %s, not %s", key, kind_words(f->kind),
			    kind_words(kind));
	if (f->count != 1)
		return fail("%s holds %zu values, not one", key, f->count);
	return example_next(e, f, &c, v);
}

int sample_bytes(const struct example *e, const char *key, const unsigned char **bytes,
		 size_t *size)
{
	struct example_value v;
	int rc = single(e, key, EXAMPLE_BYTES, &v);

	if (rc > 0) {
		*bytes = v.bytes;
		*size = v.size;
	}
	return rc;
}

int sample_whole(const struct example *e, const char *key, int64_t *value)
{
	struct example_value v;
	int rc = single(e, key, EXAMPLE_INTS, &v);

	if (rc > 0)
		*value = v.whole;
	return rc;
}

static int missing(const struct example *e, const char *key)
{
	size_t n = e->features, i;
	char have[512];
	size_t at = 0;

	have[0] = 0;
	for (i = 0; i < n && at + e->feature[i].key_size + 3 < sizeof have; i++) {
		memcpy(have + at, ", ", 2);
		memcpy(have + at + 2, e->feature[i].key, e->feature[i].key_size);
		at += 2 + e->feature[i].key_size;
		have[at] = 0;
	}
	/* A reason is one line, whatever the keys hold. */
	for (i = 0; i < at; i++)
		if ((unsigned char)have[i] < 32 || have[i] == 127)
			have[i] = '?';
	return fail("no %s; the record has %s", key, at ? have + 2 : "no features");
}

static int take_boxes(struct sample *s, const struct example *e)
{
	static const char *const key[4] = { KEY_BOX_YMIN, KEY_BOX_XMIN, KEY_BOX_YMAX,
					    KEY_BOX_XMAX };
	size_t n = 0, i, k;

	s->boxes = 0;
	for (k = 0; k < 4; k++) {
		const struct example_feature *f = example_find(e, key[k]);
		struct example_cursor c = { 0 };
		struct example_value v;

		if (f && f->count && f->kind != EXAMPLE_FLOATS)
			return fail("%s holds %s, not floats", key[k], kind_words(f->kind));
		if (!k)
			n = f ? f->count : 0;
		else if (n != (f ? f->count : 0))
			return fail("%s holds %zu values, %s %zu", key[0], n, key[k],
				    f ? f->count : 0);
		if (!n)
			continue;
		if (n > s->box_room) {
			float *box = realloc(s->box, n * 4 * sizeof *box);

			if (!box)
				return fail("no memory for %zu boxes", n);
			s->box = box;
			s->box_room = n;
		}
		for (i = 0; example_next(e, f, &c, &v) > 0; i++)
			s->box[4 * i + k] = v.real;
	}
	s->boxes = n;
	return 0;
}

int sample_take(struct sample *s, const struct example *e)
{
	int rc = sample_bytes(e, KEY_ENCODED, &s->image, &s->image_size);

	if (rc <= 0)
		return rc ? -1 : missing(e, KEY_ENCODED);
	rc = sample_whole(e, KEY_LABEL, &s->label);
	if (rc <= 0)
		return rc ? -1 : missing(e, KEY_LABEL);
	rc = sample_bytes(e, KEY_FILENAME, &s->name, &s->name_size);
	if (rc < 0)
		return -1;
	if (!rc) {
		s->name = (const unsigned char *)"";
		s->name_size = 0;
	}
	return take_boxes(s, e);
}

void sample_release(struct sample *s)
{
	free(s->box);
	memset(s, 0, sizeof *s);
}
