#include "data/pull.h"

#include "base/fail.h"
#include "base/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 4, WORKERS = 2 };

struct job {
	struct load load;
	struct batch batch;
	struct stream_view view[BATCH_COLUMNS];
	int read;               /* what feed_next() gave */
	char *why;              /* the reading failed */
	int status;
};

struct pull {
	struct feed *feed;
	const struct batch_plan *build;
	struct pool *pool;
	pthread_t reader;
	int status;
	struct job job[AHEAD + 2];      /* one is read, AHEAD are in the pool, one is given */
};

static void read_one(struct pull *p, struct job *j)
{
	j->read = feed_next(p->feed, &j->load);
	if (j->read >= 0)
		return;
	j->why = strdup(fail_why());
	j->status = feed_status(p->feed);
}

struct pull *pull_open(struct feed *feed)
{
	struct pull *p = calloc(1, sizeof *p);

	if (!p) {
		fail("no memory");
		return NULL;
	}
	p->feed = feed;
	read_one(p, &p->job[0]);
	return p;
}

const struct load *pull_first(const struct pull *p)
{
	return p->job[0].read > 0 ? &p->job[0].load : NULL;
}

/* A failure travels as a job, behind what was read before it. */
static void *read_loads(void *context)
{
	struct pull *p = context;
	uint64_t n;

	for (n = 0; ; n++) {
		struct job *j = &p->job[n % (AHEAD + 2)];

		if (n)
			read_one(p, j);
		if (!j->read || pool_put(p->pool, j) || j->read < 0)
			break;
	}
	pool_end(p->pool);
	return NULL;
}

static int work(void *context, int thread, void *job)
{
	struct pull *p = context;
	struct job *j = job;

	(void)thread;
	if (j->read < 0)
		return fail("%s", j->why ? j->why : "no memory");
	j->status = 1;
	if (j->load.kind != LOAD_DATA)
		return 0;
	if (!p->build)
		return batch_check(&j->load);
	return batch_build(&j->batch, p->build, &j->load, j->view);
}

int pull_begin(struct pull *p, const struct batch_plan *build)
{
	int rc;

	p->build = build;
	p->pool = pool_open(WORKERS, AHEAD, work, p);
	if (!p->pool)
		return -1;
	rc = pthread_create(&p->reader, NULL, read_loads, p);
	if (rc) {
		pool_free(p->pool);
		p->pool = NULL;
		return fail("cannot start a thread: %s", strerror(rc));
	}
	return 0;
}

int pull_next(struct pull *p, struct pulled *given)
{
	void *job = NULL;
	struct job *j;
	int rc = pool_take(p->pool, &job);

	j = job;
	if (rc < 0)
		p->status = j->status;
	if (rc > 0)
		*given = (struct pulled){ &j->load, j->view };
	return rc;
}

int pull_status(const struct pull *p)
{
	return p->status;
}

void pull_close(struct pull *p)
{
	int i;

	if (!p)
		return;
	if (p->pool)
		pthread_join(p->reader, NULL);
	pool_free(p->pool);
	for (i = 0; i < AHEAD + 2; i++) {
		load_release(&p->job[i].load);
		batch_release(&p->job[i].batch);
		free(p->job[i].why);
	}
	free(p);
}
