/* The batch stream: bytes, what was written is read, order, parts, segments, ERR. */
#include "base/crc.h"

#include "stream_made.h"

#include <pthread.h>

/* A segment from position on in records of 2, `samples` samples, epochs of `epoch`. */
static void segment(struct stream_writer *w, const struct stream_head *h, uint64_t position,
		    uint64_t samples)
{
	assert_int_equal(stream_begin(w, h), 0);
	for (uint64_t done = 0; done < samples;) {
		uint32_t n = samples - done > 1 ? 2 : 1;

		if (h->epoch && position % h->epoch == h->epoch - 1)
			n = 1;
		if (h->epoch && done && position % h->epoch == 0)
			assert_int_equal(stream_epoch(w, position), 0);
		assert_int_equal(made_write(w, position, n, 1), 0);
		position += n;
		done += n;
	}
	assert_int_equal(stream_end(w, position), 0);
}

static void golden_bytes(void **state)
{
	/* one column u8 [3], metadata {}, one sample, END; sums by Python's zlib */
	static const unsigned char want[] = {
		0x89, 'M', 'R', 'B', '\r', '\n', 0x1a, '\n', 1, 0, 0, 0, 192, 0, 0, 0,
		1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
		5, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 10, 0, 0, 0,
		0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
	};
	struct stream_head h = {
		.samples = 1, .epoch = 5, .payload_max = 256, .record_max = 4, .classes = 10,
		.parts = 1, .columns = 1, .column = { { "x", DTYPE_U8, 1, { 3 } } },
		.meta = (char *)"{}",
	};
	struct stream_view v = { (const unsigned char *)"abc", NULL, 3 };
	struct stream_writer *w;
	unsigned char *b;
	size_t n;
	int fd;

	(void)state;
	w = made_begin(&fd, &h);
	assert_int_equal(stream_write(w, 2, 1, &v), 0);
	assert_int_equal(stream_end(w, 3), 0);
	stream_writer_close(w);
	b = bytes_of(fd, &n);
	assert_int_equal(n, 192 + 64 + 64 + 64);
	assert_memory_equal(b, want, sizeof(want));
	assert_memory_equal(b + 64, "x\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1\0\0\3\0\0",
			    32);
	assert_memory_equal(b + 128, "{}          ", 12);
	assert_memory_equal(b + 192, "DATA\1\0\0\0\x40\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 24);
	assert_memory_equal(b + 256, "abc\0\0\0", 6);
	assert_int_equal(get_u32(b + 192 + 24), crc32z(0, b + 256, 64));
	assert_memory_equal(b + 320, "END \0\0\0\0\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0", 28);
	assert_int_equal(get_u32(b + 60), 0xcfceae25);
	assert_int_equal(get_u32(b + 320 + 60), 0xcdebcddc);
	free(b);
}

static void what_was_written_is_read(void **state)
{
	struct stream_head h = made_head();
	struct stream_writer *w;
	struct stream_reader *r;
	struct stream_record rec;
	struct stream_view v;
	uint64_t position = 3;
	int fd, status;

	(void)state;
	h.meta = (char *)"{\"seed\":7}";
	w = made_begin(&fd, &h);
	assert_int_equal(made_write(w, 3, 4, 1), 0);
	assert_int_equal(made_write(w, 7, 1, 1), 0);
	assert_int_equal(stream_end(w, 8), 0);
	lseek(fd, 0, SEEK_SET);
	r = stream_open(fd, "made", &status);
	assert_non_null(r);
	assert_int_equal(stream_head(r)->columns, 3);
	assert_string_equal(stream_head(r)->column[2].name, "name");
	assert_int_equal(stream_find(stream_head(r), "label"), 1);
	assert_int_equal(stream_find(stream_head(r), "labe"), -1);
	assert_string_equal(stream_head(r)->meta, "{\"seed\":7}");
	while (stream_read(r, &rec) > 0 && rec.kind == STREAM_DATA) {
		assert_int_equal(rec.position, position);
		stream_view(r, &rec, 0, &v);
		assert_int_equal((uintptr_t)v.data % 64, 0);
		for (uint32_t i = 0; i < rec.samples; i++) {
			assert_int_equal(v.dims[2 * i], 1 + (position + i) % 4);
			assert_int_equal(v.dims[2 * i + 1], 1 + (position + i) % 3);
		}
		assert_int_equal(v.data[0], (unsigned char)(position * 7));
		stream_view(r, &rec, 1, &v);
		assert_null(v.dims);
		assert_int_equal(get_u32(v.data), position % 10);
		stream_view(r, &rec, 2, &v);
		assert_int_equal(v.dims[0], position % 5);
		position += rec.samples;
	}
	assert_int_equal(position, 8);
	assert_int_equal(rec.kind, STREAM_SEGMENT);
	assert_int_equal(rec.position, 8);
	assert_int_equal(stream_read(r, &rec), 0);
	assert_int_equal(stream_read(r, &rec), 0);
	stream_close(r);
	stream_writer_close(w);
	close(fd);
}

/* A writer keeps its own programs to the format. */
static void writer_refuses(void **state)
{
	struct stream_head h = made_head();
	struct stream_writer *w;
	struct stream_view v = { (const unsigned char *)"abc", NULL, 2 };
	int fd;

	(void)state;
	h.epoch = 10;
	w = made_begin(&fd, &h);
	assert_int_equal(stream_begin(w, &h), -1);
	assert_int_equal(stream_epoch(w, 7), -1);
	assert_int_equal(made_write(w, 8, 4, 1), -1);
	assert_why("run over the end of the epoch at 10");
	assert_int_equal(made_write(w, 8, 2, 1), 0);
	assert_int_equal(made_write(w, 10, 1, 1), -1);
	assert_why("EPOC at 10 is missing");
	assert_int_equal(stream_epoch(w, 20), -1);
	assert_int_equal(stream_epoch(w, 10), 0);
	assert_int_equal(made_write(w, 11, 1, 1), -1);
	assert_why("next sample stands at 10: samples are missing");
	assert_int_equal(made_write(w, 9, 1, 1), -1);
	assert_why("repeated or swapped");
	assert_int_equal(stream_end(w, 11), -1);
	assert_int_equal(stream_end(w, 10), 0);
	assert_int_equal(made_write(w, 10, 1, 1), -1);
	h.columns = 1;
	h.column[0] = (struct stream_column){ "x", DTYPE_U8, 1, { 3 } };
	h.payload_max = 64;
	assert_int_equal(stream_fixed_bytes(&h, 22), 128);
	assert_int_equal(stream_begin(w, &h), 0);
	assert_int_equal(stream_write(w, 0, 1, &v), -1);
	assert_why("column x: 2 bytes, its dimensions have 3");
	h.columns = 0;
	assert_int_equal(stream_begin(w, &h), -1);
	stream_writer_close(w);
	lseek(fd, 0, SEEK_SET);

	uint64_t samples;

	assert_int_equal(read_all(fd, &samples), 1);
	assert_why("a segment with other columns");
	close(fd);
}

/* Part i of n of `total` positions in epochs of `epoch`, in records of 3. */
static unsigned char *dealt(uint64_t i, uint32_t n, uint64_t epoch, uint64_t total, size_t *bytes)
{
	struct stream_head h = made_head();
	struct stream_writer *w;
	uint64_t p = i, boundary = epoch;
	int fd;

	h.parts = n;
	h.epoch = epoch;
	w = made_begin(&fd, &h);
	while (p < total) {
		uint32_t k = 0;

		for (; boundary <= p; boundary += epoch)
			assert_int_equal(stream_epoch(w, boundary), 0);
		while (k < 3 && p + (uint64_t)k * n < total && p + (uint64_t)k * n < boundary)
			k++;
		assert_int_equal(made_write(w, p, k, n), 0);
		p += (uint64_t)k * n;
	}
	assert_int_equal(stream_end(w, p), 0);
	stream_writer_close(w);
	return bytes_of(fd, bytes);
}

static void dealt_parts(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 9; n++)
		for (uint64_t i = 0; i < n; i++) {
			size_t bytes;
			unsigned char *b = dealt(i, n, 5, 23, &bytes);

			assert_int_equal(read_bytes(b, bytes), 0);
			free(b);
		}
}

