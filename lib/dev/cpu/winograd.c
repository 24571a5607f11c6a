/*
 * Winograd's convolution F(4x4, 3x3) for 3x3 windows with stride 1 (Lavin and Gray 2016):
 * a tile of 4x4 outputs takes 36 products for each pair of channels in place of 144.
 *
 * Outputs and gradients of inputs: a piece is a run of tiles, whose points are made,
 * multiplied by those of the filters and turned back on one thread, in its own room. Each
 * sum is taken in the order of channels, so that results do not depend on the runs. The
 * filters' points, four times as large as the filters, come from a PACK step in
 * evaluation, which makes them once for all batches; in training, where each step has
 * other filters, a step makes them from the master in its workspace.
 *
 * Where the filters' points are many and the tiles few, each run would wait for all of the
 * filters' points again. There the points of a group of tiles are made first; a piece is a
 * panel of the channels that are written, which makes its filters' points from the master,
 * some channels at a time that stay near, and needs them but once.
 *
 * Gradients of weights: a piece is a share of the tiles for a block of both sides'
 * channels, as large as the caches near a core hold, and adds the products at each
 * point up over its tiles, run by run. The sums of the shares are added in the end; how
 * many there are the shape alone decides.
 */
#include "dev/cpu/conv.h"

#include "base/bytes.h"
#include "base/fail.h"

#include <stdio.h>
#include <string.h>

/* Tiles of a run: of outputs at most, and where all filters' points are near, so that a
 * run's are to be so beside them (5 % less time at 64 channels); of gradients of weights;
 * and of those with so many channels that the rows of sums, which each run reads and
 * writes, come from afar (at 512 a quarter less time than by RUN_DW). */
enum { RUN_OUT = 48, RUN_NEAR = 18, RUN_DW = 32, RUN_WIDE = 64, WIDE = 512 };

/* Bytes of filters' points that a cache near a core holds beside a run's. */
enum { NEAR_BYTES = 640 << 10 };

/* Few tiles: times the channels that are read at most; of those a group, which each panel
 * reads again (9 MB of points: with 19, slower than by runs while other programs use the
 * caches too), and its tiles. Channels that a panel writes and reads at a time: their
 * filters' points and sums are what a core holds near. */
enum { FEW = 1 << 17, GROUP_READ = FEW / 2, GROUP = 256, NEAR = 32 };

/* Of gradients of weights: channels of a block on each side, pieces that are wanted, bytes
 * of all shares' sums together. */
enum { BLOCK = 128, PIECES = 16, SUMS = 12 << 20 };

/* Channels that a piece of packing or turning back takes one after the other. */
enum { CHANNELS = 32 };

/* Bytes of filters' points that go past the caches, or are better not kept. */
enum { STREAMED = 4 << 20 };

struct wino_own {
	struct own own;
	struct wino_side from, to;      /* of gradients of weights: x and dy */
	int before[2];                  /* padding above and left of what is read */
	int tiles[2];                   /* down and across a sample */
	int last[2];                    /* outputs of the last of them, 1 .. 4 */
	size_t count;                   /* tiles of the batch */
	size_t run;                     /* tiles whose points are made at a time: run or group */
	size_t inner;                   /* channels summed over */
	size_t scratch;                 /* numbers a thread */
	struct epilogue after;
	struct pack_attr pack;          /* the filters' points that the step makes itself: */
	size_t packed;                  /* numbers of them, or 0 */
	size_t spread;                  /* few tiles: numbers of a group's points, else 0 */
	size_t filter_point;            /* numbers from point to point of a panel's filters */
	/* gradients of weights, the blocks of few tiles too: */
	size_t blocks[2], part[2];      /* of from's and to's channels; vectors of each */
	size_t shares, share;           /* of the tiles; how many tiles each has */
	size_t sum_point, sum;          /* numbers of a share's sums, at one point and in all */
};

