#include "train/profile.h"

#include "base/fail.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAYERS = 48, NAME = 96 };        /* lines of the second table; bytes of a name */

/* A step, or a bracket. */
struct span { int from, to; double seconds, flops, bytes; };

/* A line of a table. */
struct row { char what[NAME], where[NAME]; double seconds, flops, bytes, least; int calls; };

struct profile {
	const struct backend *backend;
	struct device *device;
	struct program *p;
	struct limits limits;
	struct span *span;
	int spans, runs;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what a step computes and moves ---- */

/* Bytes of stored values that a bracket reads and writes, each once. */
static double bytes_of(const struct program *p, int from, int to)
{
	double sum = 0;
	int seen[8 * (STEP_IN + STEP_OUT)], count = 0;

	for (int i = from; i < to; i++) {
		const struct step *s = &p->step[i];

		for (int k = 0; k < s->ins + s->outs; k++) {
			int v = k < s->ins ? s->in[k] : s->out[k - s->ins], j = 0;

			if (v < 0 || p->value[v].arena == ARENA_NONE)
				continue;
			while (j < count && seen[j] != v)
				j++;
			if (j < count || count == (int)(sizeof seen / sizeof *seen))
				continue;
			seen[count++] = v;
			sum += (double)p->value[v].bytes;
		}
		/* gradient, master and slot are read, the last two written */
		if (s->kind == STEP_UPDATE)
			sum += 3.0 * (double)p->arena[ARENA_GRAD] +
			       2.0 * (double)p->arena[ARENA_STATE];
	}
	return sum;
}

static double flops_of(const struct program *p, const struct step *s)
{
	const struct conv_attr *a = s->attr;

	if (s->kind != STEP_CONV && s->kind != STEP_CONV_DX && s->kind != STEP_CONV_DW)
		return 0;
	return 2.0 * p->options.batch * a->out_h * a->out_w * a->out_c *
	       (a->in_c / a->groups) * a->window.k[0] * a->window.k[1];
}

/* ---- runs ---- */

static int bracket_end(const struct program *p, int i)
{
	int to = i + 1;

	while (p->step[i].bracket >= 0 && to < p->steps &&
	       p->step[to].bracket == p->step[i].bracket)
		to++;
	return to;
}

struct profile *profile_open(const struct backend *backend, struct device *device,
			     struct program *p)
{
	struct profile *f = calloc(1, sizeof *f);

