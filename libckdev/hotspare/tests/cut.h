/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A checkpoint by fork, as cut.c takes it, into a descriptor. */
#ifndef HS_TEST_CUT_H
#define HS_TEST_CUT_H

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../arena.h"
#include "../checkpoint.h"
#include "../format.h"
#include "../sums.h"
#include "../written.h"

/* What the child does besides, which has memory as it was at the cut; or NULL. */
static void (*t_in_child)(void);

/* As the library does it: fork(3) has handlers. */
static inline pid_t t_fork(void)
{
	fflush(NULL);
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

static inline void t_write_by_fork(struct hs_writer *w, int fd, const struct hs_image_head *head,
				   const struct hs_texts *t, struct hs_sums *s)
{
	int status;
	pid_t pid;

	if (s)
		assert_int_equal(hs_sums_begin(s, !head->base), 0);
	hs_arena_lock();
	hs_written_before(&t->state.ranges, head->generation);
	pid = t_fork();
	if (!pid) {
		hs_written_wait();
		if (t_in_child)
			t_in_child();
		_exit(!!hs_checkpoint_write(w, fd, head, t, NULL, s));
	}
	hs_written_after(pid);
	hs_arena_unlock();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#endif /* HS_TEST_CUT_H */
