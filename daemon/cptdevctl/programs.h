/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_PROGRAMS_H
#define CPTDEVCTL_PROGRAMS_H

#include "kernel.h"

/*
 * What stands for the kernel where the daemon at the control socket @socket has the soft engine,
 * also on a host that has the module; else NULL.
 */
struct kernel *programs_kernel(const char *socket);

#endif
