/* Brackets (net/bracket.h): each is one pass, forward or backward. */
#include "net/bracket.h"

#include "base/fail.h"
#include "dev/cpu/cpu.h"

#include <assert.h>

struct bracket_own {
	struct own own;
	int steps;
	struct bracket_view view;       /* from place on */
};

/* ---- which ones ---- */

/* All full operands in one layout that the kernels can walk over. */
static int alike(const struct device *dev, const struct program *p, const struct bracket_view *v,
		 const struct value **first)
{
	const struct step *member[] = { v->affine[0], v->affine[1], v->add, v->act, v->act_dx,
					v->sums[0], v->sums[1], v->bn_dx, v->mul };
	size_t i;

	*first = NULL;
	for (i = 0; i < sizeof member / sizeof *member; i++) {
		const struct step *s = member[i];
		int full = !s ? 0 : s->kind == STEP_ADD ? s->ins :
			   s->kind == STEP_AFFINE || s->kind == STEP_ACT ||
			   s->kind == STEP_MUL ? 1 : 2;
		int k;

		for (k = 0; k < full; k++) {
			const struct value *x = &p->value[s->in[k]];

			if (!*first)
				*first = x;
			if (x->lay.type != (*first)->lay.type ||
			    x->lay.block != (*first)->lay.block ||
			    x->lay.pad != (*first)->lay.pad ||
			    x->h != (*first)->h || x->w != (*first)->w || x->c != (*first)->c ||
			    !layout_walks(dev, x, x->lay))
				return 0;
		}
	}
	return *first != NULL;
}

double cpu_cost(void *arg, const struct program *p, int from, int to)
{
	const struct device *dev = arg;
	struct bracket_view v;
	const struct value *like;
	int passes = 0, from_outside;

	if (!bracket_find(p, from, to, &v))
		return -1;
	if (v.conv)
		return bracket_is_epilogue(&v) && conv_bracket_fits(dev, p, from, &v) ? 0 : -1;
	if (bracket_spills(p, &v) || !alike(dev, p, &v, &like))
		return -1;
	/* what is read and written, at what memory gives */
	for (from_outside = from; from_outside < to; from_outside++) {
		const struct step *s = &p->step[from_outside];

		for (int k = 0; k < s->ins; k++)
			passes += s->in[k] >= 0 && p->value[s->in[k]].bytes == like->bytes &&
				  value_stored(p, s->in[k]);
		passes += s->kind != STEP_BN_SUMS && value_stored(p, s->out[0]);
	}
	return passes * (double)like->bytes / 30e9;
}

/* ---- forward ---- */

static void affine_set(struct forward_pass *f, int k, const struct memory *m,
		       const struct step *affine)
{
	f->x[k] = memory_at(m, affine->in[0]);
	f->a[k] = row_at(m, affine->in[1], 0);
	f->b[k] = row_at(m, affine->in[1], 1);
}

static int bracket_forward(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bracket_own *own = s->own;
	const struct bracket_view *v = &own->view;
	const struct step *last = s + own->steps - 1;
	struct forward_pass f = { .act = v->act ? act_pass(v->act) : CPU_NONE };
	int k;

	for (k = 0; k < 2 && v->affine[k]; k++)
		affine_set(&f, f.affines++, m, v->affine[k]);
	f.xs = v->add ? v->add->ins : 1;
	for (k = f.affines; k < f.xs; k++)
		f.x[k] = memory_at(m, v->add->in[k]);
	f.y = memory_at(m, last->out[0]);
	forward_run(dev, value_at(m, last->out[0]), &f);
	return 0;
}

/* ---- backward ---- */

static void gradients_set(struct backward_pass *f, const struct memory *m,
			  const struct bracket_view *v)
{
	int k;

	f->dys = v->add ? v->add->ins : 1;
	if (v->add)
		for (k = 0; k < f->dys; k++)
			f->dy[k] = memory_at(m, v->add->in[k]);
	else
		f->dy[0] = memory_at(m, v->act_dx->in[0]);
}

static void mask_set(struct backward_pass *f, const struct memory *m,
		     const struct bracket_view *v)
{
	f->act = act_pass(v->act_dx);
	f->mask = act_mask(f->act, v->affine[0] != NULL);
	if (v->affine[0]) {
		f->x[0] = memory_at(m, v->affine[0]->in[0]);
		f->a = row_at(m, v->affine[0]->in[1], 0);
		f->b = row_at(m, v->affine[0]->in[1], 1);
	} else {
		f->y = memory_at(m, v->act_dx->in[1]);
	}
}

static int bracket_backward(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bracket_own *own = s->own;
	const struct bracket_view *v = &own->view;
	const struct step *masked = v->act_dx ? v->act_dx : v->add;
	const struct value *like = value_at(m, masked->in[0]);
	struct backward_pass f = { 0 };

	gradients_set(&f, m, v);
	if (v->act_dx)
		mask_set(&f, m, v);
	if (value_stored(m->program, masked->out[0]))
		f.g = memory_at(m, masked->out[0]);
	if (v->bn_dx)
		dx_run(dev, m, like, &f, v->bn_dx, work_at(m, s));
	else if (v->sums[0])
		sums_run(dev, m, like, &f, v->sums, work_at(m, s));
	else
		backward_run(dev, like, &f);
	return 0;
}

static int bracket_gate(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bracket_own *own = s->own;
	const struct bracket_view *v = &own->view;
	const struct pool_attr *a = v->pool_dx->attr;

	mul_run(dev, m, v->mul, memory_at(m, v->pool_dx->in[0]),
		(float)(1 / ((double)a->in_h * a->in_w)), v->add->out[0]);
	return 0;
}

static int bracket_place(struct device *dev, const struct memory *m, const struct step *s)
{
	struct bracket_own *own = s->own;
	int from = (int)(s - m->program->step);
	const struct bracket *row = bracket_find(m->program, from, from + own->steps, &own->view);

	(void)dev;
	assert(row);
	return 0;
}

int bracket_prepare(struct device *dev, struct program *p, int from, int to)
{
	struct step *s = &p->step[from];
	struct bracket_view v;
	const struct value *like;
	struct bracket_own *own;
	int k;

	if (!bracket_find(p, from, to, &v))
		return fail("cpu: steps %d to %d: no such bracket", from, to - 1);
	if (v.conv) {
		for (k = from + 1; k < to; k++)
			TRY(step_choose(&p->step[k], "cpu", "own"));
		return conv_bracket_prepare(dev, p, from, &v);
	}
	if (!alike(dev, p, &v, &like) || bracket_spills(p, &v))
		return fail("cpu: steps %d to %d: no such bracket here", from, to - 1);
	for (k = from; k < to; k++)
		TRY(step_choose(&p->step[k], "cpu", "own"));
	own = own_add(p, s, sizeof *own, v.mul ? bracket_gate :
		      v.act_dx || v.sums[0] ? bracket_backward : bracket_forward);
	if (!own)
		return -1;
	own->own.place = bracket_place;
	own->steps = to - from;
	if (v.bn_dx)
		s->work = dx_work(like);
	else if (v.sums[0])
		s->work = sums_work(like, v.sums[1] ? 2 : 1);
	return 0;
}
