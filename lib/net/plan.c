/*
 * Places in arenas. ARENA_WORK is shared out by lifetimes: the largest value first,
 * each at the lowest place that is free for as long as it lives. The other arenas
 * hold their values side by side; masters, gradients and slots have their places
 * already.
 */
#include "base/fail.h"
#include "net/program_build.h"

#include <stdlib.h>
#include <string.h>

static void touch(struct program *p, int value, int first, int last)
{
	struct value *v = value < 0 ? NULL : &p->value[value];

	if (!v)
		return;
	if (v->first < 0)
		v->first = first;
	v->last = last;
}

/* A bracket runs as one step: what any member reads or writes lives through all of it. */
static void lifetimes(struct program *p)
{
	int first = 0, last = -1;

	for (int i = 0; i < p->values; i++)
		p->value[i].first = p->value[i].last = -1;
	for (int i = 0; i < p->steps; i++) {
		const struct step *s = &p->step[i];

		if (i > last)
			step_extent(p, i, &first, &last);
		for (int k = 0; k < s->ins; k++)
			touch(p, s->in[k], first, last);
		for (int k = 0; k < s->outs; k++)
			touch(p, s->out[k], first, last);
		touch(p, s->work_value, first, last);
	}
}

struct block { size_t at, end; int first, last; };

/* Sorted by size, then by first, then by number: the same plan each time. */
struct want { size_t bytes; int first, value; };

static int want_order(const void *x, const void *y)
{
	const struct want *a = x, *b = y;

	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return a->value - b->value;
}

/* Puts one value among blocks that are in order of their places. Gives its end. */
static size_t put(struct block *block, int n, struct value *v)
{
	size_t size = align_up(v->bytes), at = 0;
	int place = 0, high = n;

	for (int i = 0; i < n; i++) {
		const struct block *o = &block[i];

		if (o->last < v->first || o->first > v->last)
			continue;
		if (o->at >= at && o->at - at >= size)
			break;
		if (o->end > at)
			at = o->end;
	}
	v->at = at;
	while (place < high) {
		int middle = (place + high) / 2;

		if (block[middle].at <= at)
			place = middle + 1;
		else
			high = middle;
	}
	memmove(block + place + 1, block + place, (size_t)(n - place) * sizeof *block);
	block[place] = (struct block){ at, at + size, v->first, v->last };
	return at + size;
}

static int plan_work(struct program *p)
{
	struct want *want = malloc(((size_t)p->values + 1) * sizeof *want);
	struct block *block = malloc(((size_t)p->values + 1) * sizeof *block);
	size_t end, peak = 0;
	int n = 0;

	if (!want || !block) {
		free(want);
		free(block);
		return fail("program: out of memory");
	}
	for (int i = 0; i < p->values; i++)
		if (p->value[i].arena == ARENA_WORK && p->value[i].first >= 0)
			want[n++] = (struct want){ p->value[i].bytes, p->value[i].first, i };
	qsort(want, (size_t)n, sizeof *want, want_order);
	for (int i = 0; i < n; i++) {
		end = put(block, i, &p->value[want[i].value]);
		if (end > peak)
			peak = end;
	}
	p->arena[ARENA_WORK] = peak;
	free(want);
	free(block);
	return 0;
}

/* Then no sum of sizes below can overflow. */
static int sizes_check(const struct program *p)
{
	size_t sum = 0;

	for (int i = 0; i < p->values; i++)
		if (__builtin_add_overflow(sum, p->value[i].bytes, &sum) || sum > SIZE_MAX / 4)
			return fail("batch %d: more bytes than can be counted", p->options.batch);
	return 0;
}

int program_plan(struct program *p)
{
	static const enum arena plain[] = {
		ARENA_PACKED, ARENA_INPUT, ARENA_OUTPUT, ARENA_CONTROL
	};

	TRY(sizes_check(p));
	lifetimes(p);
	for (size_t k = 0; k < sizeof plain / sizeof *plain; k++) {
		size_t at = 0;

		for (int i = 0; i < p->values; i++) {
			if (p->value[i].arena != plain[k])
				continue;
			p->value[i].at = at;
			at += align_up(p->value[i].bytes);
		}
		p->arena[plain[k]] = at;
	}
	return plan_work(p);
}

size_t program_live(const struct program *p, int *at_step)
{
	size_t *change = calloc(2 * ((size_t)p->steps + 1), sizeof *change);
	size_t live = 0, most = 0;

	*at_step = -1;
	if (!change)
		return 0;
	for (int i = 0; i < p->values; i++) {
		const struct value *v = &p->value[i];

		if (v->arena != ARENA_WORK || v->first < 0)
			continue;
		change[2 * v->first] += align_up(v->bytes);
		change[2 * v->last + 3] += align_up(v->bytes);
	}
	for (int i = 0; i < p->steps; i++) {
		live += change[2 * i] - change[2 * i + 1];
		if (live > most) {
			most = live;
			*at_step = i;
		}
	}
	free(change);
	return most;
}

size_t program_bytes(const struct program *p)
{
	size_t sum = 0;

	for (int a = 0; a < ARENAS; a++)
		sum += p->arena[a];
	return sum;
}

/* The batch that would fit, if what grows with it grew in proportion. */
static long batch_that_fits(const struct program *p, size_t available)
{
	size_t grows = p->arena[ARENA_WORK] + p->arena[ARENA_INPUT] + p->arena[ARENA_OUTPUT];
	size_t fixed = program_bytes(p) - grows;

	if (available <= fixed || !grows)
		return 0;
	return (long)((double)(available - fixed) / (double)grows * p->options.batch);
}

int program_fits(const struct program *p, size_t available, const char *where)
{
	char needs[SIZE_TEXT], has[SIZE_TEXT];
	long batch;

	if (program_bytes(p) <= available)
		return 0;
	batch = batch_that_fits(p, available);
	size_show(needs, program_bytes(p));
	size_show(has, available);
	if (batch < 1)
		return fail("batch %d: needs %s, %s has %s free: no batch would fit",
			    p->options.batch, needs, where, has);
	return fail("batch %d: needs %s, %s has %s free: -b %ld would fit", p->options.batch,
		    needs, where, has, batch);
}
