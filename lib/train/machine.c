#include "train/machine_own.h"

#include "base/fail.h"

#include <stdlib.h>
#include <string.h>

/* ---- devices ---- */

struct opening { struct machine *m; struct device_name name[MACHINE_DEVICES]; int threads; };

static int open_device(void *context, int rank)
{
	struct opening *o = context;
	struct machine_device *d = &o->m->device[rank];
	const char *which = o->name[rank].which;

	d->device = d->backend->open(*which ? which : NULL, o->threads);
	if (!d->device)
		return -1;
	d->target = d->backend->target(d->device);
	return 0;
}

static int watch_world(void *world)
{
	return world_check(world);
}

static int open_devices(struct machine *m, const char *devices, int threads,
			struct world *world)
{
	struct opening o = { .m = m };
	int n = device_names(devices, o.name, MACHINE_DEVICES);

	TRY(n);
	m->device = calloc((size_t)n, sizeof(*m->device));
	if (!m->device)
		return fail("out of memory");
	m->count = n;
	m->world = world;
	o.threads = machine_threads(threads, n, world);
	for (int i = 0; i < n; i++) {
		m->device[i].backend = backend_find(o.name[i].backend);
		if (!m->device[i].backend)
			return -1;
		if (m->device[i].backend != m->device[0].backend)
			return fail("devices %s: those of one run must be of one kind", devices);
	}
	m->crew = crew_open(n, world ? watch_world : NULL, world);
	if (!m->crew)
		return -1;
	TRY(crew_do(m->crew, open_device, &o));
	return machine_meet(m);
}

int machine_open(struct machine *m, const char *devices, int threads, struct world *world)
{
	*m = (struct machine){ 0 };
	if (!open_devices(m, devices, threads, world))
		return 0;
	m->failed = 1;
	machine_close(m);
	return -1;
}

static int close_device(void *context, int rank)
{
	struct machine *m = context;
	struct machine_device *d = &m->device[rank];

	program_free(d->eval);
	program_free(d->train);
	if (d->device)
		d->backend->close(d->device);
	return 0;
}

void machine_close(struct machine *m)
{
	char why[FAIL_MAX];

	/* What a failed device still holds goes with the process. */
	strcpy(why, fail_why());
	profile_close(m->profile);
	if (m->crew && !m->failed)
		crew_do(m->crew, close_device, m);
	crew_close(m->crew);
	if (!m->failed)
		free(m->device);
	free(m->losses);
	free(m->probabilities);
	free(m->logits);
	json_decref(m->about);
	*m = (struct machine){ 0 };
	fail("%s", why);
}

json_t *machine_describe(const struct machine *m)
{
	return json_incref(m->about);
}

static int all(struct machine *m, crew_act *act, void *context)
{
	if (!m->failed && crew_do(m->crew, act, context) == 0)
		return 0;
	m->failed = 1;
	/* the world's words are clearer than those of who waited for it */
	world_check(m->world);
	return -1;
}

static int find_fastest(void *context, int rank)
{
	struct machine *m = context;

	if (!rank && m->device[0].backend->fastest)
		m->precision = m->device[0].backend->fastest(m->device[0].device);
	return 0;
}

const char *machine_precision(struct machine *m, const char *name)
{
	if (!strcmp(name, "auto")) {
		if (all(m, find_fastest, m))
			return NULL;
		/* what the first of all found */
		if (world_share(m->world, &m->precision, sizeof m->precision))
			return NULL;
	} else if (!strcmp(name, "fp32") || !strcmp(name, "bf16")) {
		m->precision = *name == 'f' ? DTYPE_F32 : DTYPE_BF16;
	} else {
		fail("--precision: '%s' is not fp32, bf16 or auto", name);
		return NULL;
	}
	if (m->precision == DTYPE_BF16 && !m->device[0].backend->fastest) {
		fail("--precision bf16: of %s the device's name says it: %s:0:bf16",
		     m->device[0].backend->name, m->device[0].backend->name);
		return NULL;
	}
	return m->precision == DTYPE_BF16 ? "bf16" : "fp32";
}

/* ---- programs ---- */

struct making {
	struct machine *m;
	const struct graph *graph;
	struct program_options options;
	int eval, others;       /* others: all but the first device */
};

static int make_program(void *context, int rank)
{
	struct making *w = context;
	struct machine_device *d = &w->m->device[rank];
	struct program *p;

	if (w->others != (rank > 0))
		return 0;
	p = program_make(w->graph, &w->options, &d->target);
	if (!p)
		return -1;
	/* a program keeps its options, but the list is read while it is made */
	p->options.how = NULL;
	if (w->eval)
		d->eval = p;
	else
		d->train = p;
	return 0;
}

