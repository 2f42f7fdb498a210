// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptbench: the program that is checkpointed. Each page holds a value that is known from
 * its number and the round in which it was last modified.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cptbench.h"

size_t work_page_size, work_pages, work_modified;
uint32_t *work_stamps;

static char **regions;
static unsigned int *sorted;		/* regions by address */
static size_t pages_of_region;		/* the last one may have more */
static size_t untouched;		/* bytes behind each, in the range */
static size_t stride;			/* from one scattered page to the next */
static int *files;
static struct header *headers;
static pthread_barrier_t begin, end;

static size_t first_page(unsigned int region)
{
	return region == knobs.regions ? work_pages : region * pages_of_region;
}

void *work_region(unsigned int nr, size_t *len)
{
	*len = (first_page(nr + 1) - first_page(nr)) * work_page_size;
	return regions[nr];
}

static unsigned int region_of(size_t page)
{
	unsigned int nr = (unsigned int)(page / pages_of_region);

	return nr < knobs.regions ? nr : knobs.regions - 1;
}

static uint64_t *page_at(size_t index)
{
	unsigned int nr = region_of(index);

	return (uint64_t *)(regions[nr] + (index - first_page(nr)) * work_page_size);
}

void *work_range(unsigned int nr, size_t *len)
{
	void *start = work_region(nr, len);

	*len += untouched;
	return start;
}

