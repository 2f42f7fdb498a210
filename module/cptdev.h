/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: what the files of the module share.
 *
 * Lock order, outermost first:
 *
 *   session->lock			ranges, marks, generations
 *     mmap_lock of session->mm
 *       VMA locks
 *         i_mmap_rwsem of the proxy (flush)
 *         page-table locks
 *       xa_lock of session->chunks
 *     cptdev_sessions_lock		which sessions exist; ranges across sessions
 *     session->pub_lock (spin)		published snapshots, followers, committed
 *   cptdev_replicas_lock		which replicas exist; under session->lock in SETUP, and
 *				when a generation is kept
 *     cptdev_sessions_lock		whose name it is
 *     replica->stage_lock		staging
 *       replica->sem			content: read by readers, written by commit
 *     replica->pool_lock (spin)	pages kept for the next delta; takes nothing under it
 *
 * A task may hold session->lock while it waits for a process's mmap_lock. This may take long (a
 * fork of much memory holds the mmap_lock). So only the session's own process and the owner of
 * the descriptor take session->lock. The lock that every task needs to find sessions is below it.
 *
 * No task accesses the caller's memory under any of these locks: a caller that handles its own
 * page faults (userfaultfd) could block other tasks for any time.
 *
 * The lock of the list of published snapshots (shrink.c, spin) is taken under none of these
 * spinlocks, and no lock is taken under it. Reclaim runs under any lock that is held over an
 * allocation. So the shrinker takes only this lock and, after it has released this lock,
 * session->pub_lock.
 *
 * The watchdog's worker (alive.c) takes cptdev_sessions_lock, and session->pub_lock under it.
 * A task that waits for this worker holds neither lock. The timer is armed under
 * session->pub_lock, so locks of the workqueue are taken under session->pub_lock.
 *
 * Code that runs under the locks of other tasks takes none of these locks: notifier callbacks
 * (events.c) and the fault handler of a mapped snapshot (snapfile.c) look things up under RCU,
 * or in data that doesn't change. A fault handler that took session->lock would deadlock with
 * SNAPSHOT, which takes the mmap_lock under session->lock. There is one exception: the callback
 * for the end of the address space takes session->pub_lock and, separately, the siglock of the
 * opener (end.c).
 */
#ifndef _CPTDEV_CPTDEV_H
#define _CPTDEV_CPTDEV_H

#include <linux/atomic.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/uuid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <linux/cptdev.h>
#include <linux/cptdev_netlink.h>

#include "arch/pte.h"
#include "compat.h"
#include "track/walk.h"

/* What is mapped in the ranges. Shared by the snapshots that saw the same. */
struct cptdev_layout {
	refcount_t ref;
	u32 nr;
	u32 max;
	u32 nr_read_only;	/* of a session's: mapped without write permission */
	struct cptdev_segment v[];
};

/* The mapping that is unmapped to make the kernel flush the TLB (flush.c). */
struct cptdev_proxy {
	struct file *file;
	unsigned long addr;
};

struct cptdev_session {
	struct kref ref;
	struct list_head entry;		/* cptdev_sessions_lock */
	struct mm_struct *mm;		/* mmgrab()ed */
	u64 id;
	uuid_t uuid;
	char name[CPTDEV_NAME_MAX];	/* sessions_lock and lock; read under either */
	u64 term;
	u32 flags;			/* CPTDEV_SESSION_* */
	kuid_t uid;
	pid_t pid;			/* thread group, initial namespace */
	struct task_struct *opener;	/* its leader, referenced */
	bool listed;			/* in the list, announced */
	u64 listing;			/* its number there, ascending */
	bool dead;			/* the address space is gone */
	union {
		struct work_struct gone_work;
		struct rcu_head rcu;	/* at the very end */
	};
	struct work_struct end_work;
	struct delayed_work alive_work;	/* armed under pub_lock */

