#include "net/syntax.h"

#include "base/fail.h"
#include "net/number.h"
#include "base/text.h"
#include "net/op.h"

#include <stdlib.h>
#include <string.h>

static int is_space(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

struct symbol *source_word(struct source *s, const char *text)
{
	return symbol_get(&s->symbols, text, strlen(text));
}

int cell_read(struct source *s, const char *text, size_t n, struct meaning *m)
{
	*m = (struct meaning){ .kind = MEANS_WORD };
	if (number_read(text, n, &m->number))
		m->kind = MEANS_NUMBER;
	else if (n == 2 && !memcmp(text, "()", 2))
		m->kind = MEANS_NOTHING;
	else if (!(m->word = symbol_get(&s->symbols, text, n)))
		return -1;
	return 0;
}

/* Gives a name its one owner. */
static int own(struct source *s, struct symbol *name, enum owner owner, struct at at)
{
	static const char *const kinds[] = { "", "param", "column", "table", "def" };
	static const char *const words[] = { "if", "then", "else", "repeat", "as", "shared", "and",
					     "or", "C", NULL };
	char shown[100];

	show_text(shown, name->text, name->length);
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], name->text))
			return source_fail(s, at, "%s is a word of the language", shown);
	if (name->owner)
		return source_fail(s, at, "%s is already a %s (line %d)", shown, kinds[name->owner],
				   name->at.line);
	name->owner = owner;
	name->at = at;
	*s->owned_end = name;
	s->owned_end = &name->next_owned;
	return 0;
}

/* Gives a param or column the value of its text, or of --set. */
static int set_param(struct source *s, struct symbol *name, const char *text, size_t n)
{
	if (!name->param) {
		name->param = arena_alloc(&s->memory, sizeof(*name->param));
		if (!name->param)
			return -1;
		*s->params_end = name;
		s->params_end = &name->next_param;
	}
	if (name->set)
		return cell_read(s, name->set, strlen(name->set), name->param);
	return cell_read(s, text, n, name->param);
}

/* ---- rows of cells ---- */

struct cell { struct symbol *text; struct at at; };
struct rows { struct cell **row; int columns, rows; };

static int is_cell(int c)
{
	return is_name(c) || c == '.' || c == '+' || c == '-';
}

/* The cell at i, or 0 if what is there is none: its end. */
static size_t cell_end(const struct line *l, size_t i)
{
	size_t j = i;

	if (i + 1 < l->length && l->text[i] == '(' && l->text[i + 1] == ')')
		return i + 2;
	while (j < l->length && is_cell((unsigned char)l->text[j]))
		j++;
	return j > i ? j : 0;
}

static int row_fail(struct source *s, struct at at, int cells, struct symbol **column, int columns)
{
	struct text names = { 0 };
	char *list;

	for (int i = 0; i < columns; i++)
		text_add(&names, "%s%s", i ? " " : "", column[i]->text);
	list = text_take(&names);
	source_fail(s, at, "the row has %d cells, the table %d columns (%s)", cells, columns,
		    list ? list : "...");
	free(list);
	return -1;
}

/* One line of cells; into has room for the columns. */
static int row(struct source *s, const struct line *l, struct symbol **column, int columns,
	       struct cell *into)
{
	int cells = 0;
	struct at first = { 0 };

	for (size_t i = 0, j; i < l->length; i = j) {
		j = i + 1;
		if (is_space((unsigned char)l->text[i]))
			continue;
		j = cell_end(l, i);
		if (!j)
			return source_fail(s, (struct at){ l->number, 1 }, "a cell is a number, a name or ()");
		if (!cells++)
			first = (struct at){ l->number, (int)i + 1 };
		if (cells > columns)
			continue;
		into[cells - 1].at = (struct at){ l->number, (int)i + 1 };
		into[cells - 1].text = symbol_get(&s->symbols, l->text + i, j - i);
		if (!into[cells - 1].text)
			return -1;
		into[cells - 1].text->used = 1;
	}
	return cells == columns ? 0 : row_fail(s, first, cells, column, columns);
}

