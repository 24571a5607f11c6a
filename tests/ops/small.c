#include "ops/small.h"

#include "base/fail.h"
#include "base/rng.h"
#include "dev/host.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const small_layout_name[SMALL_LAYOUTS] = {
	"nhwc", "nhwc16", "nchw", "block 8", "block 16"
};

void small_init(struct small *s, const char *name, ...)
{
	va_list ap;

	memset(s, 0, sizeof *s);
	va_start(ap, name);
	vsnprintf(s->name, sizeof s->name, name, ap);
	va_end(ap);
	s->control.count = s->control.stride = 1;
	s->control.loss_scale = 1;      /* of fp16 too: numbers as they are */
	s->control.lr = 0.1;
	s->losses = -1;
	s->devices = 1;
	s->seed = 1;
}

void small_release(struct small *s)
{
	int k;

	for (k = 0; k < s->values; k++) {
		free(s->value[k].given);
		free(s->value[k].got);
	}
	s->values = 0;
}

static int add(struct small *s, enum small_role role, struct shape4 shape, struct layout lay)
{
	struct small_value *v = &s->value[s->values];

	assert(s->values < SMALL_VALUES);
	v->role = role;
	v->shape = shape;
	v->lay = lay;
	v->master = -1;
	v->numbers = (size_t)shape.n * (size_t)shape.h * (size_t)shape.w * (size_t)shape.c;
	v->given = calloc(v->numbers, sizeof *v->given);
	v->got = calloc(v->numbers, sizeof *v->got);
	assert(v->given && v->got);
	if (lay.type == DTYPE_F32)
		small_fill(s, s->values, -1, 1);
	return s->values++;
}

int small_value(struct small *s, enum small_role role, int n, int h, int w, int c)
{
	return add(s, role, (struct shape4){ n, h, w, c }, (struct layout){ 0, 0, DTYPE_F32 });
}

int small_rows(struct small *s, enum small_role role, int rows, int c)
{
	return add(s, role == SMALL_IN ? SMALL_HOST : role, (struct shape4){ 1, 1, rows, c },
		   layout_rows(c));
}

int small_host(struct small *s, enum dtype type, int n, int h, int w, int c)
{
	return add(s, SMALL_HOST, (struct shape4){ n, h, w, c }, layout_bare(c, type));
}

int small_place(struct small *s, int n, int h, int w, int c)
{
	return add(s, SMALL_MID, (struct shape4){ n, h, w, c }, (struct layout){ 0, 0, DTYPE_U8 });
}

int small_master(struct small *s, int o, int i, int k0, int k1)
{
	int v = add(s, SMALL_MASTER, (struct shape4){ o, k0, k1, i },
		    (struct layout){ 1, i, DTYPE_F32 });

	return s->value[v].master = v;
}

int small_vector(struct small *s, int c)
{
	int v = add(s, SMALL_MASTER, (struct shape4){ 1, 1, 1, c }, layout_bare(c, DTYPE_F32));

	return s->value[v].master = v;
}

static int beside(struct small *s, enum small_role role, int master)
{
	int v = add(s, role, s->value[master].shape, s->value[master].lay);

	s->value[v].master = master;
	return v;
}

int small_gradient(struct small *s, int master)
{
	return beside(s, SMALL_GRADIENT, master);
}

int small_slot(struct small *s, int master)
{
	return beside(s, SMALL_SLOT, master);
}

void small_fill(struct small *s, int value, double low, double high)
{
	struct small_value *v = &s->value[value];
	struct rng rng;
	size_t i;

	rng_init(&rng, s->seed, (uint64_t)value, s->name);
	for (i = 0; i < v->numbers; i++)
		v->given[i] = (float)(low + (high - low) * rng_uniform(&rng));
}

static int list_copy(int *to, int room, const int *from)
{
	int n = 0;

	for (; from[n] != SMALL_END; n++) {
		assert(n < room);
		to[n] = from[n];
	}
	return n;
}

