// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: memory that is read while the program runs, see lazy.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "fill.h"
#include "hotspare.h"
#include "lazy.h"
#include "lock.h"
#include "watchdog.h"

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW	_IO(0xAA, 0x00)	/* Linux 6.1 */
#endif

/* How often who waits looks again. */
#define LOOK_NS		1000000000ULL
#define TELL_MS		1000

enum state {
	NONE,
	STARTING,			/* the thread doesn't have its descriptors yet */
	FILLING,
	DONE,
};

static struct {
	int uffd;
	struct rlimit files;		/* as it was */
	bool raised;
	bool shared;			/* the thread has no descriptor table of its own */
	struct hs_index *ix;
	int *keep;			/* the thread's descriptors, ascending */
	size_t nr_keep;
	int64_t since, next_told;
	uint64_t pages;			/* that were missing at the beginning */
} lazy = { .uffd = -1 };

static _Atomic uint32_t state;		/* a futex */
const char *hs_lazy_device = "/dev/userfaultfd";
volatile bool hs_lazy_hold;
_Atomic unsigned int hs_lazy_waiters;

static void set_state(enum state to)
{
	state = to;
	syscall(SYS_futex, &state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void wait_a_while(enum state now, uint64_t ns)
{
	const struct timespec t = {
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000),
	};

	syscall(SYS_futex, &state, FUTEX_WAIT_PRIVATE, now, &t, NULL, 0);
}

static void wait_while(enum state now)
{
	while (state == now)
		wait_a_while(now, LOOK_NS);
}

/* A program that waits here doesn't hang: hs_may_serve() gives a sign of life. */
static void wait_until_full(void)
{
	const uint64_t pause = hs_watchdog_pause();
	int saved = errno;

	while (state == FILLING) {
		hs_may_serve();
		wait_a_while(FILLING, pause < LOOK_NS ? pause : LOOK_NS);
	}
	errno = saved;
}

/*
 * Beginning
 */

/* Faults of the kernel count as well: else read(2) into a missing page would fail. */
static int open_uffd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), device, err = errno;

	if (fd >= 0)
		return fd;
	device = open(hs_lazy_device, O_RDWR | O_CLOEXEC);
	if (device >= 0) {
		fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		close(device);
	}
	if (fd < 0)
		errno = err;
	return fd;
}

/* Each file stays open for a while. */
static void raise_limit(void)
{
	struct rlimit most;

	if (lazy.raised || getrlimit(RLIMIT_NOFILE, &lazy.files))
		return;
	most = lazy.files;
	most.rlim_cur = most.rlim_max;
	lazy.raised = !setrlimit(RLIMIT_NOFILE, &most);
}

static void restore_limit(void)
{
	if (lazy.raised)
		setrlimit(RLIMIT_NOFILE, &lazy.files);
	lazy.raised = false;
}

static bool not_lazy(const char *why, const char *next)
{
	hs_say("libhotspare: all of the memory is read before the program continues: %s%s", why, next);
	hs_lazy_end();
	return false;
}

bool hs_lazy_start(void)
{
	struct uffdio_api api = {
		.api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_REMAP,
	};

	lazy.uffd = open_uffd();
	if (lazy.uffd < 0)
		return not_lazy(strerror(errno), errno == EPERM ?
				" for userfaultfd(2): it needs CAP_SYS_PTRACE, or permission for "
				"/dev/userfaultfd, or vm.unprivileged_userfaultfd = 1" :
				" for userfaultfd(2)");
	if (ioctl(lazy.uffd, UFFDIO_API, &api))
		return not_lazy("the kernel's userfaultfd(2) has no events", "");
	raise_limit();
	lazy.since = hs_now_ms();
	return true;
}

void hs_lazy_end(void)
{
	if (lazy.uffd >= 0)
		close(lazy.uffd);
	lazy.uffd = -1;
	restore_limit();
}

