#include "net/syntax.h"

#include "base/fail.h"
#include "net/number.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_digit(int c)
{
	return c >= '0' && c <= '9';
}

int is_name_start(int c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

int is_name(int c)
{
	return is_name_start(c) || is_digit(c);
}

int is_space(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

size_t skip_space(const struct line *l, size_t i)
{
	while (i < l->length && is_space((unsigned char)l->text[i]))
		i++;
	return i;
}

static int is_blank(int c)
{
	return c == ' ' || c == '\t';
}

const char *show_text(char buffer[100], const char *text, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (used > 80) {
			memcpy(buffer + used, "...", 3);
			used += 3;
			break;
		}
		if (c < ' ' || c == 0x7f)
			used += (size_t)snprintf(buffer + used, 8, "\\x%02x", c);
		else
			buffer[used++] = text[i];
	}
	buffer[used] = '\0';
	return buffer;
}

/* A byte of a line; 0 behind its end. */
static int byte(const struct line *l, size_t i)
{
	return i < l->length ? (unsigned char)l->text[i] : 0;
}

static size_t digits(const struct line *l, size_t i)
{
	while (is_digit(byte(l, i)))
		i++;
	return i;
}

static size_t name_end(const struct line *l, size_t i)
{
	if (!is_name_start(byte(l, i)))
		return i;
	while (is_name(byte(l, i)))
		i++;
	return i;
}

/* The end of a label at i, colon included; i: none. */
static size_t label_end(const struct line *l, size_t i)
{
	size_t j = i;

	if (!is_name(byte(l, i)) && byte(l, i) != '$')
		return i;
	while (is_name(byte(l, j)) || byte(l, j) == '$' || byte(l, j) == '.' || byte(l, j) == '-')
		j++;
	return byte(l, j) == ':' ? j + 1 : i;
}

static size_t op_end(const struct line *l, size_t i)
{
	static const char *const two[] = { "==", "!=", "<=", ">=", ".." };

	for (int k = 0; k < 5; k++)
		if (byte(l, i) == two[k][0] && byte(l, i + 1) == two[k][1])
			return i + 2;
	return byte(l, i) && strchr("-+*/<>|(),=[]", byte(l, i)) ? i + 1 : i;
}

static int is_reserved(const char *word)
{
	static const char *const words[] = {"if", "then",   "else", "repeat",
					    "as", "shared", "and",  "or"};

	for (int k = 0; k < 8; k++)
		if (!strcmp(word, words[k]))
			return 1;
	return 0;
}

/* The token at i: its end, with the part that is its text; i: none. */
static size_t token_end(const struct line *l, size_t i, enum token_kind *kind, size_t *from,
			size_t *to)
{
	size_t j = label_end(l, i), k;

	*from = i;
	if (j > i)
		return *kind = TOKEN_LABEL, *to = j - 1, j;
	j = digits(l, i);
	if (j > i && byte(l, j) == 'x' && is_digit(byte(l, j + 1)) &&
	    !is_name(byte(l, k = digits(l, j + 1))))
		return *kind = TOKEN_PAIR, *to = k, k;
	j = i + number_length(l->text + i, l->length - i);
	if (j > i)
		return *kind = TOKEN_NUMBER, *to = j, j;
	if (byte(l, i) == '@' && (j = name_end(l, i + 1)) > i + 1)
		return *kind = TOKEN_AT, *from = i + 1, *to = j, j;
	j = name_end(l, i);
	*to = j;
	if (j > i && byte(l, j) == '=' && byte(l, j + 1) != '=')
		return *kind = TOKEN_KEY, j + 1;
	if (j > i && byte(l, j) == '(')
		return *kind = TOKEN_FUNC, j + 1;
	if (j > i)
		return *kind = TOKEN_NAME, j;
	return *kind = TOKEN_OP, *to = op_end(l, i);
}

static int add_token(struct net_source *s, const struct token *t)
{
	if (s->tokens == s->token_room) {
		size_t room = s->token_room ? 2 * s->token_room : 256;
		struct token *more = realloc(s->token, room * sizeof(*more));

		if (!more)
			return fail("out of memory");
		s->token = more;
		s->token_room = room;
	}
	s->token[s->tokens++] = *t;
	return 0;
}

static int bad_word(struct net_source *s, const struct line *l, size_t i)
{
	size_t j = i;
	char shown[100];

	while (j < l->length && !strchr(" \t\n\v\f\r|()", l->text[j]))
		j++;
	return net_source_fail(s, (struct at){l->number, (int)i + 1},
			       "'%s' is not a word of the language",
			       show_text(shown, l->text + i, (j > i ? j : i + 1) - i));
}

static int lex_line(struct net_source *s, const struct line *l)
{
	for (size_t i = 0, j; i < l->length; i = j) {
		struct token t = { .at = { l->number, (int)i + 1 } };
		size_t from, to;

		if (is_blank(byte(l, i))) {
			j = i + 1;
			continue;
		}
		j = token_end(l, i, &t.kind, &from, &to);
		if (j == i)
			return bad_word(s, l, i);
		if (t.kind == TOKEN_LABEL && to - from > LIMIT_NAME)
			return net_source_fail(s, t.at, "a label has at most %d characters",
					       LIMIT_NAME);
		t.symbol = symbol_get(&s->symbols, l->text + from, to - from);
		if (!t.symbol)
			return -1;
		if (t.kind == TOKEN_NAME && is_reserved(t.symbol->text))
			t.kind = TOKEN_WORD;
		t.tight_left = i > 0 && !is_blank(byte(l, i - 1));
		t.tight_right = j < l->length && !is_blank(byte(l, j));
		TRY(add_token(s, &t));
	}
	return 0;
}

int lex_lines(struct net_source *s)
{
	s->tokens = 0;
	for (size_t i = 0; i < s->lines; i++)
		TRY(lex_line(s, &s->line[i]));
	return 0;
}

int net_source_fail(struct net_source *s, struct at at, const char *fmt, ...)
{
	char cause[FAIL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cause, sizeof(cause), fmt, ap);
	va_end(ap);
	return fail("%s:%d:%d: %s", s->file, at.line, at.column, cause);
}
