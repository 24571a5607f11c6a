/* The one thing of a JPEG's EXIF block that changes pixels: which way is up. */
#ifndef DATA_EXIF_H
#define DATA_EXIF_H

#include <stddef.h>

/* 1..8 as EXIF's tag 0x0112 says; 1 (as stored) if it says nothing or nonsense. */
int exif_orientation(const void *jpeg, size_t n);

#endif
