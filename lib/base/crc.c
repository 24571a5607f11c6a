#include "base/crc.h"

#include <isa-l/crc.h>

enum { PIECE = 1 << 30 };       /* crc32_iscsi() counts in int */

uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
	/* The library's declaration lacks a const; it only reads. */
	unsigned char *p = (unsigned char *)data;

	crc = ~crc;
	while (n > 0) {
		int now = n < PIECE ? (int)n : PIECE;

		crc = crc32_iscsi(p, now, crc);
		p += now;
		n -= (size_t)now;
	}
	return ~crc;
}

uint32_t crc32z(uint32_t crc, const void *data, size_t n)
{
	return n ? crc32_gzip_refl(crc, data, n) : crc;
}

uint32_t crc32c_masked(const void *data, size_t n)
{
	uint32_t crc = crc32c(0, data, n);

	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}
