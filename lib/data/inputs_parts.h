/* What the ways of finding images share; of inputs*.c only. */
#ifndef DATA_INPUTS_PARTS_H
#define DATA_INPUTS_PARTS_H

#include "data/inputs.h"

/* The number of a class by its name of n bytes; new ones only where classes are not
 * fixed. path stands in the reason. 0 or -1. */
int inputs_class(struct inputs *, const char *name, size_t n, const char *path,
		 uint32_t *class);

/* No image of a class may have the name of another: 0, or -1 if this one has. */
int inputs_once(struct inputs *, uint32_t class, const char *path);

/* Adds an image: 0 or -1. */
int inputs_add(struct inputs *, const char *path, uint32_t class, uint64_t offset,
	       uint64_t size);

/* Hands each line "LABEL PATH" of a list to use: 0 or -1 with *status. */
typedef int inputs_use(struct inputs *, void *context, const char *path, uint32_t class);
int inputs_lines(struct inputs *, const char *list, inputs_use *, void *context, int *status);

/* Classes of a list of numbers are all those up to the greatest: 0 or -1. */
int inputs_number_classes(struct inputs *);

#endif
