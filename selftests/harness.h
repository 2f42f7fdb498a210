/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's harness for tests in C. A single test has as long as the runner gives to the whole program
 * (TIMEOUT in its .vm file), which ends one that hangs: on a debug kernel in emulation, beside other work,
 * the harness's own 30 seconds are too few for tests that take one.
 */
#ifndef CPTDEV_HARNESS_H
#define CPTDEV_HARNESS_H

#include "kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	600

#endif /* CPTDEV_HARNESS_H */
