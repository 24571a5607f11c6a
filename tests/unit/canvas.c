#include "base/fail.h"
#include "data/canvas.h"
#include "data/recipe.h"
#include "data/resize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/data_files.h"

#include <math.h>
#include <string.h>

static struct canvas *open_file(const char *name, int flags, char **data)
{
	struct canvas *c = canvas_new();
	size_t n;

	assert_non_null(c);
	*data = data_file(name, &n);
	if (canvas_open(c, *data, n, flags) < 0)
		fail_msg("%s: %s", name, fail_why());
	return c;
}

/* The result of a recipe in one go, and doing each step before the next is looked at. */
static void check_recipe(const char *file, const char *text, uint64_t position)
{
	struct recipe *r = recipe_parse(text);
	int flags = r && recipe_has(r, "grey") ? CANVAS_GREY : 0;
	char *data, *again;
	struct canvas *lazy = open_file(file, flags, &data);
	struct canvas *eager = open_file(file, flags, &again);
	struct image to = { 0 }, *want = canvas_image(eager);

	assert_non_null(r);
	canvas_place(lazy, 42, position);
	canvas_place(eager, 42, position);
	assert_int_equal(recipe_run(r, lazy), 0);
	for (int i = 0; i < r->count; i++) {
		assert_int_equal(step_run(&r->step[i], eager), 0);
		want = canvas_image(eager);
		assert_non_null(want);
	}
	assert_int_equal(canvas_height(lazy), want->height);
	assert_int_equal(canvas_width(lazy), want->width);
	assert_int_equal(canvas_channels(lazy), want->channels);
	assert_int_equal(image_make(&to, want->height, want->width, want->channels), 0);
	if (canvas_finish(lazy, &to) < 0)
		fail_msg("%s: %s", text, fail_why());
	for (int y = 0; y < to.height; y++)
		if (memcmp(to.data + (size_t)y * to.stride, want->data + (size_t)y * want->stride,
			   (size_t)to.width * (size_t)to.channels) != 0)
			fail_msg("%s: '%s' at %d: other pixels", file, text, (int)position);
	image_release(&to);
	canvas_free(lazy);
	canvas_free(eager);
	recipe_free(r);
	free(data);
	free(again);
}

static void at_once_is_one_after_the_other(void **state)
{
	static const char *const files[] = {
		"420.jpg", "444.jpg", "grey.jpg", "progressive.jpg", "cmyk.jpg", "small.png",
		"grey.png", "small.ppm",
	};
	static const char *const recipes[] = {
		"", "flip 1", "crop 30 at=random", "random-crop | size 24 | flip",
		"random-crop 0.2 1 | flip | size 31 17", "flip | random-crop | flip | crop 2",
		"size short=30 | crop 24", "size short=30 | crop 28 random | flip | crop 20 random",
		"size 50 | size 24", "size 20 | flip 1 | crop 10 random | size 30",
		"pad 4 | crop 32 random | flip", "pad 9 reflect | size 20 | grey",
		"pad 3 edge | pad 2 fill=9,8,7 | flip 1", "grey | random-crop | size 12",
		"crop 20 random | crop 9 random | size 5 | crop 4 random",
		"maybe (random-crop | flip 1) | maybe 0.3 (size 20 | pad 2) | size 16",
		"random-crop | grey | flip | size 9",
	};

	(void)state;
	for (size_t f = 0; f < sizeof(files) / sizeof(*files); f++)
		for (size_t i = 0; i < sizeof(recipes) / sizeof(*recipes); i++)
			for (uint64_t position = 0; position < 5; position++)
				check_recipe(files[f], recipes[i], position);
}

/* An image whose pixels say where they were: x, y, 0. */
static void map(unsigned char *pixels, int height, int width)
{
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++, pixels += 3) {
			pixels[0] = (unsigned char)x;
			pixels[1] = (unsigned char)y;
			pixels[2] = 0;
		}
}

/* Runs a recipe on a map: the place and size of what is left of it. */
static struct box box_of(const struct recipe *r, struct canvas *c, const unsigned char *pixels,
			 int height, int width, uint64_t seed, uint64_t position, int *mirrored)
{
	struct image *im;
	struct box b;

	assert_int_equal(canvas_pixels(c, pixels, height, width, 3), 0);
	canvas_place(c, seed, position);
	assert_int_equal(recipe_run(r, c), 0);
	im = canvas_image(c);
	assert_non_null(im);
	b = (struct box){ im->data[0], im->data[1], im->width, im->height };
	*mirrored = im->width > 1 && im->data[3] < im->data[0];
	return b;
}

