/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What changed in a replica since a commit: CPTDEV_IOC_IMAGE_EXTENTS with @since. Part of
 * replica.c, asked of each engine.
 */

/* The list since the commit @since: "4+2 h8+2", pages from BASE on, h: holes. Or an error. */
static const char *changed(FIXTURE_DATA(replica) *self, uint64_t since)
{
	static char text[1024];
	struct cptdev_extent v[3];	/* so few that it takes several calls */
	struct cptdev_image_vec a = {
		.size = sizeof(a), .vec = (unsigned long)v, .vec_len = 3, .since = since,
	};
	unsigned int n = 0, i;
	int ret;

	text[0] = 0;
	do {
		ret = t_ioctl(self->ro, CPTDEV_IOC_IMAGE_EXTENTS, &a);
		if (ret) {
			snprintf(text, sizeof(text), "%s", strerrorname_np(-ret));
			return text;
		}
		for (i = 0; i < a.nr && n < sizeof(text); i++)
			n += snprintf(text + n, sizeof(text) - n, "%s%s%llu+%llu", n ? " " : "",
				      v[i].kind == CPTDEV_EXTENT_HOLE ? "h" : "",
				      (v[i].addr - BASE) / PAGE, v[i].len / PAGE);
		a.start = a.next;
	} while (a.nr);
	return text;
}

static uint64_t commits(FIXTURE_DATA(replica) *self)
{
	return t_image_info(self->ro).commits;
}

TEST_F(replica, since)
{
	EXPECT_EQ(0ULL, commits(self));
	EXPECT_STREQ("", changed(self, 0));
	EXPECT_STREQ("EINVAL", changed(self, 1));
	ASSERT_EQ(0, put(self, 0, 10, 0, 16, 'a'));
	EXPECT_EQ(1ULL, commits(self));
	EXPECT_STREQ("", changed(self, 1));
	EXPECT_STREQ("0+16", changed(self, 0));
	ASSERT_EQ(0, begin(self, 10, 20));
	ASSERT_EQ(0, stage(self, 4, 2, 'b'));
	ASSERT_EQ(0, hole(self, 8, 2));
	EXPECT_STREQ("", changed(self, 1));		/* staged isn't content */
	EXPECT_STREQ("EINVAL", changed(self, 2));
	ASSERT_EQ(0, commit(self, 20));
	EXPECT_EQ(2ULL, commits(self));
	EXPECT_STREQ("4+2 h8+2 h16+48", changed(self, 1));
	EXPECT_STREQ("", changed(self, 2));
	EXPECT_STREQ("EINVAL", changed(self, 3));
	ASSERT_EQ(0, put(self, 20, 21, 0, 1, 'c'));
	EXPECT_STREQ("0+1 4+2 h8+2 h16+48", changed(self, 1));
	EXPECT_STREQ("0+1 h8+2 h16+48", changed(self, 2));
	EXPECT_STREQ("", changed(self, 3));
	/* Written with what it has, it has changed all the same; written to in part, too. */
	ASSERT_EQ(0, begin(self, 21, 22));
	ASSERT_EQ(0, stage(self, 0, 1, 'c'));
	ASSERT_EQ(1, t_pwrite(self->fd, "d", 1, BASE + 5 * PAGE));
	ASSERT_EQ(0, commit(self, 22));
	EXPECT_STREQ("0+1 5+1 h8+2 h16+48", changed(self, 3));
	EXPECT_STREQ("0+8 10+6", extents(self));
}

/* What was given up isn't content either, and what comes next has its own number. */
TEST_F(replica, since_after_an_abort)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 64, 'a'));
	ASSERT_EQ(0, begin(self, 1, 2));
	ASSERT_EQ(0, stage(self, 0, 20, 'b'));
	ASSERT_EQ(0, hole(self, 30, 2));
	ASSERT_EQ(0, abort_it(self));
	EXPECT_STREQ("", changed(self, 1));
	ASSERT_EQ(0, put(self, 1, 2, 40, 2, 'c'));
	EXPECT_STREQ("40+2", changed(self, 1));
	/* Pages that the last commit replaced are used again. */
	ASSERT_EQ(0, put(self, 2, 3, 1, 1, 'd'));
	ASSERT_EQ(0, put(self, 3, 4, 2, 1, 'e'));
	EXPECT_STREQ("1+2 40+2", changed(self, 1));
	EXPECT_STREQ("2+1", changed(self, 3));
}

