/*
 * A bounded pool of threads that gives results in the order of the jobs. The
 * caller owns the jobs: a job is a pointer that comes back from pool_take() after
 * the work was done on it in place. One thread calls the functions, or one that
 * puts and one that takes.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

struct pool;

/* Done on a job by one of the pool's threads (0 .. threads-1): 0, or -1 with a
 * reason, which pool_take() hands on when that job's turn comes. */
typedef int pool_work(void *context, int thread, void *job);

/* threads >= 1; at most depth jobs are inside (put and not yet taken). NULL: reason. */
struct pool *pool_open(int threads, int depth, pool_work *, void *context);

/* Hands in a job; waits while depth jobs are inside. 0 or -1 (stopped). */
int pool_put(struct pool *, void *job);

/* No more jobs will come. */
void pool_end(struct pool *);

/* The next job in order, done: 1; 0 when all were taken after pool_end(); -1 where
 * its work failed: *job is set all the same, and the reason is this thread's. */
int pool_take(struct pool *, void **job);

/* Jobs inside: put and not yet taken. */
int pool_inside(struct pool *);

/* Ends the threads, dropping jobs not begun. NULL: nothing. */
void pool_free(struct pool *);

#endif
