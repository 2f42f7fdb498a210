// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptors in another process. A child makes them and saves them as text; then it
 * becomes another program, which has none of them, makes them from the text, and looks
 * whether they do what they did.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../clock.h"
#include "../fd.h"
#include "../hotspare.h"
#include "child.h"

#define SAVED_FD	90
/* In a directory of our own, which is the current one. */
#define FILE_PATH	"file"
#define SOCKET_PATH	"socket"

static int at(int number, int fd)
{
	CHECK(fd >= 0);
	CHECK(dup2(fd, number) == number);
	close(fd);
	return number;
}

/* Of one kind: its other half looks after the restart. */
struct scene {
	const char *name;
	void (*make)(void);
	void (*look)(void);
};

/*
 * Files
 */

static void make_file(void)
{
	int fd;

	unlink(FILE_PATH);
	at(20, open(FILE_PATH, O_RDWR | O_CREAT | O_TRUNC, 0600));
	CHECK(write(20, "0123456789", 10) == 10);
	CHECK(lseek(20, 4, SEEK_SET) == 4);
	CHECK(dup3(20, 21, O_CLOEXEC) == 21);
	at(22, open(FILE_PATH, O_WRONLY | O_APPEND));
	at(23, open("/dev/zero", O_RDONLY));
	for (fd = 20; fd <= 23; fd++)
		CHECK(!hs_fdreg(fd));
}

static void look_file(void)
{
	char buf[8];

	CHECK(read(20, buf, 3) == 3 && !memcmp(buf, "456", 3));
	/* the same open file */
	CHECK(read(21, buf, 1) == 1 && buf[0] == '7');
	CHECK(!(fcntl(20, F_GETFD) & FD_CLOEXEC) && fcntl(21, F_GETFD) & FD_CLOEXEC);
	CHECK(write(22, "x", 1) == 1);
	CHECK(pread(20, buf, 1, 10) == 1 && buf[0] == 'x');
	CHECK((fcntl(22, F_GETFL) & (O_ACCMODE | O_APPEND)) == (O_WRONLY | O_APPEND));
	CHECK(read(23, buf, 1) == 1 && !buf[0]);
	unlink(FILE_PATH);
}

/*
 * Sockets
 */

static void bind_any(int fd, int family)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = { .sin_family = AF_INET };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == AF_INET)
		CHECK(!bind(fd, (struct sockaddr *)&in, sizeof(in)));
	else
		CHECK(!bind(fd, (struct sockaddr *)&in6, sizeof(in6)));
}

static void make_udp(void)
{
	struct hs_fd_address a = { .len = sizeof(a.addr) };

	at(20, socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	bind_any(20, AF_INET);
	at(21, socket(AF_INET, SOCK_DGRAM, 0));
	bind_any(21, AF_INET);
	CHECK(!getsockname(20, (struct sockaddr *)&a.addr, &a.len));
	CHECK(!connect(21, (struct sockaddr *)&a.addr, a.len));
	/* Bound after it was registered: asked for again. */
	at(23, socket(AF_INET, SOCK_DGRAM, 0));
	CHECK(!hs_fdreg_sockudp4(20, HSFD_UDP4_GETNAME | HSFD_UDP4_GETPEER));
	CHECK(!hs_fdreg_sockudp4(21, HSFD_UDP4_GETNAME | HSFD_UDP4_GETPEER));
	CHECK(!hs_fdreg_sockudp4(23, HSFD_UDP4_GETNAME | HSFD_UDP4_CPTREFRESH));
	bind_any(23, AF_INET);
}

static void look_udp(void)
{
	struct hs_fd_address a = { .len = sizeof(a.addr) };
	char buf[8];

	CHECK(fcntl(20, F_GETFL) & O_NONBLOCK);
	CHECK(recv(20, buf, 8, 0) < 0 && errno == EAGAIN);
	CHECK(send(21, "hello", 5, 0) == 5);
	CHECK(recv(20, buf, 8, 0) == 5);
	CHECK(!getsockname(23, (struct sockaddr *)&a.addr, &a.len));
	CHECK(((struct sockaddr_in *)&a.addr)->sin_port);
}

/* A connection that this side has closed first keeps the port for a while. */
static void leave_time_wait(int listener)
{
	struct hs_fd_address a = { .len = sizeof(a.addr) };
	int client = socket(AF_INET, SOCK_STREAM, 0), fd;
	char byte;

	CHECK(!getsockname(listener, (struct sockaddr *)&a.addr, &a.len));
	CHECK(!connect(client, (struct sockaddr *)&a.addr, a.len));
	fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && !close(fd) && !recv(client, &byte, 1, 0));
	close(client);
}

