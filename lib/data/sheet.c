#include "data/sheet.h"

#include "base/fail.h"
#include "data/resize.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GLYPH_WIDE = 5, GLYPH_HIGH = 7, LINE_HIGH = 10, GAP = 4, PAPER = 255, EMPTY = 224,
       ENLARGED = 96 };

/* Rows of a glyph from the top, the leftmost point is bit 4. */
static const struct {
	char letter;
	unsigned char row[GLYPH_HIGH];
} glyphs[] = {
	{ '0', { 0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e } },
	{ '1', { 0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e } },
	{ '2', { 0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f } },
	{ '3', { 0x0e, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0e } },
	{ '4', { 0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02 } },
	{ '5', { 0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e } },
	{ '6', { 0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e } },
	{ '7', { 0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08 } },
	{ '8', { 0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e } },
	{ '9', { 0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c } },
	{ 'A', { 0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11 } },
	{ 'B', { 0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e } },
	{ 'C', { 0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e } },
	{ 'D', { 0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e } },
	{ 'E', { 0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f } },
	{ 'F', { 0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10 } },
	{ 'G', { 0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0f } },
	{ 'H', { 0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11 } },
	{ 'I', { 0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e } },
	{ 'J', { 0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c } },
	{ 'K', { 0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11 } },
	{ 'L', { 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f } },
	{ 'M', { 0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11 } },
	{ 'N', { 0x11, 0x19, 0x15, 0x13, 0x11, 0x11, 0x11 } },
	{ 'O', { 0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e } },
	{ 'P', { 0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10 } },
	{ 'Q', { 0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d } },
	{ 'R', { 0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11 } },
	{ 'S', { 0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e } },
	{ 'T', { 0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04 } },
	{ 'U', { 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e } },
	{ 'V', { 0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04 } },
	{ 'W', { 0x11, 0x11, 0x11, 0x15, 0x15, 0x1b, 0x11 } },
	{ 'X', { 0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11 } },
	{ 'Y', { 0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04 } },
	{ 'Z', { 0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f } },
	{ ' ', { 0 } },
	{ '-', { 0x00, 0x00, 0x00, 0x0e, 0x00, 0x00, 0x00 } },
	{ '_', { 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1f } },
	{ '.', { 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c } },
	{ ',', { 0x00, 0x00, 0x00, 0x00, 0x0c, 0x04, 0x08 } },
	{ ':', { 0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00 } },
	{ '/', { 0x01, 0x01, 0x02, 0x04, 0x08, 0x10, 0x10 } },
	{ '(', { 0x02, 0x04, 0x08, 0x08, 0x08, 0x04, 0x02 } },
	{ ')', { 0x08, 0x04, 0x02, 0x02, 0x02, 0x04, 0x08 } },
	{ '=', { 0x00, 0x00, 0x1f, 0x00, 0x1f, 0x00, 0x00 } },
	{ '?', { 0x0e, 0x11, 0x01, 0x02, 0x04, 0x00, 0x04 } },
};

/* Shrinks to the cell, the longer side filling it. The struct is that of the cell. */
static int keep_image(struct sheet_cell *c, const struct image *m, int side)
{
	int longer = m->height > m->width ? m->height : m->width;
	struct resize r = { 0 };
	int result = -1;

	if (longer <= side) {
		TRY(image_make(&c->image, m->height, m->width, m->channels));
		image_copy(&c->image, m);
		return 0;
	}

	int h = (int)((int64_t)m->height * side / longer), w = (int)((int64_t)m->width * side /
								     longer);

	h = h ? h : 1;
	w = w ? w : 1;
	if (image_make(&c->image, h, w, m->channels) == 0 &&
	    resize_plan(&r, m->height, m->width, h, w, NULL, 0) == 0) {
		struct image need = image_part(m, &r.need);

		result = resize_run(&r, &need, &c->image);
	}
	resize_release(&r);
	return result;
}

int sheet_add(struct sheet *s, const struct image *m, const char *first, const char *second)
{
	const char *line[2] = { first, second };

	if (s->count == s->room) {
		int room = s->room ? 2 * s->room : 64;
		struct sheet_cell *cell = realloc(s->cell, (size_t)room * sizeof(*cell));

		if (!cell)
			return fail("out of memory for %d images", room);
		s->cell = cell;
		s->room = room;
	}

	struct sheet_cell *c = &s->cell[s->count];

	memset(c, 0, sizeof(*c));
	for (int i = 0; i < 2; i++)
		if (line[i])
			snprintf(c->line[i], sizeof(c->line[i]), "%s", line[i]);
	if (m && keep_image(c, m, s->side) < 0) {
		image_release(&c->image);
		return -1;
	}
	s->count++;
	return 0;
}

static void draw_letter(struct image *out, int x, int y, char letter)
{
	const unsigned char *row = glyphs[sizeof(glyphs) / sizeof(glyphs[0]) - 1].row;

	letter = (char)toupper((unsigned char)letter);
	for (size_t i = 0; i < sizeof(glyphs) / sizeof(glyphs[0]); i++)
		if (glyphs[i].letter == letter)
			row = glyphs[i].row;
	for (int j = 0; j < GLYPH_HIGH; j++)
		for (int i = 0; i < GLYPH_WIDE; i++)
			if (row[j] >> (GLYPH_WIDE - 1 - i) & 1)
				memset(out->data + (size_t)(y + j) * out->stride +
				       3 * (size_t)(x + i), 0, 3);
}

