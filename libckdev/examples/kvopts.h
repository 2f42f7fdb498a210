/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvstore: options, and how it gives up.
 */
#ifndef KVOPTS_H
#define KVOPTS_H

#include <stdint.h>

/* Exit status, beside 0 and 1. */
#define EXIT_USAGE	2
#define EXIT_FENCED	3	/* a spare took over: stay away */
#define EXIT_CKDEV	4	/* the module isn't there, or refuses */
#define EXIT_UNDECIDED	5	/* a person has to decide what becomes of the state */

enum kv_role { ROLE_PRIMARY, ROLE_SPARE, ROLE_ALONE };

struct kv_options {
	const char *name;
	const char *bind;
	const char *pidfile;
	const char *control;		/* of cptdevd, which is asked before a primary begins */
	enum kv_role role;
	uint16_t port;
	uint64_t arena_size;
	uint32_t session_flags;
	unsigned int stats_s;
	unsigned int stall_ms;
};

/* Ends the program if they are wrong, or only help is wanted. */
void kv_options_parse(struct kv_options *opt, int argc, char **argv);

const char *kv_role_name(enum kv_role role);

/* Say why on stderr, and end. */
__attribute__((format(printf, 2, 3), noreturn))
void kv_die(int status, const char *fmt, ...);

#endif /* KVOPTS_H */
