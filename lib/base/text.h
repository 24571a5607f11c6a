/* A string that grows. Zero-initialised is empty; a failed allocation aborts the
 * text, not the program: text_take() then gives NULL with the reason. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

struct text {
	char *data;             /* NUL terminated, or NULL while empty */
	size_t length, room;
	int failed;
};

void text_add(struct text *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *, const void *, size_t n);
/* Gives the string ("" if nothing was added; the caller frees it) and empties the
 * struct; NULL: out of memory. */
char *text_take(struct text *);
void text_release(struct text *);

#endif
