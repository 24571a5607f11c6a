/* What net-cat prints of a program: one line a step, a bracket being one; the budget. */
#include "base/fail.h"
#include "base/text.h"
#include "net/program_build.h"

#include <stdlib.h>
#include <string.h>

static const char *const arena_word[ARENAS] = {
	"", "param", "grad", "state", "packed", "", "input", "output", "control"
};

void size_show(char text[SIZE_TEXT], size_t bytes)
{
	static const char unit[] = "KMGTPE";
	double n = (double)bytes;
	int u = -1;

	if (bytes < 1024) {
		snprintf(text, SIZE_TEXT, "%zu", bytes);
		return;
	}
	while (n >= 1024) {
		n /= 1024;
		u++;
	}
	snprintf(text, SIZE_TEXT, u < 2 ? "%.1f%c" : "%.2f%c", n, unit[u]);
}

static int is_one_of(const int *list, int n, int value)
{
	for (int i = 0; i < n; i++)
		if (list[i] == value)
			return 1;
	return 0;
}

/* Operands from outside and stored results of steps from .. to - 1, each once. */
struct operands { int in[STEP_IN * 8], ins, out[STEP_OUT * 8], outs; };

static void operands_find(const struct program *p, int from, int to, struct operands *o)
{
	o->ins = o->outs = 0;
	for (int i = from; i < to; i++) {
		const struct step *s = &p->step[i];

		for (int k = 0; k < s->ins && o->ins < STEP_IN * 8; k++)
			if (s->in[k] >= 0 && !is_one_of(o->out, o->outs, s->in[k]) &&
			    p->value[s->in[k]].arena != ARENA_NONE &&
			    !is_one_of(o->in, o->ins, s->in[k]))
				o->in[o->ins++] = s->in[k];
		for (int k = 0; k < s->outs && o->outs < STEP_OUT * 8; k++)
			if (s->out[k] >= 0 && p->value[s->out[k]].arena != ARENA_NONE)
				o->out[o->outs++] = s->out[k];
	}
}

static void show_names(const struct program *p, struct text *t, const int *value, int n)
{
	for (int i = 0; i < n; i++)
		text_add(t, "%s%s", i ? "," : "", p->value[value[i]].name);
}

/* Shape, layout, type, place. */
static void show_value(struct text *t, const struct value *v)
{
	char at[SIZE_TEXT];
	int vector = v->n == 1 && v->h == 1 && v->lay.block == v->lay.pad;

	if (vector && v->w > 1)
		text_add(t, "%dx%d rows", v->w, v->c);
	else if (vector)
		text_add(t, "%d", v->c);
	else if (v->param >= 0)
		text_add(t, "%dx%dx%dx%d oihw", v->n, v->c, v->h, v->w);
	else
		text_add(t, "%dx%dx%dx%d ", v->n, v->h, v->w, v->c);
	if (!vector && v->param < 0) {
		if (v->lay.block == 1)
			text_add(t, "nchw");
		else if (v->lay.block < v->lay.pad || v->lay.block == VECTOR_BLOCK)
			text_add(t, "b%d", v->lay.block);
		else if (v->lay.pad == v->c)
			text_add(t, "nhwc");
		else
			text_add(t, "nhwc%d", v->lay.pad);
	}
	size_show(at, v->at);
	text_add(t, " %s  %s@%s", dtype_name(v->lay.type), arena_word[v->arena], at);
}

/* Its form is the kernel's own. */
static void show_packed(struct text *t, const struct value *v)
{
	char bytes[SIZE_TEXT], at[SIZE_TEXT];

	size_show(bytes, v->bytes);
	size_show(at, v->at);
	text_add(t, "%s  packed@%s", bytes, at);
}

/* What has no result: ranges and segments. */
static void show_other(struct text *t, const struct step *s)
{
	char at[SIZE_TEXT], bytes[SIZE_TEXT];

	if (s->kind == STEP_REDUCE) {
		const struct range_attr *r = s->attr;

		size_show(at, r->at);
		size_show(bytes, r->bytes);
		text_add(t, "%s  grad@%s", bytes, at);
	} else if (s->kind == STEP_UPDATE) {
		const struct update_attr *u = s->attr;

		text_add(t, "%d segment%s", u->segments, u->segments == 1 ? "" : "s");
	}
}

/* The columns of a line: what is done, where, with what, and the result. */
enum { KIND, NODE, VALUES, REST, COLUMNS };

static void show_kind(struct text *t, const struct program *p, int from, int to)
{
	if (p->step[from].bracket < 0) {
		text_add(t, "%s", step_name(p->step[from].kind));
		return;
	}
	for (int i = from; i < to; i++)
		text_add(t, "%s%s", i > from ? " " : "[", step_name(p->step[i].kind));
	text_add(t, "]");
}

