/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the fuzzer share.
 *
 *   fuzz.c		the parent: starts processes, kills some, watches the oracles
 *   fuzz/worker.c	a process and its threads; what is checked about each call
 *   fuzz/ioctl.c	the grammar of the ioctls, and how they are spoilt
 *   fuzz/files.c	read, write, splice, mmap ... of the descriptors
 *   fuzz/netlink.c	requests to the generic netlink family
 *   fuzz/memory.c	what a process does with its memory and descriptors meanwhile
 *
 * A descriptor has a fixed number by its kind (a slot), also after fork and exec. So it
 * may be closed meanwhile, but is never of another kind.
 */
#ifndef CPTDEV_FUZZ_H
#define CPTDEV_FUZZ_H

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>

#include "../cptdev_test.h"

#define PROCS		3
#define THREADS		3
#define LOGS		(THREADS + 1)	/* of a process: one more for its children */
#define RING		24		/* calls remembered of each thread */
#define KINDS_MAX	96
#define ERRNO_MAX	140
#define FAILURES_MAX	8
#define FUZZ_NAMES	5		/* of sessions, and of replicas */

/* Slots: numbers of descriptors. */
#define SHARED_FD	99
#define DEVICE_FD	100
#define DEVICES		4
#define SNAPSHOT_FD	110
#define SNAPSHOTS	8
#define REPLICA_FD	120
#define REPLICAS	6
#define OTHER_FD	130		/* /dev/null, a pipe, a memfd, an O_PATH one */
#define OTHERS		4

enum slot { DEVICE, SNAPSHOT, REPLICA, OTHER, NO_SLOT };

/* The memory that is tracked, at the same place in each process: half of it may be huge. */
#define ARENA		0x300000000000UL
#define ARENA_LEN	(2 * HUGE)
#define ARENA_PAGES	(ARENA_LEN / PAGE)
/* What replicas are said to be the copy of. */
#define IMAGE_LEN	(256 * PAGE)

#define ARG_LEN		(4 * PAGE)
#define VEC_LEN		(32 * PAGE)
#define DATA_LEN	(64 * PAGE)

/* In what way a call was spoilt. */
#define BAD_SIZE	(1U << 0)
#define BAD_FLAGS	(1U << 1)
#define BAD_POINTER	(1U << 2)
#define BAD_RESERVED	(1U << 3)
#define BAD_KIND	(1U << 4)	/* a descriptor of another kind */
#define BAD_COMMAND	(1U << 5)
#define BAD_FIELD	(1U << 6)	/* the call's own errors must cover it */
#define BAD_NAMES	"size", "flags", "pointer", "reserved", "kind", "command", "field"

/* What kinds of call there are. */
#define OWN	(1U << 0)	/* EXDEV in any other address space */
#define CAP	(1U << 1)	/* EPERM without capabilities */
#define NEW_FD	(1U << 2)	/* returns a descriptor */
#define NEVER	(1U << 3)	/* shall never work */
#define AROUND	(1U << 4)	/* no call of cptdev: what happens around it */

struct thread;

enum field_type { F_NUMBER, F_POINTER, F_LENGTH, F_RESERVED, F_NAME, F_OUT };

struct field {
	uint16_t offset;
	uint16_t width;
	enum field_type type;
};

struct kind {
	const char *name;
	unsigned int weight;
	void (*run)(struct thread *t, const struct kind *k);
	unsigned int flags;
	const short *errors;		/* of its own, 0 at the end */
	/* of an ioctl */
	unsigned long cmd;
	enum slot slot;
	uint32_t size;
	uint32_t known_flags;
	const struct field *fields;
	void (*fill)(struct thread *t, int fd, void *arg);
	void (*done)(struct thread *t, const void *arg);
};

#define ERRORS(...)	((const short[]){ __VA_ARGS__, 0 })
#define NO_ERRORS	((const short[]){ 0 })

struct kind_group {
	const struct kind *v;
	size_t nr;
};

extern const struct kind_group ioctl_group, sequence_group, file_group, netlink_group,
	memory_group;

struct entry {
	uint64_t n;
	uint16_t kind;
	uint16_t bad;
	int32_t fd;
	int32_t ret;			/* RUNNING until it is over */
	uint64_t word[8];		/* of the argument */
};

#define RUNNING	INT32_MAX

struct log {
	uint64_t n;
	struct entry v[RING];
};

struct failure {
	int proc, log, kind, err;
	unsigned int bad;
	char why[64];
	struct log calls;
};

/* Shared by all processes. */
struct shared {
	uint64_t seed;
	uint64_t batch;
	bool verbose;
	atomic_ulong calls;
	atomic_ulong per_process[PROCS];
	atomic_ulong ids[PROCS * DEVICES];	/* sessions seen */
	struct {
		atomic_ulong calls, ok;
		atomic_ulong errors[ERRNO_MAX];
	} kind[KINDS_MAX];
	atomic_ulong wrong;
	atomic_uint nr_failures;
	struct failure failure[FAILURES_MAX];
	struct log log[PROCS][LOGS];
	char why[PROCS][128];			/* a process gave up */
};

extern struct shared *shared;

struct thread {
	int proc, nr;
	uint64_t rng;
	bool foreign;			/* not the address space that the sessions belong to */
	bool privileged;
	unsigned int bad;
	struct entry *entry;
	char *arg;			/* below 4 GiB, an unmapped page behind */
	char *arg_readonly;		/* the same memory */
	char *vec;
	char *data;
	int pipe[2];
	int netlink;
	volatile sig_atomic_t guarded;
	sigjmp_buf fault;
};

/* worker.c */
size_t kinds_count(void);
const struct kind *kind_at(size_t i);
const struct kind *kind_named(const char *name);
void fuzz_process(int proc, unsigned long calls, bool privileged);
void fuzz_after_exec(int proc, uint64_t seed, bool privileged);
int fuzz_arg_memory(struct thread *t);
void fuzz_steps(struct thread *t, unsigned long calls);
void fuzz_begin(struct thread *t, const struct kind *k, int fd, const void *words);
int fuzz_end(struct thread *t, const struct kind *k, int ret);
void fuzz_print_log(const struct log *log);
uint64_t fuzz_mix(uint64_t a, uint64_t b);

/* A number below @n. */
static inline uint64_t rnd(struct thread *t, uint64_t n)
{
	return (t_random(&t->rng) >> 11) % n;
}

static inline int fuzz_slot(struct thread *t, enum slot slot)
{
	static const int first[] = { DEVICE_FD, SNAPSHOT_FD, REPLICA_FD, OTHER_FD };
	static const int nr[] = { DEVICES, SNAPSHOTS, REPLICAS, OTHERS };

	return first[slot] + rnd(t, nr[slot]);
}

/* Some pages of the arena, nearly always few: a kernel that looks for mistakes is slow. */
static inline char *fuzz_pages(struct thread *t, size_t *len)
{
	size_t n = rnd(t, 40) ? 1 + rnd(t, 16) : 1 + rnd(t, ARENA_PAGES);
	size_t first = rnd(t, ARENA_PAGES - n + 1);

	*len = n * PAGE;
	return (char *)ARENA + first * PAGE;
}

/* ioctl.c */
int fuzz_ioctl(struct thread *t, const char *name, int fd, void *arg);
uint64_t fuzz_bad_pointer(struct thread *t);
void fuzz_keep(struct thread *t, enum slot slot, int fd);
void fuzz_name(struct thread *t, uint8_t *name);

/* memory.c */
void fuzz_arena(void);

#endif /* CPTDEV_FUZZ_H */
