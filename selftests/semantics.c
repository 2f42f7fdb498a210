// SPDX-License-Identifier: GPL-2.0-only
/*
 * What cptdev(4) says about a snapshot, "What a snapshot is", sentence by sentence: each
 * test is named by the letter and says which. Documentation/testing.rst has the table,
 * with the sentences that other tests show.
 *
 * Nothing here waits for time to pass. What shall be under way during a cut is held: I/O
 * by a limit of two bytes per second (of the control group), a system call by userfaultfd,
 * and the cut itself by a page that it has to read from such a disk.
 */
#include <linux/aio_abi.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "io_uring.h"
#include "harness.h"


#define PAGES	64UL
#define LEN	(PAGES * PAGE)
#define SECTOR	512

#define load(p)		__atomic_load_n(p, __ATOMIC_SEQ_CST)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_SEQ_CST)

/* Tracked memory, an image of it, and a first snapshot in that. */
struct tracked {
	int fd;
	char *m;
	struct t_image *image;
	struct cptdev_snapshot s;	/* the newest */
};

/* The next snapshot, applied to the image; its descriptor. */
static int take(struct tracked *t)
{
	int snap = t_snapshot(t->fd, 0, 0, &t->s);
	int ret = snap < 0 ? snap : t_image_apply(t->image, snap);

	return ret ?: snap;
}

static bool track(struct tracked *t, char *m)
{
	size_t i;
	int snap;

	t->fd = t_open();
	t->m = m;
	for (i = 0; i < LEN; i++)
		t->m[i] = 'a' + i / PAGE + i % 31;
	t->image = t_image_new(t->m, LEN);
	if (t_add(t->fd, t->m, LEN))
		return false;
	snap = take(t);
	close(snap);
	return snap >= 0;
}

static void untrack(struct tracked *t)
{
	close(t->fd);
	t_image_free(t->image);
	munmap(t->m, LEN);
}

/* Is the page in the snapshot? And where: -1, if it isn't. */
static off_t position(int snap, const char *page)
{
	unsigned long addr = (unsigned long)page;
	struct cptdev_extent *v;
	off_t pos = 0, found = -1;
	size_t nr, i;

	v = t_extents(snap, &nr);
	for (i = 0; v && i < nr; i++) {
		if (v[i].kind != CPTDEV_EXTENT_DATA)
			continue;
		if (addr >= v[i].addr && addr - v[i].addr < v[i].len)
			found = pos + (addr - v[i].addr);
		pos += v[i].len;
	}
	free(v);
	return found;
}

static bool snapshot_has(int snap, const char *page, const char *content)
{
	off_t pos = position(snap, page);
	char buf[PAGE];

	return pos >= 0 && pread(snap, buf, PAGE, pos) == (ssize_t)PAGE &&
	       !memcmp(buf, content, PAGE);
}

/*
 * a) What a writer sees
 */

#define SLOW	"/sys/fs/cgroup/cptdev-semantics"
#define SLOWEST	"2"			/* bytes per second: a page takes half an hour */

static bool slow_group(pid_t pid)
{
	char text[32];

	t_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+io +memory");
	mkdir(SLOW, 0755);
	snprintf(text, sizeof(text), "%d", pid);
	return !t_write_file(SLOW "/cgroup.procs", text);
}

/* What is begun now is under way until "max" is said. */
static bool slow_disk(const char *disk, const char *bps)
{
	struct stat st;
	char text[64];

	if (stat(disk, &st))
		return false;
	snprintf(text, sizeof(text), "%u:%u rbps=%s wbps=%s", major(st.st_rdev),
		 minor(st.st_rdev), bps, bps);
	return !t_write_file(SLOW "/io.max", text);
}

static void slow_group_end(void)
{
	t_write_file("/sys/fs/cgroup/cgroup.procs", "0");
	rmdir(SLOW);
}

enum { CLEAN = 3, READ = 5, OUT = 40 };	/* pages: stored to, read, swapped out */

