#include "data/jpeg.h"

#include "base/fail.h"

#include <assert.h>
#include <limits.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#define STRING(x) #x
#define STRING_OF(x) STRING(x)

enum { ROWS = 16 };             /* rows asked of libjpeg at a time */

struct jpeg {
	struct jpeg_decompress_struct file;
	struct jpeg_error_mgr error;
	struct jpeg_progress_mgr progress;
	jmp_buf out;
	int begun;              /* the header was read and the pixels were not */
	unsigned char *ink;     /* ROWS rows of CMYK */
	size_t ink_room;
};

static void give_up(j_common_ptr file)
{
	char words[JMSG_LENGTH_MAX];

	file->err->format_message(file, words);
	fail("jpeg: %s", words);
	longjmp(((struct jpeg *)file->client_data)->out, 1);
}

/* Warnings that mean lost pixels. Bytes too many before the end marker do not: many
 * cameras' files have them. */
static int is_damage(const struct jpeg_error_mgr *error)
{
	switch (error->msg_code) {
	case JWRN_EXTRANEOUS_DATA:
		return error->msg_parm.i[1] != JPEG_EOI;
	case JWRN_ARITH_BAD_CODE:
	case JWRN_HIT_MARKER:
	case JWRN_HUFF_BAD_CODE:
	case JWRN_JPEG_EOF:
	case JWRN_MUST_RESYNC:
		return 1;
	}
	return 0;
}

static void warned(j_common_ptr file, int level)
{
	if (level < 0 && is_damage(file->err))
		give_up(file);
}

static void silent(j_common_ptr file)
{
	(void)file;
}

/* Tiny files can ask for scans without end (libjpeg-turbo's own advice). */
static void watch_scans(j_common_ptr file)
{
	if (((j_decompress_ptr)file)->input_scan_number <= JPEG_SCANS_MAX)
		return;
	fail("jpeg: more than %d scans", JPEG_SCANS_MAX);
	longjmp(((struct jpeg *)file->client_data)->out, 1);
}

static int create(struct jpeg *j)
{
	j->file.err = jpeg_std_error(&j->error);
	j->error.error_exit = give_up;
	j->error.emit_message = warned;
	j->error.output_message = silent;
	j->file.client_data = j;
	if (setjmp(j->out))
		return -1;
	jpeg_create_decompress(&j->file);
	j->file.mem->max_memory_to_use = JPEG_MEMORY_MAX;
	j->progress.progress_monitor = watch_scans;
	j->file.progress = &j->progress;
	return 0;
}

struct jpeg *jpeg_new(void)
{
	struct jpeg *j = calloc(1, sizeof(*j));

	if (j == NULL)
		fail_errno("jpeg decoder");
	else if (create(j) < 0) {
		free(j);
		j = NULL;
	}
	return j;
}

void jpeg_free(struct jpeg *j)
{
	if (j == NULL)
		return;
	jpeg_destroy_decompress(&j->file);
	free(j->ink);
	free(j);
}

/* Ends an image, read or not; the decoder is fresh for the next. */
static void stop(struct jpeg *j)
{
	jpeg_abort_decompress(&j->file);
	j->begun = 0;
}

static int known_colours(const struct jpeg_decompress_struct *file)
{
	switch (file->jpeg_color_space) {
	case JCS_GRAYSCALE:
		return file->num_components == 1;
	case JCS_RGB:
	case JCS_YCbCr:
		return file->num_components == 3;
	case JCS_CMYK:
	case JCS_YCCK:
		return file->num_components == 4;
	default:
		return 0;
	}
}

int jpeg_open(struct jpeg *j, const void *data, size_t n)
{
	if (j->begun)
		stop(j);
	if (n == 0 || n > ULONG_MAX)
		return fail("jpeg: %zu bytes", n);
	if (setjmp(j->out)) {
		stop(j);
		return -1;
	}
	j->begun = 1;
	jpeg_mem_src(&j->file, data, (unsigned long)n);
	jpeg_read_header(&j->file, TRUE);
	if (image_check((int)j->file.image_height, (int)j->file.image_width, 3) < 0) {
		stop(j);
		return fail_add("jpeg");
	}
	if (!known_colours(&j->file)) {
		int components = j->file.num_components;

		stop(j);
		return fail("jpeg: %d components of an unknown kind", components);
	}
	return 0;
}

int jpeg_height(const struct jpeg *j)
{
	return (int)j->file.image_height;
}

int jpeg_width(const struct jpeg *j)
{
	return (int)j->file.image_width;
}

int jpeg_components(const struct jpeg *j)
{
	return j->file.num_components;
}

/* Whether a component has fewer columns than the image: these are made up from their
 * neighbours. */
static int is_upsampled(const struct jpeg_decompress_struct *file)
{
	for (int i = 0; i < file->num_components; i++)
		if (file->comp_info[i].h_samp_factor != file->max_h_samp_factor)
			return 1;
	return 0;
}

/*
 * Keeps only the columns of the box, with a block column more on each side where the
 * smooth upsampling is at work, which treats the first and last column it sees as the
 * image's edge. Gives the first column kept.
 */