struct wino_job {
	struct device *dev;
	const struct kernels *k;        /* for the numbers of the values */
	const struct wino_own *own;
	const struct value *from, *to;
	const char *x;
	char *y;
	const float *w;
	struct wino_after after;        /* add: the whole value */
	float *work, *sums, *dw;
	float *spread;                  /* of few tiles: the points of this group */
	size_t group;
};

/* Numbers from row to row of points. */
static size_t side_row(const struct device *dev, const struct wino_side *side)
{
	return (size_t)side->vectors * (size_t)dev->k->width;
}

/* The first number of a sample's vector of channels. */
static char *sample_at(const struct wino_job *j, const struct value *v, const char *base, int n,
		       size_t vector)
{
	return (char *)base + value_place(v, n, (int)vector * j->dev->k->width, 0, 0) *
			      dtype_bytes(v->lay.type);
}

/* A tile of a sample. */
struct tile { int n; struct wino_tile at; };

static struct tile tile_of(const struct wino_own *own, size_t i)
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
	struct tile tile[GROUP];
	size_t first[KINDS + 1];
};

static int kind_of(const struct tile *t)
{
	int rows = t->at.rows < WINO_OUT, cols = t->at.cols < WINO_OUT;

	return rows ? 2 + cols : 1 - cols;
}

/* Tiles first .. last - 1. */
static void run_make(const struct wino_own *own, size_t first, size_t last, struct run *run)
{
	size_t next[KINDS] = { 0 }, i;

	for (i = first; i < last; i++) {
		struct tile t = tile_of(own, i);

		next[kind_of(&t)]++;
	}
	run->first[0] = 0;
	for (i = 0; i < KINDS; i++) {
		run->first[i + 1] = run->first[i] + next[i];
		next[i] = run->first[i];
	}
	for (i = first; i < last; i++) {
		struct tile t = tile_of(own, i);

		run->tile[next[kind_of(&t)]++] = t;
	}
}

/* How many tiles have a point, and the first of them. */
static size_t run_have(const struct wino_own *own, const struct run *run, int point, size_t *first)
{
	int y = wino_has(own->last[0], point / WINO_IN);
	int x = wino_has(own->last[1], point % WINO_IN);

	*first = run->first[x ? 0 : 1];
	return run->first[!y ? 2 : x ? 4 : 3] - *first;
}

/* The side that is read of a tile, from a vector of channels on. */
static void tile_in(const struct wino_job *j, const struct wino_side *side, size_t vector,
		    const struct tile *t, float *points)
{
	struct wino_tile at = t->at;

	at.y -= j->own->before[0];
	at.x -= j->own->before[1];
	j->k->wino_in(side, sample_at(j, j->from, j->x, t->n, vector), &at, points);
}

/* Of functions that only ask for memory, to which gcc ascribes no effect: their calls it
 * would leave out. */
#define ASKING static inline __attribute__((always_inline))

/*
 * While a run is multiplied, which needs no memory, the next one's pixels are brought near:
 * of tile t of it those that the tiles above and to the left do not read. down, right:
 * where the first of them are from where a tile's outputs begin.
 */
ASKING void tile_ask(const struct wino_job *j, const struct wino_side *side,
		     const struct value *v, const char *base, size_t vector, size_t t,
		     const int begin[2])
{
	struct tile tile = tile_of(j->own, t);
	int y = tile.at.y + begin[0], x = tile.at.x + begin[1];
	int rows = side->h - y < WINO_OUT ? side->h - y : WINO_OUT;
	int cols = side->w - x < WINO_OUT ? side->w - x : WINO_OUT;
	size_t pixel = (size_t)side->block * dtype_bytes(v->lay.type);

	for (size_t k = 0; k < (size_t)side->vectors; k++) {
		const char *at = sample_at(j, v, base, tile.n, vector + k) +
				 ((size_t)y * (size_t)side->w + (size_t)x) * pixel;

		for (int r = 0; r < rows; r++, at += (size_t)side->w * pixel)
			for (int c = 0; c < cols; c++)
				__builtin_prefetch(at + (size_t)c * pixel);
	}
}