/* What the process that is cut and the one that watches have in common. */
struct stage {
	pid_t snapper, storer;
	int ready, cut, go;
	int stored;			/* by the storer: its store is done */
	int cut_done;
	unsigned long reads;
	/* the verdict */
	bool took, has_out, lacks_store, next_has_store, own;
};

struct held_cut {
	struct stage *stage;
	struct tracked t;
};

static pid_t thread_id(void)
{
	return syscall(SYS_gettid);
}

static void await(int *flag)
{
	while (!load(flag))
		sched_yield();
}

static void *storer(void *arg)
{
	struct held_cut *h = arg;

	store(&h->stage->storer, thread_id());
	await(&h->stage->go);
	store(&h->t.m[CLEAN * PAGE], '!');
	store(&h->stage->stored, 1);
	return NULL;
}

static void *reader(void *arg)
{
	struct held_cut *h = arg;
	char was = h->t.m[READ * PAGE];

	while (!load(&h->stage->cut_done)) {
		if (load(&h->t.m[READ * PAGE]) != was)
			break;
		__atomic_fetch_add(&h->stage->reads, 1, __ATOMIC_SEQ_CST);
		sched_yield();
	}
	return NULL;
}

/* On the disk only, and not in the swap cache: mincore(2) tells. */
static bool swap_out(char *page)
{
	unsigned char in_memory = 1;
	unsigned int tries;

	for (tries = 0; in_memory & 1 && tries < 500; tries++) {
		madvise(page, PAGE, MADV_PAGEOUT);
		t_write_file(SLOW "/memory.reclaim", "1M");
		mincore(page, PAGE, &in_memory);
		if (in_memory & 1)
			usleep(10000);
	}
	return !(in_memory & 1);
}

static int cut_process(struct stage *stage)
{
	struct held_cut h = { .stage = stage };
	pthread_t threads[2];
	char own[PAGE];
	int snap;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!slow_group(getpid()) || !track(&h.t, t_map(LEN)))
		return 1;
	pthread_create(&threads[0], NULL, storer, &h);
	pthread_create(&threads[1], NULL, reader, &h);
	await(&stage->storer);
	/*
	 * Nothing else may have to come from that disk. Locking makes pages writable: only
	 * after another snapshot is a store to one of them a fault.
	 */
	mlockall(MCL_CURRENT);
	munlock(h.t.m + OUT * PAGE, PAGE);
	close(take(&h.t));
	h.t.m[OUT * PAGE] = '?';
	memcpy(own, h.t.m + OUT * PAGE, PAGE);
	if (!swap_out(h.t.m + OUT * PAGE))
		return 2;
	store(&stage->snapper, thread_id());
	store(&stage->ready, 1);
	await(&stage->cut);
	snap = t_snapshot(h.t.fd, 0, 0, &h.t.s);
	store(&stage->cut_done, 1);
	await(&stage->stored);
	stage->took = snap >= 0 && !t_image_apply(h.t.image, snap);
	stage->has_out = snapshot_has(snap, h.t.m + OUT * PAGE, own);
	stage->lacks_store = position(snap, h.t.m + CLEAN * PAGE) < 0;
	snap = take(&h.t);
	stage->next_has_store = snapshot_has(snap, h.t.m + CLEAN * PAGE,
					     h.t.m + CLEAN * PAGE);
	stage->own = h.t.m[CLEAN * PAGE] == '!' && t_image_differs(h.t.image, h.t.m) < 0;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	return 0;
}

/* Text of /proc/PID/task/TID/NAME. */
static const char *proc_text(pid_t pid, pid_t tid, const char *name)
{
	static char text[8192];
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	fd = open(path, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	close(fd);
	return text;
}

static bool cut_is_held(pid_t pid, const struct stage *stage)
{
	const char *stack = proc_text(pid, load(&stage->snapper), "stack");

	return strstr(stack, "cptdev_ioctl") && strstr(stack, "do_swap_page");
}

static bool storer_waits(pid_t pid, const struct stage *stage)
{
	const char *stat = proc_text(pid, load(&stage->storer), "stat");
	const char *name_end = strrchr(stat, ')');

	return name_end && name_end[2] == 'D';
}

static bool ended(pid_t pid)
{
	siginfo_t info = { 0 };

	waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT);
	return info.si_pid == pid;
}

