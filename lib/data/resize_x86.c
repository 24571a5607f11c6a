#include "data/resize_code.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")))

/* Bytes read past what is meant; scratch rows have them. */
enum { SLACK = 16 };

/* Rows that the AVX-512 body of the first pass does at a time. */
enum { ROWS = 4 };

/* ---- down: one row from a few rows, columns side by side ---- */

static AVX2 inline __m256i sum8(const unsigned char *p, size_t stride,
				const int32_t *k, int taps)
{
	__m256i sum = _mm256_set1_epi32(1 << (RESIZE_BITS - 1));

	for (int t = 0; t < taps; t++, p += stride) {
		__m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));

		sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(v, _mm256_set1_epi32(k[t])));
	}
	return _mm256_srai_epi32(sum, RESIZE_BITS);
}

AVX2 void resize_down_avx2(unsigned char *to, const unsigned char *from, size_t stride,
			   const int32_t *k, int taps, size_t n)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		const unsigned char *p = from + i;
		__m256i a = _mm256_packs_epi32(sum8(p, stride, k, taps),
					       sum8(p + 8, stride, k, taps));
		__m256i b = _mm256_packs_epi32(sum8(p + 16, stride, k, taps),
					       sum8(p + 24, stride, k, taps));
		__m256i bytes = _mm256_packus_epi16(a, b);

		_mm256_storeu_si256((__m256i *)(to + i),
				    _mm256_permutevar8x32_epi32(bytes, order));
	}
	resize_down_plain(to + i, from + i, stride, k, taps, n - i);
}

/* The bytes of a, b, c and d, 16 each, one after the other. */
static AVX512 inline __m512i bytes64(__m512i a, __m512i b, __m512i c, __m512i d)
{
	const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13,
						2, 6, 10, 14, 3, 7, 11, 15);
	__m512i low = _mm512_packs_epi32(_mm512_srai_epi32(a, RESIZE_BITS),
					 _mm512_srai_epi32(b, RESIZE_BITS));
	__m512i high = _mm512_packs_epi32(_mm512_srai_epi32(c, RESIZE_BITS),
					  _mm512_srai_epi32(d, RESIZE_BITS));

	return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
}

AVX512 void resize_down_avx512(unsigned char *to, const unsigned char *from, size_t stride,
			       const int32_t *k, int taps, size_t n)
{
	const __m512i half = _mm512_set1_epi32(1 << (RESIZE_BITS - 1));
	size_t i = 0;

	for (; i + 64 <= n; i += 64) {
		const unsigned char *p = from + i;
		__m512i a = half, b = half, c = half, d = half;

		for (int t = 0; t < taps; t++, p += stride) {
			const __m128i *v = (const __m128i *)p;
			__m512i w = _mm512_set1_epi32(k[t]);

			a = _mm512_add_epi32(a, _mm512_mullo_epi32(w,
				_mm512_cvtepu8_epi32(_mm_loadu_si128(v))));
			b = _mm512_add_epi32(b, _mm512_mullo_epi32(w,
				_mm512_cvtepu8_epi32(_mm_loadu_si128(v + 1))));
			c = _mm512_add_epi32(c, _mm512_mullo_epi32(w,
				_mm512_cvtepu8_epi32(_mm_loadu_si128(v + 2))));
			d = _mm512_add_epi32(d, _mm512_mullo_epi32(w,
				_mm512_cvtepu8_epi32(_mm_loadu_si128(v + 3))));
		}
		_mm512_storeu_si512(to + i, bytes64(a, b, c, d));
	}
	for (; i < n; i += 16) {
		__mmask16 lanes = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
		const unsigned char *p = from + i;
		__m512i a = half;

		for (int t = 0; t < taps; t++, p += stride)
			a = _mm512_add_epi32(a, _mm512_mullo_epi32(_mm512_set1_epi32(k[t]),
				_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, p))));
		_mm_mask_storeu_epi8(to + i, lanes,
				     _mm512_castsi512_si128(bytes64(a, half, half, half)));
	}
}

