/* Shows a network: options; lib/net does the rest. */
#include "base/fail.h"
#include "base/text.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "dev/dev.h"
#include "net/net_text.h"
#include "net/program.h"
#include "net/zoo.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wish {
	int count, table, flat, params, dot, zoo, steps, memory, features;
	int evaluation;
	int64_t batch, threads;
	const char *device, *libraries, *without;
	struct opt_list set;
};

static const char more[] =
	"Examples:\n"
	"  net-cat --count resnet18\n"
	"  net-cat --set depth=101 resnet\n"
	"  net-cat --flat my.net | net-cat -\n"
	"  net-cat --dot resnet18 | dot -Tsvg >resnet18.svg\n"
	"  net-cat --steps -d cpu -b 16 resnet50\n";

/* A network that cannot be read is bad data; so is a name that is nowhere. */
static struct graph *load(const char *name, const struct wish *w)
{
	struct graph *g = net_load(name, w->set.item, w->set.count);

	if (!g)
		die_why(STATUS_BAD);
	return g;
}

static void print(struct text *t)
{
	if (t->failed)
		die(STATUS_SYSTEM, "out of memory");
	if (t->length)
		fwrite(t->data, 1, t->length, stdout);
	text_release(t);
}

/* 25.6M: three digits. */
static const char *brief(char buffer[32], int64_t n)
{
	static const char *const unit[] = { "", "k", "M", "G", "T", "P", "E" };
	double v = (double)n;
	int u = 0;

	for (; v >= 999.5; u++)
		v /= 1000;
	snprintf(buffer, 32, "%.*f%s", !u || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2, v, unit[u]);
	return buffer;
}

/* What a line of the list says besides its name. */
static void show_entry(const struct zoo_entry *e, int width)
{
	struct graph *g = net_load(e->name, NULL, 0);
	char input[32], params[32], madds[32];

	if (!g)
		die_why(STATUS_BAD);
	snprintf(input, sizeof(input), "%dx%dx%d", g->input.h, g->input.w, g->input.c);
	printf("%-*s  %-9s  %10s  %13s  %s\n", width, e->name, input,
	       brief(params, graph_count(g, 1, 0)), brief(madds, graph_madds(g, 0)), e->about);
	graph_free(g);
}

static void show_zoo(void)
{
	struct zoo z;
	int width = 0;

	if (zoo_list(&z) < 0)
		die_why(STATUS_SYSTEM);
	for (int i = 0; i < z.count; i++) {
		int n = (int)strlen(z.entry[i].name);

		width = n > width ? n : width;
	}
	printf("%-*s  %-9s  %10s  %13s  %s\n", width, "network", "input", "parameters",
	       "multiply-adds", "paper");
	for (int i = 0; i < z.count; i++)
		show_entry(&z.entry[i], width);
	zoo_release(&z);
}

static struct device *open_device(const struct wish *w, const struct backend **backend)
{
	struct device_name name;
	struct device *device;

	if (device_names(w->device, &name, 1) < 0)
		usage_error("-d: %s", fail_why());
	*backend = backend_find(name.backend);
	device = *backend ? (*backend)->open(*name.which ? name.which : NULL, (int)w->threads)
			  : NULL;
	if (!device)
		die_why(STATUS_SYSTEM);
	return device;
}

static void show_features(const struct wish *w)
{
	const struct backend *backend;
	struct device *device = open_device(w, &backend);
	struct text t = { 0 };

	backend->explain(device, &t);
	print(&t);
	backend->close(device);
}

/* The plain steps and the memory that a device would be given. */
static void show_program(const struct graph *g, const struct wish *w)
{
	const struct backend *backend;
	struct device *device = open_device(w, &backend);
	struct program *p;
	struct target target;
	struct program_options o = {
		.training = !w->evaluation,
		.batch = (int)w->batch,
		.devices = 1,
		.without = w->without,
		.normalise = {.deviation = {1, 1, 1, 1}},
		.optimizer = {.momentum = 0.9, .decay = 1e-4},
	};

	target = backend->target(device);
	p = program_make(g, &o, &target);
	if (!p || (w->steps && program_show_steps(p, stdout) < 0) ||
	    (w->memory && program_show_memory(p, stdout) < 0))
		die_why(STATUS_BAD);
	program_free(p);
	backend->close(device);
}

