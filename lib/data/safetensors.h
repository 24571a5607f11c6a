/*
 * safetensors files: tensors with names, types and shapes behind a JSON header, and
 * a table of texts (__metadata__). Checkpoints are such files; those of PyTorch, timm
 * and torchvision are read by the same rules. Layout: 8 bytes of header length, the
 * header, the tensors' bytes, which fill the rest of the file exactly.
 *
 * Nothing of the file is trusted: length, depth, names, types, products of shapes,
 * ranges (no hole, no overlap, the last one ends with the file) are checked by
 * safetensors_open() before a tensor can be read.
 */
#ifndef DATA_SAFETENSORS_H
#define DATA_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

enum {
	TENSOR_RANK = 8,
	TENSOR_DTYPE = 12,
	SAFETENSORS_HEADER_MAX = 100000000,     /* bytes of JSON */
	SAFETENSORS_TENSORS_MAX = 1000000,
	SAFETENSORS_DEPTH_MAX = 8,
};

struct tensor {
	const char *name;
	char dtype[TENSOR_DTYPE];       /* the file's word: "F32", "BF16", "I64", ... */
	int rank;
	uint64_t dim[TENSOR_RANK];
	uint64_t at, bytes;             /* in the data part; writers need not set them */
};

struct safetensors_text { const char *key, *value; };

/* Bytes of one number of a type; 0: no such type. */
size_t tensor_dtype_bytes(const char *dtype);
/* 1: a floating type that tensor_to_double() and tensor_from_double() know; 0: not. */
int tensor_is_real(const char *dtype);
/* Numbers in a tensor (its sizes were checked when it was read or made). */
uint64_t tensor_numbers(const struct tensor *);
/* n numbers of a type, little-endian, as doubles: 0, or -1 for F8 and complex types. */
int tensor_to_double(const char *dtype, const void *raw, size_t n, double *out);
/* The other way, rounded to the nearest, ties to even; F64, F32, F16, BF16 only. */
int tensor_from_double(const char *dtype, const double *in, size_t n, void *raw);
/* "64x3x7x7", "" for a single number; at most 8 x 21 bytes. */
const char *tensor_shape(const struct tensor *, char *buf, size_t room);
/* 1 where names, types and shapes agree. */
int tensor_same(const struct tensor *, const struct tensor *);

/* ---- reading ---- */

struct safetensors;

/* NULL: reason with path and cause. *status is the exit status that fits: 1 for a bad
 * file, 3 where the system failed. */
struct safetensors *safetensors_open(const char *path, int *status);
void safetensors_close(struct safetensors *);   /* NULL: nothing */

/* Tensors in the order of their bytes. Valid until close. */
int safetensors_count(const struct safetensors *);
const struct tensor *safetensors_tensor(const struct safetensors *, int i);
int safetensors_find(const struct safetensors *, const char *name);     /* index, or -1 */

/* n bytes of tensor i, starting at its byte from (from + n within it): 0 or -1. */
int safetensors_read(const struct safetensors *, int i, uint64_t from, void *buf, size_t n);

/* __metadata__: the text of a key, or NULL; and by number. */
const char *safetensors_meta(const struct safetensors *, const char *key);
int safetensors_metas(const struct safetensors *);
struct safetensors_text safetensors_meta_at(const struct safetensors *, int i);

/* Where the bytes of tensor i begin in the file. */
uint64_t safetensors_place(const struct safetensors *, int i);
/* The open descriptor and the path, borrowed: to compare files, to copy one whole. */
int safetensors_fd(const struct safetensors *);
const char *safetensors_path(const struct safetensors *);

/* ---- writing ---- */

struct safetensors_writer;

/* Begins a file that appears whole at safetensors_commit(). Tensors are laid out in the
 * order given; texts (metas of them; may be 0) become __metadata__. NULL: reason. */
struct safetensors_writer *safetensors_create(const char *path, const struct tensor *, int count,
					      const struct safetensors_text *, int metas);
/* The next n bytes of the data, tensor after tensor: 0 or -1. */
int safetensors_write(struct safetensors_writer *, const void *, size_t n);
/* Makes the file appear, after as many bytes as the tensors have (assert): 0, or -1 and
 * what was under the name is untouched. Frees the writer either way. */
int safetensors_commit(struct safetensors_writer *);
void safetensors_abort(struct safetensors_writer *);    /* NULL: nothing */

#endif