/* The lines under the first. */
static int rows(struct source *s, struct symbol **column, int columns, struct rows *r)
{
	size_t bytes = (size_t)columns * sizeof(**r->row);
	struct cell cells[LIMIT_LIST];

	*r = (struct rows){ .columns = columns, .rows = (int)s->lines - 1 };
	r->row = arena_alloc(&s->memory, (s->lines - 1) * sizeof(*r->row));
	if (!r->row)
		return -1;
	for (int i = 0; i < r->rows; i++) {
		TRY(row(s, &s->line[i + 1], column, columns, cells));
		r->row[i] = arena_alloc(&s->memory, bytes);
		if (!r->row[i])
			return -1;
		memcpy(r->row[i], cells, bytes);
	}
	return 0;
}

/* ---- param and table ---- */

static size_t skip_space(const struct line *l, size_t i)
{
	while (i < l->length && is_space((unsigned char)l->text[i]))
		i++;
	return i;
}

static size_t skip_name(const struct line *l, size_t i)
{
	if (i < l->length && is_name_start((unsigned char)l->text[i]))
		while (i < l->length && is_name((unsigned char)l->text[i]))
			i++;
	return i;
}

/* Names up to the end of the line; *columns of them: 0, 1 (something else stands there), -1. */
static int column_names(struct source *s, size_t i, struct symbol **column, int *columns)
{
	const struct line *l = s->line;

	while (i < l->length) {
		size_t from = skip_space(l, i), to = skip_name(l, from);

		if (from == i || to == from)
			return 1;
		if (*columns == LIMIT_LIST)
			return source_fail(s, (struct at){ l->number, (int)from + 1 },
					   "more than %d columns", LIMIT_LIST);
		column[*columns] = symbol_get(&s->symbols, l->text + from, to - from);
		if (!column[(*columns)++])
			return -1;
		i = to;
	}
	return 0;
}

static int no_row(struct source *s, struct symbol *name, const char *value, const struct rows *r)
{
	struct text keys = { 0 };
	char *list, shown[100];

	for (int i = 0; i < r->rows && keys.length < 2000; i++)
		text_add(&keys, "%s%s", i ? " " : "", r->row[i]->text->text);
	list = text_take(&keys);
	source_fail(s, name->at, "param %s: no row for %s (rows: %s)", name->text,
		    show_text(shown, value, strlen(value)), list ? list : "...");
	free(list);
	return -1;
}

/* The row that the param's value picks sets the columns. */
static int pick_row(struct source *s, struct symbol **column, const char *value, const struct rows *r)
{
	const struct cell *found = NULL;
	struct symbol *name = column[0];

	for (int i = 0; i < r->rows; i++) {
		const struct cell *key = r->row[i];

		if (key->text->number == name->at.line)
			return source_fail(s, key->at, "param %s: %s stands twice in the table",
					   name->text, key->text->text);
		key->text->number = name->at.line;
		if (!strcmp(key->text->text, value))
			found = key;
	}
	if (!found)
		return no_row(s, name, value, r);
	for (int i = 1; i < r->columns; i++) {
		TRY(own(s, column[i], OWNER_COLUMN, name->at));
		TRY(set_param(s, column[i], found[i].text->text, found[i].text->length));
	}
	return 0;
}

static int param(struct source *s)
{
	const struct line *l = s->line;
	size_t from = skip_space(l, 5), to = skip_name(l, from), value, end;
	struct symbol *column[LIMIT_LIST], *text;
	int columns = 1, odd;
	struct rows r;

	value = skip_space(l, to);
	if (from == 5 || to == from || value >= l->length || l->text[value] != '=')
		goto bad;
	value = skip_space(l, value + 1);
	for (end = value; end < l->length && is_cell((unsigned char)l->text[end]); )
		end++;
	if (end == value)
		goto bad;
	column[0] = symbol_get(&s->symbols, l->text + from, to - from);
	text = symbol_get(&s->symbols, l->text + value, end - value);
	if (!column[0] || !text)
		return -1;
	odd = column_names(s, end, column, &columns);
	if (odd > 0)
		goto bad;
	TRY(odd);
	TRY(own(s, column[0], OWNER_PARAM, (struct at){ l->number, (int)from + 1 }));
	TRY(set_param(s, column[0], text->text, text->length));
	TRY(rows(s, column, columns, &r));
	if ((r.rows > 0) != (columns > 1))
		return source_fail(s, column[0]->at, "param %s: columns and rows come together",
				   column[0]->text);
	if (!r.rows)
		return 0;
	column[0]->used = 1;
	return pick_row(s, column, column[0]->set ? column[0]->set : text->text, &r);
bad:
	return source_fail(s, (struct at){ l->number, 1 },
			   "expected 'param NAME = number or name', then columns");
}

