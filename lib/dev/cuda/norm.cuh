/* Sums over pixels, and batch normalisation made of them. */
#include "dev/cuda/walk.cuh"

/*
 * Pieces of sums: part[(piece * rows + row) * pad + channel]. They are joined by blocks
 * of JOIN channels x JOIN_PARTS threads each.
 */
enum { JOIN = 32, JOIN_PARTS = 8 };

/* s: by value of `rows` a channel. */
extern "C" size_t sums_bytes(struct span s, int rows)
{
	return (size_t)walk_of(s).pieces * rows * s.pad * sizeof(float);
}

__device__ inline void part_store(const struct walk &w, const struct stride &s, float *part,
				  int rows, int row, const float x[GROUP])
{
	float *to = part + ((size_t)blockIdx.x * rows + row) * w.pad + s.first;

	if (s.group >= 0 && (int)threadIdx.x < w.tile)
		for (int k = 0; k < GROUP; k++)
			to[k] = x[k];
}

/* The sum over pieces of one row, of the channel that the thread's column stands for, to
 * its first thread. All threads of the block must come. */
__device__ inline double join(const float *part, unsigned pieces, int rows, int row, int pad, int c)
{
	__shared__ double shared[JOIN_PARTS][JOIN];
	int column = threadIdx.x % JOIN, slice = threadIdx.x / JOIN;
	double sum = 0;

	if (c < pad)
		for (unsigned i = slice; i < pieces; i += JOIN_PARTS)
			sum += part[((size_t)i * rows + row) * pad + c];
	shared[slice][column] = sum;
	__syncthreads();
	if (slice == 0)
		for (int k = 1; k < JOIN_PARTS; k++)
			sum += shared[k][column];
	__syncthreads();
	return sum;
}

/* ---- statistics ---- */

/* Of each piece: its first number, and sums of the differences to it and their squares. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
stats_kernel(struct walk w, const T *x, float *part)
{
	struct stride s = stride_of(w);
	float from[GROUP], sum[GROUP], square[GROUP];

	for (int k = 0; k < GROUP; k++)
		from[k] = sum[k] = square[k] = 0;
	if (s.group >= 0)
		load(x + (size_t)blockIdx.x * w.piece_rows * w.pad + s.first, from);
	for (; s.row < s.end; s.row += s.step) {
		float v[GROUP];

		load(x + at_of(w, s), v);
		for (int k = 0; k < GROUP; k++) {
			v[k] -= from[k];
			sum[k] += v[k];
			square[k] = fmaf(v[k], v[k], square[k]);
		}
	}
	block_sum(w, sum);
	block_sum(w, square);
	part_store(w, s, part, 3, 0, from);
	part_store(w, s, part, 3, 1, sum);
	part_store(w, s, part, 3, 2, square);
}

/* Means and squared differences of pieces joined (Chan, Golub, LeVeque 1979). */
__global__ void __launch_bounds__(JOIN * JOIN_PARTS)
stats_join_kernel(struct walk w, const float *part, float *m, int m_pad)
{
	__shared__ double shared[JOIN_PARTS][JOIN];
	int column = threadIdx.x % JOIN, slice = threadIdx.x / JOIN;
	int c = blockIdx.x * JOIN + column;
	double total = 0, square = 0, mean;

	for (unsigned i = slice; c < w.c && i < w.pieces; i += JOIN_PARTS) {
		const float *p = part + (size_t)i * 3 * w.pad + c;
		unsigned left = w.rows - i * w.piece_rows;
		double n = left < w.piece_rows ? left : w.piece_rows;

		total += n * p[0] + p[w.pad];
	}
	shared[slice][column] = total;
	__syncthreads();
	total = 0;
	for (int k = 0; k < JOIN_PARTS; k++)
		total += shared[k][column];
	__syncthreads();
	mean = total / w.rows;
	for (unsigned i = slice; c < w.c && i < w.pieces; i += JOIN_PARTS) {
		const float *p = part + (size_t)i * 3 * w.pad + c;
		unsigned left = w.rows - i * w.piece_rows;
		double n = left < w.piece_rows ? left : w.piece_rows, sum = p[w.pad], off;

		off = p[0] + sum / n - mean;
		square += p[2 * w.pad] - sum * sum / n + n * off * off;
	}
	shared[slice][column] = square;
	__syncthreads();
	if (slice > 0 || c >= m_pad)
		return;
	for (int k = 1; k < JOIN_PARTS; k++)
		square += shared[k][column];
	m[c] = c < w.c ? (float)mean : 0;
	/* rounding may leave less than nothing; NaN stays */
	m[m_pad + c] = c >= w.c || square < 0 ? 0 : (float)(square / w.rows);
}

