/* Part of kernel_body.h: statistics, and the passes over whole values. */

/* Sums of differences from the first pixel, so that a large mean takes no digits of
 * the variance. */
static void stats(const void *from, size_t pixels, int block, double *part)
{
	const num *x = from;

	for (int k = 0; k < block; k += WIDTH) {
		const num *p = x + k;
		vec origin = load(p);
		double sum[WIDTH] = { 0 }, square[WIDTH] = { 0 };

		for (size_t done = 0; done < pixels; ) {
			size_t run = pixels - done < RUN ? pixels - done : RUN, i;
			vec s0 = { 0 }, s1 = { 0 }, q0 = { 0 }, q1 = { 0 };

			for (i = 0; i + 2 <= run; i += 2) {
				vec d0 = load(p) - origin, d1 = load(p + block) - origin;

				s0 += d0;
				q0 = FMA(d0, d0, q0);
				s1 += d1;
				q1 = FMA(d1, d1, q1);
				p += 2 * block;
			}
			if (i < run) {
				vec d = load(p) - origin;

				s0 += d;
				q0 = FMA(d, d, q0);
				p += block;
			}
			add_wide(sum, s0 + s1);
			add_wide(square, q0 + q1);
			done += run;
		}
		for (int l = 0; l < WIDTH; l++) {
			part[k + l] = (double)origin[l] + sum[l] / (double)pixels;
			part[block + k + l] = square[l] - sum[l] * sum[l] / (double)pixels;
		}
	}
}

static void total(const void *x, const void *y, size_t pixels, int block, double *part)
{
	for (int k = 0; k < block; k += WIDTH) {
		const num *p = (const num *)x + k, *q = y ? (const num *)y + k : NULL;

		memset(part + k, 0, WIDTH * sizeof *part);
		for (size_t done = 0; done < pixels; ) {
			size_t run = pixels - done < RUN ? pixels - done : RUN, i;
			vec s = { 0 };

			for (i = 0; i < run && q; i++, p += block, q += block)
				s = FMA(load(p), load(q), s);
			for (; i < run; i++, p += block)
				s += load(p);
			add_wide(part + k, s);
			done += run;
		}
	}
}

/* ---- the forward pass ---- */

INLINE void forward_as(const struct forward_pass *f, size_t at, int c, size_t pixels,
		       const int xs, const int affines, const int act, const int stream)
{
	const int block = f->block;

	for (int k = 0; k < block; k += WIDTH) {
		const num *x0 = (const num *)f->x[0] + at + k;
		const num *x1 = xs > 1 ? (const num *)f->x[1] + at + k : NULL;
		vec a0 = { 0 }, b0 = { 0 }, a1 = { 0 }, b1 = { 0 };
		const bits live = lanes_live(c + k, f->channels);
		num *y = (num *)f->y + at + k;

		if (affines > 0) {
			a0 = get(f->a[0] + c + k);
			b0 = get(f->b[0] + c + k);
		}
		if (affines > 1) {
			a1 = get(f->a[1] + c + k);
			b1 = get(f->b[1] + c + k);
		}
		for (size_t i = 0, o = 0; i < pixels; i++, o += (size_t)block) {
			vec v = load(x0 + o);

			if (affines > 0)
				v = FMA(a0, v, b0);
			if (affines > 1)
				v += FMA(a1, load(x1 + o), b1);
			else if (xs > 1)
				v += load(x1 + o);
			if (xs > 2)
				for (int j = 2; j < f->xs; j++)
					v += load((const num *)f->x[j] + at + k + o);
			v = act == CPU_CURVED ? keep(curve_of(v, f->act), live) : act_of(v, act);
			store_past(y + o, v, stream);
		}
	}
}

INLINE void forward_act(const struct forward_pass *f, size_t at, int c, size_t pixels,
			const int xs, const int affines, const int stream)
{
	if (f->act >= CPU_CURVED)
		forward_as(f, at, c, pixels, xs, affines, CPU_CURVED, stream);
	else if (f->act == CPU_RELU)
		forward_as(f, at, c, pixels, xs, affines, CPU_RELU, stream);
	else if (f->act == CPU_RELU6)
		forward_as(f, at, c, pixels, xs, affines, CPU_RELU6, stream);
	else
		forward_as(f, at, c, pixels, xs, affines, CPU_NONE, stream);
}

