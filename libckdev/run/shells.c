// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the processes of a program are made, see shells.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family.h"
#include "fds.h"
#include "shells.h"
#include "sockets.h"

/* A process of the program, whether it has ended or not. */
struct role {
	pid_t pid, parent, session, group;
	bool before;			/* it is made before its parent begins a session */
	const struct run_zombie *zombie;
};

static struct role role_of(const struct run_shells *sh, uint32_t i)
{
	const struct run_state *s = sh->state;
	struct role r = { .before = false };

	if (i > s->nr_others) {
		const struct run_zombie *z = &s->zombies[i - s->nr_others - 1];

		r = (struct role) { z->pid, z->parent, z->session, z->group, false, z };
		run_family_fits_zombie(s, z, &r.before);
	} else {
		const struct run_process *p = &run_state_of(sh->state, i)->process;

		r = (struct role) { p->pid, p->parent, p->session, p->group, false, NULL };
		if (i)
			run_family_fits(s, i - 1, &r.before);
		/*
		 * Older checkpoints have no numbers, and those of a process that ran already (--pid) have
		 * numbers that mean nothing here.
		 */
		r.session = p->leads_session ? p->pid : p->session;
		r.group = p->leads_group ? p->pid : run_family_leads(s, p->group) ? p->group : 0;
	}
	return r;
}

static int report(int gate, struct hs_error *e)
{
	const struct run_ready r = { .gate = gate };
	char byte;

	if (send(gate, &r, sizeof(r), MSG_NOSIGNAL) == sizeof(r) && recv(gate, &byte, 1, 0) == 1)
		return 0;
	return hs_fail(e, EPIPE, "cptdev-run has ended");
}

/*
 * Forking
 */

static bool is_below(const struct run_shells *sh, uint32_t i, uint32_t top)
{
	int at = (int)i;

	while (at > 0 && at != (int)top)
		at = run_family_parent(sh->state, role_of(sh, (uint32_t)at).parent);
	return at == (int)top;
}

/* Whoever has an end of a socket keeps the tracer from seeing that a shell has ended. */
static void close_gates(const struct run_shells *sh, uint32_t top, bool below)
{
	uint32_t i;

	for (i = 1; i < run_shells_nr(sh->state); i++) {
		close(sh->gate[i - 1][0]);
		if (is_below(sh, i, top) == below && (!below || i != top))
			close(sh->gate[i - 1][1]);
	}
}

static pid_t fork_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void run_child(struct run_shells *sh, uint32_t i);

static int make_children(struct run_shells *sh, uint32_t i, bool before, struct hs_error *e)
{
	const pid_t own = role_of(sh, i).pid;
	uint32_t k;
	pid_t pid;

	for (k = 1; k < run_shells_nr(sh->state); k++) {
		const struct role r = role_of(sh, k);

		if (r.parent != own || r.before != before)
			continue;
		pid = fork_as(r.pid);
		if (!pid)
			run_child(sh, k);
		if (pid < 0)
			return hs_fail(e, errno, "a process with the number %d: %s", r.pid, strerror(errno));
	}
	return 0;
}

/* Then all are there, and groups can be joined. */
static int find_family(struct run_shells *sh, uint32_t i, int gate, struct hs_error *e)
{
	const struct role r = role_of(sh, i);

	if (make_children(sh, i, true, e))
		return -1;
	if (r.session == r.pid && setsid() < 0)
		return hs_fail(e, errno, "a session: %s", strerror(errno));
	if (make_children(sh, i, false, e))
		return -1;
	close_gates(sh, i, true);
	if (r.group == r.pid && r.session != r.pid && setpgid(0, 0))
		return hs_fail(e, errno, "a process group: %s", strerror(errno));
	if (report(gate, e))
		return -1;
	if (r.group && r.group != getpgrp() && setpgid(0, r.group))
		return hs_fail(e, errno, "the process group %d: %s", r.group, strerror(errno));
	return 0;
}

/*
 * What a shell can do by itself
 */

static int set_place(const struct run_process *p, struct hs_error *e)
{
	umask(p->umask);
	if (chdir(p->directory))
		return hs_fail(e, errno, "directory %s: %s", p->directory, strerror(errno));
	return 0;
}

static int set_descriptors(struct run_shells *sh, uint32_t i, int gate, struct hs_error *e)
{
	struct run_state *s = run_state_of(sh->state, i);

	/* Also those that only other processes have, which it closes then. */
	if (!i)
		run_tcp_go_on(&s->fds.list);
	if (run_fds_place(&s->fds, &sh->state->fds, sh->own, sh->above, gate, e))
		return -1;
	signal(SIGTTOU, SIG_DFL);
	if (s->process.no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return hs_fail(e, errno, "no_new_privs: %s", strerror(errno));
	return 0;
}

/* Connections are there; the tracer sees to the addresses, and says when we may go on. */
static int become_first(struct run_shells *sh, int gate, struct hs_error *e)
{
	struct run_state *s = sh->state;
	int sig;

	for (sig = 1; sig <= RUN_SIGNALS; sig++)
		signal(sig, sig == SIGTTOU ? SIG_IGN : SIG_DFL);
	if (set_place(&s->process, e) || run_fds_prepare(&s->fds, e) || report(gate, e) ||
	    run_fds_make(&s->fds, sh->own, sh->above, e) || find_family(sh, 0, gate, e))
		return -1;
	return set_descriptors(sh, 0, gate, e);
}

static int become(struct run_shells *sh, uint32_t i, int gate, struct hs_error *e)
{
	if (find_family(sh, i, gate, e) || set_place(&run_state_of(sh->state, i)->process, e))
		return -1;
	return set_descriptors(sh, i, gate, e);
}

static void say(int gate, int err, const struct hs_error *why)
{
	struct run_ready r = { .err = err, .gate = gate };

	if (err)
		r.why = *why;
	send(gate, &r, sizeof(r), MSG_NOSIGNAL);
}

/* From here on by the tracer's hand. */
static void stay(int gate)
{
	char byte;

	while (recv(gate, &byte, 1, 0) > 0)
		;
}

/* As the process of the program has ended, so that its parent learns the same from wait(2). */
static void end_as(int status)
{
	const struct rlimit none = { 0, 0 };
	sigset_t all;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	kill(getpid(), WTERMSIG(status));
	_exit(1);
}

static void run_child(struct run_shells *sh, uint32_t i)
{
	const struct run_zombie *zombie = role_of(sh, i).zombie;
	const int gate = sh->gate[i - 1][1];
	struct hs_error why = { { 0 } };
	int ret;

	close_gates(sh, i, false);
	ret = zombie ? find_family(sh, i, gate, &why) : become(sh, i, gate, &why);
	say(gate, ret ? errno ?: EIO : 0, &why);
	if (!ret && zombie)
		end_as(zombie->status);
	if (!ret)
		stay(gate);
	_exit(1);
}

void run_shell(void *arg, int gate)
{
	struct run_shells *sh = arg;
	struct hs_error why = { { 0 } };
	int moved = fcntl(gate, F_DUPFD_CLOEXEC, sh->above), ret;

	if (moved < 0)
		ret = hs_fail(&why, errno, "a descriptor: %s", strerror(errno));
	else
		ret = become_first(sh, moved, &why);
	say(moved < 0 ? gate : moved, ret ? errno ?: EIO : 0, &why);
	if (!ret)
		stay(moved);
	_exit(1);
}
