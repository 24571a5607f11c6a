/*
 * Layouts: NHWC with channels padded to 8, in the device's type, for all that steps walk
 * over. cuDNN's fused engines exist only so, and a thread of the own kernels takes 8
 * channels.
 */
#include "dev/cuda/cuda.h"

#include "base/fail.h"

enum { CHANNELS = 8 };

static struct layout full(const struct device *dev, int c)
{
	int pad = (c + CHANNELS - 1) / CHANNELS * CHANNELS;

	return (struct layout){ pad, pad, dev->type };
}

int layout_walks(const struct device *dev, const struct value *v)
{
	struct layout l = full(dev, v->c);

	return v->lay.block == l.block && v->lay.pad == l.pad && v->lay.type == l.type;
}

/* How many operands of a kind, from the first, are full; and whether the first result. */
static const struct { signed char ins, out; } fulls[STEP_KINDS] = {
	[STEP_INPUT] = { 0, 1 },
	[STEP_CONV] = { 1, 1 },
	[STEP_CONV_DX] = { 1, 1 },
	[STEP_CONV_DW] = { 2, 0 },
	[STEP_CHANNEL_SUM] = { 1, 0 },
	[STEP_STATS] = { 1, 0 },
	[STEP_AFFINE] = { 1, 1 },
	[STEP_ACT] = { 1, 1 },
	[STEP_ADD] = { STEP_IN, 1 },
	[STEP_MUL] = { 2, 1 },
	[STEP_CAT] = { STEP_IN, 1 },
	[STEP_SLICE] = { 1, 1 },
	[STEP_PAD] = { 1, 1 },
	[STEP_SHUFFLE] = { 1, 1 },
	[STEP_LAYERNORM] = { 1, 1 },
	[STEP_LRN] = { 1, 1 },
	[STEP_MAXPOOL] = { 1, 1 },
	[STEP_AVGPOOL] = { 1, 1 },
	[STEP_DROPOUT] = { 1, 1 },
	[STEP_XENT] = { 1, 0 },
	[STEP_XENT_DX] = { 0, 1 },
	[STEP_ACT_DX] = { 2, 1 },
	[STEP_BN_SUMS] = { 2, 0 },
	[STEP_BN_DX] = { 2, 1 },
	[STEP_MUL_SUM] = { 2, 1 },
	[STEP_LAYERNORM_DX] = { 2, 1 },
	[STEP_LRN_DX] = { 2, 1 },
	[STEP_MAXPOOL_DX] = { 1, 1 },
	[STEP_AVGPOOL_DX] = { 1, 1 },
};

int cuda_layout(void *arg, const struct program *p, int step, struct layout *in,
		struct layout *out)
{
	const struct device *dev = arg;
	const struct step *s = &p->step[step];
	int k;

	if (p->options.precision == DTYPE_BF16 && dev->type != DTYPE_BF16)
		return fail("cuda: bf16: the device's name says it (cuda:0:bf16)");
	/* gradients of a shared parameter are bare, and so is their sum */
	if (s->kind == STEP_ADD && p->value[s->out[0]].lay.block) {
		for (k = 0; k < s->ins; k++)
			in[k] = out[0];
		return 0;
	}
	for (k = 0; k < s->ins && k < fulls[s->kind].ins; k++)
		/* a master stays as it is */
		if (p->value[s->in[k]].arena != ARENA_PARAM)
			in[k] = full(dev, p->value[s->in[k]].c);
	if (fulls[s->kind].out && s->out[0] >= 0)
		out[0] = full(dev, p->value[s->out[0]].c);
	if (s->kind == STEP_MAXPOOL && step_out(s, 1) >= 0) {
		enum dtype type = out[1].type;

		out[1] = out[0];
		out[1].type = type;
	}
	return 0;
}
