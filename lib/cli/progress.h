/* A line on stderr that is written over: rate, position, time left. Shown only if
 * stderr is a terminal, or wanted by --progress. At most ten times a second. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdint.h>

struct progress {
	int on;
	const char *unit;       /* "images" */
	uint64_t total;         /* 0: not known */
	double began, shown;
	uint64_t first;
};

/* wanted: 1 always (--progress), 0 if stderr is a terminal, -1 never (-q). */
void progress_begin(struct progress *, int wanted, const char *unit, uint64_t first,
		    uint64_t total);
/* extra: further words for the line, or NULL. */
void progress_show(struct progress *, uint64_t done, const char *extra);
/* Clears the line, so that messages stand alone. */
void progress_end(struct progress *);
/* Takes the line away until the next progress_show(); messages call it. */
void progress_hide(void);

#endif
