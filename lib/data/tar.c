#include "data/tar.h"

#include "base/fail.h"
#include "base/io.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Small where members are jumped over, so that a pass over the headers reads little. */
enum { BLOCK_JUMP = 4096, BLOCK_READ = 1 << 18 };

/* What libarchive reads from: a stretch of the file, or the pipe, or the data of the
 * present member of the archive around it. */
struct feeder {
	struct tar *tar;
	struct archive *outer;          /* not NULL: its data */
	uint64_t begin, at, end;        /* of the stretch */
	unsigned char *block;
	size_t block_size;
	int zeros;                      /* the last bytes read were zeros */
	int ended;                      /* the input ended before libarchive had enough */
};

struct tar {
	char *name;
	int fd, regular, status;
	uint64_t size;
	int plain, begun;
	struct archive *archive, *inner;
	struct feeder feeder, inner_feeder;
	char outer_path[TAR_NAME], path[TAR_NAME];
};

static la_ssize_t feed_block(struct archive *a, void *context, const void **block)
{
	struct feeder *f = context;
	struct tar *t = f->tar;
	size_t want = f->block_size, i;
	ssize_t got;

	if (f->outer) {
		got = archive_read_data(f->outer, f->block, want);
		if (got < 0)
			archive_set_error(a, EIO, "%s", archive_error_string(f->outer));
	} else if (t->regular) {
		if (want > f->end - f->at)
			want = (size_t)(f->end - f->at);
		got = read_at(t->fd, f->block, want, f->at);
	} else {
		do
			got = read(t->fd, f->block, want);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			fail_errno("read");
	}
	if (got < 0 && !f->outer) {
		t->status = 3;
		archive_set_error(a, EIO, "%s", fail_why());
	}
	if (got <= 0) {
		f->ended = !got;
		return got < 0 ? -1 : 0;
	}
	f->at += (uint64_t)got;
	f->zeros = 1;
	for (i = got > 512 ? (size_t)got - 512 : 0; i < (size_t)got; i++)
		f->zeros &= !f->block[i];
	*block = f->block;
	return got;
}

static la_int64_t feed_jump(struct archive *a, void *context, la_int64_t n)
{
	struct feeder *f = context;

	(void)a;
	if (f->outer || !f->tar->regular || n <= 0)
		return 0;
	if ((uint64_t)n > f->end - f->at)
		n = (la_int64_t)(f->end - f->at);
	f->at += (uint64_t)n;
	return n;
}

static int archive_bad(struct tar *t, struct archive *a, const char *where)
{
	const char *why = archive_error_string(a);

	if (t->status != 3)
		t->status = 1;
	return fail("%s%s%s: %s", t->name, where ? ": " : "", where ? where : "",
		    why ? why : "damaged");
}

static struct archive *archive_begin(struct tar *t, struct feeder *f, int filters)
{
	struct archive *a = archive_read_new();

	f->tar = t;
	f->block_size = t->regular && !f->outer ? BLOCK_JUMP : BLOCK_READ;
	if (!f->block)
		f->block = malloc(BLOCK_READ);
	if (!a || !f->block) {
		fail("%s: no memory", t->name);
		archive_read_free(a);
		t->status = 3;
		return NULL;
	}
	if (filters)
		archive_read_support_filter_all(a);
	archive_read_support_format_tar(a);
	if (archive_read_open2(a, f, NULL, feed_block, feed_jump, NULL) != ARCHIVE_OK) {
		archive_bad(t, a, NULL);
		archive_read_free(a);
		return NULL;
	}
	return a;
}

struct tar *tar_open(const char *path, int *status)
{
	struct tar *t = calloc(1, sizeof *t);
	struct stat st;

	*status = 3;
	if (!t || !(t->name = strdup(strcmp(path, "-") ? path : "stdin"))) {
		free(t);
		fail("%s: no memory", path);
		return NULL;
	}
	t->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (t->fd < 0 || fstat(t->fd, &st)) {
		fail_errno("%s", t->name);
		goto bad;
	}
	if (S_ISDIR(st.st_mode)) {
		fail("%s: is a folder, not a tar archive", t->name);
		goto bad;
	}
	t->regular = S_ISREG(st.st_mode) && t->fd != STDIN_FILENO;
	t->size = t->regular ? (uint64_t)st.st_size : 0;
	t->feeder.end = t->size;
	t->archive = archive_begin(t, &t->feeder, 1);
	if (t->archive)
		return t;
	*status = t->status;
bad:
	tar_close(t);
	return NULL;
}

int tar_plain(const struct tar *t)
{
	return t->plain;
}

int tar_status(const struct tar *t)
{
	return t->status ? t->status : 1;
}

