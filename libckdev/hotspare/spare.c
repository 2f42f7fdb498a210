// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: being the spare: checkpoints are taken in until the master has failed.
 *
 * One thread reads them. Another one asks the detection function, which may take its time;
 * when that says that the master is dead it shuts all connections, so that the first one
 * doesn't wait for the rest of a checkpoint that won't come.
 *
 * Without a function the connection that says that the master lives decides. The kernel takes
 * the whole timeout until it gives up one to a host that is gone. If there is a cptdevd here
 * that has heard the other host's heartbeat, and hears it no more, and nothing has come by
 * that connection either, a helper gives it up. Neither is enough alone: a cptdevd may die
 * as well as the host it is on, and a silence may be shorter than the timeout.
 *
 * The helper is a process with our descriptors. A thread's stack, and the heap that it gets,
 * would stay where the master has its memory.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "heartbeat.h"
#include "hotspare.h"
#include "net.h"
#include "spare.h"

#define MASTERS_MAX	64
#define DETECT_MS	200
/* A host that lives is heard once a second (hs_be_patient()). */
#define SILENT_MS	2000

static int (*detect)(void *arg);
static void *detect_arg;

void hs_det_reg(int (*detfunc)(void *), void *funcarg)
{
	detect = detfunc;
	detect_arg = funcarg;
}

struct waiting {
	struct hs_spare *s;
	/* slot 0 is the listener */
	struct pollfd p[1 + MASTERS_MAX];
	char what_for[1 + MASTERS_MAX];	/* HS_FOR_*, 0: not known yet */
	int nr;
	bool lived;			/* there was a connection that says that it lives */
	bool bye;			/* it has said that it ends */
	pthread_mutex_t lock;		/* of the above, between both */
	pthread_cond_t ends;		/* thread or helper shall, */
	atomic_bool over;		/* which this says */
	atomic_bool dead;		/* the detection function says so */
};

static void tell(const char *fmt, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), fmt, what);
	hs_say("libhotspare: %s", text);
}

/*
 * The detection thread
 */

static void shut_all(struct waiting *w)
{
	int i;

	pthread_mutex_lock(&w->lock);
	for (i = 0; i < w->nr; i++)
		shutdown(w->p[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&w->lock);
}

/* Until it is time to ask again. Returns false at the end. */
static bool rest(struct waiting *w)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += DETECT_MS * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_mutex_lock(&w->lock);
	if (!w->over)
		pthread_cond_clockwait(&w->ends, &w->lock, CLOCK_MONOTONIC, &t);
	pthread_mutex_unlock(&w->lock);
	return !w->over;
}

static void *ask_function(void *arg)
{
	struct waiting *w = arg;

	do {
		if (detect(detect_arg)) {
			w->dead = true;
			shut_all(w);
			break;
		}
	} while (rest(w));
	return NULL;
}

/* When the master's kernel was last heard by a connection that says that the master lives. */
static int64_t last_heard(struct waiting *w, int64_t now)
{
	int64_t last = 0;
	struct tcp_info info;
	socklen_t len;
	int i;

	pthread_mutex_lock(&w->lock);
	for (i = 1; i < w->nr; i++) {
		len = sizeof(info);
		if (w->what_for[i] != HS_FOR_LIFE ||
		    getsockopt(w->p[i].fd, IPPROTO_TCP, TCP_INFO, &info, &len))
			continue;
		if (now - info.tcpi_last_ack_recv > last)
			last = now - info.tcpi_last_ack_recv;
	}
	pthread_mutex_unlock(&w->lock);
	return last;
}

/* What cptdevd says of the other host. */
struct witness {
	bool told;
	bool heard;			/* that it is alive: only then it can be found dead */
	int64_t dead;			/* since when it is; 0: it isn't */
};

/* How the spare will notice, at the beginning and whenever that changes. */
static void tell_how(struct witness *t, enum hs_heartbeat state, const struct hs_error *e)
{
	bool heard = state == HS_HEARTBEAT_ALIVE;

	if (t->told && (t->heard == heard || state == HS_HEARTBEAT_DEAD))
		return;
	if (heard)
		tell("whether the master lives is told by %s", "its connection, and by cptdevd");
	else
		tell("whether the master lives is told by its connection alone: %s",
		     state == HS_HEARTBEAT_DEAD ? "cptdevd has lost the other host before" :
		     e->text);
	t->told = true;
}

/* Is the host gone, as far as two can know that? */
static bool gone(struct waiting *w, struct witness *t, enum hs_heartbeat state)
{
	int64_t now = hs_now_ms(), last = last_heard(w, now);

	if (state != HS_HEARTBEAT_DEAD) {
		t->heard = state == HS_HEARTBEAT_ALIVE;
		t->dead = 0;
		return false;
	}
	if (!t->heard)
		return false;
	t->dead = t->dead ?: now;
	if (last > t->dead) {
		tell("cptdevd takes the other host for dead, but %s",
		     "the master's connection is alive: it counts");
		t->heard = false;
	}
	return t->heard && last && now - last >= SILENT_MS;
}

