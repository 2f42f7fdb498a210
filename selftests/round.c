// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rounds: a spare that has nothing gets the memory in pieces, while the program writes. A pass and
 * the snapshot that completes it must be the memory at the instant of that snapshot, byte for byte,
 * whatever happened during the pass.
 */
#include <sched.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "harness.h"

#define TABLES	8UL
#define IN_TABLE	(HUGE / PAGE)
#define PAGES	(TABLES * IN_TABLE)
#define LEN	(PAGES * PAGE)
#define PUBLISH	(CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD)

FIXTURE(round) {
	int fd;				/* the program's session */
	int daemon;
	uint64_t id;
	char *m;
	struct t_image *image;		/* what the spare has */
	struct cptdev_round r;
	uint64_t pause_max;		/* of a round, nanoseconds */
	uint64_t random;
};

FIXTURE_VARIANT(round) {
	bool huge;
	bool other;			/* the daemon is another process */
};

FIXTURE_VARIANT_ADD(round, small) { };
FIXTURE_VARIANT_ADD(round, huge) { .huge = true };
FIXTURE_VARIANT_ADD(round, other) { .other = true };

static uint64_t publish(FIXTURE_DATA(round) *self)
{
	struct cptdev_snapshot s;

	return t_snapshot(self->fd, PUBLISH, 0, &s) == -1 ? s.generation : 0;
}

/* The newest one is with a spare: the next one continues from it. */
static int have_spare(FIXTURE_DATA(round) *self)
{
	uint64_t g = publish(self);
	int fd = t_delta(self->daemon, self->id, 0, NULL);

	if (fd < 0)
		return fd;
	close(fd);
	return t_ack(self->daemon, self->id, g, 0);
}