extern "C" void stats_start(cudaStream_t stream, struct span v, const void *x, float *m, int m_pad,
			    void *work)
{
	struct walk w = walk_of(v);

	BY_TYPE(v.type, T, MEET(stats_kernel<T>, walk_grid(w), THREADS, stream, w, (const T *)x,
				(float *)work));
	MEET(stats_join_kernel, (m_pad + JOIN - 1) / JOIN, JOIN * JOIN_PARTS, stream, w,
	     (const float *)work, m, m_pad);
}

__global__ void stats_of_sums_kernel(const float *sum, const float *square, int c, double count,
				     float *m, int m_pad)
{
	int i = blockIdx.x * THREADS + threadIdx.x;
	double mean, variance;

	if (i >= m_pad)
		return;
	mean = i < c ? sum[i] / count : 0;
	variance = i < c ? square[i] / count - mean * mean : 0;
	m[i] = (float)mean;
	m[m_pad + i] = variance < 0 ? 0 : (float)variance;
}

extern "C" void stats_of_sums_start(cudaStream_t stream, const float *sum,
				    const float *square, int c,
				    double count, float *m, int m_pad)
{
	LAUNCH(stats_of_sums_kernel, blocks_for(m_pad), THREADS, stream, sum, square, c, count, m,
	       m_pad);
}

/* ---- channel sums ---- */

template <typename T>
__global__ void __launch_bounds__(THREADS)
channel_sum_kernel(struct walk w, const T *x, float *part)
{
	struct stride s = stride_of(w);
	float sum[GROUP] = { 0 };

	for (; s.row < s.end; s.row += s.step) {
		float v[GROUP];

		load(x + at_of(w, s), v);
		for (int k = 0; k < GROUP; k++)
			sum[k] += v[k];
	}
	block_sum(w, sum);
	part_store(w, s, part, 1, 0, sum);
}

__global__ void __launch_bounds__(JOIN * JOIN_PARTS)
channel_join_kernel(struct walk w, const float *part, float *to)
{
	int c = blockIdx.x * JOIN + threadIdx.x % JOIN;
	double sum = join(part, w.pieces, 1, 0, w.pad, c);

	if (threadIdx.x < JOIN && c < w.c)
		to[c] = (float)sum;
}

extern "C" void channel_sum_start(cudaStream_t stream, struct span v, const void *dy, float *db,
				  void *work)
{
	struct walk w = walk_of(v);

	BY_TYPE(v.type, T, MEET(channel_sum_kernel<T>, walk_grid(w), THREADS, stream, w,
				(const T *)dy, (float *)work));
	MEET(channel_join_kernel, (v.pad + JOIN - 1) / JOIN, JOIN * JOIN_PARTS, stream, w,
	     (const float *)work, db);
}

