/*
 * Gradients of weights as sums of outer products: at each tap of the window, those of all
 * channels of dy with all of x, over the batch's pixels. In bf16 two pixels at a time, as the
 * processor multiplies such numbers.
 *
 * A piece is a share of the pixels for a block of both sides' channels. So many pixels at a
 * time as a near cache holds are put beside one another, dy's once and x's for each tap, and
 * multiplied. The sums of the shares are added in the end; how many there are the shape
 * alone decides, so that results do not depend on the threads.
 */
#include "dev/cpu/conv.h"

#include "base/fail.h"

/* Steps of the inner sums at a time, of one pixel or two; channels of a block. */
enum { STEPS = 128, BLOCK = 256 };

enum { PIXELS = 2 * STEPS };

enum side { SIDE_DY, SIDE_X };

struct outer_own {
	struct own own;
	struct slide slide[2][2];       /* of each side, down and across; dy: itself */
	size_t outputs, count;          /* pixels of a sample's outputs, of the batch's */
	size_t vectors[2];              /* of channels; of them: */
	size_t blocks[2], part[2];
	size_t shares, share;           /* of the pixels; how many each has */
	size_t chunk;                   /* of them multiplied at a time */
	int whole;                      /* no chunk goes over the end of a sample */
	size_t taps, inputs;            /* inputs: channels of x, with padding */
	size_t sum;                     /* numbers of a share's: [tap][outputs][inputs] */
	size_t scratch;                 /* numbers a thread, for chunks of both sides */
	int bare;                       /* the sums are the gradient as it stands */
};