/*
 * ---- across, AVX2: three channels, two rows side by side in the two lanes ----
 *
 * Two taps at a time: a multiply-add of 16-bit pairs takes pixels t and t + 1 of each
 * channel. A weight of 22 bits is two numbers of 15 and 8 bits. The table holds, for
 * each place and pair, both as 16-bit pairs, then the scratch rows.
 */
static int pairs_of(const struct resize_axis *a)
{
	return (a->most + 1) / 2;
}

size_t resize_across_avx2_table(const struct resize_axis *a, const struct image *from)
{
	size_t scratch = 2 * ((size_t)from->width * 3 + SLACK) +
			 2 * ((size_t)a->count * 3 + SLACK);

	/* The low halves of more taps would not fit the sum. */
	if (from->channels != 3 || a->most > 250)
		return 0;
	return (size_t)a->count * (size_t)pairs_of(a) * 8 + scratch;
}

static void fill_pairs(const struct resize_axis *a, uint32_t *pair)
{
	for (int x = 0; x < a->count; x++)
		for (int t = 0; t < 2 * pairs_of(a); t += 2) {
			const int32_t *k = a->k + (size_t)x * (size_t)a->most + t;
			int32_t k0 = k[0], k1 = t + 1 < a->most ? k[1] : 0;

			*pair++ = (uint32_t)(k0 & 0x7fff) | (uint32_t)(k1 & 0x7fff) << 16;
			*pair++ = (uint32_t)(k0 >> 15 & 0xffff) | (uint32_t)(k1 >> 15) << 16;
		}
}

static AVX2 void two_rows(const struct resize_axis *a, const uint32_t *pair,
			  const unsigned char *row0, const unsigned char *row1,
			  unsigned char *to0, unsigned char *to1)
{
	const __m256i spread = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
	const __m256i gather = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		0, 4, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
	int pairs = pairs_of(a);

	for (int x = 0; x < a->count; x++, to0 += 3, to1 += 3, pair += 2 * pairs) {
		const unsigned char *p0 = row0 + (size_t)a->from[x] * 3;
		const unsigned char *p1 = row1 + (size_t)a->from[x] * 3;
		__m256i low = _mm256_set1_epi32(1 << (RESIZE_BITS - 1));
		__m256i high = _mm256_setzero_si256();
		uint32_t bytes;

		for (int t = 0; 2 * t < a->taps[x]; t++, p0 += 6, p1 += 6) {
			__m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(
				_mm_loadl_epi64((const __m128i *)p0)),
				_mm_loadl_epi64((const __m128i *)p1), 1);

			v = _mm256_shuffle_epi8(v, spread);
			low = _mm256_add_epi32(low, _mm256_madd_epi16(v,
				_mm256_set1_epi32((int)pair[2 * t])));
			high = _mm256_add_epi32(high, _mm256_madd_epi16(v,
				_mm256_set1_epi32((int)pair[2 * t + 1])));
		}
		low = _mm256_add_epi32(low, _mm256_slli_epi32(high, 15));
		low = _mm256_srai_epi32(low, RESIZE_BITS);
		low = _mm256_min_epi32(_mm256_max_epi32(low, _mm256_setzero_si256()),
				       _mm256_set1_epi32(255));
		low = _mm256_shuffle_epi8(low, gather);
		bytes = (uint32_t)_mm_cvtsi128_si32(_mm256_castsi256_si128(low));
		memcpy(to0, &bytes, 4);
		bytes = (uint32_t)_mm_cvtsi128_si32(_mm256_extracti128_si256(low, 1));
		memcpy(to1, &bytes, 4);
	}
}

void resize_across_avx2(const struct resize_axis *a, const struct image *from,
			struct image *to, unsigned char *table)
{
	size_t in = (size_t)from->width * 3, out = (size_t)a->count * 3;
	unsigned char *row0 = table + (size_t)a->count * (size_t)pairs_of(a) * 8;
	unsigned char *row1 = row0 + in + SLACK;
	unsigned char *to0 = row1 + in + SLACK, *to1 = to0 + out + SLACK;

