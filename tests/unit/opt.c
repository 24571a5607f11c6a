/* Options and messages: each case runs in a child whose words and status are looked at. */
#include "base/fail.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "data/stream.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int flag, count;
static int64_t whole;
static uint64_t size;
static double real;
static const char *string;
static struct opt_list list;

static const struct opt table[] = {
	{ "flip", 'f', OPT_FLAG, &flag, NULL, "a flag" },
	{ "verbose", 'v', OPT_COUNT, &count, NULL, "more words" },
	{ "start-at", 0, OPT_INT, &whole, "POSITION", "where to begin" },
	{ "batch", 'b', OPT_SIZE, &size, "N", "samples in a batch" },
	{ "rate", 0, OPT_REAL, &real, "X", "how fast" },
	{ "output", 'o', OPT_STRING, &string, "FILE", "where to write" },
	{ "add", 'a', OPT_LIST, &list, "WORD", "one more" },
	{ 0 },
};

static const struct opt_usage usage = {
	.program = "try", .purpose = "Tries.", .operands = "[FILE ...]", .table = table,
	.more = "example:\n  try it", .most = 3, .too_many = "quote the recipe",
};

/* What a child said and how it ended. */
static char said[8192];

static void show(int argc, char **argv)
{
	int first = opt_read(argc, argv, &usage);

	printf("%d %d %" PRId64 " %" PRIu64 " %g %s [", flag, count, whole, size, real,
	       string ? string : "-");
	for (int i = 0; i < list.count; i++)
		printf("%s;", list.item[i]);
	printf("] [");
	for (int i = first; i < argc; i++)
		printf("%s;", argv[i]);
	printf("]\n");
	close_stdout();
	_exit(0);
}

