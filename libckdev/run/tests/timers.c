// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A program with POSIX timers, and a ledger of what has expired: periodic ones with a signal for the
 * process, for a thread, and by SIGEV_THREAD; a chain of single ones, each of which sets the next; one of
 * processor time; one whose overruns are known. An expiration that is lost or comes twice is told and
 * ends it. At the end it prints the same each time.
 *
 * The clock of the ledger is a timer without notification, that is set for days: it stands still
 * when the others do.
 *
 * timers [MS]	how long, on that clock (600)
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MS		1000000LL
#define DAYS		(1000000 * 1000 * MS)
#define CHAIN		(7 * MS)
#define OVERRUNS	2
/*
 * A timer is read as exactly as the tracer is kept from the processor: on a busy machine it may go on so much
 * later than another one. An expiration that is lost is more than that.
 */
#define LATE		(50 * MS)
#define SIG(n)		(SIGRTMIN + (n))

/* A timer with an interval: @count has all that has expired since @start. */
struct watched {
	const char *name;
	timer_t id;
	int sig;
	int64_t interval, start;
	volatile long count;
};

static struct watched process = { .name = "process", .interval = 2 * LATE + 20 * MS };
static struct watched thread = { .name = "thread", .interval = 2 * LATE + 30 * MS };
static timer_t reference, chain, cpu, known;
static volatile long links, cpu_ticks;
static atomic_long calls;
static atomic_bool over;
static int64_t known_start, known_left;

__attribute__((noreturn))
static void wrong(const char *what, const char *name, long is)
{
	printf("WRONG: %s: %s (%ld)\n", name, what, is);
	fflush(stdout);
	_exit(1);
}

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t left_of(timer_t id)
{
	struct itimerspec t;

	if (timer_gettime(id, &t))
		wrong("timer_gettime", "a timer", errno);
	return ns_of(t.it_value);
}

static int64_t running(void)
{
	return DAYS - left_of(reference);
}

static void set(timer_t id, int flags, int64_t value, int64_t interval)
{
	const struct itimerspec t = {
		.it_value = { value / 1000000000, value % 1000000000 },
		.it_interval = { interval / 1000000000, interval % 1000000000 },
	};

	if (timer_settime(id, flags, &t, NULL))
		wrong("timer_settime", "a timer", errno);
}

static timer_t make(clockid_t clock, int notify, int sig, const void *value)
{
	struct sigevent e = { .sigev_notify = notify, .sigev_signo = sig };
	timer_t id;

	e.sigev_value.sival_ptr = (void *)value;
	if (notify == SIGEV_THREAD_ID)
		e._sigev_un._tid = gettid();
	if (timer_create(clock, &e, &id))
		wrong("timer_create", "a timer", errno);
	return id;
}

static bool waits(int sig)
{
	sigset_t set_of;

	sigpending(&set_of);
	return sigismember(&set_of, sig);
}

/* The time that is left of a timer, and when that is, unless something came between. */
static bool look(timer_t id, int64_t *left, int64_t *at)
{
	*at = running();
	*left = left_of(id);
	return running() - *at < MS;
}

/*
 * Its signal is blocked. As long as none waits, what has expired and what is left are the time that
 * has passed.
 */
static void check_watched(const struct watched *w)
{
	int64_t at, left, off;
	int i;

	for (i = 0; i < 100 && !waits(w->sig); i++) {
		if (!look(w->id, &left, &at) || waits(w->sig))
			continue;
		off = at - w->start - (w->count + 1) * w->interval + left;
		if (off > LATE)
			wrong("expirations are lost, microseconds", w->name, (long)(off / 1000));
		if (off < -LATE)
			wrong("expired twice, microseconds", w->name, (long)(off / 1000));
		return;
	}
}

static void count(struct watched *w, const siginfo_t *info)
{
	if (info->si_code != SI_TIMER || info->si_value.sival_ptr != w)
		wrong("a signal of something else", w->name, info->si_code);
	if (timer_getoverrun(w->id) != info->si_overrun)
		wrong("timer_getoverrun", w->name, timer_getoverrun(w->id));
	w->count += 1 + info->si_overrun;
}

static void on_process(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	count(&process, info);
}

static void on_chain(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_value.sival_ptr != &chain || left_of(chain))
		wrong("a single one has expired twice", "chain", links);
	links++;
	set(chain, 0, CHAIN, 0);
}

static void on_cpu(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	cpu_ticks++;
}

static void on_call(union sigval value)
{
	if (value.sival_ptr != &calls)
		wrong("another value", "call", 0);
	calls++;
}

