/*
 * Winograd's convolution F(4x4, 3x3) for 3x3 windows with stride 1 (Lavin and Gray 2016):
 * a tile of 4x4 outputs takes 36 products for each pair of channels in place of 144; with
 * stride 2 it takes 81 (kernel_wino_two.h). Of the latter's gradients of inputs a tile is 8x8
 * inputs, four of which each of its "outputs" stands for.
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
 *
 * winograd_out.c computes outputs and gradients of inputs, winograd_dw.c gradients of weights;
 * here is how they are cut, the tiles, and the packing.
 */
#include "dev/cpu/winograd.h"

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

/* Outputs go by panels where the filters' points take STREAMED bytes or more, and tiles
 * times channels that are read are FEW at most: GROUP_READ of a group, whose points each
 * panel reads again (9 MB; with 19, slower than by runs while other programs use the caches
 * too). A panel writes FEW_CHANNELS and reads as many at a time: their filters' points and
 * sums are what a core holds near. With stride 2, where a group's points are more than twice
 * as many, wider panels and a single group at most. */
enum { FEW = 1 << 17, GROUP_READ = FEW / 2, FEW_CHANNELS = 32, FEW_CHANNELS_TWO = 64 };

/* Of gradients of weights: channels of a block on each side. */
enum { BLOCK = 128 };

/* Bytes of filters' points that go past the caches, or are better not kept. */
enum { STREAMED = 4 << 20 };

static enum wino_way way_of(const struct dnn_conv *c, int dx)
{
	if (c->stride[0] == 1)
		return WINO_ONE;
	return !dx ? WINO_TWO : c->before[0] ? WINO_TWO_DX : WINO_TWO_DX_BARE;
}

int wino_fits(const struct dnn_conv *c, enum dnn_direction direction)
{
	if (c->k[0] != 3 || c->k[1] != 3 || c->dilation[0] != 1 || c->dilation[1] != 1 ||
	    c->groups > 1 || c->stride[0] != c->stride[1])
		return 0;
	if (c->stride[0] == 1)
		return 1;
	/* in bf16 the direct kernels are faster */
	return c->stride[0] == 2 && !c->bf16 && (direction != DNN_BACKWARD_DATA ||
	       (c->before[0] == c->before[1] && (unsigned)c->before[0] <= 1));
}

/* ---- tiles, runs, blocks ---- */

static int kind_of(const struct tile *t)
{
	int rows = t->at.rows < WINO_OUT, cols = t->at.cols < WINO_OUT;

	return rows ? 2 + cols : 1 - cols;
}

void wino_run_make(const struct wino_own *own, size_t first, size_t last, struct run *run)
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

size_t wino_run_have(const struct wino_own *own, const struct run *run, int point, size_t *first)
{
	int y = wino_has(own->axis, own->last[0], point / own->axis);
	int x = wino_has(own->axis, own->last[1], point % own->axis);

	*first = run->first[x ? 0 : 1];
	return run->first[!y ? 2 : x ? 4 : 3] - *first;
}

void wino_tile_in(const struct wino_job *j, const struct wino_side *side, size_t vector,
		  const struct tile *t, float *points)
{
	struct wino_tile at = t->at;

	at.y = at.y * j->own->stride - j->own->before[0];
	at.x = at.x * j->own->stride - j->own->before[1];
	j->k->in(side, sample_at(j, j->from, j->x, t->n, vector), &at, points);
}

/* Pixels begin .. end - 1 that are read of tiles at .. at + 3 on an axis: those of dy, which
 * tiles do not share, or of the side that is read. */
static int axis_near(const struct wino_own *own, int dy, int axis, int first, int last, int size,
		     int *begin)
{
	int stride = dy ? 1 : own->stride, over = own->way == WINO_ONE ? 2 : 1;
	int end = (last + WINO_OUT) * stride, skip = dy ? 0 : over - own->before[axis];

	skip = skip > 0 ? skip : 0;
	*begin = first ? first * stride + skip : 0;
	end += skip;
	return end < size ? end : size;
}

