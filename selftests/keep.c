// SPDX-License-Identifier: GPL-2.0-only
/*
 * KEEP: what a session publishes is in the replica of its name, byte for byte, whatever the program does
 * afterwards, and when it is killed at any moment. The truth is the image of a spare that follows.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "harness.h"

#define PAGES	1024UL
#define LEN	(PAGES * PAGE)
#define PUBLISH	(CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD)
#define NAME	"kept"
#define DISK	"/dev/vda"

static int t_keep(int fd, uint64_t id, uint32_t flags, uint64_t max_bytes)
{
	struct cptdev_keep arg = {
		.size = sizeof(arg), .flags = flags, .session_id = id, .max_bytes = max_bytes,
	};

	return t_ioctl(fd, CPTDEV_IOC_KEEP, &arg);
}

static int replica_open(const char *name, uint32_t flags)
{
	struct cptdev_replica_open arg = { .size = sizeof(arg), .flags = flags };
	int dev = t_open(), ret;

	strcpy((char *)arg.name, name);
	ret = t_ioctl(dev, CPTDEV_IOC_REPLICA_OPEN, &arg);
	close(dev);
	return ret ?: arg.fd;
}

static void replica_remove(const char *name)
{
	struct cptdev_replica_remove arg = { .size = sizeof(arg) };
	int fd = replica_open(name, 0);

	if (fd < 0)
		return;
	t_ioctl(fd, CPTDEV_IOC_REPLICA_REMOVE, &arg);
	close(fd);
}

/* The first page in which the replica isn't the image, -1: none, -2: it is of another generation. */
static long differs(const struct t_image *im)
{
	static char buf[LEN];
	int fd = replica_open(NAME, 0);
	struct cptdev_image_info info = t_image_info(fd);
	ssize_t n, done = 0;

	if (info.generation != im->generation || !(info.state & CPTDEV_IMAGE_KEPT)) {
		close(fd);
		return -2;
	}
	for (; done < (ssize_t)LEN; done += n) {
		n = pread(fd, buf + done, LEN - done, im->addr + done);
		if (n <= 0) {
			close(fd);
			return done / PAGE;
		}
	}
	close(fd);
	return t_image_differs(im, buf);
}

FIXTURE(keep) {
	int fd;				/* the program's session */
	int daemon;			/* the descriptor that stands for a spare */
	uint64_t id;
	char *m;
	struct t_image *image;		/* what that spare has */
};

FIXTURE_SETUP(keep)
{
	replica_remove(NAME);
	self->fd = t_open();
	self->daemon = t_open();
	ASSERT_LE(0, self->fd);
	self->m = t_map(LEN);
	memset(self->m, 1, LEN);
	ASSERT_EQ(0, t_setup(self->fd, NAME, 1, 0));
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	self->id = t_info(self->fd).session_id;
	self->image = t_image_new(self->m, LEN);
	ASSERT_EQ(0, t_keep(self->daemon, self->id, 0, 0));
}

FIXTURE_TEARDOWN(keep)
{
	close(self->fd);
	close(self->daemon);
	replica_remove(NAME);
}

static uint64_t publish(FIXTURE_DATA(keep) *self)
{
	struct cptdev_snapshot s;

	return t_snapshot(self->fd, PUBLISH, 0, &s) == -1 ? s.generation : 0;
}

/* The spare gets what there is, and has it: the snapshots are free then. */
static int follow(int daemon, uint64_t id, struct t_image *image)
{
	struct cptdev_delta d;
	int fd, n = 0;

	while ((fd = t_delta(daemon, id, image->generation, &d)) >= 0) {
		if (t_image_apply(image, fd))
			n = -1000;
		close(fd);
		t_ack(daemon, id, image->generation, 0);
		n++;
	}
	return n;
}