/* A block a sample and tile; w is the walk over one sample in one piece. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
sample_sums_kernel(struct walk w, const T *x, const T *dy, float scale, T *y)
{
	struct stride s;
	int t = threadIdx.x, group = t % w.tile + (int)blockIdx.y * w.tile;
	size_t from = (size_t)blockIdx.x * w.rows * w.pad;
	float sum[GROUP] = { 0 };

	s.group = t / w.tile < w.high && group < w.groups ? group : -1;
	s.first = group * GROUP;
	for (unsigned row = t / w.tile; s.group >= 0 && row < w.rows; row += w.high) {
		float a[GROUP], b[GROUP];

		load(x + from + (size_t)row * w.pad + s.first, a);
		if (dy)
			load(dy + from + (size_t)row * w.pad + s.first, b);
		for (int k = 0; k < GROUP; k++)
			sum[k] = dy ? fmaf(a[k], b[k], sum[k]) : sum[k] + a[k];
	}
	block_sum(w, sum);
	if (s.group >= 0 && t < w.tile) {
		for (int k = 0; k < GROUP; k++)
			sum[k] *= scale;
		store(y + (size_t)blockIdx.x * w.pad + s.first, sum, s.first, w.c);
	}
}

extern "C" void sample_sums_start(cudaStream_t stream, struct span v, const void *x, const void *dy,
				  unsigned share, float scale, void *y)
{
	struct span one = { share, v.c, v.pad, v.type };
	struct walk w = walk_of(one);
	dim3 grid(v.rows / share, w.tiles, 1);

	BY_TYPE(v.type, T, MEET(sample_sums_kernel<T>, grid, THREADS, stream, w, (const T *)x,
				(const T *)dy, scale, (T *)y));
}

/* ---- coefficients ---- */

__global__ void coef_kernel(const float *mean, const float *variance, const float *gain,
			    const float *bias, double eps, int c, float *ab, int ab_pad)
{
	int i = blockIdx.x * THREADS + threadIdx.x;
	double slope;

	if (i >= ab_pad)
		return;
	slope = i < c ? (gain ? gain[i] : 1) / sqrt(variance[i] + eps) : 0;
	ab[i] = (float)slope;
	ab[ab_pad + i] = i < c ? (float)((bias ? bias[i] : 0) - mean[i] * slope) : 0;
}

extern "C" void coef_start(cudaStream_t stream, const float *mean, const float *variance,
			   const float *gain, const float *bias, double eps, int c, float *ab,
			   int ab_pad)
{
	LAUNCH(coef_kernel, blocks_for(ab_pad), THREADS, stream, mean, variance, gain, bias, eps,
	       c, ab, ab_pad);
}

/* A thread a number of w; the first of each filter makes the bias too. */
__global__ void fold_kernel(const float *w, const float *plus, struct running r, int out,
			    unsigned long long filter, float *to, float *to_bias)
{
	unsigned long long i = (unsigned long long)blockIdx.x * THREADS + threadIdx.x;

	for (; i < filter * out; i += (unsigned long long)gridDim.x * THREADS) {
		unsigned long long o = i / filter;
		double slope = (r.gain ? r.gain[o] : 1) / sqrt(r.variance[o] + r.eps);

		to[i] = (float)(slope * w[i]);
		if (i % filter == 0)
			to_bias[o] = (float)((r.bias ? r.bias[o] : 0) +
					     slope * ((plus ? plus[o] : 0) - (double)r.mean[o]));
	}
}

extern "C" void fold_start(cudaStream_t stream, const float *w, const float *plus,
			   struct running r, int out, size_t filter, float *to, float *to_bias)
{
	LAUNCH(fold_kernel, blocks_for((unsigned long long)filter * out), THREADS, stream, w,
	       plus, r, out, (unsigned long long)filter, to, to_bias);
}

__global__ void track_kernel(const float *m, int m_pad, int c, float *mean, float *variance,
			     struct tracking t, const struct control_of *control)
{
	int i = blockIdx.x * THREADS + threadIdx.x;

	if (i >= c || control->skip || control->halt)
		return;
	mean[i] = (float)(t.decay * mean[i] + (1 - t.decay) * ((double)m[i] / t.devices));
	variance[i] = (float)(t.decay * variance[i] +
			      (1 - t.decay) * ((double)m[m_pad + i] / t.devices * t.unbias));
}

