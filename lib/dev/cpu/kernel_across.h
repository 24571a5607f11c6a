/* Part of kernel_body.h: normalisations over the channels of a pixel. */

/* Where the v-th vector of channels of pixel 0 is; pixel p is block * p further. */
INLINE size_t vector_at(const struct across_pass *f, int v)
{
	const int c = v * WIDTH;

	return (size_t)(c / f->block) * f->plane + (size_t)(c % f->block);
}

INLINE int vectors_of(const struct across_pass *f)
{
	return f->pad / WIDTH;
}

INLINE float lanes_sum(vec v)
{
	double sum = 0;

	for (int l = 0; l < WIDTH; l++)
		sum += (double)v[l];
	return (float)sum;
}

/* ---- layer norm: all pixels of a run go through each vector of channels ---- */

struct moments { float mean[ACROSS_RUN], invstd[ACROSS_RUN]; };

static void moments_find(const struct across_pass *f, size_t at, int pixels, struct moments *m)
{
	const size_t block = (size_t)f->block;
	const double channels = f->channels;
	vec sum[ACROSS_RUN];

	memset(sum, 0, (size_t)pixels * sizeof *sum);
	for (int v = 0; v < vectors_of(f); v++) {
		const float *x = f->x + at + vector_at(f, v);

		for (int p = 0; p < pixels; p++, x += block)
			sum[p] += get(x);
	}
	for (int p = 0; p < pixels; p++)
		m->mean[p] = (float)((double)lanes_sum(sum[p]) / channels);
	memset(sum, 0, (size_t)pixels * sizeof *sum);
	for (int v = 0; v < vectors_of(f); v++) {
		const float *x = f->x + at + vector_at(f, v);
		const bits live = lanes_live(v * WIDTH, f->channels);

		for (int p = 0; p < pixels; p++, x += block) {
			const vec d = keep(get(x) - m->mean[p], live);

			sum[p] = FMA(d, d, sum[p]);
		}
	}
	for (int p = 0; p < pixels; p++) {
		double var = (double)lanes_sum(sum[p]) / channels;

		m->invstd[p] = (float)(1 / __builtin_sqrt(var + f->eps));
	}
}

static void layernorm(const struct across_pass *f, size_t at, int pixels)
{
	const size_t block = (size_t)f->block;
	struct moments m;

	moments_find(f, at, pixels, &m);
	for (int v = 0; v < vectors_of(f); v++) {
		const size_t o = at + vector_at(f, v);
		const vec gain = get(f->gain + v * WIDTH), bias = get(f->bias + v * WIDTH);
		const bits live = lanes_live(v * WIDTH, f->channels);
		const float *x = f->x + o;
		float *y = f->y + o;

		for (int p = 0; p < pixels; p++, x += block, y += block) {
			const vec xhat = (get(x) - m.mean[p]) * m.invstd[p];

			set(y, keep(FMA(xhat, gain, bias), live));
		}
	}
}

/* Sums over channels of g = gain dy, and of g xhat; sums over pixels of dy and dy xhat. */
static void layernorm_sums(const struct across_pass *f, size_t at, int pixels,
			   const struct moments *m, vec *sum, vec *product, double *part)
{
	const size_t block = (size_t)f->block;

	for (int v = 0; v < vectors_of(f); v++) {
		const size_t o = at + vector_at(f, v);
		const vec gain = get(f->gain + v * WIDTH);
		const float *x = f->x + o, *dy = f->dy + o;
		vec over = { 0 }, times = { 0 };

		for (int p = 0; p < pixels; p++, x += block, dy += block) {
			const vec xhat = (get(x) - m->mean[p]) * m->invstd[p];
			const vec d = get(dy), g = d * gain;

			sum[p] += g;
			product[p] = FMA(g, xhat, product[p]);
			over += d;
			times = FMA(d, xhat, times);
		}
		for (int l = 0; l < WIDTH; l++) {
			part[v * WIDTH + l] = (double)over[l];
			part[vectors_of(f) * WIDTH + v * WIDTH + l] = (double)times[l];
		}
	}
}

