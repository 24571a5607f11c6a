/* Memory of programs on a device, and what moves to and from it. */
#include "dev/cuda/cuda.h"

#include "base/fail.h"
#include "dev/cuda/vendor.h"

#include <assert.h>
#include <stdlib.h>

/* ---- pinned memory ---- */

static void stage_close(struct stage *s)
{
	if (s->at)
		cudaFreeHost(s->at);
	if (s->done)
		cudaEventDestroy(s->done);
	*s = (struct stage){ 0 };
}

void stages_close(struct device *dev)
{
	for (int k = 0; k < STAGES; k++)
		stage_close(&dev->stage[k]);
	for (int k = 0; k < BACKEND_PLACES; k++)
		stage_close(&dev->answer[k]);
	for (int k = 0; k < LANDINGS; k++) {
		struct landing *l = &dev->landing[k];

		stage_close(&l->stage);
		cudaFree(l->at);
		if (l->taken)
			cudaEventDestroy(l->taken);
		*l = (struct landing){ 0 };
	}
}

static int event_make(cudaEvent_t *event)
{
	return *event ? 0 : cuda_check(cudaEventCreateWithFlags(event, cudaEventDisableTiming),
				       "event");
}

/* Waits till no copy uses it any more, and gives it room. */
static int stage_ready(struct stage *s, size_t bytes)
{
	TRY(event_make(&s->done));
	if (s->used)
		TRY(cuda_check(cudaEventSynchronize(s->done), "copy"));
	s->used = 0;
	if (s->room >= bytes)
		return 0;
	if (s->at)
		cudaFreeHost(s->at);
	s->at = NULL;
	s->room = 0;
	TRY(cuda_check(cudaHostAlloc(&s->at, bytes, cudaHostAllocDefault), "pinned memory"));
	s->room = bytes;
	return 0;
}

/* More of them than a step puts values, so that none waits for the step before. */
static struct stage *stage_take(struct device *dev, size_t bytes)
{
	struct stage *s = &dev->stage[dev->next_stage];

	dev->next_stage = (dev->next_stage + 1) % STAGES;
	return stage_ready(s, bytes) ? NULL : s;
}

static int stage_copy(struct stage *s, cudaStream_t stream, void *to, const void *from,
		      size_t bytes, enum cudaMemcpyKind kind)
{
	TRY(cuda_check(cudaMemcpyAsync(to, from, bytes, kind, stream), "copy"));
	s->used = 1;
	return cuda_check(cudaEventRecord(s->done, stream), "copy");
}

static int stage_send(struct device *dev, struct stage *s, void *to, size_t bytes)
{
	return stage_copy(s, dev->stream, to, s->at, bytes, cudaMemcpyHostToDevice);
}

/* ---- landings: pixels arrive while the step before runs ---- */

/* For a program that is bound. */
static int landings_take(struct device *dev, const struct program *p)
{
	size_t bytes = p->pixels < 0 ? 0 : value_numbers(&p->value[p->pixels]);

	for (int k = 0; k < LANDINGS; k++) {
		struct landing *l = &dev->landing[k];

		TRY(event_make(&l->taken));
		if (l->room >= bytes)
			continue;
		cudaFree(l->at);
		l->at = NULL;
		l->room = 0;
		TRY(cuda_check(cudaMalloc(&l->at, bytes), "memory"));
		l->room = bytes;
	}
	return 0;
}

/* The value is written where the stream's work before reads it no more. */
static int landing_put(struct device *dev, const struct value *v, void *to, const void *plain)
{
	struct landing *l = &dev->landing[dev->next_landing];
	size_t bytes = value_numbers(v);

	dev->next_landing = (dev->next_landing + 1) % LANDINGS;
	TRY(stage_ready(&l->stage, bytes));
	value_pack(v, l->stage.at, plain);
	TRY(cuda_check(cudaStreamWaitEvent(dev->copies, l->taken, 0), "copy"));
	TRY(stage_copy(&l->stage, dev->copies, l->at, l->stage.at, bytes,
		       cudaMemcpyHostToDevice));
	TRY(cuda_check(cudaStreamWaitEvent(dev->stream, l->stage.done, 0), "copy"));
	TRY(cuda_check(cudaMemcpyAsync(to, l->at, bytes, cudaMemcpyDeviceToDevice, dev->stream),
		       "copy"));
	return cuda_check(cudaEventRecord(l->taken, dev->stream), "copy");
}

/* ---- bind ---- */

