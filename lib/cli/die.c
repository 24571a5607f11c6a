#include "cli/die.h"

#include "base/fail.h"
#include "base/io.h"
#include "cli/progress.h"
#include "data/stream.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A program has one name, one stream of output, one stderr. */
static const char *program = "millrace";
static struct stream_writer *stream;
static int is_quiet;

void die_name(const char *name)
{
	program = name;
}

const char *die_program(void)
{
	return program;
}

void die_stream(struct stream_writer *w)
{
	stream = w;
}

struct stream_writer *die_stream_open(void)
{
	struct stream_writer *w = stream_writer_open(STDOUT_FILENO, "stdout");

	if (!w)
		die_why(STATUS_SYSTEM);
	die_stream(w);
	return w;
}

void quiet(int on)
{
	is_quiet = on;
}

/* "program: text" into line, without its end; gives the length. */
__attribute__((format(printf, 3, 0)))
static size_t compose(char *line, size_t room, const char *fmt, va_list ap)
{
	size_t n = (size_t)snprintf(line, room, "%s: ", program);

	vsnprintf(line + n, room - n, fmt, ap);
	for (char *p = line; *p; p++)
		/* lines set in belong to the one before: a network's expansions */
		if (*p == '\n' && strncmp(p + 1, "    ", 4))
			*p = ' ';
	return strlen(line);
}

/* In one write, so that the lines of a pipeline's programs do not mix. */
static void print_line(char *line, size_t n)
{
	progress_hide();
	line[n] = '\n';
	(void)!write_full(STDERR_FILENO, line, n + 1);
	line[n] = '\0';
}

/* Ends the program. Text already printed goes out before; other threads may still be
 * at work, so nothing of theirs is torn down. */
static _Noreturn void leave(int status)
{
	fflush(stdout);
	_exit(status & 0xff);
}

/* The reason goes down the stream; that the reader has left changes nothing now. People
 * at a terminal have read it already. */
static void tell(const char *line)
{
	struct stream_writer *w = stream;

	stream = NULL;
	if (!w || isatty(STDOUT_FILENO))
		return;
	signal(SIGPIPE, SIG_IGN);
	stream_error(w, line);
}

void die(int status, const char *fmt, ...)
{
	char line[FAIL_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	size_t n = compose(line, sizeof(line) - 1, fmt, ap);

	va_end(ap);
	print_line(line, n);
	tell(line);
	leave(status);
}

void die_why(int status)
{
	const char *why = fail_why();

	die(status, "%s", *why ? why : "failed without a reason");
}

void die_input(int status)
{
	char line[FAIL_MAX + 256];

	if (status != STREAM_TOLD || !stream)
		die_why(status);
	snprintf(line, sizeof(line), "%s: %s", program, fail_why());
	tell(line);
	leave(status);
}

void usage_error(const char *fmt, ...)
{
	char line[FAIL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	die(STATUS_USAGE, "%s (%s --help lists the options)", line, program);
}

void warn(const char *fmt, ...)
{
	char line[FAIL_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	size_t n = compose(line, sizeof(line) - 1, fmt, ap);

	va_end(ap);
	print_line(line, n);
}

void note(const char *fmt, ...)
{
	char line[FAIL_MAX + 256];
	va_list ap;

	if (is_quiet)
		return;
	va_start(ap, fmt);
	size_t n = compose(line, sizeof(line) - 1, fmt, ap);

	va_end(ap);
	print_line(line, n);
}

void close_stdout(void)
{
	int failed = ferror(stdout), error = errno;

	/* Where a write failed before, errno says why if the caller has looked at once. */
	errno = 0;
	if (fflush(stdout) != 0 || failed || fclose(stdout) != 0) {
		error = errno ? errno : failed ? error : 0;

		/* stdio's buffer must not be tried again on the way out */
		char line[FAIL_MAX];
		size_t n = (size_t)snprintf(line, sizeof(line) - 1, "%s: stdout: %s", program,
					    error ? strerror(error) : "write error");

		print_line(line, n);
		_exit(STATUS_SYSTEM);
	}
}

void refuse_terminal_in(int fd)
{
	if (isatty(fd))
		usage_error("stdin is a terminal; a stream comes from a pipe or a file");
}

void refuse_terminal_out(int fd)
{
	if (isatty(fd))
		usage_error("stdout is a terminal; send the stream to a pipe or a file, "
			    "or look at it with batch-cat");
}
