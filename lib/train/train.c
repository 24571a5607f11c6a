#include "train/train.h"

#include "base/fail.h"
#include "base/version.h"
#include "train/run.h"
#include "train/signals.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

double run_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double run_epoch(const struct run *r)
{
	return r->epoch_size ? (double)r->position / (double)r->epoch_size : (double)NAN;
}

json_t *json_finite(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

void run_note(struct run *r, const char *fmt, ...)
{
	char text[FAIL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r->t->tell.note)
		r->t->tell.note(r->t->tell.context, text);
	run_log(r, json_pack("{s:s, s:I, s:s}", "event", "note", "step", (json_int_t)r->step,
			     "text", text));
}

void run_log(struct run *r, json_t *line)
{
	if (runlog_write(&r->log, line) < 0 && r->t->tell.note)
		r->t->tell.note(r->t->tell.context, fail_why());
}

/* ---- the start, in the order in which mistakes are best told ---- */

static int open_folder(struct run *r)
{
	const struct train *t = r->t;
	int has = 0;

	if (!world_rank(t->world)) {
		has = folder_has_run(t->folder);
		TRY(has);
		if (has && !t->resume) {
			r->status = 2;
			return fail("%s: a run is there already: --resume goes on with it",
				    t->folder);
		}
		TRY(folder_open(&r->folder, t->folder, t->keep));
	}
	TRY(world_share(t->world, &has, sizeof(has)));
	if (!has)
		return 0;
	char *name = folder_name(t->folder, "last.safetensors");
	if (!name)
		return -1;
	r->from = run_open_shared(r, name);
	free(name);
	if (!r->from)
		return -1;
	r->status = 1;
	TRY(run_take_meta(r));
	r->status = 3;
	return 0;
}

static int open_log(struct run *r)
{
	if (world_rank(r->t->world))
		return 0;
	char *name = r->t->log ? strdup(r->t->log) : folder_name(r->t->folder, "log.ndjson");
	int e = name ? runlog_open(&r->log, name) : fail("out of memory");

	free(name);
	return e;
}

static int open_network(struct run *r)
{
	const struct train *t = r->t;

	r->status = 1;
	if (t->network)
		return network_open(&r->network, t->network, t->set, t->sets);
	if (!r->from || t->sets) {
		r->status = 2;
		return fail("%s", t->sets && r->from ? "--set: say the network again"
			    : "no network");
	}
	if (network_from(&r->network, safetensors_meta(r->from, "network"),
			 safetensors_meta(r->from, "network.text"),
			 safetensors_meta(r->from, "network.settings")) < 0)
		return fail_add("%s", safetensors_path(r->from));
	return 0;
}

static int open_input(struct run *r)
{
	struct input_from from = r->t->input;

	from.stop = signals_came;
	from.world = r->t->world;
	from.part = world_rank(from.world);
	from.parts = from.lanes;
	from.lanes /= world_ranks(from.world);
	from.start = r->position;
	from.strict = r->t->resume;
	r->input = input_open(&from, &r->status);
	return r->input ? 0 : -1;
}

/* What the stream decides where nothing else did. */
static int settle(struct run *r)
{
	const struct stream_head *h = input_head(r->input);
	int lanes = r->t->input.lanes;

	r->status = 2;
	if (h->parts > 1 && (int)h->parts != lanes)
		return fail("the input is one of %u dealt parts: a run takes all of them side by "
			    "side "
			    "(--pipe, --pipes %u)", h->parts, h->parts);
	if (r->set.batch == SETTING_NONE)
		r->set.batch = (int64_t)h->record_max * lanes;
	if (r->set.batch < 1 || r->set.batch % r->machine.devices || r->set.batch % lanes)
		return fail("a batch of %" PRId64 " cannot be shared equally by %d devices and "
			    "%d pipes",
			    r->set.batch, r->machine.devices, lanes);
	if (r->set.seed == SETTING_NONE) {
		char *seed = stream_meta(h, "seed");

		r->set.seed = seed ? strtoll(seed, NULL, 10) : 0;
		free(seed);
	}
	r->epoch_size = h->epoch ? h->epoch : h->samples == STREAM_UNKNOWN ? 0 : h->samples;
	return 0;
}

static int make_schedule(struct run *r)
{
	double per_epoch = (double)r->epoch_size / (double)r->set.batch;
	struct schedule *s = &r->schedule;

	r->status = 2;
	TRY(schedule_kind(r->set.schedule, &s->kind));
	if (!r->epoch_size && (!isnan(r->set.epochs) || s->kind == SCHEDULE_STEP ||
			       r->set.warmup > 0))
		return fail("the stream does not say how many samples an epoch has: "
			    "--epochs, --warmup and --schedule step cannot be used");
	r->steps = r->set.steps != SETTING_NONE ? r->set.steps
		 : isnan(r->set.epochs) ? INT64_MAX
		 : (int64_t)(r->set.epochs * (double)r->epoch_size / (double)r->set.batch);
	if (r->steps == INT64_MAX && (s->kind == SCHEDULE_COSINE || s->kind == SCHEDULE_LINEAR))
		return fail("--schedule %s: needs --epochs or --steps", r->set.schedule);
	s->lr = r->set.lr;
	s->final = r->set.final_lr;
	s->from = r->set.warmup_from;
	s->factor = r->set.factor;
	s->total = (double)r->steps;
	s->warmup = r->epoch_size ? r->set.warmup * per_epoch : 0;
	if (s->kind == SCHEDULE_STEP && schedule_drops(s, r->set.drops, per_epoch) < 0)
		return fail_add("--drop-epochs");
	return 0;
}

/* The network, for the classes and the images of the data. */
static int settle_network(struct run *r)
{
	const struct stream_head *h = input_head(r->input);

	r->status = 1;
	TRY(network_expand(&r->network, (int)h->classes));
	TRY(run_fix_meta(r));
	r->status = 2;
	return run_judge_changes(r);
}

/* What was other about the checkpoint's: how many, or the first that is not the same. */
static json_t *devices_change(const json_t *old, const json_t *now)
{
	size_t n = json_array_size(old), i = 0;
	const char *words;

	if (n != json_array_size(now))
		return json_sprintf("devices (%zu then)", n);
	while (i < n && json_equal(json_array_get(old, i), json_array_get(now, i)))
		i++;
	words = json_string_value(json_array_get(old, i));
	return json_sprintf("devices (%s then)", words ? words : "unknown");
}

static int start_machine(struct run *r)
{
	struct program_options o = {
		.training = 1, .batch = (int)(r->set.batch / r->machine.devices),
		.devices = r->machine.devices, .sync_bn = r->set.sync_bn,
		.smoothing = r->set.smoothing, .normalise = r->normalise,
		.without = r->set.without,
		.optimizer = { strcmp(r->set.optimizer, "sgd") ? r->set.momentum : 0, r->set.decay,
			       r->set.nesterov } };
	json_t *devices = machine_describe(&r->machine), *how = NULL, *old = NULL;
	int changed = 0, e;

	if (r->from) {
		old = meta_json(r->from, "devices");
		changed = r->t->allow_change && json_array_size(r->changes);
		r->same_devices = json_equal(old, devices);
		if (!r->same_devices) {
			json_array_append_new(r->changed, devices_change(old, devices));
			changed = 1;
		}
		how = meta_json(r->from, "how");
	}
	json_decref(old);
	json_decref(devices);
	e = run_judge_changes(r);
	if (!e) {
		r->status = 3;
		e = machine_train(&r->machine, r->network.graph, &o, changed ? NULL : how);
	}
	json_decref(how);
	return e;
}

/* A run goes on with its loss scale; on other devices, which may compute in another
 * type, with theirs. */
static int restore_control(struct run *r)
{
	struct control c;

	if (!r->from || !r->same_devices)
		return 0;
	r->status = 1;
	TRY(run_take_control(r, &c));
	r->status = 3;
	return machine_restore(&r->machine, &c);
}

static int fill_state(struct run *r)
{
	int slots = r->machine.device[0].train->options.optimizer.momentum > 0;

	r->status = 3;
	TRY(state_make(&r->state, r->network.graph, slots));
	state_init(&r->state, (uint64_t)r->set.seed);
	if (r->from) {
		TRY(state_read(&r->state, r->from, slots ? STATE_SLOTS : 0, &r->status));
	} else if (r->t->init) {
		struct safetensors *f = run_open_shared(r, r->t->init);
		int e = f ? state_read(&r->state, f, 0, &r->status) : -1;

		safetensors_close(f);
		TRY(e);
	}
	r->status = 3;
	TRY(machine_put(&r->machine, &r->state));
	return restore_control(r);
}

static int start_input(struct run *r)
{
	struct input_shape shape = {
		.room = (int)r->set.batch / world_ranks(r->t->world),
		.image = r->network.graph->input, .views = 1,
		.classes = r->network.graph->classes, .deal = r->machine.count };

	if (input_start(r->input, &shape) < 0) {
		r->status = input_status(r->input);
		return -1;
	}
	if (r->from)
		return 0;
	r->position = input_first(r->input);
	return run_first_position(r, &r->position);
}

static void log_begin(struct run *r)
{
	json_t *line = json_pack("{s:s, s:s, s:s, s:O, s:I, s:I, s:I, s:I, s:o, s:o, s:b, s:I}",
				 "event", "begin", "version", MILLRACE_VERSION,
				 "network", r->network.name, "settings", r->network.settings,
				 "step", (json_int_t)r->step, "position", (json_int_t)r->position,
				 "parameters", (json_int_t)graph_count(r->network.graph, 1, 0),
				 "epoch_size", (json_int_t)r->epoch_size,
				 "options", settings_json(&r->set),
				 "devices", machine_describe(&r->machine),
				 "resumed", r->from != NULL, "time", (json_int_t)time(NULL));
	static const char *const keys[] = { "normalise", "order", "provenance" };

	if (r->steps != INT64_MAX)
		json_object_set_new(line, "steps", json_integer(r->steps));
	for (int i = 0; i < 3; i++) {
		const char *text = json_string_value(json_object_get(r->fixed, keys[i]));

		if (text)
			json_object_set_new(line, keys[i], json_loads(text, JSON_DECODE_ANY, NULL));
	}
	run_log(r, line);
}

/* What came up while programs were made, a note a line. */
static int tell_notes(struct run *r)
{
	char *text = machine_notes(&r->machine), *rest = text, *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			run_note(r, "%s", line);
	free(text);
	return text ? 0 : -1;
}

/* 1 if the checkpoint stands at the last step: no input is needed to know that. */
static int complete(const struct run *r)
{
	const char *size = r->from ? safetensors_meta(r->from, "epoch.size") : NULL;
	double epoch = size ? strtod(size, NULL) : 0;

	if (!r->from || r->set.batch == SETTING_NONE)
		return 0;
	if (r->set.steps != SETTING_NONE)
		return r->step >= r->set.steps;
	return epoch > 0 && !isnan(r->set.epochs) &&
	       r->step >= (int64_t)(r->set.epochs * epoch / (double)r->set.batch);
}

/* 1: started; 0: there is nothing to do; -1. */
static int start(struct run *r)
{
	TRY(run_check_ranks(r));
	r->status = 3;
	TRY(open_folder(r));
	/* what a probe chose once stays */
	if (r->from && r->set.precision && !strcmp(r->set.precision, "auto"))
		r->set.precision = NULL;
	settings_resolve(&r->set, r->options, r->changed);
	r->status = 2;
	TRY(settings_check(&r->set));
	if (complete(r)) {
		run_note(r, "the run is complete, at step %" PRId64, r->step);
		r->status = 0;
		return 0;
	}
	TRY(open_network(r));
	r->status = 3;
	TRY(machine_open(&r->machine, r->set.devices, r->t->threads, r->t->world));
	r->set.precision = machine_precision(&r->machine, r->set.precision);
	if (!r->set.precision)
		return -1;
	TRY(open_input(r));
	TRY(settle(r));
	TRY(settle_network(r));
	TRY(make_schedule(r));
	TRY(run_compare_ranks(r));
	r->status = 3;
	TRY(open_log(r));
	TRY(start_machine(r));
	TRY(fill_state(r));
	if (r->t->profile && !world_rank(r->t->world))
		TRY(machine_profile(&r->machine));
	TRY(start_input(r));
	TRY(run_probe_validation(r));
	TRY(tell_notes(r));
	r->status = 3;
	if (world_rank(r->t->world))
		return 1;
	r->saver = saver_open(&r->folder, &r->state);
	return r->saver ? 1 : -1;
}

static void tell_profile(const struct run *r)
{
	const struct train_tell *tell = &r->t->tell;
	struct text t = { 0 };
	char *table;

	if (!r->machine.profile || !tell->profile)
		return;
	profile_show(r->machine.profile, &t);
	table = text_take(&t);
	if (table)
		tell->profile(tell->context, table);
	free(table);
}

static void release(struct run *r)
{
	char why[FAIL_MAX];

	snprintf(why, sizeof(why), "%s", fail_why());
	saver_close(r->saver);
	input_close(r->input);
	machine_close(&r->machine);
	state_release(&r->state);
	network_release(&r->network);
	safetensors_close(r->from);
	folder_close(&r->folder);
	runlog_close(&r->log);
	json_decref(r->options);
	json_decref(r->fixed);
	json_decref(r->changes);
	json_decref(r->changed);
	fail("%s", why);
}

/* Bytes of the process at its largest. */
static long long peak_memory(void)
{
	struct rusage u;

	return getrusage(RUSAGE_SELF, &u) ? 0 : (long long)u.ru_maxrss * 1024;
}

int train_run(const struct train *t, int *status, int *signal)
{
	struct run r = {
		.t = t, .set = t->settings, .folder = { .lock = -1 }, .log = { .fd = -1 },
		.best = -1, .best_step = -1, .saved = -1, .changes = json_array(),
		.changed = json_array() };
	int e = start(&r);

	*signal = 0;
	if (e > 0) {
		log_begin(&r);
		if (r.from)
			r.saved = r.step;
		e = run_loop(&r, signal);
		run_log(&r, json_pack("{s:s, s:I, s:I, s:i, s:s, s:I}", "event", "end", "step",
				      (json_int_t)r.step, "position", (json_int_t)r.position,
				      "status", r.status, "reason", e < 0 ? fail_why() : "",
				      "peak_memory", (json_int_t)peak_memory()));
		tell_profile(&r);
	} else if (e < 0 && signals_came()) {
		/* Nothing was trained: there is nothing to keep. */
		*signal = signals_came();
		e = 0;
	}
	*status = r.status;
	release(&r);
	return e;
}
