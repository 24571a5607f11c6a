/* Programs: what they are made of, whether the plan holds, what is refused. */
#include "program_nets.h"

#include <time.h>

static const struct { const char *name, *text, *set; int batch; } nets[] = {
	{ "resnet18", resnet_net, "depth=18", 1 },
	{ "resnet18", resnet_net, "depth=18", 16 },
	{ "resnet50", resnet_net, "depth=50", 1 },
	{ "resnet50", resnet_net, "depth=50", 16 },
	{ "small", small_net, NULL, 3 },
	{ "mbconv", mbconv_net, NULL, 2 },
	{ "cat", cat_net, NULL, 2 },
	{ "shared", shared_net, NULL, 2 },
	{ "preact", preact_net, NULL, 2 },
	{ "efficient", efficient_net, NULL, 2 },
	{ "next", next_net, NULL, 2 },
	{ "moving", moving_net, NULL, 2 },
	{ "cells", cells_net, NULL, 2 },
	{ "bottle", bottle_net, NULL, 2 },
	{ "twice", twice_net, NULL, 2 },
};
enum { NETS = sizeof nets / sizeof *nets };

static const struct fake fakes[] = {
	{ .blocked = 0 },
	{ .brackets = ~0 },
	{ .blocked = 1, .packs = 1, .works = 1 },
	{ .blocked = 1, .brackets = ~0, .packs = 1, .works = 1 },
	{ .blocked = 1, .some = 1, .brackets = ~0, .packs = 1, .works = 1 },
	{ .brackets = ~FAKE_CONVS },
	{ .blocked = 1, .some = 1, .brackets = ~FAKE_CONVS, .packs = 1, .works = 1 },
	{ .brackets = ~(1 << BRACKET_AGAIN_BN_DX | FAKE_CONVS) },
	{ .brackets = ~(1 << BRACKET_AGAIN_SUMS | 1 << BRACKET_ADD_ACT_DX_SUMS_SUMS | FAKE_CONVS) },
	{ .brackets = ~(1 << BRACKET_ACT_CONV_DW | 1 << BRACKET_SKIP_CONV_STATS), .packs = 1 },
};

static void plans_hold(void **state)
{
	(void)state;
	for (int i = 0; i < NETS; i++) {
		struct graph *g = net_of(nets[i].text, nets[i].set, "classes=10");

		for (size_t k = 0; k < sizeof fakes / sizeof *fakes; k++) {
			for (int kind = 0; kind < 4; kind++) {
				struct program_options o = options_of(kind > 0, nets[i].batch);
				struct fake f = fakes[k];
				struct program *p;

				o.devices = kind > 1 ? 2 : 1;
				o.sync_bn = kind == 3;
				p = checked(g, &o, &f);
				assert_true(f.asked > 0 && f.prepared > 0);
				program_free(p);
			}
		}
		graph_free(g);
	}
}

/* The peak is not far above what lives at once. */
static void plan_is_tight(void **state)
{
	struct graph *g = net_of(resnet_net, "depth=50", "classes=1000");
	struct fake f = { .blocked = 1, .brackets = ~0, .packs = 1, .works = 1 };
	struct program_options o = options_of(1, 16);
	struct program *p = checked(g, &o, &f);
	size_t change, live = 0, most = 0;

	(void)state;
	for (int s = 0; s < p->steps; s++) {
		live = 0;
		for (int i = 0; i < p->values; i++) {
			const struct value *v = &p->value[i];

			change = (v->bytes + 63) & ~(size_t)63;
			if (v->arena == ARENA_WORK && v->first >= 0 && v->first <= s &&
			    v->last >= s)
				live += change;
		}
		most = live > most ? live : most;
	}
	assert_true(p->arena[ARENA_WORK] >= most);
	assert_true((double)p->arena[ARENA_WORK] <= 1.05 * (double)most);
	assert_true(program_bytes(p) > p->arena[ARENA_WORK]);
	assert_int_equal(program_fits(p, program_bytes(p), "host"), 0);
	assert_int_equal(program_fits(p, program_bytes(p) / 2, "host"), -1);
	assert_non_null(strstr(fail_why(), "host has"));
	assert_non_null(strstr(fail_why(), "would fit"));
	assert_int_equal(program_fits(p, 1000, "host"), -1);
	assert_non_null(strstr(fail_why(), "no batch"));
	program_free(p);
	graph_free(g);
}

