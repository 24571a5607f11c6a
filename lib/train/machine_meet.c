/* The devices of several processes become one machine. */
#include "train/machine_own.h"

#include "base/fail.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* This process's part of the machine's cores. */
static int cores_of(const struct world *world)
{
	long all = sysconf(_SC_NPROCESSORS_ONLN);
	int processes, cores;
	cpu_set_t set;

	world_local(world, &processes);
	cores = sched_getaffinity(0, sizeof set, &set) ? (int)all : CPU_COUNT(&set);
	/* those whom mpirun has bound have their part */
	return cores < all ? cores : cores / processes;
}

int machine_threads(int threads, int count, const struct world *world)
{
	if (count == 1 && !world)
		return threads;
	if (!threads)
		threads = cores_of(world);
	return threads > count ? threads / count : 1;
}

enum { ABOUT = 512 };

/* Of all processes, in the order of the devices' numbers: device j of process r is number
 * j * processes + r. */
static int describe_all(struct machine *m)
{
	size_t ranks = (size_t)world_ranks(m->world), count = (size_t)m->count;
	char (*own)[ABOUT] = calloc(count * (ranks + 1), sizeof *own), (*all)[ABOUT] = own + count;
	int r;

	if (!own)
		return fail("out of memory");
	for (size_t i = 0; i < count; i++) {
		const struct machine_device *d = &m->device[i];

		snprintf(own[i], ABOUT, "%s", d->backend->describe(d->device));
	}
	r = world_gather(m->world, WORLD_MAIN, own, all, count * sizeof *own);
	m->about = json_array();
	for (size_t k = 0; k < count * ranks && !r; k++)
		json_array_append_new(m->about, json_string(all[k % ranks * count + k / ranks]));
	free(own);
	return r;
}

int machine_meet(struct machine *m)
{
	struct { int count; char backend[16]; } own = { .count = m->count }, *all;
	int ranks = world_ranks(m->world), r, bad = 0;

	m->devices = m->count * ranks;
	if (m->world) {
		snprintf(own.backend, sizeof own.backend, "%s", m->device[0].backend->name);
		all = calloc((size_t)ranks, sizeof *all);
		r = all ? world_gather(m->world, WORLD_MAIN, &own, all, sizeof own)
			: fail("out of memory");
		for (int k = 1; k < ranks && !r && !bad; k++)
			if (all[k].count != all[0].count || strcmp(all[k].backend, all[0].backend))
				bad = fail("%s: %d devices of %s, rank 0 has %d of %s: all ranks "
					   "must have the same", world_name(m->world, k),
					   all[k].count, all[k].backend, all[0].count,
					   all[0].backend);
		free(all);
		if (r || bad)
			return -1;
	}
	return describe_all(m);
}
