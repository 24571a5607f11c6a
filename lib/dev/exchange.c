/* Data between the ranks of a world. */
#include "dev/world_own.h"

#include "base/bytes.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- waiting ---- */

/* An answer from this machine takes microseconds, and to fall asleep costs more where cores
 * are busy: it looks 2000 times, as the CPU's threads do (dev.c), then gives way and sleeps. */
static void rest(int turn)
{
	enum { EAGER = 2000, YIELDING = 2050, SOON = 5000 };
	struct timespec t = { .tv_nsec = turn < SOON ? 20000 : 200000 };

	if (turn >= YIELDING)
		nanosleep(&t, NULL);
	else if (turn >= EAGER)
		sched_yield();
}

/* With the lock held: how many have not arrived; -1. */
static int left_of(struct world *w, struct transfer *t, int count)
{
	int left = 0;

	world_look_for_ended(w);
	if (w->status)
		return fail("%s", w->why);
	for (int i = 0; i < count; i++) {
		int r = t[i].arrived ? 1 : w->transport->test(&t[i]);

		if (r < 0) {
			world_broken(w, 3, fail_why());
			return -1;
		}
		left += !r;
	}
	return left;
}

int world_wait(struct world *w, struct transfer *t, int count)
{
	for (int turn = 0;; turn++) {
		int left;

		pthread_mutex_lock(&w->lock);
		left = left_of(w, t, count);
		pthread_mutex_unlock(&w->lock);
		if (left <= 0)
			return left;
		rest(turn);
	}
}

/* ---- messages that an act starts ---- */

struct act { struct world *w; int tag, count, failed; struct transfer *t; };

static int act_begin(struct act *a, struct world *w, enum world_call call, int most)
{
	*a = (struct act){ .w = w, .tag = TAG_CALLS + (int)call,
			   .t = calloc((size_t)most, sizeof *a->t) };
	return a->t ? 0 : fail("out of memory");
}

static void act_send(struct act *a, int to, const void *bytes, size_t n)
{
	if (!n)
		return;
	pthread_mutex_lock(&a->w->lock);
	a->failed |= a->w->transport->send(&a->t[a->count++], to, a->tag, bytes, n);
	pthread_mutex_unlock(&a->w->lock);
}

static void act_receive(struct act *a, int from, void *bytes, size_t n)
{
	if (!n)
		return;
	pthread_mutex_lock(&a->w->lock);
	a->failed |= a->w->transport->receive(&a->t[a->count++], from, a->tag, bytes, n);
	pthread_mutex_unlock(&a->w->lock);
}

/* Until all of it has arrived; more may be started then. */
static int act_wait(struct act *a)
{
	if (a->failed || world_wait(a->w, a->t, a->count))
		return -1;
	a->count = 0;
	return 0;
}

/* ---- to all ---- */

int world_gather(struct world *w, enum world_call call, const void *own, void *all, size_t bytes)
{
	unsigned char *there;
	struct act a;

	if (!w) {
		memcpy(all, own, bytes);
		return 0;
	}
	/* of its own, as a failure leaves it to the messages */
	there = malloc(bytes * (size_t)w->ranks + 1);
	if (!there || act_begin(&a, w, call, 2 * w->ranks)) {
		free(there);
		return fail("out of memory");
	}
	memcpy(there + bytes * (size_t)w->rank, own, bytes);
	for (int k = 0; k < w->ranks; k++)
		if (k != w->rank)
			act_receive(&a, k, there + bytes * (size_t)k, bytes);
	for (int k = 0; k < w->ranks; k++)
		if (k != w->rank)
			act_send(&a, k, there + bytes * (size_t)w->rank, bytes);
	TRY(act_wait(&a));
	memcpy(all, there, bytes * (size_t)w->ranks);
	free(there);
	free(a.t);
	return 0;
}

int world_share(struct world *w, void *bytes, size_t n)
{
	enum { MOST = 16 << 20 };
	size_t room = n < MOST ? n : MOST;
	unsigned char *copy;
	struct act a;

	if (!w || !n)
		return 0;
	copy = malloc(room);
	if (!copy || act_begin(&a, w, WORLD_MAIN, w->ranks)) {
		free(copy);
		return fail("out of memory");
	}
	for (size_t from = 0; from < n; from += MOST) {
		size_t now = n - from < MOST ? n - from : MOST;

		memcpy(copy, (unsigned char *)bytes + from, now);
		for (int k = 1; !w->rank && k < w->ranks; k++)
			act_send(&a, k, copy, now);
		if (w->rank)
			act_receive(&a, 0, copy, now);
		TRY(act_wait(&a));
		memcpy((unsigned char *)bytes + from, copy, now);
	}
	free(copy);
	free(a.t);
	return 0;
}

