// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exactness: memory that is written to by the kernel, by devices, by other processes and
 * by several threads. See exact.c.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "exact.h"
#include "io_uring.h"
#include "kselftest.h"

#define THREADS	4

static void op_store(void)
{
	unsigned int n;
	char *p = pages(128, &n);

	fill(p, n * PAGE);
}

static void op_store_one(void)
{
	poke(t.m + rnd(PAGES * PAGE));
}

/* Each of some threads writes to pages of its own; cuts are made meanwhile. */
static void *thread_writes(void *arg)
{
	uint64_t mine = (unsigned long)arg * 2 + 1;
	int i;

	for (i = 0; i < 300; i++)
		t.m[t_random(&mine) % 64 * PAGE * (PAGES / 64) + t_random(&mine) % PAGE]++;
	return NULL;
}

static void op_threads(void)
{
	pthread_t thread[THREADS];
	unsigned int i;

	for (i = 0; i < 64; i++)
		written(t.m + i * PAGE * (PAGES / 64), 1);
	huge_touched(t.m, PAGES);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, thread_writes, (void *)(rnd(1000000) * 4 + i));
	if (rnd(4))
		close(check_later(NULL));
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

static void op_recv(void)
{
	static char buf[8 * PAGE];
	unsigned int n;
	char *p = pages(8, &n);
	int fds[2];

	random_bytes(buf, sizeof(buf));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return;
	written(p, n);
	huge_touched(p, n);
	if (write(fds[0], buf, n * PAGE) > 0 && recv(fds[1], p, n * PAGE, 0) < 0)
		fail("recv", -1);
	close(fds[0]);
	close(fds[1]);
}

static void op_read(void)
{
	unsigned int n;
	char *p = pages(4, &n);
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	written(p, n);
	huge_touched(p, n);
	if (read(fd, p + rnd(PAGE), (n - 1) * PAGE + 1) < 0)
		fail("read", -1);
	close(fd);
}

static void op_vm_writev(void)
{
	static char buf[8 * PAGE];
	struct iovec local, remote;
	unsigned int n;
	char *p = pages(8, &n);

	random_bytes(buf, sizeof(buf));
	local = (struct iovec) { .iov_base = buf, .iov_len = n * PAGE };
	remote = (struct iovec) { .iov_base = p, .iov_len = n * PAGE };
	behind(p, n);
	if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) < 0)
		fail("process_vm_writev", errno);
}

static void op_proc_mem(void)
{
	char buf[256];
	unsigned int n;
	char *p = pages(1, &n);

	random_bytes(buf, sizeof(buf));
	behind(p, 1);
	if (pwrite(t.mem, buf, sizeof(buf), (unsigned long)p + rnd(PAGE - 256)) < 0)
		fail("/proc/self/mem", errno);
}

/* Writes by force to memory that is read-only, with a cut between them. */
static void op_proc_mem_readonly(void)
{
	unsigned int n, i;
	char *p = pages(4, &n);

	because(CAUSE_PROTECT, p, n, 6);
	huge_touched(p, n);
	mprotect(p, n * PAGE, PROT_READ);
	for (i = 0; i < 2; i++) {
		char c = rnd(256);

		behind(p, n);
		if (pwrite(t.mem, &c, 1, (unsigned long)p + rnd(n * PAGE)) < 0)
			fail("/proc/self/mem, read-only", errno);
		check();
	}
	mprotect(p, n * PAGE, PROT_READ | PROT_WRITE);
	if (rnd(2))
		fill(p, n * PAGE);
}

/*
 * Another process: it was forked before there was any memory of ours to inherit.
 */
enum { HELP_WRITEV, HELP_PROC_MEM, HELP_POKE, HELP_KINDS };

struct help {
	int kind;
	unsigned long addr;
	size_t len;
	uint64_t seed;
};

static int helper_in, helper_out;

static bool help_poke(pid_t pid, const struct help *h)
{
	unsigned long data = h->seed;
	bool ok;

	if (ptrace(PTRACE_SEIZE, pid, 0, 0) || ptrace(PTRACE_INTERRUPT, pid, 0, 0))
		return false;
	ok = waitpid(pid, NULL, __WALL) == pid &&
		!ptrace(PTRACE_POKEDATA, pid, (void *)(h->addr & ~7UL), (void *)data);
	ptrace(PTRACE_DETACH, pid, 0, 0);
	return ok;
}

