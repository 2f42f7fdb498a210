// SPDX-License-Identifier: GPL-2.0-only
/*
 * What holds for every call: sizes, unknown commands and flags, bad pointers, the wrong
 * kind of descriptor, the wrong address space, the wrong user.
 */
#include <stddef.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "harness.h"

#define LEN	(16 * PAGE)

enum kind { DEVICE, SNAPSHOT, REPLICA };

union arg {
	struct cptdev_info info;
	struct cptdev_session_setup setup;
	struct cptdev_range range;
	struct cptdev_range_list list;
	struct cptdev_scan scan;
	struct cptdev_snapshot snapshot;
	struct cptdev_session_alive alive;
	struct cptdev_wait wait;
	struct cptdev_delta delta;
	struct cptdev_ack ack;
	struct cptdev_round round;
	struct cptdev_keep keep;
	struct cptdev_replica_open open;
	struct cptdev_image_info image;
	struct cptdev_image_vec vec;
	struct cptdev_replica_begin begin;
	struct cptdev_replica_stage stage;
	struct cptdev_replica_commit commit;
	struct cptdev_replica_freeze freeze;
	struct cptdev_replica_promote promote;
	struct cptdev_replica_remove remove;
	struct cptdev_replica_claim claim;
	struct cptdev_replica_copied copied;
	struct cptdev_replica_history history;
	struct cptdev_replica_at at;
	struct { __u32 size, flags; } head;
	char raw[4096];
};

FIXTURE(abi) {
	int fd[3];
	char *m;
	uint64_t id;
};

static const struct cptdev_segment segment = {
	.addr = 0x100000, .len = LEN, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
};

static const struct cptdev_extent extent = {
	.addr = 0x100000, .len = PAGE, .kind = CPTDEV_EXTENT_DATA,
};

/*
 * Arguments with which each call works. Calls that end something make it anew before.
 */
#define ARG_FN(name)	static void name(FIXTURE_DATA(abi) *self, union arg *a)

ARG_FN(fill_nothing)
{
	(void)self;
	(void)a;
}

ARG_FN(fill_setup)
{
	static int n;

	close(self->fd[DEVICE]);
	self->fd[DEVICE] = t_open();
	snprintf((char *)a->setup.name, CPTDEV_NAME_MAX, "abi-%d-%d", getpid(), n++);
}

ARG_FN(fill_range)
{
	t_add(self->fd[DEVICE], self->m, LEN);
	a->range.addr = (unsigned long)self->m;
	a->range.len = LEN;
}

ARG_FN(fill_scan)
{
	t_add(self->fd[DEVICE], self->m, LEN);
	a->scan.start = (unsigned long)self->m;
	a->scan.end = (unsigned long)self->m + LEN;
}

static void published(FIXTURE_DATA(abi) *self)
{
	t_add(self->fd[DEVICE], self->m, LEN);
	close(t_snapshot(self->fd[DEVICE], CPTDEV_SNAPSHOT_PUBLISH, 0, NULL));
	self->id = t_info(self->fd[DEVICE]).session_id;
	close(t_delta(self->fd[DEVICE], self->id, 0, NULL));
	t_ack(self->fd[DEVICE], self->id, t_info(self->fd[DEVICE]).published, 0);
	close(t_snapshot(self->fd[DEVICE], CPTDEV_SNAPSHOT_PUBLISH, 0, NULL));
}

ARG_FN(fill_alive)
{
	(void)self;
	a->alive.timeout_ns = 1000000;
}

ARG_FN(fill_wait)
{
	published(self);
	a->wait.generation = t_info(self->fd[DEVICE]).committed;
}

ARG_FN(fill_delta)
{
	published(self);
	a->delta.session_id = self->id;
	a->delta.since = t_info(self->fd[DEVICE]).committed;
}

ARG_FN(fill_ack)
{
	published(self);
	a->ack.session_id = self->id;
	a->ack.generation = 1;
}

