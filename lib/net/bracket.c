#include "net/bracket.h"

#include "base/fail.h"
#include "net/program_build.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- the catalogue ---- */

const struct bracket bracket_table[BRACKET_KINDS] = {
	{ BRACKET_AFFINE_ACT, "affine act", "pointwise", 2, { STEP_AFFINE, STEP_ACT } },
	{ BRACKET_AFFINE_ADD, "affine add", "pointwise", 2, { STEP_AFFINE, STEP_ADD } },
	{ BRACKET_AFFINE_ADD_ACT, "affine add act", "pointwise", 3,
	  { STEP_AFFINE, STEP_ADD, STEP_ACT } },
	{ BRACKET_AFFINE_AFFINE_ADD, "affine affine add", "pointwise", 3,
	  { STEP_AFFINE, STEP_AFFINE, STEP_ADD } },
	{ BRACKET_AFFINE_AFFINE_ADD_ACT, "affine affine add act", "pointwise", 4,
	  { STEP_AFFINE, STEP_AFFINE, STEP_ADD, STEP_ACT } },
	{ BRACKET_ADD_ACT, "add act", "pointwise", 2, { STEP_ADD, STEP_ACT } },
	{ BRACKET_ACT_DX_SUMS, "act_dx bn_sums", "gradient", 2,
	  { STEP_ACT_DX, STEP_BN_SUMS } },
	{ BRACKET_ACT_DX_SUMS_SUMS, "act_dx bn_sums bn_sums", "gradient", 3,
	  { STEP_ACT_DX, STEP_BN_SUMS, STEP_BN_SUMS } },
	{ BRACKET_ADD_ACT_DX, "add act_dx", "gradient", 2, { STEP_ADD, STEP_ACT_DX } },
	{ BRACKET_ADD_ACT_DX_SUMS, "add act_dx bn_sums", "gradient", 3,
	  { STEP_ADD, STEP_ACT_DX, STEP_BN_SUMS } },
	{ BRACKET_ADD_ACT_DX_SUMS_SUMS, "add act_dx bn_sums bn_sums", "gradient", 4,
	  { STEP_ADD, STEP_ACT_DX, STEP_BN_SUMS, STEP_BN_SUMS } },
	{ BRACKET_ADD_SUMS, "add bn_sums", "gradient", 2, { STEP_ADD, STEP_BN_SUMS } },
	{ BRACKET_ACT_DX_BN_DX, "act_dx bn_dx", "gradient", 2, { STEP_ACT_DX, STEP_BN_DX } },
	{ BRACKET_AGAIN_SUMS, "affine act act_dx bn_sums", "recompute", 4,
	  { STEP_AFFINE, STEP_ACT, STEP_ACT_DX, STEP_BN_SUMS } },
	{ BRACKET_AGAIN_BN_DX, "affine act act_dx bn_dx", "recompute", 4,
	  { STEP_AFFINE, STEP_ACT, STEP_ACT_DX, STEP_BN_DX } },
};

/* Member `to` has, as operand `in`, result 0 of member `from`; or, where same_in,
 * operand 0 of it. */
struct link { int to, in, from, same_in; };
enum { LINKS = 4 };

