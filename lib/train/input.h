/*
 * The input of a run: batch streams become batches in host memory. A lane is one
 * stream at a time: stdin, files read one after another as by cat, or a command; a
 * thread for each lane copies its samples into the batch being filled, while the batch
 * before is computed.
 *
 * Sample i of a batch always stands at the batch's position + i, whatever the number of
 * lanes: a step is the same set of samples in the same places. (One lane that is one of
 * N dealt parts, or one process of N: at position + N i.)
 *
 * A batch may be dealt out to several devices, as a stream is dealt: number n in the order
 * of this input (position / stride) goes to device n modulo the number of devices, and each
 * device's samples stand together, so that a device has the same samples whatever the number
 * of processes.
 */
#ifndef TRAIN_INPUT_H
#define TRAIN_INPUT_H

#include "data/stream.h"
#include "dev/world.h"
#include "net/graph.h"

#include <stdint.h>

enum { INPUT_LANES = 256 };

struct input_from {
	const char *const *file;        /* "-": stdin */
	int files;
	const char *command;            /* NULL: the files; see command.h */
	int lanes;                      /* streams side by side: 1 unless a command */
	int part, parts;                /* of several processes: lane l is part + l x parts /
					   lanes of all their parts; parts 0: one process */
	struct world *world;            /* waiting ends where it breaks; NULL */
	uint64_t start;                 /* samples that stand before it are dropped */
	int strict;                     /* a stream that starts beyond start is refused */
	int (*stop)(void);              /* asked while waiting; not 0: give up. NULL: never */
};

struct batch {
	uint64_t position;      /* of the first sample */
	uint64_t stride;        /* to the next one */
	int room, deal;         /* samples it can hold; devices it is dealt out to */
	int samples;            /* less than room only at the end of the input */
	unsigned char *pixels;  /* u8, room x views x H x W x C */
	int32_t *labels;        /* room x 2; -1: no label (a bad sample, or padding) */
	float *shares;          /* room x 2 */
	int64_t *id;            /* room; -1: unknown */
	char **name;            /* room, each may be NULL; NULL unless wanted */
};

struct input_shape {
	int room;               /* samples of a batch; the number of lanes divides it */
	struct shape image;
	int views;              /* images of one sample; 1, or what input_views() says */
	int classes;            /* labels are below */
	int deal;               /* devices, which divide room; 0: one */
	int names;              /* 1: keep names */
	int remainder;          /* 1: the last batch may have fewer samples */
};

struct input;

/* Opens it and reads the headers of all lanes. *status: the exit status that fits the
 * failure. Borrows what it is given until close. NULL: reason. */
struct input *input_open(const struct input_from *, int *status);

/* The header of the first lane. */
const struct stream_head *input_head(const struct input *);

/* Images of one sample: 1, or the views of a column [views,H,W,C]; 0: varies or none. */
int input_views(const struct input *);

/* Checks the streams against the shape and starts reading: 0, or -1 and input_status(). */
int input_start(struct input *, const struct input_shape *);

/* The next batch, borrowed until input_give(), which gives back the oldest; at most two at
 * a time. 1; 0 at the proper end; -1: the reason, after all whole batches before the
 * failure were given. */
int input_take(struct input *, struct batch **);
void input_give(struct input *);

/* After -1: the exit status that fits; 0 where stop() was the cause. */
int input_status(const struct input *);
/* At the end: samples that did not fill a batch (0 with remainder). */
int input_left(const struct input *);
/* After input_start(): where the first sample of the first batch stands. */
uint64_t input_first(const struct input *);
/* Where sample i of the batch's order stands in its arrays; and the position of what stands
 * in a place. */
int batch_place(const struct batch *, int i);
uint64_t batch_position(const struct batch *, int place);

/* Ends the threads and the commands. NULL: nothing. */
void input_close(struct input *);

/* "17:203": into buf, which it gives back. -1 gives "position POSITION". */
const char *sample_name(int64_t id, uint64_t position, char buf[48]);

#endif
