#include "dev/cuda/find.h"

#include "base/fail.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct search {
	const char *name;
	void *handle;           /* what was found */
	char why[FAIL_MAX / 2]; /* of a file that is there but cannot be opened; "" */
};

/* ---- one place ---- */

static void try_path(struct search *s, const char *path)
{
	if (s->handle || access(path, F_OK))
		return;
	s->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!s->handle && !*s->why)
		snprintf(s->why, sizeof s->why, "%s", dlerror());
}

/* All files that "FOLDER/PATTERN/NAME" stands for; no folder: none. */
static void try_files(struct search *s, const char *folder, const char *pattern)
{
	char path[PATH_MAX];
	glob_t found;

	if (s->handle || !folder || !*folder ||
	    snprintf(path, sizeof path, "%s/%s/%s", folder, pattern, s->name) >= PATH_MAX)
		return;
	if (!glob(path, 0, NULL, &found))
		for (size_t i = 0; i < found.gl_pathc; i++)
			try_path(s, found.gl_pathv[i]);
	globfree(&found);
}

/* ---- Python's packages ---- */

/* Those of an installation's folder, as /usr/local. */
static void try_python(struct search *s, const char *folder)
{
	try_files(s, folder, "lib/python3*/*-packages/nvidia/*/lib");
}

/* Of each python3 on PATH: where it is, and where it is linked to. */
static void try_python_on_path(struct search *s)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX], real[PATH_MAX], *end;

	for (size_t n; path && *path && !s->handle; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		if (snprintf(file, sizeof file, "%.*s/python3", (int)n, path) >= PATH_MAX ||
		    access(file, X_OK))
			continue;
		end = realpath(file, real) ? strstr(real, "/bin/python3") : NULL;
		*strrchr(file, '/') = '\0';
		if (strlen(file) + sizeof "/.." <= sizeof file)
			try_python(s, strcat(file, "/.."));
		if (end) {
			*end = '\0';
			try_python(s, real);
		}
	}
}

static void try_pythons(struct search *s)
{
	const char *home = getenv("HOME");
	char local[PATH_MAX];

	try_python(s, getenv("VIRTUAL_ENV"));
	try_python(s, getenv("CONDA_PREFIX"));
	try_python_on_path(s);
	if (home && snprintf(local, sizeof local, "%s/.local", home) < PATH_MAX)
		try_python(s, local);
	try_python(s, "/usr/local");
	try_python(s, "/usr");
}

/* ---- all ---- */

static void *given_open(const char *given, const char *name, const char *words)
{
	static const char *const patterns[] = { ".", "*/lib", "nvidia/*/lib", "lib64", "lib" };
	struct search s = { .name = name };

	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
		try_files(&s, given, patterns[i]);
	if (!s.handle && *s.why)
		fail("cuda: %s: %s", words, s.why);
	else if (!s.handle)
		fail("cuda: %s: no %s in %s, its lib, lib64, */lib or nvidia/*/lib (--cuda-libs)",
		     words, name, given);
	return s.handle;
}

void *library_open(const char *name, const char *words, const char *built)
{
	static const char *const homes[] = { "CUDA_HOME", "CUDA_PATH" };
	static const char *const folders[] = { "/usr/local/cuda", "/opt/cuda" };
	const char *given = getenv("MILLRACE_CUDA_LIBS");
	struct search s = { .name = name };

	if (given && *given)
		return given_open(given, name, words);
	s.handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	try_files(&s, built, ".");
	for (int k = 0; k < 2; k++) {
		try_files(&s, getenv(homes[k]), "lib64");
		try_files(&s, getenv(homes[k]), "lib");
	}
	for (int k = 0; k < 2; k++)
		try_files(&s, folders[k], "lib64");
	try_pythons(&s);
	if (!s.handle && *s.why)
		fail("cuda: %s: %s", words, s.why);
	else if (!s.handle)
		fail("cuda: %s: no %s where the loader looks, in CUDA's folders, or in the nvidia "
		     "packages of Python: --cuda-libs DIR names the folder that holds it, or "
		     "install it (%s)", words, name,
		     strstr(name, "nccl") ? "pip install nvidia-nccl-cu13"
					  : "pip install nvidia-cudnn-cu13");
	return s.handle;
}

const char *library_path(void *handle)
{
	struct link_map *map = NULL;

	return handle && !dlinfo(handle, RTLD_DI_LINKMAP, &map) && map && map->l_name
	     ? map->l_name : "";
}
