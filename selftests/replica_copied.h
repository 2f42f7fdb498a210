/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How far a program's own copy of a replica is: CPTDEV_IOC_REPLICA_COPIED. Part of replica.c, asked
 * of each engine. genl.c and daemon/tests/soft_test.c test how others see it.
 */

/* Pages that the copy lacks, or -errno. */
static long behind(int fd, uint64_t commits)
{
	struct cptdev_replica_copied a = { .size = sizeof(a), .commits = commits, .behind = 99 };
	int ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_COPIED, &a);

	return ret ?: (long)a.behind;
}

TEST_F(replica, copied)
{
	EXPECT_TRUE(t_info(self->device).features & CPTDEV_FEATURE_COPIED);
	EXPECT_EQ(0, behind(self->ro, 0));
	EXPECT_EQ(-EINVAL, behind(self->ro, 1));
	ASSERT_EQ(0, put(self, 0, 10, 0, 16, 'a'));
	EXPECT_EQ(16, behind(self->ro, 0));
	EXPECT_EQ(0, behind(self->ro, 1));
	/* Staged pages aren't left to copy yet; holes cost nothing. */
	ASSERT_EQ(0, begin(self, 10, 20));
	ASSERT_EQ(0, stage(self, 4, 2, 'b'));
	ASSERT_EQ(0, hole(self, 8, 2));
	EXPECT_EQ(0, behind(self->ro, 1));
	EXPECT_EQ(-EINVAL, behind(self->ro, 2));
	ASSERT_EQ(0, commit(self, 20));
	EXPECT_EQ(2, behind(self->ro, 1));
	EXPECT_EQ(14, behind(self->ro, 0));
	EXPECT_EQ(0, behind(self->ro, 2));
	/* A page that changed twice is copied once; a copy may be said to be an older one. */
	ASSERT_EQ(0, put(self, 20, 21, 5, 2, 'c'));
	EXPECT_EQ(2, behind(self->ro, 2));
	EXPECT_EQ(3, behind(self->ro, 1));
	/* Any descriptor of the owner, also one for writing. */
	EXPECT_EQ(0, behind(self->fd, 3));
	EXPECT_EQ(-EINVAL, behind(self->fd, 4));
	EXPECT_EQ(-EINVAL, behind(self->fd, ~0ULL));
	EXPECT_EQ(2, behind(self->ro, 2));
}

/* The list of changes and the number of pages agree, in a group and across groups. */
TEST_F(replica, copied_agrees_with_the_list)
{
	unsigned int i;

	self->layout[0].len = 1024 * PAGE;
	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	ASSERT_EQ(0, begin(self, 1, 2));
	/* More extents than the module counts at a time, and one over a group's end. */
	for (i = 0; i < 40; i++)
		ASSERT_EQ(0, stage(self, 10 * i, 1, 'b'));
	ASSERT_EQ(0, stage(self, 600, 60, 'c'));
	ASSERT_EQ(0, commit(self, 2));
	EXPECT_EQ(100, behind(self->ro, 1));
	EXPECT_EQ(100, behind(self->ro, 0));
	ASSERT_EQ(0, put(self, 2, 3, 630, 20, 'd'));
	EXPECT_EQ(20, behind(self->ro, 2));
	EXPECT_EQ(100, behind(self->ro, 1));
}

TEST_F(replica, copied_of_what_was_replaced)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	ASSERT_EQ(0, put(self, 1, 2, 0, 1, 'b'));
	ASSERT_EQ(0, put(self, 0, 3, 0, 8, 'c'));
	EXPECT_EQ(8, behind(self->ro, 1));
	EXPECT_EQ(8, behind(self->ro, 2));
	EXPECT_EQ(0, behind(self->ro, 3));
	/* A promotion, and that it is taken, change no content. */
	ASSERT_EQ(0, promote(self, 0, NULL));
	EXPECT_EQ(0, behind(self->ro, 3));
	EXPECT_EQ(0, claim(self->ro, 0, 0, NULL));
	EXPECT_EQ(0, behind(self->ro, 3));
}

TEST_F(replica, copied_is_refused)
{
	struct cptdev_replica_copied a = { .size = sizeof(a), .flags = 1 };

	EXPECT_EQ(-EOPNOTSUPP, t_ioctl(self->ro, CPTDEV_IOC_REPLICA_COPIED, &a));
	a.flags = 0;
	EXPECT_EQ(-ENOTTY, t_ioctl(self->device, CPTDEV_IOC_REPLICA_COPIED, &a));
	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	ASSERT_EQ(0, r_remove(self->fd));
	EXPECT_EQ(-ENOENT, behind(self->ro, 1));
	EXPECT_EQ(-ENOENT, behind(self->ro, 0));
}