/* Poll until @cond or the end of the process. */
#define UNTIL(pid, cond) do {						\
	while (!(cond) && !ended(pid))					\
		usleep(2000);						\
} while (0)

/*
 * A store that needs a page fault waits until the cut is over, and comes after it. A
 * thread that needs none goes on.
 */
TEST(a_a_store_that_faults_waits_and_who_only_reads_goes_on)
{
	struct stage *stage = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned long reads;
	int status;
	pid_t pid;

	t_swap_on("/dev/vdb");
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(cut_process(stage));
	UNTIL(pid, load(&stage->ready));
	EXPECT_TRUE(slow_disk("/dev/vdb", SLOWEST));
	store(&stage->cut, 1);
	UNTIL(pid, cut_is_held(pid, stage));
	store(&stage->go, 1);
	UNTIL(pid, storer_waits(pid, stage) || load(&stage->stored));
	EXPECT_FALSE(load(&stage->stored));
	reads = load(&stage->reads);
	UNTIL(pid, load(&stage->reads) > reads + 100);
	EXPECT_TRUE(cut_is_held(pid, stage));
	EXPECT_FALSE(load(&stage->stored) || load(&stage->cut_done));
	EXPECT_TRUE(slow_disk("/dev/vdb", "max"));
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	EXPECT_TRUE(stage->took && stage->has_out);
	EXPECT_TRUE(stage->lacks_store);
	EXPECT_TRUE(stage->next_has_store);
	EXPECT_TRUE(stage->own);
	slow_group_end();
}

/*
 * b) What is in it
 */

#define ROUNDS	200

/* A way to say a number to somebody else. */
enum way { WAY_MEMORY, WAY_PIPE, WAY_SOCKET, WAY_PROCESS };

struct channel {
	enum way way;
	int in, out;			/* who says writes to in */
	uint64_t *word;
	pid_t relay;
};

static void relay(int from, int to)
{
	uint64_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(from, &n, sizeof(n)) == sizeof(n))
		if (write(to, &n, sizeof(n)) != sizeof(n))
			break;
	_exit(0);
}

static void channel_open(struct channel *c, enum way way)
{
	int a[2] = { -1, -1 }, b[2];

	*c = (struct channel){ .way = way };
	c->word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (way == WAY_SOCKET ? socketpair(AF_UNIX, SOCK_STREAM, 0, a) : pipe(a))
		return;
	c->in = a[1];
	c->out = a[0];
	if (way != WAY_PROCESS || pipe(b))
		return;
	c->out = b[0];
	fflush(NULL);
	c->relay = fork();
	if (!c->relay) {
		close(a[1]);
		relay(a[0], b[1]);
	}
	close(a[0]);
	close(b[1]);
}

static void channel_close(struct channel *c)
{
	close(c->in);
	close(c->out);
	munmap(c->word, PAGE);
	if (c->relay) {
		kill(c->relay, SIGKILL);
		waitpid(c->relay, NULL, 0);
	}
}

static void say(struct channel *c, uint64_t n)
{
	if (c->way == WAY_MEMORY)
		store(c->word, n);
	else if (write(c->in, &n, sizeof(n)) != sizeof(n))
		abort();
}

/* Returns when @n, or more, was said; 0: nobody will say any more. */
static uint64_t hear(struct channel *c, uint64_t n)
{
	uint64_t heard = 0;

	if (c->way == WAY_MEMORY) {
		while ((heard = load(c->word)) < n)
			sched_yield();
		return heard;
	}
	while (heard < n)
		if (read(c->out, &heard, sizeof(heard)) != sizeof(heard))
			return 0;
	return heard;
}

FIXTURE(order) {
	struct tracked t;
	struct channel there, back;
	bool wrong;			/* a thread read what nobody had written */
};

FIXTURE_VARIANT(order) {
	enum way way;
};

