/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cptbench: what its files share. options.c has the knobs, work.c the program that is
 * checkpointed, method.c the ways to do that, report.c the figures.
 */
#ifndef CPTBENCH_H
#define CPTBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

enum {
	EXIT_FAILED	= 1,
	EXIT_USAGE	= 2,
	EXIT_NO_MODULE	= 3,
};

enum spoil { SPOIL_NOTHING, SPOIL_BYTE, SPOIL_PAGE };

/* As the command line has them. */
struct knobs {
	size_t memory;			/* bytes, of all regions */
	unsigned int regions;
	unsigned int descriptors;
	unsigned int threads;
	unsigned int signals;
	unsigned int share;		/* per cent of the pages that are modified */
	unsigned int contiguity;	/* pages in a row */
	bool scattered;			/* instead of that, single ones */
	size_t untouched;		/* bytes of address space besides, of all regions */
	bool huge;
	unsigned int interval_ms;
	unsigned int count;		/* checkpoints that are measured */
	unsigned int methods;		/* bits, as in the table */
	const char *output;
	bool full;
	bool verify;
	bool json;
	enum spoil spoil;
};

extern struct knobs knobs;

/* options.c */
void options_parse(int argc, char **argv);
void die(int status, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/*
 * work.c: pages are numbered through all regions.
 */
struct header {
	uint32_t kind;			/* 'f'ile, 't'hread, 's'ignal */
	uint32_t nr;
	uint64_t value;
};

extern size_t work_page_size;
extern size_t work_pages;		/* in all */
extern size_t work_modified;		/* of these, in each round */
extern uint32_t *work_stamps;		/* what each page holds */

void work_start(void);
/* All modifications of a round, by the threads. */
void work_modify(void);
void *work_region(unsigned int nr, size_t *len);
/* The same with what is never touched. */
void *work_range(unsigned int nr, size_t *len);
size_t work_index(const void *addr);
/* Does the page hold what it should, with this stamp? */
bool work_page_ok(const void *page, size_t index, uint32_t stamp);
/* What goes with each checkpoint besides memory. Returns bytes. */
size_t work_header(const struct header **header);

/* method.c: what became of a checkpoint. */
struct sent {
	uint64_t pages;
	uint64_t bytes;
	uint64_t wrong;			/* pages, of those that were to be verified */
	double us;			/* from the call to its end */
	double cpu_us;
	int error;			/* errno */
};

struct method {
	const char *name;
	const char *help;
	void (*begin)(void);
	/* The call that the program stands still for. */
	void (*stop)(void);
	/* Wait until all is sent. */
	void (*finish)(void);
	void (*end)(void);
};

#define NR_METHODS	3
extern const struct method methods[NR_METHODS];

void method_prepare(void);
void method_begin(const struct method *method);
/* Of the last checkpoint, when it is finished. */
const struct sent *method_sent(void);
/* Before a checkpoint; @last: the one to spoil. */
void method_round(bool last);

/* report.c */
struct figure {
	double *v;
	unsigned int n;
};

struct result {
	const struct method *method;
	struct figure pause, modify, send, cpu;
	double first_pause;		/* of the first checkpoint, which has everything */
	uint64_t pages, bytes;		/* of all checkpoints */
	unsigned int late;		/* not sent within the interval */
	unsigned int verified;
	uint64_t wrong;
};

void report_begin(void);
void report(struct result *r, unsigned int nr);

#endif /* CPTBENCH_H */
