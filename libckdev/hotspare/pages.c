// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: whole pages of a class. Free ones are runs, as long as can be, in lists by
 * length; the table of pages knows where one begins and ends. The class is locked.
 *
 * Free memory goes back to the system not at once but when there is some of it: a class
 * that frees and takes the same pages again would fault in each of them every time.
 */
#include <errno.h>
#include <sys/mman.h>

#include "arena.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24	/* Linux 5.18 */
#endif

/* Free pages that a class may keep, besides an eighth of what it uses. */
#define KEEP_PAGES	64U

/*
 * Lists: the first one's @prev is HS_NONE
 */

void hs_pages_list(struct hs_class *c, uint32_t *head, uint32_t page)
{
	struct hs_page *p = hs_page(c, page);

	p->prev = HS_NONE;
	p->next = *head;
	if (*head)
		hs_page(c, *head)->prev = page;
	*head = page;
}

void hs_pages_unlist(struct hs_class *c, uint32_t *head, uint32_t page)
{
	struct hs_page *p = hs_page(c, page);

	if (p->next)
		hs_page(c, p->next)->prev = p->prev;
	if (p->prev)
		hs_page(c, p->prev)->next = p->next;
	else
		*head = p->next;
}

/*
 * Free runs
 */

/* Lengths up to 32 have a list of their own, then each power of two has one. */
static unsigned int bin_of(uint32_t nr)
{
	return nr <= 32 ? nr - 1 : 58U - (unsigned int)__builtin_clz(nr);
}

static void run_add(struct hs_class *c, uint32_t first, uint32_t nr, bool dirty)
{
	unsigned int bin = bin_of(nr);

	*hs_page(c, first + nr - 1) = (struct hs_page) { .kind = HS_FREE, .pages = nr };
	*hs_page(c, first) = (struct hs_page) { .kind = HS_FREE, .pages = nr, .dirty = dirty };
	hs_pages_list(c, &c->bin[bin], first);
	c->bins |= 1ULL << bin;
	c->dirty += dirty ? nr : 0;
}

static void run_del(struct hs_class *c, uint32_t first)
{
	struct hs_page *p = hs_page(c, first);
	unsigned int bin = bin_of(p->pages);

	hs_pages_unlist(c, &c->bin[bin], first);
	if (!c->bin[bin])
		c->bins &= ~(1ULL << bin);
	c->dirty -= p->dirty ? p->pages : 0;
	hs_page(c, first + p->pages - 1)->kind = HS_NOTHING;
	p->kind = HS_NOTHING;
}

/* With its neighbours. */
static void run_merge(struct hs_class *c, uint32_t first, uint32_t nr, bool dirty)
{
	struct hs_page *after = hs_page(c, first + nr), *before = hs_page(c, first - 1);

	if (after->kind == HS_FREE) {
		uint32_t more = after->pages;

		dirty |= after->dirty;
		run_del(c, first + nr);
		nr += more;
	}
	if (before->kind == HS_FREE) {
		uint32_t more = before->pages;

		first -= more;
		nr += more;
		dirty |= hs_page(c, first)->dirty;
		run_del(c, first);
	}
	run_add(c, first, nr, dirty);
}

/* Pages that were never used. */
void hs_pages_new(struct hs_class *c, uint32_t first, uint32_t nr)
{
	run_merge(c, first, nr, false);
}

/* The first of @nr pages in a free run that begin at a multiple of @align, or HS_NONE. */
static uint32_t fits(const struct hs_class *c, uint32_t run, uint32_t nr, uint32_t align)
{
	uint32_t len = hs_page(c, run)->pages, first = (run + align - 1) & ~(align - 1);

	return first - run <= len && len - (first - run) >= nr ? first : HS_NONE;
}

/* The smallest lists first; in the first of them a run may be too short. */
static uint32_t run_find(const struct hs_class *c, uint32_t nr, uint32_t align,
			 uint32_t *first)
{
	uint64_t bins = c->bins & (~0ULL << bin_of(nr));
	uint32_t run;

	for (; bins; bins &= bins - 1) {
		for (run = c->bin[__builtin_ctzll(bins)]; run; run = hs_page(c, run)->next) {
			*first = fits(c, run, nr, align);
			if (*first)
				return run;
		}
	}
	return HS_NONE;
}

/*
 * @nr pages from a page on whose number is a multiple of @align, a power of two; or
 * HS_NONE, with errno. Their entries in the table say nothing yet.
 */
uint32_t hs_pages_get(struct hs_class *c, uint32_t nr, uint32_t align)
{
	uint32_t run, first, len;
	bool dirty;

	run = run_find(c, nr, align, &first);
	if (!run) {
		if (hs_class_grow(c, nr + align - 1))
			return HS_NONE;
		run = run_find(c, nr, align, &first);
	}
	len = hs_page(c, run)->pages;
	dirty = hs_page(c, run)->dirty;
	run_del(c, run);
	if (first > run)
		run_add(c, run, first - run, dirty);
	if (first + nr < run + len)
		run_add(c, first + nr, run + len - first - nr, dirty);
	c->used += nr;
	return first;
}

/* Take the free pages behind, if there are enough: from @nr to @want. */
bool hs_pages_extend(struct hs_class *c, uint32_t first, uint32_t nr, uint32_t want)
{
	struct hs_page *p = hs_page(c, first + nr);
	uint32_t more = want - nr, len = p->pages;
	bool dirty = p->dirty;

	if (p->kind != HS_FREE || len < more)
		return false;
	run_del(c, first + nr);
	if (len > more)
		run_add(c, first + want, len - more, dirty);
	c->used += more;
	return true;
}

/* Memory that is locked goes too: what is taken later is locked again. */
static void give_back(void *addr, size_t len)
{
	int saved = errno;

	if (madvise(addr, len, MADV_DONTNEED) && errno == EINVAL)
		madvise(addr, len, MADV_DONTNEED_LOCKED);
	errno = saved;
}

static void give_all_back(struct hs_class *c)
{
	uint64_t bins;
	uint32_t run;

	for (bins = c->bins; bins; bins &= bins - 1) {
		for (run = c->bin[__builtin_ctzll(bins)]; run; run = hs_page(c, run)->next) {
			struct hs_page *p = hs_page(c, run);

			if (!p->dirty)
				continue;
			give_back(hs_page_addr(c, run), (size_t)p->pages << HS_PAGE_SHIFT);
			p->dirty = false;
		}
	}
	c->dirty = 0;
}

void hs_pages_put(struct hs_class *c, uint32_t first, uint32_t nr)
{
	c->used -= nr;
	run_merge(c, first, nr, true);
	if (c->dirty > KEEP_PAGES + c->used / 8)
		give_all_back(c);
}
