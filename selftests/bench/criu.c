// SPDX-License-Identifier: GPL-2.0-only
/*
 * CRIU, from its package: how long it keeps a program frozen, and how long it takes to restart it. The
 * program is a process of its own with the same memory, which changes in the same way, and which
 * looks at its memory before it answers. CRIU itself says how long the program was frozen, and how
 * many pages it wrote, which is checked.
 *
 *   predump	the pages that changed since the one before, but nothing else of the process: alone,
 *		this is nothing to restart from
 *   dump	the same, and all the rest of the process, as of one moment; the program goes on
 *   restore	from the start of the command until it has ended; the files are in memory
 */
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bench.h"

#define DIR	"/tmp/criu"
#define MIB_FROZEN	256
/* Stacks, libraries and what CRIU itself touches. */
#define OTHER_PAGES	600

struct stats {
	double frozen_us;
	unsigned long written;		/* pages */
};

/*
 * The program
 */

static void wait_for(int sig)
{
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, sig);
	if (sigwait(&set, &got))
		_exit(1);
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Every page is what was written to it last. */
static void look(uint64_t first)
{
	size_t i;

	for (i = 0; i < t.pages; i++)
		if (*memory_at(i) != (t.dirty[i] ? t.stamp : first))
			_exit(2);
}

/* It has nothing that leads to other processes. */
static void program(pid_t parent, unsigned int mib)
{
	struct sched_param none = { 0 };
	uint64_t first;

	sched_setscheduler(0, SCHED_OTHER, &none);
	if (setsid() < 0 || !freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) ||
	    !freopen("/dev/null", "w", stderr))
		_exit(1);
	memory_get(mib * MIB / PAGE, true);
	memory_spread(t.pages / 100);
	memory_write_all();
	for (first = t.stamp;; t.stamp++, memory_write()) {
		look(first);
		kill(parent, SIGUSR2);
		wait_for(SIGUSR1);
	}
}

static pid_t program_start(unsigned int mib)
{
	pid_t parent = getpid(), pid;

	block(SIGUSR1);
	block(SIGUSR2);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid)
		program(parent, mib);
	wait_for(SIGUSR2);
	return pid;
}

/* When it looks and answers, all was right before; ten seconds are for one that was not. */
static void program_writes(pid_t pid)
{
	const struct timespec patience = { .tv_sec = 10 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	kill(pid, SIGUSR1);
	if (sigtimedwait(&set, NULL, &patience) != SIGUSR2)
		die("the program that CRIU froze doesn't answer: it found a wrong page");
}

/*
 * What CRIU says: a message of Protocol Buffers (stats.proto): numbers in groups of seven bits
 */

static unsigned long number(const unsigned char **at, const unsigned char *end)
{
	unsigned long n = 0;
	int shift;

	for (shift = 0; *at < end && shift < 64; shift += 7) {
		n |= (unsigned long)(**at & 0x7f) << shift;
		if (!(*(*at)++ & 0x80))
			return n;
	}
	die("CRIU's statistics can't be read");
}

/* DumpStatsEntry: all that is in it are numbers. */
static void read_entry(const unsigned char *at, const unsigned char *end, struct stats *s)
{
	unsigned long key, n;

	while (at < end) {
		key = number(&at, end);
		n = number(&at, end);
		if (key & 7)
			die("CRIU's statistics have another form");
		if (key >> 3 == 2)
			s->frozen_us = n;
		else if (key >> 3 == 7)
			s->written = n;
	}
}

static void read_stats(unsigned int round, struct stats *s)
{
	unsigned char buf[256];
	const unsigned char *at = buf + 12, *end;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), DIR "/%u/stats-dump", round);
	f = fopen(path, "r");
	if (!f)
		die("%s: %s", path, strerror(errno));
	/* Two magic numbers and the length; then the field dump, the first one. */
	end = buf + fread(buf, 1, sizeof(buf), f);
	fclose(f);
	memset(s, 0, sizeof(*s));
	if (end < at + 2 || *at++ != (1 << 3 | 2) || number(&at, end) > (unsigned long)(end - at))
		die("%s has another form", path);
	read_entry(at, end, s);
}

