/* Softmax cross-entropy, and what ends a step: finiteness, the loss scale, the update. */
#include "dev/cuda/walk.cuh"

struct target_of { int label[2]; double share[2]; };

__device__ inline struct target_of target_read(const int32_t *labels, const float *shares, int n)
{
	struct target_of t;

	for (int k = 0; k < 2; k++) {
		t.label[k] = labels[2 * n + k];
		t.share[k] = t.label[k] < 0 ? 0 : shares[2 * n + k];
	}
	return t;
}

__device__ inline double target_class(const struct target_of &t, const struct loss &l, int k)
{
	double share = (k == t.label[0] ? t.share[0] : 0) + (k == t.label[1] ? t.share[1] : 0);

	return (1 - l.smoothing) * share + l.smoothing / l.classes;
}

/* The sum over a block's threads, to all of them. */
__device__ inline double all_sum(double x)
{
	__shared__ double shared[THREADS];

	shared[threadIdx.x] = x;
	__syncthreads();
	for (int half = THREADS / 2; half > 0; half /= 2) {
		if ((int)threadIdx.x < half)
			shared[threadIdx.x] += shared[threadIdx.x + half];
		__syncthreads();
	}
	x = shared[0];
	__syncthreads();
	return x;
}

/* Whether b is larger than a, or as large and before it. NaN is never larger; where the
 * first number is NaN, it stays. */
__device__ inline int beats(float b, int b_at, float a, int a_at)
{
	return b > a || (b == a && b_at < a_at);
}

__device__ inline float all_best(float best, int at, int *which)
{
	__shared__ float shared[THREADS];
	__shared__ int place[THREADS];

	shared[threadIdx.x] = best;
	place[threadIdx.x] = at;
	__syncthreads();
	for (int half = THREADS / 2; half > 0; half /= 2) {
		if ((int)threadIdx.x < half &&
		    beats(shared[threadIdx.x + half], place[threadIdx.x + half],
			  shared[threadIdx.x], place[threadIdx.x])) {
			shared[threadIdx.x] = shared[threadIdx.x + half];
			place[threadIdx.x] = place[threadIdx.x + half];
		}
		__syncthreads();
	}
	best = shared[0];
	*which = place[0];
	__syncthreads();
	return best;
}

/* A block a sample. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
xent_kernel(struct loss l, const T *logits, const int32_t *labels, const float *shares,
	    const float *others, float *probabilities, float *losses)
{
	int n = blockIdx.x, at = threadIdx.x, which;
	const T *x = logits + (size_t)n * l.pad;
	struct target_of t = target_read(labels, shares, n);
	float best = at < l.classes ? number(x[at]) : -INFINITY;
	double sum = 0, loss = 0, log_sum, most;

	for (int k = at + THREADS; k < l.classes; k += THREADS)
		if (number(x[k]) > best) {
			best = number(x[k]);
			at = k;
		}
	most = all_best(best, at, &which);
	for (int k = threadIdx.x; k < l.classes; k += THREADS)
		sum += exp((double)number(x[k]) - most);
	log_sum = most + log(all_sum(sum));
	for (int k = threadIdx.x; k < l.classes; k += THREADS) {
		double log_p = (double)number(x[k]) - log_sum;

		probabilities[(size_t)n * l.classes + k] = (float)exp(log_p);
		loss -= target_class(t, l, k) * log_p;
	}
	loss = all_sum(loss);
	if (threadIdx.x > 0)
		return;
	losses[2 * n] = (t.label[0] >= 0 ? (float)(l.weight * loss) : 0) +
			(others ? others[2 * n] : 0);
	losses[2 * n + 1] = which == t.label[0];
}

extern "C" void xent_start(cudaStream_t stream, struct loss l, const void *logits,
			   const int32_t *labels, const float *shares, const float *others,
			   float *probabilities, float *losses)
{
	BY_TYPE(l.type, T, MEET(xent_kernel<T>, l.samples, THREADS, stream, l, (const T *)logits,
				labels, shares, others, probabilities, losses));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
xent_dx_kernel(struct loss l, const float *probabilities, const int32_t *labels,
	       const float *shares, const struct control_of *control, T *to)
{
	int n = blockIdx.x;
	struct target_of t = target_read(labels, shares, n);
	double scale = l.weight / control->count * control->loss_scale;
	double whole = (1 - l.smoothing) * (t.share[0] + t.share[1]) + l.smoothing;

	for (int k = threadIdx.x; k < l.pad; k += THREADS) {
		double d = 0;

		if (k < l.classes && t.label[0] >= 0)
			d = scale * (whole * probabilities[(size_t)n * l.classes + k] -
				     target_class(t, l, k));
		to[(size_t)n * l.pad + k] = rounded<T>::of((float)d);
	}
}

extern "C" void xent_dx_start(cudaStream_t stream, struct loss l, const float *probabilities,
			      const int32_t *labels, const float *shares, const void *control,
			      void *dlogits)
{
	BY_TYPE(l.type, T, LAUNCH(xent_dx_kernel<T>, l.samples, THREADS, stream, l, probabilities,
				  labels, shares, (const struct control_of *)control,
				  (T *)dlogits));
}

/* ---- the end of a step ---- */

