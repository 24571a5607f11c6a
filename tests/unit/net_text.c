/* Networks as text: goldens of networks and of reasons, the flat form, and mutated texts. */
#include "net/net_text.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/rng.h"
#include "net/op.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

static char *golden(const char *name, size_t *bytes)
{
	const char *tests = getenv("TESTS");
	char path[500], *text;

	snprintf(path, sizeof(path), "%s/golden/net/%s", tests ? tests : "tests", name);
	text = file_read(path, 1 << 21, bytes);
	if (!text)
		fail_msg("%s", fail_why());
	return text;
}

/* Cuts words of a line apart: their number. */
static int split(char *line, char **word, int most)
{
	int n = 0;

	for (char *w = strtok(line, " "); w && n < most; w = strtok(NULL, " "))
		word[n++] = w;
	return n;
}

static void expect_same_params(const struct graph *a, const struct graph *b)
{
	assert_int_equal(a->params, b->params);
	for (int i = 0; i < a->params; i++) {
		const struct param *p = &a->param[i], *q = &b->param[i];

		assert_string_equal(p->name, q->name);
		assert_int_equal(p->rank, q->rank);
		assert_memory_equal(p->dim, q->dim, sizeof(p->dim));
		assert_int_equal(p->class, q->class);
		assert_int_equal(p->init, q->init);
		assert_true(p->spread == q->spread);
		assert_int_equal(p->aux, q->aux);
		assert_int_equal(p->shared, q->shared);
	}
}

/* The same network, but for places in the text. */
static void expect_same(const struct graph *a, const struct graph *b)
{
	assert_int_equal(a->nodes, b->nodes);
	for (int i = 0; i < a->nodes; i++) {
		const struct node *n = &a->node[i], *m = &b->node[i];

		assert_int_equal(n->op, m->op);
		assert_memory_equal(&n->shape, &m->shape, sizeof(n->shape));
		assert_int_equal(n->ins, m->ins);
		assert_memory_equal(n->in, m->in, (size_t)n->ins * sizeof(*n->in));
		for (int k = 0; k < op_args(n->op); k++)
			assert_true(n->arg[k] == m->arg[k]);
		assert_memory_equal(&n->window, &m->window, sizeof(n->window));
		assert_memory_equal(n->param, m->param, sizeof(n->param));
		assert_true(n->madds == m->madds);
		assert_string_equal(n->name, m->name);
		assert_string_equal(n->label, m->label);
		assert_int_equal(n->aux, m->aux);
	}
	expect_same_params(a, b);
	assert_int_equal(a->out, b->out);
	assert_int_equal(a->heads, b->heads);
	for (int i = 0; i < a->heads; i++) {
		assert_int_equal(a->head[i].node, b->head[i].node);
		assert_true(a->head[i].weight == b->head[i].weight);
	}
}

/* Writes the flat form and reads it: 1, or 0 where there is no flat form. */
static int round_trip(const struct graph *g)
{
	struct text t = { 0 };
	struct graph *again;

	if (net_write_flat(g, &t) < 0) {
		text_release(&t);
		return 0;
	}
	assert_false(t.failed);
	again = net_read("flat", t.data, t.length, NULL, 0);
	if (!again)
		fail_msg("%s\n%.2000s", fail_why(), t.data);
	expect_same(g, again);
	graph_free(again);
	text_release(&t);
	return 1;
}

static uint32_t names_and_shapes(const struct graph *g)
{
	uLong crc = crc32(0, NULL, 0);

	for (const struct param *p = g->param; p < g->param + g->params; p++) {
		char line[400];
		int n = snprintf(line, sizeof(line), "%s ", p->name);

		for (int i = 0; i < p->rank; i++)
			n += snprintf(line + n, sizeof(line) - (size_t)n, "%s%d", i ? "x" : "",
				      p->dim[i]);
		line[n++] = '\n';
		crc = crc32(crc, (const Bytef *)line, (uInt)n);
	}
	return (uint32_t)crc;
}

