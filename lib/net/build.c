#include "net/expand.h"

#include "base/fail.h"
#include "net/number.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- nodes ---- */

/* Room for one more at the end of an array. */
static int room(void *array, int count, int *have, size_t size)
{
	void **at = array, *more;
	int want = *have ? 2 * *have : 64;

	if (count < *have)
		return 0;
	more = realloc(*at, (size_t)want * size);
	if (!more)
		return fail("out of memory");
	*at = more;
	*have = want;
	return 0;
}

/* The labels, then the word; ~2, ~3 tell later ones apart. */
static int name_node(struct expander *x, struct node *n, const struct where *w)
{
	size_t total = w->path ? w->path->total : 0;
	const char *word = op_row(n->op)->name;
	char *full = arena_alloc(&x->scratch, total + 32), *end;
	struct symbol *y;

	if (!full)
		return -1;
	path_write(w->path, full);
	n->label = arena_copy(&x->memory, full, total);
	end = full + total;
	end += snprintf(end, 20, "%s%s", w->path ? "." : "", word);
	y = symbol_get(&x->names, full, (size_t)(end - full));
	if (!n->label || !y)
		return -1;
	if (++y->number > 1)
		end += snprintf(end, 12, "~%d", y->number);
	n->name = arena_copy(&x->memory, full, (size_t)(end - full));
	return n->name ? 0 : -1;
}

static int too_large(struct expander *x, const struct node *n, const int64_t shape[3], struct at at)
{
	struct values ins = { n->ins, n->in };

	return expand_fail(x, at, &ins,
			   "%s: its output %" PRId64 "x%" PRId64 "x%" PRId64 " is too large",
			   op_row(n->op)->name, shape[0], shape[1], shape[2]);
}

int expand_node(struct expander *x, const struct node *like, const int64_t shape[3],
		const struct where *w, struct at at)
{
	int64_t size = 1;
	struct node *n;

	if (x->g.nodes >= LIMIT_NODES)
		return expand_fail(x, at, NULL, "more than %d steps: the network is too large",
				   LIMIT_NODES);
	for (int i = 0; i < 3; i++)
		if (__builtin_mul_overflow(size, shape[i], &size) || size > LIMIT_VALUE ||
		    shape[i] > 1 << 30)
			return too_large(x, like, shape, at);
	/* a parameter's own name is measured where it is made */
	if (w->path && w->path->total > LIMIT_NAME && !op_row(like->op)->params)
		return expand_fail(x, at, NULL,
				   "the labels around this %s are longer than %d bytes",
				   op_row(like->op)->name, LIMIT_NAME);
	TRY(room(&x->g.node, x->g.nodes, &x->node_room, sizeof(*n)));
	n = &x->g.node[x->g.nodes];
	*n = *like;
	n->shape = (struct shape){ (int)shape[0], (int)shape[1], (int)shape[2] };
	n->aux = w->aux;
	n->shared = w->shared;
	n->line = at.line;
	n->column = at.column;
	for (int i = 0; i < NODE_PARAMS; i++)
		n->param[i] = -1;
	TRY(name_node(x, n, w));
	return x->g.nodes++;
}

/* ---- parameters ---- */

static int dims_report(struct expander *x, struct at at, const struct values *ins, const char *name,
		       const struct param_spec *s, const struct param *old, int line)
{
	char a[100] = "", b[100] = "";
	size_t used = 0;

	for (int i = 0; i < s->rank; i++)
		used += (size_t)snprintf(a + used, sizeof(a) - used, "%s%" PRId64, i ? "x" : "",
					 s->dim[i]);
	used = 0;
	for (int i = 0; i < old->rank; i++)
		used += (size_t)snprintf(b + used, sizeof(b) - used, "%s%d", i ? "x" : "",
					 old->dim[i]);
	return expand_fail(x, at, ins, "shared %s is %s here and %s at line %d", name, a, b, line);
}

/* The same parameter in a second place: its number, or -1. */
static int again(struct expander *x, const struct symbol *name, const struct param_spec *s,
		 const struct where *w, struct at at, const struct values *ins)
{
	struct param *old = &x->g.param[name->number - 1];
	int same = old->rank == s->rank && old->class == s->class;

	if (!old->shared || !w->shared)
		return expand_fail(x, at, ins,
				   "two parameters are named %s; the other is at line %d. Label "
				   "the steps, put the chain in [ ], or share it",
				   name->text, name->at.line);
	for (int i = 0; i < s->rank && same; i++)
		same = old->dim[i] == s->dim[i];
	return same ? name->number - 1 : dims_report(x, at, ins, name->text, s, old, name->at.line);
}

