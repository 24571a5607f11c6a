/* Memory that is taken in pieces and given back all at once. Zero-initialised is empty. */
#ifndef NET_ARENA_H
#define NET_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *last;
	size_t used, room;      /* of the last block */
};

/* Zeroed, good for any type; NULL: out of memory. */
void *arena_alloc(struct arena *, size_t bytes);

/* A copy with a NUL behind it. */
char *arena_copy(struct arena *, const char *text, size_t n);

void arena_release(struct arena *);

#endif
