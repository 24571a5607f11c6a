#include "net/expand.h"

#include "base/fail.h"
#include "net/number.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* How deep numbers nest, through brackets, operators and defs. */
enum { NUMBERS_DEEP = 1000 };

int expand_tick(struct expander *x, struct at at)
{
	if (++x->work > LIMIT_WORK)
		return expand_fail(x, at, NULL,
				   "more than %d expansions: the network is too large",
				   LIMIT_WORK);
	return 0;
}

/* ---- names ---- */

const struct meaning *env_var(const struct env *env, const struct symbol *name)
{
	for (; env; env = env->up) {
		for (const struct var *v = env->vars; v; v = v->next)
			if (v->name == name)
				return &v->meaning;
		for (int i = env->table ? env->table->columns - 1 : -1; i >= 0; i--)
			if (env->table->column[i] == name)
				return &env->row[i];
	}
	return NULL;
}

int env_add(struct expander *x, struct env *env, struct symbol *name, const struct meaning *m)
{
	struct var *v = arena_alloc(&x->scratch, sizeof(*v));

	if (!v)
		return -1;
	v->name = name;
	v->meaning = *m;
	v->next = env->vars;
	env->vars = v;
	return 0;
}

/* What a name stands for without following words: 1, 0 (nothing), -1. */
static int look(struct expander *x, struct symbol *name, const struct env *env, struct at at,
		struct meaning *m)
{
	const struct words *w = &x->s->word;
	const struct meaning *v = env_var(env, name);

	v = v ? v : name->param;
	if (v) {
		*m = *v;
		return 1;
	}
	*m = (struct meaning){ .kind = MEANS_NONE };
	if (name->def && name->def->order < env->order) {
		m->kind = MEANS_DEF;
		m->def = name->def;
	} else if (name->op >= 0) {
		/* a def hides a step of the same name only below itself */
		m->kind = MEANS_OP;
		m->op = name->op;
	} else if (name->def) {
		return expand_fail(x, at, NULL,
				   "%s is defined below: a def uses only what stands above it",
				   name->text);
	} else if (name == w->yes || name == w->no) {
		m->kind = MEANS_NUMBER;
		m->number = name == w->yes;
	} else if (name == w->half || name == w->same || name == w->all) {
		m->kind = MEANS_WORD;
		m->word = name;
	}
	return m->kind != MEANS_NONE;
}

int env_lookup(struct expander *x, struct symbol *name, const struct env *env, struct at at,
	       struct meaning *m)
{
	const struct words *w = &x->s->word;
	const struct symbol *from = NULL;
	char word[100], before[100], meant[100];

	/* a cell may name a def, a param or another column */
	for (int i = 0; i < 8; i++) {
		int found = look(x, name, env, at, m);

		TRY(found);
		if (!found) {
			show_text(word, name->text, name->length);
			expand_near(x, name, env, meant);
			if (from)
				return expand_fail(x, at, NULL,
						   "%s is %s, but '%s' is no argument, param, "
						   "def or step%s",
						   show_text(before, from->text, from->length),
						   word, word, meant);
			return expand_fail(x, at, NULL,
					   "'%s' is no argument, param, def or step%s", word,
					   meant);
		}
		if (m->kind != MEANS_WORD || m->word == w->half || m->word == w->same ||
		    m->word == w->all || m->word == name)
			return 0;
		from = name;
		name = m->word;
	}
	return expand_fail(x, at, NULL, "%s leads back to itself",
			   show_text(word, name->text, name->length));
}

/* ---- arithmetic or chain ---- */

static int init_of(const struct symbol *name)
{
	static const struct { const char *name; enum init_kind kind; } known[] = {
		{ "normal", INIT_NORMAL }, { "trunc", INIT_TRUNC }, { "uniform", INIT_UNIFORM },
	};

	for (int i = 0; i < 3; i++)
		if (!strcmp(name->text, known[i].name))
			return (int)known[i].kind;
	return -1;
}

