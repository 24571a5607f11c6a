/*
 * The pass that draws brackets, in two files: trial.c tries and makes one bracket and
 * puts the list in order; join.c knows which to try. Private to lib/net.
 */
#ifndef NET_TRIAL_H
#define NET_TRIAL_H

#include "net/bracket.h"
#include "net/program_build.h"

/*
 * The list is put into its order only at the end. Until then each step has a key, its
 * place in the old order; members of a bracket take over the key of one of them, the
 * anchor, and are told apart by their place inside.
 */
struct pass {
	struct build *b;
	struct program *p;
	int *head;              /* of each value: its first reader, as step * STEP_IN + operand */
	int *next;              /* of each reader: the next one of the same value */
	int *key, *inside;      /* of each step */
	int steps;              /* of the old list */
};

/* A bracket that might be. */
struct trial {
	const struct bracket *row;
	int member[BRACKET_STEPS];      /* the step it is; -1: a copy */
	struct step step[BRACKET_STEPS];
	int anchor;                     /* key */
	int ignore;                     /* a step whose reading counts for nothing; -1 */
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

void trial_begin(struct trial *, enum bracket_kind);
/* The k-th member is this step. */
void trial_set(const struct pass *, struct trial *, int k, int step);
/* The k-th member is a copy of this step, whose result is a value of its own. */
void trial_copy(struct pass *, struct trial *, int k, int step);
/* Would it be right, and does the backend take it? 1 or 0. */
int trial_fits(struct pass *, struct trial *);
/* Makes it, after it fitted. */
void trial_commit(struct pass *, const struct trial *);
/* Steps that are there, in the row's order: 1 if the bracket was made. */
int try_steps(struct pass *, enum bracket_kind, const int *step);

/* bracket.c: do these steps make this row, links and all? */
int bracket_is(const struct bracket *, const struct step *);

#endif
