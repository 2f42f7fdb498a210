// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: event bits of marks. Notifiers set them, at any time and under any lock. Cuts and scans
 * read and clear them.
 */
#include <linux/hashtable.h>

#include "track.h"

static void chunk_set(struct cptdev_chunk *c, unsigned int first, unsigned int last,
		      bool cut, bool scan)
{
	unsigned int i;

	for (i = first / 64; i <= last / 64; i++) {
		u64 bits = cptdev_word_mask(i, first, last);

		if (cut)
			cptdev_mark_set(&c->cut, i, bits);
		if (scan)
			cptdev_mark_set(&c->scan, i, bits);
	}
}

/* Event bits for all pages of [start, end), in one of the marks or both. */
void cptdev_events_set(struct cptdev_session *s, unsigned long start,
		       unsigned long end, bool cut, bool scan)
{
	unsigned long index = start >> CHUNK_SHIFT;
	struct cptdev_chunk *c;
	unsigned int first, last;

	rcu_read_lock();
	if (likely(end - start == PAGE_SIZE)) {
		/* a page that is copied because a snapshot has it: the quick way */
		c = cptdev_chunk_find(s, start);
		first = (start & ~CHUNK_MASK) >> PAGE_SHIFT;
		if (c)
			chunk_set(c, first, first, cut, scan);
	} else {
		xa_for_each_range(&s->chunks, index, c, index,
				  (end - 1) >> CHUNK_SHIFT) {
			cptdev_chunk_clip(index, start, end, &first, &last);
			chunk_set(c, first, last, cut, scan);
		}
	}
	rcu_read_unlock();
}

/*
 * Read and clear event bits. The caller reads the PTE afterwards. Between the start of an event
 * and the change of the PTE, the page may be written again, and the change of the PTE would
 * remove the trace of that write. So the bits stay set while an event is in progress.
 */
u64 cptdev_event_take(struct cptdev_session *s, struct cptdev_mark *m,
		      unsigned int word, u64 mask)
{
	u64 taken = atomic64_read(&m->event[word]) & mask;

	if (!taken)
		return 0;
	taken &= atomic64_fetch_andnot(taken, &m->event[word]);
	if (atomic_read(&s->invalidating))
		atomic64_or(taken, &m->event[word]);
	return taken;
}

/*
 * Sessions that have a notifier, by address space. Two sessions of a process don't track the
 * same page, but they may have a part each of a huge page, which has one dirty bit.
 */
static DEFINE_HASHTABLE(trackers, 6);
static DEFINE_SPINLOCK(trackers_lock);

void cptdev_tracker_add(struct cptdev_session *s)
{
	spin_lock(&trackers_lock);
	hash_add_rcu(trackers, &s->tracker, (unsigned long)s->mm);
	spin_unlock(&trackers_lock);
}

/* The session itself has to be there for another grace period. */
void cptdev_tracker_del(struct cptdev_session *s)
{
	spin_lock(&trackers_lock);
	hash_del_rcu(&s->tracker);
	spin_unlock(&trackers_lock);
}

/* Event bits for scans in the process's other sessions. */
void cptdev_events_others(struct cptdev_session *s, unsigned long start,
			  unsigned long end)
{
	struct cptdev_session *other;

	rcu_read_lock();
	hash_for_each_possible_rcu(trackers, other, tracker, (unsigned long)s->mm)
		if (other != s && other->mm == s->mm)
			cptdev_events_set(other, start, end, false, true);
	rcu_read_unlock();
}