/* What is there already never faults: locked memory, and what became a part of a huge page. */
static bool is_empty(const char *addr, size_t len)
{
	unsigned char resident[4096];
	size_t n;

	for (; len; addr += n, len -= n) {
		n = len < sizeof(resident) * HS_PAGE ? len : sizeof(resident) * HS_PAGE;
		if (mincore((void *)(uintptr_t)addr, n, resident) || memchr(resident, 1, n / HS_PAGE))
			return false;
	}
	return true;
}

/*
 * A child that a plain clone(2) makes would have zeros where pages are missing: it has nothing there
 * instead. fork(2) waits, so its children have everything.
 */
int hs_lazy_piece(void *addr, size_t len)
{
	struct uffdio_register r = {
		.range = { (uintptr_t)addr, len }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int err;

	if (ioctl(lazy.uffd, UFFDIO_REGISTER, &r))
		return -1;
	errno = EBUSY;
	if (is_empty(addr, len) && !madvise(addr, len, MADV_DONTFORK) &&
	    hs_fill_add((uintptr_t)addr, (uintptr_t)addr + len))
		return 0;
	err = errno;
	madvise(addr, len, MADV_DOFORK);
	ioctl(lazy.uffd, UFFDIO_UNREGISTER, &r.range);
	errno = err;
	return -1;
}

/*
 * The thread
 */

static void may_be_forked(void *arg, void *start, size_t len)
{
	(void)arg;
	madvise(start, len, MADV_DOFORK);
}

/* Everything is in place: from here on it is ordinary memory. */
static void finish(void)
{
	const struct hs_fill_stats *s;
	struct hs_error e;

	if (hs_index_done(lazy.ix, &e) && !lazy_mutant(HS_LAZY_GO_ON)) {
		hs_say("libhotspare: the program ends, although all of its memory is in place: %s", e.text);
		_exit(HS_FILL_STATUS);
	}
	close(lazy.uffd);
	hs_fill_each(may_be_forked, NULL);
	s = hs_fill_end();
	hs_say("libhotspare: all of the memory is in place after %" PRId64 " ms: %" PRIu64 " pages, %" PRIu64
	       " of them before the program ran, %" PRIu64 " of them on %" PRIu64 " faults, the others ahead",
	       hs_now_ms() - lazy.since, s->pages, s->ahead, s->asked, s->faults);
	hs_index_free(lazy.ix);
	set_state(DONE);
}

/* A table of its own, with what it needs: the program's descriptors come back with their numbers. */
static void own_descriptors(void)
{
	unsigned int from = 0;
	size_t i;

	lazy.shared = unshare(CLONE_FILES);
	if (lazy.shared)
		return;
	for (i = 0; i < lazy.nr_keep; i++) {
		unsigned int fd = (unsigned int)lazy.keep[i];

		if (from < fd)
			close_range(from, fd - 1, 0);
		from = fd + 1;
	}
	close_range(from, ~0U, 0);
}

/* How much is there, once a second. */
static void tell_progress(void)
{
	static const char full[] = "####################", none[] = "....................";
	const uint64_t left = hs_fill_missing();
	const int width = sizeof(full) - 1;
	int64_t now = hs_now_ms();
	int there;

	if (!left || now < lazy.next_told)
		return;
	lazy.next_told = now + TELL_MS;
	there = (int)((lazy.pages - left) * (uint64_t)width / lazy.pages);
	hs_say("libhotspare: [%.*s%.*s] %" PRIu64 " %% of the memory is in place, %" PRIu64 " MiB are "
	       "missing", there, full, width - there, none, (lazy.pages - left) * 100 / lazy.pages,
	       left * HS_PAGE >> 20);
}

static void *thread_main(void *arg)
{
	(void)arg;
	hs_inside++;
	own_descriptors();
	hs_fill_ahead();
	set_state(FILLING);
	while (hs_fill_missing()) {
		hs_fill_step(!hs_lazy_hold);
		tell_progress();
	}
	finish();
	return NULL;
}

/*
 * Starting it
 */

static int by_number(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int prepare(struct hs_index *ix, const struct hs_touched *touched)
{
	size_t i;

	lazy.ix = ix;
	lazy.keep = calloc(ix->nr_files + 2, sizeof(*lazy.keep));
	if (!lazy.keep || hs_fill_begin(lazy.uffd, ix, touched))
		return -1;
	lazy.keep[lazy.nr_keep++] = STDERR_FILENO;
	lazy.keep[lazy.nr_keep++] = lazy.uffd;
	for (i = 0; i < ix->nr_files; i++)
		lazy.keep[lazy.nr_keep++] = ix->files[i].fd;
	qsort(lazy.keep, lazy.nr_keep, sizeof(*lazy.keep), by_number);
	return 0;
}

/* Signals are for the program's own threads. */
static int start_thread(void)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int err;

	state = STARTING;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	err = pthread_attr_init(&attr);
	if (!err) {
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		err = pthread_create(&thread, &attr, thread_main, NULL);
		pthread_attr_destroy(&attr);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		state = NONE;
	errno = err;
	return err ? -1 : 0;
}

struct now {
	struct hs_error *e;
	int ret;
};

static void read_now(void *arg, void *start, size_t len)
{
	struct now *n = arg;

	may_be_forked(NULL, start, len);
	if (!n->ret)
		n->ret = hs_index_read(lazy.ix, start, (uintptr_t)start, len, n->e);
}

static int all_read(int ret, struct hs_error *e)
{
	if (!ret)
		ret = hs_index_done(lazy.ix, e);
	hs_index_free(lazy.ix);
	state = NONE;
	return ret;
}

/* There is no thread. */
static int fill_now(struct hs_error *e)
{
	struct now n = { .e = e };

	hs_say("libhotspare: all of the memory is read before the program continues: no thread: %s",
	       strerror(errno));
	hs_lazy_end();
	hs_fill_each(read_now, &n);
	hs_fill_end();
	free(lazy.keep);
	return all_read(n.ret, e);
}

/* The thread has its own. */
static void close_descriptors(void)
{
	size_t i;

	for (i = 0; i < lazy.nr_keep; i++)
		if (lazy.keep[i] != STDERR_FILENO)
			close(lazy.keep[i]);
}

int hs_lazy_run(struct hs_index *ix, const struct hs_touched *touched, struct hs_error *e)
{
	int ret;

	/* No piece was registered: each was read when it was met. */
	if (lazy.uffd < 0) {
		lazy.ix = ix;
		return all_read(0, e);
	}
	/* If the program has hs_malloc(3) for malloc(3), this isn't the program's. */
	hs_inside++;
	ret = prepare(ix, touched);
	lazy.pages = hs_fill_missing();
	lazy.next_told = hs_now_ms() + TELL_MS;
	ret = ret || start_thread();
	hs_inside--;
	if (ret)
		return fill_now(e);
	wait_while(STARTING);
	hs_say("libhotspare: the program continues with %" PRIu64 " pages that it touches first, and %" PRIu64
	       " MiB of its memory are read meanwhile", hs_fill_stats()->ahead,
	       (lazy.pages - hs_fill_stats()->ahead) * HS_PAGE >> 20);
	if (lazy.shared) {
		hs_say("libhotspare: but first they are read, since unshare(2) isn't permitted");
		wait_while(FILLING);
	} else {
		close_descriptors();
	}
	free(lazy.keep);
	restore_limit();
	return 0;
}

bool hs_lazy_missing(void)
{
	return state == FILLING;
}

bool hs_lazy_owes(void)
{
	return hs_lazy_missing() && lazy.ix->done;
}

void hs_lazy_wait(void)
{
	if (!hs_lazy_missing() || lazy_mutant(HS_LAZY_NO_WAIT))
		return;
	hs_lazy_waiters++;
	wait_until_full();
	hs_lazy_waiters--;
}

uint64_t hs_restart_missing(void)
{
	return hs_lazy_missing() ? hs_fill_missing() * HS_PAGE : 0;
}

void hs_restart_wait(void)
{
	wait_until_full();
}
