#include "dev/reducer.h"

#include "base/fail.h"
#include "dev/world.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS = 64 };     /* that a device may be ahead */

struct job { float **x; size_t numbers; int brought; };

struct reducer {
	struct world *world;
	int devices;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct job job[JOBS];           /* number n is at n modulo JOBS */
	float **arrays;                 /* of all jobs */
	int64_t *begun;                 /* by device */
	int64_t done;
	int closing, failed;
	char why[FAIL_MAX];
};

/* The lock is held. */
static void keep_failure(struct reducer *r, const char *why)
{
	if (!r->failed)
		snprintf(r->why, sizeof r->why, "%s", why);
	r->failed = 1;
	pthread_cond_broadcast(&r->changed);
}

static void *add_up(void *context)
{
	struct reducer *r = context;

	pthread_mutex_lock(&r->lock);
	while (!r->closing && !r->failed) {
		struct job *j = &r->job[r->done % JOBS];
		int e;

		if (j->brought < r->devices) {
			pthread_cond_wait(&r->changed, &r->lock);
			continue;
		}
		pthread_mutex_unlock(&r->lock);
		e = world_sum(r->world, WORLD_REDUCE, j->x, r->devices, j->numbers);
		pthread_mutex_lock(&r->lock);
		if (e) {
			keep_failure(r, fail_why());
			break;
		}
		j->brought = 0;
		r->done++;
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static void release(struct reducer *r)
{
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r->arrays);
	free(r->begun);
	free(r);
}

struct reducer *reducer_open(struct world *world, int devices)
{
	struct reducer *r = calloc(1, sizeof *r);
	int e;

	if (!r) {
		fail("out of memory");
		return NULL;
	}
	r->world = world;
	r->devices = devices;
	r->arrays = calloc((size_t)devices * JOBS, sizeof *r->arrays);
	r->begun = calloc((size_t)devices, sizeof *r->begun);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	for (int i = 0; r->arrays && i < JOBS; i++)
		r->job[i].x = r->arrays + (size_t)i * (size_t)devices;
	e = r->arrays && r->begun ? pthread_create(&r->thread, NULL, add_up, r) : ENOMEM;
	if (!e)
		return r;
	fail("cannot start a thread: %s", strerror(e));
	release(r);
	return NULL;
}

int reducer_begin(struct reducer *r, int device, float *x, size_t numbers)
{
	struct job *j;
	int e = 0;

	pthread_mutex_lock(&r->lock);
	while (r->begun[device] - r->done >= JOBS && !r->failed)
		pthread_cond_wait(&r->changed, &r->lock);
	if (r->failed) {
		e = fail("%s", r->why);
	} else {
		j = &r->job[r->begun[device]++ % JOBS];
		j->x[device] = x;
		j->numbers = numbers;
		if (++j->brought == r->devices)
			pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	return e;
}

int reducer_join(struct reducer *r, int device)
{
	int e;

	if (!r)
		return 0;
	pthread_mutex_lock(&r->lock);
	while (r->done < r->begun[device] && !r->failed)
		pthread_cond_wait(&r->changed, &r->lock);
	e = r->done < r->begun[device] ? fail("%s", r->why) : 0;
	pthread_mutex_unlock(&r->lock);
	return e;
}

void reducer_break(struct reducer *r, const char *why)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	keep_failure(r, why);
	pthread_mutex_unlock(&r->lock);
}

void reducer_close(struct reducer *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->closing = 1;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	release(r);
}
