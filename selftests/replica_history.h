/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Past generations of a replica: CPTDEV_IOC_REPLICA_HISTORY, CPTDEV_IOC_REPLICA_AT, and the promotion
 * that goes back. Part of replica.c, asked of each engine.
 */

static struct cptdev_past past_list[CPTDEV_HISTORY_MAX];

/* The number of past generations, which are in past_list, or -errno. */
static int history(int fd, struct cptdev_replica_history *out)
{
	struct cptdev_replica_history a = {
		.size = sizeof(a), .vec = (unsigned long)past_list, .vec_len = CPTDEV_HISTORY_MAX,
	};
	int ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_HISTORY, &a);

	if (out)
		*out = a;
	return ret ?: (int)a.nr;
}

static int history_set(int fd, uint32_t keep, uint64_t max_bytes)
{
	struct cptdev_replica_history a = {
		.size = sizeof(a), .flags = CPTDEV_HISTORY_SET, .keep = keep,
		.max_bytes = max_bytes,
	};

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_HISTORY, &a);
}

static int show(int fd, uint64_t generation)
{
	struct cptdev_replica_at a = { .size = sizeof(a), .generation = generation };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_AT, &a);
}

static int promote_at(int fd, uint64_t term, struct cptdev_replica_promote *out)
{
	struct cptdev_replica_promote a = {
		.size = sizeof(a), .flags = CPTDEV_PROMOTE_AT, .term = term,
	};
	int ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_PROMOTE, &a);

	if (out)
		*out = a;
	return ret;
}

/* The generations of the list, "3 2 1". */
static const char *generations(int fd)
{
	static char text[1024];
	int i, nr = history(fd, NULL);
	unsigned int n = 0;

	text[0] = 0;
	for (i = 0; i < nr; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%llu", i ? " " : "",
			      past_list[i].generation);
	return nr < 0 ? "refused" : text;
}

static int freeze_at(int fd, uint32_t flags)
{
	struct cptdev_replica_freeze a = { .size = sizeof(a), .flags = flags };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_FREEZE, &a);
}

static int info_of(int fd)
{
	struct cptdev_image_info a = { .size = sizeof(a) };

	return t_ioctl(fd, CPTDEV_IOC_IMAGE_INFO, &a);
}

static uint32_t past_random(uint32_t n)
{
	static uint64_t state = 20;

	return t_random(&state) % n;
}

static int page_of(int fd, uint64_t page)
{
	char c;
	ssize_t ret = t_pread(fd, &c, 1, BASE + page * PAGE);

	return ret == 1 ? c : ret;
}

TEST_F(replica, history)
{
	struct cptdev_replica_history h;

	EXPECT_TRUE(t_info(self->device).features & CPTDEV_FEATURE_HISTORY);
	/* A new replica keeps nothing. */
	ASSERT_EQ(0, put(self, 0, 1, 0, 8, 'a'));
	ASSERT_EQ(0, put(self, 1, 2, 0, 1, 'b'));
	EXPECT_EQ(0, history(self->ro, &h));
	EXPECT_EQ(0U, h.keep);
	EXPECT_EQ(-ENODATA, show(self->ro, 1));
	EXPECT_EQ(8, (int)t_image_info(self->ro).pages);

	ASSERT_EQ(0, history_set(self->fd, 3, 0));
	ASSERT_EQ(0, put(self, 2, 3, 2, 2, 'c'));
	ASSERT_EQ(0, begin(self, 3, 4));
	ASSERT_EQ(0, hole(self, 3, 2));
	ASSERT_EQ(0, stage(self, 9, 1, 'd'));
	ASSERT_EQ(0, commit(self, 4));
	EXPECT_EQ(2, history(self->ro, &h));
	EXPECT_EQ(3U, h.keep);
	EXPECT_EQ(4 * PAGE, h.bytes);
	EXPECT_STREQ("3 2", generations(self->ro));
	EXPECT_EQ(2ULL, past_list[0].pages);
	EXPECT_EQ(2ULL, past_list[1].pages);
	EXPECT_EQ(1ULL, past_list[1].term);
	EXPECT_LE(past_list[1].committed_ns, past_list[0].committed_ns);
	EXPECT_NE(0ULL, past_list[1].committed_ns);

	/* The newest, then each of the past ones. */
	EXPECT_STREQ("0+3 5+3 9+1", extents(self));
	ASSERT_EQ(0, show(self->ro, 3));
	EXPECT_STREQ("0+8", extents(self));
	EXPECT_EQ('c', at(self, 2));
	EXPECT_EQ('c', at(self, 3));
	EXPECT_EQ('a', at(self, 4));
	EXPECT_EQ(0, at(self, 9));
	EXPECT_EQ(3ULL, t_image_info(self->ro).generation);
	EXPECT_EQ(8ULL, t_image_info(self->ro).pages);
	ASSERT_EQ(0, show(self->ro, 2));
	EXPECT_EQ('a', at(self, 2));
	EXPECT_EQ('b', at(self, 0));
	EXPECT_EQ(2ULL, t_image_info(self->ro).generation);
	/* One that isn't there changes nothing. */
	EXPECT_EQ(-ENODATA, show(self->ro, 1));
	EXPECT_EQ(-ENODATA, show(self->ro, 5));
	EXPECT_EQ('a', at(self, 2));
	ASSERT_EQ(0, show(self->ro, 0));
	EXPECT_EQ('c', at(self, 2));
	EXPECT_STREQ("0+3 5+3 9+1", extents(self));
}

