#include "cli/opt.h"

#include "base/fail.h"
#include "base/version.h"
#include "cli/die.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What every program has besides its table. */
static const struct opt common[] = {
	{ "help", 'h', OPT_FLAG, NULL, NULL, "print this and exit" },
	{ "version", 0, OPT_FLAG, NULL, NULL, "print the version and exit" },
	{ 0 },
};

/* Arguments being read, one after the other. */
struct scan {
	const struct opt_usage *usage;
	int argc, at;
	char **argv;
};

/* The same name, '_' being '-'; n bytes of a. */
static int same_name(const char *a, size_t n, const char *b)
{
	for (size_t i = 0; i < n; i++)
		if ((a[i] == '_' ? '-' : a[i]) != b[i])
			return 0;
	return b[n] == '\0';
}

static const struct opt *find_in(const struct opt *o, const char *name, size_t n)
{
	for (; o->name; o++)
		if (same_name(name, n, o->name))
			return o;
	return NULL;
}

static const struct opt *find_long(const struct opt_usage *u, const char *name, size_t n)
{
	const struct opt *o = find_in(u->table, name, n);

	return o ? o : find_in(common, name, n);
}

static const struct opt *find_letter(const struct opt_usage *u, char letter)
{
	for (const struct opt *o = u->table; o->name; o++)
		if (o->letter == letter)
			return o;
	return letter == 'h' ? common : NULL;
}

/* Edits that make b of the first n bytes of a (Levenshtein 1966). */
static int distance(const char *a, size_t n, const char *b)
{
	enum { MOST = 40 };
	int row[MOST + 1];
	size_t m = strlen(b);

	if (n > MOST || m > MOST)
		return MOST;
	for (size_t j = 0; j <= m; j++)
		row[j] = (int)j;
	for (size_t i = 0; i < n; i++) {
		int diagonal = row[0];

		row[0] = (int)i + 1;
		for (size_t j = 0; j < m; j++) {
			int above = row[j + 1];
			int best = diagonal + (a[i] != b[j]);

			if (above + 1 < best)
				best = above + 1;
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j + 1] = best;
			diagonal = above;
		}
	}
	return row[m];
}

/* The option most like the one that was typed: one it begins, or one a few letters
 * away. NULL: none is near. */
static const char *nearest(const struct opt_usage *u, const char *name, size_t n)
{
	const struct opt *table[] = { u->table, common };
	const char *best = NULL;
	int least = n < 4 ? 2 : 3;      /* letters: fewer edits than this */

	for (size_t t = 0; t < 2; t++)
		for (const struct opt *o = table[t]; o->name; o++) {
			int d = n >= 2 && strncmp(name, o->name, n) == 0 ? 0 :
				distance(name, n, o->name);

			if (d < least) {
				least = d;
				best = o->name;
			}
		}
	return best;
}

static _Noreturn void unknown(const struct opt_usage *u, const char *arg, size_t n)
{
	const char *like = nearest(u, arg + 2, n);

	if (like)
		usage_error("unknown option %.*s; did you mean --%s?", (int)n + 2, arg, like);
	usage_error("unknown option %.*s", (int)n + 2, arg);
}

static void read_int(const struct opt *o, const char *text)
{
	char *end;

	errno = 0;

	long long v = strtoll(text, &end, 10);

	if (end == text || *end || isspace((unsigned char)*text))
		usage_error("--%s: '%s' is not a whole number", o->name, text);
	if (errno == ERANGE)
		usage_error("--%s: %s is too large", o->name, text);
	*(int64_t *)o->at = v;
}

static void read_size(const struct opt *o, const char *text)
{
	static const char unit[] = "kmgt";
	char *end;
	unsigned long long v;
	int shift = 0;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (end == text || !isdigit((unsigned char)*text))
		usage_error("--%s: '%s' is not a size such as 12, 4k, 3M or 2G", o->name, text);
	if (*end) {
		const char *at = strchr(unit, tolower((unsigned char)*end));

		if (!at || end[1])
			usage_error("--%s: '%s' is not a size such as 12, 4k, 3M or 2G", o->name,
				    text);
		shift = 10 * (int)(at - unit + 1);
	}
	if (errno == ERANGE || v > UINT64_MAX >> shift)
		usage_error("--%s: %s is too large", o->name, text);
	*(uint64_t *)o->at = (uint64_t)v << shift;
}

static void read_real(const struct opt *o, const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || isspace((unsigned char)*text) || isnan(v))
		usage_error("--%s: '%s' is not a number", o->name, text);
	if (isinf(v))
		usage_error("--%s: %s is too large", o->name, text);
	*(double *)o->at = v;
}

static void add_item(const struct opt *o, const char *text)
{
	struct opt_list *l = o->at;
	const char **item = realloc(l->item, ((size_t)l->count + 1) * sizeof(*item));

	if (!item)
		die(STATUS_SYSTEM, "out of memory");
	l->item = item;
	l->item[l->count++] = text;
}

static void set_value(const struct opt *o, const char *text)
{
	switch (o->type) {
	case OPT_INT:
		read_int(o, text);
		break;
	case OPT_SIZE:
		read_size(o, text);
		break;
	case OPT_REAL:
		read_real(o, text);
		break;
	case OPT_STRING:
		*(const char **)o->at = text;
		break;
	case OPT_LIST:
		add_item(o, text);
		break;
	case OPT_FLAG:
	case OPT_COUNT:
		break;
	}
}

static int takes_value(const struct opt *o)
{
	return o->type != OPT_FLAG && o->type != OPT_COUNT;
}

