/* Words of a text, each kept once, so that two are the same word if the pointers are. */
#ifndef NET_SYMBOL_H
#define NET_SYMBOL_H

#include "net/arena.h"

#include <stddef.h>

struct at { int line, column; };        /* in the text, from 1 */

/* What a word was declared as. */
enum owner { OWNER_NONE, OWNER_PARAM, OWNER_COLUMN, OWNER_TABLE, OWNER_DEF };

struct symbol {
	const char *text;       /* with a NUL */
	size_t length;
	unsigned hash;
	struct symbol *chain;
	/* by the declarations */
	enum owner owner;
	struct at at;
	struct symbol *next_owned;      /* in the order of declaration */
	int used;
	struct meaning *param;  /* a param's or column's value; NULL: none */
	struct symbol *next_param;
	struct def *def;
	struct table *table;
	const char *set;        /* by --set; NULL: not */
	int op;                 /* of the table; -1: no word of it */
	/* by who uses it */
	struct naming *live;    /* values named so, innermost first */
	int number;
};

struct symbols {
	struct symbol **bucket;
	size_t buckets, count;
	struct arena *memory;
};

/* The symbol of these bytes, made if it is new; NULL: out of memory. */
struct symbol *symbol_get(struct symbols *, const char *text, size_t n);

/* Releases the table; the symbols themselves are the arena's. */
void symbols_release(struct symbols *);

#endif
