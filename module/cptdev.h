/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: what the files of the module share.
 *
 * Lock order, outermost first:
 *
 *   cptdev_sessions_lock		which sessions exist; ranges across sessions
 *     session->lock			ranges, marks, generations
 *       mmap_lock of session->mm
 *         VMA locks
 *           i_mmap_rwsem of the proxy (flush)
 *           page-table locks
 *         xa_lock of session->chunks
 *       session->pub_lock (spin)	published snapshots, followers, committed
 *   cptdev_replicas_lock		which replicas exist
 *     replica->stage_lock		staging
 *       replica->sem			content: read by readers, written by commit
 *
 * Nobody touches memory of the caller's under any of these: it may take as long as the
 * caller likes, who serves its faults by himself (userfaultfd).
 *
 * What runs under someone else's locks takes none of these: notifier callbacks
 * (events.c) and the fault handler of a mapped snapshot (snapfile.c) look things up
 * under RCU or in what doesn't change. A fault handler that took session->lock would
 * deadlock with SNAPSHOT, which takes mmap_lock under it.
 */
#ifndef _CPTDEV_CPTDEV_H
#define _CPTDEV_CPTDEV_H

#include <linux/atomic.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/uuid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <linux/cptdev.h>
#include <linux/cptdev_netlink.h>

#include "compat.h"

/*
 * Chunks: the pages of one page table
 * -----------------------------------
 * What the module knows of a page besides its PTE. A chunk exists where a page table
 * was seen; where there is none, no page was ever present at a cut.
 */
#define CHUNK_SHIFT	PMD_SHIFT
#define CHUNK_SIZE	PMD_SIZE
#define CHUNK_MASK	PMD_MASK
#define CHUNK_PAGES	PTRS_PER_PTE
#define CHUNK_WORDS	(CHUNK_PAGES / 64)

/*
 * A mark says what changed since its last reading: the PTE has most of the answer
 * (writable for cuts, dirty for scans), these bits the rest.
 */
struct cptdev_mark {
	/* Something happened that the PTE doesn't tell. Set by notifiers, any time. */
	atomic64_t event[CHUNK_WORDS];
	/* No data then: a page that is present now is new, whatever its PTE says. */
	u64 hole[CHUNK_WORDS];
};

struct cptdev_chunk {
	struct cptdev_mark scan;
	struct cptdev_mark cut;
	/* Cuts: I/O may be in flight, changed at every cut until it isn't. */
	u64 pinned[CHUNK_WORDS];
	/* That of the next page table, or NULL: a walk goes on there without a look-up. */
	struct cptdev_chunk *next;
	/* The generation in which each page last changed, and the highest of them. */
	u64 newest;
	u64 gen[CHUNK_PAGES];
	struct rcu_head rcu;
};

/* A range: [start, end), pages added at generation @added or before. */
struct cptdev_span {
	unsigned long start;
	unsigned long end;
	u64 added;
};

/* What a sweep has found in a page table (sweep.c). sweep_avx2.S knows where things are. */
struct cptdev_swept {
	pte_t *ptes;			/* 512; NULL: it wasn't swept */
	struct cptdev_chunk *chunk;	/* NULL: there is none yet */
	u64 found[CHUNK_WORDS];		/* entries that the walk looks for */
	u32 what;			/* 0: nothing, it is quiet */
};

#define CPTDEV_FOUND_WORDS	0x0ffU	/* those that have any bits in @found */
#define CPTDEV_FOUND_MARKS	0x100U	/* a mark has bits: there may be more to it */
#define CPTDEV_FOUND_PART	0x200U	/* the walk doesn't ask for all of the table */
#define CPTDEV_UNSWEPT		0x400U

/* What a walk has come to: the pages [first, last] of one page table, all in one VMA. */
struct cptdev_table {
	pmd_t *pmd;
	pte_t *ptes;			/* 512, if it was swept */
	struct cptdev_chunk *chunk;	/* NULL: there is none yet */
	unsigned long base;
	unsigned int first;
	unsigned int last;
	bool swept;
	bool marks;			/* as in struct cptdev_swept */
	u32 words;
	u64 *found;
};

/*
 * Tables that are swept at a time: short enough to do without preemption, and few enough for
 * a session to fit in a page, in a debug kernel too.
 */
#define CPTDEV_SWEEP	28

/* What is mapped in the ranges. Shared by the snapshots that saw the same. */
struct cptdev_layout {
	refcount_t ref;
	u32 nr;
	u32 max;
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
	bool listed;			/* in the list, announced */
	u64 listing;			/* its number there, ascending */
	bool dead;			/* the address space is gone */
	struct work_struct gone_work;
	struct work_struct end_work;

