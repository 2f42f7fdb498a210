// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: taking a checkpoint. The cut comes under the arena's lock and while no thread
 * is in a section that holds checkpoints off. It is one of two:
 *
 * - A snapshot by the module. A thread of ours reads it and writes what it has.
 * - A fork. The child writes what it sees, and takes no memory: other threads may have held
 *   any lock. It ends without a signal, and nobody but us waits for it.
 *
 * Checkpoints to one place come one after another: who writes one waits for the one before
 * it, and only then looks what the spare has.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "checkpoint.h"
#include "clock.h"
#include "cpt.h"
#include "fork.h"
#include "hooks.h"
#include "hotspare.h"
#include "lock.h"
#include "pipe.h"
#include "snapshot.h"
#include "written.h"

static struct hs_image_head next_head = { .generation = 1 };
HS_LOCK(stats_lock);
static struct hs_stats stats;
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

/*
 * Sections that hold checkpoints off
 */

static pthread_rwlock_t holding = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static __thread unsigned int held;

void hs_hold(void)
{
	if (!held++)
		pthread_rwlock_rdlock(&holding);
}

void hs_release(void)
{
	if (!held)
		hs_fatal("hs_release() without hs_hold()");
	if (!--held)
		pthread_rwlock_unlock(&holding);
}

/* Those that other threads are in are no sections of the child's, which has but one thread. */
void hs_cpt_in_child(void)
{
	holding = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
	if (held)
		pthread_rwlock_rdlock(&holding);
}

/*
 * Who writes
 */

struct hs_job {
	struct hs_pipe *pipe;
	struct hs_writer w;
	struct hs_texts texts;
	struct hs_image_head head;
	struct hs_snapshot snap;	/* by the module, else fd -1 */
	int before;			/* of who writes to the same place, or -1 */
	/* a thread only */
	pthread_t thread;
	int ended;			/* eventfd */
	int err;
};

