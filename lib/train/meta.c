#include "train/run.h"

#include "base/fail.h"
#include "base/version.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1 };

/* Sets a member to a text. */
static void put(json_t *o, const char *key, const char *text)
{
	json_object_set_new(o, key, json_string(text));
}

/* Sets a member to the text of a JSON value, which is taken. */
static void put_json(json_t *o, const char *key, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS)
		: NULL;

	if (text)
		put(o, key, text);
	free(text);
	json_decref(value);
}

static void put_number(json_t *o, const char *key, int64_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, n);
	put(o, key, text);
}

json_t *meta_json(const struct safetensors *f, const char *key)
{
	const char *text = safetensors_meta(f, key);

	return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

json_t *run_meta(const struct run *r)
{
	json_t *o = json_copy(r->fixed);
	char text[32];

	put_number(o, "step", r->step);
	put_number(o, "position", (int64_t)r->position);
	put_json(o, "options", settings_json(&r->set));
	put_json(o, "how", machine_how(&r->machine));
	put_json(o, "devices", machine_describe(&r->machine));
	put_json(o, "control", json_pack("{s:f, s:I}", "loss_scale",
					 r->machine.control.loss_scale, "good",
					 (json_int_t)r->machine.control.good));
	if (r->epoch_size) {
		snprintf(text, sizeof(text), "%.6f", run_epoch(r));
		put(o, "epoch", text);
	}
	if (r->best_step >= 0)
		put_json(o, "best", json_pack("{s:I, s:f}", "step", (json_int_t)r->best_step,
					      "top1", r->best));
	if (json_array_size(r->changes))
		put_json(o, "changes", json_incref(r->changes));
	return o;
}

/* ---- what comes from the stream ---- */

static json_t *head_json(const struct stream_head *h, const char *key)
{
	char *text = stream_meta(h, key);
	json_t *v = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

	if (text && !v)
		v = json_string(text);
	free(text);
	return v;
}

json_t *meta_recipe(const json_t *provenance)
{
	json_t *list = json_array(), *stage;
	size_t i;

	json_array_foreach(provenance, i, stage) {
		const char *program = json_string_value(json_object_get(stage, "program"));

		if (!program || strcmp(program, "tfrec-cat"))
			json_array_append(list, stage);
	}
	return list;
}

static json_t *numbers_json(const float *v, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_real((double)v[i]));
	return list;
}

static json_t *normalise_json(const struct run *r)
{
	int c = r->network.graph->input.c;

	return json_pack("{s:o, s:o}", "mean", numbers_json(r->normalise.mean, c),
			 "deviation", numbers_json(r->normalise.deviation, c));
}

static void stream_members(struct run *r)
{
	static const char *const keys[] = { "classes", "order", "jpeg" };
	const struct stream_head *h = input_head(r->input);
	json_t *provenance = head_json(h, "provenance");

	for (int i = 0; i < 3; i++) {
		json_t *v = head_json(h, keys[i]);

		if (v)
			put_json(r->fixed, keys[i], v);
	}
	if (provenance)
		put_json(r->fixed, "provenance", provenance);
	put_json(r->fixed, "normalise", normalise_json(r));
	put_number(r->fixed, "epoch.size", (int64_t)r->epoch_size);
}

static void network_members(struct run *r)
{
	put_number(r->fixed, "millrace.format", FORMAT);
	put(r->fixed, "millrace.version", MILLRACE_VERSION);
	put(r->fixed, "network", r->network.name);
	put(r->fixed, "network.text", r->network.text);
	put_json(r->fixed, "network.settings", json_incref(r->network.settings));
}

static void changed(struct run *r, const char *what)
{
	json_array_append_new(r->changed, json_string(what));
}

static void compare_text(struct run *r, const json_t *now, const char *key, const char *what)
{
	const char *a = safetensors_meta(r->from, key);
	const char *b = json_string_value(json_object_get(now, key));

	if (!a != !b || (a && strcmp(a, b)))
		changed(r, what);
}

static void compare_recipe(struct run *r, const json_t *now)
{
	json_t *old = meta_json(r->from, "provenance");
	const char *text = json_string_value(json_object_get(now, "provenance"));
	json_t *new = text ? json_loads(text, 0, NULL) : NULL;
	json_t *a = meta_recipe(old), *b = meta_recipe(new);

	if (!json_equal(a, b))
		changed(r, "recipe");
	json_decref(old);
	json_decref(new);
	json_decref(a);
	json_decref(b);
}

/* A run keeps what its first stream said, so that where it was interrupted leaves no trace
 * in its checkpoints; --allow-change brings the new stream's words. */
static void keep_old(struct run *r)
{
	for (int i = 0; i < safetensors_metas(r->from); i++) {
		struct safetensors_text m = safetensors_meta_at(r->from, i);

		if (json_object_get(r->fixed, m.key) && strcmp(m.key, "millrace.version"))
			put(r->fixed, m.key, m.value);
	}
}

int run_fix_meta(struct run *r)
{
	const struct stream_head *h = input_head(r->input);

	r->fixed = json_object();
	if (train_normalise(&r->normalise, h, r->network.graph->input.c, r->set.mean,
			    r->set.deviation) < 0) {
		r->status = r->set.mean || r->set.deviation ? 2 : 1;
		return -1;
	}
	network_members(r);
	stream_members(r);
	if (!r->from)
		return 0;
	compare_text(r, r->fixed, "network.text", "network");
	compare_text(r, r->fixed, "network.settings", "network's settings");
	compare_text(r, r->fixed, "order", "order of samples");
	compare_text(r, r->fixed, "normalise", "normalisation");
	compare_text(r, r->fixed, "epoch.size", "samples of an epoch");
	compare_text(r, r->fixed, "jpeg", "JPEG decoder");
	compare_recipe(r, r->fixed);
	if (!json_array_size(r->changed))
		keep_old(r);
	return 0;
}

