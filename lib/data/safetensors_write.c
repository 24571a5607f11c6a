#include "data/safetensors.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "base/io.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct safetensors_writer {
	struct newfile file;
	uint64_t left;          /* bytes still to come */
};

static json_t *tensor_json(const struct tensor *t, uint64_t at, uint64_t bytes)
{
	json_t *shape = json_array();

	for (int i = 0; i < t->rank; i++)
		json_array_append_new(shape, json_integer((json_int_t)t->dim[i]));
	return json_pack("{s:s, s:o, s:[I,I]}", "dtype", t->dtype, "shape", shape,
			 "data_offsets", (json_int_t)at, (json_int_t)(at + bytes));
}

static json_t *header_json(const struct tensor *tensor, int count,
			   const struct safetensors_text *meta, int metas, uint64_t *data)
{
	json_t *json = json_object(), *texts = json_object();

	*data = 0;
	for (int i = 0; i < metas; i++)
		if (json_object_set_new(texts, meta[i].key, json_string(meta[i].value)) < 0) {
			fail("metadata %s: not UTF-8", meta[i].key);
			goto bad;
		}
	if (metas)
		json_object_set(json, "__metadata__", texts);
	for (int i = 0; i < count; i++) {
		uint64_t bytes = tensor_numbers(&tensor[i]) * tensor_dtype_bytes(tensor[i].dtype);

		if (json_object_get(json, tensor[i].name)) {
			fail("tensor %s: twice", tensor[i].name);
			goto bad;
		}
		if (json_object_set_new(json, tensor[i].name,
					tensor_json(&tensor[i], *data, bytes)) < 0) {
			fail("tensor %s: name not UTF-8, or out of memory", tensor[i].name);
			goto bad;
		}
		*data += bytes;
	}
	json_decref(texts);
	return json;
bad:
	json_decref(texts);
	json_decref(json);
	return NULL;
}

/* The length and the JSON, with spaces up to a multiple of 8. The caller frees it. */
static char *header_text(json_t *json, size_t *n)
{
	size_t length = json_dumpb(json, NULL, 0, JSON_COMPACT);
	char *text;

	*n = 8 + round_up(length, 8);
	text = length ? malloc(*n) : NULL;
	if (!text) {
		fail("out of memory");
		return NULL;
	}
	memset(text, ' ', *n);
	json_dumpb(json, text + 8, length, JSON_COMPACT);
	put_u64((unsigned char *)text, *n - 8);
	if (*n - 8 > SAFETENSORS_HEADER_MAX) {
		fail("header of %zu bytes: more than %d", *n, SAFETENSORS_HEADER_MAX);
		free(text);
		return NULL;
	}
	return text;
}

struct safetensors_writer *safetensors_create(const char *path, const struct tensor *tensor,
					      int count, const struct safetensors_text *meta,
					      int metas)
{
	struct safetensors_writer *w = calloc(1, sizeof(*w));
	char *text = NULL;
	json_t *json;
	size_t n;

	if (!w) {
		fail("%s: out of memory", path);
		return NULL;
	}
	json = header_json(tensor, count, meta, metas, &w->left);
	if (json)
		text = header_text(json, &n);
	json_decref(json);
	if (!text || newfile_open(&w->file, path) < 0) {
		if (!text)
			fail_add("%s", path);
		free(text);
		free(w);
		return NULL;
	}
	int r = write_full(w->file.fd, text, n);
	free(text);
	if (r < 0) {
		fail_add("%s", path);
		safetensors_abort(w);
		return NULL;
	}
	return w;
}

int safetensors_write(struct safetensors_writer *w, const void *data, size_t n)
{
	assert(n <= w->left);
	w->left -= n;
	if (write_full(w->file.fd, data, n) < 0)
		return fail_add("%s", w->file.path);
	return 0;
}

int safetensors_commit(struct safetensors_writer *w)
{
	assert(!w->left);
	int r = newfile_commit(&w->file);
	free(w);
	return r;
}

void safetensors_abort(struct safetensors_writer *w)
{
	if (!w)
		return;
	newfile_abort(&w->file);
	free(w);
}
