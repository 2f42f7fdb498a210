/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: a program of several processes: the first one and its descendants, which are followed
 * from their beginning. For a checkpoint all of them stand still at the same time.
 */
#ifndef RUN_TREE_H
#define RUN_TREE_H

#include "mirror.h"
#include "trace.h"

/**
 * struct run_branch - a process that the first one, or one of its descendants, has made
 * @trace:	of it
 * @slot:	see RUN_SLOT_SHIFT
 * @mirror:	its memory; no file before its first checkpoint
 */
struct run_branch {
	struct run_trace trace;
	uint32_t slot;
	struct run_mirror mirror;
};

/**
 * struct run_tree - a traced program
 * @root:	its first process; @root.tree is this tree
 * @attached:	it ran already: processes that aren't in the tree may have something in common with it
 * @nr:		number of the others
 * @v:		these
 */
struct run_tree {
	struct run_trace root;
	bool attached;
	uint32_t nr;
	struct run_branch **v;
};

/*
 * Follow the process @pid, which runs, and its descendants, as run_trace_begin() does. 0, or -1 with errno and @e.
 */
int run_tree_begin(struct run_tree *tree, pid_t pid, bool kill, struct hs_error *e);

/* The process with this number here, or NULL. Adding one that isn't there yet; NULL: no memory. */
struct run_branch *run_tree_find(struct run_tree *tree, pid_t pid);
struct run_branch *run_tree_add(struct run_tree *tree, pid_t pid);

/* What wait(2) said about @tid. False: it is no thread of the program. */
bool run_tree_event(struct run_tree *tree, pid_t tid, int status);
/* Processes that have ended are taken away. */
void run_tree_sweep(struct run_tree *tree);

/* As run_trace_stop(), for all processes: one that is born meanwhile is stopped too. */
int run_tree_stop(struct run_tree *tree, struct hs_error *e);
void run_tree_go_on(struct run_tree *tree);
/* They are followed no more, and go on. */
void run_tree_end(struct run_tree *tree);
void run_tree_free(struct run_tree *tree);
/* All of its processes. */
void run_tree_kill(const struct run_tree *tree);

/*
 * Calls @fn for each child of the process @pid, also for one that has ended and wasn't waited for; until
 * @fn returns other than 0, which is returned.
 */
int run_children(pid_t pid, int (*fn)(void *arg, pid_t child), void *arg);

#endif /* RUN_TREE_H */
