/*
 * A contact sheet: images in rows, with up to two lines of small text under each, as
 * one image or as characters for a terminal.
 */
#ifndef DATA_SHEET_H
#define DATA_SHEET_H

#include "base/text.h"
#include "data/image.h"

struct sheet_cell {
	struct image image;     /* empty: nothing to show */
	char line[2][64];       /* "" none */
};

struct sheet {
	int side;               /* larger images are shrunk to this, either way */
	int count, room;
	struct sheet_cell *cell;
};

/* Adds a cell; the image (NULL: none) is copied. Texts may be NULL. 0 or -1. */
int sheet_add(struct sheet *, const struct image *, const char *first, const char *second);

/* Draws all cells, so many side by side, small images enlarged: 0 or -1. */
int sheet_draw(const struct sheet *, int across, struct image *out);

/* The same as text in half blocks of 24-bit colour (two pixels a character). */
void sheet_show(const struct sheet *, int across, struct text *out);

void sheet_release(struct sheet *);

#endif
