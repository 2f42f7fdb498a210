/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The simulator: the daemons of two or three hosts, as they are, in one process and in virtual
 * time. The linker puts the functions __wrap_* in place of the system's (--wrap, see the Makefile): clocks,
 * sockets and epoll. Everything else is the program that is installed. One seed decides all that
 * happens; nothing depends on how fast this machine is.
 *
 *   world.c     hosts, virtual time, the main loop
 *   net.c       connections: delay, cuts in one direction, resets
 *   wrap.c      what the daemons call: sockets, epoll, clocks
 *   engine.c    sessions and replicas of a host, and its power
 *   prog.c      the programs and their clients
 *   history.c   the truth: every state that a program ever had
 *   third.c     a host that takes the place of another one
 *   check.c     what must hold after each step
 *   split.c     a split brain, and daemons that are started anew
 *   takeback.c  programs that ask before they begin, and take their state back
 *   moving.c    planned switch-overs
 *   verifying.c comparisons of replicas
 *   schedule.c  events from a seed; replay, shortening
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "daemon.h"
#include "fake.h"

#define SIM_HOSTS	3		/* two of them are configured for each other */
#define SIM_PAGES	6U
#define SIM_NAME	"service"
#define SIM_PORT	7475

#define MS(n)		((u64)(n) * NSEC_PER_MSEC)

/*
 * Random numbers
 */

struct rng {
	u64 x;
};

void rng_seed(struct rng *r, u64 seed, u64 stream);
u64 rng_next(struct rng *r);
/* From @lo to @hi, both included. */
u64 rng_range(struct rng *r, u64 lo, u64 hi);
/* True once in @n. */
bool rng_one_in(struct rng *r, u32 n);

/*
 * History: a tree of states. A state is what a program's memory has after one write.
 */

struct state {
	u32 parent;
	u32 depth;
	u32 writer[SIM_PAGES];		/* the state in which each page was written last */
};

void history_reset(void);
/* The state after a write to some pages of @parent; 0 is the empty memory. */
u32 history_write(u32 parent, struct rng *r);
const struct state *history_state(u32 id);
/* Does @id have everything that @of has? */
bool history_has(u32 id, u32 of);
/* What page @page must be filled with. */
u64 history_fill(u32 id, u32 page);

/*
 * Hosts
 */

enum prog_role { PROG_NONE, PROG_SPARE, PROG_PRIMARY };

/* Publications that were not acknowledged to the client yet. */
#define PROG_WINDOW	3

struct prog {
	enum prog_role role;
	u64 wake;			/* it does nothing before */
	u64 restart;			/* 0: it runs, or isn't to be started */
	struct fake_session *session;
	u64 term;
	u32 state;			/* of its memory */
	u32 acked;			/* newest state that its client was told to be safe */
	u64 gen[PROG_WINDOW];
	u32 pending[PROG_WINDOW];
	u32 nr_pending;
	bool serves;			/* PRIMARY: it took over, or was acknowledged once */
	u64 ignored;			/* SPARE: term of a promotion that is older than it */
	bool waits;			/* SPARE: it polls the replica */
	u64 ask_at;			/* SPARE: it asks the daemon again, 0: never so far */
};

/* What becomes of the fence command that runs. */
enum sim_fence { FENCE_NONE, FENCE_OFF, FENCE_DONE, FENCE_FAILS, FENCE_HANGS, FENCE_KILLED };

struct sim_host {
	int nr;
	char name[8];
	bool power;
	bool runs;			/* the daemon */
	u64 stopped_until;		/* SIGSTOP of the daemon */
	u64 prog_stopped_until;
	s64 drift_ppm;
	u64 mono_off;			/* ns */
	s64 wall_off;
	u64 boot;			/* number of the boot */
	u64 daemon_start;		/* when it is started, 0: not planned */
	u64 daemon_away;		/* after it left in order, ns */
	struct fake fake;
	struct daemon daemon;
	struct conf conf;
	struct prog prog;
	bool dying;			/* its daemon is killed: nothing is written any more */
	enum sim_fence fence;
	u64 fence_at;			/* when the command has its result */
	u64 late_write;			/* mutants: when @late gets to the disk */
	struct record late;
	u64 taken;			/* term of the promotion that was claimed */
	/* The replica when its pages were looked at last: commits, the state that it had. */
	const struct soft_replica *checked_replica;
	u64 checked;
	u8 checked_uuid[CPTDEV_UUID_LEN];	/* another one may have its place */
	u32 checked_state;
};

struct sim_counts {
	u64 writes, acks, reads, refused, takeovers, turns, packets, taken_back, kept, moved, verified;
};

struct sim {
	u64 now;			/* ns, virtual */
	u64 seed;
	struct sim_host host[SIM_HOSTS];
	u32 hosts;			/* so many there are: 2 or 3 */
	int pair[2];			/* those that are configured for each other */
	struct sim_host *cur;		/* whose code runs */
	struct rng rng_net, rng_prog;
	/* What clients know. */
	u32 top;			/* newest state that somebody was told to be safe */
	u64 top_term;
	u64 acked_at;			/* when somebody acknowledged last */
	bool ended;			/* the service was ended in order */
	bool ended_known;		/* on both hosts: they were linked since */
	u64 ended_at;
	u64 linked_since;		/* 0: they aren't */
	u32 failures;			/* since both hosts had everything */
	bool in_sync;
	struct sim_counts counts;
	bool failed;
	char why[512];
};

