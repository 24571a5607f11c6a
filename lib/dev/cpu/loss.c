/*
 * Softmax cross-entropy. The target of class k is
 *     t_k = (1 - e) (shares of the labels that are k) + e / classes,
 * the loss weight (-sum t_k log p_k), its gradient weight / count (T p_k - t_k) with T
 * the sum of targets, 1 where the shares' is. A second label of -1 has no share.
 */
#include "dev/cpu/cpu.h"

#include "base/fail.h"

#include <math.h>

struct target_of {
	int label[2];
	double share[2];
};

/* 1, or 0 where the sample has no label, or -1. */
static int target_read(const struct memory *m, const struct step *s, int n, struct target_of *t)
{
	const struct xent_attr *a = s->attr;
	const int32_t *label = memory_at(m, s->in[1]);
	const float *share = memory_at(m, s->in[2]);
	int k;

	for (k = 0; k < 2; k++) {
		t->label[k] = label[value_place(value_at(m, s->in[1]), n, k, 0, 0)];
		t->share[k] = share[value_place(value_at(m, s->in[2]), n, k, 0, 0)];
		if (t->label[k] < -1 || t->label[k] >= a->classes)
			return fail("sample %d: label %d, but the network has %d classes", n,
				    t->label[k], a->classes);
		if (t->label[k] < 0)
			t->share[k] = 0;
	}
	return t->label[0] >= 0;
}

static double target_class(const struct target_of *t, const struct xent_attr *a, int k)
{
	double share = (k == t->label[0] ? t->share[0] : 0) + (k == t->label[1] ? t->share[1] : 0);

	return (1 - a->smoothing) * share + a->smoothing / a->classes;
}

/* log of the sum of exp(x), and the first of the largest. */
static double log_sum(const struct value *v, const float *x, int n, int classes, int *best)
{
	double most = x[value_place(v, n, 0, 0, 0)], sum = 0;
	int k;

	*best = 0;
	for (k = 1; k < classes; k++)
		if (x[value_place(v, n, k, 0, 0)] > most) {
			most = x[value_place(v, n, k, 0, 0)];
			*best = k;
		}
	for (k = 0; k < classes; k++)
		sum += exp(x[value_place(v, n, k, 0, 0)] - most);
	return most + log(sum);
}

int cpu_xent(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct xent_attr *a = s->attr;
	const struct value *v = value_at(m, s->in[0]), *w = value_at(m, s->out[0]);
	const float *x = memory_at(m, s->in[0]);
	float *p = memory_at(m, s->out[0]), *losses = memory_at(m, s->out[1]);
	const float *others = memory_at(m, step_in(s, 3));
	int n, k, best, labelled;

	(void)dev;
	for (n = 0; n < v->n; n++) {
		struct target_of target;
		double sum = log_sum(v, x, n, a->classes, &best), loss = 0;

		TRY(labelled = target_read(m, s, n, &target));
		for (k = 0; k < a->classes; k++) {
			double log_p = x[value_place(v, n, k, 0, 0)] - sum;

			p[value_place(w, n, k, 0, 0)] = (float)exp(log_p);
			loss -= target_class(&target, a, k) * log_p;
		}
		losses[value_place(value_at(m, s->out[1]), n, 0, 0, 0)] =
			(labelled ? (float)(a->weight * loss) : 0) + (others ?
			others[value_place(value_at(m, s->in[3]), n, 0, 0, 0)] : 0);
		losses[value_place(value_at(m, s->out[1]), n, 1, 0, 0)] = best == target.label[0];
	}
	return 0;
}

int cpu_xent_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct xent_attr *a = s->attr;
	const struct value *v = value_at(m, s->in[0]), *w = value_at(m, s->out[0]);
	const float *p = memory_at(m, s->in[0]);
	float *dx = memory_at(m, s->out[0]);
	double scale = a->weight / memory_control(m)->count;
	int n, k, labelled;

	(void)dev;
	if (!(memory_control(m)->count > 0))
		return fail("control block: the step's count of samples is not set");
	value_zero_padding(w, dx);
	for (n = 0; n < v->n; n++) {
		struct target_of target;
		double whole;

		TRY(labelled = target_read(m, s, n, &target));
		whole = (1 - a->smoothing) * (target.share[0] + target.share[1]) + a->smoothing;
		for (k = 0; k < a->classes; k++)
			dx[value_place(w, n, k, 0, 0)] = !labelled ? 0 : (float)(scale *
				(whole * p[value_place(v, n, k, 0, 0)] -
				 target_class(&target, a, k)));
	}
	return 0;
}