static void make_listen(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };

	at(20, socket(AF_INET, SOCK_STREAM, 0));
	bind_any(20, AF_INET);
	CHECK(!listen(20, 7));
	/* The name stays in the file system, as after a crash. */
	unlink(SOCKET_PATH);
	at(22, socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK(!bind(22, (struct sockaddr *)&un, sizeof(un)));
	CHECK(!listen(22, 5));
	/* An abstract one, by autobind. */
	at(23, socket(AF_UNIX, SOCK_SEQPACKET, 0));
	CHECK(!bind(23, (struct sockaddr *)&un, sizeof(sa_family_t)));
	CHECK(!listen(23, 5));
	CHECK(!hs_fdreg_socktcp4_listen(20));
	leave_time_wait(20);
	CHECK(!hs_fdreg(22) && !hs_fdreg(23));
}

static void look_listening(int fd)
{
	struct hs_fd_address a = { .len = sizeof(a.addr) };
	socklen_t len = sizeof(int);
	int to, type;

	CHECK(!getsockname(fd, (struct sockaddr *)&a.addr, &a.len));
	CHECK(!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len));
	to = socket(a.addr.ss_family, type, 0);
	CHECK(!connect(to, (struct sockaddr *)&a.addr, a.len));
	CHECK(accept(fd, NULL, NULL) >= 0);
}

static void look_listen(void)
{
	look_listening(20);
	look_listening(22);
	look_listening(23);
	unlink(SOCKET_PATH);
}

static void make_inet6(void)
{
	at(20, socket(AF_INET6, SOCK_DGRAM, 0));
	bind_any(20, AF_INET6);
	at(21, socket(AF_INET6, SOCK_STREAM, 0));
	bind_any(21, AF_INET6);
	CHECK(!listen(21, 5));
	CHECK(!hs_fdreg(20) && !hs_fdreg(21));
}

static void look_inet6(void)
{
	struct hs_fd_address a = { .len = sizeof(a.addr) };
	char buf[8];

	CHECK(!getsockname(20, (struct sockaddr *)&a.addr, &a.len));
	CHECK(sendto(20, "self", 4, 0, (struct sockaddr *)&a.addr, a.len) == 4);
	CHECK(recv(20, buf, 8, 0) == 4);
	look_listening(21);
}

/*
 * Pipes and pairs
 */

static void make_pipe(void)
{
	static char big[50000];
	int p[2], fd;

	CHECK(!pipe2(p, O_NONBLOCK));
	at(21, p[0]);
	at(20, p[1]);
	CHECK(fcntl(20, F_SETPIPE_SZ, 1 << 18) == 1 << 18);
	memset(big, 'a', sizeof(big));
	CHECK(write(20, big, sizeof(big)) == sizeof(big));
	CHECK(write(20, "end", 3) == 3);
	CHECK(dup2(21, 25) == 25);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	at(22, p[0]);
	at(23, p[1]);
	CHECK(write(22, "to 23", 5) == 5);
	CHECK(write(23, "to 22!", 6) == 6);
	for (fd = 20; fd <= 21; fd++)
		CHECK(!hs_fdreg(fd));
	CHECK(!hs_fdreg(25));
	CHECK(!hs_fdreg_pair(22, 23));
	/* Nobody has the other end of these two. */
	CHECK(!pipe(p));
	at(26, p[0]);
	CHECK(write(p[1], "rest", 4) == 4);
	CHECK(!close(p[1]));
	CHECK(!hs_fdreg(26));
	CHECK(!pipe(p));
	at(27, p[1]);
	CHECK(!close(p[0]));
	CHECK(!hs_fdreg(27));
}

