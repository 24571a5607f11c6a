/* param and table: the declarations whose lines are cells. */
#include "net/syntax.h"

#include "base/fail.h"
#include "base/text.h"
#include "net/number.h"

#include <stdlib.h>
#include <string.h>

int cell_read(struct net_source *s, const char *text, size_t n, struct meaning *m)
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

/* Gives a param or column the value of its text, or of --set. */
int declare_value(struct net_source *s, struct symbol *name, const char *text, size_t n)
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

static int row_fail(struct net_source *s, struct at at, int cells, struct symbol **column,
		    int columns)
{
	struct text names = { 0 };
	char *list;

	for (int i = 0; i < columns; i++)
		text_add(&names, "%s%s", i ? " " : "", column[i]->text);
	list = text_take(&names);
	net_source_fail(s, at, "the row has %d cells, the table %d columns (%s)", cells, columns,
		    list ? list : "...");
	free(list);
	return -1;
}

/* One line of cells; into has room for the columns. */
static int row(struct net_source *s, const struct line *l, struct symbol **column, int columns,
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
			return net_source_fail(s, (struct at){l->number, 1},
					       "a cell is a number, a name or ()");
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
static int rows(struct net_source *s, struct symbol **column, int columns, struct rows *r)
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

static size_t skip_name(const struct line *l, size_t i)
{
	if (i < l->length && is_name_start((unsigned char)l->text[i]))
		while (i < l->length && is_name((unsigned char)l->text[i]))
			i++;
	return i;
}

/* Names up to the end of the line; *columns of them: 0, 1 (something else stands there), -1. */
static int column_names(struct net_source *s, size_t i, struct symbol **column, int *columns)
{
	const struct line *l = s->line;

	while (i < l->length) {
		size_t from = skip_space(l, i), to = skip_name(l, from);

		if (from == i || to == from)
			return 1;
		if (*columns == LIMIT_LIST)
			return net_source_fail(s, (struct at){ l->number, (int)from + 1 },
					   "more than %d columns", LIMIT_LIST);
		column[*columns] = symbol_get(&s->symbols, l->text + from, to - from);
		if (!column[(*columns)++])
			return -1;
		i = to;
	}
	return 0;
}

static int no_row(struct net_source *s, struct symbol *name, const char *value,
		  const struct rows *r)
{
	struct text keys = { 0 };
	char *list, shown[100];

	for (int i = 0; i < r->rows && keys.length < 2000; i++)
		text_add(&keys, "%s%s", i ? " " : "", r->row[i]->text->text);
	list = text_take(&keys);
	net_source_fail(s, name->at, "param %s: no row for %s (rows: %s)", name->text,
		    show_text(shown, value, strlen(value)), list ? list : "...");
	free(list);
	return -1;
}

/* The row that the param's value picks sets the columns. */
static int pick_row(struct net_source *s, struct symbol **column, const char *value,
		    const struct rows *r)
{
	const struct cell *found = NULL;
	struct symbol *name = column[0];

	for (int i = 0; i < r->rows; i++) {
		const struct cell *key = r->row[i];

		if (key->text->number == name->at.line)
			return net_source_fail(s, key->at, "param %s: %s stands twice in the table",
					   name->text, key->text->text);
		key->text->number = name->at.line;
		if (!strcmp(key->text->text, value))
			found = key;
	}
	if (!found)
		return no_row(s, name, value, r);
	for (int i = 1; i < r->columns; i++) {
		TRY(declare_own(s, column[i], OWNER_COLUMN, name->at));
		TRY(declare_value(s, column[i], found[i].text->text, found[i].text->length));
	}
	return 0;
}

int declare_param(struct net_source *s)
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
	TRY(declare_own(s, column[0], OWNER_PARAM, (struct at){ l->number, (int)from + 1 }));
	TRY(declare_value(s, column[0], text->text, text->length));
	TRY(rows(s, column, columns, &r));
	if ((r.rows > 0) != (columns > 1))
		return net_source_fail(s, column[0]->at, "param %s: columns and rows come together",
				   column[0]->text);
	if (!r.rows)
		return 0;
	column[0]->used = 1;
	return pick_row(s, column, column[0]->set ? column[0]->set : text->text, &r);
bad:
	return net_source_fail(s, (struct at){ l->number, 1 },
			   "expected 'param NAME = number or name', then columns");
}

int declare_table(struct net_source *s)
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
		return net_source_fail(s, (struct at){l->number, 1},
				       "expected 'table NAME COLUMN...'");
	TRY(declare_own(s, column[0], OWNER_TABLE, (struct at){ l->number, 7 }));
	TRY(rows(s, column + 1, columns - 1, &r));
	if (!r.rows)
		return net_source_fail(s, column[0]->at, "table %s has no rows", column[0]->text);
	t = arena_alloc(&s->memory, sizeof(*t));
	if (!t ||
	    !(t->column = arena_alloc(&s->memory, (size_t)r.columns * sizeof(*t->column))) ||
	    !(t->cell = arena_alloc(&s->memory,
				    (size_t)r.columns * (size_t)r.rows * sizeof(*t->cell))))
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

