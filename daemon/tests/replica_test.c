// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that plays the module answers for replicas as the module does: the cases that
 * the module is tested with, in a guest, run here against the fake. Where the two differ,
 * the daemon's tests show something that isn't so.
 */
#define T_ENGINE "engine_fake.h"
#include "../../selftests/replica.c"
