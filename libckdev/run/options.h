/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: the command line. */
#ifndef RUN_OPTIONS_H
#define RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct run_options - the command line
 * @check:	list what is covered, and end
 * @after_ms:	for @check: how long the program runs before
 * @pid:	look at this process, 0: none
 * @name:	of the program, or NULL. Without @file: of the session
 * @spare:	wait for the promotion of the replica @name
 * @programs:	cptdevd's socket for programs, NULL: its usual place
 * @file:	checkpoints go there, or NULL
 * @restart:	start from this file, or NULL
 * @every_ms:	time between checkpoints, 0: only those that cptdevd wants
 * @untied:	the program goes on if cptdev-run dies
 * @stats:	say at the end what it cost
 * @hook:	a command that is told what becomes of the program, or NULL
 * @around:	a command that is run before and after each checkpoint and at a restart, or NULL
 * @hook_s:	how long these may take, seconds
 * @program:	and its arguments, up to NULL
 */
struct run_options {
	bool check;
	uint64_t after_ms;
	pid_t pid;
	const char *name, *file, *restart, *programs;
	uint64_t every_ms;
	bool untied, stats, spare;
	const char *hook, *around;
	unsigned int hook_s;
	char **program;
};

/* Ends the process if there is nothing to do, or the command line is wrong (status 2). */
void run_options_parse(struct run_options *o, int argc, char **argv);

#endif /* RUN_OPTIONS_H */