	struct mutex lock;		/* ranges, marks, generations */
	struct cptdev_span *ranges;	/* changed under sessions_lock as well */
	u32 nr_ranges;
	u32 max_ranges;
	u64 bytes;			/* in the ranges */
	struct xarray chunks;		/* by address >> CHUNK_SHIFT */
	atomic64_t nr_chunks;
	atomic64_t nr_numbers;		/* of chunks whose pages have a number each */
	struct mmu_notifier notifier;
	bool has_notifier;
	struct hlist_node tracker;	/* of its mm, see mark.c; with the notifier */
	atomic_t invalidating;		/* events under way */
	struct task_struct *splitter;	/* whose split ... */
	unsigned long splitting;	/* ... of this page is no news: cptdev_huge_split() */
	atomic64_t huge_kept;		/* huge pages that cuts have frozen as a whole */
	atomic64_t huge_split;		/* ... and that were split */
	struct cptdev_proxy proxy;
	struct cptdev_swept swept[CPTDEV_SWEEP];	/* of a walk */
	struct cptdev_layout *layout;	/* of the newest cut */
	u64 generation;			/* of the newest cut, whole or not */
	u64 newest;			/* of the newest whole snapshot */
	u64 last_pages;
	u64 last_pause;
	u64 nr_scans;
	u64 nr_snapshots;

	struct cptdev_user *user;
	bool capable;			/* no limit as a user; at the newest snapshot */
	u64 held_max;			/* bytes, 0: the module's */
	atomic64_t held;		/* pages */

	spinlock_t pub_lock;		/* what follows */
	struct list_head published;	/* struct cptdev_snap, oldest first */
	u32 nr_followers;
	u64 pub_newest;			/* generation published last */
	u64 pub_base;			/* reach back to here with the next one */
	u64 pub_afresh;			/* ... and to here instead of pub_newest, unless it is 0 */
	bool keeps;			/* what is published is kept: spare/keep.c */
	u64 kept;			/* the newest one that is, 0: none; published under @lock */
	u64 keep_max;			/* bytes of a replica that is created for it, 0: no limit */
	u64 committed;
	u64 cancelled;			/* up to here nobody will commit */
	u64 committed_seen;		/* for poll */
	u64 cancelled_seen;
	u32 state;			/* CPTDEV_STATE_* */
	u64 lease_until;		/* CLOCK_BOOTTIME, 0: no lease is in use */
	struct page *page;		/* of the session page, or NULL */
	u64 alive_ns;			/* the watchdog's time, 0: off */
	u64 alive_until;		/* CLOCK_MONOTONIC: the next sign of life */
	bool hung;			/* none came; cptdev_sessions_lock as well */
	bool ended;			/* and why: */
	u32 end;			/* CPTDEV_END_* */
	u32 end_code;
	wait_queue_head_t wq;

	struct list_head following;	/* this descriptor's followers of others */
};

/* A spare that follows a session: the daemon's device descriptor stands for it. */
struct cptdev_follower {
	struct list_head file_entry;	/* following, under the owner's lock */
	struct cptdev_session *session;	/* whom it follows, referenced */
};

struct cptdev_snap;
struct cptdev_replica;

/* Meta-data, shared by whoever has it. */
struct cptdev_blob {
	refcount_t ref;
	u32 len;
	u8 data[];
};

/* main.c */
extern struct workqueue_struct *cptdev_wq;
bool cptdev_capable(void);

/*
 * Is @term higher than @known by more than promotions can explain? One such term would be the last:
 * nothing could be promoted above it.
 */
static inline bool cptdev_term_jumps(u64 known, u64 term)
{
	return term > known && term - known > CPTDEV_TERM_STEP;
}

u64 cptdev_held_max(void);
u64 cptdev_replica_max(void);
extern atomic64_t cptdev_held_pages;
extern atomic64_t cptdev_replica_pages;

/*
 * ioctl.c: one table per kind of descriptor. A handler gets the kernel's copy of the
 * argument; what it changes there goes back to the caller, also with an error. A file
 * that it leaves in call->file becomes the descriptor at @fd_offset.
 */
struct cptdev_call {
	struct file *filp;
	struct file *new_file;
	/* Set by a handler that succeeds: called if its answer can't be delivered. */
	void (*undo)(struct cptdev_call *call, void *arg);
	u64 before;			/* for that */
	union {
		char raw[512];
		struct cptdev_info info;
		struct cptdev_image_info image_info;
	} arg;
};

struct cptdev_ioctl_op {
	unsigned int cmd;
	unsigned int size;
	unsigned int min_size;
	unsigned int fd_offset;		/* of the __s32 for new_file, 0: none */
	int (*fn)(struct cptdev_call *call, void *arg);
};

