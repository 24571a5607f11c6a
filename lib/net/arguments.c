/* The arguments of ops: what is given, checked by kind, or the default. */
#include "net/expand.h"

#include "base/fail.h"

#include <stdio.h>
#include <string.h>

/* A number for both sides of a window, or a pair. */
static int both(struct expander *x, const struct meaning *m, struct at at, const char *what,
		int least, int k[2])
{
	const struct meaning a = { .kind = MEANS_NUMBER, .number = m->number };
	const struct meaning b = { .kind = MEANS_NUMBER, .number = m->second };

	if (m->kind != MEANS_PAIR) {
		TRY(eval_whole(x, m, at, what, least, &k[0]));
		k[1] = k[0];
		return 0;
	}
	TRY(eval_whole(x, &a, at, what, least, &k[0]));
	return eval_whole(x, &b, at, what, least, &k[1]);
}

static int is_word(const struct meaning *m, const struct symbol *word)
{
	return m->kind == MEANS_WORD && m->word == word;
}

static int window_arg(struct expander *x, const struct op_arg *a, const struct meaning *m,
		      struct at at, const char *what, struct node *n, double *arg)
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
static int keep(struct expander *x, int op, int i, const struct meaning *m, struct at at,
		struct node *n)
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
		TRY(eval_whole(x, m, at, what, a->kind == ARG_SIZE ? 1 : -LIMIT_DIM, &v));
		n->arg[i] = v;
		return 0;
	default:
		if (m->kind != MEANS_NUMBER)
			return expand_fail(x, at, NULL, "%s: %s is not a number", what,
					   show_meaning(shown, m));
		if (a->kind == ARG_FLAG && m->number != 0 && m->number != 1)
			return expand_fail(x, at, NULL, "%s: %s is neither yes nor no", what,
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
		used += (size_t)snprintf(buffer + used, 200 - used, "%s%s", i ? " " : "",
					 op_row(op)->arg[i].name);
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
			return expand_fail(x, extra->at, NULL,
					   "%s takes no arguments, here are %d", name, e->kids);
		return expand_fail(x, extra->at, NULL,
				   "%s takes at most %d arguments (%s), here are %d", name,
				   op_args(op), arg_list(op, list), e->kids);
	}
	for (const struct named *k = e->named; k; k = k->next) {
		int i = op_arg_index(op, k->name->text);

		if (i < 0)
			return expand_fail(x, k->value->at, NULL,
					   "%s has no argument %s (it has: %s)", name,
					   k->name->text,
					   op_args(op) ? arg_list(op, list) : "none");
		if (i < e->kids)
			return expand_fail(x, k->value->at, NULL, "%s: %s= is given by place too",
					   name, k->name->text);
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
		    const struct values *ins, struct node *n, struct op_rest *rest)
{
	const struct op_arg *a = &op_row(op)->arg[i];
	struct meaning m;

	if (a->kind == ARG_INIT) {
		rest->init = src;
		rest->env = env;
		return 0;
	}
	TRY(eval_argument(x, src, env, ins, &m));
	if (a->kind == ARG_CHAIN) {
		rest->head = m;
		return 0;
	}
	if (m.kind == MEANS_DEF && m.def->numeric) {
		struct ast name = { .kind = AST_NAME, .at = src->at };
		struct def *d = m.def;
		struct env inner;

		TRY(eval_bind(x, d, &name, env, ins, &inner));
		TRY(eval_number(x, d->body, &inner, ins, 0, &m));
	}
	return keep(x, op, i, &m, src->at, n);
}

int expand_arguments(struct expander *x, int op, const struct ast *e, struct env *env,
		     const struct values *ins, struct node *n, struct op_rest *rest)
{
	char list[200];

	*rest = (struct op_rest){ 0 };
	if (e->kind == AST_APPLY)
		TRY(check_given(x, op, e));
	for (int i = 0; i < op_args(op); i++) {
		const struct op_arg *a = &op_row(op)->arg[i];
		const struct ast *src = given(op, i, e);

		if (src)
			TRY(argument(x, op, i, src, env, ins, n, rest));
		else if (a->otherwise == ARG_REQUIRED)
			return expand_fail(x, e->at, NULL, "%s: no %s given (%s)",
					   op_row(op)->name, a->name, arg_list(op, list));
		else
			use_default(op, i, n);
	}
	return 0;
}
