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

/* Arguments of an op that a node has no place for. */
struct rest {
	const struct ast *init; /* a distribution: NULL: the op's own */
	struct env *env;
	struct meaning head;    /* of aux */
};

/* ---- arguments ---- */

/* A number for both sides of a window, or a pair. */
static int both(struct expander *x, const struct meaning *m, struct at at, const char *what, int least, int k[2])
{
	const struct meaning a = { .kind = MEANS_NUMBER, .number = m->number };
	const struct meaning b = { .kind = MEANS_NUMBER, .number = m->second };

	if (m->kind != MEANS_PAIR) {
		TRY(whole(x, m, at, what, least, &k[0]));
		k[1] = k[0];
		return 0;
	}
	TRY(whole(x, &a, at, what, least, &k[0]));
	return whole(x, &b, at, what, least, &k[1]);
}

static int is_word(const struct meaning *m, const struct symbol *word)
{
	return m->kind == MEANS_WORD && m->word == word;
}

static int window_arg(struct expander *x, const struct op_arg *a, const struct meaning *m, struct at at,
		      const char *what, struct node *n, double *arg)
{
	int *k = a->kind == ARG_WINDOW ? n->window.k : a->kind == ARG_STRIDE ? n->window.s :
		 a->kind == ARG_DILATION ? n->window.dilation : n->window.before;

	if (a->kind == ARG_PAD && (is_word(m, x->s->word.half) || is_word(m, x->s->word.same))) {
		*arg = is_word(m, x->s->word.half) ? PAD_HALF : PAD_SAME;
		return 0;
	}
	/* 0 is all, for the op's shape to resolve */
	if ((a->kind == ARG_WINDOW || a->kind == ARG_STRIDE) && is_word(m, x->s->word.all))
		k[0] = k[1] = 0;
	else
		TRY(both(x, m, at, what, a->kind != ARG_PAD, k));
	*arg = k[0];
	return 0;
}

/* Checks what was given for an argument and keeps it. */
static int keep(struct expander *x, int op, int i, const struct meaning *m, struct at at, struct node *n)
{
	const struct op_arg *a = &op_row(op)->arg[i];
	char what[64], shown[100];
	int v;

	snprintf(what, sizeof(what), "%s: %s", op_row(op)->name, a->name);
	switch (a->kind) {
	case ARG_WINDOW:
	case ARG_STRIDE:
	case ARG_DILATION:
	case ARG_PAD:
		return window_arg(x, a, m, at, what, n, &n->arg[i]);
	case ARG_SIZE:
	case ARG_WHOLE:
		TRY(whole(x, m, at, what, a->kind == ARG_SIZE ? 1 : -LIMIT_DIM, &v));
		n->arg[i] = v;
		return 0;
	default:
		if (m->kind != MEANS_NUMBER)
			return report(x, at, NULL, "%s: %s is not a number", what, show_meaning(shown, m));
		if (a->kind == ARG_FLAG && m->number != 0 && m->number != 1)
			return report(x, at, NULL, "%s: %s is neither yes nor no", what,
				      show_meaning(shown, m));
		n->arg[i] = m->number;
		return 0;
	}
}

static void use_default(int op, int i, struct node *n)
{
	const struct op_arg *a = &op_row(op)->arg[i];
	int *k = a->kind == ARG_WINDOW ? n->window.k : a->kind == ARG_STRIDE ? n->window.s :
		 a->kind == ARG_DILATION ? n->window.dilation : NULL;
	int whole_of_k = a->otherwise == ARG_AS_K;

	n->arg[i] = whole_of_k ? n->window.k[0] : a->otherwise;
	for (int side = 0; k && side < 2; side++)
		k[side] = whole_of_k ? n->window.k[side] : (int)a->otherwise;
}

/* "k c s", as messages list arguments. */
static const char *arg_list(int op, char buffer[200])
{
	size_t used = 0;

	buffer[0] = '\0';
	for (int i = 0; i < op_args(op); i++)
		used += (size_t)snprintf(buffer + used, 200 - used, "%s%s", i ? " " : "", op_row(op)->arg[i].name);
	return buffer;
}

