/* Steps that move numbers: from pixels, between layouts, between channels. */
#include "dev/cpu/cpu.h"

#include <string.h>

/* ---- pixels ---- */

struct input {
	const struct value *from, *to;
	const uint8_t *pixels;
	void *y;
	float number[4][256];   /* what a pixel's byte becomes, by channel */
};

/* One row of one sample. */
static void input_piece(void *context, size_t i)
{
	const struct input *f = context;
	const struct value *v = f->to;
	int n = (int)(i / (size_t)v->h), row = (int)(i % (size_t)v->h);
	const uint8_t *from = f->pixels + value_place(f->from, n, 0, row, 0);
	size_t pixel = (size_t)f->from->lay.block;

	for (int c = 0; c < v->lay.pad; c++) {
		size_t step = (size_t)v->lay.block, place = value_place(v, n, c, row, 0);
		uint16_t *brief = (uint16_t *)f->y + place;
		float *y = (float *)f->y + place;

		for (int x = 0; x < v->w && v->lay.type == DTYPE_BF16; x++)
			brief[(size_t)x * step] = bf16_from(c < v->c ?
				f->number[c][from[(size_t)x * pixel + (size_t)c]] : 0);
		if (v->lay.type == DTYPE_BF16)
			continue;
		for (int x = 0; x < v->w; x++)
			y[(size_t)x * step] = c < v->c ?
				f->number[c][from[(size_t)x * pixel + (size_t)c]] : 0;
	}
}

int cpu_input(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct input_attr *a = s->attr;
	struct input f = { value_at(m, s->in[0]), value_at(m, s->out[0]),
			   memory_at(m, s->in[0]), memory_at(m, s->out[0]), { { 0 } } };

	for (int c = 0; c < f.to->c; c++)
		for (int b = 0; b < 256; b++)
			f.number[c][b] = ((float)b - a->mean[c]) / a->deviation[c];
	each(dev, (size_t)f.to->n * (size_t)f.to->h, input_piece, &f);
	return 0;
}

/* ---- channels ---- */

/* Channels of one value from x_c on to those of another from y_c on. */
struct move {
	const struct value *x, *y;
	const char *from;
	char *to;
	int x_c, y_c, count;
	const struct kernels *k16;
};

/* One row of one sample, number by number. */
static void move_piece(void *context, size_t i)
{
	const struct move *f = context;
	int n = (int)(i / (size_t)f->y->h), row = (int)(i % (size_t)f->y->h);
	enum dtype x_type = f->x->lay.type, y_type = f->y->lay.type;
	size_t x_size = dtype_bytes(x_type), y_size = dtype_bytes(y_type);
	size_t x_step = (size_t)f->x->lay.block, y_step = (size_t)f->y->lay.block;

	for (int c = 0; c < f->count; c++) {
		const char *x = f->from + value_place(f->x, n, f->x_c + c, row, 0) * x_size;
		char *y = f->to + value_place(f->y, n, f->y_c + c, row, 0) * y_size;

		if (x_type == DTYPE_F32 && y_type == DTYPE_F32) {
			for (int k = 0; k < f->y->w; k++)
				((float *)y)[(size_t)k * y_step] =
					((const float *)x)[(size_t)k * x_step];
			continue;
		}
		for (int k = 0; k < f->y->w; k++)
			numbers_convert(y + (size_t)k * y_step * y_size, y_type,
					x + (size_t)k * x_step * x_size, x_type, 1);
	}
}

/* Numbers side by side into the other type. */
static void convert(const struct move *f, char *to, const char *from, size_t n)
{
	enum dtype x = f->x->lay.type, y = f->y->lay.type;
	size_t whole = 0;

	if (f->k16 && x == DTYPE_F32 && y == DTYPE_BF16) {
		whole = n - n % (size_t)f->k16->width;
		f->k16->shorten((const float *)from, (uint16_t *)to, whole);
	} else if (f->k16 && x == DTYPE_BF16 && y == DTYPE_F32) {
		whole = n - n % (size_t)f->k16->width;
		f->k16->widen((const uint16_t *)from, (float *)to, whole);
	}
	numbers_convert(to + whole * dtype_bytes(y), y, from + whole * dtype_bytes(x), x,
			n - whole);
}

/* Whole planes of one sample, where both sides have the same blocks. */
static void planes_piece_move(void *context, size_t n)
{
	const struct move *f = context;
	size_t block = (size_t)f->y->lay.block, size = dtype_bytes(f->y->lay.type);
	size_t blocks = ((size_t)f->count + block - 1) / block;

	size_t numbers = blocks * block * (size_t)f->y->h * (size_t)f->y->w;
	char *to = f->to + value_place(f->y, (int)n, f->y_c, 0, 0) * size;
	const char *from = f->from + value_place(f->x, (int)n, f->x_c, 0, 0) *
			   dtype_bytes(f->x->lay.type);

	if (f->x->lay.type == f->y->lay.type)
		memcpy(to, from, numbers * size);
	else
		convert(f, to, from, numbers);
}

