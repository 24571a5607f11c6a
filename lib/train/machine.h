/*
 * The devices of a run, with a network's programs bound to them: a training program
 * whose steps all devices take together, and an evaluation program that each runs on
 * samples of its own. A batch for training is dealt out to the devices (input.h), one for
 * evaluation shared out in equal blocks.
 *
 * With a world the devices are those of all its processes, as many in each. A batch is then
 * this process's part of it. Acts that make and bind programs, take steps or look for
 * trouble are of all processes together.
 */
#ifndef TRAIN_MACHINE_H
#define TRAIN_MACHINE_H

#include "dev/dev.h"
#include "train/crew.h"
#include "train/input.h"
#include "train/profile.h"
#include "train/state.h"

#include <jansson.h>

enum { MACHINE_DEVICES = 64 };

struct machine_device {
	const struct backend *backend;
	struct device *device;
	struct target target;
	struct program *train, *eval;   /* NULL: not made */
};

struct machine {
	int count;
	struct machine_device *device;
	struct crew *crew;
	enum dtype precision;   /* of programs made from now on: 0, DTYPE_F32, DTYPE_BF16 */
	int failed;             /* a device failed: none can be called any more */
	struct world *world;    /* NULL: this process alone */
	int devices;            /* of all processes */
	json_t *about;          /* what machine_describe() gives */
	struct control control; /* as of the last machine_get(): its device part is kept */
	struct profile *profile;        /* of the first device's training steps; NULL: none */
	int64_t begun, finished;        /* steps of training */
	int halted;                     /* the last one that was finished */
	/* results of the last step that was finished, or evaluation, in the batch's order */
	float *losses;          /* room x 2 */
	float *probabilities;   /* room x classes; evaluation only */
	float *logits;          /* likewise; NULL unless wanted */
};

/* Devices as -d names them; threads: of all of them together, 0: their own choice.
 * Keeps the world. 0 or -1. */
int machine_open(struct machine *, const char *devices, int threads, struct world *);
void machine_close(struct machine *);

/* What the devices are, those of all processes: a list of texts. NULL: out of memory. */
json_t *machine_describe(const struct machine *);

/* What programs are made in from now on: "fp32", "bf16", or "auto", the first device's
 * fastest by a probe. The name of what was taken; NULL: reason. */
const char *machine_precision(struct machine *, const char *name);

/* What the first device says that people should know, since the last time: lines, or an
 * empty text. NULL: reason. The caller frees it. */
char *machine_notes(struct machine *);

/* Makes and binds the training program; the first device chooses kernels, the others
 * take what it chose. options->batch is that of one device. how: the
 * kernels to obey (a list of texts, one a step) or NULL. 0 or -1. */
int machine_train(struct machine *, const struct graph *, const struct program_options *options,
		  const json_t *how);
/* Training steps are timed from now on, one by one: on the first device, the others
 * waiting for it where they meet. 0 or -1. */
int machine_profile(struct machine *);
/* The kernels chosen by the training program. */
json_t *machine_how(const struct machine *);

/* Makes and binds the evaluation program, on the parameters of the training program if
 * there is one. batch: of all devices. logits: 1 to keep them. 0 or -1. */
int machine_eval(struct machine *, const struct graph *, int batch, const struct input_attr *,
		 int logits);

/* Parameters (and slots, where the training program has them) to and from the devices. */
int machine_put(struct machine *, const struct state *);
int machine_get(struct machine *, const struct state *);
/* Sets the device part of the training program's control block: loss scale, good steps. */
int machine_restore(struct machine *, const struct control *);

/*
 * A step of training on a full batch, in two parts, so that the next step may be begun
 * while devices are at this one: begin as many ahead as machine_ahead() says, finish in
 * order. All must be finished before anything else is asked of the machine.
 *
 * control: its host part, for the whole batch (of one device it is made here). *halted:
 * the loss or a gradient was not finite, and nothing was updated, nor by what was begun
 * since, which has no result. 0 or -1.
 */
int machine_ahead(const struct machine *);      /* 1, or 0: finish each before the next,
						   as where several processes agree between */
int machine_begin(struct machine *, const struct batch *, const struct control *control);
int machine_finish(struct machine *, int *halted);

/* Puts a batch as a step does, to look at it again. 0 or -1. */
int machine_put_batch(struct machine *, const struct batch *, const struct control *control);

/* After training steps: lets the evaluation program see the parameters. */
int machine_refresh(struct machine *);

/* Evaluates samples; views: images of each, whose probabilities are averaged (losses and
 * logits are then those of the last view). Places without a sample give numbers of no
 * meaning. 0 or -1. */
int machine_evaluate(struct machine *, const struct batch *, int views);

/* After a step that halted, with its batch put: finds the first place where a number is
 * not finite, and leaves "layer NAME (step): samples 17:203, ..." as the reason. Always
 * -1. */
int machine_find_trouble(struct machine *, const struct batch *);

#endif
