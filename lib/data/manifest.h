/*
 * The manifest of a data set: PREFIX.json beside the shards PREFIX-00000-of-00008, written
 * by tfrec-pack. It says how many records each shard holds, what is to be subtracted from
 * stored labels, and what the classes are called. tfrec-pack(1) shows the file.
 */
#ifndef DATA_MANIFEST_H
#define DATA_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

struct manifest_shard {
	char *name;             /* without folder */
	uint64_t samples, bytes;
};

struct manifest_class {
	char *name, *text;      /* text: words for people, or NULL */
	uint64_t samples;
};

struct manifest {
	char *path;
	uint64_t samples;
	uint64_t longest;       /* longest record, overhead included */
	int64_t label_base;     /* a label is the stored number minus this */
	int boxes;              /* records hold boxes */
	size_t shards, classes;
	struct manifest_shard *shard;
	struct manifest_class *class;
};

/* The parts of DIR/PREFIX-NNNNN-of-MMMMM: 1; 0 if the name is of another form. prefix:
 * bytes of path before "-NNNNN". */
int shard_name(const char *path, size_t *prefix, uint32_t *number, uint32_t *of);

/* DIR/PREFIX-NNNNN-of-MMMMM; the caller frees it. NULL: no memory. */
char *shard_path(const char *prefix, uint32_t number, uint32_t of);

/* Reads the manifest at path: 1; 0 if there is no file, or one of other JSON; -1 (a
 * manifest that is damaged or contradicts itself). *status: 1 or 3. */
int manifest_read(struct manifest *, const char *path, int *status);

/* Writes it to m->path, whole or not at all: 0 or -1. */
int manifest_write(const struct manifest *);

/* The entry of a shard by its path's last part, or NULL (no reason left). */
const struct manifest_shard *manifest_find(const struct manifest *, const char *path);
void manifest_release(struct manifest *);

#endif