/* What is shown stays as it is, whatever is committed meanwhile; the newest one, too. */
TEST_F(replica, history_while_others_are_committed)
{
	int other = r_open(self->device, self->name, 0, 0);
	int i;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, history_set(self->fd, 2, 0));
	ASSERT_EQ(0, put(self, 0, 1, 0, 16, 'a'));
	ASSERT_EQ(0, put(self, 1, 2, 1, 1, 'b'));
	ASSERT_EQ(0, show(self->ro, 1));
	ASSERT_EQ(0, show(other, 2));
	for (i = 3; i < 20; i++) {
		ASSERT_EQ(0, put(self, i - 1, i, i % 16, 2, 'A' + i));
		ASSERT_EQ('a', at(self, 1));
		ASSERT_EQ('b', page_of(other, 1));
		ASSERT_EQ('a', at(self, i % 16));
		ASSERT_EQ(0, at(self, 16));
		ASSERT_STREQ("0+16", extents(self));
	}
	/* They are kept as they are shown, beyond the two. */
	EXPECT_EQ(18, history(self->ro, NULL));
	ASSERT_EQ(0, show(self->ro, 0));
	ASSERT_EQ(0, put(self, 19, 20, 0, 1, 'x'));
	EXPECT_EQ(18, history(self->ro, NULL));
	EXPECT_EQ(2ULL, past_list[17].generation);
	t_close(other);
	ASSERT_EQ(0, put(self, 20, 21, 0, 1, 'y'));
	EXPECT_STREQ("20 19", generations(self->ro));
	EXPECT_EQ(-ENODATA, show(self->ro, 18));
}

TEST_F(replica, history_is_forgotten)
{
	char c;

	ASSERT_EQ(0, history_set(self->fd, 8, 0));
	ASSERT_EQ(0, put(self, 0, 1, 0, 8, 'a'));
	ASSERT_EQ(0, put(self, 1, 2, 0, 4, 'b'));
	ASSERT_EQ(0, put(self, 2, 3, 0, 2, 'c'));
	ASSERT_EQ(0, show(self->ro, 1));
	EXPECT_EQ('a', at(self, 0));
	/* By its memory: six pages are two too many. */
	ASSERT_EQ(0, history_set(self->fd, 8, 4 * PAGE));
	EXPECT_STREQ("2", generations(self->ro));
	EXPECT_EQ(-ESTALE, at(self, 0));
	EXPECT_EQ(-ESTALE, t_pread(self->ro, &c, 1, BASE + 9 * PAGE));
	EXPECT_EQ(-ESTALE, info_of(self->ro));
	EXPECT_EQ(-EINVAL, promote_at(self->fd, 0, NULL));
	ASSERT_EQ(0, show(self->ro, 2));
	EXPECT_EQ('b', at(self, 0));
	/* By their number. */
	ASSERT_EQ(0, history_set(self->fd, 0, 0));
	EXPECT_STREQ("2", generations(self->ro));	/* it is shown */
	ASSERT_EQ(0, show(self->ro, 0));
	EXPECT_STREQ("", generations(self->ro));
	EXPECT_EQ('c', at(self, 0));

	/* A delta with everything. */
	ASSERT_EQ(0, history_set(self->fd, 8, 0));
	ASSERT_EQ(0, put(self, 3, 4, 0, 1, 'd'));
	ASSERT_EQ(0, show(self->ro, 3));
	ASSERT_EQ(0, put(self, 0, 5, 0, 3, 'e'));
	EXPECT_STREQ("", generations(self->ro));
	EXPECT_EQ(-ESTALE, at(self, 0));
	ASSERT_EQ(0, put(self, 5, 6, 0, 1, 'f'));
	EXPECT_STREQ("5", generations(self->ro));
	EXPECT_EQ(-ESTALE, at(self, 0));
	/* What is staged in vain leaves none. */
	ASSERT_EQ(0, begin(self, 6, 7));
	ASSERT_EQ(0, stage(self, 0, 3, 'g'));
	ASSERT_EQ(0, abort_it(self));
	EXPECT_STREQ("5", generations(self->ro));
	ASSERT_EQ(0, show(self->ro, 0));
	EXPECT_EQ('f', at(self, 0));
}