INLINE void forward_to(const struct forward_pass *f, size_t at, int c, size_t pixels,
		       const int stream)
{
	if (f->xs == 1 && f->affines)
		forward_act(f, at, c, pixels, 1, 1, stream);
	else if (f->xs == 1)
		forward_act(f, at, c, pixels, 1, 0, stream);
	else if (f->xs == 2 && f->affines == 2)
		forward_act(f, at, c, pixels, 2, 2, stream);
	else if (f->xs == 2 && f->affines == 1)
		forward_act(f, at, c, pixels, 2, 1, stream);
	else if (f->xs == 2)
		forward_act(f, at, c, pixels, 2, 0, stream);
	else
		forward_act(f, at, c, pixels, 3, 0, stream);
}

static void forward(const struct forward_pass *f, size_t at, int c, size_t pixels)
{
	assert(f->affines == 0 || f->xs <= 2);
	if (f->stream) {
		forward_to(f, at, c, pixels, 1);
		STREAM_END();
	} else {
		forward_to(f, at, c, pixels, 0);
	}
}

/* ---- the backward pass ---- */

struct of_channels { vec a, b, mean[2], scale, shift, slope; };

INLINE struct of_channels channels_get(const struct backward_pass *f, int c, const int mask,
				       const int sums, const int dx)
{
	struct of_channels v = { 0 };

	if (mask >= MASK_RELU_AGAIN) {
		v.a = get(f->a + c);
		v.b = get(f->b + c);
	}
	for (int s = 0; s < sums || (dx && s < 1); s++)
		v.mean[s] = get(f->mean[s] + c);
	if (dx) {
		v.scale = get(f->scale + c);
		v.shift = get(f->shift + c);
		v.slope = get(f->slope + c);
	}
	return v;
}

INLINE vec masked(vec g, vec y, const int mask, int act)
{
	if (mask == MASK_CURVED_AGAIN && !reads_x(act))
		y = curve_of(y, act);
	if (mask == MASK_CURVED || mask == MASK_CURVED_AGAIN)
		return g * slope_of(y, act);
	if (mask == MASK_RELU || mask == MASK_RELU_AGAIN)
		return keep(g, y > 0);
	return keep(g, (y > 0) & (y < 6));
}

INLINE void backward_as(const struct backward_pass *f, size_t at, int c, size_t pixels,
			double *part, const int dys, const int mask, const int sums,
			const int store, const int dx, const int stream)
{
	const int block = f->block;

	for (int k = 0; k < block; k += WIDTH) {
		const struct of_channels v = channels_get(f, c + k, mask, sums, dx);
		size_t o = at + (size_t)k;

		for (int s = 0; sums && s <= sums; s++)
			memset(part + s * block + k, 0, WIDTH * sizeof *part);
		for (size_t done = 0; done < pixels; ) {
			size_t run = pixels - done < RUN ? pixels - done : RUN;
			vec sum = { 0 }, product0 = { 0 }, product1 = { 0 };

			for (size_t i = 0; i < run; i++, o += (size_t)block) {
				vec g = load((const num *)f->dy[0] + o), x0 = { 0 };

				if (dys > 1)
					g += load((const num *)f->dy[1] + o);
				if (dys > 2)
					for (int j = 2; j < f->dys; j++)
						g += load((const num *)f->dy[j] + o);
				if (sums || dx || mask >= MASK_RELU_AGAIN)
					x0 = load((const num *)f->x[0] + o);
				if (mask >= MASK_RELU_AGAIN)
					g = masked(g, FMA(v.a, x0, v.b), mask, f->act);
				else if (mask)
					g = masked(g, load((const num *)f->y + o), mask, f->act);
				if (store)
					store_past((num *)f->g + o, g, stream);
				if (sums) {
					sum += g;
					product0 = FMA(g, x0 - v.mean[0], product0);
				}
				if (sums > 1)
					product1 = FMA(g, load((const num *)f->x[1] + o)
						       - v.mean[1], product1);
				if (dx)
					store_past((num *)f->dx + o, v.scale * ((g - v.shift) -
						 (x0 - v.mean[0]) * v.slope), stream);
			}
			if (sums) {
				add_wide(part + k, sum);
				add_wide(part + block + k, product0);
			}
			if (sums > 1)
				add_wide(part + 2 * block + k, product1);
			done += run;
		}
	}
}

