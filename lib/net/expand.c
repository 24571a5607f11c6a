#include "net/expand.h"

#include "base/fail.h"
#include "base/text.h"
#include "net/number.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int expand_only(struct expander *x, const struct values *ins, struct at at, const char *who)
{
	if (ins->count != 1)
		return expand_fail(x, at, ins,
				   "%s: %d values arrive, it takes one (as a b ... names them)",
				   who, ins->count);
	return ins->at[0];
}

void env_leave(struct env *env)
{
	for (struct naming *n = env->namings; n; n = n->next) {
		struct naming **live = &n->name->live;

		while (*live != n)
			live = &(*live)->outer;
		*live = n->outer;
	}
}

/* ---- members of [ ] ---- */

/* What a member that takes a number has around it. */
struct turn {
	struct where where;
	struct path path;
	char number[12];
	int before;
};

static size_t path_total(const struct path *up, size_t length)
{
	return up ? up->total + 1 + length : length;
}

static const struct where *turn_begin(struct expander *x, struct turn *t, const struct where *w)
{
	if (!w->counter)
		return w;
	snprintf(t->number, sizeof(t->number), "%d", *w->counter);
	t->path = (struct path){ t->number, strlen(t->number), 0, w->path };
	t->path.total = path_total(w->path, t->path.length);
	t->where = (struct where){ &t->path, NULL, w->shared, w->aux };
	t->before = x->g.nodes;
	return &t->where;
}

/* A member that built something has taken its number. */
static void turn_end(struct expander *x, const struct turn *t, const struct where *w)
{
	if (w->counter)
		*w->counter += x->g.nodes > t->before;
}

/* ---- the kinds of steps ---- */

static int run_chain(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		     const struct where *w)
{
	struct env inner = { .up = env, .order = env->order };

	for (const struct ast *item = e->kid; item; item = item->next)
		TRY(expand(x, item, &inner, flow, w));
	env_leave(&inner);
	return 0;
}

/* e in an environment of its own. */
static int run_inside(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		      const struct where *w)
{
	struct env inner = { .up = env, .order = env->order };

	TRY(expand(x, e, &inner, flow, w));
	env_leave(&inner);
	return 0;
}

static int run_label(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		     const struct where *w)
{
	const char *from = e->symbol->text;
	struct text label = { 0 };
	struct path path = { .up = w->path };
	struct where inside = { &path, NULL, w->shared || e->shared, w->aux };
	char shown[32], name[100];

	while (*from) {
		size_t plain = strcspn(from, "$"), n = 0;
		const struct meaning *v;
		struct symbol *y;

		text_add_bytes(&label, from, plain);
		from += plain;
		if (*from && is_name_start((unsigned char)from[1]))
			for (n = 1; is_name((unsigned char)from[1 + n]); )
				n++;
		if (!n) {
			text_add_bytes(&label, from, *from != '\0');
			from += *from != '\0';
			continue;
		}
		y = symbol_get(&x->s->symbols, from + 1, n);
		v = y ? env_var(env, y) : NULL;
		v = v || !y ? v : y->param;
		/* an exponent's sign is no part of a label */
		if (!v || v->kind != MEANS_NUMBER || strpbrk(show_number(shown, v->number), "+n")) {
			text_release(&label);
			return expand_fail(x, e->at, NULL, "label %s: $%s is no number here",
					   e->symbol->text, show_text(name, from + 1, n));
		}
		text_add(&label, "%s", shown);
		from += 1 + n;
	}
	path.length = label.length;
	path.total = path_total(w->path, path.length);
	path.label = label.failed ? NULL
				  : arena_copy(&x->scratch, label.data ? label.data : "",
					       label.length);
	text_release(&label);
	if (!path.label)
		return fail("out of memory");
	return expand(x, e->kid, env, flow, &inside);
}

static int run_tuple(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		     const struct where *w)
{
	int *out = arena_alloc(&x->scratch, (size_t)e->kids * sizeof(*out)), i = 0;

	if (!out)
		return -1;
	for (const struct ast *c = e->kid; c; c = c->next, i++) {
		struct values got = *flow;

		TRY(run_inside(x, c, env, &got, w));
		out[i] = expand_only(x, &got, c->at, "member of a tuple");
		TRY(out[i]);
	}
	*flow = (struct values){ i, out };
	return 0;
}

static int run_group(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		     const struct where *w)
{
	struct turn turn;
	const struct where *inside;

	if (!e->kids)
		return 0;
	inside = turn_begin(x, &turn, w);
	TRY(e->kids == 1 ? run_inside(x, e->kid, env, flow, inside)
			 : run_tuple(x, e, env, flow, inside));
	turn_end(x, &turn, w);
	return 0;
}

