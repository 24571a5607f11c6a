/*
 * Gradients of weights in bf16: at each tap of the window, products of all channels of dy
 * with all of x, summed over the batch's pixels two at a time, as the processor multiplies
 * numbers of bf16. (oneDNN 2.6's kernels for this reach but half of what its others do.)
 *
 * A piece is a share of the pixels for a block of both sides' channels. So many pixels at a
 * time as a near cache holds are put in pairs, dy's once and x's for each tap, and
 * multiplied. The sums of the shares are added in the end; how many there are the shape
 * alone decides, so that results do not depend on the threads.
 */
#include "dev/cpu/conv.h"

#include "base/fail.h"

#include <string.h>

/* Pixels that are multiplied at a time; channels of a block; pieces that are wanted, and
 * bytes of all shares' sums together. */
enum { PIXELS = 256, BLOCK = 256, PIECES = 16, SUMS = 12 << 20 };

enum side { SIDE_DY, SIDE_X };

struct pairs_own {
	struct own own;
	struct slide y, x;              /* of x */
	struct slide y_dy, x_dy;        /* of dy: each output is itself */
	size_t count;                   /* pixels of the batch's outputs */
	size_t vectors[2];              /* of channels; of them: */
	size_t blocks[2], part[2];
	size_t shares, share;           /* of the pixels; how many each has */
	size_t chunk;                   /* of them multiplied at a time, at most PIXELS */
	size_t taps, inputs;            /* inputs: channels of x, with padding */
	size_t sum;                     /* numbers of a share's: [tap][outputs][inputs] */
	int bare;                       /* the sums are the gradient as it stands */
};

struct pairs_job {
	struct device *dev;
	const struct pairs_own *own;
	const struct value *value[2];
	const uint16_t *from[2];
	float *work, *sums, *dw;
};

/* Where each of the `count` outputs from `first` on reads at a tap of a window; -1: padding.
 * The last of an odd number has a companion there. */
static void places(const struct value *v, const struct slide *y, const struct slide *x, int ky,
		   int kx, size_t first, size_t count, ptrdiff_t *at)
{
	size_t outputs = (size_t)y->out * (size_t)x->out, i = 0;
	size_t row = first / (size_t)x->out;
	int begin = (int)(first % (size_t)x->out);

	for (; i < count; row++, begin = 0) {
		size_t n = row * (size_t)x->out / outputs;
		int down = (int)(row % (size_t)y->out) * y->stride - y->before + ky * y->dilation;
		int across = begin * x->stride - x->before + kx * x->dilation;
		int inside = down >= 0 && down < y->in;
		ptrdiff_t place = (ptrdiff_t)value_place(v, (int)n, 0, inside ? down : 0, 0);

		for (; begin < x->out && i < count; begin++, across += x->stride)
			at[i++] = inside && across >= 0 && across < x->in ?
				  place + (ptrdiff_t)across * v->lay.block : -1;
	}
	if (count % 2)
		at[count] = -1;
}

/* A piece: its block of both sides' vectors of channels. */
struct piece_of { size_t vector[2]; int vectors[2]; };

static const uint16_t *plane_of(const struct pairs_job *j, enum side side, size_t vector)
{
	const struct value *v = j->value[side];

	return j->from[side] + vector * (size_t)v->h * (size_t)v->w * (size_t)v->lay.block;
}

/* Outputs first .. of dy, or what they read of x at a tap, in pairs. */
static void pair(const struct pairs_job *j, const struct piece_of *b, enum side side, size_t tap,
		 size_t first, size_t count, float *to)
{
	const struct pairs_own *own = j->own;
	int k = own->x.k, dy = side == SIDE_DY;
	ptrdiff_t at[PIXELS];
	struct pair_pass f = { .from = plane_of(j, side, b->vector[side]),
			       .plane = (size_t)(plane_of(j, side, 1) - j->from[side]),
			       .vectors = b->vectors[side], .at = at,
			       .pairs = (count + 1) / 2, .to = to };

	places(j->value[side], dy ? &own->y_dy : &own->y, dy ? &own->x_dy : &own->x,
	       (int)tap / k, (int)tap % k, first, count, at);
	/* rows of products are numbers of a vector, columns whole panels */
	f.panel = dy ? 1 : j->dev->k16->panel;
	j->dev->k16->pair(&f);
}

/* What the outputs first .. last - 1 of a sample read: of each vector of channels, from the
 * first pixel to the last, in runs of as many lines as a chunk has pairs. */