static int table(struct source *s)
{
	const struct line *l = s->line;
	struct symbol *column[LIMIT_LIST];
	int columns = 0, odd;
	size_t word = 0;
	struct table *t;
	struct rows r;

	while (word < l->length && !is_space((unsigned char)l->text[word]))
		word++;
	odd = column_names(s, word, column, &columns);
	TRY(odd);
	if (odd > 0 || columns < 2)
		return source_fail(s, (struct at){ l->number, 1 }, "expected 'table NAME COLUMN...'");
	TRY(own(s, column[0], OWNER_TABLE, (struct at){ l->number, 7 }));
	TRY(rows(s, column + 1, columns - 1, &r));
	if (!r.rows)
		return source_fail(s, column[0]->at, "table %s has no rows", column[0]->text);
	t = arena_alloc(&s->memory, sizeof(*t));
	if (!t || !(t->column = arena_alloc(&s->memory, (size_t)r.columns * sizeof(*t->column))) ||
	    !(t->cell = arena_alloc(&s->memory, (size_t)r.columns * (size_t)r.rows * sizeof(*t->cell))))
		return -1;
	t->columns = r.columns;
	t->rows = r.rows;
	memcpy(t->column, column + 1, (size_t)r.columns * sizeof(*t->column));
	for (int i = 0; i < r.rows; i++) {
		for (int k = 0; k < r.columns; k++) {
			const struct symbol *y = r.row[i][k].text;

			TRY(cell_read(s, y->text, y->length,
				      &t->cell[(size_t)i * (size_t)r.columns + (size_t)k]));
		}
	}
	column[0]->table = t;
	return 0;
}

/* ---- input, net, def ---- */

static int input(struct source *s, struct parser *p)
{
	struct at at = { s->line->number, 1 };

	if (s->input[0])
		return source_fail(s, at, "a second input; the first is at line %d", s->input_at.line);
	s->input_at = at;
	for (int i = 0; i < 3; i++)
		if (!(s->input[i] = parse_expr(p)))
			return -1;
	return 0;
}

static int net(struct source *s, struct parser *p)
{
	struct at at = { s->line->number, 1 };

	if (!parse_take(p, TOKEN_KEY, "net") && parse_take(p, TOKEN_NAME, "net") &&
	    !parse_need(p, TOKEN_OP, "=", "expected '='"))
		return -1;
	if (s->net)
		return source_fail(s, at, "a second net; the first is at line %d", s->net_at.line);
	s->net_at = at;
	s->net = parse_chain(p);
	return s->net ? 0 : -1;
}

static int def_arg(struct source *s, struct parser *p, struct def *d, struct def_arg ***end)
{
	const struct token *t = parse_take(p, TOKEN_NAME, NULL);
	struct def_arg *a = arena_alloc(&s->memory, sizeof(*a));

	if (!a)
		return -1;
	if (!t && !(t = parse_take(p, TOKEN_KEY, NULL)))
		return parse_fail(p, "expected an argument or ' = ' (blanks around it)");
	for (struct def_arg *b = d->args; b; b = b->next)
		if (t->kind == TOKEN_NAME && b->otherwise)
			return source_fail(s, t->at, "an argument without default after one with default");
	for (struct def_arg *b = d->args; b; b = b->next)
		if (b->name == t->symbol)
			return source_fail(s, t->at, "two arguments named %s", t->symbol->text);
	if (d->arg_count == LIMIT_LIST)
		return source_fail(s, t->at, "more than %d arguments", LIMIT_LIST);
	a->name = t->symbol;
	if (t->kind == TOKEN_KEY && !(a->otherwise = parse_expr(p)))
		return -1;
	d->arg_count++;
	**end = a;
	*end = &a->next;
	return 0;
}

static int def(struct source *s, struct parser *p)
{
	const struct token *key = parse_take(p, TOKEN_KEY, NULL);
	const struct token *name = key ? key : parse_need(p, TOKEN_NAME, NULL, "expected the name of the def");
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
	TRY(own(s, name->symbol, OWNER_DEF, name->at));
	d->order = s->defs++;
	d->numeric = ast_numeric(s, d->body, NULL, d->order);
	name->symbol->def = d;
	return 0;
}