static void half_of_the_images_are_mirrored(void **state)
{
	unsigned char pixels[4 * 5 * 3];
	struct recipe *r = recipe_parse("flip"), *never = recipe_parse("flip 0"),
		*always = recipe_parse("flip 1");
	struct canvas *c = canvas_new();
	int count = 0, mirrored, n = 4000;

	(void)state;
	map(pixels, 4, 5);
	for (int i = 0; i < n; i++) {
		box_of(r, c, pixels, 4, 5, 1, (uint64_t)i, &mirrored);
		count += mirrored;
		box_of(never, c, pixels, 4, 5, 1, (uint64_t)i, &mirrored);
		assert_int_equal(mirrored, 0);
		box_of(always, c, pixels, 4, 5, 1, (uint64_t)i, &mirrored);
		assert_int_equal(mirrored, 1);
	}
	/* Five standard deviations. */
	assert_true(fabs(count - n / 2.0) < 5 * sqrt(n / 4.0));
	recipe_free(r);
	recipe_free(never);
	recipe_free(always);
	canvas_free(c);
}

/* torchvision's rule: area uniform in the scale, ratio log-uniform, any place as likely. */
static void random_crops_are_spread_evenly(void **state)
{
	enum { HEIGHT = 120, WIDTH = 150 };
	static unsigned char pixels[HEIGHT * WIDTH * 3];
	struct recipe *r = recipe_parse("random-crop 0.08 0.5 0.75 4/3");
	struct canvas *c = canvas_new();
	double area = 0, ratio = 0, left = 0, top = 0;
	int mirrored, n = 4000;

	(void)state;
	map(pixels, HEIGHT, WIDTH);
	for (int i = 0; i < n; i++) {
		struct box b = box_of(r, c, pixels, HEIGHT, WIDTH, 7, (uint64_t)i, &mirrored);
		double part = (double)b.width * b.height / (HEIGHT * WIDTH);
		double shape = (double)b.width / b.height;

		assert_true(part > 0.075 && part < 0.51);
		assert_true(shape > 0.73 && shape < 1.37);
		area += part / n;
		ratio += log(shape) / n;
		left += b.width < WIDTH ? (double)b.x / (WIDTH - b.width) / n : 0.5 / n;
		top += b.height < HEIGHT ? (double)b.y / (HEIGHT - b.height) / n : 0.5 / n;
	}
	assert_true(fabs(area - 0.29) < 5 * 0.42 / sqrt(12.0 * n));
	assert_true(fabs(ratio) < 5 * 0.58 / sqrt(12.0 * n));
	assert_true(fabs(left - 0.5) < 5 / sqrt(12.0 * n) + 0.001);
	assert_true(fabs(top - 0.5) < 5 / sqrt(12.0 * n) + 0.001);
	recipe_free(r);
	canvas_free(c);
}

/* Where no box of an allowed ratio fits: the largest in the middle. */
static void long_images_are_cropped_in_the_middle(void **state)
{
	static unsigned char pixels[200 * 10 * 3];
	struct recipe *r = recipe_parse("random-crop 1 1");
	struct canvas *c = canvas_new();
	struct box b;
	int mirrored;

	(void)state;
	map(pixels, 10, 200);
	b = box_of(r, c, pixels, 10, 200, 7, 0, &mirrored);
	assert_int_equal(b.height, 10);
	assert_int_equal(b.width, 13);
	assert_int_equal(b.x, 93);
	map(pixels, 200, 10);
	b = box_of(r, c, pixels, 200, 10, 7, 0, &mirrored);
	assert_int_equal(b.width, 10);
	assert_int_equal(b.height, 13);
	assert_int_equal(b.y, 93);
	recipe_free(r);
	canvas_free(c);
}

static void check_place(const char *text, int height, int width, int y, int x)
{
	static unsigned char pixels[100 * 100 * 3];
	struct recipe *r = recipe_parse(text);
	struct canvas *c = canvas_new();
	int mirrored;
	struct box b;

	map(pixels, height, width);
	b = box_of(r, c, pixels, height, width, 0, 0, &mirrored);
	if (b.y != y || b.x != x)
		fail_msg("'%s' of %dx%d begins at %d, %d", text, height, width, b.y, b.x);
	recipe_free(r);
	canvas_free(c);
}

/* Half a pixel: torchvision's round() goes to the even side. */
static void the_centre_is_where_others_have_it(void **state)
{
	(void)state;
	check_place("crop 4", 10, 10, 3, 3);
	check_place("crop 4", 5, 7, 0, 2);
	check_place("crop 4", 9, 11, 2, 4);
	check_place("crop 4 at=centre-down", 9, 11, 2, 3);
	check_place("crop 4 at=centre-down", 5, 7, 0, 1);
	check_place("crop 4 8", 4, 8, 0, 0);
}

