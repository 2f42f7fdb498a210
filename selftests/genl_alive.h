/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The watchdog: the part of genl.c in which a program gives signs of life, or none. Each test
 * measures the time between two signs by itself: only if it was shorter than what was promised
 * must nothing be told. So a slow machine changes no result.
 */
#define MS	1000000ULL
#define HUNG	((uint32_t)CPTDEV_GENL_SESSION_HUNG)

static int alive(FIXTURE_DATA(genl) *self, uint64_t timeout_ns)
{
	struct cptdev_session_alive a = { .size = sizeof(a), .timeout_ns = timeout_ns };

	return t_ioctl(self->fd, CPTDEV_IOC_SESSION_ALIVE, &a);
}

static uint64_t monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

/* A session that others see. */
static int listed(FIXTURE_DATA(genl) *self)
{
	return t_add(self->fd, self->m, LEN) ?: event(self) != CPTDEV_CMD_SESSION_NEW_NTF;
}

static uint32_t flags_now(FIXTURE_DATA(genl) *self)
{
	return get_session(self, t_info(self->fd).session_id) ? ~0U :
		u32(self, CPTDEV_A_SESSION_FLAGS);
}

/* Is this the next event, with these flags of the session? */
static bool told(FIXTURE_DATA(genl) *self, int cmd, uint32_t flags)
{
	return event(self) == cmd && u32(self, CPTDEV_A_SESSION_FLAGS) == flags;
}

static bool told_hung(FIXTURE_DATA(genl) *self)
{
	return told(self, CPTDEV_CMD_SESSION_HUNG_NTF, HUNG);
}

TEST_F(genl, alive_no_sign_is_told_once)
{
	uint64_t begin;

	EXPECT_TRUE(t_info(self->fd).features & CPTDEV_FEATURE_ALIVE);
	ASSERT_EQ(0, listed(self));
	EXPECT_TRUE(no_event(self));			/* nothing was promised */
	begin = monotonic();
	ASSERT_EQ(0, alive(self, 30 * MS));
	EXPECT_TRUE(told_hung(self));
	EXPECT_LE(30 * MS, monotonic() - begin);
	EXPECT_EQ(HUNG, flags_now(self));
	EXPECT_TRUE(no_event(self));
	/* The next sign ends it, and counts anew. */
	ASSERT_EQ(0, alive(self, 30 * MS));
	EXPECT_TRUE(told(self, CPTDEV_CMD_COMMITTED_NTF, 0));
	EXPECT_TRUE(told_hung(self));
	ASSERT_EQ(0, alive(self, 0));
	EXPECT_TRUE(told(self, CPTDEV_CMD_COMMITTED_NTF, 0));
	EXPECT_EQ(0U, flags_now(self));
	usleep(60000);
	EXPECT_TRUE(no_event(self));
	ASSERT_EQ(0, alive(self, 0));
	EXPECT_TRUE(no_event(self));
}

/* Each publication is a sign; a private snapshot isn't. */
TEST_F(genl, alive_publishing_is_a_sign)
{
	ASSERT_EQ(0, listed(self));
	ASSERT_EQ(0, alive(self, 30 * MS));
	EXPECT_TRUE(told_hung(self));
	close(t_snapshot(self->fd, 0, 0, NULL));
	EXPECT_TRUE(no_event(self));
	EXPECT_EQ(HUNG, flags_now(self));
	publish_one(self);
	/* If that was no sign, what follows would wait in vain. */
	ASSERT_TRUE(told(self, CPTDEV_CMD_COMMITTED_NTF, 0));
	EXPECT_TRUE(told(self, CPTDEV_CMD_SNAPSHOT_NTF, 0));
	EXPECT_TRUE(told_hung(self));
	ASSERT_EQ(0, alive(self, 0));
	EXPECT_TRUE(told(self, CPTDEV_CMD_COMMITTED_NTF, 0));
	/* Without a promise a publication is nothing else. */
	publish_one(self);
	EXPECT_TRUE(told(self, CPTDEV_CMD_SNAPSHOT_NTF, 0));
	usleep(60000);
	EXPECT_TRUE(no_event(self));
}

static void sign(FIXTURE_DATA(genl) *self, bool by_publishing)
{
	if (by_publishing)
		publish_one(self);
	else
		alive(self, 200 * MS);
}

