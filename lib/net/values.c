/* Memory, values and steps of a program while it is made; the PACK part. */
#include "net/program_build.h"

#include "base/fail.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory that lives as long as the program ---- */

enum { CHUNK = 1 << 16 };

void *program_alloc(struct program *p, size_t bytes)
{
	struct memory_list *list = p->memory;
	struct chunk *c = list->chunk;
	void *at;

	if (bytes > SIZE_MAX / 2) {
		fail("program: out of memory");
		return NULL;
	}
	bytes = (bytes + 15) & ~(size_t)15;
	if (!c || c->room - c->used < bytes) {
		size_t room = bytes > CHUNK ? bytes : CHUNK;

		c = calloc(1, sizeof *c + room);
		if (!c) {
			fail("program: out of memory");
			return NULL;
		}
		c->room = room;
		c->next = list->chunk;
		list->chunk = c;
	}
	at = c->data + c->used;
	c->used += bytes;
	return at;
}

void memory_release(struct program *p)
{
	struct memory_list *list = p->memory;

	while (list->chunk) {
		struct chunk *c = list->chunk;

		list->chunk = c->next;
		free(c);
	}
	free(list->packed);
	free(list->fold);
	free(list);
}

static char *text_keep(struct program *p, const char *fmt, va_list ap)
{
	va_list again;
	char *text;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	text = n < 0 ? NULL : program_alloc(p, (size_t)n + 1);
	if (text)
		vsnprintf(text, (size_t)n + 1, fmt, ap);
	return text;
}

char *program_text(struct program *p, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = text_keep(p, fmt, ap);
	va_end(ap);
	return text;
}

int program_reserve(struct program *p, int values, int steps)
{
	if (values > p->value_room) {
		struct value *v = realloc(p->value, (size_t)values * sizeof *v);

		if (!v)
			return fail("program: out of memory");
		p->value = v;
		p->value_room = values;
	}
	if (steps > p->step_room) {
		struct step *s = realloc(p->step, (size_t)steps * sizeof *s);

		if (!s)
			return fail("program: out of memory");
		p->step = s;
		p->step_room = steps;
	}
	return 0;
}

/* ---- values and steps ---- */

size_t value_numbers(const struct value *v)
{
	return (size_t)v->n * (size_t)v->h * (size_t)v->w * (size_t)v->lay.pad;
}

int value_bare(const struct value *v)
{
	return v->param >= 0 &&
	       (v->arena == ARENA_PARAM || v->arena == ARENA_GRAD || v->arena == ARENA_STATE);
}

int program_stored(const struct program *p, int value)
{
	assert(value >= 0 && value < p->values);
	if (p->value[value].arena == ARENA_NONE)
		return fail("%s: lives inside a bracket and is not stored", p->value[value].name);
	return 0;
}

int value_measure(struct value *v)
{
	size_t n = (size_t)v->n;

	if (__builtin_mul_overflow(n, (size_t)v->h, &n) ||
	    __builtin_mul_overflow(n, (size_t)v->w, &n) ||
	    __builtin_mul_overflow(n, (size_t)v->lay.pad, &n) ||
	    __builtin_mul_overflow(n, dtype_bytes(v->lay.type), &n) || n > SIZE_MAX / 64)
		return fail("%s: %dx%dx%dx%d: too large", v->name, v->n, v->h, v->w, v->c);
	v->bytes = n;
	return 0;
}

static int fact_reserve(struct build *b, int room)
{
	struct fact *f = realloc(b->fact, (size_t)room * sizeof *f);

	if (!f)
		return fail("program: out of memory");
	b->fact = f;
	b->fact_room = room;
	return 0;
}

