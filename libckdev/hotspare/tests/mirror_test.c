// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The mirror, and the sums that say what changed: after each checkpoint, whole or not, the
 * mirror must be what memory is, byte for byte, and have nothing where memory has nothing.
 *
 * ROUNDS in the environment: how many at random.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../arena.h"
#include "../hotspare.h"
#include "../mirror.h"
#include "../module.h"
#include "../sums.h"
#include "child.h"
#include "cut.h"

#define CLASS	1
#define OBJECTS	100

static struct hs_mirror mirror;
static struct hs_sums *sums;
static uint64_t generation;
static unsigned char *object[OBJECTS];
static size_t size[OBJECTS];

static int set_up(void **state)
{
	(void)state;
	hs_mirror_init(&mirror);
	sums = hs_sums_create();
	srandom(1);
	return !sums || hs_malloc_create(CLASS, 64 << 10) || hs_malloc_create(CLASS + 1, 4096);
}

static int tear_down(void **state)
{
	(void)state;
	hs_mirror_free(&mirror);
	hs_sums_free(sums);
	return 0;
}

static struct hs_snapshot snap = { .fd = -1 };

static void write_by_module(struct hs_writer *w, int fd, const struct hs_image_head *head,
			    const struct hs_texts *t, struct hs_sums *s)
{
	struct hs_error e = { "" };

	hs_arena_lock();
	if (hs_snapshot_take(&snap, &t->state.ranges, head->base ? hs_sums_snapshot(s) : 0, &e))
		fail_msg("%s", e.text);
	hs_arena_unlock();
	assert_int_equal(hs_checkpoint_write(w, fd, head, t, &snap, s), 0);
	hs_snapshot_close(&snap);
}

/* As a file; NULL: as who doesn't know what the mirror has would write it. */
static int write_image(bool increment, struct hs_sums *s)
{
	struct hs_image_head head = {
		.generation = generation + 1, .base = increment ? hs_sums_generation(s) : 0,
		.flags = increment ? HS_IMAGE_INCREMENT : 0, .run = "mirror_test",
	};
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct hs_error e = { "" };
	struct hs_texts t;
	struct hs_writer w;

	generation++;
	assert_int_equal(hs_texts_capture(&t, &e), 0);
	assert_int_equal(hs_texts_make(&t, &e), 0);
	assert_int_equal(hs_writer_create(&w), 0);
	(hs_by_module() ? write_by_module : t_write_by_fork)(&w, fd, &head, &t, s);
	hs_writer_free(&w);
	hs_texts_free(&t);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* The mirror has the last one that was written. */
static void delivered(void)
{
	if (hs_by_module())
		hs_sums_set(sums, generation, snap.generation);
	else
		assert_int_equal(hs_sums_commit(sums, generation), 0);
}

/* Who looks for writes leaves notes there: in swap, as it were, by userfaultfd. */
static bool in_memory(int pagemap, const char *page)
{
	uint64_t entry;

	return pread(pagemap, &entry, 8, (off_t)((uintptr_t)page / HS_PAGE * 8)) == 8 &&
		entry >> 62 && (entry >> 57 & 0x61) != 0x21;
}

/* Both have the same page there, or none. */
static bool same(int pagemap, const char *p)
{
	off_t at = (off_t)(uintptr_t)p;
	char page[HS_PAGE];

	if (!in_memory(pagemap, p))
		return lseek(mirror.fd, at, SEEK_DATA) != at;
	return pread(mirror.fd, page, HS_PAGE, at) == HS_PAGE && !memcmp(page, p, HS_PAGE);
}

static int compare(void *arg, void *addr, size_t len)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	size_t at;

	for (at = 0; at < len; at += HS_PAGE)
		*(unsigned long *)arg += !same(pagemap, (char *)addr + at);
	return close(pagemap);
}

static void expect_the_same(void)
{
	unsigned long differ = 0;

	hs_arena_lock();
	hs_arena_pieces(compare, &differ);
	hs_arena_unlock();
	assert_int_equal(differ, 0);
}

