#include "train/input_own.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Waits for a change, at most a little while, so that stop() is asked now and then. */
static void wait_a_little(struct input *in)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += 50000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&in->changed, &in->lock, &t);
}

static int stopped(const struct input *in)
{
	return (in->from.stop && in->from.stop()) || world_check(in->from.world);
}

/* Waits until all lanes have counted themselves in *count: 0, or -1. */
static int wait_for_lanes(struct input *in, const int *count)
{
	int r = 0;

	pthread_mutex_lock(&in->lock);
	while (*count < in->from.lanes && in->fails && !stopped(in))
		wait_a_little(in);
	if (!in->fails) {
		r = fail("%s", in->why);
	} else if (*count < in->from.lanes) {
		in->status = 0;
		r = fail("stopped while waiting for input");
	}
	pthread_mutex_unlock(&in->lock);
	return r;
}

/* All lanes must be parts of the same stream. */
static int compare_heads(struct input *in)
{
	const struct stream_head *a = &in->lane[0].head;
	char *order = stream_meta(a, "order");
	int r = 0;

	for (int i = 1; i < in->from.lanes && !r; i++) {
		const struct stream_head *b = &in->lane[i].head;
		char *other = stream_meta(b, "order");

		if (a->columns != b->columns || a->epoch != b->epoch || a->classes != b->classes ||
		    memcmp(a->column, b->column, sizeof(a->column[0]) * (size_t)a->columns))
			r = fail("%s and %s differ in columns, classes or epoch",
				 lane_name(&in->lane[0]), lane_name(&in->lane[i]));
		else if (!order != !other || (order && strcmp(order, other)))
			r = fail("%s and %s differ in the order of samples (digests %s, %s)",
				 lane_name(&in->lane[0]), lane_name(&in->lane[i]),
				 order ? order : "none", other ? other : "none");
		free(other);
	}
	free(order);
	return r;
}

static int start_threads(struct input *in)
{
	for (int i = 0; i < in->from.lanes; i++) {
		struct lane *l = &in->lane[i];

		*l = (struct lane){
			.file = in->from.file, .files = in->from.files,
			.command = in->from.command, .part = input_part(in, i),
			.parts = in->from.parts,
			.start = in->from.start, .strict = in->from.strict, .status = 3, .fd = -1,
			.running = { 0, -1 },
		};
		in->context[i] = (struct lane_thread){ .in = in, .lane = i };
	}
	for (int i = 0; i < in->from.lanes; i++) {
		int r = pthread_create(&in->context[i].thread, NULL, input_run_lane,
				       &in->context[i]);

		if (r)
			return fail("cannot start a thread: %s", strerror(r));
		in->threads++;
	}
	return 0;
}

struct input *input_open(const struct input_from *from, int *status)
{
	struct input *in = calloc(1, sizeof(*in));

	assert(from->lanes >= 1 && from->lanes <= INPUT_LANES);
	assert(!from->parts || from->parts % from->lanes == 0);
	*status = 3;
	if (!in) {
		fail("out of memory");
		return NULL;
	}
	in->from = *from;
	if (!from->parts)
		in->from.parts = from->lanes;
	assert(in->from.parts == 1 || (from->command && command_has_part(from->command)));
	in->fails = INT64_MAX;
	in->status = 3;
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->changed, NULL);
	in->lane = calloc((size_t)from->lanes, sizeof(*in->lane));
	in->context = calloc((size_t)from->lanes, sizeof(*in->context));
	if (!in->lane || !in->context)
		fail("out of memory");
	else if (start_threads(in) == 0 && wait_for_lanes(in, &in->headed) == 0) {
		in->status = 1;
		if (compare_heads(in) == 0) {
			in->stride = in->from.parts == 1 && in->lane[0].head.parts > 1
				? in->lane[0].head.parts
				: (uint64_t)(in->from.parts / in->from.lanes);
			return in;
		}
	}
	*status = in->status;
	char why[FAIL_MAX];
	snprintf(why, sizeof(why), "%s", fail_why());
	input_close(in);
	fail("%s", why);
	return NULL;
}

const struct stream_head *input_head(const struct input *in)
{
	return &in->lane[0].head;
}

int input_views(const struct input *in)
{
	const struct stream_column *c = &in->lane[0].head.column[in->lane[0].image];

	if (!stream_numbers(c) || c->rank < 3 || (c->rank == 4 && c->dim[0] > 1024))
		return 0;
	return c->rank == 4 ? (int)c->dim[0] : 1;
}

