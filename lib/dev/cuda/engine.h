/*
 * Which engine of cuDNN computes a graph on a device. Of those that cuDNN offers, and own
 * kernels where they are a way too, the fastest by its median on the device's stream,
 * recorded as steps are; kept in the cache (dev/cuda/cache.h), from which another start
 * takes it with its plan. For devices that are only looked at, and where timing has used
 * its time or finds no memory: cuDNN's own judgement.
 *
 * One device of a run chooses so; the others obey the names that it chose.
 */
#ifndef DEV_CUDA_ENGINE_H
#define DEV_CUDA_ENGINE_H

#include "dev/cuda/dnn.h"

struct device;

/* Starts own kernels that compute the graph; arg: as given. */
typedef void engine_own(struct device *, const void *arg, void *const operand[DNN_OPERANDS]);

/*
 * The plan to take. how: an engine's name to obey, "own", or "" for the best. own: NULL
 * where own kernels are no match for cuDNN's and need not be timed. *plan NULL: own
 * kernels. 0, or -1 where there is no engine of that name.
 */
int engine_choose(struct device *, const struct dnn_graph *, const char *how, engine_own *own,
		  const void *arg, const struct dnn_plan **plan);

/* Whether there is one: 1 or 0. The cache is asked first. */
int engine_there(struct device *, const struct dnn_graph *);

/* Bytes that a graph's operand takes; 0: it has none of that number. */
size_t engine_operand(const struct dnn_graph *, enum dnn_operand);

/* After a program's steps are prepared: keeps what was chosen, and adds to dev->notes what
 * people should know of it. */
void engine_settle(struct device *);

#endif
