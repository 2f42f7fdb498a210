// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork() between cuts: a child's memory stays what it was, and a snapshot has what was
 * written before the fork in any way. A program of its own, because its mutants damage
 * memory that a longer program would go on to use.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "harness.h"

#define PAGES	64UL
#define LEN	(PAGES * PAGE)

FIXTURE(fork_child) {
	int fd;
	char *m;
	struct t_image *image;
};

FIXTURE_SETUP(fork_child)
{
	int snap;

	self->fd = t_open();
	self->m = t_map(LEN);
	memset(self->m, 1, LEN);
	self->image = t_image_new(self->m, LEN);
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	snap = t_snapshot(self->fd, 0, 0, NULL);
	ASSERT_LE(0, snap);
	ASSERT_EQ(0, t_image_apply(self->image, snap));
	close(snap);
}

FIXTURE_TEARDOWN(fork_child)
{
	close(self->fd);
	t_image_free(self->image);
}

/* Take a snapshot: it has @nr pages, and the image is what memory is. */
#define CHECK(nr) do {							\
	struct cptdev_snapshot s_;					\
	int snap_ = t_snapshot(self->fd, 0, 0, &s_);			\
									\
	ASSERT_LE(0, snap_);						\
	EXPECT_EQ((__u64)(nr), s_.pages);				\
	EXPECT_EQ(0, t_image_apply(self->image, snap_));		\
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));		\
	close(snap_);							\
} while (0)

/* Whatever its parent writes, and whatever cuts take. */
TEST_F(fork_child, keeps_its_own)
{
	char *was = malloc(LEN), c;
	int go[2], status;
	pid_t pid;

	memset(self->m, 'x', 5 * PAGE);
	memcpy(was, self->m, LEN);
	ASSERT_EQ(0, pipe(go));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &c, 1) != 0 || memcmp(self->m, was, LEN));
	}
	close(go[0]);
	CHECK(5);
	memset(self->m, 'y', LEN);
	CHECK(PAGES);
	memset(self->m + 7 * PAGE, 'z', 9 * PAGE);
	CHECK(9);
	close(go[1]);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	free(was);
}

/*
 * A debugger writes where the process can't. The first write replaces the page, which is an
 * event; the second one finds a page that only this process has, and changes it in place.
 */
TEST_F(fork_child, forced_write_before)
{
	int mem = open("/proc/self/mem", O_RDWR);
	off_t at = (off_t)(unsigned long)(self->m + 5 * PAGE);
	pid_t pid;

	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ));
	EXPECT_EQ(1, pwrite(mem, "!", 1, at));
	CHECK(1);
	EXPECT_EQ(1, pwrite(mem, "?", 1, at));
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(0);
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	CHECK(1);
	CHECK(0);
	close(mem);
}

/*
 * The same without a child, in a part of a page table: the rest of it can be written to. More
 * writes would put the page in a batch of the LRU lists, whose reference looks like I/O.
 */
TEST_F(fork_child, forced_write_in_a_part)
{
	int mem = open("/proc/self/mem", O_RDWR);
	off_t at = (off_t)(unsigned long)(self->m + 5 * PAGE);

	ASSERT_EQ(0, mprotect(self->m + 4 * PAGE, 3 * PAGE, PROT_READ));
	EXPECT_EQ(1, pwrite(mem, "!", 1, at));
	CHECK(1);
	CHECK(0);
	EXPECT_EQ(1, pwrite(mem, "?", 1, at));
	CHECK(1);
	self->m[2 * PAGE] = 'a';
	EXPECT_EQ(1, pwrite(mem, "b", 1, at + PAGE));
	EXPECT_EQ(1, pwrite(mem, "c", 1, at));
	CHECK(3);
	close(mem);
}

TEST_HARNESS_MAIN