static int check_shape(struct input *in)
{
	const struct stream_column *c = &in->lane[0].head.column[in->lane[0].image];
	const struct shape *want = &in->shape.image;
	const char *name = lane_name(&in->lane[0]);

	if (c->rank == 1)
		return fail("%s: the images are still encoded: put img-augment between", name);
	if (!stream_numbers(c))
		return fail("%s: the images differ in size: add 'size %d' to img-augment's recipe",
			    name, want->h);
	if (c->rank == 4 && (int)c->dim[0] != in->shape.views)
		return fail("%s: %u views of each image: only evaluation takes those", name,
			    c->dim[0]);

	const uint32_t *d = c->dim + (c->rank == 4);

	if (d[0] != (uint32_t)want->h || d[1] != (uint32_t)want->w || d[2] != (uint32_t)want->c)
		return fail("%s: images of %ux%ux%u, the network takes %dx%dx%d", name, d[0], d[1],
			    d[2], want->h, want->w, want->c);
	return 0;
}

/* Makes a slot ready for batch number n. */
static void clear_slot(struct input *in, int64_t n)
{
	struct slot *s = &in->slot[n % SLOTS];
	struct batch *b = &s->batch;

	s->done = s->ended = 0;
	b->position = in->first + (uint64_t)n * (uint64_t)in->shape.room * in->stride;
	b->samples = 0;
	b->stride = in->stride;
	b->room = in->shape.room;
	b->deal = in->shape.deal;
	memset(s->there, 0, (size_t)in->shape.room);
	for (int i = 0; i < in->shape.room; i++) {
		b->labels[2 * i] = b->labels[2 * i + 1] = -1;
		b->shares[2 * i] = 1;
		b->shares[2 * i + 1] = 0;
		b->id[i] = -1;
		if (b->name) {
			free(b->name[i]);
			b->name[i] = NULL;
		}
	}
}

static int make_slots(struct input *in)
{
	size_t room = (size_t)in->shape.room, bytes;

	if (__builtin_mul_overflow(room, in->image_bytes, &bytes))
		return fail("a batch of %zu images is too large", room);
	for (int i = 0; i < SLOTS; i++) {
		struct batch *b = &in->slot[i].batch;

		b->pixels = calloc(1, bytes);
		b->labels = calloc(room, 2 * sizeof(*b->labels));
		b->shares = calloc(room, 2 * sizeof(*b->shares));
		b->id = calloc(room, sizeof(*b->id));
		in->slot[i].there = calloc(room, 1);
		if (in->shape.names)
			b->name = calloc(room, sizeof(*b->name));
		if (!b->pixels || !b->labels || !b->shares || !b->id || !in->slot[i].there ||
		    (in->shape.names && !b->name))
			return fail("out of memory for batches of %zu images", room);
	}
	return 0;
}

/* Where batch 0 begins: the first of the lanes' first samples. */
static int find_first(struct input *in)
{
	uint64_t most = 0;

	in->first = UINT64_MAX;
	for (int i = 0; i < in->from.lanes; i++) {
		uint64_t at = in->context[i].first;

		if (at < in->from.start)
			at = in->from.start;    /* it ended before */
		if (at < in->first)
			in->first = at;
		if (at > most)
			most = at;
	}
	if (most - in->first >= (uint64_t)in->from.parts)
		return fail("the pipes begin at positions %" PRIu64 " and %" PRIu64 ": not side "
			    "by side",
			    in->first, most);
	return 0;
}

int input_start(struct input *in, const struct input_shape *shape)
{
	assert(shape->room > 0 && shape->room % in->from.lanes == 0);
	in->shape = *shape;
	if (!shape->deal)
		in->shape.deal = 1;
	assert(shape->room % in->shape.deal == 0);
	in->image_bytes = (size_t)shape->image.h * (size_t)shape->image.w *
			  (size_t)shape->image.c * (size_t)shape->views;
	in->status = 1;
	TRY(check_shape(in));
	if (make_slots(in) < 0) {
		in->status = 3;
		return -1;
	}
	pthread_mutex_lock(&in->lock);
	in->shaped = 1;
	pthread_cond_broadcast(&in->changed);
	pthread_mutex_unlock(&in->lock);
	TRY(wait_for_lanes(in, &in->placed));
	TRY(find_first(in));
	pthread_mutex_lock(&in->lock);
	for (int i = 0; i < SLOTS; i++)
		clear_slot(in, i);
	in->ready = 1;
	pthread_cond_broadcast(&in->changed);
	pthread_mutex_unlock(&in->lock);
	return 0;
}