static int run_list(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		    const struct where *w)
{
	struct turn turn;
	struct where inside = *turn_begin(x, &turn, w);
	int counter = 0;

	inside.counter = &counter;
	TRY(run_inside(x, e->kid, env, flow, &inside));
	turn_end(x, &turn, w);
	return 0;
}

/* The innermost value of this name that is seen from here; NULL: none. */
static struct naming *find_naming(const struct symbol *name, const struct env *env)
{
	for (struct naming *n = name->live; n; n = n->outer)
		for (const struct env *up = env; up; up = up->up)
			if (up == n->env)
				return n;
	return NULL;
}

static int run_at(struct expander *x, const struct ast *e, struct env *env, struct values *flow)
{
	struct naming *n = find_naming(e->symbol, env);
	int *out;

	if (!n)
		return expand_fail(x, e->at, NULL, "no value is named %s here (as %s)",
				   e->symbol->text, e->symbol->text);
	n->by->used = 1;
	out = arena_alloc(&x->scratch, sizeof(*out));
	if (!out)
		return -1;
	*out = n->node;
	*flow = (struct values){ 1, out };
	return 0;
}

static int run_as(struct expander *x, const struct ast *e, struct env *env, struct values *flow)
{
	int i = 0;

	if (e->kids != flow->count)
		return expand_fail(x, e->at, flow, "as: %d names for %d values", e->kids,
				   flow->count);
	for (struct named *name = e->named; name; name = name->next, i++) {
		struct naming *n;

		if (name->name == x->s->word.underline)
			continue;
		if (find_naming(name->name, env))
			return expand_fail(x, e->at, NULL, "a value is already named %s here",
					   name->name->text);
		n = arena_alloc(&x->scratch, sizeof(*n));
		if (!n)
			return -1;
		*n = (struct naming){name->name,       env,	    name, flow->at[i],
				     name->name->live, env->namings};
		name->name->live = env->namings = n;
		if (!name->seen) {
			name->seen = 1;
			name->next_seen = NULL;
			*x->seen_end = name;
			x->seen_end = &name->next_seen;
		}
	}
	return 0;
}

static int run_if(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		  const struct where *w)
{
	const struct ast *then = e->kid->next;
	struct meaning m;
	int yes = 0;

	TRY(eval_number(x, e->kid, env, flow, 0, &m));
	TRY(eval_truth(x, &m, e->at, &yes));
	return expand(x, yes ? then : then->next, env, flow, w);
}

/* Once for each row of a table. */
static int run_rows(struct expander *x, const struct ast *e, const struct table *t,
		    const struct ast *body, struct env *env, struct values *flow,
		    const struct where *w)
{
	for (int i = 0; i < t->columns; i++)
		if (env_var(env, t->column[i]))
			return expand_fail(x, e->at, NULL,
					   "column %s of table %s is also an argument here",
					   t->column[i]->text, e->kid->symbol->text);
	for (int i = 0; i < t->rows; i++) {
		struct env inner = { .up = env, .order = env->order, .table = t };

		inner.row = t->cell + (size_t)i * (size_t)t->columns;
		TRY(expand(x, body, &inner, flow, w));
		env_leave(&inner);
	}
	return 0;
}

static int repeat_end(struct expander *x, const struct ast *limit, const struct ast *e,
		      struct env *env, const struct values *flow, int *n)
{
	struct meaning m;

	TRY(eval_number(x, limit, env, flow, 0, &m));
	return eval_whole(x, &m, e->at, "repeat", 0, n);
}

static int run_repeat(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		      const struct where *w)
{
	const struct ast *limit = e->symbol ? e->kid->next : e->kid, *body = limit->next;
	int first = 1, last;

	/* its body is written out: no member of its own */
	if (body->kind == AST_GROUP && body->kids == 1)
		body = body->kid;
	if (!e->symbol && limit->kind == AST_NAME && limit->symbol->table)
		return run_rows(x, e, limit->symbol->table, body, env, flow, w);
	if (e->symbol)
		TRY(repeat_end(x, e->kid, e, env, flow, &first));
	TRY(repeat_end(x, limit, e, env, flow, &last));
	for (int i = first; i <= last; i++) {
		struct env inner = { .up = env, .order = env->order };
		struct var counter = { e->symbol, { .kind = MEANS_NUMBER, .number = i }, NULL };

		inner.vars = e->symbol ? &counter : NULL;
		TRY(expand(x, body, &inner, flow, w));
		env_leave(&inner);
	}
	return 0;
}

/* ---- names ---- */

int expand_call(struct expander *x, struct def *d, const struct ast *e, struct env *env,
		struct values *flow, const struct where *w)
{
	struct env inner;
	struct frame frame = { d, &inner, e->at, w->path, d->calls, x->frame };