/* Refuses what the op does not take. */
static int check_given(struct expander *x, int op, const struct ast *e)
{
	const char *name = op_row(op)->name;
	const struct ast *extra = e->kid;
	char list[200];

	if (e->kids > op_args(op)) {
		for (int i = 0; i < op_args(op); i++)
			extra = extra->next;
		if (!op_args(op))
			return report(x, extra->at, NULL, "%s takes no arguments, here are %d", name, e->kids);
		return report(x, extra->at, NULL, "%s takes at most %d arguments (%s), here are %d", name,
			      op_args(op), arg_list(op, list), e->kids);
	}
	for (const struct named *k = e->named; k; k = k->next) {
		int i = op_arg_index(op, k->name->text);

		if (i < 0)
			return report(x, k->value->at, NULL, "%s has no argument %s (it has: %s)", name,
				      k->name->text, op_args(op) ? arg_list(op, list) : "none");
		if (i < e->kids)
			return report(x, k->value->at, NULL, "%s: %s= is given by place too", name,
				      k->name->text);
	}
	return 0;
}

/* The text given for an argument; NULL: none. */
static const struct ast *given(int op, int i, const struct ast *e)
{
	const struct ast *arg = e->kid;

	if (e->kind != AST_APPLY)
		return NULL;
	if (i < e->kids) {
		while (i--)
			arg = arg->next;
		return arg;
	}
	for (const struct named *k = e->named; k; k = k->next)
		if (!strcmp(k->name->text, op_row(op)->arg[i].name))
			return k->value;
	return NULL;
}

static int argument(struct expander *x, int op, int i, const struct ast *src, struct env *env,
		    const struct values *ins, struct node *n, struct rest *rest)
{
	const struct op_arg *a = &op_row(op)->arg[i];
	struct meaning m;

	if (a->kind == ARG_INIT) {
		rest->init = src;
		rest->env = env;
		return 0;
	}
	TRY(value(x, src, env, ins, &m));
	if (a->kind == ARG_CHAIN) {
		rest->head = m;
		return 0;
	}
	if (m.kind == MEANS_DEF && m.def->numeric) {
		struct ast name = { .kind = AST_NAME, .at = src->at };
		struct def *d = m.def;
		struct env inner;

		TRY(bind(x, d, &name, env, ins, &inner));
		TRY(number(x, d->body, &inner, ins, 0, &m));
	}
	return keep(x, op, i, &m, src->at, n);
}

static int arguments(struct expander *x, int op, const struct ast *e, struct env *env,
		     const struct values *ins, struct node *n, struct rest *rest)
{
	char list[200];

	*rest = (struct rest){ 0 };
	if (e->kind == AST_APPLY)
		TRY(check_given(x, op, e));
	for (int i = 0; i < op_args(op); i++) {
		const struct op_arg *a = &op_row(op)->arg[i];
		const struct ast *src = given(op, i, e);

		if (src)
			TRY(argument(x, op, i, src, env, ins, n, rest));
		else if (a->otherwise == ARG_REQUIRED)
			return report(x, e->at, NULL, "%s: no %s given (%s)", op_row(op)->name, a->name,
				      arg_list(op, list));
		else
			use_default(op, i, n);
	}
	return 0;
}

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

	return report(x, at, &ins, "%s: its output %" PRId64 "x%" PRId64 "x%" PRId64 " is too large",
		      op_row(n->op)->name, shape[0], shape[1], shape[2]);
}

int add_node(struct expander *x, const struct node *like, const int64_t shape[3], const struct where *w,
	     struct at at)
{
	int64_t size = 1;
	struct node *n;

