// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A program with all that an event loop has: eight threads, three timers, an epoll set, and
 * descriptors of ten kinds. It is killed, goes on elsewhere, and from there in a new process
 * at the first place. What it said to be delivered must be there each time, and everything
 * at work again: what threads write comes through the descriptors, neither less nor twice,
 * timers fire, clients find it at its port, files go on at their offsets.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "program.h"

#define CLASS		3
#define STACK		(256UL << 10)
#define PERIOD_NS	20000000L
#define FIRST_FD	60
#define DATA		0xfedc000000000000ULL	/* of the first source */
#define ALARM		2			/* seconds until a timer fires that fires once */

/*
 * What is counted: what each thread has done, then what has come from each source in the
 * epoll set. The n-th source has the n-th descriptor.
 */
enum {
	LOOP, SAVER, RAISER, ADDER, PIPER, TALKER, WRITER, LOGGER, THREADS,
	TCP = THREADS, UDP, EVENT, SIGNAL, PIPE, PAIR, PERIODIC, ONCE, TIME_OF_DAY, COUNTS,
	SOURCES = COUNTS - THREADS,
};

static const char *const names[COUNTS] = {
	"loop", "saver", "raiser", "adder", "piper", "talker", "writer", "logger",
	"tcp", "udp", "event", "signal", "pipe", "pair", "periodic", "once", "time-of-day",
};

/* Others than those of sources. */
enum { PIPE_IN = SOURCES, PAIR_IN, FILE_FD, LOG_FD, EPOLL, FDS };

struct state {
	pthread_mutex_t lock;		/* of all below; in sections that hold checkpoints off */
	unsigned long count[COUNTS];
	unsigned long total;		/* of them */
	unsigned long written[COUNTS];	/* to the descriptor of a source */
	unsigned long got[COUNTS];	/* from it */
	unsigned long records;		/* in the file */
	unsigned long alarms;		/* timers that fire once were set so often */
	struct timespec alarm_at;	/* and the last of them goes off */
	int fd[FDS];
};

/*
 * The program
 */

static atomic_bool alarm_wanted;	/* a client asks for it */

static int fd_of(const struct state *s, int source)
{
	return s->fd[source - THREADS];
}

static void begin(struct state *s)
{
	hs_hold();
	pthread_mutex_lock(&s->lock);
}

static void end(struct state *s)
{
	pthread_mutex_unlock(&s->lock);
	hs_release();
}

static void count(struct state *s, int what, unsigned long n)
{
	s->count[what] += n;
	s->total += n;
}

/* Of one instant. */
static void check_total(const struct state *s)
{
	unsigned long n = 0;
	int i;

	for (i = 0; i < COUNTS; i++)
		n += s->count[i];
	CHECK(n == s->total);
}

/* "WHEN.NAME NUMBER" for those from @first to @to, in one piece. */
static void tell_counts(const char *when, const unsigned long *counts, int first, int to)
{
	char text[1024];
	int i, len = 0;

	for (i = first; i < to; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s.%s %lu\n", when,
				names[i], counts[i]);
	CHECK(write(OUT_FD, text, (size_t)len) == len);
}

/*
 * Threads that do something for the loop to find
 */

/* All is full: the loop will see to it. */
static void put(struct state *s, int source, int fd)
{
	ssize_t n = write(fd, "x", 1);

	CHECK(n == 1 || errno == EAGAIN);
	s->written[source] += n == 1;
}

static void add(struct state *s)
{
	CHECK(!eventfd_write(fd_of(s, EVENT), 1));
	s->written[EVENT]++;
}

/* Behind what it has written before, whoever has. */
static void write_record(struct state *s)
{
	off_t at = (off_t)(s->records * sizeof(s->records));
	unsigned long before;

	CHECK(lseek(s->fd[FILE_FD], 0, SEEK_CUR) == at);
	if (at) {
		CHECK(pread(s->fd[FILE_FD], &before, sizeof(before), at - 8) == 8);
		CHECK(before == s->records);
	}
	s->records++;
	CHECK(write(s->fd[FILE_FD], &s->records, sizeof(s->records)) == 8);
}

/* To the end, where another process may have written more than it told us. */
static void write_log(const struct state *s)
{
	struct stat before, after;

	CHECK(fcntl(s->fd[LOG_FD], F_GETFL) & O_APPEND);
	CHECK(!fstat(s->fd[LOG_FD], &before));
	CHECK(write(s->fd[LOG_FD], &s->count[LOGGER], 8) == 8);
	CHECK(!fstat(s->fd[LOG_FD], &after) && after.st_size == before.st_size + 8);
}

