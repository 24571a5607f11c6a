/* Images in folders, lists or a tar archive become TFRecord shards. */
#include "base/fail.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "cli/progress.h"
#include "data/pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct wish {
	const char *output, *tar, *list, *under, *classes, *boxes;
	int64_t shards, seed, threads, label_base;
	int keep, force, quiet, progress;
};

static struct wish want = { .shards = 1, .label_base = 1 };

static const struct opt table[] = {
	{ "output", 'o', OPT_STRING, &want.output, "PREFIX",
	  "write PREFIX-00000-of-0000N, idx/ and PREFIX.json" },
	{ "shards", 0, OPT_INT, &want.shards, "N", "shards to write (1)" },
	{ "from-tar", 0, OPT_STRING, &want.tar, "FILE",
	  "images from a tar archive, also one of archives; - is stdin" },
	{ "under", 0, OPT_STRING, &want.under, "FOLDER",
	  "of the archive only what lies below this folder" },
	{ "list", 0, OPT_STRING, &want.list, "FILE",
	  "lines 'LABEL PATH'; with --from-tar the paths are members" },
	{ "classes", 0, OPT_STRING, &want.classes, "FILE",
	  "class names in order of their labels, one a line" },
	{ "label-base", 0, OPT_INT, &want.label_base, "N",
	  "number stored for the first class (1)" },
	{ "boxes", 0, OPT_STRING, &want.boxes, "FILE",
	  "lines 'NAME,xmin,ymin,xmax,ymax' from 0 to 1" },
	{ "no-shuffle", 0, OPT_FLAG, &want.keep, NULL,
	  "keep the order of the images; by default it is random" },
	{ "seed", 's', OPT_INT, &want.seed, "N", "of the random order (0)" },
	{ "threads", 'j', OPT_INT, &want.threads, "N", "threads (one a processor)" },
	{ "force", 'f', OPT_FLAG, &want.force, NULL, "replace what is there" },
	{ "quiet", 'q', OPT_FLAG, &want.quiet, NULL, "no progress and no summary" },
	{ "progress", 0, OPT_FLAG, &want.progress, NULL, "progress though stderr is no terminal" },
	{ 0 },
};

static const struct opt_usage usage = {
	.program = "tfrec-pack",
	.purpose = "make TFRecord shards of images",
	.operands = "[FOLDER ...]",
	.table = table,
	.more = "FOLDER holds a folder for each class: FOLDER/CLASS/FILE. For example\n"
		"  tfrec-pack -o train --shards 8 photos/train\n"
		"  tfrec-pack -o train --shards 1024 --classes synsets.txt "
		"--from-tar ILSVRC2012_img_train.tar\n",
	.most = -1,
};

static void check_usage(int folders)
{
	int kinds = (folders > 0) + (want.tar != NULL) + (want.list && !want.tar);

	if (!want.output)
		usage_error("where to? -o PREFIX");
	if (!*want.output || want.output[strlen(want.output) - 1] == '/')
		usage_error("-o %s: the prefix of the shards' names is missing", want.output);
	if (!kinds)
		usage_error("no images: give folders, --list or --from-tar");
	if (kinds > 1)
		usage_error("folders, --list and --from-tar do not mix (--list with --from-tar "
			    "names its members)");
	if (want.under && !want.tar)
		usage_error("--under belongs to --from-tar; of folders give the one you mean");
	if (want.shards < 1 || want.shards > 99999)
		usage_error("--shards %" PRId64 ": from 1 to 99999", want.shards);
	if (want.label_base < 0 || want.label_base > 1000000000)
		usage_error("--label-base %" PRId64 ": from 0 to 1000000000", want.label_base);
	if (want.seed < 0)
		usage_error("-s %" PRId64 ": a seed is not negative", want.seed);
	if (want.threads < 0 || want.threads > 1024)
		usage_error("-j %" PRId64 ": from 1 to 1024", want.threads);
}

