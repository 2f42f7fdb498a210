// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private mappings of files, a library's .data among them. What the process has written
 * is memory like any other; what it hasn't is the file's: SCAN calls it FILE, and no
 * snapshot has it.
 *
 * The oracle is a spare that has the same file: what the layout says is mapped, read with
 * pread(2), and on top of it what snapshots brought. Byte for byte, that is the memory.
 */
#include <dlfcn.h>
#include <libgen.h>
#include <link.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "harness.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define PAGES	16UL
#define LEN	(PAGES * PAGE)
#define DISK	"/tmp/files-disk"

FIXTURE(files) {
	int fd;
	int file;
	char *m;
	size_t len;
	struct t_image *image;
	struct cptdev_snapshot s;	/* the newest */
	bool mounted;
};

FIXTURE_VARIANT(files) {
	bool disk;
};

FIXTURE_VARIANT_ADD(files, tmpfs) { .disk = false };
FIXTURE_VARIANT_ADD(files, disk) { .disk = true };

static void fill(char *p, size_t pages, char c)
{
	size_t i;

	for (i = 0; i < pages * PAGE; i++)
		p[i] = c + i / PAGE + i % 61;
}

static bool mount_disk(void)
{
	mkdir(DISK, 0755);
	if (!mount("/dev/vda", DISK, "ext4", 0, NULL))
		return true;
	return !system("mkfs.ext4 -qF /dev/vda >/dev/null") &&
	       !mount("/dev/vda", DISK, "ext4", 0, NULL);
}

/* Track [m, m + len), which maps @file. */
static void start(FIXTURE_DATA(files) *self, char *m, size_t len)
{
	self->fd = t_open();
	self->m = m;
	self->len = len;
	self->image = t_image_new(m, len);
	if (t_add(self->fd, m, len))
		ksft_print_msg("RANGE_ADD fails\n");
}

FIXTURE_SETUP(files)
{
	static char content[LEN];
	char *m;

	self->mounted = variant->disk && mount_disk();
	ASSERT_EQ(variant->disk, self->mounted);
	self->file = variant->disk ? open(DISK "/file", O_RDWR | O_CREAT | O_TRUNC, 0600) :
		memfd_create("files", 0);
	fill(content, PAGES, 'a');
	ASSERT_EQ((ssize_t)LEN, write(self->file, content, LEN));
	m = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->file, 0);
	ASSERT_NE(MAP_FAILED, m);
	start(self, m, LEN);
}

FIXTURE_TEARDOWN(files)
{
	munmap(self->m, self->len);
	close(self->fd);
	close(self->file);
	t_image_free(self->image);
	if (self->mounted)
		umount(DISK);
}

/* What a spare with the same file would have. */
static char *rebuild(FIXTURE_DATA(files) *self, int snap)
{
	char *out = calloc(1, self->len);
	struct cptdev_segment *v;
	size_t nr, i;

	v = t_layout(snap, &nr);
	for (i = 0; v && i < nr; i++) {
		char *to = out + (v[i].addr - (unsigned long)self->m);

		if (v[i].kind == CPTDEV_SEGMENT_FILE &&
		    pread(self->file, to, v[i].len, v[i].offset) < 0)
			nr = 0;
	}
	for (i = 0; nr && i < self->image->pages; i++)
		if (self->image->has[i])
			memcpy(out + i * PAGE, self->image->data + i * PAGE, PAGE);
	free(v);
	return out;
}

/* Behind the end of the file nothing can be looked at. */
static size_t readable(FIXTURE_DATA(files) *self)
{
	struct stat st;

	if (fstat(self->file, &st))
		return 0;
	st.st_size = (st.st_size + PAGE - 1) / PAGE * PAGE;
	return (size_t)st.st_size < self->len ? (size_t)st.st_size : self->len;
}

/* The extents as text: "first+pages" for data, "first-pages" for holes. */
static const char *extents(FIXTURE_DATA(files) *self, int snap)
{
	static char text[1024];
	struct cptdev_extent *v;
	unsigned int n = 0;
	size_t nr, i;

	v = t_extents(snap, &nr);
	text[0] = 0;
	for (i = 0; i < nr; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%lu%s%llu", i ? " " : "",
			      ((unsigned long)v[i].addr - (unsigned long)self->m) / PAGE,
			      v[i].kind == CPTDEV_EXTENT_DATA ? "+" : "-",
			      v[i].len / PAGE);
	free(v);
	return text;
}

