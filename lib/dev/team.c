/* Devices that take a step together: those of one process, and of others by world.h. */
#include "dev/host.h"

#include "base/fail.h"
#include "dev/reducer.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct team {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	int count, members;             /* devices; those that have not left */
	int waiting;                    /* that have come to this meeting */
	unsigned round;                 /* meetings that have been */
	int any[2];                     /* flags of this meeting and the last, by round & 1 */
	int broken;
	char why[FAIL_MAX];
	const struct memory **memory;   /* what each brought to the meeting */
	struct world *world;            /* NULL: no other processes */
	int ranks;                      /* processes */
	struct reducer *reducer;        /* of sums over the world; NULL without one */
	unsigned char *gathered;        /* vectors of all devices of all processes */
	size_t gathered_bytes;          /* of one device */
	int any_of_all;                 /* what the world says of a flag */
};

int host_join(struct host **hosts, int count, struct world *world)
{
	struct team *team;
	int i;

	assert(count > 0);
	for (i = 0; i < count; i++)
		if (hosts[i]->team)
			return fail("device %d of %d: it is in a team already", i, count);
	team = calloc(1, sizeof *team);
	if (team)
		team->memory = calloc((size_t)count, sizeof *team->memory);
	if (!team || !team->memory) {
		free(team);
		return fail("out of memory");
	}
	if (world && !(team->reducer = reducer_open(world, count))) {
		free(team->memory);
		free(team);
		return -1;
	}
	pthread_mutex_init(&team->lock, NULL);
	pthread_cond_init(&team->moved, NULL);
	team->count = team->members = count;
	team->world = world;
	team->ranks = world_ranks(world);
	for (i = 0; i < count; i++) {
		hosts[i]->team = team;
		hosts[i]->rank = i;
		hosts[i]->ranks = count * team->ranks;
	}
	return 0;
}

static void team_free(struct team *team)
{
	reducer_close(team->reducer);
	pthread_mutex_destroy(&team->lock);
	pthread_cond_destroy(&team->moved);
	free(team->memory);
	free(team->gathered);
	free(team);
}

/* With the lock held. */
static void team_break(struct team *team, int rank, const char *why)
{
	if (team->broken)
		return;
	team->broken = 1;
	snprintf(team->why, sizeof team->why, "device %d of %d: %s", rank, team->count, why);
	pthread_cond_broadcast(&team->moved);
	reducer_break(team->reducer, team->why);
}

void host_broken(struct host *host)
{
	if (!host->team)
		return;
	pthread_mutex_lock(&host->team->lock);
	team_break(host->team, host->rank, fail_why());
	pthread_mutex_unlock(&host->team->lock);
}

void host_leave(struct host *host)
{
	struct team *team = host->team;
	int left;

	if (!team)
		return;
	pthread_mutex_lock(&team->lock);
	team_break(team, host->rank, "it was closed");
	left = --team->members;
	pthread_mutex_unlock(&team->lock);
	if (!left)
		team_free(team);
	host->team = NULL;
	host->rank = host->ranks = 0;
}

/* Waits until all have come: whether any of them brought a flag; -1: broken. */
static int meet(struct host *host, int flag)
{
	struct team *team = host->team;
	unsigned round;
	int any = -1;

	pthread_mutex_lock(&team->lock);
	round = team->round;
	team->any[round & 1] |= flag;
	if (!team->broken && ++team->waiting == team->count) {
		team->waiting = 0;
		/* all of this meeting have read the last one's flag */
		team->any[~round & 1] = 0;
		team->round++;
		pthread_cond_broadcast(&team->moved);
	}
	while (team->round == round && !team->broken)
		pthread_cond_wait(&team->moved, &team->lock);
	if (team->round != round)
		any = team->any[round & 1];
	else
		fail("%s", team->why);
	pthread_mutex_unlock(&team->lock);
	return any;
}