/* It isn't ours to say that the master is dead, but that there is no connection. */
static void ask_daemon(struct waiting *w)
{
	const char *path = detect && detect_arg ? detect_arg : HS_CONTROL;
	enum hs_heartbeat state;
	struct witness t = { 0 };
	struct hs_error e;

	do {
		state = hs_heartbeat_ask(path, &w->over, &e);
		if (w->over)
			break;
		tell_how(&t, state, &e);
		if (gone(w, &t, state)) {
			tell("the master's host is gone, %s", "says cptdevd");
			shut_all(w);
			t.heard = false;
		}
	} while (rest(w));
}

/* With our descriptors, and with memory of its own but for @w. Returns its pid, or -1. */
static pid_t start_helper(struct waiting *w)
{
	pid_t us = getpid(), pid = (pid_t)syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, 0);

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == us)
		ask_daemon(w);
	_exit(0);
}

/*
 * Connections
 */

/* The port doesn't matter; IPv4 may come in as IPv6. */
static bool same_host(const struct sockaddr *a, const struct sockaddr *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->sa_family == AF_INET6 && b->sa_family == AF_INET)
		return same_host(b, a);
	if (a->sa_family == AF_INET && b->sa_family == AF_INET6)
		return IN6_IS_ADDR_V4MAPPED(&b6->sin6_addr) &&
			!memcmp(&b6->sin6_addr.s6_addr[12], &a4->sin_addr, 4);
	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return !memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr));
}

static void fill_answer(const struct hs_mirror *m, struct hs_answer *a)
{
	memset(a, 0, sizeof(*a));
	if (m->fd < 0)
		return;
	a->generation = m->head.generation;
	memcpy(a->run, m->head.run, sizeof(a->run));
}

static void accept_one(struct waiting *w)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int fd = accept4(w->p[0].fd, (struct sockaddr *)&addr, &len, SOCK_CLOEXEC);
	struct hs_answer a;
	char text[96];

	if (fd < 0)
		return;
	hs_addr_text((struct sockaddr *)&addr, len, text, sizeof(text));
	fill_answer(&w->s->mirror, &a);
	if (w->s->from && !same_host(w->s->from, (struct sockaddr *)&addr)) {
		tell("a connection from %s is refused: -a says from where they are taken", text);
		close(fd);
		return;
	}
	hs_be_patient(fd);
	if (w->nr > MASTERS_MAX || hs_send_answer(fd, &a)) {
		close(fd);
		return;
	}
	pthread_mutex_lock(&w->lock);
	w->what_for[w->nr] = 0;
	w->p[w->nr++] = (struct pollfd) { .fd = fd, .events = POLLIN };
	pthread_mutex_unlock(&w->lock);
}

static void drop(struct waiting *w, int i)
{
	pthread_mutex_lock(&w->lock);
	close(w->p[i].fd);
	w->p[i] = w->p[--w->nr];
	w->what_for[i] = w->what_for[w->nr];
	pthread_mutex_unlock(&w->lock);
}

/* The next byte: what the connection is for, or that the master ends. 0: it is closed. */
static char get_byte(int fd)
{
	ssize_t n;
	char c;

	do
		n = recv(fd, &c, 1, 0);
	while (n < 0 && errno == EINTR);
	return n == 1 ? c : 0;
}

/* Has it been closed between two checkpoints? */
static bool at_end(int fd)
{
	ssize_t n;
	char c;

	do
		n = recv(fd, &c, 1, MSG_PEEK);
	while (n < 0 && errno == EINTR);
	return n <= 0;
}

/* Better now than when the master has died. Once, until it is something else. */
static void tell_missing(struct hs_spare *s)
{
	const struct hs_state *state = &s->mirror.state;
	struct hs_error e = { "" };

	if (!hs_process_missing(&state->process, &e))
		hs_fds_missing(&state->fds, &e);
	if (strcmp(e.text, s->missing.text) && e.text[0])
		tell("to go on here the program would miss this: %s", e.text);
	s->missing = e;
}

/* A checkpoint, whole or not. The connection is of use if its end was found. */
static void take_in(struct waiting *w, int i)
{
	struct hs_mirror *m = &w->s->mirror;
	struct hs_error e = { "" };
	struct hs_answer a;
	int fd = w->p[i].fd, took;
	uint32_t err = 0;

	if (at_end(fd)) {
		drop(w, i);
		return;
	}
	took = hs_mirror_read(m, fd, &e);
	if (took < 0)
		err = (uint32_t)(errno ?: EIO);
	fill_answer(m, &a);
	a.err = err;
	snprintf(a.text, sizeof(a.text), "%s", e.text);
	if (err && !w->dead)
		tell("a checkpoint is refused: %s", e.text);
	if (hs_send_answer(fd, &a) || !m->whole_read)
		drop(w, i);
	if (took == HS_TOOK)
		tell_missing(w->s);
}