/* The limit of the replica comes before its history. */
TEST_F(replica, history_gives_way)
{
	int fd, i;

	ASSERT_EQ(0, r_remove(self->fd));
	fd = r_open(self->device, self->name, CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE,
		    32 * PAGE);
	ASSERT_LE(0, fd);
	t_close(self->fd);
	self->fd = fd;
	t_close(self->ro);
	self->ro = r_open(self->device, self->name, 0, 0);
	ASSERT_LE(0, self->ro);
	ASSERT_EQ(0, history_set(self->fd, 100, 0));
	ASSERT_EQ(0, put(self, 0, 1, 0, 16, 'a'));
	ASSERT_EQ(0, show(self->ro, 1));
	for (i = 2; i < 12; i++)
		ASSERT_EQ(0, put(self, i - 1, i, 0, 4, 'a' + i));
	EXPECT_STREQ("10 9 8 7", generations(self->fd));
	EXPECT_EQ(-ESTALE, at(self, 0));
	ASSERT_EQ(0, show(self->ro, 0));
	EXPECT_EQ('a' + 11, at(self, 0));
	EXPECT_EQ('a', at(self, 5));
	/* All but the content, and what is staged, gives way. */
	ASSERT_EQ(0, put(self, 11, 12, 0, 16, 'z'));
	EXPECT_EQ('z', at(self, 15));
	ASSERT_EQ(0, begin(self, 12, 13));
	EXPECT_EQ(-EDQUOT, stage(self, 0, 17, 'y'));
	EXPECT_EQ('z', at(self, 15));
}

TEST_F(replica, history_layout_and_meta)
{
	struct cptdev_segment layout[4];
	char meta[8] = "";
	struct cptdev_image_vec a = {
		.size = sizeof(a), .vec = (unsigned long)layout, .vec_len = 4,
	};

	ASSERT_EQ(0, history_set(self->fd, 4, 0));
	self->begin.meta = (unsigned long)"one";
	self->begin.meta_len = 4;
	ASSERT_EQ(0, put(self, 0, 1, 0, 32, 'a'));
	/* The memory from page 8 on is unmapped: no page of it is in the delta. */
	self->layout[0].len = 8 * PAGE;
	self->begin.meta = (unsigned long)"second";
	self->begin.meta_len = 7;
	ASSERT_EQ(0, put(self, 1, 2, 0, 1, 'b'));
	EXPECT_EQ(-EFAULT, at(self, 8));
	ASSERT_EQ(0, show(self->ro, 1));
	EXPECT_EQ('a', at(self, 31));
	EXPECT_STREQ("0+32", extents(self));
	ASSERT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_IMAGE_LAYOUT, &a));
	EXPECT_EQ(1U, a.nr);
	EXPECT_EQ(LEN, layout[0].len);
	a = (struct cptdev_image_vec) {
		.size = sizeof(a), .vec = (unsigned long)meta, .vec_len = sizeof(meta),
	};
	ASSERT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_IMAGE_META, &a));
	EXPECT_STREQ("one", meta);
	EXPECT_EQ(4U, t_image_info(self->ro).meta_len);

	ASSERT_EQ(0, show(self->fd, 1));
	ASSERT_EQ(0, promote_at(self->fd, 0, NULL));
	ASSERT_EQ(0, show(self->ro, 0));
	EXPECT_EQ('a', at(self, 31));
	EXPECT_EQ('a', at(self, 0));
	EXPECT_STREQ("0+32", extents(self));
	EXPECT_EQ(4U, t_image_info(self->ro).meta_len);
}

