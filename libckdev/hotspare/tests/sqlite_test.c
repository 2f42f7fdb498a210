// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * SQLite survives: clients insert rows while the master is killed at random moments, again
 * and again, each time the other one takes over. What was answered as safe must be there,
 * once, and the database be whole.
 *
 * ROUNDS in the environment: how many take-overs.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"

#define CLIENTS	4

static char program[4096];

static pid_t launch(const char *role)
{
	char port[8], service[8];
	pid_t pid;

	snprintf(port, sizeof(port), "%d", own_port() + 1);
	snprintf(service, sizeof(service), "%d", own_port());
	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	end_with_parent();
	execl(program, program, role, "-a", "127.0.0.1", "-p", port, "-t", "60", "--",
	      "-l", service, NULL);
	_exit(127);
}

static void kill_off(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Not before, by itself. */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void rest(unsigned int ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

/*
 * Talking to it
 */

/* Within half a minute, or NULL. */
static FILE *talk(void)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)own_port()),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct timeval patience = { .tv_sec = 30 };
	int i, fd;

	for (i = 0; i < 3000; i++, rest(10)) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
			return fdopen(fd, "r");
		close(fd);
	}
	return NULL;
}

/* The last line of the answer, false if none came; the first one in @row if it isn't NULL. */
static bool ask(FILE *f, const char *sql, char *row, char *last, size_t len)
{
	char line[512];
	bool first = true;
	int n = snprintf(line, sizeof(line), "%s\n", sql);

	if (send(fileno(f), line, (size_t)n, MSG_NOSIGNAL) < 0)
		return false;
	while (fgets(last, (int)len, f)) {
		if (!strncmp(last, "{\"ok\":", 6) || !strncmp(last, "{\"error\":", 9))
			return true;
		if (first && row)
			snprintf(row, len, "%s", last);
		first = false;
	}
	return false;
}

/*
 * Clients
 */

struct client {
	pthread_t id;
	int nr;
	atomic_ulong safe;		/* its last row that was answered as safe */
	unsigned long unsafe;		/* answers that weren't */
	const char *wrong;
};

static atomic_bool over;

/* Whether the row is there. If not it is tried again, on another connection. */
static bool insert(struct client *c, FILE *f, unsigned long n)
{
	char sql[256], last[512];

	snprintf(sql, sizeof(sql), "insert into t values(%d, %lu, hex(randomblob(200)))", c->nr, n);
	if (!ask(f, sql, NULL, last, sizeof(last)))
		return false;
	if (strstr(last, "UNIQUE constraint failed"))
		return true;
	if (strstr(last, "locked"))
		return false;
	if (strncmp(last, "{\"ok\":", 6)) {
		fprintf(stderr, "# client %d: %s", c->nr, last);
		c->wrong = "an error that there should not be";
		return false;
	}
	if (strstr(last, "\"safe\":true"))
		c->safe = n;
	else
		c->unsafe++;
	return true;
}

static void *client(void *arg)
{
	struct client *c = arg;
	unsigned long n = 1;
	FILE *f = NULL;

	while (!over && !c->wrong) {
		if (!f)
			f = talk();
		if (!f) {
			c->wrong = "nobody serves";
		} else if (insert(c, f, n)) {
			n++;
		} else {
			fclose(f);
			f = NULL;
		}
	}
	if (f)
		fclose(f);
	return NULL;
}

static unsigned long number_in(const char *row, const char *key)
{
	const char *at = strstr(row, key);

	assert_non_null(at);
	return strtoul(at + strlen(key), NULL, 10);
}

static void check_rows(struct client *c)
{
	char sql[256], row[512] = "", last[512];
	unsigned long count;
	FILE *f = talk();

	assert_non_null(f);
	assert_true(ask(f, "pragma integrity_check", row, last, sizeof(last)));
	assert_string_equal(row, "{\"integrity_check\":\"ok\"}\n");
	snprintf(sql, sizeof(sql), "select count(*) c, count(distinct n) d, max(n) m from t "
		 "where client = %d", c->nr);
	assert_true(ask(f, sql, row, last, sizeof(last)));
	fclose(f);
	count = number_in(row, "\"c\":");
	assert_int_equal(number_in(row, "\"d\":"), count);
	assert_int_equal(number_in(row, "\"m\":"), count);
	assert_true(count >= c->safe);
}

static void wait_for_progress(struct client *c)
{
	unsigned long was = c->safe;
	int i;

	for (i = 0; i < 6000 && c->safe < was + 5 && !c->wrong; i++)
		rest(10);
	if (c->wrong || c->safe < was + 5)
		fail_msg("client %d: %s: %lu rows safe, %lu answers without a spare", c->nr,
			 c->wrong ?: "no progress", (unsigned long)c->safe, c->unsafe);
}

static void what_was_committed_survives(void **state)
{
	int rounds = atoi(getenv("ROUNDS") ?: "6"), i, round;
	static struct client c[CLIENTS];
	pid_t master, spare;
	char last[512];
	FILE *f;

	(void)state;
	if (!fixed_addresses())
		skip();
	spare = launch("-s");
	rest(100);
	master = launch("-m");
	f = talk();
	assert_non_null(f);
	assert_true(ask(f, "create table t(client int, n int, x text, primary key(client, n))", NULL,
			last, sizeof(last)));
	fclose(f);
	for (i = 0; i < CLIENTS; i++) {
		c[i].nr = i;
		assert_int_equal(pthread_create(&c[i].id, NULL, client, &c[i]), 0);
	}
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < CLIENTS; i++)
			wait_for_progress(&c[i]);
		rest((unsigned int)random() % 100);
		kill_off(master);
		master = spare;
		spare = launch("-s");
	}
	for (i = 0; i < CLIENTS; i++)
		wait_for_progress(&c[i]);
	over = true;
	for (i = 0; i < CLIENTS; i++) {
		pthread_join(c[i].id, NULL);
		printf("# client %d: %lu rows safe, %lu answers without a spare\n", i,
		       (unsigned long)c[i].safe, c[i].unsafe);
		check_rows(&c[i]);
	}
	kill_off(master);
	kill_off(spare);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_committed_survives),
	};
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 32);

	if (n < 0)
		return 1;
	strcpy(strrchr(program, '/') + 1, "sqlite-hotspare");
	srandom((unsigned int)time(NULL));
	own_network();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
