/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: system calls that a stopped thread makes for the tracer, for what only the program
 * itself can ask or set. The thread executes one instruction that its memory has already, that of
 * the vDSO; nothing of ours is left in the program.
 */
#ifndef RUN_INJECT_H
#define RUN_INJECT_H

#include "state.h"
#include "trace.h"

/*
 * Look for an instruction "syscall" in the vDSO: t->insn, t->vdso_sum. Returns 0, or -1 with errno
 * and @e.
 */
int run_find_syscall(struct run_trace *t, const struct run_maps *maps, struct hs_error *e);

/*
 * Signals stay away from the threads between these. Afterwards a thread has its own mask and the
 * registers @regs.
 */
int run_inject_begin(struct run_trace *t, struct run_tracee *v, struct hs_error *e);
int run_inject_end(struct run_trace *t, struct run_tracee *v, const struct user_regs_struct *regs,
		   struct hs_error *e);

struct run_call {
	long nr;
	uint64_t arg[6];
};

/*
 * @regs: where its stack pointer comes from. The list of threads may move. Returns 0 and the call's
 * result (-errno as the kernel has it); or -1 with errno and @e: the program is in disorder, and has
 * to be killed.
 */
int run_inject(struct run_trace *t, struct run_tracee *v, const struct user_regs_struct *regs,
	       const struct run_call *call, int64_t *result, struct hs_error *e);

/* Memory of a stopped thread, whatever its protection is. 0, or -1 with errno. */
int run_peek(pid_t tid, uint64_t addr, void *buf, size_t len);
int run_poke(pid_t tid, uint64_t addr, const void *buf, size_t len);

#endif /* RUN_INJECT_H */