/* At one of the points, its share of the tiles first .. last - 1. */
ASKING void run_ask(const struct wino_job *j, const struct wino_side *side,
		    const struct value *v, const char *base, size_t vector, size_t first,
		    size_t last, int point, const int begin[2])
{
	size_t count = last - first, t = first + count * (size_t)point / WINO_POINTS;
	size_t end = first + count * ((size_t)point + 1) / WINO_POINTS;

	for (; t < end; t++)
		tile_ask(j, side, v, base, vector, t, begin);
}

/* Of the side whose tiles overlap. */
ASKING void run_ask_in(const struct wino_job *j, const struct wino_side *side, size_t vector,
		       size_t first, size_t last, int point)
{
	int begin[2];

	for (int i = 0; i < 2; i++)
		begin[i] = WINO_IN - WINO_OUT - j->own->before[i];
	run_ask(j, side, j->from, j->x, vector, first, last, point, begin);
}

/* What one piece works on, of both sides' channels. */
struct block {
	size_t share, vector[2];        /* the first of from's and to's */
	struct wino_side side[2];
};

static struct block block_of(const struct wino_own *own, size_t i)
{
	const struct wino_side *all[2] = { &own->from, &own->to };
	size_t blocks = own->blocks[0] * own->blocks[1];
	size_t at[2] = { i % blocks / own->blocks[1], i % own->blocks[1] };
	struct block b = { .share = i / blocks };

	for (int k = 0; k < 2; k++) {
		size_t left;

		b.vector[k] = at[k] * own->part[k];
		b.side[k] = *all[k];
		left = (size_t)all[k]->vectors - b.vector[k];
		b.side[k].vectors = (int)(left < own->part[k] ? left : own->part[k]);
	}
	return b;
}

/* ---- outputs and gradients of inputs ---- */

/* A run's outputs of a side, from a vector of channels on. */
static void run_out(const struct wino_job *j, const struct wino_side *side, size_t vector,
		    const struct run *run, const float *m)
{
	size_t row = side_row(j->dev, side);

	for (size_t t = 0; t < run->first[KINDS]; t++) {
		const struct tile *at = &run->tile[t];
		struct wino_after after = j->after;

		if (after.add)
			after.add = sample_at(j, j->to, after.add, at->n, vector);
		if (after.bias)
			after.bias += vector * (size_t)j->dev->k->width;
		after.last = t + 1 == run->first[KINDS];
		j->k->wino_out(side, m + t * row, &after, &at->at,
			       sample_at(j, j->to, j->y, at->n, vector));
	}
}

static void piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct wino_own *own = j->own;
	size_t first = i * own->run, last = first + own->run, next = last + own->run, t;
	size_t from = side_row(j->dev, &own->from), to = side_row(j->dev, &own->to);
	float *v = j->work + (size_t)thread_of() * own->scratch;
	float *m = v + WINO_POINTS * own->from.point;
	struct wino_product f = { .a_row = from, .a_inner = 1, .c_row = to,
				  .inner = own->inner, .vectors = own->to.vectors };
	struct run run;

	last = last < own->count ? last : own->count;
	next = next < own->count ? next : own->count;
	run_make(own, first, last, &run);
	for (t = 0; t < run.first[KINDS]; t++)
		tile_in(j, &own->from, 0, &run.tile[t], v + t * from);
	for (int p = 0; p < WINO_POINTS; p++) {
		f.rows = run_have(own, &run, p, &t);
		f.a = v + (size_t)p * own->from.point + t * from;
		f.b = j->w + (size_t)p * own->inner * to;
		f.c = m + (size_t)p * own->to.point + t * to;
		j->dev->k->wino_product(&f);
		run_ask_in(j, &own->from, 0, last, next, p);
	}
	run_out(j, &own->to, 0, &run, m);
}

/* ---- the same of few tiles ---- */

