#include "data/stream_wire.h"

#include "base/fail.h"
#include "base/version.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* 15 digits: a decimal that was written down comes back as it was. */
enum { DUMP = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) };

/* The object, NULL with a reason. */
static json_t *load(const char *meta)
{
	json_error_t e;
	json_t *o;

	if (!meta)
		meta = "{}";
	o = json_loads(meta, JSON_REJECT_DUPLICATES, &e);
	if (!o) {
		fail("metadata: byte %d: %s", e.position, e.text);
		return NULL;
	}
	if (!json_is_object(o)) {
		fail("metadata: not a JSON object");
		json_decref(o);
		return NULL;
	}
	return o;
}

int wire_meta_check(const char *meta)
{
	json_t *o = load(meta);

	json_decref(o);
	return o ? 0 : -1;
}

/* Makes the object the head's metadata. */
static int store(struct stream_head *h, json_t *o)
{
	char *text = json_dumps(o, DUMP);

	if (!text)
		return fail("metadata: out of memory");
	if (strlen(text) > STREAM_HEAD_MAX - WIRE_HEAD - STREAM_COLUMNS * WIRE_COLUMN) {
		free(text);
		return fail("metadata: more than 1 MiB");
	}
	free(h->meta);
	h->meta = text;
	return 0;
}

/* A string of JSON, which must be UTF-8: other bytes become '?'. */
static json_t *string_of(const char *s)
{
	json_t *j = json_string(s);
	char *copy;

	if (j)
		return j;
	copy = strdup(s);
	if (!copy)
		return NULL;
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	j = json_string(copy);
	free(copy);
	return j;
}

/* {"program", "version", "arguments"}, NULL where memory is out. */
static json_t *make_stage(const char *program, const char *const *arguments)
{
	json_t *stage = json_object(), *list = json_array();
	int bad = json_object_set_new(stage, "program", string_of(program)) |
		json_object_set_new(stage, "version", json_string(MILLRACE_VERSION));

	for (int i = 0; arguments && arguments[i]; i++)
		bad |= json_array_append_new(list, string_of(arguments[i]));
	bad |= json_object_set_new(stage, "arguments", list);
	if (!bad)
		return stage;
	json_decref(stage);
	return NULL;
}

int stream_add_stage(struct stream_head *h, const char *program, const char *const *arguments)
{
	json_t *o = load(h->meta), *list;
	int r = -1;

	if (!o)
		return -1;
	list = json_object_get(o, "provenance");
	if (!list) {
		list = json_array();
		if (json_object_set_new(o, "provenance", list) < 0)
			list = NULL;
	}
	if (list && !json_is_array(list))
		fail("metadata: \"provenance\" is not a list");
	else if (!list || json_array_append_new(list, make_stage(program, arguments)) < 0)
		fail("metadata: out of memory");
	else
		r = store(h, o);
	json_decref(o);
	return r;
}

char *stream_meta(const struct stream_head *h, const char *key)
{
	json_t *o = load(h->meta), *v;
	char *text = NULL;

	if (!o)
		return NULL;
	v = json_object_get(o, key);
	if (!v)
		fail_clear();
	else if (!(text = json_is_string(v) ? strdup(json_string_value(v)) : json_dumps(v, DUMP)))
		fail("metadata: out of memory");
	json_decref(o);
	return text;
}

int stream_set_meta(struct stream_head *h, const char *key, const char *json)
{
	json_error_t e;
	json_t *o, *v = json_loads(json, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);
	int r;

	if (!v)
		return fail("metadata: %s: %s", key, e.text);
	o = load(h->meta);
	if (!o) {
		json_decref(v);
		return -1;
	}
	r = json_object_set_new(o, key, v) < 0 ? fail("metadata: %s: cannot be set", key) :
		store(h, o);
	json_decref(o);
	return r;
}
