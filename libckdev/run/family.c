// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the processes of a program, see family.h. */
#include <errno.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family.h"
#include "proc.h"

#define PARENT		4		/* fields of /proc/PID/stat */
#define TERMINAL	7
#define EXIT_SIGNAL	38
#define EXIT_CODE	52

struct walk {
	struct run_state *s;
	struct run_tree *tree;
	uint32_t at;			/* whose children are looked at */
	struct run_report *report;
	struct hs_error *e;
};

static void name_of(pid_t pid, char *comm, size_t len)
{
	if (run_proc_line(pid, "status", "Name", comm, len))
		snprintf(comm, len, "ended");
}

static void refuse(struct run_report *r, pid_t pid, const char *why)
{
	char comm[64];

	name_of(pid, comm, sizeof(comm));
	run_refused(r, "process %d (%s): %s", pid, comm, why);
}

static bool is_zombie(pid_t pid)
{
	char text[32];

	return !run_proc_line(pid, "status", "State", text, sizeof(text)) && *text == 'Z';
}

static int add_zombie(struct walk *w, pid_t pid)
{
	struct run_state *s = w->s;
	struct run_zombie *v = reallocarray(s->zombies, s->nr_zombies + 1, sizeof(*v));

	if (!v)
		return hs_fail(w->e, ENOMEM, "no memory for the list of processes");
	s->zombies = v;
	v[s->nr_zombies++] = (struct run_zombie) {
		.host = pid, .pid = run_number(pid, "NSpid"),
		.parent = run_number(run_state_of(s, w->at)->process.host, "NSpid"),
		.session = run_number(pid, "NSsid"), .group = run_number(pid, "NSpgid"),
		.status = (int)run_stat(pid, EXIT_CODE),
	};
	return 0;
}

static int add_process(struct walk *w, struct run_branch *b)
{
	struct run_state *s = w->s, *v = reallocarray(s->others, s->nr_others + 1, sizeof(*v));

	if (!v)
		return hs_fail(w->e, ENOMEM, "no memory for the list of processes");
	s->others = v;
	v[s->nr_others++] = (struct run_state) {
		.slot = b->slot,
		.mirror = &b->mirror,
		.process = {
			.host = b->trace.pid,
			.parent = run_number(run_state_of(s, w->at)->process.host, "NSpid"),
		},
	};
	return 0;
}

/* One that has ended is a zombie for its parent only when the tracer knows. */
static int on_child(void *arg, pid_t pid)
{
	struct walk *w = arg;
	struct run_branch *b;
	int status;

	if (w->s->nr_others + w->s->nr_zombies >= RUN_PROCESSES_MAX)
		return hs_fail(w->e, E2BIG, "the program has more than %u processes", RUN_PROCESSES_MAX);
	b = run_tree_find(w->tree, pid);
	if (is_zombie(pid)) {
		if (b && waitpid(pid, &status, __WALL | WNOHANG) == pid)
			run_tree_event(w->tree, pid, status);
		return add_zombie(w, pid);
	}
	if (b && b->slot >= RUN_SLOTS)
		return hs_fail(w->e, E2BIG, "process %d was made while the program had more than %u others", pid,
			       RUN_PROCESSES_MAX);
	if (b)
		return add_process(w, b);
	refuse(w->report, pid, "a child that can't be traced (CLONE_UNTRACED)");
	return 0;
}

static bool is_known(const struct run_state *s, pid_t host)
{
	uint32_t i;

	for (i = 0; i < s->nr_others; i++)
		if (s->others[i].process.host == host)
			return true;
	return false;
}

int run_family_read(struct run_state *s, struct run_tree *tree, struct run_report *r, struct hs_error *e)
{
	struct walk w = { .s = s, .tree = tree, .report = r, .e = e };
	uint32_t i;

	s->process.host = tree->root.pid;
	for (; w.at <= s->nr_others; w.at++)
		if (run_children(run_state_of(s, w.at)->process.host, on_child, &w))
			return -1;
	run_tree_sweep(tree);
	for (i = 0; i < tree->nr; i++)
		if (!is_known(s, tree->v[i]->trace.pid))
			refuse(r, tree->v[i]->trace.pid, "its parent has ended: such processes aren't covered");
	return 0;
}

/*
 * Sessions and groups
 */

int run_family_parent(const struct run_state *s, pid_t parent)
{
	uint32_t i;

	if (s->process.pid == parent)
		return 0;
	for (i = 0; i < s->nr_others; i++)
		if (s->others[i].process.pid == parent)
			return (int)i + 1;
	return -1;
}

