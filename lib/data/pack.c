#include "data/pack.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/pool.h"
#include "base/rng.h"
#include "data/index.h"
#include "data/jpeg.h"
#include "data/manifest.h"

#include <assert.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE_BLOCK = 1 << 20 };

/* One shard being written, or written. */
struct out {
	char *path;
	struct newfile file;
	int open, done;
	struct frames held;             /* bytes not yet written */
	struct index index;
};

struct packer {
	const struct pack_plan *plan;
	struct inputs *in;
	struct tar *tar;                /* bytes come with the job, not by the worker */
	struct out *out;
	struct manifest manifest;
	struct jpeg **jpeg;             /* one a thread */
	uint32_t at;                    /* the shard being written, unless side by side */
	int status;
};

struct job {
	const char *path;               /* for reasons */
	char *own_path;
	uint32_t class, shard;
	uint64_t offset, size;
	struct frames image, frame;
	int system;                     /* its failure is of the system */
};

/* ---- work on one image, by a thread of the pool ---- */

/* A file into the job's buffer, which is kept from image to image. */
static int read_file(const char *path, struct frames *to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -1;
	struct stat st;
	ssize_t got;

	if (fd < 0)
		return fail_errno("%s", path);
	if (fstat(fd, &st)) {
		fail_errno("%s", path);
	} else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > TAR_MEMBER_MAX) {
		fail("%s: %s", path, S_ISREG(st.st_mode) ? "more than 256 MiB" :
		     "is no file");
	} else if (!frames_reserve(to, (size_t)st.st_size)) {
		got = read_full(fd, to->data, (size_t)st.st_size);
		if (got == st.st_size)
			rc = 0;
		else if (got < 0)
			fail_add("%s", path);
		else
			fail("%s: shrank while it was read", path);
		to->size = rc ? 0 : (size_t)got;
	}
	close(fd);
	return rc;
}

static int job_read(struct packer *p, struct job *j)
{
	ssize_t got;

	if (p->tar)
		return 0;
	j->image.size = 0;
	j->system = 1;
	if (p->in->archive < 0) {
		TRY(read_file(j->path, &j->image));
	} else {
		TRY(frames_reserve(&j->image, (size_t)j->size));
		got = read_at(p->in->archive, j->image.data, (size_t)j->size, j->offset);
		if (got < 0 || (uint64_t)got < j->size)
			return got < 0 ? fail_add("%s: %s", p->in->archive_name, j->path) :
			       fail("%s: %s is cut off", p->in->archive_name, j->path);
		j->image.size = (size_t)j->size;
	}
	j->system = 0;
	return 0;
}

static int work(void *context, int thread, void *job)
{
	struct packer *p = context;
	struct job *j = job;
	const struct classes *c = &p->in->classes;
	struct record_parts parts = { 0 };
	unsigned char *example;
	size_t size;
	int rc;

	j->system = 0;
	TRY(job_read(p, j));
	parts.class_name = names_get(&c->names, j->class, &size);
	parts.class_text = c->text ? c->text[j->class] : NULL;
	parts.name = inputs_name(p->in, j->path);
	parts.label = (int64_t)j->class + p->plan->label_base;
	if (p->plan->boxes) {
		parts.with_boxes = 1;
		parts.boxes = boxes_find(p->plan->boxes, parts.name, &parts.box);
	}
	example = record_make(&parts, p->jpeg[thread], j->image.data, j->image.size, &size);
	if (!example)
		return fail_add("%s%s%s", p->in->archive_name ? p->in->archive_name : "",
				p->in->archive_name ? ": " : "", j->path);
	j->frame.size = 0;
	rc = tfrecord_frame(&j->frame, example, size);
	free(example);
	return rc;
}

/* ---- shards ---- */

static int out_flush(struct out *o)
{
	if (write_full(o->file.fd, o->held.data, o->held.size))
		return fail_add("%s", o->path);
	o->held.size = 0;
	return 0;
}

static int out_open(struct out *o)
{
	if (o->open || o->done)
		return 0;
	TRY(newfile_open(&o->file, o->path));
	o->open = 1;
	return 0;
}

static int out_finish(struct out *o)
{
	TRY(out_open(o));
	TRY(out_flush(o));
	o->open = 0;
	TRY(newfile_commit(&o->file));
	o->done = 1;
	frames_release(&o->held);
	return 0;
}

static int out_add(struct packer *p, const struct job *j)
{
	struct out *o = &p->out[j->shard];
	uint64_t size = j->frame.size;

	TRY(out_open(o));
	TRY(index_add(&o->index, size));
	TRY(frames_reserve(&o->held, j->frame.size));
	memcpy(o->held.data + o->held.size, j->frame.data, j->frame.size);
	o->held.size += j->frame.size;
	if (o->held.size >= WRITE_BLOCK)
		TRY(out_flush(o));
	p->manifest.class[j->class].samples++;
	p->manifest.samples++;
	if (size > p->manifest.longest)
		p->manifest.longest = size;
	return 0;
}

