#include "train/command.h"

#include "base/fail.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

int command_has_part(const char *text)
{
	return strstr(text, "{part}") != NULL;
}

char *command_fill(const char *text, int part, int parts, uint64_t start)
{
	struct text out = { 0 };

	while (*text) {
		if (!strncmp(text, "{part}", 6)) {
			text_add(&out, "%d", part);
			text += 6;
		} else if (!strncmp(text, "{parts}", 7)) {
			text_add(&out, "%d", parts);
			text += 7;
		} else if (!strncmp(text, "{start}", 7)) {
			text_add(&out, "%" PRIu64, start);
			text += 7;
		} else {
			text_add_bytes(&out, text++, 1);
		}
	}
	return text_take(&out);
}

static int spawn(struct command *c, const char *text, int out)
{
	char *argv[] = { "sh", "-c", (char *)text, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
				 POSIX_SPAWN_SETPGROUP);
	r = posix_spawnp(&c->pid, "sh", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	errno = r;
	return r ? fail_errno("cannot start sh for '%.100s'", text) : 0;
}

int command_start(struct command *c, const char *text)
{
	int fd[2], r;

	*c = (struct command){ 0, -1 };
	if (pipe2(fd, O_CLOEXEC) < 0)
		return fail_errno("pipe");
	pipe_widen(fd[0]);
	r = spawn(c, text, fd[1]);
	close(fd[1]);
	if (r < 0) {
		close(fd[0]);
		c->pid = 0;
		return -1;
	}
	c->fd = fd[0];
	return 0;
}

/* Waits up to about a second: 1 when it has ended. */
static int ended(struct command *c, int *status)
{
	for (int i = 0; i < 100; i++) {
		pid_t r = waitpid(c->pid, status, WNOHANG);

		if (r == c->pid || (r < 0 && errno != EINTR))
			return 1;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return 0;
}

int command_stop(struct command *c)
{
	int status = 0;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (c->pid <= 0)
		return -1;
	if (!ended(c, &status)) {
		kill(-c->pid, SIGTERM);
		if (!ended(c, &status)) {
			kill(-c->pid, SIGKILL);
			while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
				;
		}
	}
	c->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
