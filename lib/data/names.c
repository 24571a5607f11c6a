#include "data/names.h"

#include "base/crc.h"
#include "base/fail.h"

#include <stdlib.h>
#include <string.h>

const char *names_get(const struct names *x, uint32_t number, size_t *size)
{
	*size = x->at[number + 1] - x->at[number] - 1;
	return x->bytes + x->at[number];
}

/* The slot where the string is or would be. */
static size_t place(const struct names *x, const void *s, size_t size)
{
	size_t mask = x->slots - 1;
	size_t i = (crc32c(0, s, size) * (size_t)0x9e3779b1u) & mask;

	for (; x->slot[i]; i = (i + 1) & mask) {
		size_t have;
		const char *at = names_get(x, x->slot[i] - 1, &have);

		if (have == size && !memcmp(at, s, size))
			break;
	}
	return i;
}

static int grow_slots(struct names *x)
{
	size_t slots = x->slots ? 2 * x->slots : 64, i;
	uint32_t *old = x->slot;

	x->slot = calloc(slots, sizeof *x->slot);
	if (!x->slot) {
		x->slot = old;
		return fail("no memory for %zu names", x->n);
	}
	x->slots = slots;
	free(old);
	for (i = 0; i < x->n; i++) {
		size_t size;
		const char *s = names_get(x, (uint32_t)i, &size);

		x->slot[place(x, s, size)] = (uint32_t)i + 1;
	}
	return 0;
}

static int make_room(struct names *x, size_t size)
{
	if (x->n >= UINT32_MAX - 1)
		return fail("too many names");
	if (x->slots < 2 * (x->n + 1))
		TRY(grow_slots(x));
	if (x->n + 2 > x->at_room) {
		size_t room = x->at_room ? 2 * x->at_room : 64;
		size_t *at = realloc(x->at, room * sizeof *at);

		if (!at)
			return fail("no memory for %zu names", x->n);
		if (!x->at)
			at[0] = 0;
		x->at = at;
		x->at_room = room;
	}
	if (x->used + size + 1 > x->room) {
		size_t room = (x->used + size + 1) * 3 / 2;
		char *bytes = realloc(x->bytes, room);

		if (!bytes)
			return fail("no memory for %zu names", x->n);
		x->bytes = bytes;
		x->room = room;
	}
	return 0;
}

int names_add(struct names *x, const void *s, size_t size, uint32_t *number)
{
	size_t i;

	if (names_find(x, s, size, number))
		return 0;
	TRY(make_room(x, size));
	i = place(x, s, size);
	memcpy(x->bytes + x->used, s, size);
	x->bytes[x->used + size] = 0;
	x->used += size + 1;
	*number = (uint32_t)x->n++;
	x->at[x->n] = x->used;
	x->slot[i] = *number + 1;
	return 1;
}

int names_find(const struct names *x, const void *s, size_t size, uint32_t *number)
{
	size_t i;

	if (!x->n)
		return 0;
	i = place(x, s, size);
	if (!x->slot[i])
		return 0;
	*number = x->slot[i] - 1;
	return 1;
}

void names_release(struct names *x)
{
	free(x->bytes);
	free(x->at);
	free(x->slot);
	memset(x, 0, sizeof *x);
}
