// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replicas: staging, commit as a whole, abort, what is refused; reading back; terms and
 * promotion; removal; hostile input. Whoever answers these calls is asked the same
 * (engine.h); what only the module can be asked is in replica_kernel.h.
 */
#include "cptdev_test.h"
#include "tracing.h"
#include "harness.h"

#define BASE	0x10000000UL
#define PAGES	64UL
#define LEN	(PAGES * PAGE)

FIXTURE(replica) {
	int device;
	int fd;				/* with CPTDEV_REPLICA_WRITE */
	int ro;
	char name[32];
	char *data;
	struct cptdev_replica_begin begin;
	struct cptdev_segment layout[4];
};

static int r_open(int device, const char *name, uint32_t flags, uint64_t max)
{
	struct cptdev_replica_open a = {
		.size = sizeof(a), .flags = flags, .max_bytes = max,
	};

	strncpy((char *)a.name, name, sizeof(a.name) - 1);
	return t_ioctl(device, CPTDEV_IOC_REPLICA_OPEN, &a) ?: a.fd;
}

static int r_remove(int fd)
{
	struct cptdev_replica_remove a = { .size = sizeof(a) };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_REMOVE, &a);
}

/* A test that took too long was killed, and had no chance to remove its replica. */
static void r_remove_left(int device, const char *name)
{
	int fd = r_open(device, name, CPTDEV_REPLICA_WRITE, 0);

	if (fd < 0)
		return;
	r_remove(fd);
	close(fd);
}

FIXTURE_SETUP(replica)
{
	strcpy(self->name, "replica-test");
	self->device = t_open();
	ASSERT_LE(0, self->device);
	r_remove_left(self->device, self->name);
	/* What the last test left may still be on its way out. */
	ASSERT_EQ(0ULL, T_SOON(0ULL, t_info(self->device).replica));
	self->fd = r_open(self->device, self->name,
			  CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE, 0);
	ASSERT_LE(0, self->fd);
	self->ro = r_open(self->device, self->name, 0, 0);
	ASSERT_LE(0, self->ro);
	self->data = t_map(LEN);
	self->layout[0] = (struct cptdev_segment) {
		.addr = BASE, .len = LEN, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
	};
	self->begin = (struct cptdev_replica_begin) {
		.size = sizeof(self->begin), .uuid = { 1 }, .term = 1, .generation = 1,
		.layout = (unsigned long)self->layout, .layout_len = 1,
	};
}

FIXTURE_TEARDOWN(replica)
{
	r_remove(self->fd);
}

static int begin(FIXTURE_DATA(replica) *self, uint64_t base, uint64_t generation)
{
	self->begin.base = base;
	self->begin.generation = generation;
	return t_ioctl(self->fd, CPTDEV_IOC_REPLICA_BEGIN, &self->begin);
}

static int stage_extent(FIXTURE_DATA(replica) *self, uint64_t page, uint64_t n, int kind,
			char fill)
{
	struct cptdev_extent e = {
		.addr = BASE + page * PAGE, .len = n * PAGE, .kind = kind,
	};
	struct cptdev_replica_stage a = {
		.size = sizeof(a), .vec = (unsigned long)&e, .vec_len = 1,
		.data = (unsigned long)self->data,
		.data_len = kind == CPTDEV_EXTENT_DATA ? n * PAGE : 0,
	};

	if (n <= PAGES)
		memset(self->data, fill, n * PAGE);
	return t_ioctl(self->fd, CPTDEV_IOC_REPLICA_STAGE, &a);
}

static int stage(FIXTURE_DATA(replica) *self, uint64_t page, uint64_t n, char fill)
{
	return stage_extent(self, page, n, CPTDEV_EXTENT_DATA, fill);
}

static int hole(FIXTURE_DATA(replica) *self, uint64_t page, uint64_t n)
{
	return stage_extent(self, page, n, CPTDEV_EXTENT_HOLE, 0);
}

static int commit(FIXTURE_DATA(replica) *self, uint64_t generation)
{
	struct cptdev_replica_commit a = { .size = sizeof(a), .generation = generation };

	return t_ioctl(self->fd, CPTDEV_IOC_REPLICA_COMMIT, &a);
}

static int abort_it(FIXTURE_DATA(replica) *self)
{
	struct cptdev_replica_commit a = { .size = sizeof(a) };

	return t_ioctl(self->fd, CPTDEV_IOC_REPLICA_ABORT, &a);
}

static int promote(FIXTURE_DATA(replica) *self, uint64_t term,
		   struct cptdev_replica_promote *out)
{
	struct cptdev_replica_promote a = { .size = sizeof(a), .term = term };
	int ret = t_ioctl(self->fd, CPTDEV_IOC_REPLICA_PROMOTE, &a);

	if (out)
		*out = a;
	return ret;
}

/* A whole generation: all pages @fill. */
static int put(FIXTURE_DATA(replica) *self, uint64_t base, uint64_t generation,
	       uint64_t page, uint64_t n, char fill)
{
	return begin(self, base, generation) ?: stage(self, page, n, fill) ?:
		commit(self, generation);
}

/* The first byte of a page: 0 is a hole or zero, -errno. */
static int at(FIXTURE_DATA(replica) *self, uint64_t page)
{
	char c;
	ssize_t ret = t_pread(self->ro, &c, 1, BASE + page * PAGE);

	return ret == 1 ? c : ret;
}

static const char *extents(FIXTURE_DATA(replica) *self)
{
	static char text[1024];
	struct cptdev_extent *v;
	unsigned int n = 0;
	size_t nr, i;

	v = t_extents(self->ro, &nr);
	text[0] = 0;
	for (i = 0; i < nr; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%llu+%llu", i ? " " : "",
			      (v[i].addr - BASE) / PAGE, v[i].len / PAGE);
	free(v);
	return text;
}

