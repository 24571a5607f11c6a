#include "dev/cuda/cache.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "millrace engines 1\n"

enum { FILE_MOST = 256 << 20, SUM_LINE = 21, GRAPH_INTS = sizeof(struct dnn_graph) / sizeof(int) };

_Static_assert(sizeof(struct dnn_graph) % sizeof(int) == 0, "ints only: they are written so");

/* ---- where ---- */

/* The folder; NULL: none is wanted, or nobody says where. The caller frees it. */
static char *folder_name(void)
{
	const char *own = getenv("MILLRACE_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	char *name = NULL;
	int n = 0;

	if (own)
		n = *own ? asprintf(&name, "%s", own) : 0;
	else if (xdg && *xdg == '/')
		n = asprintf(&name, "%s/millrace", xdg);
	else if (home && *home)
		n = asprintf(&name, "%s/.cache/millrace", home);
	return n > 0 ? name : NULL;
}

/* The file's name is the device and its libraries, letters that names seldom have as '-'. */
static char *file_name(const char *what)
{
	char *folder = folder_name(), *path = NULL;

	if (folder && asprintf(&path, "%s/%s.engines", folder, what) < 0)
		path = NULL;
	for (char *c = path ? path + strlen(folder) + 1 : ""; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._", *c))
			*c = '-';
	free(folder);
	return path;
}

static int folders_make(const char *path)
{
	char part[PATH_MAX];

	if (strlen(path) >= sizeof part)
		return fail("%s: a name too long", path);
	for (const char *end = strchr(path + 1, '/'); end; end = strchr(end + 1, '/')) {
		memcpy(part, path, (size_t)(end - path));
		part[end - path] = '\0';
		if (mkdir(part, 0777) && errno != EEXIST)
			return fail_errno("%s", part);
	}
	return 0;
}

/* ---- choices ---- */

const struct choice *cache_find(const struct cache *c, const struct dnn_graph *g)
{
	const struct choice *e = c->choice;

	while (e && memcmp(&e->graph, g, sizeof *g))
		e = e->next;
	return e;
}

/* Sorted, so that the same choices are the same file. */
static int add(struct cache *c, const struct dnn_graph *g, const char *how, char *plan)
{
	struct choice **at = &c->choice, *e;

	while (*at && memcmp(&(*at)->graph, g, sizeof *g) < 0)
		at = &(*at)->next;
	e = *at;
	if (!e || memcmp(&e->graph, g, sizeof *g)) {
		e = calloc(1, sizeof *e);
		if (!e) {
			free(plan);
			return fail("out of memory");
		}
		e->graph = *g;
		e->next = *at;
		*at = e;
	}
	free(e->plan);
	e->plan = plan;
	snprintf(e->how, sizeof e->how, "%s", how);
	return 0;
}

int cache_add(struct cache *c, const struct dnn_graph *g, const char *how, char *plan)
{
	c->changed = 1;
	return add(c, g, how, plan);
}

/* ---- the file ---- */

static uint64_t sum_of(const char *text, size_t n)
{
	uint64_t sum = 0xcbf29ce484222325;      /* FNV-1a */

	while (n--)
		sum = (sum ^ (unsigned char)*text++) * 0x100000001b3;
	return sum;
}

static void show_choice(struct text *t, const struct choice *e)
{
	int number[GRAPH_INTS];

	memcpy(number, &e->graph, sizeof number);
	text_add(t, "graph");
	for (int k = 0; k < GRAPH_INTS; k++)
		text_add(t, " %d", number[k]);
	text_add(t, "\nhow %s\nplan %zu\n%s\n", e->how, e->plan ? strlen(e->plan) : 0,
		 e->plan ? e->plan : "");
}

/* One choice at s: where the next begins; NULL: it is none. */
static const char *read_choice(struct cache *c, const char *s, const char *end)
{
	struct dnn_graph graph;
	int number[GRAPH_INTS], used = 0;
	char how[STEP_HOW], *after, *plan = NULL;
	size_t bytes;

	s += strlen("graph");
	for (int k = 0; k < GRAPH_INTS; k++, s = after) {
		number[k] = (int)strtol(s, &after, 10);
		if (after == s)
			return NULL;
	}
	memcpy(&graph, number, sizeof graph);
	_Static_assert(STEP_HOW == 32, "the length below");
	if (sscanf(s, "\nhow %31[^\n]\nplan %zu%n", how, &bytes, &used) != 2 || !used)
		return NULL;
	s += used;
	if (*s++ != '\n' || bytes >= (size_t)(end - s) || s[bytes] != '\n')
		return NULL;
	if (bytes && !(plan = strndup(s, bytes)))
		return NULL;
	return add(c, &graph, how, plan) ? NULL : s + bytes + 1;
}

/* Adds those choices of a file's text that are not known: 0 or -1. */
static int read_text(struct cache *c, const char *text, size_t n)
{
	struct cache read = { 0 };
	const char *s = text + strlen(MAGIC), *end;
	uint64_t sum;
	int status = 0;

	if (n < strlen(MAGIC) + SUM_LINE || strncmp(text, MAGIC, strlen(MAGIC)))
		return fail("not a file of engines");
	end = text + n - SUM_LINE;
	if (strlen(text) != n || text[n - 1] != '\n' ||
	    sscanf(end, "sum %16" SCNx64, &sum) != 1 ||
	    sum != sum_of(text, (size_t)(end - text)))
		return fail("damaged");
	if (strncmp(s, c->what, strlen(c->what)) || s[strlen(c->what)] != '\n')
		return fail("another device's");
	s += strlen(c->what) + 1;
	while (s && s < end && !strncmp(s, "graph", 5))
		s = read_choice(&read, s, end);
	if (s != end)
		status = fail("damaged");
	for (struct choice *e = read.choice; e && !status; e = e->next)
		if (!cache_find(c, &e->graph)) {
			status = add(c, &e->graph, e->how, e->plan);
			e->plan = NULL;
		}
	cache_close(&read);
	return status;
}

/* No file is good. */
static int read_file(struct cache *c)
{
	char *text;
	size_t n;
	int status;

	if (access(c->path, F_OK))
		return 0;
	text = file_read(c->path, FILE_MOST, &n);
	if (!text)
		return -1;
	status = read_text(c, text, n);
	free(text);
	return status ? fail_add("%s", c->path) : 0;
}

int cache_open(struct cache *c, const char *what)
{
	*c = (struct cache){ .path = file_name(what), .what = strdup(what) };
	if (!c->what) {
		free(c->path);
		c->path = NULL;
	}
	return c->path && read_file(c) ? fail_add("engines are chosen anew") : 0;
}

void cache_close(struct cache *c)
{
	while (c->choice) {
		struct choice *e = c->choice;

		c->choice = e->next;
		free(e->plan);
		free(e);
	}
	free(c->path);
	free(c->what);
	*c = (struct cache){ 0 };
}

static int write_file(const struct cache *c)
{
	struct text t = { 0 };
	struct newfile file;
	char *text;
	int status;

	text_add(&t, MAGIC "%s\n", c->what);
	for (const struct choice *e = c->choice; e; e = e->next)
		show_choice(&t, e);
	text = text_take(&t);
	if (!text)
		return fail("out of memory");
	status = folders_make(c->path);
	if (!status)
		status = newfile_open(&file, c->path);
	if (!status) {
		char sum[32];
		size_t n = strlen(text);

		snprintf(sum, sizeof sum, "sum %016" PRIx64 "\n", sum_of(text, n));
		status = write_full(file.fd, text, n) || write_full(file.fd, sum, strlen(sum));
		if (status)
			newfile_abort(&file);
		else
			status = newfile_commit(&file);
	}
	free(text);
	return status ? -1 : 0;
}

int cache_save(struct cache *c)
{
	/* of one process's devices: the temporary name is the process's */
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int status;

	if (!c->changed || !c->path)
		return 0;
	c->changed = 0;
	pthread_mutex_lock(&lock);
	(void)read_file(c);     /* what others put there meanwhile; a bad one is replaced */
	status = write_file(c);
	pthread_mutex_unlock(&lock);
	return status ? fail_add("engines are not kept") : 0;
}