/* The check finds what is wrong. */
static void check_finds(void **state)
{
	struct graph *g = net_of(small_net, NULL, "classes=10");
	struct fake f = { .brackets = ~0 };
	struct program_options o = options_of(1, 2);
	struct program *p = checked(g, &o, &f);
	int k = -1, j = -1;

	(void)state;
	for (int i = 0; i < p->values; i++)
		if (p->value[i].arena == ARENA_WORK && p->value[i].bytes > 1000) {
			if (k >= 0 && j < 0 && p->value[i].first <= p->value[k].last &&
			    p->value[i].last >= p->value[k].first)
				j = i;
			if (k < 0)
				k = i;
		}
	assert_true(k >= 0 && j >= 0);
	size_t at = p->value[j].at;
	p->value[j].at = p->value[k].at;
	assert_int_equal(program_check(p), -1);
	assert_non_null(strstr(fail_why(), "overlap"));
	p->value[j].at = at + 4;
	assert_int_equal(program_check(p), -1);
	assert_non_null(strstr(fail_why(), "not aligned"));
	p->value[j].at = at;
	assert_int_equal(program_check(p), 0);
	struct step conv = p->step[1];
	assert_int_equal(conv.kind, STEP_CONV);
	p->step[1].out[0] = p->step[0].out[0];
	assert_int_equal(program_check(p), -1);
	assert_non_null(strstr(fail_why(), "written before"));
	p->step[1].outs = 0;
	assert_int_equal(program_check(p), -1);
	assert_non_null(strstr(fail_why(), "nobody wrote"));
	p->step[1] = conv;
	p->step[1].bracket = p->brackets - 1;
	assert_int_equal(program_check(p), -1);
	p->step[1] = conv;
	/* a value that the next convolution reads is not to be inside a bracket */
	for (int i = 0; i < p->steps; i++)
		if (p->step[i].kind == STEP_ACT && p->step[i].part == PART_FORWARD) {
			p->value[p->step[i].out[0]].arena = ARENA_NONE;
			break;
		}
	assert_int_equal(program_check(p), -1);
	assert_non_null(strstr(fail_why(), "not stored"));
	program_free(p);
	graph_free(g);
}

/* The same graph gives the same places, trained or evaluated, for any batch. */
static void masters_agree(void **state)
{
	(void)state;
	for (int i = 0; i < NETS; i++) {
		struct graph *g = net_of(nets[i].text, nets[i].set, "classes=10");
		struct fake f[2] = { fakes[0], fakes[3] };
		struct program_options o[2] = { options_of(1, 2), options_of(0, 5) };
		struct program *p[2] = { checked(g, &o[0], &f[0]), checked(g, &o[1], &f[1]) };
		int last = -1;

		assert_int_equal(p[0]->arena[ARENA_PARAM], p[1]->arena[ARENA_PARAM]);
		assert_int_equal(p[1]->arena[ARENA_GRAD], 0);
		assert_int_equal(p[1]->arena[ARENA_STATE], 0);
		for (int k = 0; k < g->params; k++) {
			const struct value *m = &p[0]->value[p[0]->master[k]];
			int trains = g->param[k].class != PARAM_STATISTIC;

			if (g->param[k].aux)
				assert_int_equal(p[1]->master[k], -1);
			else
				assert_int_equal(m->at, p[1]->value[p[1]->master[k]].at);
			assert_int_equal(m->bytes, 4 * param_numbers(&g->param[k]));
			assert_int_equal(p[0]->gradient[k] >= 0, trains);
			assert_int_equal(p[0]->slot[k] >= 0, trains);
			assert_int_equal(p[1]->gradient[k], -1);
			if (trains) {
				assert_int_equal(p[0]->value[p[0]->gradient[k]].at, m->at);
				assert_int_equal(p[0]->value[p[0]->slot[k]].at, m->at);
			}
		}
		/* backward order: gradients of single use are written in order of place */
		for (int s = p[0]->begin[PART_BACKWARD]; s < p[0]->begin[PART_REDUCE]; s++) {
			const struct step *t = &p[0]->step[s];

			if (t->kind != STEP_CONV_DW || p[0]->value[t->out[0]].arena != ARENA_GRAD)
				continue;
			assert_true((long)p[0]->value[t->out[0]].at > last);
			last = (int)p[0]->value[t->out[0]].at;
		}
		program_free(p[0]);
		program_free(p[1]);
		graph_free(g);
	}
}