FIXTURE_VARIANT_ADD(order, memory) { .way = WAY_MEMORY };
FIXTURE_VARIANT_ADD(order, pipe) { .way = WAY_PIPE };
FIXTURE_VARIANT_ADD(order, socket) { .way = WAY_SOCKET };
FIXTURE_VARIANT_ADD(order, process) { .way = WAY_PROCESS };

FIXTURE_SETUP(order)
{
	channel_open(&self->there, variant->way);
	channel_open(&self->back, variant->way);
	ASSERT_TRUE(track(&self->t, t_map(LEN)));
	self->wrong = false;
}

FIXTURE_TEARDOWN(order)
{
	channel_close(&self->there);
	channel_close(&self->back);
	untrack(&self->t);
}

/* The number in each page. */
static uint64_t *number(struct tracked *t, unsigned int page)
{
	return (uint64_t *)(t->m + page * PAGE);
}

static uint64_t seen(const struct tracked *t, unsigned int page)
{
	return *(uint64_t *)(t->image->data + page * PAGE);
}

/* Told n, it writes n to every page and says so. */
static void *obedient(void *arg)
{
	FIXTURE_DATA(order) *self = arg;
	unsigned int i;
	uint64_t n;

	for (n = 1; n <= ROUNDS; n++) {
		hear(&self->there, n);
		for (i = 0; i < PAGES; i++) {
			if (n > 1 && load(number(&self->t, i)) != n - 1)
				self->wrong = true;
			store(number(&self->t, i), n);
		}
		say(&self->back, n);
	}
	return NULL;
}

/*
 * A snapshot has every store that the caller had heard of, and none by who heard that the
 * call had returned. And what threads read is what was stored last.
 */
TEST_F(order, b_all_that_was_heard_of_before_and_nothing_told_after)
{
	unsigned long bad = 0;
	unsigned int i;
	pthread_t t;
	uint64_t n;
	int snap;

	pthread_create(&t, NULL, obedient, self);
	say(&self->there, 1);
	for (n = 1; n <= ROUNDS; n++) {
		hear(&self->back, n);
		snap = t_snapshot(self->t.fd, 0, 0, NULL);
		if (n < ROUNDS)
			say(&self->there, n + 1);	/* it writes while we read */
		if (snap < 0 || t_image_apply(self->t.image, snap))
			bad++;
		close(snap);
		for (i = 0; i < PAGES; i++)
			bad += seen(&self->t, i) != n;
	}
	pthread_join(t, NULL);
	EXPECT_EQ(0UL, bad);
	EXPECT_FALSE(self->wrong);
}

static bool stop;

/* Writes x, then says it. */
static void *cause(void *arg)
{
	FIXTURE_DATA(order) *self = arg;
	uint64_t n;

	for (n = 1; !load(&stop); n++) {
		store(number(&self->t, n % 8), n);
		say(&self->there, n);
		hear(&self->back, n);
	}
	say(&self->there, UINT64_MAX);
	return NULL;
}

/* Hears x, then writes y. */
static void *effect(void *arg)
{
	FIXTURE_DATA(order) *self = arg;
	uint64_t n = 0;

	for (;;) {
		n = hear(&self->there, n + 1);
		if (!n || n == UINT64_MAX)
			break;
		store(number(&self->t, 32 + n % 8), n);
		say(&self->back, n);
	}
	return NULL;
}

static uint64_t newest(const struct tracked *t, unsigned int first)
{
	uint64_t max = 0;
	unsigned int i;

	for (i = first; i < first + 8; i++)
		if (seen(t, i) > max)
			max = seen(t, i);
	return max;
}