static void do_something(struct state *s, int who)
{
	switch (who) {
	case RAISER:
		CHECK(!kill(getpid(), SIGUSR1));
		break;
	case ADDER:
		add(s);
		break;
	case PIPER:
		put(s, PIPE, s->fd[PIPE_IN]);
		break;
	case TALKER:
		put(s, PAIR, s->fd[PAIR_IN]);
		break;
	case WRITER:
		write_record(s);
		break;
	case LOGGER:
		write_log(s);
		break;
	}
}

/* Mostly one of them has the lock: a cut in the midst of a section would be seen. */
static void work(struct state *s, int who)
{
	for (;;) {
		begin(s);
		count(s, who, 1);
		usleep(500);
		do_something(s, who);
		end(s);
		usleep(2000);
	}
}

/*
 * The loop
 */

/*
 * What was written is what has come, and what waits. The last byte is left, so that
 * something waits at each cut; these sources have EPOLLET.
 */
static void take_bytes(struct state *s, int source)
{
	int fd = fd_of(s, source), waits;
	char buf[4096];
	ssize_t n;

	CHECK(!ioctl(fd, FIONREAD, &waits) && waits > 0);
	n = waits <= (int)sizeof(buf) ? waits - 1 : (int)sizeof(buf);
	CHECK(!n || read(fd, buf, (size_t)n) == n);
	CHECK(!ioctl(fd, FIONREAD, &waits));
	s->got[source] += (unsigned long)n;
	CHECK(s->got[source] + (unsigned long)waits == s->written[source]);
}

/* What an eventfd has. */
static unsigned long sum_of(int fd)
{
	unsigned long n = 0;
	char line[128];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	f = fopen(line, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "eventfd-count: %lx", &n) != 1)
		;
	fclose(f);
	return n;
}

/* As with bytes: one is left. */
static void take_sum(struct state *s)
{
	int fd = fd_of(s, EVENT);
	eventfd_t n;

	while (sum_of(fd) > 1) {
		CHECK(!eventfd_read(fd, &n) && n == 1);
		s->got[EVENT]++;
	}
	CHECK(s->got[EVENT] + sum_of(fd) == s->written[EVENT]);
}

static void take_signal(const struct state *s)
{
	struct signalfd_siginfo info;

	CHECK(read(fd_of(s, SIGNAL), &info, sizeof(info)) == sizeof(info));
	CHECK(info.ssi_signo == SIGUSR1);
}

static void take_client(const struct state *s)
{
	int fd = accept4(fd_of(s, TCP), NULL, NULL, SOCK_CLOEXEC);

	/* It may have gone again. */
	if (fd < 0)
		return;
	send(fd, "hello", 5, MSG_NOSIGNAL);
	close(fd);
}

static void take_datagram(const struct state *s)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char c;

	if (recvfrom(fd_of(s, UDP), &c, 1, 0, (struct sockaddr *)&from, &len) != 1)
		return;
	if (c == 'a')
		alarm_wanted = true;
	sendto(fd_of(s, UDP), "hello", 5, 0, (struct sockaddr *)&from, len);
}

/* How often a timer has fired since it was last asked. */
static unsigned long take_ticks(const struct state *s, int source)
{
	struct timespec now;
	uint64_t n;

	CHECK(read(fd_of(s, source), &n, sizeof(n)) == sizeof(n));
	if (source == PERIODIC)
		return n;
	/* Once for each time that it was set. */
	CHECK(s->count[source] + n == s->alarms);
	if (source == TIME_OF_DAY) {
		CHECK(!clock_gettime(CLOCK_REALTIME, &now));
		CHECK(now.tv_sec > s->alarm_at.tv_sec || (now.tv_sec == s->alarm_at.tv_sec &&
		      now.tv_nsec >= s->alarm_at.tv_nsec));
	}
	return n;
}

static void take(struct state *s, int source)
{
	unsigned long n = 1;

	if (source == PIPE || source == PAIR)
		take_bytes(s, source);
	else if (source == EVENT)
		take_sum(s);
	else if (source == SIGNAL)
		take_signal(s);
	else if (source == TCP)
		take_client(s);
	else if (source == UDP)
		take_datagram(s);
	else
		n = take_ticks(s, source);
	count(s, source, n);
}

static void loop(struct state *s)
{
	struct epoll_event v[4];
	int i, n;

	for (;;) {
		n = epoll_wait(s->fd[EPOLL], v, 4, 1000);
		CHECK(n >= 0 || errno == EINTR);
		begin(s);
		count(s, LOOP, 1);
		for (i = 0; i < n; i++) {
			CHECK(v[i].data.u64 >= DATA && v[i].data.u64 < DATA + SOURCES);
			take(s, THREADS + (int)(v[i].data.u64 - DATA));
		}
		end(s);
	}
}

