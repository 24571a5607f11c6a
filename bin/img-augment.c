#include "base/fail.h"
#include "base/io.h"
#include "base/pool.h"
#include "base/text.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "cli/progress.h"
#include "data/augment.h"
#include "data/jpeg.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX ((size_t)256 << 20)    /* bytes of an image file */
#define FILES_BYTES ((size_t)4 << 20)   /* bytes of image files read into one record */
enum { FILES_MOST = 64, THREADS_MAX = 1024 };

/* What was asked for. */
struct wish {
	int64_t threads, seed, max_bad;
	const char *mean, *deviation;
	int orient, each_step, steps, progress, quiet;
	int seeded;             /* --seed was given */
	struct recipe *recipe;
	char *text;             /* the recipe in one way of writing */
	const char **file;
	int files;
};

enum job_kind { JOB_DATA, JOB_BEGIN, JOB_EPOCH, JOB_END, JOB_FAILED };

struct job {
	enum job_kind kind;
	struct augment *stream; /* that it is part of */
	struct augment_job work;
	uint64_t position;      /* JOB_EPOCH, JOB_END */
	int status;             /* JOB_FAILED */
	char *why;
};

/* The reading thread fills jobs, the pool's threads work on them, the main thread
 * writes. A ring of depth + 2 jobs serves: one more than the pool holds is being
 * filled, one is being written. */
struct work {
	const struct wish *wish;
	struct stream_reader *reader;
	struct pool *pool;
	struct canvas **canvas; /* one a thread */
	struct job *job;
	size_t ring, filled;    /* jobs; how many were handed in */
	struct augment *stream; /* the present segment */
	uint64_t seed;
	int height, width;      /* that came out of the first segment */
};

static int work_on(void *context, int thread, void *arg)
{
	struct work *w = context;
	struct job *j = arg;

	return j->kind == JOB_DATA ? augment_work(j->stream, &j->work, w->canvas[thread]) : 0;
}

/* ---- reading ---- */

static struct job *next_job(struct work *w, enum job_kind kind)
{
	struct job *j = &w->job[w->filled % w->ring];

	j->kind = kind;
	j->stream = w->stream;
	return j;
}

static int hand_in(struct work *w, struct job *j)
{
	w->filled++;
	return pool_put(w->pool, j);
}

static void hand_in_failure(struct work *w, int status)
{
	struct job *j = next_job(w, JOB_FAILED);

	j->status = status;
	free(j->why);
	j->why = strdup(fail_why());
	hand_in(w, j);
}

/* "127.5" or "1,2,3" as a JSON array of one number a channel: the caller frees it. */
static char *channel_numbers(const char *text, int channels, const char *what, double above)
{
	struct text t = { 0 };
	const char *p = text;
	double v = 0;
	int n = 0;

	for (int c = 0; c < channels; c++) {
		char *end;

		if (n == c && (c == 0 || *p == ',')) {
			v = strtod(p += c > 0, &end);
			if (end == p || (*end && *end != ',') || !(v > above && v <= 1e6)) {
				fail("--%s %s: one number, or one for each of %d channels",
				     what, text, channels);
				text_release(&t);
				return NULL;
			}
			p = end;
			n++;
		}
		text_add(&t, "%s%.15g", c ? "," : "[", v);
	}
	text_add(&t, "]");
	if (*p || (n != 1 && n != channels)) {
		fail("--%s %s: one number, or one for each of %d channels", what, text, channels);
		text_release(&t);
		return NULL;
	}
	return text_take(&t);
}

/* Sets what the pixels are to be normalised with, where it was asked for or is missing. */
static int set_numbers(struct augment *a, const char *key, const char *text, double above)
{
	char *old = stream_meta(&a->out, key), *json;
	int result, there = old != NULL;

	free(old);
	if (text == NULL && there)
		return 0;
	json = channel_numbers(text ? text : "127.5", a->channels, key, above);
	if (json == NULL)
		return -1;
	result = stream_set_meta(&a->out, key, json);
	free(json);
	return result;
}

