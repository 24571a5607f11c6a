/*
 * The settings of a run that decide its numbers: given as options, kept in every
 * checkpoint, compared when a run goes on. One table serves all of it.
 */
#ifndef TRAIN_SETTINGS_H
#define TRAIN_SETTINGS_H

#include <jansson.h>
#include <math.h>
#include <stdint.h>

/* What was not given: NAN, INT64_MIN, NULL, -1 for flags. */
#define SETTING_NONE INT64_MIN

struct settings {
	int64_t batch, seed, steps;
	double epochs;
	const char *optimizer, *schedule, *drops, *devices, *precision, *mean, *deviation;
	const char *without;
	double lr, momentum, decay, smoothing, factor, warmup, warmup_from, final_lr;
	int nesterov, sync_bn;
};

/* All not given. */
void settings_clear(struct settings *);

/* What is not given is taken from a checkpoint's options (an object; NULL: none), then
 * from the defaults; batch, seed, epochs, steps, mean, deviation and without may stay not
 * given.
 * given: a second copy of what the user gave, against which the checkpoint is compared;
 * the names that differ are added to the list changes. Texts of the object are borrowed. */
void settings_resolve(struct settings *, const json_t *options, json_t *changes);

/* The settings as an object; those not given are left out. NULL: out of memory. */
json_t *settings_json(const struct settings *);

/* Refuses values of no sense: 0, or -1 with the option's name. */
int settings_check(const struct settings *);

/* Reads "123.7,116.3,103.5" into at most 4 numbers: how many, or -1. */
int settings_numbers(const char *text, double out[4]);

#endif
