#include "data/augment_feed.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "base/io.h"
#include "base/pool.h"
#include "base/text.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)256 << 20)    /* bytes of an image file */
#define FILES_BYTES ((size_t)4 << 20)   /* bytes of image files read into one record */
enum { FILES_MOST = 64 };
enum { BAD = 1, SYSTEM = 3 };           /* exit statuses */

/* A ring of depth + 2 events serves: one more than the pool holds is being filled, one is
 * being looked at by the caller. */
struct augment_feed {
	const struct augment_wish *wish;
	struct stream_reader *reader;
	struct pool *pool;
	struct canvas **canvas; /* one a thread */
	int threads;
	struct augment_event *event;
	size_t ring, filled;    /* events; how many were handed in */
	struct augment *stream; /* the present segment */
	uint64_t seed;
	int height, width;      /* that came out of the first segment */
	pthread_t reading;
	struct augment *ended;  /* a segment that the caller has seen the end of */
};

static int work_on(void *context, int thread, void *arg)
{
	struct augment_feed *w = context;
	struct augment_event *e = arg;

	return e->kind == AUGMENT_DATA ? augment_work(e->stream, &e->job, w->canvas[thread]) : 0;
}

static struct augment_event *next_event(struct augment_feed *w, enum augment_kind kind)
{
	struct augment_event *e = &w->event[w->filled % w->ring];

	e->kind = kind;
	e->stream = w->stream;
	return e;
}

static int hand_in(struct augment_feed *w, struct augment_event *e)
{
	w->filled++;
	return pool_put(w->pool, e);
}

static void hand_in_failure(struct augment_feed *w, int status)
{
	struct augment_event *e = next_event(w, AUGMENT_FAILED);

	e->status = status;
	free(e->why);
	e->why = strdup(fail_why());
	hand_in(w, e);
}

/* "127.5" or "1,2,3" as a JSON array of one number a channel: the caller frees it. */
static char *channel_numbers(const char *text, int channels, const char *what, double above)
{
	struct text t = { 0 };
	const char *p = text;
	double v = 0;
	int n = 0;

	for (int c = 0; c < channels; c++) {
		char *end;

		if (n == c && (c == 0 || *p == ',')) {
			v = strtod(p += c > 0, &end);
			if (end == p || (*end && *end != ',') || !(v > above && v <= 1e6)) {
				fail("--%s %s: one number, or one for each of %d channels",
				     what, text, channels);
				text_release(&t);
				return NULL;
			}
			p = end;
			n++;
		}
		text_add(&t, "%s%.15g", c ? "," : "[", v);
	}
	text_add(&t, "]");
	if (*p || (n != 1 && n != channels)) {
		fail("--%s %s: one number, or one for each of %d channels", what, text, channels);
		text_release(&t);
		return NULL;
	}
	return text_take(&t);
}

/* Sets what the pixels are to be normalised with, where it was asked for or is missing. */
static int set_numbers(struct augment *a, const char *key, const char *text, double above)
{
	char *old = stream_meta(&a->out, key), *json;
	int result, there = old != NULL;

	free(old);
	if (text == NULL && there)
		return 0;
	json = channel_numbers(text ? text : "127.5", a->channels, key, above);
	if (json == NULL)
		return -1;
	result = stream_set_meta(&a->out, key, json);
	free(json);
	return result;
}

static int make_head(const struct augment_wish *wish, struct augment *a)
{
	const char *argument[6];
	char seed[32];
	int n = 0;

	TRY(augment_head(a));
	TRY(set_numbers(a, "mean", wish->mean, -1e6));
	TRY(set_numbers(a, "deviation", wish->deviation, 0));
	if (wish->seeded) {
		snprintf(seed, sizeof(seed), "%llu", (unsigned long long)wish->seed);
		argument[n++] = "--seed";
		argument[n++] = seed;
	}
	if (wish->orient)
		argument[n++] = "--exif-orient";
	if (wish->each_step)
		argument[n++] = "--each-step";
	argument[n++] = wish->text;
	argument[n] = NULL;
	return stream_add_stage(&a->out, "img-augment", argument);
}

/* The seed of a stream: its own unless another was given; 0 if there is none. */
static int find_seed(struct augment_feed *w, const struct stream_head *h)
{
	char *text, *end;

	w->seed = w->wish->seed;
	if (w->wish->seeded)
		return 0;
	fail_clear();
	text = stream_meta(h, "seed");
	if (text == NULL)
		return *fail_why() ? -1 : 0;
	w->seed = strtoull(text, &end, 10);
	if (end == text || *end)
		return fail("the stream's seed is '%s'", text), free(text), -1;
	free(text);
	return 0;
}

