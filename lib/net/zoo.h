/*
 * Networks by name. What a user writes for a network is a path of a file (it holds a
 * "/", ends in ".net", or is "-": stdin), a short name of the zoo ("resnet18": a file
 * with settings), or the name of a zoo's file ("resnet"). The zoo lies beside the
 * program, in ../lib/zoo (also ../../lib/zoo, for builds in folders of their own) or
 * ../share/millrace/zoo.
 */
#ifndef NET_ZOO_H
#define NET_ZOO_H

#include "net/graph.h"

#include <stddef.h>

enum { ZOO_SETTINGS = 8 };

/* A network's text, found. */
struct net_file {
	char *path;             /* as messages name it */
	char *text;
	size_t bytes;
	char *set[ZOO_SETTINGS];        /* the short name's, "NAME=VALUE" */
	int sets;
};

/* Finds and reads it: 0 or -1 (nothing to release). */
int net_file_open(struct net_file *, const char *name);
void net_file_release(struct net_file *);

/* Expands it: the short name's settings, then the user's ("NAME=VALUE"), which win.
 * NULL: reason. */
struct graph *net_file_read(const struct net_file *, const char *const *set, int sets);

/* All three in one: for who does not keep the text. NULL: reason. */
struct graph *net_load(const char *name, const char *const *set, int sets);

/* A name of the zoo. */
struct zoo_entry {
	char *name, *path;
	char *set[ZOO_SETTINGS];
	int sets;
	char *about;            /* the line in the list of names, or the file's first comment */
};

struct zoo {
	struct zoo_entry *entry;
	int count;
};

/* All short names, in the order of their list, then files that have none. 0 or -1. */
int zoo_list(struct zoo *);
void zoo_release(struct zoo *);

#endif
