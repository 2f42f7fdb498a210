/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the soft engine share. */
#ifndef CPTDEV_SOFT_PARTS_H
#define CPTDEV_SOFT_PARTS_H

#include "soft.h"

/* soft_user.c: memory of the caller's, which may be no memory. 0 or -EFAULT. */
int soft_user_read(void *to, u64 from, u64 len);
int soft_user_write(u64 to, const void *from, u64 len);

/* soft.c */
/* A new descriptor; the engine's close() takes it away. Or -errno. */
int soft_file_new(struct soft *s, enum soft_kind kind);
void soft_event(struct soft *s, u8 cmd, const struct session_rec *session,
		const struct replica_rec *replica);
int soft_ioctl(struct soft *s, int fd, unsigned int cmd, void *arg,
	       const struct soft_caller *who);

/* soft_pages.c: 0 or -errno; all numbers are of pages. */
void soft_pages_init(struct soft_pages *p);
void soft_pages_free(struct soft_pages *p);
/* Put @nr pages from @data at page @page. *@done: so many are there, on failure as well. */
int soft_pages_write(struct soft_pages *p, u64 page, const void *data, u64 nr, u64 *done);
/* One page: zeros if it isn't in @p. */
int soft_pages_read(const struct soft_pages *p, u64 page, void *data);
/*
 * Bring @p to what @new and @holes make of it, and to nothing outside @layout. On failure it
 * is as it was, or, on -EIO, torn.
 */
int soft_pages_apply(struct soft_pages *p, const struct soft_pages *new,
		     const struct soft_set *holes, const struct soft_layout *layout);

/* soft_layout.c */
/* The segment with @addr, or NULL. */
const struct cptdev_segment *soft_layout_find(const struct soft_layout *l, u64 addr);
bool soft_layout_covers(const struct soft_layout *l, u64 addr, u64 len);
/* Is the list what a layout may be? 0 or -EINVAL. */
int soft_layout_check(const struct soft_layout *l);
int soft_layout_read(struct soft_layout *l, u64 from, u32 nr);
void soft_layout_free(struct soft_layout *l);

/* soft_image.c: what is in a replica. */
int soft_image_info(struct soft *s, struct soft_file *f, struct cptdev_image_info *info);
int soft_image_vec(const struct soft_replica *r, unsigned int cmd,
		   struct cptdev_image_vec *arg);
/* Entries of a list, from @arg's start on. */
int soft_list_read(const void *v, u64 nr, u32 entry, struct cptdev_image_vec *arg);

/* soft_stage.c: staging and commit. */
void soft_stage_drop(struct soft_replica *r);
int soft_stage_begin(struct soft_replica *r, int fd, const struct cptdev_replica_begin *b);
int soft_stage(struct soft *s, struct soft_replica *r, const struct cptdev_replica_stage *arg);
int soft_stage_commit(struct soft *s, struct soft_replica *r,
		      struct cptdev_replica_commit *arg);
int soft_stage_abort(struct soft_replica *r, struct cptdev_replica_commit *arg);

/* soft_replica.c: names, descriptors, who may what. */
int soft_replica_create(struct soft *s, const char *name, u64 max_bytes,
			const struct soft_caller *who, struct soft_replica **r);
int soft_replica_open(struct soft *s, struct cptdev_replica_open *arg,
		      const struct soft_caller *who);
void soft_replica_close(struct soft *s, int fd);
int soft_replica_ioctl(struct soft *s, int fd, unsigned int cmd, void *arg,
		       const struct soft_caller *who);
/* Most that the replica may take. */
u64 soft_replica_limit(const struct soft *s, const struct soft_replica *r);
u64 soft_replica_names(const struct soft *s);

#endif