static void gradients_are_sums(void **state)
{
	struct graph *g = net_of(cat_net, NULL, "classes=10");
	struct fake f = { 0 };
	struct program_options o = options_of(1, 2);
	struct program *p = checked(g, &o, &f);
	int widest = 0, chained = 0;

	(void)state;
	/* sum of ten: two adds forward; its operand is read by 8, two of them directly */
	assert_int_equal(count_steps(p, STEP_ADD, PART_FORWARD), 2);
	for (int i = p->begin[PART_BACKWARD]; i < p->begin[PART_REDUCE]; i++)
		if (p->step[i].kind == STEP_ADD) {
			widest = p->step[i].ins > widest ? p->step[i].ins : widest;
			chained += strchr(p->value[p->step[i].out[0]].name, '+') != NULL;
		}
	assert_int_equal(widest, STEP_IN);
	assert_int_equal(chained, 1);
	/* no gradient for the input: one conv_dx less than convolutions */
	assert_int_equal(count_steps(p, STEP_CONV_DX, -1), count_steps(p, STEP_CONV, -1) - 1);
	assert_int_equal(count_steps(p, STEP_CONV_DW, -1), count_steps(p, STEP_CONV, -1));
	assert_int_equal(count_steps(p, STEP_CAT, PART_FORWARD), 3);
	program_free(p);
	graph_free(g);

	g = net_of(shared_net, NULL, "classes=10");
	p = checked(g, &o, &f);
	assert_int_equal(count_steps(p, STEP_CAT, PART_FORWARD), 2);
	for (int i = 0; i < g->params; i++) {
		int adds = 0;

		for (int s = 0; s < p->steps; s++)
			adds += p->step[s].kind == STEP_ADD && p->step[s].ins == 3 &&
				p->step[s].out[0] == p->gradient[i];
		assert_int_equal(adds, g->param[i].class != PARAM_STATISTIC && g->param[i].shared);
	}
	program_free(p);
	graph_free(g);
}

/* Batch norm on the input needs its sums, but no gradient goes on. */
static void input_has_no_gradient(void **state)
{
	struct graph *g = net_of(preact_net, NULL, "classes=10");
	struct fake f = { 0 };
	struct program_options o = options_of(1, 2);
	struct program *p = checked(g, &o, &f);

	(void)state;
	assert_int_equal(count_steps(p, STEP_BN_SUMS, -1), count_steps(p, STEP_STATS, -1));
	assert_int_equal(count_steps(p, STEP_BN_DX, -1), count_steps(p, STEP_STATS, -1) - 1);
	assert_int_equal(count_steps(p, STEP_TRACK, PART_UPDATE), count_steps(p, STEP_STATS, -1));
	program_free(p);
	graph_free(g);
}

