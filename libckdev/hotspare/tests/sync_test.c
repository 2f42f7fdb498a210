// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mutexes, condition variables and the like of threads that are gone, and times of a clock that
 * is another one. Programs are this one, which starts itself: threads hold an object or wait for
 * it, a checkpoint is taken, and the program that goes on from there must be able to use it. Each
 * that isn't registered is the control: it must hang or fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../clock.h"
#include "../hotspare.h"
#include "../sync.h"
#include "program.h"

#define CLASS		6
#define HANGS_S		60		/* then alarm(2) ends the program */
#define CONTROL_HANGS_US	250000

struct state {
	union hs_sync_object o;
	pthread_mutex_t beside;		/* of a condition variable; nobody has it at the cut */
	int calls;			/* of a once-control */
	int64_t deadline;		/* ns */
	struct timespec deadline_hs;
};

/* How an object is made, what a thread of the master does with it, and how it is used again. */
struct object {
	const char *name;
	int kind;
	void (*make)(struct state *s);
	void *(*hold)(void *s);		/* a thread, which doesn't end, or which ends having it */
	void (*use)(struct state *s);
	bool control;			/* it can't be used if it isn't registered */
	bool told;
};

/*
 * Threads of the master
 */

static atomic_int ready, in_place;

/* In a call that doesn't return. */
static void now_waits(void)
{
	ready++;
}

static void *stay(void)
{
	in_place++;
	for (;;)
		pause();
	return NULL;
}

static bool sleeps(pid_t tid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	CHECK(f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
	fclose(f);
	return state == 'S';
}

static _Atomic pid_t tids[2];

static struct {
	void *(*hold)(void *s);
	struct state *s;
} job;

static void *thread(void *arg)
{
	*(_Atomic pid_t *)arg = gettid();
	return job.hold(job.s);
}

/* Two that hold it or wait for it. Those that wait sleep when this returns. */
static void start_threads(const struct object *o, struct state *s)
{
	const int nr = o->kind == HSSYNC_COND || o->kind == HSSYNC_SEM ? 2 : 1;
	pthread_t id;
	int i;

	job.hold = o->hold;
	job.s = s;
	for (i = 0; i < nr; i++) {
		CHECK(!pthread_create(&id, NULL, thread, (void *)&tids[i]));
		while (!in_place && ready <= i)
			sched_yield();
		while (!tids[i] || !sleeps(tids[i]))
			sched_yield();
	}
}

/*
 * Mutexes
 */

static void make_mutex_of(struct state *s, int type, int robust, int protocol, int shared)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	CHECK(!pthread_mutexattr_settype(&a, type) && !pthread_mutexattr_setrobust(&a, robust));
	CHECK(!pthread_mutexattr_setprotocol(&a, protocol));
	CHECK(!pthread_mutexattr_setpshared(&a, shared));
	CHECK(!pthread_mutex_init(&s->o.mutex, &a));
}

