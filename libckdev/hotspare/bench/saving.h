/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program whose host is lost. It changes its memory and takes a checkpoint when a client asks
 * for that, and answers when its spare has it.
 */
#ifndef BENCH_SAVING_H
#define BENCH_SAVING_H

#include <stdbool.h>
#include <stddef.h>

#define PAGE		4096UL
#define SAVING_NAME	"takeover"

/* How much memory it has, and how many pages change before each checkpoint, in runs of four. */
struct load {
	unsigned long mib;
	size_t changed;
};

/* In the environment of a process that shall be the program. */
void saving_describe(const struct load *load);
/* Is this process the program? */
bool saving_wanted(void);
int saving_main(int argc, char **argv);

/*
 * Questions of a client; each waits for @patience_ms at most.
 *
 * saving_saved(): how many checkpoints there are. @since: when the program went on, us.
 * saving_save(): one more.
 */
unsigned long saving_saved(double *since, double patience_ms);
void saving_save(double patience_ms);
/* A program that is gone answers nobody. */
void saving_forget(void);

/* CLOCK_REALTIME, us. */
double now_us(void);
void rest_us(unsigned int us);

#endif /* BENCH_SAVING_H */
