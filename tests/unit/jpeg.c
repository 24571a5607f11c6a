#include "base/crc.h"
#include "base/fail.h"
#include "data/jpeg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/data_files.h"

#include <string.h>

static const char *const files[] = {
	"1x1.jpg", "411.jpg", "420.jpg", "422.jpg", "440.jpg", "444.jpg", "arithmetic.jpg",
	"cmyk.jpg", "grey.jpg", "odd.jpg", "progressive-444.jpg", "progressive.jpg",
	"restart-storm.jpg", "restart.jpg", "rgb.jpg", "tall.jpg", "wide.jpg",
};
enum { FILES = sizeof(files) / sizeof(*files) };

static struct box whole(const struct jpeg *j)
{
	return (struct box){ 0, 0, jpeg_width(j), jpeg_height(j) };
}

static int read_whole(struct jpeg *j, const void *data, size_t n, struct image *im)
{
	struct box b;

	if (jpeg_open(j, data, n) < 0)
		return -1;
	b = whole(j);
	return jpeg_read(j, &b, 3, im);
}

/* Rows may have gaps. */
static uint32_t crc_of(const struct image *im)
{
	uint32_t crc = 0;

	for (int y = 0; y < im->height; y++)
		crc = crc32z(crc, im->data + (size_t)y * im->stride,
			     (size_t)im->width * (size_t)im->channels);
	return crc;
}

/* tests/data/pixels says what djpeg -dct int decodes (of ink: Pillow). */
static void gives_the_pixels_of_djpeg(void **state)
{
	struct jpeg *j = jpeg_new();
	struct image im = { 0 };
	size_t n;
	char *list = data_file("pixels", &n), *line;
	int seen = 0;

	(void)state;
	for (line = strtok(list, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		char name[64], *data;
		int height, width;
		unsigned crc;

		assert_int_equal(sscanf(line, "%63s %d %d %u", name, &height, &width, &crc), 4);
		data = data_file(name, &n);
		assert_int_equal(read_whole(j, data, n, &im), 0);
		assert_int_equal(im.height, height);
		assert_int_equal(im.width, width);
		if (crc_of(&im) != crc)
			fail_msg("%s: other pixels", name);
		free(data);
		seen++;
	}
	assert_true(seen >= FILES);
	free(list);
	image_release(&im);
	jpeg_free(j);
}

/* The part of a full decode must be what comes of decoding the part. */
static void check_box(struct jpeg *j, const char *name, const char *data, size_t n,
		      const struct image *full, const struct box *b, struct image *part)
{
	struct image want = image_part(full, b);

	assert_int_equal(jpeg_open(j, data, n), 0);
	if (jpeg_read(j, b, 3, part) < 0)
		fail_msg("%s: %s", name, fail_why());
	assert_int_equal(part->height, b->height);
	assert_int_equal(part->width, b->width);
	for (int y = 0; y < b->height; y++)
		if (memcmp(want.data + (size_t)y * want.stride,
			   part->data + (size_t)y * part->stride, (size_t)b->width * 3) != 0)
			fail_msg("%s: %dx%d at %d, %d: other pixels in row %d", name, b->width,
				 b->height, b->x, b->y, y);
}

/* Sides of any length, some of them short. */
static int some_side(unsigned *seed, int most)
{
	return 1 + (int)draw(seed, (unsigned)(draw(seed, 3) || most < 9 ? most : 9));
}

static void boxes_are_exact(void **state)
{
	struct jpeg *j = jpeg_new();
	struct image full = { 0 }, part = { 0 };
	unsigned seed = 1;
	int boxes = 0;

	(void)state;
	for (int f = 0; f < FILES; f++) {
		size_t n;
		char *data = data_file(files[f], &n);

		assert_int_equal(read_whole(j, data, n, &full), 0);
		for (int i = 0; i < 80; i++, boxes++) {
			struct box b = { .width = some_side(&seed, full.width),
					 .height = some_side(&seed, full.height) };

			b.x = (int)draw(&seed, (unsigned)(full.width - b.width + 1));
			b.y = (int)draw(&seed, (unsigned)(full.height - b.height + 1));
			check_box(j, files[f], data, n, &full, &b, &part);
		}
		free(data);
	}
	assert_true(boxes >= 1000);
	image_release(&full);
	image_release(&part);
	jpeg_free(j);
}

static void cut_short_is_refused(void **state)
{
	struct jpeg *j = jpeg_new();
	struct image im = { 0 };

	(void)state;
	for (int f = 0; f < FILES; f++) {
		size_t n;
		char *data = data_file(files[f], &n);

		for (size_t percent = 1; percent <= 99; percent++) {
			char *cut = malloc(n * percent / 100 + 1);
			size_t m = n * percent / 100;

			memcpy(cut, data, m);
			assert_int_equal(read_whole(j, cut, m, &im), -1);
			/* Nor where the box lies far above the cut. */
			if (jpeg_open(j, cut, m) == 0)
				assert_int_equal(jpeg_read(j, &(struct box){ 0, 0, 1, 1 }, 3,
							   &im), -1);
			free(cut);
		}
		/* The end marker alone is missing. */
		assert_int_equal(read_whole(j, data, n - 2, &im), -1);
		assert_non_null(strstr(fail_why(), "jpeg"));
		free(data);
	}
	image_release(&im);
	jpeg_free(j);
}

static void bytes_after_the_end_do_no_harm(void **state)
{
	struct jpeg *j = jpeg_new();
	struct image im = { 0 };
	size_t n;
	char *data = data_file("420.jpg", &n), *more = malloc(2 * n);
	uint32_t crc;

	(void)state;
	assert_int_equal(read_whole(j, data, n, &im), 0);
	crc = crc_of(&im);
	memcpy(more, data, n);
	memcpy(more + n, data, n);
	assert_int_equal(read_whole(j, more, 2 * n, &im), 0);
	assert_int_equal(crc_of(&im), crc);
	memset(more + n, 0, n);
	assert_int_equal(read_whole(j, more, n + 100, &im), 0);
	assert_int_equal(crc_of(&im), crc);
	free(data);
	free(more);
	image_release(&im);
	jpeg_free(j);
}

/* Where the frame header is: FF C0 .. C2. */
static unsigned char *frame_of(char *data, size_t n)
{
	for (size_t i = 2; i + 9 < n; i += 2 + (size_t)((unsigned char)data[i + 2] << 8 |
							 (unsigned char)data[i + 3]))
		if ((unsigned char)data[i + 1] >= 0xc0 && (unsigned char)data[i + 1] <= 0xc2)
			return (unsigned char *)data + i;
	return NULL;
}

static void set_size(unsigned char *frame, unsigned height, unsigned width)
{
	frame[5] = (unsigned char)(height >> 8);
	frame[6] = (unsigned char)height;
	frame[7] = (unsigned char)(width >> 8);
	frame[8] = (unsigned char)width;
}

static void giants_are_refused_by_their_header(void **state)
{
	static const unsigned size[][2] = {
		{ 65500, 65500 }, { 60000, 60000 }, { 65535, 1 }, { 1, 65535 }, { 10001, 10000 },
	};
	struct jpeg *j = jpeg_new();
	size_t n;
	char *data = data_file("420.jpg", &n);

	(void)state;
	for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
		set_size(frame_of(data, n), size[i][0], size[i][1]);
		assert_int_equal(jpeg_open(j, data, n), -1);
		if (strstr(fail_why(), "more than") == NULL && strstr(fail_why(), "65500") == NULL)
			fail_msg("%s", fail_why());
	}
	free(data);
	jpeg_free(j);
}

