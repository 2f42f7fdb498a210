/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: a program made from its state. A new process with the program's number makes the
 * descriptors and its children (shells.c). Then each process is a puppet of the tracer (restore.c): its
 * memory is replaced by the program's (restore_memory.c), and its threads are made (restore_threads.c), all
 * by injected calls.
 */
#ifndef RUN_RESTORE_H
#define RUN_RESTORE_H

#include "inject.h"
#include "mirror.h"
#include "state.h"
#include "tree.h"

/*
 * Could the program be restarted on this host: processor, kernel, files? Returns 0, or -1 with
 * errno and @e, which names what differs.
 */
int run_restore_check(const struct run_state *s, struct hs_error *e);

/**
 * struct run_how - how a program is restored
 * @tied:	see struct run_init
 * @addresses:	brings the addresses of its sockets to this host. TCP connections are there before,
 *		and send nothing yet: so no peer meets a host that doesn't know them. Returns 0, or
 *		-1 with errno and @e. NULL: nothing has to be done
 * @arg:	for @addresses
 */
struct run_how {
	bool tied;
	int (*addresses)(void *arg, struct hs_error *e);
	void *arg;
};

/*
 * Returns 0: the program is there, stopped, and traced by @tree; run_tree_go_on() lets it go on.
 * @m: memory of its first process. @init: process 1 of its space. Or -1 with errno and @e: nothing is
 * left of it.
 */
int run_restore(struct run_state *s, const struct run_mirror *m, const struct run_how *how,
		struct run_tree *tree, pid_t *init, struct hs_error *e);

struct run_all_shared;

/**
 * struct run_puppet - a process that becomes the program
 * @trace:	it is traced
 * @tid:	its first thread, here
 * @regs:	for injected calls
 * @scratch:	memory of ours in it, RUN_SCRATCH bytes
 * @gate:	its descriptor of the socket to cptdev-run
 * @state:	what it becomes
 * @mirror:	its memory
 * @shared:	memory that the processes share, see shared.h
 */
struct run_puppet {
	struct run_trace *trace;
	pid_t tid;
	struct user_regs_struct regs;
	uint64_t scratch;
	int gate;
	const struct run_state *state;
	const struct run_mirror *mirror;
	struct run_all_shared *shared;
	struct hs_error *e;
};

#define RUN_SCRATCH	(4 * RUN_PAGE)

/* An injected call of thread @tid. A failure of it is one, with @what in @e. The result, or -1. */
int64_t run_puppet_call(struct run_puppet *p, pid_t tid, const char *what,
			const struct run_call *call);
/* Bytes for a call: they are put into the scratch. Returns 0, or -1 and @e. */
int run_puppet_put(struct run_puppet *p, uint64_t offset, const void *buf, size_t len);

int run_restore_memory(struct run_puppet *p);
int run_restore_threads(struct run_puppet *p);
/* Gives the scratch back; then all threads have their registers and masks. */
int run_restore_finish(struct run_puppet *p);

#endif /* RUN_RESTORE_H */