static int keep_columns(struct jpeg *j, const struct box *b)
{
	struct jpeg_decompress_struct *file = &j->file;
	JDIMENSION block = (JDIMENSION)(file->max_h_samp_factor * DCTSIZE);
	JDIMENSION margin = is_upsampled(file) ? block : 0;
	JDIMENSION left = (JDIMENSION)b->x / block * block;
	JDIMENSION right = (JDIMENSION)(b->x + b->width), width;

	if (left > 0)
		left -= margin;
	right = (right + margin + block - 1) / block * block;
	if (right > file->image_width)
		right = file->image_width;
	width = right - left;
	if (left > 0 || right < file->image_width)
		jpeg_crop_scanline(file, &left, &width);
	return (int)left;
}

/* Ink to light as Pillow computes it, so that equal files give equal pixels. Adobe's
 * programs store CMYK inverted. */
static void ink_to_rgb(const unsigned char *ink, unsigned char *rgb, int n, int inverted)
{
	for (int i = 0; i < n; i++, ink += 4, rgb += 3) {
		int light = inverted ? ink[3] : 255 - ink[3];

		for (int c = 0; c < 3; c++) {
			int part = (inverted ? 255 - ink[c] : ink[c]) * light + 128;

			rgb[c] = (unsigned char)(light - ((part + (part >> 8)) >> 8));
		}
	}
}

static int make_ink(struct jpeg *j)
{
	size_t need = (size_t)ROWS * j->file.output_width * 4;

	if (need > j->ink_room) {
		unsigned char *ink = realloc(j->ink, need);

		if (ink == NULL)
			return fail_errno("jpeg: %zu bytes", need);
		j->ink = ink;
		j->ink_room = need;
	}
	return 0;
}

/* Reads n rows into to, from its first row on. */
static int read_rows(struct jpeg *j, struct image *to, int n)
{
	struct jpeg_decompress_struct *file = &j->file;
	int ink = file->out_color_space == JCS_CMYK;
	JSAMPROW row[ROWS];

	if (ink)
		TRY(make_ink(j));
	for (int y = 0; y < n; ) {
		int most = n - y < ROWS ? n - y : ROWS, got;

		for (int i = 0; i < most; i++)
			row[i] = ink ? j->ink + (size_t)i * file->output_width * 4 :
				 to->data + (size_t)(y + i) * to->stride;
		got = (int)jpeg_read_scanlines(file, row, (JDIMENSION)most);
		if (got < 1)
			return fail("jpeg: row %d of %d does not come", y, n);
		for (int i = 0; ink && i < got; i++)
			ink_to_rgb(row[i], to->data + (size_t)(y + i) * to->stride,
				   (int)file->output_width, file->saw_Adobe_marker);
		y += got;
	}
	return 0;
}

/* Whether the end marker stands after what the decoder took; inside coded data FF is
 * always followed by 00 or a restart marker. */
static int has_end(struct jpeg *j)
{
	struct jpeg_decompress_struct *file = &j->file;
	const unsigned char *from = file->src->next_input_byte;
	const unsigned char *p = from + file->src->bytes_in_buffer;

	if (file->unread_marker == JPEG_EOI || jpeg_input_complete(file))
		return 1;
	for (; p - from >= 2; p--)
		if (p[-2] == 0xff && p[-1] == JPEG_EOI)
			return 1;
	return 0;
}

static int decode(struct jpeg *j, const struct box *b, struct image *to)
{
	struct jpeg_decompress_struct *file = &j->file;
	int left;

	file->dct_method = JDCT_ISLOW;
	file->do_fancy_upsampling = TRUE;
	jpeg_start_decompress(file);
	left = keep_columns(j, b);
	TRY(image_make(to, b->height, (int)file->output_width, to->channels));
	if (b->y > 0)
		jpeg_skip_scanlines(file, (JDIMENSION)b->y);
	TRY(read_rows(j, to, b->height));
	to->data += (size_t)(b->x - left) * (size_t)to->channels;
	to->width = b->width;
	if (!has_end(j))
		return fail("jpeg: ends before its end marker: cut short");
	return 0;
}

int jpeg_read(struct jpeg *j, const struct box *b, int channels, struct image *to)
{
	int result;

	assert(j->begun);
	assert(b->x >= 0 && b->width >= 1 && b->width <= jpeg_width(j) - b->x);
	assert(b->y >= 0 && b->height >= 1 && b->height <= jpeg_height(j) - b->y);
	assert(channels == 3 || (channels == 1 && jpeg_components(j) == 1));
	j->file.out_color_space = channels == 1 ? JCS_GRAYSCALE :
				  jpeg_components(j) == 4 ? JCS_CMYK : JCS_RGB;
	to->channels = channels;
	if (setjmp(j->out)) {
		stop(j);
		return -1;
	}
	result = decode(j, b, to);
	stop(j);
	return result;
}

const char *jpeg_version(void)
{
	return "libjpeg-turbo " STRING_OF(LIBJPEG_TURBO_VERSION);
}
