#include "dev/world_own.h"

#include "dev/plugin.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Seconds: between two beats, between two looks for messages, for stragglers at the end of
 * a broken world. */
static const double beat_every = 1, look_every = 0.1, stragglers = 10;
/* For messages that are on their way when their sender says that it ends. */
static const double last_messages = 5;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- breaking; the lock is held ---- */

void world_broken(struct world *w, int status, const char *why)
{
	if (w->status)
		return;
	w->status = status ? status : 3;
	snprintf(w->why, sizeof w->why, "%s", why);
	w->version++;
	pthread_cond_broadcast(&w->changed);
}

static void lost(struct world *w, int rank, const char *what)
{
	char why[WORLD_WHY];

	w->peer[rank].lost = 1;
	snprintf(why, sizeof why, "%s: %s", w->name[rank], what);
	world_broken(w, 3, why);
}

/* ---- beats; the lock is held ---- */

void world_look_for_ended(struct world *w)
{
	double time = now();

	for (int k = 0; k < w->ranks; k++)
		if (w->peer[k].ended > 0 && time - w->peer[k].ended > last_messages)
			lost(w, k, "it has ended, this one goes on");
}

static int has_peer(const struct world *w, int rank)
{
	return w->rank ? !rank : rank > 0;
}

static int all_left(const struct world *w)
{
	for (int k = 0; k < w->ranks; k++)
		if (has_peer(w, k) && !w->peer[k].left)
			return 0;
	return 1;
}

static int may_leave(const struct world *w)
{
	return w->leaving && (w->rank || all_left(w));
}

/* 1 when the last of it was told. */
static int told_all(const struct world *w)
{
	for (int k = 0; k < w->ranks; k++) {
		const struct peer *p = &w->peer[k];

		if (has_peer(w, k) && !p->lost && (!p->out.left || p->on_way))
			return 0;
	}
	return 1;
}

static int listen_to(struct world *w, int rank)
{
	struct peer *p = &w->peer[rank];

	return w->transport->receive(&p->receiving, rank, TAG_BEAT, &p->in, sizeof p->in);
}

static void take(struct world *w, int rank)
{
	struct peer *p = &w->peer[rank];

	p->heard = now();
	if (p->in.signal && !w->signal)
		w->options.heard(p->in.signal);
	if (p->in.status)
		world_broken(w, p->in.status, p->in.why);
	if (p->in.ends && !p->ended)
		p->ended = p->heard;
	if (p->in.left) {
		p->left = 1;
		w->version++;
		pthread_cond_broadcast(&w->changed);
	} else if (listen_to(w, rank)) {
		lost(w, rank, fail_why());
	}
}

static void hear(struct world *w, int rank)
{
	struct peer *p = &w->peer[rank];
	int r = 0;

	while (!p->left && !p->lost && (r = w->transport->test(&p->receiving)) > 0)
		take(w, rank);
	if (r < 0)
		lost(w, rank, fail_why());
}

static void tell(struct world *w, int rank, double time)
{
	struct peer *p = &w->peer[rank];
	int r;

	if (p->on_way) {
		r = w->transport->test(&p->sending);
		if (r < 0)
			lost(w, rank, fail_why());
		if (r <= 0)
			return;
		p->on_way = 0;
	}
	if (p->out.left || p->lost || (p->told == w->version && time - p->sent < beat_every))
		return;
	p->out.signal = w->signal;
	p->out.status = w->status;
	p->out.ends = w->leaving;
	p->out.left = may_leave(w);
	strcpy(p->out.why, w->why);
	p->told = w->version;
	p->sent = time;
	p->on_way = 1;
	if (w->transport->send(&p->sending, rank, TAG_BEAT, &p->out, sizeof p->out))
		lost(w, rank, fail_why());
}

static void beat(struct world *w, double time, double last)
{
	char what[64];

	for (int k = 0; k < w->ranks; k++) {
		struct peer *p = &w->peer[k];

		if (!has_peer(w, k))
			continue;
		hear(w, k);
		/* who slept himself cannot say that others were silent */
		if (time - last > 2 * beat_every)
			p->heard = time;
		if (!p->left && !p->lost && time - p->heard > w->options.patience) {
			snprintf(what, sizeof what, "not heard of for %g s: dead, stopped or "
				 "cut off", w->options.patience);
			lost(w, k, what);
		}
		tell(w, k, time);
	}
}

static void wait_seconds(struct world *w, double seconds)
{
	struct timespec t;
	long ns = (long)(seconds * 1e9);

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += ns % 1000000000;
	t.tv_sec += ns / 1000000000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&w->changed, &w->lock, &t);
}

