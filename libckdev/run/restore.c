// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: a program made from its state: the process itself, see restore.h. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fds.h"
#include "init.h"
#include "maps.h"
#include "proc.h"
#include "restore.h"

int64_t run_puppet_call(struct run_puppet *p, pid_t tid, const char *what,
			const struct run_call *call)
{
	struct run_tracee *v = run_trace_find(p->trace, tid);
	int64_t result;

	if (!v)
		return hs_fail(p->e, ESRCH, "%s: the process has ended", what);
	if (run_inject(p->trace, v, &p->regs, call, &result, p->e))
		return -1;
	if (result < 0 && result > -4096)
		return hs_fail(p->e, (int)-result, "%s can't be restored: %s", what,
			       strerror((int)-result));
	return result;
}

int run_puppet_put(struct run_puppet *p, uint64_t offset, const void *buf, size_t len)
{
	if (offset + len > RUN_SCRATCH || run_poke(p->tid, p->scratch + offset, buf, len))
		return hs_fail(p->e, EFAULT, "the new process can't be written to");
	return 0;
}

/*
 * Does this host have what the program needs?
 */

static bool has_word(const char *words, const char *word, size_t len)
{
	const char *p = words;

	while ((p = strstr(p, word))) {
		if ((p == words || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return true;
		p += len;
	}
	return false;
}

/* Libraries have chosen their code by these flags when the program was started. */
static int check_cpu(const char *wanted, struct hs_error *e)
{
	char *here = run_cpu_flags(), *words = strdup(wanted ?: ""), *word, *rest = NULL;
	int ret = 0;

	if (!here || !words)
		ret = hs_fail(e, errno, "/proc/cpuinfo can't be read");
	for (word = ret ? NULL : strtok_r(words, " ", &rest); word && !ret;
	     word = strtok_r(NULL, " ", &rest))
		if (!has_word(here, word, strlen(word)))
			ret = hs_fail(e, ENOTSUP, "the program was started on a processor that has "
				      "'%s', which this host's doesn't have", word);
	free(here);
	free(words);
	return ret;
}

static int check_files(const struct run_maps *maps, struct hs_error *e)
{
	const struct run_map *m;
	uint64_t size, sum;

	for (m = maps->v; m < maps->v + maps->nr; m++) {
		if (m->kind != RUN_FILE)
			continue;
		if (run_file_sum(m->path, &size, &sum))
			return hs_fail(e, errno, "%s, which the program has mapped: %s", m->path,
				       strerror(errno));
		if (size != m->size || sum != m->sum)
			return hs_fail(e, ENOEXEC, "%s isn't the file that the program has mapped: "
				       "install the same version on both hosts", m->path);
	}
	return 0;
}

/* The program's clocks go on from the checkpoint's. */
static int check_clocks(struct hs_error *e)
{
	if (!access("/proc/self/ns/time", F_OK))
		return 0;
	return hs_fail(e, ENOTSUP, "this kernel has no time namespaces, and the program's clocks must "
		       "go on: take a kernel with CONFIG_TIME_NS");
}

int run_restore_check(const struct run_state *s, struct hs_error *e)
{
	return check_clocks(e) || check_cpu(s->process.cpu, e) || check_files(&s->maps, e) ? -1 : 0;
}

/*
 * In the new process: what it can do by itself
 */

struct shell {
	struct run_state *state;
};

struct ready {
	int err, gate;
	struct hs_error why;
};

/* Connections are there; the tracer sees to the addresses, and says when we may go on. */
static int wait_for_addresses(int gate, struct hs_error *e)
{
	const struct ready r = { .gate = gate };
	char byte;

	if (send(gate, &r, sizeof(r), MSG_NOSIGNAL) == sizeof(r) && recv(gate, &byte, 1, 0) == 1)
		return 0;
	return hs_fail(e, EPIPE, "cptdev-run has ended");
}

static int become(struct run_state *s, int gate, struct hs_error *e)
{
	struct run_process *p = &s->process;
	int sig;

	for (sig = 1; sig <= RUN_SIGNALS; sig++)
		signal(sig, sig == SIGTTOU ? SIG_IGN : SIG_DFL);
	if (p->leads_session && setsid() < 0)
		return hs_fail(e, errno, "a session: %s", strerror(errno));
	if (p->leads_group && !p->leads_session && setpgid(0, 0))
		return hs_fail(e, errno, "a process group: %s", strerror(errno));
	umask(p->umask);
	if (chdir(p->directory))
		return hs_fail(e, errno, "directory %s: %s", p->directory, strerror(errno));
	if (run_fds_prepare(&s->fds, e) || wait_for_addresses(gate, e) ||
	    run_fds_restore(&s->fds, gate, e))
		return -1;
	signal(SIGTTOU, SIG_DFL);
	if (p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return hs_fail(e, errno, "no_new_privs: %s", strerror(errno));
	return 0;
}

/* Above all descriptors of the program. */
static int move_gate(const struct run_fds *fds, int gate)
{
	int above = fds->list.nr ? fds->list.v[fds->list.nr - 1].fd + 1 : RUN_STD;
	uint32_t i;

	for (i = 0; i < fds->nr_inherited; i++)
		above = fds->inherited[i].fd >= above ? fds->inherited[i].fd + 1 : above;
	return fcntl(gate, F_DUPFD_CLOEXEC, above);
}

static void shell(void *arg, int gate)
{
	struct shell *sh = arg;
	struct ready r = { .gate = move_gate(&sh->state->fds, gate) };
	char byte;

	if (r.gate < 0)
		r.err = hs_fail(&r.why, errno, "a descriptor: %s", strerror(errno)) ? errno : 0;
	else if (become(sh->state, r.gate, &r.why))
		r.err = errno ?: EIO;
	send(r.gate < 0 ? gate : r.gate, &r, sizeof(r), MSG_NOSIGNAL);
	/* From here on by the tracer's hand. */
	while (!r.err && recv(r.gate, &byte, 1, 0) > 0)
		;
	_exit(1);
}

/*
 * The tracer's side
 */

static int hear_shell(const struct run_init *in, int *gate, struct hs_error *e)
{
	struct ready r;
	ssize_t n;

	n = recv(in->gate, &r, sizeof(r), 0);
	if (n != sizeof(r))
		return hs_fail(e, EPIPE, "the new process has ended");
	if (r.err) {
		r.why.text[sizeof(r.why.text) - 1] = 0;
		return hs_fail(e, r.err, "%s", r.why.text);
	}
	*gate = r.gate;
	return 0;
}

static int start_shell(struct run_init *in, const struct run_how *how, int *gate, struct hs_error *e)
{
	if (run_init_start(in, e) || hear_shell(in, gate, e) ||
	    (how->addresses && how->addresses(how->arg, e)))
		return -1;
	if (send(in->gate, "", 1, MSG_NOSIGNAL) != 1)
		return hs_fail(e, EPIPE, "the new process has ended");
	return hear_shell(in, gate, e);
}

/* The program's clocks go on from what it saw, plus the time that has passed since. */
static void set_clocks(const struct run_process *p, struct run_init *in)
{
	int64_t passed = run_clock_ns(CLOCK_REALTIME) - p->realtime_ns;

	passed = passed > 0 ? passed : 0;
	in->monotonic_ns = p->monotonic_ns + passed - run_clock_ns(CLOCK_MONOTONIC);
	in->boottime_ns = p->boottime_ns + passed - run_clock_ns(CLOCK_BOOTTIME);
	/* This host's, which has never been switched off: nothing to add. */
	if (in->monotonic_ns <= 0 && in->monotonic_ns > -50000000 &&
	    in->boottime_ns <= 0 && in->boottime_ns > -50000000)
		in->monotonic_ns = in->boottime_ns = 0;
}

static int begin_puppet(struct run_puppet *p, struct hs_error *e)
{
	struct run_tracee *v;

	if (run_trace_begin(p->trace, p->tid, true, e) || run_trace_stop(p->trace, e))
		return -1;
	if (ptrace(PTRACE_GETREGS, p->tid, 0, &p->regs))
		return hs_fail(e, errno, "the new process: %s", strerror(errno));
	v = run_trace_find(p->trace, p->tid);
	return run_inject_begin(p->trace, v, e);
}

/* Last of all: they might forbid what a restart needs. */
static int set_outside(struct run_puppet *p)
{
	const struct run_process *from = &p->state->process;
	int i;

	for (i = 0; i < RLIM_NLIMITS; i++)
		if (prlimit(p->tid, (__rlimit_resource_t)i, &from->limit[i], NULL))
			return hs_fail(p->e, errno, "resource limit %d can't be restored: %s", i,
				       strerror(errno));
	return 0;
}

static int build(struct run_puppet *p)
{
	return begin_puppet(p, p->e) || run_restore_memory(p) || run_restore_threads(p) ||
		set_outside(p) || run_restore_finish(p) ? -1 : 0;
}

int run_restore(struct run_state *s, const struct run_mirror *m, const struct run_how *how,
		struct run_trace *t, pid_t *init, struct hs_error *e)
{
	struct shell sh = { .state = s };
	struct run_init in = { .pid = s->process.pid, .tied = how->tied, .fn = shell, .arg = &sh };
	struct run_puppet p = { .trace = t, .state = s, .mirror = m, .e = e };
	int ret, err;

	*t = (struct run_trace) { 0 };
	if (run_restore_check(s, e))
		return -1;
	set_clocks(&s->process, &in);
	ret = start_shell(&in, how, &p.gate, e);
	p.tid = in.host;
	if (!ret)
		ret = build(&p);
	err = errno;
	close(in.gate);
	if (ret) {
		run_init_kill(in.init);
		run_trace_free(t);
	}
	*init = in.init;
	errno = err;
	return ret;
}
