/*
 * What the files that lower ops to plain steps share: lower.c has the input, ops with
 * parameters, and the loss; lower_ops.c the others. Private to lib/net.
 *
 * A lowering of a node appends its steps and gives the value of its result, or -1 with
 * a reason.
 */
#ifndef NET_LOWER_H
#define NET_LOWER_H

#include "net/program_build.h"

typedef int lowering(struct build *, int node);

lowering lower_act, lower_scale, lower_layernorm, lower_lrn, lower_pool, lower_dropout;
lowering lower_pad, lower_slice, lower_shuffle, lower_many, lower_mul;

static inline const struct node *node_at(const struct build *b, int node)
{
	return &b->p->graph->node[node];
}

/* The value of the k-th thing a node reads. */
static inline int arriving(const struct build *b, int node, int k)
{
	return b->node_value[node_at(b, node)->in[k]];
}

static inline int forward(struct build *b, enum step_kind kind, int node, const void *attr)
{
	return step_add(b, kind, PART_FORWARD, node, attr);
}

static inline struct shape4 batch_of(const struct build *b, struct shape s)
{
	struct shape4 s4 = { b->p->options.batch, s.h, s.w, s.c };

	return s4;
}

static inline struct shape4 node_shape(const struct build *b, int node)
{
	return batch_of(b, node_at(b, node)->shape);
}

/* What steps of a batch norm know of it; NULL: reason. */
const struct bn_attr *bn_attr(struct build *, int node);

/* fold.c: does the convolution before a batch norm take it over? It gives no step of
 * its own then: its value is the convolution's. */
int bn_folds(const struct build *, int node);

/* An operand that is a parameter of the node; one that trains will get a gradient. */
void reads_param(struct build *, int step, int node, int k);

/* What the step writes: an activation named by letter and node ("t7"; "z7.1" where a
 * node makes several), whose layout is still open. */
int result(struct build *, int step, struct shape4, const char *letter, int part);

/* A step that reads what the node reads first and gives what the node gives. */
int lower_one(struct build *, enum step_kind, int node, const void *attr, const char *letter);

#endif