FIXTURE_SETUP(round)
{
	unsigned long i;

	self->random = 0x9e3779b97f4a7c15ULL;
	self->fd = t_open();
	self->daemon = t_open();
	ASSERT_LE(0, self->fd);
	self->m = t_map_huge(LEN);
	ASSERT_EQ(0, madvise(self->m, LEN, variant->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
	for (i = 0; i < PAGES; i++)
		memset(self->m + i * PAGE, i % 251 + 1, PAGE);
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	self->id = t_info(self->fd).session_id;
	self->image = t_image_new(self->m, LEN);
	ASSERT_EQ(0, have_spare(self));
}

FIXTURE_TEARDOWN(round)
{
	close(self->fd);
	close(self->daemon);
}

static void write_page(FIXTURE_DATA(round) *self, unsigned long page)
{
	uint64_t *p = (uint64_t *)(self->m + page * PAGE);

	*p = t_random(&self->random);
}

/* In another process the module can't do all that it can in the session's own. */
static int round_elsewhere(FIXTURE_DATA(round) *self, int *fd)
{
	struct answer {
		struct cptdev_round r;
		int ret;
	} *a = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* It has the same descriptors, and memory of its own. */
	pid_t pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	int ret;

	if (!pid) {
		a->r = self->r;
		a->ret = t_round(self->daemon, &a->r);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	self->r = a->r;
	ret = a->ret;
	munmap(a, PAGE);
	*fd = ret;
	return ret < 0 ? ret : 0;
}

/* One round, applied to the image: 0 or -errno. */
static int one_round(FIXTURE_DATA(round) *self, bool other, uint64_t base, uint64_t pages,
		     uint32_t flags)
{
	int fd, ret;

	self->r.flags = flags;
	self->r.session_id = self->id;
	self->r.base = base;
	self->r.pages = pages;
	self->r.pause_ns = self->pause_max;
	if (other)
		ret = round_elsewhere(self, &fd);
	else
		ret = fd = t_round(self->daemon, &self->r);
	if (ret < 0)
		return ret;
	ret = t_image_take(self->image, fd);
	close(fd);
	if (!ret && self->r.pages > pages)
		ret = -E2BIG;
	return ret;
}

/* A whole pass; @between is called after each round. Returns its generation, or 0. */
static uint64_t pass(struct __test_metadata *_metadata, FIXTURE_DATA(round) *self, bool other,
		     uint64_t base, uint32_t flags, void (*between)(FIXTURE_DATA(round) *self))
{
	unsigned int n = 0;

	memset(&self->r, 0, sizeof(self->r));
	do {
		ASSERT_EQ(0, one_round(self, other, base, CPTDEV_ROUND_MIN, flags)) {
			TH_LOG("round %u", n);
		}
		ASSERT_GT(1000, ++n);
		if (between)
			between(self);
	} while (self->r.addr);
	return self->r.pass;
}

/*
 * What has changed since the pass makes the image equal to the memory. Returns how many pages that
 * were. @flags: for DELTA.
 */
static uint64_t complete_as(struct __test_metadata *_metadata, FIXTURE_DATA(round) *self,
			    uint64_t pass, uint32_t flags)
{
	struct cptdev_delta d = { .generation = pass };
	uint64_t pages = 0, last;
	int fd;

	fd = t_delta_flags(self->daemon, self->id, pass, flags, &d);
	if (fd >= 0)
		close(fd);
	last = publish(self);
	ASSERT_LT(pass, last);
	for (d.generation = pass; d.generation < last;) {
		fd = t_delta(self->daemon, self->id, d.generation, &d);
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, t_image_take(self->image, fd));
		close(fd);
		pages += d.pages;
	}
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	return pages;
}

static uint64_t complete(struct __test_metadata *_metadata, FIXTURE_DATA(round) *self,
			 uint64_t pass)
{
	return complete_as(_metadata, self, pass, 0);
}

/* The same, and what was published earlier isn't needed. */
static uint64_t complete_afresh(struct __test_metadata *_metadata, FIXTURE_DATA(round) *self,
				uint64_t pass)
{
	return complete_as(_metadata, self, pass, CPTDEV_DELTA_AFRESH);
}

/*
 * No more pages than those that changed. The fork of another process for each round has effects of
 * its own, so there this isn't asked.
 */
#define EXPECT_FEW(most, expr) do {						\
	uint64_t pages_ = (expr);						\
										\
	if (!variant->other)							\
		EXPECT_GE((uint64_t)(most), pages_);				\
} while (0)

TEST_F(round, a_pass_has_everything)
{
	uint64_t g = pass(_metadata, self, variant->other, 0, 0, NULL);

	EXPECT_LT(1ULL, g);
	/* Nothing was written, so nothing is missing. */
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	write_page(self, 3);
	EXPECT_FEW(variant->huge ? IN_TABLE : 1, complete(_metadata, self, g));
}

/* Behind the place where the pass is, and before it. */
static void write_some(FIXTURE_DATA(round) *self)
{
	unsigned int i;

	for (i = 0; i < 20; i++)
		write_page(self, t_random(&self->random) % PAGES);
}

TEST_F(round, the_program_writes_meanwhile)
{
	uint64_t g = pass(_metadata, self, variant->other, 0, 0, write_some);

	/* Each page that was written at most once more; a huge page is one of 512. */
	EXPECT_FEW(variant->huge ? PAGES : 20 * (TABLES + 1), complete(_metadata, self, g));
}

static void write_and_publish(FIXTURE_DATA(round) *self)
{
	write_some(self);
	publish(self);
	write_some(self);
}

/* Each has a number of its own by then, and what it found isn't found again. */
TEST_F(round, other_snapshots_between_rounds)
{
	complete(_metadata, self, pass(_metadata, self, variant->other, 0, 0, write_and_publish));
}

static void write_and_keep(FIXTURE_DATA(round) *self)
{
	write_some(self);
	close(t_snapshot(self->fd, 0, 0, NULL));
}

TEST_F(round, snapshots_of_the_program_between_rounds)
{
	complete(_metadata, self, pass(_metadata, self, variant->other, 0, 0, write_and_keep));
}

static void drop_some(FIXTURE_DATA(round) *self)
{
	unsigned long page = t_random(&self->random) % (PAGES - 8);

	write_some(self);
	madvise(self->m + page * PAGE, 8 * PAGE, MADV_DONTNEED);
}

/* A page that a round had, and that is a hole by now. */
TEST_F(round, pages_become_holes)
{
	complete(_metadata, self, pass(_metadata, self, variant->other, 0, 0, drop_some));
}

/* What a program's own snapshots continue from isn't touched by rounds. */
TEST_F(round, own_snapshots_go_on)
{
	struct t_image *own = t_image_new(self->m, LEN);
	struct cptdev_snapshot s;
	int fd = t_snapshot(self->fd, CPTDEV_SNAPSHOT_SINCE, 0, &s), i;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, t_image_apply(own, fd));
	close(fd);
	memset(&self->r, 0, sizeof(self->r));
	for (i = 0; i < 20; i++) {
		self->r.addr = (unsigned long)self->m + (i % TABLES) * HUGE;
		write_some(self);
		/* Finds changes that no snapshot has seen. */
		ASSERT_EQ(0, one_round(self, variant->other, 0, 1024, 0));
		write_some(self);
		if (i % 3 == 0)
			publish(self);
		fd = t_snapshot(self->fd, CPTDEV_SNAPSHOT_SINCE, own->generation, &s);
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, t_image_apply(own, fd));
		close(fd);
		EXPECT_EQ(-1, t_image_differs(own, self->m));
	}
	t_image_free(own);
}

