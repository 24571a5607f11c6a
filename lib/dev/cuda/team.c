/* Devices of one process that take a step together, by NCCL. */
#include "dev/cuda/cuda.h"

#include "base/fail.h"
#include "dev/cuda/vendor.h"

#include <stdlib.h>

struct peers { const struct vendor_nccl *v; ncclComm_t comm; };

static int nccl_check(const struct vendor_nccl *v, ncclResult_t status, const char *what)
{
	return status == ncclSuccess ? 0 : fail("NCCL: %s: %s", what, v->error(status));
}

int cuda_join(struct device **devs, int count)
{
	const struct vendor_nccl *v = vendor_nccl();
	ncclComm_t *comm = calloc((size_t)count, sizeof *comm);
	int *ordinal = calloc((size_t)count, sizeof *ordinal), i, status = v ? 0 : -1;

	if (v && (!comm || !ordinal))
		status = fail("cuda: out of memory");
	for (i = 0; !status && i < count; i++) {
		ordinal[i] = devs[i]->ordinal;
		if (devs[i]->peers)
			status = fail("device %d of %d: it is in a team already", i, count);
		else if (ordinal[i] < 0)
			status = fail("device %d of %d: it is only to look at", i, count);
	}
	if (!status)
		status = nccl_check(v, v->init_all(comm, count, ordinal), "devices");
	for (i = 0; !status && i < count; i++) {
		devs[i]->peers = malloc(sizeof *devs[i]->peers);
		if (!devs[i]->peers) {
			status = fail("cuda: out of memory");
			break;
		}
		*devs[i]->peers = (struct peers){ v, comm[i] };
		devs[i]->host.rank = i;
		devs[i]->host.ranks = count;
	}
	free(comm);
	free(ordinal);
	return status;
}

void peers_leave(struct device *dev)
{
	if (!dev->peers)
		return;
	/* abort, not destroy: others may have gone without a word */
	dev->peers->v->abort(dev->peers->comm);
	free(dev->peers);
	dev->peers = NULL;
}

int peers_sum(struct device *dev, float *x, size_t numbers)
{
	const struct peers *e = dev->peers;

	return !e ? 0 : nccl_check(e->v, e->v->all_reduce(x, x, numbers, ncclFloat32, ncclSum,
							  e->comm, dev->stream), "sum");
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
