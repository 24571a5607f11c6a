/* The Example parser against odd encodings, and against protobuf-c on random ones. */
#include "base/bytes.h"
#include "base/fail.h"
#include "base/rng.h"
#include "data/example.h"
#include "data/sample.h"

#include "example.pb-c.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Messages put together by hand. */
struct bytes {
	unsigned char data[300000];
	size_t n;
};

static struct bytes example, features, entry, feature, list, values;

static void varint(struct bytes *b, uint64_t v)
{
	for (; v > 127; v >>= 7)
		b->data[b->n++] = (unsigned char)(v | 128);
	b->data[b->n++] = (unsigned char)v;
}

static void tag(struct bytes *b, unsigned number, unsigned wire)
{
	varint(b, number << 3 | wire);
}

static void put(struct bytes *b, unsigned number, const void *data, size_t n)
{
	tag(b, number, 2);
	varint(b, n);
	memcpy(b->data + b->n, data, n);
	b->n += n;
}

static void put_whole(struct bytes *b, unsigned number, uint64_t v)
{
	tag(b, number, 0);
	varint(b, v);
}

static void put_real(struct bytes *b, unsigned number, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, 4);
	tag(b, number, 5);
	put_u32(b->data + b->n, bits);
	b->n += 4;
}

static void clear(void)
{
	example.n = features.n = entry.n = feature.n = list.n = values.n = 0;
}

/* list -> feature of the kind -> entry of the key -> features. */
static void close_entry(const char *key, enum example_kind kind)
{
	put(&feature, kind, list.data, list.n);
	put(&entry, 1, key, strlen(key));
	put(&entry, 2, feature.data, feature.n);
	put(&features, 1, entry.data, entry.n);
	entry.n = feature.n = list.n = 0;
}

static int parse(struct example *e)
{
	put(&example, 1, features.data, features.n);
	return example_parse(e, example.data, example.n);
}

static int64_t only_whole(const struct example *e, const char *key)
{
	int64_t v;

	assert_int_equal(sample_whole(e, key, &v), 1);
	return v;
}

/* E01 */
static void unpacked_lists(void **state)
{
	struct example e = { 0 };
	struct example_cursor c = { 0 };
	struct example_value v;
	int i;

	(void)state;
	clear();
	put_whole(&list, 1, 5);
	varint(&values, 6);
	varint(&values, 300);
	put(&list, 1, values.data, values.n);
	put(&list, 1, "", 0);
	put_whole(&list, 1, 7);
	close_entry("i", EXAMPLE_INTS);
	put_real(&list, 1, 1.5f);
	put_real(&list, 1, -2);
	close_entry("f", EXAMPLE_FLOATS);
	assert_int_equal(parse(&e), 0);
	assert_int_equal(e.features, 2);
	assert_int_equal(example_find(&e, "i")->count, 4);
	for (i = 0; i < 4; i++) {
		static const int64_t want[] = { 5, 6, 300, 7 };

		assert_int_equal(example_next(&e, example_find(&e, "i"), &c, &v), 1);
		assert_int_equal(v.whole, want[i]);
	}
	assert_int_equal(example_next(&e, example_find(&e, "i"), &c, &v), 0);
	memset(&c, 0, sizeof c);
	assert_int_equal(example_next(&e, example_find(&e, "f"), &c, &v), 1);
	assert_true(v.real == 1.5f);
	assert_int_equal(example_next(&e, example_find(&e, "f"), &c, &v), 1);
	assert_true(v.real == -2);
	example_release(&e);
}

/* E02, also for more keys than are sorted in place. */
static void last_of_equal_keys(void **state)
{
	struct example e = { 0 };
	char key[16];
	int i;

	(void)state;
	clear();
	for (i = 0; i < 5; i++) {
		put_whole(&list, 1, (uint64_t)i);
		close_entry(i % 2 ? "odd" : "even", EXAMPLE_INTS);
	}
	assert_int_equal(parse(&e), 0);
	assert_int_equal(e.features, 2);
	assert_int_equal(only_whole(&e, "odd"), 3);
	assert_int_equal(only_whole(&e, "even"), 4);
	clear();
	for (i = 0; i < 1000; i++) {
		put_whole(&list, 1, (uint64_t)i);
		sprintf(key, "k%d", i % 300);
		close_entry(key, EXAMPLE_INTS);
	}
	assert_int_equal(parse(&e), 0);
	assert_int_equal(e.features, 300);
	for (i = 0; i < 300; i++) {
		sprintf(key, "k%d", i);
		assert_int_equal(only_whole(&e, key), i < 100 ? 900 + i : 600 + i);
	}
	assert_null(example_find(&e, "k"));
	assert_null(example_find(&e, "k300"));
	example_release(&e);
}

