/*
 * Part of kernel_body.h: depthwise convolutions, a vector of channels of one plane at a
 * time. Each number read takes part in a few products only, so these run at the speed of
 * memory once sums stay in registers and nothing is worked out twice.
 */

/* Outputs beside one another whose sums are kept in registers. */
enum { DEPTH_TILE = 8, DEPTH_HALF = 4 };

/* Taps of a row that stay in registers at most. */
enum { DEPTH_WHOLE = 7 };

/* Pixels whose products are added up in fp32 before they go to double. */
enum { DEPTH_RUN = 128 };

/* The outputs whose windows lie inside the input: from .. to - 1. */
INLINE void windows_inside(const struct slide *s, int *from, int *to)
{
	int room = s->in + s->before - (s->k - 1) * s->dilation - 1;

	*from = s->before > 0 ? (s->before + s->stride - 1) / s->stride : 0;
	*to = room < 0 ? 0 : room / s->stride + 1;
	*to = *to > s->out ? s->out : *to;
	*from = *from > *to ? *to : *from;
}

/* How many outputs from ox on are taken at once; may go back so that a tile is full. */
INLINE int depth_next(int *ox, int from, int to)
{
	int rest = to - *ox;

	if (*ox < from || rest <= 0)
		return 1;
	if (rest >= DEPTH_TILE)
		return DEPTH_TILE;
	if (to - from < DEPTH_HALF)
		return 1;
	if (rest < DEPTH_HALF)
		*ox = to - DEPTH_HALF;
	return DEPTH_HALF;
}

/* The taps that outputs have: rows of the window, and in each so many, from a pixel and
 * a weight on. */
struct depth_taps { const num *x; const float *w; int rows, across; };

/* Of `tile` outputs from ox on in a row; y0 .. y1: the window's rows inside. */
INLINE struct depth_taps depth_taps_of(const struct depthwise_pass *f, int row, int y0, int y1,
				       int ox, int tile)
{
	const int turn = f->turned ? -1 : 1, whole = f->y.k * f->x.k;
	struct depth_taps t = { .rows = y1 - y0 };
	int x0 = 0, x1 = f->x.k, iy, ix;

	if (tile == 1)
		taps_inside(&f->x, ox, &x0, &x1);
	t.across = x1 - x0;
	if (t.rows <= 0 || t.across <= 0)
		return t;
	iy = row * f->y.stride - f->y.before + y0 * f->y.dilation;
	ix = ox * f->x.stride - f->x.before + x0 * f->x.dilation;
	t.x = (const num *)f->from + pixel_at(iy, f->x.in, ix, f->block);
	t.w = f->w + ((f->turned ? whole - 1 : 0) + turn * (y0 * f->x.k + x0)) * WIDTH;
	return t;
}

/* Strides in numbers: to the pixel on the right, to the row below, from output to output. */
struct depth_steps { size_t right, down, next; };

INLINE struct depth_steps depth_steps_of(const struct depthwise_pass *f)
{
	const size_t block = (size_t)f->block;
	struct depth_steps s = { (size_t)f->x.dilation * block,
				 (size_t)f->y.dilation * (size_t)f->x.in * block,
				 (size_t)f->x.stride * block };

	return s;
}

/* What the tile below will read first. */
INLINE void depth_ahead(const struct depthwise_pass *f, const num *x, const int tile)
{
	for (int r = 0; r < f->y.stride; r++)
		for (int i = 0; i < tile * f->x.stride; i++)
			__builtin_prefetch(x + pixel_at(r, f->x.in, i, f->block));
}

/* A row of k taps (next to each other, stride s) of all outputs of a tile: each number is
 * loaded once. */
INLINE void depth_row_whole(const struct depthwise_pass *f, const num *x, const float *w,
			    ptrdiff_t step, vec *sum, const int tile, const int k, const int s)
{
	vec tap[DEPTH_WHOLE];

	UNROLL
	for (int j = 0; j < k; j++)
		tap[j] = get(w + j * step);
#pragma GCC unroll 32
	for (int i = 0; i < (tile - 1) * s + k; i++) {
		const vec v = load(x + i * f->block);

		UNROLL
		for (int j = 0; j < k; j++)
			if (i >= j && (i - j) % s == 0 && (i - j) / s < tile)
				sum[(i - j) / s] = FMA(tap[j], v, sum[(i - j) / s]);
	}
}

