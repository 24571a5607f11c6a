/* lib/base: checksums, random numbers, text, files, descriptors. */
#include "base/bytes.h"
#include "base/crc.h"
#include "base/dtype.h"
#include "base/fail.h"
#include "base/io.h"
#include "base/rng.h"
#include "base/text.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void checksums(void **state)
{
	unsigned char many[1000];
	uint32_t crc = 0, crcz = 0;

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c_masked("123456789", 9), 0xc78ab0e5);
	assert_int_equal(crc32c_masked("\0\0\0\0\0\0\0\0", 8), 0x07980329);
	assert_int_equal(crc32c_masked("", 0), 0xa282ead8);
	assert_int_equal(crc32z(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32z(0, "", 0), 0);
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = (unsigned char)(i * i);
	for (size_t i = 0, n; i < sizeof(many); i += n) {
		n = i % 37 + 1;
		n = n < sizeof(many) - i ? n : sizeof(many) - i;
		crc = crc32c(crc, many + i, n);
		crcz = crc32z(crcz, many + i, n);
	}
	assert_int_equal(crc, crc32c(0, many, sizeof(many)));
	assert_int_equal(crcz, crc32z(0, many, sizeof(many)));
}

static void little_endian(void **state)
{
	unsigned char b[8];

	(void)state;
	put_u64(b, 0x0102030405060708);
	assert_memory_equal(b, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
	assert_true(get_u64(b) == 0x0102030405060708);
	assert_int_equal(get_u32(b), 0x05060708);
	assert_int_equal(get_u16(b), 0x0708);
	assert_int_equal(round_up(0, 64), 0);
	assert_int_equal(round_up(1, 64), 64);
	assert_int_equal(round_up(64, 64), 64);
	assert_int_equal(dtype_bytes(DTYPE_BF16), 2);
	assert_int_equal(dtype_bytes(7), 0);
	assert_string_equal(dtype_name(DTYPE_I64), "i64");
}

/* The published vectors of Random123's kat_vectors. */
static void philox_vectors(void **state)
{
	static const struct {
		uint32_t counter[4], key[2], want[4];
	} v[] = {
		{ { 0, 0, 0, 0 }, { 0, 0 },
		  { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
		{ { ~0u, ~0u, ~0u, ~0u }, { ~0u, ~0u },
		  { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
		{ { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
		  { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
	};
	uint32_t out[4];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		philox(v[i].counter, v[i].key, out);
		assert_memory_equal(out, v[i].want, sizeof(out));
	}
}

/* What runs of today draw must be what runs of tomorrow draw. */
static void draws_stay(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 1, 2, "flip");
	assert_int_equal(rng_u32(&r), 0x58622293);
	assert_int_equal(rng_u32(&r), 0xe0401ea8);
	for (int i = 0; i < 10; i++)
		rng_u32(&r);
	assert_int_equal(rng_u32(&r), 0x6730c8ff);
	rng_init(&r, 1, (uint64_t)1 << 40, "flip");
	assert_true(rng_uniform(&r) == 0x1.fe8a899e47628p-2);
	assert_true(rng_normal(&r) == 0x1.01c31b7a3bc91p-9);
	assert_int_equal(rng_below(&r, 1000000), 266452);
	assert_int_equal(rng_permute(0, 1000, 1, 2, "order"), 409);
	assert_int_equal(rng_permute(999, 1000, 1, 2, "order"), 606);
}

static void draws_differ(void **state)
{
	struct rng a, b;

	(void)state;
	rng_init(&a, 1, 2, "flip");
	rng_init(&b, 1, 2, "flop");
	assert_int_not_equal(rng_u32(&a), rng_u32(&b));
	rng_init(&b, 2, 2, "flip");
	rng_init(&a, 1, 2, "flip");
	assert_int_not_equal(rng_u32(&a), rng_u32(&b));
	rng_init(&b, 1, 3, "flip");
	rng_init(&a, 1, 2, "flip");
	assert_int_not_equal(rng_u32(&a), rng_u32(&b));
}

static void moments(void **state)
{
	enum { N = 200000 };
	double sum = 0, square = 0, cube = 0, fourth = 0, uniform = 0;
	int bucket[7] = { 0 };
	struct rng r;

	(void)state;
	rng_init(&r, 7, 0, "moments");
	for (int i = 0; i < N; i++) {
		double x = rng_normal(&r), u = rng_uniform(&r);

		assert_true(u >= 0 && u < 1);
		uniform += u;
		sum += x;
		square += x * x;
		cube += x * x * x;
		fourth += x * x * x * x;
		bucket[rng_below(&r, 7)]++;
	}
	/* five standard errors of each estimate */
	assert_true(fabs(uniform / N - 0.5) < 5 * sqrt(1 / 12.0 / N));
	assert_true(fabs(sum / N) < 5 * sqrt(1.0 / N));
	assert_true(fabs(square / N - 1) < 5 * sqrt(2.0 / N));
	assert_true(fabs(cube / N) < 5 * sqrt(15.0 / N));
	assert_true(fabs(fourth / N - 3) < 5 * sqrt(96.0 / N));
	for (int i = 0; i < 7; i++)
		assert_true(fabs(bucket[i] - N / 7.0) < 5 * sqrt(N * 6 / 49.0));
}

static void large_bounds(void **state)
{
	struct rng r;
	uint64_t most = 0, n = ((uint64_t)1 << 63) + 1;

	(void)state;
	rng_init(&r, 3, 0, "below");
	for (int i = 0; i < 1000; i++) {
		uint64_t x = rng_below(&r, n);

		assert_true(x < n);
		most = x > most ? x : most;
		assert_int_equal(rng_below(&r, 1), 0);
	}
	assert_true(most > n / 10 * 9);
}

static void permutations(void **state)
{
	static const uint64_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 100, 1000, 4097 };
	unsigned char seen[4097];

	(void)state;
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
		for (uint64_t epoch = 0; epoch < 3; epoch++) {
			memset(seen, 0, sizeof(seen));
			for (uint64_t i = 0; i < sizes[k]; i++) {
				uint64_t p = rng_permute(i, sizes[k], 5, epoch, "order");

				assert_true(p < sizes[k]);
				assert_int_equal(seen[p]++, 0);
			}
		}
	assert_true(rng_permute(5, UINT64_MAX, 1, 1, "x") < UINT64_MAX);
}

/* All 24 orders of 4 come, each about as often; so does each place of 50. */
static void permutations_are_even(void **state)
{
	enum { N = 24000 };
	int order[256] = { 0 }, place[50] = { 0 }, kinds = 0;

	(void)state;
	for (uint64_t e = 0; e < N; e++) {
		unsigned o = 0;

		for (uint64_t i = 0; i < 4; i++)
			o = o << 2 | (unsigned)rng_permute(i, 4, 9, e, "even");
		order[o]++;
		place[rng_permute(0, 50, 9, e, "even")]++;
	}
	for (int i = 0; i < 256; i++)
		if (order[i]) {
			kinds++;
			assert_true(abs(order[i] - 1000) < 5 * 31);
		}
	assert_int_equal(kinds, 24);
	for (int i = 0; i < 50; i++)
		assert_true(abs(place[i] - N / 50) < 5 * 22);
}

static void texts(void **state)
{
	struct text t = { 0 };
	char *s = text_take(&t);

	(void)state;
	assert_string_equal(s, "");
	free(s);
	for (int i = 0; i < 1000; i++)
		text_add(&t, "%d,", i);
	text_add_bytes(&t, "end", 3);
	s = text_take(&t);
	assert_int_equal(strlen(s), 10 * 2 + 90 * 3 + 900 * 4 + 3);
	assert_string_equal(s + strlen(s) - 7, "999,end");
	free(s);
	t.failed = 1;
	text_add(&t, "x");
	assert_null(text_take(&t));
	assert_string_equal(fail_why(), "out of memory for a text");
	assert_int_equal(t.failed, 0);
}

static void reasons(void **state)
{
	char longer[2 * FAIL_MAX];

	(void)state;
	assert_int_equal((fail)("record %d", 7), -1);
	assert_int_equal(fail_add("shard"), -1);
	assert_string_equal(fail_why(), "shard: record 7");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	(fail)("%s", longer);
	assert_int_equal(strlen(fail_why()), FAIL_MAX - 1);
	fail_clear();
	assert_string_equal(fail_why(), "");
}

static char folder[32];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/millrace-base-XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

/* A new file with these bytes: newfile_commit()'s result. */
static int put_file(const char *path, const char *bytes)
{
	struct newfile f;

	assert_int_equal(newfile_open(&f, path), 0);
	assert_int_equal(write_full(f.fd, bytes, strlen(bytes)), 0);
	return newfile_commit(&f);
}

static void assert_file(const char *path, const char *bytes)
{
	size_t n;
	char *got = file_read(path, 1 << 20, &n);

	assert_non_null(got);
	assert_int_equal(n, strlen(bytes));
	assert_string_equal(got, bytes);
	free(got);
}

static void new_files(void **state)
{
	struct newfile f;
	struct stat st;

	(void)state;
	assert_int_equal(put_file("a", "one"), 0);
	assert_file("a", "one");
	assert_int_equal(chmod("a", 0640), 0);
	assert_int_equal(newfile_open(&f, "a"), 0);
	assert_int_equal(write_full(f.fd, "two", 3), 0);
	assert_file("a", "one");
	newfile_abort(&f);
	newfile_abort(&f);
	assert_file("a", "one");
	assert_int_equal(put_file("a", "two"), 0);
	assert_file("a", "two");
	assert_int_equal(stat("a", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);

	/* a link stays a link; what it points at is replaced */
	assert_int_equal(symlink("a", "link"), 0);
	assert_int_equal(put_file("link", "three"), 0);
	assert_file("a", "three");
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));

	assert_int_equal(newfile_open(&f, "/dev/null"), -1);
	assert_string_equal(fail_why(), "/dev/null: not a regular file");
	assert_int_equal(newfile_open(&f, "none/a"), -1);
	assert_non_null(strstr(fail_why(), "No such file"));
	newfile_abort(&f);
	assert_int_equal(newfile_open(&f, "b"), 0);
	assert_int_equal(unlink(f.temp), 0);
	assert_int_equal(newfile_commit(&f), -1);
	assert_int_equal(access("b", F_OK), -1);
	unlink("link");
	unlink("a");
}

static void whole_files(void **state)
{
	size_t n;

	(void)state;
	assert_null(file_read("none", 10, &n));
	assert_non_null(strstr(fail_why(), "none: No such file"));
	assert_null(file_read(folder, 10, &n));
	assert_non_null(strstr(fail_why(), "directory"));
	assert_int_equal(put_file("a", "0123456789"), 0);
	assert_null(file_read("a", 9, &n));
	assert_string_equal(fail_why(), "a: more than 9 bytes");
	assert_file("a", "0123456789");
	char *s = file_read("a", 10, &n);

	assert_string_equal(s, "0123456789");
	free(s);
	s = file_read("/proc/self/status", 1 << 20, &n);
	assert_non_null(s);
	assert_int_equal(strlen(s), n);
	free(s);
	unlink("a");
}

struct flood {
	int fd, error;
	size_t n;
};

/* Writes in pieces of all sizes, with empty ones between. */
static void *flood(void *arg)
{
	struct flood *f = arg;
	enum { PIECES = 150 };
	struct iovec piece[PIECES];
	unsigned char *bytes = malloc(f->n);
	size_t at = 0;

	for (size_t i = 0; i < f->n; i++)
		bytes[i] = (unsigned char)(i % 251);
	for (int i = 0; i < PIECES; i++) {
		size_t n = i % 3 == 1 ? 0 : i == PIECES - 1 ? f->n - at : (size_t)i * 97;

		piece[i] = (struct iovec){ bytes + at, n };
		at += n;
	}
	f->error = write_pieces(f->fd, piece, PIECES);
	close(f->fd);
	free(bytes);
	return NULL;
}

/* Through a pipe that does not wait, at both ends. */
static void pieces_through_a_pipe(void **state)
{
	struct flood f = { .n = 3000000 };
	unsigned char *b = malloc(f.n + 1);
	pthread_t id;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
	f.fd = p[1];
	assert_int_equal(pthread_create(&id, NULL, flood, &f), 0);
	assert_int_equal(read_full(p[0], b, f.n + 1), f.n);
	pthread_join(id, NULL);
	assert_int_equal(f.error, 0);
	for (size_t i = 0; i < f.n; i++)
		if (b[i] != i % 251)
			fail_msg("byte %zu", i);
	close(p[0]);
	free(b);
}

static void failing_descriptors(void **state)
{
	char b[4];
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(read_full(-1, b, 4), -1);
	assert_string_equal(fail_why(), "Bad file descriptor");
	assert_int_equal(write_full(full, b, 4), -1);
	assert_string_equal(fail_why(), "No space left on device");
	assert_int_equal(write_pieces(full, &(struct iovec){ b, 4 }, 1), -1);
	close(full);
	full = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read_at(full, b, 4, 0), 4);
	assert_memory_equal(b, "\177ELF", 4);
	assert_int_equal(read_at(full, b, 4, (uint64_t)1 << 40), 0);
	assert_int_equal(read_at(full, b, 4, UINT64_MAX), -1);
	close(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums),
		cmocka_unit_test(little_endian),
		cmocka_unit_test(philox_vectors),
		cmocka_unit_test(draws_stay),
		cmocka_unit_test(draws_differ),
		cmocka_unit_test(moments),
		cmocka_unit_test(large_bounds),
		cmocka_unit_test(permutations),
		cmocka_unit_test(permutations_are_even),
		cmocka_unit_test(texts),
		cmocka_unit_test(reasons),
		cmocka_unit_test_setup_teardown(new_files, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(whole_files, make_folder, remove_folder),
		cmocka_unit_test(pieces_through_a_pipe),
		cmocka_unit_test(failing_descriptors),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
