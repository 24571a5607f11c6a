#include "base/fail.h"
#include "data/exif.h"
#include "data/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

/* A view of a literal. */
static struct image view(const char *pixels, int height, int width, int channels)
{
	struct image im = { 0 };

	image_borrow(&im, (const unsigned char *)pixels, (size_t)(width * channels), height,
		     width, channels);
	return im;
}

static void check_pixels(const struct image *im, const char *want)
{
	size_t row = (size_t)im->width * (size_t)im->channels;

	for (int y = 0; y < im->height; y++)
		assert_memory_equal(im->data + (size_t)y * im->stride, want + (size_t)y * row, row);
}

static void check_pad(enum image_margin margin, const char *want)
{
	struct image from = view("abcdef", 2, 3, 1), to = { 0 };

	assert_int_equal(image_make(&to, 4, 6, 1), 0);
	image_pad(&to, &from, 1, 1, margin, (const unsigned char *)".");
	check_pixels(&to, want);
	image_release(&to);
}

static void margins(void **state)
{
	struct image from = view("RGBrgb", 1, 2, 3), to = { 0 };

	(void)state;
	check_pad(IMAGE_FILL, "......" ".abc.." ".def.." "......");
	check_pad(IMAGE_EDGE, "aabccc" "aabccc" "ddefff" "ddefff");
	check_pad(IMAGE_REFLECT, "edefed" "babcba" "edefed" "babcba");
	assert_int_equal(image_make(&to, 1, 4, 3), 0);
	image_pad(&to, &from, 1, 0, IMAGE_FILL, (const unsigned char *)"xyz");
	check_pixels(&to, "xyzRGBrgbxyz");
	image_release(&to);
}

static void mirrors(void **state)
{
	char odd[] = "abcdef", even[] = "RGBrgb", one[] = "xyz";
	struct image im = view(odd, 2, 3, 1);

	(void)state;
	image_mirror(&im);
	assert_string_equal(odd, "cbafed");
	im = view(even, 1, 2, 3);
	image_mirror(&im);
	assert_string_equal(even, "rgbRGB");
	im = view(one, 3, 1, 1);
	image_mirror(&im);
	assert_string_equal(one, "xyz");
}

/* What EXIF's eight values do to "ab" over "cd" over "ef". */
static void orientations(void **state)
{
	static const char *const want[] = { "abcdef", "badcfe", "fedcba", "efcdab",
					    "acebdf", "ecafdb", "fdbeca", "bdface" };
	struct image from = view("abcdef", 3, 2, 1), to = { 0 };

	(void)state;
	for (int o = 1; o <= 8; o++) {
		assert_int_equal(image_make(&to, o < 5 ? 3 : 2, o < 5 ? 2 : 3, 1), 0);
		image_orient(&to, &from, o);
		check_pixels(&to, want[o - 1]);
	}
	image_release(&to);
}

/* Luma of Pillow: white stays white, grey stays the same grey. */
static void greys(void **state)
{
	struct image to = { 0 }, back = { 0 };

	(void)state;
	assert_int_equal(image_make(&to, 1, 1, 1), 0);
	assert_int_equal(image_make(&back, 1, 1, 3), 0);
	for (int v = 0; v < 256; v++) {
		char pixel[] = { (char)v, (char)v, (char)v };
		struct image from = view(pixel, 1, 1, 3);

		image_grey(&to, &from);
		assert_int_equal(to.data[0], v);
		image_rgb(&back, &to);
		assert_memory_equal(back.data, pixel, 3);
	}
	image_grey(&to, &(struct image){ 1, 1, 3, 3, (unsigned char[]){ 255, 0, 0 }, NULL, 0 });
	assert_int_equal(to.data[0], 76);
	image_grey(&to, &(struct image){ 1, 1, 3, 3, (unsigned char[]){ 0, 255, 0 }, NULL, 0 });
	assert_int_equal(to.data[0], 150);
	image_grey(&to, &(struct image){ 1, 1, 3, 3, (unsigned char[]){ 0, 0, 255 }, NULL, 0 });
	assert_int_equal(to.data[0], 29);
	image_release(&to);
	image_release(&back);
}

static void limits(void **state)
{
	struct image im = { 0 };

	(void)state;
	assert_int_equal(image_make(&im, 0, 5, 3), -1);
	assert_int_equal(image_make(&im, 5, -1, 3), -1);
	assert_int_equal(image_make(&im, 65501, 1, 1), -1);
	assert_int_equal(image_make(&im, 65500, 65500, 3), -1);
	assert_int_equal(image_make(&im, 10001, 10000, 1), -1);
	assert_non_null(strstr(fail_why(), "more than 100 million pixels"));
	assert_int_equal(image_check(10000, 10000, 3), 0);
	assert_int_equal(image_check(65500, 1, 3), 0);
	assert_null(im.memory);
}

/* Blocks that lie about their lengths are as if they were not there. */
static void exif_is_read_with_care(void **state)
{
	static const unsigned char good[] =
		"\xff\xd8\xff\xe1\x00\x22" "Exif\0\0" "II*\0\x08\0\0\0\x01\0"
		"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" "\0\0\0\0" "\xff\xda\0\0";
	unsigned char copy[sizeof(good)];

	(void)state;
	assert_int_equal(exif_orientation(good, sizeof(good)), 6);
	for (size_t n = 0; n < 38; n++) {
		unsigned char *exact = memcpy(test_malloc(n + 1), good, n);

		assert_int_equal(exif_orientation(exact, n), 1);
		test_free(exact);
	}
	for (size_t at = 0; at < sizeof(good); at++)
		for (int bit = 0; bit < 8; bit++) {
			int o;

			memcpy(copy, good, sizeof(good));
			copy[at] ^= (unsigned char)(1 << bit);
			o = exif_orientation(copy, sizeof(good));
			assert_true(o >= 1 && o <= 8);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(margins),
		cmocka_unit_test(mirrors),
		cmocka_unit_test(orientations),
		cmocka_unit_test(greys),
		cmocka_unit_test(limits),
		cmocka_unit_test(exif_is_read_with_care),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
