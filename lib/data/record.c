#include "data/pack.h"

#include "base/fail.h"
#include "data/probe.h"
#include "data/sample.h"

#include <stdlib.h>
#include <string.h>

enum { FIELDS_MOST = 16 };

struct fields {
	struct example_field field[FIELDS_MOST];
	struct example_piece piece[FIELDS_MOST];
	int64_t whole[FIELDS_MOST];
	size_t n;
};

static void add_bytes(struct fields *f, const char *key, const void *bytes, size_t size)
{
	f->piece[f->n] = (struct example_piece){ bytes, size };
	f->field[f->n] = (struct example_field){ .key = key, .kind = EXAMPLE_BYTES,
						 .count = 1, .bytes = &f->piece[f->n] };
	f->n++;
}

static void add_whole(struct fields *f, const char *key, int64_t value)
{
	f->whole[f->n] = value;
	f->field[f->n] = (struct example_field){ .key = key, .kind = EXAMPLE_INTS,
						 .count = 1, .wholes = &f->whole[f->n] };
	f->n++;
}

/* Columns of boxes: to holds 4 x boxes floats, labels as many numbers as boxes. */
static void add_boxes(struct fields *f, const struct record_parts *r, float *to,
		      int64_t *labels)
{
	static const char *const key[4] = { KEY_BOX_XMIN, KEY_BOX_YMIN, KEY_BOX_XMAX,
					    KEY_BOX_YMAX };
	size_t i, k;

	for (i = 0; i < r->boxes; i++) {
		to[i] = r->box[i].xmin;
		to[r->boxes + i] = r->box[i].ymin;
		to[2 * r->boxes + i] = r->box[i].xmax;
		to[3 * r->boxes + i] = r->box[i].ymax;
		labels[i] = r->label;
	}
	for (k = 0; k < 4; k++)
		f->field[f->n++] = (struct example_field){ .key = key[k],
			.kind = EXAMPLE_FLOATS, .count = r->boxes, .reals = to + k * r->boxes };
	f->field[f->n++] = (struct example_field){ .key = KEY_BOX_LABEL, .kind = EXAMPLE_INTS,
						   .count = r->boxes, .wholes = labels };
}

static const char *colorspace(const struct probe *p)
{
	static const char *const png[] = { "", "Grayscale", "GrayscaleAlpha", "RGB", "RGBA" };
	static const char *const jpeg[] = { "", "Grayscale", "", "RGB", "CMYK" };

	return (p->format[0] == 'P' ? png : jpeg)[p->channels];
}

unsigned char *record_make(const struct record_parts *r, struct jpeg *jpeg, const void *image,
			   size_t n, size_t *size)
{
	struct fields f = { .n = 0 };
	struct probe p;
	float *corners = NULL;
	int64_t *labels = NULL;
	unsigned char *out = NULL;

	if (probe_image(jpeg, image, n, &p))
		return NULL;
	if (p.channels < 1 || p.channels > 4) {
		fail("%d channels", p.channels);
		return NULL;
	}
	add_bytes(&f, KEY_ENCODED, image, n);
	add_bytes(&f, KEY_FILENAME, r->name, strlen(r->name));
	add_bytes(&f, KEY_FORMAT, p.format, strlen(p.format));
	add_bytes(&f, KEY_COLORSPACE, colorspace(&p), strlen(colorspace(&p)));
	add_bytes(&f, KEY_SYNSET, r->class_name, strlen(r->class_name));
	if (r->class_text)
		add_bytes(&f, KEY_TEXT, r->class_text, strlen(r->class_text));
	add_whole(&f, KEY_HEIGHT, p.height);
	add_whole(&f, KEY_WIDTH, p.width);
	add_whole(&f, KEY_CHANNELS, p.channels);
	add_whole(&f, KEY_LABEL, r->label);
	if (r->with_boxes) {
		corners = calloc(r->boxes + 1, 4 * sizeof *corners);
		labels = calloc(r->boxes + 1, sizeof *labels);
		if (!corners || !labels) {
			fail("no memory for %zu boxes", r->boxes);
			goto out;
		}
		add_boxes(&f, r, corners, labels);
	}
	out = example_pack(f.field, f.n, size);
out:
	free(corners);
	free(labels);
	return out;
}
