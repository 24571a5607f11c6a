/* Chooses and orders records of TFRecord shards: a batch stream of encoded images, or
 * TFRecords, or image files. */
#include "base/fail.h"
#include "base/io.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "cli/progress.h"
#include "data/batch.h"
#include "data/feed.h"
#include "data/pull.h"
#include "data/save.h"
#include "data/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOAD_SAMPLES = 256 };
#define LOAD_BYTES ((uint64_t)4 << 20)

struct wish {
	const char *shuffle, *shard, *batch, *files;
	int64_t epochs, seed, start, label_base;
	uint64_t max;
	int tfrecord, quiet, progress;
};

static struct wish want = { .epochs = 1, .label_base = -1, .start = -1, .max = TFRECORD_MAX };

static const struct opt table[] = {
	{ "shuffle", 0, OPT_STRING, &want.shuffle, "all|N",
	  "permute the whole epoch, or windows of N of interleaved shards" },
	{ "epochs", 0, OPT_INT, &want.epochs, "N", "go over the data N times (1); 0: without end" },
	{ "seed", 's', OPT_INT, &want.seed, "N", "of the shuffle (0)" },
	{ "shard", 0, OPT_STRING, &want.shard, "I/N",
	  "only positions congruent to I modulo N" },
	{ "start-at", 0, OPT_INT, &want.start, "POSITION", "begin with this sample (0)" },
	{ "label-base", 0, OPT_INT, &want.label_base, "N",
	  "number stored for the first class; without a manifest it must be said" },
	{ "batch", 'b', OPT_STRING, &want.batch, "N",
	  "samples in a record of the stream, or with k, M, G bytes (4M)" },
	{ "tfrecord", 0, OPT_FLAG, &want.tfrecord, NULL, "write TFRecords to stdout" },
	{ "files", 0, OPT_STRING, &want.files, "FOLDER",
	  "write image files FOLDER/CLASS/NAME, nothing to stdout" },
	{ "max-record", 0, OPT_SIZE, &want.max, "SIZE", "longest record taken (256M)" },
	{ "quiet", 'q', OPT_FLAG, &want.quiet, NULL, "no progress and no notes" },
	{ "progress", 0, OPT_FLAG, &want.progress, NULL, "progress though stderr is no terminal" },
	{ 0 },
};

static const struct opt_usage usage = {
	.program = "tfrec-cat",
	.purpose = "choose and order records of TFRecord shards",
	.operands = "[SHARD ...]",
	.table = table,
	.more = "No SHARD, or -: stdin. For example\n"
		"  tfrec-cat --shuffle 10000 --epochs 90 -s 1 train-*-of-01024 | "
		"img-augment 'size 224' | ...\n",
	.most = -1,
};

struct run {
	struct shards set;      /* of files; all zero for stdin */
	int from_stdin;
	struct feed_plan plan;
	struct feed *feed;
	struct pull *pull;
	struct batch_plan build;
	struct stream_writer *writer;   /* NULL with --tfrecord, --files */
	struct save *save;      /* --files */
};

/* ---- options ---- */

static uint64_t whole(const char *text, const char **end)
{
	unsigned long long v;
	char *stop;

	errno = 0;
	v = strtoull(text, &stop, 10);
	*end = errno || *text < '0' || *text > '9' ? text : stop;
	return v;
}

static void plan_shard(struct feed_plan *p)
{
	const char *end, *slash;

	p->parts = 1;
	if (!want.shard)
		return;
	p->part = whole(want.shard, &slash);
	if (slash == want.shard || *slash != '/')
		usage_error("--shard %s: I/N, for example 0/4", want.shard);
	p->parts = whole(slash + 1, &end);
	if (end == slash + 1 || *end || !p->parts || p->parts > UINT32_MAX ||
	    p->part >= p->parts)
		usage_error("--shard %s: I/N with I from 0 to N-1", want.shard);
}

static void plan_load(struct feed_plan *p)
{
	const char *end;
	uint64_t n;
	int shift = 0;

	p->load_samples = LOAD_SAMPLES;
	p->load_bytes = LOAD_BYTES;
	if (!want.batch)
		return;
	n = whole(want.batch, &end);
	if (end == want.batch || !n || n > UINT32_MAX)
		usage_error("-b %s: a number of samples, or of bytes as 4M", want.batch);
	if (*end == 'k' || *end == 'K')
		shift = 10;
	else if (*end == 'M')
		shift = 20;
	else if (*end == 'G')
		shift = 30;
	if (shift ? end[1] : *end)
		usage_error("-b %s: a number of samples, or of bytes as 4M", want.batch);
	p->load_samples = shift ? UINT32_MAX : n;
	p->load_bytes = shift ? n << shift : 0;
	if (p->load_bytes > STREAM_RECORD_MAX / 2 || (!shift && n > (1 << 24)))
		usage_error("-b %s: too large", want.batch);
}

