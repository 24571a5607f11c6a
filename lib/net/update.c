/* What follows backward, and REDUCE over devices beside it; FINITE, UPDATE, TRACK. */
#include "base/fail.h"
#include "net/program_build.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKET = 4 << 20 };      /* bytes; large enough to be worth a meeting of devices */

static void reduce_range(struct build *b, size_t from, size_t to)
{
	struct range_attr *r = program_alloc(b->p, sizeof *r);

	if (!r) {
		b->failed = 1;
		return;
	}
	r->at = from;
	r->bytes = to - from;
	step_add(b, STEP_REDUCE, PART_REDUCE, -1, r);
}

/* Buckets begin and end where values do. Values of ARENA_GRAD were added in the order
 * of their offsets: gradients, then batch statistics. */
static void reduce_all(struct build *b)
{
	struct program *p = b->p;
	size_t from = 0;

	for (int i = 0; i < p->values && !b->failed; i++) {
		const struct value *v = &p->value[i];
		size_t end = v->at + align_up(v->bytes);

		if (v->arena == ARENA_GRAD && end - from >= BUCKET) {
			reduce_range(b, from, end);
			from = end;
		}
	}
	if (b->tail > from)
		reduce_range(b, from, b->tail);
}

/* ---- REDUCE beside backward ---- */

/* Whether a step reads or writes something in the range. Statistics are read by backward,
 * so a range that holds them waits for the last reader too. */
static int touches(const struct program *p, const struct step *s, const struct range_attr *r)
{
	for (int k = 0; k < s->ins + s->outs; k++) {
		int value = k < s->ins ? s->in[k] : s->out[k - s->ins];
		const struct value *v = value < 0 ? NULL : &p->value[value];

		if (v && v->arena == ARENA_GRAD && v->at < r->at + r->bytes &&
		    r->at < v->at + v->bytes)
			return 1;
	}
	return 0;
}

/* The last step of forward and backward after which nothing touches the range. */
static int ready_after(const struct program *p, const struct range_attr *r)
{
	int i = p->steps - 1, first, last;

	while (i >= 0 && (p->step[i].part > PART_BACKWARD || !touches(p, &p->step[i], r)))
		i--;
	if (i < 0)
		return -1;
	step_extent(p, i, &first, &last);
	return last;
}

static int last_of_backward(const struct program *p)
{
	int i = p->steps - 1;

	while (i >= 0 && p->step[i].part > PART_BACKWARD)
		i--;
	return i;
}

/* The steps in order, each REDUCE behind the one that it waits for. */
static void put_in_order(struct program *p, const struct step *old, const int *after)
{
	int n = 0, end = last_of_backward(p);   /* before any is moved */

	for (int i = 0; i < p->steps; i++) {
		if (after[i] < 0 || after[i] >= end)
			p->step[n++] = old[i];
		for (int k = 0; i < end && k < p->steps; k++) {
			if (after[k] != i)
				continue;
			p->step[n] = old[k];
			p->step[n++].part = PART_BACKWARD;
		}
	}
}

int build_buckets(struct build *b)
{
	struct program *p = b->p;
	size_t n = (size_t)p->steps;
	struct step *old = malloc((n + 1) * sizeof *old);
	int *after = malloc((n + 1) * sizeof *after);
	int r = old && after ? 0 : fail("program: out of memory");

	for (size_t i = 0; i < n && !r; i++) {
		old[i] = p->step[i];
		after[i] = old[i].kind == STEP_REDUCE ? ready_after(p, old[i].attr) : -1;
	}
	if (!r && p->options.devices > 1)
		put_in_order(p, old, after);
	free(old);
	free(after);
	return r;
}

/* Ranges of masters that decay, and that do not; the padding between masters stays
 * zero by any rule. */
static const struct update_attr *segments(struct program *p)
{
	struct update_attr *u = program_alloc(p, sizeof *u);
	struct segment *s = program_alloc(p, ((size_t)p->graph->params + 1) * sizeof *s);
	int n = 0;

	if (!u || !s)
		return NULL;
	for (int i = 0; i < p->values; i++) {
		const struct value *v = &p->value[i];
		size_t at = v->at / sizeof(float), end = at + v->bytes / sizeof(float);
		int decays;

		if (v->arena != ARENA_PARAM || p->gradient[v->param] < 0)
			continue;
		decays = p->graph->param[v->param].class == PARAM_WEIGHT;
		if (n > 0 && s[n - 1].decays == decays)
			s[n - 1].numbers = end - s[n - 1].at;
		else
			s[n++] = (struct segment){ at, end - at, decays };
	}
	u->optimizer = p->options.optimizer;
	u->segments = n;
	u->segment = s;
	return u;
}

/* The running statistics of every batch norm that was lowered. */
static void track_all(struct build *b, int coefs)
{
	for (int i = 0; i < coefs && !b->failed; i++) {
		const struct step *s = &b->p->step[i];
		const struct node *node = s->node < 0 ? NULL : &b->p->graph->node[s->node];
		int t, m = s->in[0];

		if (s->kind != STEP_COEF || s->part != PART_FORWARD)
			continue;
		t = step_add(b, STEP_TRACK, PART_UPDATE, s->node, s->attr);
		step_reads(b, t, m);
		step_reads(b, t, b->p->master[node->param[2]]);
		step_reads(b, t, b->p->master[node->param[3]]);
	}
}

int build_update(struct build *b)
{
	struct program *p = b->p;
	const struct update_attr *u;
	int forward = p->steps, t;

	if (!p->options.training)
		return 0;
	for (int i = 0; i < p->values; i++)
		if (p->value[i].arena == ARENA_GRAD)
			TRY(value_measure(&p->value[i]));
	p->arena[ARENA_GRAD] = b->tail;
	if (p->options.devices > 1)
		reduce_all(b);
	t = step_add(b, STEP_FINITE, PART_UPDATE, -1, NULL);
	step_reads(b, t, p->losses);
	u = segments(p);
	if (!u)
		return -1;
	step_add(b, STEP_UPDATE, PART_UPDATE, -1, u);
	track_all(b, forward);
	return 0;
}
