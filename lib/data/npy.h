/*
 * Writing NumPy's .npy, version 1.0 (numpy.lib.format): the header has its final size
 * from the start and is written again once the count of rows is known.
 */
#ifndef DATA_NPY_H
#define DATA_NPY_H

#include "base/dtype.h"

#include <stddef.h>
#include <stdint.h>

struct npy {
	int fd;                 /* a file; borrowed */
	enum dtype type;        /* bf16 is written as f32, since NumPy lacks it */
	int rank;               /* of one row */
	uint32_t dim[4];
	uint64_t rows;
};

/* Begins an array whose rows are of this type and these dimensions: 0 or -1. */
int npy_begin(struct npy *, int fd, enum dtype, int rank, const uint32_t *dim);

/* Adds rows; data holds the numbers as they are in memory. 0 or -1. */
int npy_add(struct npy *, const void *data, uint64_t rows);

/* Writes the header with the count: 0 or -1. */
int npy_end(struct npy *);

#endif