TEST_F(replica, promote_back)
{
	struct cptdev_replica_promote p;
	int i;

	ASSERT_EQ(0, history_set(self->fd, 8, 0));
	for (i = 1; i < 6; i++)
		ASSERT_EQ(0, put(self, i - 1, i, 0, i, 'a' + i));
	/* Which one isn't said; the newest is none to go back to. */
	EXPECT_EQ(-EINVAL, promote_at(self->fd, 0, NULL));
	ASSERT_EQ(0, show(self->fd, 5));
	EXPECT_EQ(-EINVAL, promote_at(self->fd, 0, NULL));
	ASSERT_EQ(0, show(self->fd, 3));
	EXPECT_EQ(-ESTALE, promote_at(self->fd, 1, NULL));
	EXPECT_EQ(-EINVAL, promote_at(self->fd, CPTDEV_TERM_MAX + 1, NULL));
	/* Somebody relies on the content. */
	ASSERT_EQ(0, freeze_at(self->ro, 0));
	EXPECT_EQ(-EBUSY, promote_at(self->fd, 0, NULL));
	ASSERT_EQ(0, freeze_at(self->ro, CPTDEV_FREEZE_THAW));
	EXPECT_EQ(-EBADF, promote_at(self->ro, 0, NULL));
	EXPECT_EQ('f', at(self, 4));
	EXPECT_STREQ("4 3 2 1", generations(self->fd));
	EXPECT_EQ(1ULL, t_image_info(self->ro).term);

	/* What is being staged is dropped. */
	ASSERT_EQ(0, begin(self, 5, 6));
	ASSERT_EQ(0, stage(self, 0, 8, 'x'));
	ASSERT_EQ(0, promote_at(self->fd, 7, &p));
	EXPECT_EQ(7ULL, p.term);
	EXPECT_EQ(3ULL, p.generation);
	EXPECT_EQ(-EINVAL, commit(self, 6));
	EXPECT_EQ(3ULL, t_image_info(self->fd).generation);
	EXPECT_EQ(3ULL, t_image_info(self->ro).generation);
	EXPECT_STREQ("0+3", extents(self));
	EXPECT_EQ('d', at(self, 2));
	EXPECT_EQ('d', at(self, 0));
	EXPECT_EQ(0, at(self, 3));
	EXPECT_STREQ("", generations(self->fd));
	EXPECT_EQ(0, claim(self->ro, 7, 0, NULL));
	/* The next term goes on from there, and is the first of a new history. */
	self->begin.term = 8;
	ASSERT_EQ(0, put(self, 3, 4, 1, 1, 'y'));
	EXPECT_EQ('d', at(self, 0));
	EXPECT_EQ('y', at(self, 1));
	EXPECT_STREQ("3", generations(self->fd));
	EXPECT_EQ(4ULL, t_info(self->device).replica / PAGE);
}

/*
 * Random deltas, with holes and layouts that change. A model has each generation as a whole: each
 * past one must be it, before and after later ones were committed, and so must the one that a
 * promotion goes back to. A copy that follows by lists of changes must be right after the way back.
 */
#define MODEL_GENERATIONS	24
struct model {
	char page[PAGES];		/* 0: a hole */
	unsigned int len;		/* of the layout, pages */
};

/* The pages that the descriptor shows: the first that isn't as in the model, or -1. */
static int differs_from(int fd, const struct model *m)
{
	struct cptdev_extent *v;
	char seen[PAGES] = {};
	size_t nr, i;
	unsigned int p;

	v = t_extents(fd, &nr);
	for (i = 0; i < nr; i++)
		for (p = 0; p < v[i].len / PAGE; p++)
			seen[(v[i].addr - BASE) / PAGE + p] = 1;
	free(v);
	for (p = 0; p < PAGES; p++) {
		int want = p < m->len ? m->page[p] : -EFAULT;

		if (page_of(fd, p) != want || seen[p] != (p < m->len && m->page[p]))
			return p;
	}
	return -1;
}

