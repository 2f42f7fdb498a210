/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests: what cmocka doesn't have. */
#ifndef HS_TESTS_CHILD_H
#define HS_TESTS_CHILD_H

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* In children. */
#define CHECK(x) do {								\
		if (!(x)) {							\
			fprintf(stderr, "# line %d: %s (errno %s)\n", __LINE__, #x,	\
				strerrorname_np(errno));				\
			_exit(1);						\
		}								\
	} while (0)

/* Nobody else's, and not of the kernel's own choice: what is here can be saved. */
#define CHOSEN	((void *)0x510000000000UL)

/* In a child that is about to become a program: it ends when the test does. */
static inline void end_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Forbidden in some containers: then programs can't be restored. */
static inline bool fixed_addresses(void)
{
	int old = personality(0xffffffff);
	bool can = old >= 0 && personality((unsigned long)old | ADDR_NO_RANDOMIZE) >= 0;

	if (can)
		personality((unsigned long)old);
	else
		printf("# address randomisation can't be switched off here\n");
	return can;
}

/* Of this test's own, with or without a network of its own. */
static inline int own_port(void)
{
	return 20000 + getpid() % 5000 * 2;
}

/*
 * A network of our own, where that is permitted: between two processes nobody else takes
 * the ports.
 */
static inline bool own_network(void)
{
	struct ifreq lo = { .ifr_name = "lo" };
	int s;

	if (unshare(CLONE_NEWNET)) {
		printf("# in the host's network: %s\n", strerrorname_np(errno));
		return false;
	}
	s = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(s, SIOCGIFFLAGS, &lo))
		perror("# lo");
	lo.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &lo))
		perror("# lo");
	close(s);
	return true;
}

#endif /* HS_TESTS_CHILD_H */
