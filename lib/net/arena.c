#include "net/arena.h"

#include "base/bytes.h"
#include "base/fail.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *before;
	_Alignas(16) unsigned char data[];
};

enum { ALIGN = 16, FIRST = 8 << 10, LARGEST = 1 << 20 };

void *arena_alloc(struct arena *a, size_t bytes)
{
	if (bytes > SIZE_MAX / 4) {
		fail("out of memory");
		return NULL;
	}
	bytes = round_up(bytes ? bytes : 1, ALIGN);
	if (bytes > a->room - a->used) {
		size_t room = !a->last ? FIRST : a->room < LARGEST ? 2 * a->room : LARGEST;
		struct arena_block *b;

		if (room < bytes)
			room = bytes;
		b = malloc(sizeof(*b) + room);
		if (!b) {
			fail("out of memory");
			return NULL;
		}
		b->before = a->last;
		a->last = b;
		a->used = 0;
		a->room = room;
	}

	void *p = a->last->data + a->used;

	a->used += bytes;
	return memset(p, 0, bytes);
}

char *arena_copy(struct arena *a, const char *text, size_t n)
{
	char *copy = arena_alloc(a, n + 1);

	if (copy)
		memcpy(copy, text, n);
	return copy;
}

void arena_release(struct arena *a)
{
	while (a->last) {
		struct arena_block *b = a->last;

		a->last = b->before;
		free(b);
	}
	a->used = a->room = 0;
}
