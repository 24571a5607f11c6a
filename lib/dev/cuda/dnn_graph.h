/*
 * What dnn.c and dnn_graph.c share: descriptors of cuDNN's backend API and the graphs made
 * of them. Private to the two.
 */
#ifndef DEV_CUDA_DNN_GRAPH_H
#define DEV_CUDA_DNN_GRAPH_H

#include "dev/cuda/dnn.h"
#include "dev/cuda/vendor.h"

enum { DESCRIPTORS = 192, NODES = 8 };

typedef cudnnBackendDescriptor_t descriptor;

/* Descriptors of one graph: they are kept while its plans are. */
struct made {
	struct made *next;
	int count;
	descriptor d[DESCRIPTORS];
};

struct dnn_plan {
	struct dnn_plan *next;
	struct dnn_graph graph;
	descriptor plan;        /* NULL: there is none, and "" need not ask again */
	size_t work;
	int first;              /* the one that "" asks for */
	char how[STEP_HOW];
};

struct dnn {
	const struct vendor_dnn *v;
	cudnnHandle_t handle;           /* NULL: there is no device */
	descriptor properties;          /* of a device that need not be there */
	struct made *made;
	struct dnn_plan *plan;
	char library[32];
};

/* Attributes are set one after the other; the first that fails is told at the end. */
struct maker {
	struct dnn *dnn;
	struct made *made;
	const struct dnn_graph *graph;
	descriptor node[NODES];
	int nodes, next_virtual;
	int failed;
};

/* "cuDNN: what: status: its last words": -1. */
int dnn_bad(const struct dnn *, cudnnStatus_t, const char *what);

/* A descriptor that is kept with the graph's; NULL after a failure, which all but
 * dnn_bad() take as an absent one. */
descriptor descriptor_make(struct maker *, cudnnBackendDescriptorType_t);
void attribute_set(struct maker *, descriptor, cudnnBackendAttributeName_t,
		   cudnnBackendAttributeType_t, int64_t count, const void *at);
void descriptor_set(struct maker *, descriptor, cudnnBackendAttributeName_t, descriptor value);
void descriptor_finalize(struct maker *, descriptor, const char *what);

/* The operation graph of maker.graph; NULL: reason. */
descriptor operation_graph(struct maker *);

#endif
