/* Tests that run on one backend or another; a test where the backend is not there is skipped. */
#ifndef ON_BACKEND_H
#define ON_BACKEND_H

#include "base/fail.h"
#include "ops/small.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* An entry of cmocka's table: f, which asks backend_of() for the name of the backend. */
#define ON(backend, f) { #f " on " backend, f, NULL, NULL, backend }

static inline void backend_needed(const char *name)
{
	if (small_backend(name))
		return;
	print_message("%s\n", fail_why());
	skip();
}

static inline const char *backend_of(void **state)
{
	backend_needed(*state);
	return *state;
}

static inline void run_ref(struct small *s)
{
	struct small_setup setup = { "ref", SMALL_BLOCK8, "all", 0, 0 };
	struct bound *b = small_bind(s, &setup);

	if (!b || bound_run(b))
		print_error("%s\n", fail_why());
	assert_non_null(b);
	bound_free(b);
}

#endif