/* Vectors of filters of a direction: which inner channels, of which vector of the others. */
static struct wino_filters filters_of(const struct device *dev, const struct pack_attr *a,
				      size_t vector, size_t at, size_t count)
{
	const struct dnn_conv *c = &a->conv;
	int forward = a->direction == DNN_FORWARD, inner = forward ? c->in_c : c->out_c;
	int lanes = (forward ? c->out_c : c->in_c) - (int)vector * dev->k->width;
	size_t in_row = (size_t)c->in_c * 9;
	struct wino_filters f = { .count = (int)count, .next = forward ? 9 : in_row,
				  .lane = forward ? in_row : 9, .turned = !forward,
				  .end = at + count == (size_t)inner && lanes <= dev->k->width };

	f.lanes = lanes < 0 ? 0 : lanes < dev->k->width ? lanes : dev->k->width;
	return f;
}

static void group_make(const struct wino_job *j, struct run *run)
{
	size_t first = j->group * j->own->run, last = first + j->own->run;

	run_make(j->own, first, last < j->own->count ? last : j->own->count, run);
}

/* The group's points of a block of the channels that are read. */
static void spread_piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct block b = block_of(j->own, i * j->own->blocks[1]);
	size_t row = side_row(j->dev, &b.side[0]), t;
	float *v = j->spread + i * WINO_POINTS * j->own->from.point;
	struct run run;

	group_make(j, &run);
	for (t = 0; t < run.first[KINDS]; t++)
		tile_in(j, &b.side[0], b.vector[0], &run.tile[t], v + t * row);
}

/* The points u of a block's filters, which are `count` of each vector: in panels. */
static void filters_make(const struct wino_job *j, const struct block *b, size_t count, float *u)
{
	size_t width = (size_t)j->dev->k->width, panel = (size_t)j->dev->k->wino_panel;
	size_t vectors = (size_t)b->side[1].vectors, at = b->vector[0] * width;

	for (size_t k = 0; k < vectors; k++) {
		size_t start = k / panel * panel, vector = b->vector[1] + k;
		size_t cols = vectors - start < panel ? vectors - start : panel;
		struct wino_filters f = filters_of(j->dev, &j->own->pack, vector, at, count);

		f.points = cols * width;
		f.point = j->own->filter_point;
		j->dev->k->wino_weights(&f, j->w + vector * width * f.lane + at * f.next,
					u + (start * count + k - start) * width);
	}
}

/*
 * A block's products, added to the sums m; v: the group's points, u: room for the filters'.
 * Meanwhile the next block's filters are asked for, as a function of its own could not.
 */
static void block_add(const struct wino_job *j, const struct block *b, const struct run *run,
		      const float *v, float *u, float *m)
{
	const struct wino_own *own = j->own;
	size_t width = (size_t)j->dev->k->width, at = b->vector[0] * width, left = own->inner - at;
	size_t row = side_row(j->dev, &b->side[0]), inner = left < row ? left : row, t;
	struct wino_product f = { .a_row = row, .a_inner = 1, .inner = inner,
				  .c_row = side_row(j->dev, &b->side[1]),
				  .vectors = b->side[1].vectors, .add = at > 0 };
	int forward = own->pack.direction == DNN_FORWARD;
	size_t rows = forward ? f.c_row : row, some = (forward ? row : f.c_row) * 9;
	size_t from = at + row, to = b->vector[1] * width, next = (size_t)own->pack.conv.in_c * 9;
	const float *w = j->w + (forward ? to : from) * next + (forward ? from : to) * 9;

	filters_make(j, b, inner, u);
	for (size_t p = 0; p < WINO_POINTS; p++) {
		f.rows = run_have(own, run, (int)p, &t);
		f.a = v + p * own->from.point + t * row;
		f.b = u + p * own->filter_point;
		f.c = m + p * own->to.point + t * f.c_row;
		j->dev->k->wino_product(&f);
		if (left <= row)
			continue;
		for (size_t r = rows * p / WINO_POINTS; r < rows * (p + 1) / WINO_POINTS; r++)
			for (size_t n = 0; n < some; n += 64 / sizeof *w)
				__builtin_prefetch(w + r * next + n);
	}
}

