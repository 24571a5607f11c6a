/*
 * The methods are the textbooks': a reduction that loses nothing, then the power
 * series of the function, then the parts put together from the smallest. The unit
 * test compares with the C library: within 1 ulp of it for exp over its whole range,
 * log over all positive numbers, sin and cos for |x| <= 2^20; within 2 ulp for pow
 * with x from 2^-1000 to 2^1000 and any result that is a normal number.
 *
 * This file must be compiled without contraction into fused operations.
 */
#include "base/real.h"

#include <stdint.h>
#include <string.h>

#define INFINITE (__builtin_inf())
#define NOT_A_NUMBER (__builtin_nan(""))

/* ln 2 with 32 bits, and the rest; pi/2 in three pieces of 33 bits, and the rest. */
static const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
static const double pi2[4] = { 0x1.921fb54400000p+0, 0x1.0b4611a600000p-34,
			       0x1.3198a2e000000p-69, 0x1.b839a252049c1p-104 };

/* A number as the sum of two that do not overlap. */
struct two {
	double high, low;
};

/* a + b exactly (Knuth 1969). */
static struct two sum(double a, double b)
{
	double s = a + b, t = s - a;

	return (struct two){ s, (a - (s - t)) + (b - t) };
}

/* a * b exactly (Dekker 1971). */
static struct two product(double a, double b)
{
	double p = a * b, ta = 134217729.0 * a, tb = 134217729.0 * b;
	double ah = ta - (ta - a), bh = tb - (tb - b), al = a - ah, bl = b - bh;

	return (struct two){ p, ((ah * bh - p) + ah * bl + al * bh) + al * bl };
}

static struct two multiply(struct two a, struct two b)
{
	struct two p = product(a.high, b.high);

	return sum(p.high, p.low + (a.high * b.low + a.low * b.high));
}

static struct two add(struct two a, struct two b)
{
	struct two s = sum(a.high, b.high);

	return sum(s.high, s.low + (a.low + b.low));
}

