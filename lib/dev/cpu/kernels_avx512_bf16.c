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

#define WIDTH 16
#define BF16
#define FMA(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define STREAM_END() _mm_sfence()
#define WIDEN(p) ((bits)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define NARROW(p, v) _mm_storeu_si128((__m128i *)(p), _mm512_cvtepi32_epi8((__m512i)(v)))
#define SHORTEN(v) ((shorts)_mm512_cvtneps_pbh((__m512)(v)))
#define STREAM_SHORTS(p, v) _mm256_stream_si256((__m256i *)(void *)(p), (__m256i)(v))

#define NEAREST(x) ((vec)_mm512_roundscale_ps((__m512)(x), _MM_FROUND_TO_NEAREST_INT))
#define SCALE(x, n) ((vec)_mm512_scalef_ps((__m512)(x), (__m512)(n)))
#define INVERSE(x) ((vec)inverse((__m512)(x)))

/* What the processor knows to 14 bits, and a step of Newton's. */
static inline __attribute__((always_inline)) __m512 inverse(__m512 x)
{
	const __m512 r = _mm512_rcp14_ps(x);

	return _mm512_fmadd_ps(_mm512_fnmadd_ps(x, r, _mm512_set1_ps(1)), r, r);
}

#include "dev/cpu/kernel_vector.h"

#include "dev/cpu/kernel_curve.h"
#include "dev/cpu/kernel_norm.h"
#include "dev/cpu/kernel_pool.h"
#include "dev/cpu/kernel_depth.h"
#include "dev/cpu/kernel_wino_tile.h"

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
	.wino_in = wino_in, .wino_dy = wino_dy, .wino_out = wino_out,
	.shorten = shorten, .widen = widen
};

#ifdef __clang__
#pragma clang attribute pop
#endif

#else
typedef int no_avx512_bf16;     /* a file is never empty */
#endif