/* A further pass takes what has changed, but what changes all the time is left for the end. */
TEST_F(round, hot_pages_are_left_out)
{
	const unsigned long hot = 5, cool = 2 * IN_TABLE + 7;
	uint64_t g = pass(_metadata, self, variant->other, 0, 0, NULL), g2;

	if (variant->huge)
		SKIP(return, "a huge page has one mark");
	write_page(self, hot);
	write_page(self, cool);
	/* A cut that sees that both have changed. */
	ASSERT_LT(0, publish(self));
	write_page(self, hot);
	g2 = pass(_metadata, self, variant->other, g, CPTDEV_ROUND_COOL, NULL);
	EXPECT_LT(g, g2);
	EXPECT_EQ(0, memcmp(self->image->data + cool * PAGE, self->m + cool * PAGE, PAGE));
	EXPECT_NE(0, memcmp(self->image->data + hot * PAGE, self->m + hot * PAGE, PAGE));
	EXPECT_FEW(1, complete_afresh(_metadata, self, g2));
}

/* Without the flag all of it is taken. */
TEST_F(round, a_second_pass)
{
	uint64_t g = pass(_metadata, self, variant->other, 0, 0, write_some), g2;

	g2 = pass(_metadata, self, variant->other, g, 0, NULL);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	write_page(self, 9);
	EXPECT_FEW(variant->huge ? IN_TABLE : 1, complete_afresh(_metadata, self, g2));
}

/* Without a need for what was published before, the last snapshot has only what changed since. */
TEST_F(round, afresh)
{
	struct cptdev_delta d;
	uint64_t g, before;

	write_some(self);
	before = publish(self);
	write_some(self);
	g = pass(_metadata, self, variant->other, 0, 0, NULL);
	/* One that doesn't reach to the end of the pass. */
	EXPECT_EQ(-ENODATA, t_delta(self->daemon, self->id, g, &d));
	EXPECT_LT(0ULL, t_info(self->fd).session_held);
	EXPECT_EQ(-ESTALE, t_delta_flags(self->daemon, self->id, g, CPTDEV_DELTA_AFRESH, &d));
	EXPECT_EQ(-ECANCELED, t_wait(self->fd, 0, 0, NULL));
	EXPECT_EQ(0ULL, T_SOON(0ULL, t_info(self->fd).session_held));
	write_page(self, 9);
	write_page(self, IN_TABLE + 9);
	EXPECT_FEW(variant->huge ? 2 * IN_TABLE : 2, complete(_metadata, self, g));
	/* A spare that has less gets the rest with the next one. */
	EXPECT_EQ(-ESTALE, t_delta(self->daemon, self->id, before, &d));
	publish(self);
	close(t_delta(self->daemon, self->id, before, &d));
	EXPECT_GE(before, d.base);
	EXPECT_LT(variant->huge ? IN_TABLE : 2, d.pages);
}