static bool help(pid_t pid, const struct help *h)
{
	static char buf[4 * PAGE];
	struct iovec local = { .iov_base = buf, .iov_len = h->len };
	struct iovec remote = { .iov_base = (void *)h->addr, .iov_len = h->len };
	char path[64];
	bool ok;
	int fd;

	memset(buf, h->seed, sizeof(buf));
	switch (h->kind) {
	case HELP_WRITEV:
		return process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)h->len;
	case HELP_PROC_MEM:
		snprintf(path, sizeof(path), "/proc/%d/mem", pid);
		fd = open(path, O_RDWR | O_CLOEXEC);
		ok = pwrite(fd, buf, h->len, h->addr) == (ssize_t)h->len;
		close(fd);
		return ok;
	default:
		return help_poke(pid, h);
	}
}

void helper_start(void)
{
	int in[2], out[2];
	pid_t parent = getpid();
	struct help h;
	char ok;

	if (pipe(in) || pipe(out))
		return;
	if (fork()) {
		helper_in = in[1];
		helper_out = out[0];
		close(in[0]);
		close(out[1]);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(in[1]);
	while (read(in[0], &h, sizeof(h)) == sizeof(h)) {
		ok = help(parent, &h);
		if (write(out[1], &ok, 1) != 1)
			break;
	}
	_exit(0);
}

static void op_other_process(void)
{
	unsigned int n;
	char *p = pages(4, &n), ok = 0;
	struct help h = {
		.kind = rnd(HELP_KINDS), .addr = (unsigned long)p, .len = n * PAGE,
		.seed = rnd(1UL << 60),
	};

	behind(p, n);
	if (write(helper_in, &h, sizeof(h)) != sizeof(h) || read(helper_out, &ok, 1) != 1 || !ok)
		fail("another process can't write to us", h.kind);
}

/* A device writes, and is done before the call returns. */
static void op_direct(void)
{
	unsigned int n;
	char *p = pages(8, &n);

	if (t.disk < 0)
		return;
	behind(p, n);
	if (pread(t.disk, p, n * PAGE, rnd(256) * PAGE) != (ssize_t)(n * PAGE))
		fail("O_DIRECT", errno);
}

/*
 * A cut while a device writes. The snapshot may have the old content or the new, but it
 * doesn't change any more; the next one has what landed.
 */
static void op_direct_in_flight(void)
{
	struct cptdev_snapshot s;
	char first[PAGE], later[PAGE];
	struct t_uring u;
	unsigned int n, i;
	char *p = pages(4, &n);
	int fd;

	if (t.disk < 0 || t_uring_open(&u))
		return;
	fill(p, n * PAGE);
	behind(p, n);
	for (i = 0; i < n; i++)
		t_uring_submit(&u, IORING_OP_READ, t.disk, p + i * PAGE, PAGE, rnd(256) * PAGE);
	fd = check_later(&s);
	t.landed += s.copied;
	if (s.pages && pread(fd, first, PAGE, (s.pages - 1) * PAGE) != (ssize_t)PAGE)
		fail("an open snapshot can't be read", -1);
	for (i = 0; i < n; i++)
		if (t_uring_wait(&u) != (int)PAGE)
			fail("a read in flight", -1);
	if (s.pages && pread(fd, later, PAGE, (s.pages - 1) * PAGE) != (ssize_t)PAGE)
		fail("an open snapshot can't be read", -1);
	if (s.pages && memcmp(first, later, PAGE))
		fail("an open snapshot changed under I/O", -1);
	close(fd);
	t_uring_close(&u);
	check();
}

/* Pages that stay pinned over several cuts, written in between. */
static void op_pinned(void)
{
	unsigned int n, i;
	char *p = pages(4, &n);
	struct t_uring u;

	if (t.disk < 0 || t_uring_open(&u))
		return;
	if (t_uring_pin(&u, p, n * PAGE) == 0) {
		for (i = 0; i < 2; i++) {
			behind(p, n);
			if (t_uring_read_fixed(&u, t.disk, p, n * PAGE,
					       rnd(256) * PAGE) < 0)
				fail("a read into pinned pages", -1);
			check();
			if (rnd(2))
				fill(p, n * PAGE);
		}
	}
	/* The kernel lets them go when it likes. */
	because(CAUSE_FLIGHT, p, n, 20);
	t_uring_close(&u);
}

static void op_vmsplice(void)
{
	unsigned int n;
	char *p = pages(4, &n);
	struct iovec iov = { .iov_base = p, .iov_len = n * PAGE };
	static char buf[4 * PAGE];
	int fds[2];

	if (pipe(fds))
		return;
	because(CAUSE_FLIGHT, p, n, 6);
	if (vmsplice(fds[1], &iov, 1, 0) < 0)
		fail("vmsplice", errno);
	check();
	fill(p, n * PAGE);
	check();
	because(CAUSE_FLIGHT, p, n, 4);
	if (read(fds[0], buf, sizeof(buf)) < 0)
		fail("read of a pipe", errno);
	close(fds[0]);
	close(fds[1]);
}

/*
 * Words that the kernel writes to
 */

static uint32_t *word(void)
{
	return (uint32_t *)(t.m + rnd(PAGES) * PAGE + rnd(1024) * 4);
}

static void op_futex(void)
{
	uint32_t *a = word(), *b = word();

	written(a, 1);
	written(b, 1);
	huge_touched(a, 1);
	huge_touched(b, 1);
	__atomic_fetch_add(a, 3, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, a, FUTEX_WAKE_OP, 1, (void *)1, b,
		FUTEX_OP(FUTEX_OP_ADD, (1 + rnd(2000)), FUTEX_OP_CMP_EQ, 0));
	*a = 0;
	if (syscall(SYS_futex, a, FUTEX_LOCK_PI, 0, NULL, NULL, 0))
		fail("FUTEX_LOCK_PI", errno);
	if (rnd(2))
		check();
	if (syscall(SYS_futex, a, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0))
		fail("FUTEX_UNLOCK_PI", errno);
}

/* A thread that ends with a lock held: the kernel says so in the lock, and clears its id. */
struct dying {
	struct robust_list_head head;
	struct robust_list entry;
	uint32_t lock;
};

static int thread_dies(void *arg)
{
	struct dying *d = arg;

	d->lock = syscall(SYS_gettid);
	syscall(SYS_set_robust_list, &d->head, sizeof(d->head));
	syscall(SYS_exit, 0);
	return 0;
}

static void op_thread_dies(void)
{
	static char stack[16 * PAGE] __attribute__((aligned(16)));
	char *page = t.m + rnd(PAGES) * PAGE;
	struct dying *d = (struct dying *)page;
	uint32_t *tid = word(), now;

	written(page, 1);
	written(tid, 1);
	huge_touched(page, 1);
	huge_touched(tid, 1);
	if (page_of(page) == page_of(tid))
		return;
	d->head = (struct robust_list_head) {
		.list = { &d->entry },
		.futex_offset = (char *)&d->lock - (char *)&d->entry,
	};
	d->entry.next = &d->head.list;
	if (clone(thread_dies, stack + sizeof(stack),
		  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		  CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
		  d, tid, NULL, tid) < 0) {
		fail("clone", errno);
		return;
	}
	while ((now = __atomic_load_n(tid, __ATOMIC_ACQUIRE)))
		syscall(SYS_futex, tid, FUTEX_WAIT, now, NULL, NULL, 0);
	if (!(__atomic_load_n(&d->lock, __ATOMIC_ACQUIRE) & FUTEX_OWNER_DIED))
		fail("the robust list wasn't followed", page_of(page));
}

static void on_signal(int sig)
{
	(void)sig;
}

/* The frame of a signal handler. */
static void op_signal(void)
{
	unsigned int n;
	char *p = small_pages(1, &n);
	stack_t st = { .ss_sp = p, .ss_size = 8 * PAGE }, off = { .ss_flags = SS_DISABLE };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	if (page_of(p) + 8 > SMALL_PAGES)
		return;
	written(p, 8);
	if (sigaltstack(&st, NULL))
		return;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	sigaltstack(&off, NULL);
}

/* What the kernel reads from the disk shall differ from one place to the next. */
void io_setup(void)
{
	char *p = aligned_alloc(PAGE, 256 * PAGE);
	int fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);

	random_bytes(p, 256 * PAGE);
	if (fd < 0 || pwrite(fd, p, 256 * PAGE, 0) != (ssize_t)(256 * PAGE))
		ksft_print_msg("no disk: no O_DIRECT, no pinned pages\n");
	free(p);
	close(fd);
	t.disk = open("/dev/vda", O_RDONLY | O_DIRECT | O_CLOEXEC);
}

const struct op io_ops[] = {
	{ "store", op_store, 30 },
	{ "store-one", op_store_one, 20 },
	{ "threads", op_threads, 4 },
	{ "recv", op_recv, 5 },
	{ "read", op_read, 5 },
	{ "process_vm_writev", op_vm_writev, 5 },
	{ "proc-mem", op_proc_mem, 5 },
	{ "proc-mem-readonly", op_proc_mem_readonly, 2 },
	{ "other-process", op_other_process, 5 },
	{ "direct", op_direct, 4 },
	{ "direct-in-flight", op_direct_in_flight, 3 },
	{ "pinned", op_pinned, 1 },
	{ "vmsplice", op_vmsplice, 1 },
	{ "futex", op_futex, 4 },
	{ "thread-dies", op_thread_dies, 3 },
	{ "signal", op_signal, 2 },
	{ }
};
