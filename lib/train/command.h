/* Shell commands that write a batch stream for a run: --pipe, --val-pipe. */
#ifndef TRAIN_COMMAND_H
#define TRAIN_COMMAND_H

#include <stdint.h>
#include <sys/types.h>

struct command {
	pid_t pid;              /* 0: not running */
	int fd;                 /* its stdout; -1 */
};

/* 1 if the text has a place for the number of the part. */
int command_has_part(const char *text);

/* The text with {part}, {parts} and {start} filled in; the caller frees it. Other braces
 * stay. NULL: out of memory. */
char *command_fill(const char *text, int part, int parts, uint64_t start);

/* Starts "sh -c text" in a process group of its own, stdin from /dev/null, the widened
 * pipe for stdout, all signals as a new program has them. 0 or -1. */
int command_start(struct command *, const char *text);

/*
 * Closes the pipe and waits. A command that does not end by itself within a second (by
 * SIGPIPE, if it still writes) is ended by SIGTERM to its group, a second later by
 * SIGKILL. Gives its exit status, 128 + signal where one ended it; -1: it was not running.
 */
int command_stop(struct command *);

#endif
