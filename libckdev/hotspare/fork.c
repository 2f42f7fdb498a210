// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: fork(2) by the program. Checkpoints belong to one process: the spare takes
 * over when that process ends, and the module tracks its memory. A child may use memory of
 * hs_malloc(), its own copy of it, and is refused what would reach the spare.
 *
 * A program that becomes a daemon is the exception: there the child is the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "arena.h"
#include "fork.h"
#include "hooks.h"
#include "hotspare.h"
#include "lazy.h"
#include "lock.h"
#include "module.h"
#include "pipe.h"
#include "private.h"
#include "publish.h"
#include "schedule.h"
#include "touch.h"

static pid_t owner;			/* who takes checkpoints; 0: nobody yet */
static bool moving;			/* the child is about to be the owner */

void hs_fork_own(void)
{
	owner = getpid();
}

int hs_fork_child(struct hs_error *e)
{
	if (!owner || owner == getpid())
		return 0;
	return hs_fail(e, ECHILD, "process %d is a child of process %d, which takes the "
		       "checkpoints: a daemon must call hs_daemon(3) instead of daemon(3) or "
		       "fork(2)", (int)getpid(), (int)owner);
}

/*
 * Locks. The order is that of lock.h. The lock of the pool isn't among them: who holds it may
 * be in a hook of the program, and wait for whatever the program has locked.
 */

extern pthread_mutex_t *const __start_hs_locks[], *const __stop_hs_locks[];

__thread unsigned int hs_inside;

void hs_lock(pthread_mutex_t *lock)
{
	pthread_mutex_lock(lock);
	hs_inside++;
}

void hs_unlock(pthread_mutex_t *lock)
{
	hs_inside--;
	pthread_mutex_unlock(lock);
}

static void before_fork(void)
{
	pthread_mutex_t *const *l;

	/* The child gets pages, and nobody who fills them. */
	hs_lazy_wait();
	hs_arena_lock();
	for (l = __start_hs_locks; l != __stop_hs_locks; l++)
		pthread_mutex_lock(*l);
	hs_scratch_lock();
}

static void in_parent(void)
{
	pthread_mutex_t *const *l = __stop_hs_locks;

	hs_scratch_unlock();
	while (l != __start_hs_locks)
		pthread_mutex_unlock(*--l);
	hs_arena_unlock();
}

static void in_child(void)
{
	in_parent();
	hs_cpt_in_child();
	hs_pool_in_child(moving);
	hs_backend_in_child();
	hs_private_in_child(moving);
	hs_touch_in_child();
}

/* First of all: so what the program registers runs before it, and may use the library. */
__attribute__((constructor))
static void watch_forks(void)
{
	pthread_atfork(before_fork, in_parent, in_child);
}

/*
 * Daemons
 */

/* As daemon(3). */
static int detach(int nochdir, int noclose)
{
	int fd, i;

	if (setsid() < 0 || (!nochdir && chdir("/")))
		return -1;
	if (noclose)
		return 0;
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	for (i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (dup2(fd, i) < 0)
			return -1;
	if (fd > STDERR_FILENO)
		close(fd);
	return 0;
}

int hs_daemon(int nochdir, int noclose)
{
	struct hs_error *why = hs_why();
	pid_t pid;
	int err;

	if (hs_fork_child(why) || hs_cpt_settle(why))
		return -1;
	/* The child has a session of its own, with the same memory. */
	if (hs_publishing())
		hs_backend_leave();
	moving = true;
	pid = fork();
	err = errno;
	moving = false;
	if (pid > 0)
		_exit(0);
	if (pid < 0) {
		hs_pool_unlock();
		return hs_fail(why, err, "no process for the daemon");
	}
	if (owner)
		hs_fork_own();
	if (!detach(nochdir, noclose))
		return 0;
	return hs_fail(why, errno, "the daemon can't leave its terminal or directory");
}