/* Signs every 20 ms, three times as long as promised. Returns the longest time between two. */
static uint64_t signs(FIXTURE_DATA(genl) *self, bool by_publishing)
{
	uint64_t begin = monotonic(), before = begin, now, longest = 0;

	do {
		usleep(20000);
		sign(self, by_publishing);
		now = monotonic();
		longest = now - before > longest ? now - before : longest;
		before = now;
	} while (now - begin < 600 * MS);
	return longest;
}

TEST_F(genl, alive_signs_in_time)
{
	bool by_publishing = false;
	uint64_t longest;
	int cmd, hung;

	ASSERT_EQ(0, listed(self));
	do {
		ASSERT_EQ(0, alive(self, 200 * MS));
		longest = signs(self, by_publishing);
		ASSERT_EQ(0, alive(self, 0));
		for (hung = 0; !no_event(self); hung += cmd == CPTDEV_CMD_SESSION_HUNG_NTF)
			cmd = event(self);
		EXPECT_TRUE(!hung || longest >= 200 * MS) {
			TH_LOG("hung %d times, signs every %lu ms", hung,
			       (unsigned long)(longest / MS));
		}
	} while ((by_publishing = !by_publishing));
}

/* The newest promise counts, be it shorter, longer or none. */
TEST_F(genl, alive_times)
{
	struct cptdev_session_alive a = { .size = sizeof(a), .flags = 1, .timeout_ns = 1 };

	ASSERT_EQ(0, listed(self));
	EXPECT_EQ(-EOPNOTSUPP, t_ioctl(self->fd, CPTDEV_IOC_SESSION_ALIVE, &a));
	EXPECT_TRUE(no_event(self));
	ASSERT_EQ(0, alive(self, 1));
	EXPECT_TRUE(told_hung(self));
	ASSERT_EQ(0, alive(self, ~0ULL));
	EXPECT_TRUE(told(self, CPTDEV_CMD_COMMITTED_NTF, 0));
	EXPECT_TRUE(no_event(self));
	ASSERT_EQ(0, alive(self, 1ULL << 63));
	EXPECT_TRUE(no_event(self));
	ASSERT_EQ(0, alive(self, 1));			/* shorter */
	EXPECT_TRUE(told_hung(self));
	ASSERT_EQ(0, alive(self, 500 * MS));
	EXPECT_TRUE(told(self, CPTDEV_CMD_COMMITTED_NTF, 0));
	ASSERT_EQ(0, alive(self, 60000 * MS));		/* longer */
	EXPECT_EQ(0, event_within(self, 1000));
	ASSERT_EQ(0, alive(self, 500 * MS));
	ASSERT_EQ(0, alive(self, 0));			/* none */
	EXPECT_EQ(0, event_within(self, 1000));
}

/* Others hear nothing of a session that they don't know; when they do, they see its flag. */
TEST_F(genl, alive_not_listed)
{
	ASSERT_EQ(0, alive(self, 1));
	EXPECT_TRUE(no_event(self));
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	EXPECT_TRUE(told(self, CPTDEV_CMD_SESSION_NEW_NTF, HUNG));
	EXPECT_TRUE(no_event(self));
	ASSERT_EQ(0, alive(self, 0));
	EXPECT_TRUE(told(self, CPTDEV_CMD_COMMITTED_NTF, 0));
}

/* The session's own process only. */
TEST_F(genl, alive_own_process)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(alive(self, 1) == -EXDEV ? 0 : 1);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
}

/*
 * A child with a session. It has promised a sign within @timeout_ns when this returns, and gives
 * one whenever SIGUSR1 comes.
 */
static uint64_t promised;

static void promise(int sig)
{
	struct cptdev_session_alive a = { .size = sizeof(a), .timeout_ns = promised };
	int fd = 0;

	(void)sig;
	while (fd < 64 && ioctl(fd, CPTDEV_IOC_SESSION_ALIVE, &a))
		fd++;
}

static pid_t watched(FIXTURE_DATA(genl) *self, uint64_t timeout_ns)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		return -1;
	fflush(NULL);
	pid = fork();
	if (pid) {
		close(ready[1]);
		if (read(ready[0], &c, 1) != 1)
			pid = -1;
		close(ready[0]);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(self->fd);
	promised = timeout_ns;
	signal(SIGUSR1, promise);
	self->fd = t_open();
	if (t_add(self->fd, self->m, LEN) || alive(self, timeout_ns) ||
	    write(ready[1], "", 1) != 1)
		_exit(1);
	end_pause();
	_exit(0);
}

