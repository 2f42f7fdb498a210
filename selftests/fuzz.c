// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer with a grammar: every call, on every kind of descriptor, right and spoilt, by
 * several processes and threads, while memory is mapped and unmapped, descriptors are
 * closed, processes fork, exec and are killed, and the limits are small.
 *
 * What must hold: each answer is a documented one, a snapshot taken in between is exact,
 * every kind of call works at least sometimes, and in the end nothing is left. What the
 * kernel says meanwhile is looked at by who runs this.
 *
 *   fuzz [-n CALLS] [-s SEED] [-b CALLS of a batch] [-v]
 *
 * The seed decides what each thread does, batch by batch; not how threads meet. With -v
 * each call is in the kernel's log before it is made.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "fuzz/fuzz.h"
#include "kselftest.h"

#define PARAMETERS	"/sys/module/cptdev/parameters/"
#define CONTROL_PAGES	16UL

/* By default: here, where the kernel is built to find errors, and in short. */
#define CALLS		100000UL
#define CALLS_DEBUG	1000000UL
#define CALLS_CHECK	40000UL
#define CALLS_SHORT	20000UL
/* To soak, times: */
#define SOAK		10UL

struct shared *shared;

static char *control_m;
static struct t_image *control_image;
static unsigned long controls, controls_bad, ends_bad, killed;

static struct {
	unsigned long long batch;
	int proc, status;
	char why[sizeof(shared->why[0])];
	struct log log[LOGS];
} bad_end;

static unsigned long number_in(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strtoul(text, NULL, 0);
}

static void set_limit(const char *name, unsigned long mib)
{
	char path[96], text[32];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(text, sizeof(text), "%lu", mib);
	if (t_write_file(path, text))
		ksft_print_msg("%s can't be set\n", path);
}

/*
 * The control: a call that must work, and bytes that must be right
 */

/* With @limited others may hold all that is allowed. */
static bool control(struct thread *t, bool limited)
{
	int fd = t_open(), snap;
	bool good = false;
	size_t i;

	for (i = 0; i < CONTROL_PAGES; i++)
		memset(control_m + i * PAGE, rnd(t, 256), rnd(t, PAGE) + 1);
	if (fd >= 0 && !t_add(fd, control_m, CONTROL_PAGES * PAGE)) {
		snap = t_snapshot(fd, 0, 0, NULL);
		control_image->generation = 0;
		good = snap < 0 ? limited && snap == -EDQUOT :
			!t_image_apply(control_image, snap) &&
			t_image_differs(control_image, control_m) < 0;
		close(snap);
	}
	close(fd);
	controls++;
	controls_bad += !good;
	return good;
}

/*
 * Batches
 */

static pid_t spawn(int proc, unsigned long calls, bool privileged)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		fuzz_process(proc, calls, privileged);
		_exit(0);
	}
	return pid;
}

/* As planned, or killed by us. */
static bool good_end(int status, bool kill_sent)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	return kill_sent && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void print_end(const char *what, unsigned long long batch, int proc, int status,
		      const char *why)
{
	ksft_print_msg("%s: batch %llu, process %d: ", what, batch, proc);
	if (WIFSIGNALED(status))
		printf("signal %d\n", WTERMSIG(status));
	else
		printf("exit %d: %s\n", WEXITSTATUS(status), why);
}

/* The first is kept, with what it did last. */
static void keep_end(int proc, int status)
{
	print_end("a bad end", shared->batch, proc, status, shared->why[proc]);
	if (ends_bad++)
		return;
	bad_end.batch = shared->batch;
	bad_end.proc = proc;
	bad_end.status = status;
	memcpy(bad_end.why, shared->why[proc], sizeof(bad_end.why));
	memcpy(bad_end.log, shared->log[proc], sizeof(bad_end.log));
}

/* Wait for all processes; kill @victim when it has made @after calls. */
static void watch(struct thread *t, pid_t *pid, int victim, unsigned long after)
{
	int left = PROCS, n = 0, i, status;
	bool sent = false;
	pid_t ended;

	/* In the end children of children are ours as well. */
	while ((ended = waitpid(-1, &status, left ? WNOHANG : 0)) >= 0) {
		if (left && n++ % 50 == 0)
			control(t, true);
		if (victim >= 0 && !sent && pid[victim] &&
		    shared->per_process[victim] >= after) {
			sent = !kill(pid[victim], SIGKILL);
			killed++;
		}
		for (i = 0; ended && i < PROCS && pid[i] != ended; i++)
			;
		if (!ended)
			usleep(2000);
		if (!ended || i == PROCS)
			continue;
		kill(-ended, SIGKILL);
		pid[i] = 0;
		left--;
		if (!good_end(status, sent && i == victim))
			keep_end(i, status);
	}
}