/* If a snapshot has a store, it has the one that it followed from, by whatever way. */
TEST_F(order, b_no_effect_without_its_cause)
{
	unsigned long bad = 0, moved = 0, i;
	uint64_t x, y, last = 0;
	pthread_t threads[2];
	int snap;

	memset(self->t.m, 0, LEN);
	stop = false;
	pthread_create(&threads[0], NULL, cause, self);
	pthread_create(&threads[1], NULL, effect, self);
	for (i = 0; i < ROUNDS || moved < 10; i++) {
		snap = take(&self->t);
		if (snap < 0)
			break;
		close(snap);
		x = newest(&self->t, 0);
		y = newest(&self->t, 32);
		bad += y > x || x > y + 1;
		moved += y != last;
		last = y;
		if (i % 4 == 0)
			sched_yield();
	}
	store(&stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	EXPECT_LE(0, snap);
	EXPECT_EQ(0UL, bad);
}

struct taker {
	struct tracked *t;
	struct { uint64_t generation, number; } got[ROUNDS];
	bool failed;
};

static void *taker(void *arg)
{
	struct taker *k = arg;
	struct cptdev_snapshot s;
	unsigned int i;
	int snap;

	for (i = 0; i < ROUNDS; i++) {
		snap = t_snapshot(k->t->fd, CPTDEV_SNAPSHOT_SINCE, 0, &s);
		if (snap < 0 || pread(snap, &k->got[i].number, 8, 0) != 8)
			k->failed = true;
		k->got[i].generation = s.generation;
		close(snap);
	}
	return NULL;
}

static void *counter(void *arg)
{
	uint64_t *n = arg;

	while (!load(&stop))
		store(n, *n + 1);
	return NULL;
}

/* Snapshots by several threads come in the order of their generations. */
TEST(b_generations_are_the_order_of_the_instants)
{
	static struct taker k[2];
	pthread_t threads[2], count;
	unsigned int i = 0, j = 0;
	struct tracked t;
	uint64_t last = 0;
	bool ordered = true, distinct = true;

	ASSERT_TRUE(track(&t, t_map(LEN)));
	*number(&t, 0) = 0;
	stop = false;
	k[0].t = &t;
	k[1].t = &t;
	pthread_create(&count, NULL, counter, number(&t, 0));
	pthread_create(&threads[0], NULL, taker, &k[0]);
	pthread_create(&threads[1], NULL, taker, &k[1]);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	store(&stop, true);
	pthread_join(count, NULL);
	EXPECT_FALSE(k[0].failed || k[1].failed);
	while (i < ROUNDS && j < ROUNDS) {
		bool first = k[0].got[i].generation < k[1].got[j].generation;
		uint64_t n = first ? k[0].got[i++].number : k[1].got[j++].number;

		ordered = ordered && n >= last;
		last = n;
	}
	for (i = 1; i < ROUNDS; i++)
		distinct = distinct && k[0].got[i].generation > k[0].got[i - 1].generation &&
			   k[1].got[i].generation > k[1].got[i - 1].generation;
	EXPECT_TRUE(ordered);
	EXPECT_TRUE(distinct);
	untrack(&t);
}

struct reading {
	int fd;
	char *to;
	size_t len;
	ssize_t got;
};

static void *read_it(void *arg)
{
	struct reading *r = arg;

	r->got = read(r->fd, r->to, r->len);
	return NULL;
}

/* A system call isn't one store: what it had written at the cut is there. */
TEST(b_a_system_call_may_be_cut_in_its_midst)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { 0 };
	struct pollfd pfd = { .events = POLLIN };
	static char sent[2 * PAGE];
	struct reading r;
	struct tracked t;
	pthread_t thread;
	int p[2], snap;

	memset(sent, 's', sizeof(sent));
	ASSERT_TRUE(track(&t, t_map(LEN)));
	madvise(t.m + 9 * PAGE, PAGE, MADV_DONTNEED);
	close(take(&t));
	pfd.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	reg.range.start = (unsigned long)t.m + 9 * PAGE;
	reg.range.len = PAGE;
	ASSERT_EQ(0, ioctl(pfd.fd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(pfd.fd, UFFDIO_REGISTER, &reg));
	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ((ssize_t)sizeof(sent), write(p[1], sent, sizeof(sent)));
	r = (struct reading){ .fd = p[0], .to = t.m + 8 * PAGE, .len = sizeof(sent) };
	pthread_create(&thread, NULL, read_it, &r);
	EXPECT_EQ(1, poll(&pfd, 1, -1));		/* it waits for the second page */

	snap = take(&t);
	EXPECT_TRUE(snapshot_has(snap, t.m + 8 * PAGE, sent));
	EXPECT_EQ(-1, position(snap, t.m + 9 * PAGE));
	EXPECT_EQ(1ULL, t.s.pages);
	close(snap);

	zero.range = reg.range;
	ioctl(pfd.fd, UFFDIO_ZEROPAGE, &zero);
	pthread_join(thread, NULL);
	EXPECT_EQ((ssize_t)sizeof(sent), r.got);
	snap = take(&t);
	EXPECT_TRUE(snapshot_has(snap, t.m + 9 * PAGE, sent + PAGE));
	EXPECT_EQ(1ULL, t.s.pages);
	EXPECT_EQ(-1, t_image_differs(t.image, t.m));
	close(pfd.fd);
	untrack(&t);
}

/*
 * c) I/O in flight
 */

#define TARGET	5			/* the page that is read into */

FIXTURE(io) {
	struct tracked t;
	int disk;
	char *target;
	char was[PAGE];			/* the target before */
	char *content;			/* of the disk */
	aio_context_t aio;
	struct t_uring uring;
	bool pinned;
};

FIXTURE_VARIANT(io) {
	bool uring;
};

FIXTURE_VARIANT_ADD(io, aio) { .uring = false };
/* a registered buffer, which stays pinned until it is given back */
FIXTURE_VARIANT_ADD(io, uring) { .uring = true };

FIXTURE_SETUP(io)
{
	size_t i;

	ASSERT_TRUE(slow_group(getpid()));
	self->disk = open("/dev/vda", O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->disk);
	self->content = t_map(PAGE);
	for (i = 0; i < PAGE; i++)
		self->content[i] = '0' + i % 7;
	ASSERT_EQ((ssize_t)PAGE, pwrite(self->disk, self->content, PAGE, 0));
	ASSERT_TRUE(track(&self->t, t_map(LEN)));
	self->target = self->t.m + TARGET * PAGE;
	memcpy(self->was, self->target, PAGE);
	self->aio = 0;
	ASSERT_EQ(0, syscall(SYS_io_setup, 4, &self->aio));
	self->pinned = variant->uring;
	if (self->pinned) {
		ASSERT_EQ(0, t_uring_open(&self->uring));
		ASSERT_EQ(0, t_uring_pin(&self->uring, self->target, PAGE));
	}
	ASSERT_TRUE(slow_disk("/dev/vda", SLOWEST));
}

static void give_back(FIXTURE_DATA(io) *self)
{
	if (self->pinned)
		t_uring_close(&self->uring);
	self->pinned = false;
}

FIXTURE_TEARDOWN(io)
{
	slow_disk("/dev/vda", "max");
	give_back(self);
	syscall(SYS_io_destroy, self->aio);
	slow_group_end();
	close(self->disk);
	munmap(self->content, PAGE);
	untrack(&self->t);
}

/* Begin a transfer of @len bytes between the target's beginning and the disk's. */
static void begin(FIXTURE_DATA(io) *self, unsigned int opcode, size_t len)
{
	struct iocb cb = {
		.aio_lio_opcode = opcode, .aio_fildes = self->disk, .aio_nbytes = len,
		.aio_buf = (unsigned long)self->target,
	}, *list = &cb;

	if (self->pinned)
		t_uring_submit(&self->uring, IORING_OP_READ_FIXED, self->disk,
			       self->target, len, 0);
	else
		syscall(SYS_io_submit, self->aio, 1, &list);
}

/* Is it still under way? Asked after a cut, it was so at the cut. */
static bool under_way(FIXTURE_DATA(io) *self)
{
	struct timespec now = { 0 };
	struct io_event e;

	if (self->pinned)
		return !t_uring_ready(&self->uring);
	return syscall(SYS_io_getevents, self->aio, 1, 1, &e, &now) != 1;
}

/* Let it go, and wait: the bytes transferred. */
static long finish(FIXTURE_DATA(io) *self)
{
	struct io_event e = { .res = -EIO };

	slow_disk("/dev/vda", "max");
	if (self->pinned)
		return t_uring_wait(&self->uring);
	/* A ring that was closed a moment ago interrupts its process. */
	while (syscall(SYS_io_getevents, self->aio, 1, 1, &e, NULL) < 0 && errno == EINTR)
		;
	return e.res;
}

/* A transfer that was over before the call is there. */
TEST_F(io, c_what_had_arrived_is_there)
{
	int snap;

	begin(self, IOCB_CMD_PREAD, PAGE);
	EXPECT_EQ((long)PAGE, finish(self));
	snap = take(&self->t);
	EXPECT_TRUE(snapshot_has(snap, self->target, self->content));
	EXPECT_EQ(-1, t_image_differs(self->t.image, self->t.m));
	close(snap);
}

/*
 * Of a transfer in flight there is what had arrived at the cut, here nothing, and that
 * stays so. The page is in each later snapshot until the transfer is over, and once more.
 */
TEST_F(io, c_what_arrives_later_is_not_and_comes_with_the_next)
{
	int snap[3], i;

	begin(self, IOCB_CMD_PREAD, PAGE);
	for (i = 0; i < 3; i++) {
		snap[i] = take(&self->t);
		EXPECT_TRUE(snapshot_has(snap[i], self->target, self->was));
		EXPECT_LE(1ULL, self->t.s.copied);
		EXPECT_TRUE(under_way(self));
	}
	EXPECT_EQ((long)PAGE, finish(self));
	EXPECT_EQ(0, memcmp(self->target, self->content, PAGE));
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(snapshot_has(snap[i], self->target, self->was));
		close(snap[i]);
	}
	/* Not by a store: only this tells. */
	i = take(&self->t);
	EXPECT_TRUE(snapshot_has(i, self->target, self->content));
	close(i);
	/* Not for ever. The kernel drops its references a little later. */
	give_back(self);
	do {
		i = take(&self->t);
		EXPECT_TRUE(!self->t.s.pages ||
			    snapshot_has(i, self->target, self->content));
		close(i);
	} while (self->t.s.pages);
	EXPECT_EQ(-1, t_image_differs(self->t.image, self->t.m));
}