extern "C" void track_start(cudaStream_t stream, const float *m, int m_pad, int c, float *mean,
			    float *variance, struct tracking t, const void *control)
{
	LAUNCH(track_kernel, blocks_for(c), THREADS, stream, m, m_pad, c, mean, variance, t,
	       (const struct control_of *)control);
}

__global__ void norm_rows_kernel(struct norm_rows r)
{
	int i = blockIdx.x * THREADS + threadIdx.x, in = i < r.c;
	double deviation;

	if (i >= r.pad)
		return;
	deviation = in ? sqrt(r.m[r.m_pad + i] + r.eps) : 0;
	r.invstd[i] = in ? (float)(1 / deviation) : 0;
	r.gain[i] = in ? (float)(r.ab[i] * deviation) : 0;
	r.bias[i] = in ? (float)(r.ab[r.ab_pad + i] + (double)r.ab[i] * r.m[i]) : 0;
}

extern "C" void norm_rows_start(cudaStream_t stream, const struct norm_rows *r)
{
	LAUNCH(norm_rows_kernel, blocks_for(r->pad), THREADS, stream, *r);
}

__global__ void sums_take_kernel(const float *dgain, const float *dbias, int c,
				 struct sums_out to)
{
	int i = blockIdx.x * THREADS + threadIdx.x;

	if (i >= to.s_pad)
		return;
	to.s[i] = i < c ? dbias[i] : 0;
	to.s[to.s_pad + i] = i < c ? dgain[i] : 0;
	if (i < c && to.dbias)
		to.dbias[i] = dbias[i];
	if (i < c && to.dgain)
		to.dgain[i] = dgain[i];
}

extern "C" void sums_take_start(cudaStream_t stream, const float *dgain, const float *dbias, int c,
				struct sums_out to)
{
	LAUNCH(sums_take_kernel, blocks_for(to.s_pad), THREADS, stream, dgain, dbias, c, to);
}

template <typename T> __global__ void cast_kernel(const float *from, T *to, int n)
{
	int i = blockIdx.x * THREADS + threadIdx.x;

	if (i < n)
		to[i] = rounded<T>::of(from[i]);
}

extern "C" void cast_start(cudaStream_t stream, const float *from, void *to, enum dtype type, int n)
{
	BY_TYPE(type, T, LAUNCH(cast_kernel<T>, blocks_for(n), THREADS, stream, from, (T *)to, n));
}

/* Variances about means that differ: that of all together is the mean of
 * variance + (mean - mean of all)^2. */
__global__ void sync_stats_kernel(const float *parts, int devices, float *m, int m_pad)
{
	int c = blockIdx.x * THREADS + threadIdx.x;
	double mean = 0, variance = 0;

	if (c >= m_pad)
		return;
	for (int k = 0; k < devices; k++)
		mean += parts[(size_t)k * 2 * m_pad + c];
	mean /= devices;
	for (int k = 0; k < devices; k++) {
		double off = parts[(size_t)k * 2 * m_pad + c] - mean;

		variance += parts[((size_t)k * 2 + 1) * m_pad + c] + off * off;
	}
	m[c] = (float)mean;
	m[m_pad + c] = (float)(variance / devices);
}

extern "C" void sync_stats_start(cudaStream_t stream, const float *parts, int devices, float *m,
				 int m_pad)
{
	LAUNCH(sync_stats_kernel, blocks_for(m_pad), THREADS, stream, parts, devices, m, m_pad);
}

/* ---- backward ---- */