static void tick(void *context, uint64_t done)
{
	progress_show(context, done, NULL);
}

/* An archive read as it comes: what would need all of it beforehand is refused. */
static void check_stream(void)
{
	const char *why = "a tar archive from a pipe or compressed is read as it comes";

	if (want.list)
		usage_error("%s: --list needs a plain archive in a file", why);
	if (!want.keep)
		usage_error("%s: it needs --no-shuffle (or unpack it into a plain file)", why);
	if (!want.classes)
		usage_error("%s: it needs --classes", why);
	if (want.shards > PACK_SIDE_BY_SIDE)
		usage_error("%s: at most %d shards", why, PACK_SIDE_BY_SIDE);
}

static int is_packed(const char *path)
{
	struct tar_member m;
	int status, rc;
	struct tar *t = tar_open(path, &status);

	if (!t)
		die_why(status);
	rc = tar_next(t, &m);
	if (rc < 0)
		die_why(tar_status(t));
	if (!rc)
		die(STATUS_BAD, "%s: no files in it", path);
	rc = !tar_plain(t);
	tar_close(t);
	return rc;
}

/* Finds the images: 1 if they come as a stream (*tar is open). */
static int find(struct inputs *in, char **folder, int folders, struct tar **tar)
{
	const char *under = want.under ? want.under : "";
	int status = STATUS_SYSTEM, i;

	*tar = NULL;
	if (want.classes) {
		if (classes_read(&in->classes, want.classes, &status))
			die_why(status);
		in->fixed = 1;
	}
	for (i = 0; i < folders; i++)
		if (inputs_folder(in, folder[i], &status))
			die_why(status);
	if (want.tar) {
		int stream = !strcmp(want.tar, "-") || is_packed(want.tar);

		if (stream)
			check_stream();
		if (!strcmp(want.tar, "-"))
			refuse_terminal_in(STDIN_FILENO);
		*tar = tar_open(want.tar, &status);
		if (!*tar)
			die_why(status);
		if (stream)
			return 1;
		if (inputs_tar(in, *tar, want.tar, under, want.list, &status))
			die_why(status);
		tar_close(*tar);
		*tar = NULL;
	} else if (want.list && inputs_list(in, want.list, &status)) {
		die_why(status);
	}
	if (inputs_settle(in))
		die_why(STATUS_BAD);
	return 0;
}

int main(int argc, char **argv)
{
	int at = opt_read(argc, argv, &usage), status = STATUS_SYSTEM, stream, rc;
	struct progress progress;
	struct boxes boxes = { 0 };
	struct inputs in;
	struct tar *tar;
	uint64_t written;
	struct pack_plan plan = { .tick = tick, .context = &progress };

	check_usage(argc - at);
	quiet(want.quiet);
	inputs_init(&in);
	if (want.boxes && boxes_read(&boxes, want.boxes, &status))
		die_why(status);
	stream = find(&in, argv + at, argc - at, &tar);
	plan.prefix = want.output;
	plan.shards = (uint32_t)want.shards;
	plan.shuffle = !want.keep;
	plan.seed = (uint64_t)want.seed;
	plan.threads = want.threads ? (int)want.threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
	plan.label_base = want.label_base;
	plan.boxes = want.boxes ? &boxes : NULL;
	plan.force = want.force;
	progress_begin(&progress, want.quiet ? -1 : want.progress, "images", 0, in.n);
	if (stream)
		rc = pack_stream(&in, tar, want.under ? want.under : "", &plan, &written,
				 &status);
	else
		rc = pack_inputs(&in, &plan, &written, &status);
	progress_end(&progress);
	if (rc)
		die_why(status);
	note("%" PRIu64 " images of %zu classes in %" PRId64 " shard%s: %s.json", written,
	     in.classes.names.n, want.shards, want.shards > 1 ? "s" : "", want.output);
	tar_close(tar);
	boxes_release(&boxes);
	inputs_release(&in);
	return STATUS_OK;
}
