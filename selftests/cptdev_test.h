/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kselftests share: calls that fill in sizes, and an image of tracked memory
 * in user space, which is brought up to date by snapshots the way a spare would do it.
 */
#ifndef CPTDEV_TEST_H
#define CPTDEV_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/cptdev.h>

#include "engine.h"

#define PAGE		4096UL
#define HUGE		(2UL << 20)

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

/* For how long who runs the tests wants them to run. */
enum t_length { T_NORMAL, T_SHORT, T_SOAK };

static inline enum t_length t_length(void)
{
	const char *length = getenv("CPTDEV_LENGTH") ?: "";

	return !strcmp(length, "soak") ? T_SOAK : !strcmp(length, "short") ? T_SHORT : T_NORMAL;
}

/* Is there time for all? Not in "make check", which CPTDEV_TIER tells. */
static inline bool t_all(void)
{
	return !strcmp(getenv("CPTDEV_TIER") ?: "all", "all");
}

static inline struct cptdev_info t_info(int fd)
{
	struct cptdev_info info = { .size = sizeof(info) };

	if (t_ioctl(fd, CPTDEV_IOC_INFO, &info))
		memset(&info, 0, sizeof(info));
	return info;
}

static inline int t_setup(int fd, const char *name, uint64_t term, uint64_t held_max)
{
	struct cptdev_session_setup arg = {
		.size = sizeof(arg), .term = term, .held_max = held_max,
	};

	memcpy(arg.name, name, strnlen(name, sizeof(arg.name) - 1));
	return t_ioctl(fd, CPTDEV_IOC_SESSION_SETUP, &arg);
}

static inline int t_range(int fd, unsigned long cmd, void *addr, size_t len,
			  uint32_t flags)
{
	struct cptdev_range arg = {
		.size = sizeof(arg), .addr = (unsigned long)addr, .len = len,
		.flags = flags,
	};

	return t_ioctl(fd, cmd, &arg);
}

static inline int t_add(int fd, void *addr, size_t len)
{
	return t_range(fd, CPTDEV_IOC_RANGE_ADD, addr, len, 0);
}

static inline int t_del(int fd, void *addr, size_t len)
{
	return t_range(fd, CPTDEV_IOC_RANGE_DEL, addr, len, 0);
}

/* Returns the descriptor or -errno; @out may be NULL. */
static inline int t_snapshot(int fd, uint32_t flags, uint64_t since,
			     struct cptdev_snapshot *out)
{
	struct cptdev_snapshot arg = {
		.size = sizeof(arg), .flags = flags, .since = since,
	};
	int ret = t_ioctl(fd, CPTDEV_IOC_SNAPSHOT, &arg);

	if (out)
		*out = arg;
	return ret ?: arg.fd;
}

static inline int t_wait(int fd, uint64_t generation, uint64_t timeout_ns,
			 uint64_t *committed)
{
	struct cptdev_wait arg = {
		.size = sizeof(arg), .generation = generation,
		.timeout_ns = timeout_ns,
	};
	int ret = t_ioctl(fd, CPTDEV_IOC_WAIT, &arg);

	if (committed)
		*committed = arg.committed;
	return ret;
}

static inline int t_delta_flags(int fd, uint64_t id, uint64_t since, uint32_t flags,
				struct cptdev_delta *out)
{
	struct cptdev_delta arg = {
		.size = sizeof(arg), .flags = flags, .session_id = id, .since = since,
	};
	int ret = t_ioctl(fd, CPTDEV_IOC_DELTA, &arg);

	if (out)
		*out = arg;
	return ret ?: arg.fd;
}

static inline int t_delta(int fd, uint64_t id, uint64_t since, struct cptdev_delta *out)
{
	return t_delta_flags(fd, id, since, 0, out);
}

/* Returns the descriptor or -errno; @r becomes the answer. */
static inline int t_round(int fd, struct cptdev_round *r)
{
	int ret;

	r->size = sizeof(*r);
	ret = t_ioctl(fd, CPTDEV_IOC_ROUND, r);
	return ret ?: r->fd;
}