static int random_delta(FIXTURE_DATA(replica) *self, struct model *m, uint64_t generation)
{
	unsigned int i, p, n, len = m->len;
	int ret;

	if (past_random(4) == 0)
		len = PAGES / 2 + past_random(PAGES / 2) + 1;
	self->layout[0].len = len * PAGE;
	for (p = len; p < PAGES; p++)
		m->page[p] = 0;
	m->len = len;
	ret = begin(self, generation - 1, generation);
	for (i = past_random(6); !ret && i > 0; i--) {
		char fill = past_random(3) ? 1 + past_random(120) : 0;

		p = past_random(len);
		n = 1 + past_random(len - p < 8 ? len - p : 8);
		ret = fill ? stage(self, p, n, fill) : hole(self, p, n);
		memset(m->page + p, fill, n);
	}
	return ret ?: commit(self, generation);
}

/* Bring the copy up to date with what changed after the commit @since. */
static int copy_changes(int fd, uint64_t since, struct model *copy)
{
	struct cptdev_extent v[PAGES];
	struct cptdev_image_vec a = {
		.size = sizeof(a), .vec = (unsigned long)v, .vec_len = PAGES, .since = since,
	};
	int ret = t_ioctl(fd, CPTDEV_IOC_IMAGE_EXTENTS, &a);
	unsigned int i, p;

	for (i = 0; !ret && i < a.nr; i++)
		for (p = (v[i].addr - BASE) / PAGE; p < PAGES &&
		     p < (v[i].addr + v[i].len - BASE) / PAGE; p++)
			copy->page[p] = v[i].kind == CPTDEV_EXTENT_DATA ? page_of(fd, p) : 0;
	return ret;
}

static void check_back(struct __test_metadata *_metadata, FIXTURE_DATA(replica) *self,
		       struct model *model, unsigned int to)
{
	struct model copy;
	struct cptdev_replica_promote p;
	uint64_t since, bytes;

	copy = model[MODEL_GENERATIONS];
	since = t_image_info(self->ro).commits;
	ASSERT_EQ(0, show(self->fd, to));
	ASSERT_EQ(0, promote_at(self->fd, 0, &p));
	ASSERT_EQ(to, p.generation);
	ASSERT_EQ(-1, differs_from(self->ro, &model[to]));
	ASSERT_EQ(0, copy_changes(self->ro, since, &copy));
	ASSERT_EQ(0, memcmp(copy.page, model[to].page, model[to].len));
	bytes = t_image_info(self->ro).pages * PAGE;
	ASSERT_EQ(bytes, T_SOON(bytes, t_info(self->device).replica));
	/* The next deltas are on what is there now. */
	self->begin.term = p.term + 1;
	ASSERT_EQ(0, random_delta(self, &model[to], to + 1));
	ASSERT_EQ(-1, differs_from(self->ro, &model[to]));
}

TEST_F(replica, history_against_a_model)
{
	static struct model model[MODEL_GENERATIONS + 1];
	unsigned int g, i, round;
	int past[MODEL_GENERATIONS + 1];

	for (round = 0; round < 20; round++) {
		ASSERT_EQ(0, history_set(self->fd, MODEL_GENERATIONS, 0));
		memset(model, 0, sizeof(model));
		model[1].len = PAGES;
		memset(model[1].page, 'a', 40);
		self->layout[0].len = LEN;
		self->begin.flags = CPTDEV_BEGIN_REPLACE;
		self->begin.uuid[0]++;
		self->begin.term++;
		ASSERT_EQ(0, put(self, 0, 1, 0, 40, 'a'));
		for (g = 1; g <= MODEL_GENERATIONS; g++) {
			if (g > 1) {
				model[g] = model[g - 1];
				ASSERT_EQ(0, random_delta(self, &model[g], g));
			}
			past[g] = r_open(self->device, self->name, 0, 0);
			ASSERT_LE(0, past[g]);
			ASSERT_EQ(0, show(past[g], g));
			for (i = 1; i <= g; i++)
				ASSERT_EQ(-1, differs_from(past[i], &model[i]))
					TH_LOG("generation %u, after %u, round %u", i, g, round);
		}
		/* Also for one that begins to look now. */
		for (g = 1; g <= MODEL_GENERATIONS; g++) {
			ASSERT_EQ(0, show(self->ro, g));
			ASSERT_EQ(-1, differs_from(self->ro, &model[g]));
			t_close(past[g]);
		}
		ASSERT_EQ(0, show(self->ro, 0));
		check_back(_metadata, self, model, 1 + past_random(MODEL_GENERATIONS - 1));
	}
}

