#include "train/evaluate.h"

#include <math.h>

int label_rank(const float *p, int classes, int label)
{
	int rank = 0;

	for (int k = 0; k < classes; k++)
		rank += p[k] > p[label] || (p[k] == p[label] && k < label);
	return rank;
}

void best_classes(const float *p, int classes, int n, int *best)
{
	int have = 0;

	for (int k = 0; k < classes; k++) {
		int at = have;

		while (at > 0 && p[k] > p[best[at - 1]])
			at--;
		if (at == n)
			continue;
		if (have < n)
			have++;
		for (int i = have - 1; i > at; i--)
			best[i] = best[i - 1];
		best[at] = k;
	}
}

static void add(struct score *s, const struct machine *m, const struct batch *b, int classes,
		int views)
{
	for (int i = 0; i < b->samples; i++) {
		const float *p = m->probabilities + (size_t)i * (size_t)classes;
		int label = b->labels[2 * i];

		s->samples++;
		if (label < 0) {
			s->bad++;
			continue;
		}
		int rank = label_rank(p, classes, label);

		s->top1 += rank < 1;
		s->top5 += rank < 5;
		s->loss += views > 1 ? -log((double)p[label]) : (double)m->losses[2 * i];
	}
}

int evaluate_all(struct machine *m, struct input *in, int views, int64_t most,
		 struct score *s, evaluate_look *look, void *context, int *status)
{
	int classes = m->device[0].eval->graph->classes, r;
	struct batch *b;

	for (int64_t n = 0; !most || n < most; n++) {
		r = input_take(in, &b);
		*status = input_status(in);
		if (r <= 0)
			return r;
		*status = 3;
		if (machine_evaluate(m, b, views) < 0)
			return -1;
		add(s, m, b, classes, views);
		if (look && look(context, m, b) < 0)
			return -1;
		input_give(in);
	}
	return 0;
}
