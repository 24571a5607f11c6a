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

#include "dev/cpu/kernel_avx512.h"

#define KERNELS kernels_avx512
#define KERNELS_NAME "avx512"
#define STREAM(p, v) _mm512_stream_ps(p, (__m512)(v))
#define PERMUTE(v, i) ((vec)_mm512_permutexvar_ps((__m512i)(i), (__m512)(v)))

#include "dev/cpu/kernel_body.h"

#ifdef __clang__
#pragma clang attribute pop
#endif

#else
typedef int no_avx512;  /* a file is never empty */
#endif
