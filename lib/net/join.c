/* Which brackets to try, and in which order. */
#include "net/trial.h"

#include "base/fail.h"

#include <stdio.h>
#include <string.h>

/* ---- forward ---- */

/* A bracket that wants the k-th of a sum's two operands first. */
static int try_operand(struct pass *a, int k, int add, enum bracket_kind kind, const int *step)
{
	if (k)
		operands_swap(a, add);
	if (try_steps(a, kind, step))
		return 1;
	if (k)
		operands_swap(a, add);
	return 0;
}

/* A sum of two whose k-th operand `first` makes, then the activation (-1: none). */
static int join_operand(struct pass *a, int k, int first, int add, int act,
			const enum bracket_kind kind[2])
{
	const int steps[] = { first, add, act };

	return first >= 0 && try_operand(a, k, add, kind[act >= 0], steps);
}

/* affine, or two, before a sum of two, then the activation (-1: none). */
static int join_affines(struct pass *a, int add, int act)
{
	static const enum bracket_kind one[] = { BRACKET_AFFINE_ADD, BRACKET_AFFINE_ADD_ACT };
	struct step *s = &a->p->step[add];
	int first, second;

	if (s->ins != 2)
		return 0;
	first = maker_of(a, s->in[0], STEP_AFFINE, PART_FORWARD);
	second = maker_of(a, s->in[1], STEP_AFFINE, PART_FORWARD);
	if (first >= 0 && second >= 0 && first != second) {
		int both[] = { first, second, add, act };

		if (try_steps(a, act < 0 ? BRACKET_AFFINE_AFFINE_ADD
					 : BRACKET_AFFINE_AFFINE_ADD_ACT, both))
			return 1;
	}
	return join_operand(a, 0, first, add, act, one) ||
	       join_operand(a, 1, second, add, act, one);
}

/* The convolution that makes a value, in evaluation; -1. */
static int conv_of(const struct pass *a, int value)
{
	return a->p->options.training ? -1 : maker_of(a, value, STEP_CONV, PART_FORWARD);
}

/* A convolution, the later one of two, before a sum of two. */
static int join_convs(struct pass *a, int add, int act)
{
	static const enum bracket_kind one[] = { BRACKET_CONV_ADD, BRACKET_CONV_ADD_ACT };
	const struct step *s = &a->p->step[add];
	int conv[2], later;

	if (s->ins != 2)
		return 0;
	for (int k = 0; k < 2; k++)
		conv[k] = conv_of(a, s->in[k]);
	later = conv[1] > conv[0];
	return join_operand(a, later, conv[later], add, act, one) ||
	       join_operand(a, !later, conv[!later], add, act, one);
}

static void join_act(struct pass *a, int act)
{
	int x = a->p->step[act].in[0];
	int pair[] = { maker_of(a, x, STEP_AFFINE, PART_FORWARD), act };

	if (pair[0] >= 0) {
		if (!join_prologue(a, pair[0], act))
			try_steps(a, BRACKET_AFFINE_ACT, pair);
		return;
	}
	pair[0] = conv_of(a, x);
	if (pair[0] >= 0) {
		try_steps(a, BRACKET_CONV_ACT, pair);
		return;
	}
	pair[0] = maker_of(a, x, STEP_ADD, PART_FORWARD);
	if (pair[0] >= 0 && !join_skip(a, pair[0], act) && !join_affines(a, pair[0], act) &&
	    !join_convs(a, pair[0], act))
		try_steps(a, BRACKET_ADD_ACT, pair);
}

/* ---- backward ---- */

/* Who reads a gradient. */
struct readers { int sums[2], sums_count, bn_dx, bn_dx_count, others; };

static struct readers readers_of(const struct pass *a, int value)
{
	struct readers r = { { -1, -1 }, 0, -1, 0, 0 };

	for (int e = a->head[value]; e >= 0; e = a->next[e]) {
		int step = e / STEP_IN;
		const struct step *s = &a->p->step[step];

		if (e % STEP_IN == 0 && s->kind == STEP_BN_SUMS && s->bracket < 0) {
			/* Readers come last first. */
			r.sums[1] = r.sums[0];
			r.sums[0] = step;
			r.sums_count++;
		} else if (e % STEP_IN == 0 && s->kind == STEP_BN_DX && s->bracket < 0) {
			r.bn_dx = step;
			r.bn_dx_count++;
		} else {
			r.others++;
		}
	}
	return r;
}

/* affine and act once more, at the head of a bracket; mask: the place of act_dx. */
static void copy_forward(struct pass *a, struct trial *t, const struct again *g, int mask)
{
	trial_copy(a, t, 0, g->affine, PART_BACKWARD);
	if (g->act >= 0)
		trial_copy(a, t, 1, g->act, PART_BACKWARD);
	if (a->b->failed)
		return;
	if (g->act >= 0)
		t->step[1].in[0] = t->step[0].out[0];
	t->step[mask].in[1] = t->step[mask - 1].out[0];
}

/* The pair of brackets that mask a gradient twice and store it never: one makes the
 * sums, one dx. */
