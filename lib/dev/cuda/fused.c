/*
 * Brackets with convolutions (net/bracket.h), each one of cuDNN's fused graphs (dnn.h)
 * between two small kernels of our own: one brings coefficients into the form that the
 * graph takes, the other makes of its sums what the steps say.
 */
#include "dev/cuda/conv.h"

#include "base/bytes.h"
#include "base/fail.h"

/* Vectors over channels in the workspace, for the graph: its type in the first two. */
enum row {
	ROW_A, ROW_B, ROW_SUM, ROW_SQUARE, ROW_INVSTD, ROW_GAIN, ROW_BIAS, ROW_DGAIN, ROW_DBIAS,
	ROW_EQ_DY, ROW_EQ_X, ROW_EQ_B, ROWS
};

struct fused_own {
	struct conv_own conv;
	int steps;
};

/* ---- which ones ---- */

static unsigned fuse_of(const struct bracket_view *v)
{
	return (v->act_dx ? DNN_RELU_SUMS : v->affine[0] ? DNN_PROLOGUE : 0) |
	       (v->add ? DNN_SKIP : 0) | (v->stats ? DNN_STATS : 0);
}

/* Is stored what the graph stores, and no more? */
static int stores(const struct program *p, const struct bracket_view *v)
{
	if ((v->affine[0] && value_stored(p, v->affine[0]->out[0])) ||
	    (v->add && value_stored(p, v->add->out[0])))
		return 0;
	if (v->act && value_stored(p, v->act->out[0]) != (v->add != NULL))
		return 0;
	return value_stored(p, v->conv->out[0]) != (v->act_dx != NULL) &&
	       (!v->act_dx || value_stored(p, v->act_dx->out[0]));
}

/* All full values in the layout of this backend? */
static int walks(const struct device *dev, const struct program *p, const struct bracket_view *v)
{
	int full[] = { v->affine[0] ? v->affine[0]->in[0] : -1, v->add ? v->add->in[1] : -1,
		       v->act_dx ? v->act_dx->out[0] : -1, v->conv->in[0],
		       v->conv->kind == STEP_CONV_DW ? v->conv->in[1] : v->conv->out[0] };

	for (size_t k = 0; k < sizeof full / sizeof *full; k++)
		if (full[k] >= 0 && !layout_walks(dev, &p->value[full[k]]))
			return 0;
	return 1;
}

int fused_describe(const struct device *dev, const struct program *p,
		   const struct bracket_view *v, struct conv_own *o)
{
	const struct step *conv = v->conv;

	if (!conv_describe(dev, p, conv, o) || !stores(p, v) || !walks(dev, p, v))
		return -1;
	/* a linear layer over pixels has other channels than its input */
	if (o->graph.in_c != o->conv.in_pad || (conv->kind == STEP_CONV && step_in(conv, 2) >= 0))
		return -1;
	if ((v->act && act_code(v->act) != ACT_RELU) ||
	    (v->act_dx && act_code(v->act_dx) != ACT_RELU))
		return -1;
	o->graph.fuse = fuse_of(v);
	return 0;
}

/* ---- run ---- */

static size_t row_numbers(const struct conv_own *o)
{
	int most = o->conv.in_pad > o->conv.out_pad ? o->conv.in_pad : o->conv.out_pad;

	return round_up((size_t)most, 64);
}

/* The workspace: rows, the gradient of weights in the graph's type, the plan's own. */
static size_t gradient_at(const struct conv_own *o)
{
	return ROWS * row_numbers(o) * sizeof(float);
}

static size_t plan_at(const struct conv_own *o)
{
	return gradient_at(o) + (o->kind == DNN_DW ? round_up(o->packed, 256) : 0);
}

static void *row_of(const struct conv_own *o, void *work, enum row row)
{
	return (float *)work + row * row_numbers(o);
}

/* relu(a x + b), or relu(a x + b + z), in x's place. */
static void prologue_set(struct device *dev, const struct memory *m, const struct bracket_view *v,
			 const struct conv_own *o, void *work, void **operand)
{
	int ab = v->affine[0]->in[1];
	size_t pad = (size_t)row_pad(m, ab);

	operand[DNN_X] = memory_at(m, v->affine[0]->in[0]);
	operand[DNN_A] = row_of(o, work, ROW_A);
	operand[DNN_B] = (char *)operand[DNN_A] + pad * dtype_bytes(o->graph.type);
	cast_start(dev->stream, row_at(m, ab, 0), operand[DNN_A], o->graph.type, (int)(2 * pad));
	if (!v->add)
		return;
	operand[DNN_Z] = memory_at(m, v->add->in[1]);
	operand[DNN_T] = memory_at(m, v->act->out[0]);
}

static void stats_set(const struct conv_own *o, void *work, void **operand)
{
	operand[DNN_SUM] = row_of(o, work, ROW_SUM);
	operand[DNN_SQUARE] = row_of(o, work, ROW_SQUARE);
}

