/*
 * NVIDIA's libraries, opened when the first device is: a machine without them gets an
 * ordinary error (dev/cuda/find.h: where they are looked for). Only the CUDA runtime is
 * linked, and statically; it finds the driver itself.
 */
#ifndef DEV_CUDA_VENDOR_H
#define DEV_CUDA_VENDOR_H

#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <nccl.h>

struct vendor_dnn {
	size_t (*version)(void);
	const char *(*error)(cudnnStatus_t);
	void (*last_error)(char *message, size_t room);
	cudnnStatus_t (*create)(cudnnHandle_t *);
	cudnnStatus_t (*destroy)(cudnnHandle_t);
	cudnnStatus_t (*set_stream)(cudnnHandle_t, cudaStream_t);
	cudnnStatus_t (*make)(cudnnBackendDescriptorType_t, cudnnBackendDescriptor_t *);
	cudnnStatus_t (*unmake)(cudnnBackendDescriptor_t);
	cudnnStatus_t (*set)(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t,
			     cudnnBackendAttributeType_t, int64_t, const void *);
	cudnnStatus_t (*get)(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t,
			     cudnnBackendAttributeType_t, int64_t, int64_t *, void *);
	cudnnStatus_t (*finalize)(cudnnBackendDescriptor_t);
	cudnnStatus_t (*execute)(cudnnHandle_t, cudnnBackendDescriptor_t,
				 cudnnBackendDescriptor_t);
};

struct vendor_nccl {
	ncclResult_t (*version)(int *);
	const char *(*error)(ncclResult_t);
	ncclResult_t (*unique_id)(ncclUniqueId *);
	ncclResult_t (*group_start)(void);
	ncclResult_t (*group_end)(void);
	ncclResult_t (*init_rank)(ncclComm_t *, int, ncclUniqueId, int);
	ncclResult_t (*destroy)(ncclComm_t);
	ncclResult_t (*abort)(ncclComm_t);
	ncclResult_t (*all_reduce)(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t,
				   ncclComm_t, cudaStream_t);
	ncclResult_t (*all_gather)(const void *, void *, size_t, ncclDataType_t, ncclComm_t,
				   cudaStream_t);
};

/* Opens it the first time; NULL: reason, with the remedy. They stay open. */
const struct vendor_dnn *vendor_dnn(void);
const struct vendor_nccl *vendor_nccl(void);
/* Where cuDNN was found; "" while it is not open. */
const char *vendor_dnn_path(void);

/* 0, or -1 with "what: the runtime's words". */
int cuda_check(cudaError_t, const char *what);

#endif
