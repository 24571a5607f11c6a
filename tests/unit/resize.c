#include "base/fail.h"
#include "data/resize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/data_files.h"

#include <string.h>

/* As tests/data/make.py has it: noise, black and white. */
static void fill(struct image *im, int height, int width, int channels)
{
	uint32_t x = 12345;

	assert_int_equal(image_make(im, height, width, channels), 0);
	for (size_t i = 0; i < (size_t)height * im->stride; i++) {
		x = x * 1103515245u + 12345u;
		im->data[i] = (unsigned char)(x >> 23 & 7 ? x >> 24 : 255 * (x >> 31));
	}
}

/* Resizes with one of the bodies into fresh memory of exactly the size it needs. */
static struct image resized(enum resize_code code, const struct image *from, int height,
			    int width, const struct box *part, int mirrored)
{
	struct resize r = { .chosen = 1, .code = code };
	struct image to = { 0 }, view;

	assert_int_equal(resize_plan(&r, from->height, from->width, height, width, part,
				     mirrored), 0);
	assert_int_equal(image_make(&to, part ? part->height : height,
				    part ? part->width : width, from->channels), 0);
	view = image_part(from, &r.need);
	assert_int_equal(resize_run(&r, &view, &to), 0);
	resize_release(&r);
	return to;
}

static int same(const struct image *a, const struct image *b)
{
	if (a->height != b->height || a->width != b->width || a->channels != b->channels)
		return 0;
	for (int y = 0; y < a->height; y++)
		if (memcmp(a->data + (size_t)y * a->stride, b->data + (size_t)y * b->stride,
			   (size_t)a->width * (size_t)a->channels) != 0)
			return 0;
	return 1;
}

static int codes(void)
{
	return (int)resize_best() + 1;
}

static void gives_the_pixels_of_pillow(void **state)
{
	static const int cases[][5] = {
		{ 30, 40, 3, 17, 24 }, { 23, 17, 3, 50, 31 }, { 64, 48, 3, 20, 20 },
		{ 9, 300, 3, 8, 40 }, { 40, 31, 1, 13, 47 }, { 5, 5, 3, 5, 9 },
		{ 33, 20, 3, 11, 20 }, { 1, 1, 3, 4, 3 },
	};
	struct image from = { 0 }, to, want = { 0 };
	size_t n, at = 0;
	char *golden = data_file("resize.raw", &n);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const int *c = cases[i];
		size_t bytes = (size_t)(c[2] * c[3] * c[4]);

		fill(&from, c[0], c[1], c[2]);
		assert_true(at + bytes <= n);
		image_borrow(&want, (unsigned char *)golden + at, (size_t)(c[4] * c[2]),
			     c[3], c[4], c[2]);
		for (int code = 0; code < codes(); code++) {
			to = resized((enum resize_code)code, &from, c[3], c[4], NULL, 0);
			if (!same(&to, &want))
				fail_msg("case %zu differs in body %d", i, code);
			image_release(&to);
		}
		at += bytes;
	}
	assert_int_equal(at, n);
	free(golden);
	image_release(&from);
}

/* Sizes that try the ends of every loop, ratios from far below 1 to far above. */
static void all_bodies_give_the_same(void **state)
{
	struct image from = { 0 };
	unsigned seed = 3;

	(void)state;
	for (int i = 0; i < 300; i++) {
		unsigned most = (unsigned)(i % 10 == 0 ? 400 : i % 3 == 0 ? 12 : 70);
		int height = 1 + (int)draw(&seed, most), width = 1 + (int)draw(&seed, most);
		int mirrored = (int)draw(&seed, 2);
		struct image plain;

		fill(&from, 1 + (int)draw(&seed, most), 1 + (int)draw(&seed, most),
		     draw(&seed, 3) ? 3 : 1);
		plain = resized(RESIZE_PLAIN, &from, height, width, NULL, mirrored);
		for (int code = 1; code < codes(); code++) {
			struct image to = resized((enum resize_code)code, &from, height, width,
						  NULL, mirrored);

			if (!same(&to, &plain))
				fail_msg("%dx%dx%d to %dx%d differs in body %d", from.height,
					 from.width, from.channels, height, width, code);
			image_release(&to);
		}
		image_release(&plain);
	}
	image_release(&from);
}

static void a_part_is_the_part_of_the_whole(void **state)
{
	struct image from = { 0 };
	unsigned seed = 5;

	(void)state;
	for (int i = 0; i < 200; i++) {
		int height = 1 + (int)draw(&seed, 80), width = 1 + (int)draw(&seed, 80);
		int mirrored = (int)draw(&seed, 2);
		struct box b = { .width = 1 + (int)draw(&seed, (unsigned)width),
				 .height = 1 + (int)draw(&seed, (unsigned)height) };
		struct image full, part, want;

		b.x = (int)draw(&seed, (unsigned)(width - b.width + 1));
		b.y = (int)draw(&seed, (unsigned)(height - b.height + 1));
		fill(&from, 1 + (int)draw(&seed, 90), 1 + (int)draw(&seed, 90), 3);
		full = resized(resize_best(), &from, height, width, NULL, 0);
		part = resized(resize_best(), &from, height, width, &b, mirrored);
		want = image_part(&full, &b);
		if (mirrored)
			image_mirror(&want);
		assert_true(same(&part, &want));
		image_release(&full);
		image_release(&part);
	}
	image_release(&from);
}

static void a_flat_image_stays_flat(void **state)
{
	struct image from = { 0 }, to;

	(void)state;
	for (int v = 0; v < 256; v += 51) {
		assert_int_equal(image_make(&from, 61, 47, 3), 0);
		memset(from.data, v, 61 * 47 * 3);
		to = resized(resize_best(), &from, 24, 90, NULL, 0);
		for (size_t i = 0; i < 24 * 90 * 3; i++)
			assert_int_equal(to.data[i], v);
		image_release(&to);
	}
	image_release(&from);
}

static void giants_are_refused(void **state)
{
	struct resize r = { 0 };

	(void)state;
	assert_int_equal(resize_plan(&r, 10, 10, 65500, 65500, NULL, 0), -1);
	assert_int_equal(resize_plan(&r, 10, 10, 0, 5, NULL, 0), -1);
	assert_int_equal(resize_plan(&r, 10, 10, 70000, 1, NULL, 0), -1);
	resize_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_pixels_of_pillow),
		cmocka_unit_test(all_bodies_give_the_same),
		cmocka_unit_test(a_part_is_the_part_of_the_whole),
		cmocka_unit_test(a_flat_image_stays_flat),
		cmocka_unit_test(giants_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
