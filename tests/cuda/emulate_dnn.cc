/*
 * dnn.h by plain loops: any graph, in any type, has three engines but those with a dilated
 * window, for which the backend's own kernels are tried so, and those fused ones that cuDNN
 * has for no type: of groups, and a skip before another window than 1x1. All compute the
 * same; the second is the fastest on the clock that events read (where own kernels are
 * tried, they are), the third cannot run. With EMULATED_TIMES=FILE each plan made and each
 * run is a line there.
 */
#include "emulate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

/* what program.h says of windows: its other structs are no C++ */
struct window { int k[2], s[2], dilation[2], before[2], after[2]; };
#define NET_PROGRAM_H
enum { STEP_HOW = 32 };

extern "C" {
#include "base/fail.h"
#include "dev/cuda/dnn.h"

struct dnn { int made; };
struct dnn_plan { struct dnn_graph graph; int engine; struct dnn_plan *next; };
}

static struct dnn library;
static thread_local struct dnn_plan *plans;

/* ---- numbers of any type ---- */

static float get(const void *at, enum dtype type, size_t i)
{
	if (type == DTYPE_F16)
		return __half2float(((const __half *)at)[i]);
	if (type == DTYPE_BF16)
		return __bfloat162float(((const __nv_bfloat16 *)at)[i]);
	return ((const float *)at)[i];
}

static void put(void *at, enum dtype type, size_t i, double x)
{
	if (type == DTYPE_F16)
		((__half *)at)[i] = __float2half_rn((float)x);
	else if (type == DTYPE_BF16)
		((__nv_bfloat16 *)at)[i] = __float2bfloat16_rn((float)x);
	else
		((float *)at)[i] = (float)x;
}

static double rounded(enum dtype type, double x)
{
	float one;

	put(&one, type, 0, x);
	return get(&one, type, 0);
}

/* ---- the loops ---- */

struct convolve {
	const struct dnn_graph *g;
	void *const *at;
	std::vector<double> x, w, y;    /* operands, or sums */
};

static size_t x_numbers(const struct dnn_graph *g)
{
	return (size_t)g->n * (size_t)g->in_h * (size_t)g->in_w * (size_t)g->in_c;
}

static size_t y_numbers(const struct dnn_graph *g)
{
	return (size_t)g->n * (size_t)g->out_h * (size_t)g->out_w * (size_t)g->out_c;
}

static size_t w_numbers(const struct dnn_graph *g)
{
	return (size_t)g->out_c * (size_t)g->window.k[0] * (size_t)g->window.k[1] *
	       (size_t)(g->in_c / g->groups);
}

static std::vector<double> read(const void *at, enum dtype type, size_t n)
{
	std::vector<double> x(n);

	for (size_t i = 0; i < n; i++)
		x[i] = get(at, type, i);
	return x;
}

static void write(void *at, enum dtype type, const std::vector<double> &x)
{
	for (size_t i = 0; i < x.size(); i++)
		put(at, type, i, x[i]);
}

/* One pixel of y, all its taps. */
static void taps(struct convolve *v, int n, int oy, int ox)
{
	const struct dnn_graph *g = v->g;
	const struct window *win = &g->window;
	int in_group = g->in_c / g->groups, out_group = g->out_c / g->groups;

	for (int ky = 0; ky < win->k[0]; ky++)
		for (int kx = 0; kx < win->k[1]; kx++) {
			int iy = oy * win->s[0] + ky - win->before[0];
			int ix = ox * win->s[1] + kx - win->before[1];

			if (iy < 0 || iy >= g->in_h || ix < 0 || ix >= g->in_w)
				continue;
			for (int oc = 0; oc < g->out_c; oc++) {
				double *x = &v->x[(((size_t)n * g->in_h + iy) * g->in_w + ix)
						  * g->in_c + oc / out_group * in_group];
				double *w = &v->w[(((size_t)oc * win->k[0] + ky) * win->k[1] + kx)
						  * in_group];
				double *y = &v->y[(((size_t)n * g->out_h + oy) * g->out_w + ox)
						  * g->out_c + oc];

				for (int c = 0; c < in_group; c++) {
					if (g->kind == DNN_FORWARD)
						*y += x[c] * w[c];
					else if (g->kind == DNN_DX)
						x[c] += *y * w[c];
					else
						w[c] += x[c] * *y;
				}
			}
		}
}

