/* PNG: what was written is read, files of every kind, damaged files. */
#include "base/fail.h"
#include "data/png.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <png.h>

#include <cmocka.h>

static struct image painted(int height, int width, int channels)
{
	struct image m = { 0 };

	assert_int_equal(image_make(&m, height, width, channels), 0);
	for (int y = 0; y < height; y++)
		for (int i = 0; i < width * channels; i++)
			m.data[(size_t)y * m.stride + (size_t)i] =
				(unsigned char)(y * 31 + i * 17 + y * i);
	return m;
}

static int same(const struct image *a, const struct image *b)
{
	if (a->height != b->height || a->width != b->width || a->channels != b->channels)
		return 0;
	for (int y = 0; y < a->height; y++)
		if (memcmp(a->data + (size_t)y * a->stride, b->data + (size_t)y * b->stride,
			   (size_t)(a->width * a->channels)) != 0)
			return 0;
	return 1;
}

static void round_trip(void **state)
{
	static const int size[][2] = { { 1, 1 }, { 1, 300 }, { 300, 1 }, { 17, 33 } };

	(void)state;
	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++)
		for (int channels = 1; channels <= 3; channels += 2) {
			struct image m = painted(size[i][0], size[i][1], channels), back = { 0 };
			size_t n;
			unsigned char *b = png_encode(&m, &n);

			assert_non_null(b);
			assert_int_equal(png_decode(b, n, 0, &back), 0);
			assert_true(same(&m, &back));
			image_release(&back);
			image_release(&m);
			free(b);
		}
}

static void other_channels(void **state)
{
	struct image m = painted(5, 7, 3), grey = { 0 }, back = { 0 }, colour = { 0 };
	size_t n;
	unsigned char *b = png_encode(&m, &n);

	(void)state;
	assert_int_equal(image_make(&grey, 5, 7, 1), 0);
	image_grey(&grey, &m);
	assert_int_equal(png_decode(b, n, 1, &back), 0);
	assert_true(same(&grey, &back));
	free(b);
	b = png_encode(&grey, &n);
	assert_int_equal(png_decode(b, n, 3, &colour), 0);
	assert_int_equal(colour.channels, 3);
	for (int i = 0; i < 35; i++)
		assert_int_equal(colour.data[3 * i + 2], grey.data[i]);
	free(b);
	image_release(&m);
	image_release(&grey);
	image_release(&back);
	image_release(&colour);
}

/* A file of bytes. */
struct made {
	unsigned char bytes[4096];
	size_t n;
};

static void add_bytes(png_structp png, png_bytep from, size_t n)
{
	struct made *f = png_get_io_ptr(png);

	assert_true(f->n + n <= sizeof(f->bytes));
	memcpy(f->bytes + f->n, from, n);
	f->n += n;
}

static void no_flush(png_structp png)
{
	(void)png;
}

/* A 9x5 file of this kind, all samples counting up. */
static void make_file(struct made *f, int colour, int depth, int interlace)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	unsigned char row[9 * 8];
	png_color palette[256];

	f->n = 0;
	png_set_write_fn(png, f, add_bytes, no_flush);
	png_set_IHDR(png, info, 9, 5, depth, colour, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
		     PNG_FILTER_TYPE_DEFAULT);
	for (int i = 0; i < 256; i++)
		palette[i] = (png_color){ (png_byte)i, (png_byte)(255 - i), (png_byte)(i * 3) };
	if (colour == PNG_COLOR_TYPE_PALETTE)
		png_set_PLTE(png, info, palette, 1 << depth);
	png_write_info(png, info);

	int passes = png_set_interlace_handling(png);

	for (int pass = 0; pass < passes; pass++)
		for (int y = 0; y < 5; y++) {
			for (size_t i = 0; i < sizeof(row); i++)
				row[i] = (unsigned char)(y * 20 + (int)i);
			png_write_row(png, row);
		}
	png_write_end(png, info);
	png_destroy_write_struct(&png, &info);
}

