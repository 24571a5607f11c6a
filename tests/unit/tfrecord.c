/* TFRecord framing under every cut and every flipped bit, compressed or not; sizes that
 * lie; files that are something else. */
#include "base/bytes.h"
#include "base/crc.h"
#include "base/fail.h"
#include "data/index.h"
#include "data/tfrecord.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

enum { RECORDS = 3, MOST = 4096 };

static const size_t sizes[RECORDS] = { 40, 0, 219 };
static unsigned char file[MOST];
static size_t file_size, bounds[RECORDS + 1];

/* Three records, one of them empty; some bytes look like line ends. */
static void make_file(void)
{
	struct frames f = { 0 };
	unsigned char data[256];
	size_t i, k;

	for (i = 0; i < RECORDS; i++) {
		for (k = 0; k < sizes[i]; k++)
			data[k] = (unsigned char)(k * 7 + i);
		assert_int_equal(tfrecord_frame(&f, data, sizes[i]), 0);
		bounds[i + 1] = f.size;
	}
	memcpy(file, f.data, f.size);
	file_size = f.size;
	frames_release(&f);
}

/* A file in memory and its path. */
static int memory_file(const void *bytes, size_t n, char path[32])
{
	int fd = memfd_create("t", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* A pipe that holds the bytes (they fit) and has ended, and its path. */
static int full_pipe(const void *bytes, size_t n, char path[32])
{
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], bytes, n), (ssize_t)n);
	close(fd[1]);
	snprintf(path, 32, "/proc/self/fd/%d", fd[0]);
	return fd[0];
}

struct result {
	size_t good;            /* records read, each as it was written */
	int end;                /* what came last: 0 or -1 */
	int status;
};

static int unchanged(const struct tfrecord *r)
{
	return r->number < RECORDS && r->offset == bounds[r->number] &&
	       r->size == sizes[r->number] &&
	       !memcmp(r->data, file + r->offset + TFRECORD_HEAD, sizes[r->number]);
}

static struct result read_all(const char *path)
{
	struct result result = { 0 };
	struct tfrecord_reader *r = tfrecord_open(path, 0, &result.status);
	struct tfrecord record;

	fail_clear();
	if (!r) {
		result.end = -1;
		return result;
	}
	while ((result.end = tfrecord_read(r, &record)) > 0) {
		assert_true(unchanged(&record));
		result.good++;
	}
	if (result.end < 0) {
		assert_true(*fail_why());
		result.status = tfrecord_status(r);
	}
	tfrecord_close(r);
	return result;
}

static struct result read_bytes(const void *bytes, size_t n, int by_pipe)
{
	char path[32];
	int fd = by_pipe ? full_pipe(bytes, n, path) : memory_file(bytes, n, path);
	struct result r = read_all(path);

	close(fd);
	return r;
}

/* T02 */
static void known_bytes(void **state)
{
	static const unsigned char empty[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0x29, 0x03, 0x98, 0x07,
						 0xd8, 0xea, 0x82, 0xa2 };
	struct frames f = { 0 };

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
	assert_int_equal(crc32c_masked("123456789", 9), 0xc78ab0e5u);
	assert_int_equal(tfrecord_frame(&f, "", 0), 0);
	assert_int_equal(f.size, 16);
	assert_memory_equal(f.data, empty, 16);
	frames_release(&f);
}

/* T01, T03 */
static void every_prefix(void **state)
{
	size_t n, whole;
	int by_pipe;

	(void)state;
	for (by_pipe = 0; by_pipe < 2; by_pipe++)
		for (n = 0; n <= file_size; n++) {
			struct result r = read_bytes(file, n, by_pipe);

			for (whole = 0; whole < RECORDS && bounds[whole + 1] <= n; whole++)
				;
			assert_int_equal(r.good, whole);
			assert_int_equal(r.end, bounds[whole] == n ? 0 : -1);
			if (r.end)
				assert_int_equal(r.status, 1);
		}
}

/* T04. A flip in a record stops at it: those before it are read, none after it is wrong. */
static void every_flipped_bit(void **state)
{
	unsigned char bytes[MOST];
	size_t bit, hit;

	(void)state;
	for (bit = 0; bit < 8 * file_size; bit++) {
		struct result r;

		memcpy(bytes, file, file_size);
		bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		r = read_bytes(bytes, file_size, 0);
		for (hit = 0; bounds[hit + 1] <= bit / 8; hit++)
			;
		assert_int_equal(r.end, -1);
		assert_int_equal(r.status, 1);
		assert_int_equal(r.good, hit);
	}
}

static size_t deflated(const void *from, size_t n, int bits, unsigned char *to)
{
	z_stream z = { 0 };
	size_t size;

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)(uintptr_t)from;
	z.avail_in = (uInt)n;
	z.next_out = to;
	z.avail_out = MOST;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size = MOST - z.avail_out;
	deflateEnd(&z);
	return size;
}

/* Reads compressed bytes that must not be accepted as whole. */
static void refused(const unsigned char *bytes, size_t n)
{
	int by_pipe;

	for (by_pipe = 0; by_pipe < 2; by_pipe++) {
		struct result r = read_bytes(bytes, n, by_pipe);

		assert_int_equal(r.end, -1);
		assert_int_equal(r.status, 1);
	}
}

