/* The end of a step: sums over devices, what is not finite, the update. */
#include "dev/cuda/cuda.h"

#include "base/fail.h"
#include "dev/cuda/vendor.h"

#include <stdlib.h>

/* The kernels' struct control_of (walk.cuh). */
_Static_assert(offsetof(struct control, seed) == 0 && offsetof(struct control, position) == 8 &&
	       offsetof(struct control, stride) == 16 && offsetof(struct control, step) == 24 &&
	       offsetof(struct control, lr) == 32 && offsetof(struct control, count) == 40 &&
	       offsetof(struct control, loss_scale) == 48 &&
	       offsetof(struct control, good) == 56 && offsetof(struct control, skip) == 64 &&
	       offsetof(struct control, halt) == 68, "the kernels know struct control so");

enum { CHUNK = 4096 };          /* parameters that one block updates */

static const struct update_attr *update_of(const struct program *p)
{
	for (int i = 0; i < p->steps; i++)
		if (p->step[i].kind == STEP_UPDATE)
			return p->step[i].attr;
	return NULL;
}

int update_place(struct bound *b, const struct program *p)
{
	const struct update_attr *a = update_of(p);
	struct update_chunk *list;
	size_t count = 0, at;
	int k, n = 0, status;

	for (k = 0; a && k < a->segments; k++)
		count += (a->segment[k].numbers + CHUNK - 1) / CHUNK;
	if (!count)
		return 0;
	if (count > INT32_MAX)
		return fail("too many parameters");
	list = calloc(count, sizeof *list);
	if (!list)
		return fail("out of memory");
	for (k = 0; k < a->segments; k++)
		for (at = 0; at < a->segment[k].numbers; at += CHUNK) {
			size_t left = a->segment[k].numbers - at;

			list[n++] = (struct update_chunk){
				a->segment[k].at + at, (unsigned)(left < CHUNK ? left : CHUNK),
				(unsigned)a->segment[k].decays };
		}
	status = cuda_check(cudaMalloc((void **)&b->chunk, count * sizeof *list), "memory");
	if (!status)
		status = cuda_check(cudaMemcpy(b->chunk, list, count * sizeof *list,
					       cudaMemcpyHostToDevice), "memory");
	b->chunks = n;
	free(list);
	return status;
}

int cuda_reduce(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct range_attr *r = s->attr;
	float *x = (float *)(m->arena[ARENA_GRAD] + r->at);

	TRY(peers_count_check(dev, m));
	/* one communicator must not be used on two streams at once */
	return m->program->options.sync_bn ? peers_sum(dev, x, r->bytes / sizeof(float))
					   : peers_begin_sum(dev, x, r->bytes / sizeof(float));
}

int cuda_finite(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct value *losses = value_of(m, s->in[0]);
	int *flag = memory_at(m, s->work_value);

	TRY(peers_join_sums(dev));
	finite_start(dev->stream, memory_at(m, s->in[0]), value_numbers(losses),
		     (const float *)m->arena[ARENA_GRAD],
		     m->program->arena[ARENA_GRAD] / sizeof(float), flag);
	TRY(peers_max(dev, flag, 2));
	judge_start(dev->stream, flag, dev->type == DTYPE_F16, m->arena[ARENA_CONTROL]);
	return 0;
}

int cuda_update(struct device *dev, const struct memory *m, const struct step *s)
{
	const struct update_attr *a = s->attr;
	const struct bound *b = (const struct bound *)m;
	struct update_rule rule = { a->optimizer.momentum, a->optimizer.decay,
				    a->optimizer.nesterov };

	if (b->chunks)
		update_start(dev->stream, rule, b->chunk, b->chunks,
			     (float *)m->arena[ARENA_PARAM], (const float *)m->arena[ARENA_GRAD],
			     (float *)m->arena[ARENA_STATE], m->arena[ARENA_CONTROL]);
	return 0;
}