/* The place of the next marker that is no restart, from i on. */
static size_t next_marker(const char *data, size_t i)
{
	while ((unsigned char)data[i] != 0xff || data[i + 1] == 0 ||
	       ((unsigned char)data[i + 1] & 0xf8) == 0xd0)
		i++;
	return i;
}

/* A progressive file whose first scan is there again and again. */
static void scans_without_end_are_refused(void **state)
{
	struct jpeg *j = jpeg_new();
	struct image im = { 0 };
	size_t n, from = 2, to, m;
	char *data = data_file("progressive.jpg", &n), *more;

	(void)state;
	while ((unsigned char)data[from + 1] != 0xda)
		from = next_marker(data, from + 2);
	to = next_marker(data, from + 2);
	m = to - from;
	more = malloc(n + 500 * m);
	memcpy(more, data, to);
	for (size_t i = 0; i < 500; i++)
		memcpy(more + to + i * m, data + from, m);
	memcpy(more + to + 500 * m, data + to, n - to);
	assert_int_equal(read_whole(j, more, n + 500 * m, &im), -1);
	if (strstr(fail_why(), "scans") == NULL)
		fail_msg("%s", fail_why());
	memmove(more + to + 50 * m, more + to + 500 * m, n - to);
	assert_int_equal(read_whole(j, more, n + 50 * m, &im), 0);
	free(data);
	free(more);
	image_release(&im);
	jpeg_free(j);
}

static void other_kinds_are_refused_by_name(void **state)
{
	static const unsigned char kind[] = { 0xc3, 0xc5, 0xc7, 0xcb };
	struct jpeg *j = jpeg_new();
	struct image im = { 0 };
	size_t n;
	char *data = data_file("444.jpg", &n);
	unsigned char *frame = frame_of(data, n);

	(void)state;
	for (size_t i = 0; i < sizeof(kind); i++) {
		frame[1] = kind[i];     /* lossless, hierarchical */
		assert_int_equal(read_whole(j, data, n, &im), -1);
		assert_non_null(strstr(fail_why(), "SOF"));
	}
	frame[1] = 0xc1;
	frame[4] = 12;                  /* bits */
	assert_int_equal(read_whole(j, data, n, &im), -1);
	assert_non_null(strstr(fail_why(), "12"));
	frame[4] = 8;
	frame[9] = 2;                   /* components */
	assert_int_equal(read_whole(j, data, n, &im), -1);
	assert_int_equal(jpeg_open(j, "no image", 8), -1);
	assert_int_equal(jpeg_open(j, "", 0), -1);
	free(data);
	image_release(&im);
	jpeg_free(j);
}

