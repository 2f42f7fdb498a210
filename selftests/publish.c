// SPDX-License-Identifier: GPL-2.0-only
/*
 * Published snapshots: what a spare that follows gets, in which order, what waiting
 * answers; and that a spare which was away gets what changed, once.
 */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "tracing.h"
#include "harness.h"

#define PAGES	64UL
#define LEN	(PAGES * PAGE)
#define PUBLISH	(CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD)
#define MS	1000000ULL

FIXTURE(publish) {
	int fd;				/* the program's session */
	int daemon;			/* the descriptor that stands for a spare */
	uint64_t id;
	char *m;
	struct t_image *image;		/* what that spare has */
	struct cptdev_delta d;
};

FIXTURE_SETUP(publish)
{
	self->fd = t_open();
	self->daemon = t_open();
	ASSERT_LE(0, self->fd);
	self->m = t_map(LEN);
	memset(self->m, 1, LEN);
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	self->id = t_info(self->fd).session_id;
	self->image = t_image_new(self->m, LEN);
}

FIXTURE_TEARDOWN(publish)
{
	close(self->fd);
	close(self->daemon);
}

static uint64_t publish(FIXTURE_DATA(publish) *self)
{
	struct cptdev_snapshot s;

	if (t_snapshot(self->fd, PUBLISH, 0, &s) != -1)
		return 0;
	return s.generation;
}

/* self->d is the last one that there was. */
static int delta(FIXTURE_DATA(publish) *self, uint64_t since)
{
	struct cptdev_delta d;
	int ret = t_delta(self->daemon, self->id, since, &d);

	if (ret >= 0)
		self->d = d;
	return ret;
}

static int ack(FIXTURE_DATA(publish) *self, uint64_t generation)
{
	return t_ack(self->daemon, self->id, generation, 0);
}

/* Fetch what there is, apply it, acknowledge it. Returns how many there were. */
static int follow(FIXTURE_DATA(publish) *self)
{
	int fd, n = 0;

	while ((fd = delta(self, self->image->generation)) >= 0) {
		if (t_image_apply(self->image, fd) || ack(self, self->image->generation))
			return -1;
		close(fd);
		n++;
	}
	return fd == -ENODATA ? n : fd;
}

static int wait_for(FIXTURE_DATA(publish) *self, uint64_t generation)
{
	return t_wait(self->fd, generation, 0, NULL);
}

TEST_F(publish, follow)
{
	unsigned int i;

	for (i = 0; i < 10; i++) {
		uint64_t g;

		self->m[i * PAGE]++;
		g = publish(self);
		EXPECT_EQ(i + 1ULL, g);
		EXPECT_EQ(-ETIMEDOUT, wait_for(self, g));
		EXPECT_EQ(1, follow(self));
		EXPECT_EQ(0, wait_for(self, g));
		EXPECT_EQ(-1, t_image_differs(self->image, self->m));
		EXPECT_EQ(g, t_info(self->fd).committed);
		EXPECT_EQ(0ULL, t_info(self->fd).session_held);
	}
}

TEST_F(publish, incremental)
{
	publish(self);
	close(delta(self, 0));
	EXPECT_EQ(PAGES, self->d.pages);
	EXPECT_EQ(0, ack(self, 1));
	self->m[7 * PAGE]++;
	publish(self);
	close(delta(self, 1));
	EXPECT_EQ(1ULL, self->d.pages);
	EXPECT_EQ(1ULL, self->d.base);
	EXPECT_EQ(2ULL, self->d.generation);
}

/* What nobody has taken grows into one; each page is in it once. */
TEST_F(publish, waiting_ones_merge)
{
	unsigned int i;

	publish(self);
	ASSERT_EQ(1, follow(self));
	for (i = 0; i < 20; i++) {
		self->m[(i % 5) * 10 * PAGE]++;
		if (i == 7)
			madvise(self->m + 3 * PAGE, 4 * PAGE, MADV_DONTNEED);
		if (i == 9)
			self->m[4 * PAGE] = 9;
		publish(self);
	}
	EXPECT_EQ(6 * PAGE, t_info(self->fd).session_held);
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(1ULL, self->d.base);
	EXPECT_EQ(21ULL, self->d.generation);
	EXPECT_EQ(6ULL, self->d.pages);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	EXPECT_FALSE(self->image->has[3]);
	EXPECT_EQ(0, wait_for(self, 15));		/* is in it */
}