/*
 * 0, if the compiler finds nothing wrong: the size comes first, all of the struct fits in
 * cptdev_call, it has no hole at its end, and the command is one of ours that has no size
 * of its own.
 */
#define CPTDEV_OP_CHECK(_cmd, _struct)					\
	(BUILD_BUG_ON_ZERO(offsetof(struct _struct, size)) +		\
	 BUILD_BUG_ON_ZERO(sizeof_field(struct _struct, size) != sizeof(u32)) +	\
	 BUILD_BUG_ON_ZERO(sizeof(struct _struct) >			\
			   sizeof_field(struct cptdev_call, arg)) +	\
	 BUILD_BUG_ON_ZERO(sizeof(struct _struct) % sizeof(u64)) +	\
	 BUILD_BUG_ON_ZERO((_cmd) != _IO(CPTDEV_IOC_MAGIC, _IOC_NR(_cmd))))

/* The descriptor is an __s32 behind @size. */
#define CPTDEV_OP_CHECK_FD(_struct)					\
	(BUILD_BUG_ON_ZERO(!offsetof(struct _struct, fd)) +		\
	 BUILD_BUG_ON_ZERO(!__same_type(((struct _struct *)NULL)->fd, __s32)))

#define CPTDEV_OP(_cmd, _fn, _struct, _last)				\
	{ .cmd = (_cmd),						\
	  .size = sizeof(struct _struct) + CPTDEV_OP_CHECK(_cmd, _struct), \
	  .min_size = offsetofend(struct _struct, _last), .fn = (_fn) }
#define CPTDEV_OP_FD(_cmd, _fn, _struct, _last)				\
	{ .cmd = (_cmd),						\
	  .size = sizeof(struct _struct) + CPTDEV_OP_CHECK(_cmd, _struct), \
	  .min_size = offsetofend(struct _struct, _last), .fn = (_fn),	\
	  .fd_offset = offsetof(struct _struct, fd) + CPTDEV_OP_CHECK_FD(_struct) }

long cptdev_ioctl(struct file *filp, unsigned int cmd, unsigned long arg,
		  const struct cptdev_ioctl_op *ops, unsigned int nr_ops);
int cptdev_check_name(const u8 *name);

/* device.c */
extern const struct file_operations cptdev_fops;

/* session.c */
extern struct mutex cptdev_sessions_lock;
extern struct list_head cptdev_sessions;
int cptdev_session_open(struct inode *inode, struct file *filp);
int cptdev_session_release(struct inode *inode, struct file *filp);
__poll_t cptdev_session_poll(struct file *filp, struct poll_table_struct *wait);
int cptdev_session_setup(struct cptdev_call *call, void *arg);
struct cptdev_session *cptdev_session_find(u64 id);
bool cptdev_session_of_other(const char *name, kuid_t uid);
void cptdev_session_put(struct cptdev_session *s);
static inline void cptdev_session_get(struct cptdev_session *s)
{
	kref_get(&s->ref);
}

int cptdev_session_enter(struct cptdev_session *s);
int cptdev_session_start(struct cptdev_session *s);
void cptdev_session_list(struct cptdev_session *s);
void cptdev_session_mm_gone(struct cptdev_session *s);
u64 cptdev_sessions_count(void);

/* end.c */
u32 cptdev_end_reason(struct cptdev_session *s, u32 *code);

/* state.c */
void cptdev_state_show(struct cptdev_session *s);
bool cptdev_state_allows(struct cptdev_session *s);
int cptdev_session_mmap(struct file *filp, struct vm_area_struct *vma);
void cptdev_session_page_free(struct cptdev_session *s);
static inline bool cptdev_state_blocked(const struct cptdev_session *s)
{
	return s->state & CPTDEV_STATE_BLOCKED;
}

/* Is a lease in use, and over? */
static inline bool cptdev_lease_over(const struct cptdev_session *s)
{
	return s->lease_until && ktime_get_boottime_ns() >= s->lease_until;
}

/* alive.c */
void cptdev_alive_init(struct cptdev_session *s);
void cptdev_alive_sign(struct cptdev_session *s);
void cptdev_alive_stop(struct cptdev_session *s);
int cptdev_alive(struct cptdev_call *call, void *arg);

