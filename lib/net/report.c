#include "net/expand.h"

#include "base/fail.h"
#include "base/text.h"
#include "net/number.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *show_meaning(char buffer[100], const struct meaning *m)
{
	switch (m->kind) {
	case MEANS_NUMBER:
		return show_number(buffer, m->number);
	case MEANS_PAIR:
		snprintf(buffer, 100, "%.0fx%.0f", m->number < 1e15 ? m->number : 1e15,
			 m->second < 1e15 ? m->second : 1e15);
		return buffer;
	case MEANS_WORD:
		return show_text(buffer, m->word->text, m->word->length);
	case MEANS_DEF:
		return show_text(buffer, m->def->name->text, m->def->name->length);
	case MEANS_OP:
		return strcpy(buffer, op_row(m->op)->name);
	case MEANS_NOTHING:
		return strcpy(buffer, "()");
	case MEANS_CHAIN:
		if (m->chain->kind == AST_GROUP && !m->chain->kids)
			return strcpy(buffer, "()");
		if (m->chain->kind == AST_AT) {
			snprintf(buffer, 100, "@%s", m->chain->symbol->text);
			return buffer;
		}
		break;
	default:
		break;
	}
	return strcpy(buffer, "(...)");
}

void path_write(const struct path *path, char *into)
{
	size_t end = path ? path->total : 0;

	into[end] = '\0';
	for (; path; path = path->up) {
		end -= path->length;
		memcpy(into + end, path->label, path->length);
		if (path->up)
			into[--end] = '.';
	}
}

/* ---- where it happened ---- */

static void frame_line(struct expander *x, struct text *t, const struct frame *f)
{
	char shown[100];

	text_add(t, "\n    in %s", show_text(shown, f->def->name->text, f->def->name->length));
	for (const struct def_arg *a = f->def->args; a; a = a->next) {
		text_add(t, " %s", show_text(shown, a->name->text, a->name->length));
		text_add(t, "=%s", show_meaning(shown, env_var(f->env, a->name)));
	}
	if (f->path && f->path->total <= LIMIT_NAME) {
		char path[LIMIT_NAME + 1];

		path_write(f->path, path);
		text_add(t, ", building %s", path);
	}
	text_add(t, ", at %s:%d:%d", x->s->file, f->at.line, f->at.column);
}

/* The expansions around, inside out: five, then the outermost. */
static void trace(struct expander *x, struct text *t)
{
	int skip = x->frames - 6, i = 0;

	for (const struct frame *f = x->frame; f; f = f->up, i++) {
		if (skip > 1 && i >= 5 && i < 5 + skip) {
			if (i == 5)
				text_add(t, "\n    ... %d more", skip);
			continue;
		}
		frame_line(x, t, f);
	}
}

int expand_fail(struct expander *x, struct at at, const struct values *ins, const char *fmt, ...)
{
	char cause[FAIL_MAX / 2], shape[64], *all;
	struct text t = { 0 };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cause, sizeof(cause), fmt, ap);
	va_end(ap);
	text_add(&t, "%s:%d:%d: %s", x->s->file, at.line, at.column, cause);
	for (int i = 0; ins && i < ins->count && t.length < FAIL_MAX / 2; i++)
		text_add(&t, "%s%s", i ? ", " : "\n    arriving: ",
			 shape_show(shape, &x->g.node[ins->at[i]].shape));
	trace(x, &t);
	all = text_take(&t);
	fail("%s", all ? all : cause);
	free(all);
	return -1;
}

/* ---- what may have been meant ---- */

enum { NEAR_MAX = 64 };        /* longer words have no neighbours */

struct piece { const char *at; size_t n; };

/* The longest piece that a and b share, the earliest in a, then in b. */
static size_t common(struct piece a, struct piece b, size_t *in_a, size_t *in_b)
{
	size_t run[NEAR_MAX + 1] = { 0 }, best = 0;

	for (size_t i = 0; i < a.n; i++) {
		for (size_t j = b.n; j-- > 0; ) {
			run[j + 1] = a.at[i] == b.at[j] ? run[j] + 1 : 0;
			if (run[j + 1] > best ||
			    (best && run[j + 1] == best && i + 1 - best == *in_a &&
			     j + 1 - best < *in_b)) {
				best = run[j + 1];
				*in_a = i + 1 - best;
				*in_b = j + 1 - best;
			}
		}
	}
	return best;
}

/* Characters in pieces that a and b share in order (Ratcliff and Obershelp 1988). */
static size_t matching(struct piece a, struct piece b)
{
	size_t i, j, n = common(a, b, &i, &j);

	if (!n)
		return 0;
	return n + matching((struct piece){a.at, i}, (struct piece){b.at, j}) +
	       matching((struct piece){a.at + i + n, a.n - i - n},
			(struct piece){b.at + j + n, b.n - j - n});
}

/* The best so far; likeness at least 0.6, of equals the last in the alphabet. */
struct guess { const struct symbol *from; const char *text; double likeness; };

static void consider(struct guess *g, const char *text, size_t n)
{
	double likeness;

	if (n > NEAR_MAX)
		return;
	likeness = 2.0 *
		   (double)matching((struct piece){text, n},
				    (struct piece){g->from->text, g->from->length}) /
		   (double)(n + g->from->length);
	if (likeness >= 0.6 && (!g->text || likeness > g->likeness ||
				(likeness == g->likeness && strcmp(text, g->text) > 0))) {
		g->text = text;
		g->likeness = likeness;
	}
}

const char *expand_near(struct expander *x, const struct symbol *name, const struct env *env,
			char *buffer)
{
	struct guess g = { name, NULL, 0 };

	*buffer = '\0';
	if (name->length > NEAR_MAX)
		return buffer;
	for (int i = OP_INPUT + 1; i < OP_WORDS; i++)
		consider(&g, op_row(i)->name, strlen(op_row(i)->name));
	for (const struct symbol *y = x->s->owned; y; y = y->next_owned)
		if (y->def)
			consider(&g, y->text, y->length);
	for (const struct symbol *y = x->s->params; y; y = y->next_param)
		consider(&g, y->text, y->length);
	for (; env; env = env->up) {
		for (const struct var *v = env->vars; v; v = v->next)
			consider(&g, v->name->text, v->name->length);
		for (int i = 0; env->table && i < env->table->columns; i++)
			consider(&g, env->table->column[i]->text, env->table->column[i]->length);
	}
	if (g.text)
		snprintf(buffer, 100, "; %s?", g.text);
	return buffer;
}
