/*
 * Part of kernel_body.h: Winograd's transforms for 3x3 windows with stride 2, in fp32.
 *
 * On an axis, the outputs of such a window are the sum of two convolutions with stride 1: of
 * the inputs in even places with the first and the last tap, and of those in odd places with
 * the middle tap. The first is F(4, 2) with the points 0, 1, -1, 2 and infinity, its
 * transforms made as Winograd 1980, "Arithmetic complexity of computations", has them; the
 * second takes its four products as they are, all with the same tap. So a tile has 9 points on
 * an axis and the filters 6, of which the last is four points': 81 products in place of 144.
 *
 * With r < 4 outputs it is F(r, 2), of the first r points and infinity, and r products; the
 * filters' points are those of F(4, 2) all the same (kernel_wino_tile.h).
 */

/* The first five points of outputs + 1 numbers: B^T. */
INLINE void wino_two_b(const vec *d, vec *t, int outputs)
{
	switch (outputs) {
	case 4:
		t[0] = 2 * (d[0] - d[2]) + d[3] - d[1];
		t[1] = d[3] - d[2] - 2 * d[1];
		t[2] = 2 * d[1] - 3 * d[2] + d[3];
		t[3] = d[3] - d[1];
		t[4] = 2 * (d[1] - d[3]) + d[4] - d[2];
		break;
	case 3:
		t[0] = 2 * (d[0] - d[2]);
		t[1] = -d[1] - d[2];
		t[2] = 3 * (d[1] - d[2]);
		t[4] = d[3] - d[1];
		break;
	case 2:
		t[0] = 2 * (d[0] - d[1]);
		t[1] = -2 * d[1];
		t[4] = d[2] - d[1];
		break;
	default:
		t[0] = 2 * d[0];
		t[4] = d[1];
	}
}

/* Outputs from the first five points: A^T. */
INLINE void wino_two_at(const vec *m, vec *y, int outputs)
{
	switch (outputs) {
	case 4:
		y[0] = m[0] + m[1] + m[2] + m[3];
		y[1] = m[1] - m[2] + 2 * m[3];
		y[2] = m[1] + m[2] + 4 * m[3];
		y[3] = m[1] - m[2] + 8 * m[3] + m[4];
		break;
	case 3:
		y[0] = m[0] + m[1] + m[2];
		y[1] = m[1] - m[2];
		y[2] = m[1] + m[2] + m[4];
		break;
	case 2:
		y[0] = m[0] + m[1];
		y[1] = m[1] + m[4];
		break;
	default:
		y[0] = m[0] + m[4];
	}
}

/* Gradients of outputs to nine points: A, and themselves. */
INLINE void wino_two_a(const vec *y, vec *t, int outputs)
{
	t[0] = y[0];
	switch (outputs) {
	case 4:
		t[1] = y[0] + y[2] + (y[1] + y[3]);
		t[2] = y[0] + y[2] - (y[1] + y[3]);
		t[3] = y[0] + 2 * y[1] + 4 * y[2] + 8 * y[3];
		t[4] = y[3];
		break;
	case 3:
		t[1] = y[0] + y[1] + y[2];
		t[2] = y[0] - y[1] + y[2];
		t[4] = y[2];
		break;
	case 2:
		t[1] = y[0] + y[1];
		t[4] = y[1];
		break;
	default:
		t[4] = y[0];
	}
	for (int i = 0; i < outputs; i++)
		t[5 + i] = y[i];
}

/* Inputs, 2 outputs + 1 of them, to nine points. */
INLINE void wino_two_d(const vec *d, vec *t, int outputs)
{
	const vec even[5] = { d[0], d[2], d[4], d[6], d[8] };

	wino_two_b(even, t, outputs);
	for (int i = 0; i < outputs; i++)
		t[5 + i] = d[2 * i + 1];
}

/* Nine points to outputs. */
INLINE void wino_two_y(const vec *m, vec *y, int outputs)
{
	wino_two_at(m, y, outputs);
	for (int i = 0; i < outputs; i++)
		y[i] += m[5 + i];
}

/*
 * Gradients of inputs: of each two, one has the middle tap and one the other two, in this
 * order where the padding before is 1, and else in the other; `outputs` is how many twos.
 * They read outputs + 1 numbers, of which the middle tap's are the first, or the last.
 */
INLINE void wino_two_e(const vec *d, vec *t, int outputs)
{
	wino_two_b(d, t, outputs);
	for (int i = 0; i < outputs; i++)
		t[5 + i] = d[i];
}

INLINE void wino_two_e_bare(const vec *d, vec *t, int outputs)
{
	wino_two_b(d, t, outputs);
	for (int i = 0; i < outputs; i++)
		t[5 + i] = d[i + 1];
}

INLINE void wino_two_x(const vec *m, vec *x, int outputs)
{
	vec y[WINO_OUT];

	wino_two_at(m, y, outputs);
	for (int i = 0; i < outputs; i++) {
		x[2 * i] = m[5 + i];
		x[2 * i + 1] = y[i];
	}
}

INLINE void wino_two_x_bare(const vec *m, vec *x, int outputs)
{
	vec y[WINO_OUT];

	wino_two_at(m, y, outputs);
	for (int i = 0; i < outputs; i++) {
		x[2 * i] = y[i];
		x[2 * i + 1] = m[5 + i];
	}
}

#define TILE_IN(name, scale, halo, transform) \
static void name(const struct wino_side *f, const void *sample, const struct wino_tile *at, \
		 float *v) \
{ \
	wino_points(f, sample, at, v, WINO_TWO_AXIS, scale, halo, transform); \
}

#define TILE_OUT(name, scale, transform) \
static void name(const struct wino_side *f, const float *m, const struct wino_after *after, \
		 const struct wino_tile *at, void *sample) \
{ \
	wino_outputs(f, m, after, at, sample, WINO_TWO_AXIS, scale, transform); \
}

TILE_IN(wino_two_in, 2, 1, wino_two_d)
TILE_IN(wino_two_dy, 1, 0, wino_two_a)
TILE_IN(wino_two_dx_in, 1, 1, wino_two_e)
TILE_IN(wino_two_bare_in, 1, 1, wino_two_e_bare)
TILE_OUT(wino_two_out, 1, wino_two_y)
TILE_OUT(wino_two_dx_out, 2, wino_two_x)
TILE_OUT(wino_two_bare_out, 2, wino_two_x_bare)

#undef TILE_IN
#undef TILE_OUT

/* Three weights of a row to six points: G, and the middle tap. */
INLINE void wino_two_g(const vec *g, vec *t)
{
	t[0] = g[0] * 0.5f;
	t[1] = (g[0] + g[2]) * -0.5f;
	t[2] = (g[2] - g[0]) * (1.0f / 6);
	t[3] = g[0] * (1.0f / 6) + g[2] * (1.0f / 3);
	t[4] = g[2];
	t[5] = g[1];
}

/* And their gradients: G^T. */
INLINE void wino_two_gt(const vec *u, vec *g)
{
	g[0] = (u[0] - u[1]) * 0.5f + (u[3] - u[2]) * (1.0f / 6);
	g[1] = u[5];
	g[2] = u[4] - u[1] * 0.5f + u[2] * (1.0f / 6) + u[3] * (1.0f / 3);
}

static void wino_two_weights(const struct wino_filters *f, const float *w, float *u)
{
	filters_points(f, w, u, wino_two_g);
}

static void wino_two_dw(const struct wino_filters *f, const float *u, float *dw)
{
	filters_back(f, u, dw, wino_two_gt);
}
