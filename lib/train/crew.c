#include "train/crew.h"

#include "base/fail.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct member { struct crew *crew; pthread_t thread; int rank; };

struct crew {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	int count, running;             /* members; those whose threads run */
	int64_t order;                  /* number of the present act */
	int left;                       /* members that still do it */
	int failed, ending;
	crew_act *act;
	void *context;
	crew_watch *watch;
	void *watched;
	char why[FAIL_MAX];
	struct member member[];
};

/* The first one; the lock is held. */
static void keep_failure(struct crew *c)
{
	if (c->failed)
		return;
	c->failed = 1;
	snprintf(c->why, sizeof(c->why), "%s", fail_why());
}

/* Waits until a member is done, or a second; the lock is held. */
static void look(struct crew *c)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec++;
	if (pthread_cond_timedwait(&c->done, &c->lock, &t) == ETIMEDOUT && c->watch &&
	    c->watch(c->watched) < 0)
		keep_failure(c);
}

static void *serve(void *argument)
{
	struct member *m = argument;
	struct crew *c = m->crew;

	pthread_mutex_lock(&c->lock);
	for (int64_t last = 0;;) {
		while (c->order == last && !c->ending)
			pthread_cond_wait(&c->work, &c->lock);
		if (c->ending)
			break;
		last = c->order;
		pthread_mutex_unlock(&c->lock);
		int r = c->act(c->context, m->rank);
		pthread_mutex_lock(&c->lock);
		if (r < 0)
			keep_failure(c);
		c->left--;
		if (!c->left || c->failed)
			pthread_cond_signal(&c->done);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

struct crew *crew_open(int count, crew_watch *watch, void *watched)
{
	struct crew *c = calloc(1, sizeof(*c) + (size_t)count * sizeof(c->member[0]));

	if (!c) {
		fail("out of memory");
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	pthread_cond_init(&c->done, NULL);
	c->count = count;
	c->watch = watch;
	c->watched = watched;
	for (int i = 0; i < count; i++) {
		c->member[i] = (struct member){ .crew = c, .rank = i };
		int r = pthread_create(&c->member[i].thread, NULL, serve, &c->member[i]);

		if (r) {
			crew_close(c);
			fail("cannot start a thread: %s", strerror(r));
			return NULL;
		}
		c->running++;
	}
	return c;
}

int crew_do(struct crew *c, crew_act *act, void *context)
{
	int r = 0;

	pthread_mutex_lock(&c->lock);
	if (!c->failed) {
		c->act = act;
		c->context = context;
		c->left = c->count;
		c->order++;
		pthread_cond_broadcast(&c->work);
		while (c->left && !c->failed)
			look(c);
	}
	if (c->failed)
		r = fail("%s", c->why);
	pthread_mutex_unlock(&c->lock);
	return r;
}

void crew_close(struct crew *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->ending = 1;
	int stuck = c->failed && c->left;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->lock);
	for (int i = 0; i < c->running; i++) {
		if (stuck)
			pthread_detach(c->member[i].thread);
		else
			pthread_join(c->member[i].thread, NULL);
	}
	if (!stuck)
		free(c);
}
