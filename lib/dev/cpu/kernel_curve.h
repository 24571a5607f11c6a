/*
 * Part of kernel_body.h: activations. Polynomials were fitted for the least relative
 * error (rounding apart 3e-9 for exp, 4e-9 for tanh, 2e-8 for the normal distribution,
 * 6e-9 for log); what comes out is 1 to 4 units of the last place from the truth, gelu 3e-7
 * of x. NaN stays.
 */

/* p(x), coefficients from the highest power down. */
#define POLY3(x, a, b, c) FMA(FMA(all(a), x, all(b)), x, all(c))
#define POLY5(x, a, b, c, d, e) FMA(FMA(POLY3(x, a, b, c), x, all(d)), x, all(e))

#ifndef NEAREST
/* To the nearest whole number, |x| < 2^22: 1.5 2^23 added to it leaves no more. */
#define NEAREST(x) ((x) + 12582912.f - 12582912.f)
/* x 2^n for whole n from -126 to 127. */
#define SCALE(x, n) ((x) * (vec)((__builtin_convertvector(n, bits) + 127) << 23))
/* 1 / x of x from 1 to 1e38 */
#define INVERSE(x) (1.f / (x))
#endif

/* e^x for x up to 88: 2^n e^r with |r| <= ln 2 / 2. Under 1.2e-38 it is 0. */
INLINE vec exp_of(vec x)
{
	const vec low = choose(x < -87, all(-87), x), n = NEAREST(low * 1.44269504f);
	/* ln 2 in two parts, of which n times the first is exact */
	const vec r = FMA(n, all(-1.42860677e-6f), FMA(n, all(-0.693145752f), low));
	const vec p = POLY5(r, 0.00138146f, 0.00836871f, 0.0416683874f, 0.166665207f, 0.499999935f);

	return SCALE(1.f + FMA(p, r * r, r), n);
}

/* The same for x <= 0, down to 0. */
INLINE vec exp_down(vec x)
{
	return keep(exp_of(x), ~(x < -87));
}

/* log x for normal x > 0: n ln 2 + log (1 + f), 1 + f from sqrt 1/2 to sqrt 2. */
INLINE vec log_of(vec x)
{
	const bits e = ((bits)x - 0x3f3504f3) >> 23;
	const vec f = (vec)((bits)x - (e << 23)) - 1.f;
	const vec n = __builtin_convertvector(e, vec);
	const vec p = FMA(FMA(POLY3(f, -0.0763449302f, 0.127615756f, -0.131601831f), f,
			      all(0.142017582f)), f, all(-0.166233573f));
	const vec q = FMA(FMA(p, f, all(0.200012269f)), f, all(-0.25000821f));
	const vec log1 = f - FMA(all(0.5f), f * f, -FMA(q, f, all(0.333333317f)) * f * f * f);

	return FMA(n, all(0.693147182f), log1);
}

INLINE vec size_of(vec x)
{
	return (vec)((bits)x & 0x7fffffff);
}

INLINE vec sigmoid_of(vec x)
{
	/* e^88 + 1 is a number yet, and what it is the inverse of is under 1e-38 */
	return INVERSE(1.f + exp_of(choose(x < -87, all(87), -x)));
}

INLINE vec tanh_of(vec x)
{
	const vec e = exp_down(-2.f * size_of(x)), z = x * x;
	const vec far = (vec)((bits)((1.f - e) / (1.f + e)) | ((bits)x & INT32_MIN));
	const vec p = POLY5(z, -0.00570498633f, 0.0206390866f, -0.0537397148f, 0.133314422f,
			    -0.333332819f);

	return choose(size_of(x) < 0.625f, FMA(p * z, x, x), far);
}

/* The normal distribution at x, and e^(-x^2 / 2). */
INLINE vec normal_of(vec x, vec *bell)
{
	const vec u = 1.f / FMA(all(0.26f), size_of(x), all(1));
	const vec p = FMA(POLY3(u, 0.0307835893f, -0.154189305f, 0.254317838f), u,
			  all(-0.154206381f));
	const vec q = FMA(FMA(p, u, all(0.163220356f)), u, all(0.050047016f));
	const vec tail = FMA(FMA(FMA(q, u, all(0.103285397f)), u, all(0.102980217f)), u,
			     all(0.103761262f)) * u;

	*bell = exp_down(-0.5f * x * x);
	return choose(x < 0, *bell * tail, 1.f - *bell * tail);
}

/* x held in 0 .. most. */
INLINE vec clip_of(vec x, float most)
{
	x = keep(x, ~(x < 0));
	return choose(x > most, all(most), x);
}

INLINE vec curve_of(vec x, int act)
{
	vec bell;

	switch (act) {
	case CPU_SWISH:
		return x * sigmoid_of(x);
	case CPU_SIGMOID:
		return sigmoid_of(x);
	case CPU_TANH:
		return tanh_of(x);
	case CPU_GELU:
		return x * normal_of(x, &bell);
	case CPU_HARDSWISH:
		return x * clip_of(x + 3.f, 6) / 6.f;
	default:
		return clip_of(x + 3.f, 6) / 6.f;
	}
}

/* act(sum + add) of `count` sums, with add `next` numbers apart, or NULL. */
static __attribute__((noinline)) void finish_these(vec *sum, int count, const num *add,
						   size_t next, int act)
{
	for (int i = 0; i < count; i++) {
		if (add)
			sum[i] += load(add + (size_t)i * next);
		sum[i] = act >= CPU_CURVED ? curve_of(sum[i], act) : act_of(sum[i], act);
	}
}

enum { FINISH_MOST = 8 };

/* Likewise of the first `count` of n sums, which stay in registers: only a copy of them
 * has an address. */
INLINE void finish(vec *sum, const int n, int count, const num *add, size_t next, int act)
{
	vec done[FINISH_MOST];

	for (int i = 0; i < n; i++)
		done[i] = sum[i];
	finish_these(done, count, add, next, act);
	for (int i = 0; i < n; i++)
		sum[i] = done[i];
}

/* The slope, from x where act_dx_reads_x(), else from y. */
INLINE vec slope_of(vec x, int act)
{
	vec s, bell;

	switch (act) {
	case CPU_SWISH:
		s = sigmoid_of(x);
		return s * FMA(x, 1.f - s, all(1));
	case CPU_SIGMOID:
		return x * (1.f - x);
	case CPU_TANH:
		return 1.f - x * x;
	case CPU_GELU:
		s = normal_of(x, &bell);
		return FMA(x * bell, all(0.398942280f), s);
	case CPU_HARDSWISH:
		return choose(x >= 3, all(1), keep((2.f * x + 3.f) / 6.f, ~(x <= -3)));
	default:
		return keep(all(1 / 6.f), (x > 0) & (x < 1));
	}
}

/* Does the slope follow from what was read? */
INLINE int reads_x(int act)
{
	return act == CPU_SWISH || act == CPU_GELU || act == CPU_HARDSWISH;
}