/* Marks the names that a declaration speaks of; me: its own, which does not count. */
static int mark_used(struct source *s, size_t from, const struct symbol *me)
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

static int declare(struct source *s)
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
		return param(s);
	if (word == 5 && !memcmp(first->text, "table", 5))
		return table(s);
	kind = word == 5 && !memcmp(first->text, "input", 5) ? 'i' :
	       word == 3 && !memcmp(first->text, "def", 3) ? 'd' :
	       word == 3 && !memcmp(first->text, "net", 3) ? 'n' : 0;
	while (end < first->length && !is_space((unsigned char)first->text[end]))
		end++;
	if (!kind)
		return source_fail(s, (struct at){ first->number, 1 }, "a line that is not indented starts "
				   "with input, param, table, def or net; '%s' does not",
				   show_text(shown, first->text + at, end - at));
	TRY(lex(s));
	p.token = s->token + (kind != 'n');
	p.count = s->tokens - (kind != 'n');
	TRY(kind == 'i' ? input(s, &p) : kind == 'n' ? net(s, &p) : def(s, &p));
	if (p.i < p.count)
		return parse_fail(&p, "expected '|' or the end of the declaration");
	return mark_used(s, kind == 'd' ? 2 : 1, kind == 'd' ? s->token[1].symbol : NULL);
}

/* ---- the file ---- */

static int add_line(struct source *s, int number, const char *text, size_t length)
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
static int declarations(struct source *s, const char *text, size_t bytes, int *newlines)
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
			return source_fail(s, (struct at){ number, 1 },
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

static int apply_settings(struct source *s, const char *const *set, int sets)
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

static int check_settings(struct source *s, const char *const *set, int sets)
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
		source_fail(s, (struct at){ 1, 1 }, "--set %s: no such param (%s)",
			    show_text(shown, name->text, name->length),
			    list && *list ? list : "there are none");
		free(list);
		return -1;
	}
	return 0;
}

static int classes(struct source *s)
{
	struct symbol *y = s->word.classes;

	if (y->param)
		return 0;
	TRY(set_param(s, y, "1000", 4));
	if (y->param->kind != MEANS_NUMBER)
		return source_fail(s, (struct at){ 1, 1 }, "--set classes: %s is not a number", y->set);
	return 0;
}

static int unused(struct source *s)
{
	static const char *const kinds[] = { "", "param", "column", "table", "def" };

	for (struct symbol *y = s->owned; y; y = y->next_owned)
		if (!y->used && y != s->word.classes)
			return source_fail(s, y->at, "nothing uses %s %s", kinds[y->owner], y->text);
	return 0;
}

/* Symbols with a meaning of their own, and the ops. */
static int known_words(struct source *s)
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
		if (!(*word[i].at = source_word(s, word[i].text)))
			return -1;
	for (int i = OP_INPUT + 1; i < OP_WORDS; i++) {
		struct symbol *y = source_word(s, op_row(i)->name);

		if (!y)
			return -1;
		y->op = i;
	}
	return 0;
}

int source_read(struct source *s, const char *file, const char *text, size_t bytes,
		const char *const *set, int sets)
{
	int newlines;

	*s = (struct source){ .file = file };
	s->symbols.memory = &s->memory;
	s->owned_end = &s->owned;
	s->params_end = &s->params;
	if (bytes > LIMIT_FILE)
		return source_fail(s, (struct at){ 1, 1 }, "longer than %d bytes", LIMIT_FILE);
	TRY(known_words(s));
	TRY(apply_settings(s, set, sets));
	TRY(declarations(s, text, bytes, &newlines));
	if (!s->net)
		return source_fail(s, (struct at){ newlines + 1, 1 }, "no 'net = ...'");
	TRY(check_settings(s, set, sets));
	TRY(classes(s));
	TRY(unused(s));
	if (!s->input[0])
		return source_fail(s, (struct at){ 1, 1 }, "no 'input HEIGHT WIDTH CHANNELS'");
	return 0;
}

void source_release(struct source *s)
{
	symbols_release(&s->symbols);
	arena_release(&s->memory);
	free(s->line);
	free(s->token);
}