static void serve(struct waiting *w, int i)
{
	char c;

	if (w->what_for[i] == HS_FOR_DATA) {
		take_in(w, i);
		return;
	}
	c = get_byte(w->p[i].fd);
	if (!w->what_for[i] && (c == HS_FOR_DATA || c == HS_FOR_LIFE)) {
		pthread_mutex_lock(&w->lock);
		w->what_for[i] = c;
		pthread_mutex_unlock(&w->lock);
		w->lived |= c == HS_FOR_LIFE;
		return;
	}
	w->bye |= w->what_for[i] == HS_FOR_LIFE && c == HS_BYE;
	drop(w, i);
}

/*
 * The kernel notices when the other end is gone, host or process. What the master has sent
 * before that is still on its way.
 */
static bool connected(const struct waiting *w)
{
	int i;

	for (i = 1; i < w->nr; i++)
		if (w->what_for[i])
			return true;
	return false;
}

/* Each connection that has something. The last ones first: drop() moves the last one. */
static void serve_all(struct waiting *w)
{
	int i;

	for (i = w->nr - 1; i > 0; i--)
		if (w->p[i].revents)
			serve(w, i);
	if (w->p[0].revents & POLLIN)
		accept_one(w);
}

/* By the program. What cptdevd says isn't asked alone. */
static bool has_function(void)
{
	return detect && detect != hs_det_daemon;
}

/* Until the master is dead: that's for the function to say, or if there is none for us. */
static int wait_for_death(struct waiting *w, struct hs_error *e)
{
	while (!w->dead) {
		if (poll(w->p, (nfds_t)w->nr, DETECT_MS) < 0) {
			if (errno != EINTR)
				return hs_fail(e, errno, "poll: %s", strerror(errno));
			continue;
		}
		serve_all(w);
		if (w->bye)
			return hs_fail(e, ECANCELED, "the master has ended");
		w->dead |= !has_function() && w->lived && !connected(w) && w->s->mirror.fd >= 0;
	}
	if (w->s->mirror.fd < 0)
		return hs_fail(e, ENODATA, "the master is dead, and has never sent a checkpoint");
	return 0;
}

/* Shared with the helper. */
static struct waiting *make_waiting(struct hs_spare *s)
{
	struct waiting *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t lock;
	pthread_condattr_t ends;

	if (w == MAP_FAILED)
		return NULL;
	w->s = s;
	w->nr = 1;
	w->p[0] = (struct pollfd) { .fd = s->listener, .events = POLLIN };
	pthread_mutexattr_init(&lock);
	pthread_mutexattr_setpshared(&lock, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&w->lock, &lock);
	pthread_condattr_init(&ends);
	pthread_condattr_setpshared(&ends, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&w->ends, &ends);
	return w;
}

static void end(struct waiting *w)
{
	pthread_mutex_lock(&w->lock);
	w->over = true;
	pthread_cond_signal(&w->ends);
	pthread_mutex_unlock(&w->lock);
}

static int wait_with_function(struct waiting *w, struct hs_error *e)
{
	pthread_t thread;
	int ret = pthread_create(&thread, NULL, ask_function, w), err;

	if (ret)
		return hs_fail(e, ret, "no thread for the detection function");
	tell("whether the master lives is told by %s", "the program's function");
	ret = wait_for_death(w, e);
	err = errno;
	end(w);
	pthread_join(thread, NULL);
	errno = err;
	return ret;
}

static int wait_with_helper(struct waiting *w, struct hs_error *e)
{
	pid_t pid = start_helper(w);
	int ret, err;

	if (pid < 0)
		return hs_fail(e, errno, "no process that asks cptdevd: %s", strerror(errno));
	ret = wait_for_death(w, e);
	err = errno;
	end(w);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	errno = err;
	return ret;
}

/* Returns 0 when it is time to take over, or -1 with errno and @e. */
int hs_spare_wait(struct hs_spare *s, struct hs_error *e)
{
	struct waiting *w = make_waiting(s);
	int ret, err;

	if (!w)
		return hs_fail(e, errno, "no memory: %s", strerror(errno));
	ret = has_function() ? wait_with_function(w, e) : wait_with_helper(w, e);
	err = errno;
	while (w->nr)
		close(w->p[--w->nr].fd);
	munmap(w, sizeof(*w));
	errno = err;
	return ret;
}