static int take_number(const struct safetensors *f, const char *key, int64_t *n)
{
	const char *text = safetensors_meta(f, key);
	char *end;

	errno = 0;
	*n = text ? strtoll(text, &end, 10) : -1;
	if (!text || errno || *end || end == text || *n < 0)
		return fail("%s: no %s in its metadata: not a checkpoint of net-train",
			    safetensors_path(f), key);
	return 0;
}

int run_take_meta(struct run *r)
{
	int64_t format, position;
	json_t *best, *changes;

	TRY(take_number(r->from, "millrace.format", &format));
	if (format != FORMAT)
		return fail("%s: checkpoint format %" PRId64 ", this program knows %d",
			    safetensors_path(r->from), format, FORMAT);
	TRY(take_number(r->from, "step", &r->step));
	TRY(take_number(r->from, "position", &position));
	r->position = (uint64_t)position;
	best = meta_json(r->from, "best");
	if (json_is_object(best)) {
		r->best = json_number_value(json_object_get(best, "top1"));
		r->best_step = json_integer_value(json_object_get(best, "step"));
	}
	json_decref(best);
	changes = meta_json(r->from, "changes");
	if (json_is_array(changes))
		json_array_extend(r->changes, changes);
	json_decref(changes);
	r->options = meta_json(r->from, "options");
	return json_is_object(r->options) ? 0
	     : fail("%s: no options in its metadata", safetensors_path(r->from));
}

int run_take_control(const struct run *r, struct control *c)
{
	json_t *o = meta_json(r->from, "control"), *good = json_object_get(o, "good");

	*c = (struct control){
		.loss_scale = json_number_value(json_object_get(o, "loss_scale")),
		.good = json_integer_value(good) };
	int fits = json_is_integer(good) && isfinite(c->loss_scale) && c->loss_scale > 0 &&
		   c->good >= 0;
	json_decref(o);
	return fits ? 0 : fail("%s: no loss scale in its metadata", safetensors_path(r->from));
}

int run_judge_changes(struct run *r)
{
	char list[512] = "";
	size_t i, at = 0;
	json_t *name;

	if (!r->from || !json_array_size(r->changed))
		return 0;
	json_array_foreach(r->changed, i, name)
		if (at < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "",
					       json_string_value(name));
	if (!r->t->allow_change) {
		r->status = 2;
		return fail("other than in the checkpoint: %s; --allow-change goes on all the "
			    "same", list);
	}
	json_array_append_new(r->changes, json_pack("{s:I, s:O}", "step", (json_int_t)r->step,
						    "changed", r->changed));
	run_note(r, "changed since the checkpoint: %s", list);
	r->changed = (json_decref(r->changed), json_array());
	return 0;
}

int train_position(const char *path, uint64_t *position, int *status)
{
	int has = folder_has_run(path);
	char *name;
	struct safetensors *f;
	int64_t n;

	*position = 0;
	*status = 3;
	if (has <= 0)
		return has;
	name = folder_name(path, "last.safetensors");
	f = name ? safetensors_open(name, status) : NULL;
	free(name);
	if (!f)
		return -1;
	*status = 1;
	int r = take_number(f, "position", &n);
	safetensors_close(f);
	if (!r)
		*position = (uint64_t)n;
	return r;
}

/* ---- normalisation ---- */

/* The stream's numbers: how many, 0 if it has none, -1. */
static int stream_numbers_of(const struct stream_head *h, const char *key, double out[4])
{
	json_t *list = head_json(h, key), *v;
	size_t i;
	int n = 0;

	if (!list)
		return 0;
	json_array_foreach(list, i, v) {
		if (i < 4 && json_is_number(v))
			out[n++] = json_number_value(v);
	}
	if (!n || (size_t)n != json_array_size(list))
		n = fail("the stream's %s: not 1 to 4 numbers", key);
	json_decref(list);
	return n;
}

static int numbers_for(const struct stream_head *h, const char *key, const char *given,
		       const double *otherwise, int channels, float *out)
{
	double v[4];
	int n = given ? settings_numbers(given, v) : stream_numbers_of(h, key, v);

	if (n < 0)
		return given ? fail_add("--%s", key) : -1;
	if (!n) {
		memcpy(v, otherwise, sizeof(v));
		n = channels;
	}
	if (n != channels && n != 1 && given)
		return fail("--%s: %d numbers for %d channels", key, n, channels);
	if (n != channels && n != 1)
		return fail("the stream's images have %d channels, the network takes %d%s", n,
			    channels, channels == 1 ? ": add 'grey' to img-augment's recipe" : "");
	for (int c = 0; c < channels; c++)
		out[c] = (float)v[n == 1 ? 0 : c];
	return 0;
}

int train_normalise(struct input_attr *a, const struct stream_head *h, int channels,
		    const char *mean, const char *deviation)
{
	static const double imagenet[2][4] = {
		{ 123.675, 116.28, 103.53, 0 }, { 58.395, 57.12, 57.375, 1 } };
	static const double half[4] = { 127.5, 127.5, 127.5, 127.5 };
	int three = channels == 3;

	*a = (struct input_attr){ { 0 }, { 1, 1, 1, 1 } };
	if (channels > 4)
		return fail("pixels of %d channels: at most 4", channels);
	TRY(numbers_for(h, "mean", mean, three ? imagenet[0] : half, channels, a->mean));
	TRY(numbers_for(h, "deviation", deviation, three ? imagenet[1] : half, channels,
			a->deviation));
	for (int c = 0; c < channels; c++)
		if (!(a->deviation[c] > 0))
			return fail("deviation of channel %d: not above 0", c);
	return 0;
}
