/* Boxes of images, as ImageNet's lists give them: lines "FILE,xmin,ymin,xmax,ymax", from 0
 * to 1 of the image's sides. */
#ifndef DATA_BOXES_H
#define DATA_BOXES_H

#include "data/names.h"

#include <stddef.h>
#include <stdint.h>

struct box_line {
	uint32_t file;
	uint32_t line;
	float xmin, ymin, xmax, ymax;
};

struct boxes {
	struct names file;
	struct box_line *box;   /* by file, then as they stood in the list */
	size_t n, room;
};

/* Reads a list: 0 or -1 with *status (1 or 3). Corners beyond 0..1 or out of order are
 * refused. */
int boxes_read(struct boxes *, const char *path, int *status);

/* Those of a file, by the last part of its name: their number, *first the first. */
size_t boxes_find(const struct boxes *, const char *name, const struct box_line **first);

void boxes_release(struct boxes *);

#endif
