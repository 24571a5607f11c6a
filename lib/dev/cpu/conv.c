/*
 * Convolutions. Each direction has its own kernel, chosen by rule: Winograd's F(4x4,
 * 3x3) where it is faster (winograd.c), own kernels for depthwise ones (depthwise.c) and for
 * gradients of weights (outer.c), oneDNN's direct kernels, and the own loops
 * (direct.c) for whatever it has only its reference for. oneDNN's weights are packed by PACK
 * steps; gradients of weights come out in the kernel's way and are put into OIHW.
 */
#include "dev/cpu/conv.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "net/bracket.h"

#include <stdio.h>
#include <string.h>

/* Of gradients of weights: pieces that are wanted, bytes of all shares' sums together. */
enum { PIECES = 16, SUMS = 12 << 20 };

struct conv_own {
	struct own own;
	struct dnn *dnn;
	struct dnn_pack *unpack;        /* backward weights */
	size_t weights;                 /* bytes; in the workspace after the scratch */
	size_t scratch;
	struct epilogue after;
};

struct slide conv_slide(const struct dnn_conv *c, int axis)
{
	struct slide s = { axis ? c->in_w : c->in_h, axis ? c->out_w : c->out_h, c->k[axis],
			   c->stride[axis], c->dilation[axis], c->before[axis] };

	return s;
}

void vectors_cut(size_t vectors, size_t panel, size_t most, size_t *blocks, size_t *part)
{
	size_t panels = (vectors + panel - 1) / panel;

	*blocks = (vectors + most - 1) / most;
	*part = (panels + *blocks - 1) / *blocks * panel;
	*blocks = (vectors + *part - 1) / *part;
}

size_t shares_of(size_t blocks, size_t sum)
{
	size_t shares = 1;

	while (2 * shares * blocks <= PIECES && 2 * shares * sum * sizeof(float) <= SUMS)
		shares *= 2;
	return shares;
}

void near_add(struct near *near, const char *from, const char *end, size_t lines)
{
	for (; from < end && near->count < NEARS; from += 64 * lines) {
		const char *last = (size_t)(end - from) < 64 * lines ? end - 1 :
				   from + 64 * lines - 1;

		near->run[near->count++] = (struct near_run){ from, last };
	}
}

void near_part(const struct near *near, size_t i, size_t n, struct product_pass *f)
{
	f->near = near->run + near->count * i / n;
	f->nears = near->count * (i + 1) / n - near->count * i / n;
}

/* ---- the rule ---- */

static int listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (list && *list) {
		size_t length = strcspn(list, ",");

		if (length == n && !strncmp(list, word, n))
			return 1;
		list += length + (list[length] == ',');
	}
	return 0;
}

static int left_out(const struct conv_step *c, const char *word)
{
	return listed(c->p->options.without, word) || listed(c->p->options.without, "all");
}

/* Has the library kernels of matrix units for it? Those are faster than all here. */
static int matrix_units(const struct conv_step *c)
{
	return c->conv.bf16 && strstr(dnn_isa(), "amx");
}

/*
 * Measured for 24 to 512 channels, 4x4 to 56x56 pixels, batches of 16 to 128: 2 to 3
 * times the direct kernel, less where few tiles of 4x4 share a weight's transform (7x7,
 * 14x14: 1.3 to 2.5). The direct kernels of bf16 take half the time, which Winograd's is
 * 1.2 to 1.4 times as fast as from 64 tiles on; with matrix units they are faster always.
 * With stride 2, measured for 16 to 512 channels and batches of 1 to 128: 1.0 to 1.6 times.
 */
static int winograd_pays(const struct conv_step *c)
{
	int64_t tiles = (int64_t)c->conv.n * ((c->a->out_h + 3) / 4) * ((c->a->out_w + 3) / 4);
	int least = c->direction == DNN_BACKWARD_WEIGHTS ? 9 : 17;

	return wino_fits(&c->conv, c->direction) && c->a->in_c >= least &&
	       c->a->out_c >= least && tiles >= (c->conv.bf16 ? 64 : 32) && !matrix_units(c) &&
	       !left_out(c, "winograd");
}

/* Measured in fp32: with AVX-512 1.05 to 1.3 times the library's, with AVX2 0.85; less with 16
 * inputs or fewer. In bf16 1.2 to 1.5 times, but not where it has kernels of matrix units. */
