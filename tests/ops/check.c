#include "ops/small.h"

#include "base/fail.h"
#include "dev/host.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The backend meant by a name, and which of its devices. */
static const char *other_name(const char *name, const char **which)
{
	static char backend[16];
	const char *device = getenv("OPS_DEVICE");
	size_t n = device ? strcspn(device, ":") : 0;

	if (!n || n >= sizeof backend || strcmp(name, "cpu"))
		return name;
	memcpy(backend, device, n);
	if (which && device[n])
		*which = device + n + 1;
	return backend;
}

int small_brief(const char *name)
{
	static const char *const types[] = { "fp16", "bf16", "tf32" };
	const char *which = NULL;

	other_name(name, &which);
	which = which && strrchr(which, ':') ? strrchr(which, ':') + 1 : which;
	for (size_t i = 0; which && i < sizeof types / sizeof *types; i++)
		if (!strcmp(which, types[i]))
			return 1;
	return 0;
}

int small_backend(const char *name)
{
	char self[PATH_MAX], folder[PATH_MAX];
	const char *bin = getenv("BIN");
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	/* build*'s own bin, or the tree's */
	if (!bin && n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		snprintf(folder, sizeof folder, "%.*s/../bin", PATH_MAX - 16, self);
		if (access(folder, F_OK))
			snprintf(folder, sizeof folder, "%.*s/../../bin", PATH_MAX - 16, self);
		bin = folder;
	}
	if (bin)
		setenv("MILLRACE_PLUGINS", bin, 0);
	return backend_find(other_name(name, NULL)) != NULL;
}

struct device *small_open(const char *name, int threads, const struct backend **backend)
{
	const char *which = NULL;

	*backend = backend_find(other_name(name, &which));
	return *backend ? (*backend)->open(which, threads) : NULL;
}

static int wrong(const struct small *s, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int wrong(const struct small *s, const char *where, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "# %s: %s: ", s->name, where);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return 1;
}

static int is_result(const struct small_value *v)
{
	return v->role != SMALL_IN && v->role != SMALL_MID && v->role != SMALL_HOST;
}

static double largest(const float *x, size_t n)
{
	double most = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (fabs(x[i]) > most)
			most = fabs(x[i]);
	return most;
}

/* The difference of two results as a share of the reference's largest number; NaN in
 * the same place is equal. */
static double apart(const float *x, const float *want, size_t n, size_t *at)
{
	double most = largest(want, n), worst = 0;
	size_t i;

	*at = 0;
	for (i = 0; i < n; i++) {
		double d = fabs((double)x[i] - want[i]);

		if (x[i] == want[i] || (isnan(x[i]) && isnan(want[i])))
			continue;
		d = most > 0 && isfinite(d) ? d / most : INFINITY;
		if (d > worst) {
			worst = d;
			*at = i;
		}
	}
	return worst;
}

/* Whether a step of the program that may have made the value is a Winograd kernel. */
static int by_winograd(const struct program *p, int value)
{
	int i, k;

	for (i = 0; i < p->steps; i++)
		for (k = 0; k < p->step[i].outs; k++)
			if (p->step[i].out[k] == value && strstr(p->step[i].how, "wino"))
				return 1;
	return 0;
}

static int compare(struct small *s, const struct program *p, float *const *want,
		   struct small_tolerance most, const char *where)
{
	int k, bad = 0;

	for (k = 0; k < s->values; k++) {
		const struct small_value *v = &s->value[k];
		double allowed = by_winograd(p, v->value) ? most.winograd : most.all, error;
		size_t at;

		if (!is_result(v))
			continue;
		error = apart(v->got, want[k], v->numbers, &at);
		if (error > allowed)
			bad += wrong(s, where, "value %d at %zu of %zu: %.9g, not %.9g: "
				     "%.2g > %.2g", k, at, v->numbers, v->got[at], want[k][at],
				     error, allowed);
	}
	return bad;
}

/* The length of the difference, as a share of the reference's. */
static double length_apart(const float *x, const float *want, size_t n)
{
	double difference = 0, length = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		double d = (double)x[i] - want[i];

		if (isnan(x[i]) && isnan(want[i]))
			continue;
		difference += d * d;
		length += (double)want[i] * want[i];
	}
	return difference > 0 ? sqrt(difference / length) : 0;
}

static int compare_brief(struct small *s, float *const *want, double most, const char *where)
{
	int k, bad = 0;

	for (k = 0; k < s->values; k++) {
		const struct small_value *v = &s->value[k];
		double error;

		if (!is_result(v))
			continue;
		error = length_apart(v->got, want[k], v->numbers);
		if (!(error <= most))
			bad += wrong(s, where, "value %d: %.2g > %.2g", k, error, most);
	}
	return bad;
}

/* *brackets: those of the program. */
static int against(struct small *s, const struct small_setup *setup, float *const *want,
		   struct small_tolerance most, int *brackets)
{
	struct bound *b = small_bind(s, setup);
	char where[160];
	int bad = 0;

