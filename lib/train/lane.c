#include "train/lane.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "train/input.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *lane_name(const struct lane *l)
{
	return l->title;
}

static int open_source(struct lane *l)
{
	l->fd = -1;
	if (l->command) {
		snprintf(l->title, sizeof(l->title), l->parts > 1 ? "pipe %d" : "pipe", l->part);
		l->text = command_fill(l->command, l->part, l->parts, l->start);
		if (!l->text)
			return -1;
		TRY(command_start(&l->running, l->text));
		l->fd = l->running.fd;
		return 0;
	}
	if (!l->files || !strcmp(l->file[l->at], "-")) {
		strcpy(l->title, "stdin");
		l->fd = 0;
		return 0;
	}
	snprintf(l->title, sizeof(l->title), "%s", l->file[l->at]);
	l->fd = open(l->file[l->at], O_RDONLY | O_CLOEXEC);
	return l->fd < 0 ? fail_errno("%s", l->file[l->at]) : 0;
}

static void close_source(struct lane *l)
{
	stream_close(l->reader);
	l->reader = NULL;
	if (!l->command && l->fd > 0)
		close(l->fd);
	l->fd = -1;
}

static int open_stream(struct lane *l)
{
	l->status = 3;
	if (open_source(l) < 0)
		return -1;
	l->reader = stream_open(l->fd, l->title, &l->status);
	if (!l->reader)
		return -1;
	l->status = 1;
	l->opened = 0;
	l->record.samples = l->used = 0;
	return 0;
}

static int find_columns(struct lane *l)
{
	const struct stream_head *h = &l->head;

	l->image = stream_find(h, "image");
	l->label = stream_find(h, "label");
	l->labels = stream_find(h, "labels");
	l->shares = stream_find(h, "shares");
	l->id = stream_find(h, "id");
	l->name = stream_find(h, "name");
	if (l->image < 0 || h->column[l->image].type != DTYPE_U8)
		return fail("%s: no column 'image' of bytes", l->title);
	if (l->label < 0 && (l->labels < 0 || l->shares < 0))
		return fail("%s: no column 'label'", l->title);
	if ((l->label >= 0 && (h->column[l->label].type != DTYPE_I32 ||
			       stream_numbers(&h->column[l->label]) != 1)) ||
	    (l->labels >= 0 && (h->column[l->labels].type != DTYPE_I32 ||
				stream_numbers(&h->column[l->labels]) != 2)) ||
	    (l->shares >= 0 && (h->column[l->shares].type != DTYPE_F32 ||
				stream_numbers(&h->column[l->shares]) != 2)))
		return fail("%s: labels are not of the type that batchstream(5) says", l->title);
	if (l->id >= 0 && (h->column[l->id].type != DTYPE_I64 ||
			   stream_numbers(&h->column[l->id]) != 1))
		l->id = -1;
	if (l->name >= 0 && (h->column[l->name].type != DTYPE_U8 || h->column[l->name].rank != 1))
		l->name = -1;
	return 0;
}

int lane_open(struct lane *l)
{
	l->running = (struct command){ 0, -1 };
	if (open_stream(l) < 0 || stream_head_copy(&l->head, stream_head(l->reader)) < 0 ||
	    find_columns(l) < 0)
		return -1;
	if (l->parts > 1 && l->head.parts != (uint32_t)l->parts)
		return fail("%s: is one of %u dealt parts, not of %d: give {part} and {parts} to "
			    "--shard", l->title, l->head.parts, l->parts);
	return 0;
}

/* The next file must have the same columns, as a segment must. */
static int check_columns(const struct lane *l, const struct stream_head *h)
{
	if (h->columns == l->head.columns && h->parts == l->head.parts) {
		int i = 0;

		while (i < h->columns && !strcmp(h->column[i].name, l->head.column[i].name) &&
		       h->column[i].type == l->head.column[i].type &&
		       h->column[i].rank == l->head.column[i].rank &&
		       !memcmp(h->column[i].dim, l->head.column[i].dim, sizeof(h->column[i].dim)))
			i++;
		if (i == h->columns)
			return 0;
	}
	return fail("%s: its columns are not those of %s", l->title, l->file[0]);
}

