/*
 * Brackets: consecutive steps that a backend runs as one. A bracket means its parts,
 * run one by one. What is written and read only inside is not stored: such values
 * are in ARENA_NONE, already so when target->cost() is asked. Everything else that a
 * member writes must be stored by the bracket, and may be read by anyone after it.
 *
 * This table is all there is: bracket.c makes no other sequence, in the order given
 * here, with these links between the members (every other operand comes from outside
 * and lives through the whole bracket; no output shares bytes with an operand):
 *
 *   affine act                   act.in[0] = affine.out[0]
 *   affine add                   add has two operands, add.in[0] = affine.out[0]
 *   affine add act               likewise; act.in[0] = add.out[0]
 *   affine affine add            add.in[0], in[1] = the first's and the second's out[0]
 *   affine affine add act        likewise; act.in[0] = add.out[0]
 *   add act                      add of 2 .. STEP_IN operands; act.in[0] = add.out[0]
 *
 * Forward, the value that act reads (or add, where no act follows) may be stored or
 * not; affine.out[0] is stored where something else reads it. Training reads none of
 * them where the slope follows from y (act_dx_reads_x() says where it does not): only
 * the last member's out[0] is stored then.
 *
 *   act_dx bn_sums               bn_sums.in[0] = act_dx.out[0]
 *   act_dx bn_sums bn_sums       both read act_dx.out[0], each with its own x and m
 *   add act_dx                   act_dx.in[0] = add.out[0]
 *   add act_dx bn_sums           likewise; bn_sums.in[0] = act_dx.out[0]
 *   add act_dx bn_sums bn_sums   likewise, two of them
 *   add bn_sums                  bn_sums.in[0] = add.out[0]
 *   act_dx bn_dx                 bn_dx.in[0] = act_dx.out[0]
 *
 * Here act_dx reads what is stored, y or what the activation read. The masked gradient
 * act_dx.out[0] is stored where something outside reads it (a residual's skip; a
 * bn_dx that stands alone); otherwise bn_dx has its own act_dx: the pair
 * [act_dx bn_sums] ... [act_dx bn_dx] reads dy, y and x twice and stores no mask.
 * add.out[0] is stored where something else reads it.
 *
 *   affine act act_dx bn_sums    act.in[0] = affine.out[0], act_dx.in[1] = act.out[0],
 *   affine act act_dx bn_dx      last.in[0] = act_dx.out[0], last.in[1] = affine.in[0]
 *
 * The same pair with y computed again from x and ab, so that y is not read: the first
 * reads dy, x, ab, m and writes s, dgain, dbias; the second reads dy, x, ab, m, gain,
 * s and writes dx. affine and act are copies here: their results are never stored.
 * act_dx.out[0] of the first is stored only where bn_dx had to stay alone.
 *
 *   affine act_dx bn_sums        act_dx.in[1] = affine.out[0],
 *   affine act_dx bn_dx          last.in[0] = act_dx.out[0], last.in[1] = affine.in[0]
 *
 * Likewise, for activations whose slope is found from what they read.
 *
 *   mul avgpool_dx add           add has two operands, add.in[0] = mul.out[0], add.in[1] =
 *                                avgpool_dx.out[0]; mul's factor is one pixel a sample, the
 *                                average that of all pixels
 *
 * The gradient behind a gate (squeeze and excitation): what comes through the product,
 * and what comes through the average that the gate was made from.
 *
 *   conv act                     act.in[0] = conv.out[0]
 *   conv add                     add has two operands, add.in[0] = conv.out[0]
 *   conv add act                 likewise; act.in[0] = add.out[0]
 *
 * Of evaluation: what follows a convolution, its bias included, is done before a result
 * is written. A library's activation may make 0 of NaN here.
 *
 * With a convolution, of which a library has an engine that does all at once:
 *
 *   conv stats                   stats.in[0] = conv.out[0], which is stored
 *   affine act conv              act.in[0] = affine.out[0], conv.in[0] = act.out[0]
 *   affine act conv stats        likewise; stats.in[0] = conv.out[0]
 *   affine act conv_dw           likewise; conv_dw.in[0] = act.out[0]
 *
 * The prologue: all that read an activation are convolutions and their gradients of
 * weights, each with affine and act of its own, and the activation is stored nowhere
 * (act_dx makes its slope again, as below or above, or there is no prologue).
 *
 *   affine add act conv          add has two operands, add.in[0] = affine.out[0],
 *   affine add act conv stats    act.in[0] = add.out[0], conv.in[0] = act.out[0]
 *
 * The skip: act.out[0] is stored, for the next sum and for the gradient of weights.
 *
 *   conv_dx affine act act_dx bn_sums   act_dx.in[0] = conv_dx.out[0]; else as
 *                                       "affine act act_dx bn_sums"
 *
 * act_dx.out[0] is stored, for bn_dx, which stands alone.
 *
 * What they cost in numbers, where cuDNN runs them: statistics are sums of x and x^2 in
 * fp32, not about a mean, so that a variance is off by some 1e-6 of mean^2 + variance (it
 * is never less than 0): a channel whose mean is a thousand of its deviations has none.
 * In fp16, a and b of a prologue are rounded to it: off by 5e-4 of |a x| and |b|.
 */