INLINE void depth_tile(const struct depthwise_pass *f, const struct depth_taps *t, num *y,
		       const int tile, const int k, const int s)
{
	const struct depth_steps to = depth_steps_of(f);
	const ptrdiff_t step = f->turned ? -WIDTH : WIDTH;
	const vec start = f->bias ? get(f->bias) : (vec){ 0 };
	const num *x = t->x;
	const float *w = t->w;
	vec sum[DEPTH_TILE];

	for (int i = 0; i < tile; i++)
		sum[i] = start;
	if (tile > 1)
		depth_ahead(f, x + (size_t)t->rows * to.down, tile);
	for (int ky = 0; ky < t->rows; ky++, x += to.down, w += f->x.k * step) {
		if (k && tile > 1) {
			depth_row_whole(f, x, w, step, sum, tile, k, s);
			continue;
		}
		for (int kx = 0; kx < t->across; kx++)
			for (int i = 0; i < tile; i++)
				sum[i] = FMA(get(w + kx * step), load(x + (size_t)kx * to.right +
								      (size_t)i * to.next), sum[i]);
	}
	if (f->act || f->add)
		finish(sum, tile, tile, f->add ? (const num *)f->add + (y - (num *)f->to) : NULL,
		       (size_t)f->block, f->act);
	for (int i = 0; i < tile; i++)
		store_past(y + (size_t)i * (size_t)f->block, sum[i], f->stream);
}

/* k 0: any window and stride. */
INLINE void depth_plane(const struct depthwise_pass *f, const int k, const int s)
{
	int from, to;

	windows_inside(&f->x, &from, &to);
	for (int row = f->row; row < f->end; row++) {
		int y0, y1, tile;

		taps_inside(&f->y, row, &y0, &y1);
		for (int ox = 0; ox < f->x.out; ox += tile) {
			struct depth_taps t;
			num *y;

			tile = depth_next(&ox, from, to);
			t = depth_taps_of(f, row, y0, y1, ox, tile);
			y = (num *)f->to + pixel_at(row, f->x.out, ox, f->block);
			if (tile == DEPTH_TILE)
				depth_tile(f, &t, y, DEPTH_TILE, k, s);
			else if (tile == DEPTH_HALF)
				depth_tile(f, &t, y, DEPTH_HALF, k, s);
			else
				depth_tile(f, &t, y, 1, k, s);
		}
	}
	if (f->stream)
		STREAM_END();
}

/* Which of the bodies below a window takes: those that networks have, or any. */
INLINE int depth_shape(const struct depthwise_pass *f)
{
	const struct slide *x = &f->x;

	if (x->dilation != 1 || x->stride > 2 || (x->k != 3 && x->k != 5 && x->k != 7))
		return 0;
	return x->k * 10 + x->stride;
}

static void depthwise(const struct depthwise_pass *f)
{
	switch (depth_shape(f)) {
	case 31: depth_plane(f, 3, 1); break;
	case 32: depth_plane(f, 3, 2); break;
	case 51: depth_plane(f, 5, 1); break;
	case 52: depth_plane(f, 5, 2); break;
	case 71: depth_plane(f, 7, 1); break;
	case 72: depth_plane(f, 7, 2); break;
	default: depth_plane(f, 0, 0); break;
	}
}

/* Each output is spread over the inputs that it read, a row of them after the other. */
static void depthwise_dx(const struct depthwise_pass *f)
{
	const size_t next = (size_t)f->x.stride * (size_t)f->block;

	for (int row = f->row; row < f->end; row++) {
		num *dx = (num *)f->to + pixel_at(row, f->x.in, 0, f->block);

		for (int ix = 0; ix < f->x.in; ix++)
			store(dx + (size_t)ix * (size_t)f->block, (vec){ 0 });
		for (int tap = 0; tap < f->y.k * f->x.k; tap++) {
			int kx = tap % f->x.k, from, to;
			int oy = row + f->y.before - tap / f->x.k * f->y.dilation;
			const vec weight = get(f->w + tap * WIDTH);
			const num *dy;
			num *at;

			inside(&f->x, kx, &from, &to);
			if (oy < 0 || oy % f->y.stride || oy / f->y.stride >= f->y.out ||
			    from >= to)
				continue;
			dy = (const num *)f->dy + pixel_at(oy / f->y.stride, f->x.out, from,
							   f->block);
			at = dx + pixel_at(0, 0, from * f->x.stride - f->x.before +
					   kx * f->x.dilation, f->block);
			for (int ox = from; ox < to; ox++, at += next, dy += f->block)
				store(at, FMA(weight, load(dy), load(at)));
		}
	}
}

