#include "data/batch.h"

#include "base/fail.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void batch_release(struct batch *b)
{
	example_release(&b->example);
	sample_release(&b->sample);
	frames_release(&b->image);
	frames_release(&b->name);
	frames_release(&b->box);
	free(b->label);
	free(b->id);
	free(b->dim);
	memset(b, 0, sizeof *b);
}

static int check_item(const struct load *l, size_t i)
{
	const struct fetched *item = &l->item[i];

	return tfrecord_check(l->frames.data + item->at, item->size, item->name, item->record,
			      item->offset);
}

int batch_check(const struct load *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		TRY(check_item(l, i));
	return 0;
}

static int append(struct frames *to, const void *from, size_t n)
{
	TRY(frames_reserve(to, n));
	if (n)
		memcpy(to->data + to->size, from, n);
	to->size += n;
	return 0;
}

static int make_room(struct batch *b, size_t n)
{
	if (n <= b->room)
		return 0;
	free(b->label);
	free(b->id);
	free(b->dim);
	b->label = calloc(n, sizeof *b->label);
	b->id = calloc(n, sizeof *b->id);
	b->dim = calloc(n, 3 * sizeof *b->dim);
	b->room = b->label && b->id && b->dim ? n : 0;
	return b->room ? 0 : fail("no memory for %zu samples", n);
}

static int label(const struct batch_plan *plan, int64_t stored, int32_t *to)
{
	int64_t value;

	if (__builtin_sub_overflow(stored, plan->label_base, &value) || value < 0 ||
	    value > INT32_MAX)
		return fail("label %" PRId64 " with label base %" PRId64, stored,
			    plan->label_base);
	if (plan->classes && value >= plan->classes)
		return fail("label %" PRId64 " with label base %" PRId64 ", but there are %"
			    PRIu32 " classes", stored, plan->label_base, plan->classes);
	*to = (int32_t)value;
	return 0;
}

static int add(struct batch *b, const struct batch_plan *plan, const struct load *l, size_t i)
{
	const struct fetched *item = &l->item[i];
	struct sample *s = &b->sample;

	TRY(check_item(l, i));
	if (example_parse(&b->example, l->frames.data + item->at + TFRECORD_HEAD,
			  item->size - TFRECORD_OVER) || sample_take(s, &b->example) ||
	    label(plan, s->label, &b->label[i]))
		return fail_add("%s: record %" PRIu64 ", offset %" PRIu64, item->name,
				item->record, item->offset);
	b->id[i] = (int64_t)item->number << 32 | (int64_t)item->record;
	b->dim[i] = (uint32_t)s->image_size;
	b->dim[b->room + i] = (uint32_t)s->name_size;
	b->dim[2 * b->room + i] = (uint32_t)s->boxes;
	TRY(append(&b->image, s->image, s->image_size));
	TRY(append(&b->name, s->name, s->name_size));
	return plan->boxes ? append(&b->box, s->box, s->boxes * 4 * sizeof *s->box) : 0;
}

int batch_build(struct batch *b, const struct batch_plan *plan, const struct load *l,
		struct stream_view view[BATCH_COLUMNS])
{
	size_t i;

	b->image.size = b->name.size = b->box.size = 0;
	TRY(make_room(b, l->n));
	for (i = 0; i < l->n; i++)
		TRY(add(b, plan, l, i));
	view[0] = (struct stream_view){ b->image.data, b->dim, b->image.size };
	view[1] = (struct stream_view){ (void *)b->label, NULL, l->n * sizeof *b->label };
	view[2] = (struct stream_view){ (void *)b->id, NULL, l->n * sizeof *b->id };
	view[3] = (struct stream_view){ b->name.data, b->dim + b->room, b->name.size };
	view[4] = (struct stream_view){ b->box.data, b->dim + 2 * b->room, b->box.size };
	return 0;
}
