/*
 * What a record of images holds: the keys of ImageNet's Examples, and the few of them that
 * training needs, taken from a record without copying the image.
 */
#ifndef DATA_SAMPLE_H
#define DATA_SAMPLE_H

#include "data/example.h"

#include <stddef.h>
#include <stdint.h>

#define KEY_ENCODED "image/encoded"
#define KEY_FORMAT "image/format"
#define KEY_FILENAME "image/filename"
#define KEY_HEIGHT "image/height"
#define KEY_WIDTH "image/width"
#define KEY_CHANNELS "image/channels"
#define KEY_COLORSPACE "image/colorspace"
#define KEY_LABEL "image/class/label"
#define KEY_SYNSET "image/class/synset"
#define KEY_TEXT "image/class/text"
#define KEY_BOX_YMIN "image/object/bbox/ymin"
#define KEY_BOX_XMIN "image/object/bbox/xmin"
#define KEY_BOX_YMAX "image/object/bbox/ymax"
#define KEY_BOX_XMAX "image/object/bbox/xmax"
#define KEY_BOX_LABEL "image/object/bbox/label"

struct sample {
	const unsigned char *image;     /* the encoded image; image_size may be 0 */
	size_t image_size;
	const unsigned char *name;      /* "" if the record has none */
	size_t name_size;
	int64_t label;                  /* as stored */
	size_t boxes;
	float *box;                     /* boxes x (ymin, xmin, ymax, xmax); the sample's own */
	size_t box_room;
};

/* Takes the sample out of a parsed Example (a zero-initialised struct, to be used again and
 * again): 0, or -1 naming the key that is missing, of another kind, or of more than one
 * value. The name and the boxes may be absent. */
int sample_take(struct sample *, const struct example *);
void sample_release(struct sample *);

/* One value of a feature: 1; 0 if the key is absent; -1 (another kind, or not one value). */
int sample_bytes(const struct example *, const char *key, const unsigned char **, size_t *);
int sample_whole(const struct example *, const char *key, int64_t *);

#endif
