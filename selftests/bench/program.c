// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev-run: how long it stops a program as it is, that knows nothing of checkpoints. The program is a
 * process of its own with the same memory as everywhere here, which changes in the same way; it looks at
 * its memory after each change, also when it was restarted. Other threads of it wait.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bench.h"

#define RUN_PROGRAM	"cptdev-run"
#define DIR		"/tmp/program"
#define CHECKPOINT	DIR "/checkpoint"
#define AGAIN		DIR "/again"
#define SAID		DIR "/said"
/* The program has all of its memory before the first one. */
#define EVERY_MS	"2000"
#define PROGRAM_MIB	256
#define MORE		16U		/* threads beside the first */
/* The first one has all of the memory, and the second what is new to the kernel's bits: not the median. */
#define FIRST		2U
#define PATIENCE_US	600e6

static const char *const parts[] = { "stopping", "descriptors", "looking", "asking", "memory" };

#define NR_PARTS	(sizeof(parts) / sizeof(parts[0]))

struct stop {
	double median, part[NR_PARTS];	/* us */
};

/*
 * The program
 */

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void look(uint64_t first)
{
	size_t i;

	for (i = 0; i < t.pages; i++)
		if (*memory_at(i) != (t.dirty[i] ? t.stamp : first))
			die("the program found a wrong page");
}

void program_be(unsigned int more)
{
	pthread_t thread;
	uint64_t first;

	memory_get(PROGRAM_MIB * MIB / PAGE, true);
	memory_spread(t.pages / 100);
	for (first = t.stamp; more; more--)
		if (pthread_create(&thread, NULL, wait_for_ever, NULL))
			die("no thread");
	for (;;) {
		t.stamp++;
		memory_write();
		look(first);
		usleep(20000);
	}
}

/*
 * Its checkpoints
 */

static pid_t start(const char *const *argv)
{
	struct sched_param none = { 0 };
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid)
		return pid;
	sched_setscheduler(0, SCHED_OTHER, &none);
	if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) || !freopen(SAID, "w", stderr))
		_exit(1);
	execvp(argv[0], (char **)argv);
	_exit(127);
}

static ino_t number_of(const char *file)
{
	struct stat st;

	return stat(file, &st) ? 0 : st.st_ino;
}

/* Each takes the place of the one before. */
static void await_checkpoints(pid_t pid, const char *file, unsigned int nr)
{
	double until = now_us() + PATIENCE_US;
	ino_t before = 0, now;

	while (nr) {
		if (waitpid(pid, NULL, WNOHANG) || now_us() > until)
			die("no checkpoint of a program by cptdev-run: see " SAID);
		now = number_of(file);
		nr -= now && now != before;
		before = now;
		usleep(20000);
	}
}

static void end(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 128 + SIGTERM)
		die("cptdev-run ended with status 0x%x: see " SAID, status);
}

static double number_behind(const char *text, const char *word)
{
	const char *at = strstr(text, word);

	if (!at)
		die("--stats of cptdev-run doesn't tell \"%s\"", word);
	return strtod(at + strlen(word), NULL);
}

static void read_stop(struct stop *s)
{
	char text[4096];
	FILE *f = fopen(SAID, "r");
	size_t n, i;

	if (!f)
		die(SAID ": %s", strerror(errno));
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	if (number_behind(text, "written, "))
		die("checkpoints weren't taken: %s", text);
	s->median = number_behind(text, "median ");
	for (i = 0; i < NR_PARTS; i++)
		s->part[i] = number_behind(strstr(text, "parts of the median") ?: "", parts[i]);
}

static void checkpoints_of(unsigned int more, struct stop *s)
{
	char self[256] = "", number[16];
	const char *argv[] = {
		RUN_PROGRAM, "--file", CHECKPOINT, "--every", EVERY_MS, "--stats", "--", self, "program", number, NULL
	};
	pid_t pid;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		die("/proc/self/exe: %s", strerror(errno));
	snprintf(number, sizeof(number), "%u", more);
	pid = start(argv);
	await_checkpoints(pid, CHECKPOINT, 2 * FIRST + rounds);
	end(pid);
	read_stop(s);
}

/* What the last of them has is right: the program goes on from it, and takes more. */
static void check_last(void)
{
	static const char *const argv[] = {
		RUN_PROGRAM, "--restart", CHECKPOINT, "--file", AGAIN, "--every", EVERY_MS, NULL
	};
	pid_t pid = start(argv);

	await_checkpoints(pid, AGAIN, 2);
	end(pid);
}

static void print_one(double v, const char *name)
{
	struct figure f = { .n = 0 };

	figure_add(&f, v);
	figure_print(&f, "us", "%s", name);
}

void program_measure(void)
{
	struct stop one, many;
	char name[64];
	size_t i;

	if (mkdir(DIR, 0700))
		die(DIR ": %s", strerror(errno));
	checkpoints_of(0, &one);
	check_last();
	checkpoints_of(MORE, &many);
	check_last();
	print_one(one.median, "run_pause_256mib_1pct");
	for (i = 0; i < NR_PARTS; i++) {
		snprintf(name, sizeof(name), "run_part_%s", parts[i]);
		print_one(one.part[i], name);
	}
	print_one(many.median, "run_pause_256mib_1pct_17threads");
	print_one((many.median - one.median) / MORE, "run_thread_us");
	if (system("rm -r " DIR))
		die(DIR " can't be removed");
}
