// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: cptctl() and cptfork(), by a session of the process.
 *
 * The list for CPT_QUERY is a memfd that parent and child share. It is complete when it
 * is sealed; until then the parent holds a lock on it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "internal.h"
#include "sys/cpt.h"

/* For the program's pthread_atfork() handlers, which run on it. */
#define FORK_STACK	32768

static struct {
	pthread_mutex_t lock;
	int session;
	int list;		/* of the last cptfork(), -1: there was none */
	uint64_t since;		/* the cut before it */
} cpt = { .lock = PTHREAD_MUTEX_INITIALIZER, .session = -1, .list = -1 };

static int negative_errno(int ret)
{
	return ret < 0 ? -errno : ret;
}

static void close_session(void)
{
	close(cpt.session);
	cpt.session = -1;
}

/*
 * Ranges
 */

/* What is wrong with a range has one name here, whatever it is. */
static int range_error(int err)
{
	switch (err) {
	case -EOPNOTSUPP:
	case -EBUSY:
	case -EEXIST:
	case -ENOENT:
	case -EXDEV:
		return -EFAULT;
	}
	return err;
}

static int install(const struct cpt_range *r, size_t nr, unsigned int flags)
{
	int ret = ckdev_session_own(&cpt.session);

	if (ret > 0) {
		cpt.since = 0;
		ret = 0;
	}
	for (; !ret && nr; r++, nr--)
		ret = range_error(ckdev_range_add(cpt.session, r->addr, r->len, flags,
						  NULL));
	return ret;
}

static int purge(const struct cpt_range *r, size_t nr)
{
	int ret = 0;

	if (cpt.session < 0 && nr)
		return -EFAULT;
	for (; !ret && nr; r++, nr--)
		ret = ckdev_range_del(cpt.session, r->addr, r->len);
	return range_error(ret);
}

static int purge_all(void)
{
	int ret = cpt.session < 0 ? 0 : ckdev_range_clear(cpt.session);

	if (ret == -EXDEV)
		close_session();
	else if (ret < 0)
		cpt.session = -1;	/* the program closed it; it isn't ours any more */
	return 0;
}

/*
 * The list
 */

static int list_lock(int list, short type)
{
	struct flock whole = { .l_type = type };

	return negative_errno(fcntl(list, F_SETLKW, &whole));
}

