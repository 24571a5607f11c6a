#include "base/fail.h"
#include "base/text.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "cli/progress.h"
#include "data/augment_feed.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS_MAX = 1024 };

/* What was asked for. */
struct options {
	struct augment_wish wish;
	int64_t threads, seed, max_bad;
	int steps, progress, quiet;
	struct recipe *recipe;
	char *text;
};

/* Says which samples were bad; dies where they are too many. */
static void tell_bad(int64_t most, const struct augment_event *e, int64_t *bad)
{
	char name[FAIL_MAX];

	for (uint32_t i = 0; i < e->job.samples && e->job.bad > 0; i++) {
		if (e->job.why[i] == NULL)
			continue;
		augment_sample_name(e->stream, &e->job, i, name, sizeof(name));
		if (++*bad > most && most > 0)
			die(STATUS_BAD, "%s: %s: bad image number %lld, with --max-bad %lld",
			    name, e->job.why[i], (long long)*bad, (long long)most);
		if (*bad > most)
			die(STATUS_BAD, "%s: %s", name, e->job.why[i]);
		note("%s: %s: bad, number %lld", name, e->job.why[i], (long long)*bad);
	}
}

static int write_event(struct stream_writer *out, struct augment_event *e)
{
	struct stream_view column[STREAM_COLUMNS];

	switch (e->kind) {
	case AUGMENT_BEGIN:
		return stream_begin(out, &e->stream->out);
	case AUGMENT_DATA:
		augment_result(e->stream, &e->job, column);
		return stream_write(out, e->job.position_out, e->job.samples_out, column);
	case AUGMENT_EPOCH:
		return stream_epoch(out, e->position);
	case AUGMENT_END:
		return stream_end(out, e->position);
	case AUGMENT_FAILED:
		fail("%s", e->why ? e->why : "out of memory");
		die_input(e->status);
	}
	return -1;
}

static void write_all(const struct options *o, struct augment_feed *feed,
		      struct stream_writer *out)
{
	struct progress progress;
	int64_t bad = 0;
	uint64_t done = 0;
	struct augment_event *e;
	int got;

	progress_begin(&progress, o->quiet ? -1 : o->progress, "images", 0,
		       (uint64_t)o->wish.files);
	while ((got = augment_feed_next(feed, &e)) > 0) {
		if (e->kind == AUGMENT_DATA)
			tell_bad(o->max_bad, e, &bad);
		if (write_event(out, e) < 0)
			die_why(STATUS_SYSTEM);
		if (e->kind == AUGMENT_DATA)
			progress_show(&progress, done += e->job.samples, NULL);
	}
	if (got < 0)
		die_why(STATUS_SYSTEM);
	progress_end(&progress);
	if (bad > 0)
		note("%lld of %llu images were bad", (long long)bad, (unsigned long long)done);
}

static void run(const struct options *o, struct stream_writer *out)
{
	struct stream_reader *in = NULL;
	struct augment_feed *feed;
	int status;

	refuse_terminal_out(STDOUT_FILENO);
	if (o->wish.files == 0)
		refuse_terminal_in(STDIN_FILENO);
	if (o->wish.files == 0 && (in = stream_open(STDIN_FILENO, "stdin", &status)) == NULL)
		die_input(status);
	feed = augment_feed_open(&o->wish, in, (int)o->threads);
	if (feed == NULL)
		die_why(STATUS_SYSTEM);
	write_all(o, feed, out);
	augment_feed_close(feed);
	stream_close(in);
}

static void print_steps(void)
{
	for (const struct step_kind *k = step_kinds; k->name != NULL; k++) {
		printf("%s%s: %s\n", k->name, k->group ? " ... (steps)" : "", k->help);
		for (const struct step_arg *a = k->arg; a->name != NULL; a++) {
			printf("    %-8s %s", a->name, a->help);
			if (a->words != NULL)
				printf("; one of: %s", a->words);
			if (a->standard == NULL)
				printf(" (must be given)");
			else if (*a->standard)
				printf(" (%s)", a->standard);
			putchar('\n');
		}
	}
}

/* Whether the operands would be one recipe if the shell had not taken them apart. */
static void look_for_missing_quotes(char **operand, int n)
{
	struct text t = { 0 };
	struct recipe *r;
	char *all;

	if (n < 2 || access(operand[1], F_OK) == 0)
		return;
	for (int i = 0; i < n; i++)
		text_add(&t, "%s%s", i ? " " : "", operand[i]);
	all = text_take(&t);
	r = all ? recipe_parse(all) : NULL;
	if (r != NULL)
		usage_error("a recipe is one operand: put it in quotes: img-augment '%s'", all);
	free(all);
}