static void batch(struct thread *t, unsigned long calls)
{
	static const unsigned long mib[] = { 0, 0, 1, 2, 8 };
	unsigned long each = calls / PROCS + 1;
	int victim = (int)rnd(t, 2 * PROCS) - PROCS, i;
	pid_t pid[PROCS];

	set_limit("held_max_mib", mib[rnd(t, 5)]);
	set_limit("replica_max_mib", mib[rnd(t, 5)]);
	memset(shared->log, 0, sizeof(shared->log));
	memset(shared->why, 0, sizeof(shared->why));
	for (i = 0; i < PROCS; i++) {
		shared->per_process[i] = 0;
		pid[i] = spawn(i, each, i);
	}
	watch(t, pid, victim, rnd(t, each));
	set_limit("held_max_mib", 0);
	set_limit("replica_max_mib", 0);
	control(t, false);
	shared->batch++;
}

/*
 * What is left
 */

static void remove_replicas(void)
{
	struct cptdev_replica_remove remove = { .size = sizeof(remove) };
	int fd = t_open(), i;

	for (i = 0; i <= FUZZ_NAMES; i++) {
		struct cptdev_replica_open a = { .size = sizeof(a) };

		/* The last one is the longest name. */
		snprintf((char *)a.name, sizeof(a.name), "fuzz-%d", i);
		if (i == FUZZ_NAMES)
			memset(a.name, 'x', sizeof(a.name) - 1);
		if (t_ioctl(fd, CPTDEV_IOC_REPLICA_OPEN, &a))
			continue;
		t_ioctl(a.fd, CPTDEV_IOC_REPLICA_REMOVE, &remove);
		close(a.fd);
	}
	close(fd);
}

struct left {
	uint64_t held, replica, sessions, replicas;
	unsigned long references;
};

static struct left left(void)
{
	unsigned long references = number_in("/sys/module/cptdev/refcnt");
	int fd = t_open();
	struct cptdev_info info = t_info(fd);

	close(fd);
	return (struct left) {
		info.held, info.replica, info.sessions, info.replicas, references,
	};
}

/* Descriptors of a killed process are closed a little later. */
static bool nothing_left(const struct left *before)
{
	struct left now = { 0 };
	int i;

	for (i = 0; i < 200; i++) {
		now = left();
		if (!memcmp(&now, before, sizeof(now)))
			return true;
		usleep(50000);
	}
	ksft_print_msg("left: %llu bytes held, %llu in replicas, %llu sessions, %llu replicas, %lu references\n",
		       (unsigned long long)now.held, (unsigned long long)now.replica,
		       (unsigned long long)now.sessions, (unsigned long long)now.replicas,
		       now.references);
	return false;
}

/*
 * Telling
 */

static void print_kind(size_t i)
{
	unsigned long calls = shared->kind[i].calls, ok = shared->kind[i].ok, n;
	char text[256];
	int err, len;

	len = snprintf(text, sizeof(text), "%-24s %7lu calls, %7lu ok (%3lu %%)",
		       kind_at(i)->name, calls, ok, calls ? ok * 100 / calls : 0);
	for (err = 0; err < ERRNO_MAX && len < 230; err++) {
		n = shared->kind[i].errors[err];
		if (n)
			len += snprintf(text + len, sizeof(text) - len, " %s:%lu",
					strerrorname_np(err) ?: "?", n);
	}
	ksft_print_msg("%s\n", text);
}

/* Returns how many kinds never worked although they should, or did although never. */
static unsigned int tell_kinds(void)
{
	unsigned int wrong = 0;
	size_t i;

	for (i = 0; i < kinds_count(); i++) {
		print_kind(i);
		if (!shared->kind[i].ok == !!(kind_at(i)->flags & NEVER))
			continue;
		ksft_print_msg("%s: %s\n", kind_at(i)->name,
			       shared->kind[i].ok ? "should never work" : "never worked");
		wrong++;
	}
	return wrong;
}

static void tell_failures(void)
{
	unsigned int i, n = shared->nr_failures;

	if (n)
		ksft_print_msg("%lu calls with a wrong answer\n", shared->wrong);
	for (i = 0; i < n && i < FAILURES_MAX; i++) {
		const struct failure *f = &shared->failure[i];

		ksft_print_msg("process %d, %s %d: %s: %s: %s. The last calls up to it:\n",
			       f->proc, f->log < THREADS ? "thread" : "children", f->log,
			       kind_at(f->kind)->name, strerrorname_np(f->err) ?: "0", f->why);
		fuzz_print_log(&f->calls);
	}
}