static void every_kind(void **state)
{
	static const struct { int colour, depth, channels, first, last; } kind[] = {
		/* the first sample of row 0 and of row 4, by hand */
		{ PNG_COLOR_TYPE_GRAY, 8, 1, 0, 80 },
		{ PNG_COLOR_TYPE_GRAY, 16, 1, 0, 80 },
		{ PNG_COLOR_TYPE_GRAY, 4, 1, 0, 85 },
		{ PNG_COLOR_TYPE_GRAY, 1, 1, 0, 0 },
		{ PNG_COLOR_TYPE_GRAY_ALPHA, 8, 1, 0, 80 },
		{ PNG_COLOR_TYPE_RGB, 8, 3, 0, 80 },
		{ PNG_COLOR_TYPE_RGB, 16, 3, 0, 80 },
		{ PNG_COLOR_TYPE_RGB_ALPHA, 8, 3, 0, 80 },
		{ PNG_COLOR_TYPE_RGB_ALPHA, 16, 3, 0, 80 },
		{ PNG_COLOR_TYPE_PALETTE, 8, 3, 0, 80 },
		{ PNG_COLOR_TYPE_PALETTE, 4, 3, 0, 5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++) {
		struct image plain = { 0 }, woven = { 0 };
		struct made f;

		make_file(&f, kind[i].colour, kind[i].depth, PNG_INTERLACE_NONE);
		assert_int_equal(png_decode(f.bytes, f.n, 0, &plain), 0);
		make_file(&f, kind[i].colour, kind[i].depth, PNG_INTERLACE_ADAM7);
		assert_int_equal(png_decode(f.bytes, f.n, 0, &woven), 0);
		assert_true(same(&plain, &woven));
		assert_int_equal(plain.channels, kind[i].channels);
		assert_int_equal(plain.data[0], kind[i].first);
		assert_int_equal(plain.data[4 * plain.stride], kind[i].last);
		image_release(&plain);
		image_release(&woven);
	}
}

static void cut_at_every_byte(void **state)
{
	struct image m = painted(9, 9, 3), to = { 0 };
	size_t n;
	unsigned char *b = png_encode(&m, &n);

	(void)state;
	for (size_t k = 0; k < n; k++) {
		unsigned char *part = malloc(k + 1);

		assert_non_null(part);
		memcpy(part, b, k);
		if (png_decode(part, k, 3, &to) != -1)
			fail_msg("cut to %zu bytes", k);
		free(part);
	}
	image_release(&to);
	image_release(&m);
	free(b);
}

/* Damage may hide in chunks that are ignored; it must not crash or leak. */
static void every_bit_flipped(void **state)
{
	struct image m = painted(4, 4, 3), to = { 0 };
	size_t n, refused = 0;
	unsigned char *b = png_encode(&m, &n);

	(void)state;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		b[bit / 8] ^= (unsigned char)(1 << bit % 8);
		refused += png_decode(b, n, 3, &to) < 0;
		b[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	assert_true(refused > 8 * n * 9 / 10);
	image_release(&to);
	image_release(&m);
	free(b);
}

static void sizes_that_lie(void **state)
{
	static const uint32_t size[][2] = { { 65500, 65500 }, { 60000, 60000 }, { 65501, 1 },
					    { 1, 1u << 31 }, { 0, 4 }, { 0x7fffffff, 0x7fffffff } };
	struct image m = painted(4, 4, 3), to = { 0 };
	size_t n;
	unsigned char *b = png_encode(&m, &n);

	(void)state;
	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		for (int k = 0; k < 4; k++) {
			b[16 + k] = (unsigned char)(size[i][0] >> (24 - 8 * k));
			b[20 + k] = (unsigned char)(size[i][1] >> (24 - 8 * k));
		}
		uint32_t crc = (uint32_t)crc32(0, b + 12, 17);

		for (int k = 0; k < 4; k++)
			b[29 + k] = (unsigned char)(crc >> (24 - 8 * k));
		assert_int_equal(png_decode(b, n, 3, &to), -1);
		assert_true(to.room < 1 << 20);
	}
	image_release(&to);
	image_release(&m);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(other_channels),
		cmocka_unit_test(every_kind),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(every_bit_flipped),
		cmocka_unit_test(sizes_that_lie),
	};

	return cmocka_run_group_tests_name("PNG", tests, NULL, NULL);
}