int ast_numeric(const struct net_source *s, const struct ast *e, const struct env *env, int order)
{
	const struct ast *head = e->kind == AST_APPLY ? e->head : e;

	switch (e->kind) {
	case AST_FUNC:
		return init_of(e->symbol) < 0;
	case AST_NUMBER:
	case AST_PAIR:
	case AST_BINARY:
		return 1;
	case AST_GROUP:
		return e->kids == 1 && ast_numeric(s, e->kid, env, order);
	case AST_IF:
		return ast_numeric(s, e->kid->next, env, order) ||
		       ast_numeric(s, e->kid->next->next, env, order);
	default:
		break;
	}
	if (head->kind != AST_NAME)
		return 0;
	if (head->symbol == s->word.channels)
		return 1;
	return head->symbol->def && head->symbol->def->order < order &&
	       !env_var(env, head->symbol) && head->symbol->def->numeric;
}

int eval_argument(struct expander *x, const struct ast *e, struct env *env,
		  const struct values *ins, struct meaning *m)
{
	TRY(expand_tick(x, e->at));
	while (e->kind == AST_GROUP && e->kids == 1)
		e = e->kid;
	if (ast_numeric(x->s, e, env, env->order))
		return eval_number(x, e, env, ins, 1, m);
	if (e->kind == AST_NAME)
		return env_lookup(x, e->symbol, env, e->at, m);
	*m = (struct meaning){ .kind = MEANS_CHAIN, .chain = e, .env = env };
	return 0;
}

/* ---- numbers ---- */

/* A finite number (or one not known yet); a pair where allowed. */
static int real(struct expander *x, const struct meaning *m, struct at at, int pair)
{
	char shown[100];

	if (m->kind == MEANS_PAIR && pair)
		return 0;
	if (m->kind != MEANS_NUMBER)
		return expand_fail(x, at, NULL, "%s is not a number", show_meaning(shown, m));
	if (isinf(m->number))
		return expand_fail(x, at, NULL, "the number is too large");
	return 0;
}

static int real_number(struct expander *x, const struct ast *e, struct env *env,
		       const struct values *ins, struct at at, double *v)
{
	struct meaning m;

	TRY(eval_number(x, e, env, ins, 0, &m));
	TRY(real(x, &m, at, 0));
	*v = m.number;
	return 0;
}

static int unknown_count(struct expander *x, struct at at)
{
	return expand_fail(x, at, NULL,
		      "count() is known only when the network is built: it cannot decide anything");
}

int eval_truth(struct expander *x, const struct meaning *m, struct at at, int *yes)
{
	if (m->kind == MEANS_NUMBER && isnan(m->number))
		return unknown_count(x, at);
	*yes = m->kind != MEANS_NUMBER || m->number != 0;
	return 0;
}

/* "and" and "or": the second is looked at only if it decides. */
static int logic(struct expander *x, const struct ast *e, struct env *env, const struct values *ins,
		 double a, double *v)
{
	int is_and = e->symbol == x->s->word.and, yes = 0;
	struct meaning m = { .kind = MEANS_NUMBER, .number = a };

	TRY(eval_truth(x, &m, e->at, &yes));
	if (yes == is_and) {
		TRY(eval_number(x, e->kid->next, env, ins, 0, &m));
		TRY(eval_truth(x, &m, e->at, &yes));
	}
	*v = yes;
	return 0;
}

static int binary(struct expander *x, const struct ast *e, struct env *env,
		  const struct values *ins, struct meaning *m)
{
	const char *o = e->symbol->text;
	double a, b, *v = &m->number;

	m->kind = MEANS_NUMBER;
	TRY(real_number(x, e->kid, env, ins, e->at, &a));
	if (e->symbol == x->s->word.and || e->symbol == x->s->word.or)
		return logic(x, e, env, ins, a, v);
	TRY(real_number(x, e->kid->next, env, ins, e->at, &b));
	if (*o == '/' && b == 0)
		return expand_fail(x, e->at, NULL, "division by 0");
	if (!strchr("+-*/", *o) && (isnan(a) || isnan(b)))
		return unknown_count(x, e->at);
	switch (*o) {
	case '+': *v = a + b; break;
	case '-': *v = a - b; break;
	case '*': *v = a * b; break;
	case '/': *v = a / b; break;
	case '=': *v = a == b; break;
	case '!': *v = a != b; break;
	case '<': *v = o[1] ? a <= b : a < b; break;
	default: *v = o[1] ? a >= b : a > b; break;
	}
	return real(x, m, e->at, 0);
}