/* How it ended comes last, where one looks first. */
static void tell_end(void)
{
	int i;

	if (!ends_bad)
		return;
	for (i = 0; i < LOGS; i++) {
		ksft_print_msg("  %s %d, last calls:\n", i < THREADS ? "thread" : "children", i);
		fuzz_print_log(&bad_end.log[i]);
	}
	ksft_print_msg("%lu bad ends\n", ends_bad);
	print_end("the first", bad_end.batch, bad_end.proc, bad_end.status, bad_end.why);
}

/* A tenth each time: a million takes its time. */
static void tell_progress(unsigned long calls)
{
	static unsigned long told;

	if (shared->calls < told + calls / 10)
		return;
	told = shared->calls;
	ksft_print_msg("%lu calls\n", told);
}

/*
 * Options
 */

static unsigned long default_calls(void)
{
	unsigned long calls = t_all() ? CALLS : CALLS_CHECK;

	if (t_length() == T_SHORT)
		return CALLS_SHORT;
	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		calls = CALLS_DEBUG;
	return t_length() == T_SOAK ? calls * SOAK : calls;
}

/* Anew in the same memory: the numbers of descriptors are the same in all processes. */
static void share(void)
{
	int fd = memfd_create("fuzz", 0);

	if (dup2(fd, SHARED_FD) < 0 || ftruncate(SHARED_FD, sizeof(*shared)))
		ksft_exit_fail_msg("no memory\n");
	close(fd);
}

static void map_shared(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);
	if (shared == MAP_FAILED)
		_exit(1);
}

int main(int argc, char **argv)
{
	unsigned long calls = default_calls(), per_batch = 9000;
	struct thread t = { 0 };
	struct left before;
	struct timespec now;
	int option;

	if (argc == 4 && !strcmp(argv[1], "-x")) {
		map_shared();
		fuzz_after_exec(atoi(argv[2]), strtoull(argv[3], NULL, 0), !geteuid());
	}
	share();
	map_shared();
	clock_gettime(CLOCK_REALTIME, &now);
	shared->seed = now.tv_sec * 1000 + now.tv_nsec / 1000000;
	while ((option = getopt(argc, argv, "n:s:b:v")) != -1) {
		if (option == 'n')
			calls = strtoul(optarg, NULL, 0);
		else if (option == 's')
			shared->seed = strtoull(optarg, NULL, 0);
		else if (option == 'b')
			per_batch = strtoul(optarg, NULL, 0);
		else if (option == 'v')
			shared->verbose = true;
		else
			ksft_exit_fail_msg("%s [-n CALLS] [-s SEED] [-b CALLS] [-v]\n", argv[0]);
	}
	ksft_print_header();
	ksft_set_plan(6);
	ksft_print_msg("-s %llu -n %lu -b %lu\n", (unsigned long long)shared->seed, calls,
		       per_batch);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	t_swap_on("/dev/vda");
	t_write_file("/sys/kernel/mm/ksm/run", "1");
	control_m = t_map(CONTROL_PAGES * PAGE);
	control_image = t_image_new(control_m, CONTROL_PAGES * PAGE);
	t.rng = fuzz_mix(shared->seed, ~0ULL);
	before = left();

	while (shared->calls < calls && shared->nr_failures < FAILURES_MAX) {
		batch(&t, per_batch);
		tell_progress(calls);
	}
	remove_replicas();
	t_write_file("/sys/kernel/mm/ksm/run", "2");
	t_write_file("/sys/kernel/mm/ksm/run", "0");

	tell_failures();
	ksft_print_msg("%lu calls in %llu batches, %lu processes killed, %lu controls\n",
		       shared->calls, (unsigned long long)shared->batch, killed, controls);
	ksft_test_result(!tell_kinds(), "every kind of call worked now and then\n");
	ksft_test_result(!shared->nr_failures, "every answer is a documented one\n");
	ksft_test_result(!controls_bad, "a control in between works and is exact\n");
	tell_end();
	ksft_test_result(!ends_bad, "no process ended in an unexpected way\n");
	ksft_test_result(nothing_left(&before), "nothing is left\n");
	ksft_test_result(shared->calls >= calls, "as many calls were made as asked for\n");
	ksft_finished();
}
