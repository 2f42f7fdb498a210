// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A program of several processes that knows nothing of checkpoints: numbers go round from the parent to two
 * children and back, by pipes that always have some. Each process checks what comes, counts it in memory of
 * its own, and writes a line to a file whose offset they share. One child has a process group, the other one a
 * session, a socket pair with the parent, and a child of its own that has ended long before it is waited for.
 *
 * family FILE [ROUNDS [attached]]	1000 rounds, a millisecond each; attached: what comes from processes outside of
 *					it, the parent of the first process, session and group, may change
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNDER_WAY	40
#define PAGES		16
#define SLOTS		(PAGES * 4096 / sizeof(unsigned long))
#define ZOMBIE		23		/* its exit status */

static unsigned long rounds = 1000;
static int ledger, ring[3][2], pair[2];
static const char *self = "parent";
static bool attached;
static pid_t pid, parent, group, session;

__attribute__((noreturn))
static void wrong(const char *what, unsigned long is, unsigned long want)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "WRONG: %s: %s: %lu, not %lu (%s)\n", self, what, is, want,
			 strerror(errno));

	if (write(STDOUT_FILENO, text, (size_t)n) != n)
		_exit(2);
	_exit(1);
}

static void expect(const char *what, unsigned long is, unsigned long want)
{
	if (is != want)
		wrong(what, is, want);
}

static void remember(const char *name)
{
	self = name;
	pid = getpid();
	parent = getppid();
	group = getpgrp();
	session = getsid(0);
	if (!attached)
		return;
	parent = strcmp(name, "parent") ? parent : 0;
	group = group == pid ? group : 0;
	session = session == pid ? session : 0;
}

/* @want: 0: any. */
static void expect_number(const char *what, pid_t is, pid_t want)
{
	if (!attached || want)
		expect(what, (unsigned long)is, (unsigned long)want);
}

static void check_self(void)
{
	expect("its number", (unsigned long)getpid(), (unsigned long)pid);
	expect_number("its parent", getppid(), parent);
	expect_number("its group", getpgrp(), group);
	expect_number("its session", getsid(0), session);
}

/* @last: the turn of all three is over, so the line is written. */
static void count(unsigned long *mine, unsigned long i, bool last)
{
	char line[32];
	int n;

	expect("memory before", mine[i * 7 % SLOTS], i < SLOTS ? 0 : i - SLOTS + 1);
	if (i)
		expect("memory", mine[(i - 1) * 7 % SLOTS], i);
	mine[i * 7 % SLOTS] = i + 1;
	if (!last)
		return;
	n = snprintf(line, sizeof(line), "%lu\n", i);
	if (write(ledger, line, (size_t)n) != n)
		wrong("the file", i, 0);
}

static unsigned long *pages(void)
{
	unsigned long *p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		wrong("mmap", 0, 0);
	return p;
}

static void pass(int to, unsigned long i)
{
	if (write(to, &i, sizeof(i)) != sizeof(i))
		wrong("a write to the next one", i, 0);
}

/* False: no more come. */
static bool get(int from, unsigned long *i)
{
	ssize_t n = read(from, i, sizeof(*i));

	if (n && n != sizeof(*i))
		wrong("a read", (unsigned long)n, sizeof(*i));
	return n;
}

/* A thread of a child. */
static void *tick(void *arg)
{
	volatile unsigned long *ticks = arg;

	for (;;) {
		usleep(2000);
		++*ticks;
	}
	return NULL;
}

static void be_child(int from, int to, int other)
{
	unsigned long *mine = pages(), i, next = 0, echo;

	while (get(from, &i)) {
		expect("what came", i, next++);
		check_self();
		count(mine, i, false);
		if (other >= 0 && i % 8 == 0) {
			if (read(other, &echo, sizeof(echo)) != sizeof(echo))
				wrong("a read from the pair", i, 0);
			expect("what came by the pair", echo, i);
		}
		pass(to, i);
	}
	expect("what came in all", next, rounds);
}

static void first_child(void)
{
	static unsigned long ticks;
	pthread_t thread;

	if (setpgid(0, 0))
		wrong("setpgid", 0, 0);
	remember("first child");
	close(ring[0][1]);
	close(ring[1][0]);
	close(ring[2][0]);
	close(ring[2][1]);
	if (pthread_create(&thread, NULL, tick, &ticks))
		wrong("a thread", 0, 0);
	be_child(ring[0][0], ring[1][1], -1);
	expect("ticks of the thread", ticks > 10, 1);
	_exit(11);
}

static void second_child(void)
{
	pid_t ended = fork();
	int status;

	if (!ended)
		_exit(ZOMBIE);
	if (setsid() < 0)
		wrong("setsid", 0, 0);
	remember("second child");
	close(ring[0][0]);
	close(ring[0][1]);
	close(ring[1][1]);
	close(ring[2][0]);
	be_child(ring[1][0], ring[2][1], pair[1]);
	expect("the child that has ended", (unsigned long)waitpid(ended, &status, 0), (unsigned long)ended);
	expect("its status", WIFEXITED(status) ? (unsigned long)WEXITSTATUS(status) : 999, ZOMBIE);
	_exit(12);
}

static pid_t start(void (*fn)(void))
{
	pid_t child = fork();

	if (!child)
		fn();
	if (child < 0)
		wrong("fork", 0, 0);
	return child;
}

static void finish(const char *name, pid_t child, int want)
{
	int status;

	expect(name, (unsigned long)waitpid(child, &status, 0), child < 0 ? (unsigned long)-child :
	       (unsigned long)child);
	expect(name, WIFEXITED(status) ? (unsigned long)WEXITSTATUS(status) : 999, (unsigned long)want);
}

static void send_one(unsigned long i)
{
	if (i >= rounds)
		return;
	if (i % 8 == 0 && write(pair[0], &i, sizeof(i)) != sizeof(i))
		wrong("a write to the pair", i, 0);
	pass(ring[0][1], i);
}

int main(int argc, char **argv)
{
	unsigned long *mine, i, sent, next = 0;
	pid_t first, second;

	if (argc < 2)
		return 2;
	if (argc > 2)
		rounds = strtoul(argv[2], NULL, 10);
	attached = argc > 3;
	ledger = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (ledger < 0 || pipe(ring[0]) || pipe(ring[1]) || pipe(ring[2]) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		wrong("to begin", 0, 0);
	mine = pages();
	first = start(first_child);
	second = start(second_child);
	remember("parent");
	close(ring[0][0]);
	close(ring[1][0]);
	close(ring[1][1]);
	close(ring[2][1]);
	for (sent = 0; sent < UNDER_WAY; sent++)
		send_one(sent);
	while (next < rounds && get(ring[2][0], &i)) {
		expect("what came back", i, next++);
		check_self();
		count(mine, i, true);
		usleep(1000);
		send_one(sent++);
	}
	close(ring[0][1]);
	finish("the first child", first, 11);
	finish("the second child", second, 12);
	expect("no more children", wait(NULL) < 0 && errno == ECHILD, 1);
	printf("family: %lu rounds, nothing lost, nothing twice\n", next);
	return 0;
}