/* As poll(2) sees it: a process that has ended, or a thread that says that it will. */
static void wait_for(int ended)
{
	struct pollfd p = { .fd = ended, .events = POLLIN };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

/* What the spare has, 0 if it isn't known in the way that the next cut needs. */
static uint64_t known(const struct hs_sums *sums, bool by_module)
{
	return !sums || by_module != !!hs_sums_snapshot(sums) ? 0 : hs_sums_generation(sums);
}

static int settle_base(struct hs_job *j, struct hs_error *e)
{
	struct hs_sums *sums = j->pipe->target->sums;
	bool by_module = j->snap.fd >= 0;

	if (!(j->head.flags & HS_IMAGE_INCREMENT))
		return 0;
	j->head.base = known(sums, by_module);
	if (by_module && (!j->head.base || hs_sums_snapshot(sums) < j->snap.since))
		return hs_fail(e, ESTALE, "the checkpoint before it failed");
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
		wait_for(j->before);
	if (settle_base(j, e))
		return -1;
	if (sums && !by_module && hs_sums_begin(sums, !j->head.base))
		return hs_fail(e, errno, "no memory for sums: %s", strerror(errno));
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
static int run_job(struct hs_job *j)
{
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
	hs_fail(&bad_memory_to->why, EFAULT, "memory that is saved can't be read at %p: what "
		"hs_range() was told must stay mapped, or be left out (hs_exclude)", info->si_addr);
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
static int fork_writer(struct hs_job *j, struct hs_error *e)
{
	sigset_t all, old;
	int pidfd = -1;
	pid_t pid;

	j->pipe->result->done = false;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD, NULL, &pidfd, NULL, 0);
	if (!pid) {
		watch_memory(j->pipe->result);
		hs_written_wait();
		j->pipe->result->err = run_job(j);
		j->pipe->result->done = true;
		_exit(0);
	}
	hs_written_after(pid);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	j->pipe->ended = pidfd;
	return pid < 0 ? hs_fail(e, errno, "no process to write the checkpoint: %s",
				 strerror(errno)) : 0;
}

static void *thread_main(void *arg)
{
	struct hs_job *j = arg;

	hs_inside++;
	j->err = run_job(j);
	eventfd_write(j->ended, 1);
	return NULL;
}

/* Signals are for the program's own threads. */
static int start_thread(struct hs_job *j, struct hs_error *e)
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
	j->pipe->job = j;
	return 0;
}

/* Leaves errno alone. */
static void free_job(struct hs_job *j)
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

/*
 * Who asked for it
 */

static int reap_process(struct hs_pipe *p)
{
	siginfo_t info = { 0 };
	int ret;

	do
		ret = waitid(P_PIDFD, (id_t)p->ended, &info, WEXITED | __WALL);
	while (ret && errno == EINTR);
	/* The program may have waited for it (__WALL), or has no time for children (SIGCHLD). */
	if (p->result->done)
		return p->result->err;
	hs_fail(&p->result->why, EIO, "the process that wrote the checkpoint was killed");
	return EIO;
}

static int reap_thread(struct hs_pipe *p)
{
	int err;

	pthread_join(p->job->thread, NULL);
	err = p->job->err;
	free_job(p->job);
	p->job = NULL;
	return err;
}

/* It has ended, or will soon. Returns 0, or -1 with errno and @e. */
static int reap(struct hs_pipe *p, struct hs_error *e)
{
	int err = p->job ? reap_thread(p) : reap_process(p);

	close(p->ended);
	p->ended = -1;
	p->waited = false;
	hs_lock(&stats_lock);
	*(err ? &stats.failed : &stats.checkpoints) += 1;
	hs_unlock(&stats_lock);
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

static void reap_ended(void)
{
	struct hs_error e;
	struct hs_pipe *p;
	int i;

	for (i = 0; i < hs_pool_size(); i++) {
		p = hs_pool_at(i);
		if (p->ended < 0 || p->waited || !has_ended(p->ended))
			continue;
		if (reap(p, &e) && !async_failed) {
			async_failed = errno;
			async_why = e;
		}
	}
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

static void set_head(struct hs_job *j, int flags)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	j->head = next_head;
	j->head.time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
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
		wait_for(j->before);
	if (hs_target_full(t) ||
	    ((t->kind == HS_TARGET_FILE || hs_by_module()) && !known(t->sums, hs_by_module())))
		j->head.flags &= ~HS_IMAGE_INCREMENT;
}

static int cut_by_fork(struct hs_job *j, struct hs_error *e)
{
	if (hs_texts_make(&j->texts, e))
		return -1;
	hs_written_before(&j->texts.state.ranges, j->head.generation);
	return fork_writer(j, e);
}

/* What the process is, and its memory. */
static int cut_now(struct hs_job *j, struct hs_error *e)
{
	uint64_t since = 0;

	if (hs_texts_capture(&j->texts, e))
		return -1;
	if (!hs_by_module())
		return cut_by_fork(j, e);
	if (j->head.flags & HS_IMAGE_INCREMENT)
		since = hs_sums_snapshot(j->pipe->target->sums);
	if (!since)
		j->head.flags &= ~HS_IMAGE_INCREMENT;
	return hs_snapshot_take(&j->snap, &j->texts.state.ranges, since, e);
}

static void count_cut(uint64_t ns)
{
	hs_lock(&stats_lock);
	stats.cuts++;
	stats.pause_ns = ns;
	stats.pause_sum_ns += ns;
	if (ns > stats.pause_max_ns)
		stats.pause_max_ns = ns;
	hs_unlock(&stats_lock);
}

/* The cut itself. Returns 0, or -1 with errno and @e. */
static int cut(struct hs_job *j, struct hs_error *e)
{
	uint64_t ns;
	int ret;

	pthread_rwlock_wrlock(&holding);
	ns = hs_now_ns();
	hs_arena_lock();
	ret = cut_now(j, e);
	hs_arena_unlock();
	ns = hs_now_ns() - ns;
	pthread_rwlock_unlock(&holding);
	count_cut(ns);
	return ret;
}

void hs_stats(struct hs_stats *to)
{
	hs_lock(&stats_lock);
	*to = stats;
	hs_unlock(&stats_lock);
}

/*
 * Hooks are for the moment of the cut, not for the time until it is delivered: what one
 * locks the other one unlocks. Those after it are those that belong to the ones before it,
 * and change nothing of why it has failed.
 */
static int hooked_cut(struct hs_job *j, struct hs_error *e)
{
	struct hs_hooks hooks;
	struct hs_error text;
	int ret, err;

	if (hs_hooks_capture(&hooks))
		return hs_fail(e, ENOMEM, "no memory for the list of hooks");
	hs_hooks_before(&hooks);
	if (held)
		ret = hs_fail(e, EDEADLK, "a hook has left checkpoints held off: hs_release() "
			      "is missing");
	else
		ret = cut(j, e);
	err = errno;
	text = *e;
	hs_hooks_after(&hooks);
	hs_hooks_free(&hooks);
	*e = text;
	errno = err;
	return ret;
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
	hs_say("libhotspare: no thread is registered: who goes on with this checkpoint ends at once: see "
	       "hs_threadreg(3)");
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
	ret = hooked_cut(j, e);
	if (!ret)
		tell_no_thread(&j->texts.state.threads);
	head = j->head;
	if (!ret && j->snap.fd >= 0)
		ret = start_thread(j, e);
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
	j = calloc(1, sizeof(*j));
	if (!j) {
		hs_inside--;
		return hs_fail(e, ENOMEM, "no memory");
	}
	j->pipe = p;
	j->snap.fd = -1;
	j->before = last_writer(p);
	set_head(j, flags);
	ret = begin_job(j, e);
	if (!p->job)
		free_job(j);
	hs_inside--;
	return ret;
}

/* Returns 0, or -1 with errno and @e; sync: when it has ended. The pool is locked. */
static int take_once(int flags, struct hs_error *e)
{
	bool async = flags & HSCPT_ASYNC;
	struct hs_pipe *p;
	int ret;

	while (reap_ended(), !(p = free_pipe())) {
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
	wait_for(p->ended);
	hs_pool_lock();
	return reap(p, e);
}

/*
 * Once more if the module can't do it after all, or if it was an increment of one that
 * failed meanwhile.
 */
static int take(int flags, struct hs_error *e)
{
	bool by_module = hs_by_module();
	int ret;

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
	if (held)
		return hs_fail(&why, EDEADLK, "this thread holds checkpoints off: hs_release() "
			       "comes first");
	if (hs_in_hook())
		return in_hook();
	if (hs_fork_child(&why))
		return -1;
	hs_pool_lock();
	ret = take(flags, &why);
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
	wait_for(p->ended);
	err = p->job ? reap_thread(p) : reap_process(p);
	close(p->ended);
	return err ? hs_fail(e, err, "%s", p->result->why.text) : 0;
}

int hs_cpt_to(int fd, struct hs_error *e)
{
	struct hs_target target = { .kind = HS_TARGET_FD, .life = -1, .calling = -1 };
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
	if (held || hs_in_hook())
		return hs_fail(e, EDEADLK, "this thread is in a hook of a checkpoint, or holds "
			       "checkpoints off");
	hs_pool_lock();
	while (reap_ended(), any())
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
	while (reap_ended(), any_async())
		wait_for_any();
	err = async_failed;
	if (err)
		why = async_why;
	async_failed = 0;
	hs_pool_unlock();
	errno = err;
	return err ? -1 : 0;
}
