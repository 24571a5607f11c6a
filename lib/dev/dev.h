/*
 * Devices. A backend is a table of functions: ref is built in, the others are
 * plug-ins (millrace-NAME.so) found beside the program or in PREFIX/lib/millrace and
 * opened when first asked for, so that programs start fast and run where a backend's
 * libraries are missing. Each device is called from one thread only.
 */
#ifndef DEV_DEV_H
#define DEV_DEV_H

#include "base/text.h"
#include "dev/world.h"
#include "net/program.h"

enum { BACKEND_ABI = 4, BACKEND_PLACES = 4 };

struct device;          /* the backend's */

/* What a device can do at most: multiplications and additions, bytes read and written,
 * a second. 0: not known. */
struct limits { double flops, bytes; };

struct backend {
	int abi;                /* BACKEND_ABI */
	const char *name;
	/* which: the part behind the colon of "cuda:1", or NULL. threads: 0 is the
	 * backend's choice. NULL: reason. */
	struct device *(*open)(const char *which, int threads);
	void (*close)(struct device *);
	/* Valid until close. */
	struct target (*target)(struct device *);
	/* Devices that take each step together, in rank order, with those of the other
	 * processes of a world (NULL: none; else numbered as host_join() says); called once,
	 * before bind, not at all for one device alone. STEP_REDUCE and STEP_SYNC_* of all of
	 * them then meet: each device must be run by a thread of its own. */
	int (*join)(struct device **, int count, struct world *);
	/* The only allocation. shares: a program bound before on this device whose masters,
	 * gradients, state and control block are used (same graph); packed copies, work,
	 * input and output stay its own, so run its PACK after the other's UPDATE. NULL: own
	 * ones, zeroed. */
	int (*bind)(struct device *, struct program *, struct program *shares);
	/* Moves one value. Activations and vectors: fp32 NHWC without padding, whatever the
	 * layout. Masters, gradients, slots: bare fp32 (OIHW). Pixels, labels, control: their
	 * bytes; put of the control block takes its host part only. A value inside a bracket
	 * cannot be got. 0 or -1. */
	int (*put)(struct device *, struct program *, int value, const void *);
	int (*get)(struct device *, struct program *, int value, void *);
	/* Runs steps from .. to - 1; may return before they are done; neither allocates nor
	 * waits. A range must not cut a bracket. */
	int (*run)(struct device *, struct program *, int from, int to);
	/* Until all that was run is done: 0, or -1 with what went wrong. */
	int (*wait)(struct device *);
	/* A line for people and checkpoints: kind, threads, instruction set, libraries. */
	const char *(*describe)(struct device *);
	/* Lines for people: what the machine has, what was chosen for it, and why. */
	void (*explain)(struct device *, struct text *);
	/* Measures them, in a fraction of a second. */
	void (*limits)(struct device *, struct limits *);
	/* The precision that it computes in fastest, by a probe: DTYPE_F32, DTYPE_BF16. NULL:
	 * programs have no say in it, the device's name has (cuda:0:bf16). */
	enum dtype (*fastest)(struct device *);
	/* Sets the control block's device part, as get gave it in another run. 0 or -1. */
	int (*restore)(struct device *, struct program *, const struct control *);
	/* A get in two parts, for a backend whose run returns before its work is done; both
	 * NULL where it does not. ask: has a value copied, as it is behind the work so far,
	 * to a place of that number (0 .. BACKEND_PLACES - 1). answer: waits for the copy
	 * and brings it, while later work may go on. */
	int (*ask)(struct device *, struct program *, int value, int place);
	int (*answer)(struct device *, struct program *, int value, int place, void *);
	/* Adds lines that people should be told, once: what came up while programs were made.
	 * NULL: there are none ever. */
	void (*note)(struct device *, struct text *);
};

/* A plug-in's one symbol. */
const struct backend *millrace_backend(void);

/* The folder of a vendor's libraries, for plug-ins that are opened from then on
 * (--cuda-libs); NULL: they look for them. 0 or -1. */
int device_libraries(const char *folder);
#define DEVICE_LIBRARIES_HELP "where cuDNN and NCCL are (default: they are looked for)"

/* A list of devices as -d gives it: "cpu", "cpu*2" (the same one twice), "cuda:0-3",
 * "ref", separated by commas. */
struct device_name { char backend[16], which[32]; };

/* Reads it: the number of devices (at most most), or -1. */
int device_names(const char *list, struct device_name *, int most);

/* The backend of that name; opens the plug-in the first time. NULL: reason with the
 * remedy ("cuda: no plug-in millrace-cuda.so beside the program or in ..."). */
const struct backend *backend_find(const char *name);

#endif
