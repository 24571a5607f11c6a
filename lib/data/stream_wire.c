#include "data/stream_wire.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/fail.h"

#include <inttypes.h>
#include <string.h>

const unsigned char wire_zeros[WIRE_ALIGN];

static const char kind_name[][5] = { "", "DATA", "EPOC", "END ", "ERR " };

int wire_record_read(struct wire_record *r, const unsigned char *b)
{
	if (get_u32(b + 60) != crc32z(0, b, 60))
		return fail("checksum of the record's header does not match");
	r->kind = 0;
	for (int k = WIRE_DATA; k <= WIRE_ERR; k++)
		if (memcmp(b, kind_name[k], 4) == 0)
			r->kind = k;
	if (!r->kind)
		return fail("unknown kind of record");
	if (memcmp(b + 28, wire_zeros, 32) != 0)
		return fail("reserved bytes of the record's header are not zero");
	r->samples = get_u32(b + 4);
	r->bytes = get_u64(b + 8);
	r->position = get_u64(b + 16);
	r->crc = get_u32(b + 24);
	if (r->kind == WIRE_DATA)
		return 0;
	if (r->samples)
		return fail("%.4s with samples", kind_name[r->kind]);
	if (r->kind == WIRE_ERR ? r->bytes > WIRE_ERR_MAX : r->bytes || r->crc)
		return fail("%.4s with a payload of %" PRIu64 " bytes", kind_name[r->kind],
			    r->bytes);
	return 0;
}

void wire_record_make(const struct wire_record *r, unsigned char *b)
{
	memset(b, 0, WIRE_RECORD);
	memcpy(b, kind_name[r->kind], 4);
	put_u32(b + 4, r->samples);
	put_u64(b + 8, r->bytes);
	put_u64(b + 16, r->position);
	put_u32(b + 24, r->crc);
	put_u32(b + 60, crc32z(0, b, 60));
}

int wire_varying(const struct stream_column *c)
{
	int k = 0;

	for (int i = 0; i < c->rank; i++)
		k += c->dim[i] == STREAM_VARIES;
	return k;
}

/* Bytes of one sample whose varying dimensions are in dims: 0 or -1. */
static int sample_bytes(const struct stream_column *c, const uint32_t *dims, size_t *bytes)
{
	size_t n = dtype_bytes(c->type);
	int zero = 0;

	/* A zero must not hide that the other dimensions are too large. */
	for (int i = 0; i < c->rank; i++) {
		uint32_t d = c->dim[i] == STREAM_VARIES ? *dims++ : c->dim[i];

		if (d == 0)
			zero = 1;
		else if (__builtin_mul_overflow(n, d, &n))
			return fail("column %s: too large", c->name);
	}
	*bytes = zero ? 0 : n;
	return 0;
}

int wire_data_bytes(const struct stream_column *c, uint32_t samples, const uint32_t *dims,
		    size_t *bytes)
{
	int k = wire_varying(c);
	size_t one, all = 0;

	if (k == 0) {
		TRY(sample_bytes(c, NULL, &one));
		if (__builtin_mul_overflow(one, samples, &all) || all > STREAM_RECORD_MAX)
			return fail("column %s: too large", c->name);
	} else {
		for (uint32_t i = 0; i < samples; i++) {
			TRY(sample_bytes(c, dims + (size_t)i * (size_t)k, &one));
			if (__builtin_add_overflow(all, one, &all) || all > STREAM_RECORD_MAX)
				return fail("column %s: too large", c->name);
		}
	}
	*bytes = all;
	return 0;
}

/* Steps over a part of n bytes at *at and its padding, which must be there and zero. */
static int step_over(const struct stream_column *c, const unsigned char *payload, size_t bytes,
		     size_t *at, size_t n)
{
	size_t left = bytes - *at, padded;

	if (n > left || (padded = round_up(n, WIRE_ALIGN)) > left)
		return fail("column %s: the payload of %zu bytes is too short", c->name, bytes);
	if (memcmp(payload + *at + n, wire_zeros, padded - n) != 0)
		return fail("column %s: padding is not zero", c->name);
	*at += padded;
	return 0;
}