	if (x->g.nodes >= LIMIT_NODES)
		return report(x, at, NULL, "more than %d steps: the network is too large", LIMIT_NODES);
	for (int i = 0; i < 3; i++)
		if (__builtin_mul_overflow(size, shape[i], &size) || size > LIMIT_VALUE || shape[i] > 4 * LIMIT_DIM)
			return too_large(x, like, shape, at);
	/* a parameter's own name is measured where it is made */
	if (w->path && w->path->total > LIMIT_NAME && !op_row(like->op)->params)
		return report(x, at, NULL, "the labels around this %s are longer than %d bytes",
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
		used += (size_t)snprintf(a + used, sizeof(a) - used, "%s%" PRId64, i ? "x" : "", s->dim[i]);
	used = 0;
	for (int i = 0; i < old->rank; i++)
		used += (size_t)snprintf(b + used, sizeof(b) - used, "%s%d", i ? "x" : "", old->dim[i]);
	return report(x, at, ins, "shared %s is %s here and %s at line %d", name, a, b, line);
}

/* The same parameter in a second place: its number, or -1. */
static int again(struct expander *x, const struct symbol *name, const struct param_spec *s,
		 const struct where *w, struct at at, const struct values *ins)
{
	struct param *old = &x->g.param[name->number - 1];
	int same = old->rank == s->rank && old->class == s->class;

	if (!old->shared || !w->shared)
		return report(x, at, ins, "two parameters are named %s; the other is at line %d. Label the "
			      "steps, put the chain in [ ], or share it", name->text, name->at.line);
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
		return report(x, at, ins, "more than %" PRId64 " parameters", LIMIT_PARAMS);
	TRY(room(&x->g.param, x->g.params, &x->param_room, sizeof(*p)));
	p = &x->g.param[x->g.params];
	*p = (struct param){ .rank = s->rank, .class = s->class, .init = s->init, .spread = s->spread,
			     .aux = w->aux, .shared = w->shared };
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
		return report(x, at, NULL, "a parameter name longer than %d bytes", LIMIT_NAME);
	if (!w->path)
		return report(x, at, NULL, "%s has parameters and no name: label it (x: %s ...) or put "
			      "the chain in [ ]", word, word);
	path_write(w->path, full);
	snprintf(full + total, sizeof(full) - total, "%s%s", *s->suffix ? "." : "", s->suffix);
	name = symbol_get(&x->params, full, strlen(full));
	if (!name)
		return -1;
	return name->number ? again(x, name, s, w, at, ins) : add_param(x, name, s, w, at, ins);
}

/* init= of a weight, where formulas may speak of its fans: 0 or -1. */
static int distribution(struct expander *x, const struct rest *rest, const struct values *ins,
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
	TRY(add_var(x, &inner, x->s->word.fan_in, &m));
	m.number = s->fan_out;
	TRY(add_var(x, &inner, x->s->word.fan_out, &m));
	TRY(number(x, src, &inner, ins, 0, &m));
	if (m.kind != MEANS_INIT)
		return report(x, src->at, NULL, "init is normal(s), trunc(s) or uniform(s)");
	s->init = (enum init_kind)m.op;
	s->spread = m.number;
	return 0;
}

static int own_all(struct expander *x, int index, const struct shape *in, const struct rest *rest,
		   const struct where *w, struct at at, const struct values *ins)
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
static int make(struct expander *x, struct node *like, const struct rest *rest, const struct values *arriving,
		const struct where *w, struct at at, struct values *flow)
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
		return report(x, at, arriving, "%s", why);
	}
	index = add_node(x, like, shape, w, at);
	TRY(index);
	TRY(own_all(x, index, in, rest, w, at, arriving));
	*out = index;
	*flow = (struct values){ 1, out };
	return 0;
}

static int run_plain(struct expander *x, int op, const struct ast *e, struct env *env, struct values *flow,
		     const struct where *w)
{
	struct node n = { .op = (enum op_id)op, .ins = 1 };
	struct values arriving = *flow;
	struct rest rest;
	int in;

	TRY(arguments(x, op, e, env, flow, &n, &rest));
	in = only(x, flow, e->at, op_row(op)->name);
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
		return report(x, a->at, NULL, "%s: a number stands where a branch is wanted",
			      op_row(op)->name);
	TRY(value(x, a, env, arriving, &m));
	TRY(run_meaning(x, &m, &got, w, a->at));
	snprintf(what, sizeof(what), "branch of %s", op_row(op)->name);
	return only(x, &got, a->at, what);
}

static int run_branches(struct expander *x, int op, const struct ast *e, struct env *env,
			struct values *flow, const struct where *w)
{
	struct values arriving = *flow;
	const struct where inside = { w->path, NULL, w->shared, w->aux };
	const struct ast *a = e->kid;
	int *in;

	if (e->named)
		return report(x, e->at, NULL, "%s takes branches only", op_row(op)->name);
	if (e->kids < 2)
		return report(x, e->at, NULL, "%s takes two branches or more", op_row(op)->name);
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
	struct rest rest;
	char shown[100], shape[64];
	struct shape s;
	int head;

	TRY(arguments(x, OP_AUX, e, env, flow, &weight, &rest));
	TRY(run_meaning(x, &rest.head, &got, &inside, e->at));
	head = only(x, &got, e->at, "aux");
	TRY(head);
	s = x->g.node[head].shape;
	if (s.h != 1 || s.w != 1 || classes->kind != MEANS_NUMBER || s.c != classes->number)
		return report(x, e->at, flow, "aux: its head gives %s, not 1x1x%s (classes)",
			      shape_show(shape, &s), show_meaning(shown, classes));
	TRY(room(&x->g.head, x->g.heads, &x->head_room, sizeof(*x->g.head)));
	x->g.head[x->g.heads++] = (struct head){ head, weight.arg[0] };
	return 0;
}

int run_op(struct expander *x, int op, const struct ast *e, struct env *env, struct values *flow,
	   const struct where *w)
{
	if (op == OP_AUX)
		return run_aux(x, e, env, flow, w);
	if (op_row(op)->branches)
		return run_branches(x, op, e, env, flow, w);
	return run_plain(x, op, e, env, flow, w);
}
