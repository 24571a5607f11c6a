/* Steps of a graph as words of net(5). Shared by the writers of text. */
#ifndef NET_FLAT_H
#define NET_FLAT_H

#include "base/text.h"
#include "net/graph.h"

/* "conv 3 64 2 groups=32": the op with its arguments that are not the default; the
 * distribution of its weight only if init. Of branches the word alone. */
void step_write(const struct graph *, const struct node *, int init, struct text *);

/* "normal(0.01)", or the constant; exact: all digits, else nine. */
void init_write(const struct param *, int exact, struct text *);

#endif
