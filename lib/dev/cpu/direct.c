/*
 * The own convolution: plain sums with a vector of channels at a time, for every
 * shape that the language has. Lanes of a vector are channels of the side that is
 * written; what each reads of the other side is said by struct direct_pass.
 */
#include "dev/cpu/conv.h"

#include "base/bytes.h"
#include "base/fail.h"

#include <stdio.h>
#include <string.h>

struct direct_own {
	struct own own;
	struct slide y, x;
	enum lanes lanes;
	int inner;              /* channels that each lane sums over */
	int lane_blocks;        /* vectors of the side with lanes */
	int tables;             /* gather tables: 1, or one for each lane block */
	int32_t *gather;        /* [tables][inner][width] */
	int32_t *near;          /* [inner][width], 64 bytes aligned */
	size_t taps;
	size_t dw_size;         /* doubles of a chunk's weights */
	int chunks, chunk;      /* of samples, for gradients of weights */
	struct epilogue after;
};

/* The side with lanes and the other side: channels, and channels of a group. */
struct sides { int to_c, to_group, from_group; };

static struct sides sides_of(const struct dnn_conv *c, enum dnn_direction direction)
{
	int in = c->in_c / c->groups, out = c->out_c / c->groups;
	struct sides s = { c->out_c, out, in };

	if (direction == DNN_BACKWARD_DATA)
		s = (struct sides){ c->in_c, in, out };
	return s;
}

static enum lanes lanes_of(const struct sides *s, int width, int from_block)
{
	if (s->to_group % width == 0 || s->to_group == s->to_c)
		return LANES_SAME;
	if (s->to_group == s->from_group && width % s->to_group == 0 && from_block % width == 0)
		return LANES_NEAR;
	return LANES_GATHER;
}

/* ---- packing ---- */

static int lane_blocks(const struct device *dev, const struct pack_attr *a)
{
	return a->to_pad / dev->k->width;
}

size_t direct_pack_bytes(const struct device *dev, const struct pack_attr *a)
{
	struct sides s = sides_of(&a->conv, a->direction);

	return (size_t)lane_blocks(dev, a) * (size_t)dev->k->width * (size_t)s.from_group *
	       (size_t)a->conv.k[0] * (size_t)a->conv.k[1] * sizeof(float);
}

/* [lane block][k0][k1][inner][width] of OIHW; lanes beyond the channels are zero. */
void direct_pack(struct device *dev, const struct pack_attr *a, const float *w, float *packed)
{
	struct sides s = sides_of(&a->conv, a->direction);
	int taps = a->conv.k[0] * a->conv.k[1], width = dev->k->width;
	int in_group = a->conv.in_c / a->conv.groups;

	for (int b = 0; b < lane_blocks(dev, a); b++)
		for (int t = 0; t < taps; t++)
			for (int j = 0; j < s.from_group; j++)
				for (int l = 0; l < width; l++) {
					int c = b * width + l, o = c, i = j;

					if (a->direction == DNN_BACKWARD_DATA) {
						o = c / s.to_group * s.from_group + j;
						i = c % s.to_group;
					}
					*packed++ = c >= s.to_c ? 0 :
						w[((size_t)o * (size_t)in_group + (size_t)i) *
						  (size_t)taps + (size_t)t];
				}
}

int direct_pack_add(struct device *dev, const struct conv_step *c, enum dnn_direction direction)
{
	int to = direction == DNN_FORWARD ? c->y : c->x;
	struct pack_attr a;
	char key[48];

	memset(&a, 0, sizeof a);
	a.way = PACK_DIRECT;
	a.direction = direction;
	a.to_pad = c->p->value[to].lay.pad;
	a.conv = c->conv;
	snprintf(key, sizeof key, "own:%d:%d", (int)direction, a.to_pad);
	return program_pack(c->p, (int)(c->s - c->p->step), 1, key, direct_pack_bytes(dev, &a), &a,
			    sizeof a);
}

/* ---- run ---- */

struct direct_job {
	struct device *dev;
	const struct direct_own *own;
	const struct value *from, *to;  /* the sides read and written */
	const float *x, *w, *bias, *add;
	float *y;
	double *sum;
	int backward;
};

static size_t sample_numbers(const struct value *v)
{
	return (size_t)v->h * (size_t)v->w * (size_t)v->lay.pad;
}