static void stats_take(struct device *dev, const struct memory *m, const struct bracket_view *v,
		       void **operand)
{
	const struct value *y = value_of(m, v->stats->in[0]);

	stats_of_sums_start(dev->stream, operand[DNN_SUM], operand[DNN_SQUARE], y->c,
			    (double)y->n * y->h * y->w, row_at(m, v->stats->out[0], 0),
			    row_pad(m, v->stats->out[0]));
}

/* The batch norm again, from its statistics and a and b: gain = a deviation, bias =
 * b + a mean. */
static void sums_set(struct device *dev, const struct memory *m, const struct bracket_view *v,
		     const struct conv_own *o, void *work, void **operand)
{
	const struct step *s = v->sums[0];
	const struct bn_attr *bn = s->attr;
	struct norm_rows rows = {
		.m = row_at(m, s->in[2], 0), .m_pad = row_pad(m, s->in[2]), .eps = bn->eps,
		.ab = row_at(m, v->affine[0]->in[1], 0), .ab_pad = row_pad(m, v->affine[0]->in[1]),
		.c = value_of(m, s->in[1])->c, .pad = o->conv.in_pad,
		.invstd = row_of(o, work, ROW_INVSTD), .gain = row_of(o, work, ROW_GAIN),
		.bias = row_of(o, work, ROW_BIAS),
	};

	norm_rows_start(dev->stream, &rows);
	operand[DNN_X] = memory_at(m, v->act_dx->out[0]);
	operand[DNN_BN_X] = memory_at(m, s->in[1]);
	operand[DNN_MEAN] = row_at(m, s->in[2], 0);
	operand[DNN_INVSTD] = rows.invstd;
	operand[DNN_GAIN] = rows.gain;
	operand[DNN_BIAS] = rows.bias;
	for (int k = 0; k <= DNN_EQ_B - DNN_DGAIN; k++)
		operand[DNN_DGAIN + k] = row_of(o, work, ROW_DGAIN + k);
}

static void sums_take(struct device *dev, const struct memory *m, const struct bracket_view *v,
		      void **operand)
{
	const struct step *s = v->sums[0];
	struct sums_out to = { row_at(m, s->out[0], 0), memory_at(m, step_out(s, 1)),
			       memory_at(m, step_out(s, 2)), row_pad(m, s->out[0]) };

	sums_take_start(dev->stream, operand[DNN_DGAIN], operand[DNN_DBIAS],
			value_of(m, s->in[1])->c, to);
}

static int fused_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct fused_own *own = s->own;
	const struct conv_own *o = &own->conv;
	int from = (int)(s - m->program->step);
	void *operand[DNN_OPERANDS] = { NULL };
	char *work = memory_at(m, s->work_value);
	struct bracket_view v;

	bracket_find(m->program, from, from + own->steps, &v);
	operand[DNN_X] = o->kind == DNN_DX ? NULL : memory_at(m, v.conv->in[0]);
	operand[DNN_W] = o->kind == DNN_DW ? work + gradient_at(o) : memory_at(m, v.conv->in[1]);
	operand[DNN_Y] = memory_at(m, o->kind == DNN_FORWARD ? v.conv->out[0] :
				   v.conv->in[o->kind == DNN_DW]);
	if (v.act_dx)
		sums_set(dev, m, &v, o, work, operand);
	else if (v.affine[0])
		prologue_set(dev, m, &v, o, work, operand);
	if (v.stats)
		stats_set(o, work, operand);
	TRY(dnn_run(dev->dnn, o->plan, operand, work + plan_at(o)));
	if (v.stats)
		stats_take(dev, m, &v, operand);
	if (v.act_dx)
		sums_take(dev, m, &v, operand);
	if (o->kind == DNN_DW)
		unpack_start(dev->stream, o->filters, operand[DNN_W], memory_at(m, v.conv->out[0]));
	return 0;
}

int fused_prepare(struct device *dev, struct program *p, int from, int to,
		  const struct bracket_view *v)
{
	struct step *s = &p->step[from];
	struct fused_own *own = own_add(p, s, sizeof *own, fused_run);
	struct conv_own *o;

	if (!own)
		return -1;
	o = &own->conv;
	own->steps = to - from;
	if (fused_describe(dev, p, v, o))
		return fail("cuda: steps %d to %d: no such bracket here", from, to - 1);
	if (engine_choose(dev, &o->graph, s->how, NULL, NULL, &o->plan) || !o->plan)
		return fail_add("cuda: steps %d to %d", from, to - 1);
	for (int k = from; k < to; k++)
		TRY(step_choose(&p->step[k], "cuda", dnn_plan_how(o->plan)));
	s->work = plan_at(o) + dnn_plan_work(o->plan);
	if (o->kind == DNN_DW)
		return 0;
	return program_pack(p, (int)(v->conv - p->step), 1, dtype_name(dev->type), o->packed,
			    &o->filters, sizeof o->filters);
}
