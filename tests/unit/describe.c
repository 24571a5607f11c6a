/* Samples in words, and arrays of NumPy: every type of number. */
#include "data/describe.h"
#include "data/npy.h"

#include "stream_made.h"

#include <stdio.h>

static const struct stream_head head = {
	.samples = 2, .payload_max = 4096, .record_max = 4, .classes = 3, .parts = 2,
	.columns = 8,
	.column = {
		{ "label", DTYPE_I32, 1, { 1 } }, { "id", DTYPE_I64, 1, { 1 } },
		{ "half", DTYPE_F16, 1, { 7 } }, { "brain", DTYPE_BF16, 1, { 2 } },
		{ "boxes", DTYPE_F32, 2, { STREAM_VARIES, 4 } },
		{ "name", DTYPE_U8, 1, { STREAM_VARIES } }, { "m", DTYPE_U8, 2, { 2, 2 } },
		{ "big", DTYPE_F32, 2, { 3, 6 } },
	},
	.meta = (char *)"{\"classes\":[\"ant\",\"\",\"b\\\"ee\"]}",
};

static int make_stream(void)
{
	unsigned char label[8], id[16], half[28], brain[8], box[32] = { 0 }, m[8], big[144] = { 0 };
	static const uint16_t halves[] = { 0, 0x8000, 0x3c00, 0x0001, 0x7bff, 0x7c00, 0x7e00 };
	uint32_t boxes[] = { 2, 0 }, name[] = { 4, 3 };
	struct stream_view v[] = {
		{ label, NULL, 8 }, { id, NULL, 16 }, { half, NULL, 28 }, { brain, NULL, 8 },
		{ box, boxes, 32 }, { (const unsigned char *)"a\"\xff\nc\xc3\xa9", name, 7 },
		{ m, NULL, 8 }, { big, NULL, 144 },
	};
	struct stream_writer *w;
	int fd;

	put_u32(label, 2);
	put_u32(label + 4, (uint32_t)-1);
	put_u64(id, (uint64_t)17 << 32 | 203);
	put_u64(id + 8, (uint64_t)0xffffffff << 32 | 0xffffffff);
	for (int i = 0; i < 14; i++)
		put_u16(half + 2 * i, halves[i % 7]);
	put_u16(brain, 0x3fc0);
	put_u16(brain + 2, 0xc000);
	put_u32(brain + 4, 0x7f80ff80);
	put_u32(box + 4, 0x3e800000);
	put_u32(box + 28, 0x3f800000);
	for (int i = 0; i < 8; i++)
		m[i] = (unsigned char)i;
	w = made_begin(&fd, &head);
	assert_int_equal(stream_write(w, 5, 2, v), 0);
	assert_int_equal(stream_end(w, 9), 0);
	stream_writer_close(w);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void every_type(void **state)
{
	static const char *const want[] = {
		"{\"position\":5,\"label\":2,\"class\":\"b\\\"ee\",\"id\":\"17:203\","
		"\"half\":[0,-0,1,5.96046448e-08,65504,null,null],\"brain\":[1.5,-2],"
		"\"boxes\":[[0,0.25,0,0],[0,0,0,1]],\"name\":\"a\\\"?\\n\",\"m\":[[0,1],[2,3]],"
		"\"big\":{\"shape\":[3,6]}}",
		"{\"position\":7,\"label\":-1,\"id\":\"4294967295:4294967295\","
		"\"half\":[0,-0,1,5.96046448e-08,65504,null,null],\"brain\":[null,null],"
		"\"boxes\":[],\"name\":\"c\xc3\xa9\",\"m\":[[4,5],[6,7]],"
		"\"big\":{\"shape\":[3,6]}}",
	};
	int fd = make_stream(), status, i = 0;
	struct stream_reader *r = stream_open(fd, "made", &status);
	struct class_names names;
	struct stream_record record;
	struct walk w;

	(void)state;
	assert_non_null(r);
	assert_int_equal(class_names_read(&names, stream_head(r)), 0);
	assert_int_equal(names.count, 3);
	assert_null(class_names_get(&names, 1));
	assert_null(class_names_get(&names, 3));
	assert_int_equal(stream_read(r, &record), 1);
	walk_begin(&w, r, &record);
	while (walk_next(&w)) {
		struct text t = { 0 };
		char *line;

		describe_sample(&w, &names, &t);
		line = text_take(&t);
		assert_string_equal(line, want[i++]);
		free(line);
	}
	assert_int_equal(i, 2);
	class_names_release(&names);
	stream_close(r);
	close(fd);
}

static void summary(void **state)
{
	static const char *const lines[] = {
		"columns     label i32 [1]\n            id i64 [1]\n", "boxes f32 [*,4]\n",
		"samples     2, positions 5 to 7, one of 2 parts\n", "bad         1\n",
		"    2         1 ######################################## b\"ee\n",
		"metadata    classes: 3 names\n",
	};
	int fd = make_stream(), status;
	struct stream_reader *r = stream_open(fd, "made", &status);
	struct class_names names;
	struct stream_record record;
	struct tally tally = { 0 };
	struct text t = { 0 };
	char *text;

	(void)state;
	assert_non_null(r);
	assert_int_equal(class_names_read(&names, stream_head(r)), 0);
	while (stream_read(r, &record) > 0)
		assert_int_equal(tally_record(&tally, r, &record), 0);
	tally_text(&tally, stream_head(r), &names, &t);
	text = text_take(&t);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(text, lines[i]))
			fail_msg("no '%s' in '%s'", lines[i], text);
	free(text);
	tally_release(&tally);
	class_names_release(&names);
	stream_close(r);
	close(fd);
}

static void arrays(void **state)
{
	static const uint16_t brain[] = { 0x3fc0, 0xc000, 0, 0x7f80, 1, 2 };
	unsigned char *b;
	struct npy a;
	size_t n;
	int fd = memory_file();

	(void)state;
	assert_int_equal(npy_begin(&a, fd, DTYPE_BF16, 2, (const uint32_t[]){ 1, 3 }), 0);
	assert_int_equal(npy_add(&a, brain, 1), 0);
	assert_int_equal(npy_add(&a, brain + 3, 1), 0);
	assert_int_equal(npy_end(&a), 0);
	b = bytes_of(fd, &n);
	assert_int_equal(n, 192 + 24);
	assert_memory_equal(b, "\x93NUMPY\1\0\xb6\0{'descr': '<f4', 'fortran_order': False, "
			    "'shape': (2, 1, 3), }  ", 74);
	assert_int_equal(b[191], '\n');
	assert_int_equal(get_u32(b + 192), 0x3fc00000);
	assert_int_equal(get_u32(b + 192 + 20), 0x20000);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type),
		cmocka_unit_test(summary),
		cmocka_unit_test(arrays),
	};

	return cmocka_run_group_tests_name("samples in words", tests, NULL, NULL);
}