/* The group's outputs of a panel. */
static void panel_piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct wino_own *own = j->own;
	float *u = j->work + (size_t)thread_of() * own->scratch;
	float *m = u + WINO_POINTS * own->filter_point;
	struct block b;
	struct run run;

	group_make(j, &run);
	for (size_t n = 0; n < own->blocks[0]; n++) {
		b = block_of(own, n * own->blocks[1] + i);
		block_add(j, &b, &run, j->spread + n * WINO_POINTS * own->from.point, u, m);
	}
	run_out(j, &b.side[1], b.vector[1], &run, m);
}

static void groups_run(struct wino_job *j)
{
	const struct wino_own *own = j->own;

	for (j->group = 0; j->group * own->run < own->count; j->group++) {
		each(j->dev, own->blocks[0], spread_piece, j);
		each(j->dev, own->blocks[1], panel_piece, j);
	}
}

/* ---- both ---- */

static struct wino_job job_of(struct device *dev, const struct memory *m, const struct step *s,
			      int from, int to)
{
	struct wino_job j = { .dev = dev, .own = s->own, .from = value_at(m, from),
			      .to = value_at(m, to), .x = memory_at(m, from),
			      .y = memory_at(m, to), .work = work_at(m, s) };

	j.k = j.from->lay.type == DTYPE_BF16 ? dev->k16 : dev->k;
	return j;
}

static int wino_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct wino_own *own = s->own;
	const struct epilogue *after = &own->after;
	struct wino_job j = job_of(dev, m, s, s->in[0], after->y);
	const float *bias = s->kind == STEP_CONV ? memory_at(m, step_in(s, 2)) : NULL;
	float *shared = j.work + (size_t)dev->threads * own->scratch;

	j.w = memory_at(m, s->in[1]);
	if (own->packed) {
		wino_pack(dev, &own->pack, j.w, shared);
		j.w = shared;
	}
	j.after = (struct wino_after){ .add = memory_at(m, after->add), .act = after->act,
				       .stream = value_streams(j.to) };
	if (bias) {
		float *padded = shared + own->packed + own->spread;

		memset(padded, 0, (size_t)j.to->lay.pad * sizeof *padded);
		memcpy(padded, bias, (size_t)j.to->c * sizeof *padded);
		j.after.bias = padded;
	}
	j.spread = shared;
	if (own->spread)
		groups_run(&j);
	else
		each(dev, (own->count + own->run - 1) / own->run, piece, &j);
	return 0;
}

/* ---- gradients of weights ---- */

/* Filters first .. last - 1 of the input's channels, a vector of the output's. */
static void filters_back(const struct wino_job *j, size_t first, size_t last, size_t vector)
{
	const struct wino_own *own = j->own;
	size_t width = (size_t)j->dev->k->width, k = vector * width, left = (size_t)j->to->c - k;
	struct wino_filters f = { .next = 9, .points = side_row(j->dev, &own->to),
				  .lane = own->inner * 9, .point = own->sum_point,
				  .shares = (int)own->shares, .share = own->sum };

	if (last > own->inner)
		last = own->inner;
	if (k >= (size_t)j->to->c || first >= last)
		return;
	f.count = (int)(last - first);
	f.lanes = (int)(left < width ? left : width);
	j->dev->k->wino_dw(&f, j->sums + first * f.points + k, j->dw + k * f.lane + first * 9);
}

/* The products of a run whose points are v and w, added to a share's; tiles
 * first .. last - 1 come next. */
static void products_add(const struct wino_job *j, const struct block *b, const struct run *run,
			 int begin, const float *v, const float *w, size_t first, size_t last)
{
	static const int at_once[2] = { 0, 0 };
	const struct wino_own *own = j->own;
	size_t width = (size_t)j->dev->k->width, to = side_row(j->dev, &own->to);
	size_t c = b->vector[0] * width, channels = side_row(j->dev, &b->side[0]), t;
	float *sum = j->sums + b->share * own->sum + c * to + b->vector[1] * width;
	struct wino_product f = { .a_row = 1, .a_inner = channels,
				  .b_inner = side_row(j->dev, &b->side[1]), .c_row = to,
				  .vectors = b->side[1].vectors, .add = !begin };

	f.rows = own->inner - c < channels ? own->inner - c : channels;
	for (int p = 0; p < WINO_POINTS; p++) {
		f.inner = run_have(own, run, p, &t);
		f.a = v + (size_t)p * own->from.point + t * f.a_inner;
		f.b = w + (size_t)p * own->to.point + t * f.b_inner;
		f.c = sum + (size_t)p * own->sum_point;
		j->dev->k->wino_product(&f);
		run_ask_in(j, &b->side[0], b->vector[0], first, last, p);
		run_ask(j, &b->side[1], j->to, j->y, b->vector[1], first, last, p, at_once);
	}
}

