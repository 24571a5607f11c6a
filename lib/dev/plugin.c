#include "dev/plugin.h"

#include "base/fail.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a plug-in's libraries are called where they are to be had. */
static const struct { const char *name, *needs; } plugin_needs[] = {
	{ "cpu", "oneDNN 2 (Debian: apt-get install libdnnl2)" },
	{ "cuda", "an NVIDIA driver, CUDA, cuDNN and NCCL" },
	{ "mpi", "MPI (Debian: apt-get install openmpi-bin)" },
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
	return fail("%s: %s (MILLRACE_PLUGINS names another folder); it needs %s", name,
		    fail_why(), needs_of(name));
}

/* Stays open: its libraries have threads of their own. */
static void *symbol_in(const char *name, const char *path, const char *symbol)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL), *at;

	if (!handle) {
		fail("%s: %s; it needs %s", name, dlerror(), needs_of(name));
		return NULL;
	}
	at = dlsym(handle, symbol);
	if (!at) {
		fail("%s: %s is not this plug-in", name, path);
		dlclose(handle);
	}
	return at;
}

void *plugin_symbol(const char *name, const char *symbol)
{
	char folder[PLUGIN_FOLDERS][PATH_MAX], *path;
	int i, missing, folders = plugin_folders(folder);
	void *at;

	for (i = 0; i < folders; i++) {
		if (asprintf(&path, "%s/millrace-%s.so", folder[i], name) < 0) {
			fail("out of memory");
			return NULL;
		}
		missing = access(path, F_OK);
		at = missing ? NULL : symbol_in(name, path, symbol);
		free(path);
		if (!missing)
			return at;
	}
	plugin_missing(name, folder, folders);
	return NULL;
}