	fill_pairs(a, (uint32_t *)table);
	memset(row0 + in, 0, SLACK);
	memset(row1 + in, 0, SLACK);
	for (int y = 0; y < to->height; y += 2) {
		int next = y + 1 < to->height ? y + 1 : y;

		memcpy(row0, from->data + (size_t)y * from->stride, in);
		memcpy(row1, from->data + (size_t)next * from->stride, in);
		two_rows(a, (const uint32_t *)table, row0, row1, to0, to1);
		memcpy(to->data + (size_t)y * to->stride, to0, out);
		memcpy(to->data + (size_t)next * to->stride, to1, out);
	}
}

/*
 * ---- across, AVX-512: any number of channels ----
 *
 * Sixteen bytes of the result, a group, are made at once: a permutation of 64 bytes
 * of the source brings four taps to each, and the dot products of VNNI take a weight
 * as three signed bytes. Where 64 bytes do not hold the taps of a group, or there are
 * fewer rows than are done at a time, the table is refused. The table holds for each
 * group: its head, the permutation, and for every four taps three vectors of weights.
 */
struct group {
	uint32_t at;            /* first byte in the row */
	uint32_t pad[15];
	unsigned char order[64];
	signed char weight[][3][64];
};

static size_t fours_of(const struct resize_axis *a)
{
	int most = 1;

	for (int x = 0; x < a->count; x++)
		if (a->taps[x] > most)
			most = a->taps[x];
	return ((size_t)most + 3) / 4;
}

static size_t group_bytes(size_t fours)
{
	return sizeof(struct group) + fours * 3 * 64;
}

static size_t groups_of(const struct resize_axis *a, int channels)
{
	return ((size_t)a->count * (size_t)channels + 15) / 16;
}

/* The places x of the first and last byte of group g. */
static void group_places(const struct resize_axis *a, size_t channels, size_t g,
			 size_t *first, size_t *last)
{
	*first = g * 16 / channels;
	*last = (g * 16 + 15) / channels;
	if (*last >= (size_t)a->count)
		*last = (size_t)a->count - 1;
}

static int group_low(const struct resize_axis *a, size_t first, size_t last)
{
	return a->from[first] < a->from[last] ? a->from[first] : a->from[last];
}

size_t resize_across_avx512_table(const struct resize_axis *a, const struct image *from)
{
	size_t channels = (size_t)from->channels, groups = groups_of(a, from->channels);

	if (from->height < ROWS)
		return 0;
	for (size_t g = 0; g < groups; g++) {
		size_t first, last;
		int span;

		group_places(a, channels, g, &first, &last);
		span = a->from[first] + a->from[last] - 2 * group_low(a, first, last) + 4;
		if ((size_t)span * channels > 64)
			return 0;
	}
	return groups * group_bytes(fours_of(a));
}

static void fill_group(const struct resize_axis *a, size_t channels, size_t g,
		       size_t fours, struct group *group)
{
	size_t first, last;
	int low;

	group_places(a, channels, g, &first, &last);
	low = group_low(a, first, last);
	memset(group, 0, group_bytes(fours));
	group->at = (uint32_t)((size_t)low * channels);
	for (size_t i = 0; i < 16; i++) {
		size_t x = (g * 16 + i) / channels, c = (g * 16 + i) % channels;

		if (x >= (size_t)a->count)
			break;
		for (size_t t = 0; t < 4; t++)
			group->order[4 * i + t] = (unsigned char)
				(((size_t)(a->from[x] - low) + t) * channels + c);
		for (size_t t = 0; t < (size_t)a->taps[x]; t++) {
			int32_t k = a->k[x * (size_t)a->most + t];

			for (int digit = 0; digit < 3; digit++) {
				signed char d = (signed char)(k & 0xff);

				group->weight[t / 4][digit][4 * i + t % 4] = d;
				k = (k - d) / 256;
			}
		}
	}
}

static AVX512 inline __m512i combine(__m512i ones, __m512i mid, __m512i high)
{
	high = _mm512_add_epi32(_mm512_slli_epi32(high, 8), mid);
	return _mm512_add_epi32(_mm512_slli_epi32(high, 8), ones);
}

/* Which of 64 bytes from byte at on a row of n bytes has. */
static __mmask64 bytes_there(size_t at, size_t n)
{
	return at >= n ? 0 : n - at >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (n - at)) - 1;
}

/* The sums of one row's group, a digit of the weights each. */
struct sums {
	__m512i ones, mid, high;
};

