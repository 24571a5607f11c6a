#include "base/io.h"

#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROW = 1 << 20, PIPE_BYTES = 1 << 20, CALL_BYTES = 256 << 10, CALL_PIECES = 64 };

/* After a failed read or write: 1 if it is worth trying again. A descriptor that was
 * left non-blocking by another program is waited for. */
static int again(int fd, short events)
{
	if (errno == EINTR)
		return 1;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return 0;
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

ssize_t read_full(int fd, void *buf, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, (char *)buf + got, n - got);

		if (r == 0)
			break;
		if (r > 0)
			got += (size_t)r;
		else if (!again(fd, POLLIN))
			return fail("%s", strerror(errno));
	}
	return (ssize_t)got;
}

ssize_t read_at(int fd, void *buf, size_t n, uint64_t offset)
{
	size_t got = 0;

	if (offset > INT64_MAX || n > INT64_MAX - offset)
		return fail("offset %llu is too large", (unsigned long long)offset);
	while (got < n) {
		ssize_t r = pread(fd, (char *)buf + got, n - got, (off_t)(offset + got));

		if (r == 0)
			break;
		if (r > 0)
			got += (size_t)r;
		else if (errno != EINTR)
			return fail("%s", strerror(errno));
	}
	return (ssize_t)got;
}

int write_full(int fd, const void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t w = write(fd, (const char *)buf + done, n - done);

		if (w > 0)
			done += (size_t)w;
		else if (w == 0)
			return fail("nothing could be written");
		else if (!again(fd, POLLOUT))
			return fail("%s", strerror(errno));
	}
	return 0;
}

/* What of the pieces, from byte `skip` of the first on, goes into one call; gives how
 * many entries of `call` that takes. */
static int gather(struct iovec *call, const struct iovec *piece, int n, size_t skip)
{
	size_t room = CALL_BYTES;
	int k = 0;

	for (int i = 0; i < n && k < CALL_PIECES && room > 0; i++, skip = 0) {
		size_t bytes = piece[i].iov_len - skip;

		if (bytes > room)
			bytes = room;
		call[k].iov_base = (char *)piece[i].iov_base + skip;
		call[k++].iov_len = bytes;
		room -= bytes;
	}
	return k;
}

int write_pieces(int fd, const struct iovec *piece, int n)
{
	struct iovec call[CALL_PIECES];
	size_t skip = 0;

	for (;;) {
		while (n > 0 && skip == piece->iov_len) {
			skip = 0;
			piece++;
			n--;
		}
		if (n == 0)
			return 0;

		ssize_t w = writev(fd, call, gather(call, piece, n, skip));

		if (w == 0)
			return fail("nothing could be written");
		if (w < 0 && !again(fd, POLLOUT))
			return fail("%s", strerror(errno));
		for (size_t left = w > 0 ? (size_t)w : 0; left > 0;) {
			size_t bytes = piece->iov_len - skip;

			if (left < bytes) {
				skip += left;
				break;
			}
			left -= bytes;
			skip = 0;
			piece++;
			n--;
		}
	}
}

void pipe_widen(int fd)
{
	int error = errno;

	/* Refused for what is no pipe and above the user's limit: both harmless. */
	fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
	errno = error;
}

/* All of fd into *data, which grows as bytes arrive: 0 or -1. */
static int slurp(int fd, size_t max, char **data, size_t *length)
{
	size_t room = 0, got = 0;

	for (;;) {
		if (got == room) {
			size_t more = got > GROW ? got : GROW;
			char *p;

			if (more > max - got)
				more = max - got + 1;   /* one more than max tells too long */
			room = got + more;
			p = realloc(*data, room + 1);
			if (!p)
				return fail("out of memory (%zu bytes)", room + 1);
			*data = p;
		}
		ssize_t r = read_full(fd, *data + got, room - got);

		TRY(r);
		got += (size_t)r;
		if (got > max)
			return fail("more than %zu bytes", max);
		if (got < room)
			break;
	}
	(*data)[got] = '\0';
	*length = got;
	return 0;
}

char *file_read(const char *path, size_t max, size_t *n)
{
	int std = strcmp(path, "-") == 0;
	int fd = std ? 0 : open(path, O_RDONLY | O_CLOEXEC);
	char *data = NULL;

	if (max > (size_t)PTRDIFF_MAX - 2)
		max = (size_t)PTRDIFF_MAX - 2;
	if (fd < 0) {
		fail_errno("%s", path);
		return NULL;
	}
	if (slurp(fd, max, &data, n) < 0) {
		fail_add("%s", std ? "stdin" : path);
		free(data);
		data = NULL;
	}
	if (!std)
		close(fd);
	return data;
}

/* The place of the last slash + 1: where the name begins. */
static size_t folder_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

/* A new file named f->temp, or -1 with errno. What stands there was left by a dead
 * process that had our number. */
static int open_temp(const char *temp)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
	int fd = open(temp, flags, 0666);

	if (fd < 0 && errno == EEXIST && unlink(temp) == 0)
		fd = open(temp, flags, 0666);
	return fd;
}

int newfile_open(struct newfile *f, const char *path)
{
	struct stat st;
	int old = stat(path, &st) == 0;

	*f = (struct newfile){ .fd = -1 };
	/* Renaming over a device as root would remove it from the system. */
	if (old && !S_ISREG(st.st_mode))
		return fail("%s: not a regular file", path);
	/* A symbolic link stays: what it points at is replaced. */
	f->path = old ? realpath(path, NULL) : strdup(path);
	if (!f->path)
		return fail_errno("%s", path);

	size_t dir = folder_length(f->path);

	if (asprintf(&f->temp, "%.*s.%s.%ld.tmp", (int)dir, f->path, f->path + dir,
		     (long)getpid()) < 0) {
		f->temp = NULL;
		fail("%s: out of memory", path);
		goto bad;
	}
	f->fd = open_temp(f->temp);
	if (f->fd < 0) {
		fail_errno("%s", f->temp);
		goto bad;
	}
	if (old)
		(void)!fchmod(f->fd, st.st_mode & 0777);
	return 0;
bad:
	free(f->path);
	free(f->temp);
	*f = (struct newfile){ .fd = -1 };
	return -1;
}

/* So that the new name itself survives a loss of power. */
static int sync_folder(const char *path)
{
	size_t n = folder_length(path);
	char *dir = n ? strndup(path, n) : strdup(".");
	int fd, r = 0;

	if (!dir)
		return fail("%s: out of memory", path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP))
		r = fail_errno("%s", dir);
	if (fd >= 0)
		close(fd);
	free(dir);
	return r;
}

int newfile_commit(struct newfile *f)
{
	int fd = f->fd, r = -1;

	if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS) {
		fail_errno("%s", f->path);
		newfile_abort(f);
		return -1;
	}
	f->fd = -1;
	if (close(fd) < 0)
		fail_errno("%s", f->path);
	else if (rename(f->temp, f->path) < 0)
		fail_errno("%s", f->path);
	else
		r = 0;
	if (r < 0) {
		newfile_abort(f);
		return -1;
	}
	r = sync_folder(f->path);
	free(f->path);
	free(f->temp);
	*f = (struct newfile){ .fd = -1 };
	return r;
}

void newfile_abort(struct newfile *f)
{
	if (!f->temp)
		return;
	if (f->fd >= 0)
		close(f->fd);
	unlink(f->temp);
	free(f->path);
	free(f->temp);
	*f = (struct newfile){ .fd = -1 };
}
