#include "base/fail.h"
#include "data/recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static void spellings_become_one(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" }, { "  \t\n ", "" }, { "flip", "flip" }, { "flip 0.5", "flip" },
		{ "flip p=.25", "flip 0.25" }, { "size 224", "size 224" },
		{ "size 224 320|flip", "size 224 width=320 | flip" },
		{ "size width=320 height=224", "size 224 width=320" },
		{ "size short=256 | crop 224", "size short=256 | crop 224" },
		{ "random-crop", "random-crop" },
		{ "random-crop 0.08 1", "random-crop" },
		{ "random-crop 0.08 1 0.75 4/3", "random-crop" },
		{ "random-crop 0.25,1 ratio=1,2/1", "random-crop 0.25,1 ratio=1,2" },
		{ "random-crop ratio=3/5,5/3", "random-crop ratio=0.6,1.6666666666666667" },
		{ "pad 4|crop 32 random", "pad 4 | crop 32 at=random" },
		{ "crop random 32", "crop 32 at=random" },
		{ "crop 8 at=centre", "crop 8" },
		{ "crop 8 9 centre-down", "crop 8 width=9 at=centre-down" },
		{ "pad 4 reflect", "pad 4 mode=reflect" },
		{ "pad 4 edge | grey", "pad 4 mode=edge | grey" },
		{ "pad 4 fill=1,2,3", "pad 4 fill=1,2,3" }, { "pad 4 9", "pad 4 fill=9" },
		{ "maybe 0.75 ( flip 1|pad 2 )", "maybe 0.75 (flip 1 | pad 2)" },
		{ "maybe(flip)", "maybe (flip)" },
		{ "maybe (maybe (flip) | crop 3)", "maybe (maybe (flip) | crop 3)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct recipe *r = recipe_parse(pairs[i][0]), *again;
		char *text, *twice;

		if (r == NULL)
			fail_msg("'%s': %s", pairs[i][0], fail_why());
		text = recipe_text(r);
		assert_string_equal(text, pairs[i][1]);
		again = recipe_parse(text);
		assert_non_null(again);
		twice = recipe_text(again);
		assert_string_equal(twice, text);
		free(text);
		free(twice);
		recipe_free(r);
		recipe_free(again);
	}
}

