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

/* A loss or gradient that is not finite: nothing was updated. */
static int not_finite(struct run *r, const struct batch *b)
{
	char why[FAIL_MAX];

	machine_find_trouble(&r->machine, b);
	snprintf(why, sizeof(why), "%s", fail_why());
	if (!r->machine.failed)
		run_save(r, 1);
	r->status = 1;
	return fail("step %" PRId64 ": not finite: %s", r->step + 1, why);
}

/* Takes the step of a batch: 0 or -1. *lr: the rate it took. */
static int take_step(struct run *r, const struct batch *b, double *lr)
{
	struct control c = {
		.seed = (uint64_t)r->set.seed, .position = b->position, .step = r->step,
		.count = r->labelled };
	int halted = 0;

	c.lr = *lr = schedule_lr(&r->schedule, r->step);
	r->status = 3;
	TRY(machine_step(&r->machine, b, &c, &halted));
	return halted ? not_finite(r, b) : 0;
}

/* After a step: log, checkpoint, validation where they are due. */
static void after_step(struct run *r, struct gathered *w, double lr, uint64_t before,
		       uint64_t images)
{
	const struct train *t = r->t;
	int due = r->step % t->log_every == 0 || r->step == r->steps;

	if (due && run_add_tallies(r, &w->tally) < 0)
		due = 0;        /* the next step says why */

	struct train_moment m = moment(r, w, lr, images);

	if (t->tell.step)
		t->tell.step(t->tell.context, &m);
	if (due) {
		tell(r, &m);
		*w = (struct gathered){ .began = run_now() };
	}
	if (r->saver && saver_idle(r->saver))
		collect(r);

	int val = t->val_command && period_due(&t->val_every, r->step, before, r->position,
					       r->epoch_size);
	if (val || period_due(&t->save_every, r->step, before, r->position, r->epoch_size))
		run_save(r, 0);
	if (val && r->step != r->steps) {
		double began = run_now();

		run_validate(r);
		w->began += run_now() - began;  /* not the trainer's time */
	}
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

int run_loop(struct run *r, int *signal_out)
{
	struct gathered w = { .began = run_now() };
	int64_t first = r->step;
	uint64_t images = 0;

	validate_again(r);
	while (r->step < r->steps) {
		uint64_t before = r->position;
		double lr, began = run_now();
		struct batch *b;
		int signo, got = run_take(r, &b, &signo);

		w.waited += run_now() - began;
		if (got < 0)
			return signo ? stop_by_signal(r, signo, signal_out)
				     : input_lost(r, signal_out);
		if (!got) {
			TRY(input_ended(r, first));
			return finish(r);
		}
		TRY(take_step(r, b, &lr));
		add_losses(r, b, &w.tally);
		r->step++;
		r->position += (uint64_t)r->set.batch;
		images += (uint64_t)r->set.batch;
		input_give(r->input);
		after_step(r, &w, lr, before, images);
	}
	TRY(look_at_rest(r, signal_out));
	if (*signal_out || r->status == 75)
		return 0;
	return finish(r);
}
