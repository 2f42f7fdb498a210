/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Replicas of the module: several processes at once, memory that is slow, work that is
 * counted. The part of replica.c that no other engine can be asked.
 */
#include <signal.h>
#include <sys/wait.h>

#include "slow.h"

TEST_F(replica, splice_in)
{
	loff_t pos = BASE + 4 * PAGE;
	int p[2];

	ASSERT_EQ(0, pipe(p));
	memset(self->data, 's', 2 * PAGE);
	ASSERT_EQ((ssize_t)(2 * PAGE), write(p[1], self->data, 2 * PAGE));
	ASSERT_EQ(0, begin(self, 0, 1));
	ASSERT_EQ((ssize_t)(2 * PAGE), splice(p[0], NULL, self->fd, &pos, 2 * PAGE, 0));
	EXPECT_EQ(0, commit(self, 1));
	EXPECT_EQ('s', at(self, 5));
	EXPECT_STREQ("4+2", extents(self));
}

/*
 * One read sees one generation, while another process commits as fast as it can; it may
 * end where the next begins.
 */
TEST_F(replica, one_generation)
{
	unsigned int i, seen = 0;
	char last = 0;
	int status;
	pid_t pid;
	ssize_t n;

	ASSERT_EQ(0, put(self, 0, 1, 0, PAGES, 'a'));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		for (i = 2; i < 200; i++)
			if (put(self, i - 1, i, 0, PAGES, 'a' + i % 26))
				_exit(1);
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		n = pread(self->ro, self->data, LEN, BASE);
		ASSERT_LT(0, n);
		for (i = 1; i < n / PAGE; i++)
			ASSERT_EQ(self->data[0], self->data[i * PAGE]);
		seen += self->data[0] != last;
		last = self->data[0];
	}
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_LT(3U, seen);
}

/*
 * While it is frozen nothing is committed: not even by who was about to, when FREEZE came.
 */
TEST_F(replica, freeze_against_commit)
{
	struct cptdev_replica_freeze f = { .size = sizeof(f) };
	unsigned int i, changed = 0, busy = 0;
	int status;
	pid_t pid;
	uint64_t g;

	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		for (g = 1; ; g++) {
			if (begin(self, g, g + 1))
				_exit(1);
			while (commit(self, g + 1))
				;
		}
	}
	for (i = 0; i < 20000; i++) {
		f.flags = 0;
		ASSERT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_REPLICA_FREEZE, &f));
		g = f.generation;
		changed += t_image_info(self->ro).generation != g;
		changed += t_image_info(self->ro).generation != g;
		busy += t_image_info(self->ro).staging == g + 1;
		f.flags = CPTDEV_FREEZE_THAW;
		ASSERT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_REPLICA_FREEZE, &f));
		changed += f.generation != g;
	}
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0U, changed);
	EXPECT_LT(0U, busy);
	TH_LOG("%u generations, %u of 20000 freezes met a commit", (unsigned int)g, busy);
}

/*
 * Memory that is slow: whoever reads into it or stages out of it waits for its own page
 * fault, and nobody else does.
 */

TEST_F(replica, slow_reader)
{
	struct t_slow slow = { .len = PAGE };
	struct t_slow_call call = { .fd = self->ro, .pos = BASE, .slow = &slow };

	ASSERT_EQ(0, put(self, 0, 1, 0, PAGES, 'a'));
	if (!t_slow_map(&slow))
		SKIP(return, "no userfaultfd");
	t_slow_begin(&call, t_slow_read);
	EXPECT_EQ(0, put(self, 1, 2, 0, PAGES, 'b'));
	EXPECT_EQ((ssize_t)PAGE, t_slow_end(&call));
	EXPECT_EQ('a', slow.m[0]);		/* as it was when the call began */
}

/* The list of segments, or with a position the meta-data. */
static void *slow_list(void *arg)
{
	struct t_slow_call *c = arg;
	struct cptdev_image_vec v = {
		.size = sizeof(v), .vec = (unsigned long)c->slow->m, .vec_len = 1,
	};
	int ret = t_ioctl(c->fd, c->pos ? CPTDEV_IOC_IMAGE_META : CPTDEV_IOC_IMAGE_LAYOUT,
			  &v);

	c->ret = ret ?: v.nr;
	return NULL;
}

static void check_slow_list(struct __test_metadata *_metadata, FIXTURE_DATA(replica) *self,
			    off_t meta)
{
	struct t_slow slow = { .len = PAGE };
	struct t_slow_call call = { .fd = self->ro, .pos = meta, .slow = &slow };

	self->begin.meta = (unsigned long)"x";
	self->begin.meta_len = 1;
	ASSERT_EQ(0, put(self, 0, 1, 0, PAGES, 'a'));
	if (!t_slow_map(&slow))
		SKIP(return, "no userfaultfd");
	t_slow_begin(&call, slow_list);
	EXPECT_EQ(0, put(self, 1, 2, 0, PAGES, 'b'));
	EXPECT_EQ(1, t_slow_end(&call));
}

TEST_F(replica, slow_layout)
{
	check_slow_list(_metadata, self, 0);
}