/* Column, cause, and what may have been meant. */
static void mistakes_are_told(void **state)
{
	static const char *const pairs[][2] = {
		{ "sise 224", "column 1: no step is called 'sise': is 'size' meant?" },
		{ "flip | mirror", "column 8: no step is called 'mirror': is 'flip' meant?" },
		{ "size 3 | teapot", "column 10: no step is called 'teapot'" },
		{ "size", "column 1: size: a height is missing, as in 'size 224'" },
		{ "size short=256 224", "size: short keeps the shape" },
		{ "size 224 320 7", "column 14: size has no place for '7'" },
		{ "size 2.5", "column 6: height of size is 2.5: a whole number is needed" },
		{ "size 70000", "height of size is 70000: it lies in 1 .. 65500" },
		{ "size -3", "height of size is -3" },
		{ "size 1e999", "height of size is inf" },
		{ "size 0x10", "size does not know '0x10'" },
		{ "size nan", "size does not know 'nan'" },
		{ "size 3/0", "size does not know '3/0'" },
		{ "size 224px", "size does not know '224px'" },
		{ "size 224 flip", "column 10: '|' is missing before 'flip'" },
		{ "random-crop 224", "'| size 224' comes after" },
		{ "random-crop 0.5", "scale of random-crop takes 2 numbers" },
		{ "random-crop scale=0.5", "scale of random-crop takes 2 numbers with a comma" },
		{ "random-crop 1 0.5", "scale runs from the smaller to the larger" },
		{ "random-crop ratio=2,1", "ratio runs from the smaller to the larger" },
		{ "random-crop ratio=1,2,3", "ratio of random-crop takes 2 numbers" },
		{ "crop", "column 1: crop needs height" },
		{ "crop 3 at=midle",
		  "at of crop is one of: centre centre-down random; not 'midle'" },
		{ "crop 3 height=3", "height of crop is there twice" },
		{ "crop 3 heigth=3", "crop has no 'heigth': it takes height, width, at" },
		{ "flip 2", "p of flip is 2: it lies in 0 .. 1" },
		{ "flip | ", "a step is missing after '|'" },
		{ "| flip", "column 1: a step is missing before '|'" },
		{ "flip || flip", "column 7: a step is missing before '|'" },
		{ "flip )", "column 6: ')' without '('" },
		{ "flip (size 3)", "flip takes no steps in parentheses" },
		{ "maybe 0.5", "maybe needs steps in parentheses" },
		{ "maybe 0.5 ()", "no steps in the parentheses" },
		{ "maybe 0.5 (flip", "column 16: ')' is missing" },
		{ "maybe (flip) (flip)", "maybe takes no more steps" },
		{ "maybe (grey)", "it cannot stand in 'maybe'" },
		{ "pad 4 fill=1,2", "fill is one number or three" },
		{ "pad 4 fill=256", "fill of pad is 256" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct recipe *r = recipe_parse(pairs[i][0]);

		if (r != NULL)
			fail_msg("'%s' is taken", pairs[i][0]);
		if (strstr(fail_why(), pairs[i][1]) == NULL)
			fail_msg("'%s': %s", pairs[i][0], fail_why());
	}
}

static void depth_and_length_are_bounded(void **state)
{
	char *text = malloc(200000);

	(void)state;
	text[0] = '\0';
	for (int i = 0; i < 17; i++)
		strcat(text, "maybe (");
	assert_null(recipe_parse(text));
	assert_non_null(strstr(fail_why(), "deep"));
	text[0] = '\0';
	for (int i = 0; i < 1001; i++)
		strcat(text, i ? "|flip" : "flip");
	assert_null(recipe_parse(text));
	assert_non_null(strstr(fail_why(), "more than 1000 steps"));
	memset(text, 'a', 199999);
	text[199999] = '\0';
	assert_null(recipe_parse(text));
	text[300] = '\0';
	assert_null(recipe_parse(text));
	free(text);
}

static void check_outline(const char *text, struct outline o, int height, int width,
			  int channels, int moved)
{
	struct recipe *r = recipe_parse(text);

	assert_non_null(r);
	recipe_outline(r, &o);
	if (o.height != height || o.width != width || o.channels != channels || o.moved != moved)
		fail_msg("'%s': %dx%dx%d, moved %d", text, o.height, o.width, o.channels, o.moved);
	recipe_free(r);
}

static void sizes_are_known_beforehand(void **state)
{
	struct outline any = { .channels = 3 }, known = { 100, 50, 3, 0 };

	(void)state;
	check_outline("", any, 0, 0, 3, 0);
	check_outline("", known, 100, 50, 3, 0);
	check_outline("size 7 9", any, 7, 9, 3, 0);
	check_outline("crop 7", any, 7, 7, 3, 1);
	check_outline("crop 100 50", known, 100, 50, 3, 0);
	check_outline("size short=20", any, 0, 0, 3, 0);
	check_outline("size short=20", known, 40, 20, 3, 0);
	check_outline("pad 4", any, 0, 0, 3, 1);
	check_outline("pad 4 | grey", known, 108, 58, 1, 1);
	check_outline("random-crop", known, 0, 0, 3, 1);
	check_outline("random-crop | size 8", known, 8, 8, 3, 1);
	check_outline("maybe (flip)", known, 100, 50, 3, 1);
	check_outline("maybe (size 8)", known, 0, 0, 3, 0);
	check_outline("maybe (size 100 50)", known, 100, 50, 3, 0);
	check_outline("maybe (size 8) | size 8", any, 8, 8, 3, 0);
}

/* Each step's choices have a name of their own, which other steps do not change. */
static void steps_have_names(void **state)
{
	struct recipe *r = recipe_parse("flip | maybe (flip | pad 1) | flip | maybe (crop 3)");

	(void)state;
	assert_non_null(r);
	assert_string_equal(r->step[0].name, "flip.1");
	assert_string_equal(r->step[1].name, "maybe.1");
	assert_string_equal(r->step[1].group.step[0].name, "flip.2");
	assert_string_equal(r->step[2].name, "flip.3");
	assert_string_equal(r->step[3].name, "maybe.2");
	recipe_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spellings_become_one),
		cmocka_unit_test(mistakes_are_told),
		cmocka_unit_test(depth_and_length_are_bounded),
		cmocka_unit_test(sizes_are_known_beforehand),
		cmocka_unit_test(steps_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
