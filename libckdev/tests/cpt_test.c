// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptctl() and cptfork(), as a program uses them that writes checkpoints by child
 * processes. The backing storage is shared memory, so that the parent can look at it.
 */
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sys/cpt.h>

#include "seeds.h"

#define N	200

/* Backing storage, and what the last child did. */
struct storage {
	char image[N * PAGE];
	unsigned int listed[N];		/* how often the page was in the list */
	int ranges;
	int differs;			/* pages of the image that aren't the child's */
	int failed;			/* line that did */
};

struct program {
	char *m;
	struct storage *st;
	int go[2];			/* the child begins */
	int done[2];			/* the child has ended */
	bool forgets;			/* a child that leaves out the last range */
	char was[N * PAGE];
};

static struct program *program_new(void)
{
	struct program *p = calloc(1, sizeof(*p));

	if (!p || pipe(p->go) || pipe(p->done))
		abort();
	p->m = pages_at(NULL, N);
	p->st = (struct storage *)shared_pages(sizeof(*p->st) / PAGE + 1);
	if (!p->m || !p->st)
		abort();
	return p;
}

/* What the manual page says: guess, and ask again with as much room as is needed. */
static struct cpt_range *changes(int *nr)
{
	struct cpt_range guess[2], *r;
	ssize_t n = cptctl(guess, 1, CPT_QUERY);

	*nr = (int)n;
	r = calloc((size_t)n + 1, sizeof(*r));
	if (!r || cptctl(r, (size_t)n, CPT_QUERY) != n)
		return NULL;
	return r;
}

static void write_range(const struct program *p, const struct cpt_range *r)
{
	size_t offset = (size_t)((char *)r->addr - p->m), page;

	memcpy(p->st->image + offset, r->addr, r->len);
	for (page = offset / PAGE; page < (offset + r->len) / PAGE; page++)
		p->st->listed[page]++;
}

static int write_checkpoint(struct program *p)
{
	struct cpt_range *r = changes(&p->st->ranges);
	int i;

	if (!r || p->st->ranges < 0)
		return __LINE__;
	for (i = 0; i < p->st->ranges - p->forgets; i++)
		write_range(p, &r[i]);
	p->st->differs = 0;
	for (i = 0; i < N; i++)
		p->st->differs += !!memcmp(p->st->image + i * PAGE, p->m + i * PAGE, PAGE);
	return 0;
}

static void child(struct program *p)
{
	char c;

	close(p->go[1]);
	close(p->done[0]);
	p->st->failed = read(p->go[0], &c, 1) == 1 ? write_checkpoint(p) : __LINE__;
	_exit(0);
}

/* Nobody waits for the child, so it tells when it is done. */
static int let_child_work(struct program *p)
{
	char c;

	close(p->done[1]);
	CHECK(write(p->go[1], "g", 1) == 1);
	CHECK(read(p->done[0], &c, 1) == 0);
	close(p->done[0]);
	CHECK(pipe(p->done) == 0);
	CHECK_RET(p->st->failed, 0);
	return 0;
}

static int fork_checkpoint(struct program *p)
{
	pid_t pid;

	memset(p->st->listed, 0, sizeof(p->st->listed));
	p->st->failed = -1;
	pid = cptfork();
	if (pid == 0)
		child(p);
	CHECK(pid > 0);
	return 0;
}

static int checkpoint(struct program *p)
{
	CHECK(fork_checkpoint(p) == 0);
	return let_child_work(p);
}

static int install(char *m, size_t pages)
{
	struct cpt_range r = { m, pages * PAGE };

	return (int)cptctl(&r, 1, CPT_INSTALL);
}

