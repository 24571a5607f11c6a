#include "data/stream_wire.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/fail.h"
#include "base/io.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20, BAD = 1, SYSTEM = 3, EARLY = 4 };

struct stream_reader {
	int fd;
	char *name;
	struct stream_head head;
	int headed, between;            /* a header was read; one may follow */
	struct wire_order order;        /* in the positions of the segment itself */
	int shifted;                    /* shift is known for this segment */
	uint64_t shift;                 /* added to this segment's positions */
	uint64_t end;                   /* where the segment before ended, shifted */
	uint64_t at, records, bytes;    /* of the input; of payloads */
	unsigned char *payload;
	size_t room;
	struct wire_place place[STREAM_COLUMNS];
	int status;
};

/* Puts the place before the reason and keeps the status; always -1. */
static int bad_at(struct stream_reader *r, uint64_t at, int status)
{
	r->status = status;
	if (r->records && !r->between)
		return fail_add("%s: record %" PRIu64 " at byte %" PRIu64, r->name, r->records, at);
	if (at)
		return fail_add("%s: byte %" PRIu64, r->name, at);
	return fail_add("%s", r->name);
}

/* Exactly n bytes: 1; 0 where the input had ended; -1 with reason and status. */
static int take(struct stream_reader *r, void *to, size_t n)
{
	uint64_t at = r->at;
	ssize_t got = read_full(r->fd, to, n);

	if (got < 0)
		return bad_at(r, at, SYSTEM);
	r->at += (uint64_t)got;
	if ((size_t)got == n)
		return 1;
	if (got == 0)
		return 0;
	fail("the input ends early, inside a record; the program before did not finish");
	return bad_at(r, r->at, EARLY);
}

/* As take(), where the input must go on. */
static int take_all(struct stream_reader *r, void *to, size_t n)
{
	int got = take(r, to, n);

	if (got)
		return got < 0 ? -1 : 0;
	fail("the input ends early, inside a record; the program before did not finish");
	return bad_at(r, r->at, EARLY);
}

/* More room for a payload of which `got` bytes have come: no more than has arrived is
 * ever added, so that a length that lies takes no memory. */
static int make_room(struct stream_reader *r, size_t got, size_t want)
{
	size_t room = 2 * got + PIECE;
	unsigned char *p;

	if (room > want)
		room = want;
	room = round_up(room, WIRE_ALIGN);
	p = aligned_alloc(WIRE_ALIGN, room);
	if (!p) {
		fail("out of memory for a record of %zu bytes", want);
		return bad_at(r, r->at, SYSTEM);
	}
	if (got)
		memcpy(p, r->payload, got);
	free(r->payload);
	r->payload = p;
	r->room = room;
	return 0;
}

/* A payload of n bytes with its checksum, which is taken while a piece is in the cache. */
static int take_payload(struct stream_reader *r, size_t n, uint32_t crc)
{
	uint64_t at = r->at;
	uint32_t sum = 0;

	for (size_t got = 0; got < n;) {
		if (got == r->room)
			TRY(make_room(r, got, n));

		size_t now = (n < r->room ? n : r->room) - got;

		if (now > PIECE)
			now = PIECE;
		TRY(take_all(r, r->payload + got, now));
		sum = crc32z(sum, r->payload + got, now);
		got += now;
	}
	r->bytes += n;
	if (sum == crc)
		return 0;
	fail("checksum of the payload does not match");
	return bad_at(r, at, BAD);
}

/* An ERR record becomes the reason. It is shown on terminals: no control characters. */
static int take_error(struct stream_reader *r, const struct wire_record *w)
{
	char why[FAIL_MAX];
	size_t n = w->bytes < sizeof(why) - 1 ? w->bytes : sizeof(why) - 1;

	TRY(take_payload(r, w->bytes, w->crc));
	if (n)
		memcpy(why, r->payload, n);
	why[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)why[i] < ' ' || why[i] == 0x7f)
			why[i] = ' ';
	r->status = STREAM_TOLD;
	return fail("%s", n ? why : "the program before failed and gave no reason");
}

static int same_columns(const struct stream_head *a, const struct stream_head *b)
{
	if (a->columns != b->columns)
		return 0;
	for (int i = 0; i < a->columns; i++) {
		const struct stream_column *x = &a->column[i], *y = &b->column[i];

		if (strcmp(x->name, y->name) != 0 || x->type != y->type || x->rank != y->rank ||
		    memcmp(x->dim, y->dim, sizeof(x->dim)) != 0)
			return 0;
	}
	return 1;
}

