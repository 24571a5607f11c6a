#include "data/recipe.h"

#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 200 };

/* A word of the text: a run without blanks, '|', '(' and ')', or one of those three. */
struct parser {
	const char *text;
	size_t at, end;         /* the word that stands next: text[at .. end) */
	int depth, steps;
};

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int is_mark(char c)
{
	return c == '|' || c == '(' || c == ')';
}

/* Goes to the word after the present one. */
static void next(struct parser *p)
{
	p->at = p->end;
	while (is_blank(p->text[p->at]))
		p->at++;
	p->end = p->at;
	if (is_mark(p->text[p->at])) {
		p->end++;
		return;
	}
	while (p->text[p->end] && !is_blank(p->text[p->end]) && !is_mark(p->text[p->end]))
		p->end++;
}

static int at_end(const struct parser *p)
{
	return p->at == p->end;
}

static int at_mark(const struct parser *p, char c)
{
	return !at_end(p) && p->text[p->at] == c;
}

__attribute__((format(printf, 2, 3)))
static int complain(const struct parser *p, const char *fmt, ...)
{
	char cause[FAIL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cause, sizeof(cause), fmt, ap);
	va_end(ap);
	return fail("recipe: column %zu: %s", p->at + 1, cause);
}

/* Edits that make b of a (Levenshtein 1966); long words are far apart. */
static int distance(const char *a, const char *b)
{
	enum { MOST = 30 };
	int row[MOST + 1], n = (int)strlen(a), m = (int)strlen(b);

	if (n > MOST || m > MOST)
		return MOST;
	for (int j = 0; j <= m; j++)
		row[j] = j;
	for (int i = 1; i <= n; i++) {
		int corner = row[0];

		row[0] = i;
		for (int j = 1; j <= m; j++) {
			int change = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			if (row[j] + 1 < change)
				change = row[j] + 1;
			if (row[j - 1] + 1 < change)
				change = row[j - 1] + 1;
			row[j] = change;
		}
	}
	return row[m];
}

/* Words that other programs have for these steps. */
static const char *known_as(const char *name)
{
	static const char *const pairs[][2] = {
		{ "resize", "size" }, { "scale", "size" }, { "mirror", "flip" },
		{ "hflip", "flip" }, { "gray", "grey" }, { "greyscale", "grey" },
		{ "grayscale", "grey" }, { "randomcrop", "random-crop" },
		{ "random_crop", "random-crop" }, { "rrc", "random-crop" },
		{ "centercrop", "crop" }, { "center-crop", "crop" }, { "centre-crop", "crop" },
		{ "padding", "pad" },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		if (strcmp(pairs[i][0], name) == 0)
			return pairs[i][1];
	return NULL;
}

static const char *near_step(const char *name)
{
	const char *best = known_as(name);
	int least = 3;

	if (best != NULL)
		return best;
	for (const struct step_kind *k = step_kinds; k->name != NULL; k++)
		if (distance(name, k->name) < least) {
			least = distance(name, k->name);
			best = k->name;
		}
	return best;
}

/* The names of a step's arguments for a message. */
static const char *argument_names(const struct step_kind *k, char *buf, size_t room)
{
	size_t n = 0;

	buf[0] = '\0';
	for (int i = 0; k->arg[i].name != NULL && n < room; i++)
		n += (size_t)snprintf(buf + n, room - n, "%s%s", i ? ", " : "", k->arg[i].name);
	return n ? buf : "nothing";
}

/* "3/4" or "0.5"; the end of what was taken, or NULL. */
static const char *read_number(const char *s, double *v)
{
	char *end;

	if ((*s < '0' || *s > '9') && *s != '.' && *s != '-' && *s != '+')
		return NULL;
	if (strspn(s, "0123456789.+-eE/,") != strlen(s))
		return NULL;
	*v = strtod(s, &end);
	if (end == s)
		return NULL;
	if (*end == '/') {
		const char *below = end + 1;
		double d = strtod(below, &end);

		if (end == below || d == 0)
			return NULL;
		*v /= d;
	}
	return end;
}

/* The place of a word among words; -1. */
static int find_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (int i = 0; *words; i++) {
		size_t m = strcspn(words, " ");

		if (m == n && memcmp(words, word, n) == 0)
			return i;
		words += m + (words[m] == ' ');
	}
	return -1;
}