static int arena_shared(int arena)
{
	return arena == ARENA_PARAM || arena == ARENA_GRAD || arena == ARENA_STATE ||
	       arena == ARENA_CONTROL;
}

static void recordings_free(struct bound *b)
{
	for (int k = 0; k < RECORDINGS; k++)
		if (b->recording[k].graph)
			cudaGraphExecDestroy(b->recording[k].graph);
	memset(b->recording, 0, sizeof b->recording);
}

static void bound_free(struct bound *b)
{
	recordings_free(b);
	for (int a = 0; a < ARENAS; a++)
		cudaFree(b->owned[a]);
	cudaFree(b->chunk);
	free(b);
}

static int arenas_take(struct bound *b, const struct program *p)
{
	for (int a = ARENA_PARAM; a < ARENAS; a++) {
		if (!p->arena[a] || (b->memory.shares && arena_shared(a)))
			continue;
		TRY(cuda_check(cudaMalloc(&b->owned[a], p->arena[a]), "memory"));
		TRY(cuda_check(cudaMemset(b->owned[a], 0, p->arena[a]), "memory"));
		b->memory.arena[a] = b->owned[a];
	}
	return 0;
}

/* The parts in common must lie at the same places. */
static int same_masters(const struct program *p, const struct program *other)
{
	for (int a = ARENA_PARAM; a < ARENAS; a++)
		if (arena_shared(a) && p->arena[a] > other->arena[a])
			return fail("%zu bytes, but %zu in the program shared with", p->arena[a],
				    other->arena[a]);
	for (int i = 0; p->graph && i < p->graph->params; i++)
		if (p->master[i] >= 0 && other->master[i] >= 0 &&
		    p->value[p->master[i]].at != other->value[other->master[i]].at)
			return fail("%s: not at the same place in the program shared with",
				    p->graph->param[i].name);
	return 0;
}

static struct memory *memory_find(const struct device *dev, const struct program *p)
{
	struct memory *m = dev->host.memory;

	while (m && m->program != p)
		m = m->next;
	return m;
}

static int control_begin(const struct device *dev, struct bound *b)
{
	double scale = dev->type == DTYPE_F16 ? 65536 : 1;
	unsigned char *control = b->memory.arena[ARENA_CONTROL];

	if (!b->owned[ARENA_CONTROL])
		return 0;
	return cuda_check(cudaMemcpy(control + offsetof(struct control, loss_scale), &scale,
				     sizeof scale, cudaMemcpyHostToDevice), "control block");
}

/* With what landings take. */
static int fits(const struct device *dev, const struct program *p)
{
	size_t available = 0, all = 0;
	size_t land = p->pixels < 0 ? 0 : LANDINGS * value_numbers(&p->value[p->pixels]);
	char where[24] = "cuda:";

	where[5] = (char)('0' + dev->ordinal % 10);
	TRY(cuda_check(cudaMemGetInfo(&available, &all), "memory"));
	return program_fits(p, available > land ? available - land : 0, where);
}

int cuda_bind(struct device *dev, struct program *p, struct program *shares)
{
	struct memory *owner = NULL, *old = memory_find(dev, p);
	struct bound *b;
	int status;

	if (dev->ordinal < 0)
		return fail("cuda: a device to look at: steps can be shown, but not be run");
	engine_settle(dev);
	TRY(cuda_check(cudaSetDevice(dev->ordinal), "device"));
	if (shares) {
		owner = memory_find(dev, shares);
		assert(owner && shares != p);
		TRY(same_masters(p, shares));
		if (owner->shares)
			owner = owner->shares;
	} else {
		TRY(fits(dev, p));
	}
	b = calloc(1, sizeof *b);
	if (!b)
		return fail("cuda: out of memory");
	b->memory.shares = owner;
	for (int a = ARENA_PARAM; owner && a < ARENAS; a++)
		if (arena_shared(a))
			b->memory.arena[a] = owner->arena[a];
	status = arenas_take(b, p);
	if (!status)
		status = control_begin(dev, b);
	if (!status)
		status = update_place(b, p);
	if (!status)
		status = landings_take(dev, p);
	/* the stream does not wait for the default one, which has cleared the memory */
	if (!status)
		status = cuda_check(cudaDeviceSynchronize(), "memory");
	if (status) {
		bound_free(b);
		return fail_add("cuda: batch of %d", p->options.batch);
	}
	/* The old memory stays till close: another program may share it. */
	if (old)
		old->program = NULL;
	b->memory.program = p;
	b->memory.next = dev->host.memory;
	dev->host.memory = &b->memory;
	return 0;
}

