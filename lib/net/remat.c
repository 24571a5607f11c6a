/*
 * What is made again instead of kept. An activation that gradients of weights read lives
 * from forward to backward, where it can be had a second time for one pass over numbers
 * that are kept anyway: the input of its batch norm, the skip of its sum. So its makers
 * are copied before the first step of backward that reads it ("Training deep nets with
 * sublinear memory cost", Chen et al. 2016, for what is cheap). The result is the same to
 * the last bit.
 */
#include "net/trial.h"

/* Multiply-adds that a reading convolution does for each number: below, another pass over
 * them would be felt. */
enum { WORTH = 64 };

/* The steps that make a value in one pass, in their order. */
struct makers { int step[BRACKET_STEPS], count; };

static int is_pointwise(enum step_kind kind)
{
	return kind == STEP_AFFINE || kind == STEP_ACT || kind == STEP_ADD || kind == STEP_MUL;
}

/* Of the value that this step ends with: 0 where there are none to copy. */
static int makers_find(const struct pass *a, int last, struct makers *m)
{
	const struct step *s = &a->p->step[last];

	m->count = a->inside[last] + 1;
	m->step[a->inside[last]] = last;
	for (int i = 0; s->bracket >= 0 && i < a->steps; i++) {
		if (a->p->step[i].bracket != s->bracket)
			continue;
		if (a->inside[i] > a->inside[last])
			return 0;
		m->step[a->inside[i]] = i;
	}
	for (int k = 0; k < m->count; k++)
		if (!is_pointwise(a->p->step[m->step[k]].kind))
			return 0;
	return 1;
}

static double multiply_adds(const struct step *s)
{
	const struct conv_attr *c = s->attr;
	double of_each_output = (double)c->window.k[0] * c->window.k[1] * c->in_c / c->groups;

	return of_each_output * c->out_h * c->out_w * c->out_c / c->in_h / c->in_w / c->in_c;
}

/* The key of the first step of backward that reads a value, where a convolution that does
 * enough is among them; -1. */
static int first_reader(const struct pass *a, int value)
{
	int first = -1, worth = 0;

	for (int e = a->head[value]; e >= 0; e = a->next[e]) {
		int step = e / STEP_IN;
		const struct step *s = &a->p->step[step];

		if (s->part != PART_BACKWARD)
			continue;
		if (first < 0 || a->key[step] < first)
			first = a->key[step];
		worth |= s->kind == STEP_CONV_DW && multiply_adds(s) >= WORTH;
	}
	return worth ? first : -1;
}

/* Is it there at this key whether or not it is asked for? What is small counts as there. */
static int is_kept(const struct pass *a, int value, int key, size_t small)
{
	const struct value *v = &a->p->value[value];

	if (v->arena != ARENA_WORK || v->bytes <= small)
		return v->arena != ARENA_NONE;
	for (int e = a->head[value]; e >= 0; e = a->next[e])
		if (a->p->step[e / STEP_IN].part == PART_BACKWARD && a->key[e / STEP_IN] >= key)
			return 1;
	return 0;
}

static int made_by(const struct program *p, const struct makers *m, int value)
{
	for (int k = 0; k < m->count; k++)
		if (p->step[m->step[k]].out[0] == value)
			return k;
	return -1;
}

static int all_kept(const struct pass *a, const struct makers *m, int key, size_t small)
{
	for (int k = 0; k < m->count; k++) {
		const struct step *s = &a->p->step[m->step[k]];

		for (int i = 0; i < s->ins; i++)
			if (s->in[i] >= 0 && made_by(a->p, m, s->in[i]) < 0 &&
			    !is_kept(a, s->in[i], key, small))
				return 0;
	}
	return 1;
}

static const struct bracket *row_of(const struct step *s, int count)
{
	static const struct bracket alone = { .rewrite = "remat", .steps = 1 };

	for (int i = 0; i < BRACKET_KINDS && count > 1; i++)
		if (bracket_table[i].steps == count && bracket_is(&bracket_table[i], s))
			return &bracket_table[i];
	return count > 1 ? NULL : &alone;
}

/* Copies of the makers at this key: the value that they make; -1: refused. */
static int copy_makers(struct pass *a, const struct makers *m, int key)
{
	int values = a->p->values;
	struct trial t;

	trial_begin(&t, 0);
	t.anchor = key;
	for (int k = 0; k < m->count; k++) {
		trial_copy(a, &t, k, m->step[k], PART_BACKWARD);
		for (int i = 0; i < t.step[k].ins && !a->b->failed; i++) {
			int from = made_by(a->p, m, t.step[k].in[i]);

			if (from >= 0)
				t.step[k].in[i] = t.step[from].out[0];
		}
	}
	t.row = a->b->failed ? NULL : row_of(t.step, m->count);
	if (!t.row || (m->count > 1 && trial_cost(a, &t) < 0)) {
		a->p->values = values;
		return -1;
	}
	trial_commit(a, &t);
	return t.step[m->count - 1].out[0];
}

/* Of backward, to the copy. */
static void readers_move(struct pass *a, int from, int to)
{
	int e = a->head[from];

	while (e >= 0) {
		int step = e / STEP_IN;

		if (a->p->step[step].part != PART_BACKWARD) {
			e = a->next[e];
			continue;
		}
		reader_unlink(a, step);
		a->p->step[step].in[e % STEP_IN] = to;
		reader_link(a, step);
		e = a->head[from];
	}
}

void remat_all(struct pass *a)
{
	const char *without = a->p->options.without;

	if (!a->p->target.remat || listed(without, "remat") || listed(without, "all"))
		return;
	for (int i = 0; i < a->steps && !a->b->failed; i++) {
		const struct step *s = &a->p->step[i];
		int y = s->out[0], first, again;
		struct makers m;

		if (s->part != PART_FORWARD || !is_pointwise(s->kind))
			continue;
		first = first_reader(a, y);
		if (first < 0 || !makers_find(a, i, &m) ||
		    !all_kept(a, &m, first, a->p->value[y].bytes / 16))
			continue;
		again = copy_makers(a, &m, first - 1);
		if (again >= 0)
			readers_move(a, y, again);
	}
}