static int put_number(const struct parser *p, struct step *s, int i, double v)
{
	const struct step_arg *a = &s->kind->arg[i];

	if (!(v >= a->least && v <= a->most))
		return complain(p, "%s of %s is %g: it lies in %g .. %g (%s)", a->name,
				s->kind->name, v, a->least, a->most, a->help);
	if (a->whole && v != (double)(long)v)
		return complain(p, "%s of %s is %g: a whole number is needed", a->name,
				s->kind->name, v);
	s->value[i][s->numbers[i]++] = v;
	return 0;
}

/* A value by name: a word, or all its numbers with commas between. */
static int put_value(const struct parser *p, struct step *s, int i, const char *text)
{
	const struct step_arg *a = &s->kind->arg[i];
	const char *at = text;

	s->numbers[i] = 0;
	if (a->words != NULL) {
		int word = find_word(a->words, text);

		if (word < 0)
			return complain(p, "%s of %s is one of: %s; not '%s'", a->name,
					s->kind->name, a->words, text);
		s->value[i][0] = word;
		s->numbers[i] = 1;
		return 0;
	}
	for (;;) {
		double v;

		at = read_number(at, &v);
		if (at == NULL || (*at != ',' && *at != '\0') || s->numbers[i] == a->numbers)
			return complain(p, "%s of %s takes %s%d number%s, not '%s'", a->name,
					s->kind->name, a->fewest < a->numbers ? "up to " : "",
					a->numbers, a->numbers > 1 ? "s as in 1,2" : "", text);
		TRY(put_number(p, s, i, v));
		if (*at++ == '\0')
			break;
	}
	if (s->numbers[i] < a->fewest)
		return complain(p, "%s of %s takes %d numbers with a comma between", a->name,
				s->kind->name, a->fewest);
	return 0;
}

/* name=value */
static int put_named(const struct parser *p, struct step *s, char *text, int *named)
{
	char *value = strchr(text, '='), buf[WORD_MAX];
	int i = 0;

	*value++ = '\0';
	while (s->kind->arg[i].name != NULL && strcmp(s->kind->arg[i].name, text) != 0)
		i++;
	if (s->kind->arg[i].name == NULL)
		return complain(p, "%s has no '%s': it takes %s", s->kind->name, text,
				argument_names(s->kind, buf, sizeof(buf)));
	if (s->numbers[i] > 0)
		return complain(p, "%s of %s is there twice", text, s->kind->name);
	named[i] = 1;
	return put_value(p, s, i, value);
}

/* A value by place: a word goes to the first argument that knows it, a number to the
 * first that has room. */
static int put_placed(const struct parser *p, struct step *s, const char *text,
		      const int *named)
{
	const struct step_kind *k = s->kind;
	const char *rest;
	char buf[WORD_MAX];
	double v;

	rest = read_number(text, &v);
	for (int i = 0; k->arg[i].name != NULL; i++) {
		const struct step_arg *a = &k->arg[i];

		if (a->named || named[i] || s->numbers[i] == (a->words ? 1 : a->numbers))
			continue;
		if (rest == NULL && a->words != NULL && find_word(a->words, text) >= 0)
			return put_value(p, s, i, text);
		if (rest != NULL && a->words == NULL) {
			if (*rest == ',' && s->numbers[i] == 0)
				return put_value(p, s, i, text);
			if (*rest != '\0')
				return complain(p, "'%s' is no number", text);
			return put_number(p, s, i, v);
		}
	}
	if (rest != NULL)
		return complain(p, "%s has no place for '%s': it takes %s", k->name, text,
				argument_names(k, buf, sizeof(buf)));
	if (step_find(text) != NULL)
		return complain(p, "'|' is missing before '%s'", text);
	return complain(p, "%s does not know '%s': it takes %s", k->name, text,
			argument_names(k, buf, sizeof(buf)));
}

static int copy_word(const struct parser *p, char *word)
{
	size_t n = p->end - p->at;

	if (n >= WORD_MAX)
		return complain(p, "a word of %zu bytes", n);
	memcpy(word, p->text + p->at, n);
	word[n] = '\0';
	return 0;
}

/* Whether an argument is as if it had been left out. */
static int is_standard(const struct parser *p, const struct step *s, int i)
{
	const struct step_arg *a = &s->kind->arg[i];
	struct step other = { .kind = s->kind };

	if (a->standard == NULL || *a->standard == '\0' ||
	    put_value(p, &other, i, a->standard) < 0 || other.numbers[i] != s->numbers[i])
		return 0;
	for (int n = 0; n < s->numbers[i]; n++)
		if (s->value[i][n] != other.value[i][n])
			return 0;
	return 1;
}