/* The masked gradient at a place. again: coefficients of y made again. */
template <typename T>
__device__ inline void gradient_load(const struct backward_pass &f, size_t at, const float a[GROUP],
				     const float b[GROUP], float g[GROUP])
{
	float x[GROUP];

	load((const T *)f.dy[0] + at, g);
	for (int i = 1; i < f.dys; i++) {
		load((const T *)f.dy[i] + at, x);
		for (int k = 0; k < GROUP; k++)
			g[k] += x[k];
	}
	if (f.mask == ACT_NONE)
		return;
	if (f.y) {
		load((const T *)f.y + at, x);
	} else {
		load((const T *)f.again + at, x);
		/* as it was stored, had it been */
		for (int k = 0; k < GROUP; k++) {
			x[k] = fmaf(a[k], x[k], b[k]);
			if (!act_reads_x(f.mask))
				x[k] = act_of(f.mask, x[k]);
			x[k] = number(rounded<T>::of(x[k]));
		}
	}
	for (int k = 0; k < GROUP; k++)
		g[k] = act_back(f.mask, g[k], x[k]);
}

__device__ inline void again_load(const struct backward_pass &f, int first, int c, float a[GROUP],
				  float b[GROUP])
{
	vector_load(f.mask != ACT_NONE && !f.y ? f.a : NULL, first, c, 0, a);
	vector_load(f.mask != ACT_NONE && !f.y ? f.b : NULL, first, c, 0, b);
}

/* Mean and 1 / deviation of a norm. */
__device__ inline void norm_load(const struct norm_of &n, int m_pad, int first, int c,
				 float mean[GROUP], float invstd[GROUP])
{
	vector_load(n.m, first, c, 0, mean);
	vector_load(n.m + m_pad, first, c, 1, invstd);
	for (int k = 0; k < GROUP; k++)
		invstd[k] = (float)(1 / sqrt(invstd[k] + n.eps));
}

template <typename T, int NORMS>
__global__ void __launch_bounds__(THREADS)
backward_sums_kernel(struct walk w, struct backward_pass f, float *part)
{
	struct stride s = stride_of(w);
	float a[GROUP], b[GROUP], mean[NORMS][GROUP], invstd[NORMS][GROUP];
	float sum[1 + NORMS][GROUP];

	for (int i = 0; i <= NORMS; i++)
		for (int k = 0; k < GROUP; k++)
			sum[i][k] = 0;
	if (s.group >= 0) {
		again_load(f, s.first, w.c, a, b);
		for (int i = 0; i < NORMS; i++)
			norm_load(f.norm[i], f.m_pad, s.first, w.c, mean[i], invstd[i]);
	}
	for (; s.row < s.end; s.row += s.step) {
		size_t at = at_of(w, s);
		float g[GROUP], x[GROUP];

		gradient_load<T>(f, at, a, b, g);
		if (f.g)
			store((T *)f.g + at, g, s.first, w.c);
		for (int k = 0; k < GROUP; k++)
			sum[0][k] += g[k];
		for (int i = 0; i < NORMS; i++) {
			load((const T *)f.norm[i].x + at, x);
			for (int k = 0; k < GROUP; k++)
				sum[1 + i][k] = fmaf(g[k], (x[k] - mean[i][k]) * invstd[i][k],
						     sum[1 + i][k]);
		}
	}
	for (int i = 0; i <= NORMS; i++) {
		block_sum(w, sum[i]);
		part_store(w, s, part, 1 + NORMS, i, sum[i]);
	}
}

struct sums_both { struct sums_out to[2]; };

__global__ void __launch_bounds__(JOIN * JOIN_PARTS)
sums_join_kernel(struct walk w, const float *part, int norms, struct sums_both out)
{
	int c = blockIdx.x * JOIN + threadIdx.x % JOIN;
	double sum = join(part, w.pieces, 1 + norms, 0, w.pad, c);

	for (int i = 0; i < norms; i++) {
		double product = join(part, w.pieces, 1 + norms, 1 + i, w.pad, c);
		const struct sums_out to = out.to[i];

		if (threadIdx.x >= JOIN || c >= to.s_pad)
			continue;
		if (to.s) {
			to.s[c] = c < w.c ? (float)sum : 0;
			to.s[to.s_pad + c] = c < w.c ? (float)product : 0;
		}
		if (c < w.c && to.dbias)
			to.dbias[c] = (float)sum;
		if (c < w.c && to.dgain)
			to.dgain[c] = (float)product;
	}
}

