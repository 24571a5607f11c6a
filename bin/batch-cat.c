/* batch-cat: looks at a batch stream. */
#include "base/fail.h"
#include "base/io.h"
#include "cli/die.h"
#include "cli/opt.h"
#include "cli/progress.h"
#include "data/canvas.h"
#include "data/describe.h"
#include "data/npy.h"
#include "data/png.h"
#include "data/sheet.h"
#include "data/stream.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { SHOW_SIDE = 24, SHEET_SIDE = 160, SIDE_MAX = 4096, ACROSS_MAX = 1024 };

/* The command line. */
struct wish {
	int verify, json, show, progress, quiet;
	const char *npy, *column, *sheet;
	int64_t across, rows, side;
	uint64_t skip, count;
};

/* What is being made of the samples. */
struct work {
	const struct wish *wish;
	const char *name;               /* of the input */
	struct class_names names;
	struct tally tally;
	struct progress progress;
	uint64_t seen, taken;           /* samples, over all inputs */
	struct newfile npy_file, sheet_file;
	struct npy npy;
	int npy_begun, npy_column;
	struct sheet sheet;
	int sheet_images;
	struct canvas *canvas;
};

static int picks(const struct wish *w)
{
	return w->json || w->show || w->npy || w->sheet;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Removes what was begun, then ends. */
static _Noreturn void stop(struct work *w, int status)
{
	newfile_abort(&w->npy_file);
	newfile_abort(&w->sheet_file);
	die_input(status);
}

/* A column of single numbers is an array of one dimension, not N x 1. */
static int npy_rank(const struct stream_column *c)
{
	return c->rank == 1 && c->dim[0] == 1 ? 0 : c->rank;
}

/* The column for --npy, which all inputs must have alike. */
static int npy_find(struct work *w, const struct stream_head *h)
{
	const struct stream_column *c;
	int i = stream_find(h, w->wish->column);

	if (i < 0) {
		struct text t = { 0 };
		char *list;

		for (int k = 0; k < h->columns; k++)
			text_add(&t, " %s", h->column[k].name);
		list = text_take(&t);
		fail("%s: no column '%s'; there are:%s", w->name, w->wish->column,
		     list ? list : "");
		free(list);
		return -1;
	}
	c = &h->column[i];
	if (w->npy_begun && (c->type != w->npy.type || npy_rank(c) != w->npy.rank))
		return fail("%s: column %s has another type", w->name, c->name);
	w->npy_column = i;
	return 0;
}

static int npy_sample(struct work *w, const struct walk *s)
{
	int c = w->npy_column;
	const struct stream_column *column = &s->head->column[c];
	size_t size = (size_t)npy_rank(column) * sizeof(uint32_t);

	if (!w->npy_begun) {
		TRY(npy_begin(&w->npy, w->npy_file.fd, column->type, npy_rank(column),
			      s->dim[c]));
		w->npy_begun = 1;
	}
	if (memcmp(w->npy.dim, s->dim[c], size) != 0)
		return fail("%s: position %" PRIu64 ": column %s has another size than the first "
			    "sample's; an array needs equal ones", w->name, s->position,
			    column->name);
	if (npy_add(&w->npy, s->data[c], 1) < 0)
		return fail_add("%s", w->wish->npy);
	return 0;
}

/* "3 cat", "3:0.7 5:0.3" under an image. */
static void label_text(const struct work *w, const struct walk *s, char *to, size_t room)
{
	int label = stream_find(s->head, "label"), pair = stream_find(s->head, "labels");
	int shares = stream_find(s->head, "shares");

	*to = '\0';
	if (label >= 0 && s->bytes[label] == 4) {
		int32_t v = walk_i32(s, label, 0);
		const char *class = class_names_get(&w->names, v);

		snprintf(to, room, "%" PRId32, v);
		if (class && strcmp(class, to) != 0)
			snprintf(to, room, "%" PRId32 " %s", v, class);
	} else if (pair >= 0 && shares >= 0 && s->bytes[pair] == 8 && s->bytes[shares] == 8) {
		float share[2];

		memcpy(share, s->data[shares], sizeof(share));
		snprintf(to, room, "%" PRId32 ":%.2f %" PRId32 ":%.2f", walk_i32(s, pair, 0),
			 (double)share[0], walk_i32(s, pair, 1), (double)share[1]);
	}
}

static void name_text(const struct walk *s, char *to, size_t room)
{
	int c = stream_find(s->head, "name");
	size_t n;

	*to = '\0';
	if (c < 0 || s->head->column[c].type != DTYPE_U8)
		return;
	n = s->bytes[c] < room - 1 ? s->bytes[c] : room - 1;
	for (size_t i = 0; i < n; i++)
		to[i] = s->data[c][i] >= ' ' && s->data[c][i] < 0x7f ? (char)s->data[c][i] : '?';
	to[n] = '\0';
}

/* The images of a sample as a list of views: height, width, channels and how many.
 * 0 of them: the column holds encoded files. -1: it cannot be shown. */
static int image_views(const struct walk *s, int c, int size[3])
{
	const struct stream_column *column = &s->head->column[c];
	int rank = column->rank;

	if (column->type != DTYPE_U8 || rank == 2)
		return fail("column image is %s of rank %d: only u8 images and files are shown",
			    dtype_name(column->type), rank);
	if (rank == 1)
		return 0;
	for (int k = 0; k < 3; k++) {
		if (s->dim[c][rank - 3 + k] > IMAGE_SIDE_MAX)
			return fail("an image is too large");
		size[k] = (int)s->dim[c][rank - 3 + k];
	}
	if (size[2] != 1 && size[2] != 3)
		return fail("images of %d channels cannot be shown", size[2]);
	return rank == 4 ? (int)s->dim[c][0] : 1;
}

static int sheet_sample(struct work *w, const struct walk *s)
{
	char label[64], name[64];
	int c = stream_find(s->head, "image"), size[3], views;
	struct image view = { 0 };

	if (c < 0)
		return fail("%s: no column 'image'", w->name);
	label_text(w, s, label, sizeof(label));
	name_text(s, name, sizeof(name));
	views = image_views(s, c, size);
	if (views < 0)
		return fail_add("%s", w->name);
	if (views == 0) {
		const struct image *m = NULL;

		if (canvas_open(w->canvas, s->data[c], s->bytes[c], 0) == 0)
			m = canvas_image(w->canvas);
		if (!m)
			note("%s: position %" PRIu64 ": %s", w->name, s->position, fail_why());
		return sheet_add(&w->sheet, m, label, m ? name : "(bad)");
	}
	for (int i = 0; i < views; i++) {
		size_t row = (size_t)size[1] * (size_t)size[2];

		image_borrow(&view, s->data[c] + (size_t)i * row * (size_t)size[0], row, size[0],
			     size[1], size[2]);
		TRY(sheet_add(&w->sheet, size[0] && size[1] ? &view : NULL, label, name));
	}
	return 0;
}

static int json_sample(struct work *w, const struct walk *s)
{
	struct text t = { 0 };
	char *line;

	describe_sample(s, &w->names, &t);
	line = text_take(&t);
	if (!line)
		return -1;
	puts(line);
	free(line);
	if (ferror(stdout))
		close_stdout();
	return 0;
}

/* All of a DATA record that was asked for: 0 or -1. */
static int take_samples(struct work *w, const struct stream_reader *r,
			const struct stream_record *record)
{
	const struct wish *wish = w->wish;
	struct walk s;

	walk_begin(&s, r, record);
	while (w->taken < wish->count && walk_next(&s)) {
		if (w->seen++ < wish->skip)
			continue;
		w->taken++;
		if (wish->json)
			TRY(json_sample(w, &s));
		if (wish->npy)
			TRY(npy_sample(w, &s));
		if (wish->sheet || wish->show)
			TRY(sheet_sample(w, &s));
	}
	return 0;
}

static void print_summary(struct work *w, const struct stream_head *h, double spent, int title)
{
	struct text t = { 0 };
	char *text;

	tally_text(&w->tally, h, &w->names, &t);
	text = text_take(&t);
	if (!text)
		die_why(STATUS_SYSTEM);
	if (title)
		printf("%s:\n", w->name);
	fputs(text, stdout);
	free(text);
	if (spent > 0)
		printf("rate        %.0f samples/s, %.1f MB/s\n",
		       (double)w->tally.samples / spent, (double)w->tally.bytes / spent / 1e6);
}

static void take_record(struct work *w, struct stream_reader *r, const struct stream_record *record)
{
	if (!picks(w->wish) && !w->wish->verify && tally_record(&w->tally, r, record) < 0) {
		fail_add("%s", w->name);
		stop(w, STATUS_BAD);
	}
	if (record->kind != STREAM_DATA)
		return;
	if (picks(w->wish) && take_samples(w, r, record) < 0)
		stop(w, STATUS_BAD);
	progress_show(&w->progress, record->position + record->samples, NULL);
}

/* Reads one input to its end, or until enough was taken. */
static void read_input(struct work *w, int fd, int title)
{
	struct stream_record record;
	struct stream_reader *r;
	double began = seconds();
	int status, got = 1;

	r = stream_open(fd, w->name, &status);
	if (!r)
		stop(w, status);
	if (class_names_read(&w->names, stream_head(r)) < 0)
		stop(w, STATUS_SYSTEM);
	if (w->wish->npy && npy_find(w, stream_head(r)) < 0)
		stop(w, STATUS_BAD);
	while (w->taken < w->wish->count && (got = stream_read(r, &record)) > 0)
		take_record(w, r, &record);
	progress_end(&w->progress);
	if (got < 0)
		stop(w, stream_status(r));
	if (!picks(w->wish) && !w->wish->verify)
		print_summary(w, stream_head(r), seconds() - began, title);
	tally_release(&w->tally);
	class_names_release(&w->names);
	stream_close(r);
}

/* Images side by side in the terminal, if that is where stdout goes. */
static int terminal_across(int side)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		size.ws_col = 80;
	return size.ws_col >= side + 1 ? (size.ws_col + 1) / (side + 1) : 1;
}

