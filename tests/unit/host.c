/* Memory, layouts, short floats and draws of devices in host memory. */
#include "base/fail.h"
#include "base/rng.h"
#include "dev/host.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Each half and its neighbour: both, their middle (ties to even), and just beside it. */
static void half_rounds(void **state)
{
	unsigned h;

	(void)state;
	for (h = 0; h < 0x7c00; h++) {
		float a = f16_to((uint16_t)h), b = f16_to((uint16_t)(h + 1)), middle;

		if (h == 0x7bff)
			b = 65536;      /* where the next would be */
		middle = (a + b) / 2;
		assert_int_equal(f16_from(a), h);
		assert_int_equal(f16_from(-a), h | 0x8000);
		assert_int_equal(f16_from(middle), h & 1 ? h + 1 : h);
		assert_int_equal(f16_from(nextafterf(middle, INFINITY)), h + 1);
		assert_int_equal(f16_from(nextafterf(middle, 0)), h);
	}
	assert_true(isinf(f16_to(0x7c00)) && f16_to(0xfc00) < 0);
	assert_int_equal(f16_from(INFINITY), 0x7c00);
	assert_int_equal(f16_from(1e30f), 0x7c00);
	assert_true(isnan(f16_to(f16_from(NAN))));
}

static void bf16_rounds(void **state)
{
	unsigned h;

	(void)state;
	for (h = 0; h < 0x7f80; h++) {
		float a = bf16_to((uint16_t)h), b = bf16_to((uint16_t)(h + 1));
		/* b of the largest is infinite: the middle by hand */
		float middle = h == 0x7f7f ? a + (a - bf16_to(0x7f7e)) / 2 : a + (b - a) / 2;

		assert_int_equal(bf16_from(a), h);
		assert_int_equal(bf16_from(middle), h & 1 ? h + 1 : h);
		assert_int_equal(bf16_from(nextafterf(middle, INFINITY)), h + 1);
		assert_int_equal(bf16_from(nextafterf(middle, 0)), h);
	}
	assert_int_equal(bf16_from(-1.0f), 0xbf80);
	assert_true(isnan(bf16_to(bf16_from(NAN))));
	assert_true(isnan(bf16_to(bf16_from(-NAN))));
}

static const struct layout layouts[] = {
	{ 5, 5, DTYPE_F32 }, { 8, 8, DTYPE_F32 }, { 1, 5, DTYPE_F32 }, { 1, 8, DTYPE_F32 },
	{ 4, 8, DTYPE_F32 }, { 16, 16, DTYPE_F32 }, { 4, 16, DTYPE_F32 },
	{ 16, 16, DTYPE_BF16 }, { 4, 8, DTYPE_F16 }, { 5, 5, DTYPE_U8 }, { 8, 8, DTYPE_I32 },
};

enum { LAYOUTS = sizeof layouts / sizeof *layouts, N = 2, H = 3, W = 2, C = 5 };

/* Numbers that every type here holds. */
static void fill(const struct value *v, void *plain)
{
	int i;

	for (i = 0; i < N * H * W * C; i++)
		if (v->lay.type == DTYPE_U8)
			((uint8_t *)plain)[i] = (uint8_t)(i + 1);
		else if (v->lay.type == DTYPE_I32)
			((int32_t *)plain)[i] = i + 1;
		else
			((float *)plain)[i] = (float)(i + 1);
}

static void layouts_there_and_back(void **state)
{
	unsigned k;

	(void)state;
	for (k = 0; k < LAYOUTS; k++) {
		struct value v = { .name = "v", .n = N, .h = H, .w = W, .c = C, .lay = layouts[k] };
		size_t size = dtype_bytes(v.lay.type), i, set = 0;
		size_t bytes = N * H * W * (size_t)v.lay.pad * size;
		unsigned char *stored = malloc(bytes), zero[8] = { 0 };
		uint32_t plain[N * H * W * C], back[N * H * W * C];
		size_t plain_size = (v.lay.type == DTYPE_U8 ? 1 : 4) * N * H * W * C;

		memset(stored, 0xff, bytes);
		fill(&v, plain);
		value_pack(&v, stored, plain);
		value_unpack(&v, stored, back);
		assert_memory_equal(plain, back, plain_size);
		/* each number once, all else zero */
		for (i = 0; i < bytes; i += size)
			set += memcmp(stored + i, zero, size) != 0;
		assert_int_equal(set, N * H * W * C);
		free(stored);
	}
}