	snprintf(where, sizeof where, "%s, %s, %s, without %s", setup->backend,
		 setup->precision == DTYPE_BF16 ? "bf16" :
		 small_brief(setup->backend) ? "its type" : "fp32",
		 small_layout_name[setup->layout], setup->without ? setup->without : "nothing");
	if (!b && setup->precision == DTYPE_BF16 && strstr(fail_why(), "bf16: "))
		return 0;
	if (!b)
		return wrong(s, where, "%s", fail_why());
	*brackets = bound_program(b)->brackets;
	if (bound_run(b))
		bad = wrong(s, where, "%s", fail_why());
	else if (setup->precision == DTYPE_BF16 || small_brief(setup->backend))
		bad = compare_brief(s, want, most.brief, where);
	else
		bad = compare(s, bound_program(b), want, most, where);
	if (!bad && bound_padding(b))
		bad = wrong(s, where, "%s", fail_why());
	bound_free(b);
	return bad;
}

/* ref's results, each to be freed. */
static int reference(struct small *s, float **want)
{
	struct small_setup setup = { "ref", SMALL_NHWC, "all", 0, 0 };
	struct bound *b = small_bind(s, &setup);
	int k;

	memset(want, 0, SMALL_VALUES * sizeof *want);
	if (!b || bound_run(b)) {
		bound_free(b);
		return wrong(s, "ref", "%s", fail_why());
	}
	for (k = 0; k < s->values; k++) {
		want[k] = malloc(s->value[k].numbers * sizeof(float));
		assert(want[k]);
		memcpy(want[k], s->value[k].got, s->value[k].numbers * sizeof(float));
	}
	bound_free(b);
	return 0;
}

/* What is given, as bf16 has it: activations, and weights of convolutions. */
static void round_given(struct small *s)
{
	int k;
	size_t i;

	for (k = 0; k < s->values; k++) {
		const struct small_value *v = &s->value[k];

		if (v->role != SMALL_IN && !(v->role == SMALL_MASTER && v->shape.n > 1 &&
					     v->shape.c * v->shape.h * v->shape.w > 1))
			continue;
		for (i = 0; i < v->numbers; i++)
			v->given[i] = bf16_to(bf16_from(v->given[i]));
	}
}

static int brief_against_ref(struct small *s, const char *backend, struct small_tolerance most)
{
	static const char *const without[] = { NULL, "recompute", "all" };
	static const enum small_layout layout[] = { SMALL_NHWC, SMALL_BLOCK16 };
	float *want[SMALL_VALUES];
	int i, k, brackets, bad;

	round_given(s);
	bad = reference(s, want);
	for (i = 0; !bad && i < 2; i++)
		for (k = 0; k < 3; k++) {
			struct small_setup setup = { backend, layout[i], without[k], 0,
						     small_brief(backend) ? 0 : DTYPE_BF16 };

			bad += against(s, &setup, want, most, &brackets);
		}
	for (k = 0; k < s->values; k++)
		free(want[k]);
	return bad;
}

int small_against_ref(struct small *s, const char *backend, struct small_tolerance most)
{
	static const char *const without[] = { NULL, "recompute", "recompute,gradient", "all" };
	float *want[SMALL_VALUES];
	int layout, k, brackets, bad;

	if (small_brief(backend))
		return most.brief > 0 ? brief_against_ref(s, backend, most) : 0;
	bad = reference(s, want);
	for (layout = 0; !bad && layout < SMALL_LAYOUTS; layout++) {
		brackets = 1;
		/* where nothing is rewritten, once will do */
		for (k = 0; k < 4 && brackets; k++) {
			struct small_setup setup = { backend, layout, without[k], 0, 0 };

			brackets = 0;
			bad += against(s, &setup, want, most, &brackets);
		}
	}
	for (k = 0; k < s->values; k++)
		free(want[k]);
	if (!bad && most.brief > 0)
		bad = brief_against_ref(s, backend, most);
	return bad;
}

static double weighted(const struct small_value *v, const float *weight)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < v->numbers; i++)
		sum += (weight ? weight[i] : 1.0) * v->got[i];
	return sum;
}

int small_differences(struct small *s, int value, int gradient, int result, const float *weight,
		      double step, double tolerance)
{
	struct small_setup setup = { "ref", SMALL_NHWC, "all", 0, 0 };
	struct bound *b = small_bind(s, &setup);
	struct small_value *v = &s->value[value], *g = &s->value[gradient];
	size_t i, stride = (v->numbers + 47) / 48;
	float *claimed;
	double most;
	int bad = 0;

	if (!b || bound_run(b)) {
		bound_free(b);
		return wrong(s, "ref", "%s", fail_why());
	}
	assert(v->numbers == g->numbers);
	claimed = malloc(g->numbers * sizeof *claimed);
	assert(claimed);
	memcpy(claimed, g->got, g->numbers * sizeof *claimed);
	most = largest(claimed, g->numbers);
	for (i = 0; i < v->numbers && !bad; i += stride) {
		float was = v->given[i];
		double up, down, slope, width;

		v->given[i] = (float)(was + step);
		width = v->given[i];
		bad = bound_run(b);
		up = weighted(&s->value[result], weight);
		v->given[i] = (float)(was - step);
		width -= v->given[i];
		bad |= bound_run(b);
		down = weighted(&s->value[result], weight);
		v->given[i] = was;
		slope = (up - down) / width;
		if (bad || !(fabs(slope - claimed[i]) <= tolerance * most))
			bad = wrong(s, "finite differences", "value %d at %zu: %.9g, not %.9g",
				    gradient, i, claimed[i], slope);
	}
	free(claimed);
	bound_free(b);
	return bad;
}
