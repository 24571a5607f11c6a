#include "train/input_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keeps the failure of the earliest batch; the lock is held. */
static void keep_failure(struct input *in, int64_t batch, int status)
{
	if (batch < in->fails) {
		in->fails = batch;
		in->status = status;
		snprintf(in->why, sizeof(in->why), "%s", fail_why());
	}
	pthread_cond_broadcast(&in->changed);
}

static int check_sample(const struct input *in, const struct lane *l, const struct sample *s)
{
	char buf[48];

	for (int k = 0; k < 2; k++)
		if (s->label[k] < -1 || s->label[k] >= in->shape.classes)
			return fail("%s: sample %s: label %d, the network has %d classes",
				    lane_name(l),
				    sample_name(s->id, s->position, buf), s->label[k],
				    in->shape.classes);
	if (s->bytes != in->image_bytes)
		return fail("%s: sample %s: %zu bytes of image, not %zu", lane_name(l),
			    sample_name(s->id, s->position, buf), s->bytes, in->image_bytes);
	return 0;
}

/* Sample n of the batch's order. */
static int keep_sample(struct input *in, struct slot *slot, int n, const struct sample *s)
{
	struct batch *b = &slot->batch;
	size_t i = (size_t)batch_place(b, n);

	memcpy(b->pixels + i * in->image_bytes, s->pixels, in->image_bytes);
	memcpy(b->labels + 2 * i, s->label, sizeof(s->label));
	memcpy(b->shares + 2 * i, s->share, sizeof(s->share));
	b->id[i] = s->id;
	slot->there[n] = 1;
	if (b->name) {
		b->name[i] = s->name ? strndup(s->name, s->name_bytes) : NULL;
		if (s->name && !b->name[i])
			return fail("out of memory");
	}
	return 0;
}

/* Fills a lane's places of a batch: their number, fewer at the end of the input; -1. */
static int fill(struct input *in, int lane, struct slot *slot)
{
	struct lane *l = &in->lane[lane];
	uint64_t parts = (uint64_t)in->from.parts, part = (uint64_t)input_part(in, lane);
	int old, n = 0;

	for (int i = 0; i < in->shape.room; i++) {
		uint64_t at = slot->batch.position + (uint64_t)i * in->stride;
		struct sample s;

		if (at % parts != part)
			continue;
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
		int r = lane_next(l, &s);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
		if (r <= 0)
			return r < 0 ? -1 : n;
		if (s.position != at) {
			l->status = 1;
			return fail("%s: position %" PRIu64 " where %" PRIu64 " should be",
				    lane_name(l), s.position, at);
		}
		l->status = 1;
		TRY(check_sample(in, l, &s));
		TRY(keep_sample(in, slot, i, &s));
		n++;
	}
	return n;
}

/* Whether batch n is to be filled, when its slot's batch before it was given back. */
static int wait_for_slot(struct input *in, int64_t n)
{
	while (in->given + SLOTS <= n && n < in->fails && !in->closing)
		pthread_cond_wait(&in->changed, &in->lock);
	return n < in->fails && !in->closing;
}

/* The lock is held, but for the time of filling. */
static void fill_batches(struct input *in, int lane)
{
	int places = in->shape.room / in->from.lanes;

	for (int64_t n = 0; wait_for_slot(in, n); n++) {
		struct slot *s = &in->slot[n % SLOTS];

		pthread_mutex_unlock(&in->lock);
		int got = fill(in, lane, s);
		pthread_mutex_lock(&in->lock);
		if (got < 0) {
			keep_failure(in, n, in->lane[lane].status);
			return;
		}
		s->batch.samples += got;
		s->done++;
		s->ended += got < places;
		pthread_cond_broadcast(&in->changed);
		if (got < places)
			return;
	}
}

/* One act of a lane that may wait for input, and may be cancelled there. */
static int lane_act(struct lane *l, int (*act)(struct lane *, uint64_t *), uint64_t *result)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	int r = act(l, result);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return r;
}

static int open_act(struct lane *l, uint64_t *unused)
{
	(void)unused;
	return lane_open(l);
}

void *input_run_lane(void *context)
{
	struct lane_thread *t = context;
	struct input *in = t->in;
	struct lane *l = &in->lane[t->lane];
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	int r = lane_act(l, open_act, NULL);
	pthread_mutex_lock(&in->lock);
	if (r < 0)
		keep_failure(in, 0, l->status);
	in->headed++;
	pthread_cond_broadcast(&in->changed);
	while (!in->shaped && in->fails && !in->closing)
		pthread_cond_wait(&in->changed, &in->lock);
	if (in->fails && !in->closing) {
		pthread_mutex_unlock(&in->lock);
		r = lane_act(l, lane_first, &t->first);
		pthread_mutex_lock(&in->lock);
		if (r < 0)
			keep_failure(in, 0, l->status);
		in->placed++;
		pthread_cond_broadcast(&in->changed);
		while (!in->ready && in->fails && !in->closing)
			pthread_cond_wait(&in->changed, &in->lock);
		fill_batches(in, t->lane);
	}
	pthread_mutex_unlock(&in->lock);
	return NULL;
}