/* With the lock not held: the other processes' flags as well; by one device for all. */
static int any_of_world(struct team *team, int flag)
{
	int *all = calloc((size_t)team->ranks, sizeof *all), any = 0;

	if (!all)
		return fail("out of memory");
	int r = world_gather(team->world, WORLD_TEAM, &flag, all, sizeof flag);
	for (int k = 0; k < team->ranks; k++)
		any |= all[k];
	team->any_of_all = any;
	free(all);
	return r;
}

int host_any(struct host *host, int flag)
{
	struct team *team = host->team;
	int any;

	if (!team)
		return flag;
	any = meet(host, flag);
	if (any < 0 || !team->world)
		return any;
	if (!host->rank)
		TRY(any_of_world(team, any));
	TRY(meet(host, 0));
	return team->any_of_all;
}

enum { STRIP = 1024 };

static float *gradients(const struct team *team, int rank, size_t at)
{
	return (float *)(team->memory[rank]->arena[ARENA_GRAD] + at);
}

/* Sums numbers from .. to of the range in rank order, and gives them to all. No other
 * device touches them before the next meeting. */
static void reduce(const struct team *team, size_t at, size_t from, size_t to)
{
	float sum[STRIP];
	size_t n, i;
	int rank;

	for (; from < to; from += n) {
		n = to - from < STRIP ? to - from : STRIP;
		for (rank = 0; rank < team->count; rank++) {
			const float *x = gradients(team, rank, at) + from;

			if (!rank)
				memcpy(sum, x, n * sizeof *sum);
			else
				for (i = 0; i < n; i++)
					sum[i] += x[i];
		}
		for (rank = 0; rank < team->count; rank++)
			memcpy(gradients(team, rank, at) + from, sum, n * sizeof *sum);
	}
}

static void reduce_share(const struct host *host, const struct range_attr *range)
{
	size_t numbers = range->bytes / sizeof(float), ranks = (size_t)host->team->count;
	size_t line = 16, lines = (numbers + line - 1) / line, rank = (size_t)host->rank;
	size_t from = lines * rank / ranks * line, to = lines * (rank + 1) / ranks * line;

	assert(range->at % sizeof(float) == 0);
	reduce(host->team, range->at, from, to < numbers ? to : numbers);
}

int host_reduced(struct host *host)
{
	return host->team ? reducer_join(host->team->reducer, host->rank) : 0;
}

/* ---- vectors of all devices, in the order of the devices ---- */

static unsigned char *vector_of(const struct memory *m, int value)
{
	assert(m->program->value[value].lay.type == DTYPE_F32);
	return memory_at(m, value);
}

static float *row(const struct memory *m, int value, int r)
{
	return (float *)vector_of(m, value) +
	       (size_t)r * (size_t)m->program->value[value].lay.pad;
}

/* Where row r of device k's vector is: device k = j * processes + process. */
static const float *row_of(const struct host *host, const struct memory *own, int value, int k,
			   int r)
{
	const struct team *team = host->team;
	const struct value *v = &own->program->value[value];
	size_t vector = v->bytes, at = (size_t)r * (size_t)v->lay.pad;

	if (!team)
		return row(own, value, r);
	if (!team->world)
		return row(team->memory[k], value, r);
	k = k % team->ranks * team->count + k / team->ranks;
	return (const float *)(team->gathered + (size_t)k * vector) + at;
}

static int gather_vectors(struct team *team, int value)
{
	size_t bytes = team->memory[0]->program->value[value].bytes;
	size_t count = (size_t)team->count, ranks = (size_t)team->ranks;
	unsigned char *own;

	/* the place behind all is where this process's vectors are put together */
	if (bytes > team->gathered_bytes) {
		free(team->gathered);
		team->gathered = malloc((ranks + 1) * count * bytes);
		team->gathered_bytes = team->gathered ? bytes : 0;
		if (!team->gathered)
			return fail("out of memory");
	}
	own = team->gathered + ranks * count * bytes;
	for (size_t k = 0; k < count; k++)
		memcpy(own + k * bytes, vector_of(team->memory[k], value), bytes);
	return world_gather(team->world, WORLD_TEAM, own, team->gathered, count * bytes);
}