static void one_network(char *line)
{
	int64_t params, all, bare, madds;
	char *word[10], file[200], *text, *bar = strchr(line, '|');
	unsigned crc;
	int steps, words;
	size_t bytes;
	struct graph *g;

	assert_int_equal(sscanf(bar,
				"| %" SCNd64 " %" SCNd64 " %" SCNd64 " | %" SCNd64 " | %d | %x",
				&params, &all, &bare, &madds, &steps, &crc),
			 6);
	*bar = '\0';
	words = split(line, word, 10);
	snprintf(file, sizeof(file), "texts/%s.net", word[0]);
	text = golden(file, &bytes);
	g = net_read(word[0], text, bytes, (const char *const *)word + 1, words - 1);
	free(text);
	if (!g)
		fail_msg("%s", fail_why());
	assert_true(graph_count(g, 1, 0) == params);
	assert_true(graph_count(g, 1, 1) == all);
	assert_true(graph_count(g, 0, 0) == bare);
	assert_true(graph_madds(g, 0) == madds);
	assert_int_equal(g->nodes, steps);
	assert_int_equal(names_and_shapes(g), crc);
	assert_int_equal(round_trip(g), 1);
	graph_free(g);
}

static void test_networks(void **state)
{
	size_t bytes;
	char *text = golden("networks", &bytes), *next;
	int count = 0;

	(void)state;
	for (char *line = text; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (*line == '#')
			continue;
		one_network(line);
		count++;
	}
	assert_true(count >= 60);
	free(text);
}

/* What the flat form looks like: an expansion written out, byte for byte. */
static void test_flat(void **state)
{
	static const char *const names[] = { "osnet", "googlenet", "mobilenet_v3", "nasnet" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		char file[100];
		size_t bytes, want_bytes;
		char *text, *want;
		struct text t = { 0 };
		struct graph *g;

		snprintf(file, sizeof(file), "texts/%s.net", names[i]);
		text = golden(file, &bytes);
		snprintf(file, sizeof(file), "%s.flat", names[i]);
		want = golden(file, &want_bytes);
		g = net_read(names[i], text, bytes, NULL, 0);
		assert_non_null(g);
		assert_int_equal(net_write_flat(g, &t), 0);
		assert_string_equal(t.data, want);
		text_release(&t);
		graph_free(g);
		free(text);
		free(want);
	}
}

/* One text that is refused; gives where the next begins. */
static char *one_refused(char *at)
{
	char *text, *why, *end, *word[10];
	int words;
	struct graph *g;

	assert_memory_equal(at, "%% ", 3);
	text = strchr(at, '\n') + 1;
	text[-1] = '\0';
	why = strstr(text, "%=\n");
	assert_non_null(why);
	end = strstr(why, "\n%% ");
	end = end ? end + 1 : why + strlen(why);
	words = split(at + 3, word, 10);
	g = net_read(word[0], text, (size_t)(why - text), (const char *const *)word + 1, words - 1);
	if (g)
		fail_msg("accepted: %s", text);
	end[-1] = '\0';
	assert_string_equal(fail_why(), why + 3);
	return end;
}

static void test_refused(void **state)
{
	size_t bytes;
	char *text = golden("refused", &bytes), *end = text + bytes, *at = strchr(text, '\n') + 1;
	int count = 0;

	(void)state;
	for (; at < end; count++)
		at = one_refused(at + (*at == '\0'));
	assert_true(count > 200);
	free(text);
}