/* Take a snapshot and hold the oracle to it; returns its extents. */
static const char *take(FIXTURE_DATA(files) *self, uint32_t flags)
{
	int snap = t_snapshot(self->fd, flags, 0, &self->s);
	const char *text;
	char *spare;

	if (snap < 0)
		return strerror(-snap);
	text = extents(self, snap);
	if (t_image_apply(self->image, snap))
		text = "it can't be applied";
	spare = rebuild(self, snap);
	if (memcmp(spare, self->m, readable(self)))
		text = "the spare has something else";
	free(spare);
	close(snap);
	return text;
}

static const char *delta(FIXTURE_DATA(files) *self)
{
	return take(self, 0);
}

static const char *full(FIXTURE_DATA(files) *self)
{
	return take(self, CPTDEV_SNAPSHOT_SINCE);
}

static char letter(uint64_t categories)
{
	bool dirty = categories & CPTDEV_PAGE_DIRTY;

	if (categories & CPTDEV_PAGE_FILE)
		return dirty ? 'f' : 'F';
	if (categories & CPTDEV_PAGE_HOLE)
		return dirty ? 'h' : 'H';
	if (categories & CPTDEV_PAGE_SWAPPED)
		return dirty ? 's' : 'S';
	return dirty ? 'd' : categories & CPTDEV_PAGE_CLEAN ? 'C' : '?';
}

/* SCAN, and clear. A letter for each page: what there is; a small one is dirty. */
static const char *scan(FIXTURE_DATA(files) *self)
{
	static char text[2 * HUGE / PAGE + 1];
	struct cptdev_region v[64];
	struct cptdev_scan a = {
		.size = sizeof(a), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
		.vec = (unsigned long)v, .vec_len = 64,
	};
	unsigned int i;
	int ret;

	memset(text, 0, sizeof(text));
	ret = t_ioctl(self->fd, CPTDEV_IOC_SCAN, &a);
	if (ret)
		return strerror(-ret);
	for (i = 0; i < a.nr; i++)
		memset(text + (v[i].start - (unsigned long)self->m) / PAGE,
		       letter(v[i].categories), (v[i].end - v[i].start) / PAGE);
	return text;
}

static void touch(const char *p, size_t pages)
{
	volatile char c;
	size_t i;

	for (i = 0; i < pages; i++)
		c = p[i * PAGE];
	(void)c;
}

/* What the kernel says by another way. */
#define PM_EXCLUSIVE	(1ULL << 56)	/* not so the zero page */
#define PM_FILE		(1ULL << 61)
#define PM_SWAPPED	(1ULL << 62)

static uint64_t pagemap(const char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t e = 0;

	if (pread(fd, &e, 8, (unsigned long)p / PAGE * 8) != 8)
		e = 0;
	close(fd);
	return e;
}

TEST_F(files, unwritten)
{
	EXPECT_STREQ("FFFFFFFFFFFFFFFF", scan(self));
	EXPECT_STREQ("", delta(self));
	EXPECT_EQ(0ULL, self->s.pages + self->s.holes);
	touch(self->m, PAGES);
	EXPECT_TRUE(pagemap(self->m) & PM_FILE);
	EXPECT_STREQ("FFFFFFFFFFFFFFFF", scan(self));
	EXPECT_STREQ("", delta(self));
	EXPECT_STREQ("", full(self));
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
}

TEST_F(files, written)
{
	EXPECT_STREQ("", delta(self));
	touch(self->m + 4 * PAGE, 1);
	fill(self->m + 3 * PAGE, 2, 'A');
	self->m[LEN - 1]++;
	EXPECT_STREQ("FFFddFFFFFFFFFFd", scan(self));
	EXPECT_STREQ("FFFCCFFFFFFFFFFC", scan(self));
	EXPECT_STREQ("3+2 15+1", delta(self));
	EXPECT_STREQ("", delta(self));
	self->m[3 * PAGE + 7]++;
	EXPECT_STREQ("FFFdCFFFFFFFFFFC", scan(self));
	EXPECT_STREQ("3+1", delta(self));
	EXPECT_STREQ("3+2 15+1", full(self));
}