/* Begins a segment of the stream: looks at its columns. */
static int begin_segment(struct augment_feed *w, const struct stream_head *h)
{
	struct augment *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return fail_errno("segment");
	w->stream = a;
	TRY(augment_begin(a, w->wish->recipe, h, w->wish->orient ? CANVAS_ORIENT : 0,
			  w->wish->each_step));
	if (w->wish->labels && a->label < 0)
		return fail("--max-bad marks a bad sample by its label: these have none");
	if (a->height == 0) {
		a->height = w->height;
		a->width = w->width;
	}
	return find_seed(w, h);
}

/* Hands in the header, once the size that comes out is known. */
static int hand_in_head(struct augment_feed *w)
{
	w->height = w->stream->height;
	w->width = w->stream->width;
	TRY(make_head(w->wish, w->stream));
	return hand_in(w, next_event(w, AUGMENT_BEGIN));
}

static int hand_in_samples(struct augment_feed *w, const struct stream_view *column,
			   uint32_t samples, uint64_t position)
{
	const struct augment *a = w->stream;
	uint32_t first, count;

	for (first = 0; first < samples; first += count) {
		struct augment_event *e = next_event(w, AUGMENT_DATA);

		count = augment_cut(a, column, first, samples);
		if (count == 0)
			return -1;
		TRY(augment_fill(a, &e->job, column, first, count,
				 position + (uint64_t)first * a->in.parts, w->seed));
		TRY(hand_in(w, e));
	}
	return 0;
}

static int hand_in_mark(struct augment_feed *w, enum augment_kind kind, uint64_t position)
{
	struct augment_event *e = next_event(w, kind);

	e->position = position * (w->wish->each_step ? (uint64_t)w->wish->recipe->count + 1 : 1);
	return hand_in(w, e);
}

/* One record of the input: 0 or -1. */
static int take_record(struct augment_feed *w, const struct stream_record *r, int *begun)
{
	struct stream_view column[STREAM_COLUMNS];

	if (w->stream == NULL)
		TRY(begin_segment(w, stream_head(w->reader)));
	for (int c = 0; r->kind == STREAM_DATA && c < w->stream->in.columns; c++)
		stream_view(w->reader, r, c, &column[c]);
	if (!*begun && w->stream->height == 0 && !w->wish->each_step) {
		if (r->kind != STREAM_DATA)
			return fail("no image came that would tell the size: end the recipe "
				    "with size or crop");
		TRY(augment_learn(w->stream, column, r->samples));
	}
	if (!*begun)
		TRY(hand_in_head(w));
	*begun = 1;
	if (r->kind == STREAM_DATA)
		return hand_in_samples(w, column, r->samples, r->position);
	TRY(hand_in_mark(w, r->kind == STREAM_EPOCH ? AUGMENT_EPOCH : AUGMENT_END, r->position));
	if (r->kind == STREAM_SEGMENT) {
		w->stream = NULL;
		*begun = 0;
	}
	return 0;
}

static void *read_stream(void *arg)
{
	struct augment_feed *w = arg;
	struct stream_record r;
	int begun = 0, got;

	/* Where the size is known the header goes out at once: a program downstream can
	 * get ready while the first record is made. */
	if (begin_segment(w, stream_head(w->reader)) < 0)
		goto bad;
	if (w->stream->height > 0 || w->wish->each_step) {
		if (hand_in_head(w) < 0)
			goto bad;
		begun = 1;
	}
	while ((got = stream_read(w->reader, &r)) > 0)
		if (take_record(w, &r, &begun) < 0)
			goto bad;
	if (got < 0)
		hand_in_failure(w, stream_status(w->reader));
	pool_end(w->pool);
	return NULL;
bad:
	hand_in_failure(w, BAD);
	pool_end(w->pool);
	return NULL;
}

/* Image files being made a record. */
struct pile {
	struct text image, name;
	uint32_t image_bytes[FILES_MOST], name_bytes[FILES_MOST];
	unsigned char id[FILES_MOST * 8];
	uint32_t n;
};

static int add_file(struct pile *p, const char *path, int number)
{
	size_t n;
	char *data = file_read(path, FILE_MAX, &n);

	if (data == NULL)
		return -1;
	text_add_bytes(&p->image, data, n);
	free(data);
	text_add(&p->name, "%s", path);
	p->image_bytes[p->n] = (uint32_t)n;
	p->name_bytes[p->n] = (uint32_t)strlen(path);
	put_u64(p->id + 8 * p->n, (uint64_t)number);
	p->n++;
	return p->image.failed || p->name.failed ? fail("%s: out of memory", path) : 0;
}