TEST_F(keep, calls)
{
	int other = t_open();

	EXPECT_EQ(CPTDEV_FEATURE_KEEP, t_info(self->fd).features & CPTDEV_FEATURE_KEEP);
	EXPECT_EQ(-ENOENT, t_keep(self->daemon, 1ULL << 60, 0, 0));
	EXPECT_EQ(-EOPNOTSUPP, t_keep(self->daemon, self->id, 2, 0));
	/* It has no name. */
	EXPECT_EQ(-ENOENT, t_keep(self->daemon, t_info(other).session_id, 0, 0));
	close(other);
	if (fork() == 0) {
		int fd;

		if (setuid(65534))
			_exit(2);
		fd = t_open();
		_exit(fd < 0 ? 3 : t_keep(fd, self->id, 0, 0) != -EPERM);
	}
	EXPECT_LE(0, wait(&other));
	/* Who may not even open the device can't keep anything either. */
	EXPECT_TRUE(WEXITSTATUS(other) == 0 || WEXITSTATUS(other) == 3);
}

/* After the spare has it nothing but the replica holds the pages: stores go to others all the same. */
TEST_F(keep, never_changes)
{
	unsigned int i, k;

	for (i = 0; i < 20; i++) {
		for (k = 0; k < 40; k++)
			self->m[(i * 37 + k * 13) % PAGES * PAGE + k] = i + k;
		ASSERT_EQ(i + 1ULL, publish(self));
		EXPECT_EQ(1, follow(self->daemon, self->id, self->image));
		EXPECT_EQ(-1, differs(self->image));
		EXPECT_EQ(0ULL, T_SOON(0ULL, t_info(self->fd).session_held));
		memset(self->m, 0x80 + i, LEN);
		EXPECT_EQ(-1, differs(self->image));
	}
}

TEST_F(keep, holes_and_mappings)
{
	unsigned int i;

	ASSERT_EQ(1ULL, publish(self));
	for (i = 0; i < 10; i++) {
		madvise(self->m + i * 50 * PAGE, 20 * PAGE, MADV_DONTNEED);
		self->m[(i * 50 + 3) * PAGE] = 7;
		if (i == 5)
			mmap(self->m + 700 * PAGE, 10 * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		ASSERT_EQ(i + 2ULL, publish(self));
		follow(self->daemon, self->id, self->image);
		EXPECT_EQ(-1, differs(self->image));
	}
}

/* It costs no page but those that are written to. */
TEST_F(keep, counts_for_the_limits)
{
	uint64_t before = t_info(self->fd).replica;

	ASSERT_EQ(1ULL, publish(self));
	EXPECT_EQ(before + LEN, t_info(self->fd).replica);
	self->m[5 * PAGE]++;
	ASSERT_EQ(2ULL, publish(self));
	EXPECT_EQ(before + LEN, T_SOON(before + LEN, t_info(self->fd).replica));
	replica_remove(NAME);
	EXPECT_EQ(before, T_SOON(before, t_info(self->fd).replica));
}

/* One that doesn't fit is published, and what was kept is gone: it would lack what is acknowledged. */
TEST_F(keep, what_isnt_kept_is_gone)
{
	ASSERT_EQ(0, t_keep(self->daemon, self->id, 0, LEN + 3 * PAGE));
	ASSERT_EQ(1ULL, publish(self));
	follow(self->daemon, self->id, self->image);
	EXPECT_EQ(-1, differs(self->image));
	memset(self->m, 9, LEN / 2);
	ASSERT_EQ(2ULL, publish(self));
	EXPECT_EQ(-ENOENT, replica_open(NAME, 0));
	EXPECT_EQ(1, follow(self->daemon, self->id, self->image));
	ASSERT_EQ(3ULL, publish(self));
	EXPECT_EQ(-ENOENT, replica_open(NAME, 0));
}

/* Nor while a reader has it frozen. */
TEST_F(keep, a_frozen_one_is_given_up)
{
	struct cptdev_replica_freeze arg = { .size = sizeof(arg) };
	int fd;

	ASSERT_EQ(1ULL, publish(self));
	fd = replica_open(NAME, 0);
	ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_FREEZE, &arg));
	self->m[0]++;
	ASSERT_EQ(2ULL, publish(self));
	EXPECT_EQ(-ENOENT, replica_open(NAME, 0));
	EXPECT_EQ(1ULL, t_image_info(fd).generation);
	close(fd);
}