#define MUTEX(name, type, robust, protocol, shared)					\
	static void make_##name(struct state *s)					\
	{										\
		make_mutex_of(s, PTHREAD_MUTEX_##type, PTHREAD_MUTEX_##robust,		\
			      PTHREAD_PRIO_##protocol, PTHREAD_PROCESS_##shared);	\
	}
MUTEX(normal, NORMAL, STALLED, NONE, PRIVATE)
MUTEX(recursive, RECURSIVE, STALLED, NONE, PRIVATE)
MUTEX(errorcheck, ERRORCHECK, STALLED, NONE, PRIVATE)
MUTEX(adaptive, ADAPTIVE_NP, STALLED, NONE, PRIVATE)
MUTEX(shared, NORMAL, STALLED, NONE, SHARED)
MUTEX(inherit, NORMAL, STALLED, INHERIT, PRIVATE)
MUTEX(robust, NORMAL, ROBUST, NONE, PRIVATE)
MUTEX(robust_inherit, RECURSIVE, ROBUST, INHERIT, SHARED)

static void *hold_mutex(void *arg)
{
	struct state *s = arg;

	CHECK(!pthread_mutex_lock(&s->o.mutex));
	return stay();
}

static void use_mutex(struct state *s)
{
	CHECK(!pthread_mutex_lock(&s->o.mutex) && !pthread_mutex_unlock(&s->o.mutex));
	CHECK(!pthread_mutex_trylock(&s->o.mutex) && !pthread_mutex_unlock(&s->o.mutex));
	CHECK(!pthread_mutex_destroy(&s->o.mutex));
}

static void use_robust(struct state *s)
{
	CHECK(pthread_mutex_lock(&s->o.mutex) == EOWNERDEAD);
	CHECK(!pthread_mutex_consistent(&s->o.mutex) && !pthread_mutex_unlock(&s->o.mutex));
	use_mutex(s);
}

/* Its owner ended, and the next one gave it up: so it stays. */
static void *give_up(void *arg)
{
	struct state *s = arg;

	CHECK(!pthread_mutex_lock(&s->o.mutex));
	return NULL;
}

static void make_given_up(struct state *s)
{
	pthread_t id;

	make_robust(s);
	CHECK(!hs_syncreg(HSSYNC_MUTEX, &s->o));
	CHECK(!pthread_create(&id, NULL, give_up, s) && !pthread_join(id, NULL));
	CHECK(pthread_mutex_lock(&s->o.mutex) == EOWNERDEAD);
	CHECK(!pthread_mutex_unlock(&s->o.mutex));
}

static void use_given_up(struct state *s)
{
	CHECK(pthread_mutex_lock(&s->o.mutex) == ENOTRECOVERABLE);
}

/* With a ceiling, which only threads of real time may have. */
static bool be_of_real_time(void)
{
	const struct sched_param p = { .sched_priority = 1 };

	return !pthread_setschedparam(pthread_self(), SCHED_FIFO, &p);
}

static void make_protect(struct state *s)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	CHECK(!pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_PROTECT));
	CHECK(!pthread_mutexattr_setprioceiling(&a, 10));
	CHECK(!pthread_mutex_init(&s->o.mutex, &a));
}

/* It is another one than when it was registered. */
static void *hold_protect(void *arg)
{
	struct state *s = arg;
	int old;

	CHECK(be_of_real_time());
	CHECK(!pthread_mutex_setprioceiling(&s->o.mutex, 20, &old) && old == 10);
	return hold_mutex(s);
}

static void use_protect(struct state *s)
{
	int ceiling;

	CHECK(be_of_real_time());
	CHECK(!pthread_mutex_getprioceiling(&s->o.mutex, &ceiling) && ceiling == 20);
	use_mutex(s);
}

/*
 * The others
 */

static void make_cond(struct state *s)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	CHECK(!pthread_condattr_setclock(&a, CLOCK_MONOTONIC));
	CHECK(!pthread_cond_init(&s->o.cond, &a));
}

static void *wait_for_cond(void *arg)
{
	struct state *s = arg;

	pthread_mutex_lock(&s->beside);
	now_waits();
	for (;;)
		pthread_cond_wait(&s->o.cond, &s->beside);
	return NULL;
}

static int signalled;

static void *wait_for_signal(void *arg)
{
	struct state *s = arg;

	pthread_mutex_lock(&s->beside);
	ready = 1;
	while (!signalled)
		pthread_cond_wait(&s->o.cond, &s->beside);
	pthread_mutex_unlock(&s->beside);
	return NULL;
}

/* One signal wakes the one that waits, each time. */
static void use_cond(struct state *s)
{
	struct timespec soon;
	pthread_t id;
	int i;

	for (i = 0; i < 3; i++) {
		ready = signalled = 0;
		CHECK(!pthread_create(&id, NULL, wait_for_signal, s));
		while (!ready)
			sched_yield();
		pthread_mutex_lock(&s->beside);
		signalled = 1;
		pthread_cond_signal(&s->o.cond);
		pthread_mutex_unlock(&s->beside);
		CHECK(!pthread_join(id, NULL));
	}
	/* By its own clock. */
	clock_gettime(CLOCK_MONOTONIC, &soon);
	pthread_mutex_lock(&s->beside);
	CHECK(pthread_cond_timedwait(&s->o.cond, &s->beside, &soon) == ETIMEDOUT);
	pthread_mutex_unlock(&s->beside);
	CHECK(!pthread_cond_destroy(&s->o.cond) && !pthread_mutex_destroy(&s->beside));
}

