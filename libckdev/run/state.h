/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: the state of a program at one instant, without the content of its memory, which is
 * in the mirror (mirror.h). The numbers of processes and threads are those of the program's own
 * process number space.
 */
#ifndef RUN_STATE_H
#define RUN_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/user.h>
#include <termios.h>

#include "../hotspare/fd.h"
#include "report.h"

#define RUN_PAGE	4096UL
#define RUN_TOP		0x7ffffffff000UL	/* end of a program's addresses */
#define RUN_SIGNALS	64
#define RUN_XSTATE_MAX	(64U << 10)
#define RUN_AUXV_MAX	1024U
#define RUN_STD		3			/* standard input, output, error */

enum run_map_kind { RUN_ANON, RUN_SHARED, RUN_FILE, RUN_VVAR, RUN_VDSO, RUN_MAP_KINDS };

/* What becomes the memory that processes share, after a restart. */
#define RUN_SHARED_NAME	"cptdev-run:shared"

/* Of madvise(2) and the like, restored after the memory is mapped. */
#define RUN_MAP_GROWS	(1U << 0)	/* MAP_GROWSDOWN */
#define RUN_MAP_NORES	(1U << 1)	/* MAP_NORESERVE */
#define RUN_MAP_LOCKED	(1U << 2)	/* mlock(2) */
#define RUN_MAP_HUGE	(1U << 3)	/* MADV_HUGEPAGE */
#define RUN_MAP_NOHUGE	(1U << 4)	/* MADV_NOHUGEPAGE */
#define RUN_MAP_NOFORK	(1U << 5)	/* MADV_DONTFORK */
#define RUN_MAP_NODUMP	(1U << 6)	/* MADV_DONTDUMP */
#define RUN_MAP_WIPE	(1U << 7)	/* MADV_WIPEONFORK */
#define RUN_MAP_SHARED	(1U << 8)	/* MAP_SHARED of a file that can't be written by it */
#define RUN_MAP_FLAGS	((1U << 9) - 1)

/**
 * struct run_map - a mapping
 * @start:	first byte
 * @end:	byte behind the last one
 * @offset:	RUN_FILE, RUN_SHARED: offset in the file, in what is shared
 * @kind:	enum run_map_kind
 * @prot:	PROT_*
 * @flags:	RUN_MAP_*
 * @empty:	no page is there (not saved)
 * @path:	RUN_FILE: absolute, else NULL
 * @object:	RUN_SHARED: number of what is shared: MAP_SHARED | MAP_ANONYMOUS, or a file in memory (tmpfs)
 *		that has lost its name
 * @device:	RUN_SHARED: of such a file, else 0 (not saved)
 * @inode:	likewise
 * @owns:	RUN_SHARED: its content is saved with this mapping, and with no other process's
 * @size:	RUN_FILE: bytes of the file; RUN_SHARED: of what is shared
 * @sum:	RUN_FILE: XXH3 of the whole file; RUN_VDSO: of the mapping
 */
struct run_map {
	uint64_t start, end, offset;
	enum run_map_kind kind;
	int prot;
	unsigned int flags;
	bool empty;
	char *path;
	uint64_t object;
	dev_t device;
	ino_t inode;
	bool owns;
	uint64_t size, sum;
};

struct run_maps {
	uint32_t nr;
	struct run_map *v;		/* in ascending order */
};

/* As rt_sigaction(2) has it. */
struct run_action {
	uint64_t handler, flags, restorer, mask;
};

struct run_altstack {
	uint64_t sp;
	int32_t flags, reserved;
	uint64_t size;
};

struct run_info {
	uint8_t bytes[128];		/* siginfo_t */
};

struct run_pending {
	uint32_t nr;
	struct run_info *v;
};

struct run_thread {
	pid_t host;			/* its number here (not saved) */
	pid_t tid;
	char comm[16];
	struct user_regs_struct regs;
	uint32_t xstate_len;
	uint8_t *xstate;
	uint64_t mask;			/* of blocked signals */
	struct run_altstack altstack;
	uint64_t robust;		/* get_robust_list(2), or 0 */
	uint64_t tid_address;		/* set_tid_address(2), or 0 */
	uint64_t rseq;			/* 0: none */
	uint32_t rseq_len, rseq_sig;
	int nice, policy, priority;
	cpu_set_t cpus;
	struct run_pending pending;
};

struct run_threads {
	uint32_t nr;
	struct run_thread *v;		/* the first one is the process's */
};

/**
 * struct run_timer - a timer of timer_create(2)
 * @id:		its number
 * @clock:	CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI or CLOCK_PROCESS_CPUTIME_ID
 * @notify:	SIGEV_*
 * @signal:	unless SIGEV_NONE
 * @tid:	SIGEV_THREAD_ID: number of the thread in the program's own space, else 0
 * @value:	what comes with the signal
 * @interval:	nanoseconds, 0: it expires once
 * @left:	nanoseconds until it expires next, 0: it isn't set
 * @waits:	it has expired, and its signal waits to be taken: that isn't in struct run_pending
 * @overrun:	how often it has expired beside: since that signal was sent if @waits, else
 *		timer_getoverrun(2), of the last signal that was taken
 */
