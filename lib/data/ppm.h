/* PPM and PGM of netpbm, binary (P6, P5) with 8 bits: pixels as they are, which is how
 * tfrec-pack stores them. */
#ifndef DATA_PPM_H
#define DATA_PPM_H

#include <stddef.h>

struct ppm {
	int height, width, channels;    /* 3 or 1 */
	const unsigned char *pixels;    /* in the data that was given */
};

/* Looks at the header and that all pixels are there: 0 or -1. */
int ppm_read(const void *data, size_t n, struct ppm *);

#endif
