/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEV_NLPARSE_H
#define CPTDEV_NLPARSE_H

#include <libmnl/libmnl.h>

#include "kernel_event.h"

/*
 * A message of the family as a record, handed to @fn. Attributes that are not known, or
 * not of the length that they should have, are passed over. Returns false when it holds
 * no record at all.
 */
bool nlparse_event(const struct nlmsghdr *nlh, kernel_event_fn fn, void *arg);

#endif
