/*
 * The table of steps. A step is a row here and a function; recipe(5) has a line for it.
 * Its random choices are drawn from (seed, position, name with ordinal), so that they
 * depend on nothing else.
 */
#include "data/recipe.h"

#include "base/fail.h"
#include "base/real.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

static void begin_draws(const struct step *s, const struct canvas *c, struct rng *r)
{
	rng_init(r, canvas_seed(c), canvas_position(c), s->name);
}

static double between(struct rng *r, double low, double high)
{
	return low + (high - low) * rng_uniform(r);
}

/* ---- crop ---- */

enum { CROP_HEIGHT, CROP_WIDTH, CROP_AT };
enum { AT_CENTRE, AT_CENTRE_DOWN, AT_RANDOM };

static int crop_width(const struct step *s)
{
	return (int)s->value[s->numbers[CROP_WIDTH] ? CROP_WIDTH : CROP_HEIGHT][0];
}

/* Half of what is left over; half a pixel goes to the even side, as torchvision's. */
static int half_even(int rest)
{
	int half = rest / 2;

	return rest % 2 && half % 2 ? half + 1 : half;
}

/* A width that says nothing new is as if it had been left out. */
static void forget_width(struct step *s, int height, int width)
{
	if (s->numbers[width] && s->value[width][0] == s->value[height][0])
		s->numbers[width] = 0;
}

static int crop_check(struct step *s)
{
	forget_width(s, CROP_HEIGHT, CROP_WIDTH);
	return 0;
}

static int crop_run(const struct step *s, struct canvas *c)
{
	struct box b = { 0, 0, crop_width(s), (int)s->value[CROP_HEIGHT][0] };
	int down = canvas_height(c) - b.height, right = canvas_width(c) - b.width;
	int at = (int)s->value[CROP_AT][0];
	struct rng r;

	if (down < 0 || right < 0)
		return fail("%dx%d (height x width) of an image of %dx%d: put 'size short=%d' "
			    "or 'pad' before it", b.height, b.width, canvas_height(c),
			    canvas_width(c), b.height > b.width ? b.height : b.width);
	if (at == AT_RANDOM) {
		begin_draws(s, c, &r);
		b.y = (int)rng_below(&r, (uint64_t)down + 1);
		b.x = (int)rng_below(&r, (uint64_t)right + 1);
	} else {
		b.y = at == AT_CENTRE ? half_even(down) : down / 2;
		b.x = at == AT_CENTRE ? half_even(right) : right / 2;
	}
	return canvas_crop(c, &b);
}

static void crop_outline(const struct step *s, struct outline *o)
{
	int height = (int)s->value[CROP_HEIGHT][0], width = crop_width(s);

	o->moved |= height != o->height || width != o->width;
	o->height = height;
	o->width = width;
}

/* ---- random-crop ---- */

enum { RANDOM_SCALE, RANDOM_RATIO };

static int random_crop_check(struct step *s)
{
	if (s->value[RANDOM_SCALE][0] > s->value[RANDOM_SCALE][1])
		return fail("scale runs from the smaller to the larger");
	if (s->value[RANDOM_RATIO][0] > s->value[RANDOM_RATIO][1])
		return fail("ratio runs from the smaller to the larger");
	return 0;
}

/* The largest box of an allowed ratio in the middle. */
static struct box central_box(int height, int width, const double ratio[2])
{
	struct box b = { 0, 0, width, height };
	double now = (double)width / height;

	if (now < ratio[0])
		b.height = (int)rint(width / ratio[0]);
	else if (now > ratio[1])
		b.width = (int)rint(height * ratio[1]);
	b.height = b.height < 1 ? 1 : b.height > height ? height : b.height;
	b.width = b.width < 1 ? 1 : b.width > width ? width : b.width;
	b.y = (height - b.height) / 2;
	b.x = (width - b.width) / 2;
	return b;
}

/* The rule of Szegedy et al. 2015 as torchvision's RandomResizedCrop has it: ten tries
 * of an area and a ratio, uniform and log-uniform; then the central box. */
