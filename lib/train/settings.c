#include "train/settings.h"

#include "base/fail.h"
#include "net/bracket.h"
#include "train/schedule.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { INT, REAL, TEXT, FLAG };

static const struct setting {
	const char *name;
	enum kind kind;
	size_t at;
	const char *otherwise;  /* NULL: may stay not given */
} table[] = {
#define ROW(name, kind, member, otherwise) \
	{ name, kind, offsetof(struct settings, member), otherwise }
	ROW("batch", INT, batch, NULL),
	ROW("devices", TEXT, devices, "cpu"),
	ROW("precision", TEXT, precision, "fp32"),
	ROW("seed", INT, seed, NULL),
	ROW("epochs", REAL, epochs, NULL),
	ROW("steps", INT, steps, NULL),
	ROW("optimizer", TEXT, optimizer, "momentum"),
	ROW("lr", REAL, lr, "0.1"),
	ROW("momentum", REAL, momentum, "0.9"),
	ROW("nesterov", FLAG, nesterov, "0"),
	ROW("weight-decay", REAL, decay, "1e-4"),
	ROW("label-smoothing", REAL, smoothing, "0"),
	ROW("schedule", TEXT, schedule, "constant"),
	ROW("drop-epochs", TEXT, drops, "30"),
	ROW("drop-factor", REAL, factor, "0.1"),
	ROW("warmup", REAL, warmup, "0"),
	ROW("warmup-from", REAL, warmup_from, "0"),
	ROW("final-lr", REAL, final_lr, "0"),
	ROW("sync-bn", FLAG, sync_bn, "0"),
	ROW("mean", TEXT, mean, NULL),
	ROW("deviation", TEXT, deviation, NULL),
	ROW("without", TEXT, without, NULL),
#undef ROW
};
enum { SETTINGS = sizeof(table) / sizeof(table[0]) };

static void *place(const struct settings *s, const struct setting *row)
{
	return (char *)(uintptr_t)s + row->at;
}

static int given(const struct settings *s, const struct setting *row)
{
	switch (row->kind) {
	case INT:
		return *(int64_t *)place(s, row) != SETTING_NONE;
	case REAL:
		return !isnan(*(double *)place(s, row));
	case TEXT:
		return *(const char **)place(s, row) != NULL;
	case FLAG:
		return *(int *)place(s, row) >= 0;
	}
	return 0;
}

static void clear(struct settings *s, const struct setting *row)
{
	switch (row->kind) {
	case INT:
		*(int64_t *)place(s, row) = SETTING_NONE;
		break;
	case REAL:
		*(double *)place(s, row) = (double)NAN;
		break;
	case TEXT:
		*(const char **)place(s, row) = NULL;
		break;
	case FLAG:
		*(int *)place(s, row) = -1;
		break;
	}
}

void settings_clear(struct settings *s)
{
	for (int i = 0; i < SETTINGS; i++)
		clear(s, &table[i]);
}

static json_t *value_json(const struct settings *s, const struct setting *row)
{
	switch (row->kind) {
	case INT:
		return json_integer(*(int64_t *)place(s, row));
	case REAL:
		return json_real(*(double *)place(s, row));
	case TEXT:
		return json_string(*(const char **)place(s, row));
	case FLAG:
		return json_boolean(*(int *)place(s, row));
	}
	return NULL;
}

static void take_json(struct settings *s, const struct setting *row, const json_t *v)
{
	if (row->kind == INT && json_is_integer(v))
		*(int64_t *)place(s, row) = json_integer_value(v);
	else if (row->kind == REAL && json_is_number(v))
		*(double *)place(s, row) = json_number_value(v);
	else if (row->kind == TEXT && json_is_string(v))
		*(const char **)place(s, row) = json_string_value(v);
	else if (row->kind == FLAG && json_is_boolean(v))
		*(int *)place(s, row) = json_is_true(v);
}