	if (f)
		f->span = calloc((size_t)p->steps + 1, sizeof *f->span);
	if (!f || !f->span) {
		free(f);
		fail("profile: out of memory");
		return NULL;
	}
	f->backend = backend;
	f->device = device;
	f->p = p;
	for (int i = 0; i < p->steps; i = bracket_end(p, i)) {
		struct span *s = &f->span[f->spans++];

		s->from = i;
		s->to = bracket_end(p, i);
		s->bytes = bytes_of(p, s->from, s->to);
		s->flops = flops_of(p, &p->step[i]);
	}
	backend->limits(device, &f->limits);
	return f;
}

void profile_close(struct profile *f)
{
	if (!f)
		return;
	free(f->span);
	free(f);
}

int profile_run(struct profile *f)
{
	for (int i = 0; i < f->spans && f->runs == 1; i++)
		f->span[i].seconds = 0;
	for (int i = 0; i < f->spans; i++) {
		struct span *s = &f->span[i];
		double began = now();

		TRY(f->backend->run(f->device, f->p, s->from, s->to));
		TRY(f->backend->wait(f->device));
		s->seconds += now() - began;
	}
	f->runs++;
	return 0;
}

/* Those that the times are of. */
static int runs_counted(const struct profile *f)
{
	return f->runs > 1 ? f->runs - 1 : f->runs;
}

/* ---- tables ---- */

/* "add act_dx bn_sums", "conv wino4x3". */
static void name_what(char name[NAME], const struct program *p, const struct span *s)
{
	size_t n = 0;

	name[0] = '\0';
	for (int i = s->from; i < s->to && n < NAME; i++)
		n += (size_t)snprintf(name + n, NAME - n, "%s%s", i > s->from ? " " : "",
				      step_name(p->step[i].kind));
	if ((s->to == s->from + 1 || p->step[s->from].kind == STEP_CONV) && n < NAME)
		snprintf(name + n, NAME - n, " %s", p->step[s->from].how);
}

static void name_where(char name[NAME], const struct program *p, const struct span *s)
{
	int node = -1;

	for (int i = s->from; i < s->to && node < 0; i++)
		node = p->step[i].node;
	snprintf(name, NAME, "%s", node >= 0 && p->graph->node[node].name ?
		 p->graph->node[node].name : "");
}

/* The least time that the device could take. */
static double least(const struct limits *l, const struct span *s)
{
	double compute = l->flops > 0 ? s->flops / l->flops : 0;
	double move = l->bytes > 0 ? s->bytes / l->bytes : 0;

	return compute > move ? compute : move;
}

static int by_time(const void *x, const void *y)
{
	const struct row *a = x, *b = y;

	if (a->seconds != b->seconds)
		return a->seconds < b->seconds ? 1 : -1;
	return strcmp(a->what, b->what);
}

/* Merges spans into rows: how many. */
static int rows_make(const struct profile *f, struct row *row, int by_layer)
{
	int rows = 0;

	for (int i = 0; i < f->spans; i++) {
		const struct span *s = &f->span[i];
		struct row r = { .calls = 1 }, *to = row;

		name_what(r.what, f->p, s);
		if (by_layer)
			name_where(r.where, f->p, s);
		while (to < row + rows && (strcmp(to->what, r.what) || strcmp(to->where, r.where)))
			to++;
		if (to == row + rows)
			row[rows++] = r;
		else
			to->calls++;
		to->seconds += s->seconds / runs_counted(f);
		to->flops += s->flops;
		to->bytes += s->bytes;
		to->least += least(&f->limits, s);
	}
	qsort(row, (size_t)rows, sizeof *row, by_time);
	return rows;
}

/* The end of a name says more than its beginning. */
static const char *tail(const char *name, size_t most)
{
	size_t n = strlen(name);

	return n > most ? name + n - most : name;
}

static void show_row(struct text *t, const struct row *r, double all, int limits, int by_layer)
{
	double seconds = r->seconds > 0 ? r->seconds : 1e-9;

	text_add(t, "%9.2f %5.1f %5d", 1e3 * r->seconds, 100 * r->seconds / all, r->calls);
	if (r->flops > 0)
		text_add(t, " %7.1f", r->flops / seconds / 1e9);
	else
		text_add(t, " %7s", "");
	text_add(t, " %6.1f", r->bytes / seconds / 1e9);
	if (limits)
		text_add(t, " %4.0f%%", 100 * r->least / seconds);
	else
		text_add(t, " %5s", "");
	if (by_layer)
		text_add(t, "  %-24s %.31s\n", tail(r->where, 24), r->what);
	else
		text_add(t, "  %.56s\n", r->what);
}

static void show_table(const struct profile *f, struct text *t, struct row *row, int by_layer)
{
	int rows = rows_make(f, row, by_layer), limits = f->limits.flops > 0, shown = rows;
	struct row rest = { .what = "all that is shorter" }, all = { .what = "all steps" };

	for (int i = 0; i < rows; i++) {
		struct row *to = by_layer && i >= LAYERS ? &rest : NULL;

		for (int k = 0; k < 2; k++, to = &all) {
			if (!to)
				continue;
			to->seconds += row[i].seconds;
			to->flops += row[i].flops;
			to->bytes += row[i].bytes;
			to->least += row[i].least;
			to->calls += row[i].calls;
		}
	}
	if (by_layer && shown > LAYERS)
		shown = LAYERS;
	text_add(t, "%9s %5s %5s %7s %6s %5s  %s\n", "ms", "%", "calls", "GF/s", "GB/s", "limit",
		 by_layer ? "layer                    steps" : "steps");
	for (int i = 0; i < shown; i++)
		show_row(t, &row[i], all.seconds, limits, by_layer);
	if (rest.calls)
		show_row(t, &rest, all.seconds, limits, 0);
	show_row(t, &all, all.seconds, limits, 0);
}

void profile_show(const struct profile *f, struct text *t)
{
	struct row *row;

	if (!f->runs)
		return;
	row = malloc((size_t)f->spans * sizeof *row);
	if (!row) {
		t->failed = 1;
		return;
	}
	text_add(t, "%s\n%d step%s", f->backend->describe(f->device),
		 runs_counted(f), runs_counted(f) == 1 ? "" : "s");
	if (f->limits.flops > 0)
		text_add(t, "; at most %.0f GF/s, %.1f GB/s", f->limits.flops / 1e9,
			 f->limits.bytes / 1e9);
	text_add(t, "\n");
	for (int by_layer = 0; by_layer < 2; by_layer++) {
		text_add(t, "\n");
		show_table(f, t, row, by_layer);
	}
	free(row);
}
