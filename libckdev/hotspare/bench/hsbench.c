// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a checkpoint costs, next to a fork whose child writes all memory; and what the
 * allocator costs, next to malloc(3). Prints figures as lines of JSON, as "make bench" wants
 * them; Documentation/performance.rst says what they mean.
 *
 *   hsbench KERNEL ROUNDS DIRECTORY
 *
 * DIRECTORY is in memory (tmpfs), so that no disk is measured. Who takes checkpoints is for
 * HOTSPARE_BACKEND to say: one in each run; with "portable" the others are measured, too.
 */
#include <err.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../hotspare.h"

#define CLASS		1
#define PAGE		4096UL
#define PAGES		(64UL << 20 >> 12)
#define RUN		4UL		/* pages written in a row */
#define MOST_ROUNDS	101
#define LIVE		10000		/* objects at a time */
#define STEPS		100000		/* one goes, one comes */

static const char *kernel, *directory, *backend;
static unsigned int rounds;
static char *memory;
static unsigned char stamp;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median of all rounds. */
static void print(const char *name, const char *suffix, const char *unit, const double *of)
{
	double v[MOST_ROUNDS];

	memcpy(v, of, rounds * sizeof(*v));
	qsort(v, rounds, sizeof(*v), ascending);
	printf("{\"name\":\"%s%s\",\"kernel\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"n\":%u,"
	       "\"min\":%.6g,\"max\":%.6g}\n", name, suffix, kernel, v[rounds / 2], unit, rounds,
	       v[0], v[rounds - 1]);
	fflush(stdout);
}

/* @share of 1000 pages, evenly. */
static void change(unsigned int share)
{
	size_t nr = PAGES * share / 1000, i;

	stamp++;
	for (i = 0; i < nr; i++)
		memory[(i / RUN * RUN * 1000 / share + i % RUN) * PAGE] = (char)stamp;
}

/*
 * A fork, and its child writes everything
 */

static void write_all(void)
{
	char path[256];
	size_t at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/plain", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	for (at = 0; at < PAGES * PAGE; at += (size_t)n) {
		n = write(fd, memory + at, PAGES * PAGE - at);
		if (n <= 0)
			_exit(1);
	}
	_exit(close(fd) != 0);
}

/* Returns how long the program was kept, and the whole of it. */
static double plain(double *whole)
{
	double start = now_us(), kept;
	int status;
	pid_t pid = fork();

	if (!pid)
		write_all();
	kept = now_us() - start;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		errx(1, "the plain fork failed");
	*whole = now_us() - start;
	return kept;
}

struct times {
	double async[MOST_ROUNDS];	/* for which the program was kept */
	double sync[MOST_ROUNDS];	/* until all was written */
};

static void measure_plain(unsigned int share, struct times *t)
{
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		change(share);
		t->async[i] = plain(&t->sync[i]);
	}
}

/*
 * The library
 */

static double checkpoint(int flags)
{
	double start = now_us(), kept;

	if (hs_cpt(flags))
		errx(1, "hs_cpt: %s", hs_error());
	kept = now_us() - start;
	if (hs_cpt_wait())
		errx(1, "hs_cpt_wait: %s", hs_error());
	return kept;
}

/* What was written to lately is compared, whatever the kernel says. */
static void settle(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		checkpoint(i ? HSCPT_INCR : 0);
		sleep(31);
	}
	checkpoint(HSCPT_INCR);
}

static void measure_cpt(unsigned int share, struct times *t)
{
	unsigned int i;

	if (!strcmp(backend, "portable"))
		settle();
	else
		checkpoint(0);
	for (i = 0; i < rounds; i++) {
		change(share);
		t->sync[i] = checkpoint(HSCPT_INCR);
		change(share);
		t->async[i] = checkpoint(HSCPT_INCR | HSCPT_ASYNC);
	}
}

static void print_ratio(const char *what, const char *label, const double *above,
			const double *below)
{
	double ratio[MOST_ROUNDS] = { 0 };
	char name[64];
	unsigned int i;

	for (i = 0; i < rounds; i++)
		ratio[i] = above[i] / below[i];
	snprintf(name, sizeof(name), "hs_cpt_%s_%s_over_fork", backend, what);
	print(name, label, "ratio", ratio);
}

