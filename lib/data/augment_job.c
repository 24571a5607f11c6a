#include "data/augment.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GREY = 128 };            /* the pixels of a bad image */

static int varying(const struct stream_column *c)
{
	int n = 0;

	for (int i = 0; i < c->rank; i++)
		n += c->dim[i] == STREAM_VARIES;
	return n;
}

/* Bytes of sample i of a column. */
static size_t sample_bytes(const struct stream_column *c, const struct stream_view *v,
			   uint32_t i)
{
	const uint32_t *dims = v->dims ? v->dims + (size_t)i * (size_t)varying(c) : NULL;
	size_t n = dtype_bytes(c->type);

	for (int d = 0; d < c->rank; d++)
		n *= c->dim[d] == STREAM_VARIES ? *dims++ : c->dim[d];
	return n;
}

/* Where sample i begins. */
static size_t sample_offset(const struct stream_column *c, const struct stream_view *v,
			    uint32_t i)
{
	size_t at = 0;

	if (v->dims == NULL)
		return (size_t)i * sample_bytes(c, v, 0);
	for (uint32_t n = 0; n < i; n++)
		at += sample_bytes(c, v, n);
	return at;
}

/* Whether a column's bytes come out as they came in, differing from sample to sample. */
static int is_other(const struct augment *a, int column)
{
	return column != a->image && column != a->boxes && varying(&a->in.column[column]) > 0;
}

uint32_t augment_cut(const struct augment *a, const struct stream_view *column,
		     uint32_t first, uint32_t samples)
{
	size_t bytes = 0, images = 0;
	uint32_t n;

	if (a->each_step)
		return 1;
	for (n = 0; n < a->most && first + n < samples; n++) {
		size_t more = 0;

		for (int c = 0; c < a->in.columns; c++)
			if (is_other(a, c))
				more += sample_bytes(&a->in.column[c], &column[c], first + n);
		if (n == 0 && more > AUGMENT_OTHERS) {
			fail("%zu bytes beside the image of one sample: at most %zu", more,
			     AUGMENT_OTHERS);
			return 0;
		}
		images += sample_bytes(&a->in.column[a->image], &column[a->image], first + n);
		if (n > 0 && (bytes + more > AUGMENT_OTHERS || images > AUGMENT_IMAGES))
			break;
		bytes += more;
	}
	return n;
}

/* Room for what a job keeps of each of n samples, all good. */
static int make_room(struct augment_job *j, uint32_t n)
{
	size_t *at;
	char **why;

	for (uint32_t i = 0; i < j->samples; i++) {
		free(j->why[i]);
		j->why[i] = NULL;
	}
	j->samples = 0;
	j->bad = 0;
	if (n <= j->room)
		return 0;
	why = realloc(j->why, n * sizeof(*why));
	if (why == NULL)
		return fail_errno("samples of a record");
	memset(why + j->room, 0, (n - j->room) * sizeof(*why));
	j->why = why;
	at = realloc(j->image_at, n * sizeof(*at));
	if (at == NULL)
		return fail_errno("samples of a record");
	j->image_at = at;
	j->room = n;
	return 0;
}

static int grow(unsigned char **memory, size_t *room, size_t need)
{
	unsigned char *more;

	if (need <= *room)
		return 0;
	more = realloc(*memory, need);
	if (more == NULL)
		return fail_errno("%zu bytes of a record", need);
	*memory = more;
	*room = need;
	return 0;
}

static void keep_offsets(const struct augment *a, struct augment_job *j)
{
	size_t at = 0;

	for (uint32_t i = 0; i < j->samples; i++) {
		j->image_at[i] = at;
		at += sample_bytes(&a->in.column[a->image], &j->column[a->image], i);
	}
}

int augment_fill(const struct augment *a, struct augment_job *j, const struct stream_view *column,
		 uint32_t first, uint32_t count, uint64_t position, uint64_t seed)
{
	size_t from[STREAM_COLUMNS], bytes[STREAM_COLUMNS], need = 0, at = 0;

	TRY(make_room(j, count));
	for (int c = 0; c < a->in.columns; c++) {
		const struct stream_column *col = &a->in.column[c];

		from[c] = sample_offset(col, &column[c], first);
		bytes[c] = 0;
		for (uint32_t i = 0; i < count; i++)
			bytes[c] += sample_bytes(col, &column[c], first + i);
		need += round_up(bytes[c], 64) + 64 +
			round_up((size_t)varying(col) * count * sizeof(uint32_t), 64);
	}
	TRY(grow(&j->input, &j->input_room, need));
	for (int c = 0; c < a->in.columns; c++) {
		size_t k = (size_t)varying(&a->in.column[c]);
		struct stream_view *v = &j->column[c];

		*v = (struct stream_view){ .data = j->input + at, .bytes = bytes[c] };
		memcpy(j->input + at, column[c].data + from[c], bytes[c]);
		at += round_up(bytes[c], 64);
		if (k > 0) {
			memcpy(j->input + at, column[c].dims + first * k,
			       k * count * sizeof(uint32_t));
			v->dims = (const uint32_t *)(j->input + at);
			at += round_up(k * count * sizeof(uint32_t), 64);
		}
	}
	j->position = position;
	j->samples = count;
	j->seed = seed;
	keep_offsets(a, j);
	return 0;
}