/* The process isn't stopped for longer than the daemon allows, and all the same it goes on. */
TEST_F(round, the_longest_pause)
{
	unsigned int n = 0;

	memset(&self->r, 0, sizeof(self->r));
	self->pause_max = 1;
	do {
		ASSERT_EQ(0, one_round(self, variant->other, 0, PAGES, 0));
		n++;
	} while (self->r.addr);
	EXPECT_LE(TABLES, n);
	complete(_metadata, self, self->r.pass);
}

TEST_F(round, cool_passes_while_the_program_writes)
{
	uint64_t g = pass(_metadata, self, variant->other, 0, 0, write_and_publish);
	unsigned int i;

	for (i = 0; i < 10; i++)
		g = pass(_metadata, self, variant->other, g, CPTDEV_ROUND_COOL,
			 i % 2 ? write_some : drop_some);
	complete(_metadata, self, g);
}

/* What a program does: some words, a whole page, or nothing is left of it. */
static void change_page(FIXTURE_DATA(round) *self, unsigned long page)
{
	uint64_t *words = (uint64_t *)(self->m + page * PAGE), i;
	uint64_t how = t_random(&self->random) % 16;

	if (!how) {
		madvise(words, PAGE, MADV_DONTNEED);
		return;
	}
	for (i = 0; i < (how < 4 ? PAGE / 8 : how); i++)
		words[how < 4 ? i : t_random(&self->random) % (PAGE / 8)] =
			t_random(&self->random);
}

static void live(FIXTURE_DATA(round) *self)
{
	uint64_t n = t_random(&self->random) % 100;

	while (n--)
		change_page(self, t_random(&self->random) % PAGES);
	if (t_random(&self->random) % 3 == 0)
		publish(self);
}

/* First images of a program that goes on as it did, again and again. */
TEST_F(round, many_first_images)
{
	unsigned int i, passes;
	uint64_t g;

	for (i = 0; i < 30; i++) {
		live(self);
		g = pass(_metadata, self, variant->other, 0, 0, live);
		for (passes = t_random(&self->random) % 4; passes; passes--)
			g = pass(_metadata, self, variant->other, g, CPTDEV_ROUND_COOL, live);
		live(self);
		complete_as(_metadata, self, g, i % 2 ? CPTDEV_DELTA_AFRESH : 0);
		EXPECT_EQ(0, t_ack(self->daemon, self->id, t_info(self->fd).published, 0));
		/* The next spare has nothing at all. */
		memset(self->image->data, 0, LEN);
	}
}