void wino_near(const struct wino_job *j, int dy, const struct wino_side *side, size_t vector,
	       size_t first, size_t last, size_t lines, struct near *near)
{
	const struct wino_own *own = j->own;
	const struct value *v = dy ? j->to : j->from;
	const char *base = dy ? j->y : j->x;
	size_t across = (size_t)own->tiles[1], next;
	size_t pixel = (size_t)side->block * dtype_bytes(v->lay.type);

	for (; first < last; first = next) {
		struct tile from = tile_of(own, first), to;
		int y, x, down, beside;

		next = (first / across + 1) * across;
		next = next < last ? next : last;
		to = tile_of(own, next - 1);
		down = axis_near(own, dy, 0, from.at.y, to.at.y, side->h, &y);
		beside = axis_near(own, dy, 1, from.at.x, to.at.x, side->w, &x);
		for (size_t k = 0; k < (size_t)side->vectors; k++) {
			const char *at = sample_at(j, v, base, from.n, vector + k) +
					 ((size_t)y * (size_t)side->w + (size_t)x) * pixel;
			int rows = beside - x < side->w ? 1 : down - y;

			for (int i = y; i < down; i += rows, at += (size_t)side->w * pixel)
				near_add(near, at, at + (size_t)rows * (size_t)(beside - x) * pixel,
					 lines);
		}
	}
}

struct block wino_block_of(const struct wino_own *own, size_t i)
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

struct wino_job wino_job_of(struct device *dev, const struct memory *m, const struct step *s,
			    int from, int to)
{
	struct wino_job j = { .dev = dev, .own = s->own, .from = value_at(m, from),
			      .to = value_at(m, to), .x = memory_at(m, from),
			      .y = memory_at(m, to), .work = work_at(m, s) };

	j.k = &kernels_of(dev, j.from)->wino[j.own->way];
	return j;
}

/* ---- packing ---- */

struct wino_filters wino_filters_of(const struct device *dev, const struct pack_attr *a,
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
	size_t width = (size_t)j->dev->k->width, inner = inner_of(j->a), cols;
	size_t vectors = (size_t)j->a->to_pad / width;
	size_t vector = i % vectors, at = i / vectors * WINO_CHANNELS;
	size_t to = panel_at(j->dev, vector, vectors, inner, &cols);
	size_t count = inner - at < WINO_CHANNELS ? inner - at : WINO_CHANNELS;
	struct wino_filters f = wino_filters_of(j->dev, j->a, vector, at, count);

	f.points = cols * width;
	f.point = inner * (size_t)j->a->to_pad;
	f.stream = wino_pack_bytes(j->a) >= STREAMED;
	j->dev->k->wino[way_of(&j->a->conv, 0)].weights(&f,
		j->w + vector * width * f.lane + at * f.next, j->points + (to + at * cols) * width);
}

