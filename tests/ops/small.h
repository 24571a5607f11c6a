/*
 * Small programs of a few plain steps, run on any backend in any layout and compared:
 * the tests of the steps are written with it. Values are listed, then steps; a program
 * goes through the real passes (copies, brackets, plan), so that what is tested is what
 * runs. All memory that a step could have left unwritten is filled with NaN before each
 * run, and the padding of every result is looked at after it.
 *
 * What cannot go wrong in a test that passes aborts with the reason.
 */
#ifndef TESTS_OPS_SMALL_H
#define TESTS_OPS_SMALL_H

#include "dev/dev.h"
#include "net/program_build.h"

enum { SMALL_VALUES = 40, SMALL_STEPS = 24, SMALL_END = -2 };

/* Lists of operands: OF(x, w, -1). */
#define OF(...) ((const int[]){ __VA_ARGS__, SMALL_END })

enum small_role {
	SMALL_IN,               /* an activation that the test gives, in the run's layout */
	SMALL_MID,              /* made and read by steps */
	SMALL_OUT,              /* made by a step and got */
	SMALL_HOST,             /* given as it is: pixels, labels, shares */
	SMALL_MASTER,           /* a parameter */
	SMALL_GRADIENT,         /* of a parameter */
	SMALL_SLOT,             /* of a parameter: given and got */
};

struct small_value {
	enum small_role role;
	struct shape4 shape;
	struct layout lay;      /* block 0: the run's */
	int master;             /* of a gradient or slot; of a master its own index */
	size_t numbers;
	float *given, *got;     /* without padding, NHWC or bare; i32 and u8 in the same room */
	int value;              /* in the program */
};

struct small_step {
	enum step_kind kind;
	enum part part;
	const void *attr;
	int in[STEP_IN], ins, out[STEP_OUT], outs;
};

struct small {
	char name[160];         /* of the case, for messages */
	int values, steps;
	struct small_value value[SMALL_VALUES];
	struct small_step step[SMALL_STEPS];
	struct control control;
	int losses;             /* for FINITE; -1 */
	int devices;
	int evaluation;         /* its rewrites, not those of training */
	uint64_t seed;          /* of the numbers given */
};

enum small_layout {
	SMALL_NHWC, SMALL_NHWC16, SMALL_NCHW, SMALL_BLOCK8, SMALL_BLOCK16, SMALL_LAYOUTS
};
extern const char *const small_layout_name[SMALL_LAYOUTS];

/* Begins a case: no values, no steps; control with count 1, stride 1, lr 0.1. */
void small_init(struct small *, const char *name, ...) __attribute__((format(printf, 2, 3)));
void small_release(struct small *);

/* Values: each gives its index. Given numbers are uniform in -1 .. 1 until changed. */
int small_value(struct small *, enum small_role, int n, int h, int w, int c);
int small_rows(struct small *, enum small_role, int rows, int c);
int small_host(struct small *, enum dtype, int n, int h, int w, int c);
int small_place(struct small *, int n, int h, int w, int c);    /* beside a maximum; u8 until
								   changed */
int small_master(struct small *, int o, int i, int k0, int k1); /* OIHW */
int small_vector(struct small *, int c);                        /* a master of one dimension */
int small_gradient(struct small *, int master);
int small_slot(struct small *, int master);

/* Given numbers uniform in low .. high. */
void small_fill(struct small *, int value, double low, double high);

void small_step(struct small *, enum part, enum step_kind, const void *attr, const int *in,
		const int *out);

/* ---- running ---- */

struct small_setup {
	const char *backend;
	enum small_layout layout;
	const char *without;    /* rewrites left out */
	int threads;            /* 0: the backend's choice */
	enum dtype precision;   /* 0: fp32 */
};

struct bound;

/* NULL where the backend refuses (fail_why()). */
struct bound *small_bind(struct small *, const struct small_setup *);
void bound_free(struct bound *);

/* Puts what is given, runs all, gets what is made (small_value.got). 0 or -1. */
int bound_run(struct bound *);

/* Many times: only the steps, between one put and one get of all. */
int bound_begin(struct bound *);
int bound_steps(struct bound *);
int bound_end(struct bound *);

struct program *bound_program(struct bound *);
struct device *bound_device(struct bound *);
const struct backend *bound_backend(struct bound *);

/* The results that have padding with something else than zero: their number; the
 * first one's name is in fail_why(). */
int bound_padding(struct bound *);

/* ---- checking: each prints what is wrong to stderr and gives the number of faults ---- */

/* How far two results may be apart, as a share of the largest number of the reference.
 * brief: in bf16, as a share of the reference's length (all its numbers squared, summed,
 * the root), which a few masks that rounding turned cannot dominate; 0: bf16 is left out. */
struct small_tolerance { double all, winograd, brief; };

/* Runs the case by ref, then by a backend in every layout, with and without brackets,
 * and compares all results; then, where the backend can, in bf16, from numbers that bf16
 * has. */
int small_against_ref(struct small *, const char *backend, struct small_tolerance);

/*
 * Finite differences on ref: sum of weight * result over the numbers of result must
 * change with those of value as gradient says. weight NULL: all 1. step: of the
 * difference; tolerance as above. All numbers of value, at most 48 of them.
 */
int small_differences(struct small *, int value, int gradient, int result, const float *weight,
		      double step, double tolerance);

/* Whether a backend is there; sets where plug-ins of this build lie. */
int small_backend(const char *name);

/* Opens a device of a backend and gives the backend's table; NULL: reason. Where the
 * environment has OPS_DEVICE (as cuda:0:fp32), "cpu" means that device, here and above. */
struct device *small_open(const char *name, int threads, const struct backend **);

/* What program_make() is given for a device. Brackets are taken wherever the backend can:
 * not speed is tried here. */
struct target small_target(const struct backend *, struct device *);
/* Whether the name means a device of a short type (OPS_DEVICE is cuda:0:bf16): such a one
 * is compared as a backend in bf16 is. */
int small_brief(const char *name);

/* Names of brackets run since the start, each between ", " and ", ". */
const char *small_brackets(void);

#endif