TEST_F(replica, commit)
{
	struct cptdev_image_info info;

	EXPECT_EQ(0ULL, t_image_info(self->ro).generation);
	EXPECT_EQ(-EFAULT, at(self, 0));		/* nothing there yet */
	EXPECT_EQ(0, begin(self, 0, 5));
	EXPECT_EQ(0, stage(self, 0, 4, 'a'));
	EXPECT_EQ(0, stage(self, 10, 2, 'b'));
	EXPECT_EQ(-EFAULT, at(self, 0));		/* staged isn't content */
	EXPECT_EQ(5ULL, t_image_info(self->ro).staging);
	EXPECT_EQ(6ULL, t_image_info(self->ro).staged);
	EXPECT_EQ(0, commit(self, 5));
	EXPECT_EQ('a', at(self, 3));
	EXPECT_EQ('b', at(self, 11));
	EXPECT_EQ(0, at(self, 5));
	EXPECT_STREQ("0+4 10+2", extents(self));
	info = t_image_info(self->ro);
	EXPECT_EQ((__u32)CPTDEV_IMAGE_REPLICA, info.kind);
	EXPECT_EQ(5ULL, info.generation);
	EXPECT_EQ(1ULL, info.term);
	EXPECT_EQ(6ULL, info.pages);
	EXPECT_EQ(1ULL, info.segments);
	EXPECT_EQ(1, info.uuid[0]);
	EXPECT_EQ(0ULL, info.staging);
	EXPECT_EQ(6 * PAGE, t_info(self->device).replica);
}

TEST_F(replica, delta)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 16, 'a'));
	EXPECT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(0, stage(self, 4, 2, 'b'));
	EXPECT_EQ(0, hole(self, 8, 20));
	EXPECT_EQ('a', at(self, 4));
	EXPECT_EQ('a', at(self, 8));
	EXPECT_EQ(0, commit(self, 2));
	EXPECT_EQ('a', at(self, 3));
	EXPECT_EQ('b', at(self, 4));
	EXPECT_EQ('a', at(self, 6));
	EXPECT_EQ(0, at(self, 8));
	EXPECT_STREQ("0+8", extents(self));
	EXPECT_EQ(8 * PAGE, t_info(self->device).replica);
	/* It may reach back further than needed. */
	EXPECT_EQ(0, put(self, 1, 3, 0, 1, 'c'));
	EXPECT_EQ('c', at(self, 0));
	EXPECT_EQ('b', at(self, 4));
}

TEST_F(replica, full_replaces_everything)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 64, 'a'));
	EXPECT_EQ(0, put(self, 0, 2, 10, 2, 'b'));
	EXPECT_STREQ("10+2", extents(self));
	EXPECT_EQ(2 * PAGE, t_info(self->device).replica);
}

TEST_F(replica, last_one_counts)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 8, 'a'));
	EXPECT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(0, stage(self, 0, 4, 'b'));
	EXPECT_EQ(0, stage(self, 1, 1, 'c'));
	EXPECT_EQ(0, hole(self, 2, 1));
	EXPECT_EQ(0, hole(self, 5, 2));
	EXPECT_EQ(0, stage(self, 6, 1, 'd'));
	EXPECT_EQ(0, commit(self, 2));
	EXPECT_EQ('b', at(self, 0));
	EXPECT_EQ('c', at(self, 1));
	EXPECT_EQ(0, at(self, 2));
	EXPECT_EQ('b', at(self, 3));
	EXPECT_EQ('a', at(self, 4));
	EXPECT_EQ(0, at(self, 5));
	EXPECT_EQ('d', at(self, 6));
	EXPECT_STREQ("0+2 3+2 6+2", extents(self));
	EXPECT_EQ(6 * PAGE, t_info(self->device).replica);
}

TEST_F(replica, abort)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 8, 'a'));
	EXPECT_EQ(-EINVAL, abort_it(self));
	EXPECT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(0, stage(self, 0, 20, 'b'));
	EXPECT_EQ(0, hole(self, 4, 2));
	EXPECT_EQ(0, abort_it(self));
	EXPECT_EQ(-EINVAL, stage(self, 0, 1, 'c'));
	EXPECT_EQ(-EINVAL, commit(self, 2));
	EXPECT_STREQ("0+8", extents(self));
	EXPECT_EQ('a', at(self, 4));
	EXPECT_EQ(8 * PAGE, t_info(self->device).replica);
	/* A new BEGIN drops what was staged, and so does closing. */
	EXPECT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(0, stage(self, 0, 1, 'b'));
	EXPECT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(0, commit(self, 2));
	EXPECT_EQ('a', at(self, 0));
	EXPECT_EQ(0, begin(self, 2, 3));
	EXPECT_EQ(0, stage(self, 0, 1, 'b'));
	t_close(self->fd);
	EXPECT_EQ(0ULL, t_image_info(self->ro).staging);
	EXPECT_EQ(8 * PAGE, t_info(self->device).replica);
	self->fd = r_open(self->device, self->name, CPTDEV_REPLICA_WRITE, 0);
	EXPECT_EQ(-EINVAL, commit(self, 3));
}

