// SPDX-License-Identifier: LGPL-2.1-or-later
/* A program that has one thing that can't be covered, named by its argument, and waits. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

static int filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct sock_fprog prog = { .len = 1, .filter = &allow };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) ? -1 : 0;
}

static int shared(void)
{
	int *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : (*p = 1, 0);
}

static int shared_file(const char *name, bool named)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	void *p = fd < 0 || ftruncate(fd, 4096) ? MAP_FAILED :
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED || (!named && unlink(name)) ? -1 : close(fd);
}

static int shared_segment(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	void *p = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

	return p == (void *)-1 ? -1 : shmctl(id, IPC_RMID, NULL);
}

static int deleted(void)
{
	char name[] = "/tmp/refused-XXXXXX";
	int fd = mkstemp(name);

	return fd < 0 ? -1 : unlink(name);
}

static int locked(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char name[] = "/tmp/refused-XXXXXX";
	int fd = mkstemp(name);

	return fd < 0 || fcntl(fd, F_SETLK, &l) ? -1 : 0;
}

static int child(void)
{
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -1 : 0;
	pause();
	_exit(0);
}

/* Two pages of shared memory, of which each process has one. */
static int shared_part(void)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = p == MAP_FAILED ? -1 : fork();

	if (pid)
		return pid < 0 ? -1 : munmap(p, 4096);
	munmap(p + 4096, 4096);
	pause();
	_exit(0);
}

/* A child whose parent, another child, has ended. */
static int orphan(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(child() ? 1 : 0);
	return pid < 0 || waitpid(pid, NULL, 0) != pid ? -1 : 0;
}

static int wait_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

/* @flags: what it shares with us. */
static int clone_child(int flags)
{
	static char stack[65536];

	return clone(wait_for_ever, stack + sizeof(stack), flags, NULL) < 0 ? -1 : 0;
}

/* A child whose process group has lost its first process. */
static int lost_group(void)
{
	pid_t leader = fork(), member;

	if (!leader) {
		setpgid(0, 0);
		pause();
	}
	member = fork();
	if (!member)
		wait_for_ever(NULL);
	setpgid(leader, leader);
	return setpgid(member, leader) || kill(leader, SIGKILL) || waitpid(leader, NULL, 0) != leader ? -1 : 0;
}

static int timer(clockid_t clock, int signal)
{
	struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal };
	timer_t id;

	return timer_create(clock, &e, &id);
}

static void *end_with_timer(void *ret)
{
	struct sigevent e = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	timer_t id;

	e._sigev_un._tid = gettid();
	*(int *)ret = timer_create(CLOCK_MONOTONIC, &e, &id);
	return NULL;
}

static int timer_of_none(void)
{
	pthread_t thread;
	int ret;

	return pthread_create(&thread, NULL, end_with_timer, &ret) || pthread_join(thread, NULL) ? -1 : ret;
}

static int bound(void)
{
	const struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) ? -1 : fd;
}

/* A connection to ourselves. @how: of shutdown(2) by one end, -1: none. */
static int connection(int how)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int listener = bound(), fd = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || fd < 0 || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&a, &len) ||
	    connect(fd, (const struct sockaddr *)&a, len) || accept(listener, NULL, NULL) < 0)
		return -1;
	return how < 0 ? 0 : shutdown(fd, how);
}

/* To ourselves, by a name that is in no directory. */
static int unix_connection(void)
{
	const struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "\0refused-of-a-test" };
	const socklen_t len = sizeof(a);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return listener < 0 || fd < 0 || bind(listener, (const struct sockaddr *)&a, len) || listen(listener, 1) ||
		connect(fd, (const struct sockaddr *)&a, len) || accept(listener, NULL, NULL) < 0 ? -1 : 0;
}

/* A child has it, and this process doesn't. */
static int child_epoll(void)
{
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -1 : 0;
	if (epoll_create1(0) < 0)
		_exit(77);
	wait_for_ever(NULL);
	_exit(0);
}

static void *page(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Its page faults are served by somebody; the descriptor of that is closed in a child alone. */
static int faults(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register all = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	all.range.start = (uintptr_t)page();
	all.range.len = 4096;
	return fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &all) ? -1 : 0;
}

static int protection_key(void)
{
	int key = pkey_alloc(0, 0);

	return key < 0 ? -1 : pkey_mprotect(page(), 4096, PROT_READ | PROT_WRITE, key);
}

static int huge_page(void)
{
	void *p = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	return p == MAP_FAILED ? -1 : 0;
}

static int have(const char *what)
{
	int pair[2];

	if (is(what, "nothing"))
		return 0;
	if (is(what, "shared"))
		return shared();
	if (is(what, "shared-file"))
		return shared_file("shared-file", true);
	if (is(what, "shared-on-disk"))
		return shared_file("shared-file", false);
	if (is(what, "shared-named"))
		return shared_file("/dev/shm/refused-of-a-test", true);
	if (is(what, "shared-unlinked"))
		return shared_file("/dev/shm/refused-of-a-test", false);
	if (is(what, "shared-segment"))
		return shared_segment();
	if (is(what, "shared-part"))
		return shared_part();
	if (is(what, "memfd"))
		return (int)syscall(SYS_memfd_create, "x", 0) < 0 ? -1 : 0;
	if (is(what, "inotify"))
		return inotify_init1(0) < 0 ? -1 : 0;
	if (is(what, "directory"))
		return open("/", O_RDONLY | O_DIRECTORY) < 0 ? -1 : 0;
	if (is(what, "deleted"))
		return deleted();
	if (is(what, "lock"))
		return locked();
	if (is(what, "seccomp"))
		return filter();
	if (is(what, "child"))
		return child();
	if (is(what, "orphan"))
		return orphan();
	if (is(what, "shares-memory"))
		return clone_child(CLONE_VM | SIGCHLD);
	if (is(what, "other-signal"))
		return clone_child(SIGUSR1);
	if (is(what, "lost-group"))
		return lost_group();
	if (is(what, "timer-thread-clock"))
		return timer(CLOCK_THREAD_CPUTIME_ID, SIGUSR1);
	if (is(what, "timer-alarm"))
		return timer(CLOCK_BOOTTIME_ALARM, SIGUSR1);
	if (is(what, "timer-trap"))
		return timer(CLOCK_MONOTONIC, SIGTRAP);
	if (is(what, "timer-of-none"))
		return timer_of_none();
	if (is(what, "packet"))
		return socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? -1 : 0;
	if (is(what, "bound"))
		return bound() < 0 ? -1 : 0;
	if (is(what, "connected"))
		return connection(-1);
	if (is(what, "closing"))
		return connection(SHUT_WR);
	if (is(what, "pair"))
		return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || close(pair[0]);
	if (is(what, "unix"))
		return unix_connection();
	if (is(what, "child-epoll"))
		return child_epoll();
	if (is(what, "user"))
		return setresuid(65534, 65534, 65534);
	if (is(what, "root"))
		return chroot("/usr");
	if (is(what, "namespace"))
		return unshare(CLONE_NEWUTS);
	if (is(what, "faults"))
		return faults();
	if (is(what, "protection-key"))
		return protection_key();
	if (is(what, "huge-page"))
		return huge_page();
	if (is(what, "trap"))
		return signal(SIGTRAP, SIG_IGN) == SIG_ERR ? -1 : 0;
	return -1;
}

int main(int argc, char **argv)
{
	/* Whatever came from whoever started it. */
	syscall(SYS_close_range, 3, ~0U, 0);
	if (argc != 2 || have(argv[1])) {
		perror(argc == 2 ? argv[1] : "refused");
		return 77;
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