static void pair_set(struct pass *a, struct trial *first, struct trial *second,
		     const int step[3], const struct again *g)
{
	int again = g->affine >= 0, at = again + (g->act >= 0);

	trial_begin(first, g->act >= 0 ? BRACKET_AGAIN_SUMS : g->affine >= 0 ?
		    BRACKET_AGAIN_X_SUMS : BRACKET_ACT_DX_SUMS);
	trial_begin(second, g->act >= 0 ? BRACKET_AGAIN_BN_DX : g->affine >= 0 ?
		    BRACKET_AGAIN_X_BN_DX : BRACKET_ACT_DX_BN_DX);
	trial_set(a, first, at, step[0]);
	trial_set(a, first, at + 1, step[1]);
	trial_copy(a, second, at, step[0], PART_BACKWARD);
	trial_set(a, second, at + 1, step[2]);
	if (again) {
		copy_forward(a, first, g, at);
		copy_forward(a, second, g, at);
	}
	if (!a->b->failed)
		second->step[at + 1].in[0] = second->step[at].out[0];
}

/* Seconds of both, and of the first where the other will not read its mask. */
static double pair_costs(struct pass *a, struct trial *first, struct trial *second, int bn_dx,
			 double *of_first)
{
	double of_second;

	a->leaves[bn_dx] = 1;
	*of_first = trial_cost(a, first);
	a->leaves[bn_dx] = 0;
	of_second = *of_first < 0 ? -1 : trial_cost(a, second);
	return of_second < 0 ? -1 : *of_first + of_second;
}

double pair_cost(struct pass *a, int act_dx, int sums, int bn_dx, const struct again *g)
{
	const int step[] = { act_dx, sums, bn_dx };
	struct trial first, second;
	double seconds, of_first, alone = 0;
	int values = a->p->values;

	pair_set(a, &first, &second, step, g);
	seconds = a->b->failed ? -1 : pair_costs(a, &first, &second, bn_dx, &of_first);
	a->p->values = values;
	for (int k = 0; k < 3 && seconds < 0 && alone >= 0; k++) {
		double one = step_cost(a, step[k]);

		alone = one < 0 ? -1 : alone + one;
	}
	return seconds < 0 ? alone : seconds;
}

/* 1 if made; where what act_dx reads is made again and the backend takes only the first,
 * that one, which then stores the mask. */
static int join_pair(struct pass *a, int act_dx, int sums, int bn_dx, const struct again *g)
{
	const int step[] = { act_dx, sums, bn_dx };
	struct trial first, second;
	int again = g->affine >= 0, at = again + (g->act >= 0), values = a->p->values;
	double of_first;

	pair_set(a, &first, &second, step, g);
	if (a->b->failed)
		return 0;
	if (pair_costs(a, &first, &second, bn_dx, &of_first) >= 0) {
		trial_commit(a, &first);
		trial_commit(a, &second);
		return 1;
	}
	if (of_first >= 0 && again && trial_cost(a, &first) >= 0) {
		trial_commit(a, &first);
		/* The values of the second's copies are nobody's. */
		for (int k = 0; k <= at; k++)
			a->p->value[second.step[k].out[0]].arena = ARENA_NONE;
		return 1;
	}
	a->p->values = values;
	return 0;
}

/* From what act_dx reads back to x: affine -1 where that is not the way. */
static struct again again_of(const struct pass *a, int act_dx, int x)
{
	const struct step *s = &a->p->step[act_dx];
	int maker = s->in[1] < 0 ? -1 : a->b->fact[s->in[1]].maker;
	struct again g = { -1, -1 };

	if (maker >= 0 && a->p->step[maker].kind == STEP_ACT &&
	    !act_dx_reads_x(((const struct act_attr *)s->attr)->act)) {
		g.act = maker;
		maker = a->b->fact[a->p->step[maker].in[0]].maker;
	}
	if (maker >= 0 && a->p->step[maker].kind == STEP_AFFINE && a->p->step[maker].in[0] == x)
		g.affine = maker;
	return g;
}

static int join_masked(struct pass *a, int act_dx, const struct readers *r)
{
	static const struct again never = { -1, -1 };
	int x = a->p->step[r->sums[0]].in[1];
	struct again g = again_of(a, act_dx, x);

	if (x != a->p->step[r->bn_dx].in[1])
		return 0;
	if (g.affine >= 0 && g.act >= 0 && join_sums(a, act_dx, r->sums[0], r->bn_dx, &g))
		return 1;
	if (g.affine >= 0 && join_pair(a, act_dx, r->sums[0], r->bn_dx, &g))
		return 1;
	return join_pair(a, act_dx, r->sums[0], r->bn_dx, &never);
}