static void make_rwlock(struct state *s)
{
	CHECK(!pthread_rwlock_init(&s->o.rwlock, NULL));
	CHECK(!pthread_rwlock_rdlock(&s->o.rwlock) && !pthread_rwlock_unlock(&s->o.rwlock));
}

static void *read_lock(void *arg)
{
	struct state *s = arg;

	CHECK(!pthread_rwlock_rdlock(&s->o.rwlock));
	return stay();
}

static void *write_lock(void *arg)
{
	struct state *s = arg;

	CHECK(!pthread_rwlock_wrlock(&s->o.rwlock));
	return stay();
}

static void use_rwlock(struct state *s)
{
	CHECK(!pthread_rwlock_wrlock(&s->o.rwlock) && !pthread_rwlock_unlock(&s->o.rwlock));
	CHECK(!pthread_rwlock_rdlock(&s->o.rwlock) && !pthread_rwlock_unlock(&s->o.rwlock));
	CHECK(!pthread_rwlock_destroy(&s->o.rwlock));
}

static void make_barrier(struct state *s)
{
	CHECK(!pthread_barrier_init(&s->o.barrier, NULL, 2));
}

static void *wait_for_barrier(void *arg)
{
	struct state *s = arg;

	now_waits();
	pthread_barrier_wait(&s->o.barrier);
	return NULL;
}

static void use_barrier(struct state *s)
{
	pthread_t id;
	int i;

	for (i = 0; i < 3; i++) {
		CHECK(!pthread_create(&id, NULL, wait_for_barrier, s));
		pthread_barrier_wait(&s->o.barrier);
		CHECK(!pthread_join(id, NULL));
	}
	CHECK(!pthread_barrier_destroy(&s->o.barrier));
}

static void make_sem(struct state *s)
{
	CHECK(!sem_init(&s->o.sem, 1, 0));
}

static void *wait_for_sem(void *arg)
{
	struct state *s = arg;

	now_waits();
	sem_wait(&s->o.sem);
	return NULL;
}

static void use_sem(struct state *s)
{
	static const sem_t none;
	int value;

	CHECK(!sem_getvalue(&s->o.sem, &value) && !value);
	/* Nobody is counted but what is given. */
	CHECK(!sem_post(&s->o.sem) && !sem_wait(&s->o.sem) && sem_trywait(&s->o.sem));
	CHECK(!memcmp(&s->o.sem, &none, 8));
	CHECK(!sem_destroy(&s->o.sem));
}

static void make_sem_of_3(struct state *s)
{
	make_sem(s);
	CHECK(!hs_syncreg(HSSYNC_SEM, &s->o));
	CHECK(!sem_post(&s->o.sem) && !sem_post(&s->o.sem) && !sem_post(&s->o.sem));
}

static void use_sem_of_3(struct state *s)
{
	int value;

	CHECK(!sem_getvalue(&s->o.sem, &value) && value == 3);
	CHECK(!sem_wait(&s->o.sem) && !sem_post(&s->o.sem));
}

static struct state *of_once;

static void make_once(struct state *s)
{
	s->o.once = PTHREAD_ONCE_INIT;
}

static void call_for_ever(void)
{
	stay();
}

static void *hold_once(void *arg)
{
	struct state *s = arg;

	pthread_once(&s->o.once, call_for_ever);
	return NULL;
}

static void count_call(void)
{
	of_once->calls++;
}

static void use_once(struct state *s)
{
	of_once = s;
	pthread_once(&s->o.once, count_call);
	pthread_once(&s->o.once, count_call);
	CHECK(s->calls == 1);
}

static void make_once_done(struct state *s)
{
	make_once(s);
	CHECK(!hs_syncreg(HSSYNC_ONCE, &s->o));
	use_once(s);
}

