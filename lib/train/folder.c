#include "train/folder.h"

#include "base/fail.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".safetensors"

char *folder_name(const char *path, const char *name)
{
	size_t n = strlen(path);
	char *s;

	while (n > 1 && path[n - 1] == '/')
		n--;
	if (asprintf(&s, "%.*s/%s", (int)n, path, name) < 0) {
		fail("out of memory");
		return NULL;
	}
	return s;
}

char *folder_step_name(const char *path, int64_t step)
{
	char name[64];

	snprintf(name, sizeof(name), "%08" PRId64 SUFFIX, step);
	return folder_name(path, name);
}

/* The step of "00000500.safetensors", or -1. */
static int64_t step_of(const char *name)
{
	char *end;

	if (strspn(name, "0123456789") < 8)
		return -1;
	errno = 0;
	long long step = strtoll(name, &end, 10);
	return errno || strcmp(end, SUFFIX) ? -1 : (int64_t)step;
}

static int ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t *folder_steps(const char *path, int *n)
{
	DIR *dir = opendir(path);
	int64_t *step = malloc(sizeof(*step));
	size_t room = 1;
	struct dirent *e;

	*n = 0;
	if (!dir || !step) {
		fail_errno("%s", path);
		goto bad;
	}
	while ((e = readdir(dir))) {
		int64_t s = step_of(e->d_name);

		if (s < 0)
			continue;
		if ((size_t)*n == room) {
			int64_t *more = realloc(step, 2 * room * sizeof(*step));

			if (!more) {
				fail("out of memory");
				goto bad;
			}
			step = more;
			room *= 2;
		}
		step[(*n)++] = s;
	}
	closedir(dir);
	qsort(step, (size_t)*n, sizeof(*step), ascending);
	return step;
bad:
	if (dir)
		closedir(dir);
	free(step);
	return NULL;
}

/* Files that a killed run was writing; the folder is ours by the lock. */
static void remove_leftovers(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		size_t n = strlen(e->d_name);

		if (e->d_name[0] == '.' && n > 4 && !strcmp(e->d_name + n - 4, ".tmp") &&
		    strstr(e->d_name, SUFFIX "."))
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

int folder_open(struct folder *f, const char *path, int keep)
{
	*f = (struct folder){ .lock = -1, .keep = keep };
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return fail_errno("%s", path);
	f->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->lock < 0)
		return fail_errno("%s", path);
	if (access(path, W_OK) < 0) {
		fail_errno("%s", path);
	} else if (flock(f->lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		fail("%s: another run is writing there", path);
	} else if ((f->path = strdup(path))) {
		remove_leftovers(path);
		return 0;
	}
	folder_close(f);
	return -1;
}

void folder_close(struct folder *f)
{
	if (f->lock >= 0)
		close(f->lock);
	free(f->path);
	*f = (struct folder){ .lock = -1 };
}

int folder_has_run(const char *path)
{
	char *last = folder_name(path, "last" SUFFIX);
	struct stat st;
	int r;

	if (!last)
		return -1;
	if (stat(last, &st) == 0)
		r = 1;
	else
		r = errno == ENOENT || errno == ENOTDIR ? 0 : fail_errno("%s", last);
	free(last);
	return r;
}

static int copy_file(const char *from, const char *to)
{
	static const size_t piece = 1 << 20;
	struct newfile out = { 0 };
	char *buf = malloc(piece);
	int fd = open(from, O_RDONLY | O_CLOEXEC), r = -1;
	ssize_t n = -1;

	if (fd < 0 || !buf) {
		fail_errno("%s", from);
	} else if (newfile_open(&out, to) == 0) {
		while ((n = read_full(fd, buf, piece)) > 0 &&
		       write_full(out.fd, buf, (size_t)n) == 0)
			;
		r = n == 0 ? newfile_commit(&out) : fail_add("%s", to);
		newfile_abort(&out);
	}
	if (fd >= 0)
		close(fd);
	free(buf);
	return r;
}

static int sync_folder(const struct folder *f)
{
	return fsync(f->lock) < 0 && errno != EINVAL ? fail_errno("%s", f->path) : 0;
}

/* Gives a file of the folder a second name, which it takes from what had it. */
static int second_name(struct folder *f, const char *from, const char *name)
{
	char temp[64];

	snprintf(temp, sizeof(temp), ".%s.%ld.tmp", name, (long)getpid());
	if (unlinkat(f->lock, temp, 0) < 0 && errno != ENOENT)
		return fail_errno("%s/%s", f->path, temp);
	if (linkat(AT_FDCWD, from, f->lock, temp, 0) == 0) {
		struct stat a, b;

		/* Renaming one name of a file to another of the same does nothing. */
		if (fstatat(f->lock, name, &a, 0) == 0 && fstatat(f->lock, temp, &b, 0) == 0 &&
		    a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
			unlinkat(f->lock, temp, 0);
			return 0;
		}
		if (renameat(f->lock, temp, f->lock, name) < 0) {
			fail_errno("%s/%s", f->path, name);
			unlinkat(f->lock, temp, 0);
			return -1;
		}
		return sync_folder(f);
	}
	char *to = folder_name(f->path, name);
	int r = to ? copy_file(from, to) : -1;
	free(to);
	return r;
}

/* Removes the checkpoints of the oldest steps, and those of steps after this one, which
 * a run left that went back to an earlier checkpoint. */
static void drop_old(struct folder *f, int64_t now)
{
	int n, older = 0;
	int64_t *step = folder_steps(f->path, &n);

	for (int i = 0; step && i < n; i++)
		older += step[i] <= now;
	for (int i = 0; step && i < n; i++) {
		char *name = step[i] > now || i < older - f->keep
			   ? folder_step_name(f->path, step[i]) : NULL;

		if (name)
			unlink(name);
		free(name);
	}
	free(step);
}

int folder_save(struct folder *f, const struct state *s, const json_t *meta, int64_t step)
{
	char *name = folder_step_name(f->path, step);
	int r;

	if (!name)
		return -1;
	r = state_write(s, name, meta);
	if (!r)
		r = second_name(f, name, "last" SUFFIX);
	if (!r)
		drop_old(f, step);
	free(name);
	return r;
}

int folder_best(struct folder *f)
{
	char *last = folder_name(f->path, "last" SUFFIX);
	int r = last ? second_name(f, last, "best" SUFFIX) : -1;

	free(last);
	return r;
}
