/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_FAKE_REPLICA_H
#define TESTS_FAKE_REPLICA_H

#include "fake.h"

int fake_new_fd(struct fake *f, enum fake_kind kind);
void fake_replica_event(struct fake *f, u8 cmd, const struct fake_replica *r);

struct fake_replica *fake_replica_new(struct fake *f, const char *name, u32 uid);
int fake_replica_open(struct fake *f, struct cptdev_replica_open *arg);
void fake_replica_close(struct fake_replica *r, int fd);
int fake_replica_ioctl(struct fake *f, int fd, unsigned int cmd, void *arg);

/* Of all replicas, content and staged. */
u64 fake_replica_pages(const struct fake *f);

#endif
