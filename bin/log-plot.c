/* Draws the curves of training logs. */
#include "base/fail.h"
#include "base/io.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "train/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char more[] =
	"Examples:\n"
	"  log-plot -o curve.svg run/\n"
	"  log-plot run-a/ run-b/log.ndjson >both.svg\n";

/* Epochs are the better axis where every line says them. */
static int all_have_epochs(const struct runlog_run *run, int runs)
{
	for (int i = 0; i < runs; i++) {
		const struct runlog_curve *c[] = { &run[i].train, &run[i].val };

		for (int k = 0; k < 2; k++)
			for (int j = 0; j < c[k]->points; j++)
				if (isnan(c[k]->point[j].epoch))
					return 0;
	}
	return 1;
}

static void write_svg(const char *path, const char *svg)
{
	struct newfile f;

	if (!path || !strcmp(path, "-")) {
		fputs(svg, stdout);
		close_stdout();
		return;
	}
	if (newfile_open(&f, path) < 0)
		die_why(STATUS_SYSTEM);
	if (write_full(f.fd, svg, strlen(svg)) < 0) {
		fail_add("%s", path);
		newfile_abort(&f);
		die_why(STATUS_SYSTEM);
	}
	if (newfile_commit(&f) < 0)
		die_why(STATUS_SYSTEM);
}

int main(int argc, char **argv)
{
	static struct runlog_run run[PLOT_RUNS];
	struct plot p = { .run = run };
	struct text out = { 0 };
	const char *output = NULL;
	char *svg;
	int64_t width = 760, height = 640;
	int steps = 0;
	const struct opt table[] = {
		{ "output", 'o', OPT_STRING, &output, "FILE", "the SVG (default: stdout)" },
		{ "steps", 0, OPT_FLAG, &steps, NULL, "steps across instead of epochs" },
		{ "title", 0, OPT_STRING, &p.title, "TEXT", "a title (default: the network, of "
		  "one run)" },
		{ "width", 0, OPT_INT, &width, "N", "of the picture, in pixels (default: 760)" },
		{ "height", 0, OPT_INT, &height, "N", "likewise (default: 640)" },
		{ NULL, 0, OPT_FLAG, NULL, NULL, NULL },
	};
	const struct opt_usage usage = {
		.program = "log-plot", .purpose = "draw the curves of training logs as SVG",
		.operands = "RUN|LOG ...", .table = table, .more = more, .most = PLOT_RUNS,
		.too_many = "at most 16 runs fit one picture" };
	int first = opt_read(argc, argv, &usage);

	if (first == argc)
		usage_error("which run?");
	if (width < 300 || width > 10000 || height < 300 || height > 10000)
		usage_error("--width, --height: 300 to 10000");
	p.runs = argc - first;
	p.name = (const char *const *)argv + first;
	for (int i = 0; i < p.runs; i++) {
		if (runlog_read(&run[i], p.name[i]) < 0)
			die_why(strcmp(p.name[i], "-") && access(p.name[i], R_OK) ? STATUS_SYSTEM
				: STATUS_BAD);
		if (run[i].bad)
			note("%s: %d lines are not JSON, left out", p.name[i], run[i].bad);
	}
	if (!p.title && p.runs == 1 && *run[0].network)
		p.title = run[0].network;
	p.by_step = steps || !all_have_epochs(run, p.runs);
	p.width = (int)width;
	p.height = (int)height;
	if (plot_svg(&p, &out) < 0)
		die_why(STATUS_BAD);
	svg = text_take(&out);
	if (!svg)
		die(STATUS_SYSTEM, "out of memory");
	write_svg(output, svg);
	free(svg);
	for (int i = 0; i < p.runs; i++)
		runlog_release(&run[i]);
	return 0;
}