/* "  -b, --batch N"; gives its width. */
static int print_option(FILE *out, const struct opt *o)
{
	char letter[8] = "    ";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	return fprintf(out, "  %s--%s%s%s", letter, o->name, takes_value(o) ? " " : "",
		       takes_value(o) ? o->meta : "");
}

static int option_width(const struct opt *o)
{
	return (int)(8 + strlen(o->name) + (takes_value(o) ? 1 + strlen(o->meta) : 0));
}

static void print_help(const struct opt_usage *u)
{
	const struct opt *table[] = { u->table, common };
	int column = 0;

	printf("usage: %s [options]%s%s\n%s\n\n", u->program, *u->operands ? " " : "",
	       u->operands, u->purpose);
	for (size_t t = 0; t < 2; t++)
		for (const struct opt *o = table[t]; o->name; o++)
			if (option_width(o) > column && option_width(o) <= 30)
				column = option_width(o);
	for (size_t t = 0; t < 2; t++)
		for (const struct opt *o = table[t]; o->name; o++) {
			int w = print_option(stdout, o);

			if (w > column) {
				printf("\n");
				w = 0;
			}
			printf("%*s%s\n", column + 2 - w, "", o->help);
		}
	if (u->more)
		printf("\n%s%s", u->more, *u->more && u->more[strlen(u->more) - 1] == '\n' ?
		       "" : "\n");
}

/* A line for each option: letter or '-', name, metavariable or '-', with tabs between. */
static void print_complete(const struct opt_usage *u)
{
	const struct opt *table[] = { u->table, common };

	for (size_t t = 0; t < 2; t++)
		for (const struct opt *o = table[t]; o->name; o++)
			printf("%c\t%s\t%s\n", o->letter ? o->letter : '-', o->name,
			       takes_value(o) ? o->meta : "-");
}

/* Acts on --help and --version. */
static void say(const struct opt_usage *u, const struct opt *o)
{
	if (o == common)
		print_help(u);
	else
		printf("%s (Millrace) %s\n", u->program, MILLRACE_VERSION);
	close_stdout();
	_exit(STATUS_OK);
}

static void set_flag(const struct opt_usage *u, const struct opt *o)
{
	if (!o->at)
		say(u, o);
	else if (o->type == OPT_COUNT)
		++*(int *)o->at;
	else
		*(int *)o->at = 1;
}

static void read_long(struct scan *s, const char *arg)
{
	const char *name = arg + 2, *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	const struct opt *o = find_long(s->usage, name, n);

	if (!o && n > 3 && same_name(name, 3, "no-")) {
		o = find_in(s->usage->table, name + 3, n - 3);
		if (o && o->type == OPT_FLAG && !equals) {
			*(int *)o->at = 0;
			return;
		}
		o = NULL;
	}
	if (!o && n == 8 && strcmp(name, "complete") == 0) {
		print_complete(s->usage);
		close_stdout();
		_exit(STATUS_OK);
	}
	if (!o)
		unknown(s->usage, arg, n);
	if (!takes_value(o)) {
		if (equals)
			usage_error("--%s takes no value", o->name);
		set_flag(s->usage, o);
		return;
	}
	if (!equals && s->at == s->argc)
		usage_error("--%s needs %s", o->name, o->meta);
	set_value(o, equals ? equals + 1 : s->argv[s->at++]);
}

static void read_letters(struct scan *s, const char *arg)
{
	for (const char *p = arg + 1; *p; p++) {
		const struct opt *o = find_letter(s->usage, *p);

		if (!o)
			usage_error(p == arg + 1 ? "unknown option -%c" :
				    "unknown option -%c in %s", *p, arg);
		if (!takes_value(o)) {
			set_flag(s->usage, o);
			continue;
		}
		if (!p[1] && s->at == s->argc)
			usage_error("-%c (--%s) needs %s", *p, o->name, o->meta);
		set_value(o, p[1] ? p + 1 : s->argv[s->at++]);
		return;
	}
}

/* A standard descriptor that the parent closed must not become some file of ours: it
 * is opened so that reading from 0, writing to 1 and 2 fail as if it were closed. */
static void guard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
			_exit(STATUS_SYSTEM);
}

/* A filter whose reader has gone dies of it silently, whatever the parent did. */
static void restore_sigpipe(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int opt_read(int argc, char **argv, const struct opt_usage *u)
{
	struct scan s = { .usage = u, .argc = argc, .at = 1, .argv = argv };
	char **order = calloc((size_t)argc + 1, sizeof(*order));
	int operands = 0, first;

	guard_descriptors();
	restore_sigpipe();
	die_name(u->program);
	if (!order)
		die(STATUS_SYSTEM, "out of memory");
	while (s.at < argc) {
		char *arg = argv[s.at++];

		if (strcmp(arg, "--") == 0) {
			while (s.at < argc)
				order[operands++] = argv[s.at++];
		} else if (arg[0] == '-' && arg[1] == '-') {
			read_long(&s, arg);
		} else if (arg[0] == '-' && arg[1]) {
			read_letters(&s, arg);
		} else {
			order[operands++] = arg;
		}
	}
	if (u->most >= 0 && operands > u->most) {
		if (u->too_many)
			usage_error("%s", u->too_many);
		usage_error("operand '%s' is one too many", order[u->most]);
	}
	first = argc - operands;
	if (first < 1)
		first = 1;
	/* What stood in front is read already, values included: it need not stay. */
	for (int i = 0; i < operands; i++)
		argv[first + i] = order[i];
	free(order);
	return first;
}
