#include "data/augment.h"

#include "base/fail.h"
#include "data/jpeg.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static int find(const struct stream_head *h, const char *name, enum dtype type, int rank)
{
	int i = stream_find(h, name);

	return i >= 0 && h->column[i].type == type && h->column[i].rank == rank ? i : -1;
}

/* Whether the images are encoded or pixels of one or three channels. */
static int look_at_images(struct augment *a)
{
	const struct stream_column *c;

	a->image = stream_find(&a->in, "image");
	if (a->image < 0)
		return fail("the stream has no column 'image'");
	c = &a->in.column[a->image];
	a->coded = c->rank == 1 && c->dim[0] == STREAM_VARIES;
	if (c->type != DTYPE_U8)
		return fail("column 'image' is %s: images come encoded or as u8 pixels",
			    dtype_name(c->type));
	if (a->coded)
		return 0;
	if (c->rank == 4)
		return fail("column 'image' holds several views of each image already");
	if (c->rank != 3 || (c->dim[2] != 1 && c->dim[2] != 3))
		return fail("column 'image' is neither encoded ([*]) nor pixels "
			    "([height, width, 1 or 3])");
	return 0;
}

static int known_side(uint32_t dim)
{
	return dim == STREAM_VARIES || dim > IMAGE_SIDE_MAX ? 0 : (int)dim;
}

int augment_begin(struct augment *a, const struct recipe *recipe, const struct stream_head *in,
		  int flags, int each_step)
{
	struct outline o = { .channels = 3 };
	const struct stream_column *c;

	memset(a, 0, sizeof(*a));
	a->recipe = recipe;
	a->flags = flags;
	a->each_step = each_step;
	TRY(stream_head_copy(&a->in, in));
	TRY(look_at_images(a));
	a->label = find(in, "label", DTYPE_I32, 1);
	a->boxes = stream_find(in, "boxes");
	a->id = find(in, "id", DTYPE_I64, 1);
	a->name = find(in, "name", DTYPE_U8, 1);
	if (each_step && in->parts > 1)
		return fail("the image after each step needs a stream that is not one of "
			    "%u dealt parts", in->parts);
	c = &in->column[a->image];
	if (a->coded) {
		if (recipe_has(recipe, "grey"))
			a->flags |= CANVAS_GREY;
	} else {
		o.channels = (int)c->dim[2];
		o.height = known_side(c->dim[0]);
		o.width = known_side(c->dim[1]);
	}
	recipe_outline(recipe, &o);
	if (o.height > 0 && o.width > 0) {
		TRY(image_check(o.height, o.width, o.channels));
		a->height = o.height;
		a->width = o.width;
	}
	a->channels = each_step ? 3 : o.channels;
	if (o.moved == 0)
		a->boxes = -1;  /* not to be left out */
	return 0;
}

void augment_release(struct augment *a)
{
	stream_head_release(&a->in);
	stream_head_release(&a->out);
}

int augment_learn(struct augment *a, const struct stream_view *column, uint32_t samples)
{
	struct augment_job job = { 0 };
	struct canvas *canvas = canvas_new();
	int result = -1;

	if (canvas == NULL)
		return -1;
	for (uint32_t i = 0; i < samples && a->height == 0; i++) {
		if (augment_fill(a, &job, column, i, 1, 0, 0) < 0)
			goto out;
		if (augment_open(a, &job, 0, canvas) < 0 || recipe_run(a->recipe, canvas) < 0)
			continue;
		a->height = canvas_height(canvas);
		a->width = canvas_width(canvas);
	}
	if (a->height > 0)
		result = 0;
	else
		fail_add("no image of the first record tells the size (end the recipe with "
			 "size or crop)");
out:
	augment_job_release(&job);
	canvas_free(canvas);
	return result;
}

/* Adds a column to out. */
static void add_column(struct augment *a, const struct stream_column *c, int source)
{
	a->source[a->out.columns] = source;
	a->out.column[a->out.columns++] = *c;
}

static void make_columns(struct augment *a)
{
	static const struct stream_column names = { "name", DTYPE_U8, 1, { STREAM_VARIES } };
	struct stream_column image = { "image", DTYPE_U8, 3, { (uint32_t)a->height,
		(uint32_t)a->width, (uint32_t)a->channels } };

	if (a->each_step)
		image.dim[0] = image.dim[1] = STREAM_VARIES;
	a->out.columns = 0;
	for (int i = 0; i < a->in.columns; i++) {
		if (i == a->image)
			add_column(a, &image, i);
		else if (a->each_step ? i == a->label || i == a->id : i != a->boxes)
			add_column(a, &a->in.column[i], i);
	}
	if (a->each_step)
		add_column(a, &names, -1);
}

/* Bytes of a sample of a column that does not vary; 0: it does. */
static size_t fixed_bytes(const struct stream_column *c)
{
	return stream_numbers(c) * dtype_bytes(c->type);
}

/* How many samples a record takes, and the most bytes of one. */
static int make_limits(struct augment *a)
{
	uint64_t image = (uint64_t)a->height * (uint64_t)a->width * (uint64_t)a->channels;
	uint64_t most = AUGMENT_RECORD / (image ? image : 1), bytes = 0, others = 0;

	if (most < 1)
		most = 1;
	if (most > a->in.record_max)
		most = a->in.record_max ? a->in.record_max : 1;
	a->most = (uint32_t)most;
	for (int i = 0; i < a->out.columns; i++) {
		size_t fixed = fixed_bytes(&a->out.column[i]);

		if (fixed == 0)
			others = a->in.payload_max < AUGMENT_OTHERS ? a->in.payload_max :
				 AUGMENT_OTHERS;
		bytes += most * (fixed ? fixed : STREAM_RANK * sizeof(uint32_t)) + 128;
	}
	bytes += others;
	if (bytes > STREAM_RECORD_MAX)
		return fail("a record of %llu bytes", (unsigned long long)bytes);
	a->out.record_max = a->most;
	a->out.payload_max = bytes;
	return 0;
}

/* A sample becomes one for the image as read and one for each step. */
static int make_step_limits(struct augment *a)
{
	uint64_t views = (uint64_t)a->recipe->count + 1;

	a->most = 1;
	a->out.record_max = (uint32_t)views;
	a->out.payload_max = STREAM_RECORD_MAX;
	if (a->out.samples != STREAM_UNKNOWN &&
	    __builtin_mul_overflow(a->out.samples, views, &a->out.samples))
		return fail("too many samples for each step of them");
	if (__builtin_mul_overflow(a->out.epoch, views, &a->out.epoch))
		return fail("too many samples in an epoch for each step of them");
	return 0;
}

int augment_head(struct augment *a)
{
	char version[64];

	assert(a->height > 0 || a->each_step);
	stream_head_release(&a->out);
	TRY(stream_head_copy(&a->out, &a->in));
	make_columns(a);
	TRY(a->each_step ? make_step_limits(a) : make_limits(a));
	if (!a->coded)
		return 0;
	snprintf(version, sizeof(version), "\"%s\"", jpeg_version());
	return stream_set_meta(&a->out, "jpeg", version);
}
