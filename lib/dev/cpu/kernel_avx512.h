/* What kernel_body.h wants of AVX-512, for values of 4 bytes and of 2. Included after the
 * pragmas that choose the instruction set. */
#define WIDTH 16
#define FMA(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define STREAM_END() _mm_sfence()
#define ZIP_LOW(a, b) ((vec)_mm512_permutex2var_ps((__m512)(a), _mm512_setr_epi32(0, 16, 1, 17, \
	2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), (__m512)(b)))
#define ZIP_HIGH(a, b) ((vec)_mm512_permutex2var_ps((__m512)(a), _mm512_setr_epi32(8, 24, 9, 25, \
	10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), (__m512)(b)))
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
