// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what the spare has of each page, as a sum of 128 bits (XXH3 with a seed that
 * nobody outside knows). They are in a file without a name, sparse, by page number. New
 * ones go to another such file, and replace the old ones when the spare has said that it
 * has the checkpoint.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <xxhash.h>

#include "arena.h"
#include "sums.h"

/* Zeros: a page without content; among the new ones: one that didn't change. */
struct sum {
	uint64_t v[2];
};

/* Among the new ones: a page that has no content any more. */
static const struct sum gone = { { 0, 1 } };

#define FILE_LEN	((off_t)((1ULL << 47) / HS_PAGE * sizeof(struct sum)))
#define BATCH		HS_SUMS_PAGES

struct hs_sums {
	uint64_t generation;
	uint64_t snapshot;
	uint64_t seed;
	int fd;
	int new;			/* of this process */
	bool whole;
	struct sum was[BATCH], is[BATCH];
};

static int file_create(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, FILE_LEN)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* NULL with errno if there is no memory. */
struct hs_sums *hs_sums_create(void)
{
	struct hs_sums *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return NULL;
	s->new = -1;
	s->fd = file_create("hotspare-sums");
	if (s->fd >= 0 && getrandom(&s->seed, sizeof(s->seed), 0) == sizeof(s->seed))
		return s;
	hs_sums_free(s);
	return NULL;
}

void hs_sums_free(struct hs_sums *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	munmap(s, sizeof(*s));
}

uint64_t hs_sums_generation(const struct hs_sums *s)
{
	return __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE);
}

void hs_sums_forget(struct hs_sums *s)
{
	__atomic_store_n(&s->generation, 0, __ATOMIC_RELEASE);
}

uint64_t hs_sums_snapshot(const struct hs_sums *s)
{
	return hs_sums_generation(s) ? __atomic_load_n(&s->snapshot, __ATOMIC_RELAXED) : 0;
}

void hs_sums_set(struct hs_sums *s, uint64_t generation, uint64_t snapshot)
{
	hs_sums_forget(s);
	__atomic_store_n(&s->snapshot, snapshot, __ATOMIC_RELEASE);
	__atomic_store_n(&s->generation, generation, __ATOMIC_RELEASE);
}

/* @whole: all that has content counts as changed. Returns 0, or -1 with errno. */
int hs_sums_begin(struct hs_sums *s, bool whole)
{
	s->whole = whole;
	s->new = file_create("hotspare-sums-new");
	return s->new < 0 ? -1 : 0;
}

static struct sum sum_of(const struct hs_sums *s, const char *page)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(page, HS_PAGE, s->seed);

	return (struct sum) { { h.low64 ?: 1, h.high64 } };
}

static off_t place_of(const char *addr)
{
	return (off_t)((uintptr_t)addr / HS_PAGE * sizeof(struct sum));
}

/* Returns 0, or -1 with errno. */
int hs_sums_load(struct hs_sums *s, const char *addr, size_t nr)
{
	size_t len = nr * sizeof(struct sum);

	if (s->whole)
		memset(s->was, 0, len);
	else if (pread(s->fd, s->was, len, place_of(addr)) != (ssize_t)len)
		return -1;
	return 0;
}

bool hs_sums_had(const struct hs_sums *s, size_t i)
{
	return s->was[i].v[0];
}

/* The sum that it has now. One that hasn't changed needs no look. */
static struct sum sum_now(const struct hs_sums *s, const char *page, bool content, bool maybe,
			  const struct sum *was)
{
	if (!content)
		return (struct sum) { 0 };
	return maybe || !was->v[0] ? sum_of(s, page) : *was;
}

/* Those with @content, and which of all have @changed. Returns 0, or -1 with errno. */
int hs_sums_compare(struct hs_sums *s, const char *addr, size_t nr, const bool *content,
		    const bool *maybe, bool *changed)
{
	size_t len = nr * sizeof(struct sum), i;
	bool any = false;

	for (i = 0; i < nr; i++) {
		s->is[i] = sum_now(s, addr + i * HS_PAGE, content[i], maybe[i], &s->was[i]);
		changed[i] = memcmp(&s->is[i], &s->was[i], sizeof(struct sum));
		if (!changed[i])
			s->is[i] = (struct sum) { 0 };
		else if (!content[i])
			s->is[i] = gone;
		any |= changed[i];
	}
	if (any && pwrite(s->new, s->is, len, place_of(addr)) != (ssize_t)len)
		return -1;
	return 0;
}

static void merge(struct sum *was, const struct sum *is, size_t nr)
{
	const struct sum none = { 0 };
	size_t i;

	for (i = 0; i < nr; i++)
		if (!memcmp(&is[i], &gone, sizeof(gone)))
			was[i] = none;
		else if (memcmp(&is[i], &none, sizeof(none)))
			was[i] = is[i];
}

static int copy(struct hs_sums *s, off_t at, off_t end)
{
	size_t n;

	for (; at < end; at += (off_t)n) {
		n = end - at < (off_t)sizeof(s->is) ? (size_t)(end - at) : sizeof(s->is);
		if (pread(s->new, s->is, n, at) != (ssize_t)n ||
		    pread(s->fd, s->was, n, at) != (ssize_t)n)
			return -1;
		merge(s->was, s->is, n / sizeof(struct sum));
		if (pwrite(s->fd, s->was, n, at) != (ssize_t)n)
			return -1;
	}
	return 0;
}

/*
 * The spare has it. Returns 0, or -1 with errno: then, as when the process dies in the
 * midst of it, nothing is known any more.
 */
int hs_sums_commit(struct hs_sums *s, uint64_t generation)
{
	off_t at = 0, end;

	hs_sums_forget(s);
	if (s->whole && (ftruncate(s->fd, 0) || ftruncate(s->fd, FILE_LEN)))
		return -1;
	while ((at = lseek(s->new, at, SEEK_DATA)) >= 0) {
		end = lseek(s->new, at, SEEK_HOLE);
		if (end < 0 || copy(s, at, end))
			return -1;
		at = end;
	}
	if (errno != ENXIO)
		return -1;
	hs_sums_set(s, generation, 0);
	return 0;
}
