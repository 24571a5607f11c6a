#include "data/stream_wire.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/fail.h"
#include "base/io.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A part is numbers and padding; a record is its header and two parts a column. */
enum { PIECES = 1 + 4 * STREAM_COLUMNS };

struct stream_writer {
	int fd;
	char *name;
	pthread_mutex_t lock;   /* an ERR from another thread waits for the record's end */
	struct stream_head head;
	struct wire_order order;
	int open;               /* inside a segment */
	int over;               /* a write failed, or ERR was sent: nothing may follow */
};

struct stream_writer *stream_writer_open(int fd, const char *name)
{
	struct stream_writer *w = calloc(1, sizeof(*w));

	if (!w || !(w->name = strdup(name))) {
		free(w);
		fail("%s: out of memory", name);
		return NULL;
	}
	w->fd = fd;
	pthread_mutex_init(&w->lock, NULL);
	pipe_widen(fd);
	return w;
}

/* All pieces go out, or nothing more will. */
static int send_pieces(struct stream_writer *w, const struct iovec *piece, int n)
{
	if (write_pieces(w->fd, piece, n) == 0)
		return 0;
	w->over = 1;
	return fail_add("%s", w->name);
}

static int send_head(struct stream_writer *w, const struct stream_head *h)
{
	size_t n;
	unsigned char *b = wire_head_make(h, &n);
	int r;

	if (!b)
		return fail_add("%s", w->name);
	r = send_pieces(w, &(struct iovec){ b, n }, 1);
	free(b);
	return r;
}

/* A record without columns: EPOC, END, ERR. */
static int send_record(struct stream_writer *w, struct wire_record *r, const void *bytes)
{
	unsigned char b[WIRE_RECORD];
	struct iovec piece[2] = { { b, sizeof(b) }, { (void *)bytes, r->bytes } };

	r->crc = crc32z(0, bytes, r->bytes);
	wire_record_make(r, b);
	return send_pieces(w, piece, r->bytes ? 2 : 1);
}

static int begin(struct stream_writer *w, const struct stream_head *h)
{
	if (w->over || w->open)
		return fail("%s: a header inside a segment", w->name);
	if (h->columns == 0)
		return fail("%s: a header without columns", w->name);
	stream_head_release(&w->head);
	TRY(stream_head_copy(&w->head, h));
	TRY(send_head(w, h));
	wire_order_begin(&w->order, h);
	w->open = 1;
	return 0;
}

int stream_begin(struct stream_writer *w, const struct stream_head *h)
{
	pthread_mutex_lock(&w->lock);
	int r = begin(w, h);

	pthread_mutex_unlock(&w->lock);
	return r;
}

uint64_t stream_record_bytes(const struct stream_head *h, uint32_t samples,
			     const struct stream_view *column)
{
	uint64_t all = 0;

	for (int i = 0; i < h->columns; i++) {
		const struct stream_column *c = &h->column[i];
		uint64_t dims = sizeof(uint32_t) * (uint64_t)wire_varying(c) * samples;
		size_t bytes;

		if (wire_data_bytes(c, samples, column[i].dims, &bytes) < 0)
			return 0;
		if (bytes != column[i].bytes) {
			fail("column %s: %zu bytes, its dimensions have %zu", c->name,
			     column[i].bytes, bytes);
			return 0;
		}
		all += round_up(dims, WIRE_ALIGN) + round_up(bytes, WIRE_ALIGN);
		if (all > STREAM_RECORD_MAX) {
			fail("a record of %" PRIu32 " samples is too large", samples);
			return 0;
		}
	}
	return all;
}

/* Adds a part and its padding to the pieces and the checksum. */
static uint32_t add_part(struct iovec *piece, int *n, uint32_t crc, const void *data, size_t bytes)
{
	size_t pad = round_up(bytes, WIRE_ALIGN) - bytes;

	if (bytes)
		piece[(*n)++] = (struct iovec){ (void *)data, bytes };
	if (pad)
		piece[(*n)++] = (struct iovec){ (void *)wire_zeros, pad };
	return crc32z(crc32z(crc, data, bytes), wire_zeros, pad);
}

