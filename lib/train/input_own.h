/* The inside of an input: input.c is the taker's side, input_lanes.c that of the threads. */
#ifndef TRAIN_INPUT_OWN_H
#define TRAIN_INPUT_OWN_H

#include "base/fail.h"
#include "train/input.h"
#include "train/lane.h"

#include <pthread.h>

enum { SLOTS = 3 };     /* one or two with the taker, the others ahead */

/* A batch being filled. Lane l's samples are those at l, l + lanes, ... */
struct slot {
	struct batch batch;
	unsigned char *there;   /* 1 for samples that came, in the batch's order */
	int done, ended;        /* lanes that filled their places; that came to the end */
};

struct lane_thread {
	struct input *in;
	pthread_t thread;
	int lane;
	uint64_t first;         /* where its first sample stands */
};

struct input {
	struct input_from from;
	struct input_shape shape;
	struct lane *lane;
	struct lane_thread *context;
	int threads;                    /* of context that run */
	struct slot slot[SLOTS];
	size_t image_bytes;             /* of one sample, all views */
	uint64_t stride, first;         /* first: the position of batch 0 */
	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int headed, placed;             /* lanes that read their header; their first record */
	int shaped, ready, closing;     /* input_start(): shape known; slots ready */
	int64_t taken, given;           /* batches; given back */
	int64_t fails;                  /* the first batch that cannot be filled */
	int status, left;
	int over;               /* the taker saw the end */
	char why[FAIL_MAX];
};

/* Which of all parts a lane is. */
static inline int input_part(const struct input *in, int lane)
{
	return in->from.part + lane * (in->from.parts / in->from.lanes);
}

/* The thread of a lane; context is a struct lane_thread. */
void *input_run_lane(void *context);

#endif
