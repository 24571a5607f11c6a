#include "base/text.h"

#include "base/fail.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more bytes and a NUL: 1, or 0 (then the text has failed). */
static int text_room(struct text *t, size_t n)
{
	size_t need, room;
	char *p;

	if (t->failed)
		return 0;
	if (__builtin_add_overflow(t->length, n, &need) || need > PTRDIFF_MAX / 2) {
		t->failed = 1;
		return 0;
	}
	if (t->data && need < t->room)
		return 1;
	room = need + need / 2 + 64;
	p = realloc(t->data, room);
	if (!p) {
		t->failed = 1;
		return 0;
	}
	t->data = p;
	t->room = room;
	return 1;
}

void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap, copy;
	int n;

	va_start(ap, fmt);
	va_copy(copy, ap);
	n = vsnprintf(NULL, 0, fmt, copy);
	va_end(copy);
	if (n < 0)
		t->failed = 1;
	else if (text_room(t, (size_t)n)) {
		vsnprintf(t->data + t->length, (size_t)n + 1, fmt, ap);
		t->length += (size_t)n;
	}
	va_end(ap);
}

void text_add_bytes(struct text *t, const void *bytes, size_t n)
{
	if (!text_room(t, n))
		return;
	if (n)
		memcpy(t->data + t->length, bytes, n);
	t->length += n;
	t->data[t->length] = '\0';
}

char *text_take(struct text *t)
{
	char *data;

	text_add_bytes(t, "", 0);
	if (t->failed) {
		text_release(t);
		fail("out of memory for a text");
		return NULL;
	}
	data = t->data;
	*t = (struct text){ 0 };
	return data;
}

void text_release(struct text *t)
{
	free(t->data);
	*t = (struct text){ 0 };
}
