// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The application's own sections: they are what was set last, of the same instant as
 * memory, and come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "../mirror.h"
#include "child.h"

#define CLASS	1
#define MIB	(1UL << 20)
#define LONGEST	"the-longest-name-that-there-may-be-has-47-bytes"

static void assert_refused(long ret, int err)
{
	assert_int_equal(ret, -1);
	assert_int_equal(errno, err);
}

static void assert_has(const char *name, const char *want)
{
	char text[64] = "";

	assert_int_equal(hs_section_get(name, text, sizeof(text)), strlen(want));
	assert_string_equal(text, want);
}

static void the_last_that_was_set_counts(void **state)
{
	char text[] = "first", part[4] = "...";

	(void)state;
	assert_int_equal(hs_section_set("a", text, 5), 0);
	/* It's a copy. */
	text[0] = 'x';
	assert_has("a", "first");
	assert_int_equal(hs_section_set(LONGEST, "other", 5), 0);
	assert_int_equal(hs_section_set("a", "second one", 10), 0);
	assert_has("a", "second one");
	assert_has(LONGEST, "other");
	assert_int_equal(hs_section_get("a", part, 3), 10);
	assert_string_equal(part, "sec");
	assert_int_equal(hs_section_get("a", NULL, 0), 10);
	assert_int_equal(hs_section_set("a", NULL, 0), 0);
	assert_refused(hs_section_get("a", part, 3), ENOENT);
	assert_string_equal(part, "sec");
	assert_has(LONGEST, "other");
	assert_int_equal(hs_section_set(LONGEST, NULL, 0), 0);
}

static void what_is_too_much_is_refused(void **state)
{
	static char large[MIB + 1];
	char name[8];
	int i;

	(void)state;
	assert_refused(hs_section_set("", "x", 1), EINVAL);
	assert_refused(hs_section_set("two words", "x", 1), EINVAL);
	assert_refused(hs_section_set("tab\t", "x", 1), EINVAL);
	assert_refused(hs_section_set("umlaut-\xc3\xa4", "x", 1), EINVAL);
	assert_refused(hs_section_set(LONGEST "1", "x", 1), EINVAL);
	assert_refused(hs_section_set("", NULL, 0), EINVAL);
	assert_refused(hs_section_set("a", NULL, 0), ENOENT);
	assert_refused(hs_section_set("a", large, MIB + 1), EMSGSIZE);
	assert_int_equal(hs_section_set("a", large, MIB), 0);
	for (i = 1; i < 256; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(hs_section_set(name, "x", 1), 0);
	}
	assert_refused(hs_section_set("one-more", "x", 1), ENOSPC);
	/* One that is there may be replaced. */
	assert_int_equal(hs_section_set("255", "yy", 2), 0);
	while (--i) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(hs_section_set(name, NULL, 0), 0);
	}
	assert_int_equal(hs_section_set("a", NULL, 0), 0);
	assert_refused(hs_section_get("255", NULL, 0), ENOENT);
}

/*
 * What is in a checkpoint
 */

static int image_begin(struct hs_writer *w)
{
	const struct hs_image_head head = { .generation = 1, .run = "sections_test" };
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(hs_writer_create(w), 0);
	hs_image_begin(w, fd, &head);
	return fd;
}

static const struct hs_own *own(const struct hs_mirror *m, const char *name)
{
	uint32_t i;

	for (i = 0; i < m->state.own.nr; i++)
		if (!strcmp(m->state.own.v[i]->name, name))
			return m->state.own.v[i];
	return NULL;
}

/* What is set after the cut isn't in it. */
static void it_is_of_the_cut(void **state)
{
	const struct hs_image_head head = { .generation = 1, .run = "sections_test" };
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct hs_error e = { "" };
	struct hs_mirror m;
	struct hs_texts t;
	struct hs_writer w;

	(void)state;
	assert_int_equal(hs_section_set("a", "before", 6), 0);
	assert_int_equal(hs_section_set("gone", "there", 5), 0);
	assert_int_equal(hs_texts_capture(&t, &e), 0);
	assert_int_equal(hs_texts_make(&t, &e), 0);
	assert_int_equal(hs_section_set("a", "later", 5), 0);
	assert_int_equal(hs_section_set("gone", NULL, 0), 0);
	assert_int_equal(hs_section_set("new", "new", 3), 0);
	assert_int_equal(hs_writer_create(&w), 0);
	assert_int_equal(hs_checkpoint_write(&w, fd, &head, &t, NULL, NULL), 0);
	hs_texts_free(&t);
	hs_writer_free(&w);
	hs_mirror_init(&m);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(hs_mirror_read(&m, fd, &e), HS_TOOK);
	close(fd);
	assert_int_equal(m.state.own.nr, 2);
	assert_non_null(own(&m, "a"));
	assert_int_equal(own(&m, "a")->len, 6);
	assert_memory_equal(own(&m, "a")->data, "before", 6);
	assert_memory_equal(own(&m, "gone")->data, "there", 5);
	/* And then it is what there is. */
	assert_has("a", "later");
	hs_sections_adopt(&m.state.own);
	assert_has("a", "before");
	assert_has("gone", "there");
	assert_refused(hs_section_get("new", NULL, 0), ENOENT);
	assert_int_equal(hs_section_set("a", NULL, 0), 0);
	assert_int_equal(hs_section_set("gone", NULL, 0), 0);
	hs_mirror_free(&m);
}

/* Two sections and memory, always the same number. */
struct numbers {
	atomic_bool over;
	unsigned long *in_memory;
};

