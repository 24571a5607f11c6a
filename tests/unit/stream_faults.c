/*
 * A stream of three records cut at every byte and with every bit flipped (B03, B04 of
 * the list of faults), records swapped, dropped and doubled with good checksums (B06),
 * fields of the header at their limits (B01, B02).
 */
#include "base/crc.h"

#include <sys/resource.h>

#include "stream_made.h"

enum { HEADER = 64 + 3 * 64, MOST = 8 };

/* A stream cut into its header and its records. */
struct parts {
	unsigned char *bytes;
	size_t at[MOST + 1];    /* begin of the header, of each record; the end */
	int n;
};

static void add_place(struct parts *p, size_t at)
{
	assert_true(p->n < MOST);
	p->at[p->n++] = at;
}

/* Three DATA records in two epochs and END. */
static struct parts make(void)
{
	struct stream_head h = made_head();
	struct parts p = { 0 };
	struct stream_writer *w;
	int fd;
	size_t n;

	h.epoch = 7;
	w = made_begin(&fd, &h);
	add_place(&p, 0);
	add_place(&p, (size_t)lseek(fd, 0, SEEK_CUR));
	assert_int_equal(made_write(w, 0, 3, 1), 0);
	add_place(&p, (size_t)lseek(fd, 0, SEEK_CUR));
	assert_int_equal(made_write(w, 3, 4, 1), 0);
	add_place(&p, (size_t)lseek(fd, 0, SEEK_CUR));
	assert_int_equal(stream_epoch(w, 7), 0);
	add_place(&p, (size_t)lseek(fd, 0, SEEK_CUR));
	assert_int_equal(made_write(w, 7, 2, 1), 0);
	add_place(&p, (size_t)lseek(fd, 0, SEEK_CUR));
	assert_int_equal(stream_end(w, 9), 0);
	stream_writer_close(w);
	p.bytes = bytes_of(fd, &n);
	p.at[p.n] = n;
	assert_int_equal(p.at[1], HEADER);
	return p;
}

/* Reads the stream made of these pieces, 0 the header; -1 ends the list. */
static int read_pieces(const struct parts *p, const int *piece)
{
	int fd = memory_file(), status;
	uint64_t samples;

	for (; *piece >= 0; piece++)
		assert_int_equal(write_full(fd, p->bytes + p->at[*piece],
					    p->at[*piece + 1] - p->at[*piece]), 0);
	lseek(fd, 0, SEEK_SET);
	status = read_all(fd, &samples);
	close(fd);
	return status;
}

static void whole(void **state)
{
	struct parts p = make();

	(void)state;
	assert_int_equal(read_pieces(&p, (int[]){ 0, 1, 2, 3, 4, 5, -1 }), 0);
	free(p.bytes);
}

static void cut_at_every_byte(void **state)
{
	struct parts p = make();

	(void)state;
	for (size_t n = 0; n < p.at[p.n]; n++)
		if (read_bytes(p.bytes, n) != 4)
			fail_msg("cut to %zu bytes: %s", n, fail_why());
	free(p.bytes);
}

static void every_bit_flipped(void **state)
{
	struct parts p = make();
	size_t n = p.at[p.n];

	(void)state;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		int status;

		p.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		status = read_bytes(p.bytes, n);
		if (status != 1 && status != 4)
			fail_msg("bit %zu flipped: status %d: %s", bit, status, fail_why());
		p.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	assert_int_equal(read_bytes(p.bytes, n), 0);
	free(p.bytes);
}

/* Bytes that were put in or lost: a reader never finds its way back by chance. */
static void bytes_lost_or_added(void **state)
{
	struct parts p = make();
	size_t n = p.at[p.n];
	unsigned char *b = malloc(n + 1);

	(void)state;
	assert_non_null(b);
	for (size_t at = 0; at < n; at++) {
		memcpy(b, p.bytes, at);
		memcpy(b + at, p.bytes + at + 1, n - at - 1);
		int lost = read_bytes(b, n - 1);

		b[at] = 0x55;
		memcpy(b + at + 1, p.bytes + at, n - at);
		int added = read_bytes(b, n + 1);

		if ((lost != 1 && lost != 4) || (added != 1 && added != 4))
			fail_msg("byte %zu: %d, %d", at, lost, added);
	}
	b[0] = 0;
	memcpy(b, p.bytes, n);
	b[n] = 0;
	assert_int_equal(read_bytes(b, n + 1), 1);
	free(b);
	free(p.bytes);
}