static void plan_order(struct feed_plan *p, int from_stdin)
{
	const char *end;

	p->kind = ORDER_FILE;
	p->seed = (uint64_t)want.seed;
	if (want.shuffle && !strcmp(want.shuffle, "all")) {
		p->kind = ORDER_ALL;
	} else if (want.shuffle) {
		p->kind = ORDER_WINDOW;
		p->window = whole(want.shuffle, &end);
		if (end == want.shuffle || *end || !p->window)
			usage_error("--shuffle %s: 'all', or the samples of a window",
				    want.shuffle);
	}
	p->epochs = (uint64_t)want.epochs;
	p->start = want.start < 0 ? 0 : (uint64_t)want.start;
	if (!from_stdin)
		return;
	if (p->kind == ORDER_ALL)
		usage_error("--shuffle all reads here and there, and stdin is read once: give "
			    "files, or --shuffle N");
	if (want.start >= 0)
		usage_error("--start-at needs files: stdin is read once");
	if (want.epochs != 1)
		usage_error("--epochs needs files: stdin is read once");
}

static void check_usage(void)
{
	if (want.tfrecord && want.files)
		usage_error("--tfrecord and --files: one of them");
	if ((want.tfrecord || want.files) && want.batch)
		usage_error("-b is of the batch stream");
	if (want.tfrecord && want.label_base >= 0)
		usage_error("--tfrecord copies records as they are: --label-base has no use");
	if (want.epochs < 0)
		usage_error("--epochs %" PRId64 ": not negative", want.epochs);
	if (want.files && want.epochs != 1)
		usage_error("--files writes each image once: no --epochs");
	if (want.seed < 0)
		usage_error("-s %" PRId64 ": a seed is not negative", want.seed);
	if (want.start < -1)
		usage_error("--start-at %" PRId64 ": not negative", want.start);
	if (want.label_base < -1)
		usage_error("--label-base %" PRId64 ": not negative", want.label_base);
	if (want.max < 1 || want.max > STREAM_RECORD_MAX / 2)
		usage_error("--max-record: from 1 to 1G");
	if (!want.files)
		refuse_terminal_out(STDOUT_FILENO);
}

/* ---- the data set ---- */

static void open_shards(struct run *r, char **paths, int n)
{
	size_t inflated;
	int status, i;

	for (i = 0; i < n; i++)
		if (!strcmp(paths[i], "-"))
			usage_error("- is stdin and stands alone");
	if (shards_open(&r->set, paths, (size_t)n, r->plan.kind == ORDER_ALL, want.max,
			&inflated, &status))
		die_why(status);
	if (inflated)
		note("%zu compressed shard%s had to be inflated to be counted; tfrec-ls --index "
		     "makes an index that spares this", inflated, inflated > 1 ? "s" : "");
	if (r->set.missing)
		note("%zu of %zu shards are missing", r->set.missing,
		     r->set.missing + r->set.n);
	if (!r->set.total)
		die(STATUS_BAD, "no samples: the %zu shard%s hold no records", r->set.n,
		    r->set.n > 1 ? "s" : "");
}

/* Where no label is used none need be known. */
static void plan_build(struct run *r)
{
	const struct manifest *m = &r->set.manifest;

	r->build.boxes = m->boxes;
	if (want.label_base >= 0) {
		r->build.label_base = want.label_base;
		if (r->set.has_manifest && m->label_base != want.label_base)
			die(STATUS_USAGE, "--label-base %" PRId64 ": %s says %" PRId64,
			    want.label_base, m->path, m->label_base);
	} else if (r->set.has_manifest) {
		r->build.label_base = m->label_base;
	} else if (!want.tfrecord && !want.files) {
		usage_error("which number is stored for the first class? There is no manifest: "
			    "say --label-base 1 (as ImageNet's) or --label-base 0");
	}
	if (r->set.has_manifest)
		r->build.classes = (uint32_t)m->classes;
}

static int has_boxes(const void *data, size_t n)
{
	struct example e = { 0 };
	int boxes = 0;

	/* What is wrong with the record is said when its turn comes. */
	if (example_parse(&e, data, n))
		fail_clear();
	else
		boxes = example_find(&e, KEY_BOX_YMIN) != NULL;
	example_release(&e);
	return boxes;
}

/* Without a manifest the data set's first record tells whether there are boxes: of stdin
 * the first that was read, of files that of the first shard, wherever the reading begins. */
static void look_for_boxes(struct run *r)
{
	const struct load *l = pull_first(r->pull);
	struct tfrecord_reader *reader;
	struct tfrecord record;
	int status, rc = 0;
	size_t i;

	if (r->from_stdin) {
		if (l && l->n)
			r->build.boxes = has_boxes(l->frames.data + TFRECORD_HEAD,
						   l->item[0].size - TFRECORD_OVER);
		return;
	}
	for (i = 0; i < r->set.n && !r->set.shard[i].count; i++)
		;
	reader = tfrecord_open(r->set.shard[i].path, want.max, &status);
	if (!reader || (rc = tfrecord_read(reader, &record)) < 0)
		die_why(reader ? tfrecord_status(reader) : status);
	if (rc > 0)
		r->build.boxes = has_boxes(record.data, record.size);
	tfrecord_close(reader);
}