TEST_F(keep, stops_and_begins_again)
{
	ASSERT_EQ(1ULL, publish(self));
	ASSERT_EQ(0, t_keep(self->daemon, self->id, CPTDEV_KEEP_STOP, 0));
	self->m[0]++;
	ASSERT_EQ(2ULL, publish(self));
	follow(self->daemon, self->id, self->image);
	EXPECT_EQ(-2, differs(self->image));
	/* What it lacks comes with the next one. */
	ASSERT_EQ(0, t_keep(self->daemon, self->id, 0, 0));
	self->m[PAGE]++;
	ASSERT_EQ(3ULL, publish(self));
	follow(self->daemon, self->id, self->image);
	EXPECT_EQ(-1, differs(self->image));
}

/* A spare gets the memory in rounds, of which nothing is kept: the snapshot after them has both. */
TEST_F(keep, after_a_pass_of_rounds)
{
	struct cptdev_round r = { .size = sizeof(r), .session_id = self->id, .pages = 2 * PAGES };
	int fd;

	ASSERT_EQ(1ULL, publish(self));
	EXPECT_EQ(1, follow(self->daemon, self->id, self->image));
	self->m[3 * PAGE]++;
	fd = t_round(self->daemon, &r);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0ULL, r.addr);
	ASSERT_EQ(-ESTALE, t_delta_flags(self->daemon, self->id, r.pass, CPTDEV_DELTA_AFRESH, NULL));
	self->m[5 * PAGE]++;
	ASSERT_LT(r.pass, publish(self));
	EXPECT_EQ(1, follow(self->daemon, self->id, self->image));
	EXPECT_EQ(-1, differs(self->image));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

/* Another host's program has gone on: what it has sent isn't overwritten. */
TEST_F(keep, a_higher_term_stays)
{
	struct cptdev_replica_promote arg = { .size = sizeof(arg), .term = 7 };
	int fd;

	ASSERT_EQ(1ULL, publish(self));
	fd = replica_open(NAME, CPTDEV_REPLICA_WRITE);
	ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_PROMOTE, &arg));
	self->m[0]++;
	ASSERT_EQ(2ULL, publish(self));
	EXPECT_EQ(1ULL, t_image_info(fd).generation);
	EXPECT_EQ(7ULL, t_image_info(fd).term);
	close(fd);
}

/* Nor is it removed because what this program publishes doesn't fit. */
TEST_F(keep, a_higher_term_stays_without_room)
{
	struct cptdev_replica_promote arg = { .size = sizeof(arg), .term = 7 };
	int fd;

	ASSERT_EQ(0, t_keep(self->daemon, self->id, 0, LEN + 3 * PAGE));
	ASSERT_EQ(1ULL, publish(self));
	fd = replica_open(NAME, CPTDEV_REPLICA_WRITE);
	ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_PROMOTE, &arg));
	memset(self->m, 9, LEN / 2);
	ASSERT_EQ(2ULL, publish(self));
	EXPECT_FALSE(t_image_info(fd).state & CPTDEV_IMAGE_REMOVED);
	EXPECT_EQ(1ULL, t_image_info(fd).generation);
	close(fd);
	fd = replica_open(NAME, 0);
	EXPECT_LE(0, fd);
	close(fd);
}

/* A program that took over from what was kept: its own generations replace it. */
TEST_F(keep, the_next_program_goes_on)
{
	struct cptdev_replica_promote promote = { .size = sizeof(promote) };
	struct cptdev_replica_claim claim = { .size = sizeof(claim) };
	int waits, fd, i;

	ASSERT_EQ(1ULL, publish(self));
	for (i = 2; i < 5; i++) {
		close(self->fd);
		waits = replica_open(NAME, 0);
		fd = replica_open(NAME, CPTDEV_REPLICA_WRITE);
		promote.term = i;
		ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_PROMOTE, &promote));
		ASSERT_EQ(0, t_ioctl(waits, CPTDEV_IOC_REPLICA_CLAIM, &claim));
		claim.term = 0;
		EXPECT_TRUE(t_image_info(fd).state & CPTDEV_IMAGE_KEPT);
		close(waits);
		close(fd);
		self->fd = t_open();
		ASSERT_EQ(0, t_setup(self->fd, NAME, i, 0));
		ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
		self->id = t_info(self->fd).session_id;
		ASSERT_EQ(0, t_keep(self->daemon, self->id, 0, 0));
		self->m[i * PAGE] = 99 + i;
		t_image_free(self->image);
		self->image = t_image_new(self->m, LEN);
		ASSERT_EQ(1ULL, publish(self));
		follow(self->daemon, self->id, self->image);
		EXPECT_EQ(-1, differs(self->image));
		EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	}
}

