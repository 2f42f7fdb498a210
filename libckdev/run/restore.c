// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: a program made from its state: the process itself, see restore.h. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fds.h"
#include "init.h"
#include "maps.h"
#include "proc.h"
#include "restore.h"
#include "shared.h"
#include "shells.h"

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
	uint32_t i;

	if (check_clocks(e) || check_cpu(s->process.cpu, e) || check_files(&s->maps, e))
		return -1;
	for (i = 0; i < s->nr_others; i++)
		if (check_files(&s->others[i].maps, e))
			return -1;
	return 0;
}

/*
 * The tracer's side
 */

static int hear(int from, int *gate, struct hs_error *e)
{
	struct run_ready r;
	ssize_t n;

	n = recv(from, &r, sizeof(r), 0);
	if (n != sizeof(r))
		return hs_fail(e, EPIPE, "the new process has ended");
	if (r.err) {
		r.why.text[sizeof(r.why.text) - 1] = 0;
		return hs_fail(e, r.err, "%s", r.why.text);
	}
	*gate = r.gate;
	return 0;
}

static int let_go_on(int gate, struct hs_error *e)
{
	return send(gate, "", 1, MSG_NOSIGNAL) == 1 ? 0 : hs_fail(e, EPIPE, "the new process has ended");
}

/* Above all numbers of the program, which the shells put in place. */
static int move_up(int *fd, int above)
{
	int up = fcntl(*fd, F_DUPFD_CLOEXEC, above);

	close(*fd);
	*fd = up;
	return up < 0 ? -1 : 0;
}

static int make_gates(struct run_shells *sh, struct hs_error *e)
{
	uint32_t i, nr = run_shells_nr(sh->state) - 1;

	sh->above = run_fds_above(sh->state);
	sh->gate = calloc(nr + 1, sizeof(*sh->gate));
	if (!sh->gate)
		return hs_fail(e, ENOMEM, "no memory for the list of processes");
	for (i = 0; i < nr; i++)
		sh->gate[i][0] = sh->gate[i][1] = -1;
	for (i = 0; i < nr; i++)
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sh->gate[i]) ||
		    move_up(&sh->gate[i][0], sh->above) || move_up(&sh->gate[i][1], sh->above))
			return hs_fail(e, errno, "a socket: %s", strerror(errno));
	return 0;
}

/* @end: 0: ours, 1: the shells'. */
static void close_gates(struct run_shells *sh, int end)
{
	uint32_t i, nr = run_shells_nr(sh->state) - 1;

	for (i = 0; sh->gate && i < nr; i++) {
		if (sh->gate[i][end] >= 0)
			close(sh->gate[i][end]);
		sh->gate[i][end] = -1;
	}
}

/* Each of them, that of the first process included. */
static int gate_of(const struct run_shells *sh, const struct run_init *in, uint32_t i)
{
	return i ? sh->gate[i - 1][0] : in->gate;
}

static int start_shells(struct run_init *in, struct run_shells *sh, const struct run_how *how, int *gates,
			struct hs_error *e)
{
	uint32_t i, nr = run_shells_nr(sh->state);
	int ret = run_init_start(in, e);

	close_gates(sh, 1);
	if (ret || hear(in->gate, gates, e) || (how->addresses && how->addresses(how->arg, e)) ||
	    let_go_on(in->gate, e))
		return -1;
	for (i = 0; i < nr; i++)
		if (hear(gate_of(sh, in, i), &gates[i], e))
			return -1;
	for (i = 0; i < nr; i++)
		if (let_go_on(gate_of(sh, in, i), e))
			return -1;
	for (i = 0; i < nr; i++)
		if (hear(gate_of(sh, in, i), &gates[i], e))
			return -1;
	return 0;
}

/*
 * The numbers that they have here
 */

static int on_shell(void *arg, pid_t host)
{
	const pid_t pid = run_number(host, "NSpid");
	struct run_state *s = arg;
	uint32_t i;

	for (i = 0; i < s->nr_others; i++)
		if (s->others[i].process.pid == pid)
			s->others[i].process.host = host;
	for (i = 0; i < s->nr_zombies; i++)
		if (s->zombies[i].pid == pid)
			s->zombies[i].host = host;
	return 0;
}

