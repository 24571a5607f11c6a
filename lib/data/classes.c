#include "data/classes.h"

#include "base/fail.h"
#include "base/io.h"

#include <stdlib.h>
#include <string.h>

#define CLASSES_MAX ((size_t)64 << 20)

void classes_release(struct classes *c)
{
	size_t i;

	for (i = 0; c->text && i < c->names.n; i++)
		free(c->text[i]);
	free(c->text);
	names_release(&c->names);
	c->text = NULL;
}

static int add_line(struct classes *c, char *line, size_t n, size_t room)
{
	char *tab = memchr(line, '\t', n);
	size_t size = tab ? (size_t)(tab - line) : n;
	uint32_t number;
	int rc;

	if (!size)
		return fail("no name");
	if (memchr(line, '/', size) || memchr(line, 0, n))
		return fail("a name with '/' or NUL");
	rc = names_add(&c->names, line, size, &number);
	if (rc < 0)
		return -1;
	if (!rc)
		return fail("'%.*s' stands there twice", (int)size, line);
	if (!tab || number >= room)
		return 0;
	c->text[number] = strndup(tab + 1, n - size - 1);
	return c->text[number] ? 0 : fail("no memory");
}

int classes_read(struct classes *c, const char *path, int *status)
{
	size_t n, at, lines = 0, line = 0;
	char *data;
	int rc = -1;

	memset(c, 0, sizeof *c);
	*status = 3;
	data = file_read(path, CLASSES_MAX, &n);
	if (!data)
		return -1;
	for (at = 0; at < n; at++)
		lines += data[at] == '\n';
	c->text = calloc(lines + 1, sizeof *c->text);
	if (!c->text) {
		fail("%s: no memory", path);
		goto out;
	}
	*status = 1;
	for (at = 0; at < n; ) {
		char *end = memchr(data + at, '\n', n - at);
		size_t size = end ? (size_t)(end - data) - at : n - at;
		size_t next = at + size + 1;

		line++;
		if (size && data[at + size - 1] == '\r')
			size--;
		if (add_line(c, data + at, size, lines + 1)) {
			fail_add("%s: line %zu", path, line);
			goto out;
		}
		at = next;
	}
	rc = c->names.n ? 0 : fail("%s: no classes in it", path);
out:
	if (rc)
		classes_release(c);
	free(data);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int classes_sort(struct classes *c, uint32_t *rank)
{
	size_t n = c->names.n, i, size;
	const char **sorted = calloc(n ? n : 1, sizeof *sorted);
	struct names names = { 0 };
	uint32_t number, old;
	int rc = -1;

	if (!sorted)
		return fail("no memory for %zu classes", n);
	for (i = 0; i < n; i++)
		sorted[i] = names_get(&c->names, (uint32_t)i, &size);
	qsort(sorted, n, sizeof *sorted, by_name);
	for (i = 0; i < n; i++) {
		if (names_add(&names, sorted[i], strlen(sorted[i]), &number) < 0)
			goto out;
		names_find(&c->names, sorted[i], strlen(sorted[i]), &old);
		rank[old] = number;
	}
	names_release(&c->names);
	c->names = names;
	memset(&names, 0, sizeof names);
	rc = 0;
out:
	names_release(&names);
	free(sorted);
	return rc;
}