/* The last region by address that begins at @addr or before. */
static unsigned int by_address(const char *addr)
{
	unsigned int lo = 0, hi = knobs.regions;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (regions[sorted[mid]] <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? sorted[lo - 1] : sorted[0];
}

size_t work_index(const void *addr)
{
	unsigned int nr = by_address(addr);
	const char *start, *at = addr;
	size_t len;

	start = work_region(nr, &len);
	if (at >= start && at < start + len)
		return first_page(nr) + (size_t)(at - start) / work_page_size;
	return work_pages;
}

static uint64_t value_of(size_t index, uint32_t stamp)
{
	return ((uint64_t)stamp << 40 | (index + 1)) * 0x9e3779b97f4a7c15;
}

static void fill_page(size_t index, uint32_t stamp)
{
	uint64_t value = value_of(index, stamp), *page = page_at(index);
	size_t i;

	for (i = 0; i < work_page_size / sizeof(*page); i++)
		page[i] = value + i;
	work_stamps[index] = stamp;
}

bool work_page_ok(const void *page, size_t index, uint32_t stamp)
{
	uint64_t value = value_of(index, stamp);
	const uint64_t *word = page;
	size_t i;

	for (i = 0; i < work_page_size / sizeof(*word); i++)
		if (word[i] != value + i)
			return false;
	return true;
}

/* Some in a row, one left out, until there are enough; or far from each other. */
static size_t modified_page(size_t i)
{
	if (knobs.scattered)
		return (size_t)((unsigned long long)i * stride % work_pages);
	return i + i / knobs.contiguity;
}

static size_t common_divisor(size_t a, size_t b)
{
	return b ? common_divisor(b, a % b) : a;
}

/* Each page is met once, and those of one pass lie apart: near the golden section. */
static void choose_stride(void)
{
	stride = work_pages * 618 / 1000 + 1;
	while (common_divisor(stride, work_pages) != 1)
		stride++;
}

static void modify(unsigned int part, unsigned int parts)
{
	size_t i = work_modified * part / parts;

	for (; i < work_modified * (part + 1) / parts; i++) {
		size_t index = modified_page(i);

		fill_page(index, work_stamps[index] + 1);
	}
}

static void *worker(void *arg)
{
	unsigned int nr = (unsigned int)(uintptr_t)arg;

	for (;;) {
		pthread_barrier_wait(&begin);
		modify(nr, knobs.threads);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

void work_modify(void)
{
	if (!knobs.threads) {
		modify(0, 1);
		return;
	}
	pthread_barrier_wait(&begin);
	pthread_barrier_wait(&end);
}

/* On a border of @align. */
static char *map(size_t len, size_t align)
{
	char *m = mmap(NULL, len + align, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (m == MAP_FAILED)
		die(EXIT_FAILED, "can't have %zu bytes: %s. Take less --memory, or fewer --regions",
		    len, strerror(errno));
	before = (align - (uintptr_t)m % align) % align;
	if (before)
		munmap(m, before);
	if (align > before)
		munmap(m + before + len, align - before);
	return m + before;
}

/* The page behind a region keeps the kernel from making one mapping of all. */
static char *map_region(size_t len)
{
	size_t huge = 2UL << 20;
	char *m = map(len + untouched + work_page_size,
		      knobs.huge && len >= huge ? huge : work_page_size);

	if (mprotect(m + len + untouched, work_page_size, PROT_NONE))
		die(EXIT_FAILED, "%u regions: %s. Take fewer --regions", knobs.regions,
		    strerror(errno));
	/* A page that changes shall be one page, if nothing else is wanted. */
	madvise(m, len + untouched, knobs.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return m;
}

static int ascending(const void *a, const void *b)
{
	const char *x = regions[*(const unsigned int *)a], *y = regions[*(const unsigned int *)b];

	return (x > y) - (x < y);
}

static void map_memory(void)
{
	unsigned int nr;
	size_t i, len;

	for (nr = 0; nr < knobs.regions; nr++) {
		len = (first_page(nr + 1) - first_page(nr)) * work_page_size;
		regions[nr] = map_region(len);
		sorted[nr] = nr;
	}
	qsort(sorted, knobs.regions, sizeof(*sorted), ascending);
	for (i = 0; i < work_pages; i++)
		fill_page(i, 0);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void open_files(void)
{
	unsigned int i;

	for (i = 0; i < knobs.descriptors; i++) {
		files[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (files[i] < 0)
			die(EXIT_FAILED, "descriptor %u: %s. Take fewer --descriptors, or raise 'ulimit -n'",
			    i, strerror(errno));
	}
}

static void start_threads(void)
{
	unsigned int i;
	pthread_t t;
	int err;

	if (!knobs.threads)
		return;
	pthread_barrier_init(&begin, NULL, knobs.threads + 1);
	pthread_barrier_init(&end, NULL, knobs.threads + 1);
	for (i = 0; i < knobs.threads; i++) {
		err = pthread_create(&t, NULL, worker, (void *)(uintptr_t)i);
		if (err)
			die(EXIT_FAILED, "thread %u: %s. Take fewer --threads", i,
			    strerror(err));
	}
}

static void *need(void *p)
{
	if (!p)
		die(EXIT_FAILED, "no memory");
	return p;
}

void work_start(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	unsigned int i;

	work_page_size = (size_t)sysconf(_SC_PAGESIZE);
	work_pages = knobs.memory / work_page_size;
	work_modified = work_pages * knobs.share / 100;
	pages_of_region = work_pages / knobs.regions;
	untouched = knobs.untouched / knobs.regions / work_page_size * work_page_size;
	choose_stride();
	regions = need(calloc(knobs.regions, sizeof(*regions)));
	sorted = need(calloc(knobs.regions, sizeof(*sorted)));
	work_stamps = need(calloc(work_pages, sizeof(*work_stamps)));
	files = need(calloc(knobs.descriptors + 1, sizeof(*files)));
	headers = need(calloc(knobs.descriptors + knobs.threads + knobs.signals + 1,
			      sizeof(*headers)));
	map_memory();
	open_files();
	for (i = 0; i < knobs.signals; i++)
		sigaction(SIGRTMIN + (int)i, &sa, NULL);
	start_threads();
}

/* Asked of the kernel each time, as a program would that can't know who changed it. */
size_t work_header(const struct header **header)
{
	struct header *h = headers;
	struct sigaction sa;
	unsigned int i;

	for (i = 0; i < knobs.descriptors; i++)
		*h++ = (struct header){ 'f', (uint32_t)fcntl(files[i], F_GETFL),
					(uint64_t)lseek(files[i], 0, SEEK_CUR) };
	for (i = 0; i < knobs.threads; i++)
		*h++ = (struct header){ 't', i, (uintptr_t)worker };
	for (i = 0; i < knobs.signals; i++) {
		sigaction(SIGRTMIN + (int)i, NULL, &sa);
		*h++ = (struct header){ 's', i, (uintptr_t)sa.sa_handler };
	}
	*header = headers;
	return (size_t)(h - headers) * sizeof(*h);
}