/* A new parameter of this name: its number, or -1. */
static int add_param(struct expander *x, struct symbol *name, const struct param_spec *s,
		     const struct where *w, struct at at, const struct values *ins)
{
	int64_t size = 1;
	struct param *p;

	for (int i = 0; i < s->rank; i++)
		if (__builtin_mul_overflow(size, s->dim[i], &size) || size > LIMIT_PARAMS)
			size = LIMIT_PARAMS + 1;
	x->numbers_owned += size;
	if (x->numbers_owned > LIMIT_PARAMS)
		return expand_fail(x, at, ins, "more than %" PRId64 " parameters", LIMIT_PARAMS);
	TRY(room(&x->g.param, x->g.params, &x->param_room, sizeof(*p)));
	p = &x->g.param[x->g.params];
	*p = (struct param){.rank = s->rank,
			    .class = s->class,
			    .init = s->init,
			    .spread = s->spread,
			    .aux = w->aux,
			    .shared = w->shared};
	for (int i = 0; i < s->rank; i++)
		p->dim[i] = (int)s->dim[i];
	p->name = arena_copy(&x->memory, name->text, name->length);
	if (!p->name)
		return -1;
	name->number = ++x->g.params;
	name->at = at;
	return name->number - 1;
}

/* Names a parameter of the node being made and owns it: its number, or -1. */
static int own(struct expander *x, int op, const struct param_spec *s, const struct where *w,
	       struct at at, const struct values *ins)
{
	size_t total = w->path ? w->path->total : 0;
	const char *word = op_row(op)->name;
	char full[LIMIT_NAME + 32];
	struct symbol *name;

	if (total + (*s->suffix && total ? 1 : 0) + strlen(s->suffix) > LIMIT_NAME)
		return expand_fail(x, at, NULL, "a parameter name longer than %d bytes",
				   LIMIT_NAME);
	if (!w->path)
		return expand_fail(x, at, NULL,
				   "%s has parameters and no name: label it (x: %s ...) or put "
				   "the chain in [ ]",
				   word, word);
	path_write(w->path, full);
	snprintf(full + total, sizeof(full) - total, "%s%s", *s->suffix ? "." : "", s->suffix);
	name = symbol_get(&x->params, full, strlen(full));
	if (!name)
		return -1;
	return name->number ? again(x, name, s, w, at, ins) : add_param(x, name, s, w, at, ins);
}

/* init= of a weight, where formulas may speak of its fans: 0 or -1. */
static int distribution(struct expander *x, const struct op_rest *rest, const struct values *ins,
			struct param_spec *s)
{
	const struct ast *src = rest->init;
	struct env *env = rest->env, inner;
	struct meaning m = { .kind = MEANS_NUMBER, .number = s->fan_in };

	if (!src)
		return 0;
	if (src->kind == AST_NAME) {
		/* passed on by a def */
		const struct meaning *v = env_var(env, src->symbol);

		if (v && v->kind == MEANS_CHAIN) {
			src = v->chain;
			env = v->env;
		}
	}
	inner = (struct env){ .up = env, .order = env->order };
	TRY(env_add(x, &inner, x->s->word.fan_in, &m));
	m.number = s->fan_out;
	TRY(env_add(x, &inner, x->s->word.fan_out, &m));
	TRY(eval_number(x, src, &inner, ins, 0, &m));
	if (m.kind != MEANS_INIT)
		return expand_fail(x, src->at, NULL, "init is normal(s), trunc(s) or uniform(s)");
	s->init = (enum init_kind)m.op;
	s->spread = m.number;
	return 0;
}

static int own_all(struct expander *x, int index, const struct shape *in,
		   const struct op_rest *rest, const struct where *w, struct at at,
		   const struct values *ins)
{
	struct param_spec spec[NODE_PARAMS] = { { 0 } };
	int op = x->g.node[index].op;

	if (!op_row(op)->params)
		return 0;
	op_row(op)->params(&x->g.node[index], in, spec);
	for (int i = 0; i < NODE_PARAMS; i++) {
		struct param_spec *s = &spec[i];
		int p;

		if (!s->suffix)
			continue;
		if (s->class == PARAM_WEIGHT)
			TRY(distribution(x, rest, ins, s));
		p = own(x, op, s, w, at, ins);
		TRY(p);
		x->g.node[index].param[i] = p;
		if (s->class == PARAM_WEIGHT) {
			struct node *n = &x->g.node[index];

			if (__builtin_mul_overflow((int64_t)n->shape.h * n->shape.w,
						   param_numbers(&x->g.param[p]), &n->madds))
				n->madds = INT64_MAX;
		}
	}
	return 0;
}

/* ---- ops ---- */