static void read_operands(struct options *o, char **operand, int n)
{
	if (n == 0)
		usage_error("a recipe is missing, as in: img-augment 'random-crop | size 224'"
			    " ('' only decodes)");
	look_for_missing_quotes(operand, n);
	o->recipe = recipe_parse(operand[0]);
	if (o->recipe == NULL && access(operand[0], F_OK) == 0)
		usage_error("the first operand is the recipe ('' only decodes), and '%s' is a "
			    "file: files come after it", operand[0]);
	if (o->recipe == NULL)
		usage_error("%s", fail_why());
	o->text = recipe_text(o->recipe);
	if (o->text == NULL)
		die_why(STATUS_SYSTEM);
	o->wish.recipe = o->recipe;
	o->wish.text = o->text;
	o->wish.file = (const char *const *)operand + 1;
	o->wish.files = n == 2 && strcmp(operand[1], "-") == 0 ? 0 : n - 1;
}

static int64_t cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

int main(int argc, char **argv)
{
	struct options o = { .seed = INT64_MIN };
	const struct opt table[] = {
		{ "threads", 'j', OPT_INT, &o.threads, "N",
		  "threads that decode (default: one a core); the bytes are the same" },
		{ "seed", 's', OPT_INT, &o.seed, "N",
		  "of the random choices (default: the stream's, or 0)" },
		{ "max-bad", 0, OPT_INT, &o.max_bad, "N",
		  "go on over so many images that do not decode (label -1)" },
		{ "exif-orient", 0, OPT_FLAG, &o.wish.orient, NULL,
		  "turn images as their EXIF orientation says" },
		{ "mean", 0, OPT_STRING, &o.wish.mean, "R,G,B",
		  "for normalising, of pixels 0..255 (default: 127.5)" },
		{ "deviation", 0, OPT_STRING, &o.wish.deviation, "R,G,B",
		  "for normalising, of pixels 0..255 (default: 127.5)" },
		{ "each-step", 0, OPT_FLAG, &o.wish.each_step, NULL,
		  "write the image as read and after each step, to look at" },
		{ "steps", 0, OPT_FLAG, &o.steps, NULL, "list the steps of recipes and exit" },
		{ "progress", 0, OPT_FLAG, &o.progress, NULL,
		  "show the rate also where stderr is no terminal" },
		{ "quiet", 'q', OPT_FLAG, &o.quiet, NULL, "no notes, no progress" },
		{ 0 },
	};
	const struct opt_usage usage = {
		.program = "img-augment",
		.purpose = "decode, crop, resize and distort images of a batch stream",
		.operands = "RECIPE [FILE ...]",
		.table = table,
		.more = "    tfrec-cat train-* | img-augment 'random-crop | size 224 | flip' | "
			"net-train ...\n    img-augment 'size 224' *.jpg | batch-cat",
		.most = -1,
	};
	struct stream_writer *out = die_stream_open();
	int first = opt_read(argc, argv, &usage);

	if (o.steps) {
		die_stream(NULL);
		stream_writer_close(out);
		print_steps();
		close_stdout();
		return STATUS_OK;
	}
	quiet(o.quiet);
	o.wish.seeded = o.seed != INT64_MIN;
	if (o.wish.seeded && o.seed < 0)
		usage_error("--seed %lld: at least 0", (long long)o.seed);
	o.wish.seed = o.wish.seeded ? (uint64_t)o.seed : 0;
	if (o.threads == 0)
		o.threads = cores();
	if (o.threads < 1 || o.threads > THREADS_MAX)
		usage_error("--threads %lld: 1 to %d", (long long)o.threads, THREADS_MAX);
	if (o.max_bad < 0)
		usage_error("--max-bad %lld: at least 0", (long long)o.max_bad);
	read_operands(&o, argv + first, argc - first);
	o.wish.labels = o.max_bad > 0;
	if (o.wish.files > 0 && o.max_bad > 0)
		usage_error("--max-bad marks a bad image by its label, and files have none");
	run(&o, out);
	die_stream(NULL);
	stream_writer_close(out);
	recipe_free(o.recipe);
	free(o.text);
	return STATUS_OK;
}