static void make_spin(struct state *s)
{
	CHECK(!pthread_spin_init(&s->o.spin, PTHREAD_PROCESS_PRIVATE));
}

static void *hold_spin(void *arg)
{
	struct state *s = arg;

	CHECK(!pthread_spin_lock(&s->o.spin));
	return stay();
}

static void use_spin(struct state *s)
{
	CHECK(!pthread_spin_lock(&s->o.spin) && !pthread_spin_unlock(&s->o.spin));
}

static const struct object objects[] = {
	{ "normal", HSSYNC_MUTEX, make_normal, hold_mutex, use_mutex, true, true },
	{ "recursive", HSSYNC_MUTEX, make_recursive, hold_mutex, use_mutex, true, true },
	{ "errorcheck", HSSYNC_MUTEX, make_errorcheck, hold_mutex, use_mutex, true, true },
	{ "adaptive", HSSYNC_MUTEX, make_adaptive, hold_mutex, use_mutex, true, true },
	{ "shared", HSSYNC_MUTEX, make_shared, hold_mutex, use_mutex, true, true },
	{ "inherit", HSSYNC_MUTEX, make_inherit, hold_mutex, use_mutex, true, true },
	{ "protect", HSSYNC_MUTEX, make_protect, hold_protect, use_protect, true, true },
	{ "robust", HSSYNC_MUTEX, make_robust, hold_mutex, use_robust, true, false },
	{ "robust-inherit", HSSYNC_MUTEX, make_robust_inherit, hold_mutex, use_robust, true, false },
	{ "given-up", HSSYNC_MUTEX, make_given_up, NULL, use_given_up, false, false },
	{ "free", HSSYNC_MUTEX, make_normal, NULL, use_mutex, false, false },
	{ "cond", HSSYNC_COND, make_cond, wait_for_cond, use_cond, true, false },
	{ "read", HSSYNC_RWLOCK, make_rwlock, read_lock, use_rwlock, true, true },
	{ "write", HSSYNC_RWLOCK, make_rwlock, write_lock, use_rwlock, true, true },
	{ "barrier", HSSYNC_BARRIER, make_barrier, wait_for_barrier, use_barrier, true, false },
	{ "sem", HSSYNC_SEM, make_sem, wait_for_sem, use_sem, true, false },
	{ "sem-of-3", HSSYNC_SEM, make_sem_of_3, NULL, use_sem_of_3, false, false },
	{ "once", HSSYNC_ONCE, make_once, hold_once, use_once, true, false },
	{ "once-done", HSSYNC_ONCE, make_once_done, NULL, use_once, false, false },
	{ "spin", HSSYNC_SPIN, make_spin, hold_spin, use_spin, true, false },
};

#define NR_OBJECTS	(sizeof(objects) / sizeof(objects[0]))

static const struct object *object_of(const char *name)
{
	size_t i;

	for (i = 0; i < NR_OBJECTS; i++)
		if (!strcmp(objects[i].name, name))
			return &objects[i];
	return NULL;
}

/*
 * Time
 */

#define LEFT_NS	5000000000LL		/* until the deadline, at the cut */

static int64_t ns_of(const struct timespec *t)
{
	return t->tv_sec * 1000000000LL + t->tv_nsec;
}

static int64_t now_of(int clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return ns_of(&t);
}

