/* For processors with AVX-512 and its bf16: values stored in half the bytes. */
#ifdef __x86_64__

#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push( \
	__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), \
	apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,prefer-vector-width=512")
#endif

#include "dev/cpu/kernel_avx512.h"

#define BF16
#define SHORTEN(v) ((shorts)_mm512_cvtneps_pbh((__m512)(v)))
#define DOT(a, b, c) ((vec)_mm512_dpbf16_ps((__m512)(c), (__m512bh)(a), (__m512bh)(b)))
#define STREAM_SHORTS(p, v) _mm256_stream_si256((__m256i *)(void *)(p), (__m256i)(v))

#include "dev/cpu/kernel_vector.h"

#include "dev/cpu/kernel_curve.h"
#include "dev/cpu/kernel_norm.h"
#include "dev/cpu/kernel_pool.h"
#include "dev/cpu/kernel_depth.h"
#include "dev/cpu/kernel_wino_tile.h"

/* Lane l: that of both pixels. */
INLINE vec pair_of(const num *low, const num *high)
{
	const __m512i turn = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25,
		9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
	const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)low);
	const __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)high);

	return (vec)_mm512_permutexvar_epi16(turn, _mm512_inserti64x4(_mm512_castsi256_si512(x),
								      y, 1));
}

#include "dev/cpu/kernel_product.h"

static void shorten(const float *x, uint16_t *y, size_t n)
{
	for (size_t i = 0; i < n; i += WIDTH)
		store(y + i, *(const vec_any *)(x + i));
}

static void widen(const uint16_t *x, float *y, size_t n)
{
	for (size_t i = 0; i < n; i += WIDTH)
		*(vec_any *)(y + i) = load(x + i);
}

const struct kernels kernels_avx512_bf16 = {
	.name = "avx512_bf16", .width = WIDTH, .stats = stats, .forward = forward,
	.backward = backward, .total = total, .mul = mul, .maxpool = maxpool,
	.maxpool_dx = maxpool_dx, .avgpool = avgpool, .avgpool_dx = avgpool_dx,
	.depthwise = depthwise, .depthwise_dx = depthwise_dx, .depthwise_dw = depthwise_dw,
	.wino = { { wino_in, wino_dy, wino_out, NULL, NULL } },
	.product = product, .panel = PANEL, .pixels = STEP_PIXELS, .gather = gather,
	.shorten = shorten, .widen = widen
};

#ifdef __clang__
#pragma clang attribute pop
#endif

#else
typedef int no_avx512_bf16;     /* a file is never empty */
#endif