/*
 * Checkpoints
 */

static void set_alarms(struct state *s)
{
	struct itimerspec t = { .it_value = { .tv_sec = ALARM } };

	CHECK(!timerfd_settime(fd_of(s, ONCE), 0, &t, NULL));
	CHECK(!clock_gettime(CLOCK_REALTIME, &t.it_value));
	t.it_value.tv_sec += ALARM;
	s->alarm_at = t.it_value;
	CHECK(!timerfd_settime(fd_of(s, TIME_OF_DAY), TFD_TIMER_ABSTIME, &t, NULL));
	s->alarms++;
}

static bool is_set(int timer)
{
	struct itimerspec t;

	CHECK(!timerfd_gettime(timer, &t));
	return t.it_value.tv_sec || t.it_value.tv_nsec;
}

/* Returns whether it was delivered. */
static bool save_once(struct state *s)
{
	unsigned long now[COUNTS];
	int ret;

	begin(s);
	count(s, SAVER, 1);
	check_total(s);
	memcpy(now, s->count, sizeof(now));
	end(s);
	tell_counts("does", now, 0, COUNTS);
	ret = hs_cpt(HSCPT_INCR);
	if (!ret)
		tell_counts("has", now, 0, COUNTS);
	else if (errno != ENOTCONN && errno != ECONNREFUSED)
		fprintf(stderr, "# %s\n", hs_error());
	return !ret;
}

/*
 * A checkpoint with timers that are still to fire; and none after it, in which they may have
 * fired already. That they are afterwards says that they were at the cut.
 */
static void save_alarms(struct state *s)
{
	bool done;

	do {
		begin(s);
		/* Those of before have fired, and were counted. */
		done = s->count[ONCE] == s->alarms && s->count[TIME_OF_DAY] == s->alarms;
		if (done)
			set_alarms(s);
		end(s);
		done = done && save_once(s) && is_set(fd_of(s, ONCE)) &&
			is_set(fd_of(s, TIME_OF_DAY));
		usleep(10000);
	} while (!done);
	tell("alarms", s->alarms);
	for (;;)
		pause();
}

static void save(struct state *s)
{
	for (;;) {
		if (alarm_wanted)
			save_alarms(s);
		usleep(save_once(s) ? 2000 : 20000);
	}
}

/*
 * Threads
 */

struct thread {
	struct state *s;
	int who;
};

/* Each looks for itself whether it is what it was. */
static void check_thread(int who)
{
	pthread_attr_t attr;
	char name[16];
	size_t stack;

	CHECK(!pthread_getname_np(pthread_self(), name, sizeof(name)));
	CHECK(!strcmp(name, names[who]));
	CHECK(!pthread_getattr_np(pthread_self(), &attr));
	CHECK(!pthread_attr_getstacksize(&attr, &stack) && stack >= STACK && stack < 3 * STACK);
	pthread_attr_destroy(&attr);
}

/* The set has each under its number. */
static void check_set(const struct state *s)
{
	struct epoll_event none = { .events = 0 };
	struct itimerspec t;
	int i;

	for (i = 0; i < SOURCES; i++) {
		CHECK(epoll_ctl(s->fd[EPOLL], EPOLL_CTL_ADD, s->fd[i], &none) < 0);
		CHECK(errno == EEXIST);
	}
	CHECK(!timerfd_gettime(fd_of(s, PERIODIC), &t));
	CHECK(!t.it_interval.tv_sec && t.it_interval.tv_nsec == PERIOD_NS);
}

/* Nobody else counts what it counts: so it is what the checkpoint has. */
static void thread(void *arg)
{
	const struct thread *t = arg;
	struct state *s = t->s;

	begin(s);
	check_thread(t->who);
	tell_counts("on", s->count, t->who, t->who + 1);
	if (t->who == LOOP) {
		check_set(s);
		tell_counts("on", s->count, THREADS, COUNTS);
	}
	end(s);
	if (t->who == LOOP) {
		loop(s);
	} else if (t->who == SAVER) {
		save(s);
	}
	work(s, t->who);
}

static void *thread_main(void *arg)
{
	thread(arg);
	return NULL;
}

