// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How soon a program answers that is restarted from a file: in the eager way, which reads all of its
 * memory first, and in the lazy way. By hand:
 *
 *   restart MIB [warm]
 *
 * The file is in the current directory. Without "warm" the page cache forgets it before each restart.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../hotspare.h"

#define CLASS	1
#define MIB	(1UL << 20)
#define IMAGE	"restart.image"
#define ROLE	"RESTART_BENCH"		/* in the environment of the program: when it was started */
#define SIZE	"RESTART_BENCH_MIB"

struct memory {
	unsigned char *mib[4096];
	unsigned long nr;
};

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* An answer needs a byte here and there. */
static void serve(void *arg)
{
	const long started = atol(getenv(ROLE) ?: "0");
	struct memory *m = arg;
	unsigned long i, sum = 0;
	long answered;

	for (i = 0; i < 16; i++)
		sum += m->mib[i * 7919 % m->nr][i * 4099];
	answered = now_ms() - started;
	hs_restart_wait();
	for (i = 0; i < m->nr; i++)
		sum += m->mib[i][i];
	printf("%10ld ms %10ld ms   (%lu)\n", answered, now_ms() - started, sum);
	exit(0);
}

static int program(int argc, char **argv)
{
	unsigned long mib = strtoul(getenv(SIZE) ?: "1", NULL, 10), i;
	struct memory *m;

	if (hs_init(argc, argv) < 0 || hs_malloc_create(CLASS, (mib + 2) << 8))
		return 1;
	m = hs_calloc(CLASS, 1, sizeof(*m));
	if (!m || hs_threadreg(serve, m))
		return 1;
	for (m->nr = 0; m->nr < mib; m->nr++) {
		m->mib[m->nr] = hs_malloc(CLASS, MIB);
		if (!m->mib[m->nr])
			return 1;
		for (i = 0; i < MIB; i += 64)
			m->mib[m->nr][i] = (unsigned char)(i + m->nr);
	}
	return hs_cpt(0) ? 1 : 0;
}

static void run(const char *const *args)
{
	char text[24];
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		snprintf(text, sizeof(text), "%ld", now_ms());
		setenv(ROLE, text, 1);
		execv("/proc/self/exe", (char **)(size_t)args);
		err(1, "exec");
	}
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the program failed");
}

static void forget(void)
{
	int fd = open(IMAGE, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		err(1, IMAGE);
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (errno)
		err(1, IMAGE);
	close(fd);
}

int main(int argc, char **argv)
{
	const char *const make[] = { "restart", "-m", "-b", "portable", "-f", IMAGE, "--", NULL };
	const char *const eager[] = { "restart", "-m", "-r", IMAGE, "--", NULL };
	const char *const lazy[] = { "restart", "-m", "-l", "-r", IMAGE, "--", NULL };
	unsigned long mib;

	if (getenv(ROLE))
		return program(argc, argv);
	mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	if (!mib || mib > 4096)
		errx(1, "usage: restart MIB [warm], with 1 to 4096 MiB");
	setenv(SIZE, argv[1], 1);
	run(make);
	printf("%-8s %13s %13s\n", "", "first answer", "all memory");
	for (int i = 0; i < 2; i++) {
		if (argc < 3)
			forget();
		printf("%-8s ", i ? "lazy" : "eager");
		run(i ? lazy : eager);
	}
	return unlink(IMAGE) ? 1 : 0;
}
