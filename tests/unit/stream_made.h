/*
 * Small streams in memory files, for the tests of the batch stream: columns image u8
 * [*,*,3], label i32 [1], name u8 [*]; what a sample holds follows from its position.
 */
#ifndef STREAM_MADE_H
#define STREAM_MADE_H

#include "base/bytes.h"
#include "base/fail.h"
#include "base/io.h"
#include "data/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { MADE_SAMPLES = 8, MADE_IMAGE = 64, MADE_NAME = 16 };

static inline int memory_file(void)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* All bytes of a memory file, which is closed; the caller frees them. */
static inline unsigned char *bytes_of(int fd, size_t *n)
{
	off_t end = lseek(fd, 0, SEEK_END);
	unsigned char *b = malloc((size_t)end + 1);

	assert_non_null(b);
	assert_int_equal(read_at(fd, b, (size_t)end, 0), end);
	close(fd);
	*n = (size_t)end;
	return b;
}

static inline struct stream_head made_head(void)
{
	struct stream_head h = {
		.samples = STREAM_UNKNOWN, .payload_max = 1 << 16, .record_max = MADE_SAMPLES,
		.classes = 10, .parts = 1, .columns = 3,
		.column = {
			{ "image", DTYPE_U8, 3, { STREAM_VARIES, STREAM_VARIES, 3 } },
			{ "label", DTYPE_I32, 1, { 1 } },
			{ "name", DTYPE_U8, 1, { STREAM_VARIES } },
		},
	};

	return h;
}

/* Writes a DATA record of at most MADE_SAMPLES samples: stream_write()'s result. */
static inline int made_write(struct stream_writer *w, uint64_t position, uint32_t samples,
			     uint32_t parts)
{
	unsigned char image[MADE_SAMPLES * MADE_IMAGE], name[MADE_SAMPLES * MADE_NAME];
	uint32_t size[2 * MADE_SAMPLES], length[MADE_SAMPLES];
	unsigned char label[4 * MADE_SAMPLES];
	size_t pixels = 0, letters = 0;

	for (uint32_t i = 0; i < samples; i++) {
		uint64_t p = position + (uint64_t)i * parts;

		size[2 * i] = 1 + (uint32_t)(p % 4);
		size[2 * i + 1] = 1 + (uint32_t)(p % 3);
		for (uint32_t k = 0; k < size[2 * i] * size[2 * i + 1] * 3; k++)
			image[pixels++] = (unsigned char)(p * 7 + k);
		put_u32(label + 4 * i, (uint32_t)(p % 10));
		length[i] = (uint32_t)(p % 5);
		for (uint32_t k = 0; k < length[i]; k++)
			name[letters++] = (unsigned char)('a' + (p + k) % 26);
	}

	struct stream_view v[3] = { { image, size, pixels }, { label, NULL, 4 * samples },
				    { name, length, letters } };

	return stream_write(w, position, samples, v);
}

/* A writer on a memory file that has begun, with *fd the file. */
static inline struct stream_writer *made_begin(int *fd, const struct stream_head *h)
{
	struct stream_writer *w;

	*fd = memory_file();
	w = stream_writer_open(*fd, "made");
	assert_non_null(w);
	if (stream_begin(w, h) < 0)
		fail_msg("%s", fail_why());
	return w;
}

/* Reads a whole stream: 0, or the status of the failure, whose reason is left;
 * *samples: how many came before. */
static inline int read_all(int fd, uint64_t *samples)
{
	struct stream_record record;
	struct stream_reader *r;
	int status, got;

	*samples = 0;
	r = stream_open(fd, "made", &status);
	if (!r)
		return status;
	while ((got = stream_read(r, &record)) > 0)
		if (record.kind == STREAM_DATA)
			*samples += record.samples;
	status = got < 0 ? stream_status(r) : 0;
	stream_close(r);
	return status;
}

static inline int read_bytes(const void *bytes, size_t n)
{
	int fd = memory_file(), status;
	uint64_t samples;

	assert_int_equal(write_full(fd, bytes, n), 0);
	lseek(fd, 0, SEEK_SET);
	status = read_all(fd, &samples);
	close(fd);
	return status;
}

/* The reason that was left holds these words. */
#define assert_why(words) do { \
	if (!strstr(fail_why(), words)) \
		fail_msg("'%s' lacks '%s'", fail_why(), words); \
} while (0)

#endif