/* Its parent isn't traced yet, and ignores SIGCHLD: a signal that waits in the program comes later. */
static int wait_for_end(pid_t host, struct hs_error *e)
{
	char text[32];

	while (!run_proc_line(host, "status", "State", text, sizeof(text))) {
		if (*text == 'Z')
			return 0;
		usleep(1000);
	}
	return hs_fail(e, ESRCH, "a process that has ended is gone");
}

static int find_shells(struct run_state *s, pid_t first, struct hs_error *e)
{
	uint32_t i;

	s->process.host = first;
	for (i = 0; i <= s->nr_others; i++) {
		if (!run_state_of(s, i)->process.host)
			return hs_fail(e, ESRCH, "process %d has ended", run_state_of(s, i)->process.pid);
		run_children(run_state_of(s, i)->process.host, on_shell, s);
	}
	for (i = 0; i < s->nr_zombies; i++)
		if (!s->zombies[i].host || wait_for_end(s->zombies[i].host, e))
			return hs_fail(e, ESRCH, "process %d is gone", s->zombies[i].pid);
	return 0;
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
		set_outside(p) ? -1 : 0;
}

/* A process other than the first gets its place in the tree, with its memory. */
static int adopt(struct run_puppet *p, struct run_state *s, struct run_tree *tree)
{
	struct run_branch *b = run_tree_add(tree, s->process.host);

	if (!b)
		return hs_fail(p->e, ENOMEM, "no memory for the list of processes");
	b->mirror = *s->mirror;
	free(s->mirror);
	s->mirror = &b->mirror;
	p->trace = &b->trace;
	p->mirror = &b->mirror;
	return 0;
}

/* None of them goes on before all are whole. */
static int build_all(struct run_puppet *v, struct run_state *s, struct run_tree *tree)
{
	struct run_all_shared shared = { .nr = 0 };
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i <= s->nr_others; i++) {
		v[i].state = run_state_of(s, i);
		v[i].tid = v[i].state->process.host;
		v[i].shared = &shared;
		ret = (i && adopt(&v[i], run_state_of(s, i), tree)) || build(&v[i]) ? -1 : 0;
	}
	if (!ret)
		ret = run_shared_close(&shared);
	free(shared.v);
	if (ret)
		return -1;
	for (i = 0; i <= s->nr_others; i++)
		if (run_restore_finish(&v[i]))
			return -1;
	return 0;
}

static int restore(struct run_state *s, const struct run_mirror *m, const struct run_how *how,
		   struct run_tree *tree, struct run_init *in, struct run_shells *sh, struct hs_error *e)
{
	const uint32_t nr = run_shells_nr(s);
	struct run_puppet *v = calloc(nr, sizeof(*v));
	int *gates = calloc(nr, sizeof(*gates)), ret = -1;
	uint32_t i;

	if (!v || !gates)
		hs_fail(e, ENOMEM, "no memory for the list of processes");
	else if (!make_gates(sh, e) && !start_shells(in, sh, how, gates, e) && !find_shells(s, in->host, e))
		ret = 0;
	for (i = 0; !ret && i < nr; i++)
		v[i] = (struct run_puppet) {
			.trace = &tree->root, .mirror = m, .gate = gates[i], .e = e,
		};
	if (!ret)
		ret = build_all(v, s, tree);
	free(v);
	free(gates);
	return ret;
}

int run_restore(struct run_state *s, const struct run_mirror *m, const struct run_how *how,
		struct run_tree *tree, pid_t *init, struct hs_error *e)
{
	struct run_shells sh = { .state = s };
	struct run_init in = { .pid = s->process.pid, .tied = how->tied, .fn = run_shell, .arg = &sh,
			       .gate = -1 };
	int ret, err;

	if (run_restore_check(s, e))
		return -1;
	set_clocks(&s->process, &in);
	ret = restore(s, m, how, tree, &in, &sh, e);
	err = errno;
	if (in.gate >= 0)
		close(in.gate);
	close_gates(&sh, 0);
	close_gates(&sh, 1);
	free(sh.gate);
	if (ret) {
		run_init_kill(in.init);
		run_tree_free(tree);
	}
	*init = in.init;
	errno = err;
	return ret;
}