/* The first snapshot of a mapping that was written before it was tracked. */
TEST_F(files, written_before)
{
	struct cptdev_range clear = { .size = sizeof(clear) };

	fill(self->m + 5 * PAGE, 2, 'A');
	EXPECT_STREQ("5+2", delta(self));
	/* Out and in again: all of it counts as changed, the file's pages as holes. */
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_RANGE_CLEAR, &clear));
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	EXPECT_STREQ("0-5 5+2 7-9", delta(self));
	EXPECT_STREQ("", delta(self));
}

TEST_F(files, thrown_away)
{
	fill(self->m + 2 * PAGE, 4, 'A');
	EXPECT_STREQ("2+4", delta(self));
	scan(self);
	madvise(self->m + 3 * PAGE, 2 * PAGE, MADV_DONTNEED);
	/* The file's content is a change, once. */
	EXPECT_STREQ("FFCffCFFFFFFFFFF", scan(self));
	EXPECT_STREQ("FFCFFCFFFFFFFFFF", scan(self));
	EXPECT_STREQ("3-2", delta(self));
	touch(self->m, PAGES);
	EXPECT_STREQ("FFCFFCFFFFFFFFFF", scan(self));
	EXPECT_STREQ("", delta(self));
	EXPECT_STREQ("2+1 5+1", full(self));
	/* Read from the file again, then written. */
	self->m[4 * PAGE]++;
	EXPECT_STREQ("4+1", delta(self));
	/* Written and thrown away between two snapshots: as if nothing had been. */
	self->m[9 * PAGE]++;
	madvise(self->m + 9 * PAGE, PAGE, MADV_DONTNEED);
	EXPECT_STREQ("", delta(self));
}

/* What the file has isn't looked at: neither before nor after. */
TEST_F(files, file_changes)
{
	static char other[2 * PAGE];

	touch(self->m, PAGES);
	fill(self->m + 2 * PAGE, 1, 'A');
	EXPECT_STREQ("2+1", delta(self));
	scan(self);
	fill(other, 2, '0');
	ASSERT_EQ((ssize_t)sizeof(other),
		  pwrite(self->file, other, sizeof(other), 2 * PAGE));
	EXPECT_EQ(0, memcmp(other + PAGE, self->m + 3 * PAGE, PAGE));
	EXPECT_NE(0, memcmp(other, self->m + 2 * PAGE, PAGE));
	EXPECT_STREQ("FFCFFFFFFFFFFFFF", scan(self));
	EXPECT_STREQ("", delta(self));
}

