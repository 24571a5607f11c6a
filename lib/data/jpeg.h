/*
 * JPEG by libjpeg-turbo: accurate integer DCT, smooth ("fancy") upsampling, so the
 * pixels are those of djpeg -dct int. A box decodes what the box needs and gives
 * exactly the pixels of a full decode then the box.
 *
 * What is refused as damaged: what libjpeg calls an error; its warnings of bad codes,
 * premature ends and lost restart markers in the part that is decoded; and a file
 * without an end marker (FF D9) after the last byte the decoder took, so that a file
 * cut short is found also where the box ends early. The rows below the box are not
 * decoded: a wrong bit there is not seen.
 */
#ifndef DATA_JPEG_H
#define DATA_JPEG_H

#include "data/image.h"

#define JPEG_SCANS_MAX 100
#define JPEG_MEMORY_MAX ((long)256 << 20)       /* bytes of coefficients held (progressive) */

struct jpeg;

/* One decoder serves any number of images, one after the other, in one thread.
 * NULL: reason. */
struct jpeg *jpeg_new(void);
void jpeg_free(struct jpeg *);  /* NULL: nothing */

/* Reads the header of n bytes, which are borrowed until the image is read or the next
 * is opened: 0, or -1 (no JPEG, refused by its limits, a kind libjpeg does not read). */
int jpeg_open(struct jpeg *, const void *data, size_t n);

int jpeg_height(const struct jpeg *);
int jpeg_width(const struct jpeg *);
/* Components in the file: 1 grey, 3 colour, 4 CMYK (read as red, green, blue). */
int jpeg_components(const struct jpeg *);

/* Decodes a box of the image that jpeg_open() opened, once. channels: 3, or 1 where the
 * file has one component. to owns the pixels; its rows may have gaps. 0 or -1. */
int jpeg_read(struct jpeg *, const struct box *, int channels, struct image *to);

/* "libjpeg-turbo 2.1.5" */
const char *jpeg_version(void);

#endif
