// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: a program of several processes, see tree.h. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc.h"
#include "tree.h"

/* How often the end waits for a process that can't be stopped yet (vfork(2)), and how long each time. */
#define END_TRIES	2500
#define END_US		2000

struct run_branch *run_tree_find(struct run_tree *tree, pid_t pid)
{
	uint32_t i;

	for (i = 0; i < tree->nr; i++)
		if (tree->v[i]->trace.pid == pid)
			return tree->v[i];
	return NULL;
}

static bool grow(struct run_tree *tree)
{
	struct run_branch **v = reallocarray(tree->v, tree->nr + 1, sizeof(*v));

	tree->v = v ?: tree->v;
	return v;
}

/* The lowest one that no process has. */
static uint32_t free_slot(const struct run_tree *tree)
{
	uint32_t slot = 1, i = 0;

	while (i < tree->nr) {
		if (tree->v[i++]->slot != slot)
			continue;
		slot++;
		i = 0;
	}
	return slot;
}

struct run_branch *run_tree_add(struct run_tree *tree, pid_t pid)
{
	struct run_branch *b = run_tree_find(tree, pid);

	if (b)
		return b;
	b = calloc(1, sizeof(*b));
	if (!b || !grow(tree)) {
		free(b);
		return NULL;
	}
	b->mirror.fd = -1;
	b->slot = free_slot(tree);
	b->trace = (struct run_trace) { .tree = tree->root.tree, .kill = tree->root.kill, .pid = pid };
	if (!run_trace_add(&b->trace, pid)) {
		free(b);
		return NULL;
	}
	return tree->v[tree->nr++] = b;
}

static void free_branch(struct run_branch *b)
{
	run_trace_free(&b->trace);
	run_mirror_free(&b->mirror);
	free(b);
}

void run_tree_sweep(struct run_tree *tree)
{
	uint32_t i, n = 0;

	for (i = 0; i < tree->nr; i++)
		if (tree->v[i]->trace.ended)
			free_branch(tree->v[i]);
		else
			tree->v[n++] = tree->v[i];
	tree->nr = n;
}

void run_tree_free(struct run_tree *tree)
{
	uint32_t i;

	for (i = 0; i < tree->nr; i++)
		free_branch(tree->v[i]);
	free(tree->v);
	run_trace_free(&tree->root);
	tree->v = NULL;
	tree->nr = 0;
}

void run_tree_kill(const struct run_tree *tree)
{
	uint32_t i;

	kill(tree->root.pid, SIGKILL);
	for (i = 0; i < tree->nr; i++)
		if (!tree->v[i]->trace.ended)
			kill(tree->v[i]->trace.pid, SIGKILL);
}

/*
 * What happens
 */

/* A process may stop for the first time before its parent's fork(2) is reported. */
static struct run_trace *trace_of(struct run_tree *tree, pid_t tid, int status)
{
	struct run_branch *b;
	uint32_t i;
	pid_t pid;

	if (run_trace_find(&tree->root, tid))
		return &tree->root;
	for (i = 0; i < tree->nr; i++)
		if (run_trace_find(&tree->v[i]->trace, tid))
			return &tree->v[i]->trace;
	if (!WIFSTOPPED(status) || status >> 16 != PTRACE_EVENT_STOP)
		return NULL;
	pid = run_process_of(tid);
	if (pid == tree->root.pid)
		return &tree->root;
	b = pid > 0 ? run_tree_add(tree, pid) : NULL;
	return b ? &b->trace : NULL;
}

bool run_tree_event(struct run_tree *tree, pid_t tid, int status)
{
	struct run_trace *t = trace_of(tree, tid, status);

	return t && run_trace_event(t, tid, status);
}

/*
 * Processes that run already
 */

struct search {
	struct run_tree *tree;
	bool more;
	struct hs_error *e;
};

static bool is_over(pid_t pid)
{
	char text[32];

	return run_proc_line(pid, "status", "State", text, sizeof(text)) || *text == 'Z' || *text == 'X';
}

/* Children that it makes from now on are followed by themselves. */
static int follow(void *arg, pid_t pid)
{
	struct search *search = arg;
	struct run_branch *b;
	int err;

	if (run_tree_find(search->tree, pid) || is_over(pid))
		return 0;
	b = run_tree_add(search->tree, pid);
	if (!b)
		return hs_fail(search->e, ENOMEM, "no memory for the list of processes");
	search->more = true;
	if (!run_trace_begin(&b->trace, pid, search->tree->root.kill, search->e))
		return 0;
	err = errno;
	b->trace.ended = true;
	if (is_over(pid))
		return 0;
	errno = err;
	return -1;
}

