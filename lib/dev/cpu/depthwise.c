/*
 * Depthwise convolutions, each channel with a filter of its own: own kernels, since
 * oneDNN's reach 15 to 45 % of what memory gives, and few shapes in bf16.
 */
#include "dev/cpu/conv.h"

#include "base/fail.h"

#include <string.h>

/* Pieces of work for many threads; rows of a plane that are worth a piece. */
enum { ENOUGH = 64, LEAST_ROWS = 4 };

struct depth_own {
	struct own own;
	struct slide y, x;
	int turned;
	int cuts, cut;          /* of a plane's rows that are written */
	int chunks, chunk;      /* of samples, for gradients of weights */
	struct epilogue after;
};

struct depth_job {
	struct device *dev;
	const struct depth_own *own;
	const struct value *x, *y;      /* the input's and the output's side */
	const char *from, *dy, *add;
	char *to;
	void (*kernel)(const struct depthwise_pass *);
	const float *w, *bias;
	double *sum;
};

int depth_fits(const struct conv_attr *a)
{
	return a->groups > 1 && a->groups == a->in_c && a->groups == a->out_c &&
	       a->window.k[0] * a->window.k[1] <= DEPTH_TAPS;
}

/* ---- run ---- */

/* Bytes of a plane of the value's blocks. */
static size_t plane_bytes(const struct value *v)
{
	return (size_t)v->h * (size_t)v->w * (size_t)v->lay.block * dtype_bytes(v->lay.type);
}

/* Vector i of all planes' vectors: where it begins in a value. */
static size_t vector_at(const struct depth_job *j, const struct value *v, size_t i)
{
	size_t vectors = (size_t)(v->lay.block / j->dev->k->width);

	return i / vectors * plane_bytes(v) +
	       i % vectors * (size_t)j->dev->k->width * dtype_bytes(v->lay.type);
}

/* Vectors of channels of one sample. */
static size_t vectors_of(const struct depth_job *j)
{
	return (size_t)(j->x->lay.pad / j->dev->k->width);
}

static struct depthwise_pass pass_of(const struct depth_job *j, size_t vector)
{
	size_t width = (size_t)j->dev->k->width, b = vector % vectors_of(j);
	size_t taps = (size_t)j->own->y.k * (size_t)j->own->x.k;
	struct depthwise_pass f = { .y = j->own->y, .x = j->own->x, .turned = j->own->turned };

	f.block = j->x->lay.block;
	if (j->w)
		f.w = j->w + b * taps * width;
	if (j->bias)
		f.bias = j->bias + b * width;
	if (j->dy)
		f.dy = j->dy + vector_at(j, j->y, vector);
	return f;
}

/* Piece i: some rows of a plane of v; gives the plane's vector. */
static size_t rows_of(struct depthwise_pass *f, const struct depth_job *j, const struct value *v,
		      size_t i)
{
	size_t vector = i / (size_t)j->own->cuts;

	*f = pass_of(j, vector);
	f->row = (int)(i % (size_t)j->own->cuts) * j->own->cut;
	f->end = f->row + j->own->cut < v->h ? f->row + j->own->cut : v->h;
	f->to = j->to + vector_at(j, v, vector);
	f->stream = value_streams(v);
	return vector;
}

static void forward_piece(void *context, size_t i)
{
	const struct depth_job *j = context;
	struct depthwise_pass f;
	size_t vector = rows_of(&f, j, j->y, i);

	f.from = j->from + vector_at(j, j->x, vector);
	f.act = j->own->after.act;
	if (j->add)
		f.add = j->add + vector_at(j, j->y, vector);
	j->kernel(&f);
}

static void dx_piece(void *context, size_t i)
{
	const struct depth_job *j = context;
	struct depthwise_pass f;

	rows_of(&f, j, j->x, i);
	f.from = f.dy;
	j->kernel(&f);
}

static struct depth_job job_of(struct device *dev, const struct memory *m, const struct step *s,
			       int x, int y)
{
	struct depth_job j = { .dev = dev, .own = s->own, .x = value_at(m, x),
			       .y = value_at(m, y) };

	return j;
}

static int depth_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct epilogue *after = &((const struct depth_own *)s->own)->after;
	int forward = s->kind == STEP_CONV;
	struct depth_job j = job_of(dev, m, s, forward ? s->in[0] : s->out[0],
				    forward ? after->y : s->in[0]);
	const float *bias = forward ? memory_at(m, step_in(s, 2)) : NULL;

	j.w = memory_at(m, s->in[1]);
	j.to = memory_at(m, after->y);
	j.add = memory_at(m, after->add);
	j.kernel = forward || j.own->turned ? kernels_of(dev, j.x)->depthwise :
		   kernels_of(dev, j.x)->depthwise_dx;
	if (forward)
		j.from = memory_at(m, s->in[0]);
	else
		j.dy = memory_at(m, s->in[0]);
	if (bias) {
		float *padded = work_at(m, s);

		memset(padded, 0, (size_t)j.y->lay.pad * sizeof *padded);
		memcpy(padded, bias, (size_t)j.y->c * sizeof *padded);
		j.bias = padded;
	}
	each(dev, (size_t)j.x->n * vectors_of(&j) * (size_t)j.own->cuts,
	     forward ? forward_piece : dx_piece, &j);
	return 0;
}