static void show(const struct graph *g, const struct wish *w)
{
	struct text t = { 0 };

	if (w->count)
		printf("%" PRId64 "\n", graph_count(g, 1, 0));
	if (w->flat && net_write_flat(g, &t) < 0)
		die_why(STATUS_BAD);
	if (w->dot && net_write_dot(g, &t) < 0)
		die_why(STATUS_SYSTEM);
	if (w->params)
		net_write_params(g, &t);
	if (w->table)
		net_write_table(g, &t);
	print(&t);
	if (w->steps || w->memory)
		show_program(g, w);
}

int main(int argc, char **argv)
{
	struct wish w = { .batch = 1, .device = "cpu" };
	const struct opt table[] = {
		{ "count", 0, OPT_FLAG, &w.count, NULL, "print the number of parameters" },
		{ "table", 0, OPT_FLAG, &w.table, NULL,
		  "a line a layer: output, parameters, multiply-adds (the default)" },
		{ "flat", 0, OPT_FLAG, &w.flat, NULL, "the expansion, in the same language" },
		{ "params", 0, OPT_FLAG, &w.params, NULL,
		  "a line a parameter: name, shape, class, distribution" },
		{ "dot", 0, OPT_FLAG, &w.dot, NULL, "a drawing, for Graphviz" },
		{ "zoo", 0, OPT_FLAG, &w.zoo, NULL, "list the networks that come along" },
		{ "set", 0, OPT_LIST, &w.set, "NAME=VALUE",
		  "a parameter of the network, as depth=101, classes=10" },
		{ "steps", 0, OPT_FLAG, &w.steps, NULL, "the plain steps of training on a device" },
		{ "memory", 0, OPT_FLAG, &w.memory, NULL, "the memory that they need" },
		{ "cpu-features", 0, OPT_FLAG, &w.features, NULL,
		  "what the machine has, what a device chose for it, and why" },
		{ "devices", 'd', OPT_STRING, &w.device, "DEVICE",
		  "for --steps, --memory, --cpu-features: cpu, ref, cuda:0 (default: cpu)" },
		{ "batch", 'b', OPT_INT, &w.batch, "N",
		  "likewise: samples of a step (default: 1)" },
		{ "cuda-libs", 0, OPT_STRING, &w.libraries, "DIR", DEVICE_LIBRARIES_HELP },
		{ "threads", 'j', OPT_INT, &w.threads, "N",
		  "likewise: threads (default: the device's choice)" },
		{ "evaluation", 0, OPT_FLAG, &w.evaluation, NULL,
		  "likewise: of evaluation, not of training" },
		{ "without", 0, OPT_STRING, &w.without, "LIST",
		  "likewise: leave these rewrites out (pointwise, stats, ...), or all" },
		{ NULL, 0, OPT_FLAG, NULL, NULL, NULL },
	};
	const struct opt_usage usage = {
		"net-cat", "Shows a network: its layers, size, parameters, steps.", "NETWORK",
		table, more, 1, "one network at a time"
	};
	int operand = opt_read(argc, argv, &usage);
	struct graph *g;

	if (w.zoo) {
		if (operand < argc)
			usage_error("--zoo takes no network");
		show_zoo();
		close_stdout();
		return STATUS_OK;
	}
	if (w.threads < 0 || w.threads > INT_MAX)
		usage_error("-j: at least one thread");
	if (device_libraries(w.libraries) < 0)
		die_why(STATUS_SYSTEM);
	if (w.features) {
		if (operand < argc)
			usage_error("--cpu-features takes no network");
		show_features(&w);
		close_stdout();
		return STATUS_OK;
	}
	if (operand == argc)
		usage_error("no network: a file, or a name that --zoo lists");
	if (w.batch < 1 || w.batch > INT_MAX)
		usage_error("-b: at least one sample");
	w.table = w.table || !(w.count || w.flat || w.params || w.dot || w.steps || w.memory);
	g = load(argv[operand], &w);
	show(g, &w);
	graph_free(g);
	free(w.set.item);
	close_stdout();
	return STATUS_OK;
}