/* By the old rules: locked memory, several ranges, each as it was when it is removed. */
static int test_thesis(void)
{
	struct program *p = program_new();
	struct cpt_range r[2] = { { p->m, 50 * PAGE },
				  { p->m + 100 * PAGE, 100 * PAGE } };

	CHECK(mlock(p->m, N * PAGE) == 0);
	CHECK_RET(cptctl(r, 2, CPT_INSTALL), 0);
	CHECK(checkpoint(p) == 0);
	memset(p->m + 10 * PAGE, 1, 2 * PAGE);
	memset(p->m + 60 * PAGE, 1, PAGE);		/* in no range */
	memset(p->m + 199 * PAGE, 1, PAGE);
	CHECK(checkpoint(p) == 0);
	CHECK_RET(p->st->ranges, 2);
	CHECK(p->st->listed[10] == 1 && p->st->listed[11] == 1);
	CHECK(p->st->listed[199] == 1 && p->st->listed[60] == 0);
	CHECK(!memcmp(p->st->image + 10 * PAGE, p->m + 10 * PAGE, 2 * PAGE));
	CHECK_RET(cptctl(r, 2, CPT_PURGE), 0);
	memset(p->m, 2, N * PAGE);
	CHECK(checkpoint(p) == 0);
	CHECK_RET(p->st->ranges, 0);
	CHECK_RET(cptctl(r, 2, CPT_INSTALL), 0);
	CHECK_RET(cptctl(NULL, 99, CPT_PURGE_ALL), 0);
	CHECK(checkpoint(p) == 0);
	CHECK_RET(p->st->ranges, 0);
	return 0;
}

static void write_randomly(struct program *p, unsigned int writes, bool *dirty)
{
	for (; writes; writes--) {
		size_t page = (size_t)random() % N;

		p->m[page * PAGE + (size_t)random() % PAGE]++;
		dirty[page] = true;
	}
}

static int test_exact(void)
{
	struct program *p = program_new();
	bool dirty[N], later[N];
	int round, i;

	srandom(2);
	memset(p->m, 1, N * PAGE);
	CHECK_RET(install(p->m, N), 0);
	memset(dirty, 1, sizeof(dirty));
	for (round = 0; round < 40; round++) {
		memcpy(p->was, p->m, N * PAGE);
		CHECK(fork_checkpoint(p) == 0);
		/* The parent goes on before the child has begun. */
		memset(later, 0, sizeof(later));
		write_randomly(p, (unsigned int)random() % (N / 2), later);
		CHECK(let_child_work(p) == 0);
		for (i = 0; i < N; i++)
			CHECK_RET(p->st->listed[i], dirty[i]);
		CHECK(!memcmp(p->st->image, p->was, N * PAGE));
		memcpy(dirty, later, sizeof(dirty));
	}
	return 0;
}

/*
 * Threads that don't stop for the checkpoint. Whatever instant the child has: the lists up
 * to then must lead there.
 */
static volatile bool stop;

static void *writer(void *arg)
{
	struct program *p = arg;
	unsigned int seed = (unsigned int)gettid();

	while (!stop)
		++*(volatile char *)(p->m + (size_t)rand_r(&seed) % (N * PAGE));
	return NULL;
}

#define ROUNDS	15

static int count_differences(bool forgets, int *differences)
{
	struct program *p = program_new();
	pthread_t t[2];
	int round;

	*differences = 0;
	memset(p->m, 1, N * PAGE);
	CHECK_RET(install(p->m, N), 0);
	CHECK(!pthread_create(&t[0], NULL, writer, p) &&
	      !pthread_create(&t[1], NULL, writer, p));
	for (round = 0; round < ROUNDS; round++) {
		p->forgets = forgets && round == ROUNDS / 2;
		CHECK(checkpoint(p) == 0);
		*differences += p->st->differs;
	}
	stop = true;
	CHECK(!pthread_join(t[0], NULL) && !pthread_join(t[1], NULL));
	return 0;
}

static int test_threads(void)
{
	int differences;

	CHECK(count_differences(false, &differences) == 0);
	CHECK_RET(differences, 0);
	return 0;
}

static int test_forgetful(void)
{
	int differences;

	CHECK(count_differences(true, &differences) == 0);
	CHECK(differences > 0);
	return 0;
}