/* relu(a x + b) in x's place, in x's type. */
static void prologue(struct convolve *v)
{
	const struct dnn_graph *g = v->g;

	for (size_t i = 0; i < v->x.size(); i++) {
		size_t c = i % (size_t)g->in_c;
		double x = v->x[i] * get(v->at[DNN_A], g->type, c) + get(v->at[DNN_B], g->type, c);

		if (g->fuse & DNN_SKIP)
			x += get(v->at[DNN_Z], g->type, i);
		v->x[i] = rounded(g->type, x > 0 ? x : 0);
	}
	if (g->fuse & DNN_SKIP)
		write(v->at[DNN_T], g->type, v->x);
}

static void stats(struct convolve *v)
{
	const struct dnn_graph *g = v->g;

	for (int c = 0; c < g->out_c; c++) {
		double sum = 0, square = 0;

		for (size_t i = (size_t)c; i < v->y.size(); i += (size_t)g->out_c) {
			sum += v->y[i];
			square += v->y[i] * v->y[i];
		}
		((float *)v->at[DNN_SUM])[c] = (float)sum;
		((float *)v->at[DNN_SQUARE])[c] = (float)square;
	}
}

static void relu_sums(struct convolve *v)
{
	const struct dnn_graph *g = v->g;
	const float *mean = (const float *)v->at[DNN_MEAN];
	const float *invstd = (const float *)v->at[DNN_INVSTD];
	const float *gain = (const float *)v->at[DNN_GAIN];
	const float *bias = (const float *)v->at[DNN_BIAS];

	for (int c = 0; c < g->in_c; c++) {
		double sum = 0, product = 0;

		for (size_t i = (size_t)c; i < v->x.size(); i += (size_t)g->in_c) {
			double hat = (get(v->at[DNN_BN_X], g->type, i) - mean[c]) * invstd[c];

			if (!(hat * gain[c] + bias[c] > 0))
				v->x[i] = 0;
			sum += v->x[i];
			product += v->x[i] * hat;
		}
		((float *)v->at[DNN_DGAIN])[c] = (float)product;
		((float *)v->at[DNN_DBIAS])[c] = (float)sum;
	}
}

/* act(y + bias + add) in y's place. */
static void epilogue(struct convolve *v)
{
	const struct dnn_graph *g = v->g;

	for (size_t i = 0; i < v->y.size(); i++) {
		double y = v->y[i] + ((const float *)v->at[DNN_PLUS_B])[i % (size_t)g->out_c];

		if (g->fuse & DNN_ADD)
			y += get(v->at[DNN_ADD_Y], g->type, i);
		if (g->fuse & (DNN_RELU | DNN_RELU6))
			y = y > 0 ? y : 0;
		if (g->fuse & DNN_RELU6)
			y = y < 6 ? y : 6;
		if (g->fuse & DNN_SWISH)
			y = y / (1 + exp(-y));
		v->y[i] = y;
	}
}

static void convolve(const struct dnn_graph *g, void *const *at)
{
	struct convolve v = { g, at, {}, {}, {} };

	v.x = g->kind == DNN_DX ? std::vector<double>(x_numbers(g))
				: read(at[DNN_X], g->type, x_numbers(g));
	v.w = g->kind == DNN_DW ? std::vector<double>(w_numbers(g))
				: read(at[DNN_W], g->type, w_numbers(g));
	v.y = g->kind == DNN_FORWARD ? std::vector<double>(y_numbers(g))
				     : read(at[DNN_Y], g->type, y_numbers(g));
	if (g->fuse & DNN_PROLOGUE)
		prologue(&v);
	for (int n = 0; n < g->n; n++)
		for (int oy = 0; oy < g->out_h; oy++)
			for (int ox = 0; ox < g->out_w; ox++)
				taps(&v, n, oy, ox);
	if (g->fuse & DNN_STATS)
		stats(&v);
	if (g->fuse & DNN_RELU_SUMS)
		relu_sums(&v);
	if (g->fuse & DNN_PLUS)
		epilogue(&v);
	if (g->kind == DNN_FORWARD)
		write(at[DNN_Y], g->type, v.y);
	else if (g->kind == DNN_DX)
		write(at[DNN_X], g->type, v.x);
	else
		write(at[DNN_W], g->type, v.w);
}

/* ---- dnn.h ---- */