TEST_F(replica, history_is_refused)
{
	struct cptdev_replica_history a = { .size = sizeof(a), .flags = 2 };
	struct cptdev_replica_at b = { .size = sizeof(b), .flags = 1 };

	EXPECT_EQ(-EOPNOTSUPP, t_ioctl(self->fd, CPTDEV_IOC_REPLICA_HISTORY, &a));
	a.flags = 0;
	a.keep = 1;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_REPLICA_HISTORY, &a));
	a.keep = 0;
	a.max_bytes = 1;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_REPLICA_HISTORY, &a));
	a.max_bytes = 0;
	a.reserved = 1;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_REPLICA_HISTORY, &a));
	EXPECT_EQ(-EINVAL, history_set(self->fd, CPTDEV_HISTORY_MAX + 1, 0));
	EXPECT_EQ(-EBADF, history_set(self->ro, 1, 0));
	EXPECT_EQ(0, history_set(self->fd, CPTDEV_HISTORY_MAX, ~0ULL));
	EXPECT_EQ(-ENOTTY, history(self->device, NULL));
	EXPECT_EQ(-EOPNOTSUPP, t_ioctl(self->fd, CPTDEV_IOC_REPLICA_AT, &b));
	EXPECT_EQ(-ENODATA, show(self->fd, 1));
	EXPECT_EQ(-ENODATA, show(self->fd, ~0ULL));
	EXPECT_EQ(0, show(self->fd, 0));
	EXPECT_EQ(-ENOTTY, show(self->device, 0));
	EXPECT_EQ(-ENODATA, promote_at(self->fd, 0, NULL));
	/* No list of changes of what is past. */
	ASSERT_EQ(0, put(self, 0, 1, 0, 4, 'a'));
	ASSERT_EQ(0, put(self, 1, 2, 0, 1, 'b'));
	ASSERT_EQ(0, show(self->ro, 1));
	{
		struct cptdev_extent v[4];
		struct cptdev_image_vec e = {
			.size = sizeof(e), .vec = (unsigned long)v, .vec_len = 4, .since = 1,
		};

		EXPECT_EQ(-EINVAL, t_ioctl(self->ro, CPTDEV_IOC_IMAGE_EXTENTS, &e));
	}
	/* A list that is longer than there is room for. */
	a = (struct cptdev_replica_history) {
		.size = sizeof(a), .vec = (unsigned long)past_list, .vec_len = 1,
	};
	ASSERT_EQ(0, put(self, 2, 3, 0, 1, 'c'));
	past_list[1].generation = 99;
	ASSERT_EQ(0, t_ioctl(self->ro, CPTDEV_IOC_REPLICA_HISTORY, &a));
	EXPECT_EQ(2U, a.nr);
	EXPECT_EQ(2ULL, past_list[0].generation);
	EXPECT_EQ(99ULL, past_list[1].generation);
	a = (struct cptdev_replica_history) { .size = sizeof(a), .vec = 8, .vec_len = 1 };
	EXPECT_EQ(-EFAULT, t_ioctl(self->ro, CPTDEV_IOC_REPLICA_HISTORY, &a));
	/* Removed: nothing comes any more, but what is there can be read. */
	ASSERT_EQ(0, show(self->ro, 2));
	ASSERT_EQ(0, r_remove(self->fd));
	EXPECT_EQ('b', at(self, 0));
	ASSERT_EQ(0, show(self->fd, 1));
	EXPECT_EQ(-ENOENT, promote_at(self->fd, 0, NULL));
}
