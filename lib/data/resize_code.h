/* The bodies of the two passes of resize.h; to and from do not overlap. */
#ifndef DATA_RESIZE_CODE_H
#define DATA_RESIZE_CODE_H

#include "data/resize.h"

#define RESIZE_BITS 22          /* of a weight after the point */

static inline unsigned char resize_round(int32_t sum)
{
	sum >>= RESIZE_BITS;
	return (unsigned char)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* One row of n bytes of the result from taps rows, stride bytes apart. */
void resize_down_plain(unsigned char *to, const unsigned char *from, size_t stride,
		       const int32_t *k, int taps, size_t n);
/* All rows of the result. */
void resize_across_plain(const struct resize_axis *, const struct image *from,
			 struct image *to);

#ifdef __x86_64__
void resize_down_avx2(unsigned char *to, const unsigned char *from, size_t stride,
		      const int32_t *k, int taps, size_t n);
void resize_down_avx512(unsigned char *to, const unsigned char *from, size_t stride,
			const int32_t *k, int taps, size_t n);
/* Bytes of table that the bodies of the first pass use; 0: they do not take this case. */
size_t resize_across_avx2_table(const struct resize_axis *, const struct image *from);
size_t resize_across_avx512_table(const struct resize_axis *, const struct image *from);
/* table: that many bytes on a bound of 64. */
void resize_across_avx2(const struct resize_axis *, const struct image *from,
			struct image *to, unsigned char *table);
void resize_across_avx512(const struct resize_axis *, const struct image *from,
			  struct image *to, unsigned char *table);
#endif

#endif