/* Only a session with a name is kept. */
ARG_FN(fill_keep)
{
	union arg s = { .setup.size = sizeof(s.setup) };

	fill_setup(self, &s);
	t_ioctl(self->fd[DEVICE], CPTDEV_IOC_SESSION_SETUP, &s);
	a->keep.session_id = t_info(self->fd[DEVICE]).session_id;
}

/* Nothing is published that would bring everything at once. */
ARG_FN(fill_round)
{
	published(self);
	t_ack(self->fd[DEVICE], self->id, t_info(self->fd[DEVICE]).published, 0);
	a->round.session_id = self->id;
	a->round.pages = CPTDEV_ROUND_MIN;
}

ARG_FN(fill_open)
{
	snprintf((char *)a->open.name, CPTDEV_NAME_MAX, "abi-%d", getpid());
}

ARG_FN(fill_begin)
{
	a->begin.uuid[0] = 1;
	a->begin.term = 100;
	a->begin.generation = t_image_info(self->fd[REPLICA]).generation + 1;
	a->begin.layout = (unsigned long)&segment;
	a->begin.layout_len = 1;
}

static void begin(FIXTURE_DATA(abi) *self)
{
	union arg a = { 0 };

	fill_begin(self, &a);
	a.begin.size = sizeof(a.begin);
	/* after a promotion only a higher term may */
	a.begin.term = t_image_info(self->fd[REPLICA]).term + 1;
	t_ioctl(self->fd[REPLICA], CPTDEV_IOC_REPLICA_BEGIN, &a);
}

ARG_FN(fill_stage)
{
	begin(self);
	a->stage.vec = (unsigned long)&extent;
	a->stage.vec_len = 1;
	a->stage.data = (unsigned long)self->m;
	a->stage.data_len = PAGE;
}

ARG_FN(fill_commit)
{
	begin(self);
	a->commit.generation = t_image_info(self->fd[REPLICA]).staging;
}

ARG_FN(fill_abort)
{
	begin(self);
	(void)a;
}

ARG_FN(fill_promote)
{
	union arg c = { 0 };

	fill_commit(self, &c);
	c.commit.size = sizeof(c.commit);
	t_ioctl(self->fd[REPLICA], CPTDEV_IOC_REPLICA_COMMIT, &c);
	(void)a;
}

ARG_FN(fill_claim)
{
	union arg p = { 0 };

	fill_promote(self, a);
	p.promote.size = sizeof(p.promote);
	t_ioctl(self->fd[REPLICA], CPTDEV_IOC_REPLICA_PROMOTE, &p);
}

ARG_FN(fill_copied)
{
	a->copied.commits = t_image_info(self->fd[REPLICA]).commits;
}

ARG_FN(fill_at)
{
	fill_promote(self, a);
	a->at.generation = t_image_info(self->fd[REPLICA]).generation;
}