/* range.c */
int cptdev_range_add(struct cptdev_call *call, void *arg);
int cptdev_range_del(struct cptdev_call *call, void *arg);
int cptdev_range_clear(struct cptdev_call *call, void *arg);
int cptdev_range_list(struct cptdev_call *call, void *arg);
void cptdev_ranges_free(struct cptdev_session *s);

/* vma.c */
enum cptdev_reason cptdev_vma_refuse(struct vm_area_struct *vma);

/* blob.c */
struct cptdev_blob *cptdev_blob_from_user(u64 uptr, u32 len);
int cptdev_blob_read(const struct cptdev_blob *b, struct cptdev_image_vec *arg);
void cptdev_blob_put(struct cptdev_blob *b);
static inline struct cptdev_blob *cptdev_blob_get(struct cptdev_blob *b)
{
	if (b)
		refcount_inc(&b->ref);
	return b;
}

/* chunk.c */
int cptdev_chunks_init(void);
void cptdev_chunks_exit(void);

/* layout.c */
struct cptdev_layout *cptdev_layout_alloc(u32 max);
struct cptdev_layout *cptdev_layout_from_user(u64 uptr, u32 nr);
int cptdev_layout_read(const struct cptdev_layout *l, struct cptdev_image_vec *arg);
const struct cptdev_segment *cptdev_layout_find(const struct cptdev_layout *l,
						u64 addr);
bool cptdev_layout_covers(const struct cptdev_layout *l, u64 addr, u64 len);
void cptdev_layout_put(struct cptdev_layout *l);
int cptdev_layout_take(struct cptdev_session *s, struct cptdev_walk *w);
static inline bool cptdev_segment_read_only(const struct cptdev_segment *seg)
{
	return seg->kind != CPTDEV_SEGMENT_UNMAPPED && !(seg->prot & PROT_WRITE);
}

static inline struct cptdev_layout *cptdev_layout_get(struct cptdev_layout *l)
{
	refcount_inc(&l->ref);
	return l;
}

/* flush.c */
int cptdev_flush_init(void);
void cptdev_flush_exit(void);
int cptdev_proxy_create(struct cptdev_session *s);
int cptdev_flush_lock(struct cptdev_session *s, bool write);
void cptdev_flush(struct cptdev_session *s);
void cptdev_flush_unlock(struct cptdev_session *s, bool write);
void cptdev_proxy_destroy(struct cptdev_session *s);

/* events.c */
extern const struct mmu_notifier_ops cptdev_notifier_ops;

/* scan.c */
#define CPTDEV_SCAN_FLAGS	(CPTDEV_SCAN_CLEAR_DIRTY | CPTDEV_SCAN_CLEAR_ACCESSED)
#define CPTDEV_SCAN_CATEGORIES	(CPTDEV_PAGE_DIRTY | CPTDEV_PAGE_ACCESSED | \
				 CPTDEV_PAGE_CLEAN | CPTDEV_PAGE_HOLE | \
				 CPTDEV_PAGE_SWAPPED | CPTDEV_PAGE_FILE)
int cptdev_scan(struct cptdev_call *call, void *arg);

/* snapshot.c */
#define CPTDEV_SNAPSHOT_FLAGS	(CPTDEV_SNAPSHOT_SINCE | CPTDEV_SNAPSHOT_PUBLISH | \
				 CPTDEV_SNAPSHOT_NOFD | CPTDEV_SNAPSHOT_WAIT)
int cptdev_snapshot(struct cptdev_call *call, void *arg);

/* publish.c */
#define CPTDEV_NO_BASE	U64_MAX
void cptdev_publish(struct cptdev_session *s, struct cptdev_snap *snap);
u64 cptdev_publish_base(struct cptdev_session *s);
int cptdev_publish_pass(struct cptdev_session *s, u64 base);
u64 cptdev_publish_drop(struct cptdev_session *s);
u64 cptdev_publish_forget(struct cptdev_session *s);
void cptdev_unpublish_all(struct cptdev_session *s);
void cptdev_unpublish(struct list_head *gone);
int cptdev_wait_committed(struct cptdev_session *s, u64 generation,
			  u64 timeout_ns, struct cptdev_wait *out);
