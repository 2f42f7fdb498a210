// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: memory that is saved besides the arena. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "hotspare.h"
#include "lock.h"
#include "ranges.h"
#include "schedule.h"
#include "where.h"


static struct hs_ranges registered;
HS_LOCK(lock);

/*
 * What is registered
 */

static int bad_range(const void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr;

	if (len && start && start < HS_ADDR_END && len <= HS_ADDR_END - start)
		return 0;
	errno = EINVAL;
	return -1;
}

/* Returns 0, or -1 with errno and hs_error(). */
static int check_memory(uint64_t start, uint64_t end)
{
	struct hs_maps maps;
	int ret, err;

	if (hs_maps_read(&maps, NULL))
		return hs_fail(hs_why(), errno, "/proc/self/maps can't be read: %s", strerror(errno));
	ret = hs_where_check(&maps, start, end, hs_why());
	err = errno;
	hs_maps_free(&maps);
	errno = err;
	return ret;
}

int hs_range(void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr;
	int ret;

	if (bad_range(addr, len))
		return hs_fail(hs_why(), EINVAL, "the address or the length is invalid");
	if (start < HS_END && start + len > HS_BASE)
		return hs_fail(hs_why(), EEXIST, "memory of hs_malloc(3) is always saved");
	if (check_memory(start, start + len))
		return -1;
	hs_lock(&lock);
	ret = hs_intervals_add(&registered.saved, start, start + len);
	hs_unlock(&lock);
	return ret;
}

int hs_exclude(void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr;
	int ret;

	if (bad_range(addr, len))
		return -1;
	hs_lock(&lock);
	ret = hs_intervals_add(&registered.excluded, start, start + len);
	hs_unlock(&lock);
	return ret;
}

/* With the registry locked. */
static int merge(const struct hs_ranges *from)
{
	struct hs_slot *v = realloc(registered.slots, (registered.nr_slots + from->nr_slots + 1) *
				    sizeof(*v));
	size_t i;

	if (!v)
		return -1;
	registered.slots = v;
	for (i = 0; i < from->saved.nr; i++)
		if (hs_intervals_add(&registered.saved, from->saved.v[i].start,
				     from->saved.v[i].end))
			return -1;
	if (from->nr_slots)
		memcpy(v + registered.nr_slots, from->slots, from->nr_slots * sizeof(*v));
	registered.nr_slots += from->nr_slots;
	return 0;
}

/* Is what we remember ourselves in it? It would be taken for that of another process. */
static bool has_our_own(const struct hs_ranges *r)
{
	return hs_intervals_have(&r->saved, (uintptr_t)&registered, (uintptr_t)&registered + 1);
}

int hs_ranges_merge(const struct hs_ranges *from)
{
	int ret = -1;

	if (has_our_own(from)) {
		errno = EINVAL;
		return -1;
	}
	hs_lock(&lock);
	if (from->saved.nr &&
	    hs_intervals_have(&registered.saved, from->saved.v[0].start, from->saved.v[0].end))
		errno = EEXIST;
	else
		ret = merge(from);
	hs_unlock(&lock);
	return ret;
}

/* What is saved at this moment. Returns 0, or -1 with errno ENOMEM. */
int hs_ranges_capture(struct hs_ranges *to)
{
	const struct hs_intervals *out = &registered.excluded;
	int ret = -1;
	size_t i;

	*to = (struct hs_ranges) { .nr_slots = 0 };
	hs_lock(&lock);
	if (hs_intervals_copy(&to->saved, &registered.saved) || hs_intervals_copy(&to->excluded, out))
		goto out;
	for (i = 0; i < out->nr; i++)
		if (hs_intervals_remove(&to->saved, out->v[i].start, out->v[i].end))
			goto out;
	to->slots = malloc((registered.nr_slots + 1) * sizeof(*to->slots));
	if (!to->slots)
		goto out;
	for (i = 0; i < registered.nr_slots; i++) {
		const struct hs_slot *s = &registered.slots[i];

		if (hs_intervals_have(&to->saved, s->addr, s->addr + sizeof(s->value)))
			to->slots[to->nr_slots++] = *s;
	}
	ret = 0;
out:
	hs_unlock(&lock);
	if (ret)
		hs_ranges_free(to);
	return ret;
}