/* E03, E04, and lists of one kind in pieces, as protobuf joins them. */
static void kinds(void **state)
{
	struct example e = { 0 };
	const struct example_feature *f;

	(void)state;
	clear();
	put(&entry, 1, "none", 4);
	put(&entry, 2, "", 0);
	put(&features, 1, entry.data, entry.n);
	entry.n = 0;
	put(&entry, 1, "no value", 8);
	put(&features, 1, entry.data, entry.n);
	entry.n = 0;
	put_whole(&list, 1, 1);
	put(&feature, EXAMPLE_INTS, list.data, list.n);
	list.n = 0;
	put(&list, 1, "a", 1);
	close_entry("ints, then bytes", EXAMPLE_BYTES);
	put_whole(&list, 1, 1);
	put(&feature, EXAMPLE_INTS, list.data, list.n);
	list.n = 0;
	put_whole(&list, 1, 2);
	put_whole(&list, 1, 3);
	close_entry("pieces", EXAMPLE_INTS);
	assert_int_equal(parse(&e), 0);
	assert_int_equal(example_find(&e, "none")->kind, EXAMPLE_NONE);
	assert_int_equal(example_find(&e, "no value")->kind, EXAMPLE_NONE);
	f = example_find(&e, "ints, then bytes");
	assert_int_equal(f->kind, EXAMPLE_BYTES);
	assert_int_equal(f->count, 1);
	f = example_find(&e, "pieces");
	assert_int_equal(f->kind, EXAMPLE_INTS);
	assert_int_equal(f->count, 3);
	assert_int_equal(f->pieces, 2);
	example_release(&e);
}

/* E05 */
static void unknown_fields(void **state)
{
	struct example e = { 0 };
	int i;

	(void)state;
	clear();
	put_whole(&example, 9, 1);
	put(&example, 2, "later", 5);
	tag(&example, 3, 3);
	tag(&example, 4, 3);
	put_real(&example, 7, 1);
	tag(&example, 4, 4);
	tag(&example, 3, 4);
	put_whole(&list, 2, 8);
	put_whole(&list, 1, 9);
	tag(&list, 3, 1);
	memset(list.data + list.n, 0, 8);
	list.n += 8;
	close_entry("x", EXAMPLE_INTS);
	assert_int_equal(parse(&e), 0);
	assert_int_equal(only_whole(&e, "x"), 9);
	/* A group that does not end, one that ends another, one that did not begin. */
	clear();
	tag(&example, 3, 3);
	assert_int_equal(parse(&e), -1);
	clear();
	tag(&example, 3, 3);
	tag(&example, 4, 4);
	assert_int_equal(parse(&e), -1);
	clear();
	tag(&example, 3, 4);
	assert_int_equal(parse(&e), -1);
	/* E14 */
	clear();
	for (i = 0; i < 100000; i++)
		tag(&example, 3, 3);
	assert_int_equal(parse(&e), -1);
	assert_non_null(strstr(fail_why(), "too deep"));
	example_release(&e);
}

static int parse_values(struct example *e, const char *bytes, size_t n)
{
	clear();
	put(&list, 1, bytes, n);
	close_entry("x", EXAMPLE_INTS);
	return parse(e);
}

