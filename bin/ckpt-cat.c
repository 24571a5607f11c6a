/* Looks at checkpoints: lists, statistics, metadata, differences. */
#include "base/fail.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "data/safetensors.h"
#include "train/inspect.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char more[] =
	"Examples:\n"
	"  ckpt-cat --stats run/last.safetensors\n"
	"  ckpt-cat --diff run/last.safetensors other/last.safetensors\n"
	"  ckpt-cat --get network.text run/last.safetensors | net-cat -\n";

struct cat { int stats, meta, json, diff; const char *get; double tolerance; };

static struct safetensors *open_file(const char *path)
{
	int status;
	struct safetensors *f = safetensors_open(path, &status);

	if (!f)
		die_why(status);
	return f;
}

static json_t *number_json(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

static void print_json(json_t *o)
{
	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(o);
}

/* ---- the list ---- */

static struct tensor_stats stats_of(const struct safetensors *f, int i)
{
	struct tensor_stats s;

	if (tensor_stats(f, i, &s) < 0)
		die_why(STATUS_BAD);
	return s;
}

static void tensor_json(const struct cat *c, const struct safetensors *f, int i)
{
	const struct tensor *t = safetensors_tensor(f, i);
	json_t *o = json_pack("{s:s, s:s}", "name", t->name, "dtype", t->dtype);
	json_t *shape = json_array();

	for (int k = 0; k < t->rank; k++)
		json_array_append_new(shape, json_integer((json_int_t)t->dim[k]));
	json_object_set_new(o, "shape", shape);
	if (c->stats) {
		struct tensor_stats s = stats_of(f, i);

		json_object_set_new(o, "mean", number_json(s.mean));
		json_object_set_new(o, "deviation", number_json(s.deviation));
		json_object_set_new(o, "min", number_json(s.min));
		json_object_set_new(o, "max", number_json(s.max));
		json_object_set_new(o, "not_finite", json_integer((json_int_t)s.strange));
	}
	print_json(o);
}

static void print_name(const char *name, int width)
{
	int n = 0;

	for (; name[n]; n++)
		putchar((unsigned char)name[n] < ' ' || name[n] == 127 ? '?' : name[n]);
	for (; n < width; n++)
		putchar(' ');
}

static int name_width(const struct safetensors *f)
{
	size_t most = 4;

	for (int i = 0; i < safetensors_count(f); i++) {
		size_t n = strlen(safetensors_tensor(f, i)->name);

		most = n > most ? n : most;
	}
	return most > 60 ? 60 : (int)most;
}

static void list_tensors(const struct cat *c, const struct safetensors *f)
{
	int width = name_width(f);

	if (!c->json && c->stats) {
		print_name("name", width);
		printf("  %-5s %-16s %11s %11s %11s %11s %s\n", "dtype", "shape", "mean",
		       "deviation",
		       "min", "max", "not finite");
	}
	for (int i = 0; i < safetensors_count(f); i++) {
		const struct tensor *t = safetensors_tensor(f, i);
		char shape[176];

		if (c->json) {
			tensor_json(c, f, i);
			continue;
		}
		print_name(t->name, width);
		tensor_shape(t, shape, sizeof(shape));
		if (c->stats) {
			struct tensor_stats s = stats_of(f, i);

			printf("  %-5s %-16s %11.4g %11.4g %11.4g %11.4g %" PRIu64 "\n", t->dtype,
			       shape,
			       s.mean, s.deviation, s.min, s.max, s.strange);
		} else {
			printf("  %-5s %s\n", t->dtype, shape);
		}
	}
}

/* ---- metadata ---- */

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct safetensors_text *)a)->key,
		      ((const struct safetensors_text *)b)->key);
}

static struct safetensors_text *sorted_meta(const struct safetensors *f)
{
	int n = safetensors_metas(f);
	struct safetensors_text *m = calloc((size_t)n + 1, sizeof(*m));

	if (!m)
		die(STATUS_SYSTEM, "out of memory");
	for (int i = 0; i < n; i++)
		m[i] = safetensors_meta_at(f, i);
	qsort(m, (size_t)n, sizeof(*m), by_key);
	return m;
}

/* A line of a text: tabs pass, other control bytes could drive a terminal. */
static void print_line(const char *line, size_t n)
{
	printf("    ");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)line[i];

		putchar((c < ' ' && c != '\t') || c == 127 ? '?' : c);
	}
	putchar('\n');
}

/* Texts of several lines are indented under their key. */
static void print_text(const char *key, const char *text)
{
	print_name(key, 0);
	if (!strchr(text, '\n')) {
		printf(": ");
		print_name(text, 0);
		putchar('\n');
		return;
	}
	printf(":\n");
	while (*text) {
		size_t n = strcspn(text, "\n");

		print_line(text, n);
		text += n + (text[n] == '\n');
	}
}

static void print_meta(const struct cat *c, const struct safetensors *f)
{
	struct safetensors_text *m = sorted_meta(f);
	json_t *o = json_object();

	for (int i = 0; i < safetensors_metas(f); i++) {
		if (c->json)
			json_object_set_new(o, m[i].key, json_string(m[i].value));
		else
			print_text(m[i].key, m[i].value);
	}
	if (c->json)
		print_json(json_incref(o));
	json_decref(o);
	free(m);
}

/* ---- differences ---- */

static int tell(const struct cat *c, const char *name, const char *what)
{
	if (c->json) {
		print_json(json_pack("{s:s, s:s}", "name", name, "difference", what));
	} else {
		print_name(name, 0);
		printf(": %s\n", what);
	}
	return 1;
}