#define OP(cmd, kind, type, fn)							\
	{ #cmd, CPTDEV_IOC_##cmd, kind, sizeof(struct type), sizeof(struct type), fn }
/* A struct that has grown: @last was the last field of its first version. */
#define OP_GROWN(cmd, kind, type, last, fn)					\
	{ #cmd, CPTDEV_IOC_##cmd, kind, sizeof(struct type),			\
	  offsetof(struct type, last) + sizeof(((struct type *)NULL)->last), fn }

static const struct op {
	const char *name;
	unsigned long cmd;
	enum kind kind;
	unsigned int size;
	unsigned int min_size;
	void (*fill)(FIXTURE_DATA(abi) *self, union arg *a);
} ops[] = {
	OP_GROWN(INFO, DEVICE, cptdev_info, snapshots, fill_nothing),
	OP(SESSION_SETUP, DEVICE, cptdev_session_setup, fill_setup),
	OP(RANGE_ADD, DEVICE, cptdev_range, fill_range),
	OP(RANGE_LIST, DEVICE, cptdev_range_list, fill_nothing),
	OP(SCAN, DEVICE, cptdev_scan, fill_scan),
	OP(SNAPSHOT, DEVICE, cptdev_snapshot, fill_nothing),
	OP(SESSION_ALIVE, DEVICE, cptdev_session_alive, fill_alive),
	OP_GROWN(WAIT, DEVICE, cptdev_wait, committed, fill_wait),
	OP(DELTA, DEVICE, cptdev_delta, fill_delta),
	OP_GROWN(ACK, DEVICE, cptdev_ack, generation, fill_ack),
	OP(ROUND, DEVICE, cptdev_round, fill_round),
	OP(KEEP, DEVICE, cptdev_keep, fill_keep),
	OP(REPLICA_OPEN, DEVICE, cptdev_replica_open, fill_open),
	OP(RANGE_DEL, DEVICE, cptdev_range, fill_range),
	OP(RANGE_CLEAR, DEVICE, cptdev_range, fill_nothing),
	OP_GROWN(IMAGE_INFO, SNAPSHOT, cptdev_image_info, max_bytes, fill_nothing),
	OP_GROWN(IMAGE_LAYOUT, SNAPSHOT, cptdev_image_vec, next, fill_nothing),
	OP_GROWN(IMAGE_EXTENTS, SNAPSHOT, cptdev_image_vec, next, fill_nothing),
	OP_GROWN(IMAGE_META, SNAPSHOT, cptdev_image_vec, next, fill_nothing),
	OP_GROWN(IMAGE_INFO, REPLICA, cptdev_image_info, max_bytes, fill_nothing),
	OP_GROWN(IMAGE_LAYOUT, REPLICA, cptdev_image_vec, next, fill_nothing),
	OP_GROWN(IMAGE_EXTENTS, REPLICA, cptdev_image_vec, next, fill_nothing),
	OP_GROWN(IMAGE_META, REPLICA, cptdev_image_vec, next, fill_nothing),
	OP(REPLICA_BEGIN, REPLICA, cptdev_replica_begin, fill_begin),
	OP(REPLICA_STAGE, REPLICA, cptdev_replica_stage, fill_stage),
	OP(REPLICA_COMMIT, REPLICA, cptdev_replica_commit, fill_commit),
	OP(REPLICA_ABORT, REPLICA, cptdev_replica_commit, fill_abort),
	OP(REPLICA_FREEZE, REPLICA, cptdev_replica_freeze, fill_nothing),
	OP(REPLICA_PROMOTE, REPLICA, cptdev_replica_promote, fill_promote),
	OP(REPLICA_CLAIM, REPLICA, cptdev_replica_claim, fill_claim),
	OP(REPLICA_COPIED, REPLICA, cptdev_replica_copied, fill_copied),
	OP(REPLICA_HISTORY, REPLICA, cptdev_replica_history, fill_nothing),
	OP(REPLICA_AT, REPLICA, cptdev_replica_at, fill_at),
	OP(REPLICA_REMOVE, REPLICA, cptdev_replica_remove, fill_nothing),
};

#define for_each_op(op) for (op = ops; op < ops + sizeof(ops) / sizeof(ops[0]); op++)

static int replica(const char *name)
{
	struct cptdev_replica_open a = {
		.size = sizeof(a), .flags = CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE,
	};

	snprintf((char *)a.name, sizeof(a.name), "%s", name);
	return t_ioctl(t_open(), CPTDEV_IOC_REPLICA_OPEN, &a) ?: a.fd;
}

FIXTURE_SETUP(abi)
{
	char name[32];

	snprintf(name, sizeof(name), "abi-%d", getpid());
	self->m = t_map(LEN);
	ASSERT_NE(NULL, self->m);
	memset(self->m, 1, LEN);
	self->fd[DEVICE] = t_open();
	ASSERT_LE(0, self->fd[DEVICE]);
	ASSERT_EQ(0, t_add(self->fd[DEVICE], self->m, LEN));
	self->fd[SNAPSHOT] = t_snapshot(self->fd[DEVICE], 0, 0, NULL);
	ASSERT_LE(0, self->fd[SNAPSHOT]);
	self->fd[REPLICA] = replica(name);
	ASSERT_LE(0, self->fd[REPLICA]);
}

FIXTURE_TEARDOWN(abi)
{
	struct cptdev_replica_remove a = { .size = sizeof(a) };

	t_ioctl(self->fd[REPLICA], CPTDEV_IOC_REPLICA_REMOVE, &a);
}

/* The call as it should be, then with @size instead, @tail set behind the struct. */
static int call(FIXTURE_DATA(abi) *self, const struct op *op, int size, bool tail,
		uint32_t flags)
{
	union arg a;
	int ret;

	memset(&a, 0, sizeof(a));
	op->fill(self, &a);
	a.head.size = size;
	a.head.flags |= flags;
	if (tail)
		a.raw[op->size + 3] = 1;
	ret = t_ioctl(self->fd[op->kind], op->cmd, &a);
	/* A descriptor that was made isn't needed. */
	if (!ret && op->cmd == CPTDEV_IOC_SNAPSHOT)
		close(a.snapshot.fd);
	if (!ret && op->cmd == CPTDEV_IOC_DELTA)
		close(a.delta.fd);
	if (!ret && op->cmd == CPTDEV_IOC_ROUND)
		close(a.round.fd);
	if (!ret && op->cmd == CPTDEV_IOC_REPLICA_OPEN)
		close(a.open.fd);
	return ret;
}

TEST_F(abi, works)
{
	const struct op *op;

	for_each_op(op) {
		EXPECT_EQ(0, call(self, op, op->size, false, 0))
			TH_LOG("%s", op->name);
		if (op->min_size != op->size)
			EXPECT_EQ(0, call(self, op, op->min_size, false, 0))
				TH_LOG("%s, its first version", op->name);
	}
}

TEST_F(abi, size_too_small)
{
	const struct op *op;

	for_each_op(op) {
		EXPECT_EQ(-EINVAL, call(self, op, op->min_size - 1, false, 0))
			TH_LOG("%s", op->name);
		EXPECT_EQ(-EINVAL, call(self, op, 0, false, 0))
			TH_LOG("%s", op->name);
	}
}

TEST_F(abi, size_larger_with_zeros)
{
	const struct op *op;

	for_each_op(op) {
		EXPECT_EQ(0, call(self, op, op->size + 8, false, 0))
			TH_LOG("%s", op->name);
	}
}

TEST_F(abi, size_larger_with_something)
{
	const struct op *op;

	for_each_op(op) {
		EXPECT_EQ(-E2BIG, call(self, op, op->size + 8, true, 0))
			TH_LOG("%s", op->name);
	}
}

TEST_F(abi, size_absurd)
{
	const struct op *op;

	for_each_op(op) {
		EXPECT_EQ(-E2BIG, call(self, op, -1, false, 0))
			TH_LOG("%s", op->name);
	}
}

/* The number that the next descriptor will have. */
static int next_fd(void)
{
	int fd = open("/dev/null", O_RDONLY);

	close(fd);
	return fd;
}

/* A call that fails leaves no descriptor behind that nobody knows of. */
TEST_F(abi, unknown_flag)
{
	const struct op *op;
	int next = next_fd();

	ASSERT_LE(0, next);
	for_each_op(op) {
		EXPECT_EQ(-EOPNOTSUPP, call(self, op, op->size, false, 1U << 31))
			TH_LOG("%s", op->name);
		EXPECT_EQ(next, next_fd())
			TH_LOG("%s", op->name);
	}
}

TEST_F(abi, bad_pointer)
{
	const struct op *op;
	union arg *ro;

	ro = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		  -1, 0);
	ASSERT_NE(MAP_FAILED, ro);
	mprotect((char *)ro + PAGE, PAGE, PROT_NONE);
	for_each_op(op) {
		EXPECT_EQ(-EFAULT, t_ioctl(self->fd[op->kind], op->cmd, NULL))
			TH_LOG("%s", op->name);
		/* Mapped up to half of it. */
		ro->head.size = op->size;
		memcpy((char *)ro + PAGE - 4, ro, 4);
		EXPECT_EQ(-EFAULT, t_ioctl(self->fd[op->kind], op->cmd,
					   (char *)ro + PAGE - 4))
			TH_LOG("%s", op->name);
		memset(ro, 0, PAGE);
	}
	/* Nobody could read the answer. */
	for_each_op(op) {
		memset(ro, 0, PAGE);
		op->fill(self, ro);
		ro->head.size = op->size;
		mprotect(ro, PAGE, PROT_READ);
		EXPECT_EQ(-EFAULT, t_ioctl(self->fd[op->kind], op->cmd, ro))
			TH_LOG("%s", op->name);
		mprotect(ro, PAGE, PROT_READ | PROT_WRITE);
	}
}

