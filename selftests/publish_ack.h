/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the daemon tells a session, and what the program sees of it: leases, blocks, policy,
 * wishes; by WAIT, by poll(), and on the session page. Included by publish.c.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <time.h>

#define S	(1000 * MS)

static int say_until(FIXTURE_DATA(publish) *self, uint32_t flags, uint64_t generation,
		     uint64_t lease)
{
	struct cptdev_ack arg = {
		.size = sizeof(arg), .flags = flags, .session_id = self->id,
		.generation = generation, .lease_until_ns = lease,
	};

	return t_ioctl(self->daemon, CPTDEV_IOC_ACK, &arg);
}

static int say(FIXTURE_DATA(publish) *self, uint32_t flags)
{
	return say_until(self, flags, 0, 0);
}

static int lease(FIXTURE_DATA(publish) *self, uint64_t until)
{
	return say_until(self, CPTDEV_ACK_LEASE, 0, until);
}

static uint64_t boottime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * S + ts.tv_nsec;
}

/* The error of WAIT, and the state that it tells. */
static int wait_state(FIXTURE_DATA(publish) *self, uint64_t generation, uint32_t *state)
{
	struct cptdev_wait arg = {
		.size = sizeof(arg), .generation = generation, .state = ~0U,
	};
	int ret = t_ioctl(self->fd, CPTDEV_IOC_WAIT, &arg);

	*state = arg.state;
	return ret;
}

static short polled(FIXTURE_DATA(publish) *self)
{
	return t_poll(self->fd, POLLIN | POLLPRI);
}

/* In a child, with a descriptor of its own: it follows nobody. */
static void say_later(FIXTURE_DATA(publish) *self, uint32_t flags, uint64_t until)
{
	fflush(NULL);
	if (fork())
		return;
	usleep(100000);
	self->daemon = t_open();
	_exit(say_until(self, flags, 0, until) ? 1 : 0);
}

static int said(void)
{
	int status = -1;

	wait(&status);
	return status;
}

TEST_F(publish, ack_fields)
{
	publish(self);
	EXPECT_EQ(-EINVAL, say(self, 0));
	EXPECT_EQ(-EOPNOTSUPP, say(self, 1U << 7));
	EXPECT_EQ(-EINVAL, say_until(self, 0, 1, 0));			/* not attached */
	EXPECT_EQ(-EINVAL, say_until(self, CPTDEV_ACK_LEASE, 1, 5));
	EXPECT_EQ(-EINVAL, say_until(self, CPTDEV_ACK_ALONE, 2, 0));	/* not published */
	EXPECT_EQ(-EINVAL, say_until(self, CPTDEV_ACK_WANT, 1, 0));
	EXPECT_EQ(-EINVAL, say_until(self, CPTDEV_ACK_BLOCK, 1, 0));
	EXPECT_EQ(-EINVAL, say_until(self, CPTDEV_ACK_UNBLOCK, 1, 0));
	EXPECT_EQ(-EINVAL, say_until(self, CPTDEV_ACK_ALONE, 0, 5));	/* whose lease? */
	EXPECT_EQ(-EINVAL, say(self, CPTDEV_ACK_BLOCK | CPTDEV_ACK_UNBLOCK));
	EXPECT_EQ(0ULL, t_info(self->fd).committed);
	EXPECT_EQ(0, polled(self));
	close(delta(self, 0));
	EXPECT_EQ(-EINVAL, say_until(self, 0, 2, 0));
	EXPECT_EQ(0, say_until(self, CPTDEV_ACK_LEASE, 1, 5));
	EXPECT_EQ(1ULL, t_info(self->fd).committed);
}

/* None of it needs a spare, or a snapshot; all of it needs the capability. */
TEST_F(publish, ack_without_a_spare)
{
	const uint32_t flags[] = {
		CPTDEV_ACK_LEASE, CPTDEV_ACK_ALONE, CPTDEV_ACK_WANT, CPTDEV_ACK_BLOCK,
		CPTDEV_ACK_UNBLOCK,
	};
	unsigned int i;
	int status;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		EXPECT_EQ(0, say(self, flags[i]));
	EXPECT_EQ(0ULL, t_info(self->fd).attached);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		if (setuid(65534))
			_exit(9);
		for (i = 0; i < ARRAY_SIZE(flags); i++)
			if (say(self, flags[i]) != -EPERM)
				_exit(1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
}

TEST_F(publish, lease)
{
	uint32_t state;

	publish(self);
	EXPECT_EQ(0, lease(self, boottime() - 1));
	ASSERT_EQ(1, follow(self));
	/* The spare has it, and somebody may serve in this program's place. */
	EXPECT_EQ(1ULL, t_info(self->fd).committed);
	EXPECT_EQ(-ETIMEDOUT, wait_state(self, 1, &state));
	EXPECT_EQ(0U, state);
	EXPECT_EQ(0, polled(self));
	EXPECT_EQ(0, lease(self, boottime() + 60 * S));
	EXPECT_EQ(POLLIN, polled(self));
	EXPECT_EQ(0, wait_state(self, 1, &state));
	EXPECT_EQ(0, polled(self));
	/* It never moves backwards ... */
	EXPECT_EQ(0, lease(self, 1));
	EXPECT_EQ(0, wait_for(self, 1));
	/* ... but out of use. */
	EXPECT_EQ(0, lease(self, 0));
	EXPECT_EQ(0, wait_for(self, 1));
	EXPECT_EQ(0, lease(self, 1));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self, 1));
	/* A fence comes first: what isn't acknowledged by now never will be. */
	EXPECT_EQ(0, say(self, CPTDEV_ACK_FENCED));
	EXPECT_EQ(-ESTALE, wait_state(self, 1, &state));
	EXPECT_EQ((uint32_t)CPTDEV_STATE_FENCED, state);
}