/*
 * A batch in which a lane came to its end: 1 to be given; 0 the end; -1. The parts must
 * end together: what is there stands in the first places, and the lanes that could fill
 * theirs find their end in the batch after. The lock is held.
 */
static int last_batch(struct input *in, struct slot *s)
{
	int64_t next = in->taken + 1;
	struct slot *after = &in->slot[next % SLOTS];
	int going = in->from.lanes - s->ended;

	while (after->done < going && next < in->fails && !stopped(in))
		wait_a_little(in);
	if (next >= in->fails)
		return fail("%s", in->why);
	if (after->done < going) {
		in->status = 0;
		return fail("stopped while waiting for input");
	}
	if (after->batch.samples || memchr(s->there, 0, (size_t)s->batch.samples)) {
		in->status = 4;
		return fail("the pipes do not end together, near position %" PRIu64,
			    s->batch.position + (uint64_t)s->batch.samples);
	}
	in->over = 1;
	if (in->shape.remainder)
		return s->batch.samples > 0;
	in->left = s->batch.samples;
	return 0;
}

int input_take(struct input *in, struct batch **batch)
{
	int64_t n = in->taken;
	struct slot *s = &in->slot[n % SLOTS];
	int r;

	*batch = &s->batch;
	if (in->over)
		return 0;
	pthread_mutex_lock(&in->lock);
	while (s->done < in->from.lanes && n < in->fails && !stopped(in))
		wait_a_little(in);
	if (n >= in->fails) {
		r = fail("%s", in->why);
	} else if (s->done < in->from.lanes) {
		in->status = 0;
		r = fail("stopped while waiting for input");
	} else {
		r = s->ended ? last_batch(in, s) : 1;
	}
	in->taken += r > 0;
	pthread_mutex_unlock(&in->lock);
	return r;
}

void input_give(struct input *in)
{
	pthread_mutex_lock(&in->lock);
	clear_slot(in, in->given + SLOTS);
	in->given++;
	pthread_cond_broadcast(&in->changed);
	pthread_mutex_unlock(&in->lock);
}

int input_status(const struct input *in)
{
	return in->status;
}

int input_left(const struct input *in)
{
	return in->left;
}

uint64_t input_first(const struct input *in)
{
	return in->first;
}

void input_close(struct input *in)
{
	if (!in)
		return;
	pthread_mutex_lock(&in->lock);
	in->closing = 1;
	pthread_cond_broadcast(&in->changed);
	pthread_mutex_unlock(&in->lock);
	for (int i = 0; i < in->threads; i++) {
		pthread_cancel(in->context[i].thread);
		pthread_join(in->context[i].thread, NULL);
	}
	for (int i = 0; in->lane && i < in->from.lanes; i++)
		lane_close(&in->lane[i]);
	for (int i = 0; i < SLOTS; i++) {
		struct batch *b = &in->slot[i].batch;

		for (int k = 0; b->name && k < in->shape.room; k++)
			free(b->name[k]);
		free(b->name);
		free(b->pixels);
		free(b->labels);
		free(b->shares);
		free(b->id);
		free(in->slot[i].there);
	}
	pthread_cond_destroy(&in->changed);
	pthread_mutex_destroy(&in->lock);
	free(in->lane);
	free(in->context);
	free(in);
}

/* Which of the devices has the first sample. */
static int first_device(const struct batch *b)
{
	return (int)(b->position / b->stride % (uint64_t)b->deal);
}

int batch_place(const struct batch *b, int i)
{
	return (first_device(b) + i) % b->deal * (b->room / b->deal) + i / b->deal;
}

uint64_t batch_position(const struct batch *b, int place)
{
	int each = b->room / b->deal, device = place / each;
	int first = (device - first_device(b) + b->deal) % b->deal;

	return b->position + (uint64_t)(first + place % each * b->deal) * b->stride;
}

const char *sample_name(int64_t id, uint64_t position, char buf[48])
{
	if (id < 0)
		snprintf(buf, 48, "at position %" PRIu64, position);
	else
		snprintf(buf, 48, "%" PRId64 ":%" PRId64, id >> 32, id & 0xffffffff);
	return buf;
}
