/* The files of tests/data for unit tests of images. TESTS names the tests' folder; without
 * it the tests run from the root of the repository. */
#ifndef TESTS_DATA_FILES_H
#define TESTS_DATA_FILES_H

#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>

/* The caller frees it; the test fails where it cannot be read. */
static inline char *data_file(const char *name, size_t *n)
{
	const char *tests = getenv("TESTS");
	char path[4096], *data;

	snprintf(path, sizeof(path), "%s/data/%s", tests ? tests : "tests", name);
	data = file_read(path, (size_t)1 << 20, n);
	assert_non_null(data);
	return data;
}

/* A small generator for tests: the same numbers everywhere. */
static inline unsigned draw(unsigned *state, unsigned below)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 16) % below;
}

#endif