INLINE void backward_out(const struct backward_pass *f, size_t at, int c, size_t pixels,
			 double *part, const int dys, const int mask, const int stream)
{
	if (dys == 1 && f->dx)
		backward_as(f, at, c, pixels, part, 1, mask, 0, 0, 1, stream);
	else if (f->sums == 2 && f->g)
		backward_as(f, at, c, pixels, part, dys, mask, 2, 1, 0, stream);
	else if (f->sums == 2)
		backward_as(f, at, c, pixels, part, dys, mask, 2, 0, 0, stream);
	else if (f->sums && f->g)
		backward_as(f, at, c, pixels, part, dys, mask, 1, 1, 0, stream);
	else if (f->sums)
		backward_as(f, at, c, pixels, part, dys, mask, 1, 0, 0, stream);
	else
		backward_as(f, at, c, pixels, part, dys, mask, 0, 1, 0, stream);
}

INLINE void backward_mask(const struct backward_pass *f, size_t at, int c, size_t pixels,
			  double *part, const int dys, const int stream)
{
	if (f->mask == MASK_RELU)
		backward_out(f, at, c, pixels, part, dys, MASK_RELU, stream);
	else if (f->mask == MASK_RELU6)
		backward_out(f, at, c, pixels, part, dys, MASK_RELU6, stream);
	else if (f->mask == MASK_CURVED)
		backward_out(f, at, c, pixels, part, dys, MASK_CURVED, stream);
	else if (dys == 1 && f->mask == MASK_CURVED_AGAIN)
		backward_out(f, at, c, pixels, part, 1, MASK_CURVED_AGAIN, stream);
	else if (dys == 1 && f->mask == MASK_RELU_AGAIN)
		backward_out(f, at, c, pixels, part, 1, MASK_RELU_AGAIN, stream);
	else if (dys == 1 && f->mask == MASK_RELU6_AGAIN)
		backward_out(f, at, c, pixels, part, 1, MASK_RELU6_AGAIN, stream);
	else
		backward_out(f, at, c, pixels, part, dys, MASK_NONE, stream);
}

INLINE void backward_to(const struct backward_pass *f, size_t at, int c, size_t pixels,
			double *part, const int stream)
{
	if (f->dys == 1)
		backward_mask(f, at, c, pixels, part, 1, stream);
	else if (f->dys == 2)
		backward_mask(f, at, c, pixels, part, 2, stream);
	else
		backward_mask(f, at, c, pixels, part, 3, stream);
}

static void backward(const struct backward_pass *f, size_t at, int c, size_t pixels,
		     double *part)
{
	assert(f->dys == 1 || (!f->dx && f->mask < MASK_RELU_AGAIN));
	assert(!f->dx || (!f->sums && !f->g));
	assert(f->dx || f->sums || f->g);
	if (f->stream) {
		backward_to(f, at, c, pixels, part, 1);
		STREAM_END();
	} else {
		backward_to(f, at, c, pixels, part, 0);
	}
}

INLINE void mul_as(const struct mul_pass *f, size_t pixels, const int plus, const int stream)
{
	const size_t block = (size_t)f->block;

	for (size_t k = 0; k < block; k += WIDTH) {
		const num *x = (const num *)f->x + k, *g = (const num *)f->g + k;
		num *y = (num *)f->y + k;
		vec more = { 0 };

		if (plus)
			more = load((const num *)f->plus + k) * f->share;
		for (size_t i = 0; i < pixels; i++, x += block, y += block) {
			vec v = load(x) * load(f->spread ? g : g + i * block);

			if (plus)
				v += more;
			store_past(y, v, stream);
		}
	}
}

static void mul(const struct mul_pass *f, size_t pixels)
{
	if (f->plus && f->stream)
		mul_as(f, pixels, 1, 1);
	else if (f->plus)
		mul_as(f, pixels, 1, 0);
	else if (f->stream)
		mul_as(f, pixels, 0, 1);
	else
		mul_as(f, pixels, 0, 0);
	if (f->stream)
		STREAM_END();
}