/* A peer's delta is no kept one. */
TEST_F(keep, what_is_sent_isnt_kept)
{
	struct cptdev_segment seg = { .addr = (unsigned long)self->m, .len = LEN,
				      .kind = CPTDEV_SEGMENT_ANON, .prot = 3 };
	struct cptdev_replica_begin begin = {
		.size = sizeof(begin), .term = 2, .generation = 5, .uuid = { 1 },
		.layout = (unsigned long)&seg, .layout_len = 1,
	};
	struct cptdev_replica_commit commit = { .size = sizeof(commit), .generation = 5 };
	int fd;

	ASSERT_EQ(1ULL, publish(self));
	fd = replica_open(NAME, CPTDEV_REPLICA_WRITE);
	ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_BEGIN, &begin));
	EXPECT_EQ(3, pwrite(fd, "abc", 3, (unsigned long)self->m + 5));
	ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_COMMIT, &commit));
	EXPECT_FALSE(t_image_info(fd).state & CPTDEV_IMAGE_KEPT);
	close(fd);
}

/* A part of a page is changed, on top of a page that is shared: which stays what it is. */
TEST_F(keep, a_part_of_a_page)
{
	struct cptdev_segment seg = { .addr = (unsigned long)self->m, .len = LEN,
				      .kind = CPTDEV_SEGMENT_ANON, .prot = 3 };
	struct cptdev_replica_begin begin = {
		.size = sizeof(begin), .term = 1, .base = 1, .generation = 2,
		.layout = (unsigned long)&seg, .layout_len = 1,
	};
	struct cptdev_replica_commit commit = { .size = sizeof(commit), .generation = 2 };
	char buf[8];
	int fd;

	ASSERT_EQ(1ULL, publish(self));
	fd = replica_open(NAME, CPTDEV_REPLICA_WRITE);
	memcpy(begin.uuid, t_image_info(fd).uuid, sizeof(begin.uuid));
	ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_BEGIN, &begin));
	EXPECT_EQ(3, pwrite(fd, "abc", 3, (unsigned long)self->m + 2));
	ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_COMMIT, &commit));
	EXPECT_EQ(8, pread(fd, buf, 8, (unsigned long)self->m));
	EXPECT_EQ(0, memcmp(buf, "\1\1abc\1\1\1", 8));
	EXPECT_EQ(1, self->m[2]);
	close(fd);
}

/*
 * Programs that are killed at any moment, while all their threads write, transfers are on their way into
 * their memory, and a forked child writes to its copy of it.
 */

FIXTURE(killed) {
	int daemon;
	struct t_image *image;
};

FIXTURE_VARIANT(killed) {
	bool huge;
};

FIXTURE_VARIANT_ADD(killed, small) {
	.huge = false,
};

FIXTURE_VARIANT_ADD(killed, huge) {
	.huge = true,
};

FIXTURE_SETUP(killed)
{
	self->daemon = t_open();
	ASSERT_LE(0, self->daemon);
}

FIXTURE_TEARDOWN(killed)
{
	close(self->daemon);
	replica_remove(NAME);
}

static char *memory;

static void *writer(void *arg)
{
	uint64_t seed = (unsigned long)arg;

	for (;;)
		memory[t_random(&seed) % LEN] = t_random(&seed);
	return NULL;
}