static int random_crop_run(const struct step *s, struct canvas *c)
{
	const double *scale = s->value[RANDOM_SCALE], *ratio = s->value[RANDOM_RATIO];
	int height = canvas_height(c), width = canvas_width(c);
	double low = real_log(ratio[0]), high = real_log(ratio[1]);
	struct box b;
	struct rng r;

	begin_draws(s, c, &r);
	for (int i = 0; i < 10; i++) {
		double area = (double)height * width * between(&r, scale[0], scale[1]);
		double shape = real_exp(between(&r, low, high));
		double w = rint(sqrt(area * shape)), h = rint(sqrt(area / shape));

		if (w < 1 || h < 1 || w > width || h > height)
			continue;
		b.width = (int)w;
		b.height = (int)h;
		b.y = (int)rng_below(&r, (uint64_t)(height - b.height) + 1);
		b.x = (int)rng_below(&r, (uint64_t)(width - b.width) + 1);
		return canvas_crop(c, &b);
	}
	b = central_box(height, width, ratio);
	return canvas_crop(c, &b);
}

static void random_crop_outline(const struct step *s, struct outline *o)
{
	(void)s;
	o->height = o->width = 0;
	o->moved = 1;
}

/* ---- size ---- */

enum { TO_HEIGHT, TO_WIDTH, TO_SHORT };

static int size_check(struct step *s)
{
	if (s->numbers[TO_SHORT] && s->numbers[TO_HEIGHT] + s->numbers[TO_WIDTH])
		return fail("short keeps the shape: height and width do not go with it");
	if (!s->numbers[TO_SHORT] && !s->numbers[TO_HEIGHT])
		return fail("a height is missing, as in 'size 224', 'size 224 320' or "
			    "'size short=256'");
	forget_width(s, TO_HEIGHT, TO_WIDTH);
	return 0;
}

/* The longer side is rounded down, as torchvision's. */
static int long_side(int length, int longer, int shorter)
{
	return (int)((int64_t)length * longer / shorter);
}

static void size_of(const struct step *s, int height, int width, int *h, int *w)
{
	int length = (int)s->value[TO_SHORT][0];

	if (!s->numbers[TO_SHORT]) {
		*h = (int)s->value[TO_HEIGHT][0];
		*w = s->numbers[TO_WIDTH] ? (int)s->value[TO_WIDTH][0] : *h;
	} else if (width <= height) {
		*w = length;
		*h = long_side(length, height, width);
	} else {
		*h = length;
		*w = long_side(length, width, height);
	}
}

static int size_run(const struct step *s, struct canvas *c)
{
	int height, width;

	size_of(s, canvas_height(c), canvas_width(c), &height, &width);
	return canvas_resize(c, height, width);
}

static void size_outline(const struct step *s, struct outline *o)
{
	if (s->numbers[TO_SHORT] && (o->height == 0 || o->width == 0))
		o->height = o->width = 0;
	else
		size_of(s, o->height, o->width, &o->height, &o->width);
}

/* ---- flip ---- */

static int flip_run(const struct step *s, struct canvas *c)
{
	struct rng r;

	begin_draws(s, c, &r);
	return rng_uniform(&r) < s->value[0][0] ? canvas_mirror(c) : 0;
}

static void flip_outline(const struct step *s, struct outline *o)
{
	(void)s;
	o->moved = 1;
}

/* ---- pad ---- */

enum { PAD_BY, PAD_MODE, PAD_FILL };

static int pad_check(struct step *s)
{
	double *fill = s->value[PAD_FILL];

	if (s->numbers[PAD_FILL] == 2)
		return fail("fill is one number or three");
	if (s->numbers[PAD_FILL] == 1)
		fill[1] = fill[2] = fill[0];
	return 0;
}

static int pad_run(const struct step *s, struct canvas *c)
{
	static const enum image_margin margin[] = { IMAGE_FILL, IMAGE_REFLECT, IMAGE_EDGE };
	int by = (int)s->value[PAD_BY][0], mode = (int)s->value[PAD_MODE][0];
	int height = canvas_height(c), width = canvas_width(c);
	unsigned char fill[3];
	const struct image *from;
	struct image *to;

	if (margin[mode] == IMAGE_REFLECT && (by >= height || by >= width))
		return fail("reflect %d of an image of %dx%d (height x width): it has no more "
			    "to show: make it larger, or take 'edge'", by, height, width);
	for (int i = 0; i < 3; i++)
		fill[i] = (unsigned char)s->value[PAD_FILL][i];
	to = canvas_begin(c, height + 2 * by, width + 2 * by, canvas_channels(c), &from);
	if (to == NULL)
		return -1;
	image_pad(to, from, by, by, margin[mode], fill);
	canvas_commit(c);
	return 0;
}

