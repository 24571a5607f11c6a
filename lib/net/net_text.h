/*
 * net(5): networks as text. Reading gives the graph or exactly one reason, for any
 * bytes; writing gives the expansion in the same language, or a table for people.
 */
#ifndef NET_NET_TEXT_H
#define NET_NET_TEXT_H

#include "base/text.h"
#include "net/graph.h"

#include <stddef.h>

/*
 * Expands a text. file: how messages name it. set: "NAME=VALUE" each, as after --set,
 * where later ones win. Borrows all of them. NULL: the reason, "file:line:column: cause",
 * then a line for the shapes that arrive and for each expansion around, each behind
 * four blanks.
 */
struct graph *net_read(const char *file, const char *text, size_t bytes,
		       const char *const *set, int sets);

/* The expansion in the same language: reading it gives the same network again. 0, or -1
 * for what the language has no flat form of: a head within a head. */
int net_write_flat(const struct graph *, struct text *);

/* A drawing in the language of Graphviz: boxes of a step with its norm and activation,
 * shapes along the edges, auxiliary heads dashed. 0, or -1: no memory. */
int net_write_dot(const struct graph *, struct text *);

/* Layers with output, parameters and multiply-adds, at most 100 columns; then sums. */
void net_write_table(const struct graph *, struct text *);

/* A line for each parameter: name, shape, class, initial distribution. */
void net_write_params(const struct graph *, struct text *);

#endif
