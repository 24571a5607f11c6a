#include "train/report.h"

#include "base/bytes.h"
#include "base/fail.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BEST = 5, NPY_HEADER = 128 };

const char *report_class(const struct report *r, int class, char buf[16])
{
	const char *name = json_string_value(json_array_get(r->names, (size_t)class));

	if (name)
		return name;
	snprintf(buf, 16, "%d", class);
	return buf;
}

/* A text in a column: without what would break the table. */
static void put_text(FILE *f, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' ? '?' : *text, f);
}

static int tsv_line(const struct report *r, const struct batch *b, int i, const float *p,
		    const int *best, int n)
{
	int label = b->labels[2 * i];
	char id[48], buf[16];

	fprintf(r->predict, "%s\t", b->id[i] < 0 ? "-" : sample_name(b->id[i], b->position, id));
	put_text(r->predict, b->name && b->name[i] ? b->name[i] : "-");
	fputc('\t', r->predict);
	put_text(r->predict, label < 0 ? "-" : report_class(r, label, buf));
	for (int k = 0; k < BEST; k++) {
		if (k >= n) {
			fputs("\t-\t-", r->predict);
			continue;
		}
		fputc('\t', r->predict);
		put_text(r->predict, report_class(r, best[k], buf));
		fprintf(r->predict, "\t%.6g", (double)p[best[k]]);
	}
	fputc('\n', r->predict);
	return 0;
}

static int json_line(const struct report *r, const struct batch *b, int i, const float *p,
		     const int *best, int n)
{
	json_t *line = json_object(), *list = json_array();
	int label = b->labels[2 * i], e;
	char id[48], buf[16];

	json_object_set_new(line, "id", b->id[i] < 0 ? json_null()
			    : json_string(sample_name(b->id[i], b->position, id)));
	json_object_set_new(line, "name", b->name && b->name[i] ? json_string(b->name[i])
			    : json_null());
	json_object_set_new(line, "label", label < 0 ? json_null() : json_integer(label));
	if (label >= 0 && r->names)
		json_object_set_new(line, "class", json_string(report_class(r, label, buf)));
	for (int k = 0; k < n; k++) {
		json_t *one = json_pack("{s:i, s:o}", "label", best[k], "probability",
					isfinite(p[best[k]]) ? json_real((double)p[best[k]])
							     : json_null());
		if (r->names)
			json_object_set_new(one, "class",
					    json_string(report_class(r, best[k], buf)));
		json_array_append_new(list, one);
	}
	json_object_set_new(line, "best", list);
	e = json_dumpf(line, r->predict, JSON_COMPACT | JSON_REAL_PRECISION(7));
	fputc('\n', r->predict);
	json_decref(line);
	return e < 0 ? fail("a prediction cannot be written") : 0;
}

int report_batch(void *context, const struct machine *m, const struct batch *b)
{
	struct report *r = context;
	size_t classes = (size_t)r->classes;
	int best[BEST], n = r->classes < BEST ? r->classes : BEST;

	for (int i = 0; i < b->samples; i++) {
		const float *p = m->probabilities + (size_t)i * classes;
		int label = b->labels[2 * i];

		best_classes(p, r->classes, n, best);
		if (r->predict)
			TRY((r->ndjson ? json_line : tsv_line)(r, b, i, p, best, n));
		if (r->confusion && label >= 0)
			r->confusion[(size_t)label * classes + (size_t)best[0]]++;
		for (size_t k = 0; r->logits && k < classes; k++) {
			unsigned char raw[4];
			uint32_t u;

			memcpy(&u, &m->logits[(size_t)i * classes + k], 4);
			put_u32(raw, u);
			fwrite(raw, 1, 4, r->logits);
		}
		r->samples++;
	}
	if ((r->logits && ferror(r->logits)) || (r->predict && ferror(r->predict)))
		return fail_errno("predictions or logits cannot be written");
	return 0;
}

void report_begin(struct report *r)
{
	if (!r->predict || r->ndjson)
		return;
	fputs("id\tname\tlabel", r->predict);
	for (int k = 1; k <= BEST; k++)
		fprintf(r->predict, "\tbest%d\tp%d", k, k);
	fputc('\n', r->predict);
}

static int write_npy_header(struct report *r)
{
	char head[NPY_HEADER + 1];
	int n;

	memset(head, ' ', sizeof(head));
	memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
	n = snprintf(head + 10, sizeof(head) - 10,
		     "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %d), }",
		     r->samples, r->classes);
	head[10 + n] = ' ';
	head[NPY_HEADER - 1] = '\n';
	if (fwrite(head, 1, NPY_HEADER, r->logits) != NPY_HEADER)
		return fail_errno("logits");
	return 0;
}

int report_logits_begin(struct report *r)
{
	r->samples = 0;
	return write_npy_header(r);
}

int report_logits_end(struct report *r)
{
	if (fseek(r->logits, 0, SEEK_SET) < 0)
		return fail_errno("logits");
	TRY(write_npy_header(r));
	return fflush(r->logits) ? fail_errno("logits") : 0;
}

void report_per_class(const struct report *r, FILE *f)
{
	char buf[16];

	fputs("class\tname\tsamples\tright\tshare\n", f);
	for (int c = 0; c < r->classes; c++) {
		const int64_t *row = r->confusion + (size_t)c * (size_t)r->classes;
		int64_t n = 0;

		for (int k = 0; k < r->classes; k++)
			n += row[k];
		fprintf(f, "%d\t", c);
		put_text(f, report_class(r, c, buf));
		fprintf(f, "\t%" PRId64 "\t%" PRId64 "\t", n, row[c]);
		if (n)
			fprintf(f, "%.4f\n", (double)row[c] / (double)n);
		else
			fputs("-\n", f);
	}
}

void report_confusion(const struct report *r, FILE *f)
{
	char buf[16];

	fputs("label", f);
	for (int k = 0; k < r->classes; k++) {
		fputc('\t', f);
		put_text(f, report_class(r, k, buf));
	}
	fputc('\n', f);
	for (int c = 0; c < r->classes; c++) {
		put_text(f, report_class(r, c, buf));
		for (int k = 0; k < r->classes; k++)
			fprintf(f, "\t%" PRId64,
				r->confusion[(size_t)c * (size_t)r->classes + (size_t)k]);
		fputc('\n', f);
	}
}
