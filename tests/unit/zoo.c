/* The zoo: every name's counts against tests/golden/net/zoo, its table, its drawing. */
#include "net/zoo.h"

#include "base/fail.h"
#include "base/io.h"
#include "net/net_text.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NAMES = 1000 };

static struct zoo zoo;
static struct graph *graphs[NAMES];

static int load_all(void **state)
{
	(void)state;
	if (zoo_list(&zoo) < 0 || zoo.count > NAMES) {
		print_error("%s\n", fail_why());
		return -1;
	}
	for (int i = 0; i < zoo.count; i++) {
		graphs[i] = net_load(zoo.entry[i].name, NULL, 0);
		if (!graphs[i]) {
			print_error("%s\n", fail_why());
			return -1;
		}
	}
	return 0;
}

static int free_all(void **state)
{
	(void)state;
	for (int i = 0; i < zoo.count; i++)
		graph_free(graphs[i]);
	zoo_release(&zoo);
	return 0;
}

static int find(const char *name)
{
	for (int i = 0; i < zoo.count; i++)
		if (!strcmp(zoo.entry[i].name, name))
			return i;
	fail_msg("%s is not in the zoo", name);
	return -1;
}

static char *golden(void)
{
	const char *tests = getenv("TESTS");
	char path[500], *text;
	size_t bytes;

	snprintf(path, sizeof(path), "%s/golden/net/zoo", tests ? tests : "tests");
	text = file_read(path, 1 << 20, &bytes);
	if (!text)
		fail_msg("%s", fail_why());
	return text;
}

static void counts_equal_the_table(void **state)
{
	char *text = golden(), seen[NAMES] = "";
	int lines = 0;

	(void)state;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		int64_t want[4], got[4];
		char name[100];
		int at;

		if (*line == '#')
			continue;
		assert_int_equal(sscanf(line, "%99s | %" SCNd64 " %" SCNd64 " %" SCNd64
					" | %" SCNd64 " |", name, &want[0], &want[1], &want[2],
					&want[3]), 5);
		at = find(name);
		got[0] = graph_count(graphs[at], 1, 0);
		got[1] = graph_count(graphs[at], 1, 1);
		got[2] = graph_count(graphs[at], 0, 1);
		got[3] = graph_madds(graphs[at], 0);
		for (int k = 0; k < 4; k++)
			if (got[k] != want[k])
				fail_msg("%s: count %d is %" PRId64 ", in the table %" PRId64,
					 name, k, got[k], want[k]);
		assert_false(seen[at]);
		seen[at] = 1;
		lines++;
	}
	for (int i = 0; i < zoo.count; i++)
		if (!seen[i])
			fail_msg("%s is not in the table", zoo.entry[i].name);
	assert_int_equal(lines, zoo.count);
	free(text);
}

static void classes_and_names(void **state)
{
	(void)state;
	for (int i = 0; i < zoo.count; i++) {
		const struct graph *g = graphs[i];

		assert_int_equal(g->node[g->out].shape.c, g->classes);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(zoo.entry[i].name, zoo.entry[j].name);
	}
	assert_int_equal(graphs[find("resnet50")]->classes, 1000);
	assert_int_equal(graphs[find("slim_resnet_v1_50")]->classes, 1001);
	assert_int_equal(graphs[find("bench_vgg16")]->classes, 1001);
	assert_int_equal(graphs[find("keras_resnet50")]->classes, 1000);
}

static size_t widest(const char *text)
{
	size_t most = 0, n;

	for (; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		most = n > most ? n : most;
	}
	return most;
}

static void tables_fit(void **state)
{
	(void)state;
	for (int i = 0; i < zoo.count; i++) {
		struct text t = { 0 };

		net_write_table(graphs[i], &t);
		assert_false(t.failed);
		if (widest(t.data) > 100)
			fail_msg("%s: a line of %zu columns", zoo.entry[i].name, widest(t.data));
		text_release(&t);
	}
}

static int occurs(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* Every box is reached but the input's, and each loss is there. */
static void drawings(void **state)
{
	(void)state;
	for (int i = 0; i < zoo.count; i++) {
		struct text t = { 0 };

		assert_int_equal(net_write_dot(graphs[i], &t), 0);
		assert_false(t.failed);
		assert_memory_equal(t.data, "digraph network {\n", 18);
		assert_string_equal(t.data + t.length - 2, "}\n");
		assert_int_equal(occurs(t.data, "auxiliary loss"), graphs[i]->heads);
		assert_int_equal(occurs(t.data, "\tout"), 1 + graphs[i]->heads);
		assert_true(occurs(t.data, " -> n") >= occurs(t.data, "fillcolor") - 1);
		text_release(&t);
	}
}

/* A convolution, its norm and its activation are a box; where two read, one ends. */
static void boxes(void **state)
{
	static const char text[] =
		"input 8 8 3\n"
		"net = a: [conv 3 4 | bn | relu] | sum (b: [conv 1 4 | bn]) () | relu\n"
		"    | aux 0.4 (c: [avgpool | linear classes]) | avgpool | d: linear classes\n";
	struct graph *g = net_read("text", text, sizeof(text) - 1, NULL, 0);
	struct text t = { 0 };

	(void)state;
	assert_non_null(g);
	assert_int_equal(net_write_dot(g, &t), 0);
	assert_non_null(strstr(t.data, "[label=\"a.0\\nconv 3 4\\nbn, relu\""));
	assert_non_null(strstr(t.data, "[label=\"b.0\\nconv 1 4\\nbn\""));
	assert_non_null(strstr(t.data, "[label=\"sum, relu\""));
	assert_non_null(strstr(t.data, "n1 -> n4 [label=\" 8x8x4\"]"));
	assert_non_null(strstr(t.data, "n1 -> n6 [label=\" 8x8x4\"]"));
	assert_non_null(strstr(t.data, "n4 -> n6 [label=\" 8x8x4\"]"));
	assert_non_null(strstr(t.data, "n6 -> n8 [label=\" 8x8x4\", style=dashed]"));
	assert_non_null(strstr(t.data, "[label=\"auxiliary loss, weight 0.4\""));
	assert_int_equal(occurs(t.data, "fillcolor"), 8);
	text_release(&t);
	graph_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_equal_the_table),
		cmocka_unit_test(classes_and_names),
		cmocka_unit_test(tables_fit),
		cmocka_unit_test(drawings),
		cmocka_unit_test(boxes),
	};

	return cmocka_run_group_tests_name("zoo", tests, load_all, free_all);
}
