/* Trains a network on a batch stream: options and words; lib/train does the work. */
#include "base/fail.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "cli/progress.h"
#include "dev/dev.h"
#include "train/signals.h"
#include "train/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char more[] =
	"Example:\n"
	"  tfrec-cat --epochs 90 --shuffle 10000 --seed 1 train-*-of-01024 |\n"
	"    img-augment -j 14 'random-crop | size 224 | flip' |\n"
	"    net-train -b 256 --lr 0.1 --schedule step --epochs 90 -o run/ resnet50\n";

struct words { struct progress progress; int quiet, begun; int64_t batch; };

static void say_line(void *context, const struct train_moment *m)
{
	struct words *w = context;

	if (w->quiet)
		return;
	progress_hide();
	fprintf(stderr, "step %" PRId64, m->step);
	if (!isnan(m->epoch))
		fprintf(stderr, "  epoch %.2f", m->epoch);
	fprintf(stderr, "  loss %.4f  top-1 %.2f %%  lr %.4g  %.*f images/s  wait %.0f %%\n",
		m->loss,
		100 * m->top1, m->lr, m->rate < 100 ? 1 : 0, m->rate, 100 * m->wait);
}

static void say_step(void *context, const struct train_moment *m)
{
	struct words *w = context;
	uint64_t each = m->images && m->step ? (uint64_t)w->batch : 0;
	char extra[64];

	if (w->quiet)
		return;
	if (!w->begun) {
		uint64_t before = (uint64_t)m->step > 0 ? (uint64_t)m->step - 1 : 0;

		w->batch = (int64_t)m->images;
		each = m->images;
		progress_begin(&w->progress, w->progress.on > 0, "images", before * each,
			       (uint64_t)m->steps * each);
		w->begun = 1;
	}
	snprintf(extra, sizeof(extra), "step %" PRId64 ", loss %.4f", m->step, m->loss);
	progress_show(&w->progress, (uint64_t)m->step * each, extra);
}

static void say_validation(void *context, const struct train_validation *v)
{
	struct words *w = context;

	if (w->quiet)
		return;
	progress_hide();
	fprintf(stderr, "step %" PRId64 "  validation: top-1 %.2f %%  top-5 %.2f %%  loss %.4f  "
		"%" PRId64 " images%s\n", v->step, 100 * v->top1, 100 * v->top5, v->loss,
			v->samples,
		v->best ? "  (best)" : "");
	if (v->bad)
		note("validation: %" PRId64 " bad samples, counted wrong", v->bad);
}

static void say_note(void *context, const char *text)
{
	(void)context;
	progress_hide();
	note("%s", text);
}

static void say_profile(void *context, const char *table)
{
	(void)context;
	progress_hide();
	fputs(table, stderr);
}

static int print_position(const char *folder)
{
	uint64_t position;
	int status;

	if (train_position(folder, &position, &status) < 0)
		die_why(status);
	printf("%" PRIu64 "\n", position);
	close_stdout();
	return 0;
}

enum { PIPES_ENOUGH = 0 };      /* one a process */

/* What can be told from the command line alone. */
static void check_usage(struct train *t, int64_t pipes, const char *command)
{
	if (!t->folder)
		usage_error("-o FOLDER: where are the checkpoints to go?");
	if (pipes != PIPES_ENOUGH && !command)
		usage_error("--pipes belongs to --pipe: several streams are read side by side "
			    "from commands");
	if (pipes < 0 || pipes > INPUT_LANES)
		usage_error("--pipes: 1 to %d", INPUT_LANES);
	if (command && t->input.files)
		usage_error("--pipe and files: one of them");
	if (pipes > 1 && !strstr(command, "{part}"))
		usage_error("--pipes %d: the command has no {part}: all would read the same "
			    "samples",
			    (int)pipes);
	if (t->init && t->resume)
		usage_error("--init begins a run, --resume goes on with one: one of them");
	if (t->log && !strcmp(t->log, "-") && !t->folder)
		usage_error("--log -: needs -o");
	t->input.command = command;
	t->input.lanes = pipes != PIPES_ENOUGH ? (int)pipes : 1;
}

static void read_periods(struct train *t, const char *val, const char *save)
{
	if (period_read(&t->val_every, val) < 0)
		usage_error("--val-every: %s", fail_why());
	if (period_read(&t->save_every, save) < 0)
		usage_error("--save-every: %s", fail_why());
}