static int add_piece(void *list, void *addr, size_t len)
{
	return hs_intervals_add(list, (uintptr_t)addr, (uintptr_t)addr + len);
}

int hs_saved_pages(struct hs_intervals *all, const struct hs_ranges *r)
{
	const struct hs_interval *v = r->saved.v;
	size_t i;

	if (hs_arena_pieces(add_piece, all))
		return -1;
	for (i = 0; i < r->saved.nr; i++)
		if (hs_intervals_add(all, v[i].start & ~(HS_PAGE - 1),
				     (v[i].end + HS_PAGE - 1) & ~(HS_PAGE - 1)))
			return -1;
	return 0;
}

/* Leaves errno alone. */
void hs_ranges_free(struct hs_ranges *r)
{
	int saved = errno;

	free(r->saved.v);
	free(r->excluded.v);
	free(r->slots);
	*r = (struct hs_ranges) { .nr_slots = 0 };
	errno = saved;
}

/*
 * Restoring
 */

/* What is here already is what it was there, or it would be written over. */
static int check_here(const struct hs_intervals *saved, struct hs_error *e)
{
	struct hs_maps maps;
	uint64_t at, next;
	int ret = 0;
	size_t i;

	if (hs_maps_read(&maps, NULL))
		return hs_fail(e, errno, "/proc/self/maps can't be read: %s", strerror(errno));
	for (i = 0; !ret && i < saved->nr; i++) {
		for (at = saved->v[i].start; !ret && at < saved->v[i].end; at = next) {
			const struct hs_map *m = hs_maps_at(&maps, at);

			next = m ? m->end : (at & ~(HS_PAGE - 1)) + HS_PAGE;
			if (m && (m->libc || m->where > HS_WHERE_CHOSEN))
				ret = hs_fail(e, EEXIST, "memory at %#llx was saved, and here it "
					      "is %s",
					      (unsigned long long)at, hs_where_text(m->where));
		}
	}
	hs_maps_free(&maps);
	if (ret)
		errno = EEXIST;
	return ret;
}

/* What isn't mapped will be; what is stays, and is written to. */
static int map_missing(uint64_t start, uint64_t end)
{
	uint64_t at = start & ~(HS_PAGE - 1);

	for (; at < end; at += HS_PAGE)
		if (mmap((void *)(uintptr_t)at, HS_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED &&
		    errno != EEXIST)
			return -1;
	return 0;
}

static int read_into(int fd, uint64_t start, uint64_t end)
{
	ssize_t n;

	for (; start < end; start += (uint64_t)n) {
		n = pread(fd, (void *)(uintptr_t)start, end - start, (off_t)start);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return -1;
	}
	return 0;
}

/* What was the loader's choice there is the loader's choice here, if nobody changed it. */
static int keep_slot(struct hs_slot *s, int fd, uint64_t *here)
{
	uint64_t saved;

	*here = *(uint64_t *)(uintptr_t)s->addr;
	if (pread(fd, &saved, sizeof(saved), (off_t)s->addr) != sizeof(saved))
		return -1;
	if (saved != s->value)
		*here = saved;
	else
		s->value = *here;
	return 0;
}

int hs_ranges_restore(struct hs_ranges *r, int fd, struct hs_error *e)
{
	uint64_t *here = malloc((r->nr_slots + 1) * sizeof(*here));
	const struct hs_interval *v = r->saved.v;
	int ret = here ? 0 : -1;
	size_t i;

	if (here && check_here(&r->saved, e)) {
		free(here);
		return -1;
	}
	for (i = 0; !ret && i < r->saved.nr; i++)
		ret = map_missing(v[i].start, v[i].end);
	for (i = 0; !ret && i < r->nr_slots; i++)
		ret = keep_slot(&r->slots[i], fd, &here[i]);
	for (i = 0; !ret && i < r->saved.nr; i++)
		ret = read_into(fd, v[i].start, v[i].end);
	for (i = 0; !ret && i < r->nr_slots; i++)
		*(uint64_t *)(uintptr_t)r->slots[i].addr = here[i];
	free(here);
	if (ret)
		return hs_fail(e, errno, "memory outside of hs_malloc(3) can't be restored: %s",
			       strerror(errno));
	registered = *r;
	*r = (struct hs_ranges) { .nr_slots = 0 };
	return 0;
}
