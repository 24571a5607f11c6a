/*
 * What carries messages between the processes of a run: a table of functions, which the
 * plug-in millrace-mpi.so gives. Only world.c calls them, one at a time, and none waits.
 */
#ifndef DEV_TRANSPORT_H
#define DEV_TRANSPORT_H

#include <stddef.h>

enum { TRANSPORT_ABI = 1 };

/* A message on its way; its memory belongs to the transport until it has arrived. */
struct transfer {
	unsigned char own[16];  /* the transport's */
	int arrived;            /* test() gave 1 */
};

struct transport {
	int abi;                /* TRANSPORT_ABI */
	/* Once, at the start. rank of ranks; local of locals: among those on this machine.
	 * 0 or -1. */
	int (*start)(int *rank, int *ranks, int *local, int *locals);
	/* Messages between two ranks with the same tag arrive in the order of sending. 0 or -1. */
	int (*send)(struct transfer *, int to, int tag, const void *, size_t);
	int (*receive)(struct transfer *, int from, int tag, void *, size_t);
	/* 1: it has arrived; 0: not yet; -1. */
	int (*test)(struct transfer *);
	/* At the end, when all ranks have come to it. */
	void (*finish)(void);
	/* When they have not: ends all ranks. */
	void (*abandon)(int status);
};

/* The plug-in's one symbol. */
const struct transport *millrace_transport(void);

#endif