/* index(f) and count(f). */
static int numbering(struct expander *x, const struct ast *e, struct meaning *m)
{
	const struct ast *arg = e->kid;
	struct def *d = e->kids == 1 && arg->kind == AST_NAME ? arg->symbol->def : NULL;
	const char *name = e->symbol->text;

	if (!d)
		return expand_fail(x, e->at, NULL, "%s() takes the name of a def", name);
	if (e->symbol == x->s->word.count) {
		m->number = x->counted ? d->known : NAN;
		return 0;
	}
	for (const struct frame *f = x->frame; f; f = f->up) {
		if (f->def == d) {
			m->number = f->index;
			return 0;
		}
	}
	return expand_fail(x, e->at, NULL, "index(%s) stands outside %s", d->name->text,
			   d->name->text);
}

/* The multiple of m nearest to v, at least m, and never under 0.9 v (MobileNet's rule). */
static double divisible(double v, double m)
{
	double n = fmax(m, floor((v + m / 2) / m) * m);

	return n < 0.9 * v ? n + m : n;
}

static int several(const char *name)
{
	return !strcmp(name, "min") || !strcmp(name, "max");
}

int eval_is_function(const struct net_source *s, const struct symbol *name)
{
	static const char *const names[] = { "floor", "ceil", "round", "sqrt", "min", "max" };

	for (int i = 0; i < 6; i++)
		if (!strcmp(name->text, names[i]))
			return 1;
	return init_of(name) >= 0 || name == s->word.divisible || name == s->word.index ||
	       name == s->word.count;
}

/* A function of count numbers: only those that the language has, with their number of them. */
static int apply(struct expander *x, const struct ast *e, const double a[2], double *v)
{
	const char *name = e->symbol->text;
	char shown[32];

	if (isnan(a[0]) || isnan(a[1])) {
		*v = NAN;
	} else if (e->symbol == x->s->word.divisible) {
		if (a[1] == 0)
			return expand_fail(x, e->at, NULL, "division by 0");
		*v = divisible(a[0], a[1]);
	} else if (several(name)) {
		*v = a[0];
	} else if (!strcmp(name, "sqrt")) {
		if (a[0] < 0)
			return expand_fail(x, e->at, NULL, "sqrt of %s", show_number(shown, a[0]));
		*v = sqrt(a[0]);
	} else {
		*v = *name == 'f' ? floor(a[0]) : *name == 'c' ? ceil(a[0]) : floor(a[0] + 0.5);
	}
	return isinf(*v) ? expand_fail(x, e->at, NULL, "the number is too large") : 0;
}

static int function(struct expander *x, const struct ast *e, struct env *env,
		    const struct values *ins, struct meaning *m)
{
	const char *name = e->symbol->text;
	int init = init_of(e->symbol), is_two = e->symbol == x->s->word.divisible;
	double a[2] = { 0, 0 }, b;
	const struct ast *arg = e->kid;

	*m = (struct meaning){ .kind = MEANS_NUMBER };
	if (e->symbol == x->s->word.index || e->symbol == x->s->word.count)
		return numbering(x, e, m);
	for (int i = 0; i < e->kids; i++, arg = arg->next) {
		TRY(real_number(x, arg, env, ins, e->at, &b));
		if (several(name) && i)
			a[0] = isnan(a[0]) || isnan(b) ? NAN
			       : name[1] == 'i'	       ? fmin(a[0], b)
						       : fmax(a[0], b);
		else if (i < 2)
			a[i] = b;
	}
	if (init >= 0 && e->kids == 1) {
		*m = (struct meaning){ .kind = MEANS_INIT, .op = init, .number = a[0] };
		return 0;
	}
	if (!eval_is_function(x->s, e->symbol) || init >= 0 || (is_two && e->kids != 2))
		return expand_fail(x, e->at, NULL,
				   "no function %s; an argument in brackets has a blank "
				   "before it", name);
	if (!is_two && (several(name) ? e->kids < 2 : e->kids != 1))
		return expand_fail(x, e->at, NULL, "%s() takes %s", name,
			      several(name) ? "two numbers or more" : "one number");
	return apply(x, e, a, &m->number);
}