static int outer_pays(const struct device *dev, const struct conv_step *c)
{
	return c->direction == DNN_BACKWARD_WEIGHTS && c->a->in_c > 16 && dev->k->width == 16 &&
	       !matrix_units(c) && !left_out(c, "outer");
}

/* The name in `how`: the library's without the instruction set. */
static void how_name(char how[STEP_HOW], const char *kernel)
{
	size_t n = strcspn(kernel, ":");

	snprintf(how, STEP_HOW, "%.*s", (int)(n < STEP_HOW ? n : STEP_HOW - 1), kernel);
}

/* ---- run ---- */

static int conv_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct conv_own *own = s->own;

	(void)dev;
	(void)m;
	TRY(dnn_run(own->dnn));
	return own->unpack ? dnn_pack_run(own->unpack) : 0;
}

static int conv_place(struct device *dev, const struct memory *m, const struct step *s)
{
	struct conv_own *own = s->own;
	char *work = work_at(m, s);

	(void)dev;
	if (s->kind == STEP_CONV) {
		TRY(dnn_place_add(own->dnn, memory_at(m, own->after.add)));
		return dnn_place(own->dnn, memory_at(m, s->in[0]), memory_at(m, s->in[1]),
				 memory_at(m, step_in(s, 2)), memory_at(m, own->after.y), work);
	}
	if (s->kind == STEP_CONV_DX)
		return dnn_place(own->dnn, memory_at(m, s->out[0]), memory_at(m, s->in[1]), NULL,
				 memory_at(m, s->in[0]), work);
	TRY(dnn_place(own->dnn, memory_at(m, s->in[0]), work + own->scratch, NULL,
		      memory_at(m, s->in[1]), work));
	return dnn_pack_place(own->unpack, memory_at(m, s->out[0]), work + own->scratch, work);
}

static void conv_release(struct own *arg)
{
	struct conv_own *own = (struct conv_own *)arg;

	dnn_free(own->dnn);
	dnn_pack_free(own->unpack);
}

/* ---- prepare ---- */

/* A key under which equal ways of packing one master are found. */
static void pack_key(char key[48], const struct pack_attr *a)
{
	const unsigned char *b = (const unsigned char *)a;
	uint64_t hash = 14695981039346656037u;          /* FNV-1a */
	size_t i;

	for (i = 0; i < sizeof *a; i++)
		hash = (hash ^ b[i]) * 1099511628211u;
	snprintf(key, 48, "cpu:%016llx", (unsigned long long)hash);
}

/* Weights of the step packed for oneDNN. */
static int weights_pack(const struct conv_step *c, const struct dnn *dnn)
{
	struct pack_attr a;
	char key[48];

	/* bytes between members are part of the key */
	memset(&a, 0, sizeof a);
	dnn_weights(dnn, &a.shape);
	a.conv.groups = c->conv.groups;
	a.conv.in_c = c->conv.in_c;
	a.conv.out_c = c->conv.out_c;
	memcpy(a.conv.k, c->conv.k, sizeof a.conv.k);
	pack_key(key, &a);
	return program_pack(c->p, (int)(c->s - c->p->step), 1, key, dnn_pack_bytes(&a.shape), &a,
			    sizeof a);
}

static int unpack_add(const struct conv_step *c, struct conv_own *own)
{
	struct dnn_shape shape;
	size_t scratch;

	dnn_weights(own->dnn, &shape);
	own->unpack = dnn_pack(&c->conv, &shape, 1);
	if (!own->unpack)
		return -1;
	own->weights = dnn_pack_bytes(&shape);
	/* one after the other, they share the scratch */
	scratch = dnn_pack_scratch(own->unpack);
	own->scratch = round_up(scratch > own->scratch ? scratch : own->scratch, 64);
	return 0;
}

/* 1: taken; 0: the library has none, or another than asked for; -1. */
static int dnn_prepare(const struct conv_step *c)
{
	char how[STEP_HOW];
	struct conv_own *own;
	struct dnn *dnn = dnn_conv(&c->conv, c->direction);

	if (!dnn)
		return 0;
	how_name(how, dnn_kernel(dnn));
	if (c->s->how[0] && strcmp(c->s->how, how)) {
		dnn_free(dnn);
		return 0;
	}
	own = own_add(c->p, c->s, sizeof *own, conv_run);
	if (!own) {
		dnn_free(dnn);
		return -1;
	}
	own->own.place = conv_place;
	own->own.release = conv_release;
	own->dnn = dnn;
	own->after = c->after;
	own->scratch = round_up(dnn_scratch(dnn), 64);
	if (c->direction == DNN_BACKWARD_WEIGHTS)
		TRY(unpack_add(c, own));
	else
		TRY(weights_pack(c, dnn));
	c->s->work = own->scratch + own->weights;
	strcpy(c->s->how, how);
	return 1;
}

