#include "dev/dev.h"

#include "base/fail.h"
#include "dev/plugin.h"
#include "dev/ref/ref.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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

static const struct backend *plugin_find(const char *name)
{
	const struct backend *(*table)(void) = NULL;
	const struct backend *b;
	void *symbol;

	openmp_waiting();
	symbol = plugin_symbol(name, "millrace_backend");
	if (!symbol)
		return NULL;
	memcpy(&table, &symbol, sizeof table);
	b = table();
	if (b->abi == BACKEND_ABI && !strcmp(b->name, name))
		return b;
	if (b->abi != BACKEND_ABI)
		fail("%s: its plug-in is of another version (ABI %d, not %d): build both together",
		     name, b->abi, BACKEND_ABI);
	else
		fail("%s: its plug-in is that of %s", name, b->name);
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