static void records_out_of_order(void **state)
{
	/* 0 header, 1 DATA 0-2, 2 DATA 3-6, 3 EPOC 7, 4 DATA 7-8, 5 END 9 */
	static const int orders[][8] = {
		{ 0, 2, 1, 3, 4, 5, -1 }, { 0, 1, 3, 2, 4, 5, -1 }, { 0, 1, 2, 4, 3, 5, -1 },
		{ 0, 1, 2, 3, 5, -1 }, { 0, 1, 2, 4, 5, -1 }, { 0, 1, 3, 4, 5, -1 },
		{ 0, 1, 1, 2, 3, 4, 5, -1 }, { 0, 1, 2, 2, 3, 4, 5, -1 },
		{ 0, 1, 2, 3, 3, 4, 5, -1 }, { 0, 1, 2, 3, 4, 4, 5, -1 }, { 0, 1, 5, -1 },
		{ 0, 1, 2, 3, 4, 5, 5, -1 }, { 0, 4, 1, -1 }, { 1, 2, -1 }, { 5, -1 },
	};
	struct parts p = make();

	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		int status = read_pieces(&p, orders[i]);

		if (status != 1 && status != 4)
			fail_msg("order %zu: status %d", i, status);
	}
	assert_int_equal(read_pieces(&p, (int[]){ 0, 1, 2, 3, 4, -1 }), 4);
	/* a stream may begin anywhere, also at an epoch's end, and hold nothing */
	assert_int_equal(read_pieces(&p, (int[]){ 0, 2, 3, 4, 5, -1 }), 0);
	assert_int_equal(read_pieces(&p, (int[]){ 0, 4, 5, -1 }), 0);
	assert_int_equal(read_pieces(&p, (int[]){ 0, 3, 4, 5, -1 }), 0);
	assert_int_equal(read_pieces(&p, (int[]){ 0, 5, -1 }), 0);
	free(p.bytes);
}

/* Makes the checksum of the record's header at b good again. */
static void sign_record(unsigned char *b)
{
	put_u32(b + 60, crc32z(0, b, 60));
}

static void sign_head(unsigned char *b, size_t n)
{
	put_u32(b + 60, 0);
	put_u32(b + 60, crc32z(0, b, n));
}

static void reason_names_both_positions(void **state)
{
	struct parts p = make();

	(void)state;
	assert_int_equal(read_pieces(&p, (int[]){ 0, 1, 4, 5, -1 }), 1);
	assert_why("made: record 2 at byte ");
	assert_why("position 7, but the next sample stands at 3");
	assert_int_equal(read_pieces(&p, (int[]){ 0, 1, 2, 4, 5, -1 }), 1);
	assert_why("EPOC at 7 is missing");
	free(p.bytes);
}

static void end_position_wrong(void **state)
{
	struct parts p = make();

	(void)state;
	for (uint64_t position = 0; position < 20; position++) {
		put_u64(p.bytes + p.at[5] + 16, position);
		sign_record(p.bytes + p.at[5]);
		assert_int_equal(read_bytes(p.bytes, p.at[p.n]), position == 9 ? 0 : 1);
	}
	free(p.bytes);
}

static void epoch_position_wrong(void **state)
{
	struct parts p = make();

	(void)state;
	for (uint64_t position = 0; position < 30; position++) {
		put_u64(p.bytes + p.at[3] + 16, position);
		sign_record(p.bytes + p.at[3]);
		assert_int_equal(read_bytes(p.bytes, p.at[p.n]), position == 7 ? 0 : 1);
	}
	free(p.bytes);
}