static int test_query(void)
{
	struct cpt_range r[4], guard = { (void *)0x77, 0x77 };
	char *m = pages_at(NULL, 9);

	CHECK_RET(cptctl(NULL, 0, CPT_QUERY), 0);
	CHECK_RET(install(m, 9), 0);
	m[0] = 1;
	m[3 * PAGE] = 1;
	m[4 * PAGE] = 1;
	m[8 * PAGE] = 1;
	if (cptfork() == 0)
		_exit(0);
	/* The parent may ask, too. Too little room: nothing is written. */
	r[0] = guard;
	r[3] = guard;
	CHECK_RET(cptctl(NULL, 0, CPT_QUERY), 3);
	CHECK_RET(cptctl(r, 2, CPT_QUERY), 3);
	CHECK(!memcmp(&r[0], &guard, sizeof(guard)));
	CHECK_RET(cptctl(r, 4, CPT_QUERY), 3);
	CHECK(r[0].addr == m && r[0].len == PAGE);
	CHECK(r[1].addr == m + 3 * PAGE && r[1].len == 2 * PAGE);
	CHECK(r[2].addr == m + 8 * PAGE && r[2].len == PAGE);
	CHECK(!memcmp(&r[3], &guard, sizeof(guard)));
	CHECK_FAILS(cptctl((struct cpt_range *)8, 4, CPT_QUERY), EFAULT);
	/* The same answer until the next one. */
	m[0]++;
	CHECK_RET(cptctl(r, 3, CPT_QUERY), 3);
	if (cptfork() == 0)
		_exit(0);
	CHECK_RET(cptctl(r, 3, CPT_QUERY), 1);
	return 0;
}

static int test_errors(void)
{
	char *m = pages_at(NULL, 4);
	struct cpt_range r = { m, PAGE }, unaligned = { m + 1, PAGE }, part = { m, 1 };
	struct cpt_range none = { m, 0 }, gone = { m + 2 * PAGE, 2 * PAGE };
	struct cpt_range shared = { shared_pages(1), PAGE };
	int fd;

	munmap(m + 3 * PAGE, PAGE);
	CHECK_FAILS(cptctl(&r, 1, 0), EINVAL);
	CHECK_FAILS(cptctl(&r, 1, 99), EINVAL);
	CHECK_FAILS(cptctl(&r, 1, CPT_PURGE | CPT_EXCL), EINVAL);
	CHECK_FAILS(cptctl(NULL, 1, CPT_INSTALL), EFAULT);
	CHECK_FAILS(cptctl(NULL, 1, CPT_PURGE), EFAULT);
	CHECK_FAILS(cptctl(&unaligned, 1, CPT_INSTALL), EINVAL);
	CHECK_FAILS(cptctl(&part, 1, CPT_INSTALL), EINVAL);
	CHECK_FAILS(cptctl(&none, 1, CPT_INSTALL), EINVAL);
	CHECK_FAILS(cptctl(&gone, 1, CPT_INSTALL), EFAULT);
	CHECK_FAILS(cptctl(&shared, 1, CPT_INSTALL), EFAULT);
	CHECK_FAILS(cptctl(&r, 1, CPT_PURGE), EFAULT);
	CHECK_RET(cptctl(NULL, 0, CPT_INSTALL), 0);
	CHECK_RET(cptctl(&r, 1, CPT_INSTALL), 0);
	CHECK_FAILS(cptctl(&unaligned, 1, CPT_PURGE), EINVAL);
	CHECK_FAILS(cptctl(&gone, 1, CPT_PURGE), EFAULT);
	/* What another session has; and then it hasn't. */
	fd = ckdev_open();
	r.addr = m + PAGE;
	CHECK_RET(ckdev_range_add(fd, r.addr, PAGE, 0, NULL), 0);
	CHECK_FAILS(cptctl(&r, 1, CPT_INSTALL), EFAULT);
	close(fd);
	errno = 77;
	CHECK_RET(cptctl(&r, 1, CPT_INSTALL), 0);
	CHECK(errno == 77);
	return 0;
}

/* Ranges overlap and merge, parts are purged, nothing is locked. */
static int test_better(void)
{
	struct program *p = program_new();
	struct cpt_range r[3] = { { p->m, 20 * PAGE }, { p->m + 10 * PAGE, 40 * PAGE },
				  { p->m + 50 * PAGE, 10 * PAGE } };
	struct cpt_range hole = { p->m + 5 * PAGE, 50 * PAGE };
	int i;

	CHECK_RET(cptctl(r, 3, CPT_INSTALL), 0);
	CHECK_FAILS(cptctl(r, 1, CPT_INSTALL | CPT_EXCL), EFAULT);
	memset(p->m, 1, N * PAGE);
	CHECK(checkpoint(p) == 0);
	CHECK_RET(p->st->ranges, 1);
	for (i = 0; i < N; i++)
		CHECK_RET(p->st->listed[i], i < 60);
	CHECK_RET(cptctl(&hole, 1, CPT_PURGE), 0);
	memset(p->m, 2, N * PAGE);
	CHECK(checkpoint(p) == 0);
	for (i = 0; i < N; i++)
		CHECK_RET(p->st->listed[i], i < 5 || (i >= 55 && i < 60));
	CHECK_RET(cptctl(&hole, 1, CPT_INSTALL | CPT_EXCL), 0);
	return 0;
}