static void print_times(const char *label, const struct times *cpt, const struct times *fork)
{
	char name[64];

	if (!strcmp(backend, "portable")) {
		print("hs_fork_async", label, "us", fork->async);
		print("hs_fork_sync", label, "us", fork->sync);
	}
	snprintf(name, sizeof(name), "hs_cpt_%s_async", backend);
	print(name, label, "us", cpt->async);
	snprintf(name, sizeof(name), "hs_cpt_%s_sync", backend);
	print(name, label, "us", cpt->sync);
	print_ratio("async", label, cpt->async, fork->async);
	print_ratio("sync", label, cpt->sync, fork->sync);
}

/*
 * The allocator
 */

static void *ours_get(size_t len)
{
	return hs_malloc(CLASS, len);
}

static void ours_put(void *p)
{
	hs_free(CLASS, p);
}

/* Nanoseconds for one that goes and one that comes. */
static double churn(void *(*get)(size_t), void (*put)(void *))
{
	static char *live[LIVE];
	unsigned int seed = 1, i, n;
	double start;

	for (i = 0; i < LIVE; i++)
		live[i] = get(16 + (seed = seed * 1103515245 + 12345) / 65536 % 1000);
	start = now_us();
	for (i = 0; i < STEPS; i++) {
		n = (seed = seed * 1103515245 + 12345) / 65536 % LIVE;
		put(live[n]);
		live[n] = get(16 + seed / 1024 % 1000);
		if (!live[n])
			errx(1, "no memory");
		*live[n] = 1;
	}
	start = now_us() - start;
	for (i = 0; i < LIVE; i++)
		put(live[i]);
	return start * 1000 / STEPS;
}

static void measure_allocators(void)
{
	double ours[MOST_ROUNDS] = { 0 }, theirs[MOST_ROUNDS] = { 0 }, ratio[MOST_ROUNDS] = { 0 };
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		ours[i] = churn(ours_get, ours_put);
		theirs[i] = churn(malloc, free);
		ratio[i] = ours[i] / theirs[i];
	}
	print("hs_malloc", "", "ns", ours);
	print("hs_malloc_glibc", "", "ns", theirs);
	print("hs_malloc_over_malloc", "", "ratio", ratio);
}

/* Nobody takes the processor away, and who writes gets it when the program waits. */
static void run_undisturbed(void)
{
	const struct sched_param param = { .sched_priority = 50 };
	int fd = open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY | O_CLOEXEC);

	/* Or the kernel takes a twentieth of each second away. */
	if (fd < 0 || write(fd, "-1", 2) != 2 || sched_setscheduler(0, SCHED_FIFO, &param))
		warn("not undisturbed");
	close(fd);
}

int main(int argc, char **argv)
{
	static struct times fork1, fork10, cpt1, cpt10;
	char path[256];

	if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[2]) > MOST_ROUNDS)
		errx(1, "usage: hsbench KERNEL ROUNDS DIRECTORY");
	kernel = argv[1];
	rounds = (unsigned int)atoi(argv[2]);
	directory = argv[3];
	backend = getenv("HOTSPARE_BACKEND") ?: hs_backend();
	snprintf(path, sizeof(path), "%s/image", directory);
	run_undisturbed();
	if (hs_malloc_create(CLASS, PAGES * PAGE * 2) || hs_cpipe_init(1) ||
	    hs_cpipe_loadfile(path))
		err(1, "%s", path);
	memory = hs_aligned_alloc(CLASS, PAGE, PAGES * PAGE);
	if (!memory)
		err(1, "hs_aligned_alloc");
	memset(memory, 1, PAGES * PAGE);
	/* A fork of memory that the module tracks would be another one: so it comes first. */
	measure_plain(10, &fork1);
	measure_plain(100, &fork10);
	measure_cpt(10, &cpt1);
	measure_cpt(100, &cpt10);
	print_times("_64mib_1pct", &cpt1, &fork1);
	print_times("_64mib_10pct", &cpt10, &fork10);
	if (!strcmp(backend, "portable"))
		measure_allocators();
	return 0;
}
