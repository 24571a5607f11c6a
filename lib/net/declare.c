#include "net/syntax.h"

#include "base/fail.h"
#include "base/text.h"
#include "net/op.h"

#include <stdlib.h>
#include <string.h>

struct symbol *net_source_word(struct net_source *s, const char *text)
{
	return symbol_get(&s->symbols, text, strlen(text));
}

/* Gives a name its one owner. */
int declare_own(struct net_source *s, struct symbol *name, enum owner owner, struct at at)
{
	static const char *const kinds[] = { "", "param", "column", "table", "def" };
	static const char *const words[] = { "if", "then", "else", "repeat", "as", "shared", "and",
					     "or", "C", NULL };
	char shown[100];

	show_text(shown, name->text, name->length);
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], name->text))
			return net_source_fail(s, at, "%s is a word of the language", shown);
	if (name->owner)
		return net_source_fail(s, at, "%s is already a %s (line %d)", shown,
				       kinds[name->owner], name->at.line);
	name->owner = owner;
	name->at = at;
	*s->owned_end = name;
	s->owned_end = &name->next_owned;
	return 0;
}

/* ---- input, net, def ---- */

static int input(struct net_source *s, struct parser *p)
{
	struct at at = { s->line->number, 1 };

	struct ast *side[3];

	for (int i = 0; i < 3; i++)
		if (!(side[i] = parse_expr(p)))
			return -1;
	if (s->input[0])
		return net_source_fail(s, at, "a second input; the first is at line %d",
				       s->input_at.line);
	s->input_at = at;
	memcpy(s->input, side, sizeof(side));
	return 0;
}

static int net(struct net_source *s, struct parser *p)
{
	struct at at = { s->line->number, 1 };

	if (!parse_take(p, TOKEN_KEY, "net") && parse_take(p, TOKEN_NAME, "net") &&
	    !parse_need(p, TOKEN_OP, "=", "expected '='"))
		return -1;
	if (s->net)
		return net_source_fail(s, at, "a second net; the first is at line %d",
				       s->net_at.line);
	s->net_at = at;
	s->net = parse_chain(p);
	return s->net ? 0 : -1;
}

static int def_arg(struct net_source *s, struct parser *p, struct def *d, struct def_arg ***end)
{
	const struct token *t = parse_take(p, TOKEN_NAME, NULL);
	struct def_arg *a = arena_alloc(&s->memory, sizeof(*a));

	if (!a)
		return -1;
	if (!t && !(t = parse_take(p, TOKEN_KEY, NULL)))
		return parse_fail(p, "expected an argument or ' = ' (blanks around it)");
	for (struct def_arg *b = d->args; b; b = b->next)
		if (t->kind == TOKEN_NAME && b->otherwise)
			return net_source_fail(
				s, t->at, "an argument without default after one with default");
	for (struct def_arg *b = d->args; b; b = b->next)
		if (b->name == t->symbol)
			return net_source_fail(s, t->at, "two arguments named %s", t->symbol->text);
	if (d->arg_count == LIMIT_LIST)
		return net_source_fail(s, t->at, "more than %d arguments", LIMIT_LIST);
	a->name = t->symbol;
	if (t->kind == TOKEN_KEY && !(a->otherwise = parse_expr(p)))
		return -1;
	d->arg_count++;
	**end = a;
	*end = &a->next;
	return 0;
}

static int def(struct net_source *s, struct parser *p)
{
	const struct token *key = parse_take(p, TOKEN_KEY, NULL);
	const struct token *name =
		key ? key : parse_need(p, TOKEN_NAME, NULL, "expected the name of the def");
	struct def *d = arena_alloc(&s->memory, sizeof(*d));
	struct def_arg **end;

	if (!name || !d)
		return -1;
	end = &d->args;
	while (!key && !parse_take(p, TOKEN_OP, "="))
		TRY(def_arg(s, p, d, &end));
	d->name = name->symbol;
	d->body = parse_chain(p);
	if (!d->body)
		return -1;
	TRY(declare_own(s, name->symbol, OWNER_DEF, name->at));
	d->order = s->defs++;
	d->numeric = ast_numeric(s, d->body, NULL, d->order);
	name->symbol->def = d;
	return 0;
}