/*
 * Its runs
 */

static void criu(const char *const *argv)
{
	struct sched_param none = { 0 };
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		sched_setscheduler(0, SCHED_OTHER, &none);
		execvp(argv[0], (char **)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		die("criu %s ended with status 0x%x: see " DIR "/*/log", argv[1], status);
}

/* @how: an option, or NULL */
static void save(const char *what, const char *how, pid_t pid, unsigned int round, struct stats *s)
{
	char number[16], dir[32], before[32];
	const char *argv[] = {
		"criu", what, "--tree", number, "--images-dir", dir, "--track-mem", "--log-file", "log",
		"--prev-images-dir", before, how, NULL
	};

	snprintf(number, sizeof(number), "%d", pid);
	snprintf(dir, sizeof(dir), DIR "/%u", round);
	snprintf(before, sizeof(before), "../%u", round - 1);
	if (!round) {
		argv[9] = how;
		argv[10] = NULL;
	}
	if (mkdir(dir, 0700))
		die("%s: %s", dir, strerror(errno));
	criu(argv);
	read_stats(round, s);
}

static void measure_save(struct figure *f, const char *what, const char *how, pid_t pid,
			 unsigned int round)
{
	unsigned long changed = MIB_FROZEN * MIB / PAGE / 100;
	struct stats s;

	program_writes(pid);
	save(what, how, pid, round, &s);
	if (s.written < changed || s.written > changed + OTHER_PAGES)
		die("criu %s wrote %lu pages, %lu changed", what, s.written, changed);
	figure_add(f, s.frozen_us);
}

static void begin(void)
{
	if (mkdir(DIR, 0700))
		die(DIR ": %s", strerror(errno));
}

static void finish(void)
{
	if (system("rm -rf " DIR))
		die("can't remove " DIR);
}

static void measure_freeze(void)
{
	struct figure predump = { 0 }, dump = { 0 };
	unsigned int i, round = 0;
	struct stats s;
	pid_t pid;

	begin();
	pid = program_start(MIB_FROZEN);
	save("pre-dump", NULL, pid, round++, &s);
	save("dump", "--leave-running", pid, round++, &s);
	for (i = 0; i < rounds; i++) {
		measure_save(&predump, "pre-dump", NULL, pid, round++);
		measure_save(&dump, "dump", "--leave-running", pid, round++);
	}
	figure_print(&predump, "us", "criu_predump_%umib_1pct", MIB_FROZEN);
	figure_print(&dump, "us", "criu_dump_%umib_1pct", MIB_FROZEN);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	finish();
}

/* It isn't a child of this process any more. */
static void program_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	while (!kill(pid, 0))
		usleep(1000);
}

static void measure_restore(unsigned int mib)
{
	const char *argv[] = {
		"criu", "restore", "--images-dir", DIR "/0", "--log-file", "log", "--restore-detached", NULL
	};
	struct figure restore = { 0 };
	struct stats s;
	unsigned int i;
	double at;
	pid_t pid;

	begin();
	pid = program_start(mib);
	save("dump", NULL, pid, 0, &s);
	waitpid(pid, NULL, 0);
	for (i = 0; i <= rounds; i++) {
		at = now_us();
		criu(argv);
		at = now_us() - at;
		program_writes(pid);
		program_kill(pid);
		if (i)
			figure_add(&restore, at / 1000);
	}
	figure_print(&restore, "ms", "criu_restore_%umib", mib);
	finish();
}

void criu_measure(void)
{
	if (access("/usr/bin/criu", X_OK)) {
		fprintf(stderr, "bench: CRIU isn't installed here, so it isn't measured\n");
		return;
	}
	measure_freeze();
	measure_restore(256);
	measure_restore(1024);
}