static void take_default(struct settings *s, const struct setting *row)
{
	if (row->kind == INT)
		*(int64_t *)place(s, row) = atoll(row->otherwise);
	else if (row->kind == REAL)
		*(double *)place(s, row) = strtod(row->otherwise, NULL);
	else if (row->kind == TEXT)
		*(const char **)place(s, row) = row->otherwise;
	else
		*(int *)place(s, row) = atoi(row->otherwise);
}

/* Epochs and steps stand for one another. */
static int other_end_given(const struct settings *s, const struct setting *row)
{
	return (!strcmp(row->name, "epochs") && s->steps != SETTING_NONE) ||
	       (!strcmp(row->name, "steps") && !isnan(s->epochs));
}

void settings_resolve(struct settings *s, const json_t *options, json_t *changes)
{
	const struct settings first = *s;

	for (int i = 0; i < SETTINGS; i++) {
		const struct setting *row = &table[i];
		const json_t *old = json_object_get(options, row->name);

		if (given(s, row)) {
			json_t *new = value_json(s, row);

			if (options && !(old && json_equal(old, new)))
				json_array_append_new(changes, json_string(row->name));
			json_decref(new);
		} else if (old) {
			if (!other_end_given(&first, row))
				take_json(s, row, old);
		} else if (row->otherwise) {
			take_default(s, row);
		}
	}
}

json_t *settings_json(const struct settings *s)
{
	json_t *o = json_object();

	for (int i = 0; i < SETTINGS; i++)
		if (given(s, &table[i]))
			json_object_set_new(o, table[i].name, value_json(s, &table[i]));
	return o;
}

static int check_range(const char *name, double v, double least, double most)
{
	if (isnan(v) || v < least || v > most)
		return fail("--%s: %g is not in %g .. %g", name, v, least, most);
	return 0;
}

int settings_check(const struct settings *s)
{
	enum schedule_kind kind;

	if (s->batch != SETTING_NONE)
		TRY(check_range("batch", (double)s->batch, 1, 1 << 24));
	if (s->steps != SETTING_NONE)
		TRY(check_range("steps", (double)s->steps, 0, 1e15));
	if (!isnan(s->epochs))
		TRY(check_range("epochs", s->epochs, 0, 1e9));
	if (s->steps != SETTING_NONE && !isnan(s->epochs))
		return fail("--epochs and --steps: one of them");
	if (strcmp(s->precision, "fp32") && strcmp(s->precision, "bf16") &&
	    strcmp(s->precision, "auto"))
		return fail("--precision: '%s' is not fp32, bf16 or auto", s->precision);
	if (rewrites_check(s->without))
		return fail_add("--without");
	if (strcmp(s->optimizer, "momentum") && strcmp(s->optimizer, "sgd"))
		return fail("--optimizer: '%s' is neither momentum nor sgd", s->optimizer);
	if (!strcmp(s->optimizer, "sgd") && s->nesterov)
		return fail("--nesterov: belongs to --optimizer momentum");
	TRY(schedule_kind(s->schedule, &kind));
	TRY(check_range("lr", s->lr, 0, 1e30));
	TRY(check_range("momentum", s->momentum, 0, 1));
	TRY(check_range("weight-decay", s->decay, 0, 1e30));
	TRY(check_range("label-smoothing", s->smoothing, 0, 1));
	TRY(check_range("drop-factor", s->factor, 0, 1e30));
	TRY(check_range("warmup", s->warmup, 0, 1e9));
	TRY(check_range("warmup-from", s->warmup_from, 0, 1e30));
	return check_range("final-lr", s->final_lr, 0, 1e30);
}

int settings_numbers(const char *text, double out[4])
{
	int n = 0;

	for (const char *at = text;; at++) {
		char *end;

		if (n == 4)
			return fail("'%s': more than 4 numbers", text);
		out[n] = strtod(at, &end);
		if (end == at || !isfinite(out[n]) || (*end && *end != ','))
			return fail("'%s': not numbers separated by commas", text);
		n++;
		if (!*end)
			return n;
		at = end;
	}
}