static void layernorm_dx(const struct across_pass *f, size_t at, int pixels, double *part)
{
	const size_t block = (size_t)f->block;
	vec sum[ACROSS_RUN], product[ACROSS_RUN];
	float shift[ACROSS_RUN], slope[ACROSS_RUN];
	struct moments m;

	moments_find(f, at, pixels, &m);
	memset(sum, 0, (size_t)pixels * sizeof *sum);
	memset(product, 0, (size_t)pixels * sizeof *product);
	layernorm_sums(f, at, pixels, &m, sum, product, part);
	if (!f->y)
		return;
	for (int p = 0; p < pixels; p++) {
		shift[p] = lanes_sum(sum[p]) / (float)f->channels;
		slope[p] = lanes_sum(product[p]) / (float)f->channels;
	}
	for (int v = 0; v < vectors_of(f); v++) {
		const size_t o = at + vector_at(f, v);
		const vec gain = get(f->gain + v * WIDTH);
		const bits live = lanes_live(v * WIDTH, f->channels);
		const float *x = f->x + o, *dy = f->dy + o;
		float *dx = f->y + o;

		for (int p = 0; p < pixels; p++, x += block, dy += block, dx += block) {
			const vec xhat = (get(x) - m.mean[p]) * m.invstd[p];
			const vec g = FMA(get(dy), gain, -xhat * slope[p]) - shift[p];

			set(dx, keep(g * m.invstd[p], live));
		}
	}
}

/* ---- local response normalisation: pixel by pixel, in rows with n zeros around ---- */

INLINE vec get_any(const float *p)
{
	return *(const vec_any *)p;
}

INLINE void row_gather(const struct across_pass *f, const float *from, float *row)
{
	for (int v = 0; v < vectors_of(f); v++)
		set(row + v * WIDTH, get(from + vector_at(f, v)));
}

/* s of the channels of vector v. */
INLINE vec response(const struct across_pass *f, const float *row, int v)
{
	const float *from = row + v * WIDTH - f->n / 2;
	vec sum = { 0 };

	for (int k = 0; k < f->n; k++) {
		const vec x = get_any(from + k);

		sum = FMA(x, x, sum);
	}
	return FMA(sum, all(f->alpha), all(f->k));
}

/* s^-power for s > 0 */
INLINE vec power_of(vec s, float power)
{
	const vec x = log_of(s) * -power;

	/* s may be less than 1 */
	return choose(x > 0, 1.f / exp_down(-x), exp_down(x));
}

static void lrn(const struct across_pass *f, size_t at, int pixels)
{
	for (int p = 0; p < pixels; p++, at += (size_t)f->block) {
		row_gather(f, f->x + at, f->row);
		for (int v = 0; v < vectors_of(f); v++)
			set(f->y + at + vector_at(f, v), get(f->row + v * WIDTH) *
			    power_of(response(f, f->row, v), f->beta));
	}
}

static void lrn_dx(const struct across_pass *f, size_t at, int pixels)
{
	const float most = 2 * f->alpha * f->beta;

	for (int p = 0; p < pixels; p++, at += (size_t)f->block) {
		row_gather(f, f->x + at, f->row);
		for (int v = 0; v < vectors_of(f); v++) {
			const vec s = response(f, f->row, v), x = get(f->row + v * WIDTH);
			const vec dy = get(f->dy + at + vector_at(f, v));
			const vec share = dy * power_of(s, f->beta);

			set(f->y + at + vector_at(f, v), share);
			set(f->other + v * WIDTH, share * x / s);
		}
		for (int v = 0; v < vectors_of(f); v++) {
			const float *from = f->other + v * WIDTH - (f->n - 1) / 2;
			float *dx = f->y + at + vector_at(f, v);
			vec sum = { 0 };

			for (int k = 0; k < f->n; k++)
				sum += get_any(from + k);
			set(dx, get(dx) - most * get(f->row + v * WIDTH) * sum);
		}
	}
}
