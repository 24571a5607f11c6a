/* Networks and a target without a device, for the tests of programs. */
#ifndef PROGRAM_NETS_H
#define PROGRAM_NETS_H

#include "base/fail.h"
#include "net/bracket.h"
#include "net/net_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char resnet_net[] =
	"param depth = 50  block       n1 n2 n3 n4\n"
	"      18          basic        2  2  2  2\n"
	"      50          bottleneck   3  4  6  3\n"
	"      152         bottleneck   3  8 36  3\n"
	"input 224 224 3\n"
	"def skip c s       = if s != 1 or C != c then downsample: [conv 1 c s | bn]\n"
	"def basic c s      = sum (conv1: conv 3 c s | bn1: bn | relu\n"
	"                         | conv2: conv 3 c | bn2: bn) (skip c s) | relu\n"
	"def bottleneck c s = sum (conv1: conv 1 c | bn1: bn | relu | conv2: conv 3 c s | bn2: bn\n"
	"                         | relu | conv3: conv 1 4*c | bn3: bn) (skip 4*c s) | relu\n"
	"def stage n c s    = [block c s | repeat n-1 (block c 1)]\n"
	"net = conv1: conv 7 64 2 | bn1: bn | relu | maxpool 3 2 1\n"
	"    | layer1: stage n1 64 1 | layer2: stage n2 128 2 | layer3: stage n3 256 2\n"
	"    | layer4: stage n4 512 2 | avgpool | fc: linear classes\n";

/* As resnet_net in small: identity and projected skips, a stem with a pool. */
static const char small_net[] =
	"input 8 8 3\n"
	"def skip c s  = if s != 1 or C != c then downsample: [conv 1 c s | bn]\n"
	"def basic c s = sum (conv1: conv 3 c s | bn1: bn | relu | conv2: conv 3 c | bn2: bn)\n"
	"                    (skip c s) | relu\n"
	"net = stem: [conv 3 5 | bn | relu | maxpool 3 2 1] | layer1: [basic 5 1 | basic 5 1]\n"
	"    | layer2: [basic 20 2 | basic 20 1] | avgpool | fc: linear classes\n";

/* Depthwise convolutions, a gate, linear bottlenecks with a skip. */
static const char mbconv_net[] =
	"input 8 8 3\n"
	"def gate n c=C  = mul () (avgpool | fc1: conv 1 n bias=yes | relu\n"
	"                         | fc2: conv 1 c bias=yes)\n"
	"def cba k c s=1 groups=1 = [conv k c s groups=groups | bn | relu6]\n"
	"def inner e c s in=C = [cba 1 e*in | cba 3 e*in s groups=e*in | gate 4\n"
	"                       | conv 1 c | bn bias=no]\n"
	"def mb e c s in=C = if s == 1 and C == c then sum (inner e c s) () else inner e c s\n"
	"net = features: [cba 3 6 2 | mb 2 6 1 | mb 3 6 1 | mb 2 9 2] | avgpool | dropout 0.2\n"
	"    | classifier: linear classes\n";

/* Branches that meet in cat, sums of ten, a value read often, explicit padding. */
static const char cat_net[] =
	"input 9 7 3\n"
	"def cb k c pad=half = [conv k c pad=pad bias=yes | relu]\n"
	"def dense c = cat () (norm: bn | relu | grow: conv 3 c)\n"
	"net = a: cb 3 4\n"
	"    | b: cat (x: cb 1 3) (y: cb 1x5 5 | z: cb 5x1 2) (maxpool 3 1 1 | w: cb 1 4)\n"
	"    | c: dense 3 | d: dense 3\n"
	"    | sum () () (e1: conv 1 C) (e2: conv 1 C) (e3: conv 1 C) (e4: conv 1 C)\n"
	"          (e5: conv 1 C) (e6: conv 1 C) (e7: conv 1 C) (avgpool 3 1 1 countpad=yes)\n"
	"    | f: conv 3 6 2 same dilation=2 | g: linear classes\n";