/* A program that is stopped gives no signs; one that runs again ends the matter. */
TEST_F(genl, alive_stopped)
{
	pid_t pid = watched(self, 100 * MS);

	ASSERT_LT(0, pid);
	EXPECT_EQ(CPTDEV_CMD_SESSION_NEW_NTF, event(self));
	kill(pid, SIGSTOP);
	EXPECT_TRUE(told_hung(self));
	EXPECT_EQ((uint32_t)pid, u32(self, CPTDEV_A_SESSION_PID));
	kill(pid, SIGUSR1);
	EXPECT_TRUE(no_event(self));
	kill(pid, SIGCONT);
	EXPECT_TRUE(told(self, CPTDEV_CMD_COMMITTED_NTF, 0));
	EXPECT_TRUE(told_hung(self));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_TRUE(told(self, CPTDEV_CMD_SESSION_GONE_NTF, HUNG));
	EXPECT_TRUE(no_event(self));
}

/* What ended isn't hung, also if somebody has the descriptor still. */
TEST_F(genl, alive_ended)
{
	int i, cmd, fds[2];
	pid_t pid;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pipe(fds));
		fflush(NULL);
		pid = fork();
		if (!pid) {
			close(self->fd);
			self->fd = t_open();
			if (t_add(self->fd, self->m, LEN) || alive(self, 300 * MS))
				_exit(1);
			/* This child has the descriptor until the pipe is closed. */
			if (i && !fork()) {
				close(fds[1]);
				_exit(read(fds[0], &i, 1) != 0);
			}
			kill(getpid(), SIGKILL);
		}
		close(fds[0]);
		waitpid(pid, NULL, 0);
		EXPECT_EQ(CPTDEV_CMD_SESSION_NEW_NTF, event(self));
		/* If all this took longer than promised, it was hung before it ended. */
		cmd = event(self);
		if (cmd == CPTDEV_CMD_SESSION_HUNG_NTF)
			cmd = event(self);
		EXPECT_EQ(CPTDEV_CMD_SESSION_GONE_NTF, cmd);
		EXPECT_EQ(0, event_within(self, 1000));
		close(fds[1]);
		EXPECT_TRUE(no_event(self));
	}
}

/* Closed at the moment at which the time is over: nothing comes after the end. */
TEST_F(genl, alive_closed)
{
	int i, cmd;

	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, listed(self));
		ASSERT_EQ(0, alive(self, i % 10 ? MS : 60000 * MS));
		usleep(i % 10 * 600);
		close(self->fd);
		cmd = event(self);
		if (cmd == CPTDEV_CMD_SESSION_HUNG_NTF)
			cmd = event(self);
		EXPECT_EQ(CPTDEV_CMD_SESSION_GONE_NTF, cmd);
		self->fd = t_open();
	}
	EXPECT_TRUE(no_event(self));
}

struct signs {
	FIXTURE_DATA(genl) *self;
	atomic_bool stop;
};

static void *signs_until_stopped(void *arg)
{
	struct signs *s = arg;
	unsigned int i;

	for (i = 0; !s->stop; i++) {
		alive(s->self, MS);
		usleep(i % 8 * 1000);
	}
	return NULL;
}

/*
 * Threads that give signs, and time that passes: the events alternate, and say the same. The
 * threads go on until enough was seen, as on a slow machine the next sign often comes before the
 * kernel's timer.
 */
TEST_F(genl, alive_events_alternate)
{
	struct signs s = { .self = self };
	unsigned int i, events = 0;
	pthread_t t[2];
	int cmd;

	ASSERT_EQ(0, listed(self));
	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, signs_until_stopped, &s);
	while ((cmd = event_within(self, s.stop ? 2000 : 20000))) {
		ASSERT_EQ(events++ % 2 ? CPTDEV_CMD_COMMITTED_NTF : CPTDEV_CMD_SESSION_HUNG_NTF,
			  cmd);
		s.stop = events > 20;
	}
	EXPECT_TRUE(s.stop);
	s.stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(HUNG, flags_now(self));
}