static void join_act_dx(struct pass *a, int act_dx)
{
	struct readers r = readers_of(a, a->p->step[act_dx].out[0]);
	int add = maker_of(a, a->p->step[act_dx].in[0], STEP_ADD, PART_BACKWARD);
	int with[] = { add, act_dx, r.sums[0], r.sums[1] };

	/* What the activation read need not be stored, and the sum's gain is less. */
	if (act_dx_reads_x(((const struct act_attr *)a->p->step[act_dx].attr)->act))
		add = -1;
	if (add < 0 && r.sums_count == 1 && r.bn_dx_count == 1 && r.others == 0 &&
	    join_masked(a, act_dx, &r))
		return;
	if (add >= 0 && ((r.sums_count > 1 && try_steps(a, BRACKET_ADD_ACT_DX_SUMS_SUMS, with)) ||
			 (r.sums_count && try_steps(a, BRACKET_ADD_ACT_DX_SUMS, with)) ||
			 try_steps(a, BRACKET_ADD_ACT_DX, with)))
		return;
	if (r.sums_count > 1 && try_steps(a, BRACKET_ACT_DX_SUMS_SUMS, with + 1))
		return;
	if (r.sums_count)
		try_steps(a, BRACKET_ACT_DX_SUMS, with + 1);
}

static void join_gradient_add(struct pass *a, int add)
{
	struct readers r = readers_of(a, a->p->step[add].out[0]);
	int pair[] = { add, r.sums[0] };

	if (r.sums_count)
		try_steps(a, BRACKET_ADD_SUMS, pair);
}

/* One factor for all pixels, and an average of all pixels. */
static int is_gate(const struct program *p, const struct step *mul, const struct step *pool_dx)
{
	const struct value *g = &p->value[mul->in[1]];
	const struct pool_attr *a = pool_dx->attr;
	const struct window *w = &a->window;

	return g->h == 1 && g->w == 1 && a->out_h == 1 && a->out_w == 1 && w->before[0] == 0 &&
	       w->before[1] == 0 && w->k[0] == a->in_h && w->k[1] == a->in_w;
}

/* What comes back through a gate and through the average that it was made from. */
static void join_gate(struct pass *a, int add)
{
	struct step *s = &a->p->step[add];

	for (int k = 0; k < 2 && s->ins == 2; k++) {
		int steps[] = { maker_of(a, s->in[k], STEP_MUL, PART_BACKWARD),
				maker_of(a, s->in[!k], STEP_AVGPOOL_DX, PART_BACKWARD), add };

		if (steps[0] >= 0 && steps[1] >= 0 &&
		    is_gate(a->p, &a->p->step[steps[0]], &a->p->step[steps[1]]) &&
		    try_operand(a, k, add, BRACKET_MUL_POOL_DX_ADD, steps))
			return;
	}
}

int rewrites_check(const char *list)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");
		char word[32];
		int known;

		snprintf(word, sizeof word, "%.*s", (int)(n < 31 ? n : 31), list);
		/* no brackets, but rewrites all the same: a backend's, fold.c's, remat.c's */
		known = strcmp(word, "all") == 0 || strcmp(word, "winograd") == 0 ||
			strcmp(word, "outer") == 0 || strcmp(word, "fold") == 0 ||
			strcmp(word, "remat") == 0;
		for (int i = 0; i < BRACKET_KINDS; i++)
			known |= strcmp(word, bracket_table[i].rewrite) == 0;
		if (!known)
			return fail("no rewrite '%s' (pointwise, gradient, recompute, epilogue, "
				    "fold, stats, prologue, skip, sums, remat, winograd, outer, "
				    "all)", word);
		list += n + (list[n] == ',');
	}
	return 0;
}

/* Gradients first: what they make again need not be stored by the forward brackets; of
 * them gates, so that the sum is not taken by what follows. Then activations; what they
 * leave of the sums is tried after. */
static void join_all(struct pass *a)
{
	static const enum step_kind order[] = { STEP_ACT_DX, STEP_ACT };

	for (int i = 0; i < a->steps && !a->b->failed; i++)
		if (a->p->step[i].kind == STEP_ADD && a->p->step[i].part == PART_BACKWARD)
			join_gate(a, i);
	for (size_t k = 0; k < sizeof order / sizeof *order; k++)
		for (int i = 0; i < a->steps && !a->b->failed; i++) {
			if (a->p->step[i].bracket >= 0 || a->p->step[i].kind != order[k])
				continue;
			if (order[k] == STEP_ACT)
				join_act(a, i);
			else
				join_act_dx(a, i);
		}
	for (int i = 0; i < a->steps && !a->b->failed; i++)
		if (a->p->step[i].kind == STEP_CONV && a->p->step[i].bracket < 0)
			join_stats(a, i);
	for (int i = 0; i < a->steps && !a->b->failed; i++) {
		if (a->p->step[i].kind != STEP_ADD || a->p->step[i].bracket >= 0)
			continue;
		if (a->p->step[i].part == PART_BACKWARD)
			join_gradient_add(a, i);
		else if (!join_affines(a, i, -1))
			join_convs(a, i, -1);
	}
}

int build_brackets(struct build *b)
{
	struct pass a = { 0 };
	int r;

	TRY(rewrites_check(b->p->options.without));
	r = pass_init(&a, b);
	if (!r) {
		join_all(&a);
		remat_all(&a);
		if (!b->failed)
			r = pass_reorder(&a);
	}
	pass_release(&a);
	return r;
}
