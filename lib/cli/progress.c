#include "cli/progress.h"

#include "base/io.h"
#include "cli/die.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* A line is on the screen: whoever prints a message takes it away first. */
static volatile int line_shown;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_begin(struct progress *p, int wanted, const char *unit, uint64_t first,
		    uint64_t total)
{
	*p = (struct progress){ .unit = unit, .total = total, .first = first };
	p->on = wanted > 0 || (wanted == 0 && isatty(STDERR_FILENO));
	p->began = now();
	p->shown = p->began - 1;
}

void progress_show(struct progress *p, uint64_t done, const char *extra)
{
	char line[256];
	size_t n = 0;

	if (!p->on)
		return;

	double t = now(), spent = t - p->began;

	if (t - p->shown < 0.1)
		return;
	p->shown = t;

	double rate = spent > 0 && done > p->first ? (double)(done - p->first) / spent : 0;

	n = (size_t)snprintf(line, sizeof(line), "\r\033[K%s: %" PRIu64, die_program(), done);
	if (p->total)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " of %" PRIu64, p->total);
	n += (size_t)snprintf(line + n, sizeof(line) - n, " %s, %.*f/s", p->unit,
			      rate < 100 ? 1 : 0, rate);
	if (rate > 0 && p->total > done) {
		uint64_t left = (uint64_t)((double)(p->total - done) / rate);

		n += (size_t)snprintf(line + n, sizeof(line) - n,
				      ", %" PRIu64 ":%02d:%02d left", left / 3600,
				      (int)(left / 60 % 60), (int)(left % 60));
	}
	if (extra && n < sizeof(line))
		n += (size_t)snprintf(line + n, sizeof(line) - n, ", %s", extra);
	if (n >= sizeof(line))
		n = sizeof(line) - 1;
	line_shown = 1;
	(void)!write_full(STDERR_FILENO, line, n);
}

void progress_hide(void)
{
	if (!line_shown)
		return;
	line_shown = 0;
	(void)!write_full(STDERR_FILENO, "\r\033[K", 4);
}

void progress_end(struct progress *p)
{
	p->on = 0;
	progress_hide();
}