/* Long application segments before the picture: an ICC profile of 1 MiB, 255 of them. */
static void segments_are_passed_over(void **state)
{
	struct jpeg *j = jpeg_new();
	struct image im = { 0 };
	size_t n, m = 2, segment = 65535;
	char *data = data_file("444.jpg", &n), *more = malloc(n + 255 * (segment + 2));

	(void)state;
	memcpy(more, data, 2);
	for (int i = 0; i < 255; i++, m += segment + 2) {
		memset(more + m, i, segment + 2);
		memcpy(more + m, i % 2 ? "\xff\xe2\xff\xff" "ICC_PROFILE" : "\xff\xed\xff\xff", 4);
	}
	memcpy(more + m, data + 2, n - 2);
	assert_int_equal(read_whole(j, more, m + n - 2, &im), 0);
	free(data);
	free(more);
	image_release(&im);
	jpeg_free(j);
}

/* A MJPEG's frame leaves out the Huffman tables of the standard. */
static void standard_tables_may_be_missing(void **state)
{
	struct jpeg *j = jpeg_new();
	struct image im = { 0 };
	size_t n, at = 2;
	char *data = data_file("444.jpg", &n);
	uint32_t crc;

	(void)state;
	assert_int_equal(read_whole(j, data, n, &im), 0);
	crc = crc_of(&im);
	while ((unsigned char)data[at + 1] != 0xda) {
		size_t length = 2 + (size_t)((unsigned char)data[at + 2] << 8 |
					      (unsigned char)data[at + 3]);

		if ((unsigned char)data[at + 1] == 0xc4) {
			memmove(data + at, data + at + length, n - at - length);
			n -= length;
		} else {
			at += length;
		}
	}
	assert_int_equal(read_whole(j, data, n, &im), 0);
	assert_int_equal(crc_of(&im), crc);
	free(data);
	image_release(&im);
	jpeg_free(j);
}

static void wrong_bits_never_crash(void **state)
{
	struct jpeg *j = jpeg_new();
	struct image im = { 0 };
	unsigned seed = 7;
	int refused = 0;

	(void)state;
	for (int f = 0; f < FILES; f++) {
		size_t n;
		char *data = data_file(files[f], &n), *copy = malloc(n);

		for (int i = 0; i < 200; i++) {
			memcpy(copy, data, n);
			for (unsigned k = draw(&seed, 4) + 1; k > 0; k--)
				copy[draw(&seed, 30000) % n] ^= (char)(1 << draw(&seed, 8));
			if (jpeg_open(j, copy, n) < 0) {
				refused++;
				continue;
			}
			if (jpeg_width(j) > 2000 || jpeg_height(j) > 2000)
				continue;
			if (jpeg_read(j, &(struct box){ 0, 0, jpeg_width(j), 1 +
					(int)draw(&seed, (unsigned)jpeg_height(j)) }, 3, &im) < 0)
				refused++;
		}
		free(data);
		free(copy);
	}
	assert_true(refused > 0);
	image_release(&im);
	jpeg_free(j);
}

static void grey_may_stay_grey(void **state)
{
	struct jpeg *j = jpeg_new();
	struct image rgb = { 0 }, grey = { 0 };
	size_t n;
	char *data = data_file("grey.jpg", &n);
	struct box b;

	(void)state;
	assert_int_equal(read_whole(j, data, n, &rgb), 0);
	assert_int_equal(jpeg_open(j, data, n), 0);
	assert_int_equal(jpeg_components(j), 1);
	b = whole(j);
	assert_int_equal(jpeg_read(j, &b, 1, &grey), 0);
	for (int y = 0; y < grey.height; y++)
		for (int i = 0; i < 3 * grey.width; i++)
			assert_int_equal(grey.data[(size_t)y * grey.stride + (size_t)i / 3],
					 rgb.data[(size_t)y * rgb.stride + (size_t)i]);
	free(data);
	image_release(&rgb);
	image_release(&grey);
	jpeg_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_pixels_of_djpeg),
		cmocka_unit_test(boxes_are_exact),
		cmocka_unit_test(cut_short_is_refused),
		cmocka_unit_test(bytes_after_the_end_do_no_harm),
		cmocka_unit_test(giants_are_refused_by_their_header),
		cmocka_unit_test(scans_without_end_are_refused),
		cmocka_unit_test(other_kinds_are_refused_by_name),
		cmocka_unit_test(segments_are_passed_over),
		cmocka_unit_test(standard_tables_may_be_missing),
		cmocka_unit_test(wrong_bits_never_crash),
		cmocka_unit_test(grey_may_stay_grey),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
