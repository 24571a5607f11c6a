/*
 * Winograd's convolution F(4x4, 3x3) for 3x3 windows with stride 1 (Lavin and Gray 2016):
 * a tile of 4x4 outputs takes 36 products for each pair of channels in place of 144.
 *
 * Outputs and gradients of inputs: a piece is a run of tiles, whose points are made,
 * multiplied by those of the filters (from a PACK step) and turned back on one thread,
 * in its own room. Each sum is taken in the order of channels, so that results do not
 * depend on the runs. Gradients of weights: a piece is a share of the tiles and of the
 * output's channels, and adds the products at each point up over its tiles, run by run.
 * The sums of the shares are added in the end; how many there are the shape alone
 * decides.
 */
#include "dev/cpu/conv.h"

#include "base/bytes.h"
#include "base/fail.h"

#include <stdio.h>
#include <string.h>

/* Tiles of a run at most, likewise for gradients of weights; those: shares of the tiles
 * at most, and bytes of all shares' sums. */
enum { RUN_MOST = 48, RUN_DW = 32, SHARES = 8, SUMS = 12 << 20 };

struct wino_own {
	struct own own;
	struct wino_side from, to;      /* of gradients of weights: x and dy */
	int before[2];                  /* padding above and left of what is read */
	int tiles[2];                   /* down and across a sample */
	size_t count;                   /* tiles of the batch */
	size_t run;                     /* tiles whose points are made at a time */
	size_t inner;                   /* channels summed over */
	size_t scratch;                 /* numbers a thread */
	/* gradients of weights: */
	size_t shares, share;           /* of the tiles; how many tiles each has */
	size_t parts, part;             /* of the output's channels; how many vectors each has */
	size_t sum_point, sum;          /* numbers of a share's sums, at one point and in all */
};

struct wino_job {
	struct device *dev;
	const struct kernels *k;        /* for the numbers of the values */
	const struct wino_own *own;
	const struct value *from, *to;
	const char *x;
	char *y;
	const float *w, *bias;
	float *work, *sums, *dw;
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

struct tile { int n, y, x; };

static struct tile tile_of(const struct wino_own *own, size_t i)
{
	size_t across = (size_t)own->tiles[1], all = across * (size_t)own->tiles[0];
	struct tile t = { (int)(i / all), (int)(i % all / across) * WINO_OUT,
			  (int)(i % across) * WINO_OUT };

	return t;
}

static void tile_in(const struct wino_job *j, size_t i, float *points)
{
	struct tile t = tile_of(j->own, i);

	j->k->wino_in(&j->own->from, sample_at(j, j->from, j->x, t.n, 0),
		      t.y - j->own->before[0], t.x - j->own->before[1], points);
}

/* ---- outputs and gradients of inputs ---- */

static void piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct wino_own *own = j->own;
	size_t first = i * own->run, last = first + own->run, t, p;
	size_t from = side_row(j->dev, &own->from), to = side_row(j->dev, &own->to);
	float *v = j->work + (size_t)thread_of() * own->scratch;
	float *m = v + WINO_POINTS * own->from.point;
	struct wino_product f = { .a_row = from, .a_inner = 1, .c_row = to,
				  .inner = own->inner, .vectors = own->to.vectors };

	if (last > own->count)
		last = own->count;
	for (t = first; t < last; t++)
		tile_in(j, t, v + (t - first) * from);
	f.rows = last - first;
	for (p = 0; p < WINO_POINTS; p++) {
		f.a = v + p * own->from.point;
		f.b = j->w + p * own->inner * to;
		f.c = m + p * own->to.point;
		j->dev->k->wino_product(&f);
	}
	for (t = first; t < last; t++) {
		struct tile at = tile_of(own, t);

		j->k->wino_out(&own->to, m + (t - first) * to, j->bias, at.y, at.x,
			       sample_at(j, j->to, j->y, at.n, 0));
	}
}

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
	struct wino_job j = job_of(dev, m, s, s->in[0], s->out[0]);
	const float *bias = s->kind == STEP_CONV ? memory_at(m, step_in(s, 2)) : NULL;

	j.w = memory_at(m, s->in[1]);
	if (bias) {
		float *padded = j.work + (size_t)dev->threads * j.own->scratch;

		memset(padded, 0, (size_t)j.to->lay.pad * sizeof *padded);
		memcpy(padded, bias, (size_t)j.to->c * sizeof *padded);
		j.bias = padded;
	}
	each(dev, (j.own->count + j.own->run - 1) / j.own->run, piece, &j);
	return 0;
}