static void *set_numbers(void *arg)
{
	struct numbers *n = arg;
	unsigned long i;

	for (i = 1; !n->over; i++) {
		hs_hold();
		if (hs_section_set("first", &i, sizeof(i)) ||
		    hs_section_set("second", &i, sizeof(i)))
			n->over = true;
		*n->in_memory = i;
		hs_release();
	}
	return NULL;
}

static unsigned long number(const struct hs_mirror *m, const char *name)
{
	const struct hs_own *o = own(m, name);
	unsigned long n = 0;

	if (o) {
		assert_int_equal(o->len, sizeof(n));
		memcpy(&n, o->data, sizeof(n));
	}
	return n;
}

static void it_belongs_to_memory(void **state)
{
	struct numbers n = { .over = false };
	struct hs_error e = { "" };
	struct hs_mirror m;
	unsigned long now, i;
	pthread_t id;
	int fd;

	(void)state;
	assert_int_equal(hs_malloc_create(CLASS, 4096), 0);
	n.in_memory = hs_calloc(CLASS, 1, sizeof(*n.in_memory));
	assert_int_equal(hs_cpipe_init(1), 0);
	assert_int_equal(hs_cpipe_loadfile("image"), 0);
	assert_int_equal(pthread_create(&id, NULL, set_numbers, &n), 0);
	for (i = 0; i < 50; i++) {
		assert_int_equal(hs_cpt(0), 0);
		hs_mirror_init(&m);
		fd = open("image", O_RDONLY);
		assert_int_equal(hs_mirror_read(&m, fd, &e), HS_TOOK);
		close(fd);
		assert_int_equal(pread(m.fd, &now, sizeof(now), (off_t)(uintptr_t)n.in_memory),
				 sizeof(now));
		assert_int_equal(number(&m, "first"), now);
		assert_int_equal(number(&m, "second"), now);
		hs_mirror_free(&m);
	}
	n.over = true;
	pthread_join(id, NULL);
	assert_true(*n.in_memory > 1);
	assert_int_equal(hs_section_set("first", NULL, 0), 0);
	assert_int_equal(hs_section_set("second", NULL, 0), 0);
}

/* With all sums right. */
static void assert_made_up(const char *name, size_t len, unsigned int nr, const char *why)
{
	static char large[MIB + 1];
	struct hs_error e = { "" };
	struct hs_mirror m;
	struct hs_writer w;
	char text[16];
	int fd = image_begin(&w);

	while (nr--) {
		snprintf(text, sizeof(text), "%u", nr);
		hs_section(&w, HS_SECTION_USER, name ?: text, large, len);
	}
	assert_int_equal(hs_image_finish(&w), 0);
	hs_writer_free(&w);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	hs_mirror_init(&m);
	assert_refused(hs_mirror_read(&m, fd, &e), EBADMSG);
	assert_non_null(strstr(e.text, why));
	/* To its end: another may come behind it. */
	assert_true(m.whole_read);
	hs_mirror_free(&m);
	close(fd);
}

static void what_is_made_up_is_refused(void **state)
{
	(void)state;
	assert_made_up("good", 5, 1, "section 'build' is missing");
	assert_made_up(NULL, 5, 256, "section 'build' is missing");
	assert_made_up("good", 5, 2, "the application's section 'good' is there twice");
	assert_made_up("", 5, 1, "is invalid");
	assert_made_up("two words", 5, 1, "is invalid");
	assert_made_up("empty", 0, 1, "is invalid");
	assert_made_up("large", MIB + 1, 1, "is invalid");
	assert_made_up(NULL, 5, 257, "is invalid");
}

/*
 * The program
 */

static void on(void *arg)
{
	char text[16] = "";

	(void)arg;
	CHECK(hs_section_get("name", text, sizeof(text)) == 3 && !strcmp(text, "new"));
	CHECK(hs_section_get("gone", NULL, 0) == -1 && errno == ENOENT);
	CHECK(hs_section_get("all", NULL, 0) == MIB);
	/* In the next one, too. */
	if (getenv("AGAIN")) {
		CHECK(!hs_cpipe_init(1) && !hs_cpipe_loadfile(getenv("AGAIN")) && !hs_cpt(0));
		exit(8);
	}
	exit(0);
}

static int program(int argc, char **argv)
{
	static char large[MIB];

	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!hs_threadreg(on, NULL));
	CHECK(!hs_section_set("name", "old", 3) && !hs_section_set("gone", "x", 1));
	CHECK(!hs_section_set("all", large, MIB));
	CHECK(!hs_cpt(0));
	/* Increments have them as well, though they haven't changed; and have no others. */
	CHECK(!hs_section_set("name", "new", 3) && !hs_section_set("gone", NULL, 0));
	CHECK(!hs_cpt(HSCPT_INCR));
	_exit(7);
}

static const char *self;

static int run(const char *option, const char *file, const char *again)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		end_with_parent();
		setenv("SECTIONS_PROGRAM", "1", 1);
		if (again)
			setenv("AGAIN", again, 1);
		execl(self, "sections_test", "-m", option, file, "--", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void who_goes_on_has_them(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(run("-f", "state", NULL), 7);
	assert_int_equal(access("state.2", F_OK), 0);
	assert_int_equal(run("-r", "state", NULL), 0);
	assert_int_equal(run("-r", "state", "again"), 8);
	assert_int_equal(run("-r", "again", NULL), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_that_was_set_counts),
		cmocka_unit_test(what_is_too_much_is_refused),
		cmocka_unit_test(it_is_of_the_cut),
		cmocka_unit_test(it_belongs_to_memory),
		cmocka_unit_test(what_is_made_up_is_refused),
		cmocka_unit_test(who_goes_on_has_them),
	};
	char dir[] = "/tmp/hotspare-sections-test.XXXXXX";
	int ret;

	if (getenv("SECTIONS_PROGRAM"))
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (system("rm -rf ./*") || chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
