/*
 * The images that tfrec-pack is given: folders of classes, a list, or a tar archive; found,
 * named, labelled and checked before anything is written.
 */
#ifndef DATA_INPUTS_H
#define DATA_INPUTS_H

#include "data/classes.h"
#include "data/names.h"
#include "data/tar.h"

#include <stddef.h>
#include <stdint.h>

struct input {
	uint32_t path;          /* number in paths */
	uint32_t class;
	uint64_t offset, size;  /* in the archive; a file: 0, 0 */
};

/* Zero-initialised is empty. classes may be read into it first (fixed): then images of
 * other classes are refused. */
struct inputs {
	struct input *item;
	size_t n, room;
	struct names paths;     /* as they stand in messages: file, or member of the archive */
	struct names seen;      /* class and name of each image, so that none comes twice */
	struct classes classes;
	int fixed;
	int listed;             /* names are whole paths, not their last part */
	int archive;            /* descriptor of the archive, or -1 */
	char *archive_name;
	char *parent;           /* what stands before the class folder in the archive */
};

void inputs_init(struct inputs *);

/* DIR/CLASS/FILE. May be called for several folders. 0 or -1 with *status (1 or 3). */
int inputs_folder(struct inputs *, const char *folder, int *status);

/* Lines "LABEL PATH": with classes a class name, else a number from 0. "-": stdin. */
int inputs_list(struct inputs *, const char *list, int *status);

/* Members of a plain archive, below the folder under ("" or "train/"); list: only those
 * that a list of "LABEL MEMBER" names, each of which must be there (else NULL). */
int inputs_tar(struct inputs *, struct tar *, const char *path, const char *under,
	       const char *list, int *status);

/* One member of an archive that is read as it comes: 1 with *class; 0 where it does not
 * lie below under; -1. Classes must be fixed. */
int inputs_member(struct inputs *, const struct tar_member *, const char *under,
		  uint32_t *class);

/* Ends the finding: classes in order of their names unless fixed; no image is an error. */
int inputs_settle(struct inputs *);

/* The name that is stored: the path's last part, of lists the path. */
const char *inputs_name(const struct inputs *, const char *path);

void inputs_release(struct inputs *);

#endif