/*
 * Without a spare each checkpoint is published into what waits already. What that costs goes
 * with what changed, not with all that waits; and to acknowledge it frees little itself.
 * Counted, not timed.
 */
TEST_F(publish, waiting_costs_what_changed)
{
	const unsigned long many = 8192, rounds = 256;
	char *m = t_map(many * PAGE);
	uint64_t sum, most;
	unsigned long i;

	memset(m, 1, many * PAGE);
	ASSERT_EQ(0, t_add(self->fd, m, many * PAGE));
	ASSERT_TRUE(t_trace_begin("cptdev_merge") && t_trace_begin("cptdev_free"));
	publish(self);
	for (i = 0; i < rounds; i++) {
		m[i * 32 * PAGE]++;
		m[(i * 32 + 7) * PAGE]++;
		m[PAGE]++;
		publish(self);
	}
	t_trace_count("cptdev_merge", "pages=", true, &sum, &most);
	EXPECT_LT(0ULL, sum);
	EXPECT_GT(rounds * 2048, sum);		/* all of it each time: 2,000,000 */
	/* Those that are kept twice are few; everything arrives, in a few steps. */
	EXPECT_GE((many + PAGES + many / 2) * PAGE, t_info(self->fd).session_held);
	t_image_free(self->image);
	self->image = t_image_new(m, many * PAGE);
	ASSERT_TRUE(t_trace_clear());
	EXPECT_GE(4, follow(self));
	EXPECT_EQ(rounds + 1, self->image->generation);
	EXPECT_EQ(-1, t_image_differs(self->image, m));
	EXPECT_EQ(0ULL, T_SOON(0ULL, t_info(self->fd).session_held));
	EXPECT_TRUE(T_SOON(true, t_trace_sum("cptdev_free", "pages=") >= many));
	t_trace_end("cptdev_merge");
	t_trace_end("cptdev_free");
	t_trace_count("cptdev_free", "pages=", true, &sum, &most);
	EXPECT_GE(512ULL, most);
	munmap(m, many * PAGE);
}

/* One that was taken isn't touched any more: the next one continues it. */
/* Runs that overlap in all ways: of two contents the newer one. */
TEST_F(publish, merged_ones_keep_the_newer_page)
{
	unsigned int i;
	uint64_t g = 0;

	publish(self);
	EXPECT_EQ(1, follow(self));
	for (i = 1; i < 8; i++) {
		memset(self->m + (8 + i) * PAGE, 'a' + i, (20 - 2 * i) * PAGE);
		memset(self->m + (40 - i) * PAGE, 'A' + i, (2 * i) * PAGE);
		self->m[50 * PAGE]++;
		g = publish(self);
	}
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(g, self->image->generation);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

TEST_F(publish, pipeline)
{
	int first, second;

	publish(self);
	first = delta(self, 0);
	self->m[0]++;
	publish(self);
	second = delta(self, 1);
	EXPECT_EQ(1ULL, self->d.base);
	EXPECT_EQ(1ULL, self->d.pages);
	self->m[PAGE]++;
	publish(self);
	EXPECT_EQ(0, t_image_apply(self->image, first));
	EXPECT_EQ(0, t_image_apply(self->image, second));
	EXPECT_EQ(0, ack(self, 1));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self, 2));
	EXPECT_EQ(0, ack(self, 2));
	EXPECT_EQ(0, wait_for(self, 2));
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

