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
/* The same for a descriptor that there is; it is taken over, also on failure. */
int soft_file_add(struct soft *s, int fd, enum soft_kind kind);
void soft_event(struct soft *s, u8 cmd, const struct session_rec *session,
		const struct replica_rec *replica);
int soft_info(struct soft *s, struct cptdev_info *info);
int soft_ioctl(struct soft *s, int fd, unsigned int cmd, void *arg,
	       const struct soft_caller *who);

/* soft_close.c: close a file that may have much memory, without keeping the caller waiting. */
void soft_close_pages(int fd);

/* soft_pages.c: 0 or -errno; all numbers are of pages. */
void soft_pages_init(struct soft_pages *p);
void soft_pages_free(struct soft_pages *p);
/* Put @nr pages from @data at page @page. *@done: so many are there, on failure as well. */
int soft_pages_write(struct soft_pages *p, u64 page, const void *data, u64 nr, u64 *done);
/* Pages in [start, end), or outside of the layout, are given up. */
void soft_pages_del(struct soft_pages *p, u64 start, u64 end);
void soft_pages_trim(struct soft_pages *p, const struct soft_layout *layout);
/* One page: zeros if it isn't in @p. */
int soft_pages_read(const struct soft_pages *p, u64 page, void *data);
/*
 * Pages one behind the other in a file of soft_packed_file(), from page @at of it on: those of @which
 * in @p go there, or come from there into @p, which may have some of them. On failure some are there.
 */
int soft_packed_file(void);
int soft_pages_pack(const struct soft_pages *p, const struct soft_set *which, int file, u64 at);
int soft_pages_unpack(struct soft_pages *p, const struct soft_set *which, int file, u64 at);
/* One of them, which @which has. */
int soft_packed_read(int file, u64 at, const struct soft_set *which, u64 page, void *data);
void soft_packed_drop(int file, u64 at, u64 nr);
/* The pages that soft_pages_apply() would leave in @p. */
int soft_pages_after(const struct soft_pages *p, const struct soft_pages *new,
		     const struct soft_set *holes, const struct soft_layout *layout,
		     struct soft_set *set);
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

/* soft_snap.c */
struct soft_snap *soft_snap_new(const struct soft_session *se);
void soft_snap_put(struct soft_snap *snap);
/* What changed from @old's base to @new's generation; NULL: no memory. */
struct soft_snap *soft_snap_merge(const struct soft_snap *old, const struct soft_snap *new);
int soft_snap_ioctl(const struct soft_snap *snap, unsigned int cmd, void *arg);

/* soft_session.c */
int soft_session_setup(struct soft *s, const struct cptdev_session_setup *arg,
		       const struct soft_caller *who, u32 pid, struct soft_session **se);
void soft_session_end(struct soft *s, struct soft_session *se);
/* What the next base may be at most. */
u64 soft_session_reach(const struct soft_session *se);
/* Takes over @snap, also on failure. */
int soft_session_publish(struct soft *s, struct soft_session *se, struct soft_snap *snap);
/* Is the answer to WAIT known? Then it is *@ret. @wanted: the generation, @newest: none was asked for. */
bool soft_session_wait(const struct soft_session *se, u64 wanted, bool newest, int *ret);
/* No sign of life came in time, or one came. */
void soft_session_hung(struct soft *s, struct soft_session *se, bool hung);
int soft_session_delta(struct soft *s, int fd, struct cptdev_delta *arg);
int soft_session_keep(struct soft *s, const struct cptdev_keep *arg);
int soft_session_ack(struct soft *s, int fd, const struct cptdev_ack *arg);
void soft_session_unfollow(struct soft *s, int fd);
const struct session_rec *soft_session_rec(struct soft_session *se);

/* As kernel_hold_off(). */
int soft_session_hold_off(struct soft *s, u64 id, u64 until);

/* Has a session of another user than @uid this name? */
bool soft_session_of_other(const struct soft *s, const char *name, u32 uid);

/* soft_page.c: a descriptor that stays the session's, or -errno */
int soft_page_fd(struct soft_session *se);
void soft_page_update(struct soft_session *se);
void soft_page_close(struct soft_session *se);

/* soft_program.c: the programs at the socket */
struct soft_client;
/* Something happened to the session or replica: answer who waits. */
void soft_program_session(struct soft *s, struct soft_session *se);
/* Answer the calls of the program that can be answered by now, without news. */
void soft_program_answer(struct soft_session *se);
/* The program gave a sign of life, by whatever call. */
void soft_program_alive(struct soft_session *se);
void soft_program_replica(struct soft *s, struct soft_replica *r);
/* One thing that the socket has for us; false: nothing more. */
bool soft_program_turn(struct soft *s);
void soft_program_close(struct soft *s);

/* soft_image.c: what is in a replica. */
int soft_image_info(struct soft *s, struct soft_file *f, struct cptdev_image_info *info);
int soft_image_vec(const struct soft_file *f, unsigned int cmd, struct cptdev_image_vec *arg);
/* Entries of a list, from @arg's start on. */
int soft_list_read(const void *v, u64 nr, u32 entry, struct cptdev_image_vec *arg);

/* soft_stage.c: staging and commit. */
void soft_stage_drop(struct soft_replica *r);
int soft_stage_begin(struct soft_replica *r, int fd, const struct cptdev_replica_begin *b);
int soft_stage(struct soft *s, struct soft_replica *r, const struct cptdev_replica_stage *arg);
int soft_stage_commit(struct soft *s, struct soft_replica *r,
		      struct cptdev_replica_commit *arg);
/* The same of what soft_past_back() has staged, without an event. */
int soft_stage_back(struct soft *s, struct soft_replica *r);
int soft_stage_abort(struct soft_replica *r, struct cptdev_replica_commit *arg);
/* Is there room for so many more pages, after past generations and kept replicas have given way? */
bool soft_stage_fits(struct soft *s, struct soft_replica *r, u64 pages);

/* soft_keep.c: generations of a session in the replica of its name. */
int soft_keep_ioctl(struct soft *s, struct soft_session *se, const struct cptdev_keep *arg);
/* It is about to be published. */
void soft_keep(struct soft *s, struct soft_session *se, const struct soft_snap *snap);
/* There is no room for @but: remove a kept replica of a program that has ended. False: there is none. */
bool soft_keep_give_way(struct soft *s, const struct soft_replica *but);

/* soft_replica.c: names, descriptors, who may what. */
int soft_replica_create(struct soft *s, const char *name, u64 max_bytes,
			const struct soft_caller *who, struct soft_replica **r);
int soft_replica_open(struct soft *s, struct cptdev_replica_open *arg,
		      const struct soft_caller *who);
void soft_replica_close(struct soft *s, int fd);
int soft_replica_ioctl(struct soft *s, int fd, unsigned int cmd, void *arg,
		       const struct soft_caller *who);
/* An event, and word to the programs that have it open. */
void soft_replica_tell(struct soft *s, struct soft_replica *r, u8 cmd);
/* Most that the replica may take. */
u64 soft_replica_limit(const struct soft *s, const struct soft_replica *r);
u64 soft_replica_names(const struct soft *s);

#endif
