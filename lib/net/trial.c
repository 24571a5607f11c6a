#include "net/trial.h"

#include "base/fail.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void reader_link(struct pass *a, int step)
{
	const struct step *s = &a->p->step[step];

	for (int k = 0; k < s->ins; k++) {
		if (s->in[k] < 0)
			continue;
		a->next[step * STEP_IN + k] = a->head[s->in[k]];
		a->head[s->in[k]] = step * STEP_IN + k;
	}
}

void reader_unlink(struct pass *a, int step)
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

/* A sum's two operands change places: a + b is b + a to the last bit. */
void operands_swap(struct pass *a, int add)
{
	struct step *s = &a->p->step[add];
	int x = s->in[0];

	reader_unlink(a, add);
	s->in[0] = s->in[1];
	s->in[1] = x;
	reader_link(a, add);
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

				if (!a->leaves[reader] && !is_member(t, reader) &&
				    a->key[reader] <= key)
					return 0;
			}
		}
	}
	return 1;
}

/* Where: forward as late as possible, so that results come when they are wanted;
 * backward as early, so that gradients do; copies alone where the anchor is already.
 * 0 or -1: nowhere. */
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
			return round == 0 && can_stand(a, t, t->anchor) ? 0 : -1;
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
				outside |= !is_member(t, e / STEP_IN) && !a->leaves[e / STEP_IN];
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

double trial_cost(struct pass *a, struct trial *t)
{
	struct program *p = a->p;
	enum part part = t->step[t->row->steps - 1].part;
	double seconds;

	for (int k = 0; k < t->row->steps; k++)
		if (t->step[k].part != part ||
		    (t->member[k] >= 0 && p->step[t->member[k]].bracket >= 0))
			return -1;
	if (listed(p->options.without, t->row->rewrite) || listed(p->options.without, "all"))
		return -1;
	assert(bracket_is(t->row, t->step));
	if (find_anchor(a, t))
		return -1;
	find_hidden(a, t);
	/* The backend sees it at the list's end, as it would stand. */
	memcpy(p->step + p->steps, t->step, (size_t)t->row->steps * sizeof *t->step);
	p->steps += t->row->steps;
	hide(p, t, ARENA_NONE);
	seconds = p->target.cost(p->target.dev, p, p->steps - t->row->steps, p->steps);
	hide(p, t, ARENA_WORK);
	p->steps -= t->row->steps;
	return seconds;
}

void trial_commit(struct pass *a, const struct trial *t)
{
	struct program *p = a->p;
	int bracket = t->row->steps > 1 ? p->brackets++ : -1;

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

void trial_begin(struct trial *t, enum bracket_kind kind)
{
	t->row = &bracket_table[kind];
	t->hides = 0;
	for (int k = 0; k < BRACKET_STEPS; k++)
		t->member[k] = -1;
}

void trial_set(const struct pass *a, struct trial *t, int k, int step)
{
	t->member[k] = step;
	t->step[k] = a->p->step[step];
}

void trial_copy(struct pass *a, struct trial *t, int k, int step, enum part part)
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
	t->step[k].part = part;
	t->step[k].out[0] = out;
}

int try_cheaper(struct pass *a, struct trial *t, double seconds)
{
	double as_one = trial_cost(a, t);

	if (as_one < 0 || as_one >= seconds)
		return 0;
	trial_commit(a, t);
	return 1;
}

int try_steps(struct pass *a, enum bracket_kind kind, const int *step)
{
	struct trial t;

	trial_begin(&t, kind);
	for (int k = 0; k < t.row->steps; k++)
		trial_set(a, &t, k, step[k]);
	if (trial_cost(a, &t) < 0)
		return 0;
	trial_commit(a, &t);
	return 1;
}

double step_cost(struct pass *a, int step)
{
	return a->p->target.cost(a->p->target.dev, a->p, step, step + 1);
}

double steps_cost(struct pass *a, enum bracket_kind kind, const int *step)
{
	struct trial t;
	double as_one, alone = 0;

	trial_begin(&t, kind);
	for (int k = 0; k < t.row->steps; k++) {
		double seconds = step_cost(a, step[k]);

		trial_set(a, &t, k, step[k]);
		alone = alone < 0 || seconds < 0 ? -1 : alone + seconds;
	}
	as_one = trial_cost(a, &t);
	return as_one >= 0 && (alone < 0 || as_one < alone) ? as_one : alone;
}

int maker_of(const struct pass *a, int value, enum step_kind kind, enum part part)
{
	int m = value < 0 ? -1 : a->b->fact[value].maker;
	const struct step *s = m < 0 ? NULL : &a->p->step[m];

	return s && s->kind == kind && s->part == part && s->bracket < 0 ? m : -1;
}

/* ---- the list ---- */

struct place { int key, bracket, inside, step; };

static int place_order(const void *x, const void *y)
{
	const struct place *l = x, *r = y;

	if (l->key != r->key)
		return l->key < r->key ? -1 : 1;
	if (l->bracket != r->bracket)
		return l->bracket - r->bracket;
	return l->inside != r->inside ? l->inside - r->inside : l->step - r->step;
}

int pass_reorder(struct pass *a)
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
		at[i] = (struct place){ a->key[i], p->step[i].bracket, a->inside[i], i };
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

int pass_init(struct pass *a, struct build *b)
{
	struct program *p = b->p;
	size_t values = (size_t)p->values, steps = (size_t)p->steps + BRACKET_STEPS;

	/* Copies of a pair, for a convolution, or of a step of forward, and their results. */
	for (int i = 0; i < p->steps; i++) {
		enum step_kind kind = p->step[i].kind;
		int copies = kind == STEP_ACT_DX ? 3 : kind == STEP_CONV || kind == STEP_CONV_DW;
		int again = p->step[i].part == PART_FORWARD;

		values += (size_t)(copies * BRACKET_STEPS + again);
		steps += (size_t)(copies * BRACKET_STEPS + again);
	}
	a->b = b;
	a->p = p;
	a->steps = p->steps;
	a->head = malloc(values * sizeof(int));
	a->next = malloc(steps * STEP_IN * sizeof(int));
	a->key = malloc(steps * sizeof(int));
	a->inside = calloc(steps, sizeof(int));
	a->leaves = calloc(steps, 1);
	if (!a->head || !a->next || !a->key || !a->inside || !a->leaves)
		return fail("program: out of memory");
	memset(a->head, -1, values * sizeof(int));
	TRY(program_reserve(p, (int)values, (int)steps));
	for (int i = 0; i < p->steps; i++) {
		reader_link(a, i);
		a->key[i] = 2 * i;
	}
	return 0;
}

void pass_release(struct pass *a)
{
	free(a->head);
	free(a->next);
	free(a->key);
	free(a->inside);
	free(a->leaves);
}