/* Variances about means that differ: that of all together is the mean of
 * variance + (mean - mean of all)^2. */
static void sync_stats(const struct host *host, const struct memory *own,
		       const struct step *step, int devices)
{
	float *mean = row(own, step->out[0], 0), *variance = row(own, step->out[0], 1);
	int c, k, from = step->in[0], pad = own->program->value[step->out[0]].lay.pad;

	for (c = 0; c < pad; c++) {
		double m = 0, v = 0;

		for (k = 0; k < devices; k++)
			m += row_of(host, own, from, k, 0)[c];
		m /= devices;
		for (k = 0; k < devices; k++) {
			double off = row_of(host, own, from, k, 0)[c] - m;

			v += row_of(host, own, from, k, 1)[c] + off * off;
		}
		mean[c] = (float)m;
		variance[c] = (float)(v / devices);
	}
}

static void sync_sums(const struct host *host, const struct memory *own,
		      const struct step *step, int devices)
{
	const struct value *v = &own->program->value[step->out[0]];
	int c, k, r;

	for (r = 0; r < v->w; r++)
		for (c = 0; c < v->lay.pad; c++) {
			double sum = 0;

			for (k = 0; k < devices; k++)
				sum += row_of(host, own, step->in[0], k, r)[c];
			row(own, step->out[0], r)[c] = (float)sum;
		}
}

static void together(const struct host *host, const struct memory *own,
		     const struct step *step, int devices)
{
	if (step->kind == STEP_SYNC_STATS)
		sync_stats(host, own, step, devices);
	else if (step->kind == STEP_SYNC_SUMS)
		sync_sums(host, own, step, devices);
	else if (host->team)
		reduce_share(host, step->attr);
}

/* With other processes: the sum is begun, and the device goes on. */
static int begin_reduce(struct host *host, const struct memory *m,
			const struct range_attr *range)
{
	return reducer_begin(host->team->reducer, host->rank,
			     (float *)(m->arena[ARENA_GRAD] + range->at),
			     range->bytes / sizeof(float));
}

int host_meet(struct host *host, const struct memory *m, const struct step *step)
{
	int devices = m->program->options.devices, ranks = host->team ? host->ranks : 1;

	if (devices != ranks)
		return fail("a program for %d devices runs on %d", devices, ranks);
	if (!host->team) {
		together(host, m, step, 1);
		return 0;
	}
	if (host->team->world && step->kind == STEP_REDUCE)
		return begin_reduce(host, m, step->attr);
	host->team->memory[host->rank] = m;
	TRY(meet(host, 0));
	if (host->team->world) {
		/* one device does it for all of its process */
		if (!host->rank)
			TRY(gather_vectors(host->team, step->in[0]));
		TRY(meet(host, 0));
	}
	together(host, m, step, devices);
	/* none goes on to change what another still reads */
	TRY(meet(host, 0));
	return 0;
}

static int finite(const void *numbers, size_t n)
{
	const unsigned char *at = numbers;
	uint32_t worst = 0, bits;
	size_t i;

	for (i = 0; i < n; i++) {
		memcpy(&bits, at + i * sizeof bits, sizeof bits);
		bits &= 0x7f800000;
		worst = bits > worst ? bits : worst;
	}
	return worst < 0x7f800000;
}

int host_finite(struct host *host, const struct memory *m, const struct step *step)
{
	const struct value *losses = &m->program->value[step->in[0]];
	size_t numbers = (size_t)losses->n * (size_t)losses->h * (size_t)losses->w *
			 (size_t)losses->lay.pad;
	int bad;

	assert(losses->lay.type == DTYPE_F32);
	TRY(host_reduced(host));
	bad = !finite(memory_at(m, step->in[0]), numbers) ||
	      !finite(m->arena[ARENA_GRAD], m->program->arena[ARENA_GRAD] / sizeof(float));
	bad = host_any(host, bad);
	TRY(bad);
	if (bad)
		memory_control(m)->halt = 1;
	return 0;
}