/* Pages that are being staged keep places in the content: these are still what they were. */
TEST_F(replica, since_while_holes_are_staged)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 16, 'a'));
	ASSERT_EQ(0, begin(self, 1, 2));
	ASSERT_EQ(0, hole(self, 4, 8));
	ASSERT_EQ(0, commit(self, 2));
	EXPECT_STREQ("h4+8 h16+48", changed(self, 1));
	ASSERT_EQ(0, begin(self, 2, 3));
	ASSERT_EQ(0, stage(self, 4, 2, 'b'));
	ASSERT_EQ(0, stage(self, 11, 1, 'b'));
	EXPECT_STREQ("h4+8 h16+48", changed(self, 1));
	ASSERT_EQ(0, abort_it(self));
	EXPECT_STREQ("h4+8 h16+48", changed(self, 1));
}

TEST_F(replica, since_everything_was_replaced)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	ASSERT_EQ(0, put(self, 1, 2, 0, 1, 'b'));
	ASSERT_EQ(0, put(self, 0, 3, 0, 2, 'c'));
	EXPECT_STREQ("ESTALE", changed(self, 1));
	EXPECT_STREQ("ESTALE", changed(self, 2));
	EXPECT_STREQ("", changed(self, 3));
	/* Another session, whose generations begin anew: the number of commits doesn't. */
	self->begin.uuid[0] = 2;
	self->begin.term = 2;
	ASSERT_EQ(0, put(self, 0, 1, 1, 1, 'd'));
	EXPECT_EQ(4ULL, commits(self));
	EXPECT_STREQ("ESTALE", changed(self, 3));
	ASSERT_EQ(0, put(self, 1, 2, 2, 1, 'e'));
	EXPECT_STREQ("h0+1 2+1 h3+61", changed(self, 4));
	/* A promotion changes no content. */
	ASSERT_EQ(0, promote(self, 0, NULL));
	EXPECT_EQ(5ULL, commits(self));
	EXPECT_STREQ("", changed(self, 5));
}

/* What isn't mapped any more has gone, and doesn't come back with the mapping. */
TEST_F(replica, since_of_a_layout)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 64, 'a'));
	self->layout[0].len = 32 * PAGE;
	ASSERT_EQ(0, put(self, 1, 2, 0, 1, 'b'));
	EXPECT_STREQ("0+1 h32+32", changed(self, 1));
	self->layout[0].len = LEN;
	ASSERT_EQ(0, put(self, 2, 3, 1, 1, 'c'));
	EXPECT_STREQ("0+2 h32+32", changed(self, 1));
	EXPECT_STREQ("1+1 h32+32", changed(self, 2));
}

TEST_F(replica, since_is_of_extents_only)
{
	struct cptdev_image_vec a = { .size = sizeof(a), .since = 1 };

	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	EXPECT_EQ(-EINVAL, t_ioctl(self->ro, CPTDEV_IOC_IMAGE_LAYOUT, &a));
	EXPECT_EQ(-EINVAL, t_ioctl(self->ro, CPTDEV_IOC_IMAGE_META, &a));
	EXPECT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_IMAGE_EXTENTS, &a));
	a.start = 1;
	EXPECT_EQ(-EINVAL, t_ioctl(self->ro, CPTDEV_IOC_IMAGE_EXTENTS, &a));
	EXPECT_TRUE(t_info(self->device).features & CPTDEV_FEATURE_SINCE);
}

/*
 * A follower copies what the list tells, at any commit; whatever was staged, dropped, unmapped
 * and mapped between, it has what the replica has.
 */

#define FOLLOWED	256UL		/* pages */

struct follower {
	char copy[FOLLOWED];		/* the first byte of each page */
	uint64_t since;
	unsigned int whole;		/* passes over everything */
};

static void follow_extent(FIXTURE_DATA(replica) *self, struct follower *f,
			  const struct cptdev_extent *e)
{
	uint64_t page = (e->addr - BASE) / PAGE, end = page + e->len / PAGE;

	for (; page < end && page < FOLLOWED; page++)
		f->copy[page] = e->kind == CPTDEV_EXTENT_HOLE ? 0 : at(self, page);
}