void tar_close(struct tar *t)
{
	if (!t)
		return;
	archive_read_free(t->inner);
	archive_read_free(t->archive);
	if (t->fd > STDIN_FILENO)
		close(t->fd);
	free(t->feeder.block);
	free(t->inner_feeder.block);
	free(t->name);
	free(t);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int is_tar(const char *path)
{
	size_t n = strlen(path);

	return n > 4 && !strcmp(path + n - 4, ".tar");
}

/* The member's name into path: 0 or -1. */
static int take_name(struct tar *t, struct archive_entry *e, char path[TAR_NAME])
{
	const char *name = archive_entry_pathname(e);

	if (!name)
		name = archive_entry_pathname_utf8(e);
	if (!name)
		return fail("%s: a member's name cannot be read", t->name);
	while (!strncmp(name, "./", 2))
		name += 2;
	if (strlen(name) >= TAR_NAME)
		return fail("%s: a member's name is longer than %d bytes", t->name, TAR_NAME);
	strcpy(path, name);
	return 0;
}

/* What is wrong with the kind of a member, or NULL. */
static const char *unfit(struct archive_entry *e)
{
	if (archive_entry_hardlink(e))
		return "is a hard link: make the archive with tar --hard-dereference";
	if (archive_entry_filetype(e) == AE_IFLNK)
		return "is a symbolic link: make the archive with tar --dereference";
	if (archive_entry_filetype(e) != AE_IFREG)
		return "is no regular file";
	if (archive_entry_sparse_count(e) > 0)
		return "is stored sparse: make the archive without tar --sparse";
	if (!archive_entry_size_is_set(e))
		return "has no size";
	return NULL;
}

/* The end of an archive: 0, or -1 where its end mark is missing. */
static int at_end(struct tar *t, struct archive *a, const struct feeder *f, const char *where)
{
	if (archive_filter_code(a, 0) == ARCHIVE_FILTER_NONE && f->ended && !f->zeros) {
		t->status = 1;
		return fail("%s%s%s: cut off: the zeros that end a tar archive are missing",
			    t->name, where ? ": " : "", where ? where : "");
	}
	return 0;
}

/* The next member of one archive that is a regular file: 1, 0, -1. */
static int next_of(struct tar *t, struct archive *a, const struct feeder *f,
		   const char *where, char path[TAR_NAME], uint64_t *size)
{
	struct archive_entry *e;
	const char *what;
	int rc;

	for (;;) {
		rc = archive_read_next_header(a, &e);
		if (rc == ARCHIVE_EOF)
			return at_end(t, a, f, where);
		if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
			return archive_bad(t, a, where);
		t->status = 1;
		TRY(take_name(t, e, path));
		if ((!archive_entry_hardlink(e) && archive_entry_filetype(e) == AE_IFDIR) ||
		    base_name(path)[0] == '.')
			continue;
		what = unfit(e);
		if (what)
			return fail("%s: %s %s", t->name, path, what);
		*size = (uint64_t)archive_entry_size(e);
		return 1;
	}
}

/* An archive within the archive begins: 0 or -1. */
static int inner_begin(struct tar *t, uint64_t size)
{
	struct feeder *f = &t->inner_feeder;

	f->outer = t->plain ? NULL : t->archive;
	f->begin = f->at = t->plain ? (uint64_t)archive_filter_bytes(t->archive, 0) : 0;
	f->end = f->begin + size;
	f->zeros = f->ended = 0;
	t->inner = archive_begin(t, f, 0);
	return t->inner ? 0 : -1;
}

static int inner_next(struct tar *t, struct tar_member *m)
{
	uint64_t begin = t->inner_feeder.begin;
	int rc = next_of(t, t->inner, &t->inner_feeder, t->outer_path, t->path, &m->size);

	m->inner = t->outer_path;
	m->offset = begin + (rc > 0 ? (uint64_t)archive_filter_bytes(t->inner, 0) : 0);
	if (!rc) {
		archive_read_free(t->inner);
		t->inner = NULL;
	}
	return rc;
}

/* What stands before the end of a pipe is read, so that its writer can finish. */
static void drain(struct tar *t)
{
	while (!t->regular && read(t->fd, t->feeder.block, BLOCK_READ) > 0)
		;
}

int tar_next(struct tar *t, struct tar_member *m)
{
	int rc;

	for (;;) {
		if (t->inner) {
			rc = inner_next(t, m);
			if (rc)
				break;
			continue;
		}
		rc = next_of(t, t->archive, &t->feeder, NULL, t->path, &m->size);
		if (rc <= 0) {
			if (!rc)
				drain(t);
			return rc;
		}
		if (!t->begun) {
			t->begun = 1;
			t->plain = t->regular &&
				   archive_filter_code(t->archive, 0) == ARCHIVE_FILTER_NONE;
		}
		if (!is_tar(t->path)) {
			m->inner = NULL;
			m->offset = (uint64_t)archive_filter_bytes(t->archive, 0);
			break;
		}
		strcpy(t->outer_path, t->path);
		TRY(inner_begin(t, m->size));
	}
	if (rc < 0)
		return -1;
	m->path = t->path;
	if (m->size > TAR_MEMBER_MAX)
		return fail("%s: %s has %" PRIu64 " bytes, more than 256 MiB", t->name, m->path,
			    m->size);
	if (t->plain && (m->offset > t->size || m->size > t->size - m->offset))
		return fail("%s: %s is cut off", t->name, m->path);
	return 1;
}

int tar_read(struct tar *t, const struct tar_member *m, struct frames *to)
{
	struct archive *a = t->inner ? t->inner : t->archive;
	uint64_t left = m->size;

	while (left) {
		size_t step = left < 1 << 20 ? (size_t)left : (size_t)1 << 20;
		la_ssize_t got;

		TRY(frames_reserve(to, step));
		got = archive_read_data(a, to->data + to->size, step);
		if (got < 0)
			return archive_bad(t, a, m->path);
		if (!got) {
			t->status = 1;
			return fail("%s: %s is cut off", t->name, m->path);
		}
		to->size += (size_t)got;
		left -= (uint64_t)got;
	}
	return 0;
}