static inline int t_ack(int fd, uint64_t id, uint64_t generation, uint32_t flags)
{
	struct cptdev_ack arg = {
		.size = sizeof(arg), .session_id = id, .generation = generation,
		.flags = flags,
	};

	return t_ioctl(fd, CPTDEV_IOC_ACK, &arg);
}

static inline struct cptdev_image_info t_image_info(int fd)
{
	struct cptdev_image_info info = { .size = sizeof(info) };

	if (t_ioctl(fd, CPTDEV_IOC_IMAGE_INFO, &info))
		memset(&info, 0, sizeof(info));
	return info;
}

/* All entries of a list, malloc()ed; @nr: how many. */
static inline void *t_image_vec(int fd, unsigned long cmd, size_t entry, size_t *nr)
{
	struct cptdev_image_vec arg = { .size = sizeof(arg), .vec_len = 256 };
	char *v = NULL, *more;

	*nr = 0;
	do {
		more = realloc(v, (*nr + arg.vec_len) * entry);
		if (!more)
			goto fail;
		v = more;
		arg.vec = (unsigned long)(v + *nr * entry);
		if (t_ioctl(fd, cmd, &arg))
			goto fail;
		arg.start = arg.next;
		*nr += arg.nr;
	} while (arg.nr);
	return v;
fail:
	free(v);
	return NULL;
}

static inline struct cptdev_extent *t_extents(int fd, size_t *nr)
{
	return t_image_vec(fd, CPTDEV_IOC_IMAGE_EXTENTS, sizeof(struct cptdev_extent), nr);
}

static inline struct cptdev_segment *t_layout(int fd, size_t *nr)
{
	return t_image_vec(fd, CPTDEV_IOC_IMAGE_LAYOUT, sizeof(struct cptdev_segment), nr);
}

static inline char *t_map(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		madvise(p, len, MADV_NOHUGEPAGE);
	return p == MAP_FAILED ? NULL : p;
}

/* Room for a struct on the border of two pages, a half in each. */
static inline void *t_half_writable(size_t size)
{
	return t_map(2 * PAGE) + PAGE - (size / 2 & ~7UL);
}

/* Its second half can be read only, or written again. */
static inline void t_half_protect(void *half, bool read_only)
{
	char *border = (char *)(((unsigned long)half + PAGE - 1) & ~(PAGE - 1));

	mprotect(border, PAGE, PROT_READ | (read_only ? 0 : PROT_WRITE));
}

/* Memory on a huge-page border, with huge pages allowed. */
static inline char *t_map_huge(size_t len)
{
	char *p = mmap(NULL, len + HUGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *start;

	if (p == MAP_FAILED)
		return NULL;
	start = (char *)(((unsigned long)p + HUGE - 1) & ~(HUGE - 1));
	if (start > p)
		munmap(p, start - p);
	munmap(start + len, p + HUGE - start);
	madvise(start, len, MADV_HUGEPAGE);
	return start;
}

static inline int t_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -EIO;
}

/* Swap on a scratch disk of the guest, until the guest ends. */
static inline void t_swap_on(const char *disk)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd),
		 "grep -q %s /proc/swaps || mkswap %s >/dev/null && swapon %s 2>/dev/null",
		 disk, disk, disk);
	if (system(cmd))
		return;
}

/* Is it out of the page table, for swap? */
static inline bool t_swapped(const char *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t e = 0;

	if (pread(fd, &e, 8, (unsigned long)page / PAGE * 8) != 8)
		e = 0;
	close(fd);
	return e >> 62 & 1;
}

/*
 * Pages that are new or came from swap wait in a batch of their processor for their place in the
 * LRU lists. Meanwhile they can't be paged out, and the batch's reference looks like I/O.
 * move_pages(2) empties all batches, also if it is to move none.
 */
static inline void t_drain_lists(void)
{
	int node = 0;

	syscall(SYS_move_pages, 0, 0UL, NULL, &node, NULL, 0);
}

