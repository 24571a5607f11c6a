/* Gradients of weights by Winograd's transforms: shares of the tiles for blocks of both
 * sides' channels (winograd.c). */
#include "dev/cpu/winograd.h"

/* Filters first .. last - 1 of the input's channels, a vector of the output's. */
static void filters_back(const struct wino_job *j, size_t first, size_t last, size_t vector)
{
	const struct wino_own *own = j->own;
	size_t width = (size_t)j->dev->k->width, k = vector * width, left = (size_t)j->to->c - k;
	struct wino_filters f = { .next = 9, .points = side_row(j->dev, &own->to),
				  .lane = own->inner * 9, .point = own->sum_point,
				  .shares = (int)own->shares, .share = own->sum };

	if (last > own->inner)
		last = own->inner;
	if (k >= (size_t)j->to->c || first >= last)
		return;
	f.count = (int)(last - first);
	f.lanes = (int)(left < width ? left : width);
	j->dev->k->wino[own->way].dw(&f, j->sums + first * f.points + k,
				     j->dw + k * f.lane + first * 9);
}

/* The products of a run whose points are v and w, added to a share's; tiles
 * first .. last - 1 come next. */
static void products_add(const struct wino_job *j, const struct block *b, const struct run *run,
			 int begin, const float *v, const float *w, size_t first, size_t last)
{
	const struct wino_own *own = j->own;
	size_t width = (size_t)j->dev->k->width, to = side_row(j->dev, &own->to);
	size_t c = b->vector[0] * width, channels = side_row(j->dev, &b->side[0]), t;
	float *sum = j->sums + b->share * own->sum + c * to + b->vector[1] * width;
	struct product_pass f = { .a_row = 1, .a_inner = channels,
				  .b_inner = side_row(j->dev, &b->side[1]), .c_row = to,
				  .vectors = b->side[1].vectors };
	struct near near;

	f.rows = own->inner - c < channels ? own->inner - c : channels;
	near.count = 0;
	wino_near(j, 0, &b->side[0], b->vector[0], first, last, own->run, &near);
	wino_near(j, 1, &b->side[1], b->vector[1], first, last, own->run, &near);
	for (int p = 0; p < own->points; p++) {
		int filter = wino_filter(own->axis, p);

		/* the filters' last points are several of the tiles' */
		f.add = !begin || p / own->axis >= WINO_AXIS || p % own->axis >= WINO_AXIS;
		f.inner = wino_run_have(own, run, p, &t);
		f.a = v + (size_t)p * own->from.point + t * f.a_inner;
		f.b = w + (size_t)p * own->to.point + t * f.b_inner;
		f.c = sum + (size_t)filter * own->sum_point;
		near_part(&near, (size_t)p, (size_t)own->points, &f);
		j->dev->k->product(&f);
	}
}

static void dw_piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	const struct wino_own *own = j->own;
	const struct block b = wino_block_of(own, i);
	size_t start = b.share * own->share, end = start + own->share, first, last, t;
	size_t row[2] = { side_row(j->dev, &b.side[0]), side_row(j->dev, &b.side[1]) };
	float *v = j->work + (size_t)thread_of() * own->scratch;
	float *w = v + (size_t)own->points * own->from.point;
	struct run run;

	if (end > own->count)
		end = own->count;
	for (first = start; first < end; first = last) {
		last = end - first < own->run ? end : first + own->run;
		wino_run_make(own, first, last, &run);
		for (t = 0; t < last - first; t++) {
			const struct tile *at = &run.tile[t];

			wino_tile_in(j, &b.side[0], b.vector[0], at, v + t * row[0]);
			j->k->dy(&b.side[1], sample_at(j, j->to, j->y, at->n, b.vector[1]),
				 &at->at, w + t * row[1]);
		}
		products_add(j, &b, &run, first == start, v, w, last,
			     end - last < own->run ? end : last + own->run);
	}
	/* of the only share: while they are near */
	for (t = 0; own->shares == 1 && t < (size_t)b.side[1].vectors; t++) {
		size_t c = b.vector[0] * (size_t)j->dev->k->width;

		filters_back(j, c, c + row[0], b.vector[1] + t);
	}
}

static void back_piece(void *context, size_t i)
{
	const struct wino_job *j = context;
	size_t vectors = (size_t)j->own->to.vectors, c = i / vectors * WINO_CHANNELS;

	filters_back(j, c, c + WINO_CHANNELS, i % vectors);
}

int wino_dw_run(struct device *dev, const struct memory *m, const struct step *s)
{
	struct wino_job j = wino_job_of(dev, m, s, s->in[0], s->in[1]);

	j.sums = j.work + (size_t)dev->threads * j.own->scratch;
	j.dw = memory_at(m, s->out[0]);
	each(dev, j.own->shares * j.own->blocks[0] * j.own->blocks[1], dw_piece, &j);
	if (j.own->shares > 1)
		each(dev, wino_channel_pieces((size_t)j.own->to.vectors, j.own->inner), back_piece,
		     &j);
	return 0;
}
