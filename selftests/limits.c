// SPDX-License-Identifier: GPL-2.0-only
/*
 * Limits that aren't a session's own: what the control group of a process has left, and what
 * one user may have of what all share.
 */
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "harness.h"

/*
 * A control group with a limit (memory.max): what a snapshot holds is copied when the process
 * writes to it, and the copies are charged to the group. No snapshot may get the process
 * killed.
 */

#define MIB	(1UL << 20)
#define GROUP	"/sys/fs/cgroup/cptdev-limits"

static int enter_group(const char *max)
{
	t_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(GROUP, 0755);
	t_write_file(GROUP "/memory.swap.max", "0");
	return t_write_file(GROUP "/memory.max", max) ?:
		t_write_file(GROUP "/cgroup.procs", "0");
}

/* A process of its own in a group of its own; what it exits with, or the signal * 256. */
static int in_group(const char *max, int (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(enter_group(max) ? 99 : fn());
	waitpid(pid, &status, 0);
	rmdir(GROUP);
	return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) * 256;
}

#define MUST(cond) do { if (!(cond)) return __COUNTER__ + 1; } while (0)

static int group_too_small(void)
{
	struct cptdev_snapshot s;
	char *m = t_map(40 * MIB);
	int fd = t_open(), snap;

	memset(m, 1, 40 * MIB);
	MUST(t_add(fd, m, 40 * MIB) == 0);
	snap = t_snapshot(fd, 0, 0, &s);
	memset(m, 2, 40 * MIB);
	MUST(snap == -EDQUOT && s.reason == CPTDEV_REASON_GROUP);
	MUST(t_info(fd).session_held == 0);
	/* A smaller one fits, and has what the failed one would have had. */
	MUST(t_del(fd, m + 16 * MIB, 24 * MIB) == 0);
	snap = t_snapshot(fd, 0, 0, &s);
	MUST(snap >= 0 && s.pages == 16 * MIB / PAGE);
	memset(m, 3, 40 * MIB);
	return 0;
}

/* Copies that were made don't count twice: there is room for as many as are mapped. */
static int group_large_enough(void)
{
	char *m = t_map(16 * MIB);
	int fd = t_open(), i, snap[2];

	memset(m, 1, 16 * MIB);
	MUST(t_add(fd, m, 16 * MIB) == 0);
	for (i = 0; i < 2; i++) {
		snap[i] = t_snapshot(fd, 0, 0, NULL);
		MUST(snap[i] >= 0);
		memset(m, 2 + i, 16 * MIB);
	}
	MUST(t_snapshot(fd, 0, 0, NULL) == -EDQUOT);
	close(snap[0]);
	memset(m, 9, 16 * MIB);
	return 0;
}

/* INFO tells what the group has left: it shrinks by what is used. */
static int group_left_is_told(void)
{
	struct cptdev_info before, after;
	char *m = t_map(16 * MIB);
	int fd = t_open();

	before = t_info(fd);
	MUST(before.group_left > 40 * MIB && before.group_left < 64 * MIB);
	memset(m, 1, 16 * MIB);
	after = t_info(fd);
	/* The kernel charges in batches. */
	MUST(after.group_left <= before.group_left - 15 * MIB);
	MUST(after.group_left >= before.group_left - 17 * MIB);
	return 0;
}

/* What nobody has fetched goes first. */
static int group_drops_unfetched(void)
{
	struct cptdev_delta d;
	struct cptdev_snapshot s;
	char *m = t_map(24 * MIB);
	int fd = t_open(), daemon = t_open();

	memset(m, 1, 24 * MIB);
	MUST(t_add(fd, m, 24 * MIB) == 0);
	MUST(t_snapshot(fd, CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD, 0, &s) == -1);
	memset(m, 2, 24 * MIB);
	MUST(t_wait(fd, 1, 0, NULL) == -ETIMEDOUT);
	MUST(t_snapshot(fd, CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD, 0, &s) == -1);
	MUST(s.base == 0 && s.pages == 24 * MIB / PAGE);
	MUST(t_wait(fd, 1, 0, NULL) == -ECANCELED);
	memset(m, 3, 24 * MIB);
	MUST(t_delta(daemon, t_info(fd).session_id, 0, &d) >= 0);
	MUST(d.generation == s.generation && d.pages == 24 * MIB / PAGE);
	return 0;
}

/* A session with @len bytes of its own, published once. */
static int published_session(size_t len, char **m)
{
	int fd = t_open();

	*m = t_map(len);
	memset(*m, 1, len);
	MUST(fd >= 0 && t_add(fd, *m, len) == 0);
	MUST(t_snapshot(fd, CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD, 0, NULL) == -1);
	return fd;
}

/*
 * The snapshots fit when they are taken. Then the group grows, and the copies don't fit any
 * more. The one that nobody has fetched is dropped; the one that a spare has open is not.
 */
