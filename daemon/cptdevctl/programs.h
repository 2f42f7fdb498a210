/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_PROGRAMS_H
#define CPTDEVCTL_PROGRAMS_H

#include "kernel.h"

/*
 * The soft engine of the daemon at the control socket @socket, also on a host that has the module; NULL:
 * that daemon has none.
 */
struct kernel *programs_kernel(const char *socket);

#endif