	struct mutex lock;		/* ranges, marks, generations */
	struct cptdev_span *ranges;
	u32 nr_ranges;
	u32 max_ranges;
	u64 bytes;			/* in the ranges */
	struct xarray chunks;		/* by address >> CHUNK_SHIFT */
	atomic64_t nr_chunks;
	struct mmu_notifier notifier;
	bool has_notifier;
	atomic_t invalidating;		/* events under way */
	struct task_struct *splitter;	/* whose split ... */
	unsigned long splitting;	/* ... of this page is no event */
	struct cptdev_proxy proxy;
	struct cptdev_swept swept[CPTDEV_SWEEP];	/* of a walk */
	struct cptdev_layout *layout;	/* of the newest cut */
	u64 generation;			/* of the newest cut, whole or not */
	u64 newest;			/* of the newest whole snapshot */
	u64 last_pages;
	u64 last_pause;
	u64 nr_scans;
	u64 nr_snapshots;

	u64 held_max;			/* bytes, 0: the module's */
	atomic64_t held;		/* pages */

	spinlock_t pub_lock;		/* what follows */
	struct list_head published;	/* struct cptdev_snap, oldest first */
	u32 nr_followers;
	u64 pub_newest;			/* generation published last */
	u64 pub_base;			/* reach back to here with the next one */
	u64 committed;
	u64 cancelled;			/* up to here nobody will commit */
	u64 committed_seen;		/* for poll */
	u64 cancelled_seen;
	bool fenced;
	wait_queue_head_t wq;

	struct list_head following;	/* this descriptor's followers of others */
};

/* A spare that follows a session: the daemon's device descriptor stands for it. */
struct cptdev_follower {
	struct list_head file_entry;	/* following, under the owner's lock */
	struct cptdev_session *session;	/* whom it follows, referenced */
};

/* A list of entries of one size that grows by pages (versions.c). */
struct cptdev_vec {
	struct list_head blocks;
	struct page *last;		/* the block that is being filled */
	void *next;			/* the place in it for the next entry */
	u32 room;			/* entries that fit there */
	u32 entry;			/* bytes */
	u32 per_block;
	u64 places;			/* in all blocks */
	u64 nr;
	struct page **block;		/* index, once sealed */
};

/*
 * A frozen page is an unsigned long: the page that we hold a reference to, and until the
 * cut is over this bit, if it has to be copied.
 */
#define CPTDEV_HELD_COPY	1UL

/* A run of pages in a snapshot, in ascending order. */
struct cptdev_run {
	unsigned long start;		/* in its low bits: CPTDEV_EXTENT_* */
	unsigned long end;
};

static inline u32 cptdev_run_kind(const struct cptdev_run *run)
{
	return run->start & ~PAGE_MASK;
}

/* Meta-data, shared by whoever has it. */
struct cptdev_blob {
	refcount_t ref;
	u32 len;
	u8 data[];
};

struct cptdev_snap {
	struct kref ref;
	struct list_head entry;		/* session->pub_lock */
	struct cptdev_session *session;	/* referenced: held is counted there */
	u64 generation;
	u64 base;
	u32 state;			/* CPTDEV_IMAGE_* */
	bool taken;			/* a spare has it open: no merging */
	struct cptdev_layout *layout;
	struct cptdev_blob *meta;	/* or NULL */
	struct cptdev_vec held;		/* frozen pages */
	struct cptdev_vec runs;		/* struct cptdev_run */
	struct cptdev_run *last_run;	/* may grow */
	struct cptdev_run no_run;	/* the last one in the beginning */
	u64 charged;			/* pages counted in the limits */
	u64 holes;
};

/* main.c */
extern struct workqueue_struct *cptdev_wq;
bool cptdev_capable(void);
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

#define CPTDEV_OP(_cmd, _fn, _struct, _last)				\
	{ .cmd = (_cmd), .size = sizeof(struct _struct),		\
	  .min_size = offsetofend(struct _struct, _last), .fn = (_fn) }
#define CPTDEV_OP_FD(_cmd, _fn, _struct, _last)				\
	{ .cmd = (_cmd), .size = sizeof(struct _struct),		\
	  .min_size = offsetofend(struct _struct, _last), .fn = (_fn),	\
	  .fd_offset = offsetof(struct _struct, fd) }

long cptdev_ioctl(struct file *filp, unsigned int cmd, unsigned long arg,
		  const struct cptdev_ioctl_op *ops, unsigned int nr_ops);
int cptdev_check_name(const u8 *name);