static pthread_t start_thread(struct state *s, int who)
{
	struct hs_thread_attr a = { .stack_size = STACK };
	struct thread *t = hs_malloc(CLASS, sizeof(*t));
	pthread_attr_t attr;
	pthread_t id;

	CHECK(t);
	*t = (struct thread) { s, who };
	strcpy(a.name, names[who]);
	CHECK(!hs_threadreg_attr(thread, t, &a));
	pthread_attr_init(&attr);
	CHECK(!pthread_attr_setstacksize(&attr, STACK));
	/* It looks at its name as soon as it can. */
	pthread_mutex_lock(&s->lock);
	CHECK(!pthread_create(&id, &attr, thread_main, t));
	CHECK(!pthread_setname_np(id, a.name));
	pthread_mutex_unlock(&s->lock);
	pthread_attr_destroy(&attr);
	return id;
}

/*
 * Descriptors
 */

static int at(int number, int fd)
{
	CHECK(fd >= 0 && dup3(fd, FIRST_FD + number, O_CLOEXEC) >= 0);
	close(fd);
	return FIRST_FD + number;
}

static int make_socket(int type)
{
	const struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(setting("SERVICE"))),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0), one = 1;

	CHECK(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK(!bind(fd, (const struct sockaddr *)&in, sizeof(in)));
	CHECK(type == SOCK_DGRAM || !listen(fd, 16));
	return fd;
}

static int make_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK);
}

/* Under a number that is that of the source. */
static void set_source(struct state *s, int source, int fd)
{
	s->fd[source - THREADS] = at(source, fd);
}

static void make_sources(struct state *s)
{
	int p[2];

	set_source(s, TCP, make_socket(SOCK_STREAM));
	set_source(s, UDP, make_socket(SOCK_DGRAM));
	set_source(s, EVENT, eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE));
	set_source(s, SIGNAL, make_signalfd());
	CHECK(!pipe2(p, O_NONBLOCK));
	set_source(s, PIPE, p[0]);
	s->fd[PIPE_IN] = at(COUNTS + PIPE_IN, p[1]);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p));
	set_source(s, PAIR, p[0]);
	s->fd[PAIR_IN] = at(COUNTS + PAIR_IN, p[1]);
	set_source(s, PERIODIC, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	set_source(s, ONCE, timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK));
	set_source(s, TIME_OF_DAY, timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
	CHECK(!timerfd_settime(fd_of(s, PERIODIC), 0, &(struct itimerspec) {
		{ 0, PERIOD_NS }, { 0, PERIOD_NS } }, NULL));
}

static void make_set(struct state *s)
{
	struct epoll_event event;
	int i;

	s->fd[EPOLL] = at(COUNTS + EPOLL, epoll_create1(0));
	for (i = 0; i < SOURCES; i++) {
		event.events = EPOLLIN;
		if (i + THREADS == EVENT || i + THREADS == PIPE || i + THREADS == PAIR)
			event.events |= EPOLLET;
		event.data.u64 = DATA + (unsigned int)i;
		CHECK(!epoll_ctl(s->fd[EPOLL], EPOLL_CTL_ADD, s->fd[i], &event));
	}
}

/* Kernels before 6.5 don't tell all of an eventfd. */
static void register_fds(const struct state *s)
{
	int i, fd;

	for (i = 0; i < FDS; i++) {
		fd = s->fd[i];
		if (fd == fd_of(s, PAIR))
			CHECK(!hs_fdreg_pair(fd, s->fd[PAIR_IN]));
		else if (fd != s->fd[PAIR_IN] && hs_fdreg(fd))
			CHECK(fd == fd_of(s, EVENT) && errno == ENOTSUP &&
			      !hs_fdreg_eventfd(fd, EFD_SEMAPHORE));
	}
}

static int program(int argc, char **argv)
{
	pthread_t id[THREADS];
	struct state *s;
	int i;

	open_out();
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, 1 << 20));
	s = hs_calloc(CLASS, 1, sizeof(*s));
	CHECK(s);
	pthread_mutex_init(&s->lock, NULL);
	make_sources(s);
	s->fd[FILE_FD] = at(COUNTS + FILE_FD, open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
	s->fd[LOG_FD] = at(COUNTS + LOG_FD, open("log", O_WRONLY | O_CREAT | O_APPEND, 0600));
	make_set(s);
	register_fds(s);
	for (i = 0; i < THREADS; i++)
		id[i] = start_thread(s, i);
	for (i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	return 0;
}

/*
 * The test
 */

static char service[16];		/* SERVICE=PORT */

/* As a client, which waits for an answer. */
static void ask(int type, char question)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)(atoi(port) + 1)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct timeval limit = { .tv_sec = 60 };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	char answer[8];

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	if (type == SOCK_DGRAM)
		assert_int_equal(send(fd, &question, 1, 0), 1);
	assert_int_equal(recv(fd, answer, sizeof(answer), type == SOCK_STREAM ? MSG_WAITALL : 0),
			 5);
	close(fd);
}

