#include "data/save.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/text.h"
#include "data/probe.h"
#include "data/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct save {
	char *folder;
	const struct manifest *manifest;
	struct example example;
	struct sample sample;
	char *made;             /* the folder made last, so that it is not made again */
	int status;
};

static int make_folder(const char *path)
{
	return mkdir(path, 0777) && errno != EEXIST ? fail_errno("%s", path) : 0;
}

struct save *save_open(const char *folder, const struct manifest *m, int *status)
{
	struct save *s = calloc(1, sizeof *s);

	*status = 3;
	if (!s || !(s->folder = strdup(folder))) {
		free(s);
		fail("%s: no memory", folder);
		return NULL;
	}
	s->manifest = m;
	s->status = 3;
	if (make_folder(folder)) {
		save_close(s);
		return NULL;
	}
	return s;
}

int save_status(const struct save *s)
{
	return s->status;
}

void save_close(struct save *s)
{
	if (!s)
		return;
	example_release(&s->example);
	sample_release(&s->sample);
	free(s->folder);
	free(s->made);
	free(s);
}

/* Whether no part of the name leads elsewhere. */
static int is_safe(const unsigned char *name, size_t n)
{
	size_t at = 0;

	if (!n || memchr(name, 0, n))
		return 0;
	while (at < n) {
		const unsigned char *slash = memchr(name + at, '/', n - at);
		size_t part = slash ? (size_t)(slash - name) - at : n - at;

		if (!part || (part == 1 && name[at] == '.') ||
		    (part == 2 && name[at] == '.' && name[at + 1] == '.'))
			return 0;
		at += part + 1;
		if (slash && at == n)
			return 0;
	}
	return 1;
}

static void add_class(struct save *s, struct text *t)
{
	const struct manifest *m = s->manifest;
	const unsigned char *name;
	size_t n;
	uint64_t label = (uint64_t)s->sample.label - (uint64_t)(m ? m->label_base : 0);

	if (m && label < m->classes)
		text_add(t, "%s", m->class[label].name);
	else if (sample_bytes(&s->example, KEY_SYNSET, &name, &n) > 0 && n)
		text_add_bytes(t, name, n);
	else
		text_add(t, "%" PRId64, s->sample.label);
	text_add(t, "/");
}

static void add_name(struct save *s, struct text *t, const struct fetched *item)
{
	const char *format = image_format(s->sample.image, s->sample.image_size);
	const unsigned char *name = s->sample.name;
	size_t n = s->sample.name_size;

	while (n && *name == '/') {
		name++;
		n--;
	}
	if (n)
		text_add_bytes(t, name, n);
	else
		text_add(t, "%05" PRIu32 "-%06" PRIu64 ".%s", item->number, item->record,
			 format && !strcmp(format, "PNG") ? "png" : "jpg");
}

/* The folders of a path below the folder: 0 or -1. */
static int make_way(struct save *s, char *path)
{
	char *slash = strrchr(path, '/'), *p;
	int rc = 0;

	*slash = 0;
	if (!s->made || strcmp(s->made, path)) {
		for (p = path + strlen(s->folder) + 1; !rc && (p = strchr(p, '/')); p++) {
			*p = 0;
			rc = make_folder(path);
			*p = '/';
		}
		if (!rc)
			rc = make_folder(path);
		free(s->made);
		s->made = rc ? NULL : strdup(path);
	}
	*slash = '/';
	return rc;
}

static int write_file(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), rc;

	if (fd < 0)
		return fail_errno("%s", path);
	rc = write_full(fd, data, n) ? fail_add("%s", path) : 0;
	if (close(fd) && !rc)
		rc = fail_errno("%s", path);
	if (rc)
		unlink(path);
	return rc;
}

static int save_one(struct save *s, const struct load *l, const struct fetched *item)
{
	struct text t = { 0 };
	size_t below;
	char *path;
	int rc;

	s->status = 1;
	TRY(example_parse(&s->example, l->frames.data + item->at + TFRECORD_HEAD,
			  item->size - TFRECORD_OVER));
	TRY(sample_take(&s->sample, &s->example));
	text_add(&t, "%s/", s->folder);
	below = t.length;
	add_class(s, &t);
	add_name(s, &t, item);
	if (!t.failed && !is_safe((unsigned char *)t.data + below, t.length - below)) {
		text_release(&t);
		return fail("its class and name make no path below the folder");
	}
	s->status = 3;
	path = text_take(&t);
	if (!path)
		return -1;
	rc = make_way(s, path) ||
	     write_file(path, s->sample.image, s->sample.image_size) ? -1 : 0;
	free(path);
	return rc;
}

int save_load(struct save *s, const struct load *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (save_one(s, l, &l->item[i]))
			return fail_add("%s: record %" PRIu64 ", offset %" PRIu64,
					l->item[i].name, l->item[i].record,
					l->item[i].offset);
	return 0;
}
