// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the cut, huge pages: 2 MiB that one entry of the level above the PTEs maps.
 *
 * The cut freezes a changed huge page as a whole, as fork() does: it makes the entry read-only,
 * marks the page as shared, and takes one reference, instead of doing this for 512 pages. While
 * the snapshot has the page, a store makes the kernel split the mapping and copy 4 KiB. After
 * that, a store makes the kernel reuse the whole page, because nobody else has it.
 *
 * One entry has one mark for 512 pages. So a huge page is
 *
 *   kept	when the first cut sees it, and as long as nobody writes to it;
 *   split	when it was written again after a cut that had it. The next cut takes all of it, and
 *		from then on the cuts see changes page by page. The mapping is split when that
 *		snapshot is freed, because a split takes longer than the cut (huge.c). If the kernel
 *		makes a huge page again after the split, one cut takes it as a whole, and it is
 *		split again.
 *
 * The cut itself splits huge pages with I/O in flight, and huge pages of which only a part is
 * tracked.
 */
#include "cut.h"
#include "../mutants.h"

/* Nothing to see in the chunk and in the entry: nearly all huge pages at nearly all cuts. */
static bool huge_quiet(const struct cut *cut, const struct cptdev_table *t, pmd_t val)
{
	const struct cptdev_chunk *c = t->chunk;
	unsigned int i;
	u64 some = 0;

	if (!pmd_present(val) || pmd_write(val) || c->newest > cut->base ||
	    cut->walk.s->layout->nr_read_only)
		return false;
	smp_rmb();	/* as in sweep_table() */
	for (i = 0; i < CHUNK_WORDS; i++)
		some |= (atomic64_read(&c->cut.event[i]) | c->cut.hole[i] | c->pinned[i]) &
			cptdev_table_mask(t, i);
	return !some;
}

/* What the entry is, read under its lock. */
enum huge_is {
	HUGE_TABLE,			/* by now there are PTEs */
	HUGE_EMPTY,			/* nothing, the huge zero page, or a file's */
	HUGE_MOVING,			/* the page is being migrated */
	HUGE_CLEAN,
	HUGE_WRITTEN,			/* since the last cut, or it may have been */
};

/* In memory without write permission ptrace writes to pages that are exclusive: cut_find.c. */
static bool huge_forced(const struct cut *cut, unsigned long addr, struct page *page)
{
	const struct cptdev_layout *l = cut->walk.s->layout;
	const struct cptdev_segment *seg;

	if (!l->nr_read_only || !cptdev_huge_exclusive(page))
		return false;
	seg = cptdev_layout_find(l, addr);
	return seg && cptdev_segment_read_only(seg);
}

static enum huge_is huge_look(const struct cut *cut, const struct cptdev_table *t)
{
	pmd_t val = *t->pmd;

	if (pmd_none(val))
		return HUGE_EMPTY;
	if (!pmd_present(val))
		return HUGE_MOVING;
	if (!pmd_leaf(val))
		return HUGE_TABLE;
	if (!PageAnon(pmd_page(val)))
		return HUGE_EMPTY;
	return pmd_write(val) || huge_forced(cut, t->base + t->first * PAGE_SIZE, pmd_page(val)) ?
		HUGE_WRITTEN : HUGE_CLEAN;
}

static enum huge_is huge_look_locked(const struct cut *cut, const struct cptdev_table *t)
{
	spinlock_t *ptl = pmd_lock(cut->walk.s->mm, t->pmd);
	enum huge_is is = huge_look(cut, t);

	spin_unlock(ptl);
	return is;
}

/* Read and clear the event bits of the whole chunk: were there any? */
static bool huge_events(const struct cut *cut, struct cptdev_chunk *c)
{
	unsigned int i;
	u64 some = 0;

	for (i = 0; i < CHUNK_WORDS; i++)
		some |= atomic64_read(&c->cut.event[i]);
	if (likely(!some))
		return false;
	for (i = 0, some = 0; i < CHUNK_WORDS; i++)
		some |= cptdev_event_take(cut->walk.s, &c->cut, i, ~0ULL);
	return some;
}

/* Has something happened to it that the entry doesn't tell? */
static bool huge_marked(const struct cptdev_table *t)
{
	const struct cptdev_chunk *c = t->chunk;
	unsigned int i;

	for (i = t->first / 64; i <= t->last / 64; i++) {
		u64 bits = atomic64_read(&c->cut.event[i]) | c->pinned[i] | c->cut.hole[i];

		if (bits & cptdev_table_mask(t, i))
			return true;
	}
	return false;
}

/* Does the snapshot reach back to before a change of it? */
static bool huge_above(const struct cut *cut, const struct cptdev_chunk *c)
{
	return (c->all ?: c->newest) > cut->base;
}

/*
 * Share the page, unless I/O may be in flight: see cut_share(). The entry is read-only. One
 * reference is that of the entry; the rest is only asked for where there are more.
 */
