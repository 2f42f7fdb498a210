// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Checkpoints as bytes: what is read is what was written, or it is refused; whatever byte
 * is altered and wherever it is cut off. And files that are there as a whole or not at all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../format.h"

static const struct hs_image_head head = {
	.flags = HS_IMAGE_INCREMENT, .generation = 8, .base = 7, .time_ns = 1234567890,
	.run = { 1, 2, 3 }, .app = "test",
};

struct piece {
	enum hs_section_type type;
	const char *name;
	size_t len;
};

static const struct piece pieces[] = {
	{ HS_SECTION_BUILD, "", 33 },
	{ HS_SECTION_MEMORY, "", 300 },
	{ HS_SECTION_MEMORY, "", 301 },
	{ HS_SECTION_USER, "empty", 0 },
	{ HS_SECTION_USER, "the longest name that a section may have, 47 by", 7 },
};

#define NR_PIECES	(sizeof(pieces) / sizeof(pieces[0]))
#define BIG		(3UL << 20)

static unsigned char content[BIG];

static void write_pieces(int fd, const struct piece *v, size_t nr)
{
	struct hs_writer w;
	size_t i;

	assert_int_equal(hs_writer_create(&w), 0);
	hs_image_begin(&w, fd, &head);
	for (i = 0; i < nr; i++) {
		hs_section_begin(&w, v[i].type, v[i].name, v[i].len);
		/* in two parts */
		hs_section_put(&w, content, v[i].len / 3);
		hs_section_put(&w, content + v[i].len / 3, v[i].len - v[i].len / 3);
	}
	assert_int_equal(hs_image_finish(&w), 0);
	hs_writer_free(&w);
}