static const struct { int count; struct link link[LINKS]; } links[BRACKET_KINDS] = {
	[BRACKET_AFFINE_ACT] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_AFFINE_ADD] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_AFFINE_ADD_ACT] = { 2, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 } } },
	[BRACKET_AFFINE_AFFINE_ADD] = { 2, { { 2, 0, 0, 0 }, { 2, 1, 1, 0 } } },
	[BRACKET_AFFINE_AFFINE_ADD_ACT] =
		{ 3, { { 2, 0, 0, 0 }, { 2, 1, 1, 0 }, { 3, 0, 2, 0 } } },
	[BRACKET_ADD_ACT] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_ACT_DX_SUMS] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_ACT_DX_SUMS_SUMS] = { 2, { { 1, 0, 0, 0 }, { 2, 0, 0, 0 } } },
	[BRACKET_ADD_ACT_DX] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_ADD_ACT_DX_SUMS] = { 2, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 } } },
	[BRACKET_ADD_ACT_DX_SUMS_SUMS] =
		{ 3, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 }, { 3, 0, 1, 0 } } },
	[BRACKET_ADD_SUMS] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_ACT_DX_BN_DX] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_AGAIN_SUMS] =
		{ 4, { { 1, 0, 0, 0 }, { 2, 1, 1, 0 }, { 3, 0, 2, 0 }, { 3, 1, 0, 1 } } },
	[BRACKET_AGAIN_BN_DX] =
		{ 4, { { 1, 0, 0, 0 }, { 2, 1, 1, 0 }, { 3, 0, 2, 0 }, { 3, 1, 0, 1 } } },
};

static int is_row(const struct bracket *row, const struct step *s)
{
	int affines = 0;

	for (int k = 0; k < row->steps; k++) {
		if (s[k].kind != row->step[k])
			return 0;
		affines += s[k].kind == STEP_AFFINE;
		if (s[k].kind == STEP_ADD && affines && s[k].ins != 2)
			return 0;
	}
	for (int i = 0; i < links[row->kind].count; i++) {
		const struct link *l = &links[row->kind].link[i];
		int from = l->same_in ? s[l->from].in[0] : s[l->from].out[0];

		if (s[l->to].in[l->in] != from)
			return 0;
	}
	return 1;
}

static void view_fill(struct bracket_view *view, const struct step *s, int steps)
{
	memset(view, 0, sizeof *view);
	for (int k = 0; k < steps; k++) {
		switch (s[k].kind) {
		case STEP_AFFINE: view->affine[view->affine[0] != NULL] = &s[k]; break;
		case STEP_ADD: view->add = &s[k]; break;
		case STEP_ACT: view->act = &s[k]; break;
		case STEP_ACT_DX: view->act_dx = &s[k]; break;
		case STEP_BN_SUMS: view->sums[view->sums[0] != NULL] = &s[k]; break;
		default: view->bn_dx = &s[k]; break;
		}
	}
}

const struct bracket *bracket_find(const struct program *p, int from, int to,
				   struct bracket_view *view)
{
	for (int i = 0; i < BRACKET_KINDS; i++) {
		const struct bracket *row = &bracket_table[i];

		if (row->steps != to - from || !is_row(row, p->step + from))
			continue;
		if (view)
			view_fill(view, p->step + from, row->steps);
		return row;
	}
	return NULL;
}

/* ---- the pass ---- */

/*
 * The list is put into its order only at the end. Until then each step has a key, its
 * place in the old order; members of a bracket take over the key of one of them, the
 * anchor, and are told apart by their place inside.
 */
struct pass {
	struct build *b;
	struct program *p;
	int *head;              /* of each value: its first reader, as step * STEP_IN + operand */
	int *next;              /* of each reader: the next one of the same value */
	int *key, *inside;      /* of each step */
	int steps;              /* of the old list */
};

/* A bracket that might be. */
struct trial {
	const struct bracket *row;
	int member[BRACKET_STEPS];      /* the step it is; -1: a copy */
	struct step step[BRACKET_STEPS];
	int anchor;                     /* key */
	int ignore;                     /* a step whose reading counts for nothing; -1 */
	int hidden[BRACKET_STEPS], hides;       /* values that are not stored */
};

static void reader_link(struct pass *a, int step)
{
	const struct step *s = &a->p->step[step];

	for (int k = 0; k < s->ins; k++) {
		if (s->in[k] < 0)
			continue;
		a->next[step * STEP_IN + k] = a->head[s->in[k]];
		a->head[s->in[k]] = step * STEP_IN + k;
	}
}

