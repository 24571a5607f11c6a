/* Where a number first became something else: what machine.h's find_trouble does. */
#include "train/machine.h"

#include "base/fail.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD = 8 };      /* samples that a message names */

struct search {
	struct machine *m;
	const struct batch *batch;
	int from, to;                   /* the steps that run next */
	int step[MACHINE_DEVICES];      /* where a device found it; -1: not */
	int samples[MACHINE_DEVICES];   /* how many of its samples; 0: not a thing of samples */
	int sample[MACHINE_DEVICES][TOLD];
};

/* Steps from .. that run as one. */
static int bracket_end(const struct program *p, int from)
{
	int to = from + 1;

	while (p->step[from].bracket >= 0 && to < p->steps &&
	       p->step[to].bracket == p->step[from].bracket)
		to++;
	return to;
}

static int floating(const struct value *v)
{
	return v->lay.type == DTYPE_F32 || v->lay.type == DTYPE_F16 || v->lay.type == DTYPE_BF16;
}

static void note_samples(struct search *s, int rank, const struct value *v, const float *number)
{
	size_t each = (size_t)v->h * (size_t)v->w * (size_t)v->c;
	int batch = s->m->device[rank].train->options.batch;

	s->samples[rank] = 0;
	if (v->n != batch)
		return;
	for (int n = 0; n < batch; n++) {
		size_t i = 0;

		while (i < each && isfinite(number[(size_t)n * each + i]))
			i++;
		if (i == each)
			continue;
		if (s->samples[rank] < TOLD)
			s->sample[rank][s->samples[rank]] = rank * batch + n;
		s->samples[rank]++;
	}
}

/* Looks at one output: 1 if all of it is finite, 0 if not, -1. */
static int look(struct search *s, int rank, int value)
{
	const struct machine_device *d = &s->m->device[rank];
	const struct value *v = &d->train->value[value];
	size_t n = (size_t)v->n * (size_t)v->h * (size_t)v->w * (size_t)v->c, i = 0;
	float *number;

	if (v->arena == ARENA_NONE || v->arena == ARENA_CONTROL || !floating(v))
		return 1;
	number = malloc((n ? n : 1) * sizeof(*number));
	if (!number)
		return fail("out of memory");
	if (d->backend->get(d->device, d->train, value, number) < 0) {
		free(number);
		return -1;
	}
	while (i < n && isfinite(number[i]))
		i++;
	if (i < n)
		note_samples(s, rank, v, number);
	free(number);
	return i == n;
}

static int run_and_look(void *context, int rank)
{
	struct search *s = context;
	const struct machine_device *d = &s->m->device[rank];
	struct program *p = d->train;

	s->step[rank] = -1;
	TRY(d->backend->run(d->device, p, s->from, s->to));
	TRY(d->backend->wait(d->device));
	for (int i = s->from; i < s->to; i++)
		for (int k = 0; k < p->step[i].outs; k++) {
			int value = p->step[i].out[k], r = value < 0 ? 1 : look(s, rank, value);

			TRY(r);
			if (!r) {
				s->step[rank] = i;
				return 0;
			}
		}
	return 0;
}

/* A parameter that is not finite already: its number; -1: none; -2: failed. */
static int look_at_parameters(struct machine *m)
{
	const struct program *p = m->device[0].train;
	struct state state;
	int found = -1;

	if (state_make(&state, p->graph, 0) < 0)
		return -2;
	if (machine_get(m, &state) < 0)
		found = -2;
	for (int i = 0; i < p->graph->params && found == -1; i++)
		for (int64_t k = 0; k < param_numbers(&p->graph->param[i]); k++)
			if (!isfinite(state.data[i][k])) {
				found = i;
				break;
			}
	state_release(&state);
	return found;
}

static int tell(const struct search *s, int rank)
{
	const struct program *p = s->m->device[rank].train;
	const struct step *step = &p->step[s->step[rank]];
	struct text list = { 0 };
	char buf[48], *samples;

	for (int i = 0; i < s->samples[rank] && i < TOLD; i++) {
		int n = s->sample[rank][i];

		text_add(&list, "%s%s", i ? ", " : ": samples ",
			 sample_name(s->batch->id[n], batch_position(s->batch, n), buf));
	}
	if (s->samples[rank] > TOLD)
		text_add(&list, " and %d more of %d", s->samples[rank] - TOLD, p->options.batch);
	samples = text_take(&list);
	fail("layer %s (%s)%s", step->node >= 0 ? p->graph->node[step->node].name : "-",
	     step_name(step->kind), samples ? samples : "");
	free(samples);
	return -1;
}

/* The first device of this process that found it; -1: none. */
static int finder(const struct search *s)
{
	for (int rank = 0; rank < s->m->count; rank++)
		if (s->step[rank] >= 0)
			return rank;
	return -1;
}

/* Leaves the reason of the first process where it was found: 1; 0: nowhere; -1. */
static int found(const struct search *s)
{
	struct { int here; char why[1000]; } own = { finder(s) >= 0, "" }, *all;
	int ranks = world_ranks(s->m->world), r;

	if (own.here) {
		tell(s, finder(s));
		snprintf(own.why, sizeof(own.why), "%s", fail_why());
	}
	all = calloc((size_t)ranks, sizeof(*all));
	if (!all)
		return fail("out of memory");
	r = world_gather(s->m->world, WORLD_MAIN, &own, all, sizeof(own));
	for (int k = 0; k < ranks && !r; k++)
		if (all[k].here) {
			fail("%s", all[k].why);
			r = 1;
		}
	free(all);
	return r;
}

int machine_find_trouble(struct machine *m, const struct batch *b)
{
	const struct program *p = m->device[0].train;
	struct search s = { .m = m, .batch = b };
	int bad = look_at_parameters(m);

	if (bad == -2)
		return -1;
	if (bad >= 0)
		return fail("parameter %s is not finite already: the learning rate is too high",
			    p->graph->param[bad].name);
	for (s.from = p->begin[PART_FORWARD]; s.from < p->begin[PART_REDUCE]; s.from = s.to) {
		s.to = bracket_end(p, s.from);
		if (crew_do(m->crew, run_and_look, &s) < 0) {
			m->failed = 1;
			return -1;
		}
		if (found(&s))
			return -1;
	}
	return fail("no layer: a sum over the batch's losses or gradients is too large");
}