static void padding_only_is_zeroed(void **state)
{
	unsigned k;

	(void)state;
	for (k = 0; k < LAYOUTS; k++) {
		struct value v = { .n = N, .h = H, .w = W, .c = C, .lay = layouts[k] };
		size_t size = dtype_bytes(v.lay.type), bytes = N * H * W * (size_t)v.lay.pad * size;
		unsigned char *stored = malloc(bytes);
		size_t i, zeros = 0;

		memset(stored, 0xff, bytes);
		value_zero_padding(&v, stored);
		for (i = 0; i < bytes; i++)
			zeros += !stored[i];
		assert_int_equal(zeros, N * H * W * (size_t)(v.lay.pad - C) * size);
		assert_int_equal(stored[value_place(&v, 1, 4, 2, 1) * size], 0xff);
		free(stored);
	}
}

/* A program of three values: activations, a master, the control block. */
struct three {
	struct value value[3];
	struct program p;
};

static void three_make(struct three *t)
{
	memset(t, 0, sizeof *t);
	t->value[0] = (struct value){ .name = "x", .n = N, .h = H, .w = W, .c = C,
		.lay = { 16, 16, DTYPE_F32 }, .arena = ARENA_WORK, .at = 64, .param = -1 };
	t->value[1] = (struct value){ .name = "w", .n = 7, .h = 1, .w = 1, .c = 1,
		.lay = { 1, 1, DTYPE_F32 }, .arena = ARENA_PARAM, .param = 0 };
	t->value[2] = (struct value){ .name = "control", .n = 1, .h = 1, .w = 1,
		.c = sizeof(struct control), .arena = ARENA_CONTROL, .param = -1 };
	t->p.value = t->value;
	t->p.values = 3;
	t->p.arena[ARENA_WORK] = 64 + N * H * W * 16 * sizeof(float);
	t->p.arena[ARENA_PARAM] = 64;
	t->p.arena[ARENA_CONTROL] = sizeof(struct control);
	t->p.options.devices = t->p.options.batch = 1;
}

static void put_and_get(void **state)
{
	struct control control = { .seed = 3, .lr = 0.5, .loss_scale = 99, .halt = 1 }, back;
	float x[N * H * W * C], y[N * H * W * C], w[7] = { 1, 2, 3, 4, 5, 6, 7 };
	struct host host = { 0 };
	struct three t;

	(void)state;
	three_make(&t);
	assert_int_equal(host_bind(&host, &t.p, NULL), 0);
	fill(&t.value[0], x);
	assert_int_equal(host_put(&host, &t.p, 0, x), 0);
	assert_int_equal(host_get(&host, &t.p, 0, y), 0);
	assert_memory_equal(x, y, sizeof x);
	assert_int_equal(host_put(&host, &t.p, 1, w), 0);
	assert_int_equal(host_get(&host, &t.p, 1, y), 0);
	assert_memory_equal(w, y, sizeof w);

	/* the device's own part of the control block is not the host's to set */
	assert_int_equal(host_put(&host, &t.p, 2, &control), 0);
	assert_int_equal(host_get(&host, &t.p, 2, &back), 0);
	assert_int_equal(back.seed, 3);
	assert_true(back.lr == 0.5 && back.loss_scale == 1);
	assert_int_equal(back.halt, 0);

	t.value[0].arena = ARENA_NONE;
	assert_int_equal(host_get(&host, &t.p, 0, y), -1);
	assert_string_equal(fail_why(), "x: lives inside a bracket and is not stored");
	host_close(&host);
	assert_null(host.memory);
}

