/*
 * Masters, gradients, slots and running statistics. Their order, and so their
 * offsets, is a function of the graph alone, so that programs of one graph can share
 * arenas: in the order in which backward finishes their gradients, then the
 * statistics. Evaluation makes no values of what only auxiliary heads use, but keeps
 * their places.
 */
#include "base/fail.h"
#include "net/program_build.h"

#include <stdlib.h>
#include <string.h>

/* The first node that uses each parameter: there its gradient is finished last. aux: may
 * nodes of auxiliary heads be it? -1: none. */
static int *first_users(const struct graph *g, int aux)
{
	int *user = malloc(((size_t)g->params + 1) * sizeof *user);

	if (!user) {
		fail("program: out of memory");
		return NULL;
	}
	memset(user, -1, ((size_t)g->params + 1) * sizeof *user);
	for (int i = g->nodes - 1; i >= 0; i--) {
		if (g->node[i].aux && !aux)
			continue;
		for (int k = 0; k < NODE_PARAMS; k++)
			if (g->node[i].param[k] >= 0)
				user[g->node[i].param[k]] = i;
	}
	return user;
}

/* A master's shape: convolutions OIHW; linear O, then C, H, W of what it reads. */
static struct shape4 master_shape(const struct graph *g, const struct param *m, int node)
{
	struct shape4 s = { 1, 1, 1, m->dim[0] };

	if (m->rank == 4) {
		s = (struct shape4){ m->dim[0], m->dim[2], m->dim[3], m->dim[1] };
	} else if (m->rank == 2) {
		struct shape in = g->node[g->node[node].in[0]].shape;

		s = (struct shape4){ m->dim[0], in.h, in.w, in.c };
	}
	return s;
}

static struct layout master_layout(const struct param *m, struct shape4 s)
{
	struct layout oihw = { 1, s.c, DTYPE_F32 };

	return m->rank > 1 ? oihw : layout_bare(s.c, DTYPE_F32);
}

static const char *letter(const struct graph *g, int node, int k)
{
	static const char *const conv[NODE_PARAMS] = { "w", "b", "?", "?" };
	static const char *const bn[NODE_PARAMS] = { "g", "b", "rm", "rv" };

	return g->node[node].op == OP_CONV || g->node[node].op == OP_LINEAR ? conv[k] : bn[k];
}

/* One value of a parameter, at `at` of the arena. Gives the value. */
static int place(struct build *b, int param, int node, int k, enum arena arena,
		 const char *prefix, size_t at)
{
	const struct graph *g = b->p->graph;
	const struct param *m = &g->param[param];
	struct shape4 s = master_shape(g, m, node);
	int v = value_add(b, s, master_layout(m, s), arena, "%s%s%d", prefix,
			  letter(g, node, k), node);

	if (b->failed)
		return 0;
	b->p->value[v].param = param;
	b->p->value[v].at = at;
	return v;
}

/* Has a parameter values in this program? */
static int is_used(const struct program *p, const int *main_user, int param)
{
	return p->options.training || main_user[param] >= 0;
}

static size_t param_bytes(const struct param *m)
{
	return (size_t)param_numbers(m) * sizeof(float);
}

static int place_all(struct build *b, const int *user, const int *main_user, int statistics,
		     size_t *at)
{
	struct program *p = b->p;
	const struct graph *g = p->graph;
	int momentum = p->options.optimizer.momentum != 0;

	for (int i = g->nodes - 1; i >= 0; i--) {
		for (int k = 0; k < NODE_PARAMS; k++) {
			int m = g->node[i].param[k];

			if (m < 0 || user[m] != i ||
			    (g->param[m].class == PARAM_STATISTIC) != statistics)
				continue;
			if (!is_used(p, main_user, m)) {
				*at += align_up(param_bytes(&g->param[m]));
				continue;
			}
			p->master[m] = place(b, m, i, k, ARENA_PARAM, "", *at);
			if (p->options.training && !statistics) {
				p->gradient[m] = place(b, m, i, k, ARENA_GRAD, "d", *at);
				if (momentum)
					p->slot[m] = place(b, m, i, k, ARENA_STATE, "v.", *at);
			}
			if (b->failed)
				return -1;
			TRY(value_measure(&p->value[p->master[m]]));
			*at += align_up(p->value[p->master[m]].bytes);
		}
	}
	return 0;
}

int build_params(struct build *b)
{
	struct program *p = b->p;
	const struct graph *g = p->graph;
	int *user = first_users(g, 1), *main_user = first_users(g, 0);
	size_t at = 0;
	int r = user && main_user ? 0 : -1;

	for (int i = 0; i < g->params; i++)
		p->master[i] = p->gradient[i] = p->slot[i] = -1;
	if (!r)
		r = place_all(b, user, main_user, 0, &at);
	b->tail = at;
	if (p->options.training && p->options.optimizer.momentum != 0)
		p->arena[ARENA_STATE] = at;
	if (!r)
		r = place_all(b, user, main_user, 1, &at);
	p->arena[ARENA_PARAM] = at;
	free(user);
	free(main_user);
	return r;
}