static int touched_by_child(char *p)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		touch(p, 1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/*
 * Where the file has a large folio, truncation splits it: its whole stretch is unmapped, and
 * that is an event for page 1, which is @more then.
 */
#define EXPECT_OR_MORE(text, more, call)		\
	do {						\
		const char *got = call;			\
							\
		if (strcmp(more, got))			\
			EXPECT_STREQ(text, got);	\
	} while (0)

TEST_F(files, truncated)
{
	touch(self->m, PAGES);
	fill(self->m + PAGE, 1, 'A');
	fill(self->m + 9 * PAGE, 2, 'A');
	EXPECT_STREQ("1+1 9+2", delta(self));
	scan(self);
	/* Written pages go with the file's: nobody can read there any more. */
	ASSERT_EQ(0, ftruncate(self->file, 8 * PAGE));
	EXPECT_EQ(SIGBUS, touched_by_child(self->m + 8 * PAGE));
	EXPECT_EQ(SIGBUS, touched_by_child(self->m + 9 * PAGE));
	EXPECT_OR_MORE("FCFFFFFFFffFFFFF", "FdFFFFFFFffFFFFF", scan(self));
	EXPECT_OR_MORE("9-2", "1+1 9-2", delta(self));
	EXPECT_STREQ("", delta(self));
	EXPECT_STREQ("1+1", full(self));
	/* In the middle of a page: what was written there stays. */
	ASSERT_EQ(0, ftruncate(self->file, PAGE + 100));
	EXPECT_OR_MORE("FCFFFFFFFFFFFFFF", "FdFFFFFFFFFFFFFF", scan(self));
	EXPECT_OR_MORE("", "1+1", delta(self));
	/* Longer again: zeros, but the file's. */
	ASSERT_EQ(0, ftruncate(self->file, LEN));
	EXPECT_EQ(0, self->m[9 * PAGE]);
	EXPECT_STREQ("", delta(self));
	self->m[9 * PAGE] = 1;
	EXPECT_STREQ("FCFFFFFFFdFFFFFF", scan(self));
	EXPECT_STREQ("9+1", delta(self));
}

TEST_F(files, protected)
{
	int mem = open("/proc/self/mem", O_RDWR);

	EXPECT_STREQ("", delta(self));
	fill(self->m, 3, 'A');
	mprotect(self->m, 8 * PAGE, PROT_READ);
	EXPECT_STREQ("dddFFFFFFFFFFFFF", scan(self));
	EXPECT_STREQ("0+3", delta(self));
	EXPECT_STREQ("", delta(self));
	/* By force, to what was written and to what is the file's. */
	EXPECT_EQ(1, pwrite(mem, "!", 1, (unsigned long)self->m + PAGE));
	EXPECT_STREQ("1+1", delta(self));
	EXPECT_EQ(1, pwrite(mem, "!", 1, (unsigned long)self->m + 6 * PAGE));
	EXPECT_STREQ("6+1", delta(self));
	EXPECT_STREQ("0+3 6+1", full(self));
	mprotect(self->m, 8 * PAGE, PROT_READ | PROT_WRITE);
	self->m[6 * PAGE]++;
	delta(self);
	self->m[2 * PAGE]++;
	EXPECT_STREQ("2+1", delta(self));
	close(mem);
}

TEST_F(files, fork)
{
	int to[2], from[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(to) | pipe(from));
	fill(self->m + 2 * PAGE, 1, 'A');
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fill(self->m + 2 * PAGE, 4, '0');
		_exit(write(from[1], "w", 1) != 1 || read(to[0], &c, 1) != 1);
	}
	ASSERT_EQ(1, read(from[0], &c, 1));
	EXPECT_STREQ("2+1", delta(self));
	EXPECT_STREQ("", delta(self));
	fill(self->m + 3 * PAGE, 1, 'B');
	EXPECT_STREQ("3+1", delta(self));
	ASSERT_EQ(1, write(to[1], "e", 1));
	waitpid(pid, NULL, 0);
	self->m[2 * PAGE]++;
	EXPECT_STREQ("2+1", delta(self));
}

TEST_F(files, swapped)
{
	t_swap_on("/dev/vdb");
	EXPECT_STREQ("", delta(self));
	touch(self->m, PAGES);
	fill(self->m + 2 * PAGE, 4, 'A');
	scan(self);
	ASSERT_TRUE(t_page_out(self->m + 2 * PAGE, 4));
	/* Out of memory, the file's pages as well. */
	madvise(self->m, LEN, MADV_PAGEOUT);
	EXPECT_STREQ("FFssssFFFFFFFFFF", scan(self));
	EXPECT_STREQ("2+4", delta(self));
	ASSERT_TRUE(t_page_out(self->m + 2 * PAGE, 4));
	self->m[3 * PAGE]++;
	delta(self);				/* more than that page, maybe */
	EXPECT_LE(1ULL, self->s.pages);
	EXPECT_STREQ("2+4", full(self));
}

/* A page that comes from the disk is nobody's store. */
TEST_F(files, read_in)
{
	unsigned char resident = 1;

	fill(self->m + 2 * PAGE, 1, 'A');
	EXPECT_STREQ("2+1", delta(self));
	scan(self);
	fsync(self->file);
	madvise(self->m, LEN, MADV_RANDOM);
	/* Who maps one page of a large folio keeps all of it. */
	madvise(self->m, 2 * PAGE, MADV_DONTNEED);
	madvise(self->m + 3 * PAGE, LEN - 3 * PAGE, MADV_DONTNEED);
	posix_fadvise(self->file, 0, LEN, POSIX_FADV_DONTNEED);
	mincore(self->m + 7 * PAGE, PAGE, &resident);
	EXPECT_EQ(!variant->disk, resident & 1);
	touch(self->m + 7 * PAGE, 1);
	EXPECT_STREQ("FFCFFFFFFFFFFFFF", scan(self));
	EXPECT_STREQ("", delta(self));
}