static void accepted(const unsigned char *bytes, size_t n, size_t records)
{
	int by_pipe;

	for (by_pipe = 0; by_pipe < 2; by_pipe++) {
		struct result r = read_bytes(bytes, n, by_pipe);

		assert_int_equal(r.end, 0);
		assert_int_equal(r.good, records);
	}
}

/* T10 */
static void compressed(void **state)
{
	static const int kinds[] = { 15 + 16, 15 };
	unsigned char z[2 * MOST], copy[2 * MOST];
	size_t k, n, cut, split;

	(void)state;
	for (k = 0; k < 2; k++) {
		n = deflated(file, file_size, kinds[k], z);
		accepted(z, n, RECORDS);
		for (cut = 1; cut < n; cut++)
			refused(z, cut);
		/* Each byte of the checks at the end. */
		for (cut = n - (k ? 4 : 8); cut < n; cut++) {
			memcpy(copy, z, n);
			copy[cut] ^= 0x10;
			refused(copy, n);
		}
		memcpy(copy, z, n);
		memset(copy + n, 0, 700);
		accepted(copy, n + 700, RECORDS);
		memcpy(copy + n, "junk", 4);
		refused(copy, n + 4);
		memset(copy + n, 0, 3);
		memcpy(copy + n + 3, "junk", 4);
		refused(copy, n + 7);
	}
	/* Members may be cut anywhere, also inside a record. */
	for (split = 0; split <= file_size; split += 13) {
		n = deflated(file, split, 15 + 16, z);
		n += deflated(file + split, file_size - split, 15 + 16, z + n);
		accepted(z, n, RECORDS);
	}
	n = deflated("", 0, 15 + 16, z);
	accepted(z, n, 0);
}

static void frame_head(unsigned char *to, uint64_t size)
{
	put_u64(to, size);
	put_u32(to + 8, crc32c_masked(to, 8));
}

/* T05, T06: a length that lies costs no memory, and is refused. */
static void lying_lengths(void **state)
{
	static const uint64_t lengths[] = { UINT64_MAX, UINT64_MAX - 16, UINT64_MAX - 15,
		(uint64_t)1 << 63, (uint64_t)1 << 32, TFRECORD_MAX + 1, TFRECORD_MAX, 1000 };
	unsigned char bytes[612] = { 0 };
	size_t i;
	int by_pipe;

	(void)state;
	for (i = 0; i < sizeof lengths / sizeof *lengths; i++)
		for (by_pipe = 0; by_pipe < 2; by_pipe++) {
			struct frames f = { 0 };
			struct tfrecord record;
			struct tfrecord_reader *r;
			char path[32];
			int fd, status;

			frame_head(bytes, lengths[i]);
			fd = by_pipe ? full_pipe(bytes, sizeof bytes, path) :
			     memory_file(bytes, sizeof bytes, path);
			r = tfrecord_open(path, 0, &status);
			assert_non_null(r);
			assert_int_equal(tfrecord_load(r, &record, &f), -1);
			assert_int_equal(tfrecord_status(r), 1);
			assert_non_null(strstr(fail_why(), "record 0, offset 0: "));
			assert_int_equal(f.size, 0);
			assert_true(f.room <= 2 << 20);
			frames_release(&f);
			tfrecord_close(r);
			close(fd);
		}
}

static void limit_can_be_set(void **state)
{
	struct tfrecord_reader *r;
	struct tfrecord record;
	char path[32];
	int fd = memory_file(file, file_size, path), status;

	(void)state;
	r = tfrecord_open(path, 39, &status);
	assert_int_equal(tfrecord_read(r, &record), -1);
	assert_non_null(strstr(fail_why(), "--max-record"));
	tfrecord_close(r);
	r = tfrecord_open(path, 40, &status);
	assert_int_equal(tfrecord_read(r, &record), 1);
	tfrecord_close(r);
	close(fd);
}

/* T12 */
static void something_else(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *said;
	} is[] = {
		{ "version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", 55, "Git LFS" },
		{ "<!DOCTYPE html>\n<html><head>", 28, "HTML" },
		{ "  \n<HTML><head><title>404", 25, "HTML" },
		{ "\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1", 16, "JPEG" },
		{ "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, "PNG" },
		{ "PK\3\4\x14\0\0\0\x08\0\0\0\0\0", 14, "zip" },
		{ "\x28\xb5\x2f\xfd\x24\x0d\x69\0\0\0\0\0", 12, "zstd" },
		{ "\x89MRB\r\n\x1a\n\1\0\0\0", 12, "batch stream" },
		{ "0 1057\n1057 987\n2044 1042\n", 26, "index" },
		{ "{\"samples\": 4000}\n", 18, "JSON" },
		{ "hello, world\n", 13, "text" },
		{ "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, "zeros" },
	};
	unsigned char tar[1024] = "train/0/000.jpg";
	char path[32];
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof is / sizeof *is; i++) {
		fd = memory_file(is[i].bytes, is[i].n, path);
		assert_int_equal(read_all(path).end, -1);
		if (!strstr(fail_why(), is[i].said))
			fail_msg("%s: not '%s'", fail_why(), is[i].said);
		close(fd);
	}
	memcpy(tar + 257, "ustar", 6);
	fd = memory_file(tar, sizeof tar, path);
	assert_int_equal(read_all(path).end, -1);
	assert_non_null(strstr(fail_why(), "tar archive"));
	close(fd);
}

