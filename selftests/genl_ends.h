/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a session ended: the part of genl.c in which programs end in every way there is. Each
 * has a session with a range, whose address space tells when it goes, and one with a name
 * only, which ends with its descriptor.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* A program: it opened @fd. What it does to come to an end. */
typedef void (*end_fn)(int fd);

static void end_pause(void)
{
	for (;;)
		pause();
}

static void end_close(int fd)
{
	close(fd);
	end_pause();
}

static void end_exit(int fd)
{
	(void)fd;
	exit(3);
}

static void end_killed(int fd)
{
	(void)fd;
	kill(getpid(), SIGKILL);
}

static void end_term(int fd)
{
	(void)fd;
	raise(SIGTERM);
}

static void end_core(int fd)
{
	struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };

	(void)fd;
	if (chdir("/tmp") || setrlimit(RLIMIT_CORE, &core))
		_exit(1);
	abort();
}

static void end_exec(int fd)
{
	(void)fd;
	execl("/bin/sleep", "sleep", "1000", NULL);
}

static void end_exec_open(int fd)
{
	fcntl(fd, F_SETFD, 0);
	end_exec(fd);
}

/* Threads */

static void *thread_execs(void *arg)
{
	end_exec((long)arg);
	return NULL;
}

static void end_exec_thread(int fd)
{
	pthread_t t;

	pthread_create(&t, NULL, thread_execs, (void *)(long)fd);
	end_pause();
}

static pid_t leader;

/* Wait until all other threads have ended; the leader stays a zombie. */
static void leader_gone(void)
{
	char path[64], state = 'R';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", leader);
	while (state != 'Z') {
		usleep(1000);
		f = fopen(path, "r");
		if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			_exit(1);
		fclose(f);
	}
}

static void *thread_exits_last(void *arg)
{
	(void)arg;
	leader_gone();
	syscall(SYS_exit, 5);
	return NULL;
}

static void *thread_exits_all(void *arg)
{
	(void)arg;
	leader_gone();
	syscall(SYS_exit_group, 6);
	return NULL;
}

static void leader_exits(void *(*other)(void *))
{
	pthread_t t;

	leader = getpid();
	pthread_create(&t, NULL, other, NULL);
	syscall(SYS_exit, 1);
}

static void end_last_thread(int fd)
{
	(void)fd;
	leader_exits(thread_exits_last);
}

static void end_other_thread(int fd)
{
	(void)fd;
	leader_exits(thread_exits_all);
}

/* A thread that has descriptors of its own closes the last one when it ends. */

static pthread_barrier_t unshared, closed;

static void *thread_holds(void *arg)
{
	unshare(CLONE_FILES);
	pthread_barrier_wait(&unshared);
	pthread_barrier_wait(&closed);
	return arg;
}

static void end_thread_holds(int fd)
{
	pthread_t t;

	pthread_barrier_init(&unshared, NULL, 2);
	pthread_barrier_init(&closed, NULL, 2);
	pthread_create(&t, NULL, thread_holds, NULL);
	pthread_barrier_wait(&unshared);
	close(fd);
	pthread_barrier_wait(&closed);
	end_pause();
}

/* Forked children, which hold the descriptor as well */

/* The child closes it when the program is gone. */
static void end_child_after(int fd)
{
	int p[2];
	char c;

	if (pipe(p))
		_exit(1);
	if (!fork()) {
		close(p[1]);
		if (read(p[0], &c, 1) == 0)
			close(fd);
		_exit(0);
	}
	end_killed(fd);
}

/* The program closes it, and later the child is killed. */
static void end_child_killed(int fd)
{
	pid_t pid = fork();

	if (!pid)
		end_pause();
	close(fd);
	kill(pid, SIGKILL);
	end_pause();
}

static const struct end_case {
	const char *name;
	end_fn fn;
	uint32_t end, code;
	bool range_only;		/* without a range nothing ends */
} end_cases[] = {
	{ "closed", end_close, CPTDEV_END_CLOSED, 0, false },
	{ "exited", end_exit, CPTDEV_END_EXITED, 3, false },
	{ "killed", end_killed, CPTDEV_END_KILLED, SIGKILL, false },
	{ "terminated", end_term, CPTDEV_END_KILLED, SIGTERM, false },
	{ "core dump", end_core, CPTDEV_END_KILLED, SIGABRT, false },
	{ "exec", end_exec, CPTDEV_END_EXEC, 0, false },
	{ "exec, descriptor open", end_exec_open, CPTDEV_END_EXEC, 0, true },
	{ "exec by a thread", end_exec_thread, CPTDEV_END_EXEC, 0, false },
	{ "last thread exits", end_last_thread, CPTDEV_END_EXITED, 5, false },
	{ "thread exits for all", end_other_thread, CPTDEV_END_EXITED, 6, false },
	{ "thread with descriptors", end_thread_holds, CPTDEV_END_CLOSED, 0, false },
	{ "child closes after", end_child_after, CPTDEV_END_KILLED, SIGKILL, false },
	{ "child is killed", end_child_killed, CPTDEV_END_CLOSED, 0, false },
};

static pid_t end_start(FIXTURE_DATA(genl) *self, const struct end_case *c, bool range)
{
	pid_t pid;
	int fd;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = t_open();
	if (range ? t_add(fd, self->m, LEN) : t_setup(fd, self->name, 0, 0))
		_exit(1);
	c->fn(fd);
	_exit(2);
}

/* Is this what the events say? */
static bool end_told(FIXTURE_DATA(genl) *self, const struct end_case *c)
{
	if (event(self) != CPTDEV_CMD_SESSION_NEW_NTF ||
	    self->msg.a[CPTDEV_A_SESSION_END] || self->msg.a[CPTDEV_A_SESSION_END_CODE])
		return false;
	if (event(self) != CPTDEV_CMD_SESSION_GONE_NTF)
		return false;
	return u32(self, CPTDEV_A_SESSION_END) == c->end &&
		u32(self, CPTDEV_A_SESSION_END_CODE) == c->code && no_event(self);
}

TEST_F(genl, end_reasons)
{
	const struct end_case *c;
	int range, status;
	pid_t pid;

	for (c = end_cases; c < end_cases + ARRAY_SIZE(end_cases); c++) {
		for (range = c->range_only; range < 2; range++) {
			pid = end_start(self, c, range);
			EXPECT_TRUE(end_told(self, c)) {
				TH_LOG("%s, %s: end %d, code %d", c->name,
				       range ? "range" : "name",
				       u32(self, CPTDEV_A_SESSION_END),
				       u32(self, CPTDEV_A_SESSION_END_CODE));
			}
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			/* The case of the core dump had one. */
			EXPECT_EQ(c->fn == end_core, !!WCOREDUMP(status));
		}
	}
	unlink("/tmp/core");
}