static void finish_sheet(struct work *w)
{
	const struct wish *wish = w->wish;
	struct image out = { 0 };
	struct text t = { 0 };
	char *text;

	if (wish->sheet) {
		if (sheet_draw(&w->sheet, (int)wish->across, &out) < 0 ||
		    png_to(w->sheet_file.fd, &out) < 0) {
			fail_add("%s", wish->sheet);
			stop(w, w->sheet.count ? STATUS_SYSTEM : STATUS_BAD);
		}
		if (newfile_commit(&w->sheet_file) < 0)
			stop(w, STATUS_SYSTEM);
		image_release(&out);
	}
	if (wish->show) {
		sheet_show(&w->sheet, wish->across ? (int)wish->across :
			   terminal_across(w->sheet.side), &t);
		text = text_take(&t);
		if (!text)
			stop(w, STATUS_SYSTEM);
		fputs(text, stdout);
		free(text);
	}
	sheet_release(&w->sheet);
}

static void begin_work(struct work *w)
{
	const struct wish *wish = w->wish;

	if (wish->npy && newfile_open(&w->npy_file, wish->npy) < 0)
		stop(w, STATUS_SYSTEM);
	if (wish->sheet && newfile_open(&w->sheet_file, wish->sheet) < 0)
		stop(w, STATUS_SYSTEM);
	if (!wish->sheet && !wish->show)
		return;
	w->sheet.side = (int)wish->side;
	w->canvas = canvas_new();
	if (!w->canvas)
		stop(w, STATUS_SYSTEM);
}

