/*
 * A recipe on records of a batch stream: what img-augment does to each. A job is some
 * samples of one record, copied out of it, so that threads work on several at once; what
 * comes of it depends on the samples, their positions and the seed alone.
 */
#ifndef DATA_AUGMENT_H
#define DATA_AUGMENT_H

#include "data/recipe.h"
#include "data/stream.h"

/* So many bytes end a record that is written: of its pixels, of the images that they come
 * from, of its other columns of varying size. */
#define AUGMENT_RECORD ((size_t)2 << 20)
#define AUGMENT_IMAGES ((size_t)8 << 20)
#define AUGMENT_OTHERS ((size_t)1 << 20)

struct augment {                /* the same for all jobs of a stream */
	const struct recipe *recipe;
	int flags;              /* CANVAS_ORIENT or 0 */
	int each_step;          /* a sample for the image as read and after each step */
	int height, width, channels;    /* of the images that come out; height 0: not yet known */
	int image, label, boxes, id, name;      /* columns of the input; -1: none */
	int coded;              /* the input's images are encoded */
	struct stream_head in, out;     /* out: once the size is known */
	int source[STREAM_COLUMNS];     /* of each column of out: the input's; -1: name made here */
	uint32_t most;          /* samples of a job */
};

/* Looks at the columns of a stream and follows the recipe as far as sizes are known.
 * recipe is borrowed, in copied; the struct holds no earlier stream. 0 or -1. */
int augment_begin(struct augment *, const struct recipe *, const struct stream_head *in,
		  int flags, int each_step);
void augment_release(struct augment *);

/* Finds the size that comes out from the first image of a record that lets it be told,
 * where augment_begin() did not know it. 0 or -1. */
int augment_learn(struct augment *, const struct stream_view *column, uint32_t samples);

/* Makes out, the header of what comes out; the metadata is the input's, with the decoder
 * added. The size is known, or each_step. 0 or -1. */
int augment_head(struct augment *);

struct augment_job {
	uint64_t position;      /* of the first sample */
	uint32_t samples;       /* in */
	uint64_t seed;
	struct stream_view column[STREAM_COLUMNS];      /* in: copies */
	unsigned char *input;   /* that the copies lie in */
	size_t input_room;
	unsigned char *pixels;  /* out: all images */
	size_t pixels_room, pixels_used;
	uint32_t *dims;         /* out, with each_step: of the images */
	struct stream_view others[STREAM_COLUMNS];      /* out, with each_step */
	unsigned char *other[STREAM_COLUMNS];
	char **why;             /* samples reasons; NULL: the sample is good */
	size_t *image_at;       /* where each image begins in its column */
	uint32_t room;          /* samples that why and image_at have room for */
	uint32_t bad;
	uint32_t samples_out;
	uint64_t position_out;
};

/* How many samples, from sample first on, the next job takes: >= 1; 0: reason. */
uint32_t augment_cut(const struct augment *, const struct stream_view *column,
		     uint32_t first, uint32_t samples);

/* Copies samples first .. first + count - 1 of a record. The job's struct was zeroed at
 * first and is used again. 0 or -1 (no memory). */
int augment_fill(const struct augment *, struct augment_job *, const struct stream_view *column,
		 uint32_t first, uint32_t count, uint64_t position, uint64_t seed);

/* Begins a canvas with sample i of a job: 0, or -1: no image that can be read. */
int augment_open(const struct augment *, const struct augment_job *, uint32_t i,
		 struct canvas *);

/* Does the work. An image that fails leaves its reason in why and counts in bad; its place
 * holds pixels 128 and label -1. 0, or -1 (no memory). */
int augment_work(const struct augment *, struct augment_job *, struct canvas *);

/* The result as stream_write() takes it: a view for each column of out. */
void augment_result(const struct augment *, const struct augment_job *,
		    struct stream_view *column);

/* Puts what a message calls sample i of a job into buf: name, id, position. */
void augment_sample_name(const struct augment *, const struct augment_job *, uint32_t i,
			 char *buf, size_t room);

void augment_job_release(struct augment_job *);

#endif