static int make_head(const struct wish *wish, struct augment *a)
{
	const char *argument[6];
	char seed[32];
	int n = 0;

	TRY(augment_head(a));
	TRY(set_numbers(a, "mean", wish->mean, -1e6));
	TRY(set_numbers(a, "deviation", wish->deviation, 0));
	if (wish->seeded) {
		snprintf(seed, sizeof(seed), "%lld", (long long)wish->seed);
		argument[n++] = "--seed";
		argument[n++] = seed;
	}
	if (wish->orient)
		argument[n++] = "--exif-orient";
	if (wish->each_step)
		argument[n++] = "--each-step";
	argument[n++] = wish->text;
	argument[n] = NULL;
	return stream_add_stage(&a->out, "img-augment", argument);
}

/* The seed of a stream: its own unless another was given; 0 if there is none. */
static int find_seed(struct work *w, const struct stream_head *h)
{
	char *text, *end;

	w->seed = (uint64_t)w->wish->seed;
	if (w->wish->seeded)
		return 0;
	fail_clear();
	text = stream_meta(h, "seed");
	if (text == NULL)
		return *fail_why() ? -1 : 0;
	w->seed = strtoull(text, &end, 10);
	if (end == text || *end)
		return fail("the stream's seed is '%s'", text), free(text), -1;
	free(text);
	return 0;
}

/* Begins a segment of the stream: looks at its columns. */
static int begin_segment(struct work *w, const struct stream_head *h)
{
	struct augment *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return fail_errno("segment");
	w->stream = a;
	TRY(augment_begin(a, w->wish->recipe, h, w->wish->orient ? CANVAS_ORIENT : 0,
			  w->wish->each_step));
	if (w->wish->max_bad > 0 && a->label < 0)
		return fail("--max-bad marks a bad sample by its label: these have none");
	if (a->height == 0) {
		a->height = w->height;
		a->width = w->width;
	}
	return find_seed(w, h);
}

/* Hands in the header, once the size that comes out is known. */
static int hand_in_head(struct work *w)
{
	w->height = w->stream->height;
	w->width = w->stream->width;
	TRY(make_head(w->wish, w->stream));
	return hand_in(w, next_job(w, JOB_BEGIN));
}

static int hand_in_samples(struct work *w, const struct stream_view *column,
			   uint32_t samples, uint64_t position)
{
	const struct augment *a = w->stream;
	uint32_t first, count;

	for (first = 0; first < samples; first += count) {
		struct job *j = next_job(w, JOB_DATA);

		count = augment_cut(a, column, first, samples);
		if (count == 0)
			return -1;
		TRY(augment_fill(a, &j->work, column, first, count,
				 position + (uint64_t)first * a->in.parts, w->seed));
		TRY(hand_in(w, j));
	}
	return 0;
}

static int hand_in_mark(struct work *w, enum job_kind kind, uint64_t position)
{
	struct job *j = next_job(w, kind);

	j->position = position * (w->wish->each_step ? (uint64_t)w->wish->recipe->count + 1 : 1);
	return hand_in(w, j);
}

/* One record of the input: 0 or -1. */
static int take_record(struct work *w, const struct stream_record *r, int *begun)
{
	struct stream_view column[STREAM_COLUMNS];

	if (w->stream == NULL)
		TRY(begin_segment(w, stream_head(w->reader)));
	for (int c = 0; r->kind == STREAM_DATA && c < w->stream->in.columns; c++)
		stream_view(w->reader, r, c, &column[c]);
	if (!*begun && w->stream->height == 0 && !w->wish->each_step) {
		if (r->kind != STREAM_DATA)
			return fail("no image came that would tell the size: end the recipe "
				    "with size or crop");
		TRY(augment_learn(w->stream, column, r->samples));
	}
	if (!*begun)
		TRY(hand_in_head(w));
	*begun = 1;
	if (r->kind == STREAM_DATA)
		return hand_in_samples(w, column, r->samples, r->position);
	TRY(hand_in_mark(w, r->kind == STREAM_EPOCH ? JOB_EPOCH : JOB_END, r->position));
	if (r->kind == STREAM_SEGMENT) {
		w->stream = NULL;
		*begun = 0;
	}
	return 0;
}

