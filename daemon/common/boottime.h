/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEV_BOOTTIME_H
#define CPTDEV_BOOTTIME_H

#include "types.h"

/* CLOCK_BOOTTIME in nanoseconds: the clock of timers, time-outs and leases. */
u64 clock_mono(void);
/* Nanoseconds of CLOCK_REALTIME, for what is shown. */
u64 clock_wall(void);

#endif
