// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The shortest program whose memory survives the loss of its host: it counts. On the spare,
 * then on the master:
 *
 *	hello-hotspare -s
 *	hello-hotspare -m -a 127.0.0.1
 *
 * Kill the master: the spare counts on. On two hosts with cptdevd: -s -S hello, and -m -S hello.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <hotspare.h>

#define NUMBERS	1			/* a class of memory: any number will do */

struct state {
	unsigned long count;
};

static void count(void *arg)
{
	struct state *s = arg;

	for (;; sleep(1)) {
		s->count++;
		/* Once the spare has it, it may be told. */
		if (!hs_cpt(HSCPT_INCR))
			printf("%lu\n", s->count);
		else if (errno == ESTALE)
			hs_rejoin();	/* the other one counts on */
		else
			printf("%lu (no spare: %s)\n", s->count, hs_error());
		fflush(stdout);
	}
}

int main(int argc, char *argv[])
{
	struct state *s;

	/* A spare stays in here; when it takes over it runs what is registered below. */
	if (hs_init(argc, argv) < 0)
		return 1;
	if (hs_malloc_create(NUMBERS, 4096))
		return 1;
	s = hs_calloc(NUMBERS, 1, sizeof(*s));
	if (!s || hs_threadreg(count, s))
		return 1;
	count(s);
}
