/* Batch normalisation in its parts, and the sums over pixels that they need. */
#include "dev/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* Sums of pieces, one after the other: [piece][rows][block]. */
struct reduction {
	struct device *dev;
	const struct memory *m;
	const struct step *s;
	const struct step *sums[2];
	struct planes planes;
	const void *x, *y;
	struct backward_pass *pass;
	int rows;
	double *part;
};

static double *part_of(const struct reduction *r, size_t piece)
{
	return r->part + piece * (size_t)r->rows * (size_t)r->planes.block;
}

static size_t parts_work(const struct value *v, int rows)
{
	struct planes p = planes_of(v);

	return planes_pieces(&p) * (size_t)rows * (size_t)p.block * sizeof(double);
}

size_t sums_work(const struct value *v, int sums)
{
	return parts_work(v, 1 + sums);
}

size_t dx_work(const struct value *v)
{
	return 3 * (size_t)v->lay.pad * sizeof(float);
}

/* Sum over the pieces of channel block b of one row, lane by lane. */
static double row_sum(const struct reduction *r, size_t b, int row, int lane)
{
	const struct planes *p = &r->planes;
	size_t samples = p->count / (size_t)p->blocks, n, k;
	double sum = 0;

	for (n = 0; n < samples; n++)
		for (k = 0; k < p->chunks; k++)
			sum += part_of(r, (n * (size_t)p->blocks + b) * p->chunks + k)
			       [row * p->block + lane];
	return sum;
}

/* Channels that a vector is padded with beyond those of the values it came from. */
static void rest_zero(const struct memory *m, int value, int from)
{
	const struct value *v = value_at(m, value);
	int row;

	for (row = 0; row < v->w && from < v->lay.pad; row++)
		memset(row_at(m, value, row) + from, 0, (size_t)(v->lay.pad - from)
		       * sizeof(float));
}

/* ---- statistics ---- */

static void stats_piece(void *context, size_t i)
{
	const struct reduction *r = context;
	struct piece p = planes_piece(&r->planes, i);

	planes_kernels(r->dev, &r->planes)->stats(planes_at(&r->planes, r->x, p.at), p.pixels,
						  r->planes.block, part_of(r, i));
}

/* Means and squared differences of pieces joined (Chan, Golub, LeVeque 1979). */
static void stats_join(void *context, size_t b)
{
	const struct reduction *r = context;
	const struct planes *p = &r->planes;
	size_t samples = p->count / (size_t)p->blocks, n, k;
	double count = (double)samples * (double)p->pixels;
	float *mean = row_at(r->m, r->s->out[0], 0), *variance = row_at(r->m, r->s->out[0], 1);

	for (int l = 0; l < p->block; l++) {
		double middle = 0, square = 0;
		size_t c = b * (size_t)p->block + (size_t)l;

		for (n = 0; n < samples; n++)
			for (k = 0; k < p->chunks; k++) {
				size_t i = (n * (size_t)p->blocks + b) * p->chunks + k;

				middle += part_of(r, i)[l] * (double)chunk_pixels(p, k);
			}
		middle /= count;
		for (n = 0; n < samples; n++)
			for (k = 0; k < p->chunks; k++) {
				size_t i = (n * (size_t)p->blocks + b) * p->chunks + k;
				double d = part_of(r, i)[l] - middle;

				square += part_of(r, i)[p->block + l] +
					  d * d * (double)chunk_pixels(p, k);
			}
		mean[c] = (float)middle;
		variance[c] = (float)(square / count);
	}
}

int cpu_stats(struct device *dev, const struct memory *m, const struct step *s)
{
	struct reduction r = { .dev = dev, .m = m, .s = s, .rows = 2 };

	r.planes = planes_of(value_at(m, s->in[0]));
	r.x = memory_at(m, s->in[0]);
	r.part = work_at(m, s);
	each(dev, planes_pieces(&r.planes), stats_piece, &r);
	each(dev, (size_t)r.planes.blocks, stats_join, &r);
	rest_zero(m, s->out[0], value_at(m, s->in[0])->lay.pad);
	return 0;
}

int cpu_coef(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	int running = step_in(s, 3) >= 0;
	const float *mean = row_at(m, s->in[0], 0);
	const float *variance = running ? memory_at(m, s->in[3]) : row_at(m, s->in[0], 1);
	const float *gain = memory_at(m, s->in[1]), *bias = memory_at(m, s->in[2]);
	const struct value *v = value_at(m, s->out[0]);
	float *a = row_at(m, s->out[0], 0), *b = row_at(m, s->out[0], 1);
	int c;

	(void)dev;
	for (c = 0; c < v->c; c++) {
		double slope = (gain ? gain[c] : 1) / sqrt(variance[c] + bn->eps);

		a[c] = (float)slope;
		b[c] = (float)((bias ? bias[c] : 0) - mean[c] * slope);
	}
	rest_zero(m, s->out[0], v->c);
	return 0;
}

