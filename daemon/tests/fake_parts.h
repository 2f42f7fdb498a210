/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the fake's replicas share. */
#ifndef TESTS_FAKE_PARTS_H
#define TESTS_FAKE_PARTS_H

#include "fake_replica.h"

/* fake_user.c: memory of the caller's, which may be no memory. 0 or -EFAULT. */
int user_read(void *to, u64 from, u64 len);
int user_write(u64 to, const void *from, u64 len);

/* fake_image.c: what is in a replica. */
int replica_info(struct fake_fd *d, struct cptdev_image_info *info);
int replica_vec(const struct fake_replica *r, unsigned int cmd, struct cptdev_image_vec *arg);
const struct cptdev_segment *layout_find(const struct fake_layout *l, u64 addr);

/* fake_stage.c: staging and commit. */
void stage_drop(struct fake_replica *r);
int replica_begin(struct fake_replica *r, int fd, const struct cptdev_replica_begin *b);
int replica_stage(struct fake *f, struct fake_replica *r,
		  const struct cptdev_replica_stage *arg);
int replica_commit(struct fake *f, struct fake_replica *r,
		   struct cptdev_replica_commit *arg);
/* Stage @len bytes at @pos, all in one page. */
int stage_bytes(struct fake *f, struct fake_replica *r, u64 pos, const void *from,
		size_t len);

#endif