/* A delta of everything that comes in parts, each with a generation and layout of its own. */
TEST_F(replica, begin_continue)
{
	struct cptdev_segment *seg = (void *)(unsigned long)self->begin.layout;
	uint64_t len = seg->len;

	ASSERT_EQ(0, put(self, 0, 1, 0, 8, 'a'));
	self->begin.flags = CPTDEV_BEGIN_CONTINUE;
	EXPECT_EQ(-EINVAL, begin(self, 0, 2));		/* nothing is staged */
	self->begin.flags = 0;
	EXPECT_EQ(0, begin(self, 0, 3));
	EXPECT_EQ(0, stage(self, 0, 4, 'b'));
	EXPECT_EQ(0, stage(self, 10, 2, 'b'));
	self->begin.flags = CPTDEV_BEGIN_CONTINUE;
	EXPECT_EQ(-EINVAL, begin(self, 1, 4));		/* not everything */
	self->begin.term++;
	EXPECT_EQ(-EINVAL, begin(self, 0, 4));
	self->begin.term--;
	EXPECT_EQ(0, begin(self, 0, 2));		/* only the last one's counts */
	EXPECT_EQ(0, stage(self, 1, 1, 'c'));
	EXPECT_EQ(0, hole(self, 2, 1));
	/* Nobody sees anything of it. */
	EXPECT_STREQ("0+8", extents(self));
	EXPECT_EQ('a', at(self, 1));
	/* What isn't mapped any more is given up, and doesn't come back. */
	seg->len = 11 * PAGE;
	EXPECT_EQ(0, begin(self, 0, 5));
	seg->len = len;
	EXPECT_EQ(0, begin(self, 0, 6));
	EXPECT_EQ(0, stage(self, 3, 1, 'd'));
	EXPECT_EQ(-EINVAL, commit(self, 5));
	EXPECT_EQ(0, commit(self, 6));
	EXPECT_STREQ("0+2 3+1 10+1", extents(self));
	EXPECT_EQ('b', at(self, 0));
	EXPECT_EQ('c', at(self, 1));
	EXPECT_EQ('d', at(self, 3));
	EXPECT_EQ('b', at(self, 10));
	EXPECT_EQ(6ULL, t_image_info(self->ro).generation);
	EXPECT_EQ(4 * PAGE, t_info(self->device).replica);
	/* The next one begins anew. */
	self->begin.flags = 0;
	EXPECT_EQ(0, begin(self, 0, 7));
	EXPECT_EQ(0, stage(self, 5, 1, 'e'));
	EXPECT_EQ(0, abort_it(self));
	self->begin.flags = CPTDEV_BEGIN_CONTINUE;
	EXPECT_EQ(-EINVAL, begin(self, 0, 8));
	self->begin.flags = 0;
	/* Nor can a delta of changes be continued. */
	EXPECT_EQ(0, begin(self, 6, 7));
	self->begin.flags = CPTDEV_BEGIN_CONTINUE;
	EXPECT_EQ(-EINVAL, begin(self, 0, 8));
	EXPECT_EQ(-EINVAL, begin(self, 6, 8));
	EXPECT_EQ(0, commit(self, 7));
}

TEST_F(replica, gap_and_stale)
{
	EXPECT_EQ(-EILSEQ, begin(self, 1, 2));		/* there is nothing yet */
	ASSERT_EQ(0, put(self, 0, 5, 0, 1, 'a'));
	EXPECT_EQ(-EILSEQ, begin(self, 6, 7));
	EXPECT_EQ(-ESTALE, begin(self, 4, 5));
	EXPECT_EQ(-ESTALE, begin(self, 0, 5));
	EXPECT_EQ(-ESTALE, begin(self, 0, 3));
	EXPECT_EQ(-EINVAL, begin(self, 6, 6));
	EXPECT_EQ(-EINVAL, begin(self, 7, 6));
	EXPECT_EQ(-EINVAL, begin(self, 0, 0));
	EXPECT_EQ(0, begin(self, 5, 6));
	EXPECT_EQ(-EINVAL, commit(self, 7));		/* not the one begun */
	EXPECT_EQ(0, commit(self, 6));
	EXPECT_EQ(-EINVAL, commit(self, 6));
}

TEST_F(replica, another_session)
{
	ASSERT_EQ(0, put(self, 0, 5, 0, 4, 'a'));
	self->begin.uuid[0] = 2;
	EXPECT_EQ(-EEXIST, begin(self, 0, 1));
	self->begin.flags = CPTDEV_BEGIN_REPLACE;
	EXPECT_EQ(-EILSEQ, begin(self, 5, 6));		/* not from what is here */
	EXPECT_EQ(0, put(self, 0, 1, 1, 1, 'b'));
	EXPECT_STREQ("1+1", extents(self));
	self->begin.flags = 0;
	self->begin.uuid[0] = 3;
	self->begin.term = 2;				/* a higher term may */
	EXPECT_EQ(0, put(self, 0, 1, 2, 1, 'c'));
	EXPECT_STREQ("2+1", extents(self));
	EXPECT_EQ(2ULL, t_image_info(self->ro).term);
}

TEST_F(replica, term)
{
	self->begin.term = 3;
	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	self->begin.term = 2;
	EXPECT_EQ(-ESTALE, begin(self, 1, 2));
	self->begin.term = 0;
	EXPECT_EQ(-EINVAL, begin(self, 1, 2));
	self->begin.term = 3;
	EXPECT_EQ(0, begin(self, 1, 2));
}

/* One more would be 0, which everybody may pass: refused wherever a term comes from. */
TEST_F(replica, highest_term)
{
	self->begin.term = ~0ULL;
	EXPECT_EQ(-EINVAL, begin(self, 0, 1));
	self->begin.term = CPTDEV_TERM_MAX + 1;
	EXPECT_EQ(-EINVAL, begin(self, 0, 1));
	self->begin.term = 1;
	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	EXPECT_EQ(-EINVAL, promote(self, ~0ULL, NULL));
	EXPECT_EQ(-EINVAL, promote(self, CPTDEV_TERM_MAX + 1, NULL));
	EXPECT_EQ(1ULL, t_image_info(self->ro).term);
	EXPECT_EQ(0U, t_image_info(self->ro).state & CPTDEV_IMAGE_PROMOTED);
	self->begin.term = 1;
	EXPECT_EQ(0, put(self, 1, 2, 0, 1, 'c'));	/* it goes on as it was */
}

