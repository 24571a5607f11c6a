#include "net/symbol.h"

#include "base/fail.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a */
static unsigned hash_of(const char *text, size_t n)
{
	unsigned h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 16777619u;
	return h;
}

static int grow(struct symbols *s)
{
	size_t buckets = s->buckets ? 2 * s->buckets : 256;
	struct symbol **bucket = calloc(buckets, sizeof(struct symbol *));

	if (!bucket)
		return fail("out of memory");
	for (size_t i = 0; i < s->buckets; i++) {
		for (struct symbol *y = s->bucket[i], *next; y; y = next) {
			struct symbol **home = &bucket[y->hash & (buckets - 1)];

			next = y->chain;
			y->chain = *home;
			*home = y;
		}
	}
	free(s->bucket);
	s->bucket = bucket;
	s->buckets = buckets;
	return 0;
}

struct symbol *symbol_get(struct symbols *s, const char *text, size_t n)
{
	unsigned hash = hash_of(text, n);
	struct symbol *y;

	if (s->count >= s->buckets && grow(s) < 0)
		return NULL;
	for (y = s->bucket[hash & (s->buckets - 1)]; y; y = y->chain)
		if (y->hash == hash && y->length == n && !memcmp(y->text, text, n))
			return y;
	y = arena_alloc(s->memory, sizeof(*y));
	if (!y)
		return NULL;
	y->text = arena_copy(s->memory, text, n);
	if (!y->text)
		return NULL;
	y->length = n;
	y->hash = hash;
	y->op = -1;
	y->chain = s->bucket[hash & (s->buckets - 1)];
	s->bucket[hash & (s->buckets - 1)] = y;
	s->count++;
	return y;
}

void symbols_release(struct symbols *s)
{
	free(s->bucket);
	*s = (struct symbols){ 0 };
}
