#include "data/describe.h"

#include "base/bytes.h"
#include "base/fail.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 16 };      /* a column with at most so many numbers is shown whole */

int class_names_read(struct class_names *c, const struct stream_head *h)
{
	char *text = stream_meta(h, "classes");
	json_t *list;
	size_t n;

	*c = (struct class_names){ 0 };
	if (!text)
		return 0;
	list = json_loads(text, 0, NULL);
	free(text);
	n = json_array_size(list);
	if (n > 0 && n < INT32_MAX)
		c->name = calloc(n, sizeof(*c->name));
	for (size_t i = 0; c->name && i < n; i++) {
		const char *name = json_string_value(json_array_get(list, i));

		c->name[c->count] = strdup(name ? name : "");
		if (!c->name[c->count++])
			break;
	}
	json_decref(list);
	if (n > 0 && (!c->name || (size_t)c->count < n || !c->name[c->count - 1])) {
		class_names_release(c);
		return fail("out of memory for the names of classes");
	}
	return 0;
}

const char *class_names_get(const struct class_names *c, int32_t label)
{
	return label >= 0 && label < c->count && *c->name[label] ? c->name[label] : NULL;
}

void class_names_release(struct class_names *c)
{
	for (int i = 0; i < c->count; i++)
		free(c->name[i]);
	free(c->name);
	*c = (struct class_names){ 0 };
}

void describe_column(const struct stream_column *c, struct text *out)
{
	text_add(out, "%s [", dtype_name(c->type));
	for (int k = 0; k < c->rank; k++) {
		if (c->dim[k] == STREAM_VARIES)
			text_add(out, "%s*", k ? "," : "");
		else
			text_add(out, "%s%" PRIu32, k ? "," : "", c->dim[k]);
	}
	text_add(out, "]");
}

/* Bytes as a string of JSON; what is no UTF-8 becomes '?'. */
static void add_string(struct text *out, const char *s, size_t n)
{
	json_t *j = json_stringn(s, n);
	char *copy = NULL, *dump;

	if (!j && (copy = malloc(n + 1))) {
		for (size_t i = 0; i < n; i++)
			copy[i] = (unsigned char)s[i] < 0x80 ? s[i] : '?';
		j = json_stringn(copy, n);
	}
	dump = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
	if (dump)
		text_add(out, "%s", dump);
	else
		out->failed = 1;
	free(dump);
	free(copy);
	json_decref(j);
}

/* The float whose bits these are, as JSON, which has no infinities. */
static void add_real(struct text *out, uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	if (isfinite(f))
		text_add(out, "%.9g", (double)f);
	else
		text_add(out, "null");
}

/* f16 as f32; every value of it is one. */
static uint32_t widen(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff, bits;
	float f;

	if (e == 31)
		return sign | 0x7f800000 | m << 13;
	if (e)
		return sign | (e + 112) << 23 | m << 13;
	f = (float)m * 0x1p-24f;
	memcpy(&bits, &f, sizeof(bits));
	return sign | bits;
}

static void add_number(struct text *out, enum dtype type, const unsigned char *b)
{
	switch (type) {
	case DTYPE_U8:
		text_add(out, "%d", b[0]);
		break;
	case DTYPE_I32:
		text_add(out, "%" PRId32, (int32_t)get_u32(b));
		break;
	case DTYPE_I64:
		text_add(out, "%" PRId64, (int64_t)get_u64(b));
		break;
	case DTYPE_F16:
		add_real(out, widen(get_u16(b)));
		break;
	case DTYPE_BF16:
		add_real(out, (uint32_t)get_u16(b) << 16);
		break;
	case DTYPE_F32:
		add_real(out, get_u32(b));
		break;
	}
}

/* The numbers of a column, a list in a list where it has two dimensions. */
static void add_numbers(const struct walk *w, int c, struct text *out)
{
	const struct stream_column *column = &w->head->column[c];
	size_t size = dtype_bytes(column->type), n = w->bytes[c] / size;
	size_t row = column->rank > 1 ? w->dim[c][column->rank - 1] : 0;

	if (column->rank == 1 && column->dim[0] == 1) {
		add_number(out, column->type, w->data[c]);
		return;
	}
	text_add(out, "[");
	for (size_t i = 0; i < n; i++) {
		text_add(out, "%s%s", i ? "," : "", row && i % row == 0 ? "[" : "");
		add_number(out, column->type, w->data[c] + i * size);
		text_add(out, "%s", row && i % row == row - 1 ? "]" : "");
	}
	text_add(out, "]");
}

/* Dimensions instead of the numbers; bytes where it is a file. */
static void add_sizes(const struct walk *w, int c, struct text *out)
{
	const struct stream_column *column = &w->head->column[c];

	if (column->rank == 1) {
		text_add(out, "{\"bytes\":%zu}", w->bytes[c]);
		return;
	}
	text_add(out, "{\"shape\":[");
	for (int k = 0; k < column->rank; k++)
		text_add(out, "%s%" PRIu32, k ? "," : "", w->dim[c][k]);
	text_add(out, "]}");
}

void describe_sample(const struct walk *w, const struct class_names *names, struct text *out)
{
	text_add(out, "{\"position\":%" PRIu64, w->position);
	for (int c = 0; c < w->head->columns; c++) {
		const struct stream_column *column = &w->head->column[c];
		const char *name = column->name;
		size_t few = FEW * dtype_bytes(column->type);
		int one = column->rank == 1 && column->dim[0] == 1;

		text_add(out, ",");
		add_string(out, name, strlen(name));
		text_add(out, ":");
		if (column->type == DTYPE_U8 && strcmp(name, "image") != 0 && column->rank == 1) {
			add_string(out, (const char *)w->data[c], w->bytes[c]);
		} else if (one && column->type == DTYPE_I64 && strcmp(name, "id") == 0) {
			uint64_t id = get_u64(w->data[c]);

			text_add(out, "\"%" PRIu64 ":%" PRIu64 "\"", id >> 32, id & 0xffffffff);
		} else if (w->bytes[c] > few && strcmp(name, "boxes") != 0) {
			add_sizes(w, c, out);
		} else if (strcmp(name, "image") == 0) {
			add_sizes(w, c, out);
		} else {
			add_numbers(w, c, out);
		}
		if (one && column->type == DTYPE_I32 && strcmp(name, "label") == 0) {
			const char *class = class_names_get(names, walk_i32(w, c, 0));

			if (class) {
				text_add(out, ",\"class\":");
				add_string(out, class, strlen(class));
			}
		}
	}
	text_add(out, "}");
}
