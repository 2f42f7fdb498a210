// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: taking a checkpoint: which pipe it goes to, after which one, and who waits for it.
 *
 * Checkpoints to one place come one after another: who writes one waits for the one before
 * it, and only then looks what the spare has.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "fork.h"
#include "hooks.h"
#include "hotspare.h"
#include "job.h"
#include "lazy.h"
#include "lock.h"
#include "own.h"
#include "publish.h"
#include "schedule.h"

static struct hs_image_head next_head = { .generation = 1 };
static __thread struct hs_error why;

const char *hs_error(void)
{
	return why.text;
}

struct hs_error *hs_why(void)
{
	return &why;
}

/* Those of a new run, or those that follow @before. */
int hs_cpt_start(const struct hs_image_head *before)
{
	next_head.generation = before ? before->generation + 1 : 1;
	if (before)
		memcpy(next_head.app, before->app, sizeof(next_head.app));
	else
		snprintf(next_head.app, sizeof(next_head.app), "%s",
			 program_invocation_short_name);
	return getrandom(next_head.run, sizeof(next_head.run), 0) == sizeof(next_head.run) ?
		0 : -1;
}
/* A free one, after the one that was taken last. NULL: all are busy. */
static struct hs_pipe *free_pipe(void)
{
	static int last;
	struct hs_pipe *p;
	int i, n = hs_pool_size();

	for (i = 1; i <= n; i++) {
		p = hs_pool_at((last + i) % n);
		if (p->ended < 0 && !p->waited) {
			last = (last + i) % n;
			return p;
		}
	}
	return NULL;
}

/* The one that ends first may be any: so a little at a time. */
static void wait_for_any(void)
{
	const struct timespec little = { .tv_nsec = 1000000 };

	hs_pool_unlock();
	nanosleep(&little, NULL);
	hs_pool_lock();
}

/* Who writes to the same place, and began last: a descriptor of its own, or -1. */
static int last_writer(const struct hs_pipe *p)
{
	const struct hs_pipe *other, *last = NULL;
	int i;

	for (i = 0; i < hs_pool_size(); i++) {
		other = hs_pool_at(i);
		if (other != p && other->ended >= 0 && other->target == p->target &&
		    (!last || other->generation > last->generation))
			last = other;
	}
	return last ? fcntl(last->ended, F_DUPFD_CLOEXEC, 0) : -1;
}

void hs_cpt_head(struct hs_image_head *head)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*head = next_head;
	head->time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void set_head(struct hs_job *j, int flags)
{
	hs_cpt_head(&j->head);
	if (flags & HSCPT_INCR && j->pipe->target->sums)
		j->head.flags |= HS_IMAGE_INCREMENT;
}

/*
 * A file's name says whether it is an increment, and a snapshot is of what changed since
 * something: then what the spare has must be known now.
 */
static void settle_flags(struct hs_job *j)
{
	const struct hs_target *t = j->pipe->target;

	if (t->kind == HS_TARGET_FILE && j->before >= 0)
		hs_job_wait(j->before);
	if (hs_target_full(t) ||
	    ((t->kind == HS_TARGET_FILE || hs_by_module()) && !hs_job_known(t->sums, hs_by_module())))
		j->head.flags &= ~HS_IMAGE_INCREMENT;
}
static void remember(struct hs_pipe *p, const struct hs_image_head *head)
{
	p->generation = head->generation;
	memcpy(p->run, head->run, sizeof(p->run));
	p->whole = !(head->flags & HS_IMAGE_INCREMENT);
	next_head.generation++;
}

/* Once: it may be what the program wants, with a hook that does all. */
static void tell_no_thread(const struct hs_threads *threads)
{
	static bool told;

	if (threads->nr || told)
		return;
	told = true;
	hs_say("libhotspare: no thread is registered: a program that continues from this "
	       "checkpoint ends at once: see hs_threadreg(3)");
}

void hs_cpt_taken(const struct hs_job *j)
{
	tell_no_thread(&j->texts.state.threads);
	next_head.generation++;
}

/* Returns 0, or -1 with errno and @e. A thread that was started has the job then. */
static int begin_job(struct hs_job *j, struct hs_error *e)
{
	struct hs_pipe *p = j->pipe;
	struct hs_image_head head;
	int ret;

	settle_flags(j);
	if (hs_writer_create(&j->w))
		return hs_fail(e, ENOMEM, "no memory");
	if (hs_pipe_open(p, &j->head, e))
		return -1;
	/* Connecting has told what the spare has. */
	if (p->target->kind != HS_TARGET_FILE)
		settle_flags(j);
	ret = hs_cut(j, e);
	if (!ret)
		tell_no_thread(&j->texts.state.threads);
	head = j->head;
	if (!ret && j->snap.fd >= 0)
		ret = hs_job_thread(j, e);
	if (ret)
		hs_pipe_done(p, errno);
	else
		remember(p, &head);
	return ret;
}