/* ---- the header ---- */

/* The stage in the provenance: what changes the bytes. */
static void set_stage(struct stream_head *h)
{
	char seed[32], epochs[32], start[32], base[32];
	const char *argument[16];
	int n = 0;

	snprintf(seed, sizeof seed, "%" PRId64, want.seed);
	snprintf(epochs, sizeof epochs, "%" PRId64, want.epochs);
	snprintf(start, sizeof start, "%" PRId64, want.start);
	snprintf(base, sizeof base, "%" PRId64, want.label_base);
#define ADD(name, value) (argument[n++] = (name), argument[n++] = (value))
	if (want.shuffle)
		ADD("--shuffle", want.shuffle);
	ADD("--epochs", epochs);
	ADD("--seed", seed);
	if (want.shard)
		ADD("--shard", want.shard);
	if (want.start > 0)
		ADD("--start-at", start);
	if (want.label_base >= 0)
		ADD("--label-base", base);
	if (want.batch)
		ADD("--batch", want.batch);
#undef ADD
	argument[n] = NULL;
	if (stream_add_stage(h, "tfrec-cat", argument))
		die_why(STATUS_SYSTEM);
}

static void begin_stream(struct run *r)
{
	struct stream_head h = { 0 };

	set_stage(&h);
	if (batch_head(&h, &r->build, &r->plan, &r->set, feed_samples(r->feed)) ||
	    stream_begin(r->writer, &h))
		die_why(STATUS_SYSTEM);
	stream_head_release(&h);
}

/* ---- reading and writing ---- */

static int write_pulled(struct run *r, const struct pulled *given)
{
	const struct load *l = given->load;

	if (!r->writer && l->kind != LOAD_DATA)
		return 0;
	if (r->save)
		return save_load(r->save, l);
	if (!r->writer)
		return write_full(STDOUT_FILENO, l->frames.data, l->frames.size) ?
		       fail_add("stdout") : 0;
	switch (l->kind) {
	case LOAD_EPOCH:
		return stream_epoch(r->writer, l->position);
	case LOAD_END:
		return stream_end(r->writer, l->position);
	case LOAD_DATA:
		break;
	}
	return stream_write(r->writer, l->position, (uint32_t)l->n, given->view);
}

static void run(struct run *r)
{
	uint64_t total = feed_samples(r->feed), done = 0;
	struct progress progress;
	struct pulled given;
	int rc;

	if (pull_begin(r->pull, r->writer ? &r->build : NULL))
		die_why(STATUS_SYSTEM);
	progress_begin(&progress, want.quiet ? -1 : want.progress, "images", 0,
		       total == STREAM_UNKNOWN ? 0 : total);
	while ((rc = pull_next(r->pull, &given)) > 0) {
		if (write_pulled(r, &given)) {
			progress_end(&progress);
			die_why(r->save ? save_status(r->save) : STATUS_SYSTEM);
		}
		done += given.load->n;
		progress_show(&progress, done, NULL);
	}
	progress_end(&progress);
	if (rc < 0)
		die_why(pull_status(r->pull));
}

static void open_feed(struct run *r)
{
	uint64_t end = r->plan.epochs;

	if (r->set.total && __builtin_mul_overflow(end, r->set.total, &end))
		usage_error("--epochs %" PRId64 ": too many", want.epochs);
	if (end && r->set.total && r->plan.start > end)
		usage_error("--start-at %" PRId64 ": the data end at %" PRIu64, want.start,
			    end);
	r->feed = feed_open(r->from_stdin ? NULL : &r->set, &r->plan);
	r->pull = r->feed ? pull_open(r->feed) : NULL;
	if (!r->pull)
		die_why(STATUS_SYSTEM);
}

int main(int argc, char **argv)
{
	struct run r = { .writer = die_stream_open() };
	int at = opt_read(argc, argv, &usage), n = argc - at, status;

	quiet(want.quiet);
	if (want.tfrecord || want.files) {
		die_stream(NULL);
		stream_writer_close(r.writer);
		r.writer = NULL;
	}
	check_usage();
	r.from_stdin = !n || (n == 1 && !strcmp(argv[at], "-"));
	plan_shard(&r.plan);
	plan_load(&r.plan);
	plan_order(&r.plan, r.from_stdin);
	r.plan.max = want.max;
	if (r.from_stdin)
		refuse_terminal_in(STDIN_FILENO);
	else
		open_shards(&r, argv + at, n);
	plan_build(&r);
	open_feed(&r);
	if (want.files && !(r.save = save_open(want.files, r.set.has_manifest ?
					       &r.set.manifest : NULL, &status)))
		die_why(status);
	if (r.writer && !r.set.has_manifest)
		look_for_boxes(&r);
	if (r.writer)
		begin_stream(&r);
	run(&r);
	pull_close(r.pull);
	feed_close(r.feed);
	stream_writer_close(r.writer);
	save_close(r.save);
	shards_release(&r.set);
	return STATUS_OK;
}
