// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: how the writers of checkpoints ended. The pool is locked.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job.h"
#include "own.h"

int hs_reap_child(int *ended, struct hs_result *result)
{
	siginfo_t info = { 0 };
	int ret;

	do
		ret = waitid(P_PIDFD, (id_t)*ended, &info, WEXITED | __WALL);
	while (ret && errno == EINTR);
	hs_own_close(ended);
	/* The program may have waited for it (__WALL), or has no time for children (SIGCHLD). */
	if (result->done)
		return result->err;
	hs_fail(&result->why, EIO, "the process that wrote the checkpoint was killed");
	return EIO;
}

static int reap_thread(struct hs_pipe *p)
{
	int err;

	pthread_join(p->job->thread, NULL);
	err = p->job->err;
	hs_job_free(p->job);
	p->job = NULL;
	return err;
}

/* Returns 0 or errno. */
int hs_reap_writer(struct hs_pipe *p)
{
	int err;

	if (!p->job)
		return hs_reap_child(&p->ended, p->result);
	err = reap_thread(p);
	hs_own_close(&p->ended);
	return err;
}

/* It has ended, or will soon. Returns 0, or -1 with errno and @e. */
int hs_reap(struct hs_pipe *p, struct hs_error *e)
{
	int err = hs_reap_writer(p);

	p->waited = false;
	hs_stats_end(err);
	if (err && e)
		*e = p->result->why;
	hs_pipe_done(p, err);
	errno = err;
	return err ? -1 : 0;
}

static bool has_ended(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Those that nobody waits for. The first failure among them is what async_failed says. */
static int async_failed;
static struct hs_error async_why;

void hs_reap_ended(void)
{
	struct hs_error e;
	struct hs_pipe *p;
	int i;

	for (i = 0; i < hs_pool_size(); i++) {
		p = hs_pool_at(i);
		if (p->ended < 0 || p->waited || !has_ended(p->ended))
			continue;
		if (hs_reap(p, &e) && !async_failed) {
			async_failed = errno;
			async_why = e;
		}
	}
}

/* The failure among them, which is forgotten: returns 0, or errno and @e. */
int hs_reap_failed(struct hs_error *e)
{
	int err = async_failed;

	if (err)
		*e = async_why;
	async_failed = 0;
	return err;
}