static void end_work(struct work *w)
{
	if (w->wish->npy && !w->npy_begun) {
		fail("%s: no samples", w->wish->npy);
		stop(w, STATUS_BAD);
	}
	if (w->wish->npy) {
		if (npy_end(&w->npy) < 0) {
			fail_add("%s", w->wish->npy);
			stop(w, STATUS_SYSTEM);
		}
		if (newfile_commit(&w->npy_file) < 0)
			stop(w, STATUS_SYSTEM);
	}
	finish_sheet(w);
	canvas_free(w->canvas);
}

static void check_wish(struct wish *w)
{
	int sheet = w->sheet || w->show;

	if (w->verify && picks(w))
		usage_error("--verify stands alone: it says with its exit status whether all is "
			    "well");
	if ((w->skip || w->count != UINT64_MAX) && !picks(w))
		usage_error("--skip and --count choose samples for --json, --npy, --sheet or "
			    "--show");
	if (!w->npy != !w->column)
		usage_error("--npy FILE and --column NAME go together");
	if (w->json && w->show)
		usage_error("--json and --show both print on stdout");
	if ((w->across || w->rows || w->side) && !sheet)
		usage_error("--columns, --rows and --size are for --sheet or --show");
	if (w->across < 0 || w->across > ACROSS_MAX || w->rows < 0 || w->rows > ACROSS_MAX)
		usage_error("--columns and --rows go from 1 to %d", ACROSS_MAX);
	if (w->side < 0 || w->side > SIDE_MAX)
		usage_error("--size goes from 1 to %d", SIDE_MAX);
	if (!sheet)
		return;
	if (!w->side)
		w->side = w->sheet ? SHEET_SIDE : SHOW_SIDE;
	if (!w->across)
		w->across = w->sheet ? 8 : terminal_across((int)w->side);
	if (w->count == UINT64_MAX && !w->json && !w->npy)
		w->count = (uint64_t)(w->across * (w->rows ? w->rows : w->sheet ? 8 : 2));
	else if (w->rows)
		usage_error("--rows and --count both say how many images");
}