static void dw_piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct wino_own *own = j->own;
	const struct block b = block_of(own, i);
	size_t start = b.share * own->share, end = start + own->share, first, last, t;
	size_t row[2] = { side_row(j->dev, &b.side[0]), side_row(j->dev, &b.side[1]) };
	float *v = j->work + (size_t)thread_of() * own->scratch;
	float *w = v + WINO_POINTS * own->from.point;
	struct run run;

	if (end > own->count)
		end = own->count;
	for (first = start; first < end; first = last) {
		last = end - first < own->run ? end : first + own->run;
		run_make(own, first, last, &run);
		for (t = 0; t < last - first; t++) {
			const struct tile *at = &run.tile[t];

			tile_in(j, &b.side[0], b.vector[0], at, v + t * row[0]);
			j->k->wino_dy(&b.side[1], sample_at(j, j->to, j->y, at->n, b.vector[1]),
				      &at->at, w + t * row[1]);
		}
		products_add(j, &b, &run, first == start, v, w, last,
			     end - last < own->run ? end : last + own->run);
	}
	/* of the only share: while they are near */
	for (t = 0; own->shares == 1 && t < (size_t)b.side[1].vectors; t++) {
		size_t c = b.vector[0] * (size_t)j->dev->k->width;

		filters_back(j, c, c + row[0], b.vector[1] + t);
	}
}

static void back_piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	size_t vectors = (size_t)j->own->to.vectors, c = i / vectors * CHANNELS;

	filters_back(j, c, c + CHANNELS, i % vectors);
}

/* Pieces of so many vectors and channels. */
static size_t channel_pieces(size_t vectors, size_t channels)
{
	return vectors * ((channels + CHANNELS - 1) / CHANNELS);
}

static int wino_dw_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct wino_job j = job_of(dev, m, s, s->in[0], s->in[1]);

	j.sums = j.work + (size_t)dev->threads * j.own->scratch;
	j.dw = memory_at(m, s->out[0]);
	each(dev, j.own->shares * j.own->blocks[0] * j.own->blocks[1], dw_piece, &j);
	if (j.own->shares > 1)
		each(dev, channel_pieces((size_t)j.own->to.vectors, j.own->inner), back_piece, &j);
	return 0;
}

/* ---- packing ---- */

static size_t inner_of(const struct pack_attr *a)
{
	return (size_t)(a->direction == DNN_FORWARD ? a->conv.in_c : a->conv.out_c);
}

size_t wino_pack_bytes(const struct pack_attr *a)
{
	return WINO_POINTS * inner_of(a) * (size_t)a->to_pad * sizeof(float);
}

struct pack_job { struct device *dev; const struct pack_attr *a; const float *w; float *points; };

/* [point][panel][inner][vectors of a panel][width] of OIHW. */
static void pack_piece(void *context, size_t i)
{
	const struct pack_job *j = context;
	size_t width = (size_t)j->dev->k->width, panel = (size_t)j->dev->k->wino_panel;
	size_t vectors = (size_t)j->a->to_pad / width, inner = inner_of(j->a);
	size_t vector = i % vectors, at = i / vectors * CHANNELS, start = vector / panel * panel;
	size_t cols = vectors - start < panel ? vectors - start : panel;
	size_t count = inner - at < CHANNELS ? inner - at : CHANNELS;
	struct wino_filters f = filters_of(j->dev, j->a, vector, at, count);

	f.points = cols * width;
	f.point = inner * (size_t)j->a->to_pad;
	f.stream = wino_pack_bytes(j->a) >= STREAMED;
	j->dev->k->wino_weights(&f, j->w + vector * width * f.lane + at * f.next,
				j->points + (start * inner + at * cols + vector - start) * width);
}

