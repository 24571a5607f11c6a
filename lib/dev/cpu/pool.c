/* Pools. A window may hang over the image and its padding: outside is nothing. */
#include "dev/cpu/cpu.h"

#include "base/fail.h"

#include <assert.h>

struct pool_own {
	struct own own;
	struct slide y, x;
	float *share;           /* averages */
};

struct pool_job {
	struct device *dev;
	const struct step *s;
	const struct memory *m;
	const struct pool_own *own;
	void (*kernel)(const struct pool_pass *, int row);
	int rows;
};

static struct slide slide_of(const struct pool_attr *a, int axis)
{
	const struct window *w = &a->window;
	struct slide s = { axis ? a->in_w : a->in_h, axis ? a->out_w : a->out_h, w->k[axis],
			   w->s[axis], w->dilation[axis], w->before[axis] };

	return s;
}

/* Taps of output o that fall between low and high - 1. */
static int taps_within(const struct slide *s, int o, int low, int high)
{
	int k, count = 0;

	for (k = 0; k < s->k; k++) {
		int i = o * s->stride + k * s->dilation - s->before;

		count += i >= low && i < high;
	}
	return count;
}

/* What a window's sum is multiplied by: pixels of the padding count if they are to,
 * never those that hang over it. */
static float window_share(const struct pool_attr *a, const struct pool_own *own, int oy, int ox)
{
	const struct window *w = &a->window;
	int pad = a->count_pad;
	int y = taps_within(&own->y, oy, pad ? -w->before[0] : 0,
			    a->in_h + (pad ? w->after[0] : 0));
	int x = taps_within(&own->x, ox, pad ? -w->before[1] : 0,
			    a->in_w + (pad ? w->after[1] : 0));

	assert(y > 0 && x > 0);
	return (float)(1 / ((double)y * x));
}

static void pool_piece(void *context, size_t i)
{
	const struct pool_job *j = context;
	const struct step *s = j->s;
	const struct value *from = value_at(j->m, s->in[0]), *to = value_at(j->m, s->out[0]);
	size_t plane = i / (size_t)j->rows, block = (size_t)to->lay.block;
	size_t size = dtype_bytes(to->lay.type);
	int max = s->kind == STEP_MAXPOOL || s->kind == STEP_MAXPOOL_DX;
	int place = !max ? -1 : s->kind == STEP_MAXPOOL ? step_out(s, 1) : s->in[1];
	struct pool_pass f = { .y = j->own->y, .x = j->own->x, .block = (int)block };

	f.share = j->own->share;
	f.from = (char *)memory_at(j->m, s->in[0]) +
		 plane * (size_t)from->h * (size_t)from->w * block * size;
	f.to = (char *)memory_at(j->m, s->out[0]) +
	       plane * (size_t)to->h * (size_t)to->w * block * size;
	if (place >= 0) {
		const struct value *v = value_at(j->m, place);
		size_t at = plane * (size_t)v->h * (size_t)v->w * block;

		if (v->lay.type == DTYPE_U8)
			f.place = (uint8_t *)memory_at(j->m, place) + at;
		else
			f.place_wide = (int32_t *)memory_at(j->m, place) + at;
	}
	j->kernel(&f, (int)(i % (size_t)j->rows));
}

static int pool_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *to = value_at(m, s->out[0]);
	struct planes planes = planes_of(to);
	const struct kernels *k = planes_kernels(dev, &planes);
	struct pool_job j = { dev, s, m, s->own, NULL, to->h };

	j.kernel = s->kind == STEP_MAXPOOL ? k->maxpool : s->kind == STEP_MAXPOOL_DX ?
		   k->maxpool_dx : s->kind == STEP_AVGPOOL ? k->avgpool : k->avgpool_dx;
	each(dev, planes.count * (size_t)j.rows, pool_piece, &j);
	return 0;
}

static int shares_make(struct program *p, const struct pool_attr *a, struct pool_own *own)
{
	size_t windows = (size_t)a->out_h * (size_t)a->out_w;
	int i;

	own->share = program_alloc(p, windows * sizeof *own->share);
	if (!own->share)
		return -1;
	for (i = 0; i < a->out_h * a->out_w; i++)
		own->share[i] = window_share(a, own, i / a->out_w, i % a->out_w);
	return 0;
}

int pool_prepare(struct device *dev, struct program *p, int step)
{
	struct step *s = &p->step[step];
	const struct pool_attr *a = s->attr;
	int max = s->kind == STEP_MAXPOOL || s->kind == STEP_MAXPOOL_DX;
	struct pool_own *own;

	(void)dev;
	TRY(step_choose(s, "cpu", "own"));
	own = own_add(p, s, sizeof *own, pool_run);
	if (!own)
		return -1;
	own->y = slide_of(a, 0);
	own->x = slide_of(a, 1);
	return max ? 0 : shares_make(p, a, own);
}