/* Where the reader is stricter than its model, or says more. */
static void test_own_rules(void **state)
{
	static const struct {
		const char *text, *set, *why;
	} cases[] = {
		{ "input 8 8 4\ninput 8 8 4\nnet = relu\n", NULL,
		  "t:2:1: a second input; the first is at line 1" },
		{ "param size = 8\ninput size 8 4\nnet = relu\n", NULL, NULL },
		{ "input 8 8 4\nnet = linear 3\n", "classes=ten",
		  "t:1:1: --set classes: ten is not a number" },
		{ "input 8 8 4\nnet = relu\n", "classes", "--set classes: expected NAME=VALUE" },
		{ "input 8 8 4\nnet = relu\n", "x\n=3",
		  "t:1:1: --set x\\x0a: no such param (there are none)" },
		{ "input 8 8 4\nnet = relu \1\n", NULL,
		  "t:2:12: '\\x01' is not a word of the language" },
		{ "input 8 8 4\nnet = x: conv 3 4 dilation=all\n", NULL,
		  "t:2:28: conv: dilation: all is not a number" },
		{ "input 8 8 4\nnet = x: conv 3 divisible(4, 0)\n", NULL,
		  "t:2:17: division by 0" },
		{ "input 8 8 4\ndef f = relu\nnet = f | if count(f) then relu\n", NULL,
		  "t:3:11: count() is known only when the network is built: it cannot "
		  "decide anything" },
		{ "param classes = ten\ninput 1 1 4\nnet = aux 1 () | relu\n", NULL,
		  "t:3:7: aux: its head gives 1x1x4, not 1x1xten (classes)\n    arriving: 1x1x4" },
		{ "input 8 8 4\n\nnet = relu # caf\xc3\xa9\r\n", NULL, NULL },
		{ "input 8 8 4\nnet = ()\n", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *set[] = { cases[i].set };
		struct graph *g = net_read("t", cases[i].text, strlen(cases[i].text), set,
					   cases[i].set != NULL);

		if (!cases[i].why) {
			assert_non_null(g);
			assert_int_equal(round_trip(g), 1);
		} else {
			assert_null(g);
			assert_string_equal(fail_why(), cases[i].why);
		}
		graph_free(g);
	}
}

/* ---- limits: a text as long as it likes, in bounded time and stack ---- */

static void repeated(struct text *t, const char *before, const char *piece, int n,
		     const char *after)
{
	text_add(t, "%s", before);
	for (int i = 0; i < n; i++)
		text_add(t, "%s", piece);
	text_add(t, "%s", after);
}

static void test_limits(void **state)
{
	static const struct {
		const char *before, *piece;
		int n;
		const char *after, *why;
	} cases[] = {
		{ "input 8 8 4\nnet = ", "(", 100000, "", "brackets are nested deeper than 64" },
		{ "input 8 8 4\nnet = ", "if 1 then ", 90000, "relu\n",
		  "more than 1000 times if within if" },
		{ "input 8 8 4\nnet = x: conv 3 1", "+1", 400000, "\n",
		  "more than 500 operators in a row" },
		{ "input 8 8 4\nnet = x: conv 3 1", "*1", 400, "\n", NULL },
		{ "input 8 8 4\nnet = relu", " | relu", 140000, "\n", "more than 100000 steps" },
		{ "input 8 8 4\nnet = relu", " | relu | ()", 80000, "\n", NULL },
		{ "input 8 8 4\nnet = relu", " | as a | as b", 10000, "\n", "already named a" },
		{ "input 8 8 4\nnet = sum () ", "()", 200000, "\n", NULL },
		{ "input 8 8 4\nnet = x: conv 3 4", " k=1", 90000, "\n", "k= is given twice" },
		{ "input 8 8 4\ndef f", " a", 90000, " = relu\nnet = f\n",
		  "two arguments named a" },
		{ "input 8 8 4\nparam p = 1", " a", 90000, "\n", "more than 256 columns" },
		{ "input 8 8 4\nnet = repeat 1048576 (", "()|", 20, "relu)\n",
		  "more than 1000000 expansions" },
		{ "input 8 8 4\ndef f x = x x | x x\nnet = f f", "", 0, "\n",
		  "expansion deeper than 64" },
		{ "input 8 8 4\nnet = ", "x", 1 << 20, "\n", "longer than 1048576 bytes" },
		{ "input 8 8 4\nnet = a: (", "b.", 120, ": (relu | c: conv 3 4))\n", NULL },
		{ "input 8 8 4\nnet = a: (", "b.", 127, ": (relu))\n",
		  "labels around this relu are longer" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct text t = { 0 };
		struct graph *g;

		repeated(&t, cases[i].before, cases[i].piece, cases[i].n, cases[i].after);
		g = net_read("t", t.data, t.length, NULL, 0);
		if (!g != !!cases[i].why || (cases[i].why && !strstr(fail_why(), cases[i].why)))
			fail_msg("%zu: %s", i, g ? "accepted" : fail_why());
		graph_free(g);
		text_release(&t);
	}
}

/* ---- mutated texts: a network that its flat form gives again, or one reason ---- */

static const char *const pieces[] = {
	"(",
	")",
	"[",
	"]",
	"|",
	",",
	" ",
	"-",
	"+",
	"*",
	"/",
	"=",
	":",
	"@",
	"$",
	"C",
	" if ",
	" then ",
	" else ",
	" as x ",
	"@x",
	"repeat ",
	"1x7",
	"()",
	"0",
	"-1",
	"1e9",
	"..",
	" conv ",
	" sum ",
	" bn ",
	" relu ",
	"c",
	"s",
	"index(",
	"count(",
	"\n",
	"\ndef ",
	"\n ",
	"shared ",
	"aux ",
	" half ",
	" same ",
	" all ",
	"init=",
	"normal(1)",
	" and ",
	"==",
	"x:",
	"k=",
	"fan_in",
	"min(1, 2)",
	" 4.5 ",
	"sqrt(",
	"\ttable t a b\n",
	"\nparam q = 3\n",
	"\n 1 2\n",
	"pad=",
	"ceil=yes",
	"x$i:",
	"~",
	"\xc3\xa9",
	"\1",
	"dropout 2",
	"1.5e3x",
	"0x10",
	"\xff",
	"aux 0.3 ",
	"(@x)",
	"#",
};

static size_t below(struct rng *r, size_t n)
{
	return (size_t)rng_below(r, n);
}

/* Replaces gone bytes of *text at at by a piece. */
static void replace(struct text *text, size_t at, size_t gone, const char *piece, size_t n)
{
	struct text t = { 0 };

	if (gone > text->length - at)
		gone = text->length - at;
	text_add_bytes(&t, text->data, at);
	text_add_bytes(&t, piece, n);
	text_add_bytes(&t, text->data + at + gone, text->length - at - gone);
	text_release(text);
	*text = t;
}

static void mutate(struct text *text, struct rng *r)
{
	const char *piece = pieces[below(r, sizeof(pieces) / sizeof(*pieces))];
	size_t at = below(r, text->length + 1), from = below(r, text->length + 1);
	size_t n = below(r, 20);
	char copy[20];

	switch (below(r, 4)) {
	case 0:
		replace(text, at, 0, piece, strlen(piece));
		break;
	case 1:
		replace(text, at, 1 + below(r, 5), "", 0);
		break;
	case 2:
		replace(text, at, 1, piece, strlen(piece));
		break;
	default:
		n = n < text->length - from ? n : text->length - from;
		memcpy(copy, text->data + from, n);
		replace(text, at, below(r, 20), copy, n);
	}
}

static void test_mutations(void **state)
{
	static const char *const names[] = {
		"osnet",  "mobilenet_v2", "efficientnet",  "inception_v3", "squeezenet",
		"resnet", "nasnet",	  "regnet_y",	   "convnext",	   "digits",
		"vgg",	  "googlenet",	  "shufflenet_v2",
	};
	enum { NAMES = sizeof(names) / sizeof(*names), TRIES = 4000 };
	char *text[NAMES];
	size_t bytes[NAMES];
	int networks = 0, flat = 0;
	struct rng r;

	(void)state;
	for (int i = 0; i < NAMES; i++) {
		char file[100];

		snprintf(file, sizeof(file), "texts/%s.net", names[i]);
		text[i] = golden(file, &bytes[i]);
	}
	rng_init(&r, 1, 0, "mutations");
	for (int i = 0; i < TRIES; i++) {
		size_t k = below(&r, NAMES);
		struct text t = { 0 };
		struct graph *g;

		text_add_bytes(&t, text[k], bytes[k]);
		for (size_t m = 1 + below(&r, 3); m; m--)
			mutate(&t, &r);
		fail_clear();
		g = net_read("t", t.data ? t.data : "", t.length, NULL, 0);
		if (!g)
			assert_memory_equal(fail_why(), "t:", 2);
		else if (networks++ % 4 == 0)
			flat += round_trip(g);
		graph_free(g);
		text_release(&t);
	}
	/* most texts are refused, but not all, and most networks have a flat form */
	assert_true(networks > TRIES / 50);
	assert_true(flat > networks / 8);
	for (int i = 0; i < NAMES; i++)
		free(text[i]);
}

/* Any bytes at all. */
static void test_noise(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 2, 0, "noise");
	for (int i = 0; i < 2000; i++) {
		char noise[200];
		size_t n = below(&r, sizeof(noise));
		struct graph *g;

		for (size_t k = 0; k < n; k++)
			noise[k] =
				(char)(below(&r, 4)
					       ? " \n()[]|,=:@$-+.0123abcdefinputrels"[below(&r,
											     34)]
					       : (char)below(&r, 256));
		g = net_read("t", noise, n, NULL, 0);
		if (!g)
			assert_memory_equal(fail_why(), "t:", 2);
		graph_free(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_own_rules),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("net_text", tests, NULL, NULL);
}
