#include "data/npy.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "base/io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 192 };          /* a multiple of 64; holds the longest shape */

static int write_header(struct npy *a)
{
	static const char *const descr[] = { "", "|u1", "<i4", "<i8", "<f2", "<f4", "<f4" };
	unsigned char head[HEADER];
	char *text = (char *)head + 10;
	size_t room = HEADER - 10, n;

	memset(head, ' ', sizeof(head));
	memcpy(head, "\x93NUMPY\1\0", 8);
	put_u16(head + 8, HEADER - 10);
	n = (size_t)snprintf(text, room, "{'descr': '%s', 'fortran_order': False, 'shape': (%"
			     PRIu64 ",", descr[a->type], a->rows);
	for (int i = 0; i < a->rank; i++)
		n += (size_t)snprintf(text + n, room - n, " %" PRIu32 "%s", a->dim[i],
				      i + 1 < a->rank ? "," : "");
	n += (size_t)snprintf(text + n, room - n, "), }");
	text[n] = ' ';
	head[HEADER - 1] = '\n';
	return write_full(a->fd, head, sizeof(head));
}

int npy_begin(struct npy *a, int fd, enum dtype type, int rank, const uint32_t *dim)
{
	*a = (struct npy){ .fd = fd, .type = type, .rank = rank };
	memcpy(a->dim, dim, (size_t)rank * sizeof(*dim));
	return write_header(a);
}

/* bf16 is the upper half of f32. */
static int add_wide(struct npy *a, const unsigned char *data, uint64_t numbers)
{
	unsigned char wide[4096];

	while (numbers > 0) {
		size_t n = numbers < sizeof(wide) / 4 ? (size_t)numbers : sizeof(wide) / 4;

		for (size_t i = 0; i < n; i++)
			put_u32(wide + 4 * i, (uint32_t)get_u16(data + 2 * i) << 16);
		TRY(write_full(a->fd, wide, 4 * n));
		data += 2 * n;
		numbers -= n;
	}
	return 0;
}

int npy_add(struct npy *a, const void *data, uint64_t rows)
{
	uint64_t numbers = rows;

	for (int i = 0; i < a->rank; i++)
		if (__builtin_mul_overflow(numbers, a->dim[i], &numbers))
			return fail("too many numbers");
	a->rows += rows;
	if (a->type == DTYPE_BF16)
		return add_wide(a, data, numbers);
	return write_full(a->fd, data, (size_t)numbers * dtype_bytes(a->type));
}

int npy_end(struct npy *a)
{
	if (lseek(a->fd, 0, SEEK_SET) != 0)
		return fail("%s", strerror(errno));
	return write_header(a);
}
