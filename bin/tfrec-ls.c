/* Looks at and checks the records of TFRecord shards. */
#include "base/fail.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "cli/progress.h"
#include "data/jpeg.h"
#include "data/shards.h"
#include "data/show.h"
#include "data/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOLD_MOST = 20 };

struct wish {
	int count, json, schema, stats, verify, index, verbose, quiet, progress;
	uint64_t max;
};

static struct wish want = { .max = TFRECORD_MAX };

static const struct opt table[] = {
	{ "count", 'c', OPT_FLAG, &want.count, NULL, "only the number of records" },
	{ "json", 0, OPT_FLAG, &want.json, NULL,
	  "a JSON object for each record, images as size and shape" },
	{ "schema", 0, OPT_FLAG, &want.schema, NULL,
	  "the keys: kind, records that have it, values" },
	{ "stats", 0, OPT_FLAG, &want.stats, NULL, "sizes, formats and how many of each label" },
	{ "verify", 0, OPT_FLAG, &want.verify, NULL,
	  "check checksums, records, image headers, index and manifest" },
	{ "index", 0, OPT_FLAG, &want.index, NULL, "write the index idx/SHARD.idx of each shard" },
	{ "max-record", 0, OPT_SIZE, &want.max, "SIZE", "longest record taken (256M)" },
	{ "verbose", 'v', OPT_FLAG, &want.verbose, NULL, "with --count: of each shard too" },
	{ "quiet", 'q', OPT_FLAG, &want.quiet, NULL, "no progress and no notes" },
	{ "progress", 0, OPT_FLAG, &want.progress, NULL, "progress though stderr is no terminal" },
	{ 0 },
};

static const struct opt_usage usage = {
	.program = "tfrec-ls",
	.purpose = "look at and check records of TFRecord shards",
	.operands = "[SHARD ...]",
	.table = table,
	.more = "No SHARD, or -: stdin. A line is shard:record, offset, size, label, name, "
		"image.\nFor example\n"
		"  tfrec-ls --json train-*-of-01024 | jq '.features[\"image/filename\"][0]'\n",
	.most = -1,
};

static const char *shown(const char *path)
{
	return strcmp(path, "-") ? path : "stdin";
}

/* ---- --count, --index ---- */

/* Records of a shard by its index, if that fits, else by its headers. */
static uint64_t count_shard(const char *path)
{
	struct shard s = { .path = (char *)(uintptr_t)path };
	int status;
	struct tfrecord_reader *r = tfrecord_open(path, want.max, &status);
	struct tfrecord record;
	uint64_t n;
	int rc;

	if (!r)
		die_why(status);
	s.kind = tfrecord_kind(r);
	/* What is no regular file (a named pipe) is counted by reading it. */
	if (strcmp(path, "-") && s.kind == SOURCE_PLAIN && !shard_stat(&s, &status) &&
	    shard_look(&s, &status))
		die_why(status);
	if (s.indexed) {
		n = s.index.count;
		index_release(&s.index);
	} else {
		while ((rc = tfrecord_skip(r, &record)) > 0)
			;
		if (rc < 0)
			die_why(tfrecord_status(r));
		n = tfrecord_number(r);
	}
	tfrecord_close(r);
	return n;
}

static void count(char **paths, size_t n)
{
	uint64_t all = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		uint64_t here = count_shard(paths[i]);

		if (want.verbose)
			printf("%" PRIu64 "\t%s\n", here, shown(paths[i]));
		all += here;
	}
	if (want.verbose)
		printf("%" PRIu64 "\ttotal\n", all);
	else
		printf("%" PRIu64 "\n", all);
}

static void make_indexes(char **paths, size_t n)
{
	struct index index;
	int status;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!strcmp(paths[i], "-"))
			usage_error("--index: stdin has no place for an index");
		if (index_scan(&index, paths[i], want.max, &status))
			die_why(status);
		if (index_write(&index, paths[i]))
			die_why(STATUS_SYSTEM);
		index_release(&index);
	}
}

/* ---- --verify ---- */

static void tell_bad(void *context, const char *why)
{
	uint64_t *told = context;

	if (++*told <= TOLD_MOST)
		note("%s", why);
}

