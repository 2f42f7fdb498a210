// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Running the fence command. The loop goes on meanwhile; rules/takeover.c says what follows from
 * its result. A result counts for the death of the peer that the command was started for: whoever
 * was heard since is not off, or was switched on again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "daemon.h"
#include "log.h"

/* So much of its output is logged. */
#define LINES_MAX	40U

extern char **environ;

static struct peer *peer_of(struct fence_command *f)
{
	return container_of(f, struct peer, fence);
}

static void log_line(struct fence_command *f)
{
	size_t i;

	f->line[f->len] = '\0';
	for (i = 0; i < f->len; i++)
		if ((unsigned char)f->line[i] < ' ' || f->line[i] == 0x7f)
			f->line[i] = ' ';
	if (f->len && f->lines++ < LINES_MAX)
		log_info("fence command (pid %d): %s", f->pid, f->line);
	f->len = 0;
}

static void stop_reading(struct fence_command *f)
{
	int fd = f->output.fd;

	if (fd < 0)
		return;
	loop_unwatch(&peer_of(f)->d->loop, &f->output);
	close(fd);
	log_line(f);
}

static void read_output(struct watch *w, u32 events)
{
	struct fence_command *f = container_of(w, struct fence_command, output);
	char buf[1024];
	ssize_t n = read(w->fd, buf, sizeof(buf)), i;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (i = 0; i < n; i++) {
		if (buf[i] != '\n' && f->len < sizeof(f->line) - 1)
			f->line[f->len++] = buf[i];
		if (buf[i] == '\n' || f->len == sizeof(f->line) - 1)
			log_line(f);
	}
	if (n <= 0)
		stop_reading(f);
}

static void over_time(struct timer *t)
{
	struct fence_command *f = container_of(t, struct fence_command, limit);

	f->late = true;
	command_kill(f->pid);
}

/* The names of the variables are in cptdevd.conf(5). */
static int start(struct peer *p, const char *names, int *out)
{
	char line[sizeof(p->d->conf.fence_command)], *argv[COMMAND_WORDS + 1];
	char peer[CPTDEV_NAME_MAX + 24], node[CPTDEV_NAME_MAX + 24], *sessions;
	char *envp[512] = { peer, node };
	u32 n = 3, i;
	int ret;

	snprintf(peer, sizeof(peer), "CPTDEV_PEER=%s", p->node.name);
	snprintf(node, sizeof(node), "CPTDEV_NODE=%s", p->d->self.name);
	if (asprintf(&sessions, "CPTDEV_SESSIONS=%s", names) < 0)
		return -ENOMEM;
	envp[2] = sessions;
	for (i = 0; environ[i] && n < ARRAY_SIZE(envp) - 1; i++)
		envp[n++] = environ[i];
	strcpy(line, p->d->conf.fence_command);
	ret = command_split(line, argv) ? command_start(argv, envp, &p->fence.pid, out) : -ENOENT;
	free(sessions);
	return ret;
}

static void failed(struct peer *p, const char *why)
{
	struct fence_command *f = &p->fence;
	u64 now = clock_mono(), wait = p->lent_until > now ? p->lent_until - now : 0;

	f->state = FENCING_FAILED;
	snprintf(f->error, sizeof(f->error), "%s", why);
	log_err("fence command for peer %s: %s: the peer's host may be alive; its replicas are promoted when the last lease ends, in %llu ms",
		p->node.name, why, wait / NSEC_PER_MSEC);
	news_peer(p, "fence-failed");
}

void fence_command_run(struct peer *p, const char *names)
{
	struct fence_command *f = &p->fence;
	char why[160];
	int out = -1, ret;

	f->lines = f->len = 0;
	f->late = f->stale = false;
	f->error[0] = '\0';
	f->began = clock_mono();
	ret = start(p, names, &out);
	if (ret) {
		f->pid = 0;
		snprintf(why, sizeof(why), "can't be run: %s", strerror(-ret));
		failed(p, why);
		return;
	}
	f->state = FENCING_RUNS;
	if (out >= 0 && loop_watch(&p->d->loop, &f->output, out, EPOLLIN))
		close(out);
	loop_arm(&p->d->loop, &f->limit, p->d->conf.fence_timeout_ms * NSEC_PER_MSEC);
	log_notice("running the fence command for peer %s, before the promotion of: %s (pid %d)",
		   p->node.name, names, f->pid);
	news_peer(p, "fence-run");
}

static void reason(const struct fence_command *f, int status, char *why, size_t size, u32 limit)
{
	if (f->late)
		snprintf(why, size, "it took longer than %u ms and was killed", limit);
	else if (WIFEXITED(status))
		snprintf(why, size, "it failed with exit status %d", WEXITSTATUS(status));
	else
		snprintf(why, size, "it was killed by signal %d", WTERMSIG(status));
}

static void ended(struct peer *p, int status)
{
	struct fence_command *f = &p->fence;
	char why[160];

	if (f->stale) {
		log_notice("fence command for peer %s: the peer was heard since the command was started: its result isn't used",
			   p->node.name);
		f->state = FENCING_DUE;
	} else if (!f->late && WIFEXITED(status) && !WEXITSTATUS(status)) {
		f->state = FENCING_OFF;
		/* Nobody is left who relies on it. */
		p->lent_until = 0;
		log_notice("fence command for peer %s: the peer's host is off, after %llu ms",
			   p->node.name, (clock_mono() - f->began) / NSEC_PER_MSEC);
		news_peer(p, "fence-done");
	} else {
		reason(f, status, why, sizeof(why), p->d->conf.fence_timeout_ms);
		failed(p, why);
	}
}

bool fence_command_reaped(struct peer *p, pid_t pid, int status)
{
	struct fence_command *f = &p->fence;
	u32 i;

	if (!f->pid || pid != f->pid)
		return false;
	loop_disarm(&f->limit);
	/* What it left behind, and what it wrote last. */
	command_kill(pid);
	for (i = 0; i < LINES_MAX && f->output.fd >= 0; i++)
		read_output(&f->output, EPOLLIN);
	stop_reading(f);
	f->pid = 0;
	ended(p, status);
	p->looked_at = 0;
	failover_look_again(p);
	return true;
}

void fence_command_dead(struct peer *p)
{
	struct fence_command *f = &p->fence;

	f->error[0] = '\0';
	f->stale = f->pid;
	if (!f->pid)
		f->state = *p->d->conf.fence_command ? FENCING_DUE : FENCING_NONE;
}

void fence_command_init(struct peer *p)
{
	p->fence = (struct fence_command) {
		.output = { .fd = -1, .fn = read_output }, .limit.fn = over_time,
	};
}

void fence_command_close(struct peer *p)
{
	struct fence_command *f = &p->fence;

	stop_reading(f);
	loop_disarm(&f->limit);
	if (!f->pid)
		return;
	command_kill(f->pid);
	waitpid(f->pid, NULL, 0);
	f->pid = 0;
}