/* Parameters in two places, full products, nine in a cat. */
static const char shared_net[] =
	"input 6 6 2\n"
	"def g = shared gate: [conv 1 4 bias=yes | bn | relu]\n"
	"net = s: conv 3 4 | sum (one: conv 3 4 | g) (two: conv 3 4 | g) (g)\n"
	"    | mul (l: conv 1 4) (m: conv 1 4) (avgpool | k: conv 1 4)\n"
	"    | cat (n1: conv 1 1) (n2: conv 1 2) (n3: conv 1 1) (n4: conv 1 1) (n5: conv 1 1)\n"
	"          (n6: conv 1 1) (n7: conv 1 1) (n8: conv 1 1) (n9: conv 1 3)\n"
	"    | avgpool 2 | out: linear classes\n";

/* Pre-activation: the sum has no activation, batch norm on a sum and on the input. */
static const char preact_net[] =
	"input 6 6 3\n"
	"def unit c = sum (n1: bn gain=no | relu | c1: conv 3 c\n"
	"                 | n2: bn | relu | c2: conv 3 c) ()\n"
	"net = first: bn | stem: conv 3 8 | u1: unit 8 | u2: unit 8 | last: bn | relu | avgpool\n"
	"    | fc: linear classes\n";

/* Bottlenecks: 1x1 before and behind 3x3, with a projected skip, a strided one and two
 * that are none. */
static const char bottle_net[] =
	"input 8 8 3\n"
	"def skip c s       = if s != 1 or C != c then downsample: [conv 1 c s | bn]\n"
	"def bottleneck c s = sum (conv1: conv 1 c | bn1: bn | relu | conv2: conv 3 c s | bn2: bn\n"
	"                         | relu | conv3: conv 1 2*c | bn3: bn) (skip 2*c s) | relu\n"
	"net = stem: [conv 3 8 | bn | relu] | layer1: [bottleneck 8 1 | bottleneck 8 1]\n"
	"    | layer2: [bottleneck 12 2 | bottleneck 12 1] | avgpool | fc: linear classes\n";

/* An activation that two convolutions read, one with shared weights, one that dropout
 * reads, one before a convolution with bias and without batch norm behind it. */
static const char twice_net[] =
	"input 8 8 3\n"
	"def g = shared gate: [conv 3 8]\n"
	"def unit c s = [n1: bn | relu | sum (c1: conv 3 c s | n2: bn | relu | dropout 0.2\n"
	"               | c2: conv 3 c) (down: conv 1 c s)]\n"
	"net = stem: conv 3 8 | u1: unit 8 1 | b: bn | relu | g | n3: bn | relu | g | n4: bn | relu\n"
	"    | c3: conv 3 9 bias=yes | u2: unit 10 2 | last: bn | relu | avgpool | fc: linear classes\n";

/* Slopes that do not follow from results, gates, whole branches dropped. */
static const char efficient_net[] =
	"input 8 8 3\n"
	"def cba k c s=1 groups=1 act=swish = [conv k c s groups=groups | bn | act]\n"
	"def se n c=C = mul () (avgpool | fc1: conv 1 n bias=yes | swish\n"
	"                      | fc2: conv 1 c bias=yes | sigmoid)\n"
	"def residual s c f = if s == 1 and C == c then sum (f | droppath 0.4) () else f\n"
	"def mbconv e k s c in=C = residual s c (block: [if e != 1 then cba 1 e*in\n"
	"                          | cba k C s groups=C | se 3 | cba 1 c act=()])\n"
	"net = features: [cba 3 6 2 | mbconv 1 3 1 6 | mbconv 4 5 1 6 | mbconv 3 3 2 9]\n"
	"    | avgpool | classifier: [dropout 0.2 | linear classes]\n";

/* Normalisation over channels, learned factors. */
static const char next_net[] =
	"input 8 8 3\n"
	"def block c = sum (conv_dw: conv 7 c groups=c bias=yes | norm: layernorm 1e-6\n"
	"              | fc1: conv 1 3*c bias=yes | gelu | fc2: conv 1 c bias=yes\n"
	"              | gamma: scale 0.5 | droppath 0.3) ()\n"
	"net = stem: [conv 2 7 2 0 bias=yes | layernorm] | b0: block 7 | b1: block 7\n"
	"    | down: [layernorm | conv 2 18 2 0 bias=yes] | b2: block 18\n"
	"    | avgpool | head: [layernorm | linear classes]\n";