static int verify(char **paths, size_t n)
{
	uint64_t told = 0;
	struct verify v = { .bad = tell_bad, .context = &told, .max = want.max };
	int status;
	size_t i;

	for (i = 0; i < n; i++)
		if (verify_shard(&v, paths[i], &status))
			die_why(status);
	if (told > TOLD_MOST)
		note("and %" PRIu64 " more", told - TOLD_MOST);
	printf("%" PRIu64 " records in %zu shard%s: ", v.records, n, n == 1 ? "" : "s");
	if (v.found_bad)
		printf("%" PRIu64 " bad\n", v.found_bad);
	else
		printf("good\n");
	verify_release(&v);
	return v.found_bad ? STATUS_BAD : STATUS_OK;
}

/* ---- the rest ---- */

static void print(struct text *t)
{
	if (t->failed)
		die(STATUS_SYSTEM, "no memory");
	if (t->length && fwrite(t->data, 1, t->length, stdout) != t->length)
		close_stdout();
	t->length = 0;
}

static void list_shard(const char *path, uint32_t number, struct show_sums *sums,
		       struct progress *progress, uint64_t *done)
{
	struct tfrecord_reader *r;
	struct example e = { 0 };
	struct text t = { 0 };
	struct tfrecord record;
	struct jpeg *jpeg = jpeg_new();
	int status, rc;

	if (!jpeg)
		die_why(STATUS_SYSTEM);
	r = tfrecord_open(path, want.max, &status);
	if (!r)
		die_why(status);
	while ((rc = tfrecord_read(r, &record)) > 0) {
		struct show_place at = { shown(path), number, record.number, record.offset,
					 record.size };

		if (example_parse(&e, record.data, (size_t)record.size)) {
			fail_add("%s: record %" PRIu64 ", offset %" PRIu64, shown(path),
				 record.number, record.offset);
			die_why(STATUS_BAD);
		}
		if (sums && show_add(sums, &at, &e, jpeg))
			die_why(STATUS_SYSTEM);
		if (!sums && want.json)
			show_json(&t, &at, &e, jpeg);
		else if (!sums)
			show_tsv(&t, &at, &e, jpeg);
		print(&t);
		progress_show(progress, ++*done, NULL);
	}
	if (rc < 0)
		die_why(tfrecord_status(r));
	text_release(&t);
	example_release(&e);
	jpeg_free(jpeg);
	tfrecord_close(r);
}

static void list(char **paths, size_t n)
{
	uint32_t *number = calloc(n, sizeof *number);
	struct show_sums sums = { 0 };
	struct progress progress;
	struct text t = { 0 };
	uint64_t done = 0;
	size_t missing, i;

	if (!number || shards_number(paths, n, number, &missing))
		die(STATUS_BAD, "%s", number ? fail_why() : "no memory");
	progress_begin(&progress, want.quiet ? -1 : want.progress, "records", 0, 0);
	for (i = 0; i < n; i++)
		list_shard(paths[i], number[i], want.schema || want.stats ? &sums : NULL,
			   &progress, &done);
	progress_end(&progress);
	if (want.schema)
		show_schema(&t, &sums);
	else if (want.stats)
		show_stats(&t, &sums);
	print(&t);
	text_release(&t);
	show_release(&sums);
	free(number);
}

int main(int argc, char **argv)
{
	static char dash[] = "-", *in[] = { dash };
	int at = opt_read(argc, argv, &usage), status = STATUS_OK, i;
	char **paths = argc > at ? argv + at : in;
	size_t n = argc > at ? (size_t)(argc - at) : 1;

	quiet(want.quiet);
	if (want.count + want.json + want.schema + want.stats + want.verify + want.index > 1)
		usage_error("--count, --json, --schema, --stats, --verify, --index: one of them");
	if (want.verbose && !want.count)
		usage_error("-v goes with --count");
	if (want.max < 1)
		usage_error("--max-record: at least 1");
	for (i = 0; i < (int)n; i++)
		if (!strcmp(paths[i], "-")) {
			refuse_terminal_in(STDIN_FILENO);
			if (n > 1)
				usage_error("- is stdin and stands alone");
		}
	if (want.count)
		count(paths, n);
	else if (want.index)
		make_indexes(paths, n);
	else if (want.verify)
		status = verify(paths, n);
	else
		list(paths, n);
	close_stdout();
	return status;
}