/* It ends by itself, by a clock that goes on while the machine is suspended. */
TEST_F(publish, lease_runs_out)
{
	struct timespec ts;
	uint64_t until;

	publish(self);
	ASSERT_EQ(1, follow(self));
	until = boottime() + 300 * MS;
	EXPECT_EQ(0, lease(self, until));
	EXPECT_EQ(0, wait_for(self, 1));
	ts.tv_sec = until / S;
	ts.tv_nsec = until % S;
	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &ts, NULL))
		;
	EXPECT_EQ(-ETIMEDOUT, wait_for(self, 1));
}

TEST_F(publish, lease_is_waited_for)
{
	publish(self);
	EXPECT_EQ(0, lease(self, 1));
	ASSERT_EQ(1, follow(self));
	say_later(self, CPTDEV_ACK_LEASE, boottime() + 60 * S);
	EXPECT_EQ(0, t_wait(self->fd, 1, CPTDEV_FOREVER, NULL));
	EXPECT_EQ(0, said());
}

TEST_F(publish, blocked)
{
	uint32_t state;

	publish(self);
	ASSERT_EQ(0, say(self, CPTDEV_ACK_BLOCK));
	ASSERT_EQ(1, follow(self));
	EXPECT_EQ(-ETIMEDOUT, wait_state(self, 1, &state));
	EXPECT_EQ((uint32_t)CPTDEV_STATE_BLOCKED, state);
	EXPECT_EQ(0, polled(self));
	say_later(self, CPTDEV_ACK_UNBLOCK, 0);
	EXPECT_EQ(0, t_wait(self->fd, 1, CPTDEV_FOREVER, NULL));
	EXPECT_EQ(0, said());
	EXPECT_EQ(0, wait_state(self, 1, &state));
	EXPECT_EQ(0U, state);
	/* What was told goes on to hold; what is to be told waits. */
	ASSERT_EQ(0, say(self, CPTDEV_ACK_BLOCK));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self, 1));
	publish(self);
	EXPECT_EQ(-ESTALE, delta(self, 0));
	EXPECT_EQ(-ECANCELED, wait_for(self, 2));
	EXPECT_EQ(-EINVAL, wait_for(self, 3));
}

TEST_F(publish, alone)
{
	uint32_t state;

	publish(self);
	EXPECT_EQ(0, say_until(self, CPTDEV_ACK_ALONE, 1, 0));
	EXPECT_EQ(0ULL, t_info(self->fd).attached);
	EXPECT_EQ(1ULL, t_info(self->fd).committed);
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
	EXPECT_EQ(0, wait_state(self, 1, &state));
	EXPECT_EQ((uint32_t)CPTDEV_STATE_ALONE, state);
	/* A spare that comes needs all of it. */
	EXPECT_EQ(-ESTALE, delta(self, 0));
	EXPECT_EQ(0, wait_state(self, 1, &state));
	EXPECT_EQ((uint32_t)CPTDEV_STATE_ALONE, state);
	publish(self);
	ASSERT_EQ(1, follow(self));
	EXPECT_EQ(PAGES, self->d.pages);
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	EXPECT_EQ(0, wait_state(self, 2, &state));
	EXPECT_EQ(0U, state);
}

/* A spare that is behind what was acknowledged without it doesn't hold it. */
TEST_F(publish, alone_beside_a_slow_spare)
{
	uint32_t state;

	publish(self);
	close(delta(self, 0));
	publish(self);
	EXPECT_EQ(0, say_until(self, CPTDEV_ACK_ALONE, 2, 0));
	EXPECT_EQ(0, ack(self, 1));
	EXPECT_EQ(0, wait_state(self, 2, &state));
	EXPECT_EQ((uint32_t)CPTDEV_STATE_ALONE, state);
	EXPECT_EQ(0, ack(self, 2));
	EXPECT_EQ(0, wait_state(self, 2, &state));
	EXPECT_EQ(0U, state);
}

