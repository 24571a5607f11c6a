#include "net/syntax.h"

#include "base/fail.h"
#include "net/number.h"

#include <stdlib.h>
#include <string.h>

static struct ast *item(struct parser *);

static struct at here(const struct parser *p)
{
	return p->i < p->count ? p->token[p->i].at : p->end;
}

int parse_fail(struct parser *p, const char *what)
{
	const struct token *t = p->token + p->i;
	char shown[100];

	if (p->i == p->count)
		return net_source_fail(p->s, p->end, "%s at the end of this declaration", what);
	return net_source_fail(p->s, t->at, "%s before '%s%s'", what,
			   show_text(shown, t->symbol->text, t->symbol->length),
			   t->kind == TOKEN_LABEL ? ":" : t->kind == TOKEN_KEY ? "=" :
			   t->kind == TOKEN_FUNC ? "(" : "");
}

static int peek(const struct parser *p, enum token_kind kind, const char *text)
{
	return p->i < p->count && p->token[p->i].kind == kind &&
	       (!text || !strcmp(text, p->token[p->i].symbol->text));
}

const struct token *parse_take(struct parser *p, enum token_kind kind, const char *text)
{
	return peek(p, kind, text) ? &p->token[p->i++] : NULL;
}

const struct token *parse_need(struct parser *p, enum token_kind kind, const char *text,
			       const char *what)
{
	const struct token *t = parse_take(p, kind, text);

	if (!t)
		parse_fail(p, what);
	return t;
}

static struct ast *make(struct parser *p, enum ast_kind kind, struct at at)
{
	struct ast *e = arena_alloc(&p->s->memory, sizeof(*e));

	if (e) {
		e->kind = kind;
		e->at = at;
	}
	return e;
}

struct named *parse_named(struct parser *p, struct symbol *name, struct at at)
{
	struct named *n = arena_alloc(&p->s->memory, sizeof(*n));

	if (n) {
		n->name = name;
		n->at = at;
	}
	return n;
}

/* Makes kid the last child, where end is the place of the pointer to it. */
static struct ast **hang(struct ast *parent, struct ast **end, struct ast *kid)
{
	*end = kid;
	parent->kids++;
	return &kid->next;
}

/* Chains separated by a mark, as children of e: 0 or -1. */
static int chains(struct parser *p, struct ast *e)
{
	struct ast **end = &e->kid;

	do {
		struct ast *c = parse_chain(p);

		if (!c)
			return -1;
		end = hang(e, end, c);
	} while (parse_take(p, TOKEN_OP, ","));
	return 0;
}

/* The bracket that closes the one at at. */
static int close_bracket(struct parser *p, const char *text, const char *what, struct at at)
{
	if (p->i == p->count)
		return net_source_fail(p->s, at,
				       "this '%s' is not closed where its declaration "
				       "ends (line %d)", *text == ')' ? "(" : "[", p->end.line);
	return parse_need(p, TOKEN_OP, text, what) ? 0 : -1;
}

static struct ast *sum(struct parser *);

/* "(-x)" is 0 - x; else a group of none, one or several chains. */
static struct ast *round_bracket(struct parser *p, struct at at)
{
	struct ast *e;

	if (parse_take(p, TOKEN_OP, "-")) {
		e = make(p, AST_BINARY, at);
		if (!e || !(e->symbol = net_source_word(p->s, "-")) ||
		    !(e->kid = make(p, AST_NUMBER, at)) || !(e->kid->next = sum(p)) ||
		    !parse_need(p, TOKEN_OP, ")", "expected ')'"))
			return NULL;
		e->kids = 2;
		return e;
	}
	e = make(p, AST_GROUP, at);
	if (!e || parse_take(p, TOKEN_OP, ")"))
		return e;
	if (chains(p, e) < 0 || close_bracket(p, ")", "expected '|', ',' or ')'", at) < 0)
		return NULL;
	return e;
}

static struct ast *brackets(struct parser *p, struct at at)
{
	const struct token *t = parse_take(p, TOKEN_FUNC, NULL);
	struct ast *e;

	if (t) {
		e = make(p, AST_FUNC, at);
		if (!e || chains(p, e) < 0 ||
		    close_bracket(p, ")", "expected '|', ',' or ')'", at) < 0)
			return NULL;
		e->symbol = t->symbol;
		return e;
	}
	if (parse_take(p, TOKEN_OP, "("))
		return round_bracket(p, at);
	if (!parse_take(p, TOKEN_OP, "[")) {
		parse_fail(p, "expected a step");
		return NULL;
	}
	e = make(p, AST_LIST, at);
	if (!e || !(e->kid = parse_chain(p)) ||
	    close_bracket(p, "]", "expected '|' or ']'", at) < 0)
		return NULL;
	e->kids = 1;
	return e;
}

