#include "dev/dev.h"

#include "base/fail.h"
#include "dev/ref/ref.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- names ---- */

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

/* Digits at s as a number below 10^6; *end behind them. -1: none, or too large. */
static int digits(const char *s, const char **end)
{
	int n = 0, count = 0;

	for (; *s >= '0' && *s <= '9'; s++, count++) {
		if (count == 6)
			return -1;
		n = n * 10 + (*s - '0');
	}
	*end = s;
	return count ? n : -1;
}

struct names {
	struct device_name *name;
	int most, count;
};

static int names_add(struct names *names, const struct device_name *name, int times)
{
	for (; times > 0; times--) {
		if (names->count == names->most)
			return fail("more than %d devices", names->most);
		names->name[names->count++] = *name;
	}
	return 0;
}

/* "0-3": each of them. */
static int names_add_range(struct names *names, struct device_name *name, int times,
			   int from, int to)
{
	for (; from <= to; from++) {
		snprintf(name->which, sizeof name->which, "%d", from);
		TRY(names_add(names, name, times));
	}
	return 0;
}

/* One item of a list: NAME, NAME:WHICH, NAME:FROM-TO, each with *TIMES behind it. */
static int names_item(struct names *names, const char *item, size_t length)
{
	struct device_name name = { "", "" };
	const char *end = item + length, *star = memchr(item, '*', length), *after;
	size_t n = strspn(item, name_letters), which;
	int times = 1, from, to;

	if (star) {
		times = digits(star + 1, &after);
		if (times < 1 || after != end)
			return fail("%.*s: a number of times, 1 or more, belongs behind *",
				    (int)length, item);
		end = star;
	}
	if (!n || n >= sizeof name.backend || (item + n != end && item[n] != ':'))
		return fail("%.*s: not a device (as cpu, cpu*2, cuda:0-3)", (int)length, item);
	memcpy(name.backend, item, n);
	if (item + n == end)
		return names_add(names, &name, times);

	item += n + 1;
	which = (size_t)(end - item);
	if (!which || which >= sizeof name.which)
		return fail("%s: which one? (as %s:0)", name.backend, name.backend);
	from = digits(item, &after);
	if (from >= 0 && *after == '-') {
		to = digits(after + 1, &after);
		if (after == end && to >= from)
			return names_add_range(names, &name, times, from, to);
		return fail("%s:%.*s: not a range of devices", name.backend, (int)which, item);
	}
	memcpy(name.which, item, which);
	return names_add(names, &name, times);
}

int device_names(const char *list, struct device_name *name, int most)
{
	struct names names = { name, most, 0 };
	size_t length;

	for (;; list += length + 1) {
		length = strcspn(list, ",");
		if (names_item(&names, list, length))
			return fail_add("devices");
		if (!list[length])
			return names.count;
	}
}

/* ---- backends ---- */

/* What a plug-in's libraries are called where they are to be had. */
static const struct { const char *name, *needs; } plugin_needs[] = {
	{ "cpu", "oneDNN 2 (Debian: apt-get install libdnnl2)" },
	{ "cuda", "an NVIDIA driver, CUDA, cuDNN and NCCL" },
};

static const char *needs_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof plugin_needs / sizeof *plugin_needs; i++)
		if (!strcmp(plugin_needs[i].name, name))
			return plugin_needs[i].needs;
	return "the libraries it was built with";
}

/* The folders that are looked into, in this order. */
enum { PLUGIN_FOLDERS = 3 };

static int plugin_folders(char folder[PLUGIN_FOLDERS][PATH_MAX])
{
	const char *given = getenv("MILLRACE_PLUGINS");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	int count = 0;

	if (given && *given && strlen(given) < PATH_MAX)
		strcpy(folder[count++], given);
	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		strcpy(folder[count++], self);
		if ((size_t)n + sizeof "/../lib/millrace" < PATH_MAX)
			snprintf(folder[count++], PATH_MAX, "%.*s/../lib/millrace",
				 (int)(PATH_MAX - sizeof "/../lib/millrace"), self);
	}
	return count;
}

static int plugin_missing(const char *name, char folder[][PATH_MAX], int folders)
{
	int i;

	fail("no plug-in millrace-%s.so in", name);
	for (i = 0; i < folders; i++)
		fail("%s%s %s", fail_why(), i ? " or" : "", folder[i]);
	return fail("%s: %s (MILLRACE_PLUGINS names another folder)", name, fail_why());
}

/* libgomp's waiting threads spin for milliseconds by default, which stalls every
 * parallel region where img-augment uses the cores as well. It reads these once, when
 * it is loaded. */
static void openmp_waiting(void)
{
	if (!getenv("OMP_WAIT_POLICY"))
		setenv("GOMP_SPINCOUNT", "2000", 0);
}

/* A plug-in has no other ear before a device of it is open. */
int device_libraries(const char *folder)
{
	return folder && setenv("MILLRACE_CUDA_LIBS", folder, 1) ? fail("out of memory") : 0;
}

/* The symbol's address is a function: ISO C has no cast for that. */
static const struct backend *plugin_table(void *handle)
{
	const struct backend *(*table)(void) = NULL;
	void *symbol = dlsym(handle, "millrace_backend");

	memcpy(&table, &symbol, sizeof table);
	return table ? table() : NULL;
}

static const struct backend *plugin_open(const char *name, const char *path)
{
	const struct backend *b;
	void *handle;

	openmp_waiting();
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		fail("%s: %s; it needs %s", name, dlerror(), needs_of(name));
		return NULL;
	}
	b = plugin_table(handle);
	if (b && b->abi == BACKEND_ABI && !strcmp(b->name, name))
		return b;       /* stays open: its libraries have threads of their own */
	if (b && b->abi != BACKEND_ABI)
		fail("%s: %s is of another version (ABI %d, not %d): build both together",
		     name, path, b->abi, BACKEND_ABI);
	else
		fail("%s: %s is not this plug-in", name, path);
	dlclose(handle);
	return NULL;
}

static const struct backend *plugin_find(const char *name)
{
	char folder[PLUGIN_FOLDERS][PATH_MAX], *path;
	const struct backend *b;
	int i, missing, folders = plugin_folders(folder);

	for (i = 0; i < folders; i++) {
		if (asprintf(&path, "%s/millrace-%s.so", folder[i], name) < 0) {
			fail("out of memory");
			return NULL;
		}
		missing = access(path, F_OK);
		b = missing ? NULL : plugin_open(name, path);
		free(path);
		if (!missing)
			return b;
	}
	plugin_missing(name, folder, folders);
	return NULL;
}

enum { BACKENDS = 8 };

static struct {
	pthread_mutex_t lock;
	int count;
	const struct backend *found[BACKENDS];
} backends = { PTHREAD_MUTEX_INITIALIZER, 1, { &ref_backend } };

const struct backend *backend_find(const char *name)
{
	const struct backend *b = NULL;
	int i;

	if (!*name || strlen(name) > 15 || name[strspn(name, name_letters)]) {
		fail("%s: not a backend (as ref, cpu, cuda)", name);
		return NULL;
	}
	pthread_mutex_lock(&backends.lock);
	for (i = 0; i < backends.count && !b; i++)
		if (!strcmp(backends.found[i]->name, name))
			b = backends.found[i];
	if (!b) {
		b = plugin_find(name);
		if (b && backends.count < BACKENDS)
			backends.found[backends.count++] = b;
	}
	pthread_mutex_unlock(&backends.lock);
	return b;
}
