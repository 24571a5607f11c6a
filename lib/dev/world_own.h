/* The inside of a world: world.c keeps it alive, exchange.c moves data. */
#ifndef DEV_WORLD_OWN_H
#define DEV_WORLD_OWN_H

#include "base/fail.h"
#include "dev/transport.h"
#include "dev/world.h"

#include <pthread.h>

enum { WORLD_HOST = 64, WORLD_WHY = 1000, TAG_BEAT = 1, TAG_CALLS = 8 /* and behind it */ };

/* "I live", and what there is to tell. */
struct beat {
	int32_t signal;         /* asked to stop by it */
	int32_t ends;           /* has come to world_close() */
	int32_t left;           /* says no more; of rank 0: all have come there */
	int32_t status;         /* broken: the exit status; 0: whole */
	char why[WORLD_WHY];
};

/* A rank that beats are exchanged with: of rank 0 all others, of the others rank 0. */
struct peer {
	struct beat in, out;
	struct transfer receiving, sending;
	int on_way;             /* out is */
	unsigned told;          /* the version that out had */
	double heard, sent;
	double ended;           /* when it said so; 0: it has not */
	int left, lost;         /* says no more; was not heard of for too long */
};

struct world {
	const struct transport *transport;
	struct world_options options;
	int rank, ranks, local, locals;
	char (*host)[WORLD_HOST];       /* of each rank */
	char (*name)[WORLD_HOST + 32];  /* world_name() */
	pthread_t thread;
	int running;
	/* under the lock, which is held for every call of the transport too */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct peer *peer;              /* of each rank; only those above are in use */
	unsigned version;               /* of what there is to tell */
	int signal, leaving;
	int ending;                     /* the thread's end */
	int status;                     /* not 0: broken */
	char why[WORLD_WHY];
	/* what world_sum() receives, by call */
	float *room[WORLD_CALLS];
	size_t numbers[WORLD_CALLS];
};

/* Waits until all have arrived: 0, or -1 where the world broke. */
int world_wait(struct world *, struct transfer *, int count);

/* With the lock held, while an act waits: breaks the world where another rank has ended,
 * so that what is waited for will not come. */
void world_look_for_ended(struct world *);

/* With the lock held: breaks it for a reason that names the rank. */
void world_broken(struct world *, int status, const char *why);

#endif
