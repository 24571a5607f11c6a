#include "base/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char why[FAIL_MAX];

int fail(const char *fmt, ...)
{
	char text[FAIL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(why, text, sizeof(why));
	return -1;
}

int fail_errno(const char *fmt, ...)
{
	char text[FAIL_MAX];
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fail("%s: %s", text, strerror(error));
}

int fail_add(const char *fmt, ...)
{
	char text[FAIL_MAX], old[FAIL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(old, why, sizeof(old));
	return fail("%s: %s", text, old);
}

const char *fail_why(void)
{
	return why;
}

void fail_clear(void)
{
	why[0] = '\0';
}