static int adopt_head(struct stream_reader *r, struct stream_head *new)
{
	if (new->columns > 0 && r->headed) {
		if (!same_columns(&r->head, new))
			return fail("a segment with other columns than the one before");
		if (r->head.parts != new->parts)
			return fail("a segment of one of %" PRIu32 " parts after one of %" PRIu32,
				    new->parts, r->head.parts);
	}
	stream_head_release(&r->head);
	r->head = *new;
	*new = (struct stream_head){ 0 };
	wire_order_begin(&r->order, &r->head);
	r->shifted = 0;
	r->headed = 1;
	r->between = 0;
	return 0;
}

/* The record after a header without columns, which must be ERR. */
static int read_lone_error(struct stream_reader *r)
{
	unsigned char b[WIRE_RECORD];
	struct wire_record w;
	uint64_t at = r->at;

	r->records++;
	TRY(take_all(r, b, sizeof(b)));
	if (wire_record_read(&w, b) < 0)
		return bad_at(r, at, BAD);
	if (w.kind == WIRE_ERR)
		return take_error(r, &w);
	fail("a stream without columns");
	return bad_at(r, at, BAD);
}

/* The rest of a header whose first 64 bytes are in b: 0 or -1. */
static int read_head(struct stream_reader *r, const unsigned char *b, uint64_t at)
{
	struct stream_head new = { 0 };
	size_t n = wire_head_size(b);
	unsigned char *all;
	int result = -1;

	if (n == 0)
		return bad_at(r, at, BAD);
	all = malloc(n);
	if (!all) {
		fail("out of memory for the header");
		return bad_at(r, at, SYSTEM);
	}
	memcpy(all, b, WIRE_HEAD);
	if (n == WIRE_HEAD || take_all(r, all + WIRE_HEAD, n - WIRE_HEAD) == 0) {
		if (wire_head_read(&new, all, n) < 0 || wire_meta_check(new.meta) < 0 ||
		    adopt_head(r, &new) < 0)
			bad_at(r, at, BAD);
		else
			result = r->head.columns ? 0 : read_lone_error(r);
	}
	stream_head_release(&new);
	free(all);
	return result;
}

/* A header where one may stand: 1; 0 where the input had ended; -1. */
static int next_head(struct stream_reader *r)
{
	unsigned char b[WIRE_HEAD] = { 0 };
	uint64_t at = r->at;
	ssize_t got = read_full(r->fd, b, sizeof(b));

	if (got < 0)
		return bad_at(r, at, SYSTEM);
	r->at += (uint64_t)got;
	if (got == 0)
		return 0;
	/* A few bytes of something else are no stream that was cut. */
	if (memcmp(b, wire_magic, (size_t)got < 8 ? (size_t)got : 8) != 0) {
		wire_head_size(b);
		return bad_at(r, at, BAD);
	}
	if ((size_t)got == sizeof(b))
		return read_head(r, b, at) < 0 ? -1 : 1;
	fail("the input ends early, inside the header; the program before did not finish");
	return bad_at(r, r->at, EARLY);
}

struct stream_reader *stream_open(int fd, const char *name, int *status)
{
	struct stream_reader *r = calloc(1, sizeof(*r));
	int got;

	*status = SYSTEM;
	if (!r || !(r->name = strdup(name))) {
		free(r);
		fail("%s: out of memory", name);
		return NULL;
	}
	r->fd = fd;
	pipe_widen(fd);
	got = next_head(r);
	if (got > 0)
		return r;
	if (got == 0) {
		fail("the program before wrote nothing");
		bad_at(r, 0, EARLY);
	}
	*status = r->status;
	stream_close(r);
	return NULL;
}

const struct stream_head *stream_head(const struct stream_reader *r)
{
	return &r->head;
}

static uint64_t common_multiple(uint64_t a, uint64_t b)
{
	uint64_t x = a, y = b, product;

	while (y) {
		uint64_t rest = x % y;

		x = y;
		y = rest;
	}
	return __builtin_mul_overflow(a / x, b, &product) ? 0 : product;
}