/* Nobody gets to the highest term by a jump: after that no other could be promoted. */
TEST_F(replica, term_step)
{
	struct cptdev_replica_promote a;

	self->begin.term = CPTDEV_TERM_STEP + 1;
	EXPECT_EQ(-ERANGE, begin(self, 0, 1));		/* nor for a new replica */
	self->begin.term = CPTDEV_TERM_MAX;
	EXPECT_EQ(-ERANGE, begin(self, 0, 1));
	self->begin.term = CPTDEV_TERM_STEP;
	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	EXPECT_EQ(-ERANGE, promote(self, CPTDEV_TERM_MAX, NULL));
	EXPECT_EQ(-ERANGE, promote(self, 2 * CPTDEV_TERM_STEP + 1, &a));
	EXPECT_EQ(CPTDEV_TERM_STEP, a.term);
	EXPECT_EQ(0U, t_image_info(self->ro).state & CPTDEV_IMAGE_PROMOTED);
	EXPECT_EQ(0, promote(self, 2 * CPTDEV_TERM_STEP, NULL));
	self->begin.term = 3 * CPTDEV_TERM_STEP + 1;
	EXPECT_EQ(-ERANGE, begin(self, 0, 2));
	self->begin.term = 3 * CPTDEV_TERM_STEP;
	EXPECT_EQ(0, put(self, 0, 2, 0, 1, 'b'));
	EXPECT_EQ(0, promote(self, 0, &a));
	EXPECT_EQ(3 * CPTDEV_TERM_STEP + 1, a.term);
}

TEST_F(replica, highest_generation)
{
	EXPECT_EQ(-EINVAL, begin(self, 0, ~0ULL));
	EXPECT_EQ(-EINVAL, begin(self, 0, CPTDEV_GENERATION_MAX + 1));
	EXPECT_EQ(0, begin(self, 0, CPTDEV_GENERATION_MAX));
}

TEST_F(replica, promote)
{
	struct cptdev_replica_promote a;

	EXPECT_EQ(-ENODATA, promote(self, 0, NULL));
	ASSERT_EQ(0, put(self, 0, 7, 0, 4, 'a'));
	EXPECT_EQ(0, t_poll(self->ro, POLLPRI));
	EXPECT_EQ(0, begin(self, 7, 8));
	EXPECT_EQ(0, stage(self, 0, 1, 'b'));
	EXPECT_EQ(-ESTALE, promote(self, 1, NULL));
	EXPECT_EQ(0, promote(self, 0, &a));
	EXPECT_EQ(2ULL, a.term);
	EXPECT_EQ(7ULL, a.generation);
	EXPECT_EQ(POLLPRI, t_poll(self->ro, POLLPRI));
	EXPECT_NE(0U, t_image_info(self->ro).state & CPTDEV_IMAGE_PROMOTED);
	/* What was on its way is gone, and nothing of that term comes in any more. */
	EXPECT_EQ(-EINVAL, commit(self, 8));
	EXPECT_EQ('a', at(self, 0));
	EXPECT_EQ(-ESTALE, begin(self, 7, 8));
	self->begin.term = 2;
	EXPECT_EQ(-ESTALE, begin(self, 7, 8));
	self->begin.flags = CPTDEV_BEGIN_REPLACE;
	self->begin.uuid[0] = 9;
	EXPECT_EQ(-ESTALE, begin(self, 0, 1));
	/* Who took over after it may. */
	self->begin.flags = 0;
	self->begin.term = 3;
	EXPECT_EQ(0, put(self, 0, 1, 0, 1, 'c'));
	EXPECT_EQ(0U, t_image_info(self->ro).state & CPTDEV_IMAGE_PROMOTED);
	EXPECT_EQ(0, promote(self, 10, &a));
	EXPECT_EQ(10ULL, a.term);
}

static int claim(int fd, uint64_t term, uint32_t flags, struct cptdev_replica_claim *out)
{
	struct cptdev_replica_claim a = { .size = sizeof(a), .flags = flags, .term = term };
	int ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_CLAIM, &a);

	if (out)
		*out = a;
	return ret;
}