int value_add(struct build *b, struct shape4 s, struct layout lay, enum arena arena,
	      const char *fmt, ...)
{
	static const struct fact unknown = { -1, -1, -1, 0, -1, -1, -1, -1 };
	struct program *p = b->p;
	struct value *v;
	va_list ap;
	char *name;

	va_start(ap, fmt);
	name = b->failed ? NULL : text_keep(p, fmt, ap);
	va_end(ap);
	if (!name ||
	    (p->values == p->value_room && program_reserve(p, 2 * p->value_room, 0)) ||
	    (p->value_room > b->fact_room && fact_reserve(b, p->value_room))) {
		b->failed = 1;
		return 0;
	}
	v = &p->value[p->values];
	memset(v, 0, sizeof *v);
	v->name = name;
	v->n = s.n;
	v->h = s.h;
	v->w = s.w;
	v->c = s.c;
	v->lay = lay;
	v->arena = arena;
	v->first = v->last = v->param = -1;
	b->fact[p->values] = unknown;
	return p->values++;
}

int step_add(struct build *b, enum step_kind kind, enum part part, int node, const void *attr)
{
	struct program *p = b->p;
	struct step *s;

	if (b->failed || (p->steps == p->step_room && program_reserve(p, 0, 2 * p->step_room))) {
		b->failed = 1;
		return 0;
	}
	s = &p->step[p->steps];
	memset(s, 0, sizeof *s);
	s->kind = kind;
	s->part = part;
	s->node = node;
	s->attr = attr;
	s->bracket = s->work_value = -1;
	return p->steps++;
}

void step_reads(struct build *b, int step, int value)
{
	struct step *s = &b->p->step[step];

	if (b->failed)
		return;
	assert(s->ins < STEP_IN);
	s->in[s->ins++] = value;
}

void step_writes(struct build *b, int step, int value)
{
	struct step *s = &b->p->step[step];

	if (b->failed)
		return;
	assert(s->outs < STEP_OUT);
	s->out[s->outs++] = value;
	if (value >= 0) {
		assert(b->fact[value].maker < 0);
		b->fact[value].maker = step;
	}
}

void step_extent(const struct program *p, int step, int *first, int *last)
{
	int bracket = p->step[step].bracket;

	*first = *last = step;
	if (bracket < 0)
		return;
	while (*first > 0 && p->step[*first - 1].bracket == bracket)
		--*first;
	while (*last + 1 < p->steps && p->step[*last + 1].bracket == bracket)
		++*last;
}

int step_choose(struct step *s, const char *backend, const char *how)
{
	if (s->how[0] && strcmp(s->how, how))
		return fail("%s: %s: no kernel \"%s\" for it here, \"%s\" would do", backend,
			    step_name(s->kind), s->how, how);
	snprintf(s->how, STEP_HOW, "%s", how);
	return 0;
}

const char *step_name(enum step_kind kind)
{
	static const char *const name[STEP_KINDS] = {
		"input", "conv", "conv_dx", "conv_dw", "channel_sum",
		"stats", "sync_stats", "coef", "affine", "act", "add", "mul", "cat", "slice",
		"pad", "shuffle", "layernorm", "lrn", "maxpool", "avgpool", "dropout", "xent",
		"xent_dx", "act_dx",
		"bn_sums", "sync_sums", "bn_dx", "mul_sum", "layernorm_dx", "lrn_dx",
		"maxpool_dx", "avgpool_dx",
		"copy", "reduce", "finite", "update", "track", "fold", "pack"
	};

	return kind < STEP_KINDS ? name[kind] : "?";
}

int listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (list && *list) {
		size_t length = strcspn(list, ",");

		if (length == n && strncmp(list, word, n) == 0)
			return 1;
		list += length + (list[length] == ',');
	}
	return 0;
}

/* ---- PACK ---- */

/* Copies of masters as kernels want them, each made once. In this file, so that every
 * program that makes steps has it to lend to plug-ins. */

static struct packed *packed_find(struct memory_list *list, int master, const char *key)
{
	for (int i = 0; i < list->packed_count; i++)
		if (list->packed[i].master == master && strcmp(list->packed[i].key, key) == 0)
			return &list->packed[i];
	return NULL;
}

