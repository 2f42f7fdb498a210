// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: who writes a checkpoint: a child, or a thread where the module has taken a
 * snapshot.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "hotspare.h"
#include "job.h"
#include "lock.h"
#include "own.h"
#include "touch.h"
#include "written.h"


/* As poll(2) sees it: a process that has ended, or a thread that says that it will. */
void hs_job_wait(int ended)
{
	struct pollfd p = { .fd = ended, .events = POLLIN };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

/* What the spare has, 0 if it isn't known in the way that the next cut needs. */
uint64_t hs_job_known(const struct hs_sums *sums, bool by_module)
{
	return !sums || by_module != !!hs_sums_snapshot(sums) ? 0 : hs_sums_generation(sums);
}

static int settle_base(struct hs_job *j, struct hs_error *e)
{
	struct hs_sums *sums = j->pipe->target->sums;
	bool by_module = j->snap.fd >= 0;

	if (!(j->head.flags & HS_IMAGE_INCREMENT))
		return 0;
	j->head.base = hs_job_known(sums, by_module);
	if (by_module && (!j->head.base || hs_sums_snapshot(sums) < j->snap.since))
		return hs_fail(e, ESTALE, "the previous checkpoint failed");
	if (!j->head.base)
		j->head.flags &= ~HS_IMAGE_INCREMENT;
	return 0;
}

static int write_job(struct hs_job *j, struct hs_error *e)
{
	struct hs_sums *sums = j->pipe->target->sums;
	bool by_module = j->snap.fd >= 0;

	if (by_module && hs_texts_make(&j->texts, e))
		return -1;
	if (j->before >= 0)
		hs_job_wait(j->before);
	if (settle_base(j, e))
		return -1;
	if (sums && !by_module && hs_sums_begin(sums, !j->head.base))
		return hs_fail(e, errno, "no memory for checksums: %s", strerror(errno));
	if (hs_checkpoint_write(&j->w, j->pipe->fd, &j->head, &j->texts,
				by_module ? &j->snap : NULL, sums))
		return hs_fail(e, errno, "the checkpoint can't be written: %s",
			       strerror(errno == EAGAIN ? ETIMEDOUT : errno));
	if (hs_pipe_confirm(j->pipe, e))
		return -1;
	/* The spare has it: what we know of that is another matter. */
	if (sums && by_module)
		hs_sums_set(sums, j->head.generation, j->snap.generation);
	else if (sums && hs_sums_commit(sums, j->head.generation))
		hs_sums_forget(sums);
	return 0;
}

/* Returns 0 or errno. */
int hs_job_run(void *arg)
{
	struct hs_job *j = arg;
	int err = 0;

	if (write_job(j, &j->pipe->result->why)) {
		err = errno ?: EIO;
		if (j->pipe->target->sums)
			hs_sums_forget(j->pipe->target->sums);
	}
	return err;
}

/* In the child: what was registered is gone, and its address is told. */
static struct hs_result *bad_memory_to;

static void bad_memory(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	hs_fail(&bad_memory_to->why, EFAULT, "saved memory can't be read at %p: memory that was "
		"given to hs_range() must stay mapped, or be excluded (hs_exclude)", info->si_addr);
	bad_memory_to->err = EFAULT;
	bad_memory_to->done = true;
	_exit(0);
}

static void watch_memory(struct hs_result *to)
{
	const struct sigaction a = { .sa_sigaction = bad_memory, .sa_flags = SA_SIGINFO };
	sigset_t set;

	bad_memory_to = to;
	sigaction(SIGSEGV, &a, NULL);
	sigaction(SIGBUS, &a, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigaddset(&set, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* No signal when it ends, and no handlers run that fork(2) has. */
int hs_job_fork(struct hs_result *result, int (*run)(void *arg), void *arg, struct hs_error *e)
{
	sigset_t all, old;
	int pidfd = -1;
	pid_t pid;

	result->done = false;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD, NULL, &pidfd, NULL, 0);
	if (!pid) {
		watch_memory(result);
		hs_written_wait();
		result->err = run(arg);
		result->done = true;
		_exit(0);
	}
	hs_written_after(pid);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return hs_fail(e, errno, "no process to write the checkpoint: %s", strerror(errno));
	hs_own(pidfd, "the writer of a checkpoint");
	return pidfd;
}

static void *thread_main(void *arg)
{
	uint64_t before = hs_now_ns();
	struct hs_job *j = arg;

	hs_inside++;
	j->err = hs_job_run(j);
	if (!j->err && j->pipe->target->kind == HS_TARGET_FILE)
		hs_touch_written(j->w.bytes, hs_now_ns() - before);
	eventfd_write(j->ended, 1);
	return NULL;
}

/* Signals are for the program's own threads. */
int hs_job_thread(struct hs_job *j, struct hs_error *e)
{
	sigset_t all, old;
	int err;

	j->ended = eventfd(0, EFD_CLOEXEC);
	if (j->ended < 0)
		return hs_fail(e, errno, "no descriptor: %s", strerror(errno));
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	err = pthread_create(&j->thread, NULL, thread_main, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		close(j->ended);
		return hs_fail(e, err, "no thread to write the checkpoint: %s", strerror(err));
	}
	j->pipe->ended = j->ended;
	hs_own(j->ended, "the writer of a checkpoint");
	j->pipe->job = j;
	return 0;
}

struct hs_job *hs_job_new(struct hs_error *e)
{
	struct hs_job *j = calloc(1, sizeof(*j));

	if (!j) {
		hs_fail(e, ENOMEM, "no memory");
		return NULL;
	}
	j->snap.fd = -1;
	j->before = -1;
	return j;
}

/* Leaves errno alone. */
void hs_job_free(struct hs_job *j)
{
	int saved = errno;

	hs_snapshot_close(&j->snap);
	hs_texts_free(&j->texts);
	hs_writer_free(&j->w);
	if (j->before >= 0)
		close(j->before);
	free(j);
	errno = saved;
}