void small_step(struct small *s, enum part part, enum step_kind kind, const void *attr,
		const int *in, const int *out)
{
	struct small_step *step = &s->step[s->steps++];

	assert(s->steps <= SMALL_STEPS);
	step->kind = kind;
	step->part = part;
	step->attr = attr;
	step->ins = list_copy(step->in, STEP_IN, in);
	step->outs = list_copy(step->out, STEP_OUT, out);
}

/* ---- the program ---- */

static struct layout layout_of(enum small_layout kind, int c)
{
	switch (kind) {
	case SMALL_NHWC16:
		return (struct layout){ pad_to(c, 16), pad_to(c, 16), DTYPE_F32 };
	case SMALL_NCHW:
		return (struct layout){ 1, c, DTYPE_F32 };
	case SMALL_BLOCK8:
		return (struct layout){ 8, pad_to(c, 8), DTYPE_F32 };
	case SMALL_BLOCK16:
		return (struct layout){ 16, pad_to(c, 16), DTYPE_F32 };
	default:
		return layout_bare(c, DTYPE_F32);
	}
}

struct bound {
	struct small *small;
	struct small_setup setup;
	struct graph graph;
	struct node node;
	struct param param[SMALL_VALUES];
	const struct backend *backend;
	struct device *dev;
	struct program *p;
	int input[SMALL_VALUES];        /* the value put for one of SMALL_IN */
	int begun;
};

static int param_index(const struct bound *b, int master)
{
	int k, n = 0;

	for (k = 0; k < master; k++)
		n += b->small->value[k].role == SMALL_MASTER;
	return n;
}

static void graph_of(struct bound *b)
{
	int k;

	b->node.op = OP_INPUT;
	b->node.name = "input";
	b->node.label = "";
	for (k = 0; k < NODE_PARAMS; k++)
		b->node.param[k] = -1;
	b->graph = (struct graph){ .nodes = 1, .node = &b->node, .param = b->param };
	for (k = 0; k < b->small->values; k++) {
		const struct small_value *v = &b->small->value[k];

		if (v->role != SMALL_MASTER)
			continue;
		b->param[b->graph.params++] = (struct param){
			.name = "master",
			.rank = v->shape.n > 1 || v->shape.h > 1 || v->shape.w > 1 ? 4 : 1,
			.dim = { v->shape.n, v->shape.c, v->shape.h, v->shape.w },
		};
		if (b->param[b->graph.params - 1].rank == 1)
			b->param[b->graph.params - 1].dim[0] = v->shape.c;
	}
}

/* A parameter or what lies beside it: all at the master's place in their arenas. */
static void add_param(struct build *build, struct bound *b, struct small_value *v, size_t *room)
{
	static const enum arena arena[] = {
		[SMALL_MASTER] = ARENA_PARAM, [SMALL_GRADIENT] = ARENA_GRAD,
		[SMALL_SLOT] = ARENA_STATE
	};
	struct program *p = build->p;
	int param = param_index(b, v->master);

	v->value = value_add(build, v->shape, v->lay, arena[v->role], "p%d", param);
	p->value[v->value].param = param;
	if (v->role == SMALL_MASTER) {
		p->master[param] = v->value;
		p->gradient[param] = p->slot[param] = -1;
		p->value[v->value].at = *room;
		*room += align_up(v->numbers * sizeof(float));
	} else {
		p->value[v->value].at = p->value[b->small->value[v->master].value].at;
		if (v->role == SMALL_GRADIENT)
			p->gradient[param] = v->value;
		else
			p->slot[param] = v->value;
	}
}

/* What the test gives comes without padding; a copy brings it to the run's layout. */
static void add_in(struct build *build, struct bound *b, int k)
{
	struct small_value *v = &b->small->value[k];
	int step;

	b->input[k] = value_add(build, v->shape, layout_bare(v->shape.c, DTYPE_F32), ARENA_INPUT,
				"in%d", k);
	v->value = value_add(build, v->shape, layout_of(b->setup.layout, v->shape.c), ARENA_WORK,
			     "x%d", k);
	step = step_add(build, STEP_COPY, PART_FORWARD, -1, NULL);
	step_reads(build, step, b->input[k]);
	step_writes(build, step, v->value);
}