static AVX512 inline void add_fours(struct sums *s, const unsigned char *p, __mmask64 there,
				    __m512i order, const __m512i w[3])
{
	__m512i v = _mm512_permutexvar_epi8(order, _mm512_maskz_loadu_epi8(there, p));

	s->ones = _mm512_dpbusd_epi32(s->ones, v, w[0]);
	s->mid = _mm512_dpbusd_epi32(s->mid, v, w[1]);
	s->high = _mm512_dpbusd_epi32(s->high, v, w[2]);
}

static AVX512 inline __m512i sum_of(const struct sums *s)
{
	return combine(s->ones, s->mid, s->high);
}

/* One group of bytes in ROWS rows, so that its weights are loaded once for all. */
static AVX512 inline void group_of_rows(const struct group *group, size_t fours, size_t channels,
					const unsigned char *from, size_t stride, size_t in,
					unsigned char *to, size_t to_stride, size_t left)
{
	const __m512i zero = _mm512_setzero_si512();
	const struct sums fresh = { _mm512_set1_epi32(1 << (RESIZE_BITS - 1)), zero, zero };
	struct sums a = fresh, b = fresh, c = fresh, d = fresh;
	__m512i order = _mm512_load_si512(group->order), bytes;

	for (size_t f = 0; f < fours; f++) {
		size_t at = group->at + f * 4 * channels;
		const unsigned char *p = from + at;
		__mmask64 there = bytes_there(at, in);
		const __m512i w[3] = { _mm512_load_si512(group->weight[f][0]),
				       _mm512_load_si512(group->weight[f][1]),
				       _mm512_load_si512(group->weight[f][2]) };

		add_fours(&a, p, there, order, w);
		add_fours(&b, p + stride, there, order, w);
		add_fours(&c, p + 2 * stride, there, order, w);
		add_fours(&d, p + 3 * stride, there, order, w);
	}
	bytes = bytes64(sum_of(&a), sum_of(&b), sum_of(&c), sum_of(&d));
	if (left >= 16) {
		_mm_storeu_si128((__m128i *)to, _mm512_castsi512_si128(bytes));
		_mm_storeu_si128((__m128i *)(to + to_stride), _mm512_extracti32x4_epi32(bytes, 1));
		_mm_storeu_si128((__m128i *)(to + 2 * to_stride),
				 _mm512_extracti32x4_epi32(bytes, 2));
		_mm_storeu_si128((__m128i *)(to + 3 * to_stride),
				 _mm512_extracti32x4_epi32(bytes, 3));
	} else {
		__mmask16 lanes = (__mmask16)((1u << left) - 1);

		_mm_mask_storeu_epi8(to, lanes, _mm512_castsi512_si128(bytes));
		_mm_mask_storeu_epi8(to + to_stride, lanes, _mm512_extracti32x4_epi32(bytes, 1));
		_mm_mask_storeu_epi8(to + 2 * to_stride, lanes,
				     _mm512_extracti32x4_epi32(bytes, 2));
		_mm_mask_storeu_epi8(to + 3 * to_stride, lanes,
				     _mm512_extracti32x4_epi32(bytes, 3));
	}
}

AVX512 void resize_across_avx512(const struct resize_axis *a, const struct image *from,
			  struct image *to, unsigned char *table)
{
	size_t channels = (size_t)from->channels, fours = fours_of(a);
	size_t groups = groups_of(a, from->channels);
	size_t in = (size_t)from->width * channels, out = (size_t)to->width * channels;

	for (size_t g = 0; g < groups; g++)
		fill_group(a, channels, g, fours,
			   (struct group *)(table + g * group_bytes(fours)));
	/* The last rows are done twice where ROWS does not divide the height. */
	for (int y = 0; y < to->height; y += ROWS) {
		int first = y + ROWS <= to->height ? y : to->height - ROWS;

		for (size_t g = 0; g < groups; g++)
			group_of_rows((const struct group *)(table + g * group_bytes(fours)),
				      fours, channels,
				      from->data + (size_t)first * from->stride, from->stride, in,
				      to->data + (size_t)first * to->stride + 16 * g, to->stride,
				      out - 16 * g);
	}
}

#endif