int cpu_track(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	const struct control *control = memory_control(m);
	const float *mean = row_at(m, s->in[0], 0), *variance = row_at(m, s->in[0], 1);
	float *running_mean = memory_at(m, s->in[1]), *running_variance = memory_at(m, s->in[2]);
	/* one number has no unbiased variance: the biased one, 0, then */
	double unbias = bn->count > 1 ? (double)bn->count / (double)(bn->count - 1) : 1;
	int c;

	(void)dev;
	if (control->skip || control->halt)
		return 0;
	for (c = 0; c < value_at(m, s->in[0])->c; c++) {
		double middle = (double)mean[c] / bn->devices;
		double spread = (double)variance[c] / bn->devices * unbias;

		running_mean[c] = (float)(bn->decay * running_mean[c] + (1 - bn->decay) * middle);
		running_variance[c] =
			(float)(bn->decay * running_variance[c] + (1 - bn->decay) * spread);
	}
	return 0;
}

/* ---- passes ---- */

struct pass_job {
	struct device *dev;
	struct planes planes;
	const struct forward_pass *forward;
	const struct backward_pass *backward;
};

static void forward_piece(void *context, size_t i)
{
	const struct pass_job *j = context;
	struct piece p = planes_piece(&j->planes, i);

	planes_kernels(j->dev, &j->planes)->forward(j->forward, p.at, p.c, p.pixels);
}

void forward_run(struct device *dev, const struct value *v, const struct forward_pass *f)
{
	struct forward_pass pass = *f;
	struct pass_job j = { dev, planes_of(v), &pass, NULL };

	pass.block = j.planes.block;
	pass.channels = v->c;
	pass.stream = value_streams(v);
	each(dev, planes_pieces(&j.planes), forward_piece, &j);
}

int cpu_affine(struct device *dev, const struct memory *m, const struct step *s)
{
	struct forward_pass f = { .xs = 1, .affines = 1 };

	f.x[0] = memory_at(m, s->in[0]);
	f.a[0] = row_at(m, s->in[1], 0);
	f.b[0] = row_at(m, s->in[1], 1);
	f.y = memory_at(m, s->out[0]);
	forward_run(dev, value_at(m, s->out[0]), &f);
	return 0;
}

static void backward_piece(void *context, size_t i)
{
	const struct pass_job *j = context;
	struct piece p = planes_piece(&j->planes, i);

	planes_kernels(j->dev, &j->planes)->backward(j->backward, p.at, p.c, p.pixels, NULL);
}

void backward_run(struct device *dev, const struct value *v, struct backward_pass *f)
{
	struct pass_job j = { dev, planes_of(v), NULL, f };

	f->block = j.planes.block;
	f->stream = value_streams(v);
	each(dev, planes_pieces(&j.planes), backward_piece, &j);
}

/* ---- sums of gradients ---- */

static void sums_piece(void *context, size_t i)
{
	const struct reduction *r = context;
	struct piece p = planes_piece(&r->planes, i);

	planes_kernels(r->dev, &r->planes)->backward(r->pass, p.at, p.c, p.pixels, part_of(r, i));
}

static void sums_join_one(const struct reduction *r, const struct step *s, int row, size_t b)
{
	const struct bn_attr *bn = s->attr;
	const float *variance = row_at(r->m, s->in[2], 1);
	float *sum = row_at(r->m, s->out[0], 0), *product = row_at(r->m, s->out[0], 1);
	float *dgain = memory_at(r->m, step_out(s, 1)), *dbias = memory_at(r->m, step_out(s, 2));
	int l, c = (int)b * r->planes.block;

	for (l = 0; l < r->planes.block; l++, c++) {
		double invstd = 1 / sqrt(variance[c] + bn->eps);

		sum[c] = (float)row_sum(r, b, 0, l);
		product[c] = (float)(row_sum(r, b, row, l) * invstd);
		if (c >= value_at(r->m, s->out[0])->c) {
			sum[c] = product[c] = 0;
			continue;
		}
		if (dgain)
			dgain[c] = product[c];
		if (dbias)
			dbias[c] = sum[c];
	}
}

static void sums_join(void *context, size_t b)
{
	const struct reduction *r = context;

	for (int k = 0; k < r->pass->sums; k++)
		sums_join_one(r, r->sums[k], 1 + k, b);
}

void sums_run(struct device *dev, const struct memory *m, const struct value *v,
	      struct backward_pass *f, const struct step *const sums[2], void *work)
{
	struct reduction r = { .dev = dev, .m = m, .sums = { sums[0], sums[1] }, .pass = f };
	int k;

	f->sums = sums[1] ? 2 : 1;
	for (k = 0; k < f->sums; k++) {
		f->x[k] = memory_at(m, sums[k]->in[1]);
		f->mean[k] = row_at(m, sums[k]->in[2], 0);
	}
	r.planes = planes_of(v);
	f->block = r.planes.block;
	f->stream = value_streams(v);
	r.rows = 1 + f->sums;
	r.part = work;
	each(dev, planes_pieces(&r.planes), sums_piece, &r);
	each(dev, (size_t)r.planes.blocks, sums_join, &r);
	for (k = 0; k < f->sums; k++)
		rest_zero(m, sums[k]->out[0], v->lay.pad);
}