/* The first device's, then the others' with its kernels. */
static int make_programs(struct machine *m, struct making *w)
{
	const struct program *p;
	const char **how;
	int r;

	TRY(all(m, make_program, w));
	if (m->count == 1)
		return 0;
	p = w->eval ? m->device[0].eval : m->device[0].train;
	how = calloc((size_t)p->steps, sizeof(*how));
	if (!how)
		return fail("out of memory");
	for (int i = 0; i < p->steps; i++)
		how[i] = p->step[i].how;
	w->options.how = how;
	w->options.hows = p->steps;
	w->others = 1;
	r = all(m, make_program, w);
	free(how);
	return r;
}

static int bind_program(void *context, int rank)
{
	struct making *w = context;
	struct machine_device *d = &w->m->device[rank];

	return w->eval ? d->backend->bind(d->device, d->eval, d->train)
		       : d->backend->bind(d->device, d->train, NULL);
}

static int join_devices(struct machine *m)
{
	struct device *list[MACHINE_DEVICES];

	if (m->devices == 1)
		return 0;
	for (int i = 0; i < m->count; i++)
		list[i] = m->device[i].device;
	return m->device[0].backend->join(list, m->count, m->world);
}

static int make_results(float **at, size_t numbers)
{
	free(*at);
	*at = calloc(numbers, sizeof(float));
	return *at ? 0 : fail("out of memory");
}

int machine_train(struct machine *m, const struct graph *g, const struct program_options *options,
		  const json_t *how)
{
	struct making w = { .m = m, .graph = g, .options = *options };
	size_t hows = json_array_size(how);
	const char **list = calloc(hows + 1, sizeof(*list));
	int r;

	if (!list)
		return fail("out of memory");
	w.options.precision = m->precision;
	for (size_t i = 0; i < hows; i++)
		list[i] = json_string_value(json_array_get(how, i));
	if (how) {
		w.options.how = list;
		w.options.hows = (int)hows;
	}
	r = make_programs(m, &w);
	if (!r)
		r = join_devices(m);
	if (!r)
		r = all(m, bind_program, &w);
	free(list);
	if (r < 0)
		return -1;
	return make_results(&m->losses, 2 * (size_t)options->batch * (size_t)m->count);
}

struct noting { struct machine *m; struct text text; };

static int note(void *context, int rank)
{
	struct noting *w = context;
	const struct machine_device *d = &w->m->device[rank];

	if (!rank && d->backend->note)
		d->backend->note(d->device, &w->text);
	return 0;
}

char *machine_notes(struct machine *m)
{
	struct noting w = { .m = m };

	return all(m, note, &w) ? NULL : text_take(&w.text);
}

static int open_profile(void *context, int rank)
{
	struct machine *m = context;
	const struct machine_device *d = &m->device[rank];

	if (rank)
		return 0;
	m->profile = profile_open(d->backend, d->device, d->train);
	return m->profile ? 0 : -1;
}

int machine_profile(struct machine *m)
{
	return all(m, open_profile, m);
}

json_t *machine_how(const struct machine *m)
{
	const struct program *p = m->device[0].train;
	json_t *list = json_array();

	for (int i = 0; i < p->steps; i++)
		json_array_append_new(list, json_string(p->step[i].how));
	return list;
}

int machine_eval(struct machine *m, const struct graph *g, int batch,
		 const struct input_attr *normalise, int logits)
{
	struct making w = {
		.m = m, .graph = g, .eval = 1,
		.options = { .batch = batch / m->count, .devices = 1, .normalise = *normalise,
			     .precision = m->precision },
	};
	size_t room = (size_t)batch;

	TRY(make_programs(m, &w));
	TRY(all(m, bind_program, &w));
	if (!m->device[0].train ||
	    room > (size_t)m->device[0].train->options.batch * (size_t)m->count)
		TRY(make_results(&m->losses, 2 * room));
	if (logits)
		TRY(make_results(&m->logits, room * (size_t)g->classes));
	return make_results(&m->probabilities, room * (size_t)g->classes);
}

/* ---- parameters ---- */

struct moving { struct machine *m; const struct state *s; };

static int run_part(const struct machine_device *d, struct program *p, int from, int to)
{
	TRY(d->backend->run(d->device, p, p->begin[from], p->begin[to]));
	return d->backend->wait(d->device);
}