static struct conv_step conv_step_of(struct program *p, int step)
{
	struct step *s = &p->step[step];
	const struct conv_attr *a = s->attr;
	const struct window *w = &a->window;
	struct conv_step c = { .p = p, .s = s, .a = a };
	int i;

	c.direction = s->kind == STEP_CONV ? DNN_FORWARD : s->kind == STEP_CONV_DX ?
		      DNN_BACKWARD_DATA : DNN_BACKWARD_WEIGHTS;
	c.x = s->kind == STEP_CONV_DX ? s->out[0] : s->in[0];
	c.y = s->kind == STEP_CONV ? s->out[0] : s->kind == STEP_CONV_DX ? s->in[0] : s->in[1];
	c.after = (struct epilogue){ s->out[0], -1, CPU_NONE };
	memset(&c.conv, 0, sizeof c.conv);
	c.conv.n = p->value[c.x].n;
	c.conv.groups = a->groups;
	c.conv.in_c = a->in_c;
	c.conv.in_h = a->in_h;
	c.conv.in_w = a->in_w;
	c.conv.in_block = p->value[c.x].lay.block;
	c.conv.out_c = a->out_c;
	c.conv.out_h = a->out_h;
	c.conv.out_w = a->out_w;
	c.conv.out_block = p->value[c.y].lay.block;
	c.conv.bf16 = p->value[c.x].lay.type == DTYPE_BF16;
	c.conv.bias = s->kind == STEP_CONV && step_in(s, 2) >= 0;
	for (i = 0; i < 2; i++) {
		int out = i ? a->out_w : a->out_h, in = i ? a->in_w : a->in_h;

		c.conv.k[i] = w->k[i];
		c.conv.stride[i] = w->s[i];
		c.conv.dilation[i] = w->dilation[i];
		c.conv.before[i] = w->before[i];
		/* what the last window reads behind the input; less than `after` where the
		 * stride leaves some of that over */
		c.conv.after[i] = (out - 1) * w->s[i] + (w->k[i] - 1) * w->dilation[i] + 1 -
				  in - w->before[i];
	}
	return c;
}

int conv_short(const struct conv_attr *a, enum step_kind kind, int n, int in_block, int out_block)
{
	struct value v[2] = { { .n = n, .lay = { .block = in_block, .type = DTYPE_BF16 } },
			      { .lay = { .block = out_block } } };
	struct step s = { .kind = kind, .attr = a, .in = { 0, kind == STEP_CONV ? -1 : 1, -1 },
			  .ins = 3, .out = { 1 }, .outs = 1 };
	struct program p = { .value = v, .step = &s };
	struct conv_step c;
	struct dnn *dnn;

	if (kind == STEP_CONV_DX) {
		s.in[0] = 1;
		s.out[0] = 0;
	}
	c = conv_step_of(&p, 0);
	dnn = dnn_conv(&c.conv, c.direction);
	dnn_free(dnn);
	return dnn != NULL;
}

static int prepare(struct device *dev, const struct conv_step *c)
{
	int winograd, forced = c->s->how[0] != 0, r = 0;

	if (is_product(c->a))
		return product_prepare(dev, c);
	winograd = forced ? !strncmp(c->s->how, "wino4x3", 7) : winograd_pays(c);
	if (winograd)
		TRY(r = wino_prepare(dev, c));
	if (!r && (!forced || !strcmp(c->s->how, "depthwise")))
		TRY(r = depth_prepare(dev, c));
	if (!r && (forced ? !strcmp(c->s->how, "outer") : outer_pays(dev, c)))
		TRY(r = outer_prepare(dev, c));
	if (!r)
		TRY(r = dnn_prepare(c));
	return r ? 0 : direct_prepare(dev, c);
}

int conv_prepare(struct device *dev, struct program *p, int step)
{
	struct conv_step c = conv_step_of(p, step);

	return prepare(dev, &c);
}

/* ---- brackets ---- */

static enum dnn_act dnn_act_of(int act)
{
	static const enum dnn_act acts[] = {
		[CPU_RELU] = DNN_RELU, [CPU_RELU6] = DNN_RELU6, [CPU_SIGMOID] = DNN_NONE,
		[CPU_TANH] = DNN_TANH, [CPU_HARDSIGMOID] = DNN_NONE, [CPU_SWISH] = DNN_SWISH,
		[CPU_GELU] = DNN_GELU, [CPU_HARDSWISH] = DNN_HARDSWISH,
	};

