#include "net/bracket.h"

#include "net/trial.h"

#include <string.h>

const struct bracket bracket_table[BRACKET_KINDS] = {
	{ BRACKET_AFFINE_ACT, "affine act", "pointwise", 2, { STEP_AFFINE, STEP_ACT } },
	{ BRACKET_AFFINE_ADD, "affine add", "pointwise", 2, { STEP_AFFINE, STEP_ADD } },
	{ BRACKET_AFFINE_ADD_ACT, "affine add act", "pointwise", 3,
	  { STEP_AFFINE, STEP_ADD, STEP_ACT } },
	{ BRACKET_AFFINE_AFFINE_ADD, "affine affine add", "pointwise", 3,
	  { STEP_AFFINE, STEP_AFFINE, STEP_ADD } },
	{ BRACKET_AFFINE_AFFINE_ADD_ACT, "affine affine add act", "pointwise", 4,
	  { STEP_AFFINE, STEP_AFFINE, STEP_ADD, STEP_ACT } },
	{ BRACKET_ADD_ACT, "add act", "pointwise", 2, { STEP_ADD, STEP_ACT } },
	{ BRACKET_ACT_DX_SUMS, "act_dx bn_sums", "gradient", 2,
	  { STEP_ACT_DX, STEP_BN_SUMS } },
	{ BRACKET_ACT_DX_SUMS_SUMS, "act_dx bn_sums bn_sums", "gradient", 3,
	  { STEP_ACT_DX, STEP_BN_SUMS, STEP_BN_SUMS } },
	{ BRACKET_ADD_ACT_DX, "add act_dx", "gradient", 2, { STEP_ADD, STEP_ACT_DX } },
	{ BRACKET_ADD_ACT_DX_SUMS, "add act_dx bn_sums", "gradient", 3,
	  { STEP_ADD, STEP_ACT_DX, STEP_BN_SUMS } },
	{ BRACKET_ADD_ACT_DX_SUMS_SUMS, "add act_dx bn_sums bn_sums", "gradient", 4,
	  { STEP_ADD, STEP_ACT_DX, STEP_BN_SUMS, STEP_BN_SUMS } },
	{ BRACKET_ADD_SUMS, "add bn_sums", "gradient", 2, { STEP_ADD, STEP_BN_SUMS } },
	{ BRACKET_ACT_DX_BN_DX, "act_dx bn_dx", "gradient", 2, { STEP_ACT_DX, STEP_BN_DX } },
	{ BRACKET_AGAIN_SUMS, "affine act act_dx bn_sums", "recompute", 4,
	  { STEP_AFFINE, STEP_ACT, STEP_ACT_DX, STEP_BN_SUMS } },
	{ BRACKET_AGAIN_BN_DX, "affine act act_dx bn_dx", "recompute", 4,
	  { STEP_AFFINE, STEP_ACT, STEP_ACT_DX, STEP_BN_DX } },
	{ BRACKET_AGAIN_X_SUMS, "affine act_dx bn_sums", "recompute", 3,
	  { STEP_AFFINE, STEP_ACT_DX, STEP_BN_SUMS } },
	{ BRACKET_AGAIN_X_BN_DX, "affine act_dx bn_dx", "recompute", 3,
	  { STEP_AFFINE, STEP_ACT_DX, STEP_BN_DX } },
	{ BRACKET_MUL_POOL_DX_ADD, "mul avgpool_dx add", "gradient", 3,
	  { STEP_MUL, STEP_AVGPOOL_DX, STEP_ADD } },
	{ BRACKET_CONV_ACT, "conv act", "epilogue", 2, { STEP_CONV, STEP_ACT } },
	{ BRACKET_CONV_ADD, "conv add", "epilogue", 2, { STEP_CONV, STEP_ADD } },
	{ BRACKET_CONV_ADD_ACT, "conv add act", "epilogue", 3,
	  { STEP_CONV, STEP_ADD, STEP_ACT } },
	{ BRACKET_CONV_STATS, "conv stats", "stats", 2, { STEP_CONV, STEP_STATS } },
	{ BRACKET_ACT_CONV, "affine act conv", "prologue", 3,
	  { STEP_AFFINE, STEP_ACT, STEP_CONV } },
	{ BRACKET_ACT_CONV_STATS, "affine act conv stats", "prologue", 4,
	  { STEP_AFFINE, STEP_ACT, STEP_CONV, STEP_STATS } },
	{ BRACKET_ACT_CONV_DW, "affine act conv_dw", "prologue", 3,
	  { STEP_AFFINE, STEP_ACT, STEP_CONV_DW } },
	{ BRACKET_SKIP_CONV, "affine add act conv", "skip", 4,
	  { STEP_AFFINE, STEP_ADD, STEP_ACT, STEP_CONV } },
	{ BRACKET_SKIP_CONV_STATS, "affine add act conv stats", "skip", 5,
	  { STEP_AFFINE, STEP_ADD, STEP_ACT, STEP_CONV, STEP_STATS } },
	{ BRACKET_CONV_DX_SUMS, "conv_dx affine act act_dx bn_sums", "sums", 5,
	  { STEP_CONV_DX, STEP_AFFINE, STEP_ACT, STEP_ACT_DX, STEP_BN_SUMS } },
};

/* Member `to` has, as operand `in`, result 0 of member `from`; or, where same_in,
 * operand 0 of it. */
struct link { int to, in, from, same_in; };
enum { LINKS = 5 };