/* One program goes on from a promotion, and it is one that waited for it. */
TEST_F(replica, claim)
{
	struct cptdev_replica_promote p;
	struct cptdev_replica_claim a;
	struct cptdev_image_info info;
	int other = r_open(self->device, self->name, 0, 0);

	EXPECT_EQ(-EINVAL, claim(self->ro, 0, 0, NULL));
	ASSERT_EQ(0, put(self, 0, 7, 0, 4, 'a'));
	EXPECT_EQ(-EINVAL, claim(self->ro, 0, 0, NULL));
	EXPECT_EQ(-EINVAL, claim(self->ro, 1, CPTDEV_CLAIM_OLD, NULL));
	EXPECT_EQ(0ULL, t_image_info(self->ro).promoted_ns);
	ASSERT_EQ(0, promote(self, 5, &p));
	info = t_image_info(self->ro);
	EXPECT_EQ((__u32)CPTDEV_IMAGE_PROMOTED, info.state);
	EXPECT_NE(0ULL, info.promoted_ns);
	EXPECT_EQ(0ULL, info.taken_ns);
	EXPECT_EQ(-ESTALE, claim(self->ro, 4, 0, NULL));
	EXPECT_EQ(-ESTALE, claim(self->ro, 6, 0, &a));
	EXPECT_EQ(5ULL, a.term);
	EXPECT_EQ(-EINVAL, claim(self->ro, CPTDEV_TERM_MAX + 1, 0, NULL));
	EXPECT_EQ(-EOPNOTSUPP, claim(self->ro, 0, 2, NULL));
	EXPECT_EQ(0, claim(self->ro, 5, 0, &a));
	EXPECT_EQ(5ULL, a.term);
	EXPECT_EQ(7ULL, a.generation);
	EXPECT_EQ(info.promoted_ns, a.promoted_ns);
	info = t_image_info(self->ro);
	EXPECT_EQ((__u32)(CPTDEV_IMAGE_PROMOTED | CPTDEV_IMAGE_TAKEN), info.state);
	EXPECT_LE(info.promoted_ns, info.taken_ns);
	EXPECT_EQ(POLLPRI, t_poll(other, POLLPRI));
	/* Nobody takes it a second time, not even who took it. */
	EXPECT_EQ(-EALREADY, claim(other, 0, 0, NULL));
	EXPECT_EQ(-EALREADY, claim(other, 5, CPTDEV_CLAIM_OLD, NULL));
	EXPECT_EQ(-EALREADY, claim(self->ro, 0, 0, NULL));
	EXPECT_EQ(-EALREADY, claim(self->fd, 0, 0, NULL));
	/* A person promotes it again: it can be taken again. */
	ASSERT_EQ(0, promote(self, 0, &p));
	EXPECT_EQ((__u32)CPTDEV_IMAGE_PROMOTED, t_image_info(self->ro).state);
	EXPECT_EQ(0ULL, t_image_info(self->ro).taken_ns);
	EXPECT_EQ(-ESTALE, claim(other, 5, 0, NULL));
	EXPECT_EQ(0, claim(other, 0, 0, &a));
	EXPECT_EQ(6ULL, a.term);
	/* A spare again, and nothing of it is left. */
	self->begin.term = 7;
	ASSERT_EQ(0, put(self, 7, 8, 0, 1, 'c'));
	info = t_image_info(self->ro);
	EXPECT_EQ(0U, info.state);
	EXPECT_EQ(0ULL, info.promoted_ns);
	EXPECT_EQ(0ULL, info.taken_ns);
	EXPECT_EQ(-EINVAL, claim(other, 0, CPTDEV_CLAIM_OLD, NULL));
	t_close(other);
}

/* A spare that is started later doesn't find itself promoted, unless a person says so. */
TEST_F(replica, claim_of_an_old_promotion)
{
	int late, later;

	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	ASSERT_EQ(0, promote(self, 0, NULL));
	late = r_open(self->device, self->name, 0, 0);
	EXPECT_EQ(-EALREADY, claim(late, 0, 0, NULL));
	EXPECT_EQ(-EALREADY, claim(late, 2, 0, NULL));
	/* The next promotion isn't old for it. */
	ASSERT_EQ(0, promote(self, 0, NULL));
	later = r_open(self->device, self->name, 0, 0);
	EXPECT_EQ(-EALREADY, claim(later, 0, 0, NULL));
	EXPECT_EQ(0, claim(late, 0, 0, NULL));
	ASSERT_EQ(0, promote(self, 0, NULL));
	t_close(late);
	late = r_open(self->device, self->name, 0, 0);
	EXPECT_EQ(0, claim(late, 4, CPTDEV_CLAIM_OLD, NULL));
	EXPECT_EQ(-EALREADY, claim(later, 0, 0, NULL));
	t_close(late);
	t_close(later);
}

/* What was removed nobody goes on from: nobody could say that it was taken. */
TEST_F(replica, claim_of_a_removed_one)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	ASSERT_EQ(0, promote(self, 0, NULL));
	EXPECT_EQ(0, r_remove(self->ro));
	EXPECT_EQ(-ENOENT, claim(self->ro, 0, 0, NULL));
}

TEST_F(replica, two_writers)
{
	int other = r_open(self->device, self->name, CPTDEV_REPLICA_WRITE, 0), mine;

	EXPECT_EQ(0, begin(self, 0, 1));
	mine = self->fd;
	self->fd = other;
	EXPECT_EQ(-EBUSY, begin(self, 0, 1));
	EXPECT_EQ(-EINVAL, stage(self, 0, 1, 'x'));
	EXPECT_EQ(-EINVAL, commit(self, 1));
	EXPECT_EQ(-EINVAL, abort_it(self));
	t_close(mine);
	EXPECT_EQ(0, begin(self, 0, 1));
}

TEST_F(replica, freeze)
{
	struct cptdev_replica_freeze f = { .size = sizeof(f) };

	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	EXPECT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_REPLICA_FREEZE, &f));
	EXPECT_EQ(1ULL, f.generation);
	EXPECT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(0, stage(self, 0, 1, 'b'));
	EXPECT_EQ(-EBUSY, commit(self, 2));
	EXPECT_NE(0U, t_image_info(self->ro).state & CPTDEV_IMAGE_FROZEN);
	EXPECT_EQ('a', at(self, 0));
	f.flags = CPTDEV_FREEZE_THAW;
	EXPECT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_REPLICA_FREEZE, &f));
	EXPECT_EQ(0, commit(self, 2));			/* nothing staged was lost */
	EXPECT_EQ('b', at(self, 0));
	f.flags = 0;
	EXPECT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_REPLICA_FREEZE, &f));
	EXPECT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_REPLICA_FREEZE, &f));
	t_close(self->ro);				/* thaws */
	self->ro = r_open(self->device, self->name, 0, 0);
	EXPECT_EQ(0, put(self, 2, 3, 0, 1, 'c'));
}

