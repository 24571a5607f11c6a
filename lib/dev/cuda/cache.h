/*
 * The engines that were chosen by timing, kept on disk, so that a second start takes
 * seconds: a file for each kind of device with its libraries, in the folder that
 * MILLRACE_CACHE names (empty: none is kept), else $XDG_CACHE_HOME/millrace, else
 * ~/.cache/millrace. It is text, with a checksum at its end:
 *
 *     millrace engines 1
 *     NVIDIA H200, cuDNN 9.19.0, CUDA 13.0, driver 13.0
 *     graph 0 0 1 0 256 ...          the numbers of struct dnn_graph
 *     how cudnn e62.b44b
 *     plan 1795                      bytes of cuDNN's text that follow, then a newline
 *     {"...
 *     sum 8a0c5e1f93b2d674           FNV-1a, 64 bits, of all before
 *
 * A file that cannot be read, is damaged or another's is as none, with a note. Starts at
 * the same time are safe: a file is replaced whole, with what others put there meanwhile.
 */
#ifndef DEV_CUDA_CACHE_H
#define DEV_CUDA_CACHE_H

#include "dev/cuda/dnn.h"

struct choice {
	struct choice *next;
	struct dnn_graph graph;
	char how[STEP_HOW];
	char *plan;             /* as dnn_plan_text(); NULL: none */
};

struct cache {
	char *path;             /* NULL: nothing is kept */
	char *what;             /* the second line */
	struct choice *choice;
	int changed;
};

/* Begins with what the file has; what: the device and its libraries, in one line. 0, or
 * -1 where there is a file that is not to be used: the reason is a note, and the cache
 * good all the same. */
int cache_open(struct cache *, const char *what);
void cache_close(struct cache *);

/* The choice for a graph; NULL: there is none. */
const struct choice *cache_find(const struct cache *, const struct dnn_graph *);

/* Keeps a choice in place of an older one; takes plan (malloc), which may be NULL. 0 or -1. */
int cache_add(struct cache *, const struct dnn_graph *, const char *how, char *plan);

/* Writes the file if there is something new: 0, or -1 with a reason that is a note. */
int cache_save(struct cache *);

#endif
