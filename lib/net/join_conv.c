/*
 * Brackets with convolutions. Each is taken where the backend says that it costs less
 * than what it takes the place of: engines of a library are not faster for doing more.
 */
#include "net/trial.h"

#include <string.h>

/* Convolutions, forward and of weights, that read one activation; more: it is stored. */
enum { READERS = 8 };

/* ---- statistics ---- */

/* The statistics of what a convolution makes, if they are still alone; -1. */
static int stats_of(const struct pass *a, int conv)
{
	int value = a->p->step[conv].out[0], found = -1;

	if (listed(a->p->options.without, "stats"))
		return -1;
	for (int e = a->head[value]; e >= 0; e = a->next[e]) {
		const struct step *s = &a->p->step[e / STEP_IN];

		if (s->kind == STEP_STATS && s->bracket < 0)
			found = e / STEP_IN;
	}
	return found;
}

/* Seconds of a convolution and its statistics (-1: none) without anything before. */
static double plain_cost(struct pass *a, int conv, int stats)
{
	const int step[] = { conv, stats };

	return stats < 0 ? step_cost(a, conv) : steps_cost(a, BRACKET_CONV_STATS, step);
}

int join_stats(struct pass *a, int conv)
{
	int step[] = { conv, stats_of(a, conv) };
	double alone[2];
	struct trial t;

	if (step[1] < 0)
		return 0;
	alone[0] = step_cost(a, step[0]);
	alone[1] = step_cost(a, step[1]);
	trial_begin(&t, BRACKET_CONV_STATS);
	trial_set(a, &t, 0, step[0]);
	trial_set(a, &t, 1, step[1]);
	if (alone[0] < 0 || alone[1] < 0)
		return 0;
	return try_cheaper(a, &t, alone[0] + alone[1]);
}

/* ---- prologue ---- */

/* affine and act, copied or (original) as they are, before one of their readers. Seconds;
 * < 0: cannot. */
static double prologue_cost(struct pass *a, struct trial *t, int affine, int act, int reader,
			    int stats, int original)
{
	enum part part = a->p->step[reader].part;
	int dw = a->p->step[reader].kind == STEP_CONV_DW;

	trial_begin(t, dw ? BRACKET_ACT_CONV_DW : stats < 0 ? BRACKET_ACT_CONV
							     : BRACKET_ACT_CONV_STATS);
	if (original) {
		trial_set(a, t, 0, affine);
		trial_set(a, t, 1, act);
	} else {
		trial_copy(a, t, 0, affine, part);
		trial_copy(a, t, 1, act, part);
	}
	if (a->b->failed)
		return -1;
	trial_set(a, t, 2, reader);
	if (stats >= 0)
		trial_set(a, t, 3, stats);
	t->step[1].in[0] = t->step[0].out[0];
	t->step[2].in[0] = t->step[1].out[0];
	return trial_cost(a, t);
}

/* Who reads an activation, the first convolution first; 0: not only convolutions. */
static int readers_find(const struct pass *a, int value, int reader[READERS])
{
	int n = 0, first = 0;

	for (int e = a->head[value]; e >= 0; e = a->next[e]) {
		int step = e / STEP_IN;
		const struct step *s = &a->p->step[step];

		if (e % STEP_IN || s->bracket >= 0 || n == READERS ||
		    (s->kind != STEP_CONV && s->kind != STEP_CONV_DW))
			return 0;
		reader[n++] = step;
		if (a->key[step] < a->key[reader[first]])
			first = n - 1;
	}
	if (n) {
		int step = reader[0];

		reader[0] = reader[first];
		reader[first] = step;
	}
	return n;
}

/* Seconds of all readers with prologues of their own, less those of what they replace. */
static double prologues_gain(struct pass *a, const int *step, const int *reader, int n,
			     struct trial *t)
{
	double plain = steps_cost(a, BRACKET_AFFINE_ACT, step), fused = 0;

