#include "train/run.h"

#include "base/crc.h"
#include "base/fail.h"
#include "base/io.h"
#include "train/command.h"
#include "train/signals.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WHY = 512 };

/* ---- before the start ---- */

int run_check_ranks(struct run *r)
{
	const struct input_from *from = &r->t->input;
	int ranks = world_ranks(r->t->world);

	r->status = 2;
	if (ranks == 1)
		return 0;
	if (!from->command)
		return fail("%d processes cannot share one input: give each its part, by "
			    "--pipe 'tfrec-cat --shard {part}/{parts} --start-at {start} ...'",
			    ranks);
	if (!command_has_part(from->command))
		return fail("--pipe: the command has no {part}: all %d processes would read the "
			    "same samples", ranks);
	if (r->t->val_command && !command_has_part(r->t->val_command))
		return fail("--val-pipe: the command has no {part}: all %d processes would "
			    "validate on the same samples (tfrec-cat --shard {part}/{parts})",
			    ranks);
	if (from->lanes % ranks)
		return fail("--pipes %d cannot be shared equally by %d processes", from->lanes,
			    ranks);
	return 0;
}

/* ---- a file of rank 0 ---- */

/* All of rank 0's file, in memory that has a descriptor. */
static int copy_file(struct run *r, int from, int to, uint64_t bytes)
{
	enum { PIECE = 1 << 20 };
	char *piece = malloc(PIECE);
	int e = piece ? 0 : fail("out of memory");

	for (uint64_t at = 0; at < bytes && !e; at += PIECE) {
		size_t n = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;

		if (from >= 0 && read_at(from, piece, n, at) != (ssize_t)n)
			e = fail("the file changes while it is read");
		if (!e)
			e = world_share(r->t->world, piece, n);
		if (!e && to >= 0)
			e = write_full(to, piece, n);
	}
	free(piece);
	return e;
}

struct safetensors *run_open_shared(struct run *r, const char *path)
{
	struct world *world = r->t->world;
	struct safetensors *f = NULL;
	uint64_t bytes = 0;
	char name[64];
	int fd;