static void add_value(struct build *build, struct bound *b, int k, size_t *room)
{
	struct small_value *v = &b->small->value[k];

	switch (v->role) {
	case SMALL_MASTER:
	case SMALL_GRADIENT:
	case SMALL_SLOT:
		add_param(build, b, v, room);
		return;
	case SMALL_IN:
		add_in(build, b, k);
		return;
	default:
		v->value = value_add(build, v->shape, v->lay,
				     v->role == SMALL_HOST ? ARENA_INPUT :
				     v->role == SMALL_OUT ? ARENA_OUTPUT : ARENA_WORK, "v%d", k);
	}
}

static int fill(struct build *build, void *context)
{
	struct bound *b = context;
	struct small *s = b->small;
	struct program *p = build->p;
	size_t room = 0;
	int i, k;

	for (k = 0; k < s->values; k++)
		add_value(build, b, k, &room);
	p->arena[ARENA_PARAM] = p->arena[ARENA_GRAD] = p->arena[ARENA_STATE] = room;
	p->control = value_add(build, (struct shape4){ 1, 1, 1, sizeof(struct control) },
			       layout_bare(sizeof(struct control), DTYPE_U8), ARENA_CONTROL,
			       "control");
	p->losses = s->losses < 0 ? -1 : s->value[s->losses].value;
	for (i = 0; i < s->steps; i++) {
		const struct small_step *from = &s->step[i];
		int step = step_add(build, from->kind, from->part, -1, from->attr);

		for (k = 0; k < from->ins; k++)
			step_reads(build, step, from->in[k] < 0 ? -1 : s->value[from->in[k]].value);
		for (k = 0; k < from->outs; k++) {
			int v = from->out[k] < 0 ? -1 : s->value[from->out[k]].value;

			step_writes(build, step, v);
			if (k > 0 && v >= 0 && from->kind == STEP_MAXPOOL)
				build->fact[v].like = s->value[from->out[0]].value;
		}
	}
	TRY(build_layouts(build));
	return build_brackets(build);
}

static char seen[2048] = ", ";

/* A convolution alone costs most, brackets least. */
static double eager_cost(void *dev, const struct program *p, int from, int to)
{
	int conv = 0;

	if (backend_find(p->target.name)->target(dev).cost(dev, p, from, to) < 0)
		return -1;
	for (int i = from; i < to; i++)
		conv |= p->step[i].kind == STEP_CONV || p->step[i].kind == STEP_CONV_DX ||
			p->step[i].kind == STEP_CONV_DW;
	return to > from + 1 ? 1e-6 : conv ? 1 : 1e-3;
}

struct target small_target(const struct backend *b, struct device *dev)
{
	struct target t = b->target(dev);

	t.cost = eager_cost;
	return t;
}

static void note_brackets(const struct program *p)
{
	int i, first, last;

	for (i = 0; i < p->steps; i = last + 1) {
		char name[160] = ", ";

		step_extent(p, i, &first, &last);
		if (p->step[i].bracket < 0)
			continue;
		for (; i <= last; i++) {
			strcat(name, name[2] ? " " : "");
			strcat(name, step_name(p->step[i].kind));
		}
		strcat(name, ", ");
		if (!strstr(seen, name) && strlen(seen) + sizeof name < sizeof seen)
			strcat(seen, name + 2);
	}
}

const char *small_brackets(void)
{
	return seen;
}

struct bound *small_bind(struct small *s, const struct small_setup *setup)
{
	struct bound *b = calloc(1, sizeof *b);
	struct program_options options = { .training = !s->evaluation, .batch = 1, .devices = s->devices,
					   .precision = setup->precision,
					   .without = setup->without };
	struct target target;

	assert(b);
	b->small = s;
	b->setup = *setup;
	b->dev = small_open(setup->backend, setup->threads, &b->backend);
	if (!b->dev) {
		bound_free(b);
		return NULL;
	}
	target = small_target(b->backend, b->dev);
	graph_of(b);
	b->p = program_of(&b->graph, &options, &target, fill, b);
	if (!b->p || (s->devices == 1 && b->backend->bind(b->dev, b->p, NULL))) {
		bound_free(b);
		return NULL;
	}
	note_brackets(b->p);
	return b;
}

