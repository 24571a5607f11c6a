/*
 * Layouts, by rule. Convolutions like channels in blocks of a vector; whatever
 * follows keeps what it finds. Pixels of the input stay in planes (block 1), from
 * which oneDNN's kernels for first convolutions read.
 */
#include "base/bytes.h"
#include "base/fail.h"
#include "dev/cpu/conv.h"

enum { CHUNK = 1 << 16 };       /* numbers of a piece at most: an eighth of a cache of 2 MiB */
enum { STREAMS = 24 << 20 };    /* bytes from which on values go past the caches */

struct planes planes_of(const struct value *v)
{
	struct planes p;

	p.block = v->lay.block;
	p.blocks = v->lay.pad / v->lay.block;
	p.count = (size_t)v->n * (size_t)p.blocks;
	p.pixels = (size_t)v->h * (size_t)v->w;
	p.size = dtype_bytes(v->lay.type);
	p.chunk = CHUNK / (size_t)p.block;
	if (p.chunk < 8)
		p.chunk = 8;
	p.chunks = (p.pixels + p.chunk - 1) / p.chunk;
	return p;
}

int value_streams(const struct value *v)
{
	return v->bytes >= STREAMS;
}

int kind_shorts(const struct program *p, const struct step *s)
{
	switch (s->kind) {
	case STEP_INPUT:
	case STEP_CONV:
	case STEP_CONV_DX:
	case STEP_CONV_DW:
	case STEP_CHANNEL_SUM:
	case STEP_STATS:
	case STEP_AFFINE:
	case STEP_ADD:
	case STEP_CAT:
	case STEP_SLICE:
	case STEP_MAXPOOL:
	case STEP_AVGPOOL:
	case STEP_BN_SUMS:
	case STEP_BN_DX:
	case STEP_MUL_SUM:
	case STEP_MAXPOOL_DX:
	case STEP_AVGPOOL_DX:
	case STEP_COPY:
		return 1;
	case STEP_ACT:
	case STEP_ACT_DX:
		return act_pass(s) >= 0;
	case STEP_MUL:
		/* a master is fp32 */
		return p->value[s->in[1]].arena != ARENA_PARAM;
	default:
		return 0;
	}
}

/* What a step works in. */
static enum dtype type_of(const struct program *p, const struct step *s)
{
	return p->options.precision == DTYPE_BF16 && kind_shorts(p, s) ? DTYPE_BF16 : DTYPE_F32;
}

static struct layout blocked(const struct device *dev, int c, enum dtype type)
{
	struct layout l = { dev->block, (int)round_up((size_t)c, (size_t)dev->block), type };

	return l;
}

static struct layout flat(int c, enum dtype type)
{
	struct layout l = { 1, c, type };

	return l;
}

int layout_walks(const struct device *dev, const struct value *v, struct layout l)
{
	return l.block > 0 && l.block % dev->k->width == 0 &&
	       (l.type == DTYPE_F32 || (l.type == DTYPE_BF16 && dev->k16)) &&
	       l.pad % l.block == 0 && (size_t)l.pad <= round_up((size_t)v->c, 16);
}

/* What a step will work in over its first operand: the operand's blocks if it can. */
static struct layout walking(const struct device *dev, const struct program *p,
			     const struct step *s, struct layout l)
{
	const struct value *v = &p->value[s->in[0]];
	enum dtype type = type_of(p, s);

	if (!layout_walks(dev, v, l))
		return blocked(dev, v->c, type);
	l.type = type;
	return l;
}

static struct layout as_type(struct layout l, enum dtype type)
{
	l.type = type;
	return l;
}

/* The input's side of a convolution, given what arrives. */
static struct layout conv_in(const struct device *dev, const struct conv_attr *a,
			     struct layout l, enum dtype type)
{
	if (is_product(a)) {
		/* rows of numbers in the order of the weights */
		if (a->in_h > 1 || a->in_w > 1)
			return flat(a->in_c, type);
		return l.type == type && l.block > 0 && l.pad >= a->in_c ? l :
		       blocked(dev, a->in_c, type);
	}
	if (a->groups == 1 && a->in_c <= 4 && l.block == 1)
		return flat(a->in_c, type);
	return blocked(dev, a->in_c, type);
}

/* Products are fp32, and so is what the library has no kernel of bf16 for. */
static enum dtype conv_type(const struct device *dev, const struct program *p,
			    const struct step *s, struct layout l)
{
	const struct conv_attr *a = s->attr;

	if (type_of(p, s) == DTYPE_BF16 && !is_product(a) &&
	    (depth_fits(a) || conv_short(a, s->kind, p->value[s->in[0]].n,
					 conv_in(dev, a, l, DTYPE_BF16).block, dev->block)))
		return DTYPE_BF16;
	return DTYPE_F32;
}

