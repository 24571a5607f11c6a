/*
 * An image on its way through the steps of a recipe. Cropping, resizing and mirroring
 * are only noted; they are done together when pixels are wanted, so that no more is
 * decoded and resized than the last crop needs, and the pixels are those of doing one
 * after the other.
 */
#ifndef DATA_CANVAS_H
#define DATA_CANVAS_H

#include "data/image.h"

#include <stddef.h>
#include <stdint.h>

struct canvas;

/* One canvas serves any number of images, one after the other, in one thread. NULL:
 * reason. */
struct canvas *canvas_new(void);
void canvas_free(struct canvas *);      /* NULL: nothing */

/* Which body resizes (resize.h); without it the best of the machine. */
void canvas_code(struct canvas *, int resize_code);

enum { CANVAS_GREY = 1,         /* a file with one component stays one channel */
       CANVAS_ORIENT = 2 };     /* turned as its EXIF orientation says */

/* Begins with an encoded image (JPEG, PNG, PPM, PGM), borrowed until the next begins: 3
 * channels unless flags say otherwise. 0, or -1: no image, another format (named), damaged. */
int canvas_open(struct canvas *, const void *data, size_t n, int flags);

/* Begins with pixels, rows without gaps, borrowed until the next begins. 0 or -1. */
int canvas_pixels(struct canvas *, const unsigned char *, int height, int width, int channels);

/* Where the sample stands: what its random choices depend on. */
void canvas_place(struct canvas *, uint64_t seed, uint64_t position);
uint64_t canvas_seed(const struct canvas *);
uint64_t canvas_position(const struct canvas *);

/* Of the image as the steps so far make it. */
int canvas_height(const struct canvas *);
int canvas_width(const struct canvas *);
int canvas_channels(const struct canvas *);

/* Notes a step: 0 or -1. The box lies inside the image. */
int canvas_crop(struct canvas *, const struct box *);
int canvas_resize(struct canvas *, int height, int width);
int canvas_mirror(struct canvas *);

/* Does what was noted. The image, which the caller may change in place; NULL: reason. */
struct image *canvas_image(struct canvas *);

/* For a step that makes a new image out of the present one: begins it (of this size,
 * with pixels of no meaning; *from: the present one) and puts it in place. NULL: reason. */
struct image *canvas_begin(struct canvas *, int height, int width, int channels,
			   const struct image **from);
void canvas_commit(struct canvas *);

/* Does what was noted and puts the result into to, which is of its size and channels.
 * 0 or -1. */
int canvas_finish(struct canvas *, struct image *to);

#endif