static void look_pipe(void)
{
	struct pollfd nobody = { .fd = 27, .events = POLLOUT };
	static char big[60000];
	char buf[16];

	CHECK(read(26, buf, sizeof(buf)) == 4 && !memcmp(buf, "rest", 4));
	CHECK(!read(26, buf, sizeof(buf)));
	CHECK(poll(&nobody, 1, 0) == 1 && nobody.revents & POLLERR);
	CHECK(fcntl(20, F_GETPIPE_SZ) == 1 << 18);
	CHECK(read(21, big, sizeof(big)) == 50003);
	CHECK(big[0] == 'a' && !memcmp(big + 50000, "end", 3));
	CHECK(read(21, big, 1) < 0 && errno == EAGAIN);
	CHECK(write(20, "more", 4) == 4);
	CHECK(read(25, buf, sizeof(buf)) == 4);
	CHECK(read(23, buf, sizeof(buf)) == 5 && !memcmp(buf, "to 23", 5));
	CHECK(read(22, buf, sizeof(buf)) == 6 && !memcmp(buf, "to 22!", 6));
	CHECK(write(22, "x", 1) == 1);
	CHECK(read(23, buf, sizeof(buf)) == 1);
	close(20);
	CHECK(read(21, buf, 1) == 0);
}

/*
 * Those without a name
 */

static void make_anon(void)
{
	struct itimerspec often = { { 1000, 0 }, { 500, 0 } };
	struct itimerspec day = { .it_value = { .tv_nsec = 5 } };
	struct itimerspec soon = { .it_value = { .tv_nsec = 1 } };
	struct itimerspec stopped = { .it_interval = { .tv_sec = 3 } };
	sigset_t set;
	int fd;

	at(20, eventfd(7, EFD_NONBLOCK));
	at(21, eventfd(3, EFD_SEMAPHORE));
	at(22, timerfd_create(CLOCK_MONOTONIC, 0));
	CHECK(!timerfd_settime(22, 0, &often, NULL));
	at(23, timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
	day.it_value.tv_sec = time(NULL) + 10000;
	CHECK(!timerfd_settime(23, TFD_TIMER_ABSTIME, &day, NULL));
	at(24, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	CHECK(!timerfd_settime(24, 0, &soon, NULL));
	CHECK(poll(&(struct pollfd) { 24, POLLIN, 0 }, 1, 1000) == 1);
	at(26, timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK));
	at(27, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	CHECK(!timerfd_settime(27, 0, &stopped, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMAX);
	at(25, signalfd(-1, &set, SFD_NONBLOCK));
	CHECK(!hs_fdreg_eventfd(20, 0));
	CHECK(!hs_fdreg_eventfd(21, EFD_SEMAPHORE));
	for (fd = 22; fd <= 27; fd++)
		CHECK(!hs_fdreg(fd));
}

static void look_anon(void)
{
	struct signalfd_siginfo info;
	struct itimerspec t;
	sigset_t set;
	uint64_t n;

	CHECK(read(20, &n, 8) == 8 && n == 7);
	CHECK(read(20, &n, 8) < 0 && errno == EAGAIN);
	CHECK(read(21, &n, 8) == 8 && n == 1);
	CHECK(read(21, &n, 8) == 8 && n == 1);
	CHECK(!timerfd_gettime(22, &t));
	CHECK(t.it_interval.tv_sec == 1000 && t.it_value.tv_sec > 400 && t.it_value.tv_sec < 500);
	CHECK(!timerfd_gettime(23, &t));
	CHECK(t.it_value.tv_sec > 9900 && t.it_value.tv_sec <= 10000);
	CHECK(read(24, &n, 8) == 8 && n == 1);
	CHECK(!timerfd_gettime(26, &t) && !t.it_value.tv_sec && !t.it_value.tv_nsec);
	CHECK(!timerfd_gettime(27, &t) && !t.it_value.tv_sec && !t.it_value.tv_nsec);
	CHECK(t.it_interval.tv_sec == 3);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR2);
	CHECK(read(25, &info, sizeof(info)) < 0 && errno == EAGAIN);
	raise(SIGRTMAX);
	CHECK(read(25, &info, sizeof(info)) == sizeof(info));
	CHECK(info.ssi_signo == (uint32_t)SIGRTMAX);
}

static void make_epoll(void)
{
	struct epoll_event in = { .events = EPOLLIN, .data.u64 = 0xfedcba9876543210 };
	struct epoll_event out = { .events = EPOLLOUT | EPOLLET, .data.u64 = 1ULL << 63 };
	int p[2];

	CHECK(!pipe(p));
	at(21, p[0]);
	at(22, p[1]);
	at(20, epoll_create1(0));
	at(23, eventfd(0, 0));
	CHECK(!epoll_ctl(20, EPOLL_CTL_ADD, 21, &in));
	CHECK(!epoll_ctl(20, EPOLL_CTL_ADD, 22, &out));
	in.data.u64 = 23;
	CHECK(!epoll_ctl(20, EPOLL_CTL_ADD, 23, &in));
	CHECK(!hs_fdreg(20) && !hs_fdreg(21) && !hs_fdreg(22) && !hs_fdreg_eventfd(23, 0));
}

static void look_epoll(void)
{
	struct epoll_event v[4];
	uint64_t one = 1;

	CHECK(epoll_wait(20, v, 4, 0) == 1 && v[0].data.u64 == 1ULL << 63);
	CHECK(epoll_wait(20, v, 4, 0) == 0);		/* once, by EPOLLET */
	CHECK(write(22, "x", 1) == 1);
	CHECK(epoll_wait(20, v, 4, 0) >= 1 && v[0].data.u64 == 0xfedcba9876543210);
	CHECK(write(23, &one, 8) == 8);
	CHECK(epoll_wait(20, v, 4, 0) >= 2);
	CHECK(!epoll_ctl(20, EPOLL_CTL_DEL, 23, NULL));
	CHECK(epoll_ctl(20, EPOLL_CTL_DEL, 23, NULL) < 0 && errno == ENOENT);
}

static const struct scene scenes[] = {
	{ "file", make_file, look_file }, { "udp", make_udp, look_udp },
	{ "listen", make_listen, look_listen }, { "inet6", make_inet6, look_inet6 },
	{ "pipe", make_pipe, look_pipe }, { "anon", make_anon, look_anon },
	{ "epoll", make_epoll, look_epoll },
};

/*
 * From one process to the next
 */

static void save(void)
{
	struct hs_error e = { "" };
	struct json_object *json;
	struct hs_fds list;
	const char *text;

	if (hs_fds_capture(&list, &e)) {
		fprintf(stderr, "# %s\n", e.text);
		_exit(1);
	}
	json = hs_fds_json(&list);
	text = json_object_to_json_string(json);
	at(SAVED_FD, memfd_create("saved", 0));
	CHECK(write(SAVED_FD, text, strlen(text)) == (ssize_t)strlen(text));
	json_object_put(json);
	hs_fds_free(&list);
}

static char *saved_text(int fd)
{
	off_t len = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)len + 1);

	CHECK(text && pread(fd, text, (size_t)len, 0) == len);
	return text;
}

