/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs for the restart bench: their memory is of hs_malloc(3), and they go on step by step. */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stddef.h>

#define WORK_CLASS	1

struct work {
	const char *name;
	unsigned int mib;		/* of memory */
	/* Returns the state, in memory of WORK_CLASS, or NULL. */
	void *(*make)(size_t bytes);
	/* An answer, or another small piece of the work. Returns something that depends on it. */
	unsigned long (*step)(void *state);
	/* In each process, before anything else; may be NULL. */
	void (*begin)(void);
};

/* The last one has no name. */
extern const struct work works[];
const struct work *work_find(const char *name);

#endif /* BENCH_WORK_H */