	if (!world_rank(world)) {
		f = safetensors_open(path, &r->status);
		if (!f || !world)
			return f;
		r->status = 3;
		bytes = (uint64_t)lseek(safetensors_fd(f), 0, SEEK_END);
		if (world_share(world, &bytes, sizeof(bytes)) == 0 &&
		    copy_file(r, safetensors_fd(f), -1, bytes) == 0)
			return f;
		safetensors_close(f);
		return NULL;
	}
	r->status = 3;
	if (world_share(world, &bytes, sizeof(bytes)))
		return NULL;
	fd = memfd_create("checkpoint", MFD_CLOEXEC);
	if (fd < 0) {
		fail_errno("%s: memory for rank 0's file", path);
		return NULL;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (copy_file(r, -1, fd, bytes) == 0)
		f = safetensors_open(name, &r->status);
	close(fd);
	return f;
}

/* ---- comparing ---- */

enum { COMPARED = 8 };

static uint32_t sum_of(const char *text)
{
	return text ? crc32z(0, text, strlen(text)) + 1 : 0;
}

static uint32_t sum_of_json(json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	uint32_t sum = sum_of(text);

	free(text);
	json_decref(value);
	return sum;
}

/* Options that do not go into the checkpoint, but that all must have alike. */
static uint32_t sum_of_options(const struct run *r)
{
	const struct train *t = r->t;

	return sum_of_json(json_pack("{s:o, s:[fI], s:[fI], s:i, s:b, s:i, s:I}",
				     "settings", settings_json(&r->set),
				     "val-every", t->val_every.epochs,
				     (json_int_t)t->val_every.steps,
				     "save-every", t->save_every.epochs,
				     (json_int_t)t->save_every.steps,
				     "log-every", t->log_every, "val-pipe", t->val_command != NULL,
				     "pipes", t->input.lanes, "steps", (json_int_t)r->steps));
}

static uint32_t sum_of_recipe(const struct run *r)
{
	const char *text = json_string_value(json_object_get(r->fixed, "provenance"));
	json_t *provenance = text ? json_loads(text, 0, NULL) : NULL;
	uint32_t sum = sum_of_json(meta_recipe(provenance));

	json_decref(provenance);
	return sum;
}

int run_compare_ranks(struct run *r)
{
	static const char *const keys[COMPARED - 2] = {
		"network.text", "network.settings", "order", "normalise", "epoch.size", "jpeg" };
	static const char *const words[COMPARED] = {
		"network", "network's settings", "order of samples", "normalisation",
		"samples of an epoch", "JPEG decoder", "recipe", "options" };
	struct world *world = r->t->world;
	int ranks = world_ranks(world), e;
	uint32_t own[COMPARED], (*all)[COMPARED];

	if (!world)
		return 0;
	all = calloc((size_t)ranks, sizeof(*all));
	if (!all)
		return fail("out of memory");
	for (int i = 0; i < COMPARED - 2; i++)
		own[i] = sum_of(json_string_value(json_object_get(r->fixed, keys[i])));
	own[COMPARED - 2] = sum_of_recipe(r);
	own[COMPARED - 1] = sum_of_options(r);
	e = world_gather(world, WORLD_MAIN, own, all, sizeof(own));
	r->status = e ? 3 : 2;
	for (int k = 1; k < ranks && !e; k++)
		for (int i = 0; i < COMPARED && !e; i++)
			if (all[k][i] != all[0][i])
				e = fail("%s: other than rank 0's: %s", world_name(world, k),
					 words[i]);
	free(all);
	return e;
}

int run_first_position(struct run *r, uint64_t *position)
{
	int ranks = world_ranks(r->t->world), e;
	uint64_t *all = calloc((size_t)ranks, sizeof(*all));

	if (!all)
		return fail("out of memory");
	e = world_gather(r->t->world, WORLD_MAIN, position, all, sizeof(*all));
	for (int k = 0; k < ranks && !e; k++)
		if (all[k] < *position)
			*position = all[k];
	free(all);
	return e;
}

/* ---- every step ---- */

/* What a rank has for the step. */
struct vote {
	int got;                /* as input_take() */
	int signal, status, left;
	int64_t labelled;
	uint64_t position;
	char why[WHY];
};

static void vote_failed(struct vote *v, int status)
{
	v->got = -1;
	v->signal = signals_came();
	v->status = status;
	snprintf(v->why, sizeof(v->why), "%s", fail_why());
}

static void vote_take(struct run *r, struct vote *v, struct batch **b)
{
	*v = (struct vote){ .got = signals_came() ? -1 : input_take(r->input, b) };
	if (v->got < 0) {
		vote_failed(v, input_status(r->input));
		return;
	}
	v->left = v->got ? 0 : input_left(r->input);
	if (!v->got)
		return;
	v->position = (*b)->position;
	for (int i = 0; i < (*b)->samples; i++)
		v->labelled += (*b)->labels[2 * i] >= 0;
}

/* A rank's first sample of the step that begins at a position. */
static uint64_t expected(uint64_t position, int rank, int ranks)
{
	uint64_t n = (uint64_t)ranks;

	return position + ((uint64_t)rank + n - position % n) % n;
}

/* All votes, as run_take() gives it. */
static int judge(struct run *r, const struct vote *v, int *signal)
{
	struct world *world = r->t->world;
	int ranks = world_ranks(world), got = 1;

	r->left = 0;
	r->labelled = 0;
	for (int k = 0; k < ranks; k++) {
		if (v[k].signal && !*signal)
			*signal = v[k].signal;
		got = v[k].got < got ? v[k].got : got;
		r->left += v[k].left;
		r->labelled += (double)v[k].labelled;
	}
	if (!r->labelled)
		r->labelled = 1;
	if (*signal)
		return -1;
	for (int k = 0; k < ranks; k++) {
		if (v[k].got < 0) {
			r->status = v[k].status;
			return world ? fail("%s: %s", world_name(world, k), v[k].why)
				     : fail("%s", v[k].why);
		}
		if (v[k].got > 0 && world && v[k].position != expected(r->position, k, ranks)) {
			r->status = 1;
			return fail("%s: its batch begins at position %" PRIu64 ", the run stands "
				    "at %" PRIu64, world_name(world, k), v[k].position,
				    r->position);
		}
	}
	return got;
}

/* Some ranks are at the end, and this one had a batch: it must be its last. */
static void vote_rest(struct run *r, struct vote *v, struct batch **b)
{
	int samples = (*b)->samples;

	input_give(r->input);
	vote_take(r, v, b);
	v->left += samples;
	if (v->got <= 0)
		return;
	fail("its pipes go on at position %" PRIu64 ", those of others have ended", v->position);
	vote_failed(v, 4);
}

static int vote_all(struct run *r, const struct vote *own, struct vote *all, int *signal)
{
	*signal = 0;
	if (world_gather(r->t->world, WORLD_MAIN, own, all, sizeof(*own)) < 0) {
		r->status = world_status(r->t->world);
		return -1;
	}
	return judge(r, all, signal);
}

int run_take(struct run *r, struct batch **b, int *signal)
{
	struct vote own, *all = calloc((size_t)world_ranks(r->t->world), sizeof(*all));
	int got, uneven = 0;

	*signal = 0;
	r->status = 3;
	if (!all)
		return fail("out of memory");
	vote_take(r, &own, b);
	got = vote_all(r, &own, all, signal);
	for (int k = 0; k < world_ranks(r->t->world) && !got; k++)
		uneven |= all[k].got > 0;
	if (uneven) {
		if (own.got > 0)
			vote_rest(r, &own, b);
		got = vote_all(r, &own, all, signal);
	}
	free(all);
	return got;
}

/* ---- sums ---- */

int run_add_tallies(struct run *r, struct tally *t)
{
	int ranks = world_ranks(r->t->world), e;
	struct tally *all = calloc((size_t)ranks, sizeof(*all));

	if (!all)
		return fail("out of memory");
	e = world_gather(r->t->world, WORLD_MAIN, t, all, sizeof(*t));
	if (!e)
		*t = all[0];
	for (int k = 1; k < ranks && !e; k++) {
		t->loss += all[k].loss;
		t->right += all[k].right;
		t->labelled += all[k].labelled;
		t->images += all[k].images;
	}
	free(all);
	return e;
}

struct scored { struct score score; struct vote vote; };

int run_add_scores(struct run *r, int e, struct score *s, int *status)
{
	struct world *world = r->t->world;
	int ranks = world_ranks(world);
	struct scored own = { .score = *s }, *all = calloc((size_t)ranks, sizeof(*all));

	if (!all)
		return fail("out of memory");
	if (e < 0)
		vote_failed(&own.vote, *status);
	*status = 3;
	e = world_gather(world, WORLD_MAIN, &own, all, sizeof(own));
	*s = (struct score){ 0 };
	for (int k = 0; k < ranks && !e; k++) {
		const struct score *theirs = &all[k].score;

		if (all[k].vote.signal)
			signals_heard(all[k].vote.signal);
		if (all[k].vote.got < 0) {
			*status = all[k].vote.status;
			e = world ? fail("%s: %s", world_name(world, k), all[k].vote.why)
				  : fail("%s", all[k].vote.why);
		}
		s->samples += theirs->samples;
		s->bad += theirs->bad;
		s->top1 += theirs->top1;
		s->top5 += theirs->top5;
		s->loss += theirs->loss;
	}
	free(all);
	return e;
}