static int diff_tensor(const struct cat *c, const struct safetensors *a, int i,
		       const struct safetensors *b)
{
	const struct tensor *t = safetensors_tensor(a, i), *u;
	int k = safetensors_find(b, t->name);
	struct tensor_difference d;
	char what[512], one[176], two[176];

	if (k < 0)
		return tell(c, t->name, "only in the first");
	u = safetensors_tensor(b, k);
	if (!tensor_same(t, u)) {
		snprintf(what, sizeof(what), "%s %s and %s %s", t->dtype,
			 tensor_shape(t, one, sizeof(one)), u->dtype,
				tensor_shape(u, two, sizeof(two)));
		return tell(c, t->name, what);
	}
	if (tensor_difference(a, i, b, k, &d) < 0)
		die_why(STATUS_BAD);
	if (!d.differ || d.most <= c->tolerance)
		return 0;
	snprintf(what, sizeof(what), "%" PRIu64 " of %" PRIu64 " numbers, by %.3g at most",
		 d.differ,
		 d.numbers, d.most);
	return tell(c, t->name, what);
}

static int diff_meta(const struct cat *c, const struct safetensors *a, const struct safetensors *b)
{
	struct safetensors_text *m = sorted_meta(a), *o = sorted_meta(b);
	int different = 0;
	char name[300];

	for (int i = 0; i < safetensors_metas(a); i++) {
		const char *other = safetensors_meta(b, m[i].key);

		snprintf(name, sizeof(name), "metadata %s", m[i].key);
		if (!other)
			different |= tell(c, name, "only in the first");
		else if (strcmp(other, m[i].value))
			different |= tell(c, name, "differs");
	}
	for (int i = 0; i < safetensors_metas(b); i++) {
		snprintf(name, sizeof(name), "metadata %s", o[i].key);
		if (!safetensors_meta(a, o[i].key))
			different |= tell(c, name, "only in the second");
	}
	free(m);
	free(o);
	return different;
}

static int diff_files(const struct cat *c, const char *one, const char *two)
{
	struct safetensors *a = open_file(one), *b = open_file(two);
	int different = 0;

	for (int i = 0; i < safetensors_count(a); i++)
		different |= diff_tensor(c, a, i, b);
	for (int k = 0; k < safetensors_count(b); k++)
		if (safetensors_find(a, safetensors_tensor(b, k)->name) < 0)
			different |= tell(c, safetensors_tensor(b, k)->name, "only in the second");
	if (c->meta)
		different |= diff_meta(c, a, b);
	safetensors_close(a);
	safetensors_close(b);
	return different;
}

static void cat_file(const struct cat *c, const char *path)
{
	struct safetensors *f = open_file(path);

	if (c->get) {
		const char *text = safetensors_meta(f, c->get);

		if (!text)
			die(STATUS_BAD, "%s: no '%s' in its metadata", path, c->get);
		fputs(text, stdout);
		if (!*text || text[strlen(text) - 1] != '\n')
			putchar('\n');
	} else if (c->meta) {
		print_meta(c, f);
	} else {
		list_tensors(c, f);
	}
	safetensors_close(f);
}

/* Options that would be of no effect together. */
static void check_usage(const struct cat *c)
{
	if (c->tolerance < 0 || isnan(c->tolerance))
		usage_error("--tolerance: not below 0");
	if (c->tolerance > 0 && !c->diff)
		usage_error("--tolerance belongs to --diff");
	if (c->stats && (c->meta || c->get || c->diff))
		usage_error("--stats belongs to the list of tensors");
	if (c->get && (c->meta || c->diff || c->json))
		usage_error("--get goes alone");
}

int main(int argc, char **argv)
{
	struct cat c = { 0 };
	int different = 0;
	const struct opt table[] = {
		{ "stats", 0, OPT_FLAG, &c.stats, NULL,
		  "mean, deviation, least, most, and how many are not finite" },
		{ "meta", 0, OPT_FLAG, &c.meta, NULL, "the metadata instead; with --diff: it too" },
		{ "get", 0, OPT_STRING, &c.get, "KEY", "the text of one member of the metadata" },
		{ "diff", 0, OPT_FLAG, &c.diff, NULL,
		  "what differs between two files; exit 1 if anything does" },
		{ "tolerance", 0, OPT_REAL, &c.tolerance, "X",
		  "with --diff: numbers so close are equal (default: 0)" },
		{ "json", 0, OPT_FLAG, &c.json, NULL, "NDJSON: an object a line" },
		{ NULL, 0, OPT_FLAG, NULL, NULL, NULL },
	};
	const struct opt_usage usage = {
		.program = "ckpt-cat", .purpose = "look at checkpoints (safetensors)",
		.operands = "FILE ...", .table = table, .more = more, .most = -1 };
	int first = opt_read(argc, argv, &usage);

	if (first == argc)
		usage_error("which checkpoint?");
	check_usage(&c);
	if (c.diff) {
		if (argc - first != 2)
			usage_error("--diff takes two files");
		different = diff_files(&c, argv[first], argv[first + 1]);
	} else {
		for (int i = first; i < argc; i++) {
			if (argc - first > 1 && !c.json)
				printf("%s%s:\n", i > first ? "\n" : "", argv[i]);
			cat_file(&c, argv[i]);
		}
	}
	close_stdout();
	return different ? STATUS_BAD : STATUS_OK;
}