TEST_F(replica, slow_meta)
{
	check_slow_list(_metadata, self, 1);
}

TEST_F(replica, slow_stager)
{
	struct t_slow slow = { .len = PAGE };
	struct t_slow_call call = { .fd = self->fd, .pos = BASE, .slow = &slow };
	int fd = r_open(self->device, self->name, CPTDEV_REPLICA_WRITE, 0);
	struct cptdev_replica_promote a = { .size = sizeof(a) };

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, put(self, 0, 1, 0, PAGES, 'a'));
	ASSERT_EQ(0, begin(self, 1, 2));
	if (!t_slow_map(&slow))
		SKIP(return, "no userfaultfd");
	t_slow_begin(&call, t_slow_write);
	EXPECT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_PROMOTE, &a));
	EXPECT_EQ(-EINVAL, t_slow_end(&call));	/* what was staged is gone */
	EXPECT_EQ('a', at(self, 0));
	t_close(fd);
}

/*
 * Who commits, aborts or closes may be the thread that keeps up a heartbeat: what it does
 * itself doesn't grow with the memory. Counted, not timed.
 */

#define FEW	512UL			/* that a call may free itself */

TEST_F(replica, freed_by_a_worker)
{
	uint64_t sum, most;
	int other;

	self->layout[0].len = MANY * PAGE;
	ASSERT_TRUE(t_trace_begin("cptdev_free"));
	ASSERT_EQ(0, put_many(self, 1));
	ASSERT_EQ(0, put_many(self, 2));			/* the old content goes */
	ASSERT_EQ(0, begin(self, 2, 3));
	ASSERT_EQ(0, stage_many(self, MANY, 'b'));
	ASSERT_EQ(0, abort_it(self));
	ASSERT_EQ(0, begin(self, 2, 3));
	ASSERT_EQ(0, stage_many(self, MANY, 'c'));
	ASSERT_EQ(0, begin(self, 2, 3));			/* drops what was begun */
	ASSERT_EQ(0, stage_many(self, MANY, 'd'));
	ASSERT_EQ(0, commit(self, 3));
	EXPECT_EQ('d', at(self, MANY - 1));
	EXPECT_EQ(MANY, t_image_info(self->ro).pages);
	EXPECT_EQ(MANY * PAGE, T_SOON(MANY * PAGE, t_info(self->device).replica));
	other = r_open(self->device, self->name, CPTDEV_REPLICA_WRITE, 0);
	t_close(self->fd);
	self->fd = other;
	EXPECT_EQ(0, r_remove(self->fd));
	t_close(self->fd);
	t_close(self->ro);
	EXPECT_EQ(0ULL, T_SOON(0ULL, t_info(self->device).replica));
	EXPECT_EQ(5 * MANY, T_SOON(5 * MANY, t_trace_sum("cptdev_free", "pages=")));
	t_trace_end("cptdev_free");
	t_trace_count("cptdev_free", "pages=", true, &sum, &most);
	EXPECT_GE(FEW, most);
	EXPECT_GE(FEW, sum);
}

/* A commit with another layout visits what isn't in it any more, not everything. */
TEST_F(replica, trim_visits_the_difference)
{
	struct cptdev_segment *l = self->layout;
	uint64_t sum, most;

	l[0].len = MANY * PAGE;
	ASSERT_EQ(0, put_many(self, 1));
	ASSERT_TRUE(t_trace_begin("cptdev_commit"));
	/* 0 to 10, 12 to 100, 101 to the last but one */
	l[3] = l[0];
	l[0].len = 10 * PAGE;
	l[1] = (struct cptdev_segment) {
		.addr = BASE + 12 * PAGE, .len = 88 * PAGE, .kind = CPTDEV_SEGMENT_ANON,
	};
	l[2] = (struct cptdev_segment) {
		.addr = BASE + 101 * PAGE, .len = (MANY - 102) * PAGE,
		.kind = CPTDEV_SEGMENT_ANON,
	};
	self->begin.layout_len = 3;
	ASSERT_EQ(0, put(self, 1, 2, 5, 1, 'b'));
	t_trace_end("cptdev_commit");
	EXPECT_STREQ("0+10 12+88 101+3994", extents(self));
	t_trace_count("cptdev_commit", "visited=", true, &sum, &most);
	EXPECT_EQ(5ULL, sum);			/* the staged one, and four that go */
	/* Back to one segment: nothing comes back. */
	l[0] = l[3];
	self->begin.layout_len = 1;
	ASSERT_EQ(0, put(self, 2, 3, 5, 1, 'c'));
	EXPECT_STREQ("0+10 12+88 101+3994", extents(self));
}

TEST_F(replica, user_is_killed)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		int fd = r_open(t_open(), self->name, CPTDEV_REPLICA_WRITE, 0);

		t_close(self->fd);
		self->fd = fd;
		begin(self, 0, 1);
		stage(self, 0, 64, 'x');
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(0ULL, t_image_info(self->ro).staging);
	EXPECT_EQ(0ULL, t_info(self->device).replica);
	EXPECT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
}
