/* What convolutions' ways of computing share; private to the folder. */
#ifndef DEV_CPU_CONV_H
#define DEV_CPU_CONV_H

#include "dev/cpu/cpu.h"
#include "dev/cpu/dnn.h"

/* Memory that products bring near while they are computed. */
enum { NEARS = 1024 };

struct near { struct near_run run[NEARS]; size_t count; };

/* Bytes from .. end - 1, in runs of so many lines; of more than NEARS runs the rest is left. */
void near_add(struct near *, const char *from, const char *end, size_t lines);

/* Part i of n of the runs. */
void near_part(const struct near *, size_t i, size_t n, struct product_pass *);

/* How a master is packed: for oneDNN, for the own convolution's lanes, or as the points
 * of Winograd's. */
enum pack_way { PACK_DNN, PACK_DIRECT, PACK_WINOGRAD };

struct pack_attr {
	enum pack_way way;
	enum dnn_direction direction;
	int to_pad;             /* own: of the side that is written */
	struct dnn_conv conv;
	struct dnn_shape shape;
};

/* Where the side that is written is, and what is done to it first: act(sum + bias + add). */
struct epilogue {
	int y;                  /* a value */
	int add;                /* a value in y's layout; -1: none */
	int act;                /* CPU_NONE, ... */
};

/* A convolution step with what its operands are, whatever the direction. */
struct conv_step {
	struct program *p;
	struct step *s;
	const struct conv_attr *a;
	enum dnn_direction direction;
	int x, y;               /* values of the input's and output's side */
	struct epilogue after;
	struct dnn_conv conv;
};

/* How its window slides down (axis 0) and across (1). */
struct slide conv_slide(const struct dnn_conv *, int axis);

/* `vectors` in blocks of nearly the same size, at most `most`, whole panels of them: how many
 * blocks, and how many vectors of each. */
void vectors_cut(size_t vectors, size_t panel, size_t most, size_t *blocks, size_t *part);

/* Into how many shares a batch is cut for gradients of weights, by the shape alone: there are
 * `blocks` of channels, and `sum` numbers of a share's sums. */
size_t shares_of(size_t blocks, size_t sum);

/* Has the library a kernel for it in bf16, for a batch of n in these blocks? 1 or 0. */
int conv_short(const struct conv_attr *, enum step_kind, int n, int in_block, int out_block);

/* The own convolution, of any shape, in fp32. */
int direct_prepare(struct device *, const struct conv_step *);
/* Its weights in packed form for a direction, bytes of them, and the packing. */
int direct_pack_add(struct device *, const struct conv_step *, enum dnn_direction);
size_t direct_pack_bytes(const struct device *, const struct pack_attr *);
void direct_pack(struct device *, const struct pack_attr *, const float *w, float *packed);

/* Depthwise convolutions, in fp32 and bf16. 1: taken, 0: not this shape, -1: reason. */
int depth_prepare(struct device *, const struct conv_step *);
/* Whether it takes such a shape; and this step, with its layouts. */
int depth_fits(const struct conv_attr *);
int depth_takes(const struct device *, const struct conv_step *);

/* Whether Winograd's takes a convolution of such a shape in a direction. */
int wino_fits(const struct dnn_conv *, enum dnn_direction);

/* Winograd's. 1: taken, 0: not for these layouts, -1: reason. */
int wino_prepare(struct device *, const struct conv_step *);
size_t wino_pack_bytes(const struct pack_attr *);
void wino_pack(struct device *, const struct pack_attr *, const float *w, float *packed);

/* Gradients of weights as sums of outer products, as wino_prepare(). */
int outer_prepare(struct device *, const struct conv_step *);

/* Products: the window is all of the input. */
int is_product(const struct conv_attr *);
int product_prepare(struct device *, const struct conv_step *);

#endif