/* ---- gradients of weights ---- */

/* The products of tiles first .. last - 1, whose points are v and w, added to a share's. */
static void products_add(const struct wino_job *j, size_t first, size_t last, int begin,
			 const float *v, const float *w, const struct wino_side *part, float *sum)
{
	const struct wino_own *own = j->own;
	struct wino_product f = { .a_row = 1, .a_inner = side_row(j->dev, &own->from),
				  .b_inner = side_row(j->dev, part),
				  .c_row = side_row(j->dev, &own->to), .rows = own->inner,
				  .inner = last - first, .vectors = part->vectors, .add = !begin };

	for (size_t p = 0; p < WINO_POINTS; p++) {
		f.a = v + p * own->from.point;
		f.b = w + p * part->point;
		f.c = sum + p * own->sum_point;
		j->dev->k->wino_product(&f);
	}
}

static void dw_piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct wino_own *own = j->own;
	size_t share = i / own->parts, vector = i % own->parts * own->part;
	size_t left = (size_t)own->to.vectors - vector, row = side_row(j->dev, &own->from);
	size_t first = share * own->share, end = first + own->share, last, t;
	float *v = j->work + (size_t)thread_of() * own->scratch;
	float *w = v + WINO_POINTS * own->from.point;
	float *sum = j->sums + share * own->sum + vector * (size_t)j->dev->k->width;
	struct wino_side part = own->to;

	part.vectors = (int)(left < own->part ? left : own->part);
	if (end > own->count)
		end = own->count;
	for (; first < end; first = last) {
		last = end - first < own->run ? end : first + own->run;
		for (t = first; t < last; t++) {
			struct tile at = tile_of(own, t);

			tile_in(j, t, v + (t - first) * row);
			j->k->wino_dy(&part, sample_at(j, j->to, j->y, at.n, vector), at.y, at.x,
				      w + (t - first) * side_row(j->dev, &part));
		}
		products_add(j, first, last, first == share * own->share, v, w, &part, sum);
	}
}

/* Channel c of the input, all of the output's. */
static void filters_back(void *context, size_t c)
{
	const struct wino_job *j = context;
	const struct wino_own *own = j->own;
	size_t width = (size_t)j->dev->k->width, to = side_row(j->dev, &own->to), k;
	struct wino_filters f = { .lane = own->inner * 9, .point = own->sum_point,
				  .shares = (int)own->shares, .share = own->sum };

	for (k = 0; k < (size_t)j->to->c; k += width) {
		f.lanes = (int)((size_t)j->to->c - k < width ? (size_t)j->to->c - k : width);
		j->dev->k->wino_dw(&f, j->sums + c * to + k, j->dw + (k * own->inner + c) * 9);
	}
}

static int wino_dw_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct wino_job j = job_of(dev, m, s, s->in[0], s->in[1]);

	j.sums = j.work + (size_t)dev->threads * j.own->scratch;
	j.dw = memory_at(m, s->out[0]);
	each(dev, j.own->shares * j.own->parts, dw_piece, &j);
	each(dev, j.own->inner, filters_back, &j);
	return 0;
}

/* ---- packing ---- */

static size_t inner_of(const struct pack_attr *a)
{
	return (size_t)(a->direction == DNN_FORWARD ? a->conv.in_c : a->conv.out_c);
}

size_t wino_pack_bytes(const struct device *dev, const struct pack_attr *a)
{
	(void)dev;
	return WINO_POINTS * inner_of(a) * (size_t)a->to_pad * sizeof(float);
}

struct pack_job { struct device *dev; const struct pack_attr *a; const float *w; float *points; };

/* [point][panel][inner][vectors of a panel][width] of OIHW. */
static void pack_piece(void *context, size_t i)
{
	const struct pack_job *j = context;
	const struct dnn_conv *c = &j->a->conv;
	size_t width = (size_t)j->dev->k->width, panel = (size_t)j->dev->k->wino_panel;
	size_t vectors = (size_t)j->a->to_pad / width, inner = inner_of(j->a);
	size_t vector = i % vectors, at = i / vectors, start = vector / panel * panel;
	size_t cols = vectors - start < panel ? vectors - start : panel;
	int forward = j->a->direction == DNN_FORWARD, to_c = forward ? c->out_c : c->in_c;
	size_t lane = (size_t)(forward ? c->in_c : 1) * 9;
	size_t next = (size_t)(forward ? 1 : c->in_c) * 9;
	int lanes = to_c - (int)(vector * width);
	struct wino_filters f = { .lane = lane, .point = inner * (size_t)j->a->to_pad,
				  .lanes = lanes < 0 ? 0 : lanes, .turned = !forward };

	if ((size_t)f.lanes > width)
		f.lanes = (int)width;
	j->dev->k->wino_weights(&f, j->w + vector * width * lane + at * next,
				j->points + (start * inner + at * cols + vector - start) * width);
}

