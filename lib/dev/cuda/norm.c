/* Batch normalisation in its parts, and the sums over pixels that they need. */
#include "dev/cuda/cuda.h"

#include "base/fail.h"

static void *work_at(const struct memory *m, const struct step *s)
{
	return memory_at(m, s->work_value);
}

int cuda_stats(struct device *dev, const struct memory *m, const struct step *s)
{
	stats_start(dev->stream, span_of(value_of(m, s->in[0])), memory_at(m, s->in[0]),
		    row_at(m, s->out[0], 0), row_pad(m, s->out[0]), work_at(m, s));
	return 0;
}

int cuda_channel_sum(struct device *dev, const struct memory *m, const struct step *s)
{
	channel_sum_start(dev->stream, span_of(value_of(m, s->in[0])), memory_at(m, s->in[0]),
			  memory_at(m, s->out[0]), work_at(m, s));
	return 0;
}

int cuda_sync_stats(struct device *dev, const struct memory *m, const struct step *s)
{
	int pad = row_pad(m, s->in[0]);
	float *all = work_at(m, s);

	TRY(peers_count_check(dev, m));
	TRY(peers_gather(dev, row_at(m, s->in[0], 0), all, 2 * (size_t)pad));
	sync_stats_start(dev->stream, all, dev->peers ? dev->host.ranks : 1,
			 row_at(m, s->out[0], 0), pad);
	return 0;
}

int cuda_sync_sums(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *v = value_of(m, s->out[0]);
	size_t numbers = (size_t)v->w * (size_t)v->lay.pad;

	TRY(peers_count_check(dev, m));
	cast_start(dev->stream, row_at(m, s->in[0], 0), row_at(m, s->out[0], 0), DTYPE_F32,
		   (int)numbers);
	return peers_sum(dev, row_at(m, s->out[0], 0), numbers);
}

int cuda_coef(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	int running = step_in(s, 3) >= 0;
	const float *variance = running ? memory_at(m, s->in[3]) : row_at(m, s->in[0], 1);

	coef_start(dev->stream, row_at(m, s->in[0], 0), variance, memory_at(m, s->in[1]),
		   memory_at(m, s->in[2]), bn->eps, value_of(m, s->out[0])->c,
		   row_at(m, s->out[0], 0), row_pad(m, s->out[0]));
	return 0;
}

int cuda_track(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bn_attr *bn = s->attr;
	struct tracking t = { bn->decay, 1, bn->devices };

	/* one number has no unbiased variance: the biased one, 0, then */
	if (bn->count > 1)
		t.unbias = (double)bn->count / (double)(bn->count - 1);
	track_start(dev->stream, row_at(m, s->in[0], 0), row_pad(m, s->in[0]),
		    value_of(m, s->in[0])->c, memory_at(m, s->in[1]), memory_at(m, s->in[2]), t,
		    m->arena[ARENA_CONTROL]);
	return 0;
}

/* x and statistics of bn_sums and bn_dx stand at the same places. */
void norm_set(struct backward_pass *f, const struct memory *m, int k, const struct step *s)
{
	const struct bn_attr *bn = s->attr;

	f->norm[k] = (struct norm_of){ memory_at(m, s->in[1]), row_at(m, s->in[2], 0), bn->eps };
	f->norms = k + 1;
	f->m_pad = row_pad(m, s->in[2]);
}

void sums_run(struct device *dev, const struct memory *m, struct span v,
	      struct backward_pass *f, const struct step *const sums[2], void *work)
{
	struct sums_out to[2] = { { 0 } };

	for (int k = 0; k < 2 && sums[k]; k++) {
		const struct step *s = sums[k];

		norm_set(f, m, k, s);
		to[k] = (struct sums_out){ row_at(m, s->out[0], 0), memory_at(m, step_out(s, 1)),
					   memory_at(m, step_out(s, 2)), row_pad(m, s->out[0]) };
	}
	backward_sums_start(dev->stream, v, f, to, work);
}

void dx_run(struct device *dev, const struct memory *m, struct span v, struct backward_pass *f,
	    const struct step *s)
{
	const struct bn_attr *bn = s->attr;

	norm_set(f, m, 0, s);
	backward_dx_start(dev->stream, v, f, memory_at(m, s->in[3]), row_at(m, s->in[4], 0),
			  row_pad(m, s->in[4]), (double)bn->count, memory_at(m, s->out[0]));
}

int cuda_bn_sums(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct step *const sums[2] = { s, NULL };
	struct backward_pass f = { .dys = 1 };

	f.dy[0] = memory_at(m, s->in[0]);
	sums_run(dev, m, span_of(value_of(m, s->in[0])), &f, sums, work_at(m, s));
	return 0;
}

int cuda_bn_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	struct backward_pass f = { .dys = 1 };

	f.dy[0] = memory_at(m, s->in[0]);
	dx_run(dev, m, span_of(value_of(m, s->in[0])), &f, s);
	return 0;
}