TEST_F(abi, unknown_command)
{
	unsigned int nr, kind;
	union arg a;

	for (kind = DEVICE; kind <= REPLICA; kind++) {
		for (nr = 0; nr < 256; nr++) {
			unsigned long cmd = _IO(CPTDEV_IOC_MAGIC, nr);
			const struct op *op;
			bool known = false;

			for_each_op(op)
				known |= op->cmd == cmd && op->kind == kind;
			if (known)
				continue;
			memset(&a, 0, sizeof(a));
			a.head.size = 64;
			EXPECT_EQ(-ENOTTY, t_ioctl(self->fd[kind], cmd, &a))
				TH_LOG("kind %u, number %#x", kind, nr);
		}
		EXPECT_EQ(-ENOTTY, t_ioctl(self->fd[kind], 0x5401, &a));
		/* The number alone doesn't make the command. */
		EXPECT_EQ(-ENOTTY, t_ioctl(self->fd[kind],
					   _IOWR(CPTDEV_IOC_MAGIC, CPTDEV_NR_INFO, int),
					   &a));
	}
}

TEST_F(abi, answer_of_old_size)
{
	char *raw = malloc(sizeof(struct cptdev_info) + 16);
	struct cptdev_info *info = (void *)raw;

	memset(raw, 0, sizeof(*info) + 16);
	info->size = sizeof(*info) + 16;
	ASSERT_EQ(0, t_ioctl(self->fd[DEVICE], CPTDEV_IOC_INFO, info));
	EXPECT_EQ(sizeof(*info) + 16, info->size);
	EXPECT_EQ((__u32)CPTDEV_ABI_VERSION, info->abi_version);
	EXPECT_EQ(PAGE, info->page_size);
}