static void look_at_clock(struct state *s)
{
	const int clock = atoi(setting("CLOCK"));
	struct timespec t, raw = s->deadline_hs;
	int64_t left = s->deadline + hs_clock_moved(clock) - now_of(clock);

	/* Nothing passes from the cut to here; what has is what both programs took. */
	CHECK(left > 0 && left <= LEFT_NS);
	CHECK(!hs_clock(clock, &t));
	left = ns_of(&s->deadline_hs) - ns_of(&t);
	CHECK(left > 0 && left <= LEFT_NS && t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
	CHECK(!hs_clock_host(clock, &raw));
	left = ns_of(&raw) - now_of(clock);
	CHECK(left > 0 && left <= LEFT_NS && raw.tv_nsec >= 0 && raw.tv_nsec < 1000000000);
	tell("moved", (unsigned long)(llabs(hs_clock_moved(clock)) / 1000000000));
	/* Raw times are this host's from now on. */
	s->deadline += hs_clock_moved(clock);
	if (*setting("AGAIN"))
		CHECK(!hs_cpt(0));
}

static void set_deadline(struct state *s)
{
	const int clock = atoi(setting("CLOCK"));

	CHECK(!hs_clock_moved(clock));
	s->deadline = now_of(clock) + LEFT_NS;
	CHECK(!hs_clock(clock, &s->deadline_hs));
	CHECK(llabs(ns_of(&s->deadline_hs) - now_of(clock)) < LEFT_NS);
	s->deadline_hs.tv_sec += LEFT_NS / 1000000000;
	CHECK(!hs_cpt(0));
}

/*
 * The program
 */

static void worker(void *arg)
{
	struct state *s = arg;

	if (*setting("CLOCK")) {
		look_at_clock(s);
	} else {
		if (*setting("CONTROL"))
			ualarm(CONTROL_HANGS_US, 0);
		else
			alarm(HANGS_S);
		object_of(setting("OBJECT"))->use(s);
	}
	tell("used", 1);
	exit(0);
}

static void prepare(struct state *s)
{
	const struct object *o = object_of(setting("OBJECT"));

	CHECK(!pthread_mutex_init(&s->beside, NULL));
	o->make(s);
	if (!*setting("CONTROL")) {
		CHECK(!hs_syncreg(HSSYNC_MUTEX, &s->beside));
		CHECK(!hs_syncreg(o->kind, &s->o) || errno == EEXIST);
	}
	if (o->hold)
		start_threads(o, s);
	CHECK(!hs_cpt(0));
}

static int program(int argc, char **argv)
{
	struct state *s;

	open_out();
	dup2(OUT_FD, STDERR_FILENO);
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, 1 << 16));
	s = hs_calloc(CLASS, 1, sizeof(*s));
	CHECK(s && !hs_threadreg(worker, s));
	if (*setting("CLOCK"))
		set_deadline(s);
	else
		prepare(s);
	_exit(0);
}

/*
 * The tests
 */

static bool was_said(const char *out, const char *words)
{
	char line[512];
	FILE *f = fopen(out, "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, words);
	if (f)
		fclose(f);
	return found;
}

/* In a process of its own, since it stays so. */
static bool is_permitted(const struct object *o)
{
	int status;
	pid_t pid;

	if (o->make != make_protect)
		return true;
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(!be_of_real_time());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		printf("# no mutex with a ceiling: real time isn't permitted here\n");
	return !status;
}

static void objects_can_be_used_again(void **state)
{
	char name[64];
	size_t i;

	(void)state;
	for (i = 0; i < NR_OBJECTS; i++) {
		if (!is_permitted(&objects[i]))
			continue;
		snprintf(name, sizeof(name), "OBJECT=%s", objects[i].name);
		assert_int_equal(end_of(start("first", "-m", "-f", "image", name)), 0);
		assert_int_equal(end_of(start("out", "-m", "-r", "image", name)), 0);
		assert_int_equal(last("out", "used"), 1);
		if (was_said("out", "may be half changed") != objects[i].told)
			fail_msg("%s: told, or not told", name);
		assert_int_equal(system("rm -f image out first"), 0);
	}
}

/* So it isn't that they could be used in any case. */
static void without_being_registered_they_cannot(void **state)
{
	char name[64];
	size_t i;

	(void)state;
	for (i = 0; i < NR_OBJECTS; i++) {
		if (!objects[i].control || !is_permitted(&objects[i]))
			continue;
		snprintf(name, sizeof(name), "OBJECT=%s", objects[i].name);
		assert_int_equal(end_of(start("first", "-m", "-f", "image", name, "CONTROL=1")), 0);
		if (!end_of(start("out", "-m", "-r", "image", name, "CONTROL=1")))
			fail_msg("%s can be used", objects[i].name);
		assert_int_equal(system("rm -f image out first"), 0);
	}
}

static void assert_refused(int ret, int err)
{
	assert_int_equal(ret, -1);
	assert_int_equal(errno, err);
}

static void what_cannot_be_registered_is_refused(void **state)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

	(void)state;
	assert_refused(hs_syncreg(-1, &mutex), EINVAL);
	assert_refused(hs_syncreg(HS_SYNC_KINDS, &mutex), EINVAL);
	assert_refused(hs_syncreg(HSSYNC_MUTEX, NULL), EINVAL);
	assert_refused(hs_syncreg(HSSYNC_MUTEX, (char *)&mutex + 1), EINVAL);
	assert_refused(hs_syncdereg(&mutex), ENOENT);
	pthread_mutex_lock(&mutex);
	assert_refused(hs_syncreg(HSSYNC_MUTEX, &mutex), EBUSY);
	pthread_mutex_unlock(&mutex);
	pthread_rwlock_rdlock(&rwlock);
	assert_refused(hs_syncreg(HSSYNC_RWLOCK, &rwlock), EBUSY);
	pthread_rwlock_unlock(&rwlock);
	assert_int_equal(hs_syncreg(HSSYNC_RWLOCK, &rwlock), 0);
	assert_int_equal(hs_syncreg(HSSYNC_MUTEX, &mutex), 0);
	assert_refused(hs_syncreg(HSSYNC_MUTEX, &mutex), EEXIST);
	/* Neither is in memory that is saved. */
	assert_int_equal(hs_cpipe_init(1), 0);
	assert_int_equal(hs_cpipe_loadfile("image"), 0);
	assert_refused(hs_cpt(0), EFAULT);
	assert_non_null(strstr(hs_error(), "isn't in saved memory"));
	assert_int_equal(hs_syncdereg(&mutex), 0);
	assert_int_equal(hs_syncdereg(&rwlock), 0);
	assert_int_equal(hs_cpt(0), 0);
}