void memory_close(struct device *dev)
{
	while (dev->host.memory) {
		struct memory *m = dev->host.memory;

		dev->host.memory = m->next;
		bound_free((struct bound *)m);
	}
}

/* ---- put, get ---- */

/* Bytes of a value as they move; of the control block all. */
static size_t moved_bytes(const struct value *v)
{
	return v->arena == ARENA_CONTROL ? sizeof(struct control) :
	       value_bare(v) ? value_plain(v) * sizeof(float) :
	       value_numbers(v) * dtype_bytes(v->lay.type);
}

/* The kernels cannot say which label was wrong. */
static int labels_check(const struct program *p, int value, const int32_t *label)
{
	const struct xent_attr *a = NULL;

	for (int i = 0; i < p->steps && !a; i++)
		if (p->step[i].kind == STEP_XENT && p->step[i].in[1] == value)
			a = p->step[i].attr;
	for (size_t i = 0; a && i < value_plain(&p->value[value]); i++)
		if (label[i] < -1 || label[i] >= a->classes)
			return fail("sample %zu: label %d, but the network has %d classes", i / 2,
				    (int)label[i], a->classes);
	return 0;
}

int cuda_put(struct device *dev, struct program *p, int value, const void *plain)
{
	struct memory *m = host_memory(&dev->host, p);
	const struct value *v = &p->value[value];
	size_t bytes = v->arena == ARENA_CONTROL ? CONTROL_HOST : moved_bytes(v);
	struct stage *s;

	TRY(program_stored(p, value));
	TRY(cuda_check(cudaSetDevice(dev->ordinal), "device"));
	if (v->lay.type == DTYPE_I32)
		TRY(labels_check(p, value, plain));
	if (value == p->pixels)
		return landing_put(dev, v, memory_at(m, value), plain);
	s = stage_take(dev, bytes);
	if (!s)
		return -1;
	if (v->arena == ARENA_CONTROL || value_bare(v))
		memcpy(s->at, plain, bytes);
	else
		value_pack(v, s->at, plain);
	return stage_send(dev, s, memory_at(m, value), bytes);
}

/* Begins the copy of a value to pinned memory. */
static int fetch(struct device *dev, const struct program *p, int value, struct stage *s)
{
	size_t bytes = moved_bytes(&p->value[value]);

	TRY(program_stored(p, value));
	TRY(cuda_check(cudaSetDevice(dev->ordinal), "device"));
	TRY(stage_ready(s, bytes));
	return stage_copy(s, dev->stream, s->at, memory_at(host_memory(&dev->host, p), value),
			  bytes, cudaMemcpyDeviceToHost);
}

/* Ends it. */
static int bring(struct device *dev, const struct value *v, struct stage *s, void *plain)
{
	TRY(cuda_check(cudaSetDevice(dev->ordinal), "device"));
	TRY(cuda_check(cudaEventSynchronize(s->done), "a step failed on the device"));
	if (v->arena == ARENA_CONTROL || value_bare(v))
		memcpy(plain, s->at, moved_bytes(v));
	else
		value_unpack(v, s->at, plain);
	return 0;
}

int cuda_get(struct device *dev, struct program *p, int value, void *plain)
{
	struct stage *s = &dev->stage[dev->next_stage];

	dev->next_stage = (dev->next_stage + 1) % STAGES;
	TRY(fetch(dev, p, value, s));
	return bring(dev, &p->value[value], s, plain);
}

int cuda_ask(struct device *dev, struct program *p, int value, int place)
{
	return fetch(dev, p, value, &dev->answer[place]);
}

int cuda_answer(struct device *dev, struct program *p, int value, int place, void *plain)
{
	return bring(dev, &p->value[value], &dev->answer[place], plain);
}

int cuda_restore(struct device *dev, struct program *p, const struct control *c)
{
	struct memory *m = host_memory(&dev->host, p);
	size_t bytes = sizeof *c - CONTROL_HOST;
	struct stage *s;

	TRY(cuda_check(cudaSetDevice(dev->ordinal), "device"));
	s = stage_take(dev, bytes);
	if (!s)
		return -1;
	memcpy(s->at, (const char *)c + CONTROL_HOST, bytes);
	return stage_send(dev, s, m->arena[ARENA_CONTROL] + CONTROL_HOST, bytes);
}
