#include "data/ppm.h"

#include "base/fail.h"
#include "data/image.h"

#include <string.h>

static int is_blank(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next number of the header, over blanks and comments; -1: none. */
static int number(const unsigned char **p, const unsigned char *end)
{
	int v = 0, digits = 0;

	while (*p < end && (is_blank(**p) || **p == '#')) {
		if (**p == '#')
			while (*p < end && **p != '\n')
				++*p;
		else
			++*p;
	}
	for (; *p < end && **p >= '0' && **p <= '9' && digits < 9; ++*p, digits++)
		v = 10 * v + **p - '0';
	return digits ? v : -1;
}

int ppm_read(const void *data, size_t n, struct ppm *ppm)
{
	const unsigned char *p = data, *end = p + n;
	size_t need;
	int most;

	if (n < 3 || p[0] != 'P' || (p[1] != '5' && p[1] != '6'))
		return fail("ppm: neither P5 nor P6");
	ppm->channels = p[1] == '6' ? 3 : 1;
	p += 2;
	ppm->width = number(&p, end);
	ppm->height = number(&p, end);
	most = number(&p, end);
	if (most < 0 || p == end || !is_blank(*p))
		return fail("ppm: no header");
	if (most != 255)
		return fail("ppm: values up to %d: only 255 is read", most);
	if (image_check(ppm->height, ppm->width, ppm->channels) < 0)
		return fail_add("ppm");
	ppm->pixels = ++p;
	need = (size_t)ppm->height * (size_t)ppm->width * (size_t)ppm->channels;
	if ((size_t)(end - p) < need)
		return fail("ppm: cut short: %zu bytes of pixels of %zu", (size_t)(end - p), need);
	return 0;
}