/* A spare that lost what it was sent gets it again, as long as nothing was acked. */
TEST_F(publish, again)
{
	publish(self);
	close(delta(self, 0));
	close(self->daemon);
	self->daemon = t_open();
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

TEST_F(publish, was_away)
{
	unsigned int i;

	publish(self);
	ASSERT_EQ(1, follow(self));
	close(self->daemon);
	EXPECT_EQ(0ULL, t_info(self->fd).attached);
	for (i = 0; i < 5; i++) {
		self->m[i * PAGE]++;
		publish(self);
	}
	self->daemon = t_open();
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(5ULL, self->d.pages);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

/* A new spare needs everything; whoever waits for less is told. */
TEST_F(publish, new_spare)
{
	publish(self);
	ASSERT_EQ(1, follow(self));
	self->m[0]++;
	publish(self);
	EXPECT_EQ(-ESTALE, delta(self, 0));
	EXPECT_EQ(-ECANCELED, wait_for(self, 2));
	EXPECT_EQ(0, wait_for(self, 1));
	self->m[PAGE]++;
	publish(self);
	t_image_free(self->image);
	self->image = t_image_new(self->m, LEN);
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(0ULL, self->d.base);
	EXPECT_EQ(PAGES, self->d.pages);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	EXPECT_EQ(0, wait_for(self, 3));
	/* From here on as usual. */
	self->m[9 * PAGE]++;
	publish(self);
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(1ULL, self->d.pages);
}

/* Another spare goes on, and whoever waits for what it can commit isn't told anything. */
TEST_F(publish, new_spare_beside_another)
{
	struct pollfd pri = { .fd = self->fd, .events = POLLPRI };
	int other = t_open(), fd;
	struct cptdev_delta d;

	publish(self);
	ASSERT_EQ(1, follow(self));
	self->m[0]++;
	publish(self);
	EXPECT_EQ(-EOPNOTSUPP, t_delta_flags(other, self->id, 0, 1U << 31, NULL));
	EXPECT_EQ(-ESTALE, t_delta_flags(other, self->id, 0, CPTDEV_DELTA_OTHERS, NULL));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self, 2));
	EXPECT_EQ(0, poll(&pri, 1, 0));
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(0, wait_for(self, 2));
	/* The next one reaches back all the same. */
	self->m[PAGE]++;
	publish(self);
	fd = t_delta_flags(other, self->id, 0, CPTDEV_DELTA_OTHERS, &d);
	EXPECT_LE(0, fd);
	EXPECT_EQ(0ULL, d.base);
	EXPECT_EQ(PAGES, d.pages);
	close(fd);
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	close(other);
}

/* A spare that missed some gets what changed since, not everything. */
TEST_F(publish, behind)
{
	unsigned int i;

	publish(self);
	ASSERT_EQ(1, follow(self));
	for (i = 1; i < 6; i++) {
		self->m[i * PAGE]++;
		publish(self);
		close(delta(self, i));
		EXPECT_EQ(0, ack(self, i + 1));		/* said, but not applied */
	}
	EXPECT_EQ(-ESTALE, delta(self, 1));
	publish(self);
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(1ULL, self->d.base);
	EXPECT_EQ(5ULL, self->d.pages);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

/* Unpublished snapshots in between don't break the chain. */
TEST_F(publish, beside_private_ones)
{
	struct cptdev_snapshot s;

	publish(self);
	ASSERT_EQ(1, follow(self));
	self->m[PAGE]++;
	close(t_snapshot(self->fd, 0, 0, &s));
	EXPECT_EQ(1ULL, s.pages);
	self->m[2 * PAGE]++;
	close(t_snapshot(self->fd, 0, 0, &s));
	EXPECT_EQ(1ULL, s.pages);
	publish(self);
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(1ULL, self->d.base);
	EXPECT_EQ(4ULL, self->d.generation);
	EXPECT_EQ(2ULL, self->d.pages);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

TEST_F(publish, with_descriptor)
{
	struct cptdev_snapshot s;
	int fd = t_snapshot(self->fd, CPTDEV_SNAPSHOT_PUBLISH, 0, &s);

	ASSERT_LE(0, fd);
	EXPECT_EQ((__u32)CPTDEV_IMAGE_PUBLISHED, t_image_info(fd).state);
	EXPECT_EQ(LEN, t_info(self->fd).session_held);
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(LEN, t_info(self->fd).session_held);
	close(fd);
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
}

TEST_F(publish, range_deleted_between)
{
	publish(self);
	ASSERT_EQ(1, follow(self));
	memset(self->m + 8 * PAGE, 2, 8 * PAGE);
	publish(self);
	ASSERT_EQ(0, t_del(self->fd, self->m + 10 * PAGE, 2 * PAGE));
	self->m[20 * PAGE]++;
	publish(self);
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(7ULL, self->d.pages);			/* 8, 9, 12 to 15, 20 */
}

TEST_F(publish, meta_of_the_newest)
{
	struct cptdev_snapshot s = {
		.size = sizeof(s), .flags = PUBLISH, .meta = (unsigned long)"one",
		.meta_len = 3,
	};
	char buf[8] = { 0 };
	struct cptdev_image_vec v = {
		.size = sizeof(v), .vec = (unsigned long)buf, .vec_len = 8,
	};
	int fd;

	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	s.meta = (unsigned long)"second";
	s.meta_len = 6;
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	fd = delta(self, 0);
	ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_IMAGE_META, &v));
	EXPECT_STREQ("second", buf);
}

