/* The plan's test: every pair of values, every read, by brute force. Lifetimes are
 * found anew here, so that the plan's own are tested too. */
#include "base/fail.h"
#include "net/program_build.h"

#include <stdlib.h>

/* What was found about a value: steps, -1 for never. */
struct seen { int writes, first, last, inside; };

static int from_outside(const struct program *p, int v)
{
	enum arena a = p->value[v].arena;

	return a == ARENA_PARAM || a == ARENA_STATE || a == ARENA_INPUT || a == ARENA_CONTROL ||
	       a == ARENA_PACKED;
}

static int check_read(const struct program *p, const struct seen *seen, int step, int v)
{
	if (seen[v].writes || from_outside(p, v))
		return 0;
	return fail("step %d (%s) reads %s, which nobody wrote", step,
		    step_name(p->step[step].kind), p->value[v].name);
}

static int check_write(const struct program *p, const struct seen *seen, int step, int v)
{
	enum arena a = p->value[v].arena;

	if (seen[v].writes)
		return fail("step %d (%s) writes %s, which was written before", step,
			    step_name(p->step[step].kind), p->value[v].name);
	if (a == ARENA_PARAM || a == ARENA_STATE || a == ARENA_INPUT || a == ARENA_CONTROL)
		return fail("step %d (%s) writes %s, which is the host's", step,
			    step_name(p->step[step].kind), p->value[v].name);
	return 0;
}

static void see(struct seen *s, int first, int last, int bracket)
{
	if (s->first < 0) {
		s->first = first;
		s->inside = bracket;
	}
	if (s->inside != bracket)
		s->inside = -1;
	if (s->last < last)
		s->last = last;
}

static int check_step(const struct program *p, struct seen *seen, int i)
{
	const struct step *s = &p->step[i];
	int first, last;

	if (i < p->begin[s->part] || i >= p->begin[s->part + 1])
		return fail("step %d (%s) is not in its part", i, step_name(s->kind));
	step_extent(p, i, &first, &last);
	for (int k = 0; k < s->ins; k++) {
		if (s->in[k] < 0)
			continue;
		TRY(check_read(p, seen, i, s->in[k]));
		see(&seen[s->in[k]], first, last, s->bracket);
	}
	for (int k = 0; k < s->outs; k++) {
		if (s->out[k] < 0)
			continue;
		TRY(check_write(p, seen, i, s->out[k]));
		see(&seen[s->out[k]], first, last, s->bracket);
		seen[s->out[k]].writes = 1;
	}
	if (s->work) {
		if (s->work_value < 0 || p->value[s->work_value].bytes < s->work)
			return fail("step %d (%s) has no workspace", i, step_name(s->kind));
		see(&seen[s->work_value], first, last, s->bracket);
		seen[s->work_value].writes = 1;
	}
	return 0;
}

/* Steps of a bracket stand together. */
static int check_brackets(const struct program *p)
{
	int next = 0;

	for (int i = 0; i < p->steps; i++) {
		int n = p->step[i].bracket, same = i > 0 && p->step[i - 1].bracket == n;

		if (n < 0 || same)
			continue;
		if (n != next++)
			return fail("step %d: bracket %d comes again or out of turn", i, n);
	}
	return next == p->brackets ? 0 : fail("%d brackets, not %d", next, p->brackets);
}

static int check_value(const struct program *p, const struct seen *s, int i)
{
	const struct value *v = &p->value[i];

	if (v->arena == ARENA_NONE)
		return s->first < 0 || s->inside >= 0 ? 0
			: fail("%s is not stored, but used outside of its bracket", v->name);
	if (v->at % ARENA_ALIGN)
		return fail("%s: at %zu: not aligned", v->name, v->at);
	if (s->first >= 0 && (v->at > p->arena[v->arena] ||
			      v->bytes > p->arena[v->arena] - v->at))
		return fail("%s: ends beyond its arena", v->name);
	return 0;
}

static int check_pair(const struct program *p, const struct seen *seen, int i, int j)
{
	const struct value *x = &p->value[i], *y = &p->value[j];

	if (x->arena != y->arena || x->arena == ARENA_NONE || !x->bytes || !y->bytes)
		return 0;
	if (x->arena == ARENA_WORK && (seen[i].first < 0 || seen[j].first < 0 ||
				       seen[i].last < seen[j].first ||
				       seen[j].last < seen[i].first))
		return 0;
	if (x->at + x->bytes <= y->at || y->at + y->bytes <= x->at)
		return 0;
	return fail("%s and %s overlap at %zu", x->name, y->name, x->at > y->at ? x->at : y->at);
}

/* Every parameter that trains has a gradient that is written. */
static int check_gradients(const struct program *p, const struct seen *seen)
{
	for (int i = 0; p->options.training && i < p->graph->params; i++)
		if (p->gradient[i] >= 0 && !seen[p->gradient[i]].writes)
			return fail("%s: no step makes its gradient", p->graph->param[i].name);
	return 0;
}

static int check_all(const struct program *p, struct seen *seen)
{
	for (int i = 0; i < p->values; i++)
		seen[i] = (struct seen){ 0, -1, -1, -1 };
	TRY(check_brackets(p));
	for (int i = 0; i < p->steps; i++)
		TRY(check_step(p, seen, i));
	TRY(check_gradients(p, seen));
	for (int i = 0; i < p->values; i++) {
		TRY(check_value(p, &seen[i], i));
		for (int j = 0; j < i; j++)
			TRY(check_pair(p, seen, i, j));
	}
	return 0;
}

int program_check(const struct program *p)
{
	struct seen *seen = malloc(((size_t)p->values + 1) * sizeof *seen);
	int r;

	if (!seen)
		return fail("program: out of memory");
	r = check_all(p, seen);
	free(seen);
	return r;
}