int wire_places(const struct stream_head *h, uint32_t samples, const unsigned char *payload,
		size_t bytes, struct wire_place *place)
{
	size_t at = 0;

	for (int i = 0; i < h->columns; i++) {
		const struct stream_column *c = &h->column[i];
		struct wire_place *p = &place[i];
		size_t k = (size_t)wire_varying(c);

		p->dims = at;
		if (k > 0)
			TRY(step_over(c, payload, bytes, &at, k * sizeof(uint32_t) * samples));
		p->data = at;
		TRY(wire_data_bytes(c, samples, (const uint32_t *)(const void *)
				    (payload + p->dims), &p->bytes));
		TRY(step_over(c, payload, bytes, &at, p->bytes));
	}
	if (at != bytes)
		return fail("payload of %zu bytes, its columns have %zu", bytes, at);
	return 0;
}

void wire_order_begin(struct wire_order *o, const struct stream_head *h)
{
	*o = (struct wire_order){ .epoch = h->epoch, .high = WIRE_POSITION_MAX,
				  .total = h->samples, .parts = h->parts };
}

/* The position of a record against what is allowed. */
static int order_place(const struct wire_order *o, uint64_t position)
{
	if (position >= o->low && position <= o->high)
		return 0;
	if (!o->any)
		return fail("position %" PRIu64 " is too large", position);
	return fail("position %" PRIu64 ", but the next sample stands at %" PRIu64 ": %s", position,
		    o->low, position > o->high ? "samples are missing" :
		    "samples are repeated or swapped");
}

int wire_order_data(struct wire_order *o, uint64_t position, uint32_t samples)
{
	uint64_t span = (uint64_t)samples * o->parts;

	if (samples == 0)
		return fail("no samples");
	TRY(order_place(o, position));
	if (position + span > WIRE_POSITION_MAX)
		return fail("position %" PRIu64 " is too large", position);
	if (o->epoch && !o->any)
		o->boundary = (position / o->epoch + 1) * o->epoch;
	if (o->epoch && position >= o->boundary)
		return fail("position %" PRIu64 ", but EPOC at %" PRIu64 " is missing", position,
			    o->boundary);
	if (o->epoch && position + span - o->parts >= o->boundary)
		return fail("samples from %" PRIu64 " run over the end of the epoch at %" PRIu64,
			    position, o->boundary);
	o->samples += samples;
	if (o->total != STREAM_UNKNOWN && o->samples > o->total)
		return fail("more samples than the header's %" PRIu64, o->total);
	o->low = o->high = position + span;
	o->any = 1;
	return 0;
}

int wire_order_epoch(struct wire_order *o, uint64_t position)
{
	if (!o->epoch)
		return fail("EPOC, but the header has no epoch size");
	if (position > WIRE_POSITION_MAX - o->epoch || position % o->epoch)
		return fail("EPOC at %" PRIu64 " is not at the end of an epoch of %" PRIu64
			    " samples", position, o->epoch);
	if (!o->any) {
		o->low = position;
		o->high = position + o->parts - 1;
	} else if (position != o->boundary || position > o->high) {
		return fail("EPOC at %" PRIu64 ", but the next sample stands at %" PRIu64
			    " and the epoch ends at %" PRIu64, position, o->low, o->boundary);
	} else if (o->low < position) {
		o->low = position;
	}
	o->boundary = position + o->epoch;
	o->any = 1;
	return 0;
}

int wire_order_end(struct wire_order *o, uint64_t position)
{
	TRY(order_place(o, position));
	if (o->total != STREAM_UNKNOWN && o->samples != o->total)
		return fail("END after %" PRIu64 " samples, the header has %" PRIu64, o->samples,
			    o->total);
	return 0;
}
