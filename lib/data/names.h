/* A set of strings (any bytes), numbered from 0 in the order in which they came. */
#ifndef DATA_NAMES_H
#define DATA_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is empty. */
struct names {
	char *bytes;            /* each string with a NUL behind it */
	size_t used, room;
	size_t *at;             /* n + 1: where each begins */
	size_t n, at_room;
	uint32_t *slot;         /* number + 1, 0: free */
	size_t slots;           /* a power of two, or 0 */
};

/* Puts a string in: 1 if it is new, 0 if it was there (both set *number), -1. */
int names_add(struct names *, const void *, size_t size, uint32_t *number);

/* 1 and its number, or 0. */
int names_find(const struct names *, const void *, size_t size, uint32_t *number);

/* The string of a number; valid until the next names_add(). */
const char *names_get(const struct names *, uint32_t number, size_t *size);
void names_release(struct names *);

#endif
