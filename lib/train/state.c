#include "train/state.h"

#include "base/fail.h"
#include "base/text.h"
#include "train/init.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_PREFIX "opt.momentum."

static int has_slot(const struct param *p)
{
	return p->class != PARAM_STATISTIC;
}

static size_t floats_of(const struct graph *g, int slots)
{
	size_t n = 0;

	for (int i = 0; i < g->params; i++)
		n += (size_t)param_numbers(&g->param[i]) *
		     (slots && has_slot(&g->param[i]) ? 2 : 1);
	return n;
}

static void add_tensor(struct state *s, const struct param *p, const char *name, float **at)
{
	struct tensor *t = &s->tensor[s->tensors];

	*t = (struct tensor){ .name = name, .dtype = "F32", .rank = p->rank };
	for (int i = 0; i < p->rank; i++)
		t->dim[i] = (uint64_t)p->dim[i];
	t->bytes = tensor_numbers(t) * sizeof(float);
	s->data[s->tensors++] = *at;
	*at += tensor_numbers(t);
}

int state_make(struct state *s, const struct graph *g, int slots)
{
	size_t most = 2 * (size_t)g->params + 1, text = 1;
	float *at;
	char *name;

	for (int i = 0; i < g->params; i++)
		text += sizeof(SLOT_PREFIX) + strlen(g->param[i].name);
	*s = (struct state){ .graph = g };
	s->tensor = calloc(most, sizeof(*s->tensor));
	s->data = calloc(most, sizeof(*s->data));
	s->slot = calloc(most, sizeof(*s->slot));
	s->memory = calloc(floats_of(g, slots) + 1, sizeof(float));
	s->names = malloc(text);
	if (!s->tensor || !s->data || !s->slot || !s->memory || !s->names) {
		state_release(s);
		return fail("out of memory for %zu numbers", floats_of(g, slots));
	}
	at = s->memory;
	name = s->names;
	for (int i = 0; i < g->params; i++) {
		add_tensor(s, &g->param[i], g->param[i].name, &at);
		s->slot[i] = -1;
	}
	for (int i = 0; slots && i < g->params; i++) {
		if (!has_slot(&g->param[i]))
			continue;
		s->slot[i] = s->tensors;
		strcpy(stpcpy(name, SLOT_PREFIX), g->param[i].name);
		add_tensor(s, &g->param[i], name, &at);
		name += strlen(name) + 1;
	}
	return 0;
}

void state_release(struct state *s)
{
	free(s->tensor);
	free(s->data);
	free(s->slot);
	free(s->memory);
	free(s->names);
	*s = (struct state){ 0 };
}

void state_init(struct state *s, uint64_t seed)
{
	for (int i = 0; i < s->tensors; i++)
		memset(s->data[i], 0, s->tensor[i].bytes);
	for (int i = 0; i < s->graph->params; i++)
		init_param(&s->graph->param[i], seed, s->data[i]);
}

static int read_numbers(const struct safetensors *f, int i, float *out)
{
	enum { PIECE = 8192 };
	const struct tensor *t = safetensors_tensor(f, i);
	size_t size = tensor_dtype_bytes(t->dtype);
	uint64_t n = tensor_numbers(t);
	unsigned char raw[PIECE * 8];
	double number[PIECE];

	for (uint64_t at = 0; at < n; at += PIECE) {
		size_t k = n - at < PIECE ? (size_t)(n - at) : PIECE;

		TRY(safetensors_read(f, i, at * size, raw, k * size));
		TRY(tensor_to_double(t->dtype, raw, k, number));
		for (size_t j = 0; j < k; j++)
			out[at + j] = (float)number[j];
	}
	return 0;
}

static int same_shape(const struct tensor *a, const struct tensor *b)
{
	return a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(a->dim[0]));
}

static int ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && !strcmp(s + n - k, end);
}

/* Names that do not fit, for the message; as many as help. */
struct misfits { struct text text; int count; };

static void misfit(struct misfits *m, const char *what, const char *name)
{
	if (m->count++ < 8)
		text_add(&m->text, "%s%s %s", m->count > 1 ? ", " : "", what, name);
}

static void find_misfits(const struct state *s, const struct safetensors *f, int flags,
			 unsigned char *used, struct misfits *m)
{
	for (int i = 0; i < s->tensors; i++) {
		int is_slot = i >= s->graph->params, k = safetensors_find(f, s->tensor[i].name);

		if (is_slot && !(flags & STATE_SLOTS))
			continue;
		if (k < 0) {
			if (is_slot || !s->graph->param[i].aux || !(flags & STATE_NO_AUX))
				misfit(m, "missing", s->tensor[i].name);
			continue;
		}
		used[k] = 1;
		if (!same_shape(&s->tensor[i], safetensors_tensor(f, k)))
			misfit(m, "another shape:", s->tensor[i].name);
		else if (!tensor_is_real(safetensors_tensor(f, k)->dtype))
			misfit(m, "not of a floating type:", s->tensor[i].name);
	}
	for (int k = 0; k < safetensors_count(f); k++) {
		const char *name = safetensors_tensor(f, k)->name;

		if (!used[k] && strncmp(name, "opt.", 4) && strncmp(name, "ema.", 4) &&
		    !ends_with(name, ".num_batches_tracked"))
			misfit(m, "not in the network:", name);
	}
}

/* An activation may make a number of NaN, so that results would not show it. */
static int check_finite(const struct state *s, int i, const char *path)
{
	size_t n = s->tensor[i].bytes / sizeof(float);

	for (size_t k = 0; k < n; k++)
		if (!isfinite(s->data[i][k]))
			return fail("%s: %s: number %zu of %zu is not finite", path,
				    s->tensor[i].name, k, n);
	return 0;
}

int state_read(struct state *s, const struct safetensors *f, int flags, int *status)
{
	unsigned char *used = calloc((size_t)safetensors_count(f) + 1, 1);
	struct misfits m = { { 0 }, 0 };

	*status = 3;
	if (!used)
		return fail("out of memory");
	find_misfits(s, f, flags, used, &m);
	free(used);
	if (m.count) {
		char *list = text_take(&m.text);

		*status = 1;
		fail("%s: does not fit the network: %s%s", safetensors_path(f), list ? list : "",
		     m.count > 8 ? ", and more" : "");
		free(list);
		return -1;
	}
	for (int i = 0; i < s->tensors; i++) {
		int k = safetensors_find(f, s->tensor[i].name);

		if (k < 0 || (i >= s->graph->params && !(flags & STATE_SLOTS)))
			continue;
		*status = 3;
		TRY(read_numbers(f, k, s->data[i]));
		*status = 1;
		TRY(check_finite(s, i, safetensors_path(f)));
	}
	return 0;
}

int state_write(const struct state *s, const char *path, const json_t *meta)
{
	struct safetensors_text *text = calloc(json_object_size(meta) + 1, sizeof(*text));
	struct safetensors_writer *w;
	const char *key;
	json_t *value;
	int n = 0;

	if (!text)
		return fail("%s: out of memory", path);
	json_object_foreach((json_t *)meta, key, value) {
		assert(json_is_string(value));
		text[n++] = (struct safetensors_text){ key, json_string_value(value) };
	}
	w = safetensors_create(path, s->tensor, s->tensors, text, n);
	free(text);
	if (!w)
		return -1;
	for (int i = 0; i < s->tensors; i++)
		if (safetensors_write(w, s->data[i], s->tensor[i].bytes) < 0) {
			safetensors_abort(w);
			return -1;
		}
	return safetensors_commit(w);
}