static void name_of(char *text, size_t len, const char *when, int what)
{
	snprintf(text, len, "%s.%s", when, names[what]);
}

static unsigned long last_of(const char *out, const char *when, int what)
{
	char text[32];

	name_of(text, sizeof(text), when, what);
	return last(out, text);
}

static void wait_for_count(const char *out, const char *when, int what, unsigned long n)
{
	char text[32];

	name_of(text, sizeof(text), when, what);
	wait_for(out, text, n);
}

/* Each thread and each source, a few times more than in the beginning; @when it is told. */
static void everything_works(const char *out, const char *when)
{
	int i;

	wait_for_count(out, when, SAVER, last_of(out, "on", SAVER) + 1);
	for (i = 0; i < 3; i++) {
		ask(SOCK_STREAM, 'x');
		ask(SOCK_DGRAM, 'x');
	}
	for (i = 0; i < COUNTS; i++)
		if (i != ONCE && i != TIME_OF_DAY)
			wait_for_count(out, when, i, last_of(out, "on", i) + 3);
}

/* The timers that fire once have, so often in all, and don't again. */
static void alarms_fire(const char *out, const char *when, unsigned long n)
{
	wait_for_count(out, when, ONCE, n);
	wait_for_count(out, when, TIME_OF_DAY, n);
	wait_for_count(out, when, PERIODIC, last_of(out, when, PERIODIC) + 20);
	assert_int_equal(last_of(out, when, ONCE), n);
	assert_int_equal(last_of(out, when, TIME_OF_DAY), n);
}

/*
 * The master is killed while timers are still to fire; what it told must be with the next.
 * Returns how often these were set; it was @before.
 */
static unsigned long take_over(pid_t master, const char *out, const char *next,
			       unsigned long before)
{
	unsigned long alarms;
	int i;

	ask(SOCK_DGRAM, 'a');
	wait_for(out, "alarms", before + 1);
	kill_off(master);
	alarms = last(out, "alarms");
	wait_for_count(next, "does", SAVER, 1);
	for (i = 0; i < COUNTS; i++) {
		wait_for_count(next, "on", i, last_of(out, "has", i));
		assert_true(i == ONCE || i == TIME_OF_DAY || last_of(next, "on", i));
	}
	assert_int_equal(last_of(next, "on", ONCE), alarms - 1);
	assert_int_equal(last_of(next, "on", TIME_OF_DAY), alarms - 1);
	return alarms;
}

/* Whoever wrote them: no record is missing, none is elsewhere. */
static void check_file(void)
{
	unsigned long n, i = 0;
	FILE *f = fopen("file", "r");

	assert_non_null(f);
	while (fread(&n, sizeof(n), 1, f) == 1)
		assert_int_equal(n, ++i);
	assert_true(i > 10);
	fclose(f);
}

/* What was written after the last checkpoint is written again, behind it. */
static void check_log(void)
{
	unsigned long n, most = 0, again = 0;
	FILE *f = fopen("log", "r");

	assert_non_null(f);
	while (fread(&n, sizeof(n), 1, f) == 1) {
		assert_true(n <= most + 1);
		again += n <= most;
		most = n > most ? n : most;
	}
	assert_true(most > 10);
	printf("# log: %lu records, %lu of them again\n", most, again);
	fclose(f);
}

static void everything_goes_on_there_and_back(void **state)
{
	pid_t first, second, third;
	unsigned long alarms;

	(void)state;
	if (!fixed_addresses())
		skip();
	first = start("first", "-m", "-a", "127.0.0.1", service);
	second = start("second", "-s", "-a", "127.0.0.1", service);
	everything_works("first", "has");
	alarms = take_over(first, "first", "second", 0);
	everything_works("second", "does");
	alarms_fire("second", "does", alarms);

	/* Back to the first place. */
	third = start("third", "-s", "-a", "127.0.0.1", service);
	everything_works("second", "has");
	alarms = take_over(second, "second", "third", alarms);
	everything_works("third", "does");
	alarms_fire("third", "does", alarms);
	kill_off(third);
	check_file();
	check_log();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(everything_goes_on_there_and_back, clean),
	};
	char dir[] = "/tmp/hotspare-events-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	own_network();
	snprintf(port, sizeof(port), "%d", own_port());
	snprintf(service, sizeof(service), "SERVICE=%d", own_port() + 1);
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