static int parse_text(const char *text)
{
	struct json_object *json = json_tokener_parse(text);
	struct hs_error e = { "" };
	struct hs_syncs list;
	int ret = hs_syncs_parse(&list, json, &e);

	if (ret)
		assert_true(errno == EBADMSG && e.text[0]);
	else
		hs_syncs_free(&list);
	json_object_put(json);
	return ret;
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	assert_int_equal(parse_text("[]"), 0);
	assert_int_equal(parse_text("[{\"kind\":\"once\",\"address\":8,\"fresh\":\"00000000\"}]"), 0);
	assert_int_equal(parse_text("null"), -1);
	assert_int_equal(parse_text("[3]"), -1);
	assert_int_equal(parse_text("[{}]"), -1);
	assert_int_equal(parse_text("[{\"kind\":\"once\",\"address\":0,\"fresh\":\"00000000\"}]"), -1);
	assert_int_equal(parse_text("[{\"kind\":\"once\",\"address\":9,\"fresh\":\"00000000\"}]"), -1);
	assert_int_equal(parse_text("[{\"kind\":\"once\",\"address\":8,\"fresh\":\"000000\"}]"), -1);
	assert_int_equal(parse_text("[{\"kind\":\"cond\",\"address\":8,\"fresh\":\"00000000\"}]"), -1);
	assert_int_equal(parse_text("[{\"kind\":\"x\",\"address\":8,\"fresh\":\"00000000\"}]"), -1);
}

/* From here on, children have other clocks. Needs privileges. */
static bool other_clocks(const char *offset)
{
	char text[128];
	int fd, n;

	if (unshare(CLONE_NEWTIME))
		return false;
	n = snprintf(text, sizeof(text), "monotonic %s 0\nboottime %s 0\n", offset, offset);
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)n), n);
	close(fd);
	return true;
}

static int end_of_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static const char *const clock_setting[] = { "CLOCK=1", "CLOCK=7" };

/*
 * On a host of other clocks, which the program sees move by @moved seconds at least, less what this
 * test has taken since @began. Returns 0 if all is well, or 77: they aren't permitted.
 */