/*
 * Waiting
 */

static void ack_later(FIXTURE_DATA(publish) *self, uint64_t generation, uint32_t flags)
{
	fflush(NULL);
	if (fork())
		return;
	/* The child has its own descriptor of a spare. */
	close(t_delta(self->daemon, self->id, 0, NULL));
	usleep(100000);
	t_ack(self->daemon, self->id, generation, flags);
	_exit(0);
}

TEST_F(publish, wait)
{
	uint64_t committed;

	publish(self);
	EXPECT_EQ(-ETIMEDOUT, t_wait(self->fd, 1, 20 * MS, &committed));
	EXPECT_EQ(0ULL, committed);
	ack_later(self, 1, 0);
	EXPECT_EQ(0, t_wait(self->fd, 1, CPTDEV_FOREVER, &committed));
	EXPECT_EQ(1ULL, committed);
	EXPECT_EQ(0, t_wait(self->fd, 0, 0, NULL));
	EXPECT_EQ(-EINVAL, t_wait(self->fd, 2, 0, NULL));
	wait(NULL);
}

TEST_F(publish, wait_in_the_snapshot)
{
	struct cptdev_snapshot s = {
		.size = sizeof(s), .flags = PUBLISH | CPTDEV_SNAPSHOT_WAIT,
		.timeout_ns = 50 * MS,
	};

	EXPECT_EQ(-ETIMEDOUT, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	EXPECT_EQ(1ULL, s.generation);
	EXPECT_EQ(1ULL, t_info(self->fd).published);
	s.timeout_ns = CPTDEV_FOREVER;
	ack_later(self, 2, 0);
	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	EXPECT_EQ(2ULL, s.generation);
	wait(NULL);
}

static void on_alarm(int sig)
{
	(void)sig;
}

TEST_F(publish, wait_and_signal)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	publish(self);
	sigaction(SIGALRM, &sa, NULL);
	ualarm(50000, 0);
	EXPECT_EQ(-EINTR, t_wait(self->fd, 1, CPTDEV_FOREVER, NULL));
}

TEST_F(publish, wait_and_kill)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		int fd = t_open();

		t_add(fd, self->m, LEN);
		t_snapshot(fd, PUBLISH, 0, NULL);
		t_wait(fd, 1, CPTDEV_FOREVER, NULL);
		_exit(1);
	}
	usleep(100000);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
}

TEST_F(publish, fenced)
{
	struct pollfd p = { .fd = self->fd, .events = POLLPRI };

	publish(self);
	close(delta(self, 0));
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(0, t_ack(self->daemon, self->id, 0, CPTDEV_ACK_FENCED));
	EXPECT_EQ(-ESTALE, wait_for(self, 1));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLPRI, p.revents);
	/* What was committed before was committed. */
	publish(self);
	EXPECT_EQ(-ESTALE, wait_for(self, 2));
}

/*
 * A program that took over may serve for long before it has a spare of its own, and be
 * fenced without ever having published. Whatever it asks, it learns that.
 */