static int list_create(void)
{
	int list = negative_errno(memfd_create("cptfork", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	int ret;

	if (list < 0)
		return list;
	ret = list_lock(list, F_WRLCK);
	if (!ret)
		return list;
	close(list);
	return ret;
}

/* Collects what is written. */
struct list {
	int fd;
	unsigned int nr;
	struct cpt_range r[CKDEV_BATCH];
};

static int list_flush(struct list *l)
{
	size_t len = l->nr * sizeof(l->r[0]);
	ssize_t n = write(l->fd, l->r, len);

	l->nr = 0;
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

static int list_add(struct list *l, uint64_t start, uint64_t end)
{
	l->r[l->nr++] = (struct cpt_range){ ckdev_pointer(start), end - start };
	return l->nr == CKDEV_BATCH ? list_flush(l) : 0;
}

/* What became empty and is still mapped. */
static int list_add_hole(struct list *l, int snap, uint64_t start, uint64_t end)
{
	struct cptdev_segment vec[CKDEV_BATCH];
	uint64_t pos = 0;
	int ret = 0, i, n;

	while ((n = ckdev_image_layout(snap, vec, CKDEV_BATCH, &pos)) > 0) {
		for (i = 0; i < n && !ret; i++) {
			uint64_t from = ckdev_max(start, vec[i].addr);
			uint64_t to = ckdev_min(end, vec[i].addr + vec[i].len);

			if (from < to && vec[i].kind != CPTDEV_SEGMENT_UNMAPPED)
				ret = list_add(l, from, to);
		}
		if (ret)
			return ret;
	}
	return n;
}

static int list_fill(int fd, int snap)
{
	struct list l = { .fd = fd };
	struct cptdev_extent vec[CKDEV_BATCH];
	uint64_t pos = 0;
	int ret = 0, i, n;

	while ((n = ckdev_image_extents(snap, vec, CKDEV_BATCH, &pos)) > 0) {
		for (i = 0; i < n && !ret; i++) {
			uint64_t start = vec[i].addr, end = start + vec[i].len;

			if (vec[i].kind == CPTDEV_EXTENT_DATA)
				ret = list_add(&l, start, end);
			else
				ret = list_add_hole(&l, snap, start, end);
		}
		if (ret)
			return ret;
	}
	return n ? n : list_flush(&l);
}

static ssize_t query(struct cpt_range *ranges, size_t nr)
{
	struct stat st;
	ssize_t n;
	int ret;

	if (cpt.list < 0)
		return 0;
	do {
		ret = list_lock(cpt.list, F_RDLCK);
	} while (ret == -EINTR);
	if (ret || fstat(cpt.list, &st))
		return ret ? ret : -errno;
	/* The parent died, or failed. */
	if (!(fcntl(cpt.list, F_GET_SEALS) & F_SEAL_WRITE))
		return -EIO;
	n = st.st_size / (ssize_t)sizeof(*ranges);
	if ((size_t)n > nr)
		return n;
	if (pread(cpt.list, ranges, (size_t)st.st_size, 0) != st.st_size)
		return errno == EFAULT ? -EFAULT : -EIO;
	return n;
}

static ssize_t control(struct cpt_range *ranges, size_t nr, int op)
{
	if (op == CPT_PURGE_ALL)
		return purge_all();
	if (op == CPT_QUERY)
		return query(ranges, nr);
	if (nr && !ranges)
		return -EFAULT;
	switch (op) {
	case CPT_INSTALL:
		return install(ranges, nr, 0);
	case CPT_INSTALL | CPT_EXCL:
		return install(ranges, nr, CPTDEV_RANGE_EXCL);
	case CPT_PURGE:
		return purge(ranges, nr);
	}
	return -EINVAL;
}

/* As a system call says it. */
static ssize_t result(ssize_t ret, int saved_errno)
{
	errno = ret < 0 ? (int)-ret : saved_errno;
	return ret < 0 ? -1 : ret;
}

ssize_t cptctl(struct cpt_range *ranges, size_t nranges, int op)
{
	int saved = errno;
	ssize_t ret;

	pthread_mutex_lock(&cpt.lock);
	ret = control(ranges, nranges, op);
	pthread_mutex_unlock(&cpt.lock);
	return result(ret, saved);
}

/*
 * A child of init. What forks is a helper that shares the caller's memory, so that nothing
 * is copied twice; then it ends, without a signal to the caller.
 */

struct orphan {
	jmp_buf child;
	pid_t pid;		/* or -errno */
};

static int fork_and_end(void *arg)
{
	struct orphan *o = arg;

	o->pid = fork();
	if (o->pid == 0)
		longjmp(o->child, 1);	/* its stack is a copy of the caller's */
	o->pid = negative_errno(o->pid);
	return 0;
}

static pid_t fork_orphan(void)
{
	char stack[FORK_STACK] __attribute__((aligned(16)));
	sigset_t all, saved;
	struct orphan o = { .pid = 0 };
	pid_t helper;

	/* The helper must not run the caller's signal handlers. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	if (!setjmp(o.child)) {
		helper = clone(fork_and_end, stack + sizeof(stack),
			       CLONE_VM | CLONE_VFORK | CLONE_FILES, &o);
		if (helper < 0)
			o.pid = -errno;
		else
			waitpid(helper, NULL, __WCLONE);
	}
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return o.pid;
}

/*
 * Two cuts, one on each side of fork(): other threads may write meanwhile. What the child
 * has and the last one hadn't was written after the cut before the last fork and before
 * the cut after this one.
 */

/* Returns a snapshot. */
static int cut(uint32_t flags, uint64_t since, uint64_t *generation)
{
	struct cptdev_snapshot snap = {
		.size = sizeof(snap), .flags = flags, .since = since,
	};
	int ret = ckdev_snapshot(cpt.session, &snap);

	ckdev_set_out(generation, snap.generation);
	return ret;
}

static int cut_before(uint64_t *generation)
{
	int snap;

	*generation = 0;
	if (cpt.session < 0)
		return 0;
	snap = cut(0, 0, generation);
	/* After a fork() by the program: there are no ranges here. */
	if (snap == -EXDEV) {
		close_session();
		return 0;
	}
	if (snap >= 0)
		close(snap);
	return snap < 0 ? snap : 0;
}

static int cut_after(void)
{
	int snap, ret;

	if (cpt.session < 0)
		return 0;
	snap = cut(CPTDEV_SNAPSHOT_SINCE, cpt.since, NULL);
	if (snap < 0)
		return snap;
	ret = list_fill(cpt.list, snap);
	close(snap);
	return ret;
}

/* The child lives already: if this fails its CPT_QUERY does, and the next list has all. */
static void finish_list(uint64_t before)
{
	if (!cut_after() && !fcntl(cpt.list, F_ADD_SEALS, F_SEAL_WRITE))
		cpt.since = before;
	list_lock(cpt.list, F_UNLCK);
}

static pid_t fork_with_list(void)
{
	int old = cpt.list, list = list_create(), ret;
	uint64_t before;
	pid_t pid;

	if (list < 0)
		return list;
	cpt.list = list;
	ret = cut_before(&before);
	pid = ret ? ret : fork_orphan();
	if (pid < 0) {
		cpt.list = old;
		close(list);
		return pid;
	}
	if (old >= 0)
		close(old);
	if (pid)
		finish_list(before);
	else if (cpt.session >= 0)
		close_session();
	return pid;
}

pid_t cptfork(void)
{
	int saved = errno;
	pid_t pid;

	pthread_mutex_lock(&cpt.lock);
	pid = fork_with_list();
	pthread_mutex_unlock(&cpt.lock);
	return (pid_t)result(pid, saved);
}
