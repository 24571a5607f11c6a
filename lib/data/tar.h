/*
 * Regular files of a tar archive, and of the tar archives in it (ILSVRC2012_img_train.tar
 * is made of one a class), by libarchive. Nothing is ever written under a member's name.
 */
#ifndef DATA_TAR_H
#define DATA_TAR_H

#include "data/tfrecord.h"

#include <stddef.h>
#include <stdint.h>

enum { TAR_NAME = 4096 };
#define TAR_MEMBER_MAX ((uint64_t)256 << 20)

struct tar_member {
	const char *inner;      /* name of the archive within the archive, or NULL */
	const char *path;       /* without a leading "./"; valid until the next call */
	uint64_t size;
	uint64_t offset;        /* of the bytes in the file; only where tar_plain() */
};

struct tar;

/* Opens path ("-": stdin). *status: exit status that fits a failure. NULL: reason. */
struct tar *tar_open(const char *path, int *status);

/* Whether members can be read by their offset: a regular file, not compressed. Known
 * after the first tar_next(). */
int tar_plain(const struct tar *);

/* The next regular file; folders and hidden files (".name") are passed over: 1; 0 at the
 * end; -1 (damaged, cut off, links, sparse or too large members). */
int tar_next(struct tar *, struct tar_member *);

/* The bytes of the member that tar_next() gave, behind what to holds, for archives that
 * are not plain: 0 or -1. */
int tar_read(struct tar *, const struct tar_member *, struct frames *to);

int tar_status(const struct tar *);
void tar_close(struct tar *);   /* NULL: nothing */

#endif