TEST_F(publish, fenced_before_the_first)
{
	struct pollfd p = { .fd = self->fd, .events = POLLPRI };
	uint64_t committed = 99;

	EXPECT_EQ(-EINVAL, t_wait(self->fd, 0, 0, NULL));
	EXPECT_EQ(0, poll(&p, 1, 0));
	/* By a descriptor that follows nobody: there was nothing to fetch. */
	EXPECT_EQ(0, t_ack(self->daemon, self->id, 0, CPTDEV_ACK_FENCED));
	EXPECT_EQ(0ULL, t_info(self->fd).attached);
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLPRI, p.revents);
	EXPECT_EQ(-ESTALE, t_wait(self->fd, 0, 0, &committed));
	EXPECT_EQ(0ULL, committed);
	EXPECT_EQ(-ESTALE, t_wait(self->fd, 0, CPTDEV_FOREVER, NULL));
	EXPECT_EQ(-ESTALE, t_wait(self->fd, 7, 0, NULL));
	EXPECT_EQ(1ULL, publish(self));
	EXPECT_EQ(-ESTALE, wait_for(self, 1));
}

/* All is committed, and poll() says that there is news: so does WAIT. */
TEST_F(publish, fenced_while_idle)
{
	struct pollfd p = { .fd = self->fd, .events = POLLPRI };
	uint64_t committed = 99;

	publish(self);
	ASSERT_EQ(1, follow(self));
	EXPECT_EQ(0, t_ack(self->daemon, self->id, 0, CPTDEV_ACK_FENCED));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(-ESTALE, t_wait(self->fd, 0, 0, &committed));
	EXPECT_EQ(1ULL, committed);
	/* The spare has this one, whatever came after: its answers may go out. */
	EXPECT_EQ(0, wait_for(self, 1));
}

static void fence_later(FIXTURE_DATA(publish) *self)
{
	fflush(NULL);
	if (fork())
		return;
	usleep(100000);
	t_ack(t_open(), self->id, 0, CPTDEV_ACK_FENCED);
	_exit(0);
}

TEST_F(publish, fenced_while_it_waits)
{
	publish(self);
	fence_later(self);
	EXPECT_EQ(-ESTALE, t_wait(self->fd, 0, CPTDEV_FOREVER, NULL));
	wait(NULL);
}

TEST_F(publish, poll)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN };

	publish(self);
	EXPECT_EQ(0, poll(&p, 1, 0));
	ASSERT_EQ(1, follow(self));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(0, wait_for(self, 1));
	EXPECT_EQ(0, poll(&p, 1, 0));
	/* Something was dropped: that is urgent. */
	p.events = POLLPRI;
	publish(self);
	EXPECT_EQ(-ESTALE, delta(self, 0));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(-ECANCELED, wait_for(self, 2));
	EXPECT_EQ(0, poll(&p, 1, 0));
}

/*
 * Followers
 */

TEST_F(publish, attach_and_detach)
{
	int other = t_open();

	EXPECT_EQ(0ULL, t_info(self->fd).attached);
	EXPECT_EQ(-EINVAL, ack(self, 1));		/* follows nobody yet */
	EXPECT_EQ(-ENODATA, delta(self, 0));
	EXPECT_EQ(1ULL, t_info(self->fd).attached);
	EXPECT_EQ(-ENODATA, delta(self, 0));
	EXPECT_EQ(1ULL, t_info(self->fd).attached);
	EXPECT_EQ(-ENODATA, t_delta(other, self->id, 0, NULL));
	EXPECT_EQ(2ULL, t_info(self->fd).attached);
	close(other);
	EXPECT_EQ(1ULL, t_info(self->fd).attached);
	EXPECT_EQ(0, t_ack(self->daemon, self->id, 0, CPTDEV_ACK_DETACH));
	EXPECT_EQ(0ULL, t_info(self->fd).attached);
	/* What doesn't follow can't be detached; and a call that fails changes nothing. */
	EXPECT_EQ(-EINVAL, t_ack(self->daemon, self->id, 0, CPTDEV_ACK_DETACH));
	EXPECT_EQ(-EINVAL, t_ack(self->daemon, self->id, 0,
				 CPTDEV_ACK_DETACH | CPTDEV_ACK_FENCED));
	EXPECT_EQ(-EINVAL, t_wait(self->fd, 0, 0, NULL));
}

