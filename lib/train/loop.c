#include "train/run.h"

#include "base/fail.h"
#include "train/signals.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What is gathered between two lines of the log. */
struct gathered { double began, waited; struct tally tally; };

/*
 * A step that was begun. Its results are looked at when the next one is begun, where the
 * devices work ahead, so that they never wait for the host; at once where something is due
 * behind it: a checkpoint, validation, the end.
 */
struct begun {
	struct batch *batch;            /* NULL: none is open */
	struct control control;
	uint64_t before, position;      /* of the run, before and behind it */
	int due;
};

struct loop {
	struct run *run;
	struct gathered w;
	struct begun open;
	uint64_t images;                /* since the start */
	int *signal;
};

/* ---- checkpoints ---- */

/* Tells what became of the checkpoint begun before. */
static void collect(struct run *r)
{
	int64_t step;
	int e = saver_wait(r->saver, &step);

	if (e < 0) {
		r->save_failed = 1;
		run_note(r, "checkpoint of step %" PRId64 " not written: %s; the one before stays",
			 step, fail_why());
	} else if (e > 0) {
		run_log(r, json_pack("{s:s, s:I}", "event", "checkpoint", "step",
				     (json_int_t)step));
	}
}

void run_save(struct run *r, int wait)
{
	if (world_rank(r->t->world)) {
		r->saved = r->step;
		return;
	}
	if (r->saved != r->step) {
		collect(r);
		if (machine_get(&r->machine, &r->state) < 0) {
			r->save_failed = 1;
			run_note(r, "no checkpoint: %s", fail_why());
			return;
		}
		saver_begin(r->saver, run_meta(r), r->step);
		r->saved = r->step;
	}
	if (wait)
		collect(r);
}

/* ---- a step ---- */

static void add_losses(const struct run *r, const struct batch *b, struct tally *w)
{
	for (int i = 0; i < b->samples; i++) {
		if (b->labels[2 * i] < 0)
			continue;
		w->labelled++;
		w->loss += (double)r->machine.losses[2 * i];
		w->right += r->machine.losses[2 * i + 1] > 0;
	}
	w->images += b->samples;
}

static struct train_moment moment(const struct run *r, const struct gathered *w, double lr,
				  uint64_t images)
{
	double seconds = run_now() - w->began, n = (double)w->tally.labelled;

	return (struct train_moment){
		.step = r->step, .steps = r->steps == INT64_MAX ? 0 : r->steps,
		.epoch = run_epoch(r), .loss = n > 0 ? w->tally.loss / n : (double)NAN,
		.top1 = n > 0 ? (double)w->tally.right / n : (double)NAN, .lr = lr,
		.rate = seconds > 0 ? (double)w->tally.images / seconds : 0,
		.wait = seconds > 0 ? w->waited / seconds : 0, .images = images,
	};
}

static void tell(struct run *r, const struct train_moment *m)
{
	run_log(r, json_pack("{s:s, s:I, s:o, s:I, s:o, s:o, s:f, s:f, s:f}", "event", "step",
			     "step", (json_int_t)m->step, "epoch", json_finite(m->epoch),
			     "position", (json_int_t)r->position, "loss", json_finite(m->loss),
			     "top1", json_finite(m->top1), "lr", m->lr, "rate", m->rate,
			     "wait", m->wait));
	if (r->t->tell.line)
		r->t->tell.line(r->t->tell.context, m);
}

/* A loss or gradient that is not finite: nothing was updated, nor by a step begun since. */
static int not_finite(struct run *r, const struct begun *s)
{
	char why[FAIL_MAX];

	if (!machine_put_batch(&r->machine, s->batch, &s->control))
		machine_find_trouble(&r->machine, s->batch);
	snprintf(why, sizeof(why), "%s", fail_why());
	if (!r->machine.failed)
		run_save(r, 1);
	r->status = 1;
	return fail("step %" PRId64 ": not finite: %s", r->step + 1, why);
}

static int save_due(const struct run *r, int64_t step, uint64_t before, uint64_t position)
{
	return period_due(&r->t->save_every, step, before, position, r->epoch_size);
}

static int val_due(const struct run *r, int64_t step, uint64_t before, uint64_t position)
{
	return r->t->val_command &&
	       period_due(&r->t->val_every, step, before, position, r->epoch_size);
}

/* After a step: log, checkpoint, validation where they are due. */
static void after_step(struct run *r, struct gathered *w, const struct begun *s, uint64_t images)
{
	const struct train *t = r->t;
	int due = r->step % t->log_every == 0 || r->step == r->steps;
	int val = val_due(r, r->step, s->before, r->position);

	if (due && run_add_tallies(r, &w->tally) < 0)
		due = 0;        /* the next step says why */

	struct train_moment m = moment(r, w, s->control.lr, images);

	if (t->tell.step)
		t->tell.step(t->tell.context, &m);
	if (due) {
		tell(r, &m);
		*w = (struct gathered){ .began = run_now() };
	}
	if (r->saver && saver_idle(r->saver))
		collect(r);
	if (val || save_due(r, r->step, s->before, r->position))
		run_save(r, 0);
	if (val && r->step != r->steps) {
		double began = run_now();

		run_validate(r);
		w->began += run_now() - began;  /* not the trainer's time */
	}
}

/* Ends the step that is open, if one is: 0 or -1. */
static int finish_step(struct loop *l)
{
	struct run *r = l->run;
	struct begun s = l->open;
	int halted = 0;

	if (!s.batch)
		return 0;
	l->open.batch = NULL;
	r->status = 3;
	TRY(machine_finish(&r->machine, &halted));
	if (halted)
		return not_finite(r, &s);
	add_losses(r, s.batch, &l->w.tally);
	r->step++;
	r->position = s.position;
	l->images += (uint64_t)r->set.batch;
	input_give(r->input);
	after_step(r, &l->w, &s, l->images);
	return 0;
}

