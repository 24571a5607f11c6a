/*
 * Recipes: recipe(5). A text like 'random-crop 0.08 1 | size 224 | flip' becomes a list
 * of steps with their arguments; steps.c has the table of what there is.
 */
#ifndef DATA_RECIPE_H
#define DATA_RECIPE_H

#include "data/canvas.h"

#include <stdint.h>

enum { RECIPE_ARGS = 5, RECIPE_NUMBERS = 3, RECIPE_TEXT_MAX = 1 << 16,
       RECIPE_DEPTH_MAX = 16, RECIPE_STEPS_MAX = 1000 };

struct step;

/* What is known of the image at a place of the recipe before there is one. */
struct outline {
	int height, width;      /* 0: differs from image to image */
	int channels;
	int moved;              /* what stands where in the picture has changed */
};

struct step_arg {               /* a row of a step's arguments */
	const char *name;       /* NULL ends the list */
	const char *words;      /* "centre random": one of these; NULL: numbers */
	const char *standard;   /* its text; NULL: must be given; "": may be left out */
	double least, most;     /* of each number */
	int whole;              /* whole numbers only */
	int fewest, numbers;    /* how many: fewest .. numbers, at most RECIPE_NUMBERS */
	int named;              /* by name only */
	const char *help;
};

struct step_kind {              /* a row of the table of steps */
	const char *name, *help;
	struct step_arg arg[RECIPE_ARGS + 1];
	int group;              /* takes steps in parentheses */
	/* Looks at the arguments together, after they were read: 0 or -1 with the cause
	 * alone. May be NULL. */
	int (*check)(struct step *);
	/* What the step makes of an outline. */
	void (*outline)(const struct step *, struct outline *);
	/* The step on an image: 0 or -1. */
	int (*run)(const struct step *, struct canvas *);
};

struct recipe {
	struct step *step;
	int count;
};

struct step {
	const struct step_kind *kind;
	double value[RECIPE_ARGS][RECIPE_NUMBERS];      /* a word: its place in words */
	int numbers[RECIPE_ARGS];       /* given, or by default; 0: left out */
	int standard[RECIPE_ARGS];      /* as by default */
	char name[32];          /* with its ordinal, "flip.1": names its random choices */
	struct recipe group;
};

/* Reads a text ("" or blanks: no steps): the caller frees the recipe. NULL: the reason
 * says column, cause and what may have been meant. */
struct recipe *recipe_parse(const char *text);
void recipe_free(struct recipe *);      /* NULL: nothing */

/* The recipe in one way of writing: what differs in spelling only is equal here. The
 * caller frees it; NULL: reason. */
char *recipe_text(const struct recipe *);
/* The same of one step. */
char *step_text(const struct step *);

/* Follows an outline through the recipe. */
void recipe_outline(const struct recipe *, struct outline *);
/* Whether a step of this name is in it. */
int recipe_has(const struct recipe *, const char *name);

/* Runs all steps on a canvas that was begun and placed: 0, or -1 with the step's name
 * in the reason. */
int recipe_run(const struct recipe *, struct canvas *);
int step_run(const struct step *, struct canvas *);

/* The table of steps; its last row has no name. */
extern const struct step_kind step_kinds[];
const struct step_kind *step_find(const char *name);

#endif