/* Of the calls that need the session's own address space. */
static int in_child(FIXTURE_DATA(abi) *self, const struct op *op)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(-call(self, op, op->size, false, 0));
	waitpid(pid, &status, 0);
	return -WEXITSTATUS(status);
}

TEST_F(abi, wrong_address_space_fork)
{
	static const unsigned long bound[] = {
		CPTDEV_IOC_RANGE_ADD, CPTDEV_IOC_RANGE_DEL, CPTDEV_IOC_RANGE_CLEAR,
		CPTDEV_IOC_RANGE_LIST, CPTDEV_IOC_SCAN, CPTDEV_IOC_SNAPSHOT,
	};
	const struct op *op;
	unsigned int i;

	for_each_op(op) {
		for (i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
			if (op->cmd != bound[i])
				continue;
			EXPECT_EQ(-EXDEV, in_child(self, op))
				TH_LOG("%s", op->name);
		}
	}
}

/* exec: the program calls itself with the descriptor's number. */
static int exec_check(const char *number)
{
	struct cptdev_range_list list = { .size = sizeof(list) };
	struct cptdev_snapshot snap = { .size = sizeof(snap) };
	int fd = atoi(number);

	if (t_ioctl(fd, CPTDEV_IOC_RANGE_LIST, &list) != -EXDEV)
		return 1;
	if (t_ioctl(fd, CPTDEV_IOC_SNAPSHOT, &snap) != -EXDEV)
		return 2;
	/* It knows its limits still. */
	return t_info(fd).abi_version == CPTDEV_ABI_VERSION ? 0 : 3;
}

TEST_F(abi, wrong_address_space_exec)
{
	char number[16];
	int fd, status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		fd = open(CPTDEV_DEVICE, O_RDWR);
		t_add(fd, self->m, LEN);
		snprintf(number, sizeof(number), "%d", fd);
		execl("/proc/self/exe", "abi", "--exec-check", number, NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, WEXITSTATUS(status));
}