int run_tree_begin(struct run_tree *tree, pid_t pid, bool kill, struct hs_error *e)
{
	struct search search = { .tree = tree, .more = true, .e = e };
	uint32_t i;

	tree->attached = true;
	if (run_trace_begin(&tree->root, pid, kill, e))
		return -1;
	while (search.more) {
		search.more = false;
		if (run_children(pid, follow, &search))
			return -1;
		for (i = 0; i < tree->nr; i++)
			if (run_children(tree->v[i]->trace.pid, follow, &search))
				return -1;
		run_tree_sweep(tree);
	}
	return 0;
}

/*
 * Stopping. A process that is made meanwhile stops at its beginning, before it does anything
 */

static int check_ready(const struct run_tree *tree, struct hs_error *e)
{
	uint32_t i;

	if (run_trace_ready(&tree->root, e))
		return -1;
	for (i = 0; i < tree->nr; i++)
		if (run_trace_ready(&tree->v[i]->trace, e))
			return -1;
	return 0;
}

/* The list grows. A process that ends meanwhile needs no stop, unless it is the first. */
static int wait_all(struct run_tree *tree, struct hs_error *e)
{
	uint32_t i;

	if (run_trace_wait(&tree->root, e))
		return -1;
	for (i = 0; i < tree->nr; i++)
		if (run_trace_wait(&tree->v[i]->trace, e) && errno != ECHILD)
			return -1;
	return 0;
}

int run_tree_stop(struct run_tree *tree, struct hs_error *e)
{
	uint32_t i;
	int err;

	if (check_ready(tree, e))
		return -1;
	run_trace_interrupt(&tree->root);
	for (i = 0; i < tree->nr; i++)
		run_trace_interrupt(&tree->v[i]->trace);
	if (!wait_all(tree, e)) {
		run_tree_sweep(tree);
		return 0;
	}
	err = errno;
	run_tree_go_on(tree);
	errno = err;
	return -1;
}

void run_tree_go_on(struct run_tree *tree)
{
	uint32_t i;

	run_tree_sweep(tree);
	run_trace_go_on(&tree->root);
	for (i = 0; i < tree->nr; i++)
		run_trace_go_on(&tree->v[i]->trace);
}

/* Also if the first process has ended. */
static int stop_for_end(struct run_tree *tree, struct hs_error *e)
{
	uint32_t i;

	if (check_ready(tree, e))
		return -1;
	run_trace_interrupt(&tree->root);
	for (i = 0; i < tree->nr; i++)
		run_trace_interrupt(&tree->v[i]->trace);
	if (run_trace_wait(&tree->root, e) && errno != ECHILD)
		return -1;
	for (i = 0; i < tree->nr; i++)
		if (run_trace_wait(&tree->v[i]->trace, e) && errno != ECHILD)
			return -1;
	return 0;
}

/* What is stopped at its birth and isn't known, or isn't stopped, would end with us. */
static void stop_to_let_go(struct run_tree *tree)
{
	struct hs_error e;
	int tries, status;
	pid_t pid;

	for (tries = 0; tries < END_TRIES; tries++) {
		if (!stop_for_end(tree, &e) || errno != EBUSY)
			return;
		run_tree_go_on(tree);
		usleep(END_US);
		while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0)
			run_tree_event(tree, pid, status);
		run_tree_go_on(tree);
	}
}

void run_tree_end(struct run_tree *tree)
{
	uint32_t i;

	stop_to_let_go(tree);
	run_tree_sweep(tree);
	run_trace_end(&tree->root);
	for (i = 0; i < tree->nr; i++)
		run_trace_end(&tree->v[i]->trace);
}

/*
 * Children, as /proc has them: "1234 1235 ", of each thread
 */

static int children_of(pid_t pid, const char *tid, int (*fn)(void *arg, pid_t child), void *arg)
{
	char path[64];
	long child;
	int ret = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", pid, tid);
	f = fopen(path, "re");
	while (!ret && f && fscanf(f, "%ld", &child) == 1)
		ret = fn(arg, (pid_t)child);
	if (f)
		fclose(f);
	return ret;
}

int run_children(pid_t pid, int (*fn)(void *arg, pid_t child), void *arg)
{
	struct dirent *entry;
	char path[40];
	int ret = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (!ret && d && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			ret = children_of(pid, entry->d_name, fn, arg);
	if (d)
		closedir(d);
	return ret;
}