/* The session that process @i has when it is made. The first one has that of cptdev-run. */
static pid_t born_in(const struct run_state *s, uint32_t i)
{
	const struct run_process *p = &run_state_of((struct run_state *)s, i)->process;
	int parent = i ? run_family_parent(s, p->parent) : -1;

	if (p->session != p->pid)
		return p->session;
	return parent < 0 ? 0 : run_state_of((struct run_state *)s, (uint32_t)parent)->process.session;
}

/* @before: the parent's session begins later. */
static bool fits(const struct run_state *s, pid_t pid, pid_t parent, pid_t session, bool *before)
{
	int i = run_family_parent(s, parent);
	const struct run_process *p;

	*before = false;
	if (i < 0)
		return false;
	p = &run_state_of((struct run_state *)s, (uint32_t)i)->process;
	if (session == pid || session == p->session)
		return true;
	*before = true;
	return session == born_in(s, (uint32_t)i);
}

bool run_family_fits(const struct run_state *s, uint32_t i, bool *before)
{
	const struct run_process *p = &s->others[i].process;

	return fits(s, p->pid, p->parent, p->session, before);
}

bool run_family_fits_zombie(const struct run_state *s, const struct run_zombie *z, bool *before)
{
	return fits(s, z->pid, z->parent, z->session, before);
}

bool run_family_leads(const struct run_state *s, pid_t group)
{
	uint32_t i;

	for (i = 0; i < s->nr_zombies; i++)
		if (s->zombies[i].pid == group && s->zombies[i].group == group)
			return true;
	for (i = 0; i <= s->nr_others; i++) {
		const struct run_process *p = &run_state_of((struct run_state *)s, i)->process;

		if (p->pid == group && p->group == group)
			return true;
	}
	return false;
}

/*
 * What processes may share beside open files
 */

static void check_shared(const struct run_process *p, pid_t parent, struct run_report *r)
{
	static const struct {
		int type;
		const char *why;
	} of[] = {
		{ KCMP_VM, "it shares its memory with its parent (CLONE_VM)" },
		{ KCMP_FILES, "it shares its table of descriptors with its parent (CLONE_FILES)" },
		{ KCMP_FS, "it shares its current directory with its parent (CLONE_FS)" },
	};
	size_t i;

	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		if (!syscall(SYS_kcmp, p->host, parent, of[i].type, 0, 0))
			refuse(r, p->host, of[i].why);
}

static void check_process(const struct run_state *s, uint32_t i, struct run_report *r)
{
	const struct run_process *p = &s->others[i].process;
	bool before;

	if (!run_family_fits(s, i, &before))
		refuse(r, p->host, "its session was begun by a process that has ended, or isn't its parent");
	if (p->group && p->group != p->session && !run_family_leads(s, p->group))
		refuse(r, p->host, "the first process of its process group has ended");
	if (p->group != s->process.group && run_stat(p->host, TERMINAL) > 0)
		refuse(r, p->host, "a process group of its own in a terminal (job control)");
	if (run_stat(p->host, EXIT_SIGNAL) != SIGCHLD)
		refuse(r, p->host, "its parent gets another signal than SIGCHLD from it");
	check_shared(p, (pid_t)run_stat(p->host, PARENT), r);
}

static void forget(pid_t *number, pid_t outside)
{
	if (*number == outside)
		*number = 0;
}

void run_family_forget_outside(struct run_state *s)
{
	const pid_t session = s->process.leads_session ? 0 : s->process.session;
	const pid_t group = s->process.leads_group ? 0 : s->process.group;
	uint32_t i;

	for (i = 0; i <= s->nr_others; i++) {
		forget(&run_state_of(s, i)->process.session, session);
		forget(&run_state_of(s, i)->process.group, group);
	}
	for (i = 0; i < s->nr_zombies; i++) {
		forget(&s->zombies[i].session, session);
		forget(&s->zombies[i].group, group);
	}
}

void run_family_check(const struct run_state *s, struct run_report *r)
{
	bool before;
	uint32_t i;

	for (i = 0; i < s->nr_others; i++)
		check_process(s, i, r);
	for (i = 0; i < s->nr_zombies; i++)
		if (!run_family_fits_zombie(s, &s->zombies[i], &before))
			refuse(r, s->zombies[i].host, "its session was begun by a process that has ended, or "
			       "isn't its parent");
	if (s->nr_others || s->nr_zombies)
		run_covered(r, "%u processes, and %u that have ended", s->nr_others + 1, s->nr_zombies);
}