static int group_drops_later(void)
{
	char *fetched, *waiting, *other = t_map(26 * MIB), page[PAGE];
	int fd[2], daemon = t_open(), delta;
	struct cptdev_delta d;
	struct pollfd pri;

	fd[0] = published_session(8 * MIB, &fetched);
	delta = t_delta(daemon, t_info(fd[0]).session_id, 0, &d);
	MUST(delta >= 0);
	fd[1] = published_session(20 * MIB, &waiting);
	memset(other, 1, 26 * MIB);
	pri = (struct pollfd) { .fd = fd[1], .events = POLLPRI };
	MUST(poll(&pri, 1, 0) == 0);
	/* 54 MiB are mapped, and there is room for 10 MiB: these are 21 MiB. */
	memset(waiting, 2, 20 * MIB);
	memset(fetched, 2, MIB);
	MUST(poll(&pri, 1, 0) == 1 && pri.revents == POLLPRI);
	MUST(t_wait(fd[1], 1, 0, NULL) == -ECANCELED);
	MUST(t_info(fd[1]).session_held == 0);
	MUST(t_wait(fd[0], 1, 0, NULL) == -ETIMEDOUT);
	MUST(pread(delta, page, PAGE, 0) == PAGE && page[0] == 1);
	/* The next one has what the dropped one had. */
	munmap(other, 26 * MIB);
	MUST(t_snapshot(fd[1], CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD, 0, NULL) == -1);
	MUST(t_delta(daemon, t_info(fd[1]).session_id, 0, &d) >= 0);
	MUST(d.generation == 2 && d.base == 0 && d.pages == 20 * MIB / PAGE);
	return 0;
}

TEST(group_limit)
{
	EXPECT_EQ(0, in_group("67108864", group_too_small));
	EXPECT_EQ(0, in_group("67108864", group_large_enough));
	EXPECT_EQ(0, in_group("67108864", group_drops_unfetched));
	EXPECT_EQ(0, in_group("67108864", group_left_is_told));
	EXPECT_EQ(UINT64_MAX, t_info(t_open()).group_left);
}

TEST(group_limit_between_snapshots)
{
	EXPECT_EQ(0, in_group("67108864", group_drops_later));
}

/*
 * Limits of a user: what all share isn't one user's.
 */

#define PARAMETERS	"/sys/module/cptdev/parameters/"

static int one_replica(int dev, const char *name)
{
	struct cptdev_replica_open a = {
		.size = sizeof(a), .flags = CPTDEV_REPLICA_CREATE,
	};

	snprintf((char *)a.name, sizeof(a.name), "%s", name);
	return t_ioctl(dev, CPTDEV_IOC_REPLICA_OPEN, &a) ?: a.fd;
}

static void remove_replica(int fd)
{
	struct cptdev_replica_remove a = { .size = sizeof(a) };

	t_ioctl(fd, CPTDEV_IOC_REPLICA_REMOVE, &a);
	close(fd);
}

static int as_user(void)
{
	struct cptdev_snapshot s;
	char *m = t_map(2 * MIB);
	int a, b, ra, rb;

	MUST(setuid(65534) == 0);
	memset(m, 1, 2 * MIB);
	a = t_open();
	MUST(a >= 0 && t_add(a, m, 2 * MIB) == 0);
	MUST(t_snapshot(a, 0, 0, &s) == -EDQUOT && s.reason == CPTDEV_REASON_USER);
	MUST(t_info(a).session_held == 0);
	MUST(t_del(a, m + MIB / 2, MIB * 3 / 2) == 0);
	MUST(t_snapshot(a, 0, 0, &s) >= 0);
	MUST(t_info(a).user_held_max == MIB && t_info(a).user_held == MIB / 2);
	memset(m, 2, MIB);
	/* Half of it is left for another session of the same user. */
	b = t_open();
	MUST(b >= 0 && t_add(b, m + MIB, MIB) == 0);
	MUST(t_snapshot(b, 0, 0, &s) == -EDQUOT && s.reason == CPTDEV_REASON_USER);
	MUST(t_open() == -EDQUOT);
	close(b);
	b = t_open();
	MUST(b >= 0);
	ra = one_replica(b, "user-a");
	rb = one_replica(b, "user-b");
	MUST(ra >= 0 && rb >= 0);
	MUST(one_replica(b, "user-a") >= 0);		/* it is there */
	MUST(one_replica(b, "user-c") == -EDQUOT);
	remove_replica(ra);
	remove_replica(rb);
	return 0;
}

TEST(user_limits)
{
	int fd = t_open(), status;
	char *m = t_map(2 * MIB);
	pid_t pid;

	memset(m, 1, 2 * MIB);
	ASSERT_EQ(0, t_add(fd, m, 2 * MIB));
	ASSERT_EQ(0, t_write_file(PARAMETERS "user_held_max_mib", "1"));
	ASSERT_EQ(0, t_write_file(PARAMETERS "user_sessions_max", "2"));
	ASSERT_EQ(0, t_write_file(PARAMETERS "user_replicas_max", "2"));
	chmod(CPTDEV_DEVICE, 0666);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(as_user());
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status) TH_LOG("check %d", WEXITSTATUS(status));
	chmod(CPTDEV_DEVICE, 0660);
	/* Others have room, and who has the capability has no such limit. */
	EXPECT_LE(0, t_snapshot(fd, 0, 0, NULL));
	EXPECT_EQ(UINT64_MAX, t_info(fd).user_held_max);
	EXPECT_LE(2 * MIB, t_info(fd).user_held);
	t_write_file(PARAMETERS "user_held_max_mib", "0");
	t_write_file(PARAMETERS "user_sessions_max", "256");
	t_write_file(PARAMETERS "user_replicas_max", "32");
}

TEST_HARNESS_MAIN