TEST_F(publish, wanted)
{
	uint32_t state;

	EXPECT_EQ(0, say(self, CPTDEV_ACK_WANT));
	EXPECT_EQ(POLLPRI, polled(self));
	EXPECT_EQ(-EINVAL, wait_state(self, 0, &state));
	EXPECT_EQ((uint32_t)CPTDEV_STATE_WANTED, state);
	EXPECT_EQ(POLLPRI, polled(self));
	/* One that nobody else sees is none. */
	close(t_snapshot(self->fd, 0, 0, NULL));
	EXPECT_EQ(POLLPRI, polled(self));
	publish(self);
	EXPECT_EQ(0, polled(self));
	EXPECT_EQ(-ETIMEDOUT, wait_state(self, 0, &state));
	EXPECT_EQ(0U, state);
}

/*
 * The page
 */

static volatile const struct cptdev_session_page *page_at(int fd, int prot, int flags,
							  size_t len, off_t pos)
{
	void *p = mmap(NULL, len, prot, flags, fd, pos);

	return p == MAP_FAILED ? NULL : p;
}

static volatile const struct cptdev_session_page *page_map(int fd)
{
	return page_at(fd, PROT_READ, MAP_SHARED, PAGE, 0);
}

TEST_F(publish, page)
{
	volatile const struct cptdev_session_page *p = page_map(self->fd), *q;
	uint64_t until = boottime() + S;

	ASSERT_NE(NULL, p);
	EXPECT_EQ(sizeof(*p), p->size);
	EXPECT_EQ(0U, p->flags);
	EXPECT_EQ(0ULL, p->lease_until_ns);
	EXPECT_EQ(0ULL, p->committed);
	EXPECT_EQ(0, say_until(self, CPTDEV_ACK_LEASE | CPTDEV_ACK_WANT, 0, until));
	EXPECT_EQ((uint32_t)CPTDEV_STATE_WANTED, p->flags);
	EXPECT_EQ(until, p->lease_until_ns);
	publish(self);
	EXPECT_EQ(0U, p->flags);
	ASSERT_EQ(1, follow(self));
	EXPECT_EQ(1ULL, p->committed);
	EXPECT_EQ(0, say(self, CPTDEV_ACK_BLOCK | CPTDEV_ACK_ALONE));
	EXPECT_EQ((uint32_t)(CPTDEV_STATE_BLOCKED | CPTDEV_STATE_ALONE), p->flags);
	/* Mapped a second time it is the same. */
	q = page_map(self->fd);
	ASSERT_NE(NULL, q);
	EXPECT_EQ(0, say(self, CPTDEV_ACK_UNBLOCK | CPTDEV_ACK_FENCED));
	EXPECT_EQ((uint32_t)(CPTDEV_STATE_FENCED | CPTDEV_STATE_ALONE), p->flags);
	EXPECT_EQ(p->flags, q->flags);
	EXPECT_EQ(0, lease(self, 0));
	EXPECT_EQ(0ULL, q->lease_until_ns);
}