static int written(const struct piece *v, size_t nr)
{
	int fd = memfd_create("image", 0);

	assert_true(fd >= 0);
	write_pieces(fd, v, nr);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* To the end; errno if not, and in @error why. */
static int read_all(int fd, char *error)
{
	struct hs_reader r;
	int ret;

	lseek(fd, 0, SEEK_SET);
	if (hs_reader_open(&r, fd)) {
		strcpy(error, r.error);
		return errno;
	}
	while ((ret = hs_reader_next(&r)) > 0)
		;
	ret = ret ? errno : 0;
	strcpy(error, r.error);
	hs_reader_close(&r);
	return ret;
}

static void what_is_written_is_read(void **state)
{
	static unsigned char buf[BIG];
	const struct piece v[] = { pieces[0], { HS_SECTION_MEMORY, "", BIG }, pieces[3],
				   pieces[4] };
	int fd = written(v, 4);
	struct hs_reader r;
	size_t i;

	(void)state;
	assert_int_equal(hs_reader_open(&r, fd), 0);
	assert_int_equal(r.head.generation, 8);
	assert_int_equal(r.head.base, 7);
	assert_int_equal(r.head.run[2], 3);
	assert_string_equal(r.head.app, "test");
	for (i = 0; i < 4; i++) {
		assert_int_equal(hs_reader_next(&r), 1);
		assert_int_equal(r.section.type, v[i].type);
		assert_int_equal(r.section.len, v[i].len);
		assert_string_equal(r.section.name, v[i].name);
		assert_int_equal(hs_reader_get(&r, buf, v[i].len), 0);
		assert_memory_equal(buf, content, v[i].len);
	}
	assert_int_equal(hs_reader_next(&r), 0);
	assert_int_equal(hs_reader_next(&r), 0);
	hs_reader_close(&r);
	close(fd);
}

static void sections_may_be_passed_over(void **state)
{
	int fd = written(pieces, NR_PIECES);
	struct hs_reader r;
	char byte;
	size_t i;

	(void)state;
	assert_int_equal(hs_reader_open(&r, fd), 0);
	for (i = 0; i < NR_PIECES; i++) {
		assert_int_equal(hs_reader_next(&r), 1);
		if (i == 1)
			assert_int_equal(hs_reader_get(&r, &byte, 1), 0);
	}
	assert_int_equal(hs_reader_next(&r), 0);
	hs_reader_close(&r);
	close(fd);
}

static void no_altered_byte_is_taken(void **state)
{
	int fd = written(pieces, NR_PIECES), err;
	off_t i, len = lseek(fd, 0, SEEK_END);
	unsigned char was, now;
	char error[192];

	(void)state;
	assert_true(len > 1000);
	for (i = 0; i < len; i++) {
		assert_int_equal(pread(fd, &was, 1, i), 1);
		now = was ^ (unsigned char)(1 << i % 8);
		assert_int_equal(pwrite(fd, &now, 1, i), 1);
		err = read_all(fd, error);
		if (!err || !error[0])
			fail_msg("byte %lld: error %d, '%s'", (long long)i, err, error);
		assert_int_equal(pwrite(fd, &was, 1, i), 1);
	}
	assert_int_equal(read_all(fd, error), 0);
	close(fd);
}

static void where_it_is_cut_off_is_told(void **state)
{
	int fd = written(pieces, NR_PIECES);
	off_t len = lseek(fd, 0, SEEK_END);
	char error[192];

	(void)state;
	while (len--) {
		assert_int_equal(ftruncate(fd, len), 0);
		assert_int_equal(read_all(fd, error), ENODATA);
		assert_non_null(strstr(error, "cut off"));
	}
	close(fd);
}

static void damage_is_told_by_section(void **state)
{
	int fd = written(pieces, NR_PIECES);
	char error[192];

	(void)state;
	/* In the second section's content. */
	assert_int_equal(pwrite(fd, "x", 1, 128 + 72 + 33 + 8 + 72 + 50), 1);
	assert_int_equal(read_all(fd, error), EBADMSG);
	assert_string_equal(error, "section 2 (memory) is damaged");
	close(fd);

	fd = written(pieces + 4, 1);
	assert_int_equal(pwrite(fd, "x", 1, 128 + 72 + 3), 1);
	assert_int_equal(read_all(fd, error), EBADMSG);
	assert_non_null(strstr(error, "section 1 (user 'the longest name"));
	close(fd);
}

/*
 * Who only looks goes on: which sections came, a bit for each, and how often something was
 * wrong.
 */
static unsigned int look(int fd, unsigned int *wrong, uint64_t *first_at)
{
	struct hs_reader r;
	unsigned int came = 0;
	int ret;

	*wrong = 0;
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(hs_reader_create(&r, fd), 0);
	ret = hs_reader_head(&r) ? -1 : 1;
	do {
		if (ret < 0 && !(*wrong)++)
			*first_at = r.at;
		if (ret < 0 && r.lost)
			break;
		ret = hs_reader_next(&r);
		if (ret > 0)
			came |= 1U << r.sections;
	} while (ret);
	assert_int_equal(r.done, !ret);
	hs_reader_close(&r);
	return came;
}

/* Byte @at is altered. */
static unsigned int look_altered(int fd, off_t at, unsigned int *wrong, uint64_t *first_at)
{
	unsigned int came;
	char was, now;

	assert_int_equal(pread(fd, &was, 1, at), 1);
	now = was ^ 0x20;
	assert_int_equal(pwrite(fd, &now, 1, at), 1);
	came = look(fd, wrong, first_at);
	assert_int_equal(pwrite(fd, &was, 1, at), 1);
	return came;
}

static void behind_damage_reading_goes_on(void **state)
{
	const unsigned int all = (2U << NR_PIECES) - 2;
	int fd = written(pieces, NR_PIECES);
	off_t at, start = sizeof(struct hs_image_head);
	unsigned int came, wrong, i;
	uint64_t first;

	(void)state;
	assert_int_equal(look(fd, &wrong, &first), all);
	assert_int_equal(wrong, 0);
	for (at = 0; at < start; at++) {
		came = look_altered(fd, at, &wrong, &first);
		/* Magic and version: nothing is known of what follows. */
		assert_int_equal(came, at < 12 ? 0 : all);
		assert_int_equal(wrong, 1);
	}
	for (i = 1; i <= NR_PIECES; i++, start = at) {
		/* What a damaged head of a section says isn't believed. */
		for (; at < start + (off_t)sizeof(struct hs_section_head); at++) {
			came = look_altered(fd, at, &wrong, &first);
			assert_int_equal(came, (1U << i) - 2);
			assert_int_equal(wrong, 1);
			assert_int_equal(first, start);
		}
		/* Content and sum: all sections come, and this one is told. */
		for (; at < start + (off_t)(sizeof(struct hs_section_head) + pieces[i - 1].len + 8);
		     at++) {
			came = look_altered(fd, at, &wrong, &first);
			assert_int_equal(came, all);
			assert_int_equal(wrong, 1);
			assert_int_equal(first, start);
		}
	}
	for (; at < lseek(fd, 0, SEEK_END); at++) {
		assert_int_equal(look_altered(fd, at, &wrong, &first), all);
		assert_int_equal(wrong, 1);
		assert_int_equal(first, start);
	}
	/* Two of them are two. */
	start = sizeof(struct hs_image_head) + sizeof(struct hs_section_head);
	assert_int_equal(pwrite(fd, "xyz", 3, start), 3);
	assert_int_equal(look_altered(fd, start + 33 + 8 + 72 + 100, &wrong, &first), all);
	assert_int_equal(wrong, 2);
	close(fd);
}

/* [from, from + len) of the file, moved behind what follows it, or left out. */
static void move_part(int fd, off_t from, size_t len, size_t follows, bool leave_out)
{
	static char a[4096], b[4096];
	off_t end = lseek(fd, 0, SEEK_END);
	size_t rest = (size_t)(end - from) - len;

	assert_int_equal(pread(fd, a, len, from), len);
	assert_int_equal(pread(fd, b, rest, from + (off_t)len), rest);
	if (leave_out) {
		assert_int_equal(pwrite(fd, b, rest, from), rest);
		assert_int_equal(ftruncate(fd, end - (off_t)len), 0);
	} else {
		assert_int_equal(pwrite(fd, b, follows, from), follows);
		assert_int_equal(pwrite(fd, a, len, from + (off_t)follows), len);
	}
}

static void no_section_is_missing_or_elsewhere(void **state)
{
	const size_t first = 128, second = first + 72 + 33 + 8, len = 72 + 300 + 8;
	char error[192];
	int fd;

	(void)state;
	fd = written(pieces, NR_PIECES);
	move_part(fd, second, len, 0, true);
	assert_int_equal(read_all(fd, error), EBADMSG);
	assert_non_null(strstr(error, "sections are missing"));
	close(fd);

	fd = written(pieces, NR_PIECES);
	move_part(fd, second, len, len + 1, false);
	assert_int_equal(read_all(fd, error), EBADMSG);
	assert_non_null(strstr(error, "sections are missing"));
	close(fd);
}

static void others_files_are_refused(void **state)
{
	int fd = memfd_create("image", 0);
	struct hs_image_head h;
	char error[192];

	(void)state;
	assert_int_equal(write(fd, content, 1000), 1000);
	assert_int_equal(read_all(fd, error), EINVAL);
	assert_string_equal(error, "this isn't a checkpoint");
	close(fd);

	fd = written(pieces, 1);
	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	h.version = 7;
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(read_all(fd, error), EPROTONOSUPPORT);
	assert_non_null(strstr(error, "version 7, this library supports version 1"));
	close(fd);
}

/* A section that says more than it has, with all sums right. */
static void a_reader_gets_no_more_than_there_is(void **state)
{
	int fd = written(pieces, NR_PIECES);
	struct hs_reader r;
	char buf[64];

	(void)state;
	assert_int_equal(hs_reader_open(&r, fd), 0);
	assert_int_equal(hs_reader_next(&r), 1);
	assert_int_equal(hs_reader_get(&r, buf, 34), -1);
	assert_int_equal(errno, EBADMSG);
	assert_string_equal(r.error, "section 1 (build) is too short");
	hs_reader_close(&r);
	close(fd);
}

static void a_writer_says_what_failed(void **state)
{
	int fd = open("/dev/full", O_WRONLY);
	struct hs_writer w;

	(void)state;
	assert_int_equal(hs_writer_create(&w), 0);
	hs_image_begin(&w, fd, &head);
	hs_section(&w, HS_SECTION_USER, "a", "b", 1);
	assert_int_equal(hs_image_finish(&w), -1);
	hs_writer_free(&w);
	assert_int_equal(errno, ENOSPC);
	close(fd);

	/* More than was said, less, and a name that is too long. */
	fd = memfd_create("image", 0);
	assert_int_equal(hs_writer_create(&w), 0);
	hs_image_begin(&w, fd, &head);
	hs_section_begin(&w, HS_SECTION_USER, "a", 1);
	hs_section_put(&w, "xx", 2);
	assert_int_equal(hs_image_finish(&w), -1);
	hs_writer_free(&w);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hs_writer_create(&w), 0);
	hs_image_begin(&w, fd, &head);
	hs_section_begin(&w, HS_SECTION_USER, "a", 1);
	assert_int_equal(hs_image_finish(&w), -1);
	hs_writer_free(&w);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hs_writer_create(&w), 0);
	hs_image_begin(&w, fd, &head);
	hs_section(&w, HS_SECTION_USER, "a name of 48 bytes is one more than can be there", "", 0);
	assert_int_equal(hs_image_finish(&w), -1);
	hs_writer_free(&w);
	assert_int_equal(errno, EINVAL);
	close(fd);
}