struct outer_job {
	const struct kernels *k;
	const struct outer_own *own;
	const struct value *value[2];
	const char *from[2];
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

static const char *plane_of(const struct outer_job *j, enum side side, size_t vector)
{
	const struct value *v = j->value[side];

	return j->from[side] + vector * (size_t)v->h * (size_t)v->w * (size_t)v->lay.block *
			       dtype_bytes(v->lay.type);
}

/* Steps of the inner sums over so many pixels. */
static size_t steps_of(const struct kernels *k, size_t pixels)
{
	return (pixels + (size_t)k->pixels - 1) / (size_t)k->pixels;
}

/* Outputs first .. of dy, or what they read of x at a tap, beside one another. */
static void gather(const struct outer_job *j, const struct piece_of *b, enum side side, size_t tap,
		   size_t first, size_t count, float *to)
{
	const struct outer_own *own = j->own;
	const struct value *v = j->value[side];
	const struct slide *s = own->slide[side];
	ptrdiff_t at[PIXELS];
	struct gather_pass f = { .from = plane_of(j, side, b->vector[side]),
				 .plane = (size_t)v->h * (size_t)v->w * (size_t)v->lay.block,
				 .vectors = b->vectors[side], .at = at, .pixels = count, .to = to };

	places(v, &s[0], &s[1], (int)tap / s[1].k, (int)tap % s[1].k, first, count, at);
	/* rows of products are numbers of a vector, columns whole panels */
	f.panel = side == SIDE_DY ? 1 : j->k->panel;
	j->k->gather(&f);
}

/* What the outputs first .. last - 1 of a sample read: of each vector of channels, from the
 * first pixel to the last. */
static void near_sample(const struct outer_job *j, const struct piece_of *b, enum side side,
			size_t first, size_t last, struct near *near)
{
	const struct outer_own *own = j->own;
	const struct value *v = j->value[side];
	size_t across = (size_t)own->slide[side][1].out;
	size_t outputs = own->outputs, n = first / outputs;
	size_t o[2] = { first % outputs, (last - 1) % outputs }, size = dtype_bytes(v->lay.type);
	int pixel[2][2];

	for (int i = 0; i < 4; i++) {
		const struct slide *s = &own->slide[side][i % 2];
		int at = (int)(i % 2 ? o[i / 2] % across : o[i / 2] / across);

		at = at * s->stride - s->before + (i / 2 ? (s->k - 1) * s->dilation : 0);
		pixel[i / 2][i % 2] = at < 0 ? 0 : at < s->in ? at : s->in - 1;
	}
	for (size_t k = 0; k < (size_t)b->vectors[side]; k++) {
		const char *plane = plane_of(j, side, b->vector[side] + k);
		size_t at = value_place(v, (int)n, 0, pixel[0][0], pixel[0][1]) * size;
		size_t end = value_place(v, (int)n, 0, pixel[1][0], pixel[1][1]) * size;

		near_add(near, plane + at, plane + end + (size_t)v->lay.block * size, STEPS / 2);
	}
}

/* What the next `count` outputs read. */
static void near_make(const struct outer_job *j, const struct piece_of *b, size_t first,
		      size_t count, struct near *near)
{
	size_t outputs = j->own->outputs, last;

	near->count = 0;
	for (; count; count -= last - first, first = last) {
		last = (first / outputs + 1) * outputs;
		last = last - first < count ? last : first + count;
		near_sample(j, b, SIDE_DY, first, last, near);
		near_sample(j, b, SIDE_X, first, last, near);
	}
}

/* The products of both sides at a tap, added to the share's; meanwhile its part of what is
 * to be near is asked for. a_next: numbers from vector to vector of dy. */
static void products(const struct outer_job *j, const struct piece_of *b, size_t count,
		     size_t tap, const float *dy, size_t a_next, const float *x, float *sum,
		     size_t outputs, int add, const struct near *near)
{
	size_t width = (size_t)j->k->width, n = (outputs + width - 1) / width;
	struct product_pass f = { .a = dy, .b = x, .a_row = 1, .a_inner = width,
				  .c_row = j->own->inputs, .vectors = b->vectors[SIDE_X],
				  .add = add };

	f.inner = steps_of(j->k, count);
	for (size_t i = 0; i < n; i++, f.a += a_next) {
		f.rows = i + 1 < n ? width : outputs - i * width;
		f.c = sum + i * width * f.c_row;
		near_part(near, tap * n + i, j->own->taps * n, &f);
		j->k->product(&f);
	}
}

/* Pixels of a share's chunk, from p on. */
static size_t chunk_of(const struct outer_own *own, size_t p, size_t end)
{
	size_t left = end - p, sample = own->outputs - p % own->outputs;

	if (own->whole && sample < left)
		left = sample;
	return left < own->chunk ? left : own->chunk;
}

/* Channels of a piece, and what they write. */
static void piece_make(const struct outer_job *j, size_t i, struct piece_of *b)
{
	const struct outer_own *own = j->own;
	size_t blocks[2] = { i / own->blocks[SIDE_X] % own->blocks[SIDE_DY],
			     i % own->blocks[SIDE_X] };

	for (int side = SIDE_DY; side <= SIDE_X; side++) {
		size_t left;

		b->vector[side] = blocks[side] * own->part[side];
		left = own->vectors[side] - b->vector[side];
		b->vectors[side] = (int)(left < own->part[side] ? left : own->part[side]);
	}
}

static void dw_piece(void *context, size_t i)
{
	const struct outer_job *j = context;
	const struct outer_own *own = j->own;
	const struct value *dy = j->value[SIDE_DY];
	size_t width = (size_t)j->k->width, share = i / (own->blocks[0] * own->blocks[1]);
	size_t first = share * own->share, output, outputs, count, end = first + own->share;
	float *a = j->work + (size_t)thread_of() * own->scratch, *x, *sum;
	struct piece_of b;
	struct near near;

	piece_make(j, i, &b);
	x = a + own->part[SIDE_DY] * STEPS * width;
	output = b.vector[SIDE_DY] * width;
	outputs = (size_t)b.vectors[SIDE_DY] * width;
	if ((size_t)dy->c - output < outputs)
		outputs = (size_t)dy->c - output;
	sum = j->sums + share * own->sum + output * own->inputs + b.vector[SIDE_X] * width;
	end = end < own->count ? end : own->count;
	for (size_t p = first; p < end; p += count) {
		const float *from = a;
		size_t next = steps_of(j->k, count = chunk_of(own, p, end)) * width;

		near_make(j, &b, p + count, p + count < end ? chunk_of(own, p + count, end) : 0,
			  &near);
		if (own->whole && j->k->pixels == 1) {
			/* they lie side by side as it is */
			from = (const float *)plane_of(j, SIDE_DY, b.vector[SIDE_DY]) +
			       value_place(dy, (int)(p / own->outputs), 0, 0, 0) +
			       p % own->outputs * width;
			next = own->outputs * width;
		} else {
			gather(j, &b, SIDE_DY, 0, p, count, a);
		}
		for (size_t t = 0; t < own->taps; t++) {
			gather(j, &b, SIDE_X, t, p, count, x);
			products(j, &b, count, t, from, next, x,
				 sum + t * (size_t)dy->c * own->inputs, outputs, p > first, &near);
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
	const struct outer_job *j = context;
	const struct outer_own *own = j->own;
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

static int outer_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct outer_own *own = s->own;
	struct outer_job j = { .own = own, .work = work_at(m, s) };

	for (int side = SIDE_DY; side <= SIDE_X; side++) {
		j.value[side] = value_at(m, s->in[side == SIDE_DY]);
		j.from[side] = memory_at(m, s->in[side == SIDE_DY]);
	}
	j.k = kernels_of(dev, j.value[SIDE_X]);
	j.dw = memory_at(m, s->out[0]);
	j.sums = own->bare ? j.dw : j.work + (size_t)dev->threads * own->scratch;
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

/* n in parts of nearly the same size, even ones, and none larger than `most` where that is
 * even. */
static size_t even_part(size_t n, size_t most)
{
	size_t parts = (n + most - 1) / most, part = (n + parts - 1) / parts;

	return part + part % 2;
}

static void outer_cut(const struct kernels *k, struct outer_own *own)
{
	size_t most = BLOCK / (size_t)k->width, chunk = STEPS * (size_t)k->pixels;

	vectors_cut(own->vectors[SIDE_DY], 1, most, &own->blocks[SIDE_DY], &own->part[SIDE_DY]);
	vectors_cut(own->vectors[SIDE_X], (size_t)k->panel, most, &own->blocks[SIDE_X],
		    &own->part[SIDE_X]);
	own->shares = shares_of(own->blocks[SIDE_DY] * own->blocks[SIDE_X], own->sum);
	own->share = even_part(own->count, (own->count + own->shares - 1) / own->shares);
	own->shares = (own->count + own->share - 1) / own->share;
	own->whole = 2 * own->outputs >= chunk;
	own->chunk = even_part(own->whole ? own->outputs : own->share, chunk);
	own->scratch = (own->part[SIDE_DY] + own->part[SIDE_X]) * STEPS * (size_t)k->width;
}

int outer_prepare(struct device *dev, const struct conv_step *c)
{
	const struct value *x = &c->p->value[c->x], *dy = &c->p->value[c->y];
	const struct kernels *k = kernels_of(dev, x);
	struct outer_own *own;

	if (c->direction != DNN_BACKWARD_WEIGHTS || c->conv.groups > 1 || !k ||
	    x->lay.block != k->width || dy->lay.block != k->width)
		return 0;
	TRY(step_choose(c->s, "cpu", "outer"));
	own = own_add(c->p, c->s, sizeof *own, outer_run);
	if (!own)
		return -1;
	for (int i = 0; i < 2; i++) {
		own->slide[SIDE_X][i] = conv_slide(&c->conv, i);
		own->slide[SIDE_DY][i] = itself(i ? dy->w : dy->h);
	}
	own->outputs = (size_t)dy->h * (size_t)dy->w;
	own->count = (size_t)dy->n * own->outputs;
	own->vectors[SIDE_DY] = (size_t)(dy->lay.pad / k->width);
	own->vectors[SIDE_X] = (size_t)(x->lay.pad / k->width);
	own->taps = (size_t)c->conv.k[0] * (size_t)c->conv.k[1];
	own->inputs = (size_t)x->lay.pad;
	own->sum = own->taps * (size_t)dy->c * own->inputs;
	outer_cut(k, own);
	own->bare = own->shares == 1 && own->taps == 1 && x->lay.pad == x->c;
	c->s->work = ((size_t)dev->threads * own->scratch +
		      (own->bare ? 0 : own->shares * own->sum)) * sizeof(float);
	return 1;
}
