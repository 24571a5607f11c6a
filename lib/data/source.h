/*
 * A stream of bytes out of a file or stdin, inflated where it is gzip (several members
 * too) or zlib: told by content, never by name. TFRecord shards are read through it.
 *
 * Bytes are only taken as they arrive: a pipe or a compressed file costs one buffer.
 */
#ifndef DATA_SOURCE_H
#define DATA_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum source_kind { SOURCE_PLAIN, SOURCE_GZIP, SOURCE_ZLIB };

struct source;

/* Opens path ("-": stdin, in messages "stdin"). *status: the exit status that fits a
 * failure (3). NULL: reason with the path. */
struct source *source_open(const char *path, int *status);

/* The name that stands in messages; valid until close. */
const char *source_name(const struct source *);
enum source_kind source_kind(const struct source *);

/* Uncompressed offset of the next byte. */
uint64_t source_offset(const struct source *);

/* Bytes from here to the end of a plain regular file; UINT64_MAX where only reading
 * can tell (pipe, compressed). */
uint64_t source_left(const struct source *);

/* Reads up to n bytes: the count, less than n only at the end, or -1 (then
 * source_status() says 1 for damaged compressed data, 3 for a read error). */
ssize_t source_read(struct source *, void *buf, size_t n);

/* Passes over n bytes (a plain file: without reading them): 0; 1 if the input ended
 * before; -1. */
int source_skip(struct source *, uint64_t n);

/* Goes to an uncompressed offset; compressed: inflates up to there, from the start if
 * it lies behind. 0; 1 if the input ends before; -1 (a pipe cannot go back). */
int source_seek(struct source *, uint64_t offset);

int source_status(const struct source *);
void source_close(struct source *);     /* NULL: nothing */

#endif
