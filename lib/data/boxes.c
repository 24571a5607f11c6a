#include "data/boxes.h"

#include "base/fail.h"
#include "base/io.h"

#include <stdlib.h>
#include <string.h>

#define BOXES_MAX ((size_t)4 << 30)

void boxes_release(struct boxes *b)
{
	names_release(&b->file);
	free(b->box);
	memset(b, 0, sizeof *b);
}

static int by_file(const void *va, const void *vb)
{
	const struct box_line *a = va, *b = vb;

	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	return (a->line > b->line) - (a->line < b->line);
}

static int add_line(struct boxes *b, char *line, size_t n)
{
	char *comma = memchr(line, ',', n), *p = comma;
	struct box_line box;
	float v[4];
	int i;

	if (!comma || comma == line)
		return fail("not 'FILE,xmin,ymin,xmax,ymax'");
	for (i = 0; i < 4; i++) {
		char *begin = p + 1;

		if (*p != ',')
			return fail("not 'FILE,xmin,ymin,xmax,ymax'");
		v[i] = strtof(begin, &p);
		if (p == begin || !(v[i] >= 0 && v[i] <= 1))
			return fail("a corner is not from 0 to 1");
	}
	if (*p == '\r')
		p++;
	if (p != line + n)
		return fail("not 'FILE,xmin,ymin,xmax,ymax'");
	if (v[0] > v[2] || v[1] > v[3])
		return fail("min is more than max");
	if (b->n == b->room) {
		size_t room = b->room ? 2 * b->room : 1024;
		void *more = realloc(b->box, room * sizeof *b->box);

		if (!more)
			return fail("no memory for %zu boxes", room);
		b->box = more;
		b->room = room;
	}
	if (b->n >= UINT32_MAX)
		return fail("too many boxes");
	if (names_add(&b->file, line, (size_t)(comma - line), &box.file) < 0)
		return -1;
	box.line = (uint32_t)b->n;
	box.xmin = v[0];
	box.ymin = v[1];
	box.xmax = v[2];
	box.ymax = v[3];
	b->box[b->n++] = box;
	return 0;
}

int boxes_read(struct boxes *b, const char *path, int *status)
{
	size_t n, at, line = 0;
	char *data;
	int rc = 0;

	memset(b, 0, sizeof *b);
	*status = 3;
	data = file_read(path, BOXES_MAX, &n);
	if (!data)
		return -1;
	*status = 1;
	for (at = 0; at < n && !rc; ) {
		char *end = memchr(data + at, '\n', n - at);
		size_t size = end ? (size_t)(end - data) - at : n - at;

		data[at + size] = 0;
		line++;
		rc = size ? add_line(b, data + at, size) : 0;
		if (rc)
			fail_add("%s: line %zu", path, line);
		at += size + 1;
	}
	free(data);
	if (rc)
		boxes_release(b);
	else if (b->n)
		qsort(b->box, b->n, sizeof *b->box, by_file);
	return rc;
}

size_t boxes_find(const struct boxes *b, const char *name, const struct box_line **first)
{
	const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
	size_t low = 0, high = b->n, n = 0;
	uint32_t file;

	if (!names_find(&b->file, base, strlen(base), &file))
		return 0;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->box[mid].file < file)
			low = mid + 1;
		else
			high = mid;
	}
	*first = b->box + low;
	while (low + n < b->n && b->box[low + n].file == file)
		n++;
	return n;
}