static int goes_on_with(const char *offset, const char *out, const char *from, const char *to,
			const char *clock, unsigned long moved, time_t began)
{
	pid_t pid;
	int bad;

	fflush(NULL);
	pid = fork();
	if (pid)
		return end_of_child(pid);
	if (!other_clocks(offset))
		_exit(77);
	bad = end_of(start(out, "-m", "-r", from, "-f", to, clock, "AGAIN=1"));
	_exit(bad || last(out, "moved") + (unsigned long)(time(NULL) - began) < moved);
}

/*
 * One that was started days earlier, and from there one whose clock is days behind that. No clock
 * is behind this host's, which may have been started a moment ago.
 */
static int goes_through_hosts(const char *clock)
{
	const time_t began = time(NULL);
	int bad;

	_Static_assert(CLOCK_MONOTONIC == 1 && CLOCK_BOOTTIME == 7, "as in clock_setting");
	assert_int_equal(end_of(start("first", "-m", "-f", "image", clock)), 0);
	bad = goes_on_with("864000", "second", "image", "image2", clock, 863999, began);
	if (!bad)
		bad = goes_on_with("100", "third", "image2", "image3", clock, 863899, began);
	assert_int_equal(system("rm -f first second third image*"), 0);
	return bad;
}

static void deadlines_are_as_far_as_they_were_on_another_host(void **state)
{
	size_t i;
	int bad;

	(void)state;
	for (i = 0; i < 2; i++) {
		bad = goes_through_hosts(clock_setting[i]);
		/* Then the next test says what can be said. */
		if (bad == 77)
			skip();
		assert_int_equal(bad, 0);
	}
}

/* What is in a checkpoint of a host whose clock is behind or ahead. */
static void a_clock_goes_on_where_it_was(void **state)
{
	const int64_t hour = 3600000000000LL;
	struct hs_clocks c, later;
	struct timespec t, host;
	int64_t before;

	(void)state;
	hs_clocks_capture(&c);
	c.at_cut[0] -= hour;
	c.at_cut[1] += 240 * hour;
	hs_clocks_restore(&c);
	assert_true(hs_clock_moved(CLOCK_MONOTONIC) >= hour);
	assert_true(hs_clock_moved(CLOCK_BOOTTIME) < -239 * hour);
	assert_int_equal(hs_clock(CLOCK_MONOTONIC, &t), 0);
	assert_true(ns_of(&t) >= c.at_cut[0] && ns_of(&t) < c.at_cut[0] + hour / 60);
	/* And once more. */
	hs_clocks_capture(&later);
	later.at_cut[0] -= 2 * hour;
	before = now_of(CLOCK_MONOTONIC);
	hs_clocks_restore(&later);
	assert_true(hs_clock_moved(CLOCK_MONOTONIC) < 2 * hour + hour / 60);
	assert_int_equal(hs_clock(CLOCK_MONOTONIC, &t), 0);
	assert_true(before - ns_of(&t) < 3 * hour + hour / 60 && before - ns_of(&t) > 2 * hour);
	host = t;
	assert_int_equal(hs_clock_host(CLOCK_MONOTONIC, &host), 0);
	assert_true(ns_of(&host) >= before && ns_of(&host) <= now_of(CLOCK_MONOTONIC));
	assert_refused(hs_clock(CLOCK_REALTIME, &t), EINVAL);
	assert_refused(hs_clock(CLOCK_MONOTONIC, NULL), EINVAL);
	assert_refused(hs_clock_host(-1, &t), EINVAL);
	assert_int_equal(hs_clock_moved(CLOCK_REALTIME), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(objects_can_be_used_again, clean),
		cmocka_unit_test_teardown(without_being_registered_they_cannot, clean),
		cmocka_unit_test_teardown(what_cannot_be_registered_is_refused, clean),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test_teardown(deadlines_are_as_far_as_they_were_on_another_host, clean),
		cmocka_unit_test(a_clock_goes_on_where_it_was),
	};
	char dir[] = "/tmp/hotspare-sync-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	snprintf(port, sizeof(port), "%d", own_port());
	/* Without them no program can be restored. */
	if (!fixed_addresses())
		return 4;
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