static void change(void)
{
	int i = (int)(random() % OBJECTS), cls = CLASS + i % 2;

	if (object[i] && random() % 3) {
		memset(object[i], (int)random(), size[i] ? (size_t)random() % size[i] : 0);
		return;
	}
	hs_free(cls, object[i]);
	size[i] = (size_t)(random() % 50 ? random() % 9000 : random() % 3000000);
	object[i] = hs_malloc(cls, size[i]);
	assert_non_null(object[i]);
	memset(object[i], i, size[i]);
	if (!(random() % 20)) {
		hs_free(cls, object[i]);
		object[i] = NULL;
	}
}

static int take(int fd, struct hs_error *e)
{
	int ret = hs_mirror_read(&mirror, fd, e);

	close(fd);
	return ret;
}

static void it_is_what_memory_is(void **state)
{
	const int rounds = atoi(getenv("ROUNDS") ?: "150");
	struct hs_error e = { "" };
	int i, n;

	(void)state;
	for (i = 0; i < rounds || i < 25; i++) {
		for (n = (int)(random() % 30); n; n--)
			change();
		assert_int_equal(take(write_image(i % 50, sums), &e), HS_TOOK);
		delivered();
		assert_int_equal(mirror.head.generation, generation);
		expect_the_same();
	}
	/* An increment has what changed, and not much else. */
	memset(object[0], 3, 1);
	n = write_image(true, sums);
	assert_true(lseek(n, 0, SEEK_END) < 20 * (off_t)HS_PAGE);
	lseek(n, 0, SEEK_SET);
	assert_int_equal(take(n, &e), HS_TOOK);
	delivered();
	expect_the_same();
}

