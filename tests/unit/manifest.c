/* Names of shards, indexes and manifests: written, read back, and refused where they are
 * damaged or contradict themselves. */
#include "base/fail.h"
#include "data/index.h"
#include "data/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/millrace-manifest-XXXXXX";

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void shard_names(void **state)
{
	static const struct {
		const char *path;
		int good;
		size_t prefix;
		uint32_t number, of;
	} is[] = {
		{ "train-00017-of-01024", 1, 5, 17, 1024 },
		{ "/data/a-b/x-y-00000-of-00001", 1, 13, 0, 1 },
		{ "d-00000-of-00002/train-00001-of-00002", 1, 22, 1, 2 },
		{ "train-100000-of-100001", 1, 5, 100000, 100001 },
		{ "train-00002-of-00002", 0, 0, 0, 0 },
		{ "train-0001-of-0002", 0, 0, 0, 0 },
		{ "-00001-of-00002", 0, 0, 0, 0 },
		{ "train-00001-of-00002.gz", 0, 0, 0, 0 },
		{ "train-0000x-of-00002", 0, 0, 0, 0 },
		{ "train-99999999999-of-99999999999", 0, 0, 0, 0 },
		{ "train.tfrecord", 0, 0, 0, 0 },
		{ "", 0, 0, 0, 0 },
	};
	size_t i, prefix;
	uint32_t number, of;
	char *path;

	(void)state;
	for (i = 0; i < sizeof is / sizeof *is; i++) {
		assert_int_equal(shard_name(is[i].path, &prefix, &number, &of), is[i].good);
		if (!is[i].good)
			continue;
		assert_int_equal(prefix, is[i].prefix);
		assert_int_equal(number, is[i].number);
		assert_int_equal(of, is[i].of);
	}
	path = shard_path("a/train", 3, 8);
	assert_string_equal(path, "a/train-00003-of-00008");
	free(path);
	path = index_path("a/train-00003-of-00008");
	assert_string_equal(path, "a/idx/train-00003-of-00008.idx");
	free(path);
	path = index_path("x");
	assert_string_equal(path, "idx/x.idx");
	free(path);
}

static void index_round_trip(void **state)
{
	struct index x = { 0 }, y;
	int status, i;

	(void)state;
	assert_int_equal(index_read(&y, "none", &status), 0);
	for (i = 0; i < 1000; i++)
		assert_int_equal(index_add(&x, (uint64_t)i * i + 16), 0);
	assert_int_equal(index_write(&x, "s"), 0);
	assert_int_equal(index_read(&y, "s", &status), 1);
	assert_int_equal(y.count, 1000);
	assert_memory_equal(x.offset, y.offset, 1001 * sizeof *x.offset);
	assert_int_equal(index_longest(&y), 999 * 999 + 16);
	assert_int_equal(index_fits(&y, "s", y.offset[1000]), 0);
	assert_int_equal(index_fits(&y, "s", y.offset[1000] - 1), -1);
	assert_non_null(strstr(fail_why(), "tfrec-ls --index"));
	index_release(&x);
	index_release(&y);
	assert_int_equal(index_write(&x, "empty"), 0);
	assert_int_equal(index_read(&y, "empty", &status), 1);
	assert_int_equal(y.count, 0);
	assert_int_equal(index_fits(&y, "empty", 0), 0);
	assert_int_equal(index_fits(&y, "empty", 1), -1);
	index_release(&y);
}

/* O05 */
static void bad_indexes(void **state)
{
	static const char *const bad[] = { "0", "0 \n", "0 15\n", "0 16\n17 20\n", "0 16\n15 20\n",
		"1 16\n", "0 16\n\n", "0  16\n", "-0 16\n", "0 16 \n", "0 x\n", "0 16\n16",
		"0 99999999999999999999\n", "0 18446744073709551615\n18446744073709551615 16\n",
		"0\t16\n" };
	struct index x;
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		put_file("idx/bad.idx", bad[i]);
		assert_int_equal(index_read(&x, "bad", &status), -1);
		assert_int_equal(status, 1);
		assert_non_null(strstr(fail_why(), "idx/bad.idx: line "));
		assert_null(x.offset);
	}
	put_file("idx/good.idx", "0 16\r\n16 20");
	assert_int_equal(index_read(&x, "good", &status), 1);
	assert_int_equal(x.count, 2);
	index_release(&x);
}