/* Marks the names that a declaration speaks of; me: its own, which does not count. */
static int mark_used(struct net_source *s, size_t from, const struct symbol *me)
{
	for (size_t i = from; i < s->tokens; i++) {
		struct token *t = &s->token[i];
		const char *text = t->symbol->text;

		if (t->kind == TOKEN_NAME || t->kind == TOKEN_AT)
			t->symbol->used |= t->symbol != me;
		while (t->kind == TOKEN_LABEL && (text = strchr(text, '$'))) {
			size_t n = 0;
			struct symbol *y;

			for (text++; is_name((unsigned char)text[n]); )
				n++;
			if (!(y = symbol_get(&s->symbols, text, n)))
				return -1;
			y->used = 1;
			text += n;
		}
	}
	return 0;
}

static int declare(struct net_source *s)
{
	const struct line *first = s->line, *last = &s->line[s->lines - 1];
	struct parser p = { .s = s, .end = { last->number, (int)last->length + 1 } };
	size_t word = 0, at = skip_space(first, 0), end = at;
	char shown[100];
	int kind;

	while (word < first->length && is_name_start((unsigned char)first->text[word]) &&
	       first->text[word] != '_')
		word++;
	if (word == 5 && !memcmp(first->text, "param", 5))
		return declare_param(s);
	if (word == 5 && !memcmp(first->text, "table", 5))
		return declare_table(s);
	kind = word == 5 && !memcmp(first->text, "input", 5) ? 'i' :
	       word == 3 && !memcmp(first->text, "def", 3) ? 'd' :
	       word == 3 && !memcmp(first->text, "net", 3) ? 'n' : 0;
	while (end < first->length && !is_space((unsigned char)first->text[end]))
		end++;
	if (!kind)
		return net_source_fail(s, (struct at){first->number, 1},
				       "a line that is not indented starts "
				       "with input, param, table, def or net; '%s' does not",
				       show_text(shown, first->text + at, end - at));
	TRY(lex_lines(s));
	p.token = s->token + (kind != 'n');
	p.count = s->tokens - (kind != 'n');
	TRY(kind == 'i' ? input(s, &p) : kind == 'n' ? net(s, &p) : def(s, &p));
	if (p.i < p.count)
		return parse_fail(&p, "expected '|' or the end of the declaration");
	return mark_used(s, kind == 'd' ? 2 : 1, kind == 'd' ? s->token[1].symbol : NULL);
}

/* ---- the file ---- */

static int add_line(struct net_source *s, int number, const char *text, size_t length)
{
	if (s->lines == s->line_room) {
		size_t room = s->line_room ? 2 * s->line_room : 64;
		struct line *more = realloc(s->line, room * sizeof(*more));

		if (!more)
			return fail("out of memory");
		s->line = more;
		s->line_room = room;
	}
	s->line[s->lines++] = (struct line){ number, text, length };
	return 0;
}

/* Goes through the lines; a declaration is a line and what is indented under it. */
static int declarations(struct net_source *s, const char *text, size_t bytes, int *newlines)
{
	const char *end = text + bytes;

	*newlines = 0;
	for (int number = 1; text <= end; number++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text)), *comment;
		size_t n = (size_t)((stop ? stop : end) - text);

		comment = memchr(text, '#', n);
		n = comment ? (size_t)(comment - text) : n;
		while (n && is_space((unsigned char)text[n - 1]))
			n--;
		if (n && *text != ' ' && *text != '\t') {
			if (s->lines)
				TRY(declare(s));
			s->lines = 0;
		} else if (n && !s->lines) {
			return net_source_fail(s, (struct at){ number, 1 },
					   "a declaration starts in the first column");
		}
		if (n)
			TRY(add_line(s, number, text, n));
		if (!stop)
			break;
		++*newlines;
		text = stop + 1;
	}
	return s->lines ? declare(s) : 0;
}