/* Channels moved about; windows over uneven padding. */
static const char moving_net[] =
	"input 9 9 3\n"
	"def branch c = branch2: [conv 1 c | bn | hardswish | conv 3 c groups=c | bn | conv 1 c\n"
	"               | bn | tanh]\n"
	"def unit c = cat (slice 0 c) (slice c C | branch c) | shuffle 2\n"
	"net = stem: [conv 3 10 2 same | bn | hardswish] | s0: unit 5 | s1: unit 5\n"
	"    | mul () (avgpool | gate: conv 1 10 bias=yes | hardsigmoid)\n"
	"    | lrn 3 0.1 0.75 2 | pad (-1) 1 2 (-2) 2 3 | up: conv 2 21 1 same | sigmoid\n"
	"    | cat (avgpool 2 2 same) (maxpool 2 2 same) (avgpool 2 2 ceil=yes countpad=yes)\n"
	"    | fc: linear classes\n";

/* Cells that read the two before them, branches dropped ever more often, two heads. */
static const char cells_net[] =
	"input 12 12 3\n"
	"def unit c = [relu | conv 1 c | bn]\n"
	"def sep k c = [relu | conv k C groups=C | conv 1 c | bn]\n"
	"def cell c = as p x | (@x, (@p | left: unit c, @x | right: unit c) | as l r\n"
	"    | cat (sum (@r | a: sep 5 c | droppath 0.4*(index(cell)+1)/count(cell) ramp=10)\n"
	"               (@l | b: sep 3 c)) (sum (@l | avgpool 3 1 1) @r) @l)\n"
	"def head = avgpool 5 3 same | proj: [conv 1 8 | bn | relu] | avgpool | fc: linear classes\n"
	"net = stem: [conv 3 8 2 same | bn] | aux 0.3 (early: head) | ((), ()) | c0: cell 8\n"
	"    | c1: cell 6 | as _ x | @x | aux 0.4 (late: head) | relu | avgpool | fc: linear classes\n";

static struct graph *net_of(const char *text, const char *set, const char *classes)
{
	const char *sets[2] = { classes, set };
	struct graph *g = net_read("test", text, strlen(text), sets, set ? 2 : 1);

	if (!g)
		fail_msg("%s", fail_why());
	return g;
}

/* Brackets with convolutions. */
enum {
	FAKE_CONVS = 1 << BRACKET_CONV_STATS | 1 << BRACKET_ACT_CONV |
		     1 << BRACKET_ACT_CONV_STATS | 1 << BRACKET_ACT_CONV_DW |
		     1 << BRACKET_SKIP_CONV | 1 << BRACKET_SKIP_CONV_STATS |
		     1 << BRACKET_CONV_DX_SUMS
};

/* What the target does: */
struct fake {
	int blocked;            /* wants blocks of 16 where there are more than 4 channels */
	int some;               /* but plain layouts for every third convolution */
	int brackets;           /* takes brackets; a mask of 1 << enum bracket_kind */
	int slow;               /* those with convolutions take as long as their parts */
	int packs, works;       /* packs weights; asks for workspaces */
	int remat;
	int asked, prepared;
};

static int fake_layout(void *dev, const struct program *p, int step, struct layout *in,
		       struct layout *out)
{
	struct fake *f = dev;
	const struct step *s = &p->step[step];
	int conv = s->kind == STEP_CONV || s->kind == STEP_CONV_DX || s->kind == STEP_CONV_DW;
	struct layout first = in[0];