static void brackets_are_drawn(void **state)
{
	struct graph *g = net_of(resnet_net, "depth=50", "classes=10");
	struct fake f = { .brackets = ~FAKE_CONVS };
	struct program_options o = options_of(1, 2);
	struct program *p = checked(g, &o, &f);

	(void)state;
	/* 53 batch norms: 33 before a relu of their own, 16 blocks, 4 projections */
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ACT), 33);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ADD_ACT), 12);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_AFFINE_ADD_ACT), 4);
	assert_int_equal(count_steps(p, STEP_AFFINE, PART_FORWARD), 53);
	assert_int_equal(count_brackets(p, BRACKET_AGAIN_SUMS), 33);
	assert_int_equal(count_brackets(p, BRACKET_AGAIN_BN_DX), 33);
	/* a block's gradient comes from two readers, the last one's from the pool */
	assert_int_equal(count_brackets(p, BRACKET_ADD_ACT_DX_SUMS), 11);
	assert_int_equal(count_brackets(p, BRACKET_ADD_ACT_DX_SUMS_SUMS), 4);
	assert_int_equal(count_brackets(p, BRACKET_ACT_DX_SUMS), 1);
	/* every activation and every mask is in a bracket */
	for (int i = 0; i < p->steps; i++)
		if (p->step[i].kind == STEP_AFFINE || p->step[i].kind == STEP_ACT ||
		    p->step[i].kind == STEP_ACT_DX || p->step[i].kind == STEP_BN_SUMS)
			assert_true(p->step[i].bracket >= 0);
	program_free(p);

	/* of the pair only the first: the mask is stored */
	f = (struct fake){ .brackets = ~(1 << BRACKET_AGAIN_BN_DX | FAKE_CONVS) };
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_AGAIN_SUMS), 33);
	assert_int_equal(count_brackets(p, BRACKET_ACT_DX_BN_DX), 0);
	program_free(p);

	/* without recomputation: the same pair, reading y */
	f = (struct fake){ .brackets = ~FAKE_CONVS };
	o.without = "recompute";
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_ACT_DX_SUMS), 34);
	assert_int_equal(count_brackets(p, BRACKET_ACT_DX_BN_DX), 33);
	program_free(p);

	o.without = "recompute,gradient";
	p = checked(g, &o, &f);
	assert_int_equal(p->brackets, 49);
	program_free(p);

	o.without = "all";
	p = checked(g, &o, &f);
	assert_int_equal(p->brackets, 0);
	program_free(p);

	o.without = "pointwise,nosuch";
	struct target t = fake_target(&f);
	assert_null(program_make(g, &o, &t));
	assert_non_null(strstr(fail_why(), "no rewrite 'nosuch'"));
	graph_free(g);

	/* linear bottlenecks: the gradient's sum goes with the statistics' */
	g = net_of(mbconv_net, NULL, "classes=10");
	o.without = NULL;
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ADD), 2);
	assert_int_equal(count_brackets(p, BRACKET_ADD_SUMS), 1);
	program_free(p);
	graph_free(g);
}

/* The step that makes a value. */
static int maker(const struct program *p, int value)
{
	for (int i = 0; i < p->steps; i++)
		for (int k = 0; k < p->step[i].outs; k++)
			if (p->step[i].out[k] == value)
				return i;
	return -1;
}

/* Convolutions' gradients of weights that read what backward made just before. */
static int reads_again(const struct program *p)
{
	int n = 0;

	for (int i = p->begin[PART_BACKWARD]; i < p->begin[PART_BACKWARD + 1]; i++)
		if (p->step[i].kind == STEP_CONV_DW)
			n += p->step[maker(p, p->step[i].in[0])].part == PART_BACKWARD;
	return n;
}

