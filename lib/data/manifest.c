#include "data/manifest.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORMAT "millrace-shards"
#define MANIFEST_MAX ((size_t)256 << 20)

static int digits(const char *p, size_t n, uint32_t *value)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return 0;
		v = v * 10 + (uint64_t)(p[i] - '0');
		if (v > UINT32_MAX)
			return 0;
	}
	*value = (uint32_t)v;
	return n >= 5;
}

int shard_name(const char *path, size_t *prefix, uint32_t *number, uint32_t *of)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	const char *end = base + strlen(base), *mid = NULL, *p, *dash;

	for (p = base; (p = strstr(p, "-of-")); p++)
		mid = p;
	if (!mid || !digits(mid + 4, (size_t)(end - mid - 4), of))
		return 0;
	for (dash = mid; dash > base && dash[-1] != '-'; dash--)
		;
	if (dash <= base + 1 || !digits(dash, (size_t)(mid - dash), number) || *number >= *of)
		return 0;
	*prefix = (size_t)(dash - 1 - path);
	return 1;
}

char *shard_path(const char *prefix, uint32_t number, uint32_t of)
{
	struct text t = { 0 };

	text_add(&t, "%s-%05" PRIu32 "-of-%05" PRIu32, prefix, number, of);
	return text_take(&t);
}

void manifest_release(struct manifest *m)
{
	size_t i;

	for (i = 0; i < m->shards; i++)
		free(m->shard[i].name);
	for (i = 0; i < m->classes; i++) {
		free(m->class[i].name);
		free(m->class[i].text);
	}
	free(m->shard);
	free(m->class);
	free(m->path);
	memset(m, 0, sizeof *m);
}

static int whole(const json_t *object, const char *key, uint64_t *value)
{
	const json_t *j = json_object_get(object, key);

	if (!json_is_integer(j) || json_integer_value(j) < 0)
		return fail("\"%s\" is no count", key);
	*value = (uint64_t)json_integer_value(j);
	return 0;
}

static int string(const json_t *object, const char *key, char **value)
{
	const char *s = json_string_value(json_object_get(object, key));

	if (!s)
		return fail("\"%s\" is no string", key);
	*value = strdup(s);
	return *value ? 0 : fail("no memory");
}

static int read_shards(struct manifest *m, const json_t *list)
{
	size_t n = json_array_size(list), i;
	uint64_t sum = 0;

	if (!n)
		return fail("\"shards\" is no list of shards");
	m->shard = calloc(n, sizeof *m->shard);
	if (!m->shard)
		return fail("no memory");
	for (m->shards = 0; m->shards < n; m->shards++) {
		struct manifest_shard *s = &m->shard[m->shards];
		const json_t *j = json_array_get(list, m->shards);

		if (string(j, "name", &s->name) || whole(j, "samples", &s->samples) ||
		    whole(j, "bytes", &s->bytes)) {
			free(s->name);
			return fail_add("shard %zu", m->shards);
		}
	}
	for (i = 0; i < n; i++)
		if (__builtin_add_overflow(sum, m->shard[i].samples, &sum))
			return fail("too many samples");
	if (sum != m->samples)
		return fail("the shards hold %" PRIu64 " samples, \"samples\" says %" PRIu64,
			    sum, m->samples);
	return 0;
}

static int read_classes(struct manifest *m, const json_t *list)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list))
		return fail("\"classes\" is no list");
	m->class = calloc(n ? n : 1, sizeof *m->class);
	if (!m->class)
		return fail("no memory");
	for (m->classes = 0; m->classes < n; m->classes++) {
		struct manifest_class *c = &m->class[m->classes];
		const json_t *j = json_array_get(list, m->classes);

		if (string(j, "name", &c->name) || whole(j, "samples", &c->samples) ||
		    (json_object_get(j, "text") && string(j, "text", &c->text))) {
			free(c->name);
			return fail_add("class %zu", m->classes);
		}
	}
	return 0;
}

static int read_fields(struct manifest *m, const json_t *root)
{
	const json_t *columns = json_object_get(root, "columns");
	uint64_t version, base;
	size_t i;

	TRY(whole(root, "version", &version));
	if (version != 1)
		return fail("version %" PRIu64 " is not known here", version);
	TRY(whole(root, "samples", &m->samples));
	TRY(whole(root, "longest", &m->longest));
	TRY(whole(root, "label_base", &base));
	m->label_base = (int64_t)base;
	for (i = 0; i < json_array_size(columns); i++) {
		const char *name = json_string_value(json_array_get(columns, i));

		if (name && !strcmp(name, "boxes"))
			m->boxes = 1;
	}
	TRY(read_classes(m, json_object_get(root, "classes")));
	return read_shards(m, json_object_get(root, "shards"));
}

