#include "net/program.h"

#include "base/fail.h"
#include "net/program_build.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int options_check(const struct program_options *o, const struct graph *g)
{
	if (o->batch < 1 || o->batch > 1 << 24)
		return fail("batch %d: not between 1 and %d", o->batch, 1 << 24);
	if (o->devices < 1 || o->devices > 1 << 16)
		return fail("%d devices: not between 1 and %d", o->devices, 1 << 16);
	if (g->nodes < 1 || g->out < 0 || g->out >= g->nodes)
		return fail("network: no steps");
	if (!(o->smoothing >= 0 && o->smoothing < 1))
		return fail("label smoothing %g: not from 0 to 1", o->smoothing);
	return 0;
}

/* The kernel that a checkpoint asks for, before one is chosen. */
static int how_set(struct program *p, int step)
{
	const struct program_options *o = &p->options;

	if (!o->how || step >= o->hows)
		return 0;
	if (strlen(o->how[step]) >= STEP_HOW)
		return fail("step %d: kernel '%s': too long a name", step, o->how[step]);
	strcpy(p->step[step].how, o->how[step]);
	return 0;
}

static int begins_set(struct program *p)
{
	int i = 0;

	for (int part = 0; part < PARTS; part++) {
		p->begin[part] = i;
		while (i < p->steps && p->step[i].part == (enum part)part)
			i++;
	}
	p->begin[PARTS] = i;
	assert(i == p->steps);
	return 0;
}

/* Kernels; the list grows by PACK steps while it is walked. */
static int prepare_all(struct program *p)
{
	const struct program_options *o = &p->options;
	int operands = 0, r;

	for (int i = 0; i < p->steps; i++)
		operands += p->step[i].ins;
	/* All that can be added: arrays stay where they are while backends hold pointers. */
	TRY(program_reserve(p, p->values + 2 * operands + 2 * p->steps, p->steps + 2 * operands));
	for (int i = 0; i < p->steps; i++)
		TRY(how_set(p, i));
	for (int i = 0; ; i++) {
		if (i == p->steps) {
			TRY(r = fold_next(p));
			if (!r)
				break;
		}
		if (p->step[i].bracket >= 0 && i > 0 &&
		    p->step[i - 1].bracket == p->step[i].bracket)
			continue;
		if (p->step[i].part == PART_PACK)
			TRY(how_set(p, i));
		TRY(p->target.prepare(p->target.dev, p, i));
	}
	if (o->how && o->hows != p->steps)
		return fail("kernels of %d steps were asked for, the program has %d",
			    o->hows, p->steps);
	return 0;
}

static int workspaces_add(struct program *p)
{
	for (int i = 0; i < p->steps; i++) {
		struct value *v;

		if (!p->step[i].work)
			continue;
		TRY(program_reserve(p, p->values < p->value_room ? 0 : 2 * p->value_room, 0));
		v = &p->value[p->values];
		memset(v, 0, sizeof *v);
		v->name = "ws";
		v->n = v->h = v->w = v->c = 1;
		v->lay = layout_bare(1, DTYPE_U8);
		v->arena = ARENA_WORK;
		v->bytes = p->step[i].work;
		v->param = -1;
		p->step[i].work_value = p->values++;
	}
	return 0;
}

static int passes(struct build *b, void *context)
{
	int (*const pass[])(struct build *) = {
		build_params, build_forward, build_backward, build_update, build_folds,
		build_layouts, build_brackets, build_buckets
	};

	(void)context;
	for (size_t i = 0; i < sizeof pass / sizeof *pass; i++) {
		TRY(pass[i](b));
		if (b->failed)
			return fail("program: out of memory");
	}
	return 0;
}

static int build_init(struct build *b, struct program *p, const struct graph *g)
{
	size_t nodes = (size_t)g->nodes, params = (size_t)g->params + 1;

	b->p = p;
	b->node_value = malloc(nodes * sizeof(int));
	b->needed = calloc(nodes, 1);
	b->uses = calloc(params, sizeof(int));
	b->uses_left = calloc(params, sizeof(int));
	b->param_part = malloc(params * sizeof(int));
	if (!b->node_value || !b->needed || !b->uses || !b->uses_left || !b->param_part)
		return fail("program: out of memory");
	memset(b->node_value, -1, nodes * sizeof(int));
	memset(b->param_part, -1, params * sizeof(int));
	return 0;
}

static void build_release(struct build *b)
{
	free(b->node_value);
	free(b->needed);
	free(b->uses);
	free(b->uses_left);
	free(b->param_part);
	free(b->fact);
	free(b->parts);
}

static int make(struct program *p, program_fill *fill, void *context)
{
	struct build b = { 0 };
	int r;

	r = build_init(&b, p, p->graph);
	if (!r)
		r = fill(&b, context);
	build_release(&b);
	if (r)
		return -1;
	begins_set(p);
	TRY(prepare_all(p));
	folds_settle(p);
	TRY(workspaces_add(p));
	return program_plan(p);
}

struct program *program_of(const struct graph *g, const struct program_options *o,
			   const struct target *target, program_fill *fill, void *context)
{
	struct program *p;
	size_t params = (size_t)g->params + 1;

	if (options_check(o, g))
		return NULL;
	p = calloc(1, sizeof *p);
	if (!p || !(p->memory = calloc(1, sizeof(struct memory_list)))) {
		free(p);
		fail("program: out of memory");
		return NULL;
	}
	p->graph = g;
	p->options = *o;
	p->target = *target;
	p->pixels = p->labels = p->shares = p->losses = p->probabilities = p->control = -1;
	p->master = program_alloc(p, params * sizeof(int));
	p->gradient = program_alloc(p, params * sizeof(int));
	p->slot = program_alloc(p, params * sizeof(int));
	if (!p->master || !p->gradient || !p->slot || program_reserve(p, 256, 256) ||
	    make(p, fill, context)) {
		program_free(p);
		return NULL;
	}
	/* Theirs, and only read while it was made. */
	p->options.without = NULL;
	p->options.how = NULL;
	p->options.hows = 0;
	return p;
}

struct program *program_make(const struct graph *g, const struct program_options *o,
			     const struct target *target)
{
	return program_of(g, o, target, passes, NULL);
}

void program_free(struct program *p)
{
	if (!p)
		return;
	for (int i = 0; p->target.release && i < p->steps; i++)
		p->target.release(p->target.dev, p, i);
	memory_release(p);
	free(p->value);
	free(p->step);
	free(p);
}