static void *read_stream(void *arg)
{
	struct work *w = arg;
	struct stream_record r;
	int begun = 0, got;

	/* Where the size is known the header goes out at once: a program downstream can
	 * get ready while the first record is made. */
	if (begin_segment(w, stream_head(w->reader)) < 0)
		goto bad;
	if (w->stream->height > 0 || w->wish->each_step) {
		if (hand_in_head(w) < 0)
			goto bad;
		begun = 1;
	}
	while ((got = stream_read(w->reader, &r)) > 0)
		if (take_record(w, &r, &begun) < 0)
			goto bad;
	if (got < 0)
		hand_in_failure(w, stream_status(w->reader));
	pool_end(w->pool);
	return NULL;
bad:
	hand_in_failure(w, STATUS_BAD);
	pool_end(w->pool);
	return NULL;
}

/* Image files being made a record. */
struct pile {
	struct text image, name;
	uint32_t image_bytes[FILES_MOST], name_bytes[FILES_MOST];
	unsigned char id[FILES_MOST * 8];
	uint32_t n;
};

static int add_file(struct pile *p, const char *path, int number)
{
	size_t n;
	char *data = file_read(path, FILE_MAX, &n);

	if (data == NULL)
		return -1;
	text_add_bytes(&p->image, data, n);
	free(data);
	text_add(&p->name, "%s", path);
	p->image_bytes[p->n] = (uint32_t)n;
	p->name_bytes[p->n] = (uint32_t)strlen(path);
	for (int i = 0; i < 8; i++)
		p->id[8 * p->n + (uint32_t)i] = (unsigned char)(i < 4 ? number >> 8 * i : 0);
	p->n++;
	return p->image.failed || p->name.failed ? fail("%s: out of memory", path) : 0;
}

static int hand_in_pile(struct work *w, struct pile *p, uint64_t position)
{
	struct stream_view column[] = {
		{ (unsigned char *)p->image.data, p->image_bytes, p->image.length },
		{ p->id, NULL, 8 * p->n },
		{ (unsigned char *)p->name.data, p->name_bytes, p->name.length },
	};
	int result = 0;

	if (w->stream->height == 0 && !w->wish->each_step)
		result = augment_learn(w->stream, column, p->n);
	if (result == 0 && position == 0)
		result = hand_in_head(w);
	if (result == 0)
		result = hand_in_samples(w, column, p->n, position);
	text_release(&p->image);
	text_release(&p->name);
	p->n = 0;
	return result;
}

static int take_files(struct work *w, struct pile *p, int *status)
{
	struct stream_head head = {
		.samples = (uint64_t)w->wish->files, .epoch = (uint64_t)w->wish->files,
		.payload_max = STREAM_RECORD_MAX, .record_max = FILES_MOST, .parts = 1,
		.columns = 3, .column = {
			{ "image", DTYPE_U8, 1, { STREAM_VARIES } },
			{ "id", DTYPE_I64, 1, { 1 } },
			{ "name", DTYPE_U8, 1, { STREAM_VARIES } },
		},
	};
	uint64_t position = 0;

	*status = STATUS_BAD;
	TRY(begin_segment(w, &head));
	for (int i = 0; i < w->wish->files; i++) {
		if (add_file(p, w->wish->file[i], i) < 0) {
			*status = STATUS_SYSTEM;
			return -1;
		}
		if (p->n == FILES_MOST || p->image.length >= FILES_BYTES ||
		    i + 1 == w->wish->files) {
			TRY(hand_in_pile(w, p, position));
			position = (uint64_t)i + 1;
		}
	}
	return hand_in_mark(w, JOB_END, position);
}

static void *read_files(void *arg)
{
	struct work *w = arg;
	struct pile *pile = calloc(1, sizeof(*pile));
	int status = STATUS_SYSTEM;

	if (pile == NULL)
		fail_errno("image files");
	if (pile == NULL || take_files(w, pile, &status) < 0)
		hand_in_failure(w, status);
	if (pile != NULL) {
		text_release(&pile->image);
		text_release(&pile->name);
	}
	free(pile);
	pool_end(w->pool);
	return NULL;
}