/*
 * The transfer goes on into the memory of the process, as if there had been no cut:
 * neither what arrives nor what the process stores beside it is lost.
 */
TEST_F(io, c_the_transfer_goes_on_into_the_same_memory)
{
	char want[PAGE];
	int snap[2];

	begin(self, IOCB_CMD_PREAD, SECTOR);
	snap[0] = take(&self->t);
	self->target[2 * SECTOR] = '!';
	snap[1] = take(&self->t);
	self->target[3 * SECTOR] = '!';
	EXPECT_TRUE(under_way(self));
	EXPECT_EQ((long)SECTOR, finish(self));

	memcpy(want, self->was, PAGE);
	EXPECT_TRUE(snapshot_has(snap[0], self->target, want));
	want[2 * SECTOR] = '!';
	EXPECT_TRUE(snapshot_has(snap[1], self->target, want));
	want[3 * SECTOR] = '!';
	memcpy(want, self->content, SECTOR);
	EXPECT_EQ(0, memcmp(self->target, want, PAGE));
	close(snap[0]);
	close(snap[1]);
	snap[0] = take(&self->t);
	EXPECT_TRUE(snapshot_has(snap[0], self->target, want));
	EXPECT_EQ(-1, t_image_differs(self->t.image, self->t.m));
	close(snap[0]);
}

/* What goes out is what the process had in its memory. */
TEST_F(io, c_what_goes_out_is_what_was_in_memory)
{
	int snap;

	give_back(self);			/* it only reads */
	begin(self, IOCB_CMD_PWRITE, PAGE);
	snap = take(&self->t);
	EXPECT_TRUE(under_way(self));
	self->t.m[0] = '!';
	EXPECT_EQ((long)PAGE, finish(self));
	EXPECT_EQ((ssize_t)PAGE, pread(self->disk, self->content, PAGE, 0));
	EXPECT_EQ(0, memcmp(self->content, self->was, PAGE));
	close(snap);
	snap = take(&self->t);
	EXPECT_EQ(-1, t_image_differs(self->t.image, self->t.m));
	close(snap);
}

TEST_HARNESS_MAIN