/* Positions of the first samples of each segment of what the pieces make together. */
static int positions(const uint64_t (*piece)[3], int n, uint64_t *first)
{
	struct stream_writer *w;
	struct stream_reader *r;
	struct stream_record rec = { 0 };
	int fd = memory_file(), status, got, k = 0, begins = 1;

	w = stream_writer_open(fd, "made");
	assert_non_null(w);
	for (int i = 0; i < n; i++) {
		struct stream_head h = made_head();

		h.epoch = piece[i][0];
		segment(w, &h, piece[i][1], piece[i][2]);
	}
	stream_writer_close(w);
	lseek(fd, 0, SEEK_SET);
	r = stream_open(fd, "made", &status);
	assert_non_null(r);
	while ((got = stream_read(r, &rec)) > 0) {
		if (begins && rec.kind == STREAM_DATA)
			first[k++] = rec.position;
		begins = rec.kind == STREAM_SEGMENT;
	}
	assert_int_equal(got, 0);
	first[k] = rec.position;
	stream_close(r);
	close(fd);
	return k;
}

static void segments_count_on(void **state)
{
	/* epoch size, first position, samples */
	static const uint64_t whole[][3] = { { 6, 0, 6 }, { 6, 0, 6 }, { 6, 0, 12 } };
	static const uint64_t half[][3] = { { 6, 0, 3 }, { 6, 0, 6 } };
	static const uint64_t going_on[][3] = { { 6, 0, 3 }, { 6, 3, 6 }, { 6, 60, 2 } };
	static const uint64_t no_epochs[][3] = { { 0, 0, 3 }, { 0, 0, 5 }, { 0, 4, 1 } };
	uint64_t first[4];

	(void)state;
	assert_int_equal(positions(whole, 3, first), 3);
	assert_int_equal(first[1], 6);
	assert_int_equal(first[2], 12);
	assert_int_equal(first[3], 24);
	assert_int_equal(positions(half, 2, first), 2);
	assert_int_equal(first[1], 6);
	assert_int_equal(positions(going_on, 3, first), 3);
	assert_int_equal(first[1], 3);
	assert_int_equal(first[2], 60);
	assert_int_equal(positions(no_epochs, 3, first), 3);
	assert_int_equal(first[1], 3);
	assert_int_equal(first[2], 8);
}