/* ---- writing ---- */

/* Says which samples were bad; dies where they are too many. */
static void tell_bad(const struct wish *wish, const struct job *j, int64_t *bad)
{
	char name[FAIL_MAX];

	for (uint32_t i = 0; i < j->work.samples && j->work.bad > 0; i++) {
		if (j->work.why[i] == NULL)
			continue;
		augment_sample_name(j->stream, &j->work, i, name, sizeof(name));
		if (++*bad > wish->max_bad && wish->max_bad > 0)
			die(STATUS_BAD, "%s: %s: bad image number %lld, with --max-bad %lld",
			    name, j->work.why[i], (long long)*bad, (long long)wish->max_bad);
		if (*bad > wish->max_bad)
			die(STATUS_BAD, "%s: %s", name, j->work.why[i]);
		note("%s: %s: bad, number %lld", name, j->work.why[i], (long long)*bad);
	}
}

static int write_job(struct stream_writer *out, struct job *j)
{
	struct stream_view column[STREAM_COLUMNS];

	switch (j->kind) {
	case JOB_BEGIN:
		return stream_begin(out, &j->stream->out);
	case JOB_DATA:
		augment_result(j->stream, &j->work, column);
		return stream_write(out, j->work.position_out, j->work.samples_out, column);
	case JOB_EPOCH:
		return stream_epoch(out, j->position);
	case JOB_END:
		TRY(stream_end(out, j->position));
		augment_release(j->stream);
		free(j->stream);
		return 0;
	case JOB_FAILED:
		fail("%s", j->why ? j->why : "out of memory");
		die_input(j->status);
	}
	return -1;
}

static void write_all(struct work *w, struct stream_writer *out)
{
	struct progress progress;
	int64_t bad = 0;
	uint64_t done = 0;
	void *job;
	int got;

	progress_begin(&progress, w->wish->quiet ? -1 : w->wish->progress, "images", 0,
		       (uint64_t)w->wish->files);
	while ((got = pool_take(w->pool, &job)) > 0) {
		struct job *j = job;

		if (j->kind == JOB_DATA)
			tell_bad(w->wish, j, &bad);
		if (write_job(out, j) < 0)
			die_why(STATUS_SYSTEM);
		if (j->kind == JOB_DATA)
			progress_show(&progress, done += j->work.samples, NULL);
	}
	if (got < 0)
		die_why(STATUS_SYSTEM);
	progress_end(&progress);
	if (bad > 0)
		note("%lld of %llu images were bad", (long long)bad, (unsigned long long)done);
}

static void open_work(struct work *w, int threads)
{
	int depth = 2 * threads;

	w->ring = (size_t)depth + 2;
	w->job = calloc(w->ring, sizeof(*w->job));
	w->canvas = calloc((size_t)threads, sizeof(struct canvas *));
	if (w->job == NULL || w->canvas == NULL)
		die(STATUS_SYSTEM, "out of memory for %d threads", threads);
	for (int i = 0; i < threads; i++) {
		w->canvas[i] = canvas_new();
		if (w->canvas[i] == NULL)
			die_why(STATUS_SYSTEM);
	}
	w->pool = pool_open(threads, depth, work_on, w);
	if (w->pool == NULL)
		die_why(STATUS_SYSTEM);
}

static void close_work(struct work *w, int threads)
{
	pool_free(w->pool);
	for (int i = 0; i < threads; i++)
		canvas_free(w->canvas[i]);
	for (size_t i = 0; i < w->ring; i++) {
		augment_job_release(&w->job[i].work);
		free(w->job[i].why);
	}
	free(w->canvas);
	free(w->job);
	stream_close(w->reader);
}

