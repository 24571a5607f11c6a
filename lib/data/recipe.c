#include "data/recipe.h"

#include "base/fail.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void release(struct recipe *r)
{
	for (int i = 0; i < r->count; i++)
		release(&r->step[i].group);
	free(r->step);
}

void recipe_free(struct recipe *r)
{
	if (r == NULL)
		return;
	release(r);
	free(r);
}

static void add_word(struct text *t, const char *words, int place)
{
	while (place-- > 0)
		words += strcspn(words, " ") + 1;
	text_add(t, "%.*s", (int)strcspn(words, " "), words);
}

/* A number as it was read, in the fewest digits that give it again. */
static void add_number(struct text *t, double v)
{
	char buf[40];

	snprintf(buf, sizeof(buf), "%.0f", v);
	for (int digits = 1; digits <= 17 && strtod(buf, NULL) != v; digits++)
		snprintf(buf, sizeof(buf), "%.*g", digits, v);
	text_add(t, "%s", buf);
}

static void add_recipe(struct text *, const struct recipe *);

static void add_step(struct text *t, const struct step *s)
{
	text_add(t, "%s", s->kind->name);
	for (int i = 0; s->kind->arg[i].name != NULL; i++) {
		const struct step_arg *a = &s->kind->arg[i];

		if (s->numbers[i] == 0 || s->standard[i])
			continue;
		text_add(t, " ");
		if (i > 0)
			text_add(t, "%s=", a->name);
		if (a->words != NULL)
			add_word(t, a->words, (int)s->value[i][0]);
		for (int n = 0; a->words == NULL && n < s->numbers[i]; n++) {
			text_add(t, "%s", n > 0 ? "," : "");
			add_number(t, s->value[i][n]);
		}
	}
	if (s->kind->group) {
		text_add(t, " (");
		add_recipe(t, &s->group);
		text_add(t, ")");
	}
}

static void add_recipe(struct text *t, const struct recipe *r)
{
	for (int i = 0; i < r->count; i++) {
		text_add(t, "%s", i > 0 ? " | " : "");
		add_step(t, &r->step[i]);
	}
}

char *recipe_text(const struct recipe *r)
{
	struct text t = { 0 };

	add_recipe(&t, r);
	return text_take(&t);
}

char *step_text(const struct step *s)
{
	struct text t = { 0 };

	add_step(&t, s);
	return text_take(&t);
}

void recipe_outline(const struct recipe *r, struct outline *o)
{
	for (int i = 0; i < r->count; i++)
		r->step[i].kind->outline(&r->step[i], o);
}

int recipe_has(const struct recipe *r, const char *name)
{
	for (int i = 0; i < r->count; i++)
		if (strcmp(r->step[i].kind->name, name) == 0 ||
		    recipe_has(&r->step[i].group, name))
			return 1;
	return 0;
}

int step_run(const struct step *s, struct canvas *c)
{
	return s->kind->run(s, c) < 0 ? fail_add("%s", s->kind->name) : 0;
}

int recipe_run(const struct recipe *r, struct canvas *c)
{
	for (int i = 0; i < r->count; i++)
		TRY(step_run(&r->step[i], c));
	return 0;
}