/* Content that goes is a change; memory that is gone can't be read. */
static int test_holes(void)
{
	struct program *p = program_new();
	struct cpt_range r[9];

	memset(p->m, 1, N * PAGE);
	CHECK_RET(install(p->m, N), 0);
	CHECK(checkpoint(p) == 0);
	madvise(p->m + 10 * PAGE, 4 * PAGE, MADV_DONTNEED);
	munmap(p->m + 12 * PAGE, PAGE);
	if (cptfork() == 0)
		_exit(0);
	CHECK_RET(cptctl(r, ARRAY_SIZE(r), CPT_QUERY), 2);
	CHECK(r[0].addr == p->m + 10 * PAGE && r[0].len == 2 * PAGE);
	CHECK(r[1].addr == p->m + 13 * PAGE && r[1].len == PAGE);
	return 0;
}

static int test_large(void)
{
	size_t size = 5UL << 30;
	char *m = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct cpt_range r[3] = { { m, size } };

	CHECK(m != MAP_FAILED);
	madvise(m, size, MADV_NOHUGEPAGE);
	CHECK_RET(cptctl(r, 1, CPT_INSTALL), 0);
	m[0] = 1;
	m[size - 1] = 1;
	if (cptfork() == 0)
		_exit(0);
	CHECK_RET(cptctl(r, 3, CPT_QUERY), 2);
	CHECK(r[0].addr == m && r[1].addr == m + size - PAGE && r[1].len == PAGE);
	return 0;
}

/*
 * The child
 */

static volatile sig_atomic_t chld, usr1;
static int prepared, in_parent, in_child;

static void on_signal(int sig)
{
	if (sig == SIGCHLD)
		chld++;
	else
		usr1++;
}

static void on_prepare(void)
{
	prepared++;
}

static void on_parent(void)
{
	in_parent++;
}

static void on_child(void)
{
	in_child++;
}

static bool blocked(int sig)
{
	sigset_t now;

	pthread_sigmask(SIG_SETMASK, NULL, &now);
	return sigismember(&now, sig);
}

static bool signals_work(void)
{
	int before = usr1;

	/* By the number that the C library remembers. */
	pthread_kill(pthread_self(), SIGUSR1);
	raise(SIGUSR1);
	return usr1 == before + 2 && blocked(SIGUSR2) && !blocked(SIGUSR1);
}

static int inspect_child(pid_t parent)
{
	if (getppid() == parent || getpid() == parent || getpid() != gettid())
		return __LINE__;
	if (in_child != 1 || in_parent != 0 || prepared != 1 || !signals_work())
		return __LINE__;
	return waitpid(-1, NULL, 0) == -1 && errno == ECHILD ? 0 : __LINE__;
}

static bool gone(pid_t pid)
{
	int i;

	for (i = 0; i < 1000; i++, usleep(10000))
		if (kill(pid, 0) && errno == ESRCH)
			return true;
	return false;
}

static void *fork_and_inspect(void *arg)
{
	int *result = (int *)shared_pages(1), end[2];
	pid_t parent = getpid(), pid;
	sigset_t usr2;
	char c;

	(void)arg;
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
	*result = __LINE__;
	if (pipe(end))
		return result;
	pid = cptfork();
	if (pid == 0) {
		*result = inspect_child(parent);
		_exit(0);
	}
	close(end[1]);
	if (pid < 0 || read(end[0], &c, 1) != 0)
		return result;
	if (*result == 0 && !signals_work())
		*result = __LINE__;
	if (*result == 0 && (prepared != 1 || in_parent != 1 || in_child != 0))
		*result = __LINE__;
	if (*result == 0 && (waitpid(-1, NULL, __WALL) != -1 || errno != ECHILD || chld))
		*result = __LINE__;
	if (*result == 0 && !gone(pid))
		*result = __LINE__;
	return result;
}

static int inspect(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGCHLD, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(!pthread_atfork(on_prepare, on_parent, on_child));
	return 0;
}

