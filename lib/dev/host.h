/*
 * What devices that compute in host memory share: the memory of programs, moving
 * values between the host's form and a value's layout, short floats, the draws of
 * dropout, and the team of devices that take a step together. ref is built on it,
 * and the plug-in cpu, which borrows these functions from the program that opens it.
 *
 * Such a backend's struct device begins with a struct host, and its put, get and
 * close are then one call each:
 *
 *     struct device { struct host host; ... };
 *
 * Every act here is 0 or -1 with a reason.
 */
#ifndef DEV_HOST_H
#define DEV_HOST_H

#include "base/dtype.h"
#include "dev/world.h"
#include "net/program.h"

#include <stdint.h>
#include <string.h>

struct team;

enum { HOST_HUGE = 2 << 20 };   /* bytes of a huge page; arenas from there on start at one */

/* A program's memory on a device. */
struct memory {
	const struct program *program;  /* borrows */
	unsigned char *arena[ARENAS];   /* each starts at a multiple of 64 bytes */
	struct memory *shares;          /* owns PARAM, GRAD, STATE and CONTROL; NULL: this */
	struct memory *next;
};

/* What every device in host memory has. Zeroed is a device alone without programs. */
struct host {
	struct memory *memory;
	struct team *team;              /* NULL: alone */
	int rank, ranks;                /* its number in the process; devices of all
					   processes. 0 of 0 while alone */
};

/* ---- memory ---- */

/* Takes zeroed memory for all arenas of a planned program; control: loss_scale is 1.
 * shares: see struct backend. Binding a program again replaces its memory. */
int host_bind(struct host *, const struct program *, const struct program *shares);

/* The memory of a program that was bound (assert). */
struct memory *host_memory(const struct host *, const struct program *);

/* Gives all memory back and leaves the team, which is broken by it if others still
 * wait there. The struct is zeroed. */
void host_close(struct host *);

/* Where a stored value is; NULL for -1 (an absent operand). */
static inline void *memory_at(const struct memory *m, int value)
{
	const struct value *v;

	if (value < 0)
		return NULL;
	v = &m->program->value[value];
	return m->arena[v->arena] + v->at;
}

static inline struct control *memory_control(const struct memory *m)
{
	return (struct control *)m->arena[ARENA_CONTROL];
}

/* As put, get and restore of struct backend, to the letter. Padding is set to zero by put. */
int host_put(struct host *, const struct program *, int value, const void *);
int host_get(struct host *, const struct program *, int value, void *);
int host_restore(struct host *, const struct program *, const struct control *);

/* ---- numbers ---- */

/* bf16 and IEEE half, rounded to the nearest, ties to even; NaN stays NaN, too large
 * for half is infinite. */
uint16_t bf16_from(float);
uint16_t f16_from(float);
float f16_to(uint16_t);

static inline float bf16_to(uint16_t b)
{
	uint32_t u = (uint32_t)b << 16;
	float f;

	memcpy(&f, &u, sizeof f);
	return f;
}

/* n numbers from one type to another, of f32, bf16, f16 (others: assert). from and to
 * do not overlap. */
void numbers_convert(void *to, enum dtype to_type, const void *from, enum dtype from_type,
		     size_t n);

/* A value whole between fp32 without padding in NHWC and its layout; u8 and i32 values
 * stay in their type on both sides. */
void value_pack(const struct value *, void *stored, const void *plain);
void value_unpack(const struct value *, const void *stored, void *plain);

/* Sets the padding of a stored value to zero; nothing where it has none. */
void value_zero_padding(const struct value *, void *stored);

/* ---- dropout ---- */

/*
 * Whether numbers from .. from + n - 1 of a sample are kept (1) or dropped (0).
 * Numbers are counted in C, H, W order, whatever the layout: (c * h + y) * w + x.
 * sample is the place in the device's batch. Number k is kept when the k-th word
 * that rng_u32() gives after rng_init(seed, position + sample * stride, name) is at
 * least p 2^32: philox blocks, so that any place costs the same. p is dropout_p() here
 * and below. Where whole samples are dropped, number 0 speaks for all.
 */
void dropout_draw(const struct dropout_attr *, const struct control *, int sample,
		  size_t from, size_t n, unsigned char *keep);

/* p at this step: risen from 0 where there is a ramp. */
double dropout_p(const struct dropout_attr *, const struct control *);

/* What kept numbers are multiplied by: 1 / (1 - p), rounded to float. */
float dropout_scale(const struct dropout_attr *, const struct control *);

/* ---- a team ---- */

/*
 * Makes a team of devices in rank order, each run by a thread of its own from then
 * on; of all processes of a world (NULL: none) where it is given, which have as many
 * devices each: device j of process r is number j * processes + r of the team. It keeps
 * the world. Meetings wait without spinning. Where one device fails or closes, the team is
 * broken for good: all who wait and all who come later get -1 with the reason.
 */
int host_join(struct host **, int count, struct world *);

/* Ends a team's work because of this device: its reason (fail_why()) is handed to
 * the others. A backend's run calls it on every failure. Alone: nothing. */
void host_broken(struct host *);

/*
 * The steps in which devices meet: STEP_REDUCE, STEP_SYNC_STATS, STEP_SYNC_SUMS.
 * Every device gets the same bytes: sums are taken in the order of the devices' numbers.
 * REDUCE is shared out, each device, or process, summing its part of the range for all.
 * With a world a REDUCE is only begun: see host_reduced().
 * Alone: REDUCE does nothing and the others copy. A program for another number of devices
 * than the team's fails.
 */
int host_meet(struct host *, const struct memory *, const struct step *);

/* Waits for every REDUCE that host_meet() has only begun: with a world a thread of the team
 * adds up while the device goes on, else nothing is left to wait for. FINITE needs it, and
 * the end of a range of steps. */
int host_reduced(struct host *);

/* Leaves the team, breaking it for the others; host_close() does it. Alone: nothing. */
void host_leave(struct host *);

/* Whether any device of the team says so: 1 or 0; -1: broken. Alone: flag. */
int host_any(struct host *, int flag);

/* STEP_FINITE: sets halt on all devices if a loss of any, or a gradient (of all of
 * ARENA_GRAD, after REDUCE), is not finite. */
int host_finite(struct host *, const struct memory *, const struct step *);

#endif