static void activations_are_made_again(void **state)
{
	struct graph *g = net_of(resnet_net, "depth=50", "classes=10");
	struct fake f = { .brackets = ~FAKE_CONVS, .remat = 1 };
	struct program_options o = options_of(1, 2);
	struct program *p = checked(g, &o, &f);
	size_t work = p->arena[ARENA_WORK];

	(void)state;
	/* two inside each block, and sums whose skip is kept: the first of each stage, as it
	 * has none, and every other one behind it; three of them have a projection that reads
	 * them too. What the stem's activation gave is read by a pool alone. */
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ACT), 33 + 32);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_AFFINE_ADD_ACT), 4 + 4);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ADD_ACT), 12 + 4);
	assert_int_equal(reads_again(p), 32 + 8 + 1);
	program_free(p);

	o.without = "remat";
	p = checked(g, &o, &f);
	assert_int_equal(reads_again(p), 0);
	assert_true(work < 0.75 * (double)p->arena[ARENA_WORK]);
	program_free(p);

	o.without = NULL;
	/* three multiply-adds a number, and nine: not worth another pass */
	g = net_of("input 8 8 3\nnet = a: [conv 3 64 | bn | relu | conv 3 64 groups=64 | bn | relu\n"
		   "     | conv 1 3 | avgpool | linear classes]\n", NULL, "classes=10");
	f.brackets = ~FAKE_CONVS;
	p = checked(g, &o, &f);
	assert_int_equal(reads_again(p), 0);
	program_free(p);
	graph_free(g);

	/* without brackets an activation alone, where its slope is found from what it read */
	g = net_of("input 8 8 3\nnet = a: [conv 3 64 | bn | swish | conv 1 64 | avgpool\n"
		   "     | linear classes]\n", NULL, "classes=10");
	f.brackets = 0;
	p = checked(g, &o, &f);
	assert_int_equal(reads_again(p), 1);
	assert_int_equal(count_steps(p, STEP_ACT, PART_BACKWARD), 1);
	assert_int_equal(p->brackets, 0);
	program_free(p);
	graph_free(g);
}

/* Activations that only convolutions read are stored nowhere. */
static int stored_acts(const struct program *p)
{
	int n = 0;

	for (int i = 0; i < p->begin[PART_BACKWARD]; i++)
		n += p->step[i].kind == STEP_ACT && program_stored(p, p->step[i].out[0]) == 0;
	return n;
}

static void convolutions_are_joined(void **state)
{
	struct graph *g = net_of(resnet_net, "depth=50", "classes=10");
	struct fake f = { .brackets = ~0 };
	struct program_options o = options_of(1, 2);
	struct program *p = checked(g, &o, &f);

	(void)state;
	/* of 33 the stem's is read by a pool; of 12 sums the last by a pool; 4 have two affines */
	assert_int_equal(count_brackets(p, BRACKET_ACT_CONV_STATS), 32);
	assert_int_equal(count_brackets(p, BRACKET_ACT_CONV_DW), 32);
	assert_int_equal(count_brackets(p, BRACKET_CONV_DX_SUMS), 32);
	assert_int_equal(count_brackets(p, BRACKET_SKIP_CONV_STATS), 11);
	assert_int_equal(count_brackets(p, BRACKET_CONV_STATS), 10);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ACT), 1);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ADD_ACT), 1);
	assert_int_equal(count_brackets(p, BRACKET_AGAIN_SUMS), 1);
	assert_int_equal(stored_acts(p), 17);
	program_free(p);

	/* one gradient of weights that has to read it, and it is stored for all */
	f.brackets = ~(1 << BRACKET_ACT_CONV_DW);
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_ACT_CONV_STATS), 0);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ACT), 33);
	assert_int_equal(stored_acts(p), 49);
	program_free(p);

	/* each by its name */
	f.brackets = ~0;
	o.without = "stats";
	p = checked(g, &o, &f);
	assert_int_equal(count_steps(p, STEP_STATS, -1), 53);
	assert_int_equal(count_brackets(p, BRACKET_ACT_CONV), 32);
	assert_int_equal(count_brackets(p, BRACKET_SKIP_CONV), 11);
	assert_int_equal(count_brackets(p, BRACKET_CONV_STATS), 0);
	program_free(p);
	o.without = "prologue,sums,skip";
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_CONV_STATS), 53);
	assert_int_equal(count_brackets(p, BRACKET_AGAIN_BN_DX), 33);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ADD_ACT), 12);
	program_free(p);
	/* the slope is not made again: it is read */
	o.without = "sums,recompute";
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_ACT_CONV_STATS), 0);
	program_free(p);

	/* no gain, no bracket */
	o.without = NULL;
	f.slow = 1;
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_CONV_STATS), 0);
	assert_int_equal(count_brackets(p, BRACKET_ACT_CONV_STATS), 0);
	assert_int_equal(count_brackets(p, BRACKET_SKIP_CONV_STATS), 0);
	assert_int_equal(count_brackets(p, BRACKET_CONV_DX_SUMS), 0);
	assert_int_equal(count_brackets(p, BRACKET_AFFINE_ACT), 33);
	program_free(p);
	graph_free(g);

	/* what dropout reads, and what has a sum of gradients, is stored */
	g = net_of(twice_net, NULL, "classes=10");
	f.slow = 0;
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_ACT_CONV_STATS), 3);
	assert_int_equal(stored_acts(p), 5);
	program_free(p);
	graph_free(g);

	/* before a sum there are no statistics; the sum has no activation */
	g = net_of(preact_net, NULL, "classes=10");
	p = checked(g, &o, &f);
	assert_int_equal(count_brackets(p, BRACKET_ACT_CONV_STATS), 2);
	assert_int_equal(count_brackets(p, BRACKET_ACT_CONV), 2);
	assert_int_equal(count_brackets(p, BRACKET_SKIP_CONV_STATS), 0);
	program_free(p);
	graph_free(g);
}

