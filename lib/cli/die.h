/* How programs speak and end. lib/cli is the only folder that prints and exits. */
#ifndef CLI_DIE_H
#define CLI_DIE_H

/* Exit statuses: the same in every program (design: section 3). */
enum status {
	STATUS_OK = 0,          /* all of it */
	STATUS_BAD = 1,         /* bad data, or a check that failed */
	STATUS_USAGE = 2,
	STATUS_SYSTEM = 3,      /* system or I/O error */
	STATUS_INPUT = 4,       /* the input ended early, or brought an error from upstream */
	STATUS_STOPPED = 75,    /* SIGTERM, after a clean checkpoint */
};

struct stream_writer;

/* The program's name in messages; opt_read() sets it. */
void die_name(const char *program);
const char *die_program(void);

/* From now on die() sends its reason down this stream as ERR before it exits, so
 * that the last program of the pipeline says it. NULL: no longer. */
void die_stream(struct stream_writer *);

/* Opens stdout for a stream, and registers it. A program whose stdout is a stream calls it
 * before opt_read(), so that a wrong option is told too. */
struct stream_writer *die_stream_open(void);

/* Prints "program: ..." on stderr and exits. The text is one line, and lines that
 * belong to it, behind four blanks each. */
_Noreturn void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* die(status, "%s", fail_why()). */
_Noreturn void die_why(int status);

/*
 * For a reader's failure, with the status that stream_open() or stream_status() gave:
 * every filter ends so. Where the reason came from upstream as ERR and die_stream() is
 * set, the program says nothing itself, since the origin has printed the reason and the
 * last program will: it puts its name before the reason, sends it on as ERR and exits
 * with 4. In all other cases as die_why(status).
 */
_Noreturn void die_input(int status);

/* A mistake in the command line: the line, a hint to --help, exit 2. */
_Noreturn void usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints "program: ..." on stderr and goes on. */
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Likewise. Silent under quiet(1). */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void quiet(int on);

/* Closes stdout and looks whether all of it arrived; dies with 3 if not. The last
 * act of a program that printed text. */
void close_stdout(void);

/* Refuses a terminal (usage error naming the remedy) for a binary stream in or out. */
void refuse_terminal_in(int fd);
void refuse_terminal_out(int fd);

#endif