int cptdev_wait(struct cptdev_call *call, void *arg);

/* round.c */
int cptdev_round(struct cptdev_call *call, void *arg);

/* follow.c */
void cptdev_unfollow_all(struct cptdev_session *owner);
int cptdev_delta(struct cptdev_call *call, void *arg);
int cptdev_ack(struct cptdev_call *call, void *arg);

/* snapfile.c */
struct file *cptdev_snapfile(struct cptdev_snap *snap);

/* pinned.c */
bool cptdev_folio_in_flight(struct folio *folio);
int cptdev_copy_in_flight(struct cptdev_snap *snap, u64 *copied);

/* replica.c */
#define CPTDEV_REPLICA_FLAGS	(CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_EXCL | \
				 CPTDEV_REPLICA_WRITE)

/* A delta on its way in: what BEGIN said. */
struct cptdev_staging {
	u64 generation;
	u64 base;
	u64 back;			/* no delta: the way back to this commit */
	u64 term;
	uuid_t uuid;
	struct cptdev_layout *layout;
	struct cptdev_blob *meta;	/* or NULL */
	struct cptdev_gone *gone;	/* for what is given up in the end */
	struct cptdev_undo *undo;	/* in a commit: for what it replaces, or NULL */
	unsigned long first;		/* page numbers between which there is something */
	unsigned long last;
	int failed;			/* it can't be whole any more: why */
};

struct cptdev_replica {
	struct kref ref;
	struct list_head entry;		/* cptdev_replicas_lock */
	u64 listing;			/* its number there, ascending */
	bool listed;
	char name[CPTDEV_NAME_MAX];
	kuid_t uid;
	struct cptdev_user *user;
	u64 max_bytes;			/* 0: the module's limit */
	atomic_t openers;
	atomic_t waiters;		/* of them: for the promotion */
	atomic64_t taken;		/* pages, content and staged */
	spinlock_t pool_lock;
	struct list_head pool;		/* pages that were given up, for the next delta */
	u32 pooled;

	struct mutex stage_lock;	/* what is staged, and by whom */
	bool removed;			/* nothing comes in any more */
	struct cptdev_replica_file *stager;
	struct cptdev_staging staging;
	struct xarray *staged;
	u64 nr_staged;
	struct xarray records;		/* since.c; what they say is under @sem */
	u64 nr_records;
	u64 records_max;		/* then those that aren't needed are dropped */
	/* history.c; these change under @sem, too. */
	struct list_head past;		/* generations, the newest first */
	struct list_head views;		/* of descriptors that show one */
	u32 nr_past;
	u32 keep;			/* how many of them */
	u64 past_pages;			/* that they have */
	u64 past_max_bytes;		/* most memory for them, 0: no limit */

	struct rw_semaphore sem;	/* the content */
	struct xarray *pages;
	u64 nr_pages;
	uuid_t uuid;
	u64 term;
	u64 generation;			/* 0: nothing was ever committed */
	u64 committed_ns;		/* CLOCK_REALTIME */
	bool promoted;
	bool kept;			/* of a session of this host; changes under @stage_lock */
	u64 promotions;			/* that there were */
	u64 promoted_ns;		/* CLOCK_REALTIME, 0: not promoted */
	u64 taken_ns;			/* likewise, 0: not taken */
	u32 frozen;			/* descriptors that hold the generation */
	u64 commits;
	u64 since_min;			/* commits before it are forgotten: see since.c */
	unsigned long marked;		/* the last group that the commit under way has marked */
	u64 visited;			/* pages, by the last commit */
	struct cptdev_layout *layout;	/* or NULL */
	struct cptdev_blob *meta;	/* or NULL */
	struct list_head copiers;	/* descriptors that have a copy: copied.c */
	struct work_struct free_work;
	wait_queue_head_t wq;
};

struct cptdev_replica_file {
	struct cptdev_replica *replica;
	bool write;
	bool froze;
	atomic_t waits;			/* it was polled for the promotion */
	u64 promotions;			/* that it was too late for */
	u64 seen;			/* commits at the last IMAGE_INFO */
	/* Under @replica->sem. */
	u64 copied;			/* the last commit that the program's copy has */
	struct list_head copier;	/* in @replica->copiers, unless @copied is 0 */
	struct cptdev_view *view;	/* what it shows; NULL: the newest; and @stage_lock */
};

