#include "data/inputs.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_MAX ((size_t)4 << 30)
#define LABEL_MAX 1000000       /* of a list without classes */

void inputs_init(struct inputs *in)
{
	memset(in, 0, sizeof *in);
	in->archive = -1;
}

void inputs_release(struct inputs *in)
{
	free(in->item);
	names_release(&in->paths);
	names_release(&in->seen);
	classes_release(&in->classes);
	if (in->archive >= 0)
		close(in->archive);
	free(in->archive_name);
	free(in->parent);
	inputs_init(in);
}

const char *inputs_name(const struct inputs *in, const char *path)
{
	const char *slash = in->listed ? NULL : strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The number of a class by name; new ones only where classes are not fixed. */
static int class_of(struct inputs *in, const char *name, size_t n, const char *path,
		    uint32_t *class)
{
	if (!in->fixed)
		return names_add(&in->classes.names, name, n, class) < 0 ? -1 : 0;
	if (names_find(&in->classes.names, name, n, class))
		return 0;
	return fail("%s: class '%.*s' is not among the %zu of --classes", path, (int)n, name,
		    in->classes.names.n);
}

/* No image of a class may have the name of another. */
static int once(struct inputs *in, uint32_t class, const char *path)
{
	struct text t = { 0 };
	uint32_t number;
	int rc;

	text_add(&t, "%" PRIu32 "/%s", class, inputs_name(in, path));
	if (t.failed)
		return fail("no memory");
	rc = names_add(&in->seen, t.data, t.length, &number);
	text_release(&t);
	if (!rc)
		rc = fail("%s: its class has another image named %s", path,
			  inputs_name(in, path));
	return rc < 0 ? -1 : 0;
}

static int add(struct inputs *in, const char *path, uint32_t class, uint64_t offset,
	       uint64_t size)
{
	struct input *to;

	if (in->n == in->room) {
		size_t room = in->room ? 2 * in->room : 1024;
		void *item = realloc(in->item, room * sizeof *in->item);

		if (!item)
			return fail("no memory for %zu images", room);
		in->item = item;
		in->room = room;
	}
	TRY(once(in, class, path));
	to = &in->item[in->n];
	if (names_add(&in->paths, path, strlen(path), &to->path) < 0)
		return -1;
	to->class = class;
	to->offset = offset;
	to->size = size;
	in->n++;
	return 0;
}

/* ---- folders ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a folder but for hidden ones, in order of their bytes; *n of them, each to
 * be freed, and the list. NULL: reason. */
static char **entries(const char *folder, size_t *n)
{
	DIR *dir = opendir(folder);
	char **name = NULL;
	size_t room = 0;
	struct dirent *e;

	*n = 0;
	if (!dir) {
		fail_errno("%s", folder);
		return NULL;
	}
	while (errno = 0, (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (*n + 1 >= room) {
			void *more = realloc(name, (room = room ? 2 * room : 64) * sizeof *name);

			if (!more)
				break;
			name = more;
		}
		if (!(name[*n] = strdup(e->d_name)))
			break;
		++*n;
	}
	if (e || errno) {
		fail("%s: %s", folder, e ? "no memory" : strerror(errno));
		while (*n)
			free(name[--*n]);
		free(name);
		name = NULL;
	} else if (!name) {
		name = malloc(sizeof *name);
	}
	closedir(dir);
	if (name)
		qsort(name, *n, sizeof *name, by_text);
	return name;
}

static char *join(const char *folder, const char *name)
{
	size_t n = strlen(folder);
	struct text t = { 0 };

	text_add(&t, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
	return text_take(&t);
}

static int class_folder(struct inputs *in, const char *folder, const char *class, int *status)
{
	size_t n, i;
	char **name = entries(folder, &n);
	uint32_t number;
	int rc = 0;

	*status = 3;
	if (!name)
		return -1;
	*status = 1;
	for (i = 0; i < n; i++) {
		char *path = rc ? NULL : join(folder, name[i]);
		struct stat st;

		if (!rc && (!path || stat(path, &st))) {
			*status = 3;
			rc = path ? fail_errno("%s", path) : -1;
		} else if (!rc && !S_ISREG(st.st_mode)) {
			rc = fail("%s: is no file; folders are DIR/CLASS/FILE: give the folder "
				  "that holds the classes", path);
		} else if (!rc) {
			rc = class_of(in, class, strlen(class), path, &number);
			rc = rc ? rc : add(in, path, number, 0, 0);
		}
		free(path);
		free(name[i]);
	}
	free(name);
	return rc;
}

int inputs_folder(struct inputs *in, const char *folder, int *status)
{
	size_t n, i;
	char **name = entries(folder, &n);
	int rc = 0;

	*status = 3;
	if (!name)
		return -1;
	*status = 1;
	for (i = 0; i < n; i++) {
		char *path = rc ? NULL : join(folder, name[i]);
		struct stat st;

		if (!rc && (!path || stat(path, &st))) {
			*status = 3;
			rc = path ? fail_errno("%s", path) : -1;
		} else if (!rc && !S_ISDIR(st.st_mode)) {
			rc = fail("%s: is in no class; folders are DIR/CLASS/FILE", path);
		} else if (!rc) {
			rc = class_folder(in, path, name[i], status);
		}
		free(path);
		free(name[i]);
	}
	free(name);
	return rc;
}

/* ---- lists ---- */

/* Takes the label off a line: its class and where the path begins. */
static int split(struct inputs *in, char *line, uint32_t *class, char **path)
{
	size_t n = strcspn(line, " \t");
	char *rest = line + n + strspn(line + n, " \t"), *end;
	unsigned long number;

	if (!n || !*rest)
		return fail("not 'LABEL PATH'");
	*path = rest;
	if (in->fixed)
		return class_of(in, line, n, rest, class);
	errno = 0;
	number = strtoul(line, &end, 10);
	if (end != line + n || line[0] == '-' || line[0] == '+' || errno || number > LABEL_MAX)
		return fail("'%.*s' is no label from 0 to %d (class names need --classes)",
			    (int)n, line, LABEL_MAX);
	*class = (uint32_t)number;
	return 0;
}

typedef int use_line(struct inputs *, void *context, const char *path, uint32_t class);

static int read_list(struct inputs *in, const char *list, use_line *use, void *context,
		     int *status)
{
	const char *shown = strcmp(list, "-") ? list : "stdin";
	size_t n, at, line = 0;
	char *data;
	int rc = 0;

	*status = 3;
	data = file_read(list, LIST_MAX, &n);
	if (!data)
		return -1;
	*status = 1;
	for (at = 0; at < n && !rc; ) {
		char *end = memchr(data + at, '\n', n - at), *path = NULL;
		size_t next = end ? (size_t)(end - data) + 1 : n + 1, last = next - 1;
		uint32_t class;

		line++;
		data[last] = 0;
		if (memchr(data + at, 0, last - at))
			rc = fail("a NUL in it");
		if (last > at && data[last - 1] == '\r')
			data[last - 1] = 0;
		if (!rc && data[at])
			rc = split(in, data + at, &class, &path) ||
			     use(in, context, path, class) ? -1 : 0;
		if (rc)
			fail_add("%s: line %zu", shown, line);
		at = next;
	}
	free(data);
	return rc;
}

/* Classes of a list of numbers are all those up to the greatest. */
static int number_classes(struct inputs *in)
{
	uint32_t most = 0, number, i;
	char name[16];
	size_t k;

	for (k = 0; k < in->n; k++)
		if (in->item[k].class > most)
			most = in->item[k].class;
	for (i = 0; i <= most && in->n; i++) {
		int n = snprintf(name, sizeof name, "%" PRIu32, i);

		if (names_add(&in->classes.names, name, (size_t)n, &number) < 0)
			return -1;
	}
	in->fixed = 1;
	return 0;
}

static int use_file(struct inputs *in, void *context, const char *path, uint32_t class)
{
	(void)context;
	return add(in, path, class, 0, 0);
}

int inputs_list(struct inputs *in, const char *list, int *status)
{
	in->listed = 1;
	TRY(read_list(in, list, use_file, NULL, status));
	*status = 3;
	return in->fixed ? 0 : number_classes(in);
}

/* ---- archives ---- */

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
		return class_of(in, base, strlen(base) - 4, path, class);
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
	return class_of(in, begin, (size_t)(slash - begin), path, class);
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
	rc = class_of_member(in, m, path, class) || once(in, *class, path) ? -1 : 1;
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
		rc = add(in, path, class, m->offset, m->size);
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
		rc = read_list(in, list, use_wanted, &wanted, status);
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
			rc = number_classes(in);
	}
	names_release(&wanted.path);
	free(wanted.class);
	free(wanted.met);
	return rc;
}

int inputs_settle(struct inputs *in)
{
	uint32_t *rank;
	size_t i;

	if (!in->n)
		return fail("no images found");
	names_release(&in->seen);
	if (in->fixed)
		return 0;
	rank = calloc(in->classes.names.n, sizeof *rank);
	if (!rank || classes_sort(&in->classes, rank)) {
		free(rank);
		return fail("no memory");
	}
	for (i = 0; i < in->n; i++)
		in->item[i].class = rank[in->item[i].class];
	free(rank);
	in->fixed = 1;
	return 0;
}
