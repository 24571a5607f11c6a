/*
 * Reading and writing descriptors to the end of what was asked, and files that
 * appear whole or not at all. EINTR and short counts never reach the caller.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Reads up to n bytes: the count read, less than n only at the end of the
 * input (0: it had ended), or -1 with a reason (errno's words; no name). */
ssize_t read_full(int fd, void *buf, size_t n);

/* Reads exactly n bytes at offset, leaving the descriptor's own place alone:
 * the count read, less than n only past the end of the file, or -1. */
ssize_t read_at(int fd, void *buf, size_t n, uint64_t offset);

/* Writes all n bytes: 0 or -1. */
int write_full(int fd, const void *buf, size_t n);

/* Writes all bytes of n pieces, in calls of at most 256 KiB: 0 or -1. */
int write_pieces(int fd, const struct iovec *piece, int n);

/* Sets a pipe to 1 MiB where the system allows it; not a pipe: nothing. */
void pipe_widen(int fd);

/* The whole of a file, at most max bytes, with a NUL after the last one: the
 * caller frees it. *n: its bytes without the NUL. "-" is stdin. NULL: reason
 * with the path. */
char *file_read(const char *path, size_t max, size_t *n);

/*
 * A file that appears whole: written beside its name as ".NAME.PID.tmp", then
 * fsync, rename, fsync of the folder.
 */
struct newfile {
	char *path, *temp;      /* NULL: not open */
	int fd;
};

/* Begins: 0 or -1. The struct needs no earlier state. */
int newfile_open(struct newfile *, const char *path);
/* Makes it appear under its name, replacing what was there: 0 or -1 (then the
 * old file is untouched and the temporary one gone). Ends the struct. */
int newfile_commit(struct newfile *);
/* Takes it back; nothing where it is not open. */
void newfile_abort(struct newfile *);

#endif