static int begin(struct hs_pipe *p, int flags, struct hs_error *e)
{
	struct hs_job *j;
	int ret;

	/* It is written to while the checkpoint is written: it must not be part of that. */
	hs_inside++;
	j = hs_job_new(e);
	if (!j) {
		hs_inside--;
		return -1;
	}
	j->pipe = p;
	j->before = last_writer(p);
	set_head(j, flags);
	ret = begin_job(j, e);
	if (!p->job)
		hs_job_free(j);
	hs_inside--;
	return ret;
}

/* Returns 0, or -1 with errno and @e; sync: when it has ended. The pool is locked. */
static int take_once(int flags, struct hs_error *e)
{
	bool async = flags & HSCPT_ASYNC;
	struct hs_pipe *p;
	int ret;

	while (hs_reap_ended(), !(p = free_pipe())) {
		if (async)
			return hs_fail(e, EAGAIN, "each pipe has a checkpoint under way");
		wait_for_any();
	}
	p->waited = !async;
	ret = begin(p, flags, e);
	if (ret || async) {
		p->waited = false;
		return ret;
	}
	hs_pool_unlock();
	hs_job_wait(p->ended);
	hs_pool_lock();
	return hs_reap(p, e);
}

/*
 * Once more if the module can't do it after all, or if it was an increment of one that
 * failed meanwhile.
 */
static int take(int flags, struct hs_error *e)
{
	bool by_module = hs_by_module();
	int ret;

	if (hs_publishing())
		return hs_publish_take(flags, e);
	if (!hs_pool_size())
		return hs_fail(e, ENOENT, "there is no pipe: see hs_cpipe_init(3)");
	ret = take_once(flags, e);
	if (ret && by_module && (errno == ESTALE || !hs_by_module()))
		ret = take_once(flags, e);
	return ret;
}

static int in_hook(void)
{
	return hs_fail(&why, EDEADLK, "this thread is in a hook of a checkpoint");
}

int hs_cpt(int flags)
{
	int ret;

	if (flags & ~(HSCPT_ASYNC | HSCPT_INCR))
		return hs_fail(&why, EINVAL, "unknown flags");
	if (hs_held())
		return hs_fail(&why, EDEADLK, "this thread is between hs_hold() and hs_release(): "
			       "call hs_release() first");
	if (hs_in_hook())
		return in_hook();
	if (hs_fork_child(&why))
		return -1;
	if (flags & HSCPT_ASYNC && hs_lazy_missing())
		return hs_fail(&why, EAGAIN, "%llu KiB of the memory are still to be read, see "
			       "hs_restart_wait(3)",
			       (unsigned long long)hs_restart_missing() >> 10);
	hs_lazy_wait();
	hs_pool_lock();
	ret = hs_own_check(&why) ? -1 : take(flags, &why);
	if (!ret)
		hs_cut_go_on();
	hs_pool_unlock();
	return ret;
}

static int cut_to(struct hs_pipe *p, struct hs_error *e)
{
	int ret, err;

	hs_pool_lock();
	ret = begin(p, 0, e);
	hs_pool_unlock();
	if (ret)
		return -1;
	hs_job_wait(p->ended);
	err = hs_reap_writer(p);
	return err ? hs_fail(e, err, "%s", p->result->why.text) : 0;
}

int hs_cpt_to(int fd, struct hs_error *e)
{
	struct hs_target target = { .kind = HS_TARGET_FD };
	struct hs_pipe p = {
		.target = &target, .fd = fd, .ended = -1, .file = { .fd = -1, .directory = -1 },
	};
	bool by_module = hs_by_module();
	int ret;

	p.result = mmap(NULL, sizeof(*p.result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (p.result == MAP_FAILED)
		return hs_fail(e, ENOMEM, "no memory");
	ret = cut_to(&p, e);
	if (ret && by_module && !hs_by_module() && !ftruncate(fd, 0))
		ret = cut_to(&p, e);
	munmap(p.result, sizeof(*p.result));
	return ret;
}

static bool any_async(void)
{
	int i;

	for (i = 0; i < hs_pool_size(); i++)
		if (hs_pool_at(i)->ended >= 0 && !hs_pool_at(i)->waited)
			return true;
	return false;
}

static bool any(void)
{
	int i;

	for (i = 0; i < hs_pool_size(); i++)
		if (hs_pool_at(i)->ended >= 0 || hs_pool_at(i)->waited)
			return true;
	return false;
}

int hs_cpt_settle(struct hs_error *e)
{
	if (hs_held() || hs_in_hook())
		return hs_fail(e, EDEADLK, "this thread is in a hook of a checkpoint, or between "
			       "hs_hold() and hs_release()");
	hs_pool_lock();
	if (hs_own_check(e)) {
		hs_pool_unlock();
		return -1;
	}
	while (hs_reap_ended(), any())
		wait_for_any();
	return 0;
}

int hs_cpt_wait(void)
{
	int err;

	if (hs_in_hook())
		return in_hook();
	if (hs_fork_child(&why))
		return -1;
	hs_pool_lock();
	if (hs_own_check(&why)) {
		hs_pool_unlock();
		return -1;
	}
	while (hs_reap_ended(), any_async())
		wait_for_any();
	err = hs_reap_failed(&why);
	if (hs_publishing() && hs_publish_wait(&why))
		err = errno;
	hs_pool_unlock();
	errno = err;
	return err ? -1 : 0;
}
