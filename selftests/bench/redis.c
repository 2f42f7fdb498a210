// SPDX-License-Identifier: GPL-2.0-only
/*
 * Redis, from its package: how long BGSAVE stops it. Redis itself says so: that is its fork. Then SNAPSHOT
 * of memory of the same size, of which as many single pages changed at random places as keys of Redis.
 */
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "bench.h"

#define SERVER		"/usr/bin/redis-server"
#define SOCKET		"/tmp/redis.socket"
#define KEYS		500000
#define CHANGED		(KEYS / 100)
#define VALUE_LEN	100

static FILE *requests, *answers;
/* Memory of Redis when it had all keys, 0: it wasn't measured. */
static size_t resident;

static pid_t server_start(void)
{
	const char *const argv[] = {
		SERVER, "--port", "0", "--unixsocket", SOCKET, "--save", "", "--dir", "/tmp",
		"--enable-debug-command", "yes", "--logfile", "/tmp/redis.log", NULL
	};
	struct sched_param none = { 0 };
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		sched_setscheduler(0, SCHED_OTHER, &none);
		execv(argv[0], (char **)argv);
		_exit(127);
	}
	return pid;
}

static void server_connect(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), i;

	for (i = 0; connect(fd, (struct sockaddr *)&un, sizeof(un)); i++) {
		if (i == 10000)
			die(SERVER " doesn't listen: see /tmp/redis.log");
		usleep(1000);
	}
	requests = fdopen(dup(fd), "w");
	answers = fdopen(fd, "r");
	if (!requests || !answers)
		die("no connection to Redis: %s", strerror(errno));
}

static void ask(const char *answer, const char *command, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, command);
	vfprintf(requests, command, ap);
	va_end(ap);
	fputs("\r\n", requests);
	fflush(requests);
	if (!fgets(line, sizeof(line), answers) || strncmp(line, answer, strlen(answer)))
		die("Redis answers %s to %s", line, command);
}

/* A number of INFO, which is a text of so many bytes, then the end of a line. */
static unsigned long info(const char *name)
{
	size_t len = strlen(name);
	unsigned long n = ~0UL;
	char line[256];
	long left;

	fputs("INFO\r\n", requests);
	fflush(requests);
	if (!fgets(line, sizeof(line), answers) || sscanf(line, "$%ld", &left) != 1)
		die("Redis doesn't answer INFO");
	for (left += 2; left > 0 && fgets(line, sizeof(line), answers); left -= strlen(line))
		if (!strncmp(line, name, len) && line[len] == ':')
			n = strtoul(line + len + 1, NULL, 10);
	if (n == ~0UL)
		die("INFO of Redis has no %s", name);
	return n;
}

static void change(unsigned int round)
{
	unsigned int i;

	for (i = 0; i < CHANGED; i++)
		ask(":100", "SETRANGE key:%u 0 %08u", i * 99991 % KEYS, round);
}

static double bgsave(void)
{
	ask("+Background saving started", "BGSAVE");
	while (info("rdb_bgsave_in_progress"))
		usleep(10000);
	return info("latest_fork_usec");
}

void redis_measure(void)
{
	struct figure stop = { 0 };
	unsigned int i;
	double us;
	pid_t pid;

	if (access(SERVER, X_OK)) {
		fprintf(stderr, "bench: Redis isn't installed here, so it isn't measured\n");
		return;
	}
	pid = server_start();
	server_connect();
	ask("+OK", "DEBUG POPULATE %d key %d", KEYS, VALUE_LEN);
	resident = info("used_memory_rss");
	for (i = 0; i <= rounds; i++) {
		change(i);
		us = bgsave();
		if (i)
			figure_add(&stop, us);
	}
	figure_print(&stop, "us", "redis_bgsave_%dkeys", KEYS);
	fclose(requests);
	fclose(answers);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(SOCKET);
	unlink("/tmp/dump.rdb");
}

void redis_cptdev(void)
{
	unsigned long random = 1;
	unsigned int i;
	size_t page;

	if (!resident)
		return;
	memory_get(resident / PAGE, true);
	memory_spread(0);
	for (i = 0; i < CHANGED; i++) {
		random = random * 6364136223846793005UL + 1442695040888963407UL;
		page = (random >> 33) % t.pages;
		if (!t.dirty[page])
			memory_change(page);
	}
	memory_sort();
	measure(&snapshot_method, "keys");
	memory_put();
}
