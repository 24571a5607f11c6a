/*
 * Threads. oneDNN brings GNU's OpenMP, whose threads wait between regions for the
 * next one: a second runtime beside it (a compiler's own, say) would put two teams
 * on the same cores, each waiting on the other's time. So the team is asked of
 * libgomp itself, through the entry that compilers call, whatever compiler is used.
 */
#include "dev/cpu/cpu.h"

#include <stdatomic.h>

void GOMP_parallel(void (*work)(void *), void *context, unsigned threads, unsigned flags);
void omp_set_num_threads(int);
int omp_get_max_threads(void);
int omp_get_thread_num(void);
int omp_pause_resource_all(int kind);

enum { PAUSE_SOFT = 1 };        /* omp_pause_soft: the threads end, settings stay */

struct job {
	each_work *work;
	void *context;
	size_t count, run;
	atomic_size_t next;
};

/*
 * Runs are taken as they come, so that a thread whose core is lent to another program
 * holds up one run and not half of the step. What one thread wrote is seen by others
 * through `next` alone, the first and the last of the job that a thread looks at: libgomp's
 * own meetings are hidden from the thread sanitizer.
 */
static void take_runs(void *context)
{
	struct job *shared = context;
	size_t i = atomic_load(&shared->next), end;
	const size_t count = shared->count, run = shared->run;
	each_work *work = shared->work;
	void *of = shared->context;

	while ((i = atomic_fetch_add(&shared->next, run)) < count) {
		end = count - i < run ? count : i + run;
		for (; i < end; i++)
			work(of, i);
	}
}

void each(struct device *dev, size_t count, each_work *work, void *context)
{
	struct job job = { .work = work, .context = context, .count = count };

	job.run = count / ((size_t)dev->threads * 16) + 1;
	atomic_store(&job.next, 0);
	if (dev->threads == 1 || count <= 1)
		take_runs(&job);
	else
		GOMP_parallel(take_runs, &job, (unsigned)dev->threads, 0);
	(void)atomic_load(&job.next);
}

int thread_of(void)
{
	return omp_get_thread_num();
}

int threads_set(int threads)
{
	int before = omp_get_max_threads();

	omp_set_num_threads(threads);
	return before;
}

int threads_most(void)
{
	return omp_get_max_threads();
}

void threads_end(void)
{
	omp_pause_resource_all(PAUSE_SOFT);
}