/* Each field of a record's header at values that must be refused, with a good sum. */
static void record_fields(void **state)
{
	static const struct {
		size_t at;
		int bytes;
		uint64_t value;
	} bad[] = {
		{ 4, 4, 0 }, { 4, 4, 2 }, { 4, 4, 4 }, { 4, 4, MADE_SAMPLES + 1 },
		{ 4, 4, UINT32_MAX }, { 8, 8, 0 }, { 8, 8, 64 }, { 8, 8, (1 << 16) + 64 },
		{ 8, 8, UINT64_MAX }, { 8, 8, UINT64_MAX - 63 }, { 8, 8, STREAM_RECORD_MAX },
		{ 16, 8, 1 }, { 16, 8, UINT64_MAX }, { 16, 8, (uint64_t)1 << 62 },
		{ 24, 4, 0 }, { 28, 8, 1 }, { 36, 8, 1 }, { 44, 8, 1 }, { 52, 8, 1 },
	};
	struct parts p = make();
	unsigned char old[64], *b = p.bytes + p.at[1];

	(void)state;
	memcpy(old, b, 64);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (bad[i].bytes == 4)
			put_u32(b + bad[i].at, (uint32_t)bad[i].value);
		else
			put_u64(b + bad[i].at, bad[i].value);
		sign_record(b);
		int status = read_bytes(p.bytes, p.at[p.n]);

		if (status != 1)
			fail_msg("case %zu: status %d", i, status);
		memcpy(b, old, 64);
	}
	memcpy(b, "DATB", 4);
	sign_record(b);
	assert_int_equal(read_bytes(p.bytes, p.at[p.n]), 1);
	free(p.bytes);
}

static void head_fields(void **state)
{
	static const struct {
		size_t at;
		int bytes;
		uint64_t value;
		int status;
	} cases[] = {
		{ 0, 4, 0x42524d88, 1 }, { 8, 2, 0, 1 }, { 8, 2, 2, 1 }, { 8, 2, 0x100, 1 },
		{ 8, 2, 65535, 1 }, { 10, 2, 1, 1 }, { 12, 4, 0, 1 }, { 12, 4, 1, 1 },
		{ 12, 4, HEADER + 64, 1 }, { 12, 4, STREAM_HEAD_MAX, 1 },
		{ 12, 4, STREAM_HEAD_MAX + 64, 1 }, { 12, 4, UINT32_MAX, 1 }, { 16, 4, 1, 1 },
		{ 16, 4, 0, 1 }, { 16, 4, STREAM_COLUMNS + 1, 1 }, { 16, 4, UINT32_MAX, 1 },
		{ 20, 4, 1, 1 }, { 20, 4, STREAM_HEAD_MAX, 1 }, { 20, 4, UINT32_MAX, 1 },
		{ 24, 8, 0, 1 }, { 24, 8, 8, 1 }, { 24, 8, 9, 0 }, { 24, 8, 10, 1 },
		{ 24, 8, UINT64_MAX - 1, 1 }, { 24, 8, UINT64_MAX, 0 },
		{ 32, 8, 0, 1 }, { 32, 8, 1, 1 }, { 32, 8, 8, 1 },
		{ 32, 8, (uint64_t)1 << 62, 1 }, { 32, 8, UINT64_MAX, 1 },
		{ 40, 4, 0, 1 }, { 40, 4, 1, 1 }, { 40, 4, 3, 1 }, { 40, 4, 4, 0 },
		{ 40, 4, UINT32_MAX, 0 }, { 44, 4, 0, 0 }, { 44, 4, INT32_MAX, 0 },
		{ 44, 4, UINT32_MAX, 1 }, { 48, 8, 0, 1 }, { 48, 8, 1, 1 },
		{ 48, 8, STREAM_RECORD_MAX, 0 }, { 48, 8, STREAM_RECORD_MAX + 1, 1 },
		{ 48, 8, UINT64_MAX, 1 }, { 56, 4, 0, 1 }, { 56, 4, 2, 1 },
		{ 56, 4, UINT32_MAX, 1 },
		/* the first column: name, type, rank, zeros, dimensions, zeros */
		{ 64, 4, 0, 1 }, { 64, 4, 0x20202020, 1 }, { 64, 4, 0x80808080, 1 },
		{ 70, 4, 1 << 24, 1 }, { 88, 2, 0x0300, 1 }, { 88, 2, 0x0307, 1 },
		{ 88, 2, 0x03ff, 1 }, { 88, 2, 0x0302, 1 }, { 88, 2, 0x0001, 1 },
		{ 88, 2, 0x0201, 1 }, { 88, 2, 0x0401, 1 }, { 88, 2, 0x0501, 1 },
		{ 90, 2, 1, 1 }, { 92, 4, 0, 1 }, { 92, 4, 1, 1 }, { 100, 4, 0, 1 },
		{ 100, 4, UINT32_MAX - 1, 1 }, { 100, 4, STREAM_VARIES, 1 }, { 104, 4, 1, 1 },
		{ 108, 4, 1, 1 }, { 124, 4, 1, 1 },
	};
	struct parts p = make();
	unsigned char old[HEADER];

	(void)state;
	memcpy(old, p.bytes, HEADER);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned char *b = p.bytes + cases[i].at;

		if (cases[i].bytes == 2)
			put_u16(b, (uint16_t)cases[i].value);
		else if (cases[i].bytes == 4)
			put_u32(b, (uint32_t)cases[i].value);
		else
			put_u64(b, cases[i].value);
		sign_head(p.bytes, HEADER);
		int status = read_bytes(p.bytes, p.at[p.n]);

		if (status != cases[i].status)
			fail_msg("case %zu (at %zu, %#llx): status %d: %s", i, cases[i].at,
				 (unsigned long long)cases[i].value, status, fail_why());
		memcpy(p.bytes, old, HEADER);
	}
	memcpy(p.bytes + 64 + 64, "image", 6);  /* a second column of that name */
	sign_head(p.bytes, HEADER);
	assert_int_equal(read_bytes(p.bytes, p.at[p.n]), 1);
	assert_why("two columns are named image");
	free(p.bytes);
}

