/* What the parts of Winograd's convolution share: winograd.c, winograd_out.c and
 * winograd_dw.c; private to the three. */
#ifndef DEV_CPU_WINOGRAD_H
#define DEV_CPU_WINOGRAD_H

#include "dev/cpu/conv.h"

/* Tiles of a run or group at most; channels that a piece of packing or turning back takes
 * one after the other. */
enum { WINO_TILES = 256, WINO_CHANNELS = 32 };

struct wino_own {
	struct own own;
	struct wino_side from, to;      /* of gradients of weights: x and dy */
	enum wino_way way;
	int axis, points;               /* of tiles, on an axis and in all */
	int stride;                     /* pixels of what is read for each of a tile's outputs */
	int before[2];                  /* padding above and left of what is read */
	int tiles[2];                   /* down and across a sample */
	int last[2];                    /* outputs of the last of them, 1 .. 4 */
	size_t count;                   /* tiles of the batch */
	size_t run;                     /* tiles whose points are made at a time: run or group */
	size_t inner;                   /* channels summed over */
	size_t scratch;                 /* numbers a thread */
	struct epilogue after;
	struct pack_attr pack;          /* how the filters' points are made */
	size_t packed;                  /* numbers of those that the step makes first, or 0 */
	size_t spread;                  /* few tiles: numbers of a group's points, else 0 */
	size_t filter_point;            /* numbers from point to point of a panel's filters */
	/* gradients of weights, the blocks of few tiles too: */
	size_t blocks[2], part[2];      /* of from's and to's channels; vectors of each */
	size_t shares, share;           /* of the tiles; how many tiles each has */
	size_t sum_point, sum;          /* numbers of a share's sums, at one point and in all */
};

struct run;

struct wino_job {
	struct device *dev;
	const struct wino_kernels *k;   /* for the numbers of the values */
	const struct wino_own *own;
	const struct value *from, *to;
	const char *x;
	char *y;
	const float *w;
	struct wino_after after;        /* add: the whole value */
	float *work, *sums, *dw;
	float *spread;                  /* of few tiles: the points of this group */
	const struct run *group;
};

/* Numbers from row to row of points. */
static inline size_t side_row(const struct device *dev, const struct wino_side *side)
{
	return (size_t)side->vectors * (size_t)dev->k->width;
}

/* The first number of a sample's vector of channels. */
static inline char *sample_at(const struct wino_job *j, const struct value *v,
			      const char *base, int n, size_t vector)
{
	return (char *)base + value_place(v, n, (int)vector * j->dev->k->width, 0, 0) *
			      dtype_bytes(v->lay.type);
}

/* A tile of a sample. */
struct tile { int n; struct wino_tile at; };

static inline struct tile tile_of(const struct wino_own *own, size_t i)
{
	size_t across = (size_t)own->tiles[1], all = across * (size_t)own->tiles[0];
	int y = (int)(i % all / across), x = (int)(i % across);
	struct tile t = { (int)(i / all), { y * WINO_OUT, x * WINO_OUT, WINO_OUT, WINO_OUT } };

	if (y + 1 == own->tiles[0])
		t.at.rows = own->last[0];
	if (x + 1 == own->tiles[1])
		t.at.cols = own->last[1];
	return t;
}

/*
 * A run of tiles, in the order: with too few columns, whole, with too few rows, with too
 * few of both; first[i] is where the i-th kind begins. So the tiles that have a point lie
 * beside one another, whichever it is.
 */
enum { KINDS = 4 };

struct run {
	struct tile tile[WINO_TILES];
	size_t first[KINDS + 1];
};

/* Tiles first .. last - 1. */
void wino_run_make(const struct wino_own *, size_t first, size_t last, struct run *);

/* How many tiles have a point, and the first of them. */
size_t wino_run_have(const struct wino_own *, const struct run *, int point, size_t *first);

/* The side that is read of a tile, from a vector of channels on. */
void wino_tile_in(const struct wino_job *, const struct wino_side *, size_t vector,
		  const struct tile *, float *points);

/* What one piece works on, of both sides' channels. */
struct block {
	size_t share, vector[2];        /* the first of from's and to's */
	struct wino_side side[2];
};

struct block wino_block_of(const struct wino_own *, size_t i);

struct wino_job wino_job_of(struct device *, const struct memory *, const struct step *, int from,
			    int to);

/* Vectors of filters of a direction: which inner channels, of which vector of the others. */
struct wino_filters wino_filters_of(const struct device *, const struct pack_attr *,
				    size_t vector, size_t at, size_t count);

/* In panels of `inner` channels each, where vector k of `vectors` begins, in vectors; *cols:
 * how many its panel has, which is how far apart its channels are. */
static inline size_t panel_at(const struct device *dev, size_t k, size_t vectors, size_t inner,
			      size_t *cols)
{
	size_t panel = (size_t)dev->k->panel, start = k / panel * panel;

	*cols = vectors - start < panel ? vectors - start : panel;
	return start * inner + k - start;
}

/* Pieces of so many vectors and channels. */
static inline size_t wino_channel_pieces(size_t vectors, size_t channels)
{
	return vectors * ((channels + WINO_CHANNELS - 1) / WINO_CHANNELS);
}

cpu_run wino_out_run, wino_dw_run;

/* What is to be near when the tiles first .. last - 1 are read, from a vector of channels on:
 * their pixels, but for those that the tiles above and to the left read too. dy: of a
 * gradient's outputs, which tiles do not share; lines: of a run. */
void wino_near(const struct wino_job *, int dy, const struct wino_side *, size_t vector,
	       size_t first, size_t last, size_t lines, struct near *);

#endif