void wino_pack(struct device *dev, const struct pack_attr *a, const float *w, float *packed)
{
	struct pack_job j = { dev, a, w, packed };

	each(dev, channel_pieces((size_t)a->to_pad / (size_t)dev->k->width, inner_of(a)),
	     pack_piece, &j);
}

static struct pack_attr pack_of(const struct conv_step *c, const struct value *to)
{
	struct pack_attr a;

	memset(&a, 0, sizeof a);
	a.way = PACK_WINOGRAD;
	a.direction = c->direction;
	a.to_pad = to->lay.pad;
	a.conv = c->conv;
	return a;
}

/* By the step itself in training, else by a PACK step. */
static int pack_add(const struct conv_step *c, struct wino_own *own)
{
	const struct pack_attr *a = &own->pack;
	char key[48];

	if (c->p->options.training) {
		own->packed = wino_pack_bytes(a) / sizeof(float);
		return 0;
	}
	snprintf(key, sizeof key, "wino4x3:%d:%d", (int)c->direction, a->to_pad);
	return program_pack(c->p, (int)(c->s - c->p->step), 1, key, wino_pack_bytes(a), a,
			    sizeof *a);
}

/* ---- prepare ---- */

/* Points of `tiles` tiles lie together, and not at a power of two from the next point's. */
static struct wino_side side_of(const struct device *dev, const struct value *v, size_t tiles)
{
	struct wino_side s = { v->h, v->w, v->lay.block, v->lay.pad / dev->k->width,
			       (size_t)v->h * (size_t)v->w * (size_t)v->lay.block, 0 };

	s.point = tiles * (size_t)v->lay.pad + 16;
	return s;
}

/* Runs of nearly the same length, a multiple of the threads where there are few. */
static size_t run_of(size_t count, size_t most, size_t threads)
{
	size_t runs = (count + most - 1) / most;

	if (runs < 4 * threads)
		runs = (runs + threads - 1) / threads * threads;
	return round_up((count + runs - 1) / runs, WINO_ROWS);
}

/* Vectors of one side's layout block, which a piece's channels must not begin inside of. */
static size_t unit_of(const struct device *dev, const struct wino_side *side)
{
	size_t vectors = (size_t)side->block / (size_t)dev->k->width;

	return vectors < (size_t)side->vectors ? vectors : 1;
}

/* `vectors` in blocks of nearly the same size, whole panels of them. */
static void cut(size_t vectors, size_t panel, size_t most, size_t *blocks, size_t *part)
{
	size_t panels = (vectors + panel - 1) / panel;

	*blocks = (vectors + most - 1) / most;
	*part = (panels + *blocks - 1) / *blocks * panel;
	*blocks = (vectors + *part - 1) / *part;
}

/* Numbers from point to point of blocks. */
static void blocks_space(const struct device *dev, struct wino_own *own)
{
	own->from.point = own->run * own->part[0] * (size_t)dev->k->width + 16;
	own->to.point = own->run * own->part[1] * (size_t)dev->k->width + 16;
}

/* Groups of few tiles, and panels, smaller ones where there are more threads. */
static void few_cut(const struct device *dev, struct wino_own *own)
{
	size_t width = (size_t)dev->k->width, most = NEAR / width;
	size_t groups = (own->count + GROUP - 1) / GROUP, vectors = (size_t)own->to.vectors;
	size_t reads = (own->count * own->inner + GROUP_READ - 1) / GROUP_READ;

	groups = groups > reads ? groups : reads;
	own->run = (own->count + groups - 1) / groups;
	cut((size_t)own->from.vectors, unit_of(dev, &own->from), most, &own->blocks[0],
	    &own->part[0]);
	if (vectors < most * (size_t)dev->threads)
		most = 1;
	cut(vectors, unit_of(dev, &own->to), most, &own->blocks[1], &own->part[1]);
	blocks_space(dev, own);
	own->filter_point = own->part[0] * width * own->part[1] * width + 16;
	own->spread = own->blocks[0] * WINO_POINTS * own->from.point;
}