TEST_F(replica, poll)
{
	EXPECT_EQ(0, t_poll(self->ro, POLLIN));
	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	EXPECT_EQ(POLLIN, t_poll(self->ro, POLLIN));
	t_image_info(self->ro);
	EXPECT_EQ(0, t_poll(self->ro, POLLIN));
}

/*
 * Reading and writing
 */

TEST_F(replica, read_across)
{
	char buf[3 * PAGE];

	ASSERT_EQ(0, begin(self, 0, 1));
	ASSERT_EQ(0, stage(self, 0, 1, 'a'));
	ASSERT_EQ(0, stage(self, 2, 1, 'c'));
	ASSERT_EQ(0, commit(self, 1));
	ASSERT_EQ((ssize_t)(3 * PAGE - 20), t_pread(self->ro, buf, 3 * PAGE - 20, BASE + 10));
	EXPECT_EQ('a', buf[PAGE - 11]);
	EXPECT_EQ(0, buf[PAGE - 10]);
	EXPECT_EQ(0, buf[2 * PAGE - 11]);
	EXPECT_EQ('c', buf[2 * PAGE - 10]);
	/* Up to the end of what there is, then nothing. */
	EXPECT_EQ(100, t_pread(self->ro, buf, PAGE, BASE + LEN - 100));
	EXPECT_EQ(-EFAULT, t_pread(self->ro, buf, 1, BASE + LEN));
	EXPECT_EQ(-EFAULT, t_pread(self->ro, buf, 1, 0));
	munmap(self->data, PAGE);
	EXPECT_EQ(-EFAULT, t_pread(self->ro, self->data, PAGE, BASE));
}

TEST_F(replica, write_parts)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 2, 'a'));
	EXPECT_EQ(-EINVAL, t_pwrite(self->fd, "x", 1, BASE));	/* nothing was begun */
	ASSERT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(3, t_pwrite(self->fd, "xyz", 3, BASE + PAGE - 1));
	EXPECT_EQ(2, t_pwrite(self->fd, "pq", 2, BASE + 8 * PAGE + 5));
	EXPECT_EQ(-EFAULT, t_pwrite(self->fd, "x", 1, BASE + LEN));
	EXPECT_EQ('a', at(self, 0));
	EXPECT_EQ(0, commit(self, 2));
	ASSERT_EQ(4, t_pread(self->ro, self->data, 4, BASE + PAGE - 2));
	EXPECT_EQ(0, memcmp("axyz", self->data, 4));
	EXPECT_EQ('a', self->data[0]);
	ASSERT_EQ(8, t_pread(self->ro, self->data, 8, BASE + 8 * PAGE));
	EXPECT_EQ(0, memcmp("\0\0\0\0\0pq\0", self->data, 8));
	EXPECT_STREQ("0+2 8+1", extents(self));
}

TEST_F(replica, kinds_of_segments)
{
	self->layout[0].len = 4 * PAGE;
	self->layout[1] = (struct cptdev_segment) {
		.addr = BASE + 4 * PAGE, .len = 4 * PAGE, .offset = 8 * PAGE,
		.kind = CPTDEV_SEGMENT_FILE, .prot = 1,
	};
	self->layout[2] = (struct cptdev_segment) {
		.addr = BASE + 8 * PAGE, .len = 4 * PAGE,
		.kind = CPTDEV_SEGMENT_UNMAPPED,
	};
	self->begin.layout_len = 3;
	ASSERT_EQ(0, put(self, 0, 1, 3, 2, 'a'));
	EXPECT_EQ(0, at(self, 0));
	EXPECT_EQ('a', at(self, 3));
	EXPECT_EQ('a', at(self, 4));
	EXPECT_EQ(-ENODATA, at(self, 5));		/* the file has it */
	EXPECT_EQ(-ENODATA, at(self, 8));
	EXPECT_EQ(-EFAULT, at(self, 12));
	EXPECT_EQ(3ULL, t_image_info(self->ro).segments);
}

/* Memory that isn't in the layout any more doesn't come back with it. */
TEST_F(replica, layout_shrinks)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 16, 'a'));
	self->layout[0].len = 8 * PAGE;
	EXPECT_EQ(0, put(self, 1, 2, 0, 1, 'b'));
	EXPECT_STREQ("0+8", extents(self));
	self->layout[0].len = LEN;
	EXPECT_EQ(0, put(self, 2, 3, 0, 1, 'c'));
	EXPECT_STREQ("0+8", extents(self));
	EXPECT_EQ(0, at(self, 9));
}

TEST_F(replica, meta)
{
	char buf[16] = { 0 };
	struct cptdev_image_vec v = {
		.size = sizeof(v), .vec = (unsigned long)buf, .vec_len = 16,
	};

	self->begin.meta = (unsigned long)"where we were";
	self->begin.meta_len = 14;
	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	EXPECT_EQ(14U, t_image_info(self->ro).meta_len);
	EXPECT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_IMAGE_META, &v));
	EXPECT_STREQ("where we were", buf);
	self->begin.meta_len = CPTDEV_META_MAX + 1;
	EXPECT_EQ(-EMSGSIZE, begin(self, 1, 2));
}

/* More than is freed at once. */
#define MANY	4096UL

static int stage_many(FIXTURE_DATA(replica) *self, uint64_t pages, char fill)
{
	uint64_t i;
	int ret = 0;

	for (i = 0; !ret && i < pages; i += PAGES)
		ret = stage(self, i, PAGES, fill);
	return ret;
}

static int put_many(FIXTURE_DATA(replica) *self, uint64_t generation)
{
	return begin(self, 0, generation) ?: stage_many(self, MANY, 'a') ?:
		commit(self, generation);
}

