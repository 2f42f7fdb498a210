/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The soft engine: a delta that a program hands over. */
#ifndef CPTDEV_SOFT_PUBLISH_H
#define CPTDEV_SOFT_PUBLISH_H

#include "soft.h"
#include "softwire.h"

/* Most extents of one delta. */
#define SOFT_EXTENTS_MAX	(1U << 20)

/*
 * Read and check what is beside the pages in @file, which is taken over on success. Returns 0,
 * -EINVAL, -E2BIG, -EMSGSIZE, -EFAULT: an extent outside the layout, -ENOMEM.
 */
int soft_publish_read(struct soft_snap *snap, const struct soft_publish *p, int *file);

#endif
