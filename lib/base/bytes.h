/* Little-endian numbers in byte arrays: what goes over a wire or into a file. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t get_u32(const unsigned char *b)
{
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t get_u64(const unsigned char *b)
{
	return get_u32(b) | (uint64_t)get_u32(b + 4) << 32;
}

static inline uint16_t get_u16(const unsigned char *b)
{
	return (uint16_t)(b[0] | b[1] << 8);
}

static inline void put_u16(unsigned char *b, uint16_t v)
{
	b[0] = (unsigned char)v;
	b[1] = (unsigned char)(v >> 8);
}

static inline void put_u32(unsigned char *b, uint32_t v)
{
	put_u16(b, (uint16_t)v);
	put_u16(b + 2, (uint16_t)(v >> 16));
}

static inline void put_u64(unsigned char *b, uint64_t v)
{
	put_u32(b, (uint32_t)v);
	put_u32(b + 4, (uint32_t)(v >> 32));
}

/* n rounded up to a multiple of to (to > 0; the caller knows that n + to - 1 fits). */
static inline size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

#endif
