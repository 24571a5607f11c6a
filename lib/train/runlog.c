#include "train/runlog.h"

#include "base/fail.h"
#include "base/io.h"
#include "train/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_MAX = 1 << 30 };

/* ---- writing ---- */

/* Ends a line that has no end. */
static int end_line(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n')
		return write_full(fd, "\n", 1);
	return 0;
}

int runlog_open(struct runlog *l, const char *path)
{
	*l = (struct runlog){ .fd = -1 };
	if (!path)
		return 0;
	l->name = strdup(strcmp(path, "-") ? path : "stdout");
	if (!l->name)
		return fail("out of memory");
	l->fd = strcmp(path, "-") ? open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : 1;
	if (l->fd < 0) {
		fail_errno("%s", path);
		goto bad;
	}
	if (l->fd != 1 && end_line(l->fd) < 0) {
		fail_add("%s", path);
		goto bad;
	}
	return 0;
bad:
	runlog_close(l);
	return -1;
}

int runlog_write(struct runlog *l, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	size_t n = text ? strlen(text) : 0;
	int r = 0;

	json_decref(line);
	if (l->failed || l->fd < 0) {
		free(text);
		return 0;
	}
	if (!text) {
		r = fail("%s: out of memory", l->name);
	} else {
		text[n] = '\n'; /* in one write, so that lines stay whole */
		if (write_full(l->fd, text, n + 1) < 0)
			r = fail_add("%s", l->name);
	}
	if (r < 0)
		l->failed = 1;
	free(text);
	return r;
}

int runlog_close(struct runlog *l)
{
	int r = 0;

	if (l->fd > 1 && close(l->fd) < 0)
		r = fail_errno("%s", l->name);
	free(l->name);
	*l = (struct runlog){ .fd = -1 };
	return r;
}

/* ---- reading ---- */

static double number(const json_t *line, const char *key)
{
	const json_t *v = json_object_get(line, key);

	return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static int add_point(struct runlog_curve *c, const json_t *line)
{
	if (!(c->points & (c->points - 1))) {
		size_t room = c->points ? 2 * (size_t)c->points : 1;
		struct runlog_point *more = realloc(c->point, room * sizeof(*more));

		if (!more)
			return fail("out of memory");
		c->point = more;
	}
	c->point[c->points++] = (struct runlog_point){
		(int64_t)json_integer_value(json_object_get(line, "step")), number(line, "epoch"),
		number(line, "loss"), number(line, "top1"), number(line, "top5"),
		number(line, "lr"),
	};
	return 0;
}

/* Takes back what stands after a step, or at it too. */
static void cut(struct runlog_curve *c, int64_t step)
{
	while (c->points && c->point[c->points - 1].step > step)
		c->points--;
}

static int read_line(struct runlog_run *r, const json_t *line)
{
	const char *event = json_string_value(json_object_get(line, "event"));
	const char *network = json_string_value(json_object_get(line, "network"));

	if (!event)
		return 0;
	if (!strcmp(event, "begin")) {
		int64_t step = (int64_t)json_integer_value(json_object_get(line, "step"));

		cut(&r->train, step);
		cut(&r->val, step);
		if (network) {
			free(r->network);
			r->network = strdup(network);
			if (!r->network)
				return fail("out of memory");
		}
	} else if (!strcmp(event, "step")) {
		return add_point(&r->train, line);
	} else if (!strcmp(event, "val")) {
		/* A resumed run may validate its checkpoint once more. */
		cut(&r->val, (int64_t)json_integer_value(json_object_get(line, "step")) - 1);
		return add_point(&r->val, line);
	}
	return 0;
}

static int read_lines(struct runlog_run *r, char *text, size_t n)
{
	for (char *at = text, *end; at < text + n; at = end + 1) {
		json_t *line;
		int failed = 0;

		end = memchr(at, '\n', (size_t)(text + n - at));
		if (!end)
			end = text + n;
		if (end == at)
			continue;
		line = json_loadb(at, (size_t)(end - at), 0, NULL);
		if (!json_is_object(line))
			r->bad++;
		else
			failed = read_line(r, line);
		json_decref(line);
		if (failed)
			return -1;
	}
	return 0;
}

int runlog_read(struct runlog_run *r, const char *path)
{
	struct stat st;
	char *name = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? folder_name(path, "log.ndjson")
		   : strdup(path);
	char *text;
	size_t n;

	*r = (struct runlog_run){ .network = strdup("") };
	text = name && r->network ? file_read(name, LOG_MAX, &n) : NULL;
	if (!text) {
		if (!name || !r->network)
			fail("out of memory");
		free(name);
		runlog_release(r);
		return -1;
	}
	int failed = read_lines(r, text, n);
	free(text);
	if (!failed && !r->train.points && !r->val.points && r->bad)
		failed = fail("%s: no log of a run", name);
	free(name);
	if (failed)
		runlog_release(r);
	return failed;
}

void runlog_release(struct runlog_run *r)
{
	free(r->network);
	free(r->train.point);
	free(r->val.point);
	*r = (struct runlog_run){ 0 };
}

static const char *const metrics[] = { "loss", "top1", "top5", "lr" };

int runlog_is_metric(const char *name)
{
	for (int i = 0; i < 4; i++)
		if (!strcmp(name, metrics[i]))
			return 1;
	return 0;
}

double runlog_metric(const struct runlog_point *p, const char *name)
{
	const double value[] = { p->loss, p->top1, p->top5, p->lr };

	for (int i = 0; i < 4; i++)
		if (!strcmp(name, metrics[i]))
			return value[i];
	return (double)NAN;
}
