// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A program that knows nothing of checkpoints, and keeps a ledger: threads under a lock, a pipe, a
 * timer with a signal on an alternate stack, signals between threads, timerfd, eventfd and epoll,
 * floating point, memory that is mapped, moved and unmapped. A step that is lost or made twice is
 * told and ends it. At the end it prints the same each time.
 *
 * ledger [STEPS [pair]]	STEPS of each thread (300), a millisecond each; a socket pair, not a pipe
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define WORKERS	3
#define PAGES	64

static unsigned long steps = 300;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long count[WORKERS], total;
static __thread unsigned long own;
static int channel[2], event;
static char stack[65536];
static atomic_ulong alarms, poked;
static volatile sig_atomic_t wrong_stack;

__attribute__((noreturn))
static void wrong(const char *what, unsigned long is, unsigned long want)
{
	printf("WRONG: %s: %lu, not %lu\n", what, is, want);
	fflush(stdout);
	_exit(1);
}

static void expect(const char *what, unsigned long is, unsigned long want)
{
	if (is != want)
		wrong(what, is, want);
}

static void on_alarm(int sig)
{
	char here;
	uintptr_t at = (uintptr_t)&here - (uintptr_t)stack;

	(void)sig;
	if (at >= sizeof(stack))
		wrong_stack = 1;
	alarms++;
}

static void on_poke(int sig)
{
	(void)sig;
	poked++;
}

/* Sums of the others' counts are right whenever the lock is held. */
static void *work(void *arg)
{
	unsigned long me = (unsigned long)arg, i;
	double x = 0.1 + (double)me / 100;

	for (i = 1; i <= steps; i++) {
		pthread_mutex_lock(&lock);
		expect("the sum", count[0] + count[1] + count[2], total);
		count[me]++;
		own++;
		usleep(200);
		total++;
		expect("a thread's own", own, i);
		expect("a thread's count", count[me], i);
		pthread_mutex_unlock(&lock);
		x = 3.99 * x * (1 - x);
		usleep(800);
	}
	printf("worker %lu: %lu steps, %.15g\n", me, own, x);
	return NULL;
}

static void *produce(void *arg)
{
	unsigned long i;

	for (i = 0; i < steps * 4; i++) {
		if (write(channel[1], &i, sizeof(i)) != sizeof(i))
			wrong("a write to the pipe", i, 0);
		if (i % 4 == 3)
			usleep(1000);
	}
	close(channel[1]);
	return arg;
}

static void *consume(void *arg)
{
	unsigned long i, next = 0;
	ssize_t n;

	while ((n = read(channel[0], &i, sizeof(i))) == sizeof(i))
		expect("what came by the pipe", i, next++);
	expect("the end of the pipe", (unsigned long)n, 0);
	expect("what came in all", next, steps * 4);
	return arg;
}

/* Each poke is an interruption of a sleep, and an event. */
static void *poke(void *arg)
{
	pthread_t target = *(pthread_t *)arg;
	unsigned long i;
	uint64_t one = 1;

	for (i = 1; i <= steps / 4; i++) {
		pthread_kill(target, SIGUSR1);
		while (poked < i)
			usleep(500);
		expect("signals", poked, i);
		if (write(event, &one, sizeof(one)) != sizeof(one))
			wrong("a write to the eventfd", i, 0);
		usleep(3000);
	}
	return NULL;
}

static void watch(unsigned long *ticks, unsigned long *events, int epoll, int timer)
{
	struct epoll_event e;
	uint64_t n;

	/* Signals interrupt it, nothing else does. */
	if (epoll_wait(epoll, &e, 1, 200) < 0) {
		if (errno != EINTR)
			wrong("epoll_wait", (unsigned long)errno, EINTR);
		return;
	}
	if (e.data.fd == timer && read(timer, &n, sizeof(n)) == sizeof(n))
		*ticks += n;
	else if (e.data.fd == event && read(event, &n, sizeof(n)) == sizeof(n))
		*events += n;
}

static void *see(void *arg)
{
	const struct itimerspec t = { .it_value.tv_nsec = 5000000, .it_interval.tv_nsec = 5000000 };
	int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN, .data.fd = timer };
	unsigned long ticks = 0, events = 0;

	(void)arg;
	timerfd_settime(timer, 0, &t, NULL);
	epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &e);
	e.data.fd = event;
	epoll_ctl(epoll, EPOLL_CTL_ADD, event, &e);
	while (events < steps / 4 || ticks < 20)
		watch(&ticks, &events, epoll, timer);
	expect("events", events, steps / 4);
	printf("events: %lu\n", events);
	return NULL;
}

/* A pattern that tells which step wrote it; the memory grows, moves, and goes. */
static void *map(void *arg)
{
	size_t len = PAGES * 4096UL, i, s;
	unsigned long *p;

	for (s = 1; s <= steps / 10; s++) {
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			wrong("mmap", (unsigned long)errno, 0);
		for (i = 0; i < len / sizeof(*p); i += 64)
			p[i] = i * s;
		p = mremap(p, len, 2 * len, MREMAP_MAYMOVE);
		usleep(4000);
		mprotect(p, len, PROT_READ);
		usleep(4000);
		for (i = 0; i < len / sizeof(*p); i += 64)
			expect("mapped memory", p[i], i * s);
		expect("new memory", p[len / sizeof(*p) + 1], 0);
		munmap(p, 2 * len);
	}
	return arg;
}

static void set_signals(void)
{
	const struct itimerval timer = { { 0, 20000 }, { 0, 20000 } };
	struct sigaction alarm_action = { .sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART };
	struct sigaction poke_action = { .sa_handler = on_poke };
	const stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };

	sigaltstack(&alt, NULL);
	sigaction(SIGALRM, &alarm_action, NULL);
	sigaction(SIGUSR1, &poke_action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

int main(int argc, char **argv)
{
	void *(*const more[])(void *) = { produce, consume, map };
	pthread_t thread[WORKERS + 5];
	sigset_t alarm_only;
	unsigned long i;

	if (argc > 1)
		steps = strtoul(argv[1], NULL, 10);
	event = eventfd(0, EFD_CLOEXEC);
	if ((argc > 2 ? socketpair(AF_UNIX, SOCK_STREAM, 0, channel) : pipe(channel)) || event < 0)
		return 1;
	set_signals();
	/* The timer's signal is for the first thread alone. */
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	for (i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, work, (void *)i);
	for (i = 0; i < 3; i++)
		pthread_create(&thread[WORKERS + i], NULL, more[i], NULL);
	pthread_create(&thread[WORKERS + 3], NULL, see, NULL);
	pthread_create(&thread[WORKERS + 4], NULL, poke, &thread[WORKERS + 3]);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	for (i = 0; i < WORKERS + 5; i++)
		pthread_join(thread[i], NULL);
	while (alarms < 20)
		pause();
	expect("all steps", total, WORKERS * steps);
	expect("handlers on another stack", (unsigned long)wrong_stack, 0);
	printf("ledger: %lu steps, nothing lost, nothing twice\n", total);
	return 0;
}