	if (plain < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		int conv = a->p->step[reader[i]].kind == STEP_CONV;
		int stats = conv ? stats_of(a, reader[i]) : -1;
		double without = plain_cost(a, reader[i], stats);
		double with = prologue_cost(a, &t[i], step[0], step[1], reader[i], stats, !i);

		if (with < 0 && stats >= 0) {
			with = prologue_cost(a, &t[i], step[0], step[1], reader[i], -1, !i);
			with = with < 0 ? -1 : with + step_cost(a, stats);
		}
		if (with < 0 || without < 0)
			return -1;
		fused += with;
		plain += without;
	}
	return plain - fused;
}

int join_prologue(struct pass *a, int affine, int act)
{
	const int step[] = { affine, act };
	int reader[READERS], values = a->p->values, n, gains;
	struct trial t[READERS];

	n = readers_find(a, a->p->step[act].out[0], reader);
	if (!n || a->p->step[reader[0]].kind != STEP_CONV)
		return 0;
	for (int i = 1; i < n; i++)
		a->leaves[reader[i]] = 1;
	gains = prologues_gain(a, step, reader, n, t) > 0;
	for (int i = 1; i < n; i++)
		a->leaves[reader[i]] = 0;
	for (int i = 0; i < n && gains; i++)
		trial_commit(a, &t[i]);
	if (!gains)
		a->p->values = values;
	return gains;
}

/* ---- skip ---- */

/* Before this convolution: 1 if made. */
static int skip_before(struct pass *a, int affine, int add, int act, int conv)
{
	int step[] = { affine, add, act, conv, stats_of(a, conv) };
	double plain = steps_cost(a, BRACKET_AFFINE_ADD_ACT, step);
	double rest = plain_cost(a, conv, step[4]);
	struct trial t;

	if (plain < 0 || rest < 0)
		return 0;
	trial_begin(&t, step[4] < 0 ? BRACKET_SKIP_CONV : BRACKET_SKIP_CONV_STATS);
	for (int k = 0; k < t.row->steps; k++)
		trial_set(a, &t, k, step[k]);
	return try_cheaper(a, &t, plain + rest);
}

int join_skip(struct pass *a, int add, int act)
{
	struct step *s = &a->p->step[add];
	int value = a->p->step[act].out[0], affine[2], swap;

	if (s->ins != 2)
		return 0;
	for (int k = 0; k < 2; k++)
		affine[k] = maker_of(a, s->in[k], STEP_AFFINE, PART_FORWARD);
	swap = affine[0] < 0;
	if ((affine[0] < 0) == (affine[1] < 0))
		return 0;
	if (swap)
		operands_swap(a, add);
	for (int e = a->head[value]; e >= 0; e = a->next[e]) {
		int conv = e / STEP_IN;

		if (e % STEP_IN == 0 && a->p->step[conv].kind == STEP_CONV &&
		    a->p->step[conv].bracket < 0 &&
		    skip_before(a, affine[swap], add, act, conv))
			return 1;
	}
	if (swap)
		operands_swap(a, add);
	return 0;
}

/* ---- sums ---- */

int join_sums(struct pass *a, int act_dx, int sums, int bn_dx, const struct again *g)
{
	int conv = maker_of(a, a->p->step[act_dx].in[0], STEP_CONV_DX, PART_BACKWARD);
	int values = a->p->values, made = 0;
	double plain, rest;
	struct trial t;

	if (conv < 0)
		return 0;
	plain = pair_cost(a, act_dx, sums, bn_dx, g);
	rest = step_cost(a, conv);
	if (plain < 0 || rest < 0)
		return 0;
	trial_begin(&t, BRACKET_CONV_DX_SUMS);
	trial_set(a, &t, 0, conv);
	trial_copy(a, &t, 1, g->affine, PART_BACKWARD);
	trial_copy(a, &t, 2, g->act, PART_BACKWARD);
	trial_set(a, &t, 3, act_dx);
	trial_set(a, &t, 4, sums);
	if (!a->b->failed) {
		t.step[2].in[0] = t.step[1].out[0];
		t.step[3].in[1] = t.step[2].out[0];
		made = try_cheaper(a, &t, plain + rest - step_cost(a, bn_dx));
	}
	if (!made)
		a->p->values = values;
	return made;
}
