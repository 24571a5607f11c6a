#include "train/average.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/text.h"
#include "data/safetensors.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 15 };       /* numbers summed at a time */

struct source {
	const char *path;
	int fd;
	double weight;
	int64_t step;           /* -1: it does not say */
	uint64_t *place;        /* of each tensor; the first source's where they are the same */
	dev_t dev;
	ino_t ino;
};

struct averaging {
	const struct average *a;
	struct source *source;
	int tensors, newest;
	struct safetensors *base;       /* names and shapes: the first file */
	int *kept;                      /* the base's tensors that are written */
	/* sums of a block, as unevaluated sums of two doubles */
	double high[BLOCK], low[BLOCK], number[BLOCK];
	unsigned char raw[BLOCK * 8];
};

/* ---- the files ---- */

static int64_t step_of(const struct safetensors *f)
{
	const char *text = safetensors_meta(f, "step");
	char *end;
	long long n = text ? strtoll(text, &end, 10) : -1;

	return text && !*end && n >= 0 ? n : -1;
}

static void list_difference(struct text *list, int *count, const char *what, const char *name)
{
	if ((*count)++ < 8)
		text_add(list, "%s%s %s", *count > 1 ? ", " : "", what, name);
}

static int compare(const struct averaging *w, const struct safetensors *f)
{
	struct text list = { 0 };
	int count = 0;

	for (int i = 0; i < w->tensors; i++) {
		const struct tensor *t = safetensors_tensor(w->base, w->kept[i]);
		int k = safetensors_find(f, t->name);

		if (k < 0)
			list_difference(&list, &count, "lacks", t->name);
		else if (!tensor_same(t, safetensors_tensor(f, k)))
			list_difference(&list, &count, "has another shape or type of", t->name);
	}
	for (int k = 0; k < safetensors_count(f); k++) {
		const char *name = safetensors_tensor(f, k)->name;

		if (safetensors_find(w->base, name) < 0 &&
		    !(w->a->weights_only && !strncmp(name, "opt.", 4)))
			list_difference(&list, &count, "has besides", name);
	}
	if (!count)
		return 0;
	char *text = text_take(&list);
	fail("%s: not the tensors of %s: it %s%s", safetensors_path(f), safetensors_path(w->base),
	     text ? text : "", count > 8 ? ", and more" : "");
	free(text);
	return -1;
}

static int keep_places(struct averaging *w, struct source *s, const struct safetensors *f)
{
	const struct source *first = w->source;

	s->place = calloc((size_t)w->tensors + 1, sizeof(*s->place));
	if (!s->place)
		return fail("out of memory");
	for (int i = 0; i < w->tensors; i++) {
		const char *name = safetensors_tensor(w->base, w->kept[i])->name;

		s->place[i] = safetensors_place(f, safetensors_find(f, name));
	}
	if (s != first && !memcmp(s->place, first->place, (size_t)w->tensors * sizeof(*s->place))) {
		free(s->place);
		s->place = first->place;
	}
	return 0;
}

