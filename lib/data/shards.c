#include "data/shards.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/fail.h"
#include "base/text.h"
#include "data/tfrecord.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int shard_stat(struct shard *s, int *status)
{
	struct stat st;

	*status = 3;
	if (stat(s->path, &st))
		return fail_errno("%s", s->path);
	if (S_ISDIR(st.st_mode))
		return fail("%s: is a folder; name the shards in it", s->path);
	if (!S_ISREG(st.st_mode))
		return fail("%s: is no file; 'cat %s |' comes before", s->path, s->path);
	s->bytes = (uint64_t)st.st_size;
	return 0;
}

/* A second manifest must say the same of labels as the first. */
static int same_labels(const struct manifest *a, const struct manifest *b)
{
	int same = a->label_base == b->label_base && a->classes == b->classes;
	size_t i;

	for (i = 0; same && i < a->classes; i++)
		same = !strcmp(a->class[i].name, b->class[i].name);
	return same ? 0 : fail("%s and %s differ in classes or label base", a->path, b->path);
}

/* What a manifest says of a shard. */
static int take_entry(const struct manifest *m, struct shard *s)
{
	const struct manifest_shard *entry = manifest_find(m, s->path);

	if (!entry)
		return fail("%s: %s does not list it: it is of another set", s->path, m->path);
	if (entry->bytes != s->bytes)
		return fail("%s: %s says %" PRIu64 " bytes, the file has %" PRIu64
			    ": cut off, or of another set", s->path, m->path, entry->bytes,
			    s->bytes);
	s->count = entry->samples;
	s->longest = m->longest;
	return 1;
}

/* Asks the manifest beside a numbered shard: 1, 0 if there is none, -1. */
static int ask_manifest(struct shards *set, struct shard *s, int *status)
{
	struct manifest other = { 0 };
	struct text t = { 0 };
	uint32_t of, whose;
	size_t prefix;
	char *path;
	int rc;

	if (!shard_name(s->path, &prefix, &whose, &of))
		return 0;
	text_add(&t, "%.*s.json", (int)prefix, s->path);
	path = text_take(&t);
	*status = 3;
	if (!path)
		return -1;
	if (set->has_manifest && !strcmp(set->manifest.path, path)) {
		*status = 1;
		rc = take_entry(&set->manifest, s);
	} else if ((rc = manifest_read(&other, path, status)) > 0) {
		*status = 1;
		rc = take_entry(&other, s);
		if (rc > 0 && set->has_manifest)
			rc = same_labels(&set->manifest, &other) ? -1 : 1;
		set->manifest.boxes |= other.boxes;
		if (rc > 0 && !set->has_manifest) {
			set->manifest = other;
			set->has_manifest = 1;
			memset(&other, 0, sizeof other);
		}
	}
	manifest_release(&other);
	free(path);
	return rc;
}

static int find_kind(struct shards *set, struct shard *s, int *status)
{
	struct tfrecord_reader *r = tfrecord_open(s->path, set->max, status);

	if (!r)
		return -1;
	s->kind = tfrecord_kind(r);
	tfrecord_close(r);
	return 0;
}

int shard_look(struct shard *s, int *status)
{
	int rc;

	if (s->looked)
		return 0;
	s->looked = 1;
	rc = index_read(&s->index, s->path, status);
	if (rc <= 0)
		return rc;
	*status = 1;
	if (s->kind == SOURCE_PLAIN)
		TRY(index_fits(&s->index, s->path, s->bytes));
	s->indexed = 1;
	return 0;
}

