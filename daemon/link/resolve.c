// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "resolve.h"

/* So long a look-up may take. */
#define PATIENCE_NS	(10 * NSEC_PER_SEC)

/* Written to a pipe at once. */
_Static_assert(sizeof(struct resolved) <= PIPE_BUF, "an answer is one piece");

static void look_up(const char *host, struct resolved *a)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *i;

	memset(a, 0, sizeof(*a));
	a->err = getaddrinfo(host, NULL, &hints, &list);
	if (a->err)
		return;
	for (i = list; i && a->nr < RESOLVED_MAX; i = i->ai_next)
		if (i->ai_family == AF_INET || i->ai_family == AF_INET6)
			memcpy(&a->addr[a->nr++], i->ai_addr, i->ai_addrlen);
	freeaddrinfo(list);
	if (!a->nr)
		a->err = EAI_NONAME;
}

/*
 * It must not outlive the daemon, nor keep the daemon's connections and listening sockets
 * open: others would take them for alive.
 */
static void ask(const char *host, int to)
{
	struct resolved a;
	sigset_t none;
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(to, 3) < 0)
		_exit(1);
	close_range(4, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	look_up(host, &a);
	n = write(3, &a, sizeof(a));
	_exit(n == sizeof(a) ? 0 : 1);
}

void resolve_stop(struct resolver *r)
{
	int fd = r->watch.fd;

	if (fd >= 0) {
		loop_unwatch(r->loop, &r->watch);
		close(fd);
	}
	loop_disarm(&r->timer);
	if (!r->pid)
		return;
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
	r->pid = 0;
}

static void answer(struct resolver *r, const struct resolved *a)
{
	resolve_stop(r);
	r->fn(r, a);
}

static void resolve_readable(struct watch *w, u32 events)
{
	struct resolver *r = container_of(w, struct resolver, watch);
	struct resolved a;

	(void)events;
	if (read(w->fd, &a, sizeof(a)) != sizeof(a))
		a = (struct resolved) { .err = EAI_SYSTEM };
	answer(r, &a);
}

static void resolve_late(struct timer *t)
{
	const struct resolved a = { .err = EAI_AGAIN };

	answer(container_of(t, struct resolver, timer), &a);
}

void resolve_init(struct resolver *r, struct loop *l,
		  void (*fn)(struct resolver *r, const struct resolved *a))
{
	*r = (struct resolver) {
		.loop = l, .fn = fn, .watch = { .fd = -1, .fn = resolve_readable },
		.timer.fn = resolve_late,
	};
}

void resolve_start(struct resolver *r, const char *host)
{
	int fds[2];

	if (r->watch.fd >= 0)
		return;
	/* Without a descriptor or a process now: the next attempt asks again. */
	if (pipe2(fds, O_CLOEXEC))
		return;
	r->pid = fork();
	if (!r->pid)
		ask(host, fds[1]);
	close(fds[1]);
	if (r->pid < 0 || loop_watch(r->loop, &r->watch, fds[0], EPOLLIN)) {
		close(fds[0]);
		r->pid = MAX(r->pid, 0);
		resolve_stop(r);
		return;
	}
	loop_arm(r->loop, &r->timer, PATIENCE_NS);
}

bool resolve_reaped(struct resolver *r, pid_t pid)
{
	if (!r->pid || pid != r->pid)
		return false;
	/* What it has written is read all the same. */
	r->pid = 0;
	return true;
}
