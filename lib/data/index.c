#include "data/index.h"

#include "base/fail.h"
#include "base/io.h"
#include "data/tfrecord.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMEDY "tfrec-ls --index makes one"
#define INDEX_MAX ((size_t)4 << 30)     /* bytes of an index file */

char *index_path(const char *shard)
{
	const char *slash = strrchr(shard, '/');
	int folder = slash ? (int)(slash + 1 - shard) : 0;
	struct text t = { 0 };

	text_add(&t, "%.*sidx/%s.idx", folder, shard, shard + folder);
	return text_take(&t);
}

int index_add(struct index *x, uint64_t size)
{
	uint64_t n = x->count;

	/* Room is doubled at powers of two: no second counter to keep. */
	if (!x->offset || (n >= 1 && !((n + 1) & n))) {
		size_t room = x->offset ? 2 * ((size_t)n + 1) : 2;
		uint64_t *offset = realloc(x->offset, room * sizeof *offset);

		if (!offset)
			return fail("no memory for an index of %" PRIu64 " records", n);
		if (!x->offset)
			offset[0] = 0;
		x->offset = offset;
	}
	if (__builtin_add_overflow(x->offset[n], size, &x->offset[n + 1]))
		return fail("offsets beyond 2^64");
	x->count = n + 1;
	return 0;
}

void index_release(struct index *x)
{
	free(x->offset);
	memset(x, 0, sizeof *x);
}

/* A decimal number of digits only; NULL if there is none or it is too large. */
static const char *number(const char *p, uint64_t *value)
{
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return NULL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return NULL;
	*value = v;
	return p;
}

static int parse(struct index *x, const char *p, const char *end)
{
	uint64_t line = 1;

	for (; p < end; line++) {
		uint64_t offset, size, behind = x->count ? x->offset[x->count] : 0;

		p = number(p, &offset);
		if (p && *p == ' ')
			p = number(p + 1, &size);
		else
			p = NULL;
		if (p && *p == '\r')
			p++;
		if (!p || (p < end && *p++ != '\n'))
			return fail("line %" PRIu64 ": not 'offset size' (" REMEDY ")", line);
		if (offset != behind || size < TFRECORD_OVER)
			return fail("line %" PRIu64 ": records do not lie one behind the other ("
				    REMEDY ")", line);
		if (index_add(x, size))
			return fail_add("line %" PRIu64, line);
	}
	return 0;
}

int index_read(struct index *x, const char *shard, int *status)
{
	char *path = index_path(shard), *data = NULL;
	size_t n;
	int rc = -1;

	memset(x, 0, sizeof *x);
	*status = 3;
	if (!path)
		return fail("%s: no memory", shard);
	if (access(path, F_OK)) {
		rc = errno == ENOENT || errno == ENOTDIR ? 0 : fail_errno("%s", path);
		goto out;
	}
	data = file_read(path, INDEX_MAX, &n);
	if (!data)
		goto out;
	*status = 1;
	rc = parse(x, data, data + n) ? fail_add("%s", path) : 1;
out:
	if (rc < 0)
		index_release(x);
	free(data);
	free(path);
	return rc;
}

int index_scan(struct index *x, const char *shard, uint64_t max, int *status)
{
	struct tfrecord_reader *r = tfrecord_open(shard, max, status);
	struct tfrecord record;
	int rc;

	memset(x, 0, sizeof *x);
	if (!r)
		return -1;
	while ((rc = tfrecord_skip(r, &record)) > 0)
		if (index_add(x, record.size + TFRECORD_OVER)) {
			rc = fail_add("%s", shard);
			*status = 3;
			goto out;
		}
	if (rc < 0)
		*status = tfrecord_status(r);
out:
	if (rc < 0)
		index_release(x);
	tfrecord_close(r);
	return rc;
}

static int make_folder(const char *path)
{
	char *folder = strdup(path), *slash;
	int rc = 0;

	if (!folder)
		return fail("%s: no memory", path);
	slash = strrchr(folder, '/');
	*slash = 0;
	if (mkdir(folder, 0777) && errno != EEXIST)
		rc = fail_errno("%s", folder);
	free(folder);
	return rc;
}

int index_write(const struct index *x, const char *shard)
{
	char *path = index_path(shard);
	struct newfile file = { 0 };
	struct text t = { 0 };
	uint64_t i;
	int rc = -1;

	if (!path)
		return fail("%s: no memory", shard);
	if (make_folder(path) || newfile_open(&file, path))
		goto out;
	for (i = 0; i < x->count; i++)
		text_add(&t, "%" PRIu64 " %" PRIu64 "\n", x->offset[i],
			 x->offset[i + 1] - x->offset[i]);
	if (t.failed) {
		fail("%s: no memory", path);
		goto out;
	}
	if (t.length && write_full(file.fd, t.data, t.length)) {
		fail_add("%s", path);
		goto out;
	}
	rc = newfile_commit(&file);
out:
	if (rc)
		newfile_abort(&file);
	text_release(&t);
	free(path);
	return rc;
}

int index_fits(const struct index *x, const char *shard, uint64_t bytes)
{
	uint64_t end = x->count ? x->offset[x->count] : 0;

	if (end == bytes)
		return 0;
	return fail("%s: its index ends at byte %" PRIu64 ", the shard at %" PRIu64
		    ": the index does not fit (" REMEDY ")", shard, end, bytes);
}

uint64_t index_longest(const struct index *x)
{
	uint64_t longest = 0, i;

	for (i = 0; i < x->count; i++)
		if (x->offset[i + 1] - x->offset[i] > longest)
			longest = x->offset[i + 1] - x->offset[i];
	return longest;
}
