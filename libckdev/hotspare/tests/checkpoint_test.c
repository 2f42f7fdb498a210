// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A whole checkpoint: a program writes it, and the same program, started anew, goes on
 * from it. Both without address randomisation, as the library will start itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../arena.h"
#include "../checkpoint.h"
#include "../mirror.h"
#include "child.h"

#define IMAGE	"image"
#define OBJECTS	3000

/* What the program has in checkpoint memory, and what it should be. */
struct thing {
	struct thing *next;
	size_t len;
	unsigned char byte;
	unsigned char data[];
};

static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
	signalled = sig;
}

/* After the restart: each object is right, more can be had, and some be given back. */
static void worker(void *arg)
{
	struct thing *t;
	size_t n = 0, i;
	char c;

	for (t = arg; t; t = t->next, n++) {
		CHECK(hs_usable_size(t) >= sizeof(*t) + t->len);
		for (i = 0; i < t->len; i++)
			CHECK(t->data[i] == (unsigned char)(t->byte + i));
	}
	CHECK(n == OBJECTS);
	CHECK(read(30, &c, 1) == 1 && c == 'x');
	raise(SIGUSR1);
	CHECK(signalled == SIGUSR1);
	CHECK(!hs_malloc_check(1) && !hs_malloc_check(2));
	for (i = 0; i < 1000; i++)
		CHECK(hs_malloc(2, i * 7));
	t = arg;
	hs_free(2, t->next);
	CHECK(!hs_malloc_check(2));
	_exit(0);
}

static struct thing *make_things(void)
{
	struct thing *first = NULL, *t;
	size_t i, j;

	CHECK(!hs_malloc_create(1, 1 << 20) && !hs_malloc_create(2, 4096));
	for (i = 0; i < OBJECTS; i++) {
		size_t len = i % 10 ? i % 300 : i * 40;

		t = hs_malloc(i % 3 ? 1 : 2, sizeof(*t) + len);
		CHECK(t);
		t->next = first;
		t->len = len;
		t->byte = (unsigned char)i;
		for (j = 0; j < len; j++)
			t->data[j] = (unsigned char)(t->byte + j);
		first = t;
	}
	/* Of class 2, which worker() frees one of. */
	while (hs_class_of(first->next) != hs_class_find(2)) {
		t = first->next;
		first->next = t->next;
		hs_free(1, t);
		t = hs_malloc(2, sizeof(*t));
		*t = (struct thing) { .next = first->next };
		first->next = t;
	}
	return first;
}

static int save(void)
{
	const struct hs_image_head head = { .generation = 1, .app = "checkpoint_test" };
	struct hs_error e = { "" };
	struct hs_texts t;
	struct hs_writer w;
	struct hs_file f;
	int p[2], ret;

	CHECK(!hs_threadreg(worker, make_things()));
	CHECK(!pipe(p) && dup2(p[0], 30) == 30 && dup2(p[1], 31) == 31);
	CHECK(write(31, "x", 1) == 1);
	CHECK(!hs_fdreg(30) && !hs_fdreg(31));
	CHECK(signal(SIGUSR1, on_signal) != SIG_ERR && !hs_sigreg(SIGUSR1));
	hs_arena_lock();
	ret = hs_texts_capture(&t, &e) ?: hs_texts_make(&t, &e);
	if (!ret) {
		CHECK(!hs_file_create(&f, IMAGE) && !hs_writer_create(&w));
		ret = hs_checkpoint_write(&w, f.fd, &head, &t, NULL, NULL);
		CHECK(ret || !hs_file_publish(&f));
		hs_writer_free(&w);
		hs_texts_free(&t);
	}
	hs_arena_unlock();
	if (ret)
		fprintf(stderr, "# %s\n", e.text);
	return ret ? 1 : 0;
}

/* 3: it is refused, and nothing has changed. */
static int go_on(void)
{
	struct hs_error e = { "" };
	int fd = open(IMAGE, O_RDONLY);
	struct hs_state *s;
	struct hs_mirror m;

	hs_mirror_init(&m);
	if (hs_mirror_read(&m, fd, &e) || hs_mirror_restore(&m, &e)) {
		fprintf(stderr, "# %s\n", e.text);
		return hs_malloc_create(1, 0) ? 4 : 3;
	}
	close(fd);
	s = &m.state;
	hs_threads_adopt(&s->threads);
	if (hs_fds_restore(&s->fds, &e) || hs_signals_restore(&s->signals, &e) ||
	    hs_process_restore(&s->process, &e) || hs_threads_run(&e))
		fprintf(stderr, "# %s\n", e.text);
	return 1;
}