static void programs_share(void **state)
{
	struct host host = { 0 };
	struct three a, b, c;
	float w[7] = { 7, 6, 5, 4, 3, 2, 1 }, back[7];

	(void)state;
	three_make(&a);
	three_make(&b);
	three_make(&c);
	assert_int_equal(host_bind(&host, &a.p, NULL), 0);
	assert_int_equal(host_bind(&host, &b.p, &a.p), 0);
	assert_int_equal(host_bind(&host, &c.p, &b.p), 0);
	host_put(&host, &b.p, 1, w);
	host_get(&host, &a.p, 1, back);
	assert_memory_equal(w, back, sizeof w);
	host_get(&host, &c.p, 1, back);
	assert_memory_equal(w, back, sizeof w);
	assert_ptr_not_equal(memory_at(host_memory(&host, &a.p), 0),
			     memory_at(host_memory(&host, &b.p), 0));
	assert_ptr_equal(memory_control(host_memory(&host, &a.p)),
			 memory_control(host_memory(&host, &c.p)));

	/* bound again: fresh memory; those who shared keep theirs */
	assert_int_equal(host_bind(&host, &a.p, NULL), 0);
	host_get(&host, &a.p, 1, back);
	assert_true(back[0] == 0);
	host_get(&host, &b.p, 1, back);
	assert_true(back[0] == 7);

	c.p.arena[ARENA_PARAM] = 128;
	assert_int_equal(host_bind(&host, &c.p, &a.p), -1);
	assert_string_equal(fail_why(), "parameters: 128 bytes, but 64 in the program shared with");
	host_close(&host);
}

static void too_large_is_said(void **state)
{
	struct host host = { 0 };
	struct three t;

	(void)state;
	three_make(&t);
	t.p.arena[ARENA_WORK] = SIZE_MAX - 70;
	assert_int_equal(host_bind(&host, &t.p, NULL), -1);
	assert_non_null(strstr(fail_why(), "activations: "));
	assert_null(host.memory);
	host_close(&host);
}

/* The draw of number k is the k-th word of the sequence, however it is asked for. */
static void dropout_draws(void **state)
{
	struct dropout_attr drop = { .p = 0.3, .name = "head.drop", .c = 5, .h = 3, .w = 3 };
	struct control control = { .seed = 11, .position = 1000, .stride = 4 };
	unsigned char all[45], part[45];
	size_t from, n, k;
	struct rng rng;
	int kept = 0;

	(void)state;
	dropout_draw(&drop, &control, 2, 0, 45, all);
	rng_init(&rng, 11, 1008, "head.drop");
	for (k = 0; k < 45; k++)
		assert_int_equal(all[k], rng_u32(&rng) >= 0.3 * 0x1p32);
	for (from = 0; from < 45; from++)
		for (n = 1; from + n <= 45; n++) {
			dropout_draw(&drop, &control, 2, from, n, part);
			assert_memory_equal(part, all + from, n);
		}
	for (k = 0; k < 1000; k++) {
		dropout_draw(&drop, &control, (int)k, 0, 45, all);
		for (n = 0; n < 45; n++)
			kept += all[n];
	}
	/* 45000 draws: a deviation is 97, five of them */
	assert_in_range(kept, 31500 - 486, 31500 + 486);
	assert_true(dropout_scale(&drop, &control) == (float)(1 / 0.7));
	drop.p = 0;
	dropout_draw(&drop, &control, 0, 0, 45, all);
	for (k = 0; k < 45; k++)
		assert_int_equal(all[k], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_rounds),
		cmocka_unit_test(bf16_rounds),
		cmocka_unit_test(layouts_there_and_back),
		cmocka_unit_test(padding_only_is_zeroed),
		cmocka_unit_test(put_and_get),
		cmocka_unit_test(programs_share),
		cmocka_unit_test(too_large_is_said),
		cmocka_unit_test(dropout_draws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
