/*
 * An image in memory: 8-bit, rows from the top, channels side by side (1: grey,
 * 3: red, green, blue). Sizes are checked against the limits before memory is taken.
 */
#ifndef DATA_IMAGE_H
#define DATA_IMAGE_H

#include <stddef.h>

/* What is refused, whatever a file's header says. */
#define IMAGE_SIDE_MAX 65500
#define IMAGE_PIXELS_MAX 100000000
#define IMAGE_BYTES_MAX ((size_t)512 << 20)

struct box {
	int x, y, width, height;
};

struct image {
	int height, width, channels;
	size_t stride;          /* bytes from a row to the next */
	unsigned char *data;    /* the first row; inside memory or borrowed */
	unsigned char *memory;  /* owned, NULL at first */
	size_t room;            /* bytes of memory */
};

/* Whether an image of this size is within the limits: 0, or -1 with the reason. */
int image_check(int height, int width, int channels);

/* Gives the struct memory for this size, rows without gaps; what was in it is lost.
 * Memory is kept from image to image. 0 or -1. */
int image_make(struct image *, int height, int width, int channels);

/* Makes it a view of pixels that the caller keeps; its own memory stays for later. */
void image_borrow(struct image *, const unsigned char *data, size_t stride,
		  int height, int width, int channels);

void image_release(struct image *);

/* A view of a box of from, which lies inside it. The view owns nothing. */
struct image image_part(const struct image *from, const struct box *);

/* Copies pixels; equal height, width, channels. */
void image_copy(struct image *to, const struct image *from);

/* Left to right, in place. */
void image_mirror(struct image *);

/* Luma of ITU-R BT.601 in 16-bit fixed point, as Pillow's convert("L"); to has one
 * channel and from three, or from has one and is copied. */
void image_grey(struct image *to, const struct image *from);

/* One channel to three equal ones. */
void image_rgb(struct image *to, const struct image *from);

/* Puts from into to (which is larger) with its corner at x, y; the margin is the edge
 * mirrored without repeating it (reflect: margin < side), repeated (edge), or the
 * colour fill[channels]. */
enum image_margin { IMAGE_FILL, IMAGE_REFLECT, IMAGE_EDGE };
void image_pad(struct image *to, const struct image *from, int x, int y,
	       enum image_margin, const unsigned char *fill);

/* Turns or mirrors from as an EXIF orientation 1..8 says how to show it. to has been
 * made with the sides swapped for 5..8. */
void image_orient(struct image *to, const struct image *from, int orientation);

#endif
