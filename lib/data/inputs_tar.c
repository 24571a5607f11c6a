/* Images in tar archives. */
#include "data/inputs_parts.h"

#include "base/fail.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Members that a list names, with their classes. */
struct wanted {
	struct names path;
	uint32_t *class;
	unsigned char *met;
	size_t room;
};

static int use_wanted(struct inputs *in, void *context, const char *path, uint32_t class)
{
	struct wanted *w = context;
	uint32_t number;
	int rc;

	(void)in;
	if (w->path.n == w->room) {
		size_t room = w->room ? 2 * w->room : 1024;
		void *a = realloc(w->class, room * sizeof *w->class);
		void *b = a ? realloc(w->met, room) : NULL;

		w->class = a ? a : w->class;
		w->met = b ? b : w->met;
		if (!a || !b)
			return fail("no memory for a list of %zu", room);
		w->room = room;
	}
	while (!strncmp(path, "./", 2))
		path += 2;
	rc = names_add(&w->path, path, strlen(path), &number);
	if (rc <= 0)
		return rc ? -1 : fail("%s stands there twice", path);
	w->class[number] = class;
	w->met[number] = 0;
	return 0;
}

/* The class of a member by the folder that holds it, or by the archive within. */
static int class_of_member(struct inputs *in, const struct tar_member *m, const char *path,
			   uint32_t *class)
{
	const char *slash = strrchr(path, '/'), *begin;
	size_t before;

	if (m->inner) {
		const char *base = strrchr(m->inner, '/');

		base = base ? base + 1 : m->inner;
		return inputs_class(in, base, strlen(base) - 4, path, class);
	}
	if (!slash || slash == path)
		return fail("%s: lies in no class folder", path);
	for (begin = slash; begin > path && begin[-1] != '/'; begin--)
		;
	before = (size_t)(begin - path);
	if (!in->parent) {
		in->parent = strndup(path, before);
		if (!in->parent)
			return fail("no memory");
	}
	if (strlen(in->parent) != before || memcmp(in->parent, path, before))
		return fail("%s: its class folder is not in '%s' as those before: choose one "
			    "side by --under", path, before || *in->parent ? in->parent : ".");
	return inputs_class(in, begin, (size_t)(slash - begin), path, class);
}

/* Where a member lies below the folder under; NULL if it does not. */
static const char *below(const struct tar_member *m, const char *under)
{
	const char *path = m->inner ? m->inner : m->path;
	size_t n = strlen(under);

	while (!strncmp(under, "./", 2)) {
		under += 2;
		n -= 2;
	}
	if (strncmp(path, under, n) || (n && under[n - 1] != '/' && path[n] != '/'))
		return NULL;
	return m->path;
}

static char *member_path(const struct tar_member *m)
{
	struct text t = { 0 };

	text_add(&t, "%s%s%s", m->inner ? m->inner : "", m->inner ? "/" : "", m->path);
	return text_take(&t);
}

int inputs_member(struct inputs *in, const struct tar_member *m, const char *under,
		  uint32_t *class)
{
	char *path;
	int rc;

	if (!below(m, under))
		return 0;
	path = member_path(m);
	if (!path)
		return -1;
	rc = class_of_member(in, m, path, class) || inputs_once(in, *class, path) ? -1 : 1;
	free(path);
	return rc;
}

static int add_member(struct inputs *in, const struct tar_member *m, struct wanted *w)
{
	char *path = member_path(m);
	uint32_t class, number;
	int rc;

	if (!path)
		return -1;
	if (!w) {
		rc = class_of_member(in, m, path, &class);
	} else if (names_find(&w->path, path, strlen(path), &number)) {
		class = w->class[number];
		w->met[number] = 1;
		rc = 0;
	} else {
		rc = 1;
	}
	if (!rc)
		rc = inputs_add(in, path, class, m->offset, m->size);
	free(path);
	return rc < 0 ? -1 : 0;
}

static int all_met(const struct wanted *w, const char *archive)
{
	size_t i, size;

	for (i = 0; i < w->path.n; i++)
		if (!w->met[i])
			return fail("%s: has no member %s, which the list names", archive,
				    names_get(&w->path, (uint32_t)i, &size));
	return 0;
}

int inputs_tar(struct inputs *in, struct tar *tar, const char *path, const char *under,
	       const char *list, int *status)
{
	struct wanted wanted = { 0 };
	struct tar_member m;
	int rc = 0;

	in->listed = list != NULL;
	if (list)
		rc = inputs_lines(in, list, use_wanted, &wanted, status);
	*status = 3;
	in->archive_name = strdup(path);
	if (!rc && (in->archive = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		rc = fail_errno("%s", path);
	while (!rc && (rc = tar_next(tar, &m)) > 0) {
		*status = 1;
		rc = below(&m, under) ? add_member(in, &m, list ? &wanted : NULL) : 0;
		if (rc)
			fail_add("%s", path);
	}
	if (rc < 0 && tar_status(tar) == 3)
		*status = 3;
	if (!rc && list) {
		*status = 1;
		rc = all_met(&wanted, path);
		if (!rc && !in->fixed)
			rc = inputs_number_classes(in);
	}
	names_release(&wanted.path);
	free(wanted.class);
	free(wanted.met);
	return rc;
}