/* After the first record of a stream: where it begins, as the order so far wants it. */
static int place(struct lane *l)
{
	uint64_t parts = l->head.parts ? l->head.parts : 1;

	l->opened = 1;
	l->shift = 0;
	if (l->begun) {
		if (l->record.position > l->next)
			return fail("%s: begins at position %" PRIu64 ", the file before ended at %"
				    PRIu64, l->title, l->record.position, l->next);
		l->shift = l->next - l->record.position;
		if (l->shift % parts)
			return fail("%s: another part of the dealt stream", l->title);
		return 0;
	}
	l->begun = 1;
	l->next = l->record.position;
	if (l->parts > 1 && l->next % parts != (uint64_t)l->part)
		return fail("%s: begins at position %" PRIu64 ", which is not of part %d of %d",
			    l->title, l->next, l->part, l->parts);
	if (l->strict && l->next >= l->start + parts)
		return fail("%s: begins at position %" PRIu64 ", the run stands at %" PRIu64
			    ": use --start-at %" PRIu64, l->title, l->next, l->start, l->start);
	return 0;
}

/* The next record with samples: 1, 0 at the end, -1. */
static int next_record(struct lane *l)
{
	for (;;) {
		int r = stream_read(l->reader, &l->record);

		if (r < 0) {
			l->status = stream_status(l->reader);
			return -1;
		}
		if (!r) {
			if (l->at + 1 >= l->files)
				return 0;
			close_source(l);
			l->at++;
			TRY(open_stream(l));
			TRY(check_columns(l, stream_head(l->reader)));
			continue;
		}
		if (!l->opened)
			TRY(place(l));
		if (l->record.kind != STREAM_DATA) {
			l->next = l->record.position + l->shift;
			l->record.samples = 0;
			continue;
		}
		if (!l->record.samples)
			continue;
		for (int c = 0; c < l->head.columns; c++)
			stream_view(l->reader, &l->record, c, &l->view[c]);
		l->used = 0;
		l->name_at = 0;
		l->next = l->record.position + l->shift;
		return 1;
	}
}

/* Number i of a column of 32 bits. */
static int32_t number_at(const struct lane *l, int column, uint32_t i)
{
	return (int32_t)get_u32(l->view[column].data + 4 * (size_t)i);
}

static void fill(struct lane *l, struct sample *s)
{
	uint32_t i = l->used;

	*s = (struct sample){ .position = l->next, .id = -1, .share = { 1, 0 } };
	s->bytes = l->view[l->image].bytes / l->record.samples;
	s->pixels = l->view[l->image].data + i * s->bytes;
	if (l->label >= 0)
		s->label[0] = s->label[1] = number_at(l, l->label, i);
	if (l->labels >= 0 && l->shares >= 0)
		for (uint32_t k = 0; k < 2; k++) {
			uint32_t u = (uint32_t)number_at(l, l->shares, 2 * i + k);

			s->label[k] = number_at(l, l->labels, 2 * i + k);
			memcpy(&s->share[k], &u, 4);
		}
	if (l->id >= 0)
		s->id = (int64_t)get_u64(l->view[l->id].data + 8 * (size_t)i);
	if (l->name >= 0) {
		uint32_t n = l->view[l->name].dims ? l->view[l->name].dims[i]
			   : l->head.column[l->name].dim[0];

		s->name = (const char *)l->view[l->name].data + l->name_at;
		s->name_bytes = n;
		l->name_at += n;
	}
}

int lane_next(struct lane *l, struct sample *s)
{
	if (l->held) {
		l->held = 0;
		*s = l->sample;
		return 1;
	}
	for (;;) {
		if (l->used >= l->record.samples) {
			int r = next_record(l);

			if (r <= 0)
				return r;
		}
		fill(l, s);
		l->used++;
		l->next += l->head.parts ? l->head.parts : 1;
		if (s->position >= l->start)
			return 1;
	}
}

int lane_first(struct lane *l, uint64_t *position)
{
	int r = lane_next(l, &l->sample);

	if (r < 0)
		return -1;
	l->held = r;
	*position = r ? l->sample.position : l->next;
	return 0;
}

void lane_close(struct lane *l)
{
	close_source(l);
	command_stop(&l->running);
	stream_head_release(&l->head);
	free(l->text);
}
