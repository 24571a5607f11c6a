#include "net/gradient.h"

#include "base/fail.h"

#include <stdlib.h>

/* ---- parts of gradients ---- */

static int part_add(struct build *b, int value)
{
	if (b->part_count == b->part_room) {
		int room = b->part_room ? 2 * b->part_room : 256;
		struct gradient_part *more = realloc(b->parts, (size_t)room * sizeof *more);

		if (!more) {
			fail("program: out of memory");
			b->failed = 1;
			return 0;
		}
		b->parts = more;
		b->part_room = room;
	}
	b->parts[b->part_count] = (struct gradient_part){ value, -1 };
	return b->part_count++;
}

void contribute(struct build *b, int v, int part)
{
	int k;

	if (b->failed)
		return;
	k = part_add(b, part);
	if (b->failed)
		return;
	if (b->fact[v].part < 0)
		b->fact[v].part = k;
	else
		b->parts[b->fact[v].part_last].next = k;
	b->fact[v].part_last = k;
}

/* A step's result that is a gradient of v: as v in shape and, to begin with, layout. */
static int result_like(struct build *b, int step, int v)
{
	struct program *p = b->p;
	struct layout open = { 0, 0, DTYPE_F32 };
	int d;

	if (b->failed)
		return 0;
	d = value_add(b, value_shape(&p->value[v]), open, ARENA_WORK, "d%s", p->value[v].name);
	if (b->failed)
		return 0;
	b->fact[d].like = v;
	b->fact[d].of = v;
	step_writes(b, step, d);
	return d;
}

void gives(struct build *b, int step, int v)
{
	contribute(b, v, result_like(b, step, v));
}

/* Sums a list of values into out, in chains where they are many. */
static void add_list(struct build *b, int list, int out, int node)
{
	int acc = b->parts[list].value;

	list = b->parts[list].next;
	while (list >= 0 && !b->failed) {
		int s = step_add(b, STEP_ADD, PART_BACKWARD, node, NULL), taken;

		step_reads(b, s, acc);
		for (taken = 1; taken < STEP_IN && list >= 0; taken++) {
			step_reads(b, s, b->parts[list].value);
			list = b->parts[list].next;
		}
		if (list < 0) {
			step_writes(b, s, out);
		} else {
			const struct value *v = &b->p->value[out];

			acc = value_add(b, value_shape(v), v->lay, ARENA_WORK, "%s+", v->name);
			if (b->failed)
				return;
			b->fact[acc].like = b->fact[out].like;
			step_writes(b, s, acc);
		}
	}
}

int gradient_of(struct build *b, int v)
{
	struct program *p = b->p;
	struct layout open = { 0, 0, DTYPE_F32 };
	int out, part = b->fact[v].part, k = 0;

	if (b->failed || part < 0)
		return -1;
	if (b->parts[part].next < 0)
		return b->parts[part].value;
	for (int i = part; i >= 0; i = b->parts[i].next) {
		int d = b->parts[i].value;
		const char *name;

		k++;
		if (b->fact[d].of != v)
			continue;
		name = program_text(p, "d%s.%d", p->value[v].name, k);
		if (!name) {
			b->failed = 1;
			return -1;
		}
		p->value[d].name = name;
	}
	out = value_add(b, value_shape(&p->value[v]), open, ARENA_WORK, "d%s", p->value[v].name);
	if (b->failed)
		return -1;
	b->fact[out].like = v;
	add_list(b, part, out, p->step[b->fact[v].maker].node);
	return out;
}

/* ---- gradients of parameters ---- */

int param_result(struct build *b, int step, int master)
{
	struct program *p = b->p;
	const struct value *v;
	int param, d;

	if (b->failed || master < 0) {
		step_writes(b, step, -1);
		return -1;
	}
	param = p->value[master].param;
	d = p->gradient[param];
	if (b->uses[param] > 1) {
		v = &p->value[master];
		d = value_add(b, value_shape(v), v->lay, ARENA_WORK, "d%s.%d", v->name,
			      b->uses[param] - b->uses_left[param] + 1);
	}
	step_writes(b, step, d);
	return d;
}

void param_done(struct build *b, int master, int d)
{
	int k, param;

	if (b->failed || d < 0)
		return;
	param = b->p->value[master].param;
	if (b->uses[param] == 1)
		return;
	k = part_add(b, d);
	if (b->failed)
		return;
	b->parts[k].next = b->param_part[param];
	b->param_part[param] = k;
	if (--b->uses_left[param] == 0)
		add_list(b, k, b->p->gradient[param], -1);
}

