// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ledger: a server that keeps accounts. A client connects, sends a line, and gets a line:
 *
 *	move NUMBER SUM FROM TO		moves a sum. Requests for FROM are numbered 1, 2, 3 ...
 *	show ACCOUNT			tells the balance
 */
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct account {
	struct account *next;
	char name[16];
	long balance;
	long last;			/* number of the last request */
};

struct ledger {
	struct account *accounts;
	int listener;
};

/* Returns the account of this name, a new one if there is none. */
static struct account *find(struct ledger *l, const char *name)
{
	struct account *a;

	for (a = l->accounts; a; a = a->next)
		if (!strcmp(a->name, name))
			return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		err(1, "calloc");
	strncpy(a->name, name, sizeof(a->name) - 1);
	a->next = l->accounts;
	l->accounts = a;
	return a;
}

static void move(long sum, struct account *from, struct account *to)
{
	from->balance -= sum;
	to->balance += sum;
}

/* Carries out the request in @line, and replaces it with the answer. */
static void request(struct ledger *l, char *line, size_t size)
{
	char name[16], other[16];
	struct account *a;
	long number, sum;

	if (sscanf(line, "move %ld %ld %15s %15s", &number, &sum, name, other) == 4) {
		a = find(l, name);
		if (number > a->last) {		/* otherwise this is a repetition */
			move(sum, a, find(l, other));
			a->last = number;
		}
	} else if (sscanf(line, "show %15s", name) != 1) {
		snprintf(line, size, "unknown request");
		return;
	}
	snprintf(line, size, "%s %ld", name, find(l, name)->balance);
}

/* Answers one client, and waits for its request no longer than a second. */
static void answer(struct ledger *l, int fd)
{
	const struct timeval second = { .tv_sec = 1 };
	FILE *f = fdopen(fd, "r");
	char line[80];

	if (!f)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (fgets(line, sizeof(line), f)) {
		request(l, line, sizeof(line));
		dprintf(fd, "%s\n", line);
	}
	fclose(f);
}

static void serve(void *arg)
{
	struct ledger *l = arg;
	struct pollfd p = { .fd = l->listener, .events = POLLIN };

	fprintf(stderr, "ledger: ready\n");
	for (;;)
		if (poll(&p, 1, 1000) == 1)
			answer(l, accept(l->listener, NULL, NULL));
}

static int listen_on(unsigned short port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 64))
		err(1, "port %d", port);
	return fd;
}

int main(void)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (!l)
		err(1, "calloc");
	l->listener = listen_on(7000);
	signal(SIGPIPE, SIG_IGN);
	serve(l);
}