static void what_does_not_follow_is_refused(void **state)
{
	struct hs_error e = { "" };
	uint64_t was = mirror.head.generation;
	int lost, next;

	(void)state;
	/* One that the mirror doesn't get, though it is taken for delivered. */
	change();
	lost = write_image(true, sums);
	delivered();
	change();
	next = write_image(true, sums);
	assert_int_equal(take(next, &e), -1);
	assert_int_equal(errno, ESTALE);
	assert_true(mirror.whole_read);
	assert_int_equal(mirror.head.generation, was);
	/* It comes late: from then on all is well. */
	assert_int_equal(take(lost, &e), HS_TOOK);
	assert_int_equal(take(write_image(true, sums), &e), HS_TOOK);
	delivered();
	expect_the_same();
	/* Once more what it had: nothing changes. */
	generation -= 2;
	assert_int_equal(take(write_image(false, NULL), &e), HS_OLD);
	generation++;
	expect_the_same();
	/* Of another run. */
	memset(mirror.head.run, 1, sizeof(mirror.head.run));
	assert_int_equal(take(write_image(true, sums), &e), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(take(write_image(false, sums), &e), HS_TOOK);
	delivered();
	expect_the_same();
}

static void take_image(bool increment)
{
	struct hs_error e = { "" };

	assert_int_equal(take(write_image(increment, sums), &e), HS_TOOK);
	delivered();
}

static void deliver(void)
{
	take_image(true);
	expect_the_same();
}

static void deliver_whole(void)
{
	take_image(false);
	expect_the_same();
}

static void expect_hole(const unsigned char *p, size_t nr)
{
	const off_t at = (off_t)(uintptr_t)p;

	assert_true(lseek(mirror.fd, at, SEEK_DATA) >= at + (off_t)(nr * HS_PAGE));
}

/* What isn't compared with what the mirror has would be left out. */
static void what_comes_back_is_written_again(void **state)
{
	const size_t len = 4 << 20;
	struct hs_error e = { "" };
	unsigned char *p;
	int i;

	(void)state;
	/* It was given back meanwhile. */
	for (i = 0; i < 2; i++) {
		p = memset(hs_malloc(CLASS, len), 5, len);
		deliver();
		hs_free(CLASS, p);
		deliver();
	}
	/* The spare has it, and its answer was lost. */
	p = memset(hs_malloc(CLASS, len), 5, len);
	deliver();
	p[len / 2] = 6;
	assert_int_equal(take(write_image(true, sums), &e), HS_TOOK);
	p[len / 2] = 5;
	assert_int_equal(take(write_image(true, sums), &e), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(take(write_image(false, sums), &e), HS_TOOK);
	delivered();
	expect_the_same();
}

static void expect_ranges(const char *p, size_t len)
{
	char page[HS_PAGE];
	size_t at;

	for (at = 0; at < len; at += HS_PAGE) {
		assert_int_equal(pread(mirror.fd, page, HS_PAGE, (off_t)(uintptr_t)(p + at)), HS_PAGE);
		assert_memory_equal(page, p + at, HS_PAGE);
	}
}

/* Of a mapped file's pages some were never written to, some are thrown away again. */
static void what_a_file_has_is_saved(void **state)
{
	const size_t len = 64 * HS_PAGE;
	int fd = memfd_create("file", MFD_CLOEXEC), i, n;
	char *p, text[64];

	(void)state;
	for (i = 0; i < 64; i++) {
		n = snprintf(text, sizeof(text), "page %d", i);
		assert_int_equal(pwrite(fd, text, (size_t)n, i * (off_t)HS_PAGE), n);
	}
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	p = mmap(CHOSEN, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	p[HS_PAGE * 7]++;
	assert_int_equal(hs_range(p + 100, len - 200), 0);
	for (i = 0; i < 30; i++) {
		deliver();
		expect_ranges(p, len);
		for (n = 0; n < 5; n++)
			p[random() % (long)len]++;
		if (i % 3 == 0)
			madvise(p + random() % 60 * (long)HS_PAGE, 4 * HS_PAGE, MADV_DONTNEED);
	}
	/* Whole, with pages that the file has. */
	madvise(p + HS_PAGE, 9 * HS_PAGE, MADV_DONTNEED);
	hs_sums_forget(sums);
	deliver_whole();
	expect_ranges(p, len);
	assert_int_equal(hs_exclude(p, len), 0);
	munmap(p, len);
	close(fd);
}

static void what_is_excluded_is_a_hole(void **state)
{
	unsigned char *p = hs_aligned_alloc(CLASS, HS_PAGE, 16 * HS_PAGE);

	(void)state;
	memset(p, 9, 16 * HS_PAGE);
	deliver();
	assert_int_equal(hs_exclude(p + 2 * HS_PAGE + 1, 3 * HS_PAGE), 0);
	memset(p, 10, 16 * HS_PAGE);
	take_image(true);
	expect_hole(p + 3 * HS_PAGE, 2);
	expect_ranges((char *)p, 3 * HS_PAGE);
	expect_ranges((char *)p + 5 * HS_PAGE, 11 * HS_PAGE);
	take_image(false);
	expect_hole(p + 3 * HS_PAGE, 2);
	expect_ranges((char *)p, 3 * HS_PAGE);
	expect_ranges((char *)p + 5 * HS_PAGE, 11 * HS_PAGE);
}

/* Wherever it ends, the mirror is what it was. */
static void what_is_cut_off_changes_nothing(void **state)
{
	struct hs_error e = { "" };
	uint64_t was = mirror.head.generation;
	off_t len;
	int fd, i;

	(void)state;
	memset(object[1], 77, size[1]);
	fd = write_image(true, sums);
	len = lseek(fd, 0, SEEK_END);
	for (i = 0; i < 40; i++) {
		assert_int_equal(ftruncate(fd, len - 1 - i * len / 41), 0);
		lseek(fd, 0, SEEK_SET);
		assert_int_equal(hs_mirror_read(&mirror, fd, &e), -1);
		assert_int_equal(errno, ENODATA);
		assert_false(mirror.whole_read);
		assert_int_equal(mirror.head.generation, was);
	}
	close(fd);
	fd = write_image(true, sums);
	assert_int_equal(take(fd, &e), HS_TOOK);
	delivered();
	expect_the_same();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_what_memory_is),
		cmocka_unit_test(what_does_not_follow_is_refused),
		cmocka_unit_test(what_comes_back_is_written_again),
		cmocka_unit_test(what_is_cut_off_changes_nothing),
		cmocka_unit_test(what_a_file_has_is_saved),
		cmocka_unit_test(what_is_excluded_is_a_hole),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