static int set_standards(const struct parser *p, struct step *s)
{
	for (int i = 0; s->kind->arg[i].name != NULL; i++) {
		const struct step_arg *a = &s->kind->arg[i];

		if (s->numbers[i] > 0 && s->numbers[i] < a->fewest)
			return complain(p, "%s of %s takes %d numbers", a->name,
					s->kind->name, a->fewest);
		if (s->numbers[i] == 0 && a->standard == NULL)
			return complain(p, "%s needs %s (%s)", s->kind->name, a->name, a->help);
		if (s->numbers[i] == 0 && *a->standard)
			TRY(put_value(p, s, i, a->standard));
		s->standard[i] = is_standard(p, s, i);
	}
	return 0;
}

static int parse_chain(struct parser *, struct recipe *);

static int parse_group(struct parser *p, struct step *s)
{
	if (++p->depth > RECIPE_DEPTH_MAX)
		return complain(p, "parentheses more than %d deep", RECIPE_DEPTH_MAX);
	next(p);
	TRY(parse_chain(p, &s->group));
	if (!at_mark(p, ')'))
		return complain(p, "')' is missing");
	if (s->group.count == 0)
		return complain(p, "no steps in the parentheses");
	next(p);
	p->depth--;
	return 0;
}

/* A step whose place the parser is at; it begins zeroed. */
static int parse_step(struct parser *p, struct step *s)
{
	struct parser start = *p;
	char word[WORD_MAX];
	int named[RECIPE_ARGS] = { 0 };
	const char *near;

	TRY(copy_word(p, word));
	near = near_step(word);
	s->kind = step_find(word);
	if (s->kind == NULL)
		return complain(p, near ? "no step is called '%s': is '%s' meant?" :
				"no step is called '%s' (img-augment --steps lists them)",
				word, near);
	next(p);
	while (!at_end(p) && !at_mark(p, '|') && !at_mark(p, ')')) {
		if (at_mark(p, '(')) {
			if (!s->kind->group || s->group.count > 0)
				return complain(p, "%s takes no %ssteps in parentheses",
						s->kind->name, s->group.count ? "more " : "");
			TRY(parse_group(p, s));
			continue;
		}
		TRY(copy_word(p, word));
		TRY(strchr(word, '=') ? put_named(p, s, word, named) :
		    put_placed(p, s, word, named));
		next(p);
	}
	TRY(set_standards(&start, s));
	if (s->kind->group && s->group.count == 0)
		return complain(&start, "%s needs steps in parentheses, as in '%s 0.5 (flip)'",
				s->kind->name, s->kind->name);
	if (s->kind->check != NULL && s->kind->check(s) < 0)
		return fail_add("recipe: column %zu: %s", start.at + 1, s->kind->name);
	return 0;
}

/* Steps up to the end or a ')'. */
static int parse_chain(struct parser *p, struct recipe *r)
{
	while (!at_end(p) && !at_mark(p, ')')) {
		struct step *more;

		if (at_mark(p, '|') || at_mark(p, '('))
			return complain(p, "a step is missing before '%c'", p->text[p->at]);
		if (++p->steps > RECIPE_STEPS_MAX)
			return complain(p, "more than %d steps", RECIPE_STEPS_MAX);
		more = realloc(r->step, (size_t)(r->count + 1) * sizeof(*more));
		if (more == NULL)
			return fail_errno("recipe");
		r->step = more;
		memset(&r->step[r->count], 0, sizeof(*more));
		TRY(parse_step(p, &r->step[r->count++]));
		if (!at_mark(p, '|'))
			break;
		next(p);
		if (at_end(p) || at_mark(p, ')'))
			return complain(p, "a step is missing after '|'");
	}
	return 0;
}

/* The how manieth of its kind each step is, in the order of the text. */
static void name_steps(struct recipe *r, int *count)
{
	for (int i = 0; i < r->count; i++) {
		struct step *s = &r->step[i];

		snprintf(s->name, sizeof(s->name), "%s.%d", s->kind->name,
			 ++count[s->kind - step_kinds]);
		name_steps(&s->group, count);
	}
}

struct recipe *recipe_parse(const char *text)
{
	struct parser p = { .text = text };
	struct recipe *r;
	int count[64] = { 0 };

	if (strlen(text) > RECIPE_TEXT_MAX) {
		fail("recipe: %zu bytes; at most %d", strlen(text), RECIPE_TEXT_MAX);
		return NULL;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL) {
		fail_errno("recipe");
		return NULL;
	}
	next(&p);
	if (parse_chain(&p, r) < 0 ||
	    (!at_end(&p) && complain(&p, "')' without '('") < 0)) {
		recipe_free(r);
		return NULL;
	}
	name_steps(r, count);
	return r;
}