TEST_F(publish, wrong_fields)
{
	publish(self);
	EXPECT_EQ(-ENOENT, t_delta(self->daemon, self->id + 1000, 0, NULL));
	EXPECT_EQ(-EINVAL, t_delta(self->daemon, self->id, 2, NULL));
	EXPECT_EQ(-ENOENT, t_ack(self->daemon, self->id + 1000, 1, 0));
	EXPECT_EQ(-EINVAL, ack(self, 0));
	EXPECT_EQ(-EINVAL, ack(self, 2));
	EXPECT_EQ(-EINVAL, t_ack(self->daemon, self->id, 1, CPTDEV_ACK_FENCED));
	EXPECT_EQ(0ULL, t_info(self->fd).committed);
}

/* The session ends while a spare reads: what it has open stays whole. */
TEST_F(publish, session_ends)
{
	int fd;

	publish(self);
	fd = delta(self, 0);
	ASSERT_LE(0, fd);
	close(self->fd);
	EXPECT_EQ(-ENOENT, delta(self, 0));
	EXPECT_EQ(-ENOENT, ack(self, 1));
	EXPECT_EQ(0, t_image_apply(self->image, fd));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	EXPECT_EQ(LEN, t_info(self->daemon).held);
	close(fd);
	EXPECT_EQ(0ULL, t_info(self->daemon).held);
	self->fd = t_open();
}

TEST_F(publish, limit_keeps_the_chain)
{
	uint64_t g;

	close(self->fd);
	self->fd = t_open();
	ASSERT_EQ(0, t_setup(self->fd, "pub-limit", 0, (PAGES + 4) * PAGE));
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	self->id = t_info(self->fd).session_id;
	EXPECT_EQ(1ULL, publish(self));
	memset(self->m, 2, 8 * PAGE);
	EXPECT_EQ(-EDQUOT, t_snapshot(self->fd, PUBLISH, 0, NULL));
	EXPECT_EQ(1, follow(self));			/* now there is room */
	g = publish(self);
	EXPECT_EQ(3ULL, g);
	EXPECT_EQ(1, follow(self));
	EXPECT_EQ(8ULL, self->d.pages);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

/* One of two spares fetches nothing: what the other one has fetched isn't kept beyond the limit. */
TEST_F(publish, a_slow_spare_does_not_stop_the_program)
{
	uint64_t g = 1, next;
	int slow = t_open(), fd, i;

	close(self->fd);
	self->fd = t_open();
	ASSERT_EQ(0, t_setup(self->fd, "pub-slow", 0, 2 * PAGES * PAGE));
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	self->id = t_info(self->fd).session_id;
	ASSERT_EQ(g, publish(self));
	close(t_delta(slow, self->id, 0, NULL));
	close(delta(self, 0));
	EXPECT_EQ(0, ack(self, g));
	for (i = 2; i < 20; i++) {
		memset(self->m, i, LEN);
		next = publish(self);
		ASSERT_LT(g, next);
		fd = delta(self, g);
		ASSERT_LE(0, fd);
		close(fd);
		EXPECT_GE(2 * PAGES * PAGE, t_info(self->fd).session_held);
		g = next;
	}
	/* A snapshot that is on its way isn't cancelled for that. */
	EXPECT_EQ(-ETIMEDOUT, wait_for(self, g));
	EXPECT_EQ(-ESTALE, t_delta_flags(slow, self->id, 1, CPTDEV_DELTA_OTHERS, NULL));
	g = publish(self);
	fd = t_delta(slow, self->id, 1, &self->d);
	EXPECT_LE(0, fd);
	EXPECT_EQ(1ULL, self->d.base);
	EXPECT_EQ(PAGES, self->d.pages);
	close(fd);
	EXPECT_EQ(-ENODATA, delta(self, g));
	EXPECT_EQ(0, ack(self, g));
	EXPECT_EQ(0, wait_for(self, g));
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
	close(slow);
}

#include "publish_ack.h"

TEST_HARNESS_MAIN