static struct ast *number(struct parser *p, const struct token *t)
{
	struct ast *e = make(p, t->kind == TOKEN_PAIR ? AST_PAIR : AST_NUMBER, t->at);
	const char *text = t->symbol->text, *x = strchr(text, 'x');

	if (!e)
		return NULL;
	if (!number_read(text, x ? (size_t)(x - text) : t->symbol->length, &e->number) ||
	    (x && !number_read(x + 1, strlen(x + 1), &e->second))) {
		fail("out of memory");
		return NULL;
	}
	return e;
}

static struct ast *atom(struct parser *p)
{
	struct at at = here(p);
	const struct token *t;
	struct ast *e;

	if ((t = parse_take(p, TOKEN_NUMBER, NULL)) || (t = parse_take(p, TOKEN_PAIR, NULL)))
		return number(p, t);
	if ((t = parse_take(p, TOKEN_NAME, NULL)) || (t = parse_take(p, TOKEN_AT, NULL))) {
		e = make(p, t->kind == TOKEN_NAME ? AST_NAME : AST_AT, at);
		if (e)
			e->symbol = t->symbol;
		return e;
	}
	if (++p->deep > LIMIT_NEST) {
		net_source_fail(p->s, at, "brackets are nested deeper than %d", LIMIT_NEST);
		return NULL;
	}
	e = brackets(p, at);
	p->deep--;
	return e;
}

/* Operators of one precedence, from the left; once: at most one. */
static struct ast *binary(struct parser *p, enum token_kind kind, const char *const *ops, int once,
			  struct ast *(*down)(struct parser *))
{
	struct ast *a = down(p);

	for (int n = 0; a; n++) {
		const struct token *t = NULL;
		struct ast *e;

		for (int k = 0; ops[k] && !t; k++)
			t = peek(p, kind, ops[k]) ? &p->token[p->i] : NULL;
		if (!t || (once && n))
			break;
		if (n == LIMIT_OPERATORS) {
			net_source_fail(p->s, t->at, "more than %d operators in a row",
					LIMIT_OPERATORS);
			return NULL;
		}
		if (kind == TOKEN_OP && t->tight_left != t->tight_right) {
			const char *o = t->symbol->text;

			net_source_fail(p->s, t->at,
					"'%s' has a blank on one side only: 'a%sb' or 'a %s b'; "
					"a negative argument is '(-1)'",
					o, o, o);
			return NULL;
		}
		p->i++;
		e = make(p, AST_BINARY, t->at);
		if (!e || !(a->next = down(p)))
			return NULL;
		e->symbol = t->symbol;
		e->kid = a;
		e->kids = 2;
		a = e;
	}
	return a;
}

static struct ast *term(struct parser *p)
{
	return binary(p, TOKEN_OP, (const char *const[]){ "*", "/", NULL }, 0, atom);
}

static struct ast *sum(struct parser *p)
{
	return binary(p, TOKEN_OP, (const char *const[]){ "+", "-", NULL }, 0, term);
}

static struct ast *comparison(struct parser *p)
{
	return binary(p, TOKEN_OP, (const char *const[]){"==", "!=", "<", "<=", ">", ">=", NULL},
		      1, sum);
}

static struct ast *conjunction(struct parser *p)
{
	return binary(p, TOKEN_WORD, (const char *const[]){ "and", NULL }, 0, comparison);
}

struct ast *parse_expr(struct parser *p)
{
	return binary(p, TOKEN_WORD, (const char *const[]){ "or", NULL }, 0, conjunction);
}

/* The children of an if: condition, then, else. */
static struct ast *step_if(struct parser *p, struct at at)
{
	struct ast *e = make(p, AST_IF, at), *cond, *yes;

	if (++p->ifs > LIMIT_IF) {
		net_source_fail(p->s, at, "more than %d times if within if", LIMIT_IF);
		return NULL;
	}
	if (!e || !(cond = parse_expr(p)) ||
	    !parse_need(p, TOKEN_WORD, "then", "expected 'then'") || !(yes = item(p)))
		return NULL;
	e->kid = cond;
	e->kids = 3;
	cond->next = yes;
	yes->next = parse_take(p, TOKEN_WORD, "else") ? item(p) : make(p, AST_GROUP, at);
	p->ifs--;
	return yes->next ? e : NULL;
}

/* The children of a repeat: with a counter first, last, body; else count, body. */
static struct ast *step_repeat(struct parser *p, struct at at)
{
	struct ast *e = make(p, AST_REPEAT, at), **end;
	const struct token *counter = parse_take(p, TOKEN_KEY, NULL);