extern struct sim sim;

/* What a schedule may do, and what is checked. */
struct sim_rules {
	bool careless_promote;		/* a person promotes whatever there is */
	bool careless_start;		/* programs are started anew as primaries, and empty */
};

extern struct sim_rules rules;

/* world.c */
void world_open(u64 seed);
void world_close(void);
/* Run until that time, or until something is wrong. */
void world_run(u64 until);
void world_left(struct sim_host *h);
/* Of the two that are configured for each other: one, the other, and whether it is one of them. */
struct sim_host *world_pair(u32 i);
struct sim_host *world_other(const struct sim_host *h);
bool world_paired(const struct sim_host *h);
void world_address(struct sockaddr_storage *ss, int nr);
u64 world_mono(const struct sim_host *h);

/* engine.c */
void engine_boot(struct sim_host *h);
void engine_power_off(struct sim_host *h);
void engine_daemon_start(struct sim_host *h);
void engine_daemon_kill(struct sim_host *h);
struct fake_session *engine_session(struct sim_host *h, u64 term);
/* @end: CPTDEV_END_*, @code: exit status or signal. */
void engine_session_end(struct sim_host *h, struct fake_session *s, u32 end, u32 code);
u64 engine_publish(struct sim_host *h, struct fake_session *s, u32 state);
/* The state that a replica has: false if there is none; torn: sim_fail(). */
bool engine_replica(struct sim_host *h, u32 *state, u64 *term, bool *promoted);
/* Is a spare attached? */
bool engine_follows(struct sim_host *h, const struct fake_session *s);
bool engine_allows(struct sim_host *h, const struct fake_session *s);
/* The newest generation that the session published. */
u64 engine_published(struct sim_host *h, u64 id);
void engine_remove(struct sim_host *h);
void engine_waits(struct sim_host *h, bool waits);
/* 0: the promotion is this program's, with @term. */
int engine_claim(struct sim_host *h, u64 *term);
void engine_forget(struct sim_host *h);
int engine_promote(struct sim_host *h, bool force);

/* disk.c */
void disk_reset(void);
void disk_lose(struct sim_host *h);
/* The term of its record, 0: it has none. */
u64 disk_term(const struct sim_host *h);
/* What a mutant wrote too late is there now. */
void disk_late(struct sim_host *h);

/* net.c */
void net_reset(void);
u64 net_next(void);
void net_deliver(void);
void net_cut(int from, int to, bool cut);
bool net_is_cut(int from, int to);
/* All ends on this host are gone, without a word. */
void net_power_off(int host);
void net_latency(u64 base_ns, u64 jitter_ns, u32 late_one_in, u64 late_ns);

/* wrap.c */
bool wrap_ready(int epfd);
void wrap_reset(void);

/* prog.c */
void prog_start(struct sim_host *h, enum prog_role role);
void prog_make_spare(struct sim_host *h);
/* A person lets it go on with what it has, and @term; it says nothing before @wake. */
void prog_go_on(struct sim_host *h, u64 term, u64 wake);
/* The primary ends in order. */
void prog_leave(struct sim_host *h);
void prog_crash(struct sim_host *h);
void prog_step(struct sim_host *h);
u64 prog_next(const struct sim_host *h);
void client_step(void);
u64 client_next(void);
void client_reset(void);

/* takeback.c */
void takeback_settings(u64 seed, struct conf *conf);
/* In every seed, not in one of four. */
void takeback_everywhere(void);
/* In every seed the last generation is kept, not in one of five. */
void takeback_keeps_everywhere(void);
/* The program on the spare's host is started. */
void takeback_first_spare(struct sim_host *h);
/* A failure that follows from a step of it. */
u64 takeback_trouble_at(void);
void takeback_trouble(struct sim_host *h);
bool takeback_rules(const struct sim_host *h);
/* Before a program begins: false: it tries again later. */
bool takeback_begins(struct sim_host *h);
void takeback_waits(struct sim_host *h);
/* While it waits, now and then: false: it ends. */
bool takeback_goes_on(struct sim_host *h);
/* A promotion was claimed: was its state taken back? */
void takeback_count(struct sim_host *h);
u64 takeback_next(const struct sim_host *h);

/* moving.c */
void moving_reset(void);
/* In every seed, not in one of three. */
void moving_everywhere(void);
bool moving_seed(u64 seed);
void moving_begin(void);
/* A failure in the midst of one. */
u64 moving_trouble_at(void);
void moving_trouble(void);
/* Before the memory of its program is forgotten. */
void moving_program(struct sim_host *h);
/* It takes no writes. */
bool moving_stopped(const struct sim_host *h);
/* It was handed over to a host that was replaced since, whose record a person has read: it goes on. */
bool moving_replaced(struct sim_host *h);
/* The program takes over: has it all that the other one had, if that was stopped for it? */
void moving_taken(struct sim_host *h, u32 state, u64 term);

/* check.c */
void check_step(void);
void check_ack(struct sim_host *h, u32 state, u64 term);
void check_read(struct sim_host *h, u32 state);
/* Does this host have all that was acknowledged, in a program or in a replica? */
bool check_copy(struct sim_host *h);
/* Should somebody serve? Not if it was ended. */
bool check_served(void);
/* A failure was injected. */
void check_failure(const char *what);
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* story.c */
void story(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Of the many things that clients do, those of the last seconds. */
void story_client(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void story_clients(u64 from);
void story_show(bool show);
void story_log(int level, const char *text);

#endif