/* Begins the step of a batch, and ends those that need not stay open: 0 or -1. */
static int take_step(struct loop *l, struct batch *b)
{
	struct run *r = l->run;
	int64_t before = r->step + (l->open.batch != NULL);     /* steps */
	struct begun s = {
		.batch = b, .before = l->open.batch ? l->open.position : r->position,
		.control = { .seed = (uint64_t)r->set.seed, .position = b->position,
			     .step = before, .lr = schedule_lr(&r->schedule, before),
			     .count = r->labelled } };

	s.position = s.before + (uint64_t)r->set.batch;
	s.due = !machine_ahead(&r->machine) || before + 1 == r->steps ||
		save_due(r, before + 1, s.before, s.position) ||
		val_due(r, before + 1, s.before, s.position);
	r->status = 3;
	TRY(machine_begin(&r->machine, b, &s.control));
	TRY(finish_step(l));
	l->open = s;
	return s.due ? finish_step(l) : 0;
}

/* ---- the ends ---- */

static int stop_by_signal(struct run *r, int signo, int *signal_out)
{
	run_save(r, 1);
	if (signo == SIGTERM || signo == SIGUSR1) {
		r->status = 75;
		return 0;
	}
	*signal_out = signo;
	return 0;
}

/* Whether the programs before may have died of a signal that is on its way to this one
 * too. Commands run in process groups of their own. */
static int shares_signals(const struct run *r)
{
	const struct input_from *from = &r->t->input;
	struct stat st;

	return !from->command && (!from->files || !strcmp(from->file[0], "-")) &&
	       fstat(0, &st) == 0 && !S_ISREG(st.st_mode);
}

/* The input failed: the last whole step is kept; who broke it may have been a signal to
 * all of the pipeline, which comes a moment later. */
static int input_lost(struct run *r, int *signal_out)
{
	char why[FAIL_MAX];
	int status = r->status, signo;

	snprintf(why, sizeof(why), "%s", fail_why());
	if (r->step > 0)
		run_save(r, 1);
	signo = status == 4 && shares_signals(r) ? signals_wait(2) : signals_came();
	if (world_status(r->t->world))
		signo = 0;      /* it comes from who started the ranks, as one of them is lost */
	if (signo)
		return stop_by_signal(r, signo, signal_out);
	r->status = status;
	return fail("%s", why);
}

/* The input ended as it should: was it enough? */
static int input_ended(struct run *r, int64_t first)
{
	int left = r->left;

	if (left)
		run_note(r, "%d samples at the end did not fill a batch of %d", left,
			 (int)r->set.batch);
	if (r->steps != INT64_MAX && r->step < r->steps) {
		if (r->step > first)
			run_save(r, 1);
		r->status = 4;
		return fail("the input ended at position %" PRIu64 ", after step %" PRId64 " of "
			    "%" PRId64
			    "%s", r->position + (uint64_t)left, r->step, r->steps,
			    r->step ? "; --resume goes on" : "");
	}
	if (r->step == first) {
		r->status = 1;
		return fail("no full batch: %d samples, a batch has %d", left, (int)r->set.batch);
	}
	return 0;
}

static int finish(struct run *r)
{
	run_save(r, 1);
	if (r->t->val_command)
		run_validate(r);
	r->status = r->save_failed || r->log.failed ? 3 : r->val_failed ? 4 : 0;
	return 0;
}

/* All steps of --epochs are taken: what is left of the last epoch must end properly. */
static int look_at_rest(struct run *r, int *signal_out)
{
	struct batch *b;
	int got, signo;

	if (r->set.steps != SETTING_NONE)
		return 0;
	got = run_take(r, &b, &signo);
	if (got < 0)
		return signo ? 0 : input_lost(r, signal_out);
	if (!got && r->left)
		run_note(r, "%d samples at the end did not fill a batch of %d", r->left,
			 (int)r->set.batch);
	return 0;
}

/* A checkpoint is written before its validation: one that was due is made up for. */
static void validate_again(struct run *r)
{
	uint64_t step = (uint64_t)r->set.batch;

	if (r->from && r->t->val_command && r->position >= step &&
	    period_due(&r->t->val_every, r->step, r->position - step, r->position, r->epoch_size))
		run_validate(r);
}

/* The input said so: what is open is ended first, the reason kept. */
static int input_over(struct loop *l, int got, int64_t first)
{
	struct run *r = l->run;
	char why[FAIL_MAX];
	int status = r->status;

	snprintf(why, sizeof(why), "%s", fail_why());
	TRY(finish_step(l));
	if (!got) {
		TRY(input_ended(r, first));
		return finish(r);
	}
	r->status = status;
	fail("%s", why);
	return input_lost(r, l->signal);
}

int run_loop(struct run *r, int *signal_out)
{
	struct loop l = { .run = r, .w = { .began = run_now() }, .signal = signal_out };
	int64_t first = r->step;

	validate_again(r);
	while (r->step + (l.open.batch != NULL) < r->steps) {
		double began = run_now();
		struct batch *b;
		int signo, got = run_take(r, &b, &signo);

		l.w.waited += run_now() - began;
		if (got < 0 && signo) {
			TRY(finish_step(&l));
			return stop_by_signal(r, signo, signal_out);
		}
		if (got <= 0)
			return input_over(&l, got, first);
		TRY(take_step(&l, b));
	}
	TRY(look_at_rest(r, signal_out));
	if (*signal_out || r->status == 75)
		return 0;
	return finish(r);
}
