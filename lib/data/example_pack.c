/* The writer stands apart so that the programs that only read need no protobuf-c. */
#include "data/example.h"

#include "base/fail.h"

#include "example.pb-c.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int by_field_key(const void *va, const void *vb)
{
	const struct example_field *a = va, *b = vb;

	return strcmp(a->key, b->key);
}

struct wire {
	Millrace__Features__Entry entry;
	Millrace__Feature feature;
	Millrace__BytesList bytes;
	Millrace__FloatList floats;
	Millrace__Int64List ints;
};

/* protobuf-c's messages hold plain pointers; packing only reads through them. */
static int fill(struct wire *w, const struct example_field *f)
{
	size_t i;

	millrace__features__entry__init(&w->entry);
	millrace__feature__init(&w->feature);
	w->entry.key = (char *)(uintptr_t)f->key;
	w->entry.value = &w->feature;
	switch (f->kind) {
	case EXAMPLE_BYTES:
		millrace__bytes_list__init(&w->bytes);
		w->bytes.value = calloc(f->count ? f->count : 1, sizeof *w->bytes.value);
		if (!w->bytes.value)
			return fail("no memory");
		w->bytes.n_value = f->count;
		for (i = 0; i < f->count; i++) {
			w->bytes.value[i].len = f->bytes[i].size;
			w->bytes.value[i].data = (uint8_t *)(uintptr_t)f->bytes[i].data;
		}
		w->feature.kind_case = MILLRACE__FEATURE__KIND_BYTES_LIST;
		w->feature.bytes_list = &w->bytes;
		break;
	case EXAMPLE_FLOATS:
		millrace__float_list__init(&w->floats);
		w->floats.value = (float *)(uintptr_t)f->reals;
		w->floats.n_value = f->count;
		w->feature.kind_case = MILLRACE__FEATURE__KIND_FLOAT_LIST;
		w->feature.float_list = &w->floats;
		break;
	case EXAMPLE_INTS:
		millrace__int64_list__init(&w->ints);
		w->ints.value = (int64_t *)(uintptr_t)f->wholes;
		w->ints.n_value = f->count;
		w->feature.kind_case = MILLRACE__FEATURE__KIND_INT64_LIST;
		w->feature.int64_list = &w->ints;
		break;
	case EXAMPLE_NONE:
		break;
	}
	return 0;
}

unsigned char *example_pack(struct example_field *field, size_t n, size_t *size)
{
	struct wire *w = calloc(n ? n : 1, sizeof *w);
	Millrace__Features__Entry **entry = calloc(n ? n : 1, sizeof *entry);
	Millrace__Features features = MILLRACE__FEATURES__INIT;
	Millrace__Example example = MILLRACE__EXAMPLE__INIT;
	unsigned char *out = NULL;
	size_t i;

	if (!w || !entry) {
		fail("no memory");
		goto out;
	}
	qsort(field, n, sizeof *field, by_field_key);
	for (i = 0; i < n; i++) {
		assert(!i || strcmp(field[i - 1].key, field[i].key));
		if (fill(&w[i], &field[i]))
			goto out;
		entry[i] = &w[i].entry;
	}
	features.n_feature = n;
	features.feature = entry;
	example.features = &features;
	*size = millrace__example__get_packed_size(&example);
	out = malloc(*size ? *size : 1);
	if (!out)
		fail("no memory for %zu bytes", *size);
	else
		millrace__example__pack(&example, out);
out:
	for (i = 0; w && i < n; i++)
		free(w[i].bytes.value);
	free(entry);
	free(w);
	return out;
}