static int go_on(const char *name)
{
	struct hs_error e = { "" };
	struct json_object *json;
	struct hs_fds list;
	char *text = saved_text(SAVED_FD);
	int low, open_now;
	size_t i;

	json = json_tokener_parse(text);
	if (hs_fds_parse(&list, json, &e) || hs_fds_restore(&list, &e)) {
		fprintf(stderr, "# %s\n", e.text);
		return 1;
	}
	json_object_put(json);
	free(text);
	/* Nothing but those, and nothing of how they were made. */
	for (low = 3, open_now = 0; low < 200; low++)
		open_now += fcntl(low, F_GETFD) >= 0;
	CHECK((uint32_t)open_now == list.nr + 1);
	for (i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		if (!strcmp(scenes[i].name, name))
			scenes[i].look();
	hs_fds_adopt(&list);
	/* They are registered, so the next checkpoint has them. */
	close(SAVED_FD);
	CHECK(hs_fdreg(20) < 0 && errno == EEXIST);
	return 0;
}

static void play(const char *name)
{
	const struct scene *s = scenes;
	int status, fd;
	pid_t pid;

	while (strcmp(s->name, name))
		s++;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		for (fd = 3; fd < 200; fd++)
			close(fd);
		s->make();
		save();
		for (fd = 3; fd < SAVED_FD; fd++)
			close(fd);
		execl("/proc/self/exe", "fd_test", "--go-on", s->name, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Forbidden in some containers. */
static bool has_kcmp(void)
{
	pid_t pid = getpid();

	return syscall(SYS_kcmp, pid, pid, 0, 0, 0) >= 0;
}

static bool has_inet6(void)
{
	const struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool has = fd >= 0 && !bind(fd, (const struct sockaddr *)&in6, sizeof(in6));

	close(fd);
	return has;
}

static void files_come_back(void **state)
{
	(void)state;
	if (!has_kcmp())
		skip();
	play("file");
}

static void datagram_sockets_come_back(void **state)
{
	(void)state;
	play("udp");
}

static void listening_sockets_come_back(void **state)
{
	(void)state;
	play("listen");
}

static void sockets_of_ipv6_come_back(void **state)
{
	(void)state;
	if (!has_inet6())
		skip();
	play("inet6");
}

static void pipes_come_back_with_what_is_in_them(void **state)
{
	(void)state;
	play("pipe");
}

static void events_timers_and_signals_come_back(void **state)
{
	(void)state;
	play("anon");
}

static void an_epoll_set_comes_back_whole(void **state)
{
	(void)state;
	play("epoll");
}

/*
 * Timers that fire while they are saved
 */

#define ROUNDS		1000
#define ONCE_NS		400000		/* from now on */
#define AIM_NS		60000		/* the cut comes at most so long before */
#define LATE_NS		1000000		/* an interrupt may be, and isn't waited for longer */

/* Processors are tried in turn. Where there is one alone it's that. */
static void go_to_cpu(unsigned int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(n % (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static bool is_set(const struct timespec *t)
{
	return t->tv_sec || t->tv_nsec;
}

/* It has fired, or it will: either, and not both. @again: after a second once more. */
static bool fires_once(const struct hs_fd_timer *t, bool again)
{
	bool fired = again ? t->value.it_value.tv_sec || t->value.it_value.tv_nsec > ONCE_NS :
		!is_set(&t->value.it_value);

	if (again && !is_set(&t->value.it_value))
		return false;
	return t->ticks == fired;
}

/* At the moment at which the timer fires on another processor, or about then. */
static void cut_when_it_fires(unsigned int round, bool again, unsigned int *lost)
{
	struct itimerspec value = { .it_interval.tv_sec = again };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct hs_error e = { "" };
	struct hs_fds list;
	uint64_t due;

	assert_int_equal(hs_fdreg(fd), 0);
	go_to_cpu(round);
	due = hs_now_ns() + ONCE_NS;
	value.it_value.tv_sec = due / 1000000000;
	value.it_value.tv_nsec = due % 1000000000;
	assert_int_equal(timerfd_settime(fd, TFD_TIMER_ABSTIME, &value, NULL), 0);
	go_to_cpu(round + 1);
	while (hs_now_ns() < due - round * 7919 % AIM_NS)
		;
	assert_int_equal(hs_fds_capture(&list, &e), 0);
	assert_int_equal(poll(&(struct pollfd) { fd, POLLIN, 0 }, 1, 10000), 1);
	/* Here other processors may stand still for long. */
	if (!fires_once(&list.v[0].timer, again) && hs_now_ns() < due + LATE_NS)
		(*lost)++;
	hs_fds_free(&list);
	assert_int_equal(hs_fd_deregister(fd), 0);
	close(fd);
}

static void timers_that_fire_at_the_cut_fire_once(void **state)
{
	unsigned int i, once = 0, again = 0;
	cpu_set_t before;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	for (i = 0; i < ROUNDS; i++) {
		cut_when_it_fires(i, false, &once);
		cut_when_it_fires(i, true, &again);
	}
	sched_setaffinity(0, sizeof(before), &before);
	printf("# of %d each: %u that fire once and %u periodic ones wrong\n", ROUNDS, once, again);
	assert_int_equal(once + again, 0);
}

/*
 * By how much a time of day was moved, while a timer was waited for that may be about to fire:
 * this one is stopped, but has an interval, for which a cut has the longest patience.
 */
static int64_t time_of_day_moved(void)
{
	struct itimerspec day = { .it_value = { .tv_sec = time(NULL) + 10000 } };
	struct itimerspec stopped = { .it_interval.tv_sec = 3 };
	int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC);
	int waited = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct hs_error e = { "" };
	const struct timespec *t;
	struct hs_fds list;
	int64_t moved;

	assert_int_equal(timerfd_settime(fd, TFD_TIMER_ABSTIME, &day, NULL), 0);
	assert_int_equal(timerfd_settime(waited, 0, &stopped, NULL), 0);
	assert_int_equal(hs_fdreg(fd), 0);
	assert_int_equal(hs_fdreg(waited), 0);
	assert_int_equal(hs_fds_capture(&list, &e), 0);
	t = &list.v[0].timer.value.it_value;
	moved = (t->tv_sec - day.it_value.tv_sec) * 1000000000LL + t->tv_nsec;
	hs_fds_free(&list);
	assert_int_equal(hs_fd_deregister(waited), 0);
	assert_int_equal(hs_fd_deregister(fd), 0);
	close(waited);
	close(fd);
	return moved;
}

static void a_time_of_day_stays_while_another_timer_is_waited_for(void **state)
{
	int64_t moved, least = INT64_MAX;
	unsigned int i;

	(void)state;
	/* It may be held up between two calls; a mistake moves it each time. */
	for (i = 0; i < 5; i++) {
		moved = time_of_day_moved();
		least = moved < least ? moved : least;
	}
	printf("# moved by at least %lld us\n", (long long)least / 1000);
	assert_true(least > -20000000 && least < 20000000);
}

/*
 * What can't be
 */

static void assert_refused(int ret, int err)
{
	assert_int_equal(ret, -1);
	assert_int_equal(errno, err);
}

static void what_cannot_be_saved_is_refused(void **state)
{
	struct hs_fd_address a = { .len = sizeof(a.addr) };
	struct sockaddr_in in = { .sin_family = AF_INET };
	int s = socket(AF_INET, SOCK_STREAM, 0), c, p[2];

	(void)state;
	assert_refused(hs_fdreg(1000), EBADF);
	assert_refused(hs_fdreg(-1), EBADF);
	assert_refused(hs_fdreg(s), ENOTCONN);
	assert_refused(hs_fdreg_socktcp4_listen(s), ENOTCONN);
	assert_refused(hs_fdreg_sockudp4(s, 8), EINVAL);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(s, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(s, 1), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&a.addr, &a.len), 0);
	assert_refused(hs_fdreg_sockudp4(s, 0), EPROTOTYPE);
	assert_refused(hs_fdreg_filefd(s, "/etc/passwd"), EPROTOTYPE);
	assert_refused(hs_fdreg_eventfd(s, 0), EPROTOTYPE);
	assert_refused(hs_fdreg_pair(s, s), ENOTCONN);
	c = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(c, (struct sockaddr *)&a.addr, a.len), 0);
	assert_refused(hs_fdreg_socktcp4_listen(c), EISCONN);
	assert_int_equal(hs_fdreg(s), 0);
	assert_refused(hs_fdreg(s), EEXIST);
	assert_int_equal(hs_fd_deregister(s), 0);
	assert_refused(hs_fd_deregister(s), ENOENT);
	close(c);
	close(s);
	s = memfd_create("x", 0);
	assert_refused(hs_fdreg(s), ENOENT);
	assert_refused(hs_fdreg_filefd(s, NULL), EINVAL);
	assert_refused(hs_fdreg_filefd(s, "/nonexistent/x"), ENOENT);
	close(s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, p), 0);
	assert_int_equal(hs_fdreg_pair(p[0], p[1]), 0);
	assert_refused(hs_fdreg_pair(p[1], p[0]), EEXIST);
	assert_int_equal(hs_fd_deregister(p[0]), 0);
	/* Neither of them if one can't be. */
	assert_refused(hs_fdreg_pair(p[0], p[1]), EEXIST);
	assert_refused(hs_fd_deregister(p[0]), ENOENT);
	assert_int_equal(hs_fd_deregister(p[1]), 0);
	close(p[0]);
	close(p[1]);
}

static void assert_not_captured(int err, const char *words)
{
	struct hs_error e = { "" };
	struct hs_fds list;

	assert_int_equal(hs_fds_capture(&list, &e), -1);
	assert_int_equal(errno, err);
	assert_non_null(strstr(e.text, words));
}

static void send_descriptor(int to, int fd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { .align = {
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	} };
	char byte = 'x';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	assert_int_equal(sendmsg(to, &msg, 0), 1);
}

static void what_is_wrong_at_the_cut_is_told(void **state)
{
	struct epoll_event in = { .events = EPOLLIN };
	int p[2], q[2], set;

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(hs_fdreg(p[0]), 0);
	assert_not_captured(EPIPE, "the other end of this pipe isn't registered");
	assert_int_equal(hs_fdreg(p[1]), 0);
	set = epoll_create1(0);
	assert_int_equal(pipe(q), 0);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, q[0], &in), 0);
	assert_int_equal(hs_fdreg(set), 0);
	assert_not_captured(ENOENT, "which isn't registered");
	assert_int_equal(hs_fd_deregister(set), 0);
	/* Another thing has its number now. */
	dup2(q[0], p[0]);
	assert_not_captured(EBADF, "is another object now");
	close(p[0]);
	assert_not_captured(EBADF, "was closed");
	assert_int_equal(hs_fd_deregister(p[0]), 0);
	assert_int_equal(hs_fd_deregister(p[1]), 0);
	close(p[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, p), 0);
	assert_int_equal(hs_fdreg_pair(p[0], p[1]), 0);
	assert_int_equal(write(p[0], "x", 1), 1);
	assert_not_captured(EBUSY, "a message waits in it");
	assert_int_equal(hs_fd_deregister(p[0]), 0);
	assert_int_equal(hs_fd_deregister(p[1]), 0);
	close(p[0]);
	close(p[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	assert_int_equal(hs_fdreg_pair(p[0], p[1]), 0);
	send_descriptor(p[0], q[0]);
	assert_not_captured(EBUSY, "a descriptor waits in it");
	assert_int_equal(hs_fd_deregister(p[0]), 0);
	assert_int_equal(hs_fd_deregister(p[1]), 0);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
	close(set);
}

static void a_file_that_is_missing_or_changed_is_noticed(void **state)
{
	struct hs_error e = { "" };
	struct hs_fds list;
	int fd = open(FILE_PATH, O_RDWR | O_CREAT | O_TRUNC, 0600), before;

	(void)state;
	assert_int_equal(write(fd, "abc", 3), 3);
	assert_int_equal(hs_fdreg(fd), 0);
	assert_int_equal(hs_fds_capture(&list, &e), 0);
	assert_int_equal(hs_fds_restore(&list, &e), 0);
	assert_false(list.v[0].file.changed);
	assert_int_equal(write(fd, "def", 3), 3);
	assert_int_equal(hs_fds_restore(&list, &e), 0);
	assert_true(list.v[0].file.changed);
	before = (int)lseek(fd, 1, SEEK_SET);
	assert_int_equal(hs_fds_missing(&list, &e), 0);
	unlink(FILE_PATH);
	assert_int_equal(hs_fds_missing(&list, &e), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(e.text, FILE_PATH));
	assert_int_equal(hs_fds_restore(&list, &e), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(e.text, FILE_PATH));
	/* Nothing has changed. */
	assert_int_equal(lseek(fd, 0, SEEK_CUR), before);
	hs_fds_free(&list);
	assert_int_equal(hs_fd_deregister(fd), 0);
	close(fd);
}

/* A text with all kinds, of which each byte is altered in turn. */
static const char *const sample =
	"[{\"fd\":3,\"kind\":\"file\",\"what\":0,\"flags\":32770,\"cloexec\":true,\"path\":\"/a\","
	"\"named\":false,\"offset\":5,\"bytes\":9,\"mtime\":[1,2],\"device\":7,\"inode\":8,"
	"\"boot\":\"0-1\"},"
	"{\"fd\":4,\"kind\":\"socket\",\"what\":7,\"flags\":2,\"cloexec\":false,\"family\":\"inet\","
	"\"type\":\"dgram\",\"protocol\":17,\"reuse_addr\":false,\"reuse_port\":false,"
	"\"v6_only\":false,\"broadcast\":false,\"name\":{\"address\":\"1.2.3.4\",\"port\":5}},"
	"{\"fd\":5,\"kind\":\"socket\",\"what\":7,\"flags\":2,\"cloexec\":false,\"family\":\"unix\","
	"\"type\":\"stream\",\"protocol\":0,\"backlog\":4,\"reuse_addr\":false,\"reuse_port\":false,"
	"\"v6_only\":false,\"broadcast\":false,\"name\":{\"name\":\"2f61\"}},"
	"{\"fd\":6,\"kind\":\"pipe\",\"what\":0,\"flags\":0,\"cloexec\":false,\"other\":7,"
	"\"size\":65536,\"waiting\":\"616263\"},"
	"{\"fd\":7,\"kind\":\"pipe\",\"what\":0,\"flags\":1,\"cloexec\":false,\"other\":6,"
	"\"size\":65536,\"waiting\":\"\"},"
	"{\"fd\":8,\"kind\":\"eventfd\",\"what\":0,\"flags\":2,\"cloexec\":false,\"count\":1,"
	"\"semaphore\":false},"
	"{\"fd\":9,\"kind\":\"timerfd\",\"what\":0,\"flags\":2,\"cloexec\":false,\"clock\":1,"
	"\"set_flags\":0,\"ticks\":0,\"value\":[1,0],\"interval\":[0,0]},"
	"{\"fd\":10,\"kind\":\"signalfd\",\"what\":0,\"flags\":2,\"cloexec\":false,\"signals\":[1,9]},"
	"{\"fd\":11,\"kind\":\"epoll\",\"what\":0,\"flags\":2,\"cloexec\":false,\"set\":[{\"fd\":6,"
	"\"events\":1,\"data\":6}]},"
	"{\"fd\":12,\"kind\":\"eventfd\",\"what\":0,\"flags\":2,\"cloexec\":false,\"same_as\":8,"
	"\"count\":1,\"semaphore\":false}]";

static int parse_text(const char *text)
{
	struct json_object *json = json_tokener_parse(text);
	struct hs_error e = { "" };
	struct hs_fds list;
	int ret = hs_fds_parse(&list, json, &e);

	if (ret)
		assert_true(errno == EBADMSG && e.text[0]);
	else
		hs_fds_free(&list);
	json_object_put(json);
	return ret;
}

static void nonsense_is_refused(void **state)
{
	static const char bytes[] = "\"{}[]:,0-9e.xnt ";
	static const char *const wrong[] = {
		"{}", "3", "null", "[3]", "[{}]", "[{\"fd\":3}]",
	};
	char *text = strdup(sample);
	size_t i, j, good = 0;

	(void)state;
	assert_int_equal(parse_text(sample), 0);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(parse_text(wrong[i]), -1);
	/* Neither crash nor leak; some are as good as before. */
	for (i = 0; text[i]; i++) {
		for (j = 0; j < sizeof(bytes) - 1; j++) {
			text[i] = bytes[j];
			good += !parse_text(text);
		}
		text[i] = sample[i];
	}
	assert_true(good < strlen(text) * 6);
	free(text);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_come_back),
		cmocka_unit_test(datagram_sockets_come_back),
		cmocka_unit_test(listening_sockets_come_back),
		cmocka_unit_test(sockets_of_ipv6_come_back),
		cmocka_unit_test(pipes_come_back_with_what_is_in_them),
		cmocka_unit_test(events_timers_and_signals_come_back),
		cmocka_unit_test(an_epoll_set_comes_back_whole),
		cmocka_unit_test(timers_that_fire_at_the_cut_fire_once),
		cmocka_unit_test(a_time_of_day_stays_while_another_timer_is_waited_for),
		cmocka_unit_test(what_cannot_be_saved_is_refused),
		cmocka_unit_test(what_is_wrong_at_the_cut_is_told),
		cmocka_unit_test(a_file_that_is_missing_or_changed_is_noticed),
		cmocka_unit_test(nonsense_is_refused),
	};

	char dir[] = "/tmp/hotspare-fd-test.XXXXXX";
	int ret;

	if (argc == 3 && !strcmp(argv[1], "--go-on"))
		return go_on(argv[2]);
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	own_network();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
