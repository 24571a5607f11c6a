#include "data/inputs_parts.h"

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

int inputs_class(struct inputs *in, const char *name, size_t n, const char *path,
		    uint32_t *class)
{
	if (!in->fixed)
		return names_add(&in->classes.names, name, n, class) < 0 ? -1 : 0;
	if (names_find(&in->classes.names, name, n, class))
		return 0;
	return fail("%s: class '%.*s' is not among the %zu of --classes", path, (int)n, name,
		    in->classes.names.n);
}

int inputs_once(struct inputs *in, uint32_t class, const char *path)
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

int inputs_add(struct inputs *in, const char *path, uint32_t class, uint64_t offset,
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
	TRY(inputs_once(in, class, path));
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
			rc = inputs_class(in, class, strlen(class), path, &number);
			rc = rc ? rc : inputs_add(in, path, number, 0, 0);
		}
		free(path);
		free(name[i]);
	}
	free(name);
	return rc;
}

int inputs_folder(struct inputs *in, const char *folder, int *status)
{
	struct stat whole;
	size_t n, i;
	char **name;
	int rc = 0;

	*status = 3;
	if (!stat(folder, &whole) && S_ISREG(whole.st_mode))
		return fail("%s: is a file, not a folder of classes; archives are given with "
			    "--from-tar, lists with --list", folder);
	name = entries(folder, &n);
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
		return inputs_class(in, line, n, rest, class);
	errno = 0;
	number = strtoul(line, &end, 10);
	if (end != line + n || line[0] == '-' || line[0] == '+' || errno || number > LABEL_MAX)
		return fail("'%.*s' is no label from 0 to %d (class names need --classes)",
			    (int)n, line, LABEL_MAX);
	*class = (uint32_t)number;
	return 0;
}

int inputs_lines(struct inputs *in, const char *list, inputs_use *use, void *context,
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

int inputs_number_classes(struct inputs *in)
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
	return inputs_add(in, path, class, 0, 0);
}

int inputs_list(struct inputs *in, const char *list, int *status)
{
	in->listed = 1;
	TRY(inputs_lines(in, list, use_file, NULL, status));
	*status = 3;
	return in->fixed ? 0 : inputs_number_classes(in);
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
