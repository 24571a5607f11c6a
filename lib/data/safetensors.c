#include "data/safetensors.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "base/io.h"

#include <assert.h>
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct safetensors {
	char *path;
	int fd;
	uint64_t data;                  /* where the tensors' bytes begin */
	int count, metas;
	struct tensor *tensor;          /* by place in the file */
	int *by_name;                   /* their indices, sorted by name */
	struct safetensors_text *meta;
	json_t *json;                   /* owns the names and texts */
};

/* The first bytes of a name, fit for a message. */
static const char *plain(const char *name, char buf[64])
{
	size_t i = 0;

	for (; name[i] && i < 60; i++)
		buf[i] = iscntrl((unsigned char)name[i]) ? '?' : name[i];
	strcpy(buf + i, name[i] ? "..." : "");
	return buf;
}

/* Brackets outside of strings, before the parser spends memory on them. */
static int check_depth(const char *text, size_t n)
{
	int depth = 0, in_string = 0;

	for (size_t i = 0; i < n; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = 0;
		} else if (text[i] == '"') {
			in_string = 1;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > SAFETENSORS_DEPTH_MAX)
				return fail("header byte %zu: nested deeper than %d", i,
					    SAFETENSORS_DEPTH_MAX);
		} else if (text[i] == '}' || text[i] == ']') {
			depth--;
		}
	}
	return 0;
}

static int read_uint(const json_t *v, uint64_t *out)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return -1;
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

static int read_shape(const json_t *shape, struct tensor *t, uint64_t *numbers)
{
	char buf[64];

	if (!json_is_array(shape) || json_array_size(shape) > TENSOR_RANK)
		return fail("tensor %s: shape: not a list of at most %d sizes",
			    plain(t->name, buf), TENSOR_RANK);
	t->rank = (int)json_array_size(shape);
	*numbers = 1;
	for (int i = 0; i < t->rank; i++) {
		if (read_uint(json_array_get(shape, (size_t)i), &t->dim[i]) < 0)
			return fail("tensor %s: shape: size %d is not a count",
				    plain(t->name, buf), i);
		if (__builtin_mul_overflow(*numbers, t->dim[i], numbers))
			return fail("tensor %s: shape: the product is beyond 64 bits",
				    plain(t->name, buf));
	}
	return 0;
}

static int read_tensor(const json_t *info, struct tensor *t)
{
	const json_t *offsets = json_object_get(info, "data_offsets");
	const char *dtype = json_string_value(json_object_get(info, "dtype"));
	uint64_t numbers = 1, bytes, end = 0;
	char buf[64];

	if (!dtype)
		return fail("tensor %s: no dtype", plain(t->name, buf));
	if (!tensor_dtype_bytes(dtype))
		return fail("tensor %s: dtype '%.20s' is not known", plain(t->name, buf), dtype);
	strcpy(t->dtype, dtype);
	TRY(read_shape(json_object_get(info, "shape"), t, &numbers));
	if (json_array_size(offsets) != 2 ||
	    read_uint(json_array_get(offsets, 0), &t->at) < 0 ||
	    read_uint(json_array_get(offsets, 1), &end) < 0)
		return fail("tensor %s: data_offsets: not two counts", plain(t->name, buf));
	if (end < t->at)
		return fail("tensor %s: data_offsets: the end %" PRIu64 " is before the start "
			    "%" PRIu64,
			    plain(t->name, buf), end, t->at);
	t->bytes = end - t->at;
	if (__builtin_mul_overflow(numbers, (uint64_t)tensor_dtype_bytes(dtype), &bytes) ||
	    bytes != t->bytes)
		return fail("tensor %s: %" PRIu64 " bytes do not fit its shape and type",
			    plain(t->name, buf), t->bytes);
	return 0;
}

static int read_metadata(struct safetensors *s, json_t *object)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return fail("__metadata__: not an object");
	s->meta = calloc(json_object_size(object) + 1, sizeof(*s->meta));
	if (!s->meta)
		return fail("out of memory");
	json_object_foreach(object, key, value) {
		char buf[64];

		if (!json_is_string(value))
			return fail("__metadata__: %s: not a text", plain(key, buf));
		s->meta[s->metas++] = (struct safetensors_text){ key, json_string_value(value) };
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b, void *context)
{
	const struct safetensors *s = context;

	return strcmp(s->tensor[*(const int *)a].name, s->tensor[*(const int *)b].name);
}

/* The tensors must tile the data: no hole, no overlap, nothing after the last. */
static int check_tiling(struct safetensors *s, uint64_t data_bytes)
{
	uint64_t at = 0;
	char buf[64];

	qsort(s->tensor, (size_t)s->count, sizeof(*s->tensor), by_place);
	for (int i = 0; i < s->count; i++) {
		const struct tensor *t = &s->tensor[i];

		if (t->at > data_bytes || t->bytes > data_bytes - t->at)
			return fail("tensor %s: bytes %" PRIu64 " to %" PRIu64 " of the data, "
				    "which has %"
				    PRIu64 ": the file is cut short", plain(t->name, buf), t->at,
				    t->at + t->bytes, data_bytes);
		if (t->at != at)
			return fail("tensor %s: starts at byte %" PRIu64 " of the data, not at "
				    "%" PRIu64
				    ": %s", plain(t->name, buf), t->at, at,
				    t->at > at ? "a hole" : "an overlap");
		at += t->bytes;
	}
	if (at != data_bytes)
		return fail("%" PRIu64 " bytes after the last tensor", data_bytes - at);
	return 0;
}