static void layouts_are_joined(void **state)
{
	struct graph *g = net_of(resnet_net, "depth=18", "classes=10");
	struct fake f = { .blocked = 1, .packs = 1 };
	struct program_options o = options_of(1, 2);
	struct program *p = checked(g, &o, &f);
	int convs = count_steps(p, STEP_CONV, -1);

	(void)state;
	/* one layout wherever there is a choice; only what the loss gives is plain, and is
	 * copied once for two readers */
	assert_int_equal(count_steps(p, STEP_COPY, -1), 1);
	assert_int_equal(count_steps(p, STEP_COPY, PART_BACKWARD), 1);
	assert_int_equal(count_steps(p, STEP_PACK, PART_PACK), 2 * convs - 1);
	assert_true(p->arena[ARENA_PACKED] > 0);
	program_free(p);

	f.some = 1;
	p = checked(g, &o, &f);
	assert_true(count_steps(p, STEP_COPY, -1) > 5);
	for (int i = 0; i < p->steps; i++) {
		const struct step *s = &p->step[i];
		const struct value *x, *y;

		if (s->kind != STEP_COPY)
			continue;
		x = &p->value[s->in[0]];
		y = &p->value[s->out[0]];
		assert_true(x->lay.block != y->lay.block || x->lay.pad != y->lay.pad);
		/* none is made twice */
		for (int k = 0; k < i; k++)
			if (p->step[k].kind == STEP_COPY && p->step[k].in[0] == s->in[0])
				assert_true(p->value[p->step[k].out[0]].lay.block != y->lay.block);
	}
	program_free(p);
	graph_free(g);
}

/* Whether a step reads or writes values there. */
static int in_range(const struct program *p, const struct step *s, const struct range_attr *r)
{
	int found = 0;

	for (int k = 0; k < STEP_IN + STEP_OUT; k++) {
		int value = k < s->ins ? s->in[k]
			  : k >= STEP_IN && k - STEP_IN < s->outs ? s->out[k - STEP_IN] : -1;
		const struct value *v = value < 0 ? NULL : &p->value[value];

		found |= v && v->arena == ARENA_GRAD && v->at + v->bytes > r->at &&
			 v->at < r->at + r->bytes;
	}
	return found;
}

