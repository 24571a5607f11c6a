/*
 * Resizing with the bilinear (triangle) filter, antialiased: widened by the ratio
 * where the image shrinks, as Pillow's resize() and torchvision's antialias=True.
 * Across first, then down, each pass in fixed point with weights of 22 bits and
 * 8-bit results, so that every body gives the same bytes, and those of Pillow.
 *
 * A plan says which part of the source is needed before there are pixels:
 *
 *	resize_plan(&r, h, w, 224, 224, NULL, 0);
 *	... decode r.need ...
 *	resize_run(&r, &decoded, &to);
 */
#ifndef DATA_RESIZE_H
#define DATA_RESIZE_H

#include "data/image.h"

#include <stdint.h>

/* Bodies of the passes, slowest first. All but the plain one need a machine for them. */
enum resize_code { RESIZE_PLAIN, RESIZE_AVX2, RESIZE_AVX512, RESIZE_CODES };

/* Weights of one pass: place i of the result is the sum of k[i * most + t] times place
 * from[i] + t of the source, t < taps[i]; the weights behind are 0. */
struct resize_axis {
	int count, most;
	int *from, *taps;
	int32_t *k;
	int same;               /* the pass changes nothing and is left out */
	size_t room;            /* bytes of from, which holds all three */
};

struct resize {                 /* zero-initialised is fresh */
	struct resize_axis across, down;
	struct box need;        /* of the source */
	struct image between;   /* after the first pass */
	unsigned char *table;   /* what a body prepares for the first pass */
	size_t table_room;
	int chosen;             /* code is set; else the best of the machine is taken */
	enum resize_code code;
};

/* Plans the resizing of an image of height x width to to_height x to_width, of which
 * only part (NULL: all of it) is wanted, mirrored left to right or not. 0 or -1. */
int resize_plan(struct resize *, int height, int width, int to_height, int to_width,
		const struct box *part, int mirrored);

/* from: the pixels of need; to: already of the part's size, with as many channels
 * (1..4) as from. 0 or -1. */
int resize_run(struct resize *, const struct image *from, struct image *to);

void resize_release(struct resize *);

/* The fastest body this machine has. JSIMD_FORCENONE=1 in the environment, which
 * turns off libjpeg-turbo's vector code, gives the plain one. */
enum resize_code resize_best(void);

#endif
