#include "data/png.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/text.h"

#include <assert.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_MAX = 8 << 20, CHUNKS_MAX = 128 };

/* Bytes being read. */
struct input {
	const unsigned char *data;
	size_t left;
};

static void on_error(png_structp png, png_const_charp why)
{
	fail("png: %s", why);
	png_longjmp(png, 1);
}

/* Odd but readable: a checksum of a text, say. */
static void on_warning(png_structp png, png_const_charp why)
{
	(void)png;
	(void)why;
}

static void give_bytes(png_structp png, png_bytep to, size_t n)
{
	struct input *in = png_get_io_ptr(png);

	if (n > in->left)
		png_error(png, "the file ends early");
	memcpy(to, in->data, n);
	in->data += n;
	in->left -= n;
}

static void keep_bytes(png_structp png, png_bytep from, size_t n)
{
	text_add_bytes(png_get_io_ptr(png), from, n);
}

static void flush_bytes(png_structp png)
{
	(void)png;
}

/* Everything becomes 8 bits of grey or of red, green, blue. Gives the channels. */
static int set_transforms(png_structp png, png_infop info)
{
	int colour = png_get_color_type(png, info);

	png_set_strip_16(png);
	png_set_expand(png);
	png_set_strip_alpha(png);
	return colour & PNG_COLOR_MASK_COLOR ? 3 : 1;
}

/* Reads the pixels into file, whose memory is made once the size was looked at. What
 * libpng calls an error comes back here by a long jump, so nothing that changes after
 * setjmp() is used on that way but what the pointers point at. */
static int read_pixels(png_structp png, png_infop info, struct image *file)
{
	if (setjmp(png_jmpbuf(png)))
		return -1;
	png_read_info(png, info);

	png_uint_32 height = png_get_image_height(png, info);
	png_uint_32 width = png_get_image_width(png, info);
	int channels = set_transforms(png, info);

	if (height > IMAGE_SIDE_MAX || width > IMAGE_SIDE_MAX)
		return fail("png: %lux%lu pixels is too large", (unsigned long)width,
			    (unsigned long)height);
	TRY(image_make(file, (int)height, (int)width, channels));

	int passes = png_set_interlace_handling(png);

	png_read_update_info(png, info);
	if (png_get_rowbytes(png, info) != (size_t)width * (size_t)channels)
		return fail("png: rows of %zu bytes", (size_t)png_get_rowbytes(png, info));
	for (int pass = 0; pass < passes; pass++)
		for (int y = 0; y < file->height; y++)
			png_read_row(png, file->data + (size_t)y * file->stride, NULL);
	png_read_end(png, NULL);
	return 0;
}

static int read_file(const void *data, size_t n, struct image *file)
{
	struct input in = { data, n };
	png_structp png;
	png_infop info;
	int r = -1;

	if (n < 8 || png_sig_cmp(data, 0, 8) != 0)
		return fail("png: not a PNG file");
	png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
	info = png ? png_create_info_struct(png) : NULL;
	if (info) {
		png_set_user_limits(png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
		png_set_chunk_malloc_max(png, CHUNK_MAX);
		png_set_chunk_cache_max(png, CHUNKS_MAX);
		png_set_read_fn(png, &in, give_bytes);
		r = read_pixels(png, info, file);
	} else {
		fail("png: out of memory");
	}
	png_destroy_read_struct(&png, &info, NULL);
	return r;
}

int png_decode(const void *data, size_t n, int channels, struct image *to)
{
	struct image file = { 0 };

	TRY(read_file(data, n, to));
	if (channels == 0 || channels == to->channels)
		return 0;

	/* The other number of channels: through a second image. */
	if (image_make(&file, to->height, to->width, channels) < 0) {
		image_release(&file);
		return -1;
	}
	if (channels == 1)
		image_grey(&file, to);
	else
		image_rgb(&file, to);
	image_release(to);
	*to = file;
	return 0;
}

static int write_pixels(png_structp png, png_infop info, const struct image *m)
{
	if (setjmp(png_jmpbuf(png)))
		return -1;
	png_set_IHDR(png, info, (png_uint_32)m->width, (png_uint_32)m->height, 8,
		     m->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY,
		     PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	for (int y = 0; y < m->height; y++)
		png_write_row(png, m->data + (size_t)y * m->stride);
	png_write_end(png, info);
	return 0;
}

unsigned char *png_encode(const struct image *m, size_t *n)
{
	struct text out = { 0 };
	png_structp png;
	png_infop info;
	unsigned char *bytes = NULL;

	assert(m->channels == 1 || m->channels == 3);
	png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
	info = png ? png_create_info_struct(png) : NULL;
	if (!info) {
		fail("png: out of memory");
	} else {
		png_set_write_fn(png, &out, keep_bytes, flush_bytes);
		if (write_pixels(png, info, m) == 0) {
			*n = out.length;
			bytes = (unsigned char *)text_take(&out);
		}
	}
	text_release(&out);
	png_destroy_write_struct(&png, &info);
	return bytes;
}

int png_to(int fd, const struct image *m)
{
	size_t n;
	unsigned char *bytes = png_encode(m, &n);
	int r;

	if (!bytes)
		return -1;
	r = write_full(fd, bytes, n);
	free(bytes);
	return r;
}
