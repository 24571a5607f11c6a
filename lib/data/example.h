/*
 * tf.train.Example, as records of TFRecord shards hold it. The reader is a parser by
 * hand that returns pointers into the record, so that an image is never copied; it takes
 * what protobuf takes (features in any order, the last of equal keys, unpacked lists, lists
 * in pieces, unknown fields and groups) and checks every length. The writer is protobuf-c's.
 */
#ifndef DATA_EXAMPLE_H
#define DATA_EXAMPLE_H

#include <stddef.h>
#include <stdint.h>

enum {
	EXAMPLE_FEATURES = 10000,       /* most features of a record, repeats counted */
	EXAMPLE_KEY = 1024,             /* longest key in bytes */
	EXAMPLE_LIST = 16000000,        /* most values of a list */
	EXAMPLE_DEPTH = 32,             /* groups within groups, in unknown fields */
};

/* The numbers are the fields of tensorflow.Feature. */
enum example_kind { EXAMPLE_NONE, EXAMPLE_BYTES, EXAMPLE_FLOATS, EXAMPLE_INTS };

struct example_piece {
	const unsigned char *data;
	size_t size;
};

struct example_feature {
	const char *key;        /* not NUL terminated; any bytes */
	size_t key_size;
	enum example_kind kind;
	size_t count;           /* values of the list */
	size_t piece, pieces;   /* the list's bytes: example.piece[piece ..] */
};

/* Zero-initialised is empty; to be used again and again. Points into the parsed bytes. */
struct example {
	struct example_feature *feature;        /* by key, no key twice */
	size_t features, feature_room;
	struct example_piece *piece;
	size_t pieces, piece_room;
};

/* Parses n bytes, which must outlive the use of the example: 0 or -1 with "byte N of the
 * Example: cause". */
int example_parse(struct example *, const void *, size_t n);
void example_release(struct example *);

/* NULL if there is none of that key (no reason left). */
const struct example_feature *example_find(const struct example *, const char *key);

struct example_value {
	const unsigned char *bytes;     /* of a bytes list; not NUL terminated */
	size_t size;
	float real;
	int64_t whole;
};

/* A place in a feature's list: zero-initialised is its start. */
struct example_cursor {
	size_t piece, at, packed_end;
};

/* The next value of the list: 1; 0 at its end. */
int example_next(const struct example *, const struct example_feature *,
		 struct example_cursor *, struct example_value *);

/* ---- writing ---- */

struct example_field {
	const char *key;
	enum example_kind kind;
	size_t count;
	const struct example_piece *bytes;      /* the list of the kind: count values */
	const float *reals;
	const int64_t *wholes;
};

/* The Example of these fields, which are put in order of their keys (no key twice). Gives
 * the bytes (the caller frees them) and their number; NULL: reason. */
unsigned char *example_pack(struct example_field *, size_t n, size_t *size);

#endif