struct run_timer {
	int id, clock, notify, signal;
	pid_t tid;
	uint64_t value;
	int64_t interval, left;
	bool waits;
	int overrun;
	/* Not saved: */
	int64_t error;			/* @left may be that much less */
	bool waited;			/* at the first look */
};

struct run_timers {
	uint32_t nr;
	struct run_timer *v;		/* in ascending order of @id */
	const struct run_timer *unknown;	/* its signal waits, and its overruns aren't known (not saved) */
};

/* In the order of struct prctl_mm_map. */
enum run_mm {
	RUN_START_CODE, RUN_END_CODE, RUN_START_DATA, RUN_END_DATA, RUN_START_BRK, RUN_BRK,
	RUN_START_STACK, RUN_ARG_START, RUN_ARG_END, RUN_ENV_START, RUN_ENV_END, RUN_MM
};

/* The numbers of a session and a group are 0 if these are outside of the program's space. */
struct run_process {
	pid_t host;			/* its number here (not saved) */
	pid_t pid;
	pid_t parent, session, group;
	char comm[16];
	char *exe, *directory;
	mode_t umask;
	bool leads_session, leads_group, no_new_privileges;
	uint64_t mm[RUN_MM];
	uint32_t auxv_len;
	uint8_t auxv[RUN_AUXV_MAX];
	struct rlimit limit[RLIM_NLIMITS];
	struct itimerval timer[3];
	struct run_timers timers;
	struct run_action action[RUN_SIGNALS + 1];
	struct run_pending pending;	/* for the process as a whole */
	int64_t monotonic_ns, boottime_ns, realtime_ns;	/* the program's clocks */
	char *cpu;			/* what the processor can do, as words */
};

/* A descriptor that comes from whoever started cptdev-run. */
struct run_inherited {
	int fd, from, flags;
	bool cloexec;
};

/**
 * struct run_place - a descriptor of a process, where the program has several
 * @fd:		its number there
 * @at:		that of the same open file in the list that all processes have in common
 * @cloexec:	it is closed by execve(2)
 */
struct run_place {
	int fd, at;
	bool cloexec;
};

/*
 * A program of several processes has one list: that of the first one, whose numbers are those that this
 * process has itself, and above all others for open files that only other processes have. So an open file
 * that processes share is one, and a pipe between them has both its ends.
 */
struct run_fds {
	struct hs_fds list;
	uint32_t nr_places;
	struct run_place *places;	/* if there are several processes */
	uint32_t nr_inherited;
	struct run_inherited *inherited;
	bool has_termios[RUN_STD];
	struct termios termios[RUN_STD];
	/* Not saved: */
	uint32_t nr_connections;
	uint32_t nr_waiting;		/* connections that the program hasn't accepted yet */
};

/**
 * struct run_zombie - a process that has ended and that its parent hasn't waited for
 * @status:	as wait(2) has it
 */
struct run_zombie {
	pid_t host;			/* its number here (not saved) */
	pid_t pid, parent, session, group;
	int status;
};

#define RUN_PROCESSES_MAX	1024U

/*
 * A session has one address space, and a program may have several. So each process has a slot there: its
 * addresses, which are less than RUN_TOP, and the number of the slot above them. The first process has slot 0.
 * A process keeps its slot; a new one gets the lowest number that is free.
 */
#define RUN_SLOT_SHIFT	47
#define RUN_SLOTS	(RUN_PROCESSES_MAX + 1)

struct run_mirror;

/**
 * struct run_state - a process, and all of the program if it is the first one
 * @slot:	of its addresses in a session
 * @mirror:	memory of one of @others; not a part of the state
 * @nr_others:	other processes of the program; each is behind its parent
 * @others:	these
 * @zombies:	those that have ended
 */
struct run_state {
	struct run_process process;
	struct run_maps maps;
	struct run_threads threads;
	struct run_fds fds;
	uint32_t slot;
	struct run_mirror *mirror;
	uint32_t nr_others, nr_zombies;
	struct run_state *others;
	struct run_zombie *zombies;
};

void run_maps_free(struct run_maps *maps);
void run_threads_free(struct run_threads *threads);
void run_fds_free(struct run_fds *fds);
void run_process_free(struct run_process *p);
void run_timers_free(struct run_timers *timers);
void run_state_free(struct run_state *s);

/* The process number @i of the program, 0: the first one. */
static inline struct run_state *run_state_of(struct run_state *s, uint32_t i)
{
	return i ? &s->others[i - 1] : s;
}

/* May a checkpoint have pages of it? */
static inline bool run_map_has_content(const struct run_map *m)
{
	return m->kind == RUN_SHARED ? m->owns : m->kind <= RUN_FILE && !(m->flags & RUN_MAP_SHARED);
}

/* Where the addresses of the process begin in a session. */
static inline uint64_t run_slot_base(uint32_t slot)
{
	return (uint64_t)slot << RUN_SLOT_SHIFT;
}

static inline uint64_t run_page_up(uint64_t n)
{
	return (n + RUN_PAGE - 1) & ~(RUN_PAGE - 1);
}

#endif /* RUN_STATE_H */