static void *live(void *context)
{
	struct world *w = context;
	double last = now();

	pthread_mutex_lock(&w->lock);
	while (!w->ending) {
		double time = now();
		int signal = w->options.signal();

		if (signal != w->signal) {
			w->signal = signal;
			w->version++;
		}
		beat(w, time, last);
		if (w->leaving)
			pthread_cond_broadcast(&w->changed);
		last = time;
		wait_seconds(w, w->leaving ? look_every / 20 : look_every);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- the start ---- */

static int number_of(const char *name)
{
	const char *text = getenv(name);

	return text ? atoi(text) : 0;
}

int world_wanted(void)
{
	return number_of("OMPI_COMM_WORLD_SIZE") > 1 || number_of("PMI_SIZE") > 1 ||
	       number_of("SLURM_STEP_NUM_TASKS") > 1;
}

static int begin(struct world *w)
{
	const struct transport *(*table)(void) = NULL;
	void *symbol = plugin_symbol("mpi", "millrace_transport");

	if (!symbol)
		return -1;
	memcpy(&table, &symbol, sizeof table);
	w->transport = table();
	if (w->transport->abi != TRANSPORT_ABI)
		return fail("mpi: its plug-in is of another version (ABI %d, not %d): build both "
			    "together", w->transport->abi, TRANSPORT_ABI);
	TRY(w->transport->start(&w->rank, &w->ranks, &w->local, &w->locals));
	if (w->ranks == 1)
		return fail("several processes were started, but MPI sees one alone: start them by "
			    "the mpirun of the MPI that is installed here, or by srun --mpi=pmix");
	return 0;
}

static int make_rooms(struct world *w)
{
	size_t n = (size_t)w->ranks;

	w->peer = calloc(n, sizeof *w->peer);
	w->host = calloc(n, sizeof *w->host);
	w->name = calloc(n, sizeof *w->name);
	if (!w->peer || !w->host || !w->name)
		return fail("out of memory");
	for (int k = 0; k < w->ranks; k++) {
		snprintf(w->name[k], sizeof w->name[k], "rank %d", k);
		w->peer[k].heard = now();
		if (has_peer(w, k))
			TRY(listen_to(w, k));
	}
	return 0;
}

static int learn_names(struct world *w)
{
	char host[WORLD_HOST] = "";

	gethostname(host, sizeof host - 1);
	TRY(world_gather(w, WORLD_MAIN, host, w->host, sizeof host));
	pthread_mutex_lock(&w->lock);
	for (int k = 0; k < w->ranks; k++)
		snprintf(w->name[k], sizeof w->name[k], "rank %d on %.*s", k, WORLD_HOST,
			 w->host[k]);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static int start(struct world *w)
{
	int r;

	TRY(begin(w));
	TRY(make_rooms(w));
	r = pthread_create(&w->thread, NULL, live, w);
	if (r)
		return fail("cannot start a thread: %s", strerror(r));
	w->running = 1;
	return learn_names(w);
}

/* What messages may still arrive in is left to the process. */
struct world *world_open(const struct world_options *options)
{
	struct world *w = calloc(1, sizeof *w);

	if (!w) {
		fail("out of memory");
		return NULL;
	}
	w->options = *options;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	return start(w) ? NULL : w;
}

int world_rank(const struct world *w)
{
	return w ? w->rank : 0;
}

int world_ranks(const struct world *w)
{
	return w ? w->ranks : 1;
}

int world_local(const struct world *w, int *of)
{
	*of = w ? w->locals : 1;
	return w ? w->local : 0;
}

const char *world_name(const struct world *w, int rank)
{
	return w->name[rank];
}

/* ---- the end ---- */

int world_check(struct world *w)
{
	int r = 0;

	if (!w)
		return 0;
	pthread_mutex_lock(&w->lock);
	if (w->status)
		r = fail("%s", w->why);
	pthread_mutex_unlock(&w->lock);
	return r;
}

void world_break(struct world *w, int status)
{
	char why[WORLD_WHY];

	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	snprintf(why, sizeof why, "%s: %.800s", w->name[w->rank], fail_why());
	world_broken(w, status, why);
	pthread_mutex_unlock(&w->lock);
}

int world_status(struct world *w)
{
	int status;

	if (!w)
		return 0;
	pthread_mutex_lock(&w->lock);
	status = w->status;
	pthread_mutex_unlock(&w->lock);
	return status;
}

/* With the lock held: 1: all have come; -1: they will not; 0: not yet. */
static int gone(const struct world *w, double since)
{
	for (int k = 0; k < w->ranks; k++)
		if (has_peer(w, k) && w->peer[k].lost)
			return -1;
	if (all_left(w) && told_all(w))
		return 1;
	/* rank 0 may be writing a checkpoint; it waits for no one for long */
	return w->status && !w->rank && now() - since > stragglers ? -1 : 0;
}

static void world_free(struct world *w)
{
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	for (int k = 0; k < WORLD_CALLS; k++)
		free(w->room[k]);
	free(w->peer);
	free(w->host);
	free(w->name);
	free(w);
}

int world_close(struct world *w)
{
	double since = now();
	int r;

	if (!w)
		return 0;
	pthread_mutex_lock(&w->lock);
	w->leaving = 1;
	w->version++;
	pthread_cond_broadcast(&w->changed);
	while (!(r = gone(w, since)))
		wait_seconds(w, look_every);
	w->ending = 1;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	if (r < 0)
		return fail("%s", w->why);
	w->transport->finish();
	world_free(w);
	return 0;
}

void world_abandon(struct world *w, int status)
{
	w->transport->abandon(status);
}