static void show_rest(struct text *t, const struct program *p, int from, int to,
		      const struct operands *o)
{
	size_t work = 0;

	for (int i = from; i < to; i++)
		work += p->step[i].work;
	if (o->outs && p->value[o->out[0]].arena == ARENA_PACKED)
		show_packed(t, &p->value[o->out[0]]);
	else if (o->outs)
		show_value(t, &p->value[o->out[0]]);
	else
		show_other(t, &p->step[from]);
	if (p->step[from].how[0])
		text_add(t, "%s%s", t->length ? "  " : "", p->step[from].how);
	if (work) {
		char bytes[SIZE_TEXT];

		size_show(bytes, work);
		text_add(t, "  ws %s", bytes);
	}
}

static void show_columns(struct text column[COLUMNS], const struct program *p, int from, int to)
{
	struct operands o;
	const char *name = NULL;

	for (int i = 0; i < COLUMNS; i++) {
		column[i].length = 0;
		text_add(&column[i], "%s", "");
	}
	operands_find(p, from, to, &o);
	for (int i = from; i < to && !name; i++)
		if (p->step[i].node >= 0)
			name = p->graph->node[p->step[i].node].name;
	show_kind(&column[KIND], p, from, to);
	text_add(&column[NODE], "%s", name ? name : "");
	show_names(p, &column[VALUES], o.in, o.ins);
	if (o.ins && o.outs)
		text_add(&column[VALUES], ">");
	show_names(p, &column[VALUES], o.out, o.outs);
	show_rest(&column[REST], p, from, to, &o);
}

/* A wide line pushes the rest on, but does not make all lines wide. */
static void widths(int width[COLUMNS], struct text column[COLUMNS])
{
	static const int most[COLUMNS] = { 28, 36, 28, 0 };

	for (int i = 0; i < COLUMNS; i++) {
		int n = (int)column[i].length;

		n = n < most[i] ? n : most[i];
		width[i] = n > width[i] ? n : width[i];
	}
}

static void show_line(struct text *t, const struct program *p, int at, const int width[COLUMNS],
		      struct text column[COLUMNS])
{
	text_add(t, "%5d %c  ", at, "FBRUP"[p->step[at].part]);
	for (int i = 0; i < COLUMNS; i++)
		text_add(t, "%-*s  ", width[i], column[i].data ? column[i].data : "");
	while (t->length && t->data[t->length - 1] == ' ')
		t->length--;
	text_add(t, "\n");
}

static int text_out(struct text *t, FILE *f)
{
	char *all;
	int r;

	if (t->failed) {
		text_release(t);
		return fail("program: out of memory");
	}
	all = text_take(t);
	if (!all)
		return -1;
	r = fputs(all, f) < 0 ? fail_errno("writing") : 0;
	free(all);
	return r;
}

int program_show_steps(const struct program *p, FILE *f)
{
	struct text t = { 0 }, column[COLUMNS] = { { 0 } };
	int first, last, width[COLUMNS] = { 0 };

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < p->steps; i = last + 1) {
			step_extent(p, i, &first, &last);
			show_columns(column, p, first, last + 1);
			if (round)
				show_line(&t, p, i, width, column);
			else
				widths(width, column);
		}
	}
	for (int i = 0; i < COLUMNS; i++) {
		t.failed |= column[i].failed;
		text_release(&column[i]);
	}
	return text_out(&t, f);
}

int program_show_memory(const struct program *p, FILE *f)
{
	static const char *const word[ARENAS] = {
		NULL, "parameters", "gradients", "optimizer state", "packed parameters",
		"activations", "input", "output", "control"
	};
	struct text t = { 0 };
	char size[SIZE_TEXT], live[SIZE_TEXT], all[SIZE_TEXT];
	size_t sum = 0;
	int at;

	for (int i = 0; i < p->values; i++)
		if (p->value[i].arena == ARENA_WORK && p->value[i].first >= 0)
			sum += align_up(p->value[i].bytes);
	size_show(live, program_live(p, &at));
	size_show(all, sum);
	for (int a = ARENA_PARAM; a < ARENAS; a++) {
		size_show(size, p->arena[a]);
		text_add(&t, "%-20s %8s", word[a], size);
		if (a == ARENA_WORK)
			text_add(&t, "  of %s in all, at most %s at once (step %d)", all, live, at);
		text_add(&t, "\n");
	}
	size_show(size, program_bytes(p));
	text_add(&t, "%-20s %8s\n", "together", size);
	return text_out(&t, f);
}
