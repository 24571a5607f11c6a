/* Brackets (net/bracket.h): each is one pass, forward or backward. */
#include "net/bracket.h"

#include "base/fail.h"
#include "dev/cuda/conv.h"

#include <assert.h>

struct bracket_own {
	struct own own;
	int steps;
};

/* ---- which ones ---- */

/* All full operands alike, and as kernels walk over them. */
static const struct value *alike(const struct device *dev, const struct program *p,
				 const struct bracket_view *v)
{
	const struct step *member[] = { v->affine[0], v->affine[1], v->add, v->act, v->act_dx,
					v->sums[0], v->sums[1], v->bn_dx, v->mul };
	const struct value *first = NULL;

	for (size_t i = 0; i < sizeof member / sizeof *member; i++) {
		const struct step *s = member[i];
		int full = !s ? 0 : s->kind == STEP_ADD ? s->ins :
			   s->kind == STEP_AFFINE || s->kind == STEP_ACT ||
			   s->kind == STEP_MUL ? 1 : 2;

		for (int k = 0; k < full; k++) {
			const struct value *x = &p->value[s->in[k]];

			if (!first)
				first = x;
			if (x->n != first->n || x->h != first->h || x->w != first->w ||
			    x->c != first->c || x->param >= 0 || !layout_walks(dev, x))
				return NULL;
		}
	}
	return first;
}

/* What follows a convolution is like its result, which nobody else reads. */
static const struct value *conv_like(const struct device *dev, const struct program *p,
				     const struct bracket_view *v)
{
	const struct value *y = &p->value[v->conv->out[0]];
	const struct value *add = v->add ? &p->value[v->add->in[1]] : y;

	if (value_stored(p, v->conv->out[0]) || !layout_walks(dev, y) || !layout_walks(dev, add) ||
	    add->n != y->n || add->h != y->h || add->w != y->w || add->c != y->c)
		return NULL;
	return y;
}

static const struct value *bracket_like(const struct device *dev, const struct program *p,
					int from, int to, struct bracket_view *v)
{
	if (!bracket_find(p, from, to, v) || (v->conv && !bracket_is_epilogue(v)) ||
	    bracket_spills(p, v))
		return NULL;
	if ((v->act && act_code(v->act) == ACT_NONE) ||
	    (v->act_dx && act_code(v->act_dx) == ACT_NONE))
		return NULL;
	return v->conv ? conv_like(dev, p, v) : alike(dev, p, v);
}

double bracket_cost(const struct device *dev, const struct program *p, int from, int to)
{
	struct bracket_view v;
	const struct value *like = bracket_like(dev, p, from, to, &v);
	int passes = 0;

	if (!like)
		return -1;
	/* what is read and written, at what memory gives */
	for (int i = from; i < to; i++) {
		const struct step *s = &p->step[i];

		for (int k = 0; k < s->ins; k++)
			passes += s->in[k] >= 0 && p->value[s->in[k]].bytes == like->bytes &&
				  value_stored(p, s->in[k]);
		passes += s->kind != STEP_BN_SUMS && value_stored(p, s->out[0]);
	}
	return pass_cost(passes * (double)like->bytes);
}

/* ---- forward ---- */

static int bracket_forward(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bracket_own *own = s->own;
	int from = (int)(s - m->program->step), k;
	const struct step *last = s + own->steps - 1;
	struct bracket_view v;
	struct forward_pass f = { 0 };

	bracket_find(m->program, from, from + own->steps, &v);
	for (k = 0; k < 2 && v.affine[k]; k++) {
		f.x[k] = memory_at(m, v.affine[k]->in[0]);
		f.a[k] = row_at(m, v.affine[k]->in[1], 0);
		f.b[k] = row_at(m, v.affine[k]->in[1], 1);
	}
	f.affines = k;
	f.xs = v.add ? v.add->ins : 1;
	for (; k < f.xs; k++)
		f.x[k] = memory_at(m, v.add->in[k]);
	f.act = v.act ? act_code(v.act) : ACT_NONE;
	f.y = memory_at(m, last->out[0]);
	forward_start(dev->stream, span_of(value_of(m, last->out[0])), &f);
	return 0;
}

/* ---- backward ---- */

static void mask_set(struct backward_pass *f, const struct memory *m,
		     const struct bracket_view *v)
{
	f->mask = act_code(v->act_dx);
	if (v->affine[0]) {
		f->again = memory_at(m, v->affine[0]->in[0]);
		f->a = row_at(m, v->affine[0]->in[1], 0);
		f->b = row_at(m, v->affine[0]->in[1], 1);
	} else {
		f->y = memory_at(m, v->act_dx->in[1]);
	}
}

static int bracket_backward(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct bracket_own *own = s->own;
	int from = (int)(s - m->program->step);
	struct backward_pass f = { .dys = 1 };
	const struct step *masked;
	struct bracket_view v;
	struct span span;

	bracket_find(m->program, from, from + own->steps, &v);
	masked = v.act_dx ? v.act_dx : v.add;
	span = span_of(value_of(m, masked->in[0]));
	if (v.add) {
		f.dys = v.add->ins;
		for (int k = 0; k < f.dys; k++)
			f.dy[k] = memory_at(m, v.add->in[k]);
	} else {
		f.dy[0] = memory_at(m, v.act_dx->in[0]);
	}
	if (v.act_dx)
		mask_set(&f, m, &v);
	if (value_stored(m->program, masked->out[0]))
		f.g = memory_at(m, masked->out[0]);
	if (v.bn_dx)
		dx_run(dev, m, span, &f, v.bn_dx);
	else if (v.sums[0])
		sums_run(dev, m, span, &f, v.sums, memory_at(m, s->work_value));
	else
		backward_mask_start(dev->stream, span, &f);
	return 0;
}

static int bracket_gate(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct step *mul = s, *pool_dx = s + 1, *add = s + 2;
	const struct value *x = value_of(m, mul->in[0]);

	gate_start(dev->stream, span_of(x), memory_at(m, mul->in[0]), memory_at(m, mul->in[1]),
		   memory_at(m, pool_dx->in[0]), (unsigned)x->h * (unsigned)x->w,
		   memory_at(m, add->out[0]));
	return 0;
}

int bracket_prepare(struct device *dev, struct program *p, int from, int to)
{
	struct step *s = &p->step[from];
	struct bracket_view v;
	const struct value *like = bracket_like(dev, p, from, to, &v);
	struct bracket_own *own;

	if (v.conv && !bracket_is_epilogue(&v))
		return fused_prepare(dev, p, from, to, &v);
	if (!like)
		return fail("cuda: steps %d to %d: no such bracket here", from, to - 1);
	if ((int64_t)like->n * like->h * like->w > INT32_MAX)
		return fail("cuda: %s has more than 2^31 pixels", like->name);
	if (v.conv)
		return conv_bracket_prepare(dev, p, from, to, &v);
	for (int k = from; k < to; k++)
		TRY(step_choose(&p->step[k], "cuda", "own"));
	own = own_add(p, s, sizeof *own, v.mul ? bracket_gate :
		      v.act_dx || v.sums[0] ? bracket_backward : bracket_forward);
	if (!own)
		return -1;
	own->steps = to - from;
	if (v.sums[0])
		s->work = sums_bytes(span_of(like), v.sums[1] ? 3 : 2);
	return 0;
}
