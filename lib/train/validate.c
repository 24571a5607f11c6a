#include "train/run.h"

#include "base/fail.h"
#include "train/signals.h"

#include <stdlib.h>
#include <string.h>

/* The names of the classes must be those of training, where both streams say them. */
static int check_classes(const struct run *r, const struct stream_head *h)
{
	const char *ours = json_string_value(json_object_get(r->fixed, "classes"));
	char *theirs = stream_meta(h, "classes");
	json_t *a = ours ? json_loads(ours, 0, NULL) : NULL;
	json_t *b = theirs ? json_loads(theirs, 0, NULL) : NULL;
	int differ = a && b && !json_equal(a, b);

	json_decref(a);
	json_decref(b);
	free(theirs);
	return differ ? fail("its classes are not those of training") : 0;
}

/* This rank's part. most: batches; 0: all. 0; -1, *status fits. */
static int evaluate_part(struct run *r, int64_t most, struct score *score, int *status)
{
	struct input_from from = {
		.command = r->t->val_command, .lanes = 1, .stop = signals_came,
		.world = r->t->world, .part = world_rank(r->t->world),
		.parts = world_ranks(r->t->world) };
	struct input_shape shape = {
		.room = (int)r->set.batch / from.parts, .image = r->network.graph->input,
		.classes = r->network.graph->classes, .remainder = 1 };
	struct input *in = input_open(&from, status);
	int e;

	if (!in)
		return -1;
	shape.views = input_views(in) > 0 ? input_views(in) : 1;
	*status = 1;
	e = check_classes(r, input_head(in));
	if (!e) {
		e = input_start(in, &shape);
		*status = input_status(in);
	}
	if (!e)
		e = evaluate_all(&r->machine, in, shape.views, most, score, NULL, NULL, status);
	input_close(in);
	return e;
}

/* All ranks' parts: as evaluate_part(). */
static int evaluate_command(struct run *r, int64_t most, struct score *score, int *status)
{
	int e = run_add_scores(r, evaluate_part(r, most, score, status), score, status);

	if (!e && !score->samples) {
		*status = 4;
		e = fail("no samples");
	}
	return e < 0 ? fail_add("validation") : 0;
}

int run_probe_validation(struct run *r)
{
	struct score score = { 0 };

	if (!r->t->val_command)
		return 0;
	r->status = 3;
	TRY(machine_eval(&r->machine, r->network.graph,
			 (int)r->set.batch / world_ranks(r->t->world), &r->normalise, 0));
	TRY(machine_refresh(&r->machine));
	return evaluate_command(r, 1, &score, &r->status);
}

static void keep_best(struct run *r, struct train_validation *v)
{
	int64_t step;

	if (v->top1 <= r->best)
		return;
	if (saver_wait(r->saver, &step) < 0 || r->save_failed || r->saved != r->step) {
		run_note(r, "best checkpoint: not kept, as this one could not be written");
		return;
	}
	if (folder_best(&r->folder) < 0) {
		run_note(r, "best checkpoint: %s", fail_why());
		r->save_failed = 1;
		return;
	}
	r->best = v->top1;
	r->best_step = r->step;
	v->best = 1;
}

void run_validate(struct run *r)
{
	struct score s = { 0 };
	double began = run_now();
	int status, e;

	e = machine_refresh(&r->machine);
	if (!e)
		e = evaluate_command(r, 0, &s, &status);
	if (e < 0) {
		if (signals_came())
			return;
		r->val_failed = 1;
		run_note(r, "%s", fail_why());
		return;
	}
	int64_t labelled = s.samples - s.bad;
	struct train_validation v = {
		.step = r->step, .samples = s.samples, .bad = s.bad, .epoch = run_epoch(r),
		.loss = labelled ? s.loss / (double)labelled : (double)NAN,
		.top1 = (double)s.top1 / (double)s.samples,
		.top5 = (double)s.top5 / (double)s.samples,
	};

	if (world_rank(r->t->world))
		return;
	keep_best(r, &v);
	run_log(r, json_pack("{s:s, s:I, s:o, s:o, s:f, s:f, s:I, s:I, s:b, s:f}", "event", "val",
			     "step", (json_int_t)v.step, "epoch", json_finite(v.epoch),
			     "loss", json_finite(v.loss), "top1", v.top1, "top5", v.top5,
			     "samples", (json_int_t)v.samples, "bad", (json_int_t)v.bad,
			     "best", v.best, "seconds", run_now() - began));
	if (r->t->tell.validation)
		r->t->tell.validation(r->t->tell.context, &v);
}
