#include "data/walk.h"

#include "base/bytes.h"
#include "data/stream_wire.h"

#include <assert.h>

void walk_begin(struct walk *w, const struct stream_reader *r, const struct stream_record *record)
{
	*w = (struct walk){ .head = stream_head(r), .left = record->samples,
			    .position = record->position };
	for (int c = 0; c < w->head->columns; c++) {
		stream_view(r, record, c, &w->view[c]);
		w->data[c] = w->view[c].data;
	}
}

int walk_next(struct walk *w)
{
	if (w->left == 0)
		return 0;
	w->left--;
	if (w->begun)
		w->position += w->head->parts;
	for (int c = 0; c < w->head->columns; c++) {
		const struct stream_column *column = &w->head->column[c];
		const uint32_t *dims = w->view[c].dims;
		int fits;

		w->data[c] += w->bytes[c];
		fits = wire_data_bytes(column, 1, dims, &w->bytes[c]);
		assert(fits == 0);      /* the reader has looked */
		for (int k = 0; k < column->rank; k++)
			w->dim[c][k] = column->dim[k] == STREAM_VARIES ? *dims++ : column->dim[k];
		w->view[c].dims = dims;
	}
	w->begun = 1;
	return 1;
}

int32_t walk_i32(const struct walk *w, int column, int index)
{
	return (int32_t)get_u32(w->data[column] + 4 * index);
}