static int put_state(void *context, int rank)
{
	const struct moving *w = context;
	const struct machine_device *d = &w->m->device[rank];
	struct program *p = d->train ? d->train : d->eval;

	for (int i = 0; i < w->s->graph->params; i++) {
		int slot = w->s->slot[i];

		if (p->master[i] >= 0)
			TRY(d->backend->put(d->device, p, p->master[i], w->s->data[i]));
		if (slot >= 0 && d->train && p->slot[i] >= 0)
			TRY(d->backend->put(d->device, p, p->slot[i], w->s->data[slot]));
	}
	return run_part(d, p, PART_PACK, PARTS);
}

int machine_put(struct machine *m, const struct state *s)
{
	struct moving w = { m, s };

	return all(m, put_state, &w);
}

static int get_state(void *context, int rank)
{
	const struct moving *w = context;
	const struct machine_device *d = &w->m->device[0];
	struct program *p = d->train;

	if (rank)
		return 0;
	for (int i = 0; i < w->s->graph->params; i++) {
		int slot = w->s->slot[i];

		TRY(d->backend->get(d->device, p, p->master[i], w->s->data[i]));
		if (slot >= 0)
			TRY(d->backend->get(d->device, p, p->slot[i], w->s->data[slot]));
	}
	return d->backend->get(d->device, p, p->control, &w->m->control);
}

int machine_get(struct machine *m, const struct state *s)
{
	struct moving w = { m, s };

	return all(m, get_state, &w);
}

struct restoring { struct machine *m; const struct control *control; };

static int restore(void *context, int rank)
{
	const struct restoring *w = context;
	const struct machine_device *d = &w->m->device[rank];

	return d->backend->restore(d->device, d->train, w->control);
}

int machine_restore(struct machine *m, const struct control *c)
{
	struct restoring w = { m, c };

	return all(m, restore, &w);
}

/* ---- steps ---- */

struct stepping {
	struct machine *m;
	const struct batch *batch;
	struct control control;
	int view, views;
};

static int put_samples(const struct stepping *w, const struct machine_device *d,
		       struct program *p, int rank, const unsigned char *pixels)
{
	size_t n = (size_t)p->options.batch, from = (size_t)rank * n;

	TRY(d->backend->put(d->device, p, p->pixels, pixels));
	TRY(d->backend->put(d->device, p, p->labels, w->batch->labels + 2 * from));
	if (p->shares >= 0)
		TRY(d->backend->put(d->device, p, p->shares, w->batch->shares + 2 * from));
	return 0;
}

static size_t image_bytes(const struct program *p)
{
	const struct shape *s = &p->graph->input;

	return (size_t)s->h * (size_t)s->w * (size_t)s->c;
}

static int put_step(void *context, int rank)
{
	const struct stepping *w = context;
	const struct machine_device *d = &w->m->device[rank];
	struct program *p = d->train;
	size_t from = (size_t)rank * (size_t)p->options.batch;
	struct control c = w->control;

	c.position = batch_position(w->batch, (int)from);
	c.stride = w->batch->stride * (uint64_t)w->m->count;
	TRY(put_samples(w, d, p, rank, w->batch->pixels + from * image_bytes(p)));
	return d->backend->put(d->device, p, p->control, &c);
}

int machine_put_batch(struct machine *m, const struct batch *b, const struct control *control)
{
	struct stepping w = { .m = m, .batch = b, .control = *control };

	return all(m, put_step, &w);
}

int machine_ahead(const struct machine *m)
{
	return m->device[0].backend->ask && !m->profile && !m->world;
}

/* Two places, for losses and control, of each step that may be under way. */
static int place_of(int64_t step, int which)
{
	_Static_assert(BACKEND_PLACES >= 4, "one step ahead");
	return (int)(step % 2) * 2 + which;
}

static float *losses_of(const struct machine *m, int rank)
{
	return m->losses + 2 * (size_t)rank * (size_t)m->device[rank].train->options.batch;
}

/* What a backend has done when run returns is got at once. */
static int begin_step(void *context, int rank)
{
	struct stepping *w = context;
	const struct machine_device *d = &w->m->device[rank];
	struct program *p = d->train;
	struct control c;

	TRY(put_step(w, rank));
	if (w->m->profile && !rank)
		TRY(profile_run(w->m->profile));
	else
		TRY(d->backend->run(d->device, p, p->begin[PART_FORWARD], p->begin[PARTS]));
	if (!machine_ahead(w->m))
		TRY(d->backend->wait(d->device));
	if (d->backend->ask) {
		TRY(d->backend->ask(d->device, p, p->losses, place_of(w->m->begun, 0)));
		return d->backend->ask(d->device, p, p->control, place_of(w->m->begun, 1));
	}
	TRY(d->backend->get(d->device, p, p->losses, losses_of(w->m, rank)));
	if (rank)
		return 0;
	TRY(d->backend->get(d->device, p, p->control, &c));
	w->m->halted = c.halt;
	return 0;
}