extern struct mutex cptdev_replicas_lock;
extern struct list_head cptdev_replicas;
extern const struct file_operations cptdev_replica_fops;
u64 cptdev_replicas_count(void);
int cptdev_replica_may(const struct cptdev_replica *r);
struct cptdev_replica *cptdev_replica_find(const char *name);
bool cptdev_replica_of_other(const char *name, kuid_t uid);
void cptdev_replica_put(struct cptdev_replica *r);
struct cptdev_replica *cptdev_replica_for(struct cptdev_session *s, bool create);
void cptdev_replica_drop(struct cptdev_replica *r);
int cptdev_replica_open(struct cptdev_call *call, void *arg);

/* limit.c */
enum cptdev_counted { CPTDEV_SESSIONS, CPTDEV_REPLICAS, CPTDEV_NR_COUNTED };

struct cptdev_user *cptdev_user_take(enum cptdev_counted what);
struct cptdev_user *cptdev_user_share(struct cptdev_user *u, enum cptdev_counted what,
				      bool capable);
void cptdev_user_give(struct cptdev_user *u, enum cptdev_counted what);
void cptdev_user_put(struct cptdev_user *u);
u64 cptdev_user_hold(struct cptdev_user *u, s64 pages);
u64 cptdev_user_held(const struct cptdev_user *u);
u64 cptdev_user_held_max(bool capable);
u64 cptdev_group_left(struct cptdev_session *s);
u64 cptdev_group_room(struct cptdev_session *s);

/* shrink.c */
int cptdev_shrink_init(void);
void cptdev_shrink_stop(void);
void cptdev_shrink_exit(void);

/* gone.c */

/* Pages of a replica that are given up. */
struct cptdev_gone {
	struct work_struct work;
	struct cptdev_replica *replica;	/* referenced */
	struct xarray *pages;		/* or NULL */
	bool reserved;			/* they have places in the content */
	struct list_head list;		/* and these pages */
	struct list_head shared;	/* and these that processes have, too: entry.h */
	u64 nr;
};

int cptdev_gone_init(void);
void cptdev_gone_exit(void);
void cptdev_gone_settle(void);
void cptdev_gone_run(struct work_struct *work, u64 pages);
void cptdev_gone_now(struct work_struct *work, u64 pages);
void cptdev_gone_done(const char *of, u64 pages);
struct cptdev_gone *cptdev_gone_alloc(void);
void cptdev_gone_put(struct cptdev_replica *r, struct cptdev_gone *g);

/* since.c */
void cptdev_since_init(struct cptdev_replica *r);
void cptdev_since_exit(struct cptdev_replica *r);
int cptdev_since_stage(struct cptdev_replica *r, unsigned long index, unsigned long end);
void cptdev_since_mark(struct cptdev_replica *r, unsigned long index);
void cptdev_since_trim(struct cptdev_replica *r);
int cptdev_since_extents(struct cptdev_replica *r, u64 since, u64 *next,
			 struct cptdev_extent *batch, u32 max, bool *more);
u64 cptdev_since_pages(struct cptdev_replica *r, u64 since);

int cptdev_since_each(struct cptdev_replica *r, u64 number,
		      int (*fn)(struct cptdev_replica *r, unsigned long index, void *arg),
		      void *arg);

/* history.c */

/* A generation after its commit. */
struct cptdev_past_state {
	u64 number;			/* of the commit, see since.c */
	u64 generation;
	u64 term;
	u64 committed_ns;
	u64 pages;
	struct cptdev_layout *layout;
	struct cptdev_blob *meta;	/* or NULL */
};

