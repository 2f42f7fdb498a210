// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens around the calls: memory of the ranges is written, mapped, unmapped,
 * moved, protected, advised; descriptors are closed and passed on; the process forks,
 * execs, and takes away the mapping by which the module flushes.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "fuzz.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static void done(struct thread *t, const struct kind *k, long ret)
{
	fuzz_end(t, k, ret < 0 ? -errno : 0);
}

static void begin(struct thread *t, const struct kind *k, const void *addr, size_t len,
		  uint64_t how)
{
	const uint64_t words[8] = { (unsigned long)addr, len, how };

	t->bad = 0;
	fuzz_begin(t, k, -1, words);
}

/* The arena as it was in the beginning: nothing in it, all of it private. */
void fuzz_arena(void)
{
	mmap((void *)ARENA, ARENA_LEN, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	madvise((void *)ARENA, HUGE, MADV_HUGEPAGE);
	madvise((char *)ARENA + HUGE, HUGE, MADV_NOHUGEPAGE);
}

static void run_arena(struct thread *t, const struct kind *k)
{
	begin(t, k, (void *)ARENA, ARENA_LEN, 0);
	fuzz_arena();
	done(t, k, 0);
}

/* A store to each page; what can't be written ends it. */
static void run_store(struct thread *t, const struct kind *k)
{
	size_t len, i;
	char *m = fuzz_pages(t, &len);
	volatile long ret = 0;

	begin(t, k, m, len, 0);
	if (!sigsetjmp(t->fault, 1)) {
		t->guarded = 1;
		for (i = 0; i < len; i += PAGE)
			m[i + rnd(t, PAGE)] = rnd(t, 256);
	} else {
		errno = EFAULT;
		ret = -1;
	}
	t->guarded = 0;
	done(t, k, ret);
}

/* By system calls: from a file, and as another process would do it. */
static void run_written(struct thread *t, const struct kind *k)
{
	size_t len;
	char *m = fuzz_pages(t, &len);
	struct iovec local = { t->data, len < DATA_LEN ? len : DATA_LEN };
	struct iovec remote = { m, local.iov_len };

	begin(t, k, m, len, 0);
	if (rnd(t, 2))
		done(t, k, pread(OTHER_FD + 2, m, local.iov_len, 0));
	else
		done(t, k, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}

static void run_map(struct thread *t, const struct kind *k)
{
	const int flags = MAP_FIXED | MAP_NORESERVE;
	size_t len;
	char *m = fuzz_pages(t, &len), *p;
	int how = rnd(t, 8);

	begin(t, k, m, len, how);
	switch (how) {
	case 0:
		p = mmap(m, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | flags,
			 -1, 0);
		break;
	case 1:
		p = mmap(m, len, PROT_READ, MAP_SHARED | flags, fuzz_slot(t, SNAPSHOT), 0);
		break;
	case 2:
	case 3:
		p = mmap(m, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, OTHER_FD + 2, 0);
		break;
	default:
		p = mmap(m, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
			 -1, 0);
	}
	done(t, k, p == MAP_FAILED ? -1 : 0);
	if (how > 1 || p == MAP_FAILED)
		return;
	/* What can't be tracked doesn't stay for long. */
	fuzz_steps(t, rnd(t, 3));
	mmap(m, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void run_unmap(struct thread *t, const struct kind *k)
{
	size_t len;
	char *m = fuzz_pages(t, &len);

	begin(t, k, m, len, 0);
	done(t, k, munmap(m, len));
}

static void run_protect(struct thread *t, const struct kind *k)
{
	static const int v[] = { 3, 3, 3, PROT_READ, PROT_NONE, 7 };
	size_t len;
	char *m = fuzz_pages(t, &len);
	int prot = v[rnd(t, 6)];

	begin(t, k, m, len, prot);
	done(t, k, mprotect(m, len, prot));
}

static void run_remap(struct thread *t, const struct kind *k)
{
	size_t len, n;
	char *m = fuzz_pages(t, &len), *to = fuzz_pages(t, &n);
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	if (n > len)
		n = len;
	if (!rnd(t, 4)) {
		flags |= MREMAP_DONTUNMAP;
		n = len;
	}
	begin(t, k, m, len, (unsigned long)to);
	done(t, k, (long)mremap(m, len, n, flags, to));
}

static void run_advise(struct thread *t, const struct kind *k)
{
	static const int v[] = {
		MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_PAGEOUT, MADV_HUGEPAGE,
		MADV_NOHUGEPAGE, MADV_COLLAPSE, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK,
		MADV_KEEPONFORK, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, MADV_WILLNEED,
	};
	size_t len;
	char *m = fuzz_pages(t, &len);
	int how = v[rnd(t, sizeof(v) / sizeof(v[0]))];

	begin(t, k, m, len, how);
	done(t, k, madvise(m, len, how));
}

static void run_lock(struct thread *t, const struct kind *k)
{
	size_t len;
	char *m = fuzz_pages(t, &len);
	int how = rnd(t, 6);

	begin(t, k, m, len, how);
	switch (how) {
	case 0:
		done(t, k, mlock(m, len));
		break;
	case 1:
		done(t, k, syscall(SYS_mlock2, m, len, 1));
		break;
	case 2:
		done(t, k, mlockall(1 + rnd(t, 7)));
		break;
	case 3:
		done(t, k, munlockall());
		break;
	default:
		done(t, k, munlock(m, len));
	}
}

/*
 * The process's map as text, in the thread's own memory: with stdio a FILE would be mapped
 * where a mapping of the module's just went, and a thread that has read the map before that
 * would take it away.
 */
static char *read_maps(struct thread *t)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;
	size_t len = 0;

	if (fd < 0)
		return NULL;
	while (n > 0 && len < DATA_LEN - 1) {
		n = read(fd, t->data + len, DATA_LEN - 1 - len);
		len += n > 0 ? n : 0;
	}
	close(fd);
	t->data[len] = 0;
	return t->data;
}

/* One of the module's own mappings in the process, NULL if there is none. */
static char *any_proxy(struct thread *t, size_t *len)
{
	unsigned long start, stop;
	char *at = read_maps(t), *end;

	for (; at && (end = strchr(at, '\n')); at = end + 1) {
		*end = 0;
		if (!strstr(at, "cptdev-proxy") || !rnd(t, 2) ||
		    sscanf(at, "%lx-%lx", &start, &stop) != 2)
			continue;
		*len = stop - start;
		return (char *)start;
	}
	return NULL;
}

/* The module's own mapping in the process: taken away, in part or as a whole. */
static void run_proxy(struct thread *t, const struct kind *k)
{
	size_t len, skip;
	char *m;
	long ret = -1;

	begin(t, k, NULL, 0, 0);
	m = any_proxy(t, &len);
	if (!m) {
		errno = ENOENT;
		done(t, k, ret);
		return;
	}
	skip = rnd(t, 2) ? 0 : rnd(t, len / PAGE) * PAGE;
	m += skip;
	len -= skip;
	switch (rnd(t, 5)) {
	case 0:
		ret = mprotect(m, len, PROT_NONE);
		break;
	case 1:
		ret = madvise(m, len, MADV_DONTNEED);
		break;
	case 2:
		ret = (long)mremap(m, len, len, MREMAP_MAYMOVE);
		break;
	default:
		ret = munmap(m, len);
	}
	done(t, k, ret);
}

static void run_close(struct thread *t, const struct kind *k)
{
	int fd = fuzz_slot(t, rnd(t, 3));

	begin(t, k, NULL, fd, 0);
	done(t, k, close(fd));
}

/* The same open file in two slots. */
static void run_dup(struct thread *t, const struct kind *k)
{
	enum slot slot = rnd(t, 3);
	int from = fuzz_slot(t, slot), to = fuzz_slot(t, slot);

	begin(t, k, NULL, from, to);
	if (from == to)
		done(t, k, 0);
	else
		done(t, k, dup3(from, to, rnd(t, 2) ? O_CLOEXEC : 0));
}

/* No descriptor left, while others go on. */
static void run_no_descriptor(struct thread *t, const struct kind *k)
{
	struct rlimit was, none;

	getrlimit(RLIMIT_NOFILE, &was);
	none = (struct rlimit) { 3, was.rlim_max };
	begin(t, k, NULL, 0, 0);
	done(t, k, setrlimit(RLIMIT_NOFILE, &none));
	fuzz_steps(t, 2);
	was.rlim_cur = 1024;
	setrlimit(RLIMIT_NOFILE, &was);
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* A child goes on with what it inherited, by itself or as another program. */
static void child(struct thread *t)
{
	char proc[16], seed[32];
	int fd;

	if (fuzz_arg_memory(t))
		_exit(0);
	t->foreign = true;
	t->entry = NULL;
	t->rng = fuzz_mix(t->rng, 1);
	for (fd = DEVICE_FD; fd < OTHER_FD; fd++)
		if (!rnd(t, 3))
			close(fd);
	fuzz_steps(t, 8);
	if (!rnd(t, 6)) {
		snprintf(proc, sizeof(proc), "%d", t->proc);
		snprintf(seed, sizeof(seed), "%#llx", (unsigned long long)t->rng);
		for (fd = DEVICE_FD; fd < OTHER_FD; fd++)
			fcntl(fd, F_SETFD, 0);
		execl("/proc/self/exe", "fuzz", "-x", proc, seed, NULL);
	}
	_exit(0);
}

static void run_fork(struct thread *t, const struct kind *k)
{
	pid_t pid;

	begin(t, k, NULL, 0, 0);
	pid = fork();
	if (!pid)
		child(t);
	done(t, k, pid);
	if (pid < 0)
		return;
	/* Sometimes it isn't waited for: then the parent may end first. */
	fuzz_steps(t, rnd(t, 8));
	if (rnd(t, 8))
		reap(pid);
}

/* Another process with the same memory: its calls are as good as ours. */
static void run_vfork(struct thread *t, const struct kind *k)
{
	/* It has no signals of ours to wake it. */
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	pid_t pid;

	begin(t, k, NULL, 0, 0);
	pid = vfork();
	if (!pid) {
		int fd;

		setitimer(ITIMER_REAL, &often, NULL);
		for (fd = DEVICE_FD; fd < OTHER_FD; fd++)
			if (!rnd(t, 3))
				close(fd);
		fuzz_steps(t, 4);
		_exit(0);
	}
	done(t, k, pid);
	if (pid > 0)
		reap(pid);
}

#define KIND(_name, _weight, _run)						\
	{ .name = _name, .weight = _weight, .run = _run, .slot = NO_SLOT, .flags = AROUND }

static const struct kind around[] = {
	KIND("new memory", 1, run_arena),
	KIND("store", 14, run_store),
	KIND("store by a call", 4, run_written),
	KIND("mmap", 3, run_map),
	KIND("munmap", 1, run_unmap),
	KIND("mprotect", 3, run_protect),
	KIND("mremap", 2, run_remap),
	KIND("madvise", 5, run_advise),
	KIND("mlock", 2, run_lock),
	KIND("proxy", 1, run_proxy),
	KIND("close", 1, run_close),
	KIND("dup", 2, run_dup),
	KIND("no descriptor", 1, run_no_descriptor),
	KIND("fork", 1, run_fork),
	KIND("vfork", 1, run_vfork),
};

const struct kind_group memory_group = { around, sizeof(around) / sizeof(around[0]) };
