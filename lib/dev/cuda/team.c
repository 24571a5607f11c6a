/* Devices that take a step together, of one process or several, by NCCL. */
#include "dev/cuda/cuda.h"

#include "base/fail.h"
#include "dev/cuda/vendor.h"

#include <stdlib.h>
#include <string.h>

/* Buckets of gradients are summed on a stream of their own, beside backward. */
struct peers {
	const struct vendor_nccl *v;
	ncclComm_t comm;
	cudaStream_t beside;
	cudaEvent_t there, summed;      /* a bucket's gradients; all buckets begun so far */
	int begun;                      /* buckets, and not joined */
};

static int nccl_check(const struct vendor_nccl *v, ncclResult_t status, const char *what)
{
	return status == ncclSuccess ? 0 : fail("NCCL: %s: %s", what, v->error(status));
}

/* What the first of all devices calls the team, told to all processes. */
static int team_name(const struct vendor_nccl *v, struct world *world, ncclUniqueId *id)
{
	memset(id, 0, sizeof *id);
	if (!world_rank(world))
		TRY(nccl_check(v, v->unique_id(id), "start"));
	return world_share(world, id, sizeof *id);
}

/* All of this process at once, as each waits for all others. */
static int enter(const struct vendor_nccl *v, struct device **devs, int count,
		 struct world *world, ncclComm_t *comm)
{
	int ranks = world_ranks(world), rank = world_rank(world), status = 0;
	ncclUniqueId id;

	TRY(team_name(v, world, &id));
	TRY(nccl_check(v, v->group_start(), "devices"));
	for (int i = 0; !status && i < count; i++) {
		status = cuda_check(cudaSetDevice(devs[i]->ordinal), "device");
		if (!status)
			status = nccl_check(v, v->init_rank(&comm[i], count * ranks, id,
							    i * ranks + rank), "devices");
	}
	if (v->group_end() != ncclSuccess && !status)
		status = fail("NCCL: devices: they cannot start together; NCCL_DEBUG=WARN says "
			      "why");
	return status;
}

static int may_join(const struct device *dev, int i, int count)
{
	if (dev->peers)
		return fail("device %d of %d: it is in a team already", i, count);
	if (dev->ordinal < 0)
		return fail("device %d of %d: it is only to look at", i, count);
	return 0;
}

static int open_beside(struct device *dev)
{
	struct peers *e = dev->peers;

	TRY(cuda_check(cudaSetDevice(dev->ordinal), "device"));
	TRY(cuda_check(cudaStreamCreateWithFlags(&e->beside, cudaStreamNonBlocking), "stream"));
	TRY(cuda_check(cudaEventCreateWithFlags(&e->there, cudaEventDisableTiming), "event"));
	return cuda_check(cudaEventCreateWithFlags(&e->summed, cudaEventDisableTiming), "event");
}

int cuda_join(struct device **devs, int count, struct world *world)
{
	const struct vendor_nccl *v = vendor_nccl();
	ncclComm_t *comm = calloc((size_t)count, sizeof *comm);
	int i, status = v ? 0 : -1;

	if (v && !comm)
		status = fail("cuda: out of memory");
	for (i = 0; !status && i < count; i++)
		status = may_join(devs[i], i, count);
	if (!status)
		status = enter(v, devs, count, world, comm);
	for (i = 0; !status && i < count; i++) {
		devs[i]->peers = malloc(sizeof *devs[i]->peers);
		if (!devs[i]->peers) {
			status = fail("cuda: out of memory");
			break;
		}
		*devs[i]->peers = (struct peers){ .v = v, .comm = comm[i] };
		status = open_beside(devs[i]);
		devs[i]->host.rank = i;
		devs[i]->host.ranks = count * world_ranks(world);
	}
	free(comm);
	return status;
}

void peers_leave(struct device *dev)
{
	if (!dev->peers)
		return;
	/* abort, not destroy: others may have gone without a word */
	dev->peers->v->abort(dev->peers->comm);
	if (dev->peers->beside)
		cudaStreamDestroy(dev->peers->beside);
	if (dev->peers->there)
		cudaEventDestroy(dev->peers->there);
	if (dev->peers->summed)
		cudaEventDestroy(dev->peers->summed);
	free(dev->peers);
	dev->peers = NULL;
}

int peers_sum(struct device *dev, float *x, size_t numbers)
{
	const struct peers *e = dev->peers;

	return !e ? 0 : nccl_check(e->v, e->v->all_reduce(x, x, numbers, ncclFloat32, ncclSum,
							  e->comm, dev->stream), "sum");
}

int peers_begin_sum(struct device *dev, float *x, size_t numbers)
{
	struct peers *e = dev->peers;

	if (!e)
		return 0;
	TRY(cuda_check(cudaEventRecord(e->there, dev->stream), "event"));
	TRY(cuda_check(cudaStreamWaitEvent(e->beside, e->there, 0), "event"));
	e->begun++;
	return nccl_check(e->v, e->v->all_reduce(x, x, numbers, ncclFloat32, ncclSum, e->comm,
						 e->beside), "sum");
}

int peers_join_sums(struct device *dev)
{
	struct peers *e = dev->peers;

	if (!e || !e->begun)
		return 0;
	e->begun = 0;
	TRY(cuda_check(cudaEventRecord(e->summed, e->beside), "event"));
	return cuda_check(cudaStreamWaitEvent(dev->stream, e->summed, 0), "event");
}

int peers_max(struct device *dev, int *x, size_t numbers)
{
	const struct peers *e = dev->peers;

	return !e ? 0 : nccl_check(e->v, e->v->all_reduce(x, x, numbers, ncclInt32, ncclMax,
							  e->comm, dev->stream), "maximum");
}

int peers_gather(struct device *dev, const float *from, float *to, size_t numbers)
{
	const struct peers *e = dev->peers;

	if (!e)
		return cuda_check(cudaMemcpyAsync(to, from, numbers * sizeof *to,
						  cudaMemcpyDeviceToDevice, dev->stream), "copy");
	return nccl_check(e->v, e->v->all_gather(from, to, numbers, ncclFloat32, e->comm,
						 dev->stream), "gather");
}

int peers_count_check(const struct device *dev, const struct memory *m)
{
	int devices = m->program->options.devices, ranks = dev->peers ? dev->host.ranks : 1;

	if (devices == ranks)
		return 0;
	return fail("a program for %d devices runs on %d", devices, ranks);
}
