/* For processors with AVX-512 F, BW, DQ and VL. */
#ifdef __x86_64__

#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push( \
	__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
	apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#endif

#define WIDTH 16
#define KERNELS kernels_avx512
#define KERNELS_NAME "avx512"
#define FMA(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define STREAM(p, v) _mm512_stream_ps(p, (__m512)(v))
#define STREAM_END() _mm_sfence()
#define PERMUTE(v, i) ((vec)_mm512_permutexvar_ps((__m512i)(i), (__m512)(v)))
#define WIDEN(p) ((bits)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define NARROW(p, v) _mm_storeu_si128((__m128i *)(p), _mm512_cvtepi32_epi8((__m512i)(v)))

#define NEAREST(x) ((vec)_mm512_roundscale_ps((__m512)(x), _MM_FROUND_TO_NEAREST_INT))
#define SCALE(x, n) ((vec)_mm512_scalef_ps((__m512)(x), (__m512)(n)))
#define INVERSE(x) ((vec)inverse((__m512)(x)))

/* What the processor knows to 14 bits, and a step of Newton's. */
static inline __attribute__((always_inline)) __m512 inverse(__m512 x)
{
	const __m512 r = _mm512_rcp14_ps(x);

	return _mm512_fmadd_ps(_mm512_fnmadd_ps(x, r, _mm512_set1_ps(1)), r, r);
}

#include "dev/cpu/kernel_body.h"

#ifdef __clang__
#pragma clang attribute pop
#endif

#else
typedef int no_avx512;  /* a file is never empty */
#endif
