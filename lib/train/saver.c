#include "train/saver.h"

#include "base/fail.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct saver {
	struct folder *folder;
	const struct state *state;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	json_t *meta;           /* of the checkpoint being written; NULL: idle */
	int64_t step;
	int ending, result;     /* result: as saver_wait() gives it */
	char why[FAIL_MAX];
};

static void *write_them(void *context)
{
	struct saver *s = context;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->meta && !s->ending)
			pthread_cond_wait(&s->changed, &s->lock);
		if (!s->meta)
			break;
		pthread_mutex_unlock(&s->lock);
		int r = folder_save(s->folder, s->state, s->meta, s->step);
		pthread_mutex_lock(&s->lock);
		s->result = r < 0 ? -1 : 1;
		if (r < 0)
			snprintf(s->why, sizeof(s->why), "%s", fail_why());
		json_decref(s->meta);
		s->meta = NULL;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

struct saver *saver_open(struct folder *folder, const struct state *state)
{
	struct saver *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		fail("out of memory");
		return NULL;
	}
	s->folder = folder;
	s->state = state;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	r = pthread_create(&s->thread, NULL, write_them, s);
	if (r) {
		fail("cannot start a thread: %s", strerror(r));
		free(s);
		return NULL;
	}
	return s;
}

void saver_begin(struct saver *s, json_t *meta, int64_t step)
{
	pthread_mutex_lock(&s->lock);
	assert(!s->meta);
	s->meta = meta;
	s->step = step;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

int saver_idle(struct saver *s)
{
	pthread_mutex_lock(&s->lock);
	int idle = !s->meta;
	pthread_mutex_unlock(&s->lock);
	return idle;
}

int saver_wait(struct saver *s, int64_t *step)
{
	pthread_mutex_lock(&s->lock);
	while (s->meta)
		pthread_cond_wait(&s->changed, &s->lock);
	int r = s->result;
	s->result = 0;
	*step = s->step;
	if (r < 0)
		fail("%s", s->why);
	pthread_mutex_unlock(&s->lock);
	return r;
}

void saver_close(struct saver *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->ending = 1;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