static int test_child(void)
{
	CHECK(inspect() == 0);
	CHECK_RET(*(int *)fork_and_inspect(NULL), 0);
	return 0;
}

static int test_thread(void)
{
	pthread_t t;
	void *result;

	CHECK(inspect() == 0);
	CHECK(!pthread_create(&t, NULL, fork_and_inspect, NULL));
	CHECK(!pthread_join(t, &result));
	CHECK_RET(*(int *)result, 0);
	return 0;
}

static int limit_processes(rlim_t nr)
{
	struct rlimit limit = { nr, 10 };

	return setrlimit(RLIMIT_NPROC, &limit);
}

/* No child: nothing is forgotten, so the next one has what this one would have had. */
static int test_no_child(void)
{
	struct program *p = program_new();

	memset(p->m, 1, N * PAGE);
	CHECK_RET(install(p->m, N), 0);
	CHECK(checkpoint(p) == 0);
	CHECK(!setgroups(0, NULL) && !setgid(1000) && !setuid(1000));
	p->m[3 * PAGE]++;
	CHECK(limit_processes(1) == 0);
	CHECK_FAILS(cptfork(), EAGAIN);
	p->m[5 * PAGE]++;
	CHECK(limit_processes(2) == 0);
	CHECK_FAILS(cptfork(), EAGAIN);
	CHECK_RET(cptctl(NULL, 0, CPT_QUERY), 1);	/* of the one that succeeded */
	CHECK(limit_processes(3) == 0);
	CHECK(checkpoint(p) == 0);
	CHECK_RET(p->st->ranges, 2);
	CHECK(p->st->listed[3] == 1 && p->st->listed[5] == 1);
	CHECK_RET(p->st->differs, 0);
	return 0;
}

/* A child of the program's own has no ranges. It may have some. */
static int use_in_child(struct program *p)
{
	struct cpt_range r = { p->m, PAGE };

	/* The pipes so far are the parent's too, and wouldn't end. */
	CHECK(!pipe(p->go) && !pipe(p->done));
	CHECK_FAILS(cptctl(&r, 1, CPT_PURGE), EFAULT);
	CHECK_RET(cptctl(NULL, 0, CPT_PURGE_ALL), 0);
	CHECK(checkpoint(p) == 0);
	CHECK_RET(p->st->ranges, 0);
	CHECK_RET(install(p->m, 1), 0);
	CHECK(checkpoint(p) == 0);
	CHECK_RET(p->st->ranges, 1);
	p->m[0]++;
	CHECK(checkpoint(p) == 0);
	CHECK_RET(p->st->ranges, 1);
	return 0;
}

static int test_forked(void)
{
	struct program *p = program_new();
	pid_t pid;

	memset(p->m, 1, N * PAGE);
	CHECK_RET(install(p->m, N), 0);
	CHECK(checkpoint(p) == 0);
	p->m[7 * PAGE]++;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int ret = use_in_child(p);

		fflush(stdout);
		_exit(ret);
	}
	CHECK_RET(child_status(pid), 0);
	CHECK(checkpoint(p) == 0);
	CHECK_RET(p->st->ranges, 1);
	CHECK_RET(p->st->listed[7], 1);
	return 0;
}

const struct test cpt_tests[] = {
	{ "cptfork: as the thesis has it, by the old rules", test_thesis },
	{ "cptfork: the child has the memory as it was, the list is exact", test_exact },
	{ "cptfork: while threads write, the lists lead to what the child has", test_threads },
	{ "cptfork: a range left out of a list is noticed", test_forgetful },
	{ "cptctl: QUERY tells how much room is needed", test_query },
	{ "cptctl: wrong arguments", test_errors },
	{ "cptctl: ranges merge, parts are purged, overlaps are refused on demand",
	  test_better },
	{ "cptctl: QUERY has what became zeros, not what is unmapped", test_holes },
	{ "cptctl: a range of more than 4 GiB", test_large },
	{ "cptfork: the child is nobody's, and signals are as before", test_child },
	{ "cptfork: the same by another thread", test_thread },
	{ "cptfork: without a child nothing is forgotten", test_no_child },
	{ "cptctl: a child of fork() has ranges of its own", test_forked },
};
const unsigned int nr_cpt_tests = ARRAY_SIZE(cpt_tests);
