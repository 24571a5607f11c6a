/* Evaluates a checkpoint on a batch stream: options, files and words. */
#include "base/fail.h"
#include "base/io.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "cli/progress.h"
#include "dev/dev.h"
#include "train/network.h"
#include "train/report.h"
#include "train/signals.h"
#include "train/train.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char more[] =
	"Example:\n"
	"  tfrec-cat val-*-of-00128 | img-augment 'size 256 | crop 224' |\n"
	"    net-eval --predict wrong.tsv run/best.safetensors\n";

struct eval {
	const char *checkpoint, *network, *devices, *predict, *logits, *confusion;
	const char *mean, *deviation, *precision, *libraries;
	struct opt_list set;
	int64_t batch, threads;
	int json, per_class, quiet, progress;
	struct input_from from;
	/* what is open */
	struct safetensors *file;
	struct network net;
	struct input *input;
	struct machine machine;
	struct report report;
	struct newfile logits_file;
	struct score score;
	json_t *names;
	int views;
	struct progress line;
};

/* The network: the checkpoint's own, or another one given by name. */
static void open_network(struct eval *e)
{
	int r = e->network
		? network_open(&e->net, e->network, e->set.item, e->set.count)
		: network_from(&e->net, safetensors_meta(e->file, "network"),
			       safetensors_meta(e->file, "network.text"),
			       safetensors_meta(e->file, "network.settings"));

	if (r < 0 && !e->network)
		die(STATUS_BAD, "%s: %s (or give the network: -n resnet50)", e->checkpoint,
		    fail_why());
	if (r < 0)
		die_why(STATUS_BAD);
	if (e->set.count && !e->network)
		usage_error("--set belongs to -n: the checkpoint brings its own network");
}

