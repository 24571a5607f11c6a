/*
 * The pass that draws brackets, in four files: trial.c tries and makes one bracket and
 * puts the list in order; join.c knows which to try, join_conv.c those with convolutions;
 * remat.c copies what is better made again than kept. Private to lib/net.
 */
#ifndef NET_TRIAL_H
#define NET_TRIAL_H

#include "net/bracket.h"
#include "net/program_build.h"

/*
 * The list is put into its order only at the end. Until then each step has a key, twice
 * its place in the old order (copies for a step stand one before it); members of a
 * bracket take over the key of one of them, the anchor, and are told apart by their place
 * inside.
 */
struct pass {
	struct build *b;
	struct program *p;
	int *head;              /* of each value: its first reader, as step * STEP_IN + operand */
	int *next;              /* of each reader: the next one of the same value */
	int *key, *inside;      /* of each step */
	char *leaves;           /* of each step: it is about to read copies instead, so that
				   its reading counts for nothing */
	int steps;              /* of the old list */
};

/* A bracket that might be. */
struct trial {
	const struct bracket *row;
	int member[BRACKET_STEPS];      /* the step it is; -1: a copy */
	struct step step[BRACKET_STEPS];
	int anchor;                     /* key; set where all members are copies */
	int hidden[BRACKET_STEPS], hides;       /* values that are not stored */
};

/* 0 or -1; release in both cases. */
int pass_init(struct pass *, struct build *);
void pass_release(struct pass *);
/* Puts the list in order and numbers the brackets as they come. 0 or -1. */
int pass_reorder(struct pass *);

/* Reading operands of a step: before, and after they change. */
void reader_link(struct pass *, int step);
void reader_unlink(struct pass *, int step);
/* A sum of two the other way round: the same to the last bit. */
void operands_swap(struct pass *, int add);

void trial_begin(struct trial *, enum bracket_kind);
/* The k-th member is this step. */
void trial_set(const struct pass *, struct trial *, int k, int step);
/* The k-th member is a copy of this step, in the part of the step it is copied for, whose
 * result is a value of its own. */
void trial_copy(struct pass *, struct trial *, int k, int step, enum part);
/* Seconds that it would take; < 0: it would not be right, or the backend refuses. */
double trial_cost(struct pass *, struct trial *);
/* Makes it, after it had a cost. */
void trial_commit(struct pass *, const struct trial *);
/* Makes it where it takes less than so many seconds: 1 if made. */
int try_cheaper(struct pass *, struct trial *, double seconds);
/* Steps that are there, in the row's order: 1 if the bracket was made. */
int try_steps(struct pass *, enum bracket_kind, const int *step);

/* Seconds that a step takes alone, and that steps in a row's order take the cheaper way,
 * as that bracket or one by one; < 0: not known. */
double step_cost(struct pass *, int step);
double steps_cost(struct pass *, enum bracket_kind, const int *step);

/* The step that makes a value, if it is of this kind and part and still alone; -1. */
int maker_of(const struct pass *, int value, enum step_kind, enum part);

/* ---- join.c ---- */

/* What act_dx reads is made again from affine, and act (-1: act_dx reads what the
 * activation read). affine -1: it is read. */
struct again { int affine, act; };

/* Seconds of a masked gradient, its sums and dx, made as join.c makes them; < 0: not known. */
double pair_cost(struct pass *, int act_dx, int sums, int bn_dx, const struct again *);

/* ---- join_conv.c: 1 if the bracket was made ---- */

/* The convolution that makes the gradient takes the mask and the sums along. */
int join_sums(struct pass *, int act_dx, int sums, int bn_dx, const struct again *);
/* affine and act into all convolutions that read the result. */
int join_prologue(struct pass *, int affine, int act);
/* A sum and its activation into one of the convolutions that read the result. */
int join_skip(struct pass *, int add, int act);
int join_stats(struct pass *, int conv);

/* ---- remat.c ---- */

/* After all brackets are made. */
void remat_all(struct pass *);

/* bracket.c: do these steps make this row, links and all? */
int bracket_is(const struct bracket *, const struct step *);

#endif
