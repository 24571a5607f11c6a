/* Winograd's outputs and gradients of inputs: by runs of tiles, or of few tiles by panels
 * (winograd.c). */
#include "dev/cpu/winograd.h"

#include <string.h>

/* ---- by runs ---- */

/* A run's outputs of a side, from a vector of channels on. */
static void run_out(const struct wino_job *j, const struct wino_side *side, size_t vector,
		    const struct run *run, const float *m)
{
	size_t row = side_row(j->dev, side);

	for (size_t t = 0; t < run->first[KINDS]; t++) {
		const struct tile *at = &run->tile[t];
		struct wino_after after = j->after;

		if (after.add)
			after.add = sample_at(j, j->to, after.add, at->n, vector);
		if (after.bias)
			after.bias += vector * (size_t)j->dev->k->width;
		after.last = t + 1 == run->first[KINDS];
		j->k->out(side, m + t * row, &after, &at->at,
			  sample_at(j, j->to, j->y, at->n, vector));
	}
}

static void piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct wino_own *own = j->own;
	size_t first = i * own->run, last = first + own->run, next = last + own->run, t;
	size_t from = side_row(j->dev, &own->from), to = side_row(j->dev, &own->to);
	float *v = j->work + (size_t)thread_of() * own->scratch;
	float *m = v + (size_t)own->points * own->from.point;
	struct product_pass f = { .a_row = from, .a_inner = 1, .c_row = to,
				  .inner = own->inner, .vectors = own->to.vectors };
	struct near near;
	struct run run;

	last = last < own->count ? last : own->count;
	next = next < own->count ? next : own->count;
	wino_run_make(own, first, last, &run);
	for (t = 0; t < run.first[KINDS]; t++)
		wino_tile_in(j, &own->from, 0, &run.tile[t], v + t * from);
	near.count = 0;
	wino_near(j, 0, &own->from, 0, last, next, own->inner, &near);
	for (int p = 0; p < own->points; p++) {
		f.rows = wino_run_have(own, &run, p, &t);
		f.a = v + (size_t)p * own->from.point + t * from;
		f.b = j->w + (size_t)wino_filter(own->axis, p) * own->inner * to;
		f.c = m + (size_t)p * own->to.point + t * to;
		near_part(&near, (size_t)p, (size_t)own->points, &f);
		j->dev->k->product(&f);
	}
	run_out(j, &own->to, 0, &run, m);
}

/* ---- of few tiles, by panels ---- */

/* The group's points of a block of the channels that are read. */
static void spread_piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct block b = wino_block_of(j->own, i * j->own->blocks[1]);
	size_t row = side_row(j->dev, &b.side[0]), t;
	float *v = j->spread + i * (size_t)j->own->points * j->own->from.point;

	for (t = 0; t < j->group->first[KINDS]; t++)
		wino_tile_in(j, &b.side[0], b.vector[0], &j->group->tile[t], v + t * row);
}

/* The points u of a block's filters, which are `count` of each vector: in panels. */
static void filters_make(const struct wino_job *j, const struct block *b, size_t count, float *u)
{
	size_t width = (size_t)j->dev->k->width, at = b->vector[0] * width;
	size_t vectors = (size_t)b->side[1].vectors;

	for (size_t k = 0; k < vectors; k++) {
		size_t vector = b->vector[1] + k, cols;
		float *to = u + panel_at(j->dev, k, vectors, count, &cols) * width;
		struct wino_filters f = wino_filters_of(j->dev, &j->own->pack, vector, at, count);

		f.points = cols * width;
		f.point = j->own->filter_point;
		j->dev->k->wino[j->own->way].weights(&f, j->w + vector * width * f.lane +
						     at * f.next, to);
	}
}

/*
 * A block's products, added to the sums m; v: the group's points, u: room for the filters'.
 * Meanwhile the next block's filters are asked for, as a function of its own could not.
 */
static void block_add(const struct wino_job *j, const struct block *b, const float *v, float *u,
		      float *m)
{
	const struct wino_own *own = j->own;
	size_t width = (size_t)j->dev->k->width, at = b->vector[0] * width, left = own->inner - at;
	size_t row = side_row(j->dev, &b->side[0]), inner = left < row ? left : row, t;
	size_t points = (size_t)own->points;
	struct product_pass f = { .a_row = row, .a_inner = 1, .inner = inner,
				  .c_row = side_row(j->dev, &b->side[1]),
				  .vectors = b->side[1].vectors, .add = at > 0 };
	int forward = own->pack.direction == DNN_FORWARD;
	size_t rows = forward ? f.c_row : row, some = (forward ? row : f.c_row) * 9;
	size_t from = at + row, to = b->vector[1] * width, next = (size_t)own->pack.conv.in_c * 9;
	const float *w = j->w + (forward ? to : from) * next + (forward ? from : to) * 9;

	filters_make(j, b, inner, u);
	for (size_t p = 0; p < points; p++) {
		f.rows = wino_run_have(own, j->group, (int)p, &t);
		f.a = v + p * own->from.point + t * row;
		f.b = u + (size_t)wino_filter(own->axis, (int)p) * own->filter_point;
		f.c = m + p * own->to.point + t * f.c_row;
		j->dev->k->product(&f);
		if (left <= row)
			continue;
		for (size_t r = rows * p / points; r < rows * (p + 1) / points; r++)
			for (size_t n = 0; n < some; n += 64 / sizeof *w)
				__builtin_prefetch(w + r * next + n);
	}
}

/* The group's outputs of a panel. */
static void panel_piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct wino_own *own = j->own;
	float *u = j->work + (size_t)thread_of() * own->scratch;
	float *m = u + WINO_POINTS * own->filter_point;
	struct block b;

	for (size_t n = 0; n < own->blocks[0]; n++) {
		b = wino_block_of(own, n * own->blocks[1] + i);
		block_add(j, &b, j->spread + n * (size_t)own->points * own->from.point, u, m);
	}
	run_out(j, &b.side[1], b.vector[1], j->group, m);
}

static void groups_run(const struct wino_job *all)
{
	const struct wino_own *own = all->own;
	struct wino_job j = *all;
	struct run group;

	j.group = &group;
	for (size_t first = 0; first < own->count; first += own->run) {
		size_t left = own->count - first;

		wino_run_make(own, first, first + (left < own->run ? left : own->run), &group);
		each(j.dev, own->blocks[0], spread_piece, &j);
		each(j.dev, own->blocks[1], panel_piece, &j);
	}
}

/* ---- both ---- */

int wino_out_run(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct wino_own *own = s->own;
	const struct epilogue *after = &own->after;
	struct wino_job j = wino_job_of(dev, m, s, s->in[0], after->y);
	const float *bias = s->kind == STEP_CONV ? memory_at(m, step_in(s, 2)) : NULL;
	float *shared = j.work + (size_t)dev->threads * own->scratch;

	j.w = memory_at(m, s->in[1]);
	if (own->packed) {
		wino_pack(dev, &own->pack, j.w, shared);
		j.w = shared;
	}
	j.after = (struct wino_after){ .add = memory_at(m, after->add), .act = after->act,
				       .stream = value_streams(j.to) };
	if (bias) {
		float *padded = shared + own->packed + own->spread;

		memset(padded, 0, (size_t)j.to->lay.pad * sizeof *padded);
		memcpy(padded, bias, (size_t)j.to->c * sizeof *padded);
		j.after.bias = padded;
	}
	j.spread = shared;
	if (own->spread)
		groups_run(&j);
	else
		each(dev, (own->count + own->run - 1) / own->run, piece, &j);
	return 0;
}