static void update_walks_segments(void **state)
{
	struct graph *g = net_of(resnet_net, "depth=18", "classes=1000");
	struct fake f = { 0 };
	struct program_options o = options_of(1, 2);
	struct program *p;
	const struct update_attr *u = NULL;
	size_t covered = 0, end = 0;

	(void)state;
	o.devices = 4;
	p = checked(g, &o, &f);
	for (int i = 0; i < p->steps; i++) {
		const struct range_attr *r = p->step[i].attr;

		if (p->step[i].kind == STEP_UPDATE)
			u = p->step[i].attr;
		if (p->step[i].kind != STEP_REDUCE)
			continue;
		assert_int_equal(r->at, covered);
		covered += r->bytes;
		assert_true(r->bytes >= 4 << 20 || covered == p->arena[ARENA_GRAD]);
	}
	/* all gradients and all batch statistics, once each, in several buckets */
	assert_int_equal(covered, p->arena[ARENA_GRAD]);
	assert_true(count_steps(p, STEP_REDUCE, -1) >= 5);
	/* most of them beside backward, none before its range is complete */
	assert_true(count_steps(p, STEP_REDUCE, PART_BACKWARD) >= 4);
	for (int i = 0; i < p->steps; i++)
		for (int k = i + 1; p->step[i].kind == STEP_REDUCE && k < p->begin[PART_REDUCE]; k++)
			assert_false(in_range(p, &p->step[k], p->step[i].attr));
	for (int i = 0; i < p->values; i++)
		if (p->value[i].arena == ARENA_GRAD && p->value[i].param < 0)
			end++;
	assert_int_equal(end, count_steps(p, STEP_STATS, -1));
	assert_non_null(u);
	for (int k = 0; k < g->params; k++) {
		const struct value *m = &p->value[p->master[k]];
		int found = 0;

		if (g->param[k].class == PARAM_STATISTIC)
			continue;
		for (int i = 0; i < u->segments; i++)
			found += m->at / 4 >= u->segment[i].at &&
				 m->at / 4 + m->bytes / 4 <=
				 u->segment[i].at + u->segment[i].numbers &&
				 u->segment[i].decays == (g->param[k].class == PARAM_WEIGHT);
		assert_int_equal(found, 1);
	}
	for (int i = 1; i < u->segments; i++)
		assert_true(u->segment[i].decays != u->segment[i - 1].decays &&
			    u->segment[i].at >= u->segment[i - 1].at + u->segment[i - 1].numbers);
	program_free(p);

	/* no momentum: no slots */
	o.optimizer.momentum = 0;
	p = checked(g, &o, &f);
	assert_int_equal(p->arena[ARENA_STATE], 0);
	assert_int_equal(p->slot[0], -1);
	program_free(p);
	graph_free(g);
}

static void refused(const char *text, const char *set, int training, int batch, const char *why)
{
	struct graph *g = net_of(text, set, "classes=10");
	struct fake f = { 0 };
	struct target t = fake_target(&f);
	struct program_options o = options_of(training, batch);

	assert_null(program_make(g, &o, &t));
	if (!strstr(fail_why(), why))
		fail_msg("'%s' does not hold '%s'", fail_why(), why);
	graph_free(g);
}

static void refusals(void **state)
{
	(void)state;
	refused("input 4 4 3\nnet = a: conv 3 4 | relu | b: conv 1 classes\n", NULL, 0, 2,
		"ends in 4x4x10");
	refused("input 4 4 3\nnet = avgpool | a: linear 4 | n: bn | b: linear classes\n",
		NULL, 1, 1, "a larger batch");
	refused("input 4 4 3\nnet = a: conv 3 4 | droppath 0.5 ramp=(-1) | b: linear classes\n",
		NULL, 1, 1, "ramp=-1: less than 0");
	refused("input 4 4 3\nnet = a: conv 3 4 | lrn k=0 | b: linear classes\n", NULL, 0, 1,
		"k must be more than 0");
	refused("input 4096 4096 3\n"
		"net = repeat i=1..40 (a$i: conv 1 128) | avgpool | b: linear 10\n",
		NULL, 1, 1 << 24, "more bytes than can be counted");
	refused(small_net, NULL, 1, 0, "batch 0");
	refused(resnet_net, "depth=18", 1, 1 << 25, "batch");
}