/* What the disk has differs from place to place. */
static void disk_fill(void)
{
	char *p = aligned_alloc(PAGE, 64 * PAGE);
	int fd = open(DISK, O_RDWR | O_DIRECT);
	unsigned int i;

	for (i = 0; i < 64 * PAGE; i++)
		p[i] = i / PAGE * 3 + i % 251;
	if (fd >= 0 && pwrite(fd, p, 64 * PAGE, 0) < 0)
		perror(DISK);
	if (fd >= 0)
		close(fd);
	free(p);
}

static void *reader(void *arg)
{
	int fd = open(DISK, O_RDONLY | O_DIRECT);
	uint64_t seed = (unsigned long)arg;

	while (fd >= 0)
		if (pread(fd, memory + t_random(&seed) % (PAGES - 8) * PAGE, 8 * PAGE,
			  t_random(&seed) % 56 * PAGE) < 0)
			break;
	return NULL;
}

/* A child that stays behind, and writes to what it has shared with its parent. */
static void child_writes(void)
{
	unsigned int i;

	if (fork())
		return;
	for (i = 0; i < 400; i++) {
		memset(memory + i * 7 % PAGES * PAGE, i, PAGE);
		usleep(1000);
	}
	_exit(0);
}

/* @told: the session's number goes there. */
static void program(int told, uint64_t seed, bool huge)
{
	struct cptdev_snapshot s;
	int fd = t_open();
	pthread_t id;
	uint64_t nr;
	char go;

	memory = huge ? t_map_huge(LEN) : t_map(LEN);
	memset(memory, seed, LEN);
	if (t_setup(fd, NAME, 1, 0) || t_add(fd, memory, LEN))
		_exit(1);
	nr = t_info(fd).session_id;
	if (write(told, &nr, sizeof(nr)) < 0 || write(told, &memory, sizeof(memory)) < 0 ||
	    read(told, &go, 1) != 1)
		_exit(1);
	pthread_create(&id, NULL, writer, (void *)(seed + 1));
	pthread_create(&id, NULL, writer, (void *)(seed + 2));
	pthread_create(&id, NULL, reader, (void *)(seed + 3));
	for (;;) {
		if (t_random(&seed) % 4 == 0)
			child_writes();
		if (t_random(&seed) % 8 == 0)
			madvise(memory + t_random(&seed) % (PAGES - 9) * PAGE, 9 * PAGE, MADV_DONTNEED);
		t_snapshot(fd, PUBLISH, 0, &s);
		/* A short pause, so that the spare has most of them when it is killed. */
		usleep(t_random(&seed) % 20000);
	}
}

TEST_F(killed, at_any_moment)
{
	unsigned int rounds = t_length() == T_SHORT ? 4 : t_length() == T_SOAK ? 200 : 20;
	unsigned int i, compared = 0;
	uint64_t id, seed = 4711;

	disk_fill();
	signal(SIGCHLD, SIG_DFL);
	for (i = 0; i < rounds; i++) {
		uint64_t until;
		char *where;
		int fds[2];
		long page;
		pid_t pid;

		replica_remove(NAME);
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
		pid = fork();
		if (!pid)
			program(fds[1], seed + i, variant->huge);
		ASSERT_EQ((ssize_t)sizeof(id), read(fds[0], &id, sizeof(id)));
		ASSERT_EQ((ssize_t)sizeof(where), read(fds[0], &where, sizeof(where)));
		ASSERT_EQ(0, t_keep(self->daemon, id, 0, 0));
		ASSERT_EQ(1, write(fds[0], "g", 1));
		self->image = t_image_new(where, LEN);
		until = t_random(&seed) % 12 + 2;
		while (self->image->generation < until)
			if (follow(self->daemon, id, self->image) <= 0)
				usleep(500);
		usleep(t_random(&seed) % 5000);
		follow(self->daemon, id, self->image);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		/* What landed, and what the child writes, comes after that. */
		usleep(20000);
		page = differs(self->image);
		if (page != -2) {
			EXPECT_EQ(-1, page);
			compared++;
		}
		t_image_free(self->image);
		close(fds[0]);
		close(fds[1]);
	}
	/* Of the others the last one was published and not fetched. */
	TH_LOG("%u programs killed, %u compared", rounds, compared);
	EXPECT_LE(rounds / 3, compared);
}

TEST_HARNESS_MAIN