/* Makes the node of an op whose arguments and inputs are in like; *flow gets its output. */
static int make(struct expander *x, struct node *like, const struct op_rest *rest,
		const struct values *arriving, const struct where *w, struct at at,
		struct values *flow)
{
	struct shape few[8], *in = few;
	int64_t shape[3];
	int index, *out;
	char why[FAIL_MAX];

	if (like->ins > 8)
		in = arena_alloc(&x->scratch, (size_t)like->ins * sizeof(*in));
	out = arena_alloc(&x->scratch, sizeof(*out));
	if (!in || !out)
		return -1;
	for (int i = 0; i < like->ins; i++)
		in[i] = x->g.node[like->in[i]].shape;
	if (op_row(like->op)->shape(like, in, shape) < 0) {
		snprintf(why, sizeof(why), "%s", fail_why());
		return expand_fail(x, at, arriving, "%s", why);
	}
	index = expand_node(x, like, shape, w, at);
	TRY(index);
	TRY(own_all(x, index, in, rest, w, at, arriving));
	*out = index;
	*flow = (struct values){ 1, out };
	return 0;
}

static int run_plain(struct expander *x, int op, const struct ast *e, struct env *env,
		     struct values *flow, const struct where *w)
{
	struct node n = { .op = (enum op_id)op, .ins = 1 };
	struct values arriving = *flow;
	struct op_rest rest;
	int in;

	TRY(expand_arguments(x, op, e, env, flow, &n, &rest));
	in = expand_only(x, flow, e->at, op_row(op)->name);
	TRY(in);
	n.in = arena_alloc(&x->memory, sizeof(*n.in));
	if (!n.in)
		return -1;
	n.in[0] = in;
	return make(x, &n, &rest, &arriving, w, e->at, flow);
}

static int branch(struct expander *x, int op, const struct ast *a, struct env *env,
		  const struct values *arriving, const struct where *w)
{
	struct values got = *arriving;
	struct meaning m;
	char what[32];

	if (ast_numeric(x->s, a, env, env->order))
		return expand_fail(x, a->at, NULL, "%s: a number stands where a branch is wanted",
			      op_row(op)->name);
	TRY(eval_argument(x, a, env, arriving, &m));
	TRY(expand_meaning(x, &m, &got, w, a->at));
	snprintf(what, sizeof(what), "branch of %s", op_row(op)->name);
	return expand_only(x, &got, a->at, what);
}

static int run_branches(struct expander *x, int op, const struct ast *e, struct env *env,
			struct values *flow, const struct where *w)
{
	struct values arriving = *flow;
	const struct where inside = { w->path, NULL, w->shared, w->aux };
	const struct ast *a = e->kid;
	int *in;

	if (e->named)
		return expand_fail(x, e->at, NULL, "%s takes branches only", op_row(op)->name);
	if (e->kids < 2)
		return expand_fail(x, e->at, NULL, "%s takes two branches or more",
				   op_row(op)->name);
	in = arena_alloc(&x->memory, (size_t)e->kids * sizeof(*in));
	if (!in)
		return -1;
	for (int i = 0; i < e->kids; i++, a = a->next) {
		in[i] = branch(x, op, a, env, &arriving, &inside);
		TRY(in[i]);
	}

	struct node n = { .op = (enum op_id)op, .ins = e->kids, .in = in };

	return make(x, &n, NULL, &arriving, &inside, e->at, flow);
}

static int run_aux(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		   const struct where *w)
{
	const struct where inside = { w->path, NULL, w->shared, 1 };
	const struct meaning *classes = x->s->word.classes->param;
	struct values got = *flow;
	struct node weight = { .op = OP_INPUT };
	struct op_rest rest;
	char shown[100], shape[64];
	struct shape s;
	int head;

	TRY(expand_arguments(x, OP_AUX, e, env, flow, &weight, &rest));
	TRY(expand_meaning(x, &rest.head, &got, &inside, e->at));
	head = expand_only(x, &got, e->at, "aux");
	TRY(head);
	s = x->g.node[head].shape;
	if (s.h != 1 || s.w != 1 || classes->kind != MEANS_NUMBER || s.c != classes->number)
		return expand_fail(x, e->at, flow, "aux: its head gives %s, not 1x1x%s (classes)",
			      shape_show(shape, &s), show_meaning(shown, classes));
	TRY(room(&x->g.head, x->g.heads, &x->head_room, sizeof(*x->g.head)));
	x->g.head[x->g.heads++] = (struct head){ head, weight.arg[0] };
	return 0;
}

int expand_op(struct expander *x, int op, const struct ast *e, struct env *env, struct values *flow,
	   const struct where *w)
{
	if (op == OP_AUX)
		return run_aux(x, e, env, flow, w);
	if (op_row(op)->branches)
		return run_branches(x, op, e, env, flow, w);
	return run_plain(x, op, e, env, flow, w);
}