static int follow(FIXTURE_DATA(replica) *self, struct follower *f)
{
	struct cptdev_extent v[8];
	struct cptdev_image_vec a = {
		.size = sizeof(a), .vec = (unsigned long)v, .vec_len = 8, .since = f->since,
	};
	uint64_t now = commits(self);
	unsigned int i;
	int ret;

	do {
		ret = t_ioctl(self->ro, CPTDEV_IOC_IMAGE_EXTENTS, &a);
		if (ret == -ESTALE && a.since) {
			memset(f->copy, 0, sizeof(f->copy));
			f->whole++;
			a.since = a.start = 0;
			a.nr = 1;
			ret = 0;
			continue;
		}
		for (i = 0; !ret && i < a.nr; i++)
			follow_extent(self, f, &v[i]);
		a.start = a.next;
	} while (!ret && a.nr);
	f->since = now;
	return ret;
}

/* The first page that the follower has otherwise, or -1. */
static long follower_differs(FIXTURE_DATA(replica) *self, const struct follower *f)
{
	unsigned long page;
	int want;

	for (page = 0; page < FOLLOWED; page++) {
		want = at(self, page);
		if (want >= 0 && want != f->copy[page])
			return page;
	}
	return -1;
}

/* A generation of a few changes; now and then all of it, or with another layout. */
static int put_random(FIXTURE_DATA(replica) *self, uint64_t g)
{
	bool whole = g == 1 || random() % 20 == 0;
	unsigned int n = 1 + random() % 4;
	uint64_t cut;
	int ret;

	if (random() % 4 == 0) {
		cut = 1 + random() % (FOLLOWED - 2);
		self->layout[0].len = cut * PAGE;
		self->layout[1] = self->layout[0];
		self->layout[1].addr = BASE + (cut + random() % (FOLLOWED - cut)) * PAGE;
		self->layout[1].len = BASE + FOLLOWED * PAGE - self->layout[1].addr;
	}
	self->begin.layout_len = 2;
	ret = begin(self, whole ? 0 : g - 1, g);
	while (!ret && n--) {
		uint64_t page = random() % FOLLOWED, len = 1 + random() % 8;

		ret = random() % 3 ? stage(self, page, len, 'a' + g % 26) :
			hole(self, page, len * 8);
		if (ret == -EFAULT)		/* outside the layout */
			ret = 0;
	}
	return ret ?: commit(self, g);
}

TEST_F(replica, since_follows)
{
	static struct follower f[3];		/* that look each, every third, every 20th time */
	const unsigned int often[3] = { 1, 3, 20 };
	unsigned int i;
	uint64_t g;

	memset(f, 0, sizeof(f));
	srandom(1);
	self->layout[0].len = FOLLOWED / 2 * PAGE;
	self->layout[1] = self->layout[0];
	self->layout[1].addr += self->layout[0].len;
	for (g = 1; g < 150; g++) {
		ASSERT_EQ(0, put_random(self, g));
		for (i = 0; i < 3; i++) {
			if (g % often[i])
				continue;
			ASSERT_EQ(0, follow(self, &f[i]));
			ASSERT_EQ(-1, follower_differs(self, &f[i])) TH_LOG("commit %u, follower %u",
									   (unsigned int)g, i);
		}
	}
	EXPECT_LT(0U, f[0].whole);
	EXPECT_GT(20U, f[0].whole);
}

/* Memory that moves on and on leaves nothing behind: what was long ago is forgotten. */
TEST_F(replica, since_forgets)
{
	const unsigned long far = 1000, n = 1400;
	uint64_t first, g;

	self->layout[0].len = 1ULL << 45;
	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	first = commits(self);
	for (g = 2; g < n; g++) {
		ASSERT_EQ(0, begin(self, g - 1, g));
		ASSERT_EQ(0, stage(self, g * far, 1, 'b'));
		ASSERT_EQ(0, hole(self, (g - 1) * far, 1));
		ASSERT_EQ(0, commit(self, g));
	}
	EXPECT_STREQ("ESTALE", changed(self, first));
	EXPECT_STRNE("ESTALE", changed(self, commits(self) - 100));
	EXPECT_EQ(1 + 1ULL, t_image_info(self->ro).pages);
}
