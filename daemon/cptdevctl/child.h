/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other programs that a verb needs. */
#ifndef CPTDEVCTL_CHILD_H
#define CPTDEVCTL_CHILD_H

/*
 * Runs @argv, which execvp(3) finds, and waits for it. Its standard input is @in, or nothing if that is
 * negative; its output and errors go to @out and @err, or if these are negative to where ours go. Returns
 * the exit status, 128 + a signal, or a negative errno.
 */
int child_run(const char *const *argv, int in, int out, int err);

#endif