/* Other memory at the same place: the layout has the news, and holes what was there. */
TEST_F(files, mapped_over)
{
	fill(self->m + 2 * PAGE, 6, 'A');
	EXPECT_STREQ("2+6", delta(self));
	ASSERT_NE(MAP_FAILED, mmap(self->m + 3 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_FIXED, self->file, 10 * PAGE));
	EXPECT_STREQ("3-2", delta(self));
	ASSERT_NE(MAP_FAILED, mmap(self->m + 6 * PAGE, PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0));
	EXPECT_STREQ("FFdFFdHdFFFFFFFF", scan(self));
	EXPECT_STREQ("6-1", delta(self));
	EXPECT_STREQ("2+1 5+1 7+1", full(self));
}

/* Not by a store: through a reference to the page. */
TEST_F(files, system_calls)
{
	char text[] = "written by a system call";
	struct iovec local = { .iov_base = text, .iov_len = sizeof(text) };
	struct iovec remote = { .iov_base = self->m + 7 * PAGE, .iov_len = sizeof(text) };
	int p[2], mem = open("/proc/self/mem", O_RDWR);

	EXPECT_STREQ("", delta(self));
	EXPECT_EQ((ssize_t)sizeof(text), process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_STREQ("7+1", delta(self));
	EXPECT_EQ((ssize_t)sizeof(text), pwrite(mem, text, sizeof(text),
						(unsigned long)self->m + 9 * PAGE));
	ASSERT_EQ(0, pipe(p));
	EXPECT_EQ((ssize_t)sizeof(text), write(p[1], text, sizeof(text)));
	EXPECT_EQ((ssize_t)sizeof(text), read(p[0], self->m + 11 * PAGE, sizeof(text)));
	EXPECT_STREQ("9+1 11+1", delta(self));
	/* Locked, a page becomes the process's own: it doesn't follow the file any more. */
	ASSERT_EQ(0, mlock(self->m + 13 * PAGE, PAGE));
	EXPECT_STREQ("13+1", delta(self));
	close(mem);
}

/*
 * Write-back makes pages of a shared mapping read-only again, with none of the process's locks
 * held. The kernel's log must stay empty, and memory that is tracked hasn't changed.
 */
TEST_F(files, written_back)
{
	char *shared = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, self->file, 0);
	int i;

	ASSERT_NE(MAP_FAILED, shared);
	memset(self->m + 2 * PAGE, 'x', PAGE);
	EXPECT_STREQ("2+1", delta(self));
	for (i = 0; i < 8; i++) {
		shared[(2 + i) * PAGE]++;
		ASSERT_EQ(0, msync(shared, LEN, MS_SYNC));
		shared[(2 + i) * PAGE]++;
		ASSERT_EQ(0, fsync(self->file));
	}
	EXPECT_STREQ("", delta(self));
	munmap(shared, LEN);
}

static bool huge_mapped(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long kib, sum = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "ShmemPmdMapped: %lu kB", &kib) == 1)
			sum += kib;
	if (f)
		fclose(f);
	return sum;
}

/* A huge page of a file, of which one page is written. */
TEST(huge_page)
{
	FIXTURE_DATA(files) data = { .file = memfd_create("huge", 0) }, *self = &data;
	char *m = t_map_huge(HUGE);

	t_write_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");
	ASSERT_EQ(0, ftruncate(self->file, HUGE));
	ASSERT_EQ(m, mmap(m, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
			  self->file, 0));
	madvise(m, HUGE, MADV_HUGEPAGE);
	touch(m, HUGE / PAGE);
	start(self, m, HUGE);
	if (!huge_mapped())
		SKIP(return, "no huge page to be had");
	EXPECT_EQ(HUGE / PAGE, strspn(scan(self), "F"));
	EXPECT_STREQ("", delta(self));
	m[100 * PAGE]++;
	EXPECT_EQ(100UL, strspn(scan(self), "F"));
	EXPECT_STREQ("100+1", delta(self));
	touch(m, HUGE / PAGE);
	EXPECT_STREQ("", delta(self));
	madvise(m, HUGE, MADV_DONTNEED);
	EXPECT_STREQ("100-1", delta(self));
	t_write_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "never");
}