static void pad_outline(const struct step *s, struct outline *o)
{
	int by = (int)s->value[PAD_BY][0];

	o->moved |= by > 0;
	if (o->height > 0)
		o->height += 2 * by;
	if (o->width > 0)
		o->width += 2 * by;
}

/* ---- grey ---- */

static int grey_run(const struct step *s, struct canvas *c)
{
	const struct image *from;
	struct image *to;

	(void)s;
	if (canvas_channels(c) == 1)
		return 0;
	to = canvas_begin(c, canvas_height(c), canvas_width(c), 1, &from);
	if (to == NULL)
		return -1;
	image_grey(to, from);
	canvas_commit(c);
	return 0;
}

static void grey_outline(const struct step *s, struct outline *o)
{
	(void)s;
	o->channels = 1;
}

/* ---- maybe ---- */

static int maybe_run(const struct step *s, struct canvas *c)
{
	struct rng r;

	begin_draws(s, c, &r);
	return rng_uniform(&r) < s->value[0][0] ? recipe_run(&s->group, c) : 0;
}

/* Known is what both ways agree on. */
static void maybe_outline(const struct step *s, struct outline *o)
{
	struct outline done = *o;

	recipe_outline(&s->group, &done);
	if (done.height != o->height || done.width != o->width)
		o->height = o->width = 0;
	o->moved |= done.moved;
}

static int maybe_check(struct step *s)
{
	if (recipe_has(&s->group, "grey"))
		return fail("grey makes another number of channels, and all images must have "
			    "one: it cannot stand in 'maybe'");
	return 0;
}

/* Least, most, whole, fewest, numbers, by name only. */
#define SIDE 1, IMAGE_SIDE_MAX, 1, 1, 1, 0
#define WORD 0, 0, 0, 1, 1, 0

const struct step_kind step_kinds[] = {
	{ "crop", "a box of this size", {
		{ "height", NULL, NULL, SIDE, "pixels" },
		{ "width", NULL, "", SIDE, "pixels; as the height if left out" },
		{ "at", "centre centre-down random", "centre", WORD,
		  "where; half a pixel goes to the even side, or up and left" },
	  }, 0, crop_check, crop_outline, crop_run },
	{ "flip", "mirror left to right", {
		{ "p", NULL, "0.5", 0, 1, 0, 1, 1, 0, "how likely" },
	  }, 0, NULL, flip_outline, flip_run },
	{ "grey", "one channel, the luma of the three", { { 0 } }, 0,
	  NULL, grey_outline, grey_run },
	{ "maybe", "the steps in parentheses, or none of them", {
		{ "p", NULL, "0.5", 0, 1, 0, 1, 1, 0, "how likely" },
	  }, 1, maybe_check, maybe_outline, maybe_run },
	{ "pad", "a margin on all four sides", {
		{ "by", NULL, NULL, 0, 4096, 1, 1, 1, 0, "pixels" },
		{ "mode", "constant reflect edge", "constant", WORD,
		  "a colour, the image mirrored, its edge repeated" },
		{ "fill", NULL, "0", 0, 255, 1, 1, 3, 0, "grey or red,green,blue of constant" },
	  }, 0, pad_check, pad_outline, pad_run },
	{ "random-crop", "a box of random area, shape and place", {
		{ "scale", NULL, "0.08,1", 1e-6, 1, 0, 2, 2, 0,
		  "least and most part of the area; '| size 224' comes after" },
		{ "ratio", NULL, "3/4,4/3", 1e-3, 1e3, 0, 2, 2, 0,
		  "least and most width : height" },
	  }, 0, random_crop_check, random_crop_outline, random_crop_run },
	{ "size", "resize, bilinear, antialiased", {
		{ "height", NULL, "", SIDE, "pixels" },
		{ "width", NULL, "", SIDE, "pixels; as the height if left out" },
		{ "short", NULL, "", 1, IMAGE_SIDE_MAX, 1, 1, 1, 1,
		  "pixels of the shorter side; the shape stays" },
	  }, 0, size_check, size_outline, size_run },
	{ 0 },
};

const struct step_kind *step_find(const char *name)
{
	for (const struct step_kind *k = step_kinds; k->name != NULL; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}
