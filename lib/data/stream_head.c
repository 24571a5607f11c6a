#include "data/stream_wire.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/fail.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "payloads are used where they lie");

const unsigned char wire_magic[8] = { 0x89, 'M', 'R', 'B', '\r', '\n', 0x1a, '\n' };

int stream_find(const struct stream_head *h, const char *name)
{
	for (int i = 0; i < h->columns; i++)
		if (strcmp(h->column[i].name, name) == 0)
			return i;
	return -1;
}

size_t stream_numbers(const struct stream_column *c)
{
	size_t n = 1;

	for (int i = 0; i < c->rank; i++)
		if (c->dim[i] == STREAM_VARIES || __builtin_mul_overflow(n, c->dim[i], &n))
			return 0;
	return n;
}

uint64_t stream_fixed_bytes(const struct stream_head *h, uint32_t samples)
{
	uint64_t all = 0;

	for (int i = 0; i < h->columns; i++) {
		uint64_t bytes = stream_numbers(&h->column[i]);

		if (bytes == 0 ||
		    __builtin_mul_overflow(bytes, dtype_bytes(h->column[i].type), &bytes) ||
		    __builtin_mul_overflow(bytes, samples, &bytes) || bytes > STREAM_RECORD_MAX)
			return 0;
		all += round_up(bytes, WIRE_ALIGN);
	}
	return all <= STREAM_RECORD_MAX ? all : 0;
}

int stream_head_copy(struct stream_head *to, const struct stream_head *from)
{
	char *meta = NULL;

	if (from->meta) {
		meta = strdup(from->meta);
		if (!meta)
			return fail("out of memory for a stream's header");
	}
	*to = *from;
	to->meta = meta;
	return 0;
}

void stream_head_release(struct stream_head *h)
{
	free(h->meta);
	*h = (struct stream_head){ 0 };
}

