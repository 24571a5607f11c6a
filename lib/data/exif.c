#include "data/exif.h"

#include <stdint.h>
#include <string.h>

/* The TIFF block inside: bytes in the order that its first two say. */
struct tiff {
	const unsigned char *data;
	size_t size;
	int big;
};

static uint32_t number(const struct tiff *t, size_t at, int bytes)
{
	uint32_t v = 0;

	if (at > t->size || t->size - at < (size_t)bytes)
		return 0;
	for (int i = 0; i < bytes; i++)
		v = v << 8 | t->data[at + (size_t)(t->big ? i : bytes - 1 - i)];
	return v;
}

static int tiff_orientation(const unsigned char *data, size_t n)
{
	struct tiff t = { data, n, n > 0 && data[0] == 'M' };
	size_t at;
	uint32_t entries;

	if (n < 8 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
		return 1;
	at = number(&t, 4, 4);
	entries = number(&t, at, 2);
	for (uint32_t i = 0; i < entries; i++) {
		size_t entry = at + 2 + 12 * (size_t)i;

		if (number(&t, entry, 2) == 0x0112 && number(&t, entry + 2, 2) == 3) {
			uint32_t v = number(&t, entry + 8, 2);

			return v >= 1 && v <= 8 ? (int)v : 1;
		}
	}
	return 1;
}

int exif_orientation(const void *jpeg, size_t n)
{
	const unsigned char *p = jpeg, *end = p + n;

	if (n < 4 || p[0] != 0xff || p[1] != 0xd8)
		return 1;
	/* Segments FF xx, length, body, up to the first scan. */
	for (p += 2; end - p >= 4 && p[0] == 0xff && p[1] != 0xda; ) {
		size_t length = (size_t)p[2] << 8 | p[3];

		if (p[1] == 0xff) {
			p++;
			continue;
		}
		if (length < 2 || (size_t)(end - p) < 2 + length)
			return 1;
		if (p[1] == 0xe1 && length >= 8 && memcmp(p + 4, "Exif\0\0", 6) == 0)
			return tiff_orientation(p + 10, length - 8);
		p += 2 + length;
	}
	return 1;
}