	TRY(eval_bind(x, d, e, env, flow, &inner));
	if (x->frames >= LIMIT_DEFS)
		return expand_fail(x, e->at, NULL,
				   "expansion deeper than %d: does a def call itself?",
				   LIMIT_DEFS);
	d->calls++;
	x->frame = &frame;
	x->frames++;
	TRY(expand(x, d->body, &inner, flow, w));
	env_leave(&inner);
	x->frame = frame.up;
	x->frames--;
	return 0;
}

int expand_meaning(struct expander *x, const struct meaning *m, struct values *flow,
		   const struct where *w, struct at at)
{
	struct ast name = { .kind = AST_NAME, .at = at };
	struct env none = { .order = x->s->defs };
	char shown[100];

	switch (m->kind) {
	case MEANS_CHAIN:
		return expand(x, m->chain, m->env, flow, w);
	case MEANS_NOTHING:
		return 0;
	case MEANS_DEF:
		return expand_call(x, m->def, &name, &none, flow, w);
	case MEANS_OP:
		return expand_op(x, m->op, &name, &none, flow, w);
	default:
		return expand_fail(x, at, NULL, "%s is not a step", show_meaning(shown, m));
	}
}

/* A step by its name, with or without arguments. */
static int run_named(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		     const struct where *w)
{
	const struct ast *head = e->kind == AST_APPLY ? e->head : e;
	struct symbol *name = head->symbol;
	const struct where *inside;
	struct turn turn;
	struct meaning m;
	char shown[100];

	if (head->kind != AST_NAME)
		return expand_fail(x, e->at, NULL, "arguments behind brackets");
	if (name == x->s->word.channels)
		return expand_fail(x, e->at, NULL, "C is a number, not a step");
	TRY(env_lookup(x, name, env, head->at, &m));
	if (m.kind == MEANS_CHAIN && e->kind == AST_APPLY)
		return expand_fail(x, e->at, NULL,
				   "%s is a finished chain here: it takes no arguments",
				   name->text);
	if (m.kind == MEANS_NOTHING)
		return 0;
	inside = turn_begin(x, &turn, w);
	if (m.kind == MEANS_CHAIN)
		TRY(expand(x, m.chain, m.env, flow, inside));
	else if (m.kind == MEANS_DEF)
		TRY(expand_call(x, m.def, e, env, flow, inside));
	else if (m.kind == MEANS_OP)
		TRY(expand_op(x, m.op, e, env, flow, inside));
	else
		return expand_fail(x, e->at, NULL, "%s is %s, not a step", name->text,
				   show_meaning(shown, &m));
	turn_end(x, &turn, w);
	return 0;
}

static int run_kind(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
		    const struct where *w)
{
	struct meaning m;
	char shown[100];

	switch (e->kind) {
	case AST_CHAIN:
		return run_chain(x, e, env, flow, w);
	case AST_LABEL:
		return run_label(x, e, env, flow, w);
	case AST_GROUP:
		return run_group(x, e, env, flow, w);
	case AST_LIST:
		return run_list(x, e, env, flow, w);
	case AST_AT:
		return run_at(x, e, env, flow);
	case AST_AS:
		return run_as(x, e, env, flow);
	case AST_IF:
		return run_if(x, e, env, flow, w);
	case AST_REPEAT:
		return run_repeat(x, e, env, flow, w);
	case AST_NAME:
	case AST_APPLY:
		return run_named(x, e, env, flow, w);
	case AST_NUMBER:
	case AST_PAIR:
		m = (struct meaning){ .kind = e->kind == AST_PAIR ? MEANS_PAIR : MEANS_NUMBER,
				      .number = e->number, .second = e->second };
		return expand_fail(x, e->at, NULL, "%s is a number, not a step",
				   show_meaning(shown, &m));
	case AST_FUNC:
		if (!eval_is_function(x->s, e->symbol))
			return expand_fail(x, e->at, NULL,
					   "no function %s; an argument in brackets has a blank "
					   "before it",
					   e->symbol->text);
		break;
	case AST_BINARY:
		break;
	}
	return expand_fail(x, e->at, NULL, "a number stands where a step is wanted");
}

int expand(struct expander *x, const struct ast *e, struct env *env, struct values *flow,
	   const struct where *w)
{
	TRY(expand_tick(x, e->at));
	if (x->depth >= LIMIT_DEPTH)
		return expand_fail(x, e->at, NULL,
				   "expansion deeper than %d: does a def call itself?",
				   LIMIT_DEFS);
	x->depth++;
	TRY(run_kind(x, e, env, flow, w));
	x->depth--;
	return 0;
}
