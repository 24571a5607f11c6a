#include "data/canvas.h"

#include "base/fail.h"
#include "data/exif.h"
#include "data/jpeg.h"
#include "data/png.h"
#include "data/ppm.h"
#include "data/probe.h"
#include "data/resize.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Where the pixels of the moment are. */
enum place { CODED, BORROWED, OWN };

struct canvas {
	uint64_t seed, position;
	int height, width, channels;
	struct jpeg *jpeg;
	struct image image[2];  /* the pixels so far, unless CODED, and a spare */
	int front;              /* which of them */
	enum place place;
	/* What is noted, in the order it is done: */
	struct box box;         /* of the pixels so far */
	int resized, full_height, full_width;
	struct box part;        /* of the resized image */
	int mirrored;
	struct resize resize;
};

struct canvas *canvas_new(void)
{
	struct canvas *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		fail_errno("canvas");
		return NULL;
	}
	c->jpeg = jpeg_new();
	if (c->jpeg == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

void canvas_free(struct canvas *c)
{
	if (c == NULL)
		return;
	jpeg_free(c->jpeg);
	image_release(&c->image[0]);
	image_release(&c->image[1]);
	resize_release(&c->resize);
	free(c);
}

void canvas_code(struct canvas *c, int code)
{
	c->resize.code = code;
	c->resize.chosen = 1;
}

static struct image *front(struct canvas *c)
{
	return &c->image[c->front];
}

static struct image *spare(struct canvas *c)
{
	return &c->image[1 - c->front];
}

static void begin(struct canvas *c, enum place place, int height, int width, int channels)
{
	c->place = place;
	c->height = height;
	c->width = width;
	c->channels = channels;
	c->box = (struct box){ 0, 0, width, height };
	c->resized = c->mirrored = 0;
}

/* The spare becomes the pixels so far, nothing noted. */
static void turn(struct canvas *c)
{
	c->front = 1 - c->front;
	begin(c, OWN, front(c)->height, front(c)->width, front(c)->channels);
}

static int orient(struct canvas *c, int orientation)
{
	struct image *im;

	if (orientation <= 1)
		return 0;
	im = canvas_image(c);
	if (im == NULL)
		return -1;
	TRY(orientation < 5 ? image_make(spare(c), im->height, im->width, im->channels) :
	    image_make(spare(c), im->width, im->height, im->channels));
	image_orient(spare(c), im, orientation);
	turn(c);
	return 0;
}

/* One channel becomes three. */
static int widen(struct canvas *c)
{
	TRY(image_make(spare(c), c->height, c->width, 3));
	image_rgb(spare(c), front(c));
	turn(c);
	return 0;
}

static int open_jpeg(struct canvas *c, const void *data, size_t n, int flags)
{
	int grey;

	TRY(jpeg_open(c->jpeg, data, n));
	grey = flags & CANVAS_GREY && jpeg_components(c->jpeg) == 1;
	begin(c, CODED, jpeg_height(c->jpeg), jpeg_width(c->jpeg), grey ? 1 : 3);
	return flags & CANVAS_ORIENT ? orient(c, exif_orientation(data, n)) : 0;
}

/* Borrowed pixels, three channels unless one is allowed to stay. */
static int open_ppm(struct canvas *c, const void *data, size_t n, int flags)
{
	struct ppm ppm;

	TRY(ppm_read(data, n, &ppm));
	TRY(canvas_pixels(c, ppm.pixels, ppm.height, ppm.width, ppm.channels));
	return ppm.channels == 1 && !(flags & CANVAS_GREY) ? widen(c) : 0;
}

static int open_png(struct canvas *c, const void *data, size_t n, int flags)
{
	TRY(png_decode(data, n, flags & CANVAS_GREY ? 0 : 3, front(c)));
	begin(c, OWN, front(c)->height, front(c)->width, front(c)->channels);
	return 0;
}

int canvas_open(struct canvas *c, const void *data, size_t n, int flags)
{
	const char *format = image_format(data, n);

	if (n == 0)
		return fail("an image of 0 bytes");
	if (format == NULL)
		return fail("no image that is known here (JPEG, PNG, PPM are read)");
	if (strcmp(format, "JPEG") == 0)
		return open_jpeg(c, data, n, flags);
	if (strcmp(format, "PNG") == 0)
		return open_png(c, data, n, flags);
	if (strcmp(format, "PPM") == 0 || strcmp(format, "PGM") == 0)
		return open_ppm(c, data, n, flags);
	return fail("a %s image: JPEG, PNG, PPM are read", format);
}

int canvas_pixels(struct canvas *c, const unsigned char *data, int height, int width,
		  int channels)
{
	TRY(image_check(height, width, channels));
	if (channels != 1 && channels != 3)
		return fail("pixels of %d channels: 1 or 3 are taken", channels);
	image_borrow(front(c), data, (size_t)width * (size_t)channels, height, width, channels);
	begin(c, BORROWED, height, width, channels);
	return 0;
}

void canvas_place(struct canvas *c, uint64_t seed, uint64_t position)
{
	c->seed = seed;
	c->position = position;
}

uint64_t canvas_seed(const struct canvas *c)
{
	return c->seed;
}

uint64_t canvas_position(const struct canvas *c)
{
	return c->position;
}

int canvas_height(const struct canvas *c)
{
	return c->height;
}

int canvas_width(const struct canvas *c)
{
	return c->width;
}

int canvas_channels(const struct canvas *c)
{
	return c->channels;
}

int canvas_crop(struct canvas *c, const struct box *b)
{
	struct box *old = c->resized ? &c->part : &c->box;

	assert(b->x >= 0 && b->width >= 1 && b->width <= c->width - b->x);
	assert(b->y >= 0 && b->height >= 1 && b->height <= c->height - b->y);
	old->x += c->mirrored ? c->width - b->x - b->width : b->x;
	old->y += b->y;
	old->width = c->width = b->width;
	old->height = c->height = b->height;
	return 0;
}

int canvas_resize(struct canvas *c, int height, int width)
{
	if (height == c->height && width == c->width)
		return 0;
	TRY(image_check(height, width, c->channels));
	if ((c->resized || c->mirrored) && canvas_image(c) == NULL)
		return -1;
	c->resized = 1;
	c->full_height = c->height = height;
	c->full_width = c->width = width;
	c->part = (struct box){ 0, 0, width, height };
	return 0;
}

int canvas_mirror(struct canvas *c)
{
	c->mirrored = !c->mirrored;
	return 0;
}

/* A box of the pixels so far: decoded, or a view. A file is decoded once. */
static int take(struct canvas *c, const struct box *b, struct image *view)
{
	if (c->place == CODED) {
		TRY(jpeg_read(c->jpeg, b, c->channels, front(c)));
		*view = image_part(front(c), &(struct box){ 0, 0, b->width, b->height });
	} else {
		*view = image_part(front(c), b);
	}
	return 0;
}

/* Does what was noted into to, of the canvas' size and channels. */
static int render(struct canvas *c, struct image *to)
{
	struct resize *r = &c->resize;
	struct image view;
	struct box need;

	if (!c->resized) {
		TRY(take(c, &c->box, &view));
		image_copy(to, &view);
		if (c->mirrored)
			image_mirror(to);
		return 0;
	}
	TRY(resize_plan(r, c->box.height, c->box.width, c->full_height, c->full_width,
			&c->part, c->mirrored));
	need = r->need;
	need.x += c->box.x;
	need.y += c->box.y;
	TRY(take(c, &need, &view));
	return resize_run(r, &view, to);
}

struct image *canvas_image(struct canvas *c)
{
	int whole = !c->resized && !c->mirrored;
	struct image view;

	if (c->place == CODED && whole) {
		if (take(c, &c->box, &view) < 0)
			return NULL;
		begin(c, OWN, c->height, c->width, c->channels);
	} else if (c->place == OWN && whole && c->width == front(c)->width &&
		   c->height == front(c)->height) {
		return front(c);
	} else {
		if (image_make(spare(c), c->height, c->width, c->channels) < 0 ||
		    render(c, spare(c)) < 0)
			return NULL;
		turn(c);
	}
	return front(c);
}

struct image *canvas_begin(struct canvas *c, int height, int width, int channels,
			   const struct image **from)
{
	*from = canvas_image(c);
	if (*from == NULL || image_make(spare(c), height, width, channels) < 0)
		return NULL;
	return spare(c);
}

void canvas_commit(struct canvas *c)
{
	turn(c);
}

int canvas_finish(struct canvas *c, struct image *to)
{
	assert(to->height == c->height && to->width == c->width);
	assert(to->channels == c->channels);
	return render(c, to);
}
