/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_FAKE_REPLICA_H
#define TESTS_FAKE_REPLICA_H

#include <sys/types.h>

#include "fake.h"

int fake_new_fd(struct fake *f, enum fake_kind kind);
void fake_replica_event(struct fake *f, u8 cmd, const struct fake_replica *r);

/* fake_replica.c: names, descriptors, who may what. */
struct fake_replica *fake_replica_new(struct fake *f, const char *name, u32 uid);
int fake_replica_open(struct fake *f, struct cptdev_replica_open *arg);
void fake_replica_close(struct fake *f, int fd);
int fake_replica_ioctl(struct fake *f, int fd, unsigned int cmd, void *arg);
/* poll(), pread() and pwrite(); -errno. */
short fake_replica_poll(const struct fake *f, int fd);
ssize_t fake_replica_pread(struct fake *f, int fd, void *buf, size_t len, u64 pos);
ssize_t fake_replica_pwrite(struct fake *f, int fd, const void *buf, size_t len, u64 pos);
/* Bytes of all replicas, and how many have a name. */
u64 fake_replica_bytes(const struct fake *f);
/* The most that they may be. */
u64 fake_replica_max(const struct fake *f);
u64 fake_replica_names(const struct fake *f);

/* Of all replicas, content and staged. */
u64 fake_replica_pages(const struct fake *f);

#endif