/* ---- begin and end ---- */

/* What is there under the prefix: refused, or with force the old manifest goes first, so
 * that it never speaks of shards that are no longer what it says. */
static int make_way(const struct pack_plan *plan, const char *manifest)
{
	const char *p;
	char *pattern = malloc(2 * strlen(plan->prefix) + 64), *to = pattern;
	glob_t found;
	int rc;

	if (!pattern)
		return fail("no memory");
	for (p = plan->prefix; *p; p++) {
		if (strchr("*?[\\", *p))
			*to++ = '\\';
		*to++ = *p;
	}
	strcpy(to, "-[0-9]*-of-[0-9]*");
	rc = glob(pattern, 0, NULL, &found);
	free(pattern);
	if (!rc && !plan->force) {
		fail("%s: is there already (--force replaces what has the same name)",
		     found.gl_pathv[0]);
		globfree(&found);
		return -1;
	}
	if (!rc)
		globfree(&found);
	if (!access(manifest, F_OK)) {
		if (!plan->force)
			return fail("%s: is there already (--force replaces it)", manifest);
		if (unlink(manifest))
			return fail_errno("%s", manifest);
	}
	return 0;
}

static int packer_open(struct packer *p)
{
	const struct pack_plan *plan = p->plan;
	size_t n = p->in->classes.names.n, size, i;
	uint32_t s;

	p->manifest.path = malloc(strlen(plan->prefix) + 6);
	p->manifest.class = calloc(n, sizeof *p->manifest.class);
	p->out = calloc(plan->shards, sizeof *p->out);
	p->jpeg = calloc((size_t)plan->threads, sizeof *p->jpeg);
	if (!p->manifest.path || !p->manifest.class || !p->out || !p->jpeg)
		return fail("no memory");
	strcpy(p->manifest.path, plan->prefix);
	strcat(p->manifest.path, ".json");
	p->manifest.label_base = plan->label_base;
	p->manifest.boxes = plan->boxes != NULL;
	for (i = 0; i < n; i++) {
		struct manifest_class *c = &p->manifest.class[p->manifest.classes++];
		const char *text = p->in->classes.text ? p->in->classes.text[i] : NULL;

		c->name = strdup(names_get(&p->in->classes.names, (uint32_t)i, &size));
		c->text = text ? strdup(text) : NULL;
		if (!c->name || (text && !c->text))
			return fail("no memory");
	}
	for (s = 0; s < plan->shards; s++)
		if (!(p->out[s].path = shard_path(plan->prefix, s, plan->shards)))
			return -1;
	for (i = 0; i < (size_t)plan->threads; i++)
		if (!(p->jpeg[i] = jpeg_new()))
			return -1;
	return make_way(plan, p->manifest.path);
}

/* Indexes, then the manifest. */
static int packer_finish(struct packer *p)
{
	struct manifest *m = &p->manifest;
	uint32_t s;

	for (s = 0; s < p->plan->shards; s++)
		if (!p->out[s].done)
			TRY(out_finish(&p->out[s]));
	m->shard = calloc(p->plan->shards, sizeof *m->shard);
	if (!m->shard)
		return fail("no memory");
	for (s = 0; s < p->plan->shards; s++) {
		const struct out *o = &p->out[s];
		const char *slash = strrchr(o->path, '/');
		struct manifest_shard *to = &m->shard[m->shards++];

		to->name = strdup(slash ? slash + 1 : o->path);
		if (!to->name)
			return fail("no memory");
		to->samples = o->index.count;
		to->bytes = o->index.count ? o->index.offset[o->index.count] : 0;
		TRY(index_write(&o->index, o->path));
	}
	return manifest_write(m);
}

/* Frees; takes back what was written where bad. */
static void packer_close(struct packer *p, int bad)
{
	uint32_t s;
	int i;

	for (s = 0; p->out && s < p->plan->shards; s++) {
		struct out *o = &p->out[s];

		if (o->open)
			newfile_abort(&o->file);
		if (o->done && bad) {
			char *index = index_path(o->path);

			unlink(o->path);
			if (index)
				unlink(index);
			free(index);
		}
		free(o->path);
		frames_release(&o->held);
		index_release(&o->index);
	}
	for (i = 0; p->jpeg && i < p->plan->threads; i++)
		jpeg_free(p->jpeg[i]);
	free(p->jpeg);
	free(p->out);
	manifest_release(&p->manifest);
}

