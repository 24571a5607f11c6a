/*
 * PNG by libpng: reading what records and files hold, writing contact sheets. Gamma,
 * colour profiles and text in the file are ignored.
 */
#ifndef DATA_PNG_H
#define DATA_PNG_H

#include "data/image.h"

#include <stddef.h>

/* Reads a PNG of n bytes as 8-bit: 16-bit samples lose their lower byte, palettes are
 * looked up, transparency is dropped (as TensorFlow and torchvision do). channels: 3, 1
 * (colour becomes luma, as image_grey()), or 0: 1 where the file is grey, else 3. Sizes
 * beyond the limits of image.h are refused before memory is taken. 0 or -1. */
int png_decode(const void *data, size_t n, int channels, struct image *to);

/* The bytes of a PNG of a grey or colour image, *n of them; the caller frees them.
 * NULL: reason. */
unsigned char *png_encode(const struct image *, size_t *n);

/* Writes a PNG: 0 or -1. */
int png_to(int fd, const struct image *);

#endif