/* What is begun right after an abort keeps its places in the content. */
TEST_F(replica, staged_again_at_once)
{
	const unsigned int rounds = t_length() == T_SHORT ? 5 : 20;
	unsigned int i;

	self->layout[0].len = 16 * MANY * PAGE;
	ASSERT_EQ(0, put(self, 0, 1, 0, 1, 'a'));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, begin(self, i + 1, i + 2));
		ASSERT_EQ(0, stage_many(self, MANY, 'x'));
		ASSERT_EQ(0, begin(self, i + 1, i + 2));
		ASSERT_EQ(0, stage_many(self, MANY / 2, 'b' + i));
		ASSERT_EQ(0, commit(self, i + 2));
	}
	EXPECT_EQ('b' + rounds - 1, at(self, MANY / 2 - 1));
	EXPECT_EQ(0, at(self, MANY / 2));
	EXPECT_EQ(MANY / 2, t_image_info(self->ro).pages);
	EXPECT_EQ(MANY / 2 * PAGE, T_SOON(MANY / 2 * PAGE, t_info(self->device).replica));
}

/* A limit counts what isn't free yet, and waits for it. */
TEST_F(replica, limit_and_the_worker)
{
	int small = r_open(self->device, "small", CPTDEV_REPLICA_CREATE |
			   CPTDEV_REPLICA_WRITE, 2 * MANY * PAGE), mine = self->fd;
	unsigned int i;

	self->layout[0].len = MANY * PAGE;
	self->fd = small;
	for (i = 1; i < 10; i++)
		EXPECT_EQ(0, put_many(self, i));
	EXPECT_EQ(0, begin(self, 9, 10));
	EXPECT_EQ(0, stage_many(self, MANY, 'b'));
	r_remove(small);
	self->fd = mine;
}

/*
 * Names, limits, hostile input
 */

TEST_F(replica, names)
{
	EXPECT_EQ(-ENOENT, r_open(self->device, "nobody", 0, 0));
	EXPECT_EQ(-EINVAL, r_open(self->device, "", CPTDEV_REPLICA_CREATE, 0));
	EXPECT_EQ(-EINVAL, r_open(self->device, "a/b", CPTDEV_REPLICA_CREATE, 0));
	EXPECT_EQ(-EINVAL, r_open(self->device, "a\xff", CPTDEV_REPLICA_CREATE, 0));
	EXPECT_EQ(-EINVAL, r_open(self->device, "x", CPTDEV_REPLICA_EXCL, 0));
	EXPECT_EQ(-EEXIST, r_open(self->device, self->name,
				  CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_EXCL, 0));
	EXPECT_EQ(1ULL, t_info(self->device).replicas);
}

TEST_F(replica, remove)
{
	int fd;

	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	EXPECT_EQ(0, r_remove(self->fd));
	EXPECT_EQ(0, r_remove(self->fd));
	EXPECT_EQ(-ENOENT, r_open(self->device, self->name, 0, 0));
	EXPECT_EQ('a', at(self, 0));			/* who has it keeps it */
	fd = r_open(self->device, self->name, CPTDEV_REPLICA_CREATE, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0ULL, t_image_info(fd).generation);	/* another one */
	r_remove(fd);
	t_close(fd);
	t_close(self->fd);
	t_close(self->ro);
	EXPECT_EQ(0ULL, t_info(self->device).replica);
	EXPECT_EQ(0ULL, t_info(self->device).replicas);
}

/*
 * Whoever fills a replica that was removed is told at the next call: what is committed to
 * it nobody would find.
 */
TEST_F(replica, removed_while_staged)
{
	int fd, mine = self->fd;

	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	t_image_info(self->ro);
	EXPECT_EQ(0, t_poll(self->ro, POLLIN | POLLPRI));
	EXPECT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(0, stage(self, 0, 1, 'b'));
	EXPECT_EQ(0, r_remove(self->ro));
	EXPECT_EQ(4 * PAGE, t_info(self->device).replica);	/* what was staged is gone */
	EXPECT_EQ(-ENOENT, stage(self, 1, 1, 'b'));
	EXPECT_EQ(-ENOENT, t_pwrite(self->fd, "x", 1, BASE));
	EXPECT_EQ(-ENOENT, commit(self, 2));
	EXPECT_EQ(-ENOENT, abort_it(self));
	EXPECT_EQ(-ENOENT, begin(self, 1, 2));
	EXPECT_EQ(-ENOENT, promote(self, 0, NULL));
	/* Readers keep what they have, and see that it isn't followed any more. */
	EXPECT_EQ('a', at(self, 0));
	EXPECT_EQ(1ULL, t_image_info(self->ro).generation);
	EXPECT_EQ(0ULL, t_image_info(self->ro).staging);
	EXPECT_EQ((__u32)CPTDEV_IMAGE_REMOVED, t_image_info(self->ro).state);
	EXPECT_EQ(POLLHUP, t_poll(self->ro, POLLIN | POLLPRI));
	/* The name is free for one that has nothing to do with it. */
	fd = r_open(self->device, self->name, CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE,
		    0);
	self->fd = fd;
	EXPECT_EQ(0, put(self, 0, 7, 0, 1, 'c'));
	EXPECT_EQ(0U, t_image_info(fd).state);
	EXPECT_EQ('a', at(self, 0));
	r_remove(fd);
	t_close(fd);
	self->fd = mine;
}

/* Between two deltas, too: the stager's descriptor stays open for all of them. */
TEST_F(replica, removed_while_followed)
{
	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	EXPECT_EQ(0, r_remove(self->ro));
	EXPECT_EQ(-ENOENT, begin(self, 1, 2));
	EXPECT_EQ(-ENOENT, begin(self, 0, 2));
}