/* The first of lane block b in row `row` of sample n. */
static size_t lanes_place(const struct direct_job *j, int n, int b, int row)
{
	return value_place(j->to, n, b * j->dev->k->width, row, 0);
}

static struct direct_pass pass_of(const struct direct_job *j, int n, int b)
{
	const struct direct_own *own = j->own;
	size_t width = (size_t)j->dev->k->width, inner = (size_t)own->inner;
	struct direct_pass f = { .y = own->y, .x = own->x, .lanes = own->lanes };

	f.inner = own->inner;
	f.width = (int)width;
	f.from_block = j->from->lay.block;
	f.to_block = j->to->lay.block;
	f.from = j->x + (size_t)n * sample_numbers(j->from);
	f.gather = own->gather + (own->tables > 1 ? (size_t)b * inner * width : 0);
	f.near = own->near;
	if (j->w)
		f.w = j->w + (size_t)b * own->taps * inner * width;
	if (j->bias)
		f.bias = j->bias + (size_t)b * width;
	return f;
}

static void direct_piece(void *context, size_t i)
{
	const struct direct_job *j = context;
	int rows = j->to->h, row = (int)(i % (size_t)rows);
	int b = (int)(i / (size_t)rows % (size_t)j->own->lane_blocks);
	int n = (int)(i / (size_t)rows / (size_t)j->own->lane_blocks);
	struct direct_pass f = pass_of(j, n, b);

	f.to = j->y + lanes_place(j, n, b, row);
	f.act = j->own->after.act;
	if (j->add)
		f.add = j->add + lanes_place(j, n, b, row);
	if (j->backward)
		j->dev->k->direct_dx(&f, row);
	else
		j->dev->k->direct(&f, row);
}

static int direct_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct direct_job j = { .dev = dev, .own = s->own };
	const float *bias = s->kind == STEP_CONV ? memory_at(m, step_in(s, 2)) : NULL;

	j.backward = s->kind == STEP_CONV_DX;
	j.from = value_at(m, s->in[0]);
	j.to = value_at(m, j.own->after.y);
	j.x = memory_at(m, s->in[0]);
	j.w = memory_at(m, s->in[1]);
	j.y = memory_at(m, j.own->after.y);
	j.add = memory_at(m, j.own->after.add);
	if (bias) {
		float *padded = work_at(m, s);

		memset(padded, 0, (size_t)j.to->lay.pad * sizeof *padded);
		memcpy(padded, bias, (size_t)j.to->c * sizeof *padded);
		j.bias = padded;
	}
	each(dev, (size_t)j.to->n * (size_t)j.own->lane_blocks * (size_t)j.to->h, direct_piece, &j);
	return 0;
}

/* ---- gradients of weights ---- */

/* Inner channel i of lane block b, over the samples of a chunk. */
static void dw_piece(void *context, size_t i)
{
	const struct direct_job *j = context;
	const struct direct_own *own = j->own;
	int inner = (int)(i % (size_t)own->inner);
	int b = (int)(i / (size_t)own->inner % (size_t)own->lane_blocks);
	int chunk = (int)(i / (size_t)own->inner / (size_t)own->lane_blocks);
	int n, end = (chunk + 1) * own->chunk;
	size_t width = (size_t)j->dev->k->width;
	double *sum = j->sum + (size_t)chunk * own->dw_size +
		      (size_t)b * (size_t)own->inner * own->taps * width;

	memset(sum + (size_t)inner * own->taps * width, 0, own->taps * width * sizeof *sum);
	for (n = chunk * own->chunk; n < end && n < j->from->n; n++) {
		struct direct_pass f = pass_of(j, n, b);

		f.sum = sum;
		f.dy = j->y + lanes_place(j, n, b, 0);
		/* row by row, so that all taps find the row in the nearest cache */
		for (int row = 0; row < own->y.out; row++)
			j->dev->k->direct_dw(&f, inner, row);
	}
}