#ifndef NET_BRACKET_H
#define NET_BRACKET_H

#include "net/program.h"

enum { BRACKET_STEPS = 5 };

enum bracket_kind {
	BRACKET_AFFINE_ACT,
	BRACKET_AFFINE_ADD,
	BRACKET_AFFINE_ADD_ACT,
	BRACKET_AFFINE_AFFINE_ADD,
	BRACKET_AFFINE_AFFINE_ADD_ACT,
	BRACKET_ADD_ACT,
	BRACKET_ACT_DX_SUMS,
	BRACKET_ACT_DX_SUMS_SUMS,
	BRACKET_ADD_ACT_DX,
	BRACKET_ADD_ACT_DX_SUMS,
	BRACKET_ADD_ACT_DX_SUMS_SUMS,
	BRACKET_ADD_SUMS,
	BRACKET_ACT_DX_BN_DX,
	BRACKET_AGAIN_SUMS,             /* affine act act_dx bn_sums */
	BRACKET_AGAIN_BN_DX,            /* affine act act_dx bn_dx */
	BRACKET_AGAIN_X_SUMS,           /* affine act_dx bn_sums */
	BRACKET_AGAIN_X_BN_DX,          /* affine act_dx bn_dx */
	BRACKET_MUL_POOL_DX_ADD,
	BRACKET_CONV_ACT,
	BRACKET_CONV_ADD,
	BRACKET_CONV_ADD_ACT,
	BRACKET_CONV_STATS,
	BRACKET_ACT_CONV,               /* affine act conv */
	BRACKET_ACT_CONV_STATS,
	BRACKET_ACT_CONV_DW,
	BRACKET_SKIP_CONV,              /* affine add act conv */
	BRACKET_SKIP_CONV_STATS,
	BRACKET_CONV_DX_SUMS,           /* conv_dx affine act act_dx bn_sums */
	BRACKET_KINDS
};

/*
 * The rewrites, by the names that options.without takes:
 *   pointwise   the forward brackets
 *   gradient    the backward brackets
 *   recompute   those that compute again what act_dx reads; without it "gradient" reads it
 *   epilogue    of evaluation: what follows a convolution
 *   stats       a convolution's statistics, also behind a prologue or skip
 *   prologue    affine and act before convolutions
 *   skip        a sum of a residual and its activation before a convolution
 *   sums        the mask and the sums of batch norm behind a convolution's gradient
 * and those that are no brackets: fold (fold.c), winograd (a backend's), and
 *   remat       forward steps copied into backward, where what they made is made again
 *               instead of kept (remat.c)
 */
struct bracket {
	enum bracket_kind kind;
	const char *name;               /* "affine act": as net-cat --steps shows it */
	const char *rewrite;
	int steps;
	enum step_kind step[BRACKET_STEPS];
};

extern const struct bracket bracket_table[BRACKET_KINDS];

/* Whether a list for options.without (NULL: none) has known names only: 0 or -1. */
int rewrites_check(const char *list);

/* The members by what they are; NULL where the bracket has none. Borrowed from the
 * program's list of steps. */
struct bracket_view {
	const struct step *affine[2], *add, *act, *act_dx, *sums[2], *bn_dx, *mul, *pool_dx;
	const struct step *conv, *stats;        /* conv: also conv_dx, conv_dw */
};

/* Is it a convolution with what follows it in evaluation ("epilogue")? */
static inline int bracket_is_epilogue(const struct bracket_view *v)
{
	return v->conv && !v->stats && !v->affine[0];
}

/* The row that steps from .. to - 1 are, links checked; NULL if none. Fills *view,
 * if not NULL. For backends' cost and prepare. */
const struct bracket *bracket_find(const struct program *, int from, int to,
				   struct bracket_view *view);

/* Must it store what members hand on inside, where one pass over numbers does not? Of the
 * brackets without a convolution. */
int bracket_spills(const struct program *, const struct bracket_view *);

/* Is a value stored? A backend's bracket writes those of its outputs that are. */
static inline int value_stored(const struct program *p, int value)
{
	return value >= 0 && p->value[value].arena != ARENA_NONE;
}

#endif