/* A number by its name: a def's body, an argument, a param. */
static int named_number(struct expander *x, const struct ast *e, struct env *env,
			const struct values *ins, int pair, struct meaning *m)
{
	const struct ast *head = e->kind == AST_APPLY ? e->head : e;
	const struct words *w = &x->s->word;

	if (head->kind != AST_NAME)
		return expand_fail(x, e->at, NULL, "a step stands where a number is wanted");
	if ((e->symbol == w->fan_in || e->symbol == w->fan_out) && e == head &&
	    !env_var(env, e->symbol))
		return expand_fail(x, e->at, NULL, "%s is known only in init=", e->symbol->text);
	TRY(env_lookup(x, head->symbol, env, head->at, m));
	if (m->kind == MEANS_DEF && m->def->numeric) {
		struct def *d = m->def;
		struct env inner;

		TRY(eval_bind(x, d, e, env, ins, &inner));
		return eval_number(x, d->body, &inner, ins, pair, m);
	}
	if ((m->kind != MEANS_NUMBER && m->kind != MEANS_PAIR) || e->kind == AST_APPLY)
		return expand_fail(x, e->at, NULL, "%s is a step, not a number",
				   head->symbol->text);
	return real(x, m, e->at, pair);
}

static int channels(struct expander *x, const struct ast *e, const struct values *ins,
		    struct meaning *m)
{
	int node;

	if (!ins || !ins->count)
		return expand_fail(x, e->at, NULL, "C: nothing arrives here");
	node = expand_only(x, ins, e->at, "C");
	TRY(node);
	m->number = x->g.node[node].shape.c;
	return 0;
}

static int number_of(struct expander *x, const struct ast *e, struct env *env,
		     const struct values *ins, int pair, struct meaning *m)
{
	int yes = 0;

	*m = (struct meaning){ .kind = MEANS_NUMBER };
	switch (e->kind) {
	case AST_NUMBER:
	case AST_PAIR:
		m->kind = e->kind == AST_PAIR ? MEANS_PAIR : MEANS_NUMBER;
		m->number = e->number;
		m->second = e->second;
		return real(x, m, e->at, pair);
	case AST_GROUP:
		if (e->kids == 1)
			return eval_number(x, e->kid, env, ins, pair, m);
		break;
	case AST_IF:
		TRY(eval_number(x, e->kid, env, ins, 0, m));
		TRY(eval_truth(x, m, e->at, &yes));
		return eval_number(x, yes ? e->kid->next : e->kid->next->next, env, ins, pair, m);
	case AST_FUNC:
		return function(x, e, env, ins, m);
	case AST_BINARY:
		return binary(x, e, env, ins, m);
	default:
		if (e->kind == AST_NAME && e->symbol == x->s->word.channels)
			return channels(x, e, ins, m);
	}
	return named_number(x, e, env, ins, pair, m);
}

int eval_number(struct expander *x, const struct ast *e, struct env *env,
		const struct values *ins, int pair, struct meaning *m)
{
	int bad;

	TRY(expand_tick(x, e->at));
	if (x->numbers >= NUMBERS_DEEP)
		return expand_fail(x, e->at, NULL,
				   "expansion deeper than %d: does a def call itself?",
				   LIMIT_DEFS);
	x->numbers++;
	bad = number_of(x, e, env, ins, pair, m);
	x->numbers--;
	return bad;
}