/* What stream_error() after `records` records gives the reader. */
static int after_error(int begin, int records, const char *why)
{
	struct stream_head h = made_head();
	int fd = memory_file(), status;
	struct stream_writer *w = stream_writer_open(fd, "made");
	uint64_t samples;

	assert_non_null(w);
	if (begin)
		assert_int_equal(stream_begin(w, &h), 0);
	for (int i = 0; i < records; i++)
		assert_int_equal(made_write(w, (uint64_t)i, 1, 1), 0);
	assert_int_equal(stream_error(w, why), 0);
	assert_int_equal(stream_error(w, "twice"), 0);
	assert_int_equal(stream_end(w, (uint64_t)records), -1);
	stream_writer_close(w);
	lseek(fd, 0, SEEK_SET);
	status = read_all(fd, &samples);
	assert_int_equal(samples, records);
	close(fd);
	return status;
}

static void errors_travel(void **state)
{
	char longer[70000];

	(void)state;
	assert_int_equal(after_error(1, 3, "tfrec-cat: no such shard"), STREAM_TOLD);
	assert_string_equal(fail_why(), "tfrec-cat: no such shard");
	assert_int_equal(STREAM_TOLD & 0xff, 4);
	assert_int_equal(after_error(0, 0, "tfrec-cat: unknown option"), STREAM_TOLD);
	assert_string_equal(fail_why(), "tfrec-cat: unknown option");
	assert_int_equal(after_error(1, 0, ""), STREAM_TOLD);
	assert_why("gave no reason");
	assert_int_equal(after_error(1, 1, "a\033[31mb\nc"), STREAM_TOLD);
	assert_string_equal(fail_why(), "a [31mb c");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(after_error(1, 1, longer), STREAM_TOLD);
	assert_int_equal(strlen(fail_why()), FAIL_MAX - 1);
}