extern "C" void backward_sums_start(cudaStream_t stream, struct span v,
				    const struct backward_pass *f,
				    const struct sums_out to[2], void *work)
{
	struct walk w = walk_of(v);
	struct sums_both out = { { to[0], to[1] } };
	int most = to[0].s_pad > v.pad ? to[0].s_pad : v.pad;

	if (f->norms == 1)
		BY_TYPE(v.type, T, MEET((backward_sums_kernel<T, 1>), walk_grid(w), THREADS,
					stream, w, *f, (float *)work));
	else
		BY_TYPE(v.type, T, MEET((backward_sums_kernel<T, 2>), walk_grid(w), THREADS,
					stream, w, *f, (float *)work));
	MEET(sums_join_kernel, (most + JOIN - 1) / JOIN, JOIN * JOIN_PARTS, stream, w,
	     (const float *)work, f->norms, out);
}

struct dx_of { const float *gain, *s; int s_pad; double count; void *dx; };

template <typename T>
__global__ void __launch_bounds__(THREADS)
backward_dx_kernel(struct walk w, struct backward_pass f, struct dx_of d)
{
	struct stride s = stride_of(w);
	float a[GROUP], b[GROUP], mean[GROUP], slope[GROUP], sum[GROUP], product[GROUP];
	float variance[GROUP];

	if (s.group < 0)
		return;
	again_load(f, s.first, w.c, a, b);
	vector_load(f.norm[0].m, s.first, w.c, 0, mean);
	vector_load(f.norm[0].m + f.m_pad, s.first, w.c, 1, variance);
	vector_load(d.gain, s.first, w.c, 1, slope);
	vector_load(d.s, s.first, w.c, 0, sum);
	vector_load(d.s + d.s_pad, s.first, w.c, 0, product);
	/* what follows cancels: each coefficient is rounded once */
	for (int k = 0; k < GROUP; k++) {
		double invstd = 1 / sqrt(variance[k] + f.norm[0].eps);

		slope[k] = (float)(slope[k] * invstd);
		sum[k] = (float)(sum[k] / d.count);
		product[k] = (float)(product[k] / d.count * invstd);
	}
	for (; s.row < s.end; s.row += s.step) {
		size_t at = at_of(w, s);
		float g[GROUP], x[GROUP];

		gradient_load<T>(f, at, a, b, g);
		load((const T *)f.norm[0].x + at, x);
		for (int k = 0; k < GROUP; k++)
			x[k] = slope[k] * fmaf(mean[k] - x[k], product[k], g[k] - sum[k]);
		store((T *)d.dx + at, x, s.first, w.c);
	}
}

extern "C" void backward_dx_start(cudaStream_t stream, struct span v, const struct backward_pass *f,
				  const float *gain, const float *s, int s_pad, double count,
				  void *dx)
{
	struct walk w = walk_of(v);
	struct dx_of d = { gain, s, s_pad, count, dx };

	BY_TYPE(v.type, T, LAUNCH(backward_dx_kernel<T>, walk_grid(w), THREADS, stream, w, *f, d));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
backward_mask_kernel(struct walk w, struct backward_pass f)
{
	struct stride s = stride_of(w);
	float a[GROUP], b[GROUP], g[GROUP];

	if (s.group < 0)
		return;
	again_load(f, s.first, w.c, a, b);
	for (; s.row < s.end; s.row += s.step) {
		gradient_load<T>(f, at_of(w, s), a, b, g);
		store((T *)f.g + at_of(w, s), g, s.first, w.c);
	}
}

extern "C" void backward_mask_start(cudaStream_t stream, struct span v,
				    const struct backward_pass *f)
{
	struct walk w = walk_of(v);

	BY_TYPE(v.type, T, LAUNCH(backward_mask_kernel<T>, walk_grid(w), THREADS, stream, w, *f));
}
