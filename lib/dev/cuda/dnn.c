#include "dev/cuda/dnn_graph.h"

#include "base/fail.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIGS = 48, KNOBS = 32 };
enum { WORK_MOST = 1 << 30 };   /* bytes: others do as well with less */

/* ---- devices that are not there ---- */

/* The form is cuDNN's; the figures are those of the data sheets and of the driver's. */
#define HOPPER(name, memory, clock) \
	"{\"version\":1,\"cudaDeviceId\":0,\"deviceName\":\"" name "\",\"deviceVer\":900," \
	"\"driverVer\":13000,\"totalGlobalMem\":" memory "," \
	"\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64]," \
	"\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32," \
	"\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448," \
	"\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536," \
	"\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048," \
	"\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1," \
	"\"smClockRateKHz\":1980000,\"memClockRateKHz\":" clock ",\"l2CacheSize\":52428800}"

const char *dnn_properties(const char *name)
{
	if (!strcmp(name, "h100"))
		return HOPPER("NVIDIA H100 80GB HBM3", "85029158912", "2619000");
	if (!strcmp(name, "h200"))
		return HOPPER("NVIDIA H200", "150754820096", "3201000");
	return NULL;
}

/* ---- engines ---- */

/* Engine configurations in cuDNN's order, from one of its rules. Their number. */
static int configs_get(struct maker *m, descriptor graph, cudnnBackendHeurMode_t mode,
		       descriptor *config, int most)
{
	descriptor heur = descriptor_make(m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
	int64_t count = 0;
	int k;

	descriptor_set(m, heur, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
	attribute_set(m, heur, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
	if (m->dnn->properties)
		descriptor_set(m, heur, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, m->dnn->properties);
	descriptor_finalize(m, heur, "heuristics");
	for (k = 0; k < most; k++) {
		config[k] = descriptor_make(m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
		if (m->failed)
			break;
	}
	if (m->failed)
		return 0;
	if (m->dnn->v->get(heur, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
			   most, &count, config) != CUDNN_STATUS_SUCCESS)
		return 0;
	return count < most ? (int)count : most;
}

static int get(const struct dnn *d, descriptor from, cudnnBackendAttributeName_t name,
	       cudnnBackendAttributeType_t type, int64_t most, void *to)
{
	int64_t count = 0;

	if (d->v->get(from, name, type, most, &count, to) != CUDNN_STATUS_SUCCESS)
		return 0;
	return count < most ? (int)count : (int)most;
}

/* The engine and its knobs as a short name, the same for the same choice. */
static void config_how(struct maker *m, descriptor config, descriptor engine, char how[STEP_HOW])
{
	const struct dnn *d = m->dnn;
	descriptor knob[KNOBS];
	int64_t index = -1;
	uint32_t hash = 0x811c9dc5;     /* FNV-1a */
	int made, n;

	get(d, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &index);
	for (made = 0; made < KNOBS; made++)
		if (d->v->make(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knob[made])
		    != CUDNN_STATUS_SUCCESS)
			break;
	n = get(d, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
		made, knob);
	for (int k = 0; k < n; k++) {
		cudnnBackendKnobType_t type = 0;
		int64_t value = 0;

		get(d, knob[k], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
		get(d, knob[k], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &value);
		hash = (hash ^ (uint32_t)type) * 0x01000193;
		hash = (hash ^ (uint32_t)value) * 0x01000193;
	}
	while (made > 0)
		d->v->unmake(knob[--made]);
	snprintf(how, STEP_HOW, "cudnn e%lld.%04x", (long long)index,
		 (unsigned)(hash ^ hash >> 16) & 0xffff);
}

/* Whether an engine computes as asked: the same bytes each time, and fp32 as fp32. */
static int engine_allowed(struct maker *m, descriptor engine)
{
	cudnnBackendNumericalNote_t note[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
	int n = get(m->dnn, engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
		    CUDNN_NUMERICAL_NOTE_TYPE_COUNT, note);

	for (int k = 0; k < n; k++)
		if (note[k] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC ||
		    note[k] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION ||
		    (m->graph->exact && (note[k] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
					 note[k] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)))
			return 0;
	return 1;
}

/* An empty plan for this device, or one that need not be there; NULL: no reason left. */
static descriptor plan_begin(const struct dnn *d)
{
	descriptor plan = NULL;
	int good;

	if (d->v->make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan) != CUDNN_STATUS_SUCCESS)
		return NULL;
	good = d->handle
	     ? d->v->set(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &d->handle)
	     : d->v->set(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
			 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d->properties);
	if (good == CUDNN_STATUS_SUCCESS)
		return plan;
	d->v->unmake(plan);
	return NULL;
}

/* Finalizes a plan, which is taken, and adds it to the list; NULL: it cannot run here. */
static struct dnn_plan *plan_end(struct dnn *d, const struct dnn_graph *g, const char *how,
				 descriptor plan)
{
	struct dnn_plan *p = calloc(1, sizeof *p);
	int64_t work = 0;

	if (!p || d->v->finalize(plan) != CUDNN_STATUS_SUCCESS ||
	    get(d, plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &work)
	    != 1 || work > WORK_MOST) {
		d->v->unmake(plan);
		free(p);
		return NULL;
	}
	*p = (struct dnn_plan){ .next = d->plan, .graph = *g, .plan = plan, .work = (size_t)work };
	snprintf(p->how, sizeof p->how, "%s", how);
	d->plan = p;
	return p;
}

/* A plan from a configuration, of this name if wanted is not empty; NULL: it cannot run
 * here or has another name, no reason left. */
static struct dnn_plan *plan_make(struct maker *m, descriptor config, const char *wanted)
{
	struct dnn *d = m->dnn;
	descriptor plan, engine = NULL;
	char how[STEP_HOW];
	int good;

	if (d->v->make(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
		return NULL;
	good = get(d, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
		   &engine) == 1 && engine_allowed(m, engine);
	if (good)
		config_how(m, config, engine, how);
	d->v->unmake(engine);
	if (!good || (*wanted && strcmp(how, wanted)))
		return NULL;
	plan = plan_begin(d);
	if (plan && d->v->set(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
			      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config) != CUDNN_STATUS_SUCCESS) {
		d->v->unmake(plan);
		plan = NULL;
	}
	return plan ? plan_end(d, m->graph, how, plan) : NULL;
}

static int graphs_same(const struct dnn_graph *a, const struct dnn_graph *b)
{
	return !memcmp(a, b, sizeof *a);        /* ints only: no padding between */
}

static void made_free(const struct dnn *d, struct made *made)
{
	while (made->count > 0)
		d->v->unmake(made->d[--made->count]);
	free(made);
}

/* Plans of a graph that begin the list: all there are up to most, of this name if how
 * is not empty. Their number, or -1 where there is none. */
static int plans_make(struct dnn *d, const struct dnn_graph *g, const char *how,
		      const struct dnn_plan **plan, int most)
{
	static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A,
							CUDNN_HEUR_MODE_FALLBACK };
	struct maker m = { .dnn = d, .graph = g };
	descriptor graph, config[CONFIGS];
	int count = 0;

	m.made = calloc(1, sizeof *m.made);
	if (!m.made)
		return fail("out of memory");
	graph = operation_graph(&m);
	for (size_t k = 0; graph && count < most && k < sizeof modes / sizeof *modes; k++) {
		int n = configs_get(&m, graph, modes[k], config, CONFIGS);

		m.failed = 0;
		for (int i = 0; i < n && count < most; i++) {
			struct dnn_plan *p = plan_make(&m, config[i], how);

			if (!p)
				continue;
			p->first = !*how && !count;
			plan[count++] = p;
		}
	}
	if (!count) {
		made_free(d, m.made);
		return !graph ? -1 : *how ? fail("cuDNN: no engine \"%s\" for it here", how) :
		       fail("cuDNN: no engine for it here");
	}
	m.made->next = d->made;
	d->made = m.made;
	return count;
}

/* A graph without an engine: asking takes milliseconds, and brackets ask often. */
static void none_keep(struct dnn *d, const struct dnn_graph *g)
{
	struct dnn_plan *p = calloc(1, sizeof *p);

	if (!p)
		return;
	p->graph = *g;
	p->first = 1;
	p->next = d->plan;
	d->plan = p;
}

static const struct dnn_plan *plan_made(const struct dnn *d, const struct dnn_graph *g,
					const char *how)
{
	const struct dnn_plan *p = d->plan;

	while (p && !(graphs_same(&p->graph, g) && (*how ? !strcmp(p->how, how) : p->first)))
		p = p->next;
	return p;
}

const struct dnn_plan *dnn_plan(struct dnn *d, const struct dnn_graph *g, const char *how)
{
	const struct dnn_plan *p = plan_made(d, g, how);

	if (p && !p->plan)
		fail("cuDNN: no engine for it here");
	if (p)
		return p->plan ? p : NULL;
	if (plans_make(d, g, how, &p, 1) > 0)
		return p;
	if (!*how)
		none_keep(d, g);
	return NULL;
}

int dnn_plans(struct dnn *d, const struct dnn_graph *g, const struct dnn_plan **plan, int most)
{
	return plans_make(d, g, "", plan, most);
}

void dnn_plan_drop(struct dnn *d, const struct dnn_plan *plan)
{
	for (struct dnn_plan **at = &d->plan; *at; at = &(*at)->next)
		if (*at == plan) {
			struct dnn_plan *p = *at;

			*at = p->next;
			d->v->unmake(p->plan);
			free(p);
			return;
		}
}

char *dnn_plan_text(struct dnn *d, const struct dnn_plan *p)
{
	const cudnnBackendAttributeName_t name = CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION;
	int64_t n = 0, got = 0;
	cudnnStatus_t status = d->v->get(p->plan, name, CUDNN_TYPE_CHAR, 0, &n, NULL);
	char *text = status == CUDNN_STATUS_SUCCESS && n > 0 ? calloc((size_t)n + 1, 1) : NULL;

	if (text)
		status = d->v->get(p->plan, name, CUDNN_TYPE_CHAR, n, &got, text);
	if (text && status == CUDNN_STATUS_SUCCESS)
		return text;
	free(text);
	dnn_bad(d, status, "plan as text");
	return NULL;
}

const struct dnn_plan *dnn_plan_read(struct dnn *d, const struct dnn_graph *g, const char *how,
				     const char *text)
{
	const struct dnn_plan *p = plan_made(d, g, how);
	descriptor plan = p ? NULL : plan_begin(d);

	if (plan && d->v->set(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
			      CUDNN_TYPE_CHAR, (int64_t)strlen(text), text)
	    == CUDNN_STATUS_SUCCESS)
		p = plan_end(d, g, how, plan);
	else if (plan)
		d->v->unmake(plan);
	if (!p)
		fail("cuDNN: engine \"%s\": its plan as text cannot be used", how);
	return p;
}

size_t dnn_plan_work(const struct dnn_plan *p)
{
	return p->work;
}

const char *dnn_plan_how(const struct dnn_plan *p)
{
	return p->how;
}

/* ---- the library ---- */

static int properties_make(struct dnn *d, const char *words)
{
	cudnnStatus_t status = d->v->make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &d->properties);

	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set(d->properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
				   CUDNN_TYPE_CHAR, (int64_t)strlen(words) + 1, words);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->finalize(d->properties);
	return status == CUDNN_STATUS_SUCCESS ? 0 : dnn_bad(d, status, "properties of a device");
}

static int handle_make(struct dnn *d, cudaStream_t stream)
{
	cudnnStatus_t status = d->v->create(&d->handle);

	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set_stream(d->handle, stream);
	return status == CUDNN_STATUS_SUCCESS ? 0 : dnn_bad(d, status, "cudnnCreate");
}

struct dnn *dnn_open(const char *properties, void *stream)
{
	const struct vendor_dnn *v = vendor_dnn();
	struct dnn *d = v ? calloc(1, sizeof *d) : NULL;
	size_t version;

	if (!d) {
		if (v)
			fail("out of memory");
		return NULL;
	}
	d->v = v;
	version = v->version();
	snprintf(d->library, sizeof d->library, "cuDNN %zu.%zu.%zu", version / 10000,
		 version / 100 % 100, version % 100);
	if (properties ? properties_make(d, properties) : handle_make(d, stream)) {
		dnn_close(d);
		return NULL;
	}
	return d;
}

void dnn_close(struct dnn *d)
{
	if (!d)
		return;
	while (d->plan) {
		struct dnn_plan *p = d->plan;

		d->plan = p->next;
		if (p->plan)
			d->v->unmake(p->plan);
		free(p);
	}
	while (d->made) {
		struct made *made = d->made;

		d->made = made->next;
		made_free(d, made);
	}
	if (d->properties)
		d->v->unmake(d->properties);
	if (d->handle)
		d->v->destroy(d->handle);
	free(d);
}

const char *dnn_library(struct dnn *d)
{
	return d->library;
}

int dnn_run(struct dnn *d, const struct dnn_plan *p, void *const operand[DNN_OPERANDS],
	    void *work)
{
	descriptor pack = NULL;
	int64_t uid[DNN_OPERANDS], n = 0;
	void *at[DNN_OPERANDS];
	cudnnStatus_t status = d->v->make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);

	for (int k = 0; k < DNN_OPERANDS; k++)
		if (operand[k]) {
			uid[n] = k;
			at[n++] = operand[k];
		}
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n,
				   uid);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
				   CUDNN_TYPE_VOID_PTR, n, at);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR,
				   1, &work);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->finalize(pack);
	if (status == CUDNN_STATUS_SUCCESS)
		status = d->v->execute(d->handle, p->plan, pack);
	if (pack)
		d->v->unmake(pack);
	return status == CUDNN_STATUS_SUCCESS ? 0 : dnn_bad(d, status, p->how);
}
