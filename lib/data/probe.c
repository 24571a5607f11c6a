#include "data/probe.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/fail.h"
#include "data/image.h"
#include "data/jpeg.h"

#include <limits.h>
#include <string.h>

const char *image_format(const void *data, size_t n)
{
	static const struct {
		const char *bytes;
		size_t at, size;
		const char *name;
	} mark[] = {
		{ "\xff\xd8\xff", 0, 3, "JPEG" },
		{ "\x89PNG\r\n\x1a\n", 0, 8, "PNG" },
		{ "GIF8", 0, 4, "GIF" },
		{ "BM", 0, 2, "BMP" },
		{ "WEBP", 8, 4, "WebP" },
		{ "II*\0", 0, 4, "TIFF" },
		{ "MM\0*", 0, 4, "TIFF" },
		{ "ftypavif", 4, 8, "AVIF" },
		{ "ftypheic", 4, 8, "HEIC" },
		{ "\xff\x0a", 0, 2, "JPEG XL" },
		{ "\0\0\0\x0cJXL ", 0, 8, "JPEG XL" },
		{ "\0\0\0\x0cjP  ", 0, 8, "JPEG 2000" },
		{ "P6", 0, 2, "PPM" },
		{ "P5", 0, 2, "PGM" },
	};
	size_t i;

	for (i = 0; i < sizeof mark / sizeof *mark; i++)
		if (n >= mark[i].at + mark[i].size &&
		    !memcmp((const char *)data + mark[i].at, mark[i].bytes, mark[i].size))
			return mark[i].name;
	return NULL;
}

static uint32_t big_u32(const unsigned char *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int probe_png(const unsigned char *b, size_t n, struct probe *p)
{
	static const int channels[] = { 1, 0, 3, 3, 2, 0, 4 };
	uint32_t width, height;

	if (n < 33 || memcmp(b + 8, "\0\0\0\rIHDR", 8))
		return fail("PNG: no header");
	if (crc32z(0, b + 12, 17) != big_u32(b + 29))
		return fail("PNG: the header's checksum does not match");
	width = big_u32(b + 16);
	height = big_u32(b + 20);
	if (b[25] > 6 || !channels[b[25]])
		return fail("PNG: no colour type %d", b[25]);
	if (!width || !height || width > IMAGE_SIDE_MAX || height > IMAGE_SIDE_MAX)
		return fail("PNG: %lux%lu pixels are beyond the limits", (unsigned long)width,
			    (unsigned long)height);
	p->width = (int)width;
	p->height = (int)height;
	p->channels = channels[b[25]];
	return 0;
}

int probe_image(struct jpeg *jpeg, const void *data, size_t n, struct probe *p)
{
	const char *format = image_format(data, n);

	if (!n)
		return fail("empty");
	if (!format)
		return fail("no image known here (JPEG and PNG are)");
	p->format = format;
	if (!strcmp(format, "JPEG")) {
		TRY(jpeg_open(jpeg, data, n));
		p->height = jpeg_height(jpeg);
		p->width = jpeg_width(jpeg);
		p->channels = jpeg_components(jpeg);
		return 0;
	}
	if (strcmp(format, "PNG"))
		return fail("a %s image: convert it to JPEG or PNG first", format);
	TRY(probe_png(data, n, p));
	return image_check(p->height, p->width, p->channels);
}