static void reader_unlink(struct pass *a, int step)
{
	const struct step *s = &a->p->step[step];

	for (int k = 0; k < s->ins; k++) {
		int *e = s->in[k] < 0 ? NULL : &a->head[s->in[k]];

		while (e && *e != step * STEP_IN + k)
			e = &a->next[*e];
		if (e)
			*e = a->next[*e];
	}
}

static int is_member(const struct trial *t, int step)
{
	for (int k = 0; k < t->row->steps; k++)
		if (t->member[k] == step)
			return 1;
	return 0;
}

static int made_inside(const struct trial *t, int value)
{
	for (int k = 0; k < t->row->steps; k++)
		for (int o = 0; o < t->step[k].outs; o++)
			if (t->step[k].out[o] == value)
				return 1;
	return 0;
}

/* Can all members stand at this key: what they read made before, what they write
 * read after? */
static int can_stand(const struct pass *a, const struct trial *t, int key)
{
	for (int k = 0; k < t->row->steps; k++) {
		const struct step *s = &t->step[k];

		for (int i = 0; i < s->ins; i++) {
			int maker = s->in[i] < 0 ? -1 : a->b->fact[s->in[i]].maker;

			if (maker >= 0 && !made_inside(t, s->in[i]) && a->key[maker] >= key)
				return 0;
		}
		for (int o = 0; o < s->outs && t->member[k] >= 0; o++) {
			int e = s->out[o] < 0 ? -1 : a->head[s->out[o]];

			for (; e >= 0; e = a->next[e]) {
				int reader = e / STEP_IN;

				if (reader != t->ignore && !is_member(t, reader) &&
				    a->key[reader] <= key)
					return 0;
			}
		}
	}
	return 1;
}

/* Where: forward as late as possible, so that results come when they are wanted;
 * backward as early, so that gradients do. 0 or -1: nowhere. */
static int find_anchor(const struct pass *a, struct trial *t)
{
	int forward = t->step[t->row->steps - 1].part == PART_FORWARD;
	int tried[BRACKET_STEPS] = { 0 };

	for (int round = 0; round < t->row->steps; round++) {
		int best = -1;

		for (int k = 0; k < t->row->steps; k++) {
			if (t->member[k] < 0 || tried[k])
				continue;
			if (best < 0 || (forward ? a->key[t->member[k]] > a->key[t->member[best]]
						 : a->key[t->member[k]] < a->key[t->member[best]]))
				best = k;
		}
		if (best < 0)
			return -1;
		tried[best] = 1;
		t->anchor = a->key[t->member[best]];
		if (can_stand(a, t, t->anchor))
			return 0;
	}
	return -1;
}

/* Values written and read only inside. */
static void find_hidden(const struct pass *a, struct trial *t)
{
	t->hides = 0;
	for (int k = 0; k + 1 < t->row->steps; k++) {
		int v = t->step[k].out[0], outside = 0;

		if (t->member[k] >= 0)
			for (int e = a->head[v]; e >= 0; e = a->next[e])
				outside |= !is_member(t, e / STEP_IN) && e / STEP_IN != t->ignore;
		if (!outside && t->step[k].kind != STEP_BN_SUMS &&
		    a->p->value[v].arena == ARENA_WORK)
			t->hidden[t->hides++] = v;
	}
}

static void hide(struct program *p, const struct trial *t, enum arena arena)
{
	for (int i = 0; i < t->hides; i++)
		p->value[t->hidden[i]].arena = arena;
}

/* Would it be right, and does the backend take it? 1 or 0. */
static int trial_fits(struct pass *a, struct trial *t)
{
	struct program *p = a->p;
	enum part part = t->step[t->row->steps - 1].part;
	double seconds;

	for (int k = 0; k < t->row->steps; k++)
		if (t->step[k].part != part ||
		    (t->member[k] >= 0 && p->step[t->member[k]].bracket >= 0))
			return 0;
	if (listed(p->options.without, t->row->rewrite) || listed(p->options.without, "all"))
		return 0;
	assert(is_row(t->row, t->step));
	if (find_anchor(a, t))
		return 0;
	find_hidden(a, t);
	/* The backend sees it at the list's end, as it would stand. */
	memcpy(p->step + p->steps, t->step, (size_t)t->row->steps * sizeof *t->step);
	p->steps += t->row->steps;
	hide(p, t, ARENA_NONE);
	seconds = p->target.cost(p->target.dev, p, p->steps - t->row->steps, p->steps);
	hide(p, t, ARENA_WORK);
	p->steps -= t->row->steps;
	return seconds >= 0;
}