static int hand_in_pile(struct augment_feed *w, struct pile *p, uint64_t position)
{
	struct stream_view column[] = {
		{ (unsigned char *)p->image.data, p->image_bytes, p->image.length },
		{ p->id, NULL, 8 * p->n },
		{ (unsigned char *)p->name.data, p->name_bytes, p->name.length },
	};
	int result = 0;

	if (w->stream->height == 0 && !w->wish->each_step)
		result = augment_learn(w->stream, column, p->n);
	if (result == 0 && position == 0)
		result = hand_in_head(w);
	if (result == 0)
		result = hand_in_samples(w, column, p->n, position);
	text_release(&p->image);
	text_release(&p->name);
	p->n = 0;
	return result;
}

static int take_files(struct augment_feed *w, struct pile *p, int *status)
{
	struct stream_head head = {
		.samples = (uint64_t)w->wish->files, .epoch = (uint64_t)w->wish->files,
		.payload_max = STREAM_RECORD_MAX, .record_max = FILES_MOST, .parts = 1,
		.columns = 3, .column = {
			{ "image", DTYPE_U8, 1, { STREAM_VARIES } },
			{ "id", DTYPE_I64, 1, { 1 } },
			{ "name", DTYPE_U8, 1, { STREAM_VARIES } },
		},
	};
	uint64_t position = 0;

	*status = BAD;
	TRY(begin_segment(w, &head));
	for (int i = 0; i < w->wish->files; i++) {
		if (add_file(p, w->wish->file[i], i) < 0) {
			*status = SYSTEM;
			return -1;
		}
		if (p->n == FILES_MOST || p->image.length >= FILES_BYTES ||
		    i + 1 == w->wish->files) {
			TRY(hand_in_pile(w, p, position));
			position = (uint64_t)i + 1;
		}
	}
	return hand_in_mark(w, AUGMENT_END, position);
}

static void *read_files(void *arg)
{
	struct augment_feed *w = arg;
	struct pile *pile = calloc(1, sizeof(*pile));
	int status = SYSTEM;

	if (pile == NULL)
		fail_errno("image files");
	if (pile == NULL || take_files(w, pile, &status) < 0)
		hand_in_failure(w, status);
	if (pile != NULL) {
		text_release(&pile->image);
		text_release(&pile->name);
	}
	free(pile);
	pool_end(w->pool);
	return NULL;
}

static int start(struct augment_feed *w)
{
	int depth = 2 * w->threads, error;

	w->ring = (size_t)depth + 2;
	w->event = calloc(w->ring, sizeof(*w->event));
	w->canvas = calloc((size_t)w->threads, sizeof(struct canvas *));
	if (w->event == NULL || w->canvas == NULL)
		return fail_errno("%d threads", w->threads);
	for (int i = 0; i < w->threads; i++) {
		w->canvas[i] = canvas_new();
		if (w->canvas[i] == NULL)
			return -1;
	}
	w->pool = pool_open(w->threads, depth, work_on, w);
	if (w->pool == NULL)
		return -1;
	error = pthread_create(&w->reading, NULL, w->reader ? read_stream : read_files, w);
	return error ? fail("a thread for reading: %s", strerror(error)) : 0;
}

static void release(struct augment_feed *w)
{
	pool_free(w->pool);
	for (int i = 0; w->canvas != NULL && i < w->threads; i++)
		canvas_free(w->canvas[i]);
	for (size_t i = 0; w->event != NULL && i < w->ring; i++) {
		augment_job_release(&w->event[i].job);
		free(w->event[i].why);
	}
	if (w->ended != NULL)
		augment_release(w->ended);
	free(w->ended);
	free(w->canvas);
	free(w->event);
	free(w);
}

struct augment_feed *augment_feed_open(const struct augment_wish *wish,
				       struct stream_reader *reader, int threads)
{
	struct augment_feed *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		fail_errno("threads");
		return NULL;
	}
	w->wish = wish;
	w->reader = reader;
	w->threads = threads;
	if (start(w) < 0) {
		release(w);
		return NULL;
	}
	return w;
}

int augment_feed_next(struct augment_feed *w, struct augment_event **event)
{
	void *e;
	int got;

	if (w->ended != NULL) {
		augment_release(w->ended);
		free(w->ended);
		w->ended = NULL;
	}
	got = pool_take(w->pool, &e);
	if (got <= 0)
		return got;
	*event = e;
	if ((*event)->kind == AUGMENT_END)
		w->ended = (*event)->stream;
	return 1;
}

void augment_feed_close(struct augment_feed *w)
{
	if (w == NULL)
		return;
	pthread_join(w->reading, NULL);
	release(w);
}