static void near_sample(const struct pairs_job *j, const struct piece_of *b, enum side side,
			size_t first, size_t last, struct near *near)
{
	const struct pairs_own *own = j->own;
	const struct value *v = j->value[side];
	const struct slide *y = side == SIDE_DY ? &own->y_dy : &own->y;
	const struct slide *x = side == SIDE_DY ? &own->x_dy : &own->x;
	size_t across = (size_t)x->out, outputs = (size_t)y->out * across, n = first / outputs;
	size_t o[2] = { first % outputs, (last - 1) % outputs };
	int pixel[2][2];

	for (int i = 0; i < 4; i++) {
		const struct slide *s = i % 2 ? x : y;
		int at = (int)(i % 2 ? o[i / 2] % across : o[i / 2] / across);

		at = at * s->stride - s->before + (i / 2 ? (s->k - 1) * s->dilation : 0);
		pixel[i / 2][i % 2] = at < 0 ? 0 : at < s->in ? at : s->in - 1;
	}
	for (size_t k = 0; k < (size_t)b->vectors[side]; k++) {
		const uint16_t *plane = plane_of(j, side, b->vector[side] + k);
		size_t at = value_place(v, (int)n, 0, pixel[0][0], pixel[0][1]);
		size_t end = value_place(v, (int)n, 0, pixel[1][0], pixel[1][1]);

		near_add(near, (const char *)(plane + at),
			 (const char *)(plane + end + v->lay.block), own->chunk / 2);
	}
}

/* What the next `count` outputs read. */
static void near_make(const struct pairs_job *j, const struct piece_of *b, size_t first,
		      size_t count, struct near *near)
{
	size_t outputs = (size_t)j->own->y.out * (size_t)j->own->x.out, last;

	near->count = 0;
	for (; count; count -= last - first, first = last) {
		last = (first / outputs + 1) * outputs;
		last = last - first < count ? last : first + count;
		near_sample(j, b, SIDE_DY, first, last, near);
		near_sample(j, b, SIDE_X, first, last, near);
	}
}

/* The products of both sides' pairs at a tap, added to the share's; meanwhile its part of
 * what is to be near is asked for. */
static void products(const struct pairs_job *j, const struct piece_of *b, size_t pairs,
		     size_t tap, const float *dy, const float *x, float *sum, size_t outputs,
		     int add, const struct near *near)
{
	size_t width = (size_t)j->dev->k16->width, n = (outputs + width - 1) / width;
	struct product_pass f = { .a = dy, .b = x, .a_row = 1, .a_inner = width,
				  .c_row = j->own->inputs, .inner = pairs,
				  .vectors = b->vectors[SIDE_X], .add = add };

	for (size_t i = 0; i < n; i++, f.a += pairs * width) {
		f.rows = i + 1 < n ? width : outputs - i * width;
		f.c = sum + i * width * f.c_row;
		near_part(near, tap * n + i, j->own->taps * n, &f);
		j->dev->k16->product(&f);
	}
}

static void dw_piece(void *context, size_t i)
{
	const struct pairs_job *j = context;
	const struct pairs_own *own = j->own;
	size_t blocks = own->blocks[SIDE_DY] * own->blocks[SIDE_X], share = i / blocks;
	size_t block[2] = { i % blocks / own->blocks[SIDE_X], i % own->blocks[SIDE_X] };
	size_t width = (size_t)j->dev->k16->width, all = (size_t)j->value[SIDE_DY]->c;
	size_t first = share * own->share, output, outputs, count, next;
	size_t end = own->count - first < own->share ? own->count : first + own->share;
	float *a = j->work + (size_t)thread_of() * (PIXELS / 2) * width *
			     (own->part[SIDE_DY] + own->part[SIDE_X]);
	float *x = a + own->part[SIDE_DY] * (PIXELS / 2) * width, *sum;
	struct piece_of b;
	struct near near;

	for (int side = SIDE_DY; side <= SIDE_X; side++) {
		size_t left = own->vectors[side] - block[side] * own->part[side];

		b.vector[side] = block[side] * own->part[side];
		b.vectors[side] = (int)(left < own->part[side] ? left : own->part[side]);
	}
	output = b.vector[SIDE_DY] * width;
	outputs = (size_t)b.vectors[SIDE_DY] * width;
	if (all - output < outputs)
		outputs = all - output;
	sum = j->sums + share * own->sum + output * own->inputs + b.vector[SIDE_X] * width;
	count = end - first < own->chunk ? end - first : own->chunk;
	for (size_t p = first; p < end; p += count, count = next) {
		size_t left = end - p - count;

		next = left < own->chunk ? left : own->chunk;
		near_make(j, &b, p + count, next, &near);
		pair(j, &b, SIDE_DY, 0, p, count, a);
		for (size_t t = 0; t < own->taps; t++) {
			pair(j, &b, SIDE_X, t, p, count, x);
			products(j, &b, (count + 1) / 2, t, a, x, sum + t * all * own->inputs,
				 outputs, p > first, &near);
		}
	}
}