/* The processes that mpirun or srun has started with this one. Only rank 0 has words. */
static void join_world(struct train *t, double patience)
{
	const struct world_options options = { patience, signals_came, signals_heard };

	t->world = world_open(&options);
	if (!t->world)
		die_why(STATUS_SYSTEM);
	if (world_rank(t->world))
		t->tell = (struct train_tell){ 0 };
}

/* Rank 0 says for all why it ended; who finds it dead says so himself. */
static void leave_world(struct world *w, int e, int status)
{
	char why[FAIL_MAX];
	int rank = world_rank(w), silent = e >= 0;

	snprintf(why, sizeof(why), "%s", fail_why());
	if (e < 0)
		world_break(w, status);
	if (e < 0 && !rank) {
		warn("%s", why);
		silent = 1;
	}
	if (world_close(w) == 0)
		return;
	if (!silent)
		warn("%s", why);
	world_abandon(w, status);
}

int main(int argc, char **argv)
{
	struct words words = { 0 };
	struct train t = { .tell = { &words, say_line, say_step, say_validation, say_note,
					  say_profile } };
	struct settings *s = &t.settings;
	struct opt_list set = { 0 };
	const char *libraries = NULL;
	const char *position = NULL, *command = NULL, *val_every = "1", *save_every = "1";
	int64_t pipes = PIPES_ENOUGH, threads = 0, keep = 5, log_every = 50;
	double patience = 45;
	int progress = 0, status, signo;
	const struct opt table[] = {
		{ "batch", 'b', OPT_INT, &s->batch, "N", "samples of a step, over all devices "
		  "(default: a record's)" },
		{ "devices", 'd', OPT_STRING, &s->devices, "LIST",
		  "cpu, cpu*2, ref, cuda:0-3 (default: cpu)" },
		{ "cuda-libs", 0, OPT_STRING, &libraries, "DIR", DEVICE_LIBRARIES_HELP },
		{ "threads", 'j', OPT_INT, &threads, "N", "threads of the devices together "
		  "(default: their choice)" },
		{ "precision", 0, OPT_STRING, &s->precision, "NAME",
		  "fp32, bf16, or auto: the faster (default: fp32)" },
		{ "without", 0, OPT_STRING, &s->without, "LIST",
		  "leave rewrites of the program out, or all (see net-cat)" },
		{ "output", 'o', OPT_STRING, &t.folder, "FOLDER",
		  "checkpoints and the log go there" },
		{ "resume", 0, OPT_FLAG, &t.resume, NULL, "go on from the last checkpoint, if "
		  "there is one" },
		{ "allow-change", 0, OPT_FLAG, &t.allow_change, NULL,
		  "go on although options or data differ from the checkpoint's" },
		{ "print-position", 0, OPT_STRING, &position, "FOLDER",
		  "print where its last checkpoint stands, for tfrec-cat --start-at" },
		{ "set", 0, OPT_LIST, &set, "NAME=VALUE", "a parameter of the network, as "
		  "depth=101, classes=10" },
		{ "init", 0, OPT_STRING, &t.init, "FILE", "weights to begin with (safetensors)" },
		{ "seed", 's', OPT_INT, &s->seed, "N", "of initial weights and dropout (default: "
		  "the stream's)" },
		{ "epochs", 0, OPT_REAL, &s->epochs, "N", "train for so many epochs" },
		{ "steps", 0, OPT_INT, &s->steps, "N", "or so many steps (default: all of the "
		  "input)" },
		{ "optimizer", 0, OPT_STRING, &s->optimizer, "NAME",
		  "momentum or sgd (default: momentum)" },
		{ "lr", 0, OPT_REAL, &s->lr, "RATE", "learning rate (default: 0.1)" },
		{ "momentum", 0, OPT_REAL, &s->momentum, "M",
		  "share of the velocity that stays (default: 0.9)" },
		{ "nesterov", 0, OPT_FLAG, &s->nesterov, NULL, "Nesterov's form of momentum" },
		{ "weight-decay", 0, OPT_REAL, &s->decay, "L",
		  "L2 decay of weights, not of gains and biases (default: 1e-4)" },
		{ "label-smoothing", 0, OPT_REAL, &s->smoothing, "E",
		  "share of the target spread over all classes (default: 0)" },
		{ "schedule", 0, OPT_STRING, &s->schedule, "NAME",
		  "constant, step, cosine, linear (default: constant)" },
		{ "drop-epochs", 0, OPT_STRING, &s->drops, "LIST",
		  "step: every 30 epochs (30), or there (30,60,80) (default: 30)" },
		{ "drop-factor", 0, OPT_REAL, &s->factor, "F",
		  "step: what a drop multiplies by (default: 0.1)" },
		{ "warmup", 0, OPT_REAL, &s->warmup, "EPOCHS",
		  "rise linearly to --lr first (default: 0)" },
		{ "warmup-from", 0, OPT_REAL, &s->warmup_from, "RATE",
		  "where the rise begins (default: 0)" },
		{ "final-lr", 0, OPT_REAL, &s->final_lr, "RATE",
		  "cosine, linear: the last rate; step: the least (default: 0)" },
		{ "sync-bn", 0, OPT_FLAG, &s->sync_bn, NULL,
		  "batch norm over all devices together" },
		{ "mean", 0, OPT_STRING, &s->mean, "LIST", "of pixels 0..255, by channel "
		  "(default: the stream's)" },
		{ "deviation", 0, OPT_STRING, &s->deviation, "LIST", "likewise" },
		{ "pipe", 0, OPT_STRING, &command, "COMMAND",
		  "read from a shell command; {part} {parts} {start} are filled in" },
		{ "pipes", 0, OPT_INT, &pipes, "K",
		  "so many of them, of all processes (default: one a process)" },
		{ "val-pipe", 0, OPT_STRING, &t.val_command, "COMMAND",
		  "validate on the stream of this command" },
		{ "val-every", 0, OPT_STRING, &val_every, "PERIOD",
		  "2 (epochs) or 500s (steps) (default: 1)" },
		{ "save-every", 0, OPT_STRING, &save_every, "PERIOD",
		  "likewise, checkpoints (default: 1)" },
		{ "keep", 0, OPT_INT, &keep, "N", "checkpoints of steps that stay (default: 5)" },
		{ "log", 0, OPT_STRING, &t.log, "FILE", "NDJSON log, - for stdout (default: "
		  "FOLDER/log.ndjson)" },
		{ "log-every", 0, OPT_INT, &log_every, "N", "steps between two lines of it "
		  "(default: 50)" },
		{ "comm-timeout", 0, OPT_REAL, &patience, "SECONDS",
		  "give up a process that is silent for so long (default: 45)" },
		{ "profile", 0, OPT_FLAG, &t.profile, NULL,
		  "time every step of the program; a table on stderr at the end" },
		{ "progress", 0, OPT_FLAG, &progress, NULL, "show progress although stderr is no "
		  "terminal" },
		{ "quiet", 'q', OPT_FLAG, &words.quiet, NULL, "only say what went wrong" },
		{ NULL, 0, OPT_FLAG, NULL, NULL, NULL },
	};
	const struct opt_usage usage = {
		.program = "net-train", .purpose = "train a network on a batch stream of pixels",
		.operands = "[NETWORK [STREAM ...]]", .table = table, .more = more, .most = -1 };

	settings_clear(s);
	int first = opt_read(argc, argv, &usage);
	if (position)
		return print_position(position);
	if (first < argc)
		t.network = argv[first++];
	t.set = set.item;
	t.sets = set.count;
	t.input.file = (const char *const *)argv + first;
	t.input.files = argc - first;
	check_usage(&t, pipes, command);
	read_periods(&t, val_every, save_every);
	if (threads < 0 || threads > 4096 || keep < 0 || keep > 1000000000 || log_every < 1 ||
	    log_every > 1000000000)
		usage_error("-j, --keep, --log-every: out of range");
	if (!(patience >= 1 && patience <= 86400))
		usage_error("--comm-timeout: 1 to 86400 seconds");
	t.threads = (int)threads;
	t.keep = (int)keep;
	t.log_every = (int)log_every;
	if (!world_wanted() && !command &&
	    (!t.input.files || !strcmp(t.input.file[0], "-")))
		refuse_terminal_in(0);
	words.progress.on = progress;
	quiet(words.quiet);
	if (device_libraries(libraries) < 0 || signals_begin() < 0)
		die_why(STATUS_SYSTEM);

	if (world_wanted())
		join_world(&t, patience);
	if (pipes == PIPES_ENOUGH)
		t.input.lanes = world_ranks(t.world);

	int e = train_run(&t, &status, &signo);
	progress_end(&words.progress);
	if (t.world)
		leave_world(t.world, e, status);
	else if (e < 0 && !signo)
		die_why(status);
	if (signo)
		signals_die(signo);
	return status;
}