/* Memory comes and goes between the rounds. */
static void map_anew(FIXTURE_DATA(round) *self)
{
	unsigned long page = t_random(&self->random) % (PAGES - IN_TABLE);
	char *p = self->m + page * PAGE;

	mmap(p, IN_TABLE * PAGE / 2, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	*p = 'n';
	t_del(self->fd, self->m, HUGE);
	t_add(self->fd, self->m, HUGE);
	mprotect(p, 16 * PAGE, PROT_READ);
	mprotect(p, 16 * PAGE, PROT_READ | PROT_WRITE);
	write_some(self);
}

TEST_F(round, memory_is_mapped_anew)
{
	complete(_metadata, self, pass(_metadata, self, variant->other, 0, 0, map_anew));
}

TEST_F(round, paged_out)
{
	uint64_t g;

	t_swap_on("/dev/vdb");
	g = pass(_metadata, self, variant->other, 0, 0, NULL);
	if (!variant->huge)
		ASSERT_TRUE(t_page_out(self->m, IN_TABLE));
	write_some(self);
	g = pass(_metadata, self, variant->other, g, CPTDEV_ROUND_COOL, write_some);
	complete(_metadata, self, g);
}

/* Two ranges, terabytes apart, and much untouched memory: each round ends, and all of them soon. */
TEST_F(round, sparse)
{
	const size_t len = 64UL << 30;
	char *far = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned int n = 0;

	ASSERT_NE(MAP_FAILED, far);
	ASSERT_EQ(0, t_add(self->fd, far, len));
	memset(&self->r, 0, sizeof(self->r));
	far[len / 2] = 1;
	do {
		ASSERT_EQ(0, one_round(self, variant->other, 0, PAGES, 0));
		n++;
	} while (self->r.addr);
	EXPECT_LT(64, n);
	EXPECT_GT(1000, n);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

TEST_F(round, how_many_pages)
{
	memset(&self->r, 0, sizeof(self->r));
	ASSERT_EQ(0, one_round(self, variant->other, 0, 1024, 0));
	EXPECT_EQ(1024ULL, self->r.pages);
	EXPECT_EQ((unsigned long)self->m + 2 * HUGE, self->r.addr);
	/* Not only whole tables' worth is asked for, but only whole ones are taken. */
	ASSERT_EQ(0, one_round(self, variant->other, 0, 1023, 0));
	EXPECT_EQ(512ULL, self->r.pages);
	EXPECT_EQ((unsigned long)self->m + 3 * HUGE, self->r.addr);
	ASSERT_EQ(0, one_round(self, variant->other, 0, PAGES, 0));
	EXPECT_EQ(5 * 512ULL, self->r.pages);
	EXPECT_EQ(0ULL, self->r.addr);
	EXPECT_LT(0ULL, self->r.pause_ns);
	/* All of them are one pass. */
	EXPECT_EQ(self->r.pass, t_info(self->fd).generation);
}

TEST_F(round, no_limits)
{
	memset(&self->r, 0, sizeof(self->r));
	self->pause_max = ~0ULL;
	ASSERT_EQ(0, one_round(self, variant->other, 0, ~0ULL, 0));
	EXPECT_EQ(PAGES, self->r.pages);
	EXPECT_EQ(0ULL, self->r.addr);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

/* What was published before the pass, and nobody has fetched, is dropped when memory is short. */
TEST_F(round, what_waits_can_be_dropped)
{
	memset(&self->r, 0, sizeof(self->r));
	write_some(self);
	publish(self);
	ASSERT_EQ(0, one_round(self, variant->other, 0, PAGES, 0));
	EXPECT_LT(0ULL, t_info(self->fd).session_held);
	ASSERT_EQ(0, t_write_file("/proc/sys/vm/drop_caches", "2"));
	EXPECT_EQ(0ULL, T_SOON(0ULL, t_info(self->fd).session_held));
	EXPECT_EQ(-ECANCELED, t_wait(self->fd, 0, 0, NULL));
}

static int ask(FIXTURE_DATA(round) *self, const struct cptdev_round *with)
{
	struct cptdev_round r = *with;
	int fd = t_round(self->daemon, &r);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

TEST_F(round, refused)
{
	const struct cptdev_round good = { .session_id = self->id, .pages = PAGES };
	uint64_t g = t_info(self->fd).generation;
	struct cptdev_round r = good;

	EXPECT_EQ(0, ask(self, &good));
	r.pages = CPTDEV_ROUND_MIN - 1;
	EXPECT_EQ(-EINVAL, ask(self, &r));
	r = good;
	r.flags = 2;
	EXPECT_EQ(-EOPNOTSUPP, ask(self, &r));
	r.flags = CPTDEV_ROUND_COOL;
	EXPECT_EQ(-EINVAL, ask(self, &r));		/* needs a base */
	r = good;
	r.reserved = 1;
	EXPECT_EQ(-EINVAL, ask(self, &r));
	r = good;
	r.addr = 1;
	EXPECT_EQ(-EINVAL, ask(self, &r));
	r.addr = 0;
	r.pass = g + 100;
	EXPECT_EQ(-EINVAL, ask(self, &r));
	r.pass = g;
	r.base = g;
	EXPECT_EQ(-EINVAL, ask(self, &r));
	r.pass = 0;
	r.base = g + 100;
	EXPECT_EQ(-EINVAL, ask(self, &r));
	r = good;
	r.session_id = 1ULL << 60;
	EXPECT_EQ(-ENOENT, ask(self, &r));
	EXPECT_EQ(-EINVAL, ask(self, &(struct cptdev_round) { .session_id = self->id }));
}

/* There is something better than rounds, or nothing at all. */
TEST_F(round, nothing_to_do)
{
	struct cptdev_round r = { .pages = PAGES };
	int fd = t_open();
	char *m = t_map(PAGE);

	*m = 1;
	ASSERT_EQ(0, t_add(fd, m, PAGE));
	r.session_id = t_info(fd).session_id;
	EXPECT_EQ(0, ask(self, &r));			/* nothing is published */
	ASSERT_EQ(-1, t_snapshot(fd, PUBLISH, 0, NULL));
	EXPECT_EQ(-ENODATA, ask(self, &r));		/* everything is published */
	close(t_delta(self->daemon, r.session_id, 0, NULL));
	EXPECT_EQ(-ENODATA, ask(self, &r));
	EXPECT_EQ(0, t_ack(self->daemon, r.session_id, t_info(fd).published, 0));
	EXPECT_EQ(0, ask(self, &r));
	close(fd);
	EXPECT_EQ(-ENOENT, ask(self, &r));
}

/* The limit holds for rounds, too, and nothing is lost by one that fails. */
TEST_F(round, limit)
{
	struct cptdev_round r = { .pages = PAGES };
	int fd = t_open();
	char name[64];
	uint64_t g;

	snprintf(name, sizeof(name), "round-limit-%d", getpid());
	ASSERT_EQ(0, t_setup(fd, name, 0, 4 * HUGE));
	t_del(self->fd, self->m, LEN);
	close(self->fd);
	self->fd = fd;
	ASSERT_EQ(0, t_add(fd, self->m, LEN));
	self->id = r.session_id = t_info(fd).session_id;
	/* What fails as one snapshot ... */
	EXPECT_EQ(-EDQUOT, t_snapshot(fd, PUBLISH, 0, NULL));
	EXPECT_EQ(-EDQUOT, ask(self, &r));
	/* ... goes in rounds. */
	g = pass(_metadata, self, variant->other, 0, 0, NULL);
	write_page(self, 1);
	complete_afresh(_metadata, self, g);
}

/* The process has thrown away what the module has mapped there; it comes back with its next call. */
TEST_F(round, no_proxy)
{
	const struct cptdev_round r = { .session_id = self->id, .pages = PAGES };
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end, proxy = 0;
	char line[256];
	int fd;

	if (!variant->other)
		SKIP(return, "the process itself makes a new one");
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "cptdev-proxy") && sscanf(line, "%lx-%lx", &start, &end) == 2)
			proxy = start;
	fclose(f);
	ASSERT_NE(0UL, proxy);
	ASSERT_EQ(0, munmap((void *)proxy, PAGE));
	self->r = r;
	EXPECT_EQ(-EAGAIN, round_elsewhere(self, &fd));
	ASSERT_LT(0, publish(self));
	self->r = r;
	EXPECT_EQ(0, round_elsewhere(self, &fd));
}

/* A program that ends while its memory is on its way. */
TEST_F(round, the_program_ends)
{
	struct cptdev_round r = { .pages = CPTDEV_ROUND_MIN };
	int to[2], from[2], fd, ret = 0, n = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(to));
	ASSERT_EQ(0, pipe(from));
	pid = fork();
	if (!pid) {
		int own = t_open(), other = t_open();
		uint64_t id = t_info(own).session_id;

		t_add(own, self->m, LEN);
		t_snapshot(own, PUBLISH, 0, NULL);
		close(t_delta(other, id, 0, NULL));
		t_ack(other, id, 1, 0);
		close(to[1]);
		(void)!write(from[1], &id, sizeof(id));
		(void)!read(to[0], &id, 1);
		_exit(0);
	}
	close(to[0]);
	ASSERT_EQ(sizeof(r.session_id), read(from[0], &r.session_id, sizeof(r.session_id)));
	fd = t_round(self->daemon, &r);
	ASSERT_LE(0, fd);
	close(to[1]);
	while (!ret && n++ < 100000) {
		struct cptdev_round again = { .session_id = r.session_id, .pages = PAGES };

		ret = ask(self, &again);
	}
	EXPECT_TRUE(ret == -ESRCH || ret == -ENOENT);
	/* What was frozen before is still there. */
	EXPECT_EQ(0, t_image_take(self->image, fd));
	close(fd);
	waitpid(pid, NULL, 0);
}

TEST_HARNESS_MAIN
