/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of programs with a session name: the program that they start. It tells what was saved
 * only when it is, and looks at all that it has when it goes on: memory, variables that share
 * pages with other variables, sections, descriptors, of one instant. Behind "program.h".
 */
#ifndef HS_TESTS_PUBLISHED_H
#define HS_TESTS_PUBLISHED_H

#include "../hotspare.h"

#define CLASS	1
#define PAGES	40
#define PAGE	4096UL

struct state {
	unsigned long n;
	unsigned long alone;
	unsigned char *excluded;	/* two pages */
	int pipe[2];
	unsigned char page[PAGES * PAGE];
};

/* Beside variables of the library, which is a part of this program. */
static unsigned long variable = 1;
static unsigned long zeroed;
static unsigned char many[3 * PAGE] = { 1 };
static unsigned char large[4 << 20];

static void change(struct state *s)
{
	unsigned long was;

	s->n++;
	s->page[s->n % PAGES * PAGE] = (unsigned char)s->n;
	memset(s->excluded, (int)s->n | 1, 2 * PAGE);
	variable = s->n + 1;
	zeroed = s->n;
	many[s->n % sizeof(many)] = (unsigned char)s->n;
	many[sizeof(many) - 1] = (unsigned char)s->n;
	if (*setting("LARGE"))
		memset(large, (int)s->n, sizeof(large));
	CHECK(!hs_section_set("n", &s->n, sizeof(s->n)));
	CHECK(read(s->pipe[0], &was, sizeof(was)) == sizeof(was));
	CHECK(write(s->pipe[1], &s->n, sizeof(s->n)) == sizeof(s->n));
}

static void check(const struct state *s)
{
	unsigned long n, i;

	CHECK(s->page[s->n % PAGES * PAGE] == (unsigned char)s->n);
	CHECK(variable == s->n + 1 && zeroed == s->n);
	CHECK(many[sizeof(many) - 1] == (unsigned char)s->n && many[0] == 1);
	CHECK(hs_section_get("n", &n, sizeof(n)) == sizeof(n) && n == s->n);
	CHECK(read(s->pipe[0], &n, sizeof(n)) == sizeof(n) && n == s->n);
	CHECK(write(s->pipe[1], &n, sizeof(n)) == sizeof(n));
	for (i = 0; i < 2 * PAGE; i++)
		CHECK(!s->excluded[i]);
}

static int take(struct state *s)
{
	int i;

	for (i = 0; *setting("ASYNC") && i < 5; i++) {
		if (hs_cpt(HSCPT_ASYNC | HSCPT_INCR))
			return -1;
		change(s);
	}
	return hs_cpt(HSCPT_INCR) || hs_cpt_wait() ? -1 : 0;
}

/* Idle, but there: until the test ends it. */
static void idle(void)
{
	unsigned long n, wanted = 0;

	for (n = 0;; rest(10)) {
		tell("idle", ++n);
		if (hs_may_serve() < 0)
			hs_rejoin();
		if (*setting("HEEDS") && hs_wanted() && !hs_cpt(HSCPT_INCR))
			tell("wanted", ++wanted);
	}
}

/* At @n, what a test has asked for. */
static void stop_at(unsigned long n)
{
	if (*setting("LIMIT") && n == strtoul(setting("LIMIT"), NULL, 0)) {
		CHECK(!hs_stop());
		exit(0);
	}
	if (*setting("IDLE") && n == strtoul(setting("IDLE"), NULL, 0))
		idle();
	while (*setting("LOOP") && n == strtoul(setting("LOOP"), NULL, 0))
		;
}

static void work(void *arg)
{
	struct state *s = arg;
	bool may_serve = true;

	if (s->n) {
		check(s);
		tell("again", s->n);
		CHECK(!*setting("PAUSE") || !raise(SIGSTOP));
	}
	for (;;) {
		stop_at(s->n);
		change(s);
		/* The control: what is called saved before there is anything to save will be missed. */
		if (*setting("LIES"))
			tell("saved", s->n + 1);
		if (!take(s)) {
			/* A fence may come behind the checkpoint: then this was the last one. */
			CHECK(may_serve);
			may_serve = hs_may_serve() >= 0;
			tell("saved", s->n);
		} else if (errno == ESTALE) {
			CHECK(hs_may_serve() < 0);
			tell("fenced", s->n);
			hs_rejoin();
			CHECK(false);
		} else {
			CHECK(errno == ENOTCONN || errno == ETIMEDOUT || errno == EDQUOT ||
			      errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOENT ||
			      errno == ECANCELED || errno == EAGAIN);
			if (errno == EDQUOT || *setting("SAY"))
				fprintf(stderr, "%s\n", hs_error());
			tell("alone", ++s->alone);
		}
	}
}

/* With a TCP socket, output of the program may be held. */
static void listen_too(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && !listen(fd, 1) && !hs_fdreg(fd));
}

static int program(int argc, char **argv)
{
	const unsigned long none = 0;
	struct state *s;

	end_with_parent();
	open_out();
	CHECK(!*setting("ERR") || (freopen(setting("ERR"), "a", stderr) &&
				   !setvbuf(stderr, NULL, _IOLBF, BUFSIZ)));
	if (hs_init(argc, argv) < 0) {
		tell("refused", (unsigned long)errno);
		return 3;
	}
	open_out();
	CHECK(!hs_malloc_create(CLASS, 1 << 20));
	s = hs_calloc(CLASS, 1, sizeof(*s));
	CHECK(s);
	s->excluded = hs_aligned_alloc(CLASS, PAGE, 2 * PAGE);
	CHECK(s->excluded && !hs_exclude(s->excluded, 2 * PAGE));
	CHECK(!hs_range(&variable, sizeof(variable)) && !hs_range(&zeroed, sizeof(zeroed)) &&
	      !hs_range(many, sizeof(many)));
	CHECK(!*setting("LARGE") || !hs_range(large, sizeof(large)));
	CHECK(!pipe(s->pipe) && !hs_fdreg(s->pipe[0]) && !hs_fdreg(s->pipe[1]));
	CHECK(write(s->pipe[1], &none, sizeof(none)) == sizeof(none));
	if (*setting("LISTEN"))
		listen_too();
	CHECK(!hs_threadreg(work, s));
	work(s);
	return 0;
}

#endif /* HS_TESTS_PUBLISHED_H */
