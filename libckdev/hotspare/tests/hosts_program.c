// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * For scripts with hosts.sh: a server that goes from host to host, and a client that goes on
 * asking.
 *
 *	hosts_program [OPTIONS OF THE LIBRARY] -- ADDRESS...	the server
 *	hosts_program ask ADDRESS [TIMES]			the client
 *	hosts_program keep PROGRAM [ARGUMENT]...		a parent that doesn't wait for its child
 *
 * Each connection gets a line "HOST N" and is closed. HOST is that of the environment, N one
 * more than in any answer before. " alone" behind it says that no spare has it. A server that
 * may not serve closes without a line, unless CARELESS is in the environment.
 *
 * With MEMORY_MIB in the environment the server has so much memory, and says "HOST wrong" when a page of
 * it isn't what it was.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../hotspare.h"
#ifdef HS_MUTANTS
#include "../index.h"

unsigned int hs_lazy_mutant;
#endif
#include "child.h"

#define CLASS		0
#define ADDRESSES	4
#define PORT		"7000"
/* After which a client asks anew. */
#define ANSWER_MS	300

struct server {
	unsigned long *memory;
	size_t words;
	unsigned long answers;
	int nr, listener[ADDRESSES];
};

static struct addrinfo *address(const char *text)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *found;

	CHECK(!getaddrinfo(text, PORT, &hints, &found));
	return found;
}

/*
 * The server
 */

static bool may_serve(void)
{
	int ret = getenv("CARELESS") ? 1 : hs_may_serve();

	if (ret >= 0)
		return ret;
	fprintf(stderr, "%s\n", hs_error());
	exit(1);
}

/* A word of each page. */
#define WORDS		(4096 / sizeof(unsigned long))

static bool is_right(const struct server *s)
{
	size_t i;

	for (i = 0; i < s->words; i += WORDS)
		if (s->memory[i] != i + 1)
			return false;
	return true;
}

static void answer(struct server *s, int fd)
{
	int to = accept(fd, NULL, NULL);
	char line[64];
	int len, alone;

	if (to < 0)
		return;
	if (!may_serve()) {
		close(to);
		return;
	}
	s->answers++;
	if (!is_right(s)) {
		len = snprintf(line, sizeof(line), "%s wrong\n", getenv("HOST"));
		send(to, line, (size_t)len, MSG_NOSIGNAL);
		close(to);
		return;
	}
	alone = hs_cpt(HSCPT_INCR);
	if (alone)
		fprintf(stderr, "no spare: %s\n", hs_error());
	len = snprintf(line, sizeof(line), "%s %lu%s\n", getenv("HOST"), s->answers,
		       alone ? " alone" : "");
	send(to, line, (size_t)len, MSG_NOSIGNAL);
	close(to);
}

static void serve(void *arg)
{
	struct pollfd p[ADDRESSES];
	struct server *s = arg;
	int i;

	printf("serves\n");
	fflush(stdout);
	for (;;) {
		for (i = 0; i < s->nr; i++)
			p[i] = (struct pollfd) { .fd = s->listener[i], .events = POLLIN };
		if (poll(p, (nfds_t)s->nr, -1) < 0)
			continue;
		for (i = 0; i < s->nr; i++)
			if (p[i].revents)
				answer(s, p[i].fd);
	}
}

static int listen_on(const char *text)
{
	struct addrinfo *a = address(text);
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int)));
	CHECK(!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, 64));
	freeaddrinfo(a);
	return fd;
}

static void take_memory(struct server *s)
{
	size_t mib = (size_t)atol(getenv("MEMORY_MIB") ?: "0"), i;

	if (!mib)
		return;
	CHECK(!hs_malloc_create(CLASS + 1, (mib + 1) << 20));
	s->memory = hs_malloc(CLASS + 1, mib << 20);
	CHECK(s->memory);
	s->words = (mib << 20) / sizeof(*s->memory);
	for (i = 0; i < s->words; i += WORDS)
		s->memory[i] = i + 1;
}

static int be_server(int argc, char **argv)
{
	int used, i;
	struct server *s;

#ifdef HS_MUTANTS
	hs_lazy_mutant = (unsigned int)atoi(getenv("MUTANT") ?: "0");
#endif
	used = hs_init(argc, argv);
	if (used < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, 4096));
	s = hs_calloc(CLASS, 1, sizeof(*s));
	CHECK(s && argc - used - 1 <= ADDRESSES);
	take_memory(s);
	for (i = used + 1; i < argc; i++) {
		s->listener[s->nr] = listen_on(argv[i]);
		CHECK(!hs_fdreg(s->listener[s->nr++]));
	}
	CHECK(!hs_threadreg(serve, s));
	serve(s);
	return 0;
}

/*
 * The client
 */

static int ask_once(const struct addrinfo *a)
{
	const struct timeval tv = { .tv_usec = ANSWER_MS * 1000 };
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[64];
	ssize_t n = -1;

	CHECK(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (!connect(fd, a->ai_addr, a->ai_addrlen))
		n = recv(fd, line, sizeof(line) - 1, MSG_WAITALL);
	if (n > 0)
		printf("%.*s", (int)n, line);
	else
		printf("nothing: %s\n", n ? strerrorname_np(errno) : "closed");
	fflush(stdout);
	close(fd);
	return n > 0 ? 0 : -1;
}

/* Exit status: was the last one answered? */
static int be_client(const char *text, long times)
{
	struct addrinfo *a = address(text);
	int ret = -1;

	for (; times; times--) {
		ret = ask_once(a);
		usleep(20000);
	}
	freeaddrinfo(a);
	return ret ? 1 : 0;
}

/* What isn't waited for is there to be looked at: a daemon sees how it ended. */
static int keep(char **argv)
{
	siginfo_t info;
	pid_t pid = fork();

	if (!pid) {
		end_with_parent();
		execv(argv[0], argv);
		_exit(127);
	}
	CHECK(pid > 0 && !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	end_with_parent();
	if (argc > 2 && !strcmp(argv[1], "keep"))
		return keep(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "ask"))
		return be_client(argv[2], argc > 3 ? atol(argv[3]) : -1);
	return be_server(argc, argv);
}