__global__ void __launch_bounds__(THREADS)
update_kernel(struct update_rule rule, const struct update_chunk *chunk, float *w,
	      const float *gradient, float *slot, const struct control_of *control)
{
	const struct update_chunk c = chunk[blockIdx.x];
	double decay = c.decays ? rule.decay : 0, scale = 1 / control->loss_scale;

	if (control->skip || control->halt)
		return;
	for (unsigned k = threadIdx.x; k < c.numbers; k += THREADS) {
		size_t i = c.at + k;
		double g = gradient[i] * scale + decay * w[i], v = g;

		if (rule.momentum != 0) {
			float m = (float)(rule.momentum * slot[i] + g);

			slot[i] = m;
			v = rule.nesterov ? g + rule.momentum * m : m;
		}
		w[i] = (float)(w[i] - control->lr * v);
	}
}

extern "C" void update_start(cudaStream_t stream, struct update_rule rule,
			     const struct update_chunk *chunk, int chunks, float *w,
			     const float *gradient, float *slot, const void *control)
{
	LAUNCH(update_kernel, chunks, THREADS, stream, rule, chunk, w, gradient, slot,
	       (const struct control_of *)control);
}

/* More than one thread may write, all of them the same. */
__global__ void __launch_bounds__(THREADS)
finite_kernel(const float *x, size_t count, int *flag)
{
	size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
	int bad = 0;

	for (; i < count; i += (size_t)gridDim.x * THREADS)
		bad |= !(fabsf(x[i]) < INFINITY);
	if (bad)
		*flag = 1;
}

__global__ void flags_clear_kernel(int *flag)
{
	flag[0] = flag[1] = 0;
}

extern "C" void finite_start(cudaStream_t stream, const float *losses, size_t loss_count,
			     const float *gradient, size_t count, int *flag)
{
	unsigned blocks = blocks_for(count / 8);

	LAUNCH(flags_clear_kernel, 1, 1, stream, flag);
	LAUNCH(finite_kernel, 1, THREADS, stream, losses, loss_count, flag);
	if (count)
		LAUNCH(finite_kernel, blocks, THREADS, stream, gradient, count, flag + 1);
}

/*
 * Without scaling what is not finite ends the run. With it, gradients that overflowed
 * skip the step and halve the scale, until it cannot be the scale's doing; 2000 good
 * steps double it (Micikevicius et al. 2018).
 */
__global__ void judge_kernel(const int *flag, int scaling, struct control_of *control)
{
	int overflow = flag[1] && scaling && control->loss_scale > 1;

	control->skip = 0;
	if (control->halt)
		return;
	if (flag[0] || (flag[1] && !overflow)) {
		control->halt = 1;
	} else if (overflow) {
		control->skip = 1;
		control->loss_scale /= 2;
		control->good = 0;
	} else if (scaling && ++control->good >= 2000) {
		control->good = 0;
		if (control->loss_scale < 1 << 24)
			control->loss_scale *= 2;
	}
}

extern "C" void judge_start(cudaStream_t stream, const int *flag, int scaling, void *control)
{
	LAUNCH(judge_kernel, 1, 1, stream, flag, scaling, (struct control_of *)control);
}