/* ---- sums ---- */

/* Numbers that are exchanged at once, and added up at once. */
enum { PIECE = 1 << 20, STRIP = 1024, LINE = 16 };

struct summing {
	struct act act;
	float *const *x;
	int devices;
	size_t at, numbers;     /* of this piece */
	float *room;            /* of the others' numbers, by device and rank */
};

/* Where a rank's share of the piece begins; rank = ranks: the piece's end. */
static size_t share_at(const struct summing *s, int rank)
{
	size_t lines = (s->numbers + LINE - 1) / LINE;
	size_t at = lines * (size_t)rank / (size_t)s->act.w->ranks * LINE;

	return at < s->numbers ? at : s->numbers;
}

static size_t share_of(const struct summing *s, int rank)
{
	return share_at(s, rank + 1) - share_at(s, rank);
}

/* A rank's numbers of our share. */
static float *theirs(const struct summing *s, int device, int rank)
{
	const struct world *w = s->act.w;

	if (rank == w->rank)
		return s->x[device] + s->at + share_at(s, rank);
	return s->room + ((size_t)device * (size_t)w->ranks + (size_t)rank) *
			 share_of(s, w->rank);
}

static int spread(struct summing *s)
{
	const struct world *w = s->act.w;

	for (int k = 0; k < w->ranks; k++)
		for (int d = 0; d < s->devices && k != w->rank; d++)
			act_receive(&s->act, k, theirs(s, d, k),
				    share_of(s, w->rank) * sizeof(float));
	for (int k = 0; k < w->ranks; k++)
		for (int d = 0; d < s->devices && k != w->rank; d++)
			act_send(&s->act, k, s->x[d] + s->at + share_at(s, k),
				 share_of(s, k) * sizeof(float));
	return act_wait(&s->act);
}

/* Our share, into the first device's array. */
static void add_up(const struct summing *s)
{
	const struct world *w = s->act.w;
	size_t n = share_of(s, w->rank);
	float sum[STRIP];

	for (size_t from = 0; from < n; from += STRIP) {
		size_t now = n - from < STRIP ? n - from : STRIP;

		for (int d = 0; d < s->devices; d++)
			for (int k = 0; k < w->ranks; k++) {
				const float *x = theirs(s, d, k) + from;

				if (!d && !k)
					memcpy(sum, x, now * sizeof *sum);
				else
					for (size_t i = 0; i < now; i++)
						sum[i] += x[i];
			}
		memcpy(theirs(s, 0, w->rank) + from, sum, now * sizeof *sum);
	}
}

static int collect(struct summing *s)
{
	const struct world *w = s->act.w;
	float *first = s->x[0] + s->at;

	for (int k = 0; k < w->ranks; k++)
		if (k != w->rank)
			act_receive(&s->act, k, first + share_at(s, k),
				    share_of(s, k) * sizeof(float));
	for (int k = 0; k < w->ranks; k++)
		if (k != w->rank)
			act_send(&s->act, k, first + share_at(s, w->rank),
				 share_of(s, w->rank) * sizeof(float));
	TRY(act_wait(&s->act));
	for (int d = 1; d < s->devices; d++)
		memcpy(s->x[d] + s->at, first, s->numbers * sizeof(float));
	return 0;
}

/* Kept for the next time. */
static float *room_for(struct world *w, enum world_call call, size_t numbers)
{
	if (w->numbers[call] < numbers) {
		free(w->room[call]);
		w->room[call] = malloc(numbers * sizeof(float));
		w->numbers[call] = w->room[call] ? numbers : 0;
		if (!w->room[call])
			fail("out of memory for %zu numbers of %d ranks", numbers, w->ranks);
	}
	return w->room[call];
}

int world_sum(struct world *w, enum world_call call, float *const *x, int devices, size_t numbers)
{
	size_t piece = numbers < PIECE ? numbers : PIECE;
	size_t share = piece / (size_t)w->ranks + 2 * LINE;
	struct summing s = { .x = x, .devices = devices };

	s.room = room_for(w, call, share * (size_t)devices * (size_t)w->ranks);
	if (!s.room)
		return -1;
	TRY(act_begin(&s.act, w, call, 2 * devices * w->ranks));
	for (; s.at < numbers; s.at += PIECE) {
		s.numbers = numbers - s.at < PIECE ? numbers - s.at : PIECE;
		TRY(spread(&s));
		add_up(&s);
		TRY(collect(&s));
	}
	free(s.act.t);
	return 0;
}