	return acts[act];
}

static struct conv_step bracket_step(const struct program *p, int step,
				     const struct bracket_view *v)
{
	struct conv_step c = conv_step_of((struct program *)p, step);

	c.after.act = v->act ? act_pass(v->act) : CPU_NONE;
	c.after.add = v->add ? v->add->in[1] : -1;
	c.after.y = v->act ? v->act->out[0] : v->add->out[0];
	c.conv.act = dnn_act_of(c.after.act);
	c.conv.add = v->add != NULL;
	return c;
}

/* Has the library the same kernel for it as for the convolution alone? own: whether it
 * has none for that. */
static int dnn_fits(const struct conv_step *c, int *own)
{
	struct dnn_conv alone = c->conv;
	struct dnn *with, *without;
	int fits;

	alone.act = DNN_NONE;
	alone.add = 0;
	without = dnn_conv(&alone, DNN_FORWARD);
	with = without ? dnn_conv(&c->conv, DNN_FORWARD) : NULL;
	fits = with && !strcmp(dnn_kernel(with), dnn_kernel(without));
	*own = !without;
	dnn_free(with);
	dnn_free(without);
	return fits;
}

static int same_places(const struct device *dev, const struct value *x, const struct value *y)
{
	return x->lay.type == y->lay.type && x->lay.block == y->lay.block &&
	       x->lay.pad == y->lay.pad && x->h == y->h && x->w == y->w && x->c == y->c &&
	       layout_walks(dev, x, x->lay);
}

int conv_bracket_fits(const struct device *dev, const struct program *p, int step,
		      const struct bracket_view *v)
{
	struct conv_step c = bracket_step(p, step, v);
	const struct value *x = &p->value[c.x], *sum = &p->value[v->conv->out[0]];
	int own = 0;

	if (value_stored(p, v->conv->out[0]) ||
	    (v->add && v->act && value_stored(p, v->add->out[0])) || is_product(c.a) ||
	    !same_places(dev, sum, &p->value[c.after.y]) ||
	    (v->add && !same_places(dev, sum, &p->value[c.after.add])))
		return 0;
	/* padding stays 0 */
	if (c.after.act && !c.conv.act)
		return 0;
	if ((winograd_pays(&c) && layout_walks(dev, x, x->lay)) || depth_takes(dev, &c) ||
	    dnn_fits(&c, &own))
		return 1;
	return own && !c.conv.bf16;
}

int conv_bracket_prepare(struct device *dev, struct program *p, int step,
			 const struct bracket_view *v)
{
	struct conv_step c = bracket_step(p, step, v);

	return prepare(dev, &c);
}

/* ---- PACK ---- */

struct pack_own {
	struct own own;
	struct dnn_pack *pack;
};

static int pack_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct pack_own *own = s->own;

	(void)dev;
	(void)m;
	return dnn_pack_run(own->pack);
}

static int pack_place(struct device *dev, const struct memory *m, const struct step *s)
{
	struct pack_own *own = s->own;

	(void)dev;
	return dnn_pack_place(own->pack, memory_at(m, s->in[0]), memory_at(m, s->out[0]),
			      work_at(m, s));
}

static void pack_release(struct own *arg)
{
	dnn_pack_free(((struct pack_own *)arg)->pack);
}

static int pack_own_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct pack_attr *a = s->attr;

	(a->way == PACK_WINOGRAD ? wino_pack : direct_pack)(dev, a, memory_at(m, s->in[0]),
							    memory_at(m, s->out[0]));
	return 0;
}

int pack_prepare(struct device *dev, struct program *p, int step)
{
	struct step *s = &p->step[step];
	const struct pack_attr *a = s->attr;
	struct pack_own *own;

	(void)dev;
	own = own_add(p, s, sizeof *own, a->way == PACK_DNN ? pack_run : pack_own_run);
	if (!own)
		return -1;
	if (a->way != PACK_DNN)
		return step_choose(s, "cpu", "own");
	own->own.place = pack_place;
	own->own.release = pack_release;
	own->pack = dnn_pack(&a->conv, &a->shape, 0);
	if (!own->pack)
		return -1;
	s->work = dnn_pack_scratch(own->pack);
	return step_choose(s, "cpu", "reorder");
}