/* Page @pages out, though others may hold one for a moment. Returns whether all of them went. */
static inline bool t_page_out(char *p, size_t pages)
{
	unsigned int tries;
	size_t i;

	for (tries = 0; tries < 1000; tries++) {
		t_drain_lists();
		madvise(p, pages * PAGE, MADV_PAGEOUT);
		for (i = 0; i < pages && t_swapped(p + i * PAGE); i++)
			;
		if (i == pages)
			return true;
		usleep(10000);
	}
	return false;
}

/*
 * What a spare would have: a copy of [addr, addr + len), and which pages have data.
 */
struct t_image {
	unsigned long addr;
	size_t pages;
	char *data;
	bool *has;
	uint64_t generation;
};

static inline struct t_image *t_image_new(void *addr, size_t len)
{
	struct t_image *im = calloc(1, sizeof(*im));

	im->addr = (unsigned long)addr;
	im->pages = len / PAGE;
	im->data = calloc(im->pages, PAGE);
	im->has = calloc(im->pages, sizeof(*im->has));
	return im;
}

static inline void t_image_free(struct t_image *im)
{
	free(im->data);
	free(im->has);
	free(im);
}

/* Apply one extent; @pos is where its pages are in the file. */
static inline int t_image_extent(struct t_image *im, int fd,
				 const struct cptdev_extent *e, off_t *pos)
{
	uint64_t i;

	for (i = 0; i < e->len / PAGE; i++) {
		unsigned long addr = e->addr + i * PAGE;
		size_t page = (addr - im->addr) / PAGE;
		char buf[PAGE] = { 0 };

		if (e->kind == CPTDEV_EXTENT_DATA) {
			if (pread(fd, buf, PAGE, *pos) != (ssize_t)PAGE)
				return -EIO;
			*pos += PAGE;
		}
		if (addr < im->addr || page >= im->pages)
			continue;
		memcpy(im->data + page * PAGE, buf, PAGE);
		im->has[page] = e->kind == CPTDEV_EXTENT_DATA;
	}
	return 0;
}

/* Everything that the snapshot has. */
static inline int t_image_take(struct t_image *im, int fd)
{
	struct cptdev_image_info info = t_image_info(fd);
	struct cptdev_extent *v;
	off_t pos = 0;
	size_t nr, i;
	int ret = 0;

	v = t_extents(fd, &nr);
	if (!v)
		return -EIO;
	for (i = 0; !ret && i < nr; i++)
		ret = t_image_extent(im, fd, &v[i], &pos);
	free(v);
	return !ret && pos != (off_t)(info.pages * PAGE) ? -EIO : ret;
}

/* Bring the image from its generation to that of the snapshot. */
static inline int t_image_apply(struct t_image *im, int fd)
{
	struct cptdev_image_info info = t_image_info(fd);

	if (!info.generation)
		return -EINVAL;
	if (info.base > im->generation || info.generation <= im->generation)
		return -EILSEQ;
	if (!info.base) {
		memset(im->data, 0, im->pages * PAGE);
		memset(im->has, 0, im->pages * sizeof(*im->has));
	}
	im->generation = info.generation;
	return t_image_take(im, fd);
}

/* The first page that differs from @memory, or -1. */
static inline long t_image_differs(const struct t_image *im, const void *memory)
{
	const char *m = memory;
	size_t i;

	for (i = 0; i < im->pages; i++)
		if (memcmp(im->data + i * PAGE, m + i * PAGE, PAGE))
			return i;
	return -1;
}

/* What is done by a worker is done soon: until @expr is @value, or ten seconds have passed. */
#define T_SOON(value, expr) ({						\
	unsigned int t_try;						\
									\
	for (t_try = 0; t_try < 10000 && (expr) != (value); t_try++)	\
		usleep(1000);						\
	(expr);								\
})

/* A small generator, so that a seed repeats a run. */
static inline uint64_t t_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

#endif /* CPTDEV_TEST_H */