static void *wait_for_timer(void *arg)
{
	sigset_t only;
	siginfo_t info;

	(void)arg;
	sigemptyset(&only);
	sigaddset(&only, thread.sig);
	thread.id = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, thread.sig, &thread);
	thread.start = running();
	set(thread.id, 0, thread.interval, thread.interval);
	while (!over) {
		if (sigwaitinfo(&only, &info) != thread.sig)
			continue;
		count(&thread, &info);
		check_watched(&thread);
	}
	return NULL;
}

/* Set to a time that is over: what has passed since is counted as overruns. */
static void begin_known(int64_t now)
{
	const struct timespec moment = { .tv_sec = 10 };
	const int64_t interval = now / (OVERRUNS + 1);
	sigset_t only;

	sigemptyset(&only);
	sigaddset(&only, SIG(4));
	known = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIG(4), NULL);
	set(known, TIMER_ABSTIME, now - OVERRUNS * interval - interval / 2, interval);
	if (sigtimedwait(&only, NULL, &moment) != SIG(4) || timer_getoverrun(known) != OVERRUNS)
		wrong("overruns at the beginning", "known", timer_getoverrun(known));
	while (!look(known, &known_left, &known_start))
		;
}

static void check_known(void)
{
	int64_t at, left, off;

	if (!known_left)
		return;
	if (timer_getoverrun(known) != OVERRUNS)
		wrong("overruns", "known", timer_getoverrun(known));
	if (!look(known, &left, &at))
		return;
	off = at - known_start + left - known_left;
	if (off > LATE || off < -LATE)
		wrong("what is left, microseconds", "known", (long)(off / 1000));
}

static void check_chain(void)
{
	if (!waits(SIG(2)) && !left_of(chain) && !waits(SIG(2)))
		wrong("a single one is lost", "chain", links);
}

static void begin(void)
{
	const int64_t day = 86400 * 1000 * MS;
	struct sigevent by_thread = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_call };
	struct timespec now;
	timer_t id;
	int i;

	for (i = 0; i < 5; i++)
		timer_delete(make(CLOCK_MONOTONIC, SIGEV_NONE, 0, NULL));
	reference = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, NULL);
	set(reference, 0, DAYS, 0);
	make(CLOCK_BOOTTIME, SIGEV_SIGNAL, SIGUSR1, NULL);
	process.id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, process.sig, &process);
	process.start = running();
	set(process.id, 0, process.interval, process.interval);
	chain = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIG(2), &chain);
	set(chain, 0, CHAIN, 0);
	cpu = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIG(3), NULL);
	set(cpu, 0, 10 * MS, 10 * MS);
	by_thread.sigev_value.sival_ptr = &calls;
	if (timer_create(CLOCK_REALTIME, &by_thread, &id))
		wrong("timer_create", "call", errno);
	set(id, 0, 25 * MS, 25 * MS);
	clock_gettime(CLOCK_MONOTONIC, &now);
	/* A host that was booted a moment ago has no past. */
	if (ns_of(now) > day / 24)
		begin_known(ns_of(now));
}

static void set_signals(sigset_t *ours)
{
	void (*const handler[])(int, siginfo_t *, void *) = { on_process, NULL, on_chain, on_cpu };
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_RESTART };
	int i;

	process.sig = SIG(0);
	thread.sig = SIG(1);
	sigemptyset(ours);
	for (i = 0; i < 5; i++) {
		sigaddset(ours, SIG(i));
		action.sa_sigaction = i < 4 ? handler[i] : NULL;
		if (action.sa_sigaction)
			sigaction(SIG(i), &action, NULL);
	}
	pthread_sigmask(SIG_BLOCK, ours, NULL);
	sigdelset(ours, thread.sig);
	sigdelset(ours, SIG(4));
}

/* All of them still do. */
static void see_more(void)
{
	const long was_calls = calls, was_ticks = cpu_ticks, was_links = links, was = process.count;

	while (calls < was_calls + 2 || links < was_links + 2 || process.count < was + 2)
		usleep(1000);
	while (cpu_ticks < was_ticks + 2)
		;
}

int main(int argc, char **argv)
{
	const int64_t end = (argc > 1 ? strtol(argv[1], NULL, 10) : 600) * MS;
	pthread_t waiter;
	sigset_t ours;

	set_signals(&ours);
	begin();
	if (pthread_create(&waiter, NULL, wait_for_timer, NULL))
		return 1;
	while (running() < end) {
		pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
		usleep(1000);
		pthread_sigmask(SIG_BLOCK, &ours, NULL);
		check_watched(&process);
		check_chain();
		check_known();
	}
	pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
	see_more();
	over = true;
	pthread_join(waiter, NULL);
	puts("timers: none lost, none twice");
	return 0;
}
