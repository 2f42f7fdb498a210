// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: why a session ended. When a process ends, the kernel closes its descriptors, in the
 * same way as the program would. So close() alone doesn't distinguish a program that finished
 * from a program that was killed. The thread group of the opener does. For this purpose the
 * session holds the task_struct of the group leader, which refers to the signal_struct of the
 * group. Both stay readable after the process was reaped.
 *
 * Threads: the kernel marks the group when the whole group is to end, also when the last thread
 * ends by itself. A thread that ends before the others doesn't end the group.
 */
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include <linux/cptdev_netlink.h>

#include "cptdev.h"

static bool exit_status(struct signal_struct *signal, u32 *status)
{
	*status = READ_ONCE(signal->group_exit_code);
	return READ_ONCE(signal->flags) & SIGNAL_GROUP_EXIT;
}

/*
 * Has the thread group ended, or is it about to? @status is what its parent gets from wait().
 * A fatal signal sets the mark first, and then the status: the lock makes them one. A group
 * that was reaped has no lock, and doesn't change any more. The kernel's own
 * lock_task_sighand() isn't exported.
 */
static bool group_ended(struct task_struct *leader, u32 *status)
{
	struct sighand_struct *sighand;
	unsigned long flags;
	bool ended;

	rcu_read_lock();
	do {
		sighand = rcu_dereference(leader->sighand);
		if (sighand) {
			spin_lock_irqsave(&sighand->siglock, flags);
			ended = exit_status(leader->signal, status);
			spin_unlock_irqrestore(&sighand->siglock, flags);
		} else {
			ended = exit_status(leader->signal, status);
		}
	} while (sighand != rcu_access_pointer(leader->sighand));
	rcu_read_unlock();
	return ended;
}

/*
 * Did the process leave the session's address space, although it lives? Without a range
 * nobody noticed when it did: exec closes the descriptor, or the new program does.
 */
static bool left_by_exec(const struct cptdev_session *s)
{
	if (!atomic_read(&s->mm->mm_users))
		return true;
	return current->signal == s->opener->signal && current->mm &&
		current->mm != s->mm;
}

/* CPTDEV_END_*, now that the descriptor is closed or the address space is gone. */
u32 cptdev_end_reason(struct cptdev_session *s, u32 *code)
{
	u32 status;

	*code = 0;
	if (!group_ended(s->opener, &status))
		return left_by_exec(s) ? CPTDEV_END_EXEC : CPTDEV_END_CLOSED;
	/* A core dump sets another bit. */
	*code = status & 0x7f;
	if (*code)
		return CPTDEV_END_KILLED;
	*code = (status >> 8) & 0xff;
	return CPTDEV_END_EXITED;
}
