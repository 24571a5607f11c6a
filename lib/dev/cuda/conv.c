/*
 * Convolutions: cuDNN's engine for the shape, or where it has none the own kernels.
 * Weights are packed as KRSC in the device's type, channels padded as those of values;
 * gradients of weights come so (cuDNN has no engine that gives fp32 from short types)
 * and are brought to the arena of gradients behind it.
 *
 * Linear layers are convolutions whose window is all of the input: 1x1 over the pixels'
 * channels one after the other, which is the same memory.
 */
#include "dev/cuda/conv.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "net/bracket.h"

#include <assert.h>

/* Values of the input's and of the output's side. */
static void sides(const struct step *s, int *x, int *y)
{
	*x = s->kind == STEP_CONV_DX ? s->out[0] : s->in[0];
	*y = s->kind == STEP_CONV ? s->out[0] : s->kind == STEP_CONV_DX ? s->in[0] : s->in[1];
}

static int is_product(const struct conv_attr *a)
{
	const struct window *w = &a->window;

	return a->groups == 1 && a->out_h == 1 && a->out_w == 1 && w->k[0] == a->in_h &&
	       w->k[1] == a->in_w && w->dilation[0] == 1 && w->dilation[1] == 1 &&
	       !w->before[0] && !w->before[1];
}

static void shapes_set(const struct device *dev, struct conv_own *o, const struct conv_attr *a,
		       const struct value *x, const struct value *y)
{
	const struct window *w = &a->window;

	o->conv = (struct own_conv){
		.n = x->n, .in_h = a->in_h, .in_w = a->in_w, .in_c = a->in_c,
		.in_pad = x->lay.pad, .out_h = a->out_h, .out_w = a->out_w, .out_c = a->out_c,
		.out_pad = y->lay.pad, .groups = a->groups, .k = { w->k[0], w->k[1] },
		.s = { w->s[0], w->s[1] }, .dilation = { w->dilation[0], w->dilation[1] },
		.before = { w->before[0], w->before[1] },
		.w_in = a->groups == 1 ? x->lay.pad : a->in_c / a->groups, .type = dev->type,
	};
	o->filters = (struct filters){
		.out = a->out_c, .out_pad = y->lay.pad, .in_group = a->in_c / a->groups,
		.w_in = o->conv.w_in, .h = w->k[0], .w = w->k[1], .type = dev->type,
	};
	o->packed = (size_t)y->lay.pad * (size_t)w->k[0] * (size_t)w->k[1] *
		    (size_t)o->conv.w_in * dtype_bytes(dev->type);
}

/* cuDNN's view of it. */
static int graph_set(const struct device *dev, struct conv_own *o, const struct conv_attr *a)
{
	struct dnn_graph *g = &o->graph;
	const struct own_conv *c = &o->conv;
	int depthwise = a->groups == a->in_c && a->groups == a->out_c;

	*g = (struct dnn_graph){
		.kind = o->kind, .type = dev->type, .exact = dev->exact, .n = c->n,
		.in_h = c->in_h, .in_w = c->in_w, .in_c = c->in_pad, .out_h = c->out_h,
		.out_w = c->out_w, .out_c = c->out_pad, .groups = a->groups,
		.window = a->window,
	};
	if (is_product(a)) {
		g->in_c *= c->in_h * c->in_w;
		g->in_h = g->in_w = 1;
		g->window = (struct window){ { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0 }, { 0 } };
		return 1;
	}
	if (depthwise && a->groups > 1)
		g->groups = c->in_pad;
	else if (a->groups > 1 && (a->in_c != c->in_pad || a->out_c != c->out_pad))
		return 0;
	for (int k = 0; k < 2; k++) {
		const struct window *w = &a->window;
		int in = k ? c->in_w : c->in_h, out = k ? c->out_w : c->out_h;
		int over = in + w->before[k] + w->after[k] - w->dilation[k] * (w->k[k] - 1) - 1;

		if (over < 0 || over / w->s[k] + 1 != out)
			return 0;
	}
	return 1;
}

int conv_describe(const struct device *dev, const struct program *p, const struct step *s,
		  struct conv_own *o)
{
	int x, y;

	sides(s, &x, &y);
	o->kind = s->kind == STEP_CONV ? DNN_FORWARD : s->kind == STEP_CONV_DX ? DNN_DX : DNN_DW;
	shapes_set(dev, o, s->attr, &p->value[x], &p->value[y]);
	return graph_set(dev, o, s->attr);
}

/* ---- what is done to sums before they are kept: act(sum + bias + add) ---- */

static struct epilogue epilogue_of(const struct step *s, const struct bracket_view *v)
{
	struct epilogue e = { s->outs ? s->out[0] : -1, -1, ACT_NONE };

	if (v && v->add)
		e.add = v->add->in[1];
	if (v && v->act)
		e.act = act_code(v->act);
	if (v)
		e.y = v->act ? v->act->out[0] : v->add->out[0];
	return e;
}

/* As part of the convolution, in evaluation; 0: a pass of its own. The bias has no numbers
 * for channels of padding. */
static unsigned epilogue_fuse(const struct program *p, const struct step *s,
			      const struct conv_own *o)
{
	static const unsigned act[] = {
		[ACT_RELU] = DNN_RELU, [ACT_RELU6] = DNN_RELU6, [ACT_SWISH] = DNN_SWISH
	};
	const struct epilogue *e = &o->after;

	if (p->options.training || o->kind != DNN_FORWARD || step_in(s, 2) < 0 ||
	    o->conv.out_c != o->conv.out_pad ||
	    (e->act && (e->act >= sizeof act / sizeof *act || !act[e->act])))
		return 0;
	return DNN_PLUS | (e->add >= 0 ? DNN_ADD : 0u) | act[e->act];
}