static void row_add(float *restrict to, const float *restrict from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] += from[i];
}

/* All filters of an output: sums of the shares, in OIHW. */
static void filter_piece(void *context, size_t o)
{
	const struct pairs_job *j = context;
	const struct pairs_own *own = j->own;
	size_t outputs = (size_t)j->value[SIDE_DY]->c, inputs = (size_t)j->value[SIDE_X]->c;

	for (size_t t = 0; t < own->taps; t++) {
		float *sum = j->sums + (t * outputs + o) * own->inputs;
		float *dw = j->dw + o * inputs * own->taps + t;

		for (size_t s = 1; s < own->shares; s++)
			row_add(sum, sum + s * own->sum, inputs);
		for (size_t i = 0; i < inputs; i++)
			dw[i * own->taps] = sum[i];
	}
}

static int pairs_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct pairs_own *own = s->own;
	struct pairs_job j = { .dev = dev, .own = own, .work = work_at(m, s) };
	size_t width = (size_t)dev->k16->width;

	for (int side = SIDE_DY; side <= SIDE_X; side++) {
		j.value[side] = value_at(m, s->in[side == SIDE_DY]);
		j.from[side] = memory_at(m, s->in[side == SIDE_DY]);
	}
	j.dw = memory_at(m, s->out[0]);
	j.sums = own->bare ? j.dw : j.work + (size_t)dev->threads * (PIXELS / 2) * width *
					     (own->part[SIDE_DY] + own->part[SIDE_X]);
	each(dev, own->shares * own->blocks[SIDE_DY] * own->blocks[SIDE_X], dw_piece, &j);
	if (!own->bare)
		each(dev, (size_t)j.value[SIDE_DY]->c, filter_piece, &j);
	return 0;
}

/* ---- prepare ---- */

static struct slide itself(int out)
{
	struct slide s = { out, out, 1, 1, 1, 0 };

	return s;
}

static void pairs_cut(const struct device *dev, struct pairs_own *own)
{
	size_t most = BLOCK / (size_t)dev->k16->width, blocks, chunks;

	vectors_cut(own->vectors[SIDE_DY], 1, most, &own->blocks[SIDE_DY], &own->part[SIDE_DY]);
	vectors_cut(own->vectors[SIDE_X], (size_t)dev->k16->panel, most, &own->blocks[SIDE_X],
		    &own->part[SIDE_X]);
	blocks = own->blocks[SIDE_DY] * own->blocks[SIDE_X];
	for (own->shares = 1; 2 * own->shares * blocks <= PIECES &&
	     2 * own->shares * own->sum * sizeof(float) <= SUMS; )
		own->shares *= 2;
	own->share = (own->count + own->shares - 1) / own->shares;
	own->share += own->share % 2;
	own->shares = (own->count + own->share - 1) / own->share;
	chunks = (own->share + PIXELS - 1) / PIXELS;
	own->chunk = (own->share + chunks - 1) / chunks;
	own->chunk += own->chunk % 2;
}

int pairs_prepare(struct device *dev, const struct conv_step *c)
{
	const struct value *x = &c->p->value[c->x], *dy = &c->p->value[c->y];
	struct pairs_own *own;
	size_t width;

	if (!c->conv.bf16 || c->conv.groups > 1 || !dev->k16 || x->lay.block != dev->k16->width ||
	    dy->lay.block != dev->k16->width)
		return 0;
	TRY(step_choose(c->s, "cpu", "pairs"));
	own = own_add(c->p, c->s, sizeof *own, pairs_run);
	if (!own)
		return -1;
	width = (size_t)dev->k16->width;
	own->y = conv_slide(&c->conv, 0);
	own->x = conv_slide(&c->conv, 1);
	own->y_dy = itself(dy->h);
	own->x_dy = itself(dy->w);
	own->count = (size_t)dy->n * (size_t)dy->h * (size_t)dy->w;
	own->vectors[SIDE_DY] = (size_t)dy->lay.pad / width;
	own->vectors[SIDE_X] = (size_t)x->lay.pad / width;
	own->taps = (size_t)c->conv.k[0] * (size_t)c->conv.k[1];
	own->inputs = (size_t)x->lay.pad;
	own->sum = own->taps * (size_t)dy->c * own->inputs;
	pairs_cut(dev, own);
	own->bare = own->shares == 1 && own->taps == 1 && x->lay.pad == x->c;
	c->s->work = ((size_t)dev->threads * (PIXELS / 2) * width *
		      (own->part[SIDE_DY] + own->part[SIDE_X]) +
		      (own->bare ? 0 : own->shares * own->sum)) * sizeof(float);
	return 1;
}
