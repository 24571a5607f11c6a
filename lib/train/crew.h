/*
 * Threads that act at the same time, one for each device: a device is called from its
 * own thread only.
 */
#ifndef TRAIN_CREW_H
#define TRAIN_CREW_H

struct crew;

/* What member number rank does: 0, or -1 with a reason. */
typedef int crew_act(void *context, int rank);

/* watch is asked every second while the members are at work: -1, with a reason, ends it as a
 * member's failure does. NULL: nothing is asked. NULL: reason. */
typedef int crew_watch(void *context);
struct crew *crew_open(int count, crew_watch *watch, void *context);

/* All do it at once: 0, or -1 with the reason of the first that failed, as soon as it
 * did (the others may be waiting for it for ever; the crew is then of no more use). */
int crew_do(struct crew *, crew_act *, void *context);

/* Ends the threads; those of a broken crew are left behind. NULL: nothing. */
void crew_close(struct crew *);

#endif