/* LF made CR LF, in the header or in the data only. */
static void text_mode(void **state)
{
	unsigned char from[MOST], to[MOST], data[300];
	struct frames f = { 0 };
	size_t size, n = 0, i;

	(void)state;
	for (size = 10; size < 300; size += 256) {
		struct result r;
		char path[32];
		int fd;

		memset(data, '\n', sizeof data);
		f.size = 0;
		assert_int_equal(tfrecord_frame(&f, data, size), 0);
		memcpy(from, f.data, f.size);
		for (i = n = 0; i < f.size; i++) {
			if (from[i] == '\n')
				to[n++] = '\r';
			to[n++] = from[i];
		}
		fd = memory_file(to, n, path);
		r = read_all(path);
		assert_int_equal(r.end, -1);
		assert_non_null(strstr(fail_why(), "text mode"));
		close(fd);
	}
	frames_release(&f);
}

/* T16: from header to header over holes, beyond 4 GiB. */
static void beyond_four_gigabytes(void **state)
{
	const uint64_t size = (uint64_t)255 << 20;
	unsigned char head[TFRECORD_HEAD];
	struct frames f = { 0 };
	struct tfrecord_reader *r;
	struct tfrecord record;
	struct index x;
	char path[32];
	uint64_t at = 0;
	int fd = memory_file("", 0, path), i, status;

	(void)state;
	for (i = 0; i < 18; i++) {
		frame_head(head, size);
		assert_int_equal(pwrite(fd, head, sizeof head, (off_t)at), sizeof head);
		at += size + TFRECORD_OVER;
	}
	assert_true(at > (uint64_t)1 << 32);
	assert_int_equal(pwrite(fd, file, file_size, (off_t)at), (ssize_t)file_size);
	assert_int_equal(index_scan(&x, path, 0, &status), 0);
	assert_int_equal(x.count, 18 + RECORDS);
	assert_int_equal(x.offset[18], at);
	assert_int_equal(x.offset[19], at + bounds[1]);
	assert_int_equal(x.offset[21], at + file_size);
	r = tfrecord_open(path, 0, &status);
	assert_int_equal(tfrecord_load_at(r, 20, x.offset[20], x.offset[21] - x.offset[20], &f),
			 0);
	assert_int_equal(tfrecord_check(f.data, f.size, "x", 20, x.offset[20]), 0);
	assert_int_equal(tfrecord_read(r, &record), 0);
	assert_int_equal(tfrecord_seek(r, 18, at), 0);
	assert_int_equal(tfrecord_read(r, &record), 1);
	assert_int_equal(record.number, 18);
	assert_int_equal(record.offset, at);
	tfrecord_close(r);
	frames_release(&f);
	index_release(&x);
	close(fd);
}

static void wrong_index_is_noticed(void **state)
{
	struct frames f = { 0 };
	struct tfrecord_reader *r;
	char path[32];
	int fd = memory_file(file, file_size, path), status;

	(void)state;
	r = tfrecord_open(path, 0, &status);
	assert_int_equal(tfrecord_load_at(r, 0, 0, bounds[1] + 1, &f), 0);
	assert_int_equal(tfrecord_check(f.data, f.size, "x", 0, 0), -1);
	assert_non_null(strstr(fail_why(), "--index"));
	f.size = 0;
	assert_int_equal(tfrecord_load_at(r, 1, 1, bounds[1], &f), 0);
	assert_int_equal(tfrecord_check(f.data, f.size, "x", 1, 1), -1);
	f.size = 0;
	assert_int_equal(tfrecord_load_at(r, 2, bounds[2], bounds[3], &f), -1);
	assert_int_equal(tfrecord_load_at(r, 9, file_size + 1, 16, &f), -1);
	assert_non_null(strstr(fail_why(), "--index"));
	frames_release(&f);
	tfrecord_close(r);
	close(fd);
}

static void no_file(void **state)
{
	int status = 0;

	(void)state;
	assert_null(tfrecord_open("/nowhere/at/all", 0, &status));
	assert_int_equal(status, 3);
	assert_non_null(strstr(fail_why(), "/nowhere/at/all"));
	assert_null(tfrecord_open("/tmp", 0, &status));
	assert_int_equal(status, 3);
	assert_non_null(strstr(fail_why(), "folder"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_bytes),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(every_flipped_bit),
		cmocka_unit_test(compressed),
		cmocka_unit_test(lying_lengths),
		cmocka_unit_test(limit_can_be_set),
		cmocka_unit_test(something_else),
		cmocka_unit_test(text_mode),
		cmocka_unit_test(beyond_four_gigabytes),
		cmocka_unit_test(wrong_index_is_noticed),
		cmocka_unit_test(no_file),
	};

	make_file();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