static void trial_commit(struct pass *a, const struct trial *t)
{
	struct program *p = a->p;
	int bracket = p->brackets++;

	for (int k = 0; k < t->row->steps; k++) {
		int at = t->member[k];

		if (at < 0) {
			at = p->steps++;
			for (int o = 0; o < t->step[k].outs; o++)
				a->b->fact[t->step[k].out[o]].maker = at;
		} else {
			reader_unlink(a, at);
		}
		p->step[at] = t->step[k];
		p->step[at].bracket = bracket;
		reader_link(a, at);
		a->key[at] = t->anchor;
		a->inside[at] = k;
	}
	hide(p, t, ARENA_NONE);
}

static void trial_begin(struct trial *t, enum bracket_kind kind)
{
	t->row = &bracket_table[kind];
	t->ignore = -1;
	t->hides = 0;
	for (int k = 0; k < BRACKET_STEPS; k++)
		t->member[k] = -1;
}

/* The k-th member is this step. */
static void trial_set(const struct pass *a, struct trial *t, int k, int step)
{
	t->member[k] = step;
	t->step[k] = a->p->step[step];
}

/* Steps that are there, in the row's order. 1 if the bracket was made. */
static int try_steps(struct pass *a, enum bracket_kind kind, const int *step)
{
	struct trial t;

	trial_begin(&t, kind);
	for (int k = 0; k < t.row->steps; k++)
		trial_set(a, &t, k, step[k]);
	if (!trial_fits(a, &t))
		return 0;
	trial_commit(a, &t);
	return 1;
}

/* The step that makes a value, if it is of this kind and part and still alone; -1. */
static int maker_of(const struct pass *a, int value, enum step_kind kind, enum part part)
{
	int m = value < 0 ? -1 : a->b->fact[value].maker;
	const struct step *s = m < 0 ? NULL : &a->p->step[m];

	return s && s->kind == kind && s->part == part && s->bracket < 0 ? m : -1;
}

/* ---- forward ---- */

/* affine, or two, before a sum of two, then the activation (-1: none). The sum's
 * operands may change places: a + b is b + a to the last bit. */
static int join_affines(struct pass *a, int add, int act)
{
	struct step *s = &a->p->step[add];
	int first, second, swap;

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
	for (swap = 0; swap < 2; swap++) {
		int one[] = { swap ? second : first, add, act };
		int x = s->in[0], y = s->in[1];

		if (one[0] < 0)
			continue;
		if (swap) {
			reader_unlink(a, add);
			s->in[0] = y;
			s->in[1] = x;
			reader_link(a, add);
		}
		if (try_steps(a, act < 0 ? BRACKET_AFFINE_ADD : BRACKET_AFFINE_ADD_ACT, one))
			return 1;
		if (swap) {
			reader_unlink(a, add);
			s->in[0] = x;
			s->in[1] = y;
			reader_link(a, add);
		}
	}
	return 0;
}