/* Padding and dimensions that lie, under good checksums. */
static void payload_lies(void **state)
{
	struct parts p = make();
	unsigned char *record = p.bytes + p.at[1], *payload = record + 64;
	size_t n = p.at[2] - p.at[1] - 64;
	int accepted = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		payload[i] ^= 0x80;
		put_u32(record + 24, crc32z(0, payload, n));
		sign_record(record);
		int status = read_bytes(p.bytes, p.at[p.n]);

		assert_true(status == 0 || status == 1);
		accepted += status == 0;
		payload[i] ^= 0x80;
	}
	/* pixels, labels and names may be anything: sizes 1x1, 2x2, 3x3; names "", b, cd */
	assert_int_equal(accepted, (1 + 4 + 9) * 3 + 3 * 4 + (0 + 1 + 2));
	free(p.bytes);
}

static void metadata_refused(void **state)
{
	static const char *const bad[] = { "[]", "{", "1", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}",
					   "{} x", "null" };
	struct stream_head h = made_head();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct stream_writer *w;
		unsigned char *b;
		size_t n;
		int fd;

		h.meta = (char *)bad[i];
		w = made_begin(&fd, &h);
		assert_int_equal(stream_end(w, 0), 0);
		stream_writer_close(w);
		b = bytes_of(fd, &n);
		assert_int_equal(read_bytes(b, n), 1);
		assert_why("metadata");
		free(b);
	}
}

static long most_memory(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* A record of 2 GiB of which 3 MB come: no memory is taken for what does not. */
static void a_length_that_lies(void **state)
{
	struct stream_head h = made_head();
	struct stream_writer *w;
	unsigned char *b, *more;
	long before = most_memory();
	size_t n, sent = 3000000;
	int fd;

	(void)state;
	h.payload_max = STREAM_RECORD_MAX;
	w = made_begin(&fd, &h);
	assert_int_equal(made_write(w, 0, 1, 1), 0);
	stream_writer_close(w);
	b = bytes_of(fd, &n);
	put_u64(b + HEADER + 8, STREAM_RECORD_MAX);
	sign_record(b + HEADER);
	more = calloc(1, n + sent);
	assert_non_null(more);
	memcpy(more, b, n);
	assert_int_equal(read_bytes(more, n + sent), 4);
	assert_true(most_memory() - before < 32 << 10);
	free(more);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(every_bit_flipped),
		cmocka_unit_test(bytes_lost_or_added),
		cmocka_unit_test(records_out_of_order),
		cmocka_unit_test(reason_names_both_positions),
		cmocka_unit_test(end_position_wrong),
		cmocka_unit_test(epoch_position_wrong),
		cmocka_unit_test(record_fields),
		cmocka_unit_test(head_fields),
		cmocka_unit_test(payload_lies),
		cmocka_unit_test(metadata_refused),
		cmocka_unit_test(a_length_that_lies),
	};

	return cmocka_run_group_tests_name("faults of the batch stream", tests, NULL, NULL);
}