static void not_a_stream(void **state)
{
	static const struct {
		const char *bytes, *why;
		size_t n;
		int status;
	} cases[] = {
		{ "", "made: the program before wrote nothing", 0, 4 },
		{ "\x89MRB", "ends early, inside the header", 4, 4 },
		{ "\x89MRB\n\x1a\n", "line ends were changed", 7, 1 },
		{ "\xff\xd8\xff\xe0", "not a batch stream: a JPEG file", 4, 1 },
		{ "\x1f\x8b\x08", "gzip -dc", 3, 1 },
		{ "hello", "made: not a batch stream", 5, 1 },
		{ "\0\0\0\0\0\0\0\0\x29\x03\x98\x07\xd8\xea\x82\xa2", "TFRecords", 16, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_bytes(cases[i].bytes, cases[i].n), cases[i].status);
		assert_why(cases[i].why);
	}

	uint64_t samples;

	assert_int_equal(read_all(-1, &samples), 3);
	assert_why("Bad file descriptor");
}

static void metadata(void **state)
{
	struct stream_head h = { 0 }, copy;
	char *s;

	(void)state;
	assert_int_equal(stream_add_stage(&h, "tfrec-cat",
					  (const char *const[]){ "--seed=1", "x\xff", NULL }), 0);
	assert_int_equal(stream_add_stage(&h, "img-augment", NULL), 0);
	assert_int_equal(stream_set_meta(&h, "mean", "[123.675, 0.1, 1]"), 0);
	assert_int_equal(stream_set_meta(&h, "jpeg", "\"2.1.5\""), 0);
	assert_int_equal(stream_set_meta(&h, "bad", "[1,"), -1);
	assert_string_equal(h.meta,
			    "{\"provenance\":[{\"program\":\"tfrec-cat\",\"version\":\"0.1\","
			    "\"arguments\":[\"--seed=1\",\"x?\"]},{\"program\":\"img-augment\","
			    "\"version\":\"0.1\",\"arguments\":[]}],\"mean\":[123.675,0.1,1],"
			    "\"jpeg\":\"2.1.5\"}");
	s = stream_meta(&h, "jpeg");
	assert_string_equal(s, "2.1.5");
	free(s);
	s = stream_meta(&h, "mean");
	assert_string_equal(s, "[123.675,0.1,1]");
	free(s);
	assert_null(stream_meta(&h, "none"));
	assert_string_equal(fail_why(), "");
	assert_int_equal(stream_head_copy(&copy, &h), 0);
	assert_ptr_not_equal(copy.meta, h.meta);
	stream_head_release(&copy);
	free(h.meta);
	h.meta = strdup("{\"provenance\":1}");
	assert_int_equal(stream_add_stage(&h, "x", NULL), -1);
	stream_head_release(&h);
}

struct sender {
	int fd;
	size_t bytes;
	const unsigned char *data;
};

/* Sends a stream a few bytes at a time. */
static void *dribble(void *arg)
{
	struct sender *s = arg;
	size_t step = 1;

	for (size_t at = 0; at < s->bytes; at += step) {
		step = (at * 7 + 3) % 11 + 1;
		if (write_full(s->fd, s->data + at, step < s->bytes - at ? step :
			       s->bytes - at) < 0)
			break;
	}
	close(s->fd);
	return NULL;
}

static void through_a_pipe(void **state)
{
	size_t n;
	unsigned char *b = dealt(1, 3, 50, 200, &n);
	struct sender s = { .bytes = n, .data = b };
	uint64_t samples;
	pthread_t id;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	s.fd = p[1];
	assert_int_equal(pthread_create(&id, NULL, dribble, &s), 0);
	assert_int_equal(read_all(p[0], &samples), 0);
	assert_int_equal(samples, 67);
	pthread_join(id, NULL);
	close(p[0]);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_bytes),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(writer_refuses),
		cmocka_unit_test(dealt_parts),
		cmocka_unit_test(segments_count_on),
		cmocka_unit_test(errors_travel),
		cmocka_unit_test(not_a_stream),
		cmocka_unit_test(metadata),
		cmocka_unit_test(through_a_pipe),
	};

	return cmocka_run_group_tests_name("the batch stream", tests, NULL, NULL);
}
