/*
 * The classes of a data set by name; a class's place among them is its label.
 */
#ifndef DATA_CLASSES_H
#define DATA_CLASSES_H

#include "data/names.h"

#include <stddef.h>
#include <stdint.h>

struct classes {
	struct names names;
	char **text;            /* words for people, NULL or one a class (NULL: none) */
};

/* Reads a file of one class a line: "NAME", or "NAME<TAB>words for people". Empty lines
 * and repeated names are refused. 0 or -1 with *status (1 or 3). */
int classes_read(struct classes *, const char *path, int *status);

/* Puts the names in order of their bytes; rank[old number] = new number gets one entry a
 * class. 0 or -1. */
int classes_sort(struct classes *, uint32_t *rank);

void classes_release(struct classes *);

#endif