/* Counts by what is there, cheapest first. */
static int count(struct shards *set, struct shard *s, int offsets, size_t *inflated,
		 int *status)
{
	int known = ask_manifest(set, s, status);

	if (known < 0 || (known && !offsets))
		return known < 0 ? -1 : 0;
	TRY(find_kind(set, s, status));
	if (offsets && s->kind != SOURCE_PLAIN) {
		*status = 1;
		return fail("%s: is compressed, and --shuffle all reads here and there: "
			    "take --shuffle N, or inflate the shards first", s->path);
	}
	TRY(shard_look(s, status));
	if (!s->indexed) {
		*inflated += s->kind != SOURCE_PLAIN;
		TRY(index_scan(&s->index, s->path, set->max, status));
		s->indexed = 1;
	}
	*status = 1;
	if (known && s->index.count != s->count)
		return fail("%s: the manifest says %" PRIu64 " records, the index %" PRIu64,
			    s->path, s->count, s->index.count);
	s->count = s->index.count;
	s->longest = index_longest(&s->index);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int shards_number(char *const *paths, size_t n, uint32_t *number, size_t *missing)
{
	size_t first = 0, prefix = 0, i;
	uint32_t of = 0, whole = 0, *seen = calloc(n, sizeof *seen);
	int named = 1, rc = 0;

	*missing = 0;
	if (!seen)
		return fail("no memory for %zu shards", n);
	for (i = 0; i < n && named; i++) {
		named = shard_name(paths[i], &prefix, &number[i], &of);
		if (!i) {
			first = prefix;
			whole = of;
		}
		named = named && prefix == first && of == whole &&
			!strncmp(paths[i], paths[0], prefix);
		seen[i] = number[i];
	}
	for (i = 0; i < n && !named; i++)
		number[i] = (uint32_t)i;
	if (named) {
		qsort(seen, n, sizeof *seen, by_number);
		for (i = 1; i < n && !rc; i++)
			if (seen[i] == seen[i - 1])
				rc = fail("shard %" PRIu32 " of %" PRIu32 " is named twice",
					  seen[i], whole);
		*missing = rc ? 0 : whole - n;
	}
	free(seen);
	return rc;
}

static int number_all(struct shards *set, char *const *paths, int *status)
{
	uint32_t *number = calloc(set->n, sizeof *number);
	size_t i;
	int rc;

	*status = number ? 1 : 3;
	rc = number ? shards_number(paths, set->n, number, &set->missing) :
	     fail("no memory for %zu shards", set->n);
	for (i = 0; i < set->n && !rc; i++)
		set->shard[i].number = number[i];
	free(number);
	return rc;
}

int shards_open(struct shards *set, char *const *paths, size_t n, int offsets, uint64_t max,
		size_t *inflated, int *status)
{
	size_t i;

	memset(set, 0, sizeof *set);
	*inflated = 0;
	*status = 3;
	set->max = max;
	set->shard = calloc(n, sizeof *set->shard);
	if (!set->shard)
		return fail("no memory for %zu shards", n);
	for (set->n = 0; set->n < n; set->n++) {
		set->shard[set->n].path = strdup(paths[set->n]);
		if (!set->shard[set->n].path) {
			fail("no memory for %zu shards", n);
			goto bad;
		}
	}
	if (number_all(set, paths, status))
		goto bad;
	for (i = 0; i < n; i++) {
		struct shard *s = &set->shard[i];

		if (shard_stat(s, status) || count(set, s, offsets, inflated, status))
			goto bad;
		if (__builtin_add_overflow(set->total, s->count, &set->total)) {
			fail("more than 2^64 records");
			goto bad;
		}
		if (s->longest > set->longest)
			set->longest = s->longest;
	}
	return 0;
bad:
	shards_release(set);
	return -1;
}

void shards_digest(const struct shards *set, enum order_kind kind, uint64_t window,
		   uint64_t seed, char digest[17])
{
	static const char *const names[] = { "file", "all", "window" };
	unsigned char b[16];
	uint32_t c = 0, z = 0;
	size_t i;

	for (i = 0; i < set->n; i++) {
		put_u64(b, set->shard[i].number);
		put_u64(b + 8, set->shard[i].count);
		c = crc32c(c, b, 16);
		z = crc32z(z, b, 16);
	}
	put_u64(b, kind == ORDER_WINDOW ? window : 0);
	put_u64(b + 8, seed);
	c = crc32c(crc32c(c, b, 16), names[kind], strlen(names[kind]));
	z = crc32z(crc32z(z, b, 16), names[kind], strlen(names[kind]));
	put_u32(b, c);
	put_u32(b + 4, z);
	for (i = 0; i < 8; i++) {
		digest[2 * i] = "0123456789abcdef"[b[i] >> 4];
		digest[2 * i + 1] = "0123456789abcdef"[b[i] & 15];
	}
	digest[16] = 0;
}

void shards_release(struct shards *set)
{
	size_t i;

	for (i = 0; i < set->n; i++) {
		free(set->shard[i].path);
		index_release(&set->shard[i].index);
	}
	free(set->shard);
	manifest_release(&set->manifest);
	memset(set, 0, sizeof *set);
}