static char *copy(const char *s)
{
	char *to = strdup(s);

	assert_non_null(to);
	return to;
}

static void manifest_round_trip(void **state)
{
	struct manifest m = { .samples = 5, .longest = 77, .label_base = 1, .boxes = 1,
			      .shards = 2, .classes = 2 }, r;
	const struct manifest_shard *s;
	int status;

	(void)state;
	m.path = copy("t.json");
	m.shard = calloc(2, sizeof *m.shard);
	m.class = calloc(2, sizeof *m.class);
	m.shard[0] = (struct manifest_shard){ copy("t-00000-of-00002"), 3, 300 };
	m.shard[1] = (struct manifest_shard){ copy("t-00001-of-00002"), 2, 200 };
	m.class[0] = (struct manifest_class){ copy("caf\xc3\xa9 \"1\""), copy("a\tb"), 4 };
	m.class[1] = (struct manifest_class){ copy("z"), NULL, 1 };
	assert_int_equal(manifest_write(&m), 0);
	assert_int_equal(manifest_read(&r, "t.json", &status), 1);
	assert_int_equal(r.samples, 5);
	assert_int_equal(r.longest, 77);
	assert_int_equal(r.label_base, 1);
	assert_int_equal(r.boxes, 1);
	assert_int_equal(r.classes, 2);
	assert_string_equal(r.class[0].name, m.class[0].name);
	assert_string_equal(r.class[0].text, "a\tb");
	assert_null(r.class[1].text);
	s = manifest_find(&r, "some/where/t-00001-of-00002");
	assert_non_null(s);
	assert_int_equal(s->samples, 2);
	assert_int_equal(s->bytes, 200);
	assert_null(manifest_find(&r, "t-00002-of-00003"));
	manifest_release(&r);
	free(m.class[1].name);
	m.class[1].name = copy("\xff");
	assert_int_equal(manifest_write(&m), -1);
	assert_non_null(strstr(fail_why(), "UTF-8"));
	manifest_release(&m);
}

static void bad_manifests(void **state)
{
#define REST "\"longest\":1,\"label_base\":1,\"classes\":[]"
#define HEAD "{\"format\":\"millrace-shards\",\"version\":1,"
	static const char *const bad[] = {
		"{", "", "[1",
		HEAD "\"samples\":1," REST "}",
		HEAD "\"samples\":1," REST ",\"shards\":[]}",
		HEAD "\"samples\":1," REST
			",\"shards\":[{\"name\":\"a\",\"samples\":2,\"bytes\":1}]}",
		HEAD "\"samples\":-1," REST
			",\"shards\":[{\"name\":\"a\",\"samples\":-1,\"bytes\":1}]}",
		HEAD "\"samples\":1," REST ",\"shards\":[{\"samples\":1,\"bytes\":1}]}",
		HEAD "\"samples\":1,\"samples\":1," REST ",\"shards\":[]}",
		"{\"format\":\"millrace-shards\",\"version\":2}",
	};
	struct manifest m;
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		put_file("bad.json", bad[i]);
		assert_int_equal(manifest_read(&m, "bad.json", &status), -1);
		assert_int_equal(status, 1);
		assert_non_null(strstr(fail_why(), "bad.json: "));
		assert_null(m.path);
	}
	put_file("other.json", "{\"classes\": 3}");
	assert_int_equal(manifest_read(&m, "other.json", &status), 0);
	put_file("good.json", HEAD "\"samples\":1," REST
		 ",\"shards\":[{\"name\":\"a\",\"samples\":1,\"bytes\":1}]}");
	assert_int_equal(manifest_read(&m, "good.json", &status), 1);
	manifest_release(&m);
	assert_int_equal(manifest_read(&m, "none.json", &status), 0);
}

static int begin(void **state)
{
	(void)state;
	return !mkdtemp(folder) || chdir(folder);
}

static int end(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return chdir("/") || system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shard_names),
		cmocka_unit_test(index_round_trip),
		cmocka_unit_test(bad_indexes),
		cmocka_unit_test(manifest_round_trip),
		cmocka_unit_test(bad_manifests),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