/* A page, to read, shared, by the session's process, and nothing else. */
TEST_F(publish, page_is_for_reading)
{
	volatile const struct cptdev_session_page *p;
	int ro = open(CPTDEV_DEVICE, O_RDONLY), mem = open("/proc/self/mem", O_RDWR), status;
	void *m;
	pid_t pid;

	EXPECT_EQ(NULL, page_at(self->fd, PROT_READ, MAP_SHARED, 2 * PAGE, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, page_at(self->fd, PROT_READ, MAP_SHARED, PAGE, PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, page_at(self->fd, PROT_READ, MAP_PRIVATE, PAGE, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, page_at(self->fd, PROT_READ | PROT_WRITE, MAP_SHARED, PAGE, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(NULL, page_at(self->fd, PROT_READ | PROT_EXEC, MAP_SHARED, PAGE, 0));
	EXPECT_EQ(EACCES, errno);
	for (p = page_map(self->fd); p; p = ro >= 0 ? page_map(ro) : NULL) {
		m = (void *)p;
		EXPECT_EQ(-1, mprotect(m, PAGE, PROT_READ | PROT_WRITE));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(-1, mprotect(m, PAGE, PROT_READ | PROT_EXEC));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(MAP_FAILED, mremap(m, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
		EXPECT_EQ(-1, madvise(m, PAGE, MADV_DODUMP));
		EXPECT_EQ(-1, pwrite(mem, "", 1, (unsigned long)m));
		EXPECT_EQ(sizeof(*p), p->size);
		EXPECT_EQ(-EOPNOTSUPP, t_add(self->fd, m, PAGE));
		if (ro >= 0)
			close(self->fd), self->fd = ro, ro = -1;
		else
			break;
	}
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(page_map(self->fd) || errno != EXDEV);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	close(mem);
}

static int page_flags_soon(volatile const struct cptdev_session_page *p, uint32_t flags)
{
	unsigned int i;

	for (i = 0; i < 5000 && p->flags != flags; i++)
		usleep(1000);
	return p->flags == flags ? 0 : 1;
}

/* A forked child sees what the program sees, and that the program is gone. */
TEST_F(publish, page_in_a_child)
{
	volatile const struct cptdev_session_page *p;
	int go[2], done[2];
	char c, bad;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(done));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(go[1]);
		self->fd = t_open();
		if (t_add(self->fd, self->m, LEN))
			_exit(1);
		self->id = t_info(self->fd).session_id;
		p = page_map(self->fd);
		if (!fork()) {
			say(self, CPTDEV_ACK_WANT);
			bad = page_flags_soon(p, CPTDEV_STATE_WANTED);
			/* Its parent ends between the two. */
			bad |= write(done[1], "", 1) != 1 || read(go[0], &c, 1) != 1;
			bad |= page_flags_soon(p, CPTDEV_STATE_WANTED | CPTDEV_STATE_BLOCKED);
			_exit(write(done[1], &bad, 1) == 1 ? 0 : 1);
		}
		pause();
	}
	close(done[1]);
	ASSERT_EQ(1, read(done[0], &c, 1));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ASSERT_EQ(1, write(go[1], "", 1));
	ASSERT_EQ(1, read(done[0], &c, 1));
	EXPECT_EQ(0, c);
}

/* The mapping holds the session. */
TEST_F(publish, page_outlives_the_descriptor)
{
	volatile const struct cptdev_session_page *p;
	int other = t_open();

	ASSERT_EQ(0, t_setup(self->fd, "pub-page", 0, 0));
	p = page_map(self->fd);
	close(self->fd);
	EXPECT_EQ(-EEXIST, t_setup(other, "pub-page", 0, 0));
	EXPECT_EQ(0, say(self, CPTDEV_ACK_WANT));
	EXPECT_EQ((uint32_t)CPTDEV_STATE_WANTED, p->flags);
	munmap((void *)p, PAGE);
	EXPECT_EQ(-ENOENT, say(self, CPTDEV_ACK_WANT));
	EXPECT_EQ(0, t_setup(other, "pub-page", 0, 0));
	self->fd = other;
}

struct reader {
	volatile const struct cptdev_session_page *page;
	atomic_bool over;
	atomic_ulong changes;		/* that have begun */
	unsigned long looks;
	unsigned long allowed;
};

static bool may_serve(volatile const struct cptdev_session_page *p)
{
	const uint32_t stop = CPTDEV_STATE_FENCED | CPTDEV_STATE_BLOCKED;
	uint64_t until;

	if (p->flags & stop)
		return false;
	atomic_thread_fence(memory_order_acquire);
	until = p->lease_until_ns;
	atomic_thread_fence(memory_order_acquire);
	return !(p->flags & stop) && (!until || boottime() < until);
}

static void *reads(void *arg)
{
	struct reader *r = arg;

	while (!atomic_load(&r->over)) {
		unsigned long changes = atomic_load(&r->changes);
		bool allowed = may_serve(r->page);

		/* A look that lasted for two changes has seen the first state twice, and says nothing. */
		if (atomic_load(&r->changes) - changes > 1)
			continue;
		r->looks++;
		r->allowed += allowed;
	}
	return NULL;
}

/*
 * Of two states that both forbid to serve no mixture allows it: blocked without a lease in
 * use, and not blocked with a lease that is over.
 */
TEST_F(publish, page_changes_at_once)
{
	const unsigned long rounds = t_length() == T_SHORT ? 10000 : 100000;
	struct reader r = { .page = page_map(self->fd) };
	unsigned long i;
	pthread_t t;

	EXPECT_EQ(0, say(self, CPTDEV_ACK_BLOCK));
	pthread_create(&t, NULL, reads, &r);
	for (i = 0; i < rounds; i++) {
		atomic_fetch_add(&r.changes, 1);
		say_until(self, CPTDEV_ACK_UNBLOCK | CPTDEV_ACK_LEASE, 0, 1);
		atomic_fetch_add(&r.changes, 1);
		say_until(self, CPTDEV_ACK_BLOCK | CPTDEV_ACK_LEASE, 0, 0);
	}
	atomic_store(&r.over, true);
	pthread_join(t, NULL);
	EXPECT_LT(rounds / 100, r.looks);
	EXPECT_EQ(0UL, r.allowed);
	EXPECT_EQ(0, say(self, CPTDEV_ACK_UNBLOCK));
	EXPECT_TRUE(may_serve(r.page));
}
