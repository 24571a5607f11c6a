/*
 * Layouts, step by step in order: what is asked for differs from what is there only
 * where a COPY step joins the two. A value is copied into a layout once, for all who
 * read it so.
 */
#include "base/fail.h"
#include "net/program_build.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The same kind of layout for another number of channels. */
static struct layout layout_for(struct layout like, int from_c, int c, enum dtype type)
{
	struct layout l = like;

	l.type = type;
	if (c == from_c)
		return l;
	if (like.block == 1 || like.block < like.pad)
		l.pad = pad_to(c, like.block);
	else
		l.block = l.pad = like.pad == from_c ? c : pad_to(c, VECTOR_BLOCK);
	return l;
}

/* The layout that a result begins with: its own, or as what it is like. */
static struct layout layout_default(const struct build *b, const struct step *s, int k,
				    const struct layout *out)
{
	const struct program *p = b->p;
	const struct value *v = &p->value[s->out[k]];
	int like = b->fact[s->out[k]].like;

	if (v->lay.block)
		return v->lay;
	if (like < 0)
		like = s->in[0];
	if (k > 0 && like == s->out[0])
		return layout_for(out[0], p->value[like].c, v->c, v->lay.type);
	return layout_for(p->value[like].lay, p->value[like].c, v->c, v->lay.type);
}

static int layout_check(const struct program *p, const struct step *s, const struct value *v,
			struct layout l)
{
	if (l.block < 1 || l.pad < v->c || l.pad % l.block || !dtype_bytes(l.type))
		return fail("%s: %s of %s: no layout: block %d, pad %d for %d channels",
			    p->target.name, step_name(s->kind), v->name, l.block, l.pad, v->c);
	return 0;
}

/* v in another layout: a copy that is there, or a new one, made at the list's end. */
static int copy_of(struct build *b, int v, struct layout lay, const struct step *reader)
{
	const struct value *from = &b->p->value[v];
	int c, n = 0, s;

	for (c = b->fact[v].copy; c >= 0; c = b->fact[c].next_copy, n++)
		if (layout_same(b->p->value[c].lay, lay))
			return c;
	c = n ? value_add(b, value_shape(from), lay, ARENA_WORK, "%s'%d", from->name, n + 1)
	      : value_add(b, value_shape(from), lay, ARENA_WORK, "%s'", from->name);
	s = step_add(b, STEP_COPY, reader->part, reader->node, NULL);
	if (b->failed)
		return v;
	step_reads(b, s, v);
	step_writes(b, s, c);
	b->fact[c].next_copy = b->fact[v].copy;
	b->fact[v].copy = c;
	return c;
}

/* Appends one step of the old list to the new, with its copies before it. */
static int lay_step(struct build *b, const struct step *old)
{
	struct program *p = b->p;
	struct layout in[STEP_IN] = { { 0, 0, 0 } }, out[STEP_OUT] = { { 0, 0, 0 } };
	struct step s = *old;
	int at = step_add(b, s.kind, s.part, s.node, s.attr);

	if (b->failed)
		return 0;
	for (int k = 0; k < s.ins; k++)
		if (s.in[k] >= 0)
			in[k] = p->value[s.in[k]].lay;
	for (int k = 0; k < s.outs; k++)
		if (s.out[k] >= 0)
			out[k] = layout_default(b, &s, k, out);
	p->step[at] = s;
	if (s.part <= PART_BACKWARD)
		TRY(p->target.layout(p->target.dev, p, at, in, out));
	p->steps--;
	for (int k = 0; k < s.ins; k++) {
		const struct value *v = s.in[k] < 0 ? NULL : &p->value[s.in[k]];

		if (!v || layout_same(in[k], v->lay))
			continue;
		TRY(layout_check(p, &s, v, in[k]));
		if (v->arena != ARENA_WORK)
			return fail("%s: %s: %s cannot have another layout", p->target.name,
				    step_name(s.kind), v->name);
		s.in[k] = copy_of(b, s.in[k], in[k], &s);
	}
	for (int k = 0; k < s.outs; k++) {
		struct value *v = s.out[k] < 0 ? NULL : &p->value[s.out[k]];

		if (!v)
			continue;
		TRY(layout_check(p, &s, v, out[k]));
		if (v->lay.block && !layout_same(out[k], v->lay))
			return fail("%s: %s: %s cannot have another layout", p->target.name,
				    step_name(s.kind), v->name);
		v->lay = out[k];
	}
	at = step_add(b, s.kind, s.part, s.node, s.attr);
	if (b->failed)
		return 0;
	p->step[at] = s;
	for (int k = 0; k < s.outs; k++)
		if (s.out[k] >= 0)
			b->fact[s.out[k]].maker = at;
	return 0;
}

int build_layouts(struct build *b)
{
	struct program *p = b->p;
	struct step *old = p->step;
	int steps = p->steps, r = 0;

	p->step = NULL;
	p->steps = p->step_room = 0;
	if (program_reserve(p, 0, steps + steps / 4 + 16)) {
		p->step = old;
		return -1;
	}
	for (int i = 0; i < steps && !r && !b->failed; i++)
		r = lay_step(b, &old[i]);
	free(old);
	TRY(r);
	for (int i = 0; i < p->values && !b->failed; i++) {
		assert(p->value[i].lay.block > 0);
		TRY(value_measure(&p->value[i]));
	}
	return 0;
}