static int refuse_same(struct averaging *w, const struct source *s)
{
	const struct average *a = w->a;
	struct stat st;
	char text[512];

	if (stat(a->output, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		return fail("%s: is an input and the output", a->output);
	for (const struct source *o = w->source; o < s; o++)
		if (o->dev == s->dev && o->ino == s->ino && a->note) {
			snprintf(text, sizeof(text), "%s and %s are the same file: it counts twice",
				 o->path, s->path);
			a->note(text);
		}
	return 0;
}

static int keep_tensors(struct averaging *w)
{
	int n = safetensors_count(w->base);

	w->kept = calloc((size_t)n + 1, sizeof(*w->kept));
	if (!w->kept)
		return fail("out of memory");
	for (int i = 0; i < n; i++)
		if (!w->a->weights_only ||
		    strncmp(safetensors_tensor(w->base, i)->name, "opt.", 4))
			w->kept[w->tensors++] = i;
	return 0;
}

static int open_source(struct averaging *w, int i, int *status)
{
	struct source *s = &w->source[i];
	struct safetensors *f = safetensors_open(w->a->path[i], status);
	struct stat st;
	int r = -1;

	if (!f)
		return -1;
	*status = 3;
	s->path = w->a->path[i];
	s->weight = w->a->weight ? w->a->weight[i] : 1;
	s->step = step_of(f);
	if (!i) {
		w->base = f;
		TRY(keep_tensors(w));
	}
	s->fd = fcntl(safetensors_fd(f), F_DUPFD_CLOEXEC, 3);
	if (s->fd < 0 || fstat(s->fd, &st) < 0) {
		fail_errno("%s", s->path);
		goto out;
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	*status = 2;
	if (refuse_same(w, s) < 0)
		goto out;
	*status = 1;
	if (compare(w, f) < 0)
		goto out;
	*status = 3;
	if (s->step >= w->source[w->newest].step)
		w->newest = i;
	r = keep_places(w, s, f);
out:
	if (i)
		safetensors_close(f);
	return r;
}

/* ---- sums ---- */

/* high + low += x y, with an error of about 2^-105 (Dekker 1971). */
static void add_product(double *high, double *low, double x, double y)
{
	double p = x * y, e = fma(x, y, -p);
	double s = *high + p, b = s - *high;

	*low += (*high - (s - b)) + (p - b) + e;
	*high = s;
}

static int sum_block(struct averaging *w, int tensor, uint64_t from, size_t n, int *status)
{
	const struct tensor *t = safetensors_tensor(w->base, w->kept[tensor]);
	size_t size = tensor_dtype_bytes(t->dtype);
	double weights = 0, rest = 0;

	memset(w->high, 0, sizeof(w->high));
	memset(w->low, 0, sizeof(w->low));
	for (int i = 0; i < w->a->count; i++) {
		const struct source *s = &w->source[i];
		ssize_t got = read_at(s->fd, w->raw, n * size, s->place[tensor] + from * size);

		*status = 3;
		if (got < 0)
			return fail_add("%s", s->path);
		if ((size_t)got < n * size)
			return fail("%s: the file has become shorter", s->path);
		*status = 1;
		TRY(tensor_to_double(t->dtype, w->raw, n, w->number));
		for (size_t k = 0; k < n; k++) {
			if (!isfinite(w->number[k]))
				return fail("%s: tensor %s: number %" PRIu64 " is not finite",
					    s->path,
					    t->name, from + k);
			add_product(&w->high[k], &w->low[k], w->number[k], s->weight);
		}
		add_product(&weights, &rest, s->weight, 1);
	}
	for (size_t k = 0; k < n; k++) {
		double sum = w->high[k] + w->low[k];
		/* One step of Newton's division brings the error below that of a double. */
		double q = sum / (weights + rest);
		double left = fma(-q, weights, w->high[k]) + (w->low[k] - q * rest);

		w->number[k] = q + left / weights;
		if (!isfinite(w->number[k]))
			return fail("tensor %s: the sum of number %" PRIu64 " is beyond a double",
				    t->name, from + k);
	}
	return tensor_from_double(t->dtype, w->number, n, w->raw);
}

static int copy_block(struct averaging *w, int tensor, uint64_t from, size_t bytes)
{
	const struct source *s = &w->source[w->newest];
	ssize_t got = read_at(s->fd, w->raw, bytes, s->place[tensor] + from);

	if (got < 0)
		return fail_add("%s", s->path);
	return (size_t)got < bytes ? fail("%s: the file has become shorter", s->path) : 0;
}

static int write_tensor(struct averaging *w, struct safetensors_writer *out, int tensor,
			int *status)
{
	const struct tensor *t = safetensors_tensor(w->base, w->kept[tensor]);
	size_t size = tensor_dtype_bytes(t->dtype);
	uint64_t numbers = tensor_numbers(t);

	for (uint64_t at = 0; at < numbers; at += BLOCK) {
		size_t n = numbers - at < BLOCK ? (size_t)(numbers - at) : BLOCK;

		*status = 3;
		if (tensor_is_real(t->dtype))
			TRY(sum_block(w, tensor, at, n, status));
		else
			TRY(copy_block(w, tensor, at * size, n * size));
		*status = 3;
		TRY(safetensors_write(out, w->raw, n * size));
	}
	return 0;
}

/* ---- the output ---- */

static int by_step(const void *a, const void *b)
{
	const struct source *x = *(const struct source *const *)a;
	const struct source *y = *(const struct source *const *)b;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	return (x->weight > y->weight) - (x->weight < y->weight);
}

/* The list of what was averaged, in an order that does not depend on the files'. */
static char *averaged(const struct averaging *w)
{
	const struct source **order = calloc((size_t)w->a->count, sizeof(*order));
	json_t *list = json_array();
	char *text;

	for (int i = 0; order && i < w->a->count; i++)
		order[i] = &w->source[i];
	if (order)
		qsort(order, (size_t)w->a->count, sizeof(*order), by_step);
	for (int i = 0; order && i < w->a->count; i++)
		json_array_append_new(list, json_pack("{s:o, s:f}", "step", order[i]->step < 0
			? json_null() : json_integer(order[i]->step), "weight", order[i]->weight));
	text = order ? json_dumps(list, JSON_COMPACT) : NULL;
	json_decref(list);
	free(order);
	if (!text)
		fail("out of memory");
	return text;
}

static struct safetensors_writer *create(struct averaging *w, int *status)
{
	struct safetensors *newest = safetensors_open(w->source[w->newest].path, status);
	struct safetensors_writer *out = NULL;
	struct safetensors_text *meta;
	struct tensor *list;
	char *text = averaged(w);
	int n = 0;

	if (!newest || !text) {
		safetensors_close(newest);
		free(text);
		return NULL;
	}
	*status = 3;
	meta = calloc((size_t)safetensors_metas(newest) + 1, sizeof(*meta));
	list = calloc((size_t)w->tensors + 1, sizeof(*list));
	if (meta && list) {
		for (int i = 0; i < safetensors_metas(newest); i++)
			if (strcmp(safetensors_meta_at(newest, i).key, "averaged"))
				meta[n++] = safetensors_meta_at(newest, i);
		meta[n++] = (struct safetensors_text){ "averaged", text };
		for (int i = 0; i < w->tensors; i++)
			list[i] = *safetensors_tensor(w->base, w->kept[i]);
		out = safetensors_create(w->a->output, list, w->tensors, meta, n);
	} else {
		fail("out of memory");
	}
	free(meta);
	free(list);
	free(text);
	safetensors_close(newest);
	return out;
}

static int copy_whole(struct averaging *w, int *status)
{
	struct newfile out;
	uint64_t at = 0;
	ssize_t n;

	/* Its numbers are looked at as in any other mean. */
	for (int i = 0; i < w->tensors; i++) {
		const struct tensor *t = safetensors_tensor(w->base, w->kept[i]);
		uint64_t numbers = tensor_numbers(t);

		for (uint64_t k = 0; k < numbers && tensor_is_real(t->dtype); k += BLOCK)
			TRY(sum_block(w, i, k, numbers - k < BLOCK ? (size_t)(numbers - k) : BLOCK,
				      status));
	}
	*status = 3;
	TRY(newfile_open(&out, w->a->output));
	while ((n = read_at(w->source[0].fd, w->raw, sizeof(w->raw), at)) > 0 &&
	       write_full(out.fd, w->raw, (size_t)n) == 0)
		at += (uint64_t)n;
	if (!n)
		return newfile_commit(&out);
	newfile_abort(&out);
	return fail_add("%s", n < 0 ? w->source[0].path : w->a->output);
}

static int average(struct averaging *w, int *status)
{
	struct safetensors_writer *out;

	for (int i = 0; i < w->a->count; i++)
		TRY(open_source(w, i, status));
	if (w->a->count == 1 && w->tensors == safetensors_count(w->base))
		return copy_whole(w, status);
	out = create(w, status);
	if (!out)
		return -1;
	for (int i = 0; i < w->tensors; i++)
		if (write_tensor(w, out, i, status) < 0) {
			safetensors_abort(out);
			return -1;
		}
	return safetensors_commit(out);
}

int average_files(const struct average *a, int *status)
{
	struct averaging *w = calloc(1, sizeof(*w));
	int r;

	*status = 3;
	if (!w || !(w->source = calloc((size_t)a->count, sizeof(*w->source)))) {
		free(w);
		return fail("out of memory");
	}
	w->a = a;
	for (int i = 0; i < a->count; i++)
		w->source[i].fd = -1;
	r = average(w, status);
	for (int i = 0; i < a->count; i++) {
		if (w->source[i].fd >= 0)
			close(w->source[i].fd);
		if (i && w->source[i].place != w->source[0].place)
			free(w->source[i].place);
	}
	free(w->source[0].place);
	safetensors_close(w->base);
	free(w->kept);
	free(w->source);
	free(w);
	return r;
}
