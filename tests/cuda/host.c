/*
 * Parts of the plug-in for CUDA that need no device, for tests.
 *
 *   cuda-host plans h200|h100   each plan of a few convolutions is written as cuDNN's text
 *                               and made again from it: "graph engine bytes: same", one a
 *                               line; 1 if one is not
 *   cuda-host find LIBRARY      where a library is found, or 1 and why it is not
 */
#include "base/fail.h"
#include "dev/cuda/dnn.h"
#include "dev/cuda/find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANS = 8, SIDE = 14, CHANNELS = 128 };

static struct dnn_graph graph_of(enum dnn_kind kind, unsigned fuse, int groups)
{
	return (struct dnn_graph){
		.kind = kind, .fuse = fuse, .type = DTYPE_F16, .n = 32, .in_h = SIDE,
		.in_w = SIDE, .in_c = CHANNELS, .out_h = SIDE, .out_w = SIDE, .out_c = CHANNELS,
		.groups = groups,
		.window = { { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } } };
}

/* In a library of its own, as another start would. */
static int made_again(const char *device, const struct dnn_graph *g, const char *how,
		      size_t work, const char *text)
{
	struct dnn *d = dnn_open(dnn_properties(device), NULL);
	const struct dnn_plan *p = d ? dnn_plan_read(d, g, how, text) : NULL;
	int same = p && !strcmp(dnn_plan_how(p), how) && dnn_plan_work(p) == work &&
		   dnn_plan(d, g, how) == p;

	dnn_close(d);
	return same;
}

static int try_graph(const char *device, const char *name, const struct dnn_graph *g)
{
	struct dnn *d = dnn_open(dnn_properties(device), NULL);
	const struct dnn_plan *plan[PLANS];
	int n = d ? dnn_plans(d, g, plan, PLANS) : -1, good = n > 0;

	for (int i = 0; i < n; i++) {
		char *text = dnn_plan_text(d, plan[i]);
		int same = text && made_again(device, g, dnn_plan_how(plan[i]),
					      dnn_plan_work(plan[i]), text);

		printf("%-10s %-24s %8zu bytes: %s\n", name, dnn_plan_how(plan[i]),
		       text ? strlen(text) : 0, same ? "same" : fail_why());
		good &= same;
		free(text);
	}
	if (n < 1)
		printf("%-10s %s\n", name, fail_why());
	dnn_close(d);
	return good;
}

static int plans(const char *device)
{
	const struct { const char *name; struct dnn_graph graph; } tries[] = {
		{ "forward", graph_of(DNN_FORWARD, 0, 1) },
		{ "dx", graph_of(DNN_DX, 0, 1) },
		{ "dw", graph_of(DNN_DW, 0, 1) },
		{ "depthwise", graph_of(DNN_FORWARD, 0, CHANNELS) },
		{ "stats", graph_of(DNN_FORWARD, DNN_STATS, 1) },
		{ "prologue", graph_of(DNN_FORWARD, DNN_PROLOGUE | DNN_STATS, 1) },
	};
	int good = 1;

	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
		good &= try_graph(device, tries[i].name, &tries[i].graph);
	return !good;
}

static int find(const char *name)
{
	void *handle = library_open(name, "a library", "");

	printf("%s\n", handle ? library_path(handle) : fail_why());
	return !handle;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "plans") && dnn_properties(argv[2]))
		return plans(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "find"))
		return find(argv[2]);
	fprintf(stderr, "usage: cuda-host plans h200|h100, or cuda-host find LIBRARY\n");
	return 2;
}
