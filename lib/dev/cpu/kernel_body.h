/*
 * The body of struct kernels, compiled once for each instruction set. Before it is
 * included: WIDTH, KERNELS (the table's name), KERNELS_NAME, and
 *     FMA(a, b, c)      a b + c of vectors
 *     STREAM(p, v)      store past the caches, p aligned to a vector
 *     STREAM_END()      makes such stores seen by other threads
 *     ZIP_LOW(a, b)     a[0], b[0], a[1], b[1], ...; ZIP_HIGH: of the upper halves
 *     PERMUTE(v, i)     lane l becomes lane i[l] of v
 *     WIDEN(p)          bytes from p on as integers
 *     NARROW(p, v)      integers 0 .. 255 to bytes from p on
 */
#include "dev/cpu/kernel_vector.h"

#include "dev/cpu/kernel_curve.h"

#include "dev/cpu/kernel_across.h"
#include "dev/cpu/kernel_conv.h"
#include "dev/cpu/kernel_norm.h"
#include "dev/cpu/kernel_pool.h"
#include "dev/cpu/kernel_depth.h"
#include "dev/cpu/kernel_wino.h"
#include "dev/cpu/kernel_wino_two.h"
#include "dev/cpu/kernel_product.h"

INLINE void update_as(const struct update_pass *f, size_t from, size_t to, const int slot,
		      const int nesterov)
{
	for (size_t i = from; i < to; i++) {
		float g = f->g[i] + f->decay * f->w[i];

		if (slot) {
			float v = f->momentum * f->v[i] + g;

			f->v[i] = v;
			g = nesterov ? g + f->momentum * v : v;
		}
		f->w[i] -= f->lr * g;
	}
}

static void update(const struct update_pass *f, size_t from, size_t to)
{
	if (!f->v)
		update_as(f, from, to, 0, 0);
	else if (f->nesterov)
		update_as(f, from, to, 1, 1);
	else
		update_as(f, from, to, 1, 0);
}

static int finite(const float *x, size_t n)
{
	int32_t worst = 0;

	for (size_t i = 0; i < n; i++) {
		int32_t exponent;

		memcpy(&exponent, x + i, sizeof exponent);
		exponent &= 0x7f800000;
		worst = exponent > worst ? exponent : worst;
	}
	return worst < 0x7f800000;
}

/* Chains beside one another, as many as hide the time that one takes. */
static float spin(size_t rounds)
{
	vec sum[KERNEL_SPIN], total = { 0 };
	const vec x = all(0.5f), y = all(1.0f);

	for (int k = 0; k < KERNEL_SPIN; k++)
		sum[k] = all((float)k);
	for (size_t i = 0; i < rounds; i++)
		for (int k = 0; k < KERNEL_SPIN; k++)
			sum[k] = FMA(sum[k], x, y);
	for (int k = 0; k < KERNEL_SPIN; k++)
		total += sum[k];
	return total[0];
}

const struct kernels KERNELS = {
	KERNELS_NAME, WIDTH, stats, forward, backward, total, mul, layernorm, layernorm_dx,
	lrn, lrn_dx, maxpool, maxpool_dx, avgpool, avgpool_dx, direct, direct_dx, direct_dw,
	depthwise, depthwise_dx, depthwise_dw,
	{ { wino_in, wino_dy, wino_out, wino_weights, wino_dw },
	  { wino_two_in, wino_two_dy, wino_two_out, wino_two_weights, wino_two_dw },
	  { wino_two_dx_in, NULL, wino_two_dx_out, wino_two_weights, NULL },
	  { wino_two_bare_in, NULL, wino_two_bare_out, wino_two_weights, NULL } },
	product, PANEL, STEP_PIXELS, gather, update, finite, NULL, NULL, spin
};
