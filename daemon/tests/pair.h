/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two daemons in one process, each with a kernel that plays the module, linked over
 * loopback. They take turns; a test waits for a condition and not for a time.
 */
#ifndef TESTS_PAIR_H
#define TESTS_PAIR_H

#include "daemon.h"
#include "fake.h"

#define WAIT_MS	30000

struct host {
	const char *name;
	struct fake fake;
	struct daemon daemon;
	bool runs;
	struct conf conf;
	char dir[64];
	int deaf[3];			/* host_lose(): -1 */
	int looks;			/* a client of ours, see answers.h; -1: there is none */
};

struct pair {
	struct host a;		/* the primary of most tests */
	struct host b;
};

/* Both running, B knows A's port and the other way round, and both links are up. */
void pair_open(struct pair *p);
void pair_close(struct pair *p);
/* The same, for cmocka: *state is the pair. */
int pair_setup(void **state);
int pair_teardown(void **state);

void host_open(struct host *h, const char *name, u16 port);
void host_start(struct host *h);
/* As if the process had been killed: nobody is told, the kernel closes its sockets. */
void host_kill(struct host *h);
/*
 * As if its power were cut: nobody answers on its port any more, neither a daemon nor a
 * kernel. host_start() brings it back, without what its sessions had.
 */
void host_lose(struct host *h);
void host_stop(struct host *h, struct host *other);
void host_close(struct host *h);
/* The records of a host that doesn't run are lost. */
void state_clear(struct host *h);

/* The spare has all that the session published. */
bool pair_committed(const struct fake_session *s);
void publish_some(struct host *h, struct fake_session *s, u32 page, u8 value);

/*
 * Let both run for a while. On a busy machine one turn may take all of that time: there are
 * several in any case, so that what one of them sent has reached the other.
 */
void pair_run(struct pair *p, u32 ms);

/* Run until the condition holds; fail when it doesn't within WAIT_MS. */
#define WAIT_FOR(p, cond)						\
	do {								\
		u64 until_ = clock_mono() + WAIT_MS * NSEC_PER_MSEC;	\
		while (!(cond) && clock_mono() < until_)		\
			pair_run(p, 0);					\
		if (!(cond))						\
			fail_msg("not within %u ms: %s", WAIT_MS, #cond); \
	} while (0)

struct peer *host_peer(struct host *h);
struct ship *host_ship(struct host *h, const char *name);
bool host_linked(struct host *h);
/* A port that nobody uses, and nobody else gets until host_close(). */
u16 free_port(void);

#endif