static int packed_count(const struct memory_list *list, int master)
{
	int n = 0;

	for (int i = 0; i < list->packed_count; i++)
		n += list->packed[i].master == master;
	return n;
}

static struct packed *packed_add(struct memory_list *list)
{
	if (list->packed_count == list->packed_room) {
		int room = list->packed_room ? 2 * list->packed_room : 64;
		struct packed *more = realloc(list->packed, (size_t)room * sizeof *more);

		if (!more) {
			fail("program: out of memory");
			return NULL;
		}
		list->packed = more;
		list->packed_room = room;
	}
	return &list->packed[list->packed_count++];
}

/* The k-th of the FOLD steps that are left goes to the end of PACK. */
static int fold_append(struct program *p, int k)
{
	struct memory_list *list = p->memory;

	TRY(program_reserve(p, 0, p->steps < p->step_room ? 0 : 2 * p->step_room));
	p->step[p->steps++] = list->fold[k];
	p->begin[PARTS] = p->steps;
	list->folds--;
	memmove(list->fold + k, list->fold + k + 1,
		(size_t)(list->folds - k) * sizeof *list->fold);
	return 1;
}

int fold_next(struct program *p)
{
	return ((struct memory_list *)p->memory)->folds ? fold_append(p, 0) : 0;
}

/* Before something packs a value: the step that makes it. */
static int fold_before(struct program *p, int value)
{
	const struct memory_list *list = p->memory;

	for (int k = 0; k < list->folds; k++)
		if (list->fold[k].out[0] == value)
			return fold_append(p, k);
	return 0;
}

/* A value for what was packed, and the step that packs it. */
static int packed_make(struct program *p, int node, int master, size_t bytes, const void *attr)
{
	int rooms[2] = { p->values < p->value_room ? 0 : 2 * p->value_room,
			 p->steps < p->step_room ? 0 : 2 * p->step_room };
	int before = packed_count(p->memory, master);
	char *name = before ? program_text(p, "%s'%d", p->value[master].name, before + 1)
			    : program_text(p, "%s'", p->value[master].name);
	struct value *v;
	struct step *s;

	if (!name)
		return -1;
	TRY(program_reserve(p, rooms[0], rooms[1]));
	v = &p->value[p->values];
	*v = p->value[master];
	v->name = name;
	v->arena = ARENA_PACKED;
	v->bytes = bytes;
	v->at = 0;
	v->param = -1;
	s = &p->step[p->steps];
	memset(s, 0, sizeof *s);
	s->kind = STEP_PACK;
	s->part = PART_PACK;
	s->node = node;
	s->attr = attr;
	s->bracket = s->work_value = -1;
	s->in[s->ins++] = master;
	s->out[s->outs++] = p->values;
	p->steps++;
	p->begin[PARTS] = p->steps;
	return p->values++;
}

int program_pack(struct program *p, int step, int operand, const char *key, size_t bytes,
		 const void *attr, size_t attr_bytes)
{
	struct memory_list *list = p->memory;
	int master = p->step[step].in[operand];
	struct packed *k;
	void *kept = NULL;

	assert(operand < p->step[step].ins && master >= 0 &&
	       (p->value[master].arena == ARENA_PARAM ||
		p->value[master].arena == ARENA_PACKED));
	k = packed_find(list, master, key);
	if (!k) {
		char *name = program_text(p, "%s", key);
		int value;

		if (attr_bytes) {
			kept = program_alloc(p, attr_bytes);
			if (!kept)
				return -1;
			memcpy(kept, attr, attr_bytes);
		}
		if (!name)
			return -1;
		TRY(fold_before(p, master));
		TRY(value = packed_make(p, p->step[step].node, master, bytes, kept));
		k = packed_add(list);
		if (!k)
			return -1;
		k->master = master;
		k->key = name;
		k->value = value;
	}
	p->step[step].in[operand] = k->value;
	return k->value;
}
