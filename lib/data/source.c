#include "data/source.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/fail.h"
#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* Small after a jump, so that going from header to header costs a page each; doubled
 * while the reading goes straight on. */
enum { FILL_FIRST = 4096, FILL_MOST = 1 << 20 };

struct source {
	char *name;
	int fd, close;          /* close: the descriptor is ours */
	enum source_kind kind;
	int regular;            /* pread works; size is known */
	int status;
	uint64_t size;          /* of a regular file */
	uint64_t raw;           /* file offset behind the buffer */
	uint64_t offset;        /* uncompressed, of the next byte given */
	unsigned char *buf;     /* raw bytes buf[at .. n) are not used yet */
	size_t at, n, fill;
	z_stream z;
	int z_live, z_ended;    /* z_ended: between members or at the end */
};

static int system_error(struct source *s)
{
	s->status = 3;
	return fail_add("%s", s->name);
}

/* More raw bytes into the empty buffer: the count, 0 at the end, -1. */
static ssize_t refill(struct source *s)
{
	ssize_t got;

	assert(s->at == s->n);
	s->at = s->n = 0;
	if (s->regular) {
		got = read_at(s->fd, s->buf, s->fill, s->raw);
	} else {
		do
			got = read(s->fd, s->buf, FILL_MOST);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			fail_errno("read");
	}
	if (got < 0)
		return system_error(s);
	s->n = (size_t)got;
	s->raw += (uint64_t)got;
	if (s->fill < FILL_MOST)
		s->fill *= 2;
	return got;
}

/* At least want bytes in the buffer, or what there is: 0 or -1. */
static int gather(struct source *s, size_t want)
{
	while (s->n < want) {
		ssize_t got;

		if (s->regular) {
			got = read_at(s->fd, s->buf + s->n, want - s->n, s->raw);
		} else {
			do
				got = read(s->fd, s->buf + s->n, want - s->n);
			while (got < 0 && errno == EINTR);
			if (got < 0)
				fail_errno("read");
		}
		if (got < 0)
			return system_error(s);
		if (!got)
			break;
		s->n += (size_t)got;
		s->raw += (uint64_t)got;
	}
	return 0;
}

/* A record's header in front decides for plain; only then do magic numbers count, so
 * that no record length can be taken for one. */
static int detect(struct source *s)
{
	const unsigned char *b = s->buf;

	TRY(gather(s, 12));
	s->kind = SOURCE_PLAIN;
	if (s->n >= 12 && crc32c_masked(b, 8) == get_u32(b + 8))
		return 0;
	if (s->n >= 3 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8)
		s->kind = SOURCE_GZIP;
	else if (s->n >= 2 && b[0] == 0x78 && (b[1] == 0x01 || b[1] == 0x5e ||
					       b[1] == 0x9c || b[1] == 0xda))
		s->kind = SOURCE_ZLIB;
	return 0;
}

static int inflate_begin(struct source *s)
{
	int bits = s->kind == SOURCE_GZIP ? 15 + 16 : 15;

	if (inflateInit2(&s->z, bits) != Z_OK) {
		s->status = 3;
		return fail("%s: no memory to inflate", s->name);
	}
	s->z_live = 1;
	s->fill = FILL_MOST / 4;
	return 0;
}

static int open_fd(struct source *s, const char *path)
{
	struct stat st;

	if (!strcmp(path, "-")) {
		s->fd = STDIN_FILENO;
	} else {
		s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (s->fd < 0)
			return fail_errno("%s", path);
		s->close = 1;
	}
	if (fstat(s->fd, &st))
		return fail_errno("%s", s->name);
	if (S_ISDIR(st.st_mode))
		return fail("%s: is a folder; name the shards in it", s->name);
	s->regular = s->close && S_ISREG(st.st_mode);
	s->size = s->regular ? (uint64_t)st.st_size : UINT64_MAX;
	return 0;
}

struct source *source_open(const char *path, int *status)
{
	struct source *s = calloc(1, sizeof *s);

	*status = 3;
	if (!s) {
		fail("%s: no memory", path);
		return NULL;
	}
	s->fd = -1;
	s->fill = FILL_FIRST;
	s->name = strdup(strcmp(path, "-") ? path : "stdin");
	s->buf = malloc(FILL_MOST);
	if (!s->name || !s->buf) {
		fail("%s: no memory", path);
		goto bad;
	}
	if (open_fd(s, path) || detect(s))
		goto bad;
	if (s->kind != SOURCE_PLAIN && inflate_begin(s))
		goto bad;
	return s;
bad:
	source_close(s);
	return NULL;
}

const char *source_name(const struct source *s)
{
	return s->name;
}

enum source_kind source_kind(const struct source *s)
{
	return s->kind;
}

uint64_t source_offset(const struct source *s)
{
	return s->offset;
}

uint64_t source_left(const struct source *s)
{
	if (s->kind != SOURCE_PLAIN || !s->regular)
		return UINT64_MAX;
	return s->offset < s->size ? s->size - s->offset : 0;
}

int source_status(const struct source *s)
{
	return s->status ? s->status : 1;
}