int augment_open(const struct augment *a, const struct augment_job *j, uint32_t i,
		 struct canvas *canvas)
{
	const struct stream_column *c = &a->in.column[a->image];
	const struct stream_view *v = &j->column[a->image];
	const unsigned char *data = v->data + j->image_at[i];
	const uint32_t *dims = v->dims ? v->dims + (size_t)i * (size_t)varying(c) : NULL;
	uint32_t side[2];

	canvas_place(canvas, j->seed, j->position + (uint64_t)i * a->in.parts);
	if (a->coded)
		return canvas_open(canvas, data, sample_bytes(c, v, i), a->flags);
	for (int d = 0; d < 2; d++) {
		side[d] = c->dim[d] == STREAM_VARIES ? *dims++ : c->dim[d];
		if (side[d] > IMAGE_SIDE_MAX)
			return fail("an image with a side of %u", side[d]);
	}
	return canvas_pixels(canvas, data, (int)side[0], (int)side[1], (int)c->dim[2]);
}

/* Sample i into its place among the pixels. */
static int one_sample(const struct augment *a, const struct augment_job *j, uint32_t i,
		      struct image *to, struct canvas *canvas)
{
	TRY(augment_open(a, j, i, canvas));
	TRY(recipe_run(a->recipe, canvas));
	if (canvas_height(canvas) != a->height || canvas_width(canvas) != a->width)
		return fail("%dx%d (height x width) comes out where %dx%d came before: end the "
			    "recipe with size or crop", canvas_height(canvas),
			    canvas_width(canvas), a->height, a->width);
	return canvas_finish(canvas, to);
}

/* A sample that failed keeps its place. Its label lies in the job's own copy. */
static int mark_bad(const struct augment *a, struct augment_job *j, uint32_t i)
{
	j->why[i] = strdup(fail_why());
	if (j->why[i] == NULL)
		return fail_errno("a reason");
	j->bad++;
	if (a->label >= 0)
		put_u32((unsigned char *)j->column[a->label].data + 4 * (size_t)i, (uint32_t)-1);
	return 0;
}

static int plain_work(const struct augment *a, struct augment_job *j, struct canvas *canvas)
{
	size_t bytes = (size_t)a->height * (size_t)a->width * (size_t)a->channels;
	struct image to = { 0 };

	j->samples_out = j->samples;
	j->position_out = j->position;
	j->pixels_used = bytes * j->samples;
	TRY(grow(&j->pixels, &j->pixels_room, j->pixels_used));
	for (uint32_t i = 0; i < j->samples; i++) {
		unsigned char *place = j->pixels + bytes * i;

		image_borrow(&to, place, bytes / (size_t)a->height, a->height, a->width,
			     a->channels);
		if (one_sample(a, j, i, &to, canvas) < 0) {
			TRY(mark_bad(a, j, i));
			memset(place, GREY, bytes);
		}
	}
	return 0;
}

/* Adds the canvas' image, or a grey one where there is none, as view n. */
static int add_view(struct augment_job *j, uint32_t n, struct canvas *canvas)
{
	int height = canvas ? canvas_height(canvas) : 64;
	int width = canvas ? canvas_width(canvas) : 64;
	size_t bytes = (size_t)height * (size_t)width * 3;
	struct image to = { 0 }, *im = NULL;

	if (canvas != NULL && (im = canvas_image(canvas)) == NULL)
		return -1;
	TRY(grow(&j->pixels, &j->pixels_room, j->pixels_used + bytes));
	image_borrow(&to, j->pixels + j->pixels_used, (size_t)width * 3, height, width, 3);
	if (im == NULL)
		memset(to.data, GREY, bytes);
	else if (im->channels == 1)
		image_rgb(&to, im);
	else
		image_copy(&to, im);
	j->pixels_used += bytes;
	j->dims[2 * n] = (uint32_t)height;
	j->dims[2 * n + 1] = (uint32_t)width;
	return 0;
}

