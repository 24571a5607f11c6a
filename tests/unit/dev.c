/* Names of devices, and backends that are found or not. */
#include "base/fail.h"
#include "dev/dev.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct { const char *list, *said; } names[] = {
	{ "cpu", "cpu" },
	{ "ref,cpu", "ref cpu" },
	{ "cpu*3", "cpu cpu cpu" },
	{ "cuda:1", "cuda:1" },
	{ "cuda:0-3", "cuda:0 cuda:1 cuda:2 cuda:3" },
	{ "cuda:9-11", "cuda:9 cuda:10 cuda:11" },
	{ "cuda:1-2*2,ref", "cuda:1 cuda:1 cuda:2 cuda:2 ref" },
	{ "cuda:GPU-8a1b", "cuda:GPU-8a1b" },
	{ "cpu*8", "cpu cpu cpu cpu cpu cpu cpu cpu" },
	{ "cpu*9", "devices: more than 8 devices" },
	{ "cuda:0-8", "devices: more than 8 devices" },
	{ "", "devices: : not a device (as cpu, cpu*2, cuda:0-3)" },
	{ "cpu,", "devices: : not a device (as cpu, cpu*2, cuda:0-3)" },
	{ "Cpu", "devices: Cpu: not a device (as cpu, cpu*2, cuda:0-3)" },
	{ "../x", "devices: ../x: not a device (as cpu, cpu*2, cuda:0-3)" },
	{ "averyverylongname",
	  "devices: averyverylongname: not a device (as cpu, cpu*2, cuda:0-3)" },
	{ "cpu*0", "devices: cpu*0: a number of times, 1 or more, belongs behind *" },
	{ "cpu*", "devices: cpu*: a number of times, 1 or more, belongs behind *" },
	{ "cpu*2x", "devices: cpu*2x: a number of times, 1 or more, belongs behind *" },
	{ "cpu*9999999", "devices: cpu*9999999: a number of times, 1 or more, belongs behind *" },
	{ "cuda:", "devices: cuda: which one? (as cuda:0)" },
	{ "cuda:3-1", "devices: cuda:3-1: not a range of devices" },
	{ "cuda:1-", "devices: cuda:1-: not a range of devices" },
};

static void lists(void **state)
{
	struct device_name name[8];
	char said[512];
	size_t i;
	int n, k;

	(void)state;
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		n = device_names(names[i].list, name, 8);
		said[0] = '\0';
		for (k = 0; k < n; k++)
			sprintf(said + strlen(said), "%s%s%s%s", k ? " " : "", name[k].backend,
				*name[k].which ? ":" : "", name[k].which);
		assert_string_equal(n < 0 ? fail_why() : said, names[i].said);
	}
}

static void ref_is_built_in(void **state)
{
	const struct backend *ref = backend_find("ref");
	struct device *dev;

	(void)state;
	assert_non_null(ref);
	assert_int_equal(ref->abi, BACKEND_ABI);
	dev = ref->open(NULL, 0);
	assert_non_null(dev);
	assert_string_equal(ref->target(dev).name, "ref");
	assert_string_equal(ref->describe(dev), "ref: plain loops, 1 thread");
	ref->close(dev);
	assert_null(ref->open("1", 0));
	assert_string_equal(fail_why(), "ref:1: there is only one");
	assert_null(ref->open(NULL, 4));
	assert_string_equal(fail_why(), "ref: 4 threads asked for, it computes in one");
	ref->close(NULL);
}

static void missing_plugins_are_named(void **state)
{
	(void)state;
	unsetenv("MILLRACE_PLUGINS");
	assert_null(backend_find("abacus"));
	assert_ptr_equal(strstr(fail_why(), "abacus: no plug-in millrace-abacus.so in /"),
			 fail_why());
	assert_non_null(strstr(fail_why(), "/../lib/millrace (MILLRACE_PLUGINS names"));
	assert_null(backend_find("../../x"));
	assert_string_equal(fail_why(), "../../x: not a backend (as ref, cpu, cuda)");
	assert_null(backend_find(""));
}

/* A file that is there but cannot be opened: the loader's reason and what it needs. */
static void broken_plugins_are_explained(void **state)
{
	char folder[] = "/tmp/millrace-dev-XXXXXX", path[64];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/millrace-cuda.so", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs("not a library", f);
	assert_int_equal(fclose(f), 0);
	setenv("MILLRACE_PLUGINS", folder, 1);
	unsetenv("OMP_WAIT_POLICY");
	setenv("GOMP_SPINCOUNT", "7", 1);
	assert_null(backend_find("cuda"));
	assert_ptr_equal(strstr(fail_why(), "cuda: "), fail_why());
	assert_non_null(strstr(fail_why(), path));
	assert_non_null(strstr(fail_why(), "it needs an NVIDIA driver"));
	/* what the user set stays; what he did not is set */
	assert_string_equal(getenv("GOMP_SPINCOUNT"), "7");
	unsetenv("GOMP_SPINCOUNT");
	assert_null(backend_find("cuda"));
	assert_string_equal(getenv("GOMP_SPINCOUNT"), "2000");
	unsetenv("GOMP_SPINCOUNT");
	setenv("OMP_WAIT_POLICY", "passive", 1);
	assert_null(backend_find("cuda"));
	assert_null(getenv("GOMP_SPINCOUNT"));
	unsetenv("OMP_WAIT_POLICY");
	unlink(path);
	rmdir(folder);
	unsetenv("MILLRACE_PLUGINS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(ref_is_built_in),
		cmocka_unit_test(missing_plugins_are_named),
		cmocka_unit_test(broken_plugins_are_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