int eval_whole(struct expander *x, const struct meaning *m, struct at at, const char *what,
	       int least, int *n)
{
	char shown[100];
	double v = m->number;

	if (m->kind != MEANS_NUMBER)
		return expand_fail(x, at, NULL, "%s: %s is not a number", what,
				   show_meaning(shown, m));
	if (isnan(v))
		return expand_fail(x, at, NULL,
				   "%s: count() is known only when the network is built: "
				   "it cannot decide a size",
				   what);
	if (isinf(v))
		return expand_fail(x, at, NULL, "%s: the number is too large", what);
	if (v != floor(v))
		return expand_fail(x, at, NULL,
				   "%s: %s is not a whole number (floor, ceil, round, divisible)",
				   what, show_exact(shown, v));
	if (v < least || v > LIMIT_DIM)
		return expand_fail(x, at, NULL, "%s: %s is not in %d..%d", what,
				   show_number(shown, v), least, LIMIT_DIM);
	*n = (int)v;
	return 0;
}

/* ---- arguments of defs ---- */

/* The arguments' names, as far as there is room; mark: "=" behind those with a default. */
static const char *arg_names(const struct def *d, int mark, char names[1000])
{
	size_t used = 0;

	names[0] = '\0';
	for (const struct def_arg *a = d->args; a && used < 850; a = a->next) {
		char shown[100];

		used += (size_t)snprintf(names + used, 1000 - used, "%s%s%s", used ? " " : "",
					 show_text(shown, a->name->text, a->name->length),
					 mark && a->otherwise ? "=" : "");
	}
	return names;
}

/* The argument that is one too many. */
static int too_many(struct expander *x, const struct def *d, const struct ast *e)
{
	const struct ast *extra = e->kid;
	char names[1000];

	for (int i = 0; i < d->arg_count; i++)
		extra = extra->next;
	return expand_fail(x, extra->at, NULL, "%s takes %d arguments (%s), here are %d",
			   d->name->text, d->arg_count, arg_names(d, 0, names), e->kids);
}

static const struct named *find_named(const struct ast *e, const struct symbol *name)
{
	const struct named *n = e->kind == AST_APPLY ? e->named : NULL;

	while (n && n->name != name)
		n = n->next;
	return n;
}

int eval_bind(struct expander *x, struct def *d, const struct ast *e, struct env *env,
	 const struct values *ins, struct env *inner)
{
	const struct ast *arg = e->kind == AST_APPLY ? e->kid : NULL;
	char names[1000];

	*inner = (struct env){ .order = d->order };
	if (arg && e->kids > d->arg_count)
		return too_many(x, d, e);
	for (const struct def_arg *a = d->args; a; a = a->next) {
		const struct named *key = find_named(e, a->name);
		struct meaning m;

		if (arg && key)
			return expand_fail(x, key->value->at, NULL, "%s: %s= is given by place too",
				      d->name->text, a->name->text);
		if (!arg && !key && !a->otherwise)
			return expand_fail(x, e->at, NULL, "%s: no %s given (%s)", d->name->text,
					   a->name->text, arg_names(d, 1, names));
		TRY(arg	  ? eval_argument(x, arg, env, ins, &m)
		    : key ? eval_argument(x, key->value, env, ins, &m)
			  : eval_argument(x, a->otherwise, inner, ins, &m));
		TRY(env_add(x, inner, a->name, &m));
		arg = arg ? arg->next : NULL;
	}
	for (const struct named *k = e->kind == AST_APPLY ? e->named : NULL; k; k = k->next)
		if (!env_var(inner, k->name))
			return expand_fail(x, k->value->at, NULL,
					   "%s has no argument %s (it has: %s)", d->name->text,
					   k->name->text, arg_names(d, 0, names));
	return 0;
}