/* The image as read and after each step; where one fails, views grey ones follow. */
static int all_views(const struct augment *a, struct augment_job *j, struct canvas *canvas)
{
	uint32_t n = 0;

	if (augment_open(a, j, 0, canvas) < 0 || add_view(j, n, canvas) < 0)
		return -1;
	for (n = 1; n < j->samples_out; n++)
		if (step_run(&a->recipe->step[n - 1], canvas) < 0 ||
		    add_view(j, n, canvas) < 0)
			return -1;
	return 0;
}

/* The columns beside the image, repeated for each view, and names that say the step. */
static int step_columns(const struct augment *a, struct augment_job *j)
{
	for (int c = 0; c < a->out.columns; c++) {
		const struct stream_view *v = a->source[c] < 0 ? NULL : &j->column[a->source[c]];
		struct text t = { 0 };
		uint32_t *lengths = NULL;

		if (a->source[c] == a->image)
			continue;
		if (v == NULL && (lengths = calloc(j->samples_out, sizeof(*lengths))) == NULL)
			return fail_errno("names");
		for (uint32_t n = 0; n < j->samples_out; n++) {
			size_t before = t.length;
			char *step = NULL;

			if (v != NULL) {
				text_add_bytes(&t, v->data, v->bytes);
				continue;
			}
			if (n > 0)
				step = step_text(&a->recipe->step[n - 1]);
			if (a->name >= 0)
				text_add(&t, "%.*s ", (int)j->column[a->name].bytes,
					 (const char *)j->column[a->name].data);
			text_add(&t, "%u %s", n, step ? step : "as read");
			free(step);
			lengths[n] = (uint32_t)(t.length - before);
		}
		free(j->other[c]);
		free((void *)j->others[c].dims);
		j->others[c] = (struct stream_view){ .bytes = t.length, .dims = lengths };
		j->other[c] = (unsigned char *)text_take(&t);
		j->others[c].data = j->other[c];
		if (j->other[c] == NULL)
			return -1;
	}
	return 0;
}

static int step_work(const struct augment *a, struct augment_job *j, struct canvas *canvas)
{
	uint32_t views = (uint32_t)a->recipe->count + 1;
	uint32_t *dims = realloc(j->dims, 2 * views * sizeof(*dims));

	if (dims == NULL)
		return fail_errno("views");
	j->dims = dims;
	j->samples_out = views;
	j->position_out = j->position * views;
	j->pixels_used = 0;
	if (all_views(a, j, canvas) < 0) {
		TRY(mark_bad(a, j, 0));
		j->pixels_used = 0;
		for (uint32_t n = 0; n < views; n++)
			TRY(add_view(j, n, NULL));
	}
	return step_columns(a, j);
}

int augment_work(const struct augment *a, struct augment_job *j, struct canvas *canvas)
{
	return a->each_step ? step_work(a, j, canvas) : plain_work(a, j, canvas);
}

void augment_result(const struct augment *a, const struct augment_job *j,
		    struct stream_view *column)
{
	for (int c = 0; c < a->out.columns; c++) {
		if (a->source[c] == a->image)
			column[c] = (struct stream_view){ .data = j->pixels,
				.bytes = j->pixels_used, .dims = a->each_step ? j->dims : NULL };
		else
			column[c] = a->each_step ? j->others[c] : j->column[a->source[c]];
	}
}

void augment_sample_name(const struct augment *a, const struct augment_job *j, uint32_t i,
			 char *buf, size_t room)
{
	unsigned long long position = j->position + (uint64_t)i * a->in.parts;
	size_t n = 0;

	buf[0] = '\0';
	if (a->name >= 0) {
		const struct stream_column *c = &a->in.column[a->name];
		const struct stream_view *v = &j->column[a->name];
		size_t length = sample_bytes(c, v, i);

		n = (size_t)snprintf(buf, room, "%.*s ", length > 200 ? 200 : (int)length,
				     (const char *)v->data + sample_offset(c, v, i));
		if (n >= room)
			return;
	}
	if (a->id >= 0) {
		uint64_t id = get_u64(j->column[a->id].data + 8 * (size_t)i);

		snprintf(buf + n, room - n, "(record %llu:%llu, position %llu)",
			 (unsigned long long)(id >> 32), (unsigned long long)(id & 0xffffffff),
			 position);
	} else {
		snprintf(buf + n, room - n, "(position %llu)", position);
	}
}

void augment_job_release(struct augment_job *j)
{
	for (uint32_t i = 0; i < j->room; i++)
		free(j->why[i]);
	for (int c = 0; c < STREAM_COLUMNS; c++) {
		free(j->other[c]);
		free((void *)j->others[c].dims);
	}
	free(j->why);
	free(j->image_at);
	free(j->input);
	free(j->pixels);
	free(j->dims);
	memset(j, 0, sizeof(*j));
}