/* Blocks of channels and shares of the tiles, by the shape alone. */
static void dw_cut(const struct device *dev, struct wino_own *own, const struct value *to)
{
	size_t width = (size_t)dev->k->width, runs = (own->count + own->run - 1) / own->run;
	size_t most = BLOCK / width, panel = (size_t)dev->k->wino_panel, blocks;
	size_t unit = unit_of(dev, &own->to);

	cut((size_t)own->from.vectors, unit_of(dev, &own->from), most, &own->blocks[0],
	    &own->part[0]);
	cut((size_t)own->to.vectors, panel > unit ? panel : unit, most, &own->blocks[1],
	    &own->part[1]);
	blocks = own->blocks[0] * own->blocks[1];
	own->sum_point = own->inner * (size_t)to->lay.pad + 16;
	own->sum = WINO_POINTS * own->sum_point;
	for (own->shares = 1; 2 * own->shares * blocks <= PIECES &&
	     2 * own->shares * own->sum * sizeof(float) <= SUMS; )
		own->shares *= 2;
	own->share = (runs + own->shares - 1) / own->shares * own->run;
	own->shares = (own->count + own->share - 1) / own->share;
	blocks_space(dev, own);
}

int wino_prepare(struct device *dev, const struct conv_step *c)
{
	int dx = c->direction == DNN_BACKWARD_DATA, dw = c->direction == DNN_BACKWARD_WEIGHTS;
	const struct value *from = &c->p->value[dx ? c->y : c->x];
	const struct value *to = &c->p->value[dx ? c->x : c->y];
	struct wino_own *own;
	int near;

	if (!layout_walks(dev, from, from->lay) || !layout_walks(dev, to, to->lay))
		return 0;
	own = own_add(c->p, c->s, sizeof *own, dw ? wino_dw_run : wino_run);
	if (!own)
		return -1;
	own->after = c->after;
	for (int i = 0; i < 2; i++)
		own->before[i] = dx ? 2 - c->conv.before[i] : c->conv.before[i];
	own->tiles[0] = (to->h + WINO_OUT - 1) / WINO_OUT;
	own->tiles[1] = (to->w + WINO_OUT - 1) / WINO_OUT;
	own->last[0] = to->h - (own->tiles[0] - 1) * WINO_OUT;
	own->last[1] = to->w - (own->tiles[1] - 1) * WINO_OUT;
	own->count = (size_t)to->n * (size_t)own->tiles[0] * (size_t)own->tiles[1];
	near = WINO_POINTS * (size_t)from->c * (size_t)to->lay.pad * sizeof(float) <= NEAR_BYTES;
	own->run = !dw ? run_of(own->count, near ? RUN_NEAR : RUN_OUT, (size_t)dev->threads) :
		   to->lay.pad < WIDE ? RUN_DW : RUN_WIDE;
	own->inner = (size_t)from->c;
	own->from = side_of(dev, from, own->run);
	own->to = side_of(dev, to, own->run);
	own->pack = pack_of(c, to);
	if (dw)
		dw_cut(dev, own, to);
	else if (wino_pack_bytes(&own->pack) >= STREAMED && own->count * own->inner <= FEW)
		few_cut(dev, own);
	else
		TRY(pack_add(c, own));
	own->scratch = WINO_POINTS * (own->to.point + (own->spread ? own->filter_point :
						       own->from.point));
	c->s->work = ((size_t)dev->threads * own->scratch + own->packed + own->spread +
		      (dw ? own->shares * own->sum : 0) +
		      (c->conv.bias ? (size_t)to->lay.pad : 0)) * sizeof(float);
	TRY(step_choose(c->s, "cpu", "wino4x3"));
	return 1;
}