void bound_free(struct bound *b)
{
	if (!b)
		return;
	program_free(b->p);
	if (b->dev)
		b->backend->close(b->dev);
	free(b);
}

struct program *bound_program(struct bound *b)
{
	return b->p;
}

struct device *bound_device(struct bound *b)
{
	return b->dev;
}

const struct backend *bound_backend(struct bound *b)
{
	return b->backend;
}

/* ---- running ---- */

/* Devices in host memory begin with their struct host (host.h). */
static struct memory *memory_of(struct bound *b)
{
	return strcmp(b->backend->name, "ref") && strcmp(b->backend->name, "cpu") ? NULL :
	       host_memory((struct host *)b->dev, b->p);
}

static int has_update(const struct program *p)
{
	return p->begin[PART_UPDATE] < p->begin[PART_UPDATE + 1];
}

/* Every byte 0xff is NaN in any float. */
static void poison(struct bound *b)
{
	static const enum arena arena[] = { ARENA_WORK, ARENA_OUTPUT, ARENA_PACKED, ARENA_GRAD };
	struct memory *m = memory_of(b);
	size_t i, count = sizeof arena / sizeof *arena;

	if (has_update(b->p))
		count--;        /* gradients are given, and FINITE looks at all of them */
	for (i = 0; m && i < count; i++)
		if (m->arena[arena[i]])
			memset(m->arena[arena[i]], 0xff, b->p->arena[arena[i]]);
}

int bound_begin(struct bound *b)
{
	const struct backend *be = b->backend;
	struct small *s = b->small;
	int k;

	poison(b);
	for (k = 0; k < s->values; k++) {
		const struct small_value *v = &s->value[k];

		if (v->role == SMALL_IN)
			TRY(be->put(b->dev, b->p, b->input[k], v->given));
		else if (v->role == SMALL_HOST || v->role == SMALL_MASTER ||
			 v->role == SMALL_SLOT ||
			 (v->role == SMALL_GRADIENT && has_update(b->p)))
			TRY(be->put(b->dev, b->p, v->value, v->given));
	}
	TRY(be->put(b->dev, b->p, b->p->control, &s->control));
	if (!b->begun++)
		TRY(be->restore(b->dev, b->p, &s->control));
	return be->run(b->dev, b->p, b->p->begin[PART_PACK], b->p->begin[PARTS]);
}

int bound_steps(struct bound *b)
{
	return b->backend->run(b->dev, b->p, 0, b->p->begin[PART_PACK]);
}

int bound_end(struct bound *b)
{
	struct small *s = b->small;
	int k;

	TRY(b->backend->wait(b->dev));
	for (k = 0; k < s->values; k++) {
		enum small_role role = s->value[k].role;

		if (role == SMALL_OUT || role == SMALL_GRADIENT || role == SMALL_MASTER ||
		    role == SMALL_SLOT)
			TRY(b->backend->get(b->dev, b->p, s->value[k].value, s->value[k].got));
	}
	return 0;
}

int bound_run(struct bound *b)
{
	TRY(bound_begin(b));
	TRY(bound_steps(b));
	return bound_end(b);
}

int bound_padding(struct bound *b)
{
	struct memory *m = memory_of(b);
	int k, bad = 0;

	for (k = 0; m && k < b->small->values; k++) {
		const struct value *v = &b->p->value[b->small->value[k].value];
		size_t bytes = value_numbers(v) * dtype_bytes(v->lay.type);
		void *clean;

		if (b->small->value[k].role != SMALL_OUT)
			continue;
		clean = malloc(bytes);
		assert(clean);
		memcpy(clean, memory_at(m, b->small->value[k].value), bytes);
		value_zero_padding(v, clean);
		if (memcmp(clean, memory_at(m, b->small->value[k].value), bytes)) {
			fail("value %d: padding is not zero", k);
			bad++;
		}
		free(clean);
	}
	return bad;
}
