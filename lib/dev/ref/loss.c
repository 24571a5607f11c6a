/*
 * Softmax cross-entropy. The target of class k is
 *     t_k = (1 - e) (shares of the labels that are k) + e / classes,
 * the loss weight (-sum t_k log p_k), its gradient weight / count (T p_k - t_k) with T
 * the sum of targets, 1 where the shares' is. A second label of -1 has no share.
 */
#include "dev/ref/steps.h"

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
		size_t i = value_place(&m->program->value[s->in[1]], n, k, 0, 0);

		t->label[k] = label[i];
		t->share[k] = share[value_place(&m->program->value[s->in[2]], n, k, 0, 0)];
		if (label[i] < -1 || label[i] >= a->classes)
			return fail("sample %d: label %d, but the network has %d classes", n,
				    (int)label[i], a->classes);
		if (label[i] < 0)
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
static double log_sum(const struct view *x, int n, int classes, int *best)
{
	double most = *view_plane(x, n, 0), sum = 0;
	int k;

	*best = 0;
	for (k = 1; k < classes; k++)
		if (*view_plane(x, n, k) > most) {
			most = *view_plane(x, n, k);
			*best = k;
		}
	for (k = 0; k < classes; k++)
		sum += exp(*view_plane(x, n, k) - most);
	return most + log(sum);
}

int ref_xent(const struct memory *m, const struct step *s)
{
	const struct xent_attr *a = s->attr;
	struct view x = view_of(m, s->in[0]), p = view_of(m, s->out[0]);
	struct view losses = view_of(m, s->out[1]);
	int others = s->ins > 3 ? s->in[3] : -1;
	int n, k, best, labelled;

	for (n = 0; n < x.v->n; n++) {
		struct target_of target;
		double all = log_sum(&x, n, a->classes, &best), loss = 0;

		TRY(labelled = target_read(m, s, n, &target));
		for (k = 0; k < a->classes; k++) {
			double log_p = *view_plane(&x, n, k) - all;

			*view_plane(&p, n, k) = (float)exp(log_p);
			loss -= target_class(&target, a, k) * log_p;
		}
		*view_plane(&losses, n, 0) = labelled ? (float)(a->weight * loss) : 0;
		if (others >= 0) {
			struct view other = view_of(m, others);

			*view_plane(&losses, n, 0) += *view_plane(&other, n, 0);
		}
		*view_plane(&losses, n, 1) = best == target.label[0];
	}
	return 0;
}

int ref_xent_dx(const struct memory *m, const struct step *s)
{
	const struct xent_attr *a = s->attr;
	struct view p = view_of(m, s->in[0]), dx = view_of(m, s->out[0]);
	double scale = a->weight / memory_control(m)->count;
	int n, k, labelled;

	if (!(memory_control(m)->count > 0))
		return fail("control block: the step's count of samples is not set");
	for (n = 0; n < dx.v->n; n++) {
		struct target_of target;
		double whole;

		TRY(labelled = target_read(m, s, n, &target));
		whole = (1 - a->smoothing) * (target.share[0] + target.share[1]) + a->smoothing;
		for (k = 0; k < a->classes; k++)
			*view_plane(&dx, n, k) = !labelled ? 0 :
				(float)(scale * (whole * *view_plane(&p, n, k) -
						 target_class(&target, a, k)));
	}
	return 0;
}