TEST_F(replica, limit)
{
	int small = r_open(self->device, "small", CPTDEV_REPLICA_CREATE |
			   CPTDEV_REPLICA_WRITE, 8 * PAGE), mine = self->fd;

	self->fd = small;
	t_close(self->ro);
	self->ro = small;
	EXPECT_EQ(8 * PAGE, t_image_info(small).max_bytes);
	EXPECT_EQ(0, put(self, 0, 1, 0, 6, 'a'));
	EXPECT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(-EDQUOT, stage(self, 0, 3, 'b'));	/* the old ones are still there */
	EXPECT_EQ(-EDQUOT, commit(self, 2));
	EXPECT_EQ('a', at(self, 0));
	EXPECT_EQ(0, put(self, 1, 2, 0, 2, 'b'));
	EXPECT_EQ('b', at(self, 0));
	r_remove(small);
	self->fd = mine;
}

TEST_F(replica, hostile_layouts)
{
	struct cptdev_segment *l = self->layout;

#define TRY(what) do {							\
	struct cptdev_segment keep[4];					\
	memcpy(keep, l, sizeof(keep));					\
	what;								\
	EXPECT_EQ(-EINVAL, begin(self, 0, 1)) TH_LOG(#what);		\
	memcpy(l, keep, sizeof(keep));					\
} while (0)
	l[1] = l[0];
	l[1].addr += LEN;
	self->begin.layout_len = 2;
	EXPECT_EQ(0, begin(self, 0, 1));
	TRY(l[0].addr++);
	TRY(l[0].len++);
	TRY(l[0].len = 0);
	TRY(l[1].addr -= PAGE);
	TRY(l[1].addr = 0);
	TRY(l[1].len = -PAGE);
	TRY(l[1].len = 1ULL << 63);
	TRY(l[1].addr = 1ULL << 63);
	TRY(l[1].kind = 0);
	TRY(l[1].kind = 4);
	TRY(l[1].prot = 8);
	self->begin.layout_len = CPTDEV_LAYOUT_MAX + 1;
	EXPECT_EQ(-E2BIG, begin(self, 0, 1));
	self->begin.layout_len = CPTDEV_LAYOUT_MAX;
	EXPECT_EQ(-EFAULT, begin(self, 0, 1));
	self->begin.layout_len = 0;
	EXPECT_EQ(0, begin(self, 0, 1));		/* empty is fine */
	EXPECT_EQ(-EFAULT, stage(self, 0, 1, 'a'));
	EXPECT_EQ(0, commit(self, 1));
}

static int stage_raw(FIXTURE_DATA(replica) *self, struct cptdev_extent e, uint64_t data,
		     uint64_t len)
{
	struct cptdev_replica_stage a = {
		.size = sizeof(a), .vec = (unsigned long)&e, .vec_len = 1,
		.data = data, .data_len = len,
	};

	return t_ioctl(self->fd, CPTDEV_IOC_REPLICA_STAGE, &a);
}

TEST_F(replica, hostile_extents)
{
	const struct cptdev_extent good = {
		.addr = BASE, .len = PAGE, .kind = CPTDEV_EXTENT_DATA,
	};
	uint64_t data = (unsigned long)self->data;
	struct cptdev_extent e;

#define BAD(err, what, len) do {					\
	e = good;							\
	what;								\
	EXPECT_EQ(err, stage_raw(self, e, data, len)) TH_LOG(#what);	\
} while (0)
	ASSERT_EQ(0, begin(self, 0, 1));
	EXPECT_EQ(0, stage_raw(self, good, data, PAGE));
	BAD(-EINVAL, e.addr++, PAGE);
	BAD(-EINVAL, e.len++, PAGE);
	BAD(-EINVAL, e.len = 0, 0);
	BAD(-EINVAL, e.kind = 0, PAGE);
	BAD(-EINVAL, e.kind = 3, PAGE);
	BAD(-EINVAL, e.reserved = 1, PAGE);
	BAD(-EINVAL, e.len = 2 * PAGE, PAGE);		/* too little data */
	BAD(-EINVAL, e = good, 2 * PAGE);		/* too much */
	BAD(-EINVAL, e = good, 0);
	BAD(-EINVAL, e.kind = CPTDEV_EXTENT_HOLE, PAGE);
	BAD(-EFAULT, e.addr = BASE - PAGE, PAGE);
	BAD(-EFAULT, e.addr = BASE + LEN, PAGE);
	BAD(-EFAULT, e.len = LEN + PAGE, LEN + PAGE);
	BAD(-EFAULT, e.len = -PAGE, -PAGE);
	BAD(-EFAULT, e.addr = -PAGE, PAGE);
	EXPECT_EQ(-EFAULT, stage_raw(self, good, 8, PAGE));
	/* The call may be repeated, and nothing else is there. */
	EXPECT_EQ(0, stage_raw(self, good, data, PAGE));
	EXPECT_EQ(0, commit(self, 1));
	EXPECT_STREQ("0+1", extents(self));
}

/* A layout of terabytes, all of it holes: neither time nor memory goes there. */
TEST_F(replica, immense)
{
	self->layout[0].len = 1ULL << 45;
	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	EXPECT_EQ(0, begin(self, 1, 2));
	EXPECT_EQ(0, hole(self, 2, 1ULL << 32));
	EXPECT_EQ(0, commit(self, 2));
	EXPECT_STREQ("0+2", extents(self));
	EXPECT_EQ(0, at(self, 1ULL << 30));
}

#include "replica_since.h"
#include "replica_copied.h"
#include "replica_history.h"

#ifdef T_ENGINE_KERNEL
#include "replica_kernel.h"
#endif

TEST_HARNESS_MAIN
