// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * For redis.sh: a server whose processes are forked before there is a connection, and accept from one listener.
 * Each connection has a counter, in memory of the process that has accepted it: "INCR" answers as redis-server
 * does, and "GET".
 *
 *	prefork ADDRESS PORT PROCESSES
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS	64
#define LINE		64

static struct client {
	unsigned long long count;
	size_t len;
	char line[LINE];
} clients[CONNECTIONS];
static struct pollfd fds[CONNECTIONS + 1];

static bool say(int fd, const char *text, int len)
{
	return send(fd, text, (size_t)len, MSG_NOSIGNAL) == len;
}

static bool answer(int fd, struct client *c)
{
	char number[LINE], text[2 * LINE];
	int n;

	if (!strncmp(c->line, "INCR", 4))
		return say(fd, text, snprintf(text, sizeof(text), ":%llu\r\n", ++c->count));
	n = snprintf(number, sizeof(number), "%llu", c->count);
	return say(fd, text, snprintf(text, sizeof(text), "$%d\r\n%s\r\n", n, number));
}

/* False: the connection has ended, or makes no sense. */
static bool hear(int fd, struct client *c)
{
	char buf[512];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT), i;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	for (i = 0; i < n; i++) {
		if (buf[i] != '\n' && c->len < LINE)
			c->line[c->len++] = buf[i];
		else if (buf[i] != '\n' || !answer(fd, c))
			return false;
		else
			c->len = 0;
	}
	return n;
}

static void meet(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), i;

	for (i = 1; fd >= 0 && i <= CONNECTIONS; i++)
		if (fds[i].fd < 0) {
			fds[i] = (struct pollfd) { .fd = fd, .events = POLLIN };
			clients[i - 1] = (struct client) { 0 };
			return;
		}
	if (fd >= 0)
		close(fd);
}

__attribute__((noreturn))
static void serve(int listener)
{
	int i;

	fds[0] = (struct pollfd) { .fd = listener, .events = POLLIN };
	for (i = 1; i <= CONNECTIONS; i++)
		fds[i].fd = -1;
	for (;;) {
		if (poll(fds, CONNECTIONS + 1, -1) < 0)
			continue;
		for (i = 1; i <= CONNECTIONS; i++)
			if (fds[i].fd >= 0 && fds[i].revents && !hear(fds[i].fd, &clients[i - 1])) {
				close(fds[i].fd);
				fds[i].fd = -1;
			}
		if (fds[0].revents)
			meet(listener);
	}
}

static int listen_at(const char *address, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)&a, sizeof(a)) || listen(fd, 64))
		return -1;
	return fd;
}

int main(int argc, char **argv)
{
	int listener = argc == 4 ? listen_at(argv[1], argv[2]) : -1, i;
	pid_t pid;

	if (listener < 0) {
		perror("prefork");
		return 2;
	}
	for (i = 0; i < atoi(argv[3]); i++) {
		pid = fork();
		if (!pid)
			serve(listener);
		if (pid < 0)
			return 2;
	}
	puts("Ready to accept connections");
	fflush(stdout);
	while (wait(NULL) > 0)
		;
	return 1;
}