static const struct { int count; struct link link[LINKS]; } links[BRACKET_KINDS] = {
	[BRACKET_AFFINE_ACT] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_AFFINE_ADD] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_AFFINE_ADD_ACT] = { 2, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 } } },
	[BRACKET_AFFINE_AFFINE_ADD] = { 2, { { 2, 0, 0, 0 }, { 2, 1, 1, 0 } } },
	[BRACKET_AFFINE_AFFINE_ADD_ACT] =
		{ 3, { { 2, 0, 0, 0 }, { 2, 1, 1, 0 }, { 3, 0, 2, 0 } } },
	[BRACKET_ADD_ACT] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_ACT_DX_SUMS] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_ACT_DX_SUMS_SUMS] = { 2, { { 1, 0, 0, 0 }, { 2, 0, 0, 0 } } },
	[BRACKET_ADD_ACT_DX] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_ADD_ACT_DX_SUMS] = { 2, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 } } },
	[BRACKET_ADD_ACT_DX_SUMS_SUMS] =
		{ 3, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 }, { 3, 0, 1, 0 } } },
	[BRACKET_ADD_SUMS] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_ACT_DX_BN_DX] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_AGAIN_SUMS] =
		{ 4, { { 1, 0, 0, 0 }, { 2, 1, 1, 0 }, { 3, 0, 2, 0 }, { 3, 1, 0, 1 } } },
	[BRACKET_AGAIN_BN_DX] =
		{ 4, { { 1, 0, 0, 0 }, { 2, 1, 1, 0 }, { 3, 0, 2, 0 }, { 3, 1, 0, 1 } } },
	[BRACKET_AGAIN_X_SUMS] = { 3, { { 1, 1, 0, 0 }, { 2, 0, 1, 0 }, { 2, 1, 0, 1 } } },
	[BRACKET_AGAIN_X_BN_DX] = { 3, { { 1, 1, 0, 0 }, { 2, 0, 1, 0 }, { 2, 1, 0, 1 } } },
	[BRACKET_MUL_POOL_DX_ADD] = { 2, { { 2, 0, 0, 0 }, { 2, 1, 1, 0 } } },
	[BRACKET_CONV_ACT] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_CONV_ADD] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_CONV_ADD_ACT] = { 2, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 } } },
	[BRACKET_CONV_STATS] = { 1, { { 1, 0, 0, 0 } } },
	[BRACKET_ACT_CONV] = { 2, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 } } },
	[BRACKET_ACT_CONV_STATS] = { 3, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 }, { 3, 0, 2, 0 } } },
	[BRACKET_ACT_CONV_DW] = { 2, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 } } },
	[BRACKET_SKIP_CONV] = { 3, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 }, { 3, 0, 2, 0 } } },
	[BRACKET_SKIP_CONV_STATS] =
		{ 4, { { 1, 0, 0, 0 }, { 2, 0, 1, 0 }, { 3, 0, 2, 0 }, { 4, 0, 3, 0 } } },
	[BRACKET_CONV_DX_SUMS] =
		{ 5, { { 2, 0, 1, 0 }, { 3, 0, 0, 0 }, { 3, 1, 2, 0 }, { 4, 0, 3, 0 },
		       { 4, 1, 1, 1 } } },
};

int bracket_is(const struct bracket *row, const struct step *s)
{
	int makers = 0;         /* before which a sum has two operands */

	for (int k = 0; k < row->steps; k++) {
		if (s[k].kind != row->step[k])
			return 0;
		makers += s[k].kind == STEP_AFFINE || s[k].kind == STEP_MUL ||
			  s[k].kind == STEP_CONV;
		if (s[k].kind == STEP_ADD && makers && s[k].ins != 2)
			return 0;
	}
	for (int i = 0; i < links[row->kind].count; i++) {
		const struct link *l = &links[row->kind].link[i];
		int from = l->same_in ? s[l->from].in[0] : s[l->from].out[0];

		if (s[l->to].in[l->in] != from)
			return 0;
	}
	return 1;
}

static void view_fill(struct bracket_view *view, const struct step *s, int steps)
{
	memset(view, 0, sizeof *view);
	for (int k = 0; k < steps; k++) {
		switch (s[k].kind) {
		case STEP_AFFINE: view->affine[view->affine[0] != NULL] = &s[k]; break;
		case STEP_ADD: view->add = &s[k]; break;
		case STEP_ACT: view->act = &s[k]; break;
		case STEP_ACT_DX: view->act_dx = &s[k]; break;
		case STEP_BN_SUMS: view->sums[view->sums[0] != NULL] = &s[k]; break;
		case STEP_MUL: view->mul = &s[k]; break;
		case STEP_AVGPOOL_DX: view->pool_dx = &s[k]; break;
		case STEP_CONV:
		case STEP_CONV_DX:
		case STEP_CONV_DW: view->conv = &s[k]; break;
		case STEP_STATS: view->stats = &s[k]; break;
		default: view->bn_dx = &s[k]; break;
		}
	}
}

const struct bracket *bracket_find(const struct program *p, int from, int to,
				   struct bracket_view *view)
{
	for (int i = 0; i < BRACKET_KINDS; i++) {
		const struct bracket *row = &bracket_table[i];

		if (row->steps != to - from || !bracket_is(row, p->step + from))
			continue;
		if (view)
			view_fill(view, p->step + from, row->steps);
		return row;
	}
	return NULL;
}

int bracket_spills(const struct program *p, const struct bracket_view *v)
{
	for (int k = 0; k < 2; k++)
		if (v->affine[k] && value_stored(p, v->affine[k]->out[0]))
			return 1;
	if (v->act_dx)
		return (v->act && value_stored(p, v->act->out[0])) ||
		       (v->add && value_stored(p, v->add->out[0])) ||
		       (v->bn_dx && value_stored(p, v->act_dx->out[0]));
	if (v->mul)
		return value_stored(p, v->mul->out[0]) || value_stored(p, v->pool_dx->out[0]);
	return v->act && v->add && value_stored(p, v->add->out[0]);
}