	if (!e)
		return NULL;
	end = &e->kid;
	if (counter) {
		struct ast *first = parse_expr(p);

		if (!first || !parse_need(p, TOKEN_OP, "..", "expected '..'"))
			return NULL;
		end = hang(e, end, first);
		e->symbol = counter->symbol;
	}
	for (int k = 0; k < 2; k++) {
		struct ast *kid = k ? atom(p) : parse_expr(p);

		if (!kid)
			return NULL;
		end = hang(e, end, kid);
	}
	return e;
}

static struct ast *step_as(struct parser *p, struct at at)
{
	struct ast *e = make(p, AST_AS, at);
	const struct token *t = parse_need(p, TOKEN_NAME, NULL, "expected a name after as");
	struct named **end;

	if (!e || !t)
		return NULL;
	end = &e->named;
	do {
		if (!(*end = parse_named(p, t->symbol, at)))
			return NULL;
		end = &(*end)->next;
		e->kids++;
	} while ((t = parse_take(p, TOKEN_NAME, NULL)));
	return e;
}

static int starts_atom(const struct parser *p)
{
	return peek(p, TOKEN_NUMBER, NULL) || peek(p, TOKEN_PAIR, NULL) ||
	       peek(p, TOKEN_NAME, NULL) || peek(p, TOKEN_AT, NULL) ||
	       peek(p, TOKEN_FUNC, NULL) || peek(p, TOKEN_OP, "(") || peek(p, TOKEN_OP, "[");
}

/* One argument by name, behind key: 0 or -1. */
static int keyed(struct parser *p, struct ast *e, const struct token *key, struct named ***end,
		 int *count)
{
	for (struct named *n = e->named; n; n = n->next)
		if (n->name == key->symbol)
			return net_source_fail(p->s, key->at, "%s= is given twice",
					       key->symbol->text);
	if (++*count > LIMIT_LIST)
		return net_source_fail(p->s, key->at, "more than %d arguments by name", LIMIT_LIST);

	struct named *n = parse_named(p, key->symbol, key->at);

	if (!n || !(n->value = parse_expr(p)))
		return -1;
	**end = n;
	*end = &n->next;
	return 0;
}

static struct ast *application(struct parser *p, struct at at)
{
	struct ast *head = parse_expr(p), *e, **end;
	struct named **last;
	int keys = 0;

	if (!head || (!starts_atom(p) && !peek(p, TOKEN_KEY, NULL)))
		return head;
	e = make(p, AST_APPLY, at);
	if (!e)
		return NULL;
	e->head = head;
	end = &e->kid;
	last = &e->named;
	while (starts_atom(p) || peek(p, TOKEN_KEY, NULL)) {
		const struct token *key = parse_take(p, TOKEN_KEY, NULL);
		struct ast *arg;

		if (key) {
			if (keyed(p, e, key, &last, &keys) < 0)
				return NULL;
			continue;
		}
		if (e->named) {
			parse_fail(p, "an argument without a name after one with a name,");
			return NULL;
		}
		arg = parse_expr(p);
		if (!arg)
			return NULL;
		end = hang(e, end, arg);
	}
	return e;
}

static struct ast *step(struct parser *p)
{
	struct at at = here(p);

	if (parse_take(p, TOKEN_WORD, "if"))
		return step_if(p, at);
	if (parse_take(p, TOKEN_WORD, "repeat"))
		return step_repeat(p, at);
	if (parse_take(p, TOKEN_WORD, "as"))
		return step_as(p, at);
	return application(p, at);
}

static struct ast *item(struct parser *p)
{
	struct at at = here(p);
	const struct token *shared = parse_take(p, TOKEN_WORD, "shared");
	const struct token *label = parse_take(p, TOKEN_LABEL, NULL);
	struct ast *e, *inner;

	if (shared && !label) {
		parse_fail(p, "'shared' stands before a label");
		return NULL;
	}
	inner = step(p);
	if (!inner || !label)
		return inner;
	e = make(p, AST_LABEL, at);
	if (!e)
		return NULL;
	e->symbol = label->symbol;
	e->shared = shared != NULL;
	e->kid = inner;
	e->kids = 1;
	return e;
}

struct ast *parse_chain(struct parser *p)
{
	struct at at = here(p);
	struct ast *first = item(p), *e, **end;

	if (!first || !peek(p, TOKEN_OP, "|"))
		return first;
	e = make(p, AST_CHAIN, at);
	if (!e)
		return NULL;
	end = hang(e, &e->kid, first);
	while (parse_take(p, TOKEN_OP, "|")) {
		struct ast *more = item(p);

		if (!more)
			return NULL;
		end = hang(e, end, more);
	}
	return e;
}