/* session.c */
extern struct mutex cptdev_sessions_lock;
extern struct list_head cptdev_sessions;
extern const struct file_operations cptdev_fops;
struct cptdev_session *cptdev_session_find(u64 id);
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

/* range.c */
int cptdev_range_add(struct cptdev_call *call, void *arg);
int cptdev_range_del(struct cptdev_call *call, void *arg);
int cptdev_range_clear(struct cptdev_call *call, void *arg);
int cptdev_range_list(struct cptdev_call *call, void *arg);
void cptdev_ranges_free(struct cptdev_session *s);
enum cptdev_reason cptdev_vma_refuse(struct vm_area_struct *vma);

/* versions.c */
int cptdev_versions_init(void);
void cptdev_versions_exit(void);
struct cptdev_chunk *cptdev_chunk_get(struct cptdev_session *s,
				      unsigned long addr, u64 added);
void cptdev_chunk_drop(struct cptdev_session *s, unsigned long addr);
void cptdev_chunks_free(struct cptdev_session *s);
static inline struct cptdev_chunk *cptdev_chunk_find(struct cptdev_session *s,
						     unsigned long addr)
{
	return xa_load(&s->chunks, addr >> CHUNK_SHIFT);
}

void cptdev_vec_init(struct cptdev_vec *v, u32 entry);
int cptdev_vec_reserve(struct cptdev_vec *v, u32 nr);
void cptdev_vec_next_block(struct cptdev_vec *v);
int cptdev_vec_seal(struct cptdev_vec *v);
void cptdev_vec_free(struct cptdev_vec *v);
void *cptdev_vec_at(const struct cptdev_vec *v, u64 index);

struct cptdev_blob *cptdev_blob_from_user(u64 uptr, u32 len);
int cptdev_blob_read(const struct cptdev_blob *b, struct cptdev_image_vec *arg);
void cptdev_blob_put(struct cptdev_blob *b);
static inline struct cptdev_blob *cptdev_blob_get(struct cptdev_blob *b)
{
	if (b)
		refcount_inc(&b->ref);
	return b;
}

struct cptdev_snap *cptdev_snap_alloc(struct cptdev_session *s);
void cptdev_snap_put(struct cptdev_snap *snap);
int cptdev_snap_reserve_more(struct cptdev_snap *snap, u32 pages);
int cptdev_snap_seal(struct cptdev_snap *snap);
void cptdev_snap_push_hole(struct cptdev_snap *snap, unsigned long addr, u64 pages);
struct page *cptdev_snap_page(const struct cptdev_snap *snap, u64 index);
struct cptdev_snap *cptdev_snap_merge(struct cptdev_snap *old,
				      struct cptdev_snap *new);

/* A place for one more entry. The caller has reserved. */
static inline void *cptdev_vec_push(struct cptdev_vec *v)
{
	void *place;

	if (unlikely(!v->room))
		cptdev_vec_next_block(v);
	place = v->next;
	v->next += v->entry;
	v->room--;
	v->nr++;
	return place;
}

/* Places for up to @nr entries in a row, and how many; what was used is said next. */
static inline void *cptdev_vec_places(struct cptdev_vec *v, u32 *nr)
{
	if (unlikely(!v->room))
		cptdev_vec_next_block(v);
	*nr = min(*nr, v->room);
	return v->next;
}

/* The first @nr of them, up to @end. */
static inline void cptdev_vec_used(struct cptdev_vec *v, u32 nr, void *end)
{
	v->next = end;
	v->room -= nr;
	v->nr += nr;
}

static inline u64 cptdev_vec_left(const struct cptdev_vec *v)
{
	return v->places - v->nr;
}

/*
 * How many pages may be pushed. What is charged has a place in the list of those that are
 * held; holes leave their charge to what comes next.
 */
static inline u64 cptdev_snap_room(const struct cptdev_snap *snap)
{
	return min(snap->charged - snap->held.nr, cptdev_vec_left(&snap->runs));
}

/* Before pushing up to @pages pages or holes: memory for the lists, and the limits. */
static inline int cptdev_snap_reserve(struct cptdev_snap *snap, u32 pages)
{
	if (likely(cptdev_snap_room(snap) >= pages))
		return 0;
	return cptdev_snap_reserve_more(snap, pages);
}

static inline struct cptdev_run *cptdev_snap_new_run(struct cptdev_snap *snap,
						     unsigned long addr, u32 kind)
{
	struct cptdev_run *run = cptdev_vec_push(&snap->runs);

	run->start = addr | kind;
	snap->last_run = run;
	return run;
}