static void read_operand(struct work *w, const char *path, int title)
{
	int std = strcmp(path, "-") == 0, fd = STDIN_FILENO;

	w->name = std ? "stdin" : path;
	if (std) {
		refuse_terminal_in(fd);
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			fail_errno("%s", path);
			stop(w, STATUS_SYSTEM);
		}
	}
	read_input(w, fd, title);
	if (!std)
		close(fd);
}

int main(int argc, char **argv)
{
	static struct wish wish = { .count = UINT64_MAX };
	static const struct opt table[] = {
		{ "verify", 0, OPT_FLAG, &wish.verify, NULL,
		  "read it all and print nothing: the exit status says whether it is whole" },
		{ "json", 0, OPT_FLAG, &wish.json, NULL, "a line of JSON for each sample" },
		{ "npy", 0, OPT_STRING, &wish.npy, "FILE", "write a column as an array of NumPy" },
		{ "column", 0, OPT_STRING, &wish.column, "NAME", "which column --npy writes" },
		{ "sheet", 0, OPT_STRING, &wish.sheet, "FILE", "write the images as one PNG" },
		{ "show", 0, OPT_FLAG, &wish.show, NULL, "show the images in the terminal" },
		{ "columns", 0, OPT_INT, &wish.across, "N",
		  "images side by side (8; as fit the terminal)" },
		{ "rows", 0, OPT_INT, &wish.rows, "N", "rows of images (8; 2 in the terminal)" },
		{ "size", 0, OPT_INT, &wish.side, "PIXELS",
		  "larger images are shrunk to this (160; 24 in the terminal)" },
		{ "skip", 0, OPT_SIZE, &wish.skip, "N", "leave out the first samples" },
		{ "count", 0, OPT_SIZE, &wish.count, "N", "stop after so many samples" },
		{ "progress", 0, OPT_FLAG, &wish.progress, NULL,
		  "show rate and position, also where stderr is no terminal" },
		{ "quiet", 'q', OPT_FLAG, &wish.quiet, NULL, "no notes, no progress" },
		{ 0 },
	};
	static const struct opt_usage usage = {
		.program = "batch-cat",
		.purpose = "Looks at a batch stream: prints what it holds, or samples of it.",
		.operands = "[STREAM ...]",
		.table = table,
		.more = "example:\n  tfrec-cat train-* | img-augment 'size 224' | "
			"batch-cat --sheet sheet.png",
		.most = -1,
	};
	struct work w = { .wish = &wish };
	int first = opt_read(argc, argv, &usage);

	quiet(wish.quiet);
	check_wish(&wish);
	begin_work(&w);
	progress_begin(&w.progress, wish.progress ? 1 : wish.quiet ? -1 : 0, "samples", 0, 0);
	if (first == argc)
		read_operand(&w, "-", 0);
	for (int i = first; i < argc && w.taken < wish.count; i++)
		read_operand(&w, argv[i], argc - first > 1);
	end_work(&w);
	close_stdout();
	return STATUS_OK;
}
