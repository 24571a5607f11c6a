#include "base/pool.h"

#include "base/fail.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	void *job;
	int done, result;
	char *why;              /* of a failed job; NULL: no memory for it */
};

struct worker {
	struct pool *pool;
	pthread_t id;
	int number;
};

/* Jobs are counted from 0; job n lives in slot n % depth. taken <= begun <= put. */
struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;    /* there is a job to begin, or the end */
	pthread_cond_t change;  /* a job was done or taken, or no more will come */
	pool_work *act;
	void *context;
	struct slot *slot;
	size_t depth, put, begun, taken;
	int ended, stopped;
	int threads;            /* started */
	struct worker *worker;
};

/* Keeps the result of a job; comes back holding the lock. */
static void finish(struct pool *p, struct slot *s, int result)
{
	s->result = result;
	s->why = result < 0 ? strdup(fail_why()) : NULL;
	pthread_mutex_lock(&p->lock);
	s->done = 1;
	pthread_cond_broadcast(&p->change);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->stopped && !p->ended && p->begun == p->put)
			pthread_cond_wait(&p->work, &p->lock);
		if (p->stopped || p->begun == p->put)
			break;

		struct slot *s = &p->slot[p->begun++ % p->depth];

		pthread_mutex_unlock(&p->lock);
		finish(p, s, p->act(p->context, w->number, s->job));
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Starts the threads with signals blocked, so that the program's own threads get
 * those that ask it to stop; faults and broken pipes stay with who caused them. */
static int start(struct pool *p, int threads)
{
	static const int own[] = { SIGPIPE, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP,
				   SIGSYS };
	sigset_t block, old;
	int error = 0;

	sigfillset(&block);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&block, own[i]);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	for (int i = 0; i < threads && !error; i++) {
		p->worker[i] = (struct worker){ .pool = p, .number = i };
		error = pthread_create(&p->worker[i].id, NULL, work, &p->worker[i]);
		if (!error)
			p->threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error)
		return fail("cannot start thread %d of %d: %s", p->threads + 1, threads,
			    strerror(error));
	return 0;
}

struct pool *pool_open(int threads, int depth, pool_work *act, void *context)
{
	struct pool *p = calloc(1, sizeof(*p));

	assert(threads >= 1 && depth >= 1);
	if (!p) {
		fail("out of memory for %d threads", threads);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->change, NULL);
	p->act = act;
	p->context = context;
	p->depth = (size_t)depth;
	p->slot = calloc(p->depth, sizeof(*p->slot));
	p->worker = calloc((size_t)threads, sizeof(*p->worker));
	if (!p->slot || !p->worker) {
		fail("out of memory for %d threads", threads);
		pool_free(p);
		return NULL;
	}
	if (start(p, threads) < 0) {
		pool_free(p);
		return NULL;
	}
	return p;
}

int pool_put(struct pool *p, void *job)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	while (!p->ended && p->put - p->taken == p->depth)
		pthread_cond_wait(&p->change, &p->lock);
	if (p->ended) {
		r = fail("no more jobs are taken");
	} else {
		p->slot[p->put++ % p->depth] = (struct slot){ .job = job };
		pthread_cond_signal(&p->work);
		pthread_cond_broadcast(&p->change);
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

void pool_end(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->ended = 1;
	pthread_cond_broadcast(&p->work);
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
}

int pool_take(struct pool *p, void **job)
{
	struct slot s = { 0 };
	int r = 0;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct slot *next = &p->slot[p->taken % p->depth];

		if (p->taken < p->put && next->done) {
			s = *next;
			*next = (struct slot){ 0 };
			p->taken++;
			pthread_cond_broadcast(&p->change);
			r = 1;
			break;
		}
		if (p->taken == p->put && p->ended)
			break;
		pthread_cond_wait(&p->change, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	*job = s.job;
	if (s.result < 0)
		r = fail("%s", s.why ? s.why : "out of memory");
	free(s.why);
	return r;
}

int pool_inside(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	int n = (int)(p->put - p->taken);

	pthread_mutex_unlock(&p->lock);
	return n;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopped = p->ended = 1;
	pthread_cond_broadcast(&p->work);
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->threads; i++)
		pthread_join(p->worker[i].id, NULL);
	for (size_t i = 0; p->slot && i < p->depth; i++)
		free(p->slot[i].why);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->change);
	free(p->slot);
	free(p->worker);
	free(p);
}