static int apply_settings(struct net_source *s, const char *const *set, int sets)
{
	for (int i = 0; i < sets; i++) {
		const char *equals = strchr(set[i], '=');
		struct symbol *name;

		if (!equals || equals == set[i])
			return fail("--set %s: expected NAME=VALUE", set[i]);
		name = symbol_get(&s->symbols, set[i], (size_t)(equals - set[i]));
		if (!name)
			return -1;
		name->set = equals + 1;
	}
	return 0;
}

static int check_settings(struct net_source *s, const char *const *set, int sets)
{
	for (int i = 0; i < sets; i++) {
		struct symbol *name = symbol_get(&s->symbols, set[i], strcspn(set[i], "="));
		struct text params = { 0 };
		char *list, shown[100];

		if (!name)
			return -1;
		if (name->param || name == s->word.classes)
			continue;
		for (struct symbol *p = s->params; p && params.length < 2000; p = p->next_param)
			text_add(&params, "%s%s", p == s->params ? "" : " ", p->text);
		list = text_take(&params);
		net_source_fail(s, (struct at){ 1, 1 }, "--set %s: no such param (%s)",
			    show_text(shown, name->text, name->length),
			    list && *list ? list : "there are none");
		free(list);
		return -1;
	}
	return 0;
}

static int classes(struct net_source *s)
{
	struct symbol *y = s->word.classes;

	if (y->param)
		return 0;
	TRY(declare_value(s, y, "1000", 4));
	if (y->param->kind != MEANS_NUMBER)
		return net_source_fail(s, (struct at){1, 1}, "--set classes: %s is not a number",
				       y->set);
	return 0;
}

static int unused(struct net_source *s)
{
	static const char *const kinds[] = { "", "param", "column", "table", "def" };

	for (struct symbol *y = s->owned; y; y = y->next_owned)
		if (!y->used && y != s->word.classes)
			return net_source_fail(s, y->at, "nothing uses %s %s", kinds[y->owner],
					       y->text);
	return 0;
}

/* Symbols with a meaning of their own, and the ops. */
static int known_words(struct net_source *s)
{
	struct words *w = &s->word;
	const struct { struct symbol **at; const char *text; } word[] = {
		{ &w->half, "half" }, { &w->same, "same" }, { &w->all, "all" }, { &w->yes, "yes" },
		{ &w->no, "no" }, { &w->channels, "C" }, { &w->fan_in, "fan_in" },
		{ &w->fan_out, "fan_out" }, { &w->classes, "classes" }, { &w->index, "index" },
		{ &w->count, "count" }, { &w->divisible, "divisible" }, { &w->and, "and" },
		{ &w->or, "or" }, { &w->underline, "_" },
	};

	for (size_t i = 0; i < sizeof(word) / sizeof(*word); i++)
		if (!(*word[i].at = net_source_word(s, word[i].text)))
			return -1;
	for (int i = OP_INPUT + 1; i < OP_WORDS; i++) {
		struct symbol *y = net_source_word(s, op_row(i)->name);

		if (!y)
			return -1;
		y->op = i;
	}
	return 0;
}

int net_source_read(struct net_source *s, const char *file, const char *text, size_t bytes,
		const char *const *set, int sets)
{
	int newlines;

	*s = (struct net_source){ .file = file };
	s->symbols.memory = &s->memory;
	s->owned_end = &s->owned;
	s->params_end = &s->params;
	if (bytes > LIMIT_FILE)
		return net_source_fail(s, (struct at){ 1, 1 }, "longer than %d bytes", LIMIT_FILE);
	TRY(known_words(s));
	TRY(apply_settings(s, set, sets));
	TRY(declarations(s, text, bytes, &newlines));
	if (!s->net)
		return net_source_fail(s, (struct at){ newlines + 1, 1 }, "no 'net = ...'");
	TRY(check_settings(s, set, sets));
	TRY(classes(s));
	TRY(unused(s));
	if (!s->input[0])
		return net_source_fail(s, (struct at){ 1, 1 }, "no 'input HEIGHT WIDTH CHANNELS'");
	return 0;
}

void net_source_release(struct net_source *s)
{
	symbols_release(&s->symbols);
	arena_release(&s->memory);
	free(s->line);
	free(s->token);
}