	f->asked++;
	if (!f->blocked || s->kind == STEP_INPUT)
		return 0;
	for (int k = 0; k < s->ins; k++) {
		const struct value *v = s->in[k] < 0 ? NULL : &p->value[s->in[k]];

		if (!v || v->arena != ARENA_WORK ||
		    (v->n == 1 && v->h == 1 && v->lay.pad % 16 == 0))
			continue;
		if (conv)
			in[k] = f->some && s->node % 3 == 0 ?
				(struct layout){ v->c, v->c, DTYPE_F32 } : v->c <= 4 ?
				(struct layout){ v->c, v->c, DTYPE_F32 } :
				(struct layout){ 16, (v->c + 15) / 16 * 16, DTYPE_F32 };
		else if (k > 0 && v->lay.type == first.type && v->c == p->value[s->in[0]].c)
			in[k] = first;
	}
	for (int k = 0; k < s->outs; k++) {
		const struct value *v = s->out[k] < 0 ? NULL : &p->value[s->out[k]];

		if (!v || v->arena != ARENA_WORK || v->lay.block)
			continue;
		if (conv)
			out[k] = f->some && s->node % 3 == 0 ?
				(struct layout){ v->c, v->c, DTYPE_F32 } :
				(struct layout){ 16, (v->c + 15) / 16 * 16, DTYPE_F32 };
		else if (v->c == p->value[s->in[0]].c)
			out[k] = (struct layout){ in[0].block, in[0].pad, v->lay.type };
	}
	return 0;
}

static double fake_cost(void *dev, const struct program *p, int from, int to)
{
	struct fake *f = dev;
	struct bracket_view view;
	const struct bracket *row = to > from + 1 ? bracket_find(p, from, to, &view) : NULL;

	if (to == from + 1)
		return 1e-6;
	assert_non_null(row);
	if (!(f->brackets >> row->kind & 1))
		return -1;
	return f->slow && view.conv ? 1e-6 * row->steps : 1e-6;
}

static int fake_prepare(void *dev, struct program *p, int step)
{
	struct fake *f = dev;
	struct step *s = &p->step[step];
	int conv = s->kind == STEP_CONV || s->kind == STEP_CONV_DX;

	f->prepared++;
	if (s->how[0] == '\0')
		strcpy(s->how, "fake");
	if (conv && f->packs) {
		const char *key = s->kind == STEP_CONV ? "forward" : "dx";

		if (program_pack(p, step, 1, key, p->value[s->in[1]].bytes, key,
				 strlen(key) + 1) < 0)
			return -1;
	}
	if (f->works && (conv || s->kind == STEP_CONV_DW || s->bracket >= 0))
		s->work = 1000 + (size_t)step;
	return 0;
}

static void fake_release(void *dev, struct program *p, int step)
{
	(void)dev;
	(void)p;
	(void)step;
}

static inline struct target fake_target(struct fake *f)
{
	struct target t = { f, "fake", fake_layout, fake_cost, fake_prepare, fake_release,
			    f->remat };

	return t;
}

static struct program_options options_of(int training, int batch)
{
	struct program_options o = {
		.training = training, .batch = batch, .devices = 1,
		.normalise = { { 128, 128, 128, 128 }, { 64, 64, 64, 64 } },
		.optimizer = { 0.9, 1e-4, 0 },
	};

	return o;
}

/* Made and checked by brute force. */
static inline struct program *checked(const struct graph *g, const struct program_options *o,
				  struct fake *f)
{
	struct target t = fake_target(f);
	struct program *p = program_make(g, o, &t);

	if (!p || program_check(p) < 0)
		fail_msg("%s", fail_why());
	return p;
}

/* Steps of a kind in a part (-1: any). */
static inline int count_steps(const struct program *p, enum step_kind kind, int part)
{
	int n = 0;

	for (int i = 0; i < p->steps; i++)
		n += p->step[i].kind == kind && (part < 0 || p->step[i].part == (enum part)part);
	return n;
}

/* Brackets of a kind. */
static inline int count_brackets(const struct program *p, enum bracket_kind kind)
{
	int n = 0, to;

	for (int i = 0; i < p->steps; i = to) {
		const struct bracket *row;

		for (to = i + 1; to < p->steps && p->step[i].bracket >= 0 &&
		     p->step[to].bracket == p->step[i].bracket; to++)
			;
		if (p->step[i].bracket < 0)
			continue;
		row = bracket_find(p, i, to, NULL);
		assert_non_null(row);
		n += row->kind == kind;
	}
	return n;
}

#endif