/* ---- the two ways ---- */

/* The next job of found images: 1, 0. */
static int next_input(struct packer *p, uint64_t i, struct job *j)
{
	const struct inputs *in = p->in;
	const struct input *from;
	uint64_t at = i;
	size_t size;

	if (i == in->n)
		return 0;
	if (p->plan->shuffle)
		at = rng_permute(i, in->n, p->plan->seed, 0, "tfrec-pack");
	from = &in->item[at];
	j->path = names_get(&in->paths, from->path, &size);
	j->class = from->class;
	j->offset = from->offset;
	j->size = from->size;
	j->shard = (uint32_t)((unsigned __int128)i * p->plan->shards / in->n);
	return 1;
}

/* The next job of an archive as it comes: 1, 0, -1. */
static int next_member(struct packer *p, const char *under, uint64_t i, struct job *j)
{
	struct tar_member m;
	int rc;

	while ((rc = tar_next(p->tar, &m)) > 0) {
		rc = inputs_member(p->in, &m, under, &j->class);
		if (rc)
			break;
	}
	if (rc <= 0) {
		p->status = rc < 0 ? tar_status(p->tar) : p->status;
		return rc;
	}
	free(j->own_path);
	j->path = j->own_path = strdup(m.path);
	j->image.size = 0;
	if (!j->own_path || tar_read(p->tar, &m, &j->image)) {
		p->status = tar_status(p->tar);
		return j->own_path ? -1 : fail("no memory");
	}
	j->shard = (uint32_t)(i % p->plan->shards);
	return 1;
}

/* One done image into its shard. Where shards are written one after the other, the one
 * before is finished. */
static int take(struct packer *p, struct pool *pool)
{
	const struct pack_plan *plan = p->plan;
	void *job;
	struct job *j;
	int rc = pool_take(pool, &job);

	if (rc <= 0) {
		p->status = rc < 0 && !((struct job *)job)->system ? 1 : 3;
		return -1;
	}
	j = job;
	p->status = 3;
	if (!p->tar && j->shard != p->at)
		TRY(out_finish(&p->out[p->at]));
	p->at = j->shard;
	TRY(out_add(p, j));
	if (plan->tick)
		plan->tick(plan->context, p->manifest.samples);
	return 0;
}

static int run(struct packer *p, const char *under)
{
	int depth = 4 * p->plan->threads, more = 1, rc = -1, i;
	struct job *job = calloc((size_t)depth, sizeof *job);
	struct pool *pool = NULL;
	uint64_t n = 0;

	if (!job || !(pool = pool_open(p->plan->threads, depth, work, p))) {
		if (!job)
			fail("no memory");
		goto out;
	}
	for (;;) {
		while (more > 0 && pool_inside(pool) < depth) {
			struct job *j = &job[n % (uint64_t)depth];

			more = p->tar ? next_member(p, under, n, j) : next_input(p, n, j);
			if (more < 0)
				goto out;
			if (more && pool_put(pool, j))
				goto out;
			n += more > 0;
		}
		if (!pool_inside(pool))
			break;
		if (take(p, pool))
			goto out;
	}
	rc = 0;
out:
	pool_free(pool);
	for (i = 0; job && i < depth; i++) {
		frames_release(&job[i].image);
		frames_release(&job[i].frame);
		free(job[i].own_path);
	}
	free(job);
	return rc;
}

static int pack(struct inputs *in, struct tar *tar, const char *under,
		const struct pack_plan *plan, uint64_t *written, int *status)
{
	struct packer p = { .plan = plan, .in = in, .tar = tar, .status = 3 };
	int rc;

	assert(plan->shards && plan->threads >= 1);
	*written = 0;
	*status = 1;
	if (!tar && plan->shards > in->n)
		return fail("%zu images are too few for %" PRIu32 " shards", in->n,
			    plan->shards);
	rc = packer_open(&p) || run(&p, under) ? -1 : 0;
	if (!rc && !p.manifest.samples) {
		p.status = 1;
		rc = fail("no images found");
	} else if (!rc) {
		p.status = 3;
		rc = packer_finish(&p);
	}
	*written = p.manifest.samples;
	*status = p.status;
	packer_close(&p, rc);
	return rc;
}

int pack_inputs(struct inputs *in, const struct pack_plan *plan, uint64_t *written,
		int *status)
{
	return pack(in, NULL, NULL, plan, written, status);
}

int pack_stream(struct inputs *in, struct tar *tar, const char *under,
		const struct pack_plan *plan, uint64_t *written, int *status)
{
	assert(plan->shards <= PACK_SIDE_BY_SIDE && !plan->shuffle);
	return pack(in, tar, under, plan, written, status);
}