static ssize_t read_plain(struct source *s, unsigned char *to, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t have = s->n - s->at, take = n - done;

		if (!have && s->regular && take >= s->fill) {
			ssize_t got = read_at(s->fd, to + done, take, s->raw);

			if (got < 0)
				return system_error(s);
			s->raw += (uint64_t)got;
			done += (size_t)got;
			break;
		}
		if (!have) {
			ssize_t got = refill(s);

			if (got < 0)
				return -1;
			if (!got)
				break;
			have = (size_t)got;
		}
		if (take > have)
			take = have;
		memcpy(to + done, s->buf + s->at, take);
		s->at += take;
		done += take;
	}
	s->offset += done;
	return (ssize_t)done;
}

/* Raw file offset of the next byte to be inflated. */
static uint64_t raw_place(const struct source *s)
{
	return s->raw - (s->n - s->at);
}

static int bad_data(struct source *s, const char *cause)
{
	s->status = 1;
	return fail("%s: byte %" PRIu64 " of the %s data: %s", s->name, raw_place(s),
		    s->kind == SOURCE_GZIP ? "gzip" : "zlib", cause);
}

/* After the end of a member: 1 if another begins, 0 at the end, -1. Zeros may follow
 * (tapes and block devices pad with them), nothing else. */
static int next_member(struct source *s)
{
	int zeros = 0;

	for (;;) {
		if (s->at == s->n) {
			ssize_t got = refill(s);

			if (got <= 0)
				return (int)got;
		}
		if (s->buf[s->at] == 0) {
			s->at++;
			zeros = 1;
			continue;
		}
		if (s->kind == SOURCE_GZIP && !zeros && s->buf[s->at] == 0x1f)
			return inflateReset(&s->z) == Z_OK ? 1 : bad_data(s, "cannot go on");
		return bad_data(s, "other data after the end of the compressed");
	}
}

/* One step of inflating into z.next_out: 1, 0 at the end, -1. */
static int inflate_some(struct source *s)
{
	int rc;

	if (s->z_ended) {
		int more = next_member(s);

		if (more <= 0)
			return more;
		s->z_ended = 0;
	}
	if (s->at == s->n) {
		ssize_t got = refill(s);

		if (got < 0)
			return -1;
		if (!got)
			return bad_data(s, "ends early: the file is cut off");
	}
	s->z.next_in = s->buf + s->at;
	s->z.avail_in = (uInt)(s->n - s->at);
	rc = inflate(&s->z, Z_NO_FLUSH);
	s->at = s->n - s->z.avail_in;
	if (rc == Z_STREAM_END)
		s->z_ended = 1;
	else if (rc == Z_NEED_DICT)
		return bad_data(s, "needs a dictionary");
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
		return bad_data(s, s->z.msg ? s->z.msg : "damaged");
	return 1;
}

static ssize_t read_inflated(struct source *s, unsigned char *to, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t want = n - done < (size_t)1 << 30 ? n - done : (size_t)1 << 30;
		int rc;

		s->z.next_out = to + done;
		s->z.avail_out = (uInt)want;
		rc = inflate_some(s);
		if (rc < 0)
			return -1;
		done += want - s->z.avail_out;
		if (!rc)
			break;
	}
	s->offset += done;
	return (ssize_t)done;
}

ssize_t source_read(struct source *s, void *buf, size_t n)
{
	return s->kind == SOURCE_PLAIN ? read_plain(s, buf, n) : read_inflated(s, buf, n);
}

static int skip_by_reading(struct source *s, uint64_t n)
{
	unsigned char *junk = malloc(1 << 16);
	int rc = 0;

	if (!junk)
		return fail("%s: no memory", s->name);
	while (n && !rc) {
		size_t take = n < 1 << 16 ? (size_t)n : (size_t)1 << 16;
		ssize_t got = source_read(s, junk, take);

		if (got < 0)
			rc = -1;
		else if ((size_t)got < take)
			rc = 1;
		else
			n -= take;
	}
	free(junk);
	return rc;
}

int source_skip(struct source *s, uint64_t n)
{
	if (s->kind != SOURCE_PLAIN || !s->regular)
		return skip_by_reading(s, n);
	if (n > source_left(s))
		return 1;
	if (n <= s->n - s->at) {
		s->at += (size_t)n;
	} else {
		s->raw += n - (s->n - s->at);
		s->at = s->n = 0;
		s->fill = FILL_FIRST;
	}
	s->offset += n;
	return 0;
}

int source_seek(struct source *s, uint64_t offset)
{
	if (offset >= s->offset)
		return source_skip(s, offset - s->offset);
	if (!s->regular)
		return fail("%s: a pipe cannot be read again", s->name);
	s->at = s->n = 0;
	s->fill = FILL_FIRST;
	if (s->kind == SOURCE_PLAIN) {
		s->raw = s->offset = offset;
		return 0;
	}
	s->raw = s->offset = 0;
	s->z_ended = 0;
	if (inflateReset(&s->z) != Z_OK)
		return fail("%s: cannot inflate again", s->name);
	return skip_by_reading(s, offset);
}

void source_close(struct source *s)
{
	if (!s)
		return;
	if (s->z_live)
		inflateEnd(&s->z);
	if (s->close && s->fd >= 0)
		close(s->fd);
	free(s->name);
	free(s->buf);
	free(s);
}