/* Heads are left out in evaluation, and their parameters. */
static void heads_left_out(void **state)
{
	struct graph *g = net_of("input 4 4 3\nnet = a: conv 3 4 | aux 0.3 (h: linear classes)"
				 " | b: linear classes\n", NULL, "classes=10");
	struct fake f = { 0 };
	struct program_options o = options_of(0, 1);
	struct program *p = checked(g, &o, &f);

	(void)state;
	assert_int_equal(count_steps(p, STEP_CONV, -1), 2);
	assert_int_equal(count_steps(p, STEP_XENT, -1), 1);
	for (int i = 0; i < g->params; i++)
		assert_int_equal(p->master[i] < 0, g->param[i].aux);
	program_free(p);
	o.training = 1;
	p = checked(g, &o, &f);
	assert_int_equal(count_steps(p, STEP_CONV, -1), 3);
	assert_int_equal(count_steps(p, STEP_XENT, PART_FORWARD), 2);
	assert_int_equal(count_steps(p, STEP_XENT_DX, PART_BACKWARD), 2);
	for (int i = 0; i < g->params; i++)
		assert_true(p->master[i] >= 0 && p->gradient[i] >= 0);
	program_free(p);
	graph_free(g);
}

/* Kernels that a checkpoint asks for come back, or the program is another. */
static void hows_obeyed(void **state)
{
	struct graph *g = net_of(small_net, NULL, "classes=10");
	struct fake f = { .packs = 1, .brackets = ~0 };
	struct target t = fake_target(&f);
	struct program_options o = options_of(1, 2);
	struct program *p = checked(g, &o, &f);
	const char **how = calloc((size_t)p->steps, sizeof *how);
	int steps = p->steps;

	(void)state;
	for (int i = 0; i < steps; i++)
		how[i] = i % 2 ? "odd" : "even";
	program_free(p);
	o.how = how;
	o.hows = steps;
	p = checked(g, &o, &f);
	for (int i = 0; i < steps; i++)
		assert_string_equal(p->step[i].how, how[i]);
	program_free(p);
	o.hows = steps - 1;
	assert_null(program_make(g, &o, &t));
	assert_non_null(strstr(fail_why(), "kernels of"));
	free(how);
	graph_free(g);
}

static void made_in_milliseconds(void **state)
{
	struct graph *g = net_of(resnet_net, "depth=152", "classes=1000");
	struct fake f = { .blocked = 1, .brackets = ~0, .packs = 1, .works = 1 };
	struct target t = fake_target(&f);
	struct program_options o = options_of(1, 16);
	double best = 1;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct timespec from, to;
		struct program *p;
		double s;

		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		p = program_make(g, &o, &t);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
		assert_non_null(p);
		program_free(p);
		s = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
		best = s < best ? s : best;
	}
	print_message("resnet152: %.1f ms\n", 1000 * best);
	/* with room for sanitizers and busy machines */
	assert_true(best < 0.25);
	graph_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_hold),
		cmocka_unit_test(plan_is_tight),
		cmocka_unit_test(check_finds),
		cmocka_unit_test(masters_agree),
		cmocka_unit_test(gradients_are_sums),
		cmocka_unit_test(input_has_no_gradient),
		cmocka_unit_test(brackets_are_drawn),
		cmocka_unit_test(activations_are_made_again),
		cmocka_unit_test(convolutions_are_joined),
		cmocka_unit_test(layouts_are_joined),
		cmocka_unit_test(update_walks_segments),
		cmocka_unit_test(refusals),
		cmocka_unit_test(heads_left_out),
		cmocka_unit_test(hows_obeyed),
		cmocka_unit_test(made_in_milliseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