/*
 * A library
 */

struct found {
	const char *name;
	char *start, *end;		/* what can be, or could be, written */
	char *file_end;			/* behind it is .bss */
	char *relro, *relro_end;
};

static char *page_down(unsigned long addr)
{
	return (char *)(addr & -PAGE);
}

static char *page_up(unsigned long addr)
{
	return page_down(addr + PAGE - 1);
}

static int find_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct found *f = arg;
	unsigned int i;

	(void)size;
	if (strcmp(info->dlpi_name, f->name))
		return 0;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		unsigned long addr = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && p->p_flags & PF_W) {
			f->start = page_down(addr);
			f->file_end = page_up(addr + p->p_filesz);
			f->end = page_up(addr + p->p_memsz);
		} else if (p->p_type == PT_GNU_RELRO) {
			f->relro = page_down(addr);
			f->relro_end = page_down(addr + p->p_memsz);
		}
	}
	return 1;
}

static bool load(struct found *f, void **handle)
{
	static char path[4096];
	char self[4000] = { 0 };

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/files_lib.so", dirname(self));
	f->name = path;
	*handle = dlopen(path, RTLD_NOW);
	return *handle && dl_iterate_phdr(find_library, f) && f->relro;
}

/* Where the page is, from the beginning of what is tracked. */
static size_t at(const FIXTURE_DATA(files) *self, const void *p)
{
	return ((unsigned long)p - (unsigned long)self->m) / PAGE;
}

/* The snapshot has exactly the pages that the kernel calls the process's own. */
static void as_pagemap(struct __test_metadata *_metadata, FIXTURE_DATA(files) *self)
{
	size_t i;

	for (i = 0; i < self->image->pages; i++) {
		uint64_t e = pagemap(self->m + i * PAGE);

		EXPECT_EQ((e & PM_EXCLUSIVE) && !(e & PM_FILE), self->image->has[i]);
	}
}

TEST(library)
{
	FIXTURE_DATA(files) data, *self = &data;
	struct found f = { 0 };
	char *c, *d, *b, text[32];
	void *handle;

	ASSERT_TRUE(load(&f, &handle));
	c = dlsym(handle, "files_relro");
	d = dlsym(handle, "files_data");
	b = dlsym(handle, "files_bss");
	ASSERT_TRUE(c && d && b);
	self->file = open(f.name, O_RDONLY);
	start(self, f.start, f.end - f.start);

	/* What the loader has written is there, .data and .bss aren't. */
	delta(self);
	as_pagemap(_metadata, self);
	EXPECT_EQ(0, memcmp(self->m, self->image->data, PAGE));
	ASSERT_TRUE(c >= f.relro && c < f.relro_end);
	EXPECT_TRUE(self->image->has[at(self, c)]);
	ASSERT_TRUE(d + 4 * PAGE < f.file_end && b + 2 * PAGE > f.file_end);
	EXPECT_FALSE(self->image->has[at(self, d + 3 * PAGE)]);
	EXPECT_FALSE(self->image->has[at(self, b + 3 * PAGE)]);
	EXPECT_EQ('F', scan(self)[at(self, d + 3 * PAGE)]);
	EXPECT_EQ('H', scan(self)[at(self, b + 3 * PAGE)]);
	EXPECT_EQ('C', scan(self)[at(self, c)]);

	d[3 * PAGE]++;
	b[3 * PAGE]++;
	snprintf(text, sizeof(text), "%zu+1 %zu+1", at(self, d + 3 * PAGE),
		 at(self, b + 3 * PAGE));
	EXPECT_EQ('d', scan(self)[at(self, d + 3 * PAGE)]);
	EXPECT_EQ('C', scan(self)[at(self, b + 3 * PAGE)]);
	EXPECT_STREQ(text, delta(self));
	as_pagemap(_metadata, self);
	full(self);
	as_pagemap(_metadata, self);
	EXPECT_EQ(0, memcmp(self->image->data + at(self, d + 3 * PAGE) * PAGE,
			    page_down((unsigned long)d + 3 * PAGE), PAGE));
	dlclose(handle);
	close(self->fd);
}

TEST_HARNESS_MAIN
