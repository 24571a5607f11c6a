#include "data/tfrecord.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/fail.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "%s: record %" PRIu64 ", offset %" PRIu64 ": "

struct tfrecord_reader {
	struct source *source;
	uint64_t number, max;
	int status;
	struct frames frame;    /* of tfrecord_read() */
};

int frames_reserve(struct frames *f, size_t more)
{
	size_t need, room;
	unsigned char *data;

	if (__builtin_add_overflow(f->size, more, &need))
		return fail("no memory for so many bytes");
	if (need <= f->room)
		return 0;
	room = f->room + f->room / 2;
	if (room < need)
		room = need;
	data = realloc(f->data, room);
	if (!data)
		return fail("no memory for %zu bytes", room);
	f->data = data;
	f->room = room;
	return 0;
}

void frames_release(struct frames *f)
{
	free(f->data);
	memset(f, 0, sizeof *f);
}

struct tfrecord_reader *tfrecord_open(const char *path, uint64_t max, int *status)
{
	struct tfrecord_reader *r = calloc(1, sizeof *r);

	*status = 3;
	if (!r) {
		fail("%s: no memory", path);
		return NULL;
	}
	r->max = max ? max : TFRECORD_MAX;
	r->source = source_open(path, status);
	if (!r->source) {
		free(r);
		return NULL;
	}
	return r;
}

void tfrecord_close(struct tfrecord_reader *r)
{
	if (!r)
		return;
	source_close(r->source);
	frames_release(&r->frame);
	free(r);
}

uint64_t tfrecord_number(const struct tfrecord_reader *r)
{
	return r->number;
}

uint64_t tfrecord_offset(const struct tfrecord_reader *r)
{
	return source_offset(r->source);
}

enum source_kind tfrecord_kind(const struct tfrecord_reader *r)
{
	return source_kind(r->source);
}

int tfrecord_status(const struct tfrecord_reader *r)
{
	return r->status ? r->status : 1;
}

/* Keeps the source's status for a failure of its reading. */
static int source_failed(struct tfrecord_reader *r)
{
	r->status = source_status(r->source);
	return -1;
}

static int no_memory(struct tfrecord_reader *r)
{
	r->status = 3;
	return fail_add("%s: record %" PRIu64, source_name(r->source), r->number);
}

/* A first header that does not hold: says what the file is, if that can be seen. */
static int not_records(struct tfrecord_reader *r, const unsigned char *head, size_t n)
{
	unsigned char b[512];
	const char *name = source_name(r->source), *what;
	ssize_t more;

	memcpy(b, head, n);
	more = source_read(r->source, b + n, sizeof b - n);
	if (more < 0)
		return source_failed(r);
	what = tfrecord_mistaken(b, n + (size_t)more);
	if (what)
		return fail("%s: not TFRecords but %s", name, what);
	if (n < TFRECORD_HEAD)
		return fail(PLACE "cut off: %zu of the header's 12 bytes", name,
			    (uint64_t)0, (uint64_t)0, n);
	return fail(PLACE "the length's checksum does not match: damaged, or not TFRecords",
		    name, (uint64_t)0, (uint64_t)0);
}

/* The next header into head: 1 with *size set, 0 at the end, -1. */
static int read_head(struct tfrecord_reader *r, unsigned char head[TFRECORD_HEAD],
		     uint64_t *size)
{
	const char *name = source_name(r->source);
	uint64_t at = source_offset(r->source), left;
	ssize_t got = source_read(r->source, head, TFRECORD_HEAD);

	r->status = 1;
	if (got < 0)
		return source_failed(r);
	if (!got)
		return 0;
	if (!at && (got < TFRECORD_HEAD || crc32c_masked(head, 8) != get_u32(head + 8)))
		return not_records(r, head, (size_t)got);
	if (got < TFRECORD_HEAD)
		return fail(PLACE "cut off: %zd of the header's 12 bytes", name, r->number,
			    at, got);
	if (crc32c_masked(head, 8) != get_u32(head + 8))
		return fail(PLACE "the length's checksum does not match", name, r->number, at);
	*size = get_u64(head);
	if (*size > r->max)
		return fail(PLACE "length %" PRIu64 " is above the limit of %" PRIu64
			    " (--max-record)", name, r->number, at, *size, r->max);
	left = source_left(r->source);
	if (left < TFRECORD_FOOT || left - TFRECORD_FOOT < *size)
		return fail(PLACE "cut off: a record of %" PRIu64 " bytes, %" PRIu64 " left",
			    name, r->number, at, *size + TFRECORD_OVER,
			    left + TFRECORD_HEAD);
	return 1;
}

/* n bytes of the source behind frames; where the input's end is not known, memory is
 * taken in step with what has arrived. */
static int append(struct tfrecord_reader *r, struct frames *f, size_t n, uint64_t at)
{
	size_t begin = f->size, end = f->size + n;
	int known = source_left(r->source) != UINT64_MAX;

	while (f->size < end) {
		size_t step = end - f->size, most = (size_t)1 << 20;
		ssize_t got;

		if (f->size - begin > most)
			most = f->size - begin;
		if (!known && step > most)
			step = most;
		if (frames_reserve(f, step)) {
			f->size = begin;
			return no_memory(r);
		}
		got = source_read(r->source, f->data + f->size, step);
		if (got < 0) {
			f->size = begin;
			return source_failed(r);
		}
		f->size += (size_t)got;
		if ((size_t)got < step) {
			size_t have = f->size - begin;

			f->size = begin;
			return fail(PLACE "cut off: %zu bytes are missing",
				    source_name(r->source), r->number, at, n - have);
		}
	}
	return 0;
}

