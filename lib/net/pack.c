/* The PACK part: copies of masters as kernels want them, each made once. */
#include "net/program_build.h"

#include "base/fail.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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
	       p->value[master].arena == ARENA_PARAM);
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