/* As @program, without address randomisation. */
static int run(const char *program, const char *what)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		personality(ADDR_NO_RANDOMIZE);
		execl(program, "checkpoint_test", what, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_program_goes_on_from_its_checkpoint(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(run("/proc/self/exe", "--save"), 0);
	assert_int_equal(run("/proc/self/exe", "--go-on"), 0);
	/* As often as one likes. */
	assert_int_equal(run("/proc/self/exe", "--go-on"), 0);
}

static void what_is_damaged_changes_nothing(void **state)
{
	off_t len, at;
	char was;
	int fd, i;

	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(run("/proc/self/exe", "--save"), 0);
	fd = open(IMAGE, O_RDWR);
	len = lseek(fd, 0, SEEK_END);
	for (i = 1; i < 8; i++) {
		at = len * i / 8;
		assert_int_equal(pread(fd, &was, 1, at), 1);
		assert_int_equal(pwrite(fd, &(char) { (char)(was ^ 4) }, 1, at), 1);
		assert_int_equal(run("/proc/self/exe", "--go-on"), 3);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	assert_int_equal(run("/proc/self/exe", "--go-on"), 0);
	assert_int_equal(ftruncate(fd, len - 1), 0);
	assert_int_equal(run("/proc/self/exe", "--go-on"), 3);
	close(fd);
}

/* By what it would say of itself. */
static void another_program_is_refused(void **state)
{
	struct hs_error e = { "" };
	struct json_object *json = json_tokener_parse(hs_build_text(&e)), *first;

	(void)state;
	assert_non_null(json);
	assert_true(json_object_array_length(json) >= 2);
	assert_int_equal(hs_build_compare(json, hs_layout_here(), &e), 0);
	first = json_object_array_get_idx(json, 0);
	json_object_object_add(first, "address", json_object_new_int64(4711));
	assert_int_equal(hs_build_compare(json, hs_layout_here(), &e), -1);
	assert_int_equal(errno, ENOEXEC);
	assert_non_null(strstr(e.text, "the program is mapped at another address"));
	json_object_object_add(first, "build_id", json_object_new_string("00"));
	assert_int_equal(hs_build_compare(json, hs_layout_here(), &e), -1);
	assert_non_null(strstr(e.text, "the program has the build id 00 in the checkpoint"));
	json_object_object_add(first, "name", json_object_new_string("libgone.so.1"));
	assert_int_equal(hs_build_compare(json, hs_layout_here(), &e), -1);
	assert_non_null(strstr(e.text, "libgone.so.1 was loaded in the program, and isn't loaded here"));
	json_object_object_del(first, "build_id");
	assert_int_equal(hs_build_compare(json, hs_layout_here(), &e), -1);
	assert_int_equal(errno, EBADMSG);
	json_object_put(json);
	json = json_tokener_parse("{}");
	assert_int_equal(hs_build_compare(json, hs_layout_here(), &e), -1);
	assert_int_equal(errno, EBADMSG);
	json_object_put(json);
}

/* With all sums right: only the content makes no sense. */
static void write_made_up(enum hs_section_type type, const void *buf, size_t len)
{
	const struct hs_image_head head = { .generation = 1 };
	int fd = open(IMAGE, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct hs_writer w;

	assert_int_equal(hs_writer_create(&w), 0);
	hs_image_begin(&w, fd, &head);
	hs_section(&w, type, "", buf, len);
	assert_int_equal(hs_image_finish(&w), 0);
	hs_writer_free(&w);
	close(fd);
}

static void what_is_made_up_is_refused(void **state)
{
	const struct hs_piece piece = { HS_BASE, 1 << 20 };

	(void)state;
	write_made_up(HS_SECTION_MEMORY, &piece, sizeof(piece));
	assert_int_equal(run("/proc/self/exe", "--go-on"), 3);
	write_made_up(HS_SECTION_BUILD, "[", 1);
	assert_int_equal(run("/proc/self/exe", "--go-on"), 3);
	write_made_up(HS_SECTION_THREADS, "[3]", 3);
	assert_int_equal(run("/proc/self/exe", "--go-on"), 3);
	write_made_up(HS_SECTION_USER, "", 0);
	assert_int_equal(run("/proc/self/exe", "--go-on"), 3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_goes_on_from_its_checkpoint),
		cmocka_unit_test(what_is_damaged_changes_nothing),
		cmocka_unit_test(another_program_is_refused),
		cmocka_unit_test(what_is_made_up_is_refused),
	};
	char dir[] = "/tmp/hotspare-checkpoint-test.XXXXXX";
	int ret;

	if (argc == 2 && !strcmp(argv[1], "--save"))
		return save();
	if (argc == 2 && !strcmp(argv[1], "--go-on"))
		return go_on();
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(IMAGE);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
