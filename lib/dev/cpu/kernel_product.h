/*
 * Part of kernel_body.h: products of matrices whose sums stay in registers. In bf16 a number
 * of what is multiplied is a pair of those that follow one another in the sum.
 */
#ifdef BF16
typedef int32_t word __attribute__((may_alias));

#define STEP_PIXELS 2
#define MULTIPLY_ADD(a, b, c) DOT(a, b, c)
#define ONE(p) ((vec)(*(const word *)(p) - (bits){ 0 }))
#else
#define STEP_PIXELS 1
#define MULTIPLY_ADD(a, b, c) FMA(a, b, c)
#define ONE(p) all(*(p))
#endif

/* Vectors of a panel: as many as leave registers for PRODUCT_ROWS sums of each. */
#define PANEL (WIDTH == 16 ? 4 : 2)

/* rows x cols vectors of sums, kept in registers while all inner numbers pass. */
INLINE void product_block(const struct product_pass *f, const float *a, const float *b,
			  size_t b_inner, float *c, struct near_run near, const int rows,
			  const int cols)
{
	vec sum[PRODUCT_ROWS][PANEL];

	for (int r = 0; r < rows; r++)
		for (int k = 0; k < cols; k++)
			sum[r][k] = f->add ? get(c + (size_t)r * f->c_row + k * WIDTH) :
					     (vec){ 0 };
	for (size_t i = 0; i < f->inner; i++, a += f->a_inner, b += b_inner) {
		vec side[PANEL];

		__builtin_prefetch(near.at);
		near.at += near.at < near.last ? 64 : 0;
		for (int k = 0; k < cols; k++)
			side[k] = get(b + k * WIDTH);
		for (int r = 0; r < rows; r++) {
			const vec one = ONE(a + (size_t)r * f->a_row);

			for (int k = 0; k < cols; k++)
				sum[r][k] = MULTIPLY_ADD(one, side[k], sum[r][k]);
		}
	}
	for (int r = 0; r < rows; r++)
		for (int k = 0; k < cols; k++)
			set(c + (size_t)r * f->c_row + k * WIDTH, sum[r][k]);
}

/* What a block asks for: where there is no more, what it reads anyway. */
INLINE struct near_run near_of(const struct product_pass *f, const float *b, size_t block)
{
	return block < f->nears ? f->near[block] :
				  (struct near_run){ (const char *)b, (const char *)b };
}

/* block: how many there were before. */
INLINE void product_rows(const struct product_pass *f, const float *b, size_t b_inner, float *c,
			 size_t block, const int cols)
{
	const float *a = f->a;
	size_t r = 0, group = PRODUCT_ROWS;

	for (; r + group <= f->rows; r += group, a += group * f->a_row, c += group * f->c_row)
		product_block(f, a, b, b_inner, c, near_of(f, b, block++), PRODUCT_ROWS, cols);
	switch (f->rows - r) {
	case 5:
		product_block(f, a, b, b_inner, c, near_of(f, b, block), 5, cols);
		break;
	case 4:
		product_block(f, a, b, b_inner, c, near_of(f, b, block), 4, cols);
		break;
	case 3:
		product_block(f, a, b, b_inner, c, near_of(f, b, block), 3, cols);
		break;
	case 2:
		product_block(f, a, b, b_inner, c, near_of(f, b, block), 2, cols);
		break;
	case 1:
		product_block(f, a, b, b_inner, c, near_of(f, b, block), 1, cols);
		break;
	}
}

static void product(const struct product_pass *f)
{
	const size_t groups = (f->rows + PRODUCT_ROWS - 1) / PRODUCT_ROWS;
	size_t block = 0;

	for (int k = 0; k < f->vectors; k += PANEL, block += groups) {
		const int left = f->vectors - k, cols = left < PANEL ? left : PANEL;
		const size_t inner = f->b_inner ? f->b_inner : (size_t)cols * WIDTH;
		const float *b = f->b + (size_t)(k * WIDTH) * (f->b_inner ? 1 : f->inner);
		float *c = f->c + k * WIDTH;

		if (cols == PANEL)
			product_rows(f, b, inner, c, block, PANEL);
		else if (cols == 3)
			product_rows(f, b, inner, c, block, 3 < PANEL ? 3 : PANEL);
		else if (cols == 2)
			product_rows(f, b, inner, c, block, 2);
		else
			product_rows(f, b, inner, c, block, 1);
	}
}

/* What a step multiplies of a vector: a pixel, or a pair. */
INLINE vec step_get(const num *from, const ptrdiff_t *at)
{
	static const num none[WIDTH] __attribute__((aligned(64)));
	const num *first = at[0] < 0 ? none : from + at[0];

#ifdef BF16
	return pair_of(first, at[1] < 0 ? none : from + at[1]);
#else
	return get(first);
#endif
}

static void gather(const struct gather_pass *f)
{
	const ptrdiff_t *const at = f->at;
	const size_t steps = (f->pixels + STEP_PIXELS - 1) / STEP_PIXELS;
	float *to = f->to;

	for (int k = 0; k < f->vectors; k += f->panel) {
		const int left = f->vectors - k, cols = left < f->panel ? left : f->panel;

		for (int c = 0; c < cols; c++) {
			const num *from = (const num *)f->from + (size_t)(k + c) * f->plane;
			float *next = to + c * WIDTH;

			for (size_t i = 0; i < steps; i++, next += cols * WIDTH)
				set(next, step_get(from, at + STEP_PIXELS * i));
		}
		to += steps * (size_t)cols * WIDTH;
	}
}