static void join_act(struct pass *a, int act)
{
	int x = a->p->step[act].in[0];
	int pair[] = { maker_of(a, x, STEP_AFFINE, PART_FORWARD), act };

	if (pair[0] >= 0) {
		try_steps(a, BRACKET_AFFINE_ACT, pair);
		return;
	}
	pair[0] = maker_of(a, x, STEP_ADD, PART_FORWARD);
	if (pair[0] >= 0 && !join_affines(a, pair[0], act))
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

/* A copy of a step inside a bracket: its result is a value of its own. */
static void copy_member(struct pass *a, struct trial *t, int k, int step)
{
	struct program *p = a->p;
	const struct value *v = &p->value[p->step[step].out[0]];
	int out = value_add(a->b, value_shape(v), v->lay, ARENA_WORK, "again %s", v->name);

	if (a->b->failed)
		return;
	p->value[out].bytes = v->bytes;
	a->head[out] = -1;
	t->member[k] = -1;
	t->step[k] = p->step[step];
	t->step[k].bracket = -1;
	t->step[k].part = PART_BACKWARD;
	t->step[k].out[0] = out;
}

/* affine and act once more, at the head of a bracket; mask: the place of the act_dx
 * that reads y. */
static void copy_forward(struct pass *a, struct trial *t, int affine, int act, int mask)
{
	copy_member(a, t, 0, affine);
	copy_member(a, t, 1, act);
	if (a->b->failed)
		return;
	t->step[1].in[0] = t->step[0].out[0];
	t->step[mask].in[1] = t->step[1].out[0];
}

/*
 * The pair of brackets that mask a gradient twice and store it never: one makes the
 * sums, one dx. again: y is made again from affine and act (-1: y is read). 1 if made;
 * where the backend takes only the first, that one, which then stores the mask.
 */
static int join_pair(struct pass *a, int act_dx, int sums, int bn_dx, int affine, int act)
{
	struct trial first, second;
	int again = affine >= 0, at = again ? 2 : 0, values = a->p->values, fits;

	trial_begin(&first, again ? BRACKET_AGAIN_SUMS : BRACKET_ACT_DX_SUMS);
	trial_begin(&second, again ? BRACKET_AGAIN_BN_DX : BRACKET_ACT_DX_BN_DX);
	trial_set(a, &first, at, act_dx);
	trial_set(a, &first, at + 1, sums);
	copy_member(a, &second, at, act_dx);
	trial_set(a, &second, at + 1, bn_dx);
	if (again) {
		copy_forward(a, &first, affine, act, at);
		copy_forward(a, &second, affine, act, at);
	}
	if (a->b->failed)
		return 0;
	second.step[at + 1].in[0] = second.step[at].out[0];
	first.ignore = bn_dx;
	fits = trial_fits(a, &first);
	if (fits && trial_fits(a, &second)) {
		trial_commit(a, &first);
		trial_commit(a, &second);
		return 1;
	}
	first.ignore = -1;
	if (fits && again && trial_fits(a, &first)) {
		trial_commit(a, &first);
		/* The values of the second's copies are nobody's. */
		for (int k = 0; k <= at; k++)
			a->p->value[second.step[k].out[0]].arena = ARENA_NONE;
		return 1;
	}
	a->p->values = values;
	return 0;
}

static int join_masked(struct pass *a, int act_dx, const struct readers *r)
{
	const struct step *s = &a->p->step[act_dx];
	const struct step *sums = &a->p->step[r->sums[0]];
	int act, affine = -1, x = sums->in[1];

	if (x != a->p->step[r->bn_dx].in[1])
		return 0;
	act = s->in[1] < 0 ? -1 : a->b->fact[s->in[1]].maker;
	if (act >= 0 && a->p->step[act].kind == STEP_ACT)
		affine = a->b->fact[a->p->step[act].in[0]].maker;
	if (affine >= 0 && a->p->step[affine].kind == STEP_AFFINE &&
	    a->p->step[affine].in[0] == x &&
	    join_pair(a, act_dx, r->sums[0], r->bn_dx, affine, act))
		return 1;
	return join_pair(a, act_dx, r->sums[0], r->bn_dx, -1, -1);
}

static void join_act_dx(struct pass *a, int act_dx)
{
	struct readers r = readers_of(a, a->p->step[act_dx].out[0]);
	int add = maker_of(a, a->p->step[act_dx].in[0], STEP_ADD, PART_BACKWARD);
	int with[] = { add, act_dx, r.sums[0], r.sums[1] };

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

/* ---- order ---- */

struct place { int key, inside, step; };

static int place_order(const void *x, const void *y)
{
	const struct place *l = x, *r = y;

	if (l->key != r->key)
		return l->key < r->key ? -1 : 1;
	return l->inside - r->inside;
}

/* Puts the list in order and numbers the brackets as they come. */
static int reorder(struct pass *a)
{
	struct program *p = a->p;
	struct place *at = malloc(((size_t)p->steps + 1) * sizeof *at);
	struct step *list = malloc((size_t)p->step_room * sizeof *list);
	int last = -1, brackets = 0;

	if (!at || !list) {
		free(at);
		free(list);
		return fail("program: out of memory");
	}
	for (int i = 0; i < p->steps; i++)
		at[i] = (struct place){ a->key[i], a->inside[i], i };
	qsort(at, (size_t)p->steps, sizeof *at, place_order);
	for (int i = 0; i < p->steps; i++) {
		list[i] = p->step[at[i].step];
		if (list[i].bracket < 0)
			continue;
		if (list[i].bracket != last) {
			last = list[i].bracket;
			brackets++;
		}
		list[i].bracket = brackets - 1;
	}
	free(at);
	free(p->step);
	p->step = list;
	return 0;
}

static int pass_init(struct pass *a, struct build *b)
{
	struct program *p = b->p;
	/* A bracket adds at most five values and copies of steps for each step there is. */
	size_t values = (size_t)p->values + 6 * (size_t)p->steps + 16;
	size_t steps = 7 * (size_t)p->steps + 16;

	a->b = b;
	a->p = p;
	a->steps = p->steps;
	a->head = malloc(values * sizeof(int));
	a->next = malloc(steps * STEP_IN * sizeof(int));
	a->key = malloc(steps * sizeof(int));
	a->inside = calloc(steps, sizeof(int));
	if (!a->head || !a->next || !a->key || !a->inside)
		return fail("program: out of memory");
	memset(a->head, -1, values * sizeof(int));
	TRY(program_reserve(p, (int)values, (int)steps));
	for (int i = 0; i < p->steps; i++) {
		reader_link(a, i);
		a->key[i] = i;
	}
	return 0;
}

static int without_check(const char *list)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");
		char word[32];
		int known;

		snprintf(word, sizeof word, "%.*s", (int)(n < 31 ? n : 31), list);
		known = strcmp(word, "all") == 0;
		for (int i = 0; i < BRACKET_KINDS; i++)
			known |= strcmp(word, bracket_table[i].rewrite) == 0;
		if (!known)
			return fail("no rewrite '%s' (pointwise, gradient, recompute, all)", word);
		list += n + (list[n] == ',');
	}
	return 0;
}

/* Activations first: what they leave of the sums is tried after. */
static void join_all(struct pass *a)
{
	for (int i = 0; i < a->steps && !a->b->failed; i++) {
		if (a->p->step[i].bracket >= 0)
			continue;
		if (a->p->step[i].kind == STEP_ACT)
			join_act(a, i);
		else if (a->p->step[i].kind == STEP_ACT_DX)
			join_act_dx(a, i);
	}
	for (int i = 0; i < a->steps && !a->b->failed; i++) {
		if (a->p->step[i].kind != STEP_ADD || a->p->step[i].bracket >= 0)
			continue;
		if (a->p->step[i].part == PART_FORWARD)
			join_affines(a, i, -1);
		else
			join_gradient_add(a, i);
	}
}

int build_brackets(struct build *b)
{
	struct pass a = { 0 };
	int r;

	TRY(without_check(b->p->options.without));
	r = pass_init(&a, b);
	if (!r) {
		join_all(&a);
		if (!b->failed)
			r = reorder(&a);
	}
	free(a.head);
	free(a.next);
	free(a.key);
	free(a.inside);
	return r;
}
