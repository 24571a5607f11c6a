#include "data/image.h"

#include "base/fail.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int image_check(int height, int width, int channels)
{
	if (height < 1 || width < 1)
		return fail("an image of %dx%d (height x width) holds nothing", height, width);
	if (height > IMAGE_SIDE_MAX || width > IMAGE_SIDE_MAX)
		return fail("an image of %dx%d (height x width): more than %d on a side",
			    height, width, IMAGE_SIDE_MAX);
	if ((size_t)height * (size_t)width > IMAGE_PIXELS_MAX ||
	    (size_t)height * (size_t)width * (size_t)channels > IMAGE_BYTES_MAX)
		return fail("an image of %dx%d (height x width): more than %d million pixels",
			    height, width, IMAGE_PIXELS_MAX / 1000000);
	return 0;
}

int image_make(struct image *im, int height, int width, int channels)
{
	size_t need;

	TRY(image_check(height, width, channels));
	need = (size_t)height * (size_t)width * (size_t)channels;
	if (need > im->room) {
		unsigned char *memory = malloc(need);

		if (memory == NULL)
			return fail_errno("%zu bytes of pixels", need);
		free(im->memory);
		im->memory = memory;
		im->room = need;
	}
	im->height = height;
	im->width = width;
	im->channels = channels;
	im->stride = (size_t)width * (size_t)channels;
	im->data = im->memory;
	return 0;
}

void image_borrow(struct image *im, const unsigned char *data, size_t stride,
		  int height, int width, int channels)
{
	im->height = height;
	im->width = width;
	im->channels = channels;
	im->stride = stride;
	im->data = (unsigned char *)data;
}

void image_release(struct image *im)
{
	free(im->memory);
	memset(im, 0, sizeof(*im));
}

static unsigned char *at(const struct image *im, int y, int x)
{
	return im->data + (size_t)y * im->stride + (size_t)x * (size_t)im->channels;
}

static size_t row_bytes(const struct image *im)
{
	return (size_t)im->width * (size_t)im->channels;
}

struct image image_part(const struct image *from, const struct box *b)
{
	struct image part = { 0 };

	assert(b->x >= 0 && b->y >= 0 && b->width >= 1 && b->height >= 1);
	assert(b->width <= from->width - b->x && b->height <= from->height - b->y);
	image_borrow(&part, at(from, b->y, b->x), from->stride,
		     b->height, b->width, from->channels);
	return part;
}

static int same_size(const struct image *a, const struct image *b)
{
	return a->height == b->height && a->width == b->width;
}

void image_copy(struct image *to, const struct image *from)
{
	assert(same_size(to, from) && to->channels == from->channels);
	for (int y = 0; y < to->height; y++)
		memcpy(at(to, y, 0), at(from, y, 0), row_bytes(to));
}

void image_mirror(struct image *im)
{
	size_t c = (size_t)im->channels;

	for (int y = 0; y < im->height; y++) {
		unsigned char *left = at(im, y, 0), *right = at(im, y, im->width - 1);

		for (; left < right; left += c, right -= c)
			for (size_t i = 0; i < c; i++) {
				unsigned char swap = left[i];

				left[i] = right[i];
				right[i] = swap;
			}
	}
}

void image_grey(struct image *to, const struct image *from)
{
	assert(same_size(to, from) && to->channels == 1);
	if (from->channels == 1) {
		image_copy(to, from);
		return;
	}
	for (int y = 0; y < to->height; y++) {
		const unsigned char *p = at(from, y, 0);
		unsigned char *q = at(to, y, 0);

		for (int x = 0; x < to->width; x++, p += 3)
			q[x] = (unsigned char)((p[0] * 19595u + p[1] * 38470u +
						p[2] * 7471u + 0x8000u) >> 16);
	}
}

void image_rgb(struct image *to, const struct image *from)
{
	assert(same_size(to, from) && to->channels == 3 && from->channels == 1);
	for (int y = 0; y < to->height; y++) {
		const unsigned char *p = at(from, y, 0);
		unsigned char *q = at(to, y, 0);

		for (int x = 0; x < to->width; x++, q += 3)
			q[0] = q[1] = q[2] = p[x];
	}
}

/* The place in 0 .. n-1 that stands for i outside it. */
static int reflected(int i, int n)
{
	return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

static int clamped(int i, int n)
{
	return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static void put_pixel(struct image *im, int y, int x, const unsigned char *pixel)
{
	memcpy(at(im, y, x), pixel, (size_t)im->channels);
}

void image_pad(struct image *to, const struct image *from, int x0, int y0,
	       enum image_margin margin, const unsigned char *fill)
{
	int right = x0 + from->width;

	assert(to->channels == from->channels && x0 >= 0 && y0 >= 0);
	assert(right <= to->width && y0 + from->height <= to->height);
	for (int y = 0; y < to->height; y++) {
		int inside = y >= y0 && y < y0 + from->height;
		int sy = margin == IMAGE_REFLECT ? reflected(y - y0, from->height) :
			 clamped(y - y0, from->height);

		if (inside || margin != IMAGE_FILL)
			memcpy(at(to, y, x0), at(from, sy, 0), row_bytes(from));
		for (int x = 0; x < to->width; x++) {
			if (x == x0 && (inside || margin != IMAGE_FILL))
				x = right;
			if (x == to->width)
				break;
			if (margin == IMAGE_FILL)
				put_pixel(to, y, x, fill);
			else if (margin == IMAGE_REFLECT)
				put_pixel(to, y, x, at(from, sy, reflected(x - x0, from->width)));
			else
				put_pixel(to, y, x, at(from, sy, clamped(x - x0, from->width)));
		}
	}
}

void image_orient(struct image *to, const struct image *from, int orientation)
{
	int swapped = orientation >= 5;

	assert(orientation >= 1 && orientation <= 8 && to->channels == from->channels);
	assert(swapped ? to->width == from->height && to->height == from->width :
	       same_size(to, from));
	for (int y = 0; y < to->height; y++)
		for (int x = 0; x < to->width; x++) {
			int sx = swapped ? y : x, sy = swapped ? x : y;

			if (orientation == 2 || orientation == 3 ||
			    orientation == 7 || orientation == 8)
				sx = from->width - 1 - sx;
			if (orientation == 3 || orientation == 4 ||
			    orientation == 6 || orientation == 7)
				sy = from->height - 1 - sy;
			put_pixel(to, y, x, at(from, sy, sx));
		}
}