extern "C" {

const char *dnn_properties(const char *) { return NULL; }
struct dnn *dnn_open(const char *, void *) { return &library; }
const char *dnn_library(struct dnn *) { return "emulated"; }

enum { ENGINES = 3 };

static const struct { const char *how; double ms; } engines[ENGINES] = {
	{ "cudnn emulated", 3 }, { "cudnn faster", 2 }, { "cudnn broken", 1 },
};

/* A line for tests that count. */
static void told(const char *what, const char *how)
{
	const char *path = getenv("EMULATED_TIMES");
	FILE *f = path ? fopen(path, "a") : NULL;

	if (f) {
		fprintf(f, "%s %s\n", what, how);
		fclose(f);
	}
}

size_t dnn_plan_work(const struct dnn_plan *) { return 64; }
const char *dnn_plan_how(const struct dnn_plan *p) { return engines[p->engine].how; }

void dnn_close(struct dnn *)
{
	while (plans) {
		struct dnn_plan *p = plans;

		plans = p->next;
		free(p);
	}
}

static struct dnn_plan *made(const struct dnn_graph *g, int engine, const char *what)
{
	struct dnn_plan *p = (struct dnn_plan *)calloc(1, sizeof *p);

	p->graph = *g;
	p->engine = engine;
	p->next = plans;
	plans = p;
	told(what, dnn_plan_how(p));
	return p;
}

static const struct dnn_plan *known(const struct dnn_graph *g, const char *how)
{
	for (struct dnn_plan *p = plans; p; p = p->next)
		if (!memcmp(&p->graph, g, sizeof *g) && !strcmp(dnn_plan_how(p), how))
			return p;
	return NULL;
}

static int engine_of(const struct dnn_graph *g, const char *how)
{
	int wide = g->window.k[0] > 1 || g->window.k[1] > 1;
	int none = g->window.dilation[0] > 1 || g->window.dilation[1] > 1 ||
		   (g->fuse && g->groups > 1) || (g->fuse & DNN_SKIP && wide);

	if (!none)
		for (int i = 0; i < ENGINES; i++)
			if (!strcmp(*how ? how : engines[0].how, engines[i].how))
				return i;
	return fail("emulated: no engine");
}

const struct dnn_plan *dnn_plan(struct dnn *, const struct dnn_graph *g, const char *how)
{
	int engine = engine_of(g, how);
	const struct dnn_plan *p = engine < 0 ? NULL : known(g, engines[engine].how);

	return p || engine < 0 ? p : made(g, engine, "made");
}

int dnn_plans(struct dnn *, const struct dnn_graph *g, const struct dnn_plan **plan, int most)
{
	int n = engine_of(g, "") < 0 ? -1 : 0;

	while (n >= 0 && n < ENGINES && n < most) {
		plan[n] = made(g, n, "made");
		n++;
	}
	return n;
}

void dnn_plan_drop(struct dnn *, const struct dnn_plan *plan)
{
	for (struct dnn_plan **at = &plans; *at; at = &(*at)->next)
		if (*at == plan) {
			struct dnn_plan *p = *at;

			*at = p->next;
			free(p);
			return;
		}
}

char *dnn_plan_text(struct dnn *, const struct dnn_plan *p)
{
	char *text = NULL;

	return asprintf(&text, "{ \"emulated\": \"%s\" }", dnn_plan_how(p)) < 0 ? NULL : text;
}

const struct dnn_plan *dnn_plan_read(struct dnn *, const struct dnn_graph *g, const char *how,
				     const char *text)
{
	const struct dnn_plan *p = known(g, how);
	char expected[64];
	int engine = engine_of(g, how);

	snprintf(expected, sizeof expected, "{ \"emulated\": \"%s\" }", how);
	if (!p && engine >= 0 && !strcmp(text, expected))
		p = made(g, engine, "read");
	return p;
}

int dnn_run(struct dnn *, const struct dnn_plan *p, void *const operand[DNN_OPERANDS], void *work)
{
	std::vector<void *> at(operand, operand + DNN_OPERANDS);
	const struct dnn_graph g = p->graph;
	double ms = engines[p->engine].ms;

	if (p->engine == 2)
		return fail("emulated: an engine that cannot run");
	told("run", dnn_plan_how(p));
	emulate_do([=] {
		memset(work, 0xff, 64);         /* it may be used */
		emulate_clock += ms;
		convolve(&g, at.data());
	});
	return 0;
}

}