/* What is added to the positions of a segment whose first record stands at position,
 * so that it does not begin before the end of the segment before: whole epochs, and
 * whole rounds of the parts, so that the place in the epoch stays what it was. */
static int find_shift(struct stream_reader *r, uint64_t position)
{
	uint64_t unit, rounds;

	r->shifted = 1;
	r->shift = 0;
	if (position >= r->end)
		return 0;
	unit = common_multiple(r->head.epoch ? r->head.epoch : 1, r->head.parts);
	if (unit) {
		rounds = (r->end - position - 1) / unit + 1;
		if (!__builtin_mul_overflow(rounds, unit, &r->shift) &&
		    r->shift <= WIRE_POSITION_MAX)
			return 0;
	}
	return fail("the positions of the segments are too large");
}

/* DATA: the payload, and that it is what the header promised. */
static int read_data(struct stream_reader *r, const struct wire_record *w, uint64_t at)
{
	if (w->samples > r->head.record_max)
		fail("%" PRIu32 " samples, at most %" PRIu32 " by the header", w->samples,
		     r->head.record_max);
	else if (w->bytes > r->head.payload_max)
		fail("%" PRIu64 " bytes, at most %" PRIu64 " by the header", w->bytes,
		     r->head.payload_max);
	else if (wire_order_data(&r->order, w->position, w->samples) == 0) {
		TRY(take_payload(r, w->bytes, w->crc));
		if (wire_places(&r->head, w->samples, r->payload, w->bytes, r->place) == 0)
			return 0;
	}
	return bad_at(r, at, BAD);
}

static int read_record(struct stream_reader *r, const struct wire_record *w, uint64_t at,
		       struct stream_record *out)
{
	if (w->kind == WIRE_ERR)
		return take_error(r, w);
	if (w->kind == WIRE_DATA)
		TRY(read_data(r, w, at));
	else if ((w->kind == WIRE_EPOC ? wire_order_epoch(&r->order, w->position) :
		  wire_order_end(&r->order, w->position)) < 0)
		return bad_at(r, at, BAD);
	if (!r->shifted && find_shift(r, w->position) < 0)
		return bad_at(r, at, BAD);
	*out = (struct stream_record){
		.kind = w->kind == WIRE_DATA ? STREAM_DATA :
			w->kind == WIRE_EPOC ? STREAM_EPOCH : STREAM_SEGMENT,
		.samples = w->samples,
		.position = w->position + r->shift,
		.bytes = w->bytes,
		.payload = w->kind == WIRE_DATA ? r->payload : NULL,
	};
	if (out->position > WIRE_POSITION_MAX) {
		fail("the positions of the segments are too large");
		return bad_at(r, at, BAD);
	}
	if (w->kind == WIRE_END) {
		r->between = 1;
		r->end = out->position;
	}
	return 1;
}

int stream_read(struct stream_reader *r, struct stream_record *out)
{
	unsigned char b[WIRE_RECORD];
	struct wire_record w;
	uint64_t at;
	int got;

	if (r->status)
		return fail("%s: read on after a failure", r->name);
	if (r->between && (got = next_head(r)) <= 0)
		return got;
	at = r->at;
	r->records++;
	got = take(r, b, sizeof(b));
	if (got < 0)
		return -1;
	if (got == 0) {
		fail("the input ends early, without END; the program before did not finish");
		return bad_at(r, at, EARLY);
	}
	if (wire_record_read(&w, b) < 0)
		return bad_at(r, at, BAD);
	return read_record(r, &w, at, out);
}

int stream_status(const struct stream_reader *r)
{
	return r->status;
}

void stream_view(const struct stream_reader *r, const struct stream_record *record, int column,
		 struct stream_view *v)
{
	const struct wire_place *p = &r->place[column];

	assert(record->kind == STREAM_DATA && column >= 0 && column < r->head.columns);
	v->data = record->payload + p->data;
	v->dims = wire_varying(&r->head.column[column]) == 0 ? NULL :
		(const uint32_t *)(const void *)(record->payload + p->dims);
	v->bytes = p->bytes;
}

uint64_t stream_bytes(const struct stream_reader *r)
{
	return r->bytes;
}

void stream_close(struct stream_reader *r)
{
	if (!r)
		return;
	stream_head_release(&r->head);
	free(r->payload);
	free(r->name);
	free(r);
}
