/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEV_NAME_H
#define CPTDEV_NAME_H

#include "types.h"

/* @len bytes that are a name as the module takes it: 1 to 63 of [A-Za-z0-9._-]. */
bool name_valid(const char *name, size_t len);

#endif
