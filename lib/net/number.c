#include "net/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static int byte(const char *text, size_t n, size_t i)
{
	return i < n ? (unsigned char)text[i] : 0;
}

static size_t digits(const char *text, size_t n, size_t i)
{
	while (is_digit(byte(text, n, i)))
		i++;
	return i;
}

/* The end of an exponent at i; i if there is none. */
static size_t exponent(const char *text, size_t n, size_t i)
{
	size_t sign = i + 1;

	if (byte(text, n, i) != 'e' && byte(text, n, i) != 'E')
		return i;
	if (byte(text, n, sign) == '+' || byte(text, n, sign) == '-')
		sign++;
	return is_digit(byte(text, n, sign)) ? digits(text, n, sign) : i;
}

static int follows_name(int c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

size_t number_length(const char *text, size_t n)
{
	size_t whole = digits(text, n, 0), fraction = whole;

	if (!whole)
		return 0;
	if (byte(text, n, whole) == '.' && is_digit(byte(text, n, whole + 1)))
		fraction = digits(text, n, whole + 1);

	const size_t ends[] = {exponent(text, n, fraction), fraction, exponent(text, n, whole),
			       whole};

	for (int k = 0; k < 4; k++)
		if (!follows_name(byte(text, n, ends[k])))
			return ends[k];
	return 0;
}

int number_read(const char *text, size_t n, double *value)
{
	char local[64], *copy = local;

	if (!n || number_length(text, n) != n)
		return 0;
	/* strtod needs a NUL; a word of digits may be long */
	if (n >= sizeof(local) && !(copy = malloc(n + 1)))
		return 0;
	memcpy(copy, text, n);
	copy[n] = '\0';
	*value = strtod(copy, NULL);
	if (copy != local)
		free(copy);
	return 1;
}

const char *show_number(char buffer[32], double v)
{
	/* + 0.0: no sign before zero */
	snprintf(buffer, 32, fabs(v) < 1e15 && v == floor(v) ? "%.0f" : "%.9g", v + 0.0);
	return buffer;
}

const char *show_exact(char buffer[32], double v)
{
	if (fabs(v) < 1e15 && v == floor(v))
		return show_number(buffer, v);
	for (int digit = 1; digit <= 17; digit++) {
		snprintf(buffer, 32, "%.*g", digit, v);
		if (strtod(buffer, NULL) == v)
			break;
	}
	return buffer;
}