/* E06, E11 */
static void numbers(void **state)
{
	struct example e = { 0 };
	struct example_cursor c = { 0 };
	struct example_value v;

	(void)state;
	assert_int_equal(parse_values(&e, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10), 0);
	assert_int_equal(only_whole(&e, "x"), -1);
	assert_int_equal(parse_values(&e, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\1", 10), 0);
	assert_true(only_whole(&e, "x") == INT64_MIN);
	assert_int_equal(parse_values(&e, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9), 0);
	assert_true(only_whole(&e, "x") == INT64_MAX);
	assert_int_equal(parse_values(&e, "\x81\x80\x80\x80\x80\x80\x80\x80\x80\0", 10), 0);
	assert_int_equal(only_whole(&e, "x"), 1);
	assert_int_equal(parse_values(&e, "\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", 11), -1);
	assert_non_null(strstr(fail_why(), "10 bytes"));
	assert_int_equal(parse_values(&e, "\x81", 1), -1);
	/* E10 */
	clear();
	put_real(&list, 1, NAN);
	put_real(&list, 1, -INFINITY);
	put_real(&list, 1, -0.0f);
	close_entry("f", EXAMPLE_FLOATS);
	assert_int_equal(parse(&e), 0);
	assert_int_equal(example_next(&e, example_find(&e, "f"), &c, &v), 1);
	assert_true(isnan(v.real));
	assert_int_equal(example_next(&e, example_find(&e, "f"), &c, &v), 1);
	assert_true(isinf(v.real) && v.real < 0);
	assert_int_equal(example_next(&e, example_find(&e, "f"), &c, &v), 1);
	assert_true(!(v.real < 0 || v.real > 0) && signbit(v.real));
	clear();
	put(&list, 1, "12345", 5);
	close_entry("f", EXAMPLE_FLOATS);
	assert_int_equal(parse(&e), -1);
	example_release(&e);
}

/* E07: every length and every cut of a good message. */
static void cuts_and_lengths(void **state)
{
	struct example e = { 0 };
	unsigned char *copy;
	size_t n, i, whole;

	(void)state;
	clear();
	put(&list, 1, "abc", 3);
	close_entry("image/encoded", EXAMPLE_BYTES);
	put(&list, 1, "\1\2\3", 3);
	close_entry("i", EXAMPLE_INTS);
	assert_int_equal(parse(&e), 0);
	whole = example.n;
	for (n = 0; n < whole; n++) {
		/* Of its own size, so that a sanitizer sees each byte read beyond it. */
		copy = malloc(n ? n : 1);
		memcpy(copy, example.data, n);
		assert_int_equal(example_parse(&e, copy, n), n ? -1 : 0);
		free(copy);
	}
	copy = malloc(whole);
	for (i = 0; i < whole; i++)
		for (n = 1; n < 256; n++) {
			memcpy(copy, example.data, whole);
			copy[i] ^= (unsigned char)n;
			example_parse(&e, copy, whole);
		}
	free(copy);
	example_release(&e);
}

/* E08, E09 */
static void limits(void **state)
{
	struct example e = { 0 };
	static char key[EXAMPLE_KEY + 2];
	int i;

	(void)state;
	clear();
	for (i = 0; i <= EXAMPLE_FEATURES; i++) {
		sprintf(key, "%d", i);
		put(&entry, 1, key, strlen(key));
		put(&features, 1, entry.data, entry.n);
		entry.n = 0;
		if (i == EXAMPLE_FEATURES - 1) {
			assert_int_equal(parse(&e), 0);
			assert_int_equal(e.features, EXAMPLE_FEATURES);
			example.n = 0;
		}
	}
	assert_int_equal(parse(&e), -1);
	assert_non_null(strstr(fail_why(), "features"));
	clear();
	memset(key, 'k', EXAMPLE_KEY + 1);
	close_entry(key, EXAMPLE_BYTES);
	assert_int_equal(parse(&e), -1);
	assert_non_null(strstr(fail_why(), "key"));
	clear();
	put(&entry, 1, "a\0/\xff", 4);
	put(&features, 1, entry.data, entry.n);
	assert_int_equal(parse(&e), 0);
	assert_int_equal(e.feature[0].key_size, 4);
	example_release(&e);
}

/* E12, E13 */
static void samples(void **state)
{
	struct example e = { 0 };
	struct sample s = { 0 };
	size_t i;

	(void)state;
	clear();
	put(&list, 1, "JPEG", 4);
	close_entry(KEY_ENCODED, EXAMPLE_BYTES);
	assert_int_equal(parse(&e), 0);
	assert_int_equal(sample_take(&s, &e), -1);
	assert_non_null(strstr(fail_why(), "no image/class/label; the record has image/encoded"));
	put_whole(&list, 1, (uint64_t)-3);
	close_entry(KEY_LABEL, EXAMPLE_INTS);
	example.n = 0;
	assert_int_equal(parse(&e), 0);
	assert_int_equal(sample_take(&s, &e), 0);
	assert_int_equal(s.label, -3);
	assert_int_equal(s.image_size, 4);
	assert_int_equal(s.name_size, 0);
	assert_int_equal(s.boxes, 0);
	for (i = 0; i < 4; i++) {
		static const char *const key[] = { KEY_BOX_XMAX, KEY_BOX_YMIN, KEY_BOX_YMAX,
						   KEY_BOX_XMIN };
		put_real(&list, 1, (float)i);
		put_real(&list, 1, (float)i + 10);
		close_entry(key[i], EXAMPLE_FLOATS);
		example.n = 0;
		assert_int_equal(parse(&e), 0);
		assert_int_equal(sample_take(&s, &e), i < 3 ? -1 : 0);
	}
	assert_int_equal(s.boxes, 2);
	for (i = 0; i < 8; i++) {
		static const float want[] = { 1, 3, 2, 0, 11, 13, 12, 10 };

		assert_true(s.box[i] == want[i]);
	}
	/* Two images; an image of another kind; none. */
	put(&list, 1, "a", 1);
	put(&list, 1, "b", 1);
	close_entry(KEY_ENCODED, EXAMPLE_BYTES);
	example.n = 0;
	assert_int_equal(parse(&e), 0);
	assert_int_equal(sample_take(&s, &e), -1);
	assert_non_null(strstr(fail_why(), "2 values"));
	put_whole(&list, 1, 1);
	close_entry(KEY_ENCODED, EXAMPLE_INTS);
	example.n = 0;
	assert_int_equal(parse(&e), 0);
	assert_int_equal(sample_take(&s, &e), -1);
	assert_int_equal(example_parse(&e, "", 0), 0);
	assert_int_equal(sample_take(&s, &e), -1);
	assert_non_null(strstr(fail_why(), "no features"));
	sample_release(&s);
	example_release(&e);
}

/* ---- against protobuf-c ---- */

static void same_list(const struct example *e, const struct example_feature *f,
		      const Millrace__Feature *p)
{
	struct example_cursor c = { 0 };
	struct example_value v;
	size_t n = 0;

	switch (p->kind_case) {
	case MILLRACE__FEATURE__KIND_BYTES_LIST:
		assert_int_equal(f->kind, EXAMPLE_BYTES);
		for (; example_next(e, f, &c, &v) > 0; n++) {
			assert_true(n < p->bytes_list->n_value);
			assert_int_equal(v.size, p->bytes_list->value[n].len);
			assert_memory_equal(v.bytes, p->bytes_list->value[n].data, v.size);
		}
		assert_int_equal(n, p->bytes_list->n_value);
		break;
	case MILLRACE__FEATURE__KIND_FLOAT_LIST:
		assert_int_equal(f->kind, EXAMPLE_FLOATS);
		for (; example_next(e, f, &c, &v) > 0; n++) {
			assert_true(n < p->float_list->n_value);
			assert_memory_equal(&v.real, &p->float_list->value[n], 4);
		}
		assert_int_equal(n, p->float_list->n_value);
		break;
	case MILLRACE__FEATURE__KIND_INT64_LIST:
		assert_int_equal(f->kind, EXAMPLE_INTS);
		for (; example_next(e, f, &c, &v) > 0; n++) {
			assert_true(n < p->int64_list->n_value);
			assert_true(v.whole == p->int64_list->value[n]);
		}
		assert_int_equal(n, p->int64_list->n_value);
		break;
	default:
		assert_int_equal(f->kind, EXAMPLE_NONE);
	}
	assert_int_equal(f->count, n);
}

/* protobuf-c's keys end at a NUL. */
static int has_nul_key(const struct example *e)
{
	size_t i;

	for (i = 0; i < e->features; i++)
		if (memchr(e->feature[i].key, 0, e->feature[i].key_size))
			return 1;
	return 0;
}

/* What both accept means the same to both, the last of equal keys for each. Gives whether
 * both accepted. */
static int compare(const unsigned char *data, size_t n)
{
	struct example e = { 0 };
	Millrace__Example *p = millrace__example__unpack(NULL, n, data);
	int ours = example_parse(&e, data, n), both = !ours && p && !has_nul_key(&e);
	size_t i, k, found = 0;

	for (i = 0; both && p->features && i < p->features->n_feature; i++) {
		const Millrace__Features__Entry *entry_of = p->features->feature[i];
		const struct example_feature *f;

		for (k = i + 1; k < p->features->n_feature; k++)
			if (!strcmp(p->features->feature[k]->key, entry_of->key))
				break;
		if (k < p->features->n_feature)
			continue;
		f = example_find(&e, entry_of->key);
		assert_non_null(f);
		found++;
		if (entry_of->value)
			same_list(&e, f, entry_of->value);
		else
			assert_int_equal(f->kind, EXAMPLE_NONE);
	}
	if (both)
		assert_int_equal(found, e.features);
	if (p)
		millrace__example__free_unpacked(p, NULL);
	example_release(&e);
	return both;
}

/* A random Example through the writer; all its parts in *store. */
static unsigned char *random_example(struct rng *r, size_t *n)
{
	static char keys[8][24];
	static int64_t wholes[8][40];
	static float reals[8][40];
	static struct example_piece pieces[8][40];
	static unsigned char noise[64];
	struct example_field field[8];
	size_t fields = rng_below(r, 9), i, k;

	for (i = 0; i < sizeof noise; i++)
		noise[i] = (unsigned char)rng_u32(r);
	for (i = 0; i < fields; i++) {
		size_t count = rng_below(r, 40);

		sprintf(keys[i], "key/%c%zu", (int)('a' + rng_below(r, 26)), i);
		field[i] = (struct example_field){ keys[i], (enum example_kind)rng_below(r, 4),
						   count, pieces[i], reals[i], wholes[i] };
		for (k = 0; k < count; k++) {
			uint32_t bits = rng_u32(r);

			wholes[i][k] = (int64_t)((uint64_t)rng_u32(r) << 32 | bits) >>
				       rng_below(r, 64);
			memcpy(&reals[i][k], &bits, 4);
			pieces[i][k].data = noise;
			pieces[i][k].size = rng_below(r, sizeof noise);
		}
	}
	return example_pack(field, fields, n);
}

static void random_examples(void **state)
{
	struct rng r;
	int i, k, both = 0;

	(void)state;
	rng_init(&r, 1, 0, "examples");
	for (i = 0; i < 3000; i++) {
		size_t n;
		unsigned char *data = random_example(&r, &n);

		assert_non_null(data);
		assert_true(compare(data, n));
		for (k = 0; n && k < 4; k++) {
			data[rng_below(&r, n)] ^= (unsigned char)(1 << rng_below(&r, 8));
			both += compare(data, n);
		}
		free(data);
	}
	assert_true(both > 1000);
}

/* The writer: keys sorted, the same bytes for any order of the fields. */
static void writer_sorts(void **state)
{
	int64_t one = 1, two = -2;
	struct example_field a[] = { { "b", EXAMPLE_INTS, 1, NULL, NULL, &one },
				     { "a", EXAMPLE_INTS, 1, NULL, NULL, &two } };
	struct example_field b[] = { a[1], a[0] };
	static const unsigned char want[] = {
		0x0a, 33, 0x0a, 19, 0x0a, 1, 'a', 0x12, 14, 0x1a, 12, 0x0a, 10,
		0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
		0x0a, 10, 0x0a, 1, 'b', 0x12, 5, 0x1a, 3, 0x0a, 1, 1 };
	size_t n, m;
	unsigned char *x = example_pack(a, 2, &n), *y = example_pack(b, 2, &m);

	(void)state;
	assert_int_equal(n, m);
	assert_memory_equal(x, y, n);
	assert_int_equal(n, sizeof want);
	assert_memory_equal(x, want, sizeof want);
	free(x);
	free(y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unpacked_lists),
		cmocka_unit_test(last_of_equal_keys),
		cmocka_unit_test(kinds),
		cmocka_unit_test(unknown_fields),
		cmocka_unit_test(numbers),
		cmocka_unit_test(cuts_and_lengths),
		cmocka_unit_test(limits),
		cmocka_unit_test(samples),
		cmocka_unit_test(random_examples),
		cmocka_unit_test(writer_sorts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
