/* The network of a run: its text, kept whole in checkpoints, and the graph it expands to. */
#ifndef TRAIN_NETWORK_H
#define TRAIN_NETWORK_H

#include "net/graph.h"

#include <jansson.h>
#include <stddef.h>

struct network {
	char *name;             /* as the user wrote it: "resnet18", "nets/my.net" */
	char *text;
	size_t bytes;
	json_t *settings;       /* a list of texts "NAME=VALUE"; later ones win */
	struct graph *graph;    /* NULL until network_expand() */
};

/* Finds a network by name or path (zoo.h) and takes the user's settings after its own.
 * 0 or -1. */
int network_open(struct network *, const char *name, const char *const *set, int sets);

/* From a checkpoint's metadata, given by key; NULL texts are missing members. 0 or -1. */
int network_from(struct network *, const char *name, const char *text, const char *settings);

/* Makes the graph. classes: those of the data, which hold where no setting says others
 * (then they are added to the settings); 0: not known. Fewer classes than the data has
 * are refused. 0 or -1. */
int network_expand(struct network *, int classes);

void network_release(struct network *);

#endif