static inline void cptdev_snap_push_run(struct cptdev_snap *snap, unsigned long addr,
					u64 pages, u32 kind)
{
	struct cptdev_run *run = snap->last_run;

	if (addr != run->end || cptdev_run_kind(run) != kind)
		run = cptdev_snap_new_run(snap, addr, kind);
	run->end = addr + pages * PAGE_SIZE;
}

/* The pages from @addr on are in the list of those that are held. */
static inline void cptdev_snap_extend(struct cptdev_snap *snap, unsigned long addr,
				      u32 pages)
{
	cptdev_snap_push_run(snap, addr, pages, CPTDEV_EXTENT_DATA);
}

/* Takes over the caller's reference to the page. */
static inline void cptdev_snap_push(struct cptdev_snap *snap, unsigned long addr,
				    struct page *page, bool in_flight)
{
	unsigned long *held = cptdev_vec_push(&snap->held);

	*held = (unsigned long)page | (in_flight ? CPTDEV_HELD_COPY : 0);
	cptdev_snap_extend(snap, addr, 1);
}

/* Which pages of chunk @index lie in [start, end); at least one does. */
static inline void cptdev_chunk_clip(unsigned long index, unsigned long start,
				     unsigned long end, unsigned int *first,
				     unsigned int *last)
{
	unsigned long base = index << CHUNK_SHIFT;

	*first = start > base ? (start - base) >> PAGE_SHIFT : 0;
	*last = end - base < CHUNK_SIZE ? (end - base - 1) >> PAGE_SHIFT : CHUNK_PAGES - 1;
}

/* Bits [first, last] of a word of pages that begins at page @base of the chunk. */
static inline u64 cptdev_word_mask(unsigned int word, unsigned int first,
				   unsigned int last)
{
	unsigned int lo = max(first, word * 64), hi = min(last, word * 64 + 63);

	if (lo > hi)
		return 0;
	return GENMASK_ULL(hi % 64, lo % 64);
}

/* The pages of word @i that are asked for: nearly always all. */
static inline u64 cptdev_table_mask(const struct cptdev_table *t, unsigned int i)
{
	if (likely(t->first == 0 && t->last == CHUNK_PAGES - 1))
		return ~0ULL;
	return cptdev_word_mask(i, t->first, t->last);
}

/* How many bits in a row are set from bit @i on, which is. */
static inline unsigned int cptdev_ones(u64 bits, unsigned int i)
{
	bits = ~(bits >> i);
	return bits ? __ffs64(bits) : 64;
}

/* layout.c */
struct cptdev_layout *cptdev_layout_alloc(u32 max);
struct cptdev_layout *cptdev_layout_from_user(u64 uptr, u32 nr);
int cptdev_layout_read(const struct cptdev_layout *l, struct cptdev_image_vec *arg);
const struct cptdev_segment *cptdev_layout_find(const struct cptdev_layout *l,
						u64 addr);
bool cptdev_layout_covers(const struct cptdev_layout *l, u64 addr, u64 len);
void cptdev_layout_put(struct cptdev_layout *l);
static inline struct cptdev_layout *cptdev_layout_get(struct cptdev_layout *l)
{
	refcount_inc(&l->ref);
	return l;
}

/* walk.c */

struct cptdev_walk {
	struct cptdev_session *s;
	/* Look for PTEs with these bits, and for this mark; 0: visit every table. */
	u64 bits;
	bool cut;
	u64 newer;			/* cuts: and for chunks with numbers above this */
	int (*table)(struct cptdev_walk *w, struct cptdev_table *t);
	/*
	 * May be NULL. A quicker visit of swept tables, from @i on, for as long as that
	 * will do: returns the first that has to be visited, or @nr.
	 */
	unsigned int (*quick)(struct cptdev_walk *w, unsigned int i, unsigned int nr);
	/* Nothing is mapped in [start, end). */
	int (*empty)(struct cptdev_walk *w, unsigned long start, unsigned long end);
	/* Where the walk is; @vma is NULL where there is none. */
	const struct cptdev_span *span;
	struct vm_area_struct *vma;
	/* Tables that were swept: the first one's entry, and what is asked for of them. */
	pmd_t *pmd;
	unsigned long start;
	unsigned long end;
	u64 quiet;			/* pages that were passed over */
	unsigned long bad_addr;
	enum cptdev_reason reason;
};

int cptdev_walk_ranges(struct cptdev_walk *w, unsigned long start,
		       unsigned long end);
pmd_t *cptdev_walk_pmd(struct mm_struct *mm, unsigned long addr,
		       unsigned long *next);
int cptdev_layout_take(struct cptdev_session *s, struct cptdev_walk *w);

