/* Averages checkpoints: options and the choice of files; lib/train does the sums. */
#include "base/fail.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "train/average.h"
#include "train/folder.h"
#include "train/runlog.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char more[] =
	"Examples:\n"
	"  ckpt-avg -o mean.safetensors --last 5 run/\n"
	"  ckpt-avg -o best3.safetensors --best 3 --metric loss:min run/\n";

static void tell(const char *text)
{
	note("%s", text);
}

static void *need(void *p)
{
	if (!p)
		die(STATUS_SYSTEM, "out of memory");
	return p;
}

static double *read_weights(const char *text, int count)
{
	double *weight = need(calloc((size_t)count + 1, sizeof(*weight)));
	int n = 0;

	for (const char *at = text;; at++) {
		char *end;
		double v = strtod(at, &end);

		/* Products with numbers of 32 bits stay where doubles are exact. */
		if (end == at || !(v >= 1e-30 && v <= 1e30) || (*end && *end != ','))
			usage_error("--weights '%s': not numbers above 0 (1e-30 to 1e30) separated "
				    "by commas", text);
		if (n < count)
			weight[n] = v;
		n++;
		if (!*end)
			break;
		at = end;
	}
	if (n != count)
		usage_error("--weights: %d of them for %d files", n, count);
	return weight;
}

/* The names of the newest checkpoints, oldest first. */
static const char **newest_of(const char *run, int count)
{
	const char **path = need(calloc((size_t)count, sizeof(*path)));
	int n;
	int64_t *step = folder_steps(run, &n);

	if (!step)
		die_why(STATUS_SYSTEM);
	if (n < count)
		die(STATUS_BAD, "%s: %d checkpoints of steps, not %d (net-train --keep)", run, n,
		    count);
	for (int i = 0; i < count; i++)
		path[i] = need(folder_step_name(run, step[n - count + i]));
	free(step);
	return path;
}

struct choice { int64_t step; double value; };

/* The better one first; of equal ones the later. */
static int by_value(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	return (x->step < y->step) - (x->step > y->step);
}

static int read_metric(const char *text, char name[16])
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (!colon || n > 15 || (strcmp(colon, ":max") && strcmp(colon, ":min")))
		usage_error("--metric '%s': not NAME:max or NAME:min", text);
	memcpy(name, text, n);
	name[n] = '\0';
	if (!runlog_is_metric(name) || !strcmp(name, "lr"))
		usage_error("--metric '%s': the log has top1, top5 and loss", text);
	return !strcmp(colon, ":max") ? 1 : -1;
}

/* The names of the checkpoints that validation liked best, those still there. */
static const char **best_of(const char *run, int count, const char *metric)
{
	const char **path = need(calloc((size_t)count, sizeof(*path)));
	struct runlog_run log;
	struct choice *choice;
	char name[16];
	int sign = read_metric(metric, name), n = 0;

	if (runlog_read(&log, run) < 0)
		die_why(STATUS_SYSTEM);
	choice = need(calloc((size_t)log.val.points + 1, sizeof(*choice)));
	for (int i = 0; i < log.val.points; i++) {
		const struct runlog_point *p = &log.val.point[i];
		char *file = need(folder_step_name(run, p->step));

		if (!isnan(runlog_metric(p, name)) && !access(file, R_OK))
			choice[n++] = (struct choice){ p->step, sign * runlog_metric(p, name) };
		free(file);
	}
	if (n < count)
		die(STATUS_BAD,
		    "%s: %d checkpoints that were validated, not %d (net-train --keep)", run,
		    n, count);
	qsort(choice, (size_t)n, sizeof(*choice), by_value);
	for (int i = 0; i < count; i++)
		path[i] = need(folder_step_name(run, choice[i].step));
	free(choice);
	runlog_release(&log);
	return path;
}

/* Every file stays open. */
static void raise_files(void)
{
	struct rlimit l;

	if (!getrlimit(RLIMIT_NOFILE, &l)) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

int main(int argc, char **argv)
{
	struct average a = { .note = tell };
	const char *weights = NULL, *metric = NULL;
	const char **chosen = NULL;
	int64_t last = 0, best = 0;
	int silent = 0, status;
	const struct opt table[] = {
		{ "output", 'o', OPT_STRING, &a.output, "FILE", "the mean (must be given)" },
		{ "weights", 0, OPT_STRING, &weights, "LIST",
		  "of the files: 1,2,1 (default: all alike)" },
		{ "last", 0, OPT_INT, &last, "N", "of a run's folder, the newest N" },
		{ "best", 0, OPT_INT, &best, "N",
		  "of a run's folder, the N that validation liked best" },
		{ "metric", 0, OPT_STRING, &metric, "NAME:WAY",
		  "what --best goes by: top1:max, top5:max, loss:min (default: top1:max)" },
		{ "weights-only", 0, OPT_FLAG, &a.weights_only, NULL,
		  "leave the optimizer's state out" },
		{ "quiet", 'q', OPT_FLAG, &silent, NULL, "only say what went wrong" },
		{ NULL, 0, OPT_FLAG, NULL, NULL, NULL },
	};
	const struct opt_usage usage = {
		.program = "ckpt-avg", .purpose = "average checkpoints",
			.operands = "FILE ... | RUN",
		.table = table, .more = more, .most = -1 };
	int first = opt_read(argc, argv, &usage);

	quiet(silent);
	if (!a.output)
		usage_error("-o FILE: where is the mean to go?");
	if (first == argc)
		usage_error("which checkpoints?");
	if (last < 0 || best < 0 || last > 100000 || best > 100000 || (last && best))
		usage_error("--last N or --best N");
	if (metric && !best)
		usage_error("--metric belongs to --best");
	if (last || best) {
		if (argc - first != 1)
			usage_error("--last and --best take one folder of a run");
		chosen = last ? newest_of(argv[first], (int)last)
			      : best_of(argv[first], (int)best, metric ? metric : "top1:max");
	}
	a.path = chosen ? chosen : (const char *const *)argv + first;
	a.count = chosen ? (int)(last ? last : best) : argc - first;
	a.weight = weights ? read_weights(weights, a.count) : NULL;
	raise_files();
	int e = average_files(&a, &status);

	for (int i = 0; chosen && i < a.count; i++)
		free((char *)(uintptr_t)chosen[i]);
	free(chosen);
	free((double *)(uintptr_t)a.weight);
	if (e < 0)
		die_why(status);
	return 0;
}