static json_t *read_json(const char *text)
{
	return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

static int numbers_from(const json_t *list, int channels, float *out)
{
	if (json_array_size(list) != (size_t)channels)
		return -1;
	for (int c = 0; c < channels; c++)
		out[c] = (float)json_number_value(json_array_get(list, (size_t)c));
	return 0;
}

/* The checkpoint's normalisation, unless options say another. */
static struct input_attr normalisation(struct eval *e)
{
	const struct stream_head *h = input_head(e->input);
	int channels = e->net.graph->input.c;
	struct input_attr a, own = { { 0 }, { 1, 1, 1, 1 } };
	json_t *j = read_json(safetensors_meta(e->file, "normalise"));

	if (train_normalise(&a, h, channels, e->mean, e->deviation) < 0)
		die_why(STATUS_USAGE);
	if (j && (numbers_from(json_object_get(j, "mean"), channels, own.mean) < 0 ||
		  numbers_from(json_object_get(j, "deviation"), channels, own.deviation) < 0))
		die(STATUS_BAD, "%s: normalise in its metadata: not numbers for %d channels",
		    e->checkpoint, channels);
	if (j && !e->mean && !e->deviation) {
		char *has = stream_meta(h, "mean");

		if (has && memcmp(&a, &own, sizeof(a)))
			note("the stream asks for another normalisation than the network was "
			     "trained with; the checkpoint's is used");
		free(has);
		a = own;
	} else if (!j && !e->mean && !e->deviation) {
		note("%s: does not say how pixels were normalised: taken are mean %g, "
		     "deviation %g, ... (--mean, --deviation)", e->checkpoint,
		     (double)a.mean[0], (double)a.deviation[0]);
	}
	json_decref(j);
	return a;
}

/* Class names: the checkpoint's, or the stream's; other ones in the stream are refused. */
static void find_names(struct eval *e)
{
	char *text = stream_meta(input_head(e->input), "classes");
	json_t *stream = read_json(text), *own = read_json(safetensors_meta(e->file, "classes"));

	free(text);
	if (json_is_array(stream) && json_is_array(own) && !json_equal(stream, own))
		die(STATUS_BAD, "the stream's classes are not those that the network was trained "
		    "on");
	if (json_is_array(own))
		e->names = json_incref(own);
	else if (json_is_array(stream))
		e->names = json_incref(stream);
	json_decref(stream);
	json_decref(own);
}

static void open_input(struct eval *e)
{
	int status;

	e->input = input_open(&e->from, &status);
	if (!e->input) {
		if (signals_came())
			signals_die(signals_came());
		die_why(status);
	}
	e->views = input_views(e->input) > 0 ? input_views(e->input) : 1;
	if (!e->batch) {
		e->batch = input_head(e->input)->record_max;
		e->batch = e->batch > 256 ? 256 : e->batch < 1 ? 1 : e->batch;
		e->batch = (e->batch + e->machine.count - 1) / e->machine.count * e->machine.count;
	}
	if (e->batch % e->machine.count)
		usage_error("a batch of %" PRId64 " cannot be shared equally by %d devices",
			    e->batch,
			    e->machine.count);
}

/* What came up while the program was made. */
static void tell_notes(struct eval *e)
{
	char *text = machine_notes(&e->machine), *rest = text, *line;

	if (!text)
		die_why(STATUS_SYSTEM);
	while ((line = strsep(&rest, "\n")))
		if (*line)
			note("%s", line);
	free(text);
}

static void start(struct eval *e)
{
	struct input_shape shape;
	struct input_attr normalise;
	struct state state;
	int status;

	if (network_expand(&e->net, (int)input_head(e->input)->classes) < 0)
		die_why(STATUS_BAD);
	find_names(e);
	normalise = normalisation(e);
	shape = (struct input_shape){
		.room = (int)e->batch, .image = e->net.graph->input, .views = e->views,
		.classes = e->net.graph->classes, .names = e->predict != NULL, .remainder = 1 };
	if (machine_eval(&e->machine, e->net.graph, (int)e->batch, &normalise,
			 e->logits != NULL) < 0 ||
	    state_make(&state, e->net.graph, 0) < 0)
		die_why(STATUS_SYSTEM);
	if (state_read(&state, e->file, STATE_NO_AUX, &status) < 0)
		die_why(status);
	if (machine_put(&e->machine, &state) < 0)
		die_why(STATUS_SYSTEM);
	state_release(&state);
	tell_notes(e);
	if (input_start(e->input, &shape) < 0)
		die_why(input_status(e->input));
}

static void open_report(struct eval *e)
{
	struct report *r = &e->report;
	size_t classes = (size_t)e->net.graph->classes;

	r->classes = e->net.graph->classes;
	r->names = e->names;
	if (e->predict) {
		const char *end = strrchr(e->predict, '.');

		r->ndjson = end && (!strcmp(end, ".ndjson") || !strcmp(end, ".json"));
		r->predict = strcmp(e->predict, "-") ? fopen(e->predict, "we") : stdout;
		if (!r->predict)
			die(STATUS_SYSTEM, "%s: cannot be written", e->predict);
		report_begin(r);
	}
	if (e->logits) {
		if (newfile_open(&e->logits_file, e->logits) < 0)
			die_why(STATUS_SYSTEM);
		r->logits = fdopen(e->logits_file.fd, "w");
		if (!r->logits || report_logits_begin(r) < 0)
			die_why(STATUS_SYSTEM);
	}
	if (e->per_class || e->confusion) {
		r->confusion = calloc(classes * classes, sizeof(*r->confusion));
		if (!r->confusion)
			die(STATUS_SYSTEM, "out of memory for %zu x %zu classes", classes, classes);
	}
}

static int look(void *context, const struct machine *m, const struct batch *b)
{
	struct eval *e = context;
	char extra[64];

	snprintf(extra, sizeof(extra), "top-1 %.2f %%",
		 100 * (double)e->score.top1 / (double)(e->score.samples ? e->score.samples : 1));
	progress_show(&e->line, (uint64_t)e->score.samples, extra);
	return report_batch(&e->report, m, b);
}

static void run(struct eval *e)
{
	const struct stream_head *h = input_head(e->input);
	int status;

	progress_begin(&e->line, e->quiet ? -1 : e->progress, "images", 0,
		       h->samples == STREAM_UNKNOWN ? 0 : h->samples);
	int r = evaluate_all(&e->machine, e->input, e->views, 0, &e->score, look, e, &status);
	progress_end(&e->line);
	if (r < 0) {
		newfile_abort(&e->logits_file);
		if (signals_came())
			signals_die(signals_came());
		die_why(status);
	}
	if (!e->score.samples)
		die(STATUS_BAD, "no samples");
}

/* What was written must have arrived. */
static void close_report(struct eval *e)
{
	struct report *r = &e->report;

	if (r->predict && r->predict != stdout && (fflush(r->predict) || fclose(r->predict)))
		die(STATUS_SYSTEM, "%s: not all of it could be written", e->predict);
	if (r->logits) {
		if (report_logits_end(r) < 0 || newfile_commit(&e->logits_file) < 0)
			die_why(STATUS_SYSTEM);
	}
	if (e->confusion) {
		FILE *f = strcmp(e->confusion, "-") ? fopen(e->confusion, "we") : stdout;

		if (!f)
			die(STATUS_SYSTEM, "%s: cannot be written", e->confusion);
		report_confusion(r, f);
		if (f != stdout && (fflush(f) || fclose(f)))
			die(STATUS_SYSTEM, "%s: not all of it could be written", e->confusion);
	}
}

static void print_scores(const struct eval *e, FILE *f)
{
	const struct score *s = &e->score;
	double n = (double)s->samples, labelled = (double)(s->samples - s->bad);

	if (e->json) {
		json_t *loss = labelled > 0 && isfinite(s->loss) ? json_real(s->loss / labelled)
			     : json_null();
		json_t *o = json_pack("{s:I, s:f, s:f, s:o, s:I}",
				      "samples", (json_int_t)s->samples,
				      "top1", (double)s->top1 / n, "top5", (double)s->top5 / n,
				      "loss", loss, "bad", (json_int_t)s->bad);

		json_dumpf(o, f, JSON_REAL_PRECISION(9));
		fputc('\n', f);
		json_decref(o);
		return;
	}
	fprintf(f, "samples %" PRId64 "\n", s->samples);
	fprintf(f, "top-1   %.2f %%\n", 100 * (double)s->top1 / n);
	fprintf(f, "top-5   %.2f %%\n", 100 * (double)s->top5 / n);
	if (labelled > 0)
		fprintf(f, "loss    %.4f\n", s->loss / labelled);
	if (s->bad)
		fprintf(f, "bad     %" PRId64 "\n", s->bad);
}

static void release(struct eval *e)
{
	input_close(e->input);
	machine_close(&e->machine);
	network_release(&e->net);
	safetensors_close(e->file);
	json_decref(e->names);
	free(e->report.confusion);
}

int main(int argc, char **argv)
{
	struct eval e = { .devices = "cpu", .precision = "fp32", .logits_file = { .fd = -1 } };
	int status;
	const struct opt table[] = {
		{ "batch", 'b', OPT_INT, &e.batch, "N", "samples computed at a time (default: a "
		  "record's, at most 256)" },
		{ "devices", 'd', OPT_STRING, &e.devices, "LIST",
		  "cpu, cpu*2, ref, cuda:0-3 (default: cpu)" },
		{ "cuda-libs", 0, OPT_STRING, &e.libraries, "DIR", DEVICE_LIBRARIES_HELP },
		{ "threads", 'j', OPT_INT, &e.threads, "N", "threads of the devices together "
		  "(default: their choice)" },
		{ "precision", 0, OPT_STRING, &e.precision, "NAME",
		  "fp32, bf16, or auto: the faster (default: fp32)" },
		{ "network", 'n', OPT_STRING, &e.network, "NAME",
		  "a network instead of the checkpoint's: of the zoo, or a path" },
		{ "set", 0, OPT_LIST, &e.set, "NAME=VALUE", "with -n: a parameter of the network" },
		{ "predict", 0, OPT_STRING, &e.predict, "FILE",
		  "a line a sample: id, name, label, best five; TSV, or NDJSON for .ndjson" },
		{ "logits", 0, OPT_STRING, &e.logits, "FILE",
		  "what goes into the softmax, as NPY" },
		{ "per-class", 0, OPT_FLAG, &e.per_class, NULL,
		  "a table of the classes: samples, right, share" },
		{ "confusion", 0, OPT_STRING, &e.confusion, "FILE",
		  "counts of (label, best class) as TSV" },
		{ "mean", 0, OPT_STRING, &e.mean, "LIST", "of pixels 0..255, by channel "
		  "(default: the checkpoint's)" },
		{ "deviation", 0, OPT_STRING, &e.deviation, "LIST", "likewise" },
		{ "json", 0, OPT_FLAG, &e.json, NULL, "print the scores as JSON" },
		{ "progress", 0, OPT_FLAG, &e.progress, NULL,
		  "show progress although stderr is no terminal" },
		{ "quiet", 'q', OPT_FLAG, &e.quiet, NULL, "only say what went wrong" },
		{ NULL, 0, OPT_FLAG, NULL, NULL, NULL },
	};
	const struct opt_usage usage = {
		.program = "net-eval", .purpose = "evaluate a checkpoint on a batch stream of "
			"pixels",
		.operands = "CHECKPOINT [STREAM ...]", .table = table, .more = more, .most = -1 };
	int first = opt_read(argc, argv, &usage);

	quiet(e.quiet);
	if (first == argc)
		usage_error("which checkpoint?");
	if (e.batch < 0 || e.batch > 1 << 24 || e.threads < 0 || e.threads > 4096)
		usage_error("-b, -j: out of range");
	e.checkpoint = argv[first++];
	e.from = (struct input_from){ .file = (const char *const *)argv + first,
				      .files = argc - first, .lanes = 1, .stop = signals_came };
	if (first == argc || !strcmp(argv[first], "-"))
		refuse_terminal_in(0);
	e.file = safetensors_open(e.checkpoint, &status);
	if (!e.file)
		die_why(status);
	open_network(&e);
	if (signals_begin() < 0 || device_libraries(e.libraries) < 0 ||
	    machine_open(&e.machine, e.devices, (int)e.threads, NULL) < 0)
		die_why(STATUS_SYSTEM);
	if (!machine_precision(&e.machine, e.precision))
		usage_error("%s", fail_why());
	open_input(&e);
	start(&e);
	open_report(&e);
	run(&e);
	close_report(&e);
	print_scores(&e, e.predict && !strcmp(e.predict, "-") ? stderr : stdout);
	if (e.per_class)
		report_per_class(&e.report, stdout);
	close_stdout();
	release(&e);
	return 0;
}
