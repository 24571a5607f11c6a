/*
 * Options: one table a program gives the parsing, --help, the completion files and
 * the test that compares help with the man page. GNU long options, "_" taken for
 * "-" in long names, "--name=value" and "--name value", short letters that may be
 * joined. "--" ends the options; options and operands may mix. A lone "-" is an
 * operand (stdin or stdout).
 *
 * Every program has --help (-h) and --version besides its table.
 */
#ifndef CLI_OPT_H
#define CLI_OPT_H

#include <stdint.h>

enum opt_type {
	OPT_FLAG,               /* int *: set to 1; "--no-name" sets 0 */
	OPT_COUNT,              /* int *: one more each time (-v -v) */
	OPT_INT,                /* int64_t * */
	OPT_SIZE,               /* uint64_t *: 12, 4k, 3M, 2G (powers of 1024) */
	OPT_REAL,               /* double * */
	OPT_STRING,             /* const char **: keeps argv's */
	OPT_LIST,               /* struct opt_list *: each time one more */
};

struct opt_list {
	const char **item;
	int count;
};

struct opt {
	const char *name;       /* "start-at"; NULL ends the table */
	char letter;            /* 'b', or 0: none */
	enum opt_type type;
	void *at;
	const char *meta;       /* "POSITION"; NULL for flags */
	const char *help;       /* one line, no stop at its end */
};

struct opt_usage {
	const char *program;    /* "tfrec-cat" */
	const char *purpose;    /* one line */
	const char *operands;   /* "SHARD ...", "" if none */
	const struct opt *table;
	const char *more;       /* printed under the options: an example pipeline; may be NULL */
	int most;               /* operands at most; -1: any number */
	const char *too_many;   /* said when there are more: the remedy; may be NULL */
};

/* Reads the options; argv is put in order, operands last: gives the index of the
 * first operand. --help, --version and the hidden --complete (a line for each
 * option: letter, name, metavariable, for completion and tests) print on stdout and
 * exit 0. A mistake prints one line with the remedy and exits 2. Also names the
 * program for die() and notes SIGPIPE (die.h). */
int opt_read(int argc, char **argv, const struct opt_usage *);

#endif
