#include "train/signals.h"

#include "base/fail.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int came;
static sigset_t wanted;

static void *waiter(void *unused)
{
	int signo;

	(void)unused;
	if (sigwait(&wanted, &signo))
		return NULL;
	atomic_store(&came, signo);
	if (!sigwait(&wanted, &signo))
		signals_die(signo);
	return NULL;
}

int signals_begin(void)
{
	static const int asks[] = { SIGTERM, SIGUSR1, SIGINT, SIGHUP };
	pthread_t thread;
	int r;

	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&wanted);
	for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++) {
		struct sigaction old;

		if (!sigaction(asks[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaddset(&wanted, asks[i]);
	}
	pthread_sigmask(SIG_BLOCK, &wanted, NULL);
	r = pthread_create(&thread, NULL, waiter, NULL);
	if (r)
		return fail("cannot start a thread: %s", strerror(r));
	pthread_detach(thread);
	return 0;
}

int signals_came(void)
{
	return atomic_load(&came);
}

void signals_heard(int signo)
{
	int none = 0;

	atomic_compare_exchange_strong(&came, &none, signo);
}

int signals_wait(double seconds)
{
	for (int i = 0; i < (int)(seconds * 50) && !signals_came(); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	return signals_came();
}

_Noreturn void signals_die(int signo)
{
	sigset_t all;

	signal(signo, SIG_DFL);
	sigemptyset(&all);
	sigaddset(&all, signo);
	pthread_sigmask(SIG_UNBLOCK, &all, NULL);
	raise(signo);
	_exit(128 + signo);
}