static void run(const struct wish *wish)
{
	int threads = (int)wish->threads, status, error;
	struct stream_writer *out;
	struct work w = { .wish = wish };
	pthread_t reader;

	refuse_terminal_out(STDOUT_FILENO);
	if (wish->files == 0)
		refuse_terminal_in(STDIN_FILENO);
	out = stream_writer_open(STDOUT_FILENO, "stdout");
	if (out == NULL)
		die_why(STATUS_SYSTEM);
	die_stream(out);
	if (wish->files == 0 &&
	    (w.reader = stream_open(STDIN_FILENO, "stdin", &status)) == NULL)
		die_input(status);
	open_work(&w, threads);
	error = pthread_create(&reader, NULL, wish->files ? read_files : read_stream, &w);
	if (error)
		die(STATUS_SYSTEM, "a thread for reading: %s", strerror(error));
	write_all(&w, out);
	pthread_join(reader, NULL);
	close_work(&w, threads);
	die_stream(NULL);
	stream_writer_close(out);
}

/* ---- the command line ---- */

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

static void read_operands(struct wish *w, char **operand, int n)
{
	if (n == 0)
		usage_error("a recipe is missing, as in: img-augment 'random-crop | size 224 | flip'"
			    " ('' only decodes)");
	look_for_missing_quotes(operand, n);
	w->recipe = recipe_parse(operand[0]);
	if (w->recipe == NULL && access(operand[0], F_OK) == 0)
		usage_error("the first operand is the recipe ('' only decodes), and '%s' is a "
			    "file: files come after it", operand[0]);
	if (w->recipe == NULL)
		usage_error("%s", fail_why());
	w->text = recipe_text(w->recipe);
	if (w->text == NULL)
		die_why(STATUS_SYSTEM);
	w->file = (const char **)operand + 1;
	w->files = n - 1;
	if (n == 2 && strcmp(operand[1], "-") == 0)
		w->files = 0;
}

static int64_t cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

int main(int argc, char **argv)
{
	struct wish w = { .seed = -1 };
	const struct opt table[] = {
		{ "threads", 'j', OPT_INT, &w.threads, "N",
		  "threads that decode (default: one a core); the bytes are the same" },
		{ "seed", 's', OPT_INT, &w.seed, "N",
		  "of the random choices (default: the stream's, or 0)" },
		{ "max-bad", 0, OPT_INT, &w.max_bad, "N",
		  "go on over so many images that do not decode (label -1)" },
		{ "exif-orient", 0, OPT_FLAG, &w.orient, NULL,
		  "turn images as their EXIF orientation says" },
		{ "mean", 0, OPT_STRING, &w.mean, "R,G,B",
		  "for normalising, of pixels 0..255 (default: 127.5)" },
		{ "deviation", 0, OPT_STRING, &w.deviation, "R,G,B",
		  "for normalising, of pixels 0..255 (default: 127.5)" },
		{ "each-step", 0, OPT_FLAG, &w.each_step, NULL,
		  "write the image as read and after each step, to look at" },
		{ "steps", 0, OPT_FLAG, &w.steps, NULL, "list the steps of recipes and exit" },
		{ "progress", 0, OPT_FLAG, &w.progress, NULL,
		  "show the rate also where stderr is no terminal" },
		{ "quiet", 'q', OPT_FLAG, &w.quiet, NULL, "no notes, no progress" },
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
	int first = opt_read(argc, argv, &usage);

	if (w.steps) {
		print_steps();
		close_stdout();
		return STATUS_OK;
	}
	quiet(w.quiet);
	w.seeded = w.seed != -1;
	if (!w.seeded)
		w.seed = 0;
	if (w.seed < 0)
		usage_error("--seed %lld: at least 0", (long long)w.seed);
	if (w.threads == 0)
		w.threads = cores();
	if (w.threads < 1 || w.threads > THREADS_MAX)
		usage_error("--threads %lld: 1 to %d", (long long)w.threads, THREADS_MAX);
	if (w.max_bad < 0)
		usage_error("--max-bad %lld: at least 0", (long long)w.max_bad);
	read_operands(&w, argv + first, argc - first);
	if (w.files > 0 && w.max_bad > 0)
		usage_error("--max-bad marks a bad image by its label, and files have none");
	run(&w);
	recipe_free(w.recipe);
	free(w.text);
	return STATUS_OK;
}
