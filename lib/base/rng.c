#include "base/rng.h"

#include "base/real.h"

#include <assert.h>
#include <math.h>

enum { ROUNDS = 10, FEISTEL_ROUNDS = 8 };

void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
	uint32_t k0 = key[0], k1 = key[1];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t a = (uint64_t)0xD2511F53u * c0;
		uint64_t b = (uint64_t)0xCD9E8D57u * c2;

		c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)b;
		c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)a;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

/* The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection that mixes well. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* FNV-1a of the name, mixed with the seed. */
static void make_key(uint32_t key[2], uint64_t seed, const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3u;
	h = mix(seed + mix(h));
	key[0] = (uint32_t)h;
	key[1] = (uint32_t)(h >> 32);
}

void rng_init(struct rng *r, uint64_t seed, uint64_t position, const char *name)
{
	*r = (struct rng){ .counter = { 0, 0, (uint32_t)position, (uint32_t)(position >> 32) } };
	make_key(r->key, seed, name);
}

uint32_t rng_u32(struct rng *r)
{
	if (r->left == 0) {
		philox(r->counter, r->key, r->word);
		if (++r->counter[0] == 0)
			r->counter[1]++;
		r->left = 4;
	}
	return r->word[4 - r->left--];
}

static uint64_t rng_u64(struct rng *r)
{
	uint64_t low = rng_u32(r);

	return low | (uint64_t)rng_u32(r) << 32;
}

double rng_uniform(struct rng *r)
{
	return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	assert(n > 0);

	/* The upper half of a product of 128 bits (Lemire 2019); the lower half tells
	 * the few draws that would make some results likelier. */
	unsigned __int128 m = (unsigned __int128)rng_u64(r) * n;

	if ((uint64_t)m < n) {
		uint64_t least = -n % n;

		while ((uint64_t)m < least)
			m = (unsigned __int128)rng_u64(r) * n;
	}
	return (uint64_t)(m >> 64);
}

double rng_normal(struct rng *r)
{
	double u = 1 - rng_uniform(r);          /* (0, 1]: its logarithm is finite */
	double angle = 6.283185307179586 * rng_uniform(r);

	return sqrt(-2 * real_log(u)) * real_cos(angle);
}

uint64_t rng_permute(uint64_t i, uint64_t n, uint64_t seed, uint64_t epoch, const char *name)
{
	uint32_t key[2], out[4];
	int bits = 0;

	assert(i < n);
	make_key(key, seed, name);
	while (bits < 64 && (n - 1) >> bits)
		bits++;
	if (bits < 2)
		bits = 2;       /* both halves must have a bit */

	/* Halves of low and high bits; each round changes one by a function of the other. */
	int half[2] = { bits / 2, bits - bits / 2 };

	do {
		uint64_t part[2] = { i & (((uint64_t)1 << half[0]) - 1), i >> half[0] };

		for (uint32_t k = 0; k < FEISTEL_ROUNDS; k++) {
			int to = k & 1;
			uint32_t counter[4] = { (uint32_t)part[!to], k, (uint32_t)epoch,
						(uint32_t)(epoch >> 32) };

			philox(counter, key, out);
			part[to] ^= out[0] & (((uint64_t)1 << half[to]) - 1);
		}
		i = part[0] | part[1] << half[0];
	} while (i >= n);       /* still a permutation: every cycle comes back below n */
	return i;
}