/* What of a line of text fits: its begin; of the second line, a name, its end, where
 * names differ. */
static const char *fitting(const struct sheet_cell *c, int line, int letters)
{
	const char *text = c->line[line];
	int n = (int)strlen(text);

	return line == 1 && n > letters ? text + (n - letters) : text;
}

static void draw_line(struct image *out, int x, int y, const char *text, int letters)
{
	for (; *text && letters > 0; text++, letters--, x += GLYPH_WIDE + 1)
		draw_letter(out, x, y, *text);
}

/* How the cells of a sheet are drawn. */
struct grid {
	int wide, high;         /* of a cell's image, in pixels drawn */
	int zoom;               /* pixels drawn for one of the image */
	int lines;              /* of text under it */
};

/* Cells as large as the largest image. Small images are enlarged to about `least`. */
static struct grid lay_out(const struct sheet *s, int least)
{
	struct grid g = { 1, 1, 1, 0 };

	for (int i = 0; i < s->count; i++) {
		const struct sheet_cell *c = &s->cell[i];

		if (c->image.width > g.wide)
			g.wide = c->image.width;
		if (c->image.height > g.high)
			g.high = c->image.height;
		for (int k = 0; k < 2; k++)
			if (c->line[k][0] && k >= g.lines)
				g.lines = k + 1;
	}
	g.zoom = least / (g.wide > g.high ? g.wide : g.high);
	if (g.zoom < 1)
		g.zoom = 1;
	g.wide *= g.zoom;
	g.high *= g.zoom;
	return g;
}

/* Red, green, blue of a place in a cell, whose image stands in its middle. */
static void cell_colour(const struct grid *g, const struct sheet_cell *c, int x, int y,
			unsigned char rgb[3])
{
	const struct image *m = &c->image;

	x -= (g->wide - m->width * g->zoom) / 2;
	y -= (g->high - m->height * g->zoom) / 2;
	memset(rgb, EMPTY, 3);
	if (!m->data || x < 0 || y < 0 || x >= m->width * g->zoom || y >= m->height * g->zoom)
		return;

	const unsigned char *p = m->data + (size_t)(y / g->zoom) * m->stride +
		(size_t)(x / g->zoom * m->channels);

	if (m->channels == 3)
		memcpy(rgb, p, 3);
	else
		memset(rgb, p[0], 3);
}

int sheet_draw(const struct sheet *s, int across, struct image *out)
{
	struct grid g = lay_out(s, ENLARGED);
	int wide = g.wide + GAP, high = g.high + GAP + g.lines * LINE_HIGH;
	int columns = s->count < across ? s->count : across;
	int letters = (g.wide + 1) / (GLYPH_WIDE + 1);
	int rows = columns ? (s->count + columns - 1) / columns : 0;

	if (s->count == 0)
		return fail("no images");
	if (rows > (IMAGE_SIDE_MAX - GAP) / high || columns > (IMAGE_SIDE_MAX - GAP) / wide)
		return fail("%d images do not fit one sheet", s->count);
	TRY(image_make(out, rows * high + GAP, columns * wide + GAP, 3));
	memset(out->data, PAPER, out->stride * (size_t)out->height);
	for (int i = 0; i < s->count; i++) {
		const struct sheet_cell *c = &s->cell[i];
		int x0 = GAP + i % columns * wide, y0 = GAP + i / columns * high;

		for (int y = 0; y < g.high; y++)
			for (int x = 0; x < g.wide; x++)
				cell_colour(&g, c, x, y, out->data + (size_t)(y0 + y) *
					    out->stride + 3 * (size_t)(x0 + x));
		for (int k = 0; k < g.lines; k++)
			draw_line(out, x0, y0 + g.high + 2 + k * LINE_HIGH,
				  fitting(c, k, letters), letters);
	}
	return 0;
}

/* One row of characters: two rows of pixels of the cells from..to-1. */
static void show_row(const struct sheet *s, const struct grid *g, int from, int to, int y,
		     struct text *out)
{
	for (int i = from; i < to; i++) {
		for (int x = 0; x < g->wide; x++) {
			unsigned char up[3], down[3];

			cell_colour(g, &s->cell[i], x, y, up);
			cell_colour(g, &s->cell[i], x, y + 1, down);
			text_add(out, "\033[38;2;%d;%d;%dm\033[48;2;%d;%d;%dm\u2580", up[0], up[1],
				 up[2], down[0], down[1], down[2]);
		}
		text_add(out, "\033[0m%s", i + 1 < to ? " " : "\n");
	}
}

void sheet_show(const struct sheet *s, int across, struct text *out)
{
	struct grid g = lay_out(s, 1);

	for (int from = 0; from < s->count; from += across) {
		int to = from + across < s->count ? from + across : s->count;

		for (int y = 0; y < g.high; y += 2)
			show_row(s, &g, from, to, y, out);
		for (int k = 0; k < g.lines; k++) {
			for (int i = from; i < to; i++)
				text_add(out, "%-*.*s ", g.wide, g.wide,
					 fitting(&s->cell[i], k, g.wide));
			text_add(out, "\n");
		}
	}
}

void sheet_release(struct sheet *s)
{
	for (int i = 0; i < s->count; i++)
		image_release(&s->cell[i].image);
	free(s->cell);
	*s = (struct sheet){ 0 };
}
