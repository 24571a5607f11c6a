/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011). A draw is a
 * function of (seed, position, name, count of draws before it), so order,
 * threads and restarts do not change it.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
	uint32_t key[2], counter[4], word[4];
	int left;               /* words of the last block not yet given */
};

/* The bare block function: 128 bits of counter, 64 of key. */
void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Begins the sequence of (seed, position, name). The key is the seed mixed with
 * a hash of the name, the counter's upper half the position. */
void rng_init(struct rng *, uint64_t seed, uint64_t position, const char *name);

uint32_t rng_u32(struct rng *);
double rng_uniform(struct rng *);               /* [0, 1), 53 bits */
uint64_t rng_below(struct rng *, uint64_t n);   /* 0 .. n-1, each as likely; n > 0 */
double rng_normal(struct rng *);                /* mean 0, deviation 1 (Box, Muller 1958; real.h) */

/* Place i of a permutation of 0 .. n-1 chosen by (seed, epoch, name): a cycle-walked
 * Feistel network over philox(), so that no table is needed. i < n. */
uint64_t rng_permute(uint64_t i, uint64_t n, uint64_t seed, uint64_t epoch, const char *name);

#endif
