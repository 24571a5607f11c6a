/* For processors with AVX2 and FMA. */
#ifdef __x86_64__

#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#define WIDTH 8
#define KERNELS kernels_avx2
#define KERNELS_NAME "avx2"
#define FMA(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define STREAM(p, v) _mm256_stream_ps(p, (__m256)(v))
#define STREAM_END() _mm_sfence()
#define ZIP(a, b, half) ((vec)_mm256_permute2f128_ps( \
	_mm256_unpacklo_ps((__m256)(a), (__m256)(b)), \
	_mm256_unpackhi_ps((__m256)(a), (__m256)(b)), half))
#define ZIP_LOW(a, b) ZIP(a, b, 0x20)
#define ZIP_HIGH(a, b) ZIP(a, b, 0x31)
#define PERMUTE(v, i) ((vec)_mm256_permutevar8x32_ps((__m256)(v), (__m256i)(i)))
#define WIDEN(p) ((bits)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
#define NARROW(p, v) (*(bytes *)(p) = __builtin_convertvector(v, bytes))

#include "dev/cpu/kernel_body.h"

#ifdef __clang__
#pragma clang attribute pop
#endif

#else
typedef int no_avx2;    /* a file is never empty */
#endif
