/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cptdevd as a process, as on a host of its own. */
#ifndef TESTS_MACHINE_H
#define TESTS_MACHINE_H

#include <sys/types.h>

/* With this configuration. It ends with the test, also with one that fails. */
pid_t machine_start(const char *conf);
/* Sends it @sig and waits for its end; any other child of the test, too. 0 is none, and what is left. */
void machine_end(pid_t *pid, int sig);

#endif
