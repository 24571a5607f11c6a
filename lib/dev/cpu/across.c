/* Normalisations over the channels of a pixel. */
#include "dev/cpu/cpu.h"

#include "base/bytes.h"

#include <string.h>

enum { RUN_NUMBERS = 1 << 14 };         /* of a piece: x stays in a cache for the next walk */

/* Pieces are runs of pixels of one sample, by its shape alone. */
struct runs { size_t pixels, each, count; };

static struct runs runs_of(const struct value *v)
{
	struct runs r = { (size_t)v->h * (size_t)v->w, RUN_NUMBERS / (size_t)v->lay.pad, 0 };

	r.each = r.each < 8 ? 8 : r.each > ACROSS_RUN ? ACROSS_RUN : r.each;
	r.count = (r.pixels + r.each - 1) / r.each;
	return r;
}

struct job {
	struct device *dev;
	const struct memory *m;
	const struct step *s;
	const struct value *v;          /* x */
	struct runs runs;
	struct across_pass pass;
	size_t room;                    /* numbers of each piece in the workspace */
	void *work;
};

static struct job job_of(struct device *dev, const struct memory *m, const struct step *s,
			 int x)
{
	struct job j = { dev, m, s, value_at(m, x), { 0 }, { 0 }, 0, work_at(m, s) };

	j.runs = runs_of(j.v);
	j.pass.x = memory_at(m, x);
	j.pass.y = memory_at(m, s->out[0]);
	j.pass.block = j.v->lay.block;
	j.pass.channels = j.v->c;
	j.pass.pad = j.v->lay.pad;
	j.pass.plane = j.runs.pixels * (size_t)j.pass.block;
	return j;
}

/* First number and pixels of a piece. */
static size_t piece_of(const struct job *j, size_t i, int *pixels)
{
	size_t n = i / j->runs.count, from = i % j->runs.count * j->runs.each;
	size_t left = j->runs.pixels - from;

	*pixels = (int)(left < j->runs.each ? left : j->runs.each);
	return n * (size_t)j->v->lay.pad * j->runs.pixels + from * (size_t)j->pass.block;
}

static void run_all(struct job *j, each_work *work)
{
	each(j->dev, (size_t)j->v->n * j->runs.count, work, j);
}

/* ---- layer norm ---- */

static void layernorm_piece(void *context, size_t i)
{
	const struct job *j = context;
	int pixels;
	size_t at = piece_of(j, i, &pixels);

	j->dev->k->layernorm(&j->pass, at, pixels);
}

int cpu_layernorm(struct device *dev, const struct memory *m, const struct step *s)
{
	struct job j = job_of(dev, m, s, s->in[0]);

	j.pass.gain = memory_at(m, s->in[1]);
	j.pass.bias = memory_at(m, s->in[2]);
	j.pass.eps = ((const struct layernorm_attr *)s->attr)->eps;
	run_all(&j, layernorm_piece);
	return 0;
}

/* Channels as vectors have them. */
static size_t lanes_of(const struct value *v)
{
	return round_up((size_t)v->c, 16);
}

static void layernorm_dx_piece(void *context, size_t i)
{
	const struct job *j = context;
	int pixels;
	size_t at = piece_of(j, i, &pixels);

	j->dev->k->layernorm_dx(&j->pass, at, pixels, (double *)j->work + i * j->room);
}

static void params_join(void *context, size_t c)
{
	const struct job *j = context;
	size_t pieces = (size_t)j->v->n * j->runs.count, i;
	size_t lanes = (size_t)j->v->lay.pad;
	float *dgain = memory_at(j->m, j->s->out[1]), *dbias = memory_at(j->m, j->s->out[2]);
	double sum = 0, product = 0;

	for (i = 0; i < pieces; i++) {
		const double *part = (double *)j->work + i * j->room;

		sum += part[c];
		product += part[lanes + c];
	}
	if (dgain)
		dgain[c] = (float)product;
	if (dbias)
		dbias[c] = (float)sum;
}

int cpu_layernorm_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	struct job j = job_of(dev, m, s, s->in[1]);

	j.pass.dy = memory_at(m, s->in[0]);
	j.pass.gain = memory_at(m, s->in[2]);
	j.pass.eps = ((const struct layernorm_attr *)s->attr)->eps;
	j.room = 2 * lanes_of(j.v);
	run_all(&j, layernorm_dx_piece);
	each(dev, (size_t)j.v->c, params_join, &j);
	return 0;
}

/* ---- local response normalisation ---- */

/* A row of channels with n numbers before and behind that stay zero. */
static size_t row_room(const struct value *v, const struct lrn_attr *a)
{
	return lanes_of(v) + 2 * round_up((size_t)a->n, 16);
}

static void lrn_piece(void *context, size_t i)
{
	const struct job *j = context;
	struct across_pass pass = j->pass;
	size_t before = round_up((size_t)pass.n, 16);
	float *row = (float *)j->work + i * 2 * j->room;
	int pixels;
	size_t at = piece_of(j, i, &pixels);

	memset(row, 0, 2 * j->room * sizeof *row);
	pass.row = row + before;
	pass.other = row + j->room + before;
	if (pass.dy)
		j->dev->k->lrn_dx(&pass, at, pixels);
	else
		j->dev->k->lrn(&pass, at, pixels);
}

static int lrn_run(struct device *dev, const struct memory *m, const struct step *s, int x,
		   const float *dy)
{
	const struct lrn_attr *a = s->attr;
	struct job j = job_of(dev, m, s, x);

	j.pass.dy = dy;
	j.pass.n = a->n;
	j.pass.alpha = (float)a->alpha;
	j.pass.beta = (float)a->beta;
	j.pass.k = (float)a->k;
	j.room = row_room(j.v, a);
	run_all(&j, lrn_piece);
	return 0;
}

int cpu_lrn(struct device *dev, const struct memory *m, const struct step *s)
{
	return lrn_run(dev, m, s, s->in[0], NULL);
}

int cpu_lrn_dx(struct device *dev, const struct memory *m, const struct step *s)
{
	return lrn_run(dev, m, s, s->in[1], memory_at(m, s->in[0]));
}

int across_prepare(struct device *dev, struct program *p, int step)
{
	struct step *s = &p->step[step];
	const struct value *v = &p->value[s->in[0]];
	size_t pieces = (size_t)v->n * runs_of(v).count;

	(void)dev;
	if (s->kind == STEP_LAYERNORM_DX)
		s->work = pieces * 2 * lanes_of(v) * sizeof(double);
	else if (s->kind != STEP_LAYERNORM)
		s->work = pieces * 2 * row_room(v, s->attr) * sizeof(float);
	return step_choose(s, "cpu", "own");
}