/* As depth_row_whole(), for sums of a row's taps. */
INLINE void depth_dw_whole(const struct depthwise_pass *f, const num *x, const vec *g, float *part,
			   const int tile, const int k, const int s)
{
	vec sum[DEPTH_WHOLE];

	UNROLL
	for (int j = 0; j < k; j++)
		sum[j] = get(part + j * WIDTH);
#pragma GCC unroll 32
	for (int i = 0; i < (tile - 1) * s + k; i++) {
		const vec v = load(x + i * f->block);

		UNROLL
		for (int j = 0; j < k; j++)
			if (i >= j && (i - j) % s == 0 && (i - j) / s < tile)
				sum[j] = FMA(g[(i - j) / s], v, sum[j]);
	}
	UNROLL
	for (int j = 0; j < k; j++)
		set(part + j * WIDTH, sum[j]);
}

/* dy of a tile times what its taps read, added to part: [k0][k1][WIDTH]. */
INLINE void depth_dw_tile(const struct depthwise_pass *f, const struct depth_taps *t,
			  const num *dy, float *part, const int tile, const int k, const int s)
{
	const struct depth_steps to = depth_steps_of(f);
	const num *x = t->x;
	vec g[DEPTH_TILE];

	for (int i = 0; i < tile; i++)
		g[i] = load(dy + (size_t)i * (size_t)f->block);
	for (int ky = 0; ky < t->rows; ky++, x += to.down, part += f->x.k * WIDTH) {
		if (k && tile > 1) {
			depth_dw_whole(f, x, g, part, tile, k, s);
			continue;
		}
		for (int kx = 0; kx < t->across; kx++) {
			vec sum = get(part + kx * WIDTH);

			for (int i = 0; i < tile; i++)
				sum = FMA(g[i], load(x + (size_t)kx * to.right +
						     (size_t)i * to.next), sum);
			set(part + kx * WIDTH, sum);
		}
	}
}

/* The windows' rows of one row of outputs. part: as above. */
INLINE void depth_dw_row(const struct depthwise_pass *f, int row, int from, int to, float *part,
			 const int k, const int s)
{
	int y0, y1, tile;

	taps_inside(&f->y, row, &y0, &y1);
	for (int ox = 0; ox < f->x.out; ox += tile) {
		const num *dy = (const num *)f->dy + pixel_at(row, f->x.out, ox, f->block);
		struct depth_taps t;
		float *at;

		/* nothing twice: what is left of a tile is taken one by one */
		tile = ox < from || to - ox < DEPTH_HALF ? 1 :
		       to - ox < DEPTH_TILE ? DEPTH_HALF : DEPTH_TILE;
		t = depth_taps_of(f, row, y0, y1, ox, tile);
		at = part + (t.w ? t.w - f->w : 0);
		if (tile == DEPTH_TILE)
			depth_dw_tile(f, &t, dy, at, DEPTH_TILE, k, s);
		else if (tile == DEPTH_HALF)
			depth_dw_tile(f, &t, dy, at, DEPTH_HALF, k, s);
		else
			depth_dw_tile(f, &t, dy, at, 1, k, s);
	}
}

INLINE void depth_dw_plane(const struct depthwise_pass *f, const int k, const int s)
{
	const int taps = f->y.k * f->x.k;
	vec part[DEPTH_TAPS];
	int from, to, pixels = 0;

	assert(taps <= DEPTH_TAPS);
	memset(part, 0, (size_t)taps * sizeof *part);
	windows_inside(&f->x, &from, &to);
	for (int row = 0; row < f->y.out; row++) {
		depth_dw_row(f, row, from, to, (float *)part, k, s);
		pixels += f->x.out;
		if (pixels < DEPTH_RUN && row + 1 < f->y.out)
			continue;
		for (int t = 0; t < taps; t++)
			add_wide(f->sum + t * WIDTH, part[t]);
		memset(part, 0, (size_t)taps * sizeof *part);
		pixels = 0;
	}
}

static void depthwise_dw(const struct depthwise_pass *f)
{
	switch (depth_shape(f)) {
	case 31: depth_dw_plane(f, 3, 1); break;
	case 32: depth_dw_plane(f, 3, 2); break;
	case 51: depth_dw_plane(f, 5, 1); break;
	case 52: depth_dw_plane(f, 5, 2); break;
	case 71: depth_dw_plane(f, 7, 1); break;
	case 72: depth_dw_plane(f, 7, 2); break;
	default: depth_dw_plane(f, 0, 0); break;
	}
}
