#include "net/zoo.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/text.h"
#include "net/net_text.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MOST = (1 << 20) + 1 };     /* one more than net_read() takes, so that it says so */

static char *join(const char *a, const char *b, const char *c)
{
	struct text t = { 0 };

	text_add(&t, "%s%s%s", a, b, c);
	return text_take(&t);
}

/* The zoo's folder beside the program, with "/" at its end; NULL: reason. */
static char *zoo_folder(void)
{
	static const char *const places[] = {"../lib/zoo/", "../../lib/zoo/",
					     "../share/millrace/zoo/"};
	char program[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (n < 0) {
		fail_errno("zoo: /proc/self/exe");
		return NULL;
	}
	program[n] = '\0';
	program[strrchr(program, '/') - program + 1] = '\0';
	for (int i = 0; i < 3; i++) {
		char *folder = join(program, places[i], "");
		char *names = folder ? join(folder, "names", "") : NULL;
		int found = names && access(names, R_OK) == 0;

		free(names);
		if (found)
			return folder;
		free(folder);
	}
	fail("zoo: neither %s../lib/zoo nor %s../share/millrace/zoo is there", program, program);
	return NULL;
}

/* ---- the list of short names ---- */

static void entry_release(struct zoo_entry *e)
{
	free(e->name);
	free(e->path);
	free(e->about);
	for (int i = 0; i < e->sets; i++)
		free(e->set[i]);
	*e = (struct zoo_entry){ 0 };
}

void zoo_release(struct zoo *z)
{
	for (int i = 0; i < z->count; i++)
		entry_release(&z->entry[i]);
	free(z->entry);
	*z = (struct zoo){ 0 };
}

/* The next word of a line, which is cut; NULL: none. */
static char *word(char **line)
{
	char *w = *line + strspn(*line, " \t\r");

	*line = w + strcspn(w, " \t\r");
	if (**line)
		*(*line)++ = '\0';
	return *w ? w : NULL;
}

/* A line of the list: 1, 0 (nothing in it), -1. */
static int read_entry(const char *folder, char *line, struct zoo_entry *e)
{
	char *about = strchr(line, '#'), *w;

	*e = (struct zoo_entry){ 0 };
	if (about)
		*about++ = '\0';
	w = word(&line);
	if (!w)
		return 0;
	e->name = strdup(w);
	w = word(&line);
	if (!w) {
		fail("zoo: %snames: %s: no file", folder, e->name ? e->name : "");
		goto bad;
	}
	e->path = join(folder, w, ".net");
	e->about = strdup(about ? about + strspn(about, " \t") : "");
	if (!e->name || !e->path || !e->about) {
		fail("out of memory");
		goto bad;
	}
	while ((w = word(&line))) {
		if (e->sets == ZOO_SETTINGS) {
			fail("zoo: %snames: %s: more than %d settings", folder, e->name,
			     ZOO_SETTINGS);
			goto bad;
		}
		e->set[e->sets] = strdup(w);
		if (!e->set[e->sets++]) {
			fail("out of memory");
			goto bad;
		}
	}
	return 1;
bad:
	entry_release(e);
	return -1;
}

static int add_entry(struct zoo *z, const struct zoo_entry *e)
{
	struct zoo_entry *more = realloc(z->entry, (size_t)(z->count + 1) * sizeof(*more));

	if (!more)
		return fail("out of memory");
	z->entry = more;
	z->entry[z->count++] = *e;
	return 0;
}

static int read_names(const char *folder, struct zoo *z)
{
	char *path = join(folder, "names", ""), *text, *line, *next;
	size_t bytes;
	int got = 0;

	text = path ? file_read(path, TEXT_MOST, &bytes) : NULL;
	free(path);
	if (!text)
		return -1;
	for (line = text; line && got >= 0; line = next) {
		struct zoo_entry e;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		got = read_entry(folder, line, &e);
		if (got > 0 && add_entry(z, &e) < 0) {
			entry_release(&e);
			got = -1;
		}
	}
	free(text);
	return got < 0 ? -1 : 0;
}

/* ---- files without a short name ---- */

static char *first_comment(const char *path)
{
	size_t bytes;
	char *text = file_read(path, TEXT_MOST, &bytes), *about;

	if (!text)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	about = strdup(*text == '#' ? text + 1 + strspn(text + 1, " ") : "");
	free(text);
	return about;
}

static int is_net(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && !strcmp(d->d_name + n - 4, ".net");
}

static int add_file(struct zoo *z, const char *folder, const char *name)
{
	struct zoo_entry e = { .path = join(folder, name, "") };

	for (int i = 0; e.path && i < z->count; i++) {
		if (!strcmp(z->entry[i].path, e.path)) {
			free(e.path);
			return 0;
		}
	}
	e.name = strndup(name, strlen(name) - 4);
	e.about = e.path ? first_comment(e.path) : NULL;
	if (e.path && e.name && e.about && add_entry(z, &e) == 0)
		return 0;
	entry_release(&e);
	return -1;
}

static int add_files(struct zoo *z, const char *folder)
{
	struct dirent **file;
	int count = scandir(folder, &file, is_net, alphasort), bad = 0;

	if (count < 0)
		return fail_errno("zoo: %s", folder);
	for (int i = 0; i < count; i++) {
		if (!bad)
			bad = add_file(z, folder, file[i]->d_name);
		free(file[i]);
	}
	free(file);
	return bad;
}

int zoo_list(struct zoo *z)
{
	char *folder = zoo_folder();
	int bad;

	*z = (struct zoo){ 0 };
	if (!folder)
		return -1;
	bad = read_names(folder, z) < 0 || add_files(z, folder) < 0;
	free(folder);
	if (bad)
		zoo_release(z);
	return bad ? -1 : 0;
}

/* ---- finding one ---- */

static int is_path(const char *name)
{
	size_t n = strlen(name);

	return strchr(name, '/') || !strcmp(name, "-") || (n > 4 && !strcmp(name + n - 4, ".net"));
}

/* Fills in path and settings from the list, or from a file's name: 1, 0 (neither), -1. */
static int find(struct net_file *f, const char *name)
{
	char *folder = zoo_folder(), *path;
	struct zoo z = { 0 };

	if (!folder || read_names(folder, &z) < 0)
		goto bad;
	for (int i = 0; i < z.count && !f->path; i++) {
		struct zoo_entry *e = &z.entry[i];

		if (strcmp(e->name, name))
			continue;
		f->path = e->path;
		memcpy(f->set, e->set, sizeof(e->set));
		f->sets = e->sets;
		e->path = NULL;
		e->sets = 0;
	}
	path = f->path ? NULL : join(folder, name, ".net");
	if (path && access(path, R_OK) == 0)
		f->path = path;
	else
		free(path);
	zoo_release(&z);
	free(folder);
	return f->path != NULL;
bad:
	zoo_release(&z);
	free(folder);
	return -1;
}

int net_file_open(struct net_file *f, const char *name)
{
	int found = 0;

	*f = (struct net_file){ 0 };
	if (!is_path(name)) {
		found = find(f, name);
		if (!found && access(name, R_OK) < 0)
			return fail("%s: no such network (net-cat --zoo lists them) and no such "
				    "file",
				    name);
	}
	if (found < 0 && access(name, R_OK) < 0)
		return -1;
	if (!f->path && !(f->path = strdup(name)))
		return fail("out of memory");
	f->text = file_read(f->path, TEXT_MOST, &f->bytes);
	if (f->text && strcmp(name, "-"))
		return 0;
	if (f->text) {
		free(f->path);
		f->path = strdup("stdin");
		if (f->path)
			return 0;
	}
	net_file_release(f);
	return -1;
}

void net_file_release(struct net_file *f)
{
	free(f->path);
	free(f->text);
	for (int i = 0; i < f->sets; i++)
		free(f->set[i]);
	*f = (struct net_file){ 0 };
}

struct graph *net_file_read(const struct net_file *f, const char *const *set, int sets)
{
	const char **all = calloc((size_t)(f->sets + sets) + 1, sizeof(*all));
	struct graph *g;

	if (!all) {
		fail("out of memory");
		return NULL;
	}
	for (int i = 0; i < f->sets; i++)
		all[i] = f->set[i];
	for (int i = 0; i < sets; i++)
		all[f->sets + i] = set[i];
	g = net_read(f->path, f->text, f->bytes, all, f->sets + sets);
	free(all);
	return g;
}

struct graph *net_load(const char *name, const char *const *set, int sets)
{
	struct net_file f;
	struct graph *g;

	if (net_file_open(&f, name) < 0)
		return NULL;
	g = net_file_read(&f, set, sets);
	net_file_release(&f);
	return g;
}