static void choices_depend_on_seed_position_and_name(void **state)
{
	static unsigned char pixels[60 * 60 * 3];
	struct recipe *r = recipe_parse("random-crop");
	struct recipe *with = recipe_parse("flip 0 | random-crop");
	struct recipe *second = recipe_parse("random-crop 1 1 1 1 | random-crop");
	struct canvas *c = canvas_new();
	int mirrored, other_seed = 0, other_position = 0, other_name = 0;

	(void)state;
	map(pixels, 60, 60);
	for (uint64_t i = 0; i < 50; i++) {
		struct box b = box_of(r, c, pixels, 60, 60, 3, i, &mirrored);
		struct box d = box_of(with, c, pixels, 60, 60, 3, i, &mirrored);

		assert_memory_equal(&b, &d, sizeof(b));
		d = box_of(r, c, pixels, 60, 60, 4, i, &mirrored);
		other_seed += memcmp(&b, &d, sizeof(b)) != 0;
		d = box_of(r, c, pixels, 60, 60, 3, i + 1, &mirrored);
		other_position += memcmp(&b, &d, sizeof(b)) != 0;
		d = box_of(second, c, pixels, 60, 60, 3, i, &mirrored);
		other_name += memcmp(&b, &d, sizeof(b)) != 0;
	}
	assert_true(other_seed > 45 && other_position > 45 && other_name > 45);
	recipe_free(r);
	recipe_free(with);
	recipe_free(second);
	canvas_free(c);
}

static void what_does_not_fit_is_refused(void **state)
{
	static const char *const pairs[][2] = {
		{ "crop 41", "crop: 41x41" }, { "pad 40 reflect", "pad: reflect 40" },
		{ "size 10 | crop 11", "crop: 11x11" },
		{ "size 65500 65500", "size: an image of 65500x65500" },
		{ "maybe 1 (size 65500 | size 65500)", "maybe: size: an image" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		char *data;
		struct canvas *c = open_file("small.png", 0, &data);
		struct recipe *r = recipe_parse(pairs[i][0]);

		canvas_place(c, 0, 0);
		assert_int_equal(recipe_run(r, c), -1);
		if (strstr(fail_why(), pairs[i][1]) == NULL)
			fail_msg("'%s': %s", pairs[i][0], fail_why());
		recipe_free(r);
		canvas_free(c);
		free(data);
	}
}

static void other_formats_are_named(void **state)
{
	static const char *const pairs[][2] = { { "small.gif", "GIF" }, { "small.bmp", "BMP" },
						{ "make.py", "no image" } };
	struct canvas *c = canvas_new();

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		size_t n;
		char *data = data_file(pairs[i][0], &n);

		assert_int_equal(canvas_open(c, data, n, 0), -1);
		if (strstr(fail_why(), pairs[i][1]) == NULL)
			fail_msg("%s: %s", pairs[i][0], fail_why());
		free(data);
	}
	assert_int_equal(canvas_open(c, "RIFF....WEBPVP8 ", 16, 0), -1);
	assert_non_null(strstr(fail_why(), "WebP"));
	assert_int_equal(canvas_open(c, "", 0, 0), -1);
	assert_int_equal(canvas_open(c, "P6 5 5 255 abc", 14, 0), -1);
	assert_int_equal(canvas_open(c, "P6 5 5 65535 abc", 16, 0), -1);
	assert_int_equal(canvas_open(c, "P6 99999 99999 255 ", 19, 0), -1);
	canvas_free(c);
}

/* Turned only when asked: the four files differ in what they say alone. */
static void orientation_turns_when_asked(void **state)
{
	static const struct { const char *name; int orientation; } files[] = {
		{ "exif1.jpg", 1 }, { "exif3.jpg", 3 }, { "exif6.jpg", 6 }, { "exif8.jpg", 8 },
	};
	char *data;
	struct canvas *plain = open_file("exif1.jpg", 0, &data);
	struct image stored = *canvas_image(plain);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		char *mine;
		struct canvas *c = open_file(files[i].name, 0, &mine);
		struct image *im = canvas_image(c), want = { 0 };
		int swapped = files[i].orientation > 4;

		assert_int_equal(im->height, stored.height);
		assert_memory_equal(im->data, stored.data, (size_t)stored.height * stored.stride);
		canvas_free(c);
		free(mine);
		c = open_file(files[i].name, CANVAS_ORIENT, &mine);
		im = canvas_image(c);
		assert_int_equal(im->height, swapped ? stored.width : stored.height);
		assert_int_equal(image_make(&want, im->height, im->width, 3), 0);
		image_orient(&want, &stored, files[i].orientation);
		assert_memory_equal(im->data, want.data, (size_t)want.height * want.stride);
		image_release(&want);
		canvas_free(c);
		free(mine);
	}
	canvas_free(plain);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_once_is_one_after_the_other),
		cmocka_unit_test(half_of_the_images_are_mirrored),
		cmocka_unit_test(random_crops_are_spread_evenly),
		cmocka_unit_test(long_images_are_cropped_in_the_middle),
		cmocka_unit_test(the_centre_is_where_others_have_it),
		cmocka_unit_test(choices_depend_on_seed_position_and_name),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(other_formats_are_named),
		cmocka_unit_test(orientation_turns_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