static bool huge_share(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (!cptdev_huge_exclusive(page))
		return true;
	smp_mb();		/* the entry is read-only, then the references */
	if (folio_ref_count(folio) != 1 && cptdev_folio_in_flight(folio))
		return false;
	return !folio_try_share_anon_rmap_pmd(folio, page);
}

/*
 * The policy, see above. Returns whether the mapping is to be split; @written: and not only moved,
 * or wanted by a snapshot that reaches back.
 */
static bool huge_sparse(struct cptdev_chunk *c, bool written)
{
	if (c->huge == CPTDEV_HUGE_NEW)
		c->huge = CPTDEV_HUGE_KEPT;
	else if (written)
		c->huge = CPTDEV_HUGE_SPARSE;
	return c->huge == CPTDEV_HUGE_SPARSE;
}

/* Under the lock of the entry. Returns false if it has to be split first. */
static bool huge_take(struct cut *cut, struct cptdev_table *t)
{
	enum huge_is is = huge_look(cut, t);
	struct cptdev_chunk *c = t->chunk;
	struct page *page;

	if (is != HUGE_CLEAN && is != HUGE_WRITTEN)
		return false;
	if (is == HUGE_WRITTEN || huge_marked(t))
		cptdev_chunk_number(c, cut->generation);
	page = pmd_page(*t->pmd);
	if (pmd_write(*t->pmd))
		cptdev_huge_protect(cut->walk.s->mm, t->base, t->pmd);
	if (!huge_share(page))
		return false;
	memset(c->cut.hole, 0, sizeof(c->cut.hole));
	memset(c->pinned, 0, sizeof(c->pinned));
	get_page(page);
	cptdev_snap_push_huge(cut->snap, t->base, page, huge_sparse(c, is == HUGE_WRITTEN));
	return true;
}

/* Returns 1 if it was taken as a whole. */
static int huge_keep(struct cut *cut, struct cptdev_table *t)
{
	struct cptdev_chunk *c = t->chunk;
	spinlock_t *ptl;		/* of the entry */
	bool done;
	int ret;

	ret = cptdev_snap_reserve_huge(cut->snap);
	if (ret)
		return ret;
	/* Nothing that may fail comes between: what the bits have said isn't lost. */
	if (huge_events(cut, c))
		cptdev_chunk_number(c, cut->generation);
	cut->flush = true;
	ptl = pmd_lock(cut->walk.s->mm, t->pmd);
	done = huge_take(cut, t);
	spin_unlock(ptl);
	if (done)
		atomic64_inc(&cut->walk.s->huge_kept);
	return done;
}

/*
 * Split the mapping of a huge page (the page itself stays whole), or wait for its
 * migration. From then on changes are seen page by page. The notifier call of our own
 * split carries no news: under the locks that the cut holds, a mapping that is read-only
 * now was so since the last cut, and one that is writable is taken as a whole.
 */
static int huge_split(struct cut *cut, struct cptdev_table *t)
{
	pmd_t val = READ_ONCE(*t->pmd);
	unsigned int i;
	int ret;

	/* 6.1 forgets the dirty bit when it splits. */
	for (i = 0; pmd_present(val) && pmd_dirty(val) && i < CHUNK_WORDS; i++)
		atomic64_or(~0ULL, &t->chunk->scan.event[i]);
	ret = cptdev_huge_split(cut->walk.s, t->base + t->first * PAGE_SIZE, FOLL_FORCE);
	if (ret)
		cut->walk.bad_addr = t->base + t->first * PAGE_SIZE;
	return ret;
}

/* Returns 1 if there is nothing more to do, or 0: there is a table by now. */
int cptdev_cut_huge(struct cut *cut, struct cptdev_table *t)
{
	bool whole = t->first == 0 && t->last == CHUNK_PAGES - 1;
	pmd_t val = READ_ONCE(*t->pmd);
	enum huge_is is = HUGE_WRITTEN;
	int ret;

	if (huge_quiet(cut, t, val))
		return 1;
	/* What can be written to has content: no need to look closer. */
	if (!pmd_present(val) || !pmd_leaf(val) || !pmd_write(val))
		is = huge_look_locked(cut, t);
	if (is == HUGE_TABLE)
		return 0;
	if (is == HUGE_EMPTY)
		return cptdev_cut_empty_chunk(cut, t->chunk, t->base, t->first, t->last) ?: 1;
	if (is == HUGE_CLEAN && !huge_above(cut, t->chunk) && !huge_marked(t))
		return 1;
	/* What has just changed is left out. */
	if (cut->cool && (is != HUGE_CLEAN || huge_marked(t)))
		return 1;
	if (is != HUGE_MOVING && whole) {
		ret = huge_keep(cut, t);
		if (ret)
			return ret;
	}
	return huge_split(cut, t);
}