int manifest_read(struct manifest *m, const char *path, int *status)
{
	const char *format;
	json_error_t error;
	json_t *root = NULL;
	char *data = NULL;
	size_t n;
	int rc = -1;

	memset(m, 0, sizeof *m);
	*status = 3;
	if (access(path, F_OK))
		return errno == ENOENT || errno == ENOTDIR ? 0 : fail_errno("%s", path);
	data = file_read(path, MANIFEST_MAX, &n);
	if (!data)
		goto out;
	*status = 1;
	root = json_loadb(data, n, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		fail("%s: line %d: %s", path, error.line, error.text);
		goto out;
	}
	format = json_string_value(json_object_get(root, "format"));
	if (!format || strcmp(format, FORMAT)) {
		rc = 0;
		goto out;
	}
	m->path = strdup(path);
	rc = !m->path ? fail("no memory") : read_fields(m, root) ? fail_add("%s", path) : 1;
out:
	if (rc <= 0)
		manifest_release(m);
	json_decref(root);
	free(data);
	return rc;
}

/* One entry a line, so that the file of a thousand shards can be read and compared. A
 * name that is no UTF-8 gives NULL. */
static int add_entry(struct text *t, json_t *entry, int last)
{
	char *line = entry ? json_dumps(entry, 0) : NULL;

	json_decref(entry);
	if (!line)
		return fail("a name that is no UTF-8, or no memory");
	text_add(t, "  %s%s\n", line, last ? "" : ",");
	free(line);
	return 0;
}

static int add_entries(struct text *t, const struct manifest *m)
{
	size_t i;

	text_add(t, " \"classes\": [\n");
	for (i = 0; i < m->classes; i++) {
		const struct manifest_class *c = &m->class[i];
		json_t *j = json_pack("{s:s, s:I}", "name", c->name,
				      "samples", (json_int_t)c->samples);

		if (c->text && json_object_set_new(j, "text", json_string(c->text)))
			return fail("class %s: its words are no UTF-8", c->name);
		TRY(add_entry(t, j, i + 1 == m->classes));
	}
	text_add(t, " ],\n \"shards\": [\n");
	for (i = 0; i < m->shards; i++)
		TRY(add_entry(t, json_pack("{s:s, s:I, s:I}", "name", m->shard[i].name,
					   "samples", (json_int_t)m->shard[i].samples,
					   "bytes", (json_int_t)m->shard[i].bytes),
			      i + 1 == m->shards));
	text_add(t, " ]\n}\n");
	return 0;
}

int manifest_write(const struct manifest *m)
{
	struct newfile file = { 0 };
	struct text t = { 0 };
	int rc = -1;

	text_add(&t, "{\n \"format\": \"" FORMAT "\",\n \"version\": 1,\n");
	text_add(&t, " \"samples\": %" PRIu64 ",\n \"label_base\": %" PRId64 ",\n"
		 " \"longest\": %" PRIu64 ",\n", m->samples, m->label_base, m->longest);
	text_add(&t, " \"columns\": [\"image\", \"label\", \"id\", \"name\"%s],\n",
		 m->boxes ? ", \"boxes\"" : "");
	if (add_entries(&t, m)) {
		fail_add("%s", m->path);
		goto out;
	}
	if (t.failed) {
		fail("%s: no memory", m->path);
		goto out;
	}
	if (newfile_open(&file, m->path))
		goto out;
	if (write_full(file.fd, t.data, t.length)) {
		fail_add("%s", m->path);
		newfile_abort(&file);
		goto out;
	}
	rc = newfile_commit(&file);
out:
	text_release(&t);
	return rc;
}

const struct manifest_shard *manifest_find(const struct manifest *m, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	uint32_t number, of;
	size_t prefix, i;

	/* In its place where the manifest lists the shards in order, as tfrec-pack does. */
	if (shard_name(path, &prefix, &number, &of) && number < m->shards &&
	    !strcmp(m->shard[number].name, base))
		return &m->shard[number];
	for (i = 0; i < m->shards; i++)
		if (!strcmp(m->shard[i].name, base))
			return &m->shard[i];
	return NULL;
}