void wino_pack(struct device *dev, const struct pack_attr *a, const float *w, float *packed)
{
	struct pack_job j = { dev, a, w, packed };

	each(dev, wino_channel_pieces((size_t)a->to_pad / (size_t)dev->k->width, inner_of(a)),
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
	snprintf(key, sizeof key, "wino4x3:%d:%d:%d", (int)c->direction, c->conv.stride[0],
		 a->to_pad);
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
	return round_up((count + runs - 1) / runs, PRODUCT_ROWS);
}

/* Vectors of one side's layout block, which a piece's channels must not begin inside of. */
static size_t unit_of(const struct device *dev, const struct wino_side *side)
{
	size_t vectors = (size_t)side->block / (size_t)dev->k->width;

	return vectors < (size_t)side->vectors ? vectors : 1;
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
	size_t width = (size_t)dev->k->width;
	size_t most = (own->way == WINO_ONE ? FEW_CHANNELS : FEW_CHANNELS_TWO) / width;
	size_t groups = (own->count + WINO_TILES - 1) / WINO_TILES;
	size_t vectors = (size_t)own->to.vectors;
	size_t reads = (own->count * own->inner + GROUP_READ - 1) / GROUP_READ;

	groups = groups > reads ? groups : reads;
	own->run = (own->count + groups - 1) / groups;
	vectors_cut((size_t)own->from.vectors, unit_of(dev, &own->from), most, &own->blocks[0],
		    &own->part[0]);
	if (vectors < most * (size_t)dev->threads)
		most = 1;
	vectors_cut(vectors, unit_of(dev, &own->to), most, &own->blocks[1], &own->part[1]);
	blocks_space(dev, own);
	own->filter_point = own->part[0] * width * own->part[1] * width + 16;
	own->spread = own->blocks[0] * (size_t)own->points * own->from.point;
}

/* Blocks of channels and shares of the tiles, by the shape alone. */
static void dw_cut(const struct device *dev, struct wino_own *own, const struct value *to)
{
	size_t width = (size_t)dev->k->width, runs = (own->count + own->run - 1) / own->run;
	size_t most = BLOCK / width, panel = (size_t)dev->k->panel;
	size_t unit = unit_of(dev, &own->to);

	vectors_cut((size_t)own->from.vectors, unit_of(dev, &own->from), most, &own->blocks[0],
		    &own->part[0]);
	vectors_cut((size_t)own->to.vectors, panel > unit ? panel : unit, most, &own->blocks[1],
		    &own->part[1]);
	own->sum_point = own->inner * (size_t)to->lay.pad + 16;
	own->sum = WINO_POINTS * own->sum_point;
	own->shares = shares_of(own->blocks[0] * own->blocks[1], own->sum);
	own->share = (runs + own->shares - 1) / own->shares * own->run;
	own->shares = (own->count + own->share - 1) / own->share;
	blocks_space(dev, own);
}

/* Gradients of weights go by shares of the tiles; outputs by panels of channels where tiles
 * are few and filters many, else by runs of tiles, with filters' points made before. */
int wino_prepare(struct device *dev, const struct conv_step *c)
{
	int dx = c->direction == DNN_BACKWARD_DATA, dw = c->direction == DNN_BACKWARD_WEIGHTS;
	const struct value *from = &c->p->value[dx ? c->y : c->x];
	const struct value *to = &c->p->value[dx ? c->x : c->y];
	struct wino_own *own;
	size_t bytes;

	if (!wino_fits(&c->conv, c->direction) || !layout_walks(dev, from, from->lay) ||
	    !layout_walks(dev, to, to->lay))
		return 0;
	own = own_add(c->p, c->s, sizeof *own, dw ? wino_dw_run : wino_out_run);
	if (!own)
		return -1;
	own->after = c->after;
	own->way = way_of(&c->conv, dx);
	own->axis = own->way == WINO_ONE ? WINO_AXIS : WINO_TWO_AXIS;
	own->points = own->axis * own->axis;
	own->stride = dx ? 1 : c->conv.stride[0];
	for (int i = 0; i < 2; i++) {
		int size = i ? to->w : to->h;

		/* of gradients of inputs with stride 2 a tile's outputs are two each */
		if (own->way == WINO_TWO_DX || own->way == WINO_TWO_DX_BARE)
			size = (size + 1) / 2;
		own->before[i] = !dx ? c->conv.before[i] : own->way == WINO_ONE ?
				 2 - c->conv.before[i] : 1 - c->conv.before[i];
		own->tiles[i] = (size + WINO_OUT - 1) / WINO_OUT;
		own->last[i] = size - (own->tiles[i] - 1) * WINO_OUT;
	}
	own->count = (size_t)to->n * (size_t)own->tiles[0] * (size_t)own->tiles[1];
	own->pack = pack_of(c, to);
	bytes = wino_pack_bytes(&own->pack);
	own->run = dw ? (to->lay.pad < WIDE ? RUN_DW : RUN_WIDE) :
		   run_of(own->count, bytes <= NEAR_BYTES ? RUN_NEAR : RUN_OUT,
			  (size_t)dev->threads);
	own->inner = (size_t)from->c;
	own->from = side_of(dev, from, own->run);
	own->to = side_of(dev, to, own->run);
	if (dw)
		dw_cut(dev, own, to);
	else if (bytes >= STREAMED && own->count * own->inner <= FEW &&
		 (own->way == WINO_ONE || own->count <= WINO_TILES))
		few_cut(dev, own);
	else
		TRY(pack_add(c, own));
	own->scratch = (size_t)own->points * own->to.point +
		       (own->spread ? WINO_POINTS * own->filter_point :
				      (size_t)own->points * own->from.point);
	c->s->work = ((size_t)dev->threads * own->scratch + own->packed + own->spread +
		      (dw ? own->shares * own->sum : 0) +
		      (c->conv.bias ? (size_t)to->lay.pad : 0)) * sizeof(float);
	TRY(step_choose(c->s, "cpu", own->way == WINO_ONE ? "wino4x3" : "wino4x3s2"));
	return 1;
}