int machine_begin(struct machine *m, const struct batch *b, const struct control *control)
{
	struct stepping w = { .m = m, .batch = b, .control = *control };

	TRY(all(m, begin_step, &w));
	m->begun++;
	return 0;
}

static int finish_step(void *context, int rank)
{
	struct machine *m = context;
	const struct machine_device *d = &m->device[rank];
	struct program *p = d->train;
	struct control c;

	TRY(d->backend->answer(d->device, p, p->losses, place_of(m->finished, 0),
			       losses_of(m, rank)));
	TRY(d->backend->answer(d->device, p, p->control, place_of(m->finished, 1), &c));
	if (!rank)
		m->halted = c.halt;
	/* what was begun since does nothing, but must end */
	return c.halt ? d->backend->wait(d->device) : 0;
}

int machine_finish(struct machine *m, int *halted)
{
	if (m->device[0].backend->ask)
		TRY(all(m, finish_step, m));
	*halted = m->halted;
	m->finished = *halted ? m->begun : m->finished + 1;
	return 0;
}

static int refresh(void *context, int rank)
{
	struct machine *m = context;
	const struct machine_device *d = &m->device[rank];

	return run_part(d, d->eval, PART_PACK, PARTS);
}

int machine_refresh(struct machine *m)
{
	return all(m, refresh, m);
}

/* The value that goes into the softmax; -1. */
static int logits_of(const struct program *p)
{
	for (int i = p->begin[PART_FORWARD]; i < p->begin[PART_FORWARD + 1]; i++)
		if (p->step[i].kind == STEP_XENT)
			return p->step[i].in[0];
	return -1;
}

/* The views of one kind, gathered; images of a sample stand together in the batch. */
static unsigned char *gather(const struct stepping *w, const struct program *p, int rank)
{
	size_t n = (size_t)p->options.batch, from = (size_t)rank * n, bytes = image_bytes(p);
	unsigned char *out = malloc(n * bytes);

	if (!out) {
		fail("out of memory");
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		memcpy(out + i * bytes, w->batch->pixels +
		       ((from + i) * (size_t)w->views + (size_t)w->view) * bytes, bytes);
	return out;
}

static int evaluate_view(struct stepping *w, int rank, float *probabilities)
{
	const struct machine_device *d = &w->m->device[rank];
	struct program *p = d->eval;
	size_t n = (size_t)p->options.batch, from = (size_t)rank * n;
	struct control c = w->control;
	int r;

	if (w->views > 1) {
		unsigned char *pixels = gather(w, p, rank);

		r = pixels ? put_samples(w, d, p, rank, pixels) : -1;
		free(pixels);
	} else {
		r = put_samples(w, d, p, rank, w->batch->pixels + from * image_bytes(p));
	}
	TRY(r);
	if (p->control >= 0 && !d->train)
		TRY(d->backend->put(d->device, p, p->control, &c));
	TRY(run_part(d, p, PART_FORWARD, PART_FORWARD + 1));
	TRY(d->backend->get(d->device, p, p->losses, w->m->losses + 2 * from));
	if (w->m->logits)
		TRY(d->backend->get(d->device, p, logits_of(p),
				    w->m->logits + from * (size_t)p->graph->classes));
	return d->backend->get(d->device, p, p->probabilities, probabilities);
}

static int evaluate(void *context, int rank)
{
	struct stepping w = *(struct stepping *)context;
	const struct program *p = w.m->device[rank].eval;
	size_t numbers = (size_t)p->options.batch * (size_t)p->graph->classes;
	float *mean = w.m->probabilities + (size_t)rank * numbers, *one;
	int r = 0;

	if (w.views == 1)
		return evaluate_view(&w, rank, mean);
	one = malloc(numbers * sizeof(*one));
	if (!one)
		return fail("out of memory");
	memset(mean, 0, numbers * sizeof(*mean));
	for (w.view = 0; w.view < w.views && !r; w.view++) {
		r = evaluate_view(&w, rank, one);
		for (size_t i = 0; i < numbers && !r; i++)
			mean[i] += one[i] / (float)w.views;
	}
	free(one);
	return r;
}

int machine_evaluate(struct machine *m, const struct batch *b, int views)
{
	struct stepping w = { .m = m, .batch = b, .views = views, .control = { .count = 1 } };

	return all(m, evaluate, &w);
}