/* What is at the start of a file that is no batch stream, where that can be said. */
static const char *looks_like(const unsigned char *b)
{
	static const struct {
		const char *bytes, *what;
		int n;
	} known[] = {
		{ "\x89MRB\n", ": line ends were changed on the way (text mode)", 5 },
		{ "\x89MRB", ": bytes were changed on the way", 4 },
		{ "\xff\xd8\xff", ": a JPEG file", 3 },
		{ "\x89PNG", ": a PNG file", 4 },
		{ "\x1f\x8b", ": gzip; try gzip -dc", 2 },
		{ "\x28\xb5\x2f\xfd", ": zstd; try zstd -dc", 4 },
		{ "PK\003\004", ": a zip file", 4 },
		{ "\x93NUMPY", ": a NumPy file", 6 },
		{ "<!", ": a web page", 2 },
		{ "version https:", ": a pointer of Git LFS; try git lfs pull", 14 },
		{ "{", ": JSON", 1 },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (memcmp(b, known[i].bytes, (size_t)known[i].n) == 0)
			return known[i].what;
	if (get_u32(b + 8) == crc32c_masked(b, 8))
		return ": TFRecords; tfrec-cat makes a stream of them";
	return "";
}

size_t wire_head_size(const unsigned char *b)
{
	uint32_t size = get_u32(b + 12), columns = get_u32(b + 16), meta = get_u32(b + 20);

	if (memcmp(b, wire_magic, 8) != 0)
		fail("not a batch stream%s", looks_like(b));
	else if (get_u16(b + 8) != WIRE_VERSION)
		fail("version %u of the batch stream; this program knows version %d",
		     get_u16(b + 8), WIRE_VERSION);
	else if (get_u16(b + 10) != 0)
		fail("reserved bytes of the header are not zero");
	else if (columns > STREAM_COLUMNS)
		fail("%" PRIu32 " columns; at most %d", columns, STREAM_COLUMNS);
	else if (size > STREAM_HEAD_MAX || meta > STREAM_HEAD_MAX)
		fail("a header of more than %d bytes", STREAM_HEAD_MAX);
	else if (size != WIRE_HEAD + columns * WIRE_COLUMN + round_up(meta, WIRE_ALIGN))
		fail("a header of %" PRIu32 " bytes, its parts have others", size);
	else
		return size;
	return 0;
}

/* Names are words that can be typed: printable ASCII without blanks. */
static int name_good(const char *name)
{
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~')
			return 0;
	return *name != '\0';
}

/* One column, and that its name is not taken by those before. */
static int column_check(const struct stream_head *h, int i)
{
	const struct stream_column *c = &h->column[i];

	if (!name_good(c->name))
		return fail("column %d has no proper name", i + 1);
	if (dtype_bytes(c->type) == 0)
		return fail("column %s: unknown type %d", c->name, (int)c->type);
	if (c->rank < 1 || c->rank > STREAM_RANK)
		return fail("column %s: rank %d", c->name, c->rank);
	for (int k = 0; k < STREAM_RANK; k++)
		if ((c->dim[k] == 0) != (k >= c->rank))
			return fail("column %s: dimension %d is %" PRIu32, c->name, k + 1,
				    c->dim[k]);
	if (stream_find(h, c->name) != i)
		return fail("two columns are named %s", c->name);
	return 0;
}

/* What must hold for every header, read or to be written. */
static int head_check(const struct stream_head *h)
{
	if (h->parts == 0)
		return fail("no parts");
	if (h->columns < 0 || h->columns > STREAM_COLUMNS)
		return fail("%d columns", h->columns);
	if (h->epoch > WIRE_POSITION_MAX)
		return fail("epochs of %" PRIu64 " samples", h->epoch);
	if (h->samples > WIRE_POSITION_MAX && h->samples != STREAM_UNKNOWN)
		return fail("%" PRIu64 " samples", h->samples);
	if (h->classes > INT32_MAX)
		return fail("%" PRIu32 " classes", h->classes);
	if (h->payload_max > STREAM_RECORD_MAX)
		return fail("records of %" PRIu64 " bytes; at most %" PRIu64, h->payload_max,
			    STREAM_RECORD_MAX);
	for (int i = 0; i < h->columns; i++)
		TRY(column_check(h, i));
	if (h->columns > 0 && (h->record_max == 0 || h->payload_max == 0))
		return fail("the header leaves no room for records");
	return 0;
}

static int column_read(struct stream_column *c, const unsigned char *b)
{
	size_t n = strnlen((const char *)b, STREAM_NAME);

	memcpy(c->name, b, n);
	c->name[n] = '\0';
	for (size_t i = n; i < STREAM_NAME; i++)
		if (b[i])
			return fail("bytes after the end of a column's name");
	c->type = b[24];
	c->rank = b[25];
	for (int k = 0; k < STREAM_RANK; k++)
		c->dim[k] = get_u32(b + 28 + 4 * k);
	if (b[26] || b[27] || memcmp(b + 44, wire_zeros, 20) != 0)
		return fail("column %s: reserved bytes are not zero", c->name);
	return 0;
}

static void column_make(const struct stream_column *c, unsigned char *b)
{
	memcpy(b, c->name, strlen(c->name));
	b[24] = (unsigned char)c->type;
	b[25] = (unsigned char)c->rank;
	for (int k = 0; k < STREAM_RANK; k++)
		put_u32(b + 28 + 4 * k, c->dim[k]);
}

/* The checksum of a header whose own field counts as 0. */
static uint32_t head_crc(const unsigned char *b, size_t n)
{
	uint32_t crc = crc32z(0, b, 60);

	crc = crc32z(crc, wire_zeros, 4);
	return crc32z(crc, b + 64, n - 64);
}

int wire_head_read(struct stream_head *h, const unsigned char *b, size_t n)
{
	*h = (struct stream_head){ 0 };
	if (get_u32(b + 60) != head_crc(b, n))
		return fail("checksum of the header does not match");
	h->columns = (int)get_u32(b + 16);
	h->samples = get_u64(b + 24);
	h->epoch = get_u64(b + 32);
	h->record_max = get_u32(b + 40);
	h->classes = get_u32(b + 44);
	h->payload_max = get_u64(b + 48);
	h->parts = get_u32(b + 56);
	for (int i = 0; i < h->columns; i++)
		TRY(column_read(&h->column[i], b + WIRE_HEAD + i * WIRE_COLUMN));
	TRY(head_check(h));

	size_t at = WIRE_HEAD + (size_t)h->columns * WIRE_COLUMN, meta = get_u32(b + 20);

	for (size_t i = at + meta; i < n; i++)
		if (b[i] != ' ')
			return fail("metadata is not padded with spaces");
	if (meta == 0)
		return 0;
	if (memchr(b + at, '\0', meta))
		return fail("metadata holds a zero byte");
	h->meta = strndup((const char *)b + at, meta);
	if (!h->meta)
		return fail("out of memory for the header");
	return 0;
}

unsigned char *wire_head_make(const struct stream_head *h, size_t *n)
{
	size_t meta = h->meta ? strlen(h->meta) : 0;
	size_t at = WIRE_HEAD + (size_t)h->columns * WIRE_COLUMN;
	unsigned char *b;

	if (head_check(h) < 0)
		return NULL;
	if (meta > STREAM_HEAD_MAX || at + round_up(meta, WIRE_ALIGN) > STREAM_HEAD_MAX) {
		fail("metadata of %zu bytes is too long", meta);
		return NULL;
	}
	*n = at + round_up(meta, WIRE_ALIGN);
	b = calloc(1, *n);
	if (!b) {
		fail("out of memory for a stream's header");
		return NULL;
	}
	memcpy(b, wire_magic, 8);
	put_u16(b + 8, WIRE_VERSION);
	put_u32(b + 12, (uint32_t)*n);
	put_u32(b + 16, (uint32_t)h->columns);
	put_u32(b + 20, (uint32_t)meta);
	put_u64(b + 24, h->samples);
	put_u64(b + 32, h->epoch);
	put_u32(b + 40, h->record_max);
	put_u32(b + 44, h->classes);
	put_u64(b + 48, h->payload_max);
	put_u32(b + 56, h->parts);
	for (int i = 0; i < h->columns; i++)
		column_make(&h->column[i], b + WIRE_HEAD + i * WIRE_COLUMN);
	memset(b + at, ' ', *n - at);
	if (meta)
		memcpy(b + at, h->meta, meta);
	put_u32(b + 60, crc32z(0, b, *n));
	return b;
}
