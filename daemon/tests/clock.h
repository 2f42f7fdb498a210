/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clock of the tests, in place of clock_mono(). It stands still while the test's process
 * doesn't run: two daemons that share a process are stopped together on a busy machine, and
 * neither of them may take that for the silence of the other.
 */
#ifndef TESTS_CLOCK_H
#define TESTS_CLOCK_H

#include "loop.h"

/* As if all daemons of this process had not run for @ns. */
void clock_jump(u64 ns);

#endif