/* Runs act() in a child with stdout and stderr in `said`: its status, or 128 + signal. */
static int child(void (*act)(int, char **), int argc, char **argv)
{
	int fd = memfd_create("said", 0), status;
	ssize_t n;
	pid_t id;

	assert_true(fd >= 0);
	fflush(NULL);
	id = fork();
	if (id == 0) {
		dup2(fd, 1);
		dup2(fd, 2);
		act(argc, argv);
		_exit(77);
	}
	assert_int_equal(waitpid(id, &status, 0), id);
	n = pread(fd, said, sizeof(said) - 1, 0);
	assert_true(n >= 0);
	said[n] = '\0';
	close(fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A command line of words between blanks. */
static int run(const char *line)
{
	static char copy[512];
	char *argv[32] = { "try" };
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	return child(show, argc, argv);
}

static void assert_said(const char *line, const char *words)
{
	if (!strstr(said, words))
		fail_msg("'%s' said '%s', not '%s'", line, said, words);
}

static void accepted(void **state)
{
	static const char *const cases[][2] = {
		{ "", "0 0 0 0 0 - [] []" },
		{ "-f --start-at 7 a", "1 0 7 0 0 - [] [a;]" },
		{ "a --start_at=-7 b", "0 0 -7 0 0 - [] [a;b;]" },
		{ "-vvf -b4k", "1 2 0 4096 0 - [] []" },
		{ "-fvb 12 x", "1 1 0 12 0 - [] [x;]" },
		{ "--batch 3M --batch=2G", "0 0 0 2147483648 0 - [] []" },
		{ "--rate -1e-3 -o-", "0 0 0 0 -0.001 - [] []" },
		{ "-o out -a one --add=two -a three", "0 0 0 0 0 out [one;two;three;] []" },
		{ "-f --no-flip", "0 0 0 0 0 - [] []" },
		{ "-- -f --x", "0 0 0 0 0 - [] [-f;--x;]" },
		{ "x - -f", "1 0 0 0 0 - [] [x;-;]" },
		{ "-o -f", "0 0 0 0 0 -f [] []" },
		{ "--output= x", "0 0 0 0 0  [] [x;]" },
		{ "--start-at 9223372036854775807", "0 0 9223372036854775807 0 0 - [] []" },
		{ "-b 18446744073709551615", "0 0 0 18446744073709551615 0 - [] []" },
		{ "--version", "try (Millrace) " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (run(cases[i][0]) != 0)
			fail_msg("'%s': %s", cases[i][0], said);
		assert_said(cases[i][0], cases[i][1]);
	}
}

static void refused(void **state)
{
	static const char *const cases[][2] = {
		{ "--flop", "unknown option --flop; did you mean --flip?" },
		{ "--start", "did you mean --start-at?" },
		{ "--bacth 3", "did you mean --batch?" },
		{ "--something-else", "unknown option --something-else (try --help" },
		{ "--no-batch", "unknown option --no-batch" },
		{ "--hepl", "did you mean --help?" },
		{ "-x", "unknown option -x" },
		{ "-fx", "unknown option -x in -fx" },
		{ "--flip=1", "--flip takes no value" },
		{ "--batch", "--batch needs N" },
		{ "-fb", "-b (--batch) needs N" },
		{ "-b 12q", "--batch: '12q' is not a size such as 12, 4k, 3M or 2G" },
		{ "-b -1", "not a size" },
		{ "-b 4kk", "not a size" },
		{ "-b=4", "not a size" },
		{ "-b 18446744073709551616", "is too large" },
		{ "-b 17179869184G", "is too large" },
		{ "--start-at 1.5", "'1.5' is not a whole number" },
		{ "--start-at 9223372036854775808", "is too large" },
		{ "--rate fast", "'fast' is not a number" },
		{ "--rate nan", "is not a number" },
		{ "--rate inf", "is too large" },
		{ "--rate=", "'' is not a number" },
		{ "a b c d", "quote the recipe" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = run(cases[i][0]);
		const char *end = strchr(said, '\n');

		if (status != 2)
			fail_msg("'%s': status %d: %s", cases[i][0], status, said);
		assert_int_equal(strncmp(said, "try: ", 5), 0);
		assert_true(end && end[1] == '\0');     /* one line */
		assert_said(cases[i][0], cases[i][1]);
	}
}

static void help(void **state)
{
	(void)state;
	assert_int_equal(run("--help"), 0);
	assert_string_equal(said, "usage: try [options] [FILE ...]\n"
			    "Tries.\n\n"
			    "  -f, --flip               a flag\n"
			    "  -v, --verbose            more words\n"
			    "      --start-at POSITION  where to begin\n"
			    "  -b, --batch N            samples in a batch\n"
			    "      --rate X             how fast\n"
			    "  -o, --output FILE        where to write\n"
			    "  -a, --add WORD           one more\n"
			    "  -h, --help               print this and exit\n"
			    "      --version            print the version and exit\n"
			    "\nexample:\n  try it\n");
	assert_int_equal(run("-fh"), 0);
	assert_int_equal(run("--complete"), 0);
	assert_said("--complete", "b\tbatch\tN\n-\trate\tX\n");
	assert_said("--complete", "f\tflip\t-\n");
}

static struct stream_writer *out;
static int down;

static void open_out(void)
{
	die_name("middle");
	out = stream_writer_open(down, "down");
	die_stream(out);
}

static void dies_of_its_own(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	open_out();
	(fail)("record 7: damaged");
	die_why(STATUS_BAD);
}

static void dies_of_input(int argc, char **argv)
{
	(void)argv;
	if (argc)
		open_out();
	else
		die_name("middle");
	(fail)("first: no shard");
	die_input(STREAM_TOLD);
}

static void finds_the_end_missing(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	open_out();
	(fail)("stdin: the input ends early");
	die_input(STATUS_INPUT);
}

static void misused(int argc, char **argv)
{
	open_out();
	show(argc, argv);
}

/* The reason that went down the stream. */
static const char *sent(void)
{
	struct stream_reader *r;
	int status;

	lseek(down, 0, SEEK_SET);
	r = stream_open(down, "down", &status);
	if (r) {
		stream_close(r);
		return "";
	}
	return status == STREAM_TOLD ? fail_why() : "";
}

static void errors_go_down(void **state)
{
	char *line[] = { "try", "--nonsense", NULL };

	(void)state;
	down = memfd_create("down", 0);
	assert_int_equal(child(dies_of_its_own, 0, NULL), 1);
	assert_string_equal(said, "middle: record 7: damaged\n");
	assert_string_equal(sent(), "middle: record 7: damaged");

	assert_int_equal(ftruncate(down, 0), 0);
	lseek(down, 0, SEEK_SET);
	assert_int_equal(child(dies_of_input, 1, NULL), 4);
	assert_string_equal(said, "");
	assert_string_equal(sent(), "middle: first: no shard");

	/* the last program of the pipeline says it */
	assert_int_equal(child(dies_of_input, 0, NULL), 4);
	assert_string_equal(said, "middle: first: no shard\n");

	assert_int_equal(ftruncate(down, 0), 0);
	lseek(down, 0, SEEK_SET);
	assert_int_equal(child(finds_the_end_missing, 0, NULL), 4);
	assert_string_equal(said, "middle: stdin: the input ends early\n");
	assert_string_equal(sent(), "middle: stdin: the input ends early");

	assert_int_equal(ftruncate(down, 0), 0);
	lseek(down, 0, SEEK_SET);
	assert_int_equal(child(misused, 2, line), 2);
	assert_string_equal(sent(),
			    "try: unknown option --nonsense (try --help lists the options)");
	close(down);
}

static void prints_to_a_full_disk(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	die_name("try");
	dup2(open("/dev/full", O_WRONLY), 1);
	puts("words");
	close_stdout();
	_exit(0);
}

static void prints_to_nothing(int argc, char **argv)
{
	close(1);
	show(argc, argv);
}

static void pipe_breaks(int argc, char **argv)
{
	int p[2];
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	opt_read(argc, argv, &usage);
	if (pipe(p) == 0)
		close(p[0]);
	if (write(p[1], "x", 1) < 0)
		_exit(1);
}

static void closed_descriptors(int argc, char **argv)
{
	char b;

	close(0);
	opt_read(argc, argv, &usage);
	/* a file that is opened now must not be taken for stdin */
	if (open("/dev/zero", O_RDONLY) <= 2 || read(0, &b, 1) != -1)
		_exit(1);
	_exit(0);
}

static void ends_and_descriptors(void **state)
{
	char *line[] = { "try", NULL };

	(void)state;
	assert_int_equal(child(prints_to_a_full_disk, 0, NULL), 3);
	assert_string_equal(said, "try: stdout: No space left on device\n");
	assert_int_equal(child(prints_to_nothing, 1, line), 3);
	assert_string_equal(said, "try: stdout: Bad file descriptor\n");
	assert_int_equal(child(pipe_breaks, 1, line), 128 + SIGPIPE);
	assert_int_equal(child(closed_descriptors, 1, line), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(help),
		cmocka_unit_test(errors_go_down),
		cmocka_unit_test(ends_and_descriptors),
	};

	return cmocka_run_group_tests_name("options and messages", tests, NULL, NULL);
}
