/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the measurement share.
 */
#ifndef _BENCH_H
#define _BENCH_H

#include "../cptdev_test.h"

#define MIB		(1UL << 20)
#define RUN		4UL		/* pages written in a row */
#define MAX_ROUNDS	101

/* bench.c */
extern unsigned int rounds;
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
double now_us(void);

/* figure.c: what one line of the result says, the median of its rounds */
struct figure {
	double v[MAX_ROUNDS];
	unsigned int n;
};

void figure_add(struct figure *f, double value);
void figure_print(const struct figure *f, const char *unit, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Round by round; nothing if one of the two wasn't measured. */
void figure_ratio(const char *name, const char *above, const char *below);
/* The same under another name, multiplied. */
void figure_scaled(const char *name, const char *of, double factor, const char *unit);
void figure_kernel(const char *name);

/*
 * memory.c: the memory and its changes. A round writes to the same pages as the one
 * before, each gets the round's stamp.
 */
extern struct memory {
	char *m;
	size_t pages;
	uint64_t stamp;
	size_t *list;			/* the pages that are written */
	size_t nr_dirty;
	bool *dirty;			/* the same, by page */
	bool *found;			/* what a method says */
	struct cptdev_region *region;	/* the same, as it says it */
	size_t nr_regions;
	size_t max_regions;
	char *copy;			/* of the pages found */
} t;

void memory_get(size_t pages, bool locked);
/* The same with memory that is mapped already, not locked. */
void memory_get_at(char *m, size_t pages);
void memory_put(void);
/* From now on @nr pages are written, in runs, spread evenly. */
void memory_spread(size_t nr);
/* One more; when all are told, they are written in ascending order. */
void memory_change(size_t page);
void memory_sort(void);
void memory_write(void);
void memory_write_all(void);
/* Before and after a method: nothing of what another one did is left. */
void memory_begin(void);
void memory_end(void);
/* The regions as pages. */
void memory_found(void);
/* What PAGEMAP_SCAN and the like don't do: freeze the pages they found. */
void memory_copy(void);
void memory_check_copy(const char *method);
static inline uint64_t *memory_at(size_t page)
{
	return (uint64_t *)(t.m + page * PAGE);
}

/* A page that changed; they come in ascending order, or one by one. */
static inline void memory_region(size_t page)
{
	unsigned long addr = (unsigned long)t.m + page * PAGE;

	if (!t.nr_regions || t.region[t.nr_regions - 1].end != addr)
		t.region[t.nr_regions++] = (struct cptdev_region){ .start = addr };
	t.region[t.nr_regions - 1].end = addr + PAGE;
}

/*
 * A way to find or freeze what changed. A round is: the program writes; settle(); stop(),
 * which the program stands still for, and copy(), if stop() froze nothing; check(), whether
 * the answer was right.
 */
struct method {
	const char *name;
	bool (*begin)(void);		/* false: this kernel doesn't have it */
	void (*settle)(void);		/* or NULL: look at, end what the writes went on under */
	void (*stop)(void);
	void (*copy)(void);		/* or NULL */
	void (*check)(void);
	void (*end)(void);
	bool freezes;			/* stop() leaves the content as it was */
	bool finds;			/* and says which pages changed */
};

extern const struct method fork_method;			/* fork.c */
extern const struct method softdirty_method;		/* pagemap.c */
extern const struct method pagemap_scan_method;		/* pagemap.c */
extern const struct method uffd_wp_method;		/* uffd.c */
extern const struct method sigsegv_method;		/* sigsegv.c */
extern const struct method snapshot_method;		/* cptdev.c ... */
extern const struct method snapshot_open_method;
extern const struct method snapshot_full_method;
extern const struct method scan_method;
extern const struct method scan_first_method;
extern const struct method scan_pipe_method;

/* pagemap.c */
int pagemap_open(void);
void pagemap_read(int fd);
/* Pages whose entry has this bit as @set. */
void pagemap_regions(unsigned int bit, bool set);

/* uffd.c: write protection that ends without anybody's help; -1: not on this kernel */
int uffd_async(void);
void uffd_protect(int uffd, uint64_t start, uint64_t end, bool protect);

/* measure.c */
void measure(const struct method *method, const char *label);

/* held.c: memory; free pages, and what makes them right */
void held_measure(void);
long free_pages(void);
void settle_memory(void);

/* first.c: a first image, at once or in rounds */
void first_measure(void);

/* chain.c: on the way to the spare */
void chain_measure(void);

/* bytes.c: how many bytes that is */
void bytes_measure(void);

/* ship.c: the same in instructions, and its parts */
void ship_measure(void);

/* criu.c: how long CRIU keeps the same program frozen */
void criu_measure(void);

/* program.c: how long cptdev-run stops a program with the same memory; the program itself */
void program_measure(void);
void program_be(unsigned int more_threads);

/* redis.c: how long BGSAVE stops Redis, and SNAPSHOT as much memory */
void redis_measure(void);
void redis_cptdev(void);

/* seeds.c: what was measured before, by others, once more */
void seeds_fork(void);
void seeds_cptdev(void);
void seeds_ratios(void);

/* shapes.c: heaps of other shapes */
void shapes_fork(void);
void shapes_cptdev(void);
void shapes_ratios(void);

#endif /* _BENCH_H */