static uint64_t bits_of(double x)
{
	uint64_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

static double from_bits(uint64_t u)
{
	double x;

	memcpy(&x, &u, sizeof(x));
	return x;
}

/* 2^k, -1022 <= k <= 1023. */
static double power_of_two(int k)
{
	return from_bits((uint64_t)(k + 1023) << 52);
}

/* x * 2^k, rounded once, for x near 1. */
static double scale(double x, int k)
{
	if (k > 1023)
		return x * 2 * power_of_two(k - 1);
	if (k >= -1021)
		return x * power_of_two(k);
	return x * power_of_two(k + 600) * power_of_two(-600);
}

/* exp(x + low), |low| far below an ulp of x, -750 <= x <= 710. */
static double exp_sum(double x, double low)
{
	/* 1/2!, 1/3!, ... 1/14! */
	static const double c[] = {
		1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
		1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600,
		1.0 / 6227020800.0, 1.0 / 87178291200.0,
	};
	double t = x * 0x1.71547652b82fep+0;
	int k = (int)(t < 0 ? t - 0.5 : t + 0.5);
	struct two r = sum(x - k * ln2_high, low - k * ln2_low);
	double p = 0;

	for (int i = sizeof(c) / sizeof(c[0]); i-- > 0;)
		p = p * r.high + c[i];

	/* exp(high) (1 + low), the 1 and the linear term kept exact to the end */
	struct two s = sum(1, r.high);

	return scale(s.high + (s.low + (r.high * r.high * p + r.low * s.high)), k);
}

double real_exp(double x)
{
	if (x != x)
		return x;
	if (x > 710)
		return INFINITE;
	if (x < -750)
		return 0;
	return exp_sum(x, 0);
}

/* x = m 2^k with m from sqrt(1/2) to sqrt(2); x > 0 and finite. */
static double split_power(double x, int *k)
{
	int e = 0;

	if (x < 0x1p-1022) {
		x *= 0x1p54;
		e = -54;
	}

	uint64_t u = bits_of(x);
	double m = from_bits((u & 0xfffffffffffff) | (uint64_t)1023 << 52);

	e += (int)(u >> 52) - 1023;
	if (m > 1.4142135623730951) {
		m /= 2;
		e++;
	}
	*k = e;
	return m;
}

/* 1 where the logarithm is plain; 0: *out has it. */
static int log_special(double x, double *out)
{
	if (x > 0 && x < INFINITE)
		return 1;
	*out = x == 0 ? -INFINITE : x < 0 ? NOT_A_NUMBER : x;
	return 0;
}

/* a + z b + z^2 c ... of n coefficients 2/d, 2/(d+2), ... : the tail of the series
 * log((1+s)/(1-s)) = 2s (1 + s^2/3 + s^4/5 + ...), z = s^2. */
static double log_tail(double z, int d, int n)
{
	double p = 0;

	for (int i = n; i-- > 0;)
		p = p * z + 2.0 / (d + 2 * i);
	return p;
}

double real_log(double x)
{
	double special;
	int k;

	if (!log_special(x, &special))
		return special;

	/* log(1+f) = f - (f^2/2 - s (f^2/2 + z tail)), so that f itself is exact */
	double f = split_power(x, &k) - 1, s = f / (2 + f), z = s * s;
	struct two square = product(f, f);
	double half = square.high / 2;
	double rest = s * (half + z * log_tail(z, 3, 10)) - square.low / 2;
	struct two a = sum(k * ln2_high, f), b = sum(a.high, -half);

	return b.high + (b.low + (a.low + (rest + k * ln2_low)));
}

/* log x to about 100 bits; x > 0 and finite. */
static struct two log_two(double x)
{
	static const struct two third = { 0x1.5555555555555p-2, 0x1.5555555555555p-56 };
	static const struct two fifth = { 0x1.999999999999ap-3, -0x1.999999999999ap-57 };
	int k;
	double f = split_power(x, &k) - 1;
	struct two g = sum(2, f), s, p;

	/* s = f / g */
	s.high = f / g.high;
	p = product(s.high, g.high);
	s.low = ((f - p.high) - p.low - s.high * g.low) / g.high;

	struct two z = multiply(s, s);
	struct two q = add(fifth, (struct two){ z.high * log_tail(z.high, 7, 12) / 2, 0 });

	q = add(third, multiply(z, q));
	q = multiply(multiply(z, s), q);
	q = add(s, q);
	q.high *= 2;
	q.low *= 2;

	struct two whole = sum(k * ln2_high, k * ln2_low);

	return add(whole, q);
}

double real_pow(double x, double y)
{
	if (y == 0 || x == 1)
		return 1;
	if (x != x || y != y || x < 0)
		return NOT_A_NUMBER;
	if (x == 0 || x == INFINITE)
		return (x == 0) == (y > 0) ? 0 : INFINITE;

	struct two l = log_two(x);
	double size = y * l.high;

	if (size > 710)
		return INFINITE;
	if (size < -750)
		return 0;

	struct two p = product(y, l.high);

	p = sum(p.high, p.low + y * l.low);
	return exp_sum(p.high, p.low);
}

/* x = n pi/2 + r, |r| <= pi/4: gives n modulo 4. |x| <= 2^20, so that n has at most 20
 * bits and its products with pieces of 33 bits are exact. */
static int reduce(double x, struct two *r)
{
	double t = x * 0x1.45f306dc9c883p-1;
	int n = (int)(t < 0 ? t - 0.5 : t + 0.5);
	struct two a = sum(x, -(n * pi2[0])), b = sum(a.high, -(n * pi2[1]));
	struct two c = sum(b.high, -(n * pi2[2]));

	*r = sum(c.high, c.low + (b.low + (a.low - n * pi2[3])));
	return n & 3;
}

/* sin(r) for |r| <= pi/4. */
static double sin_part(struct two r)
{
	/* -1/3!, 1/5!, ... */
	static const double c[] = {
		-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800,
		1.0 / 6227020800.0, -1.0 / 1307674368000.0, 1.0 / 355687428096000.0,
	};
	double x = r.high, z = x * x, p = 0;

	for (int i = sizeof(c) / sizeof(c[0]); i-- > 0;)
		p = p * z + c[i];
	return x + (r.low * (1 - z / 2) + x * z * p);
}

static double cos_part(struct two r)
{
	/* 1/4!, -1/6!, ... */
	static const double c[] = {
		1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600,
		-1.0 / 87178291200.0, 1.0 / 20922789888000.0, -1.0 / 6402373705728000.0,
	};
	double x = r.high, z = x * x, p = 0;

	for (int i = sizeof(c) / sizeof(c[0]); i-- > 0;)
		p = p * z + c[i];

	double w = 1 - z / 2;

	return w + (((1 - w) - z / 2) + (z * z * p - x * r.low));
}

/* sin(x + quarter pi/2). */
static double wave(double x, int quarter)
{
	struct two r;

	if (!(x >= -0x1p20 && x <= 0x1p20))
		return NOT_A_NUMBER;

	int n = (reduce(x, &r) + quarter) & 3;
	double v = n & 1 ? cos_part(r) : sin_part(r);

	return n & 2 ? -v : v;
}

double real_sin(double x)
{
	return x == 0 ? x : wave(x, 0);
}

double real_cos(double x)
{
	return wave(x, 1);
}
