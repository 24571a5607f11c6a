/* Checks a shard whole: checksums, Examples, image headers, and whether index and manifest
 * agree with it. */
#ifndef DATA_VERIFY_H
#define DATA_VERIFY_H

#include "data/manifest.h"

#include <stddef.h>
#include <stdint.h>

struct verify {
	/* Told of each thing that is bad, with a reason that names shard and record. */
	void (*bad)(void *context, const char *why);
	void *context;
	uint64_t max;           /* longest record taken; 0: TFRECORD_MAX */
	uint64_t records, found_bad;    /* so far, over all shards */
	struct manifest manifest;       /* the one read last */
};

/* Checks one shard ("-": stdin). 0: read to its end or as far as its framing goes, what is
 * bad was told; -1 with *status 3: it cannot be read, or no memory. */
int verify_shard(struct verify *, const char *path, int *status);
void verify_release(struct verify *);

#endif