static int read_header(struct safetensors *s, const char *text, size_t n, uint64_t data_bytes)
{
	json_error_t error;
	const char *name;
	json_t *info;

	if (text[0] != '{')
		return fail("header: does not begin with '{'");
	TRY(check_depth(text, n));
	s->json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
	if (!s->json)
		return fail("header byte %d: %.200s", error.position, error.text);
	if (json_object_size(s->json) > SAFETENSORS_TENSORS_MAX)
		return fail("more than %d tensors", SAFETENSORS_TENSORS_MAX);
	s->tensor = calloc(json_object_size(s->json) + 1, sizeof(*s->tensor));
	s->by_name = calloc(json_object_size(s->json) + 1, sizeof(*s->by_name));
	if (!s->tensor || !s->by_name)
		return fail("out of memory");
	json_object_foreach(s->json, name, info) {
		if (!strcmp(name, "__metadata__")) {
			TRY(read_metadata(s, info));
			continue;
		}
		s->tensor[s->count].name = name;
		TRY(read_tensor(info, &s->tensor[s->count]));
		s->by_name[s->count] = s->count;
		s->count++;
	}
	TRY(check_tiling(s, data_bytes));
	qsort_r(s->by_name, (size_t)s->count, sizeof(*s->by_name), by_name, s);
	return 0;
}

static int read_file(struct safetensors *s, int *status)
{
	unsigned char length[8];
	struct stat st;
	uint64_t n;
	char *text;
	int r;

	if (fstat(s->fd, &st) < 0)
		return fail_errno("cannot look at it");
	if (!S_ISREG(st.st_mode)) {
		*status = S_ISDIR(st.st_mode) ? 3 : 1;
		return fail("not a regular file");
	}
	ssize_t got = read_at(s->fd, length, 8, 0);
	if (got < 0)
		return -1;
	*status = 1;
	if (got < 8)
		return fail("%zd bytes are no safetensors file", got);
	if (length[0] == 'P' && length[1] == 'K')
		return fail("a zip file (a pickle of PyTorch?), not safetensors; convert it: "
			    "import torch, safetensors.torch as s; "
			    "s.save_file(torch.load('x.pth', weights_only=True), 'x.safetensors')");
	n = get_u64(length);
	if (n < 2 || n > SAFETENSORS_HEADER_MAX)
		return fail("header of %" PRIu64 " bytes: not a safetensors file", n);
	if (n > (uint64_t)st.st_size - 8)
		return fail("header of %" PRIu64 " bytes in a file of %jd: cut short, or no "
			    "safetensors file", n, (intmax_t)st.st_size);
	text = malloc(n);
	if (!text) {
		*status = 3;
		return fail("out of memory");
	}
	got = read_at(s->fd, text, n, 8);
	s->data = 8 + n;
	if (got < 0)
		*status = 3;
	r = got < 0 ? -1 : (size_t)got < n ? fail("header cut short")
		: read_header(s, text, n, (uint64_t)st.st_size - s->data);
	free(text);
	return r;
}

struct safetensors *safetensors_open(const char *path, int *status)
{
	struct safetensors *s = calloc(1, sizeof(*s));

	*status = 3;
	if (!s || !(s->path = strdup(path))) {
		fail("%s: out of memory", path);
		free(s);
		return NULL;
	}
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (s->fd < 0) {
		fail_errno("%s", path);
	} else if (read_file(s, status) < 0) {
		fail_add("%s", path);
	} else {
		*status = 0;
		return s;
	}
	safetensors_close(s);
	return NULL;
}

void safetensors_close(struct safetensors *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	json_decref(s->json);
	free(s->path);
	free(s->tensor);
	free(s->by_name);
	free(s->meta);
	free(s);
}

int safetensors_count(const struct safetensors *s)
{
	return s->count;
}

const struct tensor *safetensors_tensor(const struct safetensors *s, int i)
{
	assert(i >= 0 && i < s->count);
	return &s->tensor[i];
}

int safetensors_find(const struct safetensors *s, const char *name)
{
	int from = 0, to = s->count;

	while (from < to) {
		int mid = from + (to - from) / 2;
		int order = strcmp(name, s->tensor[s->by_name[mid]].name);

		if (!order)
			return s->by_name[mid];
		if (order < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return -1;
}

int safetensors_read(const struct safetensors *s, int i, uint64_t from, void *buf, size_t n)
{
	const struct tensor *t = safetensors_tensor(s, i);
	char name[64];

	assert(from <= t->bytes && n <= t->bytes - from);
	ssize_t got = read_at(s->fd, buf, n, s->data + t->at + from);
	if (got < 0)
		return fail_add("%s: tensor %s", s->path, plain(t->name, name));
	if ((size_t)got < n)
		return fail("%s: tensor %s: the file has become shorter", s->path,
			    plain(t->name, name));
	return 0;
}

const char *safetensors_meta(const struct safetensors *s, const char *key)
{
	for (int i = 0; i < s->metas; i++)
		if (!strcmp(s->meta[i].key, key))
			return s->meta[i].value;
	return NULL;
}

int safetensors_metas(const struct safetensors *s)
{
	return s->metas;
}

struct safetensors_text safetensors_meta_at(const struct safetensors *s, int i)
{
	assert(i >= 0 && i < s->metas);
	return s->meta[i];
}

uint64_t safetensors_place(const struct safetensors *s, int i)
{
	return s->data + safetensors_tensor(s, i)->at;
}

int safetensors_fd(const struct safetensors *s)
{
	return s->fd;
}

const char *safetensors_path(const struct safetensors *s)
{
	return s->path;
}
