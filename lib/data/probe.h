/* What an encoded image says of itself in its first bytes: nothing is decoded. */
#ifndef DATA_PROBE_H
#define DATA_PROBE_H

#include <stddef.h>

struct jpeg;

struct probe {
	const char *format;     /* "JPEG", "PNG" */
	int height, width;
	int channels;           /* in the file: 1 grey, 2 grey and alpha, 3 colour, 4 CMYK or
				   colour and alpha */
};

/* "JPEG", "PNG", "GIF", ... by the first bytes; NULL: no image known here. */
const char *image_format(const void *, size_t n);

/* Reads the header of a JPEG or PNG: 0, or -1 with the reason (another format, no image,
 * a damaged header, beyond the limits of image.h). */
int probe_image(struct jpeg *, const void *, size_t n, struct probe *);

#endif