/* sweep.c */
void cptdev_sweep_init(void);
void cptdev_table_look(const struct cptdev_walk *w, struct cptdev_table *t);
unsigned int cptdev_sweep(struct cptdev_walk *w, unsigned long end);
u32 cptdev_sweep_avx2(struct cptdev_swept *swept, u32 nr, u64 bits, u64 mark, u64 third);

/* flush.c */
int cptdev_flush_init(void);
void cptdev_flush_exit(void);
int cptdev_proxy_create(struct cptdev_session *s);
int cptdev_flush_lock(struct cptdev_session *s, bool write);
void cptdev_flush(struct cptdev_session *s);
void cptdev_proxy_destroy(struct cptdev_session *s);

/* events.c */
extern const struct mmu_notifier_ops cptdev_notifier_ops;
void cptdev_events_set(struct cptdev_session *s, unsigned long start,
		       unsigned long end, bool cut, bool scan);
u64 cptdev_event_take(struct cptdev_session *s, struct cptdev_mark *m,
		      unsigned int word, u64 mask);

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
void cptdev_unpublish_all(struct cptdev_session *s);
void cptdev_unfollow_all(struct cptdev_session *owner);
int cptdev_wait_committed(struct cptdev_session *s, u64 generation,
			  u64 timeout_ns, u64 *committed);
int cptdev_wait(struct cptdev_call *call, void *arg);
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
	u64 term;
	uuid_t uuid;
	struct cptdev_layout *layout;
	struct cptdev_blob *meta;	/* or NULL */
	int failed;			/* it can't be whole any more: why */
};

struct cptdev_replica {
	struct kref ref;
	struct list_head entry;		/* cptdev_replicas_lock */
	u64 listing;			/* its number there, ascending */
	bool listed;
	char name[CPTDEV_NAME_MAX];
	kuid_t uid;
	u64 max_bytes;			/* 0: the module's limit */
	atomic_t openers;
	atomic_t waiters;		/* of them: for the promotion */
	atomic64_t taken;		/* pages, content and staged */

	struct mutex stage_lock;	/* what is staged, and by whom */
	struct cptdev_replica_file *stager;
	struct cptdev_staging staging;
	struct xarray *staged;
	u64 nr_staged;

	struct rw_semaphore sem;	/* the content */
	struct xarray *pages;
	u64 nr_pages;
	uuid_t uuid;
	u64 term;
	u64 generation;			/* 0: nothing was ever committed */
	bool promoted;
	u32 frozen;			/* descriptors that hold the generation */
	u64 commits;
	struct cptdev_layout *layout;	/* or NULL */
	struct cptdev_blob *meta;	/* or NULL */
	wait_queue_head_t wq;
};

struct cptdev_replica_file {
	struct cptdev_replica *replica;
	bool write;
	bool froze;
	atomic_t waits;			/* it was polled for the promotion */
	u64 seen;			/* commits at the last IMAGE_INFO */
};

extern struct mutex cptdev_replicas_lock;
extern struct list_head cptdev_replicas;
extern const struct file_operations cptdev_replica_fops;
u64 cptdev_replicas_count(void);
struct cptdev_replica *cptdev_replica_find(const char *name);
void cptdev_replica_put(struct cptdev_replica *r);
int cptdev_replica_open(struct cptdev_call *call, void *arg);

/* repio.c */
ssize_t cptdev_replica_read(struct kiocb *iocb, struct iov_iter *to);
ssize_t cptdev_replica_write(struct kiocb *iocb, struct iov_iter *from);

/* stage.c */
struct xarray *cptdev_pages_alloc(void);
void cptdev_pages_free(struct cptdev_replica *r, struct xarray *pages);
u64 cptdev_replica_limit(const struct cptdev_replica *r);
void cptdev_stage_drop(struct cptdev_replica *r);
struct page *cptdev_page_take(struct cptdev_replica *r);
void cptdev_page_drop(struct cptdev_replica *r, void *entry);
int cptdev_stage_put(struct cptdev_replica_file *rf, u64 pos, size_t len,
		     struct page *page);
int cptdev_stage_begin(struct cptdev_call *call, void *arg);
int cptdev_stage(struct cptdev_call *call, void *arg);
int cptdev_stage_commit(struct cptdev_call *call, void *arg);
int cptdev_stage_abort(struct cptdev_call *call, void *arg);

/* genl.c */
int cptdev_genl_init(void);
void cptdev_genl_exit(void);
void cptdev_event_session(struct cptdev_session *s, u8 cmd);
void cptdev_event_replica(struct cptdev_replica *r, u8 cmd);

#endif /* _CPTDEV_CPTDEV_H */