void wino_pack(struct device *dev, const struct pack_attr *a, const float *w, float *packed)
{
	struct pack_job j = { dev, a, w, packed };

	each(dev, (size_t)a->to_pad / (size_t)dev->k->width * inner_of(a), pack_piece, &j);
}

static int pack_add(struct device *dev, const struct conv_step *c, const struct value *to)
{
	struct pack_attr a;
	char key[48];

	memset(&a, 0, sizeof a);
	a.way = PACK_WINOGRAD;
	a.direction = c->direction;
	a.to_pad = to->lay.pad;
	a.conv = c->conv;
	snprintf(key, sizeof key, "wino4x3:%d:%d", (int)c->direction, a.to_pad);
	return program_pack(c->p, (int)(c->s - c->p->step), 1, key, wino_pack_bytes(dev, &a), &a,
			    sizeof a);
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
static size_t run_of(size_t count, size_t threads)
{
	size_t runs = (count + RUN_MOST - 1) / RUN_MOST;

	if (runs < 4 * threads)
		runs = (runs + threads - 1) / threads * threads;
	return round_up((count + runs - 1) / runs, WINO_ROWS);
}

/* Shares of the tiles by the shape alone; parts of the channels so that all threads have
 * something to do. */
static void dw_cut(const struct device *dev, struct wino_own *own, const struct value *to)
{
	size_t panel = (size_t)dev->k->wino_panel;
	size_t panels = ((size_t)own->to.vectors + panel - 1) / panel;
	size_t runs = (own->count + RUN_DW - 1) / RUN_DW;

	own->sum_point = own->inner * (size_t)to->lay.pad + 16;
	own->sum = WINO_POINTS * own->sum_point;
	own->shares = SUMS / (own->sum * sizeof(float));
	own->shares = own->shares < 1 ? 1 : own->shares < SHARES ? own->shares : SHARES;
	own->share = (runs + own->shares - 1) / own->shares * RUN_DW;
	own->shares = (own->count + own->share - 1) / own->share;
	own->parts = (2 * (size_t)dev->threads + own->shares - 1) / own->shares;
	own->parts = own->parts < panels ? own->parts : panels;
	own->part = (panels + own->parts - 1) / own->parts * panel;
	own->parts = ((size_t)own->to.vectors + own->part - 1) / own->part;
}

int wino_prepare(struct device *dev, const struct conv_step *c)
{
	int dx = c->direction == DNN_BACKWARD_DATA, dw = c->direction == DNN_BACKWARD_WEIGHTS;
	const struct value *from = &c->p->value[dx ? c->y : c->x];
	const struct value *to = &c->p->value[dx ? c->x : c->y];
	struct wino_own *own;

	if (!layout_walks(dev, from, from->lay) || !layout_walks(dev, to, to->lay))
		return 0;
	own = own_add(c->p, c->s, sizeof *own, dw ? wino_dw_run : wino_run);
	if (!own)
		return -1;
	for (int i = 0; i < 2; i++)
		own->before[i] = dx ? 2 - c->conv.before[i] : c->conv.before[i];
	own->tiles[0] = (to->h + WINO_OUT - 1) / WINO_OUT;
	own->tiles[1] = (to->w + WINO_OUT - 1) / WINO_OUT;
	own->count = (size_t)to->n * (size_t)own->tiles[0] * (size_t)own->tiles[1];
	own->run = dw ? RUN_DW : run_of(own->count, (size_t)dev->threads);
	own->inner = (size_t)from->c;
	own->from = side_of(dev, from, own->run);
	own->to = side_of(dev, to, own->run);
	own->scratch = WINO_POINTS * (own->from.point + own->to.point);
	if (dw) {
		dw_cut(dev, own, to);
		c->s->work = ((size_t)dev->threads * own->scratch + own->shares * own->sum) *
			     sizeof(float);
	} else {
		TRY(pack_add(dev, c, to));
		c->s->work = ((size_t)dev->threads * own->scratch +
			      (c->conv.bias ? (size_t)to->lay.pad : 0)) * sizeof(float);
	}
	strcpy(c->s->how, "wino4x3");
	return 1;
}