/*
 * Files
 */

static char dir[64];

static int files_in_dir(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/hotspare-test.XXXXXX");
	return mkdtemp(dir) && !chdir(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink("a");
	return chdir("/") || rmdir(dir);
}

static void a_file_is_there_when_it_is_whole(void **state)
{
	char error[192];
	struct hs_file f;
	int fd;

	(void)state;
	assert_int_equal(hs_file_create(&f, "a"), 0);
	write_pieces(f.fd, pieces, NR_PIECES);
	assert_int_equal(access("a", F_OK), -1);
	assert_int_equal(hs_file_publish(&f), 0);
	assert_int_equal(files_in_dir(), 1);
	fd = open("a", O_RDONLY);
	assert_int_equal(read_all(fd, error), 0);
	close(fd);

	/* Who gives up leaves what was there. */
	assert_int_equal(hs_file_create(&f, "a"), 0);
	assert_int_equal(write(f.fd, "x", 1), 1);
	hs_file_drop(&f);
	assert_int_equal(files_in_dir(), 1);
	fd = open("a", O_RDONLY);
	assert_int_equal(read_all(fd, error), 0);
	close(fd);
}

static void a_full_disk_leaves_what_was_there(void **state)
{
	const struct rlimit little = { 4096, RLIM_INFINITY };
	struct rlimit was;
	struct hs_writer w;
	struct hs_file f;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(hs_file_create(&f, "a"), 0);
	setrlimit(RLIMIT_FSIZE, &little);
	assert_int_equal(hs_writer_create(&w), 0);
	hs_image_begin(&w, f.fd, &head);
	hs_section(&w, HS_SECTION_MEMORY, "", content, BIG);
	assert_int_equal(hs_image_finish(&w), -1);
	hs_writer_free(&w);
	assert_int_equal(errno, EFBIG);
	hs_file_drop(&f);
	assert_int_equal(errno, EFBIG);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(files_in_dir(), 0);
}

static void a_place_that_cannot_be_written_to_is_told(void **state)
{
	struct hs_file f;

	(void)state;
	assert_int_equal(hs_file_create(&f, "none/a"), -1);
	assert_int_equal(errno, ENOENT);
	/* What is a directory can't be replaced. */
	assert_int_equal(hs_file_create(&f, "a"), 0);
	assert_int_equal(mkdir("a", 0700), 0);
	assert_int_equal(hs_file_publish(&f), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(rmdir("a"), 0);
	assert_int_equal(files_in_dir(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(sections_may_be_passed_over),
		cmocka_unit_test(no_altered_byte_is_taken),
		cmocka_unit_test(where_it_is_cut_off_is_told),
		cmocka_unit_test(damage_is_told_by_section),
		cmocka_unit_test(behind_damage_reading_goes_on),
		cmocka_unit_test(no_section_is_missing_or_elsewhere),
		cmocka_unit_test(others_files_are_refused),
		cmocka_unit_test(a_reader_gets_no_more_than_there_is),
		cmocka_unit_test(a_writer_says_what_failed),
		cmocka_unit_test_setup_teardown(a_file_is_there_when_it_is_whole, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(a_full_disk_leaves_what_was_there, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(a_place_that_cannot_be_written_to_is_told,
						make_dir, remove_dir),
	};
	size_t i;

	for (i = 0; i < BIG; i++)
		content[i] = (unsigned char)(i * 7 + i / 251);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