static void move_run(struct device *dev, const struct memory *m, int from, int to, int x_c,
		     int y_c, int count)
{
	struct move f = { value_at(m, from), value_at(m, to), memory_at(m, from),
			  memory_at(m, to), x_c, y_c, count, dev->k16 };
	int block = f.x->lay.block;
	int whole = block == f.y->lay.block && x_c % block == 0 && y_c % block == 0 &&
		    /* a part block is copied with its padding, at the end on both sides */
		    (count % block == 0 || (x_c + count == f.x->c && y_c + count == f.y->c));

	if (whole)
		each(dev, (size_t)f.y->n, planes_piece_move, &f);
	else
		each(dev, (size_t)f.y->n * (size_t)f.y->h, move_piece, &f);
}

int cpu_copy(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *y = value_at(m, s->out[0]);

	if (y->c < y->lay.pad)
		value_zero_padding(y, memory_at(m, s->out[0]));
	move_run(dev, m, s->in[0], s->out[0], 0, 0, y->c);
	return 0;
}

int cpu_cat(struct device *dev, const struct memory *m, const struct step *s)
{
	int k, c = 0;

	value_zero_padding(value_at(m, s->out[0]), memory_at(m, s->out[0]));
	for (k = 0; k < s->ins; k++) {
		int count = value_at(m, s->in[k])->c;

		move_run(dev, m, s->in[k], s->out[0], 0, c, count);
		c += count;
	}
	return 0;
}

int cpu_slice(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct slice_attr *a = s->attr;

	value_zero_padding(value_at(m, s->out[0]), memory_at(m, s->out[0]));
	move_run(dev, m, s->in[0], s->out[0], a->from, 0, a->to - a->from);
	return 0;
}

/* Channels, rows and columns moved by front, top and left; zeros where x has none. */
struct pad {
	const struct value *x, *y;
	const struct pad_attr *a;
	const float *from;
	float *to;
	int first, columns;     /* of a row of y: from here on so many come from x */
};

/* A row of channel c, or of the whole block that begins there: the channels moved. */
static int pad_channels(const struct pad *f, int n, int c, int row)
{
	int block = f->y->lay.block, from = c - f->a->front;
	size_t x_step = (size_t)f->x->lay.block, y_step = (size_t)block;
	const float *x = f->from + value_place(f->x, n, from, row - f->a->top,
					       f->first - f->a->left);
	float *y = f->to + value_place(f->y, n, c, row, f->first);

	if (f->x->lay.block == block && c % block == 0 && from % block == 0 &&
	    from + block <= f->x->c && c + block <= f->y->c) {
		memcpy(y, x, (size_t)f->columns * y_step * sizeof *y);
		return block;
	}
	for (int k = 0; k < f->columns; k++)
		y[(size_t)k * y_step] = x[(size_t)k * x_step];
	return 1;
}

/* One row of one sample. */
static void pad_piece(void *context, size_t i)
{
	const struct pad *f = context;
	const struct value *x = f->x, *y = f->y;
	int n = (int)(i / (size_t)y->h), row = (int)(i % (size_t)y->h), block = y->lay.block, c;
	size_t bytes = (size_t)y->w * (size_t)block * sizeof(float);

	for (c = 0; c < y->lay.pad; c += block)
		memset(f->to + value_place(y, n, c, row, 0), 0, bytes);
	if (row < f->a->top || row - f->a->top >= x->h || f->columns <= 0)
		return;
	c = f->a->front > 0 ? f->a->front : 0;
	while (c < y->c && c - f->a->front < x->c)
		c += pad_channels(f, n, c, row);
}

int cpu_pad(struct device *dev, const struct memory *m, const struct step *s)
{
	struct pad f = { value_at(m, s->in[0]), value_at(m, s->out[0]), s->attr,
			 memory_at(m, s->in[0]), memory_at(m, s->out[0]), 0, 0 };
	int end = f.a->left + f.x->w < f.y->w ? f.a->left + f.x->w : f.y->w;

	f.first = f.a->left > 0 ? f.a->left : 0;
	f.columns = end - f.first;
	each(dev, (size_t)f.y->n * (size_t)f.y->h, pad_piece, &f);
	return 0;
}

/* ---- shuffle ---- */

struct shuffle {
	const struct value *x, *y;
	const float *from;
	float *to;
	int groups;
};

/* A row of one sample: each vector of y is gathered from as many places of x. */
static void shuffle_piece(void *context, size_t i)
{
	const struct shuffle *f = context;
	const struct value *x = f->x, *y = f->y;
	int n = (int)(i / (size_t)y->h), row = (int)(i % (size_t)y->h), c, k;
	size_t x_step = (size_t)x->lay.block, y_step = (size_t)y->lay.block;

	for (c = 0; c < y->lay.pad; c++) {
		int across = y->c / f->groups, source = c % f->groups * across + c / f->groups;
		const float *from = c < y->c ? f->from + value_place(x, n, source, row, 0) : NULL;
		float *to = f->to + value_place(y, n, c, row, 0);

		for (k = 0; k < y->w; k++)
			to[(size_t)k * y_step] = from ? from[(size_t)k * x_step] : 0;
	}
}

int cpu_shuffle(struct device *dev, const struct memory *m, const struct step *s)
{
	struct shuffle f = { value_at(m, s->in[0]), value_at(m, s->out[0]),
			     memory_at(m, s->in[0]), memory_at(m, s->out[0]),
			     ((const struct shuffle_attr *)s->attr)->groups };

	each(dev, (size_t)f.y->n * (size_t)f.y->h, shuffle_piece, &f);
	return 0;
}