/* ---- gradients of weights ---- */

/* A vector of channels over the samples of a chunk. */
static void dw_piece(void *context, size_t i)
{
	const struct depth_job *j = context;
	const struct depth_own *own = j->own;
	size_t vectors = vectors_of(j), b = i % vectors;
	size_t filter = (size_t)own->y.k * (size_t)own->x.k * (size_t)j->dev->k->width;
	int chunk = (int)(i / vectors), end = (chunk + 1) * own->chunk;
	double *sum = j->sum + i * filter;

	memset(sum, 0, filter * sizeof *sum);
	for (int n = chunk * own->chunk; n < end && n < j->x->n; n++) {
		size_t vector = (size_t)n * vectors + b;
		struct depthwise_pass f = pass_of(j, vector);

		f.from = j->from + vector_at(j, j->x, vector);
		f.sum = sum;
		j->kernel(&f);
	}
}

static int depth_dw_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct depth_job j = job_of(dev, m, s, s->in[0], s->in[1]);
	size_t width = (size_t)dev->k->width, vectors = vectors_of(&j);
	size_t taps = (size_t)j.own->y.k * (size_t)j.own->x.k;
	float *dw = memory_at(m, s->out[0]);

	j.from = memory_at(m, s->in[0]);
	j.dy = memory_at(m, s->in[1]);
	j.kernel = kernels_of(dev, j.x)->depthwise_dw;
	j.sum = work_at(m, s);
	each(dev, (size_t)j.own->chunks * vectors, dw_piece, &j);
	for (size_t c = 0; c < (size_t)j.x->c; c++)
		for (size_t t = 0; t < taps; t++) {
			const double *from = j.sum + (c / width * taps + t) * width + c % width;
			double total = 0;

			for (int k = 0; k < j.own->chunks; k++)
				total += from[(size_t)k * vectors * taps * width];
			dw[c * taps + t] = (float)total;
		}
	return 0;
}

/* ---- prepare ---- */

/* Into how many parts, of so many at most, each piece of work is cut so that there are
 * enough for many threads; by the shape alone. */
static int cuts_of(int pieces, int most)
{
	int cuts = pieces >= ENOUGH ? 1 : (ENOUGH + pieces - 1) / pieces;

	return cuts < most ? cuts : most;
}

static struct slide slide_of(const struct dnn_conv *c, int axis, int turned)
{
	struct slide s = conv_slide(c, axis);

	if (turned) {
		int in = s.in;

		s.in = s.out;
		s.out = in;
		s.before = (s.k - 1) * s.dilation - s.before;
	}
	return s;
}

int depth_takes(const struct device *dev, const struct conv_step *c)
{
	const struct value *x = &c->p->value[c->x], *y = &c->p->value[c->y];

	return depth_fits(c->a) && x->lay.block == y->lay.block && x->lay.pad == y->lay.pad &&
	       layout_walks(dev, x, x->lay) && layout_walks(dev, y, y->lay);
}

int depth_prepare(struct device *dev, const struct conv_step *c)
{
	const struct value *x = &c->p->value[c->x], *y = &c->p->value[c->y];
	int dw = c->direction == DNN_BACKWARD_WEIGHTS, vectors = x->lay.pad / dev->k->width;
	size_t filter = (size_t)c->conv.k[0] * (size_t)c->conv.k[1] * (size_t)dev->k->width;
	struct depth_own *own;

	if (!depth_takes(dev, c))
		return 0;
	TRY(step_choose(c->s, "cpu", "depthwise"));
	own = own_add(c->p, c->s, sizeof *own, dw ? depth_dw_run : depth_run);
	if (!own)
		return -1;
	own->after = c->after;
	own->turned = c->direction == DNN_BACKWARD_DATA && c->conv.stride[0] == 1 &&
		      c->conv.stride[1] == 1;
	own->y = slide_of(&c->conv, 0, own->turned);
	own->x = slide_of(&c->conv, 1, own->turned);
	if (!dw) {
		int rows = c->direction == DNN_FORWARD ? y->h : x->h;

		own->cuts = cuts_of(x->n * vectors, (rows + LEAST_ROWS - 1) / LEAST_ROWS);
		own->cut = (rows + own->cuts - 1) / own->cuts;
		/* in both directions the same */
		TRY(direct_pack_add(dev, c, DNN_FORWARD));
		c->s->work = c->conv.bias ? (size_t)y->lay.pad * sizeof(float) : 0;
		return 1;
	}
	own->chunks = cuts_of(vectors, x->n);
	own->chunk = (x->n + own->chunks - 1) / own->chunks;
	c->s->work = (size_t)own->chunks * (size_t)vectors * filter * sizeof(double);
	return 1;
}