void cptdev_past_state_get(const struct cptdev_replica *r, struct cptdev_past_state *s);
void cptdev_past_state_put(struct cptdev_past_state *s);
struct cptdev_undo *cptdev_past_begin(struct cptdev_replica *r);
void cptdev_past_cancel(struct cptdev_undo *p);
bool cptdev_past_keep(struct cptdev_undo *p, unsigned long index, void *entry);
void cptdev_past_add(struct cptdev_replica *r, struct cptdev_undo *p);
bool cptdev_past_has(const struct cptdev_replica *r, u64 number);
void cptdev_past_trim(struct cptdev_replica *r);
void cptdev_past_clear(struct cptdev_replica *r);
bool cptdev_past_give_way(struct cptdev_replica *r, bool all);
void cptdev_past_exit(struct cptdev_replica *r);
int cptdev_past_some(struct cptdev_replica *r, u64 number, unsigned long *index,
		     int (*fn)(struct xarray *pages, unsigned long index, void *entry,
			       void *arg), void *arg);
int cptdev_past_find(const struct cptdev_replica *r, u64 generation,
		     struct cptdev_past_state *s);
int cptdev_history(struct cptdev_call *call, void *arg);

/* view.c */

/* What a descriptor shows. */
struct cptdev_view {
	struct list_head entry;		/* in replica->views */
	struct cptdev_past_state state;
	struct xarray replaced;		/* its pages that aren't content any more */
	u64 indexed;			/* commits whose pages are all in @replaced */
	unsigned long next;		/* and of the next commit those below */
};

struct cptdev_view *cptdev_view_lock(struct cptdev_replica_file *rf);
struct page *cptdev_view_page(struct cptdev_replica *r, struct cptdev_view *v,
			      unsigned long index);
int cptdev_view_extents(struct cptdev_replica *r, struct cptdev_view *v, u64 *next,
			struct cptdev_extent *batch, u32 max, bool *more);
void cptdev_view_close(struct cptdev_replica_file *rf);
int cptdev_view_at(struct cptdev_call *call, void *arg);
int cptdev_view_back(struct cptdev_replica_file *rf);
void cptdev_view_back_take(struct cptdev_replica *r);

/* copied.c */
int cptdev_copied(struct cptdev_call *call, void *arg);
void cptdev_copied_forget(struct cptdev_replica_file *rf);
u64 cptdev_copied_newest(struct cptdev_replica *r);

/* repio.c */
ssize_t cptdev_replica_read(struct kiocb *iocb, struct iov_iter *to);
ssize_t cptdev_replica_write(struct kiocb *iocb, struct iov_iter *from);

/* page.c */
struct xarray *cptdev_pages_alloc(void);
void cptdev_pages_free(struct cptdev_replica *r, struct xarray *pages);
u64 cptdev_replica_limit(const struct cptdev_replica *r);
struct page *cptdev_page_take(struct cptdev_replica *r);
void *cptdev_page_share(struct cptdev_replica *r, struct page *page);
void cptdev_page_drop(struct cptdev_replica *r, void *entry);
void cptdev_pool_free(struct cptdev_replica *r);

/* stage.c */

/* Staged: the page becomes a hole. */
#define CPTDEV_STAGED_HOLE	xa_mk_value(0)

int cptdev_stage_owner_hint(const struct cptdev_replica_file *rf);
void cptdev_stage_drop(struct cptdev_replica *r);
int cptdev_trimmed(struct cptdev_replica *r, const struct cptdev_layout *old,
		   const struct cptdev_layout *layout,
		   int (*fn)(struct cptdev_replica *r, u64 start, u64 end, void *arg), void *arg);
int cptdev_stage_apply(struct cptdev_replica *r);
int cptdev_stage_put(struct cptdev_replica_file *rf, u64 pos, size_t len,
		     struct page *page);
int cptdev_stage_begin(struct cptdev_call *call, void *arg);
int cptdev_stage(struct cptdev_call *call, void *arg);
int cptdev_stage_commit(struct cptdev_call *call, void *arg);
int cptdev_stage_abort(struct cptdev_call *call, void *arg);

/* keep.c */
void cptdev_keep(struct cptdev_session *s, const struct cptdev_snap *snap);
int cptdev_keep_call(struct cptdev_call *call, void *arg);
bool cptdev_keep_give_way(struct cptdev_replica *but);

/* genl.c */
int cptdev_genl_init(void);
void cptdev_genl_exit(void);
void cptdev_event_session(struct cptdev_session *s, u8 cmd);
void cptdev_event_replica(struct cptdev_replica *r, u8 cmd);

#endif /* _CPTDEV_CPTDEV_H */
