/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs that the daemon runs: no shell, and nobody waits for them. */
#ifndef CPTDEVD_COMMAND_H
#define CPTDEVD_COMMAND_H

#include <sys/types.h>

/* Of a configured command line, split at blanks. */
#define COMMAND_WORDS	64

/* @words points into @line, which is changed; NULL ends them. Their number. */
unsigned int command_split(char *line, char **words);

/*
 * Start it. @out: where its output can be read (not blocking), in a process group of its own;
 * NULL: the daemon's, in the daemon's group. 0 or a negative errno.
 */
int command_start(char *const argv[], char *const envp[], pid_t *pid, int *out);
/* Kill the process group of a command that was started with @out. */
void command_kill(pid_t pid);

#endif