int tfrecord_load(struct tfrecord_reader *r, struct tfrecord *record, struct frames *f)
{
	unsigned char head[TFRECORD_HEAD];
	uint64_t at = source_offset(r->source), size;
	size_t before = f->size;
	int rc = read_head(r, head, &size);

	if (rc <= 0)
		return rc;
	if (frames_reserve(f, TFRECORD_HEAD))
		return no_memory(r);
	memcpy(f->data + f->size, head, TFRECORD_HEAD);
	f->size += TFRECORD_HEAD;
	if (append(r, f, (size_t)size + TFRECORD_FOOT, at)) {
		f->size = before;
		return -1;
	}
	record->number = r->number++;
	record->offset = at;
	record->size = size;
	record->data = f->data + before + TFRECORD_HEAD;
	return 1;
}

int tfrecord_load_at(struct tfrecord_reader *r, uint64_t number, uint64_t offset,
		     uint64_t size, struct frames *f)
{
	r->status = 1;
	if (size < TFRECORD_OVER || size - TFRECORD_OVER > r->max)
		return fail(PLACE "size %" PRIu64 " is above the limit of %" PRIu64
			    " (--max-record)", source_name(r->source), number, offset,
			    size, r->max);
	TRY(tfrecord_seek(r, number, offset));
	TRY(append(r, f, (size_t)size, offset));
	r->number++;
	return 0;
}

int tfrecord_read(struct tfrecord_reader *r, struct tfrecord *record)
{
	int rc;

	r->frame.size = 0;
	rc = tfrecord_load(r, record, &r->frame);
	if (rc <= 0)
		return rc;
	r->status = 1;
	TRY(tfrecord_check(r->frame.data, r->frame.size, source_name(r->source),
			   record->number, record->offset));
	return 1;
}

int tfrecord_skip(struct tfrecord_reader *r, struct tfrecord *record)
{
	unsigned char head[TFRECORD_HEAD];
	uint64_t at = source_offset(r->source), size;
	int rc = read_head(r, head, &size);

	if (rc <= 0)
		return rc;
	rc = source_skip(r->source, size + TFRECORD_FOOT);
	if (rc < 0)
		return source_failed(r);
	if (rc)
		return fail(PLACE "cut off: a record of %" PRIu64 " bytes is not whole",
			    source_name(r->source), r->number, at, size + TFRECORD_OVER);
	record->number = r->number++;
	record->offset = at;
	record->size = size;
	record->data = NULL;
	return 1;
}

int tfrecord_seek(struct tfrecord_reader *r, uint64_t number, uint64_t offset)
{
	int rc = source_seek(r->source, offset);

	if (rc < 0)
		return source_failed(r);
	r->status = 1;
	if (rc)
		return fail(PLACE "beyond the end: the index does not fit "
			    "(tfrec-ls --index makes one)", source_name(r->source),
			    number, offset);
	r->number = number;
	return 0;
}

/* Whether each line feed has a carriage return before it, and there are so many that
 * chance is no reason. */
static int text_mode(const unsigned char *b, size_t n)
{
	const unsigned char *p = b, *end = b + n;
	size_t pairs = 0;

	while ((p = memchr(p, '\n', (size_t)(end - p)))) {
		if (p == b || p[-1] != '\r')
			return 0;
		pairs++;
		if (++p == end)
			break;
	}
	return pairs >= 4;
}

int tfrecord_check(const unsigned char *frame, size_t n, const char *name, uint64_t number,
		   uint64_t offset)
{
	uint64_t size;

	if (n < TFRECORD_OVER || crc32c_masked(frame, 8) != get_u32(frame + 8))
		return fail(PLACE "the length's checksum does not match", name, number, offset);
	size = get_u64(frame);
	if (size != n - TFRECORD_OVER)
		return fail(PLACE "%" PRIu64 " bytes long, the index says %zu "
			    "(tfrec-ls --index makes one)", name, number, offset, size,
			    n - TFRECORD_OVER);
	frame += TFRECORD_HEAD;
	if (crc32c_masked(frame, (size_t)size) == get_u32(frame + size))
		return 0;
	return fail(PLACE "the data's checksum does not match%s", name, number, offset,
		    text_mode(frame, (size_t)size) ?
		    ": each LF is a CR LF, as a transfer in text mode leaves it" : "");
}

int tfrecord_frame(struct frames *f, const void *data, size_t size)
{
	unsigned char *to;

	if (size > SIZE_MAX - TFRECORD_OVER)
		return fail("record too long");
	TRY(frames_reserve(f, size + TFRECORD_OVER));
	to = f->data + f->size;
	put_u64(to, size);
	put_u32(to + 8, crc32c_masked(to, 8));
	if (size)
		memcpy(to + TFRECORD_HEAD, data, size);
	put_u32(to + TFRECORD_HEAD + size, crc32c_masked(to + TFRECORD_HEAD, size));
	f->size += size + TFRECORD_OVER;
	return 0;
}