static void conv_layout(const struct device *dev, const struct program *p,
			const struct step *s, struct layout *in, struct layout *out)
{
	const struct conv_attr *a = s->attr;
	struct layout x = s->kind == STEP_CONV_DX ? blocked(dev, a->in_c, DTYPE_F32) : in[0];
	enum dtype type = conv_type(dev, p, s, x);
	struct layout y = blocked(dev, a->out_c, type);

	x = conv_in(dev, a, x, type);
	if (s->kind == STEP_CONV) {
		in[0] = x;
		out[0] = y;
	} else if (s->kind == STEP_CONV_DX) {
		in[0] = y;
		out[0] = x;
	} else {
		in[0] = x;
		in[1] = y;
	}
}

/* All full operands as the first, and the first output too. */
static void alike(const struct device *dev, const struct program *p, const struct step *s,
		  int operands, struct layout *in, struct layout *out)
{
	struct layout l = walking(dev, p, s, in[0]);
	int k;

	for (k = 0; k < operands && k < s->ins; k++)
		in[k] = l;
	if (s->outs > 0 && s->out[0] >= 0)
		out[0] = l;
}

int cpu_layout(void *arg, const struct program *p, int step, struct layout *in,
	       struct layout *out)
{
	const struct device *dev = arg;
	const struct step *s = &p->step[step];
	enum dtype type = type_of(p, s);
	struct layout rows;
	int k;

	if (p->options.precision == DTYPE_BF16 && !dev->k16)
		return fail("cpu: bf16: neither the processor nor the kernels chosen "
			    "(%s) have it", dev->k->name);
	switch (s->kind) {
	case STEP_INPUT:
		out[0] = flat(p->value[s->out[0]].c, type);
		break;
	case STEP_CONV:
	case STEP_CONV_DX:
	case STEP_CONV_DW:
		conv_layout(dev, p, s, in, out);
		break;
	case STEP_STATS:
	case STEP_CHANNEL_SUM:
		in[0] = walking(dev, p, s, in[0]);
		break;
	case STEP_AFFINE:
	case STEP_ACT:
	case STEP_AVGPOOL:
	case STEP_AVGPOOL_DX:
	case STEP_DROPOUT:
	case STEP_LAYERNORM:
	case STEP_LRN:
		alike(dev, p, s, 1, in, out);
		break;
	case STEP_MAXPOOL:
		alike(dev, p, s, 1, in, out);
		if (step_out(s, 1) >= 0)
			out[1] = as_type(out[0], out[1].type);
		break;
	case STEP_MAXPOOL_DX:
		/* places were stored as the forward step liked it */
		rows = in[1];
		rows.type = type;
		in[0] = out[0] = rows;
		break;
	case STEP_ADD:
		/* gradients of a shared parameter are bare, and so is their sum */
		if (!p->value[s->out[0]].lay.block)
			alike(dev, p, s, s->ins, in, out);
		for (k = 0; p->value[s->out[0]].lay.block && k < s->ins; k++)
			in[k] = out[0];
		break;
	case STEP_MUL:
		/* a master stays as it is */
		alike(dev, p, s, p->value[s->in[1]].arena == ARENA_PARAM ? 1 : 2, in, out);
		break;
	case STEP_MUL_SUM:
	case STEP_LAYERNORM_DX:
	case STEP_LRN_DX:
	case STEP_ACT_DX:
	case STEP_BN_DX:
		alike(dev, p, s, 2, in, out);
		break;
	case STEP_BN_SUMS:
		rows = out[0];
		alike(dev, p, s, 2, in, out);
		out[0] = rows;
		break;
	case STEP_CAT:
		for (k = 0; k < s->ins; k++)
			in[k] = blocked(dev, p->value[s->in[k]].c, type);
		out[0] = blocked(dev, p->value[s->out[0]].c, type);
		break;
	case STEP_SLICE:
	case STEP_PAD:
	case STEP_SHUFFLE:
		in[0] = blocked(dev, p->value[s->in[0]].c, type);
		out[0] = blocked(dev, p->value[s->out[0]].c, type);
		break;
	case STEP_XENT_DX:
		out[0] = blocked(dev, p->value[s->out[0]].c, type);
		break;
	default:
		break;
	}
	return 0;
}
