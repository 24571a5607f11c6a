#include "dev/host.h"

#include "base/bytes.h"
#include "base/fail.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

static const char *const arena_name[ARENAS] = {
	"", "parameters", "gradients", "optimizer state", "packed parameters",
	"activations", "input", "output", "control"
};

/* Large arenas start at a huge page, so that the kernel may use them. */
static void *arena_take(size_t bytes)
{
	size_t align = bytes >= HOST_HUGE ? HOST_HUGE : 64;
	void *memory;

	if (bytes > SIZE_MAX - align)
		return NULL;
	bytes = round_up(bytes, align);
	memory = aligned_alloc(align, bytes);
	if (!memory)
		return NULL;
	if (align == HOST_HUGE)
		madvise(memory, bytes, MADV_HUGEPAGE);  /* only advice */
	memset(memory, 0, bytes);
	return memory;
}

/* Arenas that a program may have in common with another. */
static int arena_shared(int arena)
{
	return arena == ARENA_PARAM || arena == ARENA_GRAD || arena == ARENA_STATE ||
	       arena == ARENA_CONTROL;
}

static void memory_free(struct memory *m)
{
	int a;

	for (a = ARENA_PARAM; a < ARENAS; a++)
		if (!m->shares || !arena_shared(a))
			free(m->arena[a]);
	free(m);
}

static int memory_take(struct memory *m, const struct program *p)
{
	int a;

	for (a = ARENA_PARAM; a < ARENAS; a++) {
		if (!p->arena[a] || (m->shares && arena_shared(a)))
			continue;
		m->arena[a] = arena_take(p->arena[a]);
		if (!m->arena[a])
			return fail("%s: %zu MiB for a batch of %d: out of memory",
				    arena_name[a], p->arena[a] >> 20, p->options.batch);
	}
	return 0;
}

/* The parts in common must lie at the same places. */
static int same_masters(const struct program *p, const struct program *other)
{
	int a, i;

	for (a = ARENA_PARAM; a < ARENAS; a++)
		if (arena_shared(a) && p->arena[a] > other->arena[a])
			return fail("%s: %zu bytes, but %zu in the program shared with",
				    arena_name[a], p->arena[a], other->arena[a]);
	for (i = 0; p->graph && i < p->graph->params; i++)
		if (p->master[i] >= 0 && other->master[i] >= 0 &&
		    p->value[p->master[i]].at != other->value[other->master[i]].at)
			return fail("%s: not at the same place in the program shared with",
				    p->graph->param[i].name);
	return 0;
}

static struct memory *memory_find(const struct host *host, const struct program *p)
{
	struct memory *m;

	for (m = host->memory; m && m->program != p; m = m->next)
		;
	return m;
}

int host_bind(struct host *host, const struct program *p, const struct program *shares)
{
	struct memory *m, *owner = NULL, *old = memory_find(host, p);

	if (shares) {
		owner = memory_find(host, shares);
		assert(owner && shares != p);
		TRY(same_masters(p, shares));
		if (owner->shares)
			owner = owner->shares;
	}
	m = calloc(1, sizeof *m);
	if (!m)
		return fail("out of memory");
	m->shares = owner;
	if (owner)
		memcpy(m->arena, owner->arena, sizeof m->arena);
	for (int a = ARENA_PARAM; a < ARENAS; a++)
		if (!arena_shared(a))
			m->arena[a] = NULL;
	if (memory_take(m, p)) {
		memory_free(m);
		return -1;
	}
	if (!owner && p->arena[ARENA_CONTROL])
		memory_control(m)->loss_scale = 1;
	/* The old memory stays till close: another program may share it. */
	if (old)
		old->program = NULL;
	m->program = p;
	m->next = host->memory;
	host->memory = m;
	return 0;
}

struct memory *host_memory(const struct host *host, const struct program *p)
{
	struct memory *m = memory_find(host, p);

	assert(m && p);
	return m;
}

void host_close(struct host *host)
{
	struct memory *m;

	host_leave(host);
	while ((m = host->memory)) {
		host->memory = m->next;
		memory_free(m);
	}
	memset(host, 0, sizeof *host);
}

int host_put(struct host *host, const struct program *p, int value, const void *plain)
{
	struct memory *m = host_memory(host, p);
	const struct value *v = &p->value[value];

	TRY(program_stored(p, value));
	if (v->arena == ARENA_CONTROL)
		memcpy(memory_at(m, value), plain, CONTROL_HOST);
	else if (value_bare(v))
		memcpy(memory_at(m, value), plain, value_plain(v) * sizeof(float));
	else
		value_pack(v, memory_at(m, value), plain);
	return 0;
}

int host_get(struct host *host, const struct program *p, int value, void *plain)
{
	struct memory *m = host_memory(host, p);
	const struct value *v = &p->value[value];

	TRY(program_stored(p, value));
	if (v->arena == ARENA_CONTROL)
		memcpy(plain, memory_at(m, value), sizeof(struct control));
	else if (value_bare(v))
		memcpy(plain, memory_at(m, value), value_plain(v) * sizeof(float));
	else
		value_unpack(v, memory_at(m, value), plain);
	return 0;
}

int host_restore(struct host *host, const struct program *p, const struct control *c)
{
	struct memory *m = host_memory(host, p);

	memcpy((char *)memory_control(m) + CONTROL_HOST, (const char *)c + CONTROL_HOST,
	       sizeof *c - CONTROL_HOST);
	return 0;
}
