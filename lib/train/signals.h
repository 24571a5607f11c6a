/*
 * Signals that ask a run to stop: SIGTERM, SIGINT, SIGHUP; SIGUSR1 is another SIGTERM,
 * which mpirun passes on to all that it started, and batch systems send before the time is
 * over. The first one is kept for who looks between steps; the second one ends the process
 * at once, by its default action. Signals ignored when the program started (nohup) stay
 * ignored. SIGXFSZ is ignored, so that a file that may not grow is a failed write and not a
 * death.
 */
#ifndef TRAIN_SIGNALS_H
#define TRAIN_SIGNALS_H

/* Starts the thread that waits for them. Call before any other thread is started: they
 * take over its mask. 0 or -1. */
int signals_begin(void);

/* The first signal that came, or 0. */
int signals_came(void);

/* As if it had come: another rank was asked to stop by it. */
void signals_heard(int signal);

/* Waits up to seconds for one: as signals_came(). */
int signals_wait(double seconds);

/* Dies of that signal, so that a shell script that called the program stops too. */
_Noreturn void signals_die(int signal);

#endif