static int direct_dw_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct direct_own *own = s->own;
	struct direct_job j = { .dev = dev, .own = own };
	size_t width = (size_t)dev->k->width, filter = (size_t)own->inner * own->taps;
	float *dw = memory_at(m, s->out[0]);

	j.from = value_at(m, s->in[0]);
	j.to = value_at(m, s->in[1]);
	j.x = memory_at(m, s->in[0]);
	j.y = memory_at(m, s->in[1]);
	j.sum = work_at(m, s);
	each(dev, (size_t)own->chunks * (size_t)own->lane_blocks * (size_t)own->inner, dw_piece,
	     &j);
	for (int o = 0; o < j.to->c; o++)
		for (size_t t = 0; t < filter; t++) {
			const double *from = j.sum + ((size_t)o / width * filter + t) * width +
					     (size_t)o % width;
			double total = 0;

			for (int k = 0; k < own->chunks; k++)
				total += from[(size_t)k * own->dw_size];
			dw[(size_t)o * filter + t] = (float)total;
		}
	return 0;
}

/* ---- prepare ---- */

/* Where each lane's inner channels are, from a pixel of the first plane on. */
static int gather_make(struct device *dev, const struct conv_step *c, struct direct_own *own,
		       const struct sides *s, const struct value *from)
{
	size_t width = (size_t)dev->k->width, i;
	size_t count = (size_t)own->tables * (size_t)own->inner * width;

	if (sample_numbers(from) > INT32_MAX)
		return fail("cpu: %s: too many numbers in a sample", step_name(c->s->kind));
	own->gather = program_alloc(c->p, count * sizeof *own->gather);
	if (!own->gather)
		return -1;
	for (i = 0; i < count; i++) {
		int b = (int)(i / width / (size_t)own->inner);
		int j = (int)(i / width % (size_t)own->inner);
		int lane = b * (int)width + (int)(i % width);

		if (lane < s->to_c)
			own->gather[i] = (int32_t)value_place(from, 0,
				lane / s->to_group * s->from_group + j, 0, 0);
	}
	if (own->lanes != LANES_NEAR)
		return 0;
	own->near = program_alloc(c->p, (size_t)own->inner * width * sizeof *own->near + 64);
	if (!own->near)
		return -1;
	own->near = (int32_t *)round_up((uintptr_t)own->near, 64);
	for (i = 0; i < (size_t)own->inner * width; i++)
		own->near[i] = (int32_t)(i % width) / s->to_group * s->to_group
			+ (int32_t)(i / width);
	return 0;
}

int direct_prepare(struct device *dev, const struct conv_step *c)
{
	struct sides s = sides_of(&c->conv, c->direction);
	const struct value *from = &c->p->value[c->direction == DNN_BACKWARD_DATA ? c->y : c->x];
	const struct value *to = &c->p->value[c->direction == DNN_BACKWARD_DATA ? c->x : c->y];
	int dw = c->direction == DNN_BACKWARD_WEIGHTS, pieces;
	struct direct_own *own;

	if (!layout_walks(dev, to, to->lay) || c->conv.bf16)
		return fail("cpu: %s: no kernel for channels in blocks of %d",
			    step_name(c->s->kind), to->lay.block);
	TRY(step_choose(c->s, "cpu", "own"));
	own = own_add(c->p, c->s, sizeof *own, dw ? direct_dw_run : direct_run);
	if (!own)
		return -1;
	own->after = c->after;
	own->y = conv_slide(&c->conv, 0);
	own->x = conv_slide(&c->conv, 1);
	own->lanes = lanes_of(&s, dev->k->width, from->lay.block);
	own->inner = s.from_group;
	own->lane_blocks = to->lay.pad / dev->k->width;
	own->tables = c->conv.groups > 1 ? own->lane_blocks : 1;
	own->taps = (size_t)c->conv.k[0] * (size_t)c->conv.k[1];
	TRY(gather_make(dev, c, own, &s, from));
	if (!dw) {
		TRY(direct_pack_add(dev, c, c->direction));
		c->s->work = c->conv.bias ? (size_t)to->lay.pad * sizeof(float) : 0;
		return 0;
	}
	own->dw_size = (size_t)own->lane_blocks * (size_t)own->inner * own->taps *
		       (size_t)dev->k->width;
	/* enough pieces for many threads, by the shape alone */
	pieces = own->lane_blocks * own->inner;
	own->chunks = pieces >= 64 ? 1 : (64 + pieces - 1) / pieces;
	if (own->chunks > from->n)
		own->chunks = from->n;
	own->chunk = (from->n + own->chunks - 1) / own->chunks;
	c->s->work = (size_t)own->chunks * own->dw_size * sizeof(double);
	return 0;
}