/* A pass of its own. */
static void epilogue_run(struct device *dev, const struct memory *m, const struct step *s,
			 const struct epilogue *e)
{
	const float *bias = memory_at(m, step_in(s, 2));
	struct forward_pass f = { .xs = 1, .affines = bias != NULL, .act = e->act };

	f.y = memory_at(m, e->y);
	f.x[0] = f.y;
	f.b[0] = bias;
	if (e->add >= 0)
		f.x[f.xs++] = memory_at(m, e->add);
	if (bias || e->add >= 0 || e->act)
		forward_start(dev->stream, span_of(value_of(m, e->y)), &f);
}

static void own_start(struct device *dev, const void *arg, void *const operand[DNN_OPERANDS])
{
	const struct conv_own *o = arg;

	if (o->kind == DNN_FORWARD)
		conv_start(dev->stream, &o->conv, operand[DNN_X], operand[DNN_W], operand[DNN_Y]);
	else if (o->kind == DNN_DX)
		conv_dx_start(dev->stream, &o->conv, operand[DNN_Y], operand[DNN_W],
			      operand[DNN_X]);
	else
		conv_dw_start(dev->stream, &o->conv, operand[DNN_X], operand[DNN_Y],
			      operand[DNN_W]);
}

/* The plan, obeying a how that is there; NULL plan: own kernels, which may be the faster
 * ones where there are groups. What cuDNN does not fuse is done by a pass of its own. */
static int plan_choose(struct device *dev, struct step *s, struct conv_own *o, int shaped)
{
	int status = 0;

	if (shaped && o->graph.fuse)
		status = engine_choose(dev, &o->graph, s->how, NULL, o, &o->plan);
	if (!o->plan)
		o->graph.fuse = 0;
	if (shaped && !o->plan)
		status = engine_choose(dev, &o->graph, s->how,
				       o->conv.groups > 1 ? own_start : NULL, o, &o->plan);
	if (status)
		return fail_add("cuda: %s", step_name(s->kind));
	return step_choose(s, "cuda", o->plan ? dnn_plan_how(o->plan) : "own");
}

/* ---- run ---- */

static void *at_work(const struct memory *m, const struct step *s, size_t offset)
{
	char *work = memory_at(m, s->work_value);

	return work ? work + offset : NULL;
}

static int conv_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct conv_own *o = s->own;
	void *operand[DNN_OPERANDS] = { NULL };
	size_t gradient = o->kind == DNN_DW ? round_up(o->packed, 256) : 0;
	int x, y;

	sides(s, &x, &y);
	if (o->kind == DNN_FORWARD)
		y = o->after.y;
	operand[DNN_X] = memory_at(m, x);
	operand[DNN_Y] = memory_at(m, y);
	if (o->graph.fuse)
		operand[DNN_PLUS_B] = memory_at(m, s->in[2]);
	if (o->graph.fuse & DNN_ADD)
		operand[DNN_ADD_Y] = memory_at(m, o->after.add);
	operand[DNN_W] = o->kind == DNN_DW ? at_work(m, s, 0) : memory_at(m, s->in[1]);
	if (o->plan)
		TRY(dnn_run(dev->dnn, o->plan, operand, at_work(m, s, gradient)));
	else
		own_start(dev, o, operand);
	if (o->kind == DNN_DW)
		unpack_start(dev->stream, o->filters, operand[DNN_W], memory_at(m, s->out[0]));
	if (o->kind == DNN_FORWARD && !o->graph.fuse)
		epilogue_run(dev, m, s, &o->after);
	return 0;
}

static int prepare(struct device *dev, struct program *p, int step, const struct bracket_view *v)
{
	struct step *s = &p->step[step];
	struct conv_own *o = own_add(p, s, sizeof *o, conv_run);
	int shaped;

	if (!o)
		return -1;
	shaped = conv_describe(dev, p, s, o);
	o->after = epilogue_of(s, v);
	o->graph.fuse = epilogue_fuse(p, s, o);
	TRY(plan_choose(dev, s, o, shaped));
	s->work = o->plan ? dnn_plan_work(o->plan) : 0;
	if (o->kind == DNN_DW)
		s->work += round_up(o->packed, 256);
	else
		TRY(program_pack(p, step, 1, dtype_name(dev->type), o->packed, &o->filters,
				 sizeof o->filters));
	return 0;
}

int conv_prepare(struct device *dev, struct program *p, int step)
{
	return prepare(dev, p, step, NULL);
}

int conv_bracket_prepare(struct device *dev, struct program *p, int from, int to,
			 const struct bracket_view *v)
{
	for (int k = from + 1; k < to; k++)
		TRY(step_choose(&p->step[k], "cuda", "own"));
	return prepare(dev, p, from, v);
}

/* ---- pack ---- */

static int pack_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct filters *f = s->attr;

	pack_start(dev->stream, *f, memory_at(m, s->in[0]), memory_at(m, s->out[0]));
	return 0;
}

int pack_prepare(struct device *dev, struct program *p, int step)
{
	struct step *s = &p->step[step];

	(void)dev;
	if (!own_add(p, s, sizeof(struct own), pack_run))
		return -1;
	return step_choose(s, "cuda", "own");
}