static int write_data(struct stream_writer *w, uint64_t position, uint32_t samples,
		      const struct stream_view *column)
{
	struct wire_record r = { .kind = WIRE_DATA, .samples = samples, .position = position };
	unsigned char b[WIRE_RECORD];
	struct iovec piece[PIECES] = { { b, sizeof(b) } };
	int n = 1;

	if (w->over || !w->open)
		return fail("%s: a record outside a segment", w->name);
	r.bytes = stream_record_bytes(&w->head, samples, column);
	if (r.bytes == 0 || wire_order_data(&w->order, position, samples) < 0)
		return fail_add("%s", w->name);
	if (samples > w->head.record_max || r.bytes > w->head.payload_max)
		return fail("%s: a record of %" PRIu32 " samples and %" PRIu64
			    " bytes is more than the header says", w->name, samples, r.bytes);
	for (int i = 0; i < w->head.columns; i++) {
		size_t dims = sizeof(uint32_t) * (size_t)wire_varying(&w->head.column[i]);

		if (dims)
			r.crc = add_part(piece, &n, r.crc, column[i].dims, dims * samples);
		r.crc = add_part(piece, &n, r.crc, column[i].data, column[i].bytes);
	}
	wire_record_make(&r, b);
	return send_pieces(w, piece, n);
}

int stream_write(struct stream_writer *w, uint64_t position, uint32_t samples,
		 const struct stream_view *column)
{
	pthread_mutex_lock(&w->lock);
	int r = write_data(w, position, samples, column);

	pthread_mutex_unlock(&w->lock);
	return r;
}

/* EPOC and END. */
static int write_mark(struct stream_writer *w, enum wire_kind kind, uint64_t position)
{
	struct wire_record r = { .kind = kind, .position = position };

	if (w->over || !w->open)
		return fail("%s: a record outside a segment", w->name);
	if ((kind == WIRE_EPOC ? wire_order_epoch(&w->order, position) :
	     wire_order_end(&w->order, position)) < 0)
		return fail_add("%s", w->name);
	TRY(send_record(w, &r, NULL));
	if (kind == WIRE_END)
		w->open = 0;
	return 0;
}

int stream_epoch(struct stream_writer *w, uint64_t position)
{
	pthread_mutex_lock(&w->lock);
	int r = write_mark(w, WIRE_EPOC, position);

	pthread_mutex_unlock(&w->lock);
	return r;
}

int stream_end(struct stream_writer *w, uint64_t position)
{
	pthread_mutex_lock(&w->lock);
	int r = write_mark(w, WIRE_END, position);

	pthread_mutex_unlock(&w->lock);
	return r;
}

static int write_error(struct stream_writer *w, const char *why)
{
	static const struct stream_head none = { .samples = STREAM_UNKNOWN, .parts = 1 };
	struct wire_record r = { .kind = WIRE_ERR, .bytes = strlen(why) };

	if (w->over || isatty(w->fd))
		return 0;
	if (r.bytes > WIRE_ERR_MAX)
		r.bytes = WIRE_ERR_MAX;
	if (w->open)
		r.position = w->order.low;
	else
		TRY(send_head(w, &none));
	TRY(send_record(w, &r, why));
	w->over = 1;
	return 0;
}

int stream_error(struct stream_writer *w, const char *why)
{
	pthread_mutex_lock(&w->lock);
	int r = write_error(w, why);

	pthread_mutex_unlock(&w->lock);
	return r;
}

void stream_writer_close(struct stream_writer *w)
{
	if (!w)
		return;
	stream_head_release(&w->head);
	pthread_mutex_destroy(&w->lock);
	free(w->name);
	free(w);
}
