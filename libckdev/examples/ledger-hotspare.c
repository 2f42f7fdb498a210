// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ledger: a server that keeps accounts. A client connects, sends a line, and gets a line:
 *
 *	move NUMBER SUM FROM TO		moves a sum. Requests for FROM are numbered 1, 2, 3 ...
 *	show ACCOUNT			tells the balance
 *	check				makes a dry run of a take-over
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <hotspare.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEDGER	0			/* the class of memory that is saved */

struct account {
	struct account *next;
	char name[16];
	long balance;
	long last;			/* number of the last request */
};

struct ledger {
	struct account *accounts;
	pthread_mutex_t lock;		/* of the accounts; taken between hs_hold() and hs_release() */
	int listener;
};

/* Returns the account of this name, a new one if there is none. */
static struct account *find(struct ledger *l, const char *name)
{
	struct account *a;

	for (a = l->accounts; a; a = a->next)
		if (!strcmp(a->name, name))
			return a;
	a = hs_calloc(LEDGER, 1, sizeof(*a));
	if (!a)
		err(1, "hs_calloc");
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

static void lock(struct ledger *l)
{
	hs_hold();
	pthread_mutex_lock(&l->lock);
}

static void unlock(struct ledger *l)
{
	pthread_mutex_unlock(&l->lock);
	hs_release();
}

/* The bank pays interest, each second. */
static void interest(void *arg)
{
	struct ledger *l = arg;

	for (;; sleep(1)) {
		lock(l);
		move(1, find(l, "bank"), find(l, "savings"));
		unlock(l);
	}
}

/*
 * Takes a checkpoint. Returns 1 if the spare has it, 0 if there is no spare, and -1 if clients may
 * not be told anything.
 */
static int save(void)
{
	static int before = -2;
	int ret = 1;

	if (hs_cpt(HSCPT_INCR))
		ret = errno == ENOTCONN || errno == ENOENT ? 0 : -1;
	if (ret < 0 && errno == ESTALE)
		hs_rejoin();		/* another program has taken over: be its spare */
	if (hs_may_serve() != 1)
		ret = -1;
	if (ret != before)
		fprintf(stderr, "ledger: %s\n", ret > 0 ? "answers are safe" : hs_error());
	before = ret;
	return ret;
}

/* Answers one client, and waits for its request no longer than a second. */
static void answer(struct ledger *l, int fd)
{
	const struct timeval second = { .tv_sec = 1 };
	FILE *f = fdopen(fd, "r");
	char line[80];
	int saved;

	if (!f)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (fgets(line, sizeof(line), f)) {
		if (!strcmp(line, "check\n")) {
			snprintf(line, sizeof(line), "findings: %d", hs_check());
		} else {
			lock(l);
			request(l, line, sizeof(line));
			unlock(l);
		}
		saved = save();
		if (saved >= 0)
			dprintf(fd, "%s%s\n", line, saved ? "" : ", not saved");
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
		else if (hs_wanted())
			save();
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

int main(int argc, char *argv[])
{
	struct ledger *l;

	if (hs_init(argc, argv) < 0)
		return 1;
	if (hs_malloc_create(LEDGER, 1 << 20))
		err(1, "hs_malloc_create");
	l = hs_calloc(LEDGER, 1, sizeof(*l));
	if (!l)
		err(1, "hs_calloc");
	l->listener = listen_on(7000);
	signal(SIGPIPE, SIG_IGN);
	pthread_mutex_init(&l->lock, NULL);
	if (hs_fdreg(l->listener) || hs_sigreg(SIGPIPE) || hs_threadreg(serve, l) ||
	    hs_threadreg(interest, l))
		err(1, "register");
	if (hs_run())
		errx(1, "%s", hs_error());
	return 0;
}