static void drop_privileges(void)
{
	setgroups(0, NULL);
	if (setgid(65534) || setuid(65534))
		_exit(98);
}

/* What a user without the capability may do, and what not. */
static int unprivileged(void)
{
	struct cptdev_replica_open own = {
		.size = sizeof(own), .name = "abi-user", .flags = CPTDEV_REPLICA_CREATE,
	};
	struct cptdev_replica_open write = {
		.size = sizeof(write), .name = "abi-user",
		.flags = CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE,
	};
	struct cptdev_replica_open other = { .size = sizeof(other), .name = "abi-root" };
	struct cptdev_replica_remove rm = { .size = sizeof(rm) };
	struct cptdev_round round = { .pages = CPTDEV_ROUND_MIN };
	struct cptdev_info info;
	int fd = t_open();
	char *m = t_map(LEN);

	drop_privileges();
	if (t_open() != -EACCES)		/* 0660, not in the group */
		return 1;
	info = t_info(fd);
	if (t_add(fd, m, LEN) || t_snapshot(fd, 0, 0, NULL) < 0)
		return 2;
	if (t_snapshot(fd, CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD, 0, NULL) >= 0)
		return 3;			/* -1 is no descriptor */
	if (t_delta(fd, info.session_id, 0, NULL) != -EPERM)
		return 4;
	if (t_ack(fd, info.session_id, 1, 0) != -EPERM)
		return 5;
	if (t_ioctl(fd, CPTDEV_IOC_REPLICA_OPEN, &write) != -EPERM)
		return 6;
	if (t_ioctl(fd, CPTDEV_IOC_REPLICA_OPEN, &other) != -EACCES)
		return 7;
	if (t_ioctl(fd, CPTDEV_IOC_REPLICA_OPEN, &own))
		return 8;
	if (t_ioctl(own.fd, CPTDEV_IOC_REPLICA_REMOVE, &rm))
		return 9;
	round.session_id = info.session_id;
	if (t_round(fd, &round) != -EPERM)
		return 10;
	return 0;
}

TEST_F(abi, unprivileged)
{
	struct cptdev_replica_remove rm = { .size = sizeof(rm) };
	int fd = replica("abi-root"), status;
	pid_t pid;

	ASSERT_LE(0, fd);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(unprivileged());
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, WEXITSTATUS(status));
	t_ioctl(fd, CPTDEV_IOC_REPLICA_REMOVE, &rm);
}

TEST_F(abi, without_write)
{
	struct cptdev_replica_open a = { .size = sizeof(a) };
	const struct op *op;

	snprintf((char *)a.name, sizeof(a.name), "abi-%d", getpid());
	ASSERT_EQ(0, t_ioctl(self->fd[DEVICE], CPTDEV_IOC_REPLICA_OPEN, &a));
	for_each_op(op) {
		union arg b = { .head.size = op->size };

		if (op->cmd != CPTDEV_IOC_REPLICA_BEGIN &&
		    op->cmd != CPTDEV_IOC_REPLICA_STAGE &&
		    op->cmd != CPTDEV_IOC_REPLICA_COMMIT &&
		    op->cmd != CPTDEV_IOC_REPLICA_ABORT &&
		    op->cmd != CPTDEV_IOC_REPLICA_PROMOTE)
			continue;
		EXPECT_EQ(-EBADF, t_ioctl(a.fd, op->cmd, &b))
			TH_LOG("%s", op->name);
	}
	EXPECT_EQ(-1, pwrite(a.fd, "x", 1, 0x100000));
	EXPECT_EQ(EBADF, errno);
}

TEST_F(abi, descriptors_close_on_exec)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd[SNAPSHOT], F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd[REPLICA], F_GETFD));
}

TEST(device_node)
{
	struct stat st;

	ASSERT_EQ(0, stat(CPTDEV_DEVICE, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660U, st.st_mode & 0777);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--exec-check"))
		return exec_check(argv[2]);
	return test_harness_run(argc, argv);
}
