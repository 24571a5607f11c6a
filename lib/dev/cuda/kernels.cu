#include "dev/cuda/kernels.h"

#include "dev/cuda/walk.cuh"

#include "dev/cuda/conv.cuh"
#include "dev/cuda/loss.cuh"
#include "dev/cuda/point.cuh"
#include "dev/cuda/pool.cuh"

/* after point.cuh, whose activations it uses */
#include "dev/cuda/norm.cuh"

/* after norm.cuh, which joins sums */
#include "dev/cuda/across.cuh"