int cpu_bn_sums(struct device *dev, const struct memory *m, const struct step *s)
{
	struct backward_pass f = { .dys = 1 };
	const struct step *const sums[2] = { s, NULL };

	f.dy[0] = memory_at(m, s->in[0]);
	sums_run(dev, m, value_at(m, s->in[0]), &f, sums, work_at(m, s));
	return 0;
}

void dx_run(struct device *dev, const struct memory *m, const struct value *v,
	    struct backward_pass *f, const struct step *s, void *work)
{
	const struct bn_attr *bn = s->attr;
	const float *variance = row_at(m, s->in[2], 1), *gain = memory_at(m, s->in[3]);
	const float *sum = row_at(m, s->in[4], 0), *product = row_at(m, s->in[4], 1);
	size_t pad = (size_t)v->lay.pad;
	float *scale = work, *shift = scale + pad, *slope = shift + pad;
	double k = (double)bn->count;
	int c;

	memset(work, 0, dx_work(v));
	for (c = 0; c < v->c; c++) {
		double invstd = 1 / sqrt(variance[c] + bn->eps);

		scale[c] = (float)((gain ? gain[c] : 1) * invstd);
		shift[c] = (float)(sum[c] / k);
		slope[c] = (float)(invstd * product[c] / k);
	}
	f->x[0] = memory_at(m, s->in[1]);
	f->mean[0] = row_at(m, s->in[2], 0);
	f->scale = scale;
	f->shift = shift;
	f->slope = slope;
	f->dx = memory_at(m, s->out[0]);
	backward_run(dev, v, f);
}

int cpu_bn_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	struct backward_pass f = { .dys = 1 };

	f.dy[0] = memory_at(m, s->in[0]);
	dx_run(dev, m, value_at(m, s->in[0]), &f, s, work_at(m, s));
	return 0;
}

/* ---- other sums over pixels ---- */

static void total_piece(void *context, size_t i)
{
	const struct reduction *r = context;
	struct piece p = planes_piece(&r->planes, i);

	planes_kernels(r->dev, &r->planes)->total(planes_at(&r->planes, r->x, p.at),
		r->y ? planes_at(&r->planes, r->y, p.at) : NULL, p.pixels, r->planes.block,
		part_of(r, i));
}

static void channel_join(void *context, size_t b)
{
	const struct reduction *r = context;
	float *db = memory_at(r->m, r->s->out[0]);
	int l, c = (int)b * r->planes.block;

	for (l = 0; l < r->planes.block && c < value_at(r->m, r->s->in[0])->c; l++, c++)
		db[c] = (float)row_sum(r, b, 0, l);
}

int cpu_channel_sum(struct device *dev, const struct memory *m, const struct step *s)
{
	struct reduction r = { .dev = dev, .m = m, .s = s, .rows = 1 };

	r.planes = planes_of(value_at(m, s->in[0]));
	r.x = memory_at(m, s->in[0]);
	r.part = work_at(m, s);
	each(dev, planes_pieces(&r.planes), total_piece, &r);
	each(dev, (size_t)r.planes.blocks, channel_join, &r);
	return 0;
}

/* One plane of the result: its pixel. */
static void plane_join(void *context, size_t plane)
{
	const struct reduction *r = context;
	void *sum = planes_at(&r->planes, memory_at(r->m, r->s->out[0]),
			      plane * (size_t)r->planes.block);

	for (int l = 0; l < r->planes.block; l++) {
		double t = 0;

		for (size_t k = 0; k < r->planes.chunks; k++)
			t += part_of(r, plane * r->planes.chunks + k)[l];
		if (r->planes.size == 2)
			((uint16_t *)sum)[l] = bf16_from((float)t);
		else
			((float *)sum)[l] = (float)t;
	}
}

int cpu_mul_sum(struct device *dev, const struct memory *m, const struct step *s)
{
	struct reduction r = { .dev = dev, .m = m, .s = s, .rows = 1 };

	r.planes = planes_of(value_at(m, s->in[0]));
	r.x = memory_at(m, s->in[0]);
	r.y = memory_at(m, s->in[1]);
	r.part = work_at(m, s);
	each(dev, planes_pieces(&r.planes), total_piece, &r);
	each(dev, r.planes.count, plane_join, &r);
	return 0;
}

int norm_prepare(struct device *dev, struct program *p, int step)
{
	struct step *s = &p->step[step];
	const struct value *v = &p->value[s->in[0]];

	(void)dev;
	switch (s->kind) {
	case STEP_STATS:
		s->work = parts_work(v, 2);
		break;
	case STEP_BN_SUMS:
		s->work = sums_work(v, 1);
		break;
	case STEP_BN_DX:
		s->work = dx_work(v);
		break;
	default:
		s->work = parts_work(v, 1);
		break;
	}
	return step_choose(s, "cpu", "own");
}
